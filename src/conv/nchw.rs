//! NCHW convolution with channels in the rows of a tile and pixels in its lanes.
//!
//! A task takes a piece of the output: some rows of one image (or, unfolded, some
//! pixels), and some panels of output channels. It brings the pixels its outputs
//! see into scratch that stays in the L2 cache, and then
//! walks over panels, and for each over the vectors of pixels: the panel's
//! weights stay in L1 and each pixel is used for a whole column of channels.

use super::gather::{SLACK, Strip, unfold};
use super::params::{Algorithm, Extents, Image, Spec};
use super::tile::{
    Finish, IN_ROWS, Lanes, MAX_ROWS, MAX_VECTORS, Place, add_channels, channel_rows, keep,
    pixel_vectors, resume, start_rows, store, store_any, tile_floats,
};
use super::weights::{Parts, Weights, lanes, part};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};
use std::ops::Range;

/// Floats of pixels that a task holds: with a panel of weights they fit a small L2.
const PIXEL_FLOATS: usize = 40 << 10;
/// Beyond this a strip is not worth its memory.
const MAX_STRIP_FLOATS: usize = 256 << 10;
/// Cache lines of pixels that a tile reads of a chunk of channels: half of a small L1.
const CHUNK_LINES: usize = 224;
/// Floats of sums that wait for the next chunk.
const KEPT_FLOATS: usize = 16 << 10;
/// Weights that stay in L2 beside the pixels.
const RESIDENT_FLOATS: usize = 64 << 10;
/// Vectors whose places are worked out at once.
const BLOCK: usize = 48;
/// Multiply-adds of a task: some 100 microseconds.
const TASK_WORK: usize = 8 << 20;

/// How the output is cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Bands of rows by bands of columns of one image.
    Strips {
        strip: Strip,
        /// Bands of rows.
        down: usize,
        /// Columns of a band.
        width: usize,
        /// Bands of columns.
        across: usize,
    },
    /// Runs of pixels, counted through all images.
    Pixels { width: usize, pitch: usize },
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
    let cut = choose(spec, extents, vector)?;
    let mut offsets = ctx.scratch::<u32>(spec.depth())?;
    let (pieces, floats, piece_pixels, lines) = match cut {
        Cut::Strips {
            strip,
            down,
            width,
            across,
        } => {
            strip.offsets(spec, &mut offsets);
            let pixels = extents.oh.div_ceil(down) * width;
            let lines = spec.kernel[0] * strip.phases * 2;
            (extents.n * down * across, strip.floats, pixels, lines)
        }
        Cut::Pixels { width, pitch } => {
            for (k, offset) in offsets.iter_mut().enumerate() {
                *offset = (k * pitch) as u32;
            }
            let all = extents.n * extents.oh * extents.ow;
            let taps = spec.kernel[0] * spec.kernel[1];
            (all.div_ceil(width), spec.depth() * pitch, width, taps)
        }
    };
    // Channels are parted too where the pixels alone make few tasks; each part gathers
    // the pixels again, so it is at least eight panels.
    let work = piece_pixels * spec.og * spec.depth();
    let parts = match pieces * spec.groups {
        few @ 1..32 => (32usize.div_ceil(few))
            .min(work.div_ceil(TASK_WORK / 4))
            .min(weights.panels.div_ceil(8)),
        _ => 1,
    }
    .max(1);
    // The lines of a chunk's channels that one tile reads stay in half of L1.
    let chunks = spec.cg.div_ceil((CHUNK_LINES / lines).max(1)).max(1);
    let panels = weights.panels.div_ceil(parts);
    let rows = Parts::new(spec.og, weights.panels).largest();
    let most = pixel_vectors(tier, rows);
    let tiles = match chunks {
        1 => BLOCK / most,
        _ => (KEPT_FLOATS / (panels.max(1) * tile_floats(tier))).clamp(1, BLOCK / most),
    };
    let plan = Plan {
        chunks,
        block: tiles * most,
        panels_outside: spec.og * spec.depth() > RESIDENT_FLOATS,
        floats: floats.next_multiple_of(16),
        kept: tile_floats(tier) * if chunks == 1 { 1 } else { tiles * panels },
    };
    let (offsets, plan) = (&offsets[..], &plan);
    let scratch = plan.floats + plan.kept;
    ctx.parallel_for_scratch::<f32>(pieces * spec.groups * parts, scratch, |task, scratch| {
        let (rest, p) = (task / parts, task % parts);
        let job = Job {
            spec,
            extents,
            weights,
            finish,
            offsets,
            plan,
            group: rest % spec.groups,
            panels: part(weights.panels, parts, p),
        };
        let piece = rest / spec.groups;
        dispatch!(weights.isa, simd => job.run(simd, &cut, piece, &x, scratch));
    })
}

/// How a task walks through its piece.
struct Plan {
    /// Input channels are cut into so many chunks, so that what a tile reads of a chunk is
    /// still in L1 when the next tile reads it.
    chunks: usize,
    /// Vectors of pixels that are summed over all chunks before the next ones.
    block: usize,
    /// For each panel all tiles, or for each tile all panels. The inside is what
    /// streams past: weights while they come from L2, else pixels.
    panels_outside: bool,
    /// Floats of the gathered pixels.
    floats: usize,
    /// Floats of sums that wait for the next chunk.
    kept: usize,
}

/// Strips, unless rows are so short that too many lanes would be empty.
fn choose(spec: &Spec, extents: &Extents, vector: usize) -> Result<Cut> {
    let Extents { oh, ow, .. } = *extents;
    let strips = cut_strips(spec, extents, vector);
    // Unfolding costs about half a cycle for each value, which serves og lanes of multiply-adds.
    let unfolding = 1.03 + vector as f64 / spec.og.max(1) as f64;
    let gaps = ow.next_multiple_of(vector) as f64 / ow as f64;
    let take_strips = match spec.algorithm {
        Algorithm::ImplicitGemm => false,
        Algorithm::Direct => true,
        Algorithm::Auto | Algorithm::Winograd => gaps <= unfolding,
    };
    match strips {
        Some(cut) if take_strips => return Ok(cut),
        None if spec.algorithm == Algorithm::Direct => ensure!(
            false,
            Unsupported,
            "conv2d: algorithm is direct, but the rows that a dilation of {} x {} reaches over do not fit the cache",
            spec.dilation[0],
            spec.dilation[1]
        ),
        _ => {}
    }
    let depth = spec.depth().max(1);
    let least = MAX_VECTORS * vector;
    let all = (extents.n * oh * ow).next_multiple_of(vector);
    let most = (PIXEL_FLOATS / depth).max(least).min(all.max(vector));
    // As many pieces as that takes, of equal width.
    let pieces = all.div_ceil(most);
    let width = all.div_ceil(pieces).next_multiple_of(vector);
    let pitch = width + SLACK;
    ensure!(
        depth
            .checked_mul(pitch)
            .is_some_and(|n| u32::try_from(n).is_ok()),
        Unsupported,
        "conv2d: a sum of {depth} terms is longer than this version can take"
    );
    Ok(Cut::Pixels { width, pitch })
}

fn cut_strips(spec: &Spec, extents: &Extents, vector: usize) -> Option<Cut> {
    let Extents { oh, ow, .. } = *extents;
    let fits = |rows, width, limit| {
        Strip::new(spec, rows, width, spec.cg).filter(|strip| strip.floats <= limit)
    };
    let mut width = ow.next_multiple_of(vector);
    while width > MAX_VECTORS * vector && fits(1, width, PIXEL_FLOATS).is_none() {
        width = width.div_ceil(2).next_multiple_of(vector);
    }
    let across = ow.div_ceil(width);
    fits(1, width, MAX_STRIP_FLOATS)?;
    let work = (width * spec.og * spec.depth()).max(1);
    let mut rows = (TASK_WORK / work).clamp(1, oh);
    while rows > 1 && fits(rows, width, PIXEL_FLOATS).is_none() {
        rows -= rows.div_ceil(8);
    }
    let down = oh.div_ceil(rows);
    let strip = fits(oh.div_ceil(down), width, MAX_STRIP_FLOATS)?;
    Some(Cut::Strips {
        strip,
        down,
        width,
        across,
    })
}

/// The pixels of a task.
#[derive(Clone, Copy)]
enum Piece {
    /// Vectors in rows of `across`, from (`y`, `x`) on of image `n`.
    Rows {
        n: usize,
        y: usize,
        x: usize,
        columns: usize,
        across: usize,
    },
    /// Consecutive pixels.
    Run { first: usize, count: usize },
}

impl Piece {
    /// Image, row and column of a lane of a vector.
    #[inline(always)]
    fn at(self, extents: &Extents, vector: usize, lane: usize, lanes: usize) -> [usize; 3] {
        match self {
            Piece::Rows {
                n, y, x, across, ..
            } => {
                let (row, j) = (vector / across, vector % across);
                [n, y + row, x + j * lanes + lane]
            }
            Piece::Run { first, .. } => {
                let p = first + vector * lanes + lane;
                let (n, rest) = (p / (extents.oh * extents.ow), p % (extents.oh * extents.ow));
                [n, rest / extents.ow, rest % extents.ow]
            }
        }
    }

    /// Lanes of a vector that exist.
    #[inline(always)]
    fn count(self, vector: usize, lanes: usize) -> usize {
        match self {
            Piece::Rows {
                columns, across, ..
            } => lanes.min(columns - vector % across * lanes),
            Piece::Run { count, .. } => lanes.min(count - vector * lanes),
        }
    }
}

/// A vector of pixels: where its values are and where its results go.
#[derive(Clone, Copy)]
struct Column {
    src: usize,
    place: Place,
    count: usize,
    /// Its results are neighbours in memory.
    together: bool,
}

/// What a task works on, the same for all its tiles.
struct Job<'a> {
    spec: &'a Spec,
    extents: &'a Extents,
    weights: &'a Weights<'a>,
    finish: &'a Finish<'a>,
    offsets: &'a [u32],
    plan: &'a Plan,
    group: usize,
    panels: Range<usize>,
}

impl Job<'_> {
    /// The whole task. Addresses are right because `run`, which makes the job, was promised so.
    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, cut: &Cut, piece: usize, x: &Image, scratch: &mut [f32]) {
        let (spec, extents) = (self.spec, self.extents);
        let channels = self.group * spec.cg..(self.group + 1) * spec.cg;
        let (piece, vectors, row_step) = match *cut {
            Cut::Strips {
                strip,
                down,
                width,
                across,
            } => {
                let (band, i) = (piece / across, piece % across);
                let (n, j) = (band / down, band % down);
                let rows = part(extents.oh, down, j);
                let left = i * width;
                let columns = width.min(extents.ow - left);
                let at = (rows.start, left);
                // SAFETY: the caller's promise; the scratch was sized by the strip.
                unsafe { strip.fill(simd, spec, extents, x, n, channels, at, scratch) };
                let across = columns.div_ceil(S::LANES);
                let piece = Piece::Rows {
                    n,
                    y: rows.start,
                    x: left,
                    columns,
                    across,
                };
                (piece, rows.len() * across, strip.row_step(spec))
            }
            Cut::Pixels { width, pitch } => {
                let all = extents.n * extents.oh * extents.ow;
                let first = piece * width;
                let count = width.min(all - first);
                let pixels = first..first + count;
                // SAFETY: the caller's promise; the scratch was sized for this pitch.
                unsafe { unfold(simd, spec, extents, x, channels, pixels, pitch, scratch) };
                (Piece::Run { first, count }, count.div_ceil(S::LANES), 0)
            }
        };
        let mut columns = [Column {
            src: 0,
            place: Place::default(),
            count: 0,
            together: true,
        }; BLOCK];
        let Plan {
            chunks,
            block,
            panels_outside,
            floats,
            ..
        } = *self.plan;
        let (pixels, kept) = scratch.split_at_mut(floats);
        let taps = spec.kernel[0] * spec.kernel[1];
        let (all_rows, all_channels) = (
            Parts::new(spec.og, self.weights.panels),
            Parts::new(spec.cg, chunks),
        );
        let most = pixel_vectors(S::TIER, all_rows.largest());
        let depth = self.offsets.len();
        let mut start = 0;
        while start < vectors {
            let block = block.min(vectors - start);
            for (v, column) in columns[..block].iter_mut().enumerate() {
                *column = self.column(piece, start + v, S::LANES, row_step);
            }
            let tiles = block.div_ceil(most);
            let all_columns = Parts::new(block, tiles);
            let (outside, inside) = match panels_outside {
                true => (self.panels.len(), tiles),
                false => (tiles, self.panels.len()),
            };
            for chunk in 0..chunks {
                let terms = all_channels.get(chunk);
                let terms = terms.start * taps..terms.end * taps;
                for i in 0..outside {
                    for j in 0..inside {
                        let (panel, t) = if panels_outside { (i, j) } else { (j, i) };
                        let rows = all_rows.get(self.panels.start + panel);
                        let channel = self.group * spec.og + rows.start;
                        let own = all_columns.get(t);
                        let tile = Tile {
                            weights: (self.weights.weights().as_ptr())
                                .wrapping_add(channel * depth + terms.start * rows.len()),
                            bias: self.weights.bias()[channel..].as_ptr(),
                            offsets: &self.offsets[terms.clone()],
                            finish: self.finish,
                            channel,
                            columns: &columns[own.clone()],
                            pixels: pixels.as_ptr(),
                            // With one chunk nothing waits for the next, and all tiles share a place.
                            kept: match chunks {
                                1 => kept.as_mut_ptr(),
                                _ => kept
                                    .as_mut_ptr()
                                    .wrapping_add((panel * tiles + t) * tile_floats(S::TIER)),
                            },
                            is_first: chunk == 0,
                            is_last: chunk + 1 == chunks,
                        };
                        // SAFETY: for every vector of the piece the offsets stay inside the scratch that
                        // was filled; the places are the task's own; `kept` has room for all tiles.
                        let stored = unsafe { tile.any(simd, rows.len()) };
                        if !stored && tile.is_last {
                            let mut lanes = [Lanes::NONE; MAX_VECTORS];
                            for (v, lanes) in own.clone().zip(lanes.iter_mut()) {
                                *lanes = self.lanes(piece, start + v, S::LANES);
                            }
                            let lanes = &lanes[..own.len()];
                            let places: [Place; MAX_ROWS] = tile.rows();
                            let (kept, rows) = (tile.kept, &places[..rows.len()]);
                            // SAFETY: as above.
                            unsafe {
                                store_any::<S, IN_ROWS>(
                                    simd,
                                    kept,
                                    self.finish,
                                    channel,
                                    rows,
                                    lanes,
                                );
                            }
                        }
                    }
                }
            }
            start += block;
        }
    }

    #[inline(always)]
    fn column(&self, piece: Piece, vector: usize, lanes: usize, row_step: usize) -> Column {
        let [n, y, x] = piece.at(self.extents, vector, 0, lanes);
        let count = piece.count(vector, lanes);
        let place = self.finish.place(n, 0, y, x);
        let (src, together) = match piece {
            Piece::Rows { across, .. } => {
                let (row, j) = (vector / across, vector % across);
                (row * row_step + j * lanes, self.finish.columns_together())
            }
            Piece::Run { .. } => {
                // A vector may go on in the next row, or in the next image.
                let Extents { oh, ow, .. } = *self.extents;
                let together = match x + count <= ow {
                    true => self.finish.columns_together(),
                    false => {
                        (y * ow + x + count <= oh * ow && self.finish.rows_together(ow))
                            || (self.lanes(piece, vector, lanes))
                                .together(self.finish.has_residual())
                    }
                };
                (vector * lanes, together)
            }
        };
        Column {
            src,
            place,
            count,
            together,
        }
    }

    /// Where each lane of a vector goes.
    #[inline(always)]
    fn lanes(&self, piece: Piece, vector: usize, lanes: usize) -> Lanes {
        let mut all = Lanes::NONE;
        all.count = piece.count(vector, lanes);
        for (lane, place) in all.places[..all.count].iter_mut().enumerate() {
            let [n, y, x] = piece.at(self.extents, vector, lane, lanes);
            *place = self.finish.place(n, 0, y, x);
        }
        all
    }
}

/// One register tile, and the terms to add to its sums.
struct Tile<'a> {
    weights: *const f32,
    bias: *const f32,
    offsets: &'a [u32],
    finish: &'a Finish<'a>,
    channel: usize,
    columns: &'a [Column],
    pixels: *const f32,
    /// Where the sums are kept between terms, and when they cannot be stored simply.
    kept: *mut f32,
    is_first: bool,
    is_last: bool,
}

impl Tile<'_> {
    /// Where each row goes.
    #[inline(always)]
    fn rows<const MR: usize>(&self) -> [Place; MR] {
        let step = self.finish.channel_step();
        let mut rows = [Place::default(); MR];
        for (m, row) in rows.iter_mut().enumerate() {
            *row = Place::default().moved(step, self.channel + m);
        }
        rows
    }

    /// Adds the terms. After the last ones the results are stored if that is simple
    /// (`true`); otherwise the sums are kept.
    ///
    /// # Safety
    /// The tile has `rows` weights for each offset and as many biases; at each column's source
    /// plus each offset a vector can be loaded; the places and `kept` are the caller's to write.
    #[inline(always)]
    unsafe fn any<S: Simd>(&self, simd: S, rows: usize) -> bool {
        macro_rules! tiles {
            ($($rows:literal)*) => {
                match (rows, self.columns.len()) {
                    $(
                        ($rows, 1) if const { channel_rows(S::TIER) >= $rows } =>
                            self.fixed::<S, $rows, 1>(simd),
                        ($rows, 2) if const { channel_rows(S::TIER) >= $rows } =>
                            self.fixed::<S, $rows, 2>(simd),
                        ($rows, 3)
                            if const {
                                channel_rows(S::TIER) >= $rows
                                    && pixel_vectors(S::TIER, $rows) >= 3
                            } =>
                        {
                            self.fixed::<S, $rows, 3>(simd)
                        }
                    )*
                    _ => unreachable!(),
                }
            };
        }
        // SAFETY: the caller's promise.
        unsafe { tiles!(1 2 3 4 5 6 7 8) }
    }

    /// # Safety
    /// As for [`any`](Tile::any), with `MR` rows and `NV` columns.
    #[inline(always)]
    unsafe fn fixed<S: Simd, const MR: usize, const NV: usize>(&self, simd: S) -> bool {
        let mut pixels = [self.pixels; NV];
        let mut places = [Place::default(); NV];
        let mut counts = [0; NV];
        let mut together = true;
        for (v, column) in self.columns[..NV].iter().enumerate() {
            pixels[v] = self.pixels.wrapping_add(column.src);
            places[v] = column.place;
            counts[v] = column.count;
            together &= column.together;
        }
        // SAFETY: the caller's promise.
        unsafe {
            let sums = match self.is_first {
                true => start_rows::<S, MR, NV>(simd, self.bias),
                false => resume::<S, MR, NV>(simd, self.kept),
            };
            let sums = add_channels::<S, MR, NV>(simd, sums, self.weights, self.offsets, pixels);
            if self.is_last && together && self.finish.is_simple() {
                let rows = self.rows::<MR>();
                let (finish, channel) = (self.finish, self.channel);
                store::<S, MR, NV, IN_ROWS>(simd, sums, finish, channel, rows, places, counts);
                true
            } else {
                keep(simd, sums, self.kept);
                false
            }
        }
    }
}
