//! The median filter.

use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::error::{Result, bail, ensure};
use crate::image::{MedianBlur, MedianBorder, Sample, median_blur};
use crate::tensor::DType;

/// Beyond the border lies the nearest pixel.
pub const OMMA_MEDIAN_BORDER_REPLICATE: i32 = 0;
/// Beyond the border everything is zero.
pub const OMMA_MEDIAN_BORDER_CONSTANT: i32 = 1;

/// Options of `omma_median_blur`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaMedianBlurParams {
    /// `sizeof(OmmaMedianBlurParams)`.
    pub struct_size: u32,
    /// The side of the window: odd, from 1 to 32767. Required.
    pub ksize: i32,
    /// An `OMMA_MEDIAN_BORDER_…`; 0 is replicate.
    pub border: i32,
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaMedianBlurParams {}

/// The median of the `ksize` by `ksize` window around each pixel, channel by channel.
///
/// `image` and `output` are (H, W, C) or (H, W), both uint8 or both float32, of the same shape, with any number of channels
/// and any strides: a region of interest is a tensor that points into the image, and nothing outside of it is read. They
/// may not overlap in memory.
///
/// The result is exact, on every CPU: the value of the window with as many before it as behind it. With
/// `OMMA_MEDIAN_BORDER_REPLICATE` it is OpenCV's `medianBlur` and `scipy.ndimage.median_filter(mode="nearest")`, with
/// `OMMA_MEDIAN_BORDER_CONSTANT` the latter's `mode="constant"`. The time for uint8 hardly depends on `ksize` from 11 on.
///
/// NaN counts as larger than any number, so the result is NaN (the quiet one) where more than half of the window is; -0
/// counts as less than +0.
///
/// Errors: a `ksize` that is even, below 1 or above 32767. An empty image is legal.
///
/// # Safety
/// `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_median_blur(
    ctx: *const OmmaContext,
    params: *const OmmaMedianBlurParams,
    image: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        const OP: &str = "median_blur";
        // SAFETY: the caller's promise.
        let (call, p) = unsafe {
            let call = Call::new(OP, ctx)?;
            (call, call.params(params)?)
        };
        ensure!(
            p.ksize > 0,
            InvalidArgument,
            "{OP}: ksize is {}, expected an odd number from 1 to 32767",
            p.ksize
        );
        let options = MedianBlur {
            ksize: p.ksize as usize,
            border: match p.border {
                OMMA_MEDIAN_BORDER_REPLICATE => MedianBorder::Replicate,
                OMMA_MEDIAN_BORDER_CONSTANT => MedianBorder::Constant,
                other => bail!(
                    InvalidArgument,
                    "{OP}: border is {other}, which is no OMMA_MEDIAN_BORDER_…"
                ),
            },
        };
        // SAFETY: the caller's promise.
        unsafe {
            match call.dtype("image", image)? {
                DType::U8 => median_of::<u8>(&call, &options, image, output),
                DType::F32 => median_of::<f32>(&call, &options, image, output),
                other => bail!(
                    InvalidArgument,
                    "{OP}: image is {other}, expected uint8 or float32"
                ),
            }
        }
    })
}

/// # Safety
/// As [`omma_median_blur`].
unsafe fn median_of<T: Sample>(
    call: &Call<'_>,
    options: &MedianBlur,
    image: *const OmmaTensor,
    output: *const OmmaTensor,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let (image, mut output) = unsafe {
        (
            call.input::<T>("image", image)?,
            call.output::<T>("output", output)?,
        )
    };
    median_blur(call.ctx, options, image.view(), output.view()?)?;
    output.finish()
}
