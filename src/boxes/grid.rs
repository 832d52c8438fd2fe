//! A grid of the kept boxes, so that a candidate meets only those nearby.
//!
//! A box enters every cell that its *shrunk* rectangle touches, and looks for
//! others in the same cells: two regular boxes of which one suppresses the other
//! intersect even when both are shrunk about their centres ([`Rule::shrink`];
//! a third of the side at a threshold of 0.5). A cell is sized so that most
//! shrunk boxes touch at most 2 x 2, and holds chunks of one vector, linked, so
//! that the usual search is four vector tests without a branch in between.
//!
//! The grid is a torus: cell coordinates wrap around, so that boxes far out
//! need neither bounds nor room, and meet others at worst in vain. Boxes that
//! touch many cells, and irregular ones, stand in a list that everyone searches.

use super::greedy::{Candidates, List, certain, clear, put};
use super::rule::{FIELDS, Judged, Probe, Rule};
use crate::error::Result;
use crate::runtime::{Context, Scratch};
use crate::simd::Simd;

/// Boxes looked at to size the cells.
const SAMPLES: usize = 512;
/// The side of a cell over the mean side of a shrunk box.
const CELL: f32 = 1.5;
/// Cells are at least so large that, spread evenly, they hold that many candidates.
const CROWD: f32 = 4.0;
/// A kept box that touches more cells goes to the common list.
const MOST_CELLS: u32 = 16;
/// Cell coordinates beyond are not computed.
const FARTHEST: f32 = 1e9;
/// The low bits of a link say how many lanes of the chunk are used.
const USED_BITS: u32 = 5;

/// At most two to this power cells.
const MOST_BITS: u32 = 24;

/// The kept boxes by place.
pub(super) struct Grid<'c> {
    /// Cells per unit of length.
    scale: [f32; 2],
    mask: [u32; 2],
    shift: u32,
    lanes: u32,
    /// The newest chunk of each cell; chunk 0 is full of NaN and ends every chain.
    heads: Scratch<'c, u32>,
    /// Of each chunk the next older one and the number of used lanes.
    links: Scratch<'c, u32>,
    chunks: Scratch<'c, f32>,
    used: u32,
    /// Boxes that everyone meets.
    common: List<'c>,
}

/// The cells that a shrunk box touches: a corner (wrapping) and extents less one.
#[derive(Clone, Copy)]
pub(super) struct Cells {
    first: [u32; 2],
    more: [u32; 2],
}

impl Cells {
    /// All there are, for boxes that have no place.
    const EVERYWHERE: Cells = Cells {
        first: [0; 2],
        more: [u32::MAX; 2],
    };

    /// Their number, or more than any grid has.
    #[inline(always)]
    fn count(&self) -> u32 {
        let [x, y] = self.more;
        x.saturating_add(1).saturating_mul(y.saturating_add(1))
    }
}

/// The interval of one axis of a shrunk box, wider by more than rounding can move it.
#[inline(always)]
pub(super) fn shrunk(rule: &Rule, judged: &Judged, axis: usize) -> (f32, f32) {
    let (low, high) = (judged.corners[axis], judged.corners[axis + 2]);
    let centre = 0.5 * (low + high + rule.offset);
    let half = 0.5 * rule.shrink * (high - low + rule.offset);
    let margin = (low.abs() + high.abs() + rule.offset) * 1e-6;
    (centre - half - margin, centre + half + margin)
}

/// The cells of a grid: how large and how many.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Cells per unit of length.
    scale: [f32; 2],
    /// Cells along each axis: two to this power.
    bits: [u32; 2],
    /// The candidates that the cells were made for.
    len: usize,
}

impl Layout {
    /// Cells that suit the candidates, judged by a sample of them.
    pub(super) fn new(all: &Candidates<'_>) -> Layout {
        let len = all.ranks.len();
        let mut sides = [0f32; 2];
        let mut low = [f32::INFINITY; 2];
        let mut high = [f32::NEG_INFINITY; 2];
        let mut seen = 0;
        for &index in all.ranks.iter().step_by(len.div_ceil(SAMPLES).max(1)) {
            let Some(judged) = all.rule.judge(all.boxes, index) else {
                continue;
            };
            if judged.is_regular() {
                for axis in 0..2 {
                    let (from, to) = shrunk(all.rule, &judged, axis);
                    sides[axis] += to - from;
                    low[axis] = low[axis].min(from);
                    high[axis] = high[axis].max(to);
                }
                seen += 1;
            }
        }
        // Without regular boxes any grid will do.
        let mut layout = Layout {
            scale: [1.0; 2],
            bits: [0; 2],
            len,
        };
        if seen > 0 {
            let across = [high[0] - low[0], high[1] - low[1]];
            let crowd = (CROWD / len as f32).sqrt();
            for axis in 0..2 {
                let side = (CELL * sides[axis] / seen as f32).max(crowd * across[axis]);
                let side = side.clamp(1e-30, 1e30);
                layout.scale[axis] = side.recip();
                let across = (across[axis] / side).clamp(1.0, 1e6);
                layout.bits[axis] = (across as u32).next_power_of_two().ilog2();
            }
        }
        let most = len.next_power_of_two().ilog2().min(MOST_BITS);
        while layout.bits[0] + layout.bits[1] > most {
            let larger = usize::from(layout.bits[1] > layout.bits[0]);
            layout.bits[larger] -= 1;
        }
        layout
    }
}

impl<'c> Grid<'c> {
    /// An empty grid with room for `capacity` boxes.
    pub(super) fn new(
        ctx: &'c Context,
        layout: &Layout,
        capacity: usize,
        lanes: usize,
    ) -> Result<Grid<'c>> {
        let cells = 1usize << (layout.bits[0] + layout.bits[1]);
        let mut heads = ctx.scratch(cells)?;
        heads.fill(0);
        let room = 1 + cells + layout.len.min(capacity).div_ceil(2);
        let room = room.min(1 << (u32::BITS - USED_BITS));
        let mut links = ctx.scratch(room)?;
        let mut chunks = ctx.scratch::<f32>(room * FIELDS * lanes)?;
        links[0] = lanes as u32;
        chunks[..FIELDS * lanes].fill(f32::NAN);
        Ok(Grid {
            scale: layout.scale,
            mask: layout.bits.map(|b| (1 << b) - 1),
            shift: layout.bits[0],
            lanes: lanes as u32,
            heads,
            links,
            chunks,
            used: 1,
            common: List::new(ctx, capacity, lanes)?,
        })
    }

    /// The cells of a box.
    #[inline(always)]
    pub(super) fn cells(&self, rule: &Rule, judged: &Judged) -> Cells {
        if !judged.is_regular() {
            return Cells::EVERYWHERE;
        }
        let mut cells = Cells {
            first: [0; 2],
            more: [0; 2],
        };
        for axis in 0..2 {
            let (from, to) = shrunk(rule, judged, axis);
            let (from, to) = (from * self.scale[axis], to * self.scale[axis]);
            // NaN and infinity are far, too.
            if !(from >= -FARTHEST && to <= FARTHEST) {
                return Cells::EVERYWHERE;
            }
            let (first, last) = (floor(from), floor(to));
            cells.first[axis] = first as u32;
            // Once around the torus is everywhere.
            cells.more[axis] = ((last - first) as u32).min(self.mask[axis]);
        }
        cells
    }

    /// True when the cells are few enough to be searched one by one, rather
    /// than a list of so many chunks.
    #[inline(always)]
    pub(super) fn covers(&self, cells: &Cells, chunks: usize) -> bool {
        let [x, y] = cells.more;
        (x | y) <= 1 || (cells.count() as usize) <= chunks
    }

    #[inline(always)]
    fn cell(&self, x: u32, y: u32) -> usize {
        ((y & self.mask[1]) << self.shift | (x & self.mask[0])) as usize
    }

    /// True when a box of the grid suppresses the probe.
    #[inline(always)]
    pub(super) fn suppresses<S: Simd, const MIN: bool>(
        &self,
        simd: S,
        probe: &Probe<S>,
        cells: &Cells,
    ) -> bool {
        if self.common.len() > 0 && self.common.suppresses::<S, MIN>(simd, probe) {
            return true;
        }
        let [x, y] = cells.first;
        let [mx, my] = cells.more;
        if (mx | my) <= 1 {
            let (right, below) = (x.wrapping_add(mx), y.wrapping_add(my));
            let four = [
                self.heads[self.cell(x, y)],
                self.heads[self.cell(right, y)],
                self.heads[self.cell(x, below)],
                self.heads[self.cell(right, below)],
            ];
            return self.four_suppress::<S, MIN>(simd, probe, four);
        }
        for dy in 0..=my {
            for dx in 0..=mx {
                let mut chunk = self.heads[self.cell(x.wrapping_add(dx), y.wrapping_add(dy))];
                while chunk != 0 {
                    if self.chunk_suppresses::<S, MIN>(simd, probe, chunk) {
                        return true;
                    }
                    chunk = self.links[chunk as usize] >> USED_BITS;
                }
            }
        }
        false
    }

    /// Searches four chains side by side.
    #[inline(always)]
    fn four_suppress<S: Simd, const MIN: bool>(
        &self,
        simd: S,
        probe: &Probe<S>,
        mut four: [u32; 4],
    ) -> bool {
        loop {
            let at = four.map(
                #[inline(always)]
                |chunk| self.chunk::<S>(chunk).as_ptr(),
            );
            // SAFETY: chunks of the grid.
            let hit = unsafe {
                let a = probe.suspects::<MIN>(simd, at[0]);
                let b = probe.suspects::<MIN>(simd, at[1]);
                let c = probe.suspects::<MIN>(simd, at[2]);
                let d = probe.suspects::<MIN>(simd, at[3]);
                simd.or(simd.or(a, b), simd.or(c, d))
            };
            if simd.any(hit) {
                for chunk in four {
                    if certain::<S, MIN>(simd, probe, self.chunk::<S>(chunk)) {
                        return true;
                    }
                }
            }
            four = four.map(
                #[inline(always)]
                |chunk| self.links[chunk as usize] >> USED_BITS,
            );
            if four == [0; 4] {
                return false;
            }
        }
    }

    #[inline(always)]
    fn chunk_suppresses<S: Simd, const MIN: bool>(
        &self,
        simd: S,
        probe: &Probe<S>,
        chunk: u32,
    ) -> bool {
        let chunk = self.chunk::<S>(chunk);
        // SAFETY: a chunk.
        let hit = unsafe { probe.suspects::<MIN>(simd, chunk.as_ptr()) };
        simd.any(hit) && certain::<S, MIN>(simd, probe, chunk)
    }

    #[inline(always)]
    fn chunk<S: Simd>(&self, chunk: u32) -> &[f32] {
        &self.chunks[chunk as usize * FIELDS * S::LANES..][..FIELDS * S::LANES]
    }

    /// Enters a kept box.
    #[inline(always)]
    pub(super) fn insert<S: Simd>(&mut self, simd: S, judged: &Judged, cells: &Cells) {
        let count = cells.count();
        let [mx, my] = cells.more;
        let room = self.links.len() as u32 - self.used;
        if count > MOST_CELLS || count > room {
            return self.common.push(simd, judged);
        }
        let [x, y] = cells.first;
        for dy in 0..=my {
            for dx in 0..=mx {
                let cell = self.cell(x.wrapping_add(dx), y.wrapping_add(dy));
                let head = self.heads[cell];
                let link = self.links[head as usize];
                let lane = link % (1 << USED_BITS);
                let (head, lane) = if lane == self.lanes {
                    let fresh = self.used;
                    self.used += 1;
                    self.heads[cell] = fresh;
                    self.links[fresh as usize] = head << USED_BITS | 1;
                    let step = FIELDS * S::LANES;
                    clear(simd, &mut self.chunks[fresh as usize * step..][..step]);
                    (fresh, 0)
                } else {
                    self.links[head as usize] = link + 1;
                    (head, lane)
                };
                let step = FIELDS * S::LANES;
                let chunk = &mut self.chunks[head as usize * step..][..step];
                put(simd, chunk, lane as usize, judged);
            }
        }
    }

    /// Enters the boxes that were kept so far.
    #[inline(always)]
    pub(super) fn take_over<S: Simd>(
        &mut self,
        simd: S,
        boxes: &[[f32; 4]],
        rule: &Rule,
        kept: &[u32],
    ) {
        for &index in kept {
            if let Some(judged) = rule.judge(boxes, index) {
                let cells = self.cells(rule, &judged);
                self.insert(simd, &judged, &cells);
            }
        }
    }
}

/// The largest integer not above `value`, which is within ±2^30. (The float's
/// own `floor` is a call where the baseline has no such instruction.)
#[inline(always)]
fn floor(value: f32) -> i32 {
    let cut = value as i32;
    cut - i32::from(cut as f32 > value)
}
