//! Bringing the pixels of an NCHW image into the order in which tiles read them.
//!
//! Two orders, one table of offsets each, the same tiles. A *strip* is a padded
//! copy of some rows of all channels: the zeros around the image become
//! memory, and with a horizontal stride the columns are parted by their remainder,
//! so that the taps of neighbouring outputs are neighbours. Each value
//! is copied once, however many taps see it. *Unfolded* pixels have a
//! row of neighbours for each term, as in im2col: more copies, but the pixels of short
//! rows, and of small images, fill vectors without gaps.

use super::params::{Extents, Image, Spec};
use crate::simd::Simd;
use std::ops::Range;

/// Floats that a row may be overrun by when it is filled, on any tier.
pub(super) const SLACK: usize = 16;

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

/// Fills `len` floats: `valid` from `src[i * step]`, with `i` counted from the
/// start of `valid`, zeros elsewhere.
///
/// # Safety
/// The values are readable; `dst` is writable for `len + SLACK`. What stands behind `len` is destroyed.
#[inline(always)]
unsafe fn fill_row<S: Simd>(
    simd: S,
    dst: *mut f32,
    len: usize,
    valid: Range<usize>,
    src: *const f32,
    step: isize,
) {
    let zero = simd.zero();
    // SAFETY: stores begin below `len` and overrun it by less than a vector;
    // reads are limited to the valid values.
    unsafe {
        let mut i = 0;
        while i < valid.start {
            simd.store_ptr(dst.add(i), zero);
            i += S::LANES;
        }
        let (to, count) = (dst.add(valid.start), valid.len());
        match step {
            1 => {
                let mut i = 0;
                while i + S::LANES <= count {
                    simd.store_ptr(to.add(i), simd.load_ptr(src.add(i)));
                    i += S::LANES;
                }
                if i < count {
                    let tail = simd.load_partial_ptr(src.add(i), count - i);
                    simd.store_ptr(to.add(i), tail);
                }
            }
            2 => {
                // The last value has no neighbour that may be read.
                let floats = (2 * count).saturating_sub(1);
                let mut i = 0;
                while i < count {
                    let (at, left) = (src.add(2 * i), floats - 2 * i);
                    let pair = if left >= 2 * S::LANES {
                        (simd.load_ptr(at), simd.load_ptr(at.add(S::LANES)))
                    } else {
                        let first = simd.load_partial_ptr(at, left);
                        let rest = left.saturating_sub(S::LANES);
                        (
                            first,
                            simd.load_partial_ptr(at.wrapping_add(S::LANES), rest),
                        )
                    };
                    simd.store_ptr(to.add(i), simd.deinterleave(pair.0, pair.1).0);
                    i += S::LANES;
                }
            }
            _ => {
                for i in 0..count {
                    *to.add(i) = *src.offset(i as isize * step);
                }
            }
        }
        let mut i = valid.end;
        while i < len {
            simd.store_ptr(dst.add(i), zero);
            i += S::LANES;
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
    /// For `rows` output rows of `columns` columns (whole vectors) and `channels` channels.
    /// `None` when it would overflow.
    pub(super) fn new(spec: &Spec, rows: usize, columns: usize, channels: usize) -> Option<Strip> {
        let ([kh, kw], [sh, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
        let phases = kw.min(sw / gcd(sw, dw));
        let run = columns.checked_add((kw - 1).checked_mul(dw)? / sw)?;
        let rows = (rows - 1)
            .checked_mul(sh)?
            .checked_add((kh - 1).checked_mul(dh)? + 1)?;
        let row = run.checked_mul(phases)?;
        // An odd number of cache lines, so that the channels of a pixel do not share a cache set.
        let lines = rows.checked_mul(row)?.div_ceil(16) | 1;
        let channel = lines.checked_mul(16)?;
        let floats = channel.checked_mul(channels)?.checked_add(SLACK)?;
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

    /// The offset of each term from its pixel's place.
    pub(super) fn offsets(&self, spec: &Spec, table: &mut [u32]) {
        let ([kh, kw], [_, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
        for (k, offset) in table.iter_mut().enumerate() {
            let (c, y, x) = (k / (kh * kw), k / kw % kh, k % kw);
            let row = c * self.channel + y * dh * self.run * self.phases;
            // Tap x reads column x * dw, whose remainder by sw repeats with period `phases` at most.
            *offset = (row + x % self.phases * self.run + x * dw / sw) as u32;
        }
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
        assert!(channels.len() * self.channel + SLACK <= dst.len());
        let [top, _, left, _] = spec.padding;
        let y0 = (at.0 * spec.stride[0]) as isize - top as isize;
        let x0 = (at.1 * spec.stride[1]) as isize - left as isize;
        let step = spec.stride[1];
        for (i, c) in channels.enumerate() {
            for r in 0..self.rows {
                if !self.is_seen(spec, r) {
                    continue;
                }
                let y = y0 + r as isize;
                let row_is_inside = y >= 0 && y < extents.h as isize;
                for phase in 0..self.phases {
                    let taps = Taps {
                        first: x0 + (phase * spec.dilation[1] % step) as isize,
                        step,
                    };
                    let at = i * self.channel + (r * self.phases + phase) * self.run;
                    let valid = match row_is_inside {
                        true => taps.inside(self.run, extents.w),
                        false => 0..0,
                    };
                    let x = taps.first + (valid.start * step) as isize;
                    let from = n as isize * image.n
                        + c as isize * image.c
                        + y.max(0) * image.y
                        + x * image.x;
                    // SAFETY: rows are filled in the order of their addresses, so an overrun
                    // destroys what is not yet written, and the last is followed by SLACK;
                    // valid taps are pixels.
                    unsafe {
                        fill_row(
                            simd,
                            dst.as_mut_ptr().add(at),
                            self.run,
                            valid,
                            image.ptr.wrapping_offset(from),
                            step as isize * image.x,
                        );
                    }
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

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Pixels whose places [`unfold_short`] works out at once.
const SHORT: usize = 64;

/// Offsets of all pixels from each other fit 32 bits, as gathers need it.
fn fits_gather(spec: &Spec, extents: &Extents, image: &Image) -> bool {
    let reach =
        |count: usize, stride: isize| count as i128 * i128::from(stride.unsigned_abs() as u64);
    let all = reach(extents.n, image.n) + reach(extents.h, image.y) + reach(extents.w, image.x);
    let padded =
        spec.padding.iter().map(|&p| p as i128).sum::<i128>() + (extents.h + extents.w) as i128;
    extents.h > 0 && extents.w > 0 && all < 1 << 30 && padded < 1 << 30
}

/// [`unfold`] for rows that are shorter than a vector: neighbouring lanes are pixels
/// of several rows or images, gathered by their offsets.
///
/// # Safety
/// As for [`unfold`]; the offsets fit 32 bits.
#[inline(always)]
unsafe fn unfold_short<S: Simd>(
    simd: S,
    spec: &Spec,
    extents: &Extents,
    image: &Image,
    channels: Range<usize>,
    pixels: Range<usize>,
    pitch: usize,
    dst: *mut f32,
) {
    let ([kh, kw], [sh, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
    let [top, _, left, _] = spec.padding;
    let plane = extents.oh * extents.ow;
    let (minus_one, zero) = (simd.splat_i32(-1), simd.splat_i32(0));
    let (height, width) = (
        simd.splat_i32(extents.h as i32),
        simd.splat_i32(extents.w as i32),
    );
    let mut start = pixels.start;
    while start < pixels.end {
        let count = SHORT.min(pixels.end - start);
        // Row, column and offset of the first tap; what stands behind the last pixel repeats it.
        let (mut ys, mut xs, mut at) = ([0i32; SHORT], [0i32; SHORT], [0i32; SHORT]);
        for i in 0..SHORT {
            let p = start + i.min(count - 1);
            let (n, rest) = (p / plane, p % plane);
            let y = (rest / extents.ow * sh) as isize - top as isize;
            let x = (rest % extents.ow * sw) as isize - left as isize;
            (ys[i], xs[i]) = (y as i32, x as i32);
            at[i] = (n as isize * image.n + y * image.y + x * image.x) as i32;
        }
        for ky in 0..kh {
            for kx in 0..kw {
                let (down, right) = (ky * dh, kx * dw);
                let step = down as isize * image.y + right as isize * image.x;
                let (down, right) = (simd.splat_i32(down as i32), simd.splat_i32(right as i32));
                let step = simd.splat_i32(step as i32);
                let mut v = 0;
                while v < count {
                    // SAFETY: inside of the arrays, whose length is a multiple of all lanes.
                    let (y, x, at) = unsafe {
                        (
                            simd.add_i32(simd.load_i32_ptr(ys.as_ptr().add(v)), down),
                            simd.add_i32(simd.load_i32_ptr(xs.as_ptr().add(v)), right),
                            simd.add_i32(simd.load_i32_ptr(at.as_ptr().add(v)), step),
                        )
                    };
                    let inside = simd.and(
                        simd.and(simd.gt_i32(y, minus_one), simd.gt_i32(height, y)),
                        simd.and(simd.gt_i32(x, minus_one), simd.gt_i32(width, x)),
                    );
                    // Taps in the padding read the first pixel instead.
                    let at = simd.select_i32(inside, at, zero);
                    let mut term = ky * kw + kx;
                    for c in channels.clone() {
                        let base = image.ptr.wrapping_offset(c as isize * image.c);
                        // SAFETY: every offset is a pixel of the image; a row of `dst` ends with SLACK.
                        unsafe {
                            let values = simd.gather_ptr(base, at);
                            let values = simd.select(inside, values, simd.zero());
                            let to = dst.add(term * pitch + (start - pixels.start) + v);
                            simd.store_ptr(to, values);
                        }
                        term += kh * kw;
                    }
                    v += S::LANES;
                }
            }
        }
        start += count;
    }
}

/// Copies the receptive fields of output pixels `pixels`, counted through all
/// images, to rows of `pitch` floats, one for each term.
///
/// # Safety
/// As for [`Strip::fill`]; `dst` has `pitch` floats for each term, and `pitch`
/// is at least the pixels and `SLACK`.
#[inline(always)]
pub(super) unsafe fn unfold<S: Simd>(
    simd: S,
    spec: &Spec,
    extents: &Extents,
    image: &Image,
    channels: Range<usize>,
    pixels: Range<usize>,
    pitch: usize,
    dst: &mut [f32],
) {
    let ([kh, kw], [sh, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
    assert!(pixels.len() + SLACK <= pitch && channels.len() * kh * kw * pitch <= dst.len());
    if extents.ow < S::LANES && fits_gather(spec, extents, image) {
        // SAFETY: the caller's promise.
        unsafe {
            let dst = dst.as_mut_ptr();
            unfold_short(simd, spec, extents, image, channels, pixels, pitch, dst);
        }
        return;
    }
    let [top, _, left, _] = spec.padding;
    let plane = extents.oh * extents.ow;
    let mut p = pixels.start;
    while p < pixels.end {
        // One output row at a time.
        let (n, rest) = (p / plane, p % plane);
        let (oy, ox) = (rest / extents.ow, rest % extents.ow);
        let len = (extents.ow - ox).min(pixels.end - p);
        for ky in 0..kh {
            let y = (oy * sh + ky * dh) as isize - top as isize;
            let row_is_inside = y >= 0 && y < extents.h as isize;
            for kx in 0..kw {
                let taps = Taps {
                    first: (ox * sw + kx * dw) as isize - left as isize,
                    step: sw,
                };
                let valid = match row_is_inside {
                    true => taps.inside(len, extents.w),
                    false => 0..0,
                };
                let x = taps.first + (valid.start * sw) as isize;
                let from = n as isize * image.n + y.max(0) * image.y + x * image.x;
                for (i, c) in channels.clone().enumerate() {
                    let term = (i * kh + ky) * kw + kx;
                    // SAFETY: a row of `dst` ends with SLACK; valid taps are pixels.
                    unsafe {
                        fill_row(
                            simd,
                            dst.as_mut_ptr().add(term * pitch + (p - pixels.start)),
                            len,
                            valid.clone(),
                            image.ptr.wrapping_offset(from + c as isize * image.c),
                            sw as isize * image.x,
                        );
                    }
                }
            }
        }
        p += len;
    }
}
