"""Every size of camera crossed with the sizes that networks want, and with twice its own: `resize` beside OpenCV, by kind and filter.

The rows are those of sweeps, short ones and not drawn: their use is to find the size that is slow.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import packages
from ..rows import Agreement, Contestant, Maker, Row, context, writing
from .image import AGREE, picture

# Rows and columns.
SOURCES = [(480, 640), (720, 1280), (1080, 1920), (2160, 3840)]
SIDES = [224, 416, 640]
WORK = [
    ("linear", "u8c3"),
    ("cubic", "u8c3"),
    ("area", "u8c3"),
    ("nearest", "u8c3"),
    ("linear", "u8c1"),
    ("linear", "f32c3"),
    ("cubic", "f32c3"),
    ("linear", "f32c1"),
]

# The rows of a picture follow each other.
kept = functools.lru_cache(maxsize=1)(picture)


def sampled(agree: Agreement) -> Agreement:
    """Of large results every n-th row: the whole would take longer to compare than to make."""

    def some(got: Any, expected: Any) -> str:
        step = max(1, expected.size // (1 << 21))
        return agree(got[::step], expected[::step])

    return some


def resize(kind: str, source: tuple[int, int], size: tuple[int, int], interpolation: str) -> Row:
    """A picture of `source` (rows, columns) to `size`."""
    dtype, channels = (np.uint8 if kind[:2] == "u8" else np.float32), int(kind[-1])
    shape = (*size, channels) if channels > 1 else size

    def contestants() -> dict[str, Maker]:
        img = kept(*source, channels, dtype)

        def omma(threads: int) -> Contestant:
            import omma

            out, ctx = np.empty(shape, dtype), context(threads)
            return writing(lambda: omma.resize(img, size, interpolation, out=out, ctx=ctx), out)

        def opencv(threads: int) -> Contestant:
            cv2 = packages.load("opencv")
            flag = getattr(cv2, f"INTER_{interpolation.upper()}")
            out = np.empty(shape, dtype)
            return writing(lambda: cv2.resize(img, size[::-1], out, interpolation=flag), out)

        return {"omma": omma, "opencv": opencv}

    # Samples along an axis that a destination pixel depends on.
    taps = {"nearest": 1, "linear": 2, "cubic": 4}.get(interpolation, max(source))
    touched = math.prod(min(have, taps * want) for have, want in zip(source, size, strict=True))
    moved = float(np.dtype(dtype).itemsize * channels * (touched + math.prod(size)))
    target = f"{size[0]}²" if size[0] == size[1] else f"{size[1]}x{size[0]}"
    name = f"{interpolation} {kind} {source[1]}x{source[0]} → {target}"
    axis = f"pixels of the output, {interpolation} {kind} from {source[1]}x{source[0]}"
    return Row("resize_grid", name, contestants, sampled(AGREE[dtype]), 0, moved, axis, math.prod(size), drawn=False)


def crossed() -> Iterator[Row]:
    """Area only where both sides shrink."""
    for source in SOURCES:
        twice = (2 * source[0], 2 * source[1])
        for interpolation, kind in WORK:
            for size in [*((side, side) for side in SIDES), twice]:
                if interpolation != "area" or (size[0] < source[0] and size[1] < source[1]):
                    yield resize(kind, source, size, interpolation)


def rows() -> list[Row]:
    """123 of them."""
    return list(crossed())
