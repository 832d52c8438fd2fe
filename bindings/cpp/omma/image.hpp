// omma.hpp: images.
#ifndef OMMA_HPP_IMAGE
#define OMMA_HPP_IMAGE

#include "core.hpp"

namespace omma {
inline namespace OMMA_HPP_WAY {

// From the size of `image` to that of `output`; interpolation is an OMMA_INTERPOLATION_…, flags may be
// OMMA_RESIZE_ANTIALIAS.
inline Outcome resize(const Context& c, const TensorRef& image, const TensorRef& output,
                      int32_t interpolation = OMMA_INTERPOLATION_LINEAR,
                      int32_t coordinates = OMMA_COORDINATES_DEFAULT, uint32_t flags = 0) {
    auto p = params<OmmaResizeParams>();
    p.interpolation = interpolation;
    p.coordinates = coordinates;
    p.flags = flags;
    return check(omma_resize(c.get(), &p, image, output));
}

// The median of the ksize by ksize window around each pixel; border is an OMMA_MEDIAN_BORDER_….
inline Outcome median_blur(const Context& c, const TensorRef& image, const TensorRef& output, int32_t ksize,
                           int32_t border = OMMA_MEDIAN_BORDER_REPLICATE) {
    auto p = params<OmmaMedianBlurParams>();
    p.ksize = ksize;
    p.border = border;
    return check(omma_median_blur(c.get(), &p, image, output));
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

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_IMAGE
