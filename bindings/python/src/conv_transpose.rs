//! Transposed convolution: one call, or a plan that keeps the packed weight.

use crate::call::{Call, Sizes};
use crate::context::Context;
use crate::conv::{LAYOUTS, activation, pointer, sides};
use crate::plan::{Plan, description};
use crate::tensor::{DType, Tensor};
use omma::capi::{self, OmmaConvTranspose2d, OmmaConvTranspose2dParams};
use pyo3::prelude::*;
use std::ptr::null;

/// The keyword arguments that a call and a plan have in common.
struct Options<'a, 'py> {
    stride: &'a Sizes<'py>,
    padding: &'a Sizes<'py>,
    output_padding: &'a Sizes<'py>,
    dilation: &'a Sizes<'py>,
    groups: i64,
    activation: Option<&'a str>,
    negative_slope: f32,
    layout: &'a str,
}

impl Options<'_, '_> {
    /// All but the slopes of PReLU, which are a tensor.
    fn params(&self, call: &Call<'_>) -> PyResult<OmmaConvTranspose2dParams> {
        let (activation, negative_slope) = activation(call, self.activation, self.negative_slope)?;
        Ok(OmmaConvTranspose2dParams {
            struct_size: size_of::<OmmaConvTranspose2dParams>() as u32,
            layout: call.choice("layout", self.layout, &LAYOUTS)?,
            stride: call.pair("stride", self.stride, 1)?,
            padding: call.sides("padding", self.padding)?,
            output_padding: call.pair("output_padding", self.output_padding, 0)?,
            dilation: call.pair("dilation", self.dilation, 1)?,
            groups: call.number("groups", self.groups, 1)?,
            activation,
            negative_slope,
            reserved: 0,
            activation_slope: null(),
        })
    }
}

/// The shape of the result; any, where it cannot be told, because then the C ABI says what is wrong.
fn output_shape(p: &OmmaConvTranspose2dParams, x: &Tensor<'_>, w: &Tensor<'_>) -> [i64; 4] {
    let mut shape = [0; 4];
    if x.rank() != 4 || w.rank() != 4 {
        return shape;
    }
    let channels = if sides(p.layout) == [1, 2] { 3 } else { 1 };
    shape[0] = x.dim(0);
    shape[channels] = w.dim(channels).saturating_mul(i64::from(p.groups));
    for (i, axis) in sides(p.layout).into_iter().enumerate() {
        let wide = |value: i32| i128::from(value);
        let size = (i128::from(x.dim(axis)) - 1) * wide(p.stride[i])
            - wide(p.padding[2 * i])
            - wide(p.padding[2 * i + 1])
            + wide(p.dilation[i]) * (i128::from(w.dim(axis)) - 1)
            + wide(p.output_padding[i])
            + 1;
        shape[axis] = i64::try_from(size).unwrap_or(0).max(0);
    }
    shape
}

/// ``activation(transposed convolution(x, w) + bias)`` in float32.
///
/// Parameters
/// ----------
/// x : (N, C, H, W) float32, or (N, H, W, C) with ``layout="NHWC"``
/// w : (C, O / groups, KH, KW), or (C, KH, KW, O / groups)
/// bias : (O,), optional
/// stride : int or (vertical, horizontal)
///     The distance of the input's pixels in the output.
/// padding : int, (vertical, horizontal) or (top, bottom, left, right)
///     What is cut off the output.
/// output_padding : int or (bottom, right)
///     Rows and columns added to the output; less than ``stride`` or ``dilation``.
/// dilation : int or (vertical, horizontal)
/// groups : int
///     Groups of channels that do not see one another.
/// activation, negative_slope, activation_slope
///     As for `conv2d`.
/// layout : ``"NCHW"`` or ``"NHWC"``
///     The order of axes of all arrays.
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (N, O, OH, OW) float32, or (N, OH, OW, O), with ``OH = (H - 1) * stride - top - bottom
/// + dilation * (KH - 1) + output_padding + 1``, and OW likewise.
///
/// The semantics are those of ``torch.nn.functional.conv_transpose2d``. The weight is packed in each
/// call; `ConvTranspose2d` keeps it packed.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> x = np.array([[[[1, 2]]]], np.float32)
/// >>> omma.conv_transpose2d(x, np.ones((1, 1, 1, 3), np.float32), stride=2)
/// array([[[[1., 1., 3., 2., 2.]]]], dtype=float32)
#[pyfunction]
#[pyo3(
    signature = (x, w, bias=None, *, stride=Sizes::one(1), padding=Sizes::one(0),
        output_padding=Sizes::one(0), dilation=Sizes::one(1), groups=1, activation=None,
        negative_slope=0.01, activation_slope=None, layout="NCHW", out=None, ctx=None),
    text_signature = "(x, w, bias=None, *, stride=1, padding=0, output_padding=0, dilation=1, \
        groups=1, activation=None, negative_slope=0.01, activation_slope=None, layout='NCHW', \
        out=None, ctx=None)"
)]
pub(crate) fn conv_transpose2d<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    w: &Bound<'py, PyAny>,
    bias: Option<&Bound<'py, PyAny>>,
    stride: Sizes<'py>,
    padding: Sizes<'py>,
    output_padding: Sizes<'py>,
    dilation: Sizes<'py>,
    groups: i64,
    activation: Option<&str>,
    negative_slope: f32,
    activation_slope: Option<&Bound<'py, PyAny>>,
    layout: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(py, "conv_transpose2d", ctx)?;
    let options = Options {
        stride: &stride,
        padding: &padding,
        output_padding: &output_padding,
        dilation: &dilation,
        groups,
        activation,
        negative_slope,
        layout,
    };
    let mut params = options.params(&call)?;
    let (x, w) = (call.input("x", x)?, call.input("w", w)?);
    let bias = call.optional("bias", bias)?;
    let slope = call.optional("activation_slope", activation_slope)?;
    let out = call.output(out, &output_shape(&params, &x, &w), DType::F32)?;
    let [bias_tensor, slope_tensor] = [&bias, &slope].map(|t| t.as_ref().map(Tensor::descriptor));
    params.activation_slope = pointer(&slope_tensor);
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_conv_transpose2d(
            ctx,
            &params,
            &x.descriptor(),
            &w.descriptor(),
            pointer(&bias_tensor),
            &out.descriptor(),
        )
    })?;
    Ok(out.into_object())
}

/// A transposed convolution whose weight is packed once, for the instruction set of ``ctx``.
///
/// The arguments are those of `conv_transpose2d`; weight, bias and slopes are copied. A plan never
/// changes: any number of threads may run it at once, on images of any size.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> up = omma.ConvTranspose2d(np.ones((1, 1, 2, 2), np.float32), stride=2)
/// >>> up.run(np.array([[[[1, 2]]]], np.float32))
/// array([[[[1., 1., 2., 2.],
///          [1., 1., 2., 2.]]]], dtype=float32)
#[pyclass(frozen, module = "omma")]
pub(crate) struct ConvTranspose2d {
    plan: Plan<OmmaConvTranspose2d>,
    layout: i32,
    outputs: i64,
}

#[pymethods]
impl ConvTranspose2d {
    #[new]
    #[pyo3(
        signature = (w, bias=None, *, stride=Sizes::one(1), padding=Sizes::one(0),
            output_padding=Sizes::one(0), dilation=Sizes::one(1), groups=1, activation=None,
            negative_slope=0.01, activation_slope=None, layout="NCHW", ctx=None),
        text_signature = "(w, bias=None, *, stride=1, padding=0, output_padding=0, dilation=1, \
            groups=1, activation=None, negative_slope=0.01, activation_slope=None, \
            layout='NCHW', ctx=None)"
    )]
    fn new<'py>(
        py: Python<'py>,
        w: &Bound<'py, PyAny>,
        bias: Option<&Bound<'py, PyAny>>,
        stride: Sizes<'py>,
        padding: Sizes<'py>,
        output_padding: Sizes<'py>,
        dilation: Sizes<'py>,
        groups: i64,
        activation: Option<&str>,
        negative_slope: f32,
        activation_slope: Option<&Bound<'py, PyAny>>,
        layout: &str,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<ConvTranspose2d> {
        let call = Call::new(py, "ConvTranspose2d", ctx)?;
        let options = Options {
            stride: &stride,
            padding: &padding,
            output_padding: &output_padding,
            dilation: &dilation,
            groups,
            activation,
            negative_slope,
            layout,
        };
        let mut params = options.params(&call)?;
        let w = call.input("w", w)?;
        let bias = call.optional("bias", bias)?;
        let slope = call.optional("activation_slope", activation_slope)?;
        let [bias_tensor, slope_tensor] =
            [&bias, &slope].map(|t| t.as_ref().map(Tensor::descriptor));
        params.activation_slope = pointer(&slope_tensor);
        // SAFETY: as in `conv_transpose2d`; the slot takes the plan, which is destroyed once.
        let plan = unsafe {
            Plan::create(&call, capi::omma_conv_transpose2d_destroy, |ctx, slot| {
                let (w, bias) = (&w.descriptor(), pointer(&bias_tensor));
                capi::omma_conv_transpose2d_create(ctx, &params, w, bias, slot)
            })?
        };
        let channels = if sides(params.layout) == [1, 2] { 3 } else { 1 };
        Ok(ConvTranspose2d {
            plan,
            layout: params.layout,
            outputs: w.dim(channels) * i64::from(params.groups),
        })
    }

    /// ``activation(transposed convolution(x, w) + bias)``; shapes and the rest as in
    /// `conv_transpose2d`.
    ///
    /// Examples
    /// --------
    /// >>> import numpy as np, omma
    /// >>> up = omma.ConvTranspose2d(np.full((1, 1, 1, 1), 3, np.float32))
    /// >>> out = np.empty((1, 1, 1, 2), np.float32)
    /// >>> up.run(np.ones((1, 1, 1, 2), np.float32), out=out) is out
    /// True
    /// >>> out
    /// array([[[[3., 3.]]]], dtype=float32)
    #[pyo3(signature = (x, out=None, *, ctx=None))]
    fn run<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = Call::new(x.py(), "ConvTranspose2d.run", ctx)?;
        let x = call.input("x", x)?;
        let plan = self.plan.pointer();
        let mut shape = [0; 4];
        if x.rank() == 4 && out.is_none() {
            let [h, w] = sides(self.layout);
            let (mut oh, mut ow) = (0, 0);
            // SAFETY: a living plan, and values to write.
            call.check(unsafe {
                capi::omma_conv_transpose2d_output_shape(plan, x.dim(h), x.dim(w), &mut oh, &mut ow)
            })?;
            shape = [x.dim(0), self.outputs, self.outputs, self.outputs];
            (shape[h], shape[w]) = (oh, ow);
        }
        let out = call.output(out, &shape, DType::F32)?;
        // SAFETY: every pointer is to a descriptor of memory that lives during the call, and so
        // does the plan.
        call.run(|ctx| unsafe {
            capi::omma_conv_transpose2d_run(ctx, plan, &x.descriptor(), &out.descriptor())
        })?;
        Ok(out.into_object())
    }

    /// The algorithms and the instruction set that the plan uses, for people.
    ///
    /// Examples
    /// --------
    /// >>> import numpy as np, omma
    /// >>> with omma.Context(max_isa="portable") as ctx:
    /// ...     up = omma.ConvTranspose2d(np.ones((4, 4, 2, 2), np.float32), stride=2, ctx=ctx)
    /// >>> up.describe()
    /// '4 convolutions: direct, portable'
    fn describe(&self) -> String {
        // SAFETY: a living plan, and a text of that capacity.
        description(|text, capacity| unsafe {
            capi::omma_conv_transpose2d_describe(self.plan.pointer(), text, capacity)
        })
    }

    fn __repr__(&self) -> String {
        format!("<omma.ConvTranspose2d {}>", self.describe())
    }
}
