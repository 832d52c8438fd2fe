"""Nearest neighbours, matches, modes and assignment."""

from typing import Any

import numpy as np

from .. import packages
from ..rows import Contestant, Maker, Mismatch, Row, close, context, returning


def ranked(got: Any, expected: Any) -> str:
    """The neighbours are the same but for some at the end, their order where distances differ."""
    (indices, distances), (theirs, squares) = got, expected
    differ = sum(np.count_nonzero(~np.isin(mine, others)) for mine, others in zip(indices, theirs))
    if differ > 1e-3 * indices.size:
        raise Mismatch(f"{differ} of {indices.size} neighbours differ")
    return f"{differ} neighbours differ; " + close(1e-4, 1e-3)(distances, squares)


def knn(q: int, n: int, d: int, k: int, axis: str = "", size: float = 0) -> Row:
    """The k nearest of n points for q queries, by squared Euclidean distance."""

    def contestants() -> dict[str, Maker]:
        rng = np.random.default_rng(11)
        queries, data = rng.random((q, d), np.float32), rng.random((n, d), np.float32)

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            return returning(lambda: omma.knn(queries, data, k, "sqeuclidean", ctx=ctx), tuple)

        def faiss(threads: int) -> Contestant:
            index = packages.load("faiss").IndexFlatL2(d)
            index.add(data)
            return returning(lambda: index.search(queries, k), lambda found: (found[1], found[0]))

        return {"omma": omma, "faiss": faiss}

    work = 2.0 * q * n * d
    return Row("knn", f"{q} queries x {n}x{d}, k {k}", contestants, ranked, work, 4.0 * n * d, axis, size)


def matches(got: Any, expected: Any) -> str:
    """The very same pairs."""
    if not np.array_equal(got, expected):
        raise Mismatch(f"{len(got)} pairs against {len(expected)}, not the same")
    return f"the same {len(got)} pairs"


def match_descriptors(n: int, d: int, binary: bool = False) -> Row:
    """The two nearest of each, and of these the pairs that pass Lowe's test."""

    def contestants() -> dict[str, Maker]:
        rng = np.random.default_rng(12)
        if binary:
            a = rng.integers(0, 256, (n, d), np.uint8)
            b = a[rng.permutation(n)] ^ (1 << rng.integers(0, 40, (n, d))).astype(np.uint8)
        else:
            a = rng.random((n, d), np.float32)
            b = a[rng.permutation(n)] + rng.normal(0, 0.1, (n, d)).astype(np.float32)

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            return returning(lambda: omma.match_descriptors(a, b, ratio=0.75, ctx=ctx), lambda found: found[0])

        def opencv(threads: int) -> Contestant:
            cv2 = packages.load("opencv")
            matcher = cv2.BFMatcher(cv2.NORM_HAMMING if binary else cv2.NORM_L2)

            def passed(found: Any) -> np.ndarray:
                good = [(m.queryIdx, m.trainIdx) for m, n in found if m.distance < 0.75 * n.distance]
                return np.array(good, np.int64).reshape(-1, 2)

            return returning(lambda: matcher.knnMatch(a, b, k=2), passed)

        return {"omma": omma, "opencv": opencv}

    name = f"Hamming 2-nn, {n}x{n}x{d} bytes" if binary else f"2-nn, {n}x{n}x{d}"
    work = 0.0 if binary else 2.0 * n * n * d
    return Row("match_descriptors", name, contestants, matches, work, 8.0 * n * d)


def mean_shift(n: int, d: int) -> Row:
    """Eight heaps of points, each point a seed."""

    def contestants() -> dict[str, Maker]:
        rng = np.random.default_rng(13)
        middles = rng.uniform(-10, 10, (8, d))
        x = (middles[rng.integers(0, 8, n)] + rng.normal(0, 1, (n, d))).astype(np.float32)
        bandwidth = 1.5

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            return returning(lambda: omma.mean_shift(x, bandwidth, ctx=ctx), lambda found: found[1])

        def sklearn(threads: int) -> Contestant:
            packages.load("sklearn")
            from sklearn.cluster import MeanShift

            # In float32 it would compute means in float32.
            wide = x.astype(np.float64)
            return returning(lambda: MeanShift(bandwidth=bandwidth).fit(wide), lambda found: found.cluster_centers_)

        return {"omma": omma, "sklearn": sklearn}

    return Row("mean_shift", f"{n}x{d}", contestants, close(1e-4, 1e-5), 0, 8.0 * n * d)


def linear_assignment(n: int, kind: str = "uniform", axis: str = "", size: float = 0) -> Row:
    """A square matrix of costs; what is compared is the total."""

    def contestants() -> dict[str, Maker]:
        rng = np.random.default_rng(14)
        cost = rng.random((n, n)) if kind == "uniform" else rng.integers(0, 100, (n, n)).astype(np.float64)

        def total(found: Any) -> float:
            return float(cost[found[0], found[1]].sum())

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            return returning(lambda: omma.linear_assignment(cost, ctx=ctx), total)

        def scipy(threads: int) -> Contestant:
            packages.load("scipy")
            from scipy.optimize import linear_sum_assignment

            return returning(lambda: linear_sum_assignment(cost), total)

        def lap(threads: int) -> Contestant:
            module = packages.load("lap")
            return returning(lambda: module.lapjv(cost), lambda found: float(found[0]))

        return {"omma": omma, "scipy": scipy, "lap": lap}

    name = f"{n}²" if kind == "uniform" else f"{n}², whole numbers below 100"
    return Row("linear_assignment", name, contestants, close(1e-9, 1e-9), 0, 8.0 * n * n, axis, size)


def rows() -> list[Row]:
    """The table, then how cost grows."""
    table = [knn(1000, 100_000, 128, k) for k in (1, 10, 100, 1024)]
    table += [match_descriptors(2000, 128), match_descriptors(2000, 32, True), mean_shift(2000, 2)]
    table += [linear_assignment(n, kind) for kind in ("uniform", "ties") for n in (500, 1000)]
    return table + [linear_assignment(n, "uniform", "rows", n) for n in (16, 64, 256, 1024)]
