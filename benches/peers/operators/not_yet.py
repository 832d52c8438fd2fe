"""What the table has and omma does not: operator, work, the peer to beat.

Who adds the operator to omma moves its lines to the rows of a family. The harness fails while a line stands here
for something that omma has.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

NOT_YET = [
    ("deform_conv2d", "64x56² k3", "torchvision"),
    ("resize cubic", "u8c3 → 640²", "opencv"),
    ("warp_affine", "1920x1080 rot 15°, u8c3", "opencv"),
    ("warp_affine", "1920x1080 rot 15°, u8c1", "opencv"),
    ("warp_affine", "1920x1080 rot 15°, f32c1", "opencv"),
    ("warp_affine", "1920x1080 rot 15°, f32c3", "opencv"),
    ("remap", "u8c3", "opencv"),
    ("remap", "f32c1", "opencv"),
    ("median_blur", "u8c1 1920x1080 k3", "opencv"),
    ("median_blur", "u8c1 1920x1080 k5", "opencv"),
    ("median_blur", "u8c1 1920x1080 k7", "opencv"),
    ("median_blur", "u8c1 1920x1080 k15", "opencv"),
    ("median_blur", "u8c1 1920x1080 k31", "opencv"),
    ("batch_norm", "train 16x64x56²", "torch"),
    ("auc", "1e6", "sklearn"),
]


def cubic(omma: Any) -> bool:
    """The function is there; the interpolation may not be."""
    try:
        omma.resize(np.zeros((4, 4), np.uint8), (2, 2), "cubic")
    except omma.OmmaError:
        return False
    return True


# Where the name of a function does not tell whether omma has it.
PROBES: dict[str, Callable[[Any], bool]] = {"resize cubic": cubic}


def stale() -> list[str]:
    """Operators that stand here although omma has them."""
    import omma

    operators = dict.fromkeys(operator for operator, _, _ in NOT_YET)
    return [o for o in operators if PROBES.get(o, lambda module, name=o: hasattr(module, name))(omma)]
