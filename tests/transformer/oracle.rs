//! Blocks of a transformer as plain loops in f64.

use crate::common::Random;
use omma::attention::{Attention, Mask};
use omma::runtime::Context;
use omma::simd::Activation;
use omma::tensor::{Bool, View};
use omma::transformer::{
    Affine, EncoderLayer, EncoderLayerWeights, MultiHead, TransformerEncoderLayer,
};

/// Sums of some terms of size 1 in f32.
pub const TOLERANCE: f64 = 2e-5;

/// An array and its shape.
#[derive(Clone)]
pub struct Array {
    pub data: Vec<f32>,
    pub shape: Vec<usize>,
}

impl Array {
    /// Numbers whose sum over `terms` of them is about one.
    pub fn new(random: &mut Random, shape: &[usize], terms: usize) -> Array {
        let scale = (3.0 / terms.max(1) as f32).sqrt();
        let data = random.floats(shape.iter().product());
        Array {
            data: data.iter().map(|x| x * scale).collect(),
            shape: shape.to_vec(),
        }
    }
    pub fn view(&self) -> View<'_, f32> {
        View::new(&self.data, &self.shape).unwrap()
    }
    pub fn wide(&self) -> Vec<f64> {
        self.data.iter().map(|&x| f64::from(x)).collect()
    }
}

/// A weight and a bias, or none.
#[derive(Clone)]
pub struct Layer {
    pub weight: Array,
    pub bias: Option<Array>,
}

impl Layer {
    pub fn new(random: &mut Random, outputs: usize, inputs: usize, bias: bool) -> Layer {
        Layer {
            weight: Array::new(random, &[outputs, inputs], inputs),
            bias: bias.then(|| Array::new(random, &[outputs], 1)),
        }
    }
    pub fn view(&self) -> Affine<'_> {
        Affine {
            weight: self.weight.view(),
            bias: self.bias.as_ref().map(Array::view),
        }
    }
    /// Rows of it in f64.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let [outputs, inputs] = [self.weight.shape[0], self.weight.shape[1]];
        let rows = x.len().checked_div(inputs).unwrap_or(0);
        let mut y = Vec::new();
        for row in 0..rows {
            for out in 0..outputs {
                let w = &self.weight.data[out * inputs..][..inputs];
                let x = &x[row * inputs..][..inputs];
                let bias = self.bias.as_ref().map_or(0.0, |b| f64::from(b.data[out]));
                y.push(bias + w.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>());
            }
        }
        y
    }
}

pub fn close(got: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(*g) - e).abs();
        assert!(
            error <= tolerance * e.abs().max(1.0) || (g.is_nan() && e.is_nan()),
            "{what}: element {i} is {g}, expected {e}"
        );
    }
}

/// Heads of attention in f64. `seen(batch, head, query, key)` is what is added to a logit.
pub fn attend(
    [q, k, v]: [&[f64]; 3],
    [batch, queries, keys]: [usize; 3],
    form: &MultiHead,
    seen: impl Fn(usize, usize, usize, usize) -> f64,
) -> Vec<f64> {
    let (h, g) = (form.num_heads, form.num_kv_heads);
    let rows = |x: &[f64], n: usize| x.len().checked_div(batch * n).unwrap_or(0);
    let (d, e) = (rows(q, queries) / h, rows(v, keys) / g);
    let scale = f64::from(form.attention.scale.unwrap_or(1.0 / (d as f32).sqrt()));
    let mut out = vec![0.0; batch * queries * h * e];
    for b in 0..batch {
        for head in 0..h {
            let group = head / (h / g);
            for i in 0..queries {
                let q = &q[((b * queries + i) * h + head) * d..][..d];
                let logits: Vec<f64> = (0..keys)
                    .map(|j| {
                        let k = &k[((b * keys + j) * g + group) * d..][..d];
                        let dot: f64 = q.iter().zip(k).map(|(q, k)| q * k).sum();
                        let hidden = (form.attention.causal)
                            .is_some_and(|offset| j as i64 > i as i64 + offset);
                        match hidden {
                            true => f64::NEG_INFINITY,
                            false => dot * scale + seen(b, head, i, j),
                        }
                    })
                    .collect();
                let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                if max == f64::NEG_INFINITY {
                    continue;
                }
                let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
                let out = &mut out[((b * queries + i) * h + head) * e..][..e];
                for (j, logit) in logits.iter().enumerate() {
                    let v = &v[((b * keys + j) * g + group) * e..][..e];
                    for (out, v) in out.iter_mut().zip(v) {
                        *out += (logit - max).exp() / sum * v;
                    }
                }
            }
        }
    }
    out
}

/// Masks of a call: which shape of (B, H, N, M) they have, and their numbers.
pub struct Masking {
    pub shape: [usize; 4],
    pub select: bool,
    pub values: Vec<f32>,
    pub bits: Vec<Bool>,
}

impl Masking {
    pub fn new(random: &mut Random, of: [usize; 4], select: bool) -> Masking {
        let shape = of.map(|dim| if random.range(0, 1) == 0 { 1 } else { dim });
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| match random.range(0, 2) {
                0 => f32::NEG_INFINITY,
                _ if select => 0.0,
                _ => random.float(),
            })
            .collect();
        let bits = values.iter().map(|v| Bool(u8::from(*v == 0.0))).collect();
        Masking {
            shape,
            select,
            values,
            bits,
        }
    }
    pub fn view(&self) -> Mask<'_> {
        match self.select {
            true => Mask::Select(View::new(&self.bits, &self.shape).unwrap()),
            false => Mask::Add(View::new(&self.values, &self.shape).unwrap()),
        }
    }
    pub fn at(&self, index: [usize; 4]) -> f64 {
        let at = (0..4).fold(0, |at, axis| {
            at * self.shape[axis]
                + if self.shape[axis] == 1 {
                    0
                } else {
                    index[axis]
                }
        });
        f64::from(self.values[at])
    }
}

pub fn seen(mask: &Option<Masking>) -> impl Fn(usize, usize, usize, usize) -> f64 {
    move |b, h, i, j| mask.as_ref().map_or(0.0, |mask| mask.at([b, h, i, j]))
}

/// Rows that lie apart, and backwards.
pub fn scattered(x: &Array) -> (Vec<f32>, usize, Vec<isize>) {
    let [b, n, e] = [x.shape[0], x.shape[1], x.shape[2]];
    let strides = vec![(n * e * 2) as isize, (e * 2) as isize, -2];
    let mut data = vec![f32::NAN; (b * n * e * 2).max(1)];
    let start = (e * 2).saturating_sub(1);
    for (i, value) in x.data.iter().enumerate() {
        let (row, column) = (i / e, i % e);
        data[start + row * e * 2 - column * 2] = *value;
    }
    (data, start, strides)
}

pub fn gelu(x: f64) -> f64 {
    // erf by its series, which converges for the arguments of these tests.
    let z = x / std::f64::consts::SQRT_2;
    let (mut term, mut sum) = (z, z);
    for k in 1..200 {
        term *= -z * z / k as f64;
        sum += term / (2 * k + 1) as f64;
    }
    x / 2.0 * (1.0 + (sum * 2.0 / std::f64::consts::PI.sqrt()).clamp(-1.0, 1.0))
}

pub fn activate(kind: Activation, x: f64) -> f64 {
    match kind {
        Activation::Relu => x.max(0.0),
        Activation::Gelu => gelu(x),
        _ => unreachable!(),
    }
}

pub fn feed_forward(first: &Layer, second: &Layer, kind: Activation, x: &[f64]) -> Vec<f64> {
    let hidden: Vec<f64> = first.apply(x).iter().map(|&x| activate(kind, x)).collect();
    second.apply(&hidden)
}

/// An encoder layer of random weights.
pub struct Encoder {
    pub layers: [Layer; 4],
    pub norms: [Option<Array>; 4],
    pub form: EncoderLayer,
}

impl Encoder {
    pub fn new(
        random: &mut Random,
        e: usize,
        hidden: usize,
        plain: bool,
        form: EncoderLayer,
    ) -> Encoder {
        Encoder {
            layers: [
                Layer::new(random, 3 * e, e, !plain),
                Layer::new(random, e, e, !plain),
                Layer::new(random, hidden, e, !plain),
                Layer::new(random, e, hidden, !plain),
            ],
            norms: [(); 4].map(|_| (!plain).then(|| Array::new(random, &[e], 3))),
            form,
        }
    }
    pub fn plan(&self, ctx: &Context) -> TransformerEncoderLayer {
        let [in_proj, out_proj, linear1, linear2] = self.layers.each_ref().map(Layer::view);
        let norm = |i: usize| self.norms[i].as_ref().map(Array::view);
        let weights = EncoderLayerWeights {
            in_proj,
            out_proj,
            linear1,
            linear2,
            norm1: [norm(0), norm(1)],
            norm2: [norm(2), norm(3)],
        };
        TransformerEncoderLayer::new(ctx, &self.form, &weights).unwrap()
    }
    pub fn norm(&self, i: usize, x: &[f64]) -> Vec<f64> {
        let e = self.layers[1].weight.shape[0];
        let of = |array: &Option<Array>, i: usize, other| {
            array.as_ref().map_or(other, |a| f64::from(a.data[i]))
        };
        let mut y = Vec::new();
        for row in x.chunks(e) {
            let mean = row.iter().sum::<f64>() / e as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / e as f64;
            let scale = 1.0 / (variance + f64::from(self.form.eps)).sqrt();
            for (c, x) in row.iter().enumerate() {
                let (gamma, beta) = (
                    of(&self.norms[2 * i], c, 1.0),
                    of(&self.norms[2 * i + 1], c, 0.0),
                );
                y.push((x - mean) * scale * gamma + beta);
            }
        }
        y
    }
    pub fn attention(&self, [b, n]: [usize; 2], x: &[f64], mask: &Option<Masking>) -> Vec<f64> {
        let e = self.layers[1].weight.shape[0];
        let joint = self.layers[0].apply(x);
        let part = |i: usize| -> Vec<f64> {
            joint
                .chunks(3 * e)
                .flat_map(|row| row[i * e..][..e].to_vec())
                .collect()
        };
        let form = MultiHead {
            num_heads: self.form.num_heads,
            num_kv_heads: self.form.num_heads,
            attention: Attention {
                causal: self.form.causal.then_some(0),
                ..Attention::default()
            },
        };
        let rows = attend([&part(0), &part(1), &part(2)], [b, n, n], &form, seen(mask));
        self.layers[1].apply(&rows)
    }
    pub fn oracle(&self, size: [usize; 2], x: &[f64], mask: &Option<Masking>) -> Vec<f64> {
        let add =
            |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
        let network =
            |x: &[f64]| feed_forward(&self.layers[2], &self.layers[3], self.form.activation, x);
        if self.form.norm_first {
            let s = add(x, &self.attention(size, &self.norm(0, x), mask));
            return add(&s, &network(&self.norm(1, &s)));
        }
        let s = self.norm(0, &add(x, &self.attention(size, x, mask)));
        self.norm(1, &add(&s, &network(&s)))
    }
}
