"""Every distinct convolution of three networks at their own size: what an engine that runs them calls.

Layers are those of torchvision's ResNet-50 and MobileNetV2 (224 x 224) and of Ultralytics' YOLOv8n (640 x 640), read off the
papers' and projects' tables of blocks.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ..rows import Row
from . import conv


class Layer(NamedTuple):
    """A convolution of `inputs` channels of `side` x `side`, padded by kernel // 2."""

    inputs: int
    side: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1

    def row(self, network: str) -> Row:
        """As a row of the comparison."""
        name = f"{self.inputs}x{self.side}² → {self.outputs} k{self.kernel}"
        name += f" s{self.stride}" if self.stride > 1 else ""
        name += " depthwise" if self.groups > 1 else ""
        shape = (1, self.inputs, self.side, self.side)
        return conv.row(network, name, shape, self.outputs, self.kernel, self.stride, self.groups)


def resnet50() -> Iterator[Layer]:
    """Bottlenecks, with the stride in the 3 x 3."""
    yield Layer(3, 224, 64, 7, 2)
    inputs, side = 64, 56
    for planes, blocks in [(64, 3), (128, 4), (256, 6), (512, 3)]:
        for block in range(blocks):
            stride = 2 if block == 0 and planes > 64 else 1
            yield Layer(inputs, side, planes)
            yield Layer(planes, side, planes, 3, stride)
            yield Layer(planes, side // stride, 4 * planes)
            if block == 0:
                yield Layer(inputs, side, 4 * planes, 1, stride)
            inputs, side = 4 * planes, side // stride


def mobilenet_v2() -> Iterator[Layer]:
    """Inverted residuals: wider, depthwise, narrower."""
    yield Layer(3, 224, 32, 3, 2)
    inputs, side = 32, 112
    for factor, outputs, blocks, first in [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]:
        for block in range(blocks):
            stride, wide = first if block == 0 else 1, inputs * factor
            if factor > 1:
                yield Layer(inputs, side, wide)
            yield Layer(wide, side, wide, 3, stride, wide)
            side //= stride
            yield Layer(wide, side, outputs)
            inputs = outputs
    yield Layer(inputs, side, 1280)


def yolov8n() -> Iterator[Layer]:
    """Backbone, neck and heads for 80 classes."""

    def c2f(inputs: int, side: int, outputs: int, blocks: int) -> Iterator[Layer]:
        half = outputs // 2
        yield Layer(inputs, side, outputs)
        yield Layer(half, side, half, 3)
        yield Layer((2 + blocks) * half, side, outputs)

    yield Layer(3, 640, 16, 3, 2)
    yield Layer(16, 320, 32, 3, 2)
    yield from c2f(32, 160, 32, 1)
    yield Layer(32, 160, 64, 3, 2)
    yield from c2f(64, 80, 64, 2)
    yield Layer(64, 80, 128, 3, 2)
    yield from c2f(128, 40, 128, 2)
    yield Layer(128, 40, 256, 3, 2)
    yield from c2f(256, 20, 256, 1)
    # Pooling pyramid: three maxima beside the map that they are of.
    yield Layer(256, 20, 128)
    yield Layer(512, 20, 256)
    # Up, then down again, each beside the map of the backbone or of the way up.
    yield from c2f(256 + 128, 40, 128, 1)
    yield from c2f(128 + 64, 80, 64, 1)
    yield Layer(64, 80, 64, 3, 2)
    yield from c2f(64 + 128, 40, 128, 1)
    yield Layer(128, 40, 128, 3, 2)
    yield from c2f(128 + 256, 20, 256, 1)
    for inputs, side in [(64, 80), (128, 40), (256, 20)]:
        for channels in (64, 80):
            yield Layer(inputs, side, channels, 3)
            yield Layer(channels, side, channels, 3)
            yield Layer(channels, side, channels)


def rows() -> list[Row]:
    """Each layer once."""
    networks = {"resnet50": resnet50, "mobilenet_v2": mobilenet_v2, "yolov8n": yolov8n}
    return [layer.row(name) for name, layers in networks.items() for layer in dict.fromkeys(layers())]
