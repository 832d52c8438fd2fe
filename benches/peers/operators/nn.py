"""Softmax, activations and pooling, float32."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import graphs, packages
from ..rows import Contestant, Maker, Row, close, context, returning, writing


def normal(shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers."""
    return np.random.default_rng(9).standard_normal(shape, dtype=np.float32)


def torch_out(function: Callable[..., Any], x: np.ndarray, *arguments: Any, **options: Any) -> Contestant:
    """A torch operator that writes to `out=`."""
    torch = packages.load("torch")
    y = np.empty(x.shape, np.float32)
    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    return writing(lambda: function(tx, *arguments, out=ty, **options), y)


def softmax(operator: str, shape: tuple[int, int], axis: str = "", size: float = 0) -> Row:
    """Over the last axis."""

    def contestants() -> dict[str, Maker]:
        x = normal(shape)

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx, function = np.empty_like(x), context(threads), getattr(omma, operator)
            return writing(lambda: function(x, out=y, ctx=ctx), y)

        def scipy(threads: int) -> Contestant:
            packages.load("scipy")
            import scipy.special

            function = getattr(scipy.special, operator)
            return returning(lambda: function(x, axis=-1))

        def numpy(threads: int) -> Contestant:
            y = np.empty_like(x)

            def call() -> None:
                np.subtract(x, x.max(-1, keepdims=True), out=y)
                np.exp(y, out=y)
                np.divide(y, y.sum(-1, keepdims=True), out=y)

            return writing(call, y)

        def torch(threads: int) -> Contestant:
            module = packages.load("torch")
            return torch_out(module.ops.aten._softmax if operator == "softmax" else module.ops.aten._log_softmax, x, -1, False)

        node = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}[operator]
        proto = functools.cache(lambda: graphs.model(node, {"x": x}, shape, axis=-1))
        made = {"omma": omma, **graphs.engines(proto, {"x": x}, shape), "scipy": scipy, "torch": torch}
        return made | ({"numpy": numpy} if operator == "softmax" else {})

    moved = 8.0 * math.prod(shape)
    name = "x".join(map(str, shape))
    return Row(operator, name, contestants, close(1e-6, 1e-5), 0, moved, axis, size)


def relu6(x: np.ndarray) -> bytes:
    """Clip with constant bounds."""
    bounds = {"low": np.float32(0).reshape(()), "high": np.float32(6).reshape(())}
    return graphs.model("Clip", {"x": x}, x.shape, bounds)


# operator -> the ONNX model of it for x
ACTIVATIONS: dict[str, Callable[[np.ndarray], bytes]] = {
    "relu": lambda x: graphs.model("Relu", {"x": x}, x.shape),
    "relu6": relu6,
    "leaky_relu": lambda x: graphs.model("LeakyRelu", {"x": x}, x.shape, alpha=0.01),
    "prelu": lambda x: graphs.model("PRelu", {"x": x}, x.shape, {"slope": slopes(x)}),
    "sigmoid": lambda x: graphs.model("Sigmoid", {"x": x}, x.shape),
    "tanh": lambda x: graphs.model("Tanh", {"x": x}, x.shape),
    "silu": graphs.silu,
    "hardswish": lambda x: graphs.model("HardSwish", {"x": x}, x.shape),
    "gelu": lambda x: graphs.model("Gelu", {"x": x}, x.shape),
    "gelu_tanh": lambda x: graphs.model("Gelu", {"x": x}, x.shape, approximate="tanh"),
}


def slopes(x: np.ndarray) -> np.ndarray:
    """One for each column."""
    return np.linspace(0.05, 0.5, x.shape[1], dtype=np.float32)


def torch_activation(operator: str, x: np.ndarray) -> Contestant:
    """With `out=` where torch has a kernel that writes there."""
    torch = packages.load("torch")
    aten, functional = torch.ops.aten, torch.nn.functional
    if operator in ("sigmoid", "tanh", "silu", "hardswish", "gelu", "leaky_relu"):
        return torch_out(getattr(aten, operator), x)
    if operator == "gelu_tanh":
        return torch_out(aten.gelu, x, approximate="tanh")
    if operator == "relu":
        return torch_out(aten.clamp_min, x, 0)
    if operator == "relu6":
        return torch_out(aten.hardtanh, x, 0, 6)
    tx, slope = torch.from_numpy(x), torch.from_numpy(slopes(x))
    return returning(lambda: functional.prelu(tx, slope), lambda y: y.numpy())


def array_activation(operator: str, x: np.ndarray) -> dict[str, Maker]:
    """Those that numpy and scipy have as one function."""

    def scipy(threads: int) -> Contestant:
        packages.load("scipy")
        import scipy.special

        y = np.empty_like(x)
        return writing(lambda: scipy.special.expit(x, out=y), y)

    def numpy(threads: int) -> Contestant:
        y, zero = np.empty_like(x), np.float32(0)
        if operator == "tanh":
            return writing(lambda: np.tanh(x, out=y), y)
        return writing(lambda: np.maximum(x, zero, out=y), y)

    return {"sigmoid": {"scipy": scipy}, "tanh": {"numpy": numpy}, "relu": {"numpy": numpy}}.get(operator, {})


def activation(operator: str, shape: tuple[int, int], axis: str = "", size: float = 0) -> Row:
    """Elementwise."""

    def contestants() -> dict[str, Maker]:
        x = 3 * normal(shape)

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx, function = np.empty_like(x), context(threads), getattr(omma, operator)
            if operator == "prelu":
                slope = slopes(x)
                return writing(lambda: function(x, slope, out=y, ctx=ctx), y)
            return writing(lambda: function(x, out=y, ctx=ctx), y)

        proto = functools.cache(lambda: ACTIVATIONS[operator](x))
        engines = graphs.engines(proto, {"x": x}, shape)
        return {"omma": omma, **engines, **array_activation(operator, x), "torch": lambda threads: torch_activation(operator, x)}

    # tanh, erf and exp of some engines are polynomials with an error of 3e-6.
    agree = close(5e-6, 1e-6)
    return Row(operator, "x".join(map(str, shape)), contestants, agree, 0, 8.0 * math.prod(shape), axis, size)


def pool(
    operator: str, shape: tuple[int, int, int, int], kernel: int, stride: int, axis: str = "", size: float = 0
) -> Row:
    """A window of kernel², padded by kernel // 2 when it overlaps the next."""
    padding = kernel // 2 if stride < kernel else 0
    n, c, *map_size = shape
    out = (n, c, *((extent + 2 * padding - kernel) // stride + 1 for extent in map_size))

    def contestants() -> dict[str, Maker]:
        x = normal(shape)

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx, function = np.empty(out, np.float32), context(threads), getattr(omma, operator + "2d")
            return writing(lambda: function(x, kernel, stride, padding, out=y, ctx=ctx), y)

        def torch(threads: int) -> Contestant:
            module = packages.load("torch")
            tx = module.from_numpy(x)
            function = getattr(module.nn.functional, operator + "2d")
            return returning(lambda: function(tx, kernel, stride, padding), lambda y: y.numpy())

        options = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [padding] * 4}
        node = {"max_pool": "MaxPool", "avg_pool": "AveragePool"}[operator]
        if operator == "avg_pool":
            options["count_include_pad"] = 1
        proto = functools.cache(lambda: graphs.model(node, {"x": x}, out, **options))
        return {"omma": omma, **graphs.engines(proto, {"x": x}, out, dnn=True), "torch": torch}

    name = "x".join(map(str, shape[:3])) + f"² k{kernel}" + (f" s{stride}" if stride < kernel else "")
    moved = 4.0 * (math.prod(shape) + math.prod(out))
    return Row(operator, name, contestants, close(1e-6), 0, moved, axis, size)


def rows() -> list[Row]:
    """The table, then lengths and maps that grow."""
    made = [softmax("softmax", (4096, 1000)), softmax("log_softmax", (4096, 1000))]
    made += [activation(operator, (4096, 3072)) for operator in ("gelu", *(a for a in ACTIVATIONS if a != "gelu"))]
    made += [pool("max_pool", (16, 64, 112, 112), 3, 2), pool("avg_pool", (16, 64, 112, 112), 2, 2)]
    for length in (10, 100, 1000, 10_000, 100_000):
        made.append(softmax("softmax", (64, length), "length of 64 rows", length))
    for columns in (64, 1024, 16_384, 262_144):
        made += [activation(operator, (16, columns), "elements", 16 * columns) for operator in ACTIVATIONS]
    for side in (14, 28, 56, 112, 224):
        made.append(pool("max_pool", (1, 64, side, side), 3, 2, "side of the map, 64 channels k3 s2", side))
        made.append(pool("avg_pool", (1, 64, side, side), 2, 2, "side of the map, 64 channels k2", side))
    return made
