"""Attention and the normalizations of a transformer, float32."""

import functools
import math
from typing import Any

import numpy as np

from .. import graphs, packages
from ..rows import Contestant, Maker, Row, close, context, returning, writing

# (B, H, N, M, D), and whether it is causal.
SHAPES = [
    ((1, 12, 197, 197, 64), False),
    ((8, 8, 128, 128, 64), False),
    ((1, 16, 577, 577, 64), False),
    ((1, 8, 1024, 1024, 64), False),
    ((1, 16, 1500, 1500, 80), False),
    ((1, 32, 1024, 1024, 128), True),
    ((1, 8, 2048, 2048, 128), True),
    ((1, 32, 1, 4096, 128), False),
]


def normal(shape: tuple[int, ...], seed: int = 5) -> np.ndarray:
    """Normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def attention(sizes: tuple[int, int, int, int, int], causal: bool, axis: str = "", size: float = 0) -> Row:
    """As torch's scaled_dot_product_attention."""
    b, h, n, m, d = sizes

    def contestants() -> dict[str, Maker]:
        q, k, v = normal((b, h, n, d)), normal((b, h, m, d), 6), normal((b, h, m, d), 7)

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx = np.empty_like(q), context(threads)
            return writing(lambda: omma.attention(q, k, v, causal=causal, out=y, ctx=ctx), y)

        def torch(threads: int) -> Contestant:
            module = packages.load("torch")
            function = module.nn.functional.scaled_dot_product_attention
            tensors = [module.from_numpy(x) for x in (q, k, v)]

            def call() -> Any:
                with module.no_grad():
                    return function(*tensors, is_causal=causal)

            return returning(call, lambda y: y.numpy())

        inputs = {"q": q, "k": k, "v": v}
        proto = functools.cache(lambda: graphs.model("Attention", inputs, q.shape, opset=23, is_causal=int(causal)))
        onnxruntime = graphs.engines(proto, inputs, q.shape)["onnxruntime"]
        return {"omma": omma, "onnxruntime": onnxruntime, "torch": torch}

    flops = 4.0 * b * h * n * m * d * (0.5 if causal else 1)
    moved = 8.0 * b * h * (n + m) * d
    name = f"{b}x{h}x{n}x{d}" + (f" over {m}" if m != n else "") + (" causal" if causal else "")
    return Row("attention", name, contestants, close(2e-5, 1e-5), flops, moved, axis, size)


def norm(operator: str, shape: tuple[int, int], axis: str = "", size: float = 0) -> Row:
    """Over the last axis, with what scales and shifts."""

    def contestants() -> dict[str, Maker]:
        x, gamma, beta = normal(shape), normal(shape[1:], 6), normal(shape[1:], 7)
        scales = (gamma, beta) if operator == "layer_norm" else (gamma,)

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx, function = np.empty_like(x), context(threads), getattr(omma, operator)
            return writing(lambda: function(x, *scales, out=y, ctx=ctx), y)

        def torch(threads: int) -> Contestant:
            module = packages.load("torch")
            function = getattr(module.nn.functional, operator)
            tx, ts = module.from_numpy(x), [module.from_numpy(s) for s in scales]

            def call() -> Any:
                with module.no_grad():
                    return function(tx, shape[1:], *ts, eps=1e-5)

            return returning(call, lambda y: y.numpy())

        node = {"layer_norm": "LayerNormalization", "rms_norm": "RMSNormalization"}[operator]
        constants = dict(zip(("gamma", "beta"), scales))
        opset = 20 if operator == "layer_norm" else 23
        proto = functools.cache(lambda: graphs.model(node, {"x": x}, shape, constants, opset=opset, axis=-1, epsilon=1e-5))
        engines = graphs.engines(proto, {"x": x}, shape)
        if operator == "rms_norm":
            engines.pop("openvino")
        return {"omma": omma, **engines, "torch": torch}

    name = "x".join(map(str, shape))
    return Row(operator, name, contestants, close(1e-5, 1e-5), 0, 8.0 * math.prod(shape), axis, size)


def encoder_layer(length: int, embedding: int, heads: int, hidden: int) -> Row:
    """Torch's TransformerEncoderLayer with GELU, as in BERT."""
    return block("transformer_encoder_layer", length, embedding, heads, hidden)


def multi_head_attention(length: int, embedding: int, heads: int) -> Row:
    """Torch's MultiheadAttention of a sequence with itself."""
    return block("multi_head_attention", length, embedding, heads, 0)


def block(operator: str, length: int, embedding: int, heads: int, hidden: int) -> Row:
    """A block of a transformer with its weights packed."""
    is_layer = operator == "transformer_encoder_layer"

    def contestants() -> dict[str, Maker]:
        x = normal((1, length, embedding))

        @functools.cache
        def module() -> Any:
            torch = packages.load("torch")
            torch.manual_seed(5)
            if is_layer:
                made = torch.nn.TransformerEncoderLayer(embedding, heads, hidden, activation="gelu", batch_first=True)
            else:
                made = torch.nn.MultiheadAttention(embedding, heads, batch_first=True)
            return made.eval()

        def omma(threads: int) -> Contestant:
            import omma

            y, ctx = np.empty_like(x), context(threads)
            arrays = [array.numpy() for array in module().state_dict().values()]
            if is_layer:
                layer = omma.TransformerEncoderLayer(*arrays, num_heads=heads, activation="gelu", ctx=ctx)
                return writing(lambda: layer.run(x, out=y, ctx=ctx), y)
            weights, biases = np.split(arrays[0], 3), np.split(arrays[1], 3)
            named = dict(zip(("b_q", "b_k", "b_v", "b_o"), (*biases, arrays[3])))
            plan = omma.MultiHeadAttention(*weights, arrays[2], **named, num_heads=heads, ctx=ctx)
            return writing(lambda: plan.run(x, x, x, out=y, ctx=ctx), y)

        def torch(threads: int) -> Contestant:
            torch = packages.load("torch")
            tx = torch.from_numpy(x)

            def call() -> Any:
                with torch.inference_mode():
                    return module()(tx) if is_layer else module()(tx, tx, tx, need_weights=False)[0]

            return returning(call, lambda y: y.numpy())

        return {"omma": omma, "torch": torch}

    flops = 2.0 * length * embedding * (4 * embedding + 2 * hidden) + 4.0 * length * length * embedding
    moved = 8.0 * length * embedding + 4.0 * embedding * (4 * embedding + 2 * hidden)
    name = f"{length}x{embedding}, {heads} heads" + (f", {hidden} hidden" if hidden else "")
    return Row(operator, name, contestants, close(1e-4, 1e-4), flops, moved)


def rows() -> list[Row]:
    """The table, then sequences that grow."""
    made = [attention(*shape) for shape in SHAPES]
    made += [encoder_layer(512, 768, 12, 3072), multi_head_attention(512, 768, 12)]
    made += [norm("layer_norm", (4096, 768)), norm("rms_norm", (4096, 768))]
    for length in (64, 128, 256, 512, 1024, 2048):
        made.append(attention((1, 12, length, length, 64), False, "length, 12 heads of 64", length))
    for columns in (64, 256, 1024, 4096):
        made.append(norm("layer_norm", (1024, columns), "length of 1024 rows", columns))
    return made
