// omma.hpp: regions of interest.
#ifndef OMMA_HPP_ROI
#define OMMA_HPP_ROI

#include "core.hpp"

namespace omma {
inline namespace OMMA_HPP_WAY {

// How RoIs are aligned; every setter returns the object.
class RoiAlignOptions {
public:
    RoiAlignOptions(int32_t rows, int32_t columns) {
        params_.output_size[0] = rows;
        params_.output_size[1] = columns;
    }
    RoiAlignOptions& spatial_scale(double scale) { params_.spatial_scale = scale; return *this; }
    RoiAlignOptions& sampling_ratio(int32_t ratio) { params_.sampling_ratio = ratio; return *this; }
    RoiAlignOptions& aligned(bool is_aligned = true) {
        params_.flags = is_aligned ? OMMA_ROI_ALIGN_ALIGNED : 0;
        return *this;
    }
    // An OMMA_ROI_ALIGN_….
    RoiAlignOptions& mode(int32_t mode) { params_.mode = mode; return *this; }
    // An OMMA_LAYOUT_….
    RoiAlignOptions& layout(int32_t layout) { params_.layout = layout; return *this; }
    const OmmaRoiAlignParams* get() const { return &params_; }

private:
    OmmaRoiAlignParams params_ = params<OmmaRoiAlignParams>();
};

// How RoIs are pooled; every setter returns the object.
class RoiPoolOptions {
public:
    RoiPoolOptions(int32_t rows, int32_t columns) {
        params_.output_size[0] = rows;
        params_.output_size[1] = columns;
    }
    RoiPoolOptions& spatial_scale(double scale) { params_.spatial_scale = scale; return *this; }
    // An OMMA_LAYOUT_….
    RoiPoolOptions& layout(int32_t layout) { params_.layout = layout; return *this; }
    const OmmaRoiPoolParams* get() const { return &params_; }

private:
    OmmaRoiPoolParams params_ = params<OmmaRoiPoolParams>();
};

// rois is (K, 5) with the image in front; or (K, 4) with batch_indices, which are absent otherwise.
inline Outcome roi_align(const Context& c, const RoiAlignOptions& options, const TensorRef& x, const TensorRef& rois,
                         const TensorRef& batch_indices, const TensorRef& output) {
    return check(omma_roi_align(c.get(), options.get(), x, rois, batch_indices, output));
}
inline Outcome roi_align(const Context& c, const RoiAlignOptions& options, const TensorRef& x, const TensorRef& rois,
                         const TensorRef& output) {
    return roi_align(c, options, x, rois, {}, output);
}

// x may be absent ({}) for means.
inline Outcome roi_align_backward(const Context& c, const RoiAlignOptions& options, const TensorRef& dy,
                                  const TensorRef& rois, const TensorRef& batch_indices, const TensorRef& x,
                                  const TensorRef& dx) {
    return check(omma_roi_align_backward(c.get(), options.get(), dy, rois, batch_indices, x, dx));
}

// batch_indices as for roi_align; argmax may be absent ({}).
inline Outcome roi_pool(const Context& c, const RoiPoolOptions& options, const TensorRef& x, const TensorRef& rois,
                        const TensorRef& batch_indices, const TensorRef& output, const TensorRef& argmax) {
    return check(omma_roi_pool(c.get(), options.get(), x, rois, batch_indices, output, argmax));
}
inline Outcome roi_pool(const Context& c, const RoiPoolOptions& options, const TensorRef& x, const TensorRef& rois,
                        const TensorRef& output) {
    return roi_pool(c, options, x, rois, {}, output, {});
}

inline Outcome roi_pool_backward(const Context& c, const RoiPoolOptions& options, const TensorRef& dy,
                                 const TensorRef& rois, const TensorRef& batch_indices, const TensorRef& argmax,
                                 const TensorRef& dx) {
    return check(omma_roi_pool_backward(c.get(), options.get(), dy, rois, batch_indices, argmax, dx));
}

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_ROI
