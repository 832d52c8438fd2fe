//! The exports of `capi::assignment`, `capi::mean_shift` and `capi::neighbours`.

use super::{Arg, Case, Type, params_bytes};
use omma::capi::*;

const POINTS: [f32; 12] = [0., 0., 1., 0., 0., 1., 9., 9., 8., 9., 4., 4.];

fn mean_shift_params() -> Vec<u8> {
    params_bytes(&OmmaMeanShiftParams {
        struct_size: size_of::<OmmaMeanShiftParams>() as u32,
        flags: OMMA_MEAN_SHIFT_ORPHANS,
        bandwidth: 2.0,
        kernel: OMMA_MEAN_SHIFT_GAUSSIAN,
        reserved: 0,
        min_bin_freq: 1,
        max_iterations: 20,
    })
}

fn match_params() -> Vec<u8> {
    params_bytes(&OmmaMatchDescriptorsParams {
        struct_size: size_of::<OmmaMatchDescriptorsParams>() as u32,
        flags: OMMA_MATCH_RATIO | OMMA_MATCH_MAX_DISTANCE,
        cross_check: 1,
        reserved: 0,
        ratio: 1e9,
        max_distance: 1e9,
    })
}

fn assignment(cost: Arg, maximize: i32) -> Case {
    Case {
        export: "omma_linear_assignment",
        op: "linear_assignment",
        params: params_bytes(&OmmaLinearAssignmentParams {
            struct_size: size_of::<OmmaLinearAssignmentParams>() as u32,
            maximize,
        }),
        args: vec![
            cost.any_type().any_shape(),
            Arg::output("rows", Type::I64, &[2]),
            Arg::output("cols", Type::I64, &[2]),
        ],
        call: Box::new(|ctx, params, t| {
            let mut total = 0.0;
            // SAFETY: what the contract makes of valid arguments.
            unsafe { omma_linear_assignment(ctx, params.cast(), t[0], t[1], t[2], &mut total) }
        }),
        in_place: false,
    }
}

fn matches(a: Arg, b: Arg) -> Case {
    Case {
        export: "omma_match_descriptors",
        op: "match_descriptors",
        params: match_params(),
        args: vec![
            a.any_shape(),
            b.any_shape(),
            Arg::output("pairs", Type::I64, &[3, 2]).any_shape(),
            Arg::output("distances", Type::F32, &[3]).any_shape(),
        ],
        call: Box::new(|ctx, params, t| {
            let mut count = 0;
            // SAFETY: what the contract makes of valid arguments.
            unsafe {
                omma_match_descriptors(ctx, params.cast(), t[0], t[1], t[2], t[3], &mut count)
            }
        }),
        in_place: false,
    }
}

pub fn cases() -> Vec<Case> {
    let costs = [4.0f64, 1.0, 3.0, 2.0, 0.0, 5.0];
    let wide = costs.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let narrow = costs.map(|v| v as f32);
    vec![
        assignment(Arg::input_bytes("cost", Type::F64, &[2, 3], wide), 1),
        assignment(Arg::input("cost", &[3, 2], &narrow), 0),
        Case {
            export: "omma_mean_shift",
            op: "mean_shift",
            params: mean_shift_params(),
            args: vec![
                Arg::input("x", &[6, 2], &POINTS),
                Arg::input("seeds", &[2, 2], &POINTS[..4])
                    .optional()
                    .any_shape(),
                Arg::output("labels", Type::I64, &[6]),
                Arg::output("centers", Type::F32, &[6, 2]).any_shape(),
            ],
            call: Box::new(|ctx, params, t| {
                let mut count = 0;
                // SAFETY: what the contract makes of valid arguments.
                unsafe { omma_mean_shift(ctx, params.cast(), t[0], t[1], t[2], t[3], &mut count) }
            }),
            in_place: false,
        },
        Case {
            export: "omma_knn",
            op: "knn",
            params: params_bytes(&OmmaKnnParams {
                struct_size: size_of::<OmmaKnnParams>() as u32,
                metric: OMMA_METRIC_MAHALANOBIS,
            }),
            args: vec![
                Arg::input("queries", &[2, 2], &POINTS[..4]),
                Arg::input("data", &[4, 2], &POINTS[4..]).any_shape(),
                Arg::input("covariance", &[2, 2], &[2., 1., 1., 2.]),
                Arg::output("indices", Type::I64, &[2, 3]),
                Arg::output("distances", Type::F32, &[2, 3]),
            ],
            call: Box::new(|ctx, params, t| {
                // SAFETY: what the contract makes of valid arguments.
                unsafe { omma_knn(ctx, params.cast(), t[0], t[1], t[2], t[3], t[4]) }
            }),
            in_place: false,
        },
        matches(
            Arg::input("a", &[3, 2], &POINTS[..6]),
            Arg::input("b", &[3, 2], &POINTS[..6]),
        ),
        matches(
            Arg::input_bytes("a", Type::U8, &[3, 16], (0..48).collect()),
            Arg::input_bytes("b", Type::U8, &[3, 16], (0..48).collect()),
        ),
    ]
}
