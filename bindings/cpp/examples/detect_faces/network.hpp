// One of the three networks: convolutions with PReLU, most followed by max pooling, then a dense
// layer (not in P-Net) and the stacked output layers.
#pragma once

#include <omma.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weights.hpp"

class Network {
public:
    // `pools` has the pooling window after each convolution, 0 for none. Pooling windows may hang
    // over the right and lower edge (ceil_mode). `layout` is that of pictures and what the layers make
    // of them: OMMA_LAYOUT_NHWC suits many small pictures, whose rows fill no vectors but whose channels do.
    Network(omma::Context& context, const Weights& weights, const std::string& name, std::vector<int> pools,
            int32_t layout);

    // Run on a batch of pictures (n, 3, h, w), or (n, h, w, 3). The result (n, outputs, h', w'), or
    // (n, h', w', outputs), or with a dense layer (n, outputs), belongs to the network and lasts until the next run.
    omma::Tensor<const float> run(omma::Context& context, omma::Tensor<const float> input);

private:
    struct Layer {
        omma::Conv2d plan;
        int64_t outputs, kernel;
        int pool;
    };

    // The shape of `n` pictures, in the network's layout.
    omma::Dims shape(int64_t n, int64_t channels, int64_t height, int64_t width) const;
    // A tensor on one of two buffers that take turns as input and output of the layers.
    omma::Tensor<float> next(const omma::Dims& shape);

    int32_t layout_;
    std::vector<Layer> layers_;
    std::optional<omma::Linear> dense_, dense_head_;
    std::vector<float> dense_slope_;
    std::optional<omma::Conv2d> conv_head_;
    int64_t dense_outputs_ = 0, head_outputs_ = 0;
    std::vector<float> buffers_[2];
    int turn_ = 0;
};
