//! Clusters and neighbours: distances, k-means, nearest neighbours, assignment.
//!
//! Points are the rows of a matrix (N, D) of f32. Everything that looks for the nearest of many
//! stands on [`distance`]: points in the lanes, candidates one after the other, and what is wanted
//! of the distances (the least one, the k least ones) taken from them while they are in registers.

mod assignment;
mod distance;
mod kmeans;
mod mean_shift;
mod neighbours;

pub use assignment::{Cost, linear_assignment};
pub use distance::{Metric, pairwise_distance};
pub use kmeans::{
    AnchorAverage, AnchorsParams, KmeansInit, KmeansParams, KmeansProgress, KmeansResult, kmeans,
    kmeans_accumulate, kmeans_anchors, kmeans_assign, kmeans_update,
};
pub use mean_shift::{MeanShiftKernel, MeanShiftParams, mean_shift};
pub use neighbours::{
    MAX_NEIGHBOURS, MatchParams, knn, match_descriptors, match_descriptors_binary,
};
