//! What is added up a cluster, by task and in all.

use super::pass::task_rows;
use crate::error::{Result, bail};
use crate::runtime::{Context, Scratch};
use crate::tensor::ViewMut;

/// What is added up a cluster: by task, and then over the tasks.
///
/// For each cluster `depth` sums of coordinates, the sum of weights, and the number of points
/// whose weight is not zero (which, unlike sums of weights, comes back to 0 exactly).
pub struct Sums<'c> {
    pub total: Scratch<'c, f64>,
    pub parts: Scratch<'c, f64>,
    /// Numbers of a cluster.
    pub stride: usize,
    k: usize,
}

impl<'c> Sums<'c> {
    pub fn new(ctx: &'c Context, n: usize, k: usize, depth: usize) -> Result<Sums<'c>> {
        let stride = depth + 2;
        let tasks = n.div_ceil(task_rows(n, k));
        let (Some(len), Some(parts)) = (
            k.checked_mul(stride),
            k.checked_mul(stride).and_then(|l| l.checked_mul(tasks)),
        ) else {
            bail!(
                OutOfMemory,
                "sums of {k} clusters overflow the address space"
            );
        };
        let mut total = ctx.scratch(len)?;
        total.fill(0.0);
        Ok(Sums {
            total,
            parts: ctx.scratch(parts)?,
            stride,
            k,
        })
    }

    /// The sums of a cluster, its weight and the number of its points.
    pub fn of(&self, cluster: usize) -> (&[f64], f64, f64) {
        let of = &self.total[cluster * self.stride..][..self.stride];
        let depth = self.stride - 2;
        (&of[..depth], of[depth], of[depth + 1])
    }

    /// Takes a point of that weight from one cluster (if there is one) to another.
    pub fn transfer(&mut self, row: &[f32], weight: f32, from: Option<usize>, to: usize) {
        let stride = self.stride;
        if let Some(from) = from {
            add(
                &mut self.total[from * stride..][..stride],
                row,
                weight,
                -1.0,
            );
        }
        add(&mut self.total[to * stride..][..stride], row, weight, 1.0);
    }

    /// Adds the parts to the total, which begins at 0 unless they are differences.
    pub fn merge(&mut self, ctx: &Context, tasks: usize, differences: bool) -> Result<()> {
        let (len, stride, k) = (self.k * self.stride, self.stride, self.k);
        let parts = &self.parts;
        let mut total = ViewMut::new(&mut self.total, &[len])?;
        let total = total.writer();
        let together = (4096 / stride).clamp(1, k);
        ctx.parallel_for(k.div_ceil(together), |task| {
            let start = task * together * stride;
            let size = (together * stride).min(len - start);
            // SAFETY: inside of the total, and tasks are disjoint.
            let to = unsafe { total.slice(start as isize, size) };
            if !differences {
                to.fill(0.0);
            }
            for part in parts.chunks_exact(len).take(tasks) {
                for (to, &x) in to.iter_mut().zip(&part[start..start + size]) {
                    *to += x;
                }
            }
        })
    }
}

/// Adds a point, `sign` times, to the numbers of a cluster.
#[inline(always)]
pub fn add(of: &mut [f64], row: &[f32], weight: f32, sign: f64) {
    if weight == 0.0 {
        return;
    }
    let weight = f64::from(weight) * sign;
    let (sums, rest) = of.split_at_mut(row.len());
    for (sum, &x) in sums.iter_mut().zip(row) {
        *sum += weight * f64::from(x);
    }
    rest[0] += weight;
    rest[1] += sign;
}
