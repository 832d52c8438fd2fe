//! The aarch64 Advanced SIMD tier: four 32-bit lanes, masks as all-ones words.

use super::{MAX_LANES, Simd, Tier, partial};
use core::arch::aarch64::*;

/// Proof that this CPU has Advanced SIMD.
#[derive(Clone, Copy, Debug)]
pub struct Neon(());

impl Neon {
    /// The token, if this CPU has the feature.
    pub fn detect() -> Option<Neon> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }
}

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

/// `base[index]` for every lane.
///
/// # Safety
/// Every lane of `index` is an element offset that is valid for reading from `base`.
#[inline(always)]
unsafe fn gather<T>(base: *const T, index: int32x4_t) -> [T; 4] {
    let mut at = [0; 4];
    // SAFETY: the array holds four elements, the caller proves the offsets, and
    // the token of the caller proves that the CPU has Advanced SIMD.
    unsafe {
        vst1q_s32(at.as_mut_ptr(), index);
        at.map(
            #[inline(always)]
            |i| base.offset(i as isize).read_unaligned(),
        )
    }
}

static IOTA: [i32; 4] = [0, 1, 2, 3];
static BIT_OF_LANE: [u32; 4] = [1, 2, 4, 8];

impl Simd for Neon {
    const TIER: Tier = Tier::Neon;
    const LANES: usize = 4;
    type F32 = float32x4_t;
    type I32 = int32x4_t;
    type Mask = uint32x4_t;

    memory_ops! {
        load_ptr(ptr: *const f32) -> float32x4_t = vld1q_f32(ptr);
        store_ptr(ptr: *mut f32, v: float32x4_t) = vst1q_f32(ptr, v);
        load_partial_ptr(ptr: *const f32, count: usize) -> float32x4_t = vld1q_f32(partial::load(ptr, count).as_ptr());
        store_partial_ptr(ptr: *mut f32, count: usize, v: float32x4_t) = {
            let mut lanes = [0.0; 4];
            vst1q_f32(lanes.as_mut_ptr(), v);
            partial::store(ptr, count, lanes);
        };
        load_i32_ptr(ptr: *const i32) -> int32x4_t = vld1q_s32(ptr);
        store_i32_ptr(ptr: *mut i32, v: int32x4_t) = vst1q_s32(ptr, v);
        load_i32_partial_ptr(ptr: *const i32, count: usize) -> int32x4_t = vld1q_s32(partial::load(ptr, count).as_ptr());
        store_i32_partial_ptr(ptr: *mut i32, count: usize, v: int32x4_t) = {
            let mut lanes = [0; 4];
            vst1q_s32(lanes.as_mut_ptr(), v);
            partial::store(ptr, count, lanes);
        };
        load_u8_ptr(ptr: *const u8) -> int32x4_t = {
            let four = vcreate_u8(u64::from(ptr.cast::<u32>().read_unaligned()));
            vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(four))))
        };
        store_u8_ptr(ptr: *mut u8, v: int32x4_t) = {
            let words = vqmovun_s32(v);
            let bytes = vqmovn_u16(vcombine_u16(words, words));
            ptr.cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_u8(bytes)));
        };
        gather_ptr(base: *const f32, index: int32x4_t) -> float32x4_t = vld1q_f32(gather(base, index).as_ptr());
        gather_i32_ptr(base: *const i32, index: int32x4_t) -> int32x4_t = vld1q_s32(gather(base, index).as_ptr());
    }

    safe_ops! {
        splat(value: f32) -> float32x4_t = vdupq_n_f32(value);
        add(a: float32x4_t, b: float32x4_t) -> float32x4_t = vaddq_f32(a, b);
        sub(a: float32x4_t, b: float32x4_t) -> float32x4_t = vsubq_f32(a, b);
        mul(a: float32x4_t, b: float32x4_t) -> float32x4_t = vmulq_f32(a, b);
        div(a: float32x4_t, b: float32x4_t) -> float32x4_t = vdivq_f32(a, b);
        sqrt(a: float32x4_t) -> float32x4_t = vsqrtq_f32(a);
        fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t = vfmaq_f32(c, a, b);
        neg_fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t = vfmsq_f32(c, a, b);
        min(a: float32x4_t, b: float32x4_t) -> float32x4_t = vbslq_f32(vcltq_f32(a, b), a, b);
        max(a: float32x4_t, b: float32x4_t) -> float32x4_t = vbslq_f32(vcgtq_f32(a, b), a, b);
        floor(a: float32x4_t) -> float32x4_t = vrndmq_f32(a);
        ceil(a: float32x4_t) -> float32x4_t = vrndpq_f32(a);
        trunc(a: float32x4_t) -> float32x4_t = vrndq_f32(a);
        round(a: float32x4_t) -> float32x4_t = vrndnq_f32(a);

        lt(a: float32x4_t, b: float32x4_t) -> uint32x4_t = vcltq_f32(a, b);
        le(a: float32x4_t, b: float32x4_t) -> uint32x4_t = vcleq_f32(a, b);
        eq(a: float32x4_t, b: float32x4_t) -> uint32x4_t = vceqq_f32(a, b);
        select(mask: uint32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t = vbslq_f32(mask, a, b);
        select_i32(mask: uint32x4_t, a: int32x4_t, b: int32x4_t) -> int32x4_t = vbslq_s32(mask, a, b);
        and(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t = vandq_u32(a, b);
        or(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t = vorrq_u32(a, b);
        not(a: uint32x4_t) -> uint32x4_t = vmvnq_u32(a);
        mask_bits(mask: uint32x4_t) -> u32 = vaddvq_u32(vandq_u32(mask, vld1q_u32(BIT_OF_LANE.as_ptr())));
        first(count: usize) -> uint32x4_t = vcgtq_s32(vdupq_n_s32(count.min(4) as i32), vld1q_s32(IOTA.as_ptr()));

        reduce_add(a: float32x4_t) -> f32 = {
            let two = vadd_f32(vget_low_f32(a), vget_high_f32(a));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        };
        reduce_min(a: float32x4_t) -> f32 = vminvq_f32(a);
        reduce_max(a: float32x4_t) -> f32 = vmaxvq_f32(a);

        splat_i32(value: i32) -> int32x4_t = vdupq_n_s32(value);
        iota() -> int32x4_t = vld1q_s32(IOTA.as_ptr());
        add_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t = vaddq_s32(a, b);
        sub_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t = vsubq_s32(a, b);
        mul_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t = vmulq_s32(a, b);
        min_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t = vminq_s32(a, b);
        max_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t = vmaxq_s32(a, b);
        and_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t = vandq_s32(a, b);
        or_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t = vorrq_s32(a, b);
        xor_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t = veorq_s32(a, b);
        eq_i32(a: int32x4_t, b: int32x4_t) -> uint32x4_t = vceqq_s32(a, b);
        gt_i32(a: int32x4_t, b: int32x4_t) -> uint32x4_t = vcgtq_s32(a, b);

        bits(a: float32x4_t) -> int32x4_t = vreinterpretq_s32_f32(a);
        bits_to_f32(a: int32x4_t) -> float32x4_t = vreinterpretq_f32_s32(a);
        to_f32(a: int32x4_t) -> float32x4_t = vcvtq_f32_s32(a);
        round_to_i32(a: float32x4_t) -> int32x4_t = vcvtnq_s32_f32(a);
        trunc_to_i32(a: float32x4_t) -> int32x4_t = vcvtq_s32_f32(a);
    }

    #[inline(always)]
    fn deinterleave(self, a: float32x4_t, b: float32x4_t) -> (float32x4_t, float32x4_t) {
        // SAFETY: the token proves that the CPU has Advanced SIMD.
        unsafe { (vuzp1q_f32(a, b), vuzp2q_f32(a, b)) }
    }
    #[inline(always)]
    fn shl_i32<const BITS: i32>(self, a: int32x4_t) -> int32x4_t {
        // SAFETY: the token proves that the CPU has Advanced SIMD.
        unsafe { vshlq_n_s32::<BITS>(a) }
    }
    #[inline(always)]
    fn shr_i32<const BITS: i32>(self, a: int32x4_t) -> int32x4_t {
        // SAFETY: the token proves that the CPU has Advanced SIMD.
        unsafe { vshrq_n_s32::<BITS>(a) }
    }
    #[inline(always)]
    unsafe fn transpose_ptr(self, rows: &[*const f32; MAX_LANES], dst: *mut f32, stride: usize) {
        // SAFETY: the token proves the feature, the caller the memory.
        unsafe {
            let (a, b) = (vld1q_f32(rows[0]), vld1q_f32(rows[1]));
            let (c, d) = (vld1q_f32(rows[2]), vld1q_f32(rows[3]));
            let (ab, cd) = (vtrn1q_f32(a, b), vtrn1q_f32(c, d));
            let (ef, gh) = (vtrn2q_f32(a, b), vtrn2q_f32(c, d));
            vst1q_f32(dst, vcombine_f32(vget_low_f32(ab), vget_low_f32(cd)));
            vst1q_f32(
                dst.add(stride),
                vcombine_f32(vget_low_f32(ef), vget_low_f32(gh)),
            );
            vst1q_f32(
                dst.add(2 * stride),
                vcombine_f32(vget_high_f32(ab), vget_high_f32(cd)),
            );
            vst1q_f32(
                dst.add(3 * stride),
                vcombine_f32(vget_high_f32(ef), vget_high_f32(gh)),
            );
        }
    }
}
