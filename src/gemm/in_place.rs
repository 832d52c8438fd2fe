//! Products so small that panels would cost as much as the sums.
//!
//! Each element of B is used by a few tiles only, and both operands are in L1 as they are: the kernel
//! reads them there, rows of A by broadcasts, rows of B in vectors. A sum runs over k in one
//! block, in order, so it has the bits that panels would give.

use super::kernel::{Block, Store, Strides, multiply_in_place};
use super::tile::tile;
use super::{Epilogue, Output, PanelSource, Problem, Shape, Strided};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Isa, Tier};

/// The most multiply-adds of such a product.
const MOST: usize = 64 * 64 * 64;
/// The most elements of B: half of a small L1.
const MOST_B: usize = 1 << 12;
/// The most steps of k: a block of panels on every tier.
const DEPTH: usize = tile(Tier::Portable).kc;
/// The longest way from a row of B to the next: rows further apart meet in few sets of L1.
const APART: usize = 256;
/// Multiply-adds that a task has at least.
const TASK: usize = 1 << 19;

/// A product that is computed without panels.
#[derive(Clone, Copy)]
pub(super) struct InPlace<'a> {
    shape: Shape,
    a: Strided<'a>,
    b: Strided<'a>,
    out: Output,
    epilogue: Epilogue<'a>,
}

impl<'a> InPlace<'a> {
    /// The product in this form, if it is small and the columns of B are side by side.
    pub fn of<A: PanelSource, B: PanelSource>(
        shape: Shape,
        problem: &'a Problem<'a, A, B>,
    ) -> Option<InPlace<'a>> {
        let Shape { m, n, k } = shape;
        let elements = n.checked_mul(k)?;
        if elements > MOST_B || elements.checked_mul(m)? > MOST || k > DEPTH {
            return None;
        }
        let (a, b) = (problem.a.strided()?, problem.b.strided()?);
        assert!(a.lines == m && b.lines == n && a.k == k && b.k == k);
        let fits = (b.line_stride == 1 || n == 1) && b.k_stride.unsigned_abs() <= APART;
        fits.then_some(InPlace {
            shape,
            a,
            b,
            out: problem.out,
            epilogue: problem.epilogue,
        })
    }

    /// Multiplies on the calling thread.
    ///
    /// # Safety
    /// As for [`gemm_in_task`](super::gemm_in_task).
    pub unsafe fn multiply(&self, isa: Isa) {
        let block = Block {
            rows: (0, self.shape.m),
            columns: (0, self.shape.n),
            depth: self.shape.k,
            a: self.a.ptr,
            b: self.b.ptr,
            store: Store {
                out: self.out,
                add: self.out.accumulate,
                epilogue: Some(&self.epilogue),
            },
        };
        let strides = Strides {
            a_row: self.a.line_stride,
            a_k: self.a.k_stride,
            b_k: self.b.k_stride,
        };
        // SAFETY: the views have these rows, columns and k (asserted); the rest is the caller's promise.
        unsafe { multiply_in_place(isa, &block, strides) };
    }
}

/// Products of a batch on the threads of `ctx`; `product(i)` is handed to the function it
/// is given, because it borrows from what it was made of.
///
/// # Safety
/// As for [`gemm_batched`](super::gemm_batched).
pub(super) unsafe fn run(
    ctx: &Context,
    shape: Shape,
    batch: usize,
    product: impl Fn(usize, &mut dyn FnMut(&InPlace<'_>)) + Sync,
) -> Result<()> {
    let isa = ctx.isa();
    let each = (shape.m * shape.n * shape.k).max(1);
    let group = (TASK / each).clamp(1, batch);
    let part = |task: usize| {
        for i in task * group..batch.min((task + 1) * group) {
            // SAFETY: the caller's promise; tasks have other products.
            product(i, &mut |product| unsafe { product.multiply(isa) });
        }
    };
    if batch <= group {
        part(0);
        return Ok(());
    }
    ctx.parallel_for(batch.div_ceil(group), part)
}
