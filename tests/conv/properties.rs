//! What holds whatever the numbers are: threads, plans, NaN, in-place, empty arrays.

use crate::case::{Array, Case, bits, contexts, dims};
use crate::common::{Random, context, isas};
use omma::conv::{Conv2d, Conv2dParams, Layout, conv2d};
use omma::runtime::{Context, Options};
use omma::simd::Activation;
use omma::tensor::{View, ViewMut};

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
