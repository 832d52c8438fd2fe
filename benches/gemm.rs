//! Criterion benches of the matrix engine, per tier: square products, and the
//! shapes of linear layers with a small batch.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use omma::nn::{linear, matmul};
use omma::runtime::{Context, Options};
use omma::simd::{Activation, Isa};
use omma::tensor::{View, ViewMut};
use std::hint::black_box;

fn products(c: &mut Criterion) {
    for isa in Isa::available() {
        let ctx = Context::new(Options {
            num_threads: 1,
            max_isa: Some(isa.tier()),
            ..Options::default()
        })
        .expect("the tier is there");
        let mut group = c.benchmark_group(format!("matmul/{}", isa.tier().name()));
        for n in [64usize, 256, 1024] {
            let (a, b) = (vec![0.5f32; n * n], vec![0.25f32; n * n]);
            let mut y = vec![0f32; n * n];
            group.throughput(Throughput::Elements((2 * n * n * n) as u64));
            group.bench_function(BenchmarkId::from_parameter(n), |bench| {
                bench.iter(|| {
                    let view = |x| View::new(x, &[n, n]).expect("as long as its shape");
                    let out = ViewMut::new(&mut y, &[n, n]).expect("as long as its shape");
                    matmul(&ctx, &view(black_box(&a)), &view(&b), out).expect("legal");
                });
            });
        }
        group.finish();
        let mut group = c.benchmark_group(format!("linear/{}", isa.tier().name()));
        for batch in [1usize, 16, 128] {
            let (x, w) = (vec![0.5f32; batch * 768], vec![0.25f32; 3072 * 768]);
            let mut y = vec![0f32; batch * 3072];
            group.throughput(Throughput::Elements((2 * batch * 768 * 3072) as u64));
            group.bench_function(BenchmarkId::from_parameter(batch), |bench| {
                bench.iter(|| {
                    let x =
                        View::new(black_box(&x[..]), &[batch, 768]).expect("as long as its shape");
                    let w = View::new(&w[..], &[3072, 768]).expect("as long as its shape");
                    let out = ViewMut::new(&mut y, &[batch, 3072]).expect("as long as its shape");
                    linear(&ctx, &x, &w, None, Activation::None, out).expect("legal");
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
