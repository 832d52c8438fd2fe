//! conv2d, and its plan, under the contract of the C ABI.

use super::{Arg, Case, Type, params_bytes};
use omma::capi::*;
use std::ptr::{null, null_mut};

fn params() -> OmmaConv2dParams {
    OmmaConv2dParams {
        struct_size: size_of::<OmmaConv2dParams>() as u32,
        layout: OMMA_LAYOUT_NCHW,
        stride: [1, 2],
        padding: [1, 0, 2, 1],
        dilation: [1, 1],
        groups: 2,
        activation: OMMA_ACTIVATION_RELU,
        negative_slope: 0.0,
        algorithm: OMMA_CONV_AUTO,
        activation_slope: null(),
    }
}

fn transposed_params() -> OmmaConvTranspose2dParams {
    OmmaConvTranspose2dParams {
        struct_size: size_of::<OmmaConvTranspose2dParams>() as u32,
        layout: OMMA_LAYOUT_NCHW,
        stride: [1, 2],
        padding: [1, 0, 2, 1],
        output_padding: [0, 1],
        dilation: [1, 1],
        groups: 2,
        activation: OMMA_ACTIVATION_RELU,
        negative_slope: 0.0,
        reserved: 0,
        activation_slope: null(),
    }
}

/// A compact array.
fn tensor(values: &[f32], shape: &[i64]) -> OmmaTensor {
    OmmaTensor {
        data: values.as_ptr().cast_mut().cast(),
        device: OmmaDevice {
            device_type: OMMA_DEVICE_CPU,
            device_id: 0,
        },
        ndim: shape.len() as i32,
        dtype: OmmaDataType {
            code: OMMA_DTYPE_FLOAT,
            bits: 32,
            lanes: 1,
        },
        shape: shape.as_ptr(),
        strides: null(),
        byte_offset: 0,
    }
}

fn floats(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 37 % 19) as f32 / 4.0 - 2.0).collect()
}

pub fn cases() -> Vec<Case> {
    let input = Arg::input("input", &[2, 4, 5, 9], &floats(360)).any_shape();
    // A window of another size can give an output of the same size.
    let weight = Arg::input("weight", &[6, 2, 3, 3], &floats(108)).any_shape();
    let bias = Arg::input("bias", &[6], &floats(6)).optional();
    let residual = Arg::input("residual", &[2, 6, 4, 5], &floats(240)).optional();
    let output = Arg::output("output", Type::F32, &[2, 6, 4, 5]);
    let transposed_input = Arg::input("input", &[2, 4, 5, 3], &floats(120)).any_shape();
    let transposed_weight = Arg::input("weight", &[4, 3, 3, 3], &floats(108)).any_shape();
    let transposed_bias = Arg::input("bias", &[6], &floats(6)).optional();
    let transposed_output = Arg::output("output", Type::F32, &[2, 6, 6, 5]);
    vec![
        Case {
            export: "omma_conv2d",
            op: "conv2d",
            params: params_bytes(&params()),
            args: vec![
                input.clone(),
                weight.clone(),
                bias.clone(),
                residual.clone(),
                output.clone(),
            ],
            call: Box::new(|ctx, params, t| {
                // SAFETY: the harness hands over valid memory.
                unsafe { omma_conv2d(ctx, params.cast(), t[0], t[1], t[2], t[3], t[4]) }
            }),
            in_place: true,
        },
        Case {
            export: "omma_conv2d_create",
            op: "conv2d",
            params: params_bytes(&params()),
            args: vec![weight.any_shape(), bias],
            call: Box::new(|ctx, params, t| {
                let mut plan = null_mut();
                // SAFETY: the harness hands over valid memory.
                unsafe {
                    let status = omma_conv2d_create(ctx, params.cast(), t[0], t[1], &mut plan);
                    assert_eq!(status == OMMA_OK, !plan.is_null());
                    omma_conv2d_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_conv2d_run",
            op: "conv2d",
            params: vec![],
            args: vec![input, residual, output],
            call: Box::new(|ctx, _, t| {
                let w = floats(108);
                let shape = [6i64, 2, 3, 3];
                let weight = tensor(&w, &shape);
                let mut plan = null_mut();
                // SAFETY: the harness hands over valid memory.
                unsafe {
                    let made = omma_conv2d_create(ctx, &params(), &weight, null(), &mut plan);
                    assert_eq!(made, OMMA_OK);
                    let status = omma_conv2d_run(ctx, plan, t[0], t[1], t[2]);
                    omma_conv2d_destroy(plan);
                    status
                }
            }),
            in_place: true,
        },
        Case {
            export: "omma_conv_transpose2d",
            op: "conv_transpose2d",
            params: params_bytes(&transposed_params()),
            args: vec![
                transposed_input.clone(),
                transposed_weight.clone(),
                transposed_bias.clone(),
                transposed_output.clone(),
            ],
            call: Box::new(|ctx, params, t| {
                // SAFETY: the harness hands over valid memory.
                unsafe { omma_conv_transpose2d(ctx, params.cast(), t[0], t[1], t[2], t[3]) }
            }),
            in_place: false,
        },
        Case {
            export: "omma_conv_transpose2d_create",
            op: "conv_transpose2d",
            params: params_bytes(&transposed_params()),
            args: vec![transposed_weight.any_shape(), transposed_bias],
            call: Box::new(|ctx, params, t| {
                let mut plan = null_mut();
                // SAFETY: the harness hands over valid memory.
                unsafe {
                    let status =
                        omma_conv_transpose2d_create(ctx, params.cast(), t[0], t[1], &mut plan);
                    assert_eq!(status == OMMA_OK, !plan.is_null());
                    omma_conv_transpose2d_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_conv_transpose2d_run",
            op: "conv_transpose2d",
            params: vec![],
            args: vec![transposed_input, transposed_output],
            call: Box::new(|ctx, _, t| {
                let w = floats(108);
                let shape = [4i64, 3, 3, 3];
                let weight = tensor(&w, &shape);
                let mut plan = null_mut();
                // SAFETY: the harness hands over valid memory.
                unsafe {
                    let params = transposed_params();
                    let made =
                        omma_conv_transpose2d_create(ctx, &params, &weight, null(), &mut plan);
                    assert_eq!(made, OMMA_OK);
                    let status = omma_conv_transpose2d_run(ctx, plan, t[0], t[1]);
                    omma_conv_transpose2d_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_deform_conv2d",
            op: "deform_conv2d",
            params: params_bytes(&OmmaDeformConv2dParams {
                struct_size: size_of::<OmmaDeformConv2dParams>() as u32,
                stride: [1, 1],
                padding: [1, 0, 1, 1],
                dilation: [1, 1],
            }),
            args: vec![
                Arg::input("input", &[2, 4, 4, 6], &floats(192)),
                Arg::input("offset", &[2, 36, 3, 6], &floats(1296)),
                Arg::input("weight", &[6, 2, 3, 3], &floats(108)),
                Arg::input("bias", &[6], &floats(6)).optional(),
                Arg::input("mask", &[2, 18, 3, 6], &floats(648)).optional(),
                Arg::output("output", Type::F32, &[2, 6, 3, 6]),
            ],
            call: Box::new(|ctx, params, t| {
                // SAFETY: the harness hands over valid memory.
                unsafe {
                    omma_deform_conv2d(ctx, params.cast(), t[0], t[1], t[2], t[3], t[4], t[5])
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_fold_batch_norm",
            op: "fold_batch_norm",
            params: params_bytes(&OmmaFoldBatchNormParams {
                struct_size: size_of::<OmmaFoldBatchNormParams>() as u32,
                eps: 0.0,
            }),
            args: vec![
                Arg::input("weight", &[6, 2, 3], &floats(36)).any_shape(),
                Arg::input("bias", &[6], &floats(6)).optional(),
                Arg::input("gamma", &[6], &floats(6)).optional(),
                Arg::input("beta", &[6], &floats(6)).optional(),
                Arg::input("mean", &[6], &floats(6)),
                Arg::input("variance", &[6], &[1.0, 2.0, 0.0, 4.0, 5.0, 6.0]),
                Arg::output("output_weight", Type::F32, &[6, 2, 3]),
                Arg::output("output_bias", Type::F32, &[6]),
            ],
            call: Box::new(|ctx, params, t| {
                // SAFETY: the harness hands over valid memory.
                unsafe {
                    let p = params.cast();
                    omma_fold_batch_norm(ctx, p, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7])
                }
            }),
            in_place: true,
        },
        Case {
            export: "omma_merge_parallel_conv2d",
            op: "merge_parallel_conv2d",
            params: params_bytes(&OmmaMergeParallelConv2dParams {
                struct_size: size_of::<OmmaMergeParallelConv2dParams>() as u32,
                layout: OMMA_LAYOUT_NCHW,
            }),
            args: vec![
                Arg::input("weight_1", &[6, 2, 3, 1], &floats(36)).any_shape(),
                Arg::input("bias_1", &[6], &floats(6)).optional(),
                Arg::input("weight_2", &[6, 2, 1, 5], &floats(60)).any_shape(),
                Arg::input("bias_2", &[6], &floats(6)).optional(),
                Arg::output("output_weight", Type::F32, &[6, 2, 3, 5]),
                Arg::output("output_bias", Type::F32, &[6]),
            ],
            call: Box::new(|ctx, params, t| {
                // SAFETY: the harness hands over valid memory.
                unsafe {
                    let p = params.cast();
                    omma_merge_parallel_conv2d(ctx, p, t[0], t[1], t[2], t[3], t[4], t[5])
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_merge_conv2d_avg_pool2d",
            op: "merge_conv2d_avg_pool2d",
            params: params_bytes(&OmmaMergeConv2dAvgPool2dParams {
                struct_size: size_of::<OmmaMergeConv2dAvgPool2dParams>() as u32,
                layout: OMMA_LAYOUT_NCHW,
                kernel_size: [2, 3],
                stride: [1, 2],
            }),
            args: vec![
                Arg::input("weight", &[6, 2, 3, 1], &floats(36)).any_shape(),
                Arg::output("output_weight", Type::F32, &[6, 2, 4, 5]),
            ],
            call: Box::new(|ctx, params, t| {
                // SAFETY: the harness hands over valid memory.
                unsafe { omma_merge_conv2d_avg_pool2d(ctx, params.cast(), t[0], t[1]) }
            }),
            in_place: false,
        },
    ]
}
