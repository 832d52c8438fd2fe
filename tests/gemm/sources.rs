//! Where panels come from, and how work is cut: the bits stay the same.

use crate::common::{Random, context, isas};
use crate::matrix::*;
use omma::gemm::*;
use omma::simd::{Isa, MAX_LANES, Portable, Simd, Tier};
use std::ops::Range;

/// A source that computes its elements, as a convolution does.
#[derive(Clone, Copy)]
struct Computed {
    lines: usize,
    k: usize,
    seed: u64,
}

impl Computed {
    fn value(&self, line: usize, p: usize) -> f32 {
        Random(self.seed ^ ((line * 100_003 + p) as u64)).float()
    }
}

impl PanelSource for Computed {
    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        _simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        assert!(k.start < k.end && k.end <= self.k && lines.end <= self.lines);
        assert!(!lines.is_empty() && lines.len() <= width && lines.start.is_multiple_of(width));
        assert_eq!(dst.len(), width * k.len());
        for (p, step) in k.zip(dst.chunks_exact_mut(width)) {
            for (i, value) in step.iter_mut().enumerate() {
                *value = match i < lines.len() {
                    true => self.value(lines.start + i, p),
                    false => 0.0,
                };
            }
        }
    }
}

/// Shapes that are cut in every way there is: by columns, by rows, in tiles, in rounds over k and over
/// rows and columns. Every way of packing and every number of threads gives the same bits.
#[test]
fn one_result_however_it_is_computed() {
    let shapes: [(usize, usize, usize); 9] = [
        (64, 2100, 300),
        (2100, 64, 300),
        (300, 310, 700),
        (520, 510, 2300),
        (500, 8100, 257),
        (7, 4000, 100),
        (4000, 7, 100),
        (33, 50, 2000),
        (100, 100, 3),
    ];
    for isa in isas() {
        let mut contexts = Vec::from([1, 2, 7].map(|threads| context(isa, threads)));
        contexts.truncate(if crate::common::quick() { 2 } else { 3 });
        for (i, &(mut m, mut n, k)) in shapes.iter().enumerate() {
            if crate::common::quick() && k >= 300 {
                (m, n) = (m.div_ceil(2), n.div_ceil(2));
            }
            if m * n * k > 100_000_000 && (crate::common::quick() || isa.tier() == Tier::Portable) {
                continue;
            }
            let shape = Shape { m, n, k };
            let a = Computed {
                lines: m,
                k,
                seed: i as u64,
            };
            let b = Computed {
                lines: n,
                k,
                seed: !(i as u64),
            };
            let ctx = &contexts[0];
            let packed_a = PackedMatrix::new(ctx, isa, Side::A, m, k, a).unwrap();
            let packed_b = PackedMatrix::new(ctx, isa, Side::B, n, k, b).unwrap();
            let result = run_sources(ctx, shape, a, b);
            let mut random = Random(4);
            for _ in 0..200 {
                let (r, c) = (random.range(0, m - 1), random.range(0, n - 1));
                let products = (0..k).map(|p| f64::from(a.value(r, p)) * f64::from(b.value(c, p)));
                let (sum, magnitude) =
                    products.fold((0.0, 0.0), |(s, t), v| (s + v, t + f64::abs(v)));
                let error = (f64::from(result[r * n + c]) - sum).abs();
                assert!(
                    error <= tolerance(k, magnitude),
                    "{isa:?} {shape:?} ({r}, {c})"
                );
            }
            for ctx in &contexts {
                let threads = ctx.num_threads();
                let all = [
                    run_sources(ctx, shape, a, b),
                    run_sources(ctx, shape, &packed_a, b),
                    run_sources(ctx, shape, a, &packed_b),
                    run_sources(ctx, shape, &packed_a, &packed_b),
                ];
                for (how, other) in all.iter().enumerate() {
                    assert!(
                        same_bits(&result, other),
                        "{isa:?} {shape:?}, packing {how}, {threads} threads"
                    );
                }
            }
            let mut c = vec![0.0; m * n];
            let problem = Problem {
                a,
                b: &packed_b,
                out: Output {
                    ptr: c.as_mut_ptr(),
                    layout: Layout::rows(n as isize),
                    accumulate: false,
                },
                epilogue: Epilogue::default(),
            };
            let mut scratch = vec![0.0; task_scratch(isa, shape)];
            // SAFETY: C is compact.
            unsafe { gemm_in_task(isa, shape, &problem, &mut scratch) };
            assert!(same_bits(&result, &c), "{isa:?} {shape:?} in a task");
        }
    }
}

/// A vector times a large matrix is cut, too.
#[test]
fn vectors_have_the_same_bits_on_any_number_of_threads() {
    for isa in isas() {
        let mut random = Random(5);
        for (m, n, k) in [
            (1, 3000, 700),
            (4, 900, 1001),
            (2500, 1, 600),
            (2, 5000, 64),
        ] {
            for order in [Order::Rows, Order::Columns] {
                let a = Matrix::new(m, k, Order::Rows, &mut random);
                let b = Matrix::new(k, n, order, &mut random);
                let results = [1, 2, 7].map(|threads| {
                    let mut c = Target::new(m, n, 0);
                    multiply(&context(isa, threads), &a, &b, &mut c);
                    c.data
                });
                assert!(same_bits(&results[0], &results[1]) && same_bits(&results[0], &results[2]));
                let (sum, magnitude) = reference(&a, &b, m - 1, n - 1);
                let error = (f64::from(results[0][m * n - 1]) - sum).abs();
                assert!(error <= tolerance(k, magnitude));
            }
        }
    }
}

/// A packed matrix is a source like any other, also for panels it does not have as they are.
#[test]
fn packed_panels_can_be_read_back() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for (lines, k) in [(1, 1), (29, 300), (64, 257)] {
            let source = Computed { lines, k, seed: 9 };
            for side in [Side::A, Side::B] {
                let packed = PackedMatrix::new(&ctx, isa, side, lines, k, source).unwrap();
                assert_eq!(
                    (packed.lines(), packed.k(), packed.side()),
                    (lines, k, side)
                );
                assert!(packed.bytes() >= lines * k * 4);
                let first = lines / 7 * 7 - usize::from(lines % 7 == 0) * 7;
                let mut panel = vec![f32::NAN; 7 * k];
                (&packed).pack(Portable::new(), 0..k, first..lines, 7, &mut panel);
                for (p, step) in panel.chunks(7).enumerate() {
                    for (i, &value) in step.iter().enumerate() {
                        let expected = match first + i < lines {
                            true => source.value(first + i, p),
                            false => 0.0,
                        };
                        assert_eq!(value, expected);
                    }
                }
            }
        }
    }
}

#[test]
fn squares_are_transposed() {
    fn check<S: Simd>(simd: S) {
        let n = S::LANES;
        for stride in [n, n + 3, n - 1] {
            let src: Vec<f32> = (0..n * 20).map(|v| v as f32).collect();
            let rows: [*const f32; MAX_LANES] =
                std::array::from_fn(|i| src[i % n * 20 + i % 3..].as_ptr());
            let mut dst = vec![-1.0; (n - 1) * stride + n];
            // SAFETY: rows of `n` floats in `src`; `dst` has room.
            unsafe { simd.transpose_ptr(&rows, dst.as_mut_ptr(), stride) };
            let mut expected = vec![-1.0; dst.len()];
            for j in 0..n {
                for i in 0..n {
                    expected[j * stride + i] = src[i * 20 + i % 3 + j];
                }
            }
            assert_eq!(dst, expected, "{}", S::TIER.name());
        }
    }
    for isa in isas() {
        match isa {
            Isa::Portable(simd) => check(simd),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(simd) => check(simd),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(simd) => check(simd),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(simd) => check(simd),
        }
    }
}
