//! Matrix products and linear layers.

use super::activation::{OMMA_ACTIVATION_PRELU, activation};
use super::call::{Call, Params};
use super::context::OmmaContext;
use super::status::{OmmaStatus, guard};
use super::tensor::OmmaTensor;
use crate::error::{Result, ensure};
use crate::nn::{Linear, linear, matmul};
use crate::simd::Activation;
use std::ffi::c_char;

/// Options of a linear layer; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaLinearParams {
    /// `sizeof(OmmaLinearParams)`.
    pub struct_size: u32,
    /// An `OMMA_ACTIVATION_…` other than `OMMA_ACTIVATION_PRELU`, applied after the bias.
    pub activation: i32,
    /// The factor of `OMMA_ACTIVATION_LEAKY_RELU`; 0 is 0.01.
    pub negative_slope: f32,
    /// 0.
    pub flags: u32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaLinearParams {}

impl OmmaLinearParams {
    fn read(&self, op: &str) -> Result<Activation> {
        ensure!(
            self.flags == 0,
            InvalidArgument,
            "{op}: flags is {}, expected 0",
            self.flags
        );
        ensure!(
            self.activation != OMMA_ACTIVATION_PRELU,
            Unsupported,
            "{op}: activation is OMMA_ACTIVATION_PRELU, which linear does not have"
        );
        activation(op, self.activation, self.negative_slope)
    }
}

/// A linear layer whose weight is packed; see `omma_linear_create`.
pub struct OmmaLinear {
    plan: Linear,
}

/// `output = a · b` in float32: (…, m, k) times (…, k, n) gives (…, m, n), as numpy's `matmul`
/// for arrays of two or more dimensions.
///
/// Dimensions before the last two are batches and broadcast: they are aligned at the right,
/// and one that is missing or 1 goes with any. Any strides. `output` must not overlap an input.
/// Zero-sized dimensions are legal; a sum over none is zero. The bits of the result do not
/// depend on the number of threads. NaN and infinity propagate as in the plain sum.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_matmul(
    ctx: *const OmmaContext,
    a: *const OmmaTensor,
    b: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, a, b, mut y) = unsafe {
            let call = Call::new("matmul", ctx)?;
            (
                call,
                call.input::<f32>("a", a)?,
                call.input::<f32>("b", b)?,
                call.output::<f32>("output", output)?,
            )
        };
        matmul(call.ctx, &a.view(), &b.view(), y.view()?)?;
        y.finish()
    })
}

/// `output = activation(input · weightᵀ + bias)` in float32, as torch's `linear`:
/// `input` (…, in), `weight` (out, in), `bias` (out,) or NULL, `output` (…, out).
///
/// Any strides. `output` must not overlap an input. Zero-sized dimensions are legal. The bits of
/// the result do not depend on the number of threads. NaN and infinity propagate.
///
/// A program that multiplies with the same weight again is faster with `omma_linear_create`.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_linear(
    ctx: *const OmmaContext,
    params: *const OmmaLinearParams,
    input: *const OmmaTensor,
    weight: *const OmmaTensor,
    bias: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, x, w, b, mut y) = unsafe {
            let call = Call::new("linear", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("input", input)?,
                call.input::<f32>("weight", weight)?,
                call.optional::<f32>("bias", bias)?,
                call.output::<f32>("output", output)?,
            )
        };
        let activation = p.read(call.op)?;
        let b = b.as_ref().map(|b| b.view());
        linear(
            call.ctx,
            &x.view(),
            &w.view(),
            b.as_ref(),
            activation,
            y.view()?,
        )?;
        y.finish()
    })
}

/// Packs a weight for the instruction set of `ctx`: a plan that multiplies with it any number of
/// times. Arguments as for `omma_linear`; weight and bias are not needed afterwards.
///
/// A plan is immutable: any number of threads may run it at once, with a context they share or one
/// each. It does not need the context that made it, but its memory comes from that context's
/// allocator. Destroy it with `omma_linear_destroy`.
///
/// # Safety
/// As for `omma_linear`; `plan` is NULL or valid for writing a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_linear_create(
    ctx: *const OmmaContext,
    params: *const OmmaLinearParams,
    weight: *const OmmaTensor,
    bias: *const OmmaTensor,
    plan: *mut *mut OmmaLinear,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, slot, p, w, b) = unsafe {
            let call = Call::new("linear", ctx)?;
            (
                call,
                call.out("plan", plan)?,
                call.params(params)?,
                call.input::<f32>("weight", weight)?,
                call.optional::<f32>("bias", bias)?,
            )
        };
        let activation = p.read(call.op)?;
        let b = b.as_ref().map(|b| b.view());
        let plan = Linear::new(call.ctx, &w.view(), b.as_ref(), activation)?;
        *slot = Box::into_raw(Box::new(OmmaLinear { plan }));
        Ok(())
    })
}

/// Runs a plan on `input` (…, in) into `output` (…, out); as `omma_linear`. The instruction set
/// is the plan's, threads and scratch are those of `ctx`.
///
/// # Safety
/// `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_linear_run(
    ctx: *const OmmaContext,
    plan: *const OmmaLinear,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, plan, x, mut y) = unsafe {
            let call = Call::new("linear", ctx)?;
            (
                call,
                call.required("plan", plan)?,
                call.input::<f32>("input", input)?,
                call.output::<f32>("output", output)?,
            )
        };
        plan.plan.run(call.ctx, &x.view(), None, y.view()?)?;
        y.finish()
    })
}

/// Writes which algorithm and instruction set a plan uses, for people, to `text`: at most
/// `capacity` bytes, the terminating zero included. Does nothing when `plan` or `text` is NULL.
///
/// # Safety
/// `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_linear_describe(
    plan: *const OmmaLinear,
    text: *mut c_char,
    capacity: usize,
) {
    // SAFETY: the caller's promise.
    let Some(plan) = (unsafe { plan.as_ref() }) else {
        return;
    };
    if text.is_null() || capacity == 0 {
        return;
    }
    let words = plan.plan.describe();
    let count = words.len().min(capacity - 1);
    // SAFETY: `count` bytes and the zero fit the capacity that the caller vouches for.
    unsafe {
        std::ptr::copy_nonoverlapping(words.as_ptr(), text.cast(), count);
        *text.add(count) = 0;
    }
}

/// Frees a plan that no call uses any more. NULL is ignored.
///
/// # Safety
/// `plan` is NULL or comes from `omma_linear_create` and was not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_linear_destroy(plan: *mut OmmaLinear) {
    if !plan.is_null() {
        // SAFETY: made by `Box::into_raw`, destroyed once.
        drop(unsafe { Box::from_raw(plan) });
    }
}
