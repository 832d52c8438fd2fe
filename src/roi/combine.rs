//! The kernel that averaging, the maximum of corners and max pooling share: bins
//! from rows and columns of pixels.
//!
//! Each of them takes a bin as `join over rows of (weight * join over columns of (weight *
//! pixel))`. Columns are joined first, for every row that the RoI touches, which gives a small
//! array (rows, columns of bins); its rows are joined to bins. A pixel is thus
//! read once for the bins of its row however many of those share it: with seven bins of
//! three by three pixels a bin costs six to nine steps of a vector in place of the sixteen that two
//! by two samples of four corners take.
//!
//! Both passes are one loop: `dst[j] = join over n of weight[n] * src[line(j) + index[n]]`, with offsets and weights of up to
//! four taps in registers while `j` runs.

use crate::simd::Simd;

/// What becomes of two terms.
pub(super) trait Rule: Copy + Send + Sync + 'static {
    /// A first term.
    fn first<S: Simd>(self, simd: S, weight: S::F32, v: S::F32) -> S::F32;
    /// One more.
    fn join<S: Simd>(self, simd: S, acc: S::F32, weight: S::F32, v: S::F32) -> S::F32;
}

/// Products are summed.
#[derive(Clone, Copy)]
pub(super) struct Sum;

impl Rule for Sum {
    #[inline(always)]
    fn first<S: Simd>(self, simd: S, weight: S::F32, v: S::F32) -> S::F32 {
        simd.mul(weight, v)
    }
    #[inline(always)]
    fn join<S: Simd>(self, simd: S, acc: S::F32, weight: S::F32, v: S::F32) -> S::F32 {
        simd.fma(weight, v, acc)
    }
}

/// The largest product; NaN if one is. Weights are not negative, so that rows may wait for
/// the largest of their columns.
#[derive(Clone, Copy)]
pub(super) struct LargestCorner;

impl Rule for LargestCorner {
    #[inline(always)]
    fn first<S: Simd>(self, simd: S, weight: S::F32, v: S::F32) -> S::F32 {
        simd.mul(weight, v)
    }
    #[inline(always)]
    fn join<S: Simd>(self, simd: S, acc: S::F32, weight: S::F32, v: S::F32) -> S::F32 {
        larger(simd, acc, simd.mul(weight, v))
    }
}

/// The larger; NaN if either is. (`max` gives its second operand when one is NaN.)
#[inline(always)]
pub(super) fn larger<S: Simd>(simd: S, a: S::F32, b: S::F32) -> S::F32 {
    simd.select(simd.eq(b, b), simd.max(b, a), b)
}

/// The largest element that is larger than the least float; NaN is not. Weights do not count.
#[derive(Clone, Copy)]
pub(super) struct Largest;

impl Rule for Largest {
    #[inline(always)]
    fn first<S: Simd>(self, simd: S, _: S::F32, v: S::F32) -> S::F32 {
        simd.max(v, simd.splat(f32::MIN))
    }
    #[inline(always)]
    fn join<S: Simd>(self, simd: S, acc: S::F32, _: S::F32, v: S::F32) -> S::F32 {
        simd.max(v, acc)
    }
}

/// Where the results of a pass begin: `count` of them, one for each line.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a> {
    /// Line `j` is `rows[j]` or, without rows, `j`.
    pub(super) rows: Option<&'a [i32]>,
    pub(super) count: usize,
    /// Elements from line to line.
    pub(super) step: isize,
}

/// A join of taps for every line: `dst[j * dst_step]` of `src[line(j) * step + index[n] * tap_step]`, a
/// block of `V` vectors each.
///
/// # Safety
/// Every tap of every line is readable, every destination writable, `V` vectors each.
#[inline(always)]
pub(super) unsafe fn pass<S: Simd, R: Rule, const V: usize>(
    simd: S,
    rule: R,
    src: *const f32,
    lines: Lines<'_>,
    (index, weight, tap_step): (&[i32], &[f32], isize),
    (dst, dst_step): (*mut f32, isize),
) {
    // SAFETY: the caller's promise.
    unsafe {
        match index.len() {
            1 => few::<S, R, V, 1>(
                simd,
                rule,
                src,
                lines,
                (index, weight, tap_step),
                (dst, dst_step),
            ),
            2 => few::<S, R, V, 2>(
                simd,
                rule,
                src,
                lines,
                (index, weight, tap_step),
                (dst, dst_step),
            ),
            3 => few::<S, R, V, 3>(
                simd,
                rule,
                src,
                lines,
                (index, weight, tap_step),
                (dst, dst_step),
            ),
            4 => few::<S, R, V, 4>(
                simd,
                rule,
                src,
                lines,
                (index, weight, tap_step),
                (dst, dst_step),
            ),
            _ => many::<S, R, V>(
                simd,
                rule,
                src,
                lines,
                (index, weight, tap_step),
                (dst, dst_step),
            ),
        }
    }
}

/// # Safety
/// As [`pass`]; there are `N` taps.
#[inline(always)]
unsafe fn few<S: Simd, R: Rule, const V: usize, const N: usize>(
    simd: S,
    rule: R,
    src: *const f32,
    lines: Lines<'_>,
    (index, weight, tap_step): (&[i32], &[f32], isize),
    (dst, dst_step): (*mut f32, isize),
) {
    let mut weights = [simd.zero(); N];
    let mut taps = [src; N];
    for n in 0..N {
        weights[n] = simd.splat(weight[n]);
        taps[n] = src.wrapping_offset(index[n] as isize * tap_step);
    }
    for j in 0..lines.count {
        let line = lines.rows.map_or(j, |rows| rows[j] as usize) as isize * lines.step;
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc = [simd.zero(); V];
            for (v, acc) in acc.iter_mut().enumerate() {
                let at = line + (v * S::LANES) as isize;
                *acc = rule.first(simd, weights[0], simd.load_ptr(taps[0].offset(at)));
            }
            for n in 1..N {
                for (v, acc) in acc.iter_mut().enumerate() {
                    let at = line + (v * S::LANES) as isize;
                    *acc = rule.join(simd, *acc, weights[n], simd.load_ptr(taps[n].offset(at)));
                }
            }
            let dst = dst.offset(j as isize * dst_step);
            for (v, acc) in acc.into_iter().enumerate() {
                simd.store_ptr(dst.add(v * S::LANES), acc);
            }
        }
    }
}

/// # Safety
/// As [`pass`]; there is a tap.
#[inline(always)]
unsafe fn many<S: Simd, R: Rule, const V: usize>(
    simd: S,
    rule: R,
    src: *const f32,
    lines: Lines<'_>,
    (index, weight, tap_step): (&[i32], &[f32], isize),
    (dst, dst_step): (*mut f32, isize),
) {
    for j in 0..lines.count {
        let line = lines.rows.map_or(j, |rows| rows[j] as usize) as isize * lines.step;
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc = [simd.zero(); V];
            for (n, (&index, &weight)) in index.iter().zip(weight).enumerate() {
                let weight = simd.splat(weight);
                let tap = src.wrapping_offset(line + index as isize * tap_step);
                for (v, acc) in acc.iter_mut().enumerate() {
                    let x = simd.load_ptr(tap.add(v * S::LANES));
                    *acc = match n {
                        0 => rule.first(simd, weight, x),
                        _ => rule.join(simd, *acc, weight, x),
                    };
                }
            }
            let dst = dst.offset(j as isize * dst_step);
            for (v, acc) in acc.into_iter().enumerate() {
                simd.store_ptr(dst.add(v * S::LANES), acc);
            }
        }
    }
}
