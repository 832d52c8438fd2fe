//! `yolo_decode` beside PaddlePaddle, Ultralytics and YOLOv5, and `matrix_nms` beside PaddlePaddle, whose results
//! `fixtures/detect.py` has written down.

mod common;

use common::{Random, context, isas};
use omma::boxes::*;
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

const PADDLE: &str = include_str!("fixtures/detect_paddle.txt");
const ULTRALYTICS: &str = include_str!("fixtures/detect_ultralytics.txt");
const CONFIDENCE: f64 = 0.25;
const STRIDE: f32 = 16.0;
const ANCHORS: [f32; 6] = [10.0, 13.0, 33.0, 23.0, 62.0, 45.0];

/// `draw` of `detect.py`.
fn draw(seed: u64, count: usize) -> Vec<f32> {
    let mut random = Random(seed);
    let one = |_| (random.bits() >> 40) as f32 / (1u64 << 24) as f32;
    (0..count).map(one).collect()
}

/// `head` of `detect.py`: (B, fields, places).
fn head(logits: bool, seed: u64, [images, fields, places]: [usize; 3]) -> Vec<f32> {
    let mut values = draw(seed, images * fields * places);
    for (i, v) in values.iter_mut().enumerate() {
        *v = match (logits, i / places % fields) {
            (true, _) => *v * 8.0 - 4.0,
            (false, 0 | 1) => *v * 256.0,
            (false, 2 | 3) => *v * 64.0,
            (false, _) => *v * *v * *v,
        };
    }
    values
}

/// The lines that begin with this word: settings, and the rows behind them.
fn lines(text: &'static str, word: &str) -> Vec<(Vec<f64>, Vec<Vec<f64>>)> {
    let numbers = |part: &str| -> Vec<f64> {
        let all = part.split_whitespace();
        all.map(|v| v.parse().unwrap()).collect()
    };
    let found: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
        .map(|line| {
            let mut parts = line.split('|');
            let settings = numbers(parts.next().unwrap());
            (settings, parts.map(numbers).collect())
        })
        .collect();
    assert!(found.len() >= 8, "{word}");
    found
}

/// What the image has, as rows of `detect.py`, best score first.
fn decode(
    ctx: &Context,
    params: &YoloDecodeParams,
    head: View<'_, f32>,
    anchors: Option<View<'_, f32>>,
    image: usize,
) -> Vec<Vec<f64>> {
    const ROOM: usize = 4000;
    let images = head.dim(0);
    let (mut boxes, mut scores) = (vec![0.0; 4 * ROOM], vec![0.0; ROOM]);
    let (mut classes, mut indices) = (vec![0; ROOM], vec![0; ROOM]);
    let (mut counts, mut count) = (vec![0; images], 0);
    let outputs = YoloOutputs {
        boxes: ViewMut::new(&mut boxes, &[ROOM, 4]).unwrap(),
        scores: ViewMut::new(&mut scores, &[ROOM]).unwrap(),
        classes: ViewMut::new(&mut classes, &[ROOM]).unwrap(),
        indices: Some(ViewMut::new(&mut indices, &[ROOM]).unwrap()),
        counts: Some(ViewMut::new(&mut counts, &[images]).unwrap()),
    };
    yolo_decode(ctx, params, head, anchors, outputs, &mut count).unwrap();
    let first = counts[..image].iter().sum::<i64>() as usize;
    let mut rows: Vec<Vec<f64>> = (first..first + counts[image] as usize)
        .map(|i| {
            let mut row = vec![indices[i] as f64, classes[i] as f64, f64::from(scores[i])];
            row.extend(boxes[4 * i..][..4].iter().map(|&v| f64::from(v)));
            row
        })
        .collect();
    rows.sort_by(|a, b| b[2].total_cmp(&a[2]));
    rows
}

fn same(found: &[Vec<f64>], expected: &[Vec<f64>], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!(b[0] < 0.0 || a[0] == b[0], "{what}: {a:?} {b:?}");
        assert_eq!(a[1], b[1], "{what}: {a:?} {b:?}");
        assert!((a[2] - b[2]).abs() <= 1e-6, "{what}: {a:?} {b:?}");
        let size = (b[5] - b[3]).abs() + (b[6] - b[4]).abs();
        for (a, b) in a[3..].iter().zip(&b[3..]) {
            assert!((a - b).abs() <= 1e-6 * (b.abs() + size), "{what}: {a} {b}");
        }
    }
}

#[test]
fn v8_is_what_ultralytics_finds() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for (s, expected) in lines(ULTRALYTICS, "v8") {
            let [images, classes, more, places] = [0, 1, 2, 3].map(|i| s[i] as usize);
            let shape = [images, 4 + classes + more, places];
            let values = head(false, s[4] as u64, shape);
            let params = YoloDecodeParams {
                head: YoloHead::V8,
                score_threshold: CONFIDENCE,
                multi_label: s[5] == 1.0,
                num_classes: classes,
                ..YoloDecodeParams::default()
            };
            let view = View::new(&values, &shape).unwrap();
            let found = decode(&ctx, &params, view, None, s[6] as usize);
            same(
                &found,
                &expected,
                &format!("{s:?} on {}", isa.tier().name()),
            );
        }
    }
}

#[test]
fn v5_is_what_yolov5_finds() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for (s, expected) in lines(ULTRALYTICS, "v5") {
            let [images, classes, more, places] = [0, 1, 2, 3].map(|i| s[i] as usize);
            let seed = s[4] as u64;
            let fields = 5 + classes + more;
            let mut values = head(false, seed, [images, fields, places]);
            let objectness = draw(seed + 500, images * places);
            for (image, row) in objectness.chunks(places).enumerate() {
                values[(image * fields + 4) * places..][..places].copy_from_slice(row);
            }
            let params = YoloDecodeParams {
                head: YoloHead::V5,
                score_threshold: CONFIDENCE,
                multi_label: s[5] == 1.0,
                num_classes: classes,
                ..YoloDecodeParams::default()
            };
            let strides = [(fields * places) as isize, 1, places as isize];
            let view = View::strided(&values, 0, &[images, places, fields], &strides).unwrap();
            let found = decode(&ctx, &params, view, None, s[6] as usize);
            same(
                &found,
                &expected,
                &format!("{s:?} on {}", isa.tier().name()),
            );
        }
    }
}

#[test]
fn grids_are_what_their_makers_find() {
    let heads = [
        (PADDLE, "grid_v3", YoloHead::GridV3),
        (ULTRALYTICS, "grid_v5", YoloHead::GridV5),
    ];
    for isa in isas() {
        let ctx = context(isa, 1);
        for (text, word, kind) in heads {
            for (s, expected) in lines(text, word) {
                let [images, anchors, classes, height, width] =
                    [0, 1, 2, 3, 4].map(|i| s[i] as usize);
                let fields = anchors * (5 + classes);
                let values = head(true, s[5] as u64, [images, fields, height * width]);
                let (scale_xy, image) = match kind {
                    YoloHead::GridV3 => (s[6] as f32, s[7] as usize),
                    _ => (0.0, s[6] as usize),
                };
                let params = YoloDecodeParams {
                    head: kind,
                    score_threshold: CONFIDENCE,
                    stride: STRIDE,
                    scale_xy,
                    ..YoloDecodeParams::default()
                };
                let view = View::new(&values, &[images, fields, height, width]).unwrap();
                let shapes = View::new(&ANCHORS, &[anchors, 2]).unwrap();
                let found = decode(&ctx, &params, view, Some(shapes), image);
                same(
                    &found,
                    &expected,
                    &format!("{word} {s:?} on {}", isa.tier().name()),
                );
            }
        }
    }
}

#[test]
fn matrix_nms_is_what_paddle_finds() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for (s, expected) in lines(PADDLE, "matrix") {
            let what = format!("{s:?} on {}", isa.tier().name());
            let [count, classes] = [0, 1].map(|i| s[i] as usize);
            let seed = s[2] as u64;
            let limit = |v: f64| if v < 0.0 { 0 } else { v as usize };
            let u = draw(seed, 4 * count);
            // Paddle has the boxes once and a score for each class; here each class has its own.
            let whole = |v: f32| if s[5] == 1.0 { v.floor() } else { v };
            let one: Vec<f32> = u
                .chunks(4)
                .flat_map(|u| {
                    let [x, y] = [u[0] * 100.0, u[1] * 100.0];
                    [x, y, x + (u[2] * 40.0 + 10.0), y + (u[3] * 40.0 + 10.0)].map(whole)
                })
                .collect();
            let scores = draw(seed + 1000, classes * count);
            let mut found: Vec<(i64, i64, f32)> = Vec::new();
            // The most candidates are counted in each class.
            for class in 0..classes {
                let params = MatrixNmsParams {
                    method: match s[3] == 1.0 {
                        true => MatrixNmsMethod::Gaussian,
                        false => MatrixNmsMethod::Linear,
                    },
                    sigma: s[4] as f32,
                    offset: s[5] as i32,
                    score_threshold: Some(s[6]),
                    post_threshold: s[7],
                    max_candidates: limit(s[8]),
                    ..MatrixNmsParams::default()
                };
                let (mut indices, mut kept, mut n) = (vec![0; count], vec![0.0; count], 0);
                matrix_nms::<i64>(
                    &ctx,
                    &params,
                    View::new(&one, &[count, 4]).unwrap(),
                    View::new(&scores[class * count..][..count], &[count]).unwrap(),
                    None,
                    ViewMut::new(&mut indices, &[count]).unwrap(),
                    ViewMut::new(&mut kept, &[count]).unwrap(),
                    &mut n,
                )
                .unwrap();
                found.extend((0..n).map(|i| (class as i64, indices[i], kept[i])));
            }
            found.sort_by(|a, b| b.2.total_cmp(&a.2));
            if s[9] >= 0.0 {
                found.truncate(s[9] as usize);
            }
            assert_eq!(found.len(), expected.len(), "{what}");
            for (a, b) in found.iter().zip(&expected) {
                assert_eq!((a.0, a.1), (b[0] as i64, b[1] as i64), "{what}");
                assert!((f64::from(a.2) - b[2]).abs() <= 2e-6, "{what}: {a:?} {b:?}");
            }
        }
    }
}
