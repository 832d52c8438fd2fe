//! k-means beside scikit-learn and faiss, on iris, digits and blobs (`fixtures/cluster.py` says which).

mod common;

use common::{context, isas};
use omma::cluster::*;
use omma::tensor::{View, ViewMut};

struct Case {
    shape: [usize; 3],
    points: Vec<f32>,
    iterations: usize,
    labels: Vec<i64>,
    inertia: f64,
    centroids: Vec<f64>,
    nearest: Vec<i64>,
}

fn cases() -> Vec<Case> {
    let mut rest: &[u8] = include_bytes!("fixtures/cluster.bin");
    let mut take = move |count: usize| {
        let (head, tail) = rest.split_at_checked(count)?;
        rest = tail;
        Some(head)
    };
    let mut cases = Vec::new();
    while let Some(head) = take(20) {
        let numbers: Vec<usize> = head
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| u32::from_le_bytes(*b) as usize)
            .collect();
        let [n, d, k, divisor, iterations] = numbers.try_into().unwrap();
        let mut bytes = |count: usize| take(count).unwrap();
        let points = bytes(n * d).iter().map(|&p| f32::from(p) / divisor as f32);
        let points = points.collect();
        let labels = bytes(n).iter().map(|&l| i64::from(l)).collect();
        let mut doubles = |count: usize| -> Vec<f64> {
            let (doubles, _) = bytes(8 * count).as_chunks::<8>();
            doubles.iter().map(|b| f64::from_le_bytes(*b)).collect()
        };
        let inertia = doubles(1)[0];
        let centroids = doubles(k * d);
        let nearest = bytes(n).iter().map(|&l| i64::from(l)).collect();
        cases.push(Case {
            shape: [n, d, k],
            points,
            iterations,
            labels,
            inertia,
            centroids,
            nearest,
        });
    }
    assert_eq!(cases.len(), 6);
    cases
}

#[test]
fn clusters_are_those_of_scikit_learn() {
    let cases = cases();
    for isa in isas() {
        let ctx = context(isa, 2);
        for case in &cases {
            let [n, d, k] = case.shape;
            let x = View::new(&case.points, &[n, d]).unwrap();
            let (mut labels, mut centroids) = (vec![-7; n], vec![-7.0f32; k * d]);
            let result = kmeans(
                &ctx,
                &KmeansParams {
                    tolerance: 0.0,
                    ..Default::default()
                },
                x,
                Some(x.narrow(0, 0, k)),
                None,
                None,
                ViewMut::new(&mut labels, &[n]).unwrap(),
                ViewMut::new(&mut centroids, &[k, d]).unwrap(),
            )
            .unwrap();
            let tier = isa.tier();
            assert_eq!(labels, case.labels, "{tier:?} {n}x{d} k{k}");
            // Centroids are f32 here and f64 there: a point between two of them may change sides one
            // iteration earlier or later.
            assert!(
                result.iterations.abs_diff(case.iterations) <= 2,
                "{tier:?} {n}x{d} k{k}: {} iterations, expected {}",
                result.iterations,
                case.iterations
            );
            assert!(
                (result.inertia - case.inertia).abs() <= 1e-5 * case.inertia,
                "{tier:?} {n}x{d} k{k}: {}, expected {}",
                result.inertia,
                case.inertia
            );
            for (&got, &want) in centroids.iter().zip(&case.centroids) {
                assert!((f64::from(got) - want).abs() <= 1e-6 * want.abs().max(1.0));
            }
        }
    }
}

#[test]
fn the_nearest_is_that_of_faiss() {
    for isa in isas() {
        let ctx = context(isa, 2);
        for case in cases() {
            let [n, d, k] = case.shape;
            let x = View::new(&case.points, &[n, d]).unwrap();
            let mut labels = vec![-7; n];
            let to = ViewMut::new(&mut labels, &[n]).unwrap();
            kmeans_assign(&ctx, x, x.narrow(0, 0, k), to, None).unwrap();
            let distance = |i: usize, c: i64| -> f64 {
                let (a, b) = (
                    &case.points[i * d..][..d],
                    &case.points[c as usize * d..][..d],
                );
                let pairs = a.iter().zip(b);
                pairs
                    .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
                    .sum()
            };
            // Where faiss takes another one it is one of two that are as near.
            for (i, (&got, &theirs)) in labels.iter().zip(&case.nearest).enumerate() {
                assert!(got == theirs || distance(i, got) <= distance(i, theirs));
            }
        }
    }
}
