//! Counters of the portable tier: arrays, which the compiler turns into the baseline's vectors.

use super::{COUNTERS, Counts};
use crate::simd::Portable;
use std::array::from_fn;

macro_rules! counters {
    ($($t:ty: $load:ident $store:ident $add:ident $sub:ident $at_most:ident;)*) => {$(
        #[inline(always)]
        fn $load(self, from: &[$t; COUNTERS]) -> [$t; COUNTERS] {
            *from
        }
        #[inline(always)]
        fn $store(self, to: &mut [$t; COUNTERS], v: [$t; COUNTERS]) {
            *to = v;
        }
        #[inline(always)]
        fn $add(self, a: [$t; COUNTERS], b: [$t; COUNTERS]) -> [$t; COUNTERS] {
            from_fn(|i| a[i].wrapping_add(b[i]))
        }
        #[inline(always)]
        fn $sub(self, a: [$t; COUNTERS], b: [$t; COUNTERS]) -> [$t; COUNTERS] {
            from_fn(|i| a[i].wrapping_sub(b[i]))
        }
        #[inline(always)]
        fn $at_most(self, a: [$t; COUNTERS], most: $t) -> usize {
            let mut count: $t = 0;
            for v in a {
                count += <$t>::from(v <= most);
            }
            count as usize
        }
    )*};
}

impl Counts for Portable {
    type C8 = [u8; COUNTERS];
    type C16 = [u16; COUNTERS];
    type C32 = [u32; COUNTERS];

    counters! {
        u8: load_c8 store_c8 add_c8 sub_c8 at_most_c8;
        u16: load_c16 store_c16 add_c16 sub_c16 at_most_c16;
        u32: load_c32 store_c32 add_c32 sub_c32 at_most_c32;
    }

    #[inline(always)]
    fn equal_bits_c8(self, a: [u8; COUNTERS], value: u8) -> u32 {
        (0..COUNTERS).fold(0, |bits, i| bits | u32::from(a[i] == value) << i)
    }
    #[inline(always)]
    fn select_equal_c8(
        self,
        a: [u8; COUNTERS],
        value: u8,
        yes: [u8; COUNTERS],
        no: [u8; COUNTERS],
    ) -> [u8; COUNTERS] {
        from_fn(|i| if a[i] == value { yes[i] } else { no[i] })
    }
    #[inline(always)]
    fn widen_c8(self, a: [u8; COUNTERS]) -> [u16; COUNTERS] {
        a.map(u16::from)
    }
    #[inline(always)]
    fn widen_c16(self, a: [u16; COUNTERS]) -> [u32; COUNTERS] {
        a.map(u32::from)
    }
}
