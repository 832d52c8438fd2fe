//! A convolution to be tested, and what it should give.

use crate::common::{Random, context, isas};
use omma::conv::{Algorithm, Conv2d, Conv2dParams, Layout, conv2d};
use omma::runtime::Context;
use omma::simd::Activation;
use omma::tensor::{View, ViewMut};

pub fn pick<T: Copy>(rng: &mut Random, of: &[T]) -> T {
    of[rng.range(0, of.len() - 1)]
}

/// An array in memory with strides of its own.
#[derive(Clone)]
pub struct Array {
    pub data: Vec<f32>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<isize>,
}

impl Array {
    pub fn compact(data: Vec<f32>, shape: &[usize]) -> Array {
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
    pub fn random(rng: &mut Random, shape: &[usize], kind: usize) -> Array {
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

    pub fn view(&self) -> View<'_, f32> {
        View::strided(&self.data, self.offset, &self.shape, &self.strides).unwrap()
    }
    pub fn view_mut(&mut self) -> ViewMut<'_, f32> {
        ViewMut::strided(&mut self.data, self.offset, &self.shape, &self.strides).unwrap()
    }
    /// The element with NCHW index, if inside.
    pub fn at(&self, layout: Layout, [n, c, y, x]: [usize; 4]) -> f32 {
        let index = match layout {
            Layout::Nchw => [n, c, y, x],
            Layout::Nhwc => [n, y, x, c],
        };
        self.view().get(&index)
    }
}

pub fn dims(layout: Layout, [n, c, h, w]: [usize; 4]) -> [usize; 4] {
    match layout {
        Layout::Nchw => [n, c, h, w],
        Layout::Nhwc => [n, h, w, c],
    }
}

pub fn activate(activation: Activation, x: f64) -> f64 {
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

pub struct Case {
    pub params: Conv2dParams<'static>,
    pub x: Array,
    pub w: Array,
    pub bias: Option<Array>,
    pub slope: Option<Array>,
    pub residual: Option<Array>,
    pub out: Array,
}

impl Case {
    pub fn params(&self) -> Conv2dParams<'_> {
        Conv2dParams {
            prelu_slope: self.slope.as_ref().map(|s| s.view()),
            ..self.params
        }
    }

    /// Results and how far each may be off, in NCHW order.
    pub fn expected(&self) -> Vec<(f64, f64)> {
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
                    for (ox, column) in columns.iter().enumerate() {
                        let (mut sum, mut size) = (0f64, 0f64);
                        for k in 0..cg {
                            for &(ky, y) in &rows {
                                let row = &inputs[((i * c + g * cg + k) * h + y) * w..][..w];
                                let weights = &weights[((o * cg + k) * kh + ky) * kw..][..kw];
                                for &(kx, x) in column {
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
        self.widen(&mut all);
        all
    }

    /// Widens the bounds of plain sums to those of the algorithm.
    pub fn widen(&self, expected: &mut [(f64, f64)]) {
        let [_, _, oh, ow] = shape_of(&self.out, self.params.layout);
        if self.may_be_winograd() {
            // A tile's error follows its largest sum, and each sum is transformed twice.
            for plane in expected.chunks_mut((oh * ow).max(1)) {
                let most = plane.iter().map(|(_, bound)| *bound).fold(0.0, f64::max);
                plane.iter_mut().for_each(|(_, bound)| *bound = 4.0 * most);
            }
        }
    }

    /// Winograd's algorithm may compute this.
    pub fn may_be_winograd(&self) -> bool {
        let p = &self.params;
        let [outputs, cg, kh, kw] = shape_of(&self.w, p.layout);
        let window = [kh, kw] == [3, 3] && p.stride == [1, 1] && p.dilation == [1, 1];
        window
            && match p.algorithm {
                Algorithm::Winograd => true,
                Algorithm::Auto => cg >= 16 && outputs / p.groups >= 16,
                _ => false,
            }
    }

    pub fn run(&self, ctx: &Context, plan: bool) -> Array {
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
    pub fn check(&self, ctx: &Context, expected: &[(f64, f64)], plan: bool, what: &str) -> Array {
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

    pub fn describe(&self) -> String {
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

pub fn shape_of(array: &Array, layout: Layout) -> [usize; 4] {
    let s = &array.shape;
    match layout {
        Layout::Nchw => [s[0], s[1], s[2], s[3]],
        Layout::Nhwc => [s[0], s[3], s[1], s[2]],
    }
}

pub fn contexts() -> Vec<Context> {
    isas().into_iter().map(|isa| context(isa, 1)).collect()
}

pub fn bits(array: &Array) -> Vec<u32> {
    array.data.iter().map(|v| v.to_bits()).collect()
}
