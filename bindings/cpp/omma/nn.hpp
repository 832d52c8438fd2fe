// omma.hpp: activations, softmax and pooling.
#ifndef OMMA_HPP_NN
#define OMMA_HPP_NN

#include "core.hpp"

namespace omma {
inline namespace OMMA_HPP_WAY {

namespace detail {
inline OmmaSoftmaxParams along(int32_t axis) { return {sizeof(OmmaSoftmaxParams), OMMA_SOFTMAX_AXIS, axis}; }
}  // namespace detail

// ---- activations and softmax -----------------------------------------------

inline Outcome relu(const Context& c, const TensorRef& x, const TensorRef& y) { return check(omma_relu(c.get(), x, y)); }
inline Outcome relu6(const Context& c, const TensorRef& x, const TensorRef& y) { return check(omma_relu6(c.get(), x, y)); }
inline Outcome sigmoid(const Context& c, const TensorRef& x, const TensorRef& y) { return check(omma_sigmoid(c.get(), x, y)); }
inline Outcome tanh(const Context& c, const TensorRef& x, const TensorRef& y) { return check(omma_tanh(c.get(), x, y)); }
inline Outcome silu(const Context& c, const TensorRef& x, const TensorRef& y) { return check(omma_silu(c.get(), x, y)); }
inline Outcome hardswish(const Context& c, const TensorRef& x, const TensorRef& y) { return check(omma_hardswish(c.get(), x, y)); }
inline Outcome gelu(const Context& c, const TensorRef& x, const TensorRef& y) { return check(omma_gelu(c.get(), x, y)); }
inline Outcome gelu_tanh(const Context& c, const TensorRef& x, const TensorRef& y) { return check(omma_gelu_tanh(c.get(), x, y)); }

inline Outcome leaky_relu(const Context& c, const TensorRef& x, const TensorRef& y, float negative_slope = 0.01f) {
    auto p = params<OmmaLeakyReluParams>();
    p.flags = OMMA_LEAKY_RELU_NEGATIVE_SLOPE;
    p.negative_slope = negative_slope;
    return check(omma_leaky_relu(c.get(), &p, x, y));
}

// slope has one value, or one per index of `axis`.
inline Outcome prelu(const Context& c, const TensorRef& x, const TensorRef& slope, const TensorRef& y, int32_t axis = 1) {
    auto p = params<OmmaPreluParams>();
    p.flags = OMMA_PRELU_AXIS;
    p.axis = axis;
    return check(omma_prelu(c.get(), &p, x, slope, y));
}

inline Outcome softmax(const Context& c, const TensorRef& x, const TensorRef& y, int32_t axis = -1) {
    const auto p = detail::along(axis);
    return check(omma_softmax(c.get(), &p, x, y));
}
inline Outcome log_softmax(const Context& c, const TensorRef& x, const TensorRef& y, int32_t axis = -1) {
    const auto p = detail::along(axis);
    return check(omma_log_softmax(c.get(), &p, x, y));
}

// ---- pooling ---------------------------------------------------------------

// Windows of a pooling: OmmaMaxPool2dParams or OmmaAvgPool2dParams, filled.
template <typename Params>
Params pool(int32_t kernel_size, int32_t stride = 0, int32_t padding = 0, bool ceil_mode = false) {
    auto p = params<Params>();
    for (int i = 0; i < 2; ++i) {
        p.kernel_size[i] = kernel_size;
        p.stride[i] = stride;
    }
    for (int i = 0; i < 4; ++i) p.padding[i] = padding;
    if (ceil_mode) p.flags |= OMMA_POOL_CEIL_MODE;
    return p;
}

// indices may be absent.
inline Outcome max_pool2d(const Context& c, const OmmaMaxPool2dParams& p, const TensorRef& x, const TensorRef& y,
                          const TensorRef& indices = {}) {
    return check(omma_max_pool2d(c.get(), &p, x, y, indices));
}

inline Outcome avg_pool2d(const Context& c, const OmmaAvgPool2dParams& p, const TensorRef& x, const TensorRef& y) {
    return check(omma_avg_pool2d(c.get(), &p, x, y));
}

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_NN
