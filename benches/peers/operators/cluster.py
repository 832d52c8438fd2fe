"""Distances and k-means. Points lie around as many centres as there are clusters, and every contestant begins with the same ones."""

from typing import Any

import numpy as np

from .. import packages
from ..rows import Agreement, Contestant, Maker, Mismatch, Row, close, context, returning, writing

ITERATIONS = 10


def points(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """n points around k centres, and k of them to begin with."""
    rng = np.random.default_rng(9)
    centres = rng.uniform(-1, 1, (k, d))
    x = (centres[rng.integers(0, k, n)] + rng.normal(0, 0.5, (n, d))).astype(np.float32)
    return x, x[rng.choice(n, k, replace=False)].copy()


def nearest(d: int) -> Agreement:
    """Labels may differ where distances do not; squared distances by what the expanded square costs, which is the
    rounding of squares of d coordinates."""

    def agree(got: Any, expected: Any) -> str:
        (labels, distances), (theirs, squares) = got, expected
        differ = np.count_nonzero(labels != theirs)
        if differ > 1e-4 * labels.size:
            raise Mismatch(f"{differ} of {labels.size} labels differ")
        return f"{differ} labels differ; " + close(1e-4 + 4e-6 * d, 1e-3)(distances, squares)

    return agree


def kmeans_assign(n: int, d: int, k: int, axis: str = "", size: float = 0) -> Row:
    """The nearest centroid and its distance."""

    def contestants() -> dict[str, Maker]:
        x, centroids = points(n, d, k)

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            return returning(lambda: omma.kmeans_assign(x, centroids, ctx=ctx), tuple)

        def faiss(threads: int) -> Contestant:
            index = packages.load("faiss").IndexFlatL2(d)
            index.add(centroids)
            return returning(lambda: index.search(x, 1), lambda found: (found[1][:, 0], found[0][:, 0]))

        return {"omma": omma, "faiss": faiss}

    work = 2.0 * n * d * k
    return Row("kmeans_assign", f"{n}x{d} k{k}", contestants, nearest(d), work, 4.0 * n * (d + 3), axis, size)


def kmeans(n: int, d: int, k: int, axis: str = "", size: float = 0) -> Row:
    """Ten iterations from given centroids, and none fewer."""

    def contestants() -> dict[str, Maker]:
        x, start = points(n, d, k)

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            options = {"init": start, "max_iterations": ITERATIONS, "tolerance": 0.0, "ctx": ctx}
            return returning(lambda: omma.kmeans(x, k, **options), lambda found: found[2])

        def faiss(threads: int) -> Contestant:
            module = packages.load("faiss")
            limits = {"max_points_per_centroid": 10**9, "min_points_per_centroid": 1}

            def run() -> Any:
                found = module.Kmeans(d, k, niter=ITERATIONS, nredo=1, **limits)
                found.train(x, init_centroids=start)
                return found

            # Its objective is that of the centroids before the last ones.
            def inertia(found: Any) -> float:
                return float(found.index.search(x, 1)[0].sum(dtype=np.float64))

            return returning(run, inertia)

        def sklearn(algorithm: str) -> Maker:
            def maker(threads: int) -> Contestant:
                packages.load("sklearn")
                from sklearn.cluster import KMeans

                options = {"n_init": 1, "max_iter": ITERATIONS, "tol": 0, "algorithm": algorithm}
                return returning(lambda: KMeans(k, init=start, **options).fit(x), lambda found: found.inertia_)

            return maker

        return {"omma": omma, "faiss": faiss, "sklearn lloyd": sklearn("lloyd"), "sklearn elkan": sklearn("elkan")}

    work = 2.0 * n * d * k * (ITERATIONS + 1)
    return Row("kmeans", f"{ITERATIONS} iterations, {n}x{d} k{k}", contestants, close(0, 1e-3), work, 4.0 * n * d, axis, size)


def pairwise_distance(n: int, d: int, metric: str, axis: str = "", size: float = 0) -> Row:
    """Every distance, stored."""

    def contestants() -> dict[str, Maker]:
        rng = np.random.default_rng(10)
        a, b = rng.standard_normal((2, n, d), dtype=np.float32)

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx = np.empty((n, n), np.float32), context(threads)
            return writing(lambda: omma.pairwise_distance(a, b, metric, out=y, ctx=ctx), y)

        def torch(threads: int) -> Contestant:
            module = packages.load("torch")
            ta, tb = module.from_numpy(a), module.from_numpy(b)
            power = 1.0 if metric == "manhattan" else 2.0
            return returning(lambda: module.cdist(ta, tb, power), lambda y: y.numpy())

        def scipy(threads: int) -> Contestant:
            packages.load("scipy")
            from scipy.spatial.distance import cdist

            name = "cityblock" if metric == "manhattan" else metric
            return returning(lambda: cdist(a, b, name))

        return {"omma": omma, "torch": torch, "scipy": scipy}

    work, moved = 2.0 * n * n * d, 8.0 * n * d + 4.0 * n * n
    return Row("pairwise_distance", f"{metric} {n}x{n}x{d}", contestants, close(1e-3, 1e-5), work, moved, axis, size)


SHAPES = [(100_000, 64, 256), (100_000, 2, 9), (20_000, 784, 10)]


def rows() -> list[Row]:
    """The table, then how cost grows with the clusters."""
    table = [kmeans(*shape) for shape in SHAPES] + [kmeans_assign(*shape) for shape in SHAPES]
    table += [pairwise_distance(2000, 64, metric) for metric in ("euclidean", "manhattan")]
    sweep = [kmeans_assign(20_000, 32, k, "clusters", k) for k in (4, 16, 64, 256, 1024)]
    return table + sweep
