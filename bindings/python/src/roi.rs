//! Regions of interest.

use crate::call::{Call, Sizes};
use crate::context::Context;
use crate::conv::LAYOUTS;
use crate::tensor::{DType, Tensor};
use omma::capi::{self, OMMA_INVALID_ARGUMENT, OmmaRoiAlignParams, OmmaRoiPoolParams, OmmaTensor};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ptr::null;

const MODES: [(&str, i32); 3] = [
    ("avg", capi::OMMA_ROI_ALIGN_AVG),
    ("max", capi::OMMA_ROI_ALIGN_MAX),
    ("max_sample", capi::OMMA_ROI_ALIGN_MAX_SAMPLE),
];

/// The fields of `OmmaRoiAlignParams` that have names in Python.
struct Align<'a> {
    spatial_scale: f64,
    sampling_ratio: i64,
    aligned: bool,
    mode: &'a str,
    layout: &'a str,
}

impl Align<'_> {
    fn params(&self, call: &Call<'_>, output_size: [i32; 2]) -> PyResult<OmmaRoiAlignParams> {
        Ok(OmmaRoiAlignParams {
            struct_size: size_of::<OmmaRoiAlignParams>() as u32,
            flags: match self.aligned {
                true => capi::OMMA_ROI_ALIGN_ALIGNED,
                false => 0,
            },
            spatial_scale: scale(call, self.spatial_scale)?,
            output_size,
            // Whatever is not positive says the same.
            sampling_ratio: call.number("sampling_ratio", self.sampling_ratio.max(0), 0)?,
            mode: call.choice("mode", self.mode, &MODES)?,
            layout: call.choice("layout", self.layout, &LAYOUTS)?,
            reserved: 0,
        })
    }
}

/// Zero is a default in C and a mistake here.
fn scale(call: &Call<'_>, scale: f64) -> PyResult<f64> {
    match scale > 0.0 {
        true => Ok(scale),
        false => {
            let words = format!("spatial_scale is {scale}, expected a positive number");
            Err(call.error(OMMA_INVALID_ARGUMENT, &words))
        }
    }
}

fn pool_params(
    call: &Call<'_>,
    output_size: [i32; 2],
    spatial_scale: f64,
    layout: &str,
) -> PyResult<OmmaRoiPoolParams> {
    Ok(OmmaRoiPoolParams {
        struct_size: size_of::<OmmaRoiPoolParams>() as u32,
        layout: call.choice("layout", layout, &LAYOUTS)?,
        spatial_scale: scale(call, spatial_scale)?,
        output_size,
    })
}

/// The shape of the bins of so many RoIs. Where `x` has another rank the C ABI, which looks at it
/// first, says so.
fn bins_shape(x: &Tensor<'_>, rois: &Tensor<'_>, [rows, cols]: [i32; 2], layout: i32) -> [i64; 4] {
    let count = if rois.rank() > 0 { rois.dim(0) } else { 0 };
    let (rows, cols) = (rows.into(), cols.into());
    match (x.rank(), layout) {
        (4, capi::OMMA_LAYOUT_NHWC) => [count, rows, cols, x.dim(3)],
        (4, _) => [count, x.dim(1), rows, cols],
        _ => [0; 4],
    }
}

/// Rows and columns of bins, from their shape.
fn bins_size(dy: &Tensor<'_>, layout: &str) -> [i32; 2] {
    let first = if layout == "NHWC" { 1 } else { 2 };
    match dy.rank() {
        4 => [first, first + 1].map(|axis| i32::try_from(dy.dim(axis)).unwrap_or(0)),
        _ => [1; 2],
    }
}

/// The images that RoIs are in, where they are told apart.
fn images<'py>(
    call: &Call<'py>,
    indices: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Tensor<'py>>> {
    indices
        .map(|indices| Tensor::input(call, "batch_indices", indices, Some(DType::I64)))
        .transpose()
}

/// The address of an optional descriptor.
fn pointer(tensor: Option<&OmmaTensor>) -> *const OmmaTensor {
    tensor.map_or(null(), |tensor| tensor)
}

/// RoIAlign: bins of boxes, sampled bilinearly.
///
/// Parameters
/// ----------
/// x : (N, C, H, W) float32, or (N, H, W, C) with ``layout="NHWC"``
/// rois : (K, 5) float32
///     Image, x1, y1, x2, y2; with ``batch_indices`` (K, 4), without the image.
/// output_size : int or (rows, columns) of bins
/// spatial_scale : float
///     From coordinates to those of ``x``.
/// sampling_ratio : int
///     Samples of a bin in each direction; unless positive as many as it has pixels, rounded up.
/// aligned : bool
///     Subtracts half a pixel. Otherwise a RoI is a pixel long and wide at least.
/// mode : ``"avg"``, ``"max"`` or ``"max_sample"``
///     The mean of samples; the largest ``weight * pixel`` of all samples' corners, as in ONNX; the
///     largest sample.
/// batch_indices : (K,) int64 or int32, optional
/// layout : ``"NCHW"`` or ``"NHWC"``
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (K, C, rows, columns) float32, or (K, rows, columns, C)
///
/// As ``torchvision.ops.roi_align``. A bin without samples is 0, as is every bin of a box with a
/// coordinate that is NaN or infinite.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
/// >>> omma.roi_align(x, [[0, 0, 0, 4, 4]], 2, aligned=True)
/// array([[[[ 2.5,  4.5],
///          [10.5, 12.5]]]], dtype=float32)
#[pyfunction]
#[pyo3(
    signature = (x, rois, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=false, *,
        mode="avg", batch_indices=None, layout="NCHW", out=None, ctx=None),
    text_signature = "(x, rois, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False, *, \
        mode='avg', batch_indices=None, layout='NCHW', out=None, ctx=None)"
)]
pub(crate) fn roi_align<'py>(
    x: &Bound<'py, PyAny>,
    rois: &Bound<'py, PyAny>,
    output_size: Sizes<'py>,
    spatial_scale: f64,
    sampling_ratio: i64,
    aligned: bool,
    mode: &str,
    batch_indices: Option<&Bound<'py, PyAny>>,
    layout: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(x.py(), "roi_align", ctx)?;
    let align = Align {
        spatial_scale,
        sampling_ratio,
        aligned,
        mode,
        layout,
    };
    let params = align.params(&call, call.pair("output_size", &output_size, 1)?)?;
    let (x, rois) = (call.input("x", x)?, call.input("rois", rois)?);
    let images = images(&call, batch_indices)?;
    let shape = bins_shape(&x, &rois, params.output_size, params.layout);
    let out = call.output(out, &shape, DType::F32)?;
    let images = images.as_ref().map(Tensor::descriptor);
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (x, rois, out) = (&x.descriptor(), &rois.descriptor(), &out.descriptor());
        capi::omma_roi_align(ctx, &params, x, rois, pointer(images.as_ref()), out)
    })?;
    Ok(out.into_object())
}

/// The gradient of `roi_align` with respect to its ``x``.
///
/// Parameters
/// ----------
/// dy : (K, C, rows, columns) float32, or (K, rows, columns, C) with ``layout="NHWC"``
///     The gradient with respect to the result.
/// rois, spatial_scale, sampling_ratio, aligned, mode, batch_indices, layout
///     Those of the call of `roi_align`.
/// input_shape : the shape of its ``x``
/// x : its ``x``, optional
///     A maximum needs it.
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// float32 array of ``input_shape``
///
/// The gradient of a maximum goes to what was the maximum, the first one of equals: with ``"max"`` to
/// one pixel times its weight, with ``"max_sample"`` to the four pixels of the sample.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> dy = np.ones((1, 1, 1, 1), np.float32)
/// >>> omma.roi_align_backward(dy, [[0, 0, 0, 2, 1]], (1, 1, 2, 3), aligned=True)
/// array([[[[0.5, 0.5, 0. ],
///          [0. , 0. , 0. ]]]], dtype=float32)
#[pyfunction]
#[pyo3(
    signature = (dy, rois, input_shape, spatial_scale=1.0, sampling_ratio=-1, aligned=false, *,
        mode="avg", batch_indices=None, x=None, layout="NCHW", out=None, ctx=None),
    text_signature = "(dy, rois, input_shape, spatial_scale=1.0, sampling_ratio=-1, aligned=False, *, \
        mode='avg', batch_indices=None, x=None, layout='NCHW', out=None, ctx=None)"
)]
pub(crate) fn roi_align_backward<'py>(
    dy: &Bound<'py, PyAny>,
    rois: &Bound<'py, PyAny>,
    input_shape: Sizes<'py>,
    spatial_scale: f64,
    sampling_ratio: i64,
    aligned: bool,
    mode: &str,
    batch_indices: Option<&Bound<'py, PyAny>>,
    x: Option<&Bound<'py, PyAny>>,
    layout: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(dy.py(), "roi_align_backward", ctx)?;
    let align = Align {
        spatial_scale,
        sampling_ratio,
        aligned,
        mode,
        layout,
    };
    let shape = call.four("input_shape", &input_shape)?;
    let (dy, rois) = (call.input("dy", dy)?, call.input("rois", rois)?);
    let params = align.params(&call, bins_size(&dy, layout))?;
    let images = images(&call, batch_indices)?;
    let x = call.optional("x", x)?;
    let out = call.output(out, &shape, DType::F32)?;
    let (images, x) = (
        images.as_ref().map(Tensor::descriptor),
        x.as_ref().map(Tensor::descriptor),
    );
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (dy, rois, out) = (&dy.descriptor(), &rois.descriptor(), &out.descriptor());
        let (images, x) = (pointer(images.as_ref()), pointer(x.as_ref()));
        capi::omma_roi_align_backward(ctx, &params, dy, rois, images, x, out)
    })?;
    Ok(out.into_object())
}

/// RoIPool: the largest pixels of bins of boxes.
///
/// Parameters
/// ----------
/// x : (N, C, H, W) float32, or (N, H, W, C) with ``layout="NHWC"``
/// rois : (K, 5) float32
///     Image, x1, y1, x2, y2; with ``batch_indices`` (K, 4), without the image.
/// output_size : int or (rows, columns) of bins
/// spatial_scale : float
///     From coordinates to those of ``x``.
/// return_argmax : bool
///     Also returns where the maxima are: row times W plus column of the image, as int32.
/// batch_indices : (K,) int64 or int32, optional
/// layout : ``"NCHW"`` or ``"NHWC"``
/// out : array of the result's shape, optional
///     With ``return_argmax`` a tuple of two, the second one of int32.
/// ctx : Context, optional
///
/// Returns
/// -------
/// (K, C, rows, columns) float32, or (K, rows, columns, C), and with ``return_argmax`` the indices of
/// the same shape.
///
/// As ``torchvision.ops.roi_pool``: of equal maxima the first counts, a bin without pixels is 0 and
/// its index -1.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
/// >>> omma.roi_pool(x, [[0, 0, 0, 3, 3]], 2)
/// array([[[[ 5.,  7.],
///          [13., 15.]]]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (x, rois, output_size, spatial_scale=1.0, *, return_argmax=false,
    batch_indices=None, layout="NCHW", out=None, ctx=None))]
pub(crate) fn roi_pool<'py>(
    x: &Bound<'py, PyAny>,
    rois: &Bound<'py, PyAny>,
    output_size: Sizes<'py>,
    spatial_scale: f64,
    return_argmax: bool,
    batch_indices: Option<&Bound<'py, PyAny>>,
    layout: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = x.py();
    let call = Call::new(py, "roi_pool", ctx)?;
    let size = call.pair("output_size", &output_size, 1)?;
    let params = pool_params(&call, size, spatial_scale, layout)?;
    let (values, argmax) = match out {
        Some(out) if return_argmax => match out.extract::<[Bound<'py, PyAny>; 2]>() {
            Ok([values, argmax]) if out.is_instance_of::<PyTuple>() => (Some(values), Some(argmax)),
            _ => {
                let words = "out is no tuple of two arrays, which return_argmax asks for";
                return Err(call.error(OMMA_INVALID_ARGUMENT, words));
            }
        },
        out => (out.cloned(), None),
    };
    let (x, rois) = (call.input("x", x)?, call.input("rois", rois)?);
    let images = images(&call, batch_indices)?;
    let shape = bins_shape(&x, &rois, params.output_size, params.layout);
    let values = call.output(values.as_ref(), &shape, DType::F32)?;
    let argmax = match (return_argmax, argmax) {
        (false, _) => None,
        (true, Some(argmax)) => Some(Tensor::output(&call, "argmax", &argmax)?),
        (true, None) => Some(Tensor::empty(&call, &shape, DType::I32)?),
    };
    let images = images.as_ref().map(Tensor::descriptor);
    let places = argmax.as_ref().map(Tensor::descriptor);
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (x, rois, out) = (&x.descriptor(), &rois.descriptor(), &values.descriptor());
        let (images, places) = (pointer(images.as_ref()), pointer(places.as_ref()));
        capi::omma_roi_pool(ctx, &params, x, rois, images, out, places)
    })?;
    match argmax {
        None => Ok(values.into_object()),
        Some(argmax) => {
            let both = (values.into_object(), argmax.into_object());
            Ok(both.into_pyobject(py)?.into_any())
        }
    }
}

/// The gradient of `roi_pool` with respect to its ``x``: each bin's goes to the pixel that was the
/// maximum.
///
/// Parameters
/// ----------
/// dy : (K, C, rows, columns) float32, or (K, rows, columns, C) with ``layout="NHWC"``
///     The gradient with respect to the result.
/// rois, batch_indices, layout
///     Those of the call of `roi_pool`.
/// argmax : int32 array of the shape of dy
///     What that call returned. An index below 0 gives nothing.
/// input_shape : the shape of its ``x``
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// float32 array of ``input_shape``
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> dy = np.full((1, 1, 1, 1), 3, np.float32)
/// >>> argmax = np.full((1, 1, 1, 1), 2, np.int32)
/// >>> omma.roi_pool_backward(dy, [[0, 0, 0, 1, 1]], argmax, (1, 1, 2, 2))
/// array([[[[0., 0.],
///          [3., 0.]]]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (dy, rois, argmax, input_shape, *, batch_indices=None, layout="NCHW", out=None,
    ctx=None))]
pub(crate) fn roi_pool_backward<'py>(
    dy: &Bound<'py, PyAny>,
    rois: &Bound<'py, PyAny>,
    argmax: &Bound<'py, PyAny>,
    input_shape: Sizes<'py>,
    batch_indices: Option<&Bound<'py, PyAny>>,
    layout: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(dy.py(), "roi_pool_backward", ctx)?;
    let shape = call.four("input_shape", &input_shape)?;
    let (dy, rois) = (call.input("dy", dy)?, call.input("rois", rois)?);
    let params = pool_params(&call, bins_size(&dy, layout), 1.0, layout)?;
    let images = images(&call, batch_indices)?;
    let argmax = Tensor::input(&call, "argmax", argmax, Some(DType::I32))?;
    let out = call.output(out, &shape, DType::F32)?;
    let images = images.as_ref().map(Tensor::descriptor);
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (dy, rois, argmax) = (&dy.descriptor(), &rois.descriptor(), &argmax.descriptor());
        let images = pointer(images.as_ref());
        capi::omma_roi_pool_backward(ctx, &params, dy, rois, images, argmax, &out.descriptor())
    })?;
    Ok(out.into_object())
}
