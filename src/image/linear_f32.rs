//! Bilinear interpolation of floats: `s0 (1 - f) + s1 f` along x, then along y.
//!
//! A source row that is interpolated along x is kept in the caches for all
//! destination rows that need it. Along x the samples come from memory as pairs: for one channel
//! the two taps lie next to each other, so eight bytes are one load and a shuffle of two registers
//! parts them; for two channels sixteen bytes; for three and four channels each tap is a load of its own, a
//! pixel a block of 128 bits. None of it needs a gather. Of these, where the image shrinks, the next source row is asked for while one is interpolated:
//! on 1920 x 1080 of three channels to 640 x 640, 1.2 times as fast.

use super::axis::Axis;
use super::pixels::{Lent, Pieces, Rows, Size};
use super::rows::{Held, Producer, Sink, aligned, ask_ahead, past_caches, store_pixels};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::Narrow;
use std::ops::Range;

/// Samples of a strip, a multiple of 12 vectors of every tier. Held rows are in the second-level cache then, but memory is read and
/// written in long runs, which is worth more: 1536 took 1.2 to 1.3 times as long on 1920 x 1080 of three channels.
const STRIP: usize = 6144;
/// Pixels that the plan has beyond the row, so that whole vectors of it can be read.
const MORE: usize = 16;

/// The interpolation of one image to one size, ready to make rows.
pub(super) struct LinearF32<'a> {
    src: Rows<'a, f32>,
    /// Samples in a destination row.
    row: usize,
    down: Axis,
    /// Where the first tap of a pixel is, `MORE` pixels beyond the last included.
    offsets: Lent<'a, u32>,
    /// Weights of the second tap: one per sample for one and two channels, four per pixel else.
    weights: Lent<'a, f32>,
    /// Pixels from here on have less than four readable floats from their second tap on.
    careful: usize,
    /// Source rows are longer than destination rows: what takes the time is to fetch them.
    shrinks: bool,
    /// The destination is larger than the caches.
    past_caches: bool,
}

impl<'a> LinearF32<'a> {
    /// Plans the interpolation of `src` to `dst`, whose channels are those of `src`. Neither is empty.
    pub(super) fn new(
        ctx: &'a Context,
        src: Rows<'a, f32>,
        dst: Size,
        across: Axis,
        down: Axis,
    ) -> Result<LinearF32<'a>> {
        let channels = dst.channels;
        let copies = copies(channels);
        let mut plan = LinearF32 {
            src,
            row: dst.row(),
            down,
            offsets: ctx.scratch(dst.width + MORE)?,
            weights: ctx.scratch((dst.width + MORE) * copies)?,
            careful: dst.width,
            shrinks: src.size.width > dst.width,
            past_caches: past_caches(dst),
        };
        let last = src.size.width.saturating_sub(2);
        for (x, offset) in plan.offsets.iter_mut().enumerate() {
            let tap = across.across(x.min(dst.width - 1));
            // The last pixel has no second tap: it is the second tap of its neighbour.
            let (first, weight) = match tap.first > last {
                true => (last, 1.0),
                false => (tap.first, tap.fraction),
            };
            *offset = (first * channels) as u32;
            plan.weights[x * copies..][..copies].fill(weight);
            if first * channels + channels + 4 > src.size.row() {
                plan.careful = plan.careful.min(x);
            }
        }
        Ok(plan)
    }

    /// Interpolates samples `start..start + len` of a row along x. (`len` may end anywhere, whole vectors are made.)
    ///
    /// # Safety
    /// `src` is a row of the source of at least two pixels; `out` has room for `STRIP + MORE` floats.
    #[inline(always)]
    unsafe fn along_x<S: Narrow>(
        &self,
        simd: S,
        [src, next]: [*const f32; 2],
        start: usize,
        len: usize,
        out: *mut f32,
    ) {
        let channels = self.src.size.channels;
        let one = simd.splat(1.0);
        let offsets = self.offsets.as_ptr();
        let weights = self.weights.as_ptr();
        // SAFETY: plan, source and output reach as far as the callers and `new` made sure.
        unsafe {
            match channels {
                1 => {
                    for i in (0..len).step_by(S::LANES) {
                        let at = offsets.add(start + i);
                        let taps = simd.load_float_pairs_ptr(src, at);
                        let f = simd.load_ptr(weights.add(start + i));
                        simd.store_ptr(out.add(i), lerp(simd, taps, simd.sub(one, f), f));
                    }
                }
                2 => {
                    for i in (0..len).step_by(S::LANES) {
                        let at = offsets.add((start + i) / 2);
                        let taps = simd.load_float_quads_ptr(src, at);
                        let f = simd.load_ptr(weights.add(start + i));
                        simd.store_ptr(out.add(i), lerp(simd, taps, simd.sub(one, f), f));
                    }
                }
                _ => {
                    let (first, count) = (start / channels, len / channels);
                    self.pixels(simd, [src, next], first, count, out);
                }
            }
        }
    }

    /// As [`along_x`](Self::along_x), for three and more channels.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn pixels<S: Narrow>(
        &self,
        simd: S,
        [src, next]: [*const f32; 2],
        first: usize,
        count: usize,
        out: *mut f32,
    ) {
        let channels = self.src.size.channels;
        let one = simd.splat(1.0);
        let mut i = 0;
        if channels <= 4 {
            let quick = self.careful.saturating_sub(first).min(count);
            while i + S::BLOCKS <= quick {
                // SAFETY: before `careful` four floats are readable from both taps on; the output has room for its pixels.
                unsafe {
                    let at = self.offsets.as_ptr().add(first + i);
                    if self.shrinks {
                        ask_ahead::<S, 4>(simd, next, at);
                    }
                    let taps = (
                        simd.load_float_blocks_ptr(src, at),
                        simd.load_float_blocks_ptr(src.add(channels), at),
                    );
                    let f = simd.load_ptr(self.weights.as_ptr().add(4 * (first + i)));
                    let v = lerp(simd, taps, simd.sub(one, f), f);
                    store_pixels(simd, out.add(i * channels), channels, v);
                }
                i += S::BLOCKS;
            }
        }
        for i in i..count {
            let at = self.offsets[first + i] as usize;
            let f = simd.splat(self.weights[4 * (first + i)]);
            for c in (0..channels).step_by(S::LANES) {
                // SAFETY: both taps have `channels` samples, and so has the output.
                unsafe {
                    let left = channels - c;
                    let taps = (
                        simd.load_partial_ptr(src.add(at + c), left),
                        simd.load_partial_ptr(src.add(at + channels + c), left),
                    );
                    let v = lerp(simd, taps, simd.sub(one, f), f);
                    simd.store_partial_ptr(out.add(i * channels + c), left, v);
                }
            }
        }
    }
}

/// Weights stored per pixel.
fn copies(channels: usize) -> usize {
    if channels <= 2 { channels } else { 4 }
}

/// `a w0 + b w1`
#[inline(always)]
fn lerp<S: Narrow>(simd: S, (a, b): (S::F32, S::F32), w0: S::F32, w1: S::F32) -> S::F32 {
    simd.fma(b, w1, simd.mul(a, w0))
}

/// Joins two rows along y; `STREAM` past the caches.
///
/// # Safety
/// Both rows hold whole vectors for all of `out`, wherever in it these begin.
#[inline(always)]
unsafe fn along_y<S: Narrow, const STREAM: bool>(
    simd: S,
    rows: [*const f32; 2],
    fraction: f32,
    out: &mut [f32],
) {
    let weights = [simd.splat(1.0 - fraction), simd.splat(fraction)];
    let (to, len) = (out.as_mut_ptr(), out.len());
    // SAFETY: the caller's promise; full stores only where there is room, and streaming ones where they are aligned.
    unsafe {
        let mut at = 0;
        if STREAM && len >= S::LANES {
            simd.store_ptr(to, joined(simd, rows, weights, 0));
            at = aligned::<S>(to);
        }
        while at + S::LANES <= len {
            let v = joined(simd, rows, weights, at);
            match STREAM {
                true => simd.store_streaming_ptr(to.add(at), v),
                false => simd.store_ptr(to.add(at), v),
            }
            at += S::LANES;
        }
        if at < len {
            simd.store_partial_ptr(to.add(at), len - at, joined(simd, rows, weights, at));
        }
    }
}

/// A vector of both rows, joined.
///
/// # Safety
/// Both rows hold it.
#[inline(always)]
unsafe fn joined<S: Narrow>(
    simd: S,
    rows: [*const f32; 2],
    [w0, w1]: [S::F32; 2],
    at: usize,
) -> S::F32 {
    // SAFETY: the caller's promise.
    let taps = unsafe {
        (
            simd.load_ptr(rows[0].add(at)),
            simd.load_ptr(rows[1].add(at)),
        )
    };
    lerp(simd, taps, w0, w1)
}

impl LinearF32<'_> {
    /// Samples of a strip: whole pixels.
    fn strip(&self) -> usize {
        let channels = self.src.size.channels;
        (STRIP / channels).max(1) * channels
    }

    /// Floats of a held row: a strip, and a vector that begins in it.
    fn room(&self) -> usize {
        self.strip() + MORE
    }
}

impl Producer<f32> for LinearF32<'_> {
    fn scratch(&self) -> usize {
        2 * Pieces::bytes::<f32>(self.room()) + Pieces::bytes::<f32>(2 * self.src.size.channels)
    }
    fn longest_run(&self) -> usize {
        self.strip().min(self.row)
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
        let held = [0, 1].map(|_| pieces.take::<f32>(self.room()).as_mut_ptr());
        let doubled = pieces.take::<f32>(2 * self.src.size.channels);
        let strip = self.strip();
        let stream = K::DIRECT && self.past_caches;
        for start in (0..self.row).step_by(strip) {
            let len = strip.min(self.row - start);
            let mut holds = Held::new();
            for y in rows.clone() {
                let tap = self.down.down(y);
                let second = match tap.fraction {
                    0.0 => tap.first,
                    _ => tap.second,
                };
                let (halves, missing) = holds.claim([tap.first, second]);
                // What the next row wants, which is asked for while this one is made.
                let next = self.down.down((y + 1).min(rows.end - 1));
                let ahead = match missing {
                    [true, true] => [next.first, next.second],
                    _ => [next.second; 2],
                };
                for (i, &wanted) in [tap.first, second].iter().enumerate() {
                    if !missing[i] {
                        continue;
                    }
                    let mut row = self.src.row(wanted);
                    if self.src.size.width == 1 {
                        let (a, b) = doubled.split_at_mut(row.len());
                        a.copy_from_slice(row);
                        b.copy_from_slice(row);
                        row = doubled;
                    }
                    // SAFETY: two pixels at least, and room for a strip and a vector.
                    unsafe {
                        let from = [row.as_ptr(), self.src.row(ahead[i]).as_ptr()];
                        self.along_x(simd, from, start, len, held[halves[i]]);
                    }
                }
                let from = halves.map(|half| held[half].cast_const());
                // SAFETY: both rows hold the strip; the run is this task's own.
                unsafe {
                    let run = sink.place(y, start, len, spare);
                    match stream {
                        true => along_y::<S, true>(simd, from, tap.fraction, run),
                        false => along_y::<S, false>(simd, from, tap.fraction, run),
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
