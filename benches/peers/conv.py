"""conv2d of omma beside onnxruntime, one thread each, in one process.

    pip install numpy onnx onnxruntime
    python benches/peers/conv.py [target/release/libomma.so] [name part]

The two take turns, so that a slow moment of the machine hits both; times are medians.
"""

import ctypes as c
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

I64 = c.c_int64


class Tensor(c.Structure):
    _fields_ = [
        ("data", c.c_void_p),
        ("device_type", c.c_int32),
        ("device_id", c.c_int32),
        ("ndim", c.c_int32),
        ("code", c.c_uint8),
        ("bits", c.c_uint8),
        ("lanes", c.c_uint16),
        ("shape", c.POINTER(I64)),
        ("strides", c.POINTER(I64)),
        ("byte_offset", c.c_uint64),
    ]


class Params(c.Structure):
    _fields_ = [
        ("struct_size", c.c_uint32),
        ("layout", c.c_int32),
        ("stride", c.c_int32 * 2),
        ("padding", c.c_int32 * 4),
        ("dilation", c.c_int32 * 2),
        ("groups", c.c_int32),
        ("activation", c.c_int32),
        ("negative_slope", c.c_float),
        ("algorithm", c.c_int32),
        ("activation_slope", c.c_void_p),
    ]


def tensor(array):
    shape = (I64 * array.ndim)(*array.shape)
    t = Tensor(array.ctypes.data, 1, 0, array.ndim, 2, 32, 1, shape, None, 0)
    t.keep = (array, shape)
    return t


# name, batch, channels, height, width, outputs, kernel, stride, padding, groups
SHAPES = [
    ("first k7 s2", 1, 3, 224, 224, 64, 7, 2, 3, 1),
    ("64x56 k3", 1, 64, 56, 56, 64, 3, 1, 1, 1),
    ("256x56 -> 64 k1", 1, 256, 56, 56, 64, 1, 1, 0, 1),
    ("128x56 k3 s2", 1, 128, 56, 56, 128, 3, 2, 1, 1),
    ("256x14 k3", 1, 256, 14, 14, 256, 3, 1, 1, 1),
    ("512x7 k3", 1, 512, 7, 7, 512, 3, 1, 1, 1),
    ("1024x14 -> 2048 k1 s2", 1, 1024, 14, 14, 2048, 1, 2, 0, 1),
    ("64x320 k3", 1, 64, 320, 320, 64, 3, 1, 1, 1),
    ("dw 144x56 k3", 1, 144, 56, 56, 144, 3, 1, 1, 144),
    ("dw 32x112 k3", 1, 32, 112, 112, 32, 3, 1, 1, 32),
    ("dw 576x14 k5 s2", 1, 576, 14, 14, 576, 5, 2, 2, 576),
    ("grouped 128x28 g32", 1, 128, 28, 28, 128, 3, 1, 1, 32),
    ("pnet 1: 3 -> 10", 1, 3, 300, 300, 10, 3, 1, 0, 1),
    ("pnet 2: 10 -> 16", 1, 10, 149, 149, 16, 3, 1, 0, 1),
    ("pnet 3: 16 -> 32", 1, 16, 147, 147, 32, 3, 1, 0, 1),
    ("rnet 1: 3 -> 28 b64", 64, 3, 24, 24, 28, 3, 1, 0, 1),
    ("rnet 2: 28 -> 48 b64", 64, 28, 11, 11, 48, 3, 1, 0, 1),
    ("rnet 3: 48 -> 64 k2 b64", 64, 48, 4, 4, 64, 2, 1, 0, 1),
    ("onet 2: 32 -> 64 b16", 16, 32, 23, 23, 64, 3, 1, 0, 1),
    ("onet 3: 64 -> 64 b16", 16, 64, 10, 10, 64, 3, 1, 0, 1),
    ("onet 4: 64 -> 128 k2 b16", 16, 64, 4, 4, 128, 2, 1, 0, 1),
]


def omma_run(lib, x, w, y, stride, padding, groups, layout, algorithm=0):
    p = Params(struct_size=c.sizeof(Params), layout=layout, groups=groups, algorithm=algorithm)
    p.stride[:] = [stride] * 2
    p.padding[:] = [padding] * 4
    plan = c.c_void_p()
    tw, tx, ty = tensor(w), tensor(x), tensor(y)
    status = lib.omma_conv2d_create(None, c.byref(p), c.byref(tw), None, c.byref(plan))
    assert status == 0, lib.omma_last_error()
    arguments = (CONTEXT, plan, c.byref(tx), None, c.byref(ty))
    run = lib.omma_conv2d_run

    def call():
        assert run(*arguments) == 0, lib.omma_last_error()

    call.keep = (tw, tx, ty, p)
    return call


def ort_run(x, w, y, stride, padding, groups):
    k = w.shape[2]
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], kernel_shape=[k, k], strides=[stride] * 2, pads=[padding] * 4, group=groups
    )
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y.shape)],
        [helper.make_tensor("w", TensorProto.FLOAT, w.shape, w.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    # Bound arrays: no copy of input or output inside of the measured time.
    binding.bind_cpu_input("x", x)
    out = ort.OrtValue.ortvalue_from_numpy(np.zeros_like(y))
    binding.bind_ortvalue_output("y", out)
    call = lambda: session.run_with_iobinding(binding)
    call.out = out
    return call


def medians(calls, budget):
    for call in calls:
        call()
        call()
    repeats = []
    for call in calls:
        start = time.perf_counter()
        call()
        once = max(time.perf_counter() - start, 1e-7)
        repeats.append(max(1, int(0.002 / once)))
    times = [[] for _ in calls]
    end = time.perf_counter() + budget
    while time.perf_counter() < end or len(times[0]) < 5:
        for call, repeat, took in zip(calls, repeats, times):
            start = time.perf_counter()
            for _ in range(repeat):
                call()
            took.append((time.perf_counter() - start) / repeat)
    return [statistics.median(t) for t in times]


def main():
    library = sys.argv[1] if len(sys.argv) > 1 else "target/release/libomma.so"
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    lib = c.CDLL(library)
    lib.omma_last_error.restype = c.c_char_p
    global CONTEXT
    options = (c.c_uint32 * 16)(64, 1)
    CONTEXT = c.c_void_p()
    assert lib.omma_context_create(c.byref(options), c.byref(CONTEXT)) == 0
    rng = np.random.default_rng(0)
    print(f"{'shape':28} {'omma ms':>9} {'nhwc ms':>9} {'ort ms':>9} {'ort/omma':>9} {'ort/nhwc':>9} {'GF/s':>7} {'nhwc':>7}")
    for name, n, ch, h, wd, o, k, s, p, g in SHAPES:
        if part not in name:
            continue
        x = rng.standard_normal((n, ch, h, wd), dtype=np.float32)
        w = rng.standard_normal((o, ch // g, k, k), dtype=np.float32)
        oh, ow = (h + 2 * p - k) // s + 1, (wd + 2 * p - k) // s + 1
        y = np.zeros((n, o, oh, ow), np.float32)
        xl = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        wl = np.ascontiguousarray(w.transpose(0, 2, 3, 1))
        yl = np.zeros((n, oh, ow, o), np.float32)
        ours = omma_run(lib, x, w, y, s, p, g, 0)
        last = omma_run(lib, xl, wl, yl, s, p, g, 1)
        peer = ort_run(x, w, y, s, p, g)
        t = medians([ours, last, peer], 0.8)
        bound = 1e-5 * (ch // g * k * k) ** 0.5 * 10
        assert np.abs(y - peer.out.numpy()).max() < bound and np.abs(y - yl.transpose(0, 3, 1, 2)).max() < bound, name
        flops = 2 * n * o * oh * ow * ch // g * k * k
        print(
            f"{name:28} {t[0]*1e3:9.3f} {t[1]*1e3:9.3f} {t[2]*1e3:9.3f} {t[2]/t[0]:9.2f} {t[2]/t[1]:9.2f} "
            f"{flops/t[0]/1e9:7.1f} {flops/t[1]/1e9:7.1f}",
            flush=True,
        )


main()
