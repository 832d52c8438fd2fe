//! `linear_assignment`: as many pairs of a row and a column as possible, each row and each column in
//! one pair at most, at the least total cost.
//!
//! The solver wants no more rows than columns and its rows as runs of memory. A matrix that is so, or
//! whose transpose is, is used where it stands; only other strides cost a copy. Everything else it
//! takes is as long as a row or a column: a matrix of 1 x 1000000 is no square of a million.

mod scan;
mod solve;

pub use scan::Cost;

use crate::error::{Result, bail, ensure};
use crate::runtime::Context;
use crate::simd::dispatch;
use crate::tensor::{View, ViewMut, expect_rank, expect_shape, forbid_overlap};
use solve::{Matrix, Outcome, Solver};

/// Assigns the rows of `cost` (N, M) to columns, or columns to rows where these are fewer: of all
/// ways to choose `min(N, M)` entries, no two in one row or column, one with the least sum, or the
/// largest to `maximize`. The pairs go to `rows` and `cols` (`min(N, M)`), by ascending row. Returns the
/// sum, added up in f64 in that order.
///
/// Plus infinity forbids a pair (minus infinity to maximise); the error is `InvalidArgument` when no
/// assignment does without, and for NaN and the other infinity. Which of several optimal
/// assignments comes out is not specified, and always the same.
///
/// All arithmetic is in f64. Where costs are whole numbers (below 2^50) the sum is the least there
/// is. Otherwise it may exceed that by the rounding of about N numbers of the size of the costs that
/// are chosen. Prohibitive costs (1e20 where others are 1) do not spoil the others' digits
/// as long as the assignment can do without them.
///
/// One thread works on it: each path depends on the one before.
pub fn linear_assignment<T: Cost>(
    ctx: &Context,
    maximize: bool,
    cost: View<'_, T>,
    rows: ViewMut<'_, i64>,
    cols: ViewMut<'_, i64>,
) -> Result<f64> {
    let op = "linear_assignment";
    expect_rank(op, "cost", &cost, 2)?;
    let (height, width) = (cost.dim(0), cost.dim(1));
    let pairs = height.min(width);
    ensure!(
        height.max(width) < i32::MAX as usize,
        Unsupported,
        "{op}: cost is {height} x {width}, the most is {} either way",
        i32::MAX - 1
    );
    expect_shape(op, "rows", &rows, &[pairs])?;
    expect_shape(op, "cols", &cols, &[pairs])?;
    forbid_overlap(op, "rows", &rows, "cost", &cost)?;
    forbid_overlap(op, "cols", &cols, "cost", &cost)?;
    forbid_overlap(op, "cols", &cols, "rows", &rows.as_view())?;
    if pairs == 0 {
        return Ok(0.0);
    }
    // The view with no more rows than columns; either will do when they are equally many.
    let turned = height > width || (height == width && cost.stride(1) != 1 && cost.stride(0) == 1);
    let upright = if turned { cost.permute(&[1, 0]) } else { cost };
    let copy;
    let runs = match upright.stride(1) == 1 {
        true => upright,
        false => {
            copy = upright.contiguous(ctx)?;
            View::new(&copy, upright.shape())?
        }
    };
    let mut solver = Solver::new(ctx, Matrix::new(&runs), maximize)?;
    match dispatch!(ctx.isa(), simd => solver.solve(simd)) {
        Outcome::Assigned => {}
        Outcome::Infeasible => bail!(
            InvalidArgument,
            "{op}: cost is infeasible: every assignment has a forbidden pair"
        ),
        Outcome::Invalid(i) => {
            let wrong = if maximize {
                f64::INFINITY
            } else {
                f64::NEG_INFINITY
            };
            let bad = |&j: &usize| {
                let c = upright.get(&[i, j]).wide();
                c.is_nan() || c == wrong
            };
            let j = (0..upright.dim(1)).find(bad).unwrap_or(0);
            let (row, col) = if turned { (j, i) } else { (i, j) };
            bail!(
                InvalidArgument,
                "{op}: cost[{row}, {col}] is {}{}",
                cost.get(&[row, col]).wide(),
                if maximize {
                    ", to maximise a pair is forbidden by -inf"
                } else {
                    ""
                }
            )
        }
    }
    let (mut rows, mut cols, mut total) = (rows, cols, 0.0);
    let mut pair = |at: usize, row: usize, col: usize| {
        rows.set(&[at], row as i64);
        cols.set(&[at], col as i64);
        total += cost.get(&[row, col]).wide();
    };
    match turned {
        false => {
            for (i, &j) in solver.column_of.iter().enumerate() {
                pair(i, i, j as usize);
            }
        }
        true => {
            let assigned = solver
                .row_of
                .iter()
                .enumerate()
                .filter(|(_, i)| **i != solve::NONE);
            for (at, (j, &i)) in assigned.enumerate() {
                pair(at, j, i as usize);
            }
        }
    }
    Ok(total)
}
