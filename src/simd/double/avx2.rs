//! Doubles of AVX2: four.

use super::Double;
use crate::simd::Avx2;
use core::arch::x86_64::*;

macro_rules! safe_ops {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) -> $ret {
            // SAFETY: the token proves that the CPU has AVX2.
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

impl Double for Avx2 {
    type F64 = __m256d;

    memory_ops! {
        load_f64_ptr(ptr: *const f64) -> __m256d = _mm256_loadu_pd(ptr);
        load_widened_ptr(ptr: *const f32) -> __m256d = _mm256_cvtps_pd(_mm_loadu_ps(ptr));
        store_f64_ptr(ptr: *mut f64, v: __m256d) = _mm256_storeu_pd(ptr, v);
    }

    safe_ops! {
        splat_f64(value: f64) -> __m256d = _mm256_set1_pd(value);
        add_f64(a: __m256d, b: __m256d) -> __m256d = _mm256_add_pd(a, b);
        sub_f64(a: __m256d, b: __m256d) -> __m256d = _mm256_sub_pd(a, b);
        mul_f64(a: __m256d, b: __m256d) -> __m256d = _mm256_mul_pd(a, b);
        min_f64(a: __m256d, b: __m256d) -> __m256d = _mm256_min_pd(a, b);
        max_f64(a: __m256d, b: __m256d) -> __m256d = _mm256_max_pd(a, b);
        select_lt_f64(a: __m256d, b: __m256d, yes: __m256d, no: __m256d) -> __m256d =
            _mm256_blendv_pd(no, yes, _mm256_cmp_pd::<_CMP_LT_OQ>(a, b));
        keep_le_f64(a: __m256d, b: __m256d, yes: __m256d) -> __m256d =
            _mm256_and_pd(_mm256_cmp_pd::<_CMP_LE_OQ>(a, b), yes);
        eq_bits_f64(a: __m256d, b: __m256d) -> u32 =
            _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_EQ_OQ>(a, b)) as u32;
        le_bits_f64(a: __m256d, b: __m256d) -> u32 =
            _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LE_OQ>(a, b)) as u32;
    }
}
