//! `mean_shift`: every seed climbs to a mode of the density of the points; modes are the clusters.
//!
//! A seed moves to the mean of the points around it until it hardly moves. Seeds know nothing of each
//! other, so they are the tasks; a step is a sum over a few runs of points ([`field`]). What
//! comes after is what scikit-learn does: the places by the number of points around them, each the
//! centre of a cluster unless a better one is within the bandwidth.

mod field;

pub use field::MeanShiftKernel;

use crate::error::{Result, bail, ensure};
use crate::runtime::{Context, Scratch};
use crate::simd::{Double, dispatch};
use crate::tensor::{View, ViewMut, expect_rank, expect_shape, forbid_overlap};
use field::Field;

/// How to look for modes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanShiftParams {
    /// The radius of the flat kernel, the standard deviation of the Gaussian one. Positive.
    pub bandwidth: f64,
    /// How points count.
    pub kernel: MeanShiftKernel,
    /// Seeds are the places of a lattice, one bandwidth apart, that points round to; otherwise the points themselves.
    pub bin_seeding: bool,
    /// Points that must round to a place of the lattice to make it a seed.
    pub min_bin_freq: usize,
    /// Points farther than the bandwidth from every centre get the label of the nearest all the
    /// same; otherwise -1.
    pub cluster_all: bool,
    /// A seed moves that often at most, and once more.
    pub max_iterations: usize,
}

impl MeanShiftParams {
    /// This bandwidth, and the defaults: the flat kernel, every point a seed, every point in a cluster, 300 iterations.
    pub fn new(bandwidth: f64) -> MeanShiftParams {
        MeanShiftParams {
            bandwidth,
            kernel: MeanShiftKernel::Flat,
            bin_seeding: false,
            min_bin_freq: 1,
            cluster_all: true,
            max_iterations: 300,
        }
    }
}

/// Mean shift clustering of `x` (N, D): centres of clusters to the first `count` rows of `centers` (C, D),
/// and to `labels` (N) which of them is nearest to each point.
///
/// The results are those of scikit-learn's `MeanShift`: seeds (S, D) are `seeds`, or
/// the lattice of `bin_seeding`, or `x`; a seed has arrived when it moves by no more than a thousandth of the
/// bandwidth; centres are ordered by the number of points (the sum of weights) around them, then
/// by coordinates, descending; of centres closer than the bandwidth the first remains. Arithmetic is in f64, centres
/// are rounded at the end.
///
/// NaN and infinity in `x` or `seeds` are errors, and so is it when there is no point within reach of
/// any seed. When `centers` has fewer rows than there are clusters, nothing is written but `count`, and the error is
/// `BufferTooSmall`; as many rows as there are seeds always suffice.
pub fn mean_shift(
    ctx: &Context,
    params: &MeanShiftParams,
    x: View<'_, f32>,
    seeds: Option<View<'_, f32>>,
    mut labels: ViewMut<'_, i64>,
    mut centers: ViewMut<'_, f32>,
    count: &mut usize,
) -> Result<()> {
    let op = "mean_shift";
    expect_rank(op, "x", &x, 2)?;
    expect_rank(op, "centers", &centers, 2)?;
    let (len, depth) = (x.dim(0), x.dim(1));
    expect_shape(op, "labels", &labels, &[len])?;
    ensure!(
        centers.dim(1) == depth,
        ShapeMismatch,
        "{op}: centers has {} columns, x has {depth}",
        centers.dim(1)
    );
    ensure!(
        len < i32::MAX as usize,
        Unsupported,
        "{op}: {len} points, the most is {}",
        i32::MAX - 1
    );
    ensure!(
        depth > 0 || len == 0,
        InvalidArgument,
        "{op}: x has no columns"
    );
    let bandwidth = params.bandwidth;
    ensure!(
        bandwidth > 0.0 && bandwidth < 1e150,
        InvalidArgument,
        "{op}: bandwidth is {bandwidth}, expected a positive number below 1e150"
    );
    forbid_overlap(op, "labels", &labels, "x", &x)?;
    forbid_overlap(op, "centers", &centers, "x", &x)?;
    forbid_overlap(op, "centers", &centers, "labels", &labels.as_view())?;
    if let Some(seeds) = &seeds {
        expect_rank(op, "seeds", seeds, 2)?;
        ensure!(
            seeds.dim(1) == depth,
            ShapeMismatch,
            "{op}: seeds has {} columns, x has {depth}",
            seeds.dim(1)
        );
        forbid_overlap(op, "centers", &centers, "seeds", seeds)?;
        forbid_overlap(op, "labels", &labels, "seeds", seeds)?;
    }
    let points = x.contiguous(ctx)?;
    expect_finite(op, "x", &points, depth)?;
    let seeds = seeds.map(|s| s.contiguous(ctx)).transpose()?;
    if let Some(seeds) = &seeds {
        expect_finite(op, "seeds", seeds, depth)?;
    }
    if len == 0 {
        *count = 0;
        return Ok(());
    }
    let field = Field::new(ctx, &points, depth, params.kernel, bandwidth)?;
    let mut lattice = None;
    if seeds.is_none() && params.bin_seeding {
        lattice = bins(ctx, &points, depth, bandwidth, params.min_bin_freq)?;
    }
    let seeds = match (&seeds, &lattice) {
        (Some(seeds), _) => &seeds[..],
        (None, Some((bins, used))) => &bins[..*used],
        (None, None) => &points[..],
    };
    let modes = seeds.len() / depth;
    let mut places = ctx.scratch::<f64>(seeds.len())?;
    let mut weights = ctx.scratch::<f64>(modes)?;
    climb(ctx, params, &field, seeds, &mut places, &mut weights)?;
    let found = merge(ctx, &mut places, &weights, depth, bandwidth)?;
    ensure!(
        found > 0,
        InvalidArgument,
        "{op}: no point is within bandwidth {bandwidth} of any seed"
    );
    *count = found;
    if found > centers.dim(0) {
        bail!(
            BufferTooSmall,
            "{op}: centers has room for {}, the result has {found}",
            centers.dim(0)
        );
    }
    let places = &places[..found * depth];
    let mut numbers = ctx.scratch::<i64>(len)?;
    label(ctx, params, &field, places, &mut numbers)?;
    labels.copy_from_slice(&numbers);
    for (c, place) in places.chunks_exact(depth).enumerate() {
        for (k, &value) in place.iter().enumerate() {
            centers.set(&[c, k], value as f32);
        }
    }
    Ok(())
}

/// An error for the first number that is none.
fn expect_finite(op: &str, name: &str, values: &[f32], depth: usize) -> Result<()> {
    // Zero times anything else is not zero.
    let all = values
        .chunks(256)
        .all(|c| c.iter().fold(0.0, |a, v| a + v * 0.0) == 0.0);
    if !all && let Some(at) = values.iter().position(|v| !v.is_finite()) {
        bail!(
            InvalidArgument,
            "{op}: {name}[{}, {}] is {}",
            at / depth,
            at % depth,
            values[at]
        );
    }
    Ok(())
}

/// The seeds of scikit-learn's `get_bin_seeds`, in front of a buffer, and how many numbers they are. None
/// when every point has a place of its own, which makes the points the seeds.
fn bins<'c>(
    ctx: &'c Context,
    points: &[f32],
    depth: usize,
    bandwidth: f64,
    least: usize,
) -> Result<Option<(Scratch<'c, f32>, usize)>> {
    let len = points.len() / depth;
    let mut rounded = ctx.scratch::<f64>(points.len())?;
    for (to, &from) in rounded.iter_mut().zip(points) {
        // Adding zero makes one of the two zeros.
        *to = (f64::from(from) / bandwidth).round_ties_even() + 0.0;
    }
    let mut order = ctx.scratch::<u32>(len)?;
    for (i, order) in order.iter_mut().enumerate() {
        *order = i as u32;
    }
    let bin = |i: u32| &rounded[i as usize * depth..][..depth];
    order.sort_unstable_by(|&a, &b| {
        let different = bin(a).iter().zip(bin(b)).find(|(a, b)| a != b);
        different.map_or(std::cmp::Ordering::Equal, |(a, b)| a.total_cmp(b))
    });
    let mut seeds = ctx.scratch::<f32>(points.len())?;
    let mut used = 0;
    for same in order.chunk_by(|&a, &b| bin(a) == bin(b)) {
        if same.len() >= least {
            for &value in bin(same[0]) {
                seeds[used] = value as f32 * bandwidth as f32;
                used += 1;
            }
        }
    }
    Ok((used < points.len()).then_some((seeds, used)))
}

/// Seeds of a task.
const SEEDS: usize = 8;

/// Where each seed arrives, and the points around it; zero when there are none.
fn climb(
    ctx: &Context,
    params: &MeanShiftParams,
    field: &Field<'_>,
    seeds: &[f32],
    places: &mut [f64],
    weights: &mut [f64],
) -> Result<()> {
    let modes = weights.len();
    let depth = seeds.len().checked_div(modes).unwrap_or(1);
    let mut places = ViewMut::new(places, &[seeds.len()])?;
    let mut weights = ViewMut::new(weights, &[modes])?;
    let (places, weights) = (places.writer(), weights.writer());
    let isa = ctx.isa();
    let room = Field::room(depth);
    ctx.parallel_for_scratch(modes.div_ceil(SEEDS), room + depth, |task, scratch| {
        let (sums, mean) = scratch.split_at_mut(room);
        let first = task * SEEDS;
        let last = modes.min(first + SEEDS);
        // SAFETY: inside of the arrays, and tasks are disjoint.
        let (places, weights) = unsafe {
            (
                places.slice((first * depth) as isize, (last - first) * depth),
                weights.slice(first as isize, last - first),
            )
        };
        let seeds = &seeds[first * depth..last * depth];
        for (place, &seed) in places.iter_mut().zip(seeds) {
            *place = f64::from(seed);
        }
        dispatch!(isa, simd => {
            for (place, weight) in places.chunks_exact_mut(depth).zip(weights) {
                *weight = climb_one(simd, params, field, place, mean, sums);
            }
        });
    })
}

#[inline(always)]
fn climb_one<S: Double>(
    simd: S,
    params: &MeanShiftParams,
    field: &Field<'_>,
    place: &mut [f64],
    mean: &mut [f64],
    sums: &mut [f64],
) -> f64 {
    let stop = 1e-3 * params.bandwidth;
    let mut moves = 0;
    loop {
        let weight = field.sum(simd, place, mean, sums);
        if weight == 0.0 {
            return weight;
        }
        let mut square = 0.0;
        for (place, &mean) in place.iter_mut().zip(mean.iter()) {
            square += (mean - *place) * (mean - *place);
            *place = mean;
        }
        if square.sqrt() <= stop || moves == params.max_iterations {
            return weight;
        }
        moves += 1;
    }
}

/// Puts the places that remain to the front, best first, and returns how many: again and again the best of
/// those that are not within the bandwidth of a better one. Most places have arrived at one of a few modes, so that a few
/// passes, each over what is left, take less than sorting all of them, and other threads wait for either.
fn merge(
    ctx: &Context,
    places: &mut [f64],
    weights: &[f64],
    depth: usize,
    bandwidth: f64,
) -> Result<usize> {
    let mut left = ctx.scratch::<u32>(weights.len())?;
    let mut kept = ctx.scratch::<f64>(places.len())?;
    let place = |i: u32| &places[i as usize * depth..][..depth];
    let is_better = |a: u32, b: u32| {
        let by_weight = weights[a as usize].total_cmp(&weights[b as usize]);
        let order = by_weight.then_with(|| {
            let different = place(a).iter().zip(place(b)).find(|(a, b)| a != b);
            different.map_or(b.cmp(&a), |(a, b)| a.total_cmp(b))
        });
        order.is_gt()
    };
    // Those that are left, in the order of seeds, and the best of them.
    let (mut count, mut best) = (0, None);
    for i in 0..weights.len() as u32 {
        if weights[i as usize] != 0.0 {
            left[count] = i;
            count += 1;
            if best.is_none_or(|best| is_better(i, best)) {
                best = Some(i);
            }
        }
    }
    let mut found = 0;
    while let Some(new) = best.take() {
        let new = place(new);
        kept[found * depth..][..depth].copy_from_slice(new);
        found += 1;
        let mut still = 0;
        for at in 0..count {
            let i = left[at];
            let squares = place(i).iter().zip(new).map(|(a, b)| (a - b) * (a - b));
            if squares.sum::<f64>() > bandwidth * bandwidth {
                left[still] = i;
                still += 1;
                if best.is_none_or(|best| is_better(i, best)) {
                    best = Some(i);
                }
            }
        }
        count = still;
    }
    places[..found * depth].copy_from_slice(&kept[..found * depth]);
    Ok(found)
}

/// Points of a task.
const POINTS: usize = 1024;

/// The number of the centre of each point.
fn label(
    ctx: &Context,
    params: &MeanShiftParams,
    field: &Field<'_>,
    centres: &[f64],
    labels: &mut [i64],
) -> Result<()> {
    let len = labels.len();
    let limit = match params.cluster_all {
        true => f64::INFINITY,
        false => params.bandwidth * params.bandwidth,
    };
    let mut labels = ViewMut::new(labels, &[len])?;
    let labels = labels.writer();
    let isa = ctx.isa();
    ctx.parallel_for(len.div_ceil(POINTS), |task| {
        let range = task * POINTS..len.min((task + 1) * POINTS);
        let put = |at: usize, label: i64| {
            // SAFETY: `order` has every point once, and tasks are disjoint parts of it.
            unsafe { labels.slice(field.order[at] as isize, 1)[0] = label };
        };
        dispatch!(isa, simd => label_range(simd, field, centres, limit, range, put));
    })
}

#[inline(always)]
fn label_range<S: Double>(
    simd: S,
    field: &Field<'_>,
    centres: &[f64],
    limit: f64,
    range: std::ops::Range<usize>,
    put: impl Fn(usize, i64),
) {
    let mut which = [0.0; crate::simd::MAX_LANES / 2];
    let mut square = [0.0; crate::simd::MAX_LANES / 2];
    for from in range.clone().step_by(S::DOUBLES) {
        let (w, s) = field.nearest(simd, from, centres);
        // SAFETY: room for the lanes of every tier.
        unsafe {
            simd.store_f64_ptr(which.as_mut_ptr(), w);
            simd.store_f64_ptr(square.as_mut_ptr(), s);
        }
        for l in 0..S::DOUBLES.min(range.end - from) {
            let near = square[l] <= limit;
            put(from + l, if near { which[l] as i64 } else { -1 });
        }
    }
}
