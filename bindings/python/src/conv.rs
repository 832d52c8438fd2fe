//! Convolution: one call, or a plan that keeps the packed weight.

use crate::call::{Call, Sizes};
use crate::context::Context;
use crate::plan::{Plan, description};
use crate::tensor::{DType, Tensor};
use omma::capi::{self, OmmaConv2d, OmmaConv2dParams, OmmaTensor};
use pyo3::prelude::*;
use std::ptr::null;

pub(crate) const LAYOUTS: [(&str, i32); 2] = [
    ("NCHW", capi::OMMA_LAYOUT_NCHW),
    ("NHWC", capi::OMMA_LAYOUT_NHWC),
];

const ALGORITHMS: [(&str, i32); 4] = [
    ("auto", capi::OMMA_CONV_AUTO),
    ("implicit_gemm", capi::OMMA_CONV_IMPLICIT_GEMM),
    ("direct", capi::OMMA_CONV_DIRECT),
    ("winograd", capi::OMMA_CONV_WINOGRAD),
];

const ACTIVATIONS: [(&str, i32); 10] = [
    ("relu", capi::OMMA_ACTIVATION_RELU),
    ("relu6", capi::OMMA_ACTIVATION_RELU6),
    ("leaky_relu", capi::OMMA_ACTIVATION_LEAKY_RELU),
    ("prelu", capi::OMMA_ACTIVATION_PRELU),
    ("sigmoid", capi::OMMA_ACTIVATION_SIGMOID),
    ("tanh", capi::OMMA_ACTIVATION_TANH),
    ("silu", capi::OMMA_ACTIVATION_SILU),
    ("hardswish", capi::OMMA_ACTIVATION_HARDSWISH),
    ("gelu", capi::OMMA_ACTIVATION_GELU),
    ("gelu_tanh", capi::OMMA_ACTIVATION_GELU_TANH),
];

/// The kind and the slope of an activation in an epilogue.
pub(crate) fn activation(
    call: &Call<'_>,
    name: Option<&str>,
    negative_slope: f32,
) -> PyResult<(i32, f32)> {
    Ok(match name {
        None => (capi::OMMA_ACTIVATION_NONE, 0.0),
        // A slope of zero means the default in C; here it is ReLU.
        Some("leaky_relu") if negative_slope == 0.0 => (capi::OMMA_ACTIVATION_RELU, 0.0),
        Some(name) => (
            call.choice("activation", name, &ACTIVATIONS)?,
            negative_slope,
        ),
    })
}

/// The keyword arguments that a call and a plan have in common.
struct Options<'a, 'py> {
    stride: &'a Sizes<'py>,
    padding: &'a Sizes<'py>,
    dilation: &'a Sizes<'py>,
    groups: i64,
    activation: Option<&'a str>,
    negative_slope: f32,
    layout: &'a str,
    algorithm: &'a str,
}

impl Options<'_, '_> {
    /// All but the slopes of PReLU, which are a tensor.
    fn params(&self, call: &Call<'_>) -> PyResult<OmmaConv2dParams> {
        let (activation, negative_slope) = activation(call, self.activation, self.negative_slope)?;
        Ok(OmmaConv2dParams {
            struct_size: size_of::<OmmaConv2dParams>() as u32,
            layout: call.choice("layout", self.layout, &LAYOUTS)?,
            stride: call.pair("stride", self.stride, 1)?,
            padding: call.sides("padding", self.padding)?,
            dilation: call.pair("dilation", self.dilation, 1)?,
            groups: call.number("groups", self.groups, 1)?,
            activation,
            negative_slope,
            algorithm: call.choice("algorithm", self.algorithm, &ALGORITHMS)?,
            activation_slope: null(),
        })
    }
}

/// The axes of rows and columns.
pub(crate) fn sides(layout: i32) -> [usize; 2] {
    match layout == capi::OMMA_LAYOUT_NHWC {
        true => [1, 2],
        false => [2, 3],
    }
}

/// The shape of the result. Where it cannot be told the arguments are wrong, and the C ABI, which
/// looks at them before it looks at the result, says how; it is given any shape.
fn output_shape(p: &OmmaConv2dParams, x: &Tensor<'_>, w: &Tensor<'_>) -> [i64; 4] {
    let mut shape = [0; 4];
    if x.rank() != 4 || w.rank() != 4 {
        return shape;
    }
    let channels = if sides(p.layout) == [1, 2] { 3 } else { 1 };
    (shape[0], shape[channels]) = (x.dim(0), w.dim(0));
    for (i, axis) in sides(p.layout).into_iter().enumerate() {
        let wide = |value: i32| i128::from(value);
        let padded = i128::from(x.dim(axis)) + wide(p.padding[2 * i]) + wide(p.padding[2 * i + 1]);
        let span = wide(p.dilation[i]) * (i128::from(w.dim(axis)) - 1) + 1;
        if span >= 1 && padded >= span {
            shape[axis] = ((padded - span) / wide(p.stride[i]) + 1) as i64;
        }
    }
    shape
}

pub(crate) fn pointer(tensor: &Option<OmmaTensor>) -> *const OmmaTensor {
    tensor.as_ref().map_or(null(), |tensor| tensor)
}

/// ``activation(convolution(x, w) + bias + residual)`` in float32.
///
/// Parameters
/// ----------
/// x : (N, C, H, W) float32, or (N, H, W, C) with ``layout="NHWC"``
/// w : (O, C / groups, KH, KW), or (O, KH, KW, C / groups)
/// bias : (O,), optional
/// residual : the shape of the result, optional
///     Added before the activation. ``out`` may be the very same array.
/// stride, dilation : int or (vertical, horizontal)
/// padding : int, (vertical, horizontal) or (top, bottom, left, right)
///     Zeros around the image.
/// groups : int
///     Groups of channels that do not see one another.
/// activation : str, optional
///     ``"relu"``, ``"relu6"``, ``"leaky_relu"``, ``"prelu"``, ``"sigmoid"``, ``"tanh"``, ``"silu"``,
///     ``"hardswish"``, ``"gelu"``, ``"gelu_tanh"``.
/// negative_slope : float
///     The factor of ``"leaky_relu"``.
/// activation_slope : (1,) or (O,), optional
///     The factors of ``"prelu"``.
/// layout : ``"NCHW"`` or ``"NHWC"``
///     The order of axes of all arrays.
/// algorithm : ``"auto"``, ``"direct"``, ``"implicit_gemm"`` or ``"winograd"``
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (N, O, OH, OW) float32, or (N, OH, OW, O), with
/// ``OH = (H + top + bottom - dilation * (KH - 1) - 1) // stride + 1``, and OW likewise.
///
/// The semantics are those of ``torch.nn.functional.conv2d``: a cross-correlation. The weight is
/// packed in each call; `Conv2d` keeps it packed.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
/// >>> w = np.ones((1, 1, 3, 3), np.float32)
/// >>> omma.conv2d(x, w, stride=2, padding=1, activation="relu")
/// array([[[[10., 24.],
///          [51., 90.]]]], dtype=float32)
#[pyfunction]
#[pyo3(
    signature = (x, w, bias=None, *, residual=None, stride=Sizes::one(1), padding=Sizes::one(0),
        dilation=Sizes::one(1), groups=1, activation=None, negative_slope=0.01,
        activation_slope=None, layout="NCHW", algorithm="auto", out=None, ctx=None),
    text_signature = "(x, w, bias=None, *, residual=None, stride=1, padding=0, dilation=1, \
        groups=1, activation=None, negative_slope=0.01, activation_slope=None, layout='NCHW', \
        algorithm='auto', out=None, ctx=None)"
)]
pub(crate) fn conv2d<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    w: &Bound<'py, PyAny>,
    bias: Option<&Bound<'py, PyAny>>,
    residual: Option<&Bound<'py, PyAny>>,
    stride: Sizes<'py>,
    padding: Sizes<'py>,
    dilation: Sizes<'py>,
    groups: i64,
    activation: Option<&str>,
    negative_slope: f32,
    activation_slope: Option<&Bound<'py, PyAny>>,
    layout: &str,
    algorithm: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(py, "conv2d", ctx)?;
    let options = Options {
        stride: &stride,
        padding: &padding,
        dilation: &dilation,
        groups,
        activation,
        negative_slope,
        layout,
        algorithm,
    };
    let mut params = options.params(&call)?;
    let (x, w) = (call.input("x", x)?, call.input("w", w)?);
    let bias = call.optional("bias", bias)?;
    let residual = call.optional("residual", residual)?;
    let slope = call.optional("activation_slope", activation_slope)?;
    let out = call.output(out, &output_shape(&params, &x, &w), DType::F32)?;
    let [bias_tensor, residual_tensor, slope_tensor] =
        [&bias, &residual, &slope].map(|t| t.as_ref().map(Tensor::descriptor));
    params.activation_slope = pointer(&slope_tensor);
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_conv2d(
            ctx,
            &params,
            &x.descriptor(),
            &w.descriptor(),
            pointer(&bias_tensor),
            pointer(&residual_tensor),
            &out.descriptor(),
        )
    })?;
    Ok(out.into_object())
}

/// A convolution whose weight is packed once, for the instruction set of ``ctx``.
///
/// The arguments are those of `conv2d`; weight, bias and slopes are copied. A plan never changes:
/// any number of threads may run it at once, on images of any size.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> conv = omma.Conv2d(np.ones((2, 1, 3, 3), np.float32), np.array([0, 1], np.float32))
/// >>> conv.run(np.ones((1, 1, 3, 4), np.float32))
/// array([[[[ 9.,  9.]],
/// <BLANKLINE>
///         [[10., 10.]]]], dtype=float32)
#[pyclass(frozen, module = "omma")]
pub(crate) struct Conv2d {
    plan: Plan<OmmaConv2d>,
    layout: i32,
    outputs: i64,
}

#[pymethods]
impl Conv2d {
    #[new]
    #[pyo3(
        signature = (w, bias=None, *, stride=Sizes::one(1), padding=Sizes::one(0),
            dilation=Sizes::one(1), groups=1, activation=None, negative_slope=0.01,
            activation_slope=None, layout="NCHW", algorithm="auto", ctx=None),
        text_signature = "(w, bias=None, *, stride=1, padding=0, dilation=1, groups=1, \
            activation=None, negative_slope=0.01, activation_slope=None, layout='NCHW', \
            algorithm='auto', ctx=None)"
    )]
    fn new<'py>(
        py: Python<'py>,
        w: &Bound<'py, PyAny>,
        bias: Option<&Bound<'py, PyAny>>,
        stride: Sizes<'py>,
        padding: Sizes<'py>,
        dilation: Sizes<'py>,
        groups: i64,
        activation: Option<&str>,
        negative_slope: f32,
        activation_slope: Option<&Bound<'py, PyAny>>,
        layout: &str,
        algorithm: &str,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Conv2d> {
        let call = Call::new(py, "Conv2d", ctx)?;
        let options = Options {
            stride: &stride,
            padding: &padding,
            dilation: &dilation,
            groups,
            activation,
            negative_slope,
            layout,
            algorithm,
        };
        let mut params = options.params(&call)?;
        let w = call.input("w", w)?;
        let bias = call.optional("bias", bias)?;
        let slope = call.optional("activation_slope", activation_slope)?;
        let [bias_tensor, slope_tensor] =
            [&bias, &slope].map(|t| t.as_ref().map(Tensor::descriptor));
        params.activation_slope = pointer(&slope_tensor);
        // SAFETY: as in `conv2d`; the slot takes the plan, which is destroyed once.
        let plan = unsafe {
            Plan::create(&call, capi::omma_conv2d_destroy, |ctx, slot| {
                let (w, bias) = (&w.descriptor(), pointer(&bias_tensor));
                capi::omma_conv2d_create(ctx, &params, w, bias, slot)
            })?
        };
        Ok(Conv2d {
            plan,
            layout: params.layout,
            outputs: w.dim(0),
        })
    }

    /// ``activation(convolution(x, w) + bias + residual)``; shapes and the rest as in `conv2d`.
    ///
    /// Examples
    /// --------
    /// >>> import numpy as np, omma
    /// >>> conv = omma.Conv2d(np.full((1, 1, 1, 1), 3, np.float32))
    /// >>> out = np.empty((1, 1, 1, 2), np.float32)
    /// >>> conv.run(np.ones((1, 1, 1, 2), np.float32), out=out) is out
    /// True
    /// >>> out
    /// array([[[[3., 3.]]]], dtype=float32)
    #[pyo3(signature = (x, residual=None, out=None, *, ctx=None))]
    fn run<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        residual: Option<&Bound<'py, PyAny>>,
        out: Option<&Bound<'py, PyAny>>,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = Call::new(x.py(), "Conv2d.run", ctx)?;
        let x = call.input("x", x)?;
        let residual = call.optional("residual", residual)?;
        let plan = self.plan.pointer();
        let mut shape = [0; 4];
        if x.rank() == 4 && out.is_none() {
            let [h, w] = sides(self.layout);
            let (mut oh, mut ow) = (0, 0);
            // SAFETY: a living plan, and values to write.
            call.check(unsafe {
                capi::omma_conv2d_output_shape(plan, x.dim(h), x.dim(w), &mut oh, &mut ow)
            })?;
            shape = [x.dim(0), self.outputs, self.outputs, self.outputs];
            (shape[h], shape[w]) = (oh, ow);
        }
        let out = call.output(out, &shape, DType::F32)?;
        let residual_tensor = residual.as_ref().map(Tensor::descriptor);
        // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call,
        // and so does the plan.
        call.run(|ctx| unsafe {
            let residual = pointer(&residual_tensor);
            capi::omma_conv2d_run(ctx, plan, &x.descriptor(), residual, &out.descriptor())
        })?;
        Ok(out.into_object())
    }

    /// The algorithm and the instruction set that the plan uses, for people.
    ///
    /// Examples
    /// --------
    /// >>> import numpy as np, omma
    /// >>> with omma.Context(max_isa="portable") as ctx:
    /// ...     conv = omma.Conv2d(np.ones((8, 8, 3, 3), np.float32), algorithm="direct", ctx=ctx)
    /// >>> conv.describe()
    /// 'direct, portable'
    fn describe(&self) -> String {
        // SAFETY: a living plan, and a text of that capacity.
        description(|text, capacity| unsafe {
            capi::omma_conv2d_describe(self.plan.pointer(), text, capacity)
        })
    }

    fn __repr__(&self) -> String {
        format!("<omma.Conv2d {}>", self.describe())
    }
}
