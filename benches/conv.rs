//! Criterion benches of convolution, per tier: the kinds of layers that networks are made of, with
//! the weight packed ahead, in both orders of axes.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use omma::conv::{Conv2d, Conv2dParams, Layout};
use omma::runtime::{Context, Options};
use omma::simd::Isa;
use omma::tensor::{View, ViewMut};
use std::hint::black_box;

/// Name, channels, side of the map, outputs, kernel, stride, groups.
const LAYERS: [(&str, usize, usize, usize, usize, usize, usize); 8] = [
    ("first 3x224 k7 s2", 3, 224, 64, 7, 2, 1),
    ("64x56 k3", 64, 56, 64, 3, 1, 1),
    ("256x56 to 64 k1", 256, 56, 64, 1, 1, 1),
    ("128x56 k3 s2", 128, 56, 128, 3, 2, 1),
    ("512x7 k3", 512, 7, 512, 3, 1, 1),
    ("depthwise 144x56 k3", 144, 56, 144, 3, 1, 144),
    ("depthwise 576x14 k5 s2", 576, 14, 576, 5, 2, 576),
    ("grouped 128x28 k3 g32", 128, 28, 128, 3, 1, 32),
];

fn layers(c: &mut Criterion) {
    for isa in Isa::available() {
        let tier = isa.tier();
        let ctx = Context::new(Options {
            num_threads: 1,
            max_isa: Some(tier),
            ..Options::default()
        })
        .expect("the tier is there");
        for (layout, axes) in [(Layout::Nchw, "nchw"), (Layout::Nhwc, "nhwc")] {
            let mut group = c.benchmark_group(format!("conv2d/{}/{axes}", tier.name()));
            for (name, channels, side, outputs, kernel, stride, groups) in LAYERS {
                let depth = channels / groups;
                let params = Conv2dParams {
                    stride: [stride; 2],
                    padding: [kernel / 2; 4],
                    groups,
                    layout,
                    ..Conv2dParams::default()
                };
                let shape = |n, c, h, w| match layout {
                    Layout::Nchw => [n, c, h, w],
                    Layout::Nhwc => [n, h, w, c],
                };
                let weight = vec![0.25f32; outputs * depth * kernel * kernel];
                let weight_shape = shape(outputs, depth, kernel, kernel);
                let weight = View::new(&weight, &weight_shape).expect("as long as its shape");
                let plan = Conv2d::new(&ctx, &params, &weight, None).expect("legal");
                let [height, width] = plan.output_shape(side, side).expect("legal");
                let x = vec![0.5f32; channels * side * side];
                let mut y = vec![0f32; outputs * height * width];
                let products = y.len() * depth * kernel * kernel;
                group.throughput(Throughput::Elements(2 * products as u64));
                group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                    bench.iter(|| {
                        let x = View::new(black_box(&x[..]), &shape(1, channels, side, side))
                            .expect("as long as its shape");
                        let y = ViewMut::new(&mut y, &shape(1, outputs, height, width))
                            .expect("as long as its shape");
                        plan.run(&ctx, &x, None, y).expect("legal");
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
