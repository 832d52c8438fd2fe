//! Deformable convolution.

use super::call::{Call, Params};
use super::context::OmmaContext;
use super::conv::{read_padding, read_pair};
use super::status::{OmmaStatus, guard};
use super::tensor::OmmaTensor;
use crate::conv::{DeformConv2dParams, deform_conv2d};

/// Options of a deformable convolution; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaDeformConv2dParams {
    /// `sizeof(OmmaDeformConv2dParams)`.
    pub struct_size: u32,
    /// Steps of the window, vertical and horizontal; 0 is 1.
    pub stride: [i32; 2],
    /// Zeros around the image: top, bottom, left, right.
    pub padding: [i32; 4],
    /// Distance of the window's taps before they are moved, vertical and horizontal; 0 is 1.
    pub dilation: [i32; 2],
}

// SAFETY: repr(C), struct_size first, numbers without padding.
unsafe impl Params for OmmaDeformConv2dParams {}

/// `output = deformable convolution(input, offset, weight, mask) + bias`, in float32, NCHW: version 1 of the operator
/// when `mask` is NULL, else version 2. The semantics are those of torchvision's `deform_conv2d`.
///
/// `input` (N, C, H, W), `weight` (O, C / groups, KH, KW), `bias` (O,) or NULL, `output` (N, O, OH, OW) with OH and OW as of
/// `omma_conv2d`. `offset` (N, 2 * G * KH * KW, OH, OW): for each of G groups of channels and each tap, row by row, how
/// far down and then how far to the right of its place the tap reads, in pixels. `mask` (N, G * KH * KW, OH, OW) or NULL: what
/// is read is multiplied by it. Both numbers of groups follow from the shapes and need not be the same.
///
/// A sample is bilinear between the four pixels around it; those outside of the image are 0, and so is a sample a
/// pixel or more away from it. NaN and infinity in `input`, `weight` and `mask` propagate, and an offset that is NaN gives NaN.
///
/// Any strides; overlap of `output` with an input is an error. A zero-sized batch is legal. Rows and columns of the
/// input are fewer than 2^24. The bits are the same at any number of threads.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_deform_conv2d(
    ctx: *const OmmaContext,
    params: *const OmmaDeformConv2dParams,
    input: *const OmmaTensor,
    offset: *const OmmaTensor,
    weight: *const OmmaTensor,
    bias: *const OmmaTensor,
    mask: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p) = unsafe {
            let call = Call::new("deform_conv2d", ctx)?;
            (call, call.params(params)?)
        };
        // SAFETY: as above.
        let (x, offset, w, b, mask, mut y) = unsafe {
            (
                call.input::<f32>("input", input)?,
                call.input::<f32>("offset", offset)?,
                call.input::<f32>("weight", weight)?,
                call.optional::<f32>("bias", bias)?,
                call.optional::<f32>("mask", mask)?,
                call.output::<f32>("output", output)?,
            )
        };
        let params = DeformConv2dParams {
            stride: read_pair(call.op, "stride", p.stride)?,
            padding: read_padding(call.op, p.padding)?,
            dilation: read_pair(call.op, "dilation", p.dilation)?,
        };
        let [b, mask] = [&b, &mask].map(|t| t.as_ref().map(|t| t.view()));
        deform_conv2d(
            call.ctx,
            &params,
            &x.view(),
            &offset.view(),
            &w.view(),
            b.as_ref(),
            mask.as_ref(),
            y.view()?,
        )?;
        y.finish()
    })
}
