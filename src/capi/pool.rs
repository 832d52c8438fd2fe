//! Pooling.

use super::layout::layout;
use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::error::{Result, ensure};
use crate::nn::{AverageOver, Pool2d, avg_pool2d, max_pool2d};

/// In the `flags` of a pooling operator: the output's size is rounded up. A last window that
/// would start in the padding behind the input is dropped, as in torch.
pub const OMMA_POOL_CEIL_MODE: u32 = 1;
/// In the `flags` of `omma_avg_pool2d`: padding does not count for the mean
/// (torch's `count_include_pad=False`).
pub const OMMA_POOL_EXCLUDE_PAD: u32 = 2;

/// Options of `omma_max_pool2d`; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaMaxPool2dParams {
    /// `sizeof(OmmaMaxPool2dParams)`.
    pub struct_size: u32,
    /// `OMMA_POOL_CEIL_MODE` or 0.
    pub flags: u32,
    /// An `OMMA_LAYOUT_…`: the order of axes of all arrays.
    pub layout: i32,
    /// Rows and columns of the window. Required.
    pub kernel_size: [i32; 2],
    /// Steps of the window, vertical and horizontal; 0 is `kernel_size`.
    pub stride: [i32; 2],
    /// Rows and columns around the image: top, bottom, left, right. Each is
    /// less than the window spans. They are never the maximum.
    pub padding: [i32; 4],
    /// Distance of the window's elements, vertical and horizontal; 0 is 1.
    pub dilation: [i32; 2],
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaMaxPool2dParams {}

/// Options of `omma_avg_pool2d`; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaAvgPool2dParams {
    /// `sizeof(OmmaAvgPool2dParams)`.
    pub struct_size: u32,
    /// `OMMA_POOL_CEIL_MODE` and `OMMA_POOL_EXCLUDE_PAD`.
    pub flags: u32,
    /// An `OMMA_LAYOUT_…`: the order of axes of all arrays.
    pub layout: i32,
    /// Rows and columns of the window. Required.
    pub kernel_size: [i32; 2],
    /// Steps of the window, vertical and horizontal; 0 is `kernel_size`.
    pub stride: [i32; 2],
    /// Rows and columns of zeros around the image: top, bottom, left, right.
    /// Each is less than the window spans.
    pub padding: [i32; 4],
    /// Distance of the window's elements, vertical and horizontal; 0 is 1.
    pub dilation: [i32; 2],
    /// What sums are divided by, in place of the number of elements; 0 is that number.
    pub divisor_override: i32,
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaAvgPool2dParams {}

/// The window that the fields of a params struct describe.
fn pool(
    op: &str,
    order: i32,
    kernel_size: [i32; 2],
    stride: [i32; 2],
    padding: [i32; 4],
    dilation: [i32; 2],
    (flags, known): (u32, u32),
) -> Result<Pool2d> {
    ensure!(
        flags & !known == 0,
        InvalidArgument,
        "{op}: flags is {flags:#x}, known are {known:#x}"
    );
    ensure!(
        kernel_size.iter().all(|&k| k >= 1),
        InvalidArgument,
        "{op}: kernel_size is {kernel_size:?}, the least is 1"
    );
    for (name, values) in [
        ("stride", &stride[..]),
        ("padding", &padding),
        ("dilation", &dilation),
    ] {
        ensure!(
            values.iter().all(|&v| v >= 0),
            InvalidArgument,
            "{op}: {name} is {values:?}, the least is 0"
        );
    }
    let or = |value: i32, default: i32| if value == 0 { default } else { value } as usize;
    Ok(Pool2d {
        kernel_size: kernel_size.map(|k| k as usize),
        stride: Some([or(stride[0], kernel_size[0]), or(stride[1], kernel_size[1])]),
        padding: padding.map(|p| p as usize),
        dilation: dilation.map(|d| or(d, 1)),
        ceil_mode: flags & OMMA_POOL_CEIL_MODE != 0,
        layout: layout(op, order)?,
    })
}

/// The largest element of each window, and optionally where it is, in float32.
///
/// `input` (N, C, H, W) or (C, H, W), NHWC: (N, H, W, C) or (H, W, C). `output` and, unless
/// NULL, `indices` (int64) have its shape with OH and OW in place of H and W:
/// `OH = (H + top + bottom - dilation * (KH - 1) - 1) / stride + 1`, OW likewise.
///
/// An index counts in one image's plane: row times W plus column. The semantics are torch's: a
/// window with a NaN gives NaN and the index of its last NaN; the first of equal maxima counts. A
/// dilated window that hits no element gives -inf and index -1.
///
/// Any strides. `output` and `indices` overlap neither `input` nor one another. A batch of zero is
/// legal. The bits of the result do not depend on the number of threads.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_max_pool2d(
    ctx: *const OmmaContext,
    params: *const OmmaMaxPool2dParams,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
    indices: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, x, mut out, mut at) = unsafe {
            let call = Call::new("max_pool2d", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("input", input)?,
                call.output::<f32>("output", output)?,
                call.optional_output::<i64>("indices", indices)?,
            )
        };
        let flags = (p.flags, OMMA_POOL_CEIL_MODE);
        let OmmaMaxPool2dParams {
            layout,
            kernel_size,
            stride,
            padding,
            dilation,
            ..
        } = p;
        let pool = pool(
            call.op,
            layout,
            kernel_size,
            stride,
            padding,
            dilation,
            flags,
        )?;
        let indices = at.as_mut().map(|at| at.view()).transpose()?;
        max_pool2d(call.ctx, &pool, x.view(), out.view()?, indices)?;
        out.finish()?;
        at.map_or(Ok(()), |at| at.finish())
    })
}

/// The mean of each window, in float32.
///
/// `input` (N, C, H, W) or (C, H, W), NHWC: (N, H, W, C) or (H, W, C). `output` has its shape with
/// OH and OW in place of H and W, as in `omma_max_pool2d`. A sum is divided by the
/// number of the window's elements that are in the input or its padding, by those in the input alone
/// (`OMMA_POOL_EXCLUDE_PAD`), or by `divisor_override`. The semantics are torch's; NaN and infinity
/// propagate. A dilated window that hits no element gives 0.
///
/// Any strides. `output` does not overlap `input`. A batch of zero is legal. The bits of the
/// result do not depend on the number of threads.
///
/// # Safety
/// `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
/// the tensors describe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_avg_pool2d(
    ctx: *const OmmaContext,
    params: *const OmmaAvgPool2dParams,
    input: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, x, mut out) = unsafe {
            let call = Call::new("avg_pool2d", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("input", input)?,
                call.output::<f32>("output", output)?,
            )
        };
        let flags = (p.flags, OMMA_POOL_CEIL_MODE | OMMA_POOL_EXCLUDE_PAD);
        let OmmaAvgPool2dParams {
            layout,
            kernel_size,
            stride,
            padding,
            dilation,
            ..
        } = p;
        let pool = pool(
            call.op,
            layout,
            kernel_size,
            stride,
            padding,
            dilation,
            flags,
        )?;
        let over = match p.divisor_override {
            0 if p.flags & OMMA_POOL_EXCLUDE_PAD != 0 => AverageOver::Input,
            0 => AverageOver::Padded,
            divisor => AverageOver::Divisor(i64::from(divisor)),
        };
        avg_pool2d(call.ctx, &pool, over, x.view(), out.view()?)?;
        out.finish()
    })
}
