// omma.hpp: neighbours, matches, modes and assignment.
#ifndef OMMA_HPP_NEIGHBOURS
#define OMMA_HPP_NEIGHBOURS

#include "core.hpp"

namespace omma {
inline namespace OMMA_HPP_WAY {

// The k nearest rows of data (N, D) for each row of queries (Q, D): numbers to indices (Q, k, int64) and distances
// to distances (Q, k), the nearest first. metric is an OMMA_METRIC_…; that of Mahalanobis takes a covariance (D, D).
inline Outcome knn(const Context& c, const TensorRef& queries, const TensorRef& data, const TensorRef& indices,
                   const TensorRef& distances, int32_t metric = OMMA_METRIC_EUCLIDEAN, const TensorRef& covariance = {}) {
    auto p = params<OmmaKnnParams>();
    p.metric = metric;
    return check(omma_knn(c.get(), &p, queries, data, covariance, indices, distances));
}

// Which nearest neighbours are matches; every setter returns the object.
class MatchOptions {
public:
    // Only pairs that are each other's nearest.
    MatchOptions& cross_check() { params_.cross_check = 1; return *this; }
    // Only pairs closer than this times the distance of the second nearest.
    MatchOptions& ratio(double ratio) {
        params_.flags |= OMMA_MATCH_RATIO;
        params_.ratio = ratio;
        return *this;
    }
    MatchOptions& max_distance(double distance) {
        params_.flags |= OMMA_MATCH_MAX_DISTANCE;
        params_.max_distance = distance;
        return *this;
    }
    const OmmaMatchDescriptorsParams* get() const { return &params_; }

private:
    OmmaMatchDescriptorsParams params_ = params<OmmaMatchDescriptorsParams>();
};

// The nearest in b (M, D) of each descriptor of a (N, D), float or uint8 (bits): pairs to the first `count` rows of
// pairs (C, 2, int64) and distances (C). When they are too short the failure is OMMA_BUFFER_TOO_SMALL, and `count` the
// length that is needed; N always suffices.
inline Outcome match_descriptors(const Context& c, const MatchOptions& options, const TensorRef& a, const TensorRef& b,
                                 const TensorRef& pairs, const TensorRef& distances, int64_t& count) {
    return check(omma_match_descriptors(c.get(), options.get(), a, b, pairs, distances, &count));
}

// How to look for modes; every setter returns the object.
class MeanShiftOptions {
public:
    explicit MeanShiftOptions(double bandwidth) { params_.bandwidth = bandwidth; }
    // OMMA_MEAN_SHIFT_FLAT or OMMA_MEAN_SHIFT_GAUSSIAN.
    MeanShiftOptions& kernel(int32_t kernel) { params_.kernel = kernel; return *this; }
    MeanShiftOptions& bin_seeding(int64_t min_bin_freq = 1) {
        params_.flags |= OMMA_MEAN_SHIFT_BIN_SEEDING;
        params_.min_bin_freq = min_bin_freq;
        return *this;
    }
    // Points far from every centre get the label -1.
    MeanShiftOptions& orphans() { params_.flags |= OMMA_MEAN_SHIFT_ORPHANS; return *this; }
    MeanShiftOptions& max_iterations(int64_t count) { params_.max_iterations = count; return *this; }
    const OmmaMeanShiftParams* get() const { return &params_; }

private:
    OmmaMeanShiftParams params_ = params<OmmaMeanShiftParams>();
};

// The modes of x (N, D) to the first `count` rows of centers (C, D), and the nearest of them to labels (N, int64).
// seeds (S, D) may be none; as many rows as there are seeds (N, without any) suffice.
inline Outcome mean_shift(const Context& c, const MeanShiftOptions& options, const TensorRef& x, const TensorRef& labels,
                          const TensorRef& centers, int64_t& count, const TensorRef& seeds = {}) {
    return check(omma_mean_shift(c.get(), options.get(), x, seeds, labels, centers, &count));
}

// The cheapest (or, to maximise, dearest) assignment of rows and columns of cost (N, M), float or double: the pairs
// to rows and cols (min(N, M), int64), and their sum to total, unless that is nullptr.
inline Outcome linear_assignment(const Context& c, const TensorRef& cost, const TensorRef& rows, const TensorRef& cols,
                                 bool maximize = false, double* total = nullptr) {
    auto p = params<OmmaLinearAssignmentParams>();
    p.maximize = maximize ? 1 : 0;
    return check(omma_linear_assignment(c.get(), &p, cost, rows, cols, total));
}

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_NEIGHBOURS
