//! A layer of a transformer's encoder, as torch's `TransformerEncoderLayer` in evaluation.

use super::multi_head::SelfAttention;
use super::{Affine, FeedForward, check_mask, elements, forbid_overlap_unless_same, keep, line};
use crate::attention::Mask;
use crate::error::{Result, ensure};
use crate::nn::{Norm, layer_norm};
use crate::runtime::{Buffer, Context};
use crate::simd::Activation;
use crate::tensor::{View, ViewMut, expect_rank, expect_shape};

const OP: &str = "transformer_encoder_layer";

/// What an encoder layer is beyond its weights. The fields are those of torch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EncoderLayer {
    /// Heads that the features are cut into.
    pub num_heads: usize,
    /// Between the two linear layers.
    pub activation: Activation,
    /// Normalizes what goes into attention and feed-forward, instead of the sums that come out.
    pub norm_first: bool,
    /// A row sees itself and those before it.
    pub causal: bool,
    /// Added to the variances.
    pub eps: f32,
}

/// The weights, by torch's names. Biases and the arrays of the normalizations may be absent.
#[derive(Clone, Copy, Debug)]
pub struct EncoderLayerWeights<'a> {
    /// `self_attn.in_proj_weight` (3E, E) and `self_attn.in_proj_bias` (3E,).
    pub in_proj: Affine<'a>,
    /// `self_attn.out_proj`, (E, E).
    pub out_proj: Affine<'a>,
    /// `linear1`, (F, E).
    pub linear1: Affine<'a>,
    /// `linear2`, (E, F).
    pub linear2: Affine<'a>,
    /// `norm1.weight` and `norm1.bias`, (E,).
    pub norm1: [Option<View<'a, f32>>; 2],
    /// `norm2.weight` and `norm2.bias`, (E,).
    pub norm2: [Option<View<'a, f32>>; 2],
}

/// A layer normalization with its arrays.
struct Normalization {
    norm: Norm,
    gamma: Option<Buffer<f32>>,
    beta: Option<Buffer<f32>>,
}

impl Normalization {
    fn new(
        ctx: &Context,
        eps: f32,
        [gamma, beta]: &[Option<View<'_, f32>>; 2],
    ) -> Result<Normalization> {
        Ok(Normalization {
            norm: Norm { axis: -1, eps },
            gamma: keep(ctx, gamma.as_ref())?,
            beta: keep(ctx, beta.as_ref())?,
        })
    }

    fn run(&self, ctx: &Context, x: &View<'_, f32>, out: ViewMut<'_, f32>) -> Result<()> {
        let (gamma, beta) = (line(&self.gamma)?, line(&self.beta)?);
        let (gamma, beta) = (gamma.as_ref(), beta.as_ref());
        layer_norm(ctx, &self.norm, x, None, gamma, beta, out, None)
    }

    fn run_in_place(&self, ctx: &Context, rows: ViewMut<'_, f32>) -> Result<()> {
        // SAFETY: the same array, which the operator's contract allows to be both.
        let x = unsafe { View::from_raw(*rows) };
        self.run(ctx, &x, rows)
    }
}

/// An encoder layer with packed weights. Immutable and shared by threads.
///
/// Eight steps: a product for queries, keys and values together; attention, which reads them by
/// their strides; a product that adds the residual in registers; a normalization; two products with
/// activation and residual in registers; a normalization. Between them stand three arrays of scratch, of
/// max(3E, F), E and E for each row.
pub struct TransformerEncoderLayer {
    form: EncoderLayer,
    embedding: usize,
    attention: SelfAttention,
    feed_forward: FeedForward,
    norm1: Normalization,
    norm2: Normalization,
}

impl TransformerEncoderLayer {
    /// Packs the weights, which are not needed afterwards.
    pub fn new(
        ctx: &Context,
        form: &EncoderLayer,
        weights: &EncoderLayerWeights<'_>,
    ) -> Result<TransformerEncoderLayer> {
        let EncoderLayerWeights {
            in_proj,
            out_proj,
            linear1,
            linear2,
            norm1,
            norm2,
        } = weights;
        expect_rank(OP, "in_proj_weight", &in_proj.weight, 2)?;
        let e = in_proj.inputs();
        ensure!(
            form.num_heads >= 1 && e.is_multiple_of(form.num_heads),
            InvalidArgument,
            "{OP}: num_heads is {}, which does not divide the {e} features of in_proj_weight",
            form.num_heads
        );
        let names = [
            ["in_proj_weight", "in_proj_bias"],
            ["out_proj_weight", "out_proj_bias"],
            ["linear1_weight", "linear1_bias"],
            ["linear2_weight", "linear2_bias"],
        ];
        expect_rank(OP, names[2][0], &linear1.weight, 2)?;
        let hidden = linear1.outputs();
        let shapes = [[3 * e, e], [e, e], [hidden, e], [e, hidden]];
        let layers = [in_proj, out_proj, linear1, linear2];
        for ((layer, names), shape) in layers.into_iter().zip(names).zip(shapes) {
            expect_shape(OP, names[0], &layer.weight, &shape)?;
            layer.check(OP, names)?;
        }
        for (array, name) in [
            (&norm1[0], "norm1_weight"),
            (&norm1[1], "norm1_bias"),
            (&norm2[0], "norm2_weight"),
            (&norm2[1], "norm2_bias"),
        ] {
            if let Some(array) = array {
                expect_shape(OP, name, array, &[e])?;
            }
        }
        Ok(TransformerEncoderLayer {
            form: *form,
            embedding: e,
            attention: SelfAttention::pack(ctx, form.num_heads, form.causal, in_proj, out_proj)?,
            feed_forward: FeedForward::pack(ctx, linear1, linear2, form.activation)?,
            norm1: Normalization::new(ctx, form.eps, norm1)?,
            norm2: Normalization::new(ctx, form.eps, norm2)?,
        })
    }

    /// `x` (B, N, E) to `out` (B, N, E). With `norm_first`
    /// `s = x + attention(norm1(x))`, `out = s + feed_forward(norm2(s))`, else
    /// `s = norm1(x + attention(x))`, `out = norm2(s + feed_forward(s))`.
    ///
    /// `mask` broadcasts to (B, H, N, N). Any strides. `out` may be the very array of `x`;
    /// other overlap is an error.
    pub fn run(
        &self,
        ctx: &Context,
        x: &View<'_, f32>,
        mask: Option<Mask<'_>>,
        out: ViewMut<'_, f32>,
    ) -> Result<()> {
        expect_rank(OP, "input", x, 3)?;
        let e = self.embedding;
        let [batch, length] = [x.dim(0), x.dim(1)];
        ensure!(
            x.dim(2) == e,
            ShapeMismatch,
            "{OP}: input has {} features, in_proj_weight has {e}",
            x.dim(2)
        );
        let shape = [batch, length, e];
        expect_shape(OP, "output", &out, &shape)?;
        forbid_overlap_unless_same(OP, &out, "input", x)?;
        let logits = [batch, self.form.num_heads, length, length];
        check_mask(OP, mask.as_ref(), logits, &out)?;

        let widest = self.feed_forward.hidden().max(elements(OP, &[3, e])?);
        let len = elements(OP, &shape)?;
        let mut wide = ctx.scratch::<f32>(elements(OP, &[batch, length, widest])?)?;
        let mut narrow = ctx.scratch::<f32>(len)?;
        let mut sum = ctx.scratch::<f32>(len)?;
        match self.form.norm_first {
            true => {
                self.norm1.run(ctx, x, ViewMut::new(&mut narrow, &shape)?)?;
                let normalized = View::new(&narrow, &shape)?;
                self.attention.project(ctx, &normalized, &mut wide)?;
            }
            false => self.attention.project(ctx, x, &mut wide)?,
        }
        let target = ViewMut::new(&mut sum, &shape)?;
        self.attention
            .finish(ctx, mask, &wide, &mut narrow, x, target)?;
        if self.form.norm_first {
            let normalized = ViewMut::new(&mut narrow, &shape)?;
            self.norm2.run(ctx, &View::new(&sum, &shape)?, normalized)?;
            let (x, sum) = (View::new(&narrow, &shape)?, View::new(&sum, &shape)?);
            return self
                .feed_forward
                .run_rows(ctx, &x, Some(&sum), &mut wide, out);
        }
        self.norm1
            .run_in_place(ctx, ViewMut::new(&mut sum, &shape)?)?;
        let normalized = View::new(&sum, &shape)?;
        let target = ViewMut::new(&mut narrow, &shape)?;
        self.feed_forward
            .run_rows(ctx, &normalized, Some(&normalized), &mut wide, target)?;
        self.norm2.run(ctx, &View::new(&narrow, &shape)?, out)
    }

    /// The algorithm and the instruction set, for people.
    pub fn describe(&self) -> String {
        let order = match self.form.norm_first {
            true => "pre-norm",
            false => "post-norm",
        };
        format!(
            "{order}, {} heads, {}",
            self.form.num_heads,
            self.attention.describe()
        )
    }
}
