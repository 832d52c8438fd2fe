//! Area means by plain loops: any channels, any width. The compiler makes vectors of the loops
//! over channels and over samples of a row.

use super::super::pixels::{Pieces, Rows, Size};
use super::super::rows::{Producer, Sink};
use super::Grid;
use crate::simd::Narrow;
use crate::tensor::Element;
use std::ops::Range;

/// To and from the `f32` that sums are kept in.
pub(super) trait Number: Element {
    fn widen(self) -> f32;
    /// Rounded, ties to even, and saturated where the type is an integer.
    fn narrow(value: f32) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
    #[inline(always)]
    fn narrow(value: f32) -> f32 {
        value
    }
}

impl Number for u8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.into()
    }
    #[inline(always)]
    fn narrow(value: f32) -> u8 {
        // Adding 2^23 rounds to an integer; a mean is not negative.
        const INTEGERS: f32 = 8_388_608.0;
        ((value + INTEGERS) - INTEGERS) as u8
    }
}

/// Weighted means, in OpenCV's order: along x, then along y.
pub(super) struct PlainArea<'a, T> {
    src: Rows<'a, T>,
    dst: Size,
    grid: Grid,
}

impl<'a, T: Number> PlainArea<'a, T> {
    pub(super) fn new(src: Rows<'a, T>, dst: Size, grid: Grid) -> PlainArea<'a, T> {
        PlainArea { src, dst, grid }
    }

    /// The means of a source row along x.
    #[inline(always)]
    fn along_x(&self, src: &[T], out: &mut [f32]) {
        let channels = self.dst.channels;
        for (x, means) in out.chunks_exact_mut(channels).enumerate() {
            let cell = self.grid.across.at(x);
            means.fill(0.0);
            let pixels = src[cell.first * channels..].chunks_exact(channels);
            for (k, pixel) in pixels.take(cell.count).enumerate() {
                let weight = cell.weight(k);
                for (mean, sample) in means.iter_mut().zip(pixel) {
                    *mean += sample.widen() * weight;
                }
            }
        }
    }
}

impl<T: Number> Producer<T> for PlainArea<'_, T> {
    fn scratch(&self) -> usize {
        2 * Pieces::bytes::<f32>(self.dst.row())
    }
    fn longest_run(&self) -> usize {
        self.dst.row()
    }
    #[inline(always)]
    unsafe fn band<S: Narrow, K: Sink<T>>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
        sink: &K,
    ) {
        let (own, spare) = scratch.split_at_mut(Producer::<T>::scratch(self));
        let mut pieces = Pieces::new(own);
        let means = pieces.take::<f32>(self.dst.row());
        let sums = pieces.take::<f32>(self.dst.row());
        let mut made = usize::MAX;
        for y in rows {
            let cell = self.grid.down.at(y);
            sums.fill(0.0);
            for k in 0..cell.count {
                if made != cell.first + k {
                    made = cell.first + k;
                    self.along_x(self.src.row(made), means);
                }
                let weight = cell.weight(k);
                for (sum, mean) in sums.iter_mut().zip(means.iter()) {
                    *sum += weight * *mean;
                }
            }
            // SAFETY: the caller has the row to itself.
            unsafe {
                let out = sink.place(y, 0, self.dst.row(), spare);
                for (out, sum) in out.iter_mut().zip(sums.iter()) {
                    *out = T::narrow(*sum * self.grid.factor);
                }
                let out: *const [T] = out;
                sink.finish(simd, y, 0, &*out);
            }
        }
    }
}

/// Means over whole cells of bytes of any size, summed in integers.
pub(super) struct WholeArea<'a> {
    src: Rows<'a, u8>,
    dst: Size,
    cell: (usize, usize),
}

impl<'a> WholeArea<'a> {
    /// Cells of `x` by `y` pixels.
    pub(super) fn new(src: Rows<'a, u8>, dst: Size, x: usize, y: usize) -> WholeArea<'a> {
        WholeArea {
            src,
            dst,
            cell: (x, y),
        }
    }
}

impl Producer<u8> for WholeArea<'_> {
    fn scratch(&self) -> usize {
        Pieces::bytes::<u64>(self.dst.row())
    }
    fn longest_run(&self) -> usize {
        self.dst.row()
    }
    #[inline(always)]
    unsafe fn band<S: Narrow, K: Sink<u8>>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
        sink: &K,
    ) {
        let channels = self.dst.channels;
        let (width, height) = self.cell;
        let factor = 1.0 / (width * height) as f32;
        let (own, spare) = scratch.split_at_mut(self.scratch());
        let sums = Pieces::new(own).take::<u64>(self.dst.row());
        for y in rows {
            sums.fill(0);
            for row in y * height..(y + 1) * height {
                let cells = self.src.row(row).chunks_exact(width * channels);
                for (sums, cell) in sums.chunks_exact_mut(channels).zip(cells) {
                    for (c, sum) in sums.iter_mut().enumerate() {
                        let samples = cell.iter().skip(c).step_by(channels);
                        // A row has at most 2^31 samples of 2^8.
                        *sum += samples.map(|&sample| u64::from(sample)).sum::<u64>();
                    }
                }
            }
            // SAFETY: the caller has the row to itself.
            unsafe {
                let out = sink.place(y, 0, self.dst.row(), spare);
                for (out, sum) in out.iter_mut().zip(sums.iter()) {
                    *out = Number::narrow(*sum as f32 * factor);
                }
                let out: *const [u8] = out;
                sink.finish(simd, y, 0, &*out);
            }
        }
    }
}
