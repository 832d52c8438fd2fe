//! Transposed convolution: one call, or a plan that keeps the packed weight.

use super::activation::activation;
use super::call::{Call, Params};
use super::context::OmmaContext;
use super::conv::{read_groups, read_padding, read_pair, read_prelu, read_size, write_text};
use super::layout::layout;
use super::status::{OmmaStatus, guard};
use super::tensor::OmmaTensor;
use crate::conv::{ConvTranspose2d, ConvTranspose2dParams, conv_transpose2d};
use crate::error::{Result, ensure};
use crate::tensor::View;
use std::ffi::c_char;

/// Options of a transposed convolution; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaConvTranspose2dParams {
    /// `sizeof(OmmaConvTranspose2dParams)`.
    pub struct_size: u32,
    /// An `OMMA_LAYOUT_…`: the order of axes of all arrays.
    pub layout: i32,
    /// Distance of the input's pixels in the output, vertical and horizontal; 0 is 1.
    pub stride: [i32; 2],
    /// What is cut off the output: top, bottom, left, right.
    pub padding: [i32; 4],
    /// Rows and columns added at the bottom and on the right; less than `stride` or `dilation`.
    pub output_padding: [i32; 2],
    /// Distance of the window's taps, vertical and horizontal; 0 is 1.
    pub dilation: [i32; 2],
    /// Groups of channels that do not see one another; 0 is 1.
    pub groups: i32,
    /// An `OMMA_ACTIVATION_…`, applied after the bias.
    pub activation: i32,
    /// The factor of `OMMA_ACTIVATION_LEAKY_RELU`; 0 is 0.01.
    pub negative_slope: f32,
    /// Not used; 0.
    pub reserved: i32,
    /// The factors of `OMMA_ACTIVATION_PRELU`, of shape (1,) or (O,); else NULL.
    pub activation_slope: *const OmmaTensor,
}

// SAFETY: repr(C), struct_size first, numbers and a pointer, no padding.
unsafe impl Params for OmmaConvTranspose2dParams {}

/// A transposed convolution whose weight is packed; see `omma_conv_transpose2d_create`.
pub struct OmmaConvTranspose2d {
    plan: ConvTranspose2d,
}

impl OmmaConvTranspose2dParams {
    fn read<'a>(
        &self,
        op: &str,
        slope: Option<View<'a, f32>>,
    ) -> Result<ConvTranspose2dParams<'a>> {
        read_prelu(op, self.activation, slope.is_some())?;
        ensure!(
            self.output_padding.iter().all(|&p| p >= 0),
            InvalidArgument,
            "{op}: output_padding is {:?}, the least is 0",
            self.output_padding
        );
        ensure!(
            self.reserved == 0,
            InvalidArgument,
            "{op}: reserved is {}, expected 0",
            self.reserved
        );
        Ok(ConvTranspose2dParams {
            stride: read_pair(op, "stride", self.stride)?,
            padding: read_padding(op, self.padding)?,
            output_padding: self.output_padding.map(|p| p as usize),
            dilation: read_pair(op, "dilation", self.dilation)?,
            groups: read_groups(op, self.groups)?,
            activation: activation(op, self.activation, self.negative_slope)?,
            prelu_slope: slope,
            layout: layout(op, self.layout)?,
        })
    }
}

/// `output = activation(transposed convolution(input, weight) + bias)`, in float32.
///
/// NCHW: `input` (N, C, H, W), `weight` (C, O / groups, KH, KW), `bias` (O,) or NULL, `output`
/// (N, O, OH, OW). NHWC: `input` (N, H, W, C), `weight` (C, KH, KW, O / groups), `output` (N, OH, OW, O). In both
/// `OH = (H - 1) * stride - top - bottom + dilation * (KH - 1) + output_padding + 1`, and OW likewise.
/// The semantics are those of torch's `conv_transpose2d`; outputs that no input reaches are the bias.
///
/// Any strides; overlap of `output` with an input is an error. A zero-sized batch is legal. Rounding,
/// NaN and infinity, and the bits at any number of threads are as for `omma_conv2d`.
///
/// The weight is packed in each call; a program that uses the same weight
/// again is faster with `omma_conv_transpose2d_create`.
///
/// # Safety
/// Tensors (also `params->activation_slope`) are NULL or describe valid memory; `ctx` and
/// `params` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv_transpose2d(
    ctx: *const OmmaContext,
    params: *const OmmaConvTranspose2dParams,
    input: *const OmmaTensor,
    weight: *const OmmaTensor,
    bias: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p) = unsafe {
            let call = Call::new("conv_transpose2d", ctx)?;
            (call, call.params(params)?)
        };
        // SAFETY: as above.
        let (x, w, b, slope, mut y) = unsafe {
            (
                call.input::<f32>("input", input)?,
                call.input::<f32>("weight", weight)?,
                call.optional::<f32>("bias", bias)?,
                call.optional::<f32>("activation_slope", p.activation_slope)?,
                call.output::<f32>("output", output)?,
            )
        };
        let p = p.read(call.op, slope.as_ref().map(|s| s.view()))?;
        let b = b.as_ref().map(|b| b.view());
        conv_transpose2d(call.ctx, &p, &x.view(), &w.view(), b.as_ref(), y.view()?)?;
        y.finish()
    })
}

/// Packs a weight for the instruction set of `ctx`: a plan that convolves with it any
/// number of times. Arguments as for `omma_conv_transpose2d`; weight, bias and slopes are not needed afterwards.
///
/// A plan is immutable: any number of threads may run it at once, with a context they share
/// or one each, on images of any size. It does not need the context that made it, but its
/// memory comes from that context's allocator. Destroy it with `omma_conv_transpose2d_destroy`.
///
/// # Safety
/// As for `omma_conv_transpose2d`; `plan` is NULL or valid for writing a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv_transpose2d_create(
    ctx: *const OmmaContext,
    params: *const OmmaConvTranspose2dParams,
    weight: *const OmmaTensor,
    bias: *const OmmaTensor,
    plan: *mut *mut OmmaConvTranspose2d,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, slot, p) = unsafe {
            let call = Call::new("conv_transpose2d", ctx)?;
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
        let plan = ConvTranspose2d::new(call.ctx, &p, &w.view(), b.as_ref())?;
        *slot = Box::into_raw(Box::new(OmmaConvTranspose2d { plan }));
        Ok(())
    })
}

/// Convolves `input` into `output` with a plan; shapes and overlap as for `omma_conv_transpose2d`.
/// The instruction set is the plan's, threads and scratch are those of `ctx`.
///
/// # Safety
/// `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv_transpose2d_run(
    ctx: *const OmmaContext,
    plan: *const OmmaConvTranspose2d,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, plan, x, mut y) = unsafe {
            let call = Call::new("conv_transpose2d", ctx)?;
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

/// The height and width of the output for an input of height `h` and width `w`.
///
/// # Safety
/// `plan` is NULL or a living plan; `output_h` and `output_w` are NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv_transpose2d_output_shape(
    plan: *const OmmaConvTranspose2d,
    h: i64,
    w: i64,
    output_h: *mut i64,
    output_w: *mut i64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, plan, oh, ow) = unsafe {
            let call = Call::new("conv_transpose2d", std::ptr::null())?;
            (
                call,
                call.required("plan", plan)?,
                call.out("output_h", output_h)?,
                call.out("output_w", output_w)?,
            )
        };
        let (h, w) = (read_size(call.op, "h", h)?, read_size(call.op, "w", w)?);
        let shape = plan.plan.output_shape(h, w)?;
        [*oh, *ow] = shape.map(|n| n as i64);
        Ok(())
    })
}

/// Writes which algorithms and instruction set a plan uses, for people, to `text`: at most
/// `capacity` bytes, the terminating zero included. Does nothing when `plan` or `text` is NULL.
///
/// # Safety
/// `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv_transpose2d_describe(
    plan: *const OmmaConvTranspose2d,
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

/// Frees a plan that no call uses any more. NULL is ignored.
///
/// # Safety
/// `plan` is NULL or comes from `omma_conv_transpose2d_create` and was not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_conv_transpose2d_destroy(plan: *mut OmmaConvTranspose2d) {
    if !plan.is_null() {
        // SAFETY: made by `Box::into_raw`, destroyed once.
        drop(unsafe { Box::from_raw(plan) });
    }
}
