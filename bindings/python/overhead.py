"""What a call costs from Python beyond the same call from C.

    make build && pip install ./bindings/python
    python bindings/python/overhead.py [target/release/libomma.so]

The relu of one element, with a context, to a new array and to `out=`; and non-maximum suppression of
one box, which has more arguments. C is a program that is compiled here. Times are the best of many rounds.
"""

import os
import subprocess
import sys
import tempfile
import timeit

import numpy as np

import omma

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
C = r"""
#define _POSIX_C_SOURCE 199309L
#include <omma.h>
#include <stdio.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

#define BEST(call)                                                 \
    do {                                                           \
        double best = 1e9;                                         \
        for (int round = 0; round < 500; round++) {                 \
            double begin = now();                                  \
            for (int i = 0; i < 1000; i++)                        \
                if ((call) != OMMA_OK) return puts(omma_last_error()); \
            double each = (now() - begin) / 1000;               \
            if (each < best) best = each;                          \
        }                                                          \
        printf("%f\n", best);                                      \
    } while (0)

int main(void)
{
    float box[4] = {0, 0, 1, 1}, score = 1, out;
    int64_t kept, count, one[] = {1, 4};
    OmmaTensor s = {&score, {OMMA_DEVICE_CPU, 0}, 1, {OMMA_DTYPE_FLOAT, 32, 1}, one, NULL, 0};
    OmmaTensor b = s, y = s, k = s;
    OmmaNmsParams params = OMMA_INIT(OmmaNmsParams);
    OmmaContext *context;
    b.data = box, b.ndim = 2, y.data = &out, k.data = &kept, k.dtype.code = OMMA_DTYPE_INT, k.dtype.bits = 64;
    params.iou_threshold = 0.5;
    if (omma_context_create(NULL, &context) != OMMA_OK) return puts(omma_last_error());
    BEST(omma_relu(context, &s, &y));
    BEST(omma_nms(context, &params, &b, &s, &k, &count));
    omma_context_destroy(context);
    return 0;
}
"""


def in_c(library):
    with tempfile.TemporaryDirectory() as folder:
        source, program = os.path.join(folder, "call.c"), os.path.join(folder, "call")
        with open(source, "w") as f:
            f.write(C)
        library = os.path.abspath(library)
        include = os.path.join(PROJECT, "include")
        command = ["cc", "-O2", "-I", include, source, library, "-Wl,-rpath," + os.path.dirname(library)]
        subprocess.run([*command, "-o", program], check=True)
        output = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout
        return [float(line) for line in output.split()]


def in_python(call):
    return min(timeit.repeat(call, number=1000, repeat=500)) / 1000 * 1e6


def main():
    library = sys.argv[1] if len(sys.argv) > 1 else os.path.join(PROJECT, "target/release/libomma.so")
    relu, nms = in_c(library)
    x, box = np.ones(1, np.float32), np.ones((1, 4), np.float32)
    out, kept = np.empty_like(x), np.empty(1, np.int64)
    print("us a call            C   Python   beyond")
    for name, c, call in [
        ("relu", relu, lambda: omma.relu(x)),
        ("relu, out=", relu, lambda: omma.relu(x, out=out)),
        ("nms", nms, lambda: omma.nms(box, x, 0.5)),
        ("nms, out=", nms, lambda: omma.nms(box, x, 0.5, out=kept)),
    ]:
        python = in_python(call)
        print(f"{name:14} {c:8.2f} {python:8.2f} {python - c:8.2f}")


if __name__ == "__main__":
    main()
