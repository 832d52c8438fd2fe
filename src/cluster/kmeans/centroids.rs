//! Centroids, and how far their scores can be trusted.

use crate::cluster::distance::exact;
use crate::cluster::distance::few::{Few, is_few};
use crate::cluster::distance::panels::{Bias, Candidates, Rows};
use crate::error::{Result, ensure};
use crate::runtime::{Context, Scratch};
use crate::simd::{Double, Portable};

/// Up to so many dimensions differences are taken directly: `(8 + 2)` roundings are below 1e-6.
pub const DIRECT: usize = 8;
/// The most that a sum of squares may be, so that the square of no distance overflows.
pub const LIMIT: f32 = 8e37;

/// Centroids in the order in which they are read.
pub enum Packed<'c> {
    /// For panels of points.
    Panels(Candidates<'c>),
    /// For points where they lie.
    Few(Few<'c>),
}

/// The centroids as a pass takes them.
pub struct Centroids<'c> {
    /// One row after the other.
    pub values: Scratch<'c, f32>,
    pub k: usize,
    pub depth: usize,
    pub packed: Packed<'c>,
    pub shift: Scratch<'c, f32>,
    /// A call is close when the scores differ by `margin.0 * |x| + margin.1` at most.
    pub margin: (f32, f32),
    /// What rounding may do to a sum of squares, relative to it, twice.
    pub each: f32,
    /// A squared distance of that many margins does not suffer from the cancellation of `|x|² - 2 score`.
    pub apart: f32,
}

impl<'c> Centroids<'c> {
    /// Room for `k` of `depth`; `values` are to be written, then [`prepare`](Centroids::prepare) is called.
    pub fn empty(ctx: &'c Context, k: usize, depth: usize) -> Result<Centroids<'c>> {
        let packed = match is_few(k, depth) {
            true => Packed::Few(Few::empty(ctx, k, depth)?),
            false => Packed::Panels(Candidates::empty(ctx, ctx.isa().tier(), k, depth)?),
        };
        Ok(Centroids {
            values: ctx.scratch(k * depth)?,
            k,
            depth,
            packed,
            shift: ctx.scratch(depth)?,
            margin: (0.0, 0.0),
            each: 0.0,
            apart: 0.0,
        })
    }

    /// Checks that every element is finite and small enough to be squared.
    pub fn check(&self, op: &str, name: &str) -> Result<()> {
        for i in 0..self.k {
            let row = self.row(i);
            let fine = exact::dot(Portable::new(), row, row) <= f64::from(LIMIT);
            ensure!(
                fine,
                InvalidArgument,
                "{op}: {name} has NaN, infinity or a value too large to be squared in row {i}"
            );
        }
        Ok(())
    }

    /// Packs `values`.
    pub fn prepare(&mut self) {
        let (k, depth) = (self.k, self.depth);
        let rows = Rows::compact(&self.values, depth);
        if depth <= DIRECT {
            if let Packed::Panels(packed) = &mut self.packed {
                packed.fill(rows, None, None, Bias::None);
            }
            return;
        }
        for (p, shift) in self.shift.iter_mut().enumerate() {
            let sum: f64 = (0..k).map(|i| f64::from(self.values[i * depth + p])).sum();
            *shift = (sum / k as f64) as f32;
        }
        let bias = match &mut self.packed {
            Packed::Panels(packed) => {
                packed.fill(rows, Some(&self.shift), None, Bias::HalfSquare);
                packed.block().bias
            }
            Packed::Few(few) => {
                few.fill(rows, &self.shift);
                &few.bias
            }
        };
        // Both scores may be off by `growth` roundings of the sum of the magnitudes of their terms, which
        // is at most |x| |c| + |c|² / 2. That many in a row only when all go one way: the
        // square root covers six standard deviations.
        let square = -2.0
            * bias
                .iter()
                .filter(|b| b.is_finite())
                .fold(0.0f32, |a, &b| a.min(b));
        let growth = (depth as f32).min(6.0 * (depth as f32).sqrt() + 8.0) + 4.0;
        let each = 2.0 * growth * (f32::EPSILON / 2.0);
        self.margin = (each * square.sqrt(), each * square);
        self.each = each;
        // What rounding does to a score, as a rule `sqrt(depth) / 4` roundings of that sum, is then
        // below 3e-6 of the distance.
        self.apart = (depth as f32).sqrt() / 64.0 / each;
    }

    pub fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.depth..][..self.depth]
    }

    /// The label of a row by distances in f64.
    #[inline(always)]
    pub fn exactly<S: Double>(&self, simd: S, row: &[f32]) -> u32 {
        let mut best = (f64::INFINITY, 0);
        for i in 0..self.k {
            let distance = exact::squared(simd, row, self.row(i));
            if distance < best.0 {
                best = (distance, i as u32);
            }
        }
        best.1
    }
}
