//! conv2d against a scalar oracle in f64, on every tier, over random options; and against
//! its peers.

#[path = "../common/mod.rs"]
mod common;

mod case;
mod deform;
mod errors;
mod fold;
mod guard;
mod oracle;
mod peers;
mod properties;
mod transpose;
mod winograd;
