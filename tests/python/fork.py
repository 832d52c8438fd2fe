"""A Python process uses libomma on several threads, forks, and uses it in both.

    python3 tests/python/fork.py target/release/libomma.so
"""

import ctypes
import os
import signal
import sys

LIMIT = 60  # seconds; a process that hangs is ended by its alarm


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class Options(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32), ("num_threads", ctypes.c_int32), ("max_isa", ctypes.c_int32),
        ("flags", ctypes.c_uint32), ("parallel_for", ctypes.c_void_p), ("parallel_for_user", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p), ("deallocate", ctypes.c_void_p), ("allocator_user", ctypes.c_void_p),
    ]


def matrix(rows, columns):
    values = (ctypes.c_float * (rows * columns))()
    shape = (ctypes.c_int64 * 2)(rows, columns)
    tensor = Tensor(ctypes.addressof(values), 1, 0, 2, 2, 32, 1, shape, None, 0)
    return values, shape, tensor


def use(omma, context):
    """Enough work that every thread gets some."""
    rows, columns = 4096, 64
    x, _, x_tensor = matrix(rows, columns)
    y, _, y_tensor = matrix(rows, columns)
    for i in range(rows * columns):
        x[i] = i % 7
    for _ in range(3):
        status = omma.omma_softmax(context, None, ctypes.byref(x_tensor), ctypes.byref(y_tensor))
        assert status == 0, omma.omma_last_error()
    for row in range(0, rows, 97):
        total = sum(y[row * columns:(row + 1) * columns])
        assert abs(total - 1) < 1e-4, (row, total)


def in_child(work):
    """Runs `work` in a forked child and returns its exit status."""
    child = os.fork()
    if child == 0:
        signal.alarm(LIMIT)
        try:
            work()
            os._exit(0)
        except BaseException as error:  # the child must not go on as a second parent
            print(f"child: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitpid(child, 0)[1]


def main():
    signal.alarm(LIMIT)
    omma = ctypes.CDLL(os.path.abspath(sys.argv[1]))
    omma.omma_last_error.restype = ctypes.c_char_p
    for threads in (1, 3):
        context = ctypes.c_void_p()
        options = Options(ctypes.sizeof(Options), threads)
        assert omma.omma_context_create(ctypes.byref(options), ctypes.byref(context)) == 0
        use(omma, context)
        # The child uses the context, and so does a child of the child.
        assert in_child(lambda: (use(omma, context), in_child(lambda: use(omma, context)) and sys.exit(1))) == 0
        use(omma, context)
        # A child that only ends the context ends, too.
        assert in_child(lambda: omma.omma_context_destroy(context)) == 0
        use(omma, context)
        omma.omma_context_destroy(context)
    print("fork: ok")


main()
