//! conv_transpose2d against its definition in f64: every input adds its multiple of the window.

use crate::case::{Array, activate, bits, contexts, dims, pick, shape_of};
use crate::common::{Random, cases, context, isas};
use omma::conv::{ConvTranspose2d, ConvTranspose2dParams, Layout, conv_transpose2d};
use omma::error::Status;
use omma::runtime::Context;
use omma::simd::Activation;
use omma::tensor::{View, ViewMut};

struct Case {
    params: ConvTranspose2dParams<'static>,
    x: Array,
    w: Array,
    bias: Option<Array>,
    slope: Option<Array>,
    out: Array,
}

impl Case {
    fn random(rng: &mut Random, most_channels: usize) -> Case {
        loop {
            let layout = pick(rng, &[Layout::Nchw, Layout::Nhwc]);
            let kernel = [
                pick(rng, &[1, 2, 3, 3, 4, 5]),
                pick(rng, &[1, 2, 3, 3, 4, 5]),
            ];
            let square = rng.range(0, 1) == 0;
            let kernel = if square { [kernel[0]; 2] } else { kernel };
            let stride = match rng.range(0, 2) {
                0 => [1, 1],
                1 => [2, 2],
                _ => [rng.range(1, 5), rng.range(1, 5)],
            };
            let dilation = match rng.range(0, 2) {
                0 => [rng.range(1, 4), rng.range(1, 4)],
                _ => [1, 1],
            };
            let output_padding = [0, 1].map(|a: usize| match rng.range(0, 1) {
                0 => 0,
                _ => rng.range(0, stride[a].max(dilation[a]) - 1),
            });
            let padding = [0; 4].map(|_: usize| rng.range(0, 3) * rng.range(0, 2));
            let groups = pick(rng, &[1, 1, 1, 2, 3, 7]);
            let (ig, og) = (rng.range(1, most_channels), rng.range(1, most_channels));
            let (n, h, w) = (rng.range(1, 2), rng.range(1, 11), rng.range(1, 19));
            let size = |a: usize, extent: usize| {
                ((extent - 1) * stride[a] + dilation[a] * (kernel[a] - 1) + output_padding[a] + 1)
                    .checked_sub(padding[2 * a] + padding[2 * a + 1])
                    .filter(|&size| size > 0)
            };
            let (Some(oh), Some(ow)) = (size(0, h), size(1, w)) else {
                continue;
            };
            let (inputs, outputs) = (groups * ig, groups * og);
            let kind = |rng: &mut Random| rng.range(0, 2);
            let prelu = rng.range(0, 3) == 0;
            let kinds = [kind(rng), kind(rng), kind(rng)];
            let slopes = pick(rng, &[1, outputs]);
            return Case {
                params: ConvTranspose2dParams {
                    stride,
                    padding,
                    output_padding,
                    dilation,
                    groups,
                    activation: match prelu {
                        true => Activation::None,
                        false => pick(rng, &[Activation::None, Activation::Relu, Activation::Silu]),
                    },
                    prelu_slope: None,
                    layout,
                },
                x: Array::random(rng, &dims(layout, [n, inputs, h, w]), kinds[0]),
                w: Array::random(
                    rng,
                    &dims(layout, [inputs, og, kernel[0], kernel[1]]),
                    kinds[1],
                ),
                bias: (rng.range(0, 1) == 0).then(|| Array::random(rng, &[outputs], 2)),
                slope: prelu.then(|| Array::random(rng, &[slopes], 2)),
                out: Array::random(rng, &dims(layout, [n, outputs, oh, ow]), kinds[2]),
            };
        }
    }

    /// Results and how far each may be off, in NCHW order.
    fn expected(&self) -> Vec<(f64, f64)> {
        let p = &self.params;
        let [n, c, h, w] = shape_of(&self.x, p.layout);
        let [_, og, kh, kw] = shape_of(&self.w, p.layout);
        let [_, outputs, oh, ow] = shape_of(&self.out, p.layout);
        let ig = c / p.groups;
        let mut sums = vec![(0f64, 0f64); n * outputs * oh * ow];
        let (x, weight) = (self.x.view(), self.w.view());
        let place = |a: usize, at: usize, tap: usize, extent: usize| {
            (at * p.stride[a] + tap * p.dilation[a])
                .checked_sub(p.padding[2 * a])
                .filter(|&place| place < extent)
        };
        for (i, c, y, x_) in
            (0..n * c * h * w).map(|i| (i / (c * h * w), i / (h * w) % c, i / w % h, i % w))
        {
            let value = f64::from(x.get(&dims(p.layout, [i, c, y, x_])));
            for (o, ky, kx) in (0..og * kh * kw).map(|t| (t / (kh * kw), t / kw % kh, t % kw)) {
                let (Some(oy), Some(ox)) = (place(0, y, ky, oh), place(1, x_, kx, ow)) else {
                    continue;
                };
                let term = value * f64::from(weight.get(&dims(p.layout, [c, o, ky, kx])));
                let o = c / ig * og + o;
                let (sum, size) = &mut sums[((i * outputs + o) * oh + oy) * ow + ox];
                *sum += term;
                *size += term.abs();
            }
        }
        let terms = (ig * kh * kw + 1) as f64;
        let bias = self.bias.as_ref().map(|b| b.view());
        let slope = self.slope.as_ref().map(|s| s.view());
        for (i, (sum, size)) in sums.iter_mut().enumerate() {
            let o = i / (oh * ow) % outputs;
            let bias = bias.map_or(0.0, |b| f64::from(b.get(&[o])));
            let activation = match slope {
                None => p.activation,
                Some(s) => Activation::LeakyRelu {
                    slope: s.get(&[if s.dim(0) == 1 { 0 } else { o }]),
                },
            };
            let bound = f64::from(f32::EPSILON) * (2.0 * terms.sqrt() + 4.0) * (*size + bias.abs());
            (*sum, *size) = (activate(activation, *sum + bias), 1.2 * bound + 1e-6);
        }
        // It may have been Winograd's algorithm: its error follows the largest sum of a tile.
        if [kh, kw] == [3, 3] && p.stride == [1, 1] && ig >= 16 && og >= 16 {
            for plane in sums.chunks_mut(oh * ow) {
                let most = plane.iter().map(|(_, bound)| *bound).fold(0.0, f64::max);
                plane.iter_mut().for_each(|(_, bound)| *bound = 4.0 * most);
            }
        }
        sums
    }

    fn run(&self, ctx: &Context, plan: bool) -> Array {
        let mut out = self.out.clone();
        let params = ConvTranspose2dParams {
            prelu_slope: self.slope.as_ref().map(|s| s.view()),
            ..self.params
        };
        let (x, w) = (self.x.view(), self.w.view());
        let bias = self.bias.as_ref().map(|b| b.view());
        if plan {
            let plan = ConvTranspose2d::new(ctx, &params, &w, bias.as_ref()).unwrap();
            let [_, _, h, w] = shape_of(&self.x, params.layout);
            let [_, outputs, oh, ow] = shape_of(&self.out, params.layout);
            assert_eq!(plan.output_shape(h, w).unwrap(), [oh, ow]);
            assert_eq!(plan.output_channels(), outputs);
            plan.run(ctx, &x, out.view_mut()).unwrap();
        } else {
            conv_transpose2d(ctx, &params, &x, &w, bias.as_ref(), out.view_mut()).unwrap();
        }
        out
    }

    fn check(&self, ctx: &Context, expected: &[(f64, f64)]) -> Array {
        let out = self.run(ctx, false);
        assert_eq!(bits(&out), bits(&self.run(ctx, true)), "{:?}", self.params);
        let layout = self.params.layout;
        let [n, c, h, w] = shape_of(&self.out, layout);
        let mut clean = out.clone();
        let (result, before) = (out.view(), self.out.view());
        let mut restored = clean.view_mut();
        assert_eq!(expected.len(), n * c * h * w);
        for (i, &(value, bound)) in expected.iter().enumerate() {
            let index = dims(layout, [i / (c * h * w), i / (h * w) % c, i / w % h, i % w]);
            let got = f64::from(result.get(&index));
            assert!(
                (got - value).abs() <= bound,
                "at {index:?}: {got}, expected {value} within {bound}\n{:?}\nx {:?}, w {:?}, out {:?}",
                self.params,
                self.x.shape,
                self.w.shape,
                self.out.shape
            );
            restored.set(&index, before.get(&index));
        }
        assert_eq!(
            clean.data, self.out.data,
            "writes outside: {:?}",
            self.params
        );
        out
    }
}

#[test]
fn random_options_match_the_definition() {
    let mut rng = Random(4);
    let contexts = contexts();
    for i in 0..cases(300) {
        let case = Case::random(&mut rng, if i % 10 == 0 { 33 } else { 6 });
        let expected = case.expected();
        for ctx in &contexts {
            case.check(ctx, &expected);
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let mut rng = Random(5);
    for isa in isas() {
        for _ in 0..cases(10) {
            let case = Case::random(&mut rng, 40);
            let all = [1, 2, 7].map(|threads| bits(&case.run(&context(isa, threads), false)));
            assert!(all[0] == all[1] && all[1] == all[2], "{:?}", case.params);
        }
    }
}

/// A stride far beyond the window: almost all outputs are the bias.
#[test]
fn outputs_that_nothing_reaches_are_the_bias() {
    for ctx in contexts() {
        let params = ConvTranspose2dParams {
            stride: [5, 300],
            activation: Activation::Relu,
            ..ConvTranspose2dParams::default()
        };
        let (x, w) = ([1.0, 2.0, 3.0, 4.0], [10.0]);
        let (x, w) = (
            View::new(&x, &[1, 1, 2, 2]).unwrap(),
            View::new(&w, &[1, 1, 1, 1]).unwrap(),
        );
        let bias = [0.5];
        let bias = View::new(&bias, &[1]).unwrap();
        let mut out = vec![f32::NAN; 6 * 301];
        let view = ViewMut::new(&mut out, &[1, 1, 6, 301]).unwrap();
        conv_transpose2d(&ctx, &params, &x, &w, Some(&bias), view).unwrap();
        for (i, &v) in out.iter().enumerate() {
            let expected = match (i / 301, i % 301) {
                (0, 0) => 10.5,
                (0, 300) => 20.5,
                (5, 0) => 30.5,
                (5, 300) => 40.5,
                _ => 0.5,
            };
            assert_eq!(v, expected, "at {i}");
        }
    }
}

#[test]
fn errors_name_both_sides() {
    let ctx = context(isas()[0], 1);
    let x = [0.0; 2 * 3 * 4];
    let w = [0.0; 2 * 5 * 9];
    let x = View::new(&x, &[1, 2, 3, 4]).unwrap();
    let w = View::new(&w, &[2, 5, 3, 3]).unwrap();
    let params = ConvTranspose2dParams::default();
    let call = |params: ConvTranspose2dParams<'_>, x: &View<'_, f32>, shape: [usize; 4]| {
        let mut out = vec![7.0; shape.iter().product()];
        let view = ViewMut::new(&mut out, &shape).unwrap();
        let result = conv_transpose2d(&ctx, &params, x, &w, None, view);
        if result.is_err() {
            assert!(out.iter().all(|&v| v == 7.0));
        }
        result.map_err(|e| (e.status(), e.message().to_string()))
    };
    assert_eq!(call(params, &x, [1, 5, 5, 6]), Ok(()));
    let narrow = x.narrow(1, 0, 1);
    let with = |change: fn(&mut ConvTranspose2dParams<'static>)| {
        let mut params = ConvTranspose2dParams::default();
        change(&mut params);
        params
    };
    use Status::{InvalidArgument, ShapeMismatch};
    for (params, x, shape, status, words) in [
        (
            params,
            &narrow,
            [1, 5, 5, 6],
            ShapeMismatch,
            "weight has 2 input channels, input has 1",
        ),
        (
            params,
            &x,
            [1, 5, 5, 5],
            ShapeMismatch,
            "expected [1, 5, 5, 6]",
        ),
        (
            with(|p| p.groups = 3),
            &x,
            [1, 5, 5, 6],
            ShapeMismatch,
            "groups 3",
        ),
        (
            with(|p| p.groups = 0),
            &x,
            [1, 5, 5, 6],
            InvalidArgument,
            "groups is 0",
        ),
        (
            with(|p| p.stride = [0, 1]),
            &x,
            [1, 5, 5, 6],
            InvalidArgument,
            "stride is 0",
        ),
        (
            with(|p| p.output_padding = [0, 1]),
            &x,
            [1, 5, 5, 6],
            InvalidArgument,
            "output_padding is 1",
        ),
        (
            with(|p| p.padding[0] = 5),
            &x,
            [1, 5, 5, 6],
            ShapeMismatch,
            "padding 5 + 0",
        ),
        (
            with(|p| p.padding[3] = usize::MAX),
            &x,
            [1, 5, 5, 6],
            InvalidArgument,
            "too large",
        ),
        (
            with(|p| p.dilation[1] = usize::MAX / 2),
            &x,
            [1, 5, 5, 6],
            InvalidArgument,
            "too large",
        ),
    ] {
        let (got, message) = call(params, x, shape).unwrap_err();
        assert_eq!(got, status, "{message}");
        assert!(
            message.starts_with("conv_transpose2d: ") && message.contains(words),
            "{message}"
        );
    }
}
