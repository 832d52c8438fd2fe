//! Layer and RMS normalization.

use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::error::{Result, ensure};
use crate::nn::{Norm, layer_norm, rms_norm};

/// In `OmmaNormParams::flags`: `axis` is set.
pub const OMMA_NORM_AXIS: u32 = 1;
/// In `OmmaNormParams::flags`: `eps` is set.
pub const OMMA_NORM_EPS: u32 = 2;

/// Options of `omma_layer_norm` and `omma_rms_norm`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaNormParams {
    /// `sizeof(OmmaNormParams)`.
    pub struct_size: u32,
    /// `OMMA_NORM_…`, combined by or.
    pub flags: u32,
    /// The first of the axes that are normalized together, negative from the end; -1, the last axis
    /// alone, unless the flag is set.
    pub axis: i32,
    /// Added to the variance or mean square; 1e-5 unless the flag is set.
    pub eps: f32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaNormParams {}

impl OmmaNormParams {
    fn read(&self, op: &str) -> Result<Norm> {
        let known = OMMA_NORM_AXIS | OMMA_NORM_EPS;
        ensure!(
            self.flags & !known == 0,
            InvalidArgument,
            "{op}: flags is {:#x}, known is {known:#x}",
            self.flags
        );
        let has = |flag| self.flags & flag != 0;
        Ok(Norm {
            axis: if has(OMMA_NORM_AXIS) {
                self.axis as isize
            } else {
                -1
            },
            eps: if has(OMMA_NORM_EPS) { self.eps } else { 1e-5 },
        })
    }
}

/// `output = (s - mean) / sqrt(variance + eps) * gamma + beta` with `s = input + residual`, in float32, as
/// torch's `layer_norm`.
///
/// Mean and variance (of the whole population) are those of the axes from `params->axis` on; `gamma` and
/// `beta`, each NULL or of the shape of those axes, scale and shift. `residual`, NULL or of the shape of `input`,
/// is added first, and `sum`, NULL or of that shape, takes what was normalized: the residual of the
/// next layer.
///
/// Any shape, any strides; `output` and `sum` have the shape of `input` and each may be the very memory of
/// `input` or `residual` (same address and strides), but not of each other; any other overlap is an error. A NaN or
/// an infinity makes its row NaN. The bits of the result do not depend on the number of threads.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_layer_norm(
    ctx: *const OmmaContext,
    params: *const OmmaNormParams,
    input: *const OmmaTensor,
    residual: *const OmmaTensor,
    gamma: *const OmmaTensor,
    beta: *const OmmaTensor,
    output: *const OmmaTensor,
    sum: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, x, r, w, b, mut y, mut s) = unsafe {
            let call = Call::new("layer_norm", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("input", input)?,
                call.optional::<f32>("residual", residual)?,
                call.optional::<f32>("gamma", gamma)?,
                call.optional::<f32>("beta", beta)?,
                call.output::<f32>("output", output)?,
                call.optional_output::<f32>("sum", sum)?,
            )
        };
        let norm = p.read(call.op)?;
        let r = r.as_ref().map(|r| r.view());
        let w = w.as_ref().map(|w| w.view());
        let b = b.as_ref().map(|b| b.view());
        let to = s.as_mut().map(|s| s.view()).transpose()?;
        let (r, w, b) = (r.as_ref(), w.as_ref(), b.as_ref());
        layer_norm(call.ctx, &norm, &x.view(), r, w, b, y.view()?, to)?;
        y.finish()?;
        s.map_or(Ok(()), |s| s.finish())
    })
}

/// `output = s / sqrt(mean(s²) + eps) * gamma` with `s = input + residual`, in float32, as torch's `rms_norm`.
///
/// Arguments, shapes, strides, overlap and numbers that are not finite: as `omma_layer_norm`.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_rms_norm(
    ctx: *const OmmaContext,
    params: *const OmmaNormParams,
    input: *const OmmaTensor,
    residual: *const OmmaTensor,
    gamma: *const OmmaTensor,
    output: *const OmmaTensor,
    sum: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, x, r, w, mut y, mut s) = unsafe {
            let call = Call::new("rms_norm", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("input", input)?,
                call.optional::<f32>("residual", residual)?,
                call.optional::<f32>("gamma", gamma)?,
                call.output::<f32>("output", output)?,
                call.optional_output::<f32>("sum", sum)?,
            )
        };
        let norm = p.read(call.op)?;
        let r = r.as_ref().map(|r| r.view());
        let w = w.as_ref().map(|w| w.view());
        let to = s.as_mut().map(|s| s.view()).transpose()?;
        rms_norm(
            call.ctx,
            &norm,
            &x.view(),
            r.as_ref(),
            w.as_ref(),
            y.view()?,
            to,
        )?;
        y.finish()?;
        s.map_or(Ok(()), |s| s.finish())
    })
}
