//! The register tile: two vectors of points by a few candidates.

use super::panels::Block;
use crate::simd::{Simd, Tier};

/// `bias + x · c`.
pub const DOT: u8 = 0;
/// `bias - Σ (x - c)²`.
pub const SQUARED: u8 = 1;
/// `bias - Σ |x - c|`.
pub const ABSOLUTE: u8 = 2;

/// Vectors of points in a tile.
pub const VECTORS: usize = 2;

/// Points in a panel.
pub const fn points(lanes: usize) -> usize {
    VECTORS * lanes
}

/// The most points in a panel of any tier.
pub const MAX_POINTS: usize = points(crate::simd::MAX_LANES);

/// The most candidates in a tile: accumulators, a row of points and one value of a candidate fit
/// the registers.
const fn most(tier: Tier) -> usize {
    match tier {
        Tier::Portable => 4,
        Tier::Avx2 => 6,
        Tier::Neon => 8,
        Tier::Avx512 => 12,
    }
}

/// Candidates side by side in a panel when there are `count`: panels of about the same number, so
/// that few of the last one are padding.
pub fn width(tier: Tier, count: usize) -> usize {
    let most = most(tier);
    let width = count.div_ceil(count.div_ceil(most).max(1)).max(1);
    match width {
        1..=6 => width,
        7..=8 => 8,
        9..=10 => 10,
        _ => 12,
    }
}

/// What becomes of the scores of a tile. Implementations are `#[inline(always)]`.
pub trait Reduce<S: Simd> {
    /// `scores[r][v]` are those of candidate `first + r` for the points of vector `v`. Candidates that are padding
    /// score `-inf`, and are the last ones of the block.
    fn tile<const MR: usize>(&mut self, simd: S, first: usize, scores: &[[S::F32; VECTORS]; MR]);
}

/// Every candidate of `block` for the points of `panel`, tile by tile in order.
/// `panel` is what [`pack_points`](super::panels::pack_points) makes.
#[inline(always)]
pub fn scan<S: Simd, const KIND: u8, R: Reduce<S>>(
    simd: S,
    panel: &[f32],
    block: Block<'_>,
    reduce: &mut R,
) {
    assert!(panel.len() >= block.depth * points(S::LANES));
    macro_rules! with_width {
        ($($mr:literal),*) => {
            match block.width {
                $($mr if $mr <= const { most(S::TIER) } => {
                    tiles::<S, KIND, $mr, R>(simd, panel, block, reduce)
                })*
                _ => unreachable!("no panel of this tier is so wide"),
            }
        };
    }
    with_width!(1, 2, 3, 4, 5, 6, 8, 10, 12)
}

#[inline(always)]
fn tiles<S: Simd, const KIND: u8, const MR: usize, R: Reduce<S>>(
    simd: S,
    panel: &[f32],
    block: Block<'_>,
    reduce: &mut R,
) {
    assert!(block.bias.len().is_multiple_of(MR));
    assert!(block.values.len() == block.bias.len() * block.depth);
    for at in (0..block.bias.len()).step_by(MR) {
        // SAFETY: the panel holds `depth` rows of points, the block `depth` steps of MR
        // candidates and MR biases from here on (all asserted).
        let scores = unsafe {
            sums::<S, KIND, MR>(
                simd,
                block.depth,
                block.bias.as_ptr().add(at),
                block.values.as_ptr().add(at * block.depth),
                panel.as_ptr(),
            )
        };
        reduce.tile::<MR>(simd, block.first + at, &scores);
    }
}

/// The inner loop. Plain index loops with constant bounds, so that all of it stays in registers.
///
/// # Safety
/// `bias` has MR values, `a` `depth * MR`, and `b` `depth` rows of two vectors.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn sums<S: Simd, const KIND: u8, const MR: usize>(
    simd: S,
    depth: usize,
    bias: *const f32,
    mut a: *const f32,
    mut b: *const f32,
) -> [[S::F32; VECTORS]; MR] {
    let mut acc = [[simd.zero(); VECTORS]; MR];
    macro_rules! step {
        ($at:expr) => {
            let mut row = [simd.zero(); VECTORS];
            for v in 0..VECTORS {
                row[v] = simd.load_ptr(b.add(($at * VECTORS + v) * S::LANES));
            }
            for r in 0..MR {
                let c = simd.splat(*a.add($at * MR + r));
                for v in 0..VECTORS {
                    acc[r][v] = match KIND {
                        DOT => simd.fma(c, row[v], acc[r][v]),
                        SQUARED => {
                            let t = simd.sub(row[v], c);
                            simd.neg_fma(t, t, acc[r][v])
                        }
                        _ => simd.sub(acc[r][v], simd.abs(simd.sub(row[v], c))),
                    };
                }
            }
        };
    }
    // SAFETY: `depth` steps, as the caller says.
    unsafe {
        for r in 0..MR {
            acc[r] = [simd.splat(*bias.add(r)); VECTORS];
        }
        for _ in 0..depth / 4 {
            step!(0);
            step!(1);
            step!(2);
            step!(3);
            a = a.add(4 * MR);
            b = b.add(4 * VECTORS * S::LANES);
        }
        for _ in 0..depth % 4 {
            step!(0);
            a = a.add(MR);
            b = b.add(VECTORS * S::LANES);
        }
    }
    acc
}
