//! The unit tests of `src/simd`, which use what the module keeps to itself.
//!
//! The module is compiled here by itself: as tests of the library they would need a second build of every kernel of
//! every family, minutes of it on each of the emulated instruction sets.

#![allow(dead_code, unused_imports, unused_macros)]

#[path = "../src/error.rs"]
mod error;
#[path = "../src/simd/mod.rs"]
mod simd;
