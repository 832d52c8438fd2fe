//! Criterion benches of image kernels, per tier: a picture of 1920 x 1080 to the sizes that detectors and
//! classifiers take, in pixels of the result a second.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use omma::image::{ImageToTensor, Interpolation, Resize, Sample, image_to_tensor, resize};
use omma::runtime::{Context, Options};
use omma::simd::Isa;
use omma::tensor::{Element, View, ViewMut};
use std::hint::black_box;

const HEIGHT: usize = 1080;
const WIDTH: usize = 1920;

/// A context of each tier that the CPU has, with its name.
fn contexts() -> Vec<(&'static str, Context)> {
    let context = |isa: Isa| {
        let options = Options {
            num_threads: 1,
            max_isa: Some(isa.tier()),
            ..Options::default()
        };
        (
            isa.tier().name(),
            Context::new(options).expect("the tier is there"),
        )
    };
    Isa::available().into_iter().map(context).collect()
}

fn sizes<T: Sample + Element + From<u8>>(c: &mut Criterion, kind: &str, channels: usize) {
    let image: Vec<T> = (0..HEIGHT * WIDTH * channels)
        .map(|i| T::from((i * 7919 % 251) as u8))
        .collect();
    for (tier, ctx) in contexts() {
        let mut group = c.benchmark_group(format!("resize/{tier}/{kind}"));
        for (name, interpolation, height, width) in [
            ("linear to 640x640", Interpolation::Linear, 640, 640),
            ("linear to 3840x2160", Interpolation::Linear, 2160, 3840),
            ("nearest to 640x640", Interpolation::Nearest, 640, 640),
            ("area to 640x640", Interpolation::Area, 640, 640),
        ] {
            let options = Resize {
                interpolation,
                ..Resize::default()
            };
            let mut output = vec![T::from(0); height * width * channels];
            group.throughput(Throughput::Elements((height * width) as u64));
            group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                bench.iter(|| {
                    let image = View::new(black_box(&image[..]), &[HEIGHT, WIDTH, channels])
                        .expect("as long as its shape");
                    let output = ViewMut::new(&mut output, &[height, width, channels])
                        .expect("as long as its shape");
                    resize(&ctx, &options, image, output).expect("legal");
                });
            });
        }
        group.finish();
    }
}

fn resizing(c: &mut Criterion) {
    sizes::<u8>(c, "u8c1", 1);
    sizes::<u8>(c, "u8c3", 3);
    sizes::<f32>(c, "f32c3", 3);
}

fn tensors(c: &mut Criterion) {
    let image: Vec<u8> = (0..HEIGHT * WIDTH * 3)
        .map(|i| (i * 7919 % 251) as u8)
        .collect();
    for (tier, ctx) in contexts() {
        let mut group = c.benchmark_group(format!("image_to_tensor/{tier}"));
        for (name, side, letterbox) in [("224", 224, false), ("640, letterbox", 640, true)] {
            let options = ImageToTensor {
                mean: [0.485, 0.456, 0.406, 0.0],
                std: [0.229, 0.224, 0.225, 1.0],
                swap_rb: true,
                letterbox,
                ..ImageToTensor::default()
            };
            let mut output = vec![0f32; 3 * side * side];
            group.throughput(Throughput::Elements((side * side) as u64));
            group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                bench.iter(|| {
                    let image = View::new(black_box(&image[..]), &[HEIGHT, WIDTH, 3])
                        .expect("as long as its shape");
                    let output =
                        ViewMut::new(&mut output, &[3, side, side]).expect("as long as its shape");
                    image_to_tensor(&ctx, &options, image, output).expect("legal");
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, resizing, tensors);
criterion_main!(benches);
