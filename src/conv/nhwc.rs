//! NHWC convolution with pixels in the rows of a tile and output channels in its lanes.
//!
//! The values that a pixel's sum reads are runs of channels in memory, so a tile
//! broadcasts them from where they lie: from the image itself when
//! nothing is padded, else from a padded copy of the rows that a task sees.
//! Stride and dilation cost nothing.

use super::finish::{Finish, Place};
use super::params::{Algorithm, Extents, Image, Spec};
use super::tile::{
    IN_LANES, Lanes, MAX_ROWS, MAX_VECTORS, add_pixels, channel_vectors, keep, pixel_rows, resume,
    start_lanes, store, store_any, tile_floats,
};
use super::weights::{Parts, Weights, part};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};
use std::ops::Range;

/// Floats of pixels that a task copies: with a panel of weights they fit a small L2.
const PIXEL_FLOATS: usize = 40 << 10;
/// Beyond this a padded copy is not worth its memory.
const MAX_COPY_FLOATS: usize = 256 << 10;
/// Terms whose weights, for a panel, take half of L1.
const CHUNK_TERMS: usize = 256;
/// Tiles that take turns with the weights of a chunk.
const BLOCK: usize = 16;
/// Multiply-adds of a task: some 100 microseconds.
const TASK_WORK: usize = 8 << 20;

/// Where the values of a pixel are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// In the image.
    Image,
    /// In a padded copy of so many rows and columns.
    Copy { rows: usize, columns: usize },
    /// Side by side: the values of each pixel are copied for it alone.
    Unfolded,
}

/// How the output is cut, and where its pixels are read.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Bands of output rows in an image.
    down: usize,
    /// Output columns of a band.
    width: usize,
    /// Bands of columns.
    across: usize,
    source: Source,
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
    let cut = choose(spec, extents, &x)?;
    let rows = extents.oh.div_ceil(cut.down);
    let [kh, kw] = spec.kernel;
    // The runs that a pixel's sum reads: channels of neighbouring columns are one run
    // where they are neighbours in memory.
    let (floats, row_step, column_step) = match cut.source {
        Source::Image => (0, x.y, x.x),
        Source::Copy { rows, columns } => (
            rows * columns * spec.cg,
            (columns * spec.cg) as isize,
            spec.cg as isize,
        ),
        Source::Unfolded => (
            rows * cut.width * spec.depth(),
            (kw * spec.cg) as isize,
            spec.cg as isize,
        ),
    };
    let unfolded = cut.source == Source::Unfolded;
    let [dh, dw] = if unfolded { [1, 1] } else { spec.dilation };
    let merged = column_step == spec.cg as isize && (dw == 1 || kw == 1);
    let (per_row, len) = match merged {
        true => (1, kw * spec.cg),
        false => (kw, spec.cg),
    };
    // Long runs are cut, short ones grouped, to chunks that are still in L1 when the next tile comes.
    let cuts = len.div_ceil(CHUNK_TERMS).max(1);
    let mut table = ctx.scratch::<i64>(2 * kh * per_row * cuts)?;
    let (runs, _) = table.as_chunks_mut::<2>();
    for (i, run) in runs.iter_mut().enumerate() {
        let own = part(len, cuts, i % cuts);
        let (y, x) = (i / cuts / per_row, i / cuts % per_row);
        let start = (y * dh) as isize * row_step + (x * dw) as isize * column_step;
        *run = [start as i64 + own.start as i64, own.len() as i64];
    }
    let runs = &*runs;
    let per_chunk = (CHUNK_TERMS * cuts / len.max(1)).clamp(1, runs.len());
    let pieces = extents.n * cut.down * cut.across * spec.groups;
    let work = rows * cut.width * spec.og * spec.depth();
    let parts = match pieces {
        few @ 1..32 => (32usize.div_ceil(few))
            .min(work.div_ceil(TASK_WORK / 4))
            .min(weights.panels),
        _ => 1,
    }
    .max(1);
    let floats = floats.next_multiple_of(16);
    let scratch = floats + BLOCK * tile_floats(weights.isa.tier());
    ctx.parallel_for_scratch::<f32>(pieces * parts, scratch, |task, scratch| {
        let (piece, p) = (task / parts, task % parts);
        let job = Job {
            spec,
            extents,
            weights,
            finish,
            runs,
            per_chunk,
            cut,
            floats,
            group: piece % spec.groups,
            panels: part(weights.panels, parts, p),
        };
        let piece = piece / spec.groups;
        dispatch!(weights.isa, simd => job.run(simd, piece, &x, scratch));
    })
}

fn choose(spec: &Spec, extents: &Extents, x: &Image) -> Result<Cut> {
    let Extents { oh, ow, .. } = *extents;
    let seen = |count: usize, axis: usize| {
        let span = (spec.kernel[axis] - 1).checked_mul(spec.dilation[axis])?;
        (count - 1)
            .checked_mul(spec.stride[axis])?
            .checked_add(span + 1)
    };
    let copied = |rows, width| {
        let floats = seen(rows, 0)?.checked_mul(seen(width, 1)?)?;
        floats.checked_mul(spec.cg)
    };
    let reads_image = spec.padding == [0; 4] && x.c == 1;
    let unfolds = match spec.algorithm {
        Algorithm::ImplicitGemm => !(reads_image && spec.kernel == [1, 1]),
        _ => !reads_image && copied(1, ow.min(8)).is_none_or(|n| n > MAX_COPY_FLOATS),
    };
    ensure!(
        !(unfolds && spec.algorithm == Algorithm::Direct),
        Unsupported,
        "conv2d: algorithm is direct, but the rows that a dilation of {} x {} reaches over do not fit the cache",
        spec.dilation[0],
        spec.dilation[1]
    );
    let fits = |rows: usize, width: usize| {
        let floats = match unfolds {
            true => rows
                .checked_mul(width)
                .and_then(|n| n.checked_mul(spec.depth())),
            false => copied(rows, width),
        };
        (reads_image && !unfolds) || floats.is_some_and(|n| n <= PIXEL_FLOATS)
    };
    let mut width = ow;
    while width > 8 && !fits(1, width) {
        width = width.div_ceil(2);
    }
    let work = (width * spec.og * spec.depth()).max(1);
    let mut rows = (TASK_WORK / work).clamp(1, oh);
    while rows > 1 && !fits(rows, width) {
        rows -= rows.div_ceil(8);
    }
    let down = oh.div_ceil(rows);
    let source = match (unfolds, reads_image) {
        (true, _) => Source::Unfolded,
        (false, true) => Source::Image,
        (false, false) => match (seen(oh.div_ceil(down), 0), seen(width, 1)) {
            (Some(rows), Some(columns)) => Source::Copy { rows, columns },
            _ => Source::Unfolded,
        },
    };
    Ok(Cut {
        down,
        width,
        across: ow.div_ceil(width),
        source,
    })
}

/// Copies the channels `channels` of the columns from `x0` on (in steps of
/// `step`, which may lie in the padding) of input row `y`.
///
/// # Safety
/// `image` describes readable memory of these extents; `dst` is writable for
/// `columns` times the channels.
#[inline(always)]
unsafe fn copy_row(
    extents: &Extents,
    image: &Image,
    n: usize,
    channels: Range<usize>,
    y: isize,
    x0: isize,
    step: usize,
    columns: usize,
    dst: *mut f32,
) {
    let count = channels.len();
    let row_is_inside = y >= 0 && y < extents.h as isize;
    let whole_pixels = image.c == 1;
    for i in 0..columns {
        let x = x0 + (i * step) as isize;
        let inside = row_is_inside && x >= 0 && x < extents.w as isize;
        // SAFETY: a pixel of the image, a pixel of the copy.
        unsafe {
            let to = dst.add(i * count);
            if !inside {
                for c in 0..count {
                    *to.add(c) = 0.0;
                }
                continue;
            }
            let from = image.offset(n, channels.start, y as usize, x as usize);
            let from = image.ptr.cast_const().wrapping_offset(from);
            if whole_pixels {
                for c in 0..count {
                    *to.add(c) = *from.add(c);
                }
            } else {
                for c in 0..count {
                    *to.add(c) = *from.wrapping_offset(c as isize * image.c);
                }
            }
        }
    }
}

/// What a task works on, the same for all its tiles.
struct Job<'a> {
    spec: &'a Spec,
    extents: &'a Extents,
    weights: &'a Weights<'a>,
    finish: &'a Finish<'a>,
    runs: &'a [[i64; 2]],
    /// Runs in a chunk.
    per_chunk: usize,
    cut: Cut,
    /// Floats of the copied pixels.
    floats: usize,
    group: usize,
    panels: Range<usize>,
}

impl Job<'_> {
    /// The whole task. Addresses are right because `run`, which makes the job, was promised so.
    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, piece: usize, image: &Image, scratch: &mut [f32]) {
        let (spec, extents, cut) = (self.spec, self.extents, &self.cut);
        let (scratch, kept) = scratch.split_at_mut(self.floats);
        let (band, i) = (piece / cut.across, piece % cut.across);
        let (n, j) = (band / cut.down, band % cut.down);
        let rows = part(extents.oh, cut.down, j);
        let left = i * cut.width;
        let width = cut.width.min(extents.ow - left);
        let channels = self.group * spec.cg..(self.group + 1) * spec.cg;
        let [top, _, pad_left, _] = spec.padding;
        let ([kh, kw], [sh, sw], [dh, dw]) = (spec.kernel, spec.stride, spec.dilation);
        let y0 = (rows.start * sh) as isize - top as isize;
        let x0 = (left * sw) as isize - pad_left as isize;
        // The address of the first pixel, and the ways to the next row and column.
        let (base, row_step, column_step) = match cut.source {
            Source::Image => {
                let at = image.offset(n, channels.start, rows.start * sh, left * sw);
                let base = image.ptr.cast_const().wrapping_offset(at);
                (base, image.y * sh as isize, image.x * sw as isize)
            }
            Source::Copy {
                rows: copied,
                columns,
            } => {
                let row = columns * spec.cg;
                assert!(copied * row <= scratch.len());
                for r in 0..copied {
                    // SAFETY: the caller's promise; row `r` of the scratch.
                    unsafe {
                        let dst = scratch.as_mut_ptr().add(r * row);
                        let y = y0 + r as isize;
                        copy_row(extents, image, n, channels.clone(), y, x0, 1, columns, dst);
                    }
                }
                let step = (sh * row) as isize;
                (scratch.as_ptr(), step, (sw * spec.cg) as isize)
            }
            Source::Unfolded => {
                let depth = spec.depth();
                assert!(rows.len() * width * depth <= scratch.len());
                for p in 0..rows.len() * width {
                    let (y, x) = ((p / width * sh) as isize, (p % width * sw) as isize);
                    for ky in 0..kh {
                        // SAFETY: the caller's promise; one window row of pixel `p` of the scratch.
                        unsafe {
                            let dst = scratch.as_mut_ptr().add(p * depth + ky * kw * spec.cg);
                            let y = y0 + y + (ky * dh) as isize;
                            let x = x0 + x;
                            copy_row(extents, image, n, channels.clone(), y, x, dw, kw, dst);
                        }
                    }
                }
                (scratch.as_ptr(), (width * depth) as isize, depth as isize)
            }
        };
        let vectors = Parts::new(spec.og.div_ceil(S::LANES), self.weights.panels);
        let together = self.finish.channels_together();
        let count = rows.len() * width;
        // Of the flattest tile, so that a block is at most BLOCK tiles of any height.
        let flattest = (1..=MAX_VECTORS)
            .map(|v| pixel_rows(S::TIER, v))
            .min()
            .unwrap_or(1);
        let mut sources = [base; BLOCK * MAX_ROWS];
        let mut places = [Place::default(); BLOCK * MAX_ROWS];
        // Row and column of the next pixel.
        let (mut y, mut x) = (0, 0);
        let mut done = 0;
        while done < count {
            let pixels = (BLOCK * flattest).min(count - done);
            for p in 0..pixels {
                let offset = y as isize * row_step + x as isize * column_step;
                sources[p] = base.wrapping_offset(offset);
                places[p] = self.finish.place(n, 0, rows.start + y, left + x);
                x += 1;
                if x == width {
                    (y, x) = (y + 1, 0);
                }
            }
            // The rows of a tile that have no pixel repeat the last one and are not stored.
            for p in pixels..(pixels + MAX_ROWS).min(sources.len()) {
                sources[p] = sources[pixels - 1];
            }
            for panel in self.panels.clone() {
                let panel = Panel {
                    job: self,
                    vectors: vectors.get(panel),
                    together,
                    kept: kept.as_mut_ptr(),
                };
                // SAFETY: every source can read the runs; the places are the task's own; `kept`
                // has room for a block of tiles.
                unsafe { panel.all(simd, &sources, &places[..pixels]) };
            }
            done += pixels;
        }
    }
}

/// A panel of output channels, for a block of pixels.
struct Panel<'a> {
    job: &'a Job<'a>,
    /// Of the group's vectors of channels.
    vectors: Range<usize>,
    together: bool,
    /// Where sums are kept from chunk to chunk.
    kept: *mut f32,
}

impl Panel<'_> {
    /// # Safety
    /// Every source can read the runs; the places are the caller's to write; `kept` has room
    /// for a block of tiles.
    #[inline(always)]
    unsafe fn all<S: Simd>(&self, simd: S, sources: &[*const f32], places: &[Place]) {
        let Job {
            spec,
            weights,
            finish,
            runs,
            per_chunk,
            ..
        } = *self.job;
        let group = self.job.group;
        let step = finish.channel_step();
        let lanes_of_group = spec.og.next_multiple_of(S::LANES);
        let first = group * spec.og + self.vectors.start * S::LANES;
        let last = (group + 1) * spec.og;
        let width = self.vectors.len();
        let height = pixel_rows(S::TIER, width);
        let at = (group * lanes_of_group + self.vectors.start * S::LANES) * spec.depth();
        let mut panel = weights.weights()[at..].as_ptr();
        let mut lanes = [Lanes::NONE; MAX_VECTORS];
        let mut counts = [0; MAX_VECTORS];
        for (v, lanes) in lanes.iter_mut().enumerate().take(width) {
            let channel = first + v * S::LANES;
            lanes.count = S::LANES.min(last - channel);
            counts[v] = lanes.count;
            for (lane, place) in lanes.places.iter_mut().enumerate() {
                *place = Place::default().moved(step, channel + lane);
            }
        }
        let chunks = runs.len().div_ceil(per_chunk);
        for chunk in 0..chunks {
            let runs = &runs[chunk * per_chunk..((chunk + 1) * per_chunk).min(runs.len())];
            for (t, rows) in places.chunks(height).enumerate() {
                let tile = Tile {
                    weights: panel,
                    bias: weights.bias()[first..].as_ptr(),
                    runs,
                    finish,
                    channel: first,
                    sources: &sources[t * height..],
                    rows,
                    columns: lanes.map(|lanes| lanes.places[0]),
                    counts,
                    kept: self.kept.wrapping_add(t * tile_floats(S::TIER)),
                    is_first: chunk == 0,
                    is_stored: chunk + 1 == chunks
                        && self.together
                        && rows.len() == height
                        && finish.is_simple(),
                };
                // SAFETY: the caller's promise.
                unsafe {
                    tile.any(simd, width);
                    if chunk + 1 == chunks && !tile.is_stored {
                        let lanes = &lanes[..width];
                        store_any::<S, IN_LANES>(simd, tile.kept, finish, first, rows, lanes);
                    }
                }
            }
            let terms: i64 = runs.iter().map(|[_, len]| len).sum();
            panel = panel.wrapping_add(terms as usize * width * S::LANES);
        }
    }
}

/// One register tile, and the terms to add to its sums.
struct Tile<'a> {
    weights: *const f32,
    bias: *const f32,
    runs: &'a [[i64; 2]],
    finish: &'a Finish<'a>,
    channel: usize,
    /// At least as many as the tile has rows.
    sources: &'a [*const f32],
    rows: &'a [Place],
    columns: [Place; MAX_VECTORS],
    counts: [usize; MAX_VECTORS],
    kept: *mut f32,
    is_first: bool,
    /// The results are stored; else the sums are kept.
    is_stored: bool,
}

impl Tile<'_> {
    /// # Safety
    /// The panel has `vectors` vectors of weights and biases; every source can read
    /// the runs; the places and `kept` are the caller's to write.
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
    /// As for [`any`](Tile::any), with `MR` pixels and `NV` vectors.
    #[inline(always)]
    unsafe fn fixed<S: Simd, const MR: usize, const NV: usize>(&self, simd: S) {
        let mut sources = [self.weights; MR];
        sources.copy_from_slice(&self.sources[..MR]);
        // SAFETY: the caller's promise.
        unsafe {
            let sums = match self.is_first {
                true => start_lanes::<S, MR, NV>(simd, self.bias),
                false => resume::<S, MR, NV>(simd, self.kept),
            };
            let sums = add_pixels::<S, MR, NV>(simd, sums, self.weights, self.runs, sources);
            if self.is_stored {
                let mut rows = [Place::default(); MR];
                rows.copy_from_slice(&self.rows[..MR]);
                let mut columns = [Place::default(); NV];
                columns.copy_from_slice(&self.columns[..NV]);
                let mut counts = [0; NV];
                counts.copy_from_slice(&self.counts[..NV]);
                let (finish, channel) = (self.finish, self.channel);
                store::<S, MR, NV, IN_LANES>(simd, sums, finish, channel, rows, columns, counts);
            } else {
                keep(simd, sums, self.kept);
            }
        }
    }
}
