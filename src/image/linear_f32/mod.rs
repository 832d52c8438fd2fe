//! Bilinear interpolation of floats: `s0 (1 - f) + s1 f` along x, then along y.
//!
//! Where the image shrinks by more than half again along y, hardly any source row is wanted twice: both axes are one loop over
//! the destination, four taps a pixel, and no row is kept. Else a source row that is interpolated along x is kept in the caches for all
//! destination rows that need it, and joined to the one above while it is made. A row as wide as the source's is joined as it lies.
//!
//! Along x the samples come from memory as pairs: for one channel
//! the two taps lie next to each other, so eight bytes are one load and a shuffle of two registers
//! parts them; for two channels sixteen bytes; for three and four channels each tap is a load of its own, a
//! pixel a block of 128 bits. None of it needs a gather. Where the image shrinks, the lower source row of the next
//! destination row is asked for meanwhile, and the destination a little ahead.

mod runs;

use super::axis::Axis;
use super::pixels::{Lent, Pieces, Rows, Size};
use super::rows::{Held, Producer, Sink, along_y, past_caches};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::Narrow;
use runs::{ACROSS, BOTH, NEXT, Run, copies};
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
    /// So many fewer destination than source rows that few of these are wanted twice: none is kept.
    alone: bool,
    /// Nothing is to be done along x: the rows are those of the source.
    as_wide: bool,
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
            alone: 2 * src.size.height > 3 * dst.height,
            as_wide: src.size.width == dst.width,
            past_caches: past_caches(dst),
        };
        let last = src.size.width.saturating_sub(2);
        for (x, offset) in plan.offsets.iter_mut().enumerate() {
            let tap = across.across(x.min(dst.width - 1));
            plan.as_wide &= x >= dst.width || (tap.first == x && tap.fraction == 0.0);
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
}

impl LinearF32<'_> {
    /// Samples of a row as bands count them: fewer rows are made again where bands are long.
    pub(super) fn row_work(&self) -> usize {
        match self.alone || self.as_wide {
            true => self.row,
            false => self.row / 4,
        }
    }

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
        2 * Pieces::bytes::<f32>(self.room()) + 2 * Pieces::bytes::<f32>(2 * self.src.size.channels)
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
        let channels = self.src.size.channels;
        let doubled = [0, 1].map(|_| pieces.take::<f32>(2 * channels).as_mut_ptr());
        let strip = self.strip();
        let stream = K::DIRECT && self.past_caches;
        for start in (0..self.row).step_by(strip) {
            let len = strip.min(self.row - start);
            let (first, count) = (start / channels, len / channels);
            let mut holds = Held::new();
            for y in rows.clone() {
                let tap = self.down.down(y);
                let second = match tap.fraction {
                    0.0 => tap.first,
                    _ => tap.second,
                };
                let wanted = [tap.first, second];
                let down = [1.0 - tap.fraction, tap.fraction];
                // What the next row wants, which is asked for while this one is made.
                let next = self.down.down((y + 1).min(rows.end - 1));
                // SAFETY: two pixels at least in a row and room for a strip and a vector; the run is this task's own.
                unsafe {
                    let mut from = wanted.map(|y| self.src.row(y).as_ptr());
                    if self.src.size.width == 1 {
                        for (row, pair) in from.iter_mut().zip(doubled) {
                            pair.copy_from_nonoverlapping(*row, channels);
                            pair.add(channels).copy_from_nonoverlapping(*row, channels);
                            *row = pair;
                        }
                    }
                    let out = sink.place(y, start, len, spare);
                    let mut run = Run {
                        offsets: self.offsets.as_ptr().add(first),
                        weights: self.weights.as_ptr().add(first * copies(channels)),
                        count,
                        quick: self.careful.saturating_sub(first).min(count),
                        channels,
                        rows: from,
                        next: [next.first, next.second].map(|y| self.src.row(y).as_ptr()),
                        ask: self.shrinks,
                        fraction: tap.fraction,
                        kept: held[0],
                        fresh: held[0],
                        out: out.as_mut_ptr(),
                    };
                    if self.as_wide {
                        let from = from.map(|row| row.add(start));
                        match stream {
                            true => along_y::<S, 2, true>(simd, from, down, out),
                            false => along_y::<S, 2, false>(simd, from, down, out),
                        }
                    } else if self.alone && wanted[0] != wanted[1] && !stream {
                        run.make::<S, BOTH>(simd);
                    } else {
                        let (halves, missing) = holds.claim(wanted);
                        let kept = halves.map(|half| held[half]);
                        let fused = missing[1] && channels <= 4 && !stream;
                        if missing[0] {
                            run.fresh = kept[0];
                            run.make::<S, ACROSS>(simd);
                        }
                        (run.kept, run.fresh) = (kept[0], kept[1]);
                        if fused {
                            run.make::<S, NEXT>(simd);
                        } else if missing[1] {
                            run.rows = [from[1]; 2];
                            run.make::<S, ACROSS>(simd);
                        }
                        let kept = kept.map(<*mut f32>::cast_const);
                        match (fused, stream) {
                            (true, _) => {}
                            (_, true) => along_y::<S, 2, true>(simd, kept, down, out),
                            (_, false) => along_y::<S, 2, false>(simd, kept, down, out),
                        }
                    }
                    let out: *const [f32] = out;
                    sink.finish(simd, y, start, &*out);
                }
            }
        }
        if stream {
            simd.finish_streaming();
        }
    }
}
