"""k-means over data that no machine holds, on Dask's distributed scheduler.

    python kmeans_dask.py                              # two workers of its own
    python kmeans_dask.py tcp://scheduler:8786         # a cluster that is there already

The data are chunks that live on the workers. An iteration is `omma.kmeans_accumulate` of each chunk where it is, the sum
of what comes back (K x D numbers a chunk, however long it is), and `omma.kmeans_update` here. A cluster that no
point is nearest to keeps its centroid. Else the result is that of `omma.kmeans` over all data at once, up to the
rounding of sums.
"""

import sys

import numpy as np
from distributed import Client, LocalCluster

import omma


def load(number: int, rows: int = 20_000, dimensions: int = 16, groups: int = 12) -> np.ndarray:
    """A chunk, as if read from a file of its own: points around centres that all chunks share."""
    centres = np.random.default_rng(0).uniform(-4, 4, (groups, dimensions))
    rng = np.random.default_rng(number + 1)
    return (centres[rng.integers(0, groups, rows)] + rng.normal(0, 0.5, (rows, dimensions))).astype(np.float32)


def accumulate(chunk: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """What a chunk contributes. Runs on the worker that holds it, on all of its threads."""
    sums, counts, _, inertia = omma.kmeans_accumulate(chunk, centroids)
    return sums, counts, inertia


def add(parts: list[tuple[np.ndarray, np.ndarray, float]]) -> tuple[np.ndarray, np.ndarray, float]:
    """The contributions of some chunks as that of one."""
    sums, counts, inertia = zip(*parts, strict=True)
    return sum(sums), sum(counts), sum(inertia)


def moments(chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """For the variance, which the tolerance is relative to."""
    wide = chunk.astype(np.float64)
    return wide.sum(0), (wide**2).sum(0), len(wide)


def kmeans(client: Client, chunks: list, k: int, *, max_iterations: int = 300, tolerance: float = 1e-4, seed: int = 0):
    """`omma.kmeans` over futures of chunks: centroids, inertia, iterations. Centroids begin in the first chunk."""
    centroids = client.submit(lambda chunk: omma.kmeans(chunk, k, seed=seed)[1], chunks[0]).result()
    total, squares, count = (sum(part) for part in zip(*client.gather(client.map(moments, chunks)), strict=True))
    limit = tolerance * (squares / count - (total / count) ** 2).mean()
    inertia, iterations, moved = np.inf, 0, np.inf
    while iterations < max_iterations and moved > limit:
        there = client.scatter(centroids, broadcast=True)
        parts = client.map(accumulate, chunks, centroids=there, pure=False)
        # A tree of sums: no worker receives more than eight contributions at once.
        while len(parts) > 1:
            parts = [client.submit(add, parts[i : i + 8], pure=False) for i in range(0, len(parts), 8)]
        sums, counts, inertia = parts[0].result()
        centroids, moved = omma.kmeans_update(sums, counts, centroids)
        iterations += 1
    return centroids, inertia, iterations


def main() -> None:
    """Clusters ten chunks, and compares with all data at once."""
    if len(sys.argv) > 1:
        client = Client(sys.argv[1])
    else:
        client = Client(LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None))
    with client:
        chunks = client.map(load, range(10))
        centroids, inertia, iterations = kmeans(client, chunks, 12)
        # Only to show that it is the same: here all data fit.
        whole = np.concatenate(client.gather(chunks))
    start = omma.kmeans(load(0), 12)[1]
    _, expected, at_once, _ = omma.kmeans(whole, 12, init=start)
    np.testing.assert_allclose(centroids, expected, atol=1e-4)
    assert abs(inertia - at_once) <= 1e-3 * at_once
    print(f"{len(whole)} points in {len(chunks)} chunks: inertia {inertia:.1f} after {iterations} iterations")


if __name__ == "__main__":
    main()
