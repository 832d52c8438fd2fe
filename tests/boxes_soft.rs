//! `soft_nms` and `matrix_nms` against OpenCV's values, against their papers written
//! out one operation after the other, and against plain suppression, on every tier.

mod common;
#[path = "fixtures/boxes.rs"]
mod data;

use common::{Random, cases, context, isas};
use data::*;
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

fn run_soft(ctx: &Context, params: &SoftNmsParams, set: &Set) -> (Vec<i64>, Vec<f32>) {
    let n = set.len();
    let (mut indices, mut scores) = (vec![-7; n + 1], vec![-7.0; n + 1]);
    let mut count = usize::MAX;
    soft_nms(
        ctx,
        params,
        View::new(&set.boxes, &[n, 4]).unwrap(),
        View::new(&set.scores, &[n]).unwrap(),
        ViewMut::new(&mut indices, &[n + 1]).unwrap(),
        ViewMut::new(&mut scores, &[n + 1]).unwrap(),
        &mut count,
    )
    .unwrap();
    assert!(indices[count..].iter().all(|&i| i == -7));
    assert!(scores[count..].iter().all(|&s| s == -7.0));
    indices.truncate(count);
    scores.truncate(count);
    (indices, scores)
}

fn run_matrix(
    ctx: &Context,
    params: &MatrixNmsParams,
    set: &Set,
    by_class: bool,
) -> (Vec<i64>, Vec<f32>) {
    let n = set.len();
    let (mut indices, mut scores) = (vec![-7; n + 1], vec![-7.0; n + 1]);
    let mut count = usize::MAX;
    let classes = View::new(&set.classes, &[n]).unwrap();
    matrix_nms(
        ctx,
        params,
        View::new(&set.boxes, &[n, 4]).unwrap(),
        View::new(&set.scores, &[n]).unwrap(),
        by_class.then_some(classes),
        ViewMut::new(&mut indices, &[n + 1]).unwrap(),
        ViewMut::new(&mut scores, &[n + 1]).unwrap(),
        &mut count,
    )
    .unwrap();
    assert!(indices[count..].iter().all(|&i| i == -7));
    indices.truncate(count);
    scores.truncate(count);
    (indices, scores)
}

/// IoU as the soft forms see it: a NaN counts as 0.
fn iou(format: BoxFormat, offset: i32, a: [f32; 4], b: [f32; 4]) -> f32 {
    let (a, b) = (corners(format, a), corners(format, b));
    let side = |low: f32, high: f32| high - low + offset as f32;
    let clamp = |v: f32| if v > 0.0 { v } else { 0.0 };
    // What vectors do with a NaN on the left.
    let min = |a: f32, b: f32| if a < b { a } else { b };
    let max = |a: f32, b: f32| if a > b { a } else { b };
    let w = clamp(side(max(a[0], b[0]), min(a[2], b[2])));
    let h = clamp(side(max(a[1], b[1]), min(a[3], b[3])));
    let area = |b: [f32; 4]| side(b[0], b[2]) * side(b[1], b[3]);
    let union = area(a) + area(b) - w * h;
    let ratio = if union == 0.0 { w * h } else { w * h / union };
    if ratio > 0.0 { ratio } else { 0.0 }
}

/// The paper's loop.
fn soft_textbook(params: &SoftNmsParams, set: &Set) -> (Vec<i64>, Vec<f32>) {
    let stays = |s: f32| f64::from(s) >= params.score_threshold && s > f32::NEG_INFINITY;
    let mut rest: Vec<(usize, f32)> = set.scores.iter().copied().enumerate().collect();
    rest.retain(|&(_, s)| stays(s));
    let (mut indices, mut scores) = (Vec::new(), Vec::new());
    while !rest.is_empty() && (params.max_output == 0 || indices.len() < params.max_output) {
        let mut at = 0;
        for (i, &(_, s)) in rest.iter().enumerate() {
            if s > rest[at].1 {
                at = i;
            }
        }
        let (best, score) = rest.remove(at);
        indices.push(best as i64);
        scores.push(score);
        for (i, s) in &mut rest {
            let iou = iou(
                params.format,
                params.offset,
                set.corners(best),
                set.corners(*i),
            );
            let above = f64::from(iou) > params.iou_threshold;
            *s *= match params.method {
                SoftNmsMethod::Linear if above => 1.0 - iou,
                SoftNmsMethod::Greedy if above => 0.0,
                SoftNmsMethod::Gaussian => {
                    (-f64::from(iou * iou) / f64::from(params.sigma)).exp() as f32
                }
                _ => 1.0,
            };
        }
        rest.retain(|&(_, s)| stays(s));
    }
    (indices, scores)
}

fn close(a: f32, b: f32, tolerance: f32) -> bool {
    a == b || (a - b).abs() <= tolerance * (1.0 + b.abs())
}

#[test]
fn values_are_those_of_opencv() {
    let mut compared = 0;
    for line in include_str!("fixtures/boxes_soft.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split(' ').collect();
        let mut set = make(
            "random",
            fields[0].parse().unwrap(),
            fields[1].parse().unwrap(),
        );
        set.boxes.iter_mut().for_each(|v| *v = v.floor());
        let params = SoftNmsParams {
            method: match fields[2] {
                "linear" => SoftNmsMethod::Linear,
                "gaussian" => SoftNmsMethod::Gaussian,
                other => panic!("{other}"),
            },
            iou_threshold: fields[3].parse().unwrap(),
            sigma: fields[4].parse().unwrap(),
            score_threshold: fields[5].parse().unwrap(),
            ..SoftNmsParams::default()
        };
        let expected: Vec<(i64, f32)> = fields[6..]
            .iter()
            .map(|pair| pair.split_once(':').unwrap())
            .map(|(i, s)| (i.parse().unwrap(), s.parse().unwrap()))
            .collect();
        for (name, ctx) in contexts() {
            let (indices, scores) = run_soft(&ctx, &params, &set);
            assert_eq!(indices.len(), expected.len(), "{line} on {name}");
            for ((i, s), (index, score)) in expected.iter().zip(indices.iter().zip(&scores)) {
                assert!(i == index && close(*score, *s, 1e-6), "{line} on {name}");
            }
        }
        compared += 1;
    }
    assert!(compared >= 20);
}

#[test]
fn soft_equals_the_textbook() {
    let contexts = contexts();
    let mut random = Random(11);
    let sizes = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 130, 300];
    for round in 0..cases(300) {
        let kind = KINDS[round % KINDS.len()];
        let n = sizes[(round + round / 8) % sizes.len()];
        let set = make(kind, n, random.bits());
        let params = SoftNmsParams {
            method: [
                SoftNmsMethod::Linear,
                SoftNmsMethod::Greedy,
                SoftNmsMethod::Gaussian,
            ][random.range(0, 2)],
            iou_threshold: [0.3, 0.0, 0.5, 1.0, -0.5][random.range(0, 4)],
            sigma: [0.5, 0.1][random.range(0, 1)],
            score_threshold: [0.001, 0.0, 0.2, -1.0, f64::NEG_INFINITY][random.range(0, 4)],
            max_output: [0, 0, 1, 10][random.range(0, 3)],
            format: [BoxFormat::Xyxy, BoxFormat::Cxcywh][random.range(0, 1)],
            offset: random.range(0, 1) as i32,
        };
        let (expected, values) = soft_textbook(&params, &set);
        for (name, ctx) in &contexts {
            let what = format!("{kind} n {n} {params:?} on {name}");
            let (indices, scores) = run_soft(ctx, &params, &set);
            if params.method != SoftNmsMethod::Gaussian {
                // No operation is fused: every bit.
                assert_eq!(indices, expected, "{what}");
                assert!(scores.iter().zip(&values).all(|(a, b)| a == b), "{what}");
                continue;
            }
            // The exponentials differ in the last place, and may swap or drop near ties.
            for (i, (a, b)) in scores.iter().zip(&values).enumerate() {
                assert!(close(*a, *b, 1e-5), "{what}: {a} {b} at {i}");
            }
            let mut sorted = [indices.clone(), expected.clone()];
            sorted.iter_mut().for_each(|v| v.sort_unstable());
            let ties = scores.windows(2).any(|s| close(s[0], s[1], 1e-5));
            assert!(indices == expected || ties, "{what}");
            assert_eq!(indices.len(), expected.len(), "{what}");
        }
    }
}

#[test]
fn greedy_is_suppression() {
    let (_, ctx) = contexts().pop().unwrap();
    for (seed, kind) in ["random", "quantised", "mixed", "degenerate"]
        .iter()
        .enumerate()
    {
        let set = make(kind, 700, seed as u64);
        let params = SoftNmsParams {
            method: SoftNmsMethod::Greedy,
            iou_threshold: 0.4,
            score_threshold: f64::MIN_POSITIVE,
            ..SoftNmsParams::default()
        };
        let mut hard = NmsParams::new(0.4);
        hard.score_threshold = Some(0.0);
        assert_eq!(run_soft(&ctx, &params, &set).0, run_nms(&ctx, &hard, &set));
    }
}

/// The formulas in double precision, with the matrix of all overlaps.
fn matrix_textbook(params: &MatrixNmsParams, set: &Set, by_class: bool) -> (Vec<i64>, Vec<f64>) {
    let limit = |n: usize| if n == 0 { usize::MAX } else { n };
    let mut ranks = ranks(&set.scores, params.score_threshold);
    ranks.truncate(limit(params.max_candidates));
    let iou = |i: usize, j: usize| {
        let same = !by_class || set.classes[i] == set.classes[j];
        match same {
            true => f64::from(iou(
                params.format,
                params.offset,
                set.corners(i),
                set.corners(j),
            )),
            false => 0.0,
        }
    };
    let most: Vec<f64> = (0..ranks.len())
        .map(|r| (0..r).map(|q| iou(ranks[r], ranks[q])).fold(0.0, f64::max))
        .collect();
    let sigma = f64::from(params.sigma);
    let mut lowered: Vec<(i64, f64)> = Vec::new();
    for (r, &i) in ranks.iter().enumerate() {
        let mut factor: f64 = 1.0;
        for q in 0..r {
            if by_class && set.classes[i] != set.classes[ranks[q]] {
                continue;
            }
            let iou = iou(i, ranks[q]);
            let decay = match params.method {
                MatrixNmsMethod::Linear => (1.0 - iou) / (1.0 - most[q]),
                MatrixNmsMethod::Gaussian => ((most[q] * most[q] - iou * iou) * sigma).exp(),
            };
            factor = factor.min(decay);
        }
        lowered.push((i as i64, factor * f64::from(set.scores[i])));
    }
    lowered.retain(|&(_, s)| s > params.post_threshold);
    lowered.sort_by(|a, b| b.1.total_cmp(&a.1));
    lowered.truncate(limit(params.max_output));
    lowered.into_iter().unzip()
}

#[test]
fn matrix_equals_the_textbook() {
    let contexts = contexts();
    let mut random = Random(12);
    let sizes = [0, 1, 2, 3, 8, 9, 16, 17, 33, 64, 65, 127, 300];
    for round in 0..cases(150) {
        // Without infinite coordinates, whose products the doubles would not lose.
        let kind = ["random", "negative", "mixed", "degenerate", "far"][round % 5];
        let n = sizes[(round + round / 5) % sizes.len()];
        let set = make(kind, n, random.bits());
        let params = MatrixNmsParams {
            method: [MatrixNmsMethod::Linear, MatrixNmsMethod::Gaussian][random.range(0, 1)],
            sigma: [2.0, 0.5][random.range(0, 1)],
            score_threshold: [None, Some(0.1)][random.range(0, 1)],
            post_threshold: [0.0, 0.05][random.range(0, 1)],
            max_output: [0, 0, 20][random.range(0, 2)],
            max_candidates: [0, 0, 50][random.range(0, 2)],
            format: [BoxFormat::Xyxy, BoxFormat::Xywh][random.range(0, 1)],
            offset: random.range(0, 1) as i32,
        };
        for by_class in [false, true] {
            let (expected, values) = matrix_textbook(&params, &set, by_class);
            for (name, ctx) in &contexts {
                let what = format!("{kind} n {n} {params:?} {by_class} on {name}");
                let (indices, scores) = run_matrix(ctx, &params, &set, by_class);
                // Scores near the threshold may fall on either side of it.
                let near = |count: usize, all: &[f64]| {
                    all[count..]
                        .iter()
                        .all(|s| (s - params.post_threshold).abs() < 1e-5)
                };
                let common = indices.len().min(expected.len());
                assert!(
                    near(common, &values),
                    "{what}: {} {}",
                    indices.len(),
                    expected.len()
                );
                let mut differ = 0;
                for i in 0..common {
                    let (a, b) = (f64::from(scores[i]), values[i]);
                    // 1 - most cancels where a box nearly repeats a better one.
                    assert!((a - b).abs() <= 2e-4, "{what}: {a} {b} at {i}");
                    differ += usize::from(indices[i] != expected[i]);
                }
                assert!(differ * 20 <= common, "{what}: {differ} of {common} differ");
            }
        }
    }
}

#[test]
fn matrix_of_ties_and_nothing() {
    for (_, ctx) in contexts() {
        // The same box three times: the second and the third have no factor but 0.
        let set = Set {
            boxes: [0.0, 0.0, 4.0, 4.0].repeat(3),
            scores: vec![0.5, 0.9, 0.5],
            classes: vec![1, 1, 2],
        };
        let params = MatrixNmsParams::default();
        assert_eq!(run_matrix(&ctx, &params, &set, false).0, [1]);
        assert_eq!(
            run_matrix(&ctx, &params, &set, true),
            (vec![1, 2], vec![0.9, 0.5])
        );
        let all = MatrixNmsParams {
            post_threshold: -1.0,
            ..params
        };
        assert_eq!(
            run_matrix(&ctx, &all, &set, false),
            (vec![1, 0, 2], vec![0.9, 0.0, 0.0])
        );
        let nan = Set {
            boxes: vec![f32::NAN, 0.0, 4.0, 4.0, 0.0, 0.0, 4.0, 4.0],
            scores: vec![0.9, 0.5],
            classes: vec![0, 0],
        };
        assert_eq!(
            run_matrix(&ctx, &params, &nan, false),
            (vec![0, 1], vec![0.9, 0.5])
        );
    }
}

#[test]
fn same_bits_with_two_threads() {
    for isa in isas() {
        let set = make("mixed", 1500, 21);
        for method in [MatrixNmsMethod::Linear, MatrixNmsMethod::Gaussian] {
            let params = MatrixNmsParams {
                method,
                ..MatrixNmsParams::default()
            };
            let one = run_matrix(&context(isa, 1), &params, &set, true);
            assert_eq!(run_matrix(&context(isa, 2), &params, &set, true), one);
        }
    }
}

#[test]
fn errors_name_the_argument() {
    let (_, ctx) = contexts().pop().unwrap();
    let set = make("random", 6, 1);
    let try_soft = |params: &SoftNmsParams, scores: usize, room: [usize; 2]| {
        let (mut indices, mut kept) = (vec![-1i64; room[0]], vec![-1f32; room[1]]);
        let mut count = 99;
        let error = soft_nms(
            &ctx,
            params,
            View::new(&set.boxes, &[6, 4]).unwrap(),
            View::new(&set.scores[..scores], &[scores]).unwrap(),
            ViewMut::new(&mut indices, &room[..1]).unwrap(),
            ViewMut::new(&mut kept, &room[1..]).unwrap(),
            &mut count,
        )
        .unwrap_err();
        assert!(indices.iter().all(|&i| i == -1) && kept.iter().all(|&s| s == -1.0));
        (error.message().to_string(), error.status(), count)
    };
    let good = SoftNmsParams::default();
    let message = |params: &SoftNmsParams, scores, room| try_soft(params, scores, room).0;
    assert_eq!(
        message(&good, 5, [6, 6]),
        "soft_nms: scores has 5 elements, boxes 6"
    );
    assert_eq!(
        message(&good, 6, [6, 5]),
        "soft_nms: kept_scores has 5 elements, indices 6"
    );
    let sigma = SoftNmsParams { sigma: 0.0, ..good };
    assert_eq!(
        message(&sigma, 6, [6, 6]),
        "soft_nms: sigma is 0, expected a positive number"
    );
    let nan = SoftNmsParams {
        score_threshold: f64::NAN,
        ..good
    };
    assert_eq!(message(&nan, 6, [6, 6]), "soft_nms: score_threshold is NaN");
    let full = run_soft(&ctx, &good, &set).0.len();
    assert_eq!(
        try_soft(&good, 6, [1, 1]),
        (
            format!("soft_nms: indices has room for 1, the result has {full}"),
            Status::BufferTooSmall,
            full
        )
    );
}
