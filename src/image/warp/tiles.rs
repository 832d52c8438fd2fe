//! The destination in bands and tiles, and where its pixels look.

use super::Warp;
use super::sample::{Places, RUN, Source, Stage};
use super::texel::{SPILL, Texel};
use crate::error::Result;
use crate::image::Interpolation;
use crate::image::pixels::{Rows, RowsMut, Size};
use crate::runtime::Context;
use crate::simd::{Isa, Simd, dispatch};

/// Rows of a band, which is a task: as high as a tile is wide, or enough to be worth it.
const TILED: usize = 64;
const WHOLE: usize = 32;

/// Where destination pixels look.
pub(super) trait Look: Sync {
    /// The coordinates of `count` pixels (at most [`RUN`]) from `(x, y)` on. The rest of
    /// `places` may hold anything.
    fn look(&self, isa: Isa, y: usize, x: usize, count: usize, places: &mut Places);
    /// Whether pixels of so many bytes are made tile by tile, not row by row. Rows are what the CPU
    /// fetches ahead, of maps above all; but a row of large pixels that runs across the source touches more
    /// of it than the caches keep until the next one.
    fn tiled(&self, pixel: usize) -> bool;
}

/// A matrix of two or three rows, from destination to source.
pub(super) struct Matrix {
    pub(super) m: [f64; 9],
    pub(super) perspective: bool,
}

impl Look for Matrix {
    fn look(&self, isa: Isa, y: usize, x: usize, count: usize, places: &mut Places) {
        dispatch!(isa, simd => self.places(simd, y, x, count, places));
    }
    fn tiled(&self, pixel: usize) -> bool {
        pixel > 4
    }
}

impl Matrix {
    /// As OpenCV: what depends on the row in `f64`, the rest in `f32`.
    #[inline(always)]
    fn places<S: Simd>(&self, simd: S, y: usize, x: usize, count: usize, places: &mut Places) {
        let m = &self.m;
        let row = |a: usize| simd.splat((y as f64 * m[a + 1] + m[a + 2]) as f32);
        let (row_x, row_y, row_w) = (row(0), row(3), row(6));
        let step = |a: usize| simd.splat(m[a] as f32);
        let (step_x, step_y, step_w) = (step(0), step(3), step(6));
        for i in (0..count).step_by(S::LANES) {
            let first = simd.splat_i32((x + i) as i32);
            let at = simd.to_f32(simd.add_i32(first, simd.iota()));
            let mut to_x = simd.fma(step_x, at, row_x);
            let mut to_y = simd.fma(step_y, at, row_y);
            if self.perspective {
                let w = simd.fma(step_w, at, row_w);
                (to_x, to_y) = (simd.div(to_x, w), simd.div(to_y, w));
            }
            // SAFETY: RUN is a multiple of LANES.
            unsafe {
                simd.store_ptr(places.x.as_mut_ptr().add(i), to_x);
                simd.store_ptr(places.y.as_mut_ptr().add(i), to_y);
            }
        }
    }
}

/// Makes all of `dst`.
pub(super) fn run<T: Texel>(
    ctx: &Context,
    options: &Warp,
    src: Rows<'_, T>,
    dst: RowsMut<'_, T>,
    look: &dyn Look,
) -> Result<()> {
    let source = Source::new(src, options.border, options.value);
    let isa = ctx.isa();
    let sample = source.sampler(match options.interpolation {
        Interpolation::Nearest => 1,
        Interpolation::Cubic => 4,
        _ => 2,
    });
    let Size {
        height,
        width,
        channels,
    } = dst.size;
    let (band, tile) = match look.tiled(channels * size_of::<T>()) {
        true => (TILED, RUN),
        false => (WHOLE, width),
    };
    ctx.parallel_for(height.div_ceil(band), |task| {
        let mut places = Places::new();
        let mut stage = Stage([T::from_float(0.0); RUN * 4 + SPILL]);
        for left in (0..width).step_by(tile) {
            let right = (left + tile).min(width);
            for y in task * band..((task + 1) * band).min(height) {
                // SAFETY: bands are disjoint.
                let row = unsafe { dst.row(y) };
                for x in (left..right).step_by(RUN) {
                    let count = RUN.min(right - x);
                    look.look(isa, y, x, count, &mut places);
                    sample(&source, isa, &places, count, &mut stage);
                    row[x * channels..(x + count) * channels]
                        .copy_from_slice(&stage.0[..count * channels]);
                }
            }
        }
    })
}
