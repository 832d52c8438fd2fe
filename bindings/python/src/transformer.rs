//! The blocks of a transformer.

use crate::call::Call;
use crate::context::Context;
use crate::conv::activation;
use crate::multi_head::{arrays, descriptors, mask_of, outputs, pointer, rows};
use crate::plan::{Plan, description};
use crate::tensor::{DType, Tensor};
use omma::capi::{
    self, OmmaFeedForward, OmmaFeedForwardParams, OmmaPatchEmbedding, OmmaTransformerEncoderLayer,
    OmmaTransformerEncoderLayerParams,
};
use pyo3::prelude::*;

/// Sines and cosines of the position, as in "Attention Is All You Need".
///
/// Parameters
/// ----------
/// length : int
/// dim : int
/// out : (length, dim) float32, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (length, dim) float32
///     ``sin(p / 10000 ** (2 * i / dim))`` at [p, 2 * i] and the cosine at [p, 2 * i + 1].
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.positional_encoding(2, 3).round(3)
/// array([[0.   , 1.   , 0.   ],
///        [0.841, 0.54 , 0.002]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (length, dim, *, out=None, ctx=None))]
pub(crate) fn positional_encoding<'py>(
    py: Python<'py>,
    length: i64,
    dim: i64,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(py, "positional_encoding", ctx)?;
    let shape = [
        call.number("length", length, 0)?.into(),
        call.number("dim", dim, 0)?.into(),
    ];
    let out = call.output(out, &shape, DType::F32)?;
    if out.shape() != shape {
        let words = format!("out has shape {:?}, expected {shape:?}", out.shape());
        return Err(call.error(capi::OMMA_SHAPE_MISMATCH, &words));
    }
    // SAFETY: a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe { capi::omma_positional_encoding(ctx, &out.descriptor()) })?;
    Ok(out.into_object())
}

/// ``activation(x @ w1.T + b1) @ w2.T + b2`` with weights that are packed once, for the instruction set of
/// ``ctx``.
///
/// Parameters
/// ----------
/// w1 : (hidden, in) float32
/// b1 : (hidden,) or None
/// w2 : (out, hidden)
/// b2 : (out,), optional
/// activation : str
///     As in `conv2d`, except ``"prelu"``.
/// negative_slope : float
///     The factor of ``"leaky_relu"``.
/// ctx : Context, optional
///
/// A plan never changes: any number of threads may run it at once.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.FeedForward([[1], [-1]], [0, 1], [[1, 10]]).run([[3], [-3]])
/// array([[ 3.],
///        [40.]], dtype=float32)
#[pyclass(frozen, module = "omma")]
pub(crate) struct FeedForward {
    plan: Plan<OmmaFeedForward>,
    outputs: i64,
}

#[pymethods]
impl FeedForward {
    #[new]
    #[pyo3(signature = (w1, b1, w2, b2=None, *, activation="relu", negative_slope=0.01, ctx=None))]
    fn new<'py>(
        w1: &Bound<'py, PyAny>,
        b1: Option<&Bound<'py, PyAny>>,
        w2: &Bound<'py, PyAny>,
        b2: Option<&Bound<'py, PyAny>>,
        activation: &str,
        negative_slope: f32,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<FeedForward> {
        let call = Call::new(w1.py(), "FeedForward", ctx)?;
        let (activation, negative_slope) =
            self::activation(&call, Some(activation), negative_slope)?;
        let params = OmmaFeedForwardParams {
            struct_size: size_of::<OmmaFeedForwardParams>() as u32,
            activation,
            negative_slope,
            flags: 0,
        };
        let (w1, w2) = (call.input("w1", w1)?, call.input("w2", w2)?);
        let biases = arrays(&call, [("b1", b1), ("b2", b2)])?;
        let biases = descriptors(&biases);
        // SAFETY: descriptors of memory that lives during the call; the slot takes the plan.
        let plan = unsafe {
            Plan::create(&call, capi::omma_feed_forward_destroy, |ctx, slot| {
                let (w1, w2) = (&w1.descriptor(), &w2.descriptor());
                let (b1, b2) = (pointer(&biases[0]), pointer(&biases[1]));
                capi::omma_feed_forward_create(ctx, &params, w1, b1, w2, b2, slot)
            })?
        };
        let outputs = outputs(&w2);
        Ok(FeedForward { plan, outputs })
    }

    /// The network's output for x (..., in), plus residual (..., out). ``out`` may be x or the residual.
    ///
    /// Examples
    /// --------
    /// >>> import omma
    /// >>> omma.FeedForward([[1]], None, [[1]]).run([[3], [-3]], residual=[[1], [1]])
    /// array([[4.],
    ///        [1.]], dtype=float32)
    #[pyo3(signature = (x, residual=None, out=None, *, ctx=None))]
    fn run<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        residual: Option<&Bound<'py, PyAny>>,
        out: Option<&Bound<'py, PyAny>>,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = Call::new(x.py(), "FeedForward.run", ctx)?;
        let x = call.input("x", x)?;
        let residual = call.optional("residual", residual)?;
        let out = rows(&call, out, &x, self.outputs)?;
        let residual = residual.as_ref().map(Tensor::descriptor);
        let plan = self.plan.pointer();
        // SAFETY: descriptors of memory that lives during the call, and so does the plan.
        call.run(|ctx| unsafe {
            let (x, out) = (&x.descriptor(), &out.descriptor());
            capi::omma_feed_forward_run(ctx, plan, x, pointer(&residual), out)
        })?;
        Ok(out.into_object())
    }

    /// The algorithm and the instruction set that the plan uses, for people.
    ///
    /// Examples
    /// --------
    /// >>> import omma
    /// >>> with omma.Context(max_isa="portable") as ctx:
    /// ...     "portable" in omma.FeedForward([[1]], None, [[1]], ctx=ctx).describe()
    /// True
    fn describe(&self) -> String {
        // SAFETY: a living plan, and a text of that capacity.
        description(|text, capacity| unsafe {
            capi::omma_feed_forward_describe(self.plan.pointer(), text, capacity)
        })
    }

    fn __repr__(&self) -> String {
        format!("<omma.FeedForward {}>", self.describe())
    }
}

/// ``torch.nn.TransformerEncoderLayer(batch_first=True)`` in evaluation, with weights that are packed once, for
/// the instruction set of ``ctx``.
///
/// Parameters
/// ----------
/// in_proj_weight : (3 * E, E) float32
/// in_proj_bias : (3 * E,) or None
/// out_proj_weight : (E, E)
/// out_proj_bias : (E,) or None
/// linear1_weight : (F, E)
/// linear1_bias : (F,) or None
/// linear2_weight : (E, F)
/// linear2_bias : (E,) or None
/// norm1_weight, norm1_bias, norm2_weight, norm2_bias : (E,), optional
/// num_heads : int
///     Torch's ``nhead``.
/// activation : str
///     As in `conv2d`, except ``"prelu"``.
/// negative_slope : float
///     The factor of ``"leaky_relu"``.
/// norm_first : bool
/// causal : bool
///     A row sees itself and those before it.
/// eps : float
///     Torch's ``layer_norm_eps``.
/// ctx : Context, optional
///
/// The arrays are those of the layer's ``state_dict()``, in its order:
/// ``omma.TransformerEncoderLayer(*layer.state_dict().values(), num_heads=12)``. A plan never changes:
/// any number of threads may run it at once.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> eye, zero = np.eye(2, dtype=np.float32), np.zeros((2, 2), np.float32)
/// >>> arrays = np.zeros((6, 2), np.float32), None, zero, None, zero, None, eye, None
/// >>> omma.TransformerEncoderLayer(*arrays, num_heads=1).run([[[5, 1], [0, 2]]]).round(3)
/// array([[[ 1., -1.],
///         [-1.,  1.]]], dtype=float32)
#[pyclass(frozen, module = "omma")]
pub(crate) struct TransformerEncoderLayer {
    plan: Plan<OmmaTransformerEncoderLayer>,
}

#[pymethods]
impl TransformerEncoderLayer {
    #[new]
    #[pyo3(signature = (in_proj_weight, in_proj_bias, out_proj_weight, out_proj_bias, linear1_weight, linear1_bias,
        linear2_weight, linear2_bias, norm1_weight=None, norm1_bias=None, norm2_weight=None, norm2_bias=None, *,
        num_heads, activation="relu", negative_slope=0.01, norm_first=false, causal=false, eps=1e-5, ctx=None))]
    fn new<'py>(
        in_proj_weight: &Bound<'py, PyAny>,
        in_proj_bias: Option<&Bound<'py, PyAny>>,
        out_proj_weight: &Bound<'py, PyAny>,
        out_proj_bias: Option<&Bound<'py, PyAny>>,
        linear1_weight: &Bound<'py, PyAny>,
        linear1_bias: Option<&Bound<'py, PyAny>>,
        linear2_weight: &Bound<'py, PyAny>,
        linear2_bias: Option<&Bound<'py, PyAny>>,
        norm1_weight: Option<&Bound<'py, PyAny>>,
        norm1_bias: Option<&Bound<'py, PyAny>>,
        norm2_weight: Option<&Bound<'py, PyAny>>,
        norm2_bias: Option<&Bound<'py, PyAny>>,
        num_heads: i64,
        activation: &str,
        negative_slope: f32,
        norm_first: bool,
        causal: bool,
        eps: f32,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<TransformerEncoderLayer> {
        let call = Call::new(in_proj_weight.py(), "TransformerEncoderLayer", ctx)?;
        let (activation, negative_slope) =
            self::activation(&call, Some(activation), negative_slope)?;
        let mut flags = capi::OMMA_ENCODER_LAYER_EPS;
        if norm_first {
            flags |= capi::OMMA_ENCODER_LAYER_NORM_FIRST;
        }
        if causal {
            flags |= capi::OMMA_ENCODER_LAYER_CAUSAL;
        }
        let params = OmmaTransformerEncoderLayerParams {
            struct_size: size_of::<OmmaTransformerEncoderLayerParams>() as u32,
            flags,
            num_heads: call.number("num_heads", num_heads, 1)?,
            activation,
            negative_slope,
            eps,
        };
        let weights = arrays(
            &call,
            [
                ("in_proj_weight", Some(in_proj_weight)),
                ("in_proj_bias", in_proj_bias),
                ("out_proj_weight", Some(out_proj_weight)),
                ("out_proj_bias", out_proj_bias),
                ("linear1_weight", Some(linear1_weight)),
                ("linear1_bias", linear1_bias),
                ("linear2_weight", Some(linear2_weight)),
                ("linear2_bias", linear2_bias),
                ("norm1_weight", norm1_weight),
                ("norm1_bias", norm1_bias),
                ("norm2_weight", norm2_weight),
                ("norm2_bias", norm2_bias),
            ],
        )?;
        let weights = descriptors(&weights);
        // SAFETY: descriptors of memory that lives during the call; the slot takes the plan.
        let plan = unsafe {
            let destroy = capi::omma_transformer_encoder_layer_destroy;
            Plan::create(&call, destroy, |ctx, slot| {
                let w = |i: usize| pointer(&weights[i]);
                capi::omma_transformer_encoder_layer_create(
                    ctx,
                    &params,
                    w(0),
                    w(1),
                    w(2),
                    w(3),
                    w(4),
                    w(5),
                    w(6),
                    w(7),
                    w(8),
                    w(9),
                    w(10),
                    w(11),
                    slot,
                )
            })?
        };
        Ok(TransformerEncoderLayer { plan })
    }

    /// The layer's output for x (B, N, E). ``out`` may be x. The mask, of bool (False hides a key, the
    /// opposite of torch's ``src_mask`` and ``src_key_padding_mask``) or float32 (added to the logits),
    /// broadcasts to (B, H, N, N): that of padding is (B, 1, 1, N).
    ///
    /// Examples
    /// --------
    /// >>> import numpy as np, omma
    /// >>> eye, zero = np.eye(2, dtype=np.float32), np.zeros((2, 2), np.float32)
    /// >>> arrays = np.vstack([zero, zero, eye]), None, eye, None, zero, None, zero, None
    /// >>> layer = omma.TransformerEncoderLayer(*arrays, num_heads=1, norm_first=True)
    /// >>> layer.run([[[5, 1], [0, 2]]], mask=np.array([True, False])).round(3)
    /// array([[[6., 0.],
    ///         [1., 1.]]], dtype=float32)
    #[pyo3(signature = (x, mask=None, out=None, *, ctx=None))]
    fn run<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        mask: Option<&Bound<'py, PyAny>>,
        out: Option<&Bound<'py, PyAny>>,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = Call::new(x.py(), "TransformerEncoderLayer.run", ctx)?;
        let x = call.input("x", x)?;
        let mask = mask_of(&call, mask)?;
        let features = x.shape().last().copied().unwrap_or(0);
        let out = rows(&call, out, &x, features)?;
        let mask = mask.as_ref().map(Tensor::descriptor);
        let plan = self.plan.pointer();
        // SAFETY: descriptors of memory that lives during the call, and so does the plan.
        call.run(|ctx| unsafe {
            let (x, out) = (&x.descriptor(), &out.descriptor());
            capi::omma_transformer_encoder_layer_run(ctx, plan, x, pointer(&mask), out)
        })?;
        Ok(out.into_object())
    }

    /// The algorithm and the instruction set that the plan uses, for people.
    ///
    /// Examples
    /// --------
    /// >>> import numpy as np, omma
    /// >>> arrays = np.zeros((3, 1), np.float32), None, [[1]], None, [[1]], None, [[1]], None
    /// >>> omma.TransformerEncoderLayer(*arrays, num_heads=1).describe().split(",")[0]
    /// 'post-norm'
    fn describe(&self) -> String {
        // SAFETY: a living plan, and a text of that capacity.
        description(|text, capacity| unsafe {
            capi::omma_transformer_encoder_layer_describe(self.plan.pointer(), text, capacity)
        })
    }

    fn __repr__(&self) -> String {
        format!("<omma.TransformerEncoderLayer {}>", self.describe())
    }
}

/// The first layer of a vision transformer: patches of an image, each a row of features. The weights are
/// packed once, for the instruction set of ``ctx``.
///
/// Parameters
/// ----------
/// w : (E, C, PH, PW) float32
/// bias : (E,), optional
/// class_token : (E,), optional
///     Becomes the first row of each image.
/// position_embedding : (rows, E), optional
///     Added to all rows, so that an image must have as many.
/// ctx : Context, optional
///
/// The patches are those of a convolution whose stride is its window. A plan never changes: any
/// number of threads may run it at once.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> patches = omma.PatchEmbedding(np.ones((1, 1, 2, 2), np.float32), class_token=[-1])
/// >>> patches.run(np.arange(16).reshape(1, 1, 4, 4).astype(np.float32)).ravel()
/// array([-1., 10., 18., 42., 50.], dtype=float32)
#[pyclass(frozen, module = "omma")]
pub(crate) struct PatchEmbedding {
    plan: Plan<OmmaPatchEmbedding>,
    /// E, PH, PW.
    sizes: [i64; 3],
    extra: i64,
}

#[pymethods]
impl PatchEmbedding {
    #[new]
    #[pyo3(signature = (w, bias=None, class_token=None, position_embedding=None, *, ctx=None))]
    fn new<'py>(
        w: &Bound<'py, PyAny>,
        bias: Option<&Bound<'py, PyAny>>,
        class_token: Option<&Bound<'py, PyAny>>,
        position_embedding: Option<&Bound<'py, PyAny>>,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<PatchEmbedding> {
        let call = Call::new(w.py(), "PatchEmbedding", ctx)?;
        let extra = i64::from(class_token.is_some());
        let w = call.input("w", w)?;
        let others = arrays(
            &call,
            [
                ("bias", bias),
                ("class_token", class_token),
                ("position_embedding", position_embedding),
            ],
        )?;
        let others = descriptors(&others);
        // SAFETY: descriptors of memory that lives during the call; the slot takes the plan.
        let plan = unsafe {
            Plan::create(&call, capi::omma_patch_embedding_destroy, |ctx, slot| {
                let o = |i: usize| pointer(&others[i]);
                capi::omma_patch_embedding_create(ctx, &w.descriptor(), o(0), o(1), o(2), slot)
            })?
        };
        let sizes = [w.dim(0), w.dim(2), w.dim(3)];
        Ok(PatchEmbedding { plan, sizes, extra })
    }

    /// Images (B, C, H, W) as rows (B, N, E).
    ///
    /// Examples
    /// --------
    /// >>> import numpy as np, omma
    /// >>> patches = omma.PatchEmbedding(np.ones((3, 1, 2, 2), np.float32), position_embedding=np.ones((6, 3), np.float32))
    /// >>> patches.run(np.zeros((1, 1, 4, 6), np.float32)).shape
    /// (1, 6, 3)
    #[pyo3(signature = (x, out=None, *, ctx=None))]
    fn run<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = Call::new(x.py(), "PatchEmbedding.run", ctx)?;
        let x = call.input("x", x)?;
        let [e, ph, pw] = self.sizes;
        // Wrong shapes are the C ABI's to judge: any shape of the result does for them.
        let shape = match x.rank() {
            4 => [x.dim(0), (x.dim(2) / ph) * (x.dim(3) / pw) + self.extra, e],
            _ => [0; 3],
        };
        let out = call.output(out, &shape, DType::F32)?;
        let plan = self.plan.pointer();
        // SAFETY: descriptors of memory that lives during the call, and so does the plan.
        call.run(|ctx| unsafe {
            capi::omma_patch_embedding_run(ctx, plan, &x.descriptor(), &out.descriptor())
        })?;
        Ok(out.into_object())
    }

    /// The algorithm and the instruction set that the plan uses, for people.
    ///
    /// Examples
    /// --------
    /// >>> import numpy as np, omma
    /// >>> omma.PatchEmbedding(np.ones((1, 1, 2, 3), np.float32)).describe().split(",")[0]
    /// 'patches of 2 x 3 as rows'
    fn describe(&self) -> String {
        // SAFETY: a living plan, and a text of that capacity.
        description(|text, capacity| unsafe {
            capi::omma_patch_embedding_describe(self.plan.pointer(), text, capacity)
        })
    }

    fn __repr__(&self) -> String {
        format!("<omma.PatchEmbedding {}>", self.describe())
    }
}
