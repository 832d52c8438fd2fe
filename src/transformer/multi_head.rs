//! Multi-head attention: projections, [`attention`] over strided heads, projection.

use super::{Affine, check_mask, elements, forbid_overlap_unless_same, heads, heads_mut, rows_at};
use crate::attention::{Attention, Mask, attention};
use crate::error::{Result, ensure};
use crate::nn::{Linear, linear};
use crate::runtime::{Context, Scratch};
use crate::simd::Activation;
use crate::tensor::{View, ViewMut, expect_rank, expect_shape, forbid_overlap};

const OP: &str = "multi_head_attention";

/// What multi-head attention is beyond its arrays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiHead {
    /// Heads that the features of queries are cut into.
    pub num_heads: usize,
    /// Heads that the features of keys and values are cut into; a divisor of `num_heads`.
    pub num_kv_heads: usize,
    /// Scale, causality, bound of the logits.
    pub attention: Attention,
}

/// The weights: of queries (H·D, in), keys (G·D, in), values (G·V, in), and of the output (out, H·V).
#[derive(Clone, Copy, Debug)]
pub struct MultiHeadWeights<'a> {
    /// Of queries.
    pub q: Affine<'a>,
    /// Of keys.
    pub k: Affine<'a>,
    /// Of values.
    pub v: Affine<'a>,
    /// Of the output.
    pub o: Affine<'a>,
}

/// The sizes that a call is checked against.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Features of query, key and value as they come in.
    inputs: [usize; 3],
    /// And after their projections: H·D, G·D, G·V.
    projected: [usize; 3],
    /// H·V
    attended: usize,
    outputs: usize,
}

impl Sizes {
    fn new(form: &MultiHead, weights: &MultiHeadWeights<'_>) -> Result<Sizes> {
        let (h, g) = (form.num_heads, form.num_kv_heads);
        ensure!(
            h >= 1,
            InvalidArgument,
            "{OP}: num_heads is 0, the least is 1"
        );
        ensure!(
            g >= 1 && h.is_multiple_of(g),
            InvalidArgument,
            "{OP}: num_kv_heads is {g}, which does not divide num_heads {h}"
        );
        let cap = form.attention.softcap;
        ensure!(
            cap.is_none_or(|cap| cap > 0.0 && cap.is_finite()),
            InvalidArgument,
            "{OP}: softcap is {}, expected a positive number",
            cap.unwrap_or_default()
        );
        let MultiHeadWeights { q, k, v, o } = weights;
        for (layer, names, heads) in [
            (q, ["w_q", "b_q"], h),
            (k, ["w_k", "b_k"], g),
            (v, ["w_v", "b_v"], g),
        ] {
            layer.check(OP, names)?;
            ensure!(
                layer.outputs().is_multiple_of(heads),
                ShapeMismatch,
                "{OP}: {} has {} outputs, which its {heads} heads do not divide",
                names[0],
                layer.outputs()
            );
        }
        o.check(OP, ["w_o", "b_o"])?;
        ensure!(
            k.outputs() / g == q.outputs() / h,
            ShapeMismatch,
            "{OP}: w_k has {} outputs in {g} heads, w_q has {} in {h}: {} and {} a head",
            k.outputs(),
            q.outputs(),
            k.outputs() / g,
            q.outputs() / h
        );
        let attended = elements(OP, &[v.outputs() / g, h])?;
        ensure!(
            o.inputs() == attended,
            ShapeMismatch,
            "{OP}: w_o has {} inputs, {h} heads of w_v have {attended} outputs",
            o.inputs()
        );
        Ok(Sizes {
            inputs: [q.inputs(), k.inputs(), v.inputs()],
            projected: [q.outputs(), k.outputs(), v.outputs()],
            attended,
            outputs: o.outputs(),
        })
    }

    /// Checks the arrays of a call.
    fn check(&self, form: &MultiHead, run: &Run<'_>, out: &ViewMut<'_, f32>) -> Result<()> {
        let names = ["query", "key", "value"];
        for (i, array) in run.inputs.iter().enumerate() {
            expect_rank(OP, names[i], array, 3)?;
            ensure!(
                array.dim(2) == self.inputs[i],
                ShapeMismatch,
                "{OP}: {} has {} features, {} has {}",
                names[i],
                array.dim(2),
                ["w_q", "w_k", "w_v"][i],
                self.inputs[i]
            );
        }
        let [q, k, v] = run.inputs;
        ensure!(
            k.dim(0) == q.dim(0),
            ShapeMismatch,
            "{OP}: key has {} batches, query has {}",
            k.dim(0),
            q.dim(0)
        );
        ensure!(
            v.dim(0) == k.dim(0) && v.dim(1) == k.dim(1),
            ShapeMismatch,
            "{OP}: value has {} batches of {}, key has {} of {}",
            v.dim(0),
            v.dim(1),
            k.dim(0),
            k.dim(1)
        );
        let shape = [q.dim(0), q.dim(1), self.outputs];
        expect_shape(OP, "output", out, &shape)?;
        for (name, input) in names.into_iter().zip(run.inputs) {
            forbid_overlap_unless_same(OP, out, name, input)?;
        }
        if let Some(residual) = run.residual {
            expect_shape(OP, "residual", residual, &shape)?;
            forbid_overlap_unless_same(OP, out, "residual", residual)?;
        }
        let logits = [q.dim(0), form.num_heads, q.dim(1), k.dim(1)];
        check_mask(OP, run.mask.as_ref(), logits, out)
    }

    /// The rows of all heads after attention: (B, N, H·V). `project(i, rows)` writes the projection
    /// of query, key or value.
    fn attend<'c>(
        &self,
        ctx: &'c Context,
        form: &MultiHead,
        run: &Run<'_>,
        project: impl Fn(usize, ViewMut<'_, f32>) -> Result<()>,
    ) -> Result<Scratch<'c, f32>> {
        let [q, k, _] = run.inputs;
        let (batch, queries, keys) = (q.dim(0), q.dim(1), k.dim(1));
        let shapes = [
            [batch, queries, self.projected[0]],
            [batch, keys, self.projected[1]],
            [batch, keys, self.projected[2]],
        ];
        let attended = [batch, queries, self.attended];
        let room = |shape: &[usize]| ctx.scratch::<f32>(elements(OP, shape)?);
        let mut rows = [room(&shapes[0])?, room(&shapes[1])?, room(&shapes[2])?];
        let mut result = room(&attended)?;
        for (i, rows) in rows.iter_mut().enumerate() {
            project(i, ViewMut::new(rows, &shapes[i])?)?;
        }
        let [h, g] = [form.num_heads, form.num_kv_heads];
        attention(
            ctx,
            &form.attention,
            &heads(&View::new(&rows[0], &shapes[0])?, h)?,
            &heads(&View::new(&rows[1], &shapes[1])?, g)?,
            &heads(&View::new(&rows[2], &shapes[2])?, g)?,
            run.mask,
            heads_mut(ViewMut::new(&mut result, &attended)?, h)?,
            None,
        )?;
        Ok(result)
    }
}

/// What a call reads.
struct Run<'a> {
    /// Query, key, value.
    inputs: [&'a View<'a, f32>; 3],
    mask: Option<Mask<'a>>,
    residual: Option<&'a View<'a, f32>>,
}

/// `out = attention(query · w_qᵀ + b_q, key · w_kᵀ + b_k, value · w_vᵀ + b_v) · w_oᵀ + b_o` with the
/// features of a row cut into heads, as torch's `multi_head_attention_forward` with arrays
/// (B, N, E): `query` (B, N, in), `key` and `value` (B, M, in), `out` (B, N, out).
///
/// `mask` broadcasts to (B, H, N, M); see [`attention`] for it, for rows that see no key, and for what
/// is not finite. Any strides. `out` may be the very array of query, key or value; other
/// overlap is an error.
pub fn multi_head_attention(
    ctx: &Context,
    form: &MultiHead,
    weights: &MultiHeadWeights<'_>,
    query: &View<'_, f32>,
    key: &View<'_, f32>,
    value: &View<'_, f32>,
    mask: Option<Mask<'_>>,
    out: ViewMut<'_, f32>,
) -> Result<()> {
    let sizes = Sizes::new(form, weights)?;
    let run = Run {
        inputs: [query, key, value],
        mask,
        residual: None,
    };
    sizes.check(form, &run, &out)?;
    let MultiHeadWeights { q, k, v, o } = weights;
    for (name, array) in [
        ("w_q", Some(&q.weight)),
        ("b_q", q.bias.as_ref()),
        ("w_k", Some(&k.weight)),
        ("b_k", k.bias.as_ref()),
        ("w_v", Some(&v.weight)),
        ("b_v", v.bias.as_ref()),
        ("w_o", Some(&o.weight)),
        ("b_o", o.bias.as_ref()),
    ] {
        if let Some(array) = array {
            forbid_overlap(OP, "output", &out, name, array)?;
        }
    }
    let apply = |layer: &Affine<'_>, x: &View<'_, f32>, out: ViewMut<'_, f32>| {
        let (weight, bias) = (&layer.weight, layer.bias.as_ref());
        linear(ctx, x, weight, bias, Activation::None, out)
    };
    let rows = sizes.attend(ctx, form, &run, |i, rows| {
        apply([q, k, v][i], run.inputs[i], rows)
    })?;
    let shape = [query.dim(0), query.dim(1), sizes.attended];
    apply(o, &View::new(&rows, &shape)?, out)
}

/// [`multi_head_attention`] with packed weights. Immutable and shared by threads.
pub struct MultiHeadAttention {
    form: MultiHead,
    sizes: Sizes,
    projections: [Linear; 3],
    output: Linear,
}

impl MultiHeadAttention {
    /// Packs the weights, which are not needed afterwards.
    pub fn new(
        ctx: &Context,
        form: &MultiHead,
        weights: &MultiHeadWeights<'_>,
    ) -> Result<MultiHeadAttention> {
        let sizes = Sizes::new(form, weights)?;
        let pack = |layer: &Affine<'_>| {
            Linear::new(ctx, &layer.weight, layer.bias.as_ref(), Activation::None)
        };
        Ok(MultiHeadAttention {
            form: *form,
            sizes,
            projections: [pack(&weights.q)?, pack(&weights.k)?, pack(&weights.v)?],
            output: pack(&weights.o)?,
        })
    }

    /// Features of the output.
    pub fn outputs(&self) -> usize {
        self.sizes.outputs
    }

    /// As [`multi_head_attention`], and adds `residual` (B, N, out), which `out` may be as well.
    pub fn run(
        &self,
        ctx: &Context,
        query: &View<'_, f32>,
        key: &View<'_, f32>,
        value: &View<'_, f32>,
        mask: Option<Mask<'_>>,
        residual: Option<&View<'_, f32>>,
        out: ViewMut<'_, f32>,
    ) -> Result<()> {
        let run = Run {
            inputs: [query, key, value],
            mask,
            residual,
        };
        self.sizes.check(&self.form, &run, &out)?;
        let rows = self.sizes.attend(ctx, &self.form, &run, |i, rows| {
            self.projections[i].run(ctx, run.inputs[i], None, rows)
        })?;
        let shape = [query.dim(0), query.dim(1), self.sizes.attended];
        self.output
            .run(ctx, &View::new(&rows, &shape)?, residual, out)
    }

    /// The algorithm and the instruction set, for people.
    pub fn describe(&self) -> String {
        let [h, g] = [self.form.num_heads, self.form.num_kv_heads];
        format!("{h} heads over {g} of keys, {}", self.output.describe())
    }
}

/// Self-attention whose three projections are one product, for an encoder layer.
pub(super) struct SelfAttention {
    num_heads: usize,
    attention: Attention,
    /// (3E, E): queries, keys, values.
    joint: Linear,
    output: Linear,
}

impl SelfAttention {
    pub fn pack(
        ctx: &Context,
        num_heads: usize,
        causal: bool,
        joint: &Affine<'_>,
        output: &Affine<'_>,
    ) -> Result<SelfAttention> {
        let pack = |layer: &Affine<'_>| {
            Linear::new(ctx, &layer.weight, layer.bias.as_ref(), Activation::None)
        };
        Ok(SelfAttention {
            num_heads,
            attention: Attention {
                causal: causal.then_some(0),
                ..Attention::default()
            },
            joint: pack(joint)?,
            output: pack(output)?,
        })
    }

    /// The first half: queries, keys and values of `x` (B, N, E), as (B, N, 3E).
    pub fn project(&self, ctx: &Context, x: &View<'_, f32>, joint: &mut [f32]) -> Result<()> {
        let shape = [x.dim(0), x.dim(1), self.joint.outputs()];
        let joint = &mut joint[..shape.iter().product()];
        self.joint.run(ctx, x, None, ViewMut::new(joint, &shape)?)
    }

    /// The second half: attention over what the first one wrote, and the projection of its result.
    pub fn finish(
        &self,
        ctx: &Context,
        mask: Option<Mask<'_>>,
        joint: &[f32],
        attended: &mut [f32],
        residual: &View<'_, f32>,
        out: ViewMut<'_, f32>,
    ) -> Result<()> {
        let [b, n, e] = [out.dim(0), out.dim(1), out.dim(2)];
        let joint = &joint[..b * n * 3 * e];
        let part = |i| heads(&rows_at(joint, i * e, [b, n, e], 3 * e)?, self.num_heads);
        let rows = ViewMut::new(attended, &[b, n, e])?;
        attention(
            ctx,
            &self.attention,
            &part(0)?,
            &part(1)?,
            &part(2)?,
            mask,
            heads_mut(rows, self.num_heads)?,
            None,
        )?;
        let rows = View::new(attended, &[b, n, e])?;
        self.output.run(ctx, &rows, Some(residual), out)
    }

    pub fn describe(&self) -> String {
        self.output.describe()
    }
}
