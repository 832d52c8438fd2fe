//! From pixels to transformed tiles.
//!
//! Channels are in the lanes. Where they are neighbours in memory (NHWC) a tile reads
//! the image itself, and a run of zeros for pixels in the padding; else the rows that
//! a line of tiles sees are first copied, channels last, by transposing
//! squares in registers.

use super::Segment;
use super::transform::{MAX_T, Square, Transform};
use crate::conv::gather::channels_last;
use crate::conv::params::{Extents, Image, Spec};
use crate::simd::{MAX_LANES, Simd};
use std::ops::Range;

/// A tile, or a line of tiles, and where its pixels are: pixel (y, x) of channel `c` at
/// `base[y * row + x * column + c]`.
#[derive(Clone, Copy)]
pub(super) struct Pixels {
    pub base: *const f32,
    pub row: isize,
    pub column: isize,
}

/// Input row and column of the first pixel of a tile; either may lie in the padding.
#[inline(always)]
pub(super) fn corner<W: Transform>(spec: &Spec, ty: usize, tx: usize) -> (isize, isize) {
    let [top, _, left, _] = spec.padding;
    (
        (ty * W::M) as isize - top as isize,
        (tx * W::M) as isize - left as isize,
    )
}

/// The rows and columns of a tile, with this corner, that are in the image.
#[inline(always)]
pub(super) fn visible<W: Transform>(
    extents: &Extents,
    corner: (isize, isize),
) -> (Range<usize>, Range<usize>) {
    let clip = |start: isize, extent: usize| {
        let low = (-start).clamp(0, W::T as isize) as usize;
        let high = (extent as isize - start).clamp(low as isize, W::T as isize) as usize;
        low..high
    };
    (clip(corner.0, extents.h), clip(corner.1, extents.w))
}

/// Transforms `channels` channels of one tile, of which only these rows and columns exist and the others
/// are zeros; point `p` of channel `c` goes to `to[p * step + c]`.
///
/// # Safety
/// The pixels that exist have that many channels; all points, rounded up to whole vectors, are
/// writable.
#[inline(always)]
pub(super) unsafe fn transform_tile<S: Simd, W: Transform>(
    simd: S,
    pixels: Pixels,
    rows: Range<usize>,
    columns: Range<usize>,
    channels: usize,
    to: *mut f32,
    step: usize,
) {
    let whole = rows.len() == W::T && columns.len() == W::T;
    let full = if whole {
        channels - channels % S::LANES
    } else {
        0
    };
    for c in (0..full).step_by(S::LANES) {
        let base = pixels.base.wrapping_add(c);
        // SAFETY: the caller's promise.
        unsafe { transform_lanes::<S, W>(simd, Pixels { base, ..pixels }, to.add(c), step) };
    }
    if full == channels {
        return;
    }
    let mut copy = [0.0; MAX_T * MAX_T * MAX_LANES];
    for c in (full..channels).step_by(S::LANES) {
        for y in rows.clone() {
            for x in columns.clone() {
                let at = y as isize * pixels.row + x as isize * pixels.column;
                let from = pixels.base.wrapping_offset(at).wrapping_add(c);
                // SAFETY: the channels that are left of a pixel that exists.
                let value = unsafe { simd.load_partial_ptr(from, channels - c) };
                simd.store(&mut copy[(y * W::T + x) * S::LANES..], value);
            }
        }
        let own = Pixels {
            base: copy.as_ptr(),
            row: (W::T * S::LANES) as isize,
            column: S::LANES as isize,
        };
        // SAFETY: the caller's promise; the copy has a vector for each pixel.
        unsafe { transform_lanes::<S, W>(simd, own, to.add(c), step) };
    }
}

/// One vector of channels: down the columns, then along the rows.
///
/// # Safety
/// A vector can be read at each pixel, and written at each point.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn transform_lanes<S: Simd, W: Transform>(
    simd: S,
    pixels: Pixels,
    to: *mut f32,
    step: usize,
) {
    let mut lines = Square::<S>::new();
    for x in 0..W::T {
        let mut column = [simd.zero(); MAX_T];
        for y in 0..W::T {
            let at = y as isize * pixels.row + x as isize * pixels.column;
            // SAFETY: the caller's promise.
            column[y] = unsafe { simd.load_ptr(pixels.base.wrapping_offset(at)) };
        }
        lines.set_column::<W>(x, W::input(simd, column));
    }
    for y in 0..W::T {
        let row = W::input(simd, lines.row::<W>(simd, y));
        for x in 0..W::T {
            // SAFETY: as above.
            unsafe { simd.store_ptr(to.add((y * W::T + x) * step), row[x]) };
        }
    }
}

/// Copies what a segment sees of `channels` to a strip, channels last, zeros in the padding and
/// in the lanes beyond the last channel.
///
/// # Safety
/// `image` describes readable memory of these extents; `strip` has `T` rows of `columns`
/// pixels of `pitch` floats, and `pitch` is at least the channels rounded up to whole vectors.
#[inline(always)]
pub(super) unsafe fn fill_strip<S: Simd, W: Transform>(
    simd: S,
    spec: &Spec,
    extents: &Extents,
    image: &Image,
    segment: &Segment,
    channels: Range<usize>,
    columns: usize,
    pitch: usize,
    strip: *mut f32,
) {
    let (y0, x0) = corner::<W>(spec, segment.ty, segment.tx);
    let (w, h) = (extents.w as isize, extents.h as isize);
    // The strip's columns that are in the image.
    let left = (-x0).clamp(0, columns as isize) as usize;
    let right = (w - x0).clamp(left as isize, columns as isize) as usize;
    for y in 0..W::T {
        let row = strip.wrapping_add(y * columns * pitch);
        let iy = y0 + y as isize;
        let (from, to) = match iy >= 0 && iy < h {
            true => (left, right),
            false => (0, 0),
        };
        // SAFETY: pixels of this row of the strip.
        unsafe {
            zero(simd, row, from * pitch);
            zero(simd, row.add(to * pitch), (columns - to) * pitch);
        }
        let mut c = channels.start;
        while c < channels.end && from < to {
            let count = S::LANES.min(channels.end - c);
            let at = image.offset(segment.n, c, iy as usize, (x0 + from as isize) as usize);
            let src = image.ptr.wrapping_offset(at).cast_const();
            let dst = row.wrapping_add(from * pitch + (c - channels.start));
            // SAFETY: `count` channels of `to - from` pixels of the image, to a vector of each of as
            // many pixels of the strip.
            unsafe { channels_last(simd, image, src, count, to - from, pitch, dst) };
            c += S::LANES;
        }
    }
}

/// # Safety
/// `to` is writable for `count` floats, a multiple of the lanes.
#[inline(always)]
unsafe fn zero<S: Simd>(simd: S, to: *mut f32, count: usize) {
    let mut i = 0;
    while i < count {
        // SAFETY: whole vectors of `count`.
        unsafe { simd.store_ptr(to.add(i), simd.zero()) };
        i += S::LANES;
    }
}
