//! Matrices in memory in some order, what their product is, and C between canaries.

use crate::common::Random;
use omma::gemm::*;
use omma::runtime::Context;
use omma::simd::Activation;
use omma::tensor::View;

/// A matrix in memory in some order, with room around it.
pub struct Matrix {
    pub data: Vec<f32>,
    pub offset: usize,
    pub shape: [usize; 2],
    pub strides: [isize; 2],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    Rows,
    Columns,
    PaddedRows,
    ReversedRows,
    ReversedColumns,
    Spread,
    Repeated,
}

pub const ORDERS: [Order; 7] = [
    Order::Rows,
    Order::Columns,
    Order::PaddedRows,
    Order::ReversedRows,
    Order::ReversedColumns,
    Order::Spread,
    Order::Repeated,
];

impl Matrix {
    pub fn new(rows: usize, columns: usize, order: Order, random: &mut Random) -> Matrix {
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
    pub fn view(&self) -> View<'_, f32> {
        View::strided(&self.data, self.offset, &self.shape, &self.strides).unwrap()
    }
    pub fn at(&self, r: usize, c: usize) -> f32 {
        let at = self.strides[0] * r as isize + self.strides[1] * c as isize;
        self.data[(self.offset as isize + at) as usize]
    }
}

/// The sum and the sum of magnitudes, in float64.
pub fn reference(a: &Matrix, b: &Matrix, r: usize, c: usize) -> (f64, f64) {
    (0..a.shape[1])
        .map(|p| f64::from(a.at(r, p)) * f64::from(b.at(p, c)))
        .fold((0.0, 0.0), |(s, t), v| (s + v, t + v.abs()))
}

/// What the rounding of a sum of `k` products may cost.
pub fn tolerance(k: usize, magnitude: f64) -> f64 {
    (k as f64 + 4.0).sqrt().max(4.0) * 4.0 * f64::from(f32::EPSILON) * magnitude + 1e-30
}

/// C between canaries: rows `stride` apart.
pub struct Target {
    pub data: Vec<f32>,
    pub rows: usize,
    pub columns: usize,
    pub stride: usize,
}

pub const CANARY: f32 = 12345.0;

impl Target {
    pub fn new(rows: usize, columns: usize, gap: usize) -> Target {
        let stride = columns + gap;
        Target {
            data: vec![CANARY; rows * stride + gap + 1],
            rows,
            columns,
            stride,
        }
    }
    pub fn output(&mut self) -> Output {
        Output {
            ptr: self.data.as_mut_ptr(),
            layout: Layout::rows(self.stride as isize),
            accumulate: false,
        }
    }
    pub fn at(&self, r: usize, c: usize) -> f32 {
        self.data[r * self.stride + c]
    }
    pub fn check_canaries(&self) {
        for (i, &v) in self.data.iter().enumerate() {
            let inside = i / self.stride < self.rows && i % self.stride < self.columns;
            assert!(inside || v == CANARY, "element {i} outside of C is written");
        }
    }
}

pub fn multiply(ctx: &Context, a: &Matrix, b: &Matrix, c: &mut Target) {
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
pub const LINES: [usize; 20] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 29, 31, 33, 65,
];
pub const DEPTHS: [usize; 12] = [0, 1, 2, 3, 7, 8, 9, 17, 255, 256, 257, 521];

pub fn run_sources<A: PanelSource, B: PanelSource>(
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

pub fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

pub fn activate(kind: Activation, x: f64) -> f64 {
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
