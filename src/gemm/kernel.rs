//! The two inner loops: tiles of a block, and the sum of one tile.

use super::epilogue::{Epilogue, Lines, Output};
use super::tile::{TILE_FLOATS, tile};
use crate::simd::{Activation, Isa, Simd, dispatch, leaky_relu};


/// A block of C and the panels that it is the product of.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    /// Rows of C: first and one past the last; the first starts a panel.
    pub rows: (usize, usize),
    /// Columns of C, likewise.
    pub columns: (usize, usize),
    /// Steps of k.
    pub depth: usize,
    /// The panel of A that begins with the first row; the others follow.
    pub a: *const f32,
    /// The panel of B that begins with the first column; the others follow.
    pub b: *const f32,
    /// C.
    pub out: Output,
    /// C already holds a part of the sum.
    pub add: bool,
    /// What happens to the sum, when this block completes it.
    pub epilogue: Option<&'a Epilogue<'a>>,
}

/// Multiplies the panels of a block and stores C.
///
/// # Safety
/// The panels hold `depth` steps of all rows and columns, padded to whole
/// panels. C and the residual are valid at all rows and columns, nobody else
/// uses that part of C, and per-line values exist for each row or column.
#[allow(unused_unsafe)] // Some arms of `dispatch!` are unsafe blocks.
pub(super) unsafe fn multiply_block(isa: Isa, block: &Block<'_>) {
    // SAFETY: the caller's promise.
    dispatch!(isa, simd => unsafe { tiles(simd, block) });
}

/// A tile of C within a block.
#[derive(Clone, Copy)]
struct Spot {
    row: usize,
    column: usize,
    /// Rows and columns that are in C; the others are padding.
    rows: usize,
    columns: usize,
    a: *const f32,
    b: *const f32,
}

/// The part of an epilogue that is cheap enough to be applied in registers.
#[derive(Clone, Copy)]
struct Clamp {
    low: f32,
    high: f32,
}

/// `Some` when all of the epilogue can be applied in registers. (The rest goes through a tile
/// on the stack, whose loop over rows is not unrolled: the exponentials of
/// every activation in every tile shape would be a lot of code.)
fn clamp(epilogue: Option<&Epilogue<'_>>) -> Option<Clamp> {
    let (low, high) = match epilogue {
        None => (f32::NEG_INFINITY, f32::INFINITY),
        Some(e) if !matches!(e.slope, Lines::None) => return None,
        Some(e) => match e.activation {
            Activation::None => (f32::NEG_INFINITY, f32::INFINITY),
            Activation::Relu => (0.0, f32::INFINITY),
            Activation::Relu6 => (0.0, 6.0),
            _ => return None,
        },
    };
    Some(Clamp { low, high })
}

/// The loop over tiles: one panel of B stays in L1 for all panels of A.
#[inline(always)]
unsafe fn tiles<S: Simd>(simd: S, block: &Block<'_>) {
    let size = const { tile(S::TIER) };
    let mut stack = Stack([0.0; TILE_FLOATS]);
    let clamp = clamp(block.epilogue);
    let residual = block.epilogue.and_then(|e| e.residual);
    for column in (block.columns.0..block.columns.1).step_by(size.nr) {
        let columns = size.nr.min(block.columns.1 - column);
        let vectors = columns.div_ceil(S::LANES);
        let together = block.out.layout.locate(0, column).1 >= columns
            && residual.is_none_or(|r| r.layout.locate(0, column).1 >= columns);
        let clamp = clamp.filter(|_| together && columns.is_multiple_of(S::LANES));
        for row in (block.rows.0..block.rows.1).step_by(size.mr) {
            let spot = Spot {
                row,
                column,
                rows: size.mr.min(block.rows.1 - row),
                columns,
                // SAFETY: a panel holds `depth` steps of its lines, so this many floats
                // lie between the block's first panel and this one.
                a: unsafe { block.a.add((row - block.rows.0) * block.depth) },
                // SAFETY: as above.
                b: unsafe { block.b.add((column - block.columns.0) * block.depth) },
            };
            // SAFETY: the promise of `multiply_block`.
            unsafe {
                let stored = match vectors {
                    1 => tile_of::<S, 1>(simd, block, &spot, clamp, &mut stack),
                    2 => tile_of::<S, 2>(simd, block, &spot, clamp, &mut stack),
                    _ => tile_of::<S, 3>(simd, block, &spot, clamp, &mut stack),
                };
                if !stored {
                    finish(simd, block, &spot, &stack);
                }
            }
        }
    }
}

/// A tile in memory; as wide as a full tile.
#[repr(align(64))]
struct Stack([f32; TILE_FLOATS]);

/// Picks the kernel with the fewest rows that are enough. True when C is stored,
/// false when the sums were left in `stack`.
#[inline(always)]
unsafe fn tile_of<S: Simd, const NV: usize>(
    simd: S,
    block: &Block<'_>,
    spot: &Spot,
    clamp: Option<Clamp>,
    stack: &mut Stack,
) -> bool {
    let size = const { tile(S::TIER) };
    if NV * S::LANES > size.nr {
        unreachable!("no tile of this tier is so wide");
    }
    macro_rules! with_rows {
        ($($mr:literal),*) => {
            $(
                if $mr <= size.mr && spot.rows <= $mr {
                    // SAFETY: the caller's promise.
                    return unsafe { sum::<S, $mr, NV>(simd, block, spot, clamp, stack) };
                }
            )*
        };
    }
    if size.mr == 6 {
        with_rows!(1, 2, 3, 4, 5, 6);
    } else {
        with_rows!(1, 2, 4, 8, 14);
    }
    unreachable!("a tile has no more rows than a panel")
}

/// Sums `MR` rows by `NV` vectors over the block's k, and stores.
#[inline(always)]
unsafe fn sum<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    block: &Block<'_>,
    spot: &Spot,
    clamp: Option<Clamp>,
    stack: &mut Stack,
) -> bool {
    let size = const { tile(S::TIER) };
    let mut acc = [[simd.zero(); NV]; MR];
    let (mut a, mut b) = (spot.a, spot.b);
    for _ in 0..block.depth {
        // SAFETY: the panels hold `depth` steps of mr and nr floats.
        unsafe {
            let mut row = [simd.zero(); NV];
            for (v, row) in row.iter_mut().enumerate() {
                *row = simd.load_ptr(b.add(v * S::LANES));
            }
            for (r, acc) in acc.iter_mut().enumerate() {
                let left = simd.splat(*a.add(r));
                for (acc, row) in acc.iter_mut().zip(row) {
                    *acc = simd.fma(left, row, *acc);
                }
            }
            a = a.add(size.mr);
            b = b.add(size.nr);
        }
    }

    let Some(clamp) = clamp.filter(|_| spot.rows == MR) else {
        for (r, acc) in acc.iter().enumerate() {
            for (v, acc) in acc.iter().enumerate() {
                simd.store(&mut stack.0[r * size.nr + v * S::LANES..], *acc);
            }
        }
        return false;
    };

    // SAFETY: every vector lies in the part of C, of the residual or of the per-line
    // values that belongs to this tile: MR rows and NV whole vectors are in C, and
    // `clamp` is only given when the columns are contiguous.
    unsafe {
        let layout = block.out.layout;
        let c = block.out.ptr.offset(layout.locate(spot.row, spot.column).0);
        if block.add {
            for (r, acc) in acc.iter_mut().enumerate() {
                for (v, acc) in acc.iter_mut().enumerate() {
                    let at = c.offset(r as isize * layout.row_stride).add(v * S::LANES);
                    *acc = simd.add(simd.load_ptr(at), *acc);
                }
            }
        }
        if let Some(epilogue) = block.epilogue {
            match epilogue.bias {
                Lines::None => {}
                Lines::PerRow(bias) => {
                    let bias = bias.as_ptr().add(spot.row);
                    for (r, acc) in acc.iter_mut().enumerate() {
                        let value = simd.splat(*bias.add(r));
                        for acc in acc {
                            *acc = simd.add(*acc, value);
                        }
                    }
                }
                Lines::PerColumn(bias) => {
                    let bias = bias.as_ptr().add(spot.column);
                    for v in 0..NV {
                        let value = simd.load_ptr(bias.add(v * S::LANES));
                        for acc in &mut acc {
                            acc[v] = simd.add(acc[v], value);
                        }
                    }
                }
            }
            if let Some(residual) = epilogue.residual {
                let layout = residual.layout;
                let from = residual
                    .ptr
                    .offset(layout.locate(spot.row, spot.column).0);
                for (r, acc) in acc.iter_mut().enumerate() {
                    for (v, acc) in acc.iter_mut().enumerate() {
                        let at = from
                            .offset(r as isize * layout.row_stride)
                            .add(v * S::LANES);
                        *acc = simd.add(*acc, simd.load_ptr(at));
                    }
                }
            }
            // As `relu` and `relu6` have it: NaN stays.
            let (low, high) = (simd.splat(clamp.low), simd.splat(clamp.high));
            for acc in acc.iter_mut().flatten() {
                *acc = simd.min(high, simd.max(low, *acc));
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            for (v, acc) in acc.iter().enumerate() {
                let at = c.offset(r as isize * layout.row_stride).add(v * S::LANES);
                simd.store_ptr(at, *acc);
            }
        }
    }
    true
}

/// Stores a tile from the stack: any epilogue, any number of columns, across groups.
#[inline(always)]
unsafe fn finish<S: Simd>(simd: S, block: &Block<'_>, spot: &Spot, stack: &Stack) {
    let size = const { tile(S::TIER) };
    let activation = block.epilogue.map_or(Activation::None, |e| e.activation);
    let mut at = 0;
    while at < spot.columns {
        // A run of at most one vector that is contiguous everywhere.
        let column = spot.column + at;
        let (c, together) = block.out.layout.locate(spot.row, column);
        let mut run = S::LANES.min(spot.columns - at).min(together);
        let residual = block.epilogue.and_then(|e| e.residual).map(|r| {
            let (offset, together) = r.layout.locate(spot.row, column);
            run = run.min(together);
            (r.ptr.wrapping_offset(offset), r.layout.row_stride)
        });
        for r in 0..spot.rows {
            // SAFETY: the run's elements are inside C, the residual and the per-line values;
            // the tile on the stack has them too.
            unsafe {
                let c = block
                    .out
                    .ptr
                    .offset(c + r as isize * block.out.layout.row_stride);
                let mut x = simd.load_partial(&stack.0[r * size.nr + at..][..run]);
                if block.add {
                    x = simd.add(simd.load_partial_ptr(c, run), x);
                }
                if let Some(epilogue) = block.epilogue {
                    if let Some(bias) = line(simd, epilogue.bias, spot.row + r, column, run) {
                        x = simd.add(x, bias);
                    }
                    if let Some((from, stride)) = residual {
                        let from = from.offset(r as isize * stride);
                        x = simd.add(x, simd.load_partial_ptr(from, run));
                    }
                    if let Some(slope) = line(simd, epilogue.slope, spot.row + r, column, run) {
                        x = leaky_relu(simd, x, slope);
                    }
                    x = activation.apply(simd, x);
                }
                simd.store_partial_ptr(c, run, x);
            }
        }
        at += run;
    }
}

/// The per-line values of `run` elements of a row.
///
/// # Safety
/// The values exist for this row, or for `run` columns from `column` on.
#[inline(always)]
unsafe fn line<S: Simd>(
    simd: S,
    lines: Lines<'_>,
    row: usize,
    column: usize,
    run: usize,
) -> Option<S::F32> {
    // SAFETY: the caller's promise.
    unsafe {
        match lines {
            Lines::None => None,
            Lines::PerRow(values) => Some(simd.splat(*values.as_ptr().add(row))),
            Lines::PerColumn(values) => {
                Some(simd.load_partial_ptr(values.as_ptr().add(column), run))
            }
        }
    }
}
