#include "mtcnn.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace {

constexpr float kPnetScore = 0.6f, kRnetScore = 0.7f, kOnetScore = 0.7f;
constexpr int64_t kRnetSide = 24, kOnetSide = 48;
// Crops in one run of R-Net or O-Net: enough to fill the kernels, few enough that a layer's
// output stays in the cache for the next layer.
constexpr size_t kBatch = 16;

class Stopwatch {
public:
    double lap() {
        const auto now = std::chrono::steady_clock::now();
        const double milliseconds = std::chrono::duration<double, std::milli>(now - start_).count();
        start_ = now;
        return milliseconds;
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Boxes and scores as the flat arrays that omma takes.
struct Flat {
    explicit Flat(const std::vector<Candidate>& candidates) {
        for (const Candidate& candidate : candidates) {
            const Box& box = candidate.box;
            for (double side : {box.left, box.top, box.right, box.bottom}) boxes.push_back(static_cast<float>(side));
            scores.push_back(candidate.score);
        }
    }
    omma::Tensor<const float> boxes_view() const { return {boxes.data(), {static_cast<int64_t>(scores.size()), 4}}; }
    omma::Tensor<const float> scores_view() const { return {scores.data(), {static_cast<int64_t>(scores.size())}}; }

    std::vector<float> boxes, scores;
};

std::vector<Candidate> pick(const std::vector<Candidate>& candidates, const std::vector<int64_t>& kept) {
    std::vector<Candidate> picked;
    picked.reserve(kept.size());
    for (int64_t index : kept) picked.push_back(candidates[static_cast<size_t>(index)]);
    return picked;
}

// Non-maximum suppression; sides are inclusive, so a box is right - left + 1 wide (offset 1).
std::vector<Candidate> suppress(omma::Context& context, const std::vector<Candidate>& candidates, double threshold,
                                int32_t overlap = OMMA_OVERLAP_UNION) {
    const Flat flat(candidates);
    const auto options = omma::NmsOptions(threshold).offset(1).overlap(overlap);
    std::vector<int64_t> kept;
    omma::nms(context, options, flat.boxes_view(), flat.scores_view(), kept);
    return pick(candidates, kept);
}

// Samples from 0..255 to -1..1, nearly: what the networks were trained on. Sizes change by area.
OmmaImageToTensorParams normalised(int32_t layout) {
    auto params = omma::params<OmmaImageToTensorParams>();
    params.interpolation = OMMA_INTERPOLATION_AREA;
    params.scale = 1.0f;
    params.layout = layout;
    for (float& mean : params.mean) mean = 127.5f;
    for (float& std : params.std) std = 128.0f;
    return params;
}

}  // namespace

Mtcnn::Mtcnn(omma::Context& context, const Weights& weights)
    : context_(context),
      pnet_(context, weights, "pnet", {2, 0, 0}, OMMA_LAYOUT_NCHW),
      rnet_(context, weights, "rnet", {3, 3, 0}, OMMA_LAYOUT_NHWC),
      onet_(context, weights, "onet", {3, 3, 2, 0}, OMMA_LAYOUT_NHWC) {}

std::vector<Face> Mtcnn::detect(const Picture& picture, int min_face, Profile& profile) {
    profile = {};
    Stopwatch whole, stage;
    std::vector<Candidate> candidates = propose(picture, min_face, profile);
    profile.pnet = stage.lap() - profile.pyramid;
    profile.pnet_boxes = candidates.size();
    candidates = refine(picture, candidates);
    profile.rnet = stage.lap();
    profile.rnet_boxes = candidates.size();
    candidates = output(picture, candidates);
    profile.onet = stage.lap();
    profile.faces = candidates.size();
    profile.total = whole.lap();

    std::vector<Face> faces;
    for (const Candidate& found : candidates)
        faces.push_back({found.box, found.score, found.landmark_x, found.landmark_y});
    return faces;
}

// P-Net over the pyramid.
std::vector<Candidate> Mtcnn::propose(const Picture& picture, int min_face, Profile& profile) {
    const omma::Tensor<const uint8_t> image{picture.pixels, {picture.height, picture.width, 3}};
    std::vector<Candidate> candidates;
    std::vector<int64_t> levels;
    int64_t level_index = 0;
    for (double scale : pyramid_scales(picture.width, picture.height, min_face)) {
        Stopwatch watch;
        const auto height = static_cast<int64_t>(std::ceil(static_cast<double>(picture.height) * scale));
        const auto width = static_cast<int64_t>(std::ceil(static_cast<double>(picture.width) * scale));
        const auto pixels = static_cast<size_t>(3 * height * width);
        tensor_.resize(std::max(tensor_.size(), pixels));
        const omma::Tensor<float> input{tensor_.data(), {1, 3, height, width}};
        omma::image_to_tensor(context_, normalised(OMMA_LAYOUT_NCHW), image, input);
        profile.pyramid += watch.lap();

        // Channels of the map: two logits, four offsets.
        const omma::Tensor<const float> map = pnet_.run(context_, input);
        const int64_t rows = map.shape(2), columns = map.shape(3), cells = rows * columns;
        scores_.resize(std::max(scores_.size(), static_cast<size_t>(2 * cells)));
        omma::softmax(context_, omma::Tensor<const float>{map.data(), {2, rows, columns}},
                      omma::Tensor<float>{scores_.data(), {2, rows, columns}}, /*axis=*/0);
        const float* face = scores_.data() + cells;
        const float* offsets = map.data() + 2 * cells;
        for (int64_t cell = 0; cell < cells; ++cell) {
            if (face[cell] < kPnetScore) continue;
            candidates.push_back({pnet_window(cell % columns, cell / columns, scale), face[cell],
                                  {offsets[cell], offsets[cells + cell], offsets[2 * cells + cell], offsets[3 * cells + cell]}});
            levels.push_back(level_index);
        }
        ++level_index;
    }
    if (candidates.empty()) return {};

    // First within each level, then between levels.
    const Flat flat(candidates);
    std::vector<int64_t> kept;
    omma::batched_nms(context_, omma::NmsOptions(0.5).offset(1), flat.boxes_view(), flat.scores_view(),
                      omma::view(std::as_const(levels), {static_cast<int64_t>(levels.size())}), kept);
    candidates = suppress(context_, pick(candidates, kept), 0.7);
    for (Candidate& candidate : candidates)
        candidate.box = truncated(squared(moved(candidate.box, candidate.offsets, 0.0)));
    return candidates;
}

// Cut every candidate out of the picture, bring it to side x side, run the network on batches,
// and hand each candidate with its probability and its row of outputs to `accept`.
template <typename Accept>
void Mtcnn::look_closer(const Picture& picture, const std::vector<Candidate>& candidates, Network& network,
                        int64_t side, Accept accept) {
    const auto crop_size = static_cast<size_t>(3 * side * side);
    for (size_t first = 0; first < candidates.size(); first += kBatch) {
        const size_t count = std::min(kBatch, candidates.size() - first);
        tensor_.resize(std::max(tensor_.size(), count * crop_size));
        for (size_t i = 0; i < count; ++i) {
            const Window window = crop_window(candidates[first + i].box);
            const omma::Tensor<float> crop{tensor_.data() + i * crop_size, {side, side, 3}};
            const int64_t stride = 3 * picture.width;
            if (window.inside(picture.width, picture.height)) {
                // A view of the picture: nothing is copied.
                const omma::Tensor<const uint8_t> region{picture.pixels + window.y * stride + window.x * 3,
                                                         {window.height, window.width, 3}, {stride, 3, 1}};
                omma::image_to_tensor(context_, normalised(OMMA_LAYOUT_NHWC), region, crop);
                continue;
            }
            // What lies outside the picture is black.
            padded_.assign(static_cast<size_t>(3 * window.width * window.height), 0);
            const int64_t left = std::max<int64_t>(window.x, 0), right = std::min(window.x + window.width, picture.width);
            for (int64_t y = std::max<int64_t>(window.y, 0); y < std::min(window.y + window.height, picture.height); ++y)
                std::copy_n(picture.pixels + y * stride + left * 3, (right - left) * 3,
                            padded_.data() + ((y - window.y) * window.width + left - window.x) * 3);
            const omma::Tensor<const uint8_t> region{padded_.data(), {window.height, window.width, 3}};
            omma::image_to_tensor(context_, normalised(OMMA_LAYOUT_NHWC), region, crop);
        }
        const auto batch = static_cast<int64_t>(count);
        const omma::Tensor<const float> rows =
            network.run(context_, omma::Tensor<const float>{tensor_.data(), {batch, side, side, 3}});
        const int64_t outputs = rows.shape(1);
        scores_.resize(std::max(scores_.size(), 2 * count));
        omma::softmax(context_, omma::Tensor<const float>{rows.data(), {batch, 2}, {outputs, 1}},
                      omma::Tensor<float>{scores_.data(), {batch, 2}}, /*axis=*/1);
        for (size_t i = 0; i < count; ++i)
            accept(candidates[first + i], scores_[2 * i + 1], rows.data() + static_cast<int64_t>(i) * outputs + 2);
    }
}

namespace {

// Boxes that lie wholly outside the picture, or have no area, show nothing to look at.
std::vector<Candidate> visible(const Picture& picture, std::vector<Candidate> candidates) {
    candidates.erase(std::remove_if(candidates.begin(), candidates.end(),
                                    [&](const Candidate& candidate) {
                                        return !crop_window(candidate.box).touches(picture.width, picture.height);
                                    }),
                     candidates.end());
    return candidates;
}

}  // namespace

std::vector<Candidate> Mtcnn::refine(const Picture& picture, const std::vector<Candidate>& candidates) {
    std::vector<Candidate> passed;
    look_closer(picture, visible(picture, candidates), rnet_, kRnetSide,
                [&](const Candidate& candidate, float score, const float* offsets) {
                    if (score > kRnetScore)
                        passed.push_back({candidate.box, score, {offsets[0], offsets[1], offsets[2], offsets[3]}});
                });
    passed = suppress(context_, passed, 0.7);
    for (Candidate& candidate : passed)
        candidate.box = truncated(squared(moved(candidate.box, candidate.offsets, 1.0)));
    return passed;
}

std::vector<Candidate> Mtcnn::output(const Picture& picture, const std::vector<Candidate>& candidates) {
    std::vector<Candidate> passed;
    look_closer(picture, visible(picture, candidates), onet_, kOnetSide,
                [&](const Candidate& candidate, float score, const float* outputs) {
                    if (score <= kOnetScore) return;
                    Candidate face{candidate.box, score, {outputs[0], outputs[1], outputs[2], outputs[3]}};
                    const double width = face.box.right - face.box.left + 1.0;
                    const double height = face.box.bottom - face.box.top + 1.0;
                    for (size_t i = 0; i < 5; ++i) {
                        face.landmark_x[i] = static_cast<float>(face.box.left - 1.0 + width * outputs[4 + i]);
                        face.landmark_y[i] = static_cast<float>(face.box.top - 1.0 + height * outputs[9 + i]);
                    }
                    face.box = moved(face.box, face.offsets, 1.0);
                    passed.push_back(face);
                });
    // Of a box inside of another one only the better stays: overlap over the smaller of the two.
    return suppress(context_, passed, 0.7, OMMA_OVERLAP_MIN);
}
