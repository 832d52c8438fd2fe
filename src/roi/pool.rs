//! RoIPool: bins are the maximum of the pixels that they cover.
//!
//! Girshick 2015, by the arithmetic of torchvision's `roi_pool`: corners are rounded half away from zero and
//! both belong to the RoI, which is one pixel long and wide at least; bins begin at the pixel their edge is in and end with it.
//! Neighbouring bins thus share pixels.

use super::align::Shape;
use super::combine::Largest;
use super::forward::{Bins, Job, Lay, Memory, Room, Tasks, pieces};
use super::grid::{Axis, Taps};
use super::lanes::{Block, Cut, Maps, WIDE, from_lanes};
use super::regions::Regions;
use super::source::{Source, lanes, lanes_of};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};
use crate::tensor::{Element, Layout, View, ViewMut, expect_same_shape, forbid_overlap};

/// The options of [`roi_pool`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoiPoolParams {
    /// Rows and columns of bins.
    pub output_size: [usize; 2],
    /// From coordinates to those of the map; positive.
    pub spatial_scale: f64,
    /// The order of the axes of `x` and the output.
    pub layout: Layout,
}

/// Bins of `rois` from `x`, to `output`, and to `argmax` of the same shape where in the plane of the map the maximum of
/// a bin is (row times width plus column); shapes are those of the [module](super).
///
/// The first of equal maxima counts. A bin without pixels is 0, a bin with nothing above the least finite float is that float (a NaN is
/// above nothing); both have -1 in `argmax`. The outputs overlap neither inputs nor one another.
pub fn roi_pool<B: Element + Into<i64>>(
    ctx: &Context,
    params: &RoiPoolParams,
    x: View<'_, f32>,
    rois: View<'_, f32>,
    batch_indices: Option<View<'_, B>>,
    output: ViewMut<'_, f32>,
    argmax: Option<ViewMut<'_, i32>>,
) -> Result<()> {
    let op = "roi_pool";
    let shape = Shape::new(
        op,
        params.layout,
        params.output_size,
        params.spatial_scale,
        ("x", &x),
        ("output", &output),
        &rois,
    )?;
    forbid_overlap(op, "output", &output, "x", &x)?;
    forbid_overlap(op, "output", &output, "rois", &rois)?;
    if let Some(indices) = &batch_indices {
        forbid_overlap(op, "output", &output, "batch_indices", indices)?;
    }
    if let Some(argmax) = &argmax {
        expect_same_shape(op, "argmax", argmax, "output", &output)?;
        forbid_overlap(op, "argmax", argmax, "output", &output)?;
        forbid_overlap(op, "argmax", argmax, "x", &x)?;
        forbid_overlap(op, "argmax", argmax, "rois", &rois)?;
        if let Some(indices) = &batch_indices {
            forbid_overlap(op, "argmax", argmax, "batch_indices", indices)?;
        }
        expect_indexable(op, "x", shape.size)?;
    }
    let regions = Regions::new(ctx, op, &rois, batch_indices.as_ref(), ("x", shape.images))?;
    if output.is_empty() {
        return Ok(());
    }
    let maps = Maps::new(x.ptr(), &x, params.layout);
    let of = (shape.images, shape.channels, shape.size);
    let source = Source::new(ctx, maps, of, &regions, shape.scale, argmax.is_some())?;
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
    let capacity = [0, 1].map(|axis| Axis::capacity(0, shape.bins[axis], shape.size[axis]));
    let lay = Ranges {
        bins: shape.bins,
        size: shape.size,
        scale: shape.scale,
        regions: &regions,
    };
    let Some(argmax) = argmax else {
        job.combine(ctx, Largest, &lay, capacity)?;
        output.finish();
        return Ok(());
    };
    let mut argmax = argmax.contiguous(ctx)?;
    let indices = Bins::new(
        argmax.as_mut_ptr(),
        params.layout,
        shape.channels,
        shape.bins,
    );
    indexed(ctx, &job, &lay, capacity, indices)?;
    output.finish();
    argmax.finish();
    Ok(())
}

/// Indices into a map fit 32 bits.
pub(super) fn expect_indexable(op: &str, name: &str, [rows, cols]: [usize; 2]) -> Result<()> {
    ensure!(
        rows.saturating_mul(cols) <= i32::MAX as usize,
        Unsupported,
        "{op}: {name} is {rows} x {cols}, argmax cannot count so far"
    );
    Ok(())
}

/// The maximum with its index: every pixel of a bin is compared, in torchvision's order, and value and index are selected
/// together.
fn indexed(
    ctx: &Context,
    job: &Job<'_>,
    lay: &Ranges<'_>,
    capacity: [usize; 2],
    indices: Bins<i32>,
) -> Result<()> {
    let memory = Memory::new(job.bins, job.size, &job.cut, capacity);
    let tasks = Tasks::new(job);
    let isa = ctx.isa();
    ctx.parallel_for_scratch::<f32>(tasks.count(), memory.len(), |task, scratch| {
        let mut room = memory.split(scratch);
        for k in tasks.rois(task) {
            lay.lay(k, &mut room.y, &mut room.x);
            for block in tasks.blocks(task).map(|block| job.cut.block(block)) {
                // SAFETY: the scratch is as large as the memory says; tasks write different RoIs or blocks.
                dispatch!(isa, simd => unsafe {
                    match block.width == lanes_of(simd) {
                        true => indexed_block::<_, 1>(simd, job, k, &block, &mut room, indices),
                        false => indexed_block::<_, WIDE>(simd, job, k, &block, &mut room, indices),
                    }
                });
            }
        }
    })
}

/// # Safety
/// The room is that of the job and has the taps of RoI `k`; the block has `V` vectors.
#[inline(always)]
unsafe fn indexed_block<S: Simd, const V: usize>(
    simd: S,
    job: &Job<'_>,
    k: usize,
    block: &Block,
    room: &mut Room<'_>,
    indices: Bins<i32>,
) {
    let Some(pixels) = job.source.pixels(job.regions.image(k), block) else {
        return;
    };
    let width = job.size[1] as i32;
    for (rows, cols) in pieces(job.bins) {
        // SAFETY: the caller's promise.
        unsafe {
            let (mut to, step) = job.destination(k, block, &rows, &cols, room.tile);
            // The second tile: nothing is copied here.
            let (index_to, index_channel, index_step) =
                indices.at(k, block.channel, rows.start, cols.start);
            let mut at = match job.out.direct(block) {
                true => index_to,
                false => room.copied.as_mut_ptr().cast::<i32>(),
            };
            for p in rows.clone() {
                for q in cols.clone() {
                    let (mut best, mut index) = ([simd.zero(); V], [simd.splat_i32(-1); V]);
                    if room.y.has(p) && room.x.has(q) {
                        best = [simd.splat(f32::MIN); V];
                        for &row in room.y.own(p) {
                            let line = pixels.ptr.wrapping_offset(row as isize * pixels.y);
                            for &col in room.x.own(q) {
                                let pixel = line.wrapping_offset(col as isize * pixels.x);
                                let here = simd.splat_i32(row * width + col);
                                for v in 0..V {
                                    let value = simd.load_ptr(pixel.add(v * S::LANES));
                                    let takes = simd.gt(value, best[v]);
                                    best[v] = simd.select(takes, value, best[v]);
                                    index[v] = simd.select_i32(takes, here, index[v]);
                                }
                            }
                        }
                    }
                    for v in 0..V {
                        simd.store_ptr(to.add(v * S::LANES), best[v]);
                        simd.store_i32_ptr(at.add(v * S::LANES), index[v]);
                    }
                    (to, at) = (to.wrapping_offset(step), at.wrapping_offset(step));
                }
            }
            job.emit(simd, k, block, &rows, &cols, room.tile);
            if !job.out.direct(block) {
                let (tile, run) = (room.copied.as_ptr(), rows.len() * cols.len());
                from_lanes(
                    simd,
                    tile,
                    block,
                    index_to.cast(),
                    index_channel,
                    index_step,
                    run,
                );
            }
        }
    }
}

/// Taps of the pixels that bins cover.
struct Ranges<'a> {
    bins: [usize; 2],
    size: [usize; 2],
    scale: f32,
    regions: &'a Regions<'a>,
}

impl Lay for Ranges<'_> {
    fn lay(&self, k: usize, y: &mut Taps<'_>, x: &mut Taps<'_>) {
        let [x1, y1, x2, y2] = self.regions.corners(k);
        self.axis([y1, y2], 0, y);
        self.axis([x1, x2], 1, x);
    }
}

impl Ranges<'_> {
    #[inline(always)]
    fn axis(&self, ends: [f32; 2], axis: usize, taps: &mut Taps<'_>) {
        let (bins, limit) = (self.bins[axis], self.size[axis] as i64);
        let [low, high] = ends.map(|end| end * self.scale);
        if !low.is_finite() || !high.is_finite() {
            return taps.ranges(bins, |_| 0..0);
        }
        // Saturating: what is that far off covers no pixel or all of them.
        let [low, high] = [low, high].map(|end| i64::from(round(end)));
        let bin = (high - low + 1).max(1) as f32 / bins as f32;
        taps.ranges(bins, |at| {
            let start = (at as f32 * bin).floor() as i64 + low;
            let end = ((at + 1) as f32 * bin).ceil() as i64 + low;
            start.clamp(0, limit) as i32..end.clamp(0, limit) as i32
        });
    }
}

/// C's `round`, half away from zero.
fn round(v: f32) -> i32 {
    v.round() as i32
}
