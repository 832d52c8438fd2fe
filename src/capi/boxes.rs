//! Boxes: formats and overlap.

use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::boxes::{
    BoxFormat, BoxIouParams, IouKind, box_convert, box_iou, box_iou_3d, box_iou_elementwise,
};
use crate::error::{Result, bail};

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

/// From which format to which.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaBoxConvertParams {
    /// `sizeof(OmmaBoxConvertParams)`.
    pub struct_size: u32,
    /// An `OMMA_BOX_…`: what the boxes are.
    pub in_fmt: i32,
    /// An `OMMA_BOX_…`: what the output is; `OMMA_BOX_CORNERS` means `OMMA_BOX_XYXY`.
    pub out_fmt: i32,
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaBoxConvertParams {}

pub(super) fn format(op: &str, value: i32) -> Result<BoxFormat> {
    named_format(op, "format", value)
}

fn named_format(op: &str, name: &str, value: i32) -> Result<BoxFormat> {
    Ok(match value {
        OMMA_BOX_XYXY => BoxFormat::Xyxy,
        OMMA_BOX_XYWH => BoxFormat::Xywh,
        OMMA_BOX_CXCYWH => BoxFormat::Cxcywh,
        OMMA_BOX_CORNERS => BoxFormat::Corners,
        other => bail!(
            InvalidArgument,
            "{op}: {name} is {other}, not an OMMA_BOX_ constant"
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

/// The volume that each box of `a` (N, 6) shares with each box of `b` (M, 6) over that of their
/// union, to `output` (N, M), all f32; a box is (x1, y1, z1, x2, y2, z2).
///
/// Boxes that only touch share nothing. 0/0 counts as 0, a NaN in a box gives NaN. `output` may not
/// overlap an input.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts and tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_box_iou_3d(
    ctx: *const OmmaContext,
    a: *const OmmaTensor,
    b: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, a, b, mut output) = unsafe {
            let call = Call::new("box_iou_3d", ctx)?;
            (
                call,
                call.input("a", a)?,
                call.input("b", b)?,
                call.output("output", output)?,
            )
        };
        box_iou_3d(call.ctx, a.view(), b.view(), output.view()?)?;
        output.finish()
    })
}

/// `boxes` (…, 4) in another format, to `output` of the same shape, both f32.
///
/// The arithmetic is that of torchvision's `box_convert`: sizes are `x2 - x1`, centres
/// `(x1 + x2) / 2`, and what is neither from nor to corners goes by way of them. A format that
/// stays is a copy; `OMMA_BOX_CORNERS` as `in_fmt` puts the corners in order. `output` may be the very
/// array `boxes`, and may otherwise not overlap it.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_box_convert(
    ctx: *const OmmaContext,
    params: *const OmmaBoxConvertParams,
    boxes: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, boxes, mut output) = unsafe {
            let call = Call::new("box_convert", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("boxes", boxes)?,
                call.output("output", output)?,
            )
        };
        let from = named_format(call.op, "in_fmt", p.in_fmt)?;
        let to = named_format(call.op, "out_fmt", p.out_fmt)?;
        box_convert(call.ctx, from, to, boxes.view(), output.view()?)?;
        output.finish()
    })
}
