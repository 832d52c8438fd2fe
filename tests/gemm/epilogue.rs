//! What is done to C before it is stored.

use crate::common::{Random, cases, context, isas};
use crate::matrix::*;
use omma::gemm::*;
use omma::simd::Activation;

/// Every combination of what an epilogue can do, in C of one and of several groups.
#[test]
fn every_epilogue() {
    let activations = [
        Activation::None,
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu { slope: 0.25 },
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Silu,
        Activation::HardSwish,
    ];
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(3);
        for _ in 0..cases(1500) {
            let (m, n) = (random.range(1, 40), random.range(1, 70));
            let k = [0, 3, 40, 300][random.range(0, 3)];
            let a = Matrix::new(m, k, Order::Rows, &mut random);
            let b = Matrix::new(k, n, ORDERS[random.range(0, 2)], &mut random);
            let (per_row, per_column) = (random.floats(m), random.floats(n));
            let lines = |random: &mut Random| match random.range(0, 2) {
                0 => Lines::None,
                1 => Lines::PerRow(&per_row),
                _ => Lines::PerColumn(&per_column),
            };
            let (bias, slope) = (lines(&mut random), lines(&mut random));
            // Rows, and groups of columns, a little apart.
            let group = random.range(1, n + 2);
            let layout = match random.range(0, 1) {
                0 => Layout::rows(n as isize + 2),
                _ => Layout {
                    row_stride: group as isize + 1,
                    group,
                    group_stride: (m * (group + 1)) as isize,
                },
            };
            let address = |r: usize, c: usize| {
                let at = r as isize * layout.row_stride
                    + (c / layout.group) as isize * layout.group_stride;
                at as usize + c % layout.group
            };
            let size = 2 + (0..n).map(|c| address(m - 1, c)).max().unwrap();
            let before = random.floats(size);
            let mut out = before.clone();
            let other = random.floats(m * (n + 5));
            let which = random.range(0, 2);
            let accumulate = which != 2 && random.range(0, 1) == 1;
            let residual = match which {
                0 => None,
                1 => Some(Residual {
                    ptr: other.as_ptr(),
                    layout: Layout::rows(n as isize + 5),
                }),
                _ => Some(Residual {
                    ptr: out.as_ptr(),
                    layout,
                }),
            };
            let activation = activations[random.range(0, activations.len() - 1)];
            let problem = Problem {
                a: Strided::rows(a.view()),
                b: Strided::columns(b.view()),
                out: Output {
                    ptr: out.as_mut_ptr(),
                    layout,
                    accumulate,
                },
                epilogue: Epilogue {
                    bias,
                    residual,
                    slope,
                    activation,
                },
            };
            // SAFETY: C and the residual have these rows and columns.
            unsafe { gemm(&ctx, Shape { m, n, k }, &problem).unwrap() };

            let line = |lines: Lines, r: usize, c: usize| match lines {
                Lines::None => None,
                Lines::PerRow(v) => Some(f64::from(v[r])),
                Lines::PerColumn(v) => Some(f64::from(v[c])),
            };
            let mut written = vec![false; size];
            for r in 0..m {
                for c in 0..n {
                    let at = address(r, c);
                    written[at] = true;
                    let (mut x, magnitude) = reference(&a, &b, r, c);
                    if accumulate || which == 2 {
                        x += f64::from(before[at]);
                    }
                    x += line(bias, r, c).unwrap_or(0.0);
                    if which == 1 {
                        x += f64::from(other[r * (n + 5) + c]);
                    }
                    if let Some(slope) = line(slope, r, c)
                        && x < 0.0
                    {
                        x *= slope;
                    }
                    let expected = activate(activation, x);
                    let error = (f64::from(out[at]) - expected).abs();
                    assert!(
                        error <= 2.0 * tolerance(k, magnitude + 4.0),
                        "{isa:?} {m}x{n}x{k} ({r}, {c}) {bias:?} {slope:?} {activation:?} {layout:?}: {} for {expected}",
                        out[at]
                    );
                }
            }
            for (i, written) in written.into_iter().enumerate() {
                assert!(
                    written || out[i] == before[i],
                    "element {i} outside of C is written"
                );
            }
        }
    }
}
