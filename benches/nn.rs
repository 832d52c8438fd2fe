//! Criterion benches of activations, softmax and pooling, per tier, in elements a second.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use omma::error::Result;
use omma::nn::{
    AverageOver, Pool2d, avg_pool2d, gelu, gelu_tanh, hardswish, log_softmax, max_pool2d, relu,
    sigmoid, silu, softmax, tanh,
};
use omma::runtime::{Context, Options};
use omma::simd::Isa;
use omma::tensor::{View, ViewMut};
use std::hint::black_box;

type Elementwise = fn(&Context, View<'_, f32>, ViewMut<'_, f32>) -> Result<()>;

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

/// Numbers from -8 to 8.
fn numbers(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| (i * 7919 % 4096) as f32 / 256.0 - 8.0)
        .collect()
}

fn elementwise(c: &mut Criterion) {
    let functions: [(&str, Elementwise); 9] = [
        ("relu", relu),
        ("hardswish", hardswish),
        ("sigmoid", sigmoid),
        ("tanh", tanh),
        ("silu", silu),
        ("gelu", gelu),
        ("gelu_tanh", gelu_tanh),
        ("softmax", |ctx, x, out| softmax(ctx, -1, x, out)),
        ("log_softmax", |ctx, x, out| log_softmax(ctx, -1, x, out)),
    ];
    // Input and output stay in the second-level cache.
    let shape = [32, 1000];
    let x = numbers(shape.iter().product());
    let mut y = vec![0f32; x.len()];
    for (tier, ctx) in contexts() {
        let mut group = c.benchmark_group(format!("nn/{tier}"));
        group.throughput(Throughput::Elements(x.len() as u64));
        for (name, function) in functions {
            group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                bench.iter(|| {
                    let x = View::new(black_box(&x[..]), &shape).expect("as long as its shape");
                    let y = ViewMut::new(&mut y, &shape).expect("as long as its shape");
                    function(&ctx, x, y).expect("legal");
                });
            });
        }
        group.finish();
    }
}

fn pooling(c: &mut Criterion) {
    let shape = [1, 64, 112, 112];
    let x = numbers(shape.iter().product());
    for (tier, ctx) in contexts() {
        let mut group = c.benchmark_group(format!("pool/{tier}"));
        group.throughput(Throughput::Elements(x.len() as u64));
        let mut y = vec![0f32; 64 * 56 * 56];
        for (name, kernel, stride, padding, average) in [
            ("max k3 s2", 3, 2, 1, false),
            ("max k2", 2, 2, 0, false),
            ("average k2", 2, 2, 0, true),
            ("average k3 s2", 3, 2, 1, true),
        ] {
            let pool = Pool2d {
                stride: Some([stride; 2]),
                padding: [padding; 4],
                ..Pool2d::new([kernel; 2])
            };
            group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                bench.iter(|| {
                    let x = View::new(black_box(&x[..]), &shape).expect("as long as its shape");
                    let y = ViewMut::new(&mut y, &[1, 64, 56, 56]).expect("as long as its shape");
                    match average {
                        true => avg_pool2d(&ctx, &pool, AverageOver::Padded, x, y),
                        false => max_pool2d(&ctx, &pool, x, y, None),
                    }
                    .expect("legal");
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, elementwise, pooling);
criterion_main!(benches);
