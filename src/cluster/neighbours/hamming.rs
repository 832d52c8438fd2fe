//! The two nearest by Hamming distance.
//!
//! Descriptors of one side are the lanes, word by word; one of the other side is broadcast. Bits of the
//! differences are counted in all bytes of a vector at once, and the bytes are added up only after all words.
//! Distance and number share an integer, the distance above, so that the two smallest integers are the two
//! nearest and the first of equal ones, at three operations a vector.

use crate::error::Result;
use crate::runtime::{Context, Scratch};
use crate::simd::{MAX_LANES, Simd, dispatch};
use crate::tensor::ViewMut;
use std::ops::Range;

/// The longest descriptor: its bits are counted in 15 bits.
pub(super) const MAX_BYTES: usize = 4095;

/// No descriptor.
pub(super) const NONE: u64 = u64::MAX;

/// Descriptors of the lanes' side in a task.
const GROUP: usize = 64;

/// Numbers that fit beside a distance.
const BLOCK: usize = 1 << 16;

/// Words whose counts fit a byte: each adds 8 at most.
const WORDS: usize = 31;

pub(super) fn number(nearest: u64) -> u32 {
    nearest as u32
}

pub(super) fn distance(nearest: u64) -> f64 {
    (nearest >> 32) as f64
}

/// For each descriptor of `a` the two nearest of `b`, distance above number; [`NONE`] where there is none.
pub(super) fn nearest_two<'c>(
    ctx: &'c Context,
    a: &[u8],
    b: &[u8],
    bytes: usize,
) -> Result<Scratch<'c, u64>> {
    let n = a.len() / bytes;
    let words = bytes.div_ceil(4);
    let mut packed = ctx.scratch::<i32>(b.len() / bytes * words)?;
    for (to, from) in packed.chunks_exact_mut(words).zip(b.chunks_exact(bytes)) {
        for (w, to) in to.iter_mut().enumerate() {
            *to = word(from, w);
        }
    }
    let mut out = ctx.scratch::<u64>(2 * n)?;
    {
        let mut view = ViewMut::new(&mut out, &[2 * n])?;
        let writer = view.writer();
        let isa = ctx.isa();
        let room = words * MAX_LANES;
        ctx.parallel_for_scratch(n.div_ceil(GROUP), room, |task, panel: &mut [i32]| {
            let range = task * GROUP..n.min((task + 1) * GROUP);
            // SAFETY: inside of the output, and tasks are disjoint.
            let out = unsafe { writer.slice(2 * range.start as isize, 2 * range.len()) };
            dispatch!(isa, simd => group(simd, a, &packed, bytes, range, panel, out));
        })?;
    }
    Ok(out)
}

/// Four bytes of a descriptor, zeros behind its end.
fn word(descriptor: &[u8], w: usize) -> i32 {
    let rest = &descriptor[4 * w..];
    let mut bytes = [0; 4];
    let len = rest.len().min(4);
    bytes[..len].copy_from_slice(&rest[..len]);
    i32::from_le_bytes(bytes)
}

#[inline(always)]
fn group<S: Simd>(
    simd: S,
    a: &[u8],
    b: &[i32],
    bytes: usize,
    range: Range<usize>,
    panel: &mut [i32],
    out: &mut [u64],
) {
    let words = bytes.div_ceil(4);
    out.fill(NONE);
    for first in range.clone().step_by(S::LANES) {
        let count = S::LANES.min(range.end - first);
        panel.fill(0);
        for l in 0..count {
            let descriptor = &a[(first + l) * bytes..][..bytes];
            for w in 0..words {
                panel[w * S::LANES + l] = word(descriptor, w);
            }
        }
        let out = &mut out[2 * (first - range.start)..][..2 * count];
        for (block, b) in b.chunks(BLOCK * words).enumerate() {
            let (best, second) = two_least(simd, &panel[..words * S::LANES], b, words);
            let mut keys = [[0; MAX_LANES]; 2];
            // SAFETY: room for the lanes of every tier.
            unsafe {
                simd.store_i32_ptr(keys[0].as_mut_ptr(), best);
                simd.store_i32_ptr(keys[1].as_mut_ptr(), second);
            }
            for (l, out) in out.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                for keys in &keys {
                    if keys[l] == i32::MAX {
                        continue;
                    }
                    let number = block * BLOCK + (keys[l] as usize & (BLOCK - 1));
                    let new = u64::from(keys[l] as u32 >> 16) << 32 | number as u64;
                    if new < out[0] {
                        *out = [new, out[0]];
                    } else if new < out[1] {
                        out[1] = new;
                    }
                }
            }
        }
    }
}

/// Per lane the two smallest of `distance << 16 | number` over the descriptors `b`.
#[inline(always)]
fn two_least<S: Simd>(simd: S, panel: &[i32], b: &[i32], words: usize) -> (S::I32, S::I32) {
    assert!(panel.len() == words * S::LANES);
    let none = simd.splat_i32(i32::MAX);
    let (mut best, mut second) = (none, none);
    for (number, b) in b.chunks_exact(words).enumerate() {
        let mut total = simd.splat_i32(0);
        let mut w = 0;
        while w < words {
            let mut counts = simd.splat_i32(0);
            let end = words.min(w + WORDS);
            while w < end {
                // SAFETY: a vector a word (asserted).
                let x = unsafe { simd.load_i32_ptr(panel.as_ptr().add(w * S::LANES)) };
                counts = simd.add_i32(counts, bits(simd, simd.xor_i32(x, simd.splat_i32(b[w]))));
                w += 1;
            }
            // The bytes of each lane, first by pairs: four times 248 is more than a byte.
            let low = simd.and_i32(counts, simd.splat_i32(0x00FF_00FF));
            let high = simd.and_i32(simd.shr_i32::<8>(counts), simd.splat_i32(0x00FF_00FF));
            let pairs = simd.add_i32(low, high);
            let sum = simd.add_i32(pairs, simd.shr_i32::<16>(pairs));
            total = simd.add_i32(total, simd.and_i32(sum, simd.splat_i32(0xFFFF)));
        }
        let key = simd.or_i32(simd.shl_i32::<16>(total), simd.splat_i32(number as i32));
        second = simd.min_i32(second, simd.max_i32(best, key));
        best = simd.min_i32(best, key);
    }
    (best, second)
}

/// The bits that are set, in each byte.
#[inline(always)]
fn bits<S: Simd>(simd: S, x: S::I32) -> S::I32 {
    let odd = simd.and_i32(simd.shr_i32::<1>(x), simd.splat_i32(0x5555_5555));
    let x = simd.sub_i32(x, odd);
    let threes = simd.splat_i32(0x3333_3333);
    let x = simd.add_i32(
        simd.and_i32(x, threes),
        simd.and_i32(simd.shr_i32::<2>(x), threes),
    );
    let x = simd.add_i32(x, simd.shr_i32::<4>(x));
    simd.and_i32(x, simd.splat_i32(0x0F0F_0F0F))
}
