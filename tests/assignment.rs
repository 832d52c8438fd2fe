//! `linear_assignment` against every permutation, properties, hostile matrices, and scipy's totals.

mod common;

use common::{Random, cases, context, isas, quick};
use omma::cluster::{Cost, linear_assignment};
use omma::error::Status;
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

/// Total, rows and columns; panics when they are no assignment or the total is not theirs.
fn assign<T: Cost>(
    ctx: &Context,
    maximize: bool,
    cost: View<'_, T>,
) -> Result<(f64, Vec<i64>, Vec<i64>), omma::error::Error> {
    let pairs = cost.dim(0).min(cost.dim(1));
    let (mut rows, mut cols) = (vec![-7; pairs], vec![-7; pairs]);
    let views = (
        ViewMut::new(&mut rows, &[pairs])?,
        ViewMut::new(&mut cols, &[pairs])?,
    );
    let total = linear_assignment(ctx, maximize, cost, views.0, views.1);
    let total = match total {
        Ok(total) => total,
        Err(error) => {
            assert!(rows.iter().chain(&cols).all(|&v| v == -7), "an error wrote");
            return Err(error);
        }
    };
    assert!(rows.windows(2).all(|w| w[0] < w[1]), "{rows:?}");
    let mut sorted = cols.clone();
    sorted.sort_unstable();
    assert!(sorted.windows(2).all(|w| w[0] < w[1]), "{cols:?}");
    let mut sum = 0.0;
    for (&row, &col) in rows.iter().zip(&cols) {
        sum += cost.get(&[row as usize, col as usize]).wide();
    }
    assert_eq!(total.to_bits(), sum.to_bits());
    Ok((total, rows, cols))
}

/// The best total of all assignments; `None` when each has a forbidden pair.
fn best(maximize: bool, n: usize, m: usize, cost: &dyn Fn(usize, usize) -> f64) -> Option<f64> {
    if n > m {
        return best(maximize, m, n, &|i, j| cost(j, i));
    }
    fn go(row: usize, used: usize, n: usize, m: usize, c: &dyn Fn(usize, usize) -> f64) -> f64 {
        if row == n {
            return 0.0;
        }
        let free = (0..m).filter(|j| used & 1 << j == 0);
        free.map(|j| c(row, j) + go(row + 1, used | 1 << j, n, m, c))
            .fold(f64::INFINITY, f64::min)
    }
    let sign = if maximize { -1.0 } else { 1.0 };
    let total = go(0, 0, n, m, &|i, j| sign * cost(i, j));
    (total < f64::INFINITY).then_some(sign * total)
}

/// A kind of matrix that has its own way to hurt.
fn draw(random: &mut Random, kind: usize) -> f64 {
    let u = (random.bits() >> 11) as f64 / (1u64 << 53) as f64;
    match kind {
        0 => u,
        1 => (u * 4.0).floor(),
        2 => u * 10.0 - 5.0,
        3 => 10f64.powi((u * 40.0) as i32 - 20),
        4 if u < 0.4 => f64::INFINITY,
        4 => (u * 100.0).floor(),
        5 if u < 0.3 => 1e20,
        5 => u,
        6 => 7.0,
        7 if u < 0.5 => -1e15,
        7 => (u * 8.0).floor(),
        8 => (u - 0.5) * 4e307,
        _ => ((u - 0.5) * 4.0).floor() * 5e-324,
    }
}

const KINDS: usize = 10;

#[test]
fn equals_every_permutation_tried() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(1);
        for case in 0..cases(400) {
            let largest = if case % 40 == 0 && !quick() { 8 } else { 6 };
            let (n, m) = (random.range(1, largest), random.range(1, largest));
            let kind = case % KINDS;
            let maximize = random.range(0, 1) == 1;
            let sign = if maximize { -1.0 } else { 1.0 };
            let cost: Vec<f64> = (0..n * m).map(|_| sign * draw(&mut random, kind)).collect();
            let expected = best(maximize, n, m, &|i, j| cost[i * m + j]);
            let got = assign(&ctx, maximize, View::new(&cost, &[n, m]).unwrap());
            let Some(expected) = expected else {
                let error = got.unwrap_err();
                assert_eq!(error.status(), Status::InvalidArgument);
                assert!(
                    error.message().contains("infeasible"),
                    "{}",
                    error.message()
                );
                continue;
            };
            let (total, ..) = got.unwrap_or_else(|e| panic!("{}: {cost:?}", e.message()));
            // Whole numbers are exact; else some roundings of the largest chosen number.
            let slack = match kind {
                1 | 4 | 6 | 7 | 9 => 0.0,
                _ => expected.abs() * 1e-14,
            };
            assert!(
                (total - expected).abs() <= slack,
                "kind {kind}, {n} x {m}, maximize {maximize}: {total:e}, expected {expected:e}: {cost:?}"
            );
            // The same in f32, where costs are few bits long.
            if matches!(kind, 1 | 4 | 6) {
                let narrow: Vec<f32> = cost.iter().map(|&v| v as f32).collect();
                let (total, ..) =
                    assign(&ctx, maximize, View::new(&narrow, &[n, m]).unwrap()).unwrap();
                assert_eq!(total, expected);
            }
        }
    }
}

/// The lower bound that the prices of a plain shortest-path solver prove: no assignment is cheaper.
fn plain(n: usize, m: usize, cost: &[f64]) -> f64 {
    assert!(n <= m);
    let (mut u, mut v) = (vec![0.0; n + 1], vec![0.0; m + 1]);
    let (mut row_of, mut way) = (vec![0; m + 1], vec![0; m + 1]);
    for i in 1..=n {
        row_of[0] = i;
        let mut at = 0;
        let mut least = vec![f64::INFINITY; m + 1];
        let mut used = vec![false; m + 1];
        loop {
            used[at] = true;
            let (row, mut delta, mut next) = (row_of[at], f64::INFINITY, 0);
            for j in 1..=m {
                if !used[j] {
                    let d = cost[(row - 1) * m + j - 1] - u[row] - v[j];
                    if d < least[j] {
                        (least[j], way[j]) = (d, at);
                    }
                    if least[j] < delta {
                        (delta, next) = (least[j], j);
                    }
                }
            }
            for j in 0..=m {
                if used[j] {
                    u[row_of[j]] += delta;
                    v[j] -= delta;
                } else {
                    least[j] -= delta;
                }
            }
            at = next;
            if row_of[at] == 0 {
                break;
            }
        }
        while at != 0 {
            row_of[at] = row_of[way[at]];
            at = way[at];
        }
    }
    (1..=m)
        .filter(|&j| row_of[j] > 0)
        .map(|j| cost[(row_of[j] - 1) * m + j - 1])
        .sum()
}

#[test]
fn as_cheap_as_a_plain_solver() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(2);
        let sizes: &[(usize, usize)] = match quick() {
            true => &[(15, 15), (17, 33), (32, 32)],
            false => &[
                (15, 15),
                (16, 16),
                (17, 33),
                (64, 64),
                (65, 65),
                (31, 200),
                (150, 150),
            ],
        };
        for &(n, m) in sizes {
            for kind in [0, 1, 2, 3, 5, 6] {
                let cost: Vec<f64> = (0..n * m).map(|_| draw(&mut random, kind)).collect();
                let expected = plain(n, m, &cost);
                let (total, rows, cols) =
                    assign(&ctx, false, View::new(&cost, &[n, m]).unwrap()).unwrap();
                assert!(
                    (total - expected).abs() <= expected.abs() * 1e-13,
                    "kind {kind}, {n} x {m}: {total}, expected {expected}"
                );
                // A transposed view, and every element apart, give the same total; the same call the same pairs.
                let view = View::strided(&cost, 0, &[m, n], &[1, m as isize]).unwrap();
                let (turned, ..) = assign(&ctx, false, view).unwrap();
                assert!((turned - total).abs() <= total.abs() * 1e-13);
                let mut apart = vec![f64::NAN; 2 * n * m];
                for (to, &from) in apart.iter_mut().step_by(2).zip(&cost) {
                    *to = from;
                }
                let view = View::strided(&apart, 0, &[n, m], &[2 * m as isize, 2]).unwrap();
                assert_eq!(assign(&ctx, false, view).unwrap(), (total, rows, cols));
                // Maximising the negated costs is the same problem.
                let negated: Vec<f64> = cost.iter().map(|v| -v).collect();
                let (most, ..) = assign(&ctx, true, View::new(&negated, &[n, m]).unwrap()).unwrap();
                assert!((most + total).abs() <= total.abs() * 1e-13);
            }
        }
    }
}

#[test]
fn long_and_thin_matrices_cost_no_square() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let long = if quick() { 10_000 } else { 300_000 };
        let mut random = Random(3);
        let cost = random.floats(long);
        let least = cost.iter().copied().fold(f32::INFINITY, f32::min);
        let at = cost.iter().position(|&v| v == least).unwrap() as i64;
        let (total, rows, cols) =
            assign(&ctx, false, View::new(&cost, &[1, long]).unwrap()).unwrap();
        assert_eq!((total, rows, cols), (f64::from(least), vec![0], vec![at]));
        let (total, rows, cols) =
            assign(&ctx, false, View::new(&cost, &[long, 1]).unwrap()).unwrap();
        assert_eq!((total, rows, cols), (f64::from(least), vec![at], vec![0]));
        for shape in [[0, 5], [5, 0], [0, 0]] {
            let (total, rows, _) =
                assign(&ctx, true, View::<f64>::new(&[], &shape).unwrap()).unwrap();
            assert_eq!((total, rows.len()), (0.0, 0));
        }
        let equal = vec![3.0f32; 200 * 200];
        let (total, ..) = assign(&ctx, false, View::new(&equal, &[200, 200]).unwrap()).unwrap();
        assert_eq!(total, 600.0);
    }
}

/// A price war: each row has one good column that all want. Must not take ages.
#[test]
fn a_price_war_ends() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let n = if quick() { 40 } else { 200 };
        let cost: Vec<f64> = (0..n * n)
            .map(|k| ((k / n + 1) * (k % n + 1)) as f64)
            .collect();
        let expected: f64 = (1..=n).map(|i| (i * (n + 1 - i)) as f64).sum();
        let (total, ..) = assign(&ctx, false, View::new(&cost, &[n, n]).unwrap()).unwrap();
        assert_eq!(total, expected);
    }
}

#[test]
fn bad_costs_are_named() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for (n, m) in [(3, 70), (70, 3), (20, 20)] {
            for (wrong, maximize, words) in [
                (f64::NAN, false, "NaN"),
                (f64::NEG_INFINITY, false, "-inf"),
                (f64::INFINITY, true, "inf, to maximise"),
            ] {
                let mut cost = vec![1.0; n * m];
                let at = n * m - 2;
                cost[at] = wrong;
                let error = assign(&ctx, maximize, View::new(&cost, &[n, m]).unwrap()).unwrap_err();
                assert_eq!(error.status(), Status::InvalidArgument);
                let place = format!("cost[{}, {}] is {words}", at / m, at % m);
                assert!(
                    error.message().contains(&place),
                    "{}: {place}",
                    error.message()
                );
            }
        }
        let cost = [1.0, f64::INFINITY, 2.0, f64::INFINITY];
        let error = assign(&ctx, false, View::new(&cost, &[2, 2]).unwrap()).unwrap_err();
        assert!(
            error.message().contains("infeasible"),
            "{}",
            error.message()
        );
        let mut short = [0; 1];
        let mut cols = [0; 2];
        let error = linear_assignment(
            &ctx,
            false,
            View::new(&[1.0f32; 4], &[2, 2]).unwrap(),
            ViewMut::new(&mut short, &[1]).unwrap(),
            ViewMut::new(&mut cols, &[2]).unwrap(),
        )
        .unwrap_err();
        assert_eq!(error.status(), Status::ShapeMismatch);
        assert!(error.message().contains("rows"), "{}", error.message());
    }
}
