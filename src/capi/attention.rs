//! Attention.

use super::{
    Call, OMMA_DTYPE_BOOL, OMMA_DTYPE_FLOAT, OmmaContext, OmmaStatus, OmmaTensor, Params, guard,
};
use crate::attention::{Attention, Mask, attention};
use crate::error::{Result, bail, ensure};
use crate::tensor::{Bool, DType};

/// In `OmmaAttentionParams::flags`: a query sees the keys up to its own place plus `causal_offset`.
pub const OMMA_ATTENTION_CAUSAL: u32 = 1;
/// In `OmmaAttentionParams::flags`: `scale` is set.
pub const OMMA_ATTENTION_SCALE: u32 = 2;

/// Options of `omma_attention`; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaAttentionParams {
    /// `sizeof(OmmaAttentionParams)`.
    pub struct_size: u32,
    /// `OMMA_ATTENTION_…`, combined by or.
    pub flags: u32,
    /// With `OMMA_ATTENTION_CAUSAL` query i sees key j if j <= i + `causal_offset`. 0 aligns the
    /// first query with the first key; with the number of keys that a cache held before, new
    /// queries are aligned with the new keys at its end. May be negative.
    pub causal_offset: i64,
    /// The factor of the products of queries and keys; 1 / sqrt(D) unless the flag is set.
    pub scale: f32,
    /// c > 0 makes a logit x to c * tanh(x / c), before the mask; 0 does not.
    pub softcap: f32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaAttentionParams {}

impl OmmaAttentionParams {
    fn read(&self, op: &str) -> Result<Attention> {
        let known = OMMA_ATTENTION_CAUSAL | OMMA_ATTENTION_SCALE;
        ensure!(
            self.flags & !known == 0,
            InvalidArgument,
            "{op}: flags is {:#x}, known is {known:#x}",
            self.flags
        );
        let causal = self.flags & OMMA_ATTENTION_CAUSAL != 0;
        let scaled = self.flags & OMMA_ATTENTION_SCALE != 0;
        Ok(Attention {
            scale: scaled.then_some(self.scale),
            causal: causal.then_some(self.causal_offset),
            softcap: (self.softcap != 0.0).then_some(self.softcap),
        })
    }
}

/// `output = softmax(scale * q · kᵀ + mask) · v` in float32, as torch's
/// `scaled_dot_product_attention`, without the matrix of logits.
///
/// `q` (B, H, N, D), `k` (B, G, M, D), `v` (B, G, M, E), `output` (B, H, N, E). G divides H:
/// each key head serves H / G neighbouring query heads (grouped-query attention; one key
/// head is multi-query attention). `mask`, NULL or of at most four dimensions that are aligned at the
/// right with (B, H, N, M) and of that size or 1, is of booleans, where false hides a
/// key, or of float32, which is added to the logits and hides a key where it is -inf. `log_sum_exp`
/// (B, H, N), if not NULL, takes the logarithm of the sum of the exponentials of each row.
///
/// Any strides: arrays that lie as (B, N, H, D) are passed with their strides, at no cost. The outputs
/// must not overlap anything. Zero-sized dimensions are legal. A row that sees no key is 0 and its
/// logarithm -inf. A hidden key and its value have no influence, be they infinite or NaN; a NaN
/// in what a row sees makes the row NaN. The bits of the result do not depend on the number of
/// threads, and scratch is not a function of N times M.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_attention(
    ctx: *const OmmaContext,
    params: *const OmmaAttentionParams,
    q: *const OmmaTensor,
    k: *const OmmaTensor,
    v: *const OmmaTensor,
    mask: *const OmmaTensor,
    output: *const OmmaTensor,
    log_sum_exp: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, q, k, v) = unsafe {
            let call = Call::new("attention", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("q", q)?,
                call.input::<f32>("k", k)?,
                call.input::<f32>("v", v)?,
            )
        };
        // SAFETY: as above.
        let (select, add) = unsafe {
            match mask.is_null() {
                true => (None, None),
                false => match call.dtype("mask", mask)? {
                    DType::Bool => (Some(call.input::<Bool>("mask", mask)?), None),
                    DType::F32 => (None, Some(call.input::<f32>("mask", mask)?)),
                    other => bail!(
                        InvalidArgument,
                        "attention: mask is {other}, expected bool (code {OMMA_DTYPE_BOOL}) or float32 \
                         (code {OMMA_DTYPE_FLOAT})"
                    ),
                },
            }
        };
        // SAFETY: as above.
        let (mut y, mut log) = unsafe {
            (
                call.output::<f32>("output", output)?,
                call.optional_output::<f32>("log_sum_exp", log_sum_exp)?,
            )
        };
        let options = p.read(call.op)?;
        let mask = match (&select, &add) {
            (Some(select), _) => Some(Mask::Select(select.view())),
            (_, Some(add)) => Some(Mask::Add(add.view())),
            _ => None,
        };
        let to = log.as_mut().map(|log| log.view()).transpose()?;
        attention(
            call.ctx,
            &options,
            &q.view(),
            &k.view(),
            &v.view(),
            mask,
            y.view()?,
            to,
        )?;
        y.finish()?;
        log.map_or(Ok(()), |log| log.finish())
    })
}
