//! Convolution: `activation(x * w + bias + residual)` for NCHW and NHWC images,
//! with stride, dilation, asymmetric zero padding and groups.
//!
//! Every kernel sums register tiles whose operands are read where they lie, or
//! from a padded copy of the few rows that a task sees; the unfolded image
//! (im2col) never exists as a whole. Which copy, which tile and which
//! split is chosen by shape:
//!
//! - [`nchw`]: output channels in rows, pixels in lanes;
//! - [`nhwc`]: pixels in rows, output channels in lanes;
//! - [`depthwise`]: each channel by itself, in both layouts.
//!
//! A transposed convolution ([`transpose`]) is a number of these; a deformable one ([`deform`]) is a product
//! whose right side is sampled.
//!
//! Layers that can be taken in beforehand are in [`fold`].
//!
//! [`conv2d`] does one call, a [`Conv2d`] keeps the packed weight for many.

mod deform;
mod depthwise;
mod finish;
mod fold;
mod gather;
mod implicit;
mod nchw;
mod nhwc;
mod params;
mod plan;
mod tile;
mod transpose;
mod weights;
mod winograd;

pub use deform::{DeformConv2dParams, deform_conv2d};
pub use fold::{
    BatchNorm, ReceptiveField, Window, fold_batch_norm, merge_conv2d_avg_pool2d,
    merge_parallel_conv2d, receptive_field,
};
pub use params::{Algorithm, Conv2dParams, Layout};
pub use plan::{Conv2d, conv2d};
pub use transpose::{ConvTranspose2d, ConvTranspose2dParams, conv_transpose2d};
