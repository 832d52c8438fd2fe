//! Counters of AVX2: one register of bytes or words, two of integers.

use super::{COUNTERS, Counts};
use crate::simd::Avx2;
use core::arch::x86_64::*;

macro_rules! ops {
    ($($name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) $(-> $ret)? {
            // SAFETY: the token proves that the CPU has AVX2 and POPCNT; references are to sixteen counters.
            unsafe { $body }
        }
    )*};
}

impl Counts for Avx2 {
    type C8 = __m128i;
    type C16 = __m256i;
    type C32 = [__m256i; 2];

    ops! {
        load_c8(from: &[u8; COUNTERS]) -> __m128i = _mm_loadu_si128(from.as_ptr().cast());
        store_c8(to: &mut [u8; COUNTERS], v: __m128i) =
            _mm_storeu_si128(to.as_mut_ptr().cast(), v);
        add_c8(a: __m128i, b: __m128i) -> __m128i = _mm_add_epi8(a, b);
        sub_c8(a: __m128i, b: __m128i) -> __m128i = _mm_sub_epi8(a, b);
        at_most_c8(a: __m128i, most: u8) -> usize = {
            let less = _mm_min_epu8(a, _mm_set1_epi8(most as i8));
            _mm_movemask_epi8(_mm_cmpeq_epi8(less, a)).count_ones() as usize
        };
        equal_bits_c8(a: __m128i, value: u8) -> u32 =
            _mm_movemask_epi8(_mm_cmpeq_epi8(a, _mm_set1_epi8(value as i8))) as u32;
        select_equal_c8(a: __m128i, value: u8, yes: __m128i, no: __m128i) -> __m128i =
            _mm_blendv_epi8(no, yes, _mm_cmpeq_epi8(a, _mm_set1_epi8(value as i8)));

        load_c16(from: &[u16; COUNTERS]) -> __m256i = _mm256_loadu_si256(from.as_ptr().cast());
        store_c16(to: &mut [u16; COUNTERS], v: __m256i) =
            _mm256_storeu_si256(to.as_mut_ptr().cast(), v);
        add_c16(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi16(a, b);
        sub_c16(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi16(a, b);
        at_most_c16(a: __m256i, most: u16) -> usize = {
            let less = _mm256_min_epu16(a, _mm256_set1_epi16(most as i16));
            // Two bits a counter.
            _mm256_movemask_epi8(_mm256_cmpeq_epi16(less, a)).count_ones() as usize / 2
        };

        load_c32(from: &[u32; COUNTERS]) -> [__m256i; 2] = [
            _mm256_loadu_si256(from.as_ptr().cast()),
            _mm256_loadu_si256(from.as_ptr().add(8).cast()),
        ];
        store_c32(to: &mut [u32; COUNTERS], v: [__m256i; 2]) = {
            _mm256_storeu_si256(to.as_mut_ptr().cast(), v[0]);
            _mm256_storeu_si256(to.as_mut_ptr().add(8).cast(), v[1]);
        };
        add_c32(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] =
            [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])];
        sub_c32(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] =
            [_mm256_sub_epi32(a[0], b[0]), _mm256_sub_epi32(a[1], b[1])];
        at_most_c32(a: [__m256i; 2], most: u32) -> usize = {
            let most = _mm256_set1_epi32(most as i32);
            let above = _mm256_packs_epi32(
                _mm256_cmpgt_epi32(a[0], most),
                _mm256_cmpgt_epi32(a[1], most),
            );
            COUNTERS - _mm256_movemask_epi8(above).count_ones() as usize / 2
        };

        widen_c8(a: __m128i) -> __m256i = _mm256_cvtepu8_epi16(a);
        widen_c16(a: __m256i) -> [__m256i; 2] = [
            _mm256_cvtepu16_epi32(_mm256_castsi256_si128(a)),
            _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(a)),
        ];
    }
}
