//! Ranks: the indices by descending score.
//!
//! The order is that of a stable descending sort as torch does it: NaN first,
//! equal scores (0 and -0 are equal) by ascending index. Scores become integer
//! keys that ascend in this order; a few are sorted with their index in the low
//! half of a word, many go through a radix sort, whose passes are stable.

use super::rule::round_down;
use crate::error::Result;
use crate::runtime::Context;

/// Below, a comparison sort beats clearing the radix sort's counters.
const RADIX_FROM: usize = 400;
/// Bits of a digit; three cover the key.
const DIGIT: u32 = 11;
const BUCKETS: usize = 1 << DIGIT;

/// Ascending where the score descends.
#[inline(always)]
fn key(score: f32) -> u32 {
    // Adding zero turns -0 into 0.
    let bits = (score + 0.0).to_bits();
    let ascending = bits ^ ((bits as i32 >> 31) as u32 | 0x8000_0000);
    match score.is_nan() {
        true => 0,
        false => !ascending,
    }
}

/// Writes the indices of all scores above `threshold` (of all without one) in
/// order of rank to `ranks`, which has as many elements as `scores`; returns
/// how many there are.
pub(super) fn rank(
    ctx: &Context,
    scores: &[f32],
    threshold: Option<f64>,
    ranks: &mut [u32],
) -> Result<usize> {
    let mut pairs = ctx.scratch::<u64>(scores.len())?;
    let mut count = 0;
    let floor = threshold.map(round_down);
    for (i, &score) in scores.iter().enumerate() {
        pairs[count] = u64::from(key(score)) << 32 | i as u64;
        count += usize::from(floor.is_none_or(|floor| score > floor));
    }
    if count < RADIX_FROM {
        pairs[..count].sort_unstable();
        for (rank, pair) in ranks.iter_mut().zip(&pairs[..count]) {
            *rank = *pair as u32;
        }
        return Ok(count);
    }
    let mut other = ctx.scratch::<u64>(count)?;
    radix_sort(&mut pairs[..count], &mut other, ranks);
    Ok(count)
}

/// Sorts by the high halves; the low halves go to `ranks`.
fn radix_sort(pairs: &mut [u64], other: &mut [u64], ranks: &mut [u32]) {
    let mut counts = [[0u32; BUCKETS]; 3];
    for &pair in pairs.iter() {
        for (digit, counts) in counts.iter_mut().enumerate() {
            counts[bucket(pair, digit)] += 1;
        }
    }
    for counts in &mut counts {
        let mut sum = 0;
        for count in counts {
            sum += std::mem::replace(count, sum);
        }
    }
    scatter(pairs, &mut counts[0], 0, |at, pair| other[at] = pair);
    scatter(other, &mut counts[1], 1, |at, pair| pairs[at] = pair);
    scatter(pairs, &mut counts[2], 2, |at, pair| ranks[at] = pair as u32);
}

#[inline(always)]
fn bucket(pair: u64, digit: usize) -> usize {
    (pair >> (32 + DIGIT as usize * digit)) as usize % BUCKETS
}

#[inline(always)]
fn scatter(
    pairs: &[u64],
    starts: &mut [u32; BUCKETS],
    digit: usize,
    mut put: impl FnMut(usize, u64),
) {
    for &pair in pairs {
        let start = &mut starts[bucket(pair, digit)];
        put(*start as usize, pair);
        *start += 1;
    }
}
