//! The order of the axes of images.

use crate::error::{Result, bail};
use crate::tensor::Layout;

/// Images (N, C, H, W), weights (O, C / groups, KH, KW).
pub const OMMA_LAYOUT_NCHW: i32 = 0;
/// Images (N, H, W, C), weights (O, KH, KW, C / groups).
pub const OMMA_LAYOUT_NHWC: i32 = 1;

/// The layout of that number.
pub(crate) fn layout(op: &str, value: i32) -> Result<Layout> {
    match value {
        OMMA_LAYOUT_NCHW => Ok(Layout::Nchw),
        OMMA_LAYOUT_NHWC => Ok(Layout::Nhwc),
        other => bail!(
            InvalidArgument,
            "{op}: layout is {other}, not an OMMA_LAYOUT_ constant"
        ),
    }
}
