// omma.hpp: boxes.
#ifndef OMMA_HPP_BOXES
#define OMMA_HPP_BOXES

#include "core.hpp"

namespace omma {
inline namespace OMMA_HPP_WAY {

namespace detail {
inline OmmaBoxIouParams overlap(int32_t kind, int32_t format, int32_t offset) {
    return {sizeof(OmmaBoxIouParams), kind, format, offset};
}
}  // namespace detail

// Every box of a (N, 4) with every box of b (M, 4), to output (N, M).
inline Outcome box_iou(const Context& c, const TensorRef& a, const TensorRef& b, const TensorRef& output,
                       int32_t kind = OMMA_IOU, int32_t format = OMMA_BOX_XYXY, int32_t offset = 0) {
    const auto p = detail::overlap(kind, format, offset);
    return check(omma_box_iou(c.get(), &p, a, b, output));
}

// Each box of a (N, 4) with the box of b (N, 4) at the same index, to output (N).
inline Outcome box_iou_elementwise(const Context& c, const TensorRef& a, const TensorRef& b, const TensorRef& output,
                                   int32_t kind = OMMA_IOU, int32_t format = OMMA_BOX_XYXY, int32_t offset = 0) {
    const auto p = detail::overlap(kind, format, offset);
    return check(omma_box_iou_elementwise(c.get(), &p, a, b, output));
}

// How boxes suppress one another; every setter returns the object.
class NmsOptions {
public:
    explicit NmsOptions(double iou_threshold) { params_.iou_threshold = iou_threshold; }
    NmsOptions& score_threshold(double threshold) {
        params_.flags |= OMMA_NMS_SCORE_THRESHOLD;
        params_.score_threshold = threshold;
        return *this;
    }
    NmsOptions& max_output(int64_t count) { params_.max_output = count; return *this; }
    NmsOptions& max_candidates(int64_t count) { params_.max_candidates = count; return *this; }
    // An OMMA_BOX_….
    NmsOptions& format(int32_t format) { params_.format = format; return *this; }
    NmsOptions& offset(int32_t offset) { params_.offset = offset; return *this; }
    // An OMMA_OVERLAP_….
    NmsOptions& overlap(int32_t overlap) { params_.overlap = overlap; return *this; }
    const OmmaNmsParams* get() const { return &params_; }

private:
    OmmaNmsParams params_ = params<OmmaNmsParams>();
};

// The kept boxes, best first, to the first `count` elements of `kept`. When it is too short the
// failure is OMMA_BUFFER_TOO_SMALL, and `count` the length that is needed.
inline Outcome nms(const Context& c, const NmsOptions& options, const TensorRef& boxes, const TensorRef& scores,
                   const TensorRef& kept, int64_t& count) {
    return check(omma_nms(c.get(), options.get(), boxes, scores, kept, &count));
}

// As nms, among the boxes of each class alone; classes are int64 or int32.
inline Outcome batched_nms(const Context& c, const NmsOptions& options, const TensorRef& boxes,
                           const TensorRef& scores, const TensorRef& classes, const TensorRef& kept, int64_t& count) {
    return check(omma_batched_nms(c.get(), options.get(), boxes, scores, classes, kept, &count));
}

namespace detail {
// Runs `suppress(indices, &count)` with room for all in `kept`, which is then as long as there are.
template <typename Suppress>
Outcome fill(std::vector<int64_t>& kept, const Tensor<const float>& scores, Suppress suppress) {
    int64_t room = scores.size(), count = 0;
    kept.resize(static_cast<size_t>(room > 0 ? room : 0));
    const Tensor<int64_t> indices(kept.data(), {static_cast<int64_t>(kept.size())});
    const OmmaStatus status = suppress(static_cast<const OmmaTensor*>(TensorRef(indices)), &count);
    kept.resize(static_cast<size_t>(status == OMMA_OK ? count : 0));
    return check(status);
}
}  // namespace detail

// The same to a vector, which is made as long as there are.
inline Outcome nms(const Context& c, const NmsOptions& options, const TensorRef& boxes, Tensor<const float> scores,
                   std::vector<int64_t>& kept) {
    return detail::fill(kept, scores, [&](auto... to) { return omma_nms(c.get(), options.get(), boxes, TensorRef(scores), to...); });
}
inline Outcome batched_nms(const Context& c, const NmsOptions& options, const TensorRef& boxes,
                           Tensor<const float> scores, const TensorRef& classes, std::vector<int64_t>& kept) {
    return detail::fill(kept, scores, [&](auto... to) { return omma_batched_nms(c.get(), options.get(), boxes, TensorRef(scores), classes, to...); });
}

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_BOXES
