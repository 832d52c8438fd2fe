//! RoIAlign: bins are the mean, or the maximum, of bilinear samples.
//!
//! He et al. 2017; the arithmetic of positions is that of torchvision's `roi_align`, and so are all decisions
//! (how many samples, which of them are outside). A bin of the mean differs from torchvision's
//! by rounding, because its samples are summed by pixel.

use super::combine::{LargestCorner, Sum, larger};
use super::forward::{Bins, Job, Lay, Memory, Room, Tasks, pieces};
use super::grid::{Axis, MOST_SAMPLES, Taps};
use super::lanes::{Block, Cut, Maps};
use super::regions::Regions;
use super::source::{Pixels, Source, lanes};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};
use crate::tensor::{
    Element, Layout, Raw, View, ViewMut, expect_rank, expect_shape, forbid_overlap,
};

/// What becomes of the samples of a bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoiAlignMode {
    /// Their mean. Samples outside of the map count, as 0.
    #[default]
    Average,
    /// The largest of all `weight * pixel` of the four pixels of each sample: ONNX's `mode="max"`. A bin with samples
    /// outside of the map is not below 0.
    MaxCorner,
    /// The largest sample. A bin with samples outside of the map is not below 0.
    MaxSample,
}

/// The options of [`roi_align`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoiAlignParams {
    /// Rows and columns of bins.
    pub output_size: [usize; 2],
    /// From coordinates to those of the map; positive.
    pub spatial_scale: f64,
    /// Samples of a bin in each direction, at most 1024; as many as it has pixels (rounded up) unless positive.
    pub sampling_ratio: i32,
    /// Coordinates are those of corners of pixels, so that half a pixel is subtracted. Otherwise they
    /// are those of centres, and a RoI is one pixel long and wide at least.
    pub aligned: bool,
    /// What becomes of the samples.
    pub mode: RoiAlignMode,
    /// The order of the axes of `x` and the output.
    pub layout: Layout,
}

impl RoiAlignParams {
    /// torchvision's defaults.
    pub fn new(output_size: [usize; 2]) -> RoiAlignParams {
        RoiAlignParams {
            output_size,
            spatial_scale: 1.0,
            sampling_ratio: -1,
            aligned: false,
            mode: RoiAlignMode::Average,
            layout: Layout::Nchw,
        }
    }
}

/// Sizes of a call that are known to go together.
pub(super) struct Shape {
    pub(super) images: usize,
    pub(super) channels: usize,
    pub(super) size: [usize; 2],
    pub(super) bins: [usize; 2],
    pub(super) scale: f32,
}

impl Shape {
    /// Of maps and bins: `x` and the output, or their gradients.
    pub(super) fn new(
        op: &str,
        layout: Layout,
        bins: [usize; 2],
        scale: f64,
        (map_name, map): (&str, &Raw<f32>),
        (bins_name, bins_array): (&str, &Raw<f32>),
        rois: &View<'_, f32>,
    ) -> Result<Shape> {
        expect_rank(op, map_name, map, 4)?;
        expect_rank(op, "rois", rois, 2)?;
        let [n, c, y, x] = layout.axes().map(|axis| map.dim(axis));
        ensure!(
            bins.iter().all(|b| (1..=1 << 24).contains(b)),
            InvalidArgument,
            "{op}: output_size is {bins:?}, each is 1 to {}",
            1 << 24
        );
        ensure!(
            scale > 0.0 && (scale as f32).is_finite() && scale as f32 > 0.0,
            InvalidArgument,
            "{op}: spatial_scale is {scale}, expected a positive number"
        );
        ensure!(
            y <= 1 << 24 && x <= 1 << 24,
            Unsupported,
            "{op}: {map_name} is {y} x {x}, the most is {} in each direction",
            1 << 24
        );
        let expected = match layout {
            Layout::Nchw => [rois.dim(0), c, bins[0], bins[1]],
            Layout::Nhwc => [rois.dim(0), bins[0], bins[1], c],
        };
        expect_shape(op, bins_name, bins_array, &expected)?;
        Ok(Shape {
            images: n,
            channels: c,
            size: [y, x],
            bins,
            scale: scale as f32,
        })
    }
}

/// Refuses a grid that would never be done.
pub(super) fn expect_ratio(op: &str, ratio: i32) -> Result<()> {
    ensure!(
        ratio <= MOST_SAMPLES,
        InvalidArgument,
        "{op}: sampling_ratio is {ratio}, the most is {MOST_SAMPLES}"
    );
    Ok(())
}

/// Bins of `rois` from `x`, to `output`; shapes are those of the [module](super).
///
/// A NaN in a pixel that a bin gives weight to makes the bin NaN, in every mode. Samples are 0 outside of
/// -1..=H and -1..=W, on the border within. `output` overlaps no input.
pub fn roi_align<B: Element + Into<i64>>(
    ctx: &Context,
    params: &RoiAlignParams,
    x: View<'_, f32>,
    rois: View<'_, f32>,
    batch_indices: Option<View<'_, B>>,
    output: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "roi_align";
    let shape = Shape::new(
        op,
        params.layout,
        params.output_size,
        params.spatial_scale,
        ("x", &x),
        ("output", &output),
        &rois,
    )?;
    expect_ratio(op, params.sampling_ratio)?;
    forbid_overlap(op, "output", &output, "x", &x)?;
    forbid_overlap(op, "output", &output, "rois", &rois)?;
    if let Some(indices) = &batch_indices {
        forbid_overlap(op, "output", &output, "batch_indices", indices)?;
    }
    let regions = Regions::new(ctx, op, &rois, batch_indices.as_ref(), ("x", shape.images))?;
    if output.is_empty() {
        return Ok(());
    }
    let maps = Maps::new(x.ptr(), &x, params.layout);
    let sampled = params.mode == RoiAlignMode::MaxSample;
    let source = Source::new(
        ctx,
        maps,
        (shape.images, shape.channels, shape.size),
        &regions,
        shape.scale,
        sampled,
    )?;
    let mut output = output.contiguous(ctx)?;
    let job = Job {
        bins: shape.bins,
        size: shape.size,
        regions: &regions,
        source: &source,
        cut: Cut::new(shape.channels, lanes(ctx.isa())),
        out: Bins::new(
            output.as_mut_ptr(),
            params.layout,
            shape.channels,
            shape.bins,
        ),
    };
    let grid = Grid::new(&shape, params);
    match params.mode {
        RoiAlignMode::Average => job.combine(ctx, Sum, &Means(&grid, &regions), grid.capacity())?,
        RoiAlignMode::MaxCorner => {
            job.combine(
                ctx,
                LargestCorner,
                &Corners(&grid, &regions),
                grid.capacity(),
            )?;
        }
        RoiAlignMode::MaxSample => sample(ctx, &job, &Corners(&grid, &regions), grid.capacity())?,
    }
    output.finish();
    Ok(())
}

/// How RoIs are laid on a map.
pub(super) struct Grid {
    bins: [usize; 2],
    size: [usize; 2],
    scale: f32,
    ratio: i32,
    aligned: bool,
}

impl Grid {
    pub(super) fn new(shape: &Shape, params: &RoiAlignParams) -> Grid {
        Grid {
            bins: shape.bins,
            size: shape.size,
            scale: shape.scale,
            ratio: params.sampling_ratio,
            aligned: params.aligned,
        }
    }

    /// The most taps along each axis.
    pub(super) fn capacity(&self) -> [usize; 2] {
        [0, 1].map(|axis| Axis::capacity(self.ratio, self.bins[axis], self.size[axis]))
    }

    /// Rows and columns of a RoI.
    #[inline(always)]
    fn axes(&self, [x1, y1, x2, y2]: [f32; 4]) -> [Axis; 2] {
        [([y1, y2], 0), ([x1, x2], 1)].map(|(ends, axis)| {
            Axis::new(
                ends,
                self.scale,
                self.aligned,
                self.ratio,
                self.bins[axis],
                self.size[axis],
            )
        })
    }
}

/// Taps of means.
pub(super) struct Means<'a>(pub(super) &'a Grid, pub(super) &'a Regions<'a>);

impl Lay for Means<'_> {
    #[inline(always)]
    fn lay(&self, k: usize, y: &mut Taps<'_>, x: &mut Taps<'_>) {
        let [rows, cols] = self.0.axes(self.1.corners(k));
        y.average(&rows);
        x.average(&cols);
    }
}

/// Two taps a sample.
pub(super) struct Corners<'a>(pub(super) &'a Grid, pub(super) &'a Regions<'a>);

impl Lay for Corners<'_> {
    const OUTSIDE: bool = true;
    #[inline(always)]
    fn lay(&self, k: usize, y: &mut Taps<'_>, x: &mut Taps<'_>) {
        let [rows, cols] = self.0.axes(self.1.corners(k));
        y.corners(&rows);
        x.corners(&cols);
    }
}

/// The largest samples. Every sample is computed from its four pixels, as torchvision does for its mean.
fn sample(ctx: &Context, job: &Job<'_>, lay: &Corners<'_>, capacity: [usize; 2]) -> Result<()> {
    let memory = Memory::new(job.bins, job.size, &job.cut, capacity);
    let tasks = Tasks::new(job);
    let isa = ctx.isa();
    ctx.parallel_for_scratch::<f32>(tasks.count(), memory.len(), |task, scratch| {
        let mut room = memory.split(scratch);
        for k in tasks.rois(task) {
            lay.lay(k, &mut room.y, &mut room.x);
            for block in tasks.blocks(task).map(|block| job.cut.block(block)) {
                // SAFETY: the scratch is as large as the memory says; tasks write different RoIs or blocks.
                dispatch!(isa, simd => unsafe { sample_block(simd, job, k, &block, &mut room) });
            }
        }
    })
}

/// # Safety
/// The room is that of the job and has the taps of RoI `k`.
#[inline(always)]
unsafe fn sample_block<S: Simd>(
    simd: S,
    job: &Job<'_>,
    k: usize,
    block: &Block,
    room: &mut Room<'_>,
) {
    let image = job.regions.image(k);
    let Some(pixels) = job.source.pixels(image, block) else {
        return;
    };
    for (rows, cols) in pieces(job.bins) {
        // SAFETY: the caller's promise.
        unsafe {
            let (mut to, step) = job.destination(k, block, &rows, &cols, room.tile);
            for p in rows.clone() {
                for q in cols.clone() {
                    for v in (0..block.width).step_by(S::LANES) {
                        let best = largest_sample(simd, &pixels, &room.y, &room.x, p, q, v);
                        simd.store_ptr(to.add(v), best);
                    }
                    to = to.wrapping_offset(step);
                }
            }
            job.emit(simd, k, block, &rows, &cols, room.tile);
        }
    }
}

/// # Safety
/// The taps are inside of the map; `at` is a vector of the block.
#[inline(always)]
unsafe fn largest_sample<S: Simd>(
    simd: S,
    pixels: &Pixels,
    y: &Taps<'_>,
    x: &Taps<'_>,
    p: usize,
    q: usize,
    at: usize,
) -> S::F32 {
    if !y.has(p) || !x.has(q) {
        return simd.zero();
    }
    let outside = y.outside(p) || x.outside(q);
    let mut best = simd.splat(if outside { 0.0 } else { f32::NEG_INFINITY });
    let (ys, xs) = (y.own(p), x.own(q));
    let (y_weights, x_weights) = (y.weight(p), x.weight(q));
    for j in (0..ys.len()).step_by(2) {
        let rows =
            [ys[j], ys[j + 1]].map(|row| pixels.ptr.wrapping_offset(row as isize * pixels.y));
        for i in (0..xs.len()).step_by(2) {
            let mut sum = simd.zero();
            for (row, wy) in rows.iter().zip(&y_weights[j..j + 2]) {
                for (col, wx) in xs[i..i + 2].iter().zip(&x_weights[i..i + 2]) {
                    let pixel = row
                        .wrapping_offset(*col as isize * pixels.x)
                        .wrapping_add(at);
                    // SAFETY: the caller's promise.
                    let v = unsafe { simd.load_ptr(pixel) };
                    sum = simd.fma(simd.splat(wy * wx), v, sum);
                }
            }
            best = larger(simd, best, sum);
        }
    }
    best
}
