//! Where panels come from.

use super::PackedMatrix;
use crate::simd::Simd;
use crate::tensor::View;
use std::ops::Range;

/// One operand of a product, as something that fills panels.
///
/// A *line* is a row of A or a column of B; `k` is the index that the product
/// sums over. Lines and k are within the [`Shape`](super::Shape) that the
/// source is used with.
pub trait PanelSource: Copy + Sync {
    /// Fills the panel of `lines` and `k`: `dst[(p - k.start) * width + i]` becomes
    /// the element of line `lines.start + i` at `p`, and zero for `i >= lines.len()`.
    ///
    /// `1 <= lines.len() <= width`, `k` is not empty, `dst` has `k.len() * width`
    /// elements and `lines.start` is a multiple of `width`, which is
    /// [`panel_width`](super::panel_width). Implementations are `#[inline(always)]`:
    /// they run inside `dispatch!`.
    fn pack<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    );

    /// The panels, if they exist already. `pack` is not called then.
    fn packed(&self) -> Option<&PackedMatrix> {
        None
    }
}

/// A matrix in memory with any strides.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a> {
    /// (lines, k)
    view: View<'a, f32>,
}

impl<'a> Strided<'a> {
    /// The rows of a matrix (lines, k) are the lines: `a` of `a · b`, or the
    /// weight (outputs, inputs) of a linear layer as its right side.
    /// Panics unless there are two dimensions.
    pub fn rows(matrix: View<'a, f32>) -> Strided<'a> {
        assert_eq!(matrix.rank(), 2);
        Strided { view: matrix }
    }

    /// The columns of a matrix (k, lines) are the lines: `b` of `a · b`.
    /// Panics unless there are two dimensions.
    pub fn columns(matrix: View<'a, f32>) -> Strided<'a> {
        Strided {
            view: matrix.permute(&[1, 0]),
        }
    }

    /// The view as (lines, k).
    pub(super) fn view(&self) -> &View<'a, f32> {
        &self.view
    }
}

impl PanelSource for Strided<'_> {
    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        let count = lines.len();
        assert!(lines.end <= self.view.dim(0) && k.end <= self.view.dim(1));
        assert!(0 < count && count <= width && dst.len() == width * k.len());
        let (line_stride, k_stride) = (self.view.stride(0), self.view.stride(1));
        let offset = lines.start as isize * line_stride + k.start as isize * k_stride;
        // A view has its elements in memory, so the offset of one of them stays inside.
        let src = self.view.ptr().cast_const().wrapping_offset(offset);
        // SAFETY: the ranges lie inside the view (asserted), so each element at
        // (i < count, p < k.len()) from `src` is readable; `dst` has room for
        // width x k.len() (asserted).
        unsafe {
            if line_stride == 1 {
                pack_lines_together(simd, src, k_stride, k.len(), count, width, dst);
            } else {
                pack_interleaving(src, line_stride, k_stride, k.len(), count, width, dst);
            }
        }
    }
}

/// Neighbouring lines are neighbours in memory: each step of k is a copy.
///
/// # Safety
/// `src[p * k_stride + i]` is readable for `p < depth`, `i < count`;
/// `count <= width` and `dst` has `width * depth` elements.
#[inline(always)]
unsafe fn pack_lines_together<S: Simd>(
    simd: S,
    src: *const f32,
    k_stride: isize,
    depth: usize,
    count: usize,
    width: usize,
    dst: &mut [f32],
) {
    let dst = dst.as_mut_ptr();
    if count == width && width.is_multiple_of(S::LANES) {
        for p in 0..depth {
            // SAFETY: whole vectors inside of the step's `width` elements on both sides.
            unsafe {
                let from = src.offset(p as isize * k_stride);
                let to = dst.add(p * width);
                let mut i = 0;
                while i < width {
                    simd.store_ptr(to.add(i), simd.load_ptr(from.add(i)));
                    i += S::LANES;
                }
            }
        }
        return;
    }
    for p in 0..depth {
        let mut i = 0;
        while i < width {
            let valid = count.saturating_sub(i);
            // SAFETY: `valid` limits the load to `count`, the store ends at the step's `width`.
            // A load of nothing gives zeros.
            unsafe {
                let from = src.wrapping_offset(p as isize * k_stride + i as isize);
                let v = simd.load_partial_ptr(from, valid);
                simd.store_partial_ptr(dst.add(p * width + i), width - i, v);
            }
            i += S::LANES;
        }
    }
}

/// Lines lie apart: element by element, eight steps of each line at a time so
/// that a cache line of the source is used while it is at hand.
///
/// # Safety
/// `src[i * line_stride + p * k_stride]` is readable for `p < depth`, `i < count`;
/// `count <= width` and `dst` has `width * depth` elements.
#[inline(always)]
unsafe fn pack_interleaving(
    src: *const f32,
    line_stride: isize,
    k_stride: isize,
    depth: usize,
    count: usize,
    width: usize,
    dst: &mut [f32],
) {
    if count < width {
        dst.fill(0.0);
    }
    let dst = dst.as_mut_ptr();
    const STEPS: usize = 8;
    let mut p = 0;
    while p < depth {
        let steps = STEPS.min(depth - p);
        for i in 0..count {
            // SAFETY: (i, p..p + steps) are elements, and their places are inside `dst`.
            unsafe {
                let from = src.offset(i as isize * line_stride + p as isize * k_stride);
                let to = dst.add(p * width + i);
                if steps == STEPS {
                    for s in 0..STEPS {
                        *to.add(s * width) = *from.offset(s as isize * k_stride);
                    }
                } else {
                    for s in 0..steps {
                        *to.add(s * width) = *from.offset(s as isize * k_stride);
                    }
                }
            }
        }
        p += steps;
    }
}
