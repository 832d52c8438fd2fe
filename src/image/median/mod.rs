//! The median of the square window around each pixel.
//!
//! | samples | window | how |
//! |---|---|---|
//! | any | 3 | minima and maxima in registers: [`three`] |
//! | any | 5, 7, 9 | sorting networks over whole vectors: [`small`] |
//! | `u8` | larger | histograms of columns, a step per pixel whatever the window: [`histogram`] |
//! | `f32` | larger | ranks instead of values, in a set of bits: [`ordinal`] |
//!
//! Each is exact, so there is one result on every tier and at any number of threads.

mod histogram;
mod networks;
mod order;
mod ordinal;
mod small;
mod three;

use super::pixels::{Image, ImageMut, Rows, RowsMut, Size};
use super::resize::Sample;
use super::rows::{band_rows, copy};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::dispatch;
use crate::tensor::{View, ViewMut, forbid_overlap};
pub(super) use order::Ordered;
use small::Small;
use three::Three;

/// What lies beyond the border of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MedianBorder {
    /// The nearest pixel.
    #[default]
    Replicate,
    /// Zero.
    Constant,
}

use MedianBorder as Border;

impl Border {
    /// The row of the image at position `y - before` of `height`; `None` for zeros.
    #[inline(always)]
    fn row(self, y: usize, before: usize, height: usize) -> Option<usize> {
        match self {
            Border::Replicate => Some(y.saturating_sub(before).min(height - 1)),
            Border::Constant => y.checked_sub(before).filter(|&y| y < height),
        }
    }
}

/// Options of [`median_blur`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MedianBlur {
    /// The side of the window, odd.
    pub ksize: usize,
    /// What the window sees outside of the image.
    pub border: MedianBorder,
}

/// The largest side of a window: its samples are counted in 32 bits.
const LARGEST: usize = 32767;

/// The median of the `ksize` by `ksize` window around each pixel, channel by channel.
///
/// `image` and `output` are (H, W, C) or (H, W), of the same shape and type (`u8` or `f32`), with any number of channels
/// and any strides. They may not overlap in memory. A region of interest is a view: nothing outside of it is read.
///
/// The result is exact: a value of the window with as many values before it as behind it. With
/// `MedianBorder::Replicate` it is OpenCV's `medianBlur` (which for `f32` has 3 and 5 only) and
/// `scipy.ndimage.median_filter(mode="nearest")`, with `Constant` the latter's `mode="constant"`.
///
/// NaN counts as larger than any number, as in numpy's sort, and the result is a NaN (the quiet one without payload) where more than
/// half of the window is NaN; -0 counts as less than +0.
///
/// Errors: a `ksize` that is even, zero or above 32767. An empty image is legal.
pub fn median_blur<T: Sample>(
    ctx: &Context,
    options: &MedianBlur,
    image: View<'_, T>,
    output: ViewMut<'_, T>,
) -> Result<()> {
    const OP: &str = "median_blur";
    let ksize = options.ksize;
    ensure!(
        ksize % 2 == 1 && ksize <= LARGEST,
        InvalidArgument,
        "{OP}: ksize is {ksize}, expected an odd number from 1 to {LARGEST}"
    );
    let size = Size::of(OP, "image", &image)?;
    ensure!(
        image.shape() == output.shape(),
        ShapeMismatch,
        "{OP}: output has shape {:?}, image has {:?}",
        output.shape(),
        image.shape()
    );
    if output.is_empty() {
        return Ok(());
    }
    forbid_overlap(OP, "output", &output, "image", &image)?;
    let image = Image::open(ctx, &image, size)?;
    let mut output = ImageMut::open(ctx, output, size)?;
    let (src, dst) = (image.rows(), output.rows());
    match ksize {
        1 => copy(ctx, src, dst)?,
        3 => {
            let border = options.border;
            let filter = Three { src, dst, border };
            let band = band_rows(size.height, size.row());
            let (isa, tasks) = (ctx.isa(), size.height.div_ceil(band));
            ctx.parallel_for_scratch::<u8>(tasks, filter.scratch(), |task, scratch| {
                let rows = task * band..((task + 1) * band).min(size.height);
                // SAFETY: bands are disjoint.
                dispatch!(isa, simd => unsafe { filter.band(simd, rows, scratch) });
            })?;
        }
        5 | 7 | 9 => {
            let filter = Small {
                src,
                dst,
                ksize,
                border: options.border,
            };
            // The work of a sample grows with the window.
            let band = band_rows(size.height, size.row().saturating_mul(ksize * ksize / 8));
            let (isa, tasks) = (ctx.isa(), size.height.div_ceil(band));
            ctx.parallel_for_scratch::<u8>(tasks, filter.scratch(), |task, scratch| {
                let rows = task * band..((task + 1) * band).min(size.height);
                // SAFETY: bands are disjoint.
                dispatch!(isa, simd => unsafe { filter.band(simd, rows, scratch) });
            })?;
        }
        _ => T::large(ctx, src, dst, ksize, options.border)?,
    }
    output.finish();
    Ok(())
}

/// Samples that have a median in windows of any size.
pub(super) trait Median: Ordered {
    /// Windows that are too large for networks.
    fn large(
        ctx: &Context,
        src: Rows<'_, Self>,
        dst: RowsMut<'_, Self>,
        ksize: usize,
        border: MedianBorder,
    ) -> Result<()>;
}
