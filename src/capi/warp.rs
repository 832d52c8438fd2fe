//! Images at other places: warps, rotation, maps, grids.

use super::image::{
    OMMA_INTERPOLATION_AREA, OMMA_INTERPOLATION_CUBIC, OMMA_INTERPOLATION_LINEAR,
    OMMA_INTERPOLATION_NEAREST,
};
use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::error::{Result, bail, ensure};
use crate::image::{
    Border, GridSample, Interpolation, Padding, Remap, Warp, grid_sample, remap, rotate,
    rotated_size, warp_affine, warp_perspective,
};
use crate::tensor::DType;

/// Outside of an image `abcd` is a value: `vv|abcd|vv`.
pub const OMMA_BORDER_CONSTANT: i32 = 0;
/// Outside of an image is its border: `aa|abcd|dd`.
pub const OMMA_BORDER_REPLICATE: i32 = 1;
/// Outside of an image it is mirrored, the border pixels twice: `ba|abcd|dc`.
pub const OMMA_BORDER_REFLECT: i32 = 2;
/// Outside of an image it is mirrored, the border pixels once: `cb|abcd|cb`.
pub const OMMA_BORDER_REFLECT_101: i32 = 3;
/// Outside of an image it is repeated: `cd|abcd|ab`.
pub const OMMA_BORDER_WRAP: i32 = 4;

/// A flag of warps: the matrix goes from output to image. OpenCV's `WARP_INVERSE_MAP`.
pub const OMMA_WARP_INVERSE: u32 = 1;

/// Outside of planes are zeros.
pub const OMMA_PADDING_ZEROS: i32 = 0;
/// Outside of planes are their border pixels.
pub const OMMA_PADDING_BORDER: i32 = 1;
/// Outside of planes they are mirrored, at their edges or, with aligned corners, at the centres of border pixels.
pub const OMMA_PADDING_REFLECTION: i32 = 2;

/// A flag of `OmmaGridSampleParams`: -1 and 1 are the centres of the corner pixels.
pub const OMMA_GRID_SAMPLE_ALIGN_CORNERS: u32 = 1;

/// Options of `omma_warp_affine`; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaWarpAffineParams {
    /// `sizeof(OmmaWarpAffineParams)`.
    pub struct_size: u32,
    /// `OMMA_INTERPOLATION_LINEAR`, `_NEAREST` or `_CUBIC`.
    pub interpolation: i32,
    /// An `OMMA_BORDER_…`.
    pub border: i32,
    /// `OMMA_WARP_…` flags.
    pub flags: u32,
    /// Outside, with `OMMA_BORDER_CONSTANT`: the value of each channel. Bytes round and clamp it.
    pub value: [f32; 4],
    /// Two rows of three. Required.
    pub matrix: [f64; 6],
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaWarpAffineParams {}

/// Options of `omma_warp_perspective`; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaWarpPerspectiveParams {
    /// `sizeof(OmmaWarpPerspectiveParams)`.
    pub struct_size: u32,
    /// `OMMA_INTERPOLATION_LINEAR`, `_NEAREST` or `_CUBIC`.
    pub interpolation: i32,
    /// An `OMMA_BORDER_…`.
    pub border: i32,
    /// `OMMA_WARP_…` flags.
    pub flags: u32,
    /// Outside, with `OMMA_BORDER_CONSTANT`: the value of each channel. Bytes round and clamp it.
    pub value: [f32; 4],
    /// Three rows of three. Required.
    pub matrix: [f64; 9],
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaWarpPerspectiveParams {}

/// Options of `omma_rotate`; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaRotateParams {
    /// `sizeof(OmmaRotateParams)`.
    pub struct_size: u32,
    /// `OMMA_INTERPOLATION_LINEAR`, `_NEAREST` or `_CUBIC`.
    pub interpolation: i32,
    /// An `OMMA_BORDER_…`.
    pub border: i32,
    /// Zero.
    pub reserved: i32,
    /// Outside, with `OMMA_BORDER_CONSTANT`: the value of each channel. Bytes round and clamp it.
    pub value: [f32; 4],
    /// The angle, counter-clockwise.
    pub degrees: f64,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaRotateParams {}

/// Options of `omma_remap` and its plan; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaRemapParams {
    /// `sizeof(OmmaRemapParams)`.
    pub struct_size: u32,
    /// `OMMA_INTERPOLATION_LINEAR`, `_NEAREST` or `_CUBIC`.
    pub interpolation: i32,
    /// An `OMMA_BORDER_…`.
    pub border: i32,
    /// Zero.
    pub reserved: i32,
    /// Outside, with `OMMA_BORDER_CONSTANT`: the value of each channel. Bytes round and clamp it.
    pub value: [f32; 4],
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaRemapParams {}

/// Options of `omma_grid_sample`; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaGridSampleParams {
    /// `sizeof(OmmaGridSampleParams)`.
    pub struct_size: u32,
    /// `OMMA_INTERPOLATION_LINEAR`, `_NEAREST` or `_CUBIC`.
    pub interpolation: i32,
    /// An `OMMA_PADDING_…`.
    pub padding: i32,
    /// `OMMA_GRID_SAMPLE_…` flags.
    pub flags: u32,
}

// SAFETY: repr(C), struct_size first, numbers.
unsafe impl Params for OmmaGridSampleParams {}

/// Maps that are kept; see `omma_remap_create`.
pub struct OmmaRemap {
    plan: Remap,
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

fn options(op: &str, interpolated: i32, border: i32, value: [f32; 4]) -> Result<Warp> {
    Ok(Warp {
        interpolation: interpolation(op, interpolated)?,
        border: match border {
            OMMA_BORDER_CONSTANT => Border::Constant,
            OMMA_BORDER_REPLICATE => Border::Replicate,
            OMMA_BORDER_REFLECT => Border::Reflect,
            OMMA_BORDER_REFLECT_101 => Border::Reflect101,
            OMMA_BORDER_WRAP => Border::Wrap,
            _ => bail!(
                InvalidArgument,
                "{op}: border is {border}, which is no OMMA_BORDER_…"
            ),
        },
        value,
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

fn reserved(op: &str, value: i32) -> Result<()> {
    ensure!(
        value == 0,
        InvalidArgument,
        "{op}: reserved is {value}, expected 0"
    );
    Ok(())
}

/// Runs `$body` with `$image` and `$output` as views of the type that the image has.
macro_rules! on_images {
    ($call:expr, $from:expr, $to:expr, |$image:ident, $output:ident| $body:expr) => {{
        let call = $call;
        // SAFETY: the caller's promise.
        unsafe {
            match call.dtype("image", $from)? {
                DType::U8 => on_images!(u8, call, $from, $to, $image, $output, $body),
                DType::F32 => on_images!(f32, call, $from, $to, $image, $output, $body),
                other => bail!(
                    InvalidArgument,
                    "{}: image is {other}, expected uint8 or float32",
                    call.op
                ),
            }
        }
    }};
    ($t:ty, $call:ident, $from:expr, $to:expr, $image:ident, $output:ident, $body:expr) => {{
        let from = $call.input::<$t>("image", $from)?;
        let mut to = $call.output::<$t>("output", $to)?;
        let ($image, $output) = (from.view(), to.view()?);
        $body?;
        to.finish()
    }};
}

/// Warps an image by a matrix of two rows.
///
/// `matrix` takes a place `(x, y)` of the image to `(m0 x + m1 y + m2, m3 x + m4 y + m5)` of the output and is inverted;
/// with `OMMA_WARP_INVERSE` it takes a place of the output to where its sample is in the image. The centre of the first pixel is (0, 0).
///
/// `image` and `output` are (H, W, C) or (H, W), both uint8 or both float32, with the same one to four channels, of any two sizes and
/// with any strides. They may not overlap in memory. An output without pixels is legal.
///
/// The result is that of OpenCV 5's `warpAffine`: coordinates and interpolation in float32, bytes rounded to nearest,
/// ties to even. Cubic has A = -0.75 and exact weights, where OpenCV rounds them to 1/32 of a pixel. A pixel none of whose samples is inside is
/// `value` with `OMMA_BORDER_CONSTANT`. A coordinate that is NaN, with any border, or infinite, with one that repeats, gives
/// `value` too; infinity with `OMMA_BORDER_REPLICATE` the border pixel. NaN and infinity among samples reach the pixels
/// that they are interpolated into, even with weight zero.
///
/// Errors: a matrix that is not finite, or has no inverse and needs one; an image without pixels for an output that has
/// some; `OMMA_UNSUPPORTED` for more than four channels.
///
/// # Safety
/// `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_warp_affine(
    ctx: *const OmmaContext,
    params: *const OmmaWarpAffineParams,
    image: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        const OP: &str = "warp_affine";
        // SAFETY: the caller's promise.
        let (call, p) = unsafe {
            let call = Call::new(OP, ctx)?;
            (call, call.params(params)?)
        };
        flags(OP, p.flags, OMMA_WARP_INVERSE)?;
        let warp = options(OP, p.interpolation, p.border, p.value)?;
        let inverse = p.flags & OMMA_WARP_INVERSE != 0;
        on_images!(call, image, output, |image, output| warp_affine(
            call.ctx, &warp, &p.matrix, inverse, image, output
        ))
    })
}

/// Warps an image by a matrix of three rows.
///
/// As `omma_warp_affine`, with the place `(m0 x + m1 y + m2, m3 x + m4 y + m5) / (m6 x + m7 y + m8)`; the result is that of
/// OpenCV 5's `warpPerspective`. Where the divisor is zero the coordinate is infinite or NaN; where
/// it is negative the place is behind the viewer, and taken like any other.
///
/// # Safety
/// `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_warp_perspective(
    ctx: *const OmmaContext,
    params: *const OmmaWarpPerspectiveParams,
    image: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        const OP: &str = "warp_perspective";
        // SAFETY: the caller's promise.
        let (call, p) = unsafe {
            let call = Call::new(OP, ctx)?;
            (call, call.params(params)?)
        };
        flags(OP, p.flags, OMMA_WARP_INVERSE)?;
        let warp = options(OP, p.interpolation, p.border, p.value)?;
        let inverse = p.flags & OMMA_WARP_INVERSE != 0;
        on_images!(call, image, output, |image, output| warp_perspective(
            call.ctx, &warp, &p.matrix, inverse, image, output
        ))
    })
}

/// Rotates an image by `degrees`, counter-clockwise as one looks at it, around its centre, which comes to lie at the
/// centre of `output`.
///
/// The size of `output` is free: that of the image cuts the corners, that of `omma_rotated_size` holds all of it.
/// Types, channels, strides, interpolation, borders and errors are as for `omma_warp_affine`. Multiples
/// of 90 degrees are exact copies when the (turned) sides of image and output differ by even numbers, so that pixels fall on
/// pixels.
///
/// # Safety
/// `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_rotate(
    ctx: *const OmmaContext,
    params: *const OmmaRotateParams,
    image: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        const OP: &str = "rotate";
        // SAFETY: the caller's promise.
        let (call, p) = unsafe {
            let call = Call::new(OP, ctx)?;
            (call, call.params(params)?)
        };
        reserved(OP, p.reserved)?;
        let warp = options(OP, p.interpolation, p.border, p.value)?;
        on_images!(call, image, output, |image, output| rotate(
            call.ctx, &warp, p.degrees, image, output
        ))
    })
}

/// The canvas on which nothing is cut when an image is rotated: the extent of its rotated corners,
/// `ceil(max) - floor(min)`, as Pillow; for multiples of 90 degrees the sides themselves. An image without pixels has an empty canvas.
///
/// # Safety
/// `height` and `width` are NULL (an error) or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_rotated_size(
    image_height: i64,
    image_width: i64,
    degrees: f64,
    height: *mut i64,
    width: *mut i64,
) -> OmmaStatus {
    guard(|| {
        const OP: &str = "rotated_size";
        let side = |name: &str, value: i64| -> Result<usize> {
            ensure!(
                (0..=i64::from(i32::MAX)).contains(&value),
                InvalidArgument,
                "{OP}: {name} is {value}, expected 0 to {}",
                i32::MAX
            );
            Ok(value as usize)
        };
        let image = (
            side("image_height", image_height)?,
            side("image_width", image_width)?,
        );
        ensure!(!height.is_null(), InvalidArgument, "{OP}: height is NULL");
        ensure!(!width.is_null(), InvalidArgument, "{OP}: width is NULL");
        let size = rotated_size(image, degrees)?;
        // SAFETY: not NULL, and writable by the caller's promise.
        unsafe {
            height.write_unaligned(size.0 as i64);
            width.write_unaligned(size.1 as i64);
        }
        Ok(())
    })
}

/// Takes each pixel of `output` from a place of `image` that two maps tell.
///
/// `map_x` and `map_y` are float32 (H', W') like the output, in pixels of the image, the centre of the first one at
/// (0, 0). The result is that of OpenCV 5's `remap` with two `CV_32FC1` maps; all else is as for `omma_warp_affine`. The output may
/// overlap neither image nor maps.
///
/// Maps that are used more than once can be kept: `omma_remap_create`.
///
/// # Safety
/// `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_remap(
    ctx: *const OmmaContext,
    params: *const OmmaRemapParams,
    image: *const OmmaTensor,
    map_x: *const OmmaTensor,
    map_y: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        const OP: &str = "remap";
        // SAFETY: the caller's promise.
        let (call, p, x, y) = unsafe {
            let call = Call::new(OP, ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("map_x", map_x)?,
                call.input::<f32>("map_y", map_y)?,
            )
        };
        reserved(OP, p.reserved)?;
        let warp = options(OP, p.interpolation, p.border, p.value)?;
        on_images!(call, image, output, |image, output| remap(
            call.ctx,
            &warp,
            image,
            x.view(),
            y.view(),
            output
        ))
    })
}

/// Keeps maps: a plan that remaps any number of images of any size, uint8 and float32. Arguments as for `omma_remap`; the maps
/// are not needed afterwards.
///
/// A plan is immutable: any number of threads may run it at once, with a context they share or one each. It does not need the
/// context that made it, but its memory comes from that context's allocator. Destroy it with
/// `omma_remap_destroy`. The result has the very bits of `omma_remap`.
///
/// # Safety
/// As for `omma_remap`; `plan` is NULL or valid for writing a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_remap_create(
    ctx: *const OmmaContext,
    params: *const OmmaRemapParams,
    map_x: *const OmmaTensor,
    map_y: *const OmmaTensor,
    plan: *mut *mut OmmaRemap,
) -> OmmaStatus {
    guard(|| {
        const OP: &str = "remap";
        // SAFETY: the caller's promise.
        let (call, slot, p, x, y) = unsafe {
            let call = Call::new(OP, ctx)?;
            (
                call,
                call.out("plan", plan)?,
                call.params(params)?,
                call.input::<f32>("map_x", map_x)?,
                call.input::<f32>("map_y", map_y)?,
            )
        };
        reserved(OP, p.reserved)?;
        let warp = options(OP, p.interpolation, p.border, p.value)?;
        let plan = Remap::new(call.ctx, &warp, x.view(), y.view())?;
        *slot = Box::into_raw(Box::new(OmmaRemap { plan }));
        Ok(())
    })
}

/// Remaps `image` to `output` with a plan; both as for `omma_remap`.
///
/// # Safety
/// `plan` is NULL or a living plan; `ctx` is NULL or a living context; tensors are NULL or as their type says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_remap_run(
    ctx: *const OmmaContext,
    plan: *const OmmaRemap,
    image: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's promise.
        let (call, plan) = unsafe {
            let call = Call::new("remap", ctx)?;
            (call, call.required("plan", plan)?)
        };
        on_images!(call, image, output, |image, output| plan
            .plan
            .run(call.ctx, image, output))
    })
}

/// Frees a plan that no call uses any more. NULL is ignored.
///
/// # Safety
/// `plan` is NULL or comes from `omma_remap_create` and was not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_remap_destroy(plan: *mut OmmaRemap) {
    if !plan.is_null() {
        // SAFETY: made by `Box::into_raw`, destroyed once.
        drop(unsafe { Box::from_raw(plan) });
    }
}

/// Samples the planes of `input` (N, C, H, W) at the places of `grid` (N, H', W', 2), x first, to `output` (N, C, H', W'), all float32, as
/// `torch.nn.functional.grid_sample`.
///
/// -1 and 1 are the edges of the planes, or with `OMMA_GRID_SAMPLE_ALIGN_CORNERS` the centres of the corner pixels. Cubic
/// has A = -0.75. Nearest is the closest pixel, ties to even. A coordinate that is NaN counts as outside with
/// `OMMA_PADDING_ZEROS`, and as the first pixel else. NaN and infinity among samples reach the pixels that they are interpolated into, even with weight
/// zero; what is outside counts as zero.
///
/// Any strides; the output may overlap neither input nor grid. Errors: shapes that do not fit; planes without pixels for an
/// output that has some.
///
/// # Safety
/// `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_grid_sample(
    ctx: *const OmmaContext,
    params: *const OmmaGridSampleParams,
    input: *const OmmaTensor,
    grid: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        const OP: &str = "grid_sample";
        // SAFETY: the caller's promise.
        let (call, p, x, grid, mut y) = unsafe {
            let call = Call::new(OP, ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("input", input)?,
                call.input::<f32>("grid", grid)?,
                call.output::<f32>("output", output)?,
            )
        };
        flags(OP, p.flags, OMMA_GRID_SAMPLE_ALIGN_CORNERS)?;
        let options = GridSample {
            interpolation: interpolation(OP, p.interpolation)?,
            padding: match p.padding {
                OMMA_PADDING_ZEROS => Padding::Zeros,
                OMMA_PADDING_BORDER => Padding::Border,
                OMMA_PADDING_REFLECTION => Padding::Reflection,
                other => bail!(
                    InvalidArgument,
                    "{OP}: padding is {other}, which is no OMMA_PADDING_…"
                ),
            },
            align_corners: p.flags & OMMA_GRID_SAMPLE_ALIGN_CORNERS != 0,
        };
        grid_sample(call.ctx, &options, x.view(), grid.view(), y.view()?)?;
        y.finish()
    })
}
