//! Criterion benches of attention and of the normalizations, per tier: operations, and elements, a second.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use omma::attention::{Attention, attention};
use omma::nn::{Norm, layer_norm, rms_norm};
use omma::runtime::{Context, Options};
use omma::simd::Isa;
use omma::tensor::{View, ViewMut};
use std::hint::black_box;

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

/// Numbers from -2 to 2.
fn numbers(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| (i * 7919 % 4096) as f32 / 1024.0 - 2.0)
        .collect()
}

fn attend(c: &mut Criterion) {
    // Heads, queries, keys, elements.
    for (heads, n, m, d, causal) in [
        (12, 197, 197, 64, false),
        (8, 1024, 1024, 64, false),
        (8, 1024, 1024, 128, true),
        (32, 1, 4096, 128, false),
    ] {
        let (q, k, v) = (
            numbers(heads * n * d),
            numbers(heads * m * d),
            numbers(heads * m * d),
        );
        let mut out = vec![0f32; heads * n * d];
        let options = Attention {
            causal: causal.then_some(0),
            ..Attention::default()
        };
        for (tier, ctx) in contexts() {
            let mut group = c.benchmark_group(format!("attention/{tier}"));
            let halves = if causal { 1 } else { 2 };
            group.throughput(Throughput::Elements(
                (2 * halves * heads * n * m * d) as u64,
            ));
            group.sample_size(20);
            let name = format!("{heads}x{n}x{m}x{d}{}", if causal { " causal" } else { "" });
            group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                bench.iter(|| {
                    let view = |x, n| View::new(black_box(x), &[1, heads, n, d]);
                    let (q, k, v) = (view(&q, n), view(&k, m), view(&v, m));
                    let (q, k, v) = (q.expect("fits"), k.expect("fits"), v.expect("fits"));
                    let out = ViewMut::new(&mut out, &[1, heads, n, d]).expect("fits");
                    attention(&ctx, &options, &q, &k, &v, None, out, None).expect("legal");
                });
            });
            group.finish();
        }
    }
}

fn norms(c: &mut Criterion) {
    // Input and output stay in the second-level cache.
    let shape = [40, 768];
    let (x, gamma) = (numbers(shape.iter().product()), numbers(768));
    let mut y = vec![0f32; x.len()];
    let norm = Norm {
        axis: -1,
        eps: 1e-5,
    };
    for (tier, ctx) in contexts() {
        let mut group = c.benchmark_group(format!("norm/{tier}"));
        group.throughput(Throughput::Elements(x.len() as u64));
        for (name, rms, residual) in [
            ("layer_norm", false, false),
            ("layer_norm of a sum", false, true),
            ("rms_norm", true, false),
        ] {
            group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                bench.iter(|| {
                    let x = View::new(black_box(&x[..]), &shape).expect("fits");
                    let gamma = View::new(&gamma, &[768]).expect("fits");
                    let y = ViewMut::new(&mut y, &shape).expect("fits");
                    let (add, scale) = (residual.then_some(&x), Some(&gamma));
                    match rms {
                        true => rms_norm(&ctx, &norm, &x, add, scale, y, None),
                        false => layer_norm(&ctx, &norm, &x, add, scale, scale, y, None),
                    }
                    .expect("legal");
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, attend, norms);
criterion_main!(benches);
