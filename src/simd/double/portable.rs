//! Doubles of the portable tier: two, as an array that the compiler keeps in a register.

use super::Double;
use crate::simd::Portable;

macro_rules! ops {
    ($($name:ident($($arg:ident),*) = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: [f64; 2]),*) -> [f64; 2] {
            let mut lanes = [0.0; 2];
            for (i, lane) in lanes.iter_mut().enumerate() {
                $(let $arg = $arg[i];)*
                *lane = $body;
            }
            lanes
        }
    )*};
}

impl Double for Portable {
    type F64 = [f64; 2];

    #[inline(always)]
    unsafe fn load_f64_ptr(self, ptr: *const f64) -> [f64; 2] {
        // SAFETY: the caller's promise.
        unsafe { ptr.cast::<[f64; 2]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_widened_ptr(self, ptr: *const f32) -> [f64; 2] {
        // SAFETY: the caller's promise.
        let [a, b] = unsafe { ptr.cast::<[f32; 2]>().read_unaligned() };
        [f64::from(a), f64::from(b)]
    }
    #[inline(always)]
    unsafe fn store_f64_ptr(self, ptr: *mut f64, v: [f64; 2]) {
        // SAFETY: the caller's promise.
        unsafe { ptr.cast::<[f64; 2]>().write_unaligned(v) }
    }
    #[inline(always)]
    fn splat_f64(self, value: f64) -> [f64; 2] {
        [value; 2]
    }

    ops! {
        add_f64(a, b) = a + b;
        sub_f64(a, b) = a - b;
        mul_f64(a, b) = a * b;
        min_f64(a, b) = if a < b { a } else { b };
        max_f64(a, b) = if a > b { a } else { b };
        select_lt_f64(a, b, yes, no) = if a < b { yes } else { no };
        keep_le_f64(a, b, yes) = if a <= b { yes } else { 0.0 };
    }

    #[inline(always)]
    fn eq_bits_f64(self, a: [f64; 2], b: [f64; 2]) -> u32 {
        u32::from(a[0] == b[0]) | u32::from(a[1] == b[1]) << 1
    }
    #[inline(always)]
    fn le_bits_f64(self, a: [f64; 2], b: [f64; 2]) -> u32 {
        u32::from(a[0] <= b[0]) | u32::from(a[1] <= b[1]) << 1
    }
}
