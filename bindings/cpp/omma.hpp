// omma for C++17: header-only, and nothing between the call and the C ABI but
// the filling of its structs.
//
//     omma::Context context;                                    // all cores
//     std::vector<float> x(8 * 100), y(x.size());
//     omma::softmax(context, omma::view(x, {8, 100}), omma::view(y, {8, 100}));
//
// A Tensor<T> borrows memory: pointer, shape and, if not compact, strides in
// elements. Inputs are Tensor<const T>, outputs Tensor<T>. view() makes one
// from a pointer, a std::vector, a std::array or a std::span (C++20);
// from_dlpack() passes a DLPack DLTensor as it is.
//
// Failures throw omma::Error. With OMMA_NO_EXCEPTIONS defined (or exceptions
// switched off in the compiler) every function returns an omma::Status
// instead, which must be looked at; objects are then made by their create().
// Files of one program may differ in this.
#ifndef OMMA_HPP
#define OMMA_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "omma.h"

#if !defined(OMMA_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#define OMMA_NO_EXCEPTIONS
#endif
#ifndef OMMA_NO_EXCEPTIONS
#include <stdexcept>
#endif

namespace omma {

// Names of their own for either way, so that no linker takes a function of one for the other's.
#ifndef OMMA_NO_EXCEPTIONS
inline namespace exceptions {
#else
inline namespace statuses {
#endif

// The version of the library that is linked: major * 10000 + minor * 100 + patch.
inline uint32_t version() { return omma_version(); }

// ---- errors ----------------------------------------------------------------

// The outcome of a call: OMMA_OK, or a kind of failure and its words.
class [[nodiscard]] Status {
public:
    Status() = default;
    explicit Status(OmmaStatus code) : code_(code) {
        if (code != OMMA_OK) message_ = omma_last_error();
    }
    OmmaStatus code() const { return code_; }
    const std::string& message() const { return message_; }
    const char* name() const { return omma_status_name(code_); }
    bool ok() const { return code_ == OMMA_OK; }
    explicit operator bool() const { return ok(); }

private:
    OmmaStatus code_ = OMMA_OK;
    std::string message_;
};

#ifndef OMMA_NO_EXCEPTIONS
// What a failed call throws: the words of omma_last_error(), and the status.
class Error : public std::runtime_error {
public:
    explicit Error(OmmaStatus status) : Error(status, omma_last_error()) {}
    Error(OmmaStatus status, const std::string& message) : std::runtime_error(message), status_(status) {}
    OmmaStatus status() const noexcept { return status_; }

private:
    OmmaStatus status_;
};

using Outcome = void;
inline void check(OmmaStatus status) {
    if (status != OMMA_OK) throw Error(status);
}
#else
using Outcome = Status;
inline Status check(OmmaStatus status) { return Status(status); }
#endif

// ---- tensors ---------------------------------------------------------------

// The DLPack type of a C++ element.
template <typename T>
constexpr OmmaDataType data_type() {
    using U = std::remove_const_t<T>;
    static_assert(std::is_arithmetic_v<U>, "omma: an element is a number or a bool");
    constexpr uint8_t code = std::is_same_v<U, bool>         ? OMMA_DTYPE_BOOL
                             : std::is_floating_point_v<U> ? OMMA_DTYPE_FLOAT
                             : std::is_signed_v<U>         ? OMMA_DTYPE_INT
                                                           : OMMA_DTYPE_UINT;
    return {code, sizeof(U) * 8, 1};
}

// Up to eight sizes or strides, without a heap.
class Dims {
public:
    static constexpr size_t capacity = 8;
    Dims() = default;
    Dims(std::initializer_list<int64_t> dims) : Dims(dims.begin(), dims.size()) {}
    Dims(const std::vector<int64_t>& dims) : Dims(dims.data(), dims.size()) {}
    Dims(const int64_t* dims, size_t count) : size_(count) {
        // A longer list keeps its length, and the library refuses it by its rank.
        for (size_t i = 0; i < count && i < capacity; ++i) dims_[i] = dims[i];
    }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    const int64_t* data() const { return dims_.data(); }
    int64_t operator[](size_t i) const { return dims_[i]; }
    const int64_t* begin() const { return dims_.data(); }
    const int64_t* end() const { return dims_.data() + (size_ < capacity ? size_ : capacity); }

private:
    std::array<int64_t, capacity> dims_{};
    size_t size_ = 0;
};

// A borrowed array. Copies are cheap and borrow the same memory.
template <typename T>
class Tensor {
public:
    // No tensor: for optional arguments.
    Tensor() = default;
    // Compact row-major, or with strides in elements.
    Tensor(T* data, const Dims& shape, const Dims& strides = {}) : data_(data), shape_(shape), strides_(strides), present_(true) {}
    // What is written may be read.
    template <typename U, typename = std::enable_if_t<std::is_same_v<const U, T>>>
    Tensor(const Tensor<U>& other)
        : data_(other.data()), shape_(other.shape()), strides_(other.strides()), present_(other.present()) {}

    T* data() const { return data_; }
    const Dims& shape() const { return shape_; }
    int64_t shape(size_t axis) const { return shape_[axis]; }
    // Empty when compact.
    const Dims& strides() const { return strides_; }
    bool present() const { return present_; }
    int64_t size() const {
        int64_t n = 1;
        for (int64_t dim : shape_) n *= dim;
        return n;
    }

private:
    T* data_ = nullptr;
    Dims shape_, strides_;
    bool present_ = false;
};

namespace detail {
// Kept apart, so that the check is inlined and this is not. NULL is refused by the call that follows.
template <typename T>
T* too_small([[maybe_unused]] size_t size) {
#ifndef OMMA_NO_EXCEPTIONS
    throw Error(OMMA_SHAPE_MISMATCH, "view: the container has " + std::to_string(size) + " elements, fewer than the shape");
#else
    return nullptr;
#endif
}

// The data of a container, which has to have as many elements as a shape. The product is in double:
// nothing overflows, and what fits into memory is exact. Negative sizes are the library's to refuse.
template <typename T>
inline T* room(T* data, size_t size, const Dims& shape) {
    double count = 1;
    for (int64_t dim : shape) count *= static_cast<double>(dim);
    return count <= static_cast<double>(size) ? data : too_small<T>(size);
}
}  // namespace detail

// A std::vector, std::array or std::span, anything with data() and size(), seen as a compact array.
// It may be longer than the shape.
template <typename C, typename T = std::remove_pointer_t<decltype(std::declval<C&>().data())>>
inline Tensor<T> view(C&& container, const Dims& shape) {
    return {detail::room(container.data(), container.size(), shape), shape};
}
template <typename T>
inline Tensor<T> view(T* data, const Dims& shape, const Dims& strides = {}) {
    return {data, shape, strides};
}

// A DLPack tensor is an OmmaTensor by its layout: pass it wherever a TensorRef is taken.
template <typename DLTensor>
const OmmaTensor* from_dlpack(const DLTensor* tensor) {
    static_assert(sizeof(DLTensor) == sizeof(OmmaTensor) && alignof(DLTensor) == alignof(OmmaTensor),
                  "omma: this is not DLPack's DLTensor");
    return reinterpret_cast<const OmmaTensor*>(tensor);
}

// An argument of a call: a Tensor, a DLPack tensor through from_dlpack(), or nothing (NULL). It
// points into the Tensor that it is made of, so it is for parameters alone.
class TensorRef {
public:
    TensorRef() = default;
    TensorRef(std::nullptr_t) {}
    TensorRef(const OmmaTensor* tensor) : pointer_(tensor) {}
    template <typename T>
    inline TensorRef(const Tensor<T>& tensor) {
        if (!tensor.present()) return;
        tensor_.data = const_cast<std::remove_const_t<T>*>(tensor.data());
        tensor_.device = {OMMA_DEVICE_CPU, 0};
        tensor_.ndim = static_cast<int32_t>(tensor.shape().size());
        tensor_.dtype = data_type<T>();
        tensor_.shape = tensor.shape().data();
        tensor_.strides = tensor.strides().empty() ? nullptr : tensor.strides().data();
        tensor_.byte_offset = 0;
        pointer_ = &tensor_;
    }
    TensorRef(const TensorRef&) = delete;
    TensorRef& operator=(const TensorRef&) = delete;
    operator const OmmaTensor*() const { return pointer_; }

private:
    OmmaTensor tensor_;  // set when there is one
    const OmmaTensor* pointer_ = nullptr;
};

// A params struct of the C ABI, all defaults.
template <typename Params>
Params params() {
    Params p{};
    p.struct_size = sizeof(Params);
    return p;
}

namespace detail {
inline OmmaSoftmaxParams along(int32_t axis) { return {sizeof(OmmaSoftmaxParams), OMMA_SOFTMAX_AXIS, axis}; }
inline OmmaBoxIouParams overlap(int32_t kind, int32_t format, int32_t offset) {
    return {sizeof(OmmaBoxIouParams), kind, format, offset};
}
inline OmmaLinearParams applied(int32_t activation, float negative_slope) {
    return {sizeof(OmmaLinearParams), activation, negative_slope, 0};
}

// Owns a handle of the C ABI.
template <typename Handle, auto Destroy>
struct Deleter {
    void operator()(Handle* handle) const { Destroy(handle); }
};
template <typename Handle, auto Destroy>
using Owner = std::unique_ptr<Handle, Deleter<Handle, Destroy>>;

template <typename Handle>
std::string describe(void (*describe)(const Handle*, char*, size_t), const Handle* handle) {
    char text[256] = "";
    describe(handle, text, sizeof text);
    return text;
}
}  // namespace detail

// ---- contexts --------------------------------------------------------------

// Whether this CPU has a tier, an OMMA_ISA_….
inline bool available(int32_t isa) { return omma_isa_available(isa) != 0; }

// Threads, instruction set and scratch memory; may be shared by threads.
class Context {
public:
#ifndef OMMA_NO_EXCEPTIONS
    // num_threads 0: all cores. max_isa: an OMMA_ISA_…, an error when the CPU lacks it.
    explicit Context(int num_threads = 0, int32_t max_isa = OMMA_ISA_DEFAULT) {
        auto options = params<OmmaContextOptions>();
        options.num_threads = num_threads;
        options.max_isa = max_isa;
        check(create(options, *this).code());
    }
    explicit Context(const OmmaContextOptions& options) { check(create(options, *this).code()); }
#else
    Context() = default;
#endif
    // The calling thread alone, nothing kept between calls.
    static Context serial() { return Context(nullptr); }
    static Status create(const OmmaContextOptions& options, Context& context) {
        OmmaContext* handle = nullptr;
        const OmmaStatus status = omma_context_create(&options, &handle);
        context.handle_.reset(handle);
        return Status(status);
    }
    int num_threads() const { return omma_context_num_threads(handle_.get()); }
    int32_t isa() const { return omma_context_isa(handle_.get()); }
    const char* isa_name() const { return omma_isa_name(isa()); }
    OmmaContext* get() const { return handle_.get(); }

private:
    explicit Context(std::nullptr_t) {}
    detail::Owner<OmmaContext, omma_context_destroy> handle_;
};

// ---- matrices --------------------------------------------------------------

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

// ---- convolution -----------------------------------------------------------

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

// ---- images ----------------------------------------------------------------

// From the size of `image` to that of `output`; interpolation is an OMMA_INTERPOLATION_….
inline Outcome resize(const Context& c, const TensorRef& image, const TensorRef& output,
                      int32_t interpolation = OMMA_INTERPOLATION_LINEAR,
                      int32_t coordinates = OMMA_COORDINATES_DEFAULT, uint32_t flags = 0) {
    auto p = params<OmmaResizeParams>();
    p.interpolation = interpolation;
    p.coordinates = coordinates;
    p.flags = flags;
    return check(omma_resize(c.get(), &p, image, output));
}

// Resizes, reorders channels, normalises and transposes in one pass; see omma_image_to_tensor.
inline Outcome image_to_tensor(const Context& c, const OmmaImageToTensorParams& p, const TensorRef& image,
                               const TensorRef& output) {
    return check(omma_image_to_tensor(c.get(), &p, image, output));
}

// Where an image of these sides lands in a frame that keeps its proportions.
inline Outcome letterbox(int64_t image_height, int64_t image_width, int64_t frame_height, int64_t frame_width,
                         OmmaLetterbox& placement) {
    return check(omma_letterbox(image_height, image_width, frame_height, frame_width, &placement));
}

// ---- boxes -----------------------------------------------------------------

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
Outcome fill(std::vector<int64_t>& kept, const Tensor<const float>& scores, Suppress suppress) {
    int64_t room = scores.size(), count = 0;
    kept.resize(static_cast<size_t>(room > 0 ? room : 0));
    const Tensor<int64_t> indices(kept.data(), {static_cast<int64_t>(kept.size())});
    const OmmaStatus status = suppress(static_cast<const OmmaTensor*>(TensorRef(indices)), &count);
    kept.resize(static_cast<size_t>(status == OMMA_OK ? count : 0));
    return check(status);
}
}  // namespace detail

// The same to a vector, which is made as long as there are.
inline Outcome nms(const Context& c, const NmsOptions& options, const TensorRef& boxes, Tensor<const float> scores,
                   std::vector<int64_t>& kept) {
    return detail::fill(kept, scores, [&](auto... to) { return omma_nms(c.get(), options.get(), boxes, TensorRef(scores), to...); });
}
inline Outcome batched_nms(const Context& c, const NmsOptions& options, const TensorRef& boxes,
                           Tensor<const float> scores, const TensorRef& classes, std::vector<int64_t>& kept) {
    return detail::fill(kept, scores, [&](auto... to) { return omma_batched_nms(c.get(), options.get(), boxes, TensorRef(scores), classes, to...); });
}

}  // namespace exceptions or statuses
}  // namespace omma

#endif  // OMMA_HPP
