//! `match_descriptors`: pairs of descriptors that are each other's, or clearly somebody's, nearest.

use super::expect_points;
use super::hamming::{self, MAX_BYTES};
use super::search::Search;
use crate::cluster::Metric;
use crate::cluster::distance::panels::{Matrix, Rows};
use crate::error::{Result, bail, ensure};
use crate::runtime::{Context, Scratch};
use crate::tensor::{Raw, View, ViewMut, expect_rank, forbid_overlap};

/// Which nearest neighbours are matches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MatchParams {
    /// Only pairs whose descriptors are each other's nearest.
    pub cross_check: bool,
    /// Only pairs closer than this times the distance of the second nearest (Lowe's test). Positive.
    pub ratio: Option<f64>,
    /// Only pairs no farther apart. Not negative.
    pub max_distance: Option<f64>,
}

/// For each descriptor of `a` (N, D) the nearest of `b` (M, D) by Euclidean distance, if it passes all
/// tests of `params`: rows (number in a, number in b) to the first `count` rows of `pairs` (C, 2) by ascending number
/// in a, and distances to those of `distances` (C).
///
/// Of equally near descriptors the first is the nearest. The ratio test is on
/// distances, not on their squares, and passes where `b` has one row; with `cross_check` the nearest in `a` of the
/// descriptor of `b` must be this one, the first of equally near ones again.
///
/// NaN and infinity are errors. When the outputs have fewer than `count` rows nothing is written but `count`, and the
/// error is `BufferTooSmall`; N rows always suffice.
pub fn match_descriptors(
    ctx: &Context,
    params: &MatchParams,
    a: View<'_, f32>,
    b: View<'_, f32>,
    pairs: ViewMut<'_, i64>,
    distances: ViewMut<'_, f32>,
    count: &mut usize,
) -> Result<()> {
    let op = "match_descriptors";
    expect_points(op, ("a", &a), ("b", &b))?;
    check(op, params, &a, &b, &pairs, &distances)?;
    let (a, b) = (Matrix::new(ctx, a)?, Matrix::new(ctx, b)?);
    let (a, b) = (a.rows(), b.rows());
    if a.len() == 0 || b.len() == 0 {
        super::search::expect_finite(ctx, op, "a", a)?;
        super::search::expect_finite(ctx, op, "b", b)?;
        *count = 0;
        return Ok(());
    }
    let search = |names, from: Rows<'_>, to: Rows<'_>, k| {
        Search::new(ctx, op, names, Metric::Euclidean, from, to)?.nearest(ctx, k)
    };
    let k = usize::from(params.ratio.is_some() && b.len() > 1) + 1;
    let (keys, numbers) = search(["a", "b"], a, b, k)?;
    let back = match params.cross_check {
        true => Some(search(["b", "a"], b, a, 1)?.1),
        false => None,
    };
    let nearest = |i: usize| Nearest {
        number: numbers[i * k],
        distance: keys[i * k].sqrt(),
        second: (k == 2).then(|| keys[i * 2 + 1].sqrt()),
    };
    let back = back.as_deref();
    select(
        op,
        ctx,
        params,
        a.len(),
        nearest,
        back,
        pairs,
        distances,
        count,
    )
}

/// As [`match_descriptors`] for descriptors of bits, eight to a byte (ORB, BRIEF, AKAZE): `a` (N, D) and
/// `b` (M, D) of up to 4095 bytes, by Hamming distance, the number of bits that differ.
pub fn match_descriptors_binary(
    ctx: &Context,
    params: &MatchParams,
    a: View<'_, u8>,
    b: View<'_, u8>,
    pairs: ViewMut<'_, i64>,
    distances: ViewMut<'_, f32>,
    count: &mut usize,
) -> Result<()> {
    let op = "match_descriptors";
    expect_points(op, ("a", &a), ("b", &b))?;
    check(op, params, &a, &b, &pairs, &distances)?;
    let depth = a.dim(1);
    ensure!(
        depth <= MAX_BYTES,
        Unsupported,
        "{op}: descriptors have {depth} bytes, the most is {MAX_BYTES}"
    );
    let n = a.dim(0);
    if n == 0 || b.dim(0) == 0 {
        *count = 0;
        return Ok(());
    }
    let (a, b) = (a.contiguous(ctx)?, b.contiguous(ctx)?);
    let found = hamming::nearest_two(ctx, &a, &b, depth)?;
    let mut back: Option<Scratch<'_, u32>> = None;
    if params.cross_check {
        let found = hamming::nearest_two(ctx, &b, &a, depth)?;
        let mut numbers = ctx.scratch(found.len() / 2)?;
        for (number, two) in numbers.iter_mut().zip(found.as_chunks::<2>().0) {
            *number = hamming::number(two[0]);
        }
        back = Some(numbers);
    }
    let nearest = |i: usize| Nearest {
        number: hamming::number(found[2 * i]),
        distance: hamming::distance(found[2 * i]),
        second: (found[2 * i + 1] != hamming::NONE).then(|| hamming::distance(found[2 * i + 1])),
    };
    let back = back.as_deref();
    select(op, ctx, params, n, nearest, back, pairs, distances, count)
}

/// The nearest of a descriptor.
struct Nearest {
    number: u32,
    distance: f64,
    second: Option<f64>,
}

fn check<T: crate::tensor::Element>(
    op: &str,
    params: &MatchParams,
    a: &Raw<T>,
    b: &Raw<T>,
    pairs: &Raw<i64>,
    distances: &Raw<f32>,
) -> Result<()> {
    expect_rank(op, "pairs", pairs, 2)?;
    expect_rank(op, "distances", distances, 1)?;
    ensure!(
        pairs.dim(1) == 2,
        ShapeMismatch,
        "{op}: pairs has {} columns, expected 2",
        pairs.dim(1)
    );
    ensure!(
        pairs.dim(0) == distances.dim(0),
        ShapeMismatch,
        "{op}: pairs has {} rows, distances {}",
        pairs.dim(0),
        distances.dim(0)
    );
    for (name, input) in [("a", a), ("b", b)] {
        forbid_overlap(op, "pairs", pairs, name, input)?;
        forbid_overlap(op, "distances", distances, name, input)?;
    }
    forbid_overlap(op, "pairs", pairs, "distances", distances)?;
    if let Some(ratio) = params.ratio {
        ensure!(
            ratio.is_finite() && ratio > 0.0,
            InvalidArgument,
            "{op}: ratio is {ratio}, expected a positive number"
        );
    }
    if let Some(most) = params.max_distance {
        ensure!(
            !most.is_nan() && most >= 0.0,
            InvalidArgument,
            "{op}: max_distance is {most}, expected a number that is not negative"
        );
    }
    Ok(())
}

/// Writes the pairs that pass.
fn select(
    op: &str,
    ctx: &Context,
    params: &MatchParams,
    n: usize,
    nearest: impl Fn(usize) -> Nearest,
    back: Option<&[u32]>,
    mut pairs: ViewMut<'_, i64>,
    mut distances: ViewMut<'_, f32>,
    count: &mut usize,
) -> Result<()> {
    let mut passed = ctx.scratch::<u32>(n)?;
    let mut found = 0;
    for i in 0..n {
        let near = nearest(i);
        let mutual = back.is_none_or(|b| b[near.number as usize] as usize == i);
        let clear = match (params.ratio, near.second) {
            (Some(ratio), Some(second)) => near.distance < ratio * second,
            _ => true,
        };
        let close = params.max_distance.is_none_or(|most| near.distance <= most);
        passed[found] = i as u32;
        found += usize::from(mutual && clear && close);
    }
    *count = found;
    if found > pairs.dim(0) {
        bail!(
            BufferTooSmall,
            "{op}: pairs has room for {}, the result has {found}",
            pairs.dim(0)
        );
    }
    for (at, &i) in passed[..found].iter().enumerate() {
        let near = nearest(i as usize);
        pairs.set(&[at, 0], i64::from(i));
        pairs.set(&[at, 1], i64::from(near.number));
        distances.set(&[at], near.distance as f32);
    }
    Ok(())
}
