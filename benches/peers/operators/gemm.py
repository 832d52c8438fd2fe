"""Matrix products and linear layers, float32."""

import functools
import math

import numpy as np

from .. import graphs, packages
from ..rows import Contestant, Maker, NotApplicable, Row, close, context, writing


def matmul(m: int, n: int, k: int, name: str, axis: str = "", size: float = 0, operator: str = "gemm") -> Row:
    """(m, k) times (k, n), both anew in every call: nothing is packed ahead."""

    def contestants() -> dict[str, Maker]:
        rng = np.random.default_rng(2)
        a, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((m, k), (k, n)))
        inputs = {"a": a, "b": b}

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx = np.empty((m, n), np.float32), context(threads)
            return writing(lambda: omma.matmul(a, b, out=y, ctx=ctx), y)

        def numpy(threads: int) -> Contestant:
            y = np.empty((m, n), np.float32)
            return writing(lambda: np.matmul(a, b, out=y), y)

        def matrixmultiply(threads: int) -> Contestant:
            if threads > 1:
                raise NotApplicable("matrixmultiply is run on one thread")
            y = np.empty((m, n), np.float32)
            return writing(packages.load("matrixmultiply").matmul(a, b, y), y)

        def torch(threads: int) -> Contestant:
            module = packages.load("torch")
            y = np.empty((m, n), np.float32)
            ta, tb, ty = (module.from_numpy(v) for v in (a, b, y))
            return writing(lambda: module.matmul(ta, tb, out=ty), y)

        return {
            "omma": omma,
            "numpy": numpy,
            "matrixmultiply": matrixmultiply,
            **graphs.engines(functools.cache(lambda: graphs.model("MatMul", inputs, (m, n))), inputs, (m, n)),
            "torch": torch,
        }

    return Row(
        operator,
        name,
        contestants,
        close(2e-5 * math.sqrt(k)),
        flops=2.0 * m * n * k,
        bytes=4.0 * (m * k + k * n + m * n),
        axis=axis,
        size=size,
    )


def linear(batch: int, inputs: int, outputs: int, axis: str = "", size: float = 0) -> Row:
    """x times the transposed weight plus bias, with the weight packed ahead where the peer can."""

    def contestants() -> dict[str, Maker]:
        rng = np.random.default_rng(3)
        x = rng.standard_normal((batch, inputs), dtype=np.float32)
        w = rng.standard_normal((outputs, inputs), dtype=np.float32)
        bias = rng.standard_normal(outputs, dtype=np.float32)
        out = (batch, outputs)

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            plan, y = omma.Linear(w, bias, ctx=ctx), np.empty(out, np.float32)
            return writing(lambda: plan.run(x, y, ctx=ctx), y)

        def numpy(threads: int) -> Contestant:
            y, transposed = np.empty(out, np.float32), w.T

            def call() -> None:
                np.matmul(x, transposed, out=y)
                np.add(y, bias, out=y)

            return writing(call, y)

        def torch(threads: int) -> Contestant:
            module = packages.load("torch")
            y = np.empty(out, np.float32)
            tx, tw, tb, ty = (module.from_numpy(v) for v in (x, w, bias, y))
            transposed = tw.t()
            return writing(lambda: module.addmm(tb, tx, transposed, out=ty), y)

        proto = functools.cache(lambda: graphs.model("Gemm", {"x": x}, out, {"w": w, "b": bias}, transB=1))
        return {"omma": omma, "numpy": numpy, **graphs.engines(proto, {"x": x}, out), "torch": torch}

    return Row(
        "linear",
        f"{batch}x{inputs} → {outputs}",
        contestants,
        close(2e-5 * math.sqrt(inputs)),
        flops=2.0 * batch * inputs * outputs,
        bytes=4.0 * (batch * inputs + inputs * outputs + outputs + batch * outputs),
        axis=axis,
        size=size,
    )


def rows() -> list[Row]:
    """The table, then sizes and batches that grow."""
    made = [matmul(1024, 1024, 1024, "1024³")]
    made += [linear(batch, 768, 3072) for batch in (1, 16, 128)]
    made += [matmul(n, n, n, f"{n}³", "side of the matrices", n) for n in (16, 32, 64, 128, 256, 512, 1024, 2048)]
    made += [linear(batch, 1024, 1024, "batch, 1024 → 1024", batch) for batch in (1, 4, 16, 64, 256)]
    return made
