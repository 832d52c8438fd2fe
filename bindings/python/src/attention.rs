//! Attention and the normalizations of a transformer.

use crate::call::Call;
use crate::context::Context;
use crate::tensor::{DType, MAX_RANK, Tensor};
use omma::capi::{
    self, OMMA_INVALID_ARGUMENT, OmmaAttentionParams, OmmaContext, OmmaNormParams, OmmaStatus,
    OmmaTensor,
};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ptr::null;

/// ``softmax(scale * q @ k.T + mask) @ v`` for each head, in float32.
///
/// Parameters
/// ----------
/// q : (B, H, N, D) float32
/// k : (B, G, M, D)
///     G divides H: each key head serves H / G neighbouring query heads.
/// v : (B, G, M, E)
/// mask : bool or float32 that broadcasts to (B, H, N, M), optional
///     False hides a key; floats are added to the logits, and -inf hides a key.
/// causal : bool
///     Query i sees the keys up to ``i + causal_offset``.
/// causal_offset : int
///     The number of keys that a cache held before, for example; may be negative.
/// scale : float, optional
///     1 / sqrt(D) unless it is given.
/// softcap : float
///     Makes a logit x to ``softcap * tanh(x / softcap)``, before the mask; 0 does not.
/// return_log_sum_exp : bool
///     Also returns the logarithm of the sum of the exponentials of each row, (B, H, N).
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (B, H, N, E) float32, or a pair of that and the logarithms
///
/// As ``torch.nn.functional.scaled_dot_product_attention``, which has no ``causal_offset`` and gives
/// NaN where no key is seen: here that is 0, with the logarithm -inf. Any strides; arrays that lie as
/// (B, N, H, D) are passed with their axes swapped, at no cost.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> v = np.array([[[[1, 2], [3, 4]]]], np.float32)
/// >>> omma.attention(np.zeros_like(v), np.zeros_like(v), v, causal=True)
/// array([[[[1., 2.],
///          [2., 3.]]]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (q, k, v, *, mask=None, causal=false, causal_offset=0, scale=None, softcap=0.0,
    return_log_sum_exp=false, out=None, ctx=None))]
pub(crate) fn attention<'py>(
    q: &Bound<'py, PyAny>,
    k: &Bound<'py, PyAny>,
    v: &Bound<'py, PyAny>,
    mask: Option<&Bound<'py, PyAny>>,
    causal: bool,
    causal_offset: i64,
    scale: Option<f32>,
    softcap: f32,
    return_log_sum_exp: bool,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(q.py(), "attention", ctx)?;
    if causal_offset != 0 && !causal {
        let words = format!("causal_offset is {causal_offset} without causal");
        return Err(call.error(OMMA_INVALID_ARGUMENT, &words));
    }
    let mut flags = 0;
    if causal {
        flags |= capi::OMMA_ATTENTION_CAUSAL;
    }
    if scale.is_some() {
        flags |= capi::OMMA_ATTENTION_SCALE;
    }
    let params = OmmaAttentionParams {
        struct_size: size_of::<OmmaAttentionParams>() as u32,
        flags,
        causal_offset,
        scale: scale.unwrap_or(0.0),
        softcap,
    };
    let (q, k, v) = (
        call.input("q", q)?,
        call.input("k", k)?,
        call.input("v", v)?,
    );
    let mask = mask
        .map(|mask| Tensor::input(&call, "mask", mask, None))
        .transpose()?;
    // Wrong shapes are the C ABI's to judge: any shape of the result does for them.
    let mut shape = [0; MAX_RANK];
    let rank = q.rank().min(MAX_RANK);
    shape[..rank].copy_from_slice(&q.shape()[..rank]);
    if q.rank() == 4 && v.rank() == 4 {
        shape[3] = v.dim(3);
    }
    let out = call.output(out, &shape[..rank], DType::F32)?;
    let log = match return_log_sum_exp {
        true => Some(call.output(None, &shape[..rank.saturating_sub(1)], DType::F32)?),
        false => None,
    };
    let mask = mask.as_ref().map(Tensor::descriptor);
    let sums = log.as_ref().map(Tensor::descriptor);
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        let mask = mask.as_ref().map_or(null(), |mask| mask);
        let sums = sums.as_ref().map_or(null(), |sums| sums);
        let (q, k, v) = (&q.descriptor(), &k.descriptor(), &v.descriptor());
        capi::omma_attention(ctx, &params, q, k, v, mask, &out.descriptor(), sums)
    })?;
    match log {
        None => Ok(out.into_object()),
        Some(log) => pair(call.py, out, log),
    }
}

/// Two results.
fn pair<'py>(py: Python<'py>, a: Tensor<'py>, b: Tensor<'py>) -> PyResult<Bound<'py, PyAny>> {
    Ok(PyTuple::new(py, [a.into_object(), b.into_object()])?.into_any())
}

/// A normalization of `x` and its residual.
fn normalized<'py>(
    op: &'static str,
    (x, residual): (&Bound<'py, PyAny>, Option<&Bound<'py, PyAny>>),
    (gamma, beta): (Option<&Bound<'py, PyAny>>, Option<&Bound<'py, PyAny>>),
    (axis, eps): (i64, f32),
    return_sum: bool,
    (out, ctx): (Option<&Bound<'py, PyAny>>, Option<&Bound<'py, Context>>),
    function: impl FnOnce(*const OmmaContext, &OmmaNormParams, [*const OmmaTensor; 6]) -> OmmaStatus,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(x.py(), op, ctx)?;
    let params = OmmaNormParams {
        struct_size: size_of::<OmmaNormParams>() as u32,
        flags: capi::OMMA_NORM_AXIS | capi::OMMA_NORM_EPS,
        axis: call.number("axis", axis, i32::MIN)?,
        eps,
    };
    let x = call.input("x", x)?;
    let residual = call.optional("residual", residual)?;
    let (gamma, beta) = (call.optional("gamma", gamma)?, call.optional("beta", beta)?);
    let out = call.output(out, x.shape(), DType::F32)?;
    let sum = match return_sum {
        true => Some(call.output(None, x.shape(), DType::F32)?),
        false => None,
    };
    let tensors = [
        Some(x.descriptor()),
        residual.as_ref().map(Tensor::descriptor),
        gamma.as_ref().map(Tensor::descriptor),
        beta.as_ref().map(Tensor::descriptor),
        Some(out.descriptor()),
        sum.as_ref().map(Tensor::descriptor),
    ];
    call.run(|ctx| {
        let pointers = tensors
            .each_ref()
            .map(|t| t.as_ref().map_or(null(), std::ptr::from_ref));
        function(ctx, &params, pointers)
    })?;
    match sum {
        None => Ok(out.into_object()),
        Some(sum) => pair(call.py, out, sum),
    }
}

/// ``(s - mean) / sqrt(variance + eps) * gamma + beta`` with ``s = x + residual``, in float32.
///
/// Parameters
/// ----------
/// x : float32 of any shape and strides
/// gamma, beta : arrays of the shape of the axes from ``axis`` on, optional
/// eps : float
/// axis : int
///     The first of the axes that are normalized together, negative from the end.
/// residual : array of the shape of x, optional
///     Added first.
/// return_sum : bool
///     Also returns what was normalized: the residual of the next layer.
/// out : array of the shape of x, optional
///     May be x itself, or residual.
/// ctx : Context, optional
///
/// As ``torch.nn.functional.layer_norm``: the variance is that of the whole population. NaN or
/// infinity makes its row NaN.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.layer_norm([[1, 3], [5, 9]], [1, 2], [0, 1], eps=0)
/// array([[-1.,  3.],
///        [-1.,  3.]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (x, gamma=None, beta=None, eps=1e-5, *, axis=-1, residual=None, return_sum=false,
    out=None, ctx=None),
    text_signature = "(x, gamma=None, beta=None, eps=1e-5, *, axis=-1, residual=None, return_sum=False, out=None, ctx=None)")]
pub(crate) fn layer_norm<'py>(
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    beta: Option<&Bound<'py, PyAny>>,
    eps: f32,
    axis: i64,
    residual: Option<&Bound<'py, PyAny>>,
    return_sum: bool,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let scales = (gamma, beta);
    let function = |ctx, params: &_, [x, residual, gamma, beta, out, sum]: [_; 6]| {
        // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
        unsafe { capi::omma_layer_norm(ctx, params, x, residual, gamma, beta, out, sum) }
    };
    normalized(
        "layer_norm",
        (x, residual),
        scales,
        (axis, eps),
        return_sum,
        (out, ctx),
        function,
    )
}

/// ``s / sqrt(mean(s**2) + eps) * gamma`` with ``s = x + residual``, in float32.
///
/// Parameters
/// ----------
/// x : float32 of any shape and strides
/// gamma : array of the shape of the axes from ``axis`` on, optional
/// eps : float
/// axis : int
///     The first of the axes that are normalized together, negative from the end.
/// residual : array of the shape of x, optional
///     Added first.
/// return_sum : bool
///     Also returns what was normalized: the residual of the next layer.
/// out : array of the shape of x, optional
///     May be x itself, or residual.
/// ctx : Context, optional
///
/// As ``torch.nn.functional.rms_norm``, whose ``eps`` is the smallest difference from 1 unless it is
/// given, and as ONNX's ``RMSNormalization``. NaN or infinity makes its row NaN.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.rms_norm([[3, 4], [0, 2]], eps=0).round(4)
/// array([[0.8485, 1.1314],
///        [0.    , 1.4142]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (x, gamma=None, eps=1e-5, *, axis=-1, residual=None, return_sum=false, out=None, ctx=None),
    text_signature = "(x, gamma=None, eps=1e-5, *, axis=-1, residual=None, return_sum=False, out=None, ctx=None)")]
pub(crate) fn rms_norm<'py>(
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    eps: f32,
    axis: i64,
    residual: Option<&Bound<'py, PyAny>>,
    return_sum: bool,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let scales = (gamma, None);
    let function = |ctx, params: &_, [x, residual, gamma, _, out, sum]: [_; 6]| {
        // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
        unsafe { capi::omma_rms_norm(ctx, params, x, residual, gamma, out, sum) }
    };
    normalized(
        "rms_norm",
        (x, residual),
        scales,
        (axis, eps),
        return_sum,
        (out, ctx),
        function,
    )
}
