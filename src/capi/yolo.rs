//! Boxes: heads of YOLO.

use super::nms::deliver;
use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::boxes::{YoloDecodeParams, YoloHead, YoloOutputs, yolo_decode};
use crate::error::{Result, bail, ensure};

/// A head (B, 4 + C, N): centre and size in pixels, class scores; as YOLOv8 and later are exported.
pub const OMMA_YOLO_V8: i32 = 0;
/// A head (B, N, 5 + C): centre and size in pixels, objectness, class scores; as YOLOv5 and v7 are exported.
pub const OMMA_YOLO_V5: i32 = 1;
/// A head (B, A (5 + C), H, W) or (B, A, H, W, 5 + C): the cells of a grid, with boxes as in YOLOv3.
pub const OMMA_YOLO_GRID_V3: i32 = 2;
/// A head (B, A (5 + C), H, W) or (B, A, H, W, 5 + C): the cells of a grid, with boxes as in YOLOv5 and v7.
pub const OMMA_YOLO_GRID_V5: i32 = 3;

/// Numbers of a grid are logits, those of other heads are probabilities.
pub const OMMA_YOLO_VALUES_DEFAULT: i32 = 0;
/// Objectness and class scores (of grids also offsets, and sizes of v5) have been through the sigmoid.
pub const OMMA_YOLO_PROBABILITIES: i32 = 1;
/// The same are still to go through the sigmoid.
pub const OMMA_YOLO_LOGITS: i32 = 2;

/// In `OmmaYoloDecodeParams::flags`: every class above the threshold is a detection, not only the best.
pub const OMMA_YOLO_MULTI_LABEL: u32 = 1;

/// How a head of YOLO is read.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaYoloDecodeParams {
    /// `sizeof(OmmaYoloDecodeParams)`.
    pub struct_size: u32,
    /// 0 or `OMMA_YOLO_MULTI_LABEL`.
    pub flags: u32,
    /// A detection has a score larger than that. Taken literally; not NaN.
    pub score_threshold: f64,
    /// `OMMA_YOLO_V8`, `OMMA_YOLO_V5`, `OMMA_YOLO_GRID_V3` or `OMMA_YOLO_GRID_V5`.
    pub head: i32,
    /// `OMMA_YOLO_VALUES_DEFAULT`, `OMMA_YOLO_PROBABILITIES` or `OMMA_YOLO_LOGITS`.
    pub values: i32,
    /// Classes of the head, 0 for all that there is room for; what follows them is ignored.
    pub num_classes: i64,
    /// Pixels from cell to cell of a grid; 0 for other heads.
    pub stride: f32,
    /// How far an offset in a grid reaches: `scale_xy * sigmoid(t) - (scale_xy - 1) / 2` cells. 0 is
    /// the usual one, 1 of v3 and 2 of v5.
    pub scale_xy: f32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaYoloDecodeParams {}

fn decode_params(op: &str, p: &OmmaYoloDecodeParams) -> Result<YoloDecodeParams> {
    ensure!(
        p.flags & !OMMA_YOLO_MULTI_LABEL == 0,
        InvalidArgument,
        "{op}: flags is {:#x}, known is {OMMA_YOLO_MULTI_LABEL:#x}",
        p.flags
    );
    Ok(YoloDecodeParams {
        head: match p.head {
            OMMA_YOLO_V8 => YoloHead::V8,
            OMMA_YOLO_V5 => YoloHead::V5,
            OMMA_YOLO_GRID_V3 => YoloHead::GridV3,
            OMMA_YOLO_GRID_V5 => YoloHead::GridV5,
            other => bail!(
                InvalidArgument,
                "{op}: head is {other}, not an OMMA_YOLO_ head"
            ),
        },
        score_threshold: p.score_threshold,
        logits: match p.values {
            OMMA_YOLO_VALUES_DEFAULT => None,
            OMMA_YOLO_PROBABILITIES => Some(false),
            OMMA_YOLO_LOGITS => Some(true),
            other => bail!(
                InvalidArgument,
                "{op}: values is {other}, expected 0, OMMA_YOLO_PROBABILITIES or OMMA_YOLO_LOGITS"
            ),
        },
        multi_label: p.flags & OMMA_YOLO_MULTI_LABEL != 0,
        num_classes: match usize::try_from(p.num_classes) {
            Ok(value) => value,
            Err(_) => bail!(InvalidArgument, "{op}: num_classes is {}", p.num_classes),
        },
        stride: p.stride,
        scale_xy: p.scale_xy,
    })
}

/// What the head of a YOLO puts out, f32 of any strides, to boxes as corners (x1, y1, x2, y2) in
/// pixels (K, 4) f32, `scores` (K) f32 and `classes` (K) int64, leaving out all whose score is not
/// above the threshold: the first `count` rows are written. `indices` (K) int64, or NULL, takes which
/// anchor of its image a detection is (its place in N, in a grid `(a H + y) W + x`), `counts` (B)
/// int64, or NULL, how many detections each image has. `anchors` (A, 2) f32 are widths and heights
/// in pixels, for grids, and NULL for other heads.
///
/// Detections come by image, within it by anchor, and with `OMMA_YOLO_MULTI_LABEL` by class. A score
/// is the class score, times the objectness where there is one; an anchor whose objectness alone is
/// not above the threshold is left out. Of equal class scores the first class wins; NaN is never
/// above; with logits the class is that of the largest logit. An export with its axes the other
/// way round is passed with its strides. No output may overlap an input or another output.
///
/// When K is too small, the result is `OMMA_BUFFER_TOO_SMALL`, `count` is the length needed, and
/// nothing else is written.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors;
/// `count` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_yolo_decode(
    ctx: *const OmmaContext,
    params: *const OmmaYoloDecodeParams,
    head: *const OmmaTensor,
    anchors: *const OmmaTensor,
    boxes: *const OmmaTensor,
    scores: *const OmmaTensor,
    classes: *const OmmaTensor,
    indices: *const OmmaTensor,
    counts: *const OmmaTensor,
    count: *mut i64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, head, anchors, mut boxes, mut scores, mut classes) = unsafe {
            let call = Call::new("yolo_decode", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("head", head)?,
                call.optional("anchors", anchors)?,
                call.output("boxes", boxes)?,
                call.output("scores", scores)?,
                call.output("classes", classes)?,
            )
        };
        // SAFETY: as above.
        let (mut indices, mut counts, count) = unsafe {
            (
                call.optional_output("indices", indices)?,
                call.optional_output("counts", counts)?,
                call.out("count", count)?,
            )
        };
        let p = decode_params(call.op, &p)?;
        let outputs = YoloOutputs {
            boxes: boxes.view()?,
            scores: scores.view()?,
            classes: classes.view()?,
            indices: indices.as_mut().map(|o| o.view()).transpose()?,
            counts: counts.as_mut().map(|o| o.view()).transpose()?,
        };
        let mut found = 0;
        let anchors = anchors.as_ref().map(|a| a.view());
        let result = yolo_decode(call.ctx, &p, head.view(), anchors, outputs, &mut found);
        deliver(result, found, count)?;
        boxes.finish_first(found)?;
        scores.finish_first(found)?;
        classes.finish_first(found)?;
        if let Some(indices) = indices {
            indices.finish_first(found)?;
        }
        match counts {
            Some(counts) => counts.finish(),
            None => Ok(()),
        }
    })
}
