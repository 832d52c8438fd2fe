//! `nms` and `batched_nms`: arguments, ranks, groups, results.

use super::format::{BoxFormat, expect_boxes, expect_offset};
use super::greedy::{Candidates, Memory, suppress};
use super::order::rank;
use super::rule::{Overlap, Rule};
use crate::error::{Error, Result, bail, ensure};
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
    let job = Job {
        params,
        rule: &rule,
        boxes: boxes.as_chunks().0,
        scores: &scores,
        split: true,
    };
    let mut kept = ctx.scratch::<u32>(scores.len())?;
    let found = job.select(ctx, &mut kept)?;
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
    let job = Job {
        params,
        rule: &rule,
        boxes: boxes.as_chunks().0,
        scores: &scores,
        split: true,
    };
    let mut kept = ctx.scratch::<u32>(scores.len())?;
    let found = job.select_by_class(ctx, &classes, &mut kept)?;
    finish(op, &kept[..found], indices, count)
}

/// The boxes of one image, checked.
pub(super) struct Job<'a> {
    pub(super) params: &'a NmsParams,
    pub(super) rule: &'a Rule,
    pub(super) boxes: &'a [[f32; 4]],
    pub(super) scores: &'a [f32],
    /// Several threads may share the work; false inside of a task.
    pub(super) split: bool,
}

impl Job<'_> {
    /// Writes the indices that are kept, best first, to `kept`, which has room for all; returns how many.
    pub(super) fn select(&self, ctx: &Context, kept: &mut [u32]) -> Result<usize> {
        let mut ranks = ctx.scratch::<u32>(self.scores.len())?;
        let candidates = Candidates {
            boxes: self.boxes,
            ranks: self.rank(ctx, &mut ranks)?,
            rule: self.rule,
            limit: at_most(self.params.max_output),
        };
        let mut memory = Memory::new(ctx, candidates.ranks.len())?;
        suppress(ctx, &mut memory, &candidates, kept)
    }

    /// As [`select`](Job::select), among the boxes of each class alone.
    pub(super) fn select_by_class<T: Element + Into<i64>>(
        &self,
        ctx: &Context,
        classes: &[T],
        kept: &mut [u32],
    ) -> Result<usize> {
        let mut ranks = ctx.scratch::<u32>(self.scores.len())?;
        let ranks = self.rank(ctx, &mut ranks)?;
        let mut stays = ctx.scratch::<u8>(self.scores.len())?;
        stays.fill(0);
        self.by_class(ctx, ranks, classes, &mut stays)?;
        let mut found = 0;
        for &index in ranks {
            if found == at_most(self.params.max_output) {
                break;
            }
            kept[found] = index;
            found += usize::from(stays[index as usize]);
        }
        Ok(found)
    }

    /// The boxes that take part, best first.
    fn rank<'r>(&self, ctx: &Context, ranks: &'r mut [u32]) -> Result<&'r [u32]> {
        let count = rank(ctx, self.scores, self.params.score_threshold, ranks)?;
        Ok(&ranks[..count.min(at_most(self.params.max_candidates))])
    }

    /// Sets `stays` of every box that no box of its class suppresses.
    fn by_class<T: Element + Into<i64>>(
        &self,
        ctx: &Context,
        ranks: &[u32],
        classes: &[T],
        stays: &mut [u8],
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
        let mut counts = ctx.scratch::<u32>(groups)?;
        let mut found_view = ViewMut::new(&mut found, &[ranks.len()])?;
        let mut counts_view = ViewMut::new(&mut counts, &[groups])?;
        let (found_writer, counts_writer) = (found_view.writer(), counts_view.writer());
        let failure = Mutex::new(None);
        let run = |task: usize| {
            let groups = &starts[tasks[task] as usize..=tasks[task + 1] as usize];
            let largest = groups.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
            let mut memory = match Memory::new(ctx, largest as usize) {
                Ok(memory) => memory,
                Err(error) => return note(&failure, error),
            };
            let first = tasks[task] as usize;
            // SAFETY: classes of this task, and of no other.
            let counts = unsafe { counts_writer.slice(first as isize, groups.len() - 1) };
            for (bounds, kept) in groups.windows(2).zip(counts) {
                let (start, end) = (bounds[0] as usize, bounds[1] as usize);
                let candidates = Candidates {
                    boxes: self.boxes,
                    ranks: &grouped[start..end],
                    rule: self.rule,
                    limit: at_most(self.params.max_output),
                };
                // SAFETY: inside of `found`, and classes are disjoint.
                let found = unsafe { found_writer.slice(start as isize, end - start) };
                match suppress(ctx, &mut memory, &candidates, found) {
                    Ok(count) => *kept = count as u32,
                    Err(error) => note(&failure, error),
                }
            }
        };
        match self.split {
            true => ctx.parallel_for(count, run)?,
            false => (0..count).for_each(run),
        }
        outcome(failure)?;
        // Not by the tasks: boxes of all classes share the lines of `stays`, and threads would wait for one another's.
        for (&start, &kept) in starts.iter().zip(counts.iter()) {
            for &index in &found[start as usize..][..kept as usize] {
                stays[index as usize] = 1;
            }
        }
        Ok(())
    }
}

/// Keeps the error of a task.
pub(super) fn note(failure: &Mutex<Option<Error>>, error: Error) {
    *failure.lock().unwrap_or_else(|e| e.into_inner()) = Some(error);
}

/// An error that a task has had.
pub(super) fn outcome(failure: Mutex<Option<Error>>) -> Result<()> {
    match failure.into_inner().unwrap_or_else(|e| e.into_inner()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Boxes that one task decides at least, if there are so many.
const BOXES_PER_TASK: usize = 512;

/// Sorts `ranks` by class, stably, to `grouped`; the class at position g of the
/// sorted classes has the boxes from `starts[g]` to `starts[g + 1]`. Returns the
/// number of classes.
pub(super) fn group<T: Element + Into<i64>>(
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
pub(super) fn at_most(limit: usize) -> usize {
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
    forbid_overlap(op, "indices", indices, "boxes", boxes)?;
    forbid_overlap(op, "indices", indices, "scores", scores)?;
    prepare(op, params)
}

/// The rule that the params are.
pub(super) fn prepare(op: &str, params: &NmsParams) -> Result<Rule> {
    ensure!(
        !params.score_threshold.is_some_and(f64::is_nan),
        InvalidArgument,
        "{op}: score_threshold is NaN"
    );
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
