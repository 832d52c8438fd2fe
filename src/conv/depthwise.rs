//! Convolution of each channel by itself: so few multiply-adds for each value
//! that loads decide, and a matrix product has nothing to share.
//!
//! NCHW: neighbouring columns are lanes. A task pads a few rows of a channel into
//! scratch that stays in L1 and sums four output rows at once, so that
//! each vector of input is loaded once for all the rows that see it. The usual windows
//! (3x3 and 5x5, stride 1 and 2) are compiled with everything unrolled.
//!
//! NHWC: neighbouring channels are lanes, read from the image itself. Six
//! neighbouring pixels share each load of weights; pixels whose window reaches into the
//! padding skip those taps.

use super::gather::Strip;
use super::params::{Extents, Image, Spec};
use super::tile::{Finish, IN_LANES, Lanes, Place, SINGLE, TILE_FLOATS, keep, store, store_any};
use super::weights::{Form, Weights, lanes, part};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};
use std::ops::Range;

/// Floats of a padded piece of a channel: half of a small L1.
const PIECE_FLOATS: usize = 4 << 10;
/// The most floats of a padded piece, where the window reaches very far.
const MAX_PIECE_FLOATS: usize = 256 << 10;
/// Multiply-adds of a task: some 50 microseconds.
const TASK_WORK: usize = 1 << 20;

/// The kernels here serve this convolution on vectors of `lanes` floats better than tiles do.
pub(super) fn suits(spec: &Spec, form: Form, lanes: usize) -> bool {
    let reach = Strip::new(spec, 1, lanes, 1).is_some_and(|s| s.floats <= MAX_PIECE_FLOATS);
    spec.is_depthwise()
        && match form {
            Form::DepthwiseRows => spec.og <= 2 && reach,
            _ => spec.og < lanes,
        }
}

/// Runs the convolution.
///
/// # Safety
/// `x` and the images of `finish` describe memory of the extents that `spec` makes
/// of `extents`; no output element is reached twice or by others.
pub(super) unsafe fn run(
    ctx: &Context,
    spec: &Spec,
    extents: &Extents,
    weights: &Weights<'_>,
    x: Image,
    finish: &Finish<'_>,
) -> Result<()> {
    let job = Job {
        spec,
        extents,
        weights,
        finish,
        x,
    };
    let row_work = extents.ow * spec.depth() * spec.og;
    if weights.form == Form::DepthwiseLanes {
        let work = (row_work * spec.groups).max(1);
        let down = extents.oh.div_ceil((TASK_WORK / work).clamp(1, extents.oh));
        return ctx.parallel_for(extents.n * down, |task| {
            let rows = part(extents.oh, down, task % down);
            dispatch!(weights.isa, simd => job.rows_of_pixels(simd, task / down, rows));
        });
    }
    let lanes = lanes(weights.isa.tier());
    let fits =
        |rows, width, limit| Strip::new(spec, rows, width, 1).filter(|strip| strip.floats <= limit);
    let mut width = extents.ow.next_multiple_of(lanes);
    while width > lanes && fits(1, width, PIECE_FLOATS).is_none() {
        width = width.div_ceil(2).next_multiple_of(lanes);
    }
    let mut rows = extents.oh;
    while rows > 1 && fits(rows, width, PIECE_FLOATS).is_none() {
        rows -= rows.div_ceil(8);
    }
    // Whole blocks of four rows.
    if rows > 4 && rows < extents.oh {
        rows &= !3;
    }
    let (down, across) = (extents.oh.div_ceil(rows), extents.ow.div_ceil(width));
    let strip = Strip::new(spec, rows, width, 1);
    let Some(strip) = strip else {
        unreachable!("`suits` has tried a piece of this reach");
    };
    let pieces = down * across;
    let channel_work = (row_work * extents.oh).max(1);
    let together = (TASK_WORK / channel_work).clamp(1, spec.groups.max(1));
    let blocks = spec.groups.div_ceil(together);
    ctx.parallel_for_scratch::<f32>(extents.n * blocks, strip.floats, |task, scratch| {
        let (n, block) = (task / blocks, task % blocks);
        for c in part(spec.groups, blocks, block) {
            for piece in 0..pieces {
                let (j, i) = (piece / across, piece % across);
                let top = j * rows;
                let rows = top..(top + rows).min(extents.oh);
                let columns = i * width..((i + 1) * width).min(extents.ow);
                dispatch!(weights.isa, simd => {
                    job.rows_of_vectors(simd, &strip, n, c, rows, columns, scratch)
                });
            }
        }
    })
}

struct Job<'a> {
    spec: &'a Spec,
    extents: &'a Extents,
    weights: &'a Weights<'a>,
    finish: &'a Finish<'a>,
    x: Image,
}

/// A piece of an output channel.
struct Channel<'a> {
    finish: &'a Finish<'a>,
    spec: &'a Spec,
    channel: usize,
    weights: &'a [f32],
    bias: f32,
    /// The first output's first tap.
    src: *const f32,
    /// Floats in a row of the strip, and in one of its runs.
    row: usize,
    run: usize,
    /// The first output, and the ways to the next row and column.
    first: Place,
    down: Place,
    right: Place,
    /// Rows and columns of the piece.
    height: usize,
    width: usize,
    simple: bool,
}

impl Job<'_> {
    /// NCHW: a piece of a channel.
    #[inline(always)]
    fn rows_of_vectors<S: Simd>(
        &self,
        simd: S,
        strip: &Strip,
        n: usize,
        c: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        scratch: &mut [f32],
    ) {
        let (spec, finish) = (self.spec, self.finish);
        let at = (rows.start, columns.start);
        // SAFETY: the caller's promise; the scratch has the strip's size.
        unsafe { strip.fill(simd, spec, self.extents, &self.x, n, c..c + 1, at, scratch) };
        let taps = spec.kernel[0] * spec.kernel[1];
        let origin = finish.place(0, 0, 0, 0);
        let (below, beside) = (finish.place(0, 0, 1, 0), finish.place(0, 0, 0, 1));
        for channel in c * spec.og..(c + 1) * spec.og {
            let channel = Channel {
                finish,
                spec,
                channel,
                weights: &self.weights.weights()[channel * taps..(channel + 1) * taps],
                bias: self.weights.bias()[channel],
                src: scratch.as_ptr(),
                row: strip.run * strip.phases,
                run: strip.run,
                first: finish.place(n, channel, rows.start, columns.start),
                down: below.from(origin),
                right: beside.from(origin),
                height: rows.len(),
                width: columns.len(),
                simple: finish.is_simple() && finish.columns_together(),
            };
            // SAFETY: the strip holds all taps of the piece; the outputs are the task's own.
            unsafe {
                match (spec.kernel, spec.stride, spec.dilation) {
                    ([3, 3], [1, 1], [1, 1]) => channel.all::<S, 3, 1>(simd),
                    ([3, 3], [2, 2], [1, 1]) => channel.all::<S, 3, 2>(simd),
                    ([5, 5], [1, 1], [1, 1]) => channel.all::<S, 5, 1>(simd),
                    ([5, 5], [2, 2], [1, 1]) => channel.all::<S, 5, 2>(simd),
                    _ => channel.all::<S, 0, 0>(simd),
                }
            }
        }
    }

    /// NHWC: output rows `rows` of image `n`, all channels.
    #[inline(always)]
    fn rows_of_pixels<S: Simd>(&self, simd: S, n: usize, rows: Range<usize>) {
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

impl Channel<'_> {
    /// The piece, with a window of `K` x `K` and a stride of `STRIDE`, or any window (0).
    ///
    /// # Safety
    /// All taps are readable for whole vectors, all outputs writable.
    #[inline(always)]
    unsafe fn all<S: Simd, const K: usize, const STRIDE: usize>(&self, simd: S) {
        let mut weights = [[simd.zero(); K]; K];
        for (y, row) in weights.iter_mut().enumerate() {
            for (x, weight) in row.iter_mut().enumerate() {
                *weight = simd.splat(self.weights[y * K + x]);
            }
        }
        let stride = if K > 0 { STRIDE } else { self.spec.stride[0] };
        let mut x = 0;
        while x < self.width {
            let mut y = 0;
            let mut src = self.src.wrapping_add(x);
            let mut place = self.first.moved(self.right, x);
            let count = S::LANES.min(self.width - x);
            while y < self.height {
                // SAFETY: the caller's promise.
                let rows = unsafe {
                    match self.height - y {
                        1 => self.rows::<S, 1, K, STRIDE>(simd, &weights, src, place, count),
                        2 | 3 => self.rows::<S, 2, K, STRIDE>(simd, &weights, src, place, count),
                        _ => self.rows::<S, 4, K, STRIDE>(simd, &weights, src, place, count),
                    }
                };
                y += rows;
                src = src.wrapping_add(rows * stride * self.row);
                place = place.moved(self.down, rows);
            }
            x += S::LANES;
        }
    }

    /// `RB` rows of a vector of columns.
    ///
    /// # Safety
    /// As for [`all`](Channel::all).
    #[inline(always)]
    unsafe fn rows<S: Simd, const RB: usize, const K: usize, const STRIDE: usize>(
        &self,
        simd: S,
        weights: &[[S::F32; K]; K],
        src: *const f32,
        place: Place,
        count: usize,
    ) -> usize {
        // SAFETY: the caller's promise.
        let sums = unsafe {
            match K {
                0 => self.any_window::<S, RB>(simd, src),
                _ => self.window::<S, RB, K, STRIDE>(simd, weights, src),
            }
        };
        let mut rows = [place; RB];
        for r in 1..RB {
            rows[r] = rows[r - 1].moved(self.down, 1);
        }
        let (finish, channel) = (self.finish, self.channel);
        // SAFETY: the caller's promise.
        unsafe {
            if self.simple {
                let start = [Place::default()];
                store::<S, RB, 1, SINGLE>(simd, sums, finish, channel, rows, start, [count]);
            } else {
                let mut buffer = [0f32; TILE_FLOATS];
                keep(simd, sums, buffer.as_mut_ptr());
                let mut lanes = Lanes::NONE;
                lanes.count = count;
                for (i, place) in lanes.places.iter_mut().enumerate() {
                    *place = Place::default().moved(self.right, i);
                }
                store_any::<S, SINGLE>(simd, buffer.as_ptr(), finish, channel, &rows, &[lanes]);
            }
        }
        RB
    }

    /// Everything known: each input vector is loaded once for all rows that see it.
    ///
    /// # Safety
    /// As for [`all`](Channel::all).
    #[allow(clippy::needless_range_loop)] // x is a position in two arrays
    #[inline(always)]
    unsafe fn window<S: Simd, const RB: usize, const K: usize, const STRIDE: usize>(
        &self,
        simd: S,
        weights: &[[S::F32; K]; K],
        src: *const f32,
    ) -> [[S::F32; 1]; RB] {
        let mut sums = [[simd.splat(self.bias)]; RB];
        for i in 0..(RB - 1) * STRIDE + K {
            for x in 0..K {
                let at = i * self.row + x % STRIDE.max(1) * self.run + x / STRIDE.max(1);
                // SAFETY: the caller's promise.
                let vector = unsafe { simd.load_ptr(src.add(at)) };
                for (r, sum) in sums.iter_mut().enumerate() {
                    if i >= r * STRIDE && i < r * STRIDE + K {
                        sum[0] = simd.fma(weights[i - r * STRIDE][x], vector, sum[0]);
                    }
                }
            }
        }
        sums
    }

    /// Any window.
    ///
    /// # Safety
    /// As for [`all`](Channel::all).
    #[inline(always)]
    unsafe fn any_window<S: Simd, const RB: usize>(
        &self,
        simd: S,
        src: *const f32,
    ) -> [[S::F32; 1]; RB] {
        let ([kh, kw], [sh, sw], [dh, dw]) =
            (self.spec.kernel, self.spec.stride, self.spec.dilation);
        let phases = self.row / self.run;
        let mut sums = [[simd.splat(self.bias)]; RB];
        for y in 0..kh {
            for x in 0..kw {
                let weight = simd.splat(self.weights[y * kw + x]);
                let tap = y * dh * self.row + x % phases * self.run + x * dw / sw;
                for (r, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: the caller's promise.
                    let vector = unsafe { simd.load_ptr(src.add(tap + r * sh * self.row)) };
                    sum[0] = simd.fma(weight, vector, sum[0]);
                }
            }
        }
        sums
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
