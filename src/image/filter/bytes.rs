//! Filters of bytes, one to four channels, in vectors.
//!
//! The taps of a pixel are read in runs of four: four, eight, twelve or sixteen bytes. A block of 128 bits takes the
//! runs of four pixels of one channel, two of two, or one of three or four; two byte shuffles, the same for all blocks,
//! bring the samples of the first two taps and of the last two side by side as words, and a multiply-add each sums them
//! in 32-bit lanes: four samples a block (of three channels, one lane is idle until the end).
//!
//! Two source rows are filtered along x together, for the weights are the same, and are kept as the two words of a lane: then
//! a multiply-add does two rows along y as well, and no sample moves before the destination row is packed to bytes.
//! Vectors of a group of four are dealt as in `area::vectors_u8`, so that packs in place put pixels in order.

use super::super::area::store;
use super::super::pixels::{Lent, Pieces, Rows, Size};
use super::super::rows::{Producer, Sink};
use super::{ONE, Taps};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Narrow, Tier};
use std::ops::Range;

/// Bytes of a block.
const BLOCK: usize = 16;
/// The widest vector in bytes.
const WIDEST: usize = 64;
/// Groups in a strip.
const STRIP: usize = 32;

/// The filter of one image to one size, ready to make rows.
pub(super) struct FilterU8<'a> {
    src: Rows<'a, u8>,
    dst: Size,
    down: Taps,
    wide: bool,
    lanes: usize,
    /// Pixels in a block.
    parts: usize,
    /// Runs of four taps.
    runs: usize,
    /// Groups of four vectors in a row.
    groups: usize,
    /// Where the runs of pixels start.
    offsets: Lent<'a, u32>,
    /// For every vector and run two vectors of words.
    weights: Lent<'a, i16>,
    /// Groups from here on may read beyond the row: they read a copy of the row from `tail` on.
    careful: usize,
    tail: usize,
    /// The first and the last two taps of a block side by side, and the bytes of pixels brought together.
    shuffles: [[u8; WIDEST]; 2],
    compress: [u8; WIDEST],
}

impl<'a> FilterU8<'a> {
    pub(super) fn new(
        ctx: &'a Context,
        src: Rows<'a, u8>,
        dst: Size,
        [across, down]: [Taps; 2],
    ) -> Result<FilterU8<'a>> {
        let channels = dst.channels;
        let parts = match channels {
            1 => 4,
            2 => 2,
            _ => 1,
        };
        let lanes = match ctx.isa().tier() {
            Tier::Portable | Tier::Neon => 4,
            Tier::Avx2 => 8,
            Tier::Avx512 => 16,
        };
        let blocks = lanes / 4;
        let runs = across.count.div_ceil(4);
        let in_group = 4 * blocks * parts;
        let groups = dst.width.div_ceil(in_group);
        let mut plan = FilterU8 {
            src,
            dst,
            wide: across.kernel.is_wide(),
            down,
            lanes,
            parts,
            runs,
            groups,
            offsets: ctx.scratch(groups * in_group)?,
            weights: ctx.scratch(4 * groups * runs * 4 * lanes)?,
            careful: groups,
            tail: src.size.row(),
            shuffles: [[0x80; WIDEST]; 2],
            compress: [0x80; WIDEST],
        };
        for i in 0..WIDEST {
            let (lane, byte) = (i % BLOCK / 4, i % 4);
            let (part, channel) = (lane * parts / 4, lane % (4 / parts));
            if byte % 2 == 0 && channel < channels {
                let first = part * (BLOCK / parts) + channel + byte / 2 * channels;
                plan.shuffles[0][i] = first as u8;
                plan.shuffles[1][i] = (first + 2 * channels) as u8;
            }
            let i = i % BLOCK;
            match channels {
                3 if i < 12 => plan.compress[i] = (i / 3 * 4 + i % 3) as u8,
                3 => {}
                _ => plan.compress[i] = i as u8,
            }
        }
        for i in BLOCK..WIDEST {
            plan.compress[i] = plan.compress[i % BLOCK];
        }
        // As many taps as runs have, or, in a narrower image, as there are.
        let taps = (4 * runs).min(src.size.width);
        let mut floats: Lent<'_, f32> = ctx.scratch(taps)?;
        let mut fixed: Lent<'_, i16> = ctx.scratch(taps)?;
        plan.weights.fill(0);
        let width = 4 / parts;
        for x in 0..groups * in_group {
            let (group, place, part) = (x / in_group, x % in_group / parts, x % parts);
            let (block, vector) = (place / 4, 4 * group + place % 4);
            // Places after the last repeat it; nobody looks at them.
            let first = across.fixed_at(x.min(dst.width - 1), &mut floats, &mut fixed);
            plan.offsets[(vector * blocks + block) * parts + part] = (first * channels) as u32;
            for (tap, &weight) in fixed.iter().enumerate() {
                let at = ((vector * runs + tap / 4) * 2 + tap % 4 / 2) * 2 * lanes;
                for lane in 0..width {
                    plan.weights[at + 2 * (4 * block + part * width + lane) + tap % 2] = weight;
                }
            }
            let end = first * channels + (runs - 1) * 4 * channels + BLOCK / parts;
            if end > src.size.row() {
                plan.careful = plan.careful.min(group);
            }
            if group >= plan.careful {
                plan.tail = plan.tail.min(first * channels);
            }
        }
        // The group's pixels before the first that reads too far.
        for x in plan.careful * in_group..dst.width.min((plan.careful + 1) * in_group) {
            let first = across.fixed_at(x, &mut floats, &mut fixed);
            plan.tail = plan.tail.min(first * channels);
        }
        Ok(plan)
    }

    /// Bytes of a copy of a row's end: what is read beyond the row is weighed with zero.
    fn tail_bytes(&self) -> usize {
        let reach = self.runs * 4 * self.dst.channels + BLOCK;
        (self.src.size.row() - self.tail) + reach
    }

    /// Pairs of rows that a destination row needs at most.
    fn pairs(&self) -> usize {
        self.down.count / 2 + 1
    }

    /// Lanes of a strip.
    fn strip(&self) -> usize {
        STRIP.min(self.groups) * 4 * self.lanes
    }

    /// Pixels of a group.
    fn in_group(&self) -> usize {
        self.lanes * self.parts
    }

    /// Filters the groups of a pair of rows along x.
    ///
    /// # Safety
    /// `rows` and `tails` are rows of the source, from their first byte and (wrapping) from their end's copy; `out` has room for the groups.
    #[inline(always)]
    unsafe fn along_x<S: Narrow, const PARTS: usize, const WIDE: bool>(
        &self,
        simd: S,
        rows: [*const u8; 2],
        tails: [*const u8; 2],
        groups: Range<usize>,
        out: *mut i32,
    ) {
        let runs = self.runs;
        let words = 2 * S::LANES;
        let step = 4 * self.dst.channels;
        let (offsets, weights) = (self.offsets.as_ptr(), self.weights.as_ptr());
        // SAFETY: the plan has offsets and weights for all vectors, and their runs lie inside of rows or tails.
        unsafe {
            let shuffles = [
                simd.load_bytes_ptr(self.shuffles[0].as_ptr()),
                simd.load_bytes_ptr(self.shuffles[1].as_ptr()),
            ];
            let low = simd.splat_i32(0xFFFF);
            let rounding = simd.splat_i32(if WIDE { ONE / 2 } else { ONE / 128 });
            let (least, most) = (simd.splat_i32(0), simd.splat_i32(255));
            let begin = 4 * groups.start;
            for vector in begin..4 * groups.end {
                let from = if vector / 4 < self.careful {
                    rows
                } else {
                    tails
                };
                let offsets = offsets.add(vector * S::BLOCKS * PARTS);
                let weights = weights.add(vector * runs * 2 * words);
                let mut sums = [rounding; 2];
                for run in 0..runs {
                    let first = simd.load_words_ptr(weights.add(2 * run * words));
                    let last = simd.load_words_ptr(weights.add((2 * run + 1) * words));
                    for (sum, from) in sums.iter_mut().zip(from) {
                        let from = from.wrapping_add(run * step);
                        let bytes = simd.load_blocks_ptr::<PARTS>(from, offsets);
                        let a = simd.bytes_as_i16(simd.shuffle_bytes(bytes, shuffles[0]));
                        let b = simd.bytes_as_i16(simd.shuffle_bytes(bytes, shuffles[1]));
                        *sum = simd.add_i32(*sum, simd.dot_pairs_i16(a, first));
                        *sum = simd.add_i32(*sum, simd.dot_pairs_i16(b, last));
                    }
                }
                for sum in &mut sums {
                    *sum = match WIDE {
                        true => {
                            let v = simd.shr_i32::<14>(*sum);
                            simd.min_i32(simd.max_i32(v, least), most)
                        }
                        false => simd.shr_i32::<8>(*sum),
                    };
                }
                let pair = simd.or_i32(simd.and_i32(sums[0], low), simd.shl_i32::<16>(sums[1]));
                simd.store_i32_ptr(out.add((vector - begin) * S::LANES), pair);
            }
        }
    }

    /// Joins pairs of rows along y.
    ///
    /// # Safety
    /// The rows, `pairs` from `held`, and the weights (a vector of words each) are readable; groups are those of `out`.
    #[inline(always)]
    unsafe fn along_y<S: Narrow, const WIDE: bool>(
        &self,
        simd: S,
        held: *const i32,
        pairs: &[u64],
        weights: *const i16,
        groups: usize,
        out: &mut [u8],
    ) {
        let words = 2 * S::LANES;
        // SAFETY: the caller's promise.
        unsafe {
            let compress = simd.load_bytes_ptr(self.compress.as_ptr());
            let rounding = simd.splat_i32(if WIDE { ONE / 2 } else { ONE * 32 });
            for group in 0..groups {
                let mut sums = [rounding; 4];
                for (i, &pair) in pairs.iter().enumerate() {
                    let weight = simd.load_words_ptr(weights.add(i * words));
                    for (m, sum) in sums.iter_mut().enumerate() {
                        let at = held.add(pair as usize + (4 * group + m) * S::LANES);
                        let v = simd.load_words_ptr(at.cast());
                        *sum = simd.add_i32(*sum, simd.dot_pairs_i16(v, weight));
                    }
                }
                for sum in &mut sums {
                    *sum = match WIDE {
                        true => simd.shr_i32::<14>(*sum),
                        false => simd.shr_i32::<20>(*sum),
                    };
                }
                let first = simd.pack_i32(sums[0], sums[1]);
                let last = simd.pack_i32(sums[2], sums[3]);
                let v = simd.pack_i16(first, last);
                store(simd, v, compress, self.dst.channels, group, out);
            }
        }
    }

    /// As [`Producer::band`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn rows<S: Narrow, K: Sink<u8>, const PARTS: usize, const WIDE: bool>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
        sink: &K,
    ) {
        let (own, spare) = scratch.split_at_mut(self.scratch());
        let mut pieces = Pieces::new(own);
        let (strip, ring) = (self.strip(), self.pairs());
        let held = pieces.take::<i32>(ring * strip).as_mut_ptr();
        let weights = pieces.take::<i16>(ring * 2 * S::LANES);
        let floats = pieces.take::<f32>(self.down.count);
        let fixed = pieces.take::<i16>(self.down.count);
        let tails = [0, 1].map(|_| pieces.take::<u8>(self.tail_bytes()));
        let places = pieces.take::<u64>(ring);
        let channels = self.dst.channels;
        let last_row = self.src.size.height - 1;
        for first in (0..self.groups).step_by(STRIP) {
            let groups = first..(first + STRIP).min(self.groups);
            let start = first * self.in_group() * channels;
            let len = (groups.len() * self.in_group() * channels).min(self.dst.row() - start);
            // The first pair of rows that is not there yet.
            let mut next = 0;
            for y in rows.clone() {
                let top = self.down.fixed_at(y, floats, fixed);
                let pairs = top / 2..(top + fixed.len()).div_ceil(2);
                for pair in pairs.start.max(next)..pairs.end {
                    let mut from = [std::ptr::null(); 2];
                    let mut ends = from;
                    for i in 0..2 {
                        let row = self.src.row((2 * pair + i).min(last_row));
                        from[i] = row.as_ptr();
                        if groups.end > self.careful {
                            let end = &row[self.tail..];
                            tails[i][..end.len()].copy_from_slice(end);
                            ends[i] = tails[i].as_ptr().wrapping_sub(self.tail);
                        }
                    }
                    // SAFETY: as planned; the ring has room for a strip.
                    unsafe {
                        let to = held.add(pair % ring * strip);
                        self.along_x::<S, PARTS, WIDE>(simd, from, ends, groups.clone(), to);
                    }
                }
                next = next.max(pairs.end);
                for (i, pair) in pairs.clone().enumerate() {
                    // Rows before the first and after the last tap weigh nothing.
                    let weight = |row: usize| match row.checked_sub(top) {
                        Some(tap) if tap < fixed.len() => fixed[tap],
                        _ => 0,
                    };
                    let both = [weight(2 * pair), weight(2 * pair + 1)];
                    let vector = &mut weights[i * 2 * S::LANES..][..2 * S::LANES];
                    for lane in vector.chunks_exact_mut(2) {
                        lane.copy_from_slice(&both);
                    }
                    places[i] = (pair % ring * strip) as u64;
                }
                // SAFETY: the ring holds these pairs; the run is this task's own.
                unsafe {
                    let run = sink.place(y, start, len, spare);
                    let at = &places[..pairs.len()];
                    self.along_y::<S, WIDE>(simd, held, at, weights.as_ptr(), groups.len(), run);
                    let run: *const [u8] = run;
                    sink.finish(simd, y, start, &*run);
                }
            }
        }
    }
}

impl Producer<u8> for FilterU8<'_> {
    fn scratch(&self) -> usize {
        let ring = self.pairs();
        Pieces::bytes::<i32>(ring * self.strip())
            + Pieces::bytes::<i16>(ring * 2 * self.lanes)
            + Pieces::bytes::<f32>(self.down.count)
            + Pieces::bytes::<i16>(self.down.count)
            + 2 * Pieces::bytes::<u8>(self.tail_bytes())
            + Pieces::bytes::<u64>(ring)
    }
    fn longest_run(&self) -> usize {
        (STRIP * self.in_group() * self.dst.channels).min(self.dst.row())
    }
    #[inline(always)]
    unsafe fn band<S: Narrow, K: Sink<u8>>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
        sink: &K,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.parts, self.wide) {
                (1, false) => self.rows::<S, K, 1, false>(simd, rows, scratch, sink),
                (1, true) => self.rows::<S, K, 1, true>(simd, rows, scratch, sink),
                (2, false) => self.rows::<S, K, 2, false>(simd, rows, scratch, sink),
                (2, true) => self.rows::<S, K, 2, true>(simd, rows, scratch, sink),
                (_, false) => self.rows::<S, K, 4, false>(simd, rows, scratch, sink),
                (_, true) => self.rows::<S, K, 4, true>(simd, rows, scratch, sink),
            }
        }
    }
}
