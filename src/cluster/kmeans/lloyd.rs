//! `kmeans`: from the first centroids to the last.

use super::assign::{check, check_weights, store_labels, unlabelled};
use super::bounds::Bounds;
use super::centroids::Centroids;
use super::init;
use super::pass::{Found, Mode, Pass, task_rows};
use super::random::Random;
use super::sums::Sums;
use crate::cluster::distance::exact;
use crate::cluster::distance::panels::{Matrix, Rows};
use crate::error::{Result, bail, ensure};
use crate::runtime::{Context, Scratch};
use crate::simd::{Portable, dispatch};
use crate::tensor::{View, ViewMut, expect_rank, expect_shape, forbid_overlap};

/// Where centroids begin, when they are not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KmeansInit {
    /// k-means++, the best of several draws at each step.
    #[default]
    PlusPlus,
    /// Rows at random.
    Random,
}

/// How to cluster. The defaults are those of scikit-learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KmeansParams {
    /// Where centroids begin, when they are not given.
    pub init: KmeansInit,
    /// The most iterations of a run, at least 1.
    pub max_iterations: usize,
    /// A run ends when the squared distances by which the centroids moved sum up to no more than that times the
    /// mean variance of the columns. 0: when no label changes.
    pub tolerance: f64,
    /// Runs from different starts, of which the one with the least inertia counts; at least 1.
    pub n_init: usize,
    /// Of the random numbers.
    pub seed: u64,
}

impl Default for KmeansParams {
    fn default() -> KmeansParams {
        KmeansParams {
            init: KmeansInit::PlusPlus,
            max_iterations: 300,
            tolerance: 1e-4,
            n_init: 1,
            seed: 0,
        }
    }
}

/// Where a clustering stands, after an iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KmeansProgress {
    /// The run, from 0.
    pub run: usize,
    /// Iterations of this run so far, from 1.
    pub iteration: usize,
    /// Points whose label changed in it.
    pub changed: usize,
    /// `Σ weight * distance²` from the centroids that it began with.
    pub inertia: f64,
    /// The sum of the squared distances by which the centroids moved.
    pub moved: f64,
}

/// What a clustering found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KmeansResult {
    /// `Σ weight * distance²`.
    pub inertia: f64,
    /// Iterations of the best run.
    pub iterations: usize,
}

/// Fewer labels than one in that many must have changed for the sums to be corrected, and not made anew.
const FEW: usize = 3;

/// Clusters the rows of `x` (N, D): the number of the cluster of each to `labels` (N), the means of the
/// clusters to `centroids` (K, D).
///
/// `init` (K, D) are the first centroids, if given; there is one run then. `sample_weight` (N) is 1 when left
/// out. After each iteration `progress` is called; true ends the clustering as it stands.
///
/// A run ends after `max_iterations`, when no label changes, or when the centroids hardly move. Labels and inertia
/// are those of the centroids that are returned. A cluster that loses all of its points begins anew at the point that is
/// farthest from its centroid. NaN and infinity in an input are errors, and so is a K above N.
/// The result follows from the inputs and the seed alone, not from the number of threads.
/// Outputs may not overlap the inputs.
#[allow(clippy::type_complexity)]
pub fn kmeans(
    ctx: &Context,
    params: &KmeansParams,
    x: View<'_, f32>,
    init: Option<View<'_, f32>>,
    sample_weight: Option<View<'_, f32>>,
    mut progress: Option<&mut dyn FnMut(&KmeansProgress) -> bool>,
    labels: ViewMut<'_, i64>,
    mut centroids: ViewMut<'_, f32>,
) -> Result<KmeansResult> {
    let op = "kmeans";
    expect_rank(op, "centroids", &centroids, 2)?;
    let (n, k, depth) = check(op, &x, "centroids", &centroids)?;
    expect_shape(op, "labels", &labels, &[n])?;
    if let Some(init) = &init {
        expect_shape(op, "init", init, &[k, depth])?;
        forbid_overlap(op, "labels", &labels, "init", init)?;
        forbid_overlap(op, "centroids", &centroids, "init", init)?;
    }
    forbid_overlap(op, "labels", &labels, "x", &x)?;
    forbid_overlap(op, "centroids", &centroids, "x", &x)?;
    forbid_overlap(op, "labels", &labels, "centroids", &centroids)?;
    if let Some(weight) = &sample_weight {
        forbid_overlap(op, "labels", &labels, "sample_weight", weight)?;
        forbid_overlap(op, "centroids", &centroids, "sample_weight", weight)?;
    }
    ensure!(
        k <= n,
        InvalidArgument,
        "{op}: centroids has {k} rows, more than x has ({n})"
    );
    ensure!(
        params.max_iterations > 0 && params.n_init > 0,
        InvalidArgument,
        "{op}: max_iterations is {} and n_init {}, expected at least 1",
        params.max_iterations,
        params.n_init
    );
    ensure!(
        params.tolerance >= 0.0 && params.tolerance.is_finite(),
        InvalidArgument,
        "{op}: tolerance is {}, expected a finite number that is not negative",
        params.tolerance
    );
    let weights = check_weights(ctx, op, &sample_weight, n)?;
    if let Some(weights) = &weights {
        ensure!(
            weights.iter().any(|&w| w > 0.0),
            InvalidArgument,
            "{op}: sample_weight has no positive element"
        );
    }
    let matrix = Matrix::new(ctx, x)?;
    let rows = matrix.rows();
    let threshold = match params.tolerance > 0.0 {
        true => params.tolerance * mean_variance(ctx, rows)?,
        false => 0.0,
    };
    let mut run = Run {
        op,
        ctx,
        params,
        rows,
        weights: weights.as_deref(),
        threshold,
        labels: unlabelled(ctx, n)?,
        sums: Sums::new(ctx, n, k, depth)?,
        bounds: Bounds::new(ctx, n, k, depth)?,
        centroids: Centroids::empty(ctx, k, depth)?,
        next: ctx.scratch(k * depth)?,
    };
    let runs = if init.is_some() { 1 } else { params.n_init };
    let mut random = Random::new(params.seed);
    let mut best: Option<KmeansResult> = None;
    let spare = if runs > 1 { (n, k * depth) } else { (0, 0) };
    let mut kept = (ctx.scratch::<u32>(spare.0)?, ctx.scratch::<f32>(spare.1)?);
    for number in 0..runs {
        let values = &mut run.centroids.values;
        match (&init, params.init) {
            (Some(init), _) => values.copy_from_slice(&init.contiguous(ctx)?),
            (None, KmeansInit::Random) => {
                init::random(ctx, rows, run.weights, k, &mut random, values)?;
            }
            (None, KmeansInit::PlusPlus) => {
                init::plus_plus(ctx, op, rows, run.weights, k, &mut random, values)?;
            }
        }
        let name = if init.is_some() { "init" } else { "x" };
        run.centroids.check(op, name)?;
        let (result, stopped) = run.go(number, &mut progress)?;
        if best.is_none_or(|b| result.inertia < b.inertia) {
            best = Some(result);
            if runs > 1 {
                kept.0.copy_from_slice(&run.labels);
                kept.1.copy_from_slice(&run.centroids.values);
            }
        }
        if stopped {
            break;
        }
    }
    let Some(best) = best else {
        bail!(Internal, "{op}: the inertia is not a number");
    };
    let (found, values): (&[u32], &[f32]) = match runs > 1 {
        true => (&kept.0, &kept.1),
        false => (&run.labels, &run.centroids.values),
    };
    store_labels(ctx, found, labels)?;
    centroids.copy_from_slice(values);
    Ok(best)
}

/// What the iterations work on.
struct Run<'a> {
    op: &'a str,
    ctx: &'a Context,
    params: &'a KmeansParams,
    rows: Rows<'a>,
    weights: Option<&'a [f32]>,
    threshold: f64,
    labels: Scratch<'a, u32>,
    sums: Sums<'a>,
    bounds: Bounds<'a>,
    centroids: Centroids<'a>,
    next: Scratch<'a, f32>,
}

impl Run<'_> {
    /// One run from the centroids as they are. True when `progress` wants to stop.
    fn go(
        &mut self,
        number: usize,
        progress: &mut Option<&mut dyn FnMut(&KmeansProgress) -> bool>,
    ) -> Result<(KmeansResult, bool)> {
        let n = self.rows.len();
        self.labels.fill(u32::MAX);
        self.bounds.forget();
        let mut mode = Mode::Sums;
        let (mut settled, mut stopped, mut iterations) = (false, false, 0);
        while iterations < self.params.max_iterations && !settled && !stopped {
            iterations += 1;
            let found = self.pass(mode, progress.is_some())?;
            mode = match found.changed < n / FEW {
                true => Mode::Changes,
                false => Mode::Sums,
            };
            let moved = self.update()?;
            // Sums hold what they hold of every label, and no label has changed: these are the means of
            // the very clusters that they give.
            settled = found.changed == 0;
            if let Some(progress) = progress {
                stopped = progress(&KmeansProgress {
                    run: number,
                    iteration: iterations,
                    changed: found.changed,
                    inertia: found.inertia,
                    moved,
                });
            }
            if moved <= self.threshold {
                break;
            }
        }
        // The labels and the inertia of the centroids as they are now.
        let found = self.pass(Mode::Labels, true)?;
        let result = KmeansResult {
            inertia: found.inertia,
            iterations,
        };
        Ok((result, stopped))
    }

    fn pass(&mut self, mode: Mode, inertia: bool) -> Result<Found> {
        self.centroids.prepare();
        let pass = Pass {
            op: self.op,
            rows: self.rows,
            weights: self.weights,
            centroids: &self.centroids,
        };
        let sums = Some(&mut self.sums);
        let bounds = Some(&mut self.bounds);
        let (ctx, labels) = (self.ctx, &mut self.labels);
        pass.run(ctx, labels, None, inertia, mode, sums, bounds)
    }

    /// New centroids from the sums; by how much they moved.
    fn update(&mut self) -> Result<f64> {
        let (k, depth) = (self.centroids.k, self.centroids.depth);
        let empty = (0..k).filter(|&c| self.sums.of(c).2 < 0.5).count();
        if empty > 0 {
            self.relocate(empty)?;
        }
        let mut moved = 0.0;
        for c in 0..k {
            let (sums, weight, points) = self.sums.of(c);
            let old = self.centroids.row(c);
            let new = &mut self.next[c * depth..][..depth];
            for ((new, &old), &sum) in new.iter_mut().zip(old).zip(sums) {
                *new = match points < 0.5 {
                    true => old,
                    false => (sum / weight) as f32,
                };
                moved += (f64::from(*new) - f64::from(old)).powi(2);
            }
        }
        self.bounds.moved((0..k).map(|c| {
            let new = &self.next[c * depth..][..depth];
            exact::squared(Portable::new(), self.centroids.row(c), new)
        }));
        std::mem::swap(&mut self.centroids.values, &mut self.next);
        Ok(moved)
    }

    /// Gives the points that are farthest from their centroids to the empty clusters.
    fn relocate(&mut self, empty: usize) -> Result<()> {
        let (n, ctx) = (self.rows.len(), self.ctx);
        let mut far = ctx.scratch::<f64>(n)?;
        {
            let each = task_rows(n, 1);
            let mut far = ViewMut::new(&mut far, &[n])?;
            let far = far.writer();
            let (rows, labels, centroids, isa) =
                (self.rows, &self.labels, &self.centroids, ctx.isa());
            ctx.parallel_for(n.div_ceil(each), |task| {
                let start = task * each;
                // SAFETY: inside of n elements, and tasks are disjoint.
                let far = unsafe { far.slice(start as isize, each.min(n - start)) };
                dispatch!(isa, simd => for (i, far) in far.iter_mut().enumerate() {
                    let centroid = centroids.row(labels[start + i] as usize);
                    *far = exact::squared(simd, rows.row(start + i), centroid);
                });
            })?;
        }
        let mut order = ctx.scratch::<u32>(n)?;
        for (i, place) in order.iter_mut().enumerate() {
            *place = i as u32;
        }
        let farther = |&a: &u32, &b: &u32| {
            let (x, y) = (far[a as usize], far[b as usize]);
            y.total_cmp(&x).then(a.cmp(&b))
        };
        if empty < n {
            order.select_nth_unstable_by(empty, farther);
        }
        order[..empty].sort_unstable_by(farther);
        let mut order = order.iter().map(|&at| at as usize);
        for c in 0..self.centroids.k {
            if self.sums.of(c).2 > 0.5 {
                continue;
            }
            let Some(at) = order.next() else {
                break;
            };
            // Points that lie on their centroids have nothing to offer.
            if far[at] == 0.0 {
                break;
            }
            let weight = self.weights.map_or(1.0, |w| w[at]);
            let from = self.labels[at] as usize;
            self.sums.transfer(self.rows.row(at), weight, Some(from), c);
            self.labels[at] = c as u32;
            self.bounds.forget_point(at);
        }
        Ok(())
    }
}

/// The mean over the columns of their variances.
fn mean_variance(ctx: &Context, rows: Rows<'_>) -> Result<f64> {
    let (n, depth) = (rows.len(), rows.depth());
    let each = task_rows(n, 1);
    let tasks = n.div_ceil(each);
    let stride = 2 * depth;
    let mut parts = ctx.scratch::<f64>(tasks * stride)?;
    let size = parts.len();
    {
        let mut parts = ViewMut::new(&mut parts, &[size])?;
        let parts = parts.writer();
        let isa = ctx.isa();
        ctx.parallel_for(tasks, |task| {
            // SAFETY: inside of the parts, and tasks are disjoint.
            let part = unsafe { parts.slice((task * stride) as isize, stride) };
            part.fill(0.0);
            let range = task * each..n.min((task + 1) * each);
            dispatch!(isa, _simd => for at in range {
                // Relative to a point amid the data, or the squares would cancel.
                let (sums, squares) = part.split_at_mut(depth);
                let sums = sums.iter_mut().zip(squares);
                for ((sum, square), (&x, &origin)) in sums.zip(rows.row(at).iter().zip(rows.row(0))) {
                    let t = f64::from(x) - f64::from(origin);
                    *sum += t;
                    *square += t * t;
                }
            });
        })?;
    }
    let total = |p: usize| (0..tasks).map(|t| parts[t * stride + p]).sum::<f64>() / n as f64;
    let variances = (0..depth).map(|p| (total(depth + p) - total(p).powi(2)).max(0.0));
    Ok(variances.sum::<f64>() / depth as f64)
}
