//! Max pooling that also tells where each maximum is.
//!
//! Every tap of a window is compared with the largest so far, in torch's order
//! (row by row) and by torch's rule (larger, or NaN), and value and index are
//! selected together. Indices are 32-bit in the lanes and widened when stored.

use super::planes::strided;
use super::{Image, Job, Line};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};

/// Room for a vector of any tier.
const SLACK: usize = 16;

/// Value and index of the largest element so far.
#[derive(Clone, Copy)]
struct Best<S: Simd> {
    value: S::F32,
    index: S::I32,
}

impl<S: Simd> Best<S> {
    #[inline(always)]
    fn see(&mut self, simd: S, value: S::F32, index: S::I32) {
        let takes = simd.or(simd.gt(value, self.value), simd.is_nan(value));
        self.value = simd.select(takes, value, self.value);
        self.index = simd.select_i32(takes, index, self.index);
    }

    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// `count` elements are writable at both addresses, at these strides.
    #[inline(always)]
    unsafe fn store(
        &self,
        simd: S,
        (out, out_step): (*mut f32, isize),
        (indices, index_step): (*mut i64, isize),
        count: usize,
    ) {
        let (mut values, mut at) = ([0f32; SLACK], [0i32; SLACK]);
        let count = count.min(S::LANES);
        // SAFETY: the arrays hold a vector; the rest is the caller's promise.
        unsafe {
            simd.store_i32_ptr(at.as_mut_ptr(), self.index);
            if index_step == 1 {
                for (i, &at) in at[..count].iter().enumerate() {
                    *indices.add(i) = i64::from(at);
                }
            } else {
                for (i, &at) in at[..count].iter().enumerate() {
                    *indices.offset(i as isize * index_step) = i64::from(at);
                }
            }
            if out_step == 1 {
                return simd.store_partial_ptr(out, count, self.value);
            }
            simd.store_ptr(values.as_mut_ptr(), self.value);
            for (i, &value) in values[..count].iter().enumerate() {
                *out.offset(i as isize * out_step) = value;
            }
        }
    }
}

/// The first tap of output `at` that is in the input, counted in the input; -1 when there is none.
fn first_tap(line: &Line, at: usize) -> i32 {
    let (first, end, start) = line.taps(at);
    match first < end {
        true => (start + (first * line.dilation) as isize) as i32,
        false => -1,
    }
}

/// Channels along the lanes.
pub(super) fn run_channels(ctx: &Context, job: &Job, indices: Image<i64>) -> Result<()> {
    let (bands, rows) = job.bands(job.cols.input * job.channels * job.rows.stride);
    let isa = ctx.isa();
    ctx.parallel_for(job.images * bands, |task| {
        let (image, first) = (task / bands, task % bands * rows);
        let end = (first + rows).min(job.rows.output);
        // SAFETY: the rows of an image are inside of the arrays; tasks are disjoint.
        dispatch!(isa, simd => unsafe { channels(simd, job, indices, image, first..end) })
    })
}

/// # Safety
/// The arrays are those of the job; nobody else writes these output rows.
#[inline(always)]
unsafe fn channels<S: Simd>(
    simd: S,
    job: &Job,
    indices: Image<i64>,
    image: usize,
    rows: std::ops::Range<usize>,
) {
    let (x, out) = (job.x.plane(image, 0), job.out.plane(image, 0));
    let index_out = indices.plane(image, 0);
    for row in rows {
        let (top, bottom, y) = job.rows.taps(row);
        let first_row = first_tap(&job.rows, row);
        for col in 0..job.cols.output {
            let (left, right, at) = job.cols.taps(col);
            let first_col = first_tap(&job.cols, col);
            let first = match first_row < 0 || first_col < 0 {
                true => -1,
                false => first_row * job.cols.input as i32 + first_col,
            };
            let to = row as isize * job.out.y + col as isize * job.out.x;
            let index_to = row as isize * indices.y + col as isize * indices.x;
            for c in (0..job.channels).step_by(S::LANES) {
                let count = job.channels - c;
                let mut best = Best::<S> {
                    value: simd.splat(f32::NEG_INFINITY),
                    index: simd.splat_i32(first),
                };
                for tap_row in top..bottom {
                    let y = y + (tap_row * job.rows.dilation) as isize;
                    for tap_col in left..right {
                        let at = at + (tap_col * job.cols.dilation) as isize;
                        let tap = x.wrapping_offset(y * job.x.y + at * job.x.x + c as isize);
                        // SAFETY: the tap is inside of the input, `count` channels of it.
                        let v = unsafe { simd.load_partial_ptr(tap, count) };
                        let index = (y * job.cols.input as isize + at) as i32;
                        best.see(simd, v, simd.splat_i32(index));
                    }
                }
                let out = out.wrapping_offset(to + c as isize);
                let index_out = index_out.wrapping_offset(index_to + c as isize * indices.c);
                // SAFETY: `count` channels of the pixel.
                unsafe { best.store(simd, (out, 1), (index_out, indices.c), count) };
            }
        }
    }
}

/// How planes are staged: with the padding of their columns written out.
struct Plan {
    bands: usize,
    rows: usize,
    group: usize,
    /// Elements of a staged row.
    width: usize,
    /// Rows of the stage.
    staged: usize,
    /// The horizontal stride; a single window does not move.
    stride: usize,
}

/// Columns along the lanes.
pub(super) fn run_planes(ctx: &Context, job: &Job, indices: Image<i64>) -> Result<()> {
    let (rows, cols) = (&job.rows, &job.cols);
    let (bands, band) = job.bands(cols.input * rows.stride);
    let stride = if cols.output == 1 { 1 } else { cols.stride };
    let windows = (cols.output + SLACK) * stride + (cols.kernel - 1) * cols.dilation;
    let plan = Plan {
        bands,
        rows: band,
        group: (super::TASK / (rows.input * cols.input).max(1)).clamp(1, 64),
        width: windows.max(cols.before + cols.input) + 2 * SLACK,
        staged: (band - 1) * rows.stride + (rows.kernel - 1) * rows.dilation + 1,
        stride,
    };
    let first_cols = cols.output + SLACK;
    let total = job.images * job.channels * bands;
    let room = first_cols + plan.width * plan.staged;
    let isa = ctx.isa();
    ctx.parallel_for_scratch::<f32>(total.div_ceil(plan.group), room, |task, scratch| {
        let first = task * plan.group;
        let end = (first + plan.group).min(total);
        let (first_cols, stage) = scratch.split_at_mut(first_cols);
        // SAFETY: the rows of a band are inside of the arrays; tasks are disjoint.
        dispatch!(isa, simd => unsafe {
            planes(simd, job, &plan, indices, first..end, first_cols, stage)
        })
    })
}

/// # Safety
/// The arrays are those of the job; nobody else writes the output rows of these
/// bands. The scratch is as large as the plan says.
#[inline(always)]
unsafe fn planes<S: Simd>(
    simd: S,
    job: &Job,
    plan: &Plan,
    indices: Image<i64>,
    bands: std::ops::Range<usize>,
    first_cols: &mut [f32],
    stage: &mut [f32],
) {
    let (rows, cols) = (&job.rows, &job.cols);
    // The same words as integers.
    for (col, first) in first_cols.iter_mut().enumerate() {
        *first = f32::from_bits(first_tap(cols, col.min(cols.output - 1)) as u32);
    }
    let first_cols = first_cols.as_ptr().cast::<i32>();
    stage.fill(f32::NEG_INFINITY);
    let steps = simd.mul_i32(simd.iota(), simd.splat_i32(plan.stride as i32));
    for band in bands {
        let (plane, first) = (band / plan.bands, band % plan.bands * plan.rows);
        let end = (first + plan.rows).min(rows.output);
        let (image, channel) = (plane / job.channels, plane % job.channels);
        let x = job.x.plane(image, channel);
        let origin = (first * rows.stride) as isize - rows.before as isize;
        for (at, to) in stage.chunks_exact_mut(plan.width).enumerate() {
            let row = origin + at as isize;
            if row < 0 || row >= rows.input as isize {
                continue;
            }
            let from = x.wrapping_offset(row * job.x.y);
            for (col, to) in to[cols.before..][..cols.input].iter_mut().enumerate() {
                // SAFETY: an element of the input.
                *to = unsafe { *from.offset(col as isize * job.x.x) };
            }
        }
        for row in first..end {
            let (top, bottom, start) = rows.taps(row);
            let first_row = first_tap(rows, row);
            let out = job
                .out
                .plane(image, channel)
                .wrapping_offset(row as isize * job.out.y);
            let index_out = indices
                .plane(image, channel)
                .wrapping_offset(row as isize * indices.y);
            for at in (0..cols.output).step_by(S::LANES) {
                // SAFETY: there is a vector more than there are columns.
                let first_col = unsafe { simd.load_i32_ptr(first_cols.add(at)) };
                let of_row = simd.splat_i32(first_row.wrapping_mul(cols.input as i32));
                let none = match first_row < 0 {
                    true => simd.eq_i32(first_col, first_col),
                    false => simd.gt_i32(simd.splat_i32(0), first_col),
                };
                let index = simd.add_i32(first_col, of_row);
                let mut best = Best::<S> {
                    value: simd.splat(f32::NEG_INFINITY),
                    index: simd.select_i32(none, simd.splat_i32(-1), index),
                };
                for tap_row in top..bottom {
                    let y = start + (tap_row * rows.dilation) as isize;
                    let line = (y - origin) as usize * plan.width + at * plan.stride;
                    for tap_col in 0..cols.kernel {
                        let tap = tap_col * cols.dilation;
                        // SAFETY: the windows and a vector behind them are inside of the staged row.
                        let v =
                            unsafe { strided(simd, stage.as_ptr().add(line + tap), plan.stride) };
                        let col = (at * plan.stride + tap) as isize - cols.before as isize;
                        let index = (y * cols.input as isize + col) as i32;
                        best.see(simd, v, simd.add_i32(steps, simd.splat_i32(index)));
                    }
                }
                let out = (out.wrapping_offset(at as isize * job.out.x), job.out.x);
                let index_out = (
                    index_out.wrapping_offset(at as isize * indices.x),
                    indices.x,
                );
                // SAFETY: the columns that are left of the row.
                unsafe { best.store(simd, out, index_out, cols.output - at) };
            }
        }
    }
}
