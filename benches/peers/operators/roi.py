"""Regions of interest: boxes with sides of 16 to 128 in a picture of 800², on a map of a sixteenth of that."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import graphs, packages
from ..rows import Contestant, Maker, Row, close, context, returning, same, writing

MAP = (1, 256, 50, 50)
SCALE = 1 / 16


def scene(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A map and RoIs with their image."""
    rng = np.random.default_rng(9)
    low = rng.uniform(0, 672, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(16, 128, (count, 2))], 1)
    x = rng.random(MAP, dtype=np.float32)
    return x, np.concatenate([np.zeros((count, 1)), boxes], 1).astype(np.float32)


def torchvision(operator: str, x: np.ndarray, rois: np.ndarray, *arguments: Any) -> Contestant:
    """An operator of torchvision.ops."""
    torch = packages.load("torch")
    run = getattr(packages.load("torchvision").ops, operator)
    tensors = torch.from_numpy(x), torch.from_numpy(rois)
    return returning(lambda: run(*tensors, *arguments), lambda y: y.numpy())


def align(ratio: int, count: int, name: str, axis: str = "", size: float = 0) -> Row:
    """The mean of bilinear samples; ratio 0 is adaptive."""
    out = (count, MAP[1], 7, 7)

    def contestants() -> dict[str, Maker]:
        x, rois = scene(count)

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx = np.empty(out, np.float32), context(threads)
            return writing(lambda: omma.roi_align(x, rois, 7, SCALE, ratio, out=y, ctx=ctx), y)

        def proto() -> bytes:
            constants = {"rois": np.ascontiguousarray(rois[:, 1:]), "images": np.zeros(count, np.int64)}
            attributes = dict(output_height=7, output_width=7, sampling_ratio=ratio, spatial_scale=SCALE)
            transform = "output_half_pixel"
            return graphs.model(
                "RoiAlign", {"x": x}, out, constants, coordinate_transformation_mode=transform, **attributes
            )

        return {
            "omma": omma,
            "torchvision": lambda threads: torchvision("roi_align", x, rois, 7, SCALE, ratio),
            **graphs.engines(proto, {"x": x}, out),
        }

    samples = ratio**2 if ratio else 1.3
    outputs = float(np.prod(out))
    return Row("roi_align", name, contestants, close(1e-5), 8 * samples * outputs, 4 * (outputs + np.prod(MAP)), axis, size)


def pool(count: int, name: str, axis: str = "", size: float = 0) -> Row:
    """The largest pixels."""
    out = (count, MAP[1], 7, 7)

    def contestants() -> dict[str, Maker]:
        x, rois = scene(count)

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx = np.empty(out, np.float32), context(threads)
            return writing(lambda: omma.roi_pool(x, rois, 7, SCALE, out=y, ctx=ctx), y)

        def onnxruntime(threads: int) -> Contestant:
            inputs = {"x": x, "rois": rois}
            proto = graphs.model("MaxRoiPool", inputs, out, pooled_shape=[7, 7], spatial_scale=SCALE)
            return graphs.onnxruntime(proto, inputs, out, threads)

        return {
            "omma": omma,
            "torchvision": lambda threads: torchvision("roi_pool", x, rois, 7, SCALE),
            "onnxruntime": onnxruntime,
        }

    outputs = float(np.prod(out))
    return Row("roi_pool", name, contestants, same, 0, 4 * (outputs + np.prod(MAP)), axis, size)


def rows() -> list[Row]:
    """The table, then counts that grow."""
    made = [
        align(2, 1000, "256x50² 1000 RoIs 7x7, ratio 2"),
        align(0, 1000, "256x50² 1000 RoIs 7x7, adaptive"),
        pool(1000, "256x50² 1000 RoIs 7x7"),
    ]
    sweeps: list[Callable[[int], Row]] = [
        lambda n: align(2, n, f"256x50² {n} RoIs 7x7", "RoIs", n),
        lambda n: pool(n, f"256x50² {n} RoIs 7x7", "RoIs", n),
    ]
    return made + [row(n) for n in (1, 10, 100, 300, 3000) for row in sweeps]
