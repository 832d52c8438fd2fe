//! The IoU family against torchvision's values and a scalar oracle, bit by bit
//! on every tier.

mod common;
#[path = "fixtures/boxes.rs"]
mod data;

use common::{Random, cases, context, isas};
use data::{KINDS, corners, make};
use omma::boxes::*;
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

const KINDS_OF_IOU: [IouKind; 4] = [IouKind::Iou, IouKind::Giou, IouKind::Diou, IouKind::Ciou];

/// The measure, one operation after the other in f32.
fn oracle(params: &BoxIouParams, a: [f32; 4], b: [f32; 4]) -> f32 {
    let offset = params.offset as f32;
    let (a, b) = (corners(params.format, a), corners(params.format, b));
    let sides = |b: [f32; 4]| (b[2] - b[0] + offset, b[3] - b[1] + offset);
    let area = |b: [f32; 4]| sides(b).0 * sides(b).1;
    let ratio = |n: f32, d: f32| if d == 0.0 { n } else { n / d };
    let clamp = |v: f32| if v > 0.0 { v } else { 0.0 };
    let w = clamp(a[2].min(b[2]) - a[0].max(b[0]) + offset);
    let h = clamp(a[3].min(b[3]) - a[1].max(b[1]) + offset);
    let inter = w * h;
    let union = area(a) + area(b) - inter;
    let iou = ratio(inter, union);
    let w = clamp(a[2].max(b[2]) - a[0].min(b[0]) + offset);
    let h = clamp(a[3].max(b[3]) - a[1].min(b[1]) + offset);
    if params.kind == IouKind::Iou {
        return iou;
    }
    if params.kind == IouKind::Giou {
        return iou - ratio(w * h - union, w * h);
    }
    let dx = (a[0] + a[2]) / 2.0 - (b[0] + b[2]) / 2.0;
    let dy = (a[1] + a[3]) / 2.0 - (b[1] + b[3]) / 2.0;
    let diou = iou - (dx * dx + dy * dy) / (w * w + h * h + 1e-7);
    if params.kind == IouKind::Diou {
        return diou;
    }
    let angle = |b: [f32; 4]| match sides(b) {
        (0.0, 0.0) => 0.0,
        (w, h) => f64::from(w / h).atan() as f32,
    };
    let turn = angle(b) - angle(a);
    let factor = (4.0 / std::f64::consts::PI.powi(2)) as f32;
    let v = factor * (turn * turn);
    diou - v / (1.0 - iou + v + 1e-7) * v
}

fn run(ctx: &Context, params: &BoxIouParams, a: &[f32], b: &[f32]) -> Vec<f32> {
    let (n, m) = (a.len() / 4, b.len() / 4);
    let mut out = vec![-7.0; n * m];
    box_iou(
        ctx,
        params,
        View::new(a, &[n, 4]).unwrap(),
        View::new(b, &[m, 4]).unwrap(),
        ViewMut::new(&mut out, &[n, m]).unwrap(),
    )
    .unwrap();
    out
}

fn run_elementwise(ctx: &Context, params: &BoxIouParams, a: &[f32], b: &[f32]) -> Vec<f32> {
    let n = a.len() / 4;
    let mut out = vec![-7.0; n];
    box_iou_elementwise(
        ctx,
        params,
        View::new(a, &[n, 4]).unwrap(),
        View::new(b, &[n, 4]).unwrap(),
        ViewMut::new(&mut out, &[n]).unwrap(),
    )
    .unwrap();
    out
}

/// The same bits, or both NaN.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

fn boxes(list: &[f32]) -> Vec<[f32; 4]> {
    list.chunks_exact(4)
        .map(|b| b.try_into().unwrap())
        .collect()
}

#[test]
fn values_are_those_of_torchvision() {
    let a = make("random", 7, 1).boxes;
    let mut b = make("random", 9, 2).boxes;
    b[12..16].copy_from_slice(&a[8..12]);
    let mut compared = 0;
    for line in include_str!("fixtures/boxes_iou.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split(' ').collect();
        let params = BoxIouParams {
            kind: match fields[0] {
                "iou" => IouKind::Iou,
                "giou" => IouKind::Giou,
                "diou" => IouKind::Diou,
                "ciou" => IouKind::Ciou,
                other => panic!("{other}"),
            },
            format: match fields[1] {
                "xyxy" => BoxFormat::Xyxy,
                "xywh" => BoxFormat::Xywh,
                "cxcywh" => BoxFormat::Cxcywh,
                other => panic!("{other}"),
            },
            offset: 0,
        };
        let expected = fields[2..]
            .iter()
            .map(|v| f32::from_bits(u32::from_str_radix(v, 16).unwrap()));
        for isa in isas() {
            let found = run(&context(isa, 1), &params, &a, &b);
            for (i, (&found, expected)) in found.iter().zip(expected.clone()).enumerate() {
                let what = format!(
                    "{params:?} pair {i} on {}: {found} {expected}",
                    isa.tier().name()
                );
                match params.kind {
                    // The arctangents differ in the last place.
                    IouKind::Ciou => assert!((found - expected).abs() <= 1e-6, "{what}"),
                    _ => assert!(same(found, expected), "{what}"),
                }
            }
        }
        compared += 1;
    }
    assert_eq!(compared, 12);
}

#[test]
fn equals_the_oracle_on_every_tier() {
    let mut random = Random(3);
    let sizes = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 61];
    for round in 0..cases(300) {
        let n = sizes[random.range(0, sizes.len() - 1)];
        let m = sizes[round % sizes.len()];
        let a = make(KINDS[round % 8], n, random.bits()).boxes;
        let b = make(KINDS[random.range(0, 7)], m, random.bits()).boxes;
        let params = BoxIouParams {
            kind: KINDS_OF_IOU[random.range(0, 3)],
            format: [BoxFormat::Xyxy, BoxFormat::Xywh, BoxFormat::Cxcywh][random.range(0, 2)],
            offset: random.range(0, 1) as i32,
        };
        for isa in isas() {
            let found = run(&context(isa, 1 + round % 2), &params, &a, &b);
            let pairs = boxes(&a)
                .into_iter()
                .flat_map(|a| boxes(&b).into_iter().map(move |b| (a, b)));
            for (i, (a, b)) in pairs.enumerate() {
                let expected = oracle(&params, a, b);
                assert!(
                    same(found[i], expected),
                    "{params:?} {a:?} {b:?} on {}: {} {expected}",
                    isa.tier().name(),
                    found[i]
                );
            }
        }
    }
}

#[test]
fn elementwise_is_the_diagonal() {
    let mut random = Random(4);
    for n in [0, 1, 3, 4, 5, 7, 8, 9, 16, 17, 40] {
        let a = make("random", n, random.bits()).boxes;
        let b = make("mixed", n, random.bits()).boxes;
        for kind in KINDS_OF_IOU {
            for offset in [0, 1] {
                let params = BoxIouParams {
                    kind,
                    format: BoxFormat::Cxcywh,
                    offset,
                };
                for isa in isas() {
                    let ctx = context(isa, 1);
                    let all = run(&ctx, &params, &a, &b);
                    let some = run_elementwise(&ctx, &params, &a, &b);
                    for i in 0..n {
                        assert!(same(some[i], all[i * n + i]), "{params:?} {i}");
                    }
                }
            }
        }
    }
}

/// Many tasks, the same at any number of threads.
#[test]
fn large_and_parallel() {
    let a = make("random", 700, 1).boxes;
    let b = make("random", 301, 2).boxes;
    for isa in isas() {
        for kind in KINDS_OF_IOU {
            let params = BoxIouParams {
                kind,
                ..BoxIouParams::default()
            };
            let one = run(&context(isa, 1), &params, &a, &b);
            let three = run(&context(isa, 3), &params, &a, &b);
            assert!(one.iter().zip(&three).all(|(&x, &y)| same(x, y)));
            for (i, j) in [(0, 0), (1, 300), (111, 299), (699, 300), (500, 8)] {
                let expected = oracle(&params, boxes(&a)[i], boxes(&b)[j]);
                assert!(same(one[i * 301 + j], expected));
            }
            let long = [&a[..], &a[..]].concat();
            let pairs = run_elementwise(&context(isa, 2), &params, &long, &long);
            let identical = run_elementwise(&context(isa, 1), &params, &a, &a);
            assert_eq!(pairs[..700], identical);
            assert_eq!(pairs[700..], identical);
        }
    }
}

#[test]
fn empty_boxes_and_nan() {
    let point = [5f32, 5., 5., 5.];
    let line = [0f32, 5., 9., 5.];
    let square = [0f32, 0., 10., 10.];
    let nan = [0f32, f32::NAN, 1., 1.];
    for isa in isas() {
        let ctx = context(isa, 1);
        let value = |kind, a: [f32; 4], b: [f32; 4]| {
            let params = BoxIouParams {
                kind,
                ..BoxIouParams::default()
            };
            run(&ctx, &params, &a, &b)[0]
        };
        for kind in KINDS_OF_IOU {
            assert!(value(kind, nan, square).is_nan());
            assert!(value(kind, square, nan).is_nan());
        }
        for kind in [IouKind::Iou, IouKind::Giou, IouKind::Diou, IouKind::Ciou] {
            assert_eq!(value(kind, point, point), 0.0, "{kind:?}");
        }
        assert_eq!(value(IouKind::Iou, point, square), 0.0);
        assert_eq!(value(IouKind::Iou, line, line), 0.0);
        assert_eq!(value(IouKind::Iou, square, square), 1.0);
        assert_eq!(value(IouKind::Ciou, square, square), 1.0);
        assert_eq!(value(IouKind::Giou, line, line), 0.0);
    }
}

#[test]
fn strided_output_keeps_what_lies_between() {
    let a = make("random", 5, 1).boxes;
    let b = make("random", 13, 2).boxes;
    let params = BoxIouParams::default();
    for isa in isas() {
        let ctx = context(isa, 1);
        let expected = run(&ctx, &params, &a, &b);
        // Transposed, with gaps.
        let mut out = vec![-7f32; 13 * 12];
        box_iou(
            &ctx,
            &params,
            View::new(&a, &[5, 4]).unwrap(),
            View::new(&b, &[13, 4]).unwrap(),
            ViewMut::strided(&mut out, 0, &[5, 13], &[2, 12]).unwrap(),
        )
        .unwrap();
        for (at, &value) in out.iter().enumerate() {
            let (j, i) = (at / 12, at % 12);
            match i % 2 == 0 && i < 10 {
                true => assert!(same(value, expected[i / 2 * 13 + j])),
                false => assert_eq!(value, -7.0),
            }
        }
    }
}

#[test]
fn errors_name_the_argument() {
    let ctx = context(isas()[0], 1);
    let memory = [0f32; 64];
    let params = BoxIouParams::default();
    let try_it = |params: &BoxIouParams, a: &[usize], b: &[usize], out: &[usize]| {
        let mut output = vec![-7f32; out.iter().product()];
        let a = View::new(&memory[..a.iter().product()], a).unwrap();
        let b = View::new(&memory[..b.iter().product()], b).unwrap();
        let target = ViewMut::new(&mut output, out).unwrap();
        let error = box_iou(&ctx, params, a, b, target).unwrap_err();
        assert!(output.iter().all(|&v| v == -7.0));
        error.message().to_string()
    };
    assert_eq!(
        try_it(&params, &[3, 4], &[2, 3], &[3, 2]),
        "box_iou: b has shape [2, 3], expected (N, 4)"
    );
    assert_eq!(
        try_it(&params, &[3, 4], &[2, 4], &[2, 3]),
        "box_iou: output has shape [2, 3], expected [3, 2]"
    );
    let far = BoxIouParams {
        offset: -1,
        ..params
    };
    assert_eq!(
        try_it(&far, &[3, 4], &[2, 4], &[3, 2]),
        "box_iou: offset is -1, expected 0 or 1"
    );
    let mut output = vec![0f32; 3];
    let error = box_iou_elementwise(
        &ctx,
        &params,
        View::new(&memory[..12], &[3, 4]).unwrap(),
        View::new(&memory[..8], &[2, 4]).unwrap(),
        ViewMut::new(&mut output, &[3]).unwrap(),
    )
    .unwrap_err();
    assert_eq!(
        error.message(),
        "box_iou_elementwise: a has 3 boxes, b has 2"
    );
}
