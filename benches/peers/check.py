"""Checks the harness itself, for tools/steps/bench: what a run has left in a folder, and that a wrong result,
a missing package and a peer that fails are told. Nothing here depends on how fast anything is."""

import hashlib
import json
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from peers import harness, native, packages, report
from peers.rows import Mismatch, NotApplicable, Row, close, returning, same

PEERS = {
    "nms": {"opencv", "onnxruntime"},
    "softmax": {"onnxruntime", "scipy"},
    "resize": {"opencv"},
    "conv2d": {"onnxruntime", "opencv dnn"},
}


def left_behind(folder: Path) -> None:
    """The report of a run on the rows of tools/steps/bench."""
    found = json.loads((folder / "report.json").read_text())
    where = found["environment"]
    assert where["peers"].keys() == {"opencv", "onnxruntime", "scipy"} and not where["missing"], where
    assert {row["operator"] for row in found["rows"]} == PEERS.keys()
    for row in found["rows"]:
        what = row["operator"], row["name"], row["threads"]
        assert row["times"].keys() == PEERS[row["operator"]] | {"omma"}, (what, row["absent"])
        assert row["ratios"].keys() == row["agreement"].keys() == PEERS[row["operator"]], what
        assert not row["mismatches"] and not row["absent"] and row["limit"] > 0, what
        assert row["scratch"] % 4096 == 0 and (row["scratch"] > 0 or row["operator"] != "nms"), what
        for time in [*row["times"].values(), *row["ratios"].values()]:
            assert 0 < time["q1"] <= time["median"] <= time["q3"], what
    assert found["not_yet"]
    text = (folder / "report.md").read_text()
    # Both tables, a line for each row, in it the columns of one and of two threads.
    for row in found["rows"]:
        lines = [line for line in text.splitlines() if f"| {row['name']} |" in line]
        assert len(lines) == 1 + (row["name"] == "1x64x56² → 64 k3"), (row["name"], lines)
        assert all(line.count("**") == 4 for line in lines), lines
    pictures = sorted(folder.glob("*.svg"))
    assert len(pictures) == 4 + 4, pictures
    for picture in pictures:
        root = ElementTree.parse(picture).getroot()
        words = " ".join("".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text"))
        assert ("omma is faster" if picture.name.startswith("ratio") else "limit of the machine") in words, (picture, words)
    published = {path.name for path in (folder / "published").iterdir()}
    assert published == {"bench.md", *(f"bench-{picture.name}" for picture in pictures)}, published


def raises(agree, got, expected) -> bool:
    try:
        agree(got, expected)
    except Mismatch:
        return True
    return False


def troubles() -> None:
    """A row with one honest peer and every kind of trouble."""
    x = np.arange(5.0)

    def cannot(threads: int):
        raise NotApplicable("not for it")

    def breaks(threads: int):
        raise RuntimeError("broken")

    naps: list[int] = []

    def slow():
        naps.append(1)
        time.sleep(1.1)
        return x

    contestants = {
        "omma": lambda threads: returning(lambda: x),
        "numpy": lambda threads: returning(lambda: x.copy()),
        "numpy slow": lambda threads: returning(slow),
        "numpy wrong": lambda threads: returning(lambda: x + 1),
        "numpy unable": cannot,
        "numpy broken": breaks,
        "numpy breaking": lambda threads: returning(lambda: 1 / 0),
        "faiss": breaks,
        "scipy": breaks,
    }
    packages.PACKAGES["faiss"] = ("there_is_no_such_module", None)
    packages.load.cache_clear()
    settings = harness.Settings([1], ["numpy", "faiss"], quick=True)
    outcome = harness.Runner(settings).run(Row("row", "x", lambda: contestants, close(0.5), 0, 80), 1)
    assert outcome.times.keys() == outcome.ratios.keys() | {"omma"} == {"omma", "numpy", "numpy slow"} and outcome.best == "numpy"
    assert len(naps) == outcome.times["numpy slow"]["rounds"] == 1 and 1.1 <= outcome.times["numpy slow"]["median"] < 10
    assert outcome.mismatches == {"numpy wrong": "largest difference 1, allowed 0.5 + 0 of the value"}, outcome.mismatches
    # scipy was not asked for.
    assert outcome.absent.keys() == {"numpy unable", "numpy broken", "numpy breaking", "faiss"}, outcome.absent
    text = report.as_markdown([outcome], report.environment(settings), settings)
    for said in ("numpy wrong: largest", "not for it", "RuntimeError: broken", "ZeroDivisionError", "- faiss: ModuleNotFoundError"):
        assert said in text, (said, text)
    assert "scipy" not in text.split("does not have yet")[0]

    assert raises(close(0.1), [1.0], [float("nan")]) and raises(close(0.1), [1.0, 2.0], [1.0])
    assert raises(close(1), np.array([255], np.uint8), np.array([1], np.uint8))
    assert raises(same, [1, 2], [2, 1]) and same([1, 2], [1, 2])


def quiet() -> None:
    """A turn waits for threads that still compute, as OpenMP's do for some milliseconds after their work."""
    busy = threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"", b"", 300_000))
    busy.start()
    harness.rest(60)
    busy.join(0.05)
    assert not busy.is_alive() or sys.platform != "linux"


def limits() -> None:
    """Of two cores no less than of one would be about speed; that they are numbers of a machine is not."""
    machine = native.machine(1, True)
    assert 1e8 < machine.flops < 1e13 and all(1e7 < rate < 1e13 for _, rate in machine.bandwidth)
    assert machine.seconds(machine.flops, 0) == 1 and machine.seconds(0, machine.bandwidth[-1][1]) > 0.1
    a, b = (np.random.default_rng(0).random(shape, np.float32) for shape in ((7, 5), (5, 3)))
    out = np.empty((7, 3), np.float32)
    native.matmul(a, b, out)()
    np.testing.assert_allclose(out, a @ b, rtol=1e-5)


packages.restrain(1)
left_behind(Path(sys.argv[1]))
troubles()
quiet()
limits()
print(">> report, tables and pictures; wrong results, missing and failing peers are told")
