//! The exports of `capi::multi_head` and `capi::transformer`.

use super::{Arg, Case, Type, params_bytes};
use omma::capi::*;
use std::ptr::{null, null_mut};

/// Quarters, so that sums are exact in any order: an output that is its own residual is added to in another one.
fn floats(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 37 % 19) as f32 / 4.0 - 2.0).collect()
}

fn input(name: &'static str, shape: &[i64]) -> Arg {
    Arg::input(name, shape, &floats(shape.iter().product::<i64>() as usize))
}

/// A tensor of floats that a plan is made of.
struct Weight {
    data: Vec<f32>,
    shape: Vec<i64>,
}

impl Weight {
    fn new(shape: &[i64]) -> Weight {
        Weight {
            data: floats(shape.iter().product::<i64>() as usize),
            shape: shape.to_vec(),
        }
    }
    fn tensor(&self) -> OmmaTensor {
        OmmaTensor {
            data: self.data.as_ptr().cast_mut().cast(),
            device: OmmaDevice {
                device_type: OMMA_DEVICE_CPU,
                device_id: 0,
            },
            ndim: self.shape.len() as i32,
            dtype: OmmaDataType {
                code: OMMA_DTYPE_FLOAT,
                bits: 32,
                lanes: 1,
            },
            shape: self.shape.as_ptr(),
            strides: null(),
            byte_offset: 0,
        }
    }
}

fn multi_head(flags: u32) -> OmmaMultiHeadAttentionParams {
    OmmaMultiHeadAttentionParams {
        struct_size: size_of::<OmmaMultiHeadAttentionParams>() as u32,
        flags,
        num_heads: 4,
        num_kv_heads: 2,
        causal_offset: 3,
        scale: 0.5,
        softcap: 8.0,
    }
}

fn feed_forward() -> OmmaFeedForwardParams {
    OmmaFeedForwardParams {
        struct_size: size_of::<OmmaFeedForwardParams>() as u32,
        activation: OMMA_ACTIVATION_RELU6,
        negative_slope: 0.0,
        flags: 0,
    }
}

fn encoder() -> OmmaTransformerEncoderLayerParams {
    OmmaTransformerEncoderLayerParams {
        struct_size: size_of::<OmmaTransformerEncoderLayerParams>() as u32,
        flags: OMMA_ENCODER_LAYER_EPS | OMMA_ENCODER_LAYER_CAUSAL,
        num_heads: 2,
        activation: OMMA_ACTIVATION_GELU,
        negative_slope: 0.0,
        eps: 0.25,
    }
}

/// The weights of multi-head attention.
fn projections() -> Vec<Arg> {
    vec![
        input("w_q", &[12, 5]),
        input("b_q", &[12]).optional(),
        input("w_k", &[6, 6]),
        input("b_k", &[6]).optional(),
        input("w_v", &[4, 7]),
        input("b_v", &[4]).optional(),
        input("w_o", &[9, 8]),
        input("b_o", &[9]).optional(),
    ]
}

const ENCODER: [(&str, &[i64]); 12] = [
    ("in_proj_weight", &[18, 6]),
    ("in_proj_bias", &[18]),
    ("out_proj_weight", &[6, 6]),
    ("out_proj_bias", &[6]),
    ("linear1_weight", &[11, 6]),
    ("linear1_bias", &[11]),
    ("linear2_weight", &[6, 11]),
    ("linear2_bias", &[6]),
    ("norm1_weight", &[6]),
    ("norm1_bias", &[6]),
    ("norm2_weight", &[6]),
    ("norm2_bias", &[6]),
];

fn mask(bits: usize) -> Arg {
    let seen = (0..bits).map(|i| u8::from(i % 3 != 1)).collect();
    let mask = Arg::input_bytes("mask", Type::Bool, &[1, bits as i64], seen);
    mask.optional().any_shape().any_type()
}

fn attention_cases() -> [Case; 3] {
    let call_arrays = [
        input("query", &[2, 3, 5]),
        input("key", &[2, 6, 6]),
        input("value", &[2, 6, 7]),
    ];
    let output = Arg::output("output", Type::F32, &[2, 3, 9]);
    let mut args = call_arrays.to_vec();
    args.extend(projections());
    args.extend([mask(6), output]);
    [
        Case {
            export: "omma_multi_head_attention",
            op: "multi_head_attention",
            params: params_bytes(&multi_head(OMMA_ATTENTION_CAUSAL | OMMA_ATTENTION_SCALE)),
            args,
            call: Box::new(|ctx, p, t| {
                // SAFETY: the harness gives what the export documents, or expects an error.
                unsafe {
                    omma_multi_head_attention(
                        ctx,
                        p.cast(),
                        t[0],
                        t[1],
                        t[2],
                        t[3],
                        t[4],
                        t[5],
                        t[6],
                        t[7],
                        t[8],
                        t[9],
                        t[10],
                        t[11],
                        t[12],
                    )
                }
            }),
            in_place: true,
        },
        Case {
            export: "omma_multi_head_attention_create",
            op: "multi_head_attention",
            params: params_bytes(&multi_head(0)),
            // Inputs and outputs can be of any number.
            args: projections().into_iter().map(Arg::any_shape).collect(),
            call: Box::new(|ctx, p, t| {
                let mut plan = null_mut();
                // SAFETY: as above.
                unsafe {
                    let status = omma_multi_head_attention_create(
                        ctx,
                        p.cast(),
                        t[0],
                        t[1],
                        t[2],
                        t[3],
                        t[4],
                        t[5],
                        t[6],
                        t[7],
                        &mut plan,
                    );
                    assert_eq!(status == OMMA_OK, !plan.is_null());
                    omma_multi_head_attention_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_multi_head_attention_run",
            op: "multi_head_attention",
            params: vec![],
            args: vec![
                input("query", &[2, 3, 9]),
                input("key", &[2, 6, 6]),
                input("value", &[2, 6, 7]),
                mask(6),
                input("residual", &[2, 3, 9]).optional(),
                Arg::output("output", Type::F32, &[2, 3, 9]),
            ],
            call: Box::new(|ctx, _, t| {
                // Without queries the four keys that are seen are averaged, exactly.
                let mut arrays = [[12, 9], [6, 6], [4, 7], [9, 8]].map(|shape| Weight::new(&shape));
                arrays[0].data.fill(0.0);
                let w = arrays.each_ref().map(Weight::tensor);
                let mut plan = null_mut();
                let (params, none) = (multi_head(0), null());
                // SAFETY: as above; the plan lives until destroyed.
                unsafe {
                    let status = omma_multi_head_attention_create(
                        null(),
                        &params,
                        &w[0],
                        none,
                        &w[1],
                        none,
                        &w[2],
                        none,
                        &w[3],
                        none,
                        &mut plan,
                    );
                    assert_eq!(status, OMMA_OK);
                    let status = omma_multi_head_attention_run(
                        ctx, plan, t[0], t[1], t[2], t[3], t[4], t[5],
                    );
                    omma_multi_head_attention_destroy(plan);
                    status
                }
            }),
            in_place: true,
        },
    ]
}

fn feed_forward_cases() -> [Case; 2] {
    [
        Case {
            export: "omma_feed_forward_create",
            op: "feed_forward",
            params: params_bytes(&feed_forward()),
            args: vec![
                input("w1", &[7, 5]).any_shape(),
                input("b1", &[7]).optional(),
                input("w2", &[5, 7]).any_shape(),
                input("b2", &[5]).optional(),
            ],
            call: Box::new(|ctx, p, t| {
                let mut plan = null_mut();
                // SAFETY: as above.
                unsafe {
                    let status =
                        omma_feed_forward_create(ctx, p.cast(), t[0], t[1], t[2], t[3], &mut plan);
                    assert_eq!(status == OMMA_OK, !plan.is_null());
                    omma_feed_forward_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_feed_forward_run",
            op: "feed_forward",
            params: vec![],
            args: vec![
                input("input", &[3, 2, 5]),
                input("residual", &[3, 2, 5]).optional(),
                Arg::output("output", Type::F32, &[3, 2, 5]),
            ],
            call: Box::new(|ctx, _, t| {
                let (w1, w2) = (Weight::new(&[7, 5]), Weight::new(&[5, 7]));
                let mut plan = null_mut();
                let (params, none) = (feed_forward(), null());
                // SAFETY: as above; the plan lives until destroyed.
                unsafe {
                    let (w1, w2) = (&w1.tensor(), &w2.tensor());
                    let status =
                        omma_feed_forward_create(null(), &params, w1, none, w2, none, &mut plan);
                    assert_eq!(status, OMMA_OK);
                    let status = omma_feed_forward_run(ctx, plan, t[0], t[1], t[2]);
                    omma_feed_forward_destroy(plan);
                    status
                }
            }),
            in_place: true,
        },
    ]
}

/// # Safety
/// Twelve pointers, each NULL or to a tensor.
unsafe fn encoder_plan(
    ctx: *const OmmaContext,
    params: *const OmmaTransformerEncoderLayerParams,
    w: &[*const OmmaTensor],
    plan: &mut *mut OmmaTransformerEncoderLayer,
) -> OmmaStatus {
    // SAFETY: the caller's promise.
    unsafe {
        omma_transformer_encoder_layer_create(
            ctx, params, w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11],
            plan,
        )
    }
}

fn encoder_cases() -> [Case; 2] {
    let args = ENCODER.iter().map(|(name, shape)| {
        let arg = input(name, shape);
        match name.ends_with("bias") || name.starts_with("norm") {
            true => arg.optional(),
            false => arg,
        }
    });
    [
        Case {
            export: "omma_transformer_encoder_layer_create",
            op: "transformer_encoder_layer",
            params: params_bytes(&encoder()),
            args: args.collect(),
            call: Box::new(|ctx, p, t| {
                let mut plan = null_mut();
                // SAFETY: as above.
                unsafe {
                    let status = encoder_plan(ctx, p.cast(), t, &mut plan);
                    assert_eq!(status == OMMA_OK, !plan.is_null());
                    omma_transformer_encoder_layer_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_transformer_encoder_layer_run",
            op: "transformer_encoder_layer",
            params: vec![],
            args: vec![
                input("input", &[2, 5, 6]),
                mask(5),
                Arg::output("output", Type::F32, &[2, 5, 6]),
            ],
            call: Box::new(|ctx, _, t| {
                let arrays = ENCODER.map(|(_, shape)| Weight::new(shape));
                let tensors = arrays.each_ref().map(Weight::tensor);
                let w = tensors.each_ref().map(std::ptr::from_ref);
                let mut plan = null_mut();
                // SAFETY: as above; the plan lives until destroyed.
                unsafe {
                    assert_eq!(encoder_plan(null(), &encoder(), &w, &mut plan), OMMA_OK);
                    let status = omma_transformer_encoder_layer_run(ctx, plan, t[0], t[1], t[2]);
                    omma_transformer_encoder_layer_destroy(plan);
                    status
                }
            }),
            in_place: true,
        },
    ]
}

fn patch_cases() -> [Case; 2] {
    [
        Case {
            export: "omma_patch_embedding_create",
            op: "patch_embedding",
            params: vec![],
            args: vec![
                // Any window, any number of positions.
                input("weight", &[5, 3, 2, 2]).any_shape(),
                input("bias", &[5]).optional(),
                input("class_token", &[5]).optional(),
                input("position_embedding", &[5, 5]).optional().any_shape(),
            ],
            call: Box::new(|ctx, _, t| {
                let mut plan = null_mut();
                // SAFETY: as above.
                unsafe {
                    let status =
                        omma_patch_embedding_create(ctx, t[0], t[1], t[2], t[3], &mut plan);
                    assert_eq!(status == OMMA_OK, !plan.is_null());
                    omma_patch_embedding_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_patch_embedding_run",
            op: "patch_embedding",
            params: vec![],
            args: vec![
                // A row of pixels more makes no patch more.
                input("input", &[2, 3, 4, 4]).any_shape(),
                Arg::output("output", Type::F32, &[2, 5, 5]),
            ],
            call: Box::new(|ctx, _, t| {
                let shapes: [&[i64]; 3] = [&[5, 3, 2, 2], &[5], &[5, 5]];
                let arrays = shapes.map(Weight::new);
                let mut plan = null_mut();
                // SAFETY: as above; the plan lives until destroyed.
                unsafe {
                    let w = arrays.each_ref().map(Weight::tensor);
                    let status =
                        omma_patch_embedding_create(null(), &w[0], &w[1], &w[1], &w[2], &mut plan);
                    assert_eq!(status, OMMA_OK);
                    let status = omma_patch_embedding_run(ctx, plan, t[0], t[1]);
                    omma_patch_embedding_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
    ]
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![Case {
        export: "omma_positional_encoding",
        op: "positional_encoding",
        params: vec![],
        args: vec![Arg::output("output", Type::F32, &[7, 5]).any_shape()],
        call: Box::new(|ctx, _, t| {
            // SAFETY: as above.
            unsafe { omma_positional_encoding(ctx, t[0]) }
        }),
        in_place: false,
    }];
    cases.extend(attention_cases());
    cases.extend(feed_forward_cases());
    cases.extend(encoder_cases());
    cases.extend(patch_cases());
    cases
}
