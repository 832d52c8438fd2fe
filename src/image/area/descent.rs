//! The way down the rows, which the vector kernels share.
//!
//! A kernel sums a vector over many rows at once, so that it stays in registers. Here it is decided
//! which rows these are: those of one cell, at most [`ROWS`] at a time, less the first when
//! it was the last of the cell above and its sums along x have been kept.

use super::super::pixels::{Pieces, Rows};
use super::super::rows::Sink;
use super::cells::Cells;
use crate::simd::Narrow;
use crate::tensor::Element;
use std::ops::Range;

/// More streams than this do the caches no good.
const ROWS: usize = 8;

/// Some rows of a cell.
#[derive(Clone, Copy)]
pub(super) struct Part<T> {
    /// The first new row.
    pub(super) from: *const T,
    /// Elements from a row to the next.
    pub(super) step: isize,
    /// How many new rows there are, and what they weigh.
    pub(super) rows: usize,
    pub(super) weights: [f32; ROWS],
    /// What the row weighs that was kept.
    pub(super) kept: f32,
    /// What the sums start with.
    pub(super) start: Start,
    /// The rows are the last of the cell.
    pub(super) last: bool,
    /// The last row is the first of the next cell: its sums along x are to be kept.
    pub(super) keep: bool,
}

/// What has been summed before.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Start {
    /// Nothing.
    Nothing,
    /// The row that was kept.
    Kept,
    /// Other parts of the cell.
    Sums,
}

/// Sums parts of cells.
pub(super) trait Kernel<T: Element> {
    /// Floats in a row of sums.
    fn sums(&self) -> usize;
    /// Samples in a destination row.
    fn row(&self) -> usize;

    /// Sums some rows, and writes the destination row after the last of its cell.
    ///
    /// # Safety
    /// The rows exist; `kept` and `sums` have room for [`sums`](Kernel::sums) floats; `out` is
    /// a row of the destination.
    unsafe fn part<S: Narrow>(
        &self,
        simd: S,
        part: Part<T>,
        kept: *mut f32,
        sums: *mut f32,
        out: &mut [T],
    );

    /// Bytes of scratch for [`descend`].
    fn scratch(&self) -> usize {
        2 * Pieces::bytes::<f32>(self.sums())
    }
}

/// Makes these rows of the destination: see `Producer::band`.
///
/// # Safety
/// No other band of the sink's output has these rows; the kernel is one for `src`.
#[inline(always)]
pub(super) unsafe fn descend<T: Element, S: Narrow, K: Sink<T>>(
    simd: S,
    kernel: &impl Kernel<T>,
    src: Rows<'_, T>,
    down: &Cells,
    rows: Range<usize>,
    scratch: &mut [u8],
    sink: &K,
) {
    let (own, spare) = scratch.split_at_mut(kernel.scratch());
    let mut pieces = Pieces::new(own);
    let kept = pieces.take::<f32>(kernel.sums()).as_mut_ptr();
    let sums = pieces.take::<f32>(kernel.sums()).as_mut_ptr();
    let mut cell = down.at(rows.start);
    let mut is_kept = false;
    for y in rows.clone() {
        let next = (y + 1 < rows.end).then(|| down.at(y + 1));
        let keep = next.is_some_and(|next| next.first < cell.end());
        // SAFETY: the caller has these rows to itself, and the scratch has room for both rows of sums.
        unsafe {
            let out = sink.place(y, 0, kernel.row(), spare);
            let mut first = usize::from(is_kept);
            let mut start = if is_kept { Start::Kept } else { Start::Nothing };
            loop {
                let end = cell.count.min(first + ROWS);
                let row = |k: usize| src.row((cell.first + k).min(cell.end() - 1)).as_ptr();
                let mut weights = [0.0; ROWS];
                for (k, weight) in (first..end).zip(&mut weights) {
                    *weight = cell.weight(k);
                }
                let bytes = row(first + 1) as isize - row(first) as isize;
                let part = Part {
                    from: row(first),
                    step: bytes / size_of::<T>() as isize,
                    rows: end - first,
                    weights,
                    kept: cell.weight(0),
                    start,
                    last: end == cell.count,
                    keep,
                };
                kernel.part(simd, part, kept, sums, out);
                if part.last {
                    break;
                }
                first = end;
                start = Start::Sums;
            }
            let out: *const [T] = out;
            sink.finish(simd, y, 0, &*out);
        }
        is_kept = keep;
        cell = next.unwrap_or(cell);
    }
}

/// Sums one vector over the rows of a part, `along(row)` being its sum along x in a row. Returns
/// the sum when it is complete, after storing what later parts and cells need.
///
/// # Safety
/// As [`Kernel::part`]; a vector lies at `held` in both rows of sums.
#[inline(always)]
pub(super) unsafe fn sum_rows<T: Element, S: Narrow>(
    simd: S,
    part: &Part<T>,
    kept: *mut f32,
    sums: *mut f32,
    held: usize,
    along: impl Fn(*const T) -> S::F32,
) -> S::F32 {
    // SAFETY: the caller's promise.
    unsafe {
        let mut last = simd.zero();
        let mut sum = match part.start {
            Start::Nothing => simd.zero(),
            Start::Kept => {
                last = simd.load_ptr(kept.add(held));
                simd.mul(simd.splat(part.kept), last)
            }
            Start::Sums => simd.load_ptr(sums.add(held)),
        };
        let mut from = part.from;
        for weight in &part.weights[..part.rows] {
            last = along(from);
            sum = simd.add(sum, simd.mul(simd.splat(*weight), last));
            from = from.wrapping_offset(part.step);
        }
        if !part.last {
            simd.store_ptr(sums.add(held), sum);
        } else if part.keep {
            simd.store_ptr(kept.add(held), last);
        }
        sum
    }
}
