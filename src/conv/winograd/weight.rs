//! The transformed weight.

use super::transform::{MAX_T, Transform};
use crate::simd::Simd;
use crate::tensor::View;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Floats that a point gets at once.
const BLOCK: usize = 128;

/// Transforms the weight of the output channels `channels` (whole vectors of lanes, of which those
/// below `end` exist) and stores it as `to[point][input channel][lane]`.
///
/// `axes` are the places of (channel, row, column) in the weight.
///
/// # Panics
/// When `to` has not exactly `T * T * inputs * channels.len()` elements.
#[inline(always)]
pub(super) fn transform_weight<S: Simd, W: Transform>(
    simd: S,
    weight: &View<'_, f32>,
    axes: [usize; 3],
    inputs: usize,
    channels: Range<usize>,
    end: usize,
    to: &mut [f32],
) {
    let width = channels.len();
    assert!(to.len() == W::T * W::T * inputs * width && width.is_multiple_of(S::LANES));
    let strides = axes.map(|axis| weight.stride(axis));
    // Some input channels at a time: the weight of one output channel is a run of memory, and so is what a point
    // gets of it, while single values of either are thousands of bytes apart, on the same few cache lines of L1.
    let each = (BLOCK / width).max(1);
    let mut taps = [0f32; 9 * BLOCK];
    let mut turned = MaybeUninit::<[f32; MAX_T * MAX_T * BLOCK]>::uninit();
    let turned = turned.as_mut_ptr().cast::<f32>();
    assert!(each * width <= BLOCK, "a panel is wider than a block");
    for start in (0..inputs).step_by(each) {
        let count = each.min(inputs - start);
        let run = count * width;
        for lane in 0..width {
            let o = channels.start + lane;
            let at = o as isize * weight.stride(0) + start as isize * strides[0];
            let from = weight.ptr().cast_const().wrapping_offset(at);
            let to = taps[lane..].as_mut_ptr();
            for i in 0..9 * count {
                let [c, y, x] = [i / 9, i / 3 % 3, i % 3].map(|index| index as isize);
                let place = match strides {
                    [9, 3, 1] => i as isize,
                    _ => c * strides[0] + y * strides[1] + x * strides[2],
                };
                // SAFETY: an element of the view, whose indices are inside of its shape; `taps` has nine vectors for each
                // input channel of the block.
                unsafe {
                    *to.add(i * width) = if o < end {
                        *from.wrapping_offset(place)
                    } else {
                        0.0
                    }
                };
            }
        }
        for c in 0..count {
            for first in (0..width).step_by(S::LANES) {
                let mut rows = [[simd.zero(); 3]; 3];
                for (y, row) in rows.iter_mut().enumerate() {
                    for (x, tap) in row.iter_mut().enumerate() {
                        *tap = simd.load(&taps[(c * 9 + y * 3 + x) * width + first..]);
                    }
                }
                // Down the columns, then along the rows.
                let left = W::weight(simd, [rows[0][0], rows[1][0], rows[2][0]]);
                let middle = W::weight(simd, [rows[0][1], rows[1][1], rows[2][1]]);
                let right = W::weight(simd, [rows[0][2], rows[1][2], rows[2][2]]);
                for i in 0..W::T {
                    let row = W::weight(simd, [left[i], middle[i], right[i]]);
                    for (j, value) in row.into_iter().enumerate().take(W::T) {
                        let at = (i * W::T + j) * run + c * width + first;
                        // SAFETY: there is room for a run of each point.
                        unsafe { simd.store_ptr(turned.add(at), value) };
                    }
                }
            }
        }
        for (point, to) in to.chunks_exact_mut(inputs * width).enumerate() {
            // SAFETY: the runs of all points have just been written.
            let from = unsafe { std::slice::from_raw_parts(turned.add(point * run), run) };
            to[start * width..][..run].copy_from_slice(from);
        }
    }
}
