//! Narrow vectors of AVX2: two blocks.

use super::Narrow;
use crate::simd::Avx2;
use core::arch::x86_64::*;

/// Two blocks, the upper one from memory.
///
/// # Safety
/// The CPU has AVX2; `high` is readable for 16 bytes.
#[inline(always)]
unsafe fn with_high(low: __m128i, high: *const __m128i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe { _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), _mm_loadu_si128(high)) }
}

/// Two blocks.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn with_upper(low: __m128i, high: __m128i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe { _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high) }
}

/// A block of two runs of eight bytes.
///
/// # Safety
/// Both runs are readable.
#[inline(always)]
pub(super) unsafe fn halves(base: *const u8, offsets: *const u32) -> __m128i {
    // SAFETY: the caller's promise; SSE2 is the baseline.
    unsafe {
        let low = _mm_loadl_epi64(base.add(*offsets as usize).cast());
        let high = base.add(*offsets.add(1) as usize).cast::<f64>();
        _mm_castpd_si128(_mm_loadh_pd(_mm_castsi128_pd(low), high))
    }
}

/// A block of four runs of four bytes.
///
/// # Safety
/// The CPU has SSE4.1, and all runs are readable.
#[inline(always)]
pub(super) unsafe fn quarters(base: *const u8, offsets: *const u32) -> __m128i {
    // SAFETY: the caller's promise.
    unsafe {
        let at = |i: usize| {
            base.add(*offsets.add(i) as usize)
                .cast::<i32>()
                .read_unaligned()
        };
        let two = _mm_insert_epi32::<1>(_mm_cvtsi32_si128(at(0)), at(1));
        let other = _mm_insert_epi32::<1>(_mm_cvtsi32_si128(at(2)), at(3));
        _mm_unpacklo_epi64(two, other)
    }
}

/// Four floats from an offset.
///
/// # Safety
/// They are readable.
#[inline(always)]
pub(super) unsafe fn four(base: *const f32, offset: *const u32) -> __m128 {
    // SAFETY: the caller's promise.
    unsafe { _mm_loadu_ps(base.add(*offset as usize)) }
}

/// Two floats each from two offsets.
///
/// # Safety
/// They are readable.
#[inline(always)]
pub(super) unsafe fn two_pairs(base: *const f32, offsets: *const u32) -> __m128 {
    // SAFETY: the caller's promise.
    unsafe {
        let low = _mm_load_sd(base.add(*offsets as usize).cast());
        let high = base.add(*offsets.add(1) as usize).cast::<f64>();
        _mm_castpd_ps(_mm_loadh_pd(low, high))
    }
}

/// The transposition of sixteen by sixteen bytes in every block: each of four rounds moves the highest bit of a byte's
/// place (row, column) to the end, and after them rows and columns are exchanged.
macro_rules! transpose {
    ($low:ident, $high:ident, $row:expr, $store:expr) => {{
        macro_rules! each {
            ($f:ident $a:ident) => {
                $f!($a, 0 1 2 3 4 5 6 7)
            };
        }
        macro_rules! round {
            ($a:ident, $i:literal $i2:literal $i3:literal $i4:literal $i5:literal $i6:literal $i7:literal $i8:literal) => {
                [
                    $low($a[$i], $a[$i + 8]), $high($a[$i], $a[$i + 8]),
                    $low($a[$i2], $a[$i2 + 8]), $high($a[$i2], $a[$i2 + 8]),
                    $low($a[$i3], $a[$i3 + 8]), $high($a[$i3], $a[$i3 + 8]),
                    $low($a[$i4], $a[$i4 + 8]), $high($a[$i4], $a[$i4 + 8]),
                    $low($a[$i5], $a[$i5 + 8]), $high($a[$i5], $a[$i5 + 8]),
                    $low($a[$i6], $a[$i6 + 8]), $high($a[$i6], $a[$i6 + 8]),
                    $low($a[$i7], $a[$i7 + 8]), $high($a[$i7], $a[$i7 + 8]),
                    $low($a[$i8], $a[$i8 + 8]), $high($a[$i8], $a[$i8 + 8]),
                ]
            };
        }
        let row = $row;
        let a = [
            row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7),
            row(8), row(9), row(10), row(11), row(12), row(13), row(14), row(15),
        ];
        let a = each!(round a);
        let a = each!(round a);
        let a = each!(round a);
        let a = each!(round a);
        for (j, v) in a.into_iter().enumerate() {
            $store(j, v);
        }
    }};
}
pub(super) use transpose;

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

impl Narrow for Avx2 {
    type U8 = __m256i;
    type I16 = __m256i;

    memory_ops! {
        load_bytes_ptr(ptr: *const u8) -> __m256i = _mm256_loadu_si256(ptr.cast());
        store_bytes_ptr(ptr: *mut u8, v: __m256i) = _mm256_storeu_si256(ptr.cast(), v);
        load_words_ptr(ptr: *const i16) -> __m256i = _mm256_loadu_si256(ptr.cast());
        store_words_ptr(ptr: *mut i16, v: __m256i) = _mm256_storeu_si256(ptr.cast(), v);
        store_bytes_partial_ptr(ptr: *mut u8, count: usize, v: __m256i) = {
            let mut bytes = [0u8; 32];
            _mm256_storeu_si256(bytes.as_mut_ptr().cast(), v);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), ptr, count.min(32));
        };
        load_float_blocks_ptr(base: *const f32, offsets: *const u32) -> __m256 =
            _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(four(base, offsets)), four(base, offsets.add(1)));
        load_float_pairs_ptr(base: *const f32, offsets: *const u32) -> (__m256, __m256) = {
            let low = _mm256_castps128_ps256(two_pairs(base, offsets));
            let low = _mm256_insertf128_ps::<1>(low, two_pairs(base, offsets.add(4)));
            let high = _mm256_castps128_ps256(two_pairs(base, offsets.add(2)));
            let high = _mm256_insertf128_ps::<1>(high, two_pairs(base, offsets.add(6)));
            (_mm256_shuffle_ps::<0x88>(low, high), _mm256_shuffle_ps::<0xDD>(low, high))
        };
        load_float_quads_ptr(base: *const f32, offsets: *const u32) -> (__m256, __m256) = {
            let low = _mm256_castps128_ps256(four(base, offsets));
            let low = _mm256_insertf128_ps::<1>(low, four(base, offsets.add(2)));
            let high = _mm256_castps128_ps256(four(base, offsets.add(1)));
            let high = _mm256_insertf128_ps::<1>(high, four(base, offsets.add(3)));
            (_mm256_shuffle_ps::<0x44>(low, high), _mm256_shuffle_ps::<0xEE>(low, high))
        };
        load_byte_pairs_ptr(base: *const u8, offsets: *const u32) -> (__m256i, __m256i) = {
            let low = with_upper(halves(base, offsets), halves(base, offsets.add(4)));
            let high = with_upper(halves(base, offsets.add(2)), halves(base, offsets.add(6)));
            let (low, high) = (_mm256_castsi256_ps(low), _mm256_castsi256_ps(high));
            (
                _mm256_castps_si256(_mm256_shuffle_ps::<0x88>(low, high)),
                _mm256_castps_si256(_mm256_shuffle_ps::<0xDD>(low, high)),
            )
        };
        store_twelves_ptr(ptr: *mut u8, v: __m256i) = {
            let first = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 0, 0);
            let v = _mm256_permutevar8x32_epi32(v, first);
            _mm_storeu_si128(ptr.cast(), _mm256_castsi256_si128(v));
            _mm_storel_epi64(ptr.add(16).cast(), _mm256_extracti128_si256::<1>(v));
        };
        store_twelves_of_two_ptr(ptr: *mut u8, a: __m256i, b: __m256i) = {
            let a = _mm256_permutevar8x32_epi32(a, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 0, 0));
            let b = _mm256_permutevar8x32_epi32(b, _mm256_setr_epi32(2, 4, 5, 6, 0, 0, 0, 1));
            _mm256_storeu_si256(ptr.cast(), _mm256_blend_epi32::<0b1100_0000>(a, b));
            _mm_storeu_si128(ptr.add(32).cast(), _mm256_castsi256_si128(b));
        };
        transpose_bytes_ptr(rows: *const u8, step: isize, columns: *mut u8, stride: isize) = {
            let row = |i: isize| {
                let low = _mm_loadu_si128(rows.offset(step * i).cast());
                with_high(low, rows.offset(step * (i + 16)).cast())
            };
            let store = |j: usize, v: __m256i| {
                _mm256_storeu_si256(columns.offset(stride * j as isize).cast(), v)
            };
            transpose!(_mm256_unpacklo_epi8, _mm256_unpackhi_epi8, row, store)
        };
        splat_blocks_ptr(ptr: *const f32) -> __m256 =
            _mm256_set_m128(_mm_broadcast_ss(&*ptr.add(1)), _mm_broadcast_ss(&*ptr));
        store_float_blocks_ptr(ptr: *mut f32, step: usize, v: __m256) = {
            _mm_storeu_ps(ptr, _mm256_castps256_ps128(v));
            _mm_storeu_ps(ptr.add(step), _mm256_extractf128_ps::<1>(v));
        };
    }

    #[inline(always)]
    unsafe fn load_blocks_ptr<const PARTS: usize>(
        self,
        base: *const u8,
        offsets: *const u32,
    ) -> __m256i {
        // SAFETY: the token proves the features, the caller the memory.
        unsafe {
            match PARTS {
                1 => {
                    let low = _mm_loadu_si128(base.add(*offsets as usize).cast());
                    with_high(low, base.add(*offsets.add(1) as usize).cast())
                }
                2 => _mm256_inserti128_si256::<1>(
                    _mm256_castsi128_si256(halves(base, offsets)),
                    halves(base, offsets.add(2)),
                ),
                _ => _mm256_inserti128_si256::<1>(
                    _mm256_castsi128_si256(quarters(base, offsets)),
                    quarters(base, offsets.add(4)),
                ),
            }
        }
    }

    safe_ops! {
        shuffle_bytes(a: __m256i, index: __m256i) -> __m256i = _mm256_shuffle_epi8(a, index);
        pack_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_packs_epi32(a, b);
        pack_i16(a: __m256i, b: __m256i) -> __m256i = _mm256_packus_epi16(a, b);
        min_u8(a: __m256i, b: __m256i) -> __m256i = _mm256_min_epu8(a, b);
        max_u8(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epu8(a, b);
        splat_i16(value: i16) -> __m256i = _mm256_set1_epi16(value);
        add_i16(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi16(a, b);
        and_i16(a: __m256i, b: __m256i) -> __m256i = _mm256_and_si256(a, b);
        mul_high_i16(a: __m256i, b: __m256i) -> __m256i = _mm256_mulhi_epi16(a, b);
        dot_pairs_i16(a: __m256i, b: __m256i) -> __m256i = _mm256_madd_epi16(a, b);
        sum_pairs_u8(a: __m256i) -> __m256i = _mm256_maddubs_epi16(a, _mm256_set1_epi8(1));
    }

    #[inline(always)]
    fn splat_lane<const LANE: i32>(self, a: __m256) -> __m256 {
        // SAFETY: the token proves that the CPU has AVX2.
        unsafe {
            match LANE {
                0 => _mm256_permute_ps::<0x00>(a),
                1 => _mm256_permute_ps::<0x55>(a),
                2 => _mm256_permute_ps::<0xAA>(a),
                _ => _mm256_permute_ps::<0xFF>(a),
            }
        }
    }
    #[inline(always)]
    fn align_blocks<const FIRST: i32>(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves that the CPU has AVX2.
        unsafe {
            let (a, b) = (_mm256_castps_si256(a), _mm256_castps_si256(b));
            _mm256_castsi256_ps(match FIRST {
                1 => _mm256_alignr_epi8::<4>(b, a),
                2 => _mm256_alignr_epi8::<8>(b, a),
                _ => _mm256_alignr_epi8::<12>(b, a),
            })
        }
    }
    #[inline(always)]
    fn shr_i16<const BITS: i32>(self, a: __m256i) -> __m256i {
        // SAFETY: the token proves that the CPU has AVX2.
        unsafe { _mm256_srai_epi16::<BITS>(a) }
    }
    #[inline(always)]
    fn bytes_as_i16(self, a: __m256i) -> __m256i {
        a
    }
    #[inline(always)]
    fn i32_as_bytes(self, a: __m256i) -> __m256i {
        a
    }
    #[inline(always)]
    fn bytes_as_i32(self, a: __m256i) -> __m256i {
        a
    }
}
