//! Elementary functions over vectors: within 2 units in the last place of the
//! true value over the whole range of floats, on every tier.
//!
//! There are two engines. The exponential family writes `x = n ln 2 + r` with
//! `|r| <= ln 2 / 2`, evaluates a polynomial in `r` and scales by `2^n`. `log`
//! takes the exponent off and evaluates a polynomial in the rest. Every lane
//! runs the same instructions: there is no branch and no table.
//!
//! `n` is found by adding 1.5 * 2^23: what is left of the sum is the nearest
//! integer, as a float after subtracting and as an integer in the low bits, so
//! neither a rounding nor a conversion instruction is needed. `ln 2` is split
//! so that `n` times its high part is exact: the reduction is as good on the
//! portable tier, where `fma` rounds twice, as on the others.
//!
//! All of them take one vector, or a [`Group`](super::Group) of them, which is faster for the long chains.
//!
//! The coefficients are minimax fits (tools/coefficients). The errors quoted are
//! the largest that the tests have found against f64, first on the tiers with fma
//! and then on the portable one: over all 2^32 floats for `exp`, `log` and
//! `sigmoid`; for `tanh` and `erf`, which are odd, over every magnitude from 2^-12
//! up and every 1009th float below. The times are the best of many passes over
//! 4096 elements in L1 on a Zen 3 (AVX2).

use super::{Arithmetic, Tier};

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// What `LOG2_E` lacks of log2 e.
const LOG2_E_LOW: f32 = 1.925_963e-8;
/// The high 15 bits of ln 2, and the rest of it.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;
/// Added to `|v| < 2^22`, leaves the nearest integer in the low bits.
const ROUNDER: f32 = 12_582_912.0;
/// The bias of the exponent of a float.
const BIAS: f32 = 127.0;

/// `c[0] + c[1] x + c[2] x^2 + …`: Estrin's pairs and pairs of pairs, then Horner
/// in `x^4`. The loops over these functions are bound by the length of the
/// chain, not by the number of operations.
#[inline(always)]
fn polynomial<S: Arithmetic, const N: usize>(simd: S, x: S::F32, c: [f32; N]) -> S::F32 {
    let x2 = simd.mul(x, x);
    let x4 = simd.mul(x2, x2);
    let mut sum = simd.splat(0.0);
    for i in (0..N.div_ceil(4)).rev() {
        let rest = &c[4 * i..];
        let four = match rest.len() {
            1 => simd.splat(rest[0]),
            2 => pair(simd, x, rest),
            3 => simd.fma(simd.splat(rest[2]), x2, pair(simd, x, rest)),
            _ => simd.fma(pair(simd, x, &rest[2..]), x2, pair(simd, x, rest)),
        };
        sum = if rest.len() > 4 {
            simd.fma(sum, x4, four)
        } else {
            four
        };
    }
    sum
}

/// The same by Horner's scheme, in fewer operations and a longer chain: for functions that are taken of a
/// [`Group`](super::Group), which are bound by the number of operations.
#[inline(always)]
fn horner<S: Arithmetic, const N: usize>(simd: S, x: S::F32, c: [f32; N]) -> S::F32 {
    let mut sum = simd.splat(c[N - 1]);
    for i in (0..N - 1).rev() {
        sum = simd.fma(sum, x, simd.splat(c[i]));
    }
    sum
}

/// `c[0] + c[1] x`
#[inline(always)]
fn pair<S: Arithmetic>(simd: S, x: S::F32, c: &[f32]) -> S::F32 {
    simd.fma(simd.splat(c[1]), x, simd.splat(c[0]))
}

/// `x = n ln 2 + r`: an integer whose low nine bits are those of `n + bias`, and `r`.
/// NaN gives a NaN `r`.
#[inline(always)]
fn reduce<S: Arithmetic>(simd: S, x: S::F32, bias: f32) -> (S::I32, S::F32) {
    let rounder = simd.splat(ROUNDER + bias);
    let shifted = simd.fma(x, simd.splat(LOG2_E), rounder);
    let n = simd.sub(shifted, rounder);
    let r = simd.neg_fma(n, simd.splat(LN_2_HIGH), x);
    let r = simd.neg_fma(n, simd.splat(LN_2_LOW), r);
    (simd.bits(shifted), r)
}

/// Coefficients of `(e^r - 1 - r) / r^2` for `|r| <= ln 2 / 2`.
const EXP: [f32; 5] = [
    0.499_999_85,
    0.166_665_24,
    0.041_670_01,
    0.008_368_403,
    0.001_373_200_2,
];

/// `e^r - 1` for `|r| <= ln 2 / 2`, with relative accuracy.
#[inline(always)]
fn exp_m1_reduced<S: Arithmetic>(simd: S, r: S::F32) -> S::F32 {
    simd.fma(simd.mul(r, r), polynomial(simd, r, EXP), r)
}

/// `e^r` for `|r| <= ln 2 / 2`.
#[inline(always)]
fn exp_reduced<S: Arithmetic>(simd: S, r: S::F32) -> S::F32 {
    simd.add(exp_m1_reduced(simd, r), simd.splat(1.0))
}

/// `e^x` for `-104 <= x <= 89`, and NaN. The scale is `2^n` in two factors,
/// each a normal float: only the last product can overflow or round to a denormal.
#[inline(always)]
fn exp_clamped<S: Arithmetic>(simd: S, x: S::F32) -> S::F32 {
    let (n, r) = reduce(simd, x, 2.0 * BIAS);
    let half = simd.shr_i32::<1>(n);
    let rest = simd.sub_i32(n, half);
    let half = simd.bits_to_f32(simd.shl_i32::<23>(half));
    let rest = simd.bits_to_f32(simd.shl_i32::<23>(rest));
    simd.mul(simd.mul(exp_reduced(simd, r), half), rest)
}

/// `e^x`: within 1.06 and 1.02 ulp, 0.43 ns per element.
///
/// Results below the smallest normal number are rounded to denormals, those
/// above the largest are infinite; `e^-inf = 0`, NaN stays NaN.
#[inline(always)]
pub fn exp<S: Arithmetic>(simd: S, x: S::F32) -> S::F32 {
    // The constant comes first: a NaN passes.
    let x = simd.min(simd.splat(89.0), simd.max(simd.splat(-104.0), x));
    exp_clamped(simd, x)
}

/// Coefficients of `2^r` for `|r| <= 1 / 2`.
const EXP2: [f32; 6] = [
    1.0,
    0.693_146_8,
    0.240_222_36,
    0.055_508_915,
    0.009_671_765,
    0.001_322_570_7,
];

/// `e^x` for `x <= 0` (a softmax that has subtracted its maximum), in two thirds of the
/// operations of [`exp`]: within 2 ulp.
///
/// What is below the smallest normal number may be zero instead of a denormal;
/// `e^-inf = 0`, NaN stays NaN. For `x > 0` the result is right up to 88.3 and
/// unspecified beyond.
#[inline(always)]
pub fn exp_nonpositive<S: Arithmetic>(simd: S, x: S::F32) -> S::F32 {
    // At -88 the biased exponent is zero, and so is the scale.
    let x = simd.max(simd.splat(-88.0), x);
    if matches!(S::TIER, Tier::Portable) {
        let (n, r) = reduce(simd, x, BIAS);
        let scale = simd.bits_to_f32(simd.shl_i32::<23>(n));
        return simd.mul(exp_reduced(simd, r), scale);
    }
    // 2^n 2^r instead of 2^n e^r: where a product may be as long as it is, the reduction
    // takes one operation less, and the polynomial needs no linear term of its own.
    let rounder = simd.splat(ROUNDER + BIAS);
    let shifted = simd.fma(x, simd.splat(LOG2_E), rounder);
    let r = simd.fma(x, simd.splat(LOG2_E), simd.sub(rounder, shifted));
    let r = simd.fma(x, simd.splat(LOG2_E_LOW), r);
    let scale = simd.bits_to_f32(simd.shl_i32::<23>(simd.bits(shifted)));
    simd.mul(horner(simd, r, EXP2), scale)
}

/// `1 / (1 + e^-x)`: within 2.00 ulp on every tier, 0.58 ns per element.
///
/// No intermediate overflows: the result is 0 at `-inf`, 1 at `inf`, and a
/// denormal where that is the answer. NaN stays NaN.
#[inline(always)]
pub fn sigmoid<S: Arithmetic>(simd: S, x: S::F32) -> S::F32 {
    // Both sides come from z = 1 / (1 + e^|x|): rounding e^-x to a float first
    // would cost more than a unit where the quotient has the larger mantissa.
    let a = simd.min(simd.splat(104.0), simd.abs(x));
    let (n, r) = reduce(simd, a, 2.0 * BIAS);
    let p = match S::TIER {
        Tier::Portable => exp_m1_reduced(simd, r),
        _ => simd.fma(simd.mul(r, r), horner(simd, r, EXP), r),
    };
    // With 2^n = up / down, z = down / (down + up (1 + p)), where no factor
    // leaves the range of a float before z does.
    let half = simd.shr_i32::<1>(n);
    let up = simd.bits_to_f32(simd.shl_i32::<23>(simd.sub_i32(n, half)));
    let down = simd.bits_to_f32(simd.shl_i32::<23>(simd.sub_i32(simd.splat_i32(254), half)));
    let sum = simd.add(up, simd.fma(up, p, down));
    let z = simd.div(down, sum);
    simd.select(simd.lt(x, simd.splat(0.0)), z, simd.sub(simd.splat(1.0), z))
}

/// Coefficients of `s(a)` with `2^-s(a) = erfc(a / sqrt 2) / 2`, for `0 <= a <= 7`.
const GELU: [f32; 9] = [
    1.0,
    1.151_112_9,
    0.459_126_56,
    0.052_773_297,
    -0.007_486_657_7,
    0.000_466_807_57,
    5.082_698e-5,
    -1.173_684_2e-5,
    6.364_802e-7,
];

/// `x Φ(x)`, Φ being the normal distribution: within 3e-7 of `max(|result|, min(|x|, 1))`.
///
/// Where x is negative the result is small without being a difference of larger numbers: it is
/// relatively accurate down to x = -6, and 0 from -12.
/// `gelu(inf) = inf`, `gelu(-inf)` is NaN as the product of infinity and 0, NaN stays NaN.
#[inline(always)]
pub fn gelu<S: Arithmetic>(simd: S, x: S::F32) -> S::F32 {
    // The distribution on the negative side is 2^-s, whose exponent is as smooth as can be: one
    // polynomial and no reduction but that to whole powers of two. The other side is 1 - 2^-s.
    let s = horner(simd, simd.abs(x), GELU);
    // At 127 the biased exponent is zero, and so is the scale. A NaN passes.
    let s = simd.min(simd.splat(BIAS), s);
    let rounder = simd.splat(ROUNDER + BIAS);
    let shifted = simd.sub(rounder, s);
    let r = simd.sub(simd.sub(rounder, shifted), s);
    let scale = simd.bits_to_f32(simd.shl_i32::<23>(simd.bits(shifted)));
    let tail = simd.mul(horner(simd, r, EXP2), scale);
    let rest = simd.sub(simd.splat(1.0), tail);
    simd.mul(x, simd.select(simd.lt(x, simd.splat(0.0)), tail, rest))
}

/// `x / 2 (1 + tanh(sqrt(2 / π) (x + 0.044715 x³)))`, which is `x / (1 + e^t)` with a cubic `t`:
/// within 4e-7 of `max(|result|, min(|x|, 1))`.
///
/// `gelu_tanh(inf) = inf`, `gelu_tanh(-inf)` is NaN, NaN stays NaN.
#[inline(always)]
pub fn gelu_tanh<S: Arithmetic>(simd: S, x: S::F32) -> S::F32 {
    // -2 sqrt(2 / π), and that times 0.044715.
    let (linear, cubic) = (simd.splat(-2.0 * 0.797_884_6), simd.splat(-0.071_354_814));
    let t = simd.mul(x, simd.fma(simd.mul(x, x), cubic, linear));
    // From 88.4 up the scale is infinite, and with it the power: the quotient is 0, or NaN at -inf.
    let e = exp_nonpositive(simd, simd.min(simd.splat(89.0), t));
    simd.div(x, simd.add(simd.splat(1.0), e))
}

/// Coefficients of `(tanh(a) / a - 1) / a^2` in `a^2`, for `a <= 0.625`.
const TANH: [f32; 5] = [
    -0.333_332_8,
    0.133_314_42,
    -0.053_739_715,
    0.020_639_088,
    -0.005_704_987_3,
];

/// The hyperbolic tangent: within 1.79 and 1.33 ulp, 0.55 ns per element.
///
/// `tanh(-0) = -0`, `tanh(±inf) = ±1`, NaN stays NaN.
#[inline(always)]
pub fn tanh<S: Arithmetic>(simd: S, x: S::F32) -> S::F32 {
    // 1 - 2 / (1 + e^2a) loses nothing while the quotient is below a half.
    let one = simd.splat(1.0);
    let a = simd.min(simd.splat(10.0), simd.abs(x));
    let (shifted, power) = match S::TIER {
        Tier::Portable => {
            let (n, r) = reduce(simd, simd.add(a, a), BIAS);
            (n, exp_reduced(simd, r))
        }
        _ => {
            // 2^n 2^r, as in `exp_nonpositive`. What the factor lacks of 2 log2 e is an eighth of a unit of
            // the result where the quotient counts most.
            let (rounder, factor) = (simd.splat(ROUNDER + BIAS), simd.splat(2.0 * LOG2_E));
            let shifted = simd.fma(a, factor, rounder);
            let r = simd.fma(a, factor, simd.sub(rounder, shifted));
            (simd.bits(shifted), horner(simd, r, EXP2))
        }
    };
    let scale = simd.bits_to_f32(simd.shl_i32::<23>(shifted));
    // The product by a power of two is exact, with or without fma.
    let sum = simd.fma(power, scale, one);
    let large = simd.sub(one, simd.div(simd.splat(2.0), sum));
    // Below that, an odd polynomial.
    let square = simd.mul(a, a);
    let odd = match S::TIER {
        Tier::Portable => polynomial(simd, square, TANH),
        _ => horner(simd, square, TANH),
    };
    let small = simd.fma(simd.mul(a, square), odd, a);
    simd.copysign(simd.select(simd.lt(a, simd.splat(0.625)), small, large), x)
}

/// Coefficients of `-ln(erfc(a)) / a - 1 = ERF_SLOPE + a ERF(a)` for `0 <= a <= 3.95`.
const ERF_SLOPE: f32 = 0.128_379_17;
const ERF: [f32; 9] = [
    0.636_619_87,
    0.102_771_275,
    -0.019_117_694,
    -0.000_253_061,
    0.001_799_353_6,
    -0.000_740_685_7,
    0.000_167_480_83,
    -2.135_454_3e-5,
    1.193_294_2e-6,
];

/// The error function: within 1.60 and 1.61 ulp.
///
/// `erf(-0) = -0`, `erf(±inf) = ±1`, NaN stays NaN.
#[inline(always)]
pub fn erf<S: Arithmetic>(simd: S, x: S::F32) -> S::F32 {
    // 1 - e^-t with t = -ln(erfc(a)), which is smooth: one polynomial serves
    // the whole range, and e^-t - 1 keeps its relative accuracy near zero.
    let a = simd.min(simd.splat(3.95), simd.abs(x));
    let slope = simd.fma(a, polynomial(simd, a, ERF), simd.splat(ERF_SLOPE));
    let rest = simd.mul(a, slope);
    let t = simd.add(a, rest);
    // What rounding t loses (exact: the first term is the larger) is as much as
    // a unit of the result, and is made up for in e^-t - 1.
    let lost = simd.sub(simd.sub(t, a), rest);
    let (n, r) = reduce(simd, simd.neg(t), BIAS);
    let scale = simd.bits_to_f32(simd.shl_i32::<23>(n));
    let tail = simd.fma(simd.mul(r, r), polynomial(simd, r, EXP), lost);
    // The product by a power of two is exact, with or without fma.
    let y = simd.fma(scale, simd.add(r, tail), simd.sub(scale, simd.splat(1.0)));
    simd.copysign(y, x)
}

/// Coefficients of `(ln(1 + f) - f + f^2 / 2) / f^3` for `|f| <= 1 / 3`.
const LOG: [f32; 8] = [
    0.333_332_15,
    -0.249_997_97,
    0.200_104_06,
    -0.166_804_87,
    0.140_058_68,
    -0.121_842_6,
    0.139_844_37,
    -0.128_916_89,
];

/// The natural logarithm: within 0.96 and 0.98 ulp, 0.79 ns per element.
///
/// Denormals are as accurate as the rest; `log(±0) = -inf`, `log(inf) = inf`,
/// negative numbers give NaN, NaN stays NaN.
#[inline(always)]
pub fn log<S: Arithmetic>(simd: S, x: S::F32) -> S::F32 {
    let zero = simd.splat(0.0);
    // Denormals are scaled to normal numbers.
    let tiny = simd.lt(x, simd.splat(f32::MIN_POSITIVE));
    let normal = simd.select(tiny, simd.mul(x, simd.splat(33_554_432.0)), x);
    // normal = 2^n (1 + f), 2/3 <= 1 + f < 4/3: subtracting the bits of 2/3
    // borrows from the exponent when the mantissa lies below it.
    let low = simd.splat_i32(0x3f2a_aaab);
    let shifted = simd.sub_i32(simd.bits(normal), low);
    let mantissa = simd.and_i32(shifted, simd.splat_i32(0x007f_ffff));
    let f = simd.sub(
        simd.bits_to_f32(simd.add_i32(mantissa, low)),
        simd.splat(1.0),
    );
    let n = simd.to_f32(simd.shr_i32::<23>(shifted));
    let n = simd.add(n, simd.select(tiny, simd.splat(-25.0), zero));
    // ln x = n ln 2 + f - f^2 / 2 + f^3 P(f), small terms first.
    let tail = simd.fma(polynomial(simd, f, LOG), f, simd.splat(-0.5));
    let y = simd.mul(simd.mul(f, f), tail);
    let y = simd.add(f, simd.fma(n, simd.splat(LN_2_LOW), y));
    let y = simd.fma(n, simd.splat(LN_2_HIGH), y);
    // inf and NaN are their own logarithm.
    let y = simd.select(simd.lt(x, simd.splat(f32::INFINITY)), y, x);
    let y = simd.select(simd.lt(x, zero), simd.splat(f32::NAN), y);
    simd.select(simd.eq(x, zero), simd.splat(f32::NEG_INFINITY), y)
}
