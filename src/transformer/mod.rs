//! The blocks of a transformer: what attention, linear layers and normalization make together.
//!
//! This layer stands above the families and below `capi`: it computes little itself. A block takes
//! all the scratch it needs first, so that a call that runs short of memory has written nothing;
//! projections write rows (B, N, heads * D) that attention reads as (B, heads, N, D) by their strides,
//! so nothing is ever transposed; biases, residuals and activations are applied by the matrix
//! products to tiles in registers. The result is written by the last step of a block, when no input
//! is needed any more: an output may be the very array of an input.
//!
//! Products run on the instruction set of the context that packed the plan, attention and
//! normalization on that of the context of the run.

mod encoder;
mod feed_forward;
mod multi_head;
mod patches;
mod position;

pub use encoder::{EncoderLayer, EncoderLayerWeights, TransformerEncoderLayer};
pub use feed_forward::FeedForward;
pub use multi_head::{MultiHead, MultiHeadAttention, MultiHeadWeights, multi_head_attention};
pub use patches::PatchEmbedding;
pub use position::positional_encoding;

use crate::attention::Mask;
use crate::error::{Error, Result, Status, ensure};
use crate::runtime::{Buffer, Context};
use crate::tensor::{
    Element, Raw, View, ViewMut, expect_rank, expect_shape, forbid_overlap, forbid_partial_overlap,
};

/// A matrix (out, in) and what is added to its products, (out,).
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// (out, in), as torch has it.
    pub weight: View<'a, f32>,
    /// (out,)
    pub bias: Option<View<'a, f32>>,
}

impl Affine<'_> {
    fn outputs(&self) -> usize {
        self.weight.dim(0)
    }
    fn inputs(&self) -> usize {
        self.weight.dim(1)
    }

    /// A matrix, and a bias for each of its rows. `names` are those of weight and bias.
    fn check(&self, op: &str, names: [&str; 2]) -> Result<()> {
        expect_rank(op, names[0], &self.weight, 2)?;
        match &self.bias {
            None => Ok(()),
            Some(bias) => expect_shape(op, names[1], bias, &[self.outputs()]),
        }
    }
}

/// How many elements an array of this shape has.
fn elements(op: &str, shape: &[usize]) -> Result<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, &dim| product.checked_mul(dim))
        .ok_or_else(|| {
            Error::new(
                Status::OutOfMemory,
                format!("{op}: scratch of shape {shape:?} overflows the address space"),
            )
        })
}

/// The output shares no memory with an input, unless it is that very array.
fn forbid_overlap_unless_same(
    op: &str,
    out: &Raw<f32>,
    name: &str,
    input: &Raw<f32>,
) -> Result<()> {
    match out.shape() == input.shape() {
        true => forbid_partial_overlap(op, "output", out, name, input),
        false => forbid_overlap(op, "output", out, name, input),
    }
}

/// The mask broadcasts to (batches, heads, queries, keys), and the output does not overlap it.
fn check_mask(op: &str, mask: Option<&Mask<'_>>, shape: [usize; 4], out: &Raw<f32>) -> Result<()> {
    fn check<T: Element>(op: &str, mask: &Raw<T>, shape: [usize; 4], out: &Raw<f32>) -> Result<()> {
        let fits = mask.rank() <= 4
            && (mask.shape().iter().rev())
                .zip(shape.iter().rev())
                .all(|(&own, &dim)| own == 1 || own == dim);
        ensure!(
            fits,
            ShapeMismatch,
            "{op}: mask has shape {:?}, which does not broadcast to {shape:?} (batches, heads, queries, keys)",
            mask.shape()
        );
        forbid_overlap(op, "output", out, "mask", mask)
    }
    match mask {
        None => Ok(()),
        Some(Mask::Select(mask)) => check(op, mask, shape, out),
        Some(Mask::Add(mask)) => check(op, mask, shape, out),
    }
}

/// Rows (B, N, heads * D) as (B, heads, N, D): the same elements by other strides.
fn heads<'a>(rows: &View<'a, f32>, heads: usize) -> Result<View<'a, f32>> {
    // SAFETY: the elements of `rows`, each at its address.
    Ok(unsafe { View::from_raw(split(rows, heads)?) })
}

/// As [`heads`], for what is written.
fn heads_mut<'a>(rows: ViewMut<'a, f32>, heads: usize) -> Result<ViewMut<'a, f32>> {
    // SAFETY: the elements of `rows`, each at its address, borrowed exclusively.
    unsafe { ViewMut::from_raw(&"heads", split(&rows, heads)?) }
}

fn split(rows: &Raw<f32>, heads: usize) -> Result<Raw<f32>> {
    let (dim, step) = (rows.dim(2) / heads, rows.stride(2));
    let shape = [rows.dim(0), heads, rows.dim(1), dim];
    let strides = [rows.stride(0), dim as isize * step, rows.stride(1), step];
    Raw::new(&"heads", rows.ptr(), &shape, Some(&strides))
}

/// Rows (B, N, F) in a part of scratch whose rows are `pitch` apart.
fn rows_at(
    scratch: &[f32],
    start: usize,
    shape: [usize; 3],
    pitch: usize,
) -> Result<View<'_, f32>> {
    let strides = [(shape[1] * pitch) as isize, pitch as isize, 1];
    View::strided(scratch, start, &shape, &strides)
}

/// A copy of an array that outlives the call.
fn keep(ctx: &Context, array: Option<&View<'_, f32>>) -> Result<Option<Buffer<f32>>> {
    let Some(array) = array else {
        return Ok(None);
    };
    let mut copy = ctx.buffer::<f32>(array.len())?;
    copy.copy_from_slice(&array.contiguous(ctx)?);
    Ok(Some(copy))
}

/// A kept array as a view of one dimension.
fn line(kept: &Option<Buffer<f32>>) -> Result<Option<View<'_, f32>>> {
    let Some(kept) = kept else {
        return Ok(None);
    };
    View::new(kept, &[kept.len()]).map(Some)
}
