//! Convolution: one call, or a plan that keeps the packed weight.

use super::activation::{OMMA_ACTIVATION_PRELU, activation};
use super::call::{Call, Params};
use super::context::OmmaContext;
use super::layout::layout;
use super::status::{OmmaStatus, guard};
use super::tensor::OmmaTensor;
use crate::conv::{Algorithm, Conv2d, Conv2dParams, conv2d};
use crate::error::{Result, bail, ensure};
use crate::tensor::View;
use std::ffi::c_char;

/// The fastest for the shape.
pub const OMMA_CONV_AUTO: i32 = 0;
/// A matrix product that gathers the receptive fields while it runs.
pub const OMMA_CONV_IMPLICIT_GEMM: i32 = 1;
/// Register tiles that read the image itself, or a padded piece of it.
pub const OMMA_CONV_DIRECT: i32 = 2;
/// Tiles of 4 x 4 outputs with a fourth of the multiplications, for windows of 3 x 3 with stride and
/// dilation 1 (others: `OMMA_UNSUPPORTED`). Its rounding error is two to three times that of a plain sum,
/// and a NaN or infinity spreads over the tiles that see it. `OMMA_CONV_AUTO` includes it; the two
/// above do without.
pub const OMMA_CONV_WINOGRAD: i32 = 3;

/// Options of a convolution; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaConv2dParams {
    /// `sizeof(OmmaConv2dParams)`.
    pub struct_size: u32,
    /// An `OMMA_LAYOUT_…`: the order of axes of all arrays.
    pub layout: i32,
    /// Steps of the window, vertical and horizontal; 0 is 1.
    pub stride: [i32; 2],
    /// Zeros around the image: top, bottom, left, right.
    pub padding: [i32; 4],
    /// Distance of the window's taps, vertical and horizontal; 0 is 1.
    pub dilation: [i32; 2],
    /// Groups of channels that do not see one another; 0 is 1.
    pub groups: i32,
    /// An `OMMA_ACTIVATION_…`, applied after bias and residual.
    pub activation: i32,
    /// The factor of `OMMA_ACTIVATION_LEAKY_RELU`; 0 is 0.01.
    pub negative_slope: f32,
    /// An `OMMA_CONV_…`: how to compute.
    pub algorithm: i32,
    /// The factors of `OMMA_ACTIVATION_PRELU`, of shape (1,) or (O,); else NULL.
    pub activation_slope: *const OmmaTensor,
}

// SAFETY: repr(C), struct_size first, numbers and a pointer.
unsafe impl Params for OmmaConv2dParams {}

/// A convolution whose weight is packed; see `omma_conv2d_create`.
pub struct OmmaConv2d {
    plan: Conv2d,
}

impl OmmaConv2dParams {
    fn read<'a>(&self, op: &str, slope: Option<View<'a, f32>>) -> Result<Conv2dParams<'a>> {
        read_prelu(op, self.activation, slope.is_some())?;
        Ok(Conv2dParams {
            stride: read_pair(op, "stride", self.stride)?,
            padding: read_padding(op, self.padding)?,
            dilation: read_pair(op, "dilation", self.dilation)?,
            groups: read_groups(op, self.groups)?,
            activation: activation(op, self.activation, self.negative_slope)?,
            prelu_slope: slope,
            layout: layout(op, self.layout)?,
            algorithm: match self.algorithm {
                OMMA_CONV_AUTO => Algorithm::Auto,
                OMMA_CONV_IMPLICIT_GEMM => Algorithm::ImplicitGemm,
                OMMA_CONV_DIRECT => Algorithm::Direct,
                OMMA_CONV_WINOGRAD => Algorithm::Winograd,
                other => bail!(
                    InvalidArgument,
                    "{op}: algorithm is {other}, not an OMMA_CONV_ constant"
                ),
            },
        })
    }
}

/// Two numbers, of which 0 is 1.
pub(super) fn read_pair(op: &str, name: &str, [y, x]: [i32; 2]) -> Result<[usize; 2]> {
    ensure!(
        y >= 0 && x >= 0,
        InvalidArgument,
        "{op}: {name} is {y} x {x}, the least is 1"
    );
    Ok([y.max(1) as usize, x.max(1) as usize])
}

pub(super) fn read_padding(op: &str, padding: [i32; 4]) -> Result<[usize; 4]> {
    ensure!(
        padding.iter().all(|&p| p >= 0),
        InvalidArgument,
        "{op}: padding is {padding:?}, the least is 0"
    );
    Ok(padding.map(|p| p as usize))
}

pub(super) fn read_groups(op: &str, groups: i32) -> Result<usize> {
    ensure!(
        groups >= 0,
        InvalidArgument,
        "{op}: groups is {groups}, the least is 1"
    );
    Ok(groups.max(1) as usize)
}

/// Slopes are given if, and only if, the activation is PReLU.
pub(super) fn read_prelu(op: &str, activation: i32, has_slope: bool) -> Result<()> {
    let is_prelu = activation == OMMA_ACTIVATION_PRELU;
    ensure!(
        is_prelu || !has_slope,
        InvalidArgument,
        "{op}: activation_slope is given and activation is {activation}, expected OMMA_ACTIVATION_PRELU ({OMMA_ACTIVATION_PRELU})"
    );
    ensure!(
        !is_prelu || has_slope,
        InvalidArgument,
        "{op}: activation is OMMA_ACTIVATION_PRELU and activation_slope is NULL"
    );
    Ok(())
}

/// `output = activation(convolution(input, weight) + bias + residual)`, in float32.
///
/// NCHW: `input` (N, C, H, W), `weight` (O, C / groups, KH, KW), `bias` (O,) or NULL,
/// `residual` (N, O, OH, OW) or NULL, `output` (N, O, OH, OW). NHWC: `input` (N, H, W, C),
/// `weight` (O, KH, KW, C / groups), `residual` and `output` (N, OH, OW, O). In both
/// `OH = (H + top + bottom - dilation * (KH - 1) - 1) / stride + 1`, and OW likewise. The
/// semantics are those of torch's `conv2d`: a cross-correlation with zero padding.
///
/// Any strides. `output` may be the very memory of `residual` (same address and strides); any
/// other overlap of it with an input is an error. A zero-sized batch is legal. Sums are in
/// float32; the bits of the result do not depend on the number of threads. NaN and
/// infinity propagate, with Winograd's algorithm (see `OMMA_CONV_WINOGRAD`) to the whole tile; whether
/// a weight that is not finite meets the zeros of the padding is unspecified.
///
/// The weight is packed in each call; a program that convolves with the same weight
/// again is faster with `omma_conv2d_create`.
///
/// # Safety
/// Tensors (also `params->activation_slope`) are NULL or describe valid memory; `ctx` and
/// `params` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv2d(
    ctx: *const OmmaContext,
    params: *const OmmaConv2dParams,
    input: *const OmmaTensor,
    weight: *const OmmaTensor,
    bias: *const OmmaTensor,
    residual: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p) = unsafe {
            let call = Call::new("conv2d", ctx)?;
            (call, call.params(params)?)
        };
        // SAFETY: as above.
        let (x, w, b, r, slope, mut y) = unsafe {
            (
                call.input::<f32>("input", input)?,
                call.input::<f32>("weight", weight)?,
                call.optional::<f32>("bias", bias)?,
                call.optional::<f32>("residual", residual)?,
                call.optional::<f32>("activation_slope", p.activation_slope)?,
                call.output::<f32>("output", output)?,
            )
        };
        let p = p.read(call.op, slope.as_ref().map(|s| s.view()))?;
        let (b, r) = (b.as_ref().map(|b| b.view()), r.as_ref().map(|r| r.view()));
        let (x, w) = (x.view(), w.view());
        conv2d(call.ctx, &p, &x, &w, b.as_ref(), r.as_ref(), y.view()?)?;
        y.finish()
    })
}

/// Packs a weight for the instruction set of `ctx`: a plan that convolves with it any
/// number of times. Arguments as for `omma_conv2d`; weight, bias and slopes are not needed afterwards.
///
/// A plan is immutable: any number of threads may run it at once, with a context they share
/// or one each, on images of any size. It does not need the context that made it, but its
/// memory comes from that context's allocator. Destroy it with `omma_conv2d_destroy`.
///
/// # Safety
/// As for `omma_conv2d`; `plan` is NULL or valid for writing a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv2d_create(
    ctx: *const OmmaContext,
    params: *const OmmaConv2dParams,
    weight: *const OmmaTensor,
    bias: *const OmmaTensor,
    plan: *mut *mut OmmaConv2d,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, slot, p) = unsafe {
            let call = Call::new("conv2d", ctx)?;
            (call, call.out("plan", plan)?, call.params(params)?)
        };
        // SAFETY: as above.
        let (w, b, slope) = unsafe {
            (
                call.input::<f32>("weight", weight)?,
                call.optional::<f32>("bias", bias)?,
                call.optional::<f32>("activation_slope", p.activation_slope)?,
            )
        };
        let p = p.read(call.op, slope.as_ref().map(|s| s.view()))?;
        let b = b.as_ref().map(|b| b.view());
        let plan = Conv2d::new(call.ctx, &p, &w.view(), b.as_ref())?;
        *slot = Box::into_raw(Box::new(OmmaConv2d { plan }));
        Ok(())
    })
}

/// Convolves `input` into `output` with a plan; shapes, `residual` (which may be NULL) and
/// overlap as for `omma_conv2d`. The instruction set is the plan's, threads and scratch are those of `ctx`.
///
/// # Safety
/// `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv2d_run(
    ctx: *const OmmaContext,
    plan: *const OmmaConv2d,
    input: *const OmmaTensor,
    residual: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, plan, x, r, mut y) = unsafe {
            let call = Call::new("conv2d", ctx)?;
            (
                call,
                call.required("plan", plan)?,
                call.input::<f32>("input", input)?,
                call.optional::<f32>("residual", residual)?,
                call.output::<f32>("output", output)?,
            )
        };
        let r = r.as_ref().map(|r| r.view());
        plan.plan.run(call.ctx, &x.view(), r.as_ref(), y.view()?)?;
        y.finish()
    })
}

/// The height and width of the output for an input of height `h` and width `w`.
///
/// # Safety
/// `plan` is NULL or a living plan; `output_h` and `output_w` are NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv2d_output_shape(
    plan: *const OmmaConv2d,
    h: i64,
    w: i64,
    output_h: *mut i64,
    output_w: *mut i64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (plan, oh, ow) = unsafe {
            let call = Call::new("conv2d", std::ptr::null())?;
            (
                call.required("plan", plan)?,
                call.out("output_h", output_h)?,
                call.out("output_w", output_w)?,
            )
        };
        let (h, w) = (read_size("conv2d", "h", h)?, read_size("conv2d", "w", w)?);
        let shape = plan.plan.output_shape(h, w)?;
        [*oh, *ow] = shape.map(|n| n as i64);
        Ok(())
    })
}

/// Writes which algorithm and instruction set a plan uses, for people, to `text`: at most
/// `capacity` bytes, the terminating zero included. Does nothing when `plan` or `text` is NULL.
///
/// # Safety
/// `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv2d_describe(
    plan: *const OmmaConv2d,
    text: *mut c_char,
    capacity: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(plan) = plan.as_ref() {
            write_text(&plan.plan.describe(), text, capacity);
        }
    }
}

/// Writes words with a terminating zero, cut to `capacity` bytes; nothing if `text` is NULL.
///
/// # Safety
/// `text` is NULL or valid for writing `capacity` bytes.
pub(super) unsafe fn write_text(words: &str, text: *mut c_char, capacity: usize) {
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

/// A size that crosses the ABI as a signed number.
pub(super) fn read_size(op: &str, name: &str, value: i64) -> Result<usize> {
    match usize::try_from(value) {
        Ok(size) => Ok(size),
        Err(_) => bail!(InvalidArgument, "{op}: {name} is {value}"),
    }
}

/// Frees a plan that no call uses any more. NULL is ignored.
///
/// # Safety
/// `plan` is NULL or comes from `omma_conv2d_create` and was not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv2d_destroy(plan: *mut OmmaConv2d) {
    if !plan.is_null() {
        // SAFETY: made by `Box::into_raw`, destroyed once.
        drop(unsafe { Box::from_raw(plan) });
    }
}
