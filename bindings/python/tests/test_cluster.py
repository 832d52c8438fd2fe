"""Distances and k-means beside scipy and plain numpy; the halves, the callback and the words of errors."""

import numpy as np
import pytest
import scipy.cluster.vq
import scipy.spatial.distance

import omma

rng = np.random.default_rng(5)
A, B = rng.standard_normal((37, 12), dtype=np.float32), rng.standard_normal((21, 12), dtype=np.float32)


def blobs(n, d, k, seed):
    own = np.random.default_rng(seed)
    centres = own.uniform(-5, 5, (k, d))
    return (centres[own.integers(0, k, n)] + own.normal(0, 0.6, (n, d))).astype(np.float32)


@pytest.mark.parametrize(
    "metric, theirs",
    [("euclidean", "euclidean"), ("sqeuclidean", "sqeuclidean"), ("cosine", "cosine"), ("manhattan", "cityblock")],
)
def test_distances_are_those_of_scipy(metric, theirs):
    expected = scipy.spatial.distance.cdist(A.astype(float), B.astype(float), theirs)
    np.testing.assert_allclose(omma.pairwise_distance(A, B, metric), expected, rtol=2e-6, atol=1e-6)


def test_mahalanobis_and_inner_product():
    covariance = np.cov(rng.standard_normal((12, 60))).astype(np.float32)
    inverse = np.linalg.inv(covariance.astype(float))
    expected = scipy.spatial.distance.cdist(A.astype(float), B.astype(float), "mahalanobis", VI=inverse)
    got = omma.pairwise_distance(A, B, "mahalanobis", covariance=covariance)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    out = np.empty((37, 21), np.float32)
    assert omma.pairwise_distance(A, B, "inner_product", out=out) is out
    np.testing.assert_allclose(out, A @ B.T, atol=1e-5)


@pytest.mark.parametrize("n, d, k", [(500, 2, 9), (300, 8, 5), (400, 9, 7), (200, 64, 30), (100, 300, 4)])
def test_assignment_is_that_of_scipy(n, d, k):
    x = blobs(n, d, k, 1)
    labels, distances = omma.kmeans_assign(x, x[:k])
    codes, apart = scipy.cluster.vq.vq(x.astype(float), x[:k].astype(float))
    np.testing.assert_array_equal(labels, codes)
    np.testing.assert_allclose(distances, apart**2, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("n, d, k", [(500, 2, 6), (400, 10, 5), (300, 40, 8)])
def test_kmeans_is_that_of_scipy(n, d, k):
    x = blobs(n, d, k, 2)
    labels, centroids, inertia, iterations = omma.kmeans(x, k, init=x[:k], tolerance=0)
    expected, codes = scipy.cluster.vq.kmeans2(x.astype(float), x[:k].astype(float), iter=iterations, minit="matrix")
    np.testing.assert_allclose(centroids, expected, atol=1e-5)
    np.testing.assert_array_equal(labels, codes)
    assert inertia == pytest.approx(((x - expected[codes]) ** 2).sum(), rel=1e-5)


def test_seeds_and_threads():
    x = blobs(3000, 5, 12, 3)
    runs = [omma.kmeans(x, 12, seed=s, n_init=2, ctx=omma.Context(num_threads=t)) for s, t in [(1, 1), (1, 2), (2, 1)]]
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert runs[0][2:] == runs[1][2:]
    assert not np.array_equal(runs[0][1], runs[2][1])
    # k-means++ finds twelve groups that lie apart, or all but.
    assert runs[0][2] < omma.kmeans(x, 12, init="random", max_iterations=1)[2]


def test_halves_over_chunks():
    x = blobs(1000, 6, 7, 4)
    centroids = x[:7].copy()
    for _ in range(5):
        parts = [omma.kmeans_accumulate(chunk, centroids) for chunk in np.array_split(x, 3)]
        sums, counts, inertia = (sum(part[i] for part in parts) for i in (0, 1, 3))
        assert omma.kmeans_update(sums, counts, centroids, out=centroids)[0] is centroids
    labels, whole, whole_inertia, _ = omma.kmeans(x, 7, init=x[:7], max_iterations=5, tolerance=0)
    np.testing.assert_allclose(centroids, whole, atol=1e-6)
    assert counts.sum() == 1000 and inertia >= whole_inertia
    again = omma.kmeans_accumulate(x, centroids, sample_weight=np.full(1000, 2, np.float32))
    np.testing.assert_array_equal(again[2], labels)
    assert again[1].sum() == 2000


def test_callback():
    x, told = blobs(400, 3, 5, 5), []
    omma.kmeans(x, 5, init="random", callback=lambda *at: told.append(at), tolerance=0, n_init=2)
    assert {at[0] for at in told} == {0, 1} and told[0][1:3] == (1, 400) and told[-1][2] == 0
    inertias = [at[3] for at in told if at[0] == 0]
    assert all(b <= a * (1 + 1e-6) for a, b in zip(inertias, inertias[1:]))
    assert omma.kmeans(x, 5, callback=lambda run, iteration, *rest: iteration == 2, tolerance=0)[3] <= 2
    with pytest.raises(ZeroDivisionError):
        omma.kmeans(x, 5, callback=lambda *at: 1 / 0)


def test_anchors():
    wh = rng.uniform(5, 300, (500, 2)).astype(np.float32)
    anchors, labels, mean = omma.kmeans_anchors(wh, 6, average="mean", seed=2)
    inter = np.minimum(wh[:, None], anchors).prod(2)
    iou = inter / (wh.prod(1)[:, None] + anchors.prod(1) - inter)
    np.testing.assert_array_equal(labels, iou.argmax(1))
    assert mean == pytest.approx(iou.max(1).mean(), rel=1e-5)
    assert (np.diff(anchors.prod(1)) >= 0).all()
    again = omma.kmeans_anchors(wh, 6, init=anchors, max_iterations=1)[0]
    np.testing.assert_allclose(again[0], np.median(wh[labels == 0], 0), rtol=1e-6)


NAN = A.copy()
NAN[7, 3] = np.nan


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: omma.kmeans(A, 0), "kmeans: k is 0, expected at least 1"),
        (lambda: omma.kmeans(A, 38), r"kmeans: k is 38, more than x has rows \(37\)"),
        (lambda: omma.kmeans(A, 3, init="first"), "kmeans: init is 'first', expected 'k-means\\+\\+', 'random'"),
        (lambda: omma.kmeans(A, 3, init=A[:4]), "kmeans: init has shape"),
        (lambda: omma.kmeans(A, 3, n_init=0), "kmeans: n_init is 0"),
        (lambda: omma.kmeans(A, 3, max_iterations=-1), "kmeans: max_iterations is -1"),
        (lambda: omma.kmeans(A, 3, tolerance=-1), "kmeans: tolerance is -1"),
        (lambda: omma.kmeans(NAN, 3), "kmeans: x has NaN, infinity"),
        (lambda: omma.kmeans(NAN, 3, init=A[:3]), "kmeans: x has NaN, infinity .* in row 7"),
        (lambda: omma.kmeans(A, 3, sample_weight=-A[:, 0]), "kmeans: sample_weight is -"),
        (lambda: omma.kmeans(A, 3, sample_weight=np.zeros(37, np.float32)), "sample_weight has no positive element"),
        (lambda: omma.kmeans_assign(A, B[:, 1:]), "kmeans_assign: centroids has 11 columns, x has 12"),
        (lambda: omma.kmeans_assign(A, B[:0]), "kmeans_assign: centroids has no rows"),
        (lambda: omma.kmeans_assign(A, NAN), "kmeans_assign: centroids has NaN, infinity .* in row 7"),
        (lambda: omma.kmeans_update(np.zeros((2, 3)), np.array([1.0, -1.0]), np.zeros((2, 3), np.float32)), "counts is -1"),
        (lambda: omma.kmeans_anchors([[1, 2], [0, 1]], 1), r"kmeans_anchors: wh is \[0.0, 1.0\] in row 1"),
        (lambda: omma.kmeans_anchors([[1, 2]], 2), "kmeans_anchors: k is 2, more than wh has rows"),
        (lambda: omma.pairwise_distance(A, B, "hamming"), "pairwise_distance: metric is 'hamming'"),
        (lambda: omma.pairwise_distance(A, B, "mahalanobis"), "needs a covariance"),
        (lambda: omma.pairwise_distance(A, B, covariance=np.eye(12, dtype=np.float32)), "covariance is given"),
        (lambda: omma.pairwise_distance(A, B, "mahalanobis", covariance=np.ones((12, 12), np.float32)), "not positive definite"),
    ],
)
def test_errors(call, words):
    with pytest.raises(omma.OmmaError, match=words):
        call()
