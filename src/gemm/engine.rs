//! The outer loops: phases, tasks and blocks.

use super::in_place::{self, InPlace};
use super::kernel::{Block, Store, multiply_block};
use super::packed::{PackedMatrix, pack_panels};
use super::plan::Split;
use super::skinny::{self, Skinny};
use super::tile::{Side, Tile, tile};
use super::{Lines, PanelSource, Problem, Shape};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::Isa;
use std::ops::Range;

/// Packing less than this is not worth waking a thread.
const SERIAL_PACK: usize = 1 << 16;

/// `C = epilogue(A · B)`, on the threads of `ctx`.
///
/// Runs on the tier of a packed side, if there is one, else on that of `ctx`.
/// `k == 0` gives the epilogue of zeros. On error C is untouched.
///
/// # Panics
/// When a packed side is of another shape, side or tier, or a per-line operand has another length.
///
/// # Safety
/// `problem.out` and its residual are valid at every row and column, no two
/// elements of C share an address, and nobody else uses C during the call.
/// Sources provide `shape`.
pub unsafe fn gemm<A: PanelSource, B: PanelSource>(
    ctx: &Context,
    shape: Shape,
    problem: &Problem<'_, A, B>,
) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { gemm_batched(ctx, shape, 1, |_| *problem) }
}

/// `batch` products of one shape in one go; `problem(i)` describes the i-th.
///
/// # Panics
/// As [`gemm`].
///
/// # Safety
/// As [`gemm`], and no two products share an element of C. Whether a side is
/// packed ahead, and for which tier, is the same for all products.
pub unsafe fn gemm_batched<'a, A: PanelSource, B: PanelSource>(
    ctx: &Context,
    shape: Shape,
    batch: usize,
    problem: impl Fn(usize) -> Problem<'a, A, B> + Sync,
) -> Result<()> {
    if batch == 0 || shape.m == 0 || shape.n == 0 {
        return Ok(());
    }
    let first = checked(shape, problem(0));
    if let Some(skinny) = Skinny::of(shape, &first) {
        // SAFETY: the caller's promise.
        return unsafe {
            skinny::run(ctx, &skinny, batch, |i, multiply| {
                let problem = checked(shape, problem(i));
                let skinny = Skinny::of(shape, &problem);
                multiply(&skinny.expect("all products of a batch are alike"));
            })
        };
    }
    if InPlace::of(shape, &first).is_some() {
        // SAFETY: the caller's promise.
        return unsafe {
            in_place::run(ctx, shape, batch, |i, multiply| {
                let problem = checked(shape, problem(i));
                let product = InPlace::of(shape, &problem);
                multiply(&product.expect("all products of a batch are alike"));
            })
        };
    }
    let (a_packed, b_packed) = (first.a.packed().is_some(), first.b.packed().is_some());
    let isa = isa_of(&first).unwrap_or(ctx.isa());
    let tile = tile(isa.tier());
    let split = Split::new(&tile, shape, batch, a_packed, b_packed);
    let (a_scratch, b_scratch) = split.task_scratch(a_packed, b_packed);
    let engine = Engine {
        isa,
        tile,
        shape,
        split,
        a_scratch,
    };
    let (down, across) = (
        shape.m.div_ceil(split.rows),
        shape.n.div_ceil(split.columns),
    );

    if !split.share_a && !split.share_b {
        let parts = down * across;
        let groups = batch.div_ceil(split.products);
        return ctx.parallel_for_scratch(groups * parts, a_scratch + b_scratch, |task, scratch| {
            let (group, part) = (task / parts, task % parts);
            let rows = chunk(0..shape.m, split.rows, part / across);
            let columns = chunk(0..shape.n, split.columns, part % across);
            for i in chunk(0..batch, split.products, group) {
                let problem = checked(shape, problem(i));
                // SAFETY: the caller's promise; tasks have different parts of C.
                unsafe {
                    engine.run(
                        &problem,
                        rows.clone(),
                        columns.clone(),
                        0..shape.k,
                        None,
                        None,
                        scratch,
                    );
                }
            }
        });
    }

    let round = split.round;
    let lines_a = match split.share_a {
        true => round.m.next_multiple_of(tile.mr),
        false => 0,
    };
    let lines_b = match split.share_b {
        true => round.n.next_multiple_of(tile.nr),
        false => 0,
    };
    let len_b = lines_b * round.k;
    let mut shared = ctx.scratch::<f32>(len_b + lines_a * round.k)?;
    let (for_b, for_a) = shared.split_at_mut(len_b);
    for i in 0..batch {
        let problem = checked(shape, problem(i));
        for k in chunks(0..shape.k, round.k) {
            for rows in chunks(0..shape.m, round.m) {
                for columns in chunks(0..shape.n, round.n) {
                    let a = split.share_a.then(|| Job {
                        side: Side::A,
                        lines: rows.clone(),
                        dst: Target(for_a.as_mut_ptr()),
                    });
                    let b = split.share_b.then(|| Job {
                        side: Side::B,
                        lines: columns.clone(),
                        dst: Target(for_b.as_mut_ptr()),
                    });
                    engine.pack_shared(ctx, &problem, k.clone(), a.as_ref(), b.as_ref())?;
                    let a = a.map(|job| job.panels(&tile, k.start));
                    let b = b.map(|job| job.panels(&tile, k.start));
                    let across = columns.len().div_ceil(split.columns);
                    let tasks = rows.len().div_ceil(split.rows) * across;
                    ctx.parallel_for_scratch(tasks, a_scratch + b_scratch, |task, scratch| {
                        let rows = chunk(rows.clone(), split.rows, task / across);
                        let columns = chunk(columns.clone(), split.columns, task % across);
                        // SAFETY: the caller's promise; tasks have different parts of C.
                        unsafe { engine.run(&problem, rows, columns, k.clone(), a, b, scratch) };
                    })?;
                }
            }
        }
    }
    Ok(())
}

/// `C = epilogue(A · B)` on the calling thread, inside a task of the caller,
/// with `scratch` of at least [`task_scratch`] floats.
///
/// # Panics
/// As [`gemm`], or when the scratch is too small.
///
/// # Safety
/// As [`gemm`].
pub unsafe fn gemm_in_task<A: PanelSource, B: PanelSource>(
    isa: Isa,
    shape: Shape,
    problem: &Problem<'_, A, B>,
    scratch: &mut [f32],
) {
    if shape.m == 0 || shape.n == 0 {
        return;
    }
    let problem = &checked(shape, *problem);
    if let Some(skinny) = Skinny::of(shape, problem) {
        // SAFETY: the caller's promise.
        return unsafe { skinny::multiply(isa, &skinny, 0..skinny.columns_total()) };
    }
    if let Some(product) = InPlace::of(shape, problem) {
        // SAFETY: the caller's promise.
        return unsafe { product.multiply(isa) };
    }
    let (a_packed, b_packed) = (problem.a.packed().is_some(), problem.b.packed().is_some());
    let isa = isa_of(problem).unwrap_or(isa);
    let tile = tile(isa.tier());
    let split = Split::whole(&tile, shape, a_packed, b_packed);
    let (a_scratch, b_scratch) = split.task_scratch(a_packed, b_packed);
    let engine = Engine {
        isa,
        tile,
        shape,
        split,
        a_scratch,
    };
    let (rows, columns) = (0..shape.m, 0..shape.n);
    let scratch = &mut scratch[..a_scratch + b_scratch];
    // SAFETY: the caller's promise.
    unsafe { engine.run(problem, rows, columns, 0..shape.k, None, None, scratch) };
}

/// Floats of scratch that [`gemm_in_task`] needs at most for this shape.
pub fn task_scratch(isa: Isa, shape: Shape) -> usize {
    let split = Split::whole(&tile(isa.tier()), shape, false, false);
    let (a, b) = split.task_scratch(false, false);
    a + b
}

/// Checks what would make the loops leave memory. A residual that is C itself is
/// C to be added to: sums of earlier blocks of k overwrite it.
fn checked<'a, A: PanelSource, B: PanelSource>(
    shape: Shape,
    mut problem: Problem<'a, A, B>,
) -> Problem<'a, A, B> {
    let isa = isa_of(&problem);
    let sides = [
        (problem.a.packed(), Side::A, shape.m),
        (problem.b.packed(), Side::B, shape.n),
    ];
    for (packed, side, lines) in sides {
        if let Some(packed) = packed {
            assert_eq!(
                (
                    packed.isa().tier(),
                    packed.side(),
                    packed.lines(),
                    packed.k()
                ),
                (isa.unwrap_or(packed.isa()).tier(), side, lines, shape.k)
            );
        }
    }
    for values in [problem.epilogue.bias, problem.epilogue.slope] {
        match values {
            Lines::None => {}
            Lines::PerRow(values) => assert_eq!(values.len(), shape.m),
            Lines::PerColumn(values) => assert_eq!(values.len(), shape.n),
        }
    }
    let out = &mut problem.out;
    assert!(out.layout.group > 0);
    if let Some(residual) = problem.epilogue.residual {
        assert!(residual.layout.group > 0);
        let same = residual.ptr == out.ptr.cast_const() && residual.layout == out.layout;
        if same && !out.accumulate {
            out.accumulate = true;
            problem.epilogue.residual = None;
        }
    }
    problem
}

fn isa_of<A: PanelSource, B: PanelSource>(problem: &Problem<'_, A, B>) -> Option<Isa> {
    let packed = problem.a.packed().or(problem.b.packed());
    packed.map(PackedMatrix::isa)
}

/// The `index`-th piece of `len` elements.
fn chunk(range: Range<usize>, len: usize, index: usize) -> Range<usize> {
    let start = range.start + index * len;
    start..range.end.min(start.saturating_add(len))
}

/// All pieces of `len` elements; one empty piece when there is nothing, so
/// that a product over no k still gets its epilogue.
fn chunks(range: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let len = len.max(1);
    (0..range.len().div_ceil(len).max(1)).map(move |i| chunk(range.clone(), len, i))
}

/// Panels in memory that hold some lines and some k.
#[derive(Clone, Copy)]
struct Panels {
    base: *const f32,
    first_line: usize,
    first_k: usize,
    /// Lines of all panels, padding included.
    padded: usize,
}

// SAFETY: points at panels that are only read while tasks run.
unsafe impl Send for Panels {}
// SAFETY: as above.
unsafe impl Sync for Panels {}

impl Panels {
    fn of(packed: &PackedMatrix, tile: &Tile) -> Panels {
        Panels {
            base: packed.data().as_ptr(),
            first_line: 0,
            first_k: 0,
            padded: packed.lines().next_multiple_of(tile.width(packed.side())),
        }
    }

    /// The panel that starts with `line`, in the block of k that is `k`.
    fn at(&self, line: usize, k: &Range<usize>) -> *const f32 {
        let block = (k.start - self.first_k) * self.padded;
        self.base
            .wrapping_add(block + (line - self.first_line) * k.len())
    }
}

/// Memory that packing tasks fill, each its own part.
#[derive(Clone, Copy)]
struct Target(*mut f32);

// SAFETY: see `pack_shared`.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

/// Lines of one side that are to be packed before the tasks.
struct Job {
    side: Side,
    lines: Range<usize>,
    dst: Target,
}

impl Job {
    fn padded(&self, tile: &Tile) -> usize {
        self.lines.len().next_multiple_of(tile.width(self.side))
    }

    fn panels(&self, tile: &Tile, first_k: usize) -> Panels {
        Panels {
            base: self.dst.0,
            first_line: self.lines.start,
            first_k,
            padded: self.padded(tile),
        }
    }

    /// Lines per packing task.
    fn piece(&self, tile: &Tile) -> usize {
        tile.width(self.side) * 8
    }
}

struct Engine {
    isa: Isa,
    tile: Tile,
    shape: Shape,
    split: Split,
    a_scratch: usize,
}

impl Engine {
    /// Packs the sides that tasks share, in parallel.
    fn pack_shared<A: PanelSource, B: PanelSource>(
        &self,
        ctx: &Context,
        problem: &Problem<'_, A, B>,
        k: Range<usize>,
        a: Option<&Job>,
        b: Option<&Job>,
    ) -> Result<()> {
        let blocks = k.len().div_ceil(self.split.depth);
        let pieces =
            |job: Option<&Job>| job.map_or(0, |j| j.lines.len().div_ceil(j.piece(&self.tile)));
        let (pieces_a, pieces_b) = (pieces(a), pieces(b));
        let pack = |task: usize| {
            let block = chunk(k.clone(), self.split.depth, task / (pieces_a + pieces_b));
            let piece = task % (pieces_a + pieces_b);
            let (job, piece) = match (a, b) {
                (Some(job), _) if piece < pieces_a => (job, piece),
                (_, Some(job)) => (job, piece - pieces_a),
                _ => return,
            };
            let width = self.tile.width(job.side);
            let lines = chunk(job.lines.clone(), job.piece(&self.tile), piece);
            let padded = lines.len().next_multiple_of(width);
            let offset = (block.start - k.start) * job.padded(&self.tile)
                + (lines.start - job.lines.start) * block.len();
            // SAFETY: the target has room for all lines and k of the job, and each task
            // has other lines or another block of k.
            let dst = unsafe {
                std::slice::from_raw_parts_mut(job.dst.0.add(offset), padded * block.len())
            };
            match job.side {
                Side::A => pack_panels(self.isa, &problem.a, block, lines, width, dst),
                Side::B => pack_panels(self.isa, &problem.b, block, lines, width, dst),
            }
        };
        let tasks = blocks * (pieces_a + pieces_b);
        let lines = |job: Option<&Job>| job.map_or(0, |j| j.lines.len());
        if (lines(a) + lines(b)) * k.len() < SERIAL_PACK {
            (0..tasks).for_each(pack);
            return Ok(());
        }
        ctx.parallel_for(tasks, pack)
    }

    /// One task: a part of C, over a range of k that starts and ends with a block.
    ///
    /// # Safety
    /// C and the residual are valid in these rows and columns and nobody else uses that
    /// part of C; `a` and `b` hold it if given, else the source provides it.
    unsafe fn run<A: PanelSource, B: PanelSource>(
        &self,
        problem: &Problem<'_, A, B>,
        rows: Range<usize>,
        columns: Range<usize>,
        k: Range<usize>,
        a: Option<Panels>,
        b: Option<Panels>,
        scratch: &mut [f32],
    ) {
        let a = a.or(problem.a.packed().map(|p| Panels::of(p, &self.tile)));
        let b = b.or(problem.b.packed().map(|p| Panels::of(p, &self.tile)));
        // B first: its panels are to start on cache lines.
        let (for_b, for_a) = scratch.split_at_mut(scratch.len() - self.a_scratch);
        for columns in chunks(columns, self.split.block_columns) {
            for k in chunks(k.clone(), self.split.depth) {
                let b = match b {
                    Some(panels) => panels.at(columns.start, &k),
                    None => {
                        let (k, columns) = (k.clone(), columns.clone());
                        pack_panels(self.isa, &problem.b, k, columns, self.tile.nr, for_b);
                        for_b.as_ptr()
                    }
                };
                for rows in chunks(rows.clone(), self.split.block_rows) {
                    let a = match a {
                        Some(panels) => panels.at(rows.start, &k),
                        None => {
                            let (k, rows) = (k.clone(), rows.clone());
                            pack_panels(self.isa, &problem.a, k, rows, self.tile.mr, for_a);
                            for_a.as_ptr()
                        }
                    };
                    let block = Block {
                        rows: (rows.start, rows.end),
                        columns: (columns.start, columns.end),
                        depth: k.len(),
                        a,
                        b,
                        store: Store {
                            out: problem.out,
                            add: problem.out.accumulate || k.start > 0,
                            epilogue: (k.end == self.shape.k).then_some(&problem.epilogue),
                        },
                    };
                    // SAFETY: the panels hold these rows, columns and k; the rest is the caller's promise.
                    unsafe { multiply_block(self.isa, &block) };
                }
            }
        }
    }
}
