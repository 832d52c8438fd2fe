//! `soft_nms`: overlap lowers scores instead of striking boxes out.
//!
//! Bodla et al., "Soft-NMS", 2017. The best box is selected, the scores of the
//! others fall by their overlap with it, and the best of what is then left is
//! next. So one pass over the remaining boxes does three things at once: it
//! lowers the scores, drops those below the threshold, and finds the
//! maximum, which is what the next step needs. Boxes lie by field, a vector of
//! them is a few operations, and where none of a vector touches the selected box
//! (the usual case in a large picture) neither division nor exponential is
//! carried out and nothing is stored. Dropped and selected boxes stay in place
//! with a score of minus infinity until half of all are gone; then the rest
//! moves together, in order, which keeps ties at the lowest index.

use super::format::{BoxFormat, expect_boxes, expect_offset};
use super::iou::ratio;
use super::nms::at_most;
use super::rule::round_down;
use crate::error::{Result, bail, ensure};
use crate::runtime::{Context, Scratch};
use crate::simd::{MAX_LANES, Simd, dispatch, math};
use crate::tensor::{View, ViewMut, expect_rank, forbid_overlap};

/// What overlap does to a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SoftNmsMethod {
    /// `score *= 1 - iou` where `iou` is above the threshold.
    #[default]
    Linear,
    /// `score *= exp(-iou² / sigma)`.
    Gaussian,
    /// `score = 0` where `iou` is above the threshold: the usual suppression.
    Greedy,
}

/// How scores fall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftNmsParams {
    /// What overlap does to a score.
    pub method: SoftNmsMethod,
    /// Overlap that does not matter, for the linear and the greedy method. Not NaN.
    pub iou_threshold: f64,
    /// Of the Gaussian, positive.
    pub sigma: f32,
    /// Boxes are dropped as soon as their score is below. Not NaN.
    pub score_threshold: f64,
    /// The most boxes to keep, 0 for no limit.
    pub max_output: usize,
    /// What the numbers of a box are.
    pub format: BoxFormat,
    /// 0, or 1 for boxes that end with their last pixel included.
    pub offset: i32,
}

impl Default for SoftNmsParams {
    fn default() -> SoftNmsParams {
        SoftNmsParams {
            method: SoftNmsMethod::Linear,
            iou_threshold: 0.3,
            sigma: 0.5,
            score_threshold: 0.001,
            max_output: 0,
            format: BoxFormat::Xyxy,
            offset: 0,
        }
    }
}

/// Soft suppression of `boxes` (N, 4) with `scores` (N): the indices in the order of selection and
/// the scores that the boxes had when they were selected, to the first `count` elements of
/// `indices` and `kept_scores`, which are equally long.
///
/// Of equal scores the lowest index is selected. Boxes whose score is below the threshold, NaN or
/// minus infinity are dropped, from the start and after each step. The IoU of empty boxes and of
/// boxes with a NaN counts as 0.
///
/// When the outputs have less room than the result, nothing is written but `count`, which says how
/// much is needed, and the error is `BufferTooSmall`. Room for N always suffices.
pub fn soft_nms(
    ctx: &Context,
    params: &SoftNmsParams,
    boxes: View<'_, f32>,
    scores: View<'_, f32>,
    indices: ViewMut<'_, i64>,
    kept_scores: ViewMut<'_, f32>,
    count: &mut usize,
) -> Result<()> {
    let op = "soft_nms";
    let offset = check(op, params, &boxes, &scores)?;
    check_scored_outputs(op, &boxes, &scores, &indices, &kept_scores)?;
    let boxes = boxes.contiguous(ctx)?;
    let scores = scores.contiguous(ctx)?;
    let (boxes, _) = boxes.as_chunks::<4>();
    // One word an index and one a score.
    let mut kept = ctx.scratch::<u32>(boxes.len())?;
    let mut values = ctx.scratch::<f32>(boxes.len())?;
    let job = Job {
        params,
        offset,
        iou_threshold: round_down(params.iou_threshold),
        // The smallest float that is not below.
        floor: -round_down(-params.score_threshold),
    };
    let mut rest = Rest::new(ctx, &job, boxes, &scores)?;
    let most = at_most(params.max_output);
    let out = (&mut kept[..], &mut values[..]);
    let found = match params.method {
        SoftNmsMethod::Linear => {
            dispatch!(ctx.isa(), simd => job.select::<_, LINEAR>(simd, &mut rest, most, out))
        }
        SoftNmsMethod::Gaussian => {
            dispatch!(ctx.isa(), simd => job.select::<_, GAUSSIAN>(simd, &mut rest, most, out))
        }
        SoftNmsMethod::Greedy => {
            dispatch!(ctx.isa(), simd => job.select::<_, GREEDY>(simd, &mut rest, most, out))
        }
    };
    finish_scored(op, &kept[..found], &values, indices, kept_scores, count)
}

const LINEAR: u8 = 0;
const GAUSSIAN: u8 = 1;
const GREEDY: u8 = 2;

fn check(
    op: &str,
    params: &SoftNmsParams,
    boxes: &View<'_, f32>,
    scores: &View<'_, f32>,
) -> Result<f32> {
    check_scored(op, boxes, scores)?;
    ensure!(
        !params.iou_threshold.is_nan(),
        InvalidArgument,
        "{op}: iou_threshold is NaN"
    );
    ensure!(
        !params.score_threshold.is_nan(),
        InvalidArgument,
        "{op}: score_threshold is NaN"
    );
    ensure!(
        params.sigma > 0.0 && params.sigma.is_finite(),
        InvalidArgument,
        "{op}: sigma is {}, expected a positive number",
        params.sigma
    );
    expect_offset(op, params.offset)
}

/// Boxes (N, 4) and as many scores; returns N.
pub(super) fn check_scored(
    op: &str,
    boxes: &View<'_, f32>,
    scores: &View<'_, f32>,
) -> Result<usize> {
    let len = expect_boxes(op, "boxes", boxes)?;
    expect_rank(op, "scores", scores, 1)?;
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
    Ok(len)
}

/// Two outputs of one length that overlap nothing.
pub(super) fn check_scored_outputs(
    op: &str,
    boxes: &View<'_, f32>,
    scores: &View<'_, f32>,
    indices: &ViewMut<'_, i64>,
    kept_scores: &ViewMut<'_, f32>,
) -> Result<()> {
    expect_rank(op, "indices", indices, 1)?;
    expect_rank(op, "kept_scores", kept_scores, 1)?;
    ensure!(
        indices.dim(0) == kept_scores.dim(0),
        ShapeMismatch,
        "{op}: kept_scores has {} elements, indices {}",
        kept_scores.dim(0),
        indices.dim(0)
    );
    forbid_overlap(op, "indices", indices, "boxes", boxes)?;
    forbid_overlap(op, "indices", indices, "scores", scores)?;
    forbid_overlap(op, "kept_scores", kept_scores, "boxes", boxes)?;
    forbid_overlap(op, "kept_scores", kept_scores, "scores", scores)?;
    forbid_overlap(op, "kept_scores", kept_scores, "indices", indices)
}

/// Hands indices and scores out, or says how much room they need.
pub(super) fn finish_scored(
    op: &str,
    kept: &[u32],
    values: &[f32],
    mut indices: ViewMut<'_, i64>,
    mut kept_scores: ViewMut<'_, f32>,
    count: &mut usize,
) -> Result<()> {
    *count = kept.len();
    if kept.len() > indices.dim(0) {
        bail!(
            BufferTooSmall,
            "{op}: indices has room for {}, the result has {}",
            indices.dim(0),
            kept.len()
        );
    }
    for (i, (&index, &value)) in kept.iter().zip(values).enumerate() {
        indices.set(&[i], i64::from(index));
        kept_scores.set(&[i], value);
    }
    Ok(())
}

/// x1, y1, x2, y2, area, score.
const FIELDS: usize = 6;
const SCORE: usize = 5;

/// The boxes that are left, by field, in the order of their indices.
struct Rest<'c> {
    memory: Scratch<'c, f32>,
    indices: Scratch<'c, u32>,
    stride: usize,
    len: usize,
}

impl<'c> Rest<'c> {
    fn new(
        ctx: &'c Context,
        job: &Job<'_>,
        boxes: &[[f32; 4]],
        scores: &[f32],
    ) -> Result<Rest<'c>> {
        let stride = (boxes.len() + MAX_LANES).next_multiple_of(MAX_LANES);
        let mut rest = Rest {
            memory: ctx.scratch(FIELDS * stride)?,
            indices: ctx.scratch(boxes.len())?,
            stride,
            len: 0,
        };
        for (i, (&b, &score)) in boxes.iter().zip(scores).enumerate() {
            if score >= job.floor && score > f32::NEG_INFINITY {
                let [x1, y1, x2, y2] = job.params.format.corners(b);
                let area = (x2 - x1 + job.offset) * (y2 - y1 + job.offset);
                for (field, value) in [x1, y1, x2, y2, area, score].into_iter().enumerate() {
                    rest.memory[field * stride + rest.len] = value;
                }
                rest.indices[rest.len] = i as u32;
                rest.len += 1;
            }
        }
        rest.end();
        Ok(rest)
    }

    /// What a vector reads beyond the last box is no box.
    fn end(&mut self) {
        for field in 0..FIELDS {
            let value = if field == SCORE {
                f32::NEG_INFINITY
            } else {
                0.0
            };
            self.memory[field * self.stride + self.len..][..MAX_LANES].fill(value);
        }
    }

    fn field(&self, field: usize, at: usize) -> f32 {
        self.memory[field * self.stride + at]
    }

    /// Moves what is not dropped together; `at` is a position that is followed.
    fn compact(&mut self, at: usize) -> usize {
        let (mut len, mut followed) = (0, 0);
        for from in 0..self.len {
            if from == at {
                followed = len;
            }
            if self.field(SCORE, from) > f32::NEG_INFINITY {
                for field in 0..FIELDS {
                    self.memory[field * self.stride + len] = self.field(field, from);
                }
                self.indices[len] = self.indices[from];
                len += 1;
            }
        }
        self.len = len;
        self.end();
        followed
    }
}

/// The rule.
struct Job<'a> {
    params: &'a SoftNmsParams,
    offset: f32,
    iou_threshold: f32,
    floor: f32,
}

impl Job<'_> {
    /// Selects until nothing is left or `most` are; returns how many.
    #[inline(always)]
    fn select<S: Simd, const METHOD: u8>(
        &self,
        simd: S,
        rest: &mut Rest<'_>,
        most: usize,
        (kept, values): (&mut [u32], &mut [f32]),
    ) -> usize {
        let mut found = 0;
        let mut best = first_best(rest);
        let mut alive = rest.len;
        while let Some(at) = best.filter(|_| found < most) {
            kept[found] = rest.indices[at];
            values[found] = rest.field(SCORE, at);
            found += 1;
            let selected = std::array::from_fn(|field| rest.field(field, at));
            rest.memory[SCORE * rest.stride + at] = f32::NEG_INFINITY;
            (best, alive) = self.lower::<S, METHOD>(simd, rest, &selected);
            if let Some(at) = best
                && alive <= rest.len / 2
            {
                best = Some(rest.compact(at));
            }
        }
        debug_assert!(alive <= rest.len);
        found
    }

    /// Lowers the scores by the overlap with the selected box. Returns where the best of the rest
    /// stands, and how many are left.
    #[inline(always)]
    fn lower<S: Simd, const METHOD: u8>(
        &self,
        simd: S,
        rest: &mut Rest<'_>,
        selected: &[f32; 5],
    ) -> (Option<usize>, usize) {
        let none = simd.splat(f32::NEG_INFINITY);
        let (one, zero) = (simd.splat(1.0), simd.zero());
        let offset = simd.splat(self.offset);
        let threshold = simd.splat(self.iou_threshold);
        let floor = simd.splat(self.floor);
        let sigma = simd.splat(self.params.sigma);
        let [x1, y1, x2, y2, area] = [
            simd.splat(selected[0]),
            simd.splat(selected[1]),
            simd.splat(selected[2]),
            simd.splat(selected[3]),
            simd.splat(selected[4]),
        ];
        // A score falls only by overlap, but where the greedy method takes 0 for overlap enough.
        let spared = METHOD != GREEDY || self.iou_threshold >= 0.0;
        let (mut best, mut place) = (none, simd.splat_i32(0));
        let mut position = simd.iota();
        let step = simd.splat_i32(S::LANES as i32);
        let mut alive = 0;
        let stride = rest.stride;
        assert!(rest.len.next_multiple_of(S::LANES) <= stride);
        let base = rest.memory.as_mut_ptr();
        let mut at = 0;
        while at < rest.len {
            // SAFETY: the planes reach to the next multiple of any vector.
            let (bx1, by1, bx2, by2, barea, score) = unsafe {
                (
                    simd.load_ptr(base.add(at)),
                    simd.load_ptr(base.add(stride + at)),
                    simd.load_ptr(base.add(2 * stride + at)),
                    simd.load_ptr(base.add(3 * stride + at)),
                    simd.load_ptr(base.add(4 * stride + at)),
                    simd.load_ptr(base.add(SCORE * stride + at)),
                )
            };
            let w = simd.add(simd.sub(simd.min(x2, bx2), simd.max(x1, bx1)), offset);
            let h = simd.add(simd.sub(simd.min(y2, by2), simd.max(y1, by1)), offset);
            let inter = simd.mul(simd.max(w, zero), simd.max(h, zero));
            let mut now = score;
            if !spared || simd.any(simd.gt(inter, zero)) {
                let union = simd.sub(simd.add(area, barea), inter);
                let iou = ratio(simd, inter, union);
                let above = simd.gt(iou, threshold);
                now = match METHOD {
                    LINEAR => simd.select(above, simd.mul(score, simd.sub(one, iou)), score),
                    GREEDY => simd.select(above, simd.mul(score, zero), score),
                    _ => {
                        // A NaN counts as 0.
                        let iou = simd.max(iou, zero);
                        let power = simd.div(simd.neg(simd.mul(iou, iou)), sigma);
                        simd.mul(score, math::exp_nonpositive(simd, power))
                    }
                };
                now = simd.select(simd.ge(now, floor), now, none);
                // SAFETY: as above.
                unsafe { simd.store_ptr(base.add(SCORE * stride + at), now) };
            }
            alive += simd.mask_bits(simd.gt(now, none)).count_ones() as usize;
            let better = simd.gt(now, best);
            best = simd.select(better, now, best);
            place = simd.select_i32(better, position, place);
            position = simd.add_i32(position, step);
            at += S::LANES;
        }
        let highest = simd.reduce_max(best);
        if highest == f32::NEG_INFINITY {
            return (None, 0);
        }
        // The first of the lanes that share the maximum.
        let elsewhere = simd.splat_i32(i32::MAX);
        let place = simd.select_i32(simd.eq(best, simd.splat(highest)), place, elsewhere);
        let mut places = [0i32; MAX_LANES];
        // SAFETY: room for the widest vector.
        unsafe { simd.store_i32_ptr(places.as_mut_ptr(), place) };
        let first = places[..S::LANES].iter().fold(i32::MAX, |a, &b| a.min(b));
        (Some(first as usize), alive)
    }
}

/// Where the best score stands, the first of equal ones.
fn first_best(rest: &Rest<'_>) -> Option<usize> {
    let scores = &rest.memory[SCORE * rest.stride..][..rest.len];
    let mut best = None;
    let mut highest = f32::NEG_INFINITY;
    for (at, &score) in scores.iter().enumerate() {
        if score > highest {
            (best, highest) = (Some(at), score);
        }
    }
    best
}
