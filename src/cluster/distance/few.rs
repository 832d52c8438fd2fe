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

/// Points side by side.
const PAIR: usize = 2;
/// How many points further on memory is asked for.
const AHEAD: usize = 4;
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

    /// `x · c - |c|² / 2` of the listed points (at most [`MAX_POINTS`]) with every candidate, both less the shift.
    #[inline(always)]
    pub fn scores<S: Simd>(&self, simd: S, rows: Rows<'_>, list: &[usize]) -> Scores {
        assert!(list.len() <= MAX_POINTS && rows.depth() == self.depth);
        let mut out = Scores {
            scores: [[0.0; MAX_POINTS]; MOST],
            squares: [0.0; MAX_POINTS],
        };
        // Where the points of the next list are, as a rule.
        let beyond = |i: usize| list[list.len() - 1] + 1 + i - list.len();
        for first in (0..list.len()).step_by(PAIR) {
            let points = PAIR.min(list.len() - first);
            let mut pair = [std::ptr::null(); PAIR];
            let mut ahead = [std::ptr::null(); PAIR];
            for j in 0..PAIR {
                let i = first + AHEAD + j;
                pair[j] = rows.row(list[first + j.min(points - 1)]).as_ptr();
                let next = list.get(i).copied().unwrap_or_else(|| beyond(i));
                ahead[j] = rows.row(next.min(rows.len() - 1)).as_ptr();
            }
            macro_rules! with_width {
                ($($width:literal),*) => {
                    match self.width {
                        $($width if $width <= const { most(S::TIER) } => {
                            self.pair::<S, $width>(simd, pair, ahead, first, points, &mut out)
                        })*
                        _ => unreachable!("no group of this tier is so wide"),
                    }
                };
            }
            with_width!(1, 2, 3, 4, 5, 6, 8, 10, 12);
        }
        out
    }

    /// Two points with all candidates. The second may be the first again: `points` says how many count.
    #[inline(always)]
    fn pair<S: Simd, const W: usize>(
        &self,
        simd: S,
        pair: [*const f32; PAIR],
        ahead: [*const f32; PAIR],
        first: usize,
        points: usize,
        out: &mut Scores,
    ) {
        let group = W * self.shift.len();
        assert!(self.values.len().is_multiple_of(group));
        for (g, values) in self.values.chunks_exact(group).enumerate() {
            let (sums, squares) = match g {
                // SAFETY: points of `depth` numbers, a shift and a group of as many, padded.
                0 => unsafe { self.sums::<S, W, true>(simd, pair, ahead, values.as_ptr()) },
                // SAFETY: as above.
                _ => unsafe { self.sums::<S, W, false>(simd, pair, ahead, values.as_ptr()) },
            };
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

    /// Products of two points with a group, lanes apart, and squares of the points if `SQUARES`.
    ///
    /// # Safety
    /// Points of `depth` numbers; `values` are a group of the candidates.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    unsafe fn sums<S: Simd, const W: usize, const SQUARES: bool>(
        &self,
        simd: S,
        pair: [*const f32; PAIR],
        ahead: [*const f32; PAIR],
        mut values: *const f32,
    ) -> ([[S::F32; PAIR]; W], [S::F32; PAIR]) {
        let mut sums = [[simd.zero(); PAIR]; W];
        let mut squares = [simd.zero(); PAIR];
        let shift = self.shift.as_ptr();
        macro_rules! step {
            ($at:expr, $lane:expr, $load:ident $(, $left:expr)?) => {
                let at: usize = $at + $lane;
                let mut x = [simd.zero(); PAIR];
                let origin = simd.load_ptr(shift.add(at));
                for j in 0..PAIR {
                    x[j] = simd.sub(simd.$load(pair[j].add(at) $(, $left - $lane)?), origin);
                    if SQUARES {
                        simd.prefetch_l2(ahead[j].wrapping_add(at));
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
        let whole = self.depth / MAX_LANES * MAX_LANES;
        // SAFETY: whole vectors of both points, then one of what is left, which reads zeros
        // beyond; shift and values are padded.
        unsafe {
            for at in (0..whole).step_by(MAX_LANES) {
                for lane in (0..MAX_LANES).step_by(S::LANES) {
                    step!(at, lane, load_ptr);
                }
                values = values.add(W * MAX_LANES);
            }
            for lane in (0..self.depth - whole).step_by(S::LANES) {
                step!(whole, lane, load_partial_ptr, self.depth - whole);
            }
        }
        (sums, squares)
    }
}
