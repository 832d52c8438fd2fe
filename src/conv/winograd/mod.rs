//! Winograd's convolution: 3 x 3 windows with stride 1, with four times fewer
//! multiplications.
//!
//! The output is cut into tiles of 4 x 4 pixels. Input tiles (6 x 6, which
//! overlap by two) and the windows of the weight are transformed to as many
//! *points* as an input tile has pixels; there a convolution is a product
//! point by point, so summed over channels it is one matrix product per point:
//! (tiles x input channels) times (input channels x output channels). The products
//! are transformed back to pixels.
//!
//! Both transforms work with channels in the lanes, for either layout and however small
//! an image is, and so does the product, whose kernel is that of NHWC. A task takes some lines of
//! tiles, as many as fit the L2 cache with all points of all channels, and then goes
//! through the panels of output channels: for each the products of all points, then
//! the way back, so what is between the two never leaves L2 either. Where an image has
//! too few lines for that, the first transform is a phase of its own and tasks are panels.
//!
//! Rounding: a larger tile has larger constants. Which tile serves was measured:
//! ARCHITECTURE.md has the errors.

mod input;
mod output;
mod transform;
mod weight;

use super::finish::Finish;
use super::params::{Algorithm, Extents, Image, Spec};
use super::tile::{MAX_ROWS, add_pixels, channel_vectors, keep, pixel_rows, resume};
use super::weights::{Parts, Weights, lanes, part};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};
use crate::tensor::View;
use input::Pixels;
use output::Lanes;
use std::ops::Range;
use transform::{F4, Transform};

/// Floats of transformed pixels that a task holds: with a panel of products they fit a small L2.
const POINT_FLOATS: usize = 64 << 10;
/// The fewest tiles that a line is cut to.
const MIN_TILES: usize = 12;
/// About the most tiles of a task.
const MAX_TILES: usize = 64;
/// Reading the weights of a point costs as much as multiplying with so many tiles.
const WEIGHTS_COST: f64 = 3.0;
/// Rows of the register tile that takes what is left over.
const SMALL: usize = 4;
/// Input channels whose weights, for a panel, take half of L1.
const CHUNK: usize = 256;
/// With fewer blocks of tiles than this the panels are tasks.
const FEW_BLOCKS: usize = 8;
/// Tasks that a run is cut into where there is enough to cut.
const TASKS: usize = 16;

/// The tile that serves: four times fewer multiplications, and hardly more rounding than a plain
/// sum. Everything but the transforms is generic in it.
type Tile = F4;
/// How it is called.
pub(super) const NAME: &str = "winograd F(4x4, 3x3)";
/// Points of a tile.
pub(super) const POINTS: usize = Tile::T * Tile::T;

/// The algorithm can compute this.
pub(super) fn can(spec: &Spec) -> bool {
    spec.kernel == [3, 3] && spec.stride == [1, 1] && spec.dilation == [1, 1]
}

/// Winograd is wanted, or may be the fastest for some images.
pub(super) fn may_suit(spec: &Spec) -> bool {
    match spec.algorithm {
        Algorithm::Winograd => true,
        Algorithm::Auto => can(spec) && spec.cg.min(spec.og) >= 8 && spec.cg + spec.og >= 24,
        _ => false,
    }
}

/// Winograd is wanted, or the fastest for these images: they fill the tiles well enough, and there are
/// enough tiles to be worth reading the larger weight.
pub(super) fn suits(spec: &Spec, extents: &Extents) -> bool {
    let side = Tile::M;
    let tiles = extents.n * extents.oh.div_ceil(side) * extents.ow.div_ceil(side);
    let pixels = extents.n * extents.oh * extents.ow;
    let forced = spec.algorithm == Algorithm::Winograd;
    may_suit(spec) && spec.cg > 0 && (forced || (tiles >= 4 && 6 * tiles <= pixels))
}

/// Transforms the weight of some vectors of channels of a group.
pub(super) fn pack<S: Simd>(
    simd: S,
    weight: &View<'_, f32>,
    axes: [usize; 3],
    inputs: usize,
    channels: Range<usize>,
    end: usize,
    to: &mut [f32],
) {
    weight::transform_weight::<S, Tile>(simd, weight, axes, inputs, channels, end, to);
}

/// Neighbouring tiles of one line of tiles of one image.
#[derive(Clone, Copy)]
struct Segment {
    n: usize,
    ty: usize,
    tx: usize,
    /// How many.
    count: usize,
}

/// How the tiles are cut.
#[derive(Clone, Copy)]
struct Cut {
    /// Lines of tiles in an image.
    down: usize,
    /// Tiles in a line.
    line: usize,
    /// Segments of a line.
    across: usize,
    /// Segments of all images.
    segments: usize,
    /// Segments of a block.
    per_block: usize,
    /// Blocks of all images.
    blocks: usize,
}

/// Rows that the register tiles for `tiles` tiles have, see [`Product::fixed`].
fn register_rows(tiles: usize, height: usize) -> usize {
    let (full, rest) = (tiles / height, tiles % height);
    match rest {
        0 => tiles,
        // One full register tile less, and two small ones.
        _ if full > 0 && height + rest <= 2 * SMALL => (full - 1) * height + 2 * SMALL,
        1..=SMALL => full * height + SMALL,
        _ => (full + 1) * height,
    }
}

impl Cut {
    /// The cheapest cut, `row` being the floats of a point of a tile and `height` the tiles of a
    /// register tile: for each tile the rows of register tiles that it takes, its share of
    /// reading the weights, and what it costs to leave the cache.
    fn new(extents: &Extents, row: usize, height: usize) -> Cut {
        let (down, line) = (extents.oh.div_ceil(Tile::M), extents.ow.div_ceil(Tile::M));
        let all = extents.n * down * line;
        let mut best = None;
        for across in 1..=line.div_ceil(MIN_TILES) {
            let width = line.div_ceil(across);
            let segments = extents.n * down * across;
            for per_block in 1..=MAX_TILES.div_ceil(width).min(segments) {
                let tiles = (width * per_block).min(all);
                let blocks = segments.div_ceil(per_block);
                let mut cost = register_rows(tiles, height) as f64 / tiles as f64;
                cost *= 1.0 + WEIGHTS_COST / tiles as f64;
                cost *= (tiles * blocks) as f64 / all as f64;
                let floats = POINTS * tiles * row;
                cost *= 1.0 + 0.3 * (floats as f64 / POINT_FLOATS as f64 - 1.0).clamp(0.0, 1.0);
                if blocks < TASKS {
                    cost *= 1.05;
                }
                if best.is_none_or(|(least, _)| cost < least) {
                    let cut = Cut {
                        down,
                        line,
                        across,
                        segments,
                        per_block,
                        blocks,
                    };
                    best = Some((cost, cut));
                }
            }
        }
        best.expect("there is at least one tile").1
    }

    /// The most tiles of a segment.
    fn width(&self) -> usize {
        self.line.div_ceil(self.across)
    }

    /// The most tiles of a block.
    fn tiles(&self) -> usize {
        self.per_block * self.width()
    }

    #[inline(always)]
    fn segment(&self, at: usize) -> Segment {
        let (row, i) = (at / self.across, at % self.across);
        let own = part(self.line, self.across, i);
        Segment {
            n: row / self.down,
            ty: row % self.down,
            tx: own.start,
            count: own.len(),
        }
    }

    #[inline(always)]
    fn block(&self, at: usize) -> Range<usize> {
        let start = at * self.per_block;
        start.min(self.segments)..(start + self.per_block).min(self.segments)
    }
}

/// Rounded up to an odd number of cache lines, so that the points of a tile do not
/// share a cache set.
fn odd_lines(floats: usize) -> usize {
    (floats.div_ceil(16) | 1) * 16
}

/// What all tasks share.
struct Job<'a> {
    spec: &'a Spec,
    extents: &'a Extents,
    weights: &'a Weights<'a>,
    x: Image,
    finish: &'a Finish<'a>,
    cut: Cut,
    /// Floats from tile to tile of the transformed pixels.
    row: usize,
    /// Floats from point to point of the transformed pixels, and of the products.
    point_step: usize,
    product_step: usize,
    /// Pixels in a row of a strip, before and after.
    columns_in: usize,
    columns_out: usize,
    /// Floats of each part of a task's scratch.
    strip_in: usize,
    points: usize,
    products: usize,
    strip_out: usize,
}

/// Runs the convolution.
///
/// # Safety
/// `x` and the images of `finish` describe memory of the extents that `spec` makes
/// of `extents`; no output element is reached twice or by others.
pub(super) unsafe fn run(
    ctx: &Context,
    spec: &Spec,
    extents: &Extents,
    weights: &Weights<'_>,
    x: Image,
    finish: &Finish<'_>,
) -> Result<()> {
    let tier = weights.isa.tier();
    let vector = lanes(tier);
    let row = spec.cg.next_multiple_of(vector);
    let panel = Parts::new(spec.og.div_ceil(vector), weights.panels).largest();
    let cut = Cut::new(extents, row, pixel_rows(tier, panel));
    let panel = panel * vector;
    let (columns_in, columns_out) = (cut.width() * Tile::M + 2, cut.width() * Tile::M);
    let job = Job {
        spec,
        extents,
        weights,
        x,
        finish,
        cut,
        row,
        point_step: odd_lines(cut.tiles() * row),
        product_step: odd_lines((cut.tiles() + MAX_ROWS) * panel),
        columns_in,
        columns_out,
        strip_in: match x.c {
            1 => 0,
            _ => Tile::T * columns_in * row.next_multiple_of(16),
        },
        points: POINTS * odd_lines(cut.tiles() * row),
        products: POINTS * odd_lines((cut.tiles() + MAX_ROWS) * panel),
        strip_out: Tile::M * columns_out * vector,
    };
    let (job, isa) = (&job, weights.isa);
    if cut.blocks >= FEW_BLOCKS {
        let scratch = job.strip_in + job.points + job.products + job.strip_out;
        let tasks = cut.blocks * spec.groups;
        return ctx.parallel_for_scratch::<f32>(tasks, scratch, |task, scratch| {
            let (block, group) = (task / spec.groups, task % spec.groups);
            let (strip, scratch) = scratch.split_at_mut(job.strip_in);
            let (points, rest) = scratch.split_at_mut(job.points);
            let points = points.as_mut_ptr();
            dispatch!(isa, simd => {
                // SAFETY: the caller's promise; the scratch has the parts that `job` counts.
                unsafe { job.transform::<_, Tile>(simd, block, group, 0..spec.cg, strip, points) };
                // SAFETY: as above.
                unsafe { job.multiply::<_, Tile>(simd, block, group, 0..weights.panels, points, rest) };
            });
        });
    }

    // Few blocks: first all points, then the panels.
    let mut shared = ctx.scratch::<f32>(cut.blocks * spec.groups * job.points)?;
    let base = Shared(shared.as_mut_ptr());
    let split = TASKS.div_ceil(cut.blocks * spec.groups);
    let parts = split.min(spec.cg.div_ceil(4 * vector)).max(1);
    let tasks = cut.blocks * spec.groups * parts;
    ctx.parallel_for_scratch::<f32>(tasks, job.strip_in, |task, strip| {
        let (rest, p) = (task / parts, task % parts);
        let (block, group) = (rest / spec.groups, rest % spec.groups);
        let vectors = part(spec.cg.div_ceil(vector), parts, p);
        let channels = vectors.start * vector..(vectors.end * vector).min(spec.cg);
        let points = base.get().wrapping_add(rest * job.points);
        dispatch!(isa, simd => {
            // SAFETY: the caller's promise; the scratch has the parts that `job` counts.
            unsafe { job.transform::<_, Tile>(simd, block, group, channels, strip, points) };
        });
    })?;
    let parts = split.min(weights.panels).max(1);
    let tasks = cut.blocks * spec.groups * parts;
    let scratch = job.products + job.strip_out;
    ctx.parallel_for_scratch::<f32>(tasks, scratch, |task, scratch| {
        let (rest, p) = (task / parts, task % parts);
        let (block, group) = (rest / spec.groups, rest % spec.groups);
        let panels = part(weights.panels, parts, p);
        let points = base.get().wrapping_add(rest * job.points);
        dispatch!(isa, simd => {
            // SAFETY: as above, and the points of all channels are transformed.
            unsafe { job.multiply::<_, Tile>(simd, block, group, panels, points, scratch) };
        });
    })
}

/// A pointer that tasks share.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

impl Shared {
    fn get(self) -> *mut f32 {
        self.0
    }
}

// SAFETY: in the first phase each task writes channels of its own, in the second all only read.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Job<'_> {
    /// Transforms the pixels of a block, for some channels of a group.
    ///
    /// # Safety
    /// As for [`run`]; `strip` has `strip_in` floats, `points` has `points`, and
    /// nobody else uses the part of these channels.
    #[inline(always)]
    unsafe fn transform<S: Simd, W: Transform>(
        &self,
        simd: S,
        block: usize,
        group: usize,
        channels: Range<usize>,
        strip: &mut [f32],
        points: *mut f32,
    ) {
        let (spec, extents) = (self.spec, self.extents);
        let first = group * spec.cg + channels.start;
        let count = channels.len();
        let pitch = count.next_multiple_of(16);
        let mut t = 0;
        for at in self.cut.block(block) {
            let segment = self.cut.segment(at);
            if self.x.c != 1 {
                let own = first..first + count;
                let (columns, strip) = (self.columns_in, strip.as_mut_ptr());
                // SAFETY: the caller's promise.
                unsafe {
                    input::fill_strip::<S, W>(
                        simd, spec, extents, &self.x, &segment, own, columns, pitch, strip,
                    );
                }
            }
            for i in 0..segment.count {
                let corner = input::corner::<W>(spec, segment.ty, segment.tx + i);
                let (pixels, (rows, columns)) = match self.x.c {
                    1 => {
                        let at = segment.n as isize * self.x.n
                            + first as isize
                            + corner.0 * self.x.y
                            + corner.1 * self.x.x;
                        let pixels = Pixels {
                            base: self.x.ptr.wrapping_offset(at),
                            row: self.x.y,
                            column: self.x.x,
                        };
                        (pixels, input::visible::<W>(extents, corner))
                    }
                    _ => {
                        let pixels = Pixels {
                            base: strip.as_ptr().wrapping_add(i * W::M * pitch),
                            row: (self.columns_in * pitch) as isize,
                            column: pitch as isize,
                        };
                        (pixels, (0..W::T, 0..W::T))
                    }
                };
                let to = points.wrapping_add(t * self.row + channels.start);
                let step = self.point_step;
                // SAFETY: the caller's promise; row `t` of every point.
                unsafe {
                    input::transform_tile::<S, W>(simd, pixels, rows, columns, count, to, step);
                }
                t += 1;
            }
        }
    }

    /// Multiplies the points of a block with some panels and stores their pixels.
    ///
    /// # Safety
    /// As for [`run`]; `points` is filled; `scratch` has room for products and a strip.
    #[inline(always)]
    unsafe fn multiply<S: Simd, W: Transform>(
        &self,
        simd: S,
        block: usize,
        group: usize,
        panels: Range<usize>,
        points: *const f32,
        scratch: &mut [f32],
    ) {
        let (spec, extents, finish) = (self.spec, self.extents, self.finish);
        let (products, strip) = scratch.split_at_mut(self.products);
        let products = products.as_mut_ptr();
        let vectors = Parts::new(spec.og.div_ceil(S::LANES), self.weights.panels);
        let all_lanes = spec.og.next_multiple_of(S::LANES);
        let segments = self.cut.block(block);
        let tiles = segments.clone().map(|at| self.cut.segment(at).count).sum();
        let together = finish.channels_together();
        for panel in panels {
            let own = vectors.get(panel);
            let width = own.len() * S::LANES;
            let at = (group * all_lanes + own.start * S::LANES) * W::T * W::T * spec.cg;
            let weights = self.weights.weights()[at..].as_ptr();
            // SAFETY: points, weights and products of this panel.
            unsafe {
                for p in 0..W::T * W::T {
                    let product = Product {
                        depth: spec.cg,
                        tiles,
                        row: self.row,
                        points: points.add(p * self.point_step),
                        weights: weights.add(p * spec.cg * width),
                        to: products.add(p * self.product_step),
                    };
                    product.any(simd, own.len());
                }
            }
            let mut t = 0;
            for at in segments.clone() {
                let segment = self.cut.segment(at);
                for v in 0..own.len() {
                    let start = (own.start + v) * S::LANES;
                    let channel = group * spec.og + start;
                    let lanes = Lanes {
                        channel,
                        count: S::LANES.min(spec.og - start),
                        slope: finish.slope_lanes(simd, channel),
                    };
                    let bias = simd.load_partial(&self.weights.bias()[channel..]);
                    let pixel_steps = ((self.columns_out * S::LANES) as isize, S::LANES as isize);
                    // SAFETY: the caller's promise; tile `t` and those that follow of the products.
                    unsafe {
                        for i in 0..segment.count {
                            let points = products.add((t + i) * width + v * S::LANES);
                            let to = strip.as_mut_ptr().add(i * W::M * S::LANES);
                            let step = self.product_step;
                            output::transform_lanes::<S, W>(
                                simd,
                                points,
                                step,
                                bias,
                                to,
                                pixel_steps,
                            );
                        }
                        let (strip, columns) = (strip.as_ptr(), self.columns_out);
                        if together {
                            output::store_strip::<S, W>(
                                simd, extents, finish, &segment, lanes, strip, columns,
                            );
                        } else {
                            output::store_turned::<S, W>(
                                simd, extents, finish, &segment, lanes, strip, columns,
                            );
                        }
                    }
                }
                t += segment.count;
            }
        }
    }
}

/// One point: all tiles times one panel of output channels.
struct Product {
    /// Input channels.
    depth: usize,
    tiles: usize,
    /// Floats from tile to tile.
    row: usize,
    points: *const f32,
    weights: *const f32,
    /// Tiles of as many floats as the panel is wide.
    to: *mut f32,
}

impl Product {
    /// # Safety
    /// `points` has `depth` values for each tile, `weights` has `vectors` vectors for each of
    /// them, and `to` room for all tiles, rounded up to a register tile.
    #[inline(always)]
    unsafe fn any<S: Simd>(&self, simd: S, vectors: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match vectors {
                1 => self.fixed::<S, 8, 1>(simd),
                2 if const { pixel_rows(S::TIER, 2) == 6 } => self.fixed::<S, 6, 2>(simd),
                2 => self.fixed::<S, 8, 2>(simd),
                3 if const { channel_vectors(S::TIER) >= 3 } => self.fixed::<S, 8, 3>(simd),
                _ => unreachable!(),
            }
        }
    }

    /// # Safety
    /// As for [`any`](Product::any), with `NV` vectors.
    #[inline(always)]
    unsafe fn fixed<S: Simd, const MR: usize, const NV: usize>(&self, simd: S) {
        let mut start = 0;
        while start < self.depth {
            let len = CHUNK.min(self.depth - start);
            let mut t = 0;
            while t < self.tiles {
                // SAFETY: the caller's promise.
                unsafe {
                    let left = self.tiles - t;
                    if left <= SMALL || (left > MR && left <= 2 * SMALL) {
                        self.tile::<S, SMALL, NV>(simd, t, start, len);
                        t += SMALL;
                    } else {
                        self.tile::<S, MR, NV>(simd, t, start, len);
                        t += MR;
                    }
                }
            }
            start += len;
        }
    }

    /// # Safety
    /// As for [`fixed`](Product::fixed).
    #[inline(always)]
    unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(
        &self,
        simd: S,
        t: usize,
        start: usize,
        len: usize,
    ) {
        let mut rows = [self.points; MR];
        for (m, row) in rows.iter_mut().enumerate() {
            // Rows without a tile repeat the last one.
            let tile = (t + m).min(self.tiles - 1);
            *row = self.points.wrapping_add(tile * self.row + start);
        }
        // SAFETY: the caller's promise.
        unsafe {
            let to = self.to.add(t * NV * S::LANES);
            let sums = match start {
                0 => [[simd.zero(); NV]; MR],
                _ => resume::<S, MR, NV>(simd, to),
            };
            let weights = self.weights.add(start * NV * S::LANES);
            let sums = add_pixels::<S, MR, NV>(simd, sums, weights, &[[0, len as i64]], rows);
            keep(simd, sums, to);
        }
    }
}
