//! Distances and clusters.

use crate::call::Call;
use crate::context::Context;
use crate::tensor::{DType, Tensor};
use omma::capi::{
    self, OMMA_INVALID_ARGUMENT, OmmaKmeansAnchorsParams, OmmaKmeansParams, OmmaKmeansProgress,
    OmmaPairwiseDistanceParams, OmmaTensor,
};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::ffi::c_void;
use std::ptr::{null, null_mut};

pub(crate) const METRICS: [(&str, i32); 6] = [
    ("euclidean", capi::OMMA_METRIC_EUCLIDEAN),
    ("sqeuclidean", capi::OMMA_METRIC_SQUARED_EUCLIDEAN),
    ("cosine", capi::OMMA_METRIC_COSINE),
    ("inner_product", capi::OMMA_METRIC_INNER_PRODUCT),
    ("manhattan", capi::OMMA_METRIC_MANHATTAN),
    ("mahalanobis", capi::OMMA_METRIC_MAHALANOBIS),
];

const INITS: [(&str, i32); 2] = [
    ("k-means++", capi::OMMA_KMEANS_PLUS_PLUS),
    ("random", capi::OMMA_KMEANS_RANDOM),
];

const AVERAGES: [(&str, i32); 2] = [
    ("median", capi::OMMA_ANCHORS_MEDIAN),
    ("mean", capi::OMMA_ANCHORS_MEAN),
];

/// The descriptor of an optional tensor.
pub(crate) fn pointer(tensor: &Option<OmmaTensor>) -> *const OmmaTensor {
    tensor.as_ref().map_or(null(), std::ptr::from_ref)
}

/// The distance of every row of ``a`` from every row of ``b``.
///
/// Parameters
/// ----------
/// a : (N, D) float32
/// b : (M, D) float32
/// metric : ``"euclidean"``, ``"sqeuclidean"``, ``"cosine"``, ``"inner_product"``, ``"manhattan"`` or ``"mahalanobis"``
///     ``"cosine"`` is 1 less the cosine, and 1 for a row of zeros; ``"inner_product"`` is no distance,
///     but the larger the nearer.
/// covariance : (D, D) float32, optional
///     Symmetric and positive definite; for ``"mahalanobis"`` alone.
/// out : (N, M) float32, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (N, M) float32
///
/// Differences are taken directly, so near points have exact distances. A NaN in a row gives NaN.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.pairwise_distance([[0, 0], [3, 4]], [[0, 0], [3, 0]])
/// array([[0., 3.],
///        [5., 4.]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (a, b, metric="euclidean", *, covariance=None, out=None, ctx=None))]
pub(crate) fn pairwise_distance<'py>(
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    metric: &str,
    covariance: Option<&Bound<'py, PyAny>>,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(a.py(), "pairwise_distance", ctx)?;
    let params = OmmaPairwiseDistanceParams {
        struct_size: size_of::<OmmaPairwiseDistanceParams>() as u32,
        metric: call.choice("metric", metric, &METRICS)?,
    };
    let (a, b) = (call.input("a", a)?, call.input("b", b)?);
    let covariance = call.optional("covariance", covariance)?;
    let covariance = covariance.as_ref().map(Tensor::descriptor);
    let out = call.output(out, &[a.dim(0), b.dim(0)], DType::F32)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (a, b) = (&a.descriptor(), &b.descriptor());
        capi::omma_pairwise_distance(ctx, &params, a, b, pointer(&covariance), &out.descriptor())
    })?;
    Ok(out.into_object())
}

/// The nearest centroid of each point.
///
/// Parameters
/// ----------
/// x : (N, D) float32
/// centroids : (K, D) float32
/// ctx : Context, optional
///
/// Returns
/// -------
/// labels : (N,) int64
///     Those of exact arithmetic but where two distances differ by less than 1e-6 of themselves; of
///     equal ones the lowest.
/// squared_distances : (N,) float32
///
/// NaN and infinity are errors.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.kmeans_assign([[0, 0], [5, 5], [9, 8]], [[1, 0], [9, 9]])
/// (array([0, 1, 1]), array([ 1., 32.,  1.], dtype=float32))
#[pyfunction]
#[pyo3(signature = (x, centroids, *, ctx=None))]
pub(crate) fn kmeans_assign<'py>(
    x: &Bound<'py, PyAny>,
    centroids: &Bound<'py, PyAny>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let call = Call::new(x.py(), "kmeans_assign", ctx)?;
    let x = call.input("x", x)?;
    let centroids = call.input("centroids", centroids)?;
    let labels = Tensor::empty(&call, &[x.dim(0)], DType::I64)?;
    let distances = Tensor::empty(&call, &[x.dim(0)], DType::F32)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (x, centroids) = (&x.descriptor(), &centroids.descriptor());
        let (labels, distances) = (&labels.descriptor(), &distances.descriptor());
        capi::omma_kmeans_assign(ctx, x, centroids, labels, distances)
    })?;
    Ok((labels.into_object(), distances.into_object()))
}

/// Who is told how a clustering goes, and what came of it.
struct Listener {
    callback: Py<PyAny>,
    error: Option<PyErr>,
}

/// Calls the function of Python; true, or an exception, ends the clustering.
///
/// # Safety
/// `user` is a listener that nobody else uses meanwhile.
unsafe extern "C" fn listen(user: *mut c_void, progress: *const OmmaKmeansProgress) -> i32 {
    // SAFETY: the caller's promise.
    let (listener, at) = unsafe { (&mut *user.cast::<Listener>(), &*progress) };
    Python::attach(|py| {
        let told = (at.run, at.iteration, at.changed, at.inertia, at.moved);
        let answer = listener.callback.bind(py).call1(told);
        match answer.and_then(|answer| answer.is_truthy()) {
            Ok(end) => i32::from(end),
            Err(error) => {
                listener.error = Some(error);
                1
            }
        }
    })
}

/// A count that is at least 1: its 0 would be a default in C.
fn count(call: &Call<'_>, name: &str, value: i64) -> PyResult<i64> {
    match value >= 1 {
        true => Ok(value),
        false => {
            let words = format!("{name} is {value}, expected at least 1");
            Err(call.error(OMMA_INVALID_ARGUMENT, &words))
        }
    }
}

/// Clusters points around ``k`` means.
///
/// Parameters
/// ----------
/// x : (N, D) float32
/// k : int
///     At most N.
/// init : ``"k-means++"``, ``"random"`` or (k, D) float32
///     Where the centroids begin; given ones make one run.
/// max_iterations : int
///     Of a run.
/// tolerance : float
///     A run ends when the squared distances by which centroids moved sum up to no more than that
///     times the mean variance of the columns; with 0 it goes on until no label changes.
/// n_init : int
///     Runs from different starts, of which the one with the least inertia counts.
/// seed : int
/// sample_weight : (N,) float32, optional
///     Finite and not negative.
/// callback : callable, optional
///     Called as ``callback(run, iteration, changed, inertia, moved)`` after each iteration: runs before
///     this one, iterations so far, labels that changed, the inertia that it began with, and the sum of the squared
///     distances by which centroids moved. A true answer ends the clustering as it stands.
/// ctx : Context, optional
///
/// Returns
/// -------
/// labels : (N,) int64
/// centroids : (k, D) float32
/// inertia : float
///     The sum of weight times squared distance from the centroids.
/// iterations : int
///     Of the best run.
///
/// Seeding and stopping are those of scikit-learn's ``KMeans``; a cluster that loses all of its points begins
/// anew at the point that is farthest from its centroid. The result follows from the inputs and the seed, at
/// any number of threads. NaN and infinity are errors.
///
/// Examples
/// --------
/// >>> import omma
/// >>> labels, centroids, inertia, _ = omma.kmeans([[0, 0], [0, 1], [9, 9], [9, 8]], 2, init=[[0, 0], [9, 9]])
/// >>> labels, inertia
/// (array([0, 0, 1, 1]), 1.0)
/// >>> centroids
/// array([[0. , 0.5],
///        [9. , 8.5]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (x, k, *, init=None, max_iterations=300, tolerance=1e-4, n_init=1, seed=0, sample_weight=None,
    callback=None, ctx=None), text_signature = "(x, k, *, init='k-means++', max_iterations=300, tolerance=0.0001, \
    n_init=1, seed=0, sample_weight=None, callback=None, ctx=None)")]
pub(crate) fn kmeans<'py>(
    x: &Bound<'py, PyAny>,
    k: i64,
    init: Option<&Bound<'py, PyAny>>,
    max_iterations: i64,
    tolerance: f64,
    n_init: i64,
    seed: u64,
    sample_weight: Option<&Bound<'py, PyAny>>,
    callback: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, f64, i64)> {
    let call = Call::new(x.py(), "kmeans", ctx)?;
    let mut listener = callback.map(|callback| Listener {
        callback: callback.clone().unbind(),
        error: None,
    });
    let (name, given) = match init {
        None => (None, None),
        Some(init) => match init.cast::<PyString>() {
            Ok(name) => (Some(name.to_cow()?), None),
            Err(_) => (None, Some(init)),
        },
    };
    let params = OmmaKmeansParams {
        struct_size: size_of::<OmmaKmeansParams>() as u32,
        flags: capi::OMMA_KMEANS_TOLERANCE,
        init: call.choice("init", name.as_deref().unwrap_or("k-means++"), &INITS)?,
        reserved: 0,
        max_iterations: count(&call, "max_iterations", max_iterations)?,
        n_init: count(&call, "n_init", n_init)?,
        seed,
        tolerance,
        callback: listener.is_some().then_some(listen as _),
        callback_user: listener
            .as_mut()
            .map_or(null_mut(), |l| std::ptr::from_mut(l).cast()),
    };
    let k = count(&call, "k", k)?;
    let x = call.input("x", x)?;
    let init = call.optional("init", given)?;
    let init = init.as_ref().map(Tensor::descriptor);
    let weight = call.optional("sample_weight", sample_weight)?;
    let weight = weight.as_ref().map(Tensor::descriptor);
    if k > x.dim(0) {
        let words = format!("k is {k}, more than x has rows ({})", x.dim(0));
        return Err(call.error(OMMA_INVALID_ARGUMENT, &words));
    }
    let labels = Tensor::empty(&call, &[x.dim(0)], DType::I64)?;
    let centroids = Tensor::empty(&call, &[k, x.dim(1)], DType::F32)?;
    let (mut inertia, mut iterations) = (0.0, 0);
    // SAFETY: descriptors of memory that lives during the call, a listener that does, too, and places for both numbers.
    let done = call.run(|ctx| unsafe {
        capi::omma_kmeans(
            ctx,
            &params,
            &x.descriptor(),
            pointer(&init),
            pointer(&weight),
            &labels.descriptor(),
            &centroids.descriptor(),
            &mut inertia,
            &mut iterations,
        )
    });
    if let Some(error) = listener.and_then(|l| l.error) {
        return Err(error);
    }
    done?;
    Ok((
        labels.into_object(),
        centroids.into_object(),
        inertia,
        iterations,
    ))
}

/// The first half of an iteration of k-means, over a part of the data.
///
/// Parameters
/// ----------
/// x : (N, D) float32
/// centroids : (K, D) float32
/// sample_weight : (N,) float32, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// sums : (K, D) float64
///     For each centroid the sum of the rows that are nearest to it, times their weights.
/// counts : (K,) float64
///     The sums of their weights.
/// labels : (N,) int64
///     As those of `kmeans_assign`.
/// inertia : float
///
/// Results of parts that make up the data are simply added; `kmeans_update` is the second half.
///
/// Examples
/// --------
/// >>> import omma
/// >>> sums, counts, labels, inertia = omma.kmeans_accumulate([[0, 0], [0, 1], [9, 9]], [[0, 0], [9, 8]])
/// >>> sums.tolist(), counts.tolist(), labels.tolist(), inertia
/// ([[0.0, 1.0], [9.0, 9.0]], [2.0, 1.0], [0, 0, 1], 2.0)
#[pyfunction]
#[pyo3(signature = (x, centroids, *, sample_weight=None, ctx=None))]
#[allow(clippy::type_complexity)]
pub(crate) fn kmeans_accumulate<'py>(
    x: &Bound<'py, PyAny>,
    centroids: &Bound<'py, PyAny>,
    sample_weight: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>, f64)> {
    let call = Call::new(x.py(), "kmeans_accumulate", ctx)?;
    let x = call.input("x", x)?;
    let centroids = call.input("centroids", centroids)?;
    let weight = call.optional("sample_weight", sample_weight)?;
    let weight = weight.as_ref().map(Tensor::descriptor);
    let (k, depth) = (centroids.dim(0), centroids.dim(1));
    let sums = Tensor::empty(&call, &[k, depth], DType::F64)?;
    let counts = Tensor::empty(&call, &[k], DType::F64)?;
    let labels = Tensor::empty(&call, &[x.dim(0)], DType::I64)?;
    let mut inertia = 0.0;
    // SAFETY: descriptors of memory that lives during the call, and a place for the number.
    call.run(|ctx| unsafe {
        capi::omma_kmeans_accumulate(
            ctx,
            &x.descriptor(),
            &centroids.descriptor(),
            pointer(&weight),
            &sums.descriptor(),
            &counts.descriptor(),
            &labels.descriptor(),
            &mut inertia,
        )
    })?;
    Ok((
        sums.into_object(),
        counts.into_object(),
        labels.into_object(),
        inertia,
    ))
}

/// The second half of an iteration of k-means: new centroids from sums and counts.
///
/// Parameters
/// ----------
/// sums : (K, D) float64
/// counts : (K,) float64
///     A cluster with a count of 0 keeps its row of ``centroids``.
/// centroids : (K, D) float32
///     Those that there were.
/// out : (K, D) float32, optional
///     May be ``centroids`` itself.
/// ctx : Context, optional
///
/// Returns
/// -------
/// updated : (K, D) float32
/// moved : float
///     The sum of the squared distances by which centroids moved.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.kmeans_update([[0.0, 1.0], [0.0, 0.0]], [2.0, 0.0], [[0, 0], [9, 8]])
/// (array([[0. , 0.5],
///        [9. , 8. ]], dtype=float32), 0.25)
#[pyfunction]
#[pyo3(signature = (sums, counts, centroids, *, out=None, ctx=None))]
pub(crate) fn kmeans_update<'py>(
    sums: &Bound<'py, PyAny>,
    counts: &Bound<'py, PyAny>,
    centroids: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<(Bound<'py, PyAny>, f64)> {
    let call = Call::new(sums.py(), "kmeans_update", ctx)?;
    let sums = Tensor::input(&call, "sums", sums, Some(DType::F64))?;
    let counts = Tensor::input(&call, "counts", counts, Some(DType::F64))?;
    let centroids = call.input("centroids", centroids)?;
    let out = call.output(out, centroids.shape(), DType::F32)?;
    let mut moved = 0.0;
    // SAFETY: descriptors of memory that lives during the call, and a place for the number.
    call.run(|ctx| unsafe {
        let (sums, counts) = (&sums.descriptor(), &counts.descriptor());
        let (centroids, out) = (&centroids.descriptor(), &out.descriptor());
        capi::omma_kmeans_update(ctx, sums, counts, centroids, out, &mut moved)
    })?;
    Ok((out.into_object(), moved))
}

/// Sizes that stand for the sizes of boxes: k-means with the distance ``1 - IoU`` of widths and heights.
///
/// Parameters
/// ----------
/// wh : (N, 2) float32
///     Positive and finite.
/// k : int
///     At most N.
/// average : ``"median"`` or ``"mean"``
///     What an anchor is of its boxes, for each side.
/// init : (k, 2) float32, optional
///     The first anchors; else they are drawn as in k-means++ by the distance ``1 - IoU``.
/// max_iterations : int
/// seed : int
/// ctx : Context, optional
///
/// Returns
/// -------
/// anchors : (k, 2) float32
///     In ascending order of area.
/// labels : (N,) int64
///     The anchor with the largest IoU, of equal ones the lowest.
/// mean_iou : float
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.kmeans_anchors([[8, 9], [1, 2], [9, 9], [2, 2]], 2)[:2]
/// (array([[1.5, 2. ],
///        [8.5, 9. ]], dtype=float32), array([1, 0, 1, 0]))
#[pyfunction]
#[pyo3(signature = (wh, k, *, average="median", init=None, max_iterations=300, seed=0, ctx=None))]
pub(crate) fn kmeans_anchors<'py>(
    wh: &Bound<'py, PyAny>,
    k: i64,
    average: &str,
    init: Option<&Bound<'py, PyAny>>,
    max_iterations: i64,
    seed: u64,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, f64)> {
    let call = Call::new(wh.py(), "kmeans_anchors", ctx)?;
    let params = OmmaKmeansAnchorsParams {
        struct_size: size_of::<OmmaKmeansAnchorsParams>() as u32,
        average: call.choice("average", average, &AVERAGES)?,
        max_iterations: count(&call, "max_iterations", max_iterations)?,
        seed,
    };
    let k = count(&call, "k", k)?;
    let wh = call.input("wh", wh)?;
    let init = call.optional("init", init)?;
    let init = init.as_ref().map(Tensor::descriptor);
    if k > wh.dim(0) {
        let words = format!("k is {k}, more than wh has rows ({})", wh.dim(0));
        return Err(call.error(OMMA_INVALID_ARGUMENT, &words));
    }
    let anchors = Tensor::empty(&call, &[k, 2], DType::F32)?;
    let labels = Tensor::empty(&call, &[wh.dim(0)], DType::I64)?;
    let mut mean = 0.0;
    // SAFETY: descriptors of memory that lives during the call, and a place for the number.
    call.run(|ctx| unsafe {
        let (anchors, labels) = (&anchors.descriptor(), &labels.descriptor());
        let (wh, init) = (&wh.descriptor(), pointer(&init));
        capi::omma_kmeans_anchors(ctx, &params, wh, init, anchors, labels, &mut mean)
    })?;
    Ok((anchors.into_object(), labels.into_object(), mean))
}
