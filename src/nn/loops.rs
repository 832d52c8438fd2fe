//! Loops over several strided arrays of one shape at once.
//!
//! What an elementwise operator has to know of its operands' shapes and
//! strides is reduced, once per call, to the fewest nested loops: axes of one
//! element go, the rest are ordered so that the output is walked as it lies in
//! memory (a channels-last or transposed array is no slower than a row-major
//! one), backward axes are turned around, and axes that continue each other in
//! every operand become one. Compact operands are left with a single loop.

use crate::tensor::MAX_RANK;

/// `N` operands of one shape; the first is the output, the others may repeat
/// elements (stride 0).
#[derive(Clone, Copy, Debug)]
pub(super) struct Loops<const N: usize> {
    /// Loops in use, at least one unless `len` is 0.
    rank: usize,
    /// Outermost first.
    dims: [usize; MAX_RANK],
    strides: [[isize; N]; MAX_RANK],
    /// Offset of the element that the loops start from, per operand.
    start: [isize; N],
    len: usize,
}

impl<const N: usize> Loops<N> {
    /// The loops over `shape` of operands with these strides.
    pub(super) fn new(shape: &[usize], strides: [&[isize]; N]) -> Loops<N> {
        let mut loops = Loops {
            rank: 0,
            dims: [1; MAX_RANK],
            strides: [[0; N]; MAX_RANK],
            start: [0; N],
            len: shape.iter().product(),
        };
        if loops.len == 0 {
            return loops;
        }
        let mut axes: [(usize, [isize; N]); MAX_RANK] = [(1, [0; N]); MAX_RANK];
        let mut count = 0;
        for (axis, &dim) in shape.iter().enumerate().filter(|(_, dim)| **dim > 1) {
            let mut step: [isize; N] = std::array::from_fn(|n| strides[n][axis]);
            if step[0] < 0 {
                for (start, step) in loops.start.iter_mut().zip(&mut step) {
                    *start += *step * (dim as isize - 1);
                    *step = -*step;
                }
            }
            axes[count] = (dim, step);
            count += 1;
        }
        // Stable, so that equal strides keep the order of the axes.
        axes[..count].sort_by_key(|(_, step)| std::cmp::Reverse(step[0]));
        for &(dim, step) in &axes[..count] {
            let last = loops.rank.wrapping_sub(1);
            let continues = loops.rank > 0
                && loops.strides[last]
                    .iter()
                    .zip(&step)
                    .all(|(outer, inner)| *outer == *inner * dim as isize);
            if continues {
                loops.dims[last] *= dim;
                loops.strides[last] = step;
            } else {
                loops.dims[loops.rank] = dim;
                loops.strides[loops.rank] = step;
                loops.rank += 1;
            }
        }
        if loops.rank == 0 {
            // A single element; any stride is true of it.
            loops.strides[0] = [1; N];
            loops.rank = 1;
        }
        loops
    }

    /// Elements of the shape.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The strides of the innermost loop.
    pub(super) fn inner(&self) -> [isize; N] {
        self.strides[self.rank - 1]
    }

    /// The elements `first .. first + count`, in the order of the loops, as runs
    /// along the innermost one.
    #[inline(always)]
    pub(super) fn runs(&self, first: usize, count: usize) -> Runs<'_, N> {
        debug_assert!(first + count <= self.len);
        let mut index = [0; MAX_RANK];
        let mut offsets = self.start;
        let mut rest = first;
        for axis in (0..self.rank).rev() {
            index[axis] = rest % self.dims[axis];
            rest /= self.dims[axis];
            for (offset, stride) in offsets.iter_mut().zip(self.strides[axis]) {
                *offset += stride * index[axis] as isize;
            }
        }
        Runs {
            loops: self,
            index,
            offsets,
            left: count,
        }
    }
}

/// See [`Loops::runs`].
pub(super) struct Runs<'a, const N: usize> {
    loops: &'a Loops<N>,
    index: [usize; MAX_RANK],
    offsets: [isize; N],
    left: usize,
}

impl<const N: usize> Runs<'_, N> {
    /// The offsets of the next run's first elements, and its length.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<([isize; N], usize)> {
        if self.left == 0 {
            return None;
        }
        let inner = self.loops.rank - 1;
        let count = (self.loops.dims[inner] - self.index[inner]).min(self.left);
        let run = (self.offsets, count);
        self.left -= count;
        self.advance(inner, count);
        Some(run)
    }

    /// Moves `count` along the innermost loop, and on where that ends.
    #[inline(always)]
    fn advance(&mut self, inner: usize, count: usize) {
        let mut axis = inner;
        let mut count = count;
        loop {
            let (dim, strides) = (self.loops.dims[axis], self.loops.strides[axis]);
            self.index[axis] += count;
            for (offset, stride) in self.offsets.iter_mut().zip(strides) {
                *offset += stride * count as isize;
            }
            if self.index[axis] < dim || axis == 0 {
                return;
            }
            self.index[axis] = 0;
            for (offset, stride) in self.offsets.iter_mut().zip(strides) {
                *offset -= stride * dim as isize;
            }
            axis -= 1;
            count = 1;
        }
    }
}
