//! Boxes: suppression.

use super::boxes::format;
use super::call::Input;
use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::boxes::{
    MatrixNmsMethod, MatrixNmsParams, NmsParams, Overlap, SoftNmsMethod, SoftNmsParams,
    batched_nms, matrix_nms, nms, nms_per_image, soft_nms,
};
use crate::error::{Result, Status, bail, ensure};
use crate::tensor::{DType, View};

/// The intersection is divided by the union.
pub const OMMA_OVERLAP_UNION: i32 = 0;
/// The intersection is divided by the smaller of both areas.
pub const OMMA_OVERLAP_MIN: i32 = 1;

/// In `OmmaNmsParams::flags`: `score_threshold` is set.
pub const OMMA_NMS_SCORE_THRESHOLD: u32 = 1;

/// Soft suppression: `score *= 1 - iou` where `iou` is above the threshold.
pub const OMMA_SOFT_NMS_LINEAR: i32 = 0;
/// Soft suppression: `score *= exp(-iou² / sigma)`.
pub const OMMA_SOFT_NMS_GAUSSIAN: i32 = 1;
/// Soft suppression: `score = 0` where `iou` is above the threshold, as in the usual suppression.
pub const OMMA_SOFT_NMS_GREEDY: i32 = 2;

/// In `OmmaSoftNmsParams::flags`: `iou_threshold` is set.
pub const OMMA_SOFT_NMS_IOU_THRESHOLD: u32 = 1;
/// In `OmmaSoftNmsParams::flags`: `score_threshold` is set.
pub const OMMA_SOFT_NMS_SCORE_THRESHOLD: u32 = 2;

/// Matrix suppression: the factor of an overlap is `(1 - iou) / (1 - most)`.
pub const OMMA_MATRIX_NMS_LINEAR: i32 = 0;
/// Matrix suppression: the factor of an overlap is `exp(-sigma (iou² - most²))`.
pub const OMMA_MATRIX_NMS_GAUSSIAN: i32 = 1;

/// In `OmmaMatrixNmsParams::flags`: `score_threshold` is set.
pub const OMMA_MATRIX_NMS_SCORE_THRESHOLD: u32 = 1;

/// How boxes suppress each other.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaNmsParams {
    /// `sizeof(OmmaNmsParams)`.
    pub struct_size: u32,
    /// 0 or `OMMA_NMS_SCORE_THRESHOLD`.
    pub flags: u32,
    /// A box is suppressed when a better kept one overlaps it by more. Taken literally; not NaN.
    pub iou_threshold: f64,
    /// With `OMMA_NMS_SCORE_THRESHOLD`: boxes whose score is not larger (or NaN) are left out.
    pub score_threshold: f64,
    /// The most boxes to keep, 0 for no limit.
    pub max_output: i64,
    /// Only that many boxes with the best scores take part, 0 for all.
    pub max_candidates: i64,
    /// An `OMMA_BOX_…`: what the four numbers of a box are.
    pub format: i32,
    /// 0, or 1 for boxes that end with their last pixel included (sides are `x2 - x1 + 1`).
    pub offset: i32,
    /// `OMMA_OVERLAP_UNION` or `OMMA_OVERLAP_MIN`.
    pub overlap: i32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaNmsParams {}

/// How overlap lowers scores one box after the other.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaSoftNmsParams {
    /// `sizeof(OmmaSoftNmsParams)`.
    pub struct_size: u32,
    /// A sum of `OMMA_SOFT_NMS_IOU_THRESHOLD` and `OMMA_SOFT_NMS_SCORE_THRESHOLD`, or 0.
    pub flags: u32,
    /// `OMMA_SOFT_NMS_LINEAR`, `OMMA_SOFT_NMS_GAUSSIAN` or `OMMA_SOFT_NMS_GREEDY`.
    pub method: i32,
    /// Of the Gaussian, positive; 0 means 0.5.
    pub sigma: f32,
    /// With `OMMA_SOFT_NMS_IOU_THRESHOLD`: overlap that does not matter but to the Gaussian; else 0.3.
    pub iou_threshold: f64,
    /// With `OMMA_SOFT_NMS_SCORE_THRESHOLD`: boxes are dropped as soon as their score is below; else 0.001.
    pub score_threshold: f64,
    /// The most boxes to keep, 0 for no limit.
    pub max_output: i64,
    /// An `OMMA_BOX_…`: what the four numbers of a box are.
    pub format: i32,
    /// 0, or 1 for boxes that end with their last pixel included (sides are `x2 - x1 + 1`).
    pub offset: i32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaSoftNmsParams {}

/// How overlap lowers all scores at once.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaMatrixNmsParams {
    /// `sizeof(OmmaMatrixNmsParams)`.
    pub struct_size: u32,
    /// 0 or `OMMA_MATRIX_NMS_SCORE_THRESHOLD`.
    pub flags: u32,
    /// `OMMA_MATRIX_NMS_LINEAR` or `OMMA_MATRIX_NMS_GAUSSIAN`.
    pub method: i32,
    /// Of the Gaussian, positive; 0 means 2.
    pub sigma: f32,
    /// With `OMMA_MATRIX_NMS_SCORE_THRESHOLD`: boxes whose score is not larger (or NaN) are left out.
    pub score_threshold: f64,
    /// Boxes whose lowered score is not larger are left out of the result.
    pub post_threshold: f64,
    /// The most boxes to keep, 0 for no limit.
    pub max_output: i64,
    /// Only that many boxes with the best scores take part, 0 for all.
    pub max_candidates: i64,
    /// An `OMMA_BOX_…`: what the four numbers of a box are.
    pub format: i32,
    /// 0, or 1 for boxes that end with their last pixel included (sides are `x2 - x1 + 1`).
    pub offset: i32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaMatrixNmsParams {}

/// A number of boxes.
fn limit(op: &str, name: &str, value: i64) -> Result<usize> {
    match usize::try_from(value) {
        Ok(value) => Ok(value),
        Err(_) => bail!(InvalidArgument, "{op}: {name} is {value}"),
    }
}

/// Only these bits are set.
fn expect_flags(op: &str, flags: u32, known: u32) -> Result<()> {
    ensure!(
        flags & !known == 0,
        InvalidArgument,
        "{op}: flags is {flags:#x}, known is {known:#x}"
    );
    Ok(())
}

fn nms_params(op: &str, p: &OmmaNmsParams) -> Result<NmsParams> {
    expect_flags(op, p.flags, OMMA_NMS_SCORE_THRESHOLD)?;
    ensure!(
        p.reserved == 0,
        InvalidArgument,
        "{op}: reserved is {}, expected 0",
        p.reserved
    );
    Ok(NmsParams {
        iou_threshold: p.iou_threshold,
        score_threshold: (p.flags & OMMA_NMS_SCORE_THRESHOLD != 0).then_some(p.score_threshold),
        max_output: limit(op, "max_output", p.max_output)?,
        max_candidates: limit(op, "max_candidates", p.max_candidates)?,
        format: format(op, p.format)?,
        offset: p.offset,
        overlap: match p.overlap {
            OMMA_OVERLAP_UNION => Overlap::Union,
            OMMA_OVERLAP_MIN => Overlap::Min,
            other => bail!(
                InvalidArgument,
                "{op}: overlap is {other}, expected OMMA_OVERLAP_UNION or OMMA_OVERLAP_MIN"
            ),
        },
    })
}

fn soft_params(op: &str, p: &OmmaSoftNmsParams) -> Result<SoftNmsParams> {
    let known = OMMA_SOFT_NMS_IOU_THRESHOLD | OMMA_SOFT_NMS_SCORE_THRESHOLD;
    expect_flags(op, p.flags, known)?;
    let default = SoftNmsParams::default();
    let given = |flag: u32, value: f64, default: f64| match p.flags & flag != 0 {
        true => value,
        false => default,
    };
    Ok(SoftNmsParams {
        method: match p.method {
            OMMA_SOFT_NMS_LINEAR => SoftNmsMethod::Linear,
            OMMA_SOFT_NMS_GAUSSIAN => SoftNmsMethod::Gaussian,
            OMMA_SOFT_NMS_GREEDY => SoftNmsMethod::Greedy,
            other => bail!(
                InvalidArgument,
                "{op}: method is {other}, not an OMMA_SOFT_NMS_ method"
            ),
        },
        iou_threshold: given(
            OMMA_SOFT_NMS_IOU_THRESHOLD,
            p.iou_threshold,
            default.iou_threshold,
        ),
        sigma: match p.sigma {
            0.0 => default.sigma,
            sigma => sigma,
        },
        score_threshold: given(
            OMMA_SOFT_NMS_SCORE_THRESHOLD,
            p.score_threshold,
            default.score_threshold,
        ),
        max_output: limit(op, "max_output", p.max_output)?,
        format: format(op, p.format)?,
        offset: p.offset,
    })
}

fn matrix_params(op: &str, p: &OmmaMatrixNmsParams) -> Result<MatrixNmsParams> {
    expect_flags(op, p.flags, OMMA_MATRIX_NMS_SCORE_THRESHOLD)?;
    Ok(MatrixNmsParams {
        method: match p.method {
            OMMA_MATRIX_NMS_LINEAR => MatrixNmsMethod::Linear,
            OMMA_MATRIX_NMS_GAUSSIAN => MatrixNmsMethod::Gaussian,
            other => bail!(
                InvalidArgument,
                "{op}: method is {other}, expected OMMA_MATRIX_NMS_LINEAR or OMMA_MATRIX_NMS_GAUSSIAN"
            ),
        },
        sigma: match p.sigma {
            0.0 => MatrixNmsParams::default().sigma,
            sigma => sigma,
        },
        score_threshold: (p.flags & OMMA_MATRIX_NMS_SCORE_THRESHOLD != 0)
            .then_some(p.score_threshold),
        post_threshold: p.post_threshold,
        max_output: limit(op, "max_output", p.max_output)?,
        max_candidates: limit(op, "max_candidates", p.max_candidates)?,
        format: format(op, p.format)?,
        offset: p.offset,
    })
}

/// Classes, int64 or int32.
enum Classes<'c> {
    Wide(Input<'c, i64>),
    Narrow(Input<'c, i32>),
}

impl<'c> Classes<'c> {
    /// # Safety
    /// As for [`Call::optional`].
    unsafe fn optional(call: &Call<'c>, tensor: *const OmmaTensor) -> Result<Option<Classes<'c>>> {
        if tensor.is_null() {
            return Ok(None);
        }
        // SAFETY: the caller's promise.
        unsafe {
            Ok(Some(match call.dtype("classes", tensor)? {
                DType::I32 => Classes::Narrow(call.input("classes", tensor)?),
                _ => Classes::Wide(call.input("classes", tensor)?),
            }))
        }
    }
}

/// Greedy non-maximum suppression: of `boxes` (N, 4) f32 with `scores` (N) f32,
/// the indices of those that no better kept one overlaps by more than
/// `iou_threshold`, best first, to the first `count` elements of `indices` (any
/// length) int64; the rest of `indices` is not written.
///
/// Equal to torchvision's `nms` index by index: equal scores rank by index, NaN
/// scores rank first, boxes without area or with a NaN neither suppress nor are
/// suppressed (while the threshold is not negative).
///
/// When `indices` is too short, the result is `OMMA_BUFFER_TOO_SMALL`, `count` is
/// the length needed, and nothing else is written. N, or `max_output` if
/// smaller, always suffices.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors;
/// `count` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_nms(
    ctx: *const OmmaContext,
    params: *const OmmaNmsParams,
    boxes: *const OmmaTensor,
    scores: *const OmmaTensor,
    indices: *const OmmaTensor,
    count: *mut i64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, boxes, scores, mut indices, count) = unsafe {
            let call = Call::new("nms", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("boxes", boxes)?,
                call.input("scores", scores)?,
                call.output("indices", indices)?,
                call.out("count", count)?,
            )
        };
        let p = nms_params(call.op, &p)?;
        let mut found = 0;
        let result = nms(
            call.ctx,
            &p,
            boxes.view(),
            scores.view(),
            indices.view()?,
            &mut found,
        );
        deliver(result, found, count)?;
        indices.finish_first(found)
    })
}

/// As `omma_nms`, among the boxes of each class alone; `classes` (N) is int64 or
/// int32, any values. The result is ordered by score over all classes, equal
/// scores by index; the limits in `params` count over all classes.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors;
/// `count` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_batched_nms(
    ctx: *const OmmaContext,
    params: *const OmmaNmsParams,
    boxes: *const OmmaTensor,
    scores: *const OmmaTensor,
    classes: *const OmmaTensor,
    indices: *const OmmaTensor,
    count: *mut i64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, boxes, scores, dtype, mut indices, count) = unsafe {
            let call = Call::new("batched_nms", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("boxes", boxes)?,
                call.input("scores", scores)?,
                call.dtype("classes", classes)?,
                call.output("indices", indices)?,
                call.out("count", count)?,
            )
        };
        let p = nms_params(call.op, &p)?;
        let mut found = 0;
        let (boxes, scores) = (boxes.view(), scores.view());
        let result = if dtype == DType::I32 {
            // SAFETY: as above.
            let classes = unsafe { call.input::<i32>("classes", classes)? };
            let (classes, indices) = (classes.view(), indices.view()?);
            batched_nms(call.ctx, &p, boxes, scores, classes, indices, &mut found)
        } else {
            // SAFETY: as above.
            let classes = unsafe { call.input::<i64>("classes", classes)? };
            let (classes, indices) = (classes.view(), indices.view()?);
            batched_nms(call.ctx, &p, boxes, scores, classes, indices, &mut found)
        };
        deliver(result, found, count)?;
        indices.finish_first(found)
    })
}

/// The count is told on success, and when it says how much room is needed.
pub(super) fn deliver(result: Result<()>, found: usize, count: &mut i64) -> Result<()> {
    if result
        .as_ref()
        .map_or_else(|e| e.status() == Status::BufferTooSmall, |()| true)
    {
        *count = found as i64;
    }
    result
}

/// Suppression in each of B images: of `boxes` (B, N, 4) f32 with `scores` (B, N) f32 the indices
/// within the image that `omma_nms` keeps, best first, to the rows of `indices` (B, K) int64, and how
/// many they are to `counts` (B) int64. With `classes` (B, N), int64 or int32, not NULL, it is
/// `omma_batched_nms` in each image.
///
/// An image keeps its best K boxes at most, and at most `max_output` where that is set; K = N never
/// cuts anything off. The rest of a row is -1. The limits of the params count for each image. Where
/// images have fewer than N boxes, fill up with scores that a `score_threshold` leaves out.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_nms_per_image(
    ctx: *const OmmaContext,
    params: *const OmmaNmsParams,
    boxes: *const OmmaTensor,
    scores: *const OmmaTensor,
    classes: *const OmmaTensor,
    indices: *const OmmaTensor,
    counts: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, boxes, scores, classes, mut indices, mut counts) = unsafe {
            let call = Call::new("nms_per_image", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("boxes", boxes)?,
                call.input("scores", scores)?,
                Classes::optional(&call, classes)?,
                call.output("indices", indices)?,
                call.output("counts", counts)?,
            )
        };
        let p = nms_params(call.op, &p)?;
        let (boxes, scores) = (boxes.view(), scores.view());
        let out = (indices.view()?, counts.view()?);
        match &classes {
            Some(Classes::Narrow(classes)) => {
                let classes = Some(classes.view());
                nms_per_image(call.ctx, &p, boxes, scores, classes, out.0, out.1)?;
            }
            Some(Classes::Wide(classes)) => {
                let classes = Some(classes.view());
                nms_per_image(call.ctx, &p, boxes, scores, classes, out.0, out.1)?;
            }
            None => {
                let classes = None::<View<'_, i64>>;
                nms_per_image(call.ctx, &p, boxes, scores, classes, out.0, out.1)?;
            }
        }
        indices.finish()?;
        counts.finish()
    })
}

/// Soft suppression (Bodla et al. 2017): the best of `boxes` (N, 4) f32 with `scores` (N) f32 is
/// selected, the scores of the others fall by their overlap with it, and so on. The indices in the
/// order of selection and the scores at that time go to the first `count` elements of `indices`
/// int64 and `kept_scores` f32, which are equally long; the rest is not written.
///
/// Of equal scores the lowest index is selected. A box is dropped as soon as its score is below
/// `score_threshold`, NaN or minus infinity, from the start and after each step. The overlap of
/// empty boxes and of boxes with a NaN counts as 0.
///
/// When the outputs are too short, the result is `OMMA_BUFFER_TOO_SMALL`, `count` is the length
/// needed, and nothing else is written. N, or `max_output` if smaller, always suffices.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors;
/// `count` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_soft_nms(
    ctx: *const OmmaContext,
    params: *const OmmaSoftNmsParams,
    boxes: *const OmmaTensor,
    scores: *const OmmaTensor,
    indices: *const OmmaTensor,
    kept_scores: *const OmmaTensor,
    count: *mut i64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, boxes, scores, mut indices, mut kept_scores, count) = unsafe {
            let call = Call::new("soft_nms", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("boxes", boxes)?,
                call.input("scores", scores)?,
                call.output("indices", indices)?,
                call.output("kept_scores", kept_scores)?,
                call.out("count", count)?,
            )
        };
        let p = soft_params(call.op, &p)?;
        let mut found = 0;
        let result = soft_nms(
            call.ctx,
            &p,
            boxes.view(),
            scores.view(),
            indices.view()?,
            kept_scores.view()?,
            &mut found,
        );
        deliver(result, found, count)?;
        indices.finish_first(found)?;
        kept_scores.finish_first(found)
    })
}

/// Matrix suppression (SOLOv2, 2020, as PaddleDetection has it for boxes): the score of each of
/// `boxes` (N, 4) f32 with `scores` (N) f32 is lowered once, by the least of its factors with the
/// better boxes of its class: `(1 - iou) / (1 - most)`, or `exp(-sigma (iou² - most²))`, where `most`
/// is the largest overlap of the better box with one better still. `classes` (N) is int64 or int32,
/// or NULL for one class. The indices by lowered score, best first, equal ones in the order of
/// their first scores, and the lowered scores go to the first `count` elements of `indices` int64
/// and `kept_scores` f32, which are equally long; the rest is not written.
///
/// The overlap of empty boxes and of boxes with a NaN counts as 0, a factor of 0/0 as none. The
/// limits in `params` count over all classes. When the outputs are too short: as `omma_soft_nms`.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors;
/// `count` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_matrix_nms(
    ctx: *const OmmaContext,
    params: *const OmmaMatrixNmsParams,
    boxes: *const OmmaTensor,
    scores: *const OmmaTensor,
    classes: *const OmmaTensor,
    indices: *const OmmaTensor,
    kept_scores: *const OmmaTensor,
    count: *mut i64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, boxes, scores, classes, mut indices, mut kept_scores, count) = unsafe {
            let call = Call::new("matrix_nms", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("boxes", boxes)?,
                call.input("scores", scores)?,
                Classes::optional(&call, classes)?,
                call.output("indices", indices)?,
                call.output("kept_scores", kept_scores)?,
                call.out("count", count)?,
            )
        };
        let p = matrix_params(call.op, &p)?;
        let mut found = 0;
        let (b, s) = (boxes.view(), scores.view());
        let (i, k) = (indices.view()?, kept_scores.view()?);
        let result = match &classes {
            Some(Classes::Narrow(classes)) => {
                let classes = Some(classes.view());
                matrix_nms(call.ctx, &p, b, s, classes, i, k, &mut found)
            }
            Some(Classes::Wide(classes)) => {
                let classes = Some(classes.view());
                matrix_nms(call.ctx, &p, b, s, classes, i, k, &mut found)
            }
            None => {
                let classes = None::<View<'_, i64>>;
                matrix_nms(call.ctx, &p, b, s, classes, i, k, &mut found)
            }
        };
        deliver(result, found, count)?;
        indices.finish_first(found)?;
        kept_scores.finish_first(found)
    })
}
