//! Boxes: overlap and suppression.

use crate::call::Call;
use crate::context::Context;
use crate::tensor::{DType, Tensor, over_slice};
use numpy::PyArray1;
use omma::capi::{
    self, OMMA_BUFFER_TOO_SMALL, OmmaBoxConvertParams, OmmaBoxIouParams, OmmaContext,
    OmmaNmsParams, OmmaStatus, OmmaTensor,
};
use pyo3::prelude::*;
use pyo3::types::PySlice;

pub(crate) const FORMATS: [(&str, i32); 4] = [
    ("xyxy", capi::OMMA_BOX_XYXY),
    ("xywh", capi::OMMA_BOX_XYWH),
    ("cxcywh", capi::OMMA_BOX_CXCYWH),
    ("corners", capi::OMMA_BOX_CORNERS),
];

const KINDS: [(&str, i32); 4] = [
    ("iou", capi::OMMA_IOU),
    ("giou", capi::OMMA_GIOU),
    ("diou", capi::OMMA_DIOU),
    ("ciou", capi::OMMA_CIOU),
];

const OVERLAPS: [(&str, i32); 2] = [
    ("union", capi::OMMA_OVERLAP_UNION),
    ("min", capi::OMMA_OVERLAP_MIN),
];

pub(crate) fn offset(call: &Call<'_>, offset: i64) -> PyResult<i32> {
    call.number("offset", offset, 0)
}

type BoxIou = unsafe extern "C" fn(
    *const OmmaContext,
    *const OmmaBoxIouParams,
    *const OmmaTensor,
    *const OmmaTensor,
    *const OmmaTensor,
) -> OmmaStatus;

/// Both forms of overlap; `shape` is that of the result for so many boxes of each.
fn overlap<'py>(
    call: &Call<'py>,
    (a, b): (&Bound<'py, PyAny>, &Bound<'py, PyAny>),
    (kind, format, offset): (&str, &str, i64),
    out: Option<&Bound<'py, PyAny>>,
    rank: usize,
    function: BoxIou,
) -> PyResult<Bound<'py, PyAny>> {
    let params = OmmaBoxIouParams {
        struct_size: size_of::<OmmaBoxIouParams>() as u32,
        kind: call.choice("kind", kind, &KINDS)?,
        format: call.choice("format", format, &FORMATS)?,
        offset: self::offset(call, offset)?,
    };
    let (a, b) = (call.input("a", a)?, call.input("b", b)?);
    let out = call.output(out, &[a.dim(0), b.dim(0)][..rank], DType::F32)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (a, b) = (&a.descriptor(), &b.descriptor());
        function(ctx, &params, a, b, &out.descriptor())
    })?;
    Ok(out.into_object())
}

/// The overlap of every box of ``a`` with every box of ``b``.
///
/// Parameters
/// ----------
/// a : (N, 4) float32
/// b : (M, 4) float32
/// kind : ``"iou"``, ``"giou"``, ``"diou"`` or ``"ciou"``
/// format : ``"xyxy"``, ``"xywh"``, ``"cxcywh"`` or ``"corners"`` (two opposite ones in any order)
/// offset : int
///     1 for boxes that end with their last pixel included, whose sides are ``x2 - x1 + 1``.
/// out : (N, M) float32, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (N, M) float32
///
/// Values are those of ``torchvision.ops``' ``box_iou``, ``generalized_box_iou`` and so on, except
/// that 0/0 is 0: empty boxes overlap nothing. A NaN in a box gives NaN.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.box_iou([[0, 0, 2, 2]], [[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])
/// array([[1.        , 0.33333334, 0.        ]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (a, b, *, kind="iou", format="xyxy", offset=0, out=None, ctx=None))]
pub(crate) fn box_iou<'py>(
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    kind: &str,
    format: &str,
    offset: i64,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(a.py(), "box_iou", ctx)?;
    let options = (kind, format, offset);
    overlap(&call, (a, b), options, out, 2, capi::omma_box_iou)
}

/// The overlap of each box of ``a`` with the box of ``b`` at the same index.
///
/// Parameters
/// ----------
/// a, b : (N, 4) float32
/// kind, format, offset
///     As in `box_iou`.
/// out : (N,) float32, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (N,) float32
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.box_iou_elementwise([[0, 0, 2, 2]], [[1, 0, 2, 2]], kind="giou", format="xywh")
/// array([0.33333334], dtype=float32)
#[pyfunction]
#[pyo3(signature = (a, b, *, kind="iou", format="xyxy", offset=0, out=None, ctx=None))]
pub(crate) fn box_iou_elementwise<'py>(
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    kind: &str,
    format: &str,
    offset: i64,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(a.py(), "box_iou_elementwise", ctx)?;
    let options = (kind, format, offset);
    let function = capi::omma_box_iou_elementwise;
    overlap(&call, (a, b), options, out, 1, function)
}

/// The overlap of every box of ``a`` with every box of ``b`` in space.
///
/// Parameters
/// ----------
/// a : (N, 6) float32
///     Boxes ``(x1, y1, z1, x2, y2, z2)``.
/// b : (M, 6) float32
/// out : (N, M) float32, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (N, M) float32
///     The shared volume over that of the union; boxes that only touch share nothing, and 0/0 is 0.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.box_iou_3d([[0, 0, 0, 2, 2, 2]], [[1, 0, 0, 3, 2, 2], [2, 0, 0, 4, 2, 2]])
/// array([[0.33333334, 0.        ]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (a, b, *, out=None, ctx=None))]
pub(crate) fn box_iou_3d<'py>(
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(a.py(), "box_iou_3d", ctx)?;
    let (a, b) = (call.input("a", a)?, call.input("b", b)?);
    let out = call.output(out, &[a.dim(0), b.dim(0)], DType::F32)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_box_iou_3d(ctx, &a.descriptor(), &b.descriptor(), &out.descriptor())
    })?;
    Ok(out.into_object())
}

/// Boxes in another format.
///
/// Parameters
/// ----------
/// boxes : (..., 4) float32
/// in_fmt, out_fmt : ``"xyxy"``, ``"xywh"``, ``"cxcywh"`` or ``"corners"``
///     What the boxes are and what they become; ``"corners"`` are put in order.
/// out : float32 of the same shape, optional
///     May be ``boxes`` itself.
/// ctx : Context, optional
///
/// Returns
/// -------
/// float32 of the same shape
///
/// The arithmetic is that of ``torchvision.ops.box_convert``.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.box_convert([[1, 2, 5, 8]], "xyxy", "cxcywh")
/// array([[3., 5., 4., 6.]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (boxes, in_fmt, out_fmt, *, out=None, ctx=None))]
pub(crate) fn box_convert<'py>(
    boxes: &Bound<'py, PyAny>,
    in_fmt: &str,
    out_fmt: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(boxes.py(), "box_convert", ctx)?;
    let params = OmmaBoxConvertParams {
        struct_size: size_of::<OmmaBoxConvertParams>() as u32,
        in_fmt: call.choice("in_fmt", in_fmt, &FORMATS)?,
        out_fmt: call.choice("out_fmt", out_fmt, &FORMATS)?,
    };
    let boxes = call.input("boxes", boxes)?;
    let out = call.output(out, boxes.shape(), DType::F32)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_box_convert(ctx, &params, &boxes.descriptor(), &out.descriptor())
    })?;
    Ok(out.into_object())
}

/// The keyword arguments of suppression.
pub(crate) struct Options<'a> {
    pub(crate) iou_threshold: f64,
    pub(crate) score_threshold: Option<f64>,
    pub(crate) max_output: i64,
    pub(crate) max_candidates: i64,
    pub(crate) format: &'a str,
    pub(crate) offset: i64,
    pub(crate) overlap: &'a str,
}

impl Options<'_> {
    pub(crate) fn params(&self, call: &Call<'_>) -> PyResult<OmmaNmsParams> {
        Ok(OmmaNmsParams {
            struct_size: size_of::<OmmaNmsParams>() as u32,
            flags: match self.score_threshold {
                Some(_) => capi::OMMA_NMS_SCORE_THRESHOLD,
                None => 0,
            },
            iou_threshold: self.iou_threshold,
            score_threshold: self.score_threshold.unwrap_or(0.0),
            max_output: self.max_output,
            max_candidates: self.max_candidates,
            format: call.choice("format", self.format, &FORMATS)?,
            offset: offset(call, self.offset)?,
            overlap: call.choice("overlap", self.overlap, &OVERLAPS)?,
            reserved: 0,
        })
    }
}

/// Runs a suppression whose result is not longer than `most`: to a part of `out`, or to an array
/// of the length that it turns out to have.
fn suppress<'py>(
    call: &Call<'py>,
    out: Option<&Bound<'py, PyAny>>,
    most: i64,
    function: impl Fn(*const OmmaContext, *const OmmaTensor, *mut i64) -> OmmaStatus,
) -> PyResult<Bound<'py, PyAny>> {
    let mut count = 0;
    if let Some(out) = out {
        let indices = Tensor::output(call, "out", out)?;
        let mut status = 0;
        let run = |ctx: *const OmmaContext| function(ctx, &indices.descriptor(), &mut count);
        call.run_with(run, |failure| {
            status = failure;
            failure != OMMA_BUFFER_TOO_SMALL
        })?;
        if status == OMMA_BUFFER_TOO_SMALL {
            let words = format!(
                "out has room for {} indices, {count} are kept",
                indices.dim(0)
            );
            return Err(call.error(status, &words));
        }
        let kept = PySlice::new(call.py, 0, count as isize, 1);
        return out.get_item(kept);
    }
    let shape = [most.max(0)];
    let mut kept: Vec<i64> = Vec::new();
    if kept.try_reserve_exact(shape[0] as usize).is_err() {
        let words = format!("no room for {most} indices");
        return Err(call.error(capi::OMMA_OUT_OF_MEMORY, &words));
    }
    let indices = over_slice(kept.as_mut_ptr(), DType::I64, &shape);
    call.run(|ctx| function(ctx, &indices, &mut count))?;
    // SAFETY: the call has written so many, and no more than there is room for.
    unsafe { kept.set_len(count as usize) };
    Ok(PyArray1::from_slice(call.py, &kept).into_any())
}

/// As many indices as can be kept.
fn most(boxes: &Tensor<'_>, max_output: i64) -> i64 {
    match max_output > 0 {
        true => boxes.dim(0).min(max_output),
        false => boxes.dim(0),
    }
}

/// Greedy non-maximum suppression: the boxes that no better kept one overlaps by more than
/// ``iou_threshold``, best first.
///
/// Parameters
/// ----------
/// boxes : (N, 4) float32
/// scores : (N,) float32
/// iou_threshold : float
/// score_threshold : float, optional
///     Boxes whose score is not larger are left out.
/// max_output : int
///     The most boxes to keep, 0 for no limit.
/// max_candidates : int
///     Only so many boxes with the best scores take part, 0 for all.
/// format, offset
///     As in `box_iou`.
/// overlap : ``"union"`` or ``"min"``
///     What the intersection is divided by: the union, or the smaller of both areas.
/// out : int64 of any length, optional
///     Takes the indices; the part of it that was written is returned.
/// ctx : Context, optional
///
/// Returns
/// -------
/// int64 indices
///
/// Index for index that of ``torchvision.ops.nms``: equal scores rank by index, NaN scores first,
/// boxes without area neither suppress nor are suppressed.
///
/// Examples
/// --------
/// >>> import omma
/// >>> boxes = [[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]]
/// >>> omma.nms(boxes, [0.5, 0.9, 0.3], 0.5)
/// array([1, 2])
#[pyfunction]
#[pyo3(signature = (boxes, scores, iou_threshold, *, score_threshold=None, max_output=0,
    max_candidates=0, format="xyxy", offset=0, overlap="union", out=None, ctx=None))]
pub(crate) fn nms<'py>(
    boxes: &Bound<'py, PyAny>,
    scores: &Bound<'py, PyAny>,
    iou_threshold: f64,
    score_threshold: Option<f64>,
    max_output: i64,
    max_candidates: i64,
    format: &str,
    offset: i64,
    overlap: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(boxes.py(), "nms", ctx)?;
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
    let boxes = call.input("boxes", boxes)?;
    let scores = call.input("scores", scores)?;
    let most = most(&boxes, max_output);
    suppress(&call, out, most, |ctx, indices, count| {
        let (boxes, scores) = (&boxes.descriptor(), &scores.descriptor());
        // SAFETY: descriptors of memory that lives during the call, and a place for the count.
        unsafe { capi::omma_nms(ctx, &params, boxes, scores, indices, count) }
    })
}

/// Non-maximum suppression among the boxes of each class alone.
///
/// Parameters
/// ----------
/// boxes : (N, 4) float32
/// scores : (N,) float32
/// classes : (N,) int64 or int32, any values
/// iou_threshold : float
/// score_threshold, max_output, max_candidates, format, offset, overlap, out, ctx
///     As in `nms`; the limits count over all classes.
///
/// Returns
/// -------
/// int64 indices
///     Ordered by score over all classes, equal scores by index.
///
/// As ``torchvision.ops.batched_nms``, but exact: no coordinates are shifted to keep classes apart.
///
/// Examples
/// --------
/// >>> import omma
/// >>> boxes = [[0, 0, 10, 10], [1, 1, 10, 10], [0, 0, 10, 10]]
/// >>> omma.batched_nms(boxes, [0.5, 0.9, 0.3], [7, 7, 8], 0.5)
/// array([1, 2])
#[pyfunction]
#[pyo3(signature = (boxes, scores, classes, iou_threshold, *, score_threshold=None, max_output=0,
    max_candidates=0, format="xyxy", offset=0, overlap="union", out=None, ctx=None))]
pub(crate) fn batched_nms<'py>(
    boxes: &Bound<'py, PyAny>,
    scores: &Bound<'py, PyAny>,
    classes: &Bound<'py, PyAny>,
    iou_threshold: f64,
    score_threshold: Option<f64>,
    max_output: i64,
    max_candidates: i64,
    format: &str,
    offset: i64,
    overlap: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(boxes.py(), "batched_nms", ctx)?;
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
    let boxes = call.input("boxes", boxes)?;
    let scores = call.input("scores", scores)?;
    let classes = Tensor::input(&call, "classes", classes, Some(DType::I64))?;
    let most = most(&boxes, max_output);
    suppress(&call, out, most, |ctx, indices, count| {
        let (boxes, scores) = (&boxes.descriptor(), &scores.descriptor());
        let classes = &classes.descriptor();
        // SAFETY: descriptors of memory that lives during the call, and a place for the count.
        unsafe { capi::omma_batched_nms(ctx, &params, boxes, scores, classes, indices, count) }
    })
}
