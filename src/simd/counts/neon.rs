//! Counters of Advanced SIMD: one register of bytes, two of words, four of integers.

use super::{COUNTERS, Counts};
use crate::simd::Neon;
use core::arch::aarch64::*;

macro_rules! ops {
    ($($name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? = $body:expr;)*) => {$(
        #[inline(always)]
        #[allow(unused_unsafe)]
        fn $name(self, $($arg: $ty),*) $(-> $ret)? {
            // SAFETY: the token proves that the CPU has Advanced SIMD; references are to sixteen counters.
            unsafe { $body }
        }
    )*};
}

impl Counts for Neon {
    type C8 = uint8x16_t;
    type C16 = [uint16x8_t; 2];
    type C32 = [uint32x4_t; 4];

    ops! {
        load_c8(from: &[u8; COUNTERS]) -> uint8x16_t = vld1q_u8(from.as_ptr());
        store_c8(to: &mut [u8; COUNTERS], v: uint8x16_t) = vst1q_u8(to.as_mut_ptr(), v);
        add_c8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t = vaddq_u8(a, b);
        sub_c8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t = vsubq_u8(a, b);
        at_most_c8(a: uint8x16_t, most: u8) -> usize = {
            let ones = vshrq_n_u8::<7>(vcleq_u8(a, vdupq_n_u8(most)));
            usize::from(vaddvq_u8(ones))
        };
        equal_bits_c8(a: uint8x16_t, value: u8) -> u32 = {
            let places: [u8; COUNTERS] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
            let bits = vandq_u8(vceqq_u8(a, vdupq_n_u8(value)), vld1q_u8(places.as_ptr()));
            u32::from(vaddv_u8(vget_low_u8(bits))) | u32::from(vaddv_u8(vget_high_u8(bits))) << 8
        };
        select_equal_c8(a: uint8x16_t, value: u8, yes: uint8x16_t, no: uint8x16_t) -> uint8x16_t =
            vbslq_u8(vceqq_u8(a, vdupq_n_u8(value)), yes, no);

        load_c16(from: &[u16; COUNTERS]) -> [uint16x8_t; 2] =
            [vld1q_u16(from.as_ptr()), vld1q_u16(from.as_ptr().add(8))];
        store_c16(to: &mut [u16; COUNTERS], v: [uint16x8_t; 2]) = {
            vst1q_u16(to.as_mut_ptr(), v[0]);
            vst1q_u16(to.as_mut_ptr().add(8), v[1]);
        };
        add_c16(a: [uint16x8_t; 2], b: [uint16x8_t; 2]) -> [uint16x8_t; 2] =
            [vaddq_u16(a[0], b[0]), vaddq_u16(a[1], b[1])];
        sub_c16(a: [uint16x8_t; 2], b: [uint16x8_t; 2]) -> [uint16x8_t; 2] =
            [vsubq_u16(a[0], b[0]), vsubq_u16(a[1], b[1])];
        at_most_c16(a: [uint16x8_t; 2], most: u16) -> usize = {
            let most = vdupq_n_u16(most);
            // All ones are less than nothing by one.
            let ones = vaddq_u16(vcleq_u16(a[0], most), vcleq_u16(a[1], most));
            usize::from(vaddvq_u16(ones).wrapping_neg())
        };

        load_c32(from: &[u32; COUNTERS]) -> [uint32x4_t; 4] = [
            vld1q_u32(from.as_ptr()),
            vld1q_u32(from.as_ptr().add(4)),
            vld1q_u32(from.as_ptr().add(8)),
            vld1q_u32(from.as_ptr().add(12)),
        ];
        store_c32(to: &mut [u32; COUNTERS], v: [uint32x4_t; 4]) = {
            vst1q_u32(to.as_mut_ptr(), v[0]);
            vst1q_u32(to.as_mut_ptr().add(4), v[1]);
            vst1q_u32(to.as_mut_ptr().add(8), v[2]);
            vst1q_u32(to.as_mut_ptr().add(12), v[3]);
        };
        add_c32(a: [uint32x4_t; 4], b: [uint32x4_t; 4]) -> [uint32x4_t; 4] = [
            vaddq_u32(a[0], b[0]),
            vaddq_u32(a[1], b[1]),
            vaddq_u32(a[2], b[2]),
            vaddq_u32(a[3], b[3]),
        ];
        sub_c32(a: [uint32x4_t; 4], b: [uint32x4_t; 4]) -> [uint32x4_t; 4] = [
            vsubq_u32(a[0], b[0]),
            vsubq_u32(a[1], b[1]),
            vsubq_u32(a[2], b[2]),
            vsubq_u32(a[3], b[3]),
        ];
        at_most_c32(a: [uint32x4_t; 4], most: u32) -> usize = {
            let most = vdupq_n_u32(most);
            let low = vaddq_u32(vcleq_u32(a[0], most), vcleq_u32(a[1], most));
            let high = vaddq_u32(vcleq_u32(a[2], most), vcleq_u32(a[3], most));
            vaddvq_u32(vaddq_u32(low, high)).wrapping_neg() as usize
        };

        widen_c8(a: uint8x16_t) -> [uint16x8_t; 2] =
            [vmovl_u8(vget_low_u8(a)), vmovl_high_u8(a)];
        widen_c16(a: [uint16x8_t; 2]) -> [uint32x4_t; 4] = [
            vmovl_u16(vget_low_u16(a[0])),
            vmovl_high_u16(a[0]),
            vmovl_u16(vget_low_u16(a[1])),
            vmovl_high_u16(a[1]),
        ];
    }
}
