//! What a convolution can take in before inference, and what a stack of layers sees.

use crate::call::{Call, Sizes};
use crate::context::Context;
use crate::conv::{LAYOUTS, pointer, sides};
use crate::tensor::{DType, Tensor};
use omma::capi::{
    self, OmmaFoldBatchNormParams, OmmaMergeConv2dAvgPool2dParams, OmmaMergeParallelConv2dParams,
    OmmaReceptiveField, OmmaWindow,
};
use pyo3::prelude::*;

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Folds a batch normalization behind a convolution or linear layer into its weight and bias.
///
/// Parameters
/// ----------
/// w : (O, ...) float32
/// bias : (O,), or None for zeros
/// gamma, beta : (O,), or None for ones and zeros
/// mean, var : (O,)
///     Running means and variances.
/// eps : float
/// ctx : Context, optional
///
/// Returns
/// -------
/// w, bias
///     ``w * gamma / sqrt(var + eps)`` and ``(bias - mean) * gamma / sqrt(var + eps) + beta``.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> w, b = omma.fold_batch_norm(np.ones((2, 1), np.float32), None, [2, 4], [0, 1], [1, 1], [4, 4], eps=0)
/// >>> w.ravel(), b
/// (array([1., 2.], dtype=float32), array([-1., -1.], dtype=float32))
#[pyfunction]
#[pyo3(signature = (w, bias, gamma, beta, mean, var, eps=1e-5, *, ctx=None))]
pub(crate) fn fold_batch_norm<'py>(
    py: Python<'py>,
    w: &Bound<'py, PyAny>,
    bias: Option<&Bound<'py, PyAny>>,
    gamma: Option<&Bound<'py, PyAny>>,
    beta: Option<&Bound<'py, PyAny>>,
    mean: &Bound<'py, PyAny>,
    var: &Bound<'py, PyAny>,
    eps: f32,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Pair<'py>> {
    let call = Call::new(py, "fold_batch_norm", ctx)?;
    let params = OmmaFoldBatchNormParams {
        struct_size: size_of::<OmmaFoldBatchNormParams>() as u32,
        // Zero means the default in C; the least above it is nothing beside any variance.
        eps: if eps == 0.0 { f32::from_bits(1) } else { eps },
    };
    let w = call.input("w", w)?;
    let bias = call.optional("bias", bias)?;
    let (gamma, beta) = (call.optional("gamma", gamma)?, call.optional("beta", beta)?);
    let (mean, var) = (call.input("mean", mean)?, call.input("var", var)?);
    let outputs = if w.rank() > 0 { w.dim(0) } else { 0 };
    let shape: Vec<i64> = (0..w.rank()).map(|axis| w.dim(axis)).collect();
    let new_w = call.output(None, &shape, DType::F32)?;
    let new_bias = call.output(None, &[outputs], DType::F32)?;
    let [b, g, s] = [&bias, &gamma, &beta].map(|t| t.as_ref().map(Tensor::descriptor));
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_fold_batch_norm(
            ctx,
            &params,
            &w.descriptor(),
            pointer(&b),
            pointer(&g),
            pointer(&s),
            &mean.descriptor(),
            &var.descriptor(),
            &new_w.descriptor(),
            &new_bias.descriptor(),
        )
    })?;
    Ok((new_w.into_object(), new_bias.into_object()))
}

/// One convolution in place of two that see the same input and whose outputs are added.
///
/// Parameters
/// ----------
/// w1, w2 : (O, C / groups, KH, KW), or (O, KH, KW, C / groups) with ``layout="NHWC"``
///     Odd windows of any two sizes; an identity is a window of 1 x 1.
/// b1, b2 : (O,), or None for zeros
/// layout : ``"NCHW"`` or ``"NHWC"``
/// ctx : Context, optional
///
/// Returns
/// -------
/// w, bias
///     The sums, the smaller window centred in the larger.
///
/// The convolutions agree in stride, dilation and groups, and each is padded by
/// ``dilation * (kernel - 1) / 2``.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> wide, identity = np.ones((1, 1, 1, 3), np.float32), np.ones((1, 1, 1, 1), np.float32)
/// >>> omma.merge_parallel_conv2d(wide, None, identity, [2])
/// (array([[[[1., 2., 1.]]]], dtype=float32), array([2.], dtype=float32))
#[pyfunction]
#[pyo3(
    signature = (w1, b1, w2, b2, *, layout="NCHW", ctx=None),
    text_signature = "(w1, b1, w2, b2, *, layout='NCHW', ctx=None)"
)]
pub(crate) fn merge_parallel_conv2d<'py>(
    py: Python<'py>,
    w1: &Bound<'py, PyAny>,
    b1: Option<&Bound<'py, PyAny>>,
    w2: &Bound<'py, PyAny>,
    b2: Option<&Bound<'py, PyAny>>,
    layout: &str,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Pair<'py>> {
    let call = Call::new(py, "merge_parallel_conv2d", ctx)?;
    let params = OmmaMergeParallelConv2dParams {
        struct_size: size_of::<OmmaMergeParallelConv2dParams>() as u32,
        layout: call.choice("layout", layout, &LAYOUTS)?,
    };
    let (w1, w2) = (call.input("w1", w1)?, call.input("w2", w2)?);
    let (b1, b2) = (call.optional("b1", b1)?, call.optional("b2", b2)?);
    let mut shape = [0; 4];
    if w1.rank() == 4 && w2.rank() == 4 {
        shape = std::array::from_fn(|axis| w1.dim(axis));
        for axis in sides(params.layout) {
            shape[axis] = shape[axis].max(w2.dim(axis));
        }
    }
    let new_w = call.output(None, &shape, DType::F32)?;
    let new_bias = call.output(None, &shape[..1], DType::F32)?;
    let [t1, t2] = [&b1, &b2].map(|t| t.as_ref().map(Tensor::descriptor));
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_merge_parallel_conv2d(
            ctx,
            &params,
            &w1.descriptor(),
            pointer(&t1),
            &w2.descriptor(),
            pointer(&t2),
            &new_w.descriptor(),
            &new_bias.descriptor(),
        )
    })?;
    Ok((new_w.into_object(), new_bias.into_object()))
}

/// One convolution in place of a convolution and average pooling, without padding, behind it.
///
/// Parameters
/// ----------
/// w : (O, C / groups, KH, KW), or (O, KH, KW, C / groups) with ``layout="NHWC"``
/// bias : (O,) or None
/// kernel : int or (vertical, horizontal)
///     The window of the pooling.
/// stride : int or (vertical, horizontal)
///     The stride of the convolution, whose dilation has to be 1.
/// layout : ``"NCHW"`` or ``"NHWC"``
/// ctx : Context, optional
///
/// Returns
/// -------
/// w, bias
///     A window of ``KH + (kernel - 1) * stride``, and the bias as it was.
///
/// The merged convolution has the padding and groups of the first and the product of both strides.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> omma.merge_conv2d_avg_pool2d(np.ones((1, 1, 1, 1), np.float32), None, (1, 2))
/// (array([[[[0.5, 0.5]]]], dtype=float32), None)
#[pyfunction]
#[pyo3(
    signature = (w, bias, kernel, *, stride=Sizes::one(1), layout="NCHW", ctx=None),
    text_signature = "(w, bias, kernel, *, stride=1, layout='NCHW', ctx=None)"
)]
pub(crate) fn merge_conv2d_avg_pool2d<'py>(
    py: Python<'py>,
    w: &Bound<'py, PyAny>,
    bias: Option<Bound<'py, PyAny>>,
    kernel: Sizes<'py>,
    stride: Sizes<'py>,
    layout: &str,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>)> {
    let call = Call::new(py, "merge_conv2d_avg_pool2d", ctx)?;
    let params = OmmaMergeConv2dAvgPool2dParams {
        struct_size: size_of::<OmmaMergeConv2dAvgPool2dParams>() as u32,
        layout: call.choice("layout", layout, &LAYOUTS)?,
        kernel_size: call.pair("kernel", &kernel, 1)?,
        stride: call.pair("stride", &stride, 1)?,
    };
    let w = call.input("w", w)?;
    let mut shape = [0; 4];
    if w.rank() == 4 {
        shape = std::array::from_fn(|axis| w.dim(axis));
        for (i, axis) in sides(params.layout).into_iter().enumerate() {
            let moved = i64::from(params.kernel_size[i] - 1) * i64::from(params.stride[i]);
            shape[axis] = shape[axis].saturating_add(moved);
        }
    }
    let new_w = call.output(None, &shape, DType::F32)?;
    // SAFETY: every pointer is to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_merge_conv2d_avg_pool2d(ctx, &params, &w.descriptor(), &new_w.descriptor())
    })?;
    Ok((new_w.into_object(), bias))
}

/// The receptive field of a stack of layers along one axis, the first layer first.
///
/// Parameters
/// ----------
/// layers : sequence of (kernel, stride, padding, dilation)
///
/// Returns
/// -------
/// (size, stride, start)
///     How many inputs an output sees, from the first to the last; how many there are from the
///     field of an output to that of the next; and the first input that the first output sees,
///     negative in the padding.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.receptive_field([(7, 2, 3, 1), (3, 2, 1, 1), (3, 1, 1, 1)])
/// (19, 4, -9)
#[pyfunction]
pub(crate) fn receptive_field(
    py: Python<'_>,
    layers: Vec<(u32, u32, u32, u32)>,
) -> PyResult<(i64, i64, i64)> {
    let call = Call::without_context(py, "receptive_field");
    for (i, &(kernel, stride, _, dilation)) in layers.iter().enumerate() {
        // Zero means one in C.
        if stride == 0 || dilation == 0 {
            let words = format!(
                "layer {i} has kernel {kernel}, stride {stride} and dilation {dilation}, the least is 1"
            );
            return Err(call.error(capi::OMMA_INVALID_ARGUMENT, &words));
        }
    }
    let layers: Vec<_> = layers
        .into_iter()
        .map(|(kernel, stride, padding, dilation)| OmmaWindow {
            kernel,
            stride,
            padding,
            dilation,
        })
        .collect();
    let mut field = OmmaReceptiveField {
        size: 0,
        stride: 0,
        start: 0,
    };
    // SAFETY: as many layers, and a place to write.
    call.check(unsafe { capi::omma_receptive_field(layers.as_ptr(), layers.len(), &mut field) })?;
    Ok((field.size, field.stride, field.start))
}
