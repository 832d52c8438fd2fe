// omma.hpp: distances and clusters.
#ifndef OMMA_HPP_CLUSTER
#define OMMA_HPP_CLUSTER

#include "core.hpp"

namespace omma {
inline namespace OMMA_HPP_WAY {

// Every row of a (N, D) and every row of b (M, D), to output (N, M). metric is an OMMA_METRIC_…; that of
// Mahalanobis takes a covariance (D, D).
inline Outcome pairwise_distance(const Context& c, const TensorRef& a, const TensorRef& b, const TensorRef& output,
                                 int32_t metric = OMMA_METRIC_EUCLIDEAN, const TensorRef& covariance = {}) {
    auto p = params<OmmaPairwiseDistanceParams>();
    p.metric = metric;
    return check(omma_pairwise_distance(c.get(), &p, a, b, covariance, output));
}

// The nearest of centroids (K, D) to each row of x (N, D), to labels (N, int64), and its squared distance to distances (N).
inline Outcome kmeans_assign(const Context& c, const TensorRef& x, const TensorRef& centroids, const TensorRef& labels,
                             const TensorRef& distances = {}) {
    return check(omma_kmeans_assign(c.get(), x, centroids, labels, distances));
}

// How to cluster; every setter returns the object.
class KmeansOptions {
public:
    // OMMA_KMEANS_PLUS_PLUS or OMMA_KMEANS_RANDOM.
    KmeansOptions& init(int32_t init) { params_.init = init; return *this; }
    KmeansOptions& max_iterations(int64_t count) { params_.max_iterations = count; return *this; }
    KmeansOptions& tolerance(double tolerance) {
        params_.flags |= OMMA_KMEANS_TOLERANCE;
        params_.tolerance = tolerance;
        return *this;
    }
    KmeansOptions& n_init(int64_t count) { params_.n_init = count; return *this; }
    KmeansOptions& seed(uint64_t seed) { params_.seed = seed; return *this; }
    // Called after each iteration; other than 0 ends the clustering as it stands. Throws nothing.
    KmeansOptions& callback(OmmaKmeansCallback callback, void* user = nullptr) {
        params_.callback = callback;
        params_.callback_user = user;
        return *this;
    }
    const OmmaKmeansParams* get() const { return &params_; }

private:
    OmmaKmeansParams params_ = params<OmmaKmeansParams>();
};

// What a clustering found.
struct KmeansResult {
    double inertia = 0;
    int64_t iterations = 0;
};

// Clusters the rows of x (N, D): labels (N, int64) and centroids (K, D). init (K, D) are the first centroids, or none;
// sample_weight (N) may be none.
inline Outcome kmeans(const Context& c, const KmeansOptions& options, const TensorRef& x, const TensorRef& labels,
                      const TensorRef& centroids, KmeansResult& result, const TensorRef& init = {},
                      const TensorRef& sample_weight = {}) {
    return check(omma_kmeans(c.get(), options.get(), x, init, sample_weight, labels, centroids, &result.inertia,
                             &result.iterations));
}

// The first half of an iteration over a part of the data, to sums (K, D, double), counts (K, double), `inertia`, and
// labels (N, int64) unless none. Results of parts are added.
inline Outcome kmeans_accumulate(const Context& c, const TensorRef& x, const TensorRef& centroids, const TensorRef& sums,
                                 const TensorRef& counts, double& inertia, const TensorRef& sample_weight = {},
                                 const TensorRef& labels = {}) {
    return check(omma_kmeans_accumulate(c.get(), x, centroids, sample_weight, sums, counts, labels, &inertia));
}

// The second half: sums over counts, to updated, which may be the very array centroids, and by how much they moved.
inline Outcome kmeans_update(const Context& c, const TensorRef& sums, const TensorRef& counts, const TensorRef& centroids,
                             const TensorRef& updated, double& moved) {
    return check(omma_kmeans_update(c.get(), sums, counts, centroids, updated, &moved));
}

// How anchors are found; every setter returns the object.
class KmeansAnchorsOptions {
public:
    // OMMA_ANCHORS_MEDIAN or OMMA_ANCHORS_MEAN.
    KmeansAnchorsOptions& average(int32_t average) { params_.average = average; return *this; }
    KmeansAnchorsOptions& max_iterations(int64_t count) { params_.max_iterations = count; return *this; }
    KmeansAnchorsOptions& seed(uint64_t seed) { params_.seed = seed; return *this; }
    const OmmaKmeansAnchorsParams* get() const { return &params_; }

private:
    OmmaKmeansAnchorsParams params_ = params<OmmaKmeansAnchorsParams>();
};

// Sizes for boxes of sizes wh (N, 2), to anchors (K, 2) by area, and the mean IoU with them. init (K, 2) and labels (N, int64)
// may be none.
inline Outcome kmeans_anchors(const Context& c, const KmeansAnchorsOptions& options, const TensorRef& wh,
                              const TensorRef& anchors, double& mean_iou, const TensorRef& labels = {},
                              const TensorRef& init = {}) {
    return check(omma_kmeans_anchors(c.get(), options.get(), wh, init, anchors, labels, &mean_iou));
}

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_CLUSTER
