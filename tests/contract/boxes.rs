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

fn soft_params() -> Vec<u8> {
    params_bytes(&OmmaSoftNmsParams {
        struct_size: size_of::<OmmaSoftNmsParams>() as u32,
        flags: OMMA_SOFT_NMS_IOU_THRESHOLD | OMMA_SOFT_NMS_SCORE_THRESHOLD,
        method: OMMA_SOFT_NMS_GAUSSIAN,
        sigma: 0.5,
        iou_threshold: 0.4,
        score_threshold: 0.01,
        max_output: 4,
        format: OMMA_BOX_XYXY,
        offset: 0,
    })
}

fn matrix_params() -> Vec<u8> {
    params_bytes(&OmmaMatrixNmsParams {
        struct_size: size_of::<OmmaMatrixNmsParams>() as u32,
        flags: OMMA_MATRIX_NMS_SCORE_THRESHOLD,
        method: OMMA_MATRIX_NMS_LINEAR,
        sigma: 2.0,
        score_threshold: 0.05,
        post_threshold: -1.0,
        max_output: 4,
        max_candidates: 5,
        format: OMMA_BOX_XYXY,
        offset: 0,
    })
}

fn convert_params() -> Vec<u8> {
    params_bytes(&OmmaBoxConvertParams {
        struct_size: size_of::<OmmaBoxConvertParams>() as u32,
        in_fmt: OMMA_BOX_XYXY,
        out_fmt: OMMA_BOX_CXCYWH,
    })
}

fn yolo_params(head: i32) -> Vec<u8> {
    params_bytes(&OmmaYoloDecodeParams {
        struct_size: size_of::<OmmaYoloDecodeParams>() as u32,
        flags: 0,
        score_threshold: 0.25,
        head,
        values: OMMA_YOLO_PROBABILITIES,
        num_classes: 2,
        stride: if head == OMMA_YOLO_GRID_V5 { 8.0 } else { 0.0 },
        scale_xy: 0.0,
    })
}

/// The exports of `capi::yolo`: a head as it is exported, and a grid.
fn yolo_cases() -> Vec<Case> {
    let results = |images: i64| {
        vec![
            Arg::output("boxes", Type::F32, &[3, 4]),
            Arg::output("scores", Type::F32, &[3]),
            Arg::output("classes", Type::I64, &[3]),
            Arg::output("indices", Type::I64, &[3]).optional(),
            Arg::output("counts", Type::I64, &[images]).optional(),
        ]
    };
    // Four numbers of the box and two classes for three anchors in two images, and the same in one
    // image with an objectness for a grid of one row, and a second anchor with nothing.
    let scores = [0.1, 0.9, 0.2, 0.3, 0.2, 0.1, 0.2, 0.1, 0.8, 0.1, 0.0, 0.0];
    let mut v8 = Vec::new();
    for image in scores.chunks(6) {
        v8.extend((0..12).map(|i| i as f32));
        v8.extend(image);
    }
    let mut grid = vec![0.5f32; 12];
    grid.extend([0.9, 0.8, 0.7]);
    grid.extend(&scores[..6]);
    grid.extend([0.1; 21]);
    let head = |shape: &[i64], values: &[f32]| Arg::input("head", shape, values).any_shape();
    let anchors = Arg::input("anchors", &[2, 2], &[16.0, 24.0, 9.0, 8.0]).any_shape();
    vec![
        Case {
            export: "omma_yolo_decode",
            op: "yolo_decode",
            params: yolo_params(OMMA_YOLO_V8),
            args: [vec![head(&[2, 6, 3], &v8)], results(2)].concat(),
            call: Box::new(|ctx, params, t| {
                let mut count = 0;
                // SAFETY: what the contract makes of valid arguments.
                unsafe {
                    let (ctx, none) = (ctx.cast_mut(), std::ptr::null());
                    omma_yolo_decode(
                        ctx,
                        params.cast(),
                        t[0],
                        none,
                        t[1],
                        t[2],
                        t[3],
                        t[4],
                        t[5],
                        &mut count,
                    )
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_yolo_decode",
            op: "yolo_decode",
            params: yolo_params(OMMA_YOLO_GRID_V5),
            args: [vec![head(&[1, 14, 1, 3], &grid), anchors], results(1)].concat(),
            call: Box::new(|ctx, params, t| {
                let mut count = 0;
                // SAFETY: what the contract makes of valid arguments.
                unsafe {
                    omma_yolo_decode(
                        ctx.cast_mut(),
                        params.cast(),
                        t[0],
                        t[1],
                        t[2],
                        t[3],
                        t[4],
                        t[5],
                        t[6],
                        &mut count,
                    )
                }
            }),
            in_place: false,
        },
    ]
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
    let kept = |ty: Type| match ty {
        Type::F32 => Arg::output("kept_scores", ty, &[4]),
        _ => Arg::output("indices", ty, &[4]),
    };
    let matrix = |ty: Type| Case {
        export: "omma_matrix_nms",
        op: "matrix_nms",
        params: matrix_params(),
        args: vec![
            boxes(),
            scores(),
            classes(ty).optional(),
            kept(Type::I64),
            kept(Type::F32),
        ],
        call: Box::new(|ctx, params, t| {
            let mut count = 0;
            // SAFETY: what the contract makes of valid arguments.
            unsafe {
                omma_matrix_nms(
                    ctx.cast_mut(),
                    params.cast(),
                    t[0],
                    t[1],
                    t[2],
                    t[3],
                    t[4],
                    &mut count,
                )
            }
        }),
        in_place: false,
    };
    let per_image = |ty: Type| {
        let mut classes = classes(ty).optional();
        let (mut boxes, mut scores) = (boxes(), scores());
        classes.reshape(&[1, 5]);
        boxes.reshape(&[1, 5, 4]);
        scores.reshape(&[1, 5]);
        Case {
            export: "omma_nms_per_image",
            op: "nms_per_image",
            params: nms_params(),
            args: vec![
                boxes,
                scores,
                classes,
                Arg::output("indices", Type::I64, &[1, 4]).any_shape(),
                Arg::output("counts", Type::I64, &[1]),
            ],
            call: Box::new(|ctx, params, t| {
                // SAFETY: what the contract makes of valid arguments.
                unsafe {
                    omma_nms_per_image(ctx.cast_mut(), params.cast(), t[0], t[1], t[2], t[3], t[4])
                }
            }),
            in_place: false,
        }
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
        Case {
            export: "omma_box_iou_3d",
            op: "box_iou_3d",
            params: Vec::new(),
            args: vec![
                Arg::input("a", &[1, 6], &BOXES[..6]).any_shape(),
                Arg::input("b", &[2, 6], &BOXES[..12]).any_shape(),
                Arg::output("output", Type::F32, &[1, 2]),
            ],
            call: Box::new(|ctx, _, t| {
                // SAFETY: what the contract makes of valid arguments.
                unsafe { omma_box_iou_3d(ctx.cast_mut(), t[0], t[1], t[2]) }
            }),
            in_place: false,
        },
        Case {
            export: "omma_box_convert",
            op: "box_convert",
            params: convert_params(),
            args: vec![boxes(), Arg::output("output", Type::F32, &[5, 4])],
            call: Box::new(|ctx, params, t| {
                // SAFETY: what the contract makes of valid arguments.
                unsafe { omma_box_convert(ctx.cast_mut(), params.cast(), t[0], t[1]) }
            }),
            in_place: true,
        },
        Case {
            export: "omma_soft_nms",
            op: "soft_nms",
            params: soft_params(),
            args: vec![boxes(), scores(), kept(Type::I64), kept(Type::F32)],
            call: Box::new(|ctx, params, t| {
                let mut count = 0;
                // SAFETY: what the contract makes of valid arguments.
                unsafe {
                    let ctx = ctx.cast_mut();
                    omma_soft_nms(ctx, params.cast(), t[0], t[1], t[2], t[3], &mut count)
                }
            }),
            in_place: false,
        },
        matrix(Type::I64),
        matrix(Type::I32),
        per_image(Type::I64),
        per_image(Type::I32),
    ]
    .into_iter()
    .chain(yolo_cases())
    .collect()
}
