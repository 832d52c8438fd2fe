//! k-means: assignment, the two halves of an iteration, and the whole.
//!
//! Lloyd's algorithm, fused: a panel of points is labelled, compared with its labels before, and added to the
//! sums of its clusters while it is in the cache; distances are never stored. After the first
//! iterations few points change their cluster, and only those are moved between the sums, which are f64.
//! Results have the same bits on any number of threads.
//!
//! Seeding, stopping and empty clusters follow scikit-learn's `KMeans`.

mod anchors;
mod assign;
mod bounds;
mod centroids;
mod init;
mod lloyd;
mod nearest;
mod pass;
mod random;
mod sums;

pub use anchors::{AnchorAverage, AnchorsParams, kmeans_anchors};
pub use assign::{kmeans_accumulate, kmeans_assign, kmeans_update};
pub use lloyd::{KmeansInit, KmeansParams, KmeansProgress, KmeansResult, kmeans};
