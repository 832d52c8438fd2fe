//! Bicubic interpolation of floats, three and four channels, without antialias.
//!
//! The four taps of a pixel of `C` channels are `4 C` floats that follow each other in a row: as many vectors hold them as there are
//! channels, a pixel a block of 128 bits, and taps of three channels come out of them by shuffles inside of blocks. All of
//! them lie in the row, so no end of it needs care; weights are four a pixel, of which each is spread over its block.
//!
//! Where the image shrinks by more than half again along y, hardly any source row is wanted twice: both axes are one loop over the
//! destination, along y first, because of all the samples in a row only those in the windows are joined, and they are weighed along x once
//! in place of four times. Else source rows are filtered along x into a ring that stays in the caches, two at a time, which
//! share their weights; four of them are joined along y. What takes the time then is memory: the source rows that are wanted next and the
//! destination are asked for ahead.

use super::super::pixels::{Lent, Pieces, Rows, Size};
use super::super::rows::{Producer, Sink, along_y, ask_destination, past_caches, splats};
use super::{Kernel, Taps};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::Narrow;
use std::ops::Range;

/// Taps along an axis.
const TAPS: usize = 4;
/// Rows of the ring: those of a destination row and one that was made together with the last of them.
const RING: usize = TAPS + 1;
/// Pixels of a strip, a multiple of eight. 1280 and 2560 took 1.1 times as long for 1280 x 720 to twice that, 320 1.2 times for 1920 x 1080
/// to 640 x 640.
const STRIP: usize = 640;
/// Pixels of a step at most, two vectors of the widest tier: the plan has as many beyond the row, and rows of the ring room for them.
const MORE: usize = 8;

/// The interpolation of one image to one size, ready to make rows.
pub(super) struct CubicF32<'a> {
    src: Rows<'a, f32>,
    dst: Size,
    down: Taps,
    /// Where the first tap of a pixel is, and the weights of its taps.
    offsets: Lent<'a, u32>,
    weights: Lent<'a, f32>,
    /// So many fewer destination than source rows that few of these are wanted twice: none is kept.
    alone: bool,
    /// The destination is larger than the caches.
    past_caches: bool,
}

impl<'a> CubicF32<'a> {
    /// Whether it makes such images.
    pub(super) fn takes(channels: usize, [across, down]: &[Taps; 2]) -> bool {
        matches!(channels, 3 | 4)
            && across.kernel == Kernel::Cubic
            && [across.count, down.count] == [TAPS; 2]
    }

    /// Plans the interpolation of `src` to `dst`, which it [`takes`](Self::takes).
    pub(super) fn new(
        ctx: &'a Context,
        src: Rows<'a, f32>,
        dst: Size,
        [across, down]: [Taps; 2],
    ) -> Result<CubicF32<'a>> {
        let mut plan = CubicF32 {
            src,
            dst,
            down,
            offsets: ctx.scratch(dst.width + MORE)?,
            weights: ctx.scratch((dst.width + MORE) * TAPS)?,
            alone: 2 * src.size.height > 3 * dst.height,
            past_caches: past_caches(dst),
        };
        let weights = plan.weights.chunks_exact_mut(TAPS);
        for (x, (offset, weights)) in plan.offsets.iter_mut().zip(weights).enumerate() {
            // Places after the last repeat it.
            *offset = (across.at(x.min(dst.width - 1), weights) * dst.channels) as u32;
        }
        Ok(plan)
    }

    /// Samples of a row as bands count them: fewer rows are filtered again where bands are long.
    pub(super) fn row_work(&self) -> usize {
        match self.alone {
            true => self.dst.row(),
            false => self.dst.row() / 4,
        }
    }

    /// Floats of a row of the ring.
    fn room(&self) -> usize {
        (STRIP.min(self.dst.width) + MORE) * self.dst.channels
    }
}

/// The pixels of a run, and where they come from and go to.
struct Run {
    /// Of the first pixel on.
    offsets: *const u32,
    weights: *const f32,
    count: usize,
    channels: usize,
    /// Source rows, of which a loop along x makes the first two.
    rows: [*const f32; TAPS],
    /// The weights of the rows, where they are joined.
    down: [f32; TAPS],
    /// The destination, or two rows of the ring.
    out: [*mut f32; 2],
    /// Source rows to ask for.
    next: [*const f32; 2],
}

/// The `4 C` floats from an offset on, for an offset per block.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn window<S: Narrow, const C: usize>(
    simd: S,
    row: *const f32,
    at: *const u32,
) -> [S::F32; C] {
    let mut window = [simd.zero(); C];
    for (i, part) in window.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *part = unsafe { simd.load_float_blocks_ptr(row.add(4 * i), at) };
    }
    window
}

/// The taps in a window, weighed; of three channels, the fourth lane is a stray.
#[inline(always)]
fn weighed<S: Narrow, const C: usize>(
    simd: S,
    window: [S::F32; C],
    weights: [S::F32; TAPS],
) -> S::F32 {
    let taps = match C {
        3 => [
            window[0],
            simd.align_blocks::<3>(window[0], window[1]),
            simd.align_blocks::<2>(window[1], window[2]),
            simd.align_blocks::<1>(window[2], window[2]),
        ],
        _ => [window[0], window[1], window[2], window[C - 1]],
    };
    let mut sum = simd.mul(taps[0], weights[0]);
    for i in 1..TAPS {
        sum = simd.fma(taps[i], weights[i], sum);
    }
    sum
}

/// Stores two vectors of pixels, one a block.
///
/// # Safety
/// `to` has room for them.
#[inline(always)]
unsafe fn store<S: Narrow, const C: usize>(simd: S, to: *mut f32, [a, b]: [S::F32; 2]) {
    // SAFETY: the caller's promise.
    unsafe {
        if C == 3 {
            let a = simd.i32_as_bytes(simd.bits(a));
            let b = simd.i32_as_bytes(simd.bits(b));
            simd.store_twelves_of_two_ptr(to.cast(), a, b);
        } else {
            simd.store_ptr(to, a);
            simd.store_ptr(to.add(S::LANES), b);
        }
    }
}

impl Run {
    /// `BOTH`: makes `out[0]` of four rows, `ASK`: asking for the next ones. Else each of `out` of a row, along x, and always asking.
    ///
    /// # Safety
    /// Offsets and weights are those of `count` pixels and `MORE`, whose taps are readable in the rows. Of both axes, the destination has
    /// room for the pixels and no more is written; else for them and `MORE`.
    #[inline(always)]
    unsafe fn make<S: Narrow, const BOTH: bool, const ASK: bool>(&self, simd: S) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.channels {
                3 => self.pixels::<S, 3, BOTH, ASK>(simd),
                _ => self.pixels::<S, 4, BOTH, ASK>(simd),
            }
        }
    }

    /// # Safety
    /// As for [`make`](Self::make); there are `C` channels.
    #[inline(always)]
    unsafe fn pixels<S: Narrow, const C: usize, const BOTH: bool, const ASK: bool>(&self, simd: S) {
        // A copy that nobody else sees: what is stored could be `self` as far as the compiler knows.
        let run = &Run { ..*self };
        let down = splats(simd, run.down);
        let step = 2 * S::BLOCKS;
        let mut i = 0;
        // SAFETY: the caller's promise; steps of the destination are whole until the last.
        unsafe {
            while i + step <= run.count || (!BOTH && i < run.count) {
                let [a, b] = run.vector::<S, C, BOTH, ASK>(simd, i, down);
                let [c, d] = run.vector::<S, C, BOTH, ASK>(simd, i + S::BLOCKS, down);
                store::<S, C>(simd, run.out[0].add(i * C), [a, c]);
                if !BOTH {
                    store::<S, C>(simd, run.out[1].add(i * C), [b, d]);
                }
                i += step;
            }
            if i < run.count {
                let [a, _] = run.vector::<S, C, BOTH, ASK>(simd, i, down);
                let [c, _] = run.vector::<S, C, BOTH, ASK>(simd, i + S::BLOCKS, down);
                let mut last = [0.0; 4 * MORE];
                store::<S, C>(simd, last.as_mut_ptr(), [a, c]);
                let len = (run.count - i) * C;
                (run.out[0].add(i * C)).copy_from_nonoverlapping(last.as_ptr(), len);
            }
        }
    }

    /// A vector of pixels of both outputs; of both axes there is one, twice.
    ///
    /// # Safety
    /// As for [`make`](Self::make), of the vector from pixel `i` on.
    #[inline(always)]
    unsafe fn vector<S: Narrow, const C: usize, const BOTH: bool, const ASK: bool>(
        &self,
        simd: S,
        i: usize,
        down: [S::F32; TAPS],
    ) -> [S::F32; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let at = self.offsets.add(i);
            for row in self.next {
                for block in (0..S::BLOCKS).step_by(2) {
                    if ASK {
                        simd.prefetch(row.wrapping_add(*at.add(block) as usize));
                    }
                }
            }
            if BOTH {
                ask_destination(simd, self.out[0].wrapping_add(i * C));
            }
            let weights = simd.load_ptr(self.weights.add(i * TAPS));
            let weights = [
                simd.splat_lane::<0>(weights),
                simd.splat_lane::<1>(weights),
                simd.splat_lane::<2>(weights),
                simd.splat_lane::<3>(weights),
            ];
            let mut first = window::<S, C>(simd, self.rows[0], at);
            if !BOTH {
                let second = window::<S, C>(simd, self.rows[1], at);
                return [
                    weighed::<S, C>(simd, first, weights),
                    weighed::<S, C>(simd, second, weights),
                ];
            }
            for part in &mut first {
                *part = simd.mul(*part, down[0]);
            }
            let rows = self.rows;
            for row in 1..TAPS {
                let other = window::<S, C>(simd, rows[row], at);
                for i in 0..C {
                    first[i] = simd.fma(other[i], down[row], first[i]);
                }
            }
            [weighed::<S, C>(simd, first, weights); 2]
        }
    }
}

impl Producer<f32> for CubicF32<'_> {
    fn scratch(&self) -> usize {
        RING * Pieces::bytes::<f32>(self.room())
    }
    fn longest_run(&self) -> usize {
        STRIP.min(self.dst.width) * self.dst.channels
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
        let ring = [0; RING].map(|_| pieces.take::<f32>(self.room()).as_mut_ptr());
        let channels = self.dst.channels;
        let last = self.src.size.height - 1;
        let row = |y: usize| self.src.row(y.min(last)).as_ptr();
        let stream = K::DIRECT && self.past_caches;
        // Where images shrink by more, asking for all rows of the next destination row takes longer than it saves.
        let ask = self.src.size.height <= 3 * self.dst.height;
        for first in (0..self.dst.width).step_by(STRIP) {
            let count = STRIP.min(self.dst.width - first);
            let (start, len) = (first * channels, count * channels);
            // The first row that is not in the ring yet.
            let mut fresh = 0;
            for y in rows.clone() {
                let mut down = [0.0; TAPS];
                let top = self.down.at(y, &mut down);
                // SAFETY: as planned, taps are in the row; the ring has room for a strip and a step; the run is this task's own.
                unsafe {
                    let out = sink.place(y, start, len, spare);
                    let mut run = Run {
                        offsets: self.offsets.as_ptr().add(first),
                        weights: self.weights.as_ptr().add(first * TAPS),
                        count,
                        channels,
                        rows: [row(top), row(top + 1), row(top + 2), row(top + 3)],
                        down,
                        out: [out.as_mut_ptr(); 2],
                        next: [std::ptr::null(); 2],
                    };
                    if self.alone {
                        let next = self.down.at((y + 1).min(rows.end - 1), &mut down);
                        run.next = [row(next + 2), row(next + 3)];
                        match ask {
                            true => run.make::<S, true, true>(simd),
                            false => run.make::<S, true, false>(simd),
                        }
                    } else {
                        fresh = fresh.max(top);
                        while fresh < top + TAPS {
                            run.rows[..2].copy_from_slice(&[row(fresh), row(fresh + 1)]);
                            run.out = [ring[fresh % RING], ring[(fresh + 1) % RING]];
                            run.next = [row(fresh + 2), row(fresh + 3)];
                            run.make::<S, false, true>(simd);
                            fresh += 2;
                        }
                        let joined = [0, 1, 2, 3].map(|i| ring[(top + i) % RING].cast_const());
                        match stream {
                            true => along_y::<S, TAPS, true>(simd, joined, down, out),
                            false => along_y::<S, TAPS, false>(simd, joined, down, out),
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
