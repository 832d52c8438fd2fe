//! Image geometry.

use super::layout::{OMMA_LAYOUT_NCHW, OMMA_LAYOUT_NHWC};
use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::error::{Result, bail, ensure};
use crate::image::{
    Coordinates, ImageToTensor, Interpolation, Layout, Resize, Sample, image_to_tensor, letterbox,
    resize,
};
use crate::tensor::DType;

/// Bilinear.
pub const OMMA_INTERPOLATION_LINEAR: i32 = 0;
/// The value of one pixel.
pub const OMMA_INTERPOLATION_NEAREST: i32 = 1;
/// Bicubic: OpenCV's `INTER_CUBIC`; with antialias torch's and Pillow's.
pub const OMMA_INTERPOLATION_CUBIC: i32 = 2;
/// The mean over the area of the destination pixel: OpenCV's `INTER_AREA`.
pub const OMMA_INTERPOLATION_AREA: i32 = 3;

/// OpenCV's: asymmetric for nearest, half pixel for all others.
pub const OMMA_COORDINATES_DEFAULT: i32 = 0;
/// `(d + 1/2) scale - 1/2`: the borders of both images coincide.
pub const OMMA_COORDINATES_HALF_PIXEL: i32 = 1;
/// `d (source - 1) / (destination - 1)`: the corner pixels coincide.
pub const OMMA_COORDINATES_ALIGN_CORNERS: i32 = 2;
/// `d scale`: the first pixels coincide.
pub const OMMA_COORDINATES_ASYMMETRIC: i32 = 3;

/// A flag of `OmmaResizeParams`: widen the kernel when the image shrinks. For linear and cubic.
pub const OMMA_RESIZE_ANTIALIAS: u32 = 1;

/// A flag of `OmmaImageToTensorParams`: exchange the first and the third channel.
pub const OMMA_IMAGE_SWAP_RB: u32 = 1;
/// A flag of `OmmaImageToTensorParams`: keep the proportions, and pad.
pub const OMMA_IMAGE_LETTERBOX: u32 = 2;
/// A flag of `OmmaImageToTensorParams`: `pad_value` is set.
pub const OMMA_IMAGE_PAD_VALUE: u32 = 4;
/// A flag of `OmmaImageToTensorParams`: widen the kernel when the image shrinks. For linear and cubic.
pub const OMMA_IMAGE_ANTIALIAS: u32 = 8;

/// Options of `omma_resize`; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaResizeParams {
    /// `sizeof(OmmaResizeParams)`.
    pub struct_size: u32,
    /// An `OMMA_INTERPOLATION_…`; 0 is linear.
    pub interpolation: i32,
    /// An `OMMA_COORDINATES_…`.
    pub coordinates: i32,
    /// `OMMA_RESIZE_…` flags.
    pub flags: u32,
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaResizeParams {}

/// Options of `omma_image_to_tensor`; zero in a field is its default. A sample `v` becomes
/// `(v * scale - mean) / std`, with `mean` and `std` in the order of the output's channels.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaImageToTensorParams {
    /// `sizeof(OmmaImageToTensorParams)`.
    pub struct_size: u32,
    /// `OMMA_IMAGE_…` flags.
    pub flags: u32,
    /// An `OMMA_LAYOUT_…` of the output: (C, H, W), or (H, W, C) for `OMMA_LAYOUT_NHWC`.
    pub layout: i32,
    /// An `OMMA_COORDINATES_…`.
    pub coordinates: i32,
    /// Multiplies samples. 0: 1/255 for bytes, 1 for floats.
    pub scale: f32,
    /// With `OMMA_IMAGE_PAD_VALUE`: the padding of a letterbox, in units of the image (before `scale`). Else it is 114.
    pub pad_value: f32,
    /// Subtracted from the scaled sample.
    pub mean: [f32; 4],
    /// What is left is divided by this. 0 is 1.
    pub std: [f32; 4],
    /// An `OMMA_INTERPOLATION_…`, when the size changes; not nearest.
    pub interpolation: i32,
}

// SAFETY: repr(C), struct_size first, integers and floats.
unsafe impl Params for OmmaImageToTensorParams {}

/// Where an image lands in a frame of other proportions. A point of the frame is
/// `((x - left) / scale_x, (y - top) / scale_y)` in the image, borders of pixels being integers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OmmaLetterbox {
    /// Rows above the image.
    pub top: i64,
    /// Columns left of the image.
    pub left: i64,
    /// Height of the image in the frame.
    pub height: i64,
    /// Width of the image in the frame.
    pub width: i64,
    /// Height of the image in the frame over its own height.
    pub scale_y: f64,
    /// Width of the image in the frame over its own width.
    pub scale_x: f64,
}

fn interpolation(op: &str, value: i32) -> Result<Interpolation> {
    Ok(match value {
        OMMA_INTERPOLATION_LINEAR => Interpolation::Linear,
        OMMA_INTERPOLATION_NEAREST => Interpolation::Nearest,
        OMMA_INTERPOLATION_CUBIC => Interpolation::Cubic,
        OMMA_INTERPOLATION_AREA => Interpolation::Area,
        _ => bail!(
            InvalidArgument,
            "{op}: interpolation is {value}, which is no OMMA_INTERPOLATION_…"
        ),
    })
}

fn coordinates(op: &str, value: i32) -> Result<Coordinates> {
    Ok(match value {
        OMMA_COORDINATES_DEFAULT => Coordinates::Default,
        OMMA_COORDINATES_HALF_PIXEL => Coordinates::HalfPixel,
        OMMA_COORDINATES_ALIGN_CORNERS => Coordinates::AlignCorners,
        OMMA_COORDINATES_ASYMMETRIC => Coordinates::Asymmetric,
        _ => bail!(
            InvalidArgument,
            "{op}: coordinates is {value}, which is no OMMA_COORDINATES_…"
        ),
    })
}

fn flags(op: &str, value: u32, known: u32) -> Result<()> {
    ensure!(
        value & !known == 0,
        InvalidArgument,
        "{op}: flags is {value:#x}, known are {known:#x}"
    );
    Ok(())
}

/// Resizes an image to the size of `output`.
///
/// `image` and `output` are (H, W, C) or (H, W), both uint8 or both float32, with the same channels (any number;
/// one to four are fastest) and any strides: a region of interest is a tensor that points into the image, and
/// nothing outside of it is read. They may not overlap in memory.
///
/// Linear, uint8: the very bits of OpenCV's `INTER_LINEAR`, on every CPU. Linear, float32: its weights, computed in
/// float32; NaN and infinity in any of the four samples, even one of weight zero, give NaN or infinity. Nearest:
/// `OMMA_COORDINATES_DEFAULT` is OpenCV's `INTER_NEAREST` and torch's `nearest`, `floor(d * scale)`;
/// `OMMA_COORDINATES_HALF_PIXEL` is the pixel under the centre, torch's `nearest-exact`;
/// `OMMA_COORDINATES_ALIGN_CORNERS` the closest, ties to the larger index. Area: OpenCV's `INTER_AREA`, which is bilinear
/// with weights of its own as soon as one side grows; uint8: its very bits, float32: within rounding. NaN and infinity reach
/// the pixels whose area they are in. Its coordinates are the default. The same size is a copy.
///
/// Cubic: OpenCV's `INTER_CUBIC` (A = -0.75, the border replicated); uint8 within one grey level. `OMMA_RESIZE_ANTIALIAS`, for
/// linear and cubic: the kernel is as wide as the destination's pixels and cubic has A = -0.5, as torch's
/// `interpolate(antialias=True)` and Pillow's filters; uint8, rounded between the axes as there, within one grey level of torch. Of
/// float32, NaN and infinity reach the pixels they are a sample of, even one of weight zero, and may reach those beside.
///
/// Errors: an image without pixels for an output that has some; antialias with nearest or area; coordinates with area.
///
/// # Safety
/// `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_resize(
    ctx: *const OmmaContext,
    params: *const OmmaResizeParams,
    image: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        const OP: &str = "resize";
        // SAFETY: the caller's promise.
        let (call, p) = unsafe {
            let call = Call::new(OP, ctx)?;
            (call, call.params(params)?)
        };
        flags(OP, p.flags, OMMA_RESIZE_ANTIALIAS)?;
        let options = Resize {
            interpolation: interpolation(OP, p.interpolation)?,
            coordinates: coordinates(OP, p.coordinates)?,
            antialias: p.flags & OMMA_RESIZE_ANTIALIAS != 0,
        };
        // SAFETY: the caller's promise.
        unsafe {
            match call.dtype("image", image)? {
                DType::U8 => resize_of::<u8>(&call, &options, image, output),
                DType::F32 => resize_of::<f32>(&call, &options, image, output),
                other => bail!(
                    InvalidArgument,
                    "{OP}: image is {other}, expected uint8 or float32"
                ),
            }
        }
    })
}

/// # Safety
/// As [`omma_resize`].
unsafe fn resize_of<T: Sample>(
    call: &Call<'_>,
    options: &Resize,
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
    resize(call.ctx, options, image.view(), output.view()?)?;
    output.finish()
}

/// Turns an image into the tensor of a network: resizing or letterboxing, channel order, normalisation and
/// layout in one pass.
///
/// `image` is (H, W, C) or (H, W), uint8 or float32, with one to four channels and any strides. `output` is float32,
/// (C, H', W') or (H', W', C) by `layout`, or the same with a leading 1, with any strides, so it may be a slot of a batch. They may not overlap.
///
/// Where the size of the output differs from the image's the image is resized as by `omma_resize`, bilinearly unless
/// `interpolation` says otherwise, bytes to bytes. The result is what `cv2.resize` and then `(v * scale - mean) / std` give, up to the rounding of float32
/// (one fused `v * (scale / std) - mean / std`). With `OMMA_IMAGE_LETTERBOX` the image keeps its proportions and
/// lands where `omma_letterbox` says; the rest is `pad_value`, normalised like a sample. NaN and infinity propagate.
///
/// # Safety
/// `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_image_to_tensor(
    ctx: *const OmmaContext,
    params: *const OmmaImageToTensorParams,
    image: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        const OP: &str = "image_to_tensor";
        // SAFETY: the caller's promise.
        let (call, p) = unsafe {
            let call = Call::new(OP, ctx)?;
            (call, call.params(params)?)
        };
        let known =
            OMMA_IMAGE_SWAP_RB | OMMA_IMAGE_LETTERBOX | OMMA_IMAGE_PAD_VALUE | OMMA_IMAGE_ANTIALIAS;
        flags(OP, p.flags, known)?;
        let defaults = ImageToTensor::default();
        let options = ImageToTensor {
            scale: (p.scale != 0.0).then_some(p.scale),
            mean: p.mean,
            std: p.std.map(|std| if std == 0.0 { 1.0 } else { std }),
            swap_rb: p.flags & OMMA_IMAGE_SWAP_RB != 0,
            letterbox: p.flags & OMMA_IMAGE_LETTERBOX != 0,
            pad_value: match p.flags & OMMA_IMAGE_PAD_VALUE != 0 {
                true => p.pad_value,
                false => defaults.pad_value,
            },
            layout: match p.layout {
                OMMA_LAYOUT_NCHW => Layout::Chw,
                OMMA_LAYOUT_NHWC => Layout::Hwc,
                other => bail!(
                    InvalidArgument,
                    "{OP}: layout is {other}, which is no OMMA_LAYOUT_…"
                ),
            },
            interpolation: interpolation(OP, p.interpolation)?,
            coordinates: coordinates(OP, p.coordinates)?,
            antialias: p.flags & OMMA_IMAGE_ANTIALIAS != 0,
        };
        // SAFETY: the caller's promise.
        unsafe {
            match call.dtype("image", image)? {
                DType::U8 => tensor_of::<u8>(&call, &options, image, output),
                DType::F32 => tensor_of::<f32>(&call, &options, image, output),
                other => bail!(
                    InvalidArgument,
                    "{OP}: image is {other}, expected uint8 or float32"
                ),
            }
        }
    })
}

/// # Safety
/// As [`omma_image_to_tensor`].
unsafe fn tensor_of<T: Sample>(
    call: &Call<'_>,
    options: &ImageToTensor,
    image: *const OmmaTensor,
    output: *const OmmaTensor,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let (image, mut output) = unsafe {
        (
            call.input::<T>("image", image)?,
            call.output::<f32>("output", output)?,
        )
    };
    image_to_tensor(call.ctx, options, image.view(), output.view()?)?;
    output.finish()
}

/// Where an image lands in a frame when it is scaled by
/// `min(frame_height / image_height, frame_width / image_width)`, its sides rounded (ties to even, at least 1), and
/// centred, the odd pixel of a margin to the right and below. As Ultralytics' `LetterBox`.
///
/// # Safety
/// `placement` is NULL (an error) or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_letterbox(
    image_height: i64,
    image_width: i64,
    frame_height: i64,
    frame_width: i64,
    placement: *mut OmmaLetterbox,
) -> OmmaStatus {
    guard(|| {
        const OP: &str = "letterbox";
        let side = |name: &str, value: i64| -> Result<usize> {
            ensure!(
                (1..=i64::from(i32::MAX)).contains(&value),
                InvalidArgument,
                "{OP}: {name} is {value}, expected 1 to {}",
                i32::MAX
            );
            Ok(value as usize)
        };
        let image = (
            side("image_height", image_height)?,
            side("image_width", image_width)?,
        );
        let frame = (
            side("frame_height", frame_height)?,
            side("frame_width", frame_width)?,
        );
        ensure!(
            !placement.is_null(),
            InvalidArgument,
            "{OP}: placement is NULL"
        );
        let place = letterbox(image, frame)?;
        let value = OmmaLetterbox {
            top: place.top as i64,
            left: place.left as i64,
            height: place.height as i64,
            width: place.width as i64,
            scale_y: place.scale_y,
            scale_x: place.scale_x,
        };
        // SAFETY: not NULL, and writable by the caller's promise.
        unsafe { placement.write_unaligned(value) };
        Ok(())
    })
}
