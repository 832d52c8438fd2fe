//! Resizing by filters of several taps: bicubic, and bilinear and bicubic with antialias.
//!
//! Along each axis a destination sample is a weighted sum of neighbouring source samples, along x first. Which samples and
//! weights these are does not depend on the row or column, so they are worked out once per axis ([`Taps`]); taps that would
//! lie outside of the image are those of the border pixel, or, with antialias, are not there and the others weigh more. Source
//! rows that are filtered along x stay in the first-level cache, in a ring, for all destination rows that need them.
//!
//! | samples | arithmetic |
//! |---|---|
//! | `u8` bicubic | OpenCV's weights in 2048ths; between the axes 1/64 of a grey level |
//! | `u8` with antialias | weights in 2^-14; between the axes a byte, rounded and clamped, as in Pillow and torch |
//! | `f32` | `f32`, fused |
//!
//! [`bytes`] and [`floats`] serve one to four channels, [`cubic_f32`] bicubic floats of three and four; [`plain`] serves the others in the
//! same arithmetic.

mod bytes;
mod cubic_f32;
mod floats;
mod plain;

use super::axis::{Axis, Coordinates};
use super::pixels::{Rows, Size};
use super::rows::{Producer, Sink, run};
use crate::error::Result;
use crate::runtime::Context;
use crate::tensor::Element;
use bytes::FilterU8;
use cubic_f32::CubicF32;
use floats::FilterF32;
use plain::PlainFilter;

/// Which filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kernel {
    /// Bicubic, A = -0.75, four taps whatever the scale.
    Cubic,
    /// Bilinear, as wide as the destination pixel.
    WideLinear,
    /// Bicubic, A = -0.5, as wide as four destination pixels.
    WideCubic,
}

/// What a weight is multiplied by to be a whole number.
pub(super) const ONE: i32 = 1 << 14;

impl Kernel {
    /// Whether bytes are rounded to bytes between the axes.
    fn is_wide(self) -> bool {
        self != Kernel::Cubic
    }

    /// The weight at a distance in destination pixels (or source pixels, where the image grows).
    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Kernel::WideLinear => (1.0 - x).max(0.0),
            _ if x >= 2.0 => 0.0,
            _ if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            _ => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        }
    }
}

/// OpenCV's weights of four samples, in its precision.
fn cubic(x: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let [a, b, c] = [far(x + 1.0), near(x), near(1.0 - x)];
    [a, b, c, 1.0 - a - b - c]
}

/// The samples that a filter takes along one axis.
struct Taps {
    kernel: Kernel,
    axis: Axis,
    /// Samples of each destination sample.
    count: usize,
}

impl Taps {
    fn new(kernel: Kernel, coordinates: Coordinates, source: usize, destination: usize) -> Taps {
        let axis = Axis::new(coordinates, source, destination);
        let count = match kernel {
            Kernel::Cubic => 4,
            _ => 2 * Taps::reach(kernel, &axis).ceil() as usize + 1,
        };
        Taps {
            kernel,
            axis,
            count: count.min(source),
        }
    }

    /// How far from its centre a wide filter has weights, in source samples.
    fn reach(kernel: Kernel, axis: &Axis) -> f64 {
        let widths = if kernel == Kernel::WideLinear {
            1.0
        } else {
            2.0
        };
        widths * axis.scale().max(1.0)
    }

    /// The first of `weights.len()` samples (at least `count`, at most all) that make destination sample `d`, and their weights.
    fn at(&self, d: usize, weights: &mut [f32]) -> usize {
        let source = self.axis.source();
        weights.fill(0.0);
        if self.kernel == Kernel::Cubic {
            let (whole, fraction) = self.axis.position(d);
            let last = source as i64 - 1;
            // Most samples lie inside, each tap in its place.
            if let (1.., [a, b, c, d]) = (whole, &mut *weights)
                && whole + 2 <= last
            {
                [*a, *b, *c, *d] = cubic(fraction);
                return whole as usize - 1;
            }
            let first = (whole - 1).clamp(0, (source - weights.len()) as i64);
            for (i, weight) in cubic(fraction).into_iter().enumerate() {
                let at = (whole - 1 + i as i64).clamp(0, last);
                weights[(at - first) as usize] += weight;
            }
            return first as usize;
        }
        let centre = self.axis.centre(d);
        let reach = Taps::reach(self.kernel, &self.axis);
        let whole = |v: f64| (v + 0.5).max(0.0) as usize;
        let begin = whole(centre - reach).min(source - 1);
        let end = whole(centre + reach).clamp(begin + 1, source);
        let first = begin.min(source - weights.len());
        let shrink = 1.0 / self.axis.scale().max(1.0);
        let weight = |at: usize| self.kernel.weight((at as f64 + 0.5 - centre) * shrink);
        let sum: f64 = (begin..end).map(weight).sum();
        for at in begin..end.min(first + weights.len()) {
            // A sum of zero takes a window of one sample that lies on the filter's end.
            weights[at - first] = if sum == 0.0 {
                1.0 / (end - begin) as f64
            } else {
                weight(at) / sum
            } as f32;
        }
        first
    }

    /// As [`at`](Self::at), the weights times [`ONE`]; `floats` has as many.
    fn fixed_at(&self, d: usize, floats: &mut [f32], weights: &mut [i16]) -> usize {
        if self.kernel == Kernel::Cubic {
            // Rounded one by one, as OpenCV's, before those at the border are added up.
            let (whole, fraction) = self.axis.position(d);
            let last = self.axis.source() as i64 - 1;
            let first = (whole - 1).clamp(0, (self.axis.source() - weights.len()) as i64);
            weights.fill(0);
            for (i, weight) in cubic(fraction).into_iter().enumerate() {
                let at = (whole - 1 + i as i64).clamp(0, last);
                // Adding 1.5 * 2^23 rounds to an integer, ties to even, without a call on the baseline.
                const INTEGERS: f32 = 12_582_912.0;
                let rounded = (weight * 2048.0 + INTEGERS) - INTEGERS;
                weights[(at - first) as usize] += 8 * rounded as i16;
            }
            return first as usize;
        }
        let first = self.at(d, floats);
        // The sums up to each weight are rounded, so that all of them are exactly one.
        let (mut sum, mut before) = (0.0, 0);
        for (weight, &float) in weights.iter_mut().zip(&*floats) {
            sum += f64::from(float) * f64::from(ONE);
            let up_to = (sum + 0.5 + f64::from(1 << 20)) as i32 - (1 << 20);
            *weight = (up_to - before) as i16;
            before = up_to;
        }
        first
    }
}

/// Both axes, x first.
fn taps(kernel: Kernel, coordinates: Coordinates, src: Size, dst: Size) -> [Taps; 2] {
    [
        Taps::new(kernel, coordinates, src.width, dst.width),
        Taps::new(kernel, coordinates, src.height, dst.height),
    ]
}

/// Runs a producer in bands that are long beside the rows that a band has to filter again.
fn produce<T: Element, P: Producer<T>, K: Sink<T>>(
    ctx: &Context,
    producer: &P,
    sink: &K,
    dst: Size,
) -> Result<()> {
    run(ctx, producer, sink, dst.height, dst.row() / 4)
}

/// Samples that can be filtered.
pub(super) trait Filter: Element {
    /// Makes all rows of the image of size `dst`, whose channels are those of `src`, into the sink. Neither is empty.
    fn filter<K: Sink<Self>>(
        ctx: &Context,
        kernel: Kernel,
        coordinates: Coordinates,
        src: Rows<'_, Self>,
        dst: Size,
        sink: &K,
    ) -> Result<()>;
}

impl Filter for u8 {
    fn filter<K: Sink<u8>>(
        ctx: &Context,
        kernel: Kernel,
        coordinates: Coordinates,
        src: Rows<'_, u8>,
        dst: Size,
        sink: &K,
    ) -> Result<()> {
        let taps = taps(kernel, coordinates, src.size, dst);
        match src.size.channels {
            1..=4 => produce(ctx, &FilterU8::new(ctx, src, dst, taps)?, sink, dst),
            _ => produce(ctx, &PlainFilter::new(ctx, src, dst, taps)?, sink, dst),
        }
    }
}

impl Filter for f32 {
    fn filter<K: Sink<f32>>(
        ctx: &Context,
        kernel: Kernel,
        coordinates: Coordinates,
        src: Rows<'_, f32>,
        dst: Size,
        sink: &K,
    ) -> Result<()> {
        let taps = taps(kernel, coordinates, src.size, dst);
        match src.size.channels {
            _ if CubicF32::takes(dst.channels, &taps) => {
                let producer = CubicF32::new(ctx, src, dst, taps)?;
                run(ctx, &producer, sink, dst.height, producer.row_work())
            }
            1..=4 => produce(ctx, &FilterF32::new(ctx, src, dst, taps)?, sink, dst),
            _ => produce(ctx, &PlainFilter::new(ctx, src, dst, taps)?, sink, dst),
        }
    }
}
