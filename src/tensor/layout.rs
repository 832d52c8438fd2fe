//! Where the axes of an array of images stand.

/// The order of the axes of an array of images, and with it of the weights that go over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Images (N, C, H, W), weights (O, C / groups, KH, KW).
    #[default]
    Nchw,
    /// Images (N, H, W, C), weights (O, KH, KW, C / groups).
    Nhwc,
}

impl Layout {
    /// The axes of image, channel, row and column, in this order.
    pub fn axes(self) -> [usize; 4] {
        match self {
            Layout::Nchw => [0, 1, 2, 3],
            Layout::Nhwc => [0, 3, 1, 2],
        }
    }
}
