//! `linear_assignment`, `mean_shift` and `knn` beside scipy, lap, scikit-learn and faiss, whose results
//! `fixtures/neighbours.py` has written down.

mod common;

use common::{Random, context, isas};
use omma::cluster::*;
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

const RESULTS: &str = include_str!("fixtures/neighbours.txt");

/// `draw` of `neighbours.py`.
fn draw(seed: u64, count: usize) -> Vec<f64> {
    let mut random = Random(seed);
    let one = |_| (random.bits() >> 40) as f64 / (1u64 << 24) as f64;
    (0..count).map(one).collect()
}

/// The lines that begin with this word: its fields, and the lists behind them.
fn lines(word: &str) -> Vec<(Vec<&'static str>, Vec<Vec<f64>>)> {
    let found: Vec<_> = RESULTS
        .lines()
        .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
        .map(|line| {
            let mut parts = line.split('|');
            let fields = parts.next().unwrap().split_whitespace().collect();
            let list = |part: &str| {
                part.split_whitespace()
                    .map(|v| v.parse().unwrap())
                    .collect()
            };
            (fields, parts.map(list).collect())
        })
        .collect();
    assert!(!found.is_empty(), "{word}");
    found
}

fn total<T: Cost>(ctx: &Context, maximize: bool, cost: View<'_, T>) -> f64 {
    let pairs = cost.dim(0).min(cost.dim(1));
    let (mut rows, mut cols) = (vec![0; pairs], vec![0; pairs]);
    let rows = ViewMut::new(&mut rows, &[pairs]).unwrap();
    let cols = ViewMut::new(&mut cols, &[pairs]).unwrap();
    linear_assignment(ctx, maximize, cost, rows, cols).unwrap()
}

#[test]
fn assignments_cost_what_scipy_and_lap_find() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for (fields, _) in lines("assignment") {
            let number = |i: usize| -> usize { fields[i].parse().unwrap() };
            let (n, m, levels) = (number(0), number(1), number(3) as f64);
            let mut cost = draw(number(2) as u64, n * m);
            if levels > 0.0 {
                cost.iter_mut().for_each(|c| *c = (*c * levels).floor());
            }
            let expected: f64 = fields[5].parse().unwrap();
            let narrow: Vec<f32> = cost.iter().map(|&c| c as f32).collect();
            let maximize = number(4) == 1;
            let shape = [n, m];
            let wide = View::new(&cost, &shape).unwrap();
            let narrow = View::new(&narrow, &shape).unwrap();
            let totals = [total(&ctx, maximize, wide), total(&ctx, maximize, narrow)];
            // Costs have 24 bits, so that f32 holds them, too.
            for total in totals {
                assert!(
                    (total - expected).abs() <= 1e-12 * expected,
                    "{fields:?}: {total}"
                );
            }
        }
    }
}

fn expect_shift(
    isa: omma::simd::Isa,
    p: &MeanShiftParams,
    x: &[f32],
    d: usize,
    lists: &[Vec<f64>],
) {
    let ctx = context(isa, 2);
    let n = x.len() / d;
    let (mut labels, mut centers, mut count) = (vec![0; n], vec![0.0; n * d], 0);
    mean_shift(
        &ctx,
        p,
        View::new(x, &[n, d]).unwrap(),
        None,
        ViewMut::new(&mut labels, &[n]).unwrap(),
        ViewMut::new(&mut centers, &[n, d]).unwrap(),
        &mut count,
    )
    .unwrap();
    assert_eq!(count * d, lists[1].len(), "{p:?}");
    for (got, expected) in centers.iter().zip(&lists[1]) {
        assert!(
            (f64::from(*got) - expected).abs() < 1e-6 * expected.abs().max(1.0),
            "{p:?}"
        );
    }
    // A point between two centres that are equally near may be either's: none is in these.
    let expected: Vec<i64> = lists[0].iter().map(|&l| l as i64).collect();
    assert_eq!(labels, expected, "{p:?}");
}

#[test]
fn modes_are_those_of_scikit_learn() {
    for isa in isas() {
        for (fields, lists) in lines("mean_shift") {
            let number = |i: usize| -> usize { fields[i].parse().unwrap() };
            let (n, d) = (number(0), number(1));
            let u = draw(number(2) as u64, 2 * n * d);
            let (u, v) = u.split_at(n * d);
            let x: Vec<f32> = u
                .iter()
                .zip(v)
                .map(|(u, v)| ((32.0 * (u + v)).floor() / 8.0) as f32)
                .collect();
            let mut p = MeanShiftParams::new(fields[3].parse().unwrap());
            p.bin_seeding = number(4) == 1;
            p.cluster_all = number(5) == 1;
            expect_shift(isa, &p, &x, d, &lists);
        }
        for (fields, lists) in lines("iris") {
            let x: Vec<f32> = lists[2].iter().map(|&v| v as f32).collect();
            expect_shift(
                isa,
                &MeanShiftParams::new(fields[0].parse().unwrap()),
                &x,
                4,
                &lists,
            );
        }
    }
}

#[test]
fn neighbours_are_those_of_faiss() {
    for isa in isas() {
        let ctx = context(isa, 2);
        for (fields, lists) in lines("knn") {
            let number = |i: usize| -> usize { fields[i].parse().unwrap() };
            let (q, n, d, k) = (number(0), number(1), number(2), number(3));
            let all: Vec<f32> = draw(number(4) as u64, (n + q) * d)
                .iter()
                .map(|&v| v as f32)
                .collect();
            let metric = match fields[5] {
                "sqeuclidean" => Metric::SquaredEuclidean,
                "inner_product" => Metric::InnerProduct,
                _ => Metric::Manhattan,
            };
            let (mut indices, mut distances) = (vec![0; q * k], vec![0.0; q * k]);
            knn(
                &ctx,
                metric,
                View::new(&all[n * d..], &[q, d]).unwrap(),
                View::new(&all[..n * d], &[n, d]).unwrap(),
                None,
                ViewMut::new(&mut indices, &[q, k]).unwrap(),
                ViewMut::new(&mut distances, &[q, k]).unwrap(),
            )
            .unwrap();
            let expected: Vec<i64> = lists[0].iter().map(|&v| v as i64).collect();
            assert_eq!(indices, expected, "{fields:?}");
            for (got, expected) in distances.iter().zip(&lists[1]) {
                assert!(
                    (f64::from(*got) - expected).abs() <= 2e-6 * expected.abs(),
                    "{fields:?}"
                );
            }
        }
    }
}
