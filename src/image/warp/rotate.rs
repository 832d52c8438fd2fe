//! `rotate`: an image turned around its centre.

use super::bands::{Matrix, run};
use super::quarter::quarter_turn;
use super::texel::Texel;
use super::{Warp, check};
use crate::error::{Result, ensure};
use crate::image::pixels::{Image, ImageMut};
use crate::runtime::Context;
use crate::tensor::{View, ViewMut};

/// Cosine and sine of an angle in degrees, exact for multiples of 90, and how many of those
/// it is, if it is.
fn turn(op: &str, degrees: f64) -> Result<(f64, f64, Option<usize>)> {
    ensure!(
        degrees.is_finite(),
        InvalidArgument,
        "{op}: degrees is {degrees}, which is not finite"
    );
    let degrees = degrees.rem_euclid(360.0);
    let exact = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)];
    if degrees % 90.0 == 0.0 {
        let quarters = (degrees / 90.0) as usize % 4;
        return Ok((exact[quarters].0, exact[quarters].1, Some(quarters)));
    }
    let (sin, cos) = degrees.to_radians().sin_cos();
    Ok((cos, sin, None))
}

/// The (height, width) of the canvas on which nothing of an image of (height, width) is cut when it is
/// rotated: the extent of its rotated corners, `ceil(max) - floor(min)`, as Pillow; for multiples of 90 degrees
/// the sides themselves. An image without pixels has an empty canvas.
pub fn rotated_size(size: (usize, usize), degrees: f64) -> Result<(usize, usize)> {
    const OP: &str = "rotate";
    let (cos, sin, quarters) = turn(OP, degrees)?;
    let (height, width) = size;
    let limit = i32::MAX as usize;
    ensure!(
        height <= limit && width <= limit,
        Unsupported,
        "{OP}: image of {height} x {width} has a side of more than {limit}"
    );
    match quarters {
        _ if height == 0 || width == 0 => return Ok((0, 0)),
        Some(0 | 2) => return Ok(size),
        Some(_) => return Ok((width, height)),
        None => {}
    }
    let (h, w) = (height as f64, width as f64);
    let side = |along: f64, across: f64, len: f64| {
        // The corners around the centre, which is at half the side that they replace. Sines that
        // are a rounding error away from what makes an integer make that integer.
        let reach = (along.abs() + across.abs()) / 2.0;
        let snap = |v: f64| match (v - v.round()).abs() < 1e-9 {
            true => v.round(),
            false => v,
        };
        (snap(len / 2.0 + reach).ceil() - snap(len / 2.0 - reach).floor()) as usize
    };
    Ok((side(h * cos, w * sin, h), side(w * cos, h * sin, w)))
}

/// Rotates `image` by `degrees`, counter-clockwise as one looks at it, around its centre, which comes
/// to lie at the centre of `output`.
///
/// The size of `output` is free: that of the image cuts the corners, [`rotated_size`] holds all of it. Types,
/// channels, strides, interpolation, borders and errors are as for [`warp_affine`](super::warp_affine()).
///
/// Multiples of 90 degrees are exact copies, whatever the interpolation, when the (turned) sides of
/// image and output differ by even numbers, so that pixels fall on pixels; other pixels are interpolated
/// half way.
pub fn rotate<T: Texel>(
    ctx: &Context,
    options: &Warp,
    degrees: f64,
    image: View<'_, T>,
    output: ViewMut<'_, T>,
) -> Result<()> {
    const OP: &str = "rotate";
    let (cos, sin, quarters) = turn(OP, degrees)?;
    let Some((src, dst)) = check(OP, options, &image, &output)? else {
        return Ok(());
    };
    let image = Image::open(ctx, &image, src)?;
    let mut output = ImageMut::open(ctx, output, dst)?;
    let turned = match quarters {
        Some(1 | 3) => (src.width, src.height),
        _ => (src.height, src.width),
    };
    match quarters {
        Some(quarters) if turned == (dst.height, dst.width) => {
            quarter_turn(ctx, quarters, image.rows(), output.rows())?;
        }
        _ => {
            // From the output's centre to the image's; y points down.
            let centre = |len: usize| (len as f64 - 1.0) / 2.0;
            let (x, y) = (centre(dst.width), centre(dst.height));
            let m = [
                cos,
                -sin,
                centre(src.width) - cos * x + sin * y,
                sin,
                cos,
                centre(src.height) - sin * x - cos * y,
                0.0,
                0.0,
                1.0,
            ];
            let look = Matrix {
                m,
                perspective: false,
            };
            run(ctx, options, image.rows(), output.rows(), &look)?;
        }
    }
    output.finish();
    Ok(())
}
