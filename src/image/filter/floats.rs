//! Filters of floats, one to four channels, in vectors.
//!
//! Along x the taps come from memory as in `linear_f32`: in pairs for one and two channels, one by one for three and four, a
//! pixel a block of 128 bits. Of three channels the fourth lane is a stray that the next pixel's store covers.

use super::super::pixels::{Lent, Pieces, Rows, Size};
use super::super::rows::{Producer, Sink};
use super::Taps;
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Narrow, Tier};
use std::ops::Range;

/// Vectors in a strip.
const STRIP: usize = 96;
/// Floats beyond a strip that a vector may write.
const MORE: usize = 16;

/// The filter of one image to one size, ready to make rows.
pub(super) struct FilterF32<'a> {
    src: Rows<'a, f32>,
    dst: Size,
    down: Taps,
    /// Taps along x, even for one and two channels.
    taps: usize,
    /// Pixels of a vector.
    pixels: usize,
    /// Vectors in a row.
    vectors: usize,
    /// Where the taps of pixels start.
    offsets: Lent<'a, u32>,
    /// For every vector and tap a vector.
    weights: Lent<'a, f32>,
    /// Vectors from here on may read beyond the row: they read a copy of the row from `tail` on.
    careful: usize,
    tail: usize,
}

impl<'a> FilterF32<'a> {
    pub(super) fn new(
        ctx: &'a Context,
        src: Rows<'a, f32>,
        dst: Size,
        [across, down]: [Taps; 2],
    ) -> Result<FilterF32<'a>> {
        let channels = dst.channels;
        let lanes = match ctx.isa().tier() {
            Tier::Portable | Tier::Neon => 4,
            Tier::Avx2 => 8,
            Tier::Avx512 => 16,
        };
        let (pixels, taps) = match channels {
            1 | 2 => (lanes / channels, across.count.next_multiple_of(2)),
            _ => (lanes / 4, across.count),
        };
        let width = lanes / pixels;
        let vectors = dst.width.div_ceil(pixels);
        let mut plan = FilterF32 {
            src,
            dst,
            down,
            taps,
            pixels,
            vectors,
            offsets: ctx.scratch(vectors * pixels)?,
            weights: ctx.scratch(vectors * taps * lanes)?,
            careful: vectors,
            tail: src.size.row(),
        };
        plan.weights.fill(0.0);
        let mut row: Lent<'_, f32> = ctx.scratch(taps.min(src.size.width))?;
        for x in 0..vectors * pixels {
            let (vector, pixel) = (x / pixels, x % pixels);
            // Places after the last repeat it.
            let first = across.at(x.min(dst.width - 1), &mut row);
            plan.offsets[x] = (first * channels) as u32;
            for (tap, &weight) in row.iter().enumerate() {
                let at = (vector * taps + tap) * lanes + pixel * width;
                plan.weights[at..at + width].fill(weight);
            }
            // Loads of three channels reach one float further.
            let end = (first + taps) * channels + usize::from(channels == 3);
            if end > src.size.row() && vector < plan.careful {
                plan.careful = vector;
                // Pixels never start before those to their left.
                plan.tail = plan.offsets[vector * pixels] as usize;
            }
        }
        Ok(plan)
    }

    /// Floats of a copy of a row's end; what is read beyond the row is weighed with zero.
    fn tail_len(&self) -> usize {
        self.src.size.row() - self.tail + (self.taps + 1) * self.dst.channels + 1
    }

    /// Floats of a held row.
    fn room(&self) -> usize {
        STRIP.min(self.vectors) * self.pixels * self.dst.channels + MORE
    }

    /// Filters vectors of a row along x.
    ///
    /// # Safety
    /// `row` and `tail` are as in [`band`](Producer::band); `out` has room for the vectors.
    #[inline(always)]
    unsafe fn along_x<S: Narrow>(
        &self,
        simd: S,
        row: *const f32,
        tail: *const f32,
        vectors: Range<usize>,
        out: *mut f32,
    ) {
        let (channels, taps, pixels) = (self.dst.channels, self.taps, self.pixels);
        let (offsets, weights) = (self.offsets.as_ptr(), self.weights.as_ptr());
        // SAFETY: the plan has offsets and weights for all vectors, and their taps lie inside of row or tail.
        unsafe {
            for (i, vector) in vectors.enumerate() {
                let from = if vector < self.careful { row } else { tail };
                let at = offsets.add(vector * pixels);
                let weights = weights.add(vector * taps * S::LANES);
                let mut sum = simd.zero();
                match channels {
                    1 | 2 => {
                        for tap in (0..taps).step_by(2) {
                            let from = from.wrapping_add(tap * channels);
                            let (a, b) = match channels {
                                1 => simd.load_float_pairs_ptr(from, at),
                                _ => simd.load_float_quads_ptr(from, at),
                            };
                            sum = simd.fma(a, simd.load_ptr(weights.add(tap * S::LANES)), sum);
                            sum =
                                simd.fma(b, simd.load_ptr(weights.add((tap + 1) * S::LANES)), sum);
                        }
                        simd.store_ptr(out.add(i * S::LANES), sum);
                    }
                    _ => {
                        for tap in 0..taps {
                            let v =
                                simd.load_float_blocks_ptr(from.wrapping_add(tap * channels), at);
                            sum = simd.fma(v, simd.load_ptr(weights.add(tap * S::LANES)), sum);
                        }
                        let to = out.add(i * S::BLOCKS * channels);
                        simd.store_float_blocks_ptr(to, channels, sum);
                    }
                }
            }
        }
    }
}

/// Joins rows along y.
///
/// # Safety
/// The rows, `offsets` from `held`, are readable for whole vectors of `out`.
#[inline(always)]
unsafe fn along_y<S: Narrow>(
    simd: S,
    held: *const f32,
    offsets: &[u64],
    weights: &[f32],
    out: &mut [f32],
) {
    let mut at = 0;
    while at < out.len() {
        // SAFETY: the caller's promise; a full store only where there is room.
        unsafe {
            let mut sum = simd.zero();
            for (&offset, &weight) in offsets.iter().zip(weights) {
                let v = simd.load_ptr(held.add(offset as usize + at));
                sum = simd.fma(v, simd.splat(weight), sum);
            }
            let to = out.as_mut_ptr().add(at);
            match out.len() - at {
                left if left < S::LANES => simd.store_partial_ptr(to, left, sum),
                _ => simd.store_ptr(to, sum),
            }
        }
        at += S::LANES;
    }
}

impl Producer<f32> for FilterF32<'_> {
    fn scratch(&self) -> usize {
        let ring = self.down.count;
        Pieces::bytes::<f32>(ring * self.room())
            + Pieces::bytes::<f32>(ring)
            + Pieces::bytes::<f32>(self.tail_len())
            + Pieces::bytes::<u64>(ring)
    }
    fn longest_run(&self) -> usize {
        (STRIP * self.pixels * self.dst.channels).min(self.dst.row())
    }
    #[inline(always)]
    unsafe fn band<S: Narrow, K: Sink<f32>>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
        sink: &K,
    ) {
        let (own, spare) = scratch.split_at_mut(self.scratch());
        let mut pieces = Pieces::new(own);
        let (room, ring) = (self.room(), self.down.count);
        let held = pieces.take::<f32>(ring * room).as_mut_ptr();
        let weights = pieces.take::<f32>(ring);
        let tail = pieces.take::<f32>(self.tail_len());
        // Beyond the row, where the weights are zero, no NaN may stand.
        tail.fill(0.0);
        let places = pieces.take::<u64>(ring);
        let in_vector = self.pixels * self.dst.channels;
        for first in (0..self.vectors).step_by(STRIP) {
            let vectors = first..(first + STRIP).min(self.vectors);
            let start = first * in_vector;
            let len = (vectors.len() * in_vector).min(self.dst.row() - start);
            // The first row that is not there yet.
            let mut next = 0;
            for y in rows.clone() {
                let top = self.down.at(y, weights);
                for at in top.max(next)..top + ring {
                    let row = self.src.row(at);
                    let mut end = std::ptr::null();
                    if vectors.end > self.careful {
                        tail[..row.len() - self.tail].copy_from_slice(&row[self.tail..]);
                        end = tail.as_ptr().wrapping_sub(self.tail);
                    }
                    // SAFETY: as planned; the ring has room for a strip and a vector.
                    unsafe {
                        let to = held.add(at % ring * room);
                        self.along_x(simd, row.as_ptr(), end, vectors.clone(), to);
                    }
                }
                next = next.max(top + ring);
                for (i, place) in places.iter_mut().enumerate() {
                    *place = ((top + i) % ring * room) as u64;
                }
                // SAFETY: the ring holds these rows; the run is this task's own.
                unsafe {
                    let run = sink.place(y, start, len, spare);
                    along_y(simd, held, places, weights, run);
                    let run: *const [f32] = run;
                    sink.finish(simd, y, start, &*run);
                }
            }
        }
    }
}
