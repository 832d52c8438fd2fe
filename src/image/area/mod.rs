//! The mean over the area of each destination pixel: OpenCV's `INTER_AREA`.
//!
//! A destination pixel covers a cell of the source, and its value is the mean of
//! the cell, pixels at the border weighing as much as lies inside. Every way of OpenCV
//! through this is taken with the same operations in the same order, none of them fused, so `u8`
//! results have OpenCV's bits on every tier:
//!
//! | sides | what is computed |
//! |---|---|
//! | both are halved | `(sum + 2) >> 2` (for 1, 3 and 4 channels; ties to even for others) |
//! | both divide evenly | the sum of the cell times `1 / area` in `f32`, ties to even |
//! | both shrink or stay | weights in `f32`, along x first, then along y, ties to even |
//! | one grows | bilinear, with weights of its own (see [`Axis::area`]) |
//!
//! The first is `halve`, the last `linear_u8` and `linear_f32` with other taps. For the two others see
//! [`vectors_u8`] and [`vectors_f32`]; [`plain`] serves the images that are too narrow or have too many channels
//! for vectors.

mod cells;
mod descent;
mod plain;
mod vectors_f32;
mod vectors_u8;

use super::axis::Axis;
use super::halve::HalveU8;
use super::linear_f32::LinearF32;
use super::linear_u8::LinearU8;
use super::pixels::{Rows, Size};
use super::rows::{Plain, Producer, Sink, run};
use crate::error::Result;
use crate::runtime::Context;
use crate::tensor::Element;
use cells::Cells;
use plain::{PlainArea, WholeArea};
use vectors_f32::AreaF32;
use vectors_u8::AreaU8;
pub(super) use vectors_u8::store;

/// What is computed for two sizes.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The size stays.
    Copy,
    /// Both sides are halved.
    Halve,
    /// Means over whole cells of this width and height.
    Whole(usize, usize),
    /// Means with these scales of x and y.
    Weighted(f64, f64),
    /// Bilinear.
    Linear,
}

/// The source's size over the destination's, as OpenCV computes it: it is given the inverse.
fn scale(source: usize, destination: usize) -> f64 {
    1.0 / (destination as f64 / source as f64)
}

impl Way {
    fn of(src: Size, dst: Size) -> Way {
        if src == dst {
            return Way::Copy;
        }
        let x = scale(src.width, dst.width);
        let y = scale(src.height, dst.height);
        if x < 1.0 || y < 1.0 {
            return Way::Linear;
        }
        // Nearly even is even: to OpenCV's last digit, since 1 / (1 / 49) is not 49.
        let (whole_x, whole_y) = ((x + 0.5) as usize, (y + 0.5) as usize);
        let even = |scale: f64, whole: usize| (scale - whole as f64).abs() < f64::EPSILON;
        match even(x, whole_x) && even(y, whole_y) {
            true if (whole_x, whole_y) == (2, 2) => Way::Halve,
            true => Way::Whole(whole_x, whole_y),
            false => Way::Weighted(x, y),
        }
    }
}

/// Cells of both axes, x first, and what their sums are multiplied with at the end.
#[derive(Clone, Copy, Debug)]
struct Grid {
    across: Cells,
    down: Cells,
    factor: f32,
}

impl Grid {
    fn whole(src: Size, x: usize, y: usize) -> Grid {
        Grid {
            across: Cells::whole(src.width, x),
            down: Cells::whole(src.height, y),
            factor: 1.0 / (x * y) as f32,
        }
    }
    fn weighted(src: Size, x: f64, y: f64) -> Grid {
        Grid {
            across: Cells::weighted(src.width, x),
            down: Cells::weighted(src.height, y),
            factor: 1.0,
        }
    }
}

/// Runs a producer in bands that reading the source makes worth a task.
fn produce<T: Element, P: Producer<T>, K: Sink<T>>(
    ctx: &Context,
    producer: &P,
    sink: &K,
    src: Size,
    dst: Size,
) -> Result<()> {
    let read = src.row().saturating_mul(src.height) / dst.height;
    run(ctx, producer, sink, dst.height, dst.row().max(read))
}

/// Samples that can be averaged.
pub(super) trait Area: Element {
    /// Makes all rows of the image of size `dst`, whose channels are those of `src`, into
    /// the sink. Neither is empty.
    fn area<K: Sink<Self>>(ctx: &Context, src: Rows<'_, Self>, dst: Size, sink: &K) -> Result<()>;
}

/// The map of both axes where one grows.
fn axes(src: Size, dst: Size) -> (Axis, Axis) {
    (
        Axis::area(src.width, dst.width),
        Axis::area(src.height, dst.height),
    )
}

impl Area for u8 {
    fn area<K: Sink<u8>>(ctx: &Context, src: Rows<'_, u8>, dst: Size, sink: &K) -> Result<()> {
        /// The largest cell whose sum an `f32` holds exactly.
        const EXACT: usize = (1 << 24) / 255;
        let grid = match Way::of(src.size, dst) {
            Way::Copy => return run(ctx, &Plain(src), sink, dst.height, dst.row()),
            Way::Halve if HalveU8::takes(dst.channels) => {
                return run(
                    ctx,
                    &HalveU8::new(ctx, src, dst),
                    sink,
                    dst.height,
                    dst.row(),
                );
            }
            way @ (Way::Halve | Way::Linear) => {
                let (across, down) = axes(src.size, dst);
                let halve = matches!(way, Way::Halve);
                let producer = LinearU8::new(ctx, src, dst, across, down, halve)?;
                return run(ctx, &producer, sink, dst.height, dst.row());
            }
            Way::Whole(x, y) if x * y > EXACT => {
                let producer = WholeArea::new(src, dst, x, y);
                return produce(ctx, &producer, sink, src.size, dst);
            }
            Way::Whole(x, y) => Grid::whole(src.size, x, y),
            Way::Weighted(x, y) => Grid::weighted(src.size, x, y),
        };
        match AreaU8::plan(ctx, src, dst, grid)? {
            Some(producer) => produce(ctx, &producer, sink, src.size, dst),
            None => produce(ctx, &PlainArea::new(src, dst, grid), sink, src.size, dst),
        }
    }
}

impl Area for f32 {
    fn area<K: Sink<f32>>(ctx: &Context, src: Rows<'_, f32>, dst: Size, sink: &K) -> Result<()> {
        let grid = match Way::of(src.size, dst) {
            Way::Copy => return run(ctx, &Plain(src), sink, dst.height, dst.row()),
            Way::Linear => {
                let (across, down) = axes(src.size, dst);
                let producer = LinearF32::new(ctx, src, dst, across, down)?;
                return run(ctx, &producer, sink, dst.height, producer.row_work());
            }
            Way::Halve => Grid::whole(src.size, 2, 2),
            Way::Whole(x, y) => Grid::whole(src.size, x, y),
            Way::Weighted(x, y) => Grid::weighted(src.size, x, y),
        };
        if src.size.channels > 4 {
            let producer = PlainArea::new(src, dst, grid);
            return produce(ctx, &producer, sink, src.size, dst);
        }
        let producer = AreaF32::new(ctx, src, dst, grid)?;
        produce(ctx, &producer, sink, src.size, dst)
    }
}
