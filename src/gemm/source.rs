//! Where panels come from.

use super::PackedMatrix;
use crate::simd::{MAX_LANES, Simd};
use crate::tensor::View;
use std::marker::PhantomData;
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

    /// Fills the panels of `lines`, one after another; as [`pack`](PanelSource::pack) for
    /// each. Worth writing when panels are cheaper together.
    #[inline(always)]
    fn pack_panels<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        let panel = width * k.len();
        let mut start = lines.start;
        for dst in dst.chunks_exact_mut(panel) {
            if start >= lines.end {
                return;
            }
            let end = lines.end.min(start + width);
            self.pack(simd, k.clone(), start..end, width, dst);
            start = end;
        }
    }

    /// The panels, if they exist already. `pack` is not called then.
    fn packed(&self) -> Option<&PackedMatrix> {
        None
    }

    /// The matrix, if it is one in memory: products with very few rows or columns
    /// read it where it is.
    fn strided(&self) -> Option<Strided<'_>> {
        None
    }
}

/// How many steps of k ahead a row is asked for: each is a place of its own, so that no hardware does it.
const AHEAD: usize = 16;

/// A matrix in memory with any strides.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a> {
    pub(super) ptr: *const f32,
    pub(super) lines: usize,
    pub(super) k: usize,
    pub(super) line_stride: isize,
    pub(super) k_stride: isize,
    memory: PhantomData<&'a [f32]>,
}

// SAFETY: a shared borrow of numbers.
unsafe impl Send for Strided<'_> {}
// SAFETY: as above.
unsafe impl Sync for Strided<'_> {}

impl<'a> Strided<'a> {
    /// The rows of a matrix (lines, k) are the lines: `a` of `a · b`, or the
    /// weight (outputs, inputs) of a linear layer as its right side.
    /// Panics unless there are two dimensions.
    pub fn rows(matrix: View<'a, f32>) -> Strided<'a> {
        assert_eq!(matrix.rank(), 2);
        Strided {
            ptr: matrix.ptr().cast_const(),
            lines: matrix.dim(0),
            k: matrix.dim(1),
            line_stride: matrix.stride(0),
            k_stride: matrix.stride(1),
            memory: PhantomData,
        }
    }

    /// Lines of `k` elements, one after the other. Panics unless `k` divides the length.
    pub fn compact(values: &'a [f32], k: usize) -> Strided<'a> {
        let lines = values.len().checked_div(k).unwrap_or(0);
        assert_eq!(lines * k, values.len());
        Strided {
            ptr: values.as_ptr(),
            lines,
            k,
            line_stride: k as isize,
            k_stride: 1,
            memory: PhantomData,
        }
    }

    /// The columns of a matrix (k, lines) are the lines: `b` of `a · b`.
    /// Panics unless there are two dimensions.
    pub fn columns(matrix: View<'a, f32>) -> Strided<'a> {
        let rows = Strided::rows(matrix);
        Strided {
            lines: rows.k,
            k: rows.lines,
            line_stride: rows.k_stride,
            k_stride: rows.line_stride,
            ..rows
        }
    }

    /// The element of `line` at `p`, which are within the matrix.
    #[inline(always)]
    pub(super) fn at(&self, line: usize, p: usize) -> *const f32 {
        let offset = line as isize * self.line_stride + p as isize * self.k_stride;
        // A view has its elements in memory, so the offset of one of them does not overflow.
        self.ptr.wrapping_offset(offset)
    }
}

impl PanelSource for Strided<'_> {
    fn strided(&self) -> Option<Strided<'_>> {
        Some(*self)
    }

    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        let (count, depth) = (lines.len(), k.len());
        assert!(lines.end <= self.lines && k.end <= self.k);
        assert!(0 < count && count <= width && dst.len() == width * depth);
        let (line_stride, k_stride) = (self.line_stride, self.k_stride);
        let src = self.at(lines.start, k.start);
        // SAFETY: the ranges lie inside the view (asserted), so each element at
        // (i < count, p < depth) from `src` is readable; `dst` has room for
        // width x depth (asserted).
        unsafe {
            if line_stride == 1 {
                copy_runs(simd, src, k_stride, depth, count, width, dst);
            } else if k_stride == 1 && (width < S::LANES || width.is_multiple_of(S::LANES)) {
                transpose(simd, src, line_stride, depth, count, width, dst);
            } else {
                interleave(src, line_stride, k_stride, 0..depth, count, width, dst);
            }
        }
    }

    #[inline(always)]
    fn pack_panels<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        let depth = k.len();
        let panel = width * depth;
        let mut start = lines.start;
        let mut dst = dst;
        // Rows of a matrix whose lines are columns: several panels at a time, so that
        // each visit to a row (a page of its own, often) takes more of it.
        const TOGETHER: usize = 4;
        if self.line_stride == 1 && width.is_multiple_of(S::LANES) {
            while lines.end - start >= TOGETHER * width {
                let (four, rest) = std::mem::take(&mut dst).split_at_mut(TOGETHER * panel);
                assert!(lines.end <= self.lines && k.end <= self.k);
                for p in 0..depth {
                    let ahead = self
                        .at(start, k.start)
                        .wrapping_offset((p + AHEAD) as isize * self.k_stride);
                    for q in 0..TOGETHER {
                        simd.prefetch(ahead.wrapping_add(q * width));
                        // SAFETY: whole vectors of lines in the view at this k, to the
                        // places of this k in panels that are `panel` floats each.
                        unsafe {
                            let from = self.at(start + q * width, k.start + p);
                            let to = four.as_mut_ptr().add(q * panel + p * width);
                            let mut i = 0;
                            while i < width {
                                simd.store_ptr(to.add(i), simd.load_ptr(from.add(i)));
                                i += S::LANES;
                            }
                        }
                    }
                }
                dst = rest;
                start += TOGETHER * width;
            }
        }
        while start < lines.end {
            let end = lines.end.min(start + width);
            let (one, rest) = std::mem::take(&mut dst).split_at_mut(panel);
            self.pack(simd, k.clone(), start..end, width, one);
            dst = rest;
            start = end;
        }
    }
}

/// Neighbouring lines are neighbours in memory: each step of k is a copy.
///
/// # Safety
/// `src[p * k_stride + i]` is readable for `p < depth`, `i < count`;
/// `count <= width` and `dst` has `width * depth` elements.
#[inline(always)]
unsafe fn copy_runs<S: Simd>(
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
            simd.prefetch(src.wrapping_offset((p + AHEAD) as isize * k_stride));
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

/// Each line is a run of memory: squares of lanes by lanes are transposed in registers.
///
/// # Safety
/// `src[i * line_stride + p]` is readable for `p < depth`, `i < count`;
/// `1 <= count <= width`, `dst` has `width * depth` elements, and `width` is below LANES
/// or a multiple of it.
#[inline(always)]
unsafe fn transpose<S: Simd>(
    simd: S,
    src: *const f32,
    line_stride: isize,
    depth: usize,
    count: usize,
    width: usize,
    dst: &mut [f32],
) {
    // A square may be wider than what is left of the panel: then its rows spill into the
    // next steps, which are written after them. The last steps have no room for that.
    let mut squares = depth / S::LANES;
    if !width.is_multiple_of(S::LANES) && depth.is_multiple_of(S::LANES) {
        squares = squares.saturating_sub(1);
    }
    let to = dst.as_mut_ptr();
    for square in 0..squares {
        let p = square * S::LANES;
        let mut first = 0;
        while first < width {
            // Lines beyond the last are read as the last, and cleared below.
            let mut rows = [src; MAX_LANES];
            for (i, row) in rows.iter_mut().enumerate().take(S::LANES) {
                let line = (first + i).min(count - 1);
                // SAFETY: an existing line.
                *row = unsafe { src.offset(line as isize * line_stride + p as isize) };
                // The panel after this one, which begins with lines that nothing has fetched.
                simd.prefetch(row.wrapping_offset(width as isize * line_stride));
            }
            // SAFETY: LANES elements of existing lines; the square ends inside `dst`: after
            // its last step there is another one, or it is as wide as what is left.
            unsafe { simd.transpose_ptr(&rows, to.add(p * width + first), width) };
            first += S::LANES;
        }
    }
    let done = squares * S::LANES;
    if count < width {
        for step in dst[..done * width].chunks_exact_mut(width) {
            step[count..].fill(0.0);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { interleave(src, line_stride, 1, done..depth, count, width, dst) };
}

/// Any strides: element by element.
///
/// # Safety
/// `src[i * line_stride + p * k_stride]` is readable for `p` in `steps`, `i < count`;
/// `count <= width` and `dst` has `width` elements for each step up to the last.
#[inline(always)]
unsafe fn interleave(
    src: *const f32,
    line_stride: isize,
    k_stride: isize,
    steps: Range<usize>,
    count: usize,
    width: usize,
    dst: &mut [f32],
) {
    for p in steps {
        let step = &mut dst[p * width..][..width];
        for (i, to) in step.iter_mut().enumerate() {
            *to = match i < count {
                // SAFETY: an element, as the caller says.
                true => unsafe { *src.offset(i as isize * line_stride + p as isize * k_stride) },
                false => 0.0,
            };
        }
    }
}
