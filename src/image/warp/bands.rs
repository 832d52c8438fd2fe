//! The destination in bands of rows, and where its pixels look.

use super::Warp;
use super::sample::{AHEAD, Places, ROOM, Room, Source, Target};
use super::texel::Texel;
use crate::error::Result;
use crate::image::Interpolation;
use crate::image::pixels::{Rows, RowsMut, Size};
use crate::runtime::Context;
use crate::simd::{Isa, Narrow, dispatch};

/// Rows of a band, which is a task.
const BAND: usize = 32;

/// A run of pixels of a row of the destination.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) y: usize,
    pub(super) x: usize,
    pub(super) count: usize,
}

/// Where destination pixels look.
pub(super) trait Look: Sync {
    /// The coordinates of at most [`ROOM`] pixels, in `room` or elsewhere.
    fn look<'a>(&'a self, isa: Isa, span: Span, room: &'a mut Room) -> Places<'a>;
}

/// A matrix of two or three rows, from destination to source.
pub(super) struct Matrix {
    pub(super) m: [f64; 9],
    pub(super) perspective: bool,
}

impl Look for Matrix {
    fn look<'a>(&'a self, isa: Isa, span: Span, room: &'a mut Room) -> Places<'a> {
        dispatch!(isa, simd => self.places(simd, span, room));
        let middle = (span.x + span.count / 2) as f64;
        let (x, y) = self.place(middle, span.y as f64);
        let (x1, y1) = self.place(middle, (span.y + AHEAD) as f64);
        Places {
            x: &room.x,
            y: &room.y,
            ahead: ((x1 - x) as f32, (y1 - y) as f32),
        }
    }
}

impl Matrix {
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let row = |a: usize| self.m[a] * x + self.m[a + 1] * y + self.m[a + 2];
        match self.perspective {
            true => (row(0) / row(6), row(3) / row(6)),
            false => (row(0), row(3)),
        }
    }

    /// As OpenCV: what depends on the row in `f64`, the rest in `f32`.
    #[inline(always)]
    fn places<S: Narrow>(&self, simd: S, Span { y, x, count }: Span, room: &mut Room) {
        let m = &self.m;
        let row = |a: usize| simd.splat((y as f64 * m[a + 1] + m[a + 2]) as f32);
        let (row_x, row_y, row_w) = (row(0), row(3), row(6));
        let step = |a: usize| simd.splat(m[a] as f32);
        let (step_x, step_y, step_w) = (step(0), step(3), step(6));
        let xs = room.x.chunks_exact_mut(S::LANES);
        let ys = room.y.chunks_exact_mut(S::LANES);
        for (i, (xs, ys)) in xs.zip(ys).take(count.div_ceil(S::LANES)).enumerate() {
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
    let bands = height.div_ceil(BAND);
    ctx.parallel_for(bands, |task| {
        // The upper and the lower half in turns: two threads that work on bands next to each other would
        // both fetch what these share of the source.
        let band = task / 2 + (task % 2) * bands.div_ceil(2);
        let mut room = Room::new();
        for y in band * BAND..((band + 1) * BAND).min(height) {
            // SAFETY: bands are disjoint.
            let row = unsafe { dst.row(y) };
            for x in (0..width).step_by(ROOM) {
                let count = ROOM.min(width - x);
                let places = look.look(isa, Span { y, x, count }, &mut room);
                let to = &mut row[x * channels..];
                let target = Target {
                    first: to.as_mut_ptr(),
                    count,
                    room: to.len(),
                };
                // SAFETY: what is behind the pixels in their row is made later.
                unsafe { sample(&source, isa, places, &target) };
            }
        }
    })
}
