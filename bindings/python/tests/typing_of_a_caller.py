"""A program that uses omma, for the type checker and for running: the types are those it gets."""

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

import omma

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

x: Float32 = np.ones((1, 3, 8, 8), np.float32)
w: Float32 = np.ones((4, 3, 3, 3), np.float32)
img: npt.NDArray[np.uint8] = np.zeros((8, 8, 3), np.uint8)

with omma.Context(num_threads=1, max_isa="portable") as ctx:
    assert_type(omma.conv2d(x, w, padding=(1, 1, 0, 0), activation="relu", ctx=ctx), Float32)

y = omma.relu(x)
assert_type(y, Float32)
assert_type(omma.relu(y, out=y), Float32)
assert_type(omma.softmax([[1.0, 2.0], [3.0, 4.0]], axis=0), Float32)
assert_type(omma.attention(x, x, x, mask=np.ones((8, 8), bool)), Float32)
assert_type(omma.attention(x, x, x, causal=True, return_log_sum_exp=True), tuple[Float32, Float32])
assert_type(omma.layer_norm(x, residual=x, return_sum=True), tuple[Float32, Float32])
assert_type(omma.rms_norm([[1.0, 2.0]], [1.0, 2.0], out=None), Float32)
assert_type(omma.Conv2d(w, stride=2).run(x), Float32)
assert_type(omma.Linear([[1, 2], [3, 4]]).run([1, 2]), Float32)
assert_type(omma.max_pool2d(x, 2), Float32)
assert_type(omma.max_pool2d(x, 2, return_indices=True), tuple[Float32, Int64])
assert_type(omma.resize(img, (4, 4)), npt.NDArray[np.uint8])
plane: Float32 = y[0, 0]
assert_type(omma.median_blur(img, 3), npt.NDArray[np.uint8])
assert_type(omma.resize(plane, (4, 4), "area"), Float32)
assert_type(omma.image_to_tensor(img, (4, 4), mean=(0.4, 0.5, 0.6), std=0.2), Float32)
assert_type(omma.nms([[0, 0, 1, 1]], [0.5], 0.5), Int64)
assert_type(omma.letterbox((8, 8), (4, 6)).left, int)

try:
    omma.matmul(x, w)
except omma.OmmaError as error:
    assert_type(error.status, int)
    assert_type(error.message, str)

# Whoever checks this file is told when an error is no longer one.
try:
    omma.conv2d(x, w, layout="nchw")  # type: ignore[arg-type]
    omma.conv2d(x, w, stride=1.5)  # type: ignore[arg-type]
except omma.OmmaError:
    pass
