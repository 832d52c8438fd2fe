//! `matrix_nms`: every score is lowered at once, by the overlap with all better boxes.
//!
//! Wang et al., "SOLOv2", 2020, as PaddleDetection has it for boxes. A box `i` is lowered by the
//! better box `j` that overlaps it most, but less when `j` itself is likely to
//! be suppressed: the factor is the least of `f(iou(i, j)) / f(most(j))` over all better
//! `j` of its class, where `most(j)` is the largest overlap of `j` with a box better than it.
//!
//! Nothing here waits for a decision, so rows are independent: one pass finds
//! `most`, a second one the factors. Both compute the overlaps, eight or sixteen at
//! a time, which costs less than to store and to load a matrix of them. The Gaussian
//! is monotone, so its exponential is taken once a box and not once a pair.

use super::format::{BoxFormat, expect_offset};
use super::iou::{BoxIouParams, IOU, IouKind, Planes, overlap};
use super::nms::{at_most, group};
use super::order::rank;
use super::soft::{check_scored, check_scored_outputs, finish_scored};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::{Simd, dispatch, math};
use crate::tensor::{Element, View, ViewMut, expect_rank, forbid_overlap};

/// How overlap lowers a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MatrixNmsMethod {
    /// `(1 - iou) / (1 - most)`.
    #[default]
    Linear,
    /// `exp(-sigma (iou² - most²))`.
    Gaussian,
}

/// How scores fall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatrixNmsParams {
    /// How overlap lowers a score.
    pub method: MatrixNmsMethod,
    /// Of the Gaussian, positive.
    pub sigma: f32,
    /// Boxes whose score is not larger are left out from the start (NaN scores, too).
    pub score_threshold: Option<f64>,
    /// Boxes whose lowered score is not larger are left out of the result. Not NaN.
    pub post_threshold: f64,
    /// The most boxes to keep, 0 for no limit.
    pub max_output: usize,
    /// Only that many boxes with the best scores take part, 0 for all.
    pub max_candidates: usize,
    /// What the numbers of a box are.
    pub format: BoxFormat,
    /// 0, or 1 for boxes that end with their last pixel included.
    pub offset: i32,
}

impl Default for MatrixNmsParams {
    fn default() -> MatrixNmsParams {
        MatrixNmsParams {
            method: MatrixNmsMethod::Linear,
            sigma: 2.0,
            score_threshold: None,
            post_threshold: 0.0,
            max_output: 0,
            max_candidates: 0,
            format: BoxFormat::Xyxy,
            offset: 0,
        }
    }
}

/// Rows of a task.
const ROWS: usize = 64;

/// Matrix NMS of `boxes` (N, 4) with `scores` (N): the indices by lowered score, best first, equal
/// ones in the order of their first scores, and the lowered scores, to the first `count` elements
/// of `indices` and `kept_scores`, which are equally long. With `classes` (N), any integers, boxes
/// meet those of their class alone.
///
/// An overlap of 0/0 and one with a NaN count as 0, and so does a factor of 0/0 as none.
///
/// When the outputs have less room than the result, nothing is written but `count`, which says how
/// much is needed, and the error is `BufferTooSmall`. Room for N always suffices.
pub fn matrix_nms<T: Element + Into<i64>>(
    ctx: &Context,
    params: &MatrixNmsParams,
    boxes: View<'_, f32>,
    scores: View<'_, f32>,
    classes: Option<View<'_, T>>,
    indices: ViewMut<'_, i64>,
    kept_scores: ViewMut<'_, f32>,
    count: &mut usize,
) -> Result<()> {
    let op = "matrix_nms";
    let len = check_scored(op, &boxes, &scores)?;
    if let Some(classes) = &classes {
        expect_rank(op, "classes", classes, 1)?;
        ensure!(
            classes.dim(0) == len,
            ShapeMismatch,
            "{op}: classes has {} elements, scores {len}",
            classes.dim(0)
        );
        forbid_overlap(op, "indices", &indices, "classes", classes)?;
        forbid_overlap(op, "kept_scores", &kept_scores, "classes", classes)?;
    }
    check_scored_outputs(op, &boxes, &scores, &indices, &kept_scores)?;
    let offset = expect_offset(op, params.offset)?;
    for (name, value) in [
        ("score_threshold", params.score_threshold.unwrap_or(0.0)),
        ("post_threshold", params.post_threshold),
    ] {
        ensure!(!value.is_nan(), InvalidArgument, "{op}: {name} is NaN");
    }
    ensure!(
        params.sigma > 0.0 && params.sigma.is_finite(),
        InvalidArgument,
        "{op}: sigma is {}, expected a positive number",
        params.sigma
    );
    let boxes = boxes.contiguous(ctx)?;
    let scores = scores.contiguous(ctx)?;
    let mut ranks = ctx.scratch::<u32>(len)?;
    let ranked = rank(ctx, &scores, params.score_threshold, &mut ranks)?;
    let ranks = &ranks[..ranked.min(at_most(params.max_candidates))];
    let len = ranks.len();
    // By class, within a class by rank; `starts` of each row is where its class begins.
    let mut grouped = ctx.scratch::<u32>(len)?;
    let mut starts = ctx.scratch::<u32>(len)?;
    match &classes {
        None => {
            grouped.copy_from_slice(ranks);
            starts.fill(0);
        }
        Some(classes) => {
            let classes = classes.contiguous(ctx)?;
            let mut bounds = ctx.scratch::<u32>(len + 1)?;
            let groups = group(ctx, ranks, &classes, &mut grouped, &mut bounds)?;
            for bounds in bounds[..groups + 1].windows(2) {
                starts[bounds[0] as usize..bounds[1] as usize].fill(bounds[0]);
            }
        }
    }
    let mut gathered = ctx.scratch::<f32>(4 * len)?;
    for (to, &index) in gathered.as_chunks_mut::<4>().0.iter_mut().zip(&grouped[..]) {
        *to = boxes.as_chunks::<4>().0[index as usize];
    }
    let measure = BoxIouParams {
        kind: IouKind::Iou,
        format: params.format,
        offset: params.offset,
    };
    let planes = Planes::new(ctx, &measure, offset, gathered.as_chunks().0)?;
    // Room for the last vector to be read whole.
    let mut most = ctx.scratch::<f32>(len + crate::simd::MAX_LANES)?;
    most[len..].fill(0.0);
    let mut lowered = ctx.scratch::<f32>(len)?;
    let job = Job {
        planes,
        starts: &starts,
        offset,
    };
    let isa = ctx.isa();
    {
        let mut rows = ViewMut::new(&mut most[..len], &[len])?;
        let rows = rows.writer();
        ctx.parallel_for(len.div_ceil(ROWS), |task| {
            let first = task * ROWS;
            // SAFETY: inside of the array, and tasks are disjoint.
            let out = unsafe { rows.slice(first as isize, ROWS.min(len - first)) };
            dispatch!(isa, simd => job.most(simd, first, out));
        })?;
    }
    {
        let mut rows = ViewMut::new(&mut lowered, &[len])?;
        let rows = rows.writer();
        ctx.parallel_for(len.div_ceil(ROWS), |task| {
            let first = task * ROWS;
            // SAFETY: inside of the array, and tasks are disjoint.
            let out = unsafe { rows.slice(first as isize, ROWS.min(len - first)) };
            match params.method {
                MatrixNmsMethod::Linear => {
                    dispatch!(isa, simd => job.factors::<_, true>(simd, &most, first, out))
                }
                MatrixNmsMethod::Gaussian => dispatch!(isa, simd => {
                    job.factors::<_, false>(simd, &most, first, out);
                    exponentials(simd, params.sigma, out)
                }),
            }
        })?;
    }
    // By rank again, so that equal scores keep the order of the first ones.
    let mut by_index = ctx.scratch::<f32>(scores.len())?;
    for (&index, &factor) in grouped.iter().zip(&lowered[..]) {
        by_index[index as usize] = factor * scores[index as usize];
    }
    for (score, &index) in lowered.iter_mut().zip(ranks) {
        *score = by_index[index as usize];
    }
    let mut order = ctx.scratch::<u32>(len)?;
    let found = rank(ctx, &lowered, Some(params.post_threshold), &mut order)?;
    let found = found.min(at_most(params.max_output));
    let order = &mut order[..found];
    let values = &mut by_index[..found];
    for (value, place) in values.iter_mut().zip(order.iter_mut()) {
        *value = lowered[*place as usize];
        *place = ranks[*place as usize];
    }
    finish_scored(op, order, values, indices, kept_scores, count)
}

/// What the tasks share.
struct Job<'a> {
    planes: Planes<'a>,
    starts: &'a [u32],
    offset: f32,
}

impl Job<'_> {
    /// For each row from `first` on the largest overlap with a better box of its class, or 0.
    #[inline(always)]
    fn most<S: Simd>(&self, simd: S, first: usize, out: &mut [f32]) {
        for (i, out) in out.iter_mut().enumerate() {
            let row = first + i;
            let one = self.planes.splat(simd, row);
            let mut most = simd.zero();
            let mut at = self.starts[row] as usize;
            while at < row {
                let iou = overlap::<S, IOU>(simd, self.offset, &one, &self.planes.load(simd, at));
                // Of a NaN the other side stays.
                let larger = simd.max(iou, most);
                most = match row - at {
                    count if count < S::LANES => simd.select(simd.first(count), larger, most),
                    _ => larger,
                };
                at += S::LANES;
            }
            *out = simd.reduce_max(most);
        }
    }

    /// For each row from `first` on its factor; for the Gaussian the least of `most² - iou²`.
    #[inline(always)]
    fn factors<S: Simd, const LINEAR: bool>(
        &self,
        simd: S,
        most: &[f32],
        first: usize,
        out: &mut [f32],
    ) {
        let one = simd.splat(1.0);
        let neutral = if LINEAR { one } else { simd.zero() };
        for (i, out) in out.iter_mut().enumerate() {
            let row = first + i;
            let this = self.planes.splat(simd, row);
            let mut least = neutral;
            let mut at = self.starts[row] as usize;
            while at < row {
                let other = self.planes.load(simd, at);
                let iou = overlap::<S, IOU>(simd, self.offset, &this, &other);
                let iou = simd.max(iou, simd.zero());
                let most = simd.load(&most[at..]);
                let factor = match LINEAR {
                    true => simd.div(simd.sub(one, iou), simd.sub(one, most)),
                    false => simd.sub(simd.mul(most, most), simd.mul(iou, iou)),
                };
                // Of a NaN the other side stays.
                let less = simd.min(factor, least);
                least = match row - at {
                    count if count < S::LANES => simd.select(simd.first(count), less, least),
                    _ => less,
                };
                at += S::LANES;
            }
            *out = simd.reduce_min(least);
        }
    }
}

/// `exp(sigma * x)` of each.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, sigma: f32, values: &mut [f32]) {
    for part in values.chunks_mut(S::LANES) {
        let power = simd.mul(simd.splat(sigma), simd.load_partial(part));
        simd.store_partial(part, math::exp_nonpositive(simd, power));
    }
}
