"""SIMD CPU kernels for computer vision and deep learning.

Every operator takes numpy arrays, anything with ``__dlpack__`` on the CPU (a torch tensor, without
a copy) and lists; it returns a numpy array, or writes to ``out=``. ``ctx=`` is a `Context`; without
it all cores work. Whatever is wrong with an argument raises `OmmaError`.

>>> import numpy as np, omma
>>> omma.softmax(np.zeros((1, 4), np.float32))
array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
"""

import numpy  # noqa: F401  The extension module stands on it; without it this says so.

from ._error import OmmaError, Status
from ._omma import (
    Context,
    Conv2d,
    Letterbox,
    Linear,
    __version__,
    avg_pool2d,
    batched_nms,
    box_convert,
    box_iou,
    box_iou_3d,
    box_iou_elementwise,
    conv2d,
    gelu,
    gelu_tanh,
    get_num_threads,
    hardswish,
    image_to_tensor,
    isa,
    isa_available,
    leaky_relu,
    letterbox,
    linear,
    log_softmax,
    matmul,
    matrix_nms,
    max_pool2d,
    nms,
    nms_per_image,
    prelu,
    relu,
    relu6,
    resize,
    set_num_threads,
    sigmoid,
    silu,
    soft_nms,
    softmax,
    tanh,
    yolo_decode,
)

__all__ = [
    "Context",
    "Conv2d",
    "Letterbox",
    "Linear",
    "OmmaError",
    "Status",
    "__version__",
    "avg_pool2d",
    "batched_nms",
    "box_convert",
    "box_iou",
    "box_iou_3d",
    "box_iou_elementwise",
    "conv2d",
    "gelu",
    "gelu_tanh",
    "get_num_threads",
    "hardswish",
    "image_to_tensor",
    "isa",
    "isa_available",
    "leaky_relu",
    "letterbox",
    "linear",
    "log_softmax",
    "matmul",
    "matrix_nms",
    "max_pool2d",
    "nms",
    "nms_per_image",
    "prelu",
    "relu",
    "relu6",
    "resize",
    "set_num_threads",
    "sigmoid",
    "silu",
    "soft_nms",
    "softmax",
    "tanh",
    "yolo_decode",
]
