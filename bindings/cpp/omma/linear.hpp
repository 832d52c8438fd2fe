// omma.hpp: matrices and linear layers.
#ifndef OMMA_HPP_LINEAR
#define OMMA_HPP_LINEAR

#include "core.hpp"

namespace omma {
inline namespace OMMA_HPP_WAY {

namespace detail {
inline OmmaLinearParams applied(int32_t activation, float negative_slope) {
    return {sizeof(OmmaLinearParams), activation, negative_slope, 0};
}
}  // namespace detail

// As numpy's matmul for arrays of two or more dimensions.
inline Outcome matmul(const Context& c, const TensorRef& a, const TensorRef& b, const TensorRef& output) {
    return check(omma_matmul(c.get(), a, b, output));
}

// output = activation(input weight^T + bias); weight is (out, in). With weights that stay, make a Linear.
inline Outcome linear(const Context& c, const TensorRef& input, const TensorRef& weight, const TensorRef& bias,
                      const TensorRef& output, int32_t activation = OMMA_ACTIVATION_NONE, float negative_slope = 0) {
    const auto p = detail::applied(activation, negative_slope);
    return check(omma_linear(c.get(), &p, input, weight, bias, output));
}

// A linear layer with its weights packed once; immutable, may be run by several threads.
class Linear {
public:
    Linear() = default;
#ifndef OMMA_NO_EXCEPTIONS
    Linear(const Context& context, const TensorRef& weight, const TensorRef& bias,
           int32_t activation = OMMA_ACTIVATION_NONE, float negative_slope = 0) {
        check(create(context, weight, bias, activation, *this, negative_slope).code());
    }
#endif
    static Status create(const Context& context, const TensorRef& weight, const TensorRef& bias, int32_t activation,
                         Linear& plan, float negative_slope = 0) {
        const auto p = detail::applied(activation, negative_slope);
        OmmaLinear* handle = nullptr;
        const OmmaStatus status = omma_linear_create(context.get(), &p, weight, bias, &handle);
        plan.handle_.reset(handle);
        return Status(status);
    }
    Outcome run(const Context& context, const TensorRef& input, const TensorRef& output) const {
        return check(omma_linear_run(context.get(), handle_.get(), input, output));
    }
    // The algorithm and the instruction set.
    std::string describe() const { return detail::describe(omma_linear_describe, handle_.get()); }

private:
    detail::Owner<OmmaLinear, omma_linear_destroy> handle_;
};

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_LINEAR
