//! Softmax and its logarithm along one axis.
//!
//! `softmax(x) = exp(x - max) / sum(exp(x - max))`, `log_softmax(x) = x - max -
//! log(sum(exp(x - max)))`, the maximum and the sum being those of the axis.
//! `out` has the shape of `x` and may be the very same array (same address,
//! same strides); any other overlap is an error. As in torch, a NaN or +inf
//! anywhere in a row, or -inf everywhere, makes the whole row NaN; otherwise
//! -inf gives 0 (its logarithm -inf).
//!
//! Two kernels, each with exp in registers:
//!
//! - **rows**: the axis lies along the lanes. A row is taken in blocks that stay
//!   in the nearest cache: maximum of a block, then `exp(x - maximum so far)`,
//!   stored and summed; one last pass multiplies by what is left over. So even a
//!   row larger than the caches is read from memory once, not twice.
//! - **columns**: other axes lie along the lanes and the axis is a loop. This
//!   serves an axis that is not the innermost (classes of a pixel) without any
//!   transposition, and short rows, transposed in small tiles: a reduction over
//!   the lanes of one vector would cost more than the two or ten values of it.
//!
//! Which one runs depends on the shape and on the order of the output's axes in
//! memory, not on strides, alignment or threads; neither does the result.

use super::activation::normalize_axis;
use super::loops::Loops;
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Group, Simd, dispatch, math};
use crate::tensor::{MAX_RANK, Raw, View, ViewMut, expect_same_shape, forbid_partial_overlap};

/// Softmax along `axis` (negative: from the end). See the [module](self).
pub fn softmax(ctx: &Context, axis: isize, x: View<'_, f32>, out: ViewMut<'_, f32>) -> Result<()> {
    normalized::<false>("softmax", ctx, axis, x, out)
}

/// The logarithm of softmax along `axis` (negative: from the end). See the [module](self).
pub fn log_softmax(
    ctx: &Context,
    axis: isize,
    x: View<'_, f32>,
    out: ViewMut<'_, f32>,
) -> Result<()> {
    normalized::<true>("log_softmax", ctx, axis, x, out)
}

/// Elements of a task.
const TASK: usize = 1 << 14;
/// Elements of a row between two looks at the maximum: 16 KB in and 16 KB out.
const BLOCK: usize = 1 << 12;
/// Rows up to this length are transposed and taken as columns.
const SHORT: usize = 24;
/// Vectors of columns that are in registers at once.
const TILE: usize = 4;
/// Elements of a staged tile of columns, so that it stays in the nearest cache.
const STAGE: usize = 1 << 12;
/// The most columns of a staged tile.
const MOST_COLUMNS: usize = 256;
/// Columns longer than this are not staged where they can be read in place:
/// a tile would leave the second cache.
const LONG: usize = 1 << 12;

/// One axis, and the loops over all others.
struct Axes {
    others: Loops<2>,
    /// Elements along the axis.
    len: usize,
    /// Strides of output and input along the axis.
    steps: [isize; 2],
    /// The output's neighbours along the axis are the nearest in memory.
    innermost: bool,
}

impl Axes {
    fn new(axis: usize, x: &Raw<f32>, out: &Raw<f32>) -> Axes {
        let mut shape = [1; MAX_RANK];
        shape[..x.rank()].copy_from_slice(x.shape());
        // The axis itself is taken out by making it one element long.
        let len = std::mem::replace(&mut shape[axis], 1);
        let others = Loops::new(&shape[..x.rank()], [out.strides(), x.strides()]);
        let steps = match len {
            1 => [1, 1],
            _ => [out.stride(axis), x.stride(axis)],
        };
        let innermost = (0..x.rank())
            .all(|a| a == axis || x.dim(a) == 1 || out.stride(a).abs() > out.stride(axis).abs());
        Axes {
            others,
            len,
            steps,
            innermost,
        }
    }
}

fn normalized<const LOG: bool>(
    op: &str,
    ctx: &Context,
    axis: isize,
    x: View<'_, f32>,
    mut out: ViewMut<'_, f32>,
) -> Result<()> {
    expect_same_shape(op, "output", &out, "input", &x)?;
    forbid_partial_overlap(op, "output", &out, "input", &x)?;
    // A single number is a row of one, as in torch.
    let axis = normalize_axis(op, axis, x.rank().max(1))?;
    if x.is_empty() {
        return Ok(());
    }
    let axes = Axes::new(axis, &x, &out);
    let (len, isa) = (axes.len, ctx.isa());
    let writer = out.writer();
    let task = (TASK / len).max(1);
    let tasks = axes.others.len().div_ceil(task);
    let part = |index: usize| {
        let first = index * task;
        (first, task.min(axes.others.len() - first))
    };
    if axes.innermost && len > SHORT {
        // A strided row is staged; the maxima of blocks are kept behind it.
        let staged = if axes.steps == [1, 1] { 0 } else { len };
        let room = staged + len.div_ceil(BLOCK);
        return ctx.parallel_for_scratch::<f32>(tasks, room, |index, scratch| {
            let (stage, maxima) = scratch.split_at_mut(staged);
            // SAFETY: the loops and the axis stay inside both arrays; tasks are disjoint.
            dispatch!(isa, simd => unsafe {
                rows::<_, LOG>(simd, &axes, writer.ptr(), x.ptr(), part(index), stage, maxima)
            })
        });
    }
    // Room for the widest vectors of any tier.
    let width = (STAGE / len / 64 * 64).clamp(64, MOST_COLUMNS);
    ctx.parallel_for_scratch::<f32>(tasks, len * width, |index, stage| {
        // SAFETY: as above.
        dispatch!(isa, simd => unsafe {
            columns::<_, LOG>(simd, &axes, writer.ptr(), x.ptr(), part(index), stage, width)
        })
    })
}

/// The rows `part.0 .. part.0 + part.1`.
///
/// # Safety
/// The pointers are what `axes` was made of; nobody else touches these rows.
/// `stage` holds a row unless rows are contiguous, `maxima` a value per block.
#[inline(always)]
unsafe fn rows<S: Simd, const LOG: bool>(
    simd: S,
    axes: &Axes,
    out: *mut f32,
    x: *const f32,
    part: (usize, usize),
    stage: &mut [f32],
    maxima: &mut [f32],
) {
    let mut runs = axes.others.runs(part.0, part.1);
    let [out_next, x_next] = axes.others.inner();
    while let Some(([o, i], count)) = runs.next() {
        for row in 0..count as isize {
            let out = out.wrapping_offset(o + row * out_next);
            let x = x.wrapping_offset(i + row * x_next);
            // SAFETY: the row is inside of the arrays; the stage holds a row.
            unsafe {
                if stage.is_empty() {
                    softmax_row::<S, LOG>(simd, out, x, axes.len, maxima);
                } else {
                    for (at, value) in stage.iter_mut().enumerate() {
                        *value = *x.offset(at as isize * axes.steps[1]);
                    }
                    let staged = stage.as_mut_ptr();
                    softmax_row::<S, LOG>(simd, staged, staged, axes.len, maxima);
                    for (at, value) in stage.iter().enumerate() {
                        *out.offset(at as isize * axes.steps[0]) = *value;
                    }
                }
            }
        }
    }
}

/// `LANES` elements, or the `count` that are left; -inf elsewhere.
///
/// # Safety
/// `min(count, LANES)` elements are readable.
#[inline(always)]
unsafe fn load_or_least<S: Simd>(simd: S, x: *const f32, count: usize) -> S::F32 {
    // SAFETY: the caller's promise.
    let v = unsafe { simd.load_partial_ptr(x, count) };
    simd.select(simd.first(count), v, simd.splat(f32::NEG_INFINITY))
}

/// The largest element; NaN is passed over.
///
/// # Safety
/// `len` elements are readable.
#[inline(always)]
unsafe fn row_max<S: Simd>(simd: S, x: *const f32, len: usize) -> f32 {
    let lanes = S::LANES;
    let mut max = [simd.splat(f32::NEG_INFINITY); 4];
    let mut at = 0;
    // SAFETY: every access is inside of `len`.
    unsafe {
        while at + 4 * lanes <= len {
            for (k, max) in max.iter_mut().enumerate() {
                *max = simd.max(simd.load_ptr(x.add(at + k * lanes)), *max);
            }
            at += 4 * lanes;
        }
        while at < len {
            max[0] = simd.max(load_or_least(simd, x.add(at), len - at), max[0]);
            at += lanes;
        }
    }
    simd.reduce_max(simd.max(simd.max(max[0], max[1]), simd.max(max[2], max[3])))
}

/// The sum of `exp(x - base)`; the terms themselves go to `out` unless `LOG`.
///
/// # Safety
/// `len` elements are readable at `x` and writable at `out`, which may be the same.
#[inline(always)]
unsafe fn row_exp<S: Simd, const LOG: bool>(
    simd: S,
    out: *mut f32,
    x: *const f32,
    len: usize,
    base: f32,
) -> f32 {
    let lanes = S::LANES;
    let base = simd.splat(base);
    let mut sum = [simd.zero(); 4];
    let mut at = 0;
    // SAFETY: every access is inside of `len`.
    unsafe {
        while at + 4 * lanes <= len {
            let mut v = [simd.zero(); 4];
            for (k, v) in v.iter_mut().enumerate() {
                *v = simd.sub(simd.load_ptr(x.add(at + k * lanes)), base);
            }
            // In turns, or each would read the coefficients anew.
            let e = math::exp_nonpositive(Group::<S, 4>(simd), v);
            for (k, sum) in sum.iter_mut().enumerate() {
                *sum = simd.add(*sum, e[k]);
                if !LOG {
                    simd.store_ptr(out.add(at + k * lanes), e[k]);
                }
            }
            at += 4 * lanes;
        }
        while at < len {
            // Lanes beyond the end are exp(-inf) = 0.
            let v = load_or_least(simd, x.add(at), len - at);
            let e = math::exp_nonpositive(simd, simd.sub(v, base));
            sum[0] = simd.add(sum[0], e);
            if !LOG {
                simd.store_partial_ptr(out.add(at), len - at, e);
            }
            at += lanes;
        }
    }
    simd.reduce_add(simd.add(simd.add(sum[0], sum[1]), simd.add(sum[2], sum[3])))
}

/// `out[i] = f(x[i])`; the two may be the same.
///
/// # Safety
/// `len` elements are readable at `x` and writable at `out`.
#[inline(always)]
unsafe fn row_map<S: Simd>(
    simd: S,
    out: *mut f32,
    x: *const f32,
    len: usize,
    f: impl Fn(S::F32) -> S::F32,
) {
    let lanes = S::LANES;
    let mut at = 0;
    // SAFETY: every access is inside of `len`.
    unsafe {
        while at + lanes <= len {
            simd.store_ptr(out.add(at), f(simd.load_ptr(x.add(at))));
            at += lanes;
        }
        if at < len {
            let v = f(simd.load_partial_ptr(x.add(at), len - at));
            simd.store_partial_ptr(out.add(at), len - at, v);
        }
    }
}

/// `exp` of a single number, with the tier's arithmetic.
#[inline(always)]
fn exp<S: Simd>(simd: S, value: f32) -> f32 {
    simd.reduce_max(math::exp(simd, simd.splat(value)))
}

/// One contiguous row.
///
/// # Safety
/// `len` elements are readable at `x` and writable at `out`, which may be the same.
#[inline(always)]
unsafe fn softmax_row<S: Simd, const LOG: bool>(
    simd: S,
    out: *mut f32,
    x: *const f32,
    len: usize,
    maxima: &mut [f32],
) {
    let (mut max, mut sum) = (f32::NEG_INFINITY, 0.0);
    for (block, seen) in maxima.iter_mut().enumerate() {
        let at = block * BLOCK;
        let count = BLOCK.min(len - at);
        // SAFETY: the block is inside of the row.
        unsafe {
            let here = row_max(simd, x.add(at), count);
            if here > max {
                sum *= exp(simd, max - here);
                max = here;
            }
            // While all is -inf, so is the maximum, which then may not be subtracted.
            let base = if max == f32::NEG_INFINITY { 0.0 } else { max };
            sum += row_exp::<S, LOG>(simd, out.add(at), x.add(at), count, base);
        }
        *seen = max;
    }
    if LOG {
        let (max, log) = (simd.splat(max), math::log(simd, simd.splat(sum)));
        // SAFETY: the row.
        return unsafe {
            row_map(
                simd,
                out,
                x,
                len,
                #[inline(always)]
                |v| simd.sub(simd.sub(v, max), log),
            )
        };
    }
    for (block, &seen) in maxima.iter().enumerate() {
        let at = block * BLOCK;
        let count = BLOCK.min(len - at);
        // All -inf: 0 / 0, NaN.
        let correction = if seen == max {
            1.0
        } else {
            exp(simd, seen - max)
        };
        let factor = simd.splat(correction / sum);
        // SAFETY: the block is inside of the row.
        unsafe {
            let block = out.add(at);
            row_map(
                simd,
                block,
                block,
                count,
                #[inline(always)]
                |v| simd.mul(v, factor),
            )
        };
    }
}

/// The columns `part.0 .. part.0 + part.1`.
///
/// # Safety
/// The pointers are what `axes` was made of; nobody else touches these columns.
/// `stage` holds `len * width` elements, `width` being a multiple of `TILE * LANES`.
#[inline(always)]
unsafe fn columns<S: Simd, const LOG: bool>(
    simd: S,
    axes: &Axes,
    out: *mut f32,
    x: *const f32,
    part: (usize, usize),
    stage: &mut [f32],
    width: usize,
) {
    let lanes = S::LANES;
    let [out_step, x_step] = axes.steps;
    let in_place = axes.len > LONG && axes.others.inner() == [1, 1];
    let (mut at, end) = (part.0, part.0 + part.1);
    while at < end {
        if in_place {
            // Whole vectors of a run need no stage.
            if let Some(([o, i], count)) = axes.others.runs(at, end - at).next()
                && count >= lanes
            {
                for col in (0..count / lanes * lanes).step_by(lanes) {
                    let to = out.wrapping_offset(o).wrapping_add(col);
                    let from = x.wrapping_offset(i).wrapping_add(col);
                    // SAFETY: `lanes` columns of a run are inside of both arrays.
                    unsafe {
                        softmax_columns::<S, 1, LOG>(simd, to, out_step, from, x_step, axes.len);
                    }
                }
                at += count / lanes * lanes;
                continue;
            }
        }
        let count = width.min(end - at);
        let tile = stage.as_mut_ptr();
        let (step, rows) = (width as isize, axes.len);
        // SAFETY: the tile holds `len` rows of `width`; the rest is the caller's promise.
        unsafe {
            copy_tile::<S, true>(simd, axes, x.cast_mut(), tile, width, (at, count));
            let mut col = 0;
            while col + TILE * lanes <= count {
                let tile = tile.add(col);
                softmax_columns::<S, TILE, LOG>(simd, tile, step, tile, step, rows);
                col += TILE * lanes;
            }
            while col < count {
                let tile = tile.add(col);
                softmax_columns::<S, 1, LOG>(simd, tile, step, tile, step, rows);
                col += lanes;
            }
            copy_tile::<S, false>(simd, axes, out, tile, width, (at, count));
        }
        at += count;
    }
}

/// Brings columns to the tile (`IN`) or from there to the array.
///
/// # Safety
/// As [`columns`]; the array is the input (`IN`, only read then) or the output of `axes`.
#[inline(always)]
unsafe fn copy_tile<S: Simd, const IN: bool>(
    simd: S,
    axes: &Axes,
    array: *mut f32,
    tile: *mut f32,
    width: usize,
    (first, count): (usize, usize),
) {
    let operand = usize::from(IN);
    let (step, next) = (axes.steps[operand], axes.others.inner()[operand]);
    let lanes = S::LANES;
    let mut runs = axes.others.runs(first, count);
    let mut col = 0;
    while let Some((offsets, run)) = runs.next() {
        let array = array.wrapping_offset(offsets[operand]);
        for row in 0..axes.len {
            let line = array.wrapping_offset(row as isize * step);
            let tile = tile.wrapping_add(row * width + col);
            // SAFETY: `run` columns of the row are inside of array and tile.
            unsafe {
                if next == 1 {
                    let (from, to) = if IN { (line, tile) } else { (tile, line) };
                    let mut i = 0;
                    while i + lanes <= run {
                        simd.store_ptr(to.add(i), simd.load_ptr(from.add(i)));
                        i += lanes;
                    }
                    for i in i..run {
                        *to.add(i) = *from.add(i);
                    }
                } else {
                    for i in 0..run {
                        let element = line.offset(i as isize * next);
                        let (from, to) = if IN {
                            (element, tile.add(i))
                        } else {
                            (tile.add(i), element)
                        };
                        *to = *from;
                    }
                }
            }
        }
        col += run;
    }
}

/// `V` vectors of columns, `len` elements each. `out` and `x` may be the same.
///
/// # Safety
/// `V * LANES` elements at every step are readable at `x` and writable at `out`.
#[inline(always)]
unsafe fn softmax_columns<S: Simd, const V: usize, const LOG: bool>(
    simd: S,
    out: *mut f32,
    out_step: isize,
    x: *const f32,
    x_step: isize,
    len: usize,
) {
    let lanes = S::LANES;
    let mut max = [simd.splat(f32::NEG_INFINITY); V];
    for row in 0..len as isize {
        for (k, max) in max.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let v = unsafe { simd.load_ptr(x.offset(row * x_step).add(k * lanes)) };
            *max = simd.max(v, *max);
        }
    }
    let mut sum = [simd.zero(); V];
    for row in 0..len as isize {
        for (k, sum) in sum.iter_mut().enumerate() {
            // SAFETY: as above.
            unsafe {
                let v = simd.load_ptr(x.offset(row * x_step).add(k * lanes));
                let e = math::exp_nonpositive(simd, simd.sub(v, max[k]));
                *sum = simd.add(*sum, e);
                if !LOG {
                    simd.store_ptr(out.offset(row * out_step).add(k * lanes), e);
                }
            }
        }
    }
    if LOG {
        for sum in &mut sum {
            *sum = math::log(simd, *sum);
        }
        for row in 0..len as isize {
            for (k, &log) in sum.iter().enumerate() {
                // SAFETY: as above.
                unsafe {
                    let v = simd.load_ptr(x.offset(row * x_step).add(k * lanes));
                    let y = simd.sub(simd.sub(v, max[k]), log);
                    simd.store_ptr(out.offset(row * out_step).add(k * lanes), y);
                }
            }
        }
        return;
    }
    for sum in &mut sum {
        *sum = simd.div(simd.splat(1.0), *sum);
    }
    for row in 0..len as isize {
        for (k, &factor) in sum.iter().enumerate() {
            // SAFETY: as above.
            unsafe {
                let at = out.offset(row * out_step).add(k * lanes);
                simd.store_ptr(at, simd.mul(simd.load_ptr(at), factor));
            }
        }
    }
}
