//! The C ABI: every exported function, one file a family.
//!
//! This is the only place that turns raw pointers into views. An export reads
//! its arguments through [`call::Call`], which validates them and names them in errors,
//! hands views to a family function, and runs inside [`guard`], which turns
//! errors and panics into a status. Exports are written out plainly, one by
//! one, because cbindgen makes `include/omma.h` from them.

pub mod activation;
pub mod boxes;
mod call;
pub mod context;
pub mod conv;
pub mod image;
pub mod layout;
pub mod linear;
pub mod nms;
pub mod nn;
pub mod pool;
pub mod status;
pub mod tensor;
pub mod yolo;

pub use activation::*;
pub use boxes::*;
pub use context::*;
pub use conv::*;
pub use image::*;
pub use layout::*;
pub use linear::*;
pub use nms::*;
pub use nn::*;
pub use pool::*;
pub use status::*;
pub use tensor::*;
pub use yolo::*;

pub(crate) use call::{Call, Params};
pub(crate) use status::guard;
