//! Filters of images with five and more channels, sample by sample, in the arithmetic of the vectors.

use super::super::pixels::{Lent, Pieces, Rows, Size};
use super::super::rows::{Producer, Sink};
use super::{ONE, Taps};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::Narrow;
use crate::tensor::Element;
use std::ops::Range;

/// How samples are weighed.
pub(super) trait Weighed: Element {
    /// Weights, and sums between the axes.
    type Weight: Element;
    type Sum: Element;
    const ZERO: Self::Sum;
    /// The taps of destination sample `d`; `floats` has as many.
    fn taps(taps: &Taps, d: usize, floats: &mut [f32], weights: &mut [Self::Weight]) -> usize;
    /// `sum + self weight` along x, and a sum that is finished.
    fn across(self, weight: Self::Weight, sum: Self::Sum) -> Self::Sum;
    fn between(sum: Self::Sum, wide: bool) -> Self::Sum;
    /// The same along y.
    fn down(v: Self::Sum, weight: Self::Weight, sum: Self::Sum) -> Self::Sum;
    fn result(sum: Self::Sum, wide: bool) -> Self;
}

impl Weighed for u8 {
    type Weight = i16;
    type Sum = i32;
    const ZERO: i32 = 0;

    fn taps(taps: &Taps, d: usize, floats: &mut [f32], weights: &mut [i16]) -> usize {
        taps.fixed_at(d, floats, weights)
    }
    #[inline(always)]
    fn across(self, weight: i16, sum: i32) -> i32 {
        sum + i32::from(self) * i32::from(weight)
    }
    #[inline(always)]
    fn between(sum: i32, wide: bool) -> i32 {
        match wide {
            true => ((sum + ONE / 2) >> 14).clamp(0, 255),
            false => (sum + ONE / 128) >> 8,
        }
    }
    #[inline(always)]
    fn down(v: i32, weight: i16, sum: i32) -> i32 {
        sum + v * i32::from(weight)
    }
    #[inline(always)]
    fn result(sum: i32, wide: bool) -> u8 {
        let v = match wide {
            true => (sum + ONE / 2) >> 14,
            false => (sum + ONE * 32) >> 20,
        };
        v.clamp(0, 255) as u8
    }
}

impl Weighed for f32 {
    type Weight = f32;
    type Sum = f32;
    const ZERO: f32 = 0.0;

    fn taps(taps: &Taps, d: usize, _floats: &mut [f32], weights: &mut [f32]) -> usize {
        taps.at(d, weights)
    }
    #[inline(always)]
    fn across(self, weight: f32, sum: f32) -> f32 {
        sum + self * weight
    }
    #[inline(always)]
    fn between(sum: f32, _wide: bool) -> f32 {
        sum
    }
    #[inline(always)]
    fn down(v: f32, weight: f32, sum: f32) -> f32 {
        sum + v * weight
    }
    #[inline(always)]
    fn result(sum: f32, _wide: bool) -> f32 {
        sum
    }
}

/// The filter of one image to one size.
pub(super) struct PlainFilter<'a, T: Weighed> {
    src: Rows<'a, T>,
    dst: Size,
    down: Taps,
    wide: bool,
    /// Taps along x, the first of each pixel, and their weights.
    taps: usize,
    firsts: Lent<'a, u32>,
    weights: Lent<'a, T::Weight>,
}

impl<'a, T: Weighed> PlainFilter<'a, T> {
    pub(super) fn new(
        ctx: &'a Context,
        src: Rows<'a, T>,
        dst: Size,
        [across, down]: [Taps; 2],
    ) -> Result<PlainFilter<'a, T>> {
        let taps = across.count;
        let mut plan = PlainFilter {
            src,
            dst,
            wide: across.kernel.is_wide(),
            down,
            taps,
            firsts: ctx.scratch(dst.width)?,
            weights: ctx.scratch(dst.width * taps)?,
        };
        let mut floats: Lent<'_, f32> = ctx.scratch(taps)?;
        for (x, weights) in plan.weights.chunks_exact_mut(taps).enumerate() {
            plan.firsts[x] = T::taps(&across, x, &mut floats, weights) as u32;
        }
        Ok(plan)
    }

    /// Filters a row along x.
    fn along_x(&self, row: &[T], out: &mut [T::Sum]) {
        let channels = self.dst.channels;
        let weights = self.weights.chunks_exact(self.taps);
        for ((out, weights), &first) in out
            .chunks_exact_mut(channels)
            .zip(weights)
            .zip(&*self.firsts)
        {
            for (c, out) in out.iter_mut().enumerate() {
                let samples = row[first as usize * channels + c..]
                    .iter()
                    .step_by(channels);
                let sum = samples
                    .zip(weights)
                    .fold(T::ZERO, |sum, (v, &weight)| v.across(weight, sum));
                *out = T::between(sum, self.wide);
            }
        }
    }
}

impl<T: Weighed> Producer<T> for PlainFilter<'_, T> {
    fn scratch(&self) -> usize {
        let taps = self.down.count;
        Pieces::bytes::<T::Sum>(taps * self.dst.row())
            + Pieces::bytes::<T::Weight>(taps)
            + Pieces::bytes::<f32>(taps)
    }
    fn longest_run(&self) -> usize {
        self.dst.row()
    }
    #[inline(always)]
    unsafe fn band<S: Narrow, K: Sink<T>>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
        sink: &K,
    ) {
        let (own, spare) = scratch.split_at_mut(self.scratch());
        let mut pieces = Pieces::new(own);
        let (row, taps) = (self.dst.row(), self.down.count);
        let held = pieces.take::<T::Sum>(taps * row);
        let weights = pieces.take::<T::Weight>(taps);
        let floats = pieces.take::<f32>(taps);
        let mut next = 0;
        for y in rows {
            let top = T::taps(&self.down, y, floats, weights);
            for at in top.max(next)..top + taps {
                self.along_x(self.src.row(at), &mut held[at % taps * row..][..row]);
            }
            next = next.max(top + taps);
            // SAFETY: the caller has this row to itself.
            unsafe {
                let run = sink.place(y, 0, row, spare);
                for (x, out) in run.iter_mut().enumerate() {
                    let sum = weights
                        .iter()
                        .enumerate()
                        .fold(T::ZERO, |sum, (i, &weight)| {
                            T::down(held[(top + i) % taps * row + x], weight, sum)
                        });
                    *out = T::result(sum, self.wide);
                }
                let run: *const [T] = run;
                sink.finish(simd, y, 0, &*run);
            }
        }
    }
}
