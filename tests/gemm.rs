//! The matrix engine, matmul and linear against a reference in float64, on
//! every tier.

mod common;

use common::{Random, cases, context, isas};
use omma::gemm::*;
use omma::nn::{Linear, linear, matmul};
use omma::runtime::Context;
use omma::simd::{Activation, Isa, MAX_LANES, Portable, Simd, Tier};
use omma::tensor::{View, ViewMut};
use std::ops::Range;

/// A matrix in memory in some order, with room around it.
struct Matrix {
    data: Vec<f32>,
    offset: usize,
    shape: [usize; 2],
    strides: [isize; 2],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Rows,
    Columns,
    PaddedRows,
    ReversedRows,
    ReversedColumns,
    Spread,
    Repeated,
}

const ORDERS: [Order; 7] = [
    Order::Rows,
    Order::Columns,
    Order::PaddedRows,
    Order::ReversedRows,
    Order::ReversedColumns,
    Order::Spread,
    Order::Repeated,
];

impl Matrix {
    fn new(rows: usize, columns: usize, order: Order, random: &mut Random) -> Matrix {
        let (r, c) = (rows as isize, columns as isize);
        let strides = match order {
            Order::Rows => [c, 1],
            Order::Columns => [1, r],
            Order::PaddedRows => [c + 3, 1],
            Order::ReversedRows => [-(c + 1), 1],
            Order::ReversedColumns => [c, -1],
            Order::Spread => [3 * c + 1, 3],
            Order::Repeated => [0, 1],
        };
        let span = |i: usize, n: isize| strides[i] * (n - 1).max(0);
        let below = span(0, r).min(0) + span(1, c).min(0);
        let above = span(0, r).max(0) + span(1, c).max(0);
        Matrix {
            data: random.floats((above - below) as usize + 1),
            offset: -below as usize,
            shape: [rows, columns],
            strides,
        }
    }
    fn view(&self) -> View<'_, f32> {
        View::strided(&self.data, self.offset, &self.shape, &self.strides).unwrap()
    }
    fn at(&self, r: usize, c: usize) -> f32 {
        let at = self.strides[0] * r as isize + self.strides[1] * c as isize;
        self.data[(self.offset as isize + at) as usize]
    }
}

/// The sum and the sum of magnitudes, in float64.
fn reference(a: &Matrix, b: &Matrix, r: usize, c: usize) -> (f64, f64) {
    (0..a.shape[1])
        .map(|p| f64::from(a.at(r, p)) * f64::from(b.at(p, c)))
        .fold((0.0, 0.0), |(s, t), v| (s + v, t + v.abs()))
}

/// What the rounding of a sum of `k` products may cost.
fn tolerance(k: usize, magnitude: f64) -> f64 {
    (k as f64 + 4.0).sqrt().max(4.0) * 4.0 * f64::from(f32::EPSILON) * magnitude + 1e-30
}

/// C between canaries: rows `stride` apart.
struct Target {
    data: Vec<f32>,
    rows: usize,
    columns: usize,
    stride: usize,
}

const CANARY: f32 = 12345.0;

impl Target {
    fn new(rows: usize, columns: usize, gap: usize) -> Target {
        let stride = columns + gap;
        Target {
            data: vec![CANARY; rows * stride + gap + 1],
            rows,
            columns,
            stride,
        }
    }
    fn output(&mut self) -> Output {
        Output {
            ptr: self.data.as_mut_ptr(),
            layout: Layout::rows(self.stride as isize),
            accumulate: false,
        }
    }
    fn at(&self, r: usize, c: usize) -> f32 {
        self.data[r * self.stride + c]
    }
    fn check_canaries(&self) {
        for (i, &v) in self.data.iter().enumerate() {
            let inside = i / self.stride < self.rows && i % self.stride < self.columns;
            assert!(inside || v == CANARY, "element {i} outside of C is written");
        }
    }
}

fn multiply(ctx: &Context, a: &Matrix, b: &Matrix, c: &mut Target) {
    let shape = Shape {
        m: a.shape[0],
        n: b.shape[1],
        k: a.shape[1],
    };
    let problem = Problem {
        a: Strided::rows(a.view()),
        b: Strided::columns(b.view()),
        out: c.output(),
        epilogue: Epilogue::default(),
    };
    // SAFETY: C has these rows and columns.
    unsafe { gemm(ctx, shape, &problem).unwrap() };
}

/// Extents at which something changes on some tier.
const LINES: [usize; 20] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 29, 31, 33, 65,
];
const DEPTHS: [usize; 12] = [0, 1, 2, 3, 7, 8, 9, 17, 255, 256, 257, 521];

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

fn activate(kind: Activation, x: f64) -> f64 {
    let relu6 = |x: f64| x.clamp(0.0, 6.0);
    match kind {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => relu6(x),
        Activation::LeakyRelu { slope } if x < 0.0 => f64::from(slope) * x,
        Activation::LeakyRelu { .. } => x,
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::HardSwish => x * relu6(x + 3.0) / 6.0,
        other => panic!("{other:?} has no reference here"),
    }
}

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

fn run_sources<A: PanelSource, B: PanelSource>(
    ctx: &Context,
    shape: Shape,
    a: A,
    b: B,
) -> Vec<f32> {
    let mut c = vec![f32::NAN; shape.m * shape.n];
    let problem = Problem {
        a,
        b,
        out: Output {
            ptr: c.as_mut_ptr(),
            layout: Layout::rows(shape.n as isize),
            accumulate: false,
        },
        epilogue: Epilogue::default(),
    };
    // SAFETY: C is compact.
    unsafe { gemm(ctx, shape, &problem).unwrap() };
    c
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
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
        contexts.truncate(if common::quick() { 2 } else { 3 });
        for (i, &(mut m, mut n, k)) in shapes.iter().enumerate() {
            if common::quick() && k >= 300 {
                (m, n) = (m.div_ceil(2), n.div_ceil(2));
            }
            if m * n * k > 100_000_000 && (common::quick() || isa.tier() == Tier::Portable) {
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

fn plain_matmul(a: &[f32], b: &[f32], m: usize, n: usize, k: usize) -> Vec<f64> {
    let product = |i: usize, p: usize| f64::from(a[i / n * k + p]) * f64::from(b[p * n + i % n]);
    (0..m * n)
        .map(|i| (0..k).map(|p| product(i, p)).sum())
        .collect()
}

fn close(got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (&g, &e) in got.iter().zip(expected) {
        assert!(
            (f64::from(g) - e).abs() <= 1e-5 * (1.0 + e.abs()),
            "{g} for {e}"
        );
    }
}

#[test]
fn matmul_broadcasts_as_numpy() {
    // Batches of a and of b, and what they give.
    let batches: [(&[usize], &[usize], &[usize]); 9] = [
        (&[], &[], &[]),
        (&[3], &[], &[3]),
        (&[], &[3], &[3]),
        (&[3], &[3], &[3]),
        (&[2, 1], &[3], &[2, 3]),
        (&[2, 3], &[3], &[2, 3]),
        (&[1, 3], &[2, 1], &[2, 3]),
        (&[2, 3], &[1, 1], &[2, 3]),
        (&[0], &[1], &[0]),
    ];
    for isa in isas() {
        let ctx = context(isa, 2);
        let mut random = Random(7);
        for (ba, bb, bc) in batches {
            for (m, n, k) in [(5, 19, 12), (1, 9, 30), (20, 1, 8), (6, 4, 0), (0, 3, 3)] {
                let dims = |batch: &[usize], last: [usize; 2]| [batch, &last].concat();
                let (sa, sb, sc) = (dims(ba, [m, k]), dims(bb, [k, n]), dims(bc, [m, n]));
                let count = |shape: &[usize]| shape.iter().product::<usize>();
                let (a, b) = (random.floats(count(&sa)), random.floats(count(&sb)));
                let (va, vb) = (View::new(&a, &sa).unwrap(), View::new(&b, &sb).unwrap());

                let mut expected = vec![0.0; count(&sc)];
                for (i, part) in expected.chunks_mut((m * n).max(1)).enumerate() {
                    // The batch index, digit by digit from the right.
                    let pick = |batch: &[usize]| {
                        let (mut rest, mut index, mut step) = (i, 0, 1);
                        for (axis, &dim) in bc.iter().enumerate().rev() {
                            let digit = rest % dim;
                            rest /= dim;
                            if let Some(own) = (axis + batch.len()).checked_sub(bc.len()) {
                                index += if batch[own] == 1 { 0 } else { digit } * step;
                                step *= batch[own];
                            }
                        }
                        index
                    };
                    let (ia, ib) = (pick(ba), pick(bb));
                    let one = plain_matmul(
                        &a[ia * m * k..][..m * k],
                        &b[ib * k * n..][..k * n],
                        m,
                        n,
                        k,
                    );
                    part.copy_from_slice(&one);
                }

                let mut c = vec![f32::NAN; count(&sc)];
                matmul(&ctx, &va, &vb, ViewMut::new(&mut c, &sc).unwrap()).unwrap();
                close(&c, &expected);

                // C with its last two axes exchanged in memory, and with gaps between elements.
                let rank = sc.len();
                let mut turned = dims(bc, [n, m]);
                let mut axes: Vec<usize> = (0..rank).collect();
                axes.swap(rank - 1, rank - 2);
                let mut c = vec![f32::NAN; count(&sc)];
                let out = ViewMut::new(&mut c, &turned).unwrap().permute(&axes);
                matmul(&ctx, &va, &vb, out).unwrap();
                let mut straight = vec![0.0; c.len()];
                if !c.is_empty() {
                    for (i, v) in straight.iter_mut().enumerate() {
                        let (batch, r, j) = (i / (m * n), i / n % m, i % n);
                        *v = c[batch * m * n + j * m + r];
                    }
                }
                close(&straight, &expected);
                turned = sc.clone();
                turned.push(2);
                let mut c = vec![CANARY; 2 * count(&sc)];
                let out = ViewMut::new(&mut c, &turned).unwrap().index(rank, 0);
                matmul(&ctx, &va, &vb, out).unwrap();
                let evens: Vec<f32> = c.iter().copied().step_by(2).collect();
                close(&evens, &expected);
                assert!(c.iter().skip(1).step_by(2).all(|&v| v == CANARY));
            }
        }
    }
}

#[test]
fn linear_and_its_plan() {
    for isa in isas() {
        let contexts = [1, 2, 7].map(|threads| context(isa, threads));
        let mut random = Random(8);
        for (lead, inputs, outputs) in [
            (vec![], 33, 17),
            (vec![1], 300, 65),
            (vec![7], 20, 40),
            (vec![3, 5], 64, 31),
            (vec![2, 2, if common::quick() { 9 } else { 50 }], 256, 300),
            (vec![0], 4, 4),
            (vec![4], 0, 9),
            (vec![4], 5, 0),
        ] {
            let rows: usize = lead.iter().product();
            let (x, w) = (
                random.floats(rows * inputs),
                random.floats(outputs * inputs),
            );
            let bias = random.floats(outputs);
            let (sx, sy) = (
                [&lead[..], &[inputs]].concat(),
                [&lead[..], &[outputs]].concat(),
            );
            let (vx, vw) = (
                View::new(&x, &sx).unwrap(),
                View::new(&w, &[outputs, inputs]).unwrap(),
            );
            let vb = View::new(&bias, &[outputs]).unwrap();
            let turned: Vec<f32> = (0..inputs * outputs)
                .map(|i| w[i % outputs * inputs + i / outputs])
                .collect();
            for (bias, activation) in [
                (None, Activation::None),
                (Some(&vb), Activation::Relu),
                (Some(&vb), Activation::Tanh),
            ] {
                let mut expected = plain_matmul(&x, &turned, rows, outputs, inputs);
                for (i, v) in expected.iter_mut().enumerate() {
                    let b = bias.map_or(0.0, |b| f64::from(b.get(&[i % outputs])));
                    *v = activate(activation, *v + b);
                }
                let plan = Linear::new(&contexts[0], &vw, bias, activation).unwrap();
                assert!(plan.describe().contains(isa.tier().name()));
                let results = contexts.each_ref().map(|ctx| {
                    let mut direct = vec![f32::NAN; rows * outputs];
                    let out = ViewMut::new(&mut direct, &sy).unwrap();
                    linear(ctx, &vx, &vw, bias, activation, out).unwrap();
                    close(&direct, &expected);
                    let mut planned = vec![f32::NAN; rows * outputs];
                    plan.run(ctx, &vx, None, ViewMut::new(&mut planned, &sy).unwrap())
                        .unwrap();
                    close(&planned, &expected);
                    [direct, planned]
                });
                for other in &results[1..] {
                    assert!(same_bits(&results[0][0], &other[0]));
                    assert!(same_bits(&results[0][1], &other[1]));
                }
            }
        }
    }
}

/// Features that are not contiguous, rows that cannot be merged, and gaps in the output.
#[test]
fn linear_takes_any_strides() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(9);
        let x = random.floats(6 * 5 * 4 * 2);
        let w = random.floats(9 * 4);
        let vw = View::new(&w, &[9, 4]).unwrap();
        let whole = View::new(&x, &[6, 5, 4, 2]).unwrap();
        // (6, 5, 4) with gaps, then with the first two axes exchanged and cut.
        let gaps = whole.index(3, 1);
        let cut = gaps.permute(&[1, 0, 2]).narrow(1, 1, 3);
        for view in [gaps, cut] {
            let shape = [view.dim(0), view.dim(1), 9];
            let mut expected = vec![];
            for i in 0..shape[0] * shape[1] {
                for o in 0..9 {
                    let at = [i / shape[1], i % shape[1]];
                    let term =
                        |p| f64::from(view.get(&[at[0], at[1], p])) * f64::from(vw.get(&[o, p]));
                    expected.push((0..4).map(term).sum::<f64>());
                }
            }
            let mut y = vec![CANARY; expected.len() * 2];
            let out = ViewMut::new(&mut y, &[shape[0], shape[1], 9, 2])
                .unwrap()
                .index(3, 0);
            linear(&ctx, &view, &vw, None, Activation::None, out).unwrap();
            close(&y.iter().copied().step_by(2).collect::<Vec<_>>(), &expected);
            assert!(y.iter().skip(1).step_by(2).all(|&v| v == CANARY));
        }
    }
}

#[test]
fn errors_name_both_sides() {
    let ctx = Context::serial().unwrap();
    let data = [0.0f32; 24];
    let view = |shape: &[usize]| View::new(&data[..shape.iter().product()], shape).unwrap();
    let fails = |a: &[usize], b: &[usize], c: &[usize], words: &str| {
        let mut out = vec![CANARY; c.iter().product()];
        let target = ViewMut::new(&mut out, c).unwrap();
        let error = matmul(ctx, &view(a), &view(b), target).unwrap_err();
        assert_eq!(error.message(), words);
        assert!(out.iter().all(|&v| v == CANARY));
    };
    fails(
        &[2, 3],
        &[4, 2],
        &[2, 2],
        "matmul: a has 3 columns, b has 4 rows",
    );
    fails(
        &[3],
        &[3, 2],
        &[2],
        "matmul: a has 1 dimensions, expected 2 or more",
    );
    fails(
        &[2, 3],
        &[3, 2],
        &[2, 3],
        "matmul: output has shape [2, 3], expected [2, 2]",
    );
    fails(
        &[2, 2, 3],
        &[3, 3, 2],
        &[2, 2, 2],
        "matmul: a has shape [2, 2, 3], b has [3, 3, 2]: 2 and 3 batches do not broadcast",
    );

    let fails = |x: &[usize], w: &[usize], b: &[usize], y: &[usize], words: &str| {
        let mut out = vec![CANARY; y.iter().product()];
        let target = ViewMut::new(&mut out, y).unwrap();
        let bias = view(b);
        let error = linear(
            ctx,
            &view(x),
            &view(w),
            Some(&bias),
            Activation::None,
            target,
        );
        assert_eq!(error.unwrap_err().message(), words);
        assert!(out.iter().all(|&v| v == CANARY));
    };
    fails(
        &[2, 3],
        &[4, 5],
        &[4],
        &[2, 4],
        "linear: input has 3 features, weight has 5",
    );
    fails(
        &[2, 3],
        &[4, 3],
        &[3],
        &[2, 4],
        "linear: bias has shape [3], expected [4]",
    );
    fails(
        &[2, 3],
        &[4, 3],
        &[4],
        &[2, 3],
        "linear: output has shape [2, 3], expected [2, 4]",
    );
    fails(
        &[2, 3],
        &[12],
        &[4],
        &[2, 4],
        "linear: weight has 1 dimensions, expected 2 (out, in)",
    );

    // A square whose rows are also the input.
    let mut square = vec![1.0f32; 9];
    let input = View::new(&data[..9], &[3, 3]).unwrap();
    // SAFETY: never written: the overlap is refused.
    let same = unsafe { View::from_raw(*ViewMut::new(&mut square, &[3, 3]).unwrap()) };
    let out = ViewMut::new(&mut square, &[3, 3]).unwrap();
    let error = matmul(ctx, &input, &same, out).unwrap_err();
    assert_eq!(error.message(), "matmul: output overlaps b in memory");
}

/// A dimension that does not fit the address space is refused, not computed with.
#[test]
fn huge_dimensions() {
    let ctx = Context::serial().unwrap();
    let one = [1.0f32];
    // Broadcast by strides of zero: 2^40 columns of k for nothing, since there are no rows.
    let wide = View::strided(&one, 0, &[0, 1 << 40], &[0, 0]).unwrap();
    let tall = View::strided(&one, 0, &[1 << 40, 3], &[0, 0]).unwrap();
    matmul(ctx, &wide, &tall, ViewMut::new(&mut [], &[0, 3]).unwrap()).unwrap();
    let source = Strided::rows(tall);
    let error = PackedMatrix::new(ctx, ctx.isa(), Side::A, 1 << 40, 1 << 40, source);
    assert!(error.is_err());
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
