//! `box_convert`, `box_iou_3d` and `nms_per_image` on every tier.

mod common;
#[path = "fixtures/boxes.rs"]
mod data;

use common::{Random, cases, context, isas};
use data::*;
use omma::boxes::*;
use omma::runtime::Context;
use omma::tensor::{Raw, View, ViewMut};

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

/// The same bits, or both NaN.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

// ---- box_convert ----------------------------------------------------------

const FORMATS: [(&str, BoxFormat); 3] = [
    ("xyxy", BoxFormat::Xyxy),
    ("xywh", BoxFormat::Xywh),
    ("cxcywh", BoxFormat::Cxcywh),
];

fn converted(from: BoxFormat, to: BoxFormat, b: [f32; 4]) -> [f32; 4] {
    if from == to {
        return b;
    }
    let [x1, y1, x2, y2] = corners(from, b);
    match to {
        BoxFormat::Xywh => [x1, y1, x2 - x1, y2 - y1],
        BoxFormat::Cxcywh => [(x1 + x2) / 2.0, (y1 + y2) / 2.0, x2 - x1, y2 - y1],
        _ => [x1, y1, x2, y2],
    }
}

#[test]
fn conversions_are_those_of_torchvision() {
    let set = make("extreme", 9, 3);
    let format = |name: &str| FORMATS.iter().find(|f| f.0 == name).unwrap().1;
    let mut compared = 0;
    for line in include_str!("fixtures/boxes_convert.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split(' ').collect();
        let (from, to) = (format(fields[0]), format(fields[1]));
        for (name, ctx) in contexts() {
            let mut out = vec![-7.0; 36];
            let view = View::new(&set.boxes, &[9, 4]).unwrap();
            let output = ViewMut::new(&mut out, &[9, 4]).unwrap();
            box_convert(&ctx, from, to, view, output).unwrap();
            for (found, expected) in out.iter().zip(&fields[2..]) {
                let expected = f32::from_bits(u32::from_str_radix(expected, 16).unwrap());
                assert!(
                    same(*found, expected),
                    "{from:?} {to:?} on {name}: {found} {expected}"
                );
            }
        }
        compared += 1;
    }
    assert_eq!(compared, 9);
}

#[test]
fn conversions_of_any_shape_and_strides() {
    let all = [
        BoxFormat::Xyxy,
        BoxFormat::Xywh,
        BoxFormat::Cxcywh,
        BoxFormat::Corners,
    ];
    let (_, ctx) = contexts().pop().unwrap();
    let mut random = Random(5);
    for round in 0..cases(200) {
        let (from, to) = (all[round % 4], all[round / 4 % 4]);
        let shape = [
            vec![4],
            vec![0, 4],
            vec![random.range(1, 50), 4],
            vec![2, random.range(1, 9), 4],
            vec![3, 1, random.range(1, 5), 4],
        ][round % 5]
            .clone();
        let n: usize = shape.iter().product::<usize>() / 4;
        let source = make(KINDS[round % 8], n, random.bits()).boxes;
        let expected: Vec<f32> = source
            .as_chunks()
            .0
            .iter()
            .flat_map(|&b| converted(from, to, b))
            .collect();
        // Columns (4, …) seen as rows, backwards, with gaps: strides of every kind.
        let mut strides = vec![0isize; shape.len()];
        let mut step = 3;
        for axis in 0..shape.len() {
            strides[axis] = if axis % 2 == 0 { -step } else { step };
            step *= shape[axis].max(1) as isize;
        }
        let place = |i: usize| {
            let (mut rest, mut at) = (i, 0);
            for axis in (0..shape.len()).rev() {
                at += (rest % shape[axis]) as isize * strides[axis];
                rest /= shape[axis];
            }
            at
        };
        let start = -(0..source.len()).map(place).min().unwrap_or(0);
        let mut memory = vec![-7.0f32; step as usize + 8];
        for (i, &v) in source.iter().enumerate() {
            memory[(start + place(i)) as usize] = v;
        }
        let pristine = memory.clone();
        // To a compact array, and in place.
        let mut out = vec![-7.0; source.len()];
        let view = View::strided(&memory, start as usize, &shape, &strides).unwrap();
        let output = ViewMut::new(&mut out, &shape).unwrap();
        box_convert(&ctx, from, to, view, output).unwrap();
        let what = format!("{from:?} {to:?} {shape:?}");
        assert!(
            out.iter().zip(&expected).all(|(&a, &b)| same(a, b)),
            "{what}"
        );
        // SAFETY: memory of this function, used by one call that may see it twice.
        unsafe {
            let at = memory.as_mut_ptr().offset(start);
            let raw = Raw::new(&"memory", at, &shape, Some(&strides)).unwrap();
            let output = ViewMut::from_raw(&"memory", raw).unwrap();
            box_convert(&ctx, from, to, View::from_raw(raw), output).unwrap();
        }
        for (i, &b) in expected.iter().enumerate() {
            let at = (start + place(i)) as usize;
            assert!(same(memory[at], b), "{what} in place");
            memory[at] = pristine[at];
        }
        assert!(
            memory.iter().zip(&pristine).all(|(&a, &b)| same(a, b)),
            "{what}: gaps"
        );
    }
}

/// More boxes than a task has.
#[test]
fn conversion_of_many() {
    for (_, ctx) in contexts() {
        let set = make("random", 40_000, 6);
        let mut out = vec![0.0; 160_000];
        let view = View::new(&set.boxes, &[200, 200, 4]).unwrap();
        let output = ViewMut::new(&mut out, &[200, 200, 4]).unwrap();
        box_convert(&ctx, BoxFormat::Xyxy, BoxFormat::Cxcywh, view, output).unwrap();
        for i in 0..set.len() {
            let expected = converted(BoxFormat::Xyxy, BoxFormat::Cxcywh, set.corners(i));
            assert_eq!(out[4 * i..][..4], expected);
        }
    }
}

#[test]
fn conversion_errors() {
    let (_, ctx) = contexts().pop().unwrap();
    let memory = [0f32; 64];
    let mut out = [0f32; 64];
    let mut attempt = |from: &[usize], to: &[usize]| {
        let view = View::new(&memory[..from.iter().product()], from).unwrap();
        let output = ViewMut::new(&mut out[..to.iter().product()], to).unwrap();
        let result = box_convert(&ctx, BoxFormat::Xyxy, BoxFormat::Xywh, view, output);
        result.unwrap_err().message().to_string()
    };
    assert_eq!(
        attempt(&[3, 5], &[3, 5]),
        "box_convert: boxes has shape [3, 5], expected (…, 4)"
    );
    assert_eq!(
        attempt(&[3, 4], &[12]),
        "box_convert: output has shape [12], boxes has [3, 4]"
    );
    let mut shared = [0f32; 64];
    // SAFETY: memory of this function; the call is refused.
    let error = unsafe {
        let base = shared.as_mut_ptr();
        let raw = |at: usize| Raw::new(&"", base.add(at), &[3, 4], None).unwrap();
        let (a, b) = (raw(0), raw(1));
        let output = ViewMut::from_raw(&"", b).unwrap();
        box_convert(
            &ctx,
            BoxFormat::Xyxy,
            BoxFormat::Xywh,
            View::from_raw(a),
            output,
        )
    };
    assert_eq!(
        error.unwrap_err().message(),
        "box_convert: output overlaps boxes in memory without being the same array"
    );
}

// ---- box_iou_3d -----------------------------------------------------------

fn oracle_3d(a: &[f32], b: &[f32]) -> f32 {
    let volume = |b: &[f32]| (b[3] - b[0]) * (b[4] - b[1]) * (b[5] - b[2]);
    let mut inter = 1.0f32;
    for axis in 0..3 {
        let high = if a[axis + 3] < b[axis + 3] {
            a[axis + 3]
        } else {
            b[axis + 3]
        };
        let low = if a[axis] > b[axis] { a[axis] } else { b[axis] };
        inter *= if high - low > 0.0 { high - low } else { 0.0 };
    }
    let union = volume(a) + volume(b) - inter;
    if union == 0.0 { inter } else { inter / union }
}

fn run_3d(ctx: &Context, a: &[f32], b: &[f32]) -> Vec<f32> {
    let (n, m) = (a.len() / 6, b.len() / 6);
    let mut out = vec![-7.0; n * m];
    box_iou_3d(
        ctx,
        View::new(a, &[n, 6]).unwrap(),
        View::new(b, &[m, 6]).unwrap(),
        ViewMut::new(&mut out, &[n, m]).unwrap(),
    )
    .unwrap();
    out
}

#[test]
fn space_equals_the_oracle() {
    let contexts = contexts();
    let mut random = Random(7);
    let sizes = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 61];
    for round in 0..cases(120) {
        let mut boxes = |n: usize| -> Vec<f32> {
            let mut all = Vec::new();
            for _ in 0..n {
                let low: [f32; 3] = std::array::from_fn(|_| random.float() * 10.0);
                let side: [f32; 3] = std::array::from_fn(|_| random.float().abs() * 8.0);
                all.extend(low);
                all.extend((0..3).map(|axis| low[axis] + side[axis]));
                if random.range(0, 9) == 0 {
                    let at = all.len() - 1 - random.range(0, 5);
                    all[at] = [0.0, f32::NAN, f32::INFINITY, -3e38, 1e-30][random.range(0, 4)];
                }
            }
            all
        };
        let a = boxes(sizes[round % sizes.len()]);
        let b = boxes(sizes[(round / 3 + 5) % sizes.len()]);
        for (name, ctx) in &contexts {
            let found = run_3d(ctx, &a, &b);
            for (i, &found) in found.iter().enumerate() {
                let (x, y) = (i / (b.len() / 6), i % (b.len() / 6));
                let expected = oracle_3d(&a[6 * x..][..6], &b[6 * y..][..6]);
                assert!(
                    same(found, expected),
                    "{x} {y} on {name}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn space_by_hand() {
    for (_, ctx) in contexts() {
        let cube = [0.0, 0.0, 0.0, 2.0, 2.0, 2.0];
        let others = [
            cube,
            [1.0, 0.0, 0.0, 3.0, 2.0, 2.0],
            [1.0, 1.0, 1.0, 3.0, 3.0, 3.0],
            [2.0, 0.0, 0.0, 4.0, 2.0, 2.0],
            [0.0, 0.0, 5.0, 2.0, 2.0, 6.0],
        ];
        let found = run_3d(&ctx, &cube, others.as_flattened());
        assert_eq!(found, [1.0, 4.0 / 12.0, 1.0 / 15.0, 0.0, 0.0]);
        let empty = [1.0f32; 6];
        assert_eq!(run_3d(&ctx, &empty, &empty), [0.0]);
    }
    let (_, ctx) = contexts().pop().unwrap();
    let memory = [0f32; 24];
    let mut out = [0f32; 9];
    let error = box_iou_3d(
        &ctx,
        View::new(&memory[..12], &[2, 6]).unwrap(),
        View::new(&memory[..12], &[3, 4]).unwrap(),
        ViewMut::new(&mut out[..6], &[2, 3]).unwrap(),
    )
    .unwrap_err();
    assert_eq!(
        error.message(),
        "box_iou_3d: b has shape [3, 4], expected (N, 6)"
    );
}

// ---- nms_per_image --------------------------------------------------------

#[test]
fn images_are_decided_alone() {
    let contexts = contexts();
    let mut random = Random(9);
    for round in 0..cases(60) {
        let images = [1, 2, 3, 5, 0][round % 5];
        let n = [0, 1, 17, 200, 700][random.range(0, 4)];
        let room = [n, n, n / 2, 3, 0][random.range(0, 4)];
        let sets: Vec<Set> = (0..images)
            .map(|i| make(KINDS[(round + i) % 8], n, random.bits()))
            .collect();
        let params = NmsParams {
            score_threshold: [None, Some(0.3)][random.range(0, 1)],
            max_output: [0, 0, 5][random.range(0, 2)],
            max_candidates: [0, 100][random.range(0, 1)],
            ..NmsParams::new([0.3, 0.5, 0.7][random.range(0, 2)])
        };
        let boxes: Vec<f32> = sets.iter().flat_map(|s| s.boxes.clone()).collect();
        let scores: Vec<f32> = sets.iter().flat_map(|s| s.scores.clone()).collect();
        let classes: Vec<i64> = sets.iter().flat_map(|s| s.classes.clone()).collect();
        for by_class in [false, true] {
            for (name, ctx) in &contexts {
                let mut indices = vec![-7i64; images * room];
                let mut counts = vec![-7i64; images];
                let view = View::new(&classes, &[images, n]).unwrap();
                nms_per_image(
                    ctx,
                    &params,
                    View::new(&boxes, &[images, n, 4]).unwrap(),
                    View::new(&scores, &[images, n]).unwrap(),
                    by_class.then_some(view),
                    ViewMut::new(&mut indices, &[images, room]).unwrap(),
                    ViewMut::new(&mut counts, &[images]).unwrap(),
                )
                .unwrap();
                for (i, set) in sets.iter().enumerate() {
                    let mut expected =
                        nms_textbook(&params, set, by_class.then_some(&set.classes[..]));
                    expected.truncate(room);
                    assert_eq!(counts[i], expected.len() as i64, "{params:?} on {name}");
                    expected.resize(room, -1);
                    assert_eq!(
                        indices[i * room..][..room],
                        expected,
                        "{params:?} on {name}"
                    );
                }
            }
        }
    }
}

#[test]
fn image_errors() {
    let (_, ctx) = contexts().pop().unwrap();
    let memory = [0f32; 64];
    let attempt = |boxes: &[usize], scores: &[usize], indices: &[usize], counts: usize| {
        let (mut i, mut c) = (vec![-1i64; indices.iter().product()], vec![-1i64; counts]);
        let error = nms_per_image::<i64>(
            &ctx,
            &NmsParams::new(0.5),
            View::new(&memory[..boxes.iter().product()], boxes).unwrap(),
            View::new(&memory[..scores.iter().product()], scores).unwrap(),
            None,
            ViewMut::new(&mut i, indices).unwrap(),
            ViewMut::new(&mut c, &[counts]).unwrap(),
        )
        .unwrap_err();
        assert!(i.iter().chain(&c).all(|&v| v == -1));
        error.message().to_string()
    };
    assert_eq!(
        attempt(&[2, 3, 5], &[2, 3], &[2, 3], 2),
        "nms_per_image: boxes has shape [2, 3, 5], expected (B, N, 4)"
    );
    assert_eq!(
        attempt(&[2, 3, 4], &[2, 4], &[2, 3], 2),
        "nms_per_image: scores has shape [2, 4], expected [2, 3]"
    );
    assert_eq!(
        attempt(&[2, 3, 4], &[2, 3], &[3, 3], 2),
        "nms_per_image: indices has 3 rows, boxes 2 images"
    );
    assert_eq!(
        attempt(&[2, 3, 4], &[2, 3], &[2, 3], 1),
        "nms_per_image: counts has shape [1], expected [2]"
    );
}
