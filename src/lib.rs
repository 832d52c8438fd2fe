//! omma: SIMD CPU kernels for computer vision and deep learning behind a
//! stable C ABI.
//!
//! The layers, each importing only those to its right:
//! `capi → transformer → families (attention, boxes, cluster, conv, image, nn, roi) → {gemm, runtime, tensor} → simd`;
//! [`error`] is everybody's. ARCHITECTURE.md tells more.

pub mod attention;
pub mod boxes;
pub mod capi;
pub mod cluster;
pub mod conv;
pub mod error;
pub mod gemm;
pub mod image;
pub mod nn;
pub mod roi;
pub mod runtime;
pub mod simd;
pub mod tensor;
pub mod transformer;
