//! Clusters: distances, k-means and its halves, anchors.

use super::{Call, OmmaContext, OmmaStatus, OmmaTensor, Params, guard};
use crate::cluster::{
    AnchorAverage, AnchorsParams, KmeansInit, KmeansParams, KmeansProgress, Metric, kmeans,
    kmeans_accumulate, kmeans_anchors, kmeans_assign, kmeans_update, pairwise_distance,
};
use crate::error::{Result, bail, ensure};
use std::ffi::c_void;

/// Euclidean distance, `sqrt(Σ (a - b)²)`.
pub const OMMA_METRIC_EUCLIDEAN: i32 = 0;
/// Squared Euclidean distance, `Σ (a - b)²`.
pub const OMMA_METRIC_SQUARED_EUCLIDEAN: i32 = 1;
/// Cosine distance, `1 - a · b / (|a| |b|)`; a row of zeros has distance 1 from everything.
pub const OMMA_METRIC_COSINE: i32 = 2;
/// Inner product, `a · b`: not a distance, the larger the nearer.
pub const OMMA_METRIC_INNER_PRODUCT: i32 = 3;
/// Manhattan distance, `Σ |a - b|`.
pub const OMMA_METRIC_MANHATTAN: i32 = 4;
/// Mahalanobis distance, `sqrt((a - b)ᵀ C⁻¹ (a - b))` with a covariance C.
pub const OMMA_METRIC_MAHALANOBIS: i32 = 5;

/// Each centroid is the best of several points drawn by their squared distance from those so far.
pub const OMMA_KMEANS_PLUS_PLUS: i32 = 0;
/// Rows at random.
pub const OMMA_KMEANS_RANDOM: i32 = 1;

/// `tolerance` is set: without the flag it is 1e-4.
pub const OMMA_KMEANS_TOLERANCE: u32 = 1;

/// An anchor is the median of the widths and that of the heights.
pub const OMMA_ANCHORS_MEDIAN: i32 = 0;
/// An anchor is the mean of its boxes.
pub const OMMA_ANCHORS_MEAN: i32 = 1;

/// Which distance.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaPairwiseDistanceParams {
    /// `sizeof(OmmaPairwiseDistanceParams)`.
    pub struct_size: u32,
    /// An `OMMA_METRIC_…`.
    pub metric: i32,
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaPairwiseDistanceParams {}

/// Where a clustering stands, after an iteration.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaKmeansProgress {
    /// The run, from 0.
    pub run: i64,
    /// Iterations of this run so far, from 1.
    pub iteration: i64,
    /// Points whose label changed in it.
    pub changed: i64,
    /// The sum of weight times squared distance from the centroids that it began with.
    pub inertia: f64,
    /// The sum of the squared distances by which the centroids moved.
    pub moved: f64,
}

/// Is told how a clustering goes, on the calling thread; other than 0 ends it as it stands.
pub type OmmaKmeansCallback =
    unsafe extern "C" fn(user: *mut c_void, progress: *const OmmaKmeansProgress) -> i32;

/// How to cluster; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaKmeansParams {
    /// `sizeof(OmmaKmeansParams)`.
    pub struct_size: u32,
    /// `OMMA_KMEANS_TOLERANCE` or 0.
    pub flags: u32,
    /// `OMMA_KMEANS_PLUS_PLUS` or `OMMA_KMEANS_RANDOM`: where centroids begin, when they are not given.
    pub init: i32,
    /// 0.
    pub reserved: i32,
    /// The most iterations of a run; 0 is 300.
    pub max_iterations: i64,
    /// Runs from different starts, of which the one with the least inertia counts; 0 is 1.
    pub n_init: i64,
    /// Of the random numbers.
    pub seed: u64,
    /// A run ends when the squared distances by which the centroids moved sum up to no more
    /// than that times the mean variance of the columns. Needs `OMMA_KMEANS_TOLERANCE`; 0: when no
    /// label changes.
    pub tolerance: f64,
    /// Called after each iteration, or NULL. It costs an iteration the distances of all points.
    pub callback: Option<OmmaKmeansCallback>,
    /// Passed to `callback`.
    pub callback_user: *mut c_void,
}

// SAFETY: repr(C), struct_size first, numbers, a pointer and an optional function pointer.
unsafe impl Params for OmmaKmeansParams {}

/// How anchors are found; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaKmeansAnchorsParams {
    /// `sizeof(OmmaKmeansAnchorsParams)`.
    pub struct_size: u32,
    /// `OMMA_ANCHORS_MEDIAN` or `OMMA_ANCHORS_MEAN`.
    pub average: i32,
    /// The most iterations; 0 is 300.
    pub max_iterations: i64,
    /// Of the random numbers.
    pub seed: u64,
}

// SAFETY: repr(C), struct_size first, integers.
unsafe impl Params for OmmaKmeansAnchorsParams {}

pub(super) fn metric(op: &str, value: i32) -> Result<Metric> {
    Ok(match value {
        OMMA_METRIC_EUCLIDEAN => Metric::Euclidean,
        OMMA_METRIC_SQUARED_EUCLIDEAN => Metric::SquaredEuclidean,
        OMMA_METRIC_COSINE => Metric::Cosine,
        OMMA_METRIC_INNER_PRODUCT => Metric::InnerProduct,
        OMMA_METRIC_MANHATTAN => Metric::Manhattan,
        OMMA_METRIC_MAHALANOBIS => Metric::Mahalanobis,
        other => bail!(
            InvalidArgument,
            "{op}: metric is {other}, not an OMMA_METRIC_ constant"
        ),
    })
}

/// A count of the params, where 0 is the default.
fn count(op: &str, name: &str, value: i64, default: usize) -> Result<usize> {
    ensure!(
        value >= 0,
        InvalidArgument,
        "{op}: {name} is {value}, expected at least 1, or 0 for {default}"
    );
    Ok(match value {
        0 => default,
        value => value as usize,
    })
}

fn kmeans_params(op: &str, p: &OmmaKmeansParams) -> Result<KmeansParams> {
    ensure!(
        p.flags & !OMMA_KMEANS_TOLERANCE == 0,
        InvalidArgument,
        "{op}: flags is {:#x}, which has bits that this version does not know",
        p.flags
    );
    ensure!(
        p.reserved == 0,
        InvalidArgument,
        "{op}: reserved is {}, expected 0",
        p.reserved
    );
    let default = KmeansParams::default();
    Ok(KmeansParams {
        init: match p.init {
            OMMA_KMEANS_PLUS_PLUS => KmeansInit::PlusPlus,
            OMMA_KMEANS_RANDOM => KmeansInit::Random,
            other => bail!(
                InvalidArgument,
                "{op}: init is {other}, expected OMMA_KMEANS_PLUS_PLUS or OMMA_KMEANS_RANDOM"
            ),
        },
        max_iterations: count(
            op,
            "max_iterations",
            p.max_iterations,
            default.max_iterations,
        )?,
        tolerance: match p.flags & OMMA_KMEANS_TOLERANCE {
            0 => default.tolerance,
            _ => p.tolerance,
        },
        n_init: count(op, "n_init", p.n_init, default.n_init)?,
        seed: p.seed,
    })
}

/// The distance of every row of `a` (N, D) from every row of `b` (M, D), to `output` (N, M), all f32.
///
/// `covariance` (D, D), symmetric and positive definite, is for `OMMA_METRIC_MAHALANOBIS` alone, else NULL.
/// Differences are taken directly: near points have exact distances. A NaN in a row gives NaN.
/// `output` may not overlap an input.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_pairwise_distance(
    ctx: *const OmmaContext,
    params: *const OmmaPairwiseDistanceParams,
    a: *const OmmaTensor,
    b: *const OmmaTensor,
    covariance: *const OmmaTensor,
    output: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, a, b, covariance, mut output) = unsafe {
            let call = Call::new("pairwise_distance", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("a", a)?,
                call.input("b", b)?,
                call.optional("covariance", covariance)?,
                call.output("output", output)?,
            )
        };
        pairwise_distance(
            call.ctx,
            metric(call.op, p.metric)?,
            a.view(),
            b.view(),
            covariance.as_ref().map(|c| c.view()),
            output.view()?,
        )?;
        output.finish()
    })
}

/// For each row of `x` (N, D) the number of the nearest row of `centroids` (K, D), to `labels` (N, i64), and its
/// squared Euclidean distance to `distances` (N), or NULL.
///
/// Labels are those of exact arithmetic, but where two distances differ by less than 1e-6 of
/// themselves; of equal ones the lowest. NaN and infinity are errors. Outputs may overlap nothing.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts and tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_kmeans_assign(
    ctx: *const OmmaContext,
    x: *const OmmaTensor,
    centroids: *const OmmaTensor,
    labels: *const OmmaTensor,
    distances: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, x, centroids, mut labels, mut distances) = unsafe {
            let call = Call::new("kmeans_assign", ctx)?;
            (
                call,
                call.input("x", x)?,
                call.input("centroids", centroids)?,
                call.output("labels", labels)?,
                call.optional_output("distances", distances)?,
            )
        };
        let to = distances.as_mut().map(|d| d.view()).transpose()?;
        kmeans_assign(call.ctx, x.view(), centroids.view(), labels.view()?, to)?;
        labels.finish()?;
        distances.map_or(Ok(()), |d| d.finish())
    })
}

/// Clusters the rows of `x` (N, D): the number of the cluster of each to `labels` (N, i64), the means of
/// the clusters to `centroids` (K, D), whose shape says how many there are; K is at most N.
/// `inertia`, the sum of weight times squared distance, and `iterations`, those of the best run, may be NULL.
///
/// `init` (K, D) are the first centroids, or NULL; with it there is one run. `sample_weight` (N), finite and
/// not negative, may be NULL. Seeding, stopping and tolerance are those of scikit-learn's `KMeans`; a cluster that loses
/// all of its points begins anew at the point that is farthest from its centroid. Labels and
/// inertia are those of the centroids that are returned. The result follows from the inputs and the seed, and has the
/// same bits at any number of threads. NaN and infinity are errors. Outputs may overlap nothing.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors; the callback may be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_kmeans(
    ctx: *const OmmaContext,
    params: *const OmmaKmeansParams,
    x: *const OmmaTensor,
    init: *const OmmaTensor,
    sample_weight: *const OmmaTensor,
    labels: *const OmmaTensor,
    centroids: *const OmmaTensor,
    inertia: *mut f64,
    iterations: *mut i64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, x, init, weight, mut labels, mut centroids, inertia, iterations) = unsafe {
            let call = Call::new("kmeans", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("x", x)?,
                call.optional("init", init)?,
                call.optional("sample_weight", sample_weight)?,
                call.output("labels", labels)?,
                call.output("centroids", centroids)?,
                inertia.as_mut(),
                iterations.as_mut(),
            )
        };
        let params = kmeans_params(call.op, &p)?;
        let mut tell = p.callback.map(|callback| {
            move |at: &KmeansProgress| {
                let progress = OmmaKmeansProgress {
                    run: at.run as i64,
                    iteration: at.iteration as i64,
                    changed: at.changed as i64,
                    inertia: at.inertia,
                    moved: at.moved,
                };
                // SAFETY: the caller's function, with the caller's pointer.
                unsafe { callback(p.callback_user, &progress) != 0 }
            }
        });
        let tell = tell.as_mut();
        let result = kmeans(
            call.ctx,
            &params,
            x.view(),
            init.as_ref().map(|i| i.view()),
            weight.as_ref().map(|w| w.view()),
            tell.map(|tell| tell as &mut dyn FnMut(&KmeansProgress) -> bool),
            labels.view()?,
            centroids.view()?,
        )?;
        labels.finish()?;
        centroids.finish()?;
        if let Some(inertia) = inertia {
            *inertia = result.inertia;
        }
        if let Some(iterations) = iterations {
            *iterations = result.iterations as i64;
        }
        Ok(())
    })
}

/// The first half of an iteration of k-means over a part of the data: for each row of `centroids` (K, D) the sum of
/// those rows of `x` (N, D) that are nearest to it, times their weights, to `sums` (K, D, f64), and of the
/// weights to `counts` (K, f64). `labels` (N, i64) and `inertia`, the sum of weight times squared distance, may be NULL.
///
/// Results of parts that make up the data are simply added; `omma_kmeans_update` is the second half, so
/// that an engine of the caller runs k-means over data that no machine holds. `sample_weight` (N) may be NULL.
/// The rest is as `omma_kmeans_assign` has it.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts and tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_kmeans_accumulate(
    ctx: *const OmmaContext,
    x: *const OmmaTensor,
    centroids: *const OmmaTensor,
    sample_weight: *const OmmaTensor,
    sums: *const OmmaTensor,
    counts: *const OmmaTensor,
    labels: *const OmmaTensor,
    inertia: *mut f64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, x, centroids, weight, mut sums, mut counts, mut labels, inertia) = unsafe {
            let call = Call::new("kmeans_accumulate", ctx)?;
            (
                call,
                call.input("x", x)?,
                call.input("centroids", centroids)?,
                call.optional("sample_weight", sample_weight)?,
                call.output("sums", sums)?,
                call.output("counts", counts)?,
                call.optional_output("labels", labels)?,
                inertia.as_mut(),
            )
        };
        let to = labels.as_mut().map(|l| l.view()).transpose()?;
        let found = kmeans_accumulate(
            call.ctx,
            x.view(),
            centroids.view(),
            weight.as_ref().map(|w| w.view()),
            sums.view()?,
            counts.view()?,
            to,
        )?;
        sums.finish()?;
        counts.finish()?;
        if let Some(labels) = labels {
            labels.finish()?;
        }
        if let Some(inertia) = inertia {
            *inertia = found;
        }
        Ok(())
    })
}

/// The second half of an iteration of k-means: `sums` (K, D, f64) over `counts` (K, f64), to `updated` (K, D, f32), which
/// may be the very array `centroids` (K, D, f32). A cluster with a count of 0 keeps its row of `centroids`.
/// `moved`, the sum of the squared distances by which centroids moved, may be NULL.
///
/// NaN, infinity and negative counts are errors.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts and tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_kmeans_update(
    ctx: *const OmmaContext,
    sums: *const OmmaTensor,
    counts: *const OmmaTensor,
    centroids: *const OmmaTensor,
    updated: *const OmmaTensor,
    moved: *mut f64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, sums, counts, centroids, mut updated, moved) = unsafe {
            let call = Call::new("kmeans_update", ctx)?;
            (
                call,
                call.input("sums", sums)?,
                call.input("counts", counts)?,
                call.input("centroids", centroids)?,
                call.output("updated", updated)?,
                moved.as_mut(),
            )
        };
        let by = kmeans_update(
            call.ctx,
            sums.view(),
            counts.view(),
            centroids.view(),
            updated.view()?,
        )?;
        updated.finish()?;
        if let Some(moved) = moved {
            *moved = by;
        }
        Ok(())
    })
}

/// Sizes that stand for the sizes of boxes: k-means with the distance `1 - IoU` of widths and heights, as if boxes shared
/// a corner. Of `wh` (N, 2) to `anchors` (K, 2), whose shape says how many, in ascending order of area; the number
/// of the best anchor of each box to `labels` (N, i64), or NULL; the mean of these IoU to `mean_iou`, or NULL.
///
/// `init` (K, 2) are the first anchors, or NULL. Widths and heights are positive and finite, and K is at most N.
/// Of equal IoU the lowest label counts; an anchor that loses all of its boxes begins anew at the box that fits
/// its anchor worst. Outputs may overlap nothing.
///
/// # Safety
/// Pointers are NULL or valid as documented for contexts, params and tensors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_kmeans_anchors(
    ctx: *const OmmaContext,
    params: *const OmmaKmeansAnchorsParams,
    wh: *const OmmaTensor,
    init: *const OmmaTensor,
    anchors: *const OmmaTensor,
    labels: *const OmmaTensor,
    mean_iou: *mut f64,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, wh, init, mut anchors, mut labels, mean_iou) = unsafe {
            let call = Call::new("kmeans_anchors", ctx)?;
            (
                call,
                call.params(params)?,
                call.input("wh", wh)?,
                call.optional("init", init)?,
                call.output("anchors", anchors)?,
                call.optional_output("labels", labels)?,
                mean_iou.as_mut(),
            )
        };
        let op = call.op;
        let default = AnchorsParams::default();
        let params = AnchorsParams {
            average: match p.average {
                OMMA_ANCHORS_MEDIAN => AnchorAverage::Median,
                OMMA_ANCHORS_MEAN => AnchorAverage::Mean,
                other => bail!(
                    InvalidArgument,
                    "{op}: average is {other}, expected OMMA_ANCHORS_MEDIAN or OMMA_ANCHORS_MEAN"
                ),
            },
            max_iterations: count(
                op,
                "max_iterations",
                p.max_iterations,
                default.max_iterations,
            )?,
            seed: p.seed,
        };
        let to = labels.as_mut().map(|l| l.view()).transpose()?;
        let init = init.as_ref().map(|i| i.view());
        let mean = kmeans_anchors(call.ctx, &params, wh.view(), init, anchors.view()?, to)?;
        anchors.finish()?;
        if let Some(labels) = labels {
            labels.finish()?;
        }
        if let Some(mean_iou) = mean_iou {
            *mean_iou = mean;
        }
        Ok(())
    })
}
