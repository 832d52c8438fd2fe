//! Where and with what an operator runs: the instruction set, the threads and
//! the memory, together in a [`Context`].

mod affinity;
mod context;
mod memory;
mod pool;
mod workers;

pub use context::{Context, Options};
pub use memory::{Allocator, Buffer, Scratch};
pub use pool::ParallelFor;
pub(crate) use pool::{is_quiet, quiet};
