//! The blocks of a transformer against plain loops in f64, on every tier, and against torch.

#[path = "../common/mod.rs"]
mod common;
mod oracle;
mod peers;

use common::{Random, cases, context, isas};
use omma::attention::{Attention, Mask};
use omma::runtime::Context;
use omma::simd::Activation;
use omma::tensor::{Bool, View, ViewMut};
use omma::transformer::*;
use oracle::*;

#[test]
fn multi_head_attention_is_its_definition() {
    let mut random = Random(51);
    for isa in isas() {
        let contexts = [context(isa, 1), context(isa, 3)];
        for case in 0..cases(30) {
            let (b, n, m) = (random.range(1, 3), random.range(1, 9), random.range(1, 40));
            let g = random.range(1, 3);
            let h = g * random.range(1, 3);
            let (d, e) = (random.range(1, 9), random.range(1, 9));
            let inputs = [(); 3].map(|_| random.range(1, 21));
            let outputs = random.range(1, 21);
            let bias = case % 3 != 0;
            let [q, k, v] = [h * d, g * d, g * e];
            let layers = [
                Layer::new(&mut random, q, inputs[0], bias),
                Layer::new(&mut random, k, inputs[1], bias),
                Layer::new(&mut random, v, inputs[2], bias),
                Layer::new(&mut random, outputs, h * e, bias),
            ];
            let arrays = [
                Array::new(&mut random, &[b, n, inputs[0]], 3),
                Array::new(&mut random, &[b, m, inputs[1]], 3),
                Array::new(&mut random, &[b, m, inputs[2]], 3),
            ];
            let mask =
                (case % 2 == 1).then(|| Masking::new(&mut random, [b, h, n, m], case % 4 == 1));
            let form = MultiHead {
                num_heads: h,
                num_kv_heads: g,
                attention: Attention {
                    scale: (case % 5 == 0).then_some(0.3),
                    causal: (case % 3 == 1).then(|| random.range(0, m) as i64),
                    softcap: None,
                },
            };
            let projected: Vec<Vec<f64>> =
                (0..3).map(|i| layers[i].apply(&arrays[i].wide())).collect();
            let rows = attend(
                [&projected[0], &projected[1], &projected[2]],
                [b, n, m],
                &form,
                seen(&mask),
            );
            let expected = layers[3].apply(&rows);
            let residual = Array::new(&mut random, &[b, n, outputs], 3);
            let added: Vec<f64> = (expected.iter().zip(residual.wide()))
                .map(|(a, b)| a + b)
                .collect();

            let [q, k, v, o] = layers.each_ref().map(Layer::view);
            let weights = MultiHeadWeights { q, k, v, o };
            let plan = MultiHeadAttention::new(&contexts[0], &form, &weights).unwrap();
            assert_eq!(plan.outputs(), outputs);
            let mut bits: Option<Vec<f32>> = None;
            for ctx in &contexts {
                let [q, k, v] = arrays.each_ref().map(Array::view);
                let mask = mask.as_ref().map(Masking::view);
                let mut y = vec![f32::NAN; b * n * outputs];
                let shape = [b, n, outputs];
                let to = ViewMut::new(&mut y, &shape).unwrap();
                multi_head_attention(ctx, &form, &weights, &q, &k, &v, mask, to).unwrap();
                close(&y, &expected, TOLERANCE, "multi_head_attention");
                let to = ViewMut::new(&mut y, &shape).unwrap();
                plan.run(ctx, &q, &k, &v, mask, None, to).unwrap();
                close(&y, &expected, TOLERANCE, "the plan");
                // Strided input and output, and a residual.
                let (lay, start, strides) = scattered(&arrays[0]);
                let strided = View::strided(&lay, start, &arrays[0].shape, &strides).unwrap();
                let mut wide = vec![f32::NAN; b * n * (outputs + 3)];
                let rows = [(n * (outputs + 3)) as isize, (outputs + 3) as isize, 1];
                let to = ViewMut::strided(&mut wide, 0, &shape, &rows).unwrap();
                plan.run(ctx, &strided, &k, &v, mask, Some(&residual.view()), to)
                    .unwrap();
                let y: Vec<f32> = (wide.chunks(outputs + 3))
                    .flat_map(|row| row[..outputs].to_vec())
                    .collect();
                assert!(
                    wide.chunks(outputs + 3)
                        .all(|row| row[outputs..].iter().all(|x| x.is_nan()))
                );
                close(&y, &added, TOLERANCE, "with a residual");
                match &bits {
                    Some(bits) => assert_eq!(&y, bits, "another number of threads, other bits"),
                    None => bits = Some(y),
                }
            }
        }
    }
}

#[test]
fn positions_are_exact() {
    for isa in isas() {
        let ctx = context(isa, 2);
        for (length, dim) in [(0, 4), (1, 1), (67, 6), (33, 7), (5, 0)] {
            let mut y = vec![f32::NAN; length * dim];
            positional_encoding(&ctx, ViewMut::new(&mut y, &[length, dim]).unwrap()).unwrap();
            for (i, got) in y.iter().enumerate() {
                let (p, c) = (i / dim, i % dim);
                let angle = p as f64 / 10000f64.powf((c / 2 * 2) as f64 / dim as f64);
                let want = if c % 2 == 0 { angle.sin() } else { angle.cos() };
                assert!(
                    (f64::from(*got) - want).abs() < 1e-7,
                    "{p}, {c}: {got}, expected {want}"
                );
            }
        }
        // Columns apart; the end of a long sequence.
        let mut y = vec![f32::NAN; 20000];
        let out = ViewMut::strided(&mut y, 19999, &[10000, 1], &[-2, -1]).unwrap();
        positional_encoding(&ctx, out).unwrap();
        assert!((f64::from(y[19999 - 2 * 9999]) - 9999f64.sin()).abs() < 1e-7);
    }
}

#[test]
fn feed_forward_is_its_definition() {
    let mut random = Random(52);
    for isa in isas() {
        let ctx = context(isa, 2);
        for case in 0..cases(20) {
            let (rows, inputs, hidden, outputs) = (
                random.range(0, 20),
                random.range(1, 40),
                random.range(1, 70),
                random.range(1, 40),
            );
            let kind = [Activation::Relu, Activation::Gelu][case % 2];
            let first = Layer::new(&mut random, hidden, inputs, case % 3 > 0);
            let second = Layer::new(&mut random, outputs, hidden, case % 3 > 0);
            let x = Array::new(&mut random, &[rows, inputs], 3);
            let residual = Array::new(&mut random, &[rows, outputs], 3);
            let plan = FeedForward::new(&ctx, &first.view(), &second.view(), kind).unwrap();
            assert_eq!((plan.hidden(), plan.outputs()), (hidden, outputs));
            let expected = feed_forward(&first, &second, kind, &x.wide());
            let mut y = vec![f32::NAN; rows * outputs];
            let to = ViewMut::new(&mut y, &[rows, outputs]).unwrap();
            plan.run(&ctx, &x.view(), None, to).unwrap();
            close(&y, &expected, TOLERANCE, "feed_forward");
            let added: Vec<f64> = (expected.iter().zip(residual.wide()))
                .map(|(a, b)| a + b)
                .collect();
            let mut y = residual.data.clone();
            // The output is the residual itself.
            let from = residual.clone();
            let to = ViewMut::new(&mut y, &[rows, outputs]).unwrap();
            // SAFETY: the same array, as the operator allows.
            let same = unsafe { View::from_raw(*to) };
            plan.run(&ctx, &x.view(), Some(&same), to).unwrap();
            close(&y, &added, TOLERANCE, "in place of the residual");
            drop(from);
        }
    }
}

#[test]
fn an_encoder_layer_is_its_definition() {
    let mut random = Random(53);
    for isa in isas() {
        let contexts = [context(isa, 1), context(isa, 2)];
        for case in 0..cases(24) {
            let h = random.range(1, 4);
            // Rows of two elements are normalized to signs: errors of their difference would show.
            let e = h * random.range(3, 17);
            let (b, n) = (random.range(1, 3), random.range(1, 20));
            let form = EncoderLayer {
                num_heads: h,
                activation: [Activation::Relu, Activation::Gelu][case / 2 % 2],
                norm_first: case % 2 == 1,
                causal: case % 5 == 1,
                eps: 1e-5,
            };
            let hidden = random.range(1, 50);
            let layer = Encoder::new(&mut random, e, hidden, case % 6 == 5, form);
            let x = Array::new(&mut random, &[b, n, e], 3);
            let mask =
                (case % 3 == 1).then(|| Masking::new(&mut random, [b, h, n, n], case % 2 == 0));
            let expected = layer.oracle([b, n], &x.wide(), &mask);
            let mut bits: Option<Vec<f32>> = None;
            for ctx in &contexts {
                let plan = layer.plan(ctx);
                let mask = mask.as_ref().map(Masking::view);
                let mut y = vec![f32::NAN; b * n * e];
                let to = ViewMut::new(&mut y, &x.shape).unwrap();
                plan.run(ctx, &x.view(), mask, to).unwrap();
                close(&y, &expected, 1e-4, "transformer_encoder_layer");
                // In place, and from rows that lie apart.
                let mut z = x.data.clone();
                let to = ViewMut::new(&mut z, &x.shape).unwrap();
                // SAFETY: the same array, as the operator allows.
                let same = unsafe { View::from_raw(*to) };
                plan.run(ctx, &same, mask, to).unwrap();
                assert_eq!(z, y);
                let (lay, start, strides) = scattered(&x);
                let strided = View::strided(&lay, start, &x.shape, &strides).unwrap();
                let to = ViewMut::new(&mut z, &x.shape).unwrap();
                plan.run(ctx, &strided, mask, to).unwrap();
                assert_eq!(z, y);
                match &bits {
                    Some(bits) => assert_eq!(&y, bits, "another number of threads, other bits"),
                    None => bits = Some(y),
                }
            }
        }
    }
}

#[test]
fn a_hidden_row_does_not_leak() {
    let mut random = Random(54);
    for isa in isas() {
        let ctx = context(isa, 1);
        let form = EncoderLayer {
            num_heads: 2,
            activation: Activation::Relu,
            norm_first: false,
            causal: false,
            eps: 1e-5,
        };
        let plan = Encoder::new(&mut random, 8, 16, false, form).plan(&ctx);
        let x = Array::new(&mut random, &[1, 5, 8], 3);
        let mut poisoned = x.clone();
        poisoned.data[4 * 8..].fill(f32::NAN);
        let bits = [1, 1, 1, 1, 0].map(Bool);
        let mask = Mask::Select(View::new(&bits, &[1, 1, 1, 5]).unwrap());
        let run = |x: &Array| {
            let mut y = vec![0.0; 40];
            let to = ViewMut::new(&mut y, &[1, 5, 8]).unwrap();
            plan.run(&ctx, &x.view(), Some(mask), to).unwrap();
            y
        };
        assert_eq!(run(&x)[..32], run(&poisoned)[..32]);
        assert!(run(&poisoned)[32..].iter().all(|y| y.is_nan()));
    }
}

#[test]
fn patches_are_a_convolution() {
    let mut random = Random(55);
    for isa in isas() {
        let contexts = [context(isa, 1), context(isa, 3)];
        for case in 0..cases(20) {
            let (b, c, e) = (random.range(0, 3), random.range(1, 4), random.range(1, 40));
            let [ph, pw] = [random.range(1, 6), random.range(1, 6)];
            let [gh, gw] = [random.range(1, 6), random.range(1, 6)];
            let [h, w] = [
                gh * ph + random.range(0, ph - 1),
                gw * pw + random.range(0, pw - 1),
            ];
            let terms = c * ph * pw;
            let weight = Array::new(&mut random, &[e, c, ph, pw], terms);
            let bias = (case % 2 == 0).then(|| Array::new(&mut random, &[e], 3));
            let token = (case % 3 > 0).then(|| Array::new(&mut random, &[e], 3));
            let extra = usize::from(token.is_some());
            let rows = gh * gw + extra;
            let positions = (case % 4 > 0).then(|| Array::new(&mut random, &[rows, e], 3));
            let x = Array::new(&mut random, &[b, c, h, w], 3);
            let mut expected = Vec::new();
            for at in 0..b * rows * e {
                let (image, row, f) = (at / (rows * e), at / e % rows, at % e);
                let of = |array: &Option<Array>, i: usize| {
                    array.as_ref().map_or(0.0, |a| f64::from(a.data[i]))
                };
                let mut sum = of(&positions, row * e + f);
                if row < extra {
                    expected.push(sum + of(&token, f));
                    continue;
                }
                let (gy, gx) = ((row - extra) / gw, (row - extra) % gw);
                sum += of(&bias, f);
                for i in 0..terms {
                    let (channel, y, z) = (i / (ph * pw), i / pw % ph, i % pw);
                    let at = ((image * c + channel) * h + gy * ph + y) * w + gx * pw + z;
                    sum += f64::from(x.data[at]) * f64::from(weight.data[f * terms + i]);
                }
                expected.push(sum);
            }
            let views = [&bias, &token, &positions].map(|a| a.as_ref().map(Array::view));
            let plan = PatchEmbedding::new(
                &contexts[0],
                &weight.view(),
                views[0].as_ref(),
                views[1].as_ref(),
                views[2].as_ref(),
            )
            .unwrap();
            assert_eq!(plan.output_shape(h, w).unwrap(), [rows, e]);
            // Channels last in memory.
            let mut last = x.data.clone();
            for i in 0..x.data.len() {
                let (image, channel, at) = (i / (c * h * w), i / (h * w) % c, i % (h * w));
                last[(image * h * w + at) * c + channel] = x.data[i];
            }
            let last = View::new(&last, &[b, h, w, c])
                .unwrap()
                .permute(&[0, 3, 1, 2]);
            let mut bits: Option<Vec<f32>> = None;
            for ctx in &contexts {
                let mut y = vec![f32::NAN; b * rows * e];
                plan.run(ctx, &x.view(), ViewMut::new(&mut y, &[b, rows, e]).unwrap())
                    .unwrap();
                close(&y, &expected, TOLERANCE, "patch_embedding");
                // Features first in memory.
                let mut z = vec![f32::NAN; b * rows * e];
                let to = ViewMut::new(&mut z, &[b, e, rows])
                    .unwrap()
                    .permute(&[0, 2, 1]);
                plan.run(ctx, &last, to).unwrap();
                for (i, y) in y.iter().enumerate() {
                    let (image, row, f) = (i / (rows * e), i / e % rows, i % e);
                    assert_eq!(z[(image * e + f) * rows + row], *y);
                }
                match &bits {
                    Some(bits) => assert_eq!(&y, bits),
                    None => bits = Some(y),
                }
            }
        }
    }
}

#[test]
fn empty_arrays_are_legal() {
    let mut random = Random(56);
    let ctx = Context::serial().unwrap();
    let form = EncoderLayer {
        num_heads: 2,
        activation: Activation::Relu,
        norm_first: false,
        causal: false,
        eps: 1e-5,
    };
    let plan = Encoder::new(&mut random, 4, 3, false, form).plan(ctx);
    for shape in [[0, 3, 4], [2, 0, 4]] {
        let x = View::new(&[], &shape).unwrap();
        plan.run(ctx, &x, None, ViewMut::new(&mut [], &shape).unwrap())
            .unwrap();
    }
    // Without keys attention is zero, and the output is its bias.
    let layer = Layer::new(&mut random, 4, 4, true);
    let weights = MultiHeadWeights {
        q: layer.view(),
        k: layer.view(),
        v: layer.view(),
        o: layer.view(),
    };
    let form = MultiHead {
        num_heads: 2,
        num_kv_heads: 2,
        attention: Attention::default(),
    };
    let x = Array::new(&mut random, &[1, 2, 4], 3);
    let none = View::new(&[], &[1, 0, 4]).unwrap();
    let mut y = vec![f32::NAN; 8];
    let to = ViewMut::new(&mut y, &[1, 2, 4]).unwrap();
    multi_head_attention(ctx, &form, &weights, &x.view(), &none, &none, None, to).unwrap();
    assert_eq!(y[..4], layer.bias.as_ref().unwrap().data[..]);
}
