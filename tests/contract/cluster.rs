//! The exports of `capi::kmeans`.

use super::{Arg, Case, Type, params_bytes};
use omma::capi::*;
use std::ptr::null_mut;

/// Two groups of points.
const POINTS: [f32; 10] = [0., 0., 1., 0., 0., 1., 9., 9., 8., 9.];

fn distance_params(metric: i32) -> Vec<u8> {
    params_bytes(&OmmaPairwiseDistanceParams {
        struct_size: size_of::<OmmaPairwiseDistanceParams>() as u32,
        metric,
    })
}

fn kmeans_params() -> Vec<u8> {
    params_bytes(&OmmaKmeansParams {
        struct_size: size_of::<OmmaKmeansParams>() as u32,
        flags: OMMA_KMEANS_TOLERANCE,
        init: OMMA_KMEANS_RANDOM,
        reserved: 0,
        max_iterations: 20,
        n_init: 2,
        seed: 3,
        tolerance: 0.0,
        callback: None,
        callback_user: null_mut(),
    })
}

fn anchors_params() -> Vec<u8> {
    params_bytes(&OmmaKmeansAnchorsParams {
        struct_size: size_of::<OmmaKmeansAnchorsParams>() as u32,
        average: OMMA_ANCHORS_MEAN,
        max_iterations: 20,
        seed: 3,
    })
}

fn doubles(name: &'static str, shape: &[i64], values: &[f64]) -> Arg {
    let bytes = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    Arg::input_bytes(name, Type::F64, shape, bytes)
}

pub fn cases() -> Vec<Case> {
    let x = || Arg::input("x", &[5, 2], &POINTS);
    let centroids = || Arg::input("centroids", &[2, 2], &[0., 0., 9., 8.]);
    let weight = || Arg::input("sample_weight", &[5], &[1., 2., 1., 1., 3.]).optional();
    let labels = || Arg::output("labels", Type::I64, &[5]);
    let distance = |metric: i32, covariance: Option<Arg>| {
        let given = covariance.is_some();
        let mut args = vec![
            Arg::input("a", &[2, 2], &POINTS[..4]),
            Arg::input("b", &[3, 2], &POINTS[4..]),
        ];
        args.extend(covariance);
        args.push(Arg::output("output", Type::F32, &[2, 3]));
        Case {
            export: "omma_pairwise_distance",
            op: "pairwise_distance",
            params: distance_params(metric),
            args,
            call: Box::new(move |ctx, params, t| {
                let (covariance, output) = match given {
                    true => (t[2], t[3]),
                    false => (std::ptr::null(), t[2]),
                };
                // SAFETY: what the contract makes of valid arguments.
                unsafe {
                    omma_pairwise_distance(ctx, params.cast(), t[0], t[1], covariance, output)
                }
            }),
            in_place: false,
        }
    };
    vec![
        distance(OMMA_METRIC_COSINE, None),
        distance(
            OMMA_METRIC_MAHALANOBIS,
            Some(Arg::input("covariance", &[2, 2], &[2., 1., 1., 2.])),
        ),
        Case {
            export: "omma_kmeans_assign",
            op: "kmeans_assign",
            params: Vec::new(),
            args: vec![
                x(),
                centroids().any_shape(),
                labels(),
                Arg::output("distances", Type::F32, &[5]).optional(),
            ],
            call: Box::new(|ctx, _, t| {
                // SAFETY: what the contract makes of valid arguments.
                unsafe { omma_kmeans_assign(ctx, t[0], t[1], t[2], t[3]) }
            }),
            in_place: false,
        },
        Case {
            export: "omma_kmeans",
            op: "kmeans",
            params: kmeans_params(),
            args: vec![
                x(),
                Arg::input("init", &[2, 2], &[0., 0., 9., 8.]).optional(),
                weight(),
                labels(),
                Arg::output("centroids", Type::F32, &[2, 2]),
            ],
            call: Box::new(|ctx, params, t| {
                let (mut inertia, mut iterations) = (0.0, 0);
                // SAFETY: what the contract makes of valid arguments.
                unsafe {
                    let (inertia, iterations) = (&mut inertia, &mut iterations);
                    let p = params.cast();
                    omma_kmeans(ctx, p, t[0], t[1], t[2], t[3], t[4], inertia, iterations)
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_kmeans_accumulate",
            op: "kmeans_accumulate",
            params: Vec::new(),
            args: vec![
                x(),
                centroids(),
                weight(),
                Arg::output("sums", Type::F64, &[2, 2]),
                Arg::output("counts", Type::F64, &[2]),
                labels().optional(),
            ],
            call: Box::new(|ctx, _, t| {
                // SAFETY: what the contract makes of valid arguments.
                unsafe {
                    omma_kmeans_accumulate(ctx, t[0], t[1], t[2], t[3], t[4], t[5], null_mut())
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_kmeans_update",
            op: "kmeans_update",
            params: Vec::new(),
            args: vec![
                doubles("sums", &[2, 2], &[3., 4., 5., 6.]),
                doubles("counts", &[2], &[2., 0.]),
                centroids(),
                Arg::output("updated", Type::F32, &[2, 2]),
            ],
            call: Box::new(|ctx, _, t| {
                // SAFETY: what the contract makes of valid arguments.
                unsafe { omma_kmeans_update(ctx, t[0], t[1], t[2], t[3], null_mut()) }
            }),
            in_place: true,
        },
        Case {
            export: "omma_kmeans_anchors",
            op: "kmeans_anchors",
            params: anchors_params(),
            args: vec![
                Arg::input("wh", &[5, 2], &[1., 2., 2., 1., 9., 9., 8., 9., 1., 1.]),
                Arg::input("init", &[2, 2], &[1., 1., 9., 9.]).optional(),
                Arg::output("anchors", Type::F32, &[2, 2]),
                labels().optional(),
            ],
            call: Box::new(|ctx, params, t| {
                let mut mean = 0.0;
                // SAFETY: what the contract makes of valid arguments.
                unsafe {
                    omma_kmeans_anchors(ctx, params.cast(), t[0], t[1], t[2], t[3], &mut mean)
                }
            }),
            in_place: false,
        },
    ]
}
