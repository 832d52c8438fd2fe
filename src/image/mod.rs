//! Image geometry: from the pixels of a camera or a file to the tensor that a
//! network wants.
//!
//! Images are (H, W, C) or (H, W), of `u8` or `f32`. Rows may have any stride
//! (a region of interest is a view, not a copy); pixels whose samples are not
//! next to each other are packed into scratch first.
//!
//! | operator | what it does |
//! |---|---|
//! | [`resize()`] | nearest and bilinear; `u8` bilinear has OpenCV's bits on every tier |
//! | [`median_blur`] | the median of a square window |
//! | [`image_to_tensor`] | resize or letterbox, channel order, mean and std, layout, in one pass |
//! | [`warp_affine`], [`warp_perspective`], [`rotate()`], [`remap()`], [`Remap`] | pixels from other places, by a matrix or by maps |
//! | [`grid_sample`] | planes of `f32` at normalised coordinates, as torch |
//! | [`letterbox()`] | where an image lands in a frame of other proportions, and the way back for boxes |
//!
//! How it is made: a *producer* (`linear_u8`, `linear_f32`, `rows::Plain`) makes rows of the
//! destination in a buffer that stays in the first-level cache, a *sink* takes them to their place:
//! straight into the output, or through the normalisation into the planes of a tensor. Bands of rows
//! are the tasks; which bands there are depends on the sizes alone, and every row is computed by
//! itself, so the result does not depend on the number of threads.

mod area;
mod axis;
mod filter;
mod halve;
mod letterbox;
mod linear_f32;
mod linear_u8;
mod median;
mod nearest;
mod pixels;
mod resize;
mod rows;
mod tensor;
mod warp;

pub use axis::Coordinates;
pub use letterbox::{Letterbox, letterbox};
pub use median::{MedianBlur, MedianBorder, median_blur};
pub use resize::{Interpolation, Resize, Sample, resize};
pub use tensor::{ImageToTensor, Layout, image_to_tensor};
pub use warp::{
    Border, GridSample, Padding, Remap, Texel, Warp, grid_sample, remap, rotate, rotated_size,
    warp_affine, warp_perspective,
};
