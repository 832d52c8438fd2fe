//! `resize` against OpenCV and ONNX (fixtures) and against scalar code, on every tier.

mod common;
mod image_support;

use common::{Random, cases, context, isas};
use image_support::*;
use omma::error::Status;
use omma::image::{Coordinates, Interpolation, Resize, resize};
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

const LINEAR: Resize = Resize {
    interpolation: Interpolation::Linear,
    coordinates: Coordinates::Default,
    antialias: false,
};
const NEAREST: Resize = Resize {
    interpolation: Interpolation::Nearest,
    ..LINEAR
};
const COORDINATES: [Coordinates; 4] = [
    Coordinates::Default,
    Coordinates::HalfPixel,
    Coordinates::AlignCorners,
    Coordinates::Asymmetric,
];

fn run<T: Noise>(ctx: &Context, options: &Resize, image: &[T], sizes: [usize; 5]) -> Vec<T> {
    let [h0, w0, h1, w1, c] = sizes;
    let mut out = vec![T::default(); h1 * w1 * c];
    let from = view(image, &[h0, w0, c]);
    resize(ctx, options, from, view_mut(&mut out, &[h1, w1, c])).unwrap();
    out
}

// ---- the scalar reference ------------------------------------------------

fn position(coordinates: Coordinates, d: usize, source: usize, destination: usize) -> f64 {
    let d = d as f64;
    let scale = 1.0 / (destination as f64 / source as f64);
    match coordinates {
        Coordinates::Default | Coordinates::HalfPixel => (d + 0.5) * scale - 0.5,
        Coordinates::Asymmetric => d * scale,
        Coordinates::AlignCorners if destination == 1 => 0.0,
        Coordinates::AlignCorners => d * ((source - 1) as f64 / (destination - 1) as f64),
    }
}

/// Both samples and the weight of the second.
fn taps(
    coordinates: Coordinates,
    d: usize,
    sizes: (usize, usize),
    clamp_weight: bool,
) -> ([usize; 2], f32) {
    let x = position(coordinates, d, sizes.0, sizes.1) as f32;
    let last = sizes.0 as i64 - 1;
    let (mut at, mut f) = (x.floor() as i64, x - x.floor());
    if clamp_weight && at < 0 {
        (at, f) = (0, 0.0);
    }
    if clamp_weight && at >= last {
        (at, f) = (last, 0.0);
    }
    ([at, at + 1].map(|i| i.clamp(0, last) as usize), f)
}

fn linear_u8(coordinates: Coordinates, image: &[u8], sizes: [usize; 5]) -> Vec<u8> {
    let [h0, w0, h1, w1, c] = sizes;
    if (h0, w0) == (h1, w1) {
        return image.to_vec();
    }
    let at = |y: usize, x: usize, k: usize| i32::from(image[(y * w0 + x) * c + k]);
    let half_pixel = matches!(coordinates, Coordinates::Default | Coordinates::HalfPixel);
    let halves = half_pixel && h0 == 2 * h1 && w0 == 2 * w1;
    let fixed = |f: f32| [1.0 - f, f].map(|w| (w * 2048.0).round_ties_even() as i32);
    let mut out = Vec::new();
    for y in 0..h1 {
        let (rows, f) = taps(coordinates, y, (h0, h1), false);
        let b = fixed(f);
        for x in 0..w1 {
            let (columns, f) = taps(coordinates, x, (w0, w1), true);
            let a = fixed(f);
            for k in 0..c {
                if halves {
                    let sum: i32 = [(0, 0), (0, 1), (1, 0), (1, 1)]
                        .map(|(i, j)| at(2 * y + i, 2 * x + j, k))
                        .iter()
                        .sum();
                    out.push(match c {
                        1 | 3 | 4 => (sum + 2) >> 2,
                        _ => (f64::from(sum) / 4.0).round_ties_even() as i32,
                    } as u8);
                    continue;
                }
                let s = rows.map(|r| at(r, columns[0], k) * a[0] + at(r, columns[1], k) * a[1]);
                let v = ((b[0] * (s[0] >> 4)) >> 16) + ((b[1] * (s[1] >> 4)) >> 16);
                out.push(((v + 2) >> 2) as u8);
            }
        }
    }
    out
}

fn linear_f64(coordinates: Coordinates, image: &[f32], sizes: [usize; 5]) -> Vec<f32> {
    let [h0, w0, h1, w1, c] = sizes;
    let at = |y: usize, x: usize, k: usize| f64::from(image[(y * w0 + x) * c + k]);
    let mut out = Vec::new();
    for y in 0..h1 {
        let (rows, g) = taps(coordinates, y, (h0, h1), false);
        for x in 0..w1 {
            let (columns, f) = taps(coordinates, x, (w0, w1), true);
            for k in 0..c {
                let f = f64::from(f);
                let s = rows.map(|r| at(r, columns[0], k) * (1.0 - f) + at(r, columns[1], k) * f);
                out.push((s[0] * (1.0 - f64::from(g)) + s[1] * f64::from(g)) as f32);
            }
        }
    }
    out
}

fn nearest<T: Noise>(coordinates: Coordinates, image: &[T], sizes: [usize; 5]) -> Vec<T> {
    let [h0, w0, h1, w1, c] = sizes;
    let index = |d: usize, from: usize, to: usize| -> usize {
        let i = match coordinates {
            Coordinates::HalfPixel => (2 * d + 1) * from / (2 * to),
            Coordinates::AlignCorners if to == 1 => 0,
            Coordinates::AlignCorners => (2 * d * (from - 1) + to - 1) / (2 * (to - 1)),
            _ => (d as f64 * (1.0 / (to as f64 / from as f64))).floor() as usize,
        };
        i.min(from - 1)
    };
    let mut out = Vec::new();
    for y in 0..h1 {
        for x in 0..w1 {
            let at = (index(y, h0, h1) * w0 + index(x, w0, w1)) * c;
            out.extend_from_slice(&image[at..at + c]);
        }
    }
    out
}

/// Sizes that hurt.
fn sizes(random: &mut Random) -> [usize; 5] {
    let largest = if common::quick() { 90 } else { 300 };
    let big = [9, 40, 130.min(largest), largest][random.range(0, 3)];
    let [mut h0, mut w0, mut h1, mut w1] = [0; 4].map(|_: usize| random.range(1, big));
    match random.range(0, 11) {
        0 => (h1, w1) = (2 * h0, 2 * w0),
        1 => (h0, w0) = (2 * h1, 2 * w1),
        2 => (h0, w0) = (3 * h1, 3 * w1),
        3 => h0 = 1,
        4 => w0 = 1,
        5 => w0 = w1 * random.range(4, 20),
        6 => h0 = 2 * h1,
        7 => (h0, w0) = (h1, w1),
        _ => {}
    }
    [h0, w0, h1, w1, random.range(1, 6)]
}

// ---- fixtures -------------------------------------------------------------

#[test]
fn bytes_have_the_bits_of_opencv() {
    let fixture = include_str!("fixtures/image_opencv.txt");
    for isa in isas() {
        let ctx = context(isa, 1);
        let step = if common::quick() { 23 } else { 1 };
        let mut compared = 0;
        for words in lines(fixture).step_by(step) {
            let [h0, w0, h1, w1, c, seed, linear, nearest] = numbers(&words);
            let image = u8::noise(h0 * w0 * c, seed as u64);
            let sizes = [h0, w0, h1, w1, c];
            let got = crc32(&run(&ctx, &LINEAR, &image, sizes)) as usize;
            assert_eq!(got, linear, "linear {sizes:?} on {}", isa.tier().name());
            let got = crc32(&run(&ctx, &NEAREST, &image, sizes)) as usize;
            assert_eq!(got, nearest, "nearest {sizes:?} on {}", isa.tier().name());
            compared += 1;
        }
        assert!(compared * step >= 600);
    }
}

#[test]
fn floats_are_those_of_opencv() {
    let fixture = include_str!("fixtures/image_floats.txt");
    for isa in isas() {
        let ctx = context(isa, 1);
        for words in lines(fixture) {
            let [h0, w0, h1, w1, c, seed] = numbers(&words);
            let image = f32::noise(h0 * w0 * c, seed as u64);
            let got = run(&ctx, &LINEAR, &image, [h0, w0, h1, w1, c]);
            let expected: Vec<f32> = words[6..].iter().map(|w| w.parse().unwrap()).collect();
            assert_eq!(got.len(), expected.len());
            for (a, b) in got.iter().zip(expected) {
                assert!(close(*a, b, 2e-7), "{words:?}: {a} is not {b}");
            }
        }
    }
}

#[test]
fn coordinates_are_those_of_onnx() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for words in lines(include_str!("fixtures/image_onnx.txt")) {
            let options = Resize {
                interpolation: match words[0] {
                    "linear" => Interpolation::Linear,
                    _ => Interpolation::Nearest,
                },
                coordinates: match words[1] {
                    "half_pixel" => Coordinates::HalfPixel,
                    "align_corners" => Coordinates::AlignCorners,
                    _ => Coordinates::Asymmetric,
                },
                antialias: false,
            };
            let [h0, w0, h1, w1, seed] = numbers(&words[2..]);
            let image = f32::noise(h0 * w0, seed as u64);
            let got = run(&ctx, &options, &image, [h0, w0, h1, w1, 1]);
            for (a, b) in got.iter().zip(&words[7..]) {
                assert!(close(*a, b.parse().unwrap(), 3e-7), "{words:?}: {got:?}");
            }
        }
    }
}

// ---- every tier against scalar code ---------------------------------------

#[test]
fn every_tier_agrees_with_scalar_code() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(11);
        for case in 0..cases(500) {
            let sizes = sizes(&mut random);
            let [h0, w0, _, _, c] = sizes;
            for coordinates in COORDINATES {
                let what = format!("{sizes:?} {coordinates:?} {}", isa.tier().name());
                let linear = Resize {
                    coordinates,
                    ..LINEAR
                };
                let bytes = u8::noise(h0 * w0 * c, case as u64);
                let got = run(&ctx, &linear, &bytes, sizes);
                assert!(got == linear_u8(coordinates, &bytes, sizes), "{what}");
                let floats = f32::noise(h0 * w0 * c, case as u64);
                let got = run(&ctx, &linear, &floats, sizes);
                for (a, b) in got.iter().zip(linear_f64(coordinates, &floats, sizes)) {
                    assert!(close(*a, b, 3e-7), "{what}: {a} is not {b}");
                }
                let near = Resize {
                    coordinates,
                    ..NEAREST
                };
                let got = run(&ctx, &near, &bytes, sizes);
                assert!(got == nearest(coordinates, &bytes, sizes), "{what}");
                let got = run(&ctx, &near, &floats, sizes);
                assert!(got == nearest(coordinates, &floats, sizes), "{what}");
            }
        }
    }
}

#[test]
fn extreme_bytes_do_not_overflow() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for value in [0, 1, 127, 254, 255] {
            for sizes in [
                [37, 41, 90, 100, 3],
                [100, 90, 41, 37, 1],
                [64, 64, 32, 32, 2],
            ] {
                let image = vec![value; sizes[0] * sizes[1] * sizes[4]];
                let got = run(&ctx, &LINEAR, &image, sizes);
                assert!(
                    got == linear_u8(Coordinates::Default, &image, sizes),
                    "{value} {sizes:?}"
                );
            }
        }
    }
}

/// NaN and infinity reach every sample that they are a tap of, and no other.
#[test]
fn nan_and_infinity_stay_where_they_belong() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for c in 1..=5 {
            let (h0, w0, h1, w1) = (12, 19, 17, 31);
            let mut image = f32::noise(h0 * w0 * c, 3);
            image[(5 * w0 + 7) * c] = f32::NAN;
            image[(9 * w0 + 18) * c + c - 1] = f32::INFINITY;
            let got = run(&ctx, &LINEAR, &image, [h0, w0, h1, w1, c]);
            let expected = linear_f64(Coordinates::Default, &image, [h0, w0, h1, w1, c]);
            let mut bad = 0;
            for (a, b) in got.iter().zip(expected) {
                assert_eq!(a.is_finite(), b.is_finite(), "{c} channels");
                bad += usize::from(!a.is_finite());
            }
            assert!(bad > 4);
        }
    }
}

// ---- memory and threads ---------------------------------------------------

fn same_bits_at_any_thread_count<T: Noise>(options: &Resize) {
    for isa in isas() {
        for sizes in [
            [300, 200, 411, 517, 3],
            [500, 700, 97, 211, 1],
            [400, 600, 200, 300, 4],
        ] {
            let image = T::noise(sizes[0] * sizes[1] * sizes[4], 5);
            let one = run(&context(isa, 1), options, &image, sizes);
            for threads in [2, 7] {
                let more = run(&context(isa, threads), options, &image, sizes);
                assert!(
                    T::bytes(&one) == T::bytes(&more),
                    "{threads} threads, {sizes:?}"
                );
            }
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for options in [LINEAR, NEAREST] {
        same_bits_at_any_thread_count::<u8>(&options);
        same_bits_at_any_thread_count::<f32>(&options);
    }
}

fn touches_nothing_else<T: Noise>(options: &Resize) {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(21);
        for case in 0..cases(120) {
            let [h0, w0, h1, w1, c] = sizes(&mut random);
            let sizes = [h0, w0, h1, w1, c];
            let data = T::noise(h0 * w0 * c, case as u64);
            let expected = run(&ctx, options, &data, sizes);
            for behind in [true, false] {
                let mut image = Guarded::<T>::new(data.len(), behind);
                image.copy_from_slice(&data);
                let mut out = Guarded::<T>::new(expected.len(), behind);
                let to = view_mut(&mut out, &[h1, w1, c]);
                resize(&ctx, options, view(&image, &[h0, w0, c]), to).unwrap();
                assert!(out[..] == expected[..], "{sizes:?}");
            }
        }
    }
}

#[test]
fn no_byte_outside_is_touched() {
    for options in [LINEAR, NEAREST] {
        touches_nothing_else::<u8>(&options);
        touches_nothing_else::<f32>(&options);
    }
}

/// Regions of interest, flips and every second sample: the result of a compact copy,
/// and in the output not one sample beside the view.
fn strides_do_not_matter<T: Noise>(options: &Resize) {
    for isa in isas() {
        let ctx = context(isa, 2);
        let mut random = Random(31);
        for case in 0..cases(60) {
            let [h0, w0, h1, w1, c] = sizes(&mut random);
            let data = T::noise(h0 * w0 * c, case as u64);
            let expected = run(&ctx, options, &data, [h0, w0, h1, w1, c]);
            for layout in 0..4 {
                let what = format!("{:?} layout {layout}", [h0, w0, h1, w1, c]);
                let lay = |h: usize, w: usize| -> (usize, usize, [isize; 3]) {
                    let (row, gap) = ((w * c + 5) as isize, c as isize);
                    match layout {
                        // A region of a larger image.
                        0 => (h * (w * c + 5) + 3, 3, [row, gap, 1]),
                        // Upside down.
                        1 => (h * (w * c + 5), (h - 1) * (w * c + 5), [-row, gap, 1]),
                        // Mirrored.
                        2 => (h * w * c, (w - 1) * c, [(w * c) as isize, -gap, 1]),
                        // Every second sample.
                        _ => (2 * h * w * c, 0, [(2 * w * c) as isize, 2 * gap, 2]),
                    }
                };
                let (len, offset, strides) = lay(h0, w0);
                let mut memory = T::noise(len, 99);
                let mut wide =
                    ViewMut::strided(&mut memory, offset, &[h0, w0, c], &strides).unwrap();
                wide.copy_from_slice(&data);
                let image = View::strided(&memory, offset, &[h0, w0, c], &strides).unwrap();
                let (len, offset, strides) = lay(h1, w1);
                let before = T::noise(len, 77);
                let mut after = before.clone();
                let out = ViewMut::strided(&mut after, offset, &[h1, w1, c], &strides).unwrap();
                resize(&ctx, options, image, out).unwrap();
                let mut model = before;
                ViewMut::strided(&mut model, offset, &[h1, w1, c], &strides)
                    .unwrap()
                    .copy_from_slice(&expected);
                assert!(model == after, "{what}");
            }
        }
    }
}

#[test]
fn any_strides() {
    for options in [LINEAR, NEAREST] {
        strides_do_not_matter::<u8>(&options);
        strides_do_not_matter::<f32>(&options);
    }
}

// ---- errors ---------------------------------------------------------------

#[test]
fn images_without_channels_axis() {
    let ctx = context(isas()[0], 1);
    let image = u8::noise(20 * 30, 1);
    let expected = run(&ctx, &LINEAR, &image, [20, 30, 15, 7, 1]);
    let mut out = vec![0; 15 * 7];
    resize(
        &ctx,
        &LINEAR,
        view(&image, &[20, 30]),
        view_mut(&mut out, &[15, 7]),
    )
    .unwrap();
    assert_eq!(out, expected);
}

#[test]
fn errors_say_what_is_wrong() {
    let ctx = context(isas()[0], 1);
    let image = [7u8; 24];
    let mut out = [9u8; 24];
    let mut fails = |options: &Resize, from: &[usize], to: &[usize], status, words: &str| {
        let from_len = from.iter().product();
        let to_len: usize = to.iter().product();
        let image = view(&image[..from_len], from);
        let error = resize(&ctx, options, image, view_mut(&mut out[..to_len], to)).unwrap_err();
        assert_eq!(error.status(), status, "{error}");
        assert!(error.message().contains(words), "{error}");
        assert!(out.iter().all(|&v| v == 9));
    };
    let area = Resize {
        interpolation: Interpolation::Area,
        coordinates: Coordinates::AlignCorners,
        ..LINEAR
    };
    let antialias = Resize {
        antialias: true,
        ..NEAREST
    };
    fails(
        &area,
        &[2, 3, 4],
        &[1, 3, 4],
        Status::InvalidArgument,
        "area",
    );
    fails(
        &antialias,
        &[2, 3, 4],
        &[1, 3, 4],
        Status::InvalidArgument,
        "antialias is for interpolation linear and cubic",
    );
    fails(
        &LINEAR,
        &[2, 3, 4],
        &[2, 2, 3],
        Status::ShapeMismatch,
        "output has 3 channels, image has 4",
    );
    fails(
        &LINEAR,
        &[24],
        &[2, 2, 3],
        Status::ShapeMismatch,
        "image has 1 dimensions",
    );
    fails(
        &LINEAR,
        &[2, 3, 4],
        &[1, 2, 3, 4],
        Status::ShapeMismatch,
        "output has 4 dimensions",
    );
    fails(
        &LINEAR,
        &[0, 3, 4],
        &[1, 2, 4],
        Status::InvalidArgument,
        "no pixels",
    );
    fails(
        &NEAREST,
        &[2, 0, 4],
        &[1, 2, 4],
        Status::InvalidArgument,
        "no pixels",
    );
    // Nothing to make is fine.
    resize(
        &ctx,
        &LINEAR,
        view(&image[..0], &[0, 3, 4]),
        view_mut(&mut out[..0], &[5, 0, 4]),
    )
    .unwrap();
}
