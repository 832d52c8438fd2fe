//! Mahalanobis distance is Euclidean distance after whitening.
//!
//! With the covariance `L Lᵀ` (Cholesky), `(x - c)ᵀ Σ⁻¹ (x - c)` is `|L⁻¹ (x - c)|²`. The factor and its
//! inverse are made in f64, rows are multiplied in f64 after a shift towards
//! the origin, and what is left for every pair is the Euclidean kernel.

use super::panels::Rows;
use crate::error::{Result, ensure};
use crate::runtime::{Context, Scratch};
use crate::simd::dispatch;
use crate::tensor::{View, ViewMut, expect_shape};

/// `L⁻¹` of a covariance: rows, of which the first `i + 1` elements of row `i` are not zero.
pub struct Whitening<'c> {
    inverse: Scratch<'c, f64>,
    depth: usize,
}

/// Rows of a task.
const ROWS: usize = 64;

impl<'c> Whitening<'c> {
    /// Of a symmetric, positive definite covariance (depth, depth).
    pub fn new(
        ctx: &'c Context,
        op: &str,
        covariance: &View<'_, f32>,
        depth: usize,
    ) -> Result<Whitening<'c>> {
        expect_shape(op, "covariance", covariance, &[depth, depth])?;
        let at = |i: usize, j: usize| f64::from(covariance.get(&[i, j]));
        for i in 0..depth {
            for j in 0..i {
                let (a, b) = (at(i, j), at(j, i));
                let even = (a - b).abs() <= 1e-5 * (at(i, i) * at(j, j)).abs().sqrt();
                ensure!(
                    even,
                    InvalidArgument,
                    "{op}: covariance is not symmetric: {a} at ({i}, {j}), {b} at ({j}, {i})"
                );
            }
        }
        let mut factor = ctx.scratch::<f64>(depth * depth)?;
        for i in 0..depth {
            for j in 0..=i {
                let done: f64 = (0..j)
                    .map(|p| factor[i * depth + p] * factor[j * depth + p])
                    .sum();
                let rest = at(i, j) - done;
                factor[i * depth + j] = if i > j {
                    rest / factor[j * depth + j]
                } else {
                    // What rounding to f32 may have left of a singular matrix counts as nothing.
                    ensure!(
                        rest.is_finite() && rest > 1e-7 * at(i, i),
                        InvalidArgument,
                        "{op}: covariance is not positive definite (row {i} depends on those before it)"
                    );
                    rest.sqrt()
                };
            }
        }
        // Column by column of the inverse, forward substitution.
        let mut inverse = ctx.scratch::<f64>(depth * depth)?;
        inverse.fill(0.0);
        for column in 0..depth {
            for i in column..depth {
                let done: f64 = (column..i)
                    .map(|p| factor[i * depth + p] * inverse[p * depth + column])
                    .sum();
                let one = f64::from(u8::from(i == column));
                inverse[i * depth + column] = (one - done) / factor[i * depth + i];
            }
        }
        Ok(Whitening { inverse, depth })
    }

    /// `L⁻¹ (x - shift)` of every row, one after the other.
    pub fn apply<'s>(
        &self,
        ctx: &'s Context,
        rows: Rows<'_>,
        shift: &[f32],
    ) -> Result<Scratch<'s, f32>> {
        let depth = self.depth;
        assert!(rows.depth() == depth && shift.len() == depth);
        let mut out = ctx.scratch::<f32>(rows.len() * depth)?;
        let size = out.len();
        {
            let mut view = ViewMut::new(&mut out, &[size])?;
            let writer = view.writer();
            let isa = ctx.isa();
            let tasks = rows.len().div_ceil(ROWS);
            ctx.parallel_for_scratch(tasks, depth, |task, centred: &mut [f64]| {
                for at in task * ROWS..rows.len().min((task + 1) * ROWS) {
                    // SAFETY: inside of the output, and rows are disjoint.
                    let to = unsafe { writer.slice((at * depth) as isize, depth) };
                    dispatch!(isa, _simd => self.row(rows.row(at), shift, centred, to));
                }
            })?;
        }
        Ok(out)
    }

    #[inline(always)]
    fn row(&self, row: &[f32], shift: &[f32], centred: &mut [f64], to: &mut [f32]) {
        for ((c, &x), &s) in centred.iter_mut().zip(row).zip(shift) {
            *c = f64::from(x) - f64::from(s);
        }
        for (i, (to, line)) in to
            .iter_mut()
            .zip(self.inverse.chunks_exact(self.depth))
            .enumerate()
        {
            let (line, centred) = (&line[..=i], &centred[..=i]);
            let (a, b) = (line.as_chunks::<8>(), centred.as_chunks::<8>());
            let mut sums = [0.0f64; 8];
            for (a, b) in a.0.iter().zip(b.0) {
                for q in 0..8 {
                    sums[q] += a[q] * b[q];
                }
            }
            let rest: f64 = a.1.iter().zip(b.1).map(|(a, b)| a * b).sum();
            *to = (sums.iter().sum::<f64>() + rest) as f32;
        }
    }
}
