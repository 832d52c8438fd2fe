//! k-means at the sizes of the comparison, on one and on two threads. Prints first what memory a call takes
//! beyond its inputs and outputs.

use criterion::{Criterion, criterion_group, criterion_main};
use omma::cluster::{KmeansParams, Metric, kmeans, kmeans_assign, pairwise_distance};
use omma::runtime::{Allocator, Context, Options};
use omma::tensor::{View, ViewMut};
use std::alloc::Layout;
use std::ffi::c_void;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

const SHAPES: [(usize, usize, usize); 3] = [(100_000, 64, 256), (100_000, 2, 9), (20_000, 784, 10)];

static TAKEN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn allocate(_: *mut c_void, size: usize, alignment: usize) -> *mut c_void {
    TAKEN.fetch_add(size, Ordering::Relaxed);
    // SAFETY: the context asks for a power of two and some bytes.
    unsafe { std::alloc::alloc(Layout::from_size_align_unchecked(size, alignment)) }.cast()
}

unsafe extern "C" fn deallocate(_: *mut c_void, ptr: *mut c_void, size: usize, alignment: usize) {
    // SAFETY: came from `allocate` with the same layout.
    unsafe {
        std::alloc::dealloc(
            ptr.cast(),
            Layout::from_size_align_unchecked(size, alignment),
        )
    }
}

fn context(num_threads: usize, counting: bool) -> Context {
    Context::new(Options {
        num_threads,
        allocator: counting.then_some(Allocator {
            allocate,
            deallocate,
            user: std::ptr::null_mut(),
        }),
        ..Options::default()
    })
    .expect("a context")
}

/// Points around `k` centres, and the first centroids.
fn points(n: usize, d: usize, k: usize) -> (Vec<f32>, Vec<f32>) {
    let mut state = 1u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let centres: Vec<f32> = (0..k * d).map(|_| uniform()).collect();
    let mut x = Vec::with_capacity(n * d);
    for i in 0..n {
        let centre = i * 7919 % k;
        x.extend((0..d).map(|j| centres[centre * d + j] + 0.8 * uniform()));
    }
    let first = (0..k)
        .flat_map(|c| x[c * (n / k) * d..][..d].to_vec())
        .collect();
    (x, first)
}

fn run_kmeans(ctx: &Context, x: &[f32], first: &[f32], (n, d, k): (usize, usize, usize)) -> f64 {
    let (mut labels, mut centroids) = (vec![0i64; n], vec![0f32; k * d]);
    kmeans(
        ctx,
        &KmeansParams {
            max_iterations: 10,
            tolerance: 0.0,
            ..KmeansParams::default()
        },
        View::new(x, &[n, d]).expect("points"),
        Some(View::new(first, &[k, d]).expect("centroids")),
        None,
        None,
        ViewMut::new(&mut labels, &[n]).expect("labels"),
        ViewMut::new(&mut centroids, &[k, d]).expect("centroids"),
    )
    .expect("clusters")
    .inertia
}

fn run_assign(ctx: &Context, x: &[f32], first: &[f32], (n, d, k): (usize, usize, usize)) -> i64 {
    let (mut labels, mut distances) = (vec![0i64; n], vec![0f32; n]);
    kmeans_assign(
        ctx,
        View::new(x, &[n, d]).expect("points"),
        View::new(first, &[k, d]).expect("centroids"),
        ViewMut::new(&mut labels, &[n]).expect("labels"),
        Some(ViewMut::new(&mut distances, &[n]).expect("distances")),
    )
    .expect("labels");
    labels[n - 1]
}

fn memory(_: &mut Criterion) {
    for shape in SHAPES {
        let (x, first) = points(shape.0, shape.1, shape.2);
        let mut taken = [0; 2];
        for (taken, whole) in taken.iter_mut().zip([false, true]) {
            let ctx = context(1, true);
            TAKEN.store(0, Ordering::Relaxed);
            match whole {
                false => drop(black_box(run_assign(&ctx, &x, &first, shape))),
                true => drop(black_box(run_kmeans(&ctx, &x, &first, shape))),
            }
            *taken = TAKEN.load(Ordering::Relaxed) / 1024;
        }
        println!(
            "{shape:?}: beyond inputs ({} KiB) and outputs kmeans_assign takes {} KiB, kmeans {} KiB",
            4 * x.len() / 1024,
            taken[0],
            taken[1]
        );
    }
}

fn clusters(c: &mut Criterion) {
    for shape in SHAPES {
        let (x, first) = points(shape.0, shape.1, shape.2);
        for threads in [1, 2] {
            let ctx = context(threads, false);
            c.bench_function(&format!("kmeans_assign {shape:?} on {threads}"), |b| {
                b.iter(|| run_assign(&ctx, &x, &first, shape));
            });
            c.bench_function(
                &format!("kmeans, 10 iterations {shape:?} on {threads}"),
                |b| {
                    b.iter(|| run_kmeans(&ctx, &x, &first, shape));
                },
            );
        }
    }
}

fn distances(c: &mut Criterion) {
    let (n, d) = (2000, 64);
    let (x, _) = points(n, d, 10);
    let ctx = context(1, false);
    let mut out = vec![0f32; n * n];
    for metric in [Metric::Euclidean, Metric::Manhattan, Metric::InnerProduct] {
        c.bench_function(&format!("pairwise_distance {metric:?} 2000x2000x64"), |b| {
            b.iter(|| {
                let x = View::new(&x, &[n, d]).expect("points");
                let to = ViewMut::new(&mut out, &[n, n]).expect("distances");
                pairwise_distance(&ctx, metric, x, x, None, to).expect("distances");
            });
        });
    }
}

criterion_group!(benches, memory, clusters, distances);
criterion_main!(benches);
