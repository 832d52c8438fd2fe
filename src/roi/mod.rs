//! Regions of interest: bins of boxes sampled from maps.
//!
//! `x` is (N, C, H, W) or, with [`Layout::Nhwc`](crate::tensor::Layout), (N, H, W, C). `rois` is (K, 5) as in
//! torchvision: the image that a RoI is in, as a number without fraction, and x1, y1, x2, y2; or (K, 4) with the images in
//! `batch_indices` (K), as in ONNX. Coordinates are multiplied by `spatial_scale`, which brings them to
//! the scale of the map. The output is (K, C, PH, PW) or (K, PH, PW, C).
//!
//! RoIs of any kind are legal but for those of an image that is not there: a RoI with a coordinate that is NaN or
//! infinite, or whose size overflows, samples nothing; RoIs that are huge or far off cost no
//! more than the part of the map that they cover. Bins are 0 where nothing is sampled.

mod align;
mod align_backward;
mod combine;
mod forward;
mod grid;
mod lanes;
mod pool;
mod pool_backward;
mod regions;
mod source;

pub use align::{RoiAlignMode, RoiAlignParams, roi_align};
pub use align_backward::roi_align_backward;
pub use pool::{RoiPoolParams, roi_pool};
pub use pool_backward::roi_pool_backward;
