//! NCHW convolution with channels in the rows of a tile and pixels in its lanes.
//!
//! A task takes a piece of the output: some rows of one image, and some panels of output
//! channels. It brings the pixels its outputs see into a padded strip of scratch that stays in
//! the L2 cache, and then walks over panels, and for each over the vectors of pixels: the
//! panel's weights stay in L1 and each pixel is used for a whole column of channels. Each value
//! of the image is copied once, however many taps see it, so this is the algorithm for few
//! channels; with many of them the matrix engine is better ([`implicit`](super::implicit)).

use super::finish::{Finish, Place};
use super::gather::Strip;
use super::params::{Extents, Image, Spec};
use super::tile::{
    IN_ROWS, Lanes, MAX_ROWS, MAX_VECTORS, add_channels, channel_rows, keep, pixel_vectors, resume,
    start_rows, store, store_any, tile_floats,
};
use super::weights::{Parts, Weights, lanes, part};
use crate::error::Result;
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

/// How the output is cut: bands of rows by bands of columns of one image.
#[derive(Clone, Copy, Debug)]
struct Cut {
    strip: Strip,
    /// Bands of rows.
    down: usize,
    /// Columns of a band.
    width: usize,
    /// Bands of columns.
    across: usize,
}

/// The rows that a window of this reach sees fit a strip.
pub(super) fn suits(spec: &Spec, lanes: usize) -> bool {
    Strip::new(spec, 1, MAX_VECTORS * lanes, spec.cg, lanes)
        .is_some_and(|strip| strip.floats <= MAX_STRIP_FLOATS)
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
    let Some(cut) = cut_strips(spec, extents, vector) else {
        unreachable!("`suits` has tried a strip of this reach");
    };
    let [kh, kw] = spec.kernel;
    // Rows of windows of this width have their taps unrolled; else each tap is a row.
    let taps = if kw == UNROLLED { kw } else { 1 };
    let mut rows = ctx.scratch::<u32>(spec.depth() / taps)?;
    for (i, row) in rows.iter_mut().enumerate() {
        let (line, x) = (i / (kw / taps), i % (kw / taps));
        let at = cut.strip.window_row(spec, line / kh, line % kh);
        *row = (at + cut.strip.tap(spec, x)) as u32;
    }
    let terms = Terms {
        rows: &rows,
        unrolled: taps,
        taps: std::array::from_fn(|x| if x < taps { cut.strip.tap(spec, x) } else { 0 }),
    };
    let pieces = extents.n * cut.down * cut.across;
    let piece_pixels = extents.oh.div_ceil(cut.down) * cut.width;
    let lines = spec.kernel[0] * cut.strip.phases * 2;
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
    let is_direct = finish.is_simple() && finish.columns_together();
    let all_at_once = is_direct && chunks == 1;
    let tiles = match all_at_once {
        true => BLOCK / most,
        false => (KEPT_FLOATS / (panels.max(1) * tile_floats(tier))).clamp(1, BLOCK / most),
    };
    // As many tiles as read no more of a chunk than that, neighbours sharing half of their lines, and a panel's weights
    // serve them all before the next ones come.
    let near = 2 * CHUNK_LINES / (spec.cg.div_ceil(chunks).max(1) * lines).max(1);
    let plan = Plan {
        chunks,
        block: match near {
            0 | 1 => tiles,
            near => tiles.min(near),
        } * most,
        panels_outside: near > 1 || spec.og * spec.depth() > RESIDENT_FLOATS,
        floats: cut.strip.floats.next_multiple_of(16),
        is_direct,
    };
    let (terms, plan) = (&terms, &plan);
    let kept = match all_at_once {
        true => 0,
        false => tile_floats(tier) * tiles * panels,
    };
    let scratch = plan.floats + kept;
    ctx.parallel_for_scratch::<f32>(pieces * spec.groups * parts, scratch, |task, scratch| {
        let (rest, p) = (task / parts, task % parts);
        let job = Job {
            spec,
            extents,
            weights,
            finish,
            terms,
            plan,
            group: rest % spec.groups,
            panels: part(weights.panels, parts, p),
        };
        let piece = rest / spec.groups;
        dispatch!(weights.isa, simd => job.run(simd, &cut, piece, &x, scratch));
    })
}

/// The width of windows whose rows are unrolled.
const UNROLLED: usize = 3;

/// The terms of a sum: `taps` of each of `rows`.
struct Terms<'a> {
    rows: &'a [u32],
    taps: [usize; UNROLLED],
    /// How many taps a row has: [`UNROLLED`], or one.
    unrolled: usize,
}

/// How a task walks through its piece.
struct Plan {
    /// Input channels are cut into so many chunks, so that what a tile reads of a chunk is
    /// still in L1 when the next tile reads it.
    chunks: usize,
    /// Vectors of pixels that are summed over all chunks before the next ones.
    block: usize,
    /// For each panel all tiles, where these stay in L1 or the weights are too many for L2; or for each tile all
    /// panels, while weights come from L2.
    panels_outside: bool,
    /// Floats of the gathered pixels.
    floats: usize,
    /// The sums are stored from registers after the last chunk; else they are kept, finished and put where they belong.
    is_direct: bool,
}

fn cut_strips(spec: &Spec, extents: &Extents, vector: usize) -> Option<Cut> {
    let Extents { oh, ow, .. } = *extents;
    let fits = |rows, width, limit| {
        Strip::new(spec, rows, width, spec.cg, vector).filter(|strip| strip.floats <= limit)
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
    Some(Cut {
        strip,
        down,
        width,
        across,
    })
}

/// The pixels of a task: vectors in rows of `across`, from (`y`, `x`) on of image `n`.
#[derive(Clone, Copy)]
struct Piece {
    n: usize,
    y: usize,
    x: usize,
    columns: usize,
    across: usize,
}

impl Piece {
    /// Image, row and column of a lane of a vector.
    #[inline(always)]
    fn at(self, vector: usize, lane: usize, lanes: usize) -> [usize; 3] {
        let (row, j) = (vector / self.across, vector % self.across);
        [self.n, self.y + row, self.x + j * lanes + lane]
    }

    /// Lanes of a vector that exist.
    #[inline(always)]
    fn count(self, vector: usize, lanes: usize) -> usize {
        lanes.min(self.columns - vector % self.across * lanes)
    }
}

/// A vector of pixels: where its values are and where its results go.
#[derive(Clone, Copy)]
struct Column {
    src: usize,
    place: Place,
    count: usize,
}

/// What a task works on, the same for all its tiles.
struct Job<'a> {
    spec: &'a Spec,
    extents: &'a Extents,
    weights: &'a Weights<'a>,
    finish: &'a Finish<'a>,
    terms: &'a Terms<'a>,
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
        let Cut {
            strip,
            down,
            width,
            across,
        } = *cut;
        let (band, i) = (piece / across, piece % across);
        let (n, j) = (band / down, band % down);
        let rows = part(extents.oh, down, j);
        let x_start = i * width;
        let count = width.min(extents.ow - x_start);
        let at = (rows.start, x_start);
        // SAFETY: the caller's promise; the scratch was sized by the strip.
        unsafe { strip.fill(simd, spec, extents, x, n, channels, at, scratch) };
        let piece = Piece {
            n,
            y: rows.start,
            x: x_start,
            columns: count,
            across: count.div_ceil(S::LANES),
        };
        let (vectors, row_step) = (rows.len() * piece.across, strip.row_step(spec));
        let mut columns = [Column {
            src: 0,
            place: Place::default(),
            count: 0,
        }; BLOCK];
        let Plan {
            chunks,
            block,
            panels_outside,
            is_direct,
            floats,
        } = *self.plan;
        let (pixels, kept) = scratch.split_at_mut(floats);
        let rows_of_channel = spec.kernel[0] * spec.kernel[1] / self.terms.unrolled;
        let (all_rows, all_channels) = (
            Parts::new(spec.og, self.weights.panels),
            Parts::new(spec.cg, chunks),
        );
        let most = pixel_vectors(S::TIER, all_rows.largest());
        let mut start = 0;
        while start < vectors {
            let block = block.min(vectors - start);
            for (v, column) in columns[..block].iter_mut().enumerate() {
                *column = self.column(piece, start + v, S::LANES, row_step);
            }
            let tiles = block.div_ceil(most);
            for chunk in 0..chunks {
                let channels = all_channels.get(chunk);
                let terms = channels.start * rows_of_channel..channels.end * rows_of_channel;
                let tiles = Tiles {
                    job: self,
                    rows: &self.terms.rows[terms.clone()],
                    first_term: terms.start * self.terms.unrolled,
                    all_rows,
                    all_columns: Parts::new(block, tiles),
                    columns: &columns[..block],
                    count: tiles,
                    pixels: pixels.as_ptr(),
                    kept: kept.as_mut_ptr(),
                    is_first: chunk == 0,
                    is_stored: is_direct && chunk + 1 == chunks,
                };
                let outside = if panels_outside {
                    self.panels.len()
                } else {
                    tiles.count
                };
                for i in 0..outside {
                    // One call, because all sizes of tiles are inlined in it.
                    let (panels, own) = match panels_outside {
                        true => (
                            self.panels.start + i..self.panels.start + i + 1,
                            0..tiles.count,
                        ),
                        false => (self.panels.clone(), i..i + 1),
                    };
                    // SAFETY: for every vector of the piece the terms stay inside the scratch that was filled; the places
                    // are the task's own; `kept` has room for all tiles, if not all is stored at once.
                    unsafe { tiles.some(simd, panels, own) };
                }
            }
            if !is_direct {
                let all_columns = Parts::new(block, tiles);
                for panel in self.panels.clone() {
                    let rows = all_rows.get(panel);
                    let channel = self.group * spec.og + rows.start;
                    let step = self.finish.channel_step();
                    let mut places = [Place::default(); MAX_ROWS];
                    for (m, place) in places[..rows.len()].iter_mut().enumerate() {
                        *place = Place::default().moved(step, channel + m);
                    }
                    for t in 0..tiles {
                        let own = all_columns.get(t);
                        let mut lanes = [Lanes::NONE; MAX_VECTORS];
                        for (v, lanes) in own.clone().zip(lanes.iter_mut()) {
                            *lanes = self.lanes(piece, start + v, S::LANES);
                        }
                        let at = ((panel - self.panels.start) * tiles + t) * tile_floats(S::TIER);
                        let (finish, lanes) = (self.finish, &lanes[..own.len()]);
                        let (kept, rows) = (kept[at..].as_ptr(), &places[..rows.len()]);
                        // SAFETY: as above.
                        unsafe {
                            store_any::<S, IN_ROWS>(simd, kept, finish, channel, rows, lanes);
                        }
                    }
                }
            }
            start += block;
        }
    }

    #[inline(always)]
    fn column(&self, piece: Piece, vector: usize, lanes: usize, row_step: usize) -> Column {
        let [n, y, x] = piece.at(vector, 0, lanes);
        let (row, j) = (vector / piece.across, vector % piece.across);
        Column {
            src: row * row_step + j * lanes,
            place: self.finish.place(n, 0, y, x),
            count: piece.count(vector, lanes),
        }
    }

    /// Where each lane of a vector goes.
    #[inline(always)]
    fn lanes(&self, piece: Piece, vector: usize, lanes: usize) -> Lanes {
        let mut all = Lanes::NONE;
        all.count = piece.count(vector, lanes);
        for (lane, place) in all.places[..all.count].iter_mut().enumerate() {
            let [n, y, x] = piece.at(vector, lane, lanes);
            *place = self.finish.place(n, 0, y, x);
        }
        all
    }
}

/// The register tiles of a block of pixels, and the terms to add to their sums.
struct Tiles<'a> {
    job: &'a Job<'a>,
    /// Of the terms' rows, those to add.
    rows: &'a [u32],
    /// What was added before.
    first_term: usize,
    /// Output channels by panels.
    all_rows: Parts,
    /// Vectors by tiles.
    all_columns: Parts,
    columns: &'a [Column],
    /// Tiles of a panel.
    count: usize,
    pixels: *const f32,
    /// Where the sums are kept between terms, and when they cannot be stored simply.
    kept: *mut f32,
    is_first: bool,
    is_stored: bool,
}

impl Tiles<'_> {
    /// Adds the terms in the tiles `tiles` of the panels `panels`, and stores or keeps the sums.
    ///
    /// # Safety
    /// At each column's source plus each row plus each tap a vector can be loaded; the places and `kept` are
    /// the caller's to write.
    #[inline(always)]
    unsafe fn some<S: Simd>(&self, simd: S, panels: Range<usize>, tiles: Range<usize>) {
        // Panels and tiles of one size come one after the other: for all of them one choice, and what does
        // not change is worked out once.
        let mut panel = panels.start;
        while panel < panels.end {
            let high = self.all_rows.get(panel).len();
            let same_rows = panel..self.all_rows.end_of(panel).min(panels.end);
            let mut tile = tiles.start;
            while tile < tiles.end {
                let wide = self.all_columns.get(tile).len();
                let same = tile..self.all_columns.end_of(tile).min(tiles.end);
                tile = same.end;
                macro_rules! sizes {
                    ($($rows:literal)*) => {
                        match (high, wide) {
                            $(
                                ($rows, 1) if const { channel_rows(S::TIER) >= $rows } =>
                                    self.fixed::<S, $rows, 1>(simd, same_rows.clone(), same),
                                ($rows, 2) if const { channel_rows(S::TIER) >= $rows } =>
                                    self.fixed::<S, $rows, 2>(simd, same_rows.clone(), same),
                                ($rows, 3)
                                    if const {
                                        channel_rows(S::TIER) >= $rows
                                            && pixel_vectors(S::TIER, $rows) >= 3
                                    } =>
                                {
                                    self.fixed::<S, $rows, 3>(simd, same_rows.clone(), same)
                                }
                            )*
                            _ => unreachable!(),
                        }
                    };
                }
                // SAFETY: the caller's promise.
                unsafe { sizes!(1 2 3 4 5 6 7 8) }
            }
            panel = same_rows.end;
        }
    }

    /// # Safety
    /// As for [`some`](Tiles::some); all panels have `MR` rows, all tiles `NV` columns.
    #[inline(always)]
    unsafe fn fixed<S: Simd, const MR: usize, const NV: usize>(
        &self,
        simd: S,
        panels: Range<usize>,
        tiles: Range<usize>,
    ) {
        let Job {
            spec,
            weights,
            finish,
            terms,
            ..
        } = *self.job;
        let (first, step) = (self.job.panels.start, finish.channel_step());
        let taps = terms.taps;
        for panel in panels {
            let channel = self.job.group * spec.og + self.all_rows.get(panel).start;
            let at = channel * spec.depth() + self.first_term * MR;
            let panel_weights = weights.weights()[at..].as_ptr();
            let bias = weights.bias()[channel..][..MR].as_ptr();
            let mut rows = [Place::default(); MR];
            for (m, row) in rows.iter_mut().enumerate() {
                *row = Place::default().moved(step, channel + m);
            }
            for tile in tiles.clone() {
                let own = &self.columns[self.all_columns.get(tile)][..NV];
                let mut pixels = [self.pixels; NV];
                let mut places = [Place::default(); NV];
                let mut counts = [0; NV];
                for (v, column) in own.iter().enumerate() {
                    pixels[v] = self.pixels.wrapping_add(column.src);
                    places[v] = column.place;
                    counts[v] = column.count;
                }
                let kept = ((panel - first) * self.count + tile) * tile_floats(S::TIER);
                let kept = self.kept.wrapping_add(kept);
                // SAFETY: the caller's promise.
                unsafe {
                    let sums = match self.is_first {
                        true => start_rows::<S, MR, NV>(simd, bias),
                        false => resume::<S, MR, NV>(simd, kept),
                    };
                    // Else the compiler, short of registers, works out at each term where the slice begins.
                    let (terms, weights) = (std::hint::black_box(self.rows), panel_weights);
                    let sums = match self.job.terms.unrolled {
                        UNROLLED => add_channels::<S, MR, NV, UNROLLED>(
                            simd, sums, weights, terms, taps, pixels,
                        ),
                        _ => add_channels::<S, MR, NV, 1>(simd, sums, weights, terms, [0], pixels),
                    };
                    if self.is_stored {
                        store::<S, MR, NV, IN_ROWS>(
                            simd, sums, finish, channel, rows, places, counts,
                        );
                    } else {
                        keep(simd, sums, kept);
                    }
                }
            }
        }
    }
}
