//! Halving both sides of an image of bytes exactly, which OpenCV does as the mean of four.
//!
//! The sums of neighbouring pixels are those of neighbouring bytes, for one channel as they lie, for others
//! after a shuffle inside of sixteen bytes; one instruction makes eight of them (of three channels six). Blocks are loaded so that the
//! pack at the end puts bytes in order. It reads and writes memory as fast as that goes. The last vector of a row ends with it and
//! makes again what the one before has made.

use super::pixels::{Rows, Size};
use super::rows::{Producer, Sink};
use crate::runtime::Context;
use crate::simd::{Narrow, Tier};
use std::array::from_fn;
use std::ops::Range;

/// The widest vector in bytes, and its blocks.
const WIDEST: usize = 64;
const BLOCKS: usize = WIDEST / 16;

/// Of each eight bytes the first six, side by side.
const SIXES: [u8; WIDEST] = {
    let mut sixes = [0x80; WIDEST];
    let mut i = 0;
    while i < WIDEST {
        if i % 16 < 12 {
            sixes[i] = (i % 16 + i % 16 / 6 * 2) as u8;
        }
        i += 1;
    }
    sixes
};

/// The means of one image, ready to make rows.
pub(super) struct HalveU8<'a> {
    src: Rows<'a, u8>,
    dst: Size,
    /// For any vector and for the last of a row.
    plans: [Plan; 2],
}

/// How the bytes of a vector come together.
struct Plan {
    /// Where the blocks of the first and of the second half of a result start.
    offsets: [[u32; BLOCKS]; 2],
    /// For each half: brings the samples of a channel of two pixels together.
    pairs: [[u8; WIDEST]; 2],
}

impl Plan {
    /// `blocks` of vectors, of which the last, of three channels, starts four bytes `early`.
    fn new(channels: usize, blocks: usize, early: usize) -> Plan {
        let bytes = 2 * samples(channels);
        let early = |block: usize, half: usize| match (channels, half, block + 1 == blocks) {
            (3, 1, true) => early,
            _ => 0,
        };
        Plan {
            offsets: from_fn(|half| {
                from_fn(|block| (bytes * (2 * block + half) - early(block, half)) as u32)
            }),
            pairs: from_fn(|half| {
                from_fn(|i| {
                    let (sample, pixel) = (i % 16 / 2, i % 2);
                    let (at, channel) = (sample / channels, sample % channels);
                    let byte = (2 * at + pixel) * channels + channel + early(i / 16, half);
                    // Of three channels, two samples are none.
                    (byte % 16) as u8
                })
            }),
        }
    }
}

/// Samples that a block of the source makes.
fn samples(channels: usize) -> usize {
    if channels == 3 { 6 } else { 8 }
}

impl<'a> HalveU8<'a> {
    /// Whether images of so many channels are served.
    pub(super) fn takes(channels: usize) -> bool {
        matches!(channels, 1..=4)
    }

    pub(super) fn new(ctx: &Context, src: Rows<'a, u8>, dst: Size) -> HalveU8<'a> {
        let blocks = match ctx.isa().tier() {
            Tier::Portable | Tier::Neon => 1,
            Tier::Avx2 => 2,
            Tier::Avx512 => 4,
        };
        HalveU8 {
            src,
            dst,
            plans: [0, 4].map(|early| Plan::new(dst.channels, blocks, early)),
        }
    }

    /// The mean of four: ties up, for two channels to even, as OpenCV has it.
    #[inline(always)]
    fn mean<S: Narrow, const C: usize>(simd: S, sum: S::I16) -> S::I16 {
        let rounding = match C {
            2 => {
                let odd = simd.and_i16(simd.shr_i16::<2>(sum), simd.splat_i16(1));
                simd.add_i16(simd.splat_i16(1), odd)
            }
            _ => simd.splat_i16(2),
        };
        simd.shr_i16::<2>(simd.add_i16(sum, rounding))
    }

    /// Makes a vector from two rows.
    ///
    /// # Safety
    /// The blocks of the plan are readable from both of `rows`; `out` has room for what they make.
    #[inline(always)]
    unsafe fn vector<S: Narrow, const C: usize>(
        simd: S,
        plan: &Plan,
        rows: [*const u8; 2],
        out: *mut u8,
    ) {
        let mut halves = [simd.splat_i16(0); 2];
        // SAFETY: the caller's promise.
        unsafe {
            for (i, half) in halves.iter_mut().enumerate() {
                let pairs = simd.load_bytes_ptr(plan.pairs[i].as_ptr());
                for row in rows {
                    let mut v = simd.load_blocks_ptr::<1>(row, plan.offsets[i].as_ptr());
                    if C > 1 {
                        v = simd.shuffle_bytes(v, pairs);
                    }
                    *half = simd.add_i16(*half, simd.sum_pairs_u8(v));
                }
                *half = Self::mean::<S, C>(simd, *half);
            }
            let v = simd.pack_i16(halves[0], halves[1]);
            if C != 3 {
                return simd.store_bytes_ptr(out, v);
            }
            let v = simd.shuffle_bytes(v, simd.load_bytes_ptr(SIXES.as_ptr()));
            simd.store_twelves_ptr(out, v);
        }
    }

    /// Makes a row from two.
    ///
    /// # Safety
    /// `rows` have twice as many samples as `out`.
    #[inline(always)]
    unsafe fn row<S: Narrow, const C: usize>(&self, simd: S, rows: [&[u8]; 2], out: &mut [u8]) {
        let step = 2 * samples(C) * S::BLOCKS;
        let Some(last) = out.len().checked_sub(step) else {
            return self.short::<C>(rows, out);
        };
        // SAFETY: vectors end inside of the rows. Of three channels the last block is read four bytes further, but by the last
        // vector's plan, and every other one is at least a pixel before it.
        unsafe {
            let at = |at: usize| rows.map(|row| row.as_ptr().add(2 * at));
            for start in (0..last).step_by(step) {
                let to = out.as_mut_ptr().add(start);
                Self::vector::<S, C>(simd, &self.plans[0], at(start), to);
            }
            let to = out.as_mut_ptr().add(last);
            Self::vector::<S, C>(simd, &self.plans[1], at(last), to);
        }
    }

    /// Makes a row that is shorter than a vector.
    #[inline(always)]
    fn short<const C: usize>(&self, rows: [&[u8]; 2], out: &mut [u8]) {
        for (at, out) in out.iter_mut().enumerate() {
            let first = at / C * 2 * C + at % C;
            let sum: u16 = rows
                .iter()
                .map(|row| u16::from(row[first]) + u16::from(row[first + C]))
                .sum();
            let rounding = if C == 2 { 1 + (sum >> 2 & 1) } else { 2 };
            *out = ((sum + rounding) >> 2) as u8;
        }
    }
}

impl Producer<u8> for HalveU8<'_> {
    fn scratch(&self) -> usize {
        0
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
        for y in rows {
            let from = [self.src.row(2 * y), self.src.row(2 * y + 1)];
            // SAFETY: the run is this task's own; the source is twice as wide.
            unsafe {
                let run = sink.place(y, 0, self.dst.row(), scratch);
                match self.dst.channels {
                    1 => self.row::<S, 1>(simd, from, run),
                    2 => self.row::<S, 2>(simd, from, run),
                    3 => self.row::<S, 3>(simd, from, run),
                    _ => self.row::<S, 4>(simd, from, run),
                }
                let run: *const [u8] = run;
                sink.finish(simd, y, 0, &*run);
            }
        }
    }
}
