//! Jonker and Volgenant's way: a cheap start that assigns most rows, then a shortest augmenting path
//! for each row that is left.
//!
//! A column has a price; the reduced cost of a row in a column is `cost - price`. Throughout, an assigned
//! row stands in a column of its least reduced cost, which is what makes the final assignment
//! optimal. A column that nobody has keeps the price zero where there are more columns than rows.
//!
//! - *Column reduction* (square only): each price is the least cost of the column, whose row gets it
//!   unless it has one.
//! - *Augmenting row reduction*: a free row takes the column of its least reduced cost, whose price
//!   falls by as much as the second least is above it; the row that had it is free and next.
//! - *Augmentation*: Dijkstra over columns from a free row to the nearest free column. A step relaxes all
//!   columns by one row, in vectors: closed columns are kept out by a price of minus infinity instead of
//!   a list, so that the row is read in order. Which row a distance came by is not written down; the few columns of
//!   the final path find it again, because the same arithmetic gives the same bits.

use super::scan::{Cost, find, find_free, look, lower, lower_columns, reduce, relax};
use crate::error::Result;
use crate::runtime::{Context, Scratch};
use crate::simd::Double;
use crate::tensor::{Raw, View};
use std::marker::PhantomData;

/// A matrix with no more rows than columns, each row a run of memory.
pub(super) struct Matrix<'a, T> {
    raw: Raw<T>,
    memory: PhantomData<&'a [T]>,
}

impl<'a, T: Cost> Matrix<'a, T> {
    /// Of a view whose rows are runs, at least two by two in this respect.
    pub(super) fn new(view: &View<'a, T>) -> Matrix<'a, T> {
        assert!(view.rank() == 2 && view.dim(0) <= view.dim(1));
        assert!(view.stride(1) == 1 || view.dim(1) <= 1);
        Matrix {
            raw: **view,
            memory: PhantomData,
        }
    }
    #[inline(always)]
    fn rows(&self) -> usize {
        self.raw.dim(0)
    }
    #[inline(always)]
    fn cols(&self) -> usize {
        self.raw.dim(1)
    }
    #[inline(always)]
    fn row(&self, i: usize) -> &'a [T] {
        assert!(i < self.rows());
        let start = self
            .raw
            .ptr()
            .wrapping_offset(self.raw.stride(0) * i as isize);
        // SAFETY: a row of the view that the matrix was made from, which is a run.
        unsafe { std::slice::from_raw_parts(start, self.cols()) }
    }
}

/// What `solve` says of a matrix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// `Solver::column_of` is the assignment.
    Assigned,
    /// A NaN, or an infinity that does not mean "forbidden", in that row.
    Invalid(usize),
    /// Some row can only have columns that others need.
    Infeasible,
}

/// Nobody.
pub(super) const NONE: u32 = u32::MAX;

/// The row reduction takes that many steps a row; what is left is for Dijkstra.
const STEPS: usize = 4;

/// A price falls in one step at most by this many times the size of what a row must cost. Prices as large as
/// a prohibitive cost (1e20 where others are 1) would leave nothing of the others' digits.
const STEEPEST: f64 = 1024.0;

/// What is assigned, and what it takes to find that out: nothing larger than a row or a column.
pub(super) struct Solver<'a, 'c, T> {
    matrix: Matrix<'a, T>,
    /// 1, or -1 to maximise, and smaller where costs are near the end of the range.
    scale: f64,
    /// Of each row, its column.
    pub(super) column_of: Scratch<'c, u32>,
    /// Of each column, its row.
    pub(super) row_of: Scratch<'c, u32>,
    /// Rows without a column.
    free: Scratch<'c, u32>,
    price: Scratch<'c, f64>,
    distance: Scratch<'c, f64>,
    /// Zero for columns without a row, infinite for others.
    taken: Scratch<'c, f64>,
    /// Closed columns in order, the prices they had, and the height by which their rows were relaxed.
    closed: Scratch<'c, u32>,
    closed_price: Scratch<'c, f64>,
    closed_at: Scratch<'c, f64>,
    height: Scratch<'c, f64>,
}

impl<'a, 'c, T: Cost> Solver<'a, 'c, T> {
    pub(super) fn new(
        ctx: &'c Context,
        matrix: Matrix<'a, T>,
        maximize: bool,
    ) -> Result<Solver<'a, 'c, T>> {
        let (rows, cols) = (matrix.rows(), matrix.cols());
        Ok(Solver {
            matrix,
            scale: if maximize { -1.0 } else { 1.0 },
            column_of: ctx.scratch(rows)?,
            row_of: ctx.scratch(cols)?,
            free: ctx.scratch(rows)?,
            price: ctx.scratch(cols)?,
            distance: ctx.scratch(cols)?,
            taken: ctx.scratch(cols)?,
            closed: ctx.scratch(rows)?,
            closed_price: ctx.scratch(rows)?,
            closed_at: ctx.scratch(rows)?,
            height: ctx.scratch(rows)?,
        })
    }

    /// Assigns every row. Everything below is inlined into the shim of `dispatch!`.
    #[inline(always)]
    pub(super) fn solve<S: Double>(&mut self, simd: S) -> Outcome {
        let (rows, cols) = (self.matrix.rows(), self.matrix.cols());
        self.column_of.fill(NONE);
        self.row_of.fill(NONE);
        self.taken.fill(0.0);
        // What a row must cost at least, and whether sums could leave the range.
        let (mut must, mut size) = (0.0, 0.0);
        for i in 0..rows {
            let look = look(simd, self.matrix.row(i), self.scale);
            if !look.valid {
                return Outcome::Invalid(i);
            }
            if look.least == f64::INFINITY {
                return Outcome::Infeasible;
            }
            must = f64::max(must, look.least.abs());
            size = f64::max(size, look.size);
        }
        if size > f64::MAX / 1e40 {
            let shrink = (-200f64).exp2();
            self.scale *= shrink;
            must *= shrink;
        }
        let mut free = match rows == cols {
            true => match self.reduce_columns(simd, &mut must) {
                Some(free) => free,
                None => return Outcome::Infeasible,
            },
            false => {
                self.price.fill(0.0);
                for (i, free) in self.free.iter_mut().enumerate() {
                    *free = i as u32;
                }
                rows
            }
        };
        free = self.reduce_rows(simd, free, STEEPEST * must);
        for at in 0..free {
            if !self.augment(simd, self.free[at] as usize) {
                return Outcome::Infeasible;
            }
        }
        Outcome::Assigned
    }

    #[inline(always)]
    fn assign(&mut self, i: usize, j: usize) {
        self.column_of[i] = j as u32;
        self.row_of[j] = i as u32;
        self.taken[j] = f64::INFINITY;
    }

    /// Returns how many rows are free, `None` when a column that is needed is forbidden to all.
    #[inline(always)]
    fn reduce_columns<S: Double>(&mut self, simd: S, must: &mut f64) -> Option<usize> {
        let n = self.matrix.rows();
        self.price.fill(f64::INFINITY);
        let owner = &mut self.distance;
        for i in 0..n {
            lower_columns(
                simd,
                self.matrix.row(i),
                self.scale,
                i,
                &mut self.price,
                owner,
            );
        }
        // How many columns would have each row.
        self.free.fill(0);
        for j in (0..n).rev() {
            if self.price[j] == f64::INFINITY {
                return None;
            }
            *must = f64::max(*must, self.price[j].abs());
            let i = self.distance[j] as usize;
            self.free[i] += 1;
            if self.column_of[i] == NONE {
                self.assign(i, j);
            }
        }
        let mut free = 0;
        for i in 0..n {
            match self.free[i] {
                0 => {
                    self.free[free] = i as u32;
                    free += 1;
                }
                1 => self.transfer(simd, i, STEEPEST * *must),
                _ => {}
            }
        }
        Some(free)
    }

    /// Lowers the price of the column of a row by as much as the row's next best is above it, so
    /// that the column is no better for the row than that, and all the better for other rows.
    #[inline(always)]
    fn transfer<S: Double>(&mut self, simd: S, i: usize, steepest: f64) {
        let j = self.column_of[i] as usize;
        let kept = std::mem::replace(&mut self.price[j], f64::NEG_INFINITY);
        let row = self.matrix.row(i);
        let (next, _) = reduce(simd, row, self.scale, &self.price, &mut self.distance);
        let own = self.matrix.row(i)[j].wide() * self.scale - kept;
        let fall = lower(next - own, steepest);
        self.price[j] = if fall > 0.0 { kept - fall } else { kept };
    }

    /// One pass over the free rows; returns how many are free then.
    #[inline(always)]
    fn reduce_rows<S: Double>(&mut self, simd: S, free: usize, steepest: f64) -> usize {
        let n = self.matrix.rows();
        let (mut at, mut left, mut steps) = (0, 0, 0);
        while at < free {
            let i = self.free[at] as usize;
            at += 1;
            steps += 1;
            let row = self.matrix.row(i);
            let (first, second) = reduce(simd, row, self.scale, &self.price, &mut self.distance);
            let free_one = || find_free(simd, &self.distance, first, &self.taken);
            let any = || find(simd, &self.distance, first, 0);
            // Among columns that are as good, one that nobody has.
            let found = match first == second {
                true => free_one().or_else(any),
                false => any(),
            };
            let Some(j) = found else {
                self.free[left] = i as u32;
                left += 1;
                continue;
            };
            // Any fall up to the difference keeps the row's column the best one for it.
            let fallen = self.price[j] - lower(second - first, steepest);
            let falls = fallen < self.price[j] && steps <= STEPS * n;
            if falls {
                self.price[j] = fallen;
            }
            let before = self.row_of[j];
            if before != NONE && !falls {
                // Nothing would be gained.
                self.free[left] = i as u32;
                left += 1;
                continue;
            }
            self.assign(i, j);
            if before != NONE {
                self.column_of[before as usize] = NONE;
                at -= 1;
                self.free[at] = before;
            }
        }
        left
    }

    /// Gives row `start` a column by a shortest path to one that is free; false when there is none.
    #[inline(always)]
    fn augment<S: Double>(&mut self, simd: S, start: usize) -> bool {
        self.distance.fill(f64::INFINITY);
        let (mut i, mut height, mut count) = (start, 0.0, 0);
        let (end, level) = loop {
            self.height[count] = height;
            let row = self.matrix.row(i);
            let (all, free) = relax(
                simd,
                row,
                self.scale,
                height,
                &self.price,
                &self.taken,
                &mut self.distance,
            );
            if all == f64::INFINITY {
                // Prices as they were: the caller gives up.
                return false;
            }
            let found = match free == all {
                true => find_free(simd, &self.distance, all, &self.taken),
                false => find(simd, &self.distance, all, 0),
            };
            let Some(j) = found else {
                return false;
            };
            if free == all {
                break (j, all);
            }
            i = self.row_of[j] as usize;
            height = self.matrix.row(i)[j].wide() * self.scale - self.price[j] - all;
            self.closed[count] = j as u32;
            self.closed_price[count] = std::mem::replace(&mut self.price[j], f64::NEG_INFINITY);
            self.closed_at[count] = all;
            self.distance[j] = f64::INFINITY;
            count += 1;
        };
        // Back along the path: the row of step s is `start` or that of the column closed by step s - 1.
        let (mut j, mut price, mut distance, mut steps) = (end, self.price[end], level, count + 1);
        loop {
            let (mut step, mut i) = (0, start);
            while step + 1 < steps {
                let d = self.matrix.row(i)[j].wide() * self.scale - price - self.height[step];
                if d == distance {
                    break;
                }
                i = self.row_of[self.closed[step] as usize] as usize;
                step += 1;
            }
            self.assign(i, j);
            if step == 0 {
                break;
            }
            // That row gives up the column that was closed before it.
            j = self.closed[step - 1] as usize;
            price = self.closed_price[step - 1];
            distance = self.closed_at[step - 1];
            steps = step;
        }
        for at in 0..count {
            let j = self.closed[at] as usize;
            self.price[j] = self.closed_price[at] + (self.closed_at[at] - level);
        }
        true
    }
}
