"""Convolutions, float32, NCHW, with the weight packed ahead where the peer can."""

import functools
import math
from typing import Any

import numpy as np

from .. import graphs, packages
from ..rows import Contestant, Maker, Row, close, context, returning, writing


def torch_packed(x: Any, w: Any, stride: int, padding: int, groups: int) -> Contestant:
    """oneDNN with its own order of weights, as torch's freezing makes it."""
    torch = packages.load("torch")
    pair = lambda v: [v, v]
    weight = torch._C._nn.mkldnn_reorder_conv2d_weight(
        w.to_mkldnn(), pair(padding), pair(stride), pair(1), groups, list(x.shape)
    )
    run = torch.ops.mkldnn._convolution_pointwise
    return returning(
        lambda: run(x, weight, None, pair(padding), pair(stride), pair(1), groups, "none", [], ""), lambda y: y.numpy()
    )


def row(
    operator: str,
    name: str,
    shape: tuple[int, int, int, int],
    outputs: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    axis: str = "",
    size: float = 0,
) -> Row:
    """A convolution with padding kernel // 2. The peers that pack get their weight ahead, and so does omma."""
    n, c, h, width = shape
    padding = kernel // 2
    oh, ow = ((extent + 2 * padding - kernel) // stride + 1 for extent in (h, width))
    terms = c // groups * kernel * kernel
    out = (n, outputs, oh, ow)

    def contestants() -> dict[str, Maker]:
        rng = np.random.default_rng(1)
        x = rng.standard_normal(shape, dtype=np.float32)
        w = rng.standard_normal((outputs, c // groups, kernel, kernel), dtype=np.float32)
        proto = functools.cache(
            lambda: graphs.model(
                "Conv",
                {"x": x},
                out,
                {"w": w},
                kernel_shape=[kernel] * 2,
                strides=[stride] * 2,
                pads=[padding] * 4,
                group=groups,
            )
        )

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            plan = omma.Conv2d(w, stride=stride, padding=padding, groups=groups, ctx=ctx)
            y = np.empty(out, np.float32)
            return writing(lambda: plan.run(x, out=y, ctx=ctx), y)

        def torch(threads: int) -> Contestant:
            module = packages.load("torch")
            tx, tw = module.from_numpy(x), module.from_numpy(w)
            run = module.nn.functional.conv2d
            return returning(lambda: run(tx, tw, None, stride, padding, 1, groups), lambda y: y.numpy())

        def packed(threads: int) -> Contestant:
            module = packages.load("torch")
            return torch_packed(module.from_numpy(x), module.from_numpy(w), stride, padding, groups)

        return {
            "omma": omma,
            **graphs.engines(proto, {"x": x}, out, dnn=True),
            "torch": torch,
            "torch packed": packed,
        }

    return Row(
        operator,
        name,
        contestants,
        # Sums of that many products of normal numbers, in f32, and Winograd's few more roundings.
        close(5e-5 * math.sqrt(terms)),
        flops=2.0 * math.prod(out) * terms,
        bytes=4.0 * (math.prod(shape) + outputs * terms + math.prod(out)),
        axis=axis,
        size=size,
    )


def deformable(c: int, side: int, outputs: int, kernel: int) -> Row:
    """With a mask, and offsets that reach over a few pixels. torchvision is the only peer that has it."""
    shape, out = (1, c, side, side), (1, outputs, side, side)
    taps, terms = kernel * kernel, c * kernel * kernel

    def contestants() -> dict[str, Maker]:
        rng = np.random.default_rng(1)
        normal = lambda *shape: rng.standard_normal(shape, dtype=np.float32)
        x, w, offset = normal(*shape), normal(outputs, c, kernel, kernel), 2 * normal(1, 2 * taps, side, side)
        mask = rng.random((1, taps, side, side), dtype=np.float32)

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            y = np.empty(out, np.float32)
            return writing(lambda: omma.deform_conv2d(x, offset, w, padding=kernel // 2, mask=mask, out=y, ctx=ctx), y)

        def torchvision(threads: int) -> Contestant:
            module = packages.load("torch")
            run = packages.load("torchvision").ops.deform_conv2d
            tx, to, tw, tm = (module.from_numpy(a) for a in (x, offset, w, mask))
            return returning(lambda: run(tx, to, tw, padding=kernel // 2, mask=tm), lambda y: y.numpy())

        return {"omma": omma, "torchvision": torchvision}

    return Row(
        "deform_conv2d",
        f"{c}x{side}² k{kernel}",
        contestants,
        close(5e-5 * math.sqrt(terms)),
        flops=2.0 * math.prod(out) * terms,
        bytes=4.0 * (math.prod(shape) + 3 * taps * side * side + outputs * terms + math.prod(out)),
    )


def rows() -> list[Row]:
    """The table, then maps and channels that grow."""
    made = [
        row("conv2d", f"1x{c}x{side}² → {o} k{k}" + (f" s{s}" if s > 1 else ""), (1, c, side, side), o, k, s)
        for c, side, o, k, s in [
            (3, 224, 64, 7, 2),
            (64, 56, 64, 3, 1),
            (256, 56, 64, 1, 1),
            (128, 56, 128, 3, 2),
            (256, 14, 256, 3, 1),
            (512, 7, 512, 3, 1),
            (1024, 14, 2048, 1, 2),
            (64, 320, 64, 3, 1),
        ]
    ]
    made += [
        row("depthwise", f"{c}x{side}² k{k}" + (f" s{s}" if s > 1 else ""), (1, c, side, side), c, k, s, c)
        for c, side, k, s in [(144, 56, 3, 1), (32, 112, 3, 1), (576, 14, 5, 2)]
    ]
    made += [row("grouped", "128x28² k3 g32", (1, 128, 28, 28), 128, 3, 1, 32)]
    made += [deformable(64, 56, 64, 3), deformable(256, 28, 256, 3)]
    for side in (7, 14, 28, 56, 112, 224):
        made += [
            row("conv2d", f"1x64x{side}² → 64 k3", (1, 64, side, side), 64, 3, axis="side of the map, 64 → 64 k3", size=side),
            row("conv2d", f"1x128x{side}² → 128 k1", (1, 128, side, side), 128, 1, axis="side of the map, 128 → 128 k1", size=side),
            row("depthwise", f"64x{side}² k3", (1, 64, side, side), 64, 3, 1, 64, axis="side of the map, 64 k3", size=side),
        ]
    for c in (16, 32, 64, 128, 256, 512):
        made.append(row("conv2d", f"1x{c}x28² → {c} k3", (1, c, 28, 28), c, 3, axis="channels, 28² k3", size=c))
        made.append(
            row("grouped", f"{c}x28² k3, 4 a group", (1, c, 28, 28), c, 3, 1, c // 4, axis="channels, 28² k3, 4 a group", size=c)
        )
    return made
