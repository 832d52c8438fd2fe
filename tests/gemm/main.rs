//! The matrix engine, matmul and linear against a reference in float64, on every tier.

#[path = "../common/mod.rs"]
mod common;

mod epilogue;
mod matrix;
mod operators;
mod products;
mod sources;
