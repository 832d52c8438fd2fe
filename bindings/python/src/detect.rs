//! Boxes: suppression that lowers scores, many images at once, heads of YOLO.

use crate::boxes::{FORMATS, Options, offset};
use crate::call::Call;
use crate::context::Context;
use crate::tensor::{DType, Tensor};
use omma::capi::{
    self, OMMA_BUFFER_TOO_SMALL, OmmaMatrixNmsParams, OmmaSoftNmsParams, OmmaYoloDecodeParams,
};
use pyo3::prelude::*;
use pyo3::types::PySlice;

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);
type Five<'py> = (
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
);

const SOFT: [(&str, i32); 3] = [
    ("linear", capi::OMMA_SOFT_NMS_LINEAR),
    ("gaussian", capi::OMMA_SOFT_NMS_GAUSSIAN),
    ("greedy", capi::OMMA_SOFT_NMS_GREEDY),
];

const MATRIX: [(&str, i32); 2] = [
    ("linear", capi::OMMA_MATRIX_NMS_LINEAR),
    ("gaussian", capi::OMMA_MATRIX_NMS_GAUSSIAN),
];

const HEADS: [(&str, i32); 4] = [
    ("v8", capi::OMMA_YOLO_V8),
    ("v5", capi::OMMA_YOLO_V5),
    ("grid_v3", capi::OMMA_YOLO_GRID_V3),
    ("grid_v5", capi::OMMA_YOLO_GRID_V5),
];

/// The first `count` of an array, as an array of its own.
fn first<'py>(array: Tensor<'py>, count: i64) -> PyResult<Bound<'py, PyAny>> {
    let array = array.into_object();
    let kept = array.get_item(PySlice::new(array.py(), 0, count as isize, 1))?;
    kept.call_method0("copy")
}

/// As many as can be kept of so many.
fn most(boxes: i64, max_output: i64) -> i64 {
    match max_output > 0 {
        true => boxes.min(max_output),
        false => boxes,
    }
}

/// Non-maximum suppression in each of several images.
///
/// Parameters
/// ----------
/// boxes : (B, N, 4) float32
/// scores : (B, N) float32
/// iou_threshold : float
/// classes : (B, N) int64 or int32, optional
///     Only boxes of one class suppress each other.
/// score_threshold, max_output, max_candidates, format, offset, overlap, ctx
///     As in `nms`; the limits count for each image.
/// out : (B, K) int64, optional
///
/// Returns
/// -------
/// indices : (B, K) int64
///     The best K at most of each image, best first, the rest -1; K is ``max_output`` or N.
/// counts : (B,) int64
///
/// Examples
/// --------
/// >>> import omma
/// >>> boxes = [[[0, 0, 10, 10], [1, 1, 10, 10]], [[0, 0, 10, 10], [20, 20, 30, 30]]]
/// >>> omma.nms_per_image(boxes, [[0.5, 0.9], [0.9, 0.5]], 0.5)
/// (array([[ 1, -1],
///        [ 0,  1]]), array([1, 2]))
#[pyfunction]
#[pyo3(signature = (boxes, scores, iou_threshold, *, classes=None, score_threshold=None, max_output=0,
    max_candidates=0, format="xyxy", offset=0, overlap="union", out=None, ctx=None))]
pub(crate) fn nms_per_image<'py>(
    boxes: &Bound<'py, PyAny>,
    scores: &Bound<'py, PyAny>,
    iou_threshold: f64,
    classes: Option<&Bound<'py, PyAny>>,
    score_threshold: Option<f64>,
    max_output: i64,
    max_candidates: i64,
    format: &str,
    offset: i64,
    overlap: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Pair<'py>> {
    let call = Call::new(boxes.py(), "nms_per_image", ctx)?;
    let options = Options {
        iou_threshold,
        score_threshold,
        max_output,
        max_candidates,
        format,
        offset,
        overlap,
    };
    let params = options.params(&call)?;
    let (boxes, scores) = (call.input("boxes", boxes)?, call.input("scores", scores)?);
    let classes = classes
        .map(|classes| Tensor::input(&call, "classes", classes, Some(DType::I64)))
        .transpose()?;
    let (images, room) = (boxes.dim(0), most(boxes.dim(1), max_output));
    let indices = call.output(out, &[images, room], DType::I64)?;
    let counts = Tensor::empty(&call, &[images], DType::I64)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (boxes, scores) = (&boxes.descriptor(), &scores.descriptor());
        let classes = classes.as_ref().map(Tensor::descriptor);
        let classes = classes
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        let (indices, counts) = (&indices.descriptor(), &counts.descriptor());
        capi::omma_nms_per_image(ctx, &params, boxes, scores, classes, indices, counts)
    })?;
    Ok((indices.into_object(), counts.into_object()))
}

/// Soft non-maximum suppression: overlap with a selected box lowers the scores of the others.
///
/// Parameters
/// ----------
/// boxes : (N, 4) float32
/// scores : (N,) float32
/// method : ``"linear"``, ``"gaussian"`` or ``"greedy"``
///     ``score *= 1 - iou`` and ``score = 0`` where ``iou > iou_threshold``, or
///     ``score *= exp(-iou**2 / sigma)``.
/// iou_threshold, sigma : float
/// score_threshold : float
///     Boxes are dropped as soon as their score is below.
/// max_output : int
///     The most boxes to keep, 0 for no limit.
/// format, offset
///     As in `box_iou`.
/// ctx : Context, optional
///
/// Returns
/// -------
/// indices : int64
///     In the order of selection; of equal scores the lowest index first.
/// scores : float32
///     The lowered scores of the same boxes.
///
/// Examples
/// --------
/// >>> import omma
/// >>> boxes = [[0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]]
/// >>> omma.soft_nms(boxes, [0.75, 0.5, 0.3125])
/// (array([0, 2, 1]), array([0.75  , 0.3125, 0.25  ], dtype=float32))
#[pyfunction]
#[pyo3(signature = (boxes, scores, *, method="linear", iou_threshold=0.3, sigma=0.5,
    score_threshold=0.001, max_output=0, format="xyxy", offset=0, ctx=None))]
pub(crate) fn soft_nms<'py>(
    boxes: &Bound<'py, PyAny>,
    scores: &Bound<'py, PyAny>,
    method: &str,
    iou_threshold: f64,
    sigma: f64,
    score_threshold: f64,
    max_output: i64,
    format: &str,
    offset: i64,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Pair<'py>> {
    let call = Call::new(boxes.py(), "soft_nms", ctx)?;
    let params = OmmaSoftNmsParams {
        struct_size: size_of::<OmmaSoftNmsParams>() as u32,
        flags: capi::OMMA_SOFT_NMS_IOU_THRESHOLD | capi::OMMA_SOFT_NMS_SCORE_THRESHOLD,
        method: call.choice("method", method, &SOFT)?,
        sigma: positive(&call, sigma)?,
        iou_threshold,
        score_threshold,
        max_output,
        format: call.choice("format", format, &FORMATS)?,
        offset: self::offset(&call, offset)?,
    };
    let (boxes, scores) = (call.input("boxes", boxes)?, call.input("scores", scores)?);
    let room = [most(boxes.dim(0), max_output)];
    let indices = Tensor::empty(&call, &room, DType::I64)?;
    let kept = Tensor::empty(&call, &room, DType::F32)?;
    let mut count = 0;
    // SAFETY: descriptors of memory that lives during the call, and a place for the count.
    call.run(|ctx| unsafe {
        let (boxes, scores) = (&boxes.descriptor(), &scores.descriptor());
        let (indices, kept) = (&indices.descriptor(), &kept.descriptor());
        capi::omma_soft_nms(ctx, &params, boxes, scores, indices, kept, &mut count)
    })?;
    Ok((first(indices, count)?, first(kept, count)?))
}

/// The C ABI takes 0 for the default, which here is written out.
fn positive(call: &Call<'_>, sigma: f64) -> PyResult<f32> {
    match sigma > 0.0 {
        true => Ok(sigma as f32),
        false => {
            let words = format!("sigma is {sigma}, expected a positive number");
            Err(call.error(capi::OMMA_INVALID_ARGUMENT, &words))
        }
    }
}

/// Matrix non-maximum suppression: every score is lowered at once, by the overlap with better boxes.
///
/// Parameters
/// ----------
/// boxes : (N, 4) float32
/// scores : (N,) float32
/// classes : (N,) int64 or int32, optional
///     Only boxes of one class lower each other's scores.
/// method : ``"linear"`` or ``"gaussian"``
/// sigma : float
///     Of the Gaussian.
/// score_threshold : float, optional
///     Boxes whose score is not larger are left out.
/// post_threshold : float
///     Boxes whose lowered score is not larger are left out of the result.
/// max_output, max_candidates, format, offset
///     As in `nms`.
/// ctx : Context, optional
///
/// Returns
/// -------
/// indices : int64
///     By lowered score, best first.
/// scores : float32
///     The lowered scores of the same boxes.
///
/// As in SOLOv2 and, for boxes, in PaddleDetection.
///
/// Examples
/// --------
/// >>> import omma
/// >>> boxes = [[0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]]
/// >>> omma.matrix_nms(boxes, [0.75, 0.5, 0.3125])
/// (array([0, 2, 1]), array([0.75  , 0.3125, 0.25  ], dtype=float32))
#[pyfunction]
#[pyo3(signature = (boxes, scores, classes=None, *, method="linear", sigma=2.0, score_threshold=None,
    post_threshold=0.0, max_output=0, max_candidates=0, format="xyxy", offset=0, ctx=None))]
pub(crate) fn matrix_nms<'py>(
    boxes: &Bound<'py, PyAny>,
    scores: &Bound<'py, PyAny>,
    classes: Option<&Bound<'py, PyAny>>,
    method: &str,
    sigma: f64,
    score_threshold: Option<f64>,
    post_threshold: f64,
    max_output: i64,
    max_candidates: i64,
    format: &str,
    offset: i64,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Pair<'py>> {
    let call = Call::new(boxes.py(), "matrix_nms", ctx)?;
    let params = OmmaMatrixNmsParams {
        struct_size: size_of::<OmmaMatrixNmsParams>() as u32,
        flags: match score_threshold {
            Some(_) => capi::OMMA_MATRIX_NMS_SCORE_THRESHOLD,
            None => 0,
        },
        method: call.choice("method", method, &MATRIX)?,
        sigma: positive(&call, sigma)?,
        score_threshold: score_threshold.unwrap_or(0.0),
        post_threshold,
        max_output,
        max_candidates,
        format: call.choice("format", format, &FORMATS)?,
        offset: self::offset(&call, offset)?,
    };
    let (boxes, scores) = (call.input("boxes", boxes)?, call.input("scores", scores)?);
    let classes = classes
        .map(|classes| Tensor::input(&call, "classes", classes, Some(DType::I64)))
        .transpose()?;
    let room = [most(boxes.dim(0), max_output)];
    let indices = Tensor::empty(&call, &room, DType::I64)?;
    let kept = Tensor::empty(&call, &room, DType::F32)?;
    let mut count = 0;
    // SAFETY: descriptors of memory that lives during the call, and a place for the count.
    call.run(|ctx| unsafe {
        let (boxes, scores) = (&boxes.descriptor(), &scores.descriptor());
        let classes = classes.as_ref().map(Tensor::descriptor);
        let classes = classes
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        let (indices, kept) = (&indices.descriptor(), &kept.descriptor());
        let count = &mut count;
        capi::omma_matrix_nms(ctx, &params, boxes, scores, classes, indices, kept, count)
    })?;
    Ok((first(indices, count)?, first(kept, count)?))
}

/// Detections that are taken room for at first.
const DETECTIONS: i64 = 1024;

/// The boxes, scores and classes in the head of a YOLO that are above a threshold.
///
/// Parameters
/// ----------
/// head : float32
///     For ``kind`` ``"v8"`` (B, 4 + C, N): centre and size in pixels, class scores; for ``"v5"``
///     (B, N, 5 + C): the same with an objectness before the classes; for ``"grid_v3"`` and
///     ``"grid_v5"`` (B, A (5 + C), H, W) or (B, A, H, W, 5 + C): the cells of a grid. A transposed
///     view is as good.
/// score_threshold : float
///     A detection has a larger score.
/// kind : str
/// anchors : (A, 2) float32, for grids
///     Widths and heights in pixels.
/// stride : float, for grids
///     Pixels from cell to cell.
/// scale_xy : float, for grids
///     How far offsets reach beyond their cell, 0 for the usual 1 of v3 and 2 of v5.
/// logits : bool, optional
///     The scores are still to go through the sigmoid; by default those of grids are.
/// multi_label : bool
///     Every class above the threshold is a detection, not only the best of an anchor.
/// num_classes : int
///     0 for all that there is room for; what follows them (masks, key points) is ignored.
/// ctx : Context, optional
///
/// Returns
/// -------
/// boxes : (K, 4) float32, as corners in pixels
/// scores : (K,) float32
/// classes : (K,) int64
/// indices : (K,) int64
///     Which anchor of its image a detection is.
/// counts : (B,) int64
///     Detections of each image, which follow one another.
///
/// A score is the class score, times the objectness where there is one.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> import omma
/// >>> head = np.array([[[5, 25], [5, 25], [10, 10], [10, 10], [0.125, 0.75], [0.25, 0.125]]], np.float32)
/// >>> boxes, scores, classes, indices, counts = omma.yolo_decode(head, 0.5)
/// >>> boxes, scores, classes
/// (array([[20., 20., 30., 30.]], dtype=float32), array([0.75], dtype=float32), array([0]))
#[pyfunction]
#[pyo3(signature = (head, score_threshold, *, kind="v8", anchors=None, stride=0.0, scale_xy=0.0,
    logits=None, multi_label=false, num_classes=0, ctx=None))]
pub(crate) fn yolo_decode<'py>(
    head: &Bound<'py, PyAny>,
    score_threshold: f64,
    kind: &str,
    anchors: Option<&Bound<'py, PyAny>>,
    stride: f64,
    scale_xy: f64,
    logits: Option<bool>,
    multi_label: bool,
    num_classes: i64,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Five<'py>> {
    let call = Call::new(head.py(), "yolo_decode", ctx)?;
    let params = OmmaYoloDecodeParams {
        struct_size: size_of::<OmmaYoloDecodeParams>() as u32,
        flags: match multi_label {
            true => capi::OMMA_YOLO_MULTI_LABEL,
            false => 0,
        },
        score_threshold,
        head: call.choice("kind", kind, &HEADS)?,
        values: match logits {
            None => capi::OMMA_YOLO_VALUES_DEFAULT,
            Some(false) => capi::OMMA_YOLO_PROBABILITIES,
            Some(true) => capi::OMMA_YOLO_LOGITS,
        },
        num_classes,
        stride: stride as f32,
        scale_xy: scale_xy as f32,
    };
    let head = call.input("head", head)?;
    let anchors = call.optional("anchors", anchors)?;
    let counts = Tensor::empty(&call, &[head.dim(0)], DType::I64)?;
    let mut count = DETECTIONS;
    loop {
        let room = count;
        let boxes = Tensor::empty(&call, &[room, 4], DType::F32)?;
        let scores = Tensor::empty(&call, &[room], DType::F32)?;
        let classes = Tensor::empty(&call, &[room], DType::I64)?;
        let indices = Tensor::empty(&call, &[room], DType::I64)?;
        let run = |ctx| {
            let anchors = anchors.as_ref().map(Tensor::descriptor);
            let anchors = anchors
                .as_ref()
                .map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: descriptors of memory that lives during the call, and a place for the count.
            unsafe {
                capi::omma_yolo_decode(
                    ctx,
                    &params,
                    &head.descriptor(),
                    anchors,
                    &boxes.descriptor(),
                    &scores.descriptor(),
                    &classes.descriptor(),
                    &indices.descriptor(),
                    &counts.descriptor(),
                    &mut count,
                )
            }
        };
        call.run_with(run, |status| status != OMMA_BUFFER_TOO_SMALL)?;
        if count > room {
            continue;
        }
        return Ok((
            first(boxes, count)?,
            first(scores, count)?,
            first(classes, count)?,
            first(indices, count)?,
            counts.into_object(),
        ));
    }
}
