//! `knn`: the k nearest of many points for each query, by looking at all of them.
//!
//! Points are the lanes of the tile engine and the queries of a task its candidates: the data is read once
//! a task, and a point's score against a query is compared with the query's threshold where it stands. See
//! [`select`] for why what comes out is nevertheless the order of exact arithmetic.

mod exact;
mod hamming;
mod matching;
mod search;
mod select;

pub use matching::{MatchParams, match_descriptors, match_descriptors_binary};

use crate::cluster::Metric;
use crate::cluster::distance::mahalanobis::Whitening;
use crate::cluster::distance::panels::{Matrix, Rows};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::tensor::{Element, Raw, View, ViewMut, expect_rank, expect_shape, forbid_overlap};
use search::Search;

/// The most neighbours of a query.
pub const MAX_NEIGHBOURS: usize = 1024;

/// The `k` nearest rows of `data` (N, D) for each row of `queries` (Q, D): their numbers to
/// `indices` (Q, k) and their distances to `distances` (Q, k), the nearest first, equally near ones by number.
/// k is the second dimension of the outputs, from 1 to 1024 and at most N.
///
/// [`Metric::InnerProduct`] gives the largest products, descending. The order is that of distances in f64 of the
/// rows as they are (for [`Metric::Mahalanobis`], of the rows after whitening, rounded to f32),
/// and distances are rounded from that once. `covariance` (D, D) is for that metric alone.
///
/// NaN or infinity in `queries` or `data` is an error. Memory beyond inputs and outputs: a number a point, and
/// for each thread the queries of a task (some 200) with some `2 k` candidates each; distances are never stored.
pub fn knn(
    ctx: &Context,
    metric: Metric,
    queries: View<'_, f32>,
    data: View<'_, f32>,
    covariance: Option<View<'_, f32>>,
    indices: ViewMut<'_, i64>,
    distances: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "knn";
    let (n, depth) = expect_points(op, ("queries", &queries), ("data", &data))?;
    let q = queries.dim(0);
    expect_rank(op, "indices", &indices, 2)?;
    let k = indices.dim(1);
    expect_shape(op, "indices", &indices, &[q, k])?;
    expect_shape(op, "distances", &distances, &[q, k])?;
    ensure!(
        (1..=MAX_NEIGHBOURS).contains(&k),
        InvalidArgument,
        "{op}: k is {k}, expected 1 to {MAX_NEIGHBOURS}"
    );
    ensure!(k <= n, InvalidArgument, "{op}: k is {k}, data has {n} rows");
    for (name, input) in [("queries", &queries), ("data", &data)] {
        forbid_overlap(op, "indices", &indices, name, input)?;
        forbid_overlap(op, "distances", &distances, name, input)?;
    }
    forbid_overlap(op, "indices", &indices, "distances", &distances.as_view())?;
    let covariance = metric.expect_covariance(op, covariance)?;
    let whitening = covariance
        .map(|c| {
            forbid_overlap(op, "indices", &indices, "covariance", &c)?;
            forbid_overlap(op, "distances", &distances, "covariance", &c)?;
            Whitening::new(ctx, op, &c, depth)
        })
        .transpose()?;
    if q == 0 {
        return Ok(());
    }
    let (queries, data) = (Matrix::new(ctx, queries)?, Matrix::new(ctx, data)?);
    let (mut queries, mut data) = (queries.rows(), data.rows());
    let names = ["queries", "data"];
    let white;
    if let Some(whitening) = &whitening {
        search::expect_finite(ctx, op, names[0], queries)?;
        search::expect_finite(ctx, op, names[1], data)?;
        let shift = data.row(0);
        white = (
            whitening.apply(ctx, queries, shift)?,
            whitening.apply(ctx, data, shift)?,
        );
        (queries, data) = (
            Rows::compact(&white.0, depth),
            Rows::compact(&white.1, depth),
        );
    }
    let search = Search::new(ctx, op, names, metric, queries, data)?;
    let (keys, numbers) = search.nearest(ctx, k)?;
    let mut indices = indices.contiguous(ctx)?;
    let mut distances = distances.contiguous(ctx)?;
    for (index, &number) in indices.iter_mut().zip(numbers.iter()) {
        *index = i64::from(number);
    }
    for (distance, &key) in distances.iter_mut().zip(keys.iter()) {
        *distance = search.exact.distance(key);
    }
    indices.finish();
    distances.finish();
    Ok(())
}

/// Two matrices with as many columns; the rows of the second and the columns.
fn expect_points<T: Element>(
    op: &str,
    (a_name, a): (&str, &Raw<T>),
    (b_name, b): (&str, &Raw<T>),
) -> Result<(usize, usize)> {
    expect_rank(op, a_name, a, 2)?;
    expect_rank(op, b_name, b, 2)?;
    let (n, depth) = (b.dim(0), b.dim(1));
    ensure!(
        a.dim(1) == depth,
        ShapeMismatch,
        "{op}: {b_name} has {depth} columns, {a_name} has {}",
        a.dim(1)
    );
    ensure!(depth > 0, InvalidArgument, "{op}: {b_name} has no columns");
    ensure!(
        n.max(a.dim(0)) < i32::MAX as usize,
        Unsupported,
        "{op}: {} and {n} rows, the most is {}",
        a.dim(0),
        i32::MAX - 1
    );
    Ok((n, depth))
}
