//! k-means against plain loops in f64, on every tier.

mod common;

use common::{Random, cases, context, isas};
use omma::cluster::*;
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

fn view<'a>(values: &'a [f32], depth: usize) -> View<'a, f32> {
    View::new(values, &[values.len() / depth, depth]).unwrap()
}

fn squared(a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b);
    pairs
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum()
}

/// Lowest index of the least distance, and that distance.
fn nearest(row: &[f32], centroids: &[f32]) -> (i64, f64) {
    let mut best = (0, f64::INFINITY);
    for (i, centroid) in centroids.chunks_exact(row.len()).enumerate() {
        let distance = squared(row, centroid);
        if distance < best.1 {
            best = (i as i64, distance);
        }
    }
    best
}

fn assign(ctx: &Context, x: &[f32], centroids: &[f32], depth: usize) -> (Vec<i64>, Vec<f32>) {
    let n = x.len() / depth;
    let (mut labels, mut distances) = (vec![-7; n], vec![-7.0; n]);
    kmeans_assign(
        ctx,
        view(x, depth),
        view(centroids, depth),
        ViewMut::new(&mut labels, &[n]).unwrap(),
        Some(ViewMut::new(&mut distances, &[n]).unwrap()),
    )
    .unwrap();
    (labels, distances)
}

struct Clusters {
    labels: Vec<i64>,
    centroids: Vec<f32>,
    inertia: f64,
    iterations: usize,
}

fn cluster(
    ctx: &Context,
    params: &KmeansParams,
    x: &[f32],
    k: usize,
    depth: usize,
    init: Option<&[f32]>,
    weights: Option<&[f32]>,
) -> Clusters {
    let n = x.len() / depth;
    let (mut labels, mut centroids) = (vec![-7; n], vec![-7.0; k * depth]);
    let result = kmeans(
        ctx,
        params,
        view(x, depth),
        init.map(|i| view(i, depth)),
        weights.map(|w| View::new(w, &[n]).unwrap()),
        None,
        ViewMut::new(&mut labels, &[n]).unwrap(),
        ViewMut::new(&mut centroids, &[k, depth]).unwrap(),
    )
    .unwrap();
    Clusters {
        labels,
        centroids,
        inertia: result.inertia,
        iterations: result.iterations,
    }
}

/// Points around `k` centres.
fn blobs(random: &mut Random, n: usize, k: usize, depth: usize, spread: f32) -> Vec<f32> {
    let centres = random.floats(k * depth);
    (0..n)
        .flat_map(|_| {
            let c = random.range(0, k - 1);
            let row = random.floats(depth);
            let centre = &centres[c * depth..][..depth];
            let row: Vec<f32> = row
                .iter()
                .zip(centre)
                .map(|(r, c)| c + spread * r)
                .collect();
            row
        })
        .collect()
}

#[test]
fn labels_are_those_of_exact_arithmetic() {
    let sizes = [
        (1, 1, 1),
        (5, 3, 2),
        (16, 7, 2),
        (33, 9, 3),
        (257, 6, 8),
        (100, 13, 9),
        (31, 12, 16),
        (64, 25, 33),
        (300, 11, 100),
        (17, 256, 64),
        (700, 10, 5),
        // Few centroids in many dimensions.
        (1, 1, 256),
        (65, 10, 272),
        (33, 24, 259),
        (70, 13, 300),
    ];
    for isa in isas() {
        let ctx = context(isa, 2);
        let mut random = Random(2);
        for &(n, k, d) in &sizes {
            // Far from the origin, where squares cancel; and duplicates, where the first counts.
            for (offset, duplicates) in [(0.0, false), (1000.0, false), (-3.0, true)] {
                let mut x = random.floats(n * d);
                let mut centroids = random.floats(k * d);
                x.iter_mut()
                    .chain(&mut centroids)
                    .for_each(|v| *v += offset);
                if duplicates {
                    for i in (1..k).step_by(2) {
                        centroids.copy_within((i - 1) * d..i * d, i * d);
                    }
                    for i in (0..n).step_by(3) {
                        x[i * d..][..d].copy_from_slice(&centroids[i % k * d..][..d]);
                    }
                }
                let (labels, distances) = assign(&ctx, &x, &centroids, d);
                for (i, row) in x.chunks_exact(d).enumerate() {
                    let (label, least) = nearest(row, &centroids);
                    let got = squared(row, &centroids[labels[i] as usize * d..][..d]);
                    let tier = isa.tier();
                    assert!(
                        labels[i] == label || (got - least) <= 1e-6 * least,
                        "{tier:?} {n}x{k}x{d} row {i}: {} at {got}, expected {label} at {least}",
                        labels[i]
                    );
                    assert!(
                        (f64::from(distances[i]) - got).abs() <= 2e-6 * got,
                        "{tier:?} {n}x{k}x{d} row {i}: {} is not {got}",
                        distances[i]
                    );
                    if got == 0.0 {
                        assert_eq!(labels[i], label);
                    }
                }
            }
        }
    }
}

/// Lloyd's loop in f64 with the rules of scikit-learn; `None` when a cluster is empty.
fn lloyd(x: &[f32], init: &[f32], depth: usize, iterations: usize) -> Option<(Vec<i64>, Vec<f32>)> {
    let mut centroids = init.to_vec();
    let k = init.len() / depth;
    let mut labels = vec![-1; x.len() / depth];
    for _ in 0..iterations {
        let new: Vec<i64> = x
            .chunks_exact(depth)
            .map(|row| nearest(row, &centroids).0)
            .collect();
        let same = new == labels;
        labels = new;
        if same {
            break;
        }
        for c in 0..k {
            let members = x.chunks_exact(depth).zip(&labels);
            let members: Vec<_> = members.filter(|m| *m.1 == c as i64).collect();
            if members.is_empty() {
                return None;
            }
            for p in 0..depth {
                let sum: f64 = members.iter().map(|m| f64::from(m.0[p])).sum();
                centroids[c * depth + p] = (sum / members.len() as f64) as f32;
            }
        }
    }
    let labels = x.chunks_exact(depth).map(|row| nearest(row, &centroids).0);
    Some((labels.collect(), centroids))
}

#[test]
fn clusters_are_those_of_the_plain_loop() {
    for isa in isas() {
        let ctx = context(isa, 2);
        let mut random = Random(3);
        let mut compared = 0;
        for case in 0..cases(30) {
            let (n, k) = (random.range(20, 900), random.range(1, 12));
            let d = [1, 2, 3, 7, 8, 9, 17, 40][case % 8];
            let x = blobs(&mut random, n, k, d, 0.4);
            let init = &x[..k * d];
            let max_iterations = [1, 3, 300][case % 3];
            let Some((labels, centroids)) = lloyd(&x, init, d, max_iterations) else {
                continue;
            };
            compared += 1;
            let params = KmeansParams {
                max_iterations,
                tolerance: 0.0,
                ..Default::default()
            };
            let got = cluster(&ctx, &params, &x, k, d, Some(init), None);
            assert_eq!(got.labels, labels, "{:?} {n}x{k}x{d}", isa.tier());
            for (got, want) in got.centroids.iter().zip(&centroids) {
                assert!((got - want).abs() <= 1e-6, "{got}, expected {want}");
            }
            let inertia: f64 = x
                .chunks_exact(d)
                .map(|row| nearest(row, &centroids).1)
                .sum();
            assert!((got.inertia - inertia).abs() <= 2e-6 * inertia);
        }
        assert!(compared >= cases(30) / 3);
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    for isa in isas() {
        let mut random = Random(4);
        let (n, d, k) = (common::cases(5000), 11, 9);
        let x = blobs(&mut random, n, k, d, 0.5);
        let weights: Vec<f32> = (0..n).map(|_| random.float().abs()).collect();
        for weights in [None, Some(&weights[..])] {
            let params = KmeansParams {
                n_init: 2,
                seed: 5,
                ..Default::default()
            };
            let one = cluster(&context(isa, 1), &params, &x, k, d, None, weights);
            let three = cluster(&context(isa, 3), &params, &x, k, d, None, weights);
            assert_eq!(one.labels, three.labels);
            assert_eq!(one.inertia.to_bits(), three.inertia.to_bits());
            assert_eq!(one.iterations, three.iterations);
            let bits = |c: &[f32]| c.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&one.centroids), bits(&three.centroids));
        }
    }
}

#[test]
fn inertia_never_rises() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(6);
        for init in [KmeansInit::PlusPlus, KmeansInit::Random] {
            let (n, d, k) = (cases(3000), 4, 20);
            let x = random.floats(n * d);
            let mut seen = Vec::new();
            let (mut labels, mut centroids) = (vec![0; n], vec![0.0; k * d]);
            let result = kmeans(
                &ctx,
                &KmeansParams {
                    init,
                    tolerance: 0.0,
                    max_iterations: 40,
                    ..Default::default()
                },
                view(&x, d),
                None,
                None,
                Some(&mut |p| {
                    assert_eq!(p.iteration, seen.len() + 1);
                    seen.push(p.inertia);
                    false
                }),
                ViewMut::new(&mut labels, &[n]).unwrap(),
                ViewMut::new(&mut centroids, &[k, d]).unwrap(),
            )
            .unwrap();
            seen.push(result.inertia);
            assert!(seen.len() > 3);
            for pair in seen.windows(2) {
                assert!(pair[1] <= pair[0] * (1.0 + 1e-6), "{seen:?}");
            }
        }
    }
}

#[test]
fn progress_ends_the_run() {
    let ctx = context(isas()[0], 1);
    let x = Random(7).floats(600);
    let (mut labels, mut centroids) = (vec![0; 300], vec![0.0; 20]);
    let result = kmeans(
        &ctx,
        &KmeansParams::default(),
        view(&x, 2),
        None,
        None,
        Some(&mut |p| p.iteration == 2),
        ViewMut::new(&mut labels, &[300]).unwrap(),
        ViewMut::new(&mut centroids, &[10, 2]).unwrap(),
    )
    .unwrap();
    assert_eq!(result.iterations, 2);
    assert_eq!(assign(&ctx, &x, &centroids, 2).0, labels);
}

#[test]
fn corner_cases() {
    for isa in isas() {
        let ctx = context(isa, 2);
        for d in [1, 2, 9, 20] {
            let mut random = Random(8);
            let params = KmeansParams::default();
            // Every point its own cluster.
            let x = random.floats(23 * d);
            let got = cluster(&ctx, &params, &x, 23, d, None, None);
            let mut sorted = got.labels.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..23).collect::<Vec<_>>());
            assert_eq!(got.inertia, 0.0);
            // One cluster: the mean.
            let got = cluster(&ctx, &params, &x, 1, d, None, None);
            assert!(got.labels.iter().all(|&l| l == 0));
            for p in 0..d {
                let mean: f64 = x[p..].iter().step_by(d).map(|&v| f64::from(v)).sum::<f64>() / 23.0;
                assert!((f64::from(got.centroids[p]) - mean).abs() < 1e-6);
            }
            // Nothing but duplicates.
            let x = vec![0.3; 40 * d];
            for init in [KmeansInit::PlusPlus, KmeansInit::Random] {
                let params = KmeansParams { init, ..params };
                let got = cluster(&ctx, &params, &x, 5, d, None, None);
                assert!(got.labels.iter().all(|&l| l == 0));
                assert_eq!((got.inertia, got.centroids), (0.0, vec![0.3; 5 * d]));
            }
            // A centroid that no point is near begins anew at the farthest.
            let x: Vec<f32> = (0..40 * d).map(|i| (i / d) as f32).collect();
            let mut init = vec![5.0; 3 * d];
            init[d..2 * d].fill(-1000.0);
            init[2 * d..].fill(30.0);
            let got = cluster(&ctx, &params, &x, 3, d, Some(&init), None);
            assert!((0..3).all(|c| got.labels.contains(&c)));
            // Constant columns.
            if d > 1 {
                let mut x = random.floats(50 * d);
                x.iter_mut().step_by(d).for_each(|v| *v = 1e4);
                let got = cluster(&ctx, &params, &x, 4, d, None, None);
                assert!(got.centroids.iter().step_by(d).all(|&v| v == 1e4));
            }
        }
        assert_eq!(assign(&ctx, &[], &[1.0, 2.0], 2), (vec![], vec![]));
    }
}

#[test]
fn weights_are_repetitions() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(9);
        for d in [2, 12] {
            let x = blobs(&mut random, 120, 5, d, 0.3);
            let times: Vec<usize> = (0..120).map(|_| random.range(0, 3)).collect();
            let weights: Vec<f32> = times.iter().map(|&t| t as f32).collect();
            let rows = || x.chunks_exact(d).zip(&times);
            let repeated: Vec<f32> = rows()
                .flat_map(|(row, &t)| std::iter::repeat_n(row, t).flatten())
                .copied()
                .collect();
            let init = &x[..5 * d];
            let params = KmeansParams {
                tolerance: 0.0,
                ..Default::default()
            };
            let a = cluster(&ctx, &params, &x, 5, d, Some(init), Some(&weights));
            let b = cluster(&ctx, &params, &repeated, 5, d, Some(init), None);
            assert!((a.inertia - b.inertia).abs() <= 1e-6 * b.inertia);
            for (a, b) in a.centroids.iter().zip(&b.centroids) {
                assert!((a - b).abs() < 1e-6);
            }
            for seed in 0..3 {
                for init in [KmeansInit::PlusPlus, KmeansInit::Random] {
                    let params = KmeansParams {
                        seed,
                        init,
                        ..params
                    };
                    let got = cluster(&ctx, &params, &x, 5, d, None, Some(&weights));
                    assert!(got.inertia >= 0.0 && got.inertia.is_finite());
                }
            }
        }
    }
}

#[test]
fn halves_make_a_whole() {
    for isa in isas() {
        let ctx = context(isa, 2);
        let mut random = Random(10);
        for (d, k) in [(2, 5), (19, 7)] {
            let x = blobs(&mut random, 700, k, d, 0.4);
            let init = x[..k * d].to_vec();
            let params = KmeansParams {
                max_iterations: 4,
                tolerance: 0.0,
                ..Default::default()
            };
            let want = cluster(&ctx, &params, &x, k, d, Some(&init), None);
            let mut centroids = init.clone();
            for _ in 0..4 {
                let (mut sums, mut counts) = (vec![0.0; k * d], vec![0.0; k]);
                for part in x.chunks(300 * d) {
                    let (mut s, mut c) = (vec![-1.0; k * d], vec![-1.0; k]);
                    let n = part.len() / d;
                    let mut labels = vec![-7; n];
                    kmeans_accumulate(
                        &ctx,
                        view(part, d),
                        view(&centroids, d),
                        None,
                        ViewMut::new(&mut s, &[k, d]).unwrap(),
                        ViewMut::new(&mut c, &[k]).unwrap(),
                        Some(ViewMut::new(&mut labels, &[n]).unwrap()),
                    )
                    .unwrap();
                    assert_eq!(labels, assign(&ctx, part, &centroids, d).0);
                    sums.iter_mut().zip(&s).for_each(|(a, b)| *a += b);
                    counts.iter_mut().zip(&c).for_each(|(a, b)| *a += b);
                }
                let old = centroids.clone();
                let moved = kmeans_update(
                    &ctx,
                    View::new(&sums, &[k, d]).unwrap(),
                    View::new(&counts, &[k]).unwrap(),
                    view(&old, d),
                    ViewMut::new(&mut centroids, &[k, d]).unwrap(),
                )
                .unwrap();
                assert!((moved - squared(&old, &centroids)).abs() <= 1e-12 + 1e-9 * moved);
            }
            for (a, b) in want.centroids.iter().zip(&centroids) {
                assert!((a - b).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn nan_and_infinity_are_refused() {
    for isa in isas() {
        let ctx = context(isa, 2);
        for d in [2, 3, 20, 259] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e20] {
                for row in [0, 7, 16, 40] {
                    let mut x = Random(11).floats(41 * d);
                    let good = x.clone();
                    x[row * d + d - 1] = bad;
                    let (mut labels, mut centroids) = (vec![-7; 41], vec![-7.0; 3 * d]);
                    for init in [None, Some(view(&good[..3 * d], d))] {
                        let error = kmeans(
                            &ctx,
                            &KmeansParams::default(),
                            view(&x, d),
                            init,
                            None,
                            None,
                            ViewMut::new(&mut labels, &[41]).unwrap(),
                            ViewMut::new(&mut centroids, &[3, d]).unwrap(),
                        )
                        .unwrap_err();
                        assert!(error.message().starts_with("kmeans: x has NaN"), "{error}");
                    }
                    assert!(labels.iter().all(|&l| l == -7));
                    assert!(centroids.iter().all(|&c| c == -7.0));
                    let error = kmeans_assign(
                        &ctx,
                        view(&x, d),
                        view(&good[..3 * d], d),
                        ViewMut::new(&mut labels, &[41]).unwrap(),
                        None,
                    )
                    .unwrap_err();
                    assert!(error.message().ends_with(&format!("row {row}")), "{error}");
                    let error = kmeans_assign(
                        &ctx,
                        view(&good, d),
                        view(&x, d),
                        ViewMut::new(&mut labels, &[41]).unwrap(),
                        None,
                    )
                    .unwrap_err();
                    assert!(error.message().contains("centroids has NaN"), "{error}");
                    assert!(labels.iter().all(|&l| l == -7));
                }
            }
        }
    }
}

#[test]
fn any_strides() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(12);
        let (n, k, d) = (37, 5, 10);
        let x = random.floats(n * d);
        let centroids = random.floats(k * d);
        let want = assign(&ctx, &x, &centroids, d).0;
        // Transposed, with gaps between rows, and backwards.
        let transposed: Vec<f32> = (0..n * d).map(|i| x[i % n * d + i / n]).collect();
        let gaps: Vec<f32> = x
            .chunks_exact(d)
            .flat_map(|row| [row, &[f32::NAN; 3]].concat())
            .collect();
        let backwards: Vec<f32> = x.chunks_exact(d).rev().flatten().copied().collect();
        let views = [
            View::strided(&transposed, 0, &[n, d], &[1, n as isize]).unwrap(),
            View::strided(&gaps, 0, &[n, d], &[d as isize + 3, 1]).unwrap(),
            View::strided(&backwards, (n - 1) * d, &[n, d], &[-(d as isize), 1]).unwrap(),
        ];
        for x in views {
            let mut labels = vec![-7; 2 * n];
            kmeans_assign(
                &ctx,
                x,
                view(&centroids, d),
                ViewMut::strided(&mut labels, 1, &[n], &[2]).unwrap(),
                None,
            )
            .unwrap();
            let got: Vec<i64> = labels.iter().skip(1).step_by(2).copied().collect();
            assert_eq!(got, want);
            assert!(labels.iter().step_by(2).all(|&l| l == -7));
        }
    }
}

fn iou(a: &[f32], b: &[f32]) -> f64 {
    let [aw, ah, bw, bh] = [a[0], a[1], b[0], b[1]].map(f64::from);
    let inter = aw.min(bw) * ah.min(bh);
    inter / (aw * ah + bw * bh - inter)
}

#[test]
fn anchors_match_the_plain_loop() {
    for isa in isas() {
        let ctx = context(isa, 2);
        let mut random = Random(13);
        for average in [AnchorAverage::Median, AnchorAverage::Mean] {
            for (n, k) in [(1, 1), (17, 3), (200, 9), (500, 6)] {
                let wh: Vec<f32> = (0..2 * n)
                    .map(|_| (1.0 + random.float()) * 100.0 + 1.0)
                    .collect();
                let init = &wh[..2 * k];
                let mut want = init.to_vec();
                let mut labels = vec![usize::MAX; n];
                loop {
                    let new: Vec<usize> = wh
                        .chunks_exact(2)
                        .map(|size| {
                            let fits: Vec<f64> =
                                want.chunks_exact(2).map(|a| iou(size, a)).collect();
                            (0..k)
                                .rev()
                                .max_by(|&a, &b| fits[a].total_cmp(&fits[b]))
                                .unwrap()
                        })
                        .collect();
                    if new == labels {
                        break;
                    }
                    labels = new;
                    for a in 0..k {
                        for side in 0..2 {
                            let members = wh.chunks_exact(2).zip(&labels);
                            let members = members.filter(|m| *m.1 == a);
                            let mut of: Vec<f64> = members.map(|m| f64::from(m.0[side])).collect();
                            assert!(!of.is_empty());
                            of.sort_by(f64::total_cmp);
                            let half = of.len() / 2;
                            want[2 * a + side] = match (average, of.len() % 2) {
                                (AnchorAverage::Mean, _) => {
                                    (of.iter().sum::<f64>() / of.len() as f64) as f32
                                }
                                (_, 1) => of[half] as f32,
                                _ => ((of[half - 1] + of[half]) / 2.0) as f32,
                            };
                        }
                    }
                }
                let mut order: Vec<usize> = (0..k).collect();
                order.sort_by(|&a, &b| {
                    let area = |i: usize| want[2 * i] * want[2 * i + 1];
                    area(a).total_cmp(&area(b))
                });
                let (mut anchors, mut found) = (vec![0.0; 2 * k], vec![0; n]);
                let params = AnchorsParams {
                    average,
                    ..Default::default()
                };
                let mean = kmeans_anchors(
                    &ctx,
                    &params,
                    view(&wh, 2),
                    Some(view(init, 2)),
                    ViewMut::new(&mut anchors, &[k, 2]).unwrap(),
                    Some(ViewMut::new(&mut found, &[n]).unwrap()),
                )
                .unwrap();
                let mut total = 0.0;
                for i in 0..n {
                    assert_eq!(order[found[i] as usize], labels[i]);
                    total += iou(&wh[2 * i..], &want[2 * labels[i]..]);
                }
                assert!((mean - total / n as f64).abs() < 1e-6);
                for (at, &o) in order.iter().enumerate() {
                    assert_eq!(anchors[2 * at..][..2], want[2 * o..][..2]);
                }
                let drawn = kmeans_anchors(
                    &ctx,
                    &params,
                    view(&wh, 2),
                    None,
                    ViewMut::new(&mut anchors, &[k, 2]).unwrap(),
                    None,
                )
                .unwrap();
                assert!(drawn > 0.9 * mean, "{drawn} and {mean}");
            }
        }
    }
}
