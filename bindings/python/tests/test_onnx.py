"""The node cases of ONNX, for every operator that omma has.

A small adapter turns a node's attributes and inputs into calls of omma. A case that omma cannot
express is listed with its reason. One that is neither run nor listed fails, and so does one that
is listed and gone, or listed although omma computes it.
"""

import warnings

import numpy as np
import onnx
import pytest

import omma

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    EVERY = {case.name: case for case in collect_testcases()}


class Inexpressible(Exception):
    pass


def window(attributes, shape, kernel):
    """stride, padding and dilation, for an image of that shape, as 2-d arguments of omma."""
    rank = len(kernel)
    stride = attributes.get("strides", [1] * rank)
    dilation = attributes.get("dilations", [1] * rank)
    auto = attributes.get("auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        before, after = [], []
        for size, k, s, d in zip(shape, kernel, stride, dilation):
            total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
            small, large = total // 2, total - total // 2
            before.append(small if auto == b"SAME_UPPER" else large)
            after.append(large if auto == b"SAME_UPPER" else small)
    else:
        pads = attributes.get("pads", [0] * 2 * rank)
        before, after = pads[:rank], pads[rank:]
    if rank == 1:
        return dict(stride=(1, *stride), padding=(0, 0, *before, *after), dilation=(1, *dilation))
    if rank != 2:
        raise Inexpressible
    padding = (before[0], after[0], before[1], after[1])
    return dict(stride=tuple(stride), padding=padding, dilation=tuple(dilation))


def conv(attributes, x, w, bias=None):
    options = window(attributes, x.shape[2:], w.shape[2:])
    return omma.conv2d(x, w, bias, groups=attributes.get("group", 1), **options)


def conv_transpose(attributes, x, w, bias=None):
    rank = x.ndim - 2
    if rank > 2:
        raise Inexpressible
    stride = attributes.get("strides", [1] * rank)
    dilation = attributes.get("dilations", [1] * rank)
    more = list(attributes.get("output_padding", [0] * rank))
    pads = attributes.get("pads", [0] * 2 * rank)
    before, after = list(pads[:rank]), list(pads[rank:])
    auto = attributes.get("auto_pad", b"NOTSET")
    sizes = attributes.get("output_shape")
    if auto in (b"SAME_UPPER", b"SAME_LOWER") and sizes is None:
        sizes = [size * s for size, s in zip(x.shape[2:], stride)]
    for i, size in enumerate(sizes or []):
        total = (x.shape[2 + i] - 1) * stride[i] + dilation[i] * (w.shape[2 + i] - 1) + more[i] + 1 - size
        more[i] += max(-total, 0)
        small, large = max(total, 0) // 2, max(total, 0) - max(total, 0) // 2
        before[i], after[i] = (small, large) if auto == b"SAME_UPPER" else (large, small)
    options = dict(groups=attributes.get("group", 1))
    if rank == 1:
        pairs = dict(stride=(1, *stride), dilation=(1, *dilation), output_padding=(0, *more))
        padding = (0, 0, *before, *after)
        return omma.conv_transpose2d(x[:, :, None], w[:, :, None], bias, padding=padding, **pairs, **options)[:, :, 0]
    pairs = dict(stride=tuple(stride), dilation=tuple(dilation), output_padding=tuple(more))
    padding = (before[0], after[0], before[1], after[1])
    return omma.conv_transpose2d(x, w, bias, padding=padding, **pairs, **options)


def deform_conv(attributes, x, w, offset, bias=None, mask=None):
    return omma.deform_conv2d(x, offset, w, bias, mask=mask, **window(attributes, x.shape[2:], w.shape[2:]))


def pool(function, attributes, x, **extra):
    kernel = attributes["kernel_shape"]
    options = window(attributes, x.shape[2:], kernel)
    options["ceil_mode"] = bool(attributes.get("ceil_mode", 0))
    if len(kernel) == 1:
        return function(x[:, :, None], (1, *kernel), **options, **extra)[:, :, 0]
    return function(x, tuple(kernel), **options, **extra)


def max_pool(attributes, x, outputs=1):
    if outputs == 1:
        return pool(omma.max_pool2d, attributes, x)
    values, indices = pool(omma.max_pool2d, attributes, x, return_indices=True)
    # ONNX counts through all planes, and by columns if asked to.
    n, c, h, w = x.shape
    if attributes.get("storage_order"):
        indices = indices % w * h + indices // w
    planes = np.arange(n * c).reshape(n, c, 1, 1)
    return values, indices + planes * (h * w)


def average_pool(attributes, x):
    include = bool(attributes.get("count_include_pad", 0))
    return pool(omma.avg_pool2d, attributes, x, count_include_pad=include)


def clip(attributes, x, low=None, high=None):
    if low == 0 and high is None:
        return omma.relu(x)
    if low == 0 and high == 6:
        return omma.relu6(x)
    raise Inexpressible


def gelu(attributes, x):
    return omma.gelu_tanh(x) if attributes.get("approximate") == b"tanh" else omma.gelu(x)


def swish(attributes, x):
    if attributes.get("alpha", 1) != 1:
        raise Inexpressible
    return omma.silu(x)


def matmul(attributes, a, b):
    result = omma.matmul(a if a.ndim > 1 else a[None], b if b.ndim > 1 else b[:, None])
    if a.ndim == 1:
        result = result.squeeze(-2)
    if b.ndim == 1:
        result = result.squeeze(-1)
    return result


def gemm(attributes, a, b, c=None):
    a = a.T if attributes.get("transA") else a
    w = b if attributes.get("transB") else b.T
    w = np.float32(attributes.get("alpha", 1)) * w
    if c is None:
        return omma.linear(a, w)
    c = np.float32(attributes.get("beta", 1)) * c
    if c.shape == (a.shape[0], w.shape[0]):
        # A convolution of 1x1, whose residual is a matrix.
        residual = np.ascontiguousarray(c.T)[None, :, None]
        out = omma.conv2d(a.T[None, :, None], w[:, :, None, None], residual=residual)
        return out[0, :, 0].T
    return omma.linear(a, w, np.broadcast_to(c.reshape(-1), w.shape[:1]))


def prelu(attributes, x, slope):
    return omma.prelu(x, slope, axis=-1)


def visible(attributes, q, k, mask, past, lengths):
    """What `attention` takes of a node's causality, window, lengths and mask: options of omma."""
    queries, keys = q.shape[2], k.shape[2]
    causal = bool(attributes.get("is_causal"))
    left = attributes.get("left_window_size", -1)
    right = attributes.get("right_window_size", -1)
    if mask is not None and mask.shape[-1] < keys and mask.shape[-1] > 1:
        missing = [(0, 0)] * (mask.ndim - 1) + [(0, keys - mask.shape[-1])]
        mask = np.pad(mask, missing, constant_values=False if mask.dtype == bool else -np.inf)
    if left < 0 and right < 0 and lengths is None:
        return dict(mask=mask, causal=causal, causal_offset=past if causal else 0)
    # omma has one offset for a call and no windows: these are masks.
    offset = np.array([past]) if lengths is None else lengths - queries
    i = np.arange(queries)[:, None] + offset[:, None, None, None]
    j = np.arange(keys)
    seen = np.ones(np.broadcast_shapes(i.shape, j.shape), bool)
    if lengths is not None:
        seen &= j < lengths[:, None, None, None]
    if causal:
        seen &= j <= i
    if left >= 0:
        seen &= j >= i - left
    if right >= 0:
        seen &= j <= i + right
    if mask is None:
        return dict(mask=seen)
    if mask.dtype == bool:
        return dict(mask=seen & mask)
    return dict(mask=np.where(seen, mask, np.float32(-np.inf)))


def attention(attributes, q, k, v, mask=None, past_k=None, past_v=None, lengths=None, outputs=()):
    if len(outputs) > 3 and outputs[3]:
        raise Inexpressible
    dtype, flat = q.dtype, q.ndim == 3
    if flat:
        # (B, N, H * D) is (B, N, H, D), which has to be seen as (B, H, N, D).
        heads = [attributes["q_num_heads"], *[attributes["kv_num_heads"]] * 2]
        q, k, v = (x.reshape(*x.shape[:2], h, -1).swapaxes(1, 2) for x, h in zip((q, k, v), heads))
    past = 0
    if past_k is not None:
        past = past_k.shape[2]
        k, v = np.concatenate([past_k, k], 2), np.concatenate([past_v, v], 2)
    present = (k, v)[: len(outputs) - 1]
    q, k, v = (x.astype(np.float32, copy=False) for x in (q, k, v))
    if mask is not None and mask.dtype != bool:
        mask = mask.astype(np.float32, copy=False)
    options = visible(attributes, q, k, mask, past, lengths)
    y = np.empty((q.shape[0], q.shape[2], q.shape[1], v.shape[3]), np.float32).swapaxes(1, 2)
    scale, softcap = attributes.get("scale"), attributes.get("softcap", 0.0)
    omma.attention(q, k, v, scale=scale, softcap=softcap, out=y, **options)
    if flat:
        y = y.swapaxes(1, 2).reshape(y.shape[0], y.shape[2], -1)
    return y.astype(dtype), *present


def layer_norm(attributes, x, gamma, beta=None, outputs=()):
    axis, eps = attributes.get("axis", -1), attributes.get("epsilon", 1e-5)
    # Mean and deviation, the other outputs, are for training.
    return (omma.layer_norm(x, gamma, beta, eps, axis=axis),)


def rms_norm(attributes, x, gamma):
    axis, eps = attributes.get("axis", -1), attributes.get("epsilon", 1e-5)
    return omma.rms_norm(x, gamma, eps, axis=axis)


def suppression(attributes, boxes, scores, most=None, iou_threshold=0.0, score_threshold=None):
    kind = "cxcywh" if attributes.get("center_point_box") else "corners"
    found = []
    for batch, classes in enumerate(scores):
        for index, row in enumerate(classes):
            kept = omma.nms(
                boxes[batch],
                row,
                float(np.squeeze(iou_threshold)),
                score_threshold=None if score_threshold is None else float(np.squeeze(score_threshold)),
                max_output=int(np.squeeze(most)),
                format=kind,
            )
            found += [(batch, index, box) for box in kept]
    return np.array(found, np.int64).reshape(-1, 3)


def resize(attributes, x, roi=None, scales=None, sizes=None, op="Resize"):
    mode = attributes.get("mode", b"nearest").decode()
    coordinates = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    rounding = attributes.get("nearest_mode", b"round_prefer_floor").decode()
    if op == "Upsample":
        coordinates, rounding = "asymmetric", "floor"
    h, w = x.shape[2:]
    axes = attributes.get("axes", range(4))
    if sizes is not None:
        sizes = dict(zip(axes, sizes))
        size = [int(sizes.get(2, h)), int(sizes.get(3, w))]
        policy = attributes.get("keep_aspect_ratio_policy", b"stretch")
        if policy != b"stretch":
            ratios = [size[0] / h, size[1] / w]
            ratio = min(ratios) if policy == b"not_larger" else max(ratios)
            size = [int(ratio * h + 0.5), int(ratio * w + 0.5)]
    else:
        scales = dict(zip(axes, scales))
        size = [int(np.float32(scales.get(2, 1)) * h), int(np.float32(scales.get(3, 1)) * w)]
        # omma knows the sizes alone.
        if [size[0] / h, size[1] / w] != [scales.get(2, 1), scales.get(3, 1)]:
            raise Inexpressible
    # omma's nearest with half pixels rounds ties up, and with whole ones down.
    roundings = {"half_pixel": ("round_prefer_floor", "round_prefer_ceil"), "asymmetric": ("floor",)}
    if mode == "nearest" and rounding not in roundings.get(coordinates, ()):
        raise Inexpressible
    antialias = bool(attributes.get("antialias"))
    if mode == "cubic":
        # OpenCV's and torch's kernels.
        a = attributes.get("cubic_coeff_a", -0.75)
        if a != (-0.5 if antialias else -0.75) or attributes.get("exclude_outside"):
            raise Inexpressible
    options = dict(coordinates=coordinates, antialias=antialias)
    planes = [omma.resize(plane, size, mode, **options) for plane in x.reshape(-1, h, w)]
    return np.stack(planes).reshape(*x.shape[:2], *size)


def roi_align(attributes, x, rois, batch_indices):
    transform = attributes.get("coordinate_transformation_mode", b"half_pixel")
    return omma.roi_align(
        x,
        rois,
        (attributes.get("output_height", 1), attributes.get("output_width", 1)),
        attributes.get("spatial_scale", 1.0),
        attributes.get("sampling_ratio", 0),
        transform == b"half_pixel",
        mode=attributes.get("mode", b"avg").decode(),
        batch_indices=batch_indices,
    )


def grid_sample(attributes, x, grid):
    mode = attributes.get("mode", b"linear").decode()
    if x.ndim != 4:
        raise Inexpressible
    return omma.grid_sample(
        x,
        grid,
        {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode),
        attributes.get("padding_mode", b"zeros").decode(),
        bool(attributes.get("align_corners", 0)),
    )


ADAPTERS = {
    "Attention": attention,
    "AveragePool": average_pool,
    "Clip": clip,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DeformConv": deform_conv,
    "Gelu": gelu,
    "Gemm": gemm,
    "GlobalAveragePool": lambda a, x: omma.avg_pool2d(x, x.shape[2:]),
    "GlobalMaxPool": lambda a, x: omma.max_pool2d(x, x.shape[2:]),
    "GridSample": grid_sample,
    "HardSwish": lambda a, x: omma.hardswish(x),
    "LayerNormalization": layer_norm,
    "LeakyRelu": lambda a, x: omma.leaky_relu(x, a.get("alpha", 0.01)),
    "LogSoftmax": lambda a, x: omma.log_softmax(x, a.get("axis", -1)),
    "MatMul": matmul,
    "MaxPool": max_pool,
    "NonMaxSuppression": suppression,
    "PRelu": prelu,
    "RMSNormalization": rms_norm,
    "Relu": lambda a, x: omma.relu(x),
    "Resize": resize,
    "RoiAlign": roi_align,
    "Sigmoid": lambda a, x: omma.sigmoid(x),
    "Softmax": lambda a, x: omma.softmax(x, a.get("axis", -1)),
    "Swish": swish,
    "Tanh": lambda a, x: omma.tanh(x),
    "Upsample": lambda a, x, scales: resize(a, x, scales=scales, op="Upsample"),
}

LISTED = {
    "omma samples images, not volumes": """
        gridsample_volumetric_bilinear_align_corners_0 gridsample_volumetric_bilinear_align_corners_1
        gridsample_volumetric_nearest_align_corners_0 gridsample_volumetric_nearest_align_corners_1""",
    "omma never has the products of queries and keys that this case wants": """
        attention_4d_with_qk_matmul attention_4d_with_qk_matmul_bias
        attention_4d_with_qk_matmul_softcap attention_4d_with_qk_matmul_softmax
        attention_4d_with_past_and_present_qk_matmul
        attention_4d_with_past_and_present_qk_matmul_bias
        attention_4d_with_past_and_present_qk_matmul_bias_3d_mask
        attention_4d_with_past_and_present_qk_matmul_bias_4d_mask
        attention_4d_with_past_and_present_qk_matmul_bias_3d_mask_causal
        attention_4d_with_past_and_present_qk_matmul_bias_4d_mask_causal
        attention_3d_with_past_and_present_qk_matmul
        attention_3d_with_past_and_present_qk_matmul_bias
        attention_3d_with_past_and_present_qk_matmul_softcap
        attention_3d_with_past_and_present_qk_matmul_softmax
        attention_23_fullymasked_qk_matmul_output_mode3_zero
        attention_24_fullymasked_qk_matmul_output_mode3_zero
        attention_24_qk_matmul_output_mode3_softmax_precision
        attention_local_window_gqa_rank4_mask""",
    "pooling in omma is over two dimensions": """
        averagepool_3d_default averagepool_3d_dilations_small
        averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True
        averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False
        averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True
        averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False
        maxpool_3d_default maxpool_3d_dilations maxpool_3d_dilations_use_ref_impl
        maxpool_3d_dilations_use_ref_impl_large""",
    "convolution in omma is over two dimensions": "convtranspose_3d",
    "pooling in omma is of float32": "maxpool_2d_uint8",
    "omma clips from 0 (relu) or from 0 to 6 (relu6)": """
        clip clip_example clip_inbounds clip_outbounds clip_splitbounds clip_min_greater_than_max
        clip_default_max clip_default_inbounds clip_default_int8_min clip_default_int8_max
        clip_default_int8_inbounds""",
    "a cubic kernel that omma does not have: other values of A, border samples left out": """
        resize_downsample_scales_cubic_A_n0p5_exclude_outside
        resize_upsample_scales_cubic_A_n0p5_exclude_outside
        resize_downsample_scales_cubic_antialias resize_downsample_sizes_cubic_antialias""",
    "antialias in omma is torch's, whose kernel has other samples at its ends": "resize_downsample_sizes_linear_antialias",
    "omma resizes whole images": """
        resize_tf_crop_and_resize resize_tf_crop_and_resize_extrapolation_value
        resize_tf_crop_and_resize_axes_2_3 resize_tf_crop_and_resize_axes_3_2""",
    "the scale is not the ratio of the sizes, which is what omma takes": """
        resize_downsample_scales_nearest resize_downsample_scales_linear
        resize_downsample_scales_cubic resize_downsample_scales_cubic_align_corners
        resize_downsample_scales_linear_antialias
        resize_downsample_scales_linear_align_corners
        resize_downsample_scales_linear_half_pixel_symmetric
        resize_upsample_scales_linear_half_pixel_symmetric""",
    "coordinates that omma does not have: 0 for a result of one pixel":
        "resize_downsample_sizes_linear_pytorch_half_pixel",
    "a rounding of nearest that omma does not have": """
        resize_upsample_sizes_nearest_floor_align_corners
        resize_upsample_sizes_nearest_round_prefer_ceil_asymmetric
        resize_upsample_sizes_nearest_ceil_half_pixel""",
    "a tie between two pixels, which ONNX rounds down by default and omma up": """
        resize_upsample_sizes_nearest resize_downsample_sizes_nearest
        resize_upsample_sizes_nearest_axes_2_3 resize_upsample_sizes_nearest_axes_3_2
        resize_upsample_sizes_nearest_not_larger resize_downsample_sizes_nearest_not_larger
        resize_downsample_sizes_nearest_not_smaller""",
}

# ONNX writes these results with four digits, and gives its own tolerance.
ROUNDED = [
    "test_averagepool_2d_ceil_last_window_starts_on_pad",
    "test_gridsample_bicubic",
    "test_roialign_aligned_false",
    "test_roialign_aligned_true",
    "test_roialign_mode_max",
]

# Relative and absolute agreement.
HALVES = {"float16": (2e-3, 1e-3), "bfloat16": (2e-2, 1e-2)}

NAMES = [f"test_{name}" for names in LISTED.values() for name in names.split()]


def node(case):
    """The operator of a case, `None` for the body of a function."""
    nodes = case.model.graph.node
    return nodes[0] if len(nodes) == 1 else None


CASES = [name for name, case in EVERY.items() if node(case) and node(case).op_type in ADAPTERS]


def check(name):
    case = EVERY[name]
    step = node(case)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in step.attribute}
    assert case.data_sets
    for given, expected in case.data_sets:
        given = iter(given)
        inputs = [next(given) if wanted else None for wanted in step.input]
        if step.op_type == "MaxPool" and len(step.output) == 2:
            attributes["outputs"] = 2
            got = max_pool(attributes, *inputs, outputs=2)
        elif step.op_type in ("Attention", "LayerNormalization"):
            got = ADAPTERS[step.op_type](attributes, *inputs, outputs=step.output)
            if step.op_type == "LayerNormalization":
                expected = expected[:1]
        else:
            got = (ADAPTERS[step.op_type](attributes, *inputs),)
        assert len(got) == len(expected)
        for mine, theirs in zip(got, expected):
            assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
            rtol = case.rtol if name in ROUNDED else 1e-5
            # Half precision, which omma computes in float32 and the case does not.
            rtol, atol = HALVES.get(str(mine.dtype), (rtol, 1e-6))
            mine, theirs = (x.astype(np.float32) if str(x.dtype) in HALVES else x for x in (mine, theirs))
            np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", [name for name in CASES if name not in NAMES])
def test_case(name):
    check(name)


@pytest.mark.parametrize("name", NAMES)
def test_listed_case_is_one_and_cannot_be_computed(name):
    assert name in CASES, "no case of that name; take it off the list"
    with pytest.raises((Inexpressible, omma.OmmaError, AssertionError)):
        check(name)


def test_no_case_is_listed_twice():
    assert len(set(NAMES)) == len(NAMES)


def test_every_operator_has_cases():
    assert {node(EVERY[name]).op_type for name in CASES} == set(ADAPTERS)


def test_other_cases_of_these_operators_are_bodies_of_functions():
    for name, case in EVERY.items():
        if node(case) is None and any(n.op_type in ADAPTERS for n in case.model.graph.node):
            assert "_expanded" in name
