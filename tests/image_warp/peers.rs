//! What OpenCV, torch and Pillow say: the fixtures of `fixtures/warp.py`.

use crate::common::{context, isas};
use crate::grid::PADDINGS;
use crate::image_support::*;
use crate::oracle::{Pixel, fold};
use crate::{BORDERS, INTERPOLATIONS};
use omma::image::*;
use omma::runtime::Context;
use omma::simd::Tier;

/// The bytes of hexadecimal digits.
fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

/// The largest difference from OpenCV of a case, and how many samples differ at all.
fn opencv_case<T: Pixel>(ctx: &Context, words: &[&str], expected: &[T]) -> (f64, usize) {
    const SRC: [usize; 2] = [23, 31];
    const DST: [usize; 2] = [5, 16];
    let [c, border, nearest, seed] = numbers(&words[2..]);
    let m: [f64; 9] = std::array::from_fn(|i| words[6 + i].parse().unwrap());
    let options = Warp {
        interpolation: INTERPOLATIONS[nearest],
        border: BORDERS[border],
        value: [10.0, 200.0, 30.0, 90.0],
    };
    let image = T::noise(SRC[0] * SRC[1] * c, seed as u64);
    let image = view(&image, &[SRC[0], SRC[1], c]);
    let mut out = vec![T::default(); DST[0] * DST[1] * c];
    let output = view_mut(&mut out, &[DST[0], DST[1], c]);
    match words[0] {
        "affine" => {
            let m = [m[0], m[1], m[2], m[3], m[4], m[5]];
            warp_affine(ctx, &options, &m, true, image, output)
        }
        "perspective" => warp_perspective(ctx, &options, &m, true, image, output),
        _ => {
            let map = |seed: usize, n: usize| -> Vec<f32> {
                let noise = f32::noise(DST[0] * DST[1], seed as u64);
                noise.iter().map(|v| v * (n + 8) as f32 - 4.0).collect()
            };
            let (x, y) = (map(seed + 1000, SRC[1]), map(seed + 2000, SRC[0]));
            remap(ctx, &options, image, view(&x, &DST), view(&y, &DST), output)
        }
    }
    .unwrap();
    let apart = |(&a, &b): (&T, &T)| -> f64 {
        let (a, b): (f64, f64) = (a.into(), b.into());
        (a - b).abs()
    };
    let differences: Vec<f64> = out.iter().zip(expected).map(apart).collect();
    let most = differences.iter().copied().fold(0.0, f64::max);
    (most, differences.iter().filter(|d| **d > 0.0).count())
}

#[test]
fn opencv() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let (mut bytes, mut other) = (0, 0);
        for words in lines(include_str!("../fixtures/warp_opencv.txt")) {
            let output = unhex(words[15]);
            let exact = words[0] == "remap" && isa.tier() != Tier::Portable;
            if words[1] == "u8" {
                let (most, count) = opencv_case(&ctx, &words, &output);
                assert!(most <= 1.0 && (count == 0 || !exact), "{words:?}: {most}");
                (bytes, other) = (bytes + output.len(), other + count);
            } else {
                let (most, count) = opencv_case(&ctx, &words, &floats(&output));
                assert!(most <= 2e-4 && (count == 0 || !exact), "{words:?}: {most}");
            }
        }
        assert!(other * 1000 <= bytes, "{other} of {bytes} bytes differ");
    }
}

/// OpenCV's cubic warps round places to 1/32 of a pixel, a 64th at most on either axis. The weights along an
/// axis change by at most 3 in sum for a pixel, those along the other are at most 1.375 in sum: with
/// samples that differ by at most `range`, results differ by at most `2 * 3 * 1.375 / 64` of it.
#[test]
fn opencv_cubic() {
    const ROUNDING: f64 = 2.0 * 3.0 * 1.375 / 64.0;
    for isa in isas() {
        let ctx = context(isa, 1);
        for words in lines(include_str!("../fixtures/warp_cubic.txt")) {
            let output = unhex(words[15]);
            let (most, tolerance) = match words[1] {
                "u8" => (opencv_case(&ctx, &words, &output).0, ROUNDING * 255.0 + 1.0),
                _ => (
                    opencv_case(&ctx, &words, &floats(&output)).0,
                    ROUNDING + 1e-3,
                ),
            };
            assert!(most <= tolerance, "{words:?}: {most}");
        }
    }
}

/// Where the divisor of a perspective is nearly zero places are so far away that `f32` has few bits for their
/// fraction, and with borders that repeat this shows. Nobody is right there; OpenCV, which computes in `f32` as well,
/// is off as often.
#[test]
fn horizon() {
    const SRC: [usize; 2] = [60, 80];
    const DST: [usize; 2] = [24, 40];
    for isa in isas() {
        let ctx = context(isa, 1);
        let (mut ours, mut theirs, mut apart) = (0, 0, 0);
        for words in lines(include_str!("../fixtures/warp_horizon.txt")) {
            let [border, seed] = numbers(&words);
            let m: [f64; 9] = std::array::from_fn(|i| words[2 + i].parse().unwrap());
            let image = u8::noise(SRC[0] * SRC[1], seed as u64);
            let options = Warp {
                border: BORDERS[border],
                ..Warp::default()
            };
            let mut out = vec![0u8; DST[0] * DST[1]];
            let output = view_mut(&mut out, &DST);
            warp_perspective(&ctx, &options, &m, true, view(&image, &SRC), output).unwrap();
            for (i, (&a, b)) in out.iter().zip(unhex(words[11])).enumerate() {
                let truth = exact(options.border, &image, SRC, &m, i / DST[1], i % DST[1]);
                ours += usize::from((f64::from(a) - truth).abs() > 1.0);
                theirs += usize::from((f64::from(b) - truth).abs() > 1.0);
                apart += usize::from(a.abs_diff(b) > 1);
            }
        }
        // Some are apart, or there were nothing to see here.
        assert!(
            apart > 0 && ours <= theirs,
            "{ours} and {theirs} are off, {apart} apart"
        );
    }
}

/// A bilinear sample of a perspective in `f64`, rounded to a byte.
fn exact(
    border: Border,
    image: &[u8],
    [h, w]: [usize; 2],
    m: &[f64; 9],
    y: usize,
    x: usize,
) -> f64 {
    let row = |a: usize| m[a] * x as f64 + m[a + 1] * y as f64 + m[a + 2];
    let (x, y) = (row(0) / row(6), row(3) / row(6));
    let at = |y: f64, x: f64| {
        let place = |at: f64, n: usize| fold(border, at as i64, n as i64).unwrap() as usize;
        f64::from(image[place(y, h) * w + place(x, w)])
    };
    let (fx, fy) = (x - x.floor(), y - y.floor());
    let row = |y: f64| at(y, x.floor()) * (1.0 - fx) + at(y, x.floor() + 1.0) * fx;
    (row(y.floor()) * (1.0 - fy) + row(y.floor() + 1.0) * fy).round_ties_even()
}

#[test]
fn torch() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for words in lines(include_str!("../fixtures/warp_torch.txt")) {
            let place = |names: [&str; 3], name| names.iter().position(|n| *n == name).unwrap();
            let options = GridSample {
                interpolation: INTERPOLATIONS[place(["bilinear", "nearest", "bicubic"], words[0])],
                padding: PADDINGS[place(["zeros", "border", "reflection"], words[1])],
                align_corners: words[2] == "1",
            };
            let seed: u64 = words[3].parse().unwrap();
            let x = f32::noise(168, seed);
            let grid: Vec<f32> = f32::noise(60, seed + 1000)
                .iter()
                .map(|v| v * 3.0 - 1.5)
                .collect();
            let mut out = vec![0.0; 60];
            grid_sample(
                &ctx,
                &options,
                view(&x, &[2, 2, 6, 7]),
                view(&grid, &[2, 3, 5, 2]),
                view_mut(&mut out, &[2, 2, 3, 5]),
            )
            .unwrap();
            for (a, b) in out.iter().zip(floats(&unhex(words[4]))) {
                assert!(close(*a, b, 5e-6), "{a} is not {b}: {options:?}");
            }
        }
    }
}

#[test]
fn pillow() {
    let ctx = Context::serial().unwrap();
    let (mut pixels, mut other) = (0, 0);
    for words in lines(include_str!("../fixtures/warp_pillow.txt")) {
        let [h, w] = numbers(&words);
        let [h1, w1] = numbers(&words[3..]);
        let degrees: f64 = words[2].parse().unwrap();
        assert_eq!(
            rotated_size((h, w), degrees).unwrap(),
            (h1, w1),
            "{words:?}"
        );
        let seed = line_number(&words);
        let image: Vec<u8> = u8::noise(h * w, seed).iter().map(|v| v / 2).collect();
        let options = Warp {
            interpolation: Interpolation::Nearest,
            value: [255.0; 4],
            ..Warp::default()
        };
        let mut out = vec![0u8; h1 * w1];
        let output = view_mut(&mut out, &[h1, w1]);
        rotate(ctx, &options, degrees, view(&image, &[h, w]), output).unwrap();
        let expected = unhex(words[5]);
        pixels += out.len();
        other += out.iter().zip(&expected).filter(|(a, b)| a != b).count();
        if degrees % 90.0 == 0.0 {
            assert!(out == expected);
        }
    }
    // Pillow has coordinates in fixed point: ties between two pixels go another way.
    assert!(other * 100 <= pixels, "{other} of {pixels} pixels differ");
}

/// The number of a line among those of Pillow, which is its seed.
fn line_number(words: &[&str]) -> u64 {
    lines(include_str!("../fixtures/warp_pillow.txt"))
        .position(|line| line == words)
        .unwrap() as u64
}
