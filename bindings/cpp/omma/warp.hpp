// omma.hpp: images at other places.
#ifndef OMMA_HPP_WARP
#define OMMA_HPP_WARP

#include "core.hpp"

namespace omma {
inline namespace OMMA_HPP_WAY {

// How samples are made and what lies outside of an image; every setter returns the object.
class WarpOptions {
public:
    // OMMA_INTERPOLATION_LINEAR, _NEAREST or _CUBIC.
    WarpOptions& interpolation(int32_t interpolation) { interpolation_ = interpolation; return *this; }
    // An OMMA_BORDER_….
    WarpOptions& border(int32_t border) { border_ = border; return *this; }
    // Outside is this value of all channels.
    WarpOptions& value(float all) { return value(all, all, all, all); }
    WarpOptions& value(float c0, float c1, float c2, float c3 = 0) {
        border_ = OMMA_BORDER_CONSTANT;
        value_[0] = c0;
        value_[1] = c1;
        value_[2] = c2;
        value_[3] = c3;
        return *this;
    }
    // The matrix of a warp goes from output to image.
    WarpOptions& inverse(bool inverse = true) { inverse_ = inverse; return *this; }

    // The options as the params of an export.
    template <class Params>
    Params fill() const {
        auto p = params<Params>();
        p.interpolation = interpolation_;
        p.border = border_;
        for (int i = 0; i < 4; ++i) p.value[i] = value_[i];
        return p;
    }
    uint32_t flags() const { return inverse_ ? OMMA_WARP_INVERSE : 0; }

private:
    int32_t interpolation_ = OMMA_INTERPOLATION_LINEAR;
    int32_t border_ = OMMA_BORDER_CONSTANT;
    float value_[4] = {0, 0, 0, 0};
    bool inverse_ = false;
};

// By a matrix of two rows, to the size of `output`.
inline Outcome warp_affine(const Context& context, const TensorRef& image, const double (&matrix)[6],
                           const TensorRef& output, const WarpOptions& options = {}) {
    auto p = options.fill<OmmaWarpAffineParams>();
    p.flags = options.flags();
    for (int i = 0; i < 6; ++i) p.matrix[i] = matrix[i];
    return check(omma_warp_affine(context.get(), &p, image, output));
}

// By a matrix of three rows, to the size of `output`.
inline Outcome warp_perspective(const Context& context, const TensorRef& image, const double (&matrix)[9],
                                const TensorRef& output, const WarpOptions& options = {}) {
    auto p = options.fill<OmmaWarpPerspectiveParams>();
    p.flags = options.flags();
    for (int i = 0; i < 9; ++i) p.matrix[i] = matrix[i];
    return check(omma_warp_perspective(context.get(), &p, image, output));
}

// Counter-clockwise around the centre, which comes to lie at the centre of `output`.
inline Outcome rotate(const Context& context, const TensorRef& image, double degrees, const TensorRef& output,
                      const WarpOptions& options = {}) {
    auto p = options.fill<OmmaRotateParams>();
    p.degrees = degrees;
    return check(omma_rotate(context.get(), &p, image, output));
}

// The canvas on which nothing of a rotated image is cut.
inline Outcome rotated_size(int64_t image_height, int64_t image_width, double degrees, int64_t& height,
                            int64_t& width) {
    return check(omma_rotated_size(image_height, image_width, degrees, &height, &width));
}

// Each pixel from the place that the maps tell; with maps that stay, make a Remap.
inline Outcome remap(const Context& context, const TensorRef& image, const TensorRef& map_x, const TensorRef& map_y,
                     const TensorRef& output, const WarpOptions& options = {}) {
    const auto p = options.fill<OmmaRemapParams>();
    return check(omma_remap(context.get(), &p, image, map_x, map_y, output));
}

// Maps that are kept; immutable, may be run by several threads.
class Remap {
public:
    Remap() = default;
#ifndef OMMA_NO_EXCEPTIONS
    Remap(const Context& context, const TensorRef& map_x, const TensorRef& map_y, const WarpOptions& options = {}) {
        check(create(context, map_x, map_y, options, *this).code());
    }
#endif
    static Status create(const Context& context, const TensorRef& map_x, const TensorRef& map_y,
                         const WarpOptions& options, Remap& plan) {
        const auto p = options.fill<OmmaRemapParams>();
        OmmaRemap* handle = nullptr;
        const OmmaStatus status = omma_remap_create(context.get(), &p, map_x, map_y, &handle);
        plan.handle_.reset(handle);
        return Status(status);
    }
    Outcome run(const Context& context, const TensorRef& image, const TensorRef& output) const {
        return check(omma_remap_run(context.get(), handle_.get(), image, output));
    }

private:
    detail::Owner<OmmaRemap, omma_remap_destroy> handle_;
};

// Planes (N, C, H, W) at the places of a grid (N, H', W', 2), as torch.
inline Outcome grid_sample(const Context& context, const TensorRef& input, const TensorRef& grid,
                           const TensorRef& output, int32_t interpolation = OMMA_INTERPOLATION_LINEAR,
                           int32_t padding = OMMA_PADDING_ZEROS, bool align_corners = false) {
    auto p = params<OmmaGridSampleParams>();
    p.interpolation = interpolation;
    p.padding = padding;
    p.flags = align_corners ? OMMA_GRID_SAMPLE_ALIGN_CORNERS : 0;
    return check(omma_grid_sample(context.get(), &p, input, grid, output));
}

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_WARP
