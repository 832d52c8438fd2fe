//! The two forms of the operator: packed ahead, or packed for one call.

use super::finish::Finish;
use super::params::{Algorithm, Conv2dParams, Extents, Image, Layout, Spec};
use super::weights::{Form, Weights, lanes};
use super::{depthwise, implicit, nchw, nhwc, winograd};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::tensor::{Raw, View, ViewMut, forbid_overlap};

/// A convolution whose weight is packed for the instruction set of a context.
///
/// Immutable: threads share it, each calling [`run`](Conv2d::run) with a context of its
/// own or a shared one. A run uses the threads and the scratch of the
/// context that it is given, and the instruction set of the one that made the plan.
pub struct Conv2d {
    spec: Spec,
    weights: Weights<'static>,
    /// For Winograd's algorithm, where it may be the faster one: that depends on the image.
    transformed: Option<Weights<'static>>,
}

/// Which kernels compute this on vectors of `lanes` floats, other than Winograd's.
fn form(spec: &Spec, lanes: usize) -> Result<Form> {
    let (depthwise, is_nchw) = match spec.layout {
        Layout::Nchw => (Form::DepthwiseRows, true),
        Layout::Nhwc => (Form::DepthwiseLanes, false),
    };
    let (direct, implicit) = (
        spec.algorithm == Algorithm::Direct,
        spec.algorithm == Algorithm::ImplicitGemm,
    );
    if !implicit && depthwise::suits(spec, depthwise, lanes) {
        return Ok(depthwise);
    }
    if !is_nchw {
        return Ok(Form::ChannelLanes);
    }
    let fits = nchw::suits(spec, lanes);
    ensure!(
        fits || !direct,
        Unsupported,
        "conv2d: algorithm is direct, but the rows that a dilation of {} x {} reaches over do not fit the cache",
        spec.dilation[0],
        spec.dilation[1]
    );
    match implicit || !fits || (!direct && implicit::suits(spec)) {
        true => Ok(Form::Matrix),
        false => Ok(Form::ChannelRows),
    }
}

impl Conv2d {
    /// Packs `weight` (and `bias`, of shape (O,)) for the instruction set of `ctx`.
    /// The arrays are not needed afterwards. Errors are those of [`conv2d`] that concern them.
    pub fn new(
        ctx: &Context,
        params: &Conv2dParams<'_>,
        weight: &View<'_, f32>,
        bias: Option<&View<'_, f32>>,
    ) -> Result<Conv2d> {
        let spec = Spec::new(params, weight, bias.map(|b| &**b))?;
        let form = form(&spec, lanes(ctx.isa().tier()))?;
        let slope = params.prelu_slope.as_ref();
        let pack = |form| Weights::packed(ctx, &spec, form, weight, bias, slope);
        Ok(Conv2d {
            spec,
            weights: pack(form)?,
            transformed: match winograd::may_suit(&spec) {
                true => Some(pack(Form::Winograd)?),
                false => None,
            },
        })
    }

    /// Convolves `x` into `out`, as [`conv2d`] does.
    pub fn run(
        &self,
        ctx: &Context,
        x: &View<'_, f32>,
        residual: Option<&View<'_, f32>>,
        out: ViewMut<'_, f32>,
    ) -> Result<()> {
        let spec = &self.spec;
        let extents = spec.extents(x, residual.map(|r| &**r), &out)?;
        let weights = match &self.transformed {
            Some(transformed) if winograd::suits(spec, &extents) => transformed,
            _ => &self.weights,
        };
        run(ctx, spec, &extents, weights, x, residual, out)
    }

    /// Rows and columns of the output for an input of `h` rows and `w` columns:
    /// `(h + top + bottom - dilation * (kernel - 1) - 1) / stride + 1`.
    pub fn output_shape(&self, h: usize, w: usize) -> Result<[usize; 2]> {
        self.spec.output_size(h, w)
    }

    /// Output channels.
    pub fn output_channels(&self) -> usize {
        self.spec.outputs()
    }

    /// The order of axes.
    pub fn layout(&self) -> Layout {
        self.spec.layout
    }

    /// The algorithm and the instruction set, for people: `direct (depthwise), avx2`. Where two algorithms
    /// are named, the second one serves images with few pixels.
    pub fn describe(&self) -> String {
        let other = match self.weights.form {
            Form::DepthwiseRows | Form::DepthwiseLanes => "direct (depthwise)",
            Form::Matrix => "implicit_gemm",
            _ if self.spec.algorithm == Algorithm::ImplicitGemm => "implicit_gemm",
            _ => "direct",
        };
        let isa = self.weights.isa.tier().name();
        match (&self.transformed, self.spec.algorithm) {
            (None, _) => format!("{other}, {isa}"),
            (Some(_), Algorithm::Winograd) => format!("{}, {isa}", winograd::NAME),
            (Some(_), _) => format!("{} or {other}, {isa}", winograd::NAME),
        }
    }
}

/// `out = activation(convolution(x, weight) + bias + residual)`.
///
/// Shapes, for [`Layout::Nchw`]: `x` (N, C, H, W), `weight` (O, C / groups, KH, KW),
/// `bias` (O,), `residual` and `out` (N, O, OH, OW) with OH and OW as
/// [`Conv2d::output_shape`] says; for [`Layout::Nhwc`]: `x` (N, H, W, C), `weight`
/// (O, KH, KW, C / groups), `residual` and `out` (N, OH, OW, O). Any strides.
/// Semantics are those of torch's `conv2d` (a cross-correlation with zero padding).
///
/// `out` may be `residual` itself (same address and strides); other overlap of `out` with
/// an input is an error. A zero-sized batch or channel count is legal; without input
/// channels a sum is the bias.
///
/// Sums are in f32. `Direct` adds in the order of the weight's terms, one rounding for each
/// multiply-add (two on the portable tier), `ImplicitGemm` in blocks of terms;
/// `Winograd` transforms input and weight first, and its error is a few times that of a plain sum.
/// Whatever the algorithm, the result has the same bits for any number of threads, and for a plan as
/// for a call. NaN and infinity propagate as IEEE 754 has it, but `Winograd` (which `Auto`
/// includes) spreads them over the 4 x 4 outputs of a tile, infinity as NaN; whether a
/// weight that is not finite meets the zeros of the padding is unspecified.
pub fn conv2d(
    ctx: &Context,
    params: &Conv2dParams<'_>,
    x: &View<'_, f32>,
    weight: &View<'_, f32>,
    bias: Option<&View<'_, f32>>,
    residual: Option<&View<'_, f32>>,
    out: ViewMut<'_, f32>,
) -> Result<()> {
    let spec = Spec::new(params, weight, bias.map(|b| &**b))?;
    let extents = spec.extents(x, residual.map(|r| &**r), &out)?;
    forbid_overlap("conv2d", "output", &out, "weight", weight)?;
    if let Some(bias) = bias {
        forbid_overlap("conv2d", "output", &out, "bias", bias)?;
    }
    if let Some(slope) = &params.prelu_slope {
        forbid_overlap("conv2d", "output", &out, "activation_slope", slope)?;
    }
    let form = match winograd::suits(&spec, &extents) {
        true => Form::Winograd,
        false => form(&spec, lanes(ctx.isa().tier()))?,
    };
    let slope = params.prelu_slope.as_ref();
    let weights = Weights::lent(ctx, &spec, form, weight, bias, slope)?;
    run(ctx, &spec, &extents, &weights, x, residual, out)
}

fn run(
    ctx: &Context,
    spec: &Spec,
    extents: &Extents,
    weights: &Weights<'_>,
    x: &View<'_, f32>,
    residual: Option<&View<'_, f32>>,
    out: ViewMut<'_, f32>,
) -> Result<()> {
    forbid_overlap("conv2d", "output", &out, "input", x)?;
    if let Some(residual) = residual
        && !is_same(residual, &out)
    {
        forbid_overlap("conv2d", "output", &out, "residual", residual)?;
    }
    if out.is_empty() {
        return Ok(());
    }
    let finish = Finish::new(
        Image::new(&out, spec.layout),
        residual.map(|r| Image::new(r, spec.layout)),
        spec.activation,
        weights.slopes(),
    );
    let x = Image::new(x, spec.layout);
    // SAFETY: `extents` has checked that the views have the shapes that `spec` makes; the output is
    // borrowed exclusively, reaches no element twice, and overlaps no input but a residual at the same places.
    unsafe {
        match weights.form {
            Form::ChannelRows => nchw::run(ctx, spec, extents, weights, x, &finish),
            Form::Winograd => winograd::run(ctx, spec, extents, weights, x, &finish),
            Form::Matrix => implicit::run(ctx, spec, extents, weights, x, &finish),
            Form::ChannelLanes => nhwc::run(ctx, spec, extents, weights, x, &finish),
            Form::DepthwiseRows | Form::DepthwiseLanes => {
                depthwise::run(ctx, spec, extents, weights, x, &finish)
            }
        }
    }
}

/// Both reach the same elements by the same indices.
fn is_same(a: &Raw<f32>, b: &Raw<f32>) -> bool {
    let same_axis = |axis| a.dim(axis) == 1 || a.stride(axis) == b.stride(axis);
    a.ptr() == b.ptr() && (0..a.rank()).all(same_axis)
}
