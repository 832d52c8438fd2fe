//! Activation functions, element by element, on arrays of any shape and strides.
//!
//! `out` has the shape of `x`. It may be the very same array (same address,
//! same strides); any other overlap is an error. NaN gives NaN. Infinities
//! give what torch gives: the limit, except that silu, hardswish, gelu and
//! gelu_tanh, being `x` times a gate that is 0 there, give NaN at -inf.
//!
//! All are one loop over whole vectors ([`Loops`] makes the operands one run
//! when they are compact). The end of a run that is no whole vector is the last
//! whole vector of the run once more, loaded before anything is stored, so an
//! element's result does not depend on where it stands; elements that are not
//! neighbours in memory take the same arithmetic through a small buffer. Work is
//! cut into blocks of a fixed number of elements.

use super::loops::Loops;
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::{Activation, Arithmetic, Group, Simd, dispatch, leaky_relu as leaky, to_aligned};
use crate::tensor::{
    Raw, View, ViewMut, expect_same_shape, forbid_overlap, forbid_partial_overlap,
};

/// Elements of a task: long against the cost of handing it out, short against
/// the caches.
const BLOCK: usize = 1 << 15;
/// Elements that a strided run is gathered into at a time.
const STAGE: usize = 256;
/// Vectors that go through a function together.
const GROUP: usize = 4;
/// Elements from which on a result is stored past the caches: it would not stay in them, and a plain store first
/// reads every line.
const PAST_CACHES: usize = 4 << 20;

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $activation:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// Shapes, overlap, NaN and infinities: see the [module](self).
        pub fn $name(ctx: &Context, x: View<'_, f32>, out: ViewMut<'_, f32>) -> Result<()> {
            activate(stringify!($name), ctx, $activation, x, out)
        }
    )*};
}

functions! {
    /// `max(x, 0)`.
    relu = Activation::Relu;
    /// `min(max(x, 0), 6)`.
    relu6 = Activation::Relu6;
    /// `1 / (1 + exp(-x))`.
    sigmoid = Activation::Sigmoid;
    /// Hyperbolic tangent.
    tanh = Activation::Tanh;
    /// `x * sigmoid(x)`.
    silu = Activation::Silu;
    /// `x * relu6(x + 3) / 6`.
    hardswish = Activation::HardSwish;
    /// `x / 2 * (1 + erf(x / sqrt 2))`: torch's default, not the approximation by tanh.
    gelu = Activation::Gelu;
    /// `x / 2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x³)))`.
    gelu_tanh = Activation::GeluTanh;
}

/// `x` if positive, else `negative_slope * x` (torch's default slope is 0.01).
///
/// Shapes, overlap, NaN and infinities: see the [module](self).
pub fn leaky_relu(
    ctx: &Context,
    negative_slope: f32,
    x: View<'_, f32>,
    out: ViewMut<'_, f32>,
) -> Result<()> {
    let kind = Activation::LeakyRelu {
        slope: negative_slope,
    };
    activate("leaky_relu", ctx, kind, x, out)
}

fn activate(
    op: &str,
    ctx: &Context,
    kind: Activation,
    x: View<'_, f32>,
    mut out: ViewMut<'_, f32>,
) -> Result<()> {
    expect_same_shape(op, "output", &out, "input", &x)?;
    forbid_partial_overlap(op, "output", &out, "input", &x)?;
    let loops = Loops::new(x.shape(), [out.strides(), x.strides()]);
    let writer = out.writer();
    for_each_block(ctx, loops.len(), |first, count| {
        // SAFETY: the loops stay inside both arrays, and blocks are disjoint.
        dispatch!(ctx.isa(), simd => unsafe {
            let stream = streams(&loops, writer.ptr(), x.ptr());
            activate_block(simd, kind, &loops, writer.ptr(), x.ptr(), first, count, stream)
        })
    })
}

/// The result of one run goes past the caches. Where it replaces the input its lines are there already.
fn streams<const N: usize>(loops: &Loops<N>, out: *const f32, x: *const f32) -> bool {
    loops.len() >= PAST_CACHES && out != x
}

/// Runs `body(first, count)` over blocks of `len` elements.
fn for_each_block(ctx: &Context, len: usize, body: impl Fn(usize, usize) + Sync) -> Result<()> {
    ctx.parallel_for(len.div_ceil(BLOCK), |block| {
        let first = block * BLOCK;
        body(first, BLOCK.min(len - first));
    })
}

/// What is done to a vector.
trait Unary: Copy {
    fn apply<S: Arithmetic>(self, simd: S, x: S::F32) -> S::F32;
}

impl Unary for Activation {
    #[inline(always)]
    fn apply<S: Arithmetic>(self, simd: S, x: S::F32) -> S::F32 {
        Activation::apply(self, simd, x)
    }
}

/// Elements `first .. first + count` of the loops.
///
/// # Safety
/// `out` and `x` are what the loops were made of; nobody else touches the elements.
#[inline(always)]
unsafe fn activate_block<S: Simd>(
    simd: S,
    kind: Activation,
    loops: &Loops<2>,
    out: *mut f32,
    x: *const f32,
    first: usize,
    count: usize,
    stream: bool,
) {
    // Each arm names the kind anew: inside of it the kind is a constant and
    // the loop has no branch on it.
    macro_rules! constant {
        ($($kind:ident),*) => {
            match kind {
                // SAFETY: the caller's promise.
                $(Activation::$kind => unsafe { unary_block(simd, Activation::$kind, loops, out, x, first, count, stream) },)*
                Activation::LeakyRelu { slope } => {
                    let kind = Activation::LeakyRelu { slope };
                    // SAFETY: the caller's promise.
                    unsafe { unary_block(simd, kind, loops, out, x, first, count, stream) }
                }
            }
        };
    }
    constant!(
        None, Relu, Relu6, Sigmoid, Tanh, Silu, HardSwish, Gelu, GeluTanh
    )
}

/// # Safety
/// As [`activate_block`].
#[inline(always)]
unsafe fn unary_block<S: Simd, F: Unary>(
    simd: S,
    f: F,
    loops: &Loops<2>,
    out: *mut f32,
    x: *const f32,
    first: usize,
    count: usize,
    stream: bool,
) {
    let [out_step, x_step] = loops.inner();
    let compact = [out_step, x_step] == [1, 1];
    let part = if compact { usize::MAX } else { STAGE };
    let mut stage = [0f32; STAGE];
    let mut runs = loops.runs(first, count);
    while let Some(([o, i], len)) = runs.next() {
        let (out, x) = (out.wrapping_offset(o), x.wrapping_offset(i));
        let mut at = 0;
        while at < len {
            let part = part.min(len - at);
            let staged = stage.as_mut_ptr();
            // SAFETY: runs are inside of both arrays, the stage has room for a part.
            unsafe {
                // One place where the loop is inlined, since there are many kinds of it.
                if !compact {
                    gather_run(staged, x, x_step, at, part);
                }
                let (to, from) = if compact {
                    (out, x)
                } else {
                    (staged, staged.cast_const())
                };
                unary_run(simd, f, to, from, part, stream && compact);
                if !compact {
                    scatter_run(out, out_step, at, staged, part);
                }
            }
            at += part;
        }
    }
}

/// `out[i] = f(x[i])` for neighbours in memory; the two may be the same, unless `stream` stores past the caches.
///
/// # Safety
/// `len` elements are valid for reading at `x` and for writing at `out`.
#[inline(always)]
unsafe fn unary_run<S: Simd, F: Unary>(
    simd: S,
    f: F,
    out: *mut f32,
    x: *const f32,
    len: usize,
    stream: bool,
) {
    let lanes = S::LANES;
    // SAFETY: every access is inside of `len`.
    unsafe {
        let last = len.saturating_sub(lanes);
        let tail = match len < lanes {
            true => simd.load_partial_ptr(x, len),
            false => simd.load_ptr(x.add(last)),
        };
        let mut i = 0;
        let group = Group::<S, GROUP>(simd);
        // Streaming stores are aligned: the vector before the first of them is stored plainly.
        let stream = stream && len >= lanes;
        if stream {
            simd.store_ptr(out, f.apply(simd, simd.load_ptr(x)));
            i = to_aligned::<S>(out);
        }
        while i + GROUP * lanes <= len {
            let mut vectors = [simd.zero(); GROUP];
            for (k, v) in vectors.iter_mut().enumerate() {
                *v = simd.load_ptr(x.add(i + k * lanes));
            }
            let results = f.apply(group, vectors);
            match stream {
                true => {
                    for (k, v) in results.into_iter().enumerate() {
                        simd.store_streaming_ptr(out.add(i + k * lanes), v);
                    }
                }
                false => {
                    for (k, v) in results.into_iter().enumerate() {
                        simd.store_ptr(out.add(i + k * lanes), v);
                    }
                }
            }
            i += GROUP * lanes;
        }
        if stream {
            simd.finish_streaming();
        }
        while i + lanes <= len {
            simd.store_ptr(out.add(i), f.apply(simd, simd.load_ptr(x.add(i))));
            i += lanes;
        }
        if i < len {
            let y = f.apply(simd, tail);
            match len < lanes {
                true => simd.store_partial_ptr(out, len, y),
                false => simd.store_ptr(out.add(last), y),
            }
        }
    }
}

/// # Safety
/// Elements `at .. at + count` of the strided run are readable, and `dst` has room.
#[inline(always)]
unsafe fn gather_run(dst: *mut f32, src: *const f32, stride: isize, at: usize, count: usize) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { *dst.add(i) = *src.offset(stride * (at + i) as isize) };
    }
}

/// # Safety
/// Elements `at .. at + count` of the strided run are writable, and `src` holds as many.
#[inline(always)]
unsafe fn scatter_run(dst: *mut f32, stride: isize, at: usize, src: *const f32, count: usize) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { *dst.offset(stride * (at + i) as isize) = *src.add(i) };
    }
}

/// `x` if positive, else `slope * x`, the slope being learned.
///
/// `slope` has shape (1,), or (C,) with C the size of axis `axis` of `x`
/// (negative axes count from the end; torch's channel axis is 1), or as many
/// dimensions as `x`, each of its size or 1, to be repeated along it.
///
/// Overlap, NaN and infinities: see the [module](self).
pub fn prelu(
    ctx: &Context,
    axis: isize,
    x: View<'_, f32>,
    slope: View<'_, f32>,
    mut out: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "prelu";
    expect_same_shape(op, "output", &out, "input", &x)?;
    forbid_partial_overlap(op, "output", &out, "input", &x)?;
    forbid_overlap(op, "output", &out, "slope", &slope)?;
    let steps = slope_strides(&x, &slope, axis)?;
    let strides = [out.strides(), x.strides(), &steps[..x.rank()]];
    let loops = Loops::new(x.shape(), strides);
    let writer = out.writer();
    for_each_block(ctx, loops.len(), |first, count| {
        // SAFETY: the loops stay inside the three arrays, and blocks are disjoint.
        dispatch!(ctx.isa(), simd => unsafe {
            let stream = streams(&loops, writer.ptr(), x.ptr());
            prelu_block(simd, &loops, writer.ptr(), x.ptr(), slope.ptr(), first, count, stream)
        })
    })
}

/// The strides that make `slope` an operand of the shape of `x`.
fn slope_strides(x: &Raw<f32>, slope: &Raw<f32>, axis: isize) -> Result<[isize; 8]> {
    let mut strides = [0; crate::tensor::MAX_RANK];
    if slope.rank() <= 1 {
        if slope.len() == 1 {
            return Ok(strides);
        }
        let axis = normalize_axis("prelu", axis, x.rank())?;
        ensure!(
            slope.dim(0) == x.dim(axis),
            ShapeMismatch,
            "prelu: slope has {} values, input has {} channels along axis {axis}",
            slope.dim(0),
            x.dim(axis)
        );
        strides[axis] = slope.stride(0);
        return Ok(strides);
    }
    let fits = slope.rank() == x.rank()
        && (0..x.rank()).all(|a| slope.dim(a) == 1 || slope.dim(a) == x.dim(a));
    ensure!(
        fits,
        ShapeMismatch,
        "prelu: slope has shape {:?}, input has {:?}",
        slope.shape(),
        x.shape()
    );
    for (a, stride) in strides.iter_mut().enumerate().take(x.rank()) {
        if slope.dim(a) != 1 {
            *stride = slope.stride(a);
        }
    }
    Ok(strides)
}

/// `axis` counted from the front.
pub(super) fn normalize_axis(op: &str, axis: isize, rank: usize) -> Result<usize> {
    let limit = rank as isize;
    ensure!(
        -limit <= axis && axis < limit,
        InvalidArgument,
        "{op}: axis is {axis}, input has {rank} dimensions"
    );
    Ok(if axis < 0 { axis + limit } else { axis } as usize)
}

/// Elements `first .. first + count` of the loops.
///
/// # Safety
/// The pointers are what the loops were made of; nobody else touches the elements.
#[inline(always)]
unsafe fn prelu_block<S: Simd>(
    simd: S,
    loops: &Loops<3>,
    out: *mut f32,
    x: *const f32,
    slope: *const f32,
    first: usize,
    count: usize,
    stream: bool,
) {
    let [out_step, x_step, slope_step] = loops.inner();
    let mut runs = loops.runs(first, count);
    while let Some(([o, i, s], len)) = runs.next() {
        let (out, x) = (out.wrapping_offset(o), x.wrapping_offset(i));
        let slope = slope.wrapping_offset(s);
        // SAFETY: runs are inside of the arrays; stages have room for a part.
        unsafe {
            match (out_step, x_step, slope_step) {
                (1, 1, 0) => {
                    let slope = *slope;
                    unary_run(simd, Activation::LeakyRelu { slope }, out, x, len, stream);
                }
                (1, 1, 1) => prelu_run(simd, out, x, slope, len, stream),
                _ => {
                    let (mut values, mut slopes) = ([0f32; STAGE], [0f32; STAGE]);
                    for at in (0..len).step_by(STAGE) {
                        let part = STAGE.min(len - at);
                        gather_run(values.as_mut_ptr(), x, x_step, at, part);
                        gather_run(slopes.as_mut_ptr(), slope, slope_step, at, part);
                        let staged = values.as_mut_ptr();
                        prelu_run(simd, staged, staged, slopes.as_ptr(), part, false);
                        scatter_run(out, out_step, at, staged, part);
                    }
                }
            }
        }
    }
}

/// `out[i] = x[i] > 0 ? x[i] : slope[i] * x[i]` for neighbours in memory; `out` and `x` may be the same, unless
/// `stream` stores past the caches.
///
/// # Safety
/// `len` elements are valid for reading at `x` and `slope` and for writing at `out`.
#[inline(always)]
unsafe fn prelu_run<S: Simd>(
    simd: S,
    out: *mut f32,
    x: *const f32,
    slope: *const f32,
    len: usize,
    stream: bool,
) {
    let lanes = S::LANES;
    // SAFETY: every access is inside of `len`.
    unsafe {
        if len < lanes {
            let (v, s) = (
                simd.load_partial_ptr(x, len),
                simd.load_partial_ptr(slope, len),
            );
            return simd.store_partial_ptr(out, len, leaky(simd, v, s));
        }
        let tail = simd.load_ptr(x.add(len - lanes));
        let mut i = 0;
        if stream {
            let (v, s) = (simd.load_ptr(x), simd.load_ptr(slope));
            simd.store_ptr(out, leaky(simd, v, s));
            i = to_aligned::<S>(out);
        }
        while i + lanes <= len {
            let (v, s) = (simd.load_ptr(x.add(i)), simd.load_ptr(slope.add(i)));
            let y = leaky(simd, v, s);
            match stream {
                true => simd.store_streaming_ptr(out.add(i), y),
                false => simd.store_ptr(out.add(i), y),
            }
            i += lanes;
        }
        if stream {
            simd.finish_streaming();
        }
        if i < len {
            let s = simd.load_ptr(slope.add(len - lanes));
            simd.store_ptr(out.add(len - lanes), leaky(simd, tail, s));
        }
    }
}
