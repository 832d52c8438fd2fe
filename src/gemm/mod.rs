//! The packed matrix engine: `C = epilogue(A · B)`, the product that
//! convolutions, linear layers and clustering stand on.
//!
//! The algorithm is that of GotoBLAS and BLIS. A register tile of C (6 x 16 on
//! AVX2) is summed over a block of K while a sliver of B, as wide as the tile,
//! stays in the L1 cache and slivers of A stream from L2. Both operands are
//! read from *panels*: copies in which the tile's rows (or columns) stand next
//! to each other, so that the inner loop is nothing but aligned, sequential
//! loads and multiply-adds. Bias, residual and activation are applied to the tile
//! while it is in registers.
//!
//! What differs from a BLAS is where panels come from. A side is anything that
//! can fill a panel ([`PanelSource`]): a strided matrix, the receptive fields of
//! a convolution (gathered straight into the panel; the unfolded image never exists), or
//! a matrix packed ahead of time ([`PackedMatrix`]), which is borrowed as it is.
//!
//! In a product that goes through panels every element of C is the same sum: blocks of k
//! in order, and k in order within a block, whatever the tile, the side of packing or the
//! place of the element in C. Small ones are computed without panels and sum alike. Products with very few rows or one column of matrices that lie in memory are
//! computed without packing and may sum in another order. Which of the two it is follows from
//! shapes and strides alone, so the bits are the same for any number of threads.

mod edges;
mod engine;
mod epilogue;
mod in_place;
mod kernel;
mod packed;
mod plan;
mod skinny;
mod source;
mod tile;

pub use engine::{gemm, gemm_batched, gemm_in_task, task_scratch};
pub use epilogue::{Epilogue, Layout, Lines, Output, Residual};
pub use packed::PackedMatrix;
pub use source::{PanelSource, Strided};
pub use tile::{Side, panel_width};

/// The extents of a product: A is m x k, B is k x n, C is m x n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B: what the sum runs over.
    pub k: usize,
}

/// One product: where its operands come from and where the result goes.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a, A, B> {
    /// The left side; its lines are rows.
    pub a: A,
    /// The right side; its lines are columns.
    pub b: B,
    /// Where C is stored.
    pub out: Output,
    /// What happens to each sum before it is stored.
    pub epilogue: Epilogue<'a>,
}
