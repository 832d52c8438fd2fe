#!/usr/bin/env python3
"""Hold the Go face detector against the C++ one: the same pictures, the same faces.

    python3 compare.py GO_PROGRAM CPP_PROGRAM PICTURE...

Each picture goes through both on every instruction set of this machine, at one and two threads and
for three sizes of the smallest face. How many boxes each network passes on must be the same, boxes
and landmarks within 0.1 pixels, scores within 0.0001. Pictures should be PNG: decoders of JPEG
differ by a grey level here and there, and this model notices. The exit status is 1 when something
differs.
"""

import json
import subprocess
import sys

NO_SUCH_ISA_HERE = 3


def detect(program, picture, arguments):
    """What the program says, None when the CPU lacks the instruction set."""
    done = subprocess.run([program, picture, "--json", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    if done.returncode == NO_SUCH_ISA_HERE:
        return None
    if done.returncode != 0:
        sys.exit(f"{program} {picture} {' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout)


def difference(ours, theirs):
    """In words, or None."""
    for key in ("width", "height", "isa", "threads", "runs", "boxes"):
        if ours[key] != theirs[key]:
            return f"{key} is {ours[key]}, in C++ {theirs[key]}"
    if len(ours["faces"]) != len(theirs["faces"]):
        return f"{len(ours['faces'])} faces, in C++ {len(theirs['faces'])}"
    for a, b in zip(ours["faces"], theirs["faces"]):
        for side in ("left", "top", "right", "bottom"):
            if abs(a[side] - b[side]) > 0.1:
                return f"{side} is {a[side]}, in C++ {b[side]}"
        if abs(a["score"] - b["score"]) > 1e-4:
            return f"the score is {a['score']}, in C++ {b['score']}"
        if list(a["landmarks"]) != list(b["landmarks"]):
            return f"landmarks are {list(a['landmarks'])}, in C++ {list(b['landmarks'])}"
        for name, point in a["landmarks"].items():
            if max(abs(x - y) for x, y in zip(point, b["landmarks"][name])) > 0.1:
                return f"{name} is at {point}, in C++ at {b['landmarks'][name]}"
    return None


def main(go, cpp, *pictures):
    runs = faces = differences = 0
    for picture in pictures:
        for isa in ("portable", "neon", "avx2", "avx512"):
            for threads in ("1", "2"):
                for size in ("12", "20", "60"):
                    arguments = ["--isa", isa, "--threads", threads, "--min-face", size]
                    ours, theirs = detect(go, picture, arguments), detect(cpp, picture, arguments)
                    if ours is None or theirs is None:
                        if ours is not theirs:
                            sys.exit(f"only one of both has {isa}")
                        continue
                    runs += 1
                    faces += len(ours["faces"])
                    different = difference(ours, theirs)
                    if different:
                        differences += 1
                        print(f"{picture} {' '.join(arguments)}: {different}")
    if not runs or not faces:
        sys.exit(f"nothing was compared: {runs} runs, {faces} faces")
    print(f"{runs} runs with {faces} faces, {differences} differ")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
