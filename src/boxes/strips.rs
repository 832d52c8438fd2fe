//! Suppression of one set of boxes by several threads, exactly.
//!
//! Greedy suppression decides one box after the other, but a decision depends
//! on nothing beyond the boxes nearby. So the plane is cut into strips, and each
//! strip decides its own boxes, in order of rank. Two regular boxes of which one
//! suppresses the other intersect even when both are shrunk (as the [grid](super::grid) has it),
//! so boxes whose shrunk rectangles lie in different strips have nothing to do
//! with each other. What remains are the boxes on a border.
//!
//! A strip cannot decide a box on its border: it may only say that one of its own
//! kept boxes suppresses it. Otherwise the box is *open*, and so is every box
//! that no kept one suppresses but an open one might. All others are decided for good.
//! The open boxes, some per cent, are then decided together, by the usual
//! search among themselves: what the kept ones of the strips do to them is known.
//!
//! Every strip sorts for itself, and the kept boxes of all strips, which are in
//! order, are merged at the end. The strips depend on the boxes alone.

use super::greedy::{Candidates, LIST_TO, List, lanes, suppress};
use super::grid::{Cells, Grid, Layout, shrunk};
use super::nms::{Job, note, outcome};
use super::order::{pair, sort_pairs};
use super::rule::{Judged, Overlap, Probe, round_down};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};
use crate::tensor::{Element, ViewMut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

/// Fewer boxes are not worth it: the strips of 8400 dense boxes take half as much time again, added
/// up, as one thread without strips, those of 30000 and more take the same.
const SPLIT_FROM: usize = 1 << 14;
/// Boxes of a strip.
const PER_STRIP: usize = 2048;
/// Strips fit four bits, and no two of them the mark of a box that is left out.
const MOST_STRIPS: usize = 15;
/// Boxes looked at to place the borders.
const SAMPLES: usize = 512;
/// Boxes of a task that assigns them to strips.
const CHUNK: usize = 4096;
/// In place of strips: the score is too low.
const LEFT_OUT: u8 = 0xFF;

/// A strip keeps the box.
const KEPT: u8 = 1;
/// A strip cannot decide about the box.
const OPEN: u8 = 2;
/// A strip has a kept box that suppresses the box.
const SUPPRESSED: u8 = 4;

/// How the boxes are cut into strips.
pub(super) struct Strips<'a> {
    ctx: &'a Context,
    job: &'a Job<'a>,
    axis: usize,
    count: usize,
    /// Where the strips meet, ascending; `count - 1` of them.
    borders: [f32; MOST_STRIPS],
}

impl<'a> Strips<'a> {
    /// Strips of about equally many boxes, or `None` where they would not help.
    pub(super) fn new(ctx: &'a Context, job: &'a Job<'a>) -> Option<Strips<'a>> {
        let len = job.boxes.len();
        if ctx.num_threads() == 1 || len < SPLIT_FROM || job.rule.is_negative() {
            return None;
        }
        let mut best = None;
        for axis in 0..2 {
            let mut strips = Strips {
                ctx,
                job,
                axis,
                count: (len / PER_STRIP).clamp(2, MOST_STRIPS),
                borders: [0.0; MOST_STRIPS],
            };
            let crossing = strips.place();
            if best.as_ref().is_none_or(|&(least, _)| crossing < least) {
                best = Some((crossing, strips));
            }
        }
        // Of boxes that cross a border much is decided twice.
        best.filter(|&(crossing, _)| crossing < 0.2)
            .map(|(_, strips)| strips)
    }

    /// Places the borders by a sample; returns the share of it that crosses one.
    fn place(&mut self) -> f32 {
        let (boxes, rule) = (self.job.boxes, self.job.rule);
        let mut sample = [(0f32, 0f32); SAMPLES];
        let mut seen = 0;
        for index in (0..boxes.len()).step_by(boxes.len().div_ceil(SAMPLES)) {
            if let Some(judged) = rule.judge(boxes, index as u32)
                && judged.is_regular()
            {
                sample[seen] = shrunk(rule, &judged, self.axis);
                seen += 1;
            }
        }
        if seen < SAMPLES / 4 {
            return 1.0;
        }
        let sample = &mut sample[..seen];
        sample.sort_unstable_by(|a, b| (a.0 + a.1).total_cmp(&(b.0 + b.1)));
        for border in 1..self.count {
            let (from, to) = sample[border * seen / self.count];
            self.borders[border - 1] = 0.5 * (from + to);
        }
        let crossing = |&&(from, to): &&(f32, f32)| self.strip(from) != self.strip(to);
        // Those whose centres are the borders themselves do not count.
        let crossing = sample.iter().filter(crossing).count();
        crossing.saturating_sub(self.count - 1) as f32 / seen as f32
    }

    /// The strip of a coordinate, which ascends with it.
    #[inline(always)]
    fn strip(&self, at: f32) -> u8 {
        let below = self.borders[..self.count - 1].iter();
        below.map(|&border| u8::from(border <= at)).sum()
    }

    /// The first and the last strip of a box, four bits each.
    #[inline(always)]
    fn strips(&self, index: usize) -> u8 {
        let all = (self.count as u8 - 1) << 4;
        match self.job.rule.judge(self.job.boxes, index as u32) {
            None => 0,
            Some(judged) if judged.is_regular() => {
                let (from, to) = shrunk(self.job.rule, &judged, self.axis);
                self.strip(from) | self.strip(to) << 4
            }
            Some(_) => all,
        }
    }

    /// Writes the indices that are kept, best first; returns how many.
    pub(super) fn suppress(&self, kept: &mut [u32]) -> Result<usize> {
        let (ctx, scores) = (self.ctx, self.job.scores);
        let len = scores.len();
        let floor = self.job.params.score_threshold.map(round_down);
        let mut strips = ctx.scratch::<u8>(len)?;
        let mut states = ctx.scratch::<u8>(len)?;
        let mut pairs = ctx.scratch::<u64>(2 * len)?;
        {
            let (mut strips, mut states) = (writer(&mut strips)?, writer(&mut states)?);
            let (strips, states) = (strips.writer(), states.writer());
            ctx.parallel_for(len.div_ceil(CHUNK), |task| {
                let first = task * CHUNK;
                let count = CHUNK.min(len - first);
                // SAFETY: inside of both arrays, and tasks are disjoint.
                let (strips, states) = unsafe {
                    (
                        strips.slice(first as isize, count),
                        states.slice(first as isize, count),
                    )
                };
                states.fill(0);
                for (i, strip) in strips.iter_mut().enumerate() {
                    let passes = floor.is_none_or(|floor| scores[first + i] > floor);
                    *strip = match passes {
                        true => self.strips(first + i),
                        false => LEFT_OUT,
                    };
                }
            })?;
        }
        // A strip's kept boxes go where its own ones have room.
        let mut starts = [0usize; MOST_STRIPS + 2];
        for &strip in strips.iter().filter(|&&s| s & 15 == s >> 4) {
            starts[usize::from(strip & 15).min(self.count) + 1] += 1;
        }
        for strip in 0..=self.count {
            starts[strip + 1] += starts[strip];
        }
        let mut found = [0u32; MOST_STRIPS + 1];
        let (sorted, other) = pairs.split_at_mut(len);
        let failure = Mutex::new(None);
        {
            let (mut sorted, mut found) = (writer(sorted)?, writer(&mut found)?);
            let (sorted, found) = (sorted.writer(), found.writer());
            let states = shared(&mut states);
            ctx.parallel_for(self.count, |strip| {
                let room = starts[strip + 1] - starts[strip];
                // SAFETY: the strip's own parts.
                let (out, found) = unsafe {
                    (
                        sorted.slice(starts[strip] as isize, room),
                        found.slice(strip as isize, 1),
                    )
                };
                match self.decide(strip, &strips, states, out) {
                    Ok(count) => found[0] = count as u32,
                    Err(error) => note(&failure, error),
                }
            })?;
        }
        outcome(failure)?;
        // What is open, by rank.
        let mut open = 0;
        for (index, &state) in states.iter().enumerate() {
            other[open] = pair(scores, index as u32);
            open += usize::from(state & (OPEN | SUPPRESSED) == OPEN);
        }
        let mut ranks = ctx.scratch::<u32>(2 * open)?;
        let (ranks, closed) = ranks.split_at_mut(open);
        let mut ordered = ctx.scratch::<u64>(open)?;
        sort_pairs(&mut other[..open], &mut ordered);
        for (rank, pair) in ranks.iter_mut().zip(&ordered[..]) {
            *rank = *pair as u32;
        }
        let candidates = Candidates {
            boxes: self.job.boxes,
            ranks,
            rule: self.job.rule,
            limit: usize::MAX,
        };
        let closed_count = suppress(ctx, &candidates, closed)?;
        // Strips one after the other, without gaps, and what was open behind them.
        let mut bounds = [0usize; MOST_STRIPS + 2];
        for strip in 0..self.count {
            let count = found[strip] as usize;
            let at = bounds[strip];
            sorted.copy_within(starts[strip]..starts[strip] + count, at);
            bounds[strip + 1] = at + count;
        }
        let at = bounds[self.count];
        for (to, &index) in sorted[at..].iter_mut().zip(&closed[..closed_count]) {
            *to = pair(scores, index);
        }
        bounds[self.count + 1] = at + closed_count;
        let merged = merge(sorted, other, &mut bounds[..self.count + 2]);
        for (to, &pair) in kept.iter_mut().zip(merged) {
            *to = pair as u32;
        }
        Ok(at + closed_count)
    }

    /// Decides the boxes of a strip: sets their states, and writes those that it keeps, by rank.
    fn decide(
        &self,
        strip: usize,
        strips: &[u8],
        states: &[AtomicU8],
        out: &mut [u64],
    ) -> Result<usize> {
        let (ctx, rule) = (self.ctx, self.job.rule);
        let mine = |strips: u8| {
            let (first, last) = (usize::from(strips & 15), usize::from(strips >> 4));
            strips != LEFT_OUT && first <= strip && strip <= last
        };
        let count = strips.iter().filter(|&&strips| mine(strips)).count();
        let mut pairs = ctx.scratch::<u64>(count + 1)?;
        let mut at = 0;
        for (index, &strips) in strips.iter().enumerate() {
            if mine(strips) {
                pairs[at] = pair(self.job.scores, index as u32);
                at += 1;
            }
        }
        let mut sorted = ctx.scratch::<u64>(count)?;
        sort_pairs(&mut pairs[..count], &mut sorted);
        let mut ranks = ctx.scratch::<u32>(count)?;
        for (rank, pair) in ranks.iter_mut().zip(&sorted[..]) {
            *rank = *pair as u32;
        }
        let isa = ctx.isa();
        let lanes = dispatch!(isa, simd => lanes(simd));
        let candidates = Candidates {
            boxes: self.job.boxes,
            ranks: &ranks,
            rule,
            limit: usize::MAX,
        };
        let layout = Layout::new(&candidates);
        let mut kept = Finder::new(ctx, &layout, count, lanes)?;
        let mut open = Finder::new(ctx, &layout, count, lanes)?;
        let border = |at: usize, none: f32| match at < self.count - 1 {
            true => self.borders[at],
            false => none,
        };
        let work = Work {
            sorted: &sorted,
            strips,
            states,
            axis: self.axis,
            low: border(strip.wrapping_sub(1), f32::NEG_INFINITY),
            high: border(strip, f32::INFINITY),
        };
        Ok(match rule.overlap {
            Overlap::Union => dispatch!(isa, simd => {
                work.run::<_, false>(simd, &candidates, &mut kept, &mut open, out)
            }),
            Overlap::Min => dispatch!(isa, simd => {
                work.run::<_, true>(simd, &candidates, &mut kept, &mut open, out)
            }),
        })
    }
}

/// Boxes that are searched as a list while they are few, and by place when they are many.
struct Finder<'c> {
    list: List<'c>,
    grid: Grid<'c>,
}

impl<'c> Finder<'c> {
    fn new(ctx: &'c Context, layout: &Layout, room: usize, lanes: usize) -> Result<Finder<'c>> {
        Ok(Finder {
            list: List::new(ctx, room, lanes)?,
            grid: Grid::new(ctx, layout, room, lanes)?,
        })
    }

    #[inline(always)]
    fn suppresses<S: Simd, const MIN: bool>(
        &self,
        simd: S,
        probe: &Probe<S>,
        cells: &Cells,
    ) -> bool {
        match self.list.len() >= LIST_TO && self.grid.covers(cells, self.list.len() / S::LANES) {
            true => self.grid.suppresses::<S, MIN>(simd, probe, cells),
            false => self.list.suppresses::<S, MIN>(simd, probe),
        }
    }

    #[inline(always)]
    fn push<S: Simd>(&mut self, simd: S, judged: &Judged, cells: &Cells) {
        self.list.push(simd, judged);
        self.grid.insert(simd, judged, cells);
    }
}

/// What a strip reads.
struct Work<'a> {
    /// The pairs of the candidates.
    sorted: &'a [u64],
    strips: &'a [u8],
    states: &'a [AtomicU8],
    axis: usize,
    low: f32,
    high: f32,
}

impl Work<'_> {
    #[inline(always)]
    fn run<S: Simd, const MIN: bool>(
        &self,
        simd: S,
        all: &Candidates<'_>,
        kept: &mut Finder<'_>,
        open: &mut Finder<'_>,
        out: &mut [u64],
    ) -> usize {
        // How far into the strip the open boxes of either side reach.
        let (mut from_low, mut from_high) = (f32::NEG_INFINITY, f32::INFINITY);
        let mut count = 0;
        for (rank, &index) in all.ranks.iter().enumerate() {
            let state = &self.states[index as usize];
            let strips = self.strips[index as usize];
            let Some(judged) = all.rule.judge(all.boxes, index) else {
                out[count] = self.sorted[rank];
                count += 1;
                continue;
            };
            let probe = Probe::new(simd, all.rule, &judged);
            let cells = kept.grid.cells(all.rule, &judged);
            if kept.suppresses::<S, MIN>(simd, &probe, &cells) {
                state.fetch_or(SUPPRESSED, Ordering::Relaxed);
                continue;
            }
            let (from, to) = shrunk(all.rule, &judged, self.axis);
            let alone = strips & 15 == strips >> 4;
            // An irregular box has no place, and is never alone.
            let far = from > from_low && to < from_high;
            if alone && (far || !open.suppresses::<S, MIN>(simd, &probe, &cells)) {
                state.store(KEPT, Ordering::Relaxed);
                out[count] = self.sorted[rank];
                count += 1;
                kept.push(simd, &judged, &cells);
                continue;
            }
            state.fetch_or(OPEN, Ordering::Relaxed);
            open.push(simd, &judged, &cells);
            if !judged.is_regular() {
                (from_low, from_high) = (f32::INFINITY, f32::NEG_INFINITY);
            } else if from - self.low < self.high - to {
                from_low = from_low.max(to);
            } else {
                from_high = from_high.min(from);
            }
        }
        count
    }
}

fn writer<T: Element>(memory: &mut [T]) -> Result<ViewMut<'_, T>> {
    let len = memory.len();
    ViewMut::new(memory, &[len])
}

/// The bytes as atomics, which several strips may set bits of.
fn shared(bytes: &mut [u8]) -> &[AtomicU8] {
    let len = bytes.len();
    // SAFETY: an atomic byte has the layout of a byte, and the bytes are borrowed for as long.
    unsafe { std::slice::from_raw_parts(bytes.as_mut_ptr().cast::<AtomicU8>(), len) }
}

/// Merges the ascending runs of `a` between `bounds`, by way of `b`; returns all in order.
fn merge<'m>(mut a: &'m mut [u64], mut b: &'m mut [u64], bounds: &mut [usize]) -> &'m [u64] {
    let mut runs = bounds.len() - 1;
    let len = bounds[runs];
    while runs > 1 {
        for pair in 0..runs.div_ceil(2) {
            let bound = |run: usize| bounds[run.min(runs)];
            let (start, middle, end) = (bound(2 * pair), bound(2 * pair + 1), bound(2 * pair + 2));
            merge_two(&a[start..middle], &a[middle..end], &mut b[start..end]);
        }
        for run in 0..=runs.div_ceil(2) {
            bounds[run] = bounds[(2 * run).min(runs)];
        }
        runs = runs.div_ceil(2);
        std::mem::swap(&mut a, &mut b);
    }
    &a[..len]
}

/// Without a branch on what is compared, which no predictor could foresee.
fn merge_two(a: &[u64], b: &[u64], out: &mut [u64]) {
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        let (x, y) = (a[i], b[j]);
        let first = x < y;
        out[i + j] = if first { x } else { y };
        i += usize::from(first);
        j += usize::from(!first);
    }
    let at = i + j;
    let rest = if i < a.len() { &a[i..] } else { &b[j..] };
    out[at..].copy_from_slice(rest);
}
