//! RoIAlign and RoIPool at the sizes of a detector's head: 1000 RoIs of a map of 256 x 50 x 50, bins 7 x 7.

use criterion::{Criterion, criterion_group, criterion_main};
use omma::roi::{
    RoiAlignMode, RoiAlignParams, RoiPoolParams, roi_align, roi_align_backward, roi_pool,
    roi_pool_backward,
};
use omma::runtime::{Context, Options};
use omma::tensor::{Layout, View, ViewMut};
use std::hint::black_box;

const MAP: [usize; 4] = [1, 256, 50, 50];
const ROIS: usize = 1000;

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

/// Sides of 16 to 128 in a picture of 800 x 800.
fn rois() -> Vec<f32> {
    let mut uniform = Uniform(1);
    let mut rois = Vec::new();
    for _ in 0..ROIS {
        let (x, y) = (uniform.next() * 672.0, uniform.next() * 672.0);
        let (w, h) = (16.0 + uniform.next() * 112.0, 16.0 + uniform.next() * 112.0);
        rois.extend([0.0, x, y, x + w, y + h]);
    }
    rois
}

fn shapes(layout: Layout) -> ([usize; 4], [usize; 4]) {
    let [n, c, h, w] = MAP;
    match layout {
        Layout::Nchw => (MAP, [ROIS, c, 7, 7]),
        Layout::Nhwc => ([n, h, w, c], [ROIS, 7, 7, c]),
    }
}

fn regions(c: &mut Criterion) {
    let mut uniform = Uniform(2);
    let x: Vec<f32> = (0..MAP.iter().product()).map(|_| uniform.next()).collect();
    let rois = rois();
    let len = ROIS * MAP[1] * 49;
    let (mut y, mut argmax, mut dx) = (vec![0f32; len], vec![0i32; len], vec![0f32; x.len()]);
    let dy: Vec<f32> = (0..len).map(|_| uniform.next()).collect();
    let none = None::<View<'_, i64>>;
    let boxes = || View::new(&rois, &[ROIS, 5]).expect("rois");
    // The measure of all: the time to write as much.
    c.bench_function("fill of the bins", |b| {
        b.iter(|| black_box(&mut y).fill(black_box(1.0)));
    });
    for (threads, layout) in [(1, Layout::Nchw), (2, Layout::Nchw), (1, Layout::Nhwc)] {
        let ctx = Context::new(Options {
            num_threads: threads,
            ..Options::default()
        })
        .expect("a context");
        let (map, bins) = shapes(layout);
        let input = || View::new(black_box(&x), &map).expect("x");
        let given = || View::new(black_box(&dy), &bins).expect("dy");
        let name = |what: &str| format!("{what}, {layout:?}, threads {threads}");
        for (what, ratio, mode) in [
            ("roi_align ratio 2", 2, RoiAlignMode::Average),
            ("roi_align adaptive", 0, RoiAlignMode::Average),
            ("roi_align max ratio 2", 2, RoiAlignMode::MaxCorner),
            ("roi_align max_sample ratio 2", 2, RoiAlignMode::MaxSample),
        ] {
            let params = RoiAlignParams {
                spatial_scale: 1.0 / 16.0,
                sampling_ratio: ratio,
                mode,
                layout,
                ..RoiAlignParams::new([7, 7])
            };
            c.bench_function(&name(what), |b| {
                b.iter(|| {
                    let out = ViewMut::new(&mut y, &bins).expect("output");
                    roi_align(&ctx, &params, input(), boxes(), none, out).expect("roi_align");
                });
            });
            c.bench_function(&name(&format!("{what} backward")), |b| {
                b.iter(|| {
                    let out = ViewMut::new(&mut dx, &map).expect("dx");
                    let x = Some(input());
                    roi_align_backward(&ctx, &params, given(), boxes(), none, x, out)
                        .expect("roi_align_backward");
                });
            });
        }
        let params = RoiPoolParams {
            output_size: [7, 7],
            spatial_scale: 1.0 / 16.0,
            layout,
        };
        c.bench_function(&name("roi_pool"), |b| {
            b.iter(|| {
                let out = ViewMut::new(&mut y, &bins).expect("output");
                roi_pool(&ctx, &params, input(), boxes(), none, out, None).expect("roi_pool");
            });
        });
        c.bench_function(&name("roi_pool argmax"), |b| {
            b.iter(|| {
                let out = ViewMut::new(&mut y, &bins).expect("output");
                let at = ViewMut::new(&mut argmax, &bins).expect("argmax");
                roi_pool(&ctx, &params, input(), boxes(), none, out, Some(at)).expect("roi_pool");
            });
        });
        c.bench_function(&name("roi_pool backward"), |b| {
            b.iter(|| {
                let out = ViewMut::new(&mut dx, &map).expect("dx");
                let at = View::new(&argmax, &bins).expect("argmax");
                roi_pool_backward(&ctx, &params, given(), boxes(), none, at, out)
                    .expect("roi_pool_backward");
            });
        });
    }
}

criterion_group!(benches, regions);
criterion_main!(benches);
