package omma

// #include "bridge.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// ConvAlgorithm is how a convolution is computed.
type ConvAlgorithm int32

const (
	// ConvAuto is the fastest for the shape.
	ConvAuto ConvAlgorithm = C.OMMA_CONV_AUTO
	// ConvImplicitGEMM is a matrix product that gathers the receptive fields while it runs.
	ConvImplicitGEMM ConvAlgorithm = C.OMMA_CONV_IMPLICIT_GEMM
	// ConvDirect is register tiles that read the image itself, or a padded piece of it.
	ConvDirect ConvAlgorithm = C.OMMA_CONV_DIRECT
	// ConvWinograd is for windows of 3 x 3 with stride and dilation 1, others are [ErrUnsupported].
	// ConvAuto includes it; its rounding error is two to three times that of a plain sum.
	ConvWinograd ConvAlgorithm = C.OMMA_CONV_WINOGRAD
)

// Conv2DOptions is what a convolution is beyond its arrays; zero in a field is its default.
type Conv2DOptions struct {
	// Layout is the order of axes of all arrays.
	Layout Layout
	// Stride is the steps of the window, vertical and horizontal; 0 is 1.
	Stride [2]int
	// Padding is the zeros around the image: top, bottom, left, right.
	Padding [4]int
	// Dilation is the distance of the window's taps, vertical and horizontal; 0 is 1.
	Dilation [2]int
	// Groups is how many groups of channels do not see one another; 0 is 1.
	Groups int
	// Activation is applied after bias and residual.
	Activation Activation
	// NegativeSlope is the factor of [ActivationLeakyReLU]; 0 is 0.01.
	NegativeSlope float32
	// Slope is the factors of [ActivationPReLU], of shape (1) or (O).
	Slope Tensor[float32]
	// Algorithm is how to compute.
	Algorithm ConvAlgorithm
}

// params is the C struct but for the slope, which is passed on its own.
func (o *Conv2DOptions) params() (C.OmmaConv2dParams, error) {
	p := C.OmmaConv2dParams{struct_size: C.sizeof_OmmaConv2dParams}
	n := narrow{op: "conv2d"}
	p.layout = C.int32_t(o.Layout)
	n.int32s("stride", o.Stride[:], p.stride[:])
	n.int32s("padding", o.Padding[:], p.padding[:])
	n.int32s("dilation", o.Dilation[:], p.dilation[:])
	p.groups = n.int32("groups", o.Groups)
	p.activation = C.int32_t(o.Activation)
	p.negative_slope = C.float(o.NegativeSlope)
	p.algorithm = C.int32_t(o.Algorithm)
	return p, n.err
}

// Conv2D computes output = activation(convolution(input, weight) + bias + residual) as torch's
// conv2d, a cross-correlation with zero padding.
//
// NCHW: input (N, C, H, W), weight (O, C / groups, KH, KW), bias (O) or none, residual of the
// shape of output or none, output (N, O, OH, OW) with
// OH = (H + top + bottom - dilation*(KH-1) - 1) / stride + 1, and OW likewise. NHWC: input
// (N, H, W, C), weight (O, KH, KW, C / groups), output (N, OH, OW, O).
//
// Any strides. The output may be the very residual; any other overlap with an input is an error.
// A batch of zero is legal. NaN and infinity propagate.
//
// The weight is packed in each call; with weights that stay, make a [Conv2DPlan].
func Conv2D(ctx *Context, input, weight, bias, residual, output Tensor[float32], options *Conv2DOptions) error {
	var o Conv2DOptions
	if options != nil {
		o = *options
	}
	p, err := o.params()
	if err != nil {
		return err
	}
	c, err := ctx.enter("conv2d")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_conv2d(c, &p, o.Slope.pointer(), o.Slope.cLayout(), input.pointer(), input.cLayout(),
		weight.pointer(), weight.cLayout(), bias.pointer(), bias.cLayout(),
		residual.pointer(), residual.cLayout(), output.pointer(), output.cLayout()))
}

// Conv2DPlan is a convolution whose weight is packed. It never changes: any number of goroutines
// may run it at once, on images of any size.
type Conv2DPlan struct {
	handle handle
}

// NewConv2DPlan packs a weight for the instruction set of ctx; arguments as for [Conv2D]. Weight,
// bias and slopes are not needed afterwards, nor is the context. Close the plan when it is no
// longer needed; one that is forgotten is closed after the garbage collector has found it.
func NewConv2DPlan(ctx *Context, weight, bias Tensor[float32], options *Conv2DOptions) (*Conv2DPlan, error) {
	var o Conv2DOptions
	if options != nil {
		o = *options
	}
	p, err := o.params()
	if err != nil {
		return nil, err
	}
	c, err := ctx.enter("conv2d")
	if err != nil {
		return nil, err
	}
	defer ctx.leave()
	var ptr *C.OmmaConv2d
	if err := result(C.omma_go_conv2d_create(c, &p, o.Slope.pointer(), o.Slope.cLayout(),
		weight.pointer(), weight.cLayout(), bias.pointer(), bias.cLayout(), &ptr)); err != nil {
		return nil, err
	}
	plan := &Conv2DPlan{handle{ptr: unsafe.Pointer(ptr)}}
	runtime.SetFinalizer(plan, func(plan *Conv2DPlan) { plan.Close() })
	return plan, nil
}

// Close frees the plan when the calls that use it have returned. A second Close does nothing. The
// error is always nil; it is there for io.Closer.
func (plan *Conv2DPlan) Close() error {
	plan.handle.close(func(ptr unsafe.Pointer) { C.omma_conv2d_destroy((*C.OmmaConv2d)(ptr)) })
	return nil
}

// Run convolves input into output; shapes, residual (or none) and overlap as for [Conv2D]. The
// instruction set is the plan's, threads and scratch are those of ctx.
func (plan *Conv2DPlan) Run(ctx *Context, input, residual, output Tensor[float32]) error {
	ptr, err := plan.handle.enter("conv2d", "the plan")
	if err != nil {
		return err
	}
	defer plan.handle.leave()
	c, err := ctx.enter("conv2d")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_conv2d_run(c, (*C.OmmaConv2d)(ptr), input.pointer(), input.cLayout(),
		residual.pointer(), residual.cLayout(), output.pointer(), output.cLayout()))
}

// OutputShape is the height and width of the output for an input of that height and width.
func (plan *Conv2DPlan) OutputShape(height, width int) (outputHeight, outputWidth int, err error) {
	ptr, err := plan.handle.enter("conv2d", "the plan")
	if err != nil {
		return 0, 0, err
	}
	defer plan.handle.leave()
	var h, w C.int64_t
	err = result(C.omma_go_conv2d_output_shape((*C.OmmaConv2d)(ptr), C.int64_t(height), C.int64_t(width), &h, &w))
	return int(h), int(w), err
}

// Describe is the algorithm and the instruction set of the plan, for people; "" when it is closed.
func (plan *Conv2DPlan) Describe() string {
	ptr, err := plan.handle.enter("conv2d", "the plan")
	if err != nil {
		return ""
	}
	defer plan.handle.leave()
	var text [256]C.char
	C.omma_conv2d_describe((*C.OmmaConv2d)(ptr), &text[0], C.size_t(len(text)))
	return C.GoString(&text[0])
}
