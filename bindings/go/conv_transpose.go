package omma

// #include "bridge.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// ConvTranspose2DOptions is what a transposed convolution is beyond its arrays; zero in a field is
// its default.
type ConvTranspose2DOptions struct {
	// Layout is the order of axes of all arrays.
	Layout Layout
	// Stride is the distance of the input's pixels in the output, vertical and horizontal; 0 is 1.
	Stride [2]int
	// Padding is what is cut off the output: top, bottom, left, right.
	Padding [4]int
	// OutputPadding is the rows and columns added at the bottom and on the right.
	OutputPadding [2]int
	// Dilation is the distance of the window's taps, vertical and horizontal; 0 is 1.
	Dilation [2]int
	// Groups is how many groups of channels do not see one another; 0 is 1.
	Groups int
	// Activation is applied after the bias.
	Activation Activation
	// NegativeSlope is the factor of [ActivationLeakyReLU]; 0 is 0.01.
	NegativeSlope float32
	// Slope is the factors of [ActivationPReLU], of shape (1) or (O).
	Slope Tensor[float32]
}

// params is the C struct but for the slope, which is passed on its own.
func (o *ConvTranspose2DOptions) params() (C.OmmaConvTranspose2dParams, error) {
	p := C.OmmaConvTranspose2dParams{struct_size: C.sizeof_OmmaConvTranspose2dParams}
	n := narrow{op: "conv_transpose2d"}
	p.layout = C.int32_t(o.Layout)
	n.int32s("stride", o.Stride[:], p.stride[:])
	n.int32s("padding", o.Padding[:], p.padding[:])
	n.int32s("output_padding", o.OutputPadding[:], p.output_padding[:])
	n.int32s("dilation", o.Dilation[:], p.dilation[:])
	p.groups = n.int32("groups", o.Groups)
	p.activation = C.int32_t(o.Activation)
	p.negative_slope = C.float(o.NegativeSlope)
	return p, n.err
}

// ConvTranspose2D computes output = activation(transposed convolution(input, weight) + bias) as
// torch's conv_transpose2d.
//
// NCHW: input (N, C, H, W), weight (C, O / groups, KH, KW), bias (O) or none, output (N, O, OH, OW) with
// OH = (H-1)*stride - top - bottom + dilation*(KH-1) + output padding + 1, and OW likewise. NHWC: input
// (N, H, W, C), weight (C, KH, KW, O / groups), output (N, OH, OW, O).
//
// Any strides; overlap of the output with an input is an error. A batch of zero is legal. NaN and
// infinity propagate.
//
// The weight is packed in each call; with weights that stay, make a [ConvTranspose2DPlan].
func ConvTranspose2D(ctx *Context, input, weight, bias, output Tensor[float32], options *ConvTranspose2DOptions) error {
	var o ConvTranspose2DOptions
	if options != nil {
		o = *options
	}
	p, err := o.params()
	if err != nil {
		return err
	}
	c, err := ctx.enter("conv_transpose2d")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_conv_transpose2d(c, &p, o.Slope.pointer(), o.Slope.cLayout(), input.pointer(), input.cLayout(),
		weight.pointer(), weight.cLayout(), bias.pointer(), bias.cLayout(), output.pointer(), output.cLayout()))
}

// ConvTranspose2DPlan is a transposed convolution whose weight is packed. It never changes: any number of
// goroutines may run it at once, on images of any size.
type ConvTranspose2DPlan struct {
	handle handle
}

// NewConvTranspose2DPlan packs a weight for the instruction set of ctx; arguments as for [ConvTranspose2D].
// Weight, bias and slopes are not needed afterwards, nor is the context. Close the plan when it is no
// longer needed; one that is forgotten is closed after the garbage collector has found it.
func NewConvTranspose2DPlan(ctx *Context, weight, bias Tensor[float32], options *ConvTranspose2DOptions) (*ConvTranspose2DPlan, error) {
	var o ConvTranspose2DOptions
	if options != nil {
		o = *options
	}
	p, err := o.params()
	if err != nil {
		return nil, err
	}
	c, err := ctx.enter("conv_transpose2d")
	if err != nil {
		return nil, err
	}
	defer ctx.leave()
	var ptr *C.OmmaConvTranspose2d
	if err := result(C.omma_go_conv_transpose2d_create(c, &p, o.Slope.pointer(), o.Slope.cLayout(),
		weight.pointer(), weight.cLayout(), bias.pointer(), bias.cLayout(), &ptr)); err != nil {
		return nil, err
	}
	plan := &ConvTranspose2DPlan{handle{ptr: unsafe.Pointer(ptr)}}
	runtime.SetFinalizer(plan, func(plan *ConvTranspose2DPlan) { plan.Close() })
	return plan, nil
}

// Close frees the plan when the calls that use it have returned. A second Close does nothing. The
// error is always nil; it is there for io.Closer.
func (plan *ConvTranspose2DPlan) Close() error {
	plan.handle.close(func(ptr unsafe.Pointer) { C.omma_conv_transpose2d_destroy((*C.OmmaConvTranspose2d)(ptr)) })
	return nil
}

// Run convolves input into output; shapes and overlap as for [ConvTranspose2D]. The instruction set is
// the plan's, threads and scratch are those of ctx.
func (plan *ConvTranspose2DPlan) Run(ctx *Context, input, output Tensor[float32]) error {
	ptr, err := plan.handle.enter("conv_transpose2d", "the plan")
	if err != nil {
		return err
	}
	defer plan.handle.leave()
	c, err := ctx.enter("conv_transpose2d")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_conv_transpose2d_run(c, (*C.OmmaConvTranspose2d)(ptr), input.pointer(), input.cLayout(),
		output.pointer(), output.cLayout()))
}

// OutputShape is the height and width of the output for an input of that height and width.
func (plan *ConvTranspose2DPlan) OutputShape(height, width int) (outputHeight, outputWidth int, err error) {
	ptr, err := plan.handle.enter("conv_transpose2d", "the plan")
	if err != nil {
		return 0, 0, err
	}
	defer plan.handle.leave()
	var h, w C.int64_t
	err = result(C.omma_go_conv_transpose2d_output_shape((*C.OmmaConvTranspose2d)(ptr), C.int64_t(height), C.int64_t(width), &h, &w))
	return int(h), int(w), err
}

// Describe is the algorithms and the instruction set of the plan, for people; "" when it is closed.
func (plan *ConvTranspose2DPlan) Describe() string {
	ptr, err := plan.handle.enter("conv_transpose2d", "the plan")
	if err != nil {
		return ""
	}
	defer plan.handle.leave()
	var text [256]C.char
	C.omma_conv_transpose2d_describe((*C.OmmaConvTranspose2d)(ptr), &text[0], C.size_t(len(text)))
	return C.GoString(&text[0])
}
