"""Images beside OpenCV."""

import math
from typing import Any

import numpy as np

from .. import packages
from ..rows import Agreement, Contestant, Maker, Row, close, context, writing


def picture(h: int, w: int, channels: int, dtype: type) -> np.ndarray:
    """Smooth areas, edges and noise."""
    y, x = np.mgrid[:h, :w].astype(np.float32)
    base = 127 + 90 * np.sin(x / 17) * np.cos(y / 11) + 60 * ((x // 40 + y // 30) % 2)
    noise = np.random.default_rng(10).normal(0, 20, (h, w, channels)).astype(np.float32)
    img = np.clip(base[..., None] + noise, 0, 255).astype(dtype)
    return img[..., 0] if channels == 1 else img


def touched(size: tuple[int, int], interpolation: str) -> float:
    """Pixels of 1920x1080 that the result depends on: two of a line for each sample of linear, all for area."""
    samples = {"nearest": 1, "linear": 2, "cubic": 4}.get(interpolation, 1920)
    return float(min(1080, samples * size[0]) * min(1920, samples * size[1]))


def resize(
    kind: str, size: tuple[int, int], name: str, interpolation: str = "linear", axis: str = "", extent: float = 0
) -> Row:
    """A picture of 1920x1080 to `size` (rows, columns); `kind` is u8c3, f32c1, …"""
    dtype, channels = (np.uint8 if kind[:2] == "u8" else np.float32), int(kind[-1])
    shape = (*size, channels) if channels > 1 else size
    item = np.dtype(dtype).itemsize

    def contestants() -> dict[str, Maker]:
        img = picture(1080, 1920, channels, dtype)

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

    moved = item * channels * (touched(size, interpolation) + float(math.prod(size)))
    return Row("resize", name, contestants, AGREE[dtype], 0, moved, axis, extent)


def antialiased(interpolation: str, size: tuple[int, int], name: str) -> Row:
    """A picture of 1920x1080 of three bytes to `size` with torch's antialias."""

    def contestants() -> dict[str, Maker]:
        img = picture(1080, 1920, 3, np.uint8)
        out = np.empty((*size, 3), np.uint8)

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            return writing(lambda: omma.resize(img, size, interpolation, antialias=True, out=out, ctx=ctx), out)

        def torch(threads: int) -> Contestant:
            torch = packages.load("torch")
            # Channels last, as the picture is: torch's fastest for bytes.
            x = torch.from_numpy(img).permute(2, 0, 1)[None]
            mode = f"bi{interpolation}"

            def call() -> Any:
                y = torch.nn.functional.interpolate(x, size, mode=mode, antialias=True)
                return y[0].permute(1, 2, 0).numpy()

            return Contestant(call, call)

        return {"omma": omma, "torch": torch}

    moved = 3 * (1080.0 * 1920 + math.prod(size))
    return Row("resize", name, contestants, close(1), 0, moved)


def median(kind: str, ksize: int, name: str, axis: str = "") -> Row:
    """The median of windows of `ksize` on 1920x1080."""
    dtype, channels = (np.uint8 if kind[:2] == "u8" else np.float32), int(kind[-1])

    def contestants() -> dict[str, Maker]:
        img = picture(1080, 1920, channels, dtype)
        out = np.empty_like(img)

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            return writing(lambda: omma.median_blur(img, ksize, out=out, ctx=ctx), out)

        def opencv(threads: int) -> Contestant:
            cv2 = packages.load("opencv")
            mine = np.empty_like(img)
            return writing(lambda: cv2.medianBlur(img, ksize, mine), mine)

        return {"omma": omma, "opencv": opencv}

    moved = 2.0 * img_bytes(channels, dtype)
    return Row("median_blur", name, contestants, close(0), 0, moved, axis, ksize if axis else 0)


def img_bytes(channels: int, dtype: type) -> int:
    """Bytes of 1920x1080."""
    return 1080 * 1920 * channels * np.dtype(dtype).itemsize


# OpenCV's package takes a vendor's library for some sizes, which rounds coordinates its own way; without it
# bytes agree in every bit, and the tests hold omma to that.
AGREE: dict[Any, Agreement] = {np.uint8: close(1), np.float32: close(0.05)}

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def image_to_tensor(side: int, letterbox: bool, name: str, axis: str = "", extent: float = 0) -> Row:
    """1920x1080 BGR bytes to RGB planes of a network: resized, scaled, normalised."""

    def contestants() -> dict[str, Maker]:
        img = picture(1080, 1920, 3, np.uint8)

        def omma(threads: int) -> Contestant:
            import omma

            out, ctx = np.empty((3, side, side), np.float32), context(threads)

            def call() -> None:
                omma.image_to_tensor(
                    img, (side, side), mean=MEAN, std=STD, swap_rb=True, letterbox=letterbox, out=out, ctx=ctx
                )

            return writing(call, out)

        def opencv(threads: int) -> Contestant:
            """What people write with OpenCV and numpy, without needless copies."""
            import omma

            cv2 = packages.load("opencv")
            place = omma.letterbox(img.shape[:2], (side, side))
            factor = np.array([1 / (255 * s) for s in STD], np.float32)
            shift = np.array([m / s for m, s in zip(MEAN, STD, strict=True)], np.float32)
            out = np.empty((3, side, side), np.float32)

            def call() -> None:
                if letterbox:
                    inside = cv2.resize(img, (place.width, place.height))
                    frame = np.full((side, side, 3), 114, np.uint8)
                    frame[place.top : place.top + place.height, place.left : place.left + place.width] = inside
                else:
                    frame = cv2.resize(img, (side, side))
                planes = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)
                np.multiply(planes, factor[:, None, None], out=out)
                np.subtract(out, shift[:, None, None], out=out)

            return writing(call, out)

        def planes(threads: int) -> Contestant:
            """OpenCV's fastest: resized into a frame that is kept, parted, and each plane scaled and shifted by one call."""
            import omma

            cv2 = packages.load("opencv")
            place = omma.letterbox(img.shape[:2], (side, side))
            frame = np.full((side, side, 3), 114, np.uint8)
            inside, size = frame, (side, side)
            if letterbox:
                inside = frame[place.top : place.top + place.height, place.left : place.left + place.width]
                size = (place.width, place.height)
            parts = [np.empty((side, side), np.uint8) for _ in range(3)]
            out = np.empty((3, side, side), np.float32)

            def call() -> None:
                cv2.resize(img, size, inside)
                cv2.split(frame, parts)
                for part, plane, mean, std in zip(parts, out[::-1], MEAN[::-1], STD[::-1], strict=True):
                    cv2.addWeighted(part, 1 / (255 * std), part, 0, -mean / std, plane, cv2.CV_32F)

            return writing(call, out)

        def blob(threads: int) -> Contestant:
            """What the package has for it."""
            import omma

            cv2 = packages.load("opencv")
            place = omma.letterbox(img.shape[:2], (side, side))
            frame = np.full((side, side, 3), 114, np.uint8)
            inside, size = frame, (side, side)
            if letterbox:
                inside = frame[place.top : place.top + place.height, place.left : place.left + place.width]
                size = (place.width, place.height)
            params = cv2.dnn.Image2BlobParams(
                scalefactor=[1 / (255 * s) for s in STD], mean=[255 * m for m in MEAN], swapRB=True
            )

            def call() -> Any:
                cv2.resize(img, size, inside)
                return cv2.dnn.blobFromImageWithParams(frame, params)[0]

            return Contestant(call, call)

        return {"omma": omma, "opencv numpy": opencv, "opencv planes": planes, "opencv blobFromImage": blob}

    # One level of the resized bytes, as in resize.
    agree = close(1.01 / 255 / min(STD))
    moved = 3 * touched((side, side), "linear") + 12.0 * side * side
    return Row("image_to_tensor", name, contestants, agree, 0, moved, axis, extent)


def rows() -> list[Row]:
    """The table, then outputs that grow."""
    made = [
        resize("u8c3", (640, 640), "linear u8c3 1920x1080 → 640²"),
        resize("u8c3", (720, 1280), "linear u8c3 1920x1080 → 1280x720"),
        resize("u8c3", (2160, 3840), "linear u8c3 1920x1080 → 3840x2160"),
        resize("u8c1", (640, 640), "linear u8c1 → 640²"),
        resize("f32c1", (640, 640), "linear f32c1 → 640²"),
        resize("f32c3", (640, 640), "linear f32c3 → 640²"),
        resize("u8c3", (640, 640), "area u8c3 → 640²", "area"),
        resize("u8c3", (540, 960), "area u8c3 → 960x540", "area"),
        resize("u8c3", (640, 640), "cubic u8c3 → 640²", "cubic"),
        resize("u8c1", (640, 640), "cubic u8c1 → 640²", "cubic"),
        resize("u8c3", (2160, 3840), "cubic u8c3 → 3840x2160", "cubic"),
        resize("f32c3", (640, 640), "cubic f32c3 → 640²", "cubic"),
        antialiased("linear", (640, 640), "linear antialias u8c3 → 640²"),
        antialiased("cubic", (640, 640), "cubic antialias u8c3 → 640²"),
        *(median("u8c1", k, f"u8c1 1920x1080 k{k}") for k in (3, 5, 7, 9, 15, 31)),
        *(median("f32c1", k, f"f32c1 1920x1080 k{k}") for k in (3, 5)),
        image_to_tensor(224, False, "u8c3 1920x1080 → 224²"),
        image_to_tensor(640, True, "u8c3 1920x1080 → 640², letterbox"),
    ]
    for side in (80, 160, 320, 640, 1280, 2560):
        for kind in ("u8c3", "f32c3"):
            axis = f"side of the output, linear {kind} from 1920x1080"
            made.append(resize(kind, (side, side), f"linear {kind} → {side}²", axis=axis, extent=side))
        axis = "side of the output, area u8c3 from 1920x1080"
        made.append(resize("u8c3", (side, side), f"area u8c3 → {side}²", "area", axis, side))
    for k in (3, 5, 7, 9, 11, 21, 41, 81, 161):
        made.append(median("u8c1", k, f"u8c1 k{k}", "side of the window, u8c1 1920x1080"))
    for side in (112, 224, 448, 896):
        made.append(image_to_tensor(side, False, f"u8c3 → {side}²", "side of the tensor, from 1920x1080", side))
    return made
