//! `knn` and `match_descriptors` against a sort of all distances in f64.

mod common;

use common::{Random, cases, context, isas};
use omma::cluster::*;
use omma::error::{Error, Status};
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

const METRICS: [Metric; 5] = [
    Metric::Euclidean,
    Metric::SquaredEuclidean,
    Metric::Cosine,
    Metric::InnerProduct,
    Metric::Manhattan,
];

/// What is sorted by, and what comes out.
fn measure(metric: Metric, a: &[f32], b: &[f32]) -> (f64, f64) {
    let sum = |f: fn(f64, f64) -> f64| -> f64 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f(f64::from(a), f64::from(b)))
            .sum()
    };
    let square = |v: &[f32]| -> f64 { v.iter().map(|&v| f64::from(v) * f64::from(v)).sum() };
    match metric {
        Metric::Euclidean => {
            let s = sum(|a, b| (a - b) * (a - b));
            (s, s.sqrt())
        }
        Metric::SquaredEuclidean => {
            let s = sum(|a, b| (a - b) * (a - b));
            (s, s)
        }
        Metric::Manhattan => {
            let s = sum(|a, b| (a - b).abs());
            (s, s)
        }
        Metric::InnerProduct => {
            let s = sum(|a, b| a * b);
            (-s, s)
        }
        Metric::Cosine => {
            let lengths = (square(a) * square(b)).sqrt();
            let s = if lengths > 0.0 {
                1.0 - sum(|a, b| a * b) / lengths
            } else {
                1.0
            };
            (s, s)
        }
        Metric::Mahalanobis => unreachable!(),
    }
}

struct Sides {
    q: usize,
    n: usize,
    d: usize,
    queries: Vec<f32>,
    data: Vec<f32>,
}

fn run(ctx: &Context, metric: Metric, s: &Sides, k: usize) -> Result<(Vec<i64>, Vec<f32>), Error> {
    let (mut indices, mut distances) = (vec![-7; s.q * k], vec![-7.0; s.q * k]);
    let result = knn(
        ctx,
        metric,
        View::new(&s.queries, &[s.q, s.d])?,
        View::new(&s.data, &[s.n, s.d])?,
        None,
        ViewMut::new(&mut indices, &[s.q, k])?,
        ViewMut::new(&mut distances, &[s.q, k])?,
    );
    if result.is_err() {
        assert!(indices.iter().all(|&i| i == -7) && distances.iter().all(|&d| d == -7.0));
    }
    result.map(|()| (indices, distances))
}

fn expect(metric: Metric, s: &Sides, k: usize, found: &(Vec<i64>, Vec<f32>), what: &str) {
    for q in 0..s.q {
        let query = &s.queries[q * s.d..][..s.d];
        let mut all: Vec<(f64, usize, f64)> = (0..s.n)
            .map(|i| {
                let (key, distance) = measure(metric, query, &s.data[i * s.d..][..s.d]);
                (key, i, distance)
            })
            .collect();
        all.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap().then(a.1.cmp(&b.1)));
        for (r, all) in all[..k].iter().enumerate() {
            let (index, distance) = (found.0[q * k + r] as usize, f64::from(found.1[q * k + r]));
            let near =
                |a: f64, b: f64| (a - b).abs() <= 2e-7 * a.abs().max(b.abs()) + 1e-12 || a == b;
            assert!(
                near(distance, all.2)
                    || metric == Metric::Cosine && (distance - all.2).abs() < 1e-7,
                "{what} {metric:?}: query {q} rank {r}: {distance}, expected {}",
                all.2
            );
            // Sums in another order may tell two apart whose distances are equal to 1e-13.
            if index != all.1 {
                let (own, _) = measure(metric, query, &s.data[index * s.d..][..s.d]);
                let same = (own - all.0).abs() <= 1e-12 * own.abs().max(1e-300);
                let lattice = what.starts_with("lattice") && metric != Metric::Cosine;
                assert!(
                    same && !lattice || metric == Metric::Cosine && (own - all.0).abs() < 1e-14,
                    "{what} {metric:?}: query {q} rank {r}: point {index}, expected {}",
                    all.1
                );
            }
        }
    }
}

#[test]
fn equals_a_sort_of_all() {
    for isa in isas() {
        let contexts = [context(isa, 1), context(isa, 3)];
        let mut random = Random(8);
        for case in 0..cases(60) {
            let d = [1, 2, 3, 4, 7, 16, 33][case % 7];
            let n = [1, 5, 16, 33, 100, 257][case % 6];
            let q = [1, 2, 9, 40][case % 4];
            let (what, lattice) = [("random", false), ("lattice", true), ("far", false)][case % 3];
            let mut draw = |len: usize| -> Vec<f32> {
                (0..len)
                    .map(|_| match lattice {
                        true => random.range(0, 2) as f32,
                        false if what == "far" => 1000.0 + random.float(),
                        false => random.float(),
                    })
                    .collect()
            };
            let s = Sides {
                q,
                n,
                d,
                queries: draw(q * d),
                data: draw(n * d),
            };
            for k in [1, 2, 10, n].into_iter().filter(|&k| k <= n) {
                for metric in METRICS {
                    let found = run(&contexts[0], metric, &s, k).unwrap();
                    expect(metric, &s, k, &found, what);
                    assert_eq!(run(&contexts[1], metric, &s, k).unwrap(), found);
                }
            }
        }
    }
}

/// Points so alike that scores in f32 cannot tell them apart.
#[test]
fn close_calls_are_exact() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(9);
        let (q, n, d) = (3, 400, 24);
        let base = random.floats(d);
        let mut near = |len: usize| -> Vec<f32> {
            (0..len * d)
                .map(|i| base[i % d] + random.range(0, 3) as f32 * f32::EPSILON / 4.0)
                .collect()
        };
        let s = Sides {
            q,
            n,
            d,
            queries: near(q),
            data: near(n),
        };
        for metric in METRICS {
            for k in [1, 7] {
                let found = run(&ctx, metric, &s, k).unwrap();
                expect(metric, &s, k, &found, "close");
            }
        }
        // All equal: the first k.
        let s = Sides {
            q: 2,
            n: 300,
            d: 5,
            queries: vec![1.5; 10],
            data: vec![0.25; 1500],
        };
        for metric in METRICS {
            let (indices, _) = run(&ctx, metric, &s, 6).unwrap();
            assert_eq!(indices, [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5], "{metric:?}");
        }
    }
}

#[test]
fn numbers_at_the_ends_of_the_range() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(10);
        for size in [1e30f32, 1e-30, 1e-40, 0.0] {
            let mut draw =
                |len: usize| -> Vec<f32> { (0..len).map(|_| random.float() * size).collect() };
            let s = Sides {
                q: 3,
                n: 70,
                d: 6,
                queries: draw(18),
                data: draw(420),
            };
            for metric in [Metric::Cosine, Metric::Manhattan] {
                let found = run(&ctx, metric, &s, 5).unwrap();
                expect(metric, &s, 5, &found, "extreme");
            }
            let (indices, _) = run(&ctx, Metric::Euclidean, &s, 5).unwrap();
            let (manhattan, _) = run(&ctx, Metric::SquaredEuclidean, &s, 5).unwrap();
            assert_eq!(indices, manhattan);
            let found = run(&ctx, Metric::Euclidean, &s, 5).unwrap();
            expect(Metric::Euclidean, &s, 5, &found, "extreme");
        }
    }
}

/// More points than a part has, few queries: the parts are merged.
#[test]
fn parts_are_merged() {
    for isa in isas() {
        let ctx = context(isa, 2);
        let n = 17_000;
        let data: Vec<f32> = (0..n).map(|i| ((i * 7919) % 1000) as f32).collect();
        let s = Sides {
            q: 1,
            n,
            d: 1,
            queries: vec![499.6],
            data,
        };
        let found = run(&ctx, Metric::Euclidean, &s, 40).unwrap();
        expect(Metric::Euclidean, &s, 40, &found, "lattice");
    }
}

#[test]
fn mahalanobis_is_euclidean_after_whitening() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(11);
        let (q, n) = (5, 60);
        let (queries, data) = (random.floats(q * 2), random.floats(n * 2));
        // The covariance diag(4, 1/4) halves the first and doubles the second coordinate.
        let scaled = |v: &[f32]| -> Vec<f32> {
            v.iter()
                .enumerate()
                .map(|(i, v)| v * [0.5, 2.0][i % 2])
                .collect()
        };
        let s = Sides {
            q,
            n,
            d: 2,
            queries: scaled(&queries),
            data: scaled(&data),
        };
        let expected = run(&ctx, Metric::Euclidean, &s, 4).unwrap();
        let (mut indices, mut distances) = (vec![0; q * 4], vec![0.0; q * 4]);
        let mut call = |covariance: Option<View<'_, f32>>, metric| {
            knn(
                &ctx,
                metric,
                View::new(&queries, &[q, 2]).unwrap(),
                View::new(&data, &[n, 2]).unwrap(),
                covariance,
                ViewMut::new(&mut indices, &[q, 4]).unwrap(),
                ViewMut::new(&mut distances, &[q, 4]).unwrap(),
            )
        };
        let covariance = [4.0, 0.0, 0.0, 0.25];
        call(
            Some(View::new(&covariance, &[2, 2]).unwrap()),
            Metric::Mahalanobis,
        )
        .unwrap();
        assert!(call(None, Metric::Mahalanobis).is_err());
        assert!(
            call(
                Some(View::new(&covariance, &[2, 2]).unwrap()),
                Metric::Cosine
            )
            .is_err()
        );
        assert_eq!(indices, expected.0);
        for (a, b) in distances.iter().zip(&expected.1) {
            assert!((a - b).abs() <= 1e-5, "{a} {b}");
        }
    }
}

#[test]
fn bad_input_is_named() {
    for isa in isas() {
        let ctx = context(isa, 2);
        let fine = || Sides {
            q: 2,
            n: 3,
            d: 2,
            queries: vec![1.0; 4],
            data: vec![2.0; 6],
        };
        let error = |s: &Sides, k, words: &str| {
            let error = run(&ctx, Metric::Euclidean, s, k).unwrap_err();
            assert!(error.message().contains(words), "{}", error.message());
        };
        error(&fine(), 4, "k is 4, data has 3 rows");
        error(&fine(), 0, "k is 0");
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut s = fine();
            s.queries[3] = bad;
            error(&s, 1, "queries[1, 1] is");
            let mut s = fine();
            s.data[4] = bad;
            error(&s, 1, "data[2, 0] is");
        }
    }
}

type Pairs = Vec<(i64, i64, f32)>;
type Match<'a> = dyn Fn(ViewMut<'_, i64>, ViewMut<'_, f32>, &mut usize) -> Result<(), Error> + 'a;

/// The matches, from all distances.
fn plain(p: &MatchParams, n: usize, m: usize, distance: &dyn Fn(usize, usize) -> f64) -> Pairs {
    let first = |count: usize, d: &dyn Fn(usize) -> f64| -> Option<usize> {
        (0..count).fold(None, |best: Option<usize>, j| match best {
            Some(b) if d(b) <= d(j) => Some(b),
            _ => Some(j),
        })
    };
    let mut pairs = Vec::new();
    for i in 0..n {
        let Some(j) = first(m, &|j| distance(i, j)) else {
            continue;
        };
        let second = (0..m)
            .filter(|&o| o != j)
            .map(|o| distance(i, o))
            .reduce(f64::min);
        let d = distance(i, j);
        let mutual = !p.cross_check || first(n, &|i| distance(i, j)) == Some(i);
        let clear = p.ratio.is_none_or(|r| second.is_none_or(|s| d < r * s));
        if mutual && clear && p.max_distance.is_none_or(|most| d <= most) {
            pairs.push((i as i64, j as i64, d as f32));
        }
    }
    pairs
}

fn params(case: usize) -> MatchParams {
    MatchParams {
        cross_check: case % 2 == 1,
        ratio: (case % 3 == 1).then_some(0.8),
        max_distance: (case % 5 == 2).then_some(1.5),
    }
}

#[test]
fn matches_equal_the_definition() {
    for isa in isas() {
        let ctx = context(isa, 2);
        let mut random = Random(12);
        for case in 0..cases(90) {
            let (n, m) = (random.range(0, 40), random.range(0, 40));
            let d = [1, 3, 5, 32, 36][case % 5];
            let p = params(case);
            let expect = |run: &Match<'_>, expected: Pairs| {
                let (mut pairs, mut distances, mut count) = (vec![-7; 2 * n], vec![-7.0; n], 99);
                run(
                    ViewMut::new(&mut pairs, &[n, 2]).unwrap(),
                    ViewMut::new(&mut distances, &[n]).unwrap(),
                    &mut count,
                )
                .unwrap();
                let got: Pairs = (0..count)
                    .map(|i| (pairs[2 * i], pairs[2 * i + 1], distances[i]))
                    .collect();
                assert_eq!(got, expected, "case {case}");
                assert!(distances[count..].iter().all(|&v| v == -7.0));
                if count > 0 {
                    let (mut pairs, mut distances) =
                        (vec![-7; 2 * count - 2], vec![-7.0; count - 1]);
                    let error = run(
                        ViewMut::new(&mut pairs, &[count - 1, 2]).unwrap(),
                        ViewMut::new(&mut distances, &[count - 1]).unwrap(),
                        &mut count,
                    )
                    .unwrap_err();
                    assert_eq!(error.status(), Status::BufferTooSmall);
                    assert!(pairs.iter().all(|&v| v == -7));
                }
            };
            // Whole numbers, so that distances are exact and often equal.
            let mut whole =
                |len: usize| -> Vec<f32> { (0..len).map(|_| random.range(0, 3) as f32).collect() };
            let (a, b) = (whole(n * d), whole(m * d));
            let distance = |i: usize, j: usize| {
                measure(Metric::Euclidean, &a[i * d..][..d], &b[j * d..][..d]).1
            };
            expect(
                &|pairs, distances, count| {
                    match_descriptors(
                        &ctx,
                        &p,
                        View::new(&a, &[n, d])?,
                        View::new(&b, &[m, d])?,
                        pairs,
                        distances,
                        count,
                    )
                },
                plain(&p, n, m, &distance),
            );
            let mut bytes =
                |len: usize| -> Vec<u8> { (0..len).map(|_| random.bits() as u8 & 0x93).collect() };
            let (a, b) = (bytes(n * d), bytes(m * d));
            let mut p = p;
            p.max_distance = p.max_distance.map(|_| d as f64);
            let distance = |i: usize, j: usize| -> f64 {
                a[i * d..][..d]
                    .iter()
                    .zip(&b[j * d..][..d])
                    .map(|(a, b)| f64::from((a ^ b).count_ones()))
                    .sum()
            };
            expect(
                &|pairs, distances, count| {
                    match_descriptors_binary(
                        &ctx,
                        &p,
                        View::new(&a, &[n, d])?,
                        View::new(&b, &[m, d])?,
                        pairs,
                        distances,
                        count,
                    )
                },
                plain(&p, n, m, &distance),
            );
        }
    }
}

#[test]
fn long_binary_descriptors_and_many() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let (mut pairs, mut distances, mut count) = ([0; 2], [0.0; 1], 0);
        let (zeros, ones) = (vec![0u8; 4095], vec![255u8; 4095]);
        let p = MatchParams::default();
        let mut run = |a: &[u8], b: &[u8], d: usize| {
            let (n, m) = (a.len() / d, b.len() / d);
            match_descriptors_binary(
                &ctx,
                &p,
                View::new(a, &[n, d]).unwrap(),
                View::new(b, &[m, d]).unwrap(),
                ViewMut::new(&mut pairs, &[1, 2]).unwrap(),
                ViewMut::new(&mut distances, &[1]).unwrap(),
                &mut count,
            )
            .map(|()| (pairs[1], distances[0]))
        };
        assert_eq!(run(&zeros, &ones, 4095).unwrap(), (0, 32760.0));
        assert_eq!(
            run(&[0; 4096], &[0; 4096], 4096).unwrap_err().status(),
            Status::Unsupported
        );
        let mut many = vec![255u8; 70_000];
        many[66_000] = 1;
        many[68_000] = 1;
        assert_eq!(run(&[1], &many, 1).unwrap(), (66_000, 0.0));
    }
}
