// omma for C++17: header-only, and nothing between the call and the C ABI but
// the filling of its structs.
//
//     omma::Context context;                                    // all cores
//     std::vector<float> x(8 * 100), y(x.size());
//     omma::softmax(context, omma::view(x, {8, 100}), omma::view(y, {8, 100}));
//
// A Tensor<T> borrows memory: pointer, shape and, if not compact, strides in
// elements. Inputs are Tensor<const T>, outputs Tensor<T>. view() makes one
// from a std::vector, from a std::span (C++20) and from a DLPack DLTensor.
//
// Failures throw omma::Error. With OMMA_NO_EXCEPTIONS defined (or exceptions
// switched off in the compiler) every function returns an omma::Status
// instead, which must be looked at; objects are then made by their create().
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
    explicit Error(OmmaStatus status) : std::runtime_error(omma_last_error()), status_(status) {}
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
    if constexpr (std::is_same_v<U, bool>)
        return {OMMA_DTYPE_BOOL, 8, 1};
    else if constexpr (std::is_floating_point_v<U>)
        return {OMMA_DTYPE_FLOAT, sizeof(U) * 8, 1};
    else if constexpr (std::is_signed_v<U>)
        return {OMMA_DTYPE_INT, sizeof(U) * 8, 1};
    else
        return {OMMA_DTYPE_UINT, sizeof(U) * 8, 1};
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
    Tensor(T* data, Dims shape, Dims strides = {}) : data_(data), shape_(shape), strides_(strides), present_(true) {}
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

// A std::vector (or any contiguous container) seen as an array.
template <typename C, typename T = std::remove_pointer_t<decltype(std::declval<C&>().data())>>
Tensor<T> view(C& container, Dims shape) {
    return {container.data(), shape};
}
template <typename C, typename T = std::remove_pointer_t<decltype(std::declval<const C&>().data())>>
Tensor<const T> view(const C& container, Dims shape) {
    return {container.data(), shape};
}
template <typename T>
Tensor<T> view(T* data, Dims shape, Dims strides = {}) {
    return {data, shape, strides};
}

// A DLPack tensor is an OmmaTensor by its layout: pass it wherever a TensorRef is taken.
template <typename DLTensor>
const OmmaTensor* from_dlpack(const DLTensor* tensor) {
    static_assert(sizeof(DLTensor) == sizeof(OmmaTensor) && alignof(DLTensor) == alignof(OmmaTensor),
                  "omma: this is not DLPack's DLTensor");
    return reinterpret_cast<const OmmaTensor*>(tensor);
}

// An argument of a call: a Tensor, a DLPack tensor through from_dlpack(), or nothing (NULL).
// Lives for the time of the call.
class TensorRef {
public:
    TensorRef() = default;
    TensorRef(std::nullptr_t) {}
    TensorRef(const OmmaTensor* tensor) : pointer_(tensor) {}
    template <typename T>
    TensorRef(const Tensor<T>& tensor) : shape_(tensor.shape()), strides_(tensor.strides()) {
        if (!tensor.present()) return;
        tensor_.data = const_cast<std::remove_const_t<T>*>(tensor.data());
        tensor_.device = {OMMA_DEVICE_CPU, 0};
        tensor_.ndim = static_cast<int32_t>(shape_.size());
        tensor_.dtype = data_type<T>();
        tensor_.shape = shape_.data();
        tensor_.strides = strides_.empty() ? nullptr : strides_.data();
        pointer_ = &tensor_;
    }
    TensorRef(const TensorRef&) = delete;
    TensorRef& operator=(const TensorRef&) = delete;
    operator const OmmaTensor*() const { return pointer_; }

private:
    OmmaTensor tensor_{};
    Dims shape_, strides_;
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
}  // namespace detail

// ---- contexts --------------------------------------------------------------

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

