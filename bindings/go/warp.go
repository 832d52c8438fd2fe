package omma

// #include "bridge.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Border is what lies outside of an image abcd.
type Border int32

const (
	// BorderConstant is a value: vv|abcd|vv.
	BorderConstant Border = C.OMMA_BORDER_CONSTANT
	// BorderReplicate is the border itself: aa|abcd|dd.
	BorderReplicate Border = C.OMMA_BORDER_REPLICATE
	// BorderReflect mirrors, the border pixels twice: ba|abcd|dc.
	BorderReflect Border = C.OMMA_BORDER_REFLECT
	// BorderReflect101 mirrors, the border pixels once: cb|abcd|cb.
	BorderReflect101 Border = C.OMMA_BORDER_REFLECT_101
	// BorderWrap repeats: cd|abcd|ab.
	BorderWrap Border = C.OMMA_BORDER_WRAP
)

// WarpOptions is how samples are made and what lies outside; zero in a field is its default.
type WarpOptions struct {
	// Interpolation is linear, nearest or cubic.
	Interpolation Interpolation
	Border        Border
	// Value is that of each channel outside, with [BorderConstant]; bytes round and clamp it.
	Value [4]float32
	// Inverse says that the matrix goes from output to image; [Rotate] and [Remap] ignore it.
	Inverse bool
}

func (o *WarpOptions) flags() C.uint32_t {
	if o != nil && o.Inverse {
		return C.OMMA_WARP_INVERSE
	}
	return 0
}

func (o *WarpOptions) fields() (interpolation, border C.int32_t, value [4]C.float) {
	if o != nil {
		interpolation, border = C.int32_t(o.Interpolation), C.int32_t(o.Border)
		for c := range o.Value {
			value[c] = C.float(o.Value[c])
		}
	}
	return
}

// WarpAffine warps an image by a matrix of two rows to the size of output.
//
// The matrix takes a place (x, y) of the image to (m0 x + m1 y + m2, m3 x + m4 y + m5) of the
// output, with Inverse the other way round. The centre of the first pixel is (0, 0).
//
// Both are (H, W, C) or (H, W) with the same one to four channels, any sizes and any strides; they
// must not overlap. The result is that of OpenCV 5's warpAffine. A pixel none of whose samples is
// inside is Value with [BorderConstant]; one whose coordinate is NaN always.
func WarpAffine[T Sample](ctx *Context, image Tensor[T], matrix [6]float64, output Tensor[T], options *WarpOptions) error {
	p := C.OmmaWarpAffineParams{struct_size: C.sizeof_OmmaWarpAffineParams, flags: options.flags()}
	p.interpolation, p.border, p.value = options.fields()
	for i, m := range matrix {
		p.matrix[i] = C.double(m)
	}
	c, err := ctx.enter("warp_affine")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_warp_affine(c, &p, image.pointer(), image.cLayout(), output.pointer(), output.cLayout()))
}

// WarpPerspective warps an image by a matrix of three rows, as [WarpAffine] does by two: the place is
// (m0 x + m1 y + m2, m3 x + m4 y + m5) / (m6 x + m7 y + m8). The result is that of OpenCV 5's
// warpPerspective.
func WarpPerspective[T Sample](ctx *Context, image Tensor[T], matrix [9]float64, output Tensor[T], options *WarpOptions) error {
	p := C.OmmaWarpPerspectiveParams{struct_size: C.sizeof_OmmaWarpPerspectiveParams, flags: options.flags()}
	p.interpolation, p.border, p.value = options.fields()
	for i, m := range matrix {
		p.matrix[i] = C.double(m)
	}
	c, err := ctx.enter("warp_perspective")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_warp_perspective(c, &p, image.pointer(), image.cLayout(), output.pointer(), output.cLayout()))
}

// Rotate rotates an image counter-clockwise around its centre, which comes to lie at the centre of
// output. An output of the image's size cuts the corners, one of [RotatedSize] holds all of it.
// Multiples of 90 degrees are exact. All else as for [WarpAffine].
func Rotate[T Sample](ctx *Context, image Tensor[T], degrees float64, output Tensor[T], options *WarpOptions) error {
	p := C.OmmaRotateParams{struct_size: C.sizeof_OmmaRotateParams, degrees: C.double(degrees)}
	p.interpolation, p.border, p.value = options.fields()
	c, err := ctx.enter("rotate")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_rotate(c, &p, image.pointer(), image.cLayout(), output.pointer(), output.cLayout()))
}

// RotatedSize is the canvas on which nothing is cut when an image of these sides is rotated; as
// Pillow's.
func RotatedSize(imageHeight, imageWidth int, degrees float64) (height, width int, err error) {
	var h, w C.int64_t
	err = result(C.omma_go_rotated_size(C.int64_t(imageHeight), C.int64_t(imageWidth), C.double(degrees), &h, &w))
	return int(h), int(w), err
}

// Remap takes each pixel of output from the place of the image that two maps tell, which are
// (H', W') like the output, in pixels of the image. The result is that of OpenCV 5's remap. All else as for
// [WarpAffine]. Maps that are used again can be kept: [NewRemapPlan].
func Remap[T Sample](ctx *Context, image Tensor[T], mapX, mapY Tensor[float32], output Tensor[T], options *WarpOptions) error {
	p := C.OmmaRemapParams{struct_size: C.sizeof_OmmaRemapParams}
	p.interpolation, p.border, p.value = options.fields()
	c, err := ctx.enter("remap")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_remap(c, &p, image.pointer(), image.cLayout(), mapX.pointer(), mapX.cLayout(),
		mapY.pointer(), mapY.cLayout(), output.pointer(), output.cLayout()))
}

// RemapPlan is maps that are kept for any number of images. It never changes: any number of
// goroutines may run it at once, each with a context of its own or with one that they share.
type RemapPlan struct {
	handle handle
}

// NewRemapPlan keeps maps; arguments as for [Remap]. The maps are not needed afterwards, nor is the
// context. Close the plan when it is no longer needed; one that is forgotten is closed after the
// garbage collector has found it.
func NewRemapPlan(ctx *Context, mapX, mapY Tensor[float32], options *WarpOptions) (*RemapPlan, error) {
	p := C.OmmaRemapParams{struct_size: C.sizeof_OmmaRemapParams}
	p.interpolation, p.border, p.value = options.fields()
	c, err := ctx.enter("remap")
	if err != nil {
		return nil, err
	}
	defer ctx.leave()
	var ptr *C.OmmaRemap
	if err := result(C.omma_go_remap_create(c, &p, mapX.pointer(), mapX.cLayout(), mapY.pointer(), mapY.cLayout(), &ptr)); err != nil {
		return nil, err
	}
	plan := &RemapPlan{handle{ptr: unsafe.Pointer(ptr)}}
	runtime.SetFinalizer(plan, func(plan *RemapPlan) { plan.Close() })
	return plan, nil
}

// Close frees the plan when the calls that use it have returned. A second Close does nothing. The
// error is always nil; it is there for io.Closer.
func (plan *RemapPlan) Close() error {
	plan.handle.close(func(ptr unsafe.Pointer) { C.omma_remap_destroy((*C.OmmaRemap)(ptr)) })
	return nil
}

// RunRemap remaps an image with a plan; the result has the bits of [Remap]. (A function, because
// methods have no type parameters.)
func RunRemap[T Sample](ctx *Context, plan *RemapPlan, image, output Tensor[T]) error {
	ptr, err := plan.handle.enter("remap", "the plan")
	if err != nil {
		return err
	}
	defer plan.handle.leave()
	c, err := ctx.enter("remap")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_remap_run(c, (*C.OmmaRemap)(ptr), image.pointer(), image.cLayout(), output.pointer(), output.cLayout()))
}

// Padding is what lies outside of the planes of [GridSample].
type Padding int32

const (
	// PaddingZeros is zeros.
	PaddingZeros Padding = C.OMMA_PADDING_ZEROS
	// PaddingBorder is the border pixels.
	PaddingBorder Padding = C.OMMA_PADDING_BORDER
	// PaddingReflection mirrors, at the edges or, with AlignCorners, at the centres of border pixels.
	PaddingReflection Padding = C.OMMA_PADDING_REFLECTION
)

// GridSampleOptions is how to sample; zero in a field is its default.
type GridSampleOptions struct {
	// Interpolation is linear, nearest or cubic.
	Interpolation Interpolation
	Padding       Padding
	// AlignCorners says that -1 and 1 are the centres of the corner pixels, not the edges of the image.
	AlignCorners bool
}

// GridSample samples the planes of input (N, C, H, W) at the places of grid (N, H', W', 2), x first and
// from -1 to 1, to output (N, C, H', W'), as torch's grid_sample. Any strides; output must not
// overlap the others.
func GridSample(ctx *Context, input, grid, output Tensor[float32], options *GridSampleOptions) error {
	p := C.OmmaGridSampleParams{struct_size: C.sizeof_OmmaGridSampleParams}
	if o := options; o != nil {
		p.interpolation, p.padding = C.int32_t(o.Interpolation), C.int32_t(o.Padding)
		if o.AlignCorners {
			p.flags |= C.OMMA_GRID_SAMPLE_ALIGN_CORNERS
		}
	}
	c, err := ctx.enter("grid_sample")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_grid_sample(c, &p, input.pointer(), input.cLayout(), grid.pointer(), grid.cLayout(),
		output.pointer(), output.cLayout()))
}
