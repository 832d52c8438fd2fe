//! Activations and softmax.

use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::error::{Result, ensure};
use crate::nn;
use crate::runtime::Context;
use crate::tensor::{View, ViewMut};

/// In `OmmaLeakyReluParams::flags`: `negative_slope` is set.
pub const OMMA_LEAKY_RELU_NEGATIVE_SLOPE: u32 = 1;
/// In `OmmaPreluParams::flags`: `axis` is set.
pub const OMMA_PRELU_AXIS: u32 = 1;
/// In `OmmaSoftmaxParams::flags`: `axis` is set.
pub const OMMA_SOFTMAX_AXIS: u32 = 1;

/// Options of `omma_leaky_relu`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaLeakyReluParams {
    /// `sizeof(OmmaLeakyReluParams)`.
    pub struct_size: u32,
    /// `OMMA_LEAKY_RELU_NEGATIVE_SLOPE` or 0.
    pub flags: u32,
    /// The factor of negative values; 0.01 unless the flag is set.
    pub negative_slope: f32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaLeakyReluParams {}

/// Options of `omma_prelu`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaPreluParams {
    /// `sizeof(OmmaPreluParams)`.
    pub struct_size: u32,
    /// `OMMA_PRELU_AXIS` or 0.
    pub flags: u32,
    /// The axis of the channels, negative from the end; 1 unless the flag is set.
    pub axis: i32,
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaPreluParams {}

/// Options of `omma_softmax` and `omma_log_softmax`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaSoftmaxParams {
    /// `sizeof(OmmaSoftmaxParams)`.
    pub struct_size: u32,
    /// `OMMA_SOFTMAX_AXIS` or 0.
    pub flags: u32,
    /// The axis to normalize along, negative from the end; -1 unless the flag is set.
    pub axis: i32,
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaSoftmaxParams {}

/// `value` if the flag is set, else `default`.
fn flagged<T>(op: &str, flags: u32, known: u32, value: T, default: T) -> Result<T> {
    ensure!(
        flags & !known == 0,
        InvalidArgument,
        "{op}: flags is {flags:#x}, known is {known:#x}"
    );
    Ok(if flags & known != 0 { value } else { default })
}

/// Reads the two tensors of an elementwise operator and applies it.
///
/// # Safety
/// The pointers are NULL or valid, and so is the memory that the tensors describe.
unsafe fn elementwise(
    call: Call<'_>,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
    apply: impl FnOnce(&Context, View<'_, f32>, ViewMut<'_, f32>) -> Result<()>,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let (x, mut out) = unsafe {
        (
            call.input::<f32>("input", input)?,
            call.output::<f32>("output", output)?,
        )
    };
    apply(call.ctx, x.view(), out.view()?)?;
    out.finish()
}

/// `output = max(x, 0)`, element by element, in float32.
///
/// Any shape, any strides; `output` has the shape of `input` and may be the very same memory
/// (same address and strides); any other overlap is an error. NaN gives NaN.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_relu(
    ctx: *const OmmaContext,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        unsafe { elementwise(Call::new("relu", ctx)?, input, output, nn::relu) }
    })
}

/// `output = min(max(x, 0), 6)`, element by element, in float32.
///
/// Any shape, any strides; `output` has the shape of `input` and may be the very same memory
/// (same address and strides); any other overlap is an error. NaN gives NaN.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_relu6(
    ctx: *const OmmaContext,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        unsafe { elementwise(Call::new("relu6", ctx)?, input, output, nn::relu6) }
    })
}

/// `output = 1 / (1 + exp(-x))`, element by element, in float32.
///
/// Any shape, any strides; `output` has the shape of `input` and may be the very same memory
/// (same address and strides); any other overlap is an error. NaN gives NaN.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_sigmoid(
    ctx: *const OmmaContext,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        unsafe { elementwise(Call::new("sigmoid", ctx)?, input, output, nn::sigmoid) }
    })
}

/// `output = tanh(x)`, element by element, in float32.
///
/// Any shape, any strides; `output` has the shape of `input` and may be the very same memory
/// (same address and strides); any other overlap is an error. NaN gives NaN.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_tanh(
    ctx: *const OmmaContext,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        unsafe { elementwise(Call::new("tanh", ctx)?, input, output, nn::tanh) }
    })
}

/// `output = x * sigmoid(x)`, element by element, in float32.
///
/// Any shape, any strides; `output` has the shape of `input` and may be the very same memory
/// (same address and strides); any other overlap is an error. NaN gives NaN. At -inf it is NaN, as in torch.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_silu(
    ctx: *const OmmaContext,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        unsafe { elementwise(Call::new("silu", ctx)?, input, output, nn::silu) }
    })
}

/// `output = x * relu6(x + 3) / 6`, element by element, in float32.
///
/// Any shape, any strides; `output` has the shape of `input` and may be the very same memory
/// (same address and strides); any other overlap is an error. NaN gives NaN. At -inf it is NaN, as in torch.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_hardswish(
    ctx: *const OmmaContext,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        unsafe { elementwise(Call::new("hardswish", ctx)?, input, output, nn::hardswish) }
    })
}

/// `output = x / 2 * (1 + erf(x / sqrt(2)))`, element by element, in float32.
///
/// Any shape, any strides; `output` has the shape of `input` and may be the very same memory
/// (same address and strides); any other overlap is an error. NaN gives NaN. At -inf it is NaN, as in torch.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_gelu(
    ctx: *const OmmaContext,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        unsafe { elementwise(Call::new("gelu", ctx)?, input, output, nn::gelu) }
    })
}

/// `output = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`, element by element, in float32.
///
/// Any shape, any strides; `output` has the shape of `input` and may be the very same memory
/// (same address and strides); any other overlap is an error. NaN gives NaN. At -inf it is NaN, as in torch.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_gelu_tanh(
    ctx: *const OmmaContext,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        unsafe { elementwise(Call::new("gelu_tanh", ctx)?, input, output, nn::gelu_tanh) }
    })
}

/// `output = x` if positive, else `negative_slope * x`, element by element, in float32.
///
/// Any shape, any strides; `output` has the shape of `input` and may be the very same memory
/// (same address and strides); any other overlap is an error. NaN gives NaN.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_leaky_relu(
    ctx: *const OmmaContext,
    params: *const OmmaLeakyReluParams,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p) = unsafe {
            let call = Call::new("leaky_relu", ctx)?;
            (call, call.params(params)?)
        };
        let known = OMMA_LEAKY_RELU_NEGATIVE_SLOPE;
        let slope = flagged(call.op, p.flags, known, p.negative_slope, 0.01)?;
        // SAFETY: as above.
        unsafe {
            elementwise(call, input, output, |ctx, x, out| {
                nn::leaky_relu(ctx, slope, x, out)
            })
        }
    })
}

/// `output = x` if positive, else `slope * x`, element by element, in float32.
///
/// `slope` has shape (1,); or (C,), C being the size of `params->axis` of `input`; or as many
/// dimensions as `input`, each of its size or 1, to be repeated along it.
///
/// Any shape, any strides; `output` has the shape of `input` and may be the very same memory
/// (same address and strides); any other overlap is an error. NaN gives NaN.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_prelu(
    ctx: *const OmmaContext,
    params: *const OmmaPreluParams,
    input: *const OmmaTensor,
    slope: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, x, slope, mut out) = unsafe {
            let call = Call::new("prelu", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("input", input)?,
                call.input::<f32>("slope", slope)?,
                call.output::<f32>("output", output)?,
            )
        };
        let axis = flagged(call.op, p.flags, OMMA_PRELU_AXIS, p.axis, 1)? as isize;
        nn::prelu(call.ctx, axis, x.view(), slope.view(), out.view()?)?;
        out.finish()
    })
}

/// `output = exp(x - max) / sum(exp(x - max))` with maximum and sum along one axis, in float32.
///
/// Any shape, any strides; `output` has the shape of `input` and may be the very same memory
/// (same address and strides); any other overlap is an error. As in torch, a NaN or +inf in a row, or
/// nothing but -inf, makes the row NaN. The bits of the result do not depend on the number of threads.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_softmax(
    ctx: *const OmmaContext,
    params: *const OmmaSoftmaxParams,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p) = unsafe {
            let call = Call::new("softmax", ctx)?;
            (call, call.params(params)?)
        };
        let axis = flagged(call.op, p.flags, OMMA_SOFTMAX_AXIS, p.axis, -1)? as isize;
        // SAFETY: as above.
        unsafe {
            elementwise(call, input, output, |ctx, x, out| {
                nn::softmax(ctx, axis, x, out)
            })
        }
    })
}

/// `output = x - max - log(sum(exp(x - max)))` with maximum and sum along one axis, in float32.
///
/// Shapes, strides, overlap and numbers that are not finite: as `omma_softmax`.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_log_softmax(
    ctx: *const OmmaContext,
    params: *const OmmaSoftmaxParams,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p) = unsafe {
            let call = Call::new("log_softmax", ctx)?;
            (call, call.params(params)?)
        };
        let axis = flagged(call.op, p.flags, OMMA_SOFTMAX_AXIS, p.axis, -1)? as isize;
        // SAFETY: as above.
        unsafe {
            elementwise(call, input, output, |ctx, x, out| {
                nn::log_softmax(ctx, axis, x, out)
            })
        }
    })
}
