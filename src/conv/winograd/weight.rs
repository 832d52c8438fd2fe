//! The transformed weight.

use super::transform::{MAX_T, Transform};
use crate::simd::{MAX_LANES, Simd};
use crate::tensor::View;
use std::ops::Range;

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
    for c in 0..inputs {
        for first in (0..width).step_by(S::LANES) {
            let mut taps = [[simd.zero(); 3]; 3];
            for (ky, row) in taps.iter_mut().enumerate() {
                for (kx, tap) in row.iter_mut().enumerate() {
                    let at = c as isize * strides[0]
                        + ky as isize * strides[1]
                        + kx as isize * strides[2];
                    let mut values = [0.0; MAX_LANES];
                    for (lane, value) in values.iter_mut().enumerate().take(S::LANES) {
                        let o = channels.start + first + lane;
                        if o < end {
                            let at = at + o as isize * weight.stride(0);
                            // SAFETY: an element of the view: its indices are inside of its shape.
                            *value = unsafe { *weight.ptr().wrapping_offset(at) };
                        }
                    }
                    *tap = simd.load(&values);
                }
            }
            // Down the columns, then along the rows.
            let columns: [[S::F32; MAX_T]; 3] =
                [0, 1, 2].map(|x| W::weight(simd, [taps[0][x], taps[1][x], taps[2][x]]));
            for i in 0..W::T {
                let row = W::weight(simd, [columns[0][i], columns[1][i], columns[2][i]]);
                for (j, &value) in row.iter().enumerate().take(W::T) {
                    let at = ((i * W::T + j) * inputs + c) * width + first;
                    simd.store(&mut to[at..], value);
                }
            }
        }
    }
}
