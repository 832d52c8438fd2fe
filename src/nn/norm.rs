//! Layer and root-mean-square normalization over the last axes, with an optional residual.
//!
//! A row is all elements of the last axes, those from `axis` on. With a residual the row is the
//! sum of input and residual, which is also stored where the caller wants it: the pre-norm
//! transformer needs both. Each row is read from memory once and stays in the nearest cache for the
//! passes over it: the mean, the mean of squared deviations from it (not the difference of two large
//! sums), and the result. NaN and infinity make their row NaN.
//!
//! `out` and `sum` may be the very array of the input or of the residual (same address, same
//! strides), but not of each other; any other overlap is an error.

use super::activation::normalize_axis;
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::{Simd, dispatch};
use crate::tensor::{
    MAX_RANK, Raw, View, ViewMut, expect_same_shape, expect_shape, forbid_overlap,
    forbid_partial_overlap,
};

/// What the two normalizations have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// The first of the axes that make a row, negative from the end.
    pub axis: isize,
    /// Added to the variance, or to the mean square.
    pub eps: f32,
}

/// `out = (s - mean) / sqrt(variance + eps) * gamma + beta` with `s = x + residual`, as torch's
/// `layer_norm`: the variance is biased. `gamma` and `beta` have the shape of the last axes.
/// See the [module](self).
pub fn layer_norm(
    ctx: &Context,
    norm: &Norm,
    x: &View<'_, f32>,
    residual: Option<&View<'_, f32>>,
    gamma: Option<&View<'_, f32>>,
    beta: Option<&View<'_, f32>>,
    out: ViewMut<'_, f32>,
    sum: Option<ViewMut<'_, f32>>,
) -> Result<()> {
    let arrays = Arrays {
        x,
        residual,
        gamma,
        beta,
    };
    normalize::<false>("layer_norm", ctx, norm, &arrays, out, sum)
}

/// `out = s / sqrt(mean(s²) + eps) * gamma` with `s = x + residual`, as torch's `rms_norm`.
/// `gamma` has the shape of the last axes. See the [module](self).
pub fn rms_norm(
    ctx: &Context,
    norm: &Norm,
    x: &View<'_, f32>,
    residual: Option<&View<'_, f32>>,
    gamma: Option<&View<'_, f32>>,
    out: ViewMut<'_, f32>,
    sum: Option<ViewMut<'_, f32>>,
) -> Result<()> {
    let beta = None;
    let arrays = Arrays {
        x,
        residual,
        gamma,
        beta,
    };
    normalize::<true>("rms_norm", ctx, norm, &arrays, out, sum)
}

/// What is read.
struct Arrays<'a> {
    x: &'a View<'a, f32>,
    residual: Option<&'a View<'a, f32>>,
    gamma: Option<&'a View<'a, f32>>,
    beta: Option<&'a View<'a, f32>>,
}

/// Elements of a task.
const TASK: usize = 1 << 14;

/// An array as rows: its axes before the last ones are counted through.
#[derive(Clone, Copy)]
struct Rows {
    raw: Raw<f32>,
    axis: usize,
    /// Elements of a row lie next to each other.
    whole: bool,
}

// SAFETY: tasks read it, or write rows of their own.
unsafe impl Send for Rows {}
// SAFETY: as above.
unsafe impl Sync for Rows {}

impl Rows {
    fn of(raw: &Raw<f32>, axis: usize) -> Rows {
        Rows {
            raw: *raw,
            axis,
            whole: raw.is_contiguous_from(axis),
        }
    }

    /// The address of element `index` of the axes `axes`, which are counted through.
    fn at(&self, start: *mut f32, axes: std::ops::Range<usize>, mut index: usize) -> *mut f32 {
        let mut offset = 0;
        for axis in axes.rev() {
            let dim = self.raw.dim(axis);
            offset += (index % dim) as isize * self.raw.stride(axis);
            index /= dim;
        }
        // A view has its elements in memory, so the offset of one of them does not overflow.
        start.wrapping_offset(offset)
    }
    fn row(&self, row: usize) -> *mut f32 {
        self.at(self.raw.ptr(), 0..self.axis, row)
    }
    fn element(&self, row: *mut f32, index: usize) -> *mut f32 {
        self.at(row, self.axis..self.raw.rank(), index)
    }
}

fn normalize<const RMS: bool>(
    op: &str,
    ctx: &Context,
    norm: &Norm,
    arrays: &Arrays<'_>,
    mut out: ViewMut<'_, f32>,
    mut sum: Option<ViewMut<'_, f32>>,
) -> Result<()> {
    let x = arrays.x;
    ensure!(
        x.rank() > 0,
        ShapeMismatch,
        "{op}: input has 0 dimensions, expected 1 or more"
    );
    let axis = normalize_axis(op, norm.axis, x.rank())?;
    let mut shape = [0; MAX_RANK];
    shape[..x.rank()].copy_from_slice(x.shape());
    let last = &shape[axis..x.rank()];
    for (name, array) in [("gamma", arrays.gamma), ("beta", arrays.beta)] {
        if let Some(array) = array {
            expect_shape(op, name, array, last)?;
            forbid_overlap(op, "output", &out, name, array)?;
            if let Some(sum) = &sum {
                forbid_overlap(op, "sum", sum, name, array)?;
            }
        }
    }
    if let Some(residual) = arrays.residual {
        expect_same_shape(op, "residual", residual, "input", x)?;
    }
    let outputs = [Some(("output", &out)), sum.as_ref().map(|sum| ("sum", sum))];
    for (name, output) in outputs.into_iter().flatten() {
        expect_same_shape(op, name, output, "input", x)?;
        forbid_partial_overlap(op, name, output, "input", x)?;
        if let Some(residual) = arrays.residual {
            forbid_partial_overlap(op, name, output, "residual", residual)?;
        }
    }
    if let Some(sum) = &sum {
        forbid_overlap(op, "sum", sum, "output", &out)?;
    }
    if x.is_empty() {
        return Ok(());
    }
    let len = last.iter().product::<usize>();
    let count = x.len() / len;
    let gamma = arrays.gamma.map(|w| w.contiguous(ctx)).transpose()?;
    let beta = arrays.beta.map(|b| b.contiguous(ctx)).transpose()?;
    let (gamma, beta) = (gamma.as_deref(), beta.as_deref());
    let rows = |raw: &Raw<f32>| Rows::of(raw, axis);
    let x = rows(x);
    let residual = arrays.residual.map(|residual| rows(residual));
    let out = rows(&out.writer());
    let sum = sum.as_mut().map(|sum| rows(&sum.writer()));
    // Rows with gaps are staged: input, residual, result.
    let gaps = ![Some(x), residual, Some(out), sum]
        .into_iter()
        .flatten()
        .all(|rows| rows.whole);
    let task = (TASK / len).max(1);
    let isa = ctx.isa();
    let eps = norm.eps;
    let room = if gaps { 3 * len } else { 0 };
    ctx.parallel_for_scratch::<f32>(count.div_ceil(task), room, |index, stage| {
        let first = index * task;
        // SAFETY: rows of the arrays, a task's own; the stages hold a row each.
        dispatch!(isa, simd => unsafe {
            for row in first..count.min(first + task) {
                let (from, add) = (x.row(row), residual.map(|r| r.row(row)));
                let (to, also) = (out.row(row), sum.map(|s| s.row(row)));
                if !gaps {
                    let add = add.map(|add| add.cast_const());
                    run::<_, RMS>(simd, len, from, add, gamma, beta, to, also, eps);
                    continue;
                }
                let (a, rest) = stage.split_at_mut(len);
                let (b, c) = rest.split_at_mut(len);
                for i in 0..len {
                    a[i] = *x.element(from, i);
                    if let (Some(residual), Some(add)) = (residual, add) {
                        b[i] = *residual.element(add, i);
                    }
                }
                let add = residual.is_some().then_some(b.as_ptr());
                let summed = sum.is_some().then_some(a.as_mut_ptr());
                run::<_, RMS>(simd, len, a.as_ptr(), add, gamma, beta, c.as_mut_ptr(), summed, eps);
                for i in 0..len {
                    *out.element(to, i) = c[i];
                    if let (Some(sum), Some(also)) = (sum, also) {
                        *sum.element(also, i) = a[i];
                    }
                }
            }
        })
    })
}

/// Runs `$body` for whole vectors, `$lanes` of them left, and once more for the rest.
macro_rules! vectors {
    ($simd:ident, $len:expr, $at:ident, $load:ident, $store:ident => $body:expr) => {{
        let mut $at = 0;
        while $at + S::LANES <= $len {
            macro_rules! $load {
                ($ptr:expr) => {
                    $simd.load_ptr($ptr.add($at))
                };
            }
            macro_rules! $store {
                ($ptr:expr, $value:expr) => {
                    $simd.store_ptr($ptr.add($at), $value)
                };
            }
            $body;
            $at += S::LANES;
        }
        if $at < $len {
            macro_rules! $load {
                ($ptr:expr) => {
                    $simd.load_partial_ptr($ptr.add($at), $len - $at)
                };
            }
            macro_rules! $store {
                ($ptr:expr, $value:expr) => {
                    $simd.store_partial_ptr($ptr.add($at), $len - $at, $value)
                };
            }
            $body;
        }
    }};
}

/// One row.
///
/// # Safety
/// `len` elements are readable at `x`, `residual`, `gamma` and `beta`, and writable at `out` and `sum`,
/// which may be `x` or `residual`.
#[inline(always)]
unsafe fn run<S: Simd, const RMS: bool>(
    simd: S,
    len: usize,
    x: *const f32,
    residual: Option<*const f32>,
    gamma: Option<&[f32]>,
    beta: Option<&[f32]>,
    out: *mut f32,
    sum: Option<*mut f32>,
    eps: f32,
) {
    // SAFETY: the caller's promise; gamma and beta have the length of a row.
    unsafe {
        // Where the row is from here on: its place, or where the sum was stored.
        let row = match (residual, sum) {
            (None, None) => x,
            (residual, sum) => {
                let to = sum.unwrap_or(out);
                match residual {
                    Some(residual) => vectors!(simd, len, at, load, store => {
                        store!(to, simd.add(load!(x), load!(residual)))
                    }),
                    None => vectors!(simd, len, at, load, store => store!(to, load!(x))),
                }
                to.cast_const()
            }
        };
        let count = len as f32;
        let mean = match RMS {
            true => 0.0,
            false => total(simd, row, len, None) / count,
        };
        let square = total(simd, row, len, Some(mean)) / count;
        let scale = simd.splat(1.0 / (square + eps).sqrt());
        let mean = simd.splat(mean);
        match (gamma, beta) {
            (Some(gamma), Some(beta)) => {
                let (gamma, beta) = (gamma[..len].as_ptr(), beta[..len].as_ptr());
                vectors!(simd, len, at, load, store => {
                    let y = simd.mul(simd.sub(load!(row), mean), scale);
                    store!(out, simd.fma(y, load!(gamma), load!(beta)))
                });
            }
            (Some(gamma), None) => {
                let gamma = gamma[..len].as_ptr();
                vectors!(simd, len, at, load, store => {
                    let y = simd.mul(simd.sub(load!(row), mean), scale);
                    store!(out, simd.mul(y, load!(gamma)))
                });
            }
            (None, Some(beta)) => {
                let beta = beta[..len].as_ptr();
                vectors!(simd, len, at, load, store => {
                    let y = simd.mul(simd.sub(load!(row), mean), scale);
                    store!(out, simd.add(y, load!(beta)))
                });
            }
            (None, None) => {
                vectors!(simd, len, at, load, store => {
                    store!(out, simd.mul(simd.sub(load!(row), mean), scale))
                });
            }
        }
    }
}

/// The sum of the row, or of squared distances from a number. Eight sums, so that none is a chain, and
/// that long rows lose little to rounding.
///
/// # Safety
/// `len` elements are readable.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn total<S: Simd>(simd: S, row: *const f32, len: usize, from: Option<f32>) -> f32 {
    const SUMS: usize = 8;
    let mut acc = [simd.zero(); SUMS];
    let center = simd.splat(from.unwrap_or(0.0));
    let mut at = 0;
    // SAFETY: the caller's promise.
    unsafe {
        while at + SUMS * S::LANES <= len {
            for i in 0..SUMS {
                let x = simd.sub(simd.load_ptr(row.add(at + i * S::LANES)), center);
                acc[i] = match from {
                    Some(_) => simd.fma(x, x, acc[i]),
                    None => simd.add(acc[i], x),
                };
            }
            at += SUMS * S::LANES;
        }
        while at < len {
            let x = simd.load_partial_ptr(row.add(at), len - at);
            // Lanes beyond the end are no zeros any more after the subtraction.
            let x = simd.sub(x, center);
            let x = simd.select(simd.first(len - at), x, simd.zero());
            acc[0] = match from {
                Some(_) => simd.fma(x, x, acc[0]),
                None => simd.add(acc[0], x),
            };
            at += S::LANES;
        }
    }
    for half in [4, 2, 1] {
        for i in 0..half {
            acc[i] = simd.add(acc[i], acc[i + half]);
        }
    }
    simd.reduce_add(acc[0])
}
