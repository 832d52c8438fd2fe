"""What goes in and what comes out: kinds of arrays, `out`, and the words of every error."""

import gc
import pickle

import array_api_strict
import numpy as np
import pytest

import omma
from dlpack import FastMaker, FutureMaker, Maker

rng = np.random.default_rng(1)


def floats(*shape):
    return rng.standard_normal(shape, dtype=np.float32)


X = floats(2, 4, 6, 5)
W = floats(8, 4, 3, 3)
BOXES = np.array([[0, 0, 4, 4], [1, 1, 4, 4], [5, 5, 9, 9]], np.float32)
SCORES = np.array([0.2, 0.9, 0.5], np.float32)
ROIS = np.array([[0, 0, 0, 4, 4], [1, 1, 2, 3, 5]], np.float32)
IMG = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
SHIFTED = np.zeros(101, np.float32)


def closed():
    context = omma.Context()
    context.close()
    return context


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


BAD, SHAPE, UNSUPPORTED, SMALL, MEMORY = (
    omma.Status.INVALID_ARGUMENT,
    omma.Status.SHAPE_MISMATCH,
    omma.Status.UNSUPPORTED,
    omma.Status.BUFFER_TOO_SMALL,
    omma.Status.OUT_OF_MEMORY,
)

# A call, its status, and how its message goes.
ERRORS = [
    (lambda: omma.relu(X.astype(float)), BAD, "relu: x is float64, expected float32"),
    (lambda: omma.relu(X.astype(np.float16)), BAD, "relu: x has elements of float16"),
    (lambda: omma.relu(X.astype(">f4")), BAD, "relu: x has elements of >f4"),
    (lambda: omma.relu(X.astype(complex)), BAD, "relu: x has elements of complex128"),
    (lambda: omma.relu(np.float64(1)), BAD, "relu: x is float64"),
    (lambda: omma.relu("text"), BAD, "relu: x has elements of <U4"),
    (lambda: omma.relu(None), BAD, "relu: x has elements of object"),
    (lambda: omma.relu([[1], [2, 3]]), BAD, "relu: x does not become an array"),
    (lambda: omma.relu(np.zeros((1,) * 9, np.float32)), BAD, "relu: x has ndim 9, expected 0 to 8"),
    (lambda: omma.relu(Maker(X, device=2)), UNSUPPORTED, "relu: x is on device type 2, expected the CPU"),
    (lambda: omma.relu(Maker(X, version=(2, 0))), UNSUPPORTED, "relu: x gives a tensor of DLPack 2.0"),
    (lambda: omma.relu(Maker(X.astype(float))), BAD, "relu: x is float64"),
    (lambda: omma.relu(X, out=X[0]), SHAPE, "relu: out has shape"),
    (lambda: omma.relu(X, out=read_only(X)), BAD, "relu: out must not be written"),
    (lambda: omma.relu(X, out=Maker(X, read_only=True)), BAD, "relu: out must not be written"),
    (lambda: omma.relu(X, out=FastMaker(X, read_only=True)), BAD, "relu: out must not be written"),
    (lambda: omma.relu(FastMaker(X, device=2)), UNSUPPORTED, "relu: x is on device type 2, expected the CPU"),
    (lambda: omma.relu(FastMaker(X, version=(2, 0))), UNSUPPORTED, "relu: x gives a tensor of DLPack 2.0"),
    (lambda: omma.relu(X, out=[1.0]), BAD, "relu: out is of type list, expected a numpy array"),
    (lambda: omma.relu(X, out=X.astype(float)), BAD, "relu: out is float64"),
    (lambda: omma.relu(SHIFTED[1:], out=SHIFTED[:-1]), BAD, "relu: out overlaps x"),
    (lambda: omma.relu(X, out=np.broadcast_to(X[0, 0, 0, 0], X.shape)), BAD, "relu: out must not"),
    (lambda: omma.relu(X, ctx=closed()), BAD, "relu: ctx is closed"),
    (lambda: closed().isa, BAD, "Context.isa: ctx is closed"),
    (lambda: omma.Context(num_threads=-1), BAD, "Context: num_threads is -1"),
    (lambda: omma.Context(max_isa="mmx"), BAD, "Context: max_isa is 'mmx', expected 'portable'"),
    (lambda: omma.set_num_threads(-2), BAD, "set_num_threads: num_threads is -2"),
    (lambda: omma.isa_available("mmx"), BAD, "isa_available: name is 'mmx'"),
    (lambda: omma.leaky_relu(X[None, None, None, None, None]), BAD, "leaky_relu: x has ndim 9"),
    (lambda: omma.prelu(X, floats(3)), SHAPE, "prelu: slope has 3 values, x has 4 channels along axis 1"),
    (lambda: omma.prelu(X, floats(4), axis=4), BAD, "prelu: axis is 4"),
    (lambda: omma.softmax(X, 4), BAD, "softmax: axis is 4, x has 4 dimensions"),
    (lambda: omma.log_softmax(X, -5), BAD, "log_softmax: axis is -5"),
    (lambda: omma.softmax(X, 1 << 40), BAD, "softmax: axis is 1099511627776"),
    (lambda: omma.conv2d(X[0], W), SHAPE, "conv2d: x has 3 dimensions, expected 4"),
    (lambda: omma.conv2d(X, W[0]), SHAPE, "conv2d: w has 3 dimensions, expected 4"),
    (lambda: omma.conv2d(X, W[:, :3]), SHAPE, "conv2d: w has 3 input channels per group, x has 4"),
    (lambda: omma.conv2d(X, floats(8, 4, 9, 3)), SHAPE, "conv2d: w spans 9 in height"),
    (lambda: omma.conv2d(X, W, floats(7)), SHAPE, "conv2d: bias has 7 values, w has 8 output channels"),
    (lambda: omma.conv2d(X, W, residual=X), SHAPE, "conv2d: residual has shape"),
    (lambda: omma.conv2d(X, W, groups=3), SHAPE, "conv2d: w has 8 output channels"),
    (lambda: omma.conv2d(X, W, groups=0), BAD, "conv2d: groups is 0, expected 1"),
    (lambda: omma.conv2d(X, W, stride=0), BAD, "conv2d: stride is 0, expected 1"),
    (lambda: omma.conv2d(X, W, stride="2"), BAD, "conv2d: stride is '2', expected an integer or two"),
    (lambda: omma.conv2d(X, W, stride=(1, 2, 1)), BAD, "conv2d: stride is (1, 2, 1), expected"),
    (lambda: omma.conv2d(X, W, stride=(1.5, 1)), BAD, "conv2d: stride is (1.5, 1), expected"),
    (lambda: omma.conv2d(X, W, padding=-1), BAD, "conv2d: padding is -1, expected 0"),
    (lambda: omma.conv2d(X, W, padding=(1, 2, 3)), BAD, "conv2d: padding is (1, 2, 3), expected"),
    (lambda: omma.conv2d(X, W, dilation=(1, 0)), BAD, "conv2d: dilation is 0, expected 1"),
    (lambda: omma.conv2d(X, W, activation="mish"), BAD, "conv2d: activation is 'mish', expected 'relu', "),
    (lambda: omma.conv2d(X, W, activation="prelu"), BAD, "activation_slope is NULL"),
    (lambda: omma.conv2d(X, W, activation_slope=[1]), BAD, "conv2d: activation_slope is given"),
    (lambda: omma.conv2d(X, W, layout="nchw"), BAD, "conv2d: layout is 'nchw', expected 'NCHW', 'NHWC'"),
    (lambda: omma.conv2d(X, W, algorithm="fft"), BAD, "conv2d: algorithm is 'fft', expected 'auto'"),
    (lambda: omma.conv2d(X, W, out=X), SHAPE, "conv2d: out has shape [2, 4, 6, 5], expected [2, 8, 4, 3]"),
    (lambda: omma.conv_transpose2d(X[0], W), SHAPE, "conv_transpose2d: x has 3 dimensions, expected 4"),
    (lambda: omma.conv_transpose2d(X, W), SHAPE, "conv_transpose2d: w has 8 input channels, x has 4"),
    (lambda: omma.conv_transpose2d(X, W, groups=3), SHAPE, "conv_transpose2d: w has 8 input channels, which groups 3"),
    (lambda: omma.conv_transpose2d(X, W[:4], output_padding=1), BAD, "conv_transpose2d: output_padding is 1 in height"),
    (lambda: omma.conv_transpose2d(X, W[:4], padding=9), SHAPE, "conv_transpose2d: padding 9 + 9 leaves nothing"),
    (lambda: omma.conv_transpose2d(X, W[:4], floats(3)), SHAPE, "conv_transpose2d: bias has 3 values, w has 4"),
    (lambda: omma.ConvTranspose2d(W[:4]).run(X[:, :3]), SHAPE, "conv_transpose2d: w has 4 input channels, x has 3"),
    (lambda: omma.deform_conv2d(X, X[:, :, :5], W[:, :, :1, :1]), SHAPE, "deform_conv2d: offset has shape [2, 4, 5, 5], expected"),
    (lambda: omma.deform_conv2d(X, X[:, :3], W), SHAPE, "deform_conv2d: offset has 3 channels, expected a multiple"),
    (lambda: omma.deform_conv2d(X, X, W, stride=0), BAD, "deform_conv2d: stride is 0, expected 1"),
    (lambda: omma.pairwise_distance(BOXES, floats(2, 6)), SHAPE, "pairwise_distance: b has 6 columns, a has 4"),
    (lambda: omma.kmeans(BOXES, 999), BAD, "kmeans: k is 999, more than x has rows"),
    (lambda: omma.kmeans_assign(BOXES, floats(2, 6)), SHAPE, "kmeans_assign: centroids has 6 columns, x has 4"),
    (lambda: omma.kmeans_accumulate(BOXES, floats(2, 6)), SHAPE, "kmeans_accumulate: centroids has 6 columns, x has 4"),
    (lambda: omma.kmeans_update(np.zeros((6, 4)), np.zeros(5), floats(6, 4)), SHAPE, "kmeans_update: counts has shape [5]"),
    (lambda: omma.kmeans_anchors(floats(6, 4), 2), SHAPE, "kmeans_anchors: wh has shape [6, 4], expected [6, 2]"),
    (lambda: omma.knn(BOXES, BOXES, 999), BAD, "knn: k is 999, data has"),
    (lambda: omma.mean_shift(BOXES, 0.0), BAD, "mean_shift: bandwidth is 0, expected a positive number"),
    (lambda: omma.match_descriptors(BOXES, floats(2, 6)), SHAPE, "match_descriptors: b has 6 columns, a has 4"),
    (lambda: omma.linear_assignment(np.full((2, 2), np.nan)), BAD, "linear_assignment: cost[0, 0] is NaN"),
    (lambda: omma.fold_batch_norm(W, None, None, None, floats(7), floats(8)), SHAPE, "fold_batch_norm: mean has 7"),
    (lambda: omma.fold_batch_norm(W, None, None, None, floats(8), floats(8), -1), BAD, "fold_batch_norm: eps is -1"),
    (lambda: omma.merge_parallel_conv2d(W, None, W[:, :3], None), SHAPE, "merge_parallel_conv2d: w1 has 8 output channels and 4"),
    (lambda: omma.merge_parallel_conv2d(W, None, W[..., :2], None), BAD, "merge_parallel_conv2d: w2 has a window of 3 x 2"),
    (lambda: omma.merge_conv2d_avg_pool2d(W, None, 0), BAD, "merge_conv2d_avg_pool2d: kernel is 0, expected 1"),
    (lambda: omma.receptive_field([(3, 0, 1, 1)]), BAD, "receptive_field: layer 0 has kernel 3, stride 0"),
    (lambda: omma.Conv2d(X.astype(float)), BAD, "conv2d: w is float64"),
    (lambda: omma.Conv2d(W).run(X[:, :3]), SHAPE, "conv2d: w has 4 input channels per group, x has 3"),
    (lambda: omma.Conv2d(W).run(X[0]), SHAPE, "conv2d: x has 3 dimensions"),
    (lambda: omma.Conv2d(W).run(X[:, :, :2]), SHAPE, "conv2d: w spans 3 in height"),
    (lambda: omma.matmul(X, X), SHAPE, "matmul: a has 5 columns, b has 6 rows"),
    (lambda: omma.matmul(SCORES, X), SHAPE, "matmul: a has 1 dimensions, expected 2 or more"),
    (lambda: omma.matmul(X, floats(3, 4, 5, 6)), SHAPE, "2 and 3 batches do not broadcast"),
    (lambda: omma.attention(X, X[:1], X), SHAPE, "attention: k has 1 batches, q has 2"),
    (lambda: omma.attention(X[0], X, X), SHAPE, "attention: q has 3 dimensions, expected 4"),
    (lambda: omma.attention(X, X, X, mask=np.zeros(5)), BAD, "attention: mask is float64, expected bool"),
    (lambda: omma.attention(X, X, X, mask=X[0, 0]), SHAPE, "attention: mask has shape [6, 5], which does not"),
    (lambda: omma.attention(X, X, X, causal_offset=1), BAD, "attention: causal_offset is 1 without causal"),
    (lambda: omma.attention(X, X, X, softcap=-1), BAD, "attention: softcap is -1"),
    (lambda: omma.attention(X, X, X, out=X), BAD, "attention: out overlaps q"),
    (lambda: omma.layer_norm(X, floats(4)), SHAPE, "layer_norm: gamma has shape [4], expected [5]"),
    (lambda: omma.layer_norm(X, axis=4), BAD, "layer_norm: axis is 4, x has 4 dimensions"),
    (lambda: omma.rms_norm(X, residual=X[0]), SHAPE, "rms_norm: residual has shape [4, 6, 5], x has [2, 4, 6, 5]"),
    (lambda: omma.rms_norm(X, axis=1 << 40), BAD, "rms_norm: axis is 1099511627776"),
    (lambda: omma.positional_encoding(-1, 4), BAD, "positional_encoding: length is -1"),
    (lambda: omma.FeedForward(floats(3, 5), None, floats(5, 4)), SHAPE, "feed_forward: w1 has 3 outputs, w2 has 4"),
    (lambda: omma.PatchEmbedding(W).run(X[0]), SHAPE, "patch_embedding: x has 3 dimensions, expected 4"),
    (
        lambda: omma.multi_head_attention(X[0], X[0], X[0], *[floats(5, 5)] * 4, num_heads=2),
        SHAPE,
        "multi_head_attention: w_q has 5 outputs, which its 2 heads do not divide",
    ),
    (lambda: omma.MultiHeadAttention(*[floats(5, 5)] * 4, num_heads=0), BAD, "num_heads is 0"),
    (
        lambda: omma.TransformerEncoderLayer(*[floats(5, 5), None] * 4, num_heads=1),
        SHAPE,
        "transformer_encoder_layer: in_proj_weight has shape [5, 5], expected [15, 5]",
    ),
    (lambda: omma.linear(X, W), SHAPE, "linear: w has 4 dimensions, expected 2"),
    (lambda: omma.linear(X, floats(2, 3)), SHAPE, "linear: x has 5 features, w has 3"),
    (lambda: omma.linear(X, floats(2, 5), activation="prelu"), UNSUPPORTED, "linear: activation is"),
    (lambda: omma.linear(np.float32(1), floats(2, 5)), SHAPE, "linear: x has 0 dimensions"),
    (lambda: omma.Linear(floats(2, 5), floats(3)), SHAPE, "linear: bias has"),
    (lambda: omma.Linear(floats(2, 5)).run(floats(4)), SHAPE, "linear: x has 4 features, w has 5"),
    (lambda: omma.max_pool2d(X, 0), BAD, "max_pool2d: kernel_size is 0, expected 1"),
    (lambda: omma.max_pool2d(X, 7), SHAPE, "max_pool2d: kernel_size 7"),
    (lambda: omma.max_pool2d(X, 2, padding=2), BAD, "max_pool2d: padding is 2 and 2"),
    (lambda: omma.max_pool2d(X[0, 0], 2), SHAPE, "max_pool2d: x has 2 dimensions, expected 3 or 4"),
    (lambda: omma.max_pool2d(X, 2, return_indices=True, out=X), BAD, "max_pool2d: out is no tuple of two"),
    (
        lambda: omma.max_pool2d(X, 2, return_indices=True, out=(floats(2, 4, 3, 2), floats(2, 4, 3, 2))),
        BAD,
        "max_pool2d: indices is float32, expected int64",
    ),
    (lambda: omma.avg_pool2d(X, 2, divisor_override=0), BAD, "avg_pool2d: divisor_override is 0"),
    (lambda: omma.avg_pool2d(X, (2, 2, 2)), BAD, "avg_pool2d: kernel_size is (2, 2, 2), expected"),
    (lambda: omma.box_iou(BOXES, BOXES[:, :3]), SHAPE, "box_iou: b has shape [3, 3], expected (N, 4)"),
    (lambda: omma.box_iou(BOXES, BOXES, kind="dice"), BAD, "box_iou: kind is 'dice', expected 'iou'"),
    (lambda: omma.box_iou(BOXES, BOXES, format="yxyx"), BAD, "box_iou: format is 'yxyx', expected"),
    (lambda: omma.box_iou(BOXES, BOXES, offset=2), BAD, "box_iou: offset is 2"),
    (lambda: omma.box_iou_elementwise(BOXES, BOXES[:2]), SHAPE, "a has 3 boxes, b has 2"),
    (lambda: omma.box_iou_3d(BOXES, BOXES), SHAPE, "box_iou_3d: a has shape [3, 4], expected (N, 6)"),
    (lambda: omma.box_convert(BOXES, "yxyx", "xyxy"), BAD, "box_convert: in_fmt is 'yxyx', expected 'xyxy'"),
    (lambda: omma.box_convert(BOXES[:, :3], "xyxy", "xywh"), SHAPE, "box_convert: boxes has shape [3, 3]"),
    (lambda: omma.soft_nms(BOXES, SCORES, method="hard"), BAD, "soft_nms: method is 'hard', expected 'linear'"),
    (lambda: omma.soft_nms(BOXES, SCORES, sigma=0), BAD, "soft_nms: sigma is 0, expected a positive number"),
    (lambda: omma.matrix_nms(BOXES, SCORES[:2]), SHAPE, "matrix_nms: scores has 2 elements, boxes 3"),
    (lambda: omma.nms_per_image(BOXES, SCORES, 0.5), SHAPE, "nms_per_image: boxes has 2 dimensions, expected 3"),
    (lambda: omma.yolo_decode(BOXES[None], 0.5), SHAPE, "yolo_decode: head has 3 numbers an anchor, expected 4 and"),
    (lambda: omma.yolo_decode(BOXES[None], 0.5, kind="v9"), BAD, "yolo_decode: kind is 'v9', expected 'v8', 'v5'"),
    (lambda: omma.nms(BOXES, SCORES[:2], 0.5), SHAPE, "nms: scores has 2 elements, boxes 3"),
    (lambda: omma.nms(BOXES, SCORES, float("nan")), BAD, "nms: iou_threshold is NaN"),
    (lambda: omma.nms(BOXES, SCORES, 0.5, max_output=-1), BAD, "nms: max_output is -1"),
    (lambda: omma.nms(BOXES, SCORES, 0.5, overlap="max"), BAD, "nms: overlap is 'max', expected 'union', 'min'"),
    (lambda: omma.nms(BOXES, SCORES, 0.5, out=np.zeros(1, int)), SMALL, "nms: out has room for 1 indices, 2"),
    (lambda: omma.nms(BOXES, SCORES, 0.5, out=SCORES), BAD, "nms: indices is float32, expected int64"),
    (lambda: omma.batched_nms(BOXES, SCORES, [1, 2], 0.5), SHAPE, "batched_nms: classes has 2 elements, scores 3"),
    (lambda: omma.batched_nms(BOXES, SCORES, SCORES, 0.5), BAD, "batched_nms: classes is float32"),
    (lambda: omma.roi_align(X, ROIS, 0), BAD, "roi_align: output_size is 0, expected 1"),
    (lambda: omma.roi_align(X, ROIS, 2, 0.0), BAD, "roi_align: spatial_scale is 0, expected a positive"),
    (lambda: omma.roi_align(X, ROIS, 2, sampling_ratio=2000), BAD, "roi_align: sampling_ratio is 2000"),
    (lambda: omma.roi_align(X, ROIS, 2, mode="min"), BAD, "roi_align: mode is 'min', expected 'avg', 'max', "),
    (lambda: omma.roi_align(X[0], ROIS, 2), SHAPE, "roi_align: x has 3 dimensions, expected 4"),
    (lambda: omma.roi_align(X, ROIS[0], 2), SHAPE, "roi_align: rois has 1 dimensions, expected 2"),
    (lambda: omma.roi_align(X, ROIS + 1, 2), BAD, "roi_align: rois[1] has batch index 2, x has 2 images"),
    (lambda: omma.roi_align(X, ROIS[:, 1:], 2), SHAPE, "roi_align: rois has shape [2, 4], expected [K, 5]"),
    (lambda: omma.roi_align(X, ROIS[:, 1:], 2, batch_indices=[0]), SHAPE, "roi_align: batch_indices has"),
    (lambda: omma.roi_align(X, ROIS[:, 1:], 2, batch_indices=SCORES[:2]), BAD, "batch_indices is float32"),
    (lambda: omma.roi_align_backward(floats(2, 4, 2, 2), ROIS, (6, 5)), BAD, "input_shape is (6, 5), expected four"),
    (lambda: omma.roi_align_backward(floats(2, 3, 2, 2), ROIS, X.shape), SHAPE, "roi_align_backward: dy has"),
    (lambda: omma.roi_align_backward(floats(2, 4, 2, 2), ROIS, X.shape, mode="max"), BAD, "x is missing"),
    (lambda: omma.roi_pool(X, ROIS, (2, 2, 2)), BAD, "roi_pool: output_size is (2, 2, 2), expected"),
    (lambda: omma.roi_pool(X, ROIS, 2, return_argmax=True, out=X), BAD, "roi_pool: out is no tuple of two"),
    (lambda: omma.roi_pool_backward(floats(2, 4, 2, 2), ROIS, SCORES, X.shape), BAD, "argmax is float32"),
    (lambda: omma.resize(IMG.astype(int), (2, 2)), BAD, "resize: img is int64, expected uint8 or float32"),
    (lambda: omma.resize(IMG[0, 0], (2, 2)), SHAPE, "resize: img has 1 dimensions, expected 2"),
    (lambda: omma.resize(IMG, 3), BAD, "resize: size_hw is 3, expected two integers (height, width)"),
    (lambda: omma.resize(IMG, (-1, 3)), BAD, "resize: size_hw is -1, expected 0"),
    (lambda: omma.resize(IMG[:0], (2, 2)), BAD, "resize: img of shape"),
    (lambda: omma.resize(IMG, (2, 2), "lanczos"), BAD, "resize: interpolation is 'lanczos', expected"),
    (lambda: omma.resize(IMG, (2, 2), coordinates="centre"), BAD, "resize: coordinates is 'centre', expected"),
    (lambda: omma.resize(IMG, (2, 2), "area", antialias=True), BAD, "resize: antialias is for interpolation linear"),
    (lambda: omma.median_blur(IMG.astype(int), 3), BAD, "median_blur: img is int64, expected uint8 or float32"),
    (lambda: omma.median_blur(IMG[0, 0], 3), SHAPE, "median_blur: img has 1 dimensions, expected 2"),
    (lambda: omma.median_blur(IMG, 4), BAD, "median_blur: ksize is 4, expected an odd number from 1 to 32767"),
    (lambda: omma.median_blur(IMG, -3), BAD, "median_blur: ksize is -3, expected an odd number"),
    (lambda: omma.median_blur(IMG, 3, "wrap"), BAD, "median_blur: border is 'wrap', expected"),
    (lambda: omma.median_blur(IMG, 3, out=IMG[:3]), SHAPE, "median_blur: out"),
    (lambda: omma.median_blur(IMG, 3, out=IMG), BAD, "median_blur: out overlaps img"),
    (lambda: omma.resize(IMG, (2, 2), out=IMG[:3, :3]), SHAPE, "resize: out has shape [3, 3, 3], size_hw is (2, 2)"),
    (lambda: omma.resize(IMG, (5, 7), out=IMG), BAD, "resize: out overlaps img"),
    (lambda: omma.warp_affine(IMG, [[1, 2, 3]], (2, 2)), BAD, "warp_affine: matrix is [[1, 2, 3]], expected 2 rows"),
    (lambda: omma.warp_affine(IMG, np.zeros((2, 3)), (2, 2)), BAD, "no inverse"),
    (lambda: omma.warp_affine(IMG, np.eye(3)[:2], (2, 2), value=(1, 2)), SHAPE, "value has 2 values, img has 3 channels"),
    (lambda: omma.warp_affine(IMG, np.eye(3)[:2], (2, 2), border="mirror"), BAD, "border is 'mirror', expected"),
    (lambda: omma.warp_affine(IMG, np.eye(3)[:2], (2, 2), interpolation="area"), BAD, "interpolation is 'area', expected"),
    (lambda: omma.warp_affine(IMG, np.eye(3)[:2], (3, 2), out=IMG[:2, :2].copy()), SHAPE, "size_hw is (3, 2)"),
    (lambda: omma.warp_perspective(IMG, np.eye(3)[:2], (2, 2)), BAD, "expected 3 rows of three numbers"),
    (lambda: omma.rotate(IMG, float("nan")), BAD, "degrees is NaN"),
    (lambda: omma.remap(IMG, floats(2, 3), floats(3, 2)), SHAPE, "remap: map_y has shape [3, 2]"),
    (lambda: omma.Remap(floats(2), floats(2)), SHAPE, "remap: map_x has 1 dimensions"),
    (lambda: omma.grid_sample(X, floats(1, 3, 3, 2)), SHAPE, "grid_sample: grid has shape"),
    (lambda: omma.grid_sample(X, floats(2, 3, 3, 2), "cubic"), BAD, "mode is 'cubic', expected"),
    (lambda: omma.resize(IMG, (2**31 - 1, 2**20)), MEMORY, "resize: no room for a result of shape"),
    (lambda: omma.image_to_tensor(IMG, mean=(1, 2)), SHAPE, "image_to_tensor: mean has 2 values, img has 3 channels"),
    (lambda: omma.image_to_tensor(IMG, std=(1, 0, 1)), BAD, "image_to_tensor: std is 0"),
    (lambda: omma.image_to_tensor(IMG, std=float("nan")), BAD, "image_to_tensor: std[0] is NaN"),
    (lambda: omma.image_to_tensor(IMG, scale=0), BAD, "image_to_tensor: scale is 0"),
    (lambda: omma.image_to_tensor(IMG[:, :, 0], swap_rb=True), BAD, "swap_rb exchanges channels 0 and 2, img has 1"),
    (lambda: omma.image_to_tensor(IMG, interpolation="nearest"), UNSUPPORTED, "image_to_tensor: interpolation"),
    (lambda: omma.image_to_tensor(IMG, interpolation="area", antialias=True), BAD, "image_to_tensor: antialias is for"),
    (lambda: omma.image_to_tensor(IMG, (4, 4), out=floats(3, 5, 4)), SHAPE, "image_to_tensor: out has shape"),
    (lambda: omma.letterbox((0, 3), (4, 4)), BAD, "letterbox: image_hw is 0, expected 1"),
    (lambda: omma.letterbox((3, 3), 4), BAD, "letterbox: frame_hw is 4, expected two integers"),
]


@pytest.mark.parametrize("call, status, words", ERRORS, ids=[words for _, _, words in ERRORS])
def test_error(call, status, words):
    with pytest.raises(omma.OmmaError) as caught:
        call()
    error = caught.value
    assert words in error.message and str(error) == error.message
    assert error.status == status and isinstance(error.status, int)
    again = pickle.loads(pickle.dumps(error))
    assert (again.status, again.message) == (error.status, error.message)


def test_every_operator_has_an_error():
    exempt = {"get_num_threads", "isa", "OmmaError", "Status", "Letterbox", "__version__"}
    names = set(omma.__all__) - exempt
    plain = {"relu6", "sigmoid", "tanh", "silu", "hardswish", "gelu", "gelu_tanh"}
    for name in plain:
        with pytest.raises(omma.OmmaError, match=f"{name}: x is float64, expected float32"):
            getattr(omma, name)(X.astype(float))
    met = plain.copy()
    for call, _, _ in ERRORS:
        met |= set(call.__code__.co_names)
    met |= {"Context"} if "closed" in met else set()
    assert names <= met


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: omma.relu(X, ctx=1), "ctx"),
        (lambda: omma.conv2d(X, W, layout=1), "layout"),
        (lambda: omma.nms(BOXES, SCORES, "high"), "iou_threshold"),
        (lambda: omma.max_pool2d(X, 2, ceil_mode=2), "ceil_mode"),
    ],
)
def test_an_argument_of_another_type_is_a_type_error_that_names_it(call, name):
    with pytest.raises(TypeError) as caught:
        call()
    assert any(f"'{name}'" in note for note in caught.value.__notes__)


def test_nothing_is_written_on_an_error():
    out = np.full((2, 8, 4, 3), 7, np.float32)
    with pytest.raises(omma.OmmaError):
        omma.conv2d(X, W[:, :3], out=out)
    assert (out == 7).all()


def strided(array):
    """The same values in memory that goes by other strides."""
    wide = np.zeros([2 * size + 1 for size in array.shape], array.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def reversed_(array):
    flip = tuple(slice(None, None, -1) for _ in array.shape)
    return array[flip].copy()[flip]


def unaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def record(array):
    """A field of packed records, whose strides are no multiple of the element's size."""
    records = np.zeros(array.shape, [("a", "u1"), ("value", array.dtype)])
    records["value"] = array
    return records["value"]


FORMS = {
    "fortran": np.asfortranarray,
    "strided": strided,
    "reversed": reversed_,
    "unaligned": unaligned,
    "record": record,
    "read only": read_only,
    "subclass": lambda array: array.view(type("Mine", (np.ndarray,), {})),
    "DLPack": Maker,
    "DLPack, strided": lambda array: Maker(strided(array)),
    "DLPack, compact": lambda array: Maker(array.copy(), compact=True),
    "DLPack, offset": lambda array: Maker(array, offset=64),
    "DLPack, old": lambda array: Maker(array, version=None),
    "DLPack, table": FastMaker,
    "DLPack, later table": FutureMaker,
    "DLPack, read only": lambda array: Maker(array, read_only=True),
    "array_api_strict": array_api_strict.asarray,
    "memoryview": lambda array: memoryview(np.ascontiguousarray(array)),
}
LISTS = {"list": np.ndarray.tolist, "tuple": lambda array: tuple(array.tolist())}


@pytest.mark.parametrize("form", [*FORMS, *LISTS])
def test_forms_of_arrays_give_the_same(form):
    to = {**FORMS, **LISTS}[form]
    bias, classes = floats(8), np.array([1, 2, 1])
    calls = [
        (omma.conv2d, (X, W, bias), dict(padding=1)),
        (omma.linear, (X, floats(3, 5)), {}),
        (omma.matmul, (X, X.swapaxes(2, 3)), {}),
        (omma.gelu, (X,), {}),
        (omma.prelu, (X, floats(4)), {}),
        (omma.softmax, (X, 1), {}),
        (omma.max_pool2d, (X, 2), {}),
        (omma.box_iou, (BOXES, BOXES), {}),
        (omma.batched_nms, (BOXES, SCORES, classes, 0.5), {}),
    ]
    if form not in LISTS:
        calls += [
            (omma.resize, (IMG, (9, 4)), {}),
            (omma.median_blur, (IMG, 5), {}),
            (omma.image_to_tensor, (IMG, (9, 4)), dict(mean=0.5, std=0.25)),
        ]
    for function, arguments, options in calls:
        expected = function(*arguments, **options)
        given = [to(a) if isinstance(a, np.ndarray) else a for a in arguments]
        got = function(*given, **options)
        np.testing.assert_array_equal(got, expected, err_msg=function.__name__)
        assert type(got) is np.ndarray and got.dtype == expected.dtype


def test_dlpack_memory_is_not_copied_and_given_back_once():
    for kind, version in [(Maker, (1, 0)), (Maker, None), (FastMaker, (1, 0))]:
        array = floats(3, 4)
        maker = kind(array, version=version)
        out = kind(np.zeros_like(array), version=version)
        assert omma.relu(maker, out=out) is out
        np.testing.assert_array_equal(out.array, np.maximum(array, 0))
        gc.collect()
        assert (maker.handed_out, maker.given_back) == (out.handed_out, out.given_back) == (1, 1)
        # Also after an error.
        with pytest.raises(omma.OmmaError):
            omma.matmul(maker, floats(3, 3))
        assert (maker.handed_out, maker.given_back) == (2, 2)


def test_a_refusal_of_dlpack_is_the_cause():
    class Refuses:
        def __dlpack__(self, **_):
            raise BufferError("requires grad")

    with pytest.raises(omma.OmmaError, match="relu: x does not give its memory: requires grad") as caught:
        omma.relu(Refuses())
    assert isinstance(caught.value.__cause__, BufferError)

    class Lies:
        def __dlpack__(self, **_):
            return 3

    with pytest.raises(omma.OmmaError, match="relu: x has a __dlpack__ that gives no tensor"):
        omma.relu(Lies())


@pytest.mark.parametrize(
    "form", ["fortran", "strided", "reversed", "unaligned", "DLPack", "DLPack, old", "DLPack, table"]
)
def test_out_of_any_strides_is_written_in_place(form):
    def check(expected, call):
        out = FORMS[form](np.zeros_like(expected))
        assert call(out) is out
        np.testing.assert_array_equal(getattr(out, "array", out), expected)

    check(omma.conv2d(X, W, stride=2), lambda out: omma.conv2d(X, W, stride=2, out=out))
    check(omma.tanh(X), lambda out: omma.tanh(X, out=out))
    check(omma.matmul(X, X.swapaxes(2, 3)), lambda out: omma.matmul(X, X.swapaxes(2, 3), out=out))
    check(omma.box_iou(BOXES, BOXES), lambda out: omma.box_iou(BOXES, BOXES, out=out))
    check(omma.resize(IMG, (4, 9)), lambda out: omma.resize(IMG, (4, 9), out=out))
    check(omma.median_blur(IMG, 3), lambda out: omma.median_blur(IMG, 3, out=out))
    check(omma.rotate(IMG, 30), lambda out: omma.rotate(IMG, 30, out=out))
    check(omma.image_to_tensor(IMG, (4, 9)), lambda out: omma.image_to_tensor(IMG, (4, 9), out=out))
    plan = omma.Conv2d(W, padding=1)
    check(plan.run(X), lambda out: plan.run(X, out=out))
    layer = omma.Linear(floats(3, 5))
    check(layer.run(X), lambda out: layer.run(X, out))


def test_in_place():
    x = X.copy()
    assert omma.relu(x, out=x) is x
    np.testing.assert_array_equal(x, np.maximum(X, 0))
    residual = floats(2, 8, 4, 3)
    expected = omma.conv2d(X, W, residual=residual)
    assert omma.conv2d(X, W, residual=residual, out=residual) is residual
    np.testing.assert_array_equal(residual, expected)


def test_out_of_suppression_is_returned_as_far_as_it_was_written():
    out = np.full(5, -1)
    kept = omma.nms(BOXES, SCORES, 0.5, out=out)
    assert kept.base is out and kept.tolist() == [1, 2] and out.tolist() == [1, 2, -1, -1, -1]


def test_out_of_pooling_with_indices():
    values, indices = omma.max_pool2d(X, 2, return_indices=True)
    out = (np.zeros_like(values), np.zeros_like(indices))
    got = omma.max_pool2d(X, 2, return_indices=True, out=out)
    assert got[0] is out[0] and got[1] is out[1]
    np.testing.assert_array_equal(out[0], values)
    np.testing.assert_array_equal(out[1], indices)


def test_image_to_tensor_fills_a_slot_of_a_batch():
    batch = np.zeros((2, 3, 4, 9), np.float32)
    omma.image_to_tensor(IMG, (4, 9), out=batch[1:])
    np.testing.assert_array_equal(batch[1], omma.image_to_tensor(IMG, (4, 9)))
    assert not batch[0].any()


def test_empty_arrays():
    assert omma.relu(np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert omma.matmul(np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32)).tolist() == [[0] * 3] * 2
    assert omma.nms(np.zeros((0, 4), np.float32), [], 0.5).shape == (0,)
    assert omma.box_iou(BOXES, np.zeros((0, 4), np.float32)).shape == (3, 0)
    assert omma.conv2d(X[:0], W).shape == (0, 8, 4, 3)
    assert omma.resize(IMG, (0, 4)).shape == (0, 4, 3)
    assert omma.median_blur(IMG[:0], 3).shape == (0, 7, 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda d: omma.conv2d(X, W, **d(stride=1, padding=0, dilation=1, groups=1, layout="NCHW")),
        lambda d: omma.conv2d(X, W, **d(activation=None, negative_slope=0.01, algorithm="auto")),
        lambda d: omma.Conv2d(W, **d(stride=1, padding=0, dilation=1, groups=1)).run(X),
        lambda d: omma.linear(X, W[0, 0, :, :1] + X[0, 0, :3], **d(activation=None)),
        lambda d: omma.leaky_relu(X, **d(negative_slope=0.01)),
        lambda d: omma.prelu(X, W[0, :, 0, 0], **d(axis=1)),
        lambda d: omma.softmax(X, **d(axis=-1)),
        lambda d: omma.log_softmax(X, **d(axis=-1)),
        lambda d: omma.attention(X, X, X, **d(mask=None, causal=False, causal_offset=0, scale=None, softcap=0)),
        lambda d: omma.layer_norm(X, **d(gamma=None, beta=None, eps=1e-5, axis=-1, residual=None)),
        lambda d: omma.rms_norm(X, **d(gamma=None, eps=1e-5, axis=-1, residual=None, return_sum=False)),
        lambda d: omma.max_pool2d(X, 2, **d(stride=2, padding=0, dilation=1, ceil_mode=False)),
        lambda d: omma.max_pool2d(X, 2, **d(stride=None, return_indices=False, layout="NCHW")),
        lambda d: omma.avg_pool2d(X, 2, **d(stride=2, padding=0, ceil_mode=False, dilation=1)),
        lambda d: omma.avg_pool2d(X, 2, **d(count_include_pad=True, divisor_override=None)),
        lambda d: omma.box_iou(BOXES, BOXES, **d(kind="iou", format="xyxy", offset=0)),
        lambda d: omma.nms(BOXES, SCORES, 0.5, **d(score_threshold=None, max_output=0, max_candidates=0)),
        lambda d: omma.nms(BOXES, SCORES, 0.5, **d(format="xyxy", offset=0, overlap="union")),
        lambda d: omma.rotate(IMG, 20, **d(expand=True, interpolation="linear", border="constant", value=0)),
        lambda d: omma.warp_affine(IMG, np.eye(3)[:2], (9, 9), **d(inverse=False, value=0.0)),
        lambda d: omma.grid_sample(X, X[:, :3, :, :2], **d(mode="bilinear", padding_mode="zeros", align_corners=False)),
        lambda d: omma.resize(IMG, (9, 9), **d(interpolation="linear", coordinates="half_pixel")),
        lambda d: omma.median_blur(IMG, 3, **d(border="replicate")),
        lambda d: omma.resize(IMG, (9, 9), "nearest", **d(coordinates="asymmetric", antialias=False)),
        lambda d: omma.image_to_tensor(IMG, **d(size_hw=(5, 7), mean=0.0, std=1.0, swap_rb=False)),
        lambda d: omma.image_to_tensor(IMG, (9, 9), letterbox=True, **d(pad_value=114.0, scale=1 / 255)),
        lambda d: omma.image_to_tensor(IMG, (3, 3), **d(interpolation="linear", layout="NCHW")),
    ],
)
def test_a_default_is_what_it_is_said_to_be(call):
    np.testing.assert_array_equal(call(dict), call(lambda **_: {}))


def test_paddings():
    whole = omma.conv2d(np.pad(X, ((0, 0), (0, 0), (1, 2), (3, 0))), W)
    np.testing.assert_array_equal(omma.conv2d(X, W, padding=(1, 2, 3, 0)), whole)
    pair = omma.conv2d(np.pad(X, ((0, 0), (0, 0), (1, 1), (2, 2))), W)
    np.testing.assert_array_equal(omma.conv2d(X, W, padding=(1, 2)), pair)
    np.testing.assert_array_equal(omma.conv2d(X, W, padding=np.array([1, 2])), pair)


def test_a_slope_of_zero_is_zero():
    expected = omma.conv2d(X, W, activation="relu")
    got = omma.conv2d(X, W, activation="leaky_relu", negative_slope=0)
    np.testing.assert_array_equal(got, expected)
    assert omma.leaky_relu([-3, 2], 0).tolist() == [0, 2]
