//! Doubles of AVX-512: eight.

use super::Double;
use crate::simd::Avx512;
use core::arch::x86_64::*;

macro_rules! safe_ops {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) -> $ret {
            // SAFETY: the token proves that the CPU has AVX-512 F.
            unsafe { $body }
        }
    )*};
}

macro_rules! memory_ops {
    ($($name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? = $body:expr;)*) => {$(
        #[inline(always)]
        unsafe fn $name(self, $($arg: $ty),*) $(-> $ret)? {
            // SAFETY: the token proves the features, the caller the memory.
            unsafe { $body }
        }
    )*};
}

impl Double for Avx512 {
    type F64 = __m512d;

    memory_ops! {
        load_f64_ptr(ptr: *const f64) -> __m512d = _mm512_loadu_pd(ptr);
        load_widened_ptr(ptr: *const f32) -> __m512d = _mm512_cvtps_pd(_mm256_loadu_ps(ptr));
        store_f64_ptr(ptr: *mut f64, v: __m512d) = _mm512_storeu_pd(ptr, v);
    }

    safe_ops! {
        splat_f64(value: f64) -> __m512d = _mm512_set1_pd(value);
        add_f64(a: __m512d, b: __m512d) -> __m512d = _mm512_add_pd(a, b);
        sub_f64(a: __m512d, b: __m512d) -> __m512d = _mm512_sub_pd(a, b);
        mul_f64(a: __m512d, b: __m512d) -> __m512d = _mm512_mul_pd(a, b);
        min_f64(a: __m512d, b: __m512d) -> __m512d = _mm512_min_pd(a, b);
        max_f64(a: __m512d, b: __m512d) -> __m512d = _mm512_max_pd(a, b);
        select_lt_f64(a: __m512d, b: __m512d, yes: __m512d, no: __m512d) -> __m512d =
            _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b), no, yes);
        keep_le_f64(a: __m512d, b: __m512d, yes: __m512d) -> __m512d =
            _mm512_maskz_mov_pd(_mm512_cmp_pd_mask::<_CMP_LE_OQ>(a, b), yes);
        eq_bits_f64(a: __m512d, b: __m512d) -> u32 =
            u32::from(_mm512_cmp_pd_mask::<_CMP_EQ_OQ>(a, b));
        le_bits_f64(a: __m512d, b: __m512d) -> u32 =
            u32::from(_mm512_cmp_pd_mask::<_CMP_LE_OQ>(a, b));
    }
}
