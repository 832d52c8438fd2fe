//! `grid_sample`: planes of floats at normalised coordinates, as torch.
//!
//! All channels of an image look at the same places, so a run of the grid is turned once
//! into offsets and fractions, which stay in the first-level cache, and then each
//! plane is gone through with these. In a vector whose taps are all inside, two neighbours are one
//! load; else each tap has a column and a row of its own, -1 where there is none.

use super::sample::{AHEAD, Weights};
use super::texel::sealed::Texel as _;
use crate::error::{Result, bail, ensure};
use crate::image::Interpolation;
use crate::runtime::Context;
use crate::simd::{Narrow, dispatch};
use crate::tensor::{View, ViewMut, Writer, expect_rank, expect_shape, forbid_overlap};

/// What lies outside of the planes of [`grid_sample`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Padding {
    /// Zeros.
    #[default]
    Zeros,
    /// The border pixels.
    Border,
    /// The image mirrored, at the edges of the border pixels or, with `align_corners`, at their centres.
    Reflection,
}

/// Options of [`grid_sample`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct GridSample {
    /// Linear, nearest or cubic (torch's `bilinear`, `nearest`, `bicubic`).
    pub interpolation: Interpolation,
    /// What lies outside.
    pub padding: Padding,
    /// -1 and 1 are the centres of the corner pixels, not their outer edges.
    pub align_corners: bool,
}

const OP: &str = "grid_sample";
/// Destination pixels that are made at once.
const RUN: usize = 64;
/// Destination pixels of a task, about: times channels, so that tasks are worth it.
const TASK: usize = 16 * 1024;

/// Samples the planes of `input` (N, C, H, W) at the places of `grid` (N, H', W', 2), x first, to `output`
/// (N, C, H', W'), as `torch.nn.functional.grid_sample`.
///
/// -1 and 1 are the edges of the planes. Nearest is the closest pixel, ties to even. A coordinate that is NaN, or too large to
/// be folded, counts as outside with `Zeros` and as the first pixel else. A NaN or infinity among the samples reaches what
/// it is interpolated into, even with weight zero; pixels that are outside of the image count as zero, whatever stands in their place.
///
/// Any strides; memory of `output` may not overlap the others. Errors: shapes that do not fit, planes without pixels or of 2^31 or more
/// for an output that has some. For one tier the result has the same bits at any number of threads.
pub fn grid_sample(
    ctx: &Context,
    options: &GridSample,
    input: View<'_, f32>,
    grid: View<'_, f32>,
    output: ViewMut<'_, f32>,
) -> Result<()> {
    if options.interpolation == Interpolation::Area {
        bail!(
            InvalidArgument,
            "{OP}: interpolation is area, which only resize has; expected linear, nearest or cubic"
        );
    }
    expect_rank(OP, "input", &input, 4)?;
    expect_rank(OP, "grid", &grid, 4)?;
    ensure!(
        grid.dim(0) == input.dim(0) && grid.dim(3) == 2,
        ShapeMismatch,
        "{OP}: grid has shape {:?}, expected ({}, H, W, 2) for an input of shape {:?}",
        grid.shape(),
        input.dim(0),
        input.shape()
    );
    let (images, channels) = (input.dim(0), input.dim(1));
    let shape = [images, channels, grid.dim(1), grid.dim(2)];
    expect_shape(OP, "output", &output, &shape)?;
    if output.is_empty() {
        return Ok(());
    }
    let (height, width) = (input.dim(2), input.dim(3));
    ensure!(
        height > 0 && width > 0,
        InvalidArgument,
        "{OP}: input of shape {:?} has no pixels for an output of shape {shape:?}",
        input.shape()
    );
    ensure!(
        height
            .checked_mul(width)
            .is_some_and(|n| n < i32::MAX as usize),
        Unsupported,
        "{OP}: input of shape {:?} has planes of 2^31 pixels or more",
        input.shape()
    );
    forbid_overlap(OP, "output", &output, "input", &input)?;
    forbid_overlap(OP, "output", &output, "grid", &grid)?;
    // Planes are compact; images and channels may lie anywhere.
    let packed_input;
    let input = match input.is_contiguous_from(2) {
        true => input,
        false => {
            packed_input = input.contiguous(ctx)?;
            View::new(&packed_input, input.shape())?
        }
    };
    let packed_grid;
    let grid = match grid.is_contiguous_from(1) {
        true => grid,
        false => {
            packed_grid = grid.contiguous(ctx)?;
            View::new(&packed_grid, grid.shape())?
        }
    };
    if output.is_contiguous_from(2) {
        let mut output = output;
        return run(ctx, options, &input, &grid, output.writer());
    }
    let mut packed = output.contiguous(ctx)?;
    run(
        ctx,
        options,
        &input,
        &grid,
        ViewMut::new(&mut packed, &shape)?.writer(),
    )?;
    packed.finish();
    Ok(())
}

fn run(
    ctx: &Context,
    options: &GridSample,
    input: &View<'_, f32>,
    grid: &View<'_, f32>,
    output: Writer<'_, f32>,
) -> Result<()> {
    let (images, channels) = (input.dim(0), input.dim(1));
    let pixels = output.dim(2) * output.dim(3);
    let part = (TASK / channels.min(TASK / RUN)).next_multiple_of(RUN);
    let parts = pixels.div_ceil(part);
    let isa = ctx.isa();
    let sampler = Sampler {
        height: input.dim(2) as i32,
        width: input.dim(3) as i32,
        padding: options.padding,
        align_corners: options.align_corners,
    };
    ctx.parallel_for(images * parts, |task| {
        let (image, part_at) = (task / parts, task % parts * part);
        // SAFETY: an image of the input whose planes are compact, the grid of that image, which
        // is compact, and the pixels of this task in each plane of the output.
        let planes = |c: usize| unsafe {
            let at = input.stride(0) * image as isize + input.stride(1) * c as isize;
            input.ptr().cast_const().offset(at)
        };
        // The places of a run of pixels, and how far from them the rows [`AHEAD`] below look, if there are any.
        let places = |start: usize, count: usize| {
            // SAFETY: as above.
            let row = |start: usize, count: usize| unsafe {
                let at = grid.stride(0) * image as isize + 2 * start as isize;
                std::slice::from_raw_parts(grid.ptr().cast_const().offset(at), 2 * count)
            };
            let (middle, here) = (start + count / 2, row(start, count));
            let below = middle + AHEAD * output.dim(3);
            let ahead = match below < pixels {
                true => {
                    let (there, here) = (row(below, 1), row(middle, 1));
                    sampler.steps(there[0] - here[0], there[1] - here[1])
                }
                false => 0,
            };
            (here, ahead)
        };
        macro_rules! run {
            ($k:literal) => {{
                let mut taps = Taps::<$k>::new();
                for start in (part_at..(part_at + part).min(pixels)).step_by(RUN) {
                    let count = RUN.min(pixels - start);
                    let (places, ahead) = places(start, count);
                    // SAFETY: tasks have disjoint pixels.
                    let out = |c: usize| unsafe {
                        let at = output.stride(0) * image as isize + output.stride(1) * c as isize;
                        output.slice(at + start as isize, count)
                    };
                    dispatch!(isa, simd => {
                        sampler.run::<_, $k>(simd, &mut taps, channels, places, ahead, planes, out)
                    });
                }
            }};
        }
        match options.interpolation {
            Interpolation::Nearest => run!(1),
            Interpolation::Cubic => run!(4),
            _ => run!(2),
        }
    })
}

/// The planes that are sampled, and how.
#[derive(Clone, Copy)]
struct Sampler {
    height: i32,
    width: i32,
    padding: Padding,
    align_corners: bool,
}

/// What the channels share of a run.
#[repr(align(64))]
struct Taps<const K: usize> {
    /// The first tap, where all are inside.
    offsets: [u32; RUN],
    fx: [f32; RUN],
    fy: [f32; RUN],
    /// Columns and first samples of rows, else; -1 is outside.
    columns: [[i32; RUN]; K],
    rows: [[i32; RUN]; K],
}

impl Sampler {
    /// Samples between two places that are so far apart, about.
    fn steps(&self, x: f32, y: f32) -> isize {
        let pixels = |v: f32, size: i32| (v * size as f32 / 2.0).round_ties_even() as isize;
        let rows = pixels(y, self.height).wrapping_mul(self.width as isize);
        rows.wrapping_add(pixels(x, self.width))
    }

    /// The coordinate in pixels of a normalised one.
    #[inline(always)]
    fn pixels<S: Narrow>(&self, simd: S, at: S::F32, size: i32) -> S::F32 {
        let one = simd.splat(1.0);
        let at = simd.add(at, one);
        let at = match self.align_corners {
            true => simd.mul(at, simd.splat((size - 1) as f32 / 2.0)),
            false => {
                let scaled = simd.mul(at, simd.splat(size as f32 / 2.0));
                simd.sub(scaled, simd.splat(0.5))
            }
        };
        match self.padding {
            // Beyond eight pixels nothing changes any more. A NaN gives the second operand.
            Padding::Zeros | Padding::Border => {
                let at = simd.max(at, simd.splat(-8.0));
                simd.min(at, simd.splat(size as f32 + 8.0))
            }
            Padding::Reflection => {
                let near = simd.lt(simd.abs(at), simd.splat((1u32 << 30) as f32));
                simd.select(near, at, simd.zero())
            }
        }
    }

    /// The coordinate inside that stands for one that may be outside.
    #[inline(always)]
    fn fold<S: Narrow>(&self, simd: S, at: S::F32, size: i32) -> S::F32 {
        let last = simd.splat((size - 1) as f32);
        let at = match self.padding {
            Padding::Zeros => return at,
            Padding::Border => at,
            Padding::Reflection => {
                let (edge, period) = match self.align_corners {
                    true => (0.0, 2.0 * (size - 1) as f32),
                    false => (0.5, 2.0 * size as f32),
                };
                let (edge, period) = (simd.splat(edge), simd.splat(period));
                let from_edge = simd.abs(simd.add(at, edge));
                let whole = simd.trunc(simd.div(from_edge, period));
                let rest = simd.sub(from_edge, simd.mul(whole, period));
                simd.sub(simd.min(rest, simd.sub(period, rest)), edge)
            }
        };
        // A NaN (of the grid, or of a period of zero) is 0.
        simd.min(simd.max(at, simd.zero()), last)
    }

    /// The first index and the fraction along one axis; whether all taps of all lanes are inside.
    #[inline(always)]
    fn axis<S: Narrow, const K: usize>(
        &self,
        simd: S,
        at: S::F32,
        size: i32,
    ) -> (S::F32, S::F32, S::Mask) {
        let mut at = self.pixels(simd, at, size);
        if K < 4 {
            at = self.fold(simd, at, size);
        }
        let whole = match K {
            1 => simd.round(at),
            _ => simd.floor(at),
        };
        let first = match K {
            4 => simd.sub(whole, simd.splat(1.0)),
            _ => whole,
        };
        let end = simd.splat((size - (K as i32 - 1)) as f32);
        let inside = simd.and(simd.le(simd.zero(), first), simd.lt(first, end));
        (first, simd.sub(at, whole), inside)
    }

    /// The index of tap `k` in every lane, -1 outside.
    #[inline(always)]
    fn tap<S: Narrow, const K: usize>(
        &self,
        simd: S,
        first: S::F32,
        k: usize,
        size: i32,
    ) -> S::I32 {
        let mut at = simd.add(first, simd.splat(k as f32));
        if K == 4 {
            at = self.fold(simd, at, size);
        }
        let inside = simd.and(
            simd.le(simd.zero(), at),
            simd.lt(at, simd.splat(size as f32)),
        );
        let at = simd.select(inside, at, simd.splat(-1.0));
        simd.trunc_to_i32(at)
    }

    /// Samples all channels at a run of `places`, x and y in turns.
    #[inline(always)]
    fn run<'a, S: Narrow, const K: usize>(
        &self,
        simd: S,
        taps: &mut Taps<K>,
        channels: usize,
        places: &[f32],
        ahead: isize,
        planes: impl Fn(usize) -> *const f32,
        out: impl Fn(usize) -> &'a mut [f32],
    ) {
        let count = places.len() / 2;
        assert!(count <= RUN);
        // A copy, of which the compiler knows that nothing else writes to it.
        let this = *self;
        let mut inside = 0u64;
        for i in (0..count).step_by(S::LANES) {
            let low = simd.load_partial(&places[2 * i..]);
            let high = simd.load_partial(&places[(2 * i + S::LANES).min(2 * count)..]);
            let (x, y) = simd.deinterleave(low, high);
            let (first_x, fx, in_x) = this.axis::<S, K>(simd, x, this.width);
            let (first_y, fy, in_y) = this.axis::<S, K>(simd, y, this.height);
            let all = simd.all(simd.and(in_x, in_y));
            // SAFETY: RUN is a multiple of LANES.
            unsafe {
                simd.store_ptr(taps.fx.as_mut_ptr().add(i), fx);
                simd.store_ptr(taps.fy.as_mut_ptr().add(i), fy);
                if all {
                    inside |= 1 << (i / S::LANES);
                    let row = simd.mul_i32(simd.trunc_to_i32(first_y), simd.splat_i32(this.width));
                    let at = simd.add_i32(row, simd.trunc_to_i32(first_x));
                    simd.store_i32_ptr(taps.offsets.as_mut_ptr().add(i).cast(), at);
                    continue;
                }
                let mut k = 0;
                while k < K {
                    let column = this.tap::<S, K>(simd, first_x, k, this.width);
                    simd.store_i32_ptr(taps.columns[k].as_mut_ptr().add(i), column);
                    let row = this.tap::<S, K>(simd, first_y, k, this.height);
                    let start = simd.mul_i32(row, simd.splat_i32(this.width));
                    let none = simd.splat_i32(-1);
                    let start = simd.select_i32(simd.gt_i32(row, none), start, none);
                    simd.store_i32_ptr(taps.rows[k].as_mut_ptr().add(i), start);
                    k += 1;
                }
            }
        }
        for c in 0..channels {
            let (plane, out) = (planes(c), out(c));
            for i in (0..count).step_by(S::LANES) {
                // SAFETY: `axis` and `tap` made indices of taps that are inside of the plane.
                let v = unsafe {
                    match inside >> (i / S::LANES) & 1 == 1 {
                        true => {
                            for lane in (0..S::LANES).step_by(4) {
                                let line = plane.wrapping_add(taps.offsets[i + lane] as usize);
                                simd.prefetch(line.wrapping_offset(ahead));
                            }
                            this.inner::<S, K>(simd, plane, taps, i)
                        }
                        false => this.outer::<S, K>(simd, plane, taps, i),
                    }
                };
                simd.store_partial(&mut out[i..], v);
            }
        }
    }

    /// # Safety
    /// The offsets of vector `i` are of taps inside of the plane.
    #[inline(always)]
    unsafe fn inner<S: Narrow, const K: usize>(
        &self,
        simd: S,
        plane: *const f32,
        taps: &Taps<K>,
        i: usize,
    ) -> S::F32 {
        // SAFETY: the caller's promise; RUN is a multiple of LANES.
        unsafe {
            let offsets = taps.offsets.as_ptr().add(i);
            if K == 1 {
                return simd.gather_ptr(plane, simd.load_i32_ptr(offsets.cast()));
            }
            let weights = taps.weights(simd, i);
            let mut sum = [simd.zero(); 1];
            let mut r = 0;
            while r < K {
                let row = f32::row::<S, K>(simd, plane.add(r * self.width as usize), offsets);
                sum = weights.add::<K, 1, K>(simd, r, row, sum);
                r += 1;
            }
            sum[0]
        }
    }

    /// # Safety
    /// The columns and rows of vector `i` are of the plane, or -1.
    #[inline(always)]
    unsafe fn outer<S: Narrow, const K: usize>(
        &self,
        simd: S,
        plane: *const f32,
        taps: &Taps<K>,
        i: usize,
    ) -> S::F32 {
        let zero = simd.splat_i32(0);
        let none = simd.splat_i32(-1);
        // SAFETY: the caller's promise; RUN is a multiple of LANES.
        unsafe {
            let weights = taps.weights(simd, i);
            let mut sum = [simd.zero(); 1];
            let mut r = 0;
            while r < K {
                let start = simd.load_i32_ptr(taps.rows[r].as_ptr().add(i));
                let mut row = [simd.zero(); K];
                let mut k = 0;
                while k < K {
                    let column = simd.load_i32_ptr(taps.columns[k].as_ptr().add(i));
                    let inside = simd.gt_i32(simd.min_i32(start, column), none);
                    let at = simd.add_i32(start, column);
                    let at = simd.select_i32(inside, at, zero);
                    let sample = simd.gather_ptr(plane, at);
                    row[k] = simd.select(inside, sample, simd.zero());
                    k += 1;
                }
                if K == 1 {
                    return row[0];
                }
                sum = weights.add::<K, 1, K>(simd, r, row, sum);
                r += 1;
            }
            sum[0]
        }
    }
}

impl<const K: usize> Taps<K> {
    fn new() -> Taps<K> {
        Taps {
            offsets: [0; RUN],
            fx: [0.0; RUN],
            fy: [0.0; RUN],
            columns: [[0; RUN]; K],
            rows: [[0; RUN]; K],
        }
    }

    /// # Safety
    /// `i` is a multiple of LANES, below RUN.
    #[inline(always)]
    unsafe fn weights<S: Narrow>(&self, simd: S, i: usize) -> Weights<S::F32> {
        // SAFETY: the caller's promise.
        unsafe {
            let x = simd.load_ptr(self.fx.as_ptr().add(i));
            let y = simd.load_ptr(self.fy.as_ptr().add(i));
            Weights::new::<K>(simd, x, y)
        }
    }
}
