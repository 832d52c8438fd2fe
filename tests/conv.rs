//! conv2d against a scalar oracle in f64, on every tier, over random options.

use omma::conv::{Algorithm, Conv2d, Conv2dParams, Layout, conv2d};
use omma::error::Status;
use omma::runtime::{Context, Options};
use omma::simd::Activation;
use omma::tensor::{View, ViewMut};

mod common;

use common::{Random, context, isas, quick};

fn pick<T: Copy>(rng: &mut Random, of: &[T]) -> T {
    of[rng.range(0, of.len() - 1)]
}

/// An array in memory with strides of its own.
#[derive(Clone)]
struct Array {
    data: Vec<f32>,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<isize>,
}

impl Array {
    fn compact(data: Vec<f32>, shape: &[usize]) -> Array {
        let mut strides = vec![1isize; shape.len()];
        for a in (1..shape.len()).rev() {
            strides[a - 1] = strides[a] * shape[a] as isize;
        }
        Array {
            data,
            offset: 0,
            shape: shape.to_vec(),
            strides,
        }
    }

    /// Random values; how they lie in memory is `kind`: 0 compact, 1 rows with gaps,
    /// 2 any order of axes, any gaps, any direction.
    fn random(rng: &mut Random, shape: &[usize], kind: usize) -> Array {
        let rank = shape.len();
        let mut order: Vec<usize> = (0..rank).collect();
        if kind == 2 {
            for i in (1..rank).rev() {
                order.swap(i, rng.range(0, i));
            }
        }
        let mut strides = vec![0isize; rank];
        let mut step = 1;
        let (mut offset, mut len) = (0, 1);
        for (i, &axis) in order.iter().enumerate().rev() {
            if kind == 2 || (kind == 1 && i + 1 < rank) {
                step += rng.range(0, 2);
            }
            let backwards = kind == 2 && rng.range(0, 3) == 0;
            let span = step * shape[axis].saturating_sub(1);
            strides[axis] = if backwards {
                -(step as isize)
            } else {
                step as isize
            };
            offset += if backwards { span } else { 0 };
            len += span;
            step *= shape[axis].max(1);
        }
        Array {
            data: rng.floats(len),
            offset,
            shape: shape.to_vec(),
            strides,
        }
    }

    fn view(&self) -> View<'_, f32> {
        View::strided(&self.data, self.offset, &self.shape, &self.strides).unwrap()
    }
    fn view_mut(&mut self) -> ViewMut<'_, f32> {
        ViewMut::strided(&mut self.data, self.offset, &self.shape, &self.strides).unwrap()
    }
    /// The element with NCHW index, if inside.
    fn at(&self, layout: Layout, [n, c, y, x]: [usize; 4]) -> f32 {
        let index = match layout {
            Layout::Nchw => [n, c, y, x],
            Layout::Nhwc => [n, y, x, c],
        };
        self.view().get(&index)
    }
}

fn dims(layout: Layout, [n, c, h, w]: [usize; 4]) -> [usize; 4] {
    match layout {
        Layout::Nchw => [n, c, h, w],
        Layout::Nhwc => [n, h, w, c],
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::LeakyRelu { slope } => {
            if x > 0.0 {
                x
            } else {
                f64::from(slope) * x
            }
        }
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Silu => x * sigmoid(x),
        Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        // An error function good to 1e-7 is not at hand: these two are compared with each other's
        // neighbourhood in the tests of activations, and here left out.
        Activation::Gelu | Activation::GeluTanh => unreachable!(),
    }
}

struct Case {
    params: Conv2dParams<'static>,
    x: Array,
    w: Array,
    bias: Option<Array>,
    slope: Option<Array>,
    residual: Option<Array>,
    out: Array,
}

impl Case {
    fn params(&self) -> Conv2dParams<'_> {
        Conv2dParams {
            prelu_slope: self.slope.as_ref().map(|s| s.view()),
            ..self.params
        }
    }

    /// Results and how far each may be off, in NCHW order.
    fn expected(&self) -> Vec<(f64, f64)> {
        let p = &self.params;
        let layout = p.layout;
        let values = |array: &Array| -> Vec<f64> {
            let [a, b, c, d] = shape_of(array, layout);
            let index = |i: usize| [i / (b * c * d), i / (c * d) % b, i / d % c, i % d];
            let view = array.view();
            let at = |i| view.get(&dims(layout, index(i)));
            (0..a * b * c * d).map(|i| f64::from(at(i))).collect()
        };
        let (inputs, weights) = (values(&self.x), values(&self.w));
        // The taps of an output that lie in the input, and where.
        let taps = |axis: usize, at: usize, kernel: usize, len: usize| -> Vec<(usize, usize)> {
            let place = |tap: usize| at * p.stride[axis] + tap * p.dilation[axis];
            let inside = |tap| {
                let place = place(tap).checked_sub(p.padding[2 * axis]);
                place.filter(|&place| place < len)
            };
            (0..kernel)
                .filter_map(|tap| Some((tap, inside(tap)?)))
                .collect()
        };
        let [n, c, h, w] = shape_of(&self.x, layout);
        let [outputs, cg, kh, kw] = shape_of(&self.w, layout);
        let [_, _, oh, ow] = shape_of(&self.out, layout);
        assert_eq!(cg * p.groups, c);
        let columns: Vec<_> = (0..ow).map(|ox| taps(1, ox, kw, w)).collect();
        let (bias, residual, slope) = (
            self.bias.as_ref().map(|b| b.view()),
            self.residual.as_ref().map(|r| r.view()),
            self.slope.as_ref().map(|s| s.view()),
        );
        let mut all = Vec::new();
        for i in 0..n {
            for o in 0..outputs {
                let g = o / (outputs / p.groups);
                for oy in 0..oh {
                    let rows = taps(0, oy, kh, h);
                    for ox in 0..ow {
                        let (mut sum, mut size) = (0f64, 0f64);
                        for k in 0..cg {
                            for &(ky, y) in &rows {
                                let row = &inputs[((i * c + g * cg + k) * h + y) * w..][..w];
                                let weights = &weights[((o * cg + k) * kh + ky) * kw..][..kw];
                                for &(kx, x) in &columns[ox] {
                                    let term = row[x] * weights[kx];
                                    sum += term;
                                    size += term.abs();
                                }
                            }
                        }
                        let more = [
                            bias.map(|b| b.get(&[o])),
                            residual.map(|r| r.get(&dims(layout, [i, o, oy, ox]))),
                        ];
                        for value in more.into_iter().flatten() {
                            sum += f64::from(value);
                            size += f64::from(value).abs();
                        }
                        let result = match slope {
                            Some(slope) => {
                                let at = if slope.dim(0) == 1 { 0 } else { o };
                                let slope = slope.get(&[at]);
                                activate(Activation::LeakyRelu { slope }, sum)
                            }
                            None => activate(p.activation, sum),
                        };
                        let terms = (cg * kh * kw + 2) as f64;
                        // Rounding grows like the root of the number of terms; twice for the
                        // portable tier, and a few units for the activation.
                        let bound = f64::from(f32::EPSILON) * (2.0 * terms.sqrt() + 4.0) * size;
                        all.push((result, 1.2 * bound + 1e-6));
                    }
                }
            }
        }
        all
    }

    fn run(&self, ctx: &Context, plan: bool) -> Array {
        let mut out = self.out.clone();
        let (x, w) = (self.x.view(), self.w.view());
        let bias = self.bias.as_ref().map(|b| b.view());
        let residual = self.residual.as_ref().map(|r| r.view());
        let params = self.params();
        if plan {
            let plan = Conv2d::new(ctx, &params, &w, bias.as_ref()).unwrap();
            plan.run(ctx, &x, residual.as_ref(), out.view_mut())
                .unwrap();
        } else {
            let (bias, residual) = (bias.as_ref(), residual.as_ref());
            conv2d(ctx, &params, &x, &w, bias, residual, out.view_mut()).unwrap();
        }
        out
    }

    /// Compares with the oracle, and that nothing between the elements of the output was written.
    fn check(&self, ctx: &Context, expected: &[(f64, f64)], plan: bool, what: &str) -> Array {
        let out = self.run(ctx, plan);
        let layout = self.params.layout;
        let [n, c, h, w] = shape_of(&self.out, layout);
        let mut clean = out.clone();
        let mut at = expected.iter();
        let (result, before, mut restored) = (out.view(), self.out.view(), clean.view_mut());
        for i in 0..n {
            for o in 0..c {
                for y in 0..h {
                    for x in 0..w {
                        let (value, bound) = *at.next().unwrap();
                        let index = dims(layout, [i, o, y, x]);
                        let got = f64::from(result.get(&index));
                        assert!(
                            (got - value).abs() <= bound,
                            "{what} at {:?}: {got}, expected {value} within {bound}\n{}",
                            [i, o, y, x],
                            self.describe()
                        );
                        restored.set(&index, before.get(&index));
                    }
                }
            }
        }
        assert!(at.next().is_none());
        assert_eq!(
            clean.data,
            self.out.data,
            "{what} writes outside\n{}",
            self.describe()
        );
        out
    }

    fn describe(&self) -> String {
        format!(
            "{:?}\nx {:?} {:?}\nw {:?} {:?}\nout {:?} {:?}, bias {}, slope {:?}, residual {:?}",
            self.params,
            self.x.shape,
            self.x.strides,
            self.w.shape,
            self.w.strides,
            self.out.shape,
            self.out.strides,
            self.bias.is_some(),
            self.slope.as_ref().map(|s| s.shape[0]),
            self.residual.as_ref().map(|r| r.strides.clone()),
        )
    }
}

fn shape_of(array: &Array, layout: Layout) -> [usize; 4] {
    let s = &array.shape;
    match layout {
        Layout::Nchw => [s[0], s[1], s[2], s[3]],
        Layout::Nhwc => [s[0], s[3], s[1], s[2]],
    }
}

fn contexts() -> Vec<Context> {
    isas().into_iter().map(|isa| context(isa, 1)).collect()
}

/// What a family of random cases looks like.
#[derive(Clone, Copy)]
struct Family {
    depthwise: bool,
    /// The most multiply-adds.
    work: usize,
    wide: bool,
}

fn random_case(rng: &mut Random, family: Family) -> Case {
    loop {
        let layout = pick(rng, &[Layout::Nchw, Layout::Nhwc]);
        let kernel = [
            pick(rng, &[1, 2, 3, 3, 3, 4, 5, 7]),
            pick(rng, &[1, 2, 3, 3, 3, 4, 5, 7]),
        ];
        let square = rng.range(0, 1) == 0;
        let kernel = if square { [kernel[0]; 2] } else { kernel };
        let stride = match rng.range(0, 5) {
            0..3 => [1, 1],
            3 => [2, 2],
            _ => [rng.range(1, 4), rng.range(1, 4)],
        };
        let dilation = match rng.range(0, 2) {
            0 => [rng.range(1, 3), rng.range(1, 4)],
            _ => [1, 1],
        };
        let padding = match rng.range(0, 2) {
            0 => [0; 4],
            1 => {
                let (y, x) = (kernel[0] / 2 * dilation[0], kernel[1] / 2 * dilation[1]);
                [y, y, x, x]
            }
            _ => [
                rng.range(0, 4),
                rng.range(0, 4),
                rng.range(0, 5),
                rng.range(0, 5),
            ],
        };
        let groups = match (family.depthwise, rng.range(0, 2)) {
            (true, _) => pick(rng, &[2, 3, 7, 8, 9, 16, 17, 33]),
            (false, 0) => rng.range(2, 4),
            _ => 1,
        };
        let (cg, og) = match family.depthwise {
            true => (1, pick(rng, &[1, 1, 1, 2, 3])),
            false => (
                pick(rng, &[1, 2, 3, 3, 4, 5, 8, 13, 16, 31, 64]),
                pick(
                    rng,
                    &[1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 16, 17, 24, 32, 33, 64],
                ),
            ),
        };
        let n = pick(rng, &[1, 1, 2, 3]);
        let most = if family.wide { 131 } else { 23 };
        let (h, w) = (rng.range(1, most), rng.range(1, most));
        let span = |axis: usize| dilation[axis] * (kernel[axis] - 1) + 1;
        let (ph, pw) = (h + padding[0] + padding[1], w + padding[2] + padding[3]);
        if ph < span(0) || pw < span(1) {
            continue;
        }
        let oh = (ph - span(0)) / stride[0] + 1;
        let ow = (pw - span(1)) / stride[1] + 1;
        let (c, o) = (cg * groups, og * groups);
        if n * o * oh * ow * cg * kernel[0] * kernel[1] > family.work {
            continue;
        }
        let activation = pick(
            rng,
            &[
                Activation::None,
                Activation::None,
                Activation::Relu,
                Activation::Relu6,
                Activation::LeakyRelu { slope: 0.1 },
                Activation::Sigmoid,
                Activation::Tanh,
                Activation::Silu,
                Activation::HardSwish,
            ],
        );
        let algorithm = pick(
            rng,
            &[
                Algorithm::Auto,
                Algorithm::Auto,
                Algorithm::Direct,
                Algorithm::ImplicitGemm,
            ],
        );
        let prelu = activation == Activation::None && rng.range(0, 2) == 0;
        let kinds: [usize; 4] = std::array::from_fn(|_| pick(rng, &[0, 0, 0, 1, 2]));
        let x = Array::random(rng, &dims(layout, [n, c, h, w]), kinds[0]);
        let w = Array::random(rng, &dims(layout, [o, cg, kernel[0], kernel[1]]), kinds[1]);
        let shape = dims(layout, [n, o, oh, ow]);
        return Case {
            params: Conv2dParams {
                stride,
                padding,
                dilation,
                groups,
                activation,
                prelu_slope: None,
                layout,
                algorithm,
            },
            x,
            w,
            bias: (rng.range(0, 1) == 0).then(|| Array::random(rng, &[o], kinds[0])),
            slope: prelu.then(|| {
                let len = pick(rng, &[1, o]);
                Array::random(rng, &[len], kinds[1])
            }),
            residual: (rng.range(0, 2) == 0).then(|| Array::random(rng, &shape, kinds[2])),
            out: Array::random(rng, &shape, kinds[3]),
        };
    }
}

fn random_cases(seed: u64, mut count: usize, mut family: Family) {
    if quick() {
        (count, family.work) = (count / 5, family.work / 4);
    }
    let contexts = contexts();
    let mut rng = Random(seed);
    for i in 0..count {
        let case = random_case(&mut rng, family);
        let expected = case.expected();
        for ctx in &contexts {
            let what = format!("case {i} on {}", ctx.isa().tier().name());
            let once = case.check(ctx, &expected, false, &what);
            let planned = case.run(ctx, true);
            assert_eq!(
                bits(&once),
                bits(&planned),
                "{what}: plan and call\n{}",
                case.describe()
            );
        }
    }
}

fn bits(array: &Array) -> Vec<u32> {
    array.data.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn random_options_match_the_oracle() {
    random_cases(
        0x1234_5678_9ABC,
        400,
        Family {
            depthwise: false,
            work: 1 << 20,
            wide: false,
        },
    );
}

#[test]
fn wide_images_match_the_oracle() {
    random_cases(
        0xFEED_5678_9ABC,
        60,
        Family {
            depthwise: false,
            work: 1 << 22,
            wide: true,
        },
    );
}

#[test]
fn depthwise_matches_the_oracle() {
    random_cases(
        0xBEEF_5678_9ABC,
        300,
        Family {
            depthwise: true,
            work: 1 << 20,
            wide: false,
        },
    );
    random_cases(
        0xBEEF_5678_9ABD,
        30,
        Family {
            depthwise: true,
            work: 1 << 22,
            wide: true,
        },
    );
}

/// Deep sums over small images, which are cut between channels and unfolded.
#[test]
fn deep_sums_match_the_oracle() {
    let mut rng = Random(77);
    for (layout, c, o, side, k) in [
        (Layout::Nchw, 300, 70, 5, 3),
        (Layout::Nhwc, 300, 70, 5, 3),
        (Layout::Nchw, 517, 130, 3, 2),
        (Layout::Nhwc, 517, 130, 3, 2),
        (Layout::Nchw, 1030, 40, 2, 1),
    ] {
        let (n, out) = (if quick() { 1 } else { 2 }, side + 3 - k);
        let mut case = Case {
            params: Conv2dParams {
                padding: [1; 4],
                layout,
                ..Conv2dParams::default()
            },
            x: Array::random(&mut rng, &dims(layout, [n, c, side, side]), 0),
            w: Array::random(&mut rng, &dims(layout, [o, c, k, k]), 0),
            bias: Some(Array::random(&mut rng, &[o], 0)),
            slope: None,
            residual: None,
            out: Array::random(&mut rng, &dims(layout, [n, o, out, out]), 0),
        };
        let expected = case.expected();
        for algorithm in [Algorithm::Auto, Algorithm::Direct, Algorithm::ImplicitGemm] {
            case.params.algorithm = algorithm;
            for ctx in contexts() {
                case.check(&ctx, &expected, true, "deep");
            }
        }
    }
}

/// A dilation so large that the rows in between do not fit the cache.
#[test]
fn far_dilation_matches_the_oracle() {
    let mut rng = Random(78);
    for (layout, groups) in [
        (Layout::Nchw, 1),
        (Layout::Nhwc, 1),
        (Layout::Nchw, 64),
        (Layout::Nhwc, 64),
    ] {
        let dilation = if groups == 1 { 100 } else { 5000 };
        let case = Case {
            params: Conv2dParams {
                dilation: [dilation, dilation],
                padding: [dilation; 4],
                groups,
                layout,
                ..Conv2dParams::default()
            },
            x: Array::random(&mut rng, &dims(layout, [1, 64, 9, 10]), 0),
            w: Array::random(&mut rng, &dims(layout, [64, 64 / groups, 3, 3]), 0),
            bias: None,
            slope: None,
            residual: None,
            out: Array::random(&mut rng, &dims(layout, [1, 64, 9, 10]), 0),
        };
        let expected = case.expected();
        for ctx in contexts() {
            case.check(&ctx, &expected, false, "far");
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let mut rng = Random(4242);
    let shapes = [
        (Layout::Nchw, 3, 16, 1, 120, 3, 1),
        (Layout::Nchw, 64, 96, 1, 14, 3, 1),
        (Layout::Nchw, 128, 256, 1, 3, 3, 1),
        (Layout::Nhwc, 64, 96, 2, 14, 3, 2),
        (Layout::Nhwc, 128, 256, 1, 5, 1, 1),
        (Layout::Nchw, 24, 24, 24, 60, 3, 2),
        (Layout::Nhwc, 24, 24, 24, 60, 3, 1),
    ];
    for (layout, c, o, groups, side, k, stride) in shapes {
        let out = (side + 2 - k) / stride + 1;
        let case = Case {
            params: Conv2dParams {
                stride: [stride; 2],
                padding: [1; 4],
                groups,
                activation: Activation::Silu,
                layout,
                ..Conv2dParams::default()
            },
            x: Array::random(&mut rng, &dims(layout, [2, c, side, side]), 0),
            w: Array::random(&mut rng, &dims(layout, [o, c / groups, k, k]), 0),
            bias: Some(Array::random(&mut rng, &[o], 0)),
            slope: None,
            residual: None,
            out: Array::random(&mut rng, &dims(layout, [2, o, out, out]), 0),
        };
        for isa in isas() {
            let results = [1, 2, 7].map(|threads| bits(&case.run(&context(isa, threads), false)));
            assert_eq!(results[0], results[1]);
            assert_eq!(results[0], results[2]);
        }
    }
}

/// A plan is shared by threads.
#[test]
fn one_plan_on_many_threads() {
    let mut rng = Random(5);
    let ctx = Context::new(Options::default()).unwrap();
    let w = Array::random(&mut rng, &[10, 3, 3, 3], 0);
    let params = Conv2dParams::default();
    let plan = Conv2d::new(&ctx, &params, &w.view(), None).unwrap();
    let inputs: Vec<Array> = (0..8)
        .map(|_| Array::random(&mut rng, &[1, 3, 31, 29], 0))
        .collect();
    let alone: Vec<Vec<f32>> = inputs.iter().map(|x| run_plan(&ctx, &plan, x)).collect();
    std::thread::scope(|scope| {
        for (x, alone) in inputs.iter().zip(&alone) {
            let (ctx, plan) = (&ctx, &plan);
            scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(run_plan(ctx, plan, x), *alone);
                }
            });
        }
    });
}

fn run_plan(ctx: &Context, plan: &Conv2d, x: &Array) -> Vec<f32> {
    let [oh, ow] = plan.output_shape(x.shape[2], x.shape[3]).unwrap();
    let shape = [x.shape[0], plan.output_channels(), oh, ow];
    let mut out = vec![f32::NAN; shape.iter().product()];
    let view = ViewMut::new(&mut out, &shape).unwrap();
    plan.run(ctx, &x.view(), None, view).unwrap();
    out
}

/// NaN and infinity reach exactly the outputs whose window sees them, whatever the
/// activation that lets them through.
#[test]
fn nan_and_infinity_propagate() {
    for layout in [Layout::Nchw, Layout::Nhwc] {
        for groups in [1, 8] {
            for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
                for ctx in contexts() {
                    let mut x =
                        Array::compact(vec![1.0; 8 * 11 * 13], &dims(layout, [1, 8, 11, 13]));
                    let bad = dims(layout, [0, 3, 5, 6]);
                    x.view_mut().set(&bad, f32::NAN);
                    let high = dims(layout, [0, 3, 0, 0]);
                    x.view_mut().set(&high, f32::INFINITY);
                    let shape = dims(layout, [8, 8 / groups, 3, 3]);
                    let w = Array::compact(vec![1.0; 8 * 8 / groups * 9], &shape);
                    let params = Conv2dParams {
                        padding: [1; 4],
                        groups,
                        activation,
                        layout,
                        ..Conv2dParams::default()
                    };
                    let mut out =
                        Array::compact(vec![0.0; 8 * 11 * 13], &dims(layout, [1, 8, 11, 13]));
                    conv2d(
                        &ctx,
                        &params,
                        &x.view(),
                        &w.view(),
                        None,
                        None,
                        out.view_mut(),
                    )
                    .unwrap();
                    for o in 0..8 {
                        for y in 0..11usize {
                            for x in 0..13usize {
                                let value = out.at(layout, [0, o, y, x]);
                                let sees = groups == 1 || o == 3;
                                let near = y.abs_diff(5) <= 1 && x.abs_diff(6) <= 1;
                                assert_eq!(value.is_nan(), sees && near, "{o} {y} {x} {value}");
                                let at_corner = sees && y <= 1 && x <= 1;
                                if activation == Activation::Relu6 {
                                    assert!(value.is_nan() || value <= 6.0);
                                } else {
                                    assert_eq!(value == f32::INFINITY, at_corner);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The residual may be the output itself.
#[test]
fn residual_in_place() {
    let mut rng = Random(99);
    for layout in [Layout::Nchw, Layout::Nhwc] {
        for (groups, activation) in [
            (1, Activation::Relu),
            (9, Activation::None),
            (1, Activation::Tanh),
        ] {
            let x = Array::random(&mut rng, &dims(layout, [2, 9, 7, 13]), 0);
            let w = Array::random(&mut rng, &dims(layout, [9, 9 / groups, 3, 3]), 0);
            let shape = dims(layout, [2, 9, 7, 13]);
            let residual = Array::random(&mut rng, &shape, 0);
            let params = Conv2dParams {
                padding: [1; 4],
                groups,
                activation,
                layout,
                ..Conv2dParams::default()
            };
            for ctx in contexts() {
                let mut apart = Array::random(&mut rng, &shape, 0);
                let r = residual.view();
                conv2d(
                    &ctx,
                    &params,
                    &x.view(),
                    &w.view(),
                    None,
                    Some(&r),
                    apart.view_mut(),
                )
                .unwrap();
                let mut inside = residual.clone();
                let out = inside.view_mut();
                // SAFETY: conv2d allows the residual to be the output itself.
                let same = unsafe { View::from_raw(*out) };
                conv2d(&ctx, &params, &x.view(), &w.view(), None, Some(&same), out).unwrap();
                assert_eq!(bits(&apart), bits(&inside));
            }
        }
    }
}

#[test]
fn empty_arrays_are_legal() {
    let ctx = Context::serial().unwrap();
    for layout in [Layout::Nchw, Layout::Nhwc] {
        let params = Conv2dParams {
            layout,
            ..Conv2dParams::default()
        };
        // No images, then no output channels: nothing to write.
        for (n, o) in [(0, 4), (2, 0)] {
            let x = Array::compact(vec![1.0; n * 3 * 5 * 5], &dims(layout, [n, 3, 5, 5]));
            let w = Array::compact(vec![1.0; o * 3 * 9], &dims(layout, [o, 3, 3, 3]));
            let mut out = Array::compact(vec![], &dims(layout, [n, o, 3, 3]));
            conv2d(
                ctx,
                &params,
                &x.view(),
                &w.view(),
                None,
                None,
                out.view_mut(),
            )
            .unwrap();
        }
        // No input channels: the bias is all there is.
        let x = Array::compact(vec![], &dims(layout, [1, 0, 5, 5]));
        let w = Array::compact(vec![], &dims(layout, [2, 0, 3, 3]));
        let bias = Array::compact(vec![3.0, -4.0], &[2]);
        let mut out = Array::compact(vec![7.0; 18], &dims(layout, [1, 2, 3, 3]));
        let b = bias.view();
        conv2d(
            ctx,
            &params,
            &x.view(),
            &w.view(),
            Some(&b),
            None,
            out.view_mut(),
        )
        .unwrap();
        for o in 0..2 {
            assert_eq!(out.at(layout, [0, o, 1, 2]), bias.data[o]);
        }
    }
}

/// Every complaint names the argument and both sides.
#[test]
fn errors_name_both_sides() {
    let ctx = Context::serial().unwrap();
    let data = vec![0.5f32; 1 << 16];
    let fails = |params: &Conv2dParams<'_>,
                 x: &[usize],
                 w: &[usize],
                 bias: Option<usize>,
                 residual: Option<&[usize]>,
                 out: &[usize],
                 status: Status,
                 message: &str| {
        let take = |shape: &[usize]| View::new(&data[..shape.iter().product()], shape).unwrap();
        let mut result = vec![9.0f32; out.iter().product()];
        let bias = bias.map(|n| take(&[n]));
        let residual = residual.map(take);
        let view = ViewMut::new(&mut result, out).unwrap();
        let error = conv2d(
            ctx,
            params,
            &take(x),
            &take(w),
            bias.as_ref(),
            residual.as_ref(),
            view,
        )
        .unwrap_err();
        assert_eq!((error.status(), error.message()), (status, message));
        assert!(result.iter().all(|&v| v == 9.0));
    };
    let params = Conv2dParams::default();
    let (x, w, out) = (&[1, 4, 6, 6], &[8, 4, 3, 3], &[1, 8, 4, 4]);
    let shape = Status::ShapeMismatch;
    let invalid = Status::InvalidArgument;
    fails(
        &params,
        x,
        &[8, 64, 3, 3],
        None,
        None,
        out,
        shape,
        "conv2d: weight has 64 input channels per group, input has 4 / groups 1",
    );
    fails(
        &params,
        &[4, 6, 6],
        w,
        None,
        None,
        out,
        shape,
        "conv2d: input has 3 dimensions, expected 4",
    );
    fails(
        &params,
        x,
        &[8, 4, 9],
        None,
        None,
        out,
        shape,
        "conv2d: weight has 3 dimensions, expected 4",
    );
    fails(
        &params,
        x,
        w,
        Some(7),
        None,
        out,
        shape,
        "conv2d: bias has 7 values, weight has 8 output channels",
    );
    fails(
        &params,
        x,
        w,
        None,
        None,
        &[1, 8, 6, 4],
        shape,
        "conv2d: output has shape [1, 8, 6, 4], expected [1, 8, 4, 4] for input [1, 4, 6, 6]",
    );
    fails(
        &params,
        x,
        w,
        None,
        Some(&[1, 8, 4, 5]),
        out,
        shape,
        "conv2d: residual has shape [1, 8, 4, 5], expected [1, 8, 4, 4] for input [1, 4, 6, 6]",
    );
    fails(
        &params,
        x,
        &[8, 4, 0, 3],
        None,
        None,
        out,
        invalid,
        "conv2d: weight has a window of 0 x 3, the least is 1 x 1",
    );
    fails(
        &params,
        &[1, 4, 2, 6],
        w,
        None,
        None,
        out,
        shape,
        "conv2d: weight spans 3 in height (kernel 3, dilation 1), the padded input has 2",
    );
    let groups = |groups| Conv2dParams { groups, ..params };
    fails(
        &groups(3),
        x,
        w,
        None,
        None,
        out,
        shape,
        "conv2d: weight has 8 output channels, which groups 3 do not divide",
    );
    fails(
        &groups(2),
        x,
        w,
        None,
        None,
        out,
        shape,
        "conv2d: weight has 4 input channels per group, input has 4 / groups 2",
    );
    fails(
        &groups(0),
        x,
        w,
        None,
        None,
        out,
        invalid,
        "conv2d: groups is 0, the least is 1",
    );
    let stride = Conv2dParams {
        stride: [1, 0],
        ..params
    };
    fails(
        &stride,
        x,
        w,
        None,
        None,
        out,
        invalid,
        "conv2d: stride is 1 x 0, the least is 1",
    );
    let dilation = Conv2dParams {
        dilation: [0, 1],
        ..params
    };
    fails(
        &dilation,
        x,
        w,
        None,
        None,
        out,
        invalid,
        "conv2d: dilation is 0 x 1, the least is 1",
    );
    let dilation = Conv2dParams {
        dilation: [1, 4],
        ..params
    };
    fails(
        &dilation,
        x,
        w,
        None,
        None,
        out,
        shape,
        "conv2d: weight spans 9 in width (kernel 3, dilation 4), the padded input has 6",
    );
    let padding = Conv2dParams {
        padding: [usize::MAX, 1, 0, 0],
        ..params
    };
    fails(
        &padding,
        x,
        w,
        None,
        None,
        out,
        invalid,
        "conv2d: height 6 with padding 18446744073709551615 + 1 and a kernel of 3 with dilation 1 overflows",
    );
    let slope = [0.1f32; 5];
    let slope = Conv2dParams {
        prelu_slope: Some(View::new(&slope, &[5]).unwrap()),
        ..params
    };
    fails(
        &slope,
        x,
        w,
        None,
        None,
        out,
        shape,
        "conv2d: activation_slope has 5 values, weight has 8 output channels",
    );
    let one = [0.1f32];
    let both = Conv2dParams {
        prelu_slope: Some(View::new(&one, &[1]).unwrap()),
        activation: Activation::Relu,
        ..params
    };
    fails(
        &both,
        x,
        w,
        None,
        None,
        out,
        invalid,
        "conv2d: activation_slope is given and activation is Relu, expected one of them",
    );
    let winograd = Conv2dParams {
        algorithm: Algorithm::Winograd,
        ..params
    };
    fails(
        &winograd,
        x,
        w,
        None,
        None,
        out,
        Status::Unsupported,
        "conv2d: algorithm is winograd, which this version does not have",
    );
}

#[test]
fn output_may_not_overlap_the_input() {
    let ctx = Context::serial().unwrap();
    let mut memory = vec![1.0f32; 200];
    let view = ViewMut::strided(&mut memory, 50, &[1, 1, 8, 8], &[64, 64, 8, 1]).unwrap();
    let address = view.ptr();
    let raw = omma::tensor::Raw::new(&"x", address.wrapping_sub(1), &[1, 1, 8, 8], None).unwrap();
    // SAFETY: inside of `memory`; the operator refuses before it reads.
    let x = unsafe { View::from_raw(raw) };
    let w = View::new(&[2.0], &[1, 1, 1, 1]).unwrap();
    let error = conv2d(ctx, &Conv2dParams::default(), &x, &w, None, None, view).unwrap_err();
    assert_eq!(error.message(), "conv2d: output overlaps input in memory");
    assert!(memory.iter().all(|&v| v == 1.0));
}

/// ONNX's own node tests and results of onnxruntime (see `fixtures/conv.py`): small
/// integers, so every tier and every algorithm is exact.
#[test]
fn peers_agree() {
    let text = include_str!("fixtures/conv.txt");
    let mut lines = text.lines();
    let mut count = 0;
    while let Some(name) = lines.next() {
        let mut numbers = || -> Vec<f32> {
            let line = lines.next().unwrap();
            line.split_whitespace()
                .map(|v| v.parse().unwrap())
                .collect()
        };
        let options: Vec<usize> = numbers().iter().map(|&v| v as usize).collect();
        let [x, w, b, y] = std::array::from_fn(|_| {
            let shape: Vec<usize> = numbers().iter().map(|&v| v as usize).collect();
            Array::compact(numbers(), &shape)
        });
        let bias = (b.shape[0] > 0).then_some(b);
        for layout in [Layout::Nchw, Layout::Nhwc] {
            for algorithm in [Algorithm::Auto, Algorithm::Direct, Algorithm::ImplicitGemm] {
                let params = Conv2dParams {
                    stride: [options[0], options[1]],
                    padding: [options[2], options[3], options[4], options[5]],
                    dilation: [options[6], options[7]],
                    groups: options[8],
                    layout,
                    algorithm,
                    ..Conv2dParams::default()
                };
                let arranged = |array: &Array| {
                    let shape: [usize; 4] = array.shape.clone().try_into().unwrap();
                    let mut to = Array::compact(vec![0.0; array.data.len()], &dims(layout, shape));
                    for (i, &value) in array.data.iter().enumerate() {
                        let [_, c, h, w] = shape;
                        let at = [i / (c * h * w), i / (h * w) % c, i / w % h, i % w];
                        to.view_mut().set(&dims(layout, at), value);
                    }
                    to
                };
                let (x, w, expected) = (arranged(&x), arranged(&w), arranged(&y));
                let bias = bias.as_ref().map(|b| b.view());
                for ctx in contexts() {
                    let mut out = expected.clone();
                    out.data.fill(f32::NAN);
                    let b = bias.as_ref();
                    conv2d(&ctx, &params, &x.view(), &w.view(), b, None, out.view_mut()).unwrap();
                    assert_eq!(out.data, expected.data, "{name} {layout:?} {algorithm:?}");
                }
            }
        }
        count += 1;
    }
    assert_eq!(count, 14);
}
