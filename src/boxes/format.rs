//! Box formats, and the planes that kernels read.

use crate::error::{Result, ensure};
use crate::tensor::{View, expect_rank};

/// How the four numbers of a box are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BoxFormat {
    /// Two corners: x1, y1, x2, y2.
    #[default]
    Xyxy,
    /// A corner and the size: x1, y1, width, height.
    Xywh,
    /// The centre and the size: cx, cy, width, height.
    Cxcywh,
    /// Two opposite corners in any order, as ONNX and TensorFlow allow.
    Corners,
}

impl BoxFormat {
    /// The corners x1, y1, x2, y2 of a box in this format.
    #[inline(always)]
    pub fn corners(self, b: [f32; 4]) -> [f32; 4] {
        match self {
            BoxFormat::Xyxy => b,
            BoxFormat::Xywh => [b[0], b[1], b[0] + b[2], b[1] + b[3]],
            BoxFormat::Cxcywh => {
                let (w, h) = (0.5 * b[2], 0.5 * b[3]);
                [b[0] - w, b[1] - h, b[0] + w, b[1] + h]
            }
            BoxFormat::Corners => {
                let ordered = |a: f32, b: f32| if a > b { (b, a) } else { (a, b) };
                let ((l, r), (t, u)) = (ordered(b[0], b[2]), ordered(b[1], b[3]));
                [l, t, r, u]
            }
        }
    }
}

/// The array is (N, 4); returns N.
pub(super) fn expect_boxes(op: &str, name: &str, boxes: &View<'_, f32>) -> Result<usize> {
    expect_rank(op, name, boxes, 2)?;
    ensure!(
        boxes.dim(1) == 4,
        ShapeMismatch,
        "{op}: {name} has shape {:?}, expected (N, 4)",
        boxes.shape()
    );
    Ok(boxes.dim(0))
}

/// The offset as a float: 0 or 1.
pub(super) fn expect_offset(op: &str, offset: i32) -> Result<f32> {
    ensure!(
        offset == 0 || offset == 1,
        InvalidArgument,
        "{op}: offset is {offset}, expected 0 or 1"
    );
    Ok(offset as f32)
}
