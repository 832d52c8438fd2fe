//! The exports of `capi::nn` and `capi::pool`.

use super::{Arg, Case, Type, params_bytes};
use omma::capi::*;

fn values(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37) % 23) as f32 / 5.0 - 2.0).collect()
}

fn input() -> Arg {
    Arg::input("input", &[2, 3, 5, 7], &values(210))
}

fn output() -> Arg {
    Arg::output("output", Type::F32, &[2, 3, 5, 7])
}

type Plain =
    unsafe extern "C" fn(*const OmmaContext, *const OmmaTensor, *const OmmaTensor) -> OmmaStatus;

fn plain(export: &'static str, f: Plain) -> Case {
    Case {
        export,
        op: export.strip_prefix("omma_").unwrap(),
        params: vec![],
        args: vec![input(), output()],
        // SAFETY: the harness gives what the export documents, or expects an error.
        call: Box::new(move |ctx, _, t| unsafe { f(ctx, t[0], t[1]) }),
        in_place: true,
    }
}

fn softmax(
    export: &'static str,
    axis: i32,
    f: unsafe extern "C" fn(
        *const OmmaContext,
        *const OmmaSoftmaxParams,
        *const OmmaTensor,
        *const OmmaTensor,
    ) -> OmmaStatus,
) -> Case {
    Case {
        export,
        op: export.strip_prefix("omma_").unwrap(),
        params: params_bytes(&OmmaSoftmaxParams {
            struct_size: size_of::<OmmaSoftmaxParams>() as u32,
            flags: OMMA_SOFTMAX_AXIS,
            axis,
        }),
        args: vec![
            Arg::input("input", &[3, 41, 7], &values(861)),
            Arg::output("output", Type::F32, &[3, 41, 7]),
        ],
        // SAFETY: as above.
        call: Box::new(move |ctx, p, t| unsafe { f(ctx, p.cast(), t[0], t[1]) }),
        in_place: true,
    }
}

fn max_pool(layout: i32, shape: [i64; 4], to: [i64; 4]) -> Case {
    Case {
        export: "omma_max_pool2d",
        op: "max_pool2d",
        params: params_bytes(&OmmaMaxPool2dParams {
            struct_size: size_of::<OmmaMaxPool2dParams>() as u32,
            flags: OMMA_POOL_CEIL_MODE,
            layout,
            kernel_size: [3, 2],
            stride: [2, 0],
            padding: [1, 0, 0, 1],
            dilation: [0, 2],
        }),
        args: vec![
            Arg::input("input", &shape, &values(210)).any_shape(),
            Arg::output("output", Type::F32, &to),
            Arg::output("indices", Type::I64, &to).optional(),
        ],
        // SAFETY: as above.
        call: Box::new(|ctx, p, t| unsafe { omma_max_pool2d(ctx, p.cast(), t[0], t[1], t[2]) }),
        in_place: false,
    }
}

fn avg_pool(layout: i32, shape: [i64; 4], to: [i64; 4], flags: u32, divisor: i32) -> Case {
    Case {
        export: "omma_avg_pool2d",
        op: "avg_pool2d",
        params: params_bytes(&OmmaAvgPool2dParams {
            struct_size: size_of::<OmmaAvgPool2dParams>() as u32,
            flags,
            layout,
            kernel_size: [3, 2],
            stride: [2, 0],
            padding: [1, 0, 0, 1],
            dilation: [0, 2],
            divisor_override: divisor,
        }),
        args: vec![
            Arg::input("input", &shape, &values(210)).any_shape(),
            Arg::output("output", Type::F32, &to),
        ],
        // SAFETY: as above.
        call: Box::new(|ctx, p, t| unsafe { omma_avg_pool2d(ctx, p.cast(), t[0], t[1]) }),
        in_place: false,
    }
}

fn prelu(shape: &[i64], axis: i32) -> Case {
    Case {
        export: "omma_prelu",
        op: "prelu",
        params: params_bytes(&OmmaPreluParams {
            struct_size: size_of::<OmmaPreluParams>() as u32,
            flags: OMMA_PRELU_AXIS,
            axis,
        }),
        args: vec![
            input(),
            Arg::input(
                "slope",
                shape,
                &values(shape.iter().product::<i64>() as usize),
            )
            .any_shape(),
            output(),
        ],
        // SAFETY: as above.
        call: Box::new(|ctx, p, t| unsafe { omma_prelu(ctx, p.cast(), t[0], t[1], t[2]) }),
        in_place: true,
    }
}

pub fn cases() -> Vec<Case> {
    let (nchw, nhwc) = ([2, 3, 5, 7], [2, 5, 7, 3]);
    let (to_nchw, to_nhwc) = ([2, 3, 3, 4], [2, 3, 4, 3]);
    vec![
        plain("omma_relu", omma_relu),
        plain("omma_relu6", omma_relu6),
        plain("omma_sigmoid", omma_sigmoid),
        plain("omma_tanh", omma_tanh),
        plain("omma_silu", omma_silu),
        plain("omma_hardswish", omma_hardswish),
        plain("omma_gelu", omma_gelu),
        plain("omma_gelu_tanh", omma_gelu_tanh),
        Case {
            export: "omma_leaky_relu",
            op: "leaky_relu",
            params: params_bytes(&OmmaLeakyReluParams {
                struct_size: size_of::<OmmaLeakyReluParams>() as u32,
                flags: OMMA_LEAKY_RELU_NEGATIVE_SLOPE,
                negative_slope: 0.3,
            }),
            args: vec![input(), output()],
            // SAFETY: as above.
            call: Box::new(|ctx, p, t| unsafe { omma_leaky_relu(ctx, p.cast(), t[0], t[1]) }),
            in_place: true,
        },
        prelu(&[3], -3),
        prelu(&[2, 1, 5, 7], 1),
        softmax("omma_softmax", 1, omma_softmax),
        softmax("omma_softmax", -1, omma_softmax),
        softmax("omma_log_softmax", 1, omma_log_softmax),
        max_pool(OMMA_LAYOUT_NCHW, nchw, to_nchw),
        max_pool(OMMA_LAYOUT_NHWC, nhwc, to_nhwc),
        avg_pool(OMMA_LAYOUT_NCHW, nchw, to_nchw, OMMA_POOL_CEIL_MODE, 0),
        avg_pool(OMMA_LAYOUT_NHWC, nhwc, to_nhwc, 3, 0),
        avg_pool(OMMA_LAYOUT_NCHW, nchw, to_nchw, OMMA_POOL_CEIL_MODE, 5),
    ]
}
