# What the extension module exports; the documentation is in the docstrings.
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias, final, overload, type_check_only

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, TypeVar

__all__ = [
    "Context",
    "Conv2d",
    "ConvTranspose2d",
    "FeedForward",
    "Letterbox",
    "Linear",
    "MultiHeadAttention",
    "PatchEmbedding",
    "Remap",
    "TransformerEncoderLayer",
    "__version__",
    "attention",
    "avg_pool2d",
    "batched_nms",
    "box_convert",
    "box_iou",
    "box_iou_3d",
    "box_iou_elementwise",
    "conv2d",
    "conv_transpose2d",
    "deform_conv2d",
    "fold_batch_norm",
    "gelu",
    "gelu_tanh",
    "get_num_threads",
    "grid_sample",
    "hardswish",
    "image_to_tensor",
    "isa",
    "isa_available",
    "kmeans",
    "kmeans_accumulate",
    "kmeans_anchors",
    "kmeans_assign",
    "kmeans_update",
    "knn",
    "layer_norm",
    "leaky_relu",
    "letterbox",
    "linear",
    "linear_assignment",
    "log_softmax",
    "match_descriptors",
    "matmul",
    "matrix_nms",
    "max_pool2d",
    "mean_shift",
    "median_blur",
    "merge_conv2d_avg_pool2d",
    "merge_parallel_conv2d",
    "multi_head_attention",
    "nms",
    "nms_per_image",
    "pairwise_distance",
    "positional_encoding",
    "prelu",
    "receptive_field",
    "relu",
    "relu6",
    "remap",
    "resize",
    "rms_norm",
    "roi_align",
    "roi_align_backward",
    "roi_pool",
    "roi_pool_backward",
    "rotate",
    "set_num_threads",
    "sigmoid",
    "silu",
    "soft_nms",
    "softmax",
    "tanh",
    "warp_affine",
    "warp_perspective",
    "yolo_decode",
]

__version__: str

@type_check_only
class _SupportsDLPack(Protocol):
    """An array of another library whose memory is the CPU's."""

    def __dlpack__(self, *, max_version: tuple[int, int] | None = None) -> Any: ...

@type_check_only
class _OldDLPack(Protocol):
    """The same from before DLPack had versions."""

    def __dlpack__(self) -> Any: ...

_DLPack: TypeAlias = _SupportsDLPack | _OldDLPack
_Scalars: TypeAlias = float | Sequence[float] | Sequence[Sequence[Any]]
_Floats: TypeAlias = npt.NDArray[np.float32] | _DLPack | _Scalars
_Integers: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.int32] | _DLPack | Sequence[int]
_Float32: TypeAlias = npt.NDArray[np.float32]
_Int32: TypeAlias = npt.NDArray[np.int32]
_Float64: TypeAlias = npt.NDArray[np.float64]
_Doubles: TypeAlias = npt.NDArray[np.float64] | _DLPack | _Scalars
_Int64: TypeAlias = npt.NDArray[np.int64]
_Pair: TypeAlias = int | tuple[int, int] | Sequence[int]
_Sides: TypeAlias = int | tuple[int, int] | tuple[int, int, int, int] | Sequence[int]
_Size: TypeAlias = tuple[int, int] | Sequence[int]
_Isa: TypeAlias = Literal["portable", "neon", "avx2", "avx512"]
_Layout: TypeAlias = Literal["NCHW", "NHWC"]
_Algorithm: TypeAlias = Literal["auto", "implicit_gemm", "direct", "winograd"]
_LinearActivation: TypeAlias = Literal[
    "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "hardswish", "gelu", "gelu_tanh"
]
_Activation: TypeAlias = _LinearActivation | Literal["prelu"]
_Mask: TypeAlias = npt.NDArray[np.bool_] | npt.NDArray[np.float32] | _DLPack
_Descriptors: TypeAlias = _Floats | npt.NDArray[np.uint8]
_Metric: TypeAlias = Literal["euclidean", "sqeuclidean", "cosine", "inner_product", "manhattan", "mahalanobis"]
_Kind: TypeAlias = Literal["iou", "giou", "diou", "ciou"]
_Format: TypeAlias = Literal["xyxy", "xywh", "cxcywh", "corners"]
_RoiAlignMode: TypeAlias = Literal["avg", "max", "max_sample"]
_Overlap: TypeAlias = Literal["union", "min"]
_Interpolation: TypeAlias = Literal["linear", "nearest", "cubic", "area"]
_WarpInterpolation: TypeAlias = Literal["linear", "nearest", "cubic"]
_Border: TypeAlias = Literal["constant", "replicate", "reflect", "reflect_101", "wrap"]
_Matrix: TypeAlias = npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]] | Sequence[Sequence[float]]
_Coordinates: TypeAlias = Literal["half_pixel", "align_corners", "asymmetric"]

_Image: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32] | _DLPack
_Channels: TypeAlias = float | Sequence[float]

# An operator returns what it is given as `out`, else a new array.
_Out = TypeVar("_Out", default=_Float32)
_Pixel = TypeVar("_Pixel", bound=np.uint8 | np.float32)

@final
class Context:
    def __new__(cls, *, num_threads: int = 0, max_isa: _Isa | None = None) -> Self: ...
    @property
    def num_threads(self) -> int: ...
    @property
    def isa(self) -> _Isa: ...
    @property
    def scratch_bytes(self) -> int: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        _exc_type: type[BaseException] | None,
        _exc_value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None: ...

def set_num_threads(num_threads: int) -> None: ...
def get_num_threads() -> int: ...
def isa() -> _Isa: ...
def isa_available(name: _Isa) -> bool: ...
def conv2d(
    x: _Floats,
    w: _Floats,
    bias: _Floats | None = None,
    *,
    residual: _Floats | None = None,
    stride: _Pair = 1,
    padding: _Sides = 0,
    dilation: _Pair = 1,
    groups: int = 1,
    activation: _Activation | None = None,
    negative_slope: float = 0.01,
    activation_slope: _Floats | None = None,
    layout: _Layout = "NCHW",
    algorithm: _Algorithm = "auto",
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@final
class Conv2d:
    def __new__(
        cls,
        w: _Floats,
        bias: _Floats | None = None,
        *,
        stride: _Pair = 1,
        padding: _Sides = 0,
        dilation: _Pair = 1,
        groups: int = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        activation_slope: _Floats | None = None,
        layout: _Layout = "NCHW",
        algorithm: _Algorithm = "auto",
        ctx: Context | None = None,
    ) -> Self: ...
    def run(
        self,
        x: _Floats,
        residual: _Floats | None = None,
        out: _Out | None = None,
        *,
        ctx: Context | None = None,
    ) -> _Out: ...
    def describe(self) -> str: ...

def deform_conv2d(
    x: _Floats,
    offset: _Floats,
    w: _Floats,
    bias: _Floats | None = None,
    *,
    stride: _Pair = 1,
    padding: _Sides = 0,
    dilation: _Pair = 1,
    mask: _Floats | None = None,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def conv_transpose2d(
    x: _Floats,
    w: _Floats,
    bias: _Floats | None = None,
    *,
    stride: _Pair = 1,
    padding: _Sides = 0,
    output_padding: _Pair = 0,
    dilation: _Pair = 1,
    groups: int = 1,
    activation: _Activation | None = None,
    negative_slope: float = 0.01,
    activation_slope: _Floats | None = None,
    layout: _Layout = "NCHW",
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@final
class ConvTranspose2d:
    def __new__(
        cls,
        w: _Floats,
        bias: _Floats | None = None,
        *,
        stride: _Pair = 1,
        padding: _Sides = 0,
        output_padding: _Pair = 0,
        dilation: _Pair = 1,
        groups: int = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        activation_slope: _Floats | None = None,
        layout: _Layout = "NCHW",
        ctx: Context | None = None,
    ) -> Self: ...
    def run(
        self, x: _Floats, out: _Out | None = None, *, ctx: Context | None = None
    ) -> _Out: ...
    def describe(self) -> str: ...

def fold_batch_norm(
    w: _Floats,
    bias: _Floats | None,
    gamma: _Floats | None,
    beta: _Floats | None,
    mean: _Floats,
    var: _Floats,
    eps: float = 1e-5,
    *,
    ctx: Context | None = None,
) -> tuple[_Out, _Out]: ...
def merge_parallel_conv2d(
    w1: _Floats,
    b1: _Floats | None,
    w2: _Floats,
    b2: _Floats | None,
    *,
    layout: _Layout = "NCHW",
    ctx: Context | None = None,
) -> tuple[_Out, _Out]: ...
def merge_conv2d_avg_pool2d(
    w: _Floats,
    bias: _Floats | None,
    kernel: _Pair,
    *,
    stride: _Pair = 1,
    layout: _Layout = "NCHW",
    ctx: Context | None = None,
) -> tuple[_Out, _Floats | None]: ...
def receptive_field(layers: Sequence[tuple[int, int, int, int]]) -> tuple[int, int, int]: ...
def matmul(
    a: _Floats, b: _Floats, *, out: _Out | None = None, ctx: Context | None = None
) -> _Out: ...
def linear(
    x: _Floats,
    w: _Floats,
    bias: _Floats | None = None,
    *,
    activation: _LinearActivation | None = None,
    negative_slope: float = 0.01,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@final
class Linear:
    def __new__(
        cls,
        w: _Floats,
        bias: _Floats | None = None,
        *,
        activation: _LinearActivation | None = None,
        negative_slope: float = 0.01,
        ctx: Context | None = None,
    ) -> Self: ...
    def run(
        self, x: _Floats, out: _Out | None = None, *, ctx: Context | None = None
    ) -> _Out: ...
    def describe(self) -> str: ...

def positional_encoding(
    length: int, dim: int, *, out: _Out | None = None, ctx: Context | None = None
) -> _Out: ...
def multi_head_attention(
    query: _Floats,
    key: _Floats,
    value: _Floats,
    w_q: _Floats,
    w_k: _Floats,
    w_v: _Floats,
    w_o: _Floats,
    *,
    num_heads: int,
    num_kv_heads: int | None = None,
    b_q: _Floats | None = None,
    b_k: _Floats | None = None,
    b_v: _Floats | None = None,
    b_o: _Floats | None = None,
    mask: _Mask | None = None,
    causal: bool = False,
    causal_offset: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@final
class MultiHeadAttention:
    def __new__(
        cls,
        w_q: _Floats,
        w_k: _Floats,
        w_v: _Floats,
        w_o: _Floats,
        *,
        num_heads: int,
        num_kv_heads: int | None = None,
        b_q: _Floats | None = None,
        b_k: _Floats | None = None,
        b_v: _Floats | None = None,
        b_o: _Floats | None = None,
        causal: bool = False,
        causal_offset: int = 0,
        scale: float | None = None,
        softcap: float = 0.0,
        ctx: Context | None = None,
    ) -> Self: ...
    def run(
        self,
        query: _Floats,
        key: _Floats,
        value: _Floats,
        *,
        mask: _Mask | None = None,
        residual: _Floats | None = None,
        out: _Out | None = None,
        ctx: Context | None = None,
    ) -> _Out: ...
    def describe(self) -> str: ...

@final
class FeedForward:
    def __new__(
        cls,
        w1: _Floats,
        b1: _Floats | None,
        w2: _Floats,
        b2: _Floats | None = None,
        *,
        activation: _LinearActivation = "relu",
        negative_slope: float = 0.01,
        ctx: Context | None = None,
    ) -> Self: ...
    def run(
        self,
        x: _Floats,
        residual: _Floats | None = None,
        out: _Out | None = None,
        *,
        ctx: Context | None = None,
    ) -> _Out: ...
    def describe(self) -> str: ...

@final
class TransformerEncoderLayer:
    def __new__(
        cls,
        in_proj_weight: _Floats,
        in_proj_bias: _Floats | None,
        out_proj_weight: _Floats,
        out_proj_bias: _Floats | None,
        linear1_weight: _Floats,
        linear1_bias: _Floats | None,
        linear2_weight: _Floats,
        linear2_bias: _Floats | None,
        norm1_weight: _Floats | None = None,
        norm1_bias: _Floats | None = None,
        norm2_weight: _Floats | None = None,
        norm2_bias: _Floats | None = None,
        *,
        num_heads: int,
        activation: _LinearActivation = "relu",
        negative_slope: float = 0.01,
        norm_first: bool = False,
        causal: bool = False,
        eps: float = 1e-5,
        ctx: Context | None = None,
    ) -> Self: ...
    def run(
        self,
        x: _Floats,
        mask: _Mask | None = None,
        out: _Out | None = None,
        *,
        ctx: Context | None = None,
    ) -> _Out: ...
    def describe(self) -> str: ...

@final
class PatchEmbedding:
    def __new__(
        cls,
        w: _Floats,
        bias: _Floats | None = None,
        class_token: _Floats | None = None,
        position_embedding: _Floats | None = None,
        *,
        ctx: Context | None = None,
    ) -> Self: ...
    def run(
        self, x: _Floats, out: _Out | None = None, *, ctx: Context | None = None
    ) -> _Out: ...
    def describe(self) -> str: ...

@overload
def attention(
    q: _Floats,
    k: _Floats,
    v: _Floats,
    *,
    mask: _Mask | None = None,
    causal: bool = False,
    causal_offset: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    return_log_sum_exp: Literal[False] = False,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@overload
def attention(
    q: _Floats,
    k: _Floats,
    v: _Floats,
    *,
    mask: _Mask | None = None,
    causal: bool = False,
    causal_offset: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    return_log_sum_exp: Literal[True],
    out: _Out | None = None,
    ctx: Context | None = None,
) -> tuple[_Out, _Float32]: ...
@overload
def layer_norm(
    x: _Floats,
    gamma: _Floats | None = None,
    beta: _Floats | None = None,
    eps: float = 1e-5,
    *,
    axis: int = -1,
    residual: _Floats | None = None,
    return_sum: Literal[False] = False,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@overload
def layer_norm(
    x: _Floats,
    gamma: _Floats | None = None,
    beta: _Floats | None = None,
    eps: float = 1e-5,
    *,
    axis: int = -1,
    residual: _Floats | None = None,
    return_sum: Literal[True],
    out: _Out | None = None,
    ctx: Context | None = None,
) -> tuple[_Out, _Float32]: ...
@overload
def rms_norm(
    x: _Floats,
    gamma: _Floats | None = None,
    eps: float = 1e-5,
    *,
    axis: int = -1,
    residual: _Floats | None = None,
    return_sum: Literal[False] = False,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@overload
def rms_norm(
    x: _Floats,
    gamma: _Floats | None = None,
    eps: float = 1e-5,
    *,
    axis: int = -1,
    residual: _Floats | None = None,
    return_sum: Literal[True],
    out: _Out | None = None,
    ctx: Context | None = None,
) -> tuple[_Out, _Float32]: ...
def relu(x: _Floats, *, out: _Out | None = None, ctx: Context | None = None) -> _Out: ...
def relu6(x: _Floats, *, out: _Out | None = None, ctx: Context | None = None) -> _Out: ...
def sigmoid(x: _Floats, *, out: _Out | None = None, ctx: Context | None = None) -> _Out: ...
def tanh(x: _Floats, *, out: _Out | None = None, ctx: Context | None = None) -> _Out: ...
def silu(x: _Floats, *, out: _Out | None = None, ctx: Context | None = None) -> _Out: ...
def hardswish(x: _Floats, *, out: _Out | None = None, ctx: Context | None = None) -> _Out: ...
def gelu(x: _Floats, *, out: _Out | None = None, ctx: Context | None = None) -> _Out: ...
def gelu_tanh(x: _Floats, *, out: _Out | None = None, ctx: Context | None = None) -> _Out: ...
def leaky_relu(
    x: _Floats,
    negative_slope: float = 0.01,
    *,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def prelu(
    x: _Floats,
    slope: _Floats,
    *,
    axis: int = 1,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def softmax(
    x: _Floats, axis: int = -1, *, out: _Out | None = None, ctx: Context | None = None
) -> _Out: ...
def log_softmax(
    x: _Floats, axis: int = -1, *, out: _Out | None = None, ctx: Context | None = None
) -> _Out: ...
@overload
def max_pool2d(
    x: _Floats,
    kernel_size: _Pair,
    stride: _Pair | None = None,
    padding: _Sides = 0,
    dilation: _Pair = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    *,
    layout: _Layout = "NCHW",
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@overload
def max_pool2d(
    x: _Floats,
    kernel_size: _Pair,
    stride: _Pair | None = None,
    padding: _Sides = 0,
    dilation: _Pair = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True],
    layout: _Layout = "NCHW",
    out: tuple[_Float32, _Int64] | None = None,
    ctx: Context | None = None,
) -> tuple[_Float32, _Int64]: ...
def avg_pool2d(
    x: _Floats,
    kernel_size: _Pair,
    stride: _Pair | None = None,
    padding: _Sides = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: _Pair = 1,
    layout: _Layout = "NCHW",
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def box_iou(
    a: _Floats,
    b: _Floats,
    *,
    kind: _Kind = "iou",
    format: _Format = "xyxy",
    offset: int = 0,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def box_iou_elementwise(
    a: _Floats,
    b: _Floats,
    *,
    kind: _Kind = "iou",
    format: _Format = "xyxy",
    offset: int = 0,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def nms(
    boxes: _Floats,
    scores: _Floats,
    iou_threshold: float,
    *,
    score_threshold: float | None = None,
    max_output: int = 0,
    max_candidates: int = 0,
    format: _Format = "xyxy",
    offset: int = 0,
    overlap: _Overlap = "union",
    out: _Int64 | None = None,
    ctx: Context | None = None,
) -> _Int64: ...
def batched_nms(
    boxes: _Floats,
    scores: _Floats,
    classes: _Integers,
    iou_threshold: float,
    *,
    score_threshold: float | None = None,
    max_output: int = 0,
    max_candidates: int = 0,
    format: _Format = "xyxy",
    offset: int = 0,
    overlap: _Overlap = "union",
    out: _Int64 | None = None,
    ctx: Context | None = None,
) -> _Int64: ...
def box_iou_3d(a: _Floats, b: _Floats, *, out: _Out | None = None, ctx: Context | None = None) -> _Out: ...
def box_convert(
    boxes: _Floats,
    in_fmt: _Format,
    out_fmt: _Format,
    *,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def nms_per_image(
    boxes: _Floats,
    scores: _Floats,
    iou_threshold: float,
    *,
    classes: _Integers | None = None,
    score_threshold: float | None = None,
    max_output: int = 0,
    max_candidates: int = 0,
    format: _Format = "xyxy",
    offset: int = 0,
    overlap: _Overlap = "union",
    out: _Int64 | None = None,
    ctx: Context | None = None,
) -> tuple[_Int64, _Int64]: ...
def soft_nms(
    boxes: _Floats,
    scores: _Floats,
    *,
    method: Literal["linear", "gaussian", "greedy"] = "linear",
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    score_threshold: float = 0.001,
    max_output: int = 0,
    format: _Format = "xyxy",
    offset: int = 0,
    ctx: Context | None = None,
) -> tuple[_Int64, _Float32]: ...
def matrix_nms(
    boxes: _Floats,
    scores: _Floats,
    classes: _Integers | None = None,
    *,
    method: Literal["linear", "gaussian"] = "linear",
    sigma: float = 2.0,
    score_threshold: float | None = None,
    post_threshold: float = 0.0,
    max_output: int = 0,
    max_candidates: int = 0,
    format: _Format = "xyxy",
    offset: int = 0,
    ctx: Context | None = None,
) -> tuple[_Int64, _Float32]: ...
def yolo_decode(
    head: _Floats,
    score_threshold: float,
    *,
    kind: Literal["v8", "v5", "grid_v3", "grid_v5"] = "v8",
    anchors: _Floats | None = None,
    stride: float = 0.0,
    scale_xy: float = 0.0,
    logits: bool | None = None,
    multi_label: bool = False,
    num_classes: int = 0,
    ctx: Context | None = None,
) -> tuple[_Float32, _Float32, _Int64, _Int64, _Int64]: ...
@overload
def resize(
    img: npt.NDArray[_Pixel],
    size_hw: _Size,
    interpolation: _Interpolation = "linear",
    *,
    coordinates: _Coordinates | None = None,
    antialias: bool = False,
    out: None = None,
    ctx: Context | None = None,
) -> npt.NDArray[_Pixel]: ...
@overload
def resize(
    img: _Image,
    size_hw: _Size,
    interpolation: _Interpolation = "linear",
    *,
    coordinates: _Coordinates | None = None,
    antialias: bool = False,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@overload
def median_blur(
    img: npt.NDArray[_Pixel],
    ksize: int,
    border: Literal["replicate", "constant"] = "replicate",
    *,
    out: None = None,
    ctx: Context | None = None,
) -> npt.NDArray[_Pixel]: ...
@overload
def median_blur(
    img: _Image,
    ksize: int,
    border: Literal["replicate", "constant"] = "replicate",
    *,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def image_to_tensor(
    img: _Image,
    size_hw: _Size | None = None,
    *,
    mean: _Channels = 0.0,
    std: _Channels = 1.0,
    swap_rb: bool = False,
    letterbox: bool = False,
    pad_value: float = 114.0,
    scale: float | None = None,
    interpolation: Literal["linear", "cubic", "area"] = "linear",
    coordinates: _Coordinates | None = None,
    antialias: bool = False,
    layout: _Layout = "NCHW",
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@final
class Letterbox:
    @property
    def top(self) -> int: ...
    @property
    def left(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def scale_y(self) -> float: ...
    @property
    def scale_x(self) -> float: ...

def letterbox(image_hw: _Size, frame_hw: _Size) -> Letterbox: ...
@overload
def warp_affine(
    img: npt.NDArray[_Pixel],
    matrix: _Matrix,
    size_hw: _Size,
    *,
    interpolation: _WarpInterpolation = "linear",
    border: _Border = "constant",
    value: _Channels = 0.0,
    inverse: bool = False,
    out: None = None,
    ctx: Context | None = None,
) -> npt.NDArray[_Pixel]: ...
@overload
def warp_affine(
    img: _Image,
    matrix: _Matrix,
    size_hw: _Size,
    *,
    interpolation: _WarpInterpolation = "linear",
    border: _Border = "constant",
    value: _Channels = 0.0,
    inverse: bool = False,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@overload
def warp_perspective(
    img: npt.NDArray[_Pixel],
    matrix: _Matrix,
    size_hw: _Size,
    *,
    interpolation: _WarpInterpolation = "linear",
    border: _Border = "constant",
    value: _Channels = 0.0,
    inverse: bool = False,
    out: None = None,
    ctx: Context | None = None,
) -> npt.NDArray[_Pixel]: ...
@overload
def warp_perspective(
    img: _Image,
    matrix: _Matrix,
    size_hw: _Size,
    *,
    interpolation: _WarpInterpolation = "linear",
    border: _Border = "constant",
    value: _Channels = 0.0,
    inverse: bool = False,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@overload
def rotate(
    img: npt.NDArray[_Pixel],
    degrees: float,
    *,
    expand: bool = True,
    interpolation: _WarpInterpolation = "linear",
    border: _Border = "constant",
    value: _Channels = 0.0,
    out: None = None,
    ctx: Context | None = None,
) -> npt.NDArray[_Pixel]: ...
@overload
def rotate(
    img: _Image,
    degrees: float,
    *,
    expand: bool = True,
    interpolation: _WarpInterpolation = "linear",
    border: _Border = "constant",
    value: _Channels = 0.0,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@overload
def remap(
    img: npt.NDArray[_Pixel],
    map_x: _Floats,
    map_y: _Floats,
    *,
    interpolation: _WarpInterpolation = "linear",
    border: _Border = "constant",
    value: _Channels = 0.0,
    out: None = None,
    ctx: Context | None = None,
) -> npt.NDArray[_Pixel]: ...
@overload
def remap(
    img: _Image,
    map_x: _Floats,
    map_y: _Floats,
    *,
    interpolation: _WarpInterpolation = "linear",
    border: _Border = "constant",
    value: _Channels = 0.0,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@final
class Remap:
    def __new__(
        cls,
        map_x: _Floats,
        map_y: _Floats,
        *,
        interpolation: _WarpInterpolation = "linear",
        border: _Border = "constant",
        value: _Channels = 0.0,
        ctx: Context | None = None,
    ) -> Self: ...
    @overload
    def run(
        self,
        img: npt.NDArray[_Pixel],
        out: None = None,
        *,
        ctx: Context | None = None,
    ) -> npt.NDArray[_Pixel]: ...
    @overload
    def run(
        self,
        img: _Image,
        out: _Out | None = None,
        *,
        ctx: Context | None = None,
    ) -> _Out: ...

def grid_sample(
    x: _Floats,
    grid: _Floats,
    mode: Literal["bilinear", "nearest", "bicubic"] = "bilinear",
    padding_mode: Literal["zeros", "border", "reflection"] = "zeros",
    align_corners: bool = False,
    *,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def roi_align(
    x: _Floats,
    rois: _Floats,
    output_size: _Pair,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
    *,
    mode: _RoiAlignMode = "avg",
    batch_indices: _Integers | None = None,
    layout: _Layout = "NCHW",
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def roi_align_backward(
    dy: _Floats,
    rois: _Floats,
    input_shape: Sequence[int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
    *,
    mode: _RoiAlignMode = "avg",
    batch_indices: _Integers | None = None,
    x: _Floats | None = None,
    layout: _Layout = "NCHW",
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@overload
def roi_pool(
    x: _Floats,
    rois: _Floats,
    output_size: _Pair,
    spatial_scale: float = 1.0,
    *,
    return_argmax: Literal[False] = False,
    batch_indices: _Integers | None = None,
    layout: _Layout = "NCHW",
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
@overload
def roi_pool(
    x: _Floats,
    rois: _Floats,
    output_size: _Pair,
    spatial_scale: float = 1.0,
    *,
    return_argmax: Literal[True],
    batch_indices: _Integers | None = None,
    layout: _Layout = "NCHW",
    out: tuple[_Float32, _Int32] | None = None,
    ctx: Context | None = None,
) -> tuple[_Float32, _Int32]: ...
def roi_pool_backward(
    dy: _Floats,
    rois: _Floats,
    argmax: _Int32 | _DLPack,
    input_shape: Sequence[int],
    *,
    batch_indices: _Integers | None = None,
    layout: _Layout = "NCHW",
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def pairwise_distance(
    a: _Floats,
    b: _Floats,
    metric: _Metric = "euclidean",
    *,
    covariance: _Floats | None = None,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> _Out: ...
def kmeans_assign(x: _Floats, centroids: _Floats, *, ctx: Context | None = None) -> tuple[_Int64, _Float32]: ...
def kmeans(
    x: _Floats,
    k: int,
    *,
    init: Literal["k-means++", "random"] | _Floats = "k-means++",
    max_iterations: int = 300,
    tolerance: float = 1e-4,
    n_init: int = 1,
    seed: int = 0,
    sample_weight: _Floats | None = None,
    callback: Callable[[int, int, int, float, float], object] | None = None,
    ctx: Context | None = None,
) -> tuple[_Int64, _Float32, float, int]: ...
def kmeans_accumulate(
    x: _Floats,
    centroids: _Floats,
    *,
    sample_weight: _Floats | None = None,
    ctx: Context | None = None,
) -> tuple[_Float64, _Float64, _Int64, float]: ...
def kmeans_update(
    sums: _Doubles,
    counts: _Doubles,
    centroids: _Floats,
    *,
    out: _Out | None = None,
    ctx: Context | None = None,
) -> tuple[_Out, float]: ...
def kmeans_anchors(
    wh: _Floats,
    k: int,
    *,
    average: Literal["median", "mean"] = "median",
    init: _Floats | None = None,
    max_iterations: int = 300,
    seed: int = 0,
    ctx: Context | None = None,
) -> tuple[_Float32, _Int64, float]: ...
def knn(
    queries: _Floats,
    data: _Floats,
    k: int,
    metric: _Metric = "euclidean",
    *,
    covariance: _Floats | None = None,
    ctx: Context | None = None,
) -> tuple[_Int64, _Float32]: ...
def match_descriptors(
    a: _Descriptors,
    b: _Descriptors,
    *,
    cross_check: bool = False,
    ratio: float | None = None,
    max_distance: float | None = None,
    ctx: Context | None = None,
) -> tuple[_Int64, _Float32]: ...
def mean_shift(
    x: _Floats,
    bandwidth: float,
    *,
    kernel: Literal["flat", "gaussian"] = "flat",
    seeds: _Floats | None = None,
    bin_seeding: bool = False,
    min_bin_freq: int = 1,
    cluster_all: bool = True,
    max_iterations: int = 300,
    ctx: Context | None = None,
) -> tuple[_Int64, _Float32]: ...
def linear_assignment(
    cost: _Floats | _Doubles,
    maximize: bool = False,
    *,
    ctx: Context | None = None,
) -> tuple[_Int64, _Int64]: ...
