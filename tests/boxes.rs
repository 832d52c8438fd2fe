//! `nms` and `batched_nms` against torchvision's indices, ONNX's node cases, the
//! textbook, and their own properties, on every tier.

mod common;
#[path = "fixtures/boxes.rs"]
mod data;

use common::{Random, cases, context, isas, quick};
use data::*;
use omma::boxes::*;
use omma::error::Status;
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};
use std::collections::HashMap;

/// Every tier, alone and with two threads.
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

#[test]
fn indices_are_those_of_torchvision() {
    let contexts = contexts();
    let mut sets: HashMap<(String, usize, u64), Set> = HashMap::new();
    let mut compared = 0;
    // Seven and the eleven thresholds of a set have no factor in common.
    let step = if quick() { 7 } else { 1 };
    let text = include_str!("fixtures/boxes_nms.txt");
    for line in text.lines().filter(|l| !l.starts_with('#')).step_by(step) {
        let fields: Vec<&str> = line.split(' ').collect();
        let (kind, batched) = match fields[0].strip_prefix("batched-") {
            Some(kind) => (kind, true),
            None => (fields[0], false),
        };
        let (n, seed) = (fields[1].parse().unwrap(), fields[2].parse().unwrap());
        let set = sets
            .entry((kind.to_string(), n, seed))
            .or_insert_with(|| make(kind, n, seed));
        let params = NmsParams::new(fields[3].parse::<f64>().unwrap() / 10.0);
        let expected = (
            fields[4].parse::<usize>().unwrap(),
            u64::from_str_radix(fields[5], 16).unwrap(),
        );
        for (name, ctx) in &contexts {
            let kept = match batched {
                false => run_nms(ctx, &params, set),
                true => run_batched(ctx, &params, set),
            };
            assert_eq!((kept.len(), fnv(&kept)), expected, "{line} on {name}");
        }
        compared += 1;
    }
    assert!(compared * step > 400);
}

#[test]
fn node_cases_of_onnx() {
    let mut compared = 0;
    for line in include_str!("fixtures/boxes_onnx.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let numbers =
            |s: &str| -> Vec<f32> { s.split_whitespace().map(|v| v.parse().unwrap()).collect() };
        let mut params = NmsParams::new(fields[5].parse().unwrap());
        params.format = match fields[1] {
            "cxcywh" => BoxFormat::Cxcywh,
            _ => BoxFormat::Corners,
        };
        params.max_output = fields[4].parse().unwrap();
        params.score_threshold = fields[6].parse().ok();
        let expected: Vec<String> = fields[7].split_whitespace().map(String::from).collect();
        for (name, ctx) in contexts() {
            let mut selected = Vec::new();
            for (class, scores) in fields[3].split('/').enumerate() {
                let set = Set {
                    boxes: numbers(fields[2]),
                    scores: numbers(scores),
                    classes: Vec::new(),
                };
                let kept = run_nms(&ctx, &params, &set);
                selected.extend(kept.iter().map(|i| format!("{class}:{i}")));
            }
            assert_eq!(selected, expected, "{} on {name}", fields[0]);
        }
        compared += 1;
    }
    assert!(compared >= 10);
}

/// Thresholds at which rounding the wrong way shows, and beyond the sensible range.
const THRESHOLDS: [f64; 16] = [
    0.0,
    0.1,
    0.2,
    0.3,
    0.45,
    0.5,
    0.6,
    0.7,
    0.9,
    1.0,
    1.5,
    1e-9,
    1e300,
    -0.25,
    f64::NEG_INFINITY,
    f64::INFINITY,
];

#[test]
fn equals_the_textbook() {
    let contexts = contexts();
    let mut random = Random(1);
    for round in 0..cases(600) {
        let kind = KINDS[round % KINDS.len()];
        let n = *[
            0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 300, 700,
        ]
        // Every size in twenty rounds, with every kind in 160.
        .get((round + round / 40) % 20)
        .unwrap_or(&random.range(0, 900));
        let set = make(kind, n, random.bits());
        let params = NmsParams {
            iou_threshold: THRESHOLDS[random.range(0, THRESHOLDS.len() - 1)],
            score_threshold: [None, None, Some(0.25), Some(0.0)][random.range(0, 3)],
            max_output: [0, 0, 0, 1, 50][random.range(0, 4)],
            max_candidates: [0, 0, 0, 100][random.range(0, 3)],
            format: [
                BoxFormat::Xyxy,
                BoxFormat::Xyxy,
                BoxFormat::Xywh,
                BoxFormat::Cxcywh,
            ][random.range(0, 3)],
            offset: random.range(0, 1) as i32,
            overlap: [Overlap::Union, Overlap::Min][random.range(0, 1)],
        };
        let expected = nms_textbook(&params, &set, None);
        let batched = nms_textbook(&params, &set, Some(&set.classes));
        for (name, ctx) in &contexts {
            let what = || format!("{kind} n {n} {params:?} on {name}");
            assert_eq!(run_nms(ctx, &params, &set), expected, "{}", what());
            assert_eq!(
                run_batched(ctx, &params, &set),
                batched,
                "batched {}",
                what()
            );
        }
    }
}

/// Enough kept boxes that the grid takes over, of all sizes and places.
#[test]
fn equals_the_textbook_when_many_are_kept() {
    let contexts = contexts();
    let mut random = Random(2);
    let (rounds, sizes) = if quick() {
        (6, 600..=1000)
    } else {
        (24, 1500..=4000)
    };
    for round in 0..rounds {
        let n = random.range(*sizes.start(), *sizes.end());
        let kind = [
            "random",
            "far",
            "mixed",
            "degenerate",
            "extreme",
            "negative",
        ][round % 6];
        let mut set = make(kind, n, random.bits());
        // Spread them out, unevenly, so that most are kept; a few end up far away.
        let spread = [1.0, 3.0, 30.0, 1e5][(round + round / 12) % 4];
        for (i, b) in set.boxes.chunks_exact_mut(4).enumerate() {
            let far = if i % 97 == 0 { 1e4 } else { 1.0 };
            let (dx, dy) = (
                random.float() * 200.0 * spread * far,
                random.float() * 100.0 * spread,
            );
            (b[0], b[2]) = (b[0] + dx, b[2] + dx);
            (b[1], b[3]) = (b[1] + dy, b[3] + dy);
        }
        for overlap in [Overlap::Union, Overlap::Min] {
            let params = NmsParams {
                offset: (round % 2) as i32,
                overlap,
                ..NmsParams::new([0.0, 0.005, 0.3, 0.5, 0.7, 0.95][random.range(0, 5)])
            };
            let expected = nms_textbook(&params, &set, None);
            for (name, ctx) in &contexts {
                let kept = run_nms(ctx, &params, &set);
                assert_eq!(kept, expected, "{kind} n {n} {params:?} on {name}");
            }
        }
    }
}

/// The largest f32 not above the threshold decides, not the nearest one.
#[test]
fn threshold_is_a_double() {
    for tenths in 1..10 {
        // Two boxes whose IoU is exactly the f32 nearest to tenths / 10: the
        // second is the lower part of the first.
        let share = tenths as f32;
        let set = Set {
            boxes: vec![0., 0., 1., 10., 0., 0., 1., share],
            scores: vec![1., 0.5],
            classes: vec![0, 0],
        };
        let threshold = f64::from(tenths) / 10.0;
        let suppressed = f64::from(share / 10.0) > threshold;
        for (name, ctx) in contexts() {
            for (threshold, kept) in [
                (threshold, 2 - usize::from(suppressed)),
                (f64::from(share / 10.0), 2),
                (f64::from(share / 10.0).next_down(), 1),
            ] {
                let found = run_nms(&ctx, &NmsParams::new(threshold), &set);
                assert_eq!(found.len(), kept, "{threshold} on {name}");
            }
        }
    }
}

/// Threads change nothing, however many boxes there are.
#[test]
fn threads_decide_the_same() {
    let mut random = Random(17);
    let kinds = ["random", "mixed", "degenerate", "extreme", "quantised"];
    for (round, kind) in kinds.iter().enumerate().take(if quick() { 2 } else { 5 }) {
        let mut set = make(kind, 17_000 + 1500 * round, random.bits());
        // In a wide picture, a high one, or one on which all are crowded.
        let [wide, high] = [[6.0, 1.0], [0.5, 9.0], [20.0, 20.0], [3.0, 3.0], [1.0, 1.0]][round];
        for b in set.boxes.chunks_exact_mut(4) {
            let (dx, dy) = (random.float() * 100.0 * wide, random.float() * 100.0 * high);
            (b[0], b[2]) = (b[0] + dx, b[2] + dx);
            (b[1], b[3]) = (b[1] + dy, b[3] + dy);
        }
        for overlap in [Overlap::Union, Overlap::Min] {
            let params = NmsParams {
                overlap,
                offset: (round % 2) as i32,
                score_threshold: [None, Some(0.1)][round % 2],
                ..NmsParams::new([0.5, 0.3, 0.7, 0.1, 0.45][round])
            };
            for isa in isas() {
                let one = run_nms(&context(isa, 1), &params, &set);
                for threads in [2, 5] {
                    let kept = run_nms(&context(isa, threads), &params, &set);
                    let what = format!("{kind} {params:?} x{threads} on {}", isa.tier().name());
                    assert!(kept == one, "{what}");
                }
            }
        }
    }
}

#[test]
fn kept_and_dropped_boxes() {
    let (_, ctx) = contexts().pop().unwrap();
    for (round, kind) in KINDS.iter().enumerate() {
        let n = if quick() { 500 } else { 2000 };
        let set = make(kind, n, 77 + round as u64);
        let params = NmsParams::new(0.4);
        let kept = run_nms(&ctx, &params, &set);
        let hits = |i: i64, j: i64| {
            let (i, j) = (set.corners(i as usize), set.corners(j as usize));
            f64::from(overlap(&params, i, j)) > params.iou_threshold
        };
        for (r, &j) in kept.iter().enumerate() {
            assert!(!kept[..r].iter().any(|&i| hits(i, j)), "{kind}: kept {j}");
        }
        let rank: Vec<usize> = {
            let mut rank = vec![0; set.len()];
            for (r, i) in ranks(&set.scores, None).into_iter().enumerate() {
                rank[i] = r;
            }
            rank
        };
        for j in (0..set.len() as i64).filter(|j| !kept.contains(j)) {
            let better = |i: i64| rank[i as usize] < rank[j as usize];
            assert!(
                kept.iter().any(|&i| better(i) && hits(i, j)),
                "{kind}: dropped {j}"
            );
        }
    }
}

#[test]
fn permutation_does_not_matter_when_scores_differ() {
    let (_, ctx) = contexts().pop().unwrap();
    let set = make("random", 1000, 5);
    let params = NmsParams::new(0.5);
    let kept = run_nms(&ctx, &params, &set);
    // 7 and 1000 have no factor in common.
    let place = |i: usize| (i * 7 + 3) % 1000;
    let mut other = set.clone();
    for i in 0..1000 {
        other.scores[place(i)] = set.scores[i];
        other.boxes[4 * place(i)..][..4].copy_from_slice(&set.corners(i));
    }
    let moved: Vec<i64> = kept.iter().map(|&i| place(i as usize) as i64).collect();
    assert_eq!(run_nms(&ctx, &params, &other), moved);
}

#[test]
fn classes_of_any_value_and_type() {
    let mut set = make("mixed", 900, 3);
    let params = NmsParams::new(0.3);
    for (_, ctx) in contexts() {
        let expected = nms_textbook(&params, &set, Some(&set.classes));
        assert_eq!(run_batched(&ctx, &params, &set), expected);
        let small: Vec<i32> = set.classes.iter().map(|&c| c as i32).collect();
        let mut indices = vec![0; 900];
        let mut count = 0;
        batched_nms(
            &ctx,
            &params,
            View::new(&set.boxes, &[900, 4]).unwrap(),
            View::new(&set.scores, &[900]).unwrap(),
            View::new(&small, &[900]).unwrap(),
            ViewMut::new(&mut indices, &[900]).unwrap(),
            &mut count,
        )
        .unwrap();
        assert_eq!(indices[..count], expected);
    }
    // Far apart, at both ends of the range, and every box a class of its own.
    let values = [i64::MIN, -1, 0, 1 << 40, i64::MAX];
    let wide: Vec<i64> = set
        .classes
        .iter()
        .map(|&c| values[(c + 3) as usize % 5])
        .collect();
    set.classes = wide;
    let expected = nms_textbook(&params, &set, Some(&set.classes));
    for (_, ctx) in contexts() {
        assert_eq!(run_batched(&ctx, &params, &set), expected);
    }
    set.classes = (0..900).map(|i| i * 1_000_003).collect();
    for (_, ctx) in contexts() {
        assert_eq!(run_batched(&ctx, &params, &set).len(), 900);
    }
}

#[test]
fn strided_arrays() {
    let set = make("random", 200, 9);
    let params = NmsParams::new(0.3);
    let expected = nms_textbook(&params, &set, None);
    for (_, ctx) in contexts() {
        // Rows of five numbers in reverse order: x1 y1 x2 y2 score.
        let mut rows = vec![0f32; 200 * 5];
        for i in 0..200 {
            let row = &mut rows[(199 - i) * 5..][..5];
            row[..4].copy_from_slice(&set.corners(i));
            row[4] = set.scores[i];
        }
        let mut indices = vec![-1i64; 400];
        let mut count = 0;
        nms(
            &ctx,
            &params,
            View::strided(&rows, 199 * 5, &[200, 4], &[-5, 1]).unwrap(),
            View::strided(&rows, 199 * 5 + 4, &[200], &[-5]).unwrap(),
            ViewMut::strided(&mut indices, 399, &[200], &[-2]).unwrap(),
            &mut count,
        )
        .unwrap();
        let found: Vec<i64> = indices.iter().rev().step_by(2).copied().collect();
        assert_eq!(found[..count], expected);
        assert!(found[count..].iter().all(|&i| i == -1));
        assert!(indices.iter().step_by(2).all(|&i| i == -1));
    }
}

#[test]
fn room_for_the_result() {
    let set = make("random", 300, 4);
    let params = NmsParams::new(0.5);
    let expected = nms_textbook(&params, &set, None);
    let (_, ctx) = contexts().pop().unwrap();
    let boxes = View::new(&set.boxes, &[300, 4]).unwrap();
    let scores = View::new(&set.scores, &[300]).unwrap();
    let room = expected.len();
    for capacity in [0, 1, room - 1, room] {
        let mut indices = vec![-1i64; capacity];
        let mut count = 0;
        let out = ViewMut::new(&mut indices, &[capacity]).unwrap();
        let result = nms(&ctx, &params, boxes, scores, out, &mut count);
        assert_eq!(count, room);
        if capacity == room {
            result.unwrap();
            assert_eq!(indices, expected);
        } else {
            let error = result.unwrap_err();
            assert_eq!(error.status(), Status::BufferTooSmall);
            assert_eq!(
                error.message(),
                format!("nms: indices has room for {capacity}, the result has {room}")
            );
            assert!(indices.iter().all(|&i| i == -1));
        }
    }
}

#[test]
fn errors_name_the_argument() {
    let (_, ctx) = contexts().pop().unwrap();
    let memory = [0f32; 64];
    let classes = [0i64; 16];
    let try_nms = |params: &NmsParams, boxes: &[usize], scores: &[usize]| {
        let mut indices = [0i64; 16];
        let mut count = 99;
        let boxes = View::new(&memory[..boxes.iter().product()], boxes).unwrap();
        let scores = View::new(&memory[..scores.iter().product()], scores).unwrap();
        let out = ViewMut::new(&mut indices, &[16]).unwrap();
        let error = nms(&ctx, params, boxes, scores, out, &mut count).unwrap_err();
        assert_eq!(count, 99);
        error.message().to_string()
    };
    let good = NmsParams::new(0.5);
    assert_eq!(
        try_nms(&good, &[3, 5], &[3]),
        "nms: boxes has shape [3, 5], expected (N, 4)"
    );
    assert_eq!(
        try_nms(&good, &[12], &[3]),
        "nms: boxes has 1 dimensions, expected 2"
    );
    assert_eq!(
        try_nms(&good, &[3, 4], &[4]),
        "nms: scores has 4 elements, boxes 3"
    );
    assert_eq!(
        try_nms(&good, &[3, 4], &[3, 1]),
        "nms: scores has 2 dimensions, expected 1"
    );
    let nan = NmsParams::new(f64::NAN);
    assert_eq!(try_nms(&nan, &[3, 4], &[3]), "nms: iou_threshold is NaN");
    let nan = NmsParams {
        score_threshold: Some(f64::NAN),
        ..good
    };
    assert_eq!(try_nms(&nan, &[3, 4], &[3]), "nms: score_threshold is NaN");
    let offset = NmsParams { offset: 2, ..good };
    assert_eq!(
        try_nms(&offset, &[3, 4], &[3]),
        "nms: offset is 2, expected 0 or 1"
    );
    let mut indices = [0i64; 16];
    let error = batched_nms(
        &ctx,
        &good,
        View::new(&memory[..12], &[3, 4]).unwrap(),
        View::new(&memory[..3], &[3]).unwrap(),
        View::new(&classes[..4], &[4]).unwrap(),
        ViewMut::new(&mut indices, &[16]).unwrap(),
        &mut 0,
    )
    .unwrap_err();
    assert_eq!(
        error.message(),
        "batched_nms: classes has 4 elements, scores 3"
    );
}
