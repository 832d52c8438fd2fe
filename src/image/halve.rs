//! Halving both sides of an image of bytes exactly, which OpenCV does as the mean of four.
//!
//! The sums of neighbouring pixels are those of neighbouring bytes, for one channel as they lie, for two and four
//! after a shuffle inside of sixteen bytes; one instruction makes eight of them. Blocks are loaded so that the pack at
//! the end puts bytes in order. It reads and writes memory as fast as that goes. (Three channels take the way of
//! `linear_u8`, whose plan has their shuffles.)

use super::pixels::{Rows, Size};
use super::rows::{Producer, Sink};
use crate::simd::Narrow;
use std::ops::Range;

/// The widest vector in bytes, and its blocks.
const WIDEST: usize = 64;
const BLOCKS: usize = WIDEST / 16;

/// The means of one image, ready to make rows.
pub(super) struct HalveU8<'a> {
    src: Rows<'a, u8>,
    dst: Size,
    /// Brings the samples of a channel of two pixels together.
    pairs: [u8; WIDEST],
    /// Where the blocks of the first and of the second half of a result start.
    offsets: [[u32; BLOCKS]; 2],
}

impl<'a> HalveU8<'a> {
    /// Whether images of so many channels are served.
    pub(super) fn takes(channels: usize) -> bool {
        matches!(channels, 1 | 2 | 4)
    }

    pub(super) fn new(src: Rows<'a, u8>, dst: Size) -> HalveU8<'a> {
        let channels = dst.channels;
        HalveU8 {
            src,
            dst,
            pairs: std::array::from_fn(|i| {
                let (sample, pixel) = (i % 16 / 2, i % 2);
                let (at, channel) = (sample / channels, sample % channels);
                ((2 * at + pixel) * channels + channel) as u8
            }),
            offsets: [0, 16].map(|half| std::array::from_fn(|block| (32 * block + half) as u32)),
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

    /// Makes a row from two.
    ///
    /// # Safety
    /// `rows` have twice as many samples as `out`.
    #[inline(always)]
    unsafe fn row<S: Narrow, const C: usize>(&self, simd: S, rows: [&[u8]; 2], out: &mut [u8]) {
        let bytes = 4 * S::LANES;
        let whole = out.len() / bytes * bytes;
        // SAFETY: vectors end inside of the rows.
        unsafe {
            let pairs = simd.load_bytes_ptr(self.pairs.as_ptr());
            for at in (0..whole).step_by(bytes) {
                let mut halves = [simd.splat_i16(0); 2];
                for (half, offsets) in halves.iter_mut().zip(&self.offsets) {
                    for row in rows {
                        let from = row.as_ptr().add(2 * at);
                        let mut v = simd.load_blocks_ptr::<1>(from, offsets.as_ptr());
                        if C > 1 {
                            v = simd.shuffle_bytes(v, pairs);
                        }
                        *half = simd.add_i16(*half, simd.sum_pairs_u8(v));
                    }
                    *half = Self::mean::<S, C>(simd, *half);
                }
                simd.store_bytes_ptr(
                    out.as_mut_ptr().add(at),
                    simd.pack_i16(halves[0], halves[1]),
                );
            }
        }
        for (at, out) in out.iter_mut().enumerate().skip(whole) {
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
                    _ => self.row::<S, 4>(simd, from, run),
                }
                let run: *const [u8] = run;
                sink.finish(simd, y, 0, &*run);
            }
        }
    }
}
