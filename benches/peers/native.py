"""The crate of `native`: what the machine can do at most, and matrixmultiply."""

import ctypes
import functools
import os

import numpy as np

PATH = os.environ.get("OMMA_PEERS_NATIVE", "")
_library = ctypes.CDLL(PATH)
# Set by install, which reads it off Cargo.lock.
VERSION = os.environ.get("OMMA_PEERS_MATRIXMULTIPLY", "unknown")

_library.omma_peers_peak.argtypes = [ctypes.c_size_t, ctypes.c_double]
_library.omma_peers_peak.restype = ctypes.c_double
_library.omma_peers_bandwidth.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_double]
_library.omma_peers_bandwidth.restype = ctypes.c_double
_library.omma_peers_matrixmultiply.argtypes = [ctypes.c_size_t] * 3 + [ctypes.c_void_p] * 3
_library.omma_peers_matrixmultiply.restype = None


class Machine:
    """The limits of `threads` cores, measured now: multiply-adds in registers, and bytes moved within working sets."""

    def __init__(self, threads: int, quick: bool) -> None:
        seconds = 0.1 if quick else 0.5
        self.flops = _library.omma_peers_peak(threads, seconds)
        # From the first-level cache to memory.
        sizes = [1 << i for i in range(14, 29, 4 if quick else 1)]
        self.bandwidth = [(size, _library.omma_peers_bandwidth(threads, size, seconds)) for size in sizes]

    def seconds(self, flops: float, moved: float) -> float:
        """The least time for so many operations and so many bytes, as fast as a working set of that size allows."""
        sizes, rates = zip(*self.bandwidth, strict=True)
        # In logarithms, as the sizes are.
        rate = float(np.interp(np.log2(max(moved, 1)), np.log2(sizes), rates))
        return max(flops / self.flops, moved / rate)


@functools.cache
def machine(threads: int, quick: bool) -> Machine:
    """Measured once a run."""
    return Machine(threads, quick)


def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray):
    """A call of matrixmultiply without arguments. The arrays are compact float32."""
    (m, k), n = a.shape, b.shape[1]
    assert b.shape[0] == k and out.shape == (m, n)
    assert all(x.flags.c_contiguous and x.dtype == np.float32 for x in (a, b, out))
    function = _library.omma_peers_matrixmultiply
    pointers = [ctypes.c_void_p(x.ctypes.data) for x in (a, b, out)]

    def call(arrays=(a, b, out)) -> None:
        function(m, n, k, *pointers)

    return call
