//! Bringing the pixels of an NCHW image into the order in which tiles read them.
//!
//! A *strip* is a padded copy of some rows of all channels: the zeros around the image become
//! memory, and with a horizontal stride the columns are parted by their remainder, so that the
//! taps of neighbouring outputs are neighbours. Each value is copied once, however
//! many taps see it; a table of offsets, the same for all pixels, tells where the terms of a sum are.

use super::params::{Extents, Image, Spec};
use crate::simd::{MAX_LANES, Simd};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Floats in a cache line.
const LINE: usize = 16;

/// Phases of which it is known beforehand what is copied of a row.
const KNOWN: usize = 4;

/// The columns of an input row that neighbouring outputs read for one tap: where
/// the first reads (it may lie in the padding), and in which steps.
#[derive(Clone, Copy)]
struct Taps {
    first: isize,
    step: usize,
}

impl Taps {
    /// Which of `count` taps hit one of the `extent` columns of the image.
    #[inline(always)]
    fn inside(self, count: usize, extent: usize) -> Range<usize> {
        let step = self.step as isize;
        let low = match self.first < 0 {
            true => (-self.first + step - 1) / step,
            false => 0,
        };
        let high = match self.first < extent as isize {
            true => (extent as isize - self.first + step - 1) / step,
            false => 0,
        };
        let high = (high as usize).min(count);
        (low as usize).min(high)..high
    }
}

/// Fills a run of `len` floats, whole vectors: `valid` from `src[i * step]`, with `i` counted from the
/// start of `valid`, zeros elsewhere. Asks for what stands `ahead` of it.
///
/// # Safety
/// The values are readable; the run is writable.
#[inline(always)]
unsafe fn fill_run<S: Simd>(
    simd: S,
    dst: *mut f32,
    len: usize,
    valid: Range<usize>,
    src: *const f32,
    step: isize,
    ahead: isize,
) {
    // SAFETY: the caller's promise; stores stay inside of the run, reads inside of the valid values.
    unsafe {
        fill_zeros(simd, dst, len, &valid);
        let (to, count) = (dst.add(valid.start), valid.len());
        if step != 1 || count < S::LANES {
            for i in 0..count {
                *to.add(i) = *src.offset(i as isize * step);
            }
            return;
        }
        let mut i = 0;
        loop {
            if i % LINE < S::LANES {
                simd.prefetch(src.add(i).wrapping_offset(ahead));
            }
            simd.store_ptr(to.add(i), simd.load_ptr(src.add(i)));
            if i + S::LANES == count {
                return;
            }
            // The last vector ends with the last value, even if it repeats some.
            i = (i + S::LANES).min(count - S::LANES);
        }
    }
}

/// Fills two neighbouring runs as [`fill_run`] does: the first from `src[2 * i]`, the second from `src[2 * i + 1]`, where
/// `ranges` tell which `i` exist for each.
///
/// # Safety
/// As for [`fill_run`], for both runs.
#[inline(always)]
unsafe fn fill_pair<S: Simd>(
    simd: S,
    dst: *mut f32,
    len: usize,
    ranges: [Range<usize>; 2],
    src: *const f32,
    ahead: isize,
) {
    let runs = [dst, dst.wrapping_add(len)];
    // Where there is a value for both.
    let both = ranges[0].start.max(ranges[1].start)..ranges[0].end.min(ranges[1].end);
    // SAFETY: the caller's promise; stores stay inside of the runs, reads inside of what exists.
    unsafe {
        for (phase, range) in ranges.iter().enumerate() {
            fill_zeros(simd, runs[phase], len, range);
        }
        let mut vectors = both.start..both.start;
        if both.len() >= S::LANES {
            vectors.end = both.end;
            let mut i = both.start;
            loop {
                let at = src.wrapping_add(2 * i);
                let mut line = 0;
                while line < 2 * S::LANES {
                    simd.prefetch(at.wrapping_add(line).wrapping_offset(ahead));
                    line += LINE;
                }
                let (a, b) = (simd.load_ptr(at), simd.load_ptr(at.add(S::LANES)));
                let (even, odd) = simd.deinterleave(a, b);
                simd.store_ptr(runs[0].add(i), even);
                simd.store_ptr(runs[1].add(i), odd);
                if i + S::LANES == both.end {
                    break;
                }
                i = (i + S::LANES).min(both.end - S::LANES);
            }
        }
        for (phase, range) in ranges.into_iter().enumerate() {
            let before = range.start..vectors.start.min(range.end);
            for i in before.chain(vectors.end.max(range.start)..range.end) {
                *runs[phase].add(i) = *src.wrapping_add(2 * i + phase);
            }
        }
    }
}

/// Zeros in a run of `len` floats, whole vectors, but for its `valid` values, some of which it may destroy.
///
/// # Safety
/// The run is writable.
#[inline(always)]
unsafe fn fill_zeros<S: Simd>(simd: S, dst: *mut f32, len: usize, valid: &Range<usize>) {
    let ends = [
        0..valid.start.next_multiple_of(S::LANES),
        valid.end / S::LANES * S::LANES..len,
    ];
    for end in ends {
        for i in end.step_by(S::LANES) {
            // SAFETY: inside of the run, which is whole vectors.
            unsafe { simd.store_ptr(dst.add(i), simd.zero()) };
        }
    }
}

/// The measures of a strip: for each channel its rows, in a row a run for
/// each remainder of columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strip {
    /// Floats in a run.
    pub run: usize,
    /// Runs in a row.
    pub phases: usize,
    /// Input rows of a channel.
    rows: usize,
    /// Floats from channel to channel.
    channel: usize,
    /// Floats in all.
    pub floats: usize,
}

impl Strip {
    /// For `rows` output rows of `columns` columns (whole vectors of `lanes`) and `channels` channels.
    /// `None` when it would overflow.
    pub(super) fn new(
        spec: &Spec,
        rows: usize,
        columns: usize,
        channels: usize,
        lanes: usize,
    ) -> Option<Strip> {
        let ([kh, kw], [sh, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
        let phases = kw.min(sw / gcd(sw, dw));
        let run = columns.checked_add((kw - 1).checked_mul(dw)? / sw)?;
        // Whole vectors: the first tap of each run is then aligned, which are two of three for 3 x 3 with a stride of 2. A
        // vector that lies in two cache lines costs two loads.
        let run = run.checked_next_multiple_of(lanes)?;
        let rows = (rows - 1)
            .checked_mul(sh)?
            .checked_add((kh - 1).checked_mul(dh)? + 1)?;
        let row = run.checked_mul(phases)?;
        // An odd number of cache lines, so that the channels of a pixel do not share a cache set.
        let lines = rows.checked_mul(row)?.div_ceil(16) | 1;
        let channel = lines.checked_mul(16)?;
        let floats = channel.checked_mul(channels)?;
        Some(Strip {
            run,
            phases,
            rows,
            channel,
            floats,
        })
    }

    /// Floats from output row to output row.
    pub(super) fn row_step(&self, spec: &Spec) -> usize {
        spec.stride[0] * self.run * self.phases
    }

    /// How far from its pixel's place a row of the window of a channel is.
    #[inline(always)]
    pub(super) fn window_row(&self, spec: &Spec, channel: usize, y: usize) -> usize {
        channel * self.channel + y * spec.dilation[0] * self.run * self.phases
    }

    /// How far from the begin of its row a tap is: it reads column `x * dilation`, whose remainder by
    /// the stride repeats with period `phases` at most.
    #[inline(always)]
    pub(super) fn tap(&self, spec: &Spec, x: usize) -> usize {
        x % self.phases * self.run + x * spec.dilation[1] / spec.stride[1]
    }

    /// Copies what the outputs from (`y`, `x`) on see of channels `channels` of image `n`.
    ///
    /// # Safety
    /// `image` describes readable memory of these extents, `dst` has `floats`
    /// floats of which the channels' part is written.
    #[inline(always)]
    pub(super) unsafe fn fill<S: Simd>(
        &self,
        simd: S,
        spec: &Spec,
        extents: &Extents,
        image: &Image,
        n: usize,
        channels: Range<usize>,
        at: (usize, usize),
        dst: &mut [f32],
    ) {
        assert!(channels.len() * self.channel <= dst.len());
        let [top, _, left, _] = spec.padding;
        let y0 = (at.0 * spec.stride[0]) as isize - top as isize;
        let x0 = (at.1 * spec.stride[1]) as isize - left as isize;
        let step = spec.stride[1];
        // What is copied of a row: where in the run it goes, and its first column. Rows are
        // short, so that working it out for each would cost as much as the copy.
        let columns = |phase: usize| {
            let taps = Taps {
                first: x0 + (phase * spec.dilation[1] % step) as isize,
                step,
            };
            let valid = taps.inside(self.run, extents.w);
            let first = taps.first + (valid.start * step) as isize;
            (valid, first)
        };
        let known: [(Range<usize>, isize); KNOWN] = std::array::from_fn(|phase| match phase {
            phase if phase < self.phases => columns(phase),
            _ => (0..0, 0),
        });
        let pairs = step == 2 && self.phases == 2 && spec.dilation[1] % 2 == 1 && image.x == 1;
        for (i, c) in channels.enumerate() {
            let plane = n as isize * image.n + c as isize * image.c;
            for r in 0..self.rows {
                if !self.is_seen(spec, r) {
                    continue;
                }
                let y = y0 + r as isize;
                let row_is_inside = y >= 0 && y < extents.h as isize;
                let row = image.ptr.wrapping_offset(plane + y.max(0) * image.y);
                let to = dst[i * self.channel + r * self.phases * self.run..].as_mut_ptr();
                let existing = |valid: Range<usize>| if row_is_inside { valid } else { 0..0 };
                if pairs {
                    let ranges = [0, 1].map(
                        #[inline(always)]
                        |phase: usize| existing(known[phase].0.clone()),
                    );
                    let src = row.wrapping_offset(x0);
                    // SAFETY: the run is inside of the scratch, whose length was checked; valid taps are pixels.
                    unsafe { fill_pair(simd, to, self.run, ranges, src, image.c) };
                    continue;
                }
                for phase in 0..self.phases {
                    let (valid, x) = match phase {
                        phase if phase < KNOWN => known[phase].clone(),
                        _ => columns(phase),
                    };
                    let src = row.wrapping_offset(x * image.x);
                    let step = step as isize * image.x;
                    let (to, valid) = (to.wrapping_add(phase * self.run), existing(valid));
                    // SAFETY: as above.
                    unsafe { fill_run(simd, to, self.run, valid, src, step, image.c) };
                }
            }
        }
    }

    /// Some output of the strip reads its input row `r`.
    #[inline(always)]
    fn is_seen(&self, spec: &Spec, r: usize) -> bool {
        let ([kh, _], [sh, _], [dh, _]) = (spec.kernel, spec.stride, spec.dilation);
        if sh == 1 && dh == 1 {
            return true;
        }
        let last = self.rows - 1 - (kh - 1) * dh;
        (0..kh).any(|y| r >= y * dh && r - y * dh <= last && (r - y * dh).is_multiple_of(sh))
    }
}

/// Copies `count` channels (at most a vector of them) of `pixels` neighbouring pixels: channel `c`
/// of pixel `i` goes to `dst[i * pitch + c]`, zeros to the other lanes.
///
/// # Safety
/// Those elements of the image are readable from `src` on; a vector is writable at each
/// pixel of `dst`.
#[inline(always)]
pub(super) unsafe fn channels_last<S: Simd>(
    simd: S,
    image: &Image,
    src: *const f32,
    count: usize,
    pixels: usize,
    pitch: usize,
    dst: *mut f32,
) {
    if image.x != 1 {
        for i in 0..pixels {
            let mut values = [0.0; MAX_LANES];
            for (c, value) in values.iter_mut().enumerate().take(count) {
                // SAFETY: the caller's promise.
                *value = unsafe { *src.offset(c as isize * image.c + i as isize * image.x) };
            }
            // SAFETY: the caller's promise.
            unsafe { simd.store_ptr(dst.add(i * pitch), simd.load(&values)) };
        }
        return;
    }
    let zeros = [0.0; MAX_LANES];
    let mut rows = [zeros.as_ptr(); MAX_LANES];
    if pixels >= S::LANES {
        let mut i = 0;
        loop {
            for (c, row) in rows.iter_mut().enumerate().take(count) {
                *row = src.wrapping_offset(c as isize * image.c + i as isize);
            }
            // SAFETY: a vector of pixels of each existing channel, or zeros.
            unsafe { simd.transpose_ptr(&rows, dst.add(i * pitch), pitch) };
            if i + S::LANES == pixels {
                return;
            }
            // The last square ends with the last pixel, even if it repeats some.
            i = (i + S::LANES).min(pixels - S::LANES);
        }
    }
    let mut square = MaybeUninit::<[f32; MAX_LANES * MAX_LANES]>::uninit();
    let mut turned = MaybeUninit::<[f32; MAX_LANES * MAX_LANES]>::uninit();
    let (square, turned) = (
        square.as_mut_ptr().cast::<f32>(),
        turned.as_mut_ptr().cast::<f32>(),
    );
    // SAFETY: both squares have lanes by lanes elements, and of `square` only rows that are written are
    // read; the pixels of existing channels are readable, a vector is writable at each pixel.
    unsafe {
        for (c, row) in rows.iter_mut().enumerate().take(count) {
            let place = square.add(c * S::LANES);
            let from = src.wrapping_offset(c as isize * image.c);
            simd.store_ptr(place, simd.load_partial_ptr(from, pixels));
            *row = place;
        }
        simd.transpose_ptr(&rows, turned, S::LANES);
        for i in 0..pixels {
            simd.store_ptr(dst.add(i * pitch), simd.load_ptr(turned.add(i * S::LANES)));
        }
    }
}

pub(super) fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
