//! Counters of AVX-512: a quarter of a register, a half, or a whole one; comparisons end in masks.

use super::{COUNTERS, Counts};
use crate::simd::Avx512;
use core::arch::x86_64::*;

macro_rules! ops {
    ($($name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) $(-> $ret)? {
            // SAFETY: the token proves that the CPU has AVX-512 F, BW and VL and POPCNT; references are to
            // sixteen counters.
            unsafe { $body }
        }
    )*};
}

impl Counts for Avx512 {
    type C8 = __m128i;
    type C16 = __m256i;
    type C32 = __m512i;

    ops! {
        load_c8(from: &[u8; COUNTERS]) -> __m128i = _mm_loadu_si128(from.as_ptr().cast());
        store_c8(to: &mut [u8; COUNTERS], v: __m128i) =
            _mm_storeu_si128(to.as_mut_ptr().cast(), v);
        add_c8(a: __m128i, b: __m128i) -> __m128i = _mm_add_epi8(a, b);
        sub_c8(a: __m128i, b: __m128i) -> __m128i = _mm_sub_epi8(a, b);
        at_most_c8(a: __m128i, most: u8) -> usize =
            _mm_cmple_epu8_mask(a, _mm_set1_epi8(most as i8)).count_ones() as usize;
        equal_bits_c8(a: __m128i, value: u8) -> u32 =
            u32::from(_mm_cmpeq_epu8_mask(a, _mm_set1_epi8(value as i8)));
        select_equal_c8(a: __m128i, value: u8, yes: __m128i, no: __m128i) -> __m128i =
            _mm_mask_blend_epi8(_mm_cmpeq_epu8_mask(a, _mm_set1_epi8(value as i8)), no, yes);

        load_c16(from: &[u16; COUNTERS]) -> __m256i = _mm256_loadu_si256(from.as_ptr().cast());
        store_c16(to: &mut [u16; COUNTERS], v: __m256i) =
            _mm256_storeu_si256(to.as_mut_ptr().cast(), v);
        add_c16(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi16(a, b);
        sub_c16(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi16(a, b);
        at_most_c16(a: __m256i, most: u16) -> usize =
            _mm256_cmple_epu16_mask(a, _mm256_set1_epi16(most as i16)).count_ones() as usize;

        load_c32(from: &[u32; COUNTERS]) -> __m512i = _mm512_loadu_si512(from.as_ptr().cast());
        store_c32(to: &mut [u32; COUNTERS], v: __m512i) =
            _mm512_storeu_si512(to.as_mut_ptr().cast(), v);
        add_c32(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32(a, b);
        sub_c32(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi32(a, b);
        at_most_c32(a: __m512i, most: u32) -> usize =
            _mm512_cmple_epu32_mask(a, _mm512_set1_epi32(most as i32)).count_ones() as usize;

        widen_c8(a: __m128i) -> __m256i = _mm256_cvtepu8_epi16(a);
        widen_c16(a: __m256i) -> __m512i = _mm512_cvtepu16_epi32(a);
    }
}
