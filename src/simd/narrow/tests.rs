//! Every narrow operation against plain loops, on every tier of the machine.

use super::Narrow;
use crate::simd::dispatch;
use crate::simd::tests::{cases, isas};

/// A byte sequence without a pattern (a linear congruential generator).
fn noise(len: usize, mut state: u64) -> Vec<u8> {
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

fn words(bytes: &[u8]) -> Vec<i16> {
    bytes
        .chunks_exact(2)
        .map(|b| i16::from_le_bytes([b[0], b[1]]))
        .collect()
}

fn store_words<S: Narrow>(simd: S, v: S::I16) -> Vec<i16> {
    let mut out = vec![0i16; 2 * S::LANES];
    // SAFETY: the vector has 2 * LANES words.
    unsafe { simd.store_words_ptr(out.as_mut_ptr(), v) };
    out
}

fn store_bytes<S: Narrow>(simd: S, v: S::U8) -> Vec<u8> {
    let mut out = vec![0u8; 4 * S::LANES];
    // SAFETY: the vector has 4 * LANES bytes.
    unsafe { simd.store_bytes_ptr(out.as_mut_ptr(), v) };
    out
}

fn store_i32<S: Narrow>(simd: S, v: S::I32) -> Vec<i32> {
    let mut out = vec![0i32; S::LANES];
    // SAFETY: the vector has LANES integers.
    unsafe { simd.store_i32_ptr(out.as_mut_ptr(), v) };
    out
}

/// Two lists dealt in turns of `n`: the result of a pack inside of blocks.
fn interleave<T: Copy>(a: &[T], b: &[T], n: usize) -> Vec<T> {
    a.chunks(n)
        .zip(b.chunks(n))
        .flat_map(|(a, b)| [a, b].concat())
        .collect()
}

#[inline(always)]
fn arithmetic<S: Narrow>(simd: S, seed: u64) {
    let n = S::LANES;
    let (mut x, mut y) = (words(&noise(4 * n, seed)), words(&noise(4 * n, seed + 1)));
    (x[0], y[0], x[1], y[1]) = (i16::MIN, i16::MIN, i16::MAX, i16::MAX);
    // SAFETY: both lists have 2 * LANES words.
    let (a, b) = unsafe {
        (
            simd.load_words_ptr(x.as_ptr()),
            simd.load_words_ptr(y.as_ptr()),
        )
    };
    let zip = |f: &dyn Fn(i16, i16) -> i16| -> Vec<i16> {
        x.iter().zip(&y).map(|(&a, &b)| f(a, b)).collect()
    };
    assert_eq!(
        store_words(simd, simd.add_i16(a, b)),
        zip(&|a, b| a.wrapping_add(b))
    );
    assert_eq!(store_words(simd, simd.and_i16(a, b)), zip(&|a, b| a & b));
    let high = |a: i16, b: i16| ((i32::from(a) * i32::from(b)) >> 16) as i16;
    assert_eq!(store_words(simd, simd.mul_high_i16(a, b)), zip(&high));
    assert_eq!(store_words(simd, simd.shr_i16::<2>(a)), zip(&|a, _| a >> 2));
    assert_eq!(
        store_words(simd, simd.shr_i16::<15>(a)),
        zip(&|a, _| a >> 15)
    );
    assert_eq!(store_words(simd, simd.splat_i16(-321)), vec![-321; 2 * n]);
    // The instruction wraps for four times i16::MIN alone, which no kernel has.
    x[0] = 5;
    // SAFETY: the list has 2 * LANES words.
    let a = unsafe { simd.load_words_ptr(x.as_ptr()) };
    let dot: Vec<i32> = (0..n)
        .map(|i| {
            let product = |j: usize| i32::from(x[j]) * i32::from(y[j]);
            product(2 * i) + product(2 * i + 1)
        })
        .collect();
    assert_eq!(store_i32(simd, simd.dot_pairs_i16(a, b)), dot);
}

#[inline(always)]
fn blocks<S: Narrow>(simd: S, seed: u64) {
    let n = S::LANES;
    let bytes = noise(4 * n, seed);
    let mut index: Vec<u8> = noise(4 * n, seed + 7).iter().map(|i| i & 15).collect();
    index.iter_mut().step_by(3).for_each(|i| *i = 0x80);
    // SAFETY: both lists have 4 * LANES bytes.
    let (a, at) = unsafe {
        (
            simd.load_bytes_ptr(bytes.as_ptr()),
            simd.load_bytes_ptr(index.as_ptr()),
        )
    };
    let expected: Vec<u8> = (0..4 * n)
        .map(|i| match index[i] {
            0x80 => 0,
            j => bytes[i / 16 * 16 + usize::from(j)],
        })
        .collect();
    assert_eq!(store_bytes(simd, simd.shuffle_bytes(a, at)), expected);
    let others = noise(4 * n, seed + 11);
    // SAFETY: the list has 4 * LANES bytes.
    let b = unsafe { simd.load_bytes_ptr(others.as_ptr()) };
    let zip = |f: fn(u8, u8) -> u8| -> Vec<u8> {
        bytes.iter().zip(&others).map(|(&a, &b)| f(a, b)).collect()
    };
    assert_eq!(store_bytes(simd, simd.min_u8(a, b)), zip(u8::min));
    assert_eq!(store_bytes(simd, simd.max_u8(a, b)), zip(u8::max));
    let sums: Vec<i16> = bytes
        .chunks(2)
        .map(|p| i16::from(p[0]) + i16::from(p[1]))
        .collect();
    assert_eq!(store_words(simd, simd.sum_pairs_u8(a)), sums);
    assert_eq!(store_words(simd, simd.bytes_as_i16(a)), words(&bytes));
    let integers: Vec<i32> = bytes
        .chunks(4)
        .map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    assert_eq!(store_i32(simd, simd.bytes_as_i32(a)), integers);
    let back = simd.i32_as_bytes(simd.bytes_as_i32(a));
    assert_eq!(store_bytes(simd, back), bytes);

    let other = words(&noise(4 * n, seed + 3));
    // SAFETY: the list has 2 * LANES words.
    let b = unsafe { simd.load_words_ptr(other.as_ptr()) };
    let packed = store_bytes(simd, simd.pack_i16(simd.bytes_as_i16(a), b));
    let clamp = |w: &[i16]| -> Vec<u8> { w.iter().map(|v| (*v).clamp(0, 255) as u8).collect() };
    assert_eq!(
        packed,
        interleave(&clamp(&words(&bytes)), &clamp(&other), 8)
    );

    let small: Vec<i32> = integers.iter().map(|v| v >> 14).collect();
    // SAFETY: the list has LANES integers.
    let c = unsafe { simd.load_i32_ptr(small.as_ptr()) };
    let packed = store_words(simd, simd.pack_i32(c, simd.bytes_as_i32(a)));
    let clamp =
        |w: &[i32]| -> Vec<i16> { w.iter().map(|v| (*v).clamp(-32768, 32767) as i16).collect() };
    assert_eq!(packed, interleave(&clamp(&small), &clamp(&integers), 4));
}

#[inline(always)]
fn memory<S: Narrow>(simd: S, seed: u64) {
    let n = S::LANES;
    let bytes = noise(512, seed);
    // SAFETY: 4 * LANES <= 64 bytes.
    let v = unsafe { simd.load_bytes_ptr(bytes.as_ptr()) };
    for count in 0..=4 * n + 1 {
        let mut out = vec![0xA5u8; 4 * n + 2];
        // SAFETY: there is room for all bytes.
        unsafe { simd.store_bytes_partial_ptr(out.as_mut_ptr(), count, v) };
        let count = count.min(4 * n);
        assert_eq!(out[..count], bytes[..count]);
        assert!(out[count..].iter().all(|&b| b == 0xA5));
    }
    let offsets: Vec<u32> = noise(64, seed + 5).iter().map(|&o| o.into()).collect();
    let runs = |parts: usize| -> Vec<u8> {
        let len = 16 / parts;
        (offsets[..parts * S::BLOCKS].iter())
            .flat_map(|&o| bytes[o as usize..][..len].to_vec())
            .collect()
    };
    // SAFETY: offsets are below 256 and runs at most 16 of 512 bytes.
    unsafe {
        let (base, at) = (bytes.as_ptr(), offsets.as_ptr());
        assert_eq!(
            store_bytes(simd, simd.load_blocks_ptr::<1>(base, at)),
            runs(1)
        );
        assert_eq!(
            store_bytes(simd, simd.load_blocks_ptr::<2>(base, at)),
            runs(2)
        );
        assert_eq!(
            store_bytes(simd, simd.load_blocks_ptr::<4>(base, at)),
            runs(4)
        );
        let words = |start: usize| -> Vec<u8> {
            (offsets[..n].iter())
                .flat_map(|&o| bytes[o as usize + start..][..4].to_vec())
                .collect()
        };
        let (first, second) = simd.load_byte_pairs_ptr(base, at);
        assert_eq!(store_bytes(simd, first), words(0));
        assert_eq!(store_bytes(simd, second), words(4));
    }

    // Twelve bytes of each block, and not one more.
    let blocks: Vec<u8> = (1..=4 * n as u8).collect();
    let mut twelves = vec![0u8; 3 * n + 1];
    // SAFETY: as many bytes as a vector has, and room for twelve of each sixteen.
    unsafe {
        let v = simd.load_bytes_ptr(blocks.as_ptr());
        simd.store_twelves_ptr(twelves.as_mut_ptr(), v);
    }
    let kept = (0..3 * n).map(|i| blocks[i / 12 * 16 + i % 12]);
    assert_eq!(twelves, kept.chain([0]).collect::<Vec<u8>>());
    let other: Vec<u8> = (0..4 * n as u8).map(|i| 255 - i).collect();
    let mut twelves = vec![0u8; 6 * n + 1];
    // SAFETY: as above, of two vectors.
    unsafe {
        let (a, b) = (
            simd.load_bytes_ptr(blocks.as_ptr()),
            simd.load_bytes_ptr(other.as_ptr()),
        );
        simd.store_twelves_of_two_ptr(twelves.as_mut_ptr(), a, b);
    }
    let kept = [&blocks, &other]
        .into_iter()
        .flat_map(|from| (0..3 * n).map(|i| from[i / 12 * 16 + i % 12]));
    assert_eq!(twelves, kept.chain([0]).collect::<Vec<u8>>());

    // Sixteen columns of as many rows as a vector has bytes, forwards and backwards.
    let tall: Vec<u8> = (0..n * 4 * 17 + 16).map(|i| (i * 7 % 251) as u8).collect();
    for turned in [false, true] {
        let mut columns = vec![0u8; 16 * 70];
        let (row, step) = if turned {
            ((4 * n - 1) * 17, -17)
        } else {
            (0, 17)
        };
        let (column, stride) = if turned { (15 * 70, -70) } else { (0, 70) };
        // SAFETY: rows are 17 bytes apart in `tall`, columns 70, at most 64 long.
        unsafe {
            let (from, to) = (tall.as_ptr().add(row), columns.as_mut_ptr().add(column));
            simd.transpose_bytes_ptr(from, step, to, stride);
        }
        for j in 0..16 {
            let at = if turned { 15 - j } else { j } * 70;
            let row = |i: usize| if turned { 4 * n - 1 - i } else { i };
            let expected: Vec<u8> = (0..4 * n).map(|i| tall[row(i) * 17 + j]).collect();
            assert_eq!(columns[at..at + 4 * n], expected);
        }
    }

    let floats: Vec<f32> = (0..260).map(|i| i as f32).collect();
    let store = |v: S::F32| -> Vec<f32> {
        let mut out = vec![0.0; n];
        simd.store(&mut out, v);
        out
    };
    let expect = |per: usize, start: usize| -> Vec<f32> {
        (0..n)
            .map(|i| (offsets[i / per] as usize + start + i % per) as f32)
            .collect()
    };
    // SAFETY: offsets are below 256, and four floats from there are inside.
    unsafe {
        let (base, at) = (floats.as_ptr(), offsets.as_ptr());
        assert_eq!(store(simd.load_float_blocks_ptr(base, at)), expect(4, 0));
        let (first, second) = simd.load_float_pairs_ptr(base, at);
        assert_eq!((store(first), store(second)), (expect(1, 0), expect(1, 1)));
        let (first, second) = simd.load_float_quads_ptr(base, at);
        assert_eq!((store(first), store(second)), (expect(2, 0), expect(2, 2)));

        let each: Vec<f32> = (0..n).map(|i| floats[i / 4]).collect();
        assert_eq!(store(simd.splat_blocks_ptr(base)), each);

        let (v, w) = (simd.load_ptr(base), simd.load_ptr(base.add(100)));
        let each = |lane: usize| -> Vec<f32> { (0..n).map(|i| floats[i / 4 * 4 + lane]).collect() };
        assert_eq!(store(simd.splat_lane::<0>(v)), each(0));
        assert_eq!(store(simd.splat_lane::<1>(v)), each(1));
        assert_eq!(store(simd.splat_lane::<2>(v)), each(2));
        assert_eq!(store(simd.splat_lane::<3>(v)), each(3));
        let aligned = |first: usize| -> Vec<f32> {
            (0..n)
                .map(|i| match i % 4 + first {
                    at @ ..4 => floats[i / 4 * 4 + at],
                    at => floats[100 + i / 4 * 4 + at - 4],
                })
                .collect()
        };
        assert_eq!(store(simd.align_blocks::<1>(v, w)), aligned(1));
        assert_eq!(store(simd.align_blocks::<2>(v, w)), aligned(2));
        assert_eq!(store(simd.align_blocks::<3>(v, w)), aligned(3));

        let mut out = vec![-1.0; 3 * S::BLOCKS + 2];
        simd.store_float_blocks_ptr(out.as_mut_ptr(), 3, v);
        let expected: Vec<f32> = (0..3 * S::BLOCKS)
            .map(|i| (i / 3 * 4 + i % 3) as f32)
            .chain([(n - 1) as f32, -1.0])
            .collect();
        assert_eq!(out, expected);
    }
}

#[test]
fn every_operation_on_every_tier() {
    for isa in isas() {
        for seed in 0..cases(50) as u64 {
            dispatch!(isa, simd => arithmetic(simd, seed));
            dispatch!(isa, simd => blocks(simd, seed));
            dispatch!(isa, simd => memory(simd, seed));
        }
    }
}
