//! The AVX2 + FMA + F16C + POPCNT tier: eight 32-bit lanes, masks as all-ones words.

use super::{MAX_LANES, Simd, Tier};
use core::arch::x86_64::*;

/// Proof that this CPU has AVX2, FMA, F16C and POPCNT.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// The token, if this CPU (and its operating system) has the features.
    pub fn detect() -> Option<Avx2> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("popcnt");
        has.then_some(Avx2(()))
    }
}

/// A sliding window over this table is the mask of the first `n` lanes.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
fn first(count: usize) -> __m256i {
    let count = count.min(8);
    // SAFETY: AVX2 is proven by the token of the caller, and 8 - count + 8 <= 16.
    unsafe { _mm256_loadu_si256(FIRST.as_ptr().add(8 - count).cast()) }
}

/// Stores the first `count` lanes by the powers of two in their count. A masked store would be one
/// instruction, but AMD's cores take some twenty cycles for it, even if the mask is full.
///
/// # Safety
/// The CPU has AVX2, and `ptr` is valid for writing `min(count, 8)` lanes.
#[inline(always)]
unsafe fn store_first(ptr: *mut f32, count: usize, v: __m256) {
    // SAFETY: each store is as long as the power of two that is in the count.
    unsafe {
        if count >= 8 {
            return _mm256_storeu_ps(ptr, v);
        }
        let mut ptr = ptr;
        let mut rest = _mm256_castps256_ps128(v);
        if count & 4 != 0 {
            _mm_storeu_ps(ptr, rest);
            rest = _mm256_extractf128_ps::<1>(v);
            ptr = ptr.add(4);
        }
        if count & 2 != 0 {
            _mm_storel_pd(ptr.cast(), _mm_castps_pd(rest));
            rest = _mm_movehl_ps(rest, rest);
            ptr = ptr.add(2);
        }
        if count & 1 != 0 {
            _mm_store_ss(ptr, rest);
        }
    }
}

macro_rules! safe_ops {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) -> $ret {
            // SAFETY: the token proves that the CPU has AVX2, FMA, F16C and POPCNT.
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

impl Simd for Avx2 {
    const TIER: Tier = Tier::Avx2;
    const LANES: usize = 8;
    type F32 = __m256;
    type I32 = __m256i;
    type Mask = __m256i;

    memory_ops! {
        load_ptr(ptr: *const f32) -> __m256 = _mm256_loadu_ps(ptr);
        store_ptr(ptr: *mut f32, v: __m256) = _mm256_storeu_ps(ptr, v);
        load_partial_ptr(ptr: *const f32, count: usize) -> __m256 = _mm256_maskload_ps(ptr, first(count));
        store_partial_ptr(ptr: *mut f32, count: usize, v: __m256) = store_first(ptr, count, v);
        load_masked_ptr(ptr: *const f32, mask: __m256i) -> __m256 = _mm256_maskload_ps(ptr, mask);
        load_i32_ptr(ptr: *const i32) -> __m256i = _mm256_loadu_si256(ptr.cast());
        store_i32_ptr(ptr: *mut i32, v: __m256i) = _mm256_storeu_si256(ptr.cast(), v);
        load_i32_partial_ptr(ptr: *const i32, count: usize) -> __m256i = _mm256_maskload_epi32(ptr, first(count));
        store_i32_partial_ptr(ptr: *mut i32, count: usize, v: __m256i) = store_first(ptr.cast(), count, _mm256_castsi256_ps(v));
        load_u8_ptr(ptr: *const u8) -> __m256i = _mm256_cvtepu8_epi32(_mm_loadl_epi64(ptr.cast()));
        store_u8_ptr(ptr: *mut u8, v: __m256i) = {
            let words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
            _mm_storel_epi64(ptr.cast(), _mm_packus_epi16(words, words));
        };
        gather_ptr(base: *const f32, index: __m256i) -> __m256 = _mm256_i32gather_ps::<4>(base, index);
        gather_i32_ptr(base: *const i32, index: __m256i) -> __m256i = _mm256_i32gather_epi32::<4>(base, index);
    }

    safe_ops! {
        splat(value: f32) -> __m256 = _mm256_set1_ps(value);
        add(a: __m256, b: __m256) -> __m256 = _mm256_add_ps(a, b);
        sub(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps(a, b);
        mul(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps(a, b);
        div(a: __m256, b: __m256) -> __m256 = _mm256_div_ps(a, b);
        sqrt(a: __m256) -> __m256 = _mm256_sqrt_ps(a);
        fma(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps(a, b, c);
        neg_fma(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fnmadd_ps(a, b, c);
        min(a: __m256, b: __m256) -> __m256 = _mm256_min_ps(a, b);
        max(a: __m256, b: __m256) -> __m256 = _mm256_max_ps(a, b);
        floor(a: __m256) -> __m256 = _mm256_floor_ps(a);
        ceil(a: __m256) -> __m256 = _mm256_ceil_ps(a);
        trunc(a: __m256) -> __m256 = _mm256_round_ps::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(a);
        round(a: __m256) -> __m256 = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);

        lt(a: __m256, b: __m256) -> __m256i = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b));
        le(a: __m256, b: __m256) -> __m256i = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_LE_OQ>(a, b));
        eq(a: __m256, b: __m256) -> __m256i = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_EQ_OQ>(a, b));
        select(mask: __m256i, a: __m256, b: __m256) -> __m256 = _mm256_blendv_ps(b, a, _mm256_castsi256_ps(mask));
        select_i32(mask: __m256i, a: __m256i, b: __m256i) -> __m256i = _mm256_blendv_epi8(b, a, mask);
        and(a: __m256i, b: __m256i) -> __m256i = _mm256_and_si256(a, b);
        or(a: __m256i, b: __m256i) -> __m256i = _mm256_or_si256(a, b);
        not(a: __m256i) -> __m256i = _mm256_xor_si256(a, _mm256_set1_epi32(-1));
        mask_bits(mask: __m256i) -> u32 = _mm256_movemask_ps(_mm256_castsi256_ps(mask)) as u32;

        reduce_add(a: __m256) -> f32 = {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        };
        reduce_min(a: __m256) -> f32 = {
            let four = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_min_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)))
        };
        reduce_max(a: __m256) -> f32 = {
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        };

        splat_i32(value: i32) -> __m256i = _mm256_set1_epi32(value);
        iota() -> __m256i = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        add_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi32(a, b);
        sub_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi32(a, b);
        mul_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_mullo_epi32(a, b);
        min_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_min_epi32(a, b);
        max_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epi32(a, b);
        and_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_and_si256(a, b);
        or_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_or_si256(a, b);
        xor_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_xor_si256(a, b);
        eq_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_cmpeq_epi32(a, b);
        gt_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_cmpgt_epi32(a, b);

        bits(a: __m256) -> __m256i = _mm256_castps_si256(a);
        bits_to_f32(a: __m256i) -> __m256 = _mm256_castsi256_ps(a);
        to_f32(a: __m256i) -> __m256 = _mm256_cvtepi32_ps(a);
        round_to_i32(a: __m256) -> __m256i = _mm256_cvtps_epi32(a);
        trunc_to_i32(a: __m256) -> __m256i = _mm256_cvttps_epi32(a);
    }

    #[inline(always)]
    fn deinterleave(self, a: __m256, b: __m256) -> (__m256, __m256) {
        // SAFETY: the token proves that the CPU has AVX2.
        unsafe {
            let low = _mm256_permute2f128_ps::<0x20>(a, b);
            let high = _mm256_permute2f128_ps::<0x31>(a, b);
            (
                _mm256_shuffle_ps::<0x88>(low, high),
                _mm256_shuffle_ps::<0xDD>(low, high),
            )
        }
    }
    #[inline(always)]
    fn first(self, count: usize) -> __m256i {
        first(count)
    }
    #[inline(always)]
    fn shl_i32<const BITS: i32>(self, a: __m256i) -> __m256i {
        // SAFETY: the token proves that the CPU has AVX2.
        unsafe { _mm256_slli_epi32::<BITS>(a) }
    }
    #[inline(always)]
    fn shr_i32<const BITS: i32>(self, a: __m256i) -> __m256i {
        // SAFETY: the token proves that the CPU has AVX2.
        unsafe { _mm256_srai_epi32::<BITS>(a) }
    }
    #[inline(always)]
    unsafe fn store_streaming_ptr(self, ptr: *mut f32, v: Self::F32) {
        // SAFETY: the token proves AVX; room and alignment are the caller's promise.
        unsafe { _mm256_stream_ps(ptr, v) }
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
        // Rows i and i + 4 share a register, so that shuffles within the halves are enough.
        // SAFETY: the token proves the features, the caller the memory.
        unsafe {
            for half in 0..2 {
                macro_rules! pair {
                    ($i:expr) => {{
                        let low = _mm_loadu_ps(rows[$i].add(4 * half));
                        let high = _mm_loadu_ps(rows[$i + 4].add(4 * half));
                        _mm256_set_m128(high, low)
                    }};
                }
                let (a, b, c, d) = (pair!(0), pair!(1), pair!(2), pair!(3));
                let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                let (ef, gh) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                let dst = dst.add(4 * half * stride);
                _mm256_storeu_ps(dst, _mm256_shuffle_ps::<0x44>(ab, cd));
                _mm256_storeu_ps(dst.add(stride), _mm256_shuffle_ps::<0xEE>(ab, cd));
                _mm256_storeu_ps(dst.add(2 * stride), _mm256_shuffle_ps::<0x44>(ef, gh));
                _mm256_storeu_ps(dst.add(3 * stride), _mm256_shuffle_ps::<0xEE>(ef, gh));
            }
        }
    }
}
