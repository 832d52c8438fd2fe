//! Deformable convolution.

use crate::call::{Call, Sizes};
use crate::context::Context;
use crate::conv::pointer;
use crate::tensor::{DType, Tensor};
use omma::capi::{self, OmmaDeformConv2dParams};
use pyo3::prelude::*;

/// The shape of the result; any, where it cannot be told, because then the C ABI says what is wrong.
fn output_shape(p: &OmmaDeformConv2dParams, x: &Tensor<'_>, w: &Tensor<'_>) -> [i64; 4] {
    let mut shape = [0; 4];
    if x.rank() != 4 || w.rank() != 4 {
        return shape;
    }
    (shape[0], shape[1]) = (x.dim(0), w.dim(0));
    for i in 0..2 {
        let wide = |value: i32| i128::from(value);
        let window = wide(p.dilation[i]) * (i128::from(w.dim(2 + i)) - 1) + 1;
        let padded = i128::from(x.dim(2 + i)) + wide(p.padding[2 * i]) + wide(p.padding[2 * i + 1]);
        let size = match padded >= window {
            true => (padded - window) / wide(p.stride[i]) + 1,
            false => 0,
        };
        shape[2 + i] = i64::try_from(size).unwrap_or(0);
    }
    shape
}

/// Deformable convolution in float32; with ``mask`` its second version.
///
/// Parameters
/// ----------
/// x : (N, C, H, W) float32
/// offset : (N, 2 * G * KH * KW, OH, OW)
///     For each of G groups of channels and each tap, row by row, how far down and how far to the right of
///     its place the tap reads, in pixels.
/// w : (O, C / groups, KH, KW)
///     The number of groups follows from the shapes.
/// bias : (O,), optional
/// stride : int or (vertical, horizontal)
/// padding : int, (vertical, horizontal) or (top, bottom, left, right)
/// dilation : int or (vertical, horizontal)
/// mask : (N, G * KH * KW, OH, OW), optional
///     What the taps read is multiplied by it.
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (N, O, OH, OW) float32
///
/// The semantics are those of ``torchvision.ops.deform_conv2d``. An offset that is NaN gives NaN.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> x = np.array([[[[1, 2, 3]]]], np.float32)
/// >>> offset = np.zeros((1, 2, 1, 3), np.float32)
/// >>> offset[0, 1] = 0.5
/// >>> omma.deform_conv2d(x, offset, np.ones((1, 1, 1, 1), np.float32))
/// array([[[[1.5, 2.5, 1.5]]]], dtype=float32)
#[pyfunction]
#[pyo3(
    signature = (x, offset, w, bias=None, *, stride=Sizes::one(1), padding=Sizes::one(0),
        dilation=Sizes::one(1), mask=None, out=None, ctx=None),
    text_signature = "(x, offset, w, bias=None, *, stride=1, padding=0, dilation=1, mask=None, \
        out=None, ctx=None)"
)]
pub(crate) fn deform_conv2d<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    offset: &Bound<'py, PyAny>,
    w: &Bound<'py, PyAny>,
    bias: Option<&Bound<'py, PyAny>>,
    stride: Sizes<'py>,
    padding: Sizes<'py>,
    dilation: Sizes<'py>,
    mask: Option<&Bound<'py, PyAny>>,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(py, "deform_conv2d", ctx)?;
    let params = OmmaDeformConv2dParams {
        struct_size: size_of::<OmmaDeformConv2dParams>() as u32,
        stride: call.pair("stride", &stride, 1)?,
        padding: call.sides("padding", &padding)?,
        dilation: call.pair("dilation", &dilation, 1)?,
    };
    let (x, w) = (call.input("x", x)?, call.input("w", w)?);
    let offset = call.input("offset", offset)?;
    let bias = call.optional("bias", bias)?;
    let mask = call.optional("mask", mask)?;
    let out = call.output(out, &output_shape(&params, &x, &w), DType::F32)?;
    let [bias, mask] = [&bias, &mask].map(|t| t.as_ref().map(Tensor::descriptor));
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_deform_conv2d(
            ctx,
            &params,
            &x.descriptor(),
            &offset.descriptor(),
            &w.descriptor(),
            pointer(&bias),
            pointer(&mask),
            &out.descriptor(),
        )
    })?;
    Ok(out.into_object())
}
