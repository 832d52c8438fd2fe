//! NCHW: neighbouring columns are lanes. A task pads a few rows of a channel into
//! scratch that stays in L1 and sums four output rows at once, so that
//! each vector of input is loaded once for all the rows that see it. The usual windows
//! (3x3 and 5x5, stride 1 and 2) are compiled with everything unrolled.

use super::super::finish::{Finish, Place};
use super::super::gather::Strip;
use super::super::params::Spec;
use super::super::tile::{Lanes, SINGLE, TILE_FLOATS, keep, store, store_any};
use super::Job;
use crate::simd::Simd;
use std::ops::Range;

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
    pub(super) fn rows_of_vectors<S: Simd>(
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
