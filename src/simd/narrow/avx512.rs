//! Narrow vectors of AVX-512: four blocks.

use super::Narrow;
use super::avx2::{four, halves, quarters, transpose, two_pairs};
use crate::simd::Avx512;
use core::arch::x86_64::*;

/// Four blocks in one vector.
///
/// # Safety
/// The CPU has AVX-512 F and DQ.
#[inline(always)]
unsafe fn join(blocks: [__m128i; 4]) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let pair = |a, b| _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b);
        let low = _mm512_castsi256_si512(pair(blocks[0], blocks[1]));
        _mm512_inserti64x4::<1>(low, pair(blocks[2], blocks[3]))
    }
}

/// Four blocks of floats in one vector.
///
/// # Safety
/// The CPU has AVX-512 F and DQ.
#[inline(always)]
unsafe fn join_ps(blocks: [__m128; 4]) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let pair = |a, b| _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(a), b);
        let low = _mm512_castps256_ps512(pair(blocks[0], blocks[1]));
        _mm512_insertf32x8::<1>(low, pair(blocks[2], blocks[3]))
    }
}

macro_rules! safe_ops {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) -> $ret {
            // SAFETY: the token proves that the CPU has AVX-512 F and BW.
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

impl Narrow for Avx512 {
    type U8 = __m512i;
    type I16 = __m512i;

    memory_ops! {
        load_bytes_ptr(ptr: *const u8) -> __m512i = _mm512_loadu_si512(ptr.cast());
        store_bytes_ptr(ptr: *mut u8, v: __m512i) = _mm512_storeu_si512(ptr.cast(), v);
        store_bytes_partial_ptr(ptr: *mut u8, count: usize, v: __m512i) = {
            let first = match count {
                64.. => u64::MAX,
                _ => (1u64 << count) - 1,
            };
            _mm512_mask_storeu_epi8(ptr.cast(), first, v);
        };
        load_words_ptr(ptr: *const i16) -> __m512i = _mm512_loadu_si512(ptr.cast());
        store_words_ptr(ptr: *mut i16, v: __m512i) = _mm512_storeu_si512(ptr.cast(), v);
        load_float_blocks_ptr(base: *const f32, offsets: *const u32) -> __m512 = join_ps([
            four(base, offsets),
            four(base, offsets.add(1)),
            four(base, offsets.add(2)),
            four(base, offsets.add(3)),
        ]);
        load_float_pairs_ptr(base: *const f32, offsets: *const u32) -> (__m512, __m512) = {
            let low = join_ps([
                two_pairs(base, offsets),
                two_pairs(base, offsets.add(4)),
                two_pairs(base, offsets.add(8)),
                two_pairs(base, offsets.add(12)),
            ]);
            let high = join_ps([
                two_pairs(base, offsets.add(2)),
                two_pairs(base, offsets.add(6)),
                two_pairs(base, offsets.add(10)),
                two_pairs(base, offsets.add(14)),
            ]);
            (_mm512_shuffle_ps::<0x88>(low, high), _mm512_shuffle_ps::<0xDD>(low, high))
        };
        load_float_quads_ptr(base: *const f32, offsets: *const u32) -> (__m512, __m512) = {
            let low = join_ps([
                four(base, offsets),
                four(base, offsets.add(2)),
                four(base, offsets.add(4)),
                four(base, offsets.add(6)),
            ]);
            let high = join_ps([
                four(base, offsets.add(1)),
                four(base, offsets.add(3)),
                four(base, offsets.add(5)),
                four(base, offsets.add(7)),
            ]);
            (_mm512_shuffle_ps::<0x44>(low, high), _mm512_shuffle_ps::<0xEE>(low, high))
        };
        load_byte_pairs_ptr(base: *const u8, offsets: *const u32) -> (__m512i, __m512i) = {
            let low = join([
                halves(base, offsets),
                halves(base, offsets.add(4)),
                halves(base, offsets.add(8)),
                halves(base, offsets.add(12)),
            ]);
            let high = join([
                halves(base, offsets.add(2)),
                halves(base, offsets.add(6)),
                halves(base, offsets.add(10)),
                halves(base, offsets.add(14)),
            ]);
            let (low, high) = (_mm512_castsi512_ps(low), _mm512_castsi512_ps(high));
            (
                _mm512_castps_si512(_mm512_shuffle_ps::<0x88>(low, high)),
                _mm512_castps_si512(_mm512_shuffle_ps::<0xDD>(low, high)),
            )
        };
        store_twelves_ptr(ptr: *mut u8, v: __m512i) = {
            let first = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 0, 0, 0, 0);
            let v = _mm512_permutexvar_epi32(first, v);
            _mm256_storeu_si256(ptr.cast(), _mm512_castsi512_si256(v));
            _mm_storeu_si128(ptr.add(32).cast(), _mm512_extracti32x4_epi32::<2>(v));
        };
        transpose_bytes_ptr(rows: *const u8, step: isize, columns: *mut u8, stride: isize) = {
            let row = |i: isize| {
                let at = |i: isize| _mm_loadu_si128(rows.offset(step * i).cast());
                join([at(i), at(i + 16), at(i + 32), at(i + 48)])
            };
            let store = |j: usize, v: __m512i| {
                _mm512_storeu_si512(columns.offset(stride * j as isize).cast(), v)
            };
            transpose!(_mm512_unpacklo_epi8, _mm512_unpackhi_epi8, row, store)
        };
        splat_blocks_ptr(ptr: *const f32) -> __m512 = {
            let four = _mm512_castps128_ps512(_mm_loadu_ps(ptr));
            let each = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
            _mm512_permutexvar_ps(each, four)
        };
        store_float_blocks_ptr(ptr: *mut f32, step: usize, v: __m512) = {
            _mm_storeu_ps(ptr, _mm512_castps512_ps128(v));
            _mm_storeu_ps(ptr.add(step), _mm512_extractf32x4_ps::<1>(v));
            _mm_storeu_ps(ptr.add(2 * step), _mm512_extractf32x4_ps::<2>(v));
            _mm_storeu_ps(ptr.add(3 * step), _mm512_extractf32x4_ps::<3>(v));
        };
    }

    #[inline(always)]
    unsafe fn load_blocks_ptr<const PARTS: usize>(
        self,
        base: *const u8,
        offsets: *const u32,
    ) -> __m512i {
        // SAFETY: the token proves the features, the caller the memory.
        unsafe {
            match PARTS {
                1 => {
                    let at = |i: usize| _mm_loadu_si128(base.add(*offsets.add(i) as usize).cast());
                    join([at(0), at(1), at(2), at(3)])
                }
                2 => join([
                    halves(base, offsets),
                    halves(base, offsets.add(2)),
                    halves(base, offsets.add(4)),
                    halves(base, offsets.add(6)),
                ]),
                _ => join([
                    quarters(base, offsets),
                    quarters(base, offsets.add(4)),
                    quarters(base, offsets.add(8)),
                    quarters(base, offsets.add(12)),
                ]),
            }
        }
    }

    safe_ops! {
        shuffle_bytes(a: __m512i, index: __m512i) -> __m512i = _mm512_shuffle_epi8(a, index);
        pack_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_packs_epi32(a, b);
        pack_i16(a: __m512i, b: __m512i) -> __m512i = _mm512_packus_epi16(a, b);
        min_u8(a: __m512i, b: __m512i) -> __m512i = _mm512_min_epu8(a, b);
        max_u8(a: __m512i, b: __m512i) -> __m512i = _mm512_max_epu8(a, b);
        splat_i16(value: i16) -> __m512i = _mm512_set1_epi16(value);
        add_i16(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi16(a, b);
        and_i16(a: __m512i, b: __m512i) -> __m512i = _mm512_and_si512(a, b);
        mul_high_i16(a: __m512i, b: __m512i) -> __m512i = _mm512_mulhi_epi16(a, b);
        dot_pairs_i16(a: __m512i, b: __m512i) -> __m512i = _mm512_madd_epi16(a, b);
        sum_pairs_u8(a: __m512i) -> __m512i = _mm512_maddubs_epi16(a, _mm512_set1_epi8(1));
    }

    #[inline(always)]
    fn splat_lane<const LANE: i32>(self, a: __m512) -> __m512 {
        // SAFETY: the token proves that the CPU has AVX-512 F and BW.
        unsafe {
            match LANE {
                0 => _mm512_permute_ps::<0x00>(a),
                1 => _mm512_permute_ps::<0x55>(a),
                2 => _mm512_permute_ps::<0xAA>(a),
                _ => _mm512_permute_ps::<0xFF>(a),
            }
        }
    }
    #[inline(always)]
    fn align_blocks<const FIRST: i32>(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves that the CPU has AVX-512 F and BW.
        unsafe {
            let (a, b) = (_mm512_castps_si512(a), _mm512_castps_si512(b));
            _mm512_castsi512_ps(match FIRST {
                1 => _mm512_alignr_epi8::<4>(b, a),
                2 => _mm512_alignr_epi8::<8>(b, a),
                _ => _mm512_alignr_epi8::<12>(b, a),
            })
        }
    }
    #[inline(always)]
    fn shr_i16<const BITS: i32>(self, a: __m512i) -> __m512i {
        // SAFETY: the token proves that the CPU has AVX-512 BW; the count is in a register
        // because this intrinsic wants another type of constant.
        unsafe { _mm512_sra_epi16(a, _mm_cvtsi32_si128(BITS)) }
    }
    #[inline(always)]
    fn bytes_as_i16(self, a: __m512i) -> __m512i {
        a
    }
    #[inline(always)]
    fn i32_as_bytes(self, a: __m512i) -> __m512i {
        a
    }
    #[inline(always)]
    fn bytes_as_i32(self, a: __m512i) -> __m512i {
        a
    }
}
