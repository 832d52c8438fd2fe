//! IoU and suppression at the sizes that detectors produce.

use criterion::{Criterion, criterion_group, criterion_main};
use omma::boxes::{BoxIouParams, IouKind, NmsParams, batched_nms, box_iou, nms};
use omma::runtime::{Context, Options};
use omma::tensor::{View, ViewMut};
use std::hint::black_box;

/// A 64-bit linear congruential generator; floats in 0..1.
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// Boxes with centres in a square and sides between two lengths, and scores.
fn boxes(n: usize, extent: f32, low: f32, high: f32) -> (Vec<f32>, Vec<f32>) {
    let mut uniform = Uniform(1);
    let (mut boxes, mut scores) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let (x, y) = (uniform.next() * extent, uniform.next() * extent);
        let w = 0.5 * (low + uniform.next() * (high - low));
        let h = 0.5 * (low + uniform.next() * (high - low));
        boxes.extend([x - w, y - h, x + w, y + h]);
        scores.push(uniform.next());
    }
    (boxes, scores)
}

fn context(num_threads: usize) -> Context {
    Context::new(Options {
        num_threads,
        ..Options::default()
    })
    .expect("a context")
}

fn suppression(c: &mut Criterion) {
    let params = NmsParams::new(0.5);
    for (name, n, extent, low, high) in [
        ("1000", 1000, 1000.0, 10.0, 100.0),
        ("8400", 8400, 1000.0, 10.0, 100.0),
        ("8400 all alike", 8400, 1.0, 100.0, 110.0),
        ("8400 all disjoint", 8400, 1e6, 10.0, 100.0),
        ("30000", 30000, 1000.0, 10.0, 100.0),
        ("100000 small", 100_000, 4000.0, 4.0, 16.0),
    ] {
        let ctx = context(1);
        let (boxes, scores) = boxes(n, extent, low, high);
        let mut indices = vec![0i64; n];
        c.bench_function(&format!("nms {name}"), |b| {
            b.iter(|| {
                let mut count = 0;
                nms(
                    &ctx,
                    &params,
                    View::new(black_box(&boxes), &[n, 4]).expect("boxes"),
                    View::new(&scores, &[n]).expect("scores"),
                    ViewMut::new(&mut indices, &[n]).expect("indices"),
                    &mut count,
                )
                .expect("nms");
                count
            });
        });
    }
    let n = 20_000;
    let (boxes, scores) = boxes(n, 1000.0, 10.0, 100.0);
    let classes: Vec<i64> = (0..n as i64).map(|i| i * 7919 % 80).collect();
    let mut indices = vec![0i64; n];
    for threads in [1, 2] {
        let ctx = context(threads);
        c.bench_function(
            &format!("batched_nms 20000, 80 classes, {threads} threads"),
            |b| {
                b.iter(|| {
                    let mut count = 0;
                    batched_nms(
                        &ctx,
                        &params,
                        View::new(black_box(&boxes), &[n, 4]).expect("boxes"),
                        View::new(&scores, &[n]).expect("scores"),
                        View::new(&classes, &[n]).expect("classes"),
                        ViewMut::new(&mut indices, &[n]).expect("indices"),
                        &mut count,
                    )
                    .expect("batched_nms");
                    count
                });
            },
        );
    }
}

fn overlap(c: &mut Criterion) {
    let n = 2000;
    let ctx = context(1);
    let (a, _) = boxes(n, 1000.0, 10.0, 100.0);
    let b: Vec<f32> = a.iter().rev().map(|v| 1000.0 - v).collect();
    let mut output = vec![0f32; n * n];
    // The measure of box_iou: the time to write as much.
    c.bench_function("fill 2000x2000", |bench| {
        bench.iter(|| black_box(&mut output).fill(black_box(1.0)));
    });
    for kind in [IouKind::Iou, IouKind::Giou, IouKind::Diou, IouKind::Ciou] {
        let params = BoxIouParams {
            kind,
            ..BoxIouParams::default()
        };
        c.bench_function(&format!("box_iou {kind:?} 2000x2000"), |bench| {
            bench.iter(|| {
                box_iou(
                    &ctx,
                    &params,
                    View::new(black_box(&a), &[n, 4]).expect("a"),
                    View::new(&b, &[n, 4]).expect("b"),
                    ViewMut::new(&mut output, &[n, n]).expect("output"),
                )
                .expect("box_iou");
            });
        });
    }
}

criterion_group!(benches, suppression, overlap);
criterion_main!(benches);
