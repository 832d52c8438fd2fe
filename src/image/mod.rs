//! Image geometry.
