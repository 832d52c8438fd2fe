//! Warps, rotation, maps and grids against scalar code and against OpenCV, torch and Pillow
//! (fixtures), on every tier.

mod common;
mod image_support;

use common::{Random, cases, context, isas};
use image_support::*;
use omma::error::{Result, Status};
use omma::image::*;
use omma::runtime::Context;
use omma::simd::Tier;
use omma::tensor::{View, ViewMut};

const BORDERS: [Border; 5] = [
    Border::Constant,
    Border::Replicate,
    Border::Reflect,
    Border::Reflect101,
    Border::Wrap,
];
const INTERPOLATIONS: [Interpolation; 3] = [
    Interpolation::Linear,
    Interpolation::Nearest,
    Interpolation::Cubic,
];

// ---- the scalar reference ------------------------------------------------

/// `a * b + c` as a tier has it: the portable one rounds twice.
#[derive(Clone, Copy)]
struct Fma(bool);

impl Fma {
    fn of(ctx: &Context) -> Fma {
        Fma(ctx.isa().tier() != Tier::Portable)
    }
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        if self.0 { a.mul_add(b, c) } else { a * b + c }
    }
    /// Weights of the pixels around a fraction.
    fn cubic(self, t: f32) -> [f32; 4] {
        let far = |t| {
            let inner = self.fma(self.fma(t, -0.75, 3.75), t, -6.0);
            self.fma(inner, t, 3.0)
        };
        let near = |t| self.fma(self.fma(t, 1.25, -2.25) * t, t, 1.0);
        let (a, b, c) = (far(t + 1.0), near(t), near(1.0 - t));
        [a, b, c, 1.0 - a - b - c]
    }
}

/// The pixel that stands for one, by walking there.
fn fold(border: Border, mut at: i64, n: i64) -> Option<i64> {
    loop {
        if (0..n).contains(&at) {
            return Some(at);
        }
        at = match border {
            Border::Constant => return None,
            Border::Replicate => at.clamp(0, n - 1),
            Border::Wrap if at < 0 => at + n,
            Border::Wrap => at - n,
            Border::Reflect if at < 0 => -1 - at,
            Border::Reflect => 2 * n - 1 - at,
            Border::Reflect101 if n == 1 => 0,
            Border::Reflect101 if at < 0 => -at,
            Border::Reflect101 => 2 * n - 2 - at,
        };
    }
}

/// One pixel at `(x, y)`.
fn sample<T>(
    fma: Fma,
    options: &Warp,
    image: &[T],
    [h, w, c]: [usize; 3],
    (x, y): (f32, f32),
) -> Vec<f32>
where
    T: Noise + Texel,
{
    let value: Vec<f32> = options.value[..c].to_vec();
    let far = |v: f32, n: usize| match options.border {
        Border::Constant | Border::Replicate => Some(v.clamp(-9.0, n as f32 + 9.0)),
        _ if !v.is_finite() => None,
        Border::Wrap => Some((f64::from(v).rem_euclid(n as f64)) as f32),
        Border::Reflect => Some((f64::from(v).rem_euclid(2.0 * n as f64)) as f32),
        Border::Reflect101 => Some((f64::from(v).rem_euclid(2.0 * (n.max(2) - 1) as f64)) as f32),
    };
    if x.is_nan() || y.is_nan() {
        return value;
    }
    let x = if x.abs() < 1e6 { Some(x) } else { far(x, w) };
    let y = if y.abs() < 1e6 { Some(y) } else { far(y, h) };
    let (Some(x), Some(y)) = (x, y) else {
        return value;
    };
    let at = |yy: i64, xx: i64, k: usize| -> f32 {
        let place = (
            fold(options.border, yy, h as i64),
            fold(options.border, xx, w as i64),
        );
        match place {
            (Some(yy), Some(xx)) => {
                let v: f64 = image[(yy as usize * w + xx as usize) * c + k].into();
                v as f32
            }
            _ => value[k],
        }
    };
    let taps = match options.interpolation {
        Interpolation::Nearest => {
            let (x, y) = (x.round_ties_even() as i64, y.round_ties_even() as i64);
            return (0..c).map(|k| at(y, x, k)).collect();
        }
        Interpolation::Cubic => 4,
        _ => 2,
    };
    let (fx, fy) = (x - x.floor(), y - y.floor());
    let first = |v: f32| v.floor() as i64 - if taps == 4 { 1 } else { 0 };
    let (x0, y0) = (first(x), first(y));
    let outside = |i: i64, n: usize| i + taps <= 0 || i >= n as i64;
    if options.border == Border::Constant && (outside(x0, w) || outside(y0, h)) {
        return value;
    }
    let (wx, wy) = (fma.cubic(fx), fma.cubic(fy));
    let pixel = |k: usize| {
        let mut sum = 0.0;
        for r in 0..taps {
            let row = |i: i64| at(y0 + r, x0 + i, k);
            if taps == 2 {
                let across = fma.fma(fx, row(1) - row(0), row(0));
                sum = if r == 0 {
                    across
                } else {
                    fma.fma(fy, across - sum, sum)
                };
            } else {
                let mut across = row(0) * wx[0];
                for i in 1..4 {
                    across = fma.fma(row(i), wx[i as usize], across);
                }
                sum = match r {
                    0 => across * wy[0],
                    _ => fma.fma(across, wy[r as usize], sum),
                };
            }
        }
        sum
    };
    (0..c).map(pixel).collect()
}

/// What images are made of here.
trait Pixel: Noise + Texel {
    fn from(value: f32) -> Self;
    fn same(a: Self, b: Self) -> bool;
}

impl Pixel for u8 {
    fn from(value: f32) -> u8 {
        value.round_ties_even() as u8
    }
    fn same(a: u8, b: u8) -> bool {
        a == b
    }
}

impl Pixel for f32 {
    fn from(value: f32) -> f32 {
        value
    }
    fn same(a: f32, b: f32) -> bool {
        a == b || (a.is_nan() && b.is_nan())
    }
}

/// Everything that a call is made of.
struct Setup {
    src: [usize; 3],
    dst: [usize; 2],
    options: Warp,
}

impl Setup {
    fn random<T: Pixel>(random: &mut Random) -> Setup {
        let big = [3, 12, 40, 90][random.range(0, 3)];
        let [h, w] = [0; 2].map(|_: usize| random.range(1, big));
        let big = [5, 20, 80][random.range(0, 2)];
        let dst = [0; 2].map(|_: usize| random.range(1, big));
        let byte = |v: f32| T::from(v).into() as f32;
        Setup {
            src: [h, w, random.range(1, 4)],
            dst,
            options: Warp {
                interpolation: INTERPOLATIONS[random.range(0, 2)],
                border: BORDERS[random.range(0, 4)],
                value: [0; 4].map(|_: usize| byte(random.range(0, 255) as f32)),
            },
        }
    }

    /// The image in memory that faults around it: rows apart by `stride`, upside down if negative.
    fn memory<T: Pixel>(&self, image: &[T], stride: isize, behind: bool) -> Guarded<T> {
        let [h, w, c] = self.src;
        let step = stride.unsigned_abs();
        let mut memory = Guarded::new((h - 1) * step + w * c, behind);
        for y in 0..h {
            let at = if stride < 0 { h - 1 - y } else { y } * step;
            memory[at..at + w * c].copy_from_slice(&image[y * w * c..][..w * c]);
        }
        memory
    }

    /// Runs `op` on every tier with images of several strides, against the places of the reference.
    fn check<T: Pixel>(
        &self,
        random: &mut Random,
        places: impl Fn(Fma, usize, usize) -> (f32, f32),
        op: impl Fn(&Context, &Warp, View<'_, T>, ViewMut<'_, T>) -> Result<()>,
    ) {
        let ([h, w, c], [h1, w1]) = (self.src, self.dst);
        let image = T::noise(h * w * c, random.bits() >> 40);
        let pad = random.range(0, 5) as isize;
        let stride = (w * c) as isize + pad;
        let stride = if random.range(0, 3) == 0 {
            -stride
        } else {
            stride
        };
        let memory = self.memory(&image, stride, random.range(0, 1) == 0);
        let start = if stride < 0 {
            (h - 1) * stride.unsigned_abs()
        } else {
            0
        };
        for isa in isas() {
            let ctx = context(isa, 1);
            let view = View::strided(&memory, start, &[h, w, c], &[stride, c as isize, 1]).unwrap();
            let mut out = vec![T::default(); h1 * w1 * c];
            op(&ctx, &self.options, view, view_mut(&mut out, &[h1, w1, c])).unwrap();
            let fma = Fma::of(&ctx);
            for (i, pixel) in out.chunks(c).enumerate() {
                let place = places(fma, i / w1, i % w1);
                let expected = sample(fma, &self.options, &image, self.src, place);
                for (a, b) in pixel.iter().zip(&expected) {
                    let b = T::from(*b);
                    assert!(
                        T::same(*a, b),
                        "{:?}: {a:?} is not {b:?} at pixel {i}, place {place:?}, of {:?} to {:?}, {:?}",
                        isa.tier(),
                        self.src,
                        self.dst,
                        self.options
                    );
                }
            }
        }
    }
}

fn affine_place(fma: Fma, m: &[f64; 9], y: usize, x: usize) -> [f32; 3] {
    let row = |a: usize| {
        let rest = (y as f64 * m[a + 1] + m[a + 2]) as f32;
        fma.fma(m[a] as f32, x as f32, rest)
    };
    [row(0), row(3), row(6)]
}

fn matrices<T: Pixel>() {
    let mut random = Random(7);
    for case in 0..cases(120) {
        let setup = Setup::random::<T>(&mut random);
        let mut number = |scale: f64| f64::from(random.float()) * scale;
        let mut m = [
            number(1.5),
            number(1.5),
            number(20.0),
            number(1.5),
            number(1.5),
            number(20.0),
            0.0,
            0.0,
            1.0,
        ];
        if case % 7 == 0 {
            m = [
                1.0,
                0.0,
                m[2].round(),
                0.0,
                1.0,
                m[5].round(),
                0.0,
                0.0,
                1.0,
            ];
        }
        if case % 2 == 0 {
            let affine = [m[0], m[1], m[2], m[3], m[4], m[5]];
            let place = |fma, y, x| {
                let [x, y, _] = affine_place(fma, &m, y, x);
                (x, y)
            };
            setup.check::<T>(&mut random, place, |ctx, options, image, output| {
                warp_affine(ctx, options, &affine, true, image, output)
            });
        } else {
            (m[6], m[7]) = (number(0.05), number(0.05));
            if case % 5 == 0 {
                // The divisor is zero in a column, and everywhere in the last case.
                (m[6], m[7], m[8]) = (1.0, 0.0, -3.0);
            }
            let place = |fma, y, x| {
                let [x, y, w] = affine_place(fma, &m, y, x);
                (x / w, y / w)
            };
            setup.check::<T>(&mut random, place, |ctx, options, image, output| {
                warp_perspective(ctx, options, &m, true, image, output)
            });
        }
    }
}

#[test]
fn matrices_of_bytes() {
    matrices::<u8>();
}

#[test]
fn matrices_of_floats() {
    matrices::<f32>();
}

fn maps<T: Pixel>() {
    const ODD: [f32; 14] = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        2147483648.0,
        -2147483648.0,
        1073741824.0,
        1e10,
        -1e10,
        16777216.0,
        -0.0,
        -0.5,
        f32::MIN_POSITIVE,
    ];
    let mut random = Random(11);
    for case in 0..cases(120) {
        let setup = Setup::random::<T>(&mut random);
        let ([h, w, _], [h1, w1]) = (setup.src, setup.dst);
        let mut map = |n: usize| -> Vec<f32> {
            (0..h1 * w1)
                .map(|_| match (case % 3, random.range(0, 9)) {
                    (0, 0) => ODD[random.range(0, ODD.len() - 1)],
                    (1, _) => random.range(0, 2 * n) as f32 / 2.0 - 1.0,
                    _ => (random.float() + 1.0) / 2.0 * (n + 8) as f32 - 4.0,
                })
                .collect()
        };
        let (x, y) = (map(w), map(h));
        let place = |_, i: usize, j: usize| (x[i * w1 + j], y[i * w1 + j]);
        setup.check::<T>(&mut random, place, |ctx, options, image, mut output| {
            let (x, y) = (view(&x, &[h1, w1]), view(&y, &[h1, w1]));
            remap(ctx, options, image, x, y, output.reborrow())?;
            // The plan has the same bits.
            let plan = Remap::new(ctx, options, x, y)?;
            assert_eq!(plan.output_size(), (h1, w1));
            let shape = [h1, w1, output.dim(2)];
            let mut again = vec![T::default(); shape.iter().product()];
            plan.run(ctx, image, view_mut(&mut again, &shape))?;
            let first = output.as_slice_mut().unwrap();
            assert!(first.iter().zip(&again).all(|(&a, &b)| T::same(a, b)));
            Ok(())
        });
    }
}

#[test]
fn maps_of_bytes() {
    maps::<u8>();
}

#[test]
fn maps_of_floats() {
    maps::<f32>();
}

#[test]
fn threads_change_nothing() {
    let image = u8::noise(130 * 170 * 3, 5);
    let m = [0.9, 0.3, -20.0, -0.3, 0.9, 30.0];
    for isa in isas() {
        let outputs = [1, 2, 3].map(|threads| {
            let mut out = vec![0u8; 150 * 140 * 3];
            let ctx = context(isa, threads);
            let (image, out_view) = (
                view(&image, &[130, 170, 3]),
                view_mut(&mut out, &[150, 140, 3]),
            );
            warp_affine(&ctx, &Warp::default(), &m, false, image, out_view).unwrap();
            out
        });
        assert!(outputs[0] == outputs[1] && outputs[0] == outputs[2]);
    }
}

// ---- rotation ------------------------------------------------------------

/// Counter-clockwise, as numpy's `rot90`.
fn rot90<T: Copy>(image: &[T], [h, w, c]: [usize; 3]) -> Vec<T> {
    let pixel = |y: usize, x: usize| (0..c).map(move |k| image[(y * w + x) * c + k]);
    (0..w)
        .flat_map(|y| (0..h).flat_map(move |x| pixel(x, w - 1 - y)))
        .collect()
}

fn quarters<T: Pixel>() {
    let mut random = Random(3);
    for _ in 0..cases(40) {
        let mut size = [0; 3].map(|_: usize| random.range(1, 70));
        size[2] = random.range(1, 4);
        let image = T::noise(size.iter().product(), random.bits() >> 40);
        for isa in isas() {
            let ctx = context(isa, 1);
            let (mut expected, mut turned) = (image.clone(), size);
            for quarter in 0..8 {
                let degrees = 90.0 * f64::from(quarter) - 360.0 * f64::from(quarter % 3);
                let extent = rotated_size((size[0], size[1]), degrees).unwrap();
                assert_eq!(extent, (turned[0], turned[1]));
                let mut out = vec![T::default(); image.len()];
                let options = Warp {
                    interpolation: INTERPOLATIONS[quarter as usize % 3],
                    ..Warp::default()
                };
                rotate(
                    &ctx,
                    &options,
                    degrees,
                    view(&image, &size),
                    view_mut(&mut out, &turned),
                )
                .unwrap();
                assert!(out == expected);
                // Framed by even margins, pixels still fall on pixels.
                let framed = [turned[0] + 2, turned[1] + 4, turned[2]];
                let mut frame = vec![T::default(); framed.iter().product()];
                rotate(
                    &ctx,
                    &options,
                    degrees,
                    view(&image, &size),
                    view_mut(&mut frame, &framed),
                )
                .unwrap();
                let row = turned[1] * turned[2];
                for (y, line) in frame.chunks(framed[1] * framed[2]).enumerate() {
                    let inner = &line[2 * turned[2]..][..row];
                    match y.checked_sub(1).filter(|y| *y < turned[0]) {
                        Some(y) => assert!(inner == &expected[y * row..][..row]),
                        None => assert!(line.iter().all(|v| *v == T::default())),
                    }
                }
                expected = rot90(&expected, turned);
                turned.swap(0, 1);
            }
        }
    }
}

#[test]
fn quarters_are_exact() {
    quarters::<u8>();
    quarters::<f32>();
}

// ---- grid_sample ---------------------------------------------------------

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

const PADDINGS: [Padding; 3] = [Padding::Zeros, Padding::Border, Padding::Reflection];

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

// ---- what others say ------------------------------------------------------

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
        for words in lines(include_str!("fixtures/warp_opencv.txt")) {
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

#[test]
fn torch() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for words in lines(include_str!("fixtures/warp_torch.txt")) {
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
    for words in lines(include_str!("fixtures/warp_pillow.txt")) {
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
    lines(include_str!("fixtures/warp_pillow.txt"))
        .position(|line| line == words)
        .unwrap() as u64
}

// ---- arguments -----------------------------------------------------------

fn fails(result: Result<()>, status: Status, words: &str) {
    let error = result.unwrap_err();
    assert!(
        error.status() == status && error.to_string().contains(words),
        "{error}"
    );
}

#[test]
fn arguments() {
    let ctx = Context::serial().unwrap();
    let options = Warp::default();
    let one = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let x = [0u8; 60];
    let mut y = [7u8; 60];
    let mut go = |m: &[f64; 6], from: &[usize], to: &[usize]| {
        let len = |shape: &[usize]| shape.iter().product::<usize>();
        let image = view(&x[..len(from)], from);
        warp_affine(
            ctx,
            &options,
            m,
            false,
            image,
            view_mut(&mut y[..len(to)], to),
        )
    };
    let (bad, shape) = (Status::InvalidArgument, Status::ShapeMismatch);
    fails(go(&[0.0; 6], &[3, 4], &[3, 4]), bad, "no inverse");
    fails(go(&[f64::NAN; 6], &[3, 4], &[3, 4]), bad, "not finite");
    fails(
        go(&one, &[3, 4, 2], &[3, 4, 3]),
        shape,
        "output has 3 channels, image has 2",
    );
    fails(
        go(&one, &[2, 2, 5], &[2, 2, 5]),
        Status::Unsupported,
        "5 channels",
    );
    fails(go(&one, &[0, 4], &[3, 4]), bad, "no pixels");
    fails(go(&one, &[4], &[3, 4]), shape, "image has 1 dimensions");
    go(&one, &[0, 4], &[0, 3]).unwrap();
    go(&one, &[3, 4], &[5, 0]).unwrap();
    assert!(y.iter().all(|&v| v == 7));
    let area = Warp {
        interpolation: Interpolation::Area,
        ..options
    };
    let map = [0.0f32; 12];
    let maps = |shape: &[usize]| View::new(&map[..shape.iter().product()], shape).unwrap();
    let image = view(&x[..12], &[3, 4]);
    let mut out = [0u8; 12];
    let mut run = |options: &Warp, a: &[usize], b: &[usize], to: &[usize]| {
        let out = view_mut(&mut out[..to.iter().product()], to);
        remap(ctx, options, image, maps(a), maps(b), out)
    };
    fails(
        run(&area, &[3, 4], &[3, 4], &[3, 4]),
        bad,
        "interpolation is area",
    );
    fails(
        run(&options, &[3, 4], &[4, 3], &[3, 4]),
        shape,
        "map_y has shape",
    );
    fails(
        run(&options, &[3, 4], &[3, 4], &[4, 3]),
        shape,
        "output is 4 x 3",
    );
    fails(
        run(&options, &[12], &[12], &[3, 4]),
        shape,
        "map_x has 1 dimensions",
    );
    fails(
        rotate(
            ctx,
            &options,
            f64::INFINITY,
            image,
            view_mut(&mut y[..12], &[3, 4]),
        ),
        bad,
        "degrees is inf",
    );
}
