"""Images at other places, beside OpenCV and torch: a picture of 1920x1080 turned by 15 degrees, and one through the maps of a lens."""

import math

import numpy as np

from .. import packages
from ..rows import Agreement, Contestant, Maker, Row, close, context, returning, writing
from .image import picture

SIZE = (1080, 1920)

# The largest difference: a rounding of bytes, and of coordinates of a thousand among floats of some hundreds.
AGREE: dict[str, Agreement] = {"u8": close(1), "f32": close(0.1)}


def kinds(kind: str) -> tuple[type, int]:
    """u8c3, f32c1, … as a type and channels."""
    return (np.uint8 if kind[:2] == "u8" else np.float32), int(kind[-1])


def rotation(degrees: float) -> np.ndarray:
    """From the turned picture to the picture, around its centre."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = (SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2
    return np.array([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y]])


def lens() -> tuple[np.ndarray, np.ndarray]:
    """Maps that undo a barrel."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    y, x = y - (SIZE[0] - 1) / 2, x - (SIZE[1] - 1) / 2
    bend = 1 - 0.15e-6 * (x * x + y * y)
    return (x * bend + (SIZE[1] - 1) / 2).astype(np.float32), (y * bend + (SIZE[0] - 1) / 2).astype(np.float32)


def warp(operator: str, kind: str, name: str, interpolation: str = "linear", axis: str = "", degrees: float = 15) -> Row:
    """`warp_affine` or `warp_perspective`."""
    dtype, channels = kinds(kind)

    def contestants() -> dict[str, Maker]:
        img = picture(*SIZE, channels, dtype)
        matrix = rotation(degrees)
        if operator == "warp_perspective":
            matrix = np.vstack([matrix, [1e-5, 2e-5, 1]])

        def omma(threads: int) -> Contestant:
            import omma

            out, ctx, run = np.empty_like(img), context(threads), getattr(omma, operator)
            options = dict(interpolation=interpolation, inverse=True, ctx=ctx)
            return writing(lambda: run(img, matrix, SIZE, out=out, **options), out)

        def opencv(threads: int) -> Contestant:
            cv2 = packages.load("opencv")
            run = cv2.warpAffine if operator == "warp_affine" else cv2.warpPerspective
            flags = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}[interpolation] | cv2.WARP_INVERSE_MAP
            out = np.empty_like(img)
            return writing(lambda: run(img, matrix, SIZE[::-1], dst=out, flags=flags), out)

        return {"omma": omma, "opencv": opencv}

    moved = 2.0 * np.dtype(dtype).itemsize * channels * math.prod(SIZE)
    return Row(operator, name, contestants, AGREE[kind[:-2]], 0, moved, axis, degrees)


def remap(kind: str, name: str, plan: bool = False) -> Row:
    """Through the lens; with `plan` omma's maps are kept."""
    dtype, channels = kinds(kind)

    def contestants() -> dict[str, Maker]:
        img, (x, y) = picture(*SIZE, channels, dtype), lens()

        def omma(threads: int) -> Contestant:
            import omma

            out, ctx = np.empty_like(img), context(threads)
            if plan:
                kept = omma.Remap(x, y, ctx=ctx)
                return writing(lambda: kept.run(img, out, ctx=ctx), out)
            return writing(lambda: omma.remap(img, x, y, out=out, ctx=ctx), out)

        def opencv(threads: int) -> Contestant:
            cv2 = packages.load("opencv")
            out = np.empty_like(img)
            return writing(lambda: cv2.remap(img, x, y, cv2.INTER_LINEAR, dst=out), out)

        return {"omma": omma, "opencv": opencv}

    moved = (2.0 * np.dtype(dtype).itemsize * channels + 8) * math.prod(SIZE)
    return Row("remap", name, contestants, AGREE[kind[:-2]], 0, moved)


def grid_sample(shape: tuple[int, int, int, int], size: tuple[int, int], name: str, mode: str = "bilinear") -> Row:
    """Planes turned by some degrees."""
    out_shape = (*shape[:2], *size)

    def contestants() -> dict[str, Maker]:
        x = np.random.default_rng(12).random(shape, dtype=np.float32)
        gy, gx = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
        cos, sin = math.cos(0.2), math.sin(0.2)
        grid = np.stack([gx * cos - gy * sin, gx * sin + gy * cos], -1).astype(np.float32)
        grid = np.repeat(grid[None], shape[0], 0)

        def omma(threads: int) -> Contestant:
            import omma

            out, ctx = np.empty(out_shape, np.float32), context(threads)
            return writing(lambda: omma.grid_sample(x, grid, mode, out=out, ctx=ctx), out)

        def torch(threads: int) -> Contestant:
            module = packages.load("torch")
            tensors = module.from_numpy(x), module.from_numpy(grid)
            run = module.nn.functional.grid_sample
            return returning(lambda: run(*tensors, mode=mode, align_corners=False), lambda y: y.numpy())

        return {"omma": omma, "torch": torch}

    outputs = float(math.prod(out_shape))
    moved = 4 * (outputs + math.prod(shape) + 2.0 * shape[0] * math.prod(size))
    return Row("grid_sample", name, contestants, close(1e-3), 8 * outputs, moved)


def rows() -> list[Row]:
    """The table, then other angles."""
    made = [warp("warp_affine", kind, f"1920x1080 rot 15°, {kind}") for kind in ("u8c3", "u8c1", "f32c1", "f32c3")]
    made += [warp("warp_perspective", kind, f"1920x1080, {kind}") for kind in ("u8c3", "f32c1")]
    made += [remap("u8c3", "u8c3"), remap("f32c1", "f32c1"), remap("u8c3", "u8c3, maps kept", plan=True)]
    made += [
        grid_sample((1, 256, 50, 50), (100, 100), "256x50² to 100²"),
        grid_sample((8, 64, 56, 56), (56, 56), "8x64x56²"),
        grid_sample((8, 64, 56, 56), (56, 56), "8x64x56², bicubic", "bicubic"),
    ]
    sweep = [warp("warp_affine", "u8c3", f"1920x1080 rot {d}°, u8c3", "linear", "degrees", d) for d in (1, 45, 89)]
    return made + sweep
