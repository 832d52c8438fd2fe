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

/// A vector of output columns in some output rows of one channel.
struct Column<'a> {
    finish: &'a Finish<'a>,
    spec: &'a Spec,
    channel: usize,
    weights: &'a [f32],
    bias: f32,
    /// The first row's first tap.
    src: *const f32,
    /// Floats in a row of the strip, and in one of its runs.
    row: usize,
    run: usize,
    /// The first row's first output, the way to the next row, and columns that exist.
    place: Place,
    down: Place,
    right: Place,
    count: usize,
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
        let ([kh, kw], stride) = (spec.kernel, spec.stride);
        let taps = kh * kw;
        let step = strip.row_step(spec);
        let origin = finish.place(0, 0, 0, 0);
        let (below, beside) = (finish.place(0, 0, 1, 0), finish.place(0, 0, 0, 1));
        let simple = finish.is_simple() && finish.columns_together();
        for channel in c * spec.og..(c + 1) * spec.og {
            let mut x = columns.start;
            while x < columns.end {
                let mut y = rows.start;
                while y < rows.end {
                    let column = Column {
                        finish,
                        spec,
                        channel,
                        weights: &self.weights.weights()[channel * taps..(channel + 1) * taps],
                        bias: self.weights.bias()[channel],
                        src: (scratch.as_ptr())
                            .wrapping_add((y - rows.start) * step + (x - columns.start)),
                        row: step / stride[0],
                        run: strip.run,
                        place: finish.place(n, channel, y, x),
                        down: below.from(origin),
                        right: beside.from(origin),
                        count: S::LANES.min(columns.end - x),
                        simple,
                    };
                    // SAFETY: the strip holds all taps of these rows; the outputs are the task's own.
                    unsafe {
                        match rows.end - y {
                            1 => column.rows::<S, 1>(simd),
                            2 | 3 => column.rows::<S, 2>(simd),
                            _ => column.rows::<S, 4>(simd),
                        }
                    }
                    y += match rows.end - y {
                        1 => 1,
                        2 | 3 => 2,
                        _ => 4,
                    };
                }
                x += S::LANES;
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

impl Column<'_> {
    /// # Safety
    /// All taps of `RB` rows are readable for a whole vector, all outputs writable.
    #[inline(always)]
    unsafe fn rows<S: Simd, const RB: usize>(&self, simd: S) {
        let spec = self.spec;
        // SAFETY: the caller's promise.
        let sums = unsafe {
            match (spec.kernel, spec.stride, spec.dilation) {
                ([3, 3], [1, 1], [1, 1]) => self.unrolled::<S, RB, 3, 1>(simd),
                ([3, 3], [2, 2], [1, 1]) => self.unrolled::<S, RB, 3, 2>(simd),
                ([5, 5], [1, 1], [1, 1]) => self.unrolled::<S, RB, 5, 1>(simd),
                ([5, 5], [2, 2], [1, 1]) => self.unrolled::<S, RB, 5, 2>(simd),
                _ => self.any::<S, RB>(simd),
            }
        };
        let mut rows = [self.place; RB];
        for (r, row) in rows.iter_mut().enumerate() {
            *row = self.place.moved(self.down, r);
        }
        let (finish, channel) = (self.finish, self.channel);
        // SAFETY: the caller's promise.
        unsafe {
            if self.simple {
                let start = [Place::default()];
                let counts = [self.count];
                store::<S, RB, 1, SINGLE>(simd, sums, finish, channel, rows, start, counts);
            } else {
                let mut buffer = [0f32; TILE_FLOATS];
                keep(simd, sums, &mut buffer);
                let mut lanes = Lanes::NONE;
                lanes.count = self.count;
                for (i, place) in lanes.places.iter_mut().enumerate() {
                    *place = Place::default().moved(self.right, i);
                }
                store_any::<S, SINGLE>(simd, &buffer, finish, channel, &rows, &[lanes]);
            }
        }
    }

    /// Everything known: each input vector is loaded once for all rows that see it.
    ///
    /// # Safety
    /// As for [`rows`](Column::rows).
    #[allow(clippy::needless_range_loop)] // x is a position in three arrays
    #[inline(always)]
    unsafe fn unrolled<S: Simd, const RB: usize, const K: usize, const STRIDE: usize>(
        &self,
        simd: S,
    ) -> [[S::F32; 1]; RB] {
        let mut sums = [[simd.splat(self.bias)]; RB];
        let mut weights = [[simd.zero(); K]; K];
        for (y, row) in weights.iter_mut().enumerate() {
            for (x, weight) in row.iter_mut().enumerate() {
                *weight = simd.splat(self.weights[y * K + x]);
            }
        }
        for i in 0..(RB - 1) * STRIDE + K {
            for x in 0..K {
                let at = i * self.row + x % STRIDE * self.run + x / STRIDE;
                // SAFETY: the caller's promise.
                let vector = unsafe { simd.load_ptr(self.src.add(at)) };
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
    /// As for [`rows`](Column::rows).
    #[inline(always)]
    unsafe fn any<S: Simd, const RB: usize>(&self, simd: S) -> [[S::F32; 1]; RB] {
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
                    let vector = unsafe { simd.load_ptr(self.src.add(tap + r * sh * self.row)) };
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
        // SAFETY: bias and weights go on for a vector after the last channel.
        let mut sums = [[unsafe { simd.load_ptr(weights.bias()[channel..].as_ptr()) }]; PB];
        for ky in self.rows.clone() {
            for kx in self.columns.clone() {
                let tap = (ky * kw + kx) * outputs + channel;
                // SAFETY: as above.
                let weight = unsafe { simd.load_ptr(weights.weights()[tap..].as_ptr()) };
                let (row, column) = (y * sh + ky * dh - top, x * sw + kx * dw - left);
                let start = image.offset(n, 0, row, column);
                for (p, sum) in sums.iter_mut().enumerate() {
                    let pixel = image.ptr.cast_const();
                    let pixel = pixel.wrapping_offset(start + next * p as isize);
                    // SAFETY: the tap is a pixel of the image, of which `count` channels are read.
                    let vector = unsafe {
                        match LOAD {
                            WHOLE => simd.load_ptr(pixel.wrapping_add(channel)),
                            PARTIAL => simd.load_partial_ptr(pixel.wrapping_add(channel), count),
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
                    sum[0] = simd.fma(weight, vector, sum[0]);
                }
            }
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
                keep(simd, sums, &mut buffer);
                let step = finish.channel_step();
                let mut lanes = Lanes::NONE;
                lanes.count = count;
                for (i, place) in lanes.places.iter_mut().enumerate() {
                    *place = Place::default().moved(step, i);
                }
                store_any::<S, IN_LANES>(simd, &buffer, finish, channel, &rows, &[lanes]);
            }
        }
    }
}
