//! Every operation on counters against plain numbers, on every tier of the machine.

use super::{COUNTERS, Counts};
use crate::simd::dispatch;
use crate::simd::tests::isas;
use std::array::from_fn;

/// Numbers near both ends and the middle of `bits`, and some between.
fn numbers(seed: usize, bits: u32) -> [u64; COUNTERS] {
    let most = (1u64 << bits) - 1;
    from_fn(|i| match (i + seed) % 8 {
        0 => 0,
        1 => 1,
        2 => most / 2,
        3 => most / 2 + 1,
        4 => most,
        5 => most - 1,
        _ => (((i * 7919 + seed * 104_729 + 12_345) as u64 * 2_654_435_761) >> 9) & most,
    })
}

macro_rules! check {
    ($simd:ident, $seed:ident, $t:ty, $bits:literal, $load:ident $store:ident $add:ident $sub:ident $at_most:ident) => {{
        let a = numbers($seed, $bits).map(|v| v as $t);
        let b = numbers($seed * 3 + 1, $bits).map(|v| v as $t);
        let (x, y) = ($simd.$load(&a), $simd.$load(&b));
        let mut out = [0; COUNTERS];
        $simd.$store(&mut out, x);
        assert_eq!(out, a);
        $simd.$store(&mut out, $simd.$add(x, y));
        assert_eq!(out, from_fn(|i| a[i].wrapping_add(b[i])));
        $simd.$store(&mut out, $simd.$sub(x, y));
        assert_eq!(out, from_fn(|i| a[i].wrapping_sub(b[i])));
        for most in b {
            let expected = a.iter().filter(|&&v| v <= most).count();
            assert_eq!($simd.$at_most(x, most), expected, "{a:?} {most}");
        }
    }};
}

#[inline(always)]
fn every_operation<S: Counts>(simd: S) {
    for seed in 0..64 {
        check!(simd, seed, u8, 8, load_c8 store_c8 add_c8 sub_c8 at_most_c8);
        check!(simd, seed, u16, 16, load_c16 store_c16 add_c16 sub_c16 at_most_c16);
        // Comparisons are of 31 bits.
        check!(simd, seed, u32, 31, load_c32 store_c32 add_c32 sub_c32 at_most_c32);
        let bytes = numbers(seed, 8).map(|v| v as u8);
        let other = numbers(seed + 5, 8).map(|v| v as u8);
        let (x, y) = (simd.load_c8(&bytes), simd.load_c8(&other));
        for value in other {
            let same = bytes.map(|v| v == value);
            let bits = (0..COUNTERS).fold(0, |bits, i| bits | u32::from(same[i]) << i);
            assert_eq!(simd.equal_bits_c8(x, value), bits, "{bytes:?} {value}");
            let mut chosen = [0; COUNTERS];
            simd.store_c8(&mut chosen, simd.select_equal_c8(x, value, y, x));
            assert_eq!(
                chosen,
                from_fn(|i| if same[i] { other[i] } else { bytes[i] })
            );
        }
        let mut words = [0; COUNTERS];
        simd.store_c16(&mut words, simd.widen_c8(simd.load_c8(&bytes)));
        assert_eq!(words, bytes.map(u16::from));
        let narrow = numbers(seed, 16).map(|v| v as u16);
        let mut wide = [0; COUNTERS];
        simd.store_c32(&mut wide, simd.widen_c16(simd.load_c16(&narrow)));
        assert_eq!(wide, narrow.map(u32::from));
    }
}

#[test]
fn counters_are_plain_numbers_side_by_side() {
    for isa in isas() {
        dispatch!(isa, simd => every_operation(simd));
    }
}
