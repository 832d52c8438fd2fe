package omma

// #include "bridge.h"
import "C"

// PoolOptions is the windows of a pooling; zero in a field is its default.
type PoolOptions struct {
	// KernelSize is the rows and columns of the window. Required.
	KernelSize [2]int
	// Layout is the order of axes of all arrays.
	Layout Layout
	// Stride is the steps of the window, vertical and horizontal; 0 is KernelSize.
	Stride [2]int
	// Padding is the rows and columns around the image: top, bottom, left, right; each less than
	// the window spans. They are never the maximum, and zeros for the mean.
	Padding [4]int
	// Dilation is the distance of the window's elements, vertical and horizontal; 0 is 1.
	Dilation [2]int
	// CeilMode rounds the size of the output up. A last window that would start in the padding
	// behind the input is dropped, as in torch.
	CeilMode bool
	// ExcludePad leaves padding out of the mean, torch's count_include_pad=False. [AvgPool2D] only.
	ExcludePad bool
	// DivisorOverride is what sums are divided by in place of the number of elements; 0 is that
	// number. [AvgPool2D] only.
	DivisorOverride int
}

// MaxPool2D computes the largest element of each window, and where it is unless indices is left
// out.
//
// NCHW: input (N, C, H, W) or (C, H, W), output and indices with OH and OW in place of H and W,
// OH = (H + top + bottom - dilation*(KH-1) - 1) / stride + 1, and OW likewise. NHWC: (N, H, W, C)
// or (H, W, C). An index counts in one image's plane: row times W plus column.
//
// As in torch, a window with a NaN gives NaN and the index of its last NaN, and the first of equal
// maxima counts. A dilated window that hits no element gives -Inf and index -1. Any strides;
// outputs overlap nothing. A batch of zero is legal.
func MaxPool2D(ctx *Context, input, output Tensor[float32], indices Tensor[int64], options PoolOptions) error {
	p := C.OmmaMaxPool2dParams{struct_size: C.sizeof_OmmaMaxPool2dParams}
	n := narrow{op: "max_pool2d"}
	p.layout = C.int32_t(options.Layout)
	n.int32s("kernel_size", options.KernelSize[:], p.kernel_size[:])
	n.int32s("stride", options.Stride[:], p.stride[:])
	n.int32s("padding", options.Padding[:], p.padding[:])
	n.int32s("dilation", options.Dilation[:], p.dilation[:])
	if options.CeilMode {
		p.flags |= C.OMMA_POOL_CEIL_MODE
	}
	if n.err == nil && (options.ExcludePad || options.DivisorOverride != 0) {
		n.err = failure(ErrInvalidArgument, "max_pool2d: ExcludePad and DivisorOverride are options of avg_pool2d")
	}
	if n.err != nil {
		return n.err
	}
	c, err := ctx.enter("max_pool2d")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_max_pool2d(c, &p, input.pointer(), input.cLayout(), output.pointer(), output.cLayout(),
		indices.pointer(), indices.cLayout()))
}

// AvgPool2D computes the mean of each window; shapes as for [MaxPool2D]. A sum is divided by the
// number of the window's elements that are in the input or its padding, by those in the input
// alone with ExcludePad, or by DivisorOverride.
//
// As in torch; NaN and infinity propagate. A dilated window that hits no element gives 0. Any
// strides; the output overlaps nothing. A batch of zero is legal.
func AvgPool2D(ctx *Context, input, output Tensor[float32], options PoolOptions) error {
	p := C.OmmaAvgPool2dParams{struct_size: C.sizeof_OmmaAvgPool2dParams}
	n := narrow{op: "avg_pool2d"}
	p.layout = C.int32_t(options.Layout)
	n.int32s("kernel_size", options.KernelSize[:], p.kernel_size[:])
	n.int32s("stride", options.Stride[:], p.stride[:])
	n.int32s("padding", options.Padding[:], p.padding[:])
	n.int32s("dilation", options.Dilation[:], p.dilation[:])
	p.divisor_override = n.int32("divisor_override", options.DivisorOverride)
	if options.CeilMode {
		p.flags |= C.OMMA_POOL_CEIL_MODE
	}
	if options.ExcludePad {
		p.flags |= C.OMMA_POOL_EXCLUDE_PAD
	}
	if n.err != nil {
		return n.err
	}
	c, err := ctx.enter("avg_pool2d")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_avg_pool2d(c, &p, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}
