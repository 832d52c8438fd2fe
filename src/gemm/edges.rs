//! What the register tile does badly: a few rows, and the last few columns.

use super::kernel::{Block, Place, Stack, finish};
use super::tile::{TILE_FLOATS, tile};
use crate::simd::{MAX_LANES, Simd};

/// Columns beyond the last whole vector that are summed by [`tail_columns`]. Rows fill the lanes there, so each costs a
/// vector of rows for every panel of A, and one more vector of columns costs as many as a panel has rows.
pub(super) const MAX_TAIL: usize = 4;

/// Blocks of a few rows read B faster than they multiply, and a CPU reads several streams faster than one (four: 25 GB/s from
/// memory where one has 17): `P` whole panels side by side from column `start` on, as long as there are as many.
/// Returns the first column that is left.
///
/// # Safety
/// As [`multiply_block`](super::kernel::multiply_block), for a block of `MR` rows.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
pub(super) unsafe fn abreast<S: Simd, const MR: usize, const P: usize>(
    simd: S,
    block: &Block<'_>,
    start: usize,
    stack: &mut Stack,
) -> usize {
    /// Vectors of the widest panel, that of NEON.
    const NV: usize = 3;
    let size = const { tile(S::TIER) };
    let vectors = size.nr / S::LANES;
    const { assert!(tile(S::TIER).nr <= NV * S::LANES && MR * P * tile(S::TIER).nr <= TILE_FLOATS) };
    let mut column = start;
    while column + P * size.nr <= block.columns.1 {
        let panel = block.depth * size.nr;
        let mut a = block.a;
        let mut b = block
            .b
            .wrapping_add((column - block.columns.0) * block.depth);
        let mut acc = [[[simd.zero(); NV]; MR]; P];
        // SAFETY: P panels of `depth` steps, MR rows of A, and the stack has room for them.
        unsafe {
            for _ in 0..block.depth {
                let mut left = [simd.zero(); MR];
                for r in 0..MR {
                    left[r] = simd.splat(*a.add(r));
                }
                for p in 0..P {
                    for v in 0..vectors {
                        let row = simd.load_ptr(b.add(p * panel + v * S::LANES));
                        for r in 0..MR {
                            acc[p][r][v] = simd.fma(left[r], row, acc[p][r][v]);
                        }
                    }
                }
                a = a.add(size.mr);
                b = b.add(size.nr);
            }
            for p in 0..P {
                for r in 0..MR {
                    for v in 0..vectors {
                        let at = (r * P + p) * size.nr + v * S::LANES;
                        simd.store_ptr(stack.ptr_mut().add(at), acc[p][r][v]);
                    }
                }
            }
            let place = Place {
                row: block.rows.0,
                column,
                rows: MR,
                columns: P * size.nr,
            };
            finish(simd, &block.store, &place, stack.ptr(), P * size.nr);
        }
        column += P * size.nr;
    }
    column
}

/// The last columns of a block, fewer than a vector, with the rows of A in the lanes: a map of 7 x 7 pixels is
/// three vectors of sixteen and one pixel. Every sum is that of the register tile.
///
/// # Safety
/// As [`multiply_block`](super::kernel::multiply_block), for the `count` columns from `column` on, which are in one panel.
#[inline(always)]
pub(super) unsafe fn tail_columns<S: Simd>(
    simd: S,
    block: &Block<'_>,
    column: usize,
    count: usize,
    stack: &mut Stack,
) {
    macro_rules! counts {
        ($($count:literal)*) => {
            match count {
                // SAFETY: the caller's promise.
                $($count => unsafe { columns::<S, $count>(simd, block, column, stack) },)*
                _ => unreachable!("at most MAX_TAIL columns"),
            }
        };
    }
    counts!(1 2 3 4);
}

/// `T` columns of all rows of a block. A sum waits for itself, so several panels of A are summed in turns.
///
/// # Safety
/// As [`tail_columns`].
#[inline(always)]
unsafe fn columns<S: Simd, const T: usize>(
    simd: S,
    block: &Block<'_>,
    column: usize,
    stack: &mut Stack,
) {
    let size = const { tile(S::TIER) };
    let mut row = block.rows.0;
    // SAFETY: the caller's promise; the panels are those of the rows that are left.
    unsafe {
        while row < block.rows.1 {
            let panels = (block.rows.1 - row).div_ceil(size.mr);
            row += size.mr
                * match (const { size_in_vectors::<S>() }, panels) {
                    (1, 4..) => panels_of::<S, 4, 1, T>(simd, block, row, column, stack),
                    (1, 2..) => panels_of::<S, 2, 1, T>(simd, block, row, column, stack),
                    (1, _) => panels_of::<S, 1, 1, T>(simd, block, row, column, stack),
                    (_, 2..) => panels_of::<S, 2, 2, T>(simd, block, row, column, stack),
                    _ => panels_of::<S, 1, 2, T>(simd, block, row, column, stack),
                };
        }
    }
}

/// Vectors that the rows of a panel of A fill.
const fn size_in_vectors<S: Simd>() -> usize {
    let vectors = tile(S::TIER).mr.div_ceil(S::LANES);
    assert!(vectors <= 2);
    vectors
}

/// `P` panels of A, each of `V` vectors, by `T` columns. Returns `P`.
///
/// # Safety
/// As [`tail_columns`], and `P` panels begin with `row`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn panels_of<S: Simd, const P: usize, const V: usize, const T: usize>(
    simd: S,
    block: &Block<'_>,
    row: usize,
    column: usize,
    stack: &mut Stack,
) -> usize {
    let size = const { tile(S::TIER) };
    const { assert!(P * tile(S::TIER).mr * T <= TILE_FLOATS) };
    let panel = block.depth * size.mr;
    let mut a = block.a.wrapping_add((row - block.rows.0) * block.depth);
    let across = column - block.columns.0;
    let within = across % size.nr;
    let mut b = block
        .b
        .wrapping_add((across - within) * block.depth + within);
    // Rows that the last vector of a panel holds; beyond the panel there may be nothing.
    let last = simd.first(size.mr.saturating_sub((V - 1) * S::LANES));
    let mut acc = [[[simd.zero(); T]; V]; P];
    // SAFETY: P panels of `depth` steps of mr rows, one panel of nr columns; the stack has room for the sums.
    unsafe {
        for _ in 0..block.depth {
            let mut right = [simd.zero(); T];
            for t in 0..T {
                right[t] = simd.splat(*b.add(t));
            }
            for p in 0..P {
                for v in 0..V {
                    let at = a.add(p * panel + v * S::LANES);
                    let left = match v + 1 == V && !size.mr.is_multiple_of(S::LANES) {
                        true => simd.load_masked_ptr(at, last),
                        false => simd.load_ptr(at),
                    };
                    for t in 0..T {
                        acc[p][v][t] = simd.fma(left, right[t], acc[p][v][t]);
                    }
                }
            }
            a = a.add(size.mr);
            b = b.add(size.nr);
        }
        for p in 0..P {
            for t in 0..T {
                let mut rows = [0.0; 2 * MAX_LANES];
                for v in 0..V {
                    simd.store(&mut rows[v * S::LANES..], acc[p][v][t]);
                }
                for r in 0..size.mr {
                    *stack.ptr_mut().add((p * size.mr + r) * T + t) = rows[r];
                }
            }
        }
        let place = Place {
            row,
            column,
            rows: (P * size.mr).min(block.rows.1 - row),
            columns: T,
        };
        finish(simd, &block.store, &place, stack.ptr(), T);
    }
    P
}
