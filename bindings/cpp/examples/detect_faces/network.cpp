#include "network.hpp"

#include <utility>

namespace {

omma::Tensor<const float> view(const WeightTensor& tensor) { return {tensor.values.data(), tensor.shape}; }

// Rows of (channels, places), as the file has them, to rows of (places, channels).
WeightTensor channels_last(const WeightTensor& tensor, int64_t channels) {
    const int64_t rows = tensor.shape[0], row = static_cast<int64_t>(tensor.values.size()) / rows;
    const int64_t places = row / channels;
    WeightTensor turned = tensor;
    if (tensor.shape.size() == 4) turned.shape = {rows, tensor.shape[2], tensor.shape[3], channels};
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < channels; ++c)
            for (int64_t p = 0; p < places; ++p)
                turned.values[static_cast<size_t>(r * row + p * channels + c)] =
                    tensor.values[static_cast<size_t>(r * row + c * places + p)];
    return turned;
}

}  // namespace

Network::Network(omma::Context& context, const Weights& weights, const std::string& name, std::vector<int> pools,
                 int32_t layout)
    : layout_(layout) {
    const bool last = layout == OMMA_LAYOUT_NHWC;
    int64_t channels = 0;
    for (size_t i = 0; i < pools.size(); ++i) {
        const std::string layer = name + ".conv" + std::to_string(i + 1);
        const WeightTensor& weight = weights.at(layer + ".weight");
        const auto options = omma::Conv2dOptions().layout(layout).prelu(view(weights.at(layer + ".slope")));
        const WeightTensor turned = last ? channels_last(weight, weight.shape[1]) : weight;
        layers_.push_back({omma::Conv2d(context, view(turned), view(weights.at(layer + ".bias")), options),
                           weight.shape[0], weight.shape[2], pools[i]});
        channels = weight.shape[0];
    }
    const WeightTensor& head = weights.at(name + ".head.weight");
    const WeightTensor& head_bias = weights.at(name + ".head.bias");
    head_outputs_ = head.shape[0];
    if (weights.has(name + ".dense.weight")) {
        const WeightTensor& read = weights.at(name + ".dense.weight");
        const WeightTensor dense = last ? channels_last(read, channels) : read;
        dense_outputs_ = dense.shape[0];
        dense_.emplace(context, view(dense), view(weights.at(name + ".dense.bias")));
        dense_slope_ = weights.at(name + ".dense.slope").values;
        dense_head_.emplace(context, view(head), view(head_bias));
    } else {
        const WeightTensor turned = last ? channels_last(head, channels) : head;
        conv_head_.emplace(context, view(turned), view(head_bias), omma::Conv2dOptions().layout(layout));
    }
}

omma::Dims Network::shape(int64_t n, int64_t channels, int64_t height, int64_t width) const {
    if (layout_ == OMMA_LAYOUT_NHWC) return {n, height, width, channels};
    return {n, channels, height, width};
}

omma::Tensor<float> Network::next(const omma::Dims& shape) {
    turn_ ^= 1;
    size_t count = 1;
    for (int64_t dim : shape) count *= static_cast<size_t>(dim);
    if (buffers_[turn_].size() < count) buffers_[turn_].resize(count);
    return {buffers_[turn_].data(), shape};
}

omma::Tensor<const float> Network::run(omma::Context& context, omma::Tensor<const float> input) {
    const bool last = layout_ == OMMA_LAYOUT_NHWC;
    const int64_t batch = input.shape(0);
    int64_t channels = input.shape(last ? 3 : 1), height = input.shape(last ? 1 : 2), width = input.shape(last ? 2 : 3);
    for (const Layer& layer : layers_) {
        channels = layer.outputs;
        height -= layer.kernel - 1;
        width -= layer.kernel - 1;
        auto output = next(shape(batch, channels, height, width));
        layer.plan.run(context, input, output);
        input = output;
        if (layer.pool != 0) {
            const auto pooled = [&](int64_t size) { return (size - layer.pool + 1) / 2 + 1; };
            height = pooled(height);
            width = pooled(width);
            output = next(shape(batch, channels, height, width));
            auto window = omma::pool<OmmaMaxPool2dParams>(layer.pool, /*stride=*/2, /*padding=*/0, /*ceil_mode=*/true);
            window.layout = layout_;
            omma::max_pool2d(context, window, input, output);
            input = output;
        }
    }
    if (conv_head_) {
        auto output = next(shape(batch, head_outputs_, height, width));
        conv_head_->run(context, input, output);
        return output;
    }
    auto hidden = next({batch, dense_outputs_});
    dense_->run(context, omma::Tensor<const float>(input.data(), {batch, channels * height * width}), hidden);
    omma::prelu(context, hidden, omma::view(dense_slope_, {dense_outputs_}), hidden);
    auto output = next({batch, head_outputs_});
    dense_head_->run(context, hidden, output);
    return output;
}
