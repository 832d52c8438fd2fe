//! `resize`: the public operator, its checks, and the choice of the kernel.

use super::area::Area;
use super::axis::{Axis, Coordinates};
use super::filter::{Filter, Kernel};
use super::halve::HalveU8;
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
    /// Bicubic, A = -0.75; with antialias A = -0.5.
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
    /// Widen the kernel when the image shrinks, for linear and cubic: torch's and Pillow's `antialias`.
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
    pub trait Sample: Element + Rearrange + Area + Median + Filter {
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
        if halve && HalveU8::takes(dst.channels) {
            return run(
                ctx,
                &HalveU8::new(ctx, src, dst),
                sink,
                dst.height,
                dst.row(),
            );
        }
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
        run(ctx, &producer, sink, dst.height, producer.row_work())
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

impl Resize {
    /// Finds options that do not go together.
    pub(super) fn check(&self, op: &str) -> Result<()> {
        ensure!(
            self.interpolation != Interpolation::Area || self.coordinates == Coordinates::Default,
            InvalidArgument,
            "{op}: coordinates is {:?}, interpolation area has only its own, the default",
            self.coordinates
        );
        ensure!(
            !self.antialias
                || matches!(
                    self.interpolation,
                    Interpolation::Linear | Interpolation::Cubic
                ),
            InvalidArgument,
            "{op}: antialias is for interpolation linear and cubic, interpolation is {:?}",
            self.interpolation
        );
        Ok(())
    }

    /// Makes all rows of an image of another size into the sink, by any interpolation but nearest.
    pub(super) fn smooth<T: Sample, K: Sink<T>>(
        &self,
        ctx: &Context,
        src: Rows<'_, T>,
        dst: Size,
        sink: &K,
    ) -> Result<()> {
        let coordinates = self.coordinates.or_default(self.interpolation);
        match (self.interpolation, self.antialias) {
            (Interpolation::Area, _) => T::area(ctx, src, dst, sink),
            (Interpolation::Cubic, false) => {
                T::filter(ctx, Kernel::Cubic, coordinates, src, dst, sink)
            }
            (Interpolation::Cubic, true) => {
                T::filter(ctx, Kernel::WideCubic, coordinates, src, dst, sink)
            }
            (_, true) => T::filter(ctx, Kernel::WideLinear, coordinates, src, dst, sink),
            (_, false) => T::linear(ctx, src, dst, coordinates, sink),
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
///   four samples, even one of weight zero, gives a NaN or infinity (where the width stays as it is, and where a row of the source is met exactly, the neighbour is none of them).
/// - **Nearest**: `Coordinates::Default` (which is `Asymmetric` here) is OpenCV's
///   `INTER_NEAREST` and torch's `nearest`: `floor(d scale)`. `HalfPixel` is the pixel under the centre, in exact
///   arithmetic: torch's `nearest-exact`. `AlignCorners` is the closest, ties to the larger index.
/// - **Area**: the mean over the area of the destination pixel, OpenCV's `INTER_AREA`, which is bilinear with weights
///   of its own as soon as one side grows. `u8`: OpenCV's bits, on every tier. `f32`: OpenCV's bits where both sides shrink by ratios
///   that are not both whole, else equal within rounding (of sums in another order). A NaN or infinity reaches exactly the pixels
///   whose cells it is in (where a side grows, as for linear). `coordinates` has to be the default.
/// - The same size is a copy with any options.
///
/// - **Cubic**: OpenCV's `INTER_CUBIC` (A = -0.75; beyond the border the nearest pixel). `u8`: OpenCV's fixed point to within one
///   grey level, with 1/64 of a level between the axes. `f32`: its weights, fused.
/// - **`antialias`**, for linear and cubic: the kernel is as wide as the destination's pixels, the weights inside of the image sum to one,
///   and cubic has A = -0.5: torch's `interpolate(antialias=True)` and Pillow's `BILINEAR` and `BICUBIC`. `u8`
///   is rounded to bytes between the axes as there, and within one grey level of either. Where the image
///   grows, linear is bilinear. (With `AlignCorners` the kernel stands at that position; torch's stands elsewhere.)
/// - Cubic and antialias in `f32`: a NaN or infinity reaches the pixels that it is a sample of, even one of weight zero, and may reach
///   those that have it right beside their samples.
///
/// An empty output is legal. Errors: `antialias` with nearest or area; coordinates with area.
/// For one tier the result has the same bits at any number of threads; for `u8` and for `Nearest` on every tier.
pub fn resize<T: Sample>(
    ctx: &Context,
    options: &Resize,
    image: View<'_, T>,
    output: ViewMut<'_, T>,
) -> Result<()> {
    const OP: &str = "resize";
    options.check(OP)?;
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
    let image = Image::open(ctx, &image, src)?;
    let mut output = ImageMut::open(ctx, output, dst)?;
    let (from, to) = (image.rows(), output.rows());
    if src == dst {
        copy(ctx, from, to)?;
    } else if options.interpolation == Interpolation::Nearest {
        let (across, down) = axes(
            options.coordinates.or_default(options.interpolation),
            src,
            dst,
        );
        nearest::resize(ctx, from, to, across, down)?;
    } else {
        options.smooth(ctx, from, dst, &to)?;
    }
    output.finish();
    Ok(())
}
