//! `nms` and `batched_nms`: arguments, ranks, groups, results.

use super::format::{BoxFormat, expect_boxes, expect_offset};
use super::greedy::{Candidates, suppress};
use super::order::rank;
use super::rule::{Overlap, Rule};
use crate::error::{Result, bail, ensure};
use crate::runtime::Context;
use crate::tensor::{Element, View, ViewMut, expect_rank, forbid_overlap};
use std::sync::Mutex;

/// How boxes suppress each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NmsParams {
    /// A box is suppressed by a better one when their overlap is larger. Not NaN.
    pub iou_threshold: f64,
    /// Boxes whose score is not larger are left out from the start (NaN scores, too).
    pub score_threshold: Option<f64>,
    /// The most boxes to keep, 0 for no limit.
    pub max_output: usize,
    /// Only that many boxes with the best scores take part, 0 for all.
    pub max_candidates: usize,
    /// What the numbers of a box are.
    pub format: BoxFormat,
    /// 0, or 1 for boxes that end with their last pixel included.
    pub offset: i32,
    /// What the intersection is compared with.
    pub overlap: Overlap,
}

impl NmsParams {
    /// This threshold, and the defaults: no score threshold, no limit, corners, offset 0, IoU.
    pub fn new(iou_threshold: f64) -> NmsParams {
        NmsParams {
            iou_threshold,
            score_threshold: None,
            max_output: 0,
            max_candidates: 0,
            format: BoxFormat::Xyxy,
            offset: 0,
            overlap: Overlap::Union,
        }
    }
}

/// Greedy non-maximum suppression: of `boxes` (N, 4) with `scores` (N), the
/// indices of those that no better kept one overlaps by more than the
/// threshold, best first.
///
/// Equal to torchvision's `nms` index by index. Ranks are those of a stable
/// descending sort: NaN scores first, equal scores by ascending index. A box
/// without area or with a NaN neither suppresses nor is suppressed while the
/// threshold is not negative.
///
/// Writes the first `count` elements of `indices` and leaves the rest. When
/// `indices` has less room, nothing is written but `count`, which says how much
/// is needed, and the error is `BufferTooSmall`. Room for N (or for
/// `max_output`) always suffices.
pub fn nms(
    ctx: &Context,
    params: &NmsParams,
    boxes: View<'_, f32>,
    scores: View<'_, f32>,
    indices: ViewMut<'_, i64>,
    count: &mut usize,
) -> Result<()> {
    let op = "nms";
    let rule = check(op, params, &boxes, &scores, &indices)?;
    let boxes = boxes.contiguous(ctx)?;
    let scores = scores.contiguous(ctx)?;
    let mut ranks = ctx.scratch::<u32>(scores.len())?;
    let ranked = rank(ctx, &scores, params.score_threshold, &mut ranks)?;
    let ranked = ranked.min(at_most(params.max_candidates));
    let mut kept = ctx.scratch::<u32>(ranked)?;
    let candidates = Candidates {
        boxes: boxes.as_chunks().0,
        ranks: &ranks[..ranked],
        rule: &rule,
        limit: at_most(params.max_output),
    };
    let found = suppress(ctx, &candidates, &mut kept)?;
    finish(op, &kept[..found], indices, count)
}

/// As [`nms`], among the boxes of each class alone; `classes` (N) are any
/// integers. The result is ordered by score over all classes, stably, and
/// `max_output` limits it as a whole.
///
/// Coordinates are not shifted apart by class, as torchvision does for small
/// inputs: what is compared is exact, and negative coordinates are fine.
pub fn batched_nms<T: Element + Into<i64>>(
    ctx: &Context,
    params: &NmsParams,
    boxes: View<'_, f32>,
    scores: View<'_, f32>,
    classes: View<'_, T>,
    indices: ViewMut<'_, i64>,
    count: &mut usize,
) -> Result<()> {
    let op = "batched_nms";
    let rule = check(op, params, &boxes, &scores, &indices)?;
    expect_rank(op, "classes", &classes, 1)?;
    ensure!(
        classes.dim(0) == scores.dim(0),
        ShapeMismatch,
        "{op}: classes has {} elements, scores {}",
        classes.dim(0),
        scores.dim(0)
    );
    forbid_overlap(op, "indices", &indices, "classes", &classes)?;
    let boxes = boxes.contiguous(ctx)?;
    let scores = scores.contiguous(ctx)?;
    let classes = classes.contiguous(ctx)?;
    let mut ranks = ctx.scratch::<u32>(scores.len())?;
    let ranked = rank(ctx, &scores, params.score_threshold, &mut ranks)?;
    let ranked = ranked.min(at_most(params.max_candidates));
    let ranks = &ranks[..ranked];
    let mut kept = ctx.scratch::<u8>(scores.len())?;
    kept.fill(0);
    by_class(
        ctx,
        boxes.as_chunks().0,
        ranks,
        &classes,
        &rule,
        at_most(params.max_output),
        &mut kept,
    )?;
    let mut best = ctx.scratch::<u32>(ranked)?;
    let mut found = 0;
    for &index in ranks {
        if found == at_most(params.max_output) {
            break;
        }
        best[found] = index;
        found += usize::from(kept[index as usize]);
    }
    finish(op, &best[..found], indices, count)
}

/// Boxes that one task decides at least, if there are so many.
const BOXES_PER_TASK: usize = 512;

/// Sets `kept` of every box that no box of its class suppresses.
fn by_class<T: Element + Into<i64>>(
    ctx: &Context,
    boxes: &[[f32; 4]],
    ranks: &[u32],
    classes: &[T],
    rule: &Rule,
    limit: usize,
    kept: &mut [u8],
) -> Result<()> {
    let mut grouped = ctx.scratch::<u32>(ranks.len())?;
    let mut starts = ctx.scratch::<u32>(ranks.len() + 1)?;
    let groups = group(ctx, ranks, classes, &mut grouped, &mut starts)?;
    let starts = &starts[..groups + 1];
    // Tasks are runs of whole classes; starts[tasks[t]] is the first box of task t.
    let mut tasks = ctx.scratch::<u32>(groups + 1)?;
    let mut count = 0;
    let mut size = BOXES_PER_TASK;
    for (g, bounds) in starts.windows(2).enumerate() {
        if size >= BOXES_PER_TASK {
            tasks[count] = g as u32;
            count += 1;
            size = 0;
        }
        size += (bounds[1] - bounds[0]) as usize;
    }
    tasks[count] = groups as u32;
    let mut found = ctx.scratch::<u32>(ranks.len())?;
    let len = found.len();
    let mut found = ViewMut::new(&mut found, &[len])?;
    let mut kept = ViewMut::new(kept, &[boxes.len()])?;
    let (found, kept) = (found.writer(), kept.writer());
    let failure = Mutex::new(None);
    ctx.parallel_for(count, |task| {
        for g in tasks[task]..tasks[task + 1] {
            let (start, end) = (starts[g as usize] as usize, starts[g as usize + 1] as usize);
            let candidates = Candidates {
                boxes,
                ranks: &grouped[start..end],
                rule,
                limit,
            };
            // SAFETY: inside of `found`, and classes are disjoint.
            let found = unsafe { found.slice(start as isize, end - start) };
            match suppress(ctx, &candidates, found) {
                Ok(count) => {
                    for &index in &found[..count] {
                        // SAFETY: an index of a box, and of one class only.
                        unsafe { kept.slice(index as isize, 1)[0] = 1 };
                    }
                }
                Err(error) => {
                    let mut failure = failure.lock().unwrap_or_else(|e| e.into_inner());
                    *failure = Some(error);
                }
            }
        }
    })?;
    match failure.into_inner().unwrap_or_else(|e| e.into_inner()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Sorts `ranks` by class, stably, to `grouped`; the class at position g of the
/// sorted classes has the boxes from `starts[g]` to `starts[g + 1]`. Returns the
/// number of classes.
fn group<T: Element + Into<i64>>(
    ctx: &Context,
    ranks: &[u32],
    classes: &[T],
    grouped: &mut [u32],
    starts: &mut [u32],
) -> Result<usize> {
    // The class of each rank, numbered densely.
    let mut values = ctx.scratch::<i64>(ranks.len())?;
    for (value, &index) in values.iter_mut().zip(ranks) {
        *value = classes[index as usize].into();
    }
    let mut known = ctx.scratch::<i64>(ranks.len())?;
    let low = values.iter().copied().min().unwrap_or(0);
    let span = values.iter().copied().max().unwrap_or(0).abs_diff(low);
    // Mostly classes are small numbers, which count themselves.
    let groups = if span < ranks.len() as u64 {
        for value in values.iter_mut() {
            *value -= low;
        }
        span as usize + 1
    } else {
        known.copy_from_slice(&values);
        known.sort_unstable();
        let mut len = 0;
        for i in 0..known.len() {
            if len == 0 || known[len - 1] != known[i] {
                known[len] = known[i];
                len += 1;
            }
        }
        for value in values.iter_mut() {
            *value = known[..len].partition_point(|v| v < value) as i64;
        }
        len
    };
    starts[..groups + 1].fill(0);
    for &value in values.iter() {
        starts[value as usize + 1] += 1;
    }
    for g in 0..groups {
        starts[g + 1] += starts[g];
    }
    // starts[g] serves as the next free place of class g and ends at starts[g + 1].
    for (&value, &index) in values.iter().zip(ranks) {
        let at = &mut starts[value as usize];
        grouped[*at as usize] = index;
        *at += 1;
    }
    starts.copy_within(..groups, 1);
    starts[0] = 0;
    Ok(groups)
}

/// Zero is no limit.
fn at_most(limit: usize) -> usize {
    match limit {
        0 => usize::MAX,
        most => most,
    }
}

fn check(
    op: &str,
    params: &NmsParams,
    boxes: &View<'_, f32>,
    scores: &View<'_, f32>,
    indices: &ViewMut<'_, i64>,
) -> Result<Rule> {
    let len = expect_boxes(op, "boxes", boxes)?;
    expect_rank(op, "scores", scores, 1)?;
    expect_rank(op, "indices", indices, 1)?;
    ensure!(
        scores.dim(0) == len,
        ShapeMismatch,
        "{op}: scores has {} elements, boxes {len}",
        scores.dim(0)
    );
    ensure!(
        len <= i32::MAX as usize,
        Unsupported,
        "{op}: {len} boxes, the most is {}",
        i32::MAX
    );
    ensure!(
        !params.score_threshold.is_some_and(f64::is_nan),
        InvalidArgument,
        "{op}: score_threshold is NaN"
    );
    forbid_overlap(op, "indices", indices, "boxes", boxes)?;
    forbid_overlap(op, "indices", indices, "scores", scores)?;
    let offset = expect_offset(op, params.offset)?;
    Rule::new(
        op,
        params.iou_threshold,
        params.format,
        offset,
        params.overlap,
    )
}

/// Hands the indices out, or says how much room they need.
fn finish(op: &str, kept: &[u32], mut indices: ViewMut<'_, i64>, count: &mut usize) -> Result<()> {
    *count = kept.len();
    if kept.len() > indices.dim(0) {
        bail!(
            BufferTooSmall,
            "{op}: indices has room for {}, the result has {}",
            indices.dim(0),
            kept.len()
        );
    }
    let mut indices = indices.reborrow().narrow(0, 0, kept.len());
    match indices.as_slice_mut() {
        Some(slice) => {
            for (to, &from) in slice.iter_mut().zip(kept) {
                *to = i64::from(from);
            }
        }
        None => {
            for (i, &from) in kept.iter().enumerate() {
                indices.set(&[i], i64::from(from));
            }
        }
    }
    Ok(())
}
