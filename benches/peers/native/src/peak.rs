//! Multiply-adds that never leave the registers: what a core can do at most.

use std::hint::black_box;

const STEPS: usize = 10_000;

/// Twelve independent chains of `fma`, enough to hide its latency at two a cycle.
macro_rules! chains {
    ($set:expr, $fma:expr, $lanes:expr) => {{
        let (x, y) = ($set(black_box(0.5)), $set(black_box(1.0)));
        let mut acc = [y; 12];
        for _ in 0..STEPS {
            for acc in &mut acc {
                *acc = $fma(*acc, x, y);
            }
        }
        black_box(acc);
        2 * 12 * $lanes * STEPS
    }};
}

#[cfg(target_arch = "x86_64")]
mod tiers {
    use super::{STEPS, black_box};
    use core::arch::x86_64::*;

    pub fn portable() -> usize {
        // SAFETY: SSE2 is the baseline.
        unsafe {
            chains!(
                |v| _mm_set1_ps(v),
                |a, x, y| _mm_add_ps(_mm_mul_ps(a, x), y),
                4
            )
        }
    }
    #[target_feature(enable = "avx2,fma")]
    pub fn avx2() -> usize {
        chains!(|v| _mm256_set1_ps(v), |a, x, y| _mm256_fmadd_ps(a, x, y), 8)
    }
    #[target_feature(enable = "avx512f")]
    pub fn avx512() -> usize {
        chains!(
            |v| _mm512_set1_ps(v),
            |a, x, y| _mm512_fmadd_ps(a, x, y),
            16
        )
    }
}

#[cfg(target_arch = "aarch64")]
mod tiers {
    use super::{STEPS, black_box};
    use core::arch::aarch64::*;

    pub fn neon() -> usize {
        // SAFETY: Advanced SIMD is the baseline.
        unsafe { chains!(|v| vdupq_n_f32(v), |a, x, y| vfmaq_f32(y, a, x), 4) }
    }
}

/// Runs the chains of a tier and returns how many operations (two a multiply-add) that were;
/// `None` where the CPU has no such tier.
pub fn run(tier: &str) -> Option<usize> {
    match tier {
        #[cfg(target_arch = "x86_64")]
        "portable" => Some(tiers::portable()),
        #[cfg(target_arch = "x86_64")]
        "avx2" if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") => {
            // SAFETY: just detected.
            Some(unsafe { tiers::avx2() })
        }
        #[cfg(target_arch = "x86_64")]
        "avx512" if is_x86_feature_detected!("avx512f") => {
            // SAFETY: just detected.
            Some(unsafe { tiers::avx512() })
        }
        #[cfg(target_arch = "aarch64")]
        "neon" | "portable" => Some(tiers::neon()),
        _ => None,
    }
}
