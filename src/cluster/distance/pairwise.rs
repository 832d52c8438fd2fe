//! `pairwise_distance`: every distance between two sets of points.
//!
//! The result is what costs here, so nothing is saved by the expanded square, which cancels:
//! differences are taken directly, and every distance is as exact as a sum of squares is. (A core
//! with adders beside its multipliers subtracts for nothing.) The columns of the output are the
//! lanes, so a tile is stored as it is.

use super::mahalanobis::Whitening;
use super::panels::{Bias, Matrix, Rows, block_len, pack_candidates, pack_points};
use super::tile::{ABSOLUTE, DOT, Reduce, SQUARED, VECTORS, points, scan, width};
use crate::error::{Result, bail, ensure};
use crate::runtime::{Context, Scratch};
use crate::simd::{Double, Simd, dispatch};
use crate::tensor::{View, ViewMut, Writer, expect_rank, expect_shape, forbid_overlap};
use std::ops::Range;

/// How far two points are from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Metric {
    /// `sqrt(Σ (a - b)²)`.
    #[default]
    Euclidean,
    /// `Σ (a - b)²`.
    SquaredEuclidean,
    /// `1 - a · b / (|a| |b|)`, in 0..=2; a row of zeros has distance 1 from everything.
    Cosine,
    /// `a · b`: not a distance, the larger the nearer.
    InnerProduct,
    /// `Σ |a - b|`.
    Manhattan,
    /// `sqrt((a - b)ᵀ C⁻¹ (a - b))` with a covariance C.
    Mahalanobis,
}

impl Metric {
    /// Checks that there is a covariance if, and only if, the metric takes one.
    pub(in crate::cluster) fn expect_covariance<T>(
        self,
        op: &str,
        covariance: Option<T>,
    ) -> Result<Option<T>> {
        match (self, covariance) {
            (Metric::Mahalanobis, None) => {
                bail!(
                    InvalidArgument,
                    "{op}: the Mahalanobis metric needs a covariance"
                )
            }
            (Metric::Mahalanobis, covariance) => Ok(covariance),
            (_, None) => Ok(None),
            (_, Some(_)) => bail!(
                InvalidArgument,
                "{op}: covariance is given, but only the Mahalanobis metric takes one"
            ),
        }
    }
}

/// `1 / |row|` of each in f64, rounded; 1 for a row of zeros.
pub(in crate::cluster) fn inverse_norms<'c>(
    ctx: &'c Context,
    rows: Rows<'_>,
) -> Result<Scratch<'c, f32>> {
    let mut out = ctx.scratch(rows.len())?;
    let isa = ctx.isa();
    dispatch!(isa, simd => norms(simd, rows, &mut out));
    Ok(out)
}

#[inline(always)]
fn norms<S: Double>(simd: S, rows: Rows<'_>, out: &mut [f32]) {
    for (at, out) in out.iter_mut().enumerate() {
        let square = super::exact::dot(simd, rows.row(at), rows.row(at));
        *out = match square == 0.0 {
            true => 1.0,
            false => (1.0 / square.sqrt()) as f32,
        };
    }
}

/// Rows of a task: packed once by it.
const ROWS: usize = 96;
/// Columns of a task.
const COLUMNS: usize = 2048;

/// The distance of every row of `a` (N, D) from every row of `b` (M, D), to `output` (N, M).
///
/// `covariance` (D, D), symmetric and positive definite, is for [`Metric::Mahalanobis`] alone.
/// A NaN in a row gives NaN. `output` may not overlap the inputs.
pub fn pairwise_distance(
    ctx: &Context,
    metric: Metric,
    a: View<'_, f32>,
    b: View<'_, f32>,
    covariance: Option<View<'_, f32>>,
    mut output: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "pairwise_distance";
    expect_rank(op, "a", &a, 2)?;
    expect_rank(op, "b", &b, 2)?;
    let (n, m, depth) = (a.dim(0), b.dim(0), a.dim(1));
    ensure!(
        b.dim(1) == depth,
        ShapeMismatch,
        "{op}: b has {} columns, a has {depth}",
        b.dim(1)
    );
    expect_shape(op, "output", &output, &[n, m])?;
    forbid_overlap(op, "output", &output, "a", &a)?;
    forbid_overlap(op, "output", &output, "b", &b)?;
    let covariance = metric.expect_covariance(op, covariance)?;
    if let Some(covariance) = &covariance {
        forbid_overlap(op, "output", &output, "covariance", covariance)?;
    }
    let whitening = covariance
        .map(|c| Whitening::new(ctx, op, &c, depth))
        .transpose()?;
    if n == 0 || m == 0 {
        return Ok(());
    }
    let (a, b) = (Matrix::new(ctx, a)?, Matrix::new(ctx, b)?);
    let (mut a, mut b) = (a.rows(), b.rows());
    let white;
    if let Some(whitening) = &whitening {
        let shift = a.row(0);
        white = (
            whitening.apply(ctx, a, shift)?,
            whitening.apply(ctx, b, shift)?,
        );
        // Without a dimension there is nothing to whiten, and rows cannot be told from memory.
        if depth > 0 {
            (a, b) = (
                Rows::compact(&white.0, depth),
                Rows::compact(&white.1, depth),
            );
        }
    }
    let (scale_a, scale_b) = match metric {
        Metric::Cosine => (Some(inverse_norms(ctx, a)?), Some(inverse_norms(ctx, b)?)),
        _ => (None, None),
    };
    let isa = ctx.isa();
    // Stored a vector at a time: columns must be neighbours.
    let mut copy = match output.stride(1) == 1 || m == 1 {
        true => None,
        false => Some(ctx.scratch::<f32>(n * m)?),
    };
    let width = width(isa.tier(), n.min(ROWS));
    let (values, biases) = block_len(n.min(ROWS), depth, width);
    let across = m.div_ceil(COLUMNS);
    let tasks = n.div_ceil(ROWS) * across;
    {
        let mut target = match &mut copy {
            Some(copy) => ViewMut::new(copy, &[n, m])?,
            None => output.reborrow(),
        };
        let job = Job {
            metric,
            a,
            b,
            scale_a: scale_a.as_deref(),
            scale_b: scale_b.as_deref(),
            width,
            lens: (values, biases),
            out: target.writer(),
        };
        let len = values + biases + super::tile::MAX_POINTS * depth;
        ctx.parallel_for_scratch(tasks, len, |task, scratch| {
            let (down, right) = (task / across, task % across);
            let rows = down * ROWS..n.min((down + 1) * ROWS);
            let columns = right * COLUMNS..m.min((right + 1) * COLUMNS);
            match metric {
                Metric::Cosine | Metric::InnerProduct => {
                    dispatch!(isa, simd => job.part::<_, DOT>(simd, rows, columns, scratch))
                }
                Metric::Manhattan => {
                    dispatch!(isa, simd => job.part::<_, ABSOLUTE>(simd, rows, columns, scratch))
                }
                _ => dispatch!(isa, simd => job.part::<_, SQUARED>(simd, rows, columns, scratch)),
            }
        })?;
    }
    if let Some(copy) = &copy {
        output.copy_from_slice(copy);
    }
    Ok(())
}

/// What the tasks share.
struct Job<'a> {
    metric: Metric,
    a: Rows<'a>,
    b: Rows<'a>,
    scale_a: Option<&'a [f32]>,
    scale_b: Option<&'a [f32]>,
    width: usize,
    lens: (usize, usize),
    out: Writer<'a, f32>,
}

impl Job<'_> {
    #[inline(always)]
    fn part<S: Simd, const KIND: u8>(
        &self,
        simd: S,
        rows: Range<usize>,
        columns: Range<usize>,
        scratch: &mut [f32],
    ) {
        let (values, rest) = scratch.split_at_mut(self.lens.0);
        let (bias, panel) = rest.split_at_mut(self.lens.1);
        let block = pack_candidates(
            self.a,
            rows.clone(),
            None,
            self.scale_a,
            Bias::None,
            self.width,
            values,
            bias,
        );
        let stride = self.out.stride(0);
        let last = rows.end;
        for first in columns.clone().step_by(points(S::LANES)) {
            let count = points(S::LANES).min(columns.end - first);
            pack_points(simd, self.b, first..first + count, None, panel);
            let mut factors = [simd.splat(1.0); VECTORS];
            if let Some(scale) = self.scale_b {
                for (v, factor) in factors.iter_mut().enumerate() {
                    let start = (first + v * S::LANES).min(first + count);
                    *factor = simd.load_partial(&scale[start..first + count]);
                }
            }
            let mut store = Store {
                metric: self.metric,
                factors,
                count,
                last,
                stride,
                base: self.out.ptr().wrapping_add(first),
            };
            scan::<S, KIND, _>(simd, panel, block, &mut store);
        }
    }
}

/// Makes distances of scores and stores them.
struct Store<S: Simd> {
    metric: Metric,
    factors: [S::F32; VECTORS],
    /// Columns that exist.
    count: usize,
    /// One past the last row.
    last: usize,
    stride: isize,
    /// The first column of row 0.
    base: *mut f32,
}

impl<S: Simd> Reduce<S> for Store<S> {
    #[inline(always)]
    fn tile<const MR: usize>(&mut self, simd: S, first: usize, scores: &[[S::F32; VECTORS]; MR]) {
        for (r, scores) in scores.iter().enumerate() {
            if first + r >= self.last {
                return;
            }
            let row = self
                .base
                .wrapping_offset((first + r) as isize * self.stride);
            for (v, &score) in scores.iter().enumerate() {
                let value = match self.metric {
                    Metric::InnerProduct => score,
                    // Not the sign flipped: equal rows are 0 apart and not -0.
                    Metric::SquaredEuclidean | Metric::Manhattan => simd.sub(simd.zero(), score),
                    Metric::Euclidean | Metric::Mahalanobis => {
                        simd.sqrt(simd.sub(simd.zero(), score))
                    }
                    Metric::Cosine => {
                        let one = simd.splat(1.0);
                        let cosine = simd.mul(score, self.factors[v]);
                        // A NaN stays: it is on the right.
                        let cosine = simd.max(simd.neg(one), simd.min(one, cosine));
                        simd.sub(one, cosine)
                    }
                };
                let left = self.count.saturating_sub(v * S::LANES);
                // SAFETY: the row is one of the output's, and columns beyond the last are left out.
                unsafe { simd.store_partial_ptr(row.wrapping_add(v * S::LANES), left, value) };
            }
        }
    }
}
