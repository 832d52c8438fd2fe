//! The gradient of RoIAlign with respect to its maps.
//!
//! RoIs overlap, so that many bins add to a pixel. A task owns a part of one image (some blocks of channels, some rows) and adds
//! the bins of all RoIs to it in their order: nothing is shared, and the bits do not depend on
//! the number of threads. For the mean, bins are spread as they were combined, rows first: a small array (rows, columns
//! of bins) takes the bins of each column, and is then spread along the rows of the map.
//!
//! The gradient of a maximum goes to what was the maximum, the first in order of samples when several are equal:
//! for [`RoiAlignMode::MaxCorner`] to one pixel, by its weight; for [`RoiAlignMode::MaxSample`] to the four pixels of a sample. It is lost when the
//! maximum is the 0 of samples outside of the map.

use super::align::{Corners, Grid, Means, RoiAlignMode, RoiAlignParams, Shape, expect_ratio};
use super::forward::{Bins, Lay, Memory, Room, pieces};
use super::grid::Taps;
use super::lanes::{Block, Cut, Maps, WIDE, from_lanes, to_lanes};
use super::regions::Regions;
use super::source::{Pixels, Source, lanes, lanes_of};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::{MAX_LANES, Simd, dispatch};
use crate::tensor::{Element, View, ViewMut, expect_same_shape, forbid_overlap};
use std::ops::Range;

/// Elements of a part of an image: some megabyte, which a cache near the core holds.
const PART: usize = 1 << 18;
/// Parts that an image is cut into by channels, where it has as many blocks.
const GROUPS: usize = 4;

/// What [`roi_align`](super::roi_align) makes of `dy` backwards: the gradient with respect to `x`, to `dx`.
///
/// `dy` has the shape of the output, `dx` that of the input. `x` is the input; the mean does not need it. `dx` overlaps no input.
pub fn roi_align_backward<B: Element + Into<i64>>(
    ctx: &Context,
    params: &RoiAlignParams,
    dy: View<'_, f32>,
    rois: View<'_, f32>,
    batch_indices: Option<View<'_, B>>,
    x: Option<View<'_, f32>>,
    dx: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "roi_align_backward";
    let shape = Shape::new(
        op,
        params.layout,
        params.output_size,
        params.spatial_scale,
        ("dx", &dx),
        ("dy", &dy),
        &rois,
    )?;
    expect_ratio(op, params.sampling_ratio)?;
    forbid_overlap(op, "dx", &dx, "dy", &dy)?;
    forbid_overlap(op, "dx", &dx, "rois", &rois)?;
    if let Some(indices) = &batch_indices {
        forbid_overlap(op, "dx", &dx, "batch_indices", indices)?;
    }
    ensure!(
        x.is_some() || params.mode == RoiAlignMode::Average,
        InvalidArgument,
        "{op}: x is missing, which mode {:?} needs",
        params.mode
    );
    if let Some(x) = &x {
        expect_same_shape(op, "x", x, "dx", &dx)?;
        forbid_overlap(op, "dx", &dx, "x", x)?;
    }
    let regions = Regions::new(ctx, op, &rois, batch_indices.as_ref(), ("dx", shape.images))?;
    if dx.is_empty() {
        return Ok(());
    }
    let source = match x {
        Some(x) if params.mode != RoiAlignMode::Average => {
            let maps = Maps::new(x.ptr(), &x, params.layout);
            let of = (shape.images, shape.channels, shape.size);
            Some(Source::new(ctx, maps, of, &regions, shape.scale, true)?)
        }
        _ => None,
    };
    let dy = dy.contiguous(ctx)?;
    let mut dx = dx.contiguous(ctx)?;
    let cut = Cut::new(shape.channels, lanes(ctx.isa()));
    let grid = Grid::new(&shape, params);
    let out = ViewMut::new(&mut dx, &map_shape(&shape, params))?;
    let job = Job {
        bins: shape.bins,
        size: shape.size,
        corner: params.mode == RoiAlignMode::MaxCorner,
        parts: Parts::new(&cut, shape.size),
        dy: Bins::new(
            dy.as_ptr().cast_mut(),
            params.layout,
            shape.channels,
            shape.bins,
        ),
        dx: Maps::new(out.ptr(), &out, params.layout),
        regions: &regions,
        source: source.as_ref(),
        cut,
    };
    match source {
        None => job.run(ctx, shape.images, &Means(&grid, &regions), grid.capacity())?,
        Some(_) => job.run(
            ctx,
            shape.images,
            &Corners(&grid, &regions),
            grid.capacity(),
        )?,
    }
    dx.finish();
    Ok(())
}

fn map_shape(shape: &Shape, params: &RoiAlignParams) -> [usize; 4] {
    let sizes = [shape.images, shape.channels, shape.size[0], shape.size[1]];
    let mut map = [0; 4];
    for (axis, size) in params.layout.axes().into_iter().zip(sizes) {
        map[axis] = size;
    }
    map
}

/// How an image is cut.
struct Parts {
    blocks_each: usize,
    groups: usize,
    rows_each: usize,
    bands: usize,
}

impl Parts {
    fn new(cut: &Cut, [rows, cols]: [usize; 2]) -> Parts {
        let row = cols * cut.widest();
        let blocks_each = (PART / (rows * row)).clamp(1, cut.blocks.div_ceil(GROUPS));
        let rows_each = (PART / row).clamp(1, rows);
        Parts {
            blocks_each,
            groups: cut.blocks.div_ceil(blocks_each),
            rows_each,
            bands: rows.div_ceil(rows_each),
        }
    }
}

struct Job<'a> {
    bins: [usize; 2],
    size: [usize; 2],
    corner: bool,
    parts: Parts,
    dy: Bins<f32>,
    dx: Maps<f32>,
    regions: &'a Regions<'a>,
    /// The maps, for a maximum.
    source: Option<&'a Source<'a>>,
    cut: Cut,
}

impl Job<'_> {
    fn run<L: Lay>(
        &self,
        ctx: &Context,
        images: usize,
        lay: &L,
        capacity: [usize; 2],
    ) -> Result<()> {
        let memory = Memory::new(self.bins, self.size, &self.cut, capacity);
        let (parts, isa) = (&self.parts, ctx.isa());
        let map = parts.rows_each * self.size[1] * self.cut.widest();
        let words = memory.len().saturating_add(parts.blocks_each * map);
        let of_image = parts.groups * parts.bands;
        ctx.parallel_for_scratch::<f32>(images * of_image, words, |task, scratch| {
            let (image, part) = (task / of_image, task % of_image);
            let first = part / parts.bands * parts.blocks_each;
            let blocks = first..(first + parts.blocks_each).min(self.cut.blocks);
            let top = part % parts.bands * parts.rows_each;
            let rows = top..(top + parts.rows_each).min(self.size[0]);
            let (sums, rest) = scratch.split_at_mut(parts.blocks_each * map);
            let mut room = memory.split(rest);
            sums.fill(0.0);
            for k in 0..self.regions.len() {
                if self.regions.image(k) != image {
                    continue;
                }
                lay.lay(k, &mut room.y, &mut room.x);
                if self.source.is_none() {
                    room.list_rows();
                }
                for (block, sums) in blocks.clone().zip(sums.chunks_exact_mut(map)) {
                    let block = self.cut.block(block);
                    // SAFETY: the scratch is as large as the memory says, and the room has the taps.
                    dispatch!(isa, simd => unsafe {
                        match block.width == lanes_of(simd) {
                            true => self.spread::<_, 1>(simd, k, &block, &rows, &mut room, sums),
                            false => self.spread::<_, WIDE>(simd, k, &block, &rows, &mut room, sums),
                        }
                    });
                }
            }
            for (block, sums) in blocks.zip(sums.chunks_exact(map)) {
                let block = self.cut.block(block);
                let run = rows.len() * self.size[1];
                let dst = self.dx.at(image, block.channel, rows.start, 0);
                // A map of one column keeps its rows where columns were.
                let step = if self.size[1] == 1 { self.dx.y } else { self.dx.x };
                // SAFETY: the gradient is compact, so rows are a run; this part of it is this task's.
                dispatch!(isa, simd => unsafe {
                    from_lanes(simd, sums.as_ptr(), &block, dst, self.dx.c, step, run)
                });
            }
        })
    }

    /// Adds the gradient of RoI `k` to the sums of some rows of a block.
    ///
    /// # Safety
    /// The room is that of the job and has the taps of the RoI; the block has `V` vectors, `sums` its rows.
    #[inline(always)]
    unsafe fn spread<S: Simd, const V: usize>(
        &self,
        simd: S,
        k: usize,
        block: &Block,
        rows: &Range<usize>,
        room: &mut Room<'_>,
        sums: &mut [f32],
    ) {
        for (bin_rows, bin_cols) in pieces(self.bins) {
            let run = bin_rows.len() * bin_cols.len();
            let (src, channel, step) = self.dy.at(k, block.channel, bin_rows.start, bin_cols.start);
            // SAFETY: the caller's promise; the tile holds a piece.
            unsafe {
                let tile = room.tile.as_mut_ptr();
                to_lanes(simd, src, channel, step, run, block, tile);
                match self.source {
                    None => self.spread_means::<S, V>(simd, rows, (bin_rows, bin_cols), room, sums),
                    Some(source) => {
                        let pixels = source.pixels(self.regions.image(k), block);
                        for v in (0..V * S::LANES).step_by(S::LANES) {
                            let Some(pixels) = pixels else { return };
                            let piece = (bin_rows.clone(), bin_cols.clone());
                            self.spread_largest(
                                simd,
                                rows,
                                piece,
                                room,
                                sums,
                                (pixels, block.width, v),
                            );
                        }
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`spread`](Job::spread); the tile has the piece.
    #[inline(always)]
    unsafe fn spread_means<S: Simd, const V: usize>(
        &self,
        simd: S,
        rows: &Range<usize>,
        (bin_rows, bin_cols): (Range<usize>, Range<usize>),
        room: &mut Room<'_>,
        sums: &mut [f32],
    ) {
        let width = V * S::LANES;
        let ps = bin_rows.start.max(room.y.first)..bin_rows.end.min(room.y.end);
        let qs = bin_cols.start.max(room.x.first)..bin_cols.end.min(room.x.end);
        if ps.is_empty() || qs.is_empty() {
            return;
        }
        let (mut low, mut high) = (i32::MAX, 0);
        for p in ps.clone() {
            for &row in room.y.index(p) {
                (low, high) = (low.min(row), high.max(row + 1));
            }
        }
        let (low, high) = (low as usize, high as usize);
        if !room.rows()[low..high]
            .iter()
            .any(|&row| rows.contains(&(row as usize)))
        {
            return;
        }
        let most = (room.joined.len() / width / (high - low)).max(1);
        for q in qs.clone().step_by(most) {
            let cols = q..(q + most).min(qs.end);
            let line = cols.len() * width;
            room.joined[..(high - low) * line].fill(0.0);
            let joined = room.joined.as_mut_ptr();
            // SAFETY: rows of so many columns fit the stage; taps are inside of the map.
            unsafe {
                for p in ps.clone() {
                    let bin = (p - bin_rows.start) * bin_cols.len() + cols.start - bin_cols.start;
                    let src = room.tile.as_ptr().add(bin * width);
                    for (&row, &weight) in room.y.index(p).iter().zip(room.y.weight(p)) {
                        let to = joined.add((row as usize - low) * line);
                        let weight = simd.splat(weight);
                        for at in (0..line).step_by(S::LANES) {
                            let sum = simd.fma(
                                weight,
                                simd.load_ptr(src.add(at)),
                                simd.load_ptr(to.add(at)),
                            );
                            simd.store_ptr(to.add(at), sum);
                        }
                    }
                }
                for (at, &row) in room.rows()[low..high].iter().enumerate() {
                    if !rows.contains(&(row as usize)) {
                        continue;
                    }
                    let to = sums
                        .as_mut_ptr()
                        .add((row as usize - rows.start) * self.size[1] * width);
                    let mut src = joined.cast_const().add(at * line);
                    for q in cols.clone() {
                        let mut bin = [simd.zero(); V];
                        for (v, bin) in bin.iter_mut().enumerate() {
                            *bin = simd.load_ptr(src.add(v * S::LANES));
                        }
                        for (&col, &weight) in room.x.index(q).iter().zip(room.x.weight(q)) {
                            let pixel = to.add(col as usize * width);
                            let weight = simd.splat(weight);
                            for (v, &bin) in bin.iter().enumerate() {
                                let pixel = pixel.add(v * S::LANES);
                                simd.store_ptr(pixel, simd.fma(weight, bin, simd.load_ptr(pixel)));
                            }
                        }
                        src = src.add(width);
                    }
                }
            }
        }
    }

    /// A vector of the block, from lane `at` on.
    ///
    /// # Safety
    /// As [`spread`](Job::spread); the tile has the piece.
    #[inline(always)]
    unsafe fn spread_largest<S: Simd>(
        &self,
        simd: S,
        rows: &Range<usize>,
        (bin_rows, bin_cols): (Range<usize>, Range<usize>),
        room: &mut Room<'_>,
        sums: &mut [f32],
        (pixels, width, at): (Pixels, usize, usize),
    ) {
        let mut bin = at;
        for p in bin_rows {
            for q in bin_cols.clone() {
                let dy = &room.tile[bin..bin + S::LANES];
                bin += width;
                if !room.y.has(p) || !room.x.has(q) {
                    continue;
                }
                let (mut ys, mut xs) = ([0i32; MAX_LANES], [0i32; MAX_LANES]);
                // SAFETY: the caller's promise; there is room for a vector.
                unsafe {
                    let (y, x) = winners(simd, &pixels, &room.y, &room.x, (p, q, at), self.corner);
                    simd.store_i32_ptr(ys.as_mut_ptr(), y);
                    simd.store_i32_ptr(xs.as_mut_ptr(), x);
                }
                let corners = if self.corner { 1 } else { 2 };
                for (lane, &dy) in dy.iter().enumerate() {
                    let (Ok(j), Ok(i)) = (usize::try_from(ys[lane]), usize::try_from(xs[lane]))
                    else {
                        continue;
                    };
                    for j in j..j + corners {
                        let row = room.y.own(p)[j] as usize;
                        if !rows.contains(&row) {
                            continue;
                        }
                        for i in i..i + corners {
                            let col = room.x.own(q)[i] as usize;
                            let to = ((row - rows.start) * self.size[1] + col) * width + at + lane;
                            sums[to] += dy * (room.y.weight(p)[j] * room.x.weight(q)[i]);
                        }
                    }
                }
            }
        }
    }
}

/// Which tap along y and which along x is the maximum of a bin; of a sample, the first of two each. -1 where it is
/// the 0 of samples outside.
///
/// # Safety
/// The taps are inside of the map; `at` is a vector of the block.
#[inline(always)]
unsafe fn winners<S: Simd>(
    simd: S,
    pixels: &Pixels,
    y: &Taps<'_>,
    x: &Taps<'_>,
    (p, q, at): (usize, usize, usize),
    corner: bool,
) -> (S::I32, S::I32) {
    let (ys, xs) = (y.own(p), x.own(q));
    let mut best = Best::<S> {
        value: simd.splat(f32::NEG_INFINITY),
        y: simd.splat_i32(0),
        x: simd.splat_i32(0),
    };
    for j in (0..ys.len()).step_by(2) {
        for i in (0..xs.len()).step_by(2) {
            let mut sum = simd.zero();
            for c in 0..4 {
                let (j, i) = (j + c / 2, i + c % 2);
                let offset = ys[j] as isize * pixels.y + xs[i] as isize * pixels.x + at as isize;
                // SAFETY: the caller's promise.
                let v = unsafe { simd.load_ptr(pixels.ptr.offset(offset)) };
                let weight = simd.splat(y.weight(p)[j] * x.weight(q)[i]);
                if corner {
                    best.see(simd, simd.mul(weight, v), (j as i32, i as i32));
                } else {
                    sum = simd.fma(weight, v, sum);
                }
            }
            if !corner {
                best.see(simd, sum, (j as i32, i as i32));
            }
        }
    }
    if y.outside(p) || x.outside(q) {
        best.see(simd, simd.zero(), (-1, -1));
    }
    (best.y, best.x)
}

/// The largest so far and where it is.
struct Best<S: Simd> {
    value: S::F32,
    y: S::I32,
    x: S::I32,
}

impl<S: Simd> Best<S> {
    /// The larger takes the place, and the first NaN.
    #[inline(always)]
    fn see(&mut self, simd: S, v: S::F32, (y, x): (i32, i32)) {
        let first_nan = simd.and(simd.is_nan(v), simd.eq(self.value, self.value));
        let takes = simd.or(simd.gt(v, self.value), first_nan);
        self.value = simd.select(takes, v, self.value);
        self.y = simd.select_i32(takes, simd.splat_i32(y), self.y);
        self.x = simd.select_i32(takes, simd.splat_i32(x), self.x);
    }
}
