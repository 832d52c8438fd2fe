//! Bilinear interpolation of bytes, in OpenCV's fixed point, bit for bit.
//!
//! With weights in 2048ths, a source row is first interpolated along x,
//! `S = s0 a0 + s1 a1` (19 bits), then two such rows along y,
//! `(((b0 (S0 >> 4)) >> 16) + ((b1 (S1 >> 4)) >> 16) + 2) >> 2`. Only `S >> 4` enters the second
//! step, and it fits 15 bits: so the interpolated row is kept as words, losing nothing, in the
//! first-level cache, and serves every destination row that needs it.
//!
//! The second step is two multiplications and two additions for `2 LANES` samples. The first is
//! where the time goes, because samples must be brought together from where the coordinates
//! point. The destination row is cut in blocks of four samples, one for each block of 128 bits.
//! A block's eight source bytes are near each other: mostly inside of sixteen bytes (one load), else in
//! two runs of eight or four of four. A plan, made once per call, says where these runs start, and how a
//! byte shuffle turns them into four pairs of words, which one multiply-add instruction joins with
//! the weights. The two rows of an output row that are both new share the reading of the plan.
//!
//! Blocks are dealt so that nothing ever crosses them. A vector of bytes has `4 BLOCKS` blocks of four
//! samples; interpolation vector `m` of four holds in block `b` the samples `16 b + 4 m ..`, hence two packs
//! in place put them in order.
//!
//! An exact halving is not interpolation in OpenCV but the mean of four: see `halve`. That of five and more channels takes the
//! same way with weights of one, ties to even.

use super::axis::{Axis, fixed_point};
use super::pixels::{Lent, Pieces, Rows, Size};
use super::rows::{Held, Producer, Sink};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Narrow, Tier};
use std::ops::Range;

/// How the two rows are joined.
#[derive(Clone, Copy, PartialEq)]
enum Join {
    /// By the weights of y.
    Linear,
    /// The mean of four, half to even.
    Half,
}

/// The samples of a strip: what the plan, two rows of words and the source of a strip take together fits
/// the first-level cache. A multiple of 12 vectors of bytes of every tier, so strips begin with whole pixels.
const STRIP: usize = 1536;

/// Bytes that a run of a block may read: shorter rows are padded to it.
const BLOCK: usize = 16;

/// The interpolation of one image to one size, ready to make rows.
pub(super) struct LinearU8<'a> {
    src: Rows<'a, u8>,
    /// Samples in a destination row.
    row: usize,
    down: Axis,
    join: Join,
    /// Runs per block: 1, 2 or 4.
    parts: usize,
    /// Where runs start; `parts` a block.
    offsets: Lent<'a, u32>,
    /// Sixteen a block.
    shuffles: Lent<'a, u8>,
    /// Eight a block: pairs.
    weights: Lent<'a, i16>,
}

impl<'a> LinearU8<'a> {
    /// Plans the interpolation of `src` to `dst`, whose channels are those of `src`. Neither is empty.
    pub(super) fn new(
        ctx: &'a Context,
        src: Rows<'a, u8>,
        dst: Size,
        across: Axis,
        down: Axis,
        halve: bool,
    ) -> Result<LinearU8<'a>> {
        let channels = src.size.channels;
        let join = if halve { Join::Half } else { Join::Linear };
        // A tap is the first sample, the second, and both weights.
        let mut taps: Lent<'_, u32> = ctx.scratch(3 * dst.width)?;
        for (x, tap) in taps.chunks_exact_mut(3).enumerate() {
            let (first, second, weights) = match halve {
                true => (2 * x, 2 * x + 1, (1, 1)),
                false => {
                    let tap = across.across(x);
                    (tap.first, tap.second, fixed_point(tap.fraction))
                }
            };
            tap[0] = (first * channels) as u32;
            tap[1] = (second * channels) as u32;
            tap[2] = u32::from(weights.0 as u16) | u32::from(weights.1 as u16) << 16;
        }
        let parts = parts(channels, &taps);
        // Vectors of bytes have four times as many blocks of four samples as blocks of 128 bits.
        let in_vector = lanes(ctx.isa().tier()) / 4;
        let blocks = dst.row().div_ceil(16 * in_vector) * 4 * in_vector;
        let mut plan = LinearU8 {
            src,
            row: dst.row(),
            down,
            join,
            parts,
            offsets: ctx.scratch(blocks * parts)?,
            shuffles: ctx.scratch(blocks * 16)?,
            weights: ctx.scratch(blocks * 8)?,
        };
        plan.fill(&taps, in_vector, blocks);
        Ok(plan)
    }

    /// Writes the plan.
    fn fill(&mut self, taps: &[u32], in_vector: usize, blocks: usize) {
        let channels = self.src.size.channels;
        let parts = self.parts;
        let length = BLOCK / parts;
        let last_start = (self.src.size.row().max(BLOCK) - length) as u32;
        let last_pixel = taps.len() / 3 - 1;
        // Samples beyond the row repeat the last pixel; nobody looks at them.
        let tap = |pixel: usize| -> &[u32] { &taps[3 * pixel.min(last_pixel)..][..3] };
        let (mut pixel, mut channel) = (0, 0);
        for block in 0..blocks {
            let (group, b, m) = (block / (4 * in_vector), block / 4 % in_vector, block % 4);
            let place = (4 * group + m) * in_vector + b;
            let offsets = &mut self.offsets[place * parts..][..parts];
            for (run, offset) in offsets.iter_mut().enumerate() {
                let start = match (parts, channels) {
                    (1, _) => tap(pixel)[0],
                    (_, 1) => tap(pixel + run * (4 / parts))[0],
                    (2, _) => tap(pixel + run)[0],
                    (_, _) if run < 2 => tap(pixel)[run] + channel as u32,
                    (_, _) => tap(pixel + 1)[run - 2],
                };
                *offset = start.min(last_start);
            }
            let shuffle = &mut self.shuffles[place * 16..][..16];
            let weights = &mut self.weights[place * 8..][..8];
            let first_pixel = pixel;
            for i in 0..4 {
                let tap = tap(pixel);
                for side in 0..2 {
                    let run = match (parts, channels) {
                        (1, _) => 0,
                        (_, 1) => i * parts / 4,
                        (2, _) => pixel - first_pixel,
                        (_, _) => 2 * (pixel - first_pixel) + side,
                    };
                    let at = tap[side] + channel as u32 - offsets[run];
                    debug_assert!((at as usize) < length);
                    shuffle[4 * i + 2 * side] = (run * length) as u8 + at as u8;
                    shuffle[4 * i + 2 * side + 1] = 0x80;
                    weights[2 * i + side] = (tap[2] >> (16 * side)) as i16;
                }
                channel += 1;
                if channel == channels {
                    (pixel, channel) = (pixel + 1, 0);
                }
            }
        }
    }
}

/// The lanes of a tier.
fn lanes(tier: Tier) -> usize {
    match tier {
        Tier::Portable | Tier::Neon => 4,
        Tier::Avx2 => 8,
        Tier::Avx512 => 16,
    }
}

/// The runs that every block of a row can do with: one of sixteen bytes; two of eight, each for two
/// pixels of one channel or for one pixel of more; four of four, each for one pixel of one channel, or for one
/// tap of one of the (at most two) pixels that a block of five and more channels has a part in.
fn parts(channels: usize, taps: &[u32]) -> usize {
    let pixels = taps.len() / 3;
    // All that `pixels` neighbours in the destination read, at most.
    let extent = |count: usize| {
        let count = count.min(pixels);
        (0..=pixels - count)
            .map(|x| taps[3 * (x + count - 1)] - taps[3 * x])
            .max()
            .map_or(0, |span| span as usize + 2 * channels)
    };
    let (in_block, in_half) = match channels {
        1 => (4, 2),
        2 | 3 => (2, 1),
        4 => (1, 1),
        _ => return 4,
    };
    match (extent(in_block) <= BLOCK, extent(in_half) <= BLOCK / 2) {
        (true, _) => 1,
        (false, true) => 2,
        _ => 4,
    }
}

impl LinearU8<'_> {
    /// `LANES` samples interpolated along x, shifted unless halving.
    ///
    /// # Safety
    /// `src` is a row of the source, padded to `BLOCK` bytes; `place` is the first block of a vector of the plan.
    #[inline(always)]
    unsafe fn sums<S: Narrow, const PARTS: usize, const HALVE: bool>(
        &self,
        simd: S,
        src: *const u8,
        place: usize,
    ) -> S::I32 {
        // SAFETY: the plan has places for all vectors of a row, and its runs lie inside of the (padded) row.
        let sums = unsafe {
            let bytes =
                simd.load_blocks_ptr::<PARTS>(src, self.offsets.as_ptr().add(place * PARTS));
            let shuffle = simd.load_bytes_ptr(self.shuffles.as_ptr().add(place * 16));
            let weights = simd.load_words_ptr(self.weights.as_ptr().add(place * 8));
            let pairs = simd.bytes_as_i16(simd.shuffle_bytes(bytes, shuffle));
            simd.dot_pairs_i16(pairs, weights)
        };
        match HALVE {
            true => sums,
            false => simd.shr_i32::<4>(sums),
        }
    }

    /// Interpolates a part of `N` source rows along x, the plan being read once.
    ///
    /// # Safety
    /// As [`sums`](Self::sums) for each of `src`; `out` has room for `vectors` of `4 LANES` words each.
    #[inline(always)]
    unsafe fn along_x<S: Narrow, const PARTS: usize, const HALVE: bool, const N: usize>(
        &self,
        simd: S,
        src: [*const u8; N],
        vectors: Range<usize>,
        out: [*mut i16; N],
    ) {
        let words = 2 * S::LANES;
        for (i, vector) in vectors.enumerate() {
            let place = 4 * S::BLOCKS * vector;
            for half in 0..2 {
                let place = place + 2 * half * S::BLOCKS;
                for n in 0..N {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let a = self.sums::<S, PARTS, HALVE>(simd, src[n], place);
                        let b = self.sums::<S, PARTS, HALVE>(simd, src[n], place + S::BLOCKS);
                        simd.store_words_ptr(
                            out[n].add((2 * i + half) * words),
                            simd.pack_i32(a, b),
                        );
                    }
                }
            }
        }
    }

    /// Joins two rows of words.
    ///
    /// # Safety
    /// `rows` hold whole vectors of `4 LANES` words for all of `out`.
    #[inline(always)]
    unsafe fn along_y<S: Narrow>(
        &self,
        simd: S,
        rows: [*const i16; 2],
        weights: (i16, i16),
        out: &mut [u8],
    ) {
        let (words, bytes) = (2 * S::LANES, 4 * S::LANES);
        let weights = [simd.splat_i16(weights.0), simd.splat_i16(weights.1)];
        let mut at = 0;
        while at < out.len() {
            // SAFETY: the caller's promise; a full store only where there is room.
            unsafe {
                let low = [rows[0].add(at), rows[1].add(at)];
                let high = [rows[0].add(at + words), rows[1].add(at + words)];
                let (low, high) = match self.join {
                    Join::Linear => (linear(simd, low, weights), linear(simd, high, weights)),
                    Join::Half => (half_even(simd, low), half_even(simd, high)),
                };
                let v = simd.pack_i16(low, high);
                let to = out.as_mut_ptr().add(at);
                match out.len() - at {
                    left if left < bytes => simd.store_bytes_partial_ptr(to, left, v),
                    _ => simd.store_bytes_ptr(to, v),
                }
            }
            at += bytes;
        }
    }

    /// As [`Producer::band`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn rows<S: Narrow, K: Sink<u8>, const PARTS: usize, const HALVE: bool>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
        sink: &K,
    ) {
        let (own, spare) = scratch.split_at_mut(self.scratch());
        let mut pieces = Pieces::new(own);
        let held = [0, 1].map(|_| pieces.take::<i16>(STRIP).as_mut_ptr());
        // Short rows are read from here.
        let mut padded = [[0u8; BLOCK]; 2];
        for start in (0..self.row).step_by(STRIP) {
            let len = STRIP.min(self.row - start);
            let first = start / (4 * S::LANES);
            let vectors = first..first + len.div_ceil(4 * S::LANES);
            let mut holds = Held::new();
            for y in rows.clone() {
                let tap = self.down.down(y);
                let (mut wanted, weights) = match HALVE {
                    true => ([2 * y, 2 * y + 1], (0, 0)),
                    false => ([tap.first, tap.second], fixed_point(tap.fraction)),
                };
                if !HALVE && weights.1 == 0 {
                    wanted[1] = wanted[0];
                }
                let (halves, missing) = holds.claim(wanted);
                let to = halves.map(|half| held[half]);
                let mut from = [std::ptr::null(); 2];
                for i in 0..2 {
                    let row = self.src.row(wanted[i]);
                    from[i] = row.as_ptr();
                    if row.len() < BLOCK {
                        padded[i][..row.len()].copy_from_slice(row);
                        from[i] = padded[i].as_ptr();
                    }
                }
                let vectors = vectors.clone();
                // SAFETY: a half has room for a strip; a row shorter than a block is padded to one;
                // the run is this task's own.
                unsafe {
                    match missing {
                        [true, true] => {
                            self.along_x::<S, PARTS, HALVE, 2>(simd, from, vectors, to);
                        }
                        [true, false] => {
                            self.along_x::<S, PARTS, HALVE, 1>(simd, [from[0]], vectors, [to[0]]);
                        }
                        [false, true] => {
                            self.along_x::<S, PARTS, HALVE, 1>(simd, [from[1]], vectors, [to[1]]);
                        }
                        [false, false] => {}
                    }
                    let run = sink.place(y, start, len, spare);
                    self.along_y(simd, to.map(|row| row.cast_const()), weights, run);
                    let run: *const [u8] = run;
                    sink.finish(simd, y, start, &*run);
                }
            }
        }
    }
}

/// `((b0 w0 >> 16) + (b1 w1 >> 16) + 2) >> 2`
///
/// # Safety
/// Both rows are readable for a vector of words.
#[inline(always)]
unsafe fn linear<S: Narrow>(simd: S, rows: [*const i16; 2], weights: [S::I16; 2]) -> S::I16 {
    // SAFETY: the caller's promise.
    let (a, b) = unsafe { (simd.load_words_ptr(rows[0]), simd.load_words_ptr(rows[1])) };
    let a = simd.mul_high_i16(a, weights[0]);
    let b = simd.mul_high_i16(b, weights[1]);
    simd.shr_i16::<2>(simd.add_i16(simd.add_i16(a, b), simd.splat_i16(2)))
}

/// `(a + b + 1 + ((a + b) >> 2 & 1)) >> 2`
///
/// # Safety
/// Both rows are readable for a vector of words.
#[inline(always)]
unsafe fn half_even<S: Narrow>(simd: S, rows: [*const i16; 2]) -> S::I16 {
    // SAFETY: the caller's promise.
    let (a, b) = unsafe { (simd.load_words_ptr(rows[0]), simd.load_words_ptr(rows[1])) };
    let sum = simd.add_i16(a, b);
    let odd = simd.and_i16(simd.shr_i16::<2>(sum), simd.splat_i16(1));
    simd.shr_i16::<2>(simd.add_i16(simd.add_i16(sum, odd), simd.splat_i16(1)))
}

impl Producer<u8> for LinearU8<'_> {
    fn scratch(&self) -> usize {
        2 * Pieces::bytes::<i16>(STRIP)
    }
    fn longest_run(&self) -> usize {
        STRIP.min(self.row)
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
            match (self.join == Join::Linear, self.parts) {
                (true, 1) => self.rows::<S, K, 1, false>(simd, rows, scratch, sink),
                (true, 2) => self.rows::<S, K, 2, false>(simd, rows, scratch, sink),
                (true, _) => self.rows::<S, K, 4, false>(simd, rows, scratch, sink),
                // Five and more channels.
                (false, _) => self.rows::<S, K, 4, true>(simd, rows, scratch, sink),
            }
        }
    }
}
