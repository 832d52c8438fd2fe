//! Filters of floats, one to four channels, in vectors.
//!
//! Along x the taps come from memory as in `linear_f32`: in pairs for one and two channels, one by one for three and four, a
//! pixel a block of 128 bits. Of three channels the fourth lane is a stray that the next pixel's store covers. The four taps of a
//! bicubic sample have loops of their own, without a count: of one channel they are one load, weighed as they lie, and
//! what is left is to add up the even and the odd ones. The next source row is asked for while one is filtered.

use super::super::pixels::{Lent, Pieces, Rows, Size};
use super::super::rows::{self, Producer, Sink, ask_ahead, past_caches, store_pixels};
use super::Taps;
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Narrow, Tier};
use std::ops::Range;

/// Vectors in a strip. Weights are in the second-level cache then, but memory is read and written in longer runs: 96 took 1.1 times as long.
const STRIP: usize = 320;
/// Floats beyond a strip that a vector may write.
const MORE: usize = 16;
/// Vectors that are summed along y together, where there is no loop for their number of rows.
const VECTORS: usize = 4;
/// The taps of a bicubic sample.
const CUBIC: usize = 4;

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
    /// For every vector and tap a vector, of three and four channels a weight a pixel. One channel of four taps: two vectors for each half of the pixels,
    /// the first two weights of each and the last two.
    weights: Lent<'a, f32>,
    /// Vectors from here on may read beyond the row: they read a copy of the row from `tail` on.
    careful: usize,
    tail: usize,
    /// Source rows are longer than destination rows: what takes the time is to fetch them.
    shrinks: bool,
    /// The destination is larger than the caches.
    past_caches: bool,
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
        // Of three and four channels, the weight of a pixel is one number.
        let width = if channels <= 2 { channels } else { 1 };
        let vectors = dst.width.div_ceil(pixels);
        let mut plan = FilterF32 {
            src,
            dst,
            down,
            taps,
            pixels,
            vectors,
            offsets: ctx.scratch(vectors * pixels)?,
            weights: ctx.scratch(vectors * taps * pixels * width)?,
            careful: vectors,
            tail: src.size.row(),
            shrinks: src.size.width > dst.width,
            past_caches: past_caches(dst),
        };
        plan.weights.fill(0.0);
        let mut row: Lent<'_, f32> = ctx.scratch(taps.min(src.size.width))?;
        for x in 0..vectors * pixels {
            let (vector, pixel) = (x / pixels, x % pixels);
            // Places after the last repeat it.
            let first = across.at(x.min(dst.width - 1), &mut row);
            plan.offsets[x] = (first * channels) as u32;
            for (tap, &weight) in row.iter().enumerate() {
                if (channels, taps) == (1, CUBIC) {
                    let (half, pixel) = (pixel / (lanes / 2), pixel % (lanes / 2));
                    let at = (vector * taps + 2 * half + tap / 2) * lanes;
                    plan.weights[at + 2 * pixel + tap % 2] = weight;
                    continue;
                }
                let at = ((vector * taps + tap) * pixels + pixel) * width;
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
        [row, tail, next]: [*const f32; 3],
        vectors: Range<usize>,
        out: *mut f32,
    ) {
        let quick = self.careful.clamp(vectors.start, vectors.end);
        let split = (quick - vectors.start) * self.pixels * self.dst.channels;
        let parts = [
            ([row, next], vectors.start..quick, 0),
            ([tail; 2], quick..vectors.end, split),
        ];
        for (from, vectors, at) in parts {
            // SAFETY: the caller's promise.
            unsafe {
                let out = out.add(at);
                match (self.dst.channels, self.taps) {
                    (1, CUBIC) => self.fours(simd, from, vectors, out),
                    (1, _) => self.pairs::<S, 1>(simd, from, vectors, out),
                    (2, _) => self.pairs::<S, 2>(simd, from, vectors, out),
                    _ => self.blocks(simd, from, vectors, out),
                }
            }
        }
    }

    /// Four taps of one channel.
    ///
    /// # Safety
    /// The taps of these vectors are readable in the first of `from`; `out` has room.
    #[inline(always)]
    unsafe fn fours<S: Narrow>(
        &self,
        simd: S,
        [from, next]: [*const f32; 2],
        vectors: Range<usize>,
        mut out: *mut f32,
    ) {
        // SAFETY: the plan has offsets and weights for all vectors.
        unsafe {
            for vector in vectors {
                let at = self.offsets.as_ptr().add(vector * S::LANES);
                let weights = self.weights.as_ptr().add(vector * CUBIC * S::LANES);
                if self.shrinks {
                    ask_ahead::<S, 1>(simd, next, at);
                }
                let mut halves = [simd.zero(); 2];
                for (i, sum) in halves.iter_mut().enumerate() {
                    let (a, b) = simd.load_float_quads_ptr(from, at.add(i * S::LANES / 2));
                    let w = weights.add(2 * i * S::LANES);
                    *sum = simd.mul(a, simd.load_ptr(w));
                    *sum = simd.fma(b, simd.load_ptr(w.add(S::LANES)), *sum);
                }
                let (even, odd) = simd.deinterleave(halves[0], halves[1]);
                simd.store_ptr(out, simd.add(even, odd));
                out = out.add(S::LANES);
            }
        }
    }

    /// Any even number of taps of one or two channels.
    ///
    /// # Safety
    /// As for [`fours`](Self::fours).
    #[inline(always)]
    unsafe fn pairs<S: Narrow, const C: usize>(
        &self,
        simd: S,
        [from, next]: [*const f32; 2],
        vectors: Range<usize>,
        mut out: *mut f32,
    ) {
        // SAFETY: the plan has offsets and weights for all vectors.
        unsafe {
            for vector in vectors {
                let at = self.offsets.as_ptr().add(vector * S::LANES / C);
                let weights = self.weights.as_ptr().add(vector * self.taps * S::LANES);
                if self.shrinks {
                    ask_ahead::<S, C>(simd, next, at);
                }
                let mut sum = simd.zero();
                for tap in (0..self.taps).step_by(2) {
                    let from = from.wrapping_add(tap * C);
                    let (a, b) = match C {
                        1 => simd.load_float_pairs_ptr(from, at),
                        _ => simd.load_float_quads_ptr(from, at),
                    };
                    let w = weights.add(tap * S::LANES);
                    sum = simd.fma(a, simd.load_ptr(w), sum);
                    sum = simd.fma(b, simd.load_ptr(w.add(S::LANES)), sum);
                }
                simd.store_ptr(out, sum);
                out = out.add(S::LANES);
            }
        }
    }

    /// Any number of taps of three or four channels.
    ///
    /// # Safety
    /// As for [`fours`](Self::fours).
    #[inline(always)]
    unsafe fn blocks<S: Narrow>(
        &self,
        simd: S,
        [from, next]: [*const f32; 2],
        vectors: Range<usize>,
        mut out: *mut f32,
    ) {
        let channels = self.dst.channels;
        let taps = self.taps;
        // SAFETY: the plan has offsets and weights for all vectors.
        unsafe {
            for vector in vectors {
                let at = self.offsets.as_ptr().add(vector * S::BLOCKS);
                let weights = self.weights.as_ptr().add(vector * taps * S::BLOCKS);
                if self.shrinks {
                    ask_ahead::<S, 4>(simd, next, at);
                }
                let mut sum = simd.zero();
                for tap in 0..taps {
                    let v = simd.load_float_blocks_ptr(from.wrapping_add(tap * channels), at);
                    let weight = simd.splat_blocks_ptr(weights.add(tap * S::BLOCKS));
                    sum = simd.fma(v, weight, sum);
                }
                store_pixels(simd, out, channels, sum);
                out = out.add(S::BLOCKS * channels);
            }
        }
    }
}

/// Joins rows along y.
///
/// # Safety
/// The rows, `offsets` from `held`, are readable for whole vectors of `out`, wherever in it these begin.
#[inline(always)]
unsafe fn along_y<S: Narrow>(
    simd: S,
    held: *const f32,
    offsets: &[u64],
    weights: &[f32],
    out: &mut [f32],
) {
    let (to, len) = (out.as_mut_ptr(), out.len());
    // SAFETY: the caller's promise; full stores only where there is room, and streaming ones where they are aligned.
    unsafe {
        let mut at = 0;
        // Several vectors for a weight.
        while at + VECTORS * S::LANES <= len {
            let mut sums = [simd.zero(); VECTORS];
            for (&offset, &weight) in offsets.iter().zip(weights) {
                let weight = simd.splat(weight);
                for (i, sum) in sums.iter_mut().enumerate() {
                    let v = simd.load_ptr(held.add(offset as usize + at + i * S::LANES));
                    *sum = simd.fma(v, weight, *sum);
                }
            }
            for (i, sum) in sums.into_iter().enumerate() {
                simd.store_ptr(to.add(at + i * S::LANES), sum);
            }
            at += VECTORS * S::LANES;
        }
        while at < len {
            let mut sum = simd.zero();
            for (&offset, &weight) in offsets.iter().zip(weights) {
                let v = simd.load_ptr(held.add(offset as usize + at));
                sum = simd.fma(v, simd.splat(weight), sum);
            }
            simd.store_partial_ptr(to.add(at), len - at, sum);
            at += S::LANES;
        }
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
        let last_row = self.src.size.height - 1;
        let stream = K::DIRECT && self.past_caches;
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
                        let next = self.src.row((at + 1).min(last_row)).as_ptr();
                        self.along_x(simd, [row.as_ptr(), end, next], vectors.clone(), to);
                    }
                }
                next = next.max(top + ring);
                for (i, place) in places.iter_mut().enumerate() {
                    *place = ((top + i) % ring * room) as u64;
                }
                // SAFETY: the ring holds these rows; the run is this task's own.
                unsafe {
                    let run = sink.place(y, start, len, spare);
                    match (&*places, &*weights) {
                        (&[a, b, c, d], &[e, f, g, h]) => {
                            let rows =
                                [a, b, c, d].map(|place| held.add(place as usize).cast_const());
                            match stream {
                                true => {
                                    rows::along_y::<S, CUBIC, true>(simd, rows, [e, f, g, h], run)
                                }
                                false => {
                                    rows::along_y::<S, CUBIC, false>(simd, rows, [e, f, g, h], run)
                                }
                            }
                        }
                        _ => along_y(simd, held, places, weights, run),
                    }
                    let run: *const [f32] = run;
                    sink.finish(simd, y, start, &*run);
                }
            }
        }
        if stream {
            simd.finish_streaming();
        }
    }
}
