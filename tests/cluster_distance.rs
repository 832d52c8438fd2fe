//! `pairwise_distance` against the formulas in f64, on every tier.

mod common;

use common::{Random, cases, context, isas};
use omma::cluster::{Metric, pairwise_distance};
use omma::tensor::{View, ViewMut};

const METRICS: [Metric; 6] = [
    Metric::Euclidean,
    Metric::SquaredEuclidean,
    Metric::Cosine,
    Metric::InnerProduct,
    Metric::Manhattan,
    Metric::Mahalanobis,
];

/// Solves `covariance y = v` by elimination.
fn solve(covariance: &[f64], v: &[f64]) -> Vec<f64> {
    let d = v.len();
    let (mut m, mut y) = (covariance.to_vec(), v.to_vec());
    for i in 0..d {
        for r in i + 1..d {
            let f = m[r * d + i] / m[i * d + i];
            for c in i..d {
                m[r * d + c] -= f * m[i * d + c];
            }
            y[r] -= f * y[i];
        }
    }
    for i in (0..d).rev() {
        let done: f64 = (i + 1..d).map(|c| m[i * d + c] * y[c]).sum();
        y[i] = (y[i] - done) / m[i * d + i];
    }
    y
}

fn oracle(metric: Metric, a: &[f32], b: &[f32], covariance: &[f64]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let dot: f64 = pairs().map(|(a, b)| a * b).sum();
    let square: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
    match metric {
        Metric::Euclidean => square.sqrt(),
        Metric::SquaredEuclidean => square,
        Metric::InnerProduct => dot,
        Metric::Manhattan => pairs().map(|(a, b)| (a - b).abs()).sum(),
        Metric::Cosine => {
            let norm = |v: &[f32]| v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let (na, nb) = (norm(a), norm(b));
            let cosine = if na == 0.0 || nb == 0.0 {
                0.0
            } else {
                dot / (na * nb)
            };
            1.0 - cosine.clamp(-1.0, 1.0)
        }
        Metric::Mahalanobis => {
            let v: Vec<f64> = pairs().map(|(a, b)| a - b).collect();
            let y = solve(covariance, &v);
            v.iter()
                .zip(&y)
                .map(|(v, y)| v * y)
                .sum::<f64>()
                .max(0.0)
                .sqrt()
        }
    }
}

/// A covariance that is one: `G Gᵀ + I`.
fn covariance(random: &mut Random, d: usize) -> Vec<f32> {
    let g = random.floats(d * d);
    let at = |i: usize, j: usize| (0..d).map(|p| g[i * d + p] * g[j * d + p]).sum::<f32>();
    (0..d * d)
        .map(|i| at(i / d, i % d) + f32::from(u8::from(i / d == i % d)))
        .collect()
}

#[test]
fn distances_match_the_formulas() {
    let sizes = [
        (1, 1, 1),
        (3, 17, 2),
        (16, 16, 3),
        (7, 33, 8),
        (97, 5, 9),
        (13, 31, 17),
        (2, 2, 64),
        (12, 15, 131),
        (100, 70, 4),
    ];
    for isa in isas() {
        let ctx = context(isa, 2);
        let mut random = Random(1);
        for &(n, m, d) in &sizes[..cases(sizes.len()).max(5)] {
            let (a, b) = (random.floats(n * d), random.floats(m * d));
            let c = covariance(&mut random, d);
            let wide: Vec<f64> = c.iter().map(|&x| f64::from(x)).collect();
            for metric in METRICS {
                let mut out = vec![-7.0; n * m];
                let c = View::new(&c, &[d, d]).unwrap();
                pairwise_distance(
                    &ctx,
                    metric,
                    View::new(&a, &[n, d]).unwrap(),
                    View::new(&b, &[m, d]).unwrap(),
                    (metric == Metric::Mahalanobis).then_some(c),
                    ViewMut::new(&mut out, &[n, m]).unwrap(),
                )
                .unwrap();
                for (at, &got) in out.iter().enumerate() {
                    let (i, j) = (at / m, at % m);
                    let (x, y) = (&a[i * d..][..d], &b[j * d..][..d]);
                    let want = oracle(metric, x, y, &wide);
                    let scale = match metric {
                        Metric::InnerProduct => d as f64,
                        Metric::Cosine => 1.0,
                        _ => want,
                    };
                    assert!(
                        (f64::from(got) - want).abs() <= 2e-6 * scale + 1e-7,
                        "{metric:?} on {:?}, {n}x{m}x{d} at {i}, {j}: {got}, expected {want}",
                        isa.tier()
                    );
                }
            }
        }
    }
}
