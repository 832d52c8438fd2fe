//! `kmeans_assign`, and the two halves of an iteration for engines of their own.

use super::centroids::Centroids;
use super::pass::{Mode, Pass};
use super::sums::Sums;
use crate::cluster::distance::panels::Matrix;
use crate::error::{Result, ensure};
use crate::runtime::{Context, Scratch};
use crate::tensor::{
    Contiguous, Element, Raw, View, ViewMut, expect_rank, expect_shape, forbid_overlap,
};

/// Checks points and centroids; the number of both and of dimensions.
pub(super) fn check(
    op: &str,
    x: &Raw<f32>,
    name: &str,
    centroids: &Raw<f32>,
) -> Result<(usize, usize, usize)> {
    expect_rank(op, "x", x, 2)?;
    expect_rank(op, name, centroids, 2)?;
    let (n, k, depth) = (x.dim(0), centroids.dim(0), x.dim(1));
    ensure!(
        centroids.dim(1) == depth,
        ShapeMismatch,
        "{op}: {name} has {} columns, x has {depth}",
        centroids.dim(1)
    );
    ensure!(depth > 0, InvalidArgument, "{op}: x has no columns");
    ensure!(k > 0, InvalidArgument, "{op}: {name} has no rows");
    ensure!(
        k <= i32::MAX as usize,
        InvalidArgument,
        "{op}: {name} has {k} rows, the most is {}",
        i32::MAX
    );
    Ok((n, k, depth))
}

/// The weights (N), checked: finite and not negative.
pub(super) fn check_weights<'a>(
    ctx: &'a Context,
    op: &str,
    weights: &Option<View<'a, f32>>,
    n: usize,
) -> Result<Option<Contiguous<'a, f32>>> {
    let Some(weights) = weights else {
        return Ok(None);
    };
    expect_shape(op, "sample_weight", weights, &[n])?;
    let weights = weights.contiguous(ctx)?;
    if let Some(at) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
        ensure!(
            false,
            InvalidArgument,
            "{op}: sample_weight is {} at {at}, expected a finite number that is not negative",
            weights[at]
        );
    }
    Ok(Some(weights))
}

/// The centroids, checked and packed.
pub(super) fn take<'c>(
    ctx: &'c Context,
    op: &str,
    name: &str,
    centroids: View<'_, f32>,
) -> Result<Centroids<'c>> {
    let mut taken = Centroids::empty(ctx, centroids.dim(0), centroids.dim(1))?;
    taken.values.copy_from_slice(&centroids.contiguous(ctx)?);
    taken.check(op, name)?;
    taken.prepare();
    Ok(taken)
}

/// The labels before there are any.
pub(super) fn unlabelled(ctx: &Context, n: usize) -> Result<Scratch<'_, u32>> {
    let mut labels = ctx.scratch(n)?;
    labels.fill(u32::MAX);
    Ok(labels)
}

/// Numbers of a task that stores.
const STORED: usize = 1 << 14;

/// Writes what was found of each point to the output, and takes no memory for it: when this is done, other outputs
/// may be written already.
fn store<A: Element, B: Element>(
    ctx: &Context,
    found: &[A],
    mut output: ViewMut<'_, B>,
    convert: impl Fn(A) -> B + Sync,
) -> Result<()> {
    let n = found.len();
    assert!(output.len() == n);
    if n > 1 && output.stride(0) != 1 {
        for (i, &from) in found.iter().enumerate() {
            output.set(&[i], convert(from));
        }
        return Ok(());
    }
    let to = output.writer();
    ctx.parallel_for(n.div_ceil(STORED), |task| {
        let start = task * STORED;
        let from = &found[start..n.min(start + STORED)];
        // SAFETY: inside of n elements that follow one another, and tasks are disjoint.
        let to = unsafe { to.slice(start as isize, from.len()) };
        for (to, &from) in to.iter_mut().zip(from) {
            *to = convert(from);
        }
    })
}

/// Writes labels to the output.
pub(super) fn store_labels(ctx: &Context, labels: &[u32], output: ViewMut<'_, i64>) -> Result<()> {
    store(ctx, labels, output, i64::from)
}

/// For each row of `x` (N, D) the number of the nearest row of `centroids` (K, D), to `labels` (N), and its
/// squared Euclidean distance to `distances` (N), if asked for.
///
/// Labels are those of exact arithmetic but where two distances differ by less than 1e-6 of
/// themselves; of equal ones the lowest. A NaN or an infinity in `x` or `centroids` is an error.
/// Outputs may not overlap the inputs.
pub fn kmeans_assign(
    ctx: &Context,
    x: View<'_, f32>,
    centroids: View<'_, f32>,
    labels: ViewMut<'_, i64>,
    distances: Option<ViewMut<'_, f32>>,
) -> Result<()> {
    let op = "kmeans_assign";
    let (n, _, _) = check(op, &x, "centroids", &centroids)?;
    expect_shape(op, "labels", &labels, &[n])?;
    forbid_overlap(op, "labels", &labels, "x", &x)?;
    forbid_overlap(op, "labels", &labels, "centroids", &centroids)?;
    if let Some(distances) = &distances {
        expect_shape(op, "distances", distances, &[n])?;
        forbid_overlap(op, "distances", distances, "x", &x)?;
        forbid_overlap(op, "distances", distances, "centroids", &centroids)?;
        forbid_overlap(op, "distances", distances, "labels", &labels)?;
    }
    let centroids = take(ctx, op, "centroids", centroids)?;
    let x = Matrix::new(ctx, x)?;
    let pass = Pass {
        op,
        rows: x.rows(),
        weights: None,
        centroids: &centroids,
    };
    let mut found = unlabelled(ctx, n)?;
    let mut squares = match &distances {
        Some(_) => Some(ctx.scratch::<f32>(n)?),
        None => None,
    };
    pass.run(
        ctx,
        &mut found,
        squares.as_deref_mut(),
        false,
        Mode::Labels,
        None,
        None,
    )?;
    if let (Some(squares), Some(distances)) = (&squares, distances) {
        store(ctx, squares, distances, |square| square)?;
    }
    store_labels(ctx, &found, labels)
}

/// The first half of an iteration over a part of the data: for each of `centroids` (K, D) the sum of those rows
/// of `x` (N, D) that are nearest to it, times their weights, to `sums` (K, D), and of the weights to `counts` (K).
/// Returns the inertia, `Σ weight * distance²`.
///
/// The results of parts that make up the data are simply added; [`kmeans_update`] is the
/// second half. `labels` (N), if asked for, are those of [`kmeans_assign`], which says the rest.
/// `sample_weight` (N) is 1 when left out.
pub fn kmeans_accumulate(
    ctx: &Context,
    x: View<'_, f32>,
    centroids: View<'_, f32>,
    sample_weight: Option<View<'_, f32>>,
    mut sums: ViewMut<'_, f64>,
    mut counts: ViewMut<'_, f64>,
    labels: Option<ViewMut<'_, i64>>,
) -> Result<f64> {
    let op = "kmeans_accumulate";
    let (n, k, depth) = check(op, &x, "centroids", &centroids)?;
    expect_shape(op, "sums", &sums, &[k, depth])?;
    expect_shape(op, "counts", &counts, &[k])?;
    forbid_overlap(op, "sums", &sums, "counts", &counts)?;
    if let Some(labels) = &labels {
        expect_shape(op, "labels", labels, &[n])?;
        forbid_overlap(op, "labels", labels, "x", &x)?;
        forbid_overlap(op, "labels", labels, "centroids", &centroids)?;
        forbid_overlap(op, "labels", labels, "sums", &sums)?;
        forbid_overlap(op, "labels", labels, "counts", &counts)?;
    }
    for (name, output) in [("sums", &sums as &Raw<f64>), ("counts", &counts)] {
        forbid_overlap(op, name, output, "x", &x)?;
        forbid_overlap(op, name, output, "centroids", &centroids)?;
        if let Some(weight) = &sample_weight {
            forbid_overlap(op, name, output, "sample_weight", weight)?;
        }
    }
    if let (Some(labels), Some(weight)) = (&labels, &sample_weight) {
        forbid_overlap(op, "labels", labels, "sample_weight", weight)?;
    }
    let weights = check_weights(ctx, op, &sample_weight, n)?;
    let centroids = take(ctx, op, "centroids", centroids)?;
    let x = Matrix::new(ctx, x)?;
    let pass = Pass {
        op,
        rows: x.rows(),
        weights: weights.as_deref(),
        centroids: &centroids,
    };
    let mut found_labels = unlabelled(ctx, n)?;
    let mut total = Sums::new(ctx, n, k, depth)?;
    let found = pass.run(
        ctx,
        &mut found_labels,
        None,
        true,
        Mode::Sums,
        Some(&mut total),
        None,
    )?;
    for cluster in 0..k {
        let (of, weight, _) = total.of(cluster);
        for (p, &sum) in of.iter().enumerate() {
            sums.set(&[cluster, p], sum);
        }
        counts.set(&[cluster], weight);
    }
    if let Some(labels) = labels {
        store_labels(ctx, &found_labels, labels)?;
    }
    Ok(found.inertia)
}

/// The second half of an iteration: `sums` (K, D) over `counts` (K), to `updated` (K, D), which may be
/// the very array `centroids`. Returns by how much the centroids moved: the sum of all squared distances, which
/// is to be compared with `tolerance * mean variance`.
///
/// A cluster with a count of 0 keeps its row of `centroids`.
pub fn kmeans_update(
    ctx: &Context,
    sums: View<'_, f64>,
    counts: View<'_, f64>,
    centroids: View<'_, f32>,
    mut updated: ViewMut<'_, f32>,
) -> Result<f64> {
    let op = "kmeans_update";
    expect_rank(op, "sums", &sums, 2)?;
    let (k, depth) = (sums.dim(0), sums.dim(1));
    expect_shape(op, "counts", &counts, &[k])?;
    expect_shape(op, "centroids", &centroids, &[k, depth])?;
    expect_shape(op, "updated", &updated, &[k, depth])?;
    forbid_overlap(op, "updated", &updated, "sums", &sums)?;
    forbid_overlap(op, "updated", &updated, "counts", &counts)?;
    crate::tensor::forbid_partial_overlap(op, "updated", &updated, "centroids", &centroids)?;
    let mut new = ctx.scratch::<f32>(k * depth)?;
    let mut moved = 0.0;
    for i in 0..k {
        let count = counts.get(&[i]);
        ensure!(
            count.is_finite() && count >= 0.0,
            InvalidArgument,
            "{op}: counts is {count} at {i}, expected a finite number that is not negative"
        );
        for p in 0..depth {
            let (old, sum) = (centroids.get(&[i, p]), sums.get(&[i, p]));
            ensure!(
                old.is_finite() && sum.is_finite(),
                InvalidArgument,
                "{op}: sums or centroids has NaN or infinity in row {i}"
            );
            let value = if count == 0.0 {
                old
            } else {
                (sum / count) as f32
            };
            new[i * depth + p] = value;
            moved += (f64::from(value) - f64::from(old)).powi(2);
        }
    }
    updated.copy_from_slice(&new);
    Ok(moved)
}
