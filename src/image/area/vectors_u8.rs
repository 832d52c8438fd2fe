//! Area means of bytes, one to four channels, in vectors.
//!
//! A vector of sums has `LANES / 4` blocks of four lanes; a block is one pixel of three or four
//! channels, two of two, four of one. What a block needs of a source row comes as sixteen
//! bytes: a run of some pixels for each of its own. A byte shuffle spreads tap `t` of all lanes to 32 bits, and a
//! conversion, a multiplication and an addition later it is part of the sum.
//! Cells that are longer than a run take several runs.
//!
//! The order of additions in a cell is along x, then down, and cannot be changed without
//! changing bits; but pixels are independent. So a block is summed over *all rows of its cell* before the next
//! one is looked at: offsets, weights and sums stay in registers, and no row of
//! sums is stored and loaded again. The last row of a cell is often the first of the next: its sums along x
//! are kept for it.
//!
//! A plan, made once per call, holds offsets and weights. All blocks have the same number of taps; those that a
//! cell does not have weigh zero, which changes nothing, bytes being finite. Near the end of the row a run starts
//! early enough to end with the row, and shuffles of its own make up for that.
//!
//! Four vectors become one of bytes by two packs in place; blocks are dealt to the vectors so that this is their order in
//! the row: vector `m` of a group of four has as its block `b` the block `4 b + m` of the group.

use super::super::pixels::{Lent, Rows, Size};
use super::super::rows::{Producer, Sink};
use super::Grid;
use super::descent::{Kernel, Part, descend, sum_rows};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Narrow, Tier};
use std::ops::Range;

/// Bytes of a block of a source row.
const BLOCK: usize = 16;
/// The widest vector in bytes.
const WIDEST: usize = 64;

/// How the cells of a row are cut to taps.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    channels: usize,
    /// Pixels in a block.
    parts: usize,
    /// Taps in a run.
    taps: usize,
    /// Runs in a cell.
    runs: usize,
}

impl Shape {
    fn of(src: Size, dst: Size, grid: &Grid) -> Option<Shape> {
        let channels = src.channels;
        let parts = match channels {
            1 => 4,
            2 => 2,
            3 | 4 => 1,
            _ => return None,
        };
        let longest = grid.across.longest(dst.width);
        // A run costs about as much as a tap less; sixteen bytes have five taps of three channels.
        let most = if channels == 3 { 5 } else { 4 };
        let cost = |taps: &usize| longest.div_ceil(*taps) * (taps + 1);
        let taps = match longest {
            ..=2 if parts == 1 => 2,
            ..=3 => 3,
            _ => (4..=most).min_by_key(cost)?,
        };
        let shape = Shape {
            channels,
            parts,
            taps,
            runs: longest.div_ceil(taps),
        };
        // Runs and taps must fit the source, and offsets 32 bits (which `Size` makes sure of).
        let fits = shape.reach() <= src.row() && shape.runs * taps <= src.width;
        fits.then_some(shape)
    }

    /// Bytes from one run of a cell to the next.
    fn step(&self) -> usize {
        self.taps * self.channels
    }

    /// Bytes from the first to the last that is read for a cell.
    fn reach(&self) -> usize {
        (self.runs - 1) * self.step() + BLOCK / self.parts
    }
}

/// The means of one image at one size, ready to make rows.
pub(super) struct AreaU8<'a> {
    src: Rows<'a, u8>,
    /// Samples in a destination row.
    row: usize,
    grid: Grid,
    shape: Shape,
    /// Of a vector of the tier.
    lanes: usize,
    /// Groups of four vectors in a row.
    groups: usize,
    /// Where runs start: `parts` a block.
    offsets: Lent<'a, u32>,
    /// For every vector, run and tap a vector.
    weights: Lent<'a, f32>,
    /// For every tap a vector; then the same for each vector from `careful` on.
    shuffles: Lent<'a, u8>,
    careful: usize,
    /// Brings the pixels of a block of bytes together.
    compress: [u8; WIDEST],
}

impl<'a> AreaU8<'a> {
    /// Plans the means of `src` at size `dst`; `None` when the sizes do not suit vectors.
    pub(super) fn plan(
        ctx: &'a Context,
        src: Rows<'a, u8>,
        dst: Size,
        grid: Grid,
    ) -> Result<Option<AreaU8<'a>>> {
        let Some(shape) = Shape::of(src.size, dst, &grid) else {
            return Ok(None);
        };
        let Shape {
            parts, taps, runs, ..
        } = shape;
        let lanes = match ctx.isa().tier() {
            Tier::Portable | Tier::Neon => 4,
            Tier::Avx2 => 8,
            Tier::Avx512 => 16,
        };
        let blocks = lanes / 4;
        let groups = dst.width.div_ceil(4 * blocks * parts);
        // The first pixel whose runs would end after the row, and its group's first vector.
        let last = src.size.row() - shape.reach();
        let is_careful = |x: &usize| {
            let cell = grid.across.at(*x);
            cell.first * shape.channels > last || cell.first + runs * taps > src.size.width
        };
        let easy = (0..dst.width).rev().take_while(is_careful).count();
        let careful = (dst.width - easy) / (4 * blocks * parts) * 4;
        let mut plan = AreaU8 {
            src,
            row: dst.row(),
            grid,
            shape,
            lanes,
            groups,
            offsets: ctx.scratch(4 * groups * blocks * parts)?,
            weights: ctx.scratch(4 * groups * runs * taps * lanes)?,
            shuffles: ctx.scratch((1 + 4 * groups - careful) * taps * 4 * lanes)?,
            careful,
            compress: [0x80; WIDEST],
        };
        for (i, at) in plan.compress.iter_mut().enumerate() {
            let i = i % BLOCK;
            match shape.channels {
                3 if i < 12 => *at = (i / 3 * 4 + i % 3) as u8,
                3 => {}
                _ => *at = i as u8,
            }
        }
        plan.shuffles.fill(0x80);
        for block in 0..blocks {
            for part in 0..parts {
                plan.plan_shuffles(0, block * BLOCK, lanes, part, 0);
            }
        }
        for vector in 0..4 * groups {
            for block in 0..blocks {
                let place = vector / 4 * 4 * blocks + 4 * block + vector % 4;
                for part in 0..parts {
                    let x = place * parts + part;
                    plan.plan_pixel(vector, block, lanes, part, (x < dst.width).then_some(x));
                }
            }
        }
        Ok(Some(plan))
    }

    /// Writes offset, weights and (where they differ) shuffles of a pixel; of none, for places after the last.
    fn plan_pixel(
        &mut self,
        vector: usize,
        block: usize,
        lanes: usize,
        part: usize,
        x: Option<usize>,
    ) {
        let Shape {
            channels,
            parts,
            taps,
            runs,
        } = self.shape;
        let cell = x.map(|x| self.grid.across.at(x));
        let first = cell.map_or(0, |cell| cell.first);
        let start = first.min(self.src.size.width - runs * taps);
        let offset = (start * channels).min(self.src.size.row() - self.shape.reach());
        self.offsets[(vector * (lanes / 4) + block) * parts + part] = offset as u32;
        let missing = first - start;
        let width = 4 / parts;
        for tap in 0..runs * taps {
            let weight = match cell {
                Some(cell) if (missing..missing + cell.count).contains(&tap) => {
                    cell.weight(tap - missing)
                }
                _ => 0.0,
            };
            let at = (vector * runs * taps + tap) * lanes + 4 * block + part * width;
            self.weights[at..at + width].fill(weight);
        }
        if vector >= self.careful {
            let set = 1 + vector - self.careful;
            self.plan_shuffles(set, block * BLOCK, lanes, part, start * channels - offset);
        }
    }

    /// Writes the shuffles of a pixel whose run starts `early` bytes before its first tap.
    fn plan_shuffles(&mut self, set: usize, block: usize, lanes: usize, part: usize, early: usize) {
        let Shape {
            channels,
            parts,
            taps,
            ..
        } = self.shape;
        for tap in 0..taps {
            let shuffle = &mut self.shuffles[(set * taps + tap) * 4 * lanes + block..][..BLOCK];
            for channel in 0..channels {
                let lane = part * (4 / parts) + channel;
                let byte = part * (BLOCK / parts) + early + tap * channels + channel;
                shuffle[4 * lane] = byte as u8;
            }
        }
    }
}

/// The kernel for blocks of so many pixels, runs of so many taps, and cells of `ONE` run or more.
struct Cut<'a, const PARTS: usize, const TAPS: usize, const ONE: bool>(&'a AreaU8<'a>);

impl<const PARTS: usize, const TAPS: usize, const ONE: bool> Kernel<u8>
    for Cut<'_, PARTS, TAPS, ONE>
{
    fn sums(&self) -> usize {
        4 * self.0.groups * self.0.lanes
    }
    fn row(&self) -> usize {
        self.0.row
    }
    #[inline(always)]
    unsafe fn part<S: Narrow>(
        &self,
        simd: S,
        part: Part<u8>,
        kept: *mut f32,
        sums: *mut f32,
        out: &mut [u8],
    ) {
        let plan = self.0;
        let runs = if ONE { 1 } else { plan.shape.runs };
        let step = plan.shape.step();
        let bytes = 4 * S::LANES;
        let factor = simd.splat(plan.grid.factor);
        let (groups, careful, channels) = (plan.groups, plan.careful, plan.shape.channels);
        // Locals, because for all the compiler knows the sums are written over the plan.
        let (offsets, weights) = (plan.offsets.as_ptr(), plan.weights.as_ptr());
        let shuffles = plan.shuffles.as_ptr();
        // SAFETY: the plan has offsets, weights and shuffles for all vectors, and its runs lie inside
        // of a row. The rest is the caller's promise.
        unsafe {
            let compress = simd.load_bytes_ptr(plan.compress.as_ptr());
            for group in 0..groups {
                let mut words = [simd.splat_i32(0); 4];
                for (m, words) in words.iter_mut().enumerate() {
                    let vector = 4 * group + m;
                    let held = vector * S::LANES;
                    let offsets = offsets.add(vector * S::BLOCKS * PARTS);
                    let weights = weights.add(held * runs * TAPS);
                    // (The first vector of a group is careful when all are.)
                    let set = if 4 * group < careful {
                        0
                    } else {
                        1 + vector - careful
                    };
                    let shuffles = shuffles.add(set * TAPS * bytes);
                    let sum = sum_rows(
                        simd,
                        &part,
                        kept,
                        sums,
                        held,
                        #[inline(always)]
                        |from: *const u8| {
                            let mut sum = simd.zero();
                            for run in 0..runs {
                                let from = from.add(run * step);
                                let block = simd.load_blocks_ptr::<PARTS>(from, offsets);
                                for tap in 0..TAPS {
                                    let shuffle = simd.load_bytes_ptr(shuffles.add(tap * bytes));
                                    let samples = simd.shuffle_bytes(block, shuffle);
                                    let samples = simd.to_f32(simd.bytes_as_i32(samples));
                                    let at = (run * TAPS + tap) * S::LANES;
                                    let product = simd.mul(samples, simd.load_ptr(weights.add(at)));
                                    sum = match (run, tap) {
                                        (0, 0) => product,
                                        _ => simd.add(sum, product),
                                    };
                                }
                            }
                            sum
                        },
                    );
                    *words = simd.round_to_i32(simd.mul(sum, factor));
                }
                if part.last {
                    let low = simd.pack_i32(words[0], words[1]);
                    let high = simd.pack_i32(words[2], words[3]);
                    let v = simd.pack_i16(low, high);
                    store(simd, v, compress, channels, group, out);
                }
            }
        }
    }
}

/// Writes a group of pixels, as far as the row goes.
///
/// # Safety
/// `out` is a row in which the group begins.
#[inline(always)]
pub(in crate::image) unsafe fn store<S: Narrow>(
    simd: S,
    v: S::U8,
    compress: S::U8,
    channels: usize,
    group: usize,
    out: &mut [u8],
) {
    let bytes = 4 * S::LANES;
    // SAFETY: full stores only where there is room.
    unsafe {
        if channels != 3 {
            let to = out.as_mut_ptr().add(group * bytes);
            match out.len() - group * bytes {
                left if left < bytes => simd.store_bytes_partial_ptr(to, left, v),
                _ => simd.store_bytes_ptr(to, v),
            }
            return;
        }
        let v = simd.shuffle_bytes(v, compress);
        let at = group * 12 * S::BLOCKS;
        let to = out.as_mut_ptr().add(at);
        match out.len() - at {
            left if left < 12 * S::BLOCKS => {
                let mut bytes = [0u8; WIDEST];
                simd.store_twelves_ptr(bytes.as_mut_ptr(), v);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, left);
            }
            _ => simd.store_twelves_ptr(to, v),
        }
    }
}

impl AreaU8<'_> {
    /// As [`Producer::band`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn cut<
        S: Narrow,
        K: Sink<u8>,
        const PARTS: usize,
        const TAPS: usize,
        const ONE: bool,
    >(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
        sink: &K,
    ) {
        let kernel = Cut::<PARTS, TAPS, ONE>(self);
        // SAFETY: the caller's promise.
        unsafe {
            descend(
                simd,
                &kernel,
                self.src,
                &self.grid.down,
                rows,
                scratch,
                sink,
            )
        }
    }
}

impl Producer<u8> for AreaU8<'_> {
    fn scratch(&self) -> usize {
        Cut::<1, 4, true>(self).scratch()
    }
    fn longest_run(&self) -> usize {
        self.row
    }
    #[inline(always)]
    unsafe fn band<S: Narrow, K: Sink<u8>>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
        sink: &K,
    ) {
        let Shape {
            parts, taps, runs, ..
        } = self.shape;
        // SAFETY: the caller's promise.
        unsafe {
            match (parts, taps, runs) {
                (1, 2, _) => self.cut::<S, K, 1, 2, true>(simd, rows, scratch, sink),
                (1, 3, _) => self.cut::<S, K, 1, 3, true>(simd, rows, scratch, sink),
                (1, 5, 1) => self.cut::<S, K, 1, 5, true>(simd, rows, scratch, sink),
                (1, 5, _) => self.cut::<S, K, 1, 5, false>(simd, rows, scratch, sink),
                (1, _, 1) => self.cut::<S, K, 1, 4, true>(simd, rows, scratch, sink),
                (1, _, _) => self.cut::<S, K, 1, 4, false>(simd, rows, scratch, sink),
                (2, 3, _) => self.cut::<S, K, 2, 3, true>(simd, rows, scratch, sink),
                (2, _, _) => self.cut::<S, K, 2, 4, false>(simd, rows, scratch, sink),
                (_, 3, _) => self.cut::<S, K, 4, 3, true>(simd, rows, scratch, sink),
                (_, _, 1) => self.cut::<S, K, 4, 4, true>(simd, rows, scratch, sink),
                (_, _, _) => self.cut::<S, K, 4, 4, false>(simd, rows, scratch, sink),
            }
        }
    }
}
