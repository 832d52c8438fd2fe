//! `yolo_decode` against the formulas of the heads, one anchor after the other, on every tier.

mod common;

use common::{Random, cases, context, isas, quick};
use omma::boxes::*;
use omma::error::Status;
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

fn contexts() -> Vec<(String, Context)> {
    let mut all = Vec::new();
    for isa in isas() {
        for threads in [1, 2] {
            let name = format!("{} x{threads}", isa.tier().name());
            all.push((name, context(isa, threads)));
        }
    }
    all
}

#[derive(Debug, Default, PartialEq, Clone)]
struct Found {
    boxes: Vec<[f32; 4]>,
    scores: Vec<f32>,
    classes: Vec<i64>,
    indices: Vec<i64>,
    counts: Vec<i64>,
}

/// A head as (B, groups, fields, anchors) in plain order, and what is written into which layout.
struct Head {
    images: usize,
    groups: usize,
    fields: usize,
    height: usize,
    width: usize,
    values: Vec<f32>,
    anchors: Vec<f32>,
}

impl Head {
    fn new(random: &mut Random, dims: [usize; 5], logits: bool, dense: bool, grid: bool) -> Head {
        let [images, groups, fields, height, width] = dims;
        let mut values = Vec::new();
        for _ in 0..images * groups {
            for field in 0..fields {
                for _ in 0..height * width {
                    let v = random.float();
                    values.push(match (field, logits) {
                        (0..4, true) => 2.0 * v,
                        (0..4, false) if grid => v.abs(),
                        (0..4, false) => 300.0 * v.abs(),
                        (_, true) => 8.0 * v - if dense { 2.0 } else { 7.0 },
                        (_, false) if dense => v.abs(),
                        (_, false) => v.abs().powi(8),
                    });
                }
            }
        }
        let anchors = (0..2 * groups).map(|_| 10.0 + 50.0 * random.float().abs());
        Head {
            images,
            groups,
            fields,
            height,
            width,
            values,
            anchors: anchors.collect(),
        }
    }
    fn count(&self) -> usize {
        self.height * self.width
    }
    fn get(&self, image: usize, group: usize, field: usize, anchor: usize) -> f32 {
        let row = (image * self.groups + group) * self.fields + field;
        self.values[row * self.count() + anchor]
    }
}

fn sigmoid(v: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(v)).exp())
}

/// The formulas, in double precision.
fn oracle(params: &YoloDecodeParams, head: &Head) -> Found {
    let grid = matches!(params.head, YoloHead::GridV3 | YoloHead::GridV5);
    let v5 = params.head == YoloHead::GridV5;
    let logits = params.logits.unwrap_or(grid);
    let value = |v: f32| if logits { sigmoid(v) } else { f64::from(v) };
    let first = if params.head == YoloHead::V8 { 4 } else { 5 };
    let classes = match params.num_classes {
        0 => head.fields - first,
        n => n,
    };
    let mut found = Found::default();
    for image in 0..head.images {
        let before = found.scores.len();
        for group in 0..head.groups {
            for anchor in 0..head.count() {
                let get = |field: usize| head.get(image, group, field, anchor);
                let weight = if first == 5 { value(get(4)) } else { 1.0 };
                if first == 5 && weight <= params.score_threshold {
                    continue;
                }
                let mut picked: Vec<(usize, f64)> = Vec::new();
                let mut best = f32::NEG_INFINITY;
                for class in 0..classes {
                    let raw = get(first + class);
                    let score = weight * value(raw);
                    if params.multi_label {
                        if score > params.score_threshold {
                            picked.push((class, score));
                        }
                    } else if raw > best {
                        best = raw;
                        picked = vec![(class, score)];
                    }
                }
                picked.retain(|p| p.1 > params.score_threshold);
                let mut b: [f64; 4] = std::array::from_fn(|k| f64::from(get(k)));
                if grid {
                    let scale = match (params.scale_xy, v5) {
                        (0.0, true) => 2.0,
                        (0.0, false) => 1.0,
                        (scale, _) => f64::from(scale),
                    };
                    let cell = [anchor % head.width, anchor / head.width];
                    for axis in 0..2 {
                        let size = f64::from(head.anchors[2 * group + axis]);
                        b[axis] = (value(get(axis)) * scale - (scale - 1.0) / 2.0
                            + cell[axis] as f64)
                            * f64::from(params.stride);
                        b[axis + 2] = size
                            * match v5 {
                                true => (2.0 * value(get(axis + 2))).powi(2),
                                false => f64::from(get(axis + 2)).exp(),
                            };
                    }
                }
                let corners = [
                    b[0] - b[2] / 2.0,
                    b[1] - b[3] / 2.0,
                    b[0] + b[2] / 2.0,
                    b[1] + b[3] / 2.0,
                ];
                for (class, score) in picked {
                    found.boxes.push(corners.map(|v| v as f32));
                    found.scores.push(score as f32);
                    found.classes.push(class as i64);
                    found.indices.push((group * head.count() + anchor) as i64);
                }
            }
        }
        found.counts.push((found.scores.len() - before) as i64);
    }
    found
}

fn run(
    ctx: &Context,
    params: &YoloDecodeParams,
    head: View<'_, f32>,
    anchors: Option<View<'_, f32>>,
    room: usize,
) -> Found {
    let images = head.dim(0);
    let mut boxes = vec![-7f32; 4 * room];
    let mut scores = vec![-7f32; room];
    let (mut classes, mut indices) = (vec![-7i64; room], vec![-7i64; room]);
    let mut counts = vec![-7i64; images];
    let mut count = usize::MAX;
    let outputs = YoloOutputs {
        boxes: ViewMut::new(&mut boxes, &[room, 4]).unwrap(),
        scores: ViewMut::new(&mut scores, &[room]).unwrap(),
        classes: ViewMut::new(&mut classes, &[room]).unwrap(),
        indices: Some(ViewMut::new(&mut indices, &[room]).unwrap()),
        counts: Some(ViewMut::new(&mut counts, &[images]).unwrap()),
    };
    yolo_decode(ctx, params, head, anchors, outputs, &mut count).unwrap();
    assert!(boxes[4 * count..].iter().all(|&v| v == -7.0));
    assert!(scores[count..].iter().all(|&v| v == -7.0));
    assert!(classes[count..].iter().all(|&v| v == -7));
    boxes.truncate(4 * count);
    scores.truncate(count);
    classes.truncate(count);
    indices.truncate(count);
    Found {
        boxes: boxes.as_chunks().0.to_vec(),
        scores,
        classes,
        indices,
        counts,
    }
}

/// Equal but for scores that stand on the threshold.
fn compare(params: &YoloDecodeParams, found: &Found, expected: &Found, what: &str) {
    let near = |score: f32| (f64::from(score) - params.score_threshold).abs() < 1e-6;
    let keyed = |f: &Found| -> Vec<(i64, i64, i64, [f32; 4], f32)> {
        let mut images = f
            .counts
            .iter()
            .enumerate()
            .flat_map(|(i, &n)| std::iter::repeat_n(i as i64, n as usize));
        (0..f.scores.len())
            .map(|i| {
                let image = images.next().unwrap();
                (image, f.indices[i], f.classes[i], f.boxes[i], f.scores[i])
            })
            .filter(|d| !near(d.4))
            .collect()
    };
    let (a, b) = (keyed(found), keyed(expected));
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(&b) {
        assert_eq!((a.0, a.1, a.2), (b.0, b.1, b.2), "{what}");
        assert!((a.4 - b.4).abs() <= 1e-6, "{what}: {a:?} {b:?}");
        for k in 0..4 {
            let size = (b.3[2] - b.3[0]).abs() + (b.3[3] - b.3[1]).abs();
            let tolerance = 1e-5 * (1.0 + b.3[k].abs() + size);
            assert!((a.3[k] - b.3[k]).abs() <= tolerance, "{what}: {a:?} {b:?}");
        }
    }
}

/// The head in memory: its strides by axis, padded or not, in the order of `axes` (outermost first).
fn laid(
    head: &Head,
    shape: &[usize],
    axes: &[usize],
    index: &dyn Fn(&[usize]) -> f32,
) -> (Vec<f32>, Vec<isize>) {
    let mut strides = vec![0isize; shape.len()];
    let mut step = 1isize;
    for &axis in axes.iter().rev() {
        strides[axis] = step;
        step *= shape[axis].max(1) as isize;
    }
    let mut memory = vec![f32::NAN; step as usize];
    let total: usize = shape.iter().product();
    for i in 0..total {
        let mut rest = i;
        let mut at = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            at[axis] = rest % shape[axis];
            rest /= shape[axis];
        }
        let offset: isize = at.iter().zip(&strides).map(|(&i, &s)| i as isize * s).sum();
        memory[offset as usize] = index(&at);
    }
    assert_eq!(total, head.values.len());
    (memory, strides)
}

#[test]
fn equals_the_formulas() {
    let contexts = contexts();
    let mut random = Random(31);
    let counts = [1, 2, 7, 8, 9, 15, 16, 17, 33, 100, 2049, 5000];
    for round in 0..cases(160) {
        let kind = [
            YoloHead::V8,
            YoloHead::V5,
            YoloHead::GridV3,
            YoloHead::GridV5,
        ][round % 4];
        let grid = matches!(kind, YoloHead::GridV3 | YoloHead::GridV5);
        let classes = [1, 2, 3, 4, 5, 8, 17, 80][random.range(0, 7)];
        let first = if kind == YoloHead::V8 { 4 } else { 5 };
        let most = if quick() || classes > 20 {
            9
        } else {
            counts.len() - 1
        };
        let (groups, height, width) = match grid {
            true => (random.range(1, 3), random.range(1, 9), random.range(1, 40)),
            false => (1, 1, counts[random.range(0, most)]),
        };
        let extra = [0, 0, 3][random.range(0, 2)];
        let params = YoloDecodeParams {
            head: kind,
            score_threshold: [0.25, 0.5, 0.01, 0.0, 0.9][random.range(0, 4)],
            logits: [None, Some(true), Some(false)][random.range(0, 2)],
            multi_label: random.range(0, 2) == 0,
            num_classes: if extra > 0 { classes } else { 0 },
            stride: if grid { 8.0 } else { 0.0 },
            scale_xy: if grid && random.range(0, 3) == 0 {
                1.2
            } else {
                0.0
            },
        };
        let logits = params.logits.unwrap_or(grid);
        let dims = [
            random.range(1, 2),
            groups,
            first + classes + extra,
            height,
            width,
        ];
        let dense = random.range(0, 2) == 0;
        let head = Head::new(&mut random, dims, logits, dense, grid);
        let expected = oracle(&params, &head);
        let room = expected.scores.len() + 3;
        let (b, n) = (head.images, head.count());
        // Every order of axes that an export has, and one that none has.
        let channels = head.groups * head.fields;
        let layouts: Vec<(Vec<usize>, Vec<usize>)> = match kind {
            YoloHead::V8 => vec![
                (vec![b, head.fields, n], vec![0, 1, 2]),
                (vec![b, head.fields, n], vec![0, 2, 1]),
                (vec![b, head.fields, n], vec![1, 2, 0]),
            ],
            YoloHead::V5 => vec![
                (vec![b, n, head.fields], vec![0, 1, 2]),
                (vec![b, n, head.fields], vec![0, 2, 1]),
                (vec![b, n, head.fields], vec![2, 1, 0]),
            ],
            _ => vec![
                (vec![b, channels, height, width], vec![0, 1, 2, 3]),
                (vec![b, channels, height, width], vec![0, 2, 3, 1]),
                (vec![b, channels, height, width], vec![0, 1, 3, 2]),
                (
                    vec![b, groups, height, width, head.fields],
                    vec![0, 1, 2, 3, 4],
                ),
                (
                    vec![b, groups, height, width, head.fields],
                    vec![0, 1, 4, 2, 3],
                ),
            ],
        };
        for (shape, axes) in layouts {
            let (memory, strides) = laid(&head, &shape, &axes, &|at| match (kind, shape.len()) {
                (YoloHead::V8, _) => head.get(at[0], 0, at[1], at[2]),
                (YoloHead::V5, _) => head.get(at[0], 0, at[2], at[1]),
                (_, 4) => head.get(
                    at[0],
                    at[1] / head.fields,
                    at[1] % head.fields,
                    at[2] * width + at[3],
                ),
                _ => head.get(at[0], at[1], at[4], at[2] * width + at[3]),
            });
            let view = View::strided(&memory, 0, &shape, &strides).unwrap();
            let anchors = View::new(&head.anchors, &[groups, 2]).unwrap();
            for (name, ctx) in &contexts {
                let what = format!("{params:?} {shape:?} {axes:?} on {name}");
                let found = run(ctx, &params, view, grid.then_some(anchors), room);
                compare(&params, &found, &expected, &what);
            }
        }
    }
}

#[test]
fn exact_at_the_threshold() {
    // Scores next to the threshold on both sides, and NaN and infinity.
    let scores = [
        0.25f32,
        0.25f32.next_up(),
        0.25f32.next_down(),
        f32::NAN,
        f32::INFINITY,
        0.3,
    ];
    let n = scores.len();
    let mut head = vec![1.0f32; 4 * n];
    head.extend(scores);
    head.extend(vec![f32::NAN; n]);
    for (name, ctx) in contexts() {
        let params = YoloDecodeParams {
            score_threshold: 0.25,
            ..YoloDecodeParams::default()
        };
        let found = run(
            &ctx,
            &params,
            View::new(&head, &[1, 6, n]).unwrap(),
            None,
            n,
        );
        assert_eq!(found.indices, [1, 4, 5], "{name}");
        // As rows.
        let rows: Vec<f32> = (0..n)
            .flat_map(|i| (0..6).map(move |f| (f, i)))
            .map(|(f, i)| head[f * n + i])
            .collect();
        let view = View::strided(&rows, 0, &[1, 6, n], &[0, 1, 6]).unwrap();
        assert_eq!(run(&ctx, &params, view, None, n), found, "{name}");
        // Of equal scores the first class.
        let equal = vec![0.5f32; 9 * n];
        let found = run(
            &ctx,
            &params,
            View::new(&equal, &[1, 9, n]).unwrap(),
            None,
            n,
        );
        assert_eq!(found.classes, vec![0; n]);
    }
}

#[test]
fn same_bits_with_two_threads() {
    let mut random = Random(3);
    let head = Head::new(&mut random, [2, 1, 24, 1, 6000], false, true, false);
    for isa in isas() {
        let params = YoloDecodeParams {
            score_threshold: 0.5,
            multi_label: true,
            ..YoloDecodeParams::default()
        };
        let view = View::new(&head.values, &[2, 24, 6000]).unwrap();
        let room = 2 * 20 * 6000;
        let one = run(&context(isa, 1), &params, view, None, room);
        assert!(one.scores.len() > 10_000);
        assert_eq!(run(&context(isa, 2), &params, view, None, room), one);
    }
}

#[test]
fn errors_name_the_argument() {
    let (_, ctx) = contexts().pop().unwrap();
    let memory = [0.5f32; 400];
    let attempt =
        |params: &YoloDecodeParams, shape: &[usize], anchors: Option<&[usize]>, room: usize| {
            let mut boxes = vec![-1f32; 4 * room];
            let mut scores = vec![-1f32; room];
            let mut classes = vec![-1i64; room];
            let mut count = 99;
            let outputs = YoloOutputs {
                boxes: ViewMut::new(&mut boxes, &[room, 4]).unwrap(),
                scores: ViewMut::new(&mut scores, &[room]).unwrap(),
                classes: ViewMut::new(&mut classes, &[room]).unwrap(),
                indices: None,
                counts: None,
            };
            let view = View::new(&memory[..shape.iter().product()], shape).unwrap();
            let anchors = anchors.map(|s| View::new(&memory[..s.iter().product()], s).unwrap());
            let error = yolo_decode(&ctx, params, view, anchors, outputs, &mut count).unwrap_err();
            assert!(boxes.iter().chain(&scores).all(|&v| v == -1.0));
            assert!(classes.iter().all(|&v| v == -1));
            (error.message().to_string(), error.status(), count)
        };
    let v8 = YoloDecodeParams {
        score_threshold: 0.25,
        ..YoloDecodeParams::default()
    };
    let message = |params: &YoloDecodeParams, shape: &[usize], anchors: Option<&[usize]>| {
        attempt(params, shape, anchors, 8).0
    };
    assert_eq!(
        message(&v8, &[1, 4, 10], None),
        "yolo_decode: head has 4 numbers an anchor, expected 4 and some class scores"
    );
    assert_eq!(
        message(
            &YoloDecodeParams {
                num_classes: 9,
                ..v8
            },
            &[1, 8, 10],
            None
        ),
        "yolo_decode: head has 8 numbers an anchor, expected 4 and 9 class scores"
    );
    assert_eq!(
        message(&v8, &[8, 10], None),
        "yolo_decode: head has 2 dimensions, expected 3"
    );
    assert_eq!(
        message(&v8, &[1, 8, 10], Some(&[1, 2])),
        "yolo_decode: anchors are given, which only grids have"
    );
    let grid = YoloDecodeParams {
        head: YoloHead::GridV3,
        stride: 8.0,
        ..v8
    };
    assert_eq!(
        message(&grid, &[1, 18, 4, 4], None),
        "yolo_decode: anchors are missing, a grid needs them"
    );
    assert_eq!(
        message(&grid, &[1, 18, 4, 4], Some(&[4, 2])),
        "yolo_decode: head has 18 channels, not a multiple of 4 anchors"
    );
    assert_eq!(
        message(
            &YoloDecodeParams {
                stride: 0.0,
                ..grid
            },
            &[1, 18, 4, 4],
            Some(&[3, 2])
        ),
        "yolo_decode: stride is 0, a grid needs a positive one"
    );
    assert_eq!(
        attempt(&v8, &[1, 8, 10], None, 3),
        (
            "yolo_decode: boxes has room for 3, the result has 10".to_string(),
            Status::BufferTooSmall,
            10
        )
    );
}
