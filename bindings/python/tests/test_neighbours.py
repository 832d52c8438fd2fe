"""Neighbours, matches, modes and assignment beside numpy, OpenCV and scipy."""

import cv2
import numpy as np
import pytest
import scipy.optimize
import scipy.spatial.distance

import omma

rng = np.random.default_rng(21)


def floats(*shape):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine", "manhattan"])
def test_knn_is_a_sort_of_all_distances(metric):
    queries, data = floats(40, 19), floats(500, 19)
    indices, distances = omma.knn(queries, data, 12, metric)
    name = "cityblock" if metric == "manhattan" else metric
    every = scipy.spatial.distance.cdist(queries.astype(float), data.astype(float), name)
    expected = np.argsort(every, axis=1, kind="stable")[:, :12]
    assert np.array_equal(indices, expected)
    assert np.allclose(distances, np.take_along_axis(every, expected, 1), 1e-6, 1e-6)


def test_knn_by_product_and_covariance():
    queries, data = floats(7, 5), floats(60, 5)
    indices, products = omma.knn(queries, data, 4, "inner_product")
    assert np.array_equal(indices, np.argsort(-(queries.astype(float) @ data.T.astype(float)), axis=1)[:, :4])
    assert np.all(np.diff(products, axis=1) <= 0)
    covariance = np.diag([1, 4, 9, 16, 25]).astype(np.float32)
    scaled = [x / np.arange(1, 6, dtype=np.float32) for x in (queries, data)]
    found = omma.knn(queries, data, 4, "mahalanobis", covariance=covariance)
    assert np.array_equal(found[0], omma.knn(*scaled, 4)[0])


@pytest.mark.parametrize("binary", [False, True])
def test_matches_are_those_of_opencv(binary):
    if binary:
        a, b = rng.integers(0, 256, (2, 150, 32), np.uint8)
        b[:50] = a[100:]
    else:
        a, b = floats(150, 64), floats(150, 64)
        b[:50] = a[100:] + 0.1 * floats(50, 64)
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING if binary else cv2.NORM_L2)
    expected = [m for m, n in matcher.knnMatch(a, b, k=2) if m.distance < 0.8 * n.distance]
    pairs, distances = omma.match_descriptors(a, b, ratio=0.8)
    assert len(expected) >= 50
    assert pairs.tolist() == [[m.queryIdx, m.trainIdx] for m in expected]
    assert np.allclose(distances, [m.distance for m in expected], 1e-5)
    near, _ = omma.match_descriptors(a, b, cross_check=True, max_distance=float(distances.max()))
    back, _ = omma.match_descriptors(b, a, cross_check=True, max_distance=float(distances.max()))
    assert sorted(near.tolist()) == sorted(back[:, ::-1].tolist())


def test_mean_shift():
    x = np.concatenate([floats(60, 2) / 4, floats(40, 2) / 4 + 5, [[30, 30]]]).astype(np.float32)
    labels, centers = omma.mean_shift(x, 1.5)
    assert np.array_equal(labels, np.repeat([0, 1, 2], [60, 40, 1]))
    assert np.allclose(centers[:2], [x[:60].mean(0), x[60:100].mean(0)], atol=1e-4)
    labels, centers = omma.mean_shift(x, 1.5, bin_seeding=True, min_bin_freq=3, cluster_all=False)
    assert labels[-1] == -1 and len(centers) == 2
    labels, centers = omma.mean_shift(x, 1.0, kernel="gaussian", seeds=[[0, 0], [5, 5]])
    assert np.array_equal(labels, np.repeat([0, 1, 1], [60, 40, 1])) and centers.shape == (2, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (50, 50), (30, 80), (80, 30), (0, 4), (120, 120)])
def test_assignments_cost_what_those_of_scipy_do(shape, dtype):
    for cost in (rng.random(shape), rng.integers(0, 6, shape), np.where(rng.random(shape) < 0.3, np.inf, rng.random(shape))):
        cost = cost.astype(dtype)
        for values, maximize in [(cost, False), (-cost, True), (cost.T, False)]:
            try:
                expected = scipy.optimize.linear_sum_assignment(values, maximize)
            except ValueError:
                with pytest.raises(omma.OmmaError, match="infeasible"):
                    omma.linear_assignment(values, maximize)
                continue
            rows, cols = omma.linear_assignment(values, maximize)
            assert np.all(np.diff(rows) > 0) and len(np.unique(cols)) == len(rows) == min(shape)
            assert values[rows, cols].sum(dtype=float) == pytest.approx(values[expected].sum(dtype=float), 1e-12)


def test_bad_arguments_are_named():
    x = floats(5, 3)
    for call, words in [
        (lambda: omma.knn(x, x, 6), "k is 6, data has 5 rows"),
        (lambda: omma.knn(x, x, 0), "k is 0, expected 1 to 1024"),
        (lambda: omma.knn(x, x, 1, "hamming"), "metric is 'hamming'"),
        (lambda: omma.match_descriptors(x, x[:, :2]), "b has 2 columns, a has 3"),
        (lambda: omma.match_descriptors(x, x, ratio=-1.0), "ratio is -1"),
        (lambda: omma.mean_shift(x, 0), "bandwidth is 0"),
        (lambda: omma.mean_shift(x, 1, max_iterations=0), "max_iterations is 0"),
        (lambda: omma.linear_assignment([[np.nan]]), r"cost\[0, 0\] is NaN"),
    ]:
        with pytest.raises(omma.OmmaError, match=words):
            call()
