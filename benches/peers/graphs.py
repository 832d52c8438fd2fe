"""One node of ONNX as a call of ONNX Runtime, of OpenVINO, of OpenCV's dnn.

Building the model is not timed. Inputs and outputs are bound to arrays that stay, so that a call
copies nothing that the engine does not copy itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import packages
from .rows import Contestant, Maker, returning, writing

Array = NDArray[np.float32]


def model(
    op: str,
    inputs: Mapping[str, NDArray[Any]],
    out: Sequence[int] | None,
    constants: Mapping[str, NDArray[Any]] | None = None,
    *,
    order: Sequence[str] | None = None,
    integers: bool = False,
    opset: int = 20,
    **attributes: Any,
) -> bytes:
    """A model of one node: its inputs are those, then the constants, unless `order` says otherwise."""
    from onnx import TensorProto, helper, numpy_helper

    constants = constants or {}
    node = helper.make_node(op, list(order or [*inputs, *constants]), ["y"], **attributes)
    kind = TensorProto.INT64 if integers else TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "row",
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for name, x in inputs.items()],
        [helper.make_tensor_value_info("y", kind, out)],
        [numpy_helper.from_array(x, name) for name, x in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10).SerializeToString()


def silu(x: Array) -> bytes:
    """x * sigmoid(x), which engines fuse; ONNX has no node for it before opset 24."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xy"]
    graph = helper.make_graph(nodes, "row", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def onnxruntime(proto: bytes, inputs: Mapping[str, NDArray[Any]], out: Sequence[int] | None, threads: int) -> Contestant:
    """A session of ONNX Runtime; without `out`, the output's shape is its own to find."""
    ort = packages.load("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    if out is None:
        return returning(lambda: session.run(None, inputs), lambda outputs: outputs[0])
    binding = session.io_binding()
    for name, x in inputs.items():
        binding.bind_cpu_input(name, x)
    y = ort.OrtValue.ortvalue_from_numpy(np.zeros(out, np.float32))
    binding.bind_ortvalue_output("y", y)

    def result(keep: Any = inputs) -> Any:
        session.run_with_iobinding(binding)
        return y.numpy()

    return Contestant(lambda: session.run_with_iobinding(binding), result)


def openvino(proto: bytes, inputs: Mapping[str, NDArray[Any]], out: Sequence[int], threads: int) -> Contestant:
    """A request of OpenVINO in float32, one stream."""
    ov = packages.load("openvino")
    core = ov.Core()
    compiled = core.compile_model(
        core.read_model(proto, b""),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            # All contestants run on the cores that this process has.
            "ENABLE_CPU_PINNING": False,
        },
    )
    request = compiled.create_infer_request()
    for name, x in inputs.items():
        request.set_tensor(name, ov.Tensor(x, shared_memory=True))
    y = np.zeros(out, np.float32)
    request.set_output_tensor(ov.Tensor(y, shared_memory=True))

    def call(keep: Any = inputs) -> None:
        request.start_async()
        request.wait()

    return writing(call, y)


def opencv(proto: bytes, x: Array) -> Contestant:
    """A network of OpenCV's dnn."""
    cv2 = packages.load("opencv")
    net = cv2.dnn.readNetFromONNX(np.frombuffer(proto, np.uint8))

    def call() -> Any:
        net.setInput(x)
        return net.forward()

    return returning(call)


def engines(proto: Any, inputs: Mapping[str, NDArray[Any]], out: Sequence[int], dnn: bool = False) -> dict[str, Maker]:
    """The same model in each engine; `proto` makes it."""
    makers: dict[str, Maker] = {
        "onnxruntime": lambda threads: onnxruntime(proto(), inputs, out, threads),
        "openvino": lambda threads: openvino(proto(), inputs, out, threads),
    }
    if dnn:
        makers["opencv dnn"] = lambda threads: opencv(proto(), next(iter(inputs.values())))
    return makers
