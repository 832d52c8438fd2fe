//! The feed-forward network of a transformer: two linear layers with an activation between.

use super::{Affine, elements, forbid_overlap_unless_same};
use crate::error::{Result, ensure};
use crate::nn::Linear;
use crate::runtime::Context;
use crate::simd::Activation;
use crate::tensor::{MAX_RANK, View, ViewMut, expect_shape};

const OP: &str = "feed_forward";

/// `activation(x · w1ᵀ + b1) · w2ᵀ + b2` with packed weights. Immutable and shared by threads.
///
/// Bias and activation are applied by the first product, bias and residual by the second one.
pub struct FeedForward {
    first: Linear,
    second: Linear,
}

impl FeedForward {
    /// Packs `first` (hidden, in) and `second` (out, hidden), which are not needed afterwards.
    pub fn new(
        ctx: &Context,
        first: &Affine<'_>,
        second: &Affine<'_>,
        activation: Activation,
    ) -> Result<FeedForward> {
        first.check(OP, ["w1", "b1"])?;
        second.check(OP, ["w2", "b2"])?;
        ensure!(
            first.outputs() == second.inputs(),
            ShapeMismatch,
            "{OP}: w1 has {} outputs, w2 has {} inputs",
            first.outputs(),
            second.inputs()
        );
        FeedForward::pack(ctx, first, second, activation)
    }

    /// As [`new`](FeedForward::new), of shapes that go together.
    pub(super) fn pack(
        ctx: &Context,
        first: &Affine<'_>,
        second: &Affine<'_>,
        activation: Activation,
    ) -> Result<FeedForward> {
        let bias = first.bias.as_ref();
        let none = Activation::None;
        Ok(FeedForward {
            first: Linear::new(ctx, &first.weight, bias, activation)?,
            second: Linear::new(ctx, &second.weight, second.bias.as_ref(), none)?,
        })
    }

    /// Features between the two layers.
    pub fn hidden(&self) -> usize {
        self.first.outputs()
    }

    /// Features of the output.
    pub fn outputs(&self) -> usize {
        self.second.outputs()
    }

    /// `out = activation(x · w1ᵀ + b1) · w2ᵀ + b2 + residual`: `x` (…, in), `residual` and `out` (…, out).
    ///
    /// Any strides. `out` may be the very array of `x` or `residual`; other overlap is an error.
    pub fn run(
        &self,
        ctx: &Context,
        x: &View<'_, f32>,
        residual: Option<&View<'_, f32>>,
        out: ViewMut<'_, f32>,
    ) -> Result<()> {
        ensure!(
            x.rank() >= 1,
            ShapeMismatch,
            "{OP}: input has 0 dimensions, expected 1 or more"
        );
        let last = x.rank() - 1;
        ensure!(
            x.dim(last) == self.first.inputs(),
            ShapeMismatch,
            "{OP}: input has {} features, w1 has {}",
            x.dim(last),
            self.first.inputs()
        );
        let mut shape = [0; MAX_RANK];
        let shape = &mut shape[..=last];
        shape.copy_from_slice(x.shape());
        shape[last] = self.outputs();
        expect_shape(OP, "output", &out, shape)?;
        forbid_overlap_unless_same(OP, &out, "input", x)?;
        if let Some(residual) = residual {
            expect_shape(OP, "residual", residual, shape)?;
            forbid_overlap_unless_same(OP, &out, "residual", residual)?;
        }
        shape[last] = self.hidden();
        let mut hidden = ctx.scratch::<f32>(elements(OP, shape)?)?;
        self.first
            .run(ctx, x, None, ViewMut::new(&mut hidden, shape)?)?;
        self.second
            .run(ctx, &View::new(&hidden, shape)?, residual, out)
    }

    /// As [`run`](FeedForward::run), of rows, with scratch that is given.
    pub(super) fn run_rows(
        &self,
        ctx: &Context,
        x: &View<'_, f32>,
        residual: Option<&View<'_, f32>>,
        hidden: &mut [f32],
        out: ViewMut<'_, f32>,
    ) -> Result<()> {
        let shape = [x.dim(0), x.dim(1), self.hidden()];
        let hidden = &mut hidden[..shape.iter().product()];
        self.first
            .run(ctx, x, None, ViewMut::new(hidden, &shape)?)?;
        self.second
            .run(ctx, &View::new(hidden, &shape)?, residual, out)
    }

    /// The algorithm and the instruction set, for people.
    pub fn describe(&self) -> String {
        self.first.describe()
    }
}
