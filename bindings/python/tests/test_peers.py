"""Results beside those of OpenCV, scipy and numpy, on parameters of real use."""

import cv2
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import scipy.special

import omma

rng = np.random.default_rng(3)
# OpenCV's own code: that of the vendor's library in its package rounds coordinates otherwise.
cv2.ipp.setUseIPP(False)
INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA}


def picture(h, w, channels, dtype):
    """Smooth areas, edges and noise."""
    y, x = np.mgrid[:h, :w]
    base = 127 + 90 * np.sin(x / 17) * np.cos(y / 11) + 60 * ((x // 40 + y // 30) % 2)
    img = base[..., None] + rng.normal(0, 20, (h, w, channels)) + 10 * np.arange(channels)
    img = np.clip(img, 0, 255)
    img = img.round().astype(np.uint8) if dtype == np.uint8 else img.astype(np.float32)
    return img[..., 0] if channels == 1 else img


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(
    "shape, size",
    [
        ((1080, 1920), (640, 640)),
        ((1080, 1920), (720, 1280)),
        ((480, 640), (240, 320)),
        ((224, 224), (448, 448)),
        ((375, 500), (299, 299)),
        ((37, 53), (111, 40)),
        ((9, 7), (1, 1)),
    ],
)
def test_resize_of_bytes_has_the_bits_of_opencv(shape, size, interpolation, channels):
    img = picture(*shape, channels, np.uint8)
    expected = cv2.resize(img, size[::-1], interpolation=INTERPOLATIONS[interpolation])
    np.testing.assert_array_equal(omma.resize(img, size, interpolation), expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("shape, size", [((480, 640), (224, 224)), ((120, 90), (300, 333))])
def test_resize_of_floats(shape, size, interpolation, channels):
    img = picture(*shape, channels, np.float32)
    expected = cv2.resize(img, size[::-1], interpolation=INTERPOLATIONS[interpolation])
    np.testing.assert_allclose(omma.resize(img, size, interpolation), expected, rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape, size", [((480, 640), (224, 224)), ((120, 90), (300, 333)), ((7, 5), (3, 11))])
def test_cubic_resize(shape, size, dtype, channels):
    img = picture(*shape, channels, dtype)
    expected = cv2.resize(img, size[::-1], interpolation=cv2.INTER_CUBIC)
    apart = np.abs(omma.resize(img, size, "cubic").astype(float) - expected)
    assert apart.max() <= (1 if dtype == np.uint8 else 0.02)
    # One sample of the smallest picture is 3 % of it.
    assert np.sum(apart > 0.02) <= max(1, 0.02 * apart.size)


@pytest.mark.parametrize("ksize", [1, 3, 5, 7, 9, 11, 31, 101])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_median_of_bytes_is_that_of_opencv(ksize, channels):
    img = picture(123, 217, channels, np.uint8)
    np.testing.assert_array_equal(omma.median_blur(img, ksize), cv2.medianBlur(img, ksize))


@pytest.mark.parametrize("border, mode", [("replicate", "nearest"), ("constant", "constant")])
@pytest.mark.parametrize("ksize", [3, 5, 7, 9, 13])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_median_is_that_of_scipy(dtype, ksize, border, mode):
    img = picture(61, 47, 2, dtype)
    expected = scipy.ndimage.median_filter(img, (ksize, ksize, 1), mode=mode)
    np.testing.assert_array_equal(omma.median_blur(img, ksize, border), expected)


BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "replicate": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "reflect_101": cv2.BORDER_REFLECT_101,
    "wrap": cv2.BORDER_WRAP,
}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("border", BORDERS)
def test_warps(border, channels, dtype):
    img = picture(240, 320, channels, dtype)
    value = [20.0, 120.0, 220.0, 50.0][:channels]
    options = dict(borderMode=BORDERS[border], borderValue=value)
    matrix = cv2.getRotationMatrix2D((150, 130), 15, 1.1)
    expected = cv2.warpAffine(img, matrix, (330, 230), **options)
    got = omma.warp_affine(img, matrix, (230, 330), border=border, value=value)
    apart = np.abs(got.astype(np.float64) - expected)
    assert apart.max() <= (1 if dtype == np.uint8 else 0.02)
    # Coordinates that differ by a rounding, where a byte is half way between two.
    assert dtype == np.float32 or (apart > 0).mean() < 1e-3
    matrix = np.vstack([matrix, [1e-4, -2e-4, 1]])
    expected = cv2.warpPerspective(img, matrix, (330, 230), flags=cv2.INTER_LINEAR, **options)
    got = omma.warp_perspective(img, matrix, (230, 330), border=border, value=value)
    apart = np.abs(got.astype(np.float64) - expected)
    assert (apart > (1 if dtype == np.uint8 else 0.02)).mean() < 1e-4
    x, y = (rng.uniform(-4, n, (100, 90)).astype(np.float32) for n in (324, 244))
    expected = cv2.remap(img, x, y, cv2.INTER_LINEAR, **options)
    got = omma.remap(img, x, y, border=border, value=value)
    np.testing.assert_allclose(got, expected, atol=1 if dtype == np.uint8 else 1e-3)
    np.testing.assert_array_equal(omma.Remap(x, y, border=border, value=value).run(img), got)


def test_rotations():
    img = picture(60, 80, 3, np.uint8)
    for quarters in range(5):
        np.testing.assert_array_equal(omma.rotate(img, 90 * quarters), np.rot90(img, quarters))
    assert omma.rotate(img, 30).shape == (92, 100, 3)
    assert omma.rotate(img, 30, expand=False).shape == img.shape
    matrix = cv2.getRotationMatrix2D((39.5, 29.5), 30, 1)
    expected = cv2.warpAffine(img, matrix, (80, 60))
    apart = np.abs(omma.rotate(img, 30, expand=False).astype(int) - expected)
    assert apart.max() <= 1 and (apart > 0).mean() < 1e-2


@pytest.mark.parametrize("size", [None, (224, 224), (640, 480)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_image_to_tensor(size, dtype):
    img = picture(480, 640, 3, dtype)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    resized = img if size is None else omma.resize(img, size)
    scale = 255 if dtype == np.uint8 else 1
    expected = (cv2.cvtColor(resized, cv2.COLOR_BGR2RGB).astype(float) / scale - mean) / std
    got = omma.image_to_tensor(img, size, mean=mean, std=std, swap_rb=True)
    np.testing.assert_allclose(got, expected.transpose(2, 0, 1), rtol=1e-5, atol=2e-3 * 255 / scale / 255)
    last = omma.image_to_tensor(img, size, mean=mean, std=std, swap_rb=True, layout="NHWC")
    np.testing.assert_array_equal(last, got.transpose(1, 2, 0))


@pytest.mark.parametrize("shape", [(1080, 1920), (333, 200)])
def test_letterbox(shape):
    img = picture(*shape, 3, np.uint8)
    place = omma.letterbox(shape, (640, 640))
    inside = cv2.resize(img, (place.width, place.height), interpolation=cv2.INTER_LINEAR)
    bottom, right = 640 - place.top - place.height, 640 - place.left - place.width
    borders = place.top, bottom, place.left, right
    frame = cv2.copyMakeBorder(inside, *borders, cv2.BORDER_CONSTANT, value=(114,) * 3)
    got = omma.image_to_tensor(img, (640, 640), scale=1, letterbox=True)
    np.testing.assert_array_equal(got, frame.transpose(2, 0, 1))
    assert abs(place.scale_y - place.height / shape[0]) < 1e-12
    assert "top=" in repr(place)


def test_blob_from_images_of_opencv():
    img = picture(300, 400, 3, np.uint8)
    blob = cv2.dnn.blobFromImage(img, 1 / 127.5, (224, 224), (127.5,) * 3, swapRB=True)
    got = omma.image_to_tensor(img, (224, 224), scale=1 / 127.5, mean=1, swap_rb=True)
    np.testing.assert_allclose(got, blob[0], atol=1e-6)


X = np.concatenate([rng.normal(0, 4, 5000), np.linspace(-20, 20, 999)]).astype(np.float32)


@pytest.mark.parametrize(
    "function, reference",
    [
        (omma.relu, lambda x: np.maximum(x, 0)),
        (omma.relu6, lambda x: np.clip(x, 0, 6)),
        (omma.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x)),
        (omma.sigmoid, scipy.special.expit),
        (omma.tanh, np.tanh),
        (omma.silu, lambda x: x * scipy.special.expit(x)),
        (omma.hardswish, lambda x: x * np.clip(x + 3, 0, 6) / 6),
        (omma.gelu, lambda x: x * scipy.special.ndtr(x)),
        (omma.gelu_tanh, lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))),
    ],
    ids=lambda f: f.__name__,
)
def test_activations(function, reference):
    np.testing.assert_allclose(function(X), reference(X.astype(float)), rtol=1e-6, atol=3e-7)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(axis):
    x = 5 * rng.standard_normal((3, 17, 1000), dtype=np.float32)
    expected = scipy.special.softmax(x.astype(float), axis)
    np.testing.assert_allclose(omma.softmax(x, axis), expected, rtol=5e-6)
    expected = scipy.special.log_softmax(x.astype(float), axis)
    np.testing.assert_allclose(omma.log_softmax(x, axis), expected, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("n", [1, 7, 130])
@pytest.mark.parametrize("causal", [False, True])
def test_attention(n, causal, ctx):
    shapes = (2, n, 6, 40), (2, 210, 3, 40), (2, 210, 3, 24)
    q, k, v = (rng.standard_normal(shape, dtype=np.float32).swapaxes(1, 2) for shape in shapes)
    logits = q.astype(float) @ np.repeat(k, 2, 1).swapaxes(2, 3) / np.sqrt(40)
    if causal:
        logits[..., np.arange(210) > np.arange(n)[:, None] + 70] = -np.inf
    expected = scipy.special.softmax(logits, -1) @ np.repeat(v, 2, 1)
    options = dict(causal=True, causal_offset=70) if causal else {}
    got, sums = omma.attention(q, k, v, return_log_sum_exp=True, ctx=ctx, **options)
    np.testing.assert_allclose(got, expected, atol=2e-6)
    np.testing.assert_allclose(sums, scipy.special.logsumexp(logits, -1), rtol=1e-6)
    mask = np.isfinite(logits)[0, 0]
    np.testing.assert_allclose(omma.attention(q, k, v, mask=mask, ctx=ctx), expected, atol=2e-6)


def test_textbook_self_attention(ctx):
    """softmax(Q K.T / sqrt(d_k)) V of one head."""
    x = rng.standard_normal((1, 9, 12), dtype=np.float32)
    w_q, w_k, w_v = (rng.standard_normal((d, 12), dtype=np.float32) for d in (5, 5, 7))
    q, k, v = (x[0].astype(float) @ w.T for w in (w_q, w_k, w_v))
    expected = scipy.special.softmax(q @ k.T / np.sqrt(5), -1) @ v
    eye = np.eye(7, dtype=np.float32)
    got = omma.multi_head_attention(x, x, x, w_q, w_k, w_v, eye, num_heads=1, ctx=ctx)
    np.testing.assert_allclose(got[0], expected, atol=1e-4)


@pytest.mark.parametrize("norm_first", [False, True])
def test_encoder_layer_is_its_parts(norm_first, ctx):
    e, hidden, n = 24, 40, 11
    shapes = [(3 * e, e), (3 * e,), (e, e), (e,), (hidden, e), (hidden,), (e, hidden), (e,)] + [(e,)] * 4
    arrays = [rng.standard_normal(shape, dtype=np.float32) / 5 for shape in shapes]
    x = rng.standard_normal((2, n, e), dtype=np.float32)
    mask = np.arange(n) < n - 2
    layer = omma.TransformerEncoderLayer(
        *arrays, num_heads=4, activation="gelu", norm_first=norm_first, causal=True, ctx=ctx
    )
    (w_q, w_k, w_v), (b_q, b_k, b_v) = np.split(arrays[0], 3), np.split(arrays[1], 3)
    attention = omma.MultiHeadAttention(
        w_q, w_k, w_v, arrays[2], b_q=b_q, b_k=b_k, b_v=b_v, b_o=arrays[3], num_heads=4, causal=True, ctx=ctx
    )
    network = omma.FeedForward(*arrays[4:8], activation="gelu", ctx=ctx)

    def norm(i, x):
        return omma.layer_norm(x, *arrays[8 + 2 * i : 10 + 2 * i])

    if norm_first:
        y = norm(0, x)
        s = attention.run(y, y, y, mask=mask, residual=x, ctx=ctx)
        expected = network.run(norm(1, s), residual=s, ctx=ctx)
    else:
        s = norm(0, attention.run(x, x, x, mask=mask, residual=x, ctx=ctx))
        expected = norm(1, network.run(s, residual=s, ctx=ctx))
    np.testing.assert_allclose(layer.run(x, mask, ctx=ctx), expected, atol=2e-5)
    assert layer.run(x, mask, out=x, ctx=ctx) is x
    np.testing.assert_allclose(x, expected, atol=2e-5)


def test_patch_embedding_is_a_convolution(ctx):
    x = rng.standard_normal((2, 3, 9, 12), dtype=np.float32)
    w, bias, token = (rng.standard_normal(shape, dtype=np.float32) for shape in ((5, 3, 4, 3), 5, 5))
    rows = omma.conv2d(x, w, bias, stride=(4, 3)).reshape(2, 5, -1).swapaxes(1, 2)
    got = omma.PatchEmbedding(w, bias, token, ctx=ctx).run(x, ctx=ctx)
    np.testing.assert_allclose(got[:, 1:], rows, atol=2e-5)
    assert (got[:, 0] == token).all()


@pytest.mark.parametrize("axis", [1, -1])
def test_norms(axis, ctx):
    x, residual = rng.standard_normal((2, 9, 33, 20), dtype=np.float32)
    gamma, beta = rng.standard_normal((2, *x.shape[axis:]), dtype=np.float32)
    s = x.astype(float) + residual
    axes = tuple(range(axis % 3, 3))
    expected = (s - s.mean(axes, keepdims=True)) / np.sqrt(s.var(axes, keepdims=True) + 1e-3) * gamma + beta
    got, total = omma.layer_norm(x, gamma, beta, 1e-3, axis=axis, residual=residual, return_sum=True, ctx=ctx)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(total, x + residual)
    expected = s / np.sqrt((s * s).mean(axes, keepdims=True) + 1e-3) * gamma
    got = omma.rms_norm(x, gamma, 1e-3, axis=axis, residual=residual, ctx=ctx)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shapes", [((3, 5), (5, 7)), ((2, 1, 33, 65), (4, 65, 31)), ((129, 300), (300, 257))])
def test_matmul(shapes, ctx):
    a, b = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    expected = np.matmul(a.astype(float), b.astype(float))
    np.testing.assert_allclose(omma.matmul(a, b, ctx=ctx), expected, rtol=1e-5, atol=1e-4)


def test_linear(ctx):
    x, w, bias = (rng.standard_normal(s, dtype=np.float32) for s in [(4, 9, 100), (37, 100), 37])
    expected = scipy.special.expit(x.astype(float) @ w.T.astype(float) + bias)
    got = omma.linear(x, w, bias, activation="sigmoid", ctx=ctx)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    layer = omma.Linear(w, bias, activation="sigmoid", ctx=ctx)
    np.testing.assert_allclose(layer.run(x, ctx=ctx), got, rtol=1e-5, atol=1e-6)
    assert repr(layer) == f"<omma.Linear {layer.describe()}>"


def correlate(x, w, groups):
    """A convolution without padding by scipy, channel by channel."""
    outputs, inputs = w.shape[0] // groups, w.shape[1]
    planes = [
        sum(
            scipy.signal.correlate2d(image[o // outputs * inputs + i], w[o, i], "valid")
            for i in range(inputs)
        )
        for image in x.astype(float)
        for o in range(w.shape[0])
    ]
    return np.array(planes).reshape(x.shape[0], w.shape[0], *planes[0].shape)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    "channels, outputs, kernel, stride, dilation, groups",
    [(3, 16, (7, 7), 2, 1, 1), (16, 8, (3, 3), 1, 1, 1), (12, 6, (1, 1), 1, 1, 1), (8, 8, (5, 3), (2, 1), 1, 8),
     (8, 12, (3, 3), 1, (2, 3), 4)],
)
def test_conv2d(channels, outputs, kernel, stride, dilation, groups, layout, ctx):
    x = rng.standard_normal((2, channels, 23, 29), dtype=np.float32)
    w = rng.standard_normal((outputs, channels // groups, *kernel), dtype=np.float32)
    bias = rng.standard_normal(outputs, dtype=np.float32)
    (sy, sx), (dy, dx) = (np.broadcast_to(v, 2) for v in (stride, dilation))
    taps = np.zeros((*w.shape[:2], dy * (kernel[0] - 1) + 1, dx * (kernel[1] - 1) + 1))
    taps[:, :, ::dy, ::dx] = w
    padded = np.pad(x, ((0, 0), (0, 0), (2, 1), (0, 3)))
    plain = correlate(padded, taps, groups)[:, :, ::sy, ::sx] + bias[:, None, None]
    residual = rng.standard_normal(plain.shape, dtype=np.float32)
    slope = rng.random(outputs, np.float32)
    whole = plain + residual
    expected = np.where(whole > 0, whole, whole * slope[:, None, None])
    last = layout == "NHWC"

    def to(a):
        return np.ascontiguousarray(a.transpose(0, 2, 3, 1)) if last else a

    fixed = dict(stride=stride, padding=(2, 1, 0, 3), dilation=dilation, groups=groups,
                 activation="prelu", activation_slope=slope, layout=layout)
    got = omma.conv2d(to(x), to(w), bias, residual=to(residual), ctx=ctx, **fixed)
    np.testing.assert_allclose(got, to(expected), rtol=1e-4, atol=1e-4)
    plan = omma.Conv2d(to(w), bias, ctx=ctx, **fixed)
    np.testing.assert_allclose(plan.run(to(x), to(residual), ctx=ctx), got, rtol=1e-5, atol=1e-5)
    assert repr(plan) == f"<omma.Conv2d {plan.describe()}>" and ctx.isa in plan.describe()


def test_pooling():
    x = rng.standard_normal((2, 3, 20, 30), dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 2), (2, 3))[:, :, ::2, ::2]
    np.testing.assert_array_equal(omma.max_pool2d(x, (3, 2), 2), windows.max((-2, -1)))
    np.testing.assert_allclose(omma.avg_pool2d(x, (3, 2), 2), windows.mean((-2, -1)), rtol=1e-5, atol=1e-6)
    got = omma.avg_pool2d(x.transpose(0, 2, 3, 1), (3, 2), 2, divisor_override=2, layout="NHWC")
    np.testing.assert_allclose(got, windows.sum((-2, -1)).transpose(0, 2, 3, 1) / 2, rtol=1e-5, atol=1e-6)
    values, indices = omma.max_pool2d(x, 2, return_indices=True)
    planes = x.reshape(2, 3, -1)
    np.testing.assert_array_equal(np.take_along_axis(planes, indices.reshape(2, 3, -1), 2), values.reshape(2, 3, -1))


def sampled(plane, y, x):
    """A plane between its pixels, as RoIAlign samples it."""
    h, w = plane.shape
    if not (-1 <= y <= h and -1 <= x <= w):
        return 0.0
    y, x = np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)
    top, left = int(y), int(x)
    rows, columns = [top, min(top + 1, h - 1)], [left, min(left + 1, w - 1)]
    return np.array([1 - y + top, y - top]) @ plane[np.ix_(rows, columns)] @ np.array([1 - x + left, x - left])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("aligned, ratio", [(True, 2), (False, -1)])
def test_roi_align(layout, aligned, ratio, ctx):
    maps = rng.random((2, 3, 9, 8), dtype=np.float32)
    rois = np.array([[1, 2, 3, 11, 14], [0, -4, 0, 30, 9], [1, 5, 5, 5, 5]], np.float32)
    expected = np.zeros((3, 3, 2, 3))
    for k, (image, *corners) in enumerate(rois):
        x1, y1, x2, y2 = np.array(corners) / 2 - aligned * 0.5
        sizes = [size if aligned else max(size, 1) for size in (y2 - y1, x2 - x1)]
        steps = [size / bins for size, bins in zip(sizes, (2, 3))]
        counts = [ratio if ratio > 0 else int(np.ceil(step)) for step in steps]
        for c, p, q in np.ndindex(3, 2, 3):
            values = [
                sampled(maps[int(image), c], y1 + steps[0] * (p + (i + 0.5) / counts[0]), x1 + steps[1] * (q + (j + 0.5) / counts[1]))
                for i, j in np.ndindex(*counts)
            ]
            expected[k, c, p, q] = np.mean(values)
    def to(a):
        return np.ascontiguousarray(a.transpose(0, 2, 3, 1)) if layout == "NHWC" else a
    options = dict(spatial_scale=0.5, sampling_ratio=ratio, aligned=aligned, layout=layout, ctx=ctx)
    y = omma.roi_align(to(maps), rois, (2, 3), **options)
    np.testing.assert_allclose(y, to(expected), atol=1e-5)
    apart = omma.roi_align(to(maps), rois[:, 1:], (2, 3), batch_indices=rois[:, 0].astype(np.int32), **options)
    assert np.array_equal(apart, y)
    dx = omma.roi_align_backward(y, rois, to(maps).shape, **options)
    np.testing.assert_allclose(np.vdot(dx, to(maps)), np.vdot(y, y), rtol=1e-5)
    largest = omma.roi_align(to(maps), rois, (2, 3), mode="max_sample", **options)
    assert np.all(largest >= y - 1e-6)
    dx = omma.roi_align_backward(y, rois, to(maps).shape, mode="max_sample", x=to(maps), **options)
    np.testing.assert_allclose(np.vdot(dx, to(maps)), np.vdot(y, largest), rtol=1e-5)


def test_roi_pool(ctx):
    maps = rng.random((1, 2, 6, 8), dtype=np.float32)
    rois = np.array([[0, 0, 0, 7, 5]], np.float32)
    expected = maps.reshape(2, 2, 3, 2, 4).transpose(0, 1, 3, 2, 4).reshape(1, 2, 2, 2, 12)
    y, argmax = omma.roi_pool(maps, rois, 2, return_argmax=True, ctx=ctx)
    assert np.array_equal(y, expected.max(-1)) and argmax.dtype == np.int32
    assert np.array_equal(np.take_along_axis(maps.reshape(1, 2, -1), argmax.reshape(1, 2, -1), 2), y.reshape(1, 2, -1))
    dx = omma.roi_pool_backward(y, rois, argmax, maps.shape, ctx=ctx)
    assert np.array_equal(dx != 0, np.isin(maps, y)) and dx.sum() == pytest.approx(y.sum())
    out = np.empty_like(y), np.empty_like(argmax)
    assert omma.roi_pool(maps, rois[:, 1:], 2, return_argmax=True, batch_indices=[0], out=out)[1] is out[1]
    assert np.array_equal(out[0], y)


def boxes(count):
    corner = rng.uniform(0, 300, (count, 2))
    return np.hstack([corner, corner + rng.uniform(5, 90, (count, 2))]).astype(np.float32)


def iou(a, b):
    a, b = a[:, None].astype(float), b[None].astype(float)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = sides.clip(0).prod(-1)
    return shared / ((a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared)


def test_box_iou():
    a, b = boxes(70), boxes(90)
    expected = iou(a, b)
    np.testing.assert_allclose(omma.box_iou(a, b), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(omma.box_iou_elementwise(a, b[:70]), expected.diagonal(), rtol=1e-4, atol=1e-6)
    sizes = a[:, 2:] - a[:, :2]
    for name, form in [
        ("xywh", np.hstack([a[:, :2], sizes])),
        ("cxcywh", np.hstack([a[:, :2] + sizes / 2, sizes])),
        ("corners", a[:, [2, 1, 0, 3]]),
    ]:
        got = omma.box_iou_elementwise(form, form, format=name)
        np.testing.assert_allclose(got, 1, rtol=1e-5)
    assert (omma.box_iou(a, b, kind="giou") <= omma.box_iou(a, b) + 1e-6).all()
    assert (omma.box_iou(a, b, kind="ciou") <= omma.box_iou(a, b, kind="diou") + 1e-6).all()
    assert omma.box_iou([[0, 0, 1, 1]], [[1, 1, 2, 2]], offset=1).item() == pytest.approx(1 / 7)


def test_box_convert():
    a = boxes(70)
    sizes = a[:, 2:] - a[:, :2]
    forms = {"xyxy": a, "xywh": np.hstack([a[:, :2], sizes]), "cxcywh": np.hstack([a[:, :2] + sizes / 2, sizes])}
    for source, x in forms.items():
        for target, y in forms.items():
            np.testing.assert_allclose(omma.box_convert(x, source, target), y, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(omma.box_convert(a[:, [2, 3, 0, 1]], "corners", "xyxy"), a)
    here = a.reshape(7, 10, 4).copy()
    assert omma.box_convert(here, "xyxy", "xywh", out=here) is here
    np.testing.assert_allclose(here.reshape(70, 4), forms["xywh"])


def test_box_iou_3d():
    corner = rng.uniform(0, 20, (2, 40, 3))
    a, b = np.concatenate([corner, corner + rng.uniform(1, 15, (2, 40, 3))], 2).astype(np.float32)
    side = np.minimum(a[:, None, 3:], b[None, :, 3:]) - np.maximum(a[:, None, :3], b[None, :, :3])
    shared = side.clip(0).prod(-1)
    volumes = [(v[:, 3:] - v[:, :3]).prod(-1) for v in (a, b)]
    expected = shared / (volumes[0][:, None] + volumes[1] - shared)
    np.testing.assert_allclose(omma.box_iou_3d(a, b), expected, rtol=1e-4, atol=1e-6)


def test_soft_nms_is_opencvs(ctx):
    b, scores = np.floor(boxes(300)), rng.random(300, np.float32)
    whole = np.hstack([b[:, :2], b[:, 2:] - b[:, :2]]).astype(np.int32)
    for name, method in ("linear", 1), ("gaussian", 2):
        lowered, expected = cv2.dnn.softNMSBoxes(whole, scores, 0.05, 0.3, 0, 0.5, method)
        indices, values = omma.soft_nms(b, scores, method=name, score_threshold=0.05, ctx=ctx)
        np.testing.assert_array_equal(indices, np.ravel(expected))
        np.testing.assert_allclose(values, np.ravel(lowered), rtol=1e-5)
    indices, values = omma.soft_nms(b, scores, method="greedy", iou_threshold=0.45, score_threshold=1e-9, ctx=ctx)
    np.testing.assert_array_equal(indices, omma.nms(b, scores, 0.45, ctx=ctx))
    np.testing.assert_array_equal(values, scores[indices])


def test_matrix_nms(ctx):
    b, scores = boxes(200), rng.random(200, np.float32)
    order = np.argsort(-scores, kind="stable")
    overlap = np.triu(iou(b[order], b[order]), 1)
    factors = {
        "linear": ((1 - overlap) / (1 - overlap.max(0)[:, None])).min(0),
        "gaussian": np.exp(-2 * (overlap**2 - overlap.max(0)[:, None] ** 2)).min(0),
    }
    for method, factor in factors.items():
        indices, values = omma.matrix_nms(b, scores, method=method, post_threshold=-1, ctx=ctx)
        expected = np.empty(200)
        expected[order] = scores[order] * np.minimum(factor, 1)
        np.testing.assert_allclose(values, expected[indices], rtol=1e-3, atol=1e-5)
        assert sorted(indices) == list(range(200)) and (np.diff(values) <= 0).all()
    apart = omma.matrix_nms(b, scores, np.arange(200), ctx=ctx)
    np.testing.assert_array_equal(apart[1], scores[apart[0]])


def test_nms_per_image(ctx):
    b, scores = np.stack([boxes(300) for _ in range(3)]), rng.random((3, 300), np.float32)
    classes = rng.integers(0, 4, (3, 300))
    for given in (None, classes, classes.astype(np.int32)):
        indices, counts = omma.nms_per_image(b, scores, 0.4, classes=given, score_threshold=0.1, ctx=ctx)
        assert indices.shape == (3, 300) and counts.shape == (3,)
        for i in range(3):
            options = {"score_threshold": 0.1, "ctx": ctx}
            if given is None:
                expected = omma.nms(b[i], scores[i], 0.4, **options)
            else:
                expected = omma.batched_nms(b[i], scores[i], given[i], 0.4, **options)
            np.testing.assert_array_equal(indices[i, : counts[i]], expected)
            assert (indices[i, counts[i] :] == -1).all()
    indices, counts = omma.nms_per_image(b, scores, 0.4, max_output=5, ctx=ctx)
    assert indices.shape == (3, 5) and (counts == 5).all()


def test_yolo_decode(ctx):
    head = rng.random((2, 4 + 7, 3000), np.float32)
    head[:, 4:] **= 6
    best, which = head[:, 4:].max(1), head[:, 4:].argmax(1)
    image, anchor = np.nonzero(best > 0.9)
    boxes, scores, classes, indices, counts = omma.yolo_decode(head, 0.9, ctx=ctx)
    np.testing.assert_array_equal(indices, anchor)
    np.testing.assert_array_equal(scores, best[image, anchor])
    np.testing.assert_array_equal(classes, which[image, anchor])
    np.testing.assert_array_equal(counts, np.bincount(image, minlength=2))
    centre, size = head[image, :2, anchor], head[image, 2:4, anchor]
    np.testing.assert_allclose(boxes, np.hstack([centre - size / 2, centre + size / 2]), rtol=1e-5, atol=1e-6)
    # More than there is room for at first, and every class for itself.
    image, anchor, label = np.nonzero(head[:, 4:].transpose(0, 2, 1) > 0.2)
    assert len(image) > 1024
    boxes, scores, classes, indices, counts = omma.yolo_decode(head, 0.2, multi_label=True, ctx=ctx)
    np.testing.assert_array_equal(indices, anchor)
    np.testing.assert_array_equal(classes, label)
    # The same head the other way round, with an objectness of 1.
    rows = np.concatenate([head[:, :4], np.ones_like(head[:, :1]), head[:, 4:]], 1).transpose(0, 2, 1)
    for layout in (rows, np.ascontiguousarray(rows)):
        again = omma.yolo_decode(layout, 0.2, kind="v5", multi_label=True, ctx=ctx)
        np.testing.assert_array_equal(again[1], scores)


def test_yolo_decode_of_a_grid(ctx):
    grid = rng.normal(size=(1, 3, 5 + 2, 6, 8)).astype(np.float32)
    anchors = np.array([[10, 13], [16, 30], [33, 23]], np.float32)
    sigmoid = 1 / (1 + np.exp(-grid.astype(float)))
    y, x = np.mgrid[:6, :8]
    cell, of = np.stack([x, y])[None, None], anchors[None, :, :, None, None]
    score = sigmoid[:, :, 4:5] * sigmoid[:, :, 5:]
    pick = (score.max(2) > 0.4).reshape(-1)
    for kind, centre, size in [
        ("grid_v5", (2 * sigmoid[:, :, :2] - 0.5 + cell) * 16, (2 * sigmoid[:, :, 2:4]) ** 2 * of),
        ("grid_v3", (sigmoid[:, :, :2] + cell) * 16, np.exp(grid[:, :, 2:4].astype(float)) * of),
    ]:
        expected = np.concatenate([centre - size / 2, centre + size / 2], 2).transpose(0, 1, 3, 4, 2).reshape(-1, 4)
        for head in (grid.reshape(1, 21, 6, 8), grid.transpose(0, 1, 3, 4, 2)):
            got = omma.yolo_decode(head, 0.4, kind=kind, anchors=anchors, stride=16, ctx=ctx)
            np.testing.assert_array_equal(got[3], np.flatnonzero(pick))
            np.testing.assert_allclose(got[0], expected[pick], rtol=1e-4, atol=1e-3)


def test_suppression_is_opencvs(ctx):
    b, scores = boxes(2000), rng.random(2000, np.float32)
    whole = np.hstack([b[:, :2], b[:, 2:] - b[:, :2]]).astype(float)
    expected = cv2.dnn.NMSBoxes(whole, scores, 0.2, 0.45)
    got = omma.nms(b, scores, 0.45, score_threshold=0.2, ctx=ctx)
    np.testing.assert_array_equal(got, np.asarray(expected).reshape(-1))
    first = omma.nms(b, scores, 0.45, score_threshold=0.2, max_output=7, ctx=ctx)
    np.testing.assert_array_equal(first, got[:7])
    classes = rng.integers(-3, 4, 2000)
    expected = cv2.dnn.NMSBoxesBatched(whole, scores, classes + 3, 0.2, 0.45)
    got = omma.batched_nms(b, scores, classes, 0.45, score_threshold=0.2, ctx=ctx)
    assert sorted(got) == sorted(np.asarray(expected).reshape(-1))
    assert (np.diff(scores[got]) <= 0).all()
    got32 = omma.batched_nms(b, scores, classes.astype(np.int32), 0.45, score_threshold=0.2, ctx=ctx)
    np.testing.assert_array_equal(got32, got)
