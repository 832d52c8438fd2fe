//! Multi-head attention, and how the blocks of a transformer read their arguments.

use crate::call::Call;
use crate::context::Context;
use crate::plan::{Plan, description};
use crate::tensor::{DType, MAX_RANK, Tensor};
use omma::capi::{
    self, OMMA_INVALID_ARGUMENT, OmmaMultiHeadAttention, OmmaMultiHeadAttentionParams, OmmaTensor,
};
use pyo3::prelude::*;
use std::ptr::null;

/// An argument, or none.
pub(crate) type Argument<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

pub(crate) fn pointer(tensor: &Option<OmmaTensor>) -> *const OmmaTensor {
    tensor.as_ref().map_or(null(), |tensor| tensor)
}

/// Arrays that are read unless they are `None`.
pub(crate) fn arrays<'py, const N: usize>(
    call: &Call<'py>,
    named: [(&str, Argument<'_, 'py>); N],
) -> PyResult<Vec<Option<Tensor<'py>>>> {
    (named.into_iter())
        .map(|(name, object)| call.optional(name, object))
        .collect()
}

pub(crate) fn descriptors(arrays: &[Option<Tensor<'_>>]) -> Vec<Option<OmmaTensor>> {
    (arrays.iter())
        .map(|array| array.as_ref().map(Tensor::descriptor))
        .collect()
}

pub(crate) fn mask_of<'py>(
    call: &Call<'py>,
    mask: Argument<'_, 'py>,
) -> PyResult<Option<Tensor<'py>>> {
    mask.map(|mask| Tensor::input(call, "mask", mask, None))
        .transpose()
}

/// The shape of `like` with another last axis.
pub(crate) fn rows<'py>(
    call: &Call<'py>,
    out: Argument<'_, 'py>,
    like: &Tensor<'py>,
    outputs: i64,
) -> PyResult<Tensor<'py>> {
    let mut shape = [0; MAX_RANK];
    let rank = like.rank().min(MAX_RANK);
    shape[..rank].copy_from_slice(&like.shape()[..rank]);
    if let Some(last) = shape[..rank].last_mut() {
        *last = outputs;
    }
    call.output(out, &shape[..rank], DType::F32)
}

/// The first axis of a weight. Wrong shapes are the C ABI's to judge.
pub(crate) fn outputs(weight: &Tensor<'_>) -> i64 {
    weight.shape().first().copied().unwrap_or(0)
}

fn multi_head(
    call: &Call<'_>,
    (num_heads, num_kv_heads): (i64, Option<i64>),
    (causal, causal_offset): (bool, i64),
    scale: Option<f32>,
    softcap: f32,
) -> PyResult<OmmaMultiHeadAttentionParams> {
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
    Ok(OmmaMultiHeadAttentionParams {
        struct_size: size_of::<OmmaMultiHeadAttentionParams>() as u32,
        flags,
        num_heads: call.number("num_heads", num_heads, 1)?,
        num_kv_heads: match num_kv_heads {
            None => 0,
            Some(heads) => call.number("num_kv_heads", heads, 1)?,
        },
        causal_offset,
        scale: scale.unwrap_or(0.0),
        softcap,
    })
}

/// ``attention(query @ w_q.T + b_q, key @ w_k.T + b_k, value @ w_v.T + b_v) @ w_o.T + b_o``, each head
/// for itself, in float32.
///
/// Parameters
/// ----------
/// query : (B, N, Eq) float32
/// key : (B, M, Ek)
/// value : (B, M, Ev)
/// w_q : (H * D, Eq)
/// w_k : (G * D, Ek)
/// w_v : (G * V, Ev)
/// w_o : (Eo, H * V)
/// num_heads : int
///     H, into which the projected queries are cut.
/// num_kv_heads : int, optional
///     G, a divisor of H; H unless it is given.
/// b_q, b_k, b_v, b_o : (rows of their weight,), optional
/// mask : bool or float32 that broadcasts to (B, H, N, M), optional
///     As in `attention`: False hides a key, which is the opposite of torch's modules.
/// causal, causal_offset, scale, softcap
///     As in `attention`.
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (B, N, Eo) float32
///
/// As ``torch.nn.functional.multi_head_attention_forward`` with arrays (B, N, E). With one head it
/// is textbook attention with d_k = D and d_v = V. `MultiHeadAttention` keeps the weights packed.
///
/// Examples
/// --------
/// Self-attention of two words with d_k = 1, d_v = 2:
///
/// >>> import numpy as np, omma
/// >>> x = np.array([[[1, 0], [0, 1]]], np.float32)
/// >>> w_q, w_k, w_v = [[0, 0]], [[1, 1]], [[1, 0], [0, 3]]
/// >>> omma.multi_head_attention(x, x, x, w_q, w_k, w_v, np.eye(2, dtype=np.float32), num_heads=1)
/// array([[[0.5, 1.5],
///         [0.5, 1.5]]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (query, key, value, w_q, w_k, w_v, w_o, *, num_heads, num_kv_heads=None, b_q=None, b_k=None,
    b_v=None, b_o=None, mask=None, causal=false, causal_offset=0, scale=None, softcap=0.0, out=None, ctx=None))]
pub(crate) fn multi_head_attention<'py>(
    query: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
    w_q: &Bound<'py, PyAny>,
    w_k: &Bound<'py, PyAny>,
    w_v: &Bound<'py, PyAny>,
    w_o: &Bound<'py, PyAny>,
    num_heads: i64,
    num_kv_heads: Option<i64>,
    b_q: Option<&Bound<'py, PyAny>>,
    b_k: Option<&Bound<'py, PyAny>>,
    b_v: Option<&Bound<'py, PyAny>>,
    b_o: Option<&Bound<'py, PyAny>>,
    mask: Option<&Bound<'py, PyAny>>,
    causal: bool,
    causal_offset: i64,
    scale: Option<f32>,
    softcap: f32,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(query.py(), "multi_head_attention", ctx)?;
    let heads = (num_heads, num_kv_heads);
    let params = multi_head(&call, heads, (causal, causal_offset), scale, softcap)?;
    let query = call.input("query", query)?;
    let (key, value) = (call.input("key", key)?, call.input("value", value)?);
    let weights = projections(&call, [w_q, w_k, w_v, w_o], [b_q, b_k, b_v, b_o])?;
    let mask = mask_of(&call, mask)?;
    let out = rows(&call, out, &query, weights[6].as_ref().map_or(0, outputs))?;
    let weights = descriptors(&weights);
    let mask = mask.as_ref().map(Tensor::descriptor);
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        let w = |i: usize| pointer(&weights[i]);
        let (q, k, v) = (query.descriptor(), key.descriptor(), value.descriptor());
        let (mask, out) = (pointer(&mask), &out.descriptor());
        capi::omma_multi_head_attention(
            ctx,
            &params,
            &q,
            &k,
            &v,
            w(0),
            w(1),
            w(2),
            w(3),
            w(4),
            w(5),
            w(6),
            w(7),
            mask,
            out,
        )
    })?;
    Ok(out.into_object())
}

/// The weights and biases in the order of the C ABI.
fn projections<'py>(
    call: &Call<'py>,
    [w_q, w_k, w_v, w_o]: [&Bound<'py, PyAny>; 4],
    [b_q, b_k, b_v, b_o]: [Argument<'_, 'py>; 4],
) -> PyResult<Vec<Option<Tensor<'py>>>> {
    arrays(
        call,
        [
            ("w_q", Some(w_q)),
            ("b_q", b_q),
            ("w_k", Some(w_k)),
            ("b_k", b_k),
            ("w_v", Some(w_v)),
            ("b_v", b_v),
            ("w_o", Some(w_o)),
            ("b_o", b_o),
        ],
    )
}

/// Multi-head attention whose weights are packed once, for the instruction set of ``ctx``.
///
/// The arguments are those of `multi_head_attention`; weights and biases are copied. A plan never
/// changes: any number of threads may run it at once.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> eye = np.eye(2, dtype=np.float32)
/// >>> plan = omma.MultiHeadAttention(0 * eye, eye, eye, eye, num_heads=2)
/// >>> x = [[[1, 0], [0, 1]]]
/// >>> plan.run(x, x, x)
/// array([[[0.5, 0.5],
///         [0.5, 0.5]]], dtype=float32)
#[pyclass(frozen, module = "omma")]
pub(crate) struct MultiHeadAttention {
    plan: Plan<OmmaMultiHeadAttention>,
    outputs: i64,
}

#[pymethods]
impl MultiHeadAttention {
    #[new]
    #[pyo3(signature = (w_q, w_k, w_v, w_o, *, num_heads, num_kv_heads=None, b_q=None, b_k=None, b_v=None, b_o=None,
        causal=false, causal_offset=0, scale=None, softcap=0.0, ctx=None))]
    fn new<'py>(
        w_q: &Bound<'py, PyAny>,
        w_k: &Bound<'py, PyAny>,
        w_v: &Bound<'py, PyAny>,
        w_o: &Bound<'py, PyAny>,
        num_heads: i64,
        num_kv_heads: Option<i64>,
        b_q: Option<&Bound<'py, PyAny>>,
        b_k: Option<&Bound<'py, PyAny>>,
        b_v: Option<&Bound<'py, PyAny>>,
        b_o: Option<&Bound<'py, PyAny>>,
        causal: bool,
        causal_offset: i64,
        scale: Option<f32>,
        softcap: f32,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<MultiHeadAttention> {
        let call = Call::new(w_q.py(), "MultiHeadAttention", ctx)?;
        let heads = (num_heads, num_kv_heads);
        let params = multi_head(&call, heads, (causal, causal_offset), scale, softcap)?;
        let weights = projections(&call, [w_q, w_k, w_v, w_o], [b_q, b_k, b_v, b_o])?;
        let outputs = weights[6].as_ref().map_or(0, outputs);
        let weights = descriptors(&weights);
        // SAFETY: as in `multi_head_attention`; the slot takes the plan, which is destroyed once.
        let plan = unsafe {
            Plan::create(
                &call,
                capi::omma_multi_head_attention_destroy,
                |ctx, slot| {
                    let w = |i: usize| pointer(&weights[i]);
                    capi::omma_multi_head_attention_create(
                        ctx,
                        &params,
                        w(0),
                        w(1),
                        w(2),
                        w(3),
                        w(4),
                        w(5),
                        w(6),
                        w(7),
                        slot,
                    )
                },
            )?
        };
        Ok(MultiHeadAttention { plan, outputs })
    }

    /// The attention of query (B, N, Eq) over key (B, M, Ek) and value (B, M, Ev), plus residual (B, N, Eo);
    /// as `multi_head_attention`. ``out`` may be the residual.
    ///
    /// Examples
    /// --------
    /// >>> import omma
    /// >>> plan = omma.MultiHeadAttention([[1]], [[1]], [[2]], [[3]], b_o=[1], num_heads=1)
    /// >>> plan.run([[[1]]], [[[1]]], [[[1]]], residual=[[[10]]])
    /// array([[[17.]]], dtype=float32)
    #[pyo3(signature = (query, key, value, *, mask=None, residual=None, out=None, ctx=None))]
    fn run<'py>(
        &self,
        query: &Bound<'py, PyAny>,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        mask: Option<&Bound<'py, PyAny>>,
        residual: Option<&Bound<'py, PyAny>>,
        out: Option<&Bound<'py, PyAny>>,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = Call::new(query.py(), "MultiHeadAttention.run", ctx)?;
        let query = call.input("query", query)?;
        let (key, value) = (call.input("key", key)?, call.input("value", value)?);
        let (mask, residual) = (mask_of(&call, mask)?, call.optional("residual", residual)?);
        let out = rows(&call, out, &query, self.outputs)?;
        let mask = mask.as_ref().map(Tensor::descriptor);
        let residual = residual.as_ref().map(Tensor::descriptor);
        let plan = self.plan.pointer();
        // SAFETY: descriptors of memory that lives during the call, and so does the plan.
        call.run(|ctx| unsafe {
            let (q, k, v) = (&query.descriptor(), &key.descriptor(), &value.descriptor());
            let (mask, residual) = (pointer(&mask), pointer(&residual));
            let out = &out.descriptor();
            capi::omma_multi_head_attention_run(ctx, plan, q, k, v, mask, residual, out)
        })?;
        Ok(out.into_object())
    }

    /// The algorithm and the instruction set that the plan uses, for people.
    ///
    /// Examples
    /// --------
    /// >>> import omma
    /// >>> with omma.Context(max_isa="portable") as ctx:
    /// ...     plan = omma.MultiHeadAttention([[1]], [[1]], [[2]], [[3]], num_heads=1, ctx=ctx)
    /// ...     "portable" in plan.describe()
    /// True
    fn describe(&self) -> String {
        // SAFETY: a living plan, and a text of that capacity.
        description(|text, capacity| unsafe {
            capi::omma_multi_head_attention_describe(self.plan.pointer(), text, capacity)
        })
    }

    fn __repr__(&self) -> String {
        format!("<omma.MultiHeadAttention {}>", self.describe())
    }
}
