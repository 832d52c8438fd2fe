//! RoIAlign, RoIPool and their gradients against an oracle in f64, torchvision, ONNX and finite differences.

#[path = "../common/mod.rs"]
mod common;

mod backward;
mod case;
mod errors;
mod forward;
mod oracle;
mod peers;
