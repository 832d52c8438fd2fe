//! `image_to_tensor` and `letterbox` against the recipe with OpenCV (fixture) and against `resize`.

mod common;
mod image_support;

use common::{Random, cases, context, isas, quick};
use image_support::*;
use omma::error::Status;
use omma::image::{
    Coordinates, ImageToTensor, Interpolation, Layout, Resize, image_to_tensor, letterbox, resize,
};
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

const MEAN: [f32; 4] = [0.485, 0.456, 0.406, 0.5];
const STD: [f32; 4] = [0.229, 0.224, 0.225, 0.25];

fn imagenet() -> ImageToTensor {
    ImageToTensor {
        mean: MEAN,
        std: STD,
        ..ImageToTensor::default()
    }
}

/// Step by step, by the definition, with arithmetic in f64: (C, H, W) or (H, W, C).
fn reference<T: Noise>(
    ctx: &Context,
    options: &ImageToTensor,
    image: &[T],
    (h0, w0, c): (usize, usize, usize),
    (h1, w1): (usize, usize),
) -> Vec<f32> {
    let (top, left, h, w) = match options.letterbox {
        true => {
            let place = letterbox((h0, w0), (h1, w1)).unwrap();
            (place.top, place.left, place.height, place.width)
        }
        false => (0, 0, h1, w1),
    };
    let mut resized = vec![T::default(); h * w * c];
    let how = Resize {
        interpolation: options.interpolation,
        coordinates: options.coordinates,
        antialias: options.antialias,
    };
    let to = view_mut(&mut resized, &[h, w, c]);
    resize(ctx, &how, view(image, &[h0, w0, c]), to).unwrap();
    let default_scale = if size_of::<T>() == 1 {
        1.0 / 255.0
    } else {
        1.0
    };
    let scale = options.scale.map_or(default_scale, f64::from);
    let mut out = vec![0.0; h1 * w1 * c];
    for y in 0..h1 {
        for x in 0..w1 {
            for k in 0..c {
                let from = if options.swap_rb && k < 3 { 2 - k } else { k };
                let inside = (top..top + h).contains(&y) && (left..left + w).contains(&x);
                let sample: f64 = match inside {
                    true => resized[((y - top) * w + x - left) * c + from].into(),
                    false => options.pad_value.into(),
                };
                let v = (sample * scale - f64::from(options.mean[k])) / f64::from(options.std[k]);
                let at = match options.layout {
                    Layout::Chw => (k * h1 + y) * w1 + x,
                    Layout::Hwc => (y * w1 + x) * c + k,
                };
                out[at] = v as f32;
            }
        }
    }
    out
}

fn shape(layout: Layout, h: usize, w: usize, c: usize) -> [usize; 3] {
    match layout {
        Layout::Chw => [c, h, w],
        Layout::Hwc => [h, w, c],
    }
}

fn assert_close(got: &[f32], expected: &[f32], what: &str) {
    assert_eq!(got.len(), expected.len());
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        // Two roundings of gain and offset, one of the sum.
        assert!(
            close(*a, *b, 1e-6 * b.abs().max(2.0)),
            "{what}: [{i}] {a} is not {b}"
        );
    }
}

#[test]
fn the_recipe_with_opencv() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let options = ImageToTensor {
            swap_rb: true,
            letterbox: true,
            ..imagenet()
        };
        let mut compared = 0;
        for words in lines(include_str!("fixtures/image_tensors.txt")) {
            let [h0, w0, side, seed, top, left, h, w] = numbers(&words);
            let image = u8::noise(h0 * w0 * 3, seed as u64);
            let mut out = vec![0.0; 3 * side * side];
            let to = view_mut(&mut out, &[3, side, side]);
            let place = image_to_tensor(&ctx, &options, view(&image, &[h0, w0, 3]), to).unwrap();
            assert_eq!(
                (place.top, place.left, place.height, place.width),
                (top, left, h, w)
            );
            for word in &words[8..] {
                let (at, value) = word.split_once(':').unwrap();
                let (at, value): (usize, f32) = (at.parse().unwrap(), value.parse().unwrap());
                assert!(
                    close(out[at], value, 2e-6),
                    "{words:?}: [{at}] is {}",
                    out[at]
                );
                compared += 1;
            }
        }
        assert!(compared > 200);
    }
}

fn random_options(random: &mut Random, c: usize) -> ImageToTensor {
    let interpolation = [
        Interpolation::Linear,
        Interpolation::Cubic,
        Interpolation::Area,
    ][random.range(0, 2)];
    ImageToTensor {
        interpolation,
        scale: [None, Some(1.0), Some(0.5)][random.range(0, 2)],
        mean: [0.0, 127.5, 3.0, -1.0],
        std: [1.0, 128.0, -2.0, 0.25],
        swap_rb: c >= 3 && random.range(0, 1) == 0,
        letterbox: random.range(0, 1) == 0,
        pad_value: 7.25,
        layout: [Layout::Chw, Layout::Hwc][random.range(0, 1)],
        coordinates: match interpolation {
            // It has no other.
            Interpolation::Area => Coordinates::Default,
            _ => [
                Coordinates::Default,
                Coordinates::AlignCorners,
                Coordinates::Asymmetric,
            ][random.range(0, 2)],
        },
        antialias: interpolation != Interpolation::Area && random.range(0, 1) == 0,
    }
}

fn agrees_with_resize<T: Noise>() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(5);
        for case in 0..cases(600) {
            let big = [6, 30, 90, if quick() { 150 } else { 700 }][random.range(0, 3)];
            let [h0, w0, mut h1, mut w1] = [0; 4].map(|_: usize| random.range(1, big));
            match random.range(0, 4) {
                0 => (h1, w1) = (h0, w0),
                1 => (h1, w1) = (h0.div_ceil(2), w0.div_ceil(2)),
                _ => {}
            }
            let c = random.range(1, 4);
            let options = random_options(&mut random, c);
            let image = T::noise(h0 * w0 * c, case as u64);
            let expected = reference(&ctx, &options, &image, (h0, w0, c), (h1, w1));
            // The result is laid out with gaps in a larger array, as a slot of a batch is.
            let shape = shape(options.layout, h1, w1, c);
            let strides = [
                (shape[1] * (shape[2] + 3) + 7) as isize,
                (shape[2] + if options.layout == Layout::Chw { 3 } else { 0 }) as isize,
                1,
            ];
            let mut memory = vec![-1.0; shape[0] * strides[0] as usize];
            let out = ViewMut::strided(&mut memory, 0, &shape, &strides).unwrap();
            let from = view(&image, &[h0, w0, c]);
            image_to_tensor(&ctx, &options, from, out).unwrap();
            let mut model = vec![-1.0; memory.len()];
            let mut got = Vec::new();
            for i in 0..shape[0] {
                for j in 0..shape[1] {
                    for k in 0..shape[2] {
                        let at = i * strides[0] as usize + j * strides[1] as usize + k;
                        got.push(memory[at]);
                        model[at] = memory[at];
                    }
                }
            }
            let what = format!(
                "{h0}x{w0}x{c} to {h1}x{w1} {options:?} {}",
                isa.tier().name()
            );
            assert_close(&got, &expected, &what);
            assert!(model == memory, "{what}: wrote between");
        }
    }
}

#[test]
fn bytes_agree_with_resize() {
    agrees_with_resize::<u8>();
}

#[test]
fn floats_agree_with_resize() {
    agrees_with_resize::<f32>();
}

fn touches_nothing_else<T: Noise>() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(6);
        for case in 0..cases(200) {
            let [h0, w0, mut h1, mut w1] = [0; 4].map(|_: usize| random.range(1, 70));
            if random.range(0, 2) == 0 {
                (h1, w1) = (h0, w0);
            }
            let c = random.range(1, 4);
            let options = random_options(&mut random, c);
            let data = T::noise(h0 * w0 * c, case as u64);
            let mut results = Vec::new();
            for behind in [true, false] {
                let mut image = Guarded::<T>::new(data.len(), behind);
                image.copy_from_slice(&data);
                let mut out = Guarded::<f32>::new(h1 * w1 * c, behind);
                let to = view_mut(&mut out, &shape(options.layout, h1, w1, c));
                image_to_tensor(&ctx, &options, view(&image, &[h0, w0, c]), to).unwrap();
                results.push(out.to_vec());
            }
            assert!(results[0] == results[1]);
        }
    }
}

#[test]
fn no_byte_outside_is_touched() {
    touches_nothing_else::<u8>();
    touches_nothing_else::<f32>();
}

#[test]
fn threads_do_not_change_a_bit() {
    for isa in isas() {
        for letterbox in [false, true] {
            let options = ImageToTensor {
                letterbox,
                swap_rb: true,
                ..imagenet()
            };
            let image = u8::noise(270 * 480 * 3, 1);
            let run = |threads| {
                let mut out = vec![0.0f32; 3 * 320 * 300];
                let to = view_mut(&mut out, &[3, 320, 300]);
                let ctx = context(isa, threads);
                image_to_tensor(&ctx, &options, view(&image, &[270, 480, 3]), to).unwrap();
                f32::bytes(&out)
            };
            let one = run(1);
            assert!(one == run(2) && one == run(7));
        }
    }
}

/// A crop is a view; the face detector's normalisation is exact.
#[test]
fn regions_of_interest() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let (h0, w0) = (90, 120);
        let image = u8::noise(h0 * w0 * 3, 8);
        let whole = view(&image, &[h0, w0, 3]);
        let roi = whole.narrow(0, 17, 48).narrow(1, 31, 50);
        let copy: Vec<u8> = (0..48 * 50 * 3)
            .map(|i| roi.get(&[i / 150, i / 3 % 50, i % 3]))
            .collect();
        let options = ImageToTensor {
            scale: Some(1.0),
            mean: [127.5; 4],
            std: [128.0; 4],
            ..ImageToTensor::default()
        };
        for layout in [Layout::Chw, Layout::Hwc] {
            let options = ImageToTensor { layout, ..options };
            let mut out = vec![0.0; 24 * 24 * 3];
            let to = view_mut(&mut out, &shape(layout, 24, 24, 3));
            image_to_tensor(&ctx, &options, roi, to).unwrap();
            let expected = reference(&ctx, &options, &copy, (48, 50, 3), (24, 24));
            assert_eq!(out, expected);
            // Upside down, without a copy of the whole.
            let flipped = View::strided(
                &image,
                (h0 - 1) * w0 * 3,
                &[h0, w0, 3],
                &[-(w0 as isize * 3), 3, 1],
            )
            .unwrap();
            let to = view_mut(&mut out, &shape(layout, 24, 24, 3));
            image_to_tensor(&ctx, &options, flipped, to).unwrap();
            let rows: Vec<u8> = image.chunks(w0 * 3).rev().flatten().copied().collect();
            assert_eq!(out, reference(&ctx, &options, &rows, (h0, w0, 3), (24, 24)));
        }
    }
}

#[test]
fn a_slot_of_a_batch() {
    let ctx = context(isas()[0], 2);
    let image = u8::noise(30 * 40 * 3, 8);
    let mut batch = vec![5.0; 4 * 3 * 20 * 20];
    let slot = view_mut(&mut batch, &[4, 3, 20, 20]).narrow(0, 2, 1);
    image_to_tensor(&ctx, &imagenet(), view(&image, &[30, 40, 3]), slot).unwrap();
    let expected = reference(&ctx, &imagenet(), &image, (30, 40, 3), (20, 20));
    assert_close(&batch[2 * 1200..3 * 1200], &expected, "slot");
    assert!(
        batch[..2400]
            .iter()
            .chain(&batch[3600..])
            .all(|&v| v == 5.0)
    );
}

/// Outputs whose columns are not neighbours go through a copy.
#[test]
fn transposed_output() {
    let ctx = context(isas()[0], 1);
    let image = u8::noise(30 * 40 * 3, 8);
    let mut memory = vec![0.0; 3 * 20 * 25];
    // (C, H, W) kept as (W, H, C).
    let out = view_mut(&mut memory, &[25, 20, 3]).permute(&[2, 1, 0]);
    image_to_tensor(&ctx, &imagenet(), view(&image, &[30, 40, 3]), out).unwrap();
    let expected = reference(&ctx, &imagenet(), &image, (30, 40, 3), (20, 25));
    let got = view(&memory, &[25, 20, 3]).permute(&[2, 1, 0]);
    let got: Vec<f32> = (0..1500)
        .map(|i| got.get(&[i / 500, i / 25 % 20, i % 25]))
        .collect();
    assert_close(&got, &expected, "transposed");
}

#[test]
fn letterbox_and_the_way_back() {
    let place = letterbox((1080, 1920), (640, 640)).unwrap();
    assert_eq!(
        (place.top, place.left, place.height, place.width),
        (140, 0, 360, 640)
    );
    assert_eq!(place.to_image(320.0, 320.0), (960.0, 540.0));
    assert_eq!(place.to_image(0.0, 140.0), (0.0, 0.0));
    assert_eq!(place.to_image(640.0, 500.0), (1920.0, 1080.0));
    // A side may vanish in rounding, but not from the frame.
    let thin = letterbox((1, 5000), (64, 64)).unwrap();
    assert_eq!((thin.height, thin.width, thin.top), (1, 64, 31));
    let error = letterbox((0, 5), (64, 64)).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
}

#[test]
fn errors_say_what_is_wrong() {
    let ctx = context(isas()[0], 1);
    let image = [7u8; 60];
    let mut out = vec![9.0f32; 60];
    let mut fails = |options: &ImageToTensor, from: &[usize], to: &[usize], status, words: &str| {
        let (from_len, to_len): (usize, usize) = (from.iter().product(), to.iter().product());
        let image = view(&image[..from_len], from);
        let to = view_mut(&mut out[..to_len], to);
        let error = image_to_tensor(&ctx, options, image, to).unwrap_err();
        assert_eq!(error.status(), status, "{error}");
        assert!(error.message().contains(words), "{error}");
        assert!(out.iter().all(|&v| v == 9.0));
    };
    let options = ImageToTensor::default();
    let swap = ImageToTensor {
        swap_rb: true,
        ..options
    };
    let std = ImageToTensor {
        std: [1.0, 0.0, 1.0, 1.0],
        ..options
    };
    fails(
        &options,
        &[3, 4, 5],
        &[5, 3, 4],
        Status::Unsupported,
        "image has 5 channels",
    );
    fails(
        &swap,
        &[3, 4, 2],
        &[2, 3, 4],
        Status::InvalidArgument,
        "swap_rb",
    );
    fails(
        &std,
        &[3, 4, 3],
        &[3, 2, 2],
        Status::InvalidArgument,
        "std[1] is 0",
    );
    fails(
        &options,
        &[3, 4, 3],
        &[2, 2, 3],
        Status::ShapeMismatch,
        "has 2 channels, image has 3",
    );
    fails(
        &options,
        &[3, 4, 3],
        &[2, 3, 2, 2],
        Status::ShapeMismatch,
        "expected 3 dimensions",
    );
    fails(
        &options,
        &[0, 4, 3],
        &[3, 2, 2],
        Status::InvalidArgument,
        "no pixels",
    );
    let to = view_mut(&mut out[..0], &[3, 0, 2]);
    image_to_tensor(&ctx, &options, view(&image[..36], &[3, 4, 3]), to).unwrap();
}
