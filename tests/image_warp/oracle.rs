//! One pixel by scalar code, and the setups of random calls that are compared with it.

use crate::common::{Random, context, isas};
use crate::image_support::*;
use crate::{BORDERS, INTERPOLATIONS};
use omma::error::Result;
use omma::image::*;
use omma::runtime::Context;
use omma::simd::Tier;
use omma::tensor::{View, ViewMut};

/// `a * b + c` as a tier has it: the portable one rounds twice.
#[derive(Clone, Copy)]
pub struct Fma(bool);

impl Fma {
    pub fn of(ctx: &Context) -> Fma {
        Fma(ctx.isa().tier() != Tier::Portable)
    }
    pub fn fma(self, a: f32, b: f32, c: f32) -> f32 {
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
pub fn fold(border: Border, mut at: i64, n: i64) -> Option<i64> {
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
pub fn sample<T>(
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
pub trait Pixel: Noise + Texel {
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
pub struct Setup {
    pub src: [usize; 3],
    pub dst: [usize; 2],
    pub options: Warp,
}

impl Setup {
    pub fn random<T: Pixel>(random: &mut Random) -> Setup {
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
    pub fn check<T: Pixel>(
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

pub fn affine_place(fma: Fma, m: &[f64; 9], y: usize, x: usize) -> [f32; 3] {
    let row = |a: usize| {
        let rest = (y as f64 * m[a + 1] + m[a + 2]) as f32;
        fma.fma(m[a] as f32, x as f32, rest)
    };
    [row(0), row(3), row(6)]
}
