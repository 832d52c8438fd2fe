package omma

// #include "bridge.h"
import "C"

// RoIAlignMode is what becomes of the samples of a bin.
type RoIAlignMode int32

const (
	// RoIAlignAvg is the mean; samples outside of the map count, as 0.
	RoIAlignAvg RoIAlignMode = C.OMMA_ROI_ALIGN_AVG
	// RoIAlignMax is the largest weight*pixel of the four pixels of each sample: ONNX's mode "max".
	RoIAlignMax RoIAlignMode = C.OMMA_ROI_ALIGN_MAX
	// RoIAlignMaxSample is the largest sample.
	RoIAlignMaxSample RoIAlignMode = C.OMMA_ROI_ALIGN_MAX_SAMPLE
)

// RoIAlignOptions is how RoIs are aligned; zero in a field is its default.
type RoIAlignOptions struct {
	// OutputSize is the rows and columns of bins. Required.
	OutputSize [2]int
	// SpatialScale is the factor from coordinates to those of the map; 0 is 1.
	SpatialScale float64
	// SamplingRatio is the samples of a bin in each direction, at most 1024; 0 or less: as many as
	// it has pixels, rounded up.
	SamplingRatio int
	// Aligned says that coordinates are those of corners of pixels, so that half a pixel is
	// subtracted. Otherwise they are those of centres, and a RoI is one pixel long and wide at
	// least.
	Aligned bool
	Mode    RoIAlignMode
	// Layout is the order of axes of maps and bins.
	Layout Layout
}

func (o *RoIAlignOptions) params(op string) (C.OmmaRoiAlignParams, error) {
	n := narrow{op: op}
	p := C.OmmaRoiAlignParams{
		struct_size:    C.sizeof_OmmaRoiAlignParams,
		spatial_scale:  C.double(o.SpatialScale),
		sampling_ratio: n.int32("sampling_ratio", o.SamplingRatio),
		mode:           C.int32_t(o.Mode),
		layout:         C.int32_t(o.Layout),
	}
	n.int32s("output_size", o.OutputSize[:], p.output_size[:])
	if o.Aligned {
		p.flags |= C.OMMA_ROI_ALIGN_ALIGNED
	}
	return p, n.err
}

// RoIAlign samples bins of rois bilinearly from x (N, C, H, W) to output (K, C, PH, PW), NHWC:
// (N, H, W, C) and (K, PH, PW, C).
//
// rois is (K, 5): the image, a number whose fraction is dropped, then x1, y1, x2, y2; or, with
// batchIndices (K), (K, 4) without the image.
//
// As torchvision's roi_align: samples outside of -1 to H and -1 to W are 0, others beyond the
// border are on it. A NaN in a pixel that a bin gives weight to makes the bin NaN. A bin without
// samples, as of a RoI with a coordinate that is NaN or infinite, is 0; an image that is not there
// is an error. Any strides; the output overlaps nothing.
func RoIAlign(ctx *Context, x, rois Tensor[float32], batchIndices Tensor[int64], output Tensor[float32],
	options RoIAlignOptions) error {
	p, err := options.params("roi_align")
	if err != nil {
		return err
	}
	c, err := ctx.enter("roi_align")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_roi_align(c, &p, x.pointer(), x.cLayout(), rois.pointer(), rois.cLayout(),
		batchIndices.pointer(), batchIndices.cLayout(), output.pointer(), output.cLayout()))
}

// RoIAlignBackward computes the gradient of [RoIAlign] with respect to its x, to dx, from that with
// respect to its output, dy. x is needed for a maximum only, and left out (the zero Tensor) else.
//
// The gradient of a maximum goes to what was the maximum, the first one of equals: to one pixel
// times its weight, or with RoIAlignMaxSample to the four pixels of the sample.
func RoIAlignBackward(ctx *Context, dy, rois Tensor[float32], batchIndices Tensor[int64], x, dx Tensor[float32],
	options RoIAlignOptions) error {
	p, err := options.params("roi_align_backward")
	if err != nil {
		return err
	}
	c, err := ctx.enter("roi_align_backward")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_roi_align_backward(c, &p, dy.pointer(), dy.cLayout(), rois.pointer(), rois.cLayout(),
		batchIndices.pointer(), batchIndices.cLayout(), x.pointer(), x.cLayout(), dx.pointer(), dx.cLayout()))
}

// RoIPoolOptions is how RoIs are pooled; zero in a field is its default.
type RoIPoolOptions struct {
	// OutputSize is the rows and columns of bins. Required.
	OutputSize [2]int
	// SpatialScale is the factor from coordinates to those of the map; 0 is 1.
	SpatialScale float64
	// Layout is the order of axes of maps and bins.
	Layout Layout
}

func (o *RoIPoolOptions) params(op string) (C.OmmaRoiPoolParams, error) {
	n := narrow{op: op}
	p := C.OmmaRoiPoolParams{
		struct_size:   C.sizeof_OmmaRoiPoolParams,
		layout:        C.int32_t(o.Layout),
		spatial_scale: C.double(o.SpatialScale),
	}
	n.int32s("output_size", o.OutputSize[:], p.output_size[:])
	return p, n.err
}

// RoIPool computes the largest pixel of each bin of rois, to output, and where it is (row times W
// plus column) to argmax, unless that is left out; shapes as for [RoIAlign].
//
// As torchvision's roi_pool: corners are rounded and both belong to the RoI. The first of equal
// maxima counts. A bin without pixels is 0, a bin with nothing above the least float is that float
// (a NaN is above nothing); both have -1 in argmax. Any strides; outputs overlap nothing.
func RoIPool(ctx *Context, x, rois Tensor[float32], batchIndices Tensor[int64], output Tensor[float32],
	argmax Tensor[int32], options RoIPoolOptions) error {
	p, err := options.params("roi_pool")
	if err != nil {
		return err
	}
	c, err := ctx.enter("roi_pool")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_roi_pool(c, &p, x.pointer(), x.cLayout(), rois.pointer(), rois.cLayout(),
		batchIndices.pointer(), batchIndices.cLayout(), output.pointer(), output.cLayout(),
		argmax.pointer(), argmax.cLayout()))
}

// RoIPoolBackward computes the gradient of [RoIPool] with respect to its x, to dx: every bin gives
// its gradient in dy to the pixel that argmax names. An index below 0 gives nothing.
func RoIPoolBackward(ctx *Context, dy, rois Tensor[float32], batchIndices Tensor[int64], argmax Tensor[int32],
	dx Tensor[float32], options RoIPoolOptions) error {
	p, err := options.params("roi_pool_backward")
	if err != nil {
		return err
	}
	c, err := ctx.enter("roi_pool_backward")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_roi_pool_backward(c, &p, dy.pointer(), dy.cLayout(), rois.pointer(), rois.cLayout(),
		batchIndices.pointer(), batchIndices.cLayout(), argmax.pointer(), argmax.cLayout(), dx.pointer(), dx.cLayout()))
}
