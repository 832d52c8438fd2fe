"""Threads, fork, the GIL, and memory over many calls."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import omma
from dlpack import Maker

rng = np.random.default_rng(2)
X = rng.standard_normal((2, 16, 40, 40), dtype=np.float32)
W = rng.standard_normal((16, 16, 3, 3), dtype=np.float32)
BOXES = np.sort(rng.uniform(0, 100, (300, 2, 2)).astype(np.float32), axis=1).reshape(-1, 4)
SCORES = rng.random(300, np.float32)
IMG = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)


def results(ctx=None):
    return [
        omma.conv2d(X, W, padding=1, ctx=ctx),
        omma.matmul(X, X.swapaxes(2, 3), ctx=ctx),
        omma.softmax(X, 1, ctx=ctx),
        omma.max_pool2d(X, 3, 2, ctx=ctx),
        omma.nms(BOXES, SCORES, 0.5, ctx=ctx),
        omma.resize(IMG, (33, 55), ctx=ctx),
        omma.image_to_tensor(IMG, (33, 55), letterbox=True, ctx=ctx),
    ]


def assert_same(a, b):
    for mine, theirs in zip(a, b, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_bits_do_not_depend_on_the_number_of_threads():
    with omma.Context(num_threads=1) as one, omma.Context(num_threads=3) as three:
        assert (one.num_threads, three.num_threads) == (1, 3)
        assert_same(results(one), results(three))
        assert_same(results(one), results())


def test_set_num_threads():
    cores = omma.get_num_threads()
    expected = results()
    try:
        for count in (1, 3):
            omma.set_num_threads(count)
            assert omma.get_num_threads() == count
            assert_same(results(), expected)
    finally:
        omma.set_num_threads(0)
    assert omma.get_num_threads() == cores == len(os.sched_getaffinity(0))


def test_instruction_sets():
    assert omma.isa_available("portable") and omma.isa_available(omma.isa())
    for name in ("portable", "neon", "avx2", "avx512"):
        if omma.isa_available(name):
            with omma.Context(max_isa=name) as ctx:
                assert ctx.isa == name and name in repr(ctx)
                np.testing.assert_allclose(omma.conv2d(X, W, ctx=ctx), omma.conv2d(X, W), atol=1e-4)
                assert name in omma.Conv2d(W, ctx=ctx).describe()
        else:
            with pytest.raises(omma.OmmaError, match=name) as caught:
                omma.Context(max_isa=name)
            assert caught.value.status == omma.Status.UNSUPPORTED


def test_the_environment_lowers_the_instruction_set():
    program = "import omma; print(omma.isa(), omma.relu([-1, 2]))"
    environment = {**os.environ, "OMMA_MAX_ISA": "portable"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert run.stdout == "portable [0. 2.]\n", run.stderr


def test_one_context_and_one_plan_for_many_threads():
    expected = results()
    plan, layer = omma.Conv2d(W, padding=1), omma.Linear(W[0, 0])
    rows = X.reshape(-1, 40)[:, :3]
    convolved, multiplied = plan.run(X), layer.run(rows)
    with omma.Context(num_threads=2) as ctx, ThreadPoolExecutor(8) as pool:

        def work(_):
            assert_same(results(ctx), expected)
            np.testing.assert_array_equal(plan.run(X, ctx=ctx), convolved)
            np.testing.assert_array_equal(layer.run(rows, ctx=ctx), multiplied)
            with pytest.raises(omma.OmmaError, match="softmax: axis is 9"):
                omma.softmax(X, 9, ctx=ctx)

        list(pool.map(work, range(40)))


def test_a_context_may_be_closed_and_replaced_while_calls_run():
    stop = threading.Event()
    expected = omma.conv2d(X, W)
    failures = []

    def work():
        while not stop.is_set():
            try:
                np.testing.assert_array_equal(omma.conv2d(X, W), expected)
                ctx = omma.Context(num_threads=2)
                closer = threading.Thread(target=ctx.close)
                closer.start()
                try:
                    np.testing.assert_array_equal(omma.conv2d(X, W, ctx=ctx), expected)
                except omma.OmmaError as error:
                    assert "ctx is closed" in error.message
                closer.join()
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for count in [1, 2, 3] * 10:
        omma.set_num_threads(count)
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    omma.set_num_threads(0)
    assert not failures


def long_call(seconds):
    """A call of one thread that takes at least so long."""
    ctx = omma.Context(num_threads=1, max_isa="portable")
    size = 256
    while True:
        a = np.ones((size, size), np.float32)
        begin = time.perf_counter()
        omma.matmul(a, a, ctx=ctx)
        if time.perf_counter() - begin >= seconds:
            return lambda: omma.matmul(a, a, ctx=ctx)
        size *= 2


def test_other_threads_of_python_go_on_during_a_call():
    call = long_call(0.2)
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    begin = time.perf_counter()
    call()
    end = time.perf_counter()
    stop.set()
    ticker.join()
    # Far from both ends, where a thread that holds the GIL may let others in.
    margin = (end - begin) / 4
    during = [t for t in ticks if begin + margin < t < end - margin]
    assert len(during) >= 5


def in_child(work, seconds=60):
    """Whether `work` succeeds in a child of fork, which is ended when it hangs."""
    with warnings.catch_warnings():
        # That threads are running is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(seconds)
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def test_fork():
    plan = omma.Conv2d(W)
    with omma.Context(num_threads=3) as ctx:
        expected, convolved = results(ctx), plan.run(X, ctx=ctx)
        results()

        def work():
            assert_same(results(ctx), expected)
            assert_same(results(), expected)
            np.testing.assert_array_equal(plan.run(X), convolved)
            omma.set_num_threads(2)
            assert_same(results(), expected)
            with omma.Context(num_threads=2) as own:
                assert_same(results(own), expected)
            # A child of the child.
            assert in_child(lambda: assert_same(results(ctx), expected), 30)

        assert in_child(work)
        assert_same(results(ctx), expected)
        with pytest.raises(AssertionError):
            assert in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_fork_while_other_threads_call():
    expected = results()
    stop = threading.Event()

    def work():
        while not stop.is_set():
            results()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert in_child(lambda: assert_same(results(), expected))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_functions_are_pickled_by_name():
    for function in (omma.relu, omma.conv2d):
        assert pickle.loads(pickle.dumps(function)) is function


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


SMALL = X[:1, :2, :4, :4].copy()
LAYER, PLAN = omma.Linear(SMALL[0, 0]), omma.Conv2d(W[:2, :2])
OUT = np.empty_like(SMALL)


def failing():
    try:
        omma.matmul(SMALL, SMALL[:, :, :3])
    except omma.OmmaError:
        pass


LEAKS = {
    "out": lambda: omma.relu(SMALL, out=OUT),
    "new array": lambda: omma.relu(SMALL),
    "options": lambda: omma.conv2d(SMALL, W[:2, :2], SMALL[0, 0, 0, :2], padding=(1, 1, 2, 2), stride=(1, 2)),
    "two results": lambda: omma.max_pool2d(SMALL, 2, return_indices=True),
    "length found": lambda: omma.nms(BOXES[:9], SCORES[:9], 0.5),
    "image": lambda: omma.image_to_tensor(IMG[:4, :4], (3, 5), mean=(1, 2, 3), letterbox=True),
    "plan run": lambda: (PLAN.run(SMALL), LAYER.run(SMALL)),
    "plan made": lambda: (omma.Conv2d(W[:2, :2]), omma.Linear(SMALL[0, 0])),
    "context": lambda: omma.Context(num_threads=1),
    "list": lambda: omma.relu([[1.0, 2.0]]),
    "error": failing,
}


@pytest.mark.parametrize("name", LEAKS)
def test_memory_over_many_calls(name):
    call = LEAKS[name]
    objects = [SMALL, W, BOXES, SCORES, IMG, OUT, PLAN, LAYER]

    def loop(count):
        for _ in range(count):
            call()
        gc.collect()

    loop(300)
    counts, before = [sys.getrefcount(o) for o in objects], resident()
    loop(5000)
    # An object of the smallest size, or one allocation of Rust, leaked in each call would be more.
    assert resident() - before < 5000 * 32
    assert [sys.getrefcount(o) for o in objects] == counts


def test_dlpack_over_many_calls():
    for version in ((1, 0), None):
        maker = Maker(SMALL, version=version)
        for _ in range(1000):
            omma.relu(maker)
        assert maker.handed_out == maker.given_back == 1000
