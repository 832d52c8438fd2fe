// omma.hpp as a C++17 program uses it, and OmmaTensor held against DLPack's own header.
#include <dlpack/dlpack.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#if __cplusplus >= 202002L
#include <span>
#endif
#include <string>
#include <thread>
#include <vector>

#include "omma.hpp"

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);  \
            std::exit(1);                                                         \
        }                                                                         \
    } while (0)

// A DLTensor is an OmmaTensor, field by field.
#define SAME_PLACE(ours, theirs)                                                            \
    static_assert(offsetof(OmmaTensor, ours) == offsetof(DLTensor, theirs) &&               \
                  sizeof(OmmaTensor::ours) == sizeof(DLTensor::theirs), #ours)
static_assert(sizeof(OmmaTensor) == sizeof(DLTensor) && alignof(OmmaTensor) == alignof(DLTensor), "size");
SAME_PLACE(data, data);
SAME_PLACE(device, device);
SAME_PLACE(ndim, ndim);
SAME_PLACE(dtype, dtype);
SAME_PLACE(shape, shape);
SAME_PLACE(strides, strides);
SAME_PLACE(byte_offset, byte_offset);
static_assert(offsetof(OmmaDevice, device_type) == offsetof(DLDevice, device_type), "device_type");
static_assert(offsetof(OmmaDevice, device_id) == offsetof(DLDevice, device_id), "device_id");
static_assert(offsetof(OmmaDataType, code) == offsetof(DLDataType, code), "code");
static_assert(offsetof(OmmaDataType, bits) == offsetof(DLDataType, bits), "bits");
static_assert(offsetof(OmmaDataType, lanes) == offsetof(DLDataType, lanes), "lanes");
static_assert(OMMA_DEVICE_CPU == kDLCPU && OMMA_DTYPE_INT == kDLInt && OMMA_DTYPE_UINT == kDLUInt &&
                  OMMA_DTYPE_FLOAT == kDLFloat,
              "constants");

static void dlpack(const omma::Context& context) {
    std::vector<float> x{-1, 2, -3, 4}, y(4);
    int64_t shape[] = {2, 2}, strides[] = {1, 2};
    DLTensor in{};
    in.data = x.data();
    in.device = {kDLCPU, 0};
    in.ndim = 2;
    in.dtype = {kDLFloat, 32, 1};
    in.shape = shape;
    in.strides = strides;
    omma::relu(context, omma::from_dlpack(&in), omma::view(y, {2, 2}));
    CHECK((y == std::vector<float>{0, 0, 2, 4}));
}

static void errors(const omma::Context& context) {
    std::vector<float> x(6), y(6, 7);
    try {
        omma::relu(context, omma::view(x, {2, 3}), omma::view(y, {3, 2}));
        CHECK(false);
    } catch (const omma::Error& error) {
        CHECK(error.status() == OMMA_SHAPE_MISMATCH);
        CHECK(std::string(error.what()).find("relu: output") == 0);
    }
    CHECK((y == std::vector<float>(6, 7)));
    try {
        omma::Context broken(-3);
        CHECK(false);
    } catch (const omma::Error& error) {
        CHECK(error.status() == OMMA_INVALID_ARGUMENT);
    }
    // More dimensions than a tensor can have are an error like any other.
    try {
        omma::relu(context, omma::view(x, {1, 1, 1, 1, 1, 1, 1, 1, 6}), omma::view(y, {6}));
        CHECK(false);
    } catch (const omma::Error& error) {
        CHECK(error.status() == OMMA_INVALID_ARGUMENT);
    }
}

// Whatever has data() and size(): constness is that of its elements, and it must be large enough.
static void views(const omma::Context& context) {
    const std::array<float, 3> x{-1, 2, -3};
    float storage[4] = {9, 9, 9, 9};
    std::vector<float> y(4, 9);
    omma::relu(context, omma::view(x, {3}), omma::view(y, {3}));
    CHECK((y == std::vector<float>{0, 2, 0, 9}));
    static_assert(std::is_same_v<decltype(omma::view(x, {3})), omma::Tensor<const float>>);
    static_assert(std::is_same_v<decltype(omma::view(y, {3})), omma::Tensor<float>>);
    static_assert(std::is_same_v<decltype(omma::view(std::as_const(y), {3})), omma::Tensor<const float>>);
    static_assert(std::is_same_v<decltype(omma::view(storage, {4})), omma::Tensor<float>>);
#ifdef __cpp_lib_span
    const std::span<float> shown(storage, 3);
    omma::relu(context, omma::view(std::span(x), {3}), omma::view(shown, {3}));
    CHECK(storage[1] == 2 && storage[3] == 9);
    static_assert(std::is_same_v<decltype(omma::view(std::span(x), {3})), omma::Tensor<const float>>);
#endif
    for (const omma::Dims& shape : {omma::Dims{5}, omma::Dims{2, 3}, omma::Dims{int64_t{1} << 32, int64_t{1} << 32}}) {
        try {
            omma::view(y, shape);
            CHECK(false);
        } catch (const omma::Error& error) {
            CHECK(error.status() == OMMA_SHAPE_MISMATCH);
            CHECK(std::string(error.what()).find("view: the container has 4 elements") == 0);
        }
    }
    // Nothing fits anywhere; a size below zero is for the call to refuse.
    CHECK(omma::view(y, {0, 100}).size() == 0);
    try {
        omma::relu(context, omma::view(y, {-1}), omma::view(y, {-1}));
        CHECK(false);
    } catch (const omma::Error& error) {
        CHECK(error.status() == OMMA_INVALID_ARGUMENT);
    }
}

static void convolution(const omma::Context& context) {
    // 1x1 with weights (1, 2) over two channels, residual, PReLU.
    std::vector<float> x{1, 2, 3, 4}, w{1, -2}, bias{0.5f}, slope{0.1f}, residual{10, -10}, y(2);
    const auto input = omma::view(std::as_const(x), {1, 2, 1, 2});
    const omma::Conv2d plan(context, omma::view(w, {1, 2, 1, 1}), omma::view(bias, {1}),
                            omma::Conv2dOptions().prelu(omma::view(std::as_const(slope), {1})));
    CHECK(!plan.describe().empty());
    int64_t h = 0, width = 0;
    plan.output_shape(1, 2, h, width);
    CHECK(h == 1 && width == 2);
    plan.run(context, input, omma::view(y, {1, 1, 1, 2}), omma::view(residual, {1, 1, 1, 2}));
    CHECK(std::fabs(y[0] - 5.5f) < 1e-6f && std::fabs(y[1] + 1.55f) < 1e-6f);
    // Each pixel becomes a square.
    const float pixels[] = {1, 2}, square[] = {1, 10, 100, 1000};
    float squares[8] = {};
    const omma::Tensor<const float> small{pixels, {1, 1, 1, 2}}, window{square, {1, 1, 2, 2}};
    const omma::Tensor<float> large{squares, {1, 1, 2, 4}};
    const auto apart = omma::ConvTranspose2dOptions().stride(2);
    omma::conv_transpose2d(context, small, window, nullptr, large, apart);
    CHECK(squares[0] == 1 && squares[3] == 20 && squares[4] == 100 && squares[7] == 2000);
    const omma::ConvTranspose2d transposed(context, window, nullptr, apart);
    int64_t rows = 0, columns = 0;
    transposed.output_shape(1, 2, rows, columns);
    CHECK(rows == 2 && columns == 4);
    CHECK(transposed.describe().find("4 convolutions") == 0);
    const float half[] = {0, 0, 0.5f, 0.5f}, double_[] = {2};
    float between[2] = {};
    omma::deform_conv2d(context, small, omma::Tensor<const float>{half, {1, 2, 1, 2}}, omma::Tensor<const float>{double_, {1, 1, 1, 1}}, nullptr,
                        nullptr, omma::Tensor<float>{between, {1, 1, 1, 2}}, omma::DeformConv2dOptions().stride(1));
    CHECK(between[0] == 3 && between[1] == 2);
    squares[7] = 0;
    transposed.run(context, small, large);
    CHECK(squares[7] == 2000);
    // Folded: (v - 1) / sqrt(4) * 2 + 3; merged with an identity; averaged over two columns.
    const float two[] = {2}, one[] = {1}, three[] = {3}, four[] = {4};
    float folded[1] = {}, shifted[1] = {}, wide[2] = {};
    const auto value = [](const float* at) { return omma::Tensor<const float>{at, {1}}; };
    const omma::Tensor<const float> kernel{two, {1, 1, 1, 1}};
    omma::fold_batch_norm(context, kernel, nullptr, value(two), value(three), value(one), value(four),
                          omma::Tensor<float>{folded, {1, 1, 1, 1}}, omma::Tensor<float>{shifted, {1}}, 1e-9f);
    CHECK(folded[0] == 2 && shifted[0] == 2);
    omma::merge_parallel_conv2d(context, kernel, value(one), omma::Tensor<const float>{one, {1, 1, 1, 1}}, nullptr,
                                omma::Tensor<float>{folded, {1, 1, 1, 1}}, omma::Tensor<float>{shifted, {1}});
    CHECK(folded[0] == 3 && shifted[0] == 1);
    auto pooling = omma::params<OmmaMergeConv2dAvgPool2dParams>();
    pooling.kernel_size[0] = 1;
    pooling.kernel_size[1] = 2;
    omma::merge_conv2d_avg_pool2d(context, pooling, kernel, omma::Tensor<float>{wide, {1, 1, 1, 2}});
    CHECK(wide[0] == 1 && wide[1] == 1);
    const OmmaWindow layers[] = {{7, 2, 3, 1}, {3, 2, 1, 0}};
    OmmaReceptiveField field{};
    omma::receptive_field(layers, 2, field);
    CHECK(field.size == 11 && field.stride == 4 && field.start == -5);
    CHECK(omma_receptive_field(nullptr, 0, &field) == OMMA_OK && field.size == 1);
    CHECK(omma_receptive_field(nullptr, 1, &field) == OMMA_INVALID_ARGUMENT && field.size == 1);
    CHECK(omma_receptive_field(layers, 2, nullptr) == OMMA_INVALID_ARGUMENT);
    omma::Conv2d moved = omma::Conv2d(context, omma::view(w, {1, 2, 1, 1}), nullptr);
    moved.run(context, input, omma::view(y, {1, 1, 1, 2}));
    CHECK(y[0] == -5 && y[1] == -6);
}

static void matrices(const omma::Context& context) {
    std::vector<float> a{1, 2, 3, 4, 5, 6}, b{1, 0, 0, 1, 1, 1}, c(4), bias{100, -100};
    omma::matmul(context, omma::view(a, {2, 3}), omma::view(b, {3, 2}), omma::view(c, {2, 2}));
    CHECK((c == std::vector<float>{4, 5, 10, 11}));
    // b transposed, by strides: (out, in).
    const omma::Linear plan(context, omma::view(b.data(), {2, 3}, {1, 2}), omma::view(bias, {2}), OMMA_ACTIVATION_RELU);
    plan.run(context, omma::view(a, {2, 3}), omma::view(c, {2, 2}));
    CHECK((c == std::vector<float>{104, 0, 110, 0}));
    omma::linear(context, omma::view(a, {2, 3}), omma::view(b.data(), {2, 3}, {1, 2}), omma::view(bias, {2}),
                 omma::view(c, {2, 2}), OMMA_ACTIVATION_LEAKY_RELU, 0.5f);
    CHECK((c == std::vector<float>{104, -47.5f, 110, -44.5f}));
}

static void transformers(const omma::Context& context) {
    const std::vector<float> zeros(4), v{1, 2, 3, 4}, gamma{1, 2}, beta{0, 1};
    const auto q = omma::view(zeros, {1, 1, 2, 2});
    const auto values = omma::view(v, {1, 1, 2, 2});
    std::vector<float> y(4), logs(2);
    omma::attention(context, omma::AttentionOptions().causal(), q, q, values, nullptr, omma::view(y, {1, 1, 2, 2}),
                    omma::view(logs, {1, 1, 2}));
    CHECK((y == std::vector<float>{1, 2, 2, 3}) && logs[0] == 0 && std::fabs(logs[1] - std::log(2.0f)) < 1e-6f);
    const bool seen[] = {false, true};
    omma::attention(context, omma::AttentionOptions().scale(2).softcap(3), q, q, values, omma::view(seen, {2}),
                    omma::view(y, {1, 1, 2, 2}));
    CHECK((y == std::vector<float>{3, 4, 3, 4}));
    const std::vector<float> x{1, 3, 5, 9};
    std::vector<float> sum(4);
    omma::layer_norm(context, omma::view(x, {2, 2}), omma::view(gamma, {2}), omma::view(beta, {2}),
                     omma::view(y, {2, 2}), 0);
    CHECK((y == std::vector<float>{-1, 3, -1, 3}));
    omma::add_layer_norm(context, omma::view(x, {2, 2}), omma::view(x, {2, 2}), nullptr, nullptr,
                         omma::view(y, {2, 2}), omma::view(sum, {2, 2}), 0);
    CHECK((y == std::vector<float>{-1, 1, -1, 1}) && (sum == std::vector<float>{2, 6, 10, 18}));
    const std::vector<float> equal{2, -2, 3, 3};
    omma::rms_norm(context, omma::view(equal, {2, 2}), omma::view(gamma, {2}), omma::view(y, {2, 2}), 0);
    CHECK((y == std::vector<float>{1, -2, 1, 2}));
    omma::add_rms_norm(context, omma::view(equal, {2, 2}), omma::view(equal, {2, 2}), nullptr, omma::view(y, {2, 2}),
                       omma::view(sum, {2, 2}), 0);
    CHECK((y == std::vector<float>{1, -1, 1, 1}) && sum[0] == 4);
}

static void transformer_blocks(const omma::Context& context) {
    const std::vector<float> eye{1, 0, 0, 1}, zeros(12), x{1, 3, 5, 9}, ones{1, 1};
    std::vector<float> y(4);
    const auto rows = omma::view(x, {1, 2, 2});
    const auto out = omma::view(y, {1, 2, 2});
    const auto square = omma::view(eye, {2, 2});
    const auto none = omma::view(zeros.data(), {2, 2});
    omma::positional_encoding(context, omma::view(y, {2, 2}));
    CHECK(y[0] == 0 && y[1] == 1 && std::fabs(y[2] - std::sin(1.0f)) < 1e-6f && std::fabs(y[3] - std::cos(1.0f)) < 1e-6f);
    // Without queries every key counts the same: the mean of both rows, and the first row where the second is hidden.
    const omma::MultiHeadWeights weights{{none}, {square}, {square}, {square, omma::view(ones, {2})}};
    const bool seen[] = {true, false};
    omma::multi_head_attention(context, omma::MultiHeadAttentionOptions(2).scale(2).softcap(3), rows, rows, rows, weights,
                               nullptr, out);
    CHECK((y == std::vector<float>{4, 7, 4, 7}));
    const omma::MultiHeadAttention attention(context, omma::MultiHeadAttentionOptions(2, 1).causal(1),
                                             {{none}, {omma::view(zeros.data(), {1, 2})}, {omma::view(ones, {1, 2})}, {square}});
    CHECK(!attention.describe().empty());
    attention.run(context, rows, rows, rows, omma::view(seen, {2}), rows, out);
    CHECK((y == std::vector<float>{5, 7, 9, 13}));
    const omma::FeedForward network(context, {square, omma::view(zeros.data(), {2})}, {square}, OMMA_ACTIVATION_LEAKY_RELU,
                                    0.5f);
    CHECK(!network.describe().empty());
    network.run(context, rows, rows, out);
    CHECK((y == std::vector<float>{2, 6, 10, 18}));
    const auto w3 = omma::view(zeros.data(), {6, 2});
    const omma::TransformerEncoderLayerWeights layer_weights{{w3}, {square}, {square}, {none}, {}, {omma::view(ones, {2})}};
    const omma::TransformerEncoderLayer layer(
        context, omma::TransformerEncoderLayerOptions(1).activation(OMMA_ACTIVATION_GELU).eps(0), layer_weights);
    CHECK(!layer.describe().empty());
    layer.run(context, rows, nullptr, out);
    CHECK((y == std::vector<float>{-1, 1, -1, 1}));
    const omma::TransformerEncoderLayer first(context, omma::TransformerEncoderLayerOptions(2).norm_first().causal(),
                                              layer_weights);
    first.run(context, rows, omma::view(seen, {2}), out);
    CHECK(y == x);
    std::vector<float> patches(3);
    const omma::PatchEmbedding embedding(context, omma::view(ones, {1, 1, 1, 2}), nullptr, omma::view(x.data(), {1}),
                                         omma::view(eye.data(), {3, 1}));
    CHECK(!embedding.describe().empty());
    embedding.run(context, omma::view(x, {1, 1, 2, 2}), omma::view(patches, {1, 3, 1}));
    CHECK((patches == std::vector<float>{2, 4, 14}));
}

static void boxes(const omma::Context& context) {
    const std::vector<float> corners{0, 0, 10, 10, 1, 1, 10, 10, 20, 20, 30, 30}, scores{0.5f, 0.9f, 0.3f};
    const std::vector<int64_t> classes{0, 1, 0};
    const auto b = omma::view(corners, {3, 4});
    const auto s = omma::view(scores, {3});
    std::vector<int64_t> kept;
    omma::nms(context, omma::NmsOptions(0.5), b, s, kept);
    CHECK((kept == std::vector<int64_t>{1, 2}));
    omma::batched_nms(context, omma::NmsOptions(0.5).score_threshold(0.4), b, s, omma::view(classes, {3}), kept);
    CHECK((kept == std::vector<int64_t>{1, 0}));
    std::vector<float> iou(9);
    omma::box_iou(context, b, b, omma::view(iou, {3, 3}));
    CHECK(iou[0] == 1 && std::fabs(iou[1] - 0.81f) < 1e-6f && iou[2] == 0);
    std::vector<float> pairs(3);
    omma::box_iou_elementwise(context, b, b, omma::view(pairs, {3}));
    CHECK((pairs == std::vector<float>{1, 1, 1}));
    std::vector<float> converted(corners);
    const auto in_place = omma::view(converted, {3, 4});
    omma::box_convert(context, in_place, in_place, OMMA_BOX_XYXY, OMMA_BOX_CXCYWH);
    CHECK(converted[4] == 5.5f && converted[6] == 9 && converted[8] == 25);
    const std::vector<float> cubes{0, 0, 0, 2, 2, 2, 1, 0, 0, 3, 2, 2};
    float solid[2];
    omma::box_iou_3d(context, omma::view(cubes, {1, 6}), omma::view(cubes, {2, 6}), omma::view(solid, {1, 2}));
    CHECK(solid[0] == 1 && std::fabs(solid[1] - 1.0f / 3) < 1e-6f);
    std::vector<float> lowered;
    omma::soft_nms(context, omma::SoftNmsOptions().iou_threshold(0.5), b, s, kept, lowered);
    CHECK((kept == std::vector<int64_t>{1, 2, 0}) && lowered.size() == 3 && std::fabs(lowered[2] - 0.095f) < 1e-6f);
    omma::matrix_nms(context, omma::MatrixNmsOptions().score_threshold(0.1), b, s, {}, kept, lowered);
    CHECK((kept == std::vector<int64_t>{1, 2, 0}) && std::fabs(lowered[2] - 0.095f) < 1e-6f);
    omma::matrix_nms(context, omma::MatrixNmsOptions(), b, s, omma::view(classes, {3}), kept, lowered);
    CHECK((kept == std::vector<int64_t>{1, 0, 2}) && lowered[1] == 0.5f);
    int64_t per_image[3] = {}, images[1] = {};
    omma::nms_per_image(context, omma::NmsOptions(0.5), omma::view(corners, {1, 3, 4}), omma::view(scores, {1, 3}),
                        omma::view(per_image, {1, 3}), omma::view(images, {1}));
    CHECK(images[0] == 2 && per_image[0] == 1 && per_image[1] == 2 && per_image[2] == -1);
    // Two anchors with a box and two classes each.
    const std::vector<float> head{5, 25, 5, 25, 10, 10, 10, 10, 0.1f, 0.7f, 0.2f, 0.1f};
    float found[8], found_scores[2];
    int64_t found_classes[2], found_count = 0;
    omma::yolo_decode(context, omma::YoloOptions(0.25), omma::view(head, {1, 6, 2}), {}, omma::view(found, {2, 4}),
                      omma::view(found_scores, {2}), omma::view(found_classes, {2}), found_count);
    CHECK(found_count == 1 && found[0] == 20 && found[3] == 30 && found_scores[0] == 0.7f && found_classes[0] == 0);
    // To memory of the caller: the count, and what is needed when there is too little.
    int64_t room[2] = {-7, -7}, count = 0;
    omma::nms(context, omma::NmsOptions(0.5), b, s, omma::view(room, {2}), count);
    CHECK(count == 2 && room[0] == 1 && room[1] == 2);
    try {
        omma::batched_nms(context, omma::NmsOptions(0.5), b, s, omma::view(classes, {3}), omma::view(room, {2}), count);
        CHECK(false);
    } catch (const omma::Error& error) {
        CHECK(error.status() == OMMA_BUFFER_TOO_SMALL && count == 3);
    }
}

static void regions(const omma::Context& context) {
    std::vector<float> x(16), y(4), dx(16);
    std::iota(x.begin(), x.end(), 0.0f);
    const std::vector<float> rois{0, 0, 0, 4, 4}, boxes{0, 0, 3, 3}, dy{1, 1, 1, 1};
    const std::vector<int32_t> image{0};
    const auto map = omma::view(x, {1, 1, 4, 4});
    const auto bins = omma::view(y, {1, 1, 2, 2});
    const auto align = omma::RoiAlignOptions(2, 2).aligned();
    omma::roi_align(context, align, map, omma::view(rois, {1, 5}), bins);
    CHECK((y == std::vector<float>{2.5f, 4.5f, 10.5f, 12.5f}));
    omma::roi_align_backward(context, align, omma::view(dy, {1, 1, 2, 2}), omma::view(rois, {1, 5}), {}, {},
                             omma::view(dx, {1, 1, 4, 4}));
    CHECK((dx == std::vector<float>(16, 0.25f)));
    auto largest = omma::RoiAlignOptions(1, 1).mode(OMMA_ROI_ALIGN_MAX_SAMPLE).sampling_ratio(2).spatial_scale(0.5);
    omma::roi_align(context, largest.layout(OMMA_LAYOUT_NHWC), omma::view(x, {1, 4, 4, 1}), omma::view(boxes, {1, 4}),
                    omma::view(image, {1}), omma::view(y.data(), {1, 1, 1, 1}));
    CHECK(std::fabs(y[0] - 1.125f * 5) < 1e-6f);
    std::vector<int32_t> argmax(4);
    const auto pool = omma::RoiPoolOptions(2, 2).spatial_scale(1);
    omma::roi_pool(context, pool, map, omma::view(boxes, {1, 4}), omma::view(image, {1}), bins,
                   omma::view(argmax, {1, 1, 2, 2}));
    CHECK((y == std::vector<float>{5, 7, 13, 15} && argmax == std::vector<int32_t>{5, 7, 13, 15}));
    omma::roi_pool_backward(context, pool, omma::view(dy, {1, 1, 2, 2}), omma::view(boxes, {1, 4}),
                            omma::view(image, {1}), omma::view(argmax, {1, 1, 2, 2}), omma::view(dx, {1, 1, 4, 4}));
    CHECK(dx[4] == 0 && dx[5] == 1 && dx[15] == 1);
    y.assign(4, 0);
    omma::roi_pool(context, pool, map, omma::view(rois, {1, 5}), bins);
    CHECK(y[3] == 15);
}

static int32_t stop_at_once(void* user, const OmmaKmeansProgress* progress) {
    *static_cast<int64_t*>(user) = progress->iteration;
    return 1;
}

static void clusters(const omma::Context& context) {
    const std::vector<float> points{0, 0, 1, 0, 0, 1, 9, 9, 8, 9}, first{0, 0, 9, 9};
    const std::vector<float> weights{1, 1, 1, 1, 3}, covariance{4, 0, 0, 1};
    const auto x = omma::view(points, {5, 2}), start = omma::view(first, {2, 2});
    std::vector<float> distances(10), squares(5), centroids(4);
    std::vector<int64_t> labels(5);
    omma::pairwise_distance(context, x, start, omma::view(distances, {5, 2}));
    CHECK(distances[0] == 0 && distances[2] == 1 && distances[7] == 0 && distances[9] == 1);
    omma::pairwise_distance(context, x, start, omma::view(distances, {5, 2}), OMMA_METRIC_MAHALANOBIS,
                            omma::view(covariance, {2, 2}));
    CHECK(distances[2] == 0.5f && distances[4] == 1);
    omma::kmeans_assign(context, x, start, omma::view(labels, {5}), omma::view(squares, {5}));
    CHECK((labels == std::vector<int64_t>{0, 0, 0, 1, 1}) && (squares == std::vector<float>{0, 1, 1, 0, 1}));
    omma::KmeansResult result;
    const auto exactly = omma::KmeansOptions().tolerance(0).seed(1).n_init(2);
    omma::kmeans(context, exactly, x, omma::view(labels, {5}), omma::view(centroids, {2, 2}), result, start,
                 omma::view(weights, {5}));
    CHECK(centroids[2] == 8.25f && centroids[3] == 9 && result.iterations == 2);
    CHECK(std::fabs(result.inertia - (4.0 / 3 + 0.75)) < 1e-6);
    int64_t seen = 0;
    omma::kmeans(context, omma::KmeansOptions().init(OMMA_KMEANS_RANDOM).max_iterations(9).callback(stop_at_once, &seen), x,
                 omma::view(labels, {5}), omma::view(centroids, {2, 2}), result);
    CHECK(seen == 1 && result.iterations == 1 && labels[0] == labels[1] && labels[0] != labels[3]);
    std::vector<double> sums(4), counts(2);
    double inertia = 0, moved = 0;
    std::vector<float> updated(first);
    omma::kmeans_accumulate(context, x, start, omma::view(sums, {2, 2}), omma::view(counts, {2}), inertia,
                            omma::view(weights, {5}), omma::view(labels, {5}));
    CHECK((sums == std::vector<double>{1, 1, 33, 36}) && (counts == std::vector<double>{3, 4}) && inertia == 5);
    const auto in_place = omma::view(updated, {2, 2});
    omma::kmeans_update(context, omma::view(sums, {2, 2}), omma::view(counts, {2}), in_place, in_place, moved);
    CHECK(updated[2] == 8.25f && updated[3] == 9 && std::fabs(moved - (2.0 / 9 + 0.5625)) < 1e-6);
    const std::vector<float> sizes{1, 2, 2, 2, 8, 9, 9, 9, 10, 9};
    double mean = 0;
    omma::kmeans_anchors(context, omma::KmeansAnchorsOptions().average(OMMA_ANCHORS_MEDIAN), omma::view(sizes, {5, 2}),
                         omma::view(centroids, {2, 2}), mean, omma::view(labels, {5}));
    CHECK((centroids == std::vector<float>{1.5f, 2, 9, 9}) && labels[0] == 0 && labels[4] == 1 && mean > 0.8 && mean < 1);
}

static void neighbours(const omma::Context& context) {
    const std::vector<float> points{0, 0, 1, 0, 0, 1, 9, 9, 8, 9}, queries{0, 0.25f, 9, 8};
    const auto x = omma::view(points, {5, 2}), q = omma::view(queries, {2, 2});
    std::vector<int64_t> indices(4), labels(5);
    std::vector<float> distances(4), centers(10);
    omma::knn(context, q, x, omma::view(indices, {2, 2}), omma::view(distances, {2, 2}));
    CHECK((indices == std::vector<int64_t>{0, 2, 3, 4}) && (std::vector<float>(distances.begin(), distances.begin() + 3) == std::vector<float>{0.25f, 0.75f, 1}));
    omma::knn(context, q, x, omma::view(indices, {2, 2}), omma::view(distances, {2, 2}), OMMA_METRIC_INNER_PRODUCT);
    CHECK(indices[0] == 3 && distances[0] == 2.25f && indices[2] == 3 && distances[2] == 153);
    int64_t count = 0;
    const auto pairs = omma::view(indices, {2, 2});
    omma::match_descriptors(context, omma::MatchOptions().cross_check().ratio(0.5).max_distance(2), q, x, pairs,
                            omma::view(distances.data(), {2}), count);
    CHECK(count == 1 && indices[0] == 0 && indices[1] == 0 && distances[0] == 0.25f);
    const uint8_t bits[] = {0, 255, 3};
    omma::match_descriptors(context, omma::MatchOptions(), omma::view(bits, {1, 1}), omma::view(bits + 1, {2, 1}), pairs,
                            omma::view(distances.data(), {2}), count);
    CHECK(count == 1 && indices[1] == 1 && distances[0] == 2);
    omma::mean_shift(context, omma::MeanShiftOptions(2).kernel(OMMA_MEAN_SHIFT_FLAT).max_iterations(50), x,
                     omma::view(labels, {5}), omma::view(centers, {5, 2}), count);
    CHECK(count == 2 && (labels == std::vector<int64_t>{0, 0, 0, 1, 1}) && centers[2] == 8.5f && centers[3] == 9);
    omma::mean_shift(context, omma::MeanShiftOptions(1).bin_seeding(2).orphans(), x, omma::view(labels, {5}),
                     omma::view(centers, {5, 2}), count, q);
    CHECK(count == 2 && (labels == std::vector<int64_t>{1, -1, 1, 0, 0}));
    const std::vector<double> costs{4, 1, 3, 2, 0, 5, 3, 2, 2};
    int64_t rows[3], cols[3];
    double total = 0;
    omma::linear_assignment(context, omma::view(costs, {3, 3}), omma::view(rows, {3}), omma::view(cols, {3}), false, &total);
    CHECK(total == 5 && rows[2] == 2 && cols[0] == 1 && cols[1] == 0 && cols[2] == 2);
    omma::linear_assignment(context, x, omma::view(rows, {2}), omma::view(cols, {2}), true, &total);
    CHECK(total == 18 && rows[0] == 3 && cols[0] == 0 && rows[1] == 4 && cols[1] == 1);
}

static void images(const omma::Context& context) {
    std::vector<uint8_t> image(8 * 8 * 3), half(4 * 4 * 3);
    std::iota(image.begin(), image.end(), uint8_t{0});
    // The right half of the picture, by strides: nothing is copied.
    const auto region = omma::view(image.data() + 12, {8, 4, 3}, {24, 3, 1});
    std::vector<uint8_t> small(4 * 2 * 3);
    omma::resize(context, region, omma::view(small, {4, 2, 3}), OMMA_INTERPOLATION_NEAREST);
    CHECK(small[0] == image[12] && small[3] == image[18] && small[6] == image[12 + 48]);
    auto params = omma::params<OmmaImageToTensorParams>();
    params.flags = OMMA_IMAGE_SWAP_RB;
    std::vector<float> tensor(3 * 8 * 8);
    omma::image_to_tensor(context, params, omma::view(image, {8, 8, 3}), omma::view(tensor, {3, 8, 8}));
    CHECK(std::fabs(tensor[0] - 2.0f / 255) < 1e-6f);
    omma::resize(context, omma::view(image, {8, 8, 3}), omma::view(half, {4, 4, 3}), OMMA_INTERPOLATION_CUBIC,
                 OMMA_COORDINATES_DEFAULT, OMMA_RESIZE_ANTIALIAS);
    // A ramp stays a ramp: the mean of the middle.
    CHECK(half[12 + 3] > half[0] && half[27] > half[24]);
    std::vector<uint8_t> spotted(5 * 5, 7), calm(5 * 5);
    spotted[12] = 200;
    omma::median_blur(context, omma::view(spotted, {5, 5}), omma::view(calm, {5, 5}), 3);
    CHECK(calm == std::vector<uint8_t>(5 * 5, 7));
    omma::median_blur(context, omma::view(spotted, {5, 5}), omma::view(calm, {5, 5}), 5, OMMA_MEDIAN_BORDER_CONSTANT);
    CHECK(calm[0] == 0 && calm[12] == 7);
    OmmaLetterbox place{};
    omma::letterbox(1080, 1920, 640, 640, place);
    CHECK(place.top == 140 && place.left == 0 && place.height == 360 && place.width == 640);
}

static void warps(const omma::Context& context) {
    const std::vector<uint8_t> image{0, 100, 200, 10, 110, 210};
    std::vector<uint8_t> out(6), turned(6);
    const auto from = omma::view(image, {2, 3});
    // Half a pixel to the right, from the output to the image.
    omma::warp_affine(context, from, {1, 0, 0.5, 0, 1, 0}, omma::view(out, {2, 3}),
                      omma::WarpOptions().border(OMMA_BORDER_REPLICATE).inverse());
    CHECK((out == std::vector<uint8_t>{50, 150, 200, 60, 160, 210}));
    omma::warp_perspective(context, from, {1, 0, 1, 0, 1, 0, 0, 0, 1}, omma::view(out, {2, 3}),
                           omma::WarpOptions().value(7).interpolation(OMMA_INTERPOLATION_NEAREST));
    CHECK((out == std::vector<uint8_t>{7, 0, 100, 7, 10, 110}));
    int64_t height = 0, width = 0;
    omma::rotated_size(2, 3, 90, height, width);
    CHECK(height == 3 && width == 2);
    omma::rotate(context, from, 90, omma::view(turned, {3, 2}));
    CHECK((turned == std::vector<uint8_t>{200, 210, 100, 110, 0, 10}));
    const std::vector<float> x{2, 1, 0}, y{1, 1, 1};
    const auto map_x = omma::view(x, {1, 3}), map_y = omma::view(y, {1, 3});
    std::vector<uint8_t> row(3), again(3);
    omma::remap(context, from, map_x, map_y, omma::view(row, {1, 3}));
    CHECK((row == std::vector<uint8_t>{210, 110, 10}));
    omma::Remap plan;
    CHECK(omma::Remap::create(context, map_x, map_y, {}, plan));
    plan.run(context, from, omma::view(again, {1, 3}));
    CHECK(again == row);
    const std::vector<float> plane{1, 2, 3, 4}, grid{0, 0, -1, -1};
    std::vector<float> samples(2);
    omma::grid_sample(context, omma::view(plane, {1, 1, 2, 2}), omma::view(grid, {1, 1, 2, 2}),
                      omma::view(samples, {1, 1, 1, 2}), OMMA_INTERPOLATION_LINEAR, OMMA_PADDING_BORDER, true);
    CHECK(samples[0] == 2.5f && samples[1] == 1);
}

static void a_context_is_shared() {
    const omma::Context context(2);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&context, t] {
            std::vector<float> x(1000, static_cast<float>(t)), y(1000);
            for (int round = 0; round < 100; ++round) {
                omma::leaky_relu(context, omma::view(x, {10, 100}), omma::view(y, {10, 100}), 0.5f);
                CHECK(y.back() == x.back());
            }
        });
    for (auto& thread : threads) thread.join();
}

int main() {
    CHECK(omma::version() == omma_version());
    for (int32_t isa : {OMMA_ISA_PORTABLE, OMMA_ISA_NEON, OMMA_ISA_AVX2, OMMA_ISA_AVX512}) {
        if (!omma::available(isa)) continue;
        const omma::Context context(2, isa);
        CHECK(context.isa() == isa && context.num_threads() == 2);
        CHECK(context.scratch_bytes() == 0);
        dlpack(context);
        errors(context);
        views(context);
        convolution(context);
        matrices(context);
        transformers(context);
        CHECK(context.scratch_bytes() > 0);
    transformer_blocks(context);
        boxes(context);
        regions(context);
        clusters(context);
        neighbours(context);
        images(context);
        warps(context);
    }
    dlpack(omma::Context::serial());
    a_context_is_shared();
    std::puts("binding: ok");
    return 0;
}
