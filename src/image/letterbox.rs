//! Letterboxing: an image in a frame of other proportions, without distortion.

use super::pixels::Size;
use crate::error::{Result, ensure};

/// Where an image lands in a frame, in pixels of the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letterbox {
    /// Rows above the image.
    pub top: usize,
    /// Columns left of the image.
    pub left: usize,
    /// Height of the image in the frame.
    pub height: usize,
    /// Width of the image in the frame.
    pub width: usize,
    /// Height of the image in the frame over its own height.
    pub scale_y: f64,
    /// Width of the image in the frame over its own width.
    pub scale_x: f64,
}

/// Where an `image` of (height, width) lands in a `frame` of (height, width): enlarged or shrunk by
/// `min(frame height / image height, frame width / image width)`, the sides rounded to the nearest integer (ties to even),
/// at least 1; centred, the odd pixel of the margin to the right and below. As Ultralytics' `LetterBox`.
///
/// Errors: a side that is zero.
pub fn letterbox(image: (usize, usize), frame: (usize, usize)) -> Result<Letterbox> {
    ensure!(
        image.0 > 0 && image.1 > 0 && frame.0 > 0 && frame.1 > 0,
        InvalidArgument,
        "letterbox: image is {} x {}, frame {} x {}; no side may be zero",
        image.0,
        image.1,
        frame.0,
        frame.1
    );
    let scale = (frame.0 as f64 / image.0 as f64).min(frame.1 as f64 / image.1 as f64);
    let side = |image: usize, frame: usize| {
        ((image as f64 * scale).round_ties_even() as usize).clamp(1, frame)
    };
    let (height, width) = (side(image.0, frame.0), side(image.1, frame.1));
    Ok(Letterbox {
        top: (frame.0 - height) / 2,
        left: (frame.1 - width) / 2,
        height,
        width,
        scale_y: height as f64 / image.0 as f64,
        scale_x: width as f64 / image.1 as f64,
    })
}

impl Letterbox {
    /// An image that fills its frame.
    pub(super) fn whole(image: Size, frame: Size) -> Letterbox {
        let scale = |frame: usize, image: usize| frame as f64 / image.max(1) as f64;
        Letterbox {
            top: 0,
            left: 0,
            height: frame.height,
            width: frame.width,
            scale_y: scale(frame.height, image.height),
            scale_x: scale(frame.width, image.width),
        }
    }

    /// The point of the image that lies at `(x, y)` of the frame: the way back for the corners of
    /// boxes. Coordinates are those of the pixels' borders (a pixel's centre is at + 1/2), and not clipped.
    pub fn to_image(&self, x: f32, y: f32) -> (f32, f32) {
        let back =
            |v: f32, margin: usize, scale: f64| ((f64::from(v) - margin as f64) / scale) as f32;
        (
            back(x, self.left, self.scale_x),
            back(y, self.top, self.scale_y),
        )
    }
}
