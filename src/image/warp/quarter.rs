//! Turns by 90, 180 and 270 degrees: pixels moved, none computed.
//!
//! A quarter turn reads columns. In blocks of `BLOCK` pixels a side the lines that a column
//! touches are still in the first-level cache when the next column reads them.

use super::texel::Texel;
use crate::error::Result;
use crate::image::pixels::{Rows, RowsMut};
use crate::runtime::Context;
use std::ops::Range;

const BLOCK: usize = 32;

/// Writes `src`, turned counter-clockwise by so many quarters (0 to 3), to `dst`, whose size fits.
pub(super) fn quarter_turn<T: Texel>(
    ctx: &Context,
    quarters: usize,
    src: Rows<'_, T>,
    dst: RowsMut<'_, T>,
) -> Result<()> {
    let height = dst.size.height;
    ctx.parallel_for(height.div_ceil(BLOCK), |task| {
        let rows = task * BLOCK..((task + 1) * BLOCK).min(height);
        // SAFETY: bands are disjoint, and the channels are those of both images.
        unsafe {
            match src.size.channels {
                1 => band::<T, 1>(quarters, src, dst, rows),
                2 => band::<T, 2>(quarters, src, dst, rows),
                3 => band::<T, 3>(quarters, src, dst, rows),
                _ => band::<T, 4>(quarters, src, dst, rows),
            }
        }
    })
}

/// # Safety
/// No other task has these rows; both images have `C` channels and sizes that fit.
unsafe fn band<T: Texel, const C: usize>(
    quarters: usize,
    src: Rows<'_, T>,
    dst: RowsMut<'_, T>,
    rows: Range<usize>,
) {
    let (height, width) = (src.size.height, src.size.width);
    let (first, stride) = src.address();
    if quarters.is_multiple_of(2) {
        for y in rows {
            // SAFETY: the caller's promise.
            let to = unsafe { dst.row(y) };
            match quarters {
                0 => to.copy_from_slice(src.row(y)),
                _ => {
                    let (to, _) = to.as_chunks_mut::<C>();
                    let (from, _) = src.row(height - 1 - y).as_chunks::<C>();
                    to.iter_mut()
                        .zip(from.iter().rev())
                        .for_each(|(to, from)| *to = *from);
                }
            }
        }
        return;
    }
    for x in (0..dst.size.width).step_by(BLOCK) {
        let columns = x..(x + BLOCK).min(dst.size.width);
        for y in rows.clone() {
            // Counter-clockwise, the first row of the result is the last column.
            let (column, start, step) = match quarters {
                1 => (width - 1 - y, columns.start, stride),
                _ => (y, height - 1 - columns.start, -stride),
            };
            // SAFETY: the caller's promise. Rows and columns of the source are those of the
            // result exchanged, so each pixel that is read is inside of it; the address of the one
            // behind the last is never used.
            unsafe {
                let (to, _) = dst.row(y).as_chunks_mut::<C>();
                let from = first.offset(stride * start as isize).add(column * C);
                for (i, to) in to[columns.clone()].iter_mut().enumerate() {
                    *to = *from.offset(step * i as isize).cast::<[T; C]>();
                }
            }
        }
    }
}
