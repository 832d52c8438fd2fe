//! Channels along the lanes: a window is a loop over pixels whose channels are
//! neighbours in memory.

use super::{Divisor, Job, Join};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};

/// Vectors of channels in registers at once.
const TILE: usize = 4;

pub(super) fn run<J: Join>(ctx: &Context, job: &Job, join: J, divisor: Divisor) -> Result<()> {
    let (bands, rows) = job.bands(job.cols.input * job.channels * job.rows.stride);
    let isa = ctx.isa();
    ctx.parallel_for(job.images * bands, |task| {
        let (image, first) = (task / bands, task % bands * rows);
        let end = (first + rows).min(job.rows.output);
        // SAFETY: the rows of an image are inside of the arrays; tasks are disjoint.
        dispatch!(isa, simd => unsafe { band(simd, job, join, divisor, image, first..end) })
    })
}

/// # Safety
/// The arrays are those of the job; nobody else writes these output rows.
#[inline(always)]
unsafe fn band<S: Simd, J: Join>(
    simd: S,
    job: &Job,
    join: J,
    divisor: Divisor,
    image: usize,
    rows: std::ops::Range<usize>,
) {
    let lanes = S::LANES;
    let channels = job.channels;
    let (x, out) = (job.x.plane(image, 0), job.out.plane(image, 0));
    for row in rows {
        let (top, bottom, y) = job.rows.taps(row);
        let y_step = job.rows.dilation as isize * job.x.y;
        let row_divisor = job.row_divisor(row, divisor);
        for col in 0..job.cols.output {
            let (left, right, at) = job.cols.taps(col);
            let x_step = job.cols.dilation as isize * job.x.x;
            let start = y * job.x.y + at * job.x.x;
            let window = Taps {
                first: x.wrapping_offset(start + top as isize * y_step + left as isize * x_step),
                rows: if left < right { bottom - top } else { 0 },
                cols: if top < bottom { right - left } else { 0 },
                y_step,
                x_step,
                divisor: match divisor {
                    Divisor::None => None,
                    _ => Some(row_divisor * job.cols.count(col, divisor)),
                },
            };
            let out = out.wrapping_offset(row as isize * job.out.y + col as isize * job.out.x);
            // SAFETY: the taps and the pixel are inside of the arrays, all channels.
            unsafe {
                if channels < lanes {
                    pixel::<S, J, 1, false>(simd, join, &window, out, [0], channels);
                }
                let mut c = 0;
                while c < channels && channels >= lanes {
                    // The last whole vector takes part of the one before once more.
                    let at = [0, 1, 2, 3].map(|k| (c + k * lanes).min(channels - lanes));
                    match (channels - c).div_ceil(lanes) {
                        1 => pixel::<S, J, 1, true>(simd, join, &window, out, [at[0]], lanes),
                        2 => {
                            pixel::<S, J, 2, true>(simd, join, &window, out, [at[0], at[1]], lanes)
                        }
                        3 => {
                            let at = [at[0], at[1], at[2]];
                            pixel::<S, J, 3, true>(simd, join, &window, out, at, lanes);
                        }
                        _ => pixel::<S, J, TILE, true>(simd, join, &window, out, at, lanes),
                    }
                    c += TILE * lanes;
                }
            }
        }
    }
}

/// The taps of a window that are in the input; no rows when there are none.
struct Taps {
    first: *const f32,
    rows: usize,
    cols: usize,
    y_step: isize,
    x_step: isize,
    divisor: Option<f32>,
}

/// The vectors of channels that begin `at`, in turns: a join waits for the one before. Unless `WHOLE`, `count` lanes of them.
///
/// # Safety
/// These channels of the taps are readable, and of `out` writable.
#[inline(always)]
unsafe fn pixel<S: Simd, J: Join, const V: usize, const WHOLE: bool>(
    simd: S,
    join: J,
    window: &Taps,
    out: *mut f32,
    at: [usize; V],
    count: usize,
) {
    let mut acc = [simd.splat(J::NEUTRAL); V];
    for col in 0..window.cols {
        let tap = window.first.wrapping_offset(col as isize * window.x_step);
        let mut column = [simd.zero(); V];
        // SAFETY: the caller's promise.
        unsafe {
            for (column, at) in column.iter_mut().zip(at) {
                *column = load::<S, WHOLE>(simd, tap.add(at), count);
            }
            for row in 1..window.rows {
                let tap = tap.offset(row as isize * window.y_step);
                for (column, at) in column.iter_mut().zip(at) {
                    let v = load::<S, WHOLE>(simd, tap.add(at), count);
                    *column = join.join(simd, *column, v);
                }
            }
        }
        for (acc, column) in acc.iter_mut().zip(column) {
            *acc = if col == 0 {
                column
            } else {
                join.join(simd, *acc, column)
            };
        }
    }
    for (acc, at) in acc.into_iter().zip(at) {
        let v = match window.divisor {
            None => acc,
            Some(divisor) => simd.div(acc, simd.splat(divisor)),
        };
        // SAFETY: the caller's promise.
        unsafe {
            match WHOLE {
                true => simd.store_ptr(out.add(at), v),
                false => simd.store_partial_ptr(out.add(at), count, v),
            }
        }
    }
}

/// # Safety
/// `LANES` elements are readable; `count` unless `WHOLE`.
#[inline(always)]
unsafe fn load<S: Simd, const WHOLE: bool>(simd: S, ptr: *const f32, count: usize) -> S::F32 {
    // SAFETY: the caller's promise.
    unsafe {
        match WHOLE {
            true => simd.load_ptr(ptr),
            false => simd.load_partial_ptr(ptr, count),
        }
    }
}
