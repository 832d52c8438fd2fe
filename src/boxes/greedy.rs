//! The greedy suppression itself: in order of rank, a box is kept unless one
//! that has been kept suppresses it.
//!
//! A candidate is held in registers, one number to a vector, and meets the
//! kept boxes a vector at a time; the first hit ends the search. Where most
//! candidates are suppressed few are kept, and this is all there is to do. When
//! the kept boxes become many, the search moves on to a [`Grid`], which
//! offers only those nearby. That criterion needs no guess about the data.

use super::batch::{BATCH, Batch, Batches};
use super::grid::{Grid, Layout};
use super::rule::{FIELDS, Judged, Overlap, Probe, Rule};
use crate::error::Result;
use crate::runtime::{Context, Scratch};
use crate::simd::{Simd, dispatch};

/// The kept boxes up to which a list is searched faster than a grid.
const LIST_TO: usize = 128;
/// A grid is not worth setting up for fewer remaining candidates.
const GRID_FROM: usize = 128;
/// Memory is asked for that many candidates ahead.
const AHEAD: usize = 4;

/// A list of boxes in chunks of vectors; unused lanes are NaN, which overlaps nothing.
pub(super) struct List<'c> {
    chunks: Scratch<'c, f32>,
    len: usize,
}

impl<'c> List<'c> {
    /// An empty list with room for `capacity` boxes on a tier with `lanes`.
    pub(super) fn new(ctx: &'c Context, capacity: usize, lanes: usize) -> Result<List<'c>> {
        let chunks = ctx.scratch(capacity.div_ceil(lanes) * FIELDS * lanes)?;
        Ok(List { chunks, len: 0 })
    }

    #[inline(always)]
    pub(super) fn push<S: Simd>(&mut self, simd: S, judged: &Judged) {
        let (at, lane) = (self.len / S::LANES, self.len % S::LANES);
        let chunk = &mut self.chunks[at * FIELDS * S::LANES..][..FIELDS * S::LANES];
        if lane == 0 {
            clear(simd, chunk);
        }
        put(simd, chunk, lane, judged);
        self.len += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    /// True when a box of the list suppresses the probe.
    #[inline(always)]
    pub(super) fn suppresses<S: Simd, const MIN: bool>(&self, simd: S, probe: &Probe<S>) -> bool {
        let step = FIELDS * S::LANES;
        let used = &self.chunks[..self.len.div_ceil(S::LANES) * step];
        let mut fours = used.chunks_exact(4 * step);
        for four in &mut fours {
            let at = four.as_ptr();
            // SAFETY: four chunks.
            let hit = unsafe {
                let a = probe.suspects::<MIN>(simd, at);
                let b = probe.suspects::<MIN>(simd, at.add(step));
                let c = probe.suspects::<MIN>(simd, at.add(2 * step));
                let d = probe.suspects::<MIN>(simd, at.add(3 * step));
                simd.or(simd.or(a, b), simd.or(c, d))
            };
            if simd.any(hit) && certain::<S, MIN>(simd, probe, four) {
                return true;
            }
        }
        for one in fours.remainder().chunks_exact(step) {
            // SAFETY: a chunk.
            let hit = unsafe { probe.suspects::<MIN>(simd, one.as_ptr()) };
            if simd.any(hit) && certain::<S, MIN>(simd, probe, one) {
                return true;
            }
        }
        false
    }

    /// As [`suppresses`](List::suppresses), by the real arithmetic alone.
    #[inline(always)]
    fn surely_suppresses<S: Simd, const MIN: bool>(&self, simd: S, probe: &Probe<S>) -> bool {
        let step = FIELDS * S::LANES;
        let used = &self.chunks[..self.len.div_ceil(S::LANES) * step];
        certain::<S, MIN>(simd, probe, used)
    }
}

/// NaN in all lanes of a chunk.
#[inline(always)]
pub(super) fn clear<S: Simd>(simd: S, chunk: &mut [f32]) {
    for field in chunk.chunks_exact_mut(S::LANES) {
        simd.store(field, simd.splat(f32::NAN));
    }
}

/// Writes a box to a lane of a chunk.
#[inline(always)]
pub(super) fn put<S: Simd>(_: S, chunk: &mut [f32], lane: usize, judged: &Judged) {
    let [x1, y1, x2, y2] = judged.corners;
    for (field, value) in chunk
        .chunks_exact_mut(S::LANES)
        .zip([x1, y1, x2, y2, judged.scaled_area])
    {
        field[lane] = value;
    }
}

/// True when, by the real arithmetic, a box of these chunks suppresses the probe.
#[inline(always)]
pub(super) fn certain<S: Simd, const MIN: bool>(simd: S, probe: &Probe<S>, chunks: &[f32]) -> bool {
    // A loop, since closures given to an iterator need not be inlined.
    for chunk in chunks.chunks_exact(FIELDS * S::LANES) {
        // SAFETY: a chunk.
        if simd.any(unsafe { probe.suppressors::<MIN>(simd, chunk.as_ptr()) }) {
            return true;
        }
    }
    false
}

/// What is to be thinned out: the boxes, and which of them in what order.
#[derive(Clone, Copy)]
pub(super) struct Candidates<'a> {
    pub(super) boxes: &'a [[f32; 4]],
    pub(super) ranks: &'a [u32],
    pub(super) rule: &'a Rule,
    /// Stop when that many are kept.
    pub(super) limit: usize,
}

/// What a search needs, for one set of candidates after the other.
pub(super) struct Memory<'c> {
    list: List<'c>,
    batches: Batches<'c>,
}

impl<'c> Memory<'c> {
    /// For sets of at most `capacity` candidates.
    pub(super) fn new(ctx: &'c Context, capacity: usize) -> Result<Memory<'c>> {
        let lanes = dispatch!(ctx.isa(), simd => lanes(simd));
        Ok(Memory {
            list: List::new(ctx, capacity, lanes)?,
            batches: Batches::new(ctx, 1)?,
        })
    }
}

/// Writes the indices of the kept boxes by rank to `kept`, which has room for
/// all candidates; returns their number.
pub(super) fn suppress(
    ctx: &Context,
    memory: &mut Memory<'_>,
    candidates: &Candidates<'_>,
    kept: &mut [u32],
) -> Result<usize> {
    match candidates.rule.overlap {
        Overlap::Union => run::<false>(ctx, memory, candidates, kept),
        Overlap::Min => run::<true>(ctx, memory, candidates, kept),
    }
}

fn run<const MIN: bool>(
    ctx: &Context,
    Memory { list, batches }: &mut Memory<'_>,
    all: &Candidates<'_>,
    kept: &mut [u32],
) -> Result<usize> {
    let isa = ctx.isa();
    list.clear();
    let (done, count) = dispatch!(isa, simd => {
        search_list::<_, MIN>(simd, all, list, batches.at(0), kept)
    });
    if done == all.ranks.len() || count == all.limit {
        return Ok(count);
    }
    let rest = Candidates {
        ranks: &all.ranks[done..],
        ..*all
    };
    let lanes = dispatch!(isa, simd => lanes(simd));
    let layout = dispatch!(isa, simd => Layout::new(simd, &rest, batches.at(0)));
    let mut grid = Grid::new(ctx, &layout, all.ranks.len(), lanes)?;
    Ok(dispatch!(isa, simd => {
        take_over(simd, all, &mut grid, batches.at(0), &kept[..count]);
        search_grid::<_, MIN>(simd, &rest, list, &mut grid, batches.at(0), kept, count)
    }))
}

#[inline(always)]
fn lanes<S: Simd>(_: S) -> usize {
    S::LANES
}

/// Goes on until the list is too long to be searched, and returns how many
/// candidates are decided and how many are kept.
#[inline(always)]
fn search_list<S: Simd, const MIN: bool>(
    simd: S,
    all: &Candidates<'_>,
    list: &mut List<'_>,
    mut batch: Batch<'_>,
    kept: &mut [u32],
) -> (usize, usize) {
    let negative = all.rule.is_negative();
    let last_chance = all.ranks.len().saturating_sub(GRID_FROM);
    let (mut rank, mut count) = (0, 0);
    for ranks in all.ranks.chunks(BATCH) {
        batch.judge(simd, all.rule, all.boxes, ranks);
        for (i, &index) in ranks.iter().enumerate() {
            if count == all.limit || (list.len() >= LIST_TO && rank < last_chance && !negative) {
                return (rank, count);
            }
            rank += 1;
            if !batch.is_inert(i) {
                let probe = batch.probe(simd, all.rule, i);
                let suppressed = match negative {
                    false => list.suppresses::<S, MIN>(simd, &probe),
                    true => list.surely_suppresses::<S, MIN>(simd, &probe),
                };
                if suppressed {
                    continue;
                }
                list.push(simd, &batch.judged(i));
            }
            kept[count] = index;
            count += 1;
        }
    }
    (all.ranks.len(), count)
}

/// Enters the boxes that were kept so far.
#[inline(always)]
fn take_over<S: Simd>(
    simd: S,
    all: &Candidates<'_>,
    grid: &mut Grid<'_>,
    mut batch: Batch<'_>,
    kept: &[u32],
) {
    for indices in kept.chunks(BATCH) {
        batch.judge(simd, all.rule, all.boxes, indices);
        batch.locate(simd, all.rule, &grid.layout, indices.len());
        for i in 0..indices.len() {
            if !batch.is_inert(i) {
                grid.insert(simd, &batch.judged(i), batch.cells(i));
            }
        }
    }
}

/// Decides the rest with the grid.
#[inline(always)]
fn search_grid<S: Simd, const MIN: bool>(
    simd: S,
    rest: &Candidates<'_>,
    list: &mut List<'_>,
    grid: &mut Grid<'_>,
    mut batch: Batch<'_>,
    kept: &mut [u32],
    mut count: usize,
) -> usize {
    for ranks in rest.ranks.chunks(BATCH) {
        batch.judge(simd, rest.rule, rest.boxes, ranks);
        batch.locate(simd, rest.rule, &grid.layout, ranks.len());
        for (i, &index) in ranks.iter().enumerate() {
            if count == rest.limit {
                return count;
            }
            if let Some(cells) = batch.cells((i + AHEAD).min(ranks.len() - 1)) {
                grid.prefetch(simd, cells);
            }
            if !batch.is_inert(i) {
                let probe = batch.probe(simd, rest.rule, i);
                let cells = batch.cells(i);
                let chunks = list.len() / S::LANES;
                let suppressed = match cells.filter(|c| c.are_few() || c.count() <= chunks) {
                    Some(cells) => grid.suppresses::<S, MIN>(simd, &probe, cells),
                    None => list.suppresses::<S, MIN>(simd, &probe),
                };
                if suppressed {
                    continue;
                }
                list.push(simd, &batch.judged(i));
                grid.insert(simd, &batch.judged(i), cells);
            }
            kept[count] = index;
            count += 1;
        }
    }
    count
}
