#include "network.hpp"

#include <utility>

namespace {

omma::Tensor<const float> view(const WeightTensor& tensor) { return {tensor.values.data(), tensor.shape}; }

}  // namespace

Network::Network(omma::Context& context, const Weights& weights, const std::string& name, std::vector<int> pools) {
    for (size_t i = 0; i < pools.size(); ++i) {
        const std::string layer = name + ".conv" + std::to_string(i + 1);
        const WeightTensor& weight = weights.at(layer + ".weight");
        const auto options = omma::Conv2dOptions().prelu(view(weights.at(layer + ".slope")));
        layers_.push_back({omma::Conv2d(context, view(weight), view(weights.at(layer + ".bias")), options),
                           weight.shape[0], weight.shape[2], pools[i]});
    }
    const WeightTensor& head = weights.at(name + ".head.weight");
    const WeightTensor& head_bias = weights.at(name + ".head.bias");
    head_outputs_ = head.shape[0];
    if (weights.has(name + ".dense.weight")) {
        const WeightTensor& dense = weights.at(name + ".dense.weight");
        dense_outputs_ = dense.shape[0];
        dense_.emplace(context, view(dense), view(weights.at(name + ".dense.bias")));
        dense_slope_ = weights.at(name + ".dense.slope").values;
        dense_head_.emplace(context, view(head), view(head_bias));
    } else {
        conv_head_.emplace(context, view(head), view(head_bias));
    }
}

omma::Tensor<float> Network::next(const omma::Dims& shape) {
    turn_ ^= 1;
    size_t count = 1;
    for (int64_t dim : shape) count *= static_cast<size_t>(dim);
    if (buffers_[turn_].size() < count) buffers_[turn_].resize(count);
    return {buffers_[turn_].data(), shape};
}

omma::Tensor<const float> Network::run(omma::Context& context, omma::Tensor<const float> input) {
    const int64_t batch = input.shape(0);
    int64_t channels = input.shape(1), height = input.shape(2), width = input.shape(3);
    for (const Layer& layer : layers_) {
        channels = layer.outputs;
        height -= layer.kernel - 1;
        width -= layer.kernel - 1;
        auto output = next({batch, channels, height, width});
        layer.plan.run(context, input, output);
        input = output;
        if (layer.pool != 0) {
            const auto pooled = [&](int64_t size) { return (size - layer.pool + 1) / 2 + 1; };
            height = pooled(height);
            width = pooled(width);
            output = next({batch, channels, height, width});
            const auto window = omma::pool<OmmaMaxPool2dParams>(layer.pool, /*stride=*/2, /*padding=*/0, /*ceil_mode=*/true);
            omma::max_pool2d(context, window, input, output);
            input = output;
        }
    }
    if (conv_head_) {
        auto output = next({batch, head_outputs_, height, width});
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
