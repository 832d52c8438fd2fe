//! The C ABI: every exported function, one file a family.
//!
//! This is the only place that turns raw pointers into views. An export reads
//! its arguments through [`call::Call`], which validates them and names them in errors,
//! hands views to a family function, and runs inside [`guard`], which turns
//! errors and panics into a status. Exports are written out plainly, one by
//! one, because cbindgen makes `include/omma.h` from them.

pub mod activation;
pub mod assignment;
pub mod attention;
pub mod boxes;
mod call;
pub mod context;
pub mod conv;
pub mod conv_transpose;
pub mod deform;
pub mod fold;
pub mod image;
pub mod kmeans;
pub mod layout;
pub mod linear;
pub mod mean_shift;
pub mod median;
pub mod multi_head;
pub mod neighbours;
pub mod nms;
pub mod nn;
pub mod norm;
pub mod pool;
pub mod roi;
pub mod status;
pub mod tensor;
pub mod transformer;
pub mod warp;
pub mod yolo;

pub use activation::*;
pub use assignment::*;
pub use attention::*;
pub use boxes::*;
pub use context::*;
pub use conv::*;
pub use conv_transpose::*;
pub use deform::*;
pub use fold::*;
pub use image::*;
pub use kmeans::*;
pub use layout::*;
pub use linear::*;
pub use mean_shift::*;
pub use median::*;
pub use multi_head::*;
pub use neighbours::*;
pub use nms::*;
pub use nn::*;
pub use norm::*;
pub use pool::*;
pub use roi::*;
pub use status::*;
pub use tensor::*;
pub use transformer::*;
pub use warp::*;
pub use yolo::*;

pub(crate) use call::{Call, Params};
pub(crate) use status::guard;
