//! The two inner loops: tiles of a block, and the sum of one tile.

use super::edges::{MAX_TAIL, abreast, tail_columns};
use super::epilogue::{Epilogue, Lines, Output};
use super::tile::{TILE_FLOATS, tile};
use crate::simd::{Activation, Isa, Simd, dispatch, leaky_relu};
use std::mem::MaybeUninit;

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
    /// What becomes of the sums.
    pub store: Store<'a>,
}

/// How elements are found in operands that are read where they lie.
#[derive(Clone, Copy)]
pub(super) struct Strides {
    /// From a row of A to the next.
    pub a_row: isize,
    /// From a step of k to the next, in A and in B. Columns of B are side by side.
    pub a_k: isize,
    pub b_k: isize,
}

/// Multiplies the panels of a block and stores C.
///
/// # Safety
/// The panels hold `depth` steps of all rows and columns, padded to whole
/// panels. C and the residual are valid at all rows and columns, nobody else
/// uses that part of C, and per-line values exist for each row or column.
pub(super) unsafe fn multiply_block(isa: Isa, block: &Block<'_>) {
    let panels = Strides {
        a_row: 0,
        a_k: 0,
        b_k: 0,
    };
    // SAFETY: the caller's promise.
    dispatch!(isa, simd => unsafe { tiles::<_, false>(simd, block, panels) });
}

/// Multiplies operands that are read where they lie: `a` and `b` are their first elements.
/// Every sum is that of panels.
///
/// # Safety
/// As [`multiply_block`], with `depth` steps of all rows and columns in memory at these strides.
pub(super) unsafe fn multiply_in_place(isa: Isa, block: &Block<'_>, strides: Strides) {
    // SAFETY: the caller's promise.
    dispatch!(isa, simd => unsafe { tiles::<_, true>(simd, block, strides) });
}

/// A tile of C within a block.
#[derive(Clone, Copy)]
struct Spot {
    at: Place,
    a: *const f32,
    b: *const f32,
    /// Offsets of the first element in C and in the residual.
    c: isize,
    residual: isize,
    /// What to ask for meanwhile, when panels are read.
    ahead: Ahead,
    /// Where the elements are, when no panels are read.
    strides: Strides,
}

/// A piece of the panel of B that comes next: the tiles of a panel ask for a piece each, spread over
/// their steps, so that the next panel is near when it is needed and no step waits. A step asks for as many
/// cache lines as it reads of its own panel, so that one tile alone asks for all of the next panel.
#[derive(Clone, Copy)]
struct Ahead {
    /// Where the piece begins; it need not exist.
    from: *const f32,
    /// Floats from one request to the next.
    stride: usize,
}

/// Floats of a cache line.
const LINE: usize = 16;

/// Steps of k in one turn of the inner loop.
const UNROLLED: usize = 4;

/// Which part of C a tile is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub row: usize,
    pub column: usize,
    /// Rows and columns that are in C; the others are padding.
    pub rows: usize,
    pub columns: usize,
}

/// What becomes of sums.
#[derive(Clone, Copy)]
pub(super) struct Store<'a> {
    /// C.
    pub out: Output,
    /// C already holds a part of the sum.
    pub add: bool,
    /// What happens to the sum, when it is complete.
    pub epilogue: Option<&'a Epilogue<'a>>,
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
unsafe fn tiles<S: Simd, const IN_PLACE: bool>(simd: S, block: &Block<'_>, strides: Strides) {
    let size = const { tile(S::TIER) };
    let mut stack = Stack(MaybeUninit::uninit());
    let clamp = clamp(block.store.epilogue);
    let residual = block.store.epilogue.and_then(|e| e.residual);
    let mut start = block.columns.0;
    // SAFETY: the promise of `multiply_block`.
    unsafe {
        match block.rows.1 - block.rows.0 {
            1 if !IN_PLACE => {
                start = abreast::<S, 1, 4>(simd, block, start, &mut stack);
                start = abreast::<S, 1, 2>(simd, block, start, &mut stack);
            }
            2 if !IN_PLACE => start = abreast::<S, 2, 3>(simd, block, start, &mut stack),
            3 if !IN_PLACE => start = abreast::<S, 3, 2>(simd, block, start, &mut stack),
            _ => {}
        }
    }
    for column in (start..block.columns.1).step_by(size.nr) {
        let mut columns = size.nr.min(block.columns.1 - column);
        let tail = columns % S::LANES;
        if !IN_PLACE && 0 < tail && tail <= MAX_TAIL {
            columns -= tail;
            // SAFETY: the promise of `multiply_block`.
            unsafe { tail_columns(simd, block, column + columns, tail, &mut stack) };
        }
        let vectors = columns.div_ceil(S::LANES);
        let (c, together) = block.store.out.layout.locate(block.rows.0, column);
        let (from, also) =
            residual.map_or((0, usize::MAX), |r| r.layout.locate(block.rows.0, column));
        let whole = together.min(also) >= columns && columns.is_multiple_of(S::LANES);
        let clamp = clamp.filter(|_| whole);
        let tall = (block.rows.1 - block.rows.0).div_ceil(size.mr).max(1);
        let stride = LINE.div_ceil(tall);
        let requests = const { tile(S::TIER).nr.div_ceil(LINE) };
        let next = (column - block.columns.0 + size.nr) * block.depth;
        for row in (block.rows.0..block.rows.1).step_by(size.mr) {
            let down = row - block.rows.0;
            let spot = Spot {
                at: Place {
                    row,
                    column,
                    rows: size.mr.min(block.rows.1 - row),
                    columns,
                },
                // A panel holds `depth` steps of its lines, so this many floats
                // lie between the block's first panel and this one.
                a: match IN_PLACE {
                    true => block.a.wrapping_offset(down as isize * strides.a_row),
                    false => block.a.wrapping_add(down * block.depth),
                },
                b: match IN_PLACE {
                    true => block.b.wrapping_add(column - block.columns.0),
                    false => block
                        .b
                        .wrapping_add((column - block.columns.0) * block.depth),
                },
                strides,
                c: c + down as isize * block.store.out.layout.row_stride,
                residual: from + residual.map_or(0, |r| down as isize * r.layout.row_stride),
                ahead: Ahead {
                    from: block
                        .b
                        .wrapping_add(next + down / size.mr * block.depth * requests * stride),
                    stride,
                },
            };
            // SAFETY: the promise of `multiply_block`.
            unsafe {
                let stored = match vectors {
                    0 => break,
                    1 => tile_of::<S, 1, IN_PLACE>(simd, block, &spot, clamp, &mut stack),
                    2 => tile_of::<S, 2, IN_PLACE>(simd, block, &spot, clamp, &mut stack),
                    _ => tile_of::<S, 3, IN_PLACE>(simd, block, &spot, clamp, &mut stack),
                };
                if !stored {
                    finish(simd, &block.store, &spot.at, stack.ptr(), size.nr);
                }
            }
        }
    }
}

/// A tile in memory; as wide as a full tile. Of its rows and vectors those are
/// initialised that a kernel has stored.
#[repr(align(64))]
pub(super) struct Stack(pub MaybeUninit<[f32; TILE_FLOATS]>);

impl Stack {
    #[inline(always)]
    pub fn ptr(&self) -> *const f32 {
        self.0.as_ptr().cast()
    }
    #[inline(always)]
    pub fn ptr_mut(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}

/// Picks the kernel with the fewest rows that are enough. True when C is stored,
/// false when the sums were left in `stack`.
#[inline(always)]
unsafe fn tile_of<S: Simd, const NV: usize, const IN_PLACE: bool>(
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
                if $mr <= size.mr && spot.at.rows <= $mr {
                    // SAFETY: the caller's promise.
                    return unsafe { sum::<S, $mr, NV, IN_PLACE>(simd, block, spot, clamp, stack) };
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

/// The inner loop: `MR` rows by `NV` vectors of C, summed over `depth` steps of k.
///
/// Plain index loops: their bounds are constants, so they are unrolled before the
/// compiler decides what stays in registers, which here is everything.
///
/// # Safety
/// Panels of `depth` steps, as wide as the tier's, begin at `a` and `b`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn sums<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    depth: usize,
    mut a: *const f32,
    mut b: *const f32,
    mut ahead: Ahead,
) -> [[S::F32; NV]; MR] {
    let size = const { tile(S::TIER) };
    let mut acc = [[simd.zero(); NV]; MR];
    macro_rules! step {
        ($at:expr) => {
            for _ in 0..size.nr.div_ceil(LINE) {
                simd.prefetch(ahead.from);
                ahead.from = ahead.from.wrapping_add(ahead.stride);
            }
            let mut row = [simd.zero(); NV];
            for v in 0..NV {
                row[v] = simd.load_ptr(b.add($at * size.nr + v * S::LANES));
            }
            for r in 0..MR {
                let left = simd.splat(*a.add($at * size.mr + r));
                for v in 0..NV {
                    acc[r][v] = simd.fma(left, row[v], acc[r][v]);
                }
            }
        };
    }
    // SAFETY: the panels hold `depth` steps of mr and nr floats.
    unsafe {
        for _ in 0..depth / UNROLLED {
            step!(0);
            step!(1);
            step!(2);
            step!(3);
            a = a.add(UNROLLED * size.mr);
            b = b.add(UNROLLED * size.nr);
        }
        for _ in 0..depth % UNROLLED {
            step!(0);
            a = a.add(size.mr);
            b = b.add(size.nr);
        }
    }
    acc
}

/// As [`sums`], from operands that lie in memory. Rows beyond the last are read as the last.
///
/// # Safety
/// `depth` steps of the spot's rows and columns exist, which fill more than `NV - 1` vectors.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn sums_in_place<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    depth: usize,
    spot: &Spot,
) -> [[S::F32; NV]; MR] {
    let mut acc = [[simd.zero(); NV]; MR];
    let Strides { a_row, a_k, b_k } = spot.strides;
    let mut a = [spot.a; MR];
    for r in 0..MR {
        a[r] = spot
            .a
            .wrapping_offset(r.min(spot.at.rows - 1) as isize * a_row);
    }
    let last = spot.at.columns - (NV - 1) * S::LANES;
    let mut b = spot.b;
    macro_rules! steps {
        ($load_last:expr) => {
            for p in 0..depth as isize {
                let mut row = [simd.zero(); NV];
                for v in 0..NV - 1 {
                    row[v] = simd.load_ptr(b.add(v * S::LANES));
                }
                row[NV - 1] = $load_last(b.add((NV - 1) * S::LANES));
                for r in 0..MR {
                    let left = simd.splat(*a[r].offset(p * a_k));
                    for v in 0..NV {
                        acc[r][v] = simd.fma(left, row[v], acc[r][v]);
                    }
                }
                b = b.wrapping_offset(b_k);
            }
        };
    }
    // SAFETY: the elements exist, as the caller says; a part of a vector is read as such.
    unsafe {
        if last == S::LANES {
            steps!(|at| simd.load_ptr(at));
        } else {
            steps!(|at| simd.load_partial_ptr(at, last));
        }
    }
    acc
}

/// Sums a tile and stores it. True when C is stored, false when the sums
/// were left in `stack`.
///
/// # Safety
/// As [`multiply_block`] for this spot, and with `clamp` C and the residual
/// are contiguous across the tile and its columns are whole vectors.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn sum<S: Simd, const MR: usize, const NV: usize, const IN_PLACE: bool>(
    simd: S,
    block: &Block<'_>,
    spot: &Spot,
    clamp: Option<Clamp>,
    stack: &mut Stack,
) -> bool {
    let size = const { tile(S::TIER) };
    if clamp.is_some() && !IN_PLACE {
        let (c, stride) = (
            block.store.out.ptr.wrapping_offset(spot.c),
            block.store.out.layout.row_stride,
        );
        for r in 0..MR {
            let row = c.wrapping_offset(r as isize * stride).cast_const();
            simd.prefetch(row);
            simd.prefetch(row.wrapping_add(NV * S::LANES - 1));
        }
    }
    // SAFETY: the caller's promise.
    let acc = unsafe {
        match IN_PLACE {
            true => sums_in_place::<S, MR, NV>(simd, block.depth, spot),
            false => sums::<S, MR, NV>(simd, block.depth, spot.a, spot.b, spot.ahead),
        }
    };
    let clamp = match clamp {
        Some(clamp) if spot.at.rows == MR => clamp,
        _ => {
            for r in 0..MR {
                for v in 0..NV {
                    // SAFETY: inside of a tile of mr x nr.
                    unsafe {
                        let at = stack.ptr_mut().add(r * size.nr + v * S::LANES);
                        simd.store_ptr(at, acc[r][v]);
                    }
                }
            }
            return false;
        }
    };

    // One small loop for each thing that happens to the sums: each is unrolled whatever the tile,
    // and the sums stay in registers. As one loop over rows the 14 rows of AVX-512 were too many to be
    // unrolled, so the sums lay in memory, through all of the inner loop as well.
    // SAFETY: every vector lies in the part of C, of the residual or of the per-line
    // values that belongs to this tile: MR rows and NV whole vectors.
    unsafe {
        let mut acc = acc;
        macro_rules! each {
            ($r:ident, $v:ident, $x:ident => $body:expr) => {
                for $r in 0..MR {
                    for $v in 0..NV {
                        let $x = acc[$r][$v];
                        acc[$r][$v] = $body;
                    }
                }
            };
        }
        let stride = block.store.out.layout.row_stride;
        let c = block.store.out.ptr.offset(spot.c);
        if block.store.add {
            each!(r, v, x => simd.add(simd.load_ptr(c.offset(r as isize * stride).add(v * S::LANES)), x));
        }
        if let Some(epilogue) = block.store.epilogue {
            match epilogue.bias {
                Lines::None => {}
                Lines::PerRow(bias) => {
                    let bias = bias.as_ptr().add(spot.at.row);
                    each!(r, v, x => simd.add(x, simd.splat(*bias.add(r))));
                }
                Lines::PerColumn(bias) => {
                    let bias = bias.as_ptr().add(spot.at.column);
                    each!(r, v, x => simd.add(x, simd.load_ptr(bias.add(v * S::LANES))));
                }
            }
            if let Some(residual) = epilogue.residual {
                let from = residual.ptr.offset(spot.residual);
                let stride = residual.layout.row_stride;
                each!(r, v, x => simd.add(x, simd.load_ptr(from.offset(r as isize * stride).add(v * S::LANES))));
            }
            if clamp.low > f32::NEG_INFINITY {
                // As `relu` and `relu6` have it: NaN stays.
                let (low, high) = (simd.splat(clamp.low), simd.splat(clamp.high));
                each!(r, v, x => simd.min(high, simd.max(low, x)));
            }
        }
        for r in 0..MR {
            for v in 0..NV {
                simd.store_ptr(c.offset(r as isize * stride).add(v * S::LANES), acc[r][v]);
            }
        }
    }
    true
}

/// Stores sums from memory: any epilogue, any number of columns, across groups.
///
/// # Safety
/// As [`multiply_block`] for `rows` and `columns` from (`row`, `column`) on, whose sums
/// are at `sums`, rows `pitch` apart.
#[inline(always)]
pub(super) unsafe fn finish<S: Simd>(
    simd: S,
    store: &Store<'_>,
    spot: &Place,
    sums: *const f32,
    pitch: usize,
) {
    let activation = store.epilogue.map_or(Activation::None, |e| e.activation);
    let mut at = 0;
    while at < spot.columns {
        // A run of at most one vector that is contiguous everywhere.
        let column = spot.column + at;
        let (c, together) = store.out.layout.locate(spot.row, column);
        let mut run = S::LANES.min(spot.columns - at).min(together);
        let residual = store.epilogue.and_then(|e| e.residual).map(|r| {
            let (offset, together) = r.layout.locate(spot.row, column);
            run = run.min(together);
            (r.ptr.wrapping_offset(offset), r.layout.row_stride)
        });
        for r in 0..spot.rows {
            // SAFETY: the run's elements are inside C, the residual and the per-line values;
            // the tile on the stack has them too.
            unsafe {
                let c = store
                    .out
                    .ptr
                    .offset(c + r as isize * store.out.layout.row_stride);
                let mut x = simd.load_partial_ptr(sums.add(r * pitch + at), run);
                if store.add {
                    x = simd.add(simd.load_partial_ptr(c, run), x);
                }
                if let Some(epilogue) = store.epilogue {
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
