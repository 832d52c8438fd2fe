//! Distances of two rows, directly: what decides close calls.

use crate::simd::{Double, Simd};

/// Sums of f64 that a row is spread over, on every tier: so that additions do not wait for each other, and
/// that the sum is the same everywhere.
const CHAINS: usize = 8;
/// The most vectors that these are.
const VECTORS: usize = 4;

const SQUARED: u8 = 0;
const DOT: u8 = 1;
const ABSOLUTE: u8 = 2;

/// The sum over two rows in f64, in a fixed order.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn sum<S: Double, const KIND: u8>(simd: S, a: &[f32], b: &[f32]) -> f64 {
    assert!(a.len() == b.len());
    let vectors = const { CHAINS / S::DOUBLES };
    let mut sums = [simd.splat_f64(0.0); VECTORS];
    let whole = a.len() / CHAINS * CHAINS;
    for at in (0..whole).step_by(CHAINS) {
        for v in 0..vectors {
            // SAFETY: inside of `CHAINS` elements of both rows.
            let (x, y) = unsafe {
                let at = at + v * S::DOUBLES;
                (
                    simd.load_widened_ptr(a.as_ptr().add(at)),
                    simd.load_widened_ptr(b.as_ptr().add(at)),
                )
            };
            let term = match KIND {
                SQUARED => {
                    let t = simd.sub_f64(x, y);
                    simd.mul_f64(t, t)
                }
                DOT => simd.mul_f64(x, y),
                _ => simd.max_f64(simd.sub_f64(x, y), simd.sub_f64(y, x)),
            };
            sums[v] = simd.add_f64(sums[v], term);
        }
    }
    let mut chains = [0.0f64; CHAINS];
    for v in 0..vectors {
        // SAFETY: `vectors` times DOUBLES is CHAINS.
        unsafe { simd.store_f64_ptr(chains.as_mut_ptr().add(v * S::DOUBLES), sums[v]) };
    }
    for (sum, (&x, &y)) in chains.iter_mut().zip(a[whole..].iter().zip(&b[whole..])) {
        let (x, y) = (f64::from(x), f64::from(y));
        *sum += match KIND {
            SQUARED => (x - y) * (x - y),
            DOT => x * y,
            _ => (x - y).abs(),
        };
    }
    let [a, b, c, d, e, f, g, h] = chains;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// `Σ (a - b)²`, in f64.
#[inline(always)]
pub fn squared<S: Double>(simd: S, a: &[f32], b: &[f32]) -> f64 {
    sum::<S, SQUARED>(simd, a, b)
}

/// `Σ a b`, in f64.
#[inline(always)]
pub fn dot<S: Double>(simd: S, a: &[f32], b: &[f32]) -> f64 {
    sum::<S, DOT>(simd, a, b)
}

/// `Σ |a - b|`, in f64.
#[inline(always)]
pub fn absolute<S: Double>(simd: S, a: &[f32], b: &[f32]) -> f64 {
    sum::<S, ABSOLUTE>(simd, a, b)
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
