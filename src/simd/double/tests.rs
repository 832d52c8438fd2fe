//! Every operation on doubles against plain numbers, on every tier of the machine.

use super::Double;
use crate::simd::dispatch;
use crate::simd::tests::isas;

const VALUES: [f64; 12] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    1.0 + f64::EPSILON,
    0.1,
    -3.7e300,
    5e-324,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    1e16,
];

fn lanes<S: Double>(simd: S, v: S::F64) -> Vec<f64> {
    let mut out = vec![0.0; S::DOUBLES];
    // SAFETY: as many as the vector has.
    unsafe { simd.store_f64_ptr(out.as_mut_ptr(), v) };
    out
}

fn expect(what: &str, got: &[f64], expected: impl Iterator<Item = f64>) {
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let same = got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan());
        assert!(same, "{what}: lane {i} is {got:?}, expected {expected:?}");
    }
}

#[inline(always)]
fn every_pair<S: Double>(simd: S) {
    let n = S::DOUBLES;
    for shift in 0..VALUES.len() {
        let a: Vec<f64> = (0..VALUES.len() + n)
            .map(|i| VALUES[i % VALUES.len()])
            .collect();
        let b: Vec<f64> = (0..a.len())
            .map(|i| VALUES[(i + shift) % VALUES.len()])
            .collect();
        let narrow: Vec<f32> = a.iter().map(|&v| v as f32).collect();
        for at in 0..VALUES.len() {
            let (a, b) = (&a[at..at + n], &b[at..at + n]);
            // SAFETY: n elements each.
            let (x, y) = unsafe { (simd.load_f64_ptr(a.as_ptr()), simd.load_f64_ptr(b.as_ptr())) };
            // SAFETY: n elements.
            let widened = unsafe { simd.load_widened_ptr(narrow[at..at + n].as_ptr()) };
            let wide = narrow[at..at + n].iter().map(|&v| f64::from(v));
            expect("load_widened_ptr", &lanes(simd, widened), wide);
            let pairs = || a.iter().copied().zip(b.iter().copied());
            let one = simd.splat_f64(7.5);
            expect("splat", &lanes(simd, one), [7.5; 8].into_iter());
            expect(
                "add",
                &lanes(simd, simd.add_f64(x, y)),
                pairs().map(|(a, b)| a + b),
            );
            expect(
                "sub",
                &lanes(simd, simd.sub_f64(x, y)),
                pairs().map(|(a, b)| a - b),
            );
            expect(
                "mul",
                &lanes(simd, simd.mul_f64(x, y)),
                pairs().map(|(a, b)| a * b),
            );
            let min = pairs().map(|(a, b)| if a < b { a } else { b });
            expect("min", &lanes(simd, simd.min_f64(x, y)), min);
            let max = pairs().map(|(a, b)| if a > b { a } else { b });
            expect("max", &lanes(simd, simd.max_f64(x, y)), max);
            let choice = pairs().map(|(a, b)| if a < b { 7.5 } else { a });
            expect(
                "select_lt",
                &lanes(simd, simd.select_lt_f64(x, y, one, x)),
                choice,
            );
            let kept = pairs().map(|(a, b)| if a <= b { 7.5 } else { 0.0 });
            expect("keep_le", &lanes(simd, simd.keep_le_f64(x, y, one)), kept);
            let bits = |f: fn(f64, f64) -> bool| {
                pairs()
                    .enumerate()
                    .fold(0, |bits, (i, (a, b))| bits | u32::from(f(a, b)) << i)
            };
            assert_eq!(simd.eq_bits_f64(x, y), bits(|a, b| a == b), "{a:?} {b:?}");
            assert_eq!(simd.le_bits_f64(x, y), bits(|a, b| a <= b), "{a:?} {b:?}");
            let sum = a.iter().copied().reduce(|sum, v| sum + v).unwrap();
            expect(
                "reduce_add",
                &[simd.reduce_add_f64(x)],
                std::iter::once(sum),
            );
            if !a.iter().any(|v| v.is_nan()) {
                let least = a.iter().copied().fold(f64::INFINITY, f64::min);
                assert_eq!(simd.reduce_min_f64(x), least, "{a:?}");
            }
        }
    }
}

#[test]
fn doubles_are_plain_numbers_side_by_side() {
    for isa in isas() {
        dispatch!(isa, simd => every_pair(simd));
    }
}
