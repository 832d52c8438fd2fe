//! The values in `fixtures/transformer.txt`, which torch made.

use crate::common::{context, isas};
use crate::oracle::{Array, close};
use omma::attention::{Attention, Mask};
use omma::simd::Activation;
use omma::tensor::{Bool, View, ViewMut};
use omma::transformer::*;

struct Case {
    head: Vec<&'static str>,
    arrays: Vec<Array>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut lines = include_str!("../fixtures/transformer.txt").lines();
    while let Some(line) = lines.next() {
        if line.starts_with(char::is_alphabetic) {
            cases.push(Case {
                head: line.split(' ').collect(),
                arrays: Vec::new(),
            });
            continue;
        }
        let values = lines.next().unwrap().split_whitespace();
        cases.last_mut().unwrap().arrays.push(Array {
            shape: line.split(' ').map(|v| v.parse().unwrap()).collect(),
            data: values.map(|v| v.parse().unwrap()).collect(),
        });
    }
    cases
}

/// Where the mask of a case shows a key, if it has one.
fn bits(mask: &Array) -> Option<Vec<Bool>> {
    let bits = mask.data.iter().map(|v| Bool(u8::from(*v != 0.0)));
    (!mask.data.is_empty()).then(|| bits.collect())
}

fn affine<'a>(weight: &'a Array, bias: Option<&'a Array>) -> Affine<'a> {
    Affine {
        weight: weight.view(),
        bias: bias.map(Array::view),
    }
}

fn encoder(case: &Case) {
    let (weights, rest) = case.arrays.split_at(case.arrays.len() - 3);
    let [x, mask, expected] = rest else {
        unreachable!()
    };
    // Without biases every other array is missing.
    let step = weights.len() / 6;
    let layer = |i: usize| {
        affine(
            &weights[i * step],
            (step == 2).then(|| &weights[i * step + 1]),
        )
    };
    let norm = |i: usize| {
        let norm = layer(i);
        [Some(norm.weight), norm.bias]
    };
    let number = |i: usize| case.head[i].parse::<f32>().unwrap();
    let form = EncoderLayer {
        num_heads: number(1) as usize,
        activation: match case.head[2] {
            "relu" => Activation::Relu,
            _ => Activation::Gelu,
        },
        norm_first: case.head[3] == "1",
        causal: case.head[4] == "1",
        eps: number(5),
    };
    let weights = EncoderLayerWeights {
        in_proj: layer(0),
        out_proj: layer(1),
        linear1: layer(2),
        linear2: layer(3),
        norm1: norm(4),
        norm2: norm(5),
    };
    let bits = bits(mask);
    for isa in isas() {
        let ctx = context(isa, 1);
        let plan = TransformerEncoderLayer::new(&ctx, &form, &weights).unwrap();
        let mask = (bits.as_ref()).map(|bits| Mask::Select(View::new(bits, &mask.shape).unwrap()));
        let mut y = vec![f32::NAN; x.data.len()];
        let to = ViewMut::new(&mut y, &x.shape).unwrap();
        plan.run(&ctx, &x.view(), mask, to).unwrap();
        close(&y, &expected.wide(), 2e-5, "torch's encoder layer");
    }
}

fn attention(case: &Case) {
    let [
        q,
        k,
        v,
        w_q,
        b_q,
        w_k,
        b_k,
        w_v,
        b_v,
        w_o,
        b_o,
        mask,
        expected,
    ] = &case.arrays[..]
    else {
        unreachable!()
    };
    let num_heads = case.head[1].parse().unwrap();
    let form = MultiHead {
        num_heads,
        num_kv_heads: num_heads,
        attention: Attention::default(),
    };
    let weights = MultiHeadWeights {
        q: affine(w_q, Some(b_q)),
        k: affine(w_k, Some(b_k)),
        v: affine(w_v, Some(b_v)),
        o: affine(w_o, Some(b_o)),
    };
    let bits = bits(mask);
    for isa in isas() {
        let ctx = context(isa, 1);
        let mask = (bits.as_ref()).map(|bits| Mask::Select(View::new(bits, &mask.shape).unwrap()));
        let mut y = vec![f32::NAN; expected.data.len()];
        let to = ViewMut::new(&mut y, &expected.shape).unwrap();
        let (q, k, v) = (&q.view(), &k.view(), &v.view());
        multi_head_attention(&ctx, &form, &weights, q, k, v, mask, to).unwrap();
        close(&y, &expected.wide(), 2e-5, "torch's attention");
    }
}

#[test]
fn torch_agrees() {
    let cases = cases();
    assert_eq!(cases.len(), 6);
    for case in &cases {
        match case.head[0] {
            "encoder" => encoder(case),
            _ => attention(case),
        }
    }
}
