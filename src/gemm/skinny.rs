//! Products with one to four rows (or one column): a vector times a matrix.
//!
//! Such a product uses each element of B a few times only, so packing B would cost more
//! than the product. B is read where it is, once and in the order of memory:
//!
//! - lines along k (the weights of a linear layer): dot products of four lines with all
//!   rows at a time, in vectors along k, reduced at the end;
//! - lines side by side: strips of columns as wide as the registers allow are summed over k. Of a B that no cache holds
//!   such a strip would read a few lines of every page: there four steps of k at a time are added to sums of many columns
//!   in the first-level cache, which is four long streams of memory.
//!
//! The first sums in another order than the packed engine does.

use super::epilogue::{Epilogue, Layout, Lines, Output, Residual};
use super::kernel::{Place, Stack, Store, finish};
use super::tile::{TILE_FLOATS, tile};
use super::{PanelSource, Problem, Shape, Strided};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Isa, Simd, dispatch};
use std::mem::MaybeUninit;
use std::ops::Range;

/// The most rows of a skinny product.
const ROWS: usize = 4;
/// Dot products that are summed side by side.
const DOTS: usize = 4;
/// Elements of B that a task reads at least, and below which one task reads all.
const TASK_ELEMENTS: usize = 1 << 16;
/// Elements of B from which it is read in long runs.
const LARGE: usize = 1 << 16;
/// Columns of such a run, at most: longer ones gain little more.
const RUN: usize = 2048;
/// Steps of k that are read at a time.
const STREAMS: usize = 4;
/// Parts that the columns are cut into at most.
const TASKS: usize = 32;

/// A product that is better computed without packing.
#[derive(Clone, Copy)]
pub(super) struct Skinny<'a> {
    shape: Shape,
    a: Strided<'a>,
    b: Strided<'a>,
    out: Output,
    epilogue: Epilogue<'a>,
}

impl<'a> Skinny<'a> {
    /// The product in this form, if it has few rows or one column and B is in order.
    pub fn of<A: PanelSource, B: PanelSource>(
        shape: Shape,
        problem: &'a Problem<'a, A, B>,
    ) -> Option<Skinny<'a>> {
        if shape.m > ROWS && shape.n > 1 {
            return None;
        }
        let (a, b) = (problem.a.strided()?, problem.b.strided()?);
        assert!(a.lines == shape.m && b.lines == shape.n && a.k == shape.k && b.k == shape.k);
        let (out, epilogue) = (problem.out, problem.epilogue);
        let skinny = match shape.n == 1 && shape.m > 1 {
            false => Skinny {
                shape,
                a,
                b,
                out,
                epilogue,
            },
            // One column is one row of the transposed product.
            true => Skinny {
                shape: Shape {
                    m: 1,
                    n: shape.m,
                    k: shape.k,
                },
                a: b,
                b: a,
                out: Output {
                    layout: turned(out.layout),
                    ..out
                },
                epilogue: Epilogue {
                    bias: turned_lines(epilogue.bias),
                    slope: turned_lines(epilogue.slope),
                    residual: epilogue.residual.map(|r| Residual {
                        layout: turned(r.layout),
                        ..r
                    }),
                    ..epilogue
                },
            },
        };
        (skinny.along_k() || skinny.b.line_stride == 1).then_some(skinny)
    }

    /// Columns in all; rows, when one column was turned.
    pub fn columns_total(&self) -> usize {
        self.shape.n
    }

    /// Lines of both sides are contiguous.
    fn along_k(&self) -> bool {
        self.a.k_stride == 1 && self.b.k_stride == 1
    }

    /// Rows of B are read in long runs.
    fn in_runs(&self) -> bool {
        !self.along_k() && self.shape.n.saturating_mul(self.shape.k) >= LARGE
    }

    /// Columns per task.
    fn columns(&self) -> usize {
        if self.in_runs() {
            return self.shape.n.div_ceil(2).clamp(RUN / 2, RUN);
        }
        let least = TASK_ELEMENTS / self.shape.k.max(1);
        self.shape.n.div_ceil(TASKS).max(least).next_multiple_of(64)
    }

    fn store(&self) -> Store<'_> {
        Store {
            out: self.out,
            add: self.out.accumulate,
            epilogue: Some(&self.epilogue),
        }
    }
}

/// The layout of one column as one row.
fn turned(layout: Layout) -> Layout {
    Layout {
        row_stride: 0,
        group: 1,
        group_stride: layout.row_stride,
    }
    .simplified()
}

fn turned_lines(lines: Lines<'_>) -> Lines<'_> {
    match lines {
        Lines::None => Lines::None,
        Lines::PerRow(values) => Lines::PerColumn(values),
        Lines::PerColumn(values) => Lines::PerRow(values),
    }
}

/// Products of a batch on the threads of `ctx`; `product(i)` is handed to the function it
/// is given, because it borrows from what it was made of.
///
/// # Safety
/// As for [`gemm_batched`](super::gemm_batched).
pub(super) unsafe fn run(
    ctx: &Context,
    first: &Skinny<'_>,
    batch: usize,
    product: impl Fn(usize, &mut dyn FnMut(&Skinny<'_>)) + Sync,
) -> Result<()> {
    let isa = ctx.isa();
    let columns = first.columns();
    let parts = first.shape.n.div_ceil(columns);
    // Small products of a batch share a task.
    let elements = first.shape.n.saturating_mul(first.shape.k).max(1);
    let group = (TASK_ELEMENTS / elements).clamp(1, batch);
    let groups = batch.div_ceil(group);
    ctx.parallel_for(groups * parts, |task| {
        let start = task % parts * columns;
        let range = start..first.shape.n.min(start + columns);
        let from = task / parts * group;
        for i in from..batch.min(from + group) {
            // SAFETY: the caller's promise; tasks have other columns or products.
            product(i, &mut |skinny| unsafe {
                multiply(isa, skinny, range.clone())
            });
        }
    })
}

/// Some columns of a product.
///
/// # Safety
/// C and the residual are valid there, nobody else uses that part of C, and the per-line values exist.
pub(super) unsafe fn multiply(isa: Isa, product: &Skinny<'_>, columns: Range<usize>) {
    let (start, end) = (columns.start, columns.end);
    // SAFETY: the caller's promise.
    dispatch!(isa, simd => unsafe {
        match product.shape.m {
            1 => rows::<_, 1, 2, 8>(simd, product, start, end),
            2 => rows::<_, 2, 1, 4>(simd, product, start, end),
            3 => rows::<_, 3, 1, 4>(simd, product, start, end),
            _ => rows::<_, 4, 1, 3>(simd, product, start, end),
        }
    });
}

/// All `M` rows of C. `U` is how many sums each dot product is split into, `NV` how many
/// vectors wide a strip of columns is.
#[inline(always)]
unsafe fn rows<S: Simd, const M: usize, const U: usize, const NV: usize>(
    simd: S,
    product: &Skinny<'_>,
    start: usize,
    end: usize,
) {
    let size = const { tile(S::TIER) };
    const { assert!(M * NV * S::LANES <= TILE_FLOATS && M * tile(S::TIER).nr <= TILE_FLOATS) };
    let (along_k, in_runs) = (product.along_k(), product.in_runs());
    let mut stack = Stack(MaybeUninit::uninit());
    let mut run_sums = MaybeUninit::<[f32; ROWS * RUN]>::uninit();
    let run_sums = run_sums.as_mut_ptr().cast::<f32>();
    let mut column = start;
    while column < end {
        // SAFETY: columns below `end` exist; the stack has room for M rows of each width.
        unsafe {
            let mut sums = stack.ptr();
            let (count, pitch) = if in_runs {
                let count = RUN.min(end - column);
                runs::<S, M>(simd, product, column, count, run_sums);
                sums = run_sums.cast_const();
                (count, RUN)
            } else if along_k {
                for c in (0..size.nr).step_by(DOTS) {
                    if column + c < end {
                        dots::<S, M, U>(simd, product, column + c, end, stack.ptr_mut().add(c));
                    }
                }
                (size.nr, size.nr)
            } else if end - column >= NV * S::LANES {
                strip::<S, M, NV>(simd, product, column, NV * S::LANES, &mut stack);
                (NV * S::LANES, NV * S::LANES)
            } else {
                strip::<S, M, 1>(
                    simd,
                    product,
                    column,
                    S::LANES.min(end - column),
                    &mut stack,
                );
                (S::LANES, S::LANES)
            };
            let place = Place {
                row: 0,
                column,
                rows: M,
                columns: count.min(end - column),
            };
            finish(simd, &product.store(), &place, sums, pitch);
            column += count;
        }
    }
}

/// `M x DOTS` dot products, stored a tile's row apart. Columns from `end` on repeat the last.
///
/// # Safety
/// `column < end` and these columns exist; lines of both sides are contiguous;
/// `sums` has room for `DOTS` values in each of `M` rows.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn dots<S: Simd, const M: usize, const U: usize>(
    simd: S,
    product: &Skinny<'_>,
    column: usize,
    end: usize,
    sums: *mut f32,
) {
    let size = const { tile(S::TIER) };
    let k = product.shape.k;
    let mut a = [product.a.at(0, 0); M];
    for r in 0..M {
        a[r] = product.a.at(r, 0);
    }
    let mut b = [product.b.at(column, 0); DOTS];
    for c in 0..DOTS {
        b[c] = product.b.at((column + c).min(end - 1), 0);
    }
    let mut acc = [[[simd.zero(); DOTS]; M]; U];
    let mut p = 0;
    // SAFETY: k elements stand at each pointer.
    unsafe {
        while p + U * S::LANES <= k {
            for u in 0..U {
                let at = p + u * S::LANES;
                for r in 0..M {
                    let left = simd.load_ptr(a[r].add(at));
                    for c in 0..DOTS {
                        acc[u][r][c] = simd.fma(left, simd.load_ptr(b[c].add(at)), acc[u][r][c]);
                    }
                }
            }
            p += U * S::LANES;
        }
        while p < k {
            let count = k - p;
            for r in 0..M {
                let left = simd.load_partial_ptr(a[r].add(p), count);
                for c in 0..DOTS {
                    let right = simd.load_partial_ptr(b[c].add(p), count);
                    acc[0][r][c] = simd.fma(left, right, acc[0][r][c]);
                }
            }
            p += S::LANES;
        }
        for r in 0..M {
            for c in 0..DOTS {
                let mut sum = acc[0][r][c];
                for u in 1..U {
                    sum = simd.add(sum, acc[u][r][c]);
                }
                *sums.add(r * size.nr + c) = simd.reduce_add(sum);
            }
        }
    }
}

/// `M` rows of `NV` vectors of columns, `count` of them in C, stored one row after another.
///
/// # Safety
/// `count` columns from `column` on exist and are contiguous, and fill the vectors if `NV > 1`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn strip<S: Simd, const M: usize, const NV: usize>(
    simd: S,
    product: &Skinny<'_>,
    column: usize,
    count: usize,
    stack: &mut Stack,
) {
    let mut acc = [[simd.zero(); NV]; M];
    let whole = count == NV * S::LANES;
    for p in 0..product.shape.k {
        let b = product.b.at(column, p);
        let mut row = [simd.zero(); NV];
        // SAFETY: `count` columns stand at `b`, and (r, p) is in A.
        unsafe {
            if whole {
                for v in 0..NV {
                    row[v] = simd.load_ptr(b.add(v * S::LANES));
                }
            } else {
                row[0] = simd.load_partial_ptr(b, count);
            }
            for r in 0..M {
                let left = simd.splat(*product.a.at(r, p));
                for v in 0..NV {
                    acc[r][v] = simd.fma(left, row[v], acc[r][v]);
                }
            }
        }
    }
    for r in 0..M {
        for v in 0..NV {
            // SAFETY: M x NV vectors fit a tile (asserted by the caller).
            unsafe { simd.store_ptr(stack.ptr_mut().add((r * NV + v) * S::LANES), acc[r][v]) };
        }
    }
}

/// `M` rows of `count` columns, [`RUN`] apart in `sums`, in the order of k.
///
/// # Safety
/// `count` columns from `column` on exist and are contiguous, at most [`RUN`]; `sums` has room for `M` rows of as many.
#[inline(always)]
unsafe fn runs<S: Simd, const M: usize>(
    simd: S,
    product: &Skinny<'_>,
    column: usize,
    count: usize,
    sums: *mut f32,
) {
    let mut p = 0;
    // SAFETY: the caller's promise; sums have room for whole vectors.
    unsafe {
        for r in 0..M {
            sums.add(r * RUN)
                .write_bytes(0, count.next_multiple_of(S::LANES));
        }
        while p + STREAMS <= product.shape.k {
            add_rows::<S, M, STREAMS>(simd, product, p, column, count, sums);
            p += STREAMS;
        }
        while p < product.shape.k {
            add_rows::<S, M, 1>(simd, product, p, column, count, sums);
            p += 1;
        }
    }
}

/// Adds `K` steps of k to the sums of [`runs`].
///
/// # Safety
/// As there, and the steps exist.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn add_rows<S: Simd, const M: usize, const K: usize>(
    simd: S,
    product: &Skinny<'_>,
    p: usize,
    column: usize,
    count: usize,
    sums: *mut f32,
) {
    const { assert!(RUN.is_multiple_of(S::LANES)) };
    let mut lines = [std::ptr::null(); K];
    let mut left = [[simd.zero(); K]; M];
    for k in 0..K {
        lines[k] = product.b.at(column, p + k);
        for r in 0..M {
            // SAFETY: (r, p + k) is in A.
            left[r][k] = simd.splat(unsafe { *product.a.at(r, p + k) });
        }
    }
    for c in (0..count).step_by(S::LANES) {
        let mut row = [simd.zero(); K];
        // SAFETY: `count` columns stand at each line; sums have room for whole vectors.
        unsafe {
            for k in 0..K {
                row[k] = match c + S::LANES <= count {
                    true => simd.load_ptr(lines[k].add(c)),
                    false => simd.load_partial_ptr(lines[k].add(c), count - c),
                };
            }
            for r in 0..M {
                let at = sums.add(r * RUN + c);
                let mut sum = simd.load_ptr(at);
                for k in 0..K {
                    sum = simd.fma(left[r][k], row[k], sum);
                }
                simd.store_ptr(at, sum);
            }
        }
    }
}
