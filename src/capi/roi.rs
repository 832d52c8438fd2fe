//! Regions of interest.

use super::call::Input;
use super::layout::layout;
use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::error::{Result, bail, ensure};
use crate::roi::{
    RoiAlignMode, RoiAlignParams, RoiPoolParams, roi_align, roi_align_backward, roi_pool,
    roi_pool_backward,
};
use crate::tensor::{DType, View};

/// Bins are means of their samples; samples outside of the map count, as 0.
pub const OMMA_ROI_ALIGN_AVG: i32 = 0;
/// Bins are the largest of all `weight * pixel` of the four pixels of each sample: ONNX's `mode="max"`.
pub const OMMA_ROI_ALIGN_MAX: i32 = 1;
/// Bins are the largest of their samples.
pub const OMMA_ROI_ALIGN_MAX_SAMPLE: i32 = 2;

/// In `OmmaRoiAlignParams::flags`: coordinates are those of corners of pixels, so that half a pixel is
/// subtracted. Otherwise they are those of centres, and a RoI is one pixel long and wide at least.
pub const OMMA_ROI_ALIGN_ALIGNED: u32 = 1;

/// Options of `omma_roi_align` and its gradient; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaRoiAlignParams {
    /// `sizeof(OmmaRoiAlignParams)`.
    pub struct_size: u32,
    /// `OMMA_ROI_ALIGN_ALIGNED` or 0.
    pub flags: u32,
    /// From coordinates to those of the map, positive; 0 is 1.
    pub spatial_scale: f64,
    /// Rows and columns of bins. Required.
    pub output_size: [i32; 2],
    /// Samples of a bin in each direction, at most 1024; 0 or less: as many as it has pixels, rounded up.
    pub sampling_ratio: i32,
    /// An `OMMA_ROI_ALIGN_…`: what becomes of the samples of a bin.
    pub mode: i32,
    /// An `OMMA_LAYOUT_…`: the order of axes of maps and bins.
    pub layout: i32,
    /// Zero.
    pub reserved: i32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaRoiAlignParams {}

/// Options of `omma_roi_pool` and its gradient; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaRoiPoolParams {
    /// `sizeof(OmmaRoiPoolParams)`.
    pub struct_size: u32,
    /// An `OMMA_LAYOUT_…`: the order of axes of maps and bins.
    pub layout: i32,
    /// From coordinates to those of the map, positive; 0 is 1.
    pub spatial_scale: f64,
    /// Rows and columns of bins. Required.
    pub output_size: [i32; 2],
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaRoiPoolParams {}

fn output_size(op: &str, size: [i32; 2]) -> Result<[usize; 2]> {
    ensure!(
        size.iter().all(|&s| s >= 1),
        InvalidArgument,
        "{op}: output_size is {size:?}, the least is 1"
    );
    Ok(size.map(|s| s as usize))
}

fn spatial_scale(scale: f64) -> f64 {
    if scale == 0.0 { 1.0 } else { scale }
}

fn align_params(op: &str, p: &OmmaRoiAlignParams) -> Result<RoiAlignParams> {
    ensure!(
        p.flags & !OMMA_ROI_ALIGN_ALIGNED == 0,
        InvalidArgument,
        "{op}: flags is {:#x}, known is {OMMA_ROI_ALIGN_ALIGNED:#x}",
        p.flags
    );
    ensure!(
        p.reserved == 0,
        InvalidArgument,
        "{op}: reserved is {}, expected 0",
        p.reserved
    );
    Ok(RoiAlignParams {
        output_size: output_size(op, p.output_size)?,
        spatial_scale: spatial_scale(p.spatial_scale),
        sampling_ratio: p.sampling_ratio,
        aligned: p.flags & OMMA_ROI_ALIGN_ALIGNED != 0,
        mode: match p.mode {
            OMMA_ROI_ALIGN_AVG => RoiAlignMode::Average,
            OMMA_ROI_ALIGN_MAX => RoiAlignMode::MaxCorner,
            OMMA_ROI_ALIGN_MAX_SAMPLE => RoiAlignMode::MaxSample,
            other => bail!(
                InvalidArgument,
                "{op}: mode is {other}, expected OMMA_ROI_ALIGN_AVG, OMMA_ROI_ALIGN_MAX or OMMA_ROI_ALIGN_MAX_SAMPLE"
            ),
        },
        layout: layout(op, p.layout)?,
    })
}

fn pool_params(op: &str, p: &OmmaRoiPoolParams) -> Result<RoiPoolParams> {
    Ok(RoiPoolParams {
        output_size: output_size(op, p.output_size)?,
        spatial_scale: spatial_scale(p.spatial_scale),
        layout: layout(op, p.layout)?,
    })
}

/// The images of RoIs, of either type, or none.
enum BatchIndices<'c> {
    Wide(Option<Input<'c, i64>>),
    Narrow(Input<'c, i32>),
}

impl<'c> BatchIndices<'c> {
    /// # Safety
    /// As `Call::input`.
    unsafe fn new(call: &Call<'c>, tensor: *const OmmaTensor) -> Result<BatchIndices<'c>> {
        // SAFETY: the caller's promise.
        unsafe {
            if !tensor.is_null() && call.dtype("batch_indices", tensor)? == DType::I32 {
                return Ok(BatchIndices::Narrow(call.input("batch_indices", tensor)?));
            }
            Ok(BatchIndices::Wide(call.optional("batch_indices", tensor)?))
        }
    }
}

/// Runs `$body` with `$indices` as a view of either type.
macro_rules! with_indices {
    ($from:expr, $indices:ident => $body:expr) => {
        match &$from {
            BatchIndices::Wide($indices) => {
                let $indices: Option<View<'_, i64>> = $indices.as_ref().map(|i| i.view());
                $body
            }
            BatchIndices::Narrow($indices) => {
                let $indices = Some($indices.view());
                $body
            }
        }
    };
}

/// RoIAlign: bins of `rois`, sampled bilinearly from `x`, to `output`, in float32.
///
/// `x` (N, C, H, W), NHWC: (N, H, W, C). `output` (K, C, PH, PW) or (K, PH, PW, C) for PH and PW of
/// `output_size`. `rois` (K, 5): the image, a number whose fraction is dropped, then x1, y1, x2, y2; or, with
/// `batch_indices` (K) int64 or int32 (else NULL), (K, 4) without the image. Coordinates are multiplied by
/// `spatial_scale`.
///
/// The semantics are torchvision's: samples outside of -1 to H and -1 to W are 0, others beyond the border are on it. A
/// NaN in a pixel that a bin gives weight to makes the bin NaN. With `OMMA_ROI_ALIGN_MAX` and `OMMA_ROI_ALIGN_MAX_SAMPLE` a bin with samples
/// outside of the map is not below 0. A bin without samples (of an inverted RoI that is aligned and sampled adaptively, or of one with a
/// coordinate that is NaN or infinite) is 0. An image that is not there is an error. Huge RoIs cost no more than the map that they cover.
///
/// Any strides. `output` overlaps no input. K, N, C, H and W may be zero. The bits of the
/// result do not depend on the number of threads.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_roi_align(
    ctx: *const OmmaContext,
    params: *const OmmaRoiAlignParams,
    x: *const OmmaTensor,
    rois: *const OmmaTensor,
    batch_indices: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, x, rois, images, mut out) = unsafe {
            let call = Call::new("roi_align", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("x", x)?,
                call.input::<f32>("rois", rois)?,
                BatchIndices::new(&call, batch_indices)?,
                call.output::<f32>("output", output)?,
            )
        };
        let p = align_params(call.op, &p)?;
        let (x, rois) = (x.view(), rois.view());
        with_indices!(images, i => roi_align(call.ctx, &p, x, rois, i, out.view()?))?;
        out.finish()
    })
}

/// The gradient of `omma_roi_align` with respect to its `x`, to `dx`, in float32.
///
/// `dy` has the shape of that call's `output`, `dx` that of its `x`; `rois`, `batch_indices` and `params` are those of that call.
/// `x` is its `x`, and NULL is enough for `OMMA_ROI_ALIGN_AVG`.
///
/// The gradient of a maximum goes to what was the maximum, the first in the order of samples when several are
/// equal: to one pixel, times its weight (`OMMA_ROI_ALIGN_MAX`), or to the four pixels of a sample
/// (`OMMA_ROI_ALIGN_MAX_SAMPLE`); it is lost where the maximum is the 0 of samples outside of the map.
///
/// Any strides. `dx` overlaps no input. The bits of the result do not depend on the number of threads.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_roi_align_backward(
    ctx: *const OmmaContext,
    params: *const OmmaRoiAlignParams,
    dy: *const OmmaTensor,
    rois: *const OmmaTensor,
    batch_indices: *const OmmaTensor,
    x: *const OmmaTensor,
    dx: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, dy, rois, images, x, mut dx) = unsafe {
            let call = Call::new("roi_align_backward", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("dy", dy)?,
                call.input::<f32>("rois", rois)?,
                BatchIndices::new(&call, batch_indices)?,
                call.optional::<f32>("x", x)?,
                call.output::<f32>("dx", dx)?,
            )
        };
        let p = align_params(call.op, &p)?;
        let (dy, rois, x) = (dy.view(), rois.view(), x.as_ref().map(|x| x.view()));
        with_indices!(images, i => roi_align_backward(call.ctx, &p, dy, rois, i, x, dx.view()?))?;
        dx.finish()
    })
}

/// RoIPool: the largest pixel of each bin of `rois`, to `output` in float32, and unless NULL where
/// it is to `argmax`, int32.
///
/// Shapes are those of `omma_roi_align`; `argmax` has that of `output`. An index counts in one image's plane: row
/// times W plus column.
///
/// The semantics are torchvision's: corners are rounded half away from zero and both belong to the RoI, which is one pixel long and
/// wide at least. The first of equal maxima counts. A bin without pixels is 0; a bin with nothing above the least
/// finite float (a NaN is above nothing) is that float; both have -1 in `argmax`. A RoI with a coordinate that is NaN or
/// infinite has no pixels. An image that is not there is an error.
///
/// Any strides. The outputs overlap neither inputs nor one another. K, N, C, H and W may be zero. The bits of the
/// result do not depend on the number of threads.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_roi_pool(
    ctx: *const OmmaContext,
    params: *const OmmaRoiPoolParams,
    x: *const OmmaTensor,
    rois: *const OmmaTensor,
    batch_indices: *const OmmaTensor,
    output: *const OmmaTensor,
    argmax: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, x, rois, images, mut out, mut at) = unsafe {
            let call = Call::new("roi_pool", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("x", x)?,
                call.input::<f32>("rois", rois)?,
                BatchIndices::new(&call, batch_indices)?,
                call.output::<f32>("output", output)?,
                call.optional_output::<i32>("argmax", argmax)?,
            )
        };
        let p = pool_params(call.op, &p)?;
        let (x, rois) = (x.view(), rois.view());
        let argmax = at.as_mut().map(|at| at.view()).transpose()?;
        with_indices!(images, i => roi_pool(call.ctx, &p, x, rois, i, out.view()?, argmax))?;
        out.finish()?;
        at.map_or(Ok(()), |at| at.finish())
    })
}

/// The gradient of `omma_roi_pool` with respect to its `x`, to `dx`, in float32: every bin gives its gradient to the
/// pixel that was its maximum.
///
/// `dy` and `argmax` have the shape of that call's `output`, `dx` that of its `x`; `rois`, `batch_indices` and `params` are those of
/// that call. An index below 0 gives nothing, one outside of the map is an error.
///
/// Any strides. `dx` overlaps no input. The bits of the result do not depend on the number of threads.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_roi_pool_backward(
    ctx: *const OmmaContext,
    params: *const OmmaRoiPoolParams,
    dy: *const OmmaTensor,
    rois: *const OmmaTensor,
    batch_indices: *const OmmaTensor,
    argmax: *const OmmaTensor,
    dx: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, dy, rois, images, argmax, mut dx) = unsafe {
            let call = Call::new("roi_pool_backward", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("dy", dy)?,
                call.input::<f32>("rois", rois)?,
                BatchIndices::new(&call, batch_indices)?,
                call.input::<i32>("argmax", argmax)?,
                call.output::<f32>("dx", dx)?,
            )
        };
        let p = pool_params(call.op, &p)?;
        let (dy, rois, argmax) = (dy.view(), rois.view(), argmax.view());
        with_indices!(images, i => roi_pool_backward(call.ctx, &p, dy, rois, i, argmax, dx.view()?))?;
        dx.finish()
    })
}
