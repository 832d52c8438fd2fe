//! Activations, softmax and pooling.

use crate::call::{Call, Sizes};
use crate::context::Context;
use crate::conv::LAYOUTS;
use crate::tensor::{DType, MAX_RANK, Tensor};
use omma::capi::{
    self, OMMA_INVALID_ARGUMENT, OmmaAvgPool2dParams, OmmaContext, OmmaLeakyReluParams,
    OmmaMaxPool2dParams, OmmaPreluParams, OmmaSoftmaxParams, OmmaStatus, OmmaTensor,
};
use omma::nn::Pool2d;
use omma::tensor::Layout;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ptr::null;

/// An operator whose result has the shape of `x`.
fn elementwise<'py>(
    op: &'static str,
    x: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
    function: impl FnOnce(*const OmmaContext, &OmmaTensor, &OmmaTensor) -> OmmaStatus,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(x.py(), op, ctx)?;
    let x = call.input("x", x)?;
    let out = call.output(out, x.shape(), DType::F32)?;
    call.run(|ctx| function(ctx, &x.descriptor(), &out.descriptor()))?;
    Ok(out.into_object())
}

/// The activations that have no parameters.
macro_rules! activations {
    ($($name:ident $function:ident $formula:literal $torch:literal $example:literal;)*) => {$(
        #[doc = concat!("``", $formula, "``, element by element, in float32.")]
        ///
        /// Parameters
        /// ----------
        /// x : float32 of any shape and strides
        /// out : array of the shape of x, optional
        ///     May be x itself.
        /// ctx : Context, optional
        ///
        #[doc = concat!("As ``", $torch, "``. NaN gives NaN.")]
        ///
        /// Examples
        /// --------
        /// >>> import omma
        #[doc = concat!(">>> omma.", stringify!($name), "([-2, 0, 8]).round(4)")]
        #[doc = concat!("array(", $example, ", dtype=float32)")]
        #[pyfunction]
        #[pyo3(signature = (x, *, out=None, ctx=None))]
        pub(crate) fn $name<'py>(
            x: &Bound<'py, PyAny>,
            out: Option<&Bound<'py, PyAny>>,
            ctx: Option<&Bound<'py, Context>>,
        ) -> PyResult<Bound<'py, PyAny>> {
            elementwise(stringify!($name), x, out, ctx, |ctx, x, out| {
                // SAFETY: descriptors of memory that lives during the call.
                unsafe { capi::$function(ctx, x, out) }
            })
        }
    )*};
}

activations! {
    relu omma_relu "max(x, 0)" "torch.nn.functional.relu" "[0., 0., 8.]";
    relu6 omma_relu6 "min(max(x, 0), 6)" "torch.nn.functional.relu6" "[0., 0., 6.]";
    sigmoid omma_sigmoid "1 / (1 + exp(-x))" "torch.sigmoid"
        "[0.1192, 0.5   , 0.9997]";
    tanh omma_tanh "tanh(x)" "torch.tanh" "[-0.964,  0.   ,  1.   ]";
    silu omma_silu "x * sigmoid(x)" "torch.nn.functional.silu"
        "[-0.2384,  0.    ,  7.9973]";
    hardswish omma_hardswish "x * relu6(x + 3) / 6" "torch.nn.functional.hardswish"
        "[-0.3333,  0.    ,  8.    ]";
    gelu omma_gelu "x / 2 * (1 + erf(x / sqrt(2)))" "torch.nn.functional.gelu"
        "[-0.0455,  0.    ,  8.    ]";
    gelu_tanh omma_gelu_tanh "x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))"
        "torch.nn.functional.gelu(x, approximate=\"tanh\")"
        "[-0.0454,  0.    ,  8.    ]";
}

/// ``x`` where positive, else ``negative_slope * x``, in float32.
///
/// Parameters
/// ----------
/// x : float32 of any shape and strides
/// negative_slope : float
/// out : array of the shape of x, optional
///     May be x itself.
/// ctx : Context, optional
///
/// As ``torch.nn.functional.leaky_relu``. NaN gives NaN.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.leaky_relu([-4, 0, 8], 0.25)
/// array([-1.,  0.,  8.], dtype=float32)
#[pyfunction]
#[pyo3(signature = (x, negative_slope=0.01, *, out=None, ctx=None))]
pub(crate) fn leaky_relu<'py>(
    x: &Bound<'py, PyAny>,
    negative_slope: f32,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let params = OmmaLeakyReluParams {
        struct_size: size_of::<OmmaLeakyReluParams>() as u32,
        flags: capi::OMMA_LEAKY_RELU_NEGATIVE_SLOPE,
        negative_slope,
    };
    elementwise("leaky_relu", x, out, ctx, |ctx, x, out| {
        // SAFETY: descriptors of memory that lives during the call.
        unsafe { capi::omma_leaky_relu(ctx, &params, x, out) }
    })
}

/// ``x`` where positive, else ``slope * x``, in float32.
///
/// Parameters
/// ----------
/// x : float32 of any shape and strides
/// slope : (1,), or (C,) along ``axis``, or as many dimensions as x, each of its size or 1
/// axis : int
///     The axis of the channels, negative from the end.
/// out : array of the shape of x, optional
///     May be x itself.
/// ctx : Context, optional
///
/// As ``torch.nn.functional.prelu`` and ONNX's ``PRelu``. NaN gives NaN.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.prelu([[-4, -4, 8]], [0.25, 0.5, 1])
/// array([[-1., -2.,  8.]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (x, slope, *, axis=1, out=None, ctx=None))]
pub(crate) fn prelu<'py>(
    x: &Bound<'py, PyAny>,
    slope: &Bound<'py, PyAny>,
    axis: i64,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(x.py(), "prelu", ctx)?;
    let params = OmmaPreluParams {
        struct_size: size_of::<OmmaPreluParams>() as u32,
        flags: capi::OMMA_PRELU_AXIS,
        axis: call.number("axis", axis, i32::MIN)?,
    };
    let (x, slope) = (call.input("x", x)?, call.input("slope", slope)?);
    let out = call.output(out, x.shape(), DType::F32)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (x, slope) = (&x.descriptor(), &slope.descriptor());
        capi::omma_prelu(ctx, &params, x, slope, &out.descriptor())
    })?;
    Ok(out.into_object())
}

type Softmax = unsafe extern "C" fn(
    *const OmmaContext,
    *const OmmaSoftmaxParams,
    *const OmmaTensor,
    *const OmmaTensor,
) -> OmmaStatus;

fn normalized<'py>(
    op: &'static str,
    x: &Bound<'py, PyAny>,
    axis: i64,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
    function: Softmax,
) -> PyResult<Bound<'py, PyAny>> {
    let params = OmmaSoftmaxParams {
        struct_size: size_of::<OmmaSoftmaxParams>() as u32,
        flags: capi::OMMA_SOFTMAX_AXIS,
        axis: Call::without_context(x.py(), op).number("axis", axis, i32::MIN)?,
    };
    elementwise(op, x, out, ctx, |ctx, x, out| {
        // SAFETY: descriptors of memory that lives during the call.
        unsafe { function(ctx, &params, x, out) }
    })
}

/// ``exp(x - max) / sum(exp(x - max))`` along one axis, in float32.
///
/// Parameters
/// ----------
/// x : float32 of any shape and strides
/// axis : int
///     The axis to normalize along, negative from the end.
/// out : array of the shape of x, optional
///     May be x itself.
/// ctx : Context, optional
///
/// As ``torch.softmax``: a NaN or +inf in a row, or nothing but -inf, makes the row NaN.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.softmax([[0, 0, 0, 0], [200, 200, 0, 0]])
/// array([[0.25, 0.25, 0.25, 0.25],
///        [0.5 , 0.5 , 0.  , 0.  ]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (x, axis=-1, *, out=None, ctx=None),
    text_signature = "(x, axis=-1, *, out=None, ctx=None)")]
pub(crate) fn softmax<'py>(
    x: &Bound<'py, PyAny>,
    axis: i64,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    normalized("softmax", x, axis, out, ctx, capi::omma_softmax)
}

/// ``x - max - log(sum(exp(x - max)))`` along one axis, in float32.
///
/// Parameters
/// ----------
/// x : float32 of any shape and strides
/// axis : int
///     The axis to normalize along, negative from the end.
/// out : array of the shape of x, optional
///     May be x itself.
/// ctx : Context, optional
///
/// As ``torch.log_softmax``.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.log_softmax([0, 0])
/// array([-0.6931472, -0.6931472], dtype=float32)
#[pyfunction]
#[pyo3(signature = (x, axis=-1, *, out=None, ctx=None),
    text_signature = "(x, axis=-1, *, out=None, ctx=None)")]
pub(crate) fn log_softmax<'py>(
    x: &Bound<'py, PyAny>,
    axis: i64,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    normalized("log_softmax", x, axis, out, ctx, capi::omma_log_softmax)
}

/// The window of a pooling operator.
struct Window {
    kernel_size: [i32; 2],
    stride: [i32; 2],
    padding: [i32; 4],
    dilation: [i32; 2],
    ceil_mode: bool,
    layout: i32,
}

impl Window {
    fn new(
        call: &Call<'_>,
        kernel_size: &Sizes<'_>,
        stride: Option<&Sizes<'_>>,
        padding: &Sizes<'_>,
        dilation: &Sizes<'_>,
        ceil_mode: bool,
        layout: &str,
    ) -> PyResult<Window> {
        let kernel_size = call.pair("kernel_size", kernel_size, 1)?;
        Ok(Window {
            kernel_size,
            stride: match stride {
                Some(stride) => call.pair("stride", stride, 1)?,
                None => kernel_size,
            },
            padding: call.sides("padding", padding)?,
            dilation: call.pair("dilation", dilation, 1)?,
            ceil_mode,
            layout: call.choice("layout", layout, &LAYOUTS)?,
        })
    }

    fn flags(&self) -> u32 {
        match self.ceil_mode {
            true => capi::OMMA_POOL_CEIL_MODE,
            false => 0,
        }
    }

    /// The shape of the result, in the first entries. Where there is none the arguments are wrong,
    /// and the C ABI, which looks at them first, says how.
    fn output_shape(&self, x: &Tensor<'_>) -> [i64; MAX_RANK] {
        let mut shape = [0; MAX_RANK];
        if x.rank() != 3 && x.rank() != 4 {
            return shape;
        }
        shape[..x.rank()].copy_from_slice(x.shape());
        let is_nhwc = self.layout == capi::OMMA_LAYOUT_NHWC;
        let h = x.rank() - if is_nhwc { 3 } else { 2 };
        let pool = Pool2d {
            kernel_size: self.kernel_size.map(|k| k as usize),
            stride: Some(self.stride.map(|s| s as usize)),
            padding: self.padding.map(|p| p as usize),
            dilation: self.dilation.map(|d| d as usize),
            ceil_mode: self.ceil_mode,
            layout: if is_nhwc { Layout::Nhwc } else { Layout::Nchw },
        };
        let size = [x.dim(h) as usize, x.dim(h + 1) as usize];
        let size = pool.output_size("", size).unwrap_or([0; 2]);
        (shape[h], shape[h + 1]) = (size[0] as i64, size[1] as i64);
        shape
    }
}

/// The largest element of each window, in float32.
///
/// Parameters
/// ----------
/// x : (N, C, H, W) or (C, H, W) float32, or channels last with ``layout="NHWC"``
/// kernel_size : int or (vertical, horizontal)
/// stride : int or (vertical, horizontal), optional
///     As large as the window unless it is given.
/// padding : int, (vertical, horizontal) or (top, bottom, left, right)
///     Less than the window spans; never the maximum.
/// dilation : int or (vertical, horizontal)
/// ceil_mode : bool
///     Rounds the result's size up; a window that would start behind the image is left out.
/// return_indices : bool
///     Also returns where the maxima are: row times W plus column of the image, as int64.
/// layout : ``"NCHW"`` or ``"NHWC"``
/// out : array of the result's shape, optional
///     With ``return_indices`` a tuple of two, the second one of int64.
/// ctx : Context, optional
///
/// Returns
/// -------
/// (N, C, OH, OW) float32, and with ``return_indices`` the indices of the same shape.
///
/// As ``torch.nn.functional.max_pool2d``: a window with a NaN gives NaN and the index of its last
/// NaN, of equal maxima the first counts.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> x = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
/// >>> values, indices = omma.max_pool2d(x, 2, return_indices=True)
/// >>> values
/// array([[[ 5.,  7.],
///         [13., 15.]]], dtype=float32)
/// >>> indices
/// array([[[ 5,  7],
///         [13, 15]]])
#[pyfunction]
#[pyo3(
    signature = (x, kernel_size, stride=None, padding=Sizes::one(0), dilation=Sizes::one(1),
        ceil_mode=false, return_indices=false, *, layout="NCHW", out=None, ctx=None),
    text_signature = "(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, \
        return_indices=False, *, layout='NCHW', out=None, ctx=None)"
)]
pub(crate) fn max_pool2d<'py>(
    x: &Bound<'py, PyAny>,
    kernel_size: Sizes<'py>,
    stride: Option<Sizes<'py>>,
    padding: Sizes<'py>,
    dilation: Sizes<'py>,
    ceil_mode: bool,
    return_indices: bool,
    layout: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = x.py();
    let call = Call::new(py, "max_pool2d", ctx)?;
    let window = Window::new(
        &call,
        &kernel_size,
        stride.as_ref(),
        &padding,
        &dilation,
        ceil_mode,
        layout,
    )?;
    let params = OmmaMaxPool2dParams {
        struct_size: size_of::<OmmaMaxPool2dParams>() as u32,
        flags: window.flags(),
        layout: window.layout,
        kernel_size: window.kernel_size,
        stride: window.stride,
        padding: window.padding,
        dilation: window.dilation,
    };
    let (values, indices) = match out {
        Some(out) if return_indices => match out.extract::<[Bound<'py, PyAny>; 2]>() {
            Ok([values, indices]) if out.is_instance_of::<PyTuple>() => {
                (Some(values), Some(indices))
            }
            _ => {
                let words = "out is no tuple of two arrays, which return_indices asks for";
                return Err(call.error(OMMA_INVALID_ARGUMENT, words));
            }
        },
        out => (out.cloned(), None),
    };
    let x = call.input("x", x)?;
    let shape = window.output_shape(&x);
    let shape = &shape[..x.shape().len()];
    let values = call.output(values.as_ref(), shape, DType::F32)?;
    let indices = match (return_indices, indices) {
        (false, _) => None,
        (true, Some(indices)) => Some(Tensor::output(&call, "indices", &indices)?),
        (true, None) => Some(Tensor::empty(&call, shape, DType::I64)?),
    };
    let places = indices.as_ref().map(Tensor::descriptor);
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        let places = places.as_ref().map_or(null(), |places| places);
        capi::omma_max_pool2d(ctx, &params, &x.descriptor(), &values.descriptor(), places)
    })?;
    match indices {
        None => Ok(values.into_object()),
        Some(indices) => {
            let both = (values.into_object(), indices.into_object());
            Ok(both.into_pyobject(py)?.into_any())
        }
    }
}

/// The mean of each window, in float32.
///
/// Parameters
/// ----------
/// x : (N, C, H, W) or (C, H, W) float32, or channels last with ``layout="NHWC"``
/// kernel_size : int or (vertical, horizontal)
/// stride : int or (vertical, horizontal), optional
///     As large as the window unless it is given.
/// padding : int, (vertical, horizontal) or (top, bottom, left, right)
///     Zeros around the image, less than the window spans.
/// ceil_mode : bool
///     Rounds the result's size up; a window that would start behind the image is left out.
/// count_include_pad : bool
///     Whether padding counts for the mean.
/// divisor_override : int, optional
///     What sums are divided by, in place of the number of elements.
/// dilation : int or (vertical, horizontal)
/// layout : ``"NCHW"`` or ``"NHWC"``
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (N, C, OH, OW) float32
///
/// As ``torch.nn.functional.avg_pool2d``; the dilation is ONNX's.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> omma.avg_pool2d(np.arange(16, dtype=np.float32).reshape(1, 4, 4), 2)
/// array([[[ 2.5,  4.5],
///         [10.5, 12.5]]], dtype=float32)
#[pyfunction]
#[pyo3(
    signature = (x, kernel_size, stride=None, padding=Sizes::one(0), ceil_mode=false,
        count_include_pad=true, divisor_override=None, *, dilation=Sizes::one(1), layout="NCHW",
        out=None, ctx=None),
    text_signature = "(x, kernel_size, stride=None, padding=0, ceil_mode=False, \
        count_include_pad=True, divisor_override=None, *, dilation=1, layout='NCHW', \
        out=None, ctx=None)"
)]
pub(crate) fn avg_pool2d<'py>(
    x: &Bound<'py, PyAny>,
    kernel_size: Sizes<'py>,
    stride: Option<Sizes<'py>>,
    padding: Sizes<'py>,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Option<i64>,
    dilation: Sizes<'py>,
    layout: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(x.py(), "avg_pool2d", ctx)?;
    let window = Window::new(
        &call,
        &kernel_size,
        stride.as_ref(),
        &padding,
        &dilation,
        ceil_mode,
        layout,
    )?;
    let params = OmmaAvgPool2dParams {
        struct_size: size_of::<OmmaAvgPool2dParams>() as u32,
        flags: match count_include_pad {
            true => window.flags(),
            false => window.flags() | capi::OMMA_POOL_EXCLUDE_PAD,
        },
        layout: window.layout,
        kernel_size: window.kernel_size,
        stride: window.stride,
        padding: window.padding,
        dilation: window.dilation,
        divisor_override: match divisor_override {
            None => 0,
            // Zero would be the default.
            Some(0) => {
                let words = "divisor_override is 0";
                return Err(call.error(OMMA_INVALID_ARGUMENT, words));
            }
            Some(divisor) => call.number("divisor_override", divisor, i32::MIN)?,
        },
    };
    let x = call.input("x", x)?;
    let shape = window.output_shape(&x);
    let out = call.output(out, &shape[..x.shape().len()], DType::F32)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_avg_pool2d(ctx, &params, &x.descriptor(), &out.descriptor())
    })?;
    Ok(out.into_object())
}
