//! The exports of `capi::attention` and `capi::norm`.

use super::{Arg, Case, Type, params_bytes};
use omma::capi::*;

fn floats(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 37 % 19) as f32 / 4.0 - 2.0).collect()
}

fn attention(queries: i64, mask: Arg) -> Case {
    let (heads, groups, keys, dim, value_dim) = (4, 2, 21, 5, 7);
    let arrays = |shape: [i64; 4]| floats(shape.iter().product::<i64>() as usize);
    let (q, k) = ([2, heads, queries, dim], [2, groups, keys, dim]);
    let (v, y) = ([2, groups, keys, value_dim], [2, heads, queries, value_dim]);
    Case {
        export: "omma_attention",
        op: "attention",
        params: params_bytes(&OmmaAttentionParams {
            struct_size: size_of::<OmmaAttentionParams>() as u32,
            flags: OMMA_ATTENTION_CAUSAL | OMMA_ATTENTION_SCALE,
            causal_offset: 13,
            scale: 0.3,
            softcap: 4.0,
        }),
        args: vec![
            Arg::input("q", &q, &arrays(q)),
            Arg::input("k", &k, &arrays(k)),
            Arg::input("v", &v, &arrays(v)),
            // It broadcasts, so other shapes can be legal, and there are two types of it.
            mask.optional().any_shape().any_type(),
            Arg::output("output", Type::F32, &y),
            Arg::output("log_sum_exp", Type::F32, &y[..3]).optional(),
        ],
        call: Box::new(|ctx, p, t| {
            // SAFETY: the harness gives what the export documents, or expects an error.
            unsafe { omma_attention(ctx, p.cast(), t[0], t[1], t[2], t[3], t[4], t[5]) }
        }),
        in_place: false,
    }
}

fn norm_params() -> Vec<u8> {
    params_bytes(&OmmaNormParams {
        struct_size: size_of::<OmmaNormParams>() as u32,
        flags: OMMA_NORM_AXIS | OMMA_NORM_EPS,
        axis: 1,
        eps: 0.25,
    })
}

pub fn cases() -> Vec<Case> {
    let bits: Vec<u8> = (0..21).map(|i| u8::from(i % 3 != 1)).collect();
    let select = Arg::input_bytes("mask", Type::Bool, &[1, 21], bits);
    let add = Arg::input("mask", &[3, 21], &floats(63));
    let input = Arg::input("input", &[3, 5, 7], &floats(105));
    let residual = Arg::input("residual", &[3, 5, 7], &floats(105)).optional();
    let weight = Arg::input("gamma", &[5, 7], &floats(35)).optional();
    let bias = Arg::input("beta", &[5, 7], &floats(35)).optional();
    let output = Arg::output("output", Type::F32, &[3, 5, 7]);
    let sum = Arg::output("sum", Type::F32, &[3, 5, 7]).optional();
    vec![
        attention(3, add),
        attention(19, select),
        Case {
            export: "omma_layer_norm",
            op: "layer_norm",
            params: norm_params(),
            args: vec![
                input.clone(),
                residual.clone(),
                weight.clone(),
                bias,
                output.clone(),
                sum.clone(),
            ],
            call: Box::new(|ctx, p, t| {
                // SAFETY: as above.
                unsafe { omma_layer_norm(ctx, p.cast(), t[0], t[1], t[2], t[3], t[4], t[5]) }
            }),
            in_place: true,
        },
        Case {
            export: "omma_rms_norm",
            op: "rms_norm",
            params: norm_params(),
            args: vec![input, residual, weight, output, sum],
            call: Box::new(|ctx, p, t| {
                // SAFETY: as above.
                unsafe { omma_rms_norm(ctx, p.cast(), t[0], t[1], t[2], t[3], t[4]) }
            }),
            in_place: true,
        },
    ]
}
