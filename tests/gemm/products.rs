//! Products alone: sizes, strides, tails, numbers that are not finite.

use crate::common::{Random, context, isas, quick};
use crate::matrix::*;
use omma::gemm::*;
use omma::nn::linear;
use omma::simd::*;
use omma::tensor::{View, ViewMut};
use std::ops::Range;

#[test]
fn every_size_is_the_plain_sum() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(1);
        let check = |m: usize, n: usize, k: usize, random: &mut Random| {
            let a = Matrix::new(m, k, Order::Rows, random);
            let b = Matrix::new(k, n, Order::Rows, random);
            let mut c = Target::new(m, n, 3);
            multiply(&ctx, &a, &b, &mut c);
            c.check_canaries();
            for r in 0..m {
                for j in 0..n {
                    let (sum, magnitude) = reference(&a, &b, r, j);
                    let error = (f64::from(c.at(r, j)) - sum).abs();
                    assert!(
                        error <= tolerance(k, magnitude),
                        "{isa:?} {m}x{n}x{k} ({r}, {j}): {} for {sum}",
                        c.at(r, j)
                    );
                }
            }
        };
        for m in LINES {
            for n in LINES {
                check(m, n, DEPTHS[random.range(0, DEPTHS.len() - 1)], &mut random);
                check(m, n, 5, &mut random);
            }
        }
        for k in DEPTHS {
            check(7, 37, k, &mut random);
            check(1, 37, k, &mut random);
            check(37, 1, k, &mut random);
        }
        check(123, 131, 127, &mut random);
    }
}

#[test]
fn any_strides() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(2);
        for oa in ORDERS {
            for ob in ORDERS {
                for (m, n, k) in [
                    (19, 35, 21),
                    (1, 35, 40),
                    (3, 20, 33),
                    (35, 1, 21),
                    (9, 67, 300),
                ] {
                    let a = Matrix::new(m, k, oa, &mut random);
                    let b = Matrix::new(k, n, ob, &mut random);
                    let mut c = Target::new(m, n, 1);
                    multiply(&ctx, &a, &b, &mut c);
                    c.check_canaries();
                    for r in 0..m {
                        for j in 0..n {
                            let (sum, magnitude) = reference(&a, &b, r, j);
                            let error = (f64::from(c.at(r, j)) - sum).abs();
                            assert!(
                                error <= tolerance(k, magnitude),
                                "{isa:?} {oa:?} {ob:?} {m}x{n}x{k}"
                            );
                        }
                    }
                }
            }
        }
    }
}

/// Few rows against a B that is read once: in long runs where it lies, in several streams from panels.
#[test]
fn few_rows_against_much() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(9);
        for (n, k) in [(2111, 38), (517, 131), (300, 257)] {
            for order in [Order::Rows, Order::PaddedRows, Order::ReversedRows] {
                let b = Matrix::new(k, n, order, &mut random);
                let source = Strided::columns(b.view());
                let packed = PackedMatrix::new(&ctx, isa, Side::B, n, k, source).unwrap();
                for m in 1..=5 {
                    let a = Matrix::new(m, k, Order::Rows, &mut random);
                    let [mut in_place, mut panels] = [0; 2].map(|_| Target::new(m, n, 1));
                    multiply(&ctx, &a, &b, &mut in_place);
                    let problem = Problem {
                        a: Strided::rows(a.view()),
                        b: &packed,
                        out: panels.output(),
                        epilogue: Epilogue::default(),
                    };
                    // SAFETY: C has these rows and columns.
                    unsafe { gemm(&ctx, Shape { m, n, k }, &problem).unwrap() };
                    in_place.check_canaries();
                    panels.check_canaries();
                    for r in 0..m {
                        for j in 0..n {
                            let (sum, magnitude) = reference(&a, &b, r, j);
                            for c in [&in_place, &panels] {
                                let error = (f64::from(c.at(r, j)) - sum).abs();
                                assert!(
                                    error <= tolerance(k, magnitude),
                                    "{isa:?} {order:?} {m}x{n}x{k} ({r}, {j}): {} for {sum}",
                                    c.at(r, j)
                                );
                            }
                        }
                    }
                }
            }
            if quick() {
                break;
            }
        }
    }
}

/// A matrix that does not say where it lies, so that it goes through panels.
#[derive(Clone, Copy)]
struct Hidden<'a>(Strided<'a>);

impl PanelSource for Hidden<'_> {
    fn pack<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        self.0.pack(simd, k, lines, width, dst);
    }
}

#[test]
fn small_products_have_the_bits_of_panels() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(12);
        for m in LINES.into_iter().filter(|&m| m > 4) {
            for n in LINES.into_iter().filter(|&n| n > 1) {
                let k = [0, 1, 5, 33, 64][random.range(0, 4)];
                let oa = ORDERS[random.range(0, 6)];
                let ob = [Order::Rows, Order::PaddedRows, Order::ReversedRows][random.range(0, 2)];
                let a = Matrix::new(m, k, oa, &mut random);
                let b = Matrix::new(k, n, ob, &mut random);
                let (mut in_place, mut panels) = (Target::new(m, n, 2), Target::new(m, n, 2));
                multiply(&ctx, &a, &b, &mut in_place);
                let problem = Problem {
                    a: Hidden(Strided::rows(a.view())),
                    b: Hidden(Strided::columns(b.view())),
                    out: panels.output(),
                    epilogue: Epilogue::default(),
                };
                // SAFETY: C has these rows and columns.
                unsafe { gemm(&ctx, Shape { m, n, k }, &problem).unwrap() };
                assert!(
                    same_bits(&in_place.data, &panels.data),
                    "{isa:?} {m}x{n}x{k} {oa:?} {ob:?}"
                );
            }
        }
    }
}

/// Where an element lies in C, and what its neighbours are, does not change its bits.
#[test]
fn tails_use_the_arithmetic_of_bodies() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let (m, n, k) = (37, 75, 333);
        let mut random = Random(6);
        let a = random.floats(m * k);
        let row = random.floats(n * k);
        // All rows of A alike, all columns of B alike: all of C must be alike.
        let a: Vec<f32> = (0..m * k).map(|i| a[i % k]).collect();
        let b: Vec<f32> = (0..n * k).map(|i| row[i / n]).collect();
        let shape = Shape { m, n, k };
        let a = Strided::rows(View::new(&a, &[m, k]).unwrap());
        let b = Strided::columns(View::new(&b, &[k, n]).unwrap());
        let c = run_sources(&ctx, shape, a, b);
        assert!(c.iter().all(|v| v.to_bits() == c[0].to_bits()), "{isa:?}");
    }
}

#[test]
fn nan_and_infinity_propagate() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for (m, n, k) in [(9, 37, 20), (1, 37, 20), (37, 1, 20), (3, 5, 20)] {
            for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
                let mut a = vec![1.0f32; m * k];
                let b = vec![1.0f32; n * k];
                a[k - 1] = f32::NAN;
                if m > 1 {
                    a[k + 2] = f32::INFINITY;
                }
                if m > 2 {
                    a[2 * k] = f32::INFINITY;
                    a[2 * k + 1] = f32::NEG_INFINITY;
                }
                let w = View::new(&b, &[n, k]).unwrap();
                let mut c = vec![0.0; m * n];
                let out = ViewMut::new(&mut c, &[m, n]).unwrap();
                linear(
                    &ctx,
                    &View::new(&a, &[m, k]).unwrap(),
                    &w,
                    None,
                    activation,
                    out,
                )
                .unwrap();
                let top = if activation == Activation::Relu6 {
                    6.0
                } else {
                    f32::INFINITY
                };
                for (i, &value) in c.iter().enumerate() {
                    let fits = match i / n {
                        0 | 2 => value.is_nan(),
                        1 => value == top,
                        _ => value == top.min(20.0),
                    };
                    assert!(fits, "{isa:?} {m}x{n} row {}: {value}", i / n);
                }
            }
        }
    }
}
