"""Activations, softmax and pooling of omma beside torch, one thread each, in one process.

    pip install numpy torch
    python benches/peers/nn.py [target/release/libomma.so] [name part]

The two take turns, so that a slow moment of the machine hits both; times are the best of each. The last
column is the share of the copy bandwidth of the same run: bytes read and written once, over the time.
"""

import ctypes as c
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.manual_seed(0)


class Tensor(c.Structure):
    _fields_ = [
        ("data", c.c_void_p),
        ("device", c.c_int32 * 2),
        ("ndim", c.c_int32),
        ("code", c.c_uint8),
        ("bits", c.c_uint8),
        ("lanes", c.c_uint16),
        ("shape", c.POINTER(c.c_int64)),
        ("strides", c.POINTER(c.c_int64)),
        ("byte_offset", c.c_uint64),
    ]


def tensor(t):
    shape = (c.c_int64 * t.dim())(*t.shape)
    strides = (c.c_int64 * t.dim())(*t.stride())
    code, bits = (2, 32) if t.dtype == torch.float32 else (0, 64)
    return Tensor(t.data_ptr(), (c.c_int32 * 2)(1, 0), t.dim(), code, bits, 1, shape, strides, 0)


def ints(*values):
    """A params struct of 32-bit integers, struct_size first."""
    return (c.c_int32 * (len(values) + 1))(4 * (len(values) + 1), *values)


arguments = sys.argv[1:]
lib = c.CDLL(arguments[0] if arguments else "target/release/libomma.so")
part = arguments[1] if len(arguments) > 1 else ""
lib.omma_last_error.restype = c.c_char_p
options = (c.c_uint8 * 128)()
options[0] = 8  # struct_size: this field and num_threads
options[4] = 1
context = c.c_void_p()
assert lib.omma_context_create(options, c.byref(context)) == 0, lib.omma_last_error()


def call(name, params, *tensors):
    views = [tensor(t) for t in tensors]
    function = getattr(lib, "omma_" + name)
    args = [context] + ([params] if params is not None else []) + [c.byref(v) for v in views]
    if name == "max_pool2d" and len(tensors) == 2:
        args.append(None)

    def run(keep=(views, tensors)):
        assert function(*args) == 0, lib.omma_last_error()

    return run


def best(functions, seconds=0.35):
    found = [float("inf")] * len(functions)
    for f in functions:
        f()
    end = time.perf_counter() + seconds * len(functions)
    while time.perf_counter() < end:
        for i, f in enumerate(functions):
            start = time.perf_counter()
            f()
            found[i] = min(found[i], time.perf_counter() - start)
    return found


rows = []


def row(name, peer, params, op, x, *more):
    if part in name:
        rows.append((name, peer, params, op, x, more))


g = torch.randn(4096, 3072)
s = torch.randn(4096, 1000)
p = torch.randn(16, 64, 112, 112)
pl = p.contiguous(memory_format=torch.channels_last)
for op, peer in [
    ("relu", F.relu),
    ("sigmoid", torch.sigmoid),
    ("tanh", torch.tanh),
    ("silu", F.silu),
    ("hardswish", F.hardswish),
    ("gelu", F.gelu),
    ("gelu_tanh", lambda v: F.gelu(v, approximate="tanh")),
]:
    row(f"{op} 4096x3072", peer, None, op, g)
slope = torch.rand(64)
row("prelu 16x64x112x112", lambda v: F.prelu(v, slope), ints(0, 0), "prelu", p, slope)
for shape, axis in [
    ((4096, 1000), 1),
    ((16, 100000), 1),
    ((100000, 2), 1),
    ((1, 2, 360, 640), 1),
    ((1, 21, 512, 512), 1),
]:
    x = s if shape == s.shape else torch.randn(shape)
    name = "x".join(map(str, shape)) + f" axis {axis}"
    row(f"softmax {name}", lambda v, a=axis: F.softmax(v, a), ints(1, axis), "softmax", x)
row("log_softmax 4096x1000", lambda v: F.log_softmax(v, 1), ints(1, 1), "log_softmax", s)


def pool(op, x, k, stride, pad, ceil=False, indices=False):
    kind = "nhwc " if x.is_contiguous(memory_format=torch.channels_last) and x.shape[1] > 1 else ""
    name = f"{op} {kind}k{k}s{stride}p{pad} " + "x".join(map(str, x.shape))
    params = ints(int(ceil), 0, k, k, stride, stride, pad, pad, pad, pad, 1, 1)
    if op == "max_pool2d":
        name += " indices" if indices else ""
        peer = lambda v: F.max_pool2d(v, k, stride, pad, ceil_mode=ceil, return_indices=indices)
    else:
        params = ints(*params[1:], 0)
        peer = lambda v: F.avg_pool2d(v, k, stride, pad, ceil_mode=ceil)
    row(name, peer, params, op, x)


pool("max_pool2d", p, 3, 2, 1)
pool("max_pool2d", p, 3, 2, 1, indices=True)
pool("max_pool2d", pl, 3, 2, 1)
pool("max_pool2d", p, 2, 2, 0)
pool("avg_pool2d", p, 2, 2, 0)
pool("avg_pool2d", pl, 2, 2, 0)
pool("avg_pool2d", p, 3, 1, 1)
pool("max_pool2d", torch.randn(1, 64, 28, 28), 3, 1, 1)
pool("max_pool2d", torch.randn(1, 10, 360, 640), 2, 2, 0, ceil=True)
pool("max_pool2d", torch.randn(16, 32, 46, 46), 3, 2, 0, ceil=True)
for k in (5, 13):
    pool("max_pool2d", torch.randn(1, 512, 20, 20), k, 1, k // 2)
pool("avg_pool2d", torch.randn(16, 2048, 7, 7), 7, 7, 0)

target = np.empty_like(g.numpy())
(copy,) = best([lambda: np.copyto(target, g.numpy())])
speed = 2 * target.nbytes / copy
print(f"copy of 50 MB: {copy * 1e3:.2f} ms, {speed / 1e9:.1f} GB/s read and written; torch {torch.__version__}")
print(f"{'':44}{'omma ms':>9}{'torch ms':>10}{'ratio':>7}{'of copy':>9}")
with torch.inference_mode():
    for name, peer, params, op, x, more in rows:
        expected = peer(x)
        expected = expected if isinstance(expected, tuple) else (expected,)
        out = tuple(torch.empty_like(e) for e in expected)
        run = call(op, params, x, *more, *out)
        run()
        for got, e in zip(out, expected):
            assert torch.allclose(got, e, rtol=2e-5, atol=2e-6), name
        ours, theirs = best([run, lambda: peer(x)])
        moved = sum(t.nbytes for t in (x, *out))
        print(
            f"{name:44}{ours * 1e3:9.3f}{theirs * 1e3:10.3f}{theirs / ours:7.2f}{moved / ours / speed:8.0%}"
        )
