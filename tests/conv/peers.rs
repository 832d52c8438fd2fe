//! Results of others.

use crate::case::{Array, contexts, dims};
use omma::conv::{Algorithm, Conv2dParams, Layout, conv2d};

/// ONNX's own node tests and results of onnxruntime (see `fixtures/conv.py`): small
/// integers, so every tier and every algorithm is exact.
#[test]
fn peers_agree() {
    let text = include_str!("../fixtures/conv.txt");
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
