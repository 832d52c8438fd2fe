//! Narrow vectors of Advanced SIMD: one block.

use super::Narrow;
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

/// Two floats from each of two offsets.
///
/// # Safety
/// The CPU has Advanced SIMD, and the floats are readable.
#[inline(always)]
unsafe fn two_pairs(base: *const f32, offsets: *const u32) -> float32x4_t {
    // SAFETY: the caller's promise.
    unsafe {
        vcombine_f32(
            vld1_f32(base.add(*offsets as usize)),
            vld1_f32(base.add(*offsets.add(1) as usize)),
        )
    }
}

impl Narrow for Neon {
    type U8 = uint8x16_t;
    type I16 = int16x8_t;

    memory_ops! {
        load_bytes_ptr(ptr: *const u8) -> uint8x16_t = vld1q_u8(ptr);
        store_bytes_ptr(ptr: *mut u8, v: uint8x16_t) = vst1q_u8(ptr, v);
        store_bytes_partial_ptr(ptr: *mut u8, count: usize, v: uint8x16_t) = {
            let mut bytes = [0u8; 16];
            vst1q_u8(bytes.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), ptr, count.min(16));
        };
        store_twelves_ptr(ptr: *mut u8, v: uint8x16_t) = {
            vst1_u8(ptr, vget_low_u8(v));
            let third = vgetq_lane_u32::<2>(vreinterpretq_u32_u8(v));
            ptr.add(8).cast::<u32>().write_unaligned(third);
        };
        load_words_ptr(ptr: *const i16) -> int16x8_t = vld1q_s16(ptr);
        store_words_ptr(ptr: *mut i16, v: int16x8_t) = vst1q_s16(ptr, v);
        load_float_blocks_ptr(base: *const f32, offsets: *const u32) -> float32x4_t =
            vld1q_f32(base.add(*offsets as usize));
        load_float_pairs_ptr(base: *const f32, offsets: *const u32) -> (float32x4_t, float32x4_t) = {
            let (low, high) = (two_pairs(base, offsets), two_pairs(base, offsets.add(2)));
            (vuzp1q_f32(low, high), vuzp2q_f32(low, high))
        };
        load_float_quads_ptr(base: *const f32, offsets: *const u32) -> (float32x4_t, float32x4_t) = {
            let a = vld1q_f32(base.add(*offsets as usize));
            let b = vld1q_f32(base.add(*offsets.add(1) as usize));
            (
                vcombine_f32(vget_low_f32(a), vget_low_f32(b)),
                vcombine_f32(vget_high_f32(a), vget_high_f32(b)),
            )
        };
        load_byte_pairs_ptr(base: *const u8, offsets: *const u32) -> (uint8x16_t, uint8x16_t) = {
            let run = |i: usize| vld1_u8(base.add(*offsets.add(i) as usize));
            let low = vreinterpretq_u32_u8(vcombine_u8(run(0), run(1)));
            let high = vreinterpretq_u32_u8(vcombine_u8(run(2), run(3)));
            (
                vreinterpretq_u8_u32(vuzp1q_u32(low, high)),
                vreinterpretq_u8_u32(vuzp2q_u32(low, high)),
            )
        };
        // Each round moves the highest bit of a byte's place (row, column) to the end: after four
        // rounds rows and columns are exchanged.
        transpose_bytes_ptr(rows: *const u8, step: isize, columns: *mut u8, stride: isize) = {
            let mut a: [uint8x16_t; 16] =
                std::array::from_fn(|i| vld1q_u8(rows.offset(step * i as isize)));
            for _ in 0..4 {
                a = std::array::from_fn(|i| match i % 2 {
                    0 => vzip1q_u8(a[i / 2], a[i / 2 + 8]),
                    _ => vzip2q_u8(a[i / 2], a[i / 2 + 8]),
                });
            }
            for (j, v) in a.into_iter().enumerate() {
                vst1q_u8(columns.offset(stride * j as isize), v);
            }
        };
        splat_blocks_ptr(ptr: *const f32) -> float32x4_t = vdupq_n_f32(*ptr);
        store_float_blocks_ptr(ptr: *mut f32, _step: usize, v: float32x4_t) = vst1q_f32(ptr, v);
    }

    #[inline(always)]
    unsafe fn load_blocks_ptr<const PARTS: usize>(
        self,
        base: *const u8,
        offsets: *const u32,
    ) -> uint8x16_t {
        // SAFETY: the token proves the feature, the caller the memory.
        unsafe {
            let run = |part: usize| base.add(*offsets.add(part) as usize);
            match PARTS {
                1 => vld1q_u8(run(0)),
                2 => vcombine_u8(vld1_u8(run(0)), vld1_u8(run(1))),
                _ => {
                    let words: [u32; 4] =
                        std::array::from_fn(|i| run(i).cast::<u32>().read_unaligned());
                    vreinterpretq_u8_u32(vld1q_u32(words.as_ptr()))
                }
            }
        }
    }

    safe_ops! {
        // An index beyond the table gives zero.
        shuffle_bytes(a: uint8x16_t, index: uint8x16_t) -> uint8x16_t = vqtbl1q_u8(a, index);
        pack_i32(a: int32x4_t, b: int32x4_t) -> int16x8_t = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b));
        pack_i16(a: int16x8_t, b: int16x8_t) -> uint8x16_t = vcombine_u8(vqmovun_s16(a), vqmovun_s16(b));
        min_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t = vminq_u8(a, b);
        max_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t = vmaxq_u8(a, b);
        splat_i16(value: i16) -> int16x8_t = vdupq_n_s16(value);
        add_i16(a: int16x8_t, b: int16x8_t) -> int16x8_t = vaddq_s16(a, b);
        and_i16(a: int16x8_t, b: int16x8_t) -> int16x8_t = vandq_s16(a, b);
        mul_high_i16(a: int16x8_t, b: int16x8_t) -> int16x8_t = {
            let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
            let high = vmull_high_s16(a, b);
            vuzp2q_s16(vreinterpretq_s16_s32(low), vreinterpretq_s16_s32(high))
        };
        dot_pairs_i16(a: int16x8_t, b: int16x8_t) -> int32x4_t = {
            let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
            vpaddq_s32(low, vmull_high_s16(a, b))
        };
        sum_pairs_u8(a: uint8x16_t) -> int16x8_t = vreinterpretq_s16_u16(vpaddlq_u8(a));
        bytes_as_i16(a: uint8x16_t) -> int16x8_t = vreinterpretq_s16_u8(a);
        bytes_as_i32(a: uint8x16_t) -> int32x4_t = vreinterpretq_s32_u8(a);
        i32_as_bytes(a: int32x4_t) -> uint8x16_t = vreinterpretq_u8_s32(a);
    }

    #[inline(always)]
    fn splat_lane<const LANE: i32>(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: the token proves that the CPU has Advanced SIMD.
        unsafe { vdupq_laneq_f32::<LANE>(a) }
    }
    #[inline(always)]
    fn align_blocks<const FIRST: i32>(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the token proves that the CPU has Advanced SIMD.
        unsafe { vextq_f32::<FIRST>(a, b) }
    }
    #[inline(always)]
    fn shr_i16<const BITS: i32>(self, a: int16x8_t) -> int16x8_t {
        // SAFETY: the token proves that the CPU has Advanced SIMD; the count is in a
        // register because a trait's constant cannot bound itself to 1..=16.
        unsafe { vshlq_s16(a, vdupq_n_s16(-BITS as i16)) }
    }
}
