//! Operands packed ahead of time.
//!
//! The layout is the one that the engine walks through: blocks of k in order;
//! in a block the panels in order; in a panel, for each k, the lines side by side.

use super::tile::{Tile, tile};
use super::{PanelSource, Side};
use crate::error::{Error, Result, Status};
use crate::runtime::{Buffer, Context};
use crate::simd::{Isa, Simd, dispatch};
use std::ops::Range;

/// One side of a product in panels of a certain tier. Immutable, so threads share it;
/// products run on the tier it was packed for.
pub struct PackedMatrix {
    data: Buffer<f32>,
    isa: Isa,
    side: Side,
    lines: usize,
    k: usize,
}

impl PackedMatrix {
    /// Packs `lines` lines of `k` elements from `source`, for products on `isa`.
    pub fn new(
        ctx: &Context,
        isa: Isa,
        side: Side,
        lines: usize,
        k: usize,
        source: impl PanelSource,
    ) -> Result<PackedMatrix> {
        let tile = tile(isa.tier());
        let len = packed_len(&tile, side, lines, k)?;
        let mut data = ctx.buffer::<f32>(len)?;
        let width = tile.width(side);
        let depth = tile.depth(k);
        let padded = lines.next_multiple_of(width);
        for start in (0..k).step_by(depth) {
            let block = start..k.min(start + depth);
            let dst = &mut data[start * padded..block.end * padded];
            pack_panels(isa, &source, block, 0..lines, width, dst);
        }
        Ok(PackedMatrix {
            data,
            isa,
            side,
            lines,
            k,
        })
    }

    /// The tier that the panels are for.
    pub fn isa(&self) -> Isa {
        self.isa
    }
    /// Which side of a product this is.
    pub fn side(&self) -> Side {
        self.side
    }
    /// Rows (of A) or columns (of B).
    pub fn lines(&self) -> usize {
        self.lines
    }
    /// What the product sums over.
    pub fn k(&self) -> usize {
        self.k
    }
    /// Memory taken.
    pub fn bytes(&self) -> usize {
        self.data.len() * size_of::<f32>()
    }
    /// The panels.
    pub(super) fn data(&self) -> &[f32] {
        &self.data
    }
}

impl PanelSource for &PackedMatrix {
    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        _simd: S,
        k: Range<usize>,
        lines: Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        // The engine borrows the panels; element by element serves whoever asks all the same.
        let tile = tile(self.isa.tier());
        let (own, depth) = (tile.width(self.side), tile.depth(self.k));
        let padded = self.lines.next_multiple_of(own);
        for (step, p) in k.enumerate() {
            let start = p / depth * depth;
            let block = depth.min(self.k - start);
            for i in 0..width {
                let line = lines.start + i;
                dst[step * width + i] = if i < lines.len() {
                    let panel = start * padded + line / own * own * block;
                    self.data[panel + (p - start) * own + line % own]
                } else {
                    0.0
                };
            }
        }
    }

    fn packed(&self) -> Option<&PackedMatrix> {
        Some(self)
    }
}

/// Floats that `lines` lines of `k` elements take in panels.
pub(super) fn packed_len(tile: &Tile, side: Side, lines: usize, k: usize) -> Result<usize> {
    lines
        .checked_next_multiple_of(tile.width(side))
        .and_then(|padded| padded.checked_mul(k))
        .ok_or_else(|| {
            Error::new(
                Status::OutOfMemory,
                format!("a packed matrix of {lines} x {k} overflows the address space"),
            )
        })
}

/// Fills the panels of one block of k, one after another. `lines.start` is a
/// multiple of `width`.
pub(super) fn pack_panels<P: PanelSource>(
    isa: Isa,
    source: &P,
    k: Range<usize>,
    lines: Range<usize>,
    width: usize,
    dst: &mut [f32],
) {
    if k.is_empty() || lines.is_empty() {
        return;
    }
    dispatch!(isa, simd => source.pack_panels(simd, k, lines, width, dst));
}
