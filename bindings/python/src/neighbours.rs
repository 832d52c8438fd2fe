//! Neighbours, matches, modes and assignment.

use crate::call::Call;
use crate::cluster::{METRICS, pointer};
use crate::context::Context;
use crate::tensor::{DType, Tensor};
use omma::capi::{
    self, OMMA_INVALID_ARGUMENT, OmmaKnnParams, OmmaLinearAssignmentParams,
    OmmaMatchDescriptorsParams, OmmaMeanShiftParams,
};
use pyo3::prelude::*;
use pyo3::types::PySlice;

const KERNELS: [(&str, i32); 2] = [
    ("flat", capi::OMMA_MEAN_SHIFT_FLAT),
    ("gaussian", capi::OMMA_MEAN_SHIFT_GAUSSIAN),
];

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// The first rows of an array, in memory of their own.
fn first<'py>(array: Tensor<'py>, count: i64) -> PyResult<Bound<'py, PyAny>> {
    let array = array.into_object();
    let kept = array.get_item(PySlice::new(array.py(), 0, count as isize, 1))?;
    kept.call_method0("copy")
}

/// The k nearest points for each query, by looking at all.
///
/// Parameters
/// ----------
/// queries : (Q, D) float32
/// data : (N, D) float32
/// k : int
///     1 to 1024, and at most N.
/// metric : ``"euclidean"``, ``"sqeuclidean"``, ``"cosine"``, ``"inner_product"``, ``"manhattan"`` or ``"mahalanobis"``
///     ``"inner_product"`` gives the largest products, descending.
/// covariance : (D, D) float32, optional
///     Symmetric and positive definite; for ``"mahalanobis"`` alone.
/// ctx : Context, optional
///
/// Returns
/// -------
/// indices : (Q, k) int64
/// distances : (Q, k) float32
///     The nearest first, equally near ones by number.
///
/// The order is that of distances in float64, whatever the data. NaN and infinity are errors.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.knn([[0, 0.25]], [[9, 9], [0, 1], [0, 0]], 2)
/// (array([[2, 1]]), array([[0.25, 0.75]], dtype=float32))
#[pyfunction]
#[pyo3(signature = (queries, data, k, metric="euclidean", *, covariance=None, ctx=None))]
pub(crate) fn knn<'py>(
    queries: &Bound<'py, PyAny>,
    data: &Bound<'py, PyAny>,
    k: i64,
    metric: &str,
    covariance: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Pair<'py>> {
    let call = Call::new(queries.py(), "knn", ctx)?;
    let params = OmmaKnnParams {
        struct_size: size_of::<OmmaKnnParams>() as u32,
        metric: call.choice("metric", metric, &METRICS)?,
    };
    // Before there are arrays as large as that.
    if !(1..=1024).contains(&k) {
        let words = format!("k is {k}, expected 1 to 1024");
        return Err(call.error(OMMA_INVALID_ARGUMENT, &words));
    }
    let (queries, data) = (call.input("queries", queries)?, call.input("data", data)?);
    let covariance = call.optional("covariance", covariance)?;
    let covariance = covariance.as_ref().map(Tensor::descriptor);
    let shape = [queries.dim(0), k];
    let indices = Tensor::empty(&call, &shape, DType::I64)?;
    let distances = Tensor::empty(&call, &shape, DType::F32)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (queries, data) = (&queries.descriptor(), &data.descriptor());
        let (indices, distances) = (&indices.descriptor(), &distances.descriptor());
        let covariance = pointer(&covariance);
        capi::omma_knn(ctx, &params, queries, data, covariance, indices, distances)
    })?;
    Ok((indices.into_object(), distances.into_object()))
}

/// The nearest descriptor of the other image for each descriptor of this one.
///
/// Parameters
/// ----------
/// a : (N, D) float32 or uint8
/// b : (M, D) of the same type
///     float32 descriptors are compared by Euclidean distance, those of bytes (up to 4095) are strings of
///     bits and compared by Hamming distance.
/// cross_check : bool
///     Only pairs that are each other's nearest.
/// ratio : float, optional
///     Only pairs closer than this times the distance of the second nearest (Lowe's test).
/// max_distance : float, optional
///     Only pairs no farther apart.
/// ctx : Context, optional
///
/// Returns
/// -------
/// pairs : (P, 2) int64
///     Number in ``a`` and number in ``b``, by ascending number in ``a``.
/// distances : (P,) float32
///
/// Of equally near descriptors the first is the nearest. Where ``b`` has one row the ratio test passes.
/// NaN and infinity are errors.
///
/// Examples
/// --------
/// >>> import omma
/// >>> pairs, distances = omma.match_descriptors([[0, 0], [5, 5]], [[5, 4], [0, 0.5]], ratio=0.8)
/// >>> pairs.tolist(), distances.tolist()
/// ([[0, 1], [1, 0]], [0.5, 1.0])
#[pyfunction]
#[pyo3(signature = (a, b, *, cross_check=false, ratio=None, max_distance=None, ctx=None))]
pub(crate) fn match_descriptors<'py>(
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    cross_check: bool,
    ratio: Option<f64>,
    max_distance: Option<f64>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Pair<'py>> {
    let call = Call::new(a.py(), "match_descriptors", ctx)?;
    let flag = |given: Option<f64>, flag: u32| given.map_or(0, |_| flag);
    let params = OmmaMatchDescriptorsParams {
        struct_size: size_of::<OmmaMatchDescriptorsParams>() as u32,
        flags: flag(ratio, capi::OMMA_MATCH_RATIO)
            | flag(max_distance, capi::OMMA_MATCH_MAX_DISTANCE),
        cross_check: i32::from(cross_check),
        reserved: 0,
        ratio: ratio.unwrap_or(0.0),
        max_distance: max_distance.unwrap_or(0.0),
    };
    let (a, b) = (call.input("a", a)?, call.input("b", b)?);
    let pairs = Tensor::empty(&call, &[a.dim(0), 2], DType::I64)?;
    let distances = Tensor::empty(&call, &[a.dim(0)], DType::F32)?;
    let mut count = 0;
    // SAFETY: descriptors of memory that lives during the call, and a place for the count.
    call.run(|ctx| unsafe {
        let (a, b) = (&a.descriptor(), &b.descriptor());
        let (pairs, distances) = (&pairs.descriptor(), &distances.descriptor());
        capi::omma_match_descriptors(ctx, &params, a, b, pairs, distances, &mut count)
    })?;
    Ok((first(pairs, count)?, first(distances, count)?))
}

/// Mean shift clustering: the modes of the density of points, and whose each point is.
///
/// Parameters
/// ----------
/// x : (N, D) float32
/// bandwidth : float
///     The radius of the flat kernel, the standard deviation of the Gaussian one.
/// kernel : ``"flat"`` or ``"gaussian"``
///     Points within the bandwidth count as one, or a point at distance r as
///     ``exp(-r**2 / (2 * bandwidth**2))`` (as nothing from 8 bandwidths on).
/// seeds : (S, D) float32, optional
///     Where to begin; every point, if left out.
/// bin_seeding : bool
///     Begin at the places of a lattice, one bandwidth apart, that points round to.
/// min_bin_freq : int
///     Points that must round to a place to make it a seed.
/// cluster_all : bool
///     Points farther than the bandwidth from every centre get the label of the nearest; otherwise -1.
/// max_iterations : int
/// ctx : Context, optional
///
/// Returns
/// -------
/// labels : (N,) int64
/// centers : (K, D) float32
///
/// Results are those of ``sklearn.cluster.MeanShift``. NaN and infinity are errors, and so is it when no
/// point is within reach of any seed.
///
/// Examples
/// --------
/// >>> import omma
/// >>> labels, centers = omma.mean_shift([[0, 0], [1, 0], [9, 9]], 2)
/// >>> labels.tolist(), centers.tolist()
/// ([0, 0, 1], [[0.5, 0.0], [9.0, 9.0]])
#[pyfunction]
#[pyo3(signature = (x, bandwidth, *, kernel="flat", seeds=None, bin_seeding=false, min_bin_freq=1,
    cluster_all=true, max_iterations=300, ctx=None))]
pub(crate) fn mean_shift<'py>(
    x: &Bound<'py, PyAny>,
    bandwidth: f64,
    kernel: &str,
    seeds: Option<&Bound<'py, PyAny>>,
    bin_seeding: bool,
    min_bin_freq: i64,
    cluster_all: bool,
    max_iterations: i64,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Pair<'py>> {
    let call = Call::new(x.py(), "mean_shift", ctx)?;
    for (name, value) in [
        ("min_bin_freq", min_bin_freq),
        ("max_iterations", max_iterations),
    ] {
        if value < 1 {
            let words = format!("{name} is {value}, expected a positive number");
            return Err(call.error(OMMA_INVALID_ARGUMENT, &words));
        }
    }
    let flag = |given: bool, flag: u32| if given { flag } else { 0 };
    let params = OmmaMeanShiftParams {
        struct_size: size_of::<OmmaMeanShiftParams>() as u32,
        flags: flag(bin_seeding, capi::OMMA_MEAN_SHIFT_BIN_SEEDING)
            | flag(!cluster_all, capi::OMMA_MEAN_SHIFT_ORPHANS),
        bandwidth,
        kernel: call.choice("kernel", kernel, &KERNELS)?,
        reserved: 0,
        min_bin_freq,
        max_iterations,
    };
    let x = call.input("x", x)?;
    let seeds = call.optional("seeds", seeds)?;
    let room = [seeds.as_ref().unwrap_or(&x).dim(0), x.dim(1)];
    let seeds = seeds.as_ref().map(Tensor::descriptor);
    let labels = Tensor::empty(&call, &[x.dim(0)], DType::I64)?;
    let centers = Tensor::empty(&call, &room, DType::F32)?;
    let mut count = 0;
    // SAFETY: descriptors of memory that lives during the call, and a place for the count.
    call.run(|ctx| unsafe {
        let (labels, centers) = (&labels.descriptor(), &centers.descriptor());
        let seeds = pointer(&seeds);
        capi::omma_mean_shift(
            ctx,
            &params,
            &x.descriptor(),
            seeds,
            labels,
            centers,
            &mut count,
        )
    })?;
    Ok((labels.into_object(), first(centers, count)?))
}

/// The cheapest assignment of rows to columns.
///
/// Parameters
/// ----------
/// cost : (N, M) float64 or float32
///     ``inf`` forbids a pair (``-inf``, to maximize).
/// maximize : bool
/// ctx : Context, optional
///
/// Returns
/// -------
/// rows : (min(N, M),) int64
///     Ascending.
/// cols : (min(N, M),) int64
///
/// As ``scipy.optimize.linear_sum_assignment``: the sum of ``cost[rows, cols]`` is the least there is (or the largest);
/// which of several such assignments it is need not be scipy's. Arithmetic is in float64. NaN is an error,
/// and so is it when every assignment has a forbidden pair.
///
/// Examples
/// --------
/// >>> import omma
/// >>> rows, cols = omma.linear_assignment([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]])
/// >>> rows.tolist(), cols.tolist()
/// ([0, 1, 2], [1, 0, 2])
#[pyfunction]
#[pyo3(signature = (cost, maximize=false, *, ctx=None))]
pub(crate) fn linear_assignment<'py>(
    cost: &Bound<'py, PyAny>,
    maximize: bool,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Pair<'py>> {
    let call = Call::new(cost.py(), "linear_assignment", ctx)?;
    let params = OmmaLinearAssignmentParams {
        struct_size: size_of::<OmmaLinearAssignmentParams>() as u32,
        maximize: i32::from(maximize),
    };
    let cost = Tensor::input(&call, "cost", cost, Some(DType::F64))?;
    let pairs = [cost.dim(0).min(cost.dim(1))];
    let rows = Tensor::empty(&call, &pairs, DType::I64)?;
    let cols = Tensor::empty(&call, &pairs, DType::I64)?;
    // SAFETY: descriptors of memory that lives during the call; the sum is not asked for.
    call.run(|ctx| unsafe {
        let (cost, total) = (&cost.descriptor(), std::ptr::null_mut());
        let (rows, cols) = (&rows.descriptor(), &cols.descriptor());
        capi::omma_linear_assignment(ctx, &params, cost, rows, cols, total)
    })?;
    Ok((rows.into_object(), cols.into_object()))
}
