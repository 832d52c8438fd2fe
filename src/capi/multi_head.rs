//! Multi-head attention, and how the blocks of a transformer read their arguments.

use super::call::Input;
use super::{
    Call, OMMA_ATTENTION_CAUSAL, OMMA_ATTENTION_SCALE, OMMA_DTYPE_BOOL, OMMA_DTYPE_FLOAT,
    OmmaContext, OmmaStatus, OmmaTensor, Params, guard,
};
use crate::attention::{Attention, Mask};
use crate::error::{Result, bail, ensure};
use crate::tensor::{Bool, DType};
use crate::transformer::{
    Affine, MultiHead, MultiHeadAttention, MultiHeadWeights, multi_head_attention,
};
use std::ffi::c_char;

/// Options of multi-head attention. `num_heads` is required, zero in another field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaMultiHeadAttentionParams {
    /// `sizeof(OmmaMultiHeadAttentionParams)`.
    pub struct_size: u32,
    /// `OMMA_ATTENTION_…`, combined by or.
    pub flags: u32,
    /// Heads that the rows of queries are cut into.
    pub num_heads: i32,
    /// Heads that the rows of keys and values are cut into, a divisor of `num_heads`; 0 is `num_heads`.
    pub num_kv_heads: i32,
    /// As in `OmmaAttentionParams`.
    pub causal_offset: i64,
    /// As in `OmmaAttentionParams`.
    pub scale: f32,
    /// As in `OmmaAttentionParams`.
    pub softcap: f32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaMultiHeadAttentionParams {}

/// Multi-head attention with packed weights; see `omma_multi_head_attention_create`.
pub struct OmmaMultiHeadAttention {
    plan: MultiHeadAttention,
}

pub(super) fn read_flags(op: &str, flags: u32, known: u32) -> Result<()> {
    ensure!(
        flags & !known == 0,
        InvalidArgument,
        "{op}: flags is {flags:#x}, known is {known:#x}"
    );
    Ok(())
}

pub(super) fn read_heads(op: &str, name: &str, heads: i32) -> Result<usize> {
    ensure!(
        heads >= 1,
        InvalidArgument,
        "{op}: {name} is {heads}, the least is 1"
    );
    Ok(heads as usize)
}

impl OmmaMultiHeadAttentionParams {
    fn read(&self, op: &str) -> Result<MultiHead> {
        read_flags(op, self.flags, OMMA_ATTENTION_CAUSAL | OMMA_ATTENTION_SCALE)?;
        let has = |flag| self.flags & flag != 0;
        let num_heads = read_heads(op, "num_heads", self.num_heads)?;
        Ok(MultiHead {
            num_heads,
            num_kv_heads: match self.num_kv_heads {
                0 => num_heads,
                heads => read_heads(op, "num_kv_heads", heads)?,
            },
            attention: Attention {
                scale: has(OMMA_ATTENTION_SCALE).then_some(self.scale),
                causal: has(OMMA_ATTENTION_CAUSAL).then_some(self.causal_offset),
                softcap: (self.softcap != 0.0).then_some(self.softcap),
            },
        })
    }
}

/// A weight and its bias.
pub(super) struct Layer<'c> {
    weight: Input<'c, f32>,
    bias: Option<Input<'c, f32>>,
}

impl<'c> Layer<'c> {
    /// # Safety
    /// As `Call::input`.
    pub(super) unsafe fn new(
        call: &Call<'c>,
        names: [&str; 2],
        weight: *const OmmaTensor,
        bias: *const OmmaTensor,
    ) -> Result<Layer<'c>> {
        // SAFETY: the caller's promise.
        unsafe {
            Ok(Layer {
                weight: call.input::<f32>(names[0], weight)?,
                bias: call.optional::<f32>(names[1], bias)?,
            })
        }
    }
    pub(super) fn view(&self) -> Affine<'_> {
        Affine {
            weight: self.weight.view(),
            bias: self.bias.as_ref().map(|bias| bias.view()),
        }
    }
}

/// A mask of booleans or floats, or none.
pub(super) enum MaskInput<'c> {
    None,
    Select(Input<'c, Bool>),
    Add(Input<'c, f32>),
}

impl<'c> MaskInput<'c> {
    /// # Safety
    /// As `Call::input`.
    pub(super) unsafe fn new(call: &Call<'c>, mask: *const OmmaTensor) -> Result<MaskInput<'c>> {
        if mask.is_null() {
            return Ok(MaskInput::None);
        }
        // SAFETY: the caller's promise.
        unsafe {
            Ok(match call.dtype("mask", mask)? {
                DType::Bool => MaskInput::Select(call.input::<Bool>("mask", mask)?),
                DType::F32 => MaskInput::Add(call.input::<f32>("mask", mask)?),
                other => bail!(
                    InvalidArgument,
                    "{}: mask is {other}, expected bool (code {OMMA_DTYPE_BOOL}) or float32 \
                     (code {OMMA_DTYPE_FLOAT})",
                    call.op
                ),
            })
        }
    }
    pub(super) fn view(&self) -> Option<Mask<'_>> {
        match self {
            MaskInput::None => None,
            MaskInput::Select(mask) => Some(Mask::Select(mask.view())),
            MaskInput::Add(mask) => Some(Mask::Add(mask.view())),
        }
    }
}

/// Writes words and a terminating zero, at most `capacity` bytes.
///
/// # Safety
/// `text` is NULL or valid for writing `capacity` bytes.
pub(super) unsafe fn describe(words: Option<String>, text: *mut c_char, capacity: usize) {
    let Some(words) = words else {
        return;
    };
    if text.is_null() || capacity == 0 {
        return;
    }
    let count = words.len().min(capacity - 1);
    // SAFETY: `count` bytes and the zero fit the capacity that the caller vouches for.
    unsafe {
        std::ptr::copy_nonoverlapping(words.as_ptr(), text.cast(), count);
        *text.add(count) = 0;
    }
}

/// Multi-head attention in float32, as torch's `multi_head_attention_forward` with arrays (B, N, E):
/// `output = attention(query · w_qᵀ + b_q, key · w_kᵀ + b_k, value · w_vᵀ + b_v) · w_oᵀ + b_o`, where
/// attention works on each of `num_heads` equal parts of the projected rows.
///
/// `query` (B, N, Eq), `key` (B, M, Ek), `value` (B, M, Ev), `output` (B, N, Eo). With H heads of
/// queries and G of keys: `w_q` (H * D, Eq), `w_k` (G * D, Ek), `w_v` (G * V, Ev), `w_o` (Eo, H * V);
/// biases (rows of their weight,) or NULL. One head is textbook attention with
/// D = d_k and V = d_v. `mask` is as for `omma_attention`: NULL, booleans (false hides a key) or
/// float32 (added), broadcasting to (B, H, N, M). Torch's boolean masks say the opposite.
///
/// Any strides. `output` may be the very array of query, key or value; other overlap is an error. A row
/// that sees no key is `b_o`. Zero-sized dimensions are legal. The bits of the result do not depend on
/// the number of threads, and scratch is not a function of N times M.
///
/// A program that uses the same weights again is faster with `omma_multi_head_attention_create`.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_multi_head_attention(
    ctx: *const OmmaContext,
    params: *const OmmaMultiHeadAttentionParams,
    query: *const OmmaTensor,
    key: *const OmmaTensor,
    value: *const OmmaTensor,
    w_q: *const OmmaTensor,
    b_q: *const OmmaTensor,
    w_k: *const OmmaTensor,
    b_k: *const OmmaTensor,
    w_v: *const OmmaTensor,
    b_v: *const OmmaTensor,
    w_o: *const OmmaTensor,
    b_o: *const OmmaTensor,
    mask: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, [q, k, v], layers, mask, mut y) = unsafe {
            let call = Call::new("multi_head_attention", ctx)?;
            (
                call,
                call.params(params)?,
                [
                    call.input::<f32>("query", query)?,
                    call.input::<f32>("key", key)?,
                    call.input::<f32>("value", value)?,
                ],
                [
                    Layer::new(&call, ["w_q", "b_q"], w_q, b_q)?,
                    Layer::new(&call, ["w_k", "b_k"], w_k, b_k)?,
                    Layer::new(&call, ["w_v", "b_v"], w_v, b_v)?,
                    Layer::new(&call, ["w_o", "b_o"], w_o, b_o)?,
                ],
                MaskInput::new(&call, mask)?,
                call.output::<f32>("output", output)?,
            )
        };
        let weights = multi_head_weights(&layers);
        multi_head_attention(
            call.ctx,
            &p.read(call.op)?,
            &weights,
            &q.view(),
            &k.view(),
            &v.view(),
            mask.view(),
            y.view()?,
        )?;
        y.finish()
    })
}

fn multi_head_weights<'a>(layers: &'a [Layer<'_>; 4]) -> MultiHeadWeights<'a> {
    let [q, k, v, o] = layers.each_ref().map(|layer| layer.view());
    MultiHeadWeights { q, k, v, o }
}

/// Packs the weights of multi-head attention for the instruction set of `ctx`: a plan that runs any number
/// of times. Arguments as for `omma_multi_head_attention`; the arrays are not needed afterwards.
///
/// A plan is immutable: any number of threads may run it at once, with a context they share or one
/// each. It does not need the context that made it, but its memory comes from that context's
/// allocator. Destroy it with `omma_multi_head_attention_destroy`.
///
/// # Safety
/// As for `omma_multi_head_attention`; `plan` is NULL or valid for writing a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_multi_head_attention_create(
    ctx: *const OmmaContext,
    params: *const OmmaMultiHeadAttentionParams,
    w_q: *const OmmaTensor,
    b_q: *const OmmaTensor,
    w_k: *const OmmaTensor,
    b_k: *const OmmaTensor,
    w_v: *const OmmaTensor,
    b_v: *const OmmaTensor,
    w_o: *const OmmaTensor,
    b_o: *const OmmaTensor,
    plan: *mut *mut OmmaMultiHeadAttention,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, slot, p, layers) = unsafe {
            let call = Call::new("multi_head_attention", ctx)?;
            (
                call,
                call.out("plan", plan)?,
                call.params(params)?,
                [
                    Layer::new(&call, ["w_q", "b_q"], w_q, b_q)?,
                    Layer::new(&call, ["w_k", "b_k"], w_k, b_k)?,
                    Layer::new(&call, ["w_v", "b_v"], w_v, b_v)?,
                    Layer::new(&call, ["w_o", "b_o"], w_o, b_o)?,
                ],
            )
        };
        let weights = multi_head_weights(&layers);
        let plan = MultiHeadAttention::new(call.ctx, &p.read(call.op)?, &weights)?;
        *slot = Box::into_raw(Box::new(OmmaMultiHeadAttention { plan }));
        Ok(())
    })
}

/// Runs a plan; as `omma_multi_head_attention`. `residual` (B, N, Eo), if not NULL, is added to the result, and
/// `output` may be its very array. Products run on the plan's instruction set, attention on that of
/// `ctx`, which also lends threads and scratch.
///
/// # Safety
/// `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_multi_head_attention_run(
    ctx: *const OmmaContext,
    plan: *const OmmaMultiHeadAttention,
    query: *const OmmaTensor,
    key: *const OmmaTensor,
    value: *const OmmaTensor,
    mask: *const OmmaTensor,
    residual: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, plan, [q, k, v], mask, residual, mut y) = unsafe {
            let call = Call::new("multi_head_attention", ctx)?;
            (
                call,
                call.required("plan", plan)?,
                [
                    call.input::<f32>("query", query)?,
                    call.input::<f32>("key", key)?,
                    call.input::<f32>("value", value)?,
                ],
                MaskInput::new(&call, mask)?,
                call.optional::<f32>("residual", residual)?,
                call.output::<f32>("output", output)?,
            )
        };
        let residual = residual.as_ref().map(|residual| residual.view());
        plan.plan.run(
            call.ctx,
            &q.view(),
            &k.view(),
            &v.view(),
            mask.view(),
            residual.as_ref(),
            y.view()?,
        )?;
        y.finish()
    })
}

/// Writes which algorithm and instruction set a plan uses, for people, to `text`: at most
/// `capacity` bytes, the terminating zero included. Does nothing when `plan` or `text` is NULL.
///
/// # Safety
/// `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_multi_head_attention_describe(
    plan: *const OmmaMultiHeadAttention,
    text: *mut c_char,
    capacity: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { describe(plan.as_ref().map(|p| p.plan.describe()), text, capacity) }
}

/// Frees a plan that no call uses any more. NULL is ignored.
///
/// # Safety
/// `plan` is NULL or comes from `omma_multi_head_attention_create` and was not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_multi_head_attention_destroy(plan: *mut OmmaMultiHeadAttention) {
    if !plan.is_null() {
        // SAFETY: made by `Box::into_raw`, destroyed once.
        drop(unsafe { Box::from_raw(plan) });
    }
}
