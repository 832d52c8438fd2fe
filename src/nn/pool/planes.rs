//! Columns along the lanes: planes of an image, one after the other.
//!
//! An output row is made in two steps: the input rows of its window are joined
//! into one *line*, a row in scratch whose padding holds the neutral element, and
//! the columns of each window are joined from the line. Strides 1 and 2 are plain
//! and deinterleaved loads, others gathers.
//!
//! Large windows of maxima are joined by doubling: with `m[i]` the maximum of `p`
//! neighbours, `max(m[i], m[i + p])` is that of `2p`, and two overlapping ones make
//! any number in between. That is done across on the line, and down on a staged
//! piece of the plane.

use super::{Divisor, Job, Join};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};

/// Windows from this many elements on are joined by doubling.
const DOUBLING: usize = 6;
/// Lines in turn: a load that spans two stores waits until both are in the cache, so windows are not
/// read from a line that was only just written.
const LINES: usize = 8;
/// Room for a vector of any tier.
const SLACK: usize = 16;

/// How the planes of a job are cut and staged.
struct Plan {
    /// Bands of output rows that a plane is cut into.
    bands: usize,
    /// Output rows of a band.
    rows: usize,
    /// Bands of a task.
    group: usize,
    /// Elements of a line.
    line: usize,
    /// Lines that are made before the first is read.
    lines: usize,
    /// Elements of an output row, with room behind.
    width: usize,
    /// Rows of the stage; 0 when the input is read where it lies.
    staged: usize,
}

impl Plan {
    fn new<J: Join>(job: &Job) -> Plan {
        let (rows, cols) = (&job.rows, &job.cols);
        let (bands, band) = job.bands(cols.input * rows.stride);
        let doubling = J::IDEMPOTENT && rows.kernel >= DOUBLING && rows.kernel > 2 * rows.stride;
        let staged = match doubling || job.x.x != 1 {
            true => (band - 1) * rows.stride + (rows.kernel - 1) * rows.dilation + 1,
            false => 0,
        };
        let windows = (cols.output + SLACK) * stride(job) + (cols.kernel - 1) * cols.dilation;
        Plan {
            bands,
            rows: band,
            group: (super::TASK / (rows.input * cols.input).max(1)).clamp(1, 64),
            line: windows.max(cols.before + cols.input) + 3 * SLACK,
            lines: band.min(LINES),
            width: cols.output + SLACK,
            staged,
        }
    }

    fn scratch(&self, job: &Job) -> usize {
        self.lines * self.line + 2 * self.width + self.staged * job.cols.input + SLACK
    }
}

/// The horizontal stride; a single window does not move.
fn stride(job: &Job) -> usize {
    if job.cols.output == 1 {
        1
    } else {
        job.cols.stride
    }
}

pub(super) fn run<J: Join>(ctx: &Context, job: &Job, join: J, divisor: Divisor) -> Result<()> {
    let plan = Plan::new::<J>(job);
    let bands = job.images * job.channels * plan.bands;
    let isa = ctx.isa();
    let tasks = bands.div_ceil(plan.group);
    ctx.parallel_for_scratch::<f32>(tasks, plan.scratch(job), |task, scratch| {
        let first = task * plan.group;
        let end = (first + plan.group).min(bands);
        // SAFETY: the rows of a band are inside of the arrays; tasks are disjoint.
        dispatch!(isa, simd => unsafe {
            task_of_bands(simd, job, &plan, join, divisor, first..end, scratch)
        })
    })
}

/// # Safety
/// The arrays are those of the job; nobody else writes the output rows of these
/// bands. The scratch is as large as the plan says.
#[inline(always)]
unsafe fn task_of_bands<S: Simd, J: Join>(
    simd: S,
    job: &Job,
    plan: &Plan,
    join: J,
    divisor: Divisor,
    bands: std::ops::Range<usize>,
    scratch: &mut [f32],
) {
    let (lines, rest) = scratch.split_at_mut(plan.lines * plan.line);
    let (divisors, rest) = rest.split_at_mut(plan.width);
    let (staged_out, stage) = rest.split_at_mut(plan.width);
    lines.fill(J::NEUTRAL);
    for (col, divisor_of) in divisors.iter_mut().enumerate() {
        *divisor_of = job.cols.count(col.min(job.cols.output - 1), divisor);
    }
    for band in bands {
        let (plane, first) = (band / plan.bands, band % plan.bands * plan.rows);
        let end = (first + plan.rows).min(job.rows.output);
        let (image, channel) = (plane / job.channels, plane % job.channels);
        let mut source = Source {
            ptr: job.x.plane(image, channel),
            step: job.x.y,
            staged: None,
        };
        if plan.staged > 0 {
            // SAFETY: the stage has room for the rows of a band.
            unsafe { source.stage(simd, join, job, first..end, stage) };
        }
        for start in (first..end).step_by(plan.lines) {
            let rows = start..end.min(start + plan.lines);
            for (row, line) in rows.clone().zip(lines.chunks_exact_mut(plan.line)) {
                // SAFETY: taps are inside of the input or the stage, `W` elements each; the line has
                // room for the windows and a vector.
                unsafe { source.join_down(simd, join, job, row, line) };
            }
            for (row, line) in rows.zip(lines.chunks_exact_mut(plan.line)) {
                let by = match divisor {
                    Divisor::None => None,
                    _ => Some((divisors.as_ptr(), job.row_divisor(row, divisor))),
                };
                let out = job
                    .out
                    .plane(image, channel)
                    .wrapping_offset(row as isize * job.out.y);
                // SAFETY: as above; output rows have `OW` elements.
                unsafe {
                    if job.out.x == 1 {
                        across_any(simd, join, job, line, out, by);
                    } else {
                        let staged = staged_out.as_mut_ptr();
                        across_any(simd, join, job, line, staged, by);
                        for (col, value) in staged_out.iter().enumerate().take(job.cols.output) {
                            *out.offset(col as isize * job.out.x) = *value;
                        }
                    }
                }
            }
        }
    }
}

/// Where input rows are read.
struct Source {
    ptr: *const f32,
    step: isize,
    /// The rows of a band are staged: the first output row, and the taps down
    /// that are left of a window (number, distance in rows).
    staged: Option<(usize, usize, usize)>,
}

impl Source {
    /// Copies the input rows of a band, with neutral rows for padding, and joins
    /// them down by doubling where that pays.
    ///
    /// # Safety
    /// As [`task_of_bands`]; the stage has room for the input rows of the band.
    #[inline(always)]
    unsafe fn stage<S: Simd, J: Join>(
        &mut self,
        simd: S,
        join: J,
        job: &Job,
        band: std::ops::Range<usize>,
        stage: &mut [f32],
    ) {
        let (rows, width) = (&job.rows, job.cols.input);
        let top = (band.start * rows.stride) as isize - rows.before as isize;
        let count = (band.len() - 1) * rows.stride + (rows.kernel - 1) * rows.dilation + 1;
        let to = stage.as_mut_ptr();
        for (at, to) in stage[..count * width].chunks_exact_mut(width).enumerate() {
            let row = top + at as isize;
            if row < 0 || row >= rows.input as isize {
                to.fill(J::NEUTRAL);
                continue;
            }
            let from = self.ptr.wrapping_offset(row * self.step);
            for (col, value) in to.iter_mut().enumerate() {
                // SAFETY: an element of the input.
                *value = unsafe { *from.offset(col as isize * job.x.x) };
            }
        }
        let (mut taps, mut distance) = (rows.kernel, rows.dilation);
        if J::IDEMPOTENT && rows.kernel >= DOUBLING {
            let mut joined = 1;
            while 2 * joined <= rows.kernel {
                let shift = joined * rows.dilation * width;
                // SAFETY: inside of the stage, which has room for a vector behind.
                unsafe { join_shifted(simd, join, to, shift, count * width - shift) };
                joined *= 2;
            }
            taps = if joined == rows.kernel { 1 } else { 2 };
            distance = (rows.kernel - joined) * rows.dilation;
        }
        self.ptr = to;
        self.step = width as isize;
        self.staged = Some((band.start, taps, distance));
    }

    /// Joins the rows of the window of output row `row` into the line.
    ///
    /// # Safety
    /// As [`task_of_bands`].
    #[inline(always)]
    unsafe fn join_down<S: Simd, J: Join>(
        &self,
        simd: S,
        join: J,
        job: &Job,
        row: usize,
        line: &mut [f32],
    ) {
        let (from, taps, distance) = match self.staged {
            Some((first, taps, distance)) => {
                let at = (row - first) * job.rows.stride;
                (at as isize, taps, distance)
            }
            None => {
                let (top, bottom, start) = job.rows.taps(row);
                let from = start + (top * job.rows.dilation) as isize;
                (from, bottom - top, job.rows.dilation)
            }
        };
        let (width, before) = (job.cols.input, job.cols.before);
        if doubles_across::<J>(job) {
            // Doubling has written over the padding.
            line[..before].fill(J::NEUTRAL);
            line[before + width..].fill(J::NEUTRAL);
        }
        let src = self.ptr.wrapping_offset(from * self.step);
        let step = distance as isize * self.step;
        let line = line[before..].as_mut_ptr();
        // SAFETY: `taps` rows of `width` elements; the line has room for them and a vector.
        unsafe {
            match taps {
                0 => std::slice::from_raw_parts_mut(line, width).fill(J::NEUTRAL),
                1 => down(simd, join, line, src, step, 1, width),
                2 => down(simd, join, line, src, step, 2, width),
                3 => down(simd, join, line, src, step, 3, width),
                taps => down(simd, join, line, src, step, taps, width),
            }
        }
    }
}

/// `line[i]` is the join of `src[i]`, `src[i + step]`, …, `taps` of them.
///
/// # Safety
/// The taps are readable for `width` elements; `line` has room for these, or a vector if that is more.
#[inline(always)]
unsafe fn down<S: Simd, J: Join>(
    simd: S,
    join: J,
    line: *mut f32,
    src: *const f32,
    step: isize,
    taps: usize,
    width: usize,
) {
    let lanes = S::LANES;
    // SAFETY: every access is inside of `width`.
    unsafe {
        if width < lanes {
            let mut acc = simd.load_partial_ptr(src, width);
            for tap in 1..taps as isize {
                acc = join.join(
                    simd,
                    acc,
                    simd.load_partial_ptr(src.offset(tap * step), width),
                );
            }
            // What is behind the row is padding.
            let acc = simd.select(simd.first(width), acc, simd.splat(J::NEUTRAL));
            return simd.store_ptr(line, acc);
        }
        let mut at = 0;
        while at + 4 * lanes <= width {
            down_vectors::<S, J, 4>(simd, join, line.add(at), src.add(at), step, taps);
            at += 4 * lanes;
        }
        while at < width {
            // The last whole vector, part of it once more.
            let from = at.min(width - lanes);
            down_vectors::<S, J, 1>(simd, join, line.add(from), src.add(from), step, taps);
            at += lanes;
        }
    }
}

/// # Safety
/// `V` vectors are readable at every tap and writable at `line`.
#[inline(always)]
unsafe fn down_vectors<S: Simd, J: Join, const V: usize>(
    simd: S,
    join: J,
    line: *mut f32,
    src: *const f32,
    step: isize,
    taps: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut acc = [simd.zero(); V];
        for (k, acc) in acc.iter_mut().enumerate() {
            *acc = simd.load_ptr(src.add(k * S::LANES));
        }
        for tap in 1..taps as isize {
            for (k, acc) in acc.iter_mut().enumerate() {
                let v = simd.load_ptr(src.offset(tap * step).add(k * S::LANES));
                *acc = join.join(simd, *acc, v);
            }
        }
        for (k, acc) in acc.into_iter().enumerate() {
            simd.store_ptr(line.add(k * S::LANES), acc);
        }
    }
}

/// `v[i] = join(v[i], v[i + shift])` for `i < count`, upwards, so that the second is
/// always from before. Up to a vector behind `count` becomes undefined.
///
/// # Safety
/// `count + shift` elements and a vector more are readable and writable.
#[inline(always)]
unsafe fn join_shifted<S: Simd, J: Join>(
    simd: S,
    join: J,
    v: *mut f32,
    shift: usize,
    count: usize,
) {
    for at in (0..count).step_by(S::LANES) {
        // SAFETY: the caller's promise.
        unsafe {
            let v = v.add(at);
            let joined = join.join(simd, simd.load_ptr(v), simd.load_ptr(v.add(shift)));
            simd.store_ptr(v, joined);
        }
    }
}

fn doubles_across<J: Join>(job: &Job) -> bool {
    J::IDEMPOTENT && job.cols.kernel >= DOUBLING && job.cols.kernel > 2 * stride(job)
}

/// Joins the columns of all windows of a row, and divides (`by`: per column, and for all).
///
/// # Safety
/// `line` is that of the plan, `out` has room for an output row, the divisors for a vector more.
#[inline(always)]
unsafe fn across_any<S: Simd, J: Join>(
    simd: S,
    join: J,
    job: &Job,
    line: &mut [f32],
    out: *mut f32,
    by: Option<(*const f32, f32)>,
) {
    let (mut kernel, mut dilation) = (job.cols.kernel, job.cols.dilation);
    let (stride, width) = (stride(job), job.cols.output);
    let needed = (width - 1) * stride + (kernel - 1) * dilation + 1;
    let line = line.as_mut_ptr();
    if doubles_across::<J>(job) {
        let mut joined = 1;
        while 2 * joined <= kernel {
            let shift = joined * dilation;
            // SAFETY: the line has room for what is needed and vectors behind.
            unsafe { join_shifted(simd, join, line, shift, needed - shift) };
            joined *= 2;
        }
        dilation *= kernel - joined;
        kernel = if joined == kernel { 1 } else { 2 };
    }
    // Constants make unrolled loops of the common windows.
    // SAFETY: the caller's promise.
    unsafe {
        match (kernel, stride, dilation) {
            (2, 2, 1) => across(simd, join, line, out, width, 2, 2, 1, by),
            (3, 2, 1) => across(simd, join, line, out, width, 3, 2, 1, by),
            (2, 1, d) => across(simd, join, line, out, width, 2, 1, d, by),
            (3, 1, 1) => across(simd, join, line, out, width, 3, 1, 1, by),
            (k, 1, d) => across(simd, join, line, out, width, k, 1, d, by),
            (k, 2, 1) => across(simd, join, line, out, width, k, 2, 1, by),
            (k, s, d) => across(simd, join, line, out, width, k, s, d, by),
        }
    }
}

/// # Safety
/// As [`across_any`].
#[inline(always)]
unsafe fn across<S: Simd, J: Join>(
    simd: S,
    join: J,
    line: *const f32,
    out: *mut f32,
    width: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    by: Option<(*const f32, f32)>,
) {
    let lanes = S::LANES;
    let mut at = 0;
    // SAFETY: windows and a vector behind them are inside of the line.
    unsafe {
        while at < width {
            // The last whole vector, part of it once more.
            let from = at.min(width.saturating_sub(lanes));
            let v = windows(
                simd,
                join,
                line.add(from * stride),
                kernel,
                stride,
                dilation,
            );
            let v = divide(simd, v, from, by);
            match width < lanes {
                true => simd.store_partial_ptr(out, width, v),
                false => simd.store_ptr(out.add(from), v),
            }
            at += lanes;
        }
    }
}

/// # Safety
/// A vector of divisors is readable from column `at` on.
#[inline(always)]
unsafe fn divide<S: Simd>(simd: S, v: S::F32, at: usize, by: Option<(*const f32, f32)>) -> S::F32 {
    match by {
        None => v,
        Some((cols, row)) => {
            // SAFETY: the caller's promise.
            let cols = unsafe { simd.load_ptr(cols.add(at)) };
            simd.div(v, simd.mul(cols, simd.splat(row)))
        }
    }
}

/// `LANES` windows, the first at `line`.
///
/// # Safety
/// The taps of the windows and a vector behind are readable.
#[inline(always)]
unsafe fn windows<S: Simd, J: Join>(
    simd: S,
    join: J,
    line: *const f32,
    kernel: usize,
    stride: usize,
    dilation: usize,
) -> S::F32 {
    // SAFETY: the caller's promise.
    unsafe {
        if stride == 2 && dilation == 1 {
            let (mut acc, odd) =
                simd.deinterleave(simd.load_ptr(line), simd.load_ptr(line.add(S::LANES)));
            if kernel > 1 {
                acc = join.join(simd, acc, odd);
            }
            let mut tap = 2;
            while tap < kernel {
                let two = line.add(tap);
                let (even, odd) =
                    simd.deinterleave(simd.load_ptr(two), simd.load_ptr(two.add(S::LANES)));
                acc = join.join(simd, acc, even);
                if tap + 1 < kernel {
                    acc = join.join(simd, acc, odd);
                }
                tap += 2;
            }
            return acc;
        }
        let mut acc = strided(simd, line, stride);
        for tap in 1..kernel {
            acc = join.join(simd, acc, strided(simd, line.add(tap * dilation), stride));
        }
        acc
    }
}

/// Every `stride`-th element.
///
/// # Safety
/// `LANES * stride` elements are readable, or two vectors.
#[inline(always)]
pub(super) unsafe fn strided<S: Simd>(simd: S, ptr: *const f32, stride: usize) -> S::F32 {
    // SAFETY: the caller's promise.
    unsafe {
        match stride {
            1 => simd.load_ptr(ptr),
            2 => {
                simd.deinterleave(simd.load_ptr(ptr), simd.load_ptr(ptr.add(S::LANES)))
                    .0
            }
            _ => {
                let at = simd.mul_i32(simd.iota(), simd.splat_i32(stride as i32));
                simd.gather_ptr(ptr, at)
            }
        }
    }
}
