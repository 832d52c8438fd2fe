//! Area means of floats, one to four channels, in vectors.
//!
//! As `vectors_u8`, without the need to spread samples: the taps of one and two channels come in pairs
//! from memory, those of three and four one by one, a pixel a block. A tap that a cell does not have is
//! masked, not only weighed with zero, so a NaN or infinity beside a cell does not enter it. The
//! few pixels at the end of a row whose loads would leave it are summed one by one.

use super::super::pixels::{Lent, Rows, Size};
use super::super::rows::{Producer, Sink};
use super::Grid;
use super::descent::{Kernel, Part, Start, descend, sum_rows};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Narrow, Tier};
use std::ops::Range;

/// The means of one image at one size, ready to make rows.
pub(super) struct AreaF32<'a> {
    src: Rows<'a, f32>,
    dst: Size,
    grid: Grid,
    lanes: usize,
    /// Taps of the longest cell, even for one and two channels.
    taps: usize,
    /// Vectors in a row; the pixels after them are summed one by one.
    vectors: usize,
    /// Where the cells of pixels start.
    offsets: Lent<'a, u32>,
    /// For every vector and tap a vector.
    weights: Lent<'a, f32>,
}

/// Pixels in a vector.
fn pixels(lanes: usize, channels: usize) -> usize {
    if channels <= 2 {
        lanes / channels
    } else {
        lanes / 4
    }
}

impl<'a> AreaF32<'a> {
    /// Plans the means of `src`, which has at most four channels, at size `dst`.
    pub(super) fn new(
        ctx: &'a Context,
        src: Rows<'a, f32>,
        dst: Size,
        grid: Grid,
    ) -> Result<AreaF32<'a>> {
        let channels = dst.channels;
        let lanes = match ctx.isa().tier() {
            Tier::Portable | Tier::Neon => 4,
            Tier::Avx2 => 8,
            Tier::Avx512 => 16,
        };
        let longest = grid.across.longest(dst.width);
        let taps = if channels <= 2 {
            longest.next_multiple_of(2)
        } else {
            longest
        };
        let leaves = |x: &usize| {
            // Loads of three channels reach one float further.
            let end = (grid.across.at(*x).first + taps) * channels + usize::from(channels == 3);
            end > src.size.row()
        };
        let quick = dst.width - (0..dst.width).rev().take_while(leaves).count();
        let vectors = quick / pixels(lanes, channels);
        let mut plan = AreaF32 {
            src,
            dst,
            grid,
            lanes,
            taps,
            vectors,
            offsets: ctx.scratch(vectors * pixels(lanes, channels))?,
            weights: ctx.scratch(vectors * taps * lanes)?,
        };
        let width = lanes / pixels(lanes, channels);
        for x in 0..plan.offsets.len() {
            let cell = grid.across.at(x);
            plan.offsets[x] = (cell.first * channels) as u32;
            let (vector, pixel) = (x / pixels(lanes, channels), x % pixels(lanes, channels));
            for tap in 0..taps {
                let weight = if tap < cell.count {
                    cell.weight(tap)
                } else {
                    0.0
                };
                let at = (vector * taps + tap) * lanes + pixel * width;
                plan.weights[at..at + width].fill(weight);
            }
        }
        Ok(plan)
    }
}

/// `sum + sample * weight`, or `sum` where the weight is zero.
#[inline(always)]
fn add_tap<S: Narrow>(simd: S, sum: S::F32, sample: S::F32, weight: S::F32) -> S::F32 {
    let sample = simd.select(simd.gt(weight, simd.zero()), sample, simd.zero());
    simd.add(sum, simd.mul(sample, weight))
}

impl AreaF32<'_> {
    /// The sum of a vector along x in a row.
    ///
    /// # Safety
    /// `src` is a row of the source, `vector` is one of the plan.
    #[inline(always)]
    unsafe fn along_x<S: Narrow>(&self, simd: S, src: *const f32, vector: usize) -> S::F32 {
        let channels = self.dst.channels;
        let mut sum = simd.zero();
        // SAFETY: the plan has offsets and weights for the vector, and its loads stay in the row.
        unsafe {
            let offsets = self
                .offsets
                .as_ptr()
                .add(vector * pixels(S::LANES, channels));
            let weights = self.weights.as_ptr().add(vector * self.taps * S::LANES);
            let weight = |tap: usize| simd.load_ptr(weights.add(tap * S::LANES));
            match channels {
                1 | 2 => {
                    for tap in (0..self.taps).step_by(2) {
                        let from = src.add(tap * channels);
                        let (a, b) = match channels {
                            1 => simd.load_float_pairs_ptr(from, offsets),
                            _ => simd.load_float_quads_ptr(from, offsets),
                        };
                        sum = add_tap(simd, sum, a, weight(tap));
                        sum = add_tap(simd, sum, b, weight(tap + 1));
                    }
                }
                _ => {
                    for tap in 0..self.taps {
                        let v = simd.load_float_blocks_ptr(src.add(tap * channels), offsets);
                        sum = add_tap(simd, sum, v, weight(tap));
                    }
                }
            }
        }
        sum
    }

    /// Sums the samples after the vectors.
    ///
    /// # Safety
    /// As [`Kernel::part`].
    #[inline(always)]
    unsafe fn rest(&self, part: &Part<f32>, kept: *mut f32, sums: *mut f32, out: &mut [f32]) {
        let channels = self.dst.channels;
        let first = self.offsets.len();
        for x in first..self.dst.width {
            let cell = self.grid.across.at(x);
            for c in 0..channels {
                let held = self.vectors * self.lanes + (x - first) * channels + c;
                // SAFETY: the row of sums has a place for each of these samples; the rows are the caller's promise.
                unsafe {
                    let (kept, sums) = (&mut *kept.add(held), &mut *sums.add(held));
                    let mut last = 0.0;
                    let mut sum = match part.start {
                        Start::Nothing => 0.0,
                        Start::Kept => {
                            last = *kept;
                            part.kept * last
                        }
                        Start::Sums => *sums,
                    };
                    let mut from = part.from.add(cell.first * channels + c);
                    for weight in &part.weights[..part.rows] {
                        last = 0.0;
                        for tap in 0..cell.count {
                            last += *from.add(tap * channels) * cell.weight(tap);
                        }
                        sum += weight * last;
                        from = from.wrapping_offset(part.step);
                    }
                    (*kept, *sums) = (last, sum);
                    if part.last {
                        out[x * channels + c] = sum * self.grid.factor;
                    }
                }
            }
        }
    }
}

impl Kernel<f32> for AreaF32<'_> {
    fn sums(&self) -> usize {
        let rest = self.dst.width - self.offsets.len();
        self.vectors * self.lanes + rest * self.dst.channels
    }
    fn row(&self) -> usize {
        self.dst.row()
    }
    #[inline(always)]
    unsafe fn part<S: Narrow>(
        &self,
        simd: S,
        part: Part<f32>,
        kept: *mut f32,
        sums: *mut f32,
        out: &mut [f32],
    ) {
        let channels = self.dst.channels;
        let factor = simd.splat(self.grid.factor);
        // SAFETY: vectors are those of the plan; the rest is the caller's promise. Three channels are
        // stored a block each, whose fourth lane the next pixel writes over; the last block stores three.
        unsafe {
            for vector in 0..self.vectors {
                let held = vector * S::LANES;
                let sum = sum_rows(
                    simd,
                    &part,
                    kept,
                    sums,
                    held,
                    #[inline(always)]
                    |from: *const f32| self.along_x(simd, from, vector),
                );
                if !part.last {
                    continue;
                }
                let v = simd.mul(sum, factor);
                if channels != 3 {
                    simd.store_ptr(out.as_mut_ptr().add(held), v);
                    continue;
                }
                let at = 3 * vector * S::BLOCKS;
                let to = out.as_mut_ptr().add(at);
                if at + 3 * S::BLOCKS < out.len() {
                    simd.store_float_blocks_ptr(to, 3, v);
                } else {
                    let mut lanes = [0.0; 16];
                    simd.store_ptr(lanes.as_mut_ptr(), v);
                    for block in 0..S::BLOCKS {
                        let from = lanes.as_ptr().add(4 * block);
                        std::ptr::copy_nonoverlapping(from, to.add(3 * block), 3);
                    }
                }
            }
            self.rest(&part, kept, sums, out);
        }
    }
}

impl Producer<f32> for AreaF32<'_> {
    fn scratch(&self) -> usize {
        Kernel::scratch(self)
    }
    fn longest_run(&self) -> usize {
        self.dst.row()
    }
    #[inline(always)]
    unsafe fn band<S: Narrow, K: Sink<f32>>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
        sink: &K,
    ) {
        // SAFETY: the caller's promise.
        unsafe { descend(simd, self, self.src, &self.grid.down, rows, scratch, sink) }
    }
}
