//! The right side of the product: receptive fields, which the engine asks for panel by panel.
//!
//! A line of a panel is an output pixel, a step of it a term of the sum: a channel and a tap of the window. Neighbouring pixels
//! read neighbouring columns, one after the other or every second one, so a step is a few vectors loaded and stored.
//! What is decided (which lanes of a vector see the image, where they read) is the same for a tap in all channels, so
//! taps are outside and channels inside: the inner loops are loads and stores alone. A vector whose pixels are in two rows of the output, or
//! see padding, is put together from masked loads, and rows shorter than a vector are gathered.

use super::super::params::{Extents, Image, Spec};
use crate::gemm::PanelSource;
use crate::simd::{MAX_LANES, Simd};
use std::ops::Range;

/// The receptive fields: lines are output pixels, counted through all images from the first one on.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) spec: &'a Spec,
    pub(super) extents: &'a Extents,
    pub(super) image: &'a Image,
    pub(super) first_image: usize,
    pub(super) first_channel: usize,
}

/// Where the terms of a panel begin and end: so many channels, and so many taps of the next.
#[derive(Clone, Copy)]
struct Terms {
    taps: usize,
    first: (usize, usize),
    end: (usize, usize),
    width: usize,
}

/// Input channels that a tap reads within a range of terms, and where they go.
#[derive(Clone, Copy)]
struct Tap {
    /// The first channel, of the group.
    first: usize,
    count: usize,
    /// Floats from the panel's start to the first, and from one to the next.
    to: usize,
    step: usize,
}

impl Terms {
    /// The terms `k`, which are ordered by channel, then tap, in a panel that is `width` wide.
    #[inline(always)]
    fn new(taps: usize, k: &Range<usize>, width: usize) -> Terms {
        Terms {
            taps,
            first: (k.start / taps, k.start % taps),
            end: (k.end / taps, k.end % taps),
            width,
        }
    }

    #[inline(always)]
    fn tap(&self, tap: usize) -> Tap {
        let first = self.first.0 + usize::from(tap < self.first.1);
        let end = self.end.0 + usize::from(tap < self.end.1);
        let before = self.first.0 * self.taps + self.first.1;
        Tap {
            first,
            count: end.saturating_sub(first),
            to: (first * self.taps + tap).saturating_sub(before) * self.width,
            step: self.taps * self.width,
        }
    }
}

impl PanelSource for Fields<'_> {
    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        let extents = self.extents;
        let plane = extents.oh * extents.ow;
        assert!(dst.len() == k.len() * width && lines.len() <= width);
        assert!(k.end <= self.spec.depth());
        // With masked loads, columns that two loads reach, and vectors that are in two rows at most.
        let step = self.spec.stride[1] as isize * self.image.x;
        if S::LANES >= 8
            && extents.ow + 1 >= S::LANES
            && matches!(step, 1 | 2)
            && width == 2 * S::LANES
        {
            return match step {
                1 => self.pack_vectors::<S, 1>(simd, k, lines, dst),
                _ => self.pack_vectors::<S, 2>(simd, k, lines, dst),
            };
        }
        if lines.len() < width {
            dst.fill(0.0);
        }
        if extents.ow < S::LANES && self.fits_gather() && width <= MAX_WIDTH {
            return self.pack_short(simd, k, lines, width, dst);
        }
        let mut p = lines.start;
        while p < lines.end {
            // What is left of an output row.
            let (n, rest) = (p / plane, p % plane);
            let (oy, ox) = (rest / extents.ow, rest % extents.ow);
            let len = (extents.ow - ox).min(lines.end - p);
            let to = p - lines.start;
            self.pack_row(simd, [n, oy, ox], len, &k, width, &mut dst[to..]);
            p += len;
        }
    }
}

/// Lanes of a vector whose pixels are in one row of the output.
#[derive(Clone, Copy, Default)]
struct Piece {
    /// The first lane, and the one behind the last.
    lanes: (usize, usize),
    /// Floats from the image's first to what lane 0 would read for the first tap of the first channel.
    at: isize,
    /// The row and the column that the first lane reads for the first tap.
    y: isize,
    x: isize,
}

/// How a row of a panel is copied.
#[derive(Clone, Copy)]
enum Copying {
    Vectors,
    Pairs,
    Any,
}

/// How many channels ahead a pixel is asked for.
const AHEAD: isize = 16;

/// Floats of a cache line.
const LINE: usize = 16;

/// The widest panel of any tier.
const MAX_WIDTH: usize = 64;

impl Fields<'_> {
    /// Packs a panel of two vectors; columns are `STEP` floats apart.
    #[inline(always)]
    fn pack_vectors<S: Simd, const STEP: usize>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        dst: &mut [f32],
    ) {
        let (extents, image, spec) = (self.extents, self.image, self.spec);
        let ([kh, kw], [_, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
        let terms = Terms::new(kh * kw, &k, 2 * S::LANES);
        let middle = (lines.start + S::LANES).min(lines.end);
        let pieces = [
            self.pieces(lines.start..middle),
            self.pieces(middle..lines.end),
        ];
        // All pixels are neighbours.
        let together = lines.len() == 2 * S::LANES
            && pieces[0][0].y == pieces[1][0].y
            && pieces[1][0].at - pieces[0][0].at == (S::LANES * STEP) as isize
            && pieces[1][0].lanes.1 == S::LANES;
        let (height, columns) = (extents.h as isize, extents.w as isize);
        // Columns from the first that a vector of pixels loads: in steps of two it loads the float behind the last one too.
        let reach = match STEP {
            1 => S::LANES,
            _ => S::LANES * sw + 2 - sw,
        } as isize;
        for ky in 0..kh {
            let down = (ky * dh) as isize;
            for kx in 0..kw {
                let tap = terms.tap(ky * kw + kx);
                if tap.count == 0 {
                    continue;
                }
                let right = (kx * dw) as isize;
                let channel = (self.first_channel + tap.first) as isize;
                let way = channel * image.c + down * image.y + right * image.x;
                let base = image.ptr.wrapping_offset(way).cast_const();
                let mut run = Run {
                    channel: image.c,
                    to: dst.as_mut_ptr().wrapping_add(tap.to),
                    step: tap.step,
                    channels: tap.count,
                    // The same tap of the next block of terms, or the next panel where there is one block.
                    ahead: match terms.taps {
                        1 => (2 * S::LANES * STEP) as isize,
                        _ => tap.count as isize * image.c,
                    },
                };
                let (y, x) = (pieces[0][0].y + down, pieces[0][0].x + right);
                let end = x + reach + (S::LANES * sw) as isize;
                if together && y >= 0 && y < height && x >= 0 && end <= columns {
                    // SAFETY: what all lanes read is in the image, and the panel has room for two vectors a step: `pack` asserts
                    // how long it is.
                    unsafe { run.copy::<S, STEP, 2>(simd, base.wrapping_offset(pieces[0][0].at)) };
                    continue;
                }
                for [first, second] in &pieces {
                    let (y, x) = (first.y + down, first.x + right);
                    let inside = y >= 0 && y < height && x >= 0 && x + reach <= columns;
                    let from = base.wrapping_offset(first.at);
                    // SAFETY: as above; lanes that are joined are those that read from the image.
                    unsafe {
                        if inside && first.lanes.1 == S::LANES {
                            run.copy::<S, STEP, 1>(simd, from);
                        } else {
                            let seen = first.seen((y, x), sw, (height, columns));
                            if second.lanes.1 == 0 {
                                run.join::<S, STEP, 1>(simd, [from], [seen]);
                            } else {
                                let at = (second.y + down, second.x + right);
                                let others = second.seen(at, sw, (height, columns));
                                let from = [from, base.wrapping_offset(second.at)];
                                run.join::<S, STEP, 2>(simd, from, [seen, others]);
                            }
                        }
                    }
                    run.to = run.to.wrapping_add(S::LANES);
                }
            }
        }
    }

    /// The rows that the pixels of a vector are in: at most two, since rows are shorter than a vector by one pixel at most.
    #[inline(always)]
    fn pieces(&self, lines: Range<usize>) -> [Piece; 2] {
        let (extents, image, spec) = (self.extents, self.image, self.spec);
        let ([sh, sw], [top, _, left, _]) = (spec.stride, spec.padding);
        let plane = extents.oh * extents.ow;
        let mut pieces = [Piece::default(); 2];
        let mut lane = 0;
        for piece in &mut pieces {
            if lane == lines.len() {
                break;
            }
            let p = lines.start + lane;
            let (n, rest) = (p / plane, p % plane);
            let (oy, ox) = (rest / extents.ow, rest % extents.ow);
            let count = (extents.ow - ox).min(lines.len() - lane);
            let y = (oy * sh) as isize - top as isize;
            let x = (ox * sw) as isize - left as isize;
            *piece = Piece {
                lanes: (lane, lane + count),
                at: (self.first_image + n) as isize * image.n
                    + y * image.y
                    + (x - (lane * sw) as isize) * image.x,
                y,
                x,
            };
            lane += count;
        }
        pieces
    }

    /// Packs `len` neighbouring pixels of one output row; `dst` begins at their place in
    /// the panel.
    #[inline(always)]
    fn pack_row<S: Simd>(
        &self,
        simd: S,
        [n, oy, ox]: [usize; 3],
        len: usize,
        k: &Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        let (spec, extents, image) = (self.spec, self.extents, self.image);
        let ([kh, kw], [sh, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
        let [top, _, left, _] = spec.padding;
        let step = sw as isize * image.x;
        let terms = Terms::new(kh * kw, k, width);
        for ky in 0..kh {
            let y = (oy * sh + ky * dh) as isize - top as isize;
            for kx in 0..kw {
                let tap = terms.tap(ky * kw + kx);
                let x = (ox * sw + kx * dw) as isize - left as isize;
                let valid = match y >= 0 && y < extents.h as isize {
                    true => inside(x, sw, len, extents.w),
                    false => 0..0,
                };
                if tap.count == 0 {
                    continue;
                }
                let first = self.first_channel + tap.first;
                let from = (self.first_image + n) as isize * image.n
                    + first as isize * image.c
                    + y * image.y
                    + (x + (valid.start * sw) as isize) * image.x;
                let (mut from, mut to) = (
                    image.ptr.wrapping_offset(from).cast_const(),
                    dst.as_mut_ptr().wrapping_add(tap.to),
                );
                // The usual panel of whole vectors; in steps of two if the last value has a neighbour
                // that may be read.
                let whole = valid.len() == len && len.is_multiple_of(S::LANES);
                let has_next = x + (2 * len) as isize <= extents.w as isize;
                let kind = match step {
                    1 if whole => Copying::Vectors,
                    2 if whole && has_next => Copying::Pairs,
                    _ => Copying::Any,
                };
                for _ in 0..tap.count {
                    // Channels are planes apart, so that no hardware fetches them ahead.
                    simd.prefetch(from.wrapping_offset(AHEAD * image.c));
                    // SAFETY: `len` floats of a step of the panel, which the assertions of `pack` keep
                    // inside of `dst`; valid taps are pixels of the image.
                    unsafe {
                        match kind {
                            Copying::Vectors => {
                                let mut i = 0;
                                while i < len {
                                    simd.store_ptr(to.add(i), simd.load_ptr(from.add(i)));
                                    i += S::LANES;
                                }
                            }
                            Copying::Pairs => {
                                let mut i = 0;
                                while i < len {
                                    let low = simd.load_ptr(from.add(2 * i));
                                    let high = simd.load_ptr(from.add(2 * i + S::LANES));
                                    simd.store_ptr(to.add(i), simd.deinterleave(low, high).0);
                                    i += S::LANES;
                                }
                            }
                            Copying::Any => fill(simd, to, len, &valid, from, step),
                        }
                    }
                    from = from.wrapping_offset(image.c);
                    to = to.wrapping_add(tap.step);
                }
            }
        }
    }

    /// Offsets of all pixels from each other fit 32 bits, as gathers need it.
    #[inline(always)]
    fn fits_gather(&self) -> bool {
        let (spec, extents, image) = (self.spec, self.extents, self.image);
        let reach = |count: usize, stride: isize| count as i128 * stride.unsigned_abs() as i128;
        let all = reach(extents.n, image.n) + reach(extents.h, image.y) + reach(extents.w, image.x);
        let padded = spec.padding.iter().map(|&p| p as i128).sum::<i128>();
        let span = padded + (extents.h + extents.w) as i128;
        extents.h > 0 && extents.w > 0 && all < 1 << 30 && span < 1 << 30
    }

    /// Packs pixels of rows that are shorter than a vector: the lanes are pixels of several rows,
    /// or images, gathered by their offsets.
    #[inline(always)]
    fn pack_short<S: Simd>(
        &self,
        simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        let (spec, extents, image) = (self.spec, self.extents, self.image);
        let ([kh, kw], [sh, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
        let [top, _, left, _] = spec.padding;
        let plane = extents.oh * extents.ow;
        let terms = Terms::new(kh * kw, &k, width);
        // Row, column and offset of the first tap of each pixel; what stands behind the last
        // pixel repeats it.
        let mut ys = [0i32; MAX_WIDTH + MAX_LANES];
        let mut xs = [0i32; MAX_WIDTH + MAX_LANES];
        let mut offsets = [0i32; MAX_WIDTH + MAX_LANES];
        for i in 0..lines.len().next_multiple_of(S::LANES) {
            let p = (lines.start + i).min(lines.end - 1);
            let (n, rest) = (self.first_image + p / plane, p % plane);
            let y = (rest / extents.ow * sh) as isize - top as isize;
            let x = (rest % extents.ow * sw) as isize - left as isize;
            (ys[i], xs[i]) = (y as i32, x as i32);
            offsets[i] = (n as isize * image.n + y * image.y + x * image.x) as i32;
        }
        let (minus_one, zero) = (simd.splat_i32(-1), simd.splat_i32(0));
        let (height, columns) = (
            simd.splat_i32(extents.h as i32),
            simd.splat_i32(extents.w as i32),
        );
        for ky in 0..kh {
            for kx in 0..kw {
                let tap = terms.tap(ky * kw + kx);
                let way = (ky * dh) as isize * image.y + (kx * dw) as isize * image.x;
                let (down, right, way) = (
                    simd.splat_i32((ky * dh) as i32),
                    simd.splat_i32((kx * dw) as i32),
                    simd.splat_i32(way as i32),
                );
                let mut i = 0;
                while i < lines.len() {
                    // SAFETY: inside of the arrays, which have a vector more than pixels.
                    let (y, x, at) = unsafe {
                        (
                            simd.add_i32(simd.load_i32_ptr(ys.as_ptr().add(i)), down),
                            simd.add_i32(simd.load_i32_ptr(xs.as_ptr().add(i)), right),
                            simd.add_i32(simd.load_i32_ptr(offsets.as_ptr().add(i)), way),
                        )
                    };
                    let seen = simd.and(
                        simd.and(simd.gt_i32(y, minus_one), simd.gt_i32(height, y)),
                        simd.and(simd.gt_i32(x, minus_one), simd.gt_i32(columns, x)),
                    );
                    // Taps in the padding read the first pixel instead.
                    let at = simd.select_i32(seen, at, zero);
                    let count = S::LANES.min(lines.len() - i);
                    for c in 0..tap.count {
                        let channel = (self.first_channel + tap.first + c) as isize;
                        let base = image.ptr.wrapping_offset(channel * image.c);
                        let to = &mut dst[tap.to + c * tap.step + i..][..count];
                        // SAFETY: every offset is a pixel of the channel.
                        let values = unsafe { simd.gather_ptr(base, at) };
                        simd.store_partial(to, simd.select(seen, values, simd.zero()));
                    }
                    i += S::LANES;
                }
            }
        }
    }
}

impl Piece {
    /// The lanes that see an image of this height and width, the first of them reading at row `y` and column `x`, each
    /// `stride` (1 or 2) columns further.
    #[inline(always)]
    fn seen(
        &self,
        (y, x): (isize, isize),
        stride: usize,
        (height, width): (isize, isize),
    ) -> (usize, usize) {
        let count = self.lanes.1 - self.lanes.0;
        let (ahead, left) = ((-x).max(0) as usize, (width - x).max(0) as usize);
        let low = ((ahead + stride - 1) >> (stride - 1)).min(count);
        let high = ((left + stride - 1) >> (stride - 1)).min(count);
        match low < high && y >= 0 && y < height {
            true => (self.lanes.0 + low, self.lanes.0 + high),
            false => (0, 0),
        }
    }
}

/// A tap of one or two vectors of pixels, in all channels.
#[derive(Clone, Copy)]
struct Run {
    /// Floats from channel to channel of the image.
    channel: isize,
    /// Where the first goes, and the floats from channel to channel.
    to: *mut f32,
    step: usize,
    channels: usize,
    /// From what is read to what is asked for.
    ahead: isize,
}

impl Run {
    /// Copies `NV` vectors from columns that are `STEP` floats apart.
    ///
    /// # Safety
    /// `NV * STEP` vectors are readable in each channel, and `NV` writable in each step.
    #[inline(always)]
    unsafe fn copy<S: Simd, const STEP: usize, const NV: usize>(self, simd: S, from: *const f32) {
        let (mut from, mut to) = (from, self.to);
        for _ in 0..self.channels {
            // Channels are planes apart, so that no hardware fetches them ahead.
            for line in 0..(NV * STEP * S::LANES).div_ceil(LINE) {
                simd.prefetch(from.wrapping_offset(self.ahead + (line * LINE) as isize));
            }
            for v in 0..NV {
                // SAFETY: the caller's promise.
                unsafe {
                    let at = from.add(v * STEP * S::LANES);
                    let mut values = simd.load_ptr(at);
                    if STEP == 2 {
                        values = simd.deinterleave(values, simd.load_ptr(at.add(S::LANES))).0;
                    }
                    simd.store_ptr(to.add(v * S::LANES), values);
                }
            }
            from = from.wrapping_offset(self.channel);
            to = to.wrapping_add(self.step);
        }
    }

    /// Puts one vector together from `P` places, of each the lanes that see something; the others are 0.
    ///
    /// # Safety
    /// What these lanes read is readable in each channel, and a vector is writable in each step.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    unsafe fn join<S: Simd, const STEP: usize, const P: usize>(
        self,
        simd: S,
        from: [*const f32; P],
        lanes: [(usize, usize); P],
    ) {
        // In steps of two a vector of pixels is every second float of two.
        let mut masks = [[simd.first(0); STEP]; P];
        for p in 0..P {
            let (first, end) = (
                lanes[p].0 * STEP,
                (lanes[p].1 * STEP).saturating_sub(STEP - 1),
            );
            for half in 0..STEP {
                let at = half * S::LANES;
                masks[p][half] = simd.between(first.saturating_sub(at), end.saturating_sub(at));
            }
        }
        let (mut way, mut to) = (0isize, self.to);
        for _ in 0..self.channels {
            let mut halves = [simd.zero(); STEP];
            for p in 0..P {
                let from = from[p].wrapping_offset(way);
                simd.prefetch(from.wrapping_offset(self.ahead));
                for half in 0..STEP {
                    let at = from.wrapping_add(half * S::LANES);
                    // SAFETY: the caller's promise.
                    let values = unsafe { simd.load_masked_ptr(at, masks[p][half]) };
                    halves[half] = match p {
                        0 => values,
                        _ => simd.select(masks[p][half], values, halves[half]),
                    };
                }
            }
            let values = match STEP {
                2 => simd.deinterleave(halves[0], halves[STEP - 1]).0,
                _ => halves[0],
            };
            // SAFETY: the caller's promise.
            unsafe { simd.store_ptr(to, values) };
            way = way.wrapping_add(self.channel);
            to = to.wrapping_add(self.step);
        }
    }
}

/// Which of `len` taps, the first at column `x`, each `step` further, hit one of the `extent` columns.
#[inline(always)]
fn inside(x: isize, step: usize, len: usize, extent: usize) -> Range<usize> {
    let steps = |way: isize| (way.max(0) as usize).div_ceil(step).min(len);
    let (low, high) = (steps(-x), steps(extent as isize - x));
    low.min(high)..high
}

/// Fills `len` floats: `valid` from `src[i * step]`, `i` counted from the start of `valid`, zeros
/// elsewhere.
///
/// # Safety
/// The values are readable, `dst` is writable for `len`.
#[inline(always)]
unsafe fn fill<S: Simd>(
    simd: S,
    dst: *mut f32,
    len: usize,
    valid: &Range<usize>,
    src: *const f32,
    step: isize,
) {
    // SAFETY: every access is limited to `len`, or to the valid values.
    unsafe {
        let zeros = |from: usize, to: usize| {
            let mut i = from;
            while i < to {
                *dst.add(i) = 0.0;
                i += 1;
            }
        };
        zeros(0, valid.start);
        zeros(valid.end, len);
        let (to, count) = (dst.add(valid.start), valid.len());
        let mut i = 0;
        match step {
            1 => {
                while i + S::LANES <= count {
                    simd.store_ptr(to.add(i), simd.load_ptr(src.add(i)));
                    i += S::LANES;
                }
                if i < count {
                    let tail = simd.load_partial_ptr(src.add(i), count - i);
                    simd.store_partial_ptr(to.add(i), count - i, tail);
                }
            }
            2 => {
                // The last value has no neighbour that may be read.
                let floats = (2 * count).saturating_sub(1);
                while i < count {
                    let (at, left) = (src.add(2 * i), floats - 2 * i);
                    let (low, high) = match left >= 2 * S::LANES {
                        true => (simd.load_ptr(at), simd.load_ptr(at.add(S::LANES))),
                        false => {
                            let rest = left.saturating_sub(S::LANES);
                            (
                                simd.load_partial_ptr(at, left),
                                simd.load_partial_ptr(at.wrapping_add(S::LANES), rest),
                            )
                        }
                    };
                    let even = simd.deinterleave(low, high).0;
                    simd.store_partial_ptr(to.add(i), count - i, even);
                    i += S::LANES;
                }
            }
            _ => {
                while i < count {
                    *to.add(i) = *src.offset(i as isize * step);
                    i += 1;
                }
            }
        }
    }
}
