//! `resize`: the public operator, its checks, and the choice of the kernel.

use super::area::Area;
use super::axis::{Axis, Coordinates};
use super::linear_f32::LinearF32;
use super::linear_u8::LinearU8;
use super::median::Median;
use super::nearest;
use super::pixels::{Image, ImageMut, Rows, Size};
use super::rows::{Sink, copy, run};
use super::tensor::Rearrange;
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::tensor::{Element, View, ViewMut, forbid_overlap};

/// How the samples between pixels are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// Bilinear.
    #[default]
    Linear,
    /// The value of one pixel.
    Nearest,
    /// Bicubic, A = -0.75. Not there yet.
    Cubic,
    /// The mean over the area of the destination pixel.
    Area,
}

/// Options of [`resize()`].
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Resize {
    /// How samples are made.
    pub interpolation: Interpolation,
    /// Where they are taken.
    pub coordinates: Coordinates,
    /// Widen the kernel when the image shrinks. Not there yet.
    pub antialias: bool,
}

/// What samples of images can be: `u8` and `f32`.
pub trait Sample: sealed::Sample {}

impl Sample for u8 {}
impl Sample for f32 {}

pub(super) mod sealed {
    use super::*;

    /// The kernels of a sample type.
    #[allow(private_bounds)]
    pub trait Sample: Element + Rearrange + Area + Median {
        /// The scale that makes the usual range of this type 0 to 1.
        const DEFAULT_SCALE: f64;
        /// Bilinear interpolation to `dst` of at least one pixel, row by row into the sink.
        #[allow(private_interfaces, private_bounds)]
        fn linear<K: Sink<Self>>(
            ctx: &Context,
            src: Rows<'_, Self>,
            dst: Size,
            coordinates: Coordinates,
            sink: &K,
        ) -> Result<()>;
    }
}

/// The maps of both axes, x first.
fn axes(coordinates: Coordinates, src: Size, dst: Size) -> (Axis, Axis) {
    (
        Axis::new(coordinates, src.width, dst.width),
        Axis::new(coordinates, src.height, dst.height),
    )
}

impl sealed::Sample for u8 {
    const DEFAULT_SCALE: f64 = 1.0 / 255.0;
    #[allow(private_interfaces, private_bounds)]
    fn linear<K: Sink<u8>>(
        ctx: &Context,
        src: Rows<'_, u8>,
        dst: Size,
        coordinates: Coordinates,
        sink: &K,
    ) -> Result<()> {
        let (across, down) = axes(coordinates, src.size, dst);
        let halve = coordinates == Coordinates::HalfPixel && across.is_half() && down.is_half();
        let producer = LinearU8::new(ctx, src, dst, across, down, halve)?;
        run(ctx, &producer, sink, dst.height, dst.row())
    }
}

impl sealed::Sample for f32 {
    const DEFAULT_SCALE: f64 = 1.0;
    #[allow(private_interfaces, private_bounds)]
    fn linear<K: Sink<f32>>(
        ctx: &Context,
        src: Rows<'_, f32>,
        dst: Size,
        coordinates: Coordinates,
        sink: &K,
    ) -> Result<()> {
        let (across, down) = axes(coordinates, src.size, dst);
        let producer = LinearF32::new(ctx, src, dst, across, down)?;
        run(ctx, &producer, sink, dst.height, dst.row())
    }
}

impl Coordinates {
    /// What `Default` means.
    pub(super) fn or_default(self, interpolation: Interpolation) -> Coordinates {
        match (self, interpolation) {
            (Coordinates::Default, Interpolation::Nearest) => Coordinates::Asymmetric,
            (Coordinates::Default, _) => Coordinates::HalfPixel,
            (given, _) => given,
        }
    }
}

/// Resizes `image` to the size of `output`.
///
/// Both are (H, W, C) or (H, W), of the same type (`u8` or `f32`) and with the
/// same channels, any number of them (one to four are fastest), with any strides. A region of interest is a view:
/// nothing outside of it is read, and its border is the border of the image. The two may not overlap in memory.
///
/// - **Linear, `u8`**: the bits of OpenCV's `INTER_LINEAR` (which is fixed point, so this is
///   the same on every CPU). With `HalfPixel`, halving both sides exactly gives the mean of four, as in OpenCV.
/// - **Linear, `f32`**: weights as in OpenCV, computed in `f32`. A NaN or infinity in any of the
///   four samples, even one of weight zero, gives a NaN or infinity.
/// - **Nearest**: `Coordinates::Default` (which is `Asymmetric` here) is OpenCV's
///   `INTER_NEAREST` and torch's `nearest`: `floor(d scale)`. `HalfPixel` is the pixel under the centre, in exact
///   arithmetic: torch's `nearest-exact`. `AlignCorners` is the closest, ties to the larger index.
/// - **Area**: the mean over the area of the destination pixel, OpenCV's `INTER_AREA`, which is bilinear with weights
///   of its own as soon as one side grows. `u8`: OpenCV's bits, on every tier. `f32`: OpenCV's bits where both sides shrink by ratios
///   that are not both whole, else equal within rounding (of sums in another order). A NaN or infinity reaches exactly the pixels
///   whose cells it is in (where a side grows, as for linear). `coordinates` has to be the default.
/// - The same size is a copy with any options.
///
/// An empty output is legal. `Cubic` and `antialias` are `Unsupported` in this version.
/// For one tier the result has the same bits at any number of threads; for `u8` and for `Nearest` on every tier.
pub fn resize<T: Sample>(
    ctx: &Context,
    options: &Resize,
    image: View<'_, T>,
    output: ViewMut<'_, T>,
) -> Result<()> {
    const OP: &str = "resize";
    ensure!(
        !options.antialias,
        Unsupported,
        "{OP}: antialias is not supported in this version"
    );
    let nearest = match options.interpolation {
        Interpolation::Linear | Interpolation::Area => false,
        Interpolation::Nearest => true,
        Interpolation::Cubic => {
            let name = format!("{:?}", options.interpolation).to_lowercase();
            return Err(crate::error::Error::new(
                crate::error::Status::Unsupported,
                format!(
                    "{OP}: interpolation {name} is not supported in this version, linear, nearest and area are"
                ),
            ));
        }
    };
    ensure!(
        options.interpolation != Interpolation::Area || options.coordinates == Coordinates::Default,
        InvalidArgument,
        "{OP}: coordinates is {:?}, interpolation area has only its own, the default",
        options.coordinates
    );
    let src = Size::of(OP, "image", &image)?;
    let dst = Size::of(OP, "output", &output)?;
    ensure!(
        src.channels == dst.channels,
        ShapeMismatch,
        "{OP}: output has {} channels, image has {}",
        dst.channels,
        src.channels
    );
    if output.is_empty() {
        return Ok(());
    }
    ensure!(
        !image.is_empty(),
        InvalidArgument,
        "{OP}: image of shape {:?} has no pixels for an output of shape {:?}",
        image.shape(),
        output.shape()
    );
    forbid_overlap(OP, "output", &output, "image", &image)?;
    let coordinates = options.coordinates.or_default(options.interpolation);
    let image = Image::open(ctx, &image, src)?;
    let mut output = ImageMut::open(ctx, output, dst)?;
    let (from, to) = (image.rows(), output.rows());
    if src == dst {
        copy(ctx, from, to)?;
    } else if options.interpolation == Interpolation::Area {
        T::area(ctx, from, dst, &to)?;
    } else if nearest {
        let (across, down) = axes(coordinates, src, dst);
        nearest::resize(ctx, from, to, across, down)?;
    } else {
        T::linear(ctx, from, dst, coordinates, &to)?;
    }
    output.finish();
    Ok(())
}
