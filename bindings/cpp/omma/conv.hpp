// omma.hpp: convolution.
#ifndef OMMA_HPP_CONV
#define OMMA_HPP_CONV

#include "core.hpp"

namespace omma {
inline namespace OMMA_HPP_WAY {

// What a convolution is beyond its arrays; every setter returns the object.
class Conv2dOptions {
public:
    Conv2dOptions& stride(int32_t both) { return stride(both, both); }
    Conv2dOptions& stride(int32_t vertical, int32_t horizontal) { return set(params_.stride, {vertical, horizontal}); }
    Conv2dOptions& padding(int32_t all) { return padding(all, all, all, all); }
    Conv2dOptions& padding(int32_t top, int32_t bottom, int32_t left, int32_t right) {
        return set(params_.padding, {top, bottom, left, right});
    }
    Conv2dOptions& dilation(int32_t both) { return dilation(both, both); }
    Conv2dOptions& dilation(int32_t vertical, int32_t horizontal) { return set(params_.dilation, {vertical, horizontal}); }
    Conv2dOptions& groups(int32_t count) { params_.groups = count; return *this; }
    Conv2dOptions& layout(int32_t layout) { params_.layout = layout; return *this; }
    Conv2dOptions& algorithm(int32_t algorithm) { params_.algorithm = algorithm; return *this; }
    // An OMMA_ACTIVATION_… other than PRELU.
    Conv2dOptions& activation(int32_t kind, float negative_slope = 0) {
        params_.activation = kind;
        params_.negative_slope = negative_slope;
        return *this;
    }
    // PReLU with a slope per output channel, or one for all.
    Conv2dOptions& prelu(Tensor<const float> slope) {
        params_.activation = OMMA_ACTIVATION_PRELU;
        slope_ = slope;
        return *this;
    }

    // The params with the slope's tensor, for the time of a call.
    class Filled {
    public:
        explicit Filled(const Conv2dOptions& options) : slope_(options.slope_), params_(options.params_) {
            params_.activation_slope = slope_;
        }
        operator const OmmaConv2dParams*() const { return &params_; }

    private:
        TensorRef slope_;
        OmmaConv2dParams params_;
    };

private:
    template <size_t N>
    Conv2dOptions& set(int32_t (&field)[N], const int32_t (&values)[N]) {
        for (size_t i = 0; i < N; ++i) field[i] = values[i];
        return *this;
    }

    OmmaConv2dParams params_ = params<OmmaConv2dParams>();
    Tensor<const float> slope_;
};

// The weights are packed in the call; with weights that stay, make a Conv2d.
inline Outcome conv2d(const Context& context, const TensorRef& input, const TensorRef& weight, const TensorRef& bias,
                      const TensorRef& output, const Conv2dOptions& options = {}, const TensorRef& residual = {}) {
    return check(omma_conv2d(context.get(), Conv2dOptions::Filled(options), input, weight, bias, residual, output));
}

// A convolution with its weights packed once; immutable, may be run by several threads.
class Conv2d {
public:
    Conv2d() = default;
#ifndef OMMA_NO_EXCEPTIONS
    Conv2d(const Context& context, const TensorRef& weight, const TensorRef& bias, const Conv2dOptions& options = {}) {
        check(create(context, weight, bias, options, *this).code());
    }
#endif
    static Status create(const Context& context, const TensorRef& weight, const TensorRef& bias,
                         const Conv2dOptions& options, Conv2d& plan) {
        OmmaConv2d* handle = nullptr;
        const OmmaStatus status =
            omma_conv2d_create(context.get(), Conv2dOptions::Filled(options), weight, bias, &handle);
        plan.handle_.reset(handle);
        return Status(status);
    }
    Outcome run(const Context& context, const TensorRef& input, const TensorRef& output,
                const TensorRef& residual = {}) const {
        return check(omma_conv2d_run(context.get(), handle_.get(), input, residual, output));
    }
    // Height and width of the output for an input of h x w.
    Outcome output_shape(int64_t h, int64_t w, int64_t& output_h, int64_t& output_w) const {
        return check(omma_conv2d_output_shape(handle_.get(), h, w, &output_h, &output_w));
    }
    // The algorithm and the instruction set.
    std::string describe() const { return detail::describe(omma_conv2d_describe, handle_.get()); }

private:
    detail::Owner<OmmaConv2d, omma_conv2d_destroy> handle_;
};

// What a transposed convolution is beyond its arrays; every setter returns the object.
class ConvTranspose2dOptions {
public:
    ConvTranspose2dOptions& stride(int32_t both) { return stride(both, both); }
    ConvTranspose2dOptions& stride(int32_t vertical, int32_t horizontal) {
        return set(params_.stride, {vertical, horizontal});
    }
    // What is cut off the output.
    ConvTranspose2dOptions& padding(int32_t all) { return padding(all, all, all, all); }
    ConvTranspose2dOptions& padding(int32_t top, int32_t bottom, int32_t left, int32_t right) {
        return set(params_.padding, {top, bottom, left, right});
    }
    ConvTranspose2dOptions& output_padding(int32_t both) { return output_padding(both, both); }
    ConvTranspose2dOptions& output_padding(int32_t bottom, int32_t right) {
        return set(params_.output_padding, {bottom, right});
    }
    ConvTranspose2dOptions& dilation(int32_t both) { return dilation(both, both); }
    ConvTranspose2dOptions& dilation(int32_t vertical, int32_t horizontal) {
        return set(params_.dilation, {vertical, horizontal});
    }
    ConvTranspose2dOptions& groups(int32_t count) { params_.groups = count; return *this; }
    ConvTranspose2dOptions& layout(int32_t layout) { params_.layout = layout; return *this; }
    // An OMMA_ACTIVATION_… other than PRELU.
    ConvTranspose2dOptions& activation(int32_t kind, float negative_slope = 0) {
        params_.activation = kind;
        params_.negative_slope = negative_slope;
        return *this;
    }
    // PReLU with a slope per output channel, or one for all.
    ConvTranspose2dOptions& prelu(Tensor<const float> slope) {
        params_.activation = OMMA_ACTIVATION_PRELU;
        slope_ = slope;
        return *this;
    }

    // The params with the slope's tensor, for the time of a call.
    class Filled {
    public:
        explicit Filled(const ConvTranspose2dOptions& options) : slope_(options.slope_), params_(options.params_) {
            params_.activation_slope = slope_;
        }
        operator const OmmaConvTranspose2dParams*() const { return &params_; }

    private:
        TensorRef slope_;
        OmmaConvTranspose2dParams params_;
    };

private:
    template <size_t N>
    ConvTranspose2dOptions& set(int32_t (&field)[N], const int32_t (&values)[N]) {
        for (size_t i = 0; i < N; ++i) field[i] = values[i];
        return *this;
    }

    OmmaConvTranspose2dParams params_ = params<OmmaConvTranspose2dParams>();
    Tensor<const float> slope_;
};

// The weights are packed in the call; with weights that stay, make a ConvTranspose2d.
inline Outcome conv_transpose2d(const Context& context, const TensorRef& input, const TensorRef& weight,
                                const TensorRef& bias, const TensorRef& output,
                                const ConvTranspose2dOptions& options = {}) {
    return check(omma_conv_transpose2d(context.get(), ConvTranspose2dOptions::Filled(options), input, weight, bias,
                                       output));
}

// A transposed convolution with its weights packed once; immutable, may be run by several threads.
class ConvTranspose2d {
public:
    ConvTranspose2d() = default;
#ifndef OMMA_NO_EXCEPTIONS
    ConvTranspose2d(const Context& context, const TensorRef& weight, const TensorRef& bias,
                    const ConvTranspose2dOptions& options = {}) {
        check(create(context, weight, bias, options, *this).code());
    }
#endif
    static Status create(const Context& context, const TensorRef& weight, const TensorRef& bias,
                         const ConvTranspose2dOptions& options, ConvTranspose2d& plan) {
        OmmaConvTranspose2d* handle = nullptr;
        const OmmaStatus status = omma_conv_transpose2d_create(
            context.get(), ConvTranspose2dOptions::Filled(options), weight, bias, &handle);
        plan.handle_.reset(handle);
        return Status(status);
    }
    Outcome run(const Context& context, const TensorRef& input, const TensorRef& output) const {
        return check(omma_conv_transpose2d_run(context.get(), handle_.get(), input, output));
    }
    // Height and width of the output for an input of h x w.
    Outcome output_shape(int64_t h, int64_t w, int64_t& output_h, int64_t& output_w) const {
        return check(omma_conv_transpose2d_output_shape(handle_.get(), h, w, &output_h, &output_w));
    }
    // The algorithms and the instruction set.
    std::string describe() const { return detail::describe(omma_conv_transpose2d_describe, handle_.get()); }

private:
    detail::Owner<OmmaConvTranspose2d, omma_conv_transpose2d_destroy> handle_;
};

class DeformConv2dOptions {
public:
    DeformConv2dOptions& stride(int32_t both) { return stride(both, both); }
    DeformConv2dOptions& stride(int32_t vertical, int32_t horizontal) {
        params_.stride[0] = vertical;
        params_.stride[1] = horizontal;
        return *this;
    }
    DeformConv2dOptions& padding(int32_t all) { return padding(all, all, all, all); }
    DeformConv2dOptions& padding(int32_t top, int32_t bottom, int32_t left, int32_t right) {
        params_.padding[0] = top;
        params_.padding[1] = bottom;
        params_.padding[2] = left;
        params_.padding[3] = right;
        return *this;
    }
    DeformConv2dOptions& dilation(int32_t both) { return dilation(both, both); }
    DeformConv2dOptions& dilation(int32_t vertical, int32_t horizontal) {
        params_.dilation[0] = vertical;
        params_.dilation[1] = horizontal;
        return *this;
    }
    operator const OmmaDeformConv2dParams*() const { return &params_; }

private:
    OmmaDeformConv2dParams params_ = params<OmmaDeformConv2dParams>();
};

// Each tap of each output pixel reads where offset says; bias and mask may be nullptr.
inline Outcome deform_conv2d(const Context& context, const TensorRef& input, const TensorRef& offset,
                             const TensorRef& weight, const TensorRef& bias, const TensorRef& mask,
                             const TensorRef& output, const DeformConv2dOptions& options = {}) {
    return check(omma_deform_conv2d(context.get(), options, input, offset, weight, bias, mask, output));
}

// Folds a batch normalization behind a convolution or linear layer into its weight and bias; bias, gamma and beta
// may be nullptr, the outputs may be weight and bias themselves.
inline Outcome fold_batch_norm(const Context& context, const TensorRef& weight, const TensorRef& bias,
                               const TensorRef& gamma, const TensorRef& beta, const TensorRef& mean,
                               const TensorRef& variance, const TensorRef& output_weight,
                               const TensorRef& output_bias, float eps = 1e-5f) {
    auto options = params<OmmaFoldBatchNormParams>();
    options.eps = eps;
    return check(omma_fold_batch_norm(context.get(), &options, weight, bias, gamma, beta, mean, variance,
                                      output_weight, output_bias));
}

// One convolution in place of two whose outputs are added; biases may be nullptr.
inline Outcome merge_parallel_conv2d(const Context& context, const TensorRef& weight_1, const TensorRef& bias_1,
                                     const TensorRef& weight_2, const TensorRef& bias_2,
                                     const TensorRef& output_weight, const TensorRef& output_bias,
                                     int32_t layout = OMMA_LAYOUT_NCHW) {
    auto options = params<OmmaMergeParallelConv2dParams>();
    options.layout = layout;
    return check(omma_merge_parallel_conv2d(context.get(), &options, weight_1, bias_1, weight_2, bias_2,
                                            output_weight, output_bias));
}

// The weight of one convolution in place of a convolution and average pooling behind it.
inline Outcome merge_conv2d_avg_pool2d(const Context& context, const OmmaMergeConv2dAvgPool2dParams& options,
                                       const TensorRef& weight, const TensorRef& output_weight) {
    return check(omma_merge_conv2d_avg_pool2d(context.get(), &options, weight, output_weight));
}

// What an output of a stack of layers sees of the input, along one axis.
inline Outcome receptive_field(const OmmaWindow* layers, size_t count, OmmaReceptiveField& field) {
    return check(omma_receptive_field(layers, count, &field));
}

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_CONV
