//! SIMD CPU kernels for computer vision and deep learning behind a stable C ABI.
pub mod simd;
