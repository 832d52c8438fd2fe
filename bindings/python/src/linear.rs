//! Matrix products and linear layers.

use crate::call::Call;
use crate::context::Context;
use crate::conv::activation;
use crate::plan::{Plan, description};
use crate::tensor::{DType, MAX_RANK, Tensor};
use omma::capi::{self, OmmaLinear, OmmaLinearParams};
use pyo3::prelude::*;
use std::ptr::null;

/// ``a @ b`` in float32.
///
/// Parameters
/// ----------
/// a : (..., M, K) float32
/// b : (..., K, N) float32
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (..., M, N) float32
///
/// As ``numpy.matmul`` for arrays of two or more dimensions: dimensions before the last two are
/// batches and broadcast.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> a = np.arange(6, dtype=np.float32).reshape(2, 3)
/// >>> omma.matmul(a, a.T)
/// array([[ 5., 14.],
///        [14., 50.]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (a, b, *, out=None, ctx=None))]
pub(crate) fn matmul<'py>(
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(a.py(), "matmul", ctx)?;
    let (a, b) = (call.input("a", a)?, call.input("b", b)?);
    // Wrong shapes are the C ABI's to judge: any shape of the result does for them.
    let mut shape = [0; MAX_RANK];
    let rank = a.rank().max(b.rank()).min(MAX_RANK);
    if a.rank().min(b.rank()) >= 2 {
        // From the right, one axis of each, 1 where there is none.
        let dim = |t: &Tensor<'_>, back: usize| match t.rank().checked_sub(back) {
            Some(axis) => t.dim(axis),
            None => 1,
        };
        for back in 3..=rank {
            let (da, db) = (dim(&a, back), dim(&b, back));
            shape[rank - back] = if da == 1 { db } else { da };
        }
        (shape[rank - 2], shape[rank - 1]) = (dim(&a, 2), dim(&b, 1));
    }
    let out = call.output(out, &shape[..rank], DType::F32)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_matmul(ctx, &a.descriptor(), &b.descriptor(), &out.descriptor())
    })?;
    Ok(out.into_object())
}

fn params(call: &Call<'_>, name: Option<&str>, negative_slope: f32) -> PyResult<OmmaLinearParams> {
    let (activation, negative_slope) = activation(call, name, negative_slope)?;
    Ok(OmmaLinearParams {
        struct_size: size_of::<OmmaLinearParams>() as u32,
        activation,
        negative_slope,
        flags: 0,
    })
}

/// The shape of the result for `x` and that many outputs.
fn output<'py>(
    call: &Call<'py>,
    out: Option<&Bound<'py, PyAny>>,
    x: &Tensor<'py>,
    outputs: i64,
) -> PyResult<Tensor<'py>> {
    let mut shape = [0; MAX_RANK];
    let rank = x.shape().len();
    shape[..rank].copy_from_slice(x.shape());
    if let Some(last) = shape[..rank].last_mut() {
        *last = outputs;
    }
    call.output(out, &shape[..rank], DType::F32)
}

/// ``activation(x @ w.T + bias)`` in float32.
///
/// Parameters
/// ----------
/// x : (..., in) float32
/// w : (out, in)
/// bias : (out,), optional
/// activation : str, optional
///     As in `conv2d`, except ``"prelu"``.
/// negative_slope : float
///     The factor of ``"leaky_relu"``.
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (..., out) float32
///
/// As ``torch.nn.functional.linear``. `Linear` keeps the weight packed.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.linear([[1, 2]], [[1, 1], [0, -1]], [0.5, 0], activation="relu")
/// array([[3.5, 0. ]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (x, w, bias=None, *, activation=None, negative_slope=0.01, out=None, ctx=None))]
pub(crate) fn linear<'py>(
    x: &Bound<'py, PyAny>,
    w: &Bound<'py, PyAny>,
    bias: Option<&Bound<'py, PyAny>>,
    activation: Option<&str>,
    negative_slope: f32,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(x.py(), "linear", ctx)?;
    let params = params(&call, activation, negative_slope)?;
    let (x, w) = (call.input("x", x)?, call.input("w", w)?);
    let bias = call.optional("bias", bias)?;
    let out = output(&call, out, &x, w.dim(0))?;
    let bias = bias.as_ref().map(Tensor::descriptor);
    // SAFETY: every pointer is NULL or to a descriptor of memory that lives during the call.
    call.run(|ctx| unsafe {
        let bias = bias.as_ref().map_or(null(), |bias| bias);
        let (x, w) = (&x.descriptor(), &w.descriptor());
        capi::omma_linear(ctx, &params, x, w, bias, &out.descriptor())
    })?;
    Ok(out.into_object())
}

/// A linear layer whose weight is packed once, for the instruction set of ``ctx``.
///
/// The arguments are those of `linear`; weight and bias are copied. A plan never changes: any
/// number of threads may run it at once.
///
/// Examples
/// --------
/// >>> import omma
/// >>> layer = omma.Linear([[1, 1], [0, -1]], activation="relu")
/// >>> layer.run([[1, 2], [3, -4]])
/// array([[3., 0.],
///        [0., 4.]], dtype=float32)
#[pyclass(frozen, module = "omma")]
pub(crate) struct Linear {
    plan: Plan<OmmaLinear>,
    outputs: i64,
}

#[pymethods]
impl Linear {
    #[new]
    #[pyo3(signature = (w, bias=None, *, activation=None, negative_slope=0.01, ctx=None))]
    fn new<'py>(
        w: &Bound<'py, PyAny>,
        bias: Option<&Bound<'py, PyAny>>,
        activation: Option<&str>,
        negative_slope: f32,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Linear> {
        let call = Call::new(w.py(), "Linear", ctx)?;
        let params = params(&call, activation, negative_slope)?;
        let w = call.input("w", w)?;
        let bias = call.optional("bias", bias)?;
        let bias = bias.as_ref().map(Tensor::descriptor);
        // SAFETY: as in `linear`; the slot takes the plan, which is destroyed once.
        let plan = unsafe {
            Plan::create(&call, capi::omma_linear_destroy, |ctx, slot| {
                let bias = bias.as_ref().map_or(null(), |bias| bias);
                capi::omma_linear_create(ctx, &params, &w.descriptor(), bias, slot)
            })?
        };
        let outputs = w.dim(0);
        Ok(Linear { plan, outputs })
    }

    /// ``activation(x @ w.T + bias)`` for x (..., in); as `linear`.
    ///
    /// Examples
    /// --------
    /// >>> import omma
    /// >>> omma.Linear([[2, 0], [0, 1]], [0, 1]).run([3, 4])
    /// array([6., 5.], dtype=float32)
    #[pyo3(signature = (x, out=None, *, ctx=None))]
    fn run<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = Call::new(x.py(), "Linear.run", ctx)?;
        let x = call.input("x", x)?;
        let out = output(&call, out, &x, self.outputs)?;
        let plan = self.plan.pointer();
        // SAFETY: descriptors of memory that lives during the call, and so does the plan.
        call.run(|ctx| unsafe {
            capi::omma_linear_run(ctx, plan, &x.descriptor(), &out.descriptor())
        })?;
        Ok(out.into_object())
    }

    /// The algorithm and the instruction set that the plan uses, for people.
    ///
    /// Examples
    /// --------
    /// >>> import omma
    /// >>> with omma.Context(max_isa="portable") as ctx:
    /// ...     "portable" in omma.Linear([[2, 0], [0, 1]], ctx=ctx).describe()
    /// True
    fn describe(&self) -> String {
        // SAFETY: a living plan, and a text of that capacity.
        description(|text, capacity| unsafe {
            capi::omma_linear_describe(self.plan.pointer(), text, capacity)
        })
    }

    fn __repr__(&self) -> String {
        format!("<omma.Linear {}>", self.describe())
    }
}
