//! Boxes: overlap and suppression.

use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::boxes::{
    BoxFormat, BoxIouParams, IouKind, NmsParams, Overlap, batched_nms, box_iou,
    box_iou_elementwise, nms,
};
use crate::error::{Result, Status, bail, ensure};
use crate::tensor::DType;

/// Two corners: x1, y1, x2, y2.
pub const OMMA_BOX_XYXY: i32 = 0;
/// A corner and the size: x1, y1, width, height.
pub const OMMA_BOX_XYWH: i32 = 1;
/// The centre and the size: cx, cy, width, height.
pub const OMMA_BOX_CXCYWH: i32 = 2;
/// Two opposite corners in any order.
pub const OMMA_BOX_CORNERS: i32 = 3;

/// Intersection over union.
pub const OMMA_IOU: i32 = 0;
/// Generalised IoU: less the share of the hull that neither box covers.
pub const OMMA_GIOU: i32 = 1;
/// Distance IoU: less the squared distance of the centres over that of the hull's corners.
pub const OMMA_DIOU: i32 = 2;
/// Complete IoU: distance IoU less a term for differing aspect ratios.
pub const OMMA_CIOU: i32 = 3;

/// The intersection is divided by the union.
pub const OMMA_OVERLAP_UNION: i32 = 0;
/// The intersection is divided by the smaller of both areas.
pub const OMMA_OVERLAP_MIN: i32 = 1;

/// In `OmmaNmsParams::flags`: `score_threshold` is set.
pub const OMMA_NMS_SCORE_THRESHOLD: u32 = 1;

/// How overlap is measured.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaBoxIouParams {
    /// `sizeof(OmmaBoxIouParams)`.
    pub struct_size: u32,
    /// `OMMA_IOU`, `OMMA_GIOU`, `OMMA_DIOU` or `OMMA_CIOU`.
    pub kind: i32,
    /// An `OMMA_BOX_…`: what the four numbers of a box are.
    pub format: i32,
    /// 0, or 1 for boxes that end with their last pixel included (sides are `x2 - x1 + 1`).
    pub offset: i32,
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaBoxIouParams {}

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

fn format(op: &str, value: i32) -> Result<BoxFormat> {
    Ok(match value {
        OMMA_BOX_XYXY => BoxFormat::Xyxy,
        OMMA_BOX_XYWH => BoxFormat::Xywh,
        OMMA_BOX_CXCYWH => BoxFormat::Cxcywh,
        OMMA_BOX_CORNERS => BoxFormat::Corners,
        other => bail!(
            InvalidArgument,
            "{op}: format is {other}, not an OMMA_BOX_ constant"
        ),
    })
}

fn iou_params(op: &str, p: &OmmaBoxIouParams) -> Result<BoxIouParams> {
    Ok(BoxIouParams {
        kind: match p.kind {
            OMMA_IOU => IouKind::Iou,
            OMMA_GIOU => IouKind::Giou,
            OMMA_DIOU => IouKind::Diou,
            OMMA_CIOU => IouKind::Ciou,
            other => bail!(
                InvalidArgument,
                "{op}: kind is {other}, expected OMMA_IOU, OMMA_GIOU, OMMA_DIOU or OMMA_CIOU"
            ),
        },
        format: format(op, p.format)?,
        offset: p.offset,
    })
}

fn nms_params(op: &str, p: &OmmaNmsParams) -> Result<NmsParams> {
    ensure!(
        p.flags & !OMMA_NMS_SCORE_THRESHOLD == 0,
        InvalidArgument,
        "{op}: flags is {:#x}, known is {OMMA_NMS_SCORE_THRESHOLD:#x}",
        p.flags
    );
    ensure!(
        p.reserved == 0,
        InvalidArgument,
        "{op}: reserved is {}, expected 0",
        p.reserved
    );
    let limit = |name: &str, value: i64| match usize::try_from(value) {
        Ok(value) => Ok(value),
        Err(_) => bail!(InvalidArgument, "{op}: {name} is {value}"),
    };
    Ok(NmsParams {
        iou_threshold: p.iou_threshold,
        score_threshold: (p.flags & OMMA_NMS_SCORE_THRESHOLD != 0).then_some(p.score_threshold),
        max_output: limit("max_output", p.max_output)?,
        max_candidates: limit("max_candidates", p.max_candidates)?,
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

/// The overlap of every box of `a` (N, 4) with every box of `b` (M, 4), to
/// `output` (N, M), all f32.
///
/// Values are those of torchvision, except that 0/0 counts as 0: empty boxes
/// overlap nothing. A NaN in a box gives NaN. `output` may not overlap an input.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_box_iou(
    ctx: *const OmmaContext,
    params: *const OmmaBoxIouParams,
    a: *const OmmaTensor,
    b: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, a, b, mut output) = unsafe {
            let call = Call::new("box_iou", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("a", a)?,
                call.input("b", b)?,
                call.output("output", output)?,
            )
        };
        let p = iou_params(call.op, &p)?;
        box_iou(call.ctx, &p, a.view(), b.view(), output.view()?)?;
        output.finish()
    })
}

/// The overlap of each box of `a` (N, 4) with the box of `b` (N, 4) at the same
/// index, to `output` (N), all f32; otherwise as `omma_box_iou`.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_box_iou_elementwise(
    ctx: *const OmmaContext,
    params: *const OmmaBoxIouParams,
    a: *const OmmaTensor,
    b: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, a, b, mut output) = unsafe {
            let call = Call::new("box_iou_elementwise", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("a", a)?,
                call.input("b", b)?,
                call.output("output", output)?,
            )
        };
        let p = iou_params(call.op, &p)?;
        box_iou_elementwise(call.ctx, &p, a.view(), b.view(), output.view()?)?;
        output.finish()
    })
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
fn deliver(result: Result<()>, found: usize, count: &mut i64) -> Result<()> {
    if result
        .as_ref()
        .map_or_else(|e| e.status() == Status::BufferTooSmall, |()| true)
    {
        *count = found as i64;
    }
    result
}
