//! The register tile and the cache blocks of each tier: the only place where
//! tiers differ.

use crate::simd::Tier;

/// Which operand a panel belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The left operand: lines are rows of A.
    A,
    /// The right operand: lines are columns of B.
    B,
}

/// Sizes of one tier. `mr x nr` accumulators, a row of B and one value of A
/// must fit the vector registers (16 on AVX2 and SSE2, 32 on AVX-512 and NEON).
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Rows of the register tile, and width of a panel of A.
    pub mr: usize,
    /// Columns of the register tile, and width of a panel of B.
    pub nr: usize,
    /// The most steps of k in a block: a panel of B of this depth takes half of L1.
    pub kc: usize,
    /// Rows of A that are packed at once: with `kc` deep panels a quarter of L2.
    pub mc: usize,
    /// Columns of B that a task packs at once.
    pub nc: usize,
}

/// The most floats in a register tile of any tier.
pub(super) const TILE_FLOATS: usize = 14 * 32;

pub(super) const fn tile(tier: Tier) -> Tile {
    match tier {
        Tier::Portable => Tile {
            mr: 4,
            nr: 8,
            kc: 256,
            mc: 96,
            nc: 512,
        },
        Tier::Neon => Tile {
            mr: 8,
            nr: 12,
            kc: 256,
            mc: 96,
            nc: 504,
        },
        Tier::Avx2 => Tile {
            mr: 6,
            nr: 16,
            kc: 256,
            mc: 120,
            nc: 512,
        },
        Tier::Avx512 => Tile {
            mr: 14,
            nr: 32,
            kc: 256,
            mc: 140,
            nc: 512,
        },
    }
}

/// Lines that stand side by side in a panel.
pub const fn panel_width(tier: Tier, side: Side) -> usize {
    match side {
        Side::A => tile(tier).mr,
        Side::B => tile(tier).nr,
    }
}

impl Tile {
    /// The depth of K blocks: as few blocks as `kc` allows, of equal depth.
    pub fn depth(&self, k: usize) -> usize {
        k.div_ceil(k.div_ceil(self.kc).max(1)).max(1)
    }

    /// Lines in a panel of `side`.
    pub fn width(&self, side: Side) -> usize {
        match side {
            Side::A => self.mr,
            Side::B => self.nr,
        }
    }
}
