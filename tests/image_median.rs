//! `median_blur` against OpenCV and scipy (fixtures) and against a sort of every window, on every tier.

mod common;
mod image_support;

use common::{Random, cases, context, isas};
use image_support::*;
use omma::error::Status;
use omma::image::{MedianBlur, MedianBorder, median_blur};
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

const BORDERS: [MedianBorder; 2] = [MedianBorder::Replicate, MedianBorder::Constant];

fn run<T: Noise>(
    ctx: &Context,
    ksize: usize,
    border: MedianBorder,
    image: &[T],
    shape: [usize; 3],
) -> Vec<T> {
    let mut out = vec![T::default(); image.len()];
    let to = view_mut(&mut out, &shape);
    median_blur(ctx, &MedianBlur { ksize, border }, view(image, &shape), to).unwrap();
    out
}

/// The order of medians: -0 before +0, NaN last.
trait Sorted: Noise {
    fn place(&self) -> i64;
    fn bits(&self) -> u32;
}
impl Sorted for u8 {
    fn place(&self) -> i64 {
        i64::from(*self)
    }
    fn bits(&self) -> u32 {
        u32::from(*self)
    }
}
impl Sorted for f32 {
    fn place(&self) -> i64 {
        match (self.is_nan(), self.is_sign_negative()) {
            (true, _) => i64::MAX,
            (_, true) => -1 - i64::from((-self).to_bits()),
            (_, false) => i64::from(self.to_bits()),
        }
    }
    fn bits(&self) -> u32 {
        if self.is_nan() { 1 } else { self.to_bits() }
    }
}

/// Every window sorted.
fn oracle<T: Sorted>(ksize: usize, border: MedianBorder, image: &[T], shape: [usize; 3]) -> Vec<T> {
    let [h, w, c] = shape;
    let half = (ksize / 2) as isize;
    let mut out = Vec::with_capacity(image.len());
    let mut window = Vec::with_capacity(ksize * ksize);
    for i in 0..image.len() {
        let (y, x, k) = ((i / c / w) as isize, (i / c % w) as isize, i % c);
        window.clear();
        for dy in -half..=half {
            for dx in -half..=half {
                let (at_y, at_x) = (y + dy, x + dx);
                let (in_y, in_x) = (
                    at_y.clamp(0, h as isize - 1) as usize,
                    at_x.clamp(0, w as isize - 1) as usize,
                );
                let inside = in_y as isize == at_y && in_x as isize == at_x;
                window.push(match border {
                    MedianBorder::Constant if !inside => T::default(),
                    _ => image[(in_y * w + in_x) * c + k],
                });
            }
        }
        let middle = window.len() / 2;
        let (_, median, _) = window.select_nth_unstable_by_key(middle, Sorted::place);
        out.push(*median);
    }
    out
}

fn same<T: Sorted>(got: &[T], expected: &[T], what: &str) {
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        assert_eq!(a.bits(), b.bits(), "{what}: {a:?} is not {b:?} at {i}");
    }
}

fn random_windows<T: Sorted>(seed: u64, disturb: impl Fn(&mut Random, &mut Vec<T>)) {
    let random = &mut Random(seed);
    let ctxs: Vec<Context> = isas().into_iter().map(|isa| context(isa, 1)).collect();
    for case in 0..cases(120) {
        let ksize = match random.range(0, 9) {
            0 => 1,
            1..=2 => 3,
            3 => 5,
            4 => 7,
            5 => 9,
            6..=8 => 2 * random.range(5, 9) + 1,
            _ => 2 * random.range(9, 20) + 1,
        };
        let most = (60_000 / (ksize * ksize)).clamp(20, 700);
        let c = random.range(1, 5);
        let h = random.range(1, 24);
        let w = (random.range(1, most) / h / c).max(1) + random.range(0, 40);
        let mut image = T::noise(h * w * c, case as u64 + seed);
        disturb(random, &mut image);
        for border in BORDERS {
            let expected = oracle(ksize, border, &image, [h, w, c]);
            for ctx in &ctxs {
                let got = run(ctx, ksize, border, &image, [h, w, c]);
                let tier = ctx.isa().tier().name();
                same(
                    &got,
                    &expected,
                    &format!("{ksize} {border:?} {h}x{w}x{c} {tier}"),
                );
            }
        }
    }
}

#[test]
fn bytes_match_the_oracle() {
    random_windows::<u8>(1, |random, image| {
        // Few values make ties, smooth ramps the opposite of noise.
        match random.range(0, 2) {
            0 => image.iter_mut().for_each(|v| *v = (*v % 3) * 127),
            1 => image
                .iter_mut()
                .enumerate()
                .for_each(|(i, v)| *v = (i / 7 % 256) as u8),
            _ => {}
        }
    });
}

#[test]
fn floats_match_the_oracle() {
    random_windows::<f32>(2, |random, image| {
        let special = [
            f32::NAN,
            -f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            0.0,
            -0.0,
            -1e-40,
            -3.5,
        ];
        let share = [0, 3, 60][random.range(0, 2)];
        for v in image.iter_mut() {
            if random.range(0, 100) < share {
                *v = special[random.range(0, special.len() - 1)];
            }
        }
    });
}

/// Counters are wider from 257 on.
#[test]
fn windows_larger_than_the_image() {
    let ctx = context(*isas().last().unwrap(), 1);
    for ksize in [101, 255, 257] {
        let image = u8::noise(5 * 6, ksize as u64);
        let floats = f32::noise(5 * 6, ksize as u64);
        for border in BORDERS {
            let got = run(&ctx, ksize, border, &image, [5, 6, 1]);
            same(&got, &oracle(ksize, border, &image, [5, 6, 1]), "u8");
            if ksize == 101 {
                let got = run(&ctx, ksize, border, &floats, [5, 6, 1]);
                same(&got, &oracle(ksize, border, &floats, [5, 6, 1]), "f32");
            }
        }
    }
}

/// An image of one value: every count is at its largest.
#[test]
fn the_largest_counts() {
    let ctx = context(*isas().last().unwrap(), 1);
    for ksize in [255, 257, 301] {
        for value in [0u8, 15, 16, 255] {
            let image = vec![value; 9 * 11];
            assert_eq!(
                run(&ctx, ksize, MedianBorder::Replicate, &image, [9, 11, 1]),
                image
            );
        }
    }
}

/// One fixture line: library, height, width, channels, seed, ksize, border, CRC-32 of the result's bytes.
#[test]
fn results_are_those_of_opencv_and_scipy() {
    let fixture = include_str!("fixtures/image_median.txt");
    let step = if common::quick() { 7 } else { 1 };
    for isa in isas() {
        let ctx = context(isa, 1);
        for words in lines(fixture).step_by(step) {
            let [h, w, c, seed, ksize, constant, expected] = numbers(&words[1..]);
            let border = BORDERS[constant];
            let len = h * w * c;
            let got = match words[0].ends_with("u8") {
                true => u8::bytes(&run(
                    &ctx,
                    ksize,
                    border,
                    &u8::noise(len, seed as u64),
                    [h, w, c],
                )),
                false => f32::bytes(&run(
                    &ctx,
                    ksize,
                    border,
                    &f32::noise(len, seed as u64),
                    [h, w, c],
                )),
            };
            assert_eq!(
                crc32(&got) as usize,
                expected,
                "{words:?} on {}",
                isa.tier().name()
            );
        }
    }
}

#[test]
fn nothing_outside_of_a_region_is_read_or_written() {
    fn region<T: Sorted>() {
        for isa in isas() {
            let ctx = context(isa, 1);
            for (ksize, c) in [(3, 1), (3, 3), (5, 4), (7, 3), (9, 1), (13, 2)] {
                for w in [1, 7, 31, 33, 70] {
                    for behind in [true, false] {
                        let h = 6;
                        let image = T::noise(h * w * c, 5);
                        let mut from = Guarded::<T>::new(h * w * c, behind);
                        from.copy_from_slice(&image);
                        let mut to = Guarded::<T>::new(h * w * c, behind);
                        let options = MedianBlur {
                            ksize,
                            border: MedianBorder::Replicate,
                        };
                        let shape = [h, w, c];
                        median_blur(
                            &ctx,
                            &options,
                            view(&from, &shape),
                            view_mut(&mut to, &shape),
                        )
                        .unwrap();
                        let expected = oracle(ksize, options.border, &image, shape);
                        same(&to, &expected, "guarded");
                    }
                }
            }
        }
    }
    region::<u8>();
    region::<f32>();
}

#[test]
fn any_strides_and_any_threads() {
    let (h, w, c) = (61, 83, 3);
    let image = u8::noise(h * w * c, 9);
    let isa = *isas().last().unwrap();
    for ksize in [3, 9, 17] {
        let options = MedianBlur {
            ksize,
            border: MedianBorder::Constant,
        };
        // Every second row and column of a larger picture, from the bottom up, planes instead of pixels.
        let mut large = vec![0u8; 2 * h * 2 * w * c];
        let stride = (2 * w * c) as isize;
        for y in 0..h {
            for x in 0..w {
                for k in 0..c {
                    let at = (2 * (h - 1 - y) * 2 * w + 2 * x) * c + k;
                    large[at] = image[(y * w + x) * c + k];
                }
            }
        }
        let from = View::strided(
            &large,
            2 * (h - 1) * 2 * w * c,
            &[h, w, c],
            &[-2 * stride, 2 * c as isize, 1],
        )
        .unwrap();
        let expected = run(&context(isa, 1), ksize, options.border, &image, [h, w, c]);
        let mut planes = vec![0u8; h * w * c];
        let to = ViewMut::strided(
            &mut planes,
            0,
            &[h, w, c],
            &[w as isize, 1, (h * w) as isize],
        )
        .unwrap();
        median_blur(&context(isa, 3), &options, from, to).unwrap();
        for (i, &v) in expected.iter().enumerate() {
            assert_eq!(planes[i % c * h * w + i / c], v, "ksize {ksize} at {i}");
        }
    }
}

#[test]
fn errors_name_both_sides() {
    let ctx = context(isas()[0], 1);
    let image = vec![0u8; 12];
    let call = |ksize, shape: &[usize]| {
        let options = MedianBlur {
            ksize,
            border: MedianBorder::Replicate,
        };
        let mut out = vec![0u8; 12];
        median_blur(
            &ctx,
            &options,
            view(&image, &[3, 4]),
            view_mut(&mut out, shape),
        )
        .unwrap_err()
    };
    for (ksize, shape, status, message) in [
        (
            0,
            &[3, 4],
            Status::InvalidArgument,
            "ksize is 0, expected an odd",
        ),
        (
            4,
            &[3, 4],
            Status::InvalidArgument,
            "ksize is 4, expected an odd",
        ),
        (32769, &[3, 4], Status::InvalidArgument, "ksize is 32769"),
        (
            3,
            &[4, 3],
            Status::ShapeMismatch,
            "output has shape [4, 3], image has [3, 4]",
        ),
    ] {
        let error = call(ksize, shape);
        assert_eq!(error.status(), status);
        assert!(error.message().contains(message), "{}", error.message());
    }
    let options = MedianBlur {
        ksize: 3,
        border: MedianBorder::Replicate,
    };
    let none: [u8; 0] = [];
    median_blur(
        &ctx,
        &options,
        view(&none, &[0, 4]),
        view_mut(&mut [], &[0, 4]),
    )
    .unwrap();
}
