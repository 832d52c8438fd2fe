//! Distances of many points to many candidates, reduced where they are computed.
//!
//! The engine is a matrix product whose result is never stored. [`pack_points`](panels::pack_points) lays [`points`](tile::points)
//! points side by side in the lanes (a *panel*: for each dimension a value of every point), a
//! [`Candidates`](panels::Candidates) holds the other side in panels of a few rows, and [`scan`](tile::scan) runs a register
//! tile over them: two vectors of points by up to six (AVX2) candidates, each step of the
//! inner loop two loads, a broadcast a candidate and a multiply-add a vector. The finished tile goes
//! to a [`Reduce`](tile::Reduce) in registers. Because points are in the lanes, the least distance of each, or a
//! test against the worst of the k least ones, is a few operations on whole vectors, without
//! a shuffle.
//!
//! A tile holds *scores*: the larger, the nearer. By kind:
//!
//! | kind | score | distance |
//! |---|---|---|
//! | `Dot` | `bias + x · c`, the bias as `Candidates` was packed | depends on the bias |
//! | `Squared` | `-Σ (x - c)²` | `-score` |
//! | `Absolute` | `-Σ \|x - c\|` | `-score` |
//!
//! `Dot` with the bias `-|c|² / 2` ranks by Euclidean distance, at half the operations of
//! `Squared`: `|x - c|² = |x|² - 2 score`. It cancels, so whoever uses it subtracts a common
//! shift from both sides first (`shift`, any point amid the data), clamps at zero, and decides close calls
//! by [`exact`]. With the bias 0 it ranks by inner product, and by cosine when the
//! candidates have length 1.
//!
//! How it is used, inside a task and inside of `dispatch!` (see `pairwise.rs` and `kmeans/pass.rs`):
//!
//! ```text
//! let mut candidates = Candidates::empty(ctx, tier, count, depth)?;  // once a call, with `fill`, or
//! pack_candidates(rows, range, …)                                    // a block at a time
//! for each panel of points:
//!     pack_points(simd, rows, first..last, shift, &mut panel);       // or `pack_listed`
//!     scan::<S, KIND, R>(simd, &panel, candidates.block(), &mut reduce);
//! ```
//!
//! A panel of points wants to be in L1 or L2, the candidates of one scan at least in L3: many
//! candidates are scanned in blocks, with the state of the reduction kept between scans.
//!
//! A few candidates in many dimensions do not repay the panels: [`few`] reads points where they lie.

pub(super) mod exact;
pub(super) mod few;
pub(super) mod mahalanobis;
mod pairwise;
pub(super) mod panels;
pub(super) mod tile;

pub use pairwise::{Metric, pairwise_distance};
