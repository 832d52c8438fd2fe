//! Loads and stores: which bytes they touch and which lanes they fill.

use super::guard::Guarded;
use super::{Random, cases, floats, integers, isas, of_floats, of_integers, special_i32};
use crate::simd::{Simd, dispatch};

const CANARY: u8 = 0xa5;

/// Numbers whose bytes are all different from each other and from the canary.
fn pattern(lanes: usize) -> Vec<i32> {
    (0..lanes as i32)
        .map(|i| 0x0403_0201 + 0x0404_0404 * i)
        .collect()
}

fn as_floats(values: &[i32]) -> Vec<f32> {
    values.iter().map(|&v| f32::from_bits(v as u32)).collect()
}

/// Where a block of `bytes` is placed: against either guard page, and at every alignment.
fn places(memory: &Guarded, bytes: usize) -> Vec<*mut u8> {
    let mut places = vec![memory.start(), memory.before_end(bytes)];
    places.extend((1..64).map(|offset| memory.start().wrapping_add(512 + offset)));
    places
}

/// Asserts that `memory` holds `block` at `ptr` and canaries elsewhere; restores them.
fn only_holds(memory: &mut Guarded, ptr: *mut u8, block: &[u8], what: &str) {
    let offset = ptr as usize - memory.start() as usize;
    let bytes = memory.bytes();
    assert_eq!(&bytes[offset..offset + block.len()], block, "{what}");
    bytes[offset..offset + block.len()].fill(CANARY);
    assert!(bytes.iter().all(|&b| b == CANARY), "{what} writes outside");
}

fn bytes_of(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_ne_bytes()).collect()
}

#[inline(always)]
fn stores<S: Simd>(simd: S) {
    let values = pattern(S::LANES);
    let (v, f) = (integers(simd, &values), floats(simd, &as_floats(&values)));
    let mut memory = Guarded::new(CANARY);
    let all = bytes_of(&values);
    let mut aligned = 0;
    for ptr in places(&memory, all.len()) {
        // SAFETY: LANES elements are writable at every place.
        unsafe { simd.store_ptr(ptr.cast(), f) };
        only_holds(&mut memory, ptr, &all, "store_ptr");
        // SAFETY: as above.
        unsafe { simd.store_i32_ptr(ptr.cast(), v) };
        only_holds(&mut memory, ptr, &all, "store_i32_ptr");
        if (ptr as usize).is_multiple_of(all.len()) {
            // SAFETY: as above, and aligned.
            unsafe { simd.store_streaming_ptr(ptr.cast(), f) };
            simd.finish_streaming();
            only_holds(&mut memory, ptr, &all, "store_streaming_ptr");
            aligned += 1;
        }
    }
    assert!(aligned > 0);
    for count in (0..=S::LANES + 1).chain([1000, usize::MAX]) {
        let stored = count.min(S::LANES);
        for ptr in places(&memory, 4 * stored) {
            let what = format!("store of {count}");
            // SAFETY: min(count, LANES) elements are writable at every place.
            unsafe { simd.store_partial_ptr(ptr.cast(), count, f) };
            only_holds(&mut memory, ptr, &all[..4 * stored], &what);
            // SAFETY: as above.
            unsafe { simd.store_i32_partial_ptr(ptr.cast(), count, v) };
            only_holds(&mut memory, ptr, &all[..4 * stored], &what);
        }
    }
}

#[inline(always)]
fn loads<S: Simd>(simd: S) {
    let values = pattern(S::LANES);
    let mut memory = Guarded::new(CANARY);
    for count in (0..=S::LANES + 1).chain([1000, usize::MAX]) {
        let read = count.min(S::LANES);
        let mut want = values.clone();
        want[read..].fill(0);
        for ptr in places(&memory, 4 * read) {
            let offset = ptr as usize - memory.start() as usize;
            memory.bytes()[offset..offset + 4 * read].copy_from_slice(&bytes_of(&values[..read]));
            // SAFETY: min(count, LANES) elements are readable at every place.
            let (f, v) = unsafe {
                (
                    simd.load_partial_ptr(ptr.cast(), count),
                    simd.load_i32_partial_ptr(ptr.cast(), count),
                )
            };
            assert_eq!(
                of_integers(simd, simd.bits(f)),
                want,
                "load_partial_ptr of {count}"
            );
            assert_eq!(
                of_integers(simd, v),
                want,
                "load_i32_partial_ptr of {count}"
            );
            if read == S::LANES {
                // SAFETY: LANES elements are readable at every place.
                let (f, v) = unsafe { (simd.load_ptr(ptr.cast()), simd.load_i32_ptr(ptr.cast())) };
                assert_eq!(of_integers(simd, simd.bits(f)), want, "load_ptr");
                assert_eq!(of_integers(simd, v), want, "load_i32_ptr");
            }
            memory.bytes().fill(CANARY);
        }
    }
}

/// Every run of lanes, against either guard page: what is before the first and after the last may not be there.
#[inline(always)]
fn masked_loads<S: Simd>(simd: S) {
    let values = pattern(S::LANES);
    let mut memory = Guarded::new(CANARY);
    for from in 0..=S::LANES {
        for to in from..=S::LANES + 1 {
            let last = to.min(S::LANES);
            let mut want = vec![0; S::LANES];
            want[from..last].copy_from_slice(&values[from..last]);
            for ptr in places(&memory, 4 * (last - from)) {
                let offset = ptr as usize - memory.start() as usize;
                let run = bytes_of(&values[from..last]);
                memory.bytes()[offset..offset + run.len()].copy_from_slice(&run);
                let ptr = ptr.cast::<f32>().wrapping_sub(from);
                // SAFETY: the lanes of the mask are those written above.
                let f = unsafe { simd.load_masked_ptr(ptr, simd.between(from, to)) };
                assert_eq!(
                    of_integers(simd, simd.bits(f)),
                    want,
                    "load_masked_ptr of {from}..{to}"
                );
                memory.bytes().fill(CANARY);
            }
        }
    }
}

#[inline(always)]
fn bytes<S: Simd>(simd: S) {
    let mut memory = Guarded::new(CANARY);
    let mut random = Random::new();
    for ptr in places(&memory, S::LANES) {
        let offset = ptr as usize - memory.start() as usize;
        let block: Vec<u8> = (0..S::LANES)
            .map(|i| [0, 255, 128, random.bits() as u8][i % 4])
            .collect();
        memory.bytes()[offset..offset + S::LANES].copy_from_slice(&block);
        // SAFETY: LANES bytes are readable at every place.
        let v = unsafe { simd.load_u8_ptr(ptr) };
        assert_eq!(
            of_integers(simd, v),
            block.iter().map(|&b| i32::from(b)).collect::<Vec<_>>()
        );
        memory.bytes().fill(CANARY);

        let mut values = special_i32();
        values.extend((0..64).map(|_| random.i32()));
        values.extend((0..64).map(|_| random.i32() >> 22));
        for values in values.chunks_exact(S::LANES) {
            let want: Vec<u8> = values.iter().map(|&v| v.clamp(0, 255) as u8).collect();
            // SAFETY: LANES bytes are writable at every place.
            unsafe { simd.store_u8_ptr(ptr, integers(simd, values)) };
            only_holds(&mut memory, ptr, &want, "store_u8_ptr");
        }
    }
}

#[inline(always)]
fn gathers<S: Simd>(simd: S) {
    let mut memory = Guarded::new(CANARY);
    let elements = memory.bytes().len() / 4 - 1;
    let mut random = Random::new();
    let content: Vec<i32> = (0..elements).map(|_| random.i32()).collect();
    // Aligned from the first byte on, then unaligned up to the last byte.
    for shift in [0, 4, 3] {
        let first = memory.start().wrapping_add(shift);
        memory.bytes()[shift..shift + 4 * elements].copy_from_slice(&bytes_of(&content));
        for base in [0, elements / 2, elements - 1] {
            for round in 0..cases(200) {
                let at: Vec<usize> = match round {
                    0 => vec![0; S::LANES],
                    1 => vec![elements - 1; S::LANES],
                    _ => (0..S::LANES).map(|_| random.below(elements)).collect(),
                };
                let index: Vec<i32> = at.iter().map(|&i| i as i32 - base as i32).collect();
                let want: Vec<i32> = at.iter().map(|&i| content[i]).collect();
                let index = integers(simd, &index);
                let base = first.wrapping_add(4 * base);
                // SAFETY: base + index is one of the elements.
                let (f, v) = unsafe {
                    (
                        simd.gather_ptr(base.cast(), index),
                        simd.gather_i32_ptr(base.cast(), index),
                    )
                };
                assert_eq!(of_integers(simd, simd.bits(f)), want, "gather_ptr");
                assert_eq!(of_integers(simd, v), want, "gather_i32_ptr");
            }
        }
    }
}

#[inline(always)]
fn slices<S: Simd>(simd: S) {
    let source: Vec<f32> = (1..=S::LANES as i32 + 2).map(|i| i as f32).collect();
    for len in 0..source.len() {
        let mut want = vec![0.0; S::LANES];
        let read = len.min(S::LANES);
        want[..read].copy_from_slice(&source[..read]);
        let v = simd.load_partial(&source[..len]);
        assert_eq!(of_floats(simd, v), want);

        let mut stored = vec![-1.0; len];
        simd.store_partial(&mut stored, v);
        want.resize(S::LANES + 2, -1.0);
        assert_eq!(stored, want[..len]);
    }
    assert_eq!(of_floats(simd, simd.load(&source)), source[..S::LANES]);
    let mut stored = vec![-1.0; S::LANES + 2];
    simd.store(&mut stored, simd.load(&source));
    assert_eq!(stored[..S::LANES], source[..S::LANES]);
    assert_eq!(stored[S::LANES..], [-1.0, -1.0]);
}

#[inline(always)]
fn load_short<S: Simd>(simd: S) {
    simd.load(&vec![0.0; S::LANES - 1]);
}

#[inline(always)]
fn store_short<S: Simd>(simd: S) {
    simd.store(&mut vec![0.0; S::LANES - 1], simd.zero());
}

macro_rules! on_every_tier {
    ($($test:ident: $check:ident;)*) => {$(
        #[test]
        fn $test() {
            for isa in isas() {
                dispatch!(isa, simd => $check(simd));
            }
        }
    )*};
}

on_every_tier! {
    stores_write_their_elements_and_nothing_else: stores;
    loads_read_their_elements_and_nothing_else: loads;
    masked_loads_read_their_lanes_and_nothing_else: masked_loads;
    bytes_widen_and_saturate: bytes;
    gathers_take_signed_offsets: gathers;
    slices_bound_the_lanes: slices;
}

#[test]
fn whole_vectors_need_whole_slices() {
    for isa in isas() {
        let load = std::panic::catch_unwind(|| dispatch!(isa, simd => load_short(simd)));
        let store = std::panic::catch_unwind(|| dispatch!(isa, simd => store_short(simd)));
        assert!(load.is_err() && store.is_err(), "{}", isa.tier().name());
    }
}
