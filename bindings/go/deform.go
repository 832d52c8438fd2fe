package omma

// #include "bridge.h"
import "C"

// DeformConv2DOptions is what a deformable convolution is beyond its arrays; zero in a field is
// its default.
type DeformConv2DOptions struct {
	// Stride is the steps of the window, vertical and horizontal; 0 is 1.
	Stride [2]int
	// Padding is the zeros around the image: top, bottom, left, right.
	Padding [4]int
	// Dilation is the distance of the window's taps before they are moved, vertical and horizontal; 0 is 1.
	Dilation [2]int
}

// DeformConv2D computes output = deformable convolution(input, offset, weight, mask) + bias as
// torchvision's deform_conv2d.
//
// Input (N, C, H, W), offset (N, 2*G*KH*KW, OH, OW), weight (O, C / groups, KH, KW), bias (O) or none, mask
// (N, G*KH*KW, OH, OW) or none, output (N, O, OH, OW). For each of G groups of channels and each tap, row by row,
// offset says how far down and how far to the right of its place the tap reads. Both numbers of groups follow
// from the shapes.
//
// Any strides; overlap of the output with an input is an error. A batch of zero is legal. NaN and
// infinity propagate.
func DeformConv2D(ctx *Context, input, offset, weight, bias, mask, output Tensor[float32], options *DeformConv2DOptions) error {
	var o DeformConv2DOptions
	if options != nil {
		o = *options
	}
	p := C.OmmaDeformConv2dParams{struct_size: C.sizeof_OmmaDeformConv2dParams}
	n := narrow{op: "deform_conv2d"}
	n.int32s("stride", o.Stride[:], p.stride[:])
	n.int32s("padding", o.Padding[:], p.padding[:])
	n.int32s("dilation", o.Dilation[:], p.dilation[:])
	if n.err != nil {
		return n.err
	}
	c, err := ctx.enter("deform_conv2d")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_deform_conv2d(c, &p, input.pointer(), input.cLayout(), offset.pointer(), offset.cLayout(),
		weight.pointer(), weight.cLayout(), bias.pointer(), bias.cLayout(), mask.pointer(), mask.cLayout(),
		output.pointer(), output.cLayout()))
}
