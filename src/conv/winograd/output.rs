//! From products back to pixels, with bias, residual and activation on the way.
//!
//! Output channels are in the lanes. Where they are neighbours in memory (NHWC) a
//! tile is stored as it is; else the pixels of a line of tiles are gathered in a
//! strip and turned, a square in registers at a time.

use super::Segment;
use super::transform::{MAX_T, Square, Transform};
use crate::conv::finish::Finish;
use crate::conv::params::Extents;
use crate::simd::{MAX_LANES, Simd};
use std::mem::MaybeUninit;

/// Transforms one vector of channels of one tile, whose points are `step` floats apart; pixel (y, x)
/// goes to `to[y * pixels.0 + x * pixels.1]`.
///
/// # Safety
/// A vector can be read at each point, and written at each pixel.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
pub(super) unsafe fn transform_lanes<S: Simd, W: Transform>(
    simd: S,
    points: *const f32,
    step: usize,
    bias: S::F32,
    to: *mut f32,
    pixels: (isize, isize),
) {
    let mut lines = Square::<S>::new();
    for x in 0..W::T {
        let mut column = [simd.zero(); MAX_T];
        for y in 0..W::T {
            // SAFETY: the caller's promise.
            column[y] = unsafe { simd.load_ptr(points.add((y * W::T + x) * step)) };
        }
        lines.set_column::<W>(x, W::output(simd, column));
    }
    for y in 0..W::M {
        let row = W::output(simd, lines.row::<W>(simd, y));
        for x in 0..W::M {
            // SAFETY: as above.
            unsafe {
                let to = to.offset(y as isize * pixels.0 + x as isize * pixels.1);
                simd.store_ptr(to, simd.add(row[x], bias));
            }
        }
    }
}

/// Output channels that share a vector.
#[derive(Clone, Copy)]
pub(super) struct Lanes<V> {
    /// The first, counted through all groups.
    pub channel: usize,
    /// How many exist.
    pub count: usize,
    /// Their slopes, for leaky ReLU and PReLU.
    pub slope: V,
}

/// Finishes the pixels of a segment that stand in a strip and stores them, channels together. The
/// strip is as for [`store_turned`].
///
/// # Safety
/// As for [`store_turned`].
#[inline(always)]
pub(super) unsafe fn store_strip<S: Simd, W: Transform>(
    simd: S,
    extents: &Extents,
    finish: &Finish<'_>,
    segment: &Segment,
    lanes: Lanes<S::F32>,
    strip: *const f32,
    columns: usize,
) {
    let rows = W::M.min(extents.oh - segment.ty * W::M);
    let width = columns.min(extents.ow - segment.tx * W::M);
    for y in 0..rows {
        for x in 0..width {
            let (oy, ox) = (segment.ty * W::M + y, segment.tx * W::M + x);
            let place = finish.place(segment.n, lanes.channel, oy, ox);
            // SAFETY: the caller's promise.
            unsafe {
                let value = simd.load_ptr(strip.add((y * columns + x) * S::LANES));
                finish.store_run(simd, value, lanes.slope, place, lanes.count);
            }
        }
    }
}

/// Finishes the pixels of a segment that stand in a strip, for one vector of channels: pixel `x` of
/// row `y` is at `strip[(y * columns + x) * LANES]`.
///
/// # Safety
/// The segment's elements are inside of output and residual, and nobody else's. A vector
/// can be read at each pixel of the strip.
#[inline(always)]
pub(super) unsafe fn store_turned<S: Simd, W: Transform>(
    simd: S,
    extents: &Extents,
    finish: &Finish<'_>,
    segment: &Segment,
    lanes: Lanes<S::F32>,
    strip: *const f32,
    columns: usize,
) {
    let rows = W::M.min(extents.oh - segment.ty * W::M);
    let width = columns.min(extents.ow - segment.tx * W::M);
    let step = finish.channel_step();
    let mut slopes = [0.0; MAX_LANES];
    simd.store(&mut slopes, lanes.slope);
    let mut turned = MaybeUninit::<[f32; MAX_LANES * MAX_LANES]>::uninit();
    let turned = turned.as_mut_ptr().cast::<f32>();
    // A row may end with a square that repeats some pixels, unless they would be added to twice.
    let overlap = finish.residual.is_none() && width >= S::LANES;
    for y in 0..rows {
        let mut x = 0;
        while x < width {
            if overlap {
                x = x.min(width - S::LANES);
            }
            let count = S::LANES.min(width - x);
            let mut pixels = [strip; MAX_LANES];
            for (i, pixel) in pixels.iter_mut().enumerate().take(S::LANES) {
                // Pixels beyond the last are read as the last, and not stored.
                let at = (y * columns + x + i.min(count - 1)) * S::LANES;
                *pixel = strip.wrapping_add(at);
            }
            let (oy, ox) = (segment.ty * W::M + y, segment.tx * W::M + x);
            let first = finish.place(segment.n, lanes.channel, oy, ox);
            // SAFETY: the caller's promise.
            unsafe {
                simd.transpose_ptr(&pixels, turned, S::LANES);
                for (c, &slope) in slopes.iter().enumerate().take(lanes.count) {
                    let value = simd.load_ptr(turned.add(c * S::LANES));
                    let place = first.moved(step, c);
                    finish.store_pixels(simd, value, simd.splat(slope), place, count);
                }
            }
            x += S::LANES;
        }
    }
}
