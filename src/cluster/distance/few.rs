//! Scores of few candidates in many dimensions, from points where they lie.
//!
//! Laying points side by side costs as much as some twenty products a number, which few candidates do not
//! repay. Here the lanes are dimensions: two points and up to twelve candidates at a time, every number of a
//! point read once from memory, and a sum over the lanes at the end.

use super::panels::Rows;
use super::tile::MAX_POINTS;
use crate::error::Result;
use crate::runtime::{Context, Scratch};
use crate::simd::{MAX_LANES, Simd, Tier};
use std::ops::Range;

/// Points side by side.
const PAIR: usize = 2;
/// Floats of candidates at a time, a third of the first cache.
const FIRST_CACHE: usize = 2560;
/// The most candidates.
const MOST: usize = 24;
/// The fewest dimensions: with 128, sums over the lanes cost more than panels do.
const DEPTH: usize = 256;

/// Whether this is the way for so many candidates.
pub fn is_few(count: usize, depth: usize) -> bool {
    count <= MOST && depth >= DEPTH
}

/// The most candidates at a time: their sums with two points, these and their squares fit the registers.
const fn most(tier: Tier) -> usize {
    match tier {
        Tier::Portable => 4,
        Tier::Avx2 => 5,
        Tier::Neon | Tier::Avx512 => 12,
    }
}

/// Few candidates, in groups of `width`; in a group, for each [`MAX_LANES`] dimensions, those of one candidate after
/// the other. What is beyond the last dimension or candidate is zero.
pub struct Few<'c> {
    values: Scratch<'c, f32>,
    /// `-|c|² / 2` of each candidate.
    pub bias: Scratch<'c, f32>,
    shift: Scratch<'c, f32>,
    width: usize,
    depth: usize,
}

/// What is found of up to [`MAX_POINTS`] points.
pub struct Scores {
    /// By candidate.
    pub scores: [[f32; MAX_POINTS]; MOST],
    /// Sums of squares; zeros where there is no point.
    pub squares: [f32; MAX_POINTS],
}

impl<'c> Few<'c> {
    /// Room for `count` candidates of `depth`.
    pub fn empty(ctx: &'c Context, count: usize, depth: usize) -> Result<Few<'c>> {
        assert!((1..=MOST).contains(&count));
        let groups = count.div_ceil(most(ctx.isa().tier()));
        let width = match count.div_ceil(groups) {
            7 => 8,
            9 => 10,
            11 => 12,
            width => width,
        };
        let padded = depth.next_multiple_of(MAX_LANES);
        Ok(Few {
            values: ctx.scratch(count.next_multiple_of(width) * padded)?,
            bias: ctx.scratch(count)?,
            shift: ctx.scratch(padded)?,
            width,
            depth,
        })
    }

    /// Takes as many rows as there is room for, less `shift`.
    pub fn fill(&mut self, rows: Rows<'_>, shift: &[f32]) {
        assert!(rows.len() == self.bias.len() && rows.depth() == self.depth);
        self.values.fill(0.0);
        self.shift.fill(0.0);
        self.shift[..self.depth].copy_from_slice(shift);
        let group = self.width * self.shift.len();
        for (at, bias) in self.bias.iter_mut().enumerate() {
            let values = &mut self.values[at / self.width * group..][..group];
            let to = values.chunks_exact_mut(MAX_LANES);
            let to = to.skip(at % self.width).step_by(self.width);
            let from = rows.row(at).chunks(MAX_LANES);
            let mut square = 0.0;
            for ((to, from), shift) in to.zip(from).zip(shift.chunks(MAX_LANES)) {
                for ((to, &value), &shift) in to.iter_mut().zip(from).zip(shift) {
                    *to = value - shift;
                    square += f64::from(*to) * f64::from(*to);
                }
            }
            *bias = (-0.5 * square) as f32;
        }
    }

    /// Floats of scratch that [`scores`](Few::scores) takes.
    pub fn room(&self) -> usize {
        MAX_POINTS / PAIR * self.groups() * (self.width + 1) * PAIR * MAX_LANES
    }

    fn groups(&self) -> usize {
        self.values.len() / (self.width * self.shift.len())
    }

    /// How many numbers of a sum are added one after the other, at most: those of a lane, of which every tier has
    /// four or more, and the lanes.
    pub fn chain(&self) -> usize {
        self.depth / 4 + MAX_LANES
    }

    /// `x · c - |c|² / 2` of the listed points (at most [`MAX_POINTS`]) with every candidate, both less the shift.
    /// `partial` is [`room`](Few::room) for sums.
    ///
    /// So many dimensions at a time for all of them that what the candidates have of these stays in the
    /// first cache, where all dimensions of ten candidates would not.
    #[inline(always)]
    pub fn scores<S: Simd>(
        &self,
        simd: S,
        rows: Rows<'_>,
        list: &[usize],
        partial: &mut [f32],
    ) -> Scores {
        assert!(list.len() <= MAX_POINTS && rows.depth() == self.depth);
        assert!(partial.len() >= self.room());
        let mut out = Scores {
            scores: [[0.0; MAX_POINTS]; MOST],
            squares: [0.0; MAX_POINTS],
        };
        // Parts of about the same length.
        let numbers = self.groups() * self.width * self.depth;
        let parts = numbers.div_ceil(FIRST_CACHE).min(self.depth / DEPTH * 4);
        let chunk = self.depth.div_ceil(parts).next_multiple_of(MAX_LANES);
        for start in (0..self.depth).step_by(chunk) {
            let part = start..self.depth.min(start + chunk);
            for first in (0..list.len()).step_by(PAIR) {
                let points = PAIR.min(list.len() - first);
                let mut pair = [std::ptr::null(); PAIR];
                let mut ahead = [std::ptr::null(); PAIR];
                for j in 0..PAIR {
                    let row = rows.row(list[first + j.min(points - 1)]).as_ptr();
                    pair[j] = row;
                    // What comes next of this row, or the beginning of the one that has its place in the
                    // next list, as a rule.
                    ahead[j] = match part.end < self.depth {
                        true => row.wrapping_add(part.end),
                        false => {
                            let next = list[list.len() - 1] + 1 + first + j;
                            rows.row(next.min(rows.len() - 1)).as_ptr()
                        }
                    };
                }
                macro_rules! with_width {
                    ($($width:literal),*) => {
                        match self.width {
                            $($width if $width <= const { most(S::TIER) } => {
                                self.pair::<S, $width>(
                                    simd, part.clone(), pair, ahead, partial, first, points, &mut out,
                                )
                            })*
                            _ => unreachable!("no group of this tier is so wide"),
                        }
                    };
                }
                with_width!(1, 2, 3, 4, 5, 6, 8, 10, 12);
            }
        }
        out
    }

    /// Two points with all candidates in the dimensions `part`; after the last part the scores are complete. The second
    /// may be the first again: `points` says how many count.
    #[inline(always)]
    fn pair<S: Simd, const W: usize>(
        &self,
        simd: S,
        part: Range<usize>,
        pair: [*const f32; PAIR],
        ahead: [*const f32; PAIR],
        partial: &mut [f32],
        first: usize,
        points: usize,
        out: &mut Scores,
    ) {
        let group = W * self.shift.len();
        assert!(self.values.len().is_multiple_of(group) && part.end <= self.depth);
        let size = (W + 1) * PAIR * S::LANES;
        let partial = &mut partial[first / PAIR * self.groups() * size..];
        let parts = partial.chunks_exact_mut(size);
        for (g, (values, part_sums)) in self.values.chunks_exact(group).zip(parts).enumerate() {
            let kept = part_sums.as_mut_ptr();
            let (part, last) = (part.clone(), part.end == self.depth);
            // SAFETY: points of `depth` numbers, a shift and a group of as many, padded; `part` is inside of these and
            // begins at whole lines; there is room for the sums.
            let (sums, squares) = unsafe {
                match g {
                    0 => self.sums::<S, W, true>(simd, part, pair, ahead, values.as_ptr(), kept),
                    _ => self.sums::<S, W, false>(simd, part, pair, ahead, values.as_ptr(), kept),
                }
            };
            if !last {
                continue;
            }
            let biases = self.bias[g * W..].iter();
            let scores = out.scores[g * W..].iter_mut();
            for ((to, bias), sums) in scores.zip(biases).zip(&sums) {
                for j in 0..points {
                    to[first + j] = bias + simd.reduce_add(sums[j]);
                }
            }
            if g == 0 {
                for (to, &sum) in out.squares[first..].iter_mut().zip(&squares[..points]) {
                    *to = simd.reduce_add(sum);
                }
            }
        }
    }

    /// Products of two points with a group in the dimensions `part`, lanes apart, and squares of the points if `SQUARES`,
    /// added to what `kept` has of the parts before, and kept there unless it is the last part.
    ///
    /// # Safety
    /// Points of `depth` numbers; `values` are a group of the candidates; `part` is inside of `depth`, begins at a multiple of
    /// `MAX_LANES`, and ends at one or at `depth`; `kept` has room for W + 1 sums of a pair.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    unsafe fn sums<S: Simd, const W: usize, const SQUARES: bool>(
        &self,
        simd: S,
        part: Range<usize>,
        pair: [*const f32; PAIR],
        ahead: [*const f32; PAIR],
        values: *const f32,
        kept: *mut f32,
    ) -> ([[S::F32; PAIR]; W], [S::F32; PAIR]) {
        let mut sums = [[simd.zero(); PAIR]; W];
        let mut squares = [simd.zero(); PAIR];
        if part.start > 0 {
            // SAFETY: the sums of a pair, as the part before has left them.
            unsafe {
                for j in 0..PAIR {
                    for r in 0..W {
                        sums[r][j] = simd.load_ptr(kept.add((r * PAIR + j) * S::LANES));
                    }
                    if SQUARES {
                        squares[j] = simd.load_ptr(kept.add((W * PAIR + j) * S::LANES));
                    }
                }
            }
        }
        let shift = self.shift.as_ptr();
        let mut values = values.wrapping_add(part.start * W);
        macro_rules! step {
            ($at:expr, $lane:expr, $load:ident $(, $left:expr)?) => {
                let at: usize = $at + $lane;
                let mut x = [simd.zero(); PAIR];
                let origin = simd.load_ptr(shift.add(at));
                for j in 0..PAIR {
                    x[j] = simd.sub(simd.$load(pair[j].add(at) $(, $left - $lane)?), origin);
                    if SQUARES {
                        squares[j] = simd.fma(x[j], x[j], squares[j]);
                    }
                }
                for r in 0..W {
                    let c = simd.load_ptr(values.add(r * MAX_LANES + $lane));
                    for j in 0..PAIR {
                        sums[r][j] = simd.fma(c, x[j], sums[r][j]);
                    }
                }
            };
        }
        let whole = part.start + (part.end - part.start) / MAX_LANES * MAX_LANES;
        // SAFETY: whole vectors of both points, then one of what is left, which reads zeros
        // beyond; shift and values are padded.
        unsafe {
            for at in (part.start..whole).step_by(MAX_LANES) {
                if SQUARES {
                    for j in 0..PAIR {
                        simd.prefetch_l2(ahead[j].wrapping_add(at - part.start));
                    }
                }
                for lane in (0..MAX_LANES).step_by(S::LANES) {
                    step!(at, lane, load_ptr);
                }
                values = values.add(W * MAX_LANES);
            }
            for lane in (0..part.end - whole).step_by(S::LANES) {
                step!(whole, lane, load_partial_ptr, part.end - whole);
            }
            if part.end < self.depth {
                for j in 0..PAIR {
                    for r in 0..W {
                        simd.store_ptr(kept.add((r * PAIR + j) * S::LANES), sums[r][j]);
                    }
                    if SQUARES {
                        simd.store_ptr(kept.add((W * PAIR + j) * S::LANES), squares[j]);
                    }
                }
            }
        }
        (sums, squares)
    }
}
