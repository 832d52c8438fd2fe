//! Typed, borrowed views of strided arrays, and every check of shape and stride.
//!
//! A view is checked when it is made: each of its elements lies inside the
//! memory it was made from, products and extents fit `isize`, and no two
//! elements of a [`ViewMut`] share an address. A kernel that stays inside the
//! shape therefore stays inside the memory, and nothing is checked twice.

mod check;
mod copy;
mod dtype;
mod layout;
mod view;

pub use check::{
    expect_rank, expect_same_shape, expect_shape, forbid_overlap, forbid_partial_overlap,
};
pub use copy::{Contiguous, ContiguousMut};
pub(crate) use copy::{gather, scatter};
pub use dtype::{Bool, DType, Element};
pub use layout::Layout;
pub use view::{MAX_RANK, Raw, View, ViewMut, Writer};
