//! A grid of the kept boxes, so that a candidate meets only those nearby.
//!
//! A box enters every cell that its *shrunk* rectangle touches, and looks for
//! others in the same cells: two regular boxes of which one suppresses the other
//! intersect even when both are shrunk about their centres ([`Rule::shrink`];
//! a third of the side at a threshold of 0.5). A cell is sized so that most
//! shrunk boxes touch at most 2 x 2. Its boxes are in chunks of one vector, of
//! which it owns one whose address needs no look-up; further ones are linked.
//!
//! Whatever is beyond the outermost cells counts as inside of these, so that
//! boxes far out need neither bounds nor room, and meet others at worst in vain.
//! Boxes that touch many cells, and irregular ones, stand in a list that everyone searches.

use super::batch::{BATCH, Batch, Cells};
use super::greedy::{Candidates, List, certain, clear, put};
use super::rule::{FIELDS, Judged, Probe, Rule};
use crate::error::Result;
use crate::runtime::{Context, Scratch};
use crate::simd::Simd;

/// Boxes looked at to size the cells.
const SAMPLES: usize = 256;
/// The side of a cell over the mean side of a shrunk box.
const CELL: f32 = 1.5;
/// Cells are at least so large that, spread evenly, they hold that many candidates for each lane.
const CROWD: f32 = 0.5;
/// A cell is no smaller than this part of what the candidates extend over: the numbers of chunks have to fit the tails.
const FINEST: f32 = 1.0 / 4096.0;
/// A kept box that touches more cells goes to the common list.
const MOST_CELLS: usize = 16;
/// The low bits of a tail say how many lanes of the chunk are used.
const USED_BITS: u32 = 5;
/// Room for boxes beyond those in the cells' own chunks, over the number of candidates.
const SPARE: usize = 3;

/// Where the cells of a grid are.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    origin: [f32; 2],
    /// Cells per unit of length.
    scale: [f32; 2],
    /// The last column, the last row.
    last: [u32; 2],
    /// A row of cells is two to this power long.
    pub(super) shift: u32,
    /// The candidates that the cells were made for.
    len: usize,
}

impl Layout {
    /// Cells that suit the candidates, judged by a sample of them.
    #[inline(always)]
    pub(super) fn new<S: Simd>(simd: S, all: &Candidates<'_>, mut batch: Batch<'_>) -> Layout {
        let len = all.ranks.len();
        let infinity = simd.splat(f32::INFINITY);
        let mut sides = [simd.zero(); 2];
        let mut low = [infinity; 2];
        let mut high = [simd.neg(infinity); 2];
        let mut seen = 0;
        let step = len.div_ceil(SAMPLES).max(1);
        let mut sample = [0; BATCH];
        for start in (0..len).step_by(step * BATCH) {
            let mut count = 0;
            for &index in all.ranks[start..].iter().step_by(step).take(BATCH) {
                sample[count] = index;
                count += 1;
            }
            batch.judge(simd, all.rule, all.boxes, &sample[..count]);
            for at in (0..count).step_by(S::LANES) {
                let [x1, y1, x2, y2] = batch.corners(simd, at);
                let regular = batch.regular(simd, at);
                seen += simd.mask_bits(regular).count_ones();
                let axes = [
                    shrunk(simd, all.rule, (x1, x2)),
                    shrunk(simd, all.rule, (y1, y2)),
                ];
                for axis in 0..2 {
                    let (from, to) = axes[axis];
                    let side = simd.select(regular, simd.sub(to, from), simd.zero());
                    sides[axis] = simd.add(sides[axis], side);
                    low[axis] = simd.select(regular, simd.min(from, low[axis]), low[axis]);
                    high[axis] = simd.select(regular, simd.max(to, high[axis]), high[axis]);
                }
            }
        }
        // Without regular boxes any grid will do.
        let mut layout = Layout {
            origin: [0.0; 2],
            scale: [1.0; 2],
            last: [0; 2],
            shift: 0,
            len,
        };
        if seen > 0 {
            let crowd = (CROWD * S::LANES as f32 / len as f32).sqrt().max(FINEST);
            for axis in 0..2 {
                let origin = simd.reduce_min(low[axis]);
                let across = simd.reduce_max(high[axis]) - origin;
                let mean = simd.reduce_add(sides[axis]) / seen as f32;
                let side = (CELL * mean).max(crowd * across).clamp(1e-30, 1e30);
                layout.origin[axis] = origin;
                layout.scale[axis] = side.recip();
                layout.last[axis] = (across / side) as u32;
            }
        }
        layout.shift = (layout.last[0] + 1).next_power_of_two().ilog2();
        layout
    }

    fn count(&self) -> usize {
        (self.last[1] as usize + 1) << self.shift
    }

    /// The first cell that a shrunk box touches along an axis, and how many more there are.
    #[inline(always)]
    pub(super) fn cells<S: Simd>(
        &self,
        simd: S,
        rule: &Rule,
        axis: usize,
        corners: (S::F32, S::F32),
    ) -> (S::I32, S::I32) {
        let (from, to) = shrunk(simd, rule, corners);
        let origin = simd.splat(self.origin[axis]);
        let scale = simd.splat(self.scale[axis]);
        let last = simd.splat(self.last[axis] as f32);
        // Never falling, so that what intersects shares a cell.
        let from = simd.mul(simd.sub(from, origin), scale);
        let to = simd.mul(simd.sub(to, origin), scale);
        let first = simd.trunc_to_i32(simd.min(simd.max(from, simd.zero()), last));
        let end = simd.trunc_to_i32(simd.min(simd.max(to, simd.zero()), last));
        (first, simd.sub_i32(end, first))
    }
}

/// The interval of one axis of a shrunk box, wider by more than rounding can move it.
#[inline(always)]
fn shrunk<S: Simd>(simd: S, rule: &Rule, (low, high): (S::F32, S::F32)) -> (S::F32, S::F32) {
    let (half, offset) = (simd.splat(0.5), simd.splat(rule.offset));
    let centre = simd.mul(half, simd.add(simd.add(low, high), offset));
    let side = simd.add(simd.sub(high, low), offset);
    let reach = simd.mul(simd.splat(0.5 * rule.shrink), side);
    let size = simd.add(simd.add(simd.abs(low), simd.abs(high)), offset);
    let margin = simd.mul(size, simd.splat(1e-6));
    let from = simd.sub(simd.sub(centre, reach), margin);
    (from, simd.add(simd.add(centre, reach), margin))
}

/// The kept boxes by place.
pub(super) struct Grid<'c> {
    pub(super) layout: Layout,
    /// Of each cell the newest linked chunk (0 for none) and the number of used lanes of the newest chunk.
    tails: Scratch<'c, u32>,
    /// Of each linked chunk the next older one, 0 for none; of the empty one itself.
    links: Scratch<'c, u32>,
    /// One full of NaN, those that the cells own, and those that are linked.
    chunks: Scratch<'c, f32>,
    /// The next chunk to be linked.
    fresh: u32,
    /// Boxes that everyone meets.
    common: List<'c>,
}

impl<'c> Grid<'c> {
    /// An empty grid with room for `capacity` boxes.
    pub(super) fn new(
        ctx: &'c Context,
        layout: &Layout,
        capacity: usize,
        lanes: usize,
    ) -> Result<Grid<'c>> {
        let cells = layout.count();
        let mut tails = ctx.scratch(cells)?;
        tails.fill(0);
        let spare = SPARE * layout.len.div_ceil(lanes);
        let room = (1 + cells + spare).min(1 << (u32::BITS - USED_BITS));
        let mut chunks = ctx.scratch::<f32>(room * FIELDS * lanes)?;
        chunks[..FIELDS * lanes].fill(f32::NAN);
        let mut links = ctx.scratch(room)?;
        links[0] = 0;
        Ok(Grid {
            layout: *layout,
            tails,
            links,
            chunks,
            fresh: 1 + cells as u32,
            common: List::new(ctx, capacity, lanes)?,
        })
    }

    /// The cells side by side that `cells` are, if these are few; some may be the same.
    #[inline(always)]
    fn four(&self, cells: Cells) -> [u32; 4] {
        let [dx, dy] = cells.more();
        let below = cells.first + (dy << self.layout.shift);
        [cells.first, cells.first + dx, below, below + dx]
    }

    /// Asks for what a search in these cells will read.
    #[inline(always)]
    pub(super) fn prefetch<S: Simd>(&self, simd: S, cells: Cells) {
        let step = FIELDS * S::LANES;
        for cell in self.four(cells) {
            let chunk = self
                .chunks
                .as_ptr()
                .wrapping_add((1 + cell as usize) * step);
            for line in 0..step.div_ceil(16) {
                simd.prefetch(chunk.wrapping_add(line * 16));
            }
        }
    }

    /// True when a box of the grid suppresses the probe.
    #[inline(always)]
    pub(super) fn suppresses<S: Simd, const MIN: bool>(
        &self,
        simd: S,
        probe: &Probe<S>,
        cells: Cells,
    ) -> bool {
        if self.common.len() > 0 && self.common.suppresses::<S, MIN>(simd, probe) {
            return true;
        }
        if cells.extent == 0 {
            return self.cell_suppresses::<S, MIN>(simd, probe, cells.first);
        }
        if cells.are_few() {
            return self.four_suppress::<S, MIN>(simd, probe, self.four(cells));
        }
        let [mx, my] = cells.more();
        for dy in 0..=my {
            for dx in 0..=mx {
                let cell = cells.first + (dy << self.layout.shift) + dx;
                if self.cell_suppresses::<S, MIN>(simd, probe, cell) {
                    return true;
                }
            }
        }
        false
    }

    /// The chunk that a cell owns, or the empty one when nothing is in it yet.
    #[inline(always)]
    fn own(cell: u32, tail: u32) -> u32 {
        match tail {
            0 => 0,
            _ => 1 + cell,
        }
    }

    #[inline(always)]
    fn cell_suppresses<S: Simd, const MIN: bool>(
        &self,
        simd: S,
        probe: &Probe<S>,
        cell: u32,
    ) -> bool {
        let tail = self.tails[cell as usize];
        let mut chunk = Self::own(cell, tail);
        let mut next = tail >> USED_BITS;
        loop {
            let floats = self.chunk::<S>(chunk);
            // SAFETY: a chunk.
            let hit = unsafe { probe.suspects::<MIN>(simd, floats.as_ptr()) };
            if simd.any(hit) && certain::<S, MIN>(simd, probe, floats) {
                return true;
            }
            if next == 0 {
                return false;
            }
            chunk = next;
            next = self.links[next as usize];
        }
    }

    /// Searches four cells side by side.
    #[inline(always)]
    fn four_suppress<S: Simd, const MIN: bool>(
        &self,
        simd: S,
        probe: &Probe<S>,
        [a, b, c, d]: [u32; 4],
    ) -> bool {
        let (ta, tb) = (self.tails[a as usize], self.tails[b as usize]);
        let (tc, td) = (self.tails[c as usize], self.tails[d as usize]);
        let mut four = [
            Self::own(a, ta),
            Self::own(b, tb),
            Self::own(c, tc),
            Self::own(d, td),
        ];
        let mut next = [
            ta >> USED_BITS,
            tb >> USED_BITS,
            tc >> USED_BITS,
            td >> USED_BITS,
        ];
        loop {
            let [a, b, c, d] = [
                self.chunk::<S>(four[0]),
                self.chunk::<S>(four[1]),
                self.chunk::<S>(four[2]),
                self.chunk::<S>(four[3]),
            ];
            // SAFETY: chunks.
            let hits = unsafe {
                [
                    probe.suspects::<MIN>(simd, a.as_ptr()),
                    probe.suspects::<MIN>(simd, b.as_ptr()),
                    probe.suspects::<MIN>(simd, c.as_ptr()),
                    probe.suspects::<MIN>(simd, d.as_ptr()),
                ]
            };
            if simd.any(simd.or(simd.or(hits[0], hits[1]), simd.or(hits[2], hits[3]))) {
                // Nearly always the first suspect is one.
                let mut first = d;
                for (hit, chunk) in [(hits[2], c), (hits[1], b), (hits[0], a)] {
                    if simd.any(hit) {
                        first = chunk;
                    }
                }
                if certain::<S, MIN>(simd, probe, first) {
                    return true;
                }
                for chunk in [b, c, d] {
                    if certain::<S, MIN>(simd, probe, chunk) {
                        return true;
                    }
                }
            }
            if next == [0; 4] {
                return false;
            }
            four = next;
            next = [
                self.links[four[0] as usize],
                self.links[four[1] as usize],
                self.links[four[2] as usize],
                self.links[four[3] as usize],
            ];
        }
    }

    #[inline(always)]
    fn chunk<S: Simd>(&self, chunk: u32) -> &[f32] {
        &self.chunks[chunk as usize * FIELDS * S::LANES..][..FIELDS * S::LANES]
    }

    /// Enters a kept box.
    #[inline(always)]
    pub(super) fn insert<S: Simd>(&mut self, simd: S, judged: &Judged, cells: Option<Cells>) {
        let room = self.links.len() - self.fresh as usize;
        let Some(cells) = cells.filter(|c| c.count() <= MOST_CELLS.min(room)) else {
            return self.common.push(simd, judged);
        };
        let [mx, my] = cells.more();
        let step = FIELDS * S::LANES;
        for dy in 0..=my {
            for dx in 0..=mx {
                let cell = cells.first + (dy << self.layout.shift) + dx;
                let tail = self.tails[cell as usize];
                let lane = tail % (1 << USED_BITS);
                let (chunk, lane) = if lane == S::LANES as u32 {
                    let chunk = self.fresh;
                    self.fresh += 1;
                    self.links[chunk as usize] = tail >> USED_BITS;
                    self.tails[cell as usize] = chunk << USED_BITS | 1;
                    (chunk, 0)
                } else {
                    self.tails[cell as usize] = tail + 1;
                    match tail >> USED_BITS {
                        0 => (1 + cell, lane),
                        linked => (linked, lane),
                    }
                };
                let chunk = &mut self.chunks[chunk as usize * step..][..step];
                if lane == 0 {
                    clear(simd, chunk);
                }
                put(simd, chunk, lane as usize, judged);
            }
        }
    }
}
