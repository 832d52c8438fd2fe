//! The destination in bands and tiles, and where its pixels look.

use super::Warp;
use super::sample::{Places, ROOM, Room, Source, Target};
use super::texel::Texel;
use crate::error::Result;
use crate::image::Interpolation;
use crate::image::pixels::{Rows, RowsMut, Size};
use crate::runtime::Context;
use crate::simd::{Isa, MAX_LANES, Narrow, dispatch};

/// Rows of a band, which is a task: as high as a tile is wide, or enough to be worth it.
const TILED: usize = 64;
const WHOLE: usize = 32;

/// Pixels of the destination.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) y: usize,
    pub(super) x: usize,
    pub(super) rows: usize,
    pub(super) count: usize,
}

/// Where destination pixels look.
pub(super) trait Look: Sync {
    /// The coordinates of the pixels of a block of at most [`ROOM`], in `room` or elsewhere.
    fn look<'a>(&'a self, isa: Isa, block: Block, room: &'a mut Room) -> Places<'a>;
    /// Whether pixels of so many bytes are made tile by tile, not row by row. Rows are what the CPU
    /// fetches ahead, of maps above all; but a row of large pixels that runs across the source touches more
    /// of it than the caches keep until the next one. Tiles may have blocks of several rows.
    fn tiled(&self, pixel: usize) -> bool;
}

/// A matrix of two or three rows, from destination to source.
pub(super) struct Matrix {
    pub(super) m: [f64; 9],
    pub(super) perspective: bool,
}

impl Look for Matrix {
    fn look<'a>(&'a self, isa: Isa, block: Block, room: &'a mut Room) -> Places<'a> {
        let pitch = block.count.next_multiple_of(MAX_LANES);
        assert!(block.rows * pitch <= ROOM);
        for row in 0..block.rows {
            let (x, y) = (&mut room.x[row * pitch..], &mut room.y[row * pitch..]);
            let (x, y) = (&mut x[..pitch], &mut y[..pitch]);
            dispatch!(isa, simd => self.places(simd, block.y + row, block.x, x, y));
        }
        Places {
            x: &room.x,
            y: &room.y,
            pitch,
        }
    }
    fn tiled(&self, pixel: usize) -> bool {
        pixel > 4
    }
}

impl Matrix {
    /// As OpenCV: what depends on the row in `f64`, the rest in `f32`.
    #[inline(always)]
    fn places<S: Narrow>(&self, simd: S, y: usize, x: usize, xs: &mut [f32], ys: &mut [f32]) {
        let m = &self.m;
        let row = |a: usize| simd.splat((y as f64 * m[a + 1] + m[a + 2]) as f32);
        let (row_x, row_y, row_w) = (row(0), row(3), row(6));
        let step = |a: usize| simd.splat(m[a] as f32);
        let (step_x, step_y, step_w) = (step(0), step(3), step(6));
        let (xs, ys) = (xs.chunks_exact_mut(S::LANES), ys.chunks_exact_mut(S::LANES));
        for (i, (xs, ys)) in xs.zip(ys).enumerate() {
            let first = simd.splat_i32((x + i * S::LANES) as i32);
            let at = simd.to_f32(simd.add_i32(first, simd.iota()));
            let mut to_x = simd.fma(step_x, at, row_x);
            let mut to_y = simd.fma(step_y, at, row_y);
            if self.perspective {
                let w = simd.fma(step_w, at, row_w);
                (to_x, to_y) = (simd.div(to_x, w), simd.div(to_y, w));
            }
            simd.store(xs, to_x);
            simd.store(ys, to_y);
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
    // Height of a band, width of a tile, rows and columns of a block.
    let (band, tile, rows, columns) = match look.tiled(channels * size_of::<T>()) {
        true => (TILED, TILED, ROOM / TILED, TILED),
        false => (WHOLE, width, 1, ROOM),
    };
    ctx.parallel_for(height.div_ceil(band), |task| {
        let (first, stride) = dst.address();
        let mut room = Room::new();
        let bottom = ((task + 1) * band).min(height);
        for left in (0..width).step_by(tile) {
            let right = (left + tile).min(width);
            for y in (task * band..bottom).step_by(rows) {
                for x in (left..right).step_by(columns) {
                    let block = Block {
                        y,
                        x,
                        rows: rows.min(bottom - y),
                        count: columns.min(right - x),
                    };
                    let places = look.look(isa, block, &mut room);
                    // SAFETY: bands are disjoint, and what is behind the pixels in their rows is
                    // made later.
                    unsafe {
                        let target = Target {
                            first: first.offset(y as isize * stride).add(x * channels),
                            stride,
                            rows: block.rows,
                            count: block.count,
                            room: (width - x) * channels,
                        };
                        sample(&source, isa, places, &target);
                    }
                }
            }
        }
    })
}
