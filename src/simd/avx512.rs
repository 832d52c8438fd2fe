//! The AVX-512 tier (F, BW, CD, DQ, VL): sixteen 32-bit lanes, masks in
//! mask registers, partial loads and stores by fault-suppressing masks.

use super::{MAX_LANES, Simd, Tier};
use core::arch::x86_64::*;

/// Proof that this CPU has AVX-512 F, BW, CD, DQ and VL (and the AVX2 tier).
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// The token, if this CPU (and its operating system) has the features.
    pub fn detect() -> Option<Avx512> {
        let has = super::Avx2::detect().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        has.then_some(Avx512(()))
    }
}

#[inline(always)]
fn first(count: usize) -> __mmask16 {
    ((1u32 << count.min(16)) - 1) as __mmask16
}

macro_rules! safe_ops {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) -> $ret {
            // SAFETY: the token proves that the CPU has the AVX-512 tier.
            unsafe { $body }
        }
    )*};
}

macro_rules! plain_ops {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) -> $ret {
            $body
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

impl Simd for Avx512 {
    const TIER: Tier = Tier::Avx512;
    const LANES: usize = 16;
    type F32 = __m512;
    type I32 = __m512i;
    type Mask = __mmask16;

    memory_ops! {
        load_ptr(ptr: *const f32) -> __m512 = _mm512_loadu_ps(ptr);
        store_ptr(ptr: *mut f32, v: __m512) = _mm512_storeu_ps(ptr, v);
        load_partial_ptr(ptr: *const f32, count: usize) -> __m512 = _mm512_maskz_loadu_ps(first(count), ptr);
        store_partial_ptr(ptr: *mut f32, count: usize, v: __m512) = _mm512_mask_storeu_ps(ptr, first(count), v);
        load_masked_ptr(ptr: *const f32, mask: __mmask16) -> __m512 = _mm512_maskz_loadu_ps(mask, ptr);
        load_i32_ptr(ptr: *const i32) -> __m512i = _mm512_loadu_si512(ptr.cast());
        store_i32_ptr(ptr: *mut i32, v: __m512i) = _mm512_storeu_si512(ptr.cast(), v);
        load_i32_partial_ptr(ptr: *const i32, count: usize) -> __m512i = _mm512_maskz_loadu_epi32(first(count), ptr);
        store_i32_partial_ptr(ptr: *mut i32, count: usize, v: __m512i) = _mm512_mask_storeu_epi32(ptr, first(count), v);
        load_u8_ptr(ptr: *const u8) -> __m512i = _mm512_cvtepu8_epi32(_mm_loadu_si128(ptr.cast()));
        store_u8_ptr(ptr: *mut u8, v: __m512i) =
            _mm_storeu_si128(ptr.cast(), _mm512_cvtusepi32_epi8(_mm512_max_epi32(v, _mm512_setzero_si512())));
        gather_ptr(base: *const f32, index: __m512i) -> __m512 = _mm512_i32gather_ps::<4>(index, base);
        gather_i32_ptr(base: *const i32, index: __m512i) -> __m512i = _mm512_i32gather_epi32::<4>(index, base);
    }

    safe_ops! {
        splat(value: f32) -> __m512 = _mm512_set1_ps(value);
        add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps(a, b);
        sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps(a, b);
        mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps(a, b);
        div(a: __m512, b: __m512) -> __m512 = _mm512_div_ps(a, b);
        sqrt(a: __m512) -> __m512 = _mm512_sqrt_ps(a);
        fma(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps(a, b, c);
        neg_fma(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fnmadd_ps(a, b, c);
        min(a: __m512, b: __m512) -> __m512 = _mm512_min_ps(a, b);
        max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps(a, b);
        floor(a: __m512) -> __m512 = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(a);
        ceil(a: __m512) -> __m512 = _mm512_roundscale_ps::<{ _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC }>(a);
        trunc(a: __m512) -> __m512 = _mm512_roundscale_ps::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(a);
        round(a: __m512) -> __m512 = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);

        lt(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b);
        le(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b);
        eq(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b);
        select(mask: __mmask16, a: __m512, b: __m512) -> __m512 = _mm512_mask_blend_ps(mask, b, a);
        select_i32(mask: __mmask16, a: __m512i, b: __m512i) -> __m512i = _mm512_mask_blend_epi32(mask, b, a);

        reduce_add(a: __m512) -> f32 = {
            let eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a));
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        };
        reduce_min(a: __m512) -> f32 = {
            let eight = _mm256_min_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a));
            let four = _mm_min_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_min_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)))
        };
        reduce_max(a: __m512) -> f32 = {
            let eight = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a));
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        };

        splat_i32(value: i32) -> __m512i = _mm512_set1_epi32(value);
        iota() -> __m512i = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        add_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32(a, b);
        sub_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi32(a, b);
        mul_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_mullo_epi32(a, b);
        min_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_min_epi32(a, b);
        max_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_max_epi32(a, b);
        and_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_and_si512(a, b);
        or_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_or_si512(a, b);
        xor_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_xor_si512(a, b);
        eq_i32(a: __m512i, b: __m512i) -> __mmask16 = _mm512_cmpeq_epi32_mask(a, b);
        gt_i32(a: __m512i, b: __m512i) -> __mmask16 = _mm512_cmpgt_epi32_mask(a, b);

        bits(a: __m512) -> __m512i = _mm512_castps_si512(a);
        bits_to_f32(a: __m512i) -> __m512 = _mm512_castsi512_ps(a);
        to_f32(a: __m512i) -> __m512 = _mm512_cvtepi32_ps(a);
        round_to_i32(a: __m512) -> __m512i = _mm512_cvtps_epi32(a);
        trunc_to_i32(a: __m512) -> __m512i = _mm512_cvttps_epi32(a);
    }

    #[inline(always)]
    fn deinterleave(self, a: __m512, b: __m512) -> (__m512, __m512) {
        // SAFETY: the token proves that the CPU has AVX-512 F.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            (
                _mm512_permutex2var_ps(a, even, b),
                _mm512_permutex2var_ps(a, odd, b),
            )
        }
    }

    plain_ops! {
        and(a: __mmask16, b: __mmask16) -> __mmask16 = a & b;
        or(a: __mmask16, b: __mmask16) -> __mmask16 = a | b;
        not(a: __mmask16) -> __mmask16 = !a;
        mask_bits(mask: __mmask16) -> u32 = u32::from(mask);
        first(count: usize) -> __mmask16 = first(count);
    }

    #[inline(always)]
    fn shl_i32<const BITS: i32>(self, a: __m512i) -> __m512i {
        // The 512-bit shifts take their count as u32, which a const parameter
        // of another type cannot become; the variable shift costs the same.
        // SAFETY: the token proves that the CPU has AVX-512 F.
        unsafe { _mm512_sllv_epi32(a, _mm512_set1_epi32(BITS)) }
    }
    #[inline(always)]
    fn shr_i32<const BITS: i32>(self, a: __m512i) -> __m512i {
        // SAFETY: the token proves that the CPU has AVX-512 F.
        unsafe { _mm512_srav_epi32(a, _mm512_set1_epi32(BITS)) }
    }
    #[inline(always)]
    unsafe fn store_streaming_ptr(self, ptr: *mut f32, v: Self::F32) {
        // SAFETY: the token proves AVX-512; room and alignment are the caller's promise.
        unsafe { _mm512_stream_ps(ptr, v) }
    }
    #[inline(always)]
    fn finish_streaming(self) {
        // SAFETY: the token proves SSE.
        unsafe { _mm_sfence() }
    }
    #[inline(always)]
    fn prefetch(self, ptr: *const f32) {
        // SAFETY: the token proves SSE; a prefetch reads nothing that the program sees, and faults never.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr.cast()) }
    }
    #[inline(always)]
    fn prefetch_l2(self, ptr: *const f32) {
        // SAFETY: the token proves SSE; a prefetch reads nothing that the program sees, and faults never.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(ptr.cast()) }
    }
    #[inline(always)]
    unsafe fn transpose_ptr(self, rows: &[*const f32; MAX_LANES], dst: *mut f32, stride: usize) {
        // Rows i, i + 4, i + 8 and i + 12 share a register, so that shuffles within the
        // quarters are enough.
        // SAFETY: the token proves the features, the caller the memory.
        unsafe {
            for quarter in 0..4 {
                macro_rules! four {
                    ($i:expr) => {{
                        let v = _mm512_castps128_ps512(_mm_loadu_ps(rows[$i].add(4 * quarter)));
                        let next = _mm_loadu_ps(rows[$i + 4].add(4 * quarter));
                        let v = _mm512_insertf32x4::<1>(v, next);
                        let next = _mm_loadu_ps(rows[$i + 8].add(4 * quarter));
                        let v = _mm512_insertf32x4::<2>(v, next);
                        let next = _mm_loadu_ps(rows[$i + 12].add(4 * quarter));
                        _mm512_insertf32x4::<3>(v, next)
                    }};
                }
                let (a, b, c, d) = (four!(0), four!(1), four!(2), four!(3));
                let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
                let (ef, gh) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
                let dst = dst.add(4 * quarter * stride);
                _mm512_storeu_ps(dst, _mm512_shuffle_ps::<0x44>(ab, cd));
                _mm512_storeu_ps(dst.add(stride), _mm512_shuffle_ps::<0xEE>(ab, cd));
                _mm512_storeu_ps(dst.add(2 * stride), _mm512_shuffle_ps::<0x44>(ef, gh));
                _mm512_storeu_ps(dst.add(3 * stride), _mm512_shuffle_ps::<0xEE>(ef, gh));
            }
        }
    }
}
