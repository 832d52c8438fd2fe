//! Images at other places: affine and perspective warps, rotation, maps of
//! coordinates, and torch's `grid_sample`.
//!
//! | operator | where a destination pixel looks |
//! |---|---|
//! | [`warp_affine`], [`warp_perspective`] | at a linear function of its place, or a quotient of two |
//! | [`rotate()`] | at its place turned around the centre; quarter turns are exact copies |
//! | [`remap()`], [`Remap`] | wherever two maps say |
//! | [`grid_sample`] | wherever a grid of normalised coordinates says, planes of `f32` |
//!
//! All but the last follow OpenCV 5: coordinates, weights and interpolation in `f32`, the centre of the
//! first pixel at (0, 0).
//!
//! How it is made: the destination is cut into bands of rows (the tasks). For a run of a row coordinates are computed
//! into an array, whatever they come from (`bands`); then one kernel takes the samples (`sample`), or, for vectors of pixels that
//! are partly outside, another (`edge`), and asks for what the rows below will look at.
//! Each pixel is computed by itself, from its place alone, so neither runs nor threads change a bit.

mod affine;
mod bands;
mod border;
mod edge;
mod grid;
mod quarter;
mod remap;
mod rotate;
mod sample;
mod texel;

pub use affine::{warp_affine, warp_perspective};
pub use border::Border;
pub use grid::{GridSample, Padding, grid_sample};
pub use remap::{Remap, remap};
pub use rotate::{rotate, rotated_size};
pub use texel::Texel;

use crate::error::{Result, bail, ensure};
use crate::image::Interpolation;
use crate::image::pixels::Size;
use crate::tensor::{View, ViewMut, forbid_overlap};

/// How samples are made, and what lies outside of the image.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Warp {
    /// Linear, nearest or cubic (A = -0.75).
    pub interpolation: Interpolation,
    /// What lies outside.
    pub border: Border,
    /// The value of each channel outside, for [`Border::Constant`]; bytes round and clamp it.
    pub value: [f32; 4],
}

/// Checks what all operators on two images want; the sizes of both, or `None` when there is nothing to do.
fn check<T: Texel>(
    op: &str,
    options: &Warp,
    image: &View<'_, T>,
    output: &ViewMut<'_, T>,
) -> Result<Option<(Size, Size)>> {
    check_interpolation(op, options)?;
    let src = Size::of(op, "image", image)?;
    let dst = Size::of(op, "output", output)?;
    ensure!(
        src.channels == dst.channels,
        ShapeMismatch,
        "{op}: output has {} channels, image has {}",
        dst.channels,
        src.channels
    );
    ensure!(
        src.channels <= 4,
        Unsupported,
        "{op}: image has {} channels, supported are 1 to 4",
        src.channels
    );
    if output.is_empty() {
        return Ok(None);
    }
    ensure!(
        !image.is_empty(),
        InvalidArgument,
        "{op}: image of shape {:?} has no pixels for an output of shape {:?}",
        image.shape(),
        output.shape()
    );
    forbid_overlap(op, "output", output, "image", image)?;
    Ok(Some((src, dst)))
}

fn check_interpolation(op: &str, options: &Warp) -> Result<()> {
    if options.interpolation == Interpolation::Area {
        bail!(
            InvalidArgument,
            "{op}: interpolation is area, which only resize has; expected linear, nearest or cubic"
        );
    }
    Ok(())
}
