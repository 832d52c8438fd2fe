"""The peers as packages: which there are, loading them late, holding each to a number of threads.

A peer that does not load is remembered with its reason, for the report.
"""

import functools
import importlib
import importlib.metadata
import os
from typing import Any

# package -> (module, distribution)
PACKAGES = {
    "numpy": ("numpy", "numpy"),
    "scipy": ("scipy", "scipy"),
    "opencv": ("cv2", "opencv-python-headless"),
    "onnxruntime": ("onnxruntime", "onnxruntime"),
    "openvino": ("openvino", "openvino"),
    "faiss": ("faiss", "faiss-cpu"),
    "sklearn": ("sklearn", "scikit-learn"),
    "lap": ("lap", "lap"),
    "matrixmultiply": ("peers.native", None),
    "torch": ("torch", "torch"),
    "torchvision": ("torchvision", "torchvision"),
}
DEFAULT = [name for name in PACKAGES if name not in ("torch", "torchvision")]

missing: dict[str, str] = {}


def restrain(threads: int) -> None:
    """Before anything is imported: thread pools that read the environment once get the most that will be asked for."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    # Idle threads of OpenBLAS otherwise turn for some 25 ms, in the others' time. This is 2^20 cycles.
    os.environ["OPENBLAS_THREAD_TIMEOUT"] = "20"
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENVINO_TELEMETRY_OPT_OUT", "1")


@functools.cache
def load(package: str) -> Any:
    """The module of a package, or None when it does not load; `missing` then says why."""
    try:
        module = importlib.import_module(PACKAGES[package][0])
    except Exception as error:  # Whatever a broken package does when it is imported.
        missing[package] = f"{type(error).__name__}: {error}".split("\n")[0]
        return None
    if package == "torch":
        module.set_grad_enabled(False)
    return module


def version(package: str) -> str:
    """The version of a package that loaded."""
    distribution = PACKAGES[package][1]
    if distribution is None:
        return load(package).VERSION
    return importlib.metadata.version(distribution)


def limit(packages: list[str], threads: int) -> None:
    """Holds those of the packages that loaded to so many threads. Sessions and contexts get theirs when they are made."""
    import threadpoolctl

    for package in packages:
        module = load(package)
        if module is None:
            continue
        if package == "opencv":
            module.setNumThreads(threads)
        elif package == "torch":
            module.set_num_threads(threads)
        elif package == "faiss":
            module.omp_set_num_threads(threads)
    # BLAS and OpenMP of whatever was loaded.
    threadpoolctl.threadpool_limits(threads)
