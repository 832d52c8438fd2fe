//! `cargo bench --bench gemm_peak`: what the matrix engine makes of the CPU.
//!
//! First the peak of each tier, measured here and now: chains of multiply-adds
//! that never leave the registers. Then products of several shapes as a
//! share of that peak, beside the crate `matrixmultiply`, on one thread and on two.
//! Arguments are tiers (`avx2`) or shapes (`1024x1024x1024`); none means all.

use omma::gemm::{Epilogue, Layout, Output, Problem, Shape, Strided, gemm};
use omma::runtime::{Context, Options};
use omma::simd::{Isa, Tier};
use omma::tensor::View;
use std::time::Instant;

#[path = "peers/native/src/peak.rs"]
mod chains;

/// Seconds of the fastest run of each of `runs`. They take turns, in slices of about a
/// millisecond, so that a slow moment of the machine hits none of them alone.
fn best<const N: usize>(mut runs: [&mut dyn FnMut(); N]) -> [f64; N] {
    let repeats = runs.each_mut().map(|run| {
        run();
        let once = Instant::now();
        run();
        (0.001 / once.elapsed().as_secs_f64().max(1e-8)).ceil() as usize
    });
    let mut best = [f64::INFINITY; N];
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < 5 || start.elapsed().as_secs_f64() < 0.25 * N as f64 {
        for ((run, repeat), best) in runs.iter_mut().zip(repeats).zip(&mut best) {
            let start = Instant::now();
            (0..repeat).for_each(|_| run());
            *best = best.min(start.elapsed().as_secs_f64() / repeat as f64);
        }
        rounds += 1;
    }
    best
}

/// Multiply-adds in registers; returns how many operations that were.
fn peak(tier: Tier) -> usize {
    chains::run(tier.name()).expect("only tiers that the CPU has are measured")
}

fn numbers(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn omma(ctx: &Context, (m, n, k): (usize, usize, usize), a: &[f32], b: &[f32], c: &mut [f32]) {
    let problem = Problem {
        a: Strided::rows(View::new(a, &[m, k]).unwrap()),
        b: Strided::columns(View::new(b, &[k, n]).unwrap()),
        out: Output {
            ptr: c.as_mut_ptr(),
            layout: Layout::rows(n as isize),
            accumulate: false,
        },
        epilogue: Epilogue::default(),
    };
    // SAFETY: C is m x n.
    unsafe { gemm(ctx, Shape { m, n, k }, &problem).unwrap() };
}

fn matrixmultiply((m, n, k): (usize, usize, usize), a: &[f32], b: &[f32], c: &mut [f32]) {
    let (k_, n_) = (k as isize, n as isize);
    // SAFETY: compact matrices of these shapes.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.as_ptr(),
            k_,
            1,
            b.as_ptr(),
            n_,
            1,
            0.0,
            c.as_mut_ptr(),
            n_,
            1,
        );
    }
}

const SHAPES: [(usize, usize, usize); 16] = [
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (512, 512, 512),
    (256, 256, 256),
    (128, 128, 128),
    (64, 64, 64),
    (32, 32, 32),
    (16, 16, 16),
    (8, 8, 8),
    (64, 3136, 576),
    (512, 49, 4608),
    (1000, 1000, 17),
    (197, 197, 64),
    (1, 1000, 2048),
    (1000, 1, 2048),
    (8, 4096, 1024),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tiers: Vec<Tier> = arguments
        .iter()
        .filter_map(|a| Tier::from_name(a))
        .collect();
    let shapes: Vec<_> = arguments
        .iter()
        .filter_map(|a| {
            let mut extents = a.split('x').map(|v| v.parse().ok());
            Some((extents.next()??, extents.next()??, extents.next()??))
        })
        .collect();
    let shapes = if shapes.is_empty() {
        SHAPES.to_vec()
    } else {
        shapes
    };

    for isa in Isa::available() {
        let tier = isa.tier();
        if !tiers.is_empty() && !tiers.contains(&tier) {
            continue;
        }
        let flops = peak(tier) as f64;
        let [seconds] = best([&mut || {
            peak(tier);
        }]);
        println!(
            "{}: peak {:.1} GF/s on one core",
            tier.name(),
            flops / seconds / 1e9
        );
        println!("      m     n     k   GF/s 1 thread  of peak   2 threads   matrixmultiply");
        let context = |num_threads| {
            Context::new(Options {
                num_threads,
                max_isa: Some(tier),
                ..Options::default()
            })
            .unwrap()
        };
        let (serial, two) = (context(1), context(2));
        for &(m, n, k) in &shapes {
            let (a, b) = (numbers(m * k), numbers(k * n));
            let [mut c, mut d, mut e] = [(); 3].map(|()| vec![0.0; m * n]);
            let work = 2.0 * m as f64 * n as f64 * k as f64;
            let [top, one, two, theirs] = best([
                &mut || {
                    peak(tier);
                },
                &mut || omma(&serial, (m, n, k), &a, &b, &mut c),
                &mut || omma(&two, (m, n, k), &a, &b, &mut d),
                &mut || matrixmultiply((m, n, k), &a, &b, &mut e),
            ]);
            println!(
                "{m:7} {n:5} {k:5} {:15.1} {:7.1}% {:11.1} {:16.1}",
                work / one / 1e9,
                100.0 * (work / one) / (flops / top),
                work / two / 1e9,
                work / theirs / 1e9
            );
        }
    }
}
