//! Boxes: overlap measures and non-maximum suppression.
//!
//! A set of boxes is an array (N, 4) of f32 in one of three formats
//! ([`BoxFormat`]). Everything works on corners (x1, y1, x2, y2); the other
//! formats are converted on the way in with the arithmetic of torchvision's
//! `box_convert`. With `offset` 1 a box ends with its last pixel included, so
//! that sides are `x2 - x1 + 1`.
//!
//! No operation here is fused or reassociated: every tier gives the same bits,
//! and suppression decides exactly as torchvision's does.

mod batch;
mod convert;
mod format;
mod greedy;
mod grid;
mod images;
mod iou;
mod iou_3d;
mod matrix;
mod nms;
mod order;
mod rule;
mod soft;
mod yolo;

pub use convert::box_convert;
pub use format::BoxFormat;
pub use images::nms_per_image;
pub use iou::{BoxIouParams, IouKind, box_iou, box_iou_elementwise};
pub use iou_3d::box_iou_3d;
pub use matrix::{MatrixNmsMethod, MatrixNmsParams, matrix_nms};
pub use nms::{NmsParams, batched_nms, nms};
pub use rule::Overlap;
pub use soft::{SoftNmsMethod, SoftNmsParams, soft_nms};
pub use yolo::{YoloDecodeParams, YoloHead, YoloOutputs, yolo_decode};
