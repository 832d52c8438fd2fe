//! Distances of two rows, directly: what decides close calls.

use crate::simd::Simd;

/// Sums of f64 that a row is spread over, so that additions do not wait for each other.
const CHAINS: usize = 8;

/// `Σ term(a, b)` in f64, in a fixed order.
#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sums = [0.0f64; CHAINS];
    let (a, b) = (a.as_chunks::<CHAINS>(), b.as_chunks::<CHAINS>());
    for (a, b) in a.0.iter().zip(b.0) {
        for i in 0..CHAINS {
            sums[i] += term(f64::from(a[i]), f64::from(b[i]));
        }
    }
    for (sum, (&a, &b)) in sums.iter_mut().zip(a.1.iter().zip(b.1)) {
        *sum += term(f64::from(a), f64::from(b));
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// `Σ (a - b)²`, in f64.
#[inline(always)]
pub fn squared(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| (a - b) * (a - b))
}

/// `Σ a b`, in f64.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| a * b)
}

/// `Σ |a - b|`, in f64.
#[inline(always)]
pub fn absolute(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| (a - b).abs())
}

/// `Σ (a - b)²` in f32 over four vectors of sums: never negative, no cancellation, 0 for equal rows.
#[inline(always)]
pub fn squared_f32<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    assert!(a.len() == b.len());
    let mut sums = [simd.zero(); 4];
    let mut at = 0;
    // SAFETY: whole vectors inside of both rows, and a last one that is as long as what is left.
    unsafe {
        let (a, b, len) = (a.as_ptr(), b.as_ptr(), a.len());
        while at + 4 * S::LANES <= len {
            for (i, sum) in sums.iter_mut().enumerate() {
                let at = at + i * S::LANES;
                let t = simd.sub(simd.load_ptr(a.add(at)), simd.load_ptr(b.add(at)));
                *sum = simd.fma(t, t, *sum);
            }
            at += 4 * S::LANES;
        }
        while at < len {
            let left = len - at;
            let x = simd.load_partial_ptr(a.add(at), left);
            let t = simd.sub(x, simd.load_partial_ptr(b.add(at), left));
            sums[0] = simd.fma(t, t, sums[0]);
            at += S::LANES;
        }
    }
    let [a, b, c, d] = sums;
    simd.reduce_add(simd.add(simd.add(a, b), simd.add(c, d)))
}
