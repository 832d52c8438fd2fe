//! The three transforms of Winograd's convolution in one dimension.
//!
//! `M` outputs of a filter with three taps are `M + 4` products fewer than `3 M`: all
//! polynomials involved are evaluated at `M + 1` points and at infinity, multiplied
//! there, and interpolated back (Winograd 1980; Lavin and Gray 2016 for the nested,
//! two-dimensional form). The points are zero and pairs of opposite numbers, so that
//! the even and the odd part of each polynomial are computed once for two points.
//!
//! Which pairs is a matter of rounding alone. They are chosen near one another
//! in magnitude, and as fractions of powers of two, for which every constant
//! of the input transform is exact.

use crate::simd::Simd;
use std::mem::MaybeUninit;

/// The most values of a transformed line.
pub(super) const MAX_T: usize = 6;

/// `M` outputs from `T = M + 2` inputs and three taps. Of each array the first `T`
/// (or `M`) elements are used.
pub(super) trait Transform {
    const M: usize;
    const T: usize;

    fn input<S: Simd>(simd: S, d: [S::F32; MAX_T]) -> [S::F32; MAX_T];
    fn weight<S: Simd>(simd: S, g: [S::F32; 3]) -> [S::F32; MAX_T];
    fn output<S: Simd>(simd: S, m: [S::F32; MAX_T]) -> [S::F32; MAX_T];
}

/// The values between the two passes of a two-dimensional transform: written by columns,
/// read by rows.
pub(super) struct Square<S: Simd>([[MaybeUninit<S::F32>; MAX_T]; MAX_T]);

impl<S: Simd> Square<S> {
    #[inline(always)]
    pub(super) fn new() -> Square<S> {
        Square([const { [const { MaybeUninit::uninit() }; MAX_T] }; MAX_T])
    }

    #[inline(always)]
    pub(super) fn set_column<W: Transform>(&mut self, x: usize, column: [S::F32; MAX_T]) {
        for y in 0..W::T {
            self.0[y][x].write(column[y]);
        }
    }

    /// Row `y`, of which all `T` columns have been set.
    #[inline(always)]
    pub(super) fn row<W: Transform>(&self, simd: S, y: usize) -> [S::F32; MAX_T] {
        let mut row = [simd.zero(); MAX_T];
        for x in 0..W::T {
            // SAFETY: both callers set the first T rows of the first T columns.
            row[x] = unsafe { self.0[y][x].assume_init() };
        }
        row
    }
}

/// F(4, 3): points 0, ±`A4`, ±`B4`, infinity. 4 times fewer.
pub(super) struct F4;

const A4: f32 = 0.625;
const B4: f32 = 1.5;

impl Transform for F4 {
    const M: usize = 4;
    const T: usize = 6;

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::F32; MAX_T]) -> [S::F32; MAX_T] {
        const AA: f32 = A4 * A4;
        const BB: f32 = B4 * B4;
        let (aa, bb) = (simd.splat(AA), simd.splat(BB));
        let (sum, product) = (simd.splat(AA + BB), simd.splat(AA * BB));
        let (a, b) = (simd.splat(A4), simd.splat(B4));
        // x (x ± a)(x² - b²), evaluated as an even and an odd part; likewise for b.
        let (even_a, odd_a) = (simd.neg_fma(bb, d[2], d[4]), simd.neg_fma(bb, d[1], d[3]));
        let (even_b, odd_b) = (simd.neg_fma(aa, d[2], d[4]), simd.neg_fma(aa, d[1], d[3]));
        let mut out = d;
        out[0] = simd.fma(product, d[0], simd.neg_fma(sum, d[2], d[4]));
        out[1] = simd.fma(a, odd_a, even_a);
        out[2] = simd.neg_fma(a, odd_a, even_a);
        out[3] = simd.fma(b, odd_b, even_b);
        out[4] = simd.neg_fma(b, odd_b, even_b);
        out[5] = simd.fma(product, d[1], simd.neg_fma(sum, d[3], d[5]));
        out
    }

    #[inline(always)]
    fn weight<S: Simd>(simd: S, g: [S::F32; 3]) -> [S::F32; MAX_T] {
        const AA: f64 = A4 as f64 * A4 as f64;
        const BB: f64 = B4 as f64 * B4 as f64;
        let mut out = [g[2]; MAX_T];
        out[0] = simd.mul(simd.splat((1.0 / (AA * BB)) as f32), g[0]);
        (out[1], out[2]) = at_pair(simd, g, A4, 1.0 / (2.0 * AA * (AA - BB)));
        (out[3], out[4]) = at_pair(simd, g, B4, 1.0 / (2.0 * BB * (BB - AA)));
        out[5] = g[2];
        out
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::F32; MAX_T]) -> [S::F32; MAX_T] {
        let power = |point: f32, n: i32| simd.splat(point.powi(n));
        let (even_a, odd_a) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
        let (even_b, odd_b) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
        let mut out = m;
        out[0] = simd.add(m[0], simd.add(even_a, even_b));
        out[1] = simd.fma(power(A4, 1), odd_a, simd.mul(power(B4, 1), odd_b));
        out[2] = simd.fma(power(A4, 2), even_a, simd.mul(power(B4, 2), even_b));
        out[3] = simd.fma(power(A4, 3), odd_a, simd.fma(power(B4, 3), odd_b, m[5]));
        out
    }
}

/// The polynomial with coefficients `g` at `point` and at `-point`, times `scale`.
#[inline(always)]
fn at_pair<S: Simd>(simd: S, g: [S::F32; 3], point: f32, scale: f64) -> (S::F32, S::F32) {
    let p = point as f64;
    let constant = |factor: f64| simd.splat((scale * factor) as f32);
    let even = simd.fma(constant(p * p), g[2], simd.mul(constant(1.0), g[0]));
    let odd = simd.mul(constant(p), g[1]);
    (simd.add(even, odd), simd.sub(even, odd))
}
