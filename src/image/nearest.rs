//! Nearest neighbour: every pixel is a copy.
//!
//! The offsets of a row's pixels are computed once; rows that repeat the one
//! above (enlarging) are copied from it in one piece. Pixels of a known size are
//! moved by one or two plain loads and stores.

use super::axis::Axis;
use super::pixels::{Lent, Rows, RowsMut};
use super::rows::band_rows;
use crate::error::Result;
use crate::runtime::Context;
use crate::tensor::Element;

/// Resizes `src` to `dst`; both have the same channels, and neither is empty.
pub(super) fn resize<T: Element>(
    ctx: &Context,
    src: Rows<'_, T>,
    dst: RowsMut<'_, T>,
    across: Axis,
    down: Axis,
) -> Result<()> {
    let (width, channels) = (dst.size.width, dst.size.channels);
    let mut offsets: Lent<'_, u32> = ctx.scratch(width)?;
    for (x, offset) in offsets.iter_mut().enumerate() {
        *offset = (across.nearest(x) * channels) as u32;
    }
    let offsets = &offsets[..];
    let height = dst.size.height;
    let band = band_rows(height, dst.size.row());
    ctx.parallel_for(height.div_ceil(band), |task| {
        let mut above: Option<(usize, &[T])> = None;
        for y in task * band..((task + 1) * band).min(height) {
            let from = down.nearest(y);
            // SAFETY: bands are disjoint, and the row above is only read from now on.
            let out = unsafe { dst.row(y) };
            match above {
                Some((row, made)) if row == from => out.copy_from_slice(made),
                _ => row(src.row(from), offsets, channels, out),
            }
            above = Some((from, out));
        }
    })
}

/// One row.
fn row<T: Element>(src: &[T], offsets: &[u32], channels: usize, out: &mut [T]) {
    match channels {
        1 => fixed::<T, 1>(src, offsets, out),
        2 => fixed::<T, 2>(src, offsets, out),
        3 => fixed::<T, 3>(src, offsets, out),
        4 => fixed::<T, 4>(src, offsets, out),
        _ => {
            for (pixel, &at) in out.chunks_exact_mut(channels).zip(offsets) {
                pixel.copy_from_slice(&src[at as usize..][..channels]);
            }
        }
    }
}

/// One row of pixels of `C` samples.
fn fixed<T: Element, const C: usize>(src: &[T], offsets: &[u32], out: &mut [T]) {
    let last = (src.len() - C) as u32;
    let (pixels, _) = out.as_chunks_mut::<C>();
    for (pixel, &at) in pixels.iter_mut().zip(offsets) {
        debug_assert!(at <= last);
        // SAFETY: offsets are those of whole pixels of a row of this length.
        *pixel = unsafe { src.as_ptr().add(at as usize).cast::<[T; C]>().read() };
    }
}
