//! Doubles of Advanced SIMD: two.

use super::Double;
use crate::simd::Neon;
use core::arch::aarch64::*;

macro_rules! safe_ops {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        #[allow(unused_unsafe)]
        fn $name(self, $($arg: $ty),*) -> $ret {
            // SAFETY: the token proves that the CPU has Advanced SIMD.
            unsafe { $body }
        }
    )*};
}

macro_rules! memory_ops {
    ($($name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? = $body:expr;)*) => {$(
        #[inline(always)]
        unsafe fn $name(self, $($arg: $ty),*) $(-> $ret)? {
            // SAFETY: the token proves the feature, the caller the memory.
            unsafe { $body }
        }
    )*};
}

/// Bit `i` is the sign of lane `i`.
#[inline(always)]
fn bits(mask: uint64x2_t) -> u32 {
    // SAFETY: the token of the caller proves that the CPU has Advanced SIMD.
    unsafe { (vgetq_lane_u64::<0>(mask) & 1 | vgetq_lane_u64::<1>(mask) & 2) as u32 }
}

impl Double for Neon {
    type F64 = float64x2_t;

    memory_ops! {
        load_f64_ptr(ptr: *const f64) -> float64x2_t = vld1q_f64(ptr);
        load_widened_ptr(ptr: *const f32) -> float64x2_t = vcvt_f64_f32(vld1_f32(ptr));
        store_f64_ptr(ptr: *mut f64, v: float64x2_t) = vst1q_f64(ptr, v);
    }

    safe_ops! {
        splat_f64(value: f64) -> float64x2_t = vdupq_n_f64(value);
        add_f64(a: float64x2_t, b: float64x2_t) -> float64x2_t = vaddq_f64(a, b);
        sub_f64(a: float64x2_t, b: float64x2_t) -> float64x2_t = vsubq_f64(a, b);
        mul_f64(a: float64x2_t, b: float64x2_t) -> float64x2_t = vmulq_f64(a, b);
        min_f64(a: float64x2_t, b: float64x2_t) -> float64x2_t = vbslq_f64(vcltq_f64(a, b), a, b);
        max_f64(a: float64x2_t, b: float64x2_t) -> float64x2_t = vbslq_f64(vcgtq_f64(a, b), a, b);
        select_lt_f64(a: float64x2_t, b: float64x2_t, yes: float64x2_t, no: float64x2_t) -> float64x2_t =
            vbslq_f64(vcltq_f64(a, b), yes, no);
        keep_le_f64(a: float64x2_t, b: float64x2_t, yes: float64x2_t) -> float64x2_t =
            vbslq_f64(vcleq_f64(a, b), yes, vdupq_n_f64(0.0));
        eq_bits_f64(a: float64x2_t, b: float64x2_t) -> u32 = bits(vceqq_f64(a, b));
        le_bits_f64(a: float64x2_t, b: float64x2_t) -> u32 = bits(vcleq_f64(a, b));
    }
}
