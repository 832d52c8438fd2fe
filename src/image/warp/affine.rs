//! `warp_affine` and `warp_perspective`.

use super::bands::{Matrix, run};
use super::texel::Texel;
use super::{Warp, check};
use crate::error::{Result, ensure};
use crate::image::pixels::{Image, ImageMut};
use crate::runtime::Context;
use crate::tensor::{View, ViewMut};

/// Warps `image` to `output` by a matrix of two rows.
///
/// Without `inverse`, `matrix` takes a place of the image to its place in the output,
/// `(m0 x + m1 y + m2, m3 x + m4 y + m5)`, and is inverted; with it (OpenCV's `WARP_INVERSE_MAP`) it takes
/// a place of the output to where its sample is in the image. The centre of the first pixel is (0, 0).
///
/// Both are (H, W, C) or (H, W), of the same type (`u8` or `f32`) and with the same one to four channels, of any
/// two sizes and with any strides. They may not overlap in memory. An empty output is legal.
///
/// The result is OpenCV 5's `warpAffine`: a coordinate is `fma(m0, x, f32(m1 y + m2))`, with what depends on `y` in
/// `f64`; linear interpolation is along x, then y, as `fma(f, b - a, a)`; bytes are rounded to nearest, ties to even; nearest is the
/// closest pixel, ties to even. Cubic, and two channels, have exact places (OpenCV rounds those to 1/32 of a pixel).
///
/// A pixel none of whose samples is inside is `value` with [`Border::Constant`](super::Border::Constant), exactly. A coordinate that is NaN, with any border, or
/// infinite, with a border that repeats, gives `value` too; infinity with `Replicate` is the border pixel.
/// NaN and infinity among the samples of an `f32` image, those outside included, reach every pixel that they are
/// interpolated into, even with weight zero.
///
/// Errors: a matrix that is not finite, or has no inverse and needs one; more than four channels; an image without pixels
/// for an output that has some. For one tier the result has the same bits at any number of threads.
pub fn warp_affine<T: Texel>(
    ctx: &Context,
    options: &Warp,
    matrix: &[f64; 6],
    inverse: bool,
    image: View<'_, T>,
    output: ViewMut<'_, T>,
) -> Result<()> {
    const OP: &str = "warp_affine";
    check_finite(OP, matrix)?;
    let m = match inverse {
        true => *matrix,
        false => invert_affine(OP, matrix)?,
    };
    let m = [m[0], m[1], m[2], m[3], m[4], m[5], 0.0, 0.0, 1.0];
    warp(OP, ctx, options, m, false, image, output)
}

/// Warps `image` to `output` by a matrix of three rows.
///
/// As [`warp_affine`], with the place `(m0 x + m1 y + m2, m3 x + m4 y + m5) / (m6 x + m7 y + m8)`.
/// The result is OpenCV 5's `warpPerspective`. Where the divisor is zero the coordinate is infinite or
/// NaN; where it is negative the place is behind the viewer, and taken like any other. Where it is nearly zero places are
/// so far away that `f32` has few bits for their fraction: with borders that repeat, samples there may be off by more than
/// a grey level, and so may OpenCV's, which computes in `f32` too, and not at the same pixels.
pub fn warp_perspective<T: Texel>(
    ctx: &Context,
    options: &Warp,
    matrix: &[f64; 9],
    inverse: bool,
    image: View<'_, T>,
    output: ViewMut<'_, T>,
) -> Result<()> {
    const OP: &str = "warp_perspective";
    check_finite(OP, matrix)?;
    let m = match inverse {
        true => *matrix,
        false => invert_perspective(OP, matrix)?,
    };
    warp(OP, ctx, options, m, true, image, output)
}

fn check_finite(op: &str, matrix: &[f64]) -> Result<()> {
    ensure!(
        matrix.iter().all(|m| m.is_finite()),
        InvalidArgument,
        "{op}: matrix is {matrix:?}, which is not finite"
    );
    Ok(())
}

fn warp<T: Texel>(
    op: &str,
    ctx: &Context,
    options: &Warp,
    m: [f64; 9],
    perspective: bool,
    image: View<'_, T>,
    output: ViewMut<'_, T>,
) -> Result<()> {
    let Some((src, dst)) = check(op, options, &image, &output)? else {
        return Ok(());
    };
    let image = Image::open(ctx, &image, src)?;
    let mut output = ImageMut::open(ctx, output, dst)?;
    let look = Matrix { m, perspective };
    run(ctx, options, image.rows(), output.rows(), &look)?;
    output.finish();
    Ok(())
}

/// The inverse of an affine matrix, in the order of operations of OpenCV.
fn invert_affine(op: &str, m: &[f64; 6]) -> Result<[f64; 6]> {
    let determinant = m[0] * m[4] - m[1] * m[3];
    let d = 1.0 / determinant;
    let (a, b, c, e) = (m[4] * d, m[1] * -d, m[3] * -d, m[0] * d);
    let inverse = [a, b, -a * m[2] - b * m[5], c, e, -c * m[2] - e * m[5]];
    invertible(op, m, determinant, &inverse)?;
    Ok(inverse)
}

/// The inverse of a matrix of three rows, in the order of operations of OpenCV.
fn invert_perspective(op: &str, m: &[f64; 9]) -> Result<[f64; 9]> {
    let minor = |a: usize, b: usize, c: usize, d: usize| m[a] * m[b] - m[c] * m[d];
    let determinant =
        m[0] * minor(4, 8, 5, 7) - m[1] * minor(3, 8, 5, 6) + m[2] * minor(3, 7, 4, 6);
    let d = 1.0 / determinant;
    let inverse = [
        minor(4, 8, 5, 7) * d,
        minor(2, 7, 1, 8) * d,
        minor(1, 5, 2, 4) * d,
        minor(5, 6, 3, 8) * d,
        minor(0, 8, 2, 6) * d,
        minor(2, 3, 0, 5) * d,
        minor(3, 7, 4, 6) * d,
        minor(1, 6, 0, 7) * d,
        minor(0, 4, 1, 3) * d,
    ];
    invertible(op, m, determinant, &inverse)?;
    Ok(inverse)
}

fn invertible(op: &str, m: &[f64], determinant: f64, inverse: &[f64]) -> Result<()> {
    ensure!(
        inverse.iter().all(|v| v.is_finite()),
        InvalidArgument,
        "{op}: matrix {m:?} has determinant {determinant:e} and no inverse"
    );
    Ok(())
}
