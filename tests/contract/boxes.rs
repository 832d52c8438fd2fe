//! The exports of `capi::boxes`.

use super::{Arg, Case, Type, params_bytes};
use omma::capi::*;

const BOXES: [f32; 20] = [
    0., 0., 10., 10., 1., 1., 11., 11., 20., 20., 30., 30., 21., 20., 30., 31., -5., 0., 0., 5.,
];
const SCORES: [f32; 5] = [0.5, 0.9, 0.4, 0.7, 0.1];

fn iou_params() -> Vec<u8> {
    params_bytes(&OmmaBoxIouParams {
        struct_size: size_of::<OmmaBoxIouParams>() as u32,
        kind: OMMA_GIOU,
        format: OMMA_BOX_XYXY,
        offset: 1,
    })
}

fn nms_params() -> Vec<u8> {
    params_bytes(&OmmaNmsParams {
        struct_size: size_of::<OmmaNmsParams>() as u32,
        flags: OMMA_NMS_SCORE_THRESHOLD,
        iou_threshold: 0.5,
        score_threshold: 0.05,
        max_output: 4,
        max_candidates: 5,
        format: OMMA_BOX_XYXY,
        offset: 0,
        overlap: OMMA_OVERLAP_UNION,
        reserved: 0,
    })
}

pub fn cases() -> Vec<Case> {
    let a = || Arg::input("a", &[2, 4], &BOXES[..8]).any_shape();
    let b = |n: usize| Arg::input("b", &[n as i64, 4], &BOXES[..4 * n]).any_shape();
    let boxes = || Arg::input("boxes", &[5, 4], &BOXES);
    let scores = || Arg::input("scores", &[5], &SCORES);
    // A capacity is free, as long as the result fits: there is room to spare.
    let indices = || Arg::output("indices", Type::I64, &[4]).any_shape();
    let classes = |ty: Type| {
        let data = match ty {
            Type::I32 => [1i32, 1, 7, 7, 1]
                .iter()
                .flat_map(|c| c.to_ne_bytes())
                .collect(),
            _ => [1i64, 1, 7, 7, 1]
                .iter()
                .flat_map(|c| c.to_ne_bytes())
                .collect(),
        };
        Arg::input_bytes("classes", ty, &[5], data)
    };
    let batched = |ty: Type| Case {
        export: "omma_batched_nms",
        op: "batched_nms",
        params: nms_params(),
        args: vec![boxes(), scores(), classes(ty), indices()],
        call: Box::new(|ctx, params, t| {
            let mut count = 0;
            // SAFETY: what the contract makes of valid arguments.
            unsafe {
                omma_batched_nms(
                    ctx.cast_mut(),
                    params.cast(),
                    t[0],
                    t[1],
                    t[2],
                    t[3],
                    &mut count,
                )
            }
        }),
        in_place: false,
    };
    vec![
        Case {
            export: "omma_box_iou",
            op: "box_iou",
            params: iou_params(),
            args: vec![a(), b(3), Arg::output("output", Type::F32, &[2, 3])],
            call: Box::new(|ctx, params, t| {
                // SAFETY: what the contract makes of valid arguments.
                unsafe { omma_box_iou(ctx.cast_mut(), params.cast(), t[0], t[1], t[2]) }
            }),
            in_place: false,
        },
        Case {
            export: "omma_box_iou_elementwise",
            op: "box_iou_elementwise",
            params: iou_params(),
            args: vec![a(), b(2), Arg::output("output", Type::F32, &[2])],
            call: Box::new(|ctx, params, t| {
                // SAFETY: what the contract makes of valid arguments.
                unsafe { omma_box_iou_elementwise(ctx.cast_mut(), params.cast(), t[0], t[1], t[2]) }
            }),
            in_place: false,
        },
        Case {
            export: "omma_nms",
            op: "nms",
            params: nms_params(),
            args: vec![boxes(), scores(), indices()],
            call: Box::new(|ctx, params, t| {
                let mut count = 0;
                // SAFETY: what the contract makes of valid arguments.
                unsafe { omma_nms(ctx.cast_mut(), params.cast(), t[0], t[1], t[2], &mut count) }
            }),
            in_place: false,
        },
        batched(Type::I64),
        batched(Type::I32),
    ]
}
