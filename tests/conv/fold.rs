//! A network with its layers folded gives what it gave before.

use crate::case::{Array, dims, pick};
use crate::common::{Random, cases, context, isas};
use omma::conv::{
    BatchNorm, Conv2dParams, Layout, ReceptiveField, Window, conv2d, fold_batch_norm,
    merge_conv2d_avg_pool2d, merge_parallel_conv2d, receptive_field,
};
use omma::nn::{AverageOver, Pool2d, avg_pool2d};
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

fn convolve(
    ctx: &Context,
    params: &Conv2dParams<'_>,
    x: &View<'_, f32>,
    w: &View<'_, f32>,
    bias: Option<&View<'_, f32>>,
    shape: [usize; 4],
) -> Array {
    let mut out = Array::compact(
        vec![0.0; shape.iter().product()],
        &dims(params.layout, shape),
    );
    conv2d(ctx, params, x, w, bias, None, out.view_mut()).unwrap();
    out
}

fn near(got: &Array, expected: impl Fn(usize) -> f64) {
    for (i, &got) in got.data.iter().enumerate() {
        let (got, expected) = (f64::from(got), expected(i));
        assert!(
            (got - expected).abs() <= 1e-4 * expected.abs().max(1.0),
            "at {i}: {got}, expected {expected}"
        );
    }
}

#[test]
fn batch_norm() {
    let mut rng = Random(11);
    let ctx = context(isas()[0], 1);
    for _ in 0..cases(40) {
        let layout = pick(&mut rng, &[Layout::Nchw, Layout::Nhwc]);
        let (o, c) = (rng.range(1, 9), rng.range(1, 5));
        let x = Array::random(&mut rng, &dims(layout, [2, c, 6, 5]), 2);
        let w = Array::random(&mut rng, &dims(layout, [o, c, 3, 2]), 2);
        let numbers: Vec<Array> = (0..4).map(|_| Array::random(&mut rng, &[o], 2)).collect();
        let mut variance = Array::random(&mut rng, &[o], 0);
        variance.data.iter_mut().for_each(|v| *v = *v * *v + 0.1);
        let [bias, gamma, beta, mean] = [0, 1, 2, 3].map(|i: usize| numbers[i].view());
        let given = |rng: &mut Random| rng.range(0, 2) > 0;
        let bias = given(&mut rng).then_some(bias);
        let norm = BatchNorm {
            gamma: given(&mut rng).then_some(gamma),
            beta: given(&mut rng).then_some(beta),
            mean,
            variance: variance.view(),
            eps: 1e-3,
        };
        let (mut new_w, mut new_bias) = (w.clone(), Array::random(&mut rng, &[o], 2));
        fold_batch_norm(
            &norm,
            &w.view(),
            bias.as_ref(),
            new_w.view_mut(),
            new_bias.view_mut(),
        )
        .unwrap();
        let params = Conv2dParams {
            layout,
            ..Conv2dParams::default()
        };
        let shape = [2, o, 4, 4];
        let plain = convolve(&ctx, &params, &x.view(), &w.view(), bias.as_ref(), shape);
        let folded = convolve(
            &ctx,
            &params,
            &x.view(),
            &new_w.view(),
            Some(&new_bias.view()),
            shape,
        );
        near(&folded, |i| {
            let o = match layout {
                Layout::Nchw => i / 16 % o,
                Layout::Nhwc => i % o,
            };
            let at = |array: &View<'_, f32>| f64::from(array.get(&[o]));
            let value = f64::from(plain.data[i]) - at(&norm.mean);
            let value = value / (at(&norm.variance) + f64::from(norm.eps)).sqrt();
            value * norm.gamma.as_ref().map_or(1.0, at) + norm.beta.as_ref().map_or(0.0, at)
        });
    }
}

/// The weights may be folded where they are.
#[test]
fn batch_norm_in_place() {
    let mut w = [1.0f32, 2.0, 3.0, 4.0];
    let mut bias = [1.0f32, 3.0];
    let (mean, variance) = ([1.0f32, 1.0], [4.0f32, 0.25]);
    let raw = |values: &mut [f32], shape: &[usize]| {
        omma::tensor::Raw::new(&"test", values.as_mut_ptr(), shape, None).unwrap()
    };
    let (raw_w, raw_bias) = (raw(&mut w, &[2, 2]), raw(&mut bias, &[2]));
    let norm = BatchNorm {
        gamma: None,
        beta: None,
        mean: View::new(&mean, &[2]).unwrap(),
        variance: View::new(&variance, &[2]).unwrap(),
        eps: 0.0,
    };
    // SAFETY: the arrays above, nobody else uses them, and the contract allows this overlap.
    unsafe {
        fold_batch_norm(
            &norm,
            &View::from_raw(raw_w),
            Some(&View::from_raw(raw_bias)),
            ViewMut::from_raw(&"weight", raw_w).unwrap(),
            ViewMut::from_raw(&"bias", raw_bias).unwrap(),
        )
        .unwrap();
    }
    assert_eq!((w, bias), ([0.5, 1.0, 6.0, 8.0], [0.0, 4.0]));
}

#[test]
fn parallel_convolutions() {
    let mut rng = Random(12);
    let ctx = context(isas()[0], 1);
    for _ in 0..cases(60) {
        let layout = pick(&mut rng, &[Layout::Nchw, Layout::Nhwc]);
        let groups = rng.range(1, 2);
        let (o, cg) = (groups * rng.range(1, 5), rng.range(1, 5));
        let dilation = [rng.range(1, 2), rng.range(1, 2)];
        let (h, width) = (rng.range(7, 12), rng.range(7, 12));
        let kernels =
            [0, 1].map(|_: usize| [pick(&mut rng, &[1, 3, 5]), pick(&mut rng, &[1, 3, 7])]);
        let x = Array::random(&mut rng, &dims(layout, [1, groups * cg, h, width]), 2);
        let weights =
            kernels.map(|k| Array::random(&mut rng, &dims(layout, [o, cg, k[0], k[1]]), 2));
        let biases = [0, 1].map(|_: usize| Array::random(&mut rng, &[o], 2));
        let views = [0, 1].map(|i: usize| (rng.range(0, 2) > 0).then(|| biases[i].view()));
        let large = [0, 1].map(|a: usize| kernels[0][a].max(kernels[1][a]));
        let shape = dims(layout, [o, cg, large[0], large[1]]);
        let mut new_w = Array::random(&mut rng, &shape, 2);
        let mut new_bias = Array::random(&mut rng, &[o], 0);
        merge_parallel_conv2d(
            layout,
            [&weights[0].view(), &weights[1].view()],
            [views[0].as_ref(), views[1].as_ref()],
            new_w.view_mut(),
            new_bias.view_mut(),
        )
        .unwrap();
        let run = |w: &Array, bias: Option<&View<'_, f32>>, kernel: [usize; 2]| {
            let [y, x_] = [0, 1].map(|a: usize| dilation[a] * (kernel[a] - 1) / 2);
            let params = Conv2dParams {
                layout,
                groups,
                dilation,
                padding: [y, y, x_, x_],
                ..Conv2dParams::default()
            };
            convolve(&ctx, &params, &x.view(), &w.view(), bias, [1, o, h, width])
        };
        let branches = [0, 1].map(|i: usize| run(&weights[i], views[i].as_ref(), kernels[i]));
        near(&run(&new_w, Some(&new_bias.view()), large), |i| {
            f64::from(branches[0].data[i]) + f64::from(branches[1].data[i])
        });
    }
}

#[test]
fn average_pooling() {
    let mut rng = Random(13);
    let ctx = context(isas()[0], 1);
    for _ in 0..cases(60) {
        let layout = pick(&mut rng, &[Layout::Nchw, Layout::Nhwc]);
        let groups = rng.range(1, 2);
        let (o, cg) = (groups * rng.range(1, 4), rng.range(1, 4));
        let [kernel, stride, pool, pool_stride] =
            [3, 3, 3, 4].map(|most| [rng.range(1, most), rng.range(1, most)]);
        let (h, width) = (rng.range(14, 20), rng.range(14, 20));
        let x = Array::random(&mut rng, &dims(layout, [1, groups * cg, h, width]), 2);
        let w = Array::random(&mut rng, &dims(layout, [o, cg, kernel[0], kernel[1]]), 2);
        let bias = Array::random(&mut rng, &[o], 2);
        let merged = [0, 1].map(|a: usize| kernel[a] + (pool[a] - 1) * stride[a]);
        let mut new_w = Array::random(&mut rng, &dims(layout, [o, cg, merged[0], merged[1]]), 2);
        merge_conv2d_avg_pool2d(layout, &w.view(), pool, stride, new_w.view_mut()).unwrap();
        let padding = [1, 0, 2, 1];
        let sizes = |kernel: [usize; 2], stride: [usize; 2]| {
            [
                (h + 1 - kernel[0]) / stride[0] + 1,
                (width + 3 - kernel[1]) / stride[1] + 1,
            ]
        };
        let params = |stride| Conv2dParams {
            layout,
            groups,
            padding,
            stride,
            ..Conv2dParams::default()
        };
        let [ch, cw] = sizes(kernel, stride);
        let bias = bias.view();
        let first = convolve(
            &ctx,
            &params(stride),
            &x.view(),
            &w.view(),
            Some(&bias),
            [1, o, ch, cw],
        );
        let both = [0, 1].map(|a: usize| stride[a] * pool_stride[a]);
        let [ph, pw] = sizes(merged, both);
        let mut pooled = Array::compact(vec![0.0; o * ph * pw], &dims(layout, [1, o, ph, pw]));
        let window = Pool2d {
            stride: Some(pool_stride),
            layout,
            ..Pool2d::new(pool)
        };
        avg_pool2d(
            &ctx,
            &window,
            AverageOver::Padded,
            first.view(),
            pooled.view_mut(),
        )
        .unwrap();
        let got = convolve(
            &ctx,
            &params(both),
            &x.view(),
            &new_w.view(),
            Some(&bias),
            [1, o, ph, pw],
        );
        near(&got, |i| f64::from(pooled.data[i]));
    }
}

/// Counted by following the taps backwards.
#[test]
fn receptive_fields() {
    let mut rng = Random(14);
    for _ in 0..200 {
        let layers: Vec<Window> = (0..rng.range(0, 5))
            .map(|_| Window {
                kernel: rng.range(1, 5) as u32,
                stride: rng.range(1, 3) as u32,
                padding: rng.range(0, 3) as u32,
                dilation: rng.range(1, 3) as u32,
            })
            .collect();
        let seen = |output: i64| {
            layers
                .iter()
                .rev()
                .fold((output, output), |(first, last), layer| {
                    let [kernel, stride, padding, dilation] =
                        [layer.kernel, layer.stride, layer.padding, layer.dilation].map(i64::from);
                    let start = |at: i64| at * stride - padding;
                    (start(first), start(last) + (kernel - 1) * dilation)
                })
        };
        let (first, last) = seen(0);
        let expected = ReceptiveField {
            size: last - first + 1,
            stride: seen(1).0 - first,
            start: first,
        };
        assert_eq!(receptive_field(&layers).unwrap(), expected, "{layers:?}");
    }
    let far = Window {
        kernel: u32::MAX,
        stride: u32::MAX,
        padding: 0,
        dilation: u32::MAX,
    };
    let error = receptive_field(&[far; 3]).unwrap_err();
    assert!(error.message().contains("overflows at layer"), "{error}");
    let none = Window { kernel: 0, ..far };
    let error = receptive_field(&[none]).unwrap_err();
    assert!(error.message().contains("layer 0 has kernel 0"), "{error}");
}
