//! How a call is run, whatever becomes of a bin: which tasks there are, what they
//! do for a RoI and a block of channels, and how bins reach the output.

use super::combine::{Lines, Rule, larger, pass};
use super::grid::Taps;
use super::lanes::{Block, Cut, WIDE, from_lanes, to_lanes};
use super::regions::Regions;
use super::source::Source;
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};
use crate::tensor::Layout;
use std::ops::Range;

/// Elements of the output that pay for handing out a task.
const TASK: usize = 1 << 16;
/// Bins that are worked on together.
const BINS: usize = 512;
/// Bins' columns of rows (or pixels of rows, where these are copied) that are kept at least.
const STAGE: usize = 1024;

/// A call, as its tasks share it.
pub(super) struct Job<'a> {
    pub(super) bins: [usize; 2],
    pub(super) size: [usize; 2],
    pub(super) regions: &'a Regions<'a>,
    pub(super) source: &'a Source<'a>,
    pub(super) cut: Cut,
    pub(super) out: Bins<f32>,
}

/// How an operator finds the taps of a RoI.
pub(super) trait Lay: Sync {
    /// Bins with samples outside of the map are not below 0.
    const OUTSIDE: bool = false;
    /// The taps of RoI `k`.
    fn lay(&self, k: usize, y: &mut Taps<'_>, x: &mut Taps<'_>);
}

impl Job<'_> {
    /// Runs a rule over the taps that `lay` finds, at most `capacity` of them along each axis.
    pub(super) fn combine<R: Rule, L: Lay>(
        &self,
        ctx: &Context,
        rule: R,
        lay: &L,
        capacity: [usize; 2],
    ) -> Result<()> {
        let memory = Memory::new(self.bins, self.size, &self.cut, capacity);
        let tasks = Tasks::new(self);
        let isa = ctx.isa();
        ctx.parallel_for_scratch::<f32>(tasks.count(), memory.len(), |task, scratch| {
            let mut room = memory.split(scratch);
            for k in tasks.rois(task) {
                lay.lay(k, &mut room.y, &mut room.x);
                room.list_rows();
                let blocks = tasks.blocks(task);
                // SAFETY: the scratch is as large as the memory says, and has the taps; tasks write
                // different RoIs or blocks.
                dispatch!(isa, simd => unsafe {
                    self.roi::<_, R, L>(simd, rule, k, blocks, &mut room)
                });
            }
        })
    }

    /// # Safety
    /// The room is that of the job and has the taps of RoI `k`; nobody else writes these bins.
    #[inline(always)]
    unsafe fn roi<S: Simd, R: Rule, L: Lay>(
        &self,
        simd: S,
        rule: R,
        k: usize,
        blocks: Range<usize>,
        room: &mut Room<'_>,
    ) {
        for block in blocks.map(|block| self.cut.block(block)) {
            // SAFETY: the caller's promise.
            unsafe {
                match block.width == S::LANES {
                    true => self.block::<S, R, L, 1>(simd, rule, k, &block, room),
                    false => self.block::<S, R, L, WIDE>(simd, rule, k, &block, room),
                }
            }
        }
    }

    /// # Safety
    /// As [`roi`](Job::roi); the block has `V` vectors.
    #[inline(always)]
    unsafe fn block<S: Simd, R: Rule, L: Lay, const V: usize>(
        &self,
        simd: S,
        rule: R,
        k: usize,
        block: &Block,
        room: &mut Room<'_>,
    ) {
        let image = self.regions.image(k);
        for (rows, cols) in pieces(self.bins) {
            // SAFETY: the caller's promise.
            unsafe {
                let (to, step) = self.destination(k, block, &rows, &cols, room.tile);
                let piece = (rows.clone(), cols.clone());
                room.combine::<S, R, V>(simd, rule, self.source, (image, block), piece, (to, step));
                if L::OUTSIDE {
                    room.not_below_zero(simd, block, &rows, &cols, (to, step));
                }
                self.emit(simd, k, block, &rows, &cols, room.tile);
            }
        }
    }

    /// Where a piece is written, and the step from bin to bin: the output, or the tile.
    #[inline(always)]
    pub(super) fn destination(
        &self,
        k: usize,
        block: &Block,
        rows: &Range<usize>,
        cols: &Range<usize>,
        tile: &mut [f32],
    ) -> (*mut f32, isize) {
        if !self.out.direct(block) {
            return (tile.as_mut_ptr(), block.width as isize);
        }
        let (to, _, bin) = self.out.at(k, block.channel, rows.start, cols.start);
        (to, bin)
    }

    /// Brings a piece from the tile to the output, unless it is there.
    ///
    /// # Safety
    /// The tile holds the piece; nobody else writes these bins.
    #[inline(always)]
    pub(super) unsafe fn emit<S: Simd>(
        &self,
        simd: S,
        k: usize,
        block: &Block,
        rows: &Range<usize>,
        cols: &Range<usize>,
        tile: &[f32],
    ) {
        if self.out.direct(block) {
            return;
        }
        let (to, channel, bin) = self.out.at(k, block.channel, rows.start, cols.start);
        let run = rows.len() * cols.len();
        // SAFETY: the caller's promise.
        unsafe { from_lanes(simd, tile.as_ptr(), block, to, channel, bin, run) }
    }
}

/// What a task's scratch is for.
pub(super) struct Memory {
    bins: [usize; 2],
    rows: usize,
    capacity: [usize; 2],
    stage: usize,
    tile: usize,
}

impl Memory {
    pub(super) fn new(
        bins: [usize; 2],
        size: [usize; 2],
        cut: &Cut,
        capacity: [usize; 2],
    ) -> Memory {
        Memory {
            bins,
            rows: size[0],
            capacity,
            stage: size[0].max(size[1]).max(STAGE) * cut.widest(),
            tile: bins[0].saturating_mul(bins[1]).min(BINS) * cut.widest(),
        }
    }

    fn taps(&self, axis: usize) -> usize {
        Taps::words(self.bins[axis], self.capacity[axis])
    }

    /// Words of it all.
    pub(super) fn len(&self) -> usize {
        let floats = 2 * self.stage + self.tile;
        self.taps(0)
            .saturating_add(self.taps(1))
            .saturating_add(2 * self.rows + floats)
    }

    pub(super) fn split<'a>(&self, scratch: &'a mut [f32]) -> Room<'a> {
        let (joined, rest) = scratch.split_at_mut(self.stage);
        let (copied, rest) = rest.split_at_mut(self.stage);
        let (tile, rest) = rest.split_at_mut(self.tile);
        // SAFETY: both are four bytes of which every pattern is a value.
        let rest =
            unsafe { std::slice::from_raw_parts_mut(rest.as_mut_ptr().cast::<i32>(), rest.len()) };
        let (rows, rest) = rest.split_at_mut(self.rows);
        let (row_of, rest) = rest.split_at_mut(self.rows);
        row_of.fill(-1);
        let (y, x) = rest.split_at_mut(self.taps(0));
        Room {
            rows,
            row_of,
            count: 0,
            y: Taps::new(y, self.bins[0], self.capacity[0]),
            x: Taps::new(x, self.bins[1], self.capacity[1]),
            columns: 0..0,
            joined,
            copied,
            tile,
        }
    }
}

/// A task's scratch, with the taps of the RoI that it works on.
pub(super) struct Room<'a> {
    /// Rows of the map that are touched, `count` of them; once listed, the taps of `y` count in these.
    rows: &'a mut [i32],
    /// Where in this list a row is, -1 when it is not.
    row_of: &'a mut [i32],
    count: usize,
    pub(super) y: Taps<'a>,
    pub(super) x: Taps<'a>,
    /// The columns touched, from and to.
    columns: Range<i32>,
    /// Rows with their columns joined.
    pub(super) joined: &'a mut [f32],
    /// Rows that are copied; at least as long as the tile.
    pub(super) copied: &'a mut [f32],
    /// The bins of a piece.
    pub(super) tile: &'a mut [f32],
}

impl Room<'_> {
    /// Lists the rows that taps of `y` touch, and makes these count in the list.
    pub(super) fn list_rows(&mut self) {
        for &row in &self.rows[..self.count] {
            self.row_of[row as usize] = -1;
        }
        self.count = 0;
        for index in self.y.all() {
            let place = &mut self.row_of[*index as usize];
            if *place < 0 {
                *place = self.count as i32;
                self.rows[self.count] = *index;
                self.count += 1;
            }
            *index = *place;
        }
        let (mut start, mut end) = (i32::MAX, 0);
        for &index in self.x.all().iter() {
            (start, end) = (start.min(index), end.max(index + 1));
        }
        self.columns = start.min(end)..end;
    }

    /// The rows listed.
    pub(super) fn rows(&self) -> &[i32] {
        &self.rows[..self.count]
    }

    /// Raises bins with samples outside of the map to 0.
    ///
    /// # Safety
    /// `dst` is where the piece is.
    #[inline(always)]
    unsafe fn not_below_zero<S: Simd>(
        &self,
        simd: S,
        block: &Block,
        rows: &Range<usize>,
        cols: &Range<usize>,
        (dst, step): (*mut f32, isize),
    ) {
        let bins = rows.clone().flat_map(|p| cols.clone().map(move |q| (p, q)));
        for (at, (p, q)) in bins.enumerate() {
            if !self.y.outside(p) && !self.x.outside(q) {
                continue;
            }
            for v in (0..block.width).step_by(S::LANES) {
                // SAFETY: the caller's promise.
                unsafe {
                    let bin = dst.offset(at as isize * step).add(v);
                    simd.store_ptr(bin, larger(simd, simd.zero(), simd.load_ptr(bin)));
                }
            }
        }
    }

    /// Bins of one piece to `dst`, `step` elements from bin to bin.
    ///
    /// # Safety
    /// The taps are inside of the map and rows listed, `dst` has room for the piece.
    #[inline(always)]
    pub(super) unsafe fn combine<S: Simd, R: Rule, const V: usize>(
        &mut self,
        simd: S,
        rule: R,
        source: &Source<'_>,
        (image, block): (usize, &Block),
        (bin_rows, bin_cols): (Range<usize>, Range<usize>),
        (dst, step): (*mut f32, isize),
    ) {
        let wide = bin_cols.len();
        let whole = self.y.first <= bin_rows.start
            && bin_rows.end <= self.y.end
            && self.x.first <= bin_cols.start
            && bin_cols.end <= self.x.end;
        if !whole {
            for bin in 0..bin_rows.len() * wide {
                for v in 0..V {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let to = dst.offset(bin as isize * step).add(v * S::LANES);
                        simd.store_ptr(to, simd.zero());
                    }
                }
            }
        }
        let ps = bin_rows.start.max(self.y.first)..bin_rows.end.min(self.y.end);
        let qs = bin_cols.start.max(self.x.first)..bin_cols.end.min(self.x.end);
        if ps.is_empty() || qs.is_empty() {
            return;
        }
        let (mut low, mut high) = (i32::MAX, 0);
        for p in ps.clone() {
            for &row in self.y.index(p) {
                (low, high) = (low.min(row), high.max(row + 1));
            }
        }
        let (joined, copied) = (self.joined.as_mut_ptr(), self.copied.as_mut_ptr());
        let this = &*self;
        let rows = &this.rows[low as usize..high as usize];
        let width = (V * S::LANES) as isize;
        let most = (this.joined.len() / (V * S::LANES) / rows.len()).max(1);
        for q in qs.clone().step_by(most) {
            let cols = q..(q + most).min(qs.end);
            let joined_row = cols.len() as isize * width;

            // SAFETY: taps are inside of the map; rows of so many columns fit the stage.
            unsafe {
                match source.pixels(image, block) {
                    Some(pixels) => {
                        let lines = Lines {
                            rows: Some(rows),
                            count: rows.len(),
                            step: pixels.y,
                        };
                        for (at, q) in cols.clone().enumerate() {
                            let taps = (this.x.index(q), this.x.weight(q), pixels.x);
                            let to = (joined.offset(at as isize * width), joined_row);
                            pass::<S, R, V>(simd, rule, pixels.ptr, lines, taps, to);
                        }
                    }
                    None => {
                        let rows = low as usize..high as usize;
                        this.join_copied::<S, R, V>(
                            simd,
                            rule,
                            source,
                            (image, block),
                            (rows, &cols),
                            (joined, copied),
                        );
                    }
                }
                let lines = Lines {
                    rows: None,
                    count: cols.len(),
                    step: width,
                };
                for p in ps.clone() {
                    let taps = (this.y.index(p), this.y.weight(p), joined_row);
                    let src = joined
                        .cast_const()
                        .wrapping_offset(-(low as isize) * joined_row);
                    let bin = (p - bin_rows.start) * wide + cols.start - bin_cols.start;
                    let to = (dst.offset(bin as isize * step), step);
                    pass::<S, R, V>(simd, rule, src, lines, taps, to);
                }
            }
        }
    }

    /// Joins the columns of some rows from a copy of these rows, a few at a time.
    ///
    /// # Safety
    /// As [`combine`](Room::combine).
    #[inline(always)]
    unsafe fn join_copied<S: Simd, R: Rule, const V: usize>(
        &self,
        simd: S,
        rule: R,
        source: &Source<'_>,
        (image, block): (usize, &Block),
        (all, cols): (Range<usize>, &Range<usize>),
        (joined, copied): (*mut f32, *mut f32),
    ) {
        let (maps, limit) = (&source.maps, source.size[1]);
        let width = V * S::LANES;
        // A vector at least, where there is one.
        let run = (self.columns.len()).max(S::LANES).min(limit);
        let start = (self.columns.start as usize).min(limit - run);
        let together = (self.copied.len() / (run * width)).max(1);
        let joined_row = (cols.len() * width) as isize;
        for first in all.clone().step_by(together) {
            let rows = &self.rows[first..(first + together).min(all.end)];
            // SAFETY: rows of the map; the stage has room for a row at least.
            unsafe {
                for (j, &row) in rows.iter().enumerate() {
                    let src = maps.at(image, block.channel, row as usize, start);
                    to_lanes(
                        simd,
                        src,
                        maps.c,
                        maps.x,
                        run,
                        block,
                        copied.add(j * run * width),
                    );
                }
                let lines = Lines {
                    rows: None,
                    count: rows.len(),
                    step: (run * width) as isize,
                };
                let src = copied.cast_const().wrapping_sub(start * width);
                for (at, q) in cols.clone().enumerate() {
                    let taps = (self.x.index(q), self.x.weight(q), width as isize);
                    let to = joined
                        .offset((first - all.start) as isize * joined_row)
                        .add(at * width);
                    pass::<S, R, V>(simd, rule, src, lines, taps, (to, joined_row));
                }
            }
        }
    }
}

/// Which RoIs and blocks of channels a task has.
#[derive(Clone, Copy)]
pub(super) struct Tasks {
    rois: usize,
    blocks: usize,
    rois_each: usize,
    blocks_each: usize,
}

impl Tasks {
    /// The tasks of a call.
    pub(super) fn new(job: &Job<'_>) -> Tasks {
        let (rois, cut) = (job.regions.len(), &job.cut);
        let bins = job.bins[0].saturating_mul(job.bins[1]);
        let roi = bins.saturating_mul(cut.width()).max(1);
        let parts = (roi / TASK).clamp(1, cut.blocks.max(1));
        Tasks {
            rois,
            blocks: cut.blocks,
            rois_each: (TASK / roi).clamp(1, rois.max(1)),
            blocks_each: cut.blocks.div_ceil(parts).max(1),
        }
    }

    fn across(&self) -> usize {
        self.blocks.div_ceil(self.blocks_each)
    }

    pub(super) fn count(&self) -> usize {
        self.rois.div_ceil(self.rois_each) * self.across()
    }

    pub(super) fn rois(&self, task: usize) -> Range<usize> {
        let first = task / self.across() * self.rois_each;
        first..(first + self.rois_each).min(self.rois)
    }

    pub(super) fn blocks(&self, task: usize) -> Range<usize> {
        let first = task % self.across() * self.blocks_each;
        first..(first + self.blocks_each).min(self.blocks)
    }
}

/// The bins of a RoI in pieces of at most [`BINS`] that are neighbours in the output:
/// rows and columns of bins.
pub(super) fn pieces(
    [rows, cols]: [usize; 2],
) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let (high, wide) = (
        (BINS / cols.max(1)).clamp(1, rows.max(1)),
        cols.clamp(1, BINS),
    );
    (0..rows).step_by(high).flat_map(move |p| {
        (0..cols)
            .step_by(wide)
            .map(move |q| (p..(p + high).min(rows), q..(q + wide).min(cols)))
    })
}

/// A compact array of bins: (K, C, PH, PW) or (K, PH, PW, C).
#[derive(Clone, Copy)]
pub(super) struct Bins<T> {
    ptr: *mut T,
    roi: usize,
    channel: usize,
    bin: usize,
    cols: usize,
}

// SAFETY: an address and numbers; whoever reads or writes through it answers for that.
unsafe impl<T> Send for Bins<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Bins<T> {}

impl<T> Bins<T> {
    pub(super) fn new(
        ptr: *mut T,
        layout: Layout,
        channels: usize,
        [rows, cols]: [usize; 2],
    ) -> Self {
        let bins = rows * cols;
        let (channel, bin) = match layout {
            Layout::Nchw => (bins, 1),
            Layout::Nhwc => (1, channels),
        };
        Bins {
            ptr,
            roi: channels * bins,
            channel,
            bin,
            cols,
        }
    }

    /// Where bin (p, q) of RoI `k` is, and the steps from channel to channel and from bin to bin.
    #[inline(always)]
    pub(super) fn at(
        &self,
        k: usize,
        channel: usize,
        p: usize,
        q: usize,
    ) -> (*mut T, isize, isize) {
        let at = k * self.roi + channel * self.channel + (p * self.cols + q) * self.bin;
        (
            self.ptr.wrapping_add(at),
            self.channel as isize,
            self.bin as isize,
        )
    }

    /// Whether the channels of a block are whole vectors here.
    #[inline(always)]
    pub(super) fn direct(&self, block: &Block) -> bool {
        self.channel == 1 && block.whole()
    }
}
