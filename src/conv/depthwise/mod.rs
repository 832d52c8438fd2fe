//! Convolution of each channel by itself: so few multiply-adds for each value
//! that loads decide, and a matrix product has nothing to share.
//!
//! Four kernels: [`blocks`] for small images; for larger ones [`planes`] and [`rows`], with columns in the lanes, for
//! NCHW and [`pixels`], with channels in the lanes, for NHWC.

mod blocks;
mod pixels;
mod planes;
mod rows;

use super::finish::Finish;
use super::gather::Strip;
use super::params::{Extents, Image, Spec};
use super::weights::{Form, Weights, lanes, part};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::dispatch;

/// Floats of a padded piece of a channel: half of a small L1.
const PIECE_FLOATS: usize = 4 << 10;
/// The most floats of a padded piece, where the window reaches very far.
const MAX_PIECE_FLOATS: usize = 256 << 10;
/// Multiply-adds of a task: some 20 microseconds.
const TASK_WORK: usize = 1 << 18;

/// The kernels here serve this convolution on vectors of `lanes` floats better than tiles do.
pub(super) fn suits(spec: &Spec, form: Form, lanes: usize) -> bool {
    let reach = Strip::new(spec, 1, lanes, 1, lanes).is_some_and(|s| s.floats <= MAX_PIECE_FLOATS);
    spec.is_depthwise()
        && match form {
            Form::DepthwiseRows => spec.og <= 2 && reach,
            _ => spec.og < lanes,
        }
}

/// Runs the convolution.
///
/// # Safety
/// `x` and the images of `finish` describe memory of the extents that `spec` makes
/// of `extents`; no output element is reached twice or by others.
pub(super) unsafe fn run(
    ctx: &Context,
    spec: &Spec,
    extents: &Extents,
    weights: &Weights<'_>,
    x: Image,
    finish: &Finish<'_>,
) -> Result<()> {
    let job = Job {
        spec,
        extents,
        weights,
        finish,
        x,
    };
    let row_work = extents.ow * spec.depth() * spec.og;
    let lanes = lanes(weights.isa.tier());
    if let Some(blocks) = blocks::Blocks::new(&job, lanes) {
        let count = blocks.count();
        let per_task = (TASK_WORK / (lanes * row_work * extents.oh).max(1)).clamp(1, count.max(1));
        let tasks = count.div_ceil(per_task);
        return ctx.parallel_for_scratch::<f32>(
            extents.n * tasks,
            blocks.floats(),
            |task, scratch| {
                let own = part(count, tasks, task % tasks);
                dispatch!(weights.isa, simd => blocks.run(simd, task / tasks, own, scratch));
            },
        );
    }
    if weights.form == Form::DepthwiseLanes {
        let work = (row_work * spec.groups).max(1);
        let down = extents.oh.div_ceil((TASK_WORK / work).clamp(1, extents.oh));
        return ctx.parallel_for(extents.n * down, |task| {
            let rows = part(extents.oh, down, task % down);
            dispatch!(weights.isa, simd => job.rows_of_pixels(simd, task / down, rows));
        });
    }
    let channel_work = (row_work * extents.oh).max(1);
    let together = (TASK_WORK / channel_work).clamp(1, spec.groups.max(1));
    let blocks = spec.groups.div_ceil(together);
    if job.reads_in_place(lanes) {
        return ctx.parallel_for(extents.n * blocks, |task| {
            for c in part(spec.groups, blocks, task % blocks) {
                dispatch!(weights.isa, simd => job.planes_of_vectors(simd, task / blocks, c));
            }
        });
    }
    let fits = |rows, width, limit| {
        Strip::new(spec, rows, width, 1, lanes).filter(|strip| strip.floats <= limit)
    };
    let mut width = extents.ow.next_multiple_of(lanes);
    while width > lanes && fits(1, width, PIECE_FLOATS).is_none() {
        width = width.div_ceil(2).next_multiple_of(lanes);
    }
    let mut rows = extents.oh;
    while rows > 1 && fits(rows, width, PIECE_FLOATS).is_none() {
        rows -= rows.div_ceil(8);
    }
    // Whole blocks of four rows.
    if rows > 4 && rows < extents.oh {
        rows &= !3;
    }
    let (down, across) = (extents.oh.div_ceil(rows), extents.ow.div_ceil(width));
    let strip = Strip::new(spec, rows, width, 1, lanes);
    let Some(strip) = strip else {
        unreachable!("`suits` has tried a piece of this reach");
    };
    let pieces = down * across;
    ctx.parallel_for_scratch::<f32>(extents.n * blocks, strip.floats, |task, scratch| {
        let (n, block) = (task / blocks, task % blocks);
        for c in part(spec.groups, blocks, block) {
            for piece in 0..pieces {
                let (j, i) = (piece / across, piece % across);
                let top = j * rows;
                let rows = top..(top + rows).min(extents.oh);
                let columns = i * width..((i + 1) * width).min(extents.ow);
                dispatch!(weights.isa, simd => {
                    job.rows_of_vectors(simd, &strip, n, c, rows, columns, scratch)
                });
            }
        }
    })
}

struct Job<'a> {
    spec: &'a Spec,
    extents: &'a Extents,
    weights: &'a Weights<'a>,
    finish: &'a Finish<'a>,
    x: Image,
}
