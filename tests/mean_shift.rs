//! `mean_shift` against the loop that defines it, in f64 and without a grid.

mod common;

use common::{Random, cases, context, isas};
use omma::cluster::{MeanShiftKernel, MeanShiftParams, mean_shift};
use omma::error::{Error, Status};
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

type Found = (Vec<i64>, Vec<f32>);

fn run(
    ctx: &Context,
    p: &MeanShiftParams,
    x: View<'_, f32>,
    seeds: Option<View<'_, f32>>,
) -> Result<Found, Error> {
    let (n, d) = (x.dim(0), x.dim(1));
    let room = seeds.map_or(n, |s| s.dim(0));
    let (mut labels, mut centers) = (vec![-7; n], vec![-7.0; room * d]);
    let mut count = 99;
    mean_shift(
        ctx,
        p,
        x,
        seeds,
        ViewMut::new(&mut labels, &[n])?,
        ViewMut::new(&mut centers, &[room, d])?,
        &mut count,
    )?;
    assert!(centers[count * d..].iter().all(|&v| v == -7.0));
    centers.truncate(count * d);
    Ok((labels, centers))
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The definition, as scikit-learn's source has it.
fn plain(p: &MeanShiftParams, x: &[Vec<f64>], seeds: &[Vec<f64>]) -> (Vec<i64>, Vec<Vec<f64>>) {
    let limit = p.bandwidth * p.bandwidth;
    let mut modes = Vec::new();
    for seed in seeds {
        let (mut place, mut moves) = (seed.clone(), 0);
        loop {
            let mut weight = 0.0;
            let mut mean = vec![0.0; place.len()];
            for point in x {
                let s = square(point, &place);
                let w = match p.kernel {
                    MeanShiftKernel::Flat => f64::from(u8::from(s <= limit)),
                    MeanShiftKernel::Gaussian if s <= 64.0 * limit => (-0.5 * s / limit).exp(),
                    MeanShiftKernel::Gaussian => 0.0,
                };
                weight += w;
                for (m, v) in mean.iter_mut().zip(point) {
                    *m += w * v;
                }
            }
            if weight == 0.0 {
                break;
            }
            mean.iter_mut().for_each(|m| *m /= weight);
            let moved = square(&mean, &place).sqrt();
            place = mean;
            if moved <= 1e-3 * p.bandwidth || moves == p.max_iterations {
                modes.push((weight, place));
                break;
            }
            moves += 1;
        }
    }
    modes.sort_by(|a, b| b.partial_cmp(a).unwrap());
    let mut centers: Vec<Vec<f64>> = Vec::new();
    for (_, place) in modes {
        if !centers.iter().any(|c| square(c, &place) <= limit) {
            centers.push(place);
        }
    }
    let labels = x.iter().map(|point| {
        let mut best = (f64::INFINITY, 0);
        for (c, center) in centers.iter().enumerate() {
            let s = square(center, point);
            if s < best.0 {
                best = (s, c as i64);
            }
        }
        if best.0 <= limit || p.cluster_all {
            best.1
        } else {
            -1
        }
    });
    (labels.collect(), centers)
}

fn wide(x: &[f32], d: usize) -> Vec<Vec<f64>> {
    x.chunks(d)
        .map(|r| r.iter().map(|&v| f64::from(v)).collect())
        .collect()
}

/// Points in heaps, on a lattice of eighths so that distances are exact and often equal the bandwidth.
fn heaps(random: &mut Random, n: usize, d: usize, spread: f32) -> Vec<f32> {
    let middles: Vec<f32> = (0..3 * d).map(|_| random.float() * 12.0).collect();
    let mut x = Vec::new();
    for _ in 0..n {
        let heap = random.range(0, 2);
        for k in 0..d {
            let v = middles[heap * d + k] + (random.float() + random.float()) * spread;
            x.push((v * 8.0).round() / 8.0);
        }
    }
    x
}

#[test]
fn equals_the_definition() {
    for isa in isas() {
        let contexts = [context(isa, 1), context(isa, 3)];
        let mut random = Random(5);
        for case in 0..cases(60) {
            let d = [1, 2, 3, 4, 7, 2][case % 6];
            let n = [1, 2, 9, 40, 77][case % 5];
            let x = heaps(&mut random, n, d, 1.5);
            let mut p = MeanShiftParams::new([0.5, 1.0, 2.25, 30.0][case % 4]);
            p.cluster_all = case % 3 != 0;
            if case % 4 == 3 && n > 2 {
                p.kernel = MeanShiftKernel::Gaussian;
                p.bandwidth = 1.25;
            }
            if case % 7 == 6 {
                p.max_iterations = 1;
            }
            let given = heaps(&mut random, 5, d, 1.0);
            let own_seeds = case % 5 == 4;
            let seeds = if own_seeds { &given[..] } else { &x[..] };
            let (labels, centers) = plain(&p, &wide(&x, d), &wide(seeds, d));
            let view = View::new(&x, &[n, d]).unwrap();
            let seeds = own_seeds.then(|| View::new(&given, &[5, d]).unwrap());
            if centers.is_empty() {
                let error = run(&contexts[0], &p, view, seeds).unwrap_err();
                assert!(error.message().contains("any seed"), "{}", error.message());
                continue;
            }
            let found = run(&contexts[0], &p, view, seeds).unwrap();
            // Two points on their own climb to their middle from both sides, with equal weights that the
            // last bit decides: within the thousandth of the bandwidth where they stop.
            let slack = match p.kernel {
                MeanShiftKernel::Flat => 1e-6,
                MeanShiftKernel::Gaussian => 5e-3,
            };
            assert_eq!(found.1.len(), centers.len() * d, "case {case}");
            for (got, expected) in found.1.iter().zip(centers.iter().flatten()) {
                assert!(
                    (f64::from(*got) - expected).abs() <= slack * expected.abs().max(1.0),
                    "case {case}: {got} {expected}"
                );
            }
            assert_eq!(found.0, labels, "case {case}");
            // The same bits with more threads, and from any strides.
            assert_eq!(run(&contexts[1], &p, view, seeds).unwrap(), found);
            let mut turned = vec![0.0; n * d];
            for i in 0..n {
                for k in 0..d {
                    turned[k * n + i] = x[i * d + k];
                }
            }
            let view = View::strided(&turned, 0, &[n, d], &[1, n as isize]).unwrap();
            assert_eq!(run(&contexts[0], &p, view, seeds).unwrap(), found);
        }
    }
}

#[test]
fn seeds_of_a_lattice() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(6);
        for least in [1, 2, 5] {
            let x = heaps(&mut random, 60, 2, 1.5);
            let mut p = MeanShiftParams::new(1.5);
            p.bin_seeding = true;
            p.min_bin_freq = least;
            let mut bins: Vec<(Vec<f64>, usize)> = Vec::new();
            for point in wide(&x, 2) {
                let bin: Vec<f64> = point
                    .iter()
                    .map(|v| (v / 1.5).round_ties_even() + 0.0)
                    .collect();
                match bins.iter_mut().find(|(b, _)| *b == bin) {
                    Some((_, count)) => *count += 1,
                    None => bins.push((bin, 1)),
                }
            }
            let seeds: Vec<Vec<f64>> = bins
                .into_iter()
                .filter(|(_, count)| *count >= least)
                .map(|(bin, _)| bin.iter().map(|&v| f64::from(v as f32 * 1.5)).collect())
                .collect();
            let (labels, centers) = plain(&p, &wide(&x, 2), &seeds);
            let found = run(&ctx, &p, View::new(&x, &[60, 2]).unwrap(), None).unwrap();
            assert_eq!(found.0, labels);
            assert_eq!(found.1.len(), centers.len() * 2);
        }
        // No bin is full enough.
        let mut p = MeanShiftParams::new(1e-3);
        p.bin_seeding = true;
        p.min_bin_freq = 100;
        let x = heaps(&mut random, 60, 2, 1.5);
        assert!(run(&ctx, &p, View::new(&x, &[60, 2]).unwrap(), None).is_err());
    }
}

#[test]
fn corners() {
    for isa in isas() {
        let ctx = context(isa, 2);
        let p = MeanShiftParams::new(1.0);
        let none = run(&ctx, &p, View::new(&[], &[0, 3]).unwrap(), None).unwrap();
        assert_eq!(none, (vec![], vec![]));
        // Duplicates, a constant column, and numbers at the end of the range.
        let same = [3.0f32, 7.0].repeat(50);
        let one = run(&ctx, &p, View::new(&same, &[50, 2]).unwrap(), None).unwrap();
        assert_eq!(one, (vec![0; 50], vec![3.0, 7.0]));
        let far = [f32::MAX, f32::MIN, 0.0, 0.5];
        let three = run(&ctx, &p, View::new(&far, &[4, 1]).unwrap(), None).unwrap();
        assert_eq!(three, (vec![1, 2, 0, 0], vec![0.25, f32::MAX, f32::MIN]));
    }
}

#[test]
fn bad_input_is_named() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let x = [0.0f32, 1.0, 2.0, f32::NAN];
        let view = View::new(&x, &[2, 2]).unwrap();
        let fine = View::new(&x[..2], &[1, 2]).unwrap();
        let expect = |p: MeanShiftParams, x, seeds, words: &str| {
            let error = run(&ctx, &p, x, seeds).unwrap_err();
            assert!(error.message().contains(words), "{}", error.message());
        };
        expect(MeanShiftParams::new(1.0), view, None, "x[1, 1] is NaN");
        expect(
            MeanShiftParams::new(1.0),
            fine,
            Some(view),
            "seeds[1, 1] is NaN",
        );
        for bandwidth in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            expect(MeanShiftParams::new(bandwidth), fine, None, "bandwidth");
        }
        let far = [1e9f32, 0.0];
        let far = View::new(&far, &[1, 2]).unwrap();
        expect(MeanShiftParams::new(1.0), fine, Some(far), "any seed");
        // Too little room: the count, and nothing else.
        let x = [0.0f32, 10.0, 20.0];
        let (mut labels, mut centers, mut count) = ([-7; 3], [-7.0; 2], 0);
        let error = mean_shift(
            &ctx,
            &MeanShiftParams::new(1.0),
            View::new(&x, &[3, 1]).unwrap(),
            None,
            ViewMut::new(&mut labels, &[3]).unwrap(),
            ViewMut::new(&mut centers, &[2, 1]).unwrap(),
            &mut count,
        )
        .unwrap_err();
        assert_eq!((error.status(), count), (Status::BufferTooSmall, 3));
        assert_eq!((labels, centers), ([-7; 3], [-7.0; 2]));
    }
}
