//! Transposed convolution, the gradient of a convolution with respect to its input.
//!
//! Each input pixel adds its multiple of the window to the output, whose pixels are `stride` apart. Seen from
//! the output: pixels with the same remainder by the stride are reached by the same taps, so that they
//! are an ordinary convolution of stride 1 with those taps, turned around. A transposed
//! convolution is thus `stride * stride` convolutions that write to a lattice each; together they multiply
//! no zeros, and all the algorithms of [`conv2d`] serve them.

use super::gather::gcd;
use super::params::{Algorithm, Conv2dParams, Layout, axes};
use super::plan::{Conv2d, conv2d};
use crate::error::{Result, bail, ensure};
use crate::runtime::{Context, Scratch};
use crate::simd::Activation;
use crate::tensor::{Raw, View, ViewMut, expect_rank, expect_shape, forbid_overlap};

const OP: &str = "conv_transpose2d";

/// Options of [`conv_transpose2d`]; the default is torch's.
#[derive(Clone, Copy, Debug)]
pub struct ConvTranspose2dParams<'a> {
    /// Distance of the input's pixels in the output, vertical and horizontal.
    pub stride: [usize; 2],
    /// What is cut off the output: top, bottom, left, right.
    pub padding: [usize; 4],
    /// Rows and columns added at the bottom and on the right; below `stride` or `dilation`.
    pub output_padding: [usize; 2],
    /// Distance of the window's taps, vertical and horizontal.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see one another.
    pub groups: usize,
    /// Applied after the bias.
    pub activation: Activation,
    /// Slopes of a PReLU in place of `activation`: (1,) or (O,).
    pub prelu_slope: Option<View<'a, f32>>,
    /// The order of axes.
    pub layout: Layout,
}

impl Default for ConvTranspose2dParams<'_> {
    fn default() -> Self {
        ConvTranspose2dParams {
            stride: [1, 1],
            padding: [0; 4],
            output_padding: [0; 2],
            dilation: [1, 1],
            groups: 1,
            activation: Activation::None,
            prelu_slope: None,
            layout: Layout::Nchw,
        }
    }
}

/// The outputs of one remainder along an axis, as a convolution of stride 1.
#[derive(Clone, Copy, Debug)]
struct Residue {
    /// The first output.
    first: usize,
    /// The first tap that reaches it, the way to the next, and how many there are.
    tap: usize,
    step: usize,
    taps: usize,
    dilation: usize,
    /// Zeros before and after the input; less than none cuts pixels off.
    padding: [isize; 2],
    /// Outputs more than inputs.
    more: isize,
}

impl Residue {
    /// How many inputs it sees, and how many outputs there are.
    fn sizes(&self, inputs: usize) -> (usize, usize) {
        let cut = self.padding.map(|p| p.min(0)).iter().sum::<isize>();
        let at_least_none = |n: isize| n.max(0) as usize;
        (
            at_least_none(inputs as isize + cut),
            at_least_none(inputs as isize + self.more),
        )
    }
}

/// What does not depend on the image.
#[derive(Clone, Copy, Debug)]
struct Spec {
    layout: Layout,
    stride: [usize; 2],
    padding: [usize; 4],
    /// Output sizes less those of an input of one pixel.
    span: [isize; 2],
    groups: usize,
    inputs: usize,
    outputs: usize,
    kernel: [usize; 2],
    dilation: [usize; 2],
}

impl Spec {
    fn new(
        params: &ConvTranspose2dParams<'_>,
        weight: &Raw<f32>,
        bias: Option<&Raw<f32>>,
    ) -> Result<Spec> {
        let ConvTranspose2dParams {
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            ..
        } = *params;
        expect_rank(OP, "weight", weight, 4)?;
        let [i, o, h, w] = axes(params.layout).map(|axis| weight.dim(axis));
        ensure!(
            groups >= 1,
            InvalidArgument,
            "{OP}: groups is 0, the least is 1"
        );
        ensure!(
            i % groups == 0,
            ShapeMismatch,
            "{OP}: weight has {i} input channels, which groups {groups} do not divide"
        );
        ensure!(
            h >= 1 && w >= 1,
            InvalidArgument,
            "{OP}: weight has a window of {h} x {w}, the least is 1 x 1"
        );
        let outputs = o.checked_mul(groups);
        ensure!(
            outputs.is_some(),
            InvalidArgument,
            "{OP}: weight has {o} output channels per group, with groups {groups} they overflow"
        );
        let mut spec = Spec {
            layout: params.layout,
            stride,
            padding,
            span: [0; 2],
            groups,
            inputs: i,
            outputs: outputs.unwrap_or(0),
            kernel: [h, w],
            dilation,
        };
        for (axis, more) in output_padding.into_iter().enumerate() {
            spec.span[axis] = spec.checked_span(axis, more)?;
        }
        for (name, values, or_one) in [
            ("bias", bias, false),
            ("activation_slope", params.prelu_slope.as_deref(), true),
        ] {
            let Some(values) = values else { continue };
            expect_rank(OP, name, values, 1)?;
            let len = values.dim(0);
            ensure!(
                len == spec.outputs || (or_one && len == 1),
                ShapeMismatch,
                "{OP}: {name} has {len} values, weight has {} output channels",
                spec.outputs
            );
        }
        ensure!(
            params.prelu_slope.is_none() || params.activation == Activation::None,
            InvalidArgument,
            "{OP}: activation_slope is given and activation is {:?}, expected one of them",
            params.activation
        );
        Ok(spec)
    }

    /// Rows or columns of the output of an input of one, where they do not overflow.
    fn checked_span(&self, axis: usize, more: usize) -> Result<isize> {
        let side = ["height", "width"][axis];
        let (kernel, stride, dilation) =
            (self.kernel[axis], self.stride[axis], self.dilation[axis]);
        let [before, after] = [self.padding[2 * axis], self.padding[2 * axis + 1]];
        ensure!(
            stride >= 1 && dilation >= 1,
            InvalidArgument,
            "{OP}: stride is {stride} and dilation {dilation} in {side}, the least is 1"
        );
        ensure!(
            more < stride.max(dilation),
            InvalidArgument,
            "{OP}: output_padding is {more} in {side}, expected less than stride {stride} or dilation {dilation}"
        );
        // Far above all that is of use, far below an overflow.
        const MOST: usize = 1 << 30;
        let window = (kernel - 1).checked_mul(dilation).filter(|&w| w <= MOST);
        match window {
            Some(window) if [stride, dilation, before, after].iter().all(|&v| v <= MOST) => {
                Ok((window + more + 1) as isize - (before + after) as isize)
            }
            _ => bail!(
                InvalidArgument,
                "{OP}: stride {stride}, padding {before} + {after} and a kernel of {kernel} with dilation {dilation} in {side} are too large, the most is {MOST}"
            ),
        }
    }

    /// Taps along an axis that reach different remainders; `tap`, below it, is the first of its own.
    fn reached(&self, axis: usize) -> usize {
        let stride = self.stride[axis];
        self.kernel[axis].min(stride / gcd(stride, self.dilation[axis]))
    }

    /// The outputs that `tap` is the first to reach.
    fn residue(&self, axis: usize, tap: usize) -> Residue {
        let (stride, dilation) = (self.stride[axis], self.dilation[axis]);
        let common = gcd(stride, dilation);
        let (step, distance) = (stride / common, dilation / common);
        let taps = (self.kernel[axis] - 1 - tap) / step + 1;
        let (stride, reach) = (stride as isize, tap * dilation);
        let origin = reach as isize - self.padding[2 * axis] as isize;
        let first = origin.rem_euclid(stride);
        // The input that the first output sees through the first tap.
        let base = (first - origin) / stride;
        let outputs = -(first - self.span[axis]).div_euclid(stride);
        Residue {
            first: first as usize,
            tap,
            step,
            taps,
            dilation: distance,
            padding: [((taps - 1) * distance) as isize - base, outputs - 1 + base],
            more: outputs - 1,
        }
    }

    /// All pairs of residues that taps reach.
    fn pairs(self) -> impl Iterator<Item = [Residue; 2]> {
        let [rows, columns] = [0, 1].map(|axis| self.reached(axis));
        (0..rows)
            .flat_map(move |y| (0..columns).map(move |x| [self.residue(0, y), self.residue(1, x)]))
    }

    /// Rows and columns of the output for those of the input.
    fn output_size(&self, h: usize, w: usize) -> Result<[usize; 2]> {
        let mut size = [0; 2];
        for (axis, extent) in [h, w].into_iter().enumerate() {
            let side = ["height", "width"][axis];
            ensure!(
                extent >= 1,
                ShapeMismatch,
                "{OP}: input has {side} 0, the least is 1"
            );
            let steps = isize::try_from(extent - 1)
                .ok()
                .and_then(|n| n.checked_mul(self.stride[axis] as isize))
                .filter(|&n| n <= isize::MAX / 4);
            let Some(steps) = steps else {
                bail!(
                    InvalidArgument,
                    "{OP}: {side} {extent} with stride {} overflows",
                    self.stride[axis]
                );
            };
            let extent = steps + self.span[axis];
            ensure!(
                extent >= 1,
                ShapeMismatch,
                "{OP}: padding {} + {} leaves nothing of the output's {side}",
                self.padding[2 * axis],
                self.padding[2 * axis + 1]
            );
            size[axis] = extent as usize;
        }
        Ok(size)
    }

    fn check(&self, x: &Raw<f32>, out: &Raw<f32>) -> Result<()> {
        expect_rank(OP, "input", x, 4)?;
        let order = axes(self.layout);
        let [n, c, h, w] = order.map(|axis| x.dim(axis));
        ensure!(
            c == self.inputs,
            ShapeMismatch,
            "{OP}: weight has {} input channels, input has {c}",
            self.inputs
        );
        let [oh, ow] = self.output_size(h, w)?;
        let mut expected = [0; 4];
        for (axis, dim) in order.into_iter().zip([n, self.outputs, oh, ow]) {
            expected[axis] = dim;
        }
        expect_shape(OP, "output", out, &expected)?;
        forbid_overlap(OP, "output", out, "input", x)
    }

    /// The weight as (O, I / groups, KH, KW), compact.
    fn turned<'c>(&self, ctx: &'c Context, weight: &View<'_, f32>) -> Result<Scratch<'c, f32>> {
        let (i, o) = (self.inputs / self.groups, self.outputs / self.groups);
        let len = o * i * self.kernel[0] * self.kernel[1];
        let mut all = ctx.scratch::<f32>(len * self.groups)?;
        if len == 0 {
            return Ok(all);
        }
        let [first, second, h, w] = axes(self.layout);
        for (group, out) in all.chunks_exact_mut(len).enumerate() {
            let own = weight.narrow(first, group * i, i);
            let own = own.permute(&[second, first, h, w]);
            out.copy_from_slice(&own.contiguous(ctx)?);
        }
        Ok(all)
    }

    /// The taps of a pair of residues, turned around, as `conv2d` takes its weight. `all` is [`turned`](Spec::turned).
    fn taps<'a>(&self, all: &'a [f32], [y, x]: [Residue; 2]) -> Result<View<'a, f32>> {
        let [kh, kw] = self.kernel;
        let i = self.inputs / self.groups;
        let last = |r: Residue| r.tap + (r.taps - 1) * r.step;
        let offset = last(y) * kw + last(x);
        let shape = [self.outputs, i, y.taps, x.taps];
        let strides = [
            (i * kh * kw) as isize,
            (kh * kw) as isize,
            -((y.step * kw) as isize),
            -(x.step as isize),
        ];
        let taps = View::strided(
            all,
            if all.is_empty() { 0 } else { offset },
            &shape,
            &strides,
        )?;
        Ok(match self.layout {
            Layout::Nchw => taps,
            Layout::Nhwc => taps.permute(&[0, 2, 3, 1]),
        })
    }

    /// A weight without input channels: what is left of a convolution is bias and activation.
    fn no_taps(&self) -> Result<View<'static, f32>> {
        View::new(&[], &self.shape([self.outputs, 0, 1, 1]))
    }

    fn shape(&self, dims: [usize; 4]) -> [usize; 4] {
        let mut shape = [0; 4];
        for (axis, dim) in axes(self.layout).into_iter().zip(dims) {
            shape[axis] = dim;
        }
        shape
    }

    fn params<'a>(
        &self,
        params: &ConvTranspose2dParams<'a>,
        residues: Option<[Residue; 2]>,
    ) -> Conv2dParams<'a> {
        let conv = Conv2dParams {
            activation: params.activation,
            prelu_slope: params.prelu_slope,
            layout: params.layout,
            algorithm: Algorithm::Auto,
            ..Conv2dParams::default()
        };
        match residues {
            None => conv,
            Some([y, x]) => {
                let zeros = |r: Residue| r.padding.map(|p| p.max(0) as usize);
                let ([top, bottom], [left, right]) = (zeros(y), zeros(x));
                Conv2dParams {
                    padding: [top, bottom, left, right],
                    dilation: [y.dilation, x.dilation],
                    groups: self.groups,
                    ..conv
                }
            }
        }
    }

    /// Calls `convolve` for each pair of residues that taps reach, with its number, with what it sees
    /// of the input, and with its lattice of the output. Before, if there are outputs that see nothing of the
    /// input, with an input without channels and the whole output.
    fn for_each<'x>(
        &self,
        x: &View<'x, f32>,
        out: &mut ViewMut<'_, f32>,
        mut convolve: impl FnMut(
            Option<(usize, [Residue; 2])>,
            View<'x, f32>,
            ViewMut<'_, f32>,
        ) -> Result<()>,
    ) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let [batch, _, h, w] = axes(self.layout);
        let sizes = |[y, x_]: [Residue; 2]| [y.sizes(x.dim(h)), x_.sizes(x.dim(w))];
        let all_reached = (0..2).all(|axis| self.reached(axis) == self.stride[axis]);
        let sees_none = |pair| matches!(sizes(pair), [(0, 1..), (_, 1..)] | [(_, 1..), (0, 1..)]);
        if !all_reached || self.pairs().any(sees_none) {
            let nothing = self.shape([x.dim(batch), 0, out.dim(h), out.dim(w)]);
            convolve(None, View::new(&[], &nothing)?, out.reborrow())?;
        }
        for (number, pair) in self.pairs().enumerate() {
            let [(rows, outputs_y), (columns, outputs_x)] = sizes(pair);
            if [rows, columns, outputs_y, outputs_x].contains(&0) {
                continue;
            }
            let cut = |r: Residue| (-r.padding[0]).max(0) as usize;
            let seen = x.narrow(h, cut(pair[0]), rows);
            let seen = seen.narrow(w, cut(pair[1]), columns);
            let lattice = out.reborrow();
            let lattice = lattice.every(h, pair[0].first, self.stride[0]);
            let lattice = lattice.every(w, pair[1].first, self.stride[1]);
            convolve(Some((number, pair)), seen, lattice)?;
        }
        Ok(())
    }
}

/// `out = activation(transposed convolution(x, weight) + bias)`.
///
/// Shapes, for [`Layout::Nchw`]: `x` (N, C, H, W), `weight` (C, O / groups, KH, KW), `bias` (O,), `out`
/// (N, O, OH, OW) with `OH = (H - 1) * stride - top - bottom + dilation * (KH - 1) + output_padding + 1`
/// and OW likewise; for [`Layout::Nhwc`]: `x` (N, H, W, C), `weight` (C, KH, KW, O / groups), `out` (N, OH, OW, O).
/// Any strides. Semantics are those of torch's `conv_transpose2d`; outputs that no input reaches are the bias.
///
/// Overlap of `out` with an input is an error. Rounding, NaN and infinity are as for [`conv2d`], of which
/// this is a number of calls.
pub fn conv_transpose2d(
    ctx: &Context,
    params: &ConvTranspose2dParams<'_>,
    x: &View<'_, f32>,
    weight: &View<'_, f32>,
    bias: Option<&View<'_, f32>>,
    mut out: ViewMut<'_, f32>,
) -> Result<()> {
    let spec = Spec::new(params, weight, bias.map(|b| &**b))?;
    spec.check(x, &out)?;
    for (name, array) in [
        ("weight", Some(weight)),
        ("bias", bias),
        ("activation_slope", params.prelu_slope.as_ref()),
    ] {
        if let Some(array) = array {
            forbid_overlap(OP, "output", &out, name, array)?;
        }
    }
    let turned = spec.turned(ctx, weight)?;
    spec.for_each(x, &mut out, |pair, x, out| {
        let pair = pair.map(|(_, pair)| pair);
        let taps = match pair {
            Some(pair) => spec.taps(&turned, pair)?,
            None => spec.no_taps()?,
        };
        conv2d(ctx, &spec.params(params, pair), &x, &taps, bias, None, out)
    })
}

/// A transposed convolution whose weight is packed for the instruction set of a context; as [`Conv2d`].
pub struct ConvTranspose2d {
    spec: Spec,
    /// One for each pair of residues that taps reach.
    plans: Vec<Conv2d>,
    /// For outputs that see nothing of the input.
    no_taps: Conv2d,
}

impl ConvTranspose2d {
    /// Packs `weight`; arguments and errors are those of [`conv_transpose2d`] that concern them.
    pub fn new(
        ctx: &Context,
        params: &ConvTranspose2dParams<'_>,
        weight: &View<'_, f32>,
        bias: Option<&View<'_, f32>>,
    ) -> Result<ConvTranspose2d> {
        let spec = Spec::new(params, weight, bias.map(|b| &**b))?;
        let turned = spec.turned(ctx, weight)?;
        let plan = |pair| {
            let params = spec.params(params, Some(pair));
            Conv2d::new(ctx, &params, &spec.taps(&turned, pair)?, bias)
        };
        let plans = spec.pairs().map(plan).collect::<Result<_>>()?;
        let no_taps = Conv2d::new(ctx, &spec.params(params, None), &spec.no_taps()?, bias)?;
        Ok(ConvTranspose2d {
            spec,
            plans,
            no_taps,
        })
    }

    /// Convolves `x` into `out`, as [`conv_transpose2d`] does.
    pub fn run(&self, ctx: &Context, x: &View<'_, f32>, mut out: ViewMut<'_, f32>) -> Result<()> {
        self.spec.check(x, &out)?;
        self.spec.for_each(x, &mut out, |pair, x, out| {
            let plan = pair.map_or(&self.no_taps, |(number, _)| &self.plans[number]);
            plan.run(ctx, &x, None, out)
        })
    }

    /// Rows and columns of the output for an input of `h` rows and `w` columns.
    pub fn output_shape(&self, h: usize, w: usize) -> Result<[usize; 2]> {
        self.spec.output_size(h, w)
    }

    /// Output channels.
    pub fn output_channels(&self) -> usize {
        self.spec.outputs
    }

    /// The order of axes.
    pub fn layout(&self) -> Layout {
        self.spec.layout
    }

    /// The algorithms and the instruction set, for people: `4 convolutions: implicit_gemm, avx2`.
    pub fn describe(&self) -> String {
        let first = self.plans.first().unwrap_or(&self.no_taps).describe();
        match self.plans.len() {
            0 | 1 => first,
            n => format!("{n} convolutions: {first}"),
        }
    }
}
