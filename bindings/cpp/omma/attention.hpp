// omma.hpp: attention and the normalizations of a transformer.
#ifndef OMMA_HPP_ATTENTION
#define OMMA_HPP_ATTENTION

#include "core.hpp"

namespace omma {
inline namespace OMMA_HPP_WAY {

// What attention is beyond its arrays.
class AttentionOptions {
public:
    // Query i sees the keys up to i + offset; the number of keys that a cache held before, for example.
    AttentionOptions& causal(int64_t offset = 0) {
        params_.flags |= OMMA_ATTENTION_CAUSAL;
        params_.causal_offset = offset;
        return *this;
    }
    AttentionOptions& scale(float scale) {
        params_.flags |= OMMA_ATTENTION_SCALE;
        params_.scale = scale;
        return *this;
    }
    AttentionOptions& softcap(float cap) {
        params_.softcap = cap;
        return *this;
    }
    const OmmaAttentionParams* get() const { return &params_; }

private:
    OmmaAttentionParams params_ = params<OmmaAttentionParams>();
};

// output = softmax(q k^T / sqrt(D) + mask) v: q (B, H, N, D), k (B, G, M, D), v (B, G, M, E), output (B, H, N, E).
// The mask, of bool (false hides a key) or float (added to the logits), broadcasts to (B, H, N, M) and may be absent;
// so may log_sum_exp (B, H, N).
inline Outcome attention(const Context& c, const AttentionOptions& options, const TensorRef& q, const TensorRef& k,
                         const TensorRef& v, const TensorRef& mask, const TensorRef& output,
                         const TensorRef& log_sum_exp = {}) {
    return check(omma_attention(c.get(), options.get(), q, k, v, mask, output, log_sum_exp));
}

namespace detail {
inline OmmaNormParams norm(float eps, int32_t axis) {
    return {sizeof(OmmaNormParams), OMMA_NORM_AXIS | OMMA_NORM_EPS, axis, eps};
}
}  // namespace detail

// Over the axes from `axis` on, whose shape gamma and beta have; either may be absent.
inline Outcome layer_norm(const Context& c, const TensorRef& x, const TensorRef& gamma, const TensorRef& beta,
                          const TensorRef& y, float eps = 1e-5f, int32_t axis = -1) {
    const auto p = detail::norm(eps, axis);
    return check(omma_layer_norm(c.get(), &p, x, nullptr, gamma, beta, y, nullptr));
}
inline Outcome rms_norm(const Context& c, const TensorRef& x, const TensorRef& gamma, const TensorRef& y,
                        float eps = 1e-5f, int32_t axis = -1) {
    const auto p = detail::norm(eps, axis);
    return check(omma_rms_norm(c.get(), &p, x, nullptr, gamma, y, nullptr));
}

// The same of x + residual; sum, which may be absent, takes that.
inline Outcome add_layer_norm(const Context& c, const TensorRef& x, const TensorRef& residual, const TensorRef& gamma,
                              const TensorRef& beta, const TensorRef& y, const TensorRef& sum = {}, float eps = 1e-5f,
                              int32_t axis = -1) {
    const auto p = detail::norm(eps, axis);
    return check(omma_layer_norm(c.get(), &p, x, residual, gamma, beta, y, sum));
}
inline Outcome add_rms_norm(const Context& c, const TensorRef& x, const TensorRef& residual, const TensorRef& gamma,
                            const TensorRef& y, const TensorRef& sum = {}, float eps = 1e-5f, int32_t axis = -1) {
    const auto p = detail::norm(eps, axis);
    return check(omma_rms_norm(c.get(), &p, x, residual, gamma, y, sum));
}

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_ATTENTION
