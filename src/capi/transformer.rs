//! The blocks of a transformer: positions, feed-forward, encoder layer, patches.

use super::activation::{OMMA_ACTIVATION_NONE, OMMA_ACTIVATION_PRELU, activation};
use super::multi_head::{Layer, MaskInput, describe, read_flags, read_heads};
use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::error::{Result, ensure};
use crate::simd::Activation;
use crate::transformer::{
    EncoderLayer, EncoderLayerWeights, FeedForward, PatchEmbedding, TransformerEncoderLayer,
    positional_encoding,
};
use std::ffi::c_char;

/// In `OmmaTransformerEncoderLayerParams::flags`: normalizes what goes into attention and feed-forward,
/// instead of the sums that come out.
pub const OMMA_ENCODER_LAYER_NORM_FIRST: u32 = 1;
/// In `OmmaTransformerEncoderLayerParams::flags`: a row sees itself and those before it.
pub const OMMA_ENCODER_LAYER_CAUSAL: u32 = 2;
/// In `OmmaTransformerEncoderLayerParams::flags`: `eps` is set.
pub const OMMA_ENCODER_LAYER_EPS: u32 = 4;

/// Options of a feed-forward network; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaFeedForwardParams {
    /// `sizeof(OmmaFeedForwardParams)`.
    pub struct_size: u32,
    /// An `OMMA_ACTIVATION_…` other than `OMMA_ACTIVATION_PRELU`, between the two layers; 0 is
    /// `OMMA_ACTIVATION_RELU`.
    pub activation: i32,
    /// The factor of `OMMA_ACTIVATION_LEAKY_RELU`; 0 is 0.01.
    pub negative_slope: f32,
    /// 0.
    pub flags: u32,
}

/// Options of an encoder layer. `num_heads` is required, zero in another field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaTransformerEncoderLayerParams {
    /// `sizeof(OmmaTransformerEncoderLayerParams)`.
    pub struct_size: u32,
    /// `OMMA_ENCODER_LAYER_…`, combined by or.
    pub flags: u32,
    /// Heads that the features are cut into.
    pub num_heads: i32,
    /// As in `OmmaFeedForwardParams`.
    pub activation: i32,
    /// The factor of `OMMA_ACTIVATION_LEAKY_RELU`; 0 is 0.01.
    pub negative_slope: f32,
    /// Added to the variances of the normalizations; 1e-5 unless the flag is set.
    pub eps: f32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaFeedForwardParams {}
// SAFETY: as above.
unsafe impl Params for OmmaTransformerEncoderLayerParams {}

/// A feed-forward network with packed weights; see `omma_feed_forward_create`.
pub struct OmmaFeedForward {
    plan: FeedForward,
}

/// An encoder layer with packed weights; see `omma_transformer_encoder_layer_create`.
pub struct OmmaTransformerEncoderLayer {
    plan: TransformerEncoderLayer,
}

/// A patch embedding with packed weights; see `omma_patch_embedding_create`.
pub struct OmmaPatchEmbedding {
    plan: PatchEmbedding,
}

/// The activation between two layers, where 0 is ReLU.
fn between(op: &str, kind: i32, negative_slope: f32) -> Result<Activation> {
    ensure!(
        kind != OMMA_ACTIVATION_PRELU,
        Unsupported,
        "{op}: activation is OMMA_ACTIVATION_PRELU, which {op} does not have"
    );
    match kind {
        OMMA_ACTIVATION_NONE => Ok(Activation::Relu),
        kind => activation(op, kind, negative_slope),
    }
}

impl OmmaFeedForwardParams {
    fn read(&self, op: &str) -> Result<Activation> {
        read_flags(op, self.flags, 0)?;
        between(op, self.activation, self.negative_slope)
    }
}

impl OmmaTransformerEncoderLayerParams {
    fn read(&self, op: &str) -> Result<EncoderLayer> {
        let known =
            OMMA_ENCODER_LAYER_NORM_FIRST | OMMA_ENCODER_LAYER_CAUSAL | OMMA_ENCODER_LAYER_EPS;
        read_flags(op, self.flags, known)?;
        let has = |flag| self.flags & flag != 0;
        Ok(EncoderLayer {
            num_heads: read_heads(op, "num_heads", self.num_heads)?,
            activation: between(op, self.activation, self.negative_slope)?,
            norm_first: has(OMMA_ENCODER_LAYER_NORM_FIRST),
            causal: has(OMMA_ENCODER_LAYER_CAUSAL),
            eps: match has(OMMA_ENCODER_LAYER_EPS) {
                true => self.eps,
                false => 1e-5,
            },
        })
    }
}

/// Sinusoidal positions, as in "Attention Is All You Need": `output` (length, dim), float32, takes
/// `sin(p / 10000^(2i / dim))` at (p, 2i) and `cos(p / 10000^(2i / dim))` at (p, 2i + 1).
///
/// The last column of an odd `dim` is a sine. Any strides. Right to the rounding of float32 at any
/// length.
///
/// # Safety
/// `output` is NULL or describes valid memory; `ctx` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_positional_encoding(
    ctx: *const OmmaContext,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, mut y) = unsafe {
            let call = Call::new("positional_encoding", ctx)?;
            (call, call.output::<f32>("output", output)?)
        };
        positional_encoding(call.ctx, y.view()?)?;
        y.finish()
    })
}

/// Packs a feed-forward network, `activation(input · w1ᵀ + b1) · w2ᵀ + b2` in float32, for the instruction
/// set of `ctx`: `w1` (hidden, in), `w2` (out, hidden), biases (rows of their weight,) or NULL. The
/// arrays are not needed afterwards.
///
/// A plan is immutable, as that of `omma_multi_head_attention_create`. Destroy it with
/// `omma_feed_forward_destroy`.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid; `plan` is NULL or
/// valid for writing a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_feed_forward_create(
    ctx: *const OmmaContext,
    params: *const OmmaFeedForwardParams,
    w1: *const OmmaTensor,
    b1: *const OmmaTensor,
    w2: *const OmmaTensor,
    b2: *const OmmaTensor,
    plan: *mut *mut OmmaFeedForward,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, slot, p, first, second) = unsafe {
            let call = Call::new("feed_forward", ctx)?;
            (
                call,
                call.out("plan", plan)?,
                call.params(params)?,
                Layer::new(&call, ["w1", "b1"], w1, b1)?,
                Layer::new(&call, ["w2", "b2"], w2, b2)?,
            )
        };
        let activation = p.read(call.op)?;
        let plan = FeedForward::new(call.ctx, &first.view(), &second.view(), activation)?;
        *slot = Box::into_raw(Box::new(OmmaFeedForward { plan }));
        Ok(())
    })
}

/// Runs a plan on `input` (…, in) into `output` (…, out), and adds `residual` (…, out) if it is not
/// NULL.
///
/// Any strides. `output` may be the very array of input or residual; other overlap is an error. Zero-sized
/// dimensions are legal. The bits of the result do not depend on the number of threads. NaN and infinity
/// propagate. The instruction set is the plan's, threads and scratch are those of `ctx`.
///
/// # Safety
/// `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_feed_forward_run(
    ctx: *const OmmaContext,
    plan: *const OmmaFeedForward,
    input: *const OmmaTensor,
    residual: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, plan, x, residual, mut y) = unsafe {
            let call = Call::new("feed_forward", ctx)?;
            (
                call,
                call.required("plan", plan)?,
                call.input::<f32>("input", input)?,
                call.optional::<f32>("residual", residual)?,
                call.output::<f32>("output", output)?,
            )
        };
        let residual = residual.as_ref().map(|residual| residual.view());
        plan.plan
            .run(call.ctx, &x.view(), residual.as_ref(), y.view()?)?;
        y.finish()
    })
}

/// Describes a plan; as `omma_multi_head_attention_describe`.
///
/// # Safety
/// `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_feed_forward_describe(
    plan: *const OmmaFeedForward,
    text: *mut c_char,
    capacity: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { describe(plan.as_ref().map(|p| p.plan.describe()), text, capacity) }
}

/// Frees a plan that no call uses any more. NULL is ignored.
///
/// # Safety
/// `plan` is NULL or comes from `omma_feed_forward_create` and was not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_feed_forward_destroy(plan: *mut OmmaFeedForward) {
    if !plan.is_null() {
        // SAFETY: made by `Box::into_raw`, destroyed once.
        drop(unsafe { Box::from_raw(plan) });
    }
}

/// Packs a layer of a transformer's encoder for the instruction set of `ctx`: torch's
/// `nn.TransformerEncoderLayer(batch_first=True)` in evaluation, with the arrays of its `state_dict` in
/// its order. With E features and F hidden ones: `in_proj_weight` (3E, E), `in_proj_bias` (3E,),
/// `out_proj_weight` (E, E), `out_proj_bias` (E,), `linear1_weight` (F, E), `linear1_bias` (F,),
/// `linear2_weight` (E, F), `linear2_bias` (E,), `norm1_weight`, `norm1_bias`, `norm2_weight`,
/// `norm2_bias` (E,). Biases and the arrays of the normalizations may be NULL. The arrays are not needed
/// afterwards.
///
/// A plan is immutable, as that of `omma_multi_head_attention_create`. Destroy it with
/// `omma_transformer_encoder_layer_destroy`.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid; `plan` is NULL or
/// valid for writing a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_transformer_encoder_layer_create(
    ctx: *const OmmaContext,
    params: *const OmmaTransformerEncoderLayerParams,
    in_proj_weight: *const OmmaTensor,
    in_proj_bias: *const OmmaTensor,
    out_proj_weight: *const OmmaTensor,
    out_proj_bias: *const OmmaTensor,
    linear1_weight: *const OmmaTensor,
    linear1_bias: *const OmmaTensor,
    linear2_weight: *const OmmaTensor,
    linear2_bias: *const OmmaTensor,
    norm1_weight: *const OmmaTensor,
    norm1_bias: *const OmmaTensor,
    norm2_weight: *const OmmaTensor,
    norm2_bias: *const OmmaTensor,
    plan: *mut *mut OmmaTransformerEncoderLayer,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, slot, p, in_proj, out_proj, linear1, linear2, norms) = unsafe {
            let call = Call::new("transformer_encoder_layer", ctx)?;
            let layer = |names, weight, bias| Layer::new(&call, names, weight, bias);
            (
                call,
                call.out("plan", plan)?,
                call.params(params)?,
                layer(
                    ["in_proj_weight", "in_proj_bias"],
                    in_proj_weight,
                    in_proj_bias,
                )?,
                layer(
                    ["out_proj_weight", "out_proj_bias"],
                    out_proj_weight,
                    out_proj_bias,
                )?,
                layer(
                    ["linear1_weight", "linear1_bias"],
                    linear1_weight,
                    linear1_bias,
                )?,
                layer(
                    ["linear2_weight", "linear2_bias"],
                    linear2_weight,
                    linear2_bias,
                )?,
                [
                    call.optional::<f32>("norm1_weight", norm1_weight)?,
                    call.optional::<f32>("norm1_bias", norm1_bias)?,
                    call.optional::<f32>("norm2_weight", norm2_weight)?,
                    call.optional::<f32>("norm2_bias", norm2_bias)?,
                ],
            )
        };
        let norm = |i: usize| norms[i].as_ref().map(|array| array.view());
        let weights = EncoderLayerWeights {
            in_proj: in_proj.view(),
            out_proj: out_proj.view(),
            linear1: linear1.view(),
            linear2: linear2.view(),
            norm1: [norm(0), norm(1)],
            norm2: [norm(2), norm(3)],
        };
        let plan = TransformerEncoderLayer::new(call.ctx, &p.read(call.op)?, &weights)?;
        *slot = Box::into_raw(Box::new(OmmaTransformerEncoderLayer { plan }));
        Ok(())
    })
}

/// Runs a plan on `input` (B, N, E) into `output` (B, N, E), in float32. With
/// `OMMA_ENCODER_LAYER_NORM_FIRST` s = input + attention(norm1(input)) and
/// output = s + feed_forward(norm2(s)), else s = norm1(input + attention(input)) and
/// output = norm2(s + feed_forward(s)).
///
/// `mask` is as for `omma_attention`: NULL, booleans (false hides a key) or float32 (added), broadcasting to
/// (B, H, N, N). Torch's boolean `src_mask` (N, N) is the opposite of that, and so is its
/// `src_key_padding_mask` (B, N), which is (B, 1, 1, N) here.
///
/// Any strides. `output` may be the very array of input; other overlap is an error. Zero-sized dimensions
/// are legal. The bits of the result do not depend on the number of threads, and scratch is not a
/// function of N times N. NaN makes the rows NaN that see it. Products run on the plan's instruction set,
/// attention and normalization on that of `ctx`, which also lends threads and scratch.
///
/// # Safety
/// `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_transformer_encoder_layer_run(
    ctx: *const OmmaContext,
    plan: *const OmmaTransformerEncoderLayer,
    input: *const OmmaTensor,
    mask: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, plan, x, mask, mut y) = unsafe {
            let call = Call::new("transformer_encoder_layer", ctx)?;
            (
                call,
                call.required("plan", plan)?,
                call.input::<f32>("input", input)?,
                MaskInput::new(&call, mask)?,
                call.output::<f32>("output", output)?,
            )
        };
        plan.plan.run(call.ctx, &x.view(), mask.view(), y.view()?)?;
        y.finish()
    })
}

/// Describes a plan; as `omma_multi_head_attention_describe`.
///
/// # Safety
/// `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_transformer_encoder_layer_describe(
    plan: *const OmmaTransformerEncoderLayer,
    text: *mut c_char,
    capacity: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { describe(plan.as_ref().map(|p| p.plan.describe()), text, capacity) }
}

/// Frees a plan that no call uses any more. NULL is ignored.
///
/// # Safety
/// `plan` is NULL or comes from `omma_transformer_encoder_layer_create` and was not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_transformer_encoder_layer_destroy(
    plan: *mut OmmaTransformerEncoderLayer,
) {
    if !plan.is_null() {
        // SAFETY: made by `Box::into_raw`, destroyed once.
        drop(unsafe { Box::from_raw(plan) });
    }
}

/// Packs the first layer of a vision transformer for the instruction set of `ctx`: a convolution whose stride
/// is its window, flattened to rows, in float32. `weight` (E, C, PH, PW); `bias` (E,), `class_token`
/// (E,) and `position_embedding` (rows, E) may be NULL. With a class token the first row of each image
/// is that. Positions are added to all rows, so that an image must have as many. The arrays are not
/// needed afterwards.
///
/// A plan is immutable, as that of `omma_multi_head_attention_create`. Destroy it with
/// `omma_patch_embedding_destroy`.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` is NULL or valid; `plan` is NULL or valid for
/// writing a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_patch_embedding_create(
    ctx: *const OmmaContext,
    weight: *const OmmaTensor,
    bias: *const OmmaTensor,
    class_token: *const OmmaTensor,
    position_embedding: *const OmmaTensor,
    plan: *mut *mut OmmaPatchEmbedding,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, slot, weight, others) = unsafe {
            let call = Call::new("patch_embedding", ctx)?;
            (
                call,
                call.out("plan", plan)?,
                call.input::<f32>("weight", weight)?,
                [
                    call.optional::<f32>("bias", bias)?,
                    call.optional::<f32>("class_token", class_token)?,
                    call.optional::<f32>("position_embedding", position_embedding)?,
                ],
            )
        };
        let [bias, token, positions] =
            (others.each_ref()).map(|array| array.as_ref().map(|array| array.view()));
        let plan = PatchEmbedding::new(
            call.ctx,
            &weight.view(),
            bias.as_ref(),
            token.as_ref(),
            positions.as_ref(),
        )?;
        *slot = Box::into_raw(Box::new(OmmaPatchEmbedding { plan }));
        Ok(())
    })
}

/// Runs a plan on images `input` (B, C, H, W) into `output` (B, rows, E): the class token if there is one,
/// then (H / PH) * (W / PW) patches, line by line. What is left of an image beyond whole
/// patches is ignored, as a convolution does.
///
/// Any strides: images (B, H, W, C) are passed with their axes permuted. `output` must not overlap `input`.
/// Zero-sized dimensions are legal. The bits of the result do not depend on the number of threads. NaN
/// and infinity propagate within their patch. The instruction set is the plan's, threads and scratch
/// are those of `ctx`.
///
/// # Safety
/// `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_patch_embedding_run(
    ctx: *const OmmaContext,
    plan: *const OmmaPatchEmbedding,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, plan, x, mut y) = unsafe {
            let call = Call::new("patch_embedding", ctx)?;
            (
                call,
                call.required("plan", plan)?,
                call.input::<f32>("input", input)?,
                call.output::<f32>("output", output)?,
            )
        };
        plan.plan.run(call.ctx, &x.view(), y.view()?)?;
        y.finish()
    })
}

/// Describes a plan; as `omma_multi_head_attention_describe`.
///
/// # Safety
/// `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_patch_embedding_describe(
    plan: *const OmmaPatchEmbedding,
    text: *mut c_char,
    capacity: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { describe(plan.as_ref().map(|p| p.plan.describe()), text, capacity) }
}

/// Frees a plan that no call uses any more. NULL is ignored.
///
/// # Safety
/// `plan` is NULL or comes from `omma_patch_embedding_create` and was not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_patch_embedding_destroy(plan: *mut OmmaPatchEmbedding) {
    if !plan.is_null() {
        // SAFETY: made by `Box::into_raw`, destroyed once.
        drop(unsafe { Box::from_raw(plan) });
    }
}
