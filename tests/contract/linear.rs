//! matmul, linear, and its plan, under the contract of the C ABI.

use super::{Arg, Case, Type, params_bytes};
use omma::capi::*;
use std::ptr::{null, null_mut};

fn params() -> OmmaLinearParams {
    OmmaLinearParams {
        struct_size: size_of::<OmmaLinearParams>() as u32,
        activation: OMMA_ACTIVATION_RELU,
        negative_slope: 0.0,
        flags: 0,
    }
}

fn floats(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 37 % 19) as f32 / 4.0 - 2.0).collect()
}

pub fn cases() -> Vec<Case> {
    let input = Arg::input("input", &[3, 5, 11], &floats(165));
    let weight = Arg::input("weight", &[7, 11], &floats(77));
    let bias = Arg::input("bias", &[7], &floats(7)).optional();
    let output = Arg::output("output", Type::F32, &[3, 5, 7]);
    vec![
        Case {
            export: "omma_matmul",
            op: "matmul",
            params: vec![],
            args: vec![
                // Batches broadcast, so other shapes of both can be legal.
                Arg::input("a", &[2, 1, 5, 7], &floats(70)).any_shape(),
                Arg::input("b", &[3, 7, 9], &floats(189)).any_shape(),
                Arg::output("output", Type::F32, &[2, 3, 5, 9]),
            ],
            call: Box::new(|ctx, _, t| {
                // SAFETY: the harness hands over valid memory.
                unsafe { omma_matmul(ctx, t[0], t[1], t[2]) }
            }),
            in_place: false,
        },
        Case {
            export: "omma_linear",
            op: "linear",
            params: params_bytes(&params()),
            args: vec![input.clone(), weight.clone(), bias.clone(), output.clone()],
            call: Box::new(|ctx, params, t| {
                // SAFETY: the harness hands over valid memory.
                unsafe { omma_linear(ctx, params.cast(), t[0], t[1], t[2], t[3]) }
            }),
            in_place: false,
        },
        Case {
            export: "omma_linear_create",
            op: "linear",
            params: params_bytes(&params()),
            args: vec![weight.any_shape(), bias],
            call: Box::new(|ctx, params, t| {
                let mut plan = null_mut();
                // SAFETY: the harness hands over valid memory.
                unsafe {
                    let status = omma_linear_create(ctx, params.cast(), t[0], t[1], &mut plan);
                    assert_eq!(status == OMMA_OK, !plan.is_null());
                    omma_linear_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_linear_run",
            op: "linear",
            params: vec![],
            args: vec![input, output],
            call: Box::new(|ctx, _, t| {
                let w = floats(77);
                let shape = [7i64, 11];
                let weight = OmmaTensor {
                    data: w.as_ptr().cast_mut().cast(),
                    device: OmmaDevice {
                        device_type: OMMA_DEVICE_CPU,
                        device_id: 0,
                    },
                    ndim: 2,
                    dtype: OmmaDataType {
                        code: OMMA_DTYPE_FLOAT,
                        bits: 32,
                        lanes: 1,
                    },
                    shape: shape.as_ptr(),
                    strides: null(),
                    byte_offset: 0,
                };
                let mut plan = null_mut();
                // SAFETY: the harness hands over valid memory; the plan lives until destroyed.
                unsafe {
                    let status = omma_linear_create(null(), null(), &weight, null(), &mut plan);
                    assert_eq!(status, OMMA_OK);
                    let status = omma_linear_run(ctx, plan, t[0], t[1]);
                    omma_linear_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
    ]
}
