//! `resize` with `Interpolation::Area` against OpenCV (fixtures) and against scalar code, on every tier.

mod common;
mod image_support;

use common::{Random, cases, context, isas};
use image_support::*;
use omma::error::Status;
use omma::image::{Coordinates, Interpolation, Resize, resize};
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

const AREA: Resize = Resize {
    interpolation: Interpolation::Area,
    coordinates: Coordinates::Default,
    antialias: false,
};

/// h0, w0, h1, w1, channels.
type Sizes = [usize; 5];

fn run<T: Noise>(ctx: &Context, image: &[T], sizes: Sizes) -> Vec<T> {
    let [h0, w0, h1, w1, c] = sizes;
    let mut out = vec![T::default(); h1 * w1 * c];
    let from = view(image, &[h0, w0, c]);
    resize(ctx, &AREA, from, view_mut(&mut out, &[h1, w1, c])).unwrap();
    out
}

// ---- the scalar reference: OpenCV's operations in OpenCV's order ----------

fn scale(source: usize, destination: usize) -> f64 {
    1.0 / (destination as f64 / source as f64)
}

/// The samples of destination sample `d` and their weights.
fn weights(d: usize, source: usize, scale: f64) -> Vec<(usize, f32)> {
    let start = d as f64 * scale;
    let end = start + scale;
    let width = scale.min(source as f64 - start);
    let part = (end.floor() as usize).min(source - 1);
    let whole = (start.ceil() as usize).min(part);
    let mut all = Vec::new();
    if whole as f64 - start > 1e-3 {
        all.push((whole - 1, ((whole as f64 - start) / width) as f32));
    }
    for s in whole..part {
        all.push((s, (1.0 / width) as f32));
    }
    if end - part as f64 > 1e-3 {
        let covered = (end - part as f64).min(1.0).min(width);
        all.push((part, (covered / width) as f32));
    }
    all
}

/// Both samples of an enlarged axis, and the weight of the second.
fn taps(d: usize, source: usize, destination: usize, clamp_weight: bool) -> ([usize; 2], f32) {
    let inverse = destination as f64 / source as f64;
    let mut at = (d as f64 * scale(source, destination)).floor() as usize;
    let beyond = ((d + 1) as f64 - (at + 1) as f64 * inverse) as f32;
    let mut f = if beyond <= 0.0 {
        0.0
    } else {
        beyond - beyond.floor()
    };
    if clamp_weight && at >= source - 1 {
        (at, f) = (source - 1, 0.0);
    }
    ([at, at + 1].map(|i| i.min(source - 1)), f)
}

/// The weighted means before rounding.
fn weighted(at: &dyn Fn(usize, usize, usize) -> f32, sizes: Sizes) -> Vec<f32> {
    let [h0, w0, h1, w1, c] = sizes;
    let across: Vec<_> = (0..w1).map(|x| weights(x, w0, scale(w0, w1))).collect();
    let mut out = Vec::new();
    for y in 0..h1 {
        let down = weights(y, h0, scale(h0, h1));
        for across in &across {
            for k in 0..c {
                let mut sum = 0.0f32;
                for &(sy, beta) in &down {
                    let mut row = 0.0f32;
                    for &(sx, alpha) in across {
                        row += at(sy, sx, k) * alpha;
                    }
                    sum += beta * row;
                }
                out.push(sum);
            }
        }
    }
    out
}

/// The size of whole cells (y, x), if that is what they are.
fn whole(sizes: Sizes) -> Option<(usize, usize)> {
    let [h0, w0, h1, w1, _] = sizes;
    let (y, x) = (scale(h0, h1), scale(w0, w1));
    let even = |v: f64| (v - v.round()).abs() < f64::EPSILON;
    (even(y) && even(x) && y >= 1.0 && x >= 1.0).then_some((y.round() as usize, x.round() as usize))
}

fn grows(sizes: Sizes) -> bool {
    let [h0, w0, h1, w1, _] = sizes;
    h1 > h0 || w1 > w0
}

fn area_u8(image: &[u8], sizes: Sizes) -> Vec<u8> {
    let [h0, w0, h1, w1, c] = sizes;
    let at = |y: usize, x: usize, k: usize| image[(y * w0 + x) * c + k];
    if (h0, w0) == (h1, w1) {
        return image.to_vec();
    }
    if grows(sizes) {
        let fixed = |f: f32| [1.0 - f, f].map(|w| (w * 2048.0).round_ties_even() as i32);
        let mut out = Vec::new();
        for y in 0..h1 {
            let (rows, fy) = taps(y, h0, h1, false);
            let b = fixed(fy);
            for x in 0..w1 {
                let (columns, fx) = taps(x, w0, w1, true);
                let a = fixed(fx);
                for k in 0..c {
                    let s = rows.map(|r| {
                        i32::from(at(r, columns[0], k)) * a[0]
                            + i32::from(at(r, columns[1], k)) * a[1]
                    });
                    let v = ((b[0] * (s[0] >> 4)) >> 16) + ((b[1] * (s[1] >> 4)) >> 16);
                    out.push(((v + 2) >> 2) as u8);
                }
            }
        }
        return out;
    }
    let Some((sy, sx)) = whole(sizes) else {
        let means = weighted(&|y, x, k| at(y, x, k).into(), sizes);
        return means.iter().map(|m| m.round_ties_even() as u8).collect();
    };
    let mut out = Vec::new();
    for y in 0..h1 {
        for x in 0..w1 {
            for k in 0..c {
                let cell = (0..sy * sx).map(|i| at(y * sy + i / sx, x * sx + i % sx, k));
                let sum: u64 = cell.map(u64::from).sum();
                out.push(match (sy, sx, c) {
                    (2, 2, 1 | 3 | 4) => ((sum + 2) >> 2) as u8,
                    _ => (sum as f32 * (1.0 / (sy * sx) as f32)).round_ties_even() as u8,
                });
            }
        }
    }
    out
}

fn area_f32(image: &[f32], sizes: Sizes) -> Vec<f32> {
    let [h0, w0, h1, w1, c] = sizes;
    let at = |y: usize, x: usize, k: usize| image[(y * w0 + x) * c + k];
    if (h0, w0) == (h1, w1) {
        return image.to_vec();
    }
    if grows(sizes) {
        let mut out = Vec::new();
        for y in 0..h1 {
            let (rows, fy) = taps(y, h0, h1, false);
            for x in 0..w1 {
                let (columns, fx) = taps(x, w0, w1, true);
                for k in 0..c {
                    let s =
                        rows.map(|r| at(r, columns[0], k) * (1.0 - fx) + at(r, columns[1], k) * fx);
                    out.push(s[0] * (1.0 - fy) + s[1] * fy);
                }
            }
        }
        return out;
    }
    let Some((sy, sx)) = whole(sizes) else {
        return weighted(&at, sizes);
    };
    let factor = 1.0 / (sy * sx) as f32;
    let mut out = Vec::new();
    for y in 0..h1 {
        for x in 0..w1 {
            for k in 0..c {
                let row = |j| (0..sx).fold(0.0f32, |sum, i| sum + at(y * sy + j, x * sx + i, k));
                out.push((0..sy).fold(0.0f32, |sum, j| sum + row(j)) * factor);
            }
        }
    }
    out
}

/// Sizes of every kind: tiny, shrinking a little and much, even, growing.
fn random_sizes(random: &mut Random, kind: usize) -> Sizes {
    let c = [1, 3, 4, 3, 2, 5, 8][random.range(0, 6)];
    let (h, w) = (random.range(1, 60), random.range(1, 90));
    let (h0, w0, h1, w1) = match kind % 5 {
        0 => (h, w, random.range(1, h), random.range(1, w)),
        1 => (
            h + 20,
            w + 20,
            random.range(h / 2 + 10, h + 20),
            random.range(w / 2 + 10, w + 20),
        ),
        2 => (h * random.range(1, 4), w * random.range(1, 5), h, w),
        3 => (h, w, random.range(1, 60), random.range(1, 90)),
        _ => (
            random.range(1, 8),
            random.range(1, 12),
            random.range(1, 8),
            random.range(1, 12),
        ),
    };
    [h0, w0, h1, w1, c]
}

// ---- tests ----------------------------------------------------------------

#[test]
fn bytes_are_those_of_opencv() {
    let text = include_str!("fixtures/image_area_u8.txt");
    let mut seen = 0;
    for words in lines(text) {
        let [seed, h0, w0, h1, w1, c, crc] = numbers::<7>(&words);
        let sizes = [h0, w0, h1, w1, c];
        seen += 1;
        if common::quick() && seed % 8 != 0 {
            continue;
        }
        let image = u8::noise(h0 * w0 * c, seed as u64);
        // The oracle first: where a kernel fails, it tells which of them is wrong.
        assert_eq!(
            crc32(&area_u8(&image, sizes)) as usize,
            crc,
            "oracle, {sizes:?}"
        );
        for isa in isas() {
            let got = run(&context(isa, 1), &image, sizes);
            assert_eq!(crc32(&got) as usize, crc, "{isa:?}, {sizes:?}");
        }
    }
    assert!(seen > 50);
}

#[test]
fn floats_are_those_of_opencv() {
    let text = include_str!("fixtures/image_area_f32.txt");
    let mut seen = 0;
    for words in lines(text) {
        let [seed, h0, w0, h1, w1, c] = numbers::<6>(&words);
        let sizes = [h0, w0, h1, w1, c];
        let image = f32::noise(h0 * w0 * c, seed as u64);
        let expected: Vec<f32> = words[6..].iter().map(|v| v.parse().unwrap()).collect();
        for isa in isas() {
            let got = run(&context(isa, 1), &image, sizes);
            assert_eq!(got.len(), expected.len());
            for (&a, &b) in got.iter().zip(&expected) {
                assert!(close(a, b, 1e-6), "{isa:?}, {sizes:?}: {a} for {b}");
            }
            if !grows(sizes) && whole(sizes).is_none() {
                assert_eq!(got, expected, "{isa:?}, {sizes:?}");
            }
        }
        seen += 1;
    }
    assert!(seen > 50);
}

#[test]
fn every_tier_equals_the_scalar_reference() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(11);
        for case in 0..cases(600) {
            let sizes = random_sizes(&mut random, case);
            let [h0, w0, .., c] = sizes;
            let image = u8::noise(h0 * w0 * c, case as u64);
            assert!(
                run(&ctx, &image, sizes) == area_u8(&image, sizes),
                "{isa:?}, {sizes:?}"
            );
            let image = f32::noise(h0 * w0 * c, case as u64);
            let (got, expected) = (run(&ctx, &image, sizes), area_f32(&image, sizes));
            if grows(sizes) {
                // Bilinear interpolation fuses where the tier does.
                let same = got.iter().zip(&expected).all(|(&a, &b)| close(a, b, 1e-6));
                assert!(same, "{isa:?}, {sizes:?}");
            } else {
                assert!(got == expected, "{isa:?}, {sizes:?}");
            }
        }
    }
}

#[test]
fn large_cells_sum_without_error() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for sizes in [
            [300, 300, 1, 1, 1],
            [2, 70_000, 1, 1, 1],
            [520, 260, 2, 1, 3],
            [260, 40, 1, 4, 6],
        ] {
            let [h0, w0, .., c] = sizes;
            let image = u8::noise(h0 * w0 * c, 3);
            assert_eq!(
                run(&ctx, &image, sizes),
                area_u8(&image, sizes),
                "{isa:?}, {sizes:?}"
            );
            let white = vec![255u8; h0 * w0 * c];
            assert!(
                run(&ctx, &white, sizes).iter().all(|&v| v == 255),
                "{isa:?}, {sizes:?}"
            );
        }
    }
}

#[test]
fn a_flat_image_stays_flat() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(21);
        for case in 0..cases(100) {
            let sizes = random_sizes(&mut random, case);
            let [h0, w0, .., c] = sizes;
            for value in [0u8, 1, 127, 254, 255] {
                let image = vec![value; h0 * w0 * c];
                assert!(
                    run(&ctx, &image, sizes).iter().all(|&v| v == value),
                    "{sizes:?} of {value}"
                );
            }
        }
    }
}

#[test]
fn the_same_bits_at_any_number_of_threads() {
    for isa in isas() {
        for sizes in [
            [271, 613, 160, 211, 3],
            [300, 400, 100, 200, 1],
            [199, 301, 23, 24, 4],
        ] {
            let [h0, w0, .., c] = sizes;
            let bytes = u8::noise(h0 * w0 * c, 5);
            let floats = f32::noise(h0 * w0 * c, 5);
            let one = context(isa, 1);
            let expected = (run(&one, &bytes, sizes), run(&one, &floats, sizes));
            for threads in [2, 7] {
                let ctx = context(isa, threads);
                let got = (run(&ctx, &bytes, sizes), run(&ctx, &floats, sizes));
                assert!(got == expected, "{isa:?}, {threads} threads, {sizes:?}");
            }
        }
    }
}

/// Rows of any distance, forwards and backwards, between pages that fault: no sample outside of
/// the image is read or written.
fn strided<T: Noise>(isa: omma::simd::Isa, sizes: Sizes, seed: u64, behind: bool) {
    let [h0, w0, h1, w1, c] = sizes;
    let ctx = context(isa, 1);
    let image = T::noise(h0 * w0 * c, seed);
    let expected = run(&ctx, &image, sizes);
    let pad = seed as usize % 5;
    let (from_stride, to_stride) = (w0 * c + pad, w1 * c + pad);
    let mut from = Guarded::<T>::new((h0 - 1) * from_stride + w0 * c, behind);
    for y in 0..h0 {
        let row = &image[(h0 - 1 - y) * w0 * c..][..w0 * c];
        from[y * from_stride..][..w0 * c].copy_from_slice(row);
    }
    let mut to = Guarded::<T>::new((h1 - 1) * to_stride + w1 * c, behind);
    let filler = T::noise(to.len(), seed + 1);
    to.copy_from_slice(&filler);
    let (channels, columns) = (1, c as isize);
    let source = View::strided(
        &from,
        (h0 - 1) * from_stride,
        &[h0, w0, c],
        &[-(from_stride as isize), columns, channels],
    );
    let shape = [h1, w1, c];
    let strides = [to_stride as isize, columns, channels];
    let target = ViewMut::strided(&mut to, 0, &shape, &strides).unwrap();
    resize(&ctx, &AREA, source.unwrap(), target).unwrap();
    for y in 0..h1 {
        let row = &to[y * to_stride..];
        assert!(
            row[..w1 * c] == expected[y * w1 * c..][..w1 * c],
            "{isa:?}, {sizes:?}, row {y}"
        );
        let gap = w1 * c..to_stride.min(row.len());
        assert!(
            row[gap.clone()] == filler[y * to_stride..][gap],
            "{isa:?}, {sizes:?}, row {y}"
        );
    }
}

#[test]
fn nothing_outside_of_the_views_is_touched() {
    for isa in isas() {
        let mut random = Random(31);
        for case in 0..cases(250) {
            let sizes = random_sizes(&mut random, case);
            strided::<u8>(isa, sizes, case as u64, case % 2 == 0);
            strided::<f32>(isa, sizes, case as u64, case % 2 == 0);
        }
    }
}

#[test]
fn nan_and_infinity_reach_the_pixels_whose_cells_they_are_in() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(41);
        for case in 0..cases(200) {
            let sizes = random_sizes(&mut random, [0, 1, 2][case % 3]);
            let [h0, w0, .., c] = sizes;
            let mut image = f32::noise(h0 * w0 * c, case as u64);
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                image[random.range(0, h0 * w0 * c - 1)] = value;
            }
            let (got, expected) = (run(&ctx, &image, sizes), area_f32(&image, sizes));
            for (i, (a, b)) in got.iter().zip(&expected).enumerate() {
                let same = a == b || (a.is_nan() && b.is_nan());
                assert!(same, "{isa:?}, {sizes:?}, {i}: {a} for {b}");
            }
        }
    }
}

#[test]
fn coordinates_other_than_its_own_are_refused() {
    let ctx = Context::serial().unwrap();
    let image = [0u8; 4];
    let mut out = [7u8];
    let options = Resize {
        coordinates: Coordinates::AlignCorners,
        ..AREA
    };
    let result = resize(
        ctx,
        &options,
        view(&image, &[2, 2]),
        view_mut(&mut out, &[1, 1]),
    );
    let error = result.unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    assert!(error.message().contains("coordinates"), "{error}");
    assert_eq!(out, [7]);
}
