"""Overlap and suppression. Boxes have whole numbers as corners and scores are all different, so that IoU in float32 and
in float64 fall on the same side of the threshold and the peers must keep the very same boxes."""

from collections.abc import Callable
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


def small(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n boxes with sides of 4 to 12 in a picture of 4000²: hardly any overlaps another."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 4000, (n, 2))
    boxes = np.concatenate([low, low + rng.integers(4, 13, (n, 2))], 1).astype(np.float32)
    return boxes, ((rng.permutation(n) + 1) / (n + 1)).astype(np.float32)


def disjoint(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n boxes in rows of 300, none touching another: all are kept."""
    low = np.stack([np.arange(n) % 300, np.arange(n) // 300], 1) * 10
    boxes = np.concatenate([low, low + 8], 1).astype(np.float32)
    return boxes, scene(n, seed)[1]


def equal(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n times the same box: one is kept."""
    return np.tile(np.array([1, 2, 31, 42], np.float32), (n, 1)), scene(n, seed)[1]


Scene = Callable[[int, int], tuple[np.ndarray, np.ndarray]]


def nms(n: int, name: str, axis: str = "", size: float = 0, of: Scene = scene) -> Row:
    """Greedy suppression of one class."""

    def contestants() -> dict[str, Maker]:
        boxes, scores = of(n, 4)

        def omma(threads: int) -> Contestant:
            import omma

            out, ctx = np.empty(n, np.int64), context(threads)
            return returning(lambda: omma.nms(boxes, scores, THRESHOLD, out=out, ctx=ctx), np.copy)

        def patient() -> None:
            if n > 50_000:
                raise NotApplicable("a call would take minutes")

        def numpy(threads: int) -> Contestant:
            patient()
            return returning(lambda: numpy_nms(boxes, scores, THRESHOLD))

        def opencv(threads: int) -> Contestant:
            patient()
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
            "numpy": numpy,
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


# torchvision's name of a measure.
MEASURES = {
    "box_iou": "box_iou",
    "giou": "generalized_box_iou",
    "diou": "distance_box_iou",
    "ciou": "complete_box_iou",
}


def overlap(operator: str, n: int, axis: str = "", size: float = 0) -> Row:
    """Every box with every box."""
    generalized = operator == "giou"

    def contestants() -> dict[str, Maker]:
        (a, _), (b, _) = scene(n, 7), scene(n, 8)

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx, kind = np.empty((n, n), np.float32), context(threads), operator.removeprefix("box_")
            return writing(lambda: omma.box_iou(a, b, kind=kind, out=y, ctx=ctx), y)

        def numpy(threads: int) -> Contestant:
            if n > 4000:
                raise NotApplicable("its intermediate arrays are too large")
            return returning(lambda: numpy_overlap(a, b, generalized))

        def torchvision(threads: int) -> Contestant:
            torch, ops = packages.load("torch"), packages.load("torchvision").ops
            ta, tb = torch.from_numpy(a), torch.from_numpy(b)
            run = getattr(ops, MEASURES[operator])
            return returning(lambda: run(ta, tb), lambda y: y.numpy())

        peers = {"omma": omma, "numpy": numpy, "torchvision": torchvision}
        if operator in ("diou", "ciou"):
            del peers["numpy"]
        return peers

    return Row(operator, f"{n}x{n}", contestants, close(1e-6), 0, 32.0 * n + 4.0 * n * n, axis, size)


def numpy_overlap_3d(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """By broadcasting."""
    volumes = [(v[:, 3:] - v[:, :3]).prod(1) for v in (a, b)]
    side = np.minimum(a[:, None, 3:], b[None, :, 3:]) - np.maximum(a[:, None, :3], b[None, :, :3])
    inter = np.maximum(side, 0).prod(2)
    return inter / (volumes[0][:, None] + volumes[1] - inter)


def overlap_3d(n: int) -> Row:
    """Every box in space with every box."""

    def contestants() -> dict[str, Maker]:
        rng = np.random.default_rng(9)
        a, b = (rng.integers(0, 90, (n, 3)) for _ in range(2))
        a, b = (np.concatenate([v, v + rng.integers(5, 40, (n, 3))], 1).astype(np.float32) for v in (a, b))

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx = np.empty((n, n), np.float32), context(threads)
            return writing(lambda: omma.box_iou_3d(a, b, out=y, ctx=ctx), y)

        return {"omma": omma, "numpy": lambda threads: returning(lambda: numpy_overlap_3d(a, b))}

    return Row("box_iou_3d", f"{n}x{n}", contestants, close(1e-6), 0, 48.0 * n + 4.0 * n * n)


def convert(n: int) -> Row:
    """Corners to centre and size."""

    def contestants() -> dict[str, Maker]:
        boxes, _ = scene(n, 10)

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx = np.empty_like(boxes), context(threads)
            return writing(lambda: omma.box_convert(boxes, "xyxy", "cxcywh", out=y, ctx=ctx), y)

        def torchvision(threads: int) -> Contestant:
            torch, ops = packages.load("torch"), packages.load("torchvision").ops
            tensor = torch.from_numpy(boxes)
            return returning(lambda: ops.box_convert(tensor, "xyxy", "cxcywh"), lambda y: y.numpy())

        return {"omma": omma, "torchvision": torchvision}

    return Row("box_convert", f"{n}, xyxy → cxcywh", contestants, close(0), 0, 32.0 * n)


def numpy_soft_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float, floor: float) -> tuple[Any, Any]:
    """The paper's loop with the linear weight, each step over all that is left."""
    x1, y1, x2, y2 = boxes.T
    areas, rest, now = (x2 - x1) * (y2 - y1), np.arange(len(boxes)), scores.copy()
    kept, lowered = [], []
    while rest.size:
        at = now[rest].argmax()
        best = rest[at]
        kept.append(best)
        lowered.append(now[best])
        rest = np.delete(rest, at)
        width = np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest])
        height = np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest])
        inter = np.maximum(width, 0) * np.maximum(height, 0)
        iou = inter / (areas[best] + areas[rest] - inter)
        now[rest] *= np.where(iou > threshold, 1 - iou, 1)
        rest = rest[now[rest] >= floor]
    return np.array(kept), np.array(lowered)


def same_scores(got: Any, expected: Any) -> str:
    """The lowered scores, sorted as both are; near ties may be in either order."""
    return close(1e-5)(np.asarray(got[1], np.float32), np.asarray(expected[1], np.float32))


def soft_nms(n: int) -> Row:
    """Scores that fall linearly with overlap."""

    def contestants() -> dict[str, Maker]:
        boxes, scores = scene(n, 11)

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            return returning(lambda: omma.soft_nms(boxes, scores, ctx=ctx), tuple)

        def opencv(threads: int) -> Contestant:
            dnn = packages.load("opencv").dnn
            rectangles, method = corner_and_size(boxes).astype(np.int32), dnn.SoftNMSMethod_SOFTNMS_LINEAR
            call = lambda: dnn.softNMSBoxes(rectangles, scores, 0.001, 0.3, 0, 0.5, method)  # noqa: E731
            return returning(call, lambda found: (np.ravel(found[1]), np.ravel(found[0])))

        return {
            "omma": omma,
            "numpy": lambda threads: returning(lambda: numpy_soft_nms(boxes, scores, 0.3, 0.001), tuple),
            "opencv": opencv,
        }

    return Row("soft_nms", f"{n} boxes, linear", contestants, same_scores, 0, 32.0 * n)


def numpy_matrix_nms(boxes: np.ndarray, scores: np.ndarray) -> tuple[Any, Any]:
    """As SOLOv2 has it, with the matrix of all overlaps and the linear factor."""
    order = np.argsort(-scores, kind="stable")
    iou = np.triu(numpy_overlap(boxes[order], boxes[order], False), 1)
    factor = ((1 - iou) / (1 - iou.max(0)[:, None])).min(0)
    lowered = scores[order] * np.minimum(factor, 1)
    again = np.argsort(-lowered, kind="stable")
    return order[again], lowered[again]


def matrix_nms(n: int) -> Row:
    """Scores that all fall at once."""

    def contestants() -> dict[str, Maker]:
        boxes, scores = scene(n, 12)

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)
            return returning(lambda: omma.matrix_nms(boxes, scores, post_threshold=-1.0, ctx=ctx), tuple)

        return {"omma": omma, "numpy": lambda threads: returning(lambda: numpy_matrix_nms(boxes, scores), tuple)}

    return Row("matrix_nms", f"{n} boxes, linear", contestants, same_scores, 0, 32.0 * n)


def head_of_v8(anchors: int, classes: int) -> np.ndarray:
    """Class probabilities near 0, but for thirty objects that eight anchors each see."""
    rng = np.random.default_rng(13)
    boxes = np.concatenate([rng.integers(0, 640, (2, anchors)), rng.integers(20, 100, (2, anchors))])
    scores = rng.random((classes, anchors)) ** 6 * 0.02
    for at in rng.integers(0, anchors - 8, 30):
        boxes[:, at : at + 8] = boxes[:, at, None] + rng.integers(0, 4, (4, 8))
        scores[rng.integers(0, classes), at : at + 8] = 0.2 + 0.7 * rng.random(8)
    return np.concatenate([boxes, scores])[None].astype(np.float32)


def detect(name: str) -> Row:
    """From the head of a YOLOv8 to the final boxes: decode, threshold .25, suppression by class at .45."""

    def contestants() -> dict[str, Maker]:
        head = head_of_v8(8400, 80)

        def omma(threads: int) -> Contestant:
            import omma

            ctx = context(threads)

            def run() -> Any:
                boxes, scores, classes, _, _ = omma.yolo_decode(head, 0.25, ctx=ctx)
                return boxes[omma.batched_nms(boxes, scores, classes, 0.45, ctx=ctx)]

            return returning(run)

        def candidates() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            best = head[0, 4:].max(0)
            at = np.flatnonzero(best > 0.25)
            return head[0, :4, at], best[at], head[0, 4:, at].argmax(1)

        def opencv(threads: int) -> Contestant:
            dnn = packages.load("opencv").dnn

            def run() -> Any:
                boxes, scores, classes = candidates()
                boxes = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], 1)
                kept = dnn.NMSBoxesBatched(boxes.astype(np.float64), scores, classes.astype(np.int32), 0.25, 0.45)
                found = boxes[np.asarray(kept)]
                return np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], 1)

            return returning(run)

        def torchvision(threads: int) -> Contestant:
            torch, ops = packages.load("torch"), packages.load("torchvision").ops
            tensor = torch.from_numpy(head)[0]

            def run() -> Any:
                scores, classes = tensor[4:].max(0)
                at = scores > 0.25
                boxes = ops.box_convert(tensor[:4, at].T, "cxcywh", "xyxy")
                return boxes[ops.batched_nms(boxes, scores[at], classes[at], 0.45)]

            return returning(run, lambda boxes: boxes.numpy())

        return {"omma": omma, "opencv": opencv, "torchvision": torchvision}

    def agree(got: Any, expected: Any) -> str:
        got, expected = (v[np.lexsort(v.T)] for v in (got, expected))
        return close(1e-3)(got, expected)

    return Row("yolo_decode", name, contestants, agree, 0, 4.0 * 84 * 8400)


def rows() -> list[Row]:
    """The table, then counts that grow."""
    made = [nms(n, f"{n} boxes, thr {THRESHOLD}") for n in (1000, 8400, 30000)]
    made.append(nms(100_000, f"100000 small boxes, thr {THRESHOLD}", of=small))
    made.append(nms(8400, "8400 disjoint boxes", of=disjoint))
    made.append(nms(8400, "8400 times the same box", of=equal))
    made += [batched_nms(n, f"{n}, 80 classes") for n in (8400, 20_000)]
    made += [overlap(operator, 2000) for operator in MEASURES]
    made += [overlap_3d(1000), convert(100_000), soft_nms(1000), matrix_nms(1000)]
    made.append(detect("1x84x8400 to final boxes, then batched_nms"))
    for n in (100, 300, 1000, 3000, 10_000, 30_000, 100_000):
        made += [nms(n, f"{n} boxes", "boxes", n), batched_nms(n, f"{n} boxes", "boxes, 80 classes", n)]
    for n in (30, 100, 300, 1000, 3000):
        made += [overlap(operator, n, "boxes on each side", n) for operator in ("box_iou", "giou")]
    return made
