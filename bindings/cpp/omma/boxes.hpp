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

// Every box of a (N, 6) with every box of b (M, 6), in space, to output (N, M).
inline Outcome box_iou_3d(const Context& c, const TensorRef& a, const TensorRef& b, const TensorRef& output) {
    return check(omma_box_iou_3d(c.get(), a, b, output));
}

// Boxes (..., 4) in another OMMA_BOX_…; output may be the very array boxes.
inline Outcome box_convert(const Context& c, const TensorRef& boxes, const TensorRef& output, int32_t in_fmt, int32_t out_fmt) {
    auto p = params<OmmaBoxConvertParams>();
    p.in_fmt = in_fmt;
    p.out_fmt = out_fmt;
    return check(omma_box_convert(c.get(), &p, boxes, output));
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
OmmaStatus filled(std::vector<int64_t>& kept, const Tensor<const float>& scores, Suppress suppress) {
    int64_t room = scores.size(), count = 0;
    kept.resize(static_cast<size_t>(room > 0 ? room : 0));
    const Tensor<int64_t> indices(kept.data(), {static_cast<int64_t>(kept.size())});
    const OmmaStatus status = suppress(static_cast<const OmmaTensor*>(TensorRef(indices)), &count);
    kept.resize(static_cast<size_t>(status == OMMA_OK ? count : 0));
    return status;
}
}  // namespace detail

// The same to a vector, which is made as long as there are.
inline Outcome nms(const Context& c, const NmsOptions& options, const TensorRef& boxes, Tensor<const float> scores,
                   std::vector<int64_t>& kept) {
    return check(detail::filled(kept, scores, [&](auto... to) { return omma_nms(c.get(), options.get(), boxes, TensorRef(scores), to...); }));
}
inline Outcome batched_nms(const Context& c, const NmsOptions& options, const TensorRef& boxes,
                           Tensor<const float> scores, const TensorRef& classes, std::vector<int64_t>& kept) {
    return check(detail::filled(kept, scores, [&](auto... to) { return omma_batched_nms(c.get(), options.get(), boxes, TensorRef(scores), classes, to...); }));
}

// In each of B images: boxes (B, N, 4), scores (B, N), classes (B, N) or none, to indices (B, K) and counts (B).
inline Outcome nms_per_image(const Context& c, const NmsOptions& options, const TensorRef& boxes, const TensorRef& scores,
                             const TensorRef& indices, const TensorRef& counts, const TensorRef& classes = {}) {
    return check(omma_nms_per_image(c.get(), options.get(), boxes, scores, classes, indices, counts));
}

// How overlap lowers scores one box after the other; every setter returns the object.
class SoftNmsOptions {
public:
    // An OMMA_SOFT_NMS_….
    SoftNmsOptions& method(int32_t method) { params_.method = method; return *this; }
    SoftNmsOptions& sigma(float sigma) { params_.sigma = sigma; return *this; }
    SoftNmsOptions& iou_threshold(double threshold) {
        params_.flags |= OMMA_SOFT_NMS_IOU_THRESHOLD;
        params_.iou_threshold = threshold;
        return *this;
    }
    SoftNmsOptions& score_threshold(double threshold) {
        params_.flags |= OMMA_SOFT_NMS_SCORE_THRESHOLD;
        params_.score_threshold = threshold;
        return *this;
    }
    SoftNmsOptions& max_output(int64_t count) { params_.max_output = count; return *this; }
    SoftNmsOptions& format(int32_t format) { params_.format = format; return *this; }
    SoftNmsOptions& offset(int32_t offset) { params_.offset = offset; return *this; }
    const OmmaSoftNmsParams* get() const { return &params_; }

private:
    OmmaSoftNmsParams params_ = params<OmmaSoftNmsParams>();
};

// How overlap lowers all scores at once; every setter returns the object.
class MatrixNmsOptions {
public:
    // An OMMA_MATRIX_NMS_….
    MatrixNmsOptions& method(int32_t method) { params_.method = method; return *this; }
    MatrixNmsOptions& sigma(float sigma) { params_.sigma = sigma; return *this; }
    MatrixNmsOptions& score_threshold(double threshold) {
        params_.flags |= OMMA_MATRIX_NMS_SCORE_THRESHOLD;
        params_.score_threshold = threshold;
        return *this;
    }
    MatrixNmsOptions& post_threshold(double threshold) { params_.post_threshold = threshold; return *this; }
    MatrixNmsOptions& max_output(int64_t count) { params_.max_output = count; return *this; }
    MatrixNmsOptions& max_candidates(int64_t count) { params_.max_candidates = count; return *this; }
    MatrixNmsOptions& format(int32_t format) { params_.format = format; return *this; }
    MatrixNmsOptions& offset(int32_t offset) { params_.offset = offset; return *this; }
    const OmmaMatrixNmsParams* get() const { return &params_; }

private:
    OmmaMatrixNmsParams params_ = params<OmmaMatrixNmsParams>();
};

// The kept boxes and their lowered scores to the first `count` elements of both; too short as with nms.
inline Outcome soft_nms(const Context& c, const SoftNmsOptions& options, const TensorRef& boxes, const TensorRef& scores,
                        const TensorRef& kept, const TensorRef& kept_scores, int64_t& count) {
    return check(omma_soft_nms(c.get(), options.get(), boxes, scores, kept, kept_scores, &count));
}
// classes are int64 or int32, or none.
inline Outcome matrix_nms(const Context& c, const MatrixNmsOptions& options, const TensorRef& boxes,
                          const TensorRef& scores, const TensorRef& classes, const TensorRef& kept,
                          const TensorRef& kept_scores, int64_t& count) {
    return check(omma_matrix_nms(c.get(), options.get(), boxes, scores, classes, kept, kept_scores, &count));
}

// The same to vectors, which are made as long as there are.
inline Outcome soft_nms(const Context& c, const SoftNmsOptions& options, const TensorRef& boxes,
                        Tensor<const float> scores, std::vector<int64_t>& kept, std::vector<float>& kept_scores) {
    kept_scores.resize(static_cast<size_t>(scores.size() > 0 ? scores.size() : 0));
    const Tensor<float> values(kept_scores.data(), {static_cast<int64_t>(kept_scores.size())});
    const OmmaStatus status = detail::filled(kept, scores, [&](const OmmaTensor* indices, int64_t* count) {
        return omma_soft_nms(c.get(), options.get(), boxes, TensorRef(scores), indices, TensorRef(values), count);
    });
    kept_scores.resize(kept.size());
    return check(status);
}
inline Outcome matrix_nms(const Context& c, const MatrixNmsOptions& options, const TensorRef& boxes,
                          Tensor<const float> scores, const TensorRef& classes, std::vector<int64_t>& kept,
                          std::vector<float>& kept_scores) {
    kept_scores.resize(static_cast<size_t>(scores.size() > 0 ? scores.size() : 0));
    const Tensor<float> values(kept_scores.data(), {static_cast<int64_t>(kept_scores.size())});
    const OmmaStatus status = detail::filled(kept, scores, [&](const OmmaTensor* indices, int64_t* count) {
        return omma_matrix_nms(c.get(), options.get(), boxes, TensorRef(scores), classes, indices, TensorRef(values), count);
    });
    kept_scores.resize(kept.size());
    return check(status);
}

// How a head of YOLO is read; every setter returns the object.
class YoloOptions {
public:
    // head is an OMMA_YOLO_….
    explicit YoloOptions(double score_threshold, int32_t head = OMMA_YOLO_V8) {
        params_.score_threshold = score_threshold;
        params_.head = head;
    }
    // OMMA_YOLO_PROBABILITIES or OMMA_YOLO_LOGITS.
    YoloOptions& values(int32_t values) { params_.values = values; return *this; }
    YoloOptions& multi_label() { params_.flags |= OMMA_YOLO_MULTI_LABEL; return *this; }
    YoloOptions& num_classes(int64_t count) { params_.num_classes = count; return *this; }
    // Of a grid.
    YoloOptions& stride(float stride) { params_.stride = stride; return *this; }
    YoloOptions& scale_xy(float scale) { params_.scale_xy = scale; return *this; }
    const OmmaYoloDecodeParams* get() const { return &params_; }

private:
    OmmaYoloDecodeParams params_ = params<OmmaYoloDecodeParams>();
};

// What passes the threshold, to the first `count` rows of boxes (K, 4), scores (K), classes (K) and, where present,
// indices (K), and how many each image has to counts (B). Grids need anchors (A, 2).
inline Outcome yolo_decode(const Context& c, const YoloOptions& options, const TensorRef& head, const TensorRef& anchors,
                           const TensorRef& boxes, const TensorRef& scores, const TensorRef& classes, int64_t& count,
                           const TensorRef& indices = {}, const TensorRef& counts = {}) {
    return check(omma_yolo_decode(c.get(), options.get(), head, anchors, boxes, scores, classes, indices, counts, &count));
}

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_BOXES
