//! Warps, rotation, maps and grids against scalar code and against OpenCV, torch and Pillow
//! (fixtures), on every tier.

#[path = "../common/mod.rs"]
mod common;
#[path = "../image_support/mod.rs"]
mod image_support;

mod arguments;
mod grid;
mod matrices_and_maps;
mod oracle;
mod peers;
mod rotation;

use omma::image::{Border, Interpolation};

const BORDERS: [Border; 5] = [
    Border::Constant,
    Border::Replicate,
    Border::Reflect,
    Border::Reflect101,
    Border::Wrap,
];
const INTERPOLATIONS: [Interpolation; 3] = [
    Interpolation::Linear,
    Interpolation::Nearest,
    Interpolation::Cubic,
];
