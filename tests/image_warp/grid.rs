//! `grid_sample` against torch's rules in `f64`, and at places that are no numbers.

use crate::INTERPOLATIONS;
use crate::common::{Random, cases, context, isas};
use crate::image_support::*;
use omma::image::*;

/// torch's rules, in `f64`.
fn grid_reference(
    options: &GridSample,
    plane: &[f32],
    [h, w]: [usize; 2],
    (gx, gy): (f32, f32),
) -> f64 {
    let unnormalized = |at: f32, n: usize| match options.align_corners {
        true => (at + 1.0) * ((n - 1) as f32 / 2.0),
        false => (at + 1.0) * (n as f32 / 2.0) - 0.5,
    };
    let pad = |at: f32, n: usize| {
        let last = (n - 1) as f32;
        let at = match options.padding {
            Padding::Zeros => return at,
            Padding::Border => at,
            Padding::Reflection => {
                let (edge, period) = match options.align_corners {
                    true => (0.0, 2.0 * last),
                    false => (0.5, 2.0 * n as f32),
                };
                let from_edge = (at + edge).abs();
                let rest = from_edge - (from_edge / period).trunc() * period;
                let other = period - rest;
                (if rest < other { rest } else { other }) - edge
            }
        };
        let at = if at > 0.0 { at } else { 0.0 };
        if at < last { at } else { last }
    };
    let at = |y: f32, x: f32| -> f64 {
        let inside = y >= 0.0 && y < h as f32 && x >= 0.0 && x < w as f32;
        match inside {
            true => f64::from(plane[y as usize * w + x as usize]),
            false => 0.0,
        }
    };
    let (x, y) = (unnormalized(gx, w), unnormalized(gy, h));
    match options.interpolation {
        Interpolation::Nearest => at(pad(y, h).round_ties_even(), pad(x, w).round_ties_even()),
        Interpolation::Cubic => {
            let weights = |t: f64| {
                let far = |t: f64| ((-0.75 * t + 3.75) * t - 6.0) * t + 3.0;
                let near = |t: f64| (1.25 * t - 2.25) * t * t + 1.0;
                [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
            };
            let (wx, wy) = (
                weights(f64::from(x - x.floor())),
                weights(f64::from(y - y.floor())),
            );
            let mut sum = 0.0;
            for (r, wy) in wy.iter().enumerate() {
                for (k, wx) in wx.iter().enumerate() {
                    let ty = pad(y.floor() - 1.0 + r as f32, h);
                    let tx = pad(x.floor() - 1.0 + k as f32, w);
                    sum += wx * wy * at(ty, tx);
                }
            }
            sum
        }
        _ => {
            let (x, y) = (pad(x, w), pad(y, h));
            let (fx, fy) = (f64::from(x - x.floor()), f64::from(y - y.floor()));
            let row = |y: f32| at(y, x.floor()) * (1.0 - fx) + at(y, x.floor() + 1.0) * fx;
            row(y.floor()) * (1.0 - fy) + row(y.floor() + 1.0) * fy
        }
    }
}

pub const PADDINGS: [Padding; 3] = [Padding::Zeros, Padding::Border, Padding::Reflection];

#[test]
fn grids() {
    let mut random = Random(23);
    for case in 0..cases(120) {
        let options = GridSample {
            interpolation: INTERPOLATIONS[case % 3],
            padding: PADDINGS[random.range(0, 2)],
            align_corners: random.range(0, 1) == 1,
        };
        let big = [2, 9, 40][random.range(0, 2)];
        let [h, w, h1, w1] = [0; 4].map(|_: usize| random.range(1, big));
        let (n, c) = (random.range(1, 2), random.range(1, 3));
        let x = random.floats(n * c * h * w);
        let grid: Vec<f32> = (0..n * h1 * w1 * 2).map(|_| random.float() * 1.3).collect();
        for isa in isas() {
            let ctx = context(isa, 1);
            let mut out = vec![0.0; n * c * h1 * w1];
            grid_sample(
                &ctx,
                &options,
                view(&x, &[n, c, h, w]),
                view(&grid, &[n, h1, w1, 2]),
                view_mut(&mut out, &[n, c, h1, w1]),
            )
            .unwrap();
            for (i, v) in out.iter().enumerate() {
                let (image, pixel) = (i / (c * h1 * w1), i % (h1 * w1));
                let at = 2 * (image * h1 * w1 + pixel);
                let plane = &x[i / (h1 * w1) * h * w..][..h * w];
                let expected = grid_reference(&options, plane, [h, w], (grid[at], grid[at + 1]));
                let tolerance = match options.interpolation {
                    Interpolation::Cubic => 1e-5,
                    _ => 2e-6,
                };
                assert!(
                    (f64::from(*v) - expected).abs() < tolerance,
                    "{v} is not {expected}: {options:?}, {h} x {w}, at {:?}",
                    &grid[at..at + 2]
                );
            }
        }
    }
}

#[test]
fn grids_of_odd_numbers() {
    // Inside of memory whatever the coordinate; NaN is outside, or the first pixel.
    let mut x: Guarded<f32> = Guarded::new(30, true);
    x.iter_mut()
        .enumerate()
        .for_each(|(i, v)| *v = 1.0 + i as f32);
    let odd = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        1e9,
        -1e9,
        1e18,
        0.0,
    ];
    let grid: Vec<f32> = odd
        .iter()
        .flat_map(|&a| odd.map(|b| [a, b]))
        .flatten()
        .collect();
    for isa in isas() {
        let ctx = context(isa, 1);
        for i in 0..18 {
            let options = GridSample {
                interpolation: INTERPOLATIONS[i % 3],
                padding: PADDINGS[i / 3 % 3],
                align_corners: i >= 9,
            };
            let mut out = vec![0.0; 81];
            grid_sample(
                &ctx,
                &options,
                view(&x, &[1, 1, 5, 6]),
                view(&grid, &[1, 9, 9, 2]),
                view_mut(&mut out, &[1, 1, 9, 9]),
            )
            .unwrap();
            if options.interpolation != Interpolation::Cubic {
                let first = if options.padding == Padding::Zeros {
                    0.0
                } else {
                    1.0
                };
                assert_eq!(out[0], first, "{options:?}");
            }
        }
    }
}
