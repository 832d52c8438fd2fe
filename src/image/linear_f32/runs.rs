//! The loops over a run of destination pixels: along x into a row that is kept, or along both axes straight to the destination.
//!
//! `C` is the number of channels (zero: any), what a loop makes is its [`Way`]. Arithmetic is the same in all of them and at their ends,
//! along x first, so a pixel does not depend on which of them made it.

use super::super::rows::{ask_ahead, ask_destination, store_pixels};
use crate::simd::Narrow;

/// What a loop makes of the rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `fresh` is `rows[0]` along x.
    Across,
    /// `out` is both rows along x, joined: where the image shrinks and no row is wanted twice.
    Both,
    /// `fresh` is `rows[1]` along x, and `out` is it joined to `kept`, which is the row above it.
    Next,
}
pub(super) const ACROSS: u8 = Way::Across as u8;
pub(super) const BOTH: u8 = Way::Both as u8;
pub(super) const NEXT: u8 = Way::Next as u8;

/// The pixels of a run, and where they come from and go to.
pub(super) struct Run {
    /// Of the first pixel on: where the first tap is, and the weights of the second, [`copies`] a pixel.
    pub(super) offsets: *const u32,
    pub(super) weights: *const f32,
    pub(super) count: usize,
    /// Pixels from here on have less than four readable floats from their second tap on.
    pub(super) quick: usize,
    pub(super) channels: usize,
    /// Source rows.
    pub(super) rows: [*const f32; 2],
    /// The source rows of the next run.
    pub(super) next: [*const f32; 2],
    /// Whether to ask for the last of them: most of the other has been read already, or the CPU sees it coming.
    pub(super) ask: bool,
    /// The weight of the second row.
    pub(super) fraction: f32,
    pub(super) kept: *const f32,
    pub(super) fresh: *mut f32,
    pub(super) out: *mut f32,
}

/// Weights stored per pixel.
pub(super) fn copies(channels: usize) -> usize {
    if channels <= 2 { channels } else { 4 }
}

/// `a w0 + b w1`
#[inline(always)]
fn lerp<S: Narrow>(simd: S, (a, b): (S::F32, S::F32), [w0, w1]: [S::F32; 2]) -> S::F32 {
    simd.fma(b, w1, simd.mul(a, w0))
}

/// Both taps of a vector of pixels.
///
/// # Safety
/// They are readable; four floats each of three and four channels.
#[inline(always)]
unsafe fn taps<S: Narrow, const C: usize>(
    simd: S,
    row: *const f32,
    at: *const u32,
) -> (S::F32, S::F32) {
    // SAFETY: the caller's promise.
    unsafe {
        match C {
            1 => simd.load_float_pairs_ptr(row, at),
            2 => simd.load_float_quads_ptr(row, at),
            _ => (
                simd.load_float_blocks_ptr(row, at),
                simd.load_float_blocks_ptr(row.add(C), at),
            ),
        }
    }
}

/// Both taps of `left` samples, `channels` apart.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn some_taps<S: Narrow>(
    simd: S,
    row: *const f32,
    channels: usize,
    left: usize,
) -> (S::F32, S::F32) {
    // SAFETY: the caller's promise.
    unsafe {
        (
            simd.load_partial_ptr(row, left),
            simd.load_partial_ptr(row.add(channels), left),
        )
    }
}

/// Where blocks of three floats lie that follow each other.
static THREES: [u32; 4] = [0, 3, 6, 9];

impl Run {
    /// Makes all pixels.
    ///
    /// # Safety
    /// Offsets and weights are those of `count` pixels and a vector more; the taps of all of them are readable in the rows that the way
    /// reads. `out` has room for the pixels and no more is written; `fresh` and `kept` have that and a vector more.
    #[inline(always)]
    pub(super) unsafe fn make<S: Narrow, const WAY: u8>(&self, simd: S) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.channels {
                1 => self.asking::<S, WAY, 1>(simd),
                2 => self.asking::<S, WAY, 2>(simd),
                3 => self.asking::<S, WAY, 3>(simd),
                4 => self.asking::<S, WAY, 4>(simd),
                _ => self.pixels::<S, WAY>(simd, 0),
            }
        }
    }

    /// # Safety
    /// As for [`make`](Self::make); there are `C` channels.
    #[inline(always)]
    unsafe fn asking<S: Narrow, const WAY: u8, const C: usize>(&self, simd: S) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.ask && WAY != NEXT {
                true => self.vectors::<S, WAY, C, true>(simd),
                false => self.vectors::<S, WAY, C, false>(simd),
            }
        }
    }

    /// # Safety
    /// As for [`make`](Self::make); there are `C` channels.
    #[inline(always)]
    unsafe fn vectors<S: Narrow, const WAY: u8, const C: usize, const ASK: bool>(&self, simd: S) {
        // A copy that nobody else sees: what is stored could be `self` as far as the compiler knows.
        let run = &Run { ..*self };
        let down = [simd.splat(1.0 - run.fraction), simd.splat(run.fraction)];
        let pixels = match C {
            1 | 2 => S::LANES / C,
            _ => S::BLOCKS,
        };
        let to = if WAY == ACROSS { run.fresh } else { run.out };
        let mut i = 0;
        // SAFETY: the caller's promise. Taps of one and two channels are as many as are read; of three and four, four floats are
        // readable before `quick`.
        unsafe {
            if C > 2 {
                // Two vectors at a time of three channels: stores that cross lines are what this loop waits for.
                while C == 3 && i + 2 * pixels <= run.quick {
                    let [v, below] = run.vector::<S, WAY, C, ASK>(simd, i, down);
                    let [v1, below1] = run.vector::<S, WAY, C, ASK>(simd, i + pixels, down);
                    if WAY == NEXT {
                        store_threes(simd, run.fresh.add(i * C), below, below1);
                    }
                    store_threes(simd, to.add(i * C), v, v1);
                    i += 2 * pixels;
                }
                while i + pixels <= run.quick {
                    let [v, below] = run.vector::<S, WAY, C, ASK>(simd, i, down);
                    if WAY == NEXT {
                        store_pixels(simd, run.fresh.add(i * C), C, below);
                    }
                    store_pixels(simd, to.add(i * C), C, v);
                    i += pixels;
                }
                return self.pixels::<S, WAY>(simd, i);
            }
            while i + pixels <= run.count {
                let [v, below] = run.vector::<S, WAY, C, ASK>(simd, i, down);
                if WAY == NEXT {
                    simd.store_ptr(run.fresh.add(i * C), below);
                }
                simd.store_ptr(to.add(i * C), v);
                i += pixels;
            }
            if i < run.count {
                let [v, below] = run.vector::<S, WAY, C, false>(simd, i, down);
                if WAY == NEXT {
                    simd.store_ptr(run.fresh.add(i * C), below);
                }
                let left = match WAY {
                    ACROSS => S::LANES,
                    _ => (run.count - i) * C,
                };
                simd.store_partial_ptr(to.add(i * C), left, v);
            }
        }
    }

    /// The vector from pixel `i` on, and what [`NEXT`] keeps of it.
    ///
    /// # Safety
    /// As for [`make`](Self::make), with a vector of `C` channels at that place.
    #[inline(always)]
    unsafe fn vector<S: Narrow, const WAY: u8, const C: usize, const ASK: bool>(
        &self,
        simd: S,
        i: usize,
        down: [S::F32; 2],
    ) -> [S::F32; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let at = self.offsets.add(i);
            if ASK {
                ask_ahead::<S, C>(simd, self.next[usize::from(WAY == BOTH)], at);
            }
            if WAY != ACROSS {
                ask_destination(simd, self.out.wrapping_add(i * C));
            }
            let f = simd.load_ptr(self.weights.add(i * if C == 3 { 4 } else { C }));
            let across = [simd.sub(simd.splat(1.0), f), f];
            if WAY == ACROSS {
                return [lerp(simd, taps::<S, C>(simd, self.rows[0], at), across); 2];
            }
            let below = lerp(simd, taps::<S, C>(simd, self.rows[1], at), across);
            let above = if WAY == BOTH {
                lerp(simd, taps::<S, C>(simd, self.rows[0], at), across)
            } else {
                let kept = self.kept.add(i * C);
                match C {
                    3 => simd.load_float_blocks_ptr(kept, THREES.as_ptr()),
                    _ => simd.load_ptr(kept),
                }
            };
            [lerp(simd, (above, below), down), below]
        }
    }

    /// One pixel after the other, from `first` on, of any number of channels but one and two.
    ///
    /// # Safety
    /// As for [`make`](Self::make).
    #[inline(always)]
    unsafe fn pixels<S: Narrow, const WAY: u8>(&self, simd: S, first: usize) {
        let channels = self.channels;
        let down = [simd.splat(1.0 - self.fraction), simd.splat(self.fraction)];
        for i in first..self.count {
            // SAFETY: both taps have `channels` samples, and so have the destinations.
            unsafe {
                let at = *self.offsets.add(i) as usize;
                let f = *self.weights.add(4 * i);
                let across = [simd.splat(1.0 - f), simd.splat(f)];
                for c in (0..channels).step_by(S::LANES) {
                    let left = channels - c;
                    let to = i * channels + c;
                    match WAY {
                        ACROSS => {
                            simd.store_partial_ptr(
                                self.fresh.add(to),
                                left,
                                lerp(
                                    simd,
                                    some_taps(simd, self.rows[0].add(at + c), channels, left),
                                    across,
                                ),
                            );
                        }
                        BOTH => {
                            let v = lerp(
                                simd,
                                (
                                    lerp(
                                        simd,
                                        some_taps(simd, self.rows[0].add(at + c), channels, left),
                                        across,
                                    ),
                                    lerp(
                                        simd,
                                        some_taps(simd, self.rows[1].add(at + c), channels, left),
                                        across,
                                    ),
                                ),
                                down,
                            );
                            simd.store_partial_ptr(self.out.add(to), left, v);
                        }
                        _ => {
                            let below = lerp(
                                simd,
                                some_taps(simd, self.rows[1].add(at + c), channels, left),
                                across,
                            );
                            simd.store_partial_ptr(self.fresh.add(to), left, below);
                            let above = simd.load_partial_ptr(self.kept.add(to), left);
                            let v = lerp(simd, (above, below), down);
                            simd.store_partial_ptr(self.out.add(to), left, v);
                        }
                    }
                }
            }
        }
    }
}

/// Stores two vectors of pixels of three channels, one a block.
///
/// # Safety
/// `to` has room for them.
#[inline(always)]
unsafe fn store_threes<S: Narrow>(simd: S, to: *mut f32, a: S::F32, b: S::F32) {
    let (a, b) = (
        simd.i32_as_bytes(simd.bits(a)),
        simd.i32_as_bytes(simd.bits(b)),
    );
    // SAFETY: the caller's promise.
    unsafe { simd.store_twelves_of_two_ptr(to.cast(), a, b) }
}
