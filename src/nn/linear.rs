//! Matrix products: [`matmul`], [`linear`] and the plan [`Linear`].
//!
//! Everything here is bookkeeping in front of [`crate::gemm`]: leading dimensions are
//! merged into rows where their strides allow, so that a batch of sequences times one weight
//! is a single product; what cannot be merged becomes a batch of products in one
//! parallel region. Sums are in float32, in an order that depends on the shapes
//! and the instruction set, not on the number of threads. NaN and infinity propagate as
//! in the plain sum; a product over no elements is zero.

use crate::error::{Result, ensure};
use crate::gemm::{
    Epilogue, Layout, Lines, Output, PackedMatrix, PanelSource, Problem, Residual, Shape, Side,
    Strided, gemm, gemm_batched, panel_width,
};
use crate::runtime::{Buffer, Context};
use crate::simd::Activation;
use crate::tensor::{
    Contiguous, MAX_RANK, Raw, View, ViewMut, expect_shape, forbid_overlap, forbid_partial_overlap,
};

/// `out = a · b`: (…, m, k) times (…, k, n) gives (…, m, n), as numpy's `matmul`.
///
/// Dimensions before the last two are batches and broadcast: they are aligned at
/// the right, and one that is missing or 1 goes with any. Any strides. `out` must not
/// overlap `a` or `b`.
pub fn matmul(
    ctx: &Context,
    a: &View<'_, f32>,
    b: &View<'_, f32>,
    out: ViewMut<'_, f32>,
) -> Result<()> {
    for (name, rank) in [("a", a.rank()), ("b", b.rank())] {
        ensure!(
            rank >= 2,
            ShapeMismatch,
            "matmul: {name} has {rank} dimensions, expected 2 or more"
        );
    }
    let (ra, rb) = (a.rank(), b.rank());
    let shape = Shape {
        m: a.dim(ra - 2),
        n: b.dim(rb - 1),
        k: a.dim(ra - 1),
    };
    ensure!(
        b.dim(rb - 2) == shape.k,
        ShapeMismatch,
        "matmul: a has {} columns, b has {} rows",
        shape.k,
        b.dim(rb - 2)
    );
    let rank = ra.max(rb);
    let mut expected = [0; MAX_RANK];
    for (axis, dim) in expected.iter_mut().enumerate().take(rank - 2) {
        let (da, db) = (batch_dim(a, rank, axis), batch_dim(b, rank, axis));
        ensure!(
            da == db || da == 1 || db == 1,
            ShapeMismatch,
            "matmul: a has shape {:?}, b has {:?}: {da} and {db} batches do not broadcast",
            a.shape(),
            b.shape()
        );
        *dim = if da == 1 { db } else { da };
    }
    expected[rank - 2] = shape.m;
    expected[rank - 1] = shape.n;
    expect_shape("matmul", "output", &out, &expected[..rank])?;
    forbid_overlap("matmul", "output", &out, "a", a)?;
    forbid_overlap("matmul", "output", &out, "b", b)?;

    if rb == 2
        && ra > 2
        && let (Some(rows), Some(target)) = (flatten(a), flatten(&out))
        && target.is_contiguous_from(1)
    {
        // All batches are rows of one product.
        let problem = plain(&rows, b, &target);
        let shape = Shape {
            m: rows.dim(0),
            ..shape
        };
        // SAFETY: `target` is all of `out`, exclusively borrowed, with contiguous rows.
        return unsafe { gemm(ctx, shape, &problem) };
    }
    if out.is_contiguous_from(rank - 1) {
        return products(ctx, shape, a, b, &out);
    }
    if out.dim(rank - 2) == 1 || out.stride(rank - 2) == 1 {
        // Its columns are contiguous: they are the rows of the transposed product.
        let shape = Shape {
            m: shape.n,
            n: shape.m,
            k: shape.k,
        };
        let out = out.permute(&swapped(rank)[..rank]);
        return products(ctx, shape, &transposed(b), &transposed(a), &out);
    }
    let mut compact = out.contiguous(ctx)?;
    let target = ViewMut::new(&mut compact, &expected[..rank])?;
    products(ctx, shape, a, b, &target)?;
    compact.finish();
    Ok(())
}

/// The products of a batch. The last axis of `out` is contiguous.
fn products(
    ctx: &Context,
    shape: Shape,
    a: &View<'_, f32>,
    b: &View<'_, f32>,
    out: &ViewMut<'_, f32>,
) -> Result<()> {
    let rank = out.rank();
    let batch: usize = out.shape()[..rank - 2].iter().product();
    let row_stride = out.stride(rank - 2);
    let problem = |mut i: usize| {
        let (mut a, mut b) = (*a, *b);
        let mut offset = 0;
        for axis in (0..rank - 2).rev() {
            let at = i % out.dim(axis);
            i /= out.dim(axis);
            offset += at as isize * out.stride(axis);
            // Aligned at the right: each turn takes the last batch axis that is left.
            for view in [&mut a, &mut b] {
                if let Some(own) = view.rank().checked_sub(3) {
                    *view = view.index(own, if view.dim(own) == 1 { 0 } else { at });
                }
            }
        }
        Problem {
            a: Strided::rows(a),
            b: Strided::columns(b),
            out: Output {
                ptr: out.ptr().wrapping_offset(offset),
                layout: Layout::rows(row_stride),
                accumulate: false,
            },
            epilogue: Epilogue::default(),
        }
    };
    // SAFETY: `out` comes from a mutable view: its elements are distinct, valid and borrowed
    // exclusively; its last axis is contiguous.
    unsafe { gemm_batched(ctx, shape, batch, problem) }
}

fn plain<'a>(
    a: &View<'a, f32>,
    b: &View<'a, f32>,
    out: &Raw<f32>,
) -> Problem<'a, Strided<'a>, Strided<'a>> {
    Problem {
        a: Strided::rows(*a),
        b: Strided::columns(*b),
        out: output(out),
        epilogue: Epilogue::default(),
    }
}

/// A matrix (rows, columns) whose rows are contiguous.
fn output(matrix: &Raw<f32>) -> Output {
    Output {
        ptr: matrix.ptr(),
        layout: Layout::rows(matrix.stride(0)),
        accumulate: false,
    }
}

/// The extent of batch axis `axis` of a broadcast array of `rank` dimensions.
fn batch_dim(view: &View<'_, f32>, rank: usize, axis: usize) -> usize {
    match (axis + view.rank()).checked_sub(rank) {
        Some(own) => view.dim(own),
        None => 1,
    }
}

/// The order of axes with the last two exchanged.
fn swapped(rank: usize) -> [usize; MAX_RANK] {
    let mut axes = std::array::from_fn(|i| i);
    axes.swap(rank - 1, rank - 2);
    axes
}

fn transposed<'a>(view: &View<'a, f32>) -> View<'a, f32> {
    view.permute(&swapped(view.rank())[..view.rank()])
}

/// All axes but the last as one, if strides allow.
fn flatten<'a>(raw: &Raw<f32>) -> Option<View<'a, f32>> {
    let last = raw.rank() - 1;
    let mut rows = 1;
    let mut stride = 0;
    for axis in (0..last).rev() {
        if raw.dim(axis) == 1 {
            continue;
        }
        if rows == 1 {
            stride = raw.stride(axis);
        } else if raw.stride(axis) != stride.checked_mul(rows as isize)? {
            return None;
        }
        rows *= raw.dim(axis);
    }
    let shape = [rows, raw.dim(last)];
    let strides = [stride, raw.stride(last)];
    let flat = Raw::new(&"flatten", raw.ptr(), &shape, Some(&strides)).ok()?;
    // SAFETY: the very elements of `raw`, each at the address it had. Who writes
    // through it has taken `raw` from a mutable view.
    Some(unsafe { View::from_raw(flat) })
}

/// `out = activation(x · wᵀ + bias)`: `x` (…, in), `w` (out, in), `bias` (out,), `out` (…, out),
/// as torch's `linear`.
///
/// Any strides. `out` must not overlap an input.
pub fn linear(
    ctx: &Context,
    x: &View<'_, f32>,
    w: &View<'_, f32>,
    bias: Option<&View<'_, f32>>,
    activation: Activation,
    out: ViewMut<'_, f32>,
) -> Result<()> {
    check_weight(w, bias)?;
    forbid_overlap("linear", "output", &out, "weight", w)?;
    if let Some(bias) = bias {
        forbid_overlap("linear", "output", &out, "bias", bias)?;
    }
    let bias = bias.map(|bias| bias.contiguous(ctx)).transpose()?;
    let weight = Weight {
        source: Strided::rows(*w),
        bias: bias.as_deref(),
        inputs: w.dim(1),
        outputs: w.dim(0),
        activation,
    };
    run(ctx, x, &weight, None, out)
}

fn check_weight(w: &View<'_, f32>, bias: Option<&View<'_, f32>>) -> Result<()> {
    ensure!(
        w.rank() == 2,
        ShapeMismatch,
        "linear: weight has {} dimensions, expected 2 (out, in)",
        w.rank()
    );
    match bias {
        Some(bias) => expect_shape("linear", "bias", bias, &[w.dim(0)]),
        None => Ok(()),
    }
}

/// A weight as a source of panels.
struct Weight<'a, B> {
    source: B,
    bias: Option<&'a [f32]>,
    inputs: usize,
    outputs: usize,
    activation: Activation,
}

fn run<B: PanelSource>(
    ctx: &Context,
    x: &View<'_, f32>,
    weight: &Weight<'_, B>,
    residual: Option<&View<'_, f32>>,
    out: ViewMut<'_, f32>,
) -> Result<()> {
    ensure!(
        x.rank() >= 1,
        ShapeMismatch,
        "linear: input has 0 dimensions, expected 1 or more"
    );
    let last = x.rank() - 1;
    ensure!(
        x.dim(last) == weight.inputs,
        ShapeMismatch,
        "linear: input has {} features, weight has {}",
        x.dim(last),
        weight.inputs
    );
    let mut expected = [0; MAX_RANK];
    expected[..last].copy_from_slice(&x.shape()[..last]);
    expected[last] = weight.outputs;
    expect_shape("linear", "output", &out, &expected[..=last])?;
    forbid_overlap("linear", "output", &out, "input", x)?;
    if let Some(residual) = residual {
        expect_shape("linear", "residual", residual, &expected[..=last])?;
        forbid_partial_overlap("linear", "output", &out, "residual", residual)?;
    }

    let rows = x.shape()[..last].iter().product();
    let (copy, residual_copy);
    let flat = match flatten(x) {
        Some(flat) => flat,
        None => {
            copy = x.contiguous(ctx)?;
            View::new(elements(&copy), &[rows, weight.inputs])?
        }
    };
    let residual = match residual {
        None => None,
        Some(residual) => match flatten(residual) {
            Some(flat) if flat.is_contiguous_from(1) => Some(flat),
            _ => {
                residual_copy = residual.contiguous(ctx)?;
                Some(View::new(
                    elements(&residual_copy),
                    &[rows, weight.outputs],
                )?)
            }
        },
    };
    let multiply = |target: &Raw<f32>| {
        let shape = Shape {
            m: rows,
            n: weight.outputs,
            k: weight.inputs,
        };
        let problem = Problem {
            a: Strided::rows(flat),
            b: weight.source,
            out: output(target),
            epilogue: Epilogue {
                bias: weight.bias.map_or(Lines::None, Lines::PerColumn),
                residual: residual.map(|residual| Residual {
                    ptr: residual.ptr(),
                    layout: Layout::rows(residual.stride(0)),
                }),
                activation: weight.activation,
                ..Epilogue::default()
            },
        };
        // SAFETY: `target` is all of `out` or of its compact copy, borrowed exclusively, with
        // contiguous rows; the residual has its shape and contiguous rows, and is it or apart from it.
        unsafe { gemm(ctx, shape, &problem) }
    };
    match flatten(&out) {
        Some(target) if target.is_contiguous_from(1) => multiply(&target),
        _ => {
            let mut compact = out.contiguous(ctx)?;
            multiply(&*ViewMut::new(&mut compact, &[rows, weight.outputs])?)?;
            compact.finish();
            Ok(())
        }
    }
}

fn elements<'a>(run: &'a Contiguous<'_, f32>) -> &'a [f32] {
    match run {
        Contiguous::Borrowed(data) => data,
        Contiguous::Copied(data) => data,
    }
}

/// A linear layer whose weight is packed ahead of time. Immutable and shared by
/// threads; runs on the instruction set of the context that made it.
pub struct Linear {
    weight: PackedMatrix,
    bias: Option<Buffer<f32>>,
    activation: Activation,
}

impl Linear {
    /// Packs `w` (out, in) and `bias` (out,), which are not needed afterwards.
    pub fn new(
        ctx: &Context,
        w: &View<'_, f32>,
        bias: Option<&View<'_, f32>>,
        activation: Activation,
    ) -> Result<Linear> {
        check_weight(w, bias)?;
        let source = Strided::rows(*w);
        let weight = PackedMatrix::new(ctx, ctx.isa(), Side::B, w.dim(0), w.dim(1), source)?;
        let bias = match bias {
            None => None,
            Some(bias) => {
                let mut copy = ctx.buffer::<f32>(w.dim(0))?;
                copy.copy_from_slice(&bias.contiguous(ctx)?);
                Some(copy)
            }
        };
        Ok(Linear {
            weight,
            bias,
            activation,
        })
    }

    /// `out = activation(x · wᵀ + bias + residual)`, as [`linear`]. `out` may be `residual` itself
    /// (same address and strides).
    pub fn run(
        &self,
        ctx: &Context,
        x: &View<'_, f32>,
        residual: Option<&View<'_, f32>>,
        out: ViewMut<'_, f32>,
    ) -> Result<()> {
        let weight = Weight {
            source: &self.weight,
            bias: self.bias.as_deref(),
            inputs: self.weight.k(),
            outputs: self.weight.lines(),
            activation: self.activation,
        };
        run(ctx, x, &weight, residual, out)
    }

    /// Features of the input.
    pub fn inputs(&self) -> usize {
        self.weight.k()
    }

    /// Features of the output.
    pub fn outputs(&self) -> usize {
        self.weight.lines()
    }

    /// The algorithm and the instruction set, for people.
    pub fn describe(&self) -> String {
        let tier = self.weight.isa().tier();
        format!(
            "packed matrix product, {} x {} tiles, {}",
            panel_width(tier, Side::A),
            panel_width(tier, Side::B),
            tier.name()
        )
    }
}
