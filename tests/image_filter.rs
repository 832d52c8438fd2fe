//! Bicubic and antialiased `resize` against OpenCV and torch (fixtures) and against sums in `f64`, on every tier.

mod common;
mod image_support;

use common::{Random, cases, context, isas, quick};
use image_support::*;
use omma::error::Status;
use omma::image::{Coordinates, ImageToTensor, Interpolation, Resize, image_to_tensor, resize};
use omma::runtime::Context;

const CUBIC: Resize = Resize {
    interpolation: Interpolation::Cubic,
    coordinates: Coordinates::Default,
    antialias: false,
};
const WIDE_CUBIC: Resize = Resize {
    antialias: true,
    ..CUBIC
};
const WIDE_LINEAR: Resize = Resize {
    interpolation: Interpolation::Linear,
    ..WIDE_CUBIC
};

fn run<T: Noise>(ctx: &Context, options: &Resize, image: &[T], sizes: [usize; 5]) -> Vec<T> {
    let [h0, w0, h1, w1, c] = sizes;
    let mut out = vec![T::default(); h1 * w1 * c];
    let to = view_mut(&mut out, &[h1, w1, c]);
    resize(ctx, options, view(image, &[h0, w0, c]), to).unwrap();
    out
}

// ---- the scalar reference ------------------------------------------------

/// Samples and weights of one destination sample.
fn taps(options: &Resize, d: usize, source: usize, destination: usize) -> Vec<(usize, f64)> {
    let scale = match options.coordinates {
        Coordinates::AlignCorners if destination == 1 => 0.0,
        Coordinates::AlignCorners => (source - 1) as f64 / (destination - 1) as f64,
        _ => source as f64 / destination as f64,
    };
    let x = match options.coordinates {
        Coordinates::Default | Coordinates::HalfPixel => (d as f64 + 0.5) * scale - 0.5,
        _ => d as f64 * scale,
    };
    let (a, width) = match (options.interpolation, options.antialias) {
        (Interpolation::Linear, _) => (f64::NAN, 1.0),
        (_, true) => (-0.5, 2.0),
        (_, false) => (-0.75, 2.0),
    };
    let stretch = if options.antialias {
        scale.max(1.0)
    } else {
        1.0
    };
    let weight = |i: i64| {
        let t = ((i as f64 - x) / stretch).abs();
        match () {
            _ if a.is_nan() => (1.0 - t).max(0.0),
            _ if t < 1.0 => ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0,
            _ if t < 2.0 => ((t - 5.0) * t + 8.0) * t * a - 4.0 * a,
            _ => 0.0,
        }
    };
    let reach = width * stretch;
    let all = (x - reach).floor() as i64 - 1..=(x + reach).ceil() as i64 + 1;
    let last = source as i64 - 1;
    if !options.antialias {
        return all
            .map(|i| (i.clamp(0, last) as usize, weight(i)))
            .collect();
    }
    let inside: Vec<i64> = all.filter(|i| (0..=last).contains(i)).collect();
    let sum: f64 = inside.iter().map(|&i| weight(i)).sum();
    if sum == 0.0 {
        // Only where a position lies beyond the image by as much as the kernel reaches.
        return vec![(x.round().clamp(0.0, last as f64) as usize, 1.0)];
    }
    inside
        .iter()
        .map(|&i| (i as usize, weight(i) / sum))
        .collect()
}

fn oracle(options: &Resize, image: &[f64], sizes: [usize; 5], bytes: bool) -> Vec<f64> {
    let [h0, w0, h1, w1, c] = sizes;
    let round = |v: f64| (v + 0.5).floor().clamp(0.0, 255.0);
    let mut between = vec![0.0; h0 * w1 * c];
    for x in 0..w1 {
        let taps = taps(options, x, w0, w1);
        for y in 0..h0 {
            for k in 0..c {
                let sum: f64 = taps
                    .iter()
                    .map(|&(at, w)| image[(y * w0 + at) * c + k] * w)
                    .sum();
                between[(y * w1 + x) * c + k] = if bytes && options.antialias {
                    round(sum)
                } else {
                    sum
                };
            }
        }
    }
    let mut out = Vec::with_capacity(h1 * w1 * c);
    for y in 0..h1 {
        let taps = taps(options, y, h0, h1);
        for i in 0..w1 * c {
            let sum: f64 = taps
                .iter()
                .map(|&(at, w)| between[at * w1 * c + i] * w)
                .sum();
            out.push(if bytes { sum.clamp(0.0, 255.0) } else { sum });
        }
    }
    out
}

/// Weights follow positions, which have the precision of `f32` in OpenCV and torch.
fn tolerance(sizes: [usize; 5]) -> f64 {
    2e-5 + 1.5e-7 * sizes[0].max(sizes[1]) as f64
}

fn sizes(random: &mut Random) -> [usize; 5] {
    let big = [6, 20, 60, 140][random.range(0, 3)];
    let [mut h0, mut w0, mut h1, mut w1] = [0; 4].map(|_: usize| random.range(1, big));
    match random.range(0, 7) {
        0 => (h1, w1) = (2 * h0, 2 * w0),
        1 => (h0, w0) = (3 * h1, 3 * w1),
        2 => h0 = 1,
        3 => w0 = 1,
        4 => w0 = w1 * random.range(4, 12),
        5 => w1 = w0,
        6 => h1 = 1,
        _ => {}
    }
    if (h0, w0) == (h1, w1) {
        h1 += 1;
    }
    [h0, w0, h1, w1, random.range(1, 5)]
}

#[test]
fn random_sizes_match_the_oracle() {
    let random = &mut Random(31);
    let ctxs: Vec<Context> = isas().into_iter().map(|isa| context(isa, 1)).collect();
    for case in 0..cases(150) {
        let sizes = sizes(random);
        let [h0, w0, _, _, c] = sizes;
        let coordinates = [
            Coordinates::Default,
            Coordinates::HalfPixel,
            Coordinates::AlignCorners,
            Coordinates::Asymmetric,
        ][random.range(0, 3)];
        let mut bytes = u8::noise(h0 * w0 * c, case as u64);
        if case % 3 == 0 {
            // Extremes overshoot.
            bytes
                .iter_mut()
                .for_each(|v| *v = if *v < 128 { 0 } else { 255 });
        }
        let floats = f32::noise(h0 * w0 * c, case as u64);
        for options in [CUBIC, WIDE_CUBIC, WIDE_LINEAR] {
            let options = Resize {
                coordinates,
                ..options
            };
            let what = format!("{options:?} {sizes:?}");
            let wide: Vec<f64> = bytes.iter().map(|&v| v.into()).collect();
            let expected = oracle(&options, &wide, sizes, true);
            let wide: Vec<f64> = floats.iter().map(|&v| v.into()).collect();
            let expected_floats = oracle(&options, &wide, sizes, false);
            let mut bits: Option<Vec<u8>> = None;
            for ctx in &ctxs {
                let got = run(ctx, &options, &bytes, sizes);
                for (i, (&a, &b)) in got.iter().zip(&expected).enumerate() {
                    // A tie between the axes may fall either way.
                    assert!(
                        (f64::from(a) - b).abs() <= 1.5,
                        "{what}: {a} is not {b} at {i}"
                    );
                }
                if let Some(bits) = &bits {
                    assert_eq!(&got, bits, "{what}: tiers differ");
                }
                bits = Some(got);
                let got = run(ctx, &options, &floats, sizes);
                for (i, (&a, &b)) in got.iter().zip(&expected_floats).enumerate() {
                    assert!(
                        (f64::from(a) - b).abs() <= tolerance(sizes),
                        "{what}: {a} is not {b} at {i}"
                    );
                }
            }
        }
    }
}

#[test]
fn samples_are_those_of_opencv_and_torch() {
    let fixture = include_str!("fixtures/image_filter.txt");
    let step = if common::quick() { 17 } else { 1 };
    let (mut off, mut all) = (0, 0);
    for isa in isas() {
        let ctx = context(isa, 1);
        for words in lines(fixture).step_by(step) {
            let [h0, w0, h1, w1, c, seed] = numbers(&words[2..]);
            let sizes = [h0, w0, h1, w1, c];
            let options = match words[0] {
                "cubic" => CUBIC,
                "cubic_corners" => Resize {
                    coordinates: Coordinates::AlignCorners,
                    ..CUBIC
                },
                "cubic_antialias" => WIDE_CUBIC,
                _ => WIDE_LINEAR,
            };
            let what = format!(
                "{} {} {sizes:?} on {}",
                words[0],
                words[1],
                isa.tier().name()
            );
            let samples = words[8..].iter().map(|word| {
                let (at, value) = word.split_once(':').unwrap();
                (at.parse::<usize>().unwrap(), value.parse::<f32>().unwrap())
            });
            if words[1] == "u8" {
                let got = run(&ctx, &options, &u8::noise(h0 * w0 * c, seed as u64), sizes);
                for (at, value) in samples {
                    let apart = (f32::from(got[at]) - value).abs();
                    assert!(apart <= 1.0, "{what}: {} is not {value} at {at}", got[at]);
                    off += usize::from(apart > 0.0);
                    all += 1;
                }
            } else {
                let got = run(&ctx, &options, &f32::noise(h0 * w0 * c, seed as u64), sizes);
                for (at, value) in samples {
                    assert!(
                        close(got[at], value, tolerance(sizes) as f32),
                        "{what}: {} is not {value} at {at}",
                        got[at]
                    );
                }
            }
        }
    }
    // One grey level is the exception.
    assert!(off * 20 < all, "{off} of {all} bytes differ");
}

#[test]
fn constant_images_stay() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for sizes in [[40, 700, 3, 2, 1], [9, 5, 31, 33, 3], [64, 64, 63, 65, 4]] {
            let [h0, w0, _, _, c] = sizes;
            for options in [CUBIC, WIDE_CUBIC, WIDE_LINEAR] {
                for value in [0u8, 1, 254, 255] {
                    let got = run(&ctx, &options, &vec![value; h0 * w0 * c], sizes);
                    assert!(
                        got.iter().all(|&v| v == value),
                        "{options:?} {sizes:?} {value}"
                    );
                }
            }
        }
    }
}

#[test]
fn nothing_outside_of_a_region_is_read_or_written() {
    fn region<T: Noise>() {
        for isa in isas() {
            let ctx = context(isa, 1);
            for c in [1, 2, 3, 4, 5] {
                for [h0, w0, h1, w1] in [
                    [3, 1, 5, 9],
                    [5, 7, 3, 2],
                    [4, 37, 7, 19],
                    [2, 16, 3, 33],
                    [30, 90, 3, 7],
                ] {
                    for behind in [true, false] {
                        for options in [CUBIC, WIDE_CUBIC, WIDE_LINEAR] {
                            let image = T::noise(h0 * w0 * c, 3);
                            let mut from = Guarded::<T>::new(h0 * w0 * c, behind);
                            from.copy_from_slice(&image);
                            let mut to = Guarded::<T>::new(h1 * w1 * c, behind);
                            let out = view_mut(&mut to, &[h1, w1, c]);
                            resize(&ctx, &options, view(&from, &[h0, w0, c]), out).unwrap();
                            assert_eq!(
                                to[..],
                                run(&ctx, &options, &image, [h0, w0, h1, w1, c])[..]
                            );
                        }
                    }
                }
            }
        }
    }
    region::<u8>();
    region::<f32>();
}

#[test]
fn threads_do_not_matter() {
    let isa = *isas().last().unwrap();
    let sizes = [200, 310, 97, 151, 3];
    for options in [CUBIC, WIDE_CUBIC, WIDE_LINEAR] {
        let bytes = u8::noise(200 * 310 * 3, 1);
        let floats = f32::noise(200 * 310 * 3, 1);
        let one = context(isa, 1);
        let three = context(isa, 3);
        assert_eq!(
            run(&one, &options, &bytes, sizes),
            run(&three, &options, &bytes, sizes)
        );
        assert_eq!(
            run(&one, &options, &floats, sizes),
            run(&three, &options, &floats, sizes)
        );
    }
}

#[test]
fn tensors_take_the_same_filters() {
    let ctx = context(*isas().last().unwrap(), 1);
    let (h0, w0, side) = (90, 120, 48);
    let image = u8::noise(h0 * w0 * 3, 4);
    for options in [CUBIC, WIDE_CUBIC, WIDE_LINEAR] {
        let resized = run(&ctx, &options, &image, [h0, w0, side, side, 3]);
        let tensor = ImageToTensor {
            interpolation: options.interpolation,
            antialias: options.antialias,
            ..ImageToTensor::default()
        };
        let mut out = vec![0f32; 3 * side * side];
        let to = view_mut(&mut out, &[3, side, side]);
        image_to_tensor(&ctx, &tensor, view(&image, &[h0, w0, 3]), to).unwrap();
        for (i, &v) in resized.iter().enumerate() {
            assert!(close(
                out[i % 3 * side * side + i / 3],
                f32::from(v) / 255.0,
                1e-6
            ));
        }
    }
}

#[test]
fn antialias_is_for_linear_and_cubic() {
    let ctx = context(isas()[0], 1);
    for interpolation in [Interpolation::Nearest, Interpolation::Area] {
        let options = Resize {
            interpolation,
            ..WIDE_CUBIC
        };
        let error = resize(
            &ctx,
            &options,
            view(&[0u8; 4], &[2, 2]),
            view_mut(&mut [0u8; 1], &[1, 1]),
        )
        .unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(
            error.message().contains("antialias is for"),
            "{}",
            error.message()
        );
    }
}

/// Outputs that no cache holds take other stores, in rows that begin anywhere: source rows that are all the same make destination
/// rows that are all the same.
#[test]
fn large_outputs_are_those_of_small_ones() {
    let linear = Resize {
        antialias: false,
        ..WIDE_LINEAR
    };
    let (h0, w0, w1) = (9, 61, 1021);
    for isa in isas() {
        let ctx = context(isa, 1);
        for channels in if quick() { 3..=3 } else { 1..=4 } {
            let line = f32::noise(w0 * channels, 3);
            let image = line.repeat(h0);
            // Above 10 MiB.
            let h1 = (5 << 19) / (w1 * channels) + 2;
            for options in [linear, CUBIC] {
                let small = run(&ctx, &options, &image, [h0, w0, 1, w1, channels]);
                let mut out = Guarded::<f32>::new(h1 * w1 * channels, true);
                let to = view_mut(&mut out, &[h1, w1, channels]);
                resize(&ctx, &options, view(&image, &[h0, w0, channels]), to).unwrap();
                for (y, row) in out.chunks_exact(small.len()).enumerate() {
                    let same = row.iter().zip(&small).all(|(&a, &b)| close(a, b, 1e-4));
                    assert!(same, "{isa:?} {options:?}, {channels} channels, row {y}");
                }
            }
        }
    }
}
