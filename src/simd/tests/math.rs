//! The elementary functions against f64, over the floats.

use crate::simd::{Isa, Simd, dispatch, math};

/// Runs `function` over `x` on `isa`, tails included.
macro_rules! apply {
    ($isa:expr, $function:path, $x:expr, $y:expr) => {{
        #[inline(always)]
        fn run<S: Simd>(simd: S, x: &[f32], y: &mut [f32]) {
            for (x, y) in x.chunks(S::LANES).zip(y.chunks_mut(S::LANES)) {
                simd.store_partial(y, $function(simd, simd.load_partial(x)));
            }
        }
        let (x, y): (&[f32], &mut [f32]) = ($x, $y);
        dispatch!($isa, simd => run(simd, x, y));
    }};
}

/// The distance from `got` to `want` in units of the last place of `want`,
/// as if the exponent had no upper end.
fn ulps(got: f32, want: f64) -> f64 {
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() && want.is_nan() { 0.0 } else { f64::INFINITY };
    }
    // inf takes the place of 2^128, which is what rounding means by it.
    let finite = |v: f64| v.clamp(-(2f64.powi(128)), 2f64.powi(128));
    let (got, want) = (finite(f64::from(got)), finite(want));
    let exponent = if want == 0.0 { -200 } else { want.abs().log2().floor() as i32 };
    (got - want).abs() / 2f64.powi(exponent.clamp(-126, 127) - 23)
}

/// Every `STRIDE`-th float, or all of them when the environment asks for it.
const STRIDE: usize = 1009;

fn stride() -> usize {
    match std::env::var_os("OMMA_TEST_EVERY_FLOAT") {
        Some(_) => 1,
        None => STRIDE,
    }
}

/// Values at which something changes.
fn special() -> Vec<f32> {
    let mut values = vec![0.0, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NAN, 1e-45, 1.0, 1e-40];
    for edge in [0.5f32, 1.0 / 3.0, 2.0 / 3.0, 4.0 / 3.0, 2.0, 3.8325, 3.95, 9.01, 10.0, 16.635532, 17.3, 24.0] {
        values.push(edge);
    }
    for edge in [0.34657359f32, 1.0397208, 87.336544, 88.0, 88.02969, 88.722839, 89.0, 103.27893, 103.97208, 104.0, 150.0] {
        values.push(edge);
    }
    let mut all = Vec::new();
    for v in values {
        for step in -3..=3 {
            let near = f32::from_bits(v.to_bits().wrapping_add_signed(step));
            all.extend([near, -near]);
        }
    }
    all
}

/// The largest error of `got` over the sampled floats, on every tier, and where.
macro_rules! largest {
    ($function:path, $want:expr) => {{
        for isa in Isa::available() {
            let mut worst = (0.0, 0.0f32);
            let mut check = |x: &[f32]| {
                let mut y = vec![0.0f32; x.len()];
                apply!(isa, $function, x, &mut y);
                for (&x, &y) in x.iter().zip(&y) {
                    let error = ulps(y, $want(f64::from(x)));
                    if error > worst.0 {
                        worst = (error, x);
                    }
                }
            };
            check(&special());
            let mut bits = (0..1usize << 32).step_by(stride());
            loop {
                let x: Vec<f32> = bits.by_ref().take(4099).map(|b| f32::from_bits(b as u32)).collect();
                if x.is_empty() {
                    break;
                }
                check(&x);
            }
            let (error, x) = worst;
            println!("{} {}: {error:.3} ulp at {x:e} ({:#x})", stringify!($function), isa.tier().name(), x.to_bits());
        }
    }};
}

#[test]
fn exp() {
    largest!(math::exp, f64::exp);
}
#[test]
fn log() {
    largest!(math::log, f64::ln);
}
#[test]
fn tanh() {
    largest!(math::tanh, f64::tanh);
}
#[test]
fn erf() {
    largest!(math::erf, libm::erf);
}
#[test]
fn sigmoid() {
    largest!(math::sigmoid, |x: f64| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) });
}
