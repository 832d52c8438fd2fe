// What every family of omma.hpp stands on: errors, tensors, contexts.
#ifndef OMMA_HPP_CORE
#define OMMA_HPP_CORE

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

#if !defined(OMMA_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#define OMMA_NO_EXCEPTIONS
#endif
#ifndef OMMA_NO_EXCEPTIONS
#include <stdexcept>
#endif

// Names of their own for either way, so that no linker takes a function of one for the other's.
#ifndef OMMA_NO_EXCEPTIONS
#define OMMA_HPP_WAY exceptions
#else
#define OMMA_HPP_WAY statuses
#endif

namespace omma {
inline namespace OMMA_HPP_WAY {

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
    // Bytes of scratch held: after the first call on a new context, all that it used beyond inputs, outputs and plan.
    size_t scratch_bytes() const { return omma_context_scratch_bytes(handle_.get()); }
    int32_t isa() const { return omma_context_isa(handle_.get()); }
    const char* isa_name() const { return omma_isa_name(isa()); }
    OmmaContext* get() const { return handle_.get(); }

private:
    explicit Context(std::nullptr_t) {}
    detail::Owner<OmmaContext, omma_context_destroy> handle_;
};

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_CORE
