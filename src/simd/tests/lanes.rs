//! Arithmetic, masks, conversions and reductions, lane by lane.

use super::{
    Random, cases, floats, integers, isas, of_floats, of_integers, pairs_f32, pairs_i32,
    special_f32, special_i32,
};
use crate::simd::{Simd, Tier, dispatch};

/// The same bits, or both NaN: arithmetic does not promise which NaN.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// The same bits, whatever they mean.
fn identical(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits()
}

/// Checks one operation of one or two floats against scalars.
#[inline(always)]
fn check_floats<S: Simd>(
    simd: S,
    name: &str,
    call: impl Fn(S::F32, S::F32) -> S::F32,
    want: impl Fn(f32, f32) -> f32,
    equal: fn(f32, f32) -> bool,
) {
    for pairs in pairs_f32().chunks(S::LANES) {
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
        let got = of_floats(simd, call(floats(simd, &a), floats(simd, &b)));
        for (&(a, b), got) in pairs.iter().zip(got) {
            let (want, tier) = (want(a, b), S::TIER.name());
            assert!(
                equal(got, want),
                "{tier}: {name}({a:e}, {b:e}) = {got:e}, not {want:e}"
            );
        }
    }
}

#[inline(always)]
fn arithmetic<S: Simd>(simd: S) {
    check_floats(simd, "add", |a, b| simd.add(a, b), |a, b| a + b, same);
    check_floats(simd, "sub", |a, b| simd.sub(a, b), |a, b| a - b, same);
    check_floats(simd, "mul", |a, b| simd.mul(a, b), |a, b| a * b, same);
    check_floats(simd, "div", |a, b| simd.div(a, b), |a, b| a / b, same);
    check_floats(simd, "sqrt", |a, _| simd.sqrt(a), |a, _| a.sqrt(), same);
    check_floats(simd, "floor", |a, _| simd.floor(a), |a, _| a.floor(), same);
    check_floats(simd, "ceil", |a, _| simd.ceil(a), |a, _| a.ceil(), same);
    check_floats(simd, "trunc", |a, _| simd.trunc(a), |a, _| a.trunc(), same);
    check_floats(
        simd,
        "round",
        |a, _| simd.round(a),
        |a, _| a.round_ties_even(),
        same,
    );

    let sign = 1 << 31;
    let (min, max) = (
        |a, b| if a < b { a } else { b },
        |a, b| if a > b { a } else { b },
    );
    check_floats(simd, "min", |a, b| simd.min(a, b), min, identical);
    check_floats(simd, "max", |a, b| simd.max(a, b), max, identical);
    let neg = |a: f32, _| f32::from_bits(a.to_bits() ^ sign);
    check_floats(simd, "neg", |a, _| simd.neg(a), neg, identical);
    let abs = |a: f32, _| f32::from_bits(a.to_bits() & !sign);
    check_floats(simd, "abs", |a, _| simd.abs(a), abs, identical);
    let copysign = |a: f32, b: f32| f32::from_bits((a.to_bits() & !sign) | (b.to_bits() & sign));
    check_floats(
        simd,
        "copysign",
        |a, b| simd.copysign(a, b),
        copysign,
        identical,
    );

    for v in special_f32() {
        assert!(
            of_floats(simd, simd.splat(v))
                .iter()
                .all(|lane| lane.to_bits() == v.to_bits())
        );
    }
    assert!(
        of_floats(simd, simd.zero())
            .iter()
            .all(|lane| lane.to_bits() == 0)
    );
}

/// `f32::mul_add` is exact everywhere; the portable tier is the one that rounds twice.
#[inline(always)]
fn fused<S: Simd>(simd: S) {
    let special = special_f32();
    let mut triples = Vec::new();
    for &a in &special {
        for &b in &special {
            triples.extend([1.0, -0.0, -a * b, f32::NAN, f32::INFINITY].map(|c| (a, b, c)));
        }
    }
    let mut random = Random::new();
    triples.extend((0..cases(4000)).map(|_| (random.f32(), random.f32(), random.f32())));
    // Products close to the addend: what the second rounding would lose.
    triples.extend((0..cases(4000)).map(|_| {
        let (a, b) = (random.moderate(), random.moderate());
        (
            a,
            b,
            -a * b * (1.0 + (random.below(3) as f32 - 1.0) * f32::EPSILON),
        )
    }));
    let mut differs = false;
    for triples in triples.chunks(S::LANES) {
        let [a, b, c] = [0, 1, 2].map(|k| {
            triples
                .iter()
                .map(|t| [t.0, t.1, t.2][k])
                .collect::<Vec<f32>>()
        });
        let (a, b, c) = (floats(simd, &a), floats(simd, &b), floats(simd, &c));
        let plus = of_floats(simd, simd.fma(a, b, c));
        let minus = of_floats(simd, simd.neg_fma(a, b, c));
        for (i, &(a, b, c)) in triples.iter().enumerate() {
            let once = (a.mul_add(b, c), (-a).mul_add(b, c));
            let twice = (a * b + c, c - a * b);
            let want = if S::TIER == Tier::Portable {
                twice
            } else {
                once
            };
            assert!(
                same(plus[i], want.0),
                "fma({a:e}, {b:e}, {c:e}) = {:e}, not {:e}",
                plus[i],
                want.0
            );
            assert!(
                same(minus[i], want.1),
                "neg_fma({a:e}, {b:e}, {c:e}) = {:e}, not {:e}",
                minus[i],
                want.1
            );
            differs |= !same(once.0, twice.0);
        }
    }
    assert!(differs, "the inputs do not tell one rounding from two");
}

#[inline(always)]
fn comparisons<S: Simd>(simd: S) {
    for pairs in pairs_f32().chunks_exact(S::LANES) {
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
        let (va, vb) = (floats(simd, &a), floats(simd, &b));
        let bits = |f: fn(f32, f32) -> bool| {
            (0..S::LANES).fold(0, |m, i| m | u32::from(f(a[i], b[i])) << i)
        };
        assert_eq!(simd.mask_bits(simd.lt(va, vb)), bits(|a, b| a < b));
        assert_eq!(simd.mask_bits(simd.le(va, vb)), bits(|a, b| a <= b));
        assert_eq!(simd.mask_bits(simd.eq(va, vb)), bits(|a, b| a == b));
        assert_eq!(simd.mask_bits(simd.gt(va, vb)), bits(|a, b| a > b));
        assert_eq!(simd.mask_bits(simd.ge(va, vb)), bits(|a, b| a >= b));
        assert_eq!(simd.mask_bits(simd.is_nan(va)), bits(|a, _| a.is_nan()));
    }
    for pairs in pairs_i32().chunks_exact(S::LANES) {
        let (a, b): (Vec<i32>, Vec<i32>) = pairs.iter().copied().unzip();
        let (va, vb) = (integers(simd, &a), integers(simd, &b));
        let bits = |f: fn(i32, i32) -> bool| {
            (0..S::LANES).fold(0, |m, i| m | u32::from(f(a[i], b[i])) << i)
        };
        assert_eq!(simd.mask_bits(simd.eq_i32(va, vb)), bits(|a, b| a == b));
        assert_eq!(simd.mask_bits(simd.gt_i32(va, vb)), bits(|a, b| a > b));
    }
}

/// The mask with these bits.
#[inline(always)]
fn mask<S: Simd>(simd: S, bits: u32) -> S::Mask {
    let lanes: Vec<i32> = (0..S::LANES).map(|i| (bits >> i & 1) as i32).collect();
    simd.gt_i32(integers(simd, &lanes), simd.splat_i32(0))
}

#[inline(always)]
fn masks<S: Simd>(simd: S) {
    let every = u32::MAX >> (32 - S::LANES);
    let mut random = Random::new();
    let mut words = vec![0, every, 1, every ^ 1, 1 << (S::LANES - 1)];
    words.extend((0..300).map(|_| random.bits() & every));
    for &p in &words {
        let q = random.bits() & every;
        let (m, n) = (mask(simd, p), mask(simd, q));
        assert_eq!(simd.mask_bits(m), p);
        assert_eq!(simd.mask_bits(simd.and(m, n)), p & q);
        assert_eq!(simd.mask_bits(simd.or(m, n)), p | q);
        assert_eq!(simd.mask_bits(simd.not(m)), !p & every);
        assert_eq!(simd.any(m), p != 0);
        assert_eq!(simd.all(m), p == every);

        let a: Vec<i32> = (0..S::LANES).map(|_| random.i32()).collect();
        let b: Vec<i32> = (0..S::LANES).map(|_| random.i32()).collect();
        let want: Vec<i32> = (0..S::LANES)
            .map(|i| if p >> i & 1 == 1 { a[i] } else { b[i] })
            .collect();
        let (a, b) = (integers(simd, &a), integers(simd, &b));
        assert_eq!(of_integers(simd, simd.select_i32(m, a, b)), want);
        let chosen = simd.select(m, simd.bits_to_f32(a), simd.bits_to_f32(b));
        assert_eq!(of_integers(simd, simd.bits(chosen)), want);
    }
    for count in (0..=S::LANES + 1).chain([32, 33, 1 << 32, usize::MAX]) {
        let want = (0..S::LANES)
            .filter(|&i| i < count)
            .fold(0, |m, i| m | 1 << i);
        assert_eq!(simd.mask_bits(simd.first(count)), want, "first({count})");
    }
}

#[inline(always)]
fn integer_arithmetic<S: Simd>(simd: S) {
    macro_rules! check {
        ($($call:expr, $a:ident, $b:ident => $want:expr;)*) => {$(
            for pairs in pairs_i32().chunks_exact(S::LANES) {
                let (a, b): (Vec<i32>, Vec<i32>) = pairs.iter().copied().unzip();
                let call = $call;
                let got = of_integers(simd, call(integers(simd, &a), integers(simd, &b)));
                #[allow(unused_variables)]
                let want: Vec<i32> = pairs.iter().map(|&($a, $b)| $want).collect();
                assert_eq!(got, want, "{}: {} of {pairs:?}", S::TIER.name(), stringify!($want));
            }
        )*};
    }
    check! {
        |a, b| simd.add_i32(a, b), a, b => a.wrapping_add(b);
        |a, b| simd.sub_i32(a, b), a, b => a.wrapping_sub(b);
        |a, b| simd.mul_i32(a, b), a, b => a.wrapping_mul(b);
        |a, b| simd.min_i32(a, b), a, b => a.min(b);
        |a, b| simd.max_i32(a, b), a, b => a.max(b);
        |a, b| simd.and_i32(a, b), a, b => a & b;
        |a, b| simd.or_i32(a, b), a, b => a | b;
        |a, b| simd.xor_i32(a, b), a, b => a ^ b;
        |a, _| simd.shl_i32::<1>(a), a, b => a << 1;
        |a, _| simd.shl_i32::<8>(a), a, b => a << 8;
        |a, _| simd.shl_i32::<23>(a), a, b => a << 23;
        |a, _| simd.shl_i32::<31>(a), a, b => a << 31;
        |a, _| simd.shr_i32::<1>(a), a, b => a >> 1;
        |a, _| simd.shr_i32::<8>(a), a, b => a >> 8;
        |a, _| simd.shr_i32::<23>(a), a, b => a >> 23;
        |a, _| simd.shr_i32::<31>(a), a, b => a >> 31;
    }
    assert_eq!(
        of_integers(simd, simd.iota()),
        (0..S::LANES as i32).collect::<Vec<_>>()
    );
    for v in special_i32() {
        assert_eq!(of_integers(simd, simd.splat_i32(v)), vec![v; S::LANES]);
    }
}

#[inline(always)]
fn conversions<S: Simd>(simd: S) {
    let mut random = Random::new();
    let mut values = special_i32();
    values.extend((0..cases(4000)).map(|_| random.i32()));
    for values in values.chunks_exact(S::LANES) {
        let got = of_floats(simd, simd.to_f32(integers(simd, values)));
        assert_eq!(
            got,
            values.iter().map(|&v| v as f32).collect::<Vec<_>>(),
            "to_f32 of {values:?}"
        );
        let back = simd.bits(simd.bits_to_f32(integers(simd, values)));
        assert_eq!(of_integers(simd, back), values);
    }
    // 2^31 itself is out of range, -2^31 is not.
    let mut values: Vec<f32> = special_f32()
        .into_iter()
        .chain([-2_147_483_648.0])
        .collect();
    values.extend((0..cases(2000)).map(|_| random.f32()));
    values.extend((0..cases(2000)).map(|_| random.moderate()));
    values.extend((0..cases(2000)).map(|_| random.i32() as f32 * 0.5));
    values.retain(|v| (-2_147_483_648.0..2_147_483_648.0).contains(v));
    for values in values.chunks_exact(S::LANES) {
        let v = floats(simd, values);
        let rounded: Vec<i32> = values.iter().map(|v| v.round_ties_even() as i32).collect();
        assert_eq!(
            of_integers(simd, simd.round_to_i32(v)),
            rounded,
            "round_to_i32 of {values:?}"
        );
        let truncated: Vec<i32> = values.iter().map(|&v| v as i32).collect();
        assert_eq!(
            of_integers(simd, simd.trunc_to_i32(v)),
            truncated,
            "trunc_to_i32 of {values:?}"
        );
    }
    // Unspecified, but nothing worse.
    for v in [f32::NAN, f32::INFINITY, -f32::INFINITY, 1e19, -1e19] {
        of_integers(simd, simd.round_to_i32(simd.splat(v)));
        of_integers(simd, simd.trunc_to_i32(simd.splat(v)));
    }
}

/// The tree that every tier follows: halves onto each other until one lane is left.
fn tree(lanes: &[f32], f: fn(f32, f32) -> f32) -> f32 {
    let (low, high) = lanes.split_at(lanes.len() / 2);
    match low {
        [] => high[0],
        _ => tree(
            &low.iter()
                .zip(high)
                .map(|(&a, &b)| f(a, b))
                .collect::<Vec<_>>(),
            f,
        ),
    }
}

#[inline(always)]
fn reductions<S: Simd>(simd: S) {
    let mut random = Random::new();
    for round in 0..cases(3000) {
        let lanes: Vec<f32> = (0..S::LANES)
            .map(|_| {
                if round % 2 == 0 {
                    random.moderate()
                } else {
                    random.f32()
                }
            })
            .filter(|v| !v.is_nan())
            .chain(std::iter::repeat(f32::INFINITY))
            .take(S::LANES)
            .collect();
        let v = floats(simd, &lanes);
        assert!(
            same(simd.reduce_add(v), tree(&lanes, |a, b| a + b)),
            "sum of {lanes:?}"
        );
        assert_eq!(
            simd.reduce_min(v),
            tree(&lanes, f32::min),
            "minimum of {lanes:?}"
        );
        assert_eq!(
            simd.reduce_max(v),
            tree(&lanes, f32::max),
            "maximum of {lanes:?}"
        );
        // With NaN in some lane: some lane.
        let mut lanes = lanes;
        lanes[random.below(S::LANES)] = f32::NAN;
        let v = floats(simd, &lanes);
        assert!(simd.reduce_add(v).is_nan());
        for got in [simd.reduce_min(v), simd.reduce_max(v)] {
            assert!(
                lanes.iter().any(|&lane| same(lane, got)),
                "{got} is no lane of {lanes:?}"
            );
        }
    }
    for at in 0..S::LANES {
        let mut lanes = vec![0.0; S::LANES];
        lanes[at] = -3.0;
        assert_eq!(simd.reduce_min(floats(simd, &lanes)), -3.0);
        assert_eq!(simd.reduce_add(floats(simd, &lanes)), -3.0);
        lanes[at] = 3.0;
        assert_eq!(simd.reduce_max(floats(simd, &lanes)), 3.0);
    }
}

macro_rules! on_every_tier {
    ($($test:ident: $check:ident;)*) => {$(
        #[test]
        fn $test() {
            for isa in isas() {
                dispatch!(isa, simd => $check(simd));
            }
        }
    )*};
}

on_every_tier! {
    float_arithmetic_is_ieee: arithmetic;
    fma_rounds_as_documented: fused;
    comparisons_are_false_for_nan: comparisons;
    masks_have_a_bit_per_lane: masks;
    integers_wrap: integer_arithmetic;
    conversions_round_as_documented: conversions;
    reductions_follow_the_tree: reductions;
}
