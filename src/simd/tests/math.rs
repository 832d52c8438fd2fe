//! The elementary functions against f64 on every tier.
//!
//! By default over the special values and every 1009th float, which takes
//! seconds; with `OMMA_TEST_EVERY_FLOAT=1` over all 2^32 of them, which is how
//! the errors in the documentation were measured; with `OMMA_TEST_QUICK=1` over
//! a fraction that shows whether a tier's operations are put together rightly.

use super::{isas, quick};
use crate::simd::{Isa, Simd, dispatch, math};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A function under test, over a slice.
type Apply = fn(Isa, &[f32], &mut [f32]);

macro_rules! over_slice {
    ($($name:ident),*) => {$(
        fn $name(isa: Isa, x: &[f32], y: &mut [f32]) {
            #[inline(always)]
            fn run<S: Simd>(simd: S, x: &[f32], y: &mut [f32]) {
                for (x, y) in x.chunks(S::LANES).zip(y.chunks_mut(S::LANES)) {
                    simd.store_partial(y, math::$name(simd, simd.load_partial(x)));
                }
            }
            dispatch!(isa, simd => run(simd, x, y));
        }
    )*};
}
over_slice!(
    exp,
    exp_nonpositive,
    log,
    tanh,
    erf,
    sigmoid,
    gelu,
    gelu_tanh
);

/// The distance from `got` to `want` in units of the last place of `want`,
/// as if the exponent had no upper end.
fn ulps(got: f32, want: f64) -> f64 {
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() && want.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    // inf takes the place of 2^128, which is what rounding means by it.
    let top = 2f64.powi(128);
    let biased = (want.to_bits() >> 52) & 0x7ff;
    let unit = f64::from_bits((biased.clamp(1023 - 126, 1023 + 127) - 23) << 52);
    (f64::from(got).clamp(-top, top) - want.clamp(-top, top)).abs() / unit
}

/// Both sides of every value at which a function or its evaluation changes.
fn special() -> Vec<f32> {
    let edges = [
        0.0,
        1e-45,
        1e-40,
        f32::MIN_POSITIVE,
        1e-20,
        1e-4,
        0.173_286_8,
        0.346_573_6,
        0.5,
        0.625,
        2.0 / 3.0,
        1.0,
        1.039_720_8,
        4.0 / 3.0,
        2.0,
        3.832_5,
        3.95,
        9.01,
        10.0,
        16.635_532,
        17.328_68,
        20.0,
        24.0,
        87.336_54,
        88.0,
        88.029_69,
        88.376_26,
        88.722_84,
        89.0,
        103.278_93,
        103.972_08,
        104.0,
        150.0,
        8_388_608.0,
        1e20,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
    ];
    let near =
        |v: f32| (-3..=3).map(move |step| f32::from_bits(v.to_bits().wrapping_add_signed(step)));
    edges
        .into_iter()
        .flat_map(near)
        .flat_map(|v| [v, -v])
        .collect()
}

/// Runs `check` over blocks of sampled floats on all threads of the machine.
fn sampled(check: impl Fn(&[f32]) + Sync) {
    const BLOCK: usize = 1 << 16;
    let stride = if std::env::var_os("OMMA_TEST_EVERY_FLOAT").is_some() {
        1
    } else if quick() {
        20_011
    } else {
        1009
    };
    let next = AtomicUsize::new(0);
    let worker = || {
        loop {
            let first = next.fetch_add(BLOCK, Ordering::Relaxed) * stride;
            let block = (first..1 << 32).step_by(stride).take(BLOCK);
            let x: Vec<f32> = block.map(|bits| f32::from_bits(bits as u32)).collect();
            if x.is_empty() {
                return;
            }
            check(&x);
        }
    };
    check(&special());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
}

/// Asserts that `function` is within its documented error: `fused` on the tiers
/// with fma, `twice` on the portable tier, which rounds twice.
fn within(name: &str, function: Apply, want: impl Fn(f64) -> f64 + Sync, fused: f64, twice: f64) {
    let worst = Mutex::new(vec![(0.0, 0.0f32, 0.0f32); isas().len()]);
    sampled(|x| {
        let want: Vec<f64> = x.iter().map(|&x| want(f64::from(x))).collect();
        for (tier, isa) in isas().into_iter().enumerate() {
            let mut y = vec![0.0; x.len()];
            function(isa, x, &mut y);
            let found = (0..x.len())
                .map(|i| (ulps(y[i], want[i]), x[i], y[i]))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let mut worst = worst.lock().unwrap();
            if let Some(found) = found.filter(|found| found.0 > worst[tier].0) {
                worst[tier] = found;
            }
        }
    });
    for (isa, (error, x, y)) in isas().into_iter().zip(worst.into_inner().unwrap()) {
        let tier = isa.tier().name();
        println!("{name} {tier}: {error:.3} ulp at {x:e}");
        let limit = if tier == "portable" { twice } else { fused };
        assert!(
            error <= limit,
            "{name}({x:e}) = {y:e} on {tier}: off by {error} ulp of {}",
            want(f64::from(x))
        );
    }
}

/// Asserts that on every tier `function` gives exactly `want`; NaN for NaN, and zeros by their sign.
fn exactly(name: &str, function: Apply, cases: &[(f32, f32)]) {
    for isa in isas() {
        for &(x, want) in cases {
            let mut y = [7.0];
            function(isa, &[x], &mut y);
            let same = y[0].to_bits() == want.to_bits() || (y[0].is_nan() && want.is_nan());
            assert!(
                same,
                "{name}({x:e}) = {:e} on {}, expected {want:e}",
                y[0],
                isa.tier().name()
            );
        }
    }
}

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;
const DENORMAL: f32 = 1e-45;

#[test]
fn exp_is_accurate() {
    within("exp", exp, f64::exp, 2.0, 2.0);
    let cases = [
        (0.0, 1.0),
        (-0.0, 1.0),
        (DENORMAL, 1.0),
        (-DENORMAL, 1.0),
        (INF, INF),
        (-INF, 0.0),
        (NAN, NAN),
    ];
    exactly("exp", exp, &cases);
    let edges = [
        (88.722_84, INF),
        (-104.0, 0.0),
        (-103.278_93, DENORMAL),
        (f32::MAX, INF),
        (f32::MIN, 0.0),
    ];
    exactly("exp", exp, &edges);
}

#[test]
fn exp_nonpositive_is_accurate() {
    for isa in isas() {
        sampled(|x| {
            let mut y = vec![0.0; x.len()];
            exp_nonpositive(isa, x, &mut y);
            for (&x, &y) in x.iter().zip(&y).filter(|(x, _)| x.is_nan() || **x <= 88.3) {
                let want = f64::from(x).exp();
                let flushed = want < f64::from(f32::MIN_POSITIVE) && y == 0.0;
                assert!(
                    flushed || ulps(y, want) <= 2.0,
                    "exp_nonpositive({x:e}) = {y:e} on {}",
                    isa.tier().name()
                );
            }
        });
    }
    let cases = [
        (0.0, 1.0),
        (-0.0, 1.0),
        (-DENORMAL, 1.0),
        (-INF, 0.0),
        (f32::MIN, 0.0),
        (-88.1, 0.0),
        (NAN, NAN),
    ];
    exactly("exp_nonpositive", exp_nonpositive, &cases);
}

/// The largest error beside `max(|result|, min(|x|, 1))`.
fn within_of_size(name: &str, apply: Apply, truth: fn(f64) -> f64, limit: f64) {
    for isa in isas() {
        let worst = Mutex::new((0.0, 0.0));
        sampled(|x| {
            let mut y = vec![0.0; x.len()];
            apply(isa, x, &mut y);
            for (&x, &y) in x.iter().zip(&y).filter(|(x, _)| x.is_finite()) {
                let want = truth(f64::from(x));
                let size = want.abs().max(f64::from(x).abs().min(1.0)).max(1e-30);
                let error = (f64::from(y) - want).abs() / size;
                let mut worst = worst.lock().unwrap();
                if error.is_nan() || error > worst.0 {
                    *worst = (error, x);
                }
            }
        });
        let (error, x) = worst.into_inner().unwrap();
        println!("{name} on {}: {error:.3e} at {x:e}", isa.tier().name());
        assert!(
            error <= limit,
            "{name}({x:e}) on {} is {error:e} off",
            isa.tier().name()
        );
    }
}

#[test]
fn gelu_is_accurate() {
    let truth = |x: f64| x / 2.0 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
    within_of_size("gelu", gelu, truth, 3e-7);
    let cases = [
        (0.0, 0.0),
        (-0.0, -0.0),
        (INF, INF),
        (-INF, NAN),
        (NAN, NAN),
        (f32::MIN, -0.0),
    ];
    exactly("gelu", gelu, &cases);
}

#[test]
fn gelu_tanh_is_accurate() {
    // With the sum in front of the hyperbolic tangent written as a quotient, which does not cancel.
    let truth = |x: f64| {
        let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
        x / (1.0 + (-2.0 * u).exp())
    };
    within_of_size("gelu_tanh", gelu_tanh, truth, 4e-7);
    let cases = [
        (0.0, 0.0),
        (-0.0, -0.0),
        (INF, INF),
        (-INF, NAN),
        (NAN, NAN),
        (f32::MIN, -0.0),
    ];
    exactly("gelu_tanh", gelu_tanh, &cases);
}

#[test]
fn log_is_accurate() {
    within("log", log, f64::ln, 2.0, 2.0);
    let cases = [
        (0.0, -INF),
        (-0.0, -INF),
        (1.0, 0.0),
        (INF, INF),
        (NAN, NAN),
        (DENORMAL, -103.278_93),
    ];
    exactly("log", log, &cases);
    exactly(
        "log",
        log,
        &[
            (-DENORMAL, NAN),
            (-1.0, NAN),
            (f32::MIN, NAN),
            (-INF, NAN),
            (-NAN, NAN),
        ],
    );
}

#[test]
fn tanh_is_accurate() {
    within("tanh", tanh, f64::tanh, 2.0, 2.0);
    let cases = [
        (0.0, 0.0),
        (-0.0, -0.0),
        (DENORMAL, DENORMAL),
        (-DENORMAL, -DENORMAL),
        (NAN, NAN),
    ];
    exactly("tanh", tanh, &cases);
    exactly(
        "tanh",
        tanh,
        &[
            (9.1, 1.0),
            (-9.1, -1.0),
            (f32::MAX, 1.0),
            (INF, 1.0),
            (-INF, -1.0),
        ],
    );
}

#[test]
fn erf_is_accurate() {
    within("erf", erf, libm::erf, 2.0, 2.0);
    let cases = [
        (0.0, 0.0),
        (-0.0, -0.0),
        (DENORMAL, DENORMAL),
        (-DENORMAL, -DENORMAL),
        (NAN, NAN),
    ];
    exactly("erf", erf, &cases);
    exactly(
        "erf",
        erf,
        &[
            (3.95, 1.0),
            (-3.95, -1.0),
            (f32::MAX, 1.0),
            (INF, 1.0),
            (-INF, -1.0),
        ],
    );
}

#[test]
fn sigmoid_is_accurate() {
    // The quotient that keeps its digits on each side of zero.
    let want = |x: f64| {
        if x < 0.0 {
            x.exp() / (1.0 + x.exp())
        } else {
            1.0 / (1.0 + (-x).exp())
        }
    };
    within("sigmoid", sigmoid, want, 2.0, 2.0);
    let cases = [
        (0.0, 0.5),
        (-0.0, 0.5),
        (DENORMAL, 0.5),
        (INF, 1.0),
        (-INF, 0.0),
        (f32::MIN, 0.0),
        (NAN, NAN),
    ];
    exactly("sigmoid", sigmoid, &cases);
    exactly(
        "sigmoid",
        sigmoid,
        &[
            (20.0, 1.0),
            (-103.278_93, DENORMAL),
            (-104.0, 0.0),
            (f32::MAX, 1.0),
        ],
    );
}

#[test]
fn units_of_the_last_place_are_counted_from_the_true_value() {
    assert_eq!(ulps(1.0 + f32::EPSILON, 1.0), 1.0);
    assert_eq!(ulps(1.0 - f32::EPSILON / 2.0, 1.0), 0.5);
    assert_eq!(ulps(2.0 * DENORMAL, 0.0), 2.0);
    assert_eq!(ulps(INF, f64::from(f32::MAX)), 1.0);
    assert_eq!(ulps(INF, f64::INFINITY), 0.0);
    assert_eq!(ulps(0.0, -2f64.powi(-149)), 1.0);
    assert_eq!(ulps(NAN, 1.0), f64::INFINITY);
    assert_eq!(ulps(1.0, f64::NAN), f64::INFINITY);
}
