//! NHWC: neighbouring channels are lanes, read from the image itself. Six
//! neighbouring pixels share each load of weights; pixels whose window reaches into the
//! padding skip those taps.

use super::super::finish::Place;
use super::super::tile::{IN_LANES, Lanes, TILE_FLOATS, keep, store, store_any};
use super::Job;
use crate::simd::Simd;
use std::ops::Range;

impl Job<'_> {
    /// NHWC: output rows `rows` of image `n`, all channels.
    #[inline(always)]
    pub(super) fn rows_of_pixels<S: Simd>(&self, simd: S, n: usize, rows: Range<usize>) {
        let (spec, extents) = (self.spec, self.extents);
        let ([kh, kw], [sh, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
        let [top, _, left, _] = spec.padding;
        // Columns whose window is inside of the image.
        let first_inside = left.div_ceil(sw).min(extents.ow);
        let last_inside = match (extents.w + left).checked_sub((kw - 1) * dw + 1) {
            Some(room) => (room / sw + 1).clamp(first_inside, extents.ow),
            None => first_inside,
        };
        for y in rows {
            // Taps that are inside: ky with 0 <= y * sh + ky * dh - top < h.
            let above = y * sh;
            let ky_start = top.saturating_sub(above).div_ceil(dh).min(kh);
            let ky_end = (extents.h + top).saturating_sub(above).div_ceil(dh);
            let window_rows = ky_start..ky_end.clamp(ky_start, kh);
            let mut x = 0;
            while x < extents.ow {
                let before = x * sw;
                let inside = x >= first_inside && x < last_inside;
                let count = match inside && x + 6 <= last_inside {
                    true => 6,
                    false => 1,
                };
                let window_columns = if inside {
                    0..kw
                } else {
                    let start = left.saturating_sub(before).div_ceil(dw).min(kw);
                    let end = (extents.w + left).saturating_sub(before).div_ceil(dw);
                    start..end.clamp(start, kw)
                };
                let pixels = Pixels {
                    job: self,
                    rows: window_rows.clone(),
                    columns: window_columns,
                    at: [n, y, x],
                };
                // SAFETY: the taps are inside of the image; the outputs are the task's own.
                unsafe {
                    match count {
                        6 => pixels.all::<S, 6>(simd),
                        _ => pixels.all::<S, 1>(simd),
                    }
                }
                x += count;
            }
        }
    }
}

/// Neighbouring output pixels whose windows have the same taps inside of the image.
struct Pixels<'a> {
    job: &'a Job<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    at: [usize; 3],
}

/// How the channels of a vector are read: all there, some there, or each by itself.
const WHOLE: u8 = 0;
const PARTIAL: u8 = 1;
const SCATTERED: u8 = 2;

impl Pixels<'_> {
    /// # Safety
    /// The taps of `PB` pixels are inside of the image, their outputs the caller's to write.
    #[inline(always)]
    unsafe fn all<S: Simd, const PB: usize>(&self, simd: S) {
        let spec = self.job.spec;
        let together = self.job.x.c == 1 && spec.og == 1;
        let mut channel = 0;
        while channel < spec.outputs() {
            let count = S::LANES.min(spec.outputs() - channel);
            // SAFETY: the caller's promise.
            unsafe {
                match (together, count == S::LANES) {
                    (true, true) => self.vector::<S, PB, WHOLE>(simd, channel, count),
                    (true, false) => self.vector::<S, PB, PARTIAL>(simd, channel, count),
                    (false, _) => self.vector::<S, PB, SCATTERED>(simd, channel, count),
                }
            }
            channel += S::LANES;
        }
    }

    /// # Safety
    /// As for [`all`](Pixels::all).
    #[inline(always)]
    unsafe fn vector<S: Simd, const PB: usize, const LOAD: u8>(
        &self,
        simd: S,
        channel: usize,
        count: usize,
    ) {
        let Job {
            spec,
            weights,
            finish,
            x: image,
            ..
        } = *self.job;
        let ([_, kw], [sh, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
        let [n, y, x] = self.at;
        let [top, _, left, _] = spec.padding;
        let outputs = spec.outputs();
        let next = sw as isize * image.x;
        let (down, right) = (dh as isize * image.y, dw as isize * image.x);
        let (ky, kx) = (self.rows.start, self.columns.start);
        // The first tap that is inside; without any, nothing is read.
        let (row, column) = (
            (y * sh + ky * dh).wrapping_sub(top),
            (x * sw + kx * dw).wrapping_sub(left),
        );
        let mut row = image.ptr.cast_const().wrapping_offset(
            (n as isize * image.n)
                .wrapping_add((row as isize).wrapping_mul(image.y))
                .wrapping_add((column as isize).wrapping_mul(image.x)),
        );
        if LOAD != SCATTERED {
            row = row.wrapping_add(channel);
        }
        // SAFETY: bias and weights go on for a vector after the last channel.
        let mut sums = [[unsafe { simd.load_ptr(weights.bias()[channel..].as_ptr()) }]; PB];
        let weights = weights.weights().as_ptr().wrapping_add(channel);
        for ky in self.rows.clone() {
            let mut tap = row;
            let mut weight = weights.wrapping_add((ky * kw + kx) * outputs);
            for _ in self.columns.clone() {
                // SAFETY: as above.
                let w = unsafe { simd.load_ptr(weight) };
                let mut pixel = tap;
                for sum in &mut sums {
                    // SAFETY: the tap is a pixel of the image, of which `count` channels are read.
                    let vector = unsafe {
                        match LOAD {
                            WHOLE => simd.load_ptr(pixel),
                            PARTIAL => simd.load_partial_ptr(pixel, count),
                            _ => {
                                let mut values = [0f32; 16];
                                for (i, value) in values.iter_mut().enumerate().take(count) {
                                    let c = ((channel + i) / spec.og) as isize;
                                    *value = *pixel.wrapping_offset(c * image.c);
                                }
                                simd.load(&values)
                            }
                        }
                    };
                    sum[0] = simd.fma(w, vector, sum[0]);
                    pixel = pixel.wrapping_offset(next);
                }
                tap = tap.wrapping_offset(right);
                weight = weight.wrapping_add(outputs);
            }
            row = row.wrapping_offset(down);
        }
        let mut rows = [Place::default(); PB];
        for (p, row) in rows.iter_mut().enumerate() {
            *row = finish.place(n, channel, y, x + p);
        }
        // SAFETY: the caller's promise.
        unsafe {
            if finish.is_simple() && finish.channels_together() {
                let start = [Place::default()];
                store::<S, PB, 1, IN_LANES>(simd, sums, finish, channel, rows, start, [count]);
            } else {
                let mut buffer = [0f32; TILE_FLOATS];
                keep(simd, sums, buffer.as_mut_ptr());
                let step = finish.channel_step();
                let mut lanes = Lanes::NONE;
                lanes.count = count;
                for (i, place) in lanes.places.iter_mut().enumerate() {
                    *place = Place::default().moved(step, i);
                }
                store_any::<S, IN_LANES>(simd, buffer.as_ptr(), finish, channel, &rows, &[lanes]);
            }
        }
    }
}
