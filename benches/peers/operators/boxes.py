"""Overlap and suppression. Boxes have whole numbers as corners and scores are all different, so that IoU in float32 and
in float64 fall on the same side of the threshold and the peers must keep the very same boxes."""

from typing import Any

import numpy as np

from .. import graphs, packages
from ..rows import Contestant, Maker, NotApplicable, Row, close, context, returning, same, writing

THRESHOLD = 0.5


def scene(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n boxes with sides of 10 to 100 in a picture of 1000², and scores."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 900, (n, 2))
    boxes = np.concatenate([low, low + rng.integers(10, 101, (n, 2))], 1).astype(np.float32)
    return boxes, ((rng.permutation(n) + 1) / (n + 1)).astype(np.float32)


def corner_and_size(boxes: np.ndarray) -> np.ndarray:
    """For OpenCV, whose rectangles are of doubles."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).astype(np.float64)


def numpy_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """What is found in many repositories: the best, and everything that overlaps it away, again and again."""
    x1, y1, x2, y2 = boxes.T
    areas = (x2 - x1) * (y2 - y1)
    order = scores.argsort()[::-1]
    kept = []
    while order.size:
        best, others = order[0], order[1:]
        kept.append(best)
        width = np.minimum(x2[best], x2[others]) - np.maximum(x1[best], x1[others])
        height = np.minimum(y2[best], y2[others]) - np.maximum(y1[best], y1[others])
        inter = np.maximum(width, 0) * np.maximum(height, 0)
        order = others[inter / (areas[best] + areas[others] - inter) <= threshold]
    return np.array(kept, np.int64)


def nms(n: int, name: str, axis: str = "", size: float = 0) -> Row:
    """Greedy suppression of one class."""

    def contestants() -> dict[str, Maker]:
        boxes, scores = scene(n, 4)

        def omma(threads: int) -> Contestant:
            import omma

            out, ctx = np.empty(n, np.int64), context(threads)
            return returning(lambda: omma.nms(boxes, scores, THRESHOLD, out=out, ctx=ctx), np.copy)

        def opencv(threads: int) -> Contestant:
            run = packages.load("opencv").dnn.NMSBoxes
            rectangles = corner_and_size(boxes)
            return returning(lambda: run(rectangles, scores, 0.0, THRESHOLD))

        def onnxruntime(threads: int) -> Contestant:
            inputs = {"boxes": boxes[None], "scores": scores[None, None]}
            constants = {"most": np.array([n], np.int64), "iou": np.array([THRESHOLD], np.float32)}
            proto = graphs.model("NonMaxSuppression", inputs, (None, 3), constants, integers=True)
            contestant = graphs.onnxruntime(proto, inputs, None, threads)
            return Contestant(contestant.call, lambda: contestant.result()[:, 2])

        def torchvision(threads: int) -> Contestant:
            torch = packages.load("torch")
            tensors = torch.from_numpy(boxes), torch.from_numpy(scores)
            run = packages.load("torchvision").ops.nms
            return returning(lambda: run(*tensors, THRESHOLD), lambda kept: kept.numpy())

        return {
            "omma": omma,
            "numpy": lambda threads: returning(lambda: numpy_nms(boxes, scores, THRESHOLD)),
            "opencv": opencv,
            "onnxruntime": onnxruntime,
            "torchvision": torchvision,
        }

    return Row("nms", name, contestants, same, 0, 20.0 * n, axis, size)


def same_set(got: Any, expected: Any) -> str:
    """The same boxes in any order."""
    return same(np.sort(got), np.sort(expected))


def batched_nms(n: int, name: str, axis: str = "", size: float = 0) -> Row:
    """Suppression within each of 80 classes."""

    def contestants() -> dict[str, Maker]:
        boxes, scores = scene(n, 5)
        classes = np.random.default_rng(6).integers(0, 80, n)

        def omma(threads: int) -> Contestant:
            import omma

            out, ctx = np.empty(n, np.int64), context(threads)
            return returning(lambda: omma.batched_nms(boxes, scores, classes, THRESHOLD, out=out, ctx=ctx), np.copy)

        def opencv(threads: int) -> Contestant:
            run = packages.load("opencv").dnn.NMSBoxesBatched
            rectangles, ids = corner_and_size(boxes), classes.astype(np.int32)
            return returning(lambda: run(rectangles, scores, ids, 0.0, THRESHOLD))

        def torchvision(threads: int) -> Contestant:
            torch = packages.load("torch")
            tensors = torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(classes)
            run = packages.load("torchvision").ops.batched_nms
            return returning(lambda: run(*tensors, THRESHOLD), lambda kept: kept.numpy())

        return {"omma": omma, "opencv": opencv, "torchvision": torchvision}

    return Row("batched_nms", name, contestants, same_set, 0, 28.0 * n, axis, size)


def numpy_overlap(a: np.ndarray, b: np.ndarray, generalized: bool) -> np.ndarray:
    """By broadcasting."""
    areas = [(v[:, 2] - v[:, 0]) * (v[:, 3] - v[:, 1]) for v in (a, b)]
    side = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    side = np.maximum(side, 0)
    inter = side[..., 0] * side[..., 1]
    union = areas[0][:, None] + areas[1] - inter
    if not generalized:
        return inter / union
    hull = np.maximum(a[:, None, 2:], b[None, :, 2:]) - np.minimum(a[:, None, :2], b[None, :, :2])
    hull = hull[..., 0] * hull[..., 1]
    return inter / union - (hull - union) / hull


def overlap(operator: str, n: int, axis: str = "", size: float = 0) -> Row:
    """Every box with every box."""
    generalized = operator == "giou"

    def contestants() -> dict[str, Maker]:
        (a, _), (b, _) = scene(n, 7), scene(n, 8)

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx, kind = np.empty((n, n), np.float32), context(threads), "giou" if generalized else "iou"
            return writing(lambda: omma.box_iou(a, b, kind=kind, out=y, ctx=ctx), y)

        def numpy(threads: int) -> Contestant:
            if n > 4000:
                raise NotApplicable("its intermediate arrays are too large")
            return returning(lambda: numpy_overlap(a, b, generalized))

        def torchvision(threads: int) -> Contestant:
            torch, ops = packages.load("torch"), packages.load("torchvision").ops
            ta, tb = torch.from_numpy(a), torch.from_numpy(b)
            run = ops.generalized_box_iou if generalized else ops.box_iou
            return returning(lambda: run(ta, tb), lambda y: y.numpy())

        return {"omma": omma, "numpy": numpy, "torchvision": torchvision}

    return Row(operator, f"{n}x{n}", contestants, close(1e-6), 0, 32.0 * n + 4.0 * n * n, axis, size)


def rows() -> list[Row]:
    """The table, then counts that grow."""
    made = [nms(n, f"{n} boxes, thr {THRESHOLD}") for n in (1000, 8400, 30000)]
    made.append(batched_nms(8400, "8400, 80 classes"))
    made += [overlap(operator, 2000) for operator in ("box_iou", "giou")]
    for n in (100, 300, 1000, 3000, 10_000, 30_000, 100_000):
        made += [nms(n, f"{n} boxes", "boxes", n), batched_nms(n, f"{n} boxes", "boxes, 80 classes", n)]
    for n in (30, 100, 300, 1000, 3000):
        made += [overlap(operator, n, "boxes on each side", n) for operator in ("box_iou", "giou")]
    return made
