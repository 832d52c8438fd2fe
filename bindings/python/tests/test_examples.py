"""The examples run, and say what they should."""

import pathlib
import subprocess
import sys

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"


def test_kmeans_on_dask():
    run = subprocess.run([sys.executable, EXAMPLES / "kmeans_dask.py"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("200000 points in 10 chunks: inertia "), run.stdout
