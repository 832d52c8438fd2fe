package omma

// #include "bridge.h"
import "C"

// FoldBatchNorm folds a batch normalization behind a convolution or linear layer into its weight and bias:
// weight * gamma / sqrt(variance + eps), and (bias - mean) * gamma / sqrt(variance + eps) + beta.
//
// The weight has the O output channels as its first axis; bias, gamma and beta are (O) or none, mean and variance
// (O). The outputs may be the very weight and bias. An eps of 0 is 1e-5.
func FoldBatchNorm(ctx *Context, weight, bias, gamma, beta, mean, variance, outputWeight, outputBias Tensor[float32], eps float32) error {
	p := C.OmmaFoldBatchNormParams{struct_size: C.sizeof_OmmaFoldBatchNormParams, eps: C.float(eps)}
	c, err := ctx.enter("fold_batch_norm")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_fold_batch_norm(c, &p, weight.pointer(), weight.cLayout(), bias.pointer(), bias.cLayout(),
		gamma.pointer(), gamma.cLayout(), beta.pointer(), beta.cLayout(), mean.pointer(), mean.cLayout(),
		variance.pointer(), variance.cLayout(), outputWeight.pointer(), outputWeight.cLayout(),
		outputBias.pointer(), outputBias.cLayout()))
}

// MergeParallelConv2D makes one convolution of two that see the same input and whose outputs are added: the
// windows, odd ones of any two sizes, are added with the smaller one centred in the larger, and so are the biases, of
// which either may be none.
//
// The convolutions agree in stride, dilation and groups, and each is padded by dilation * (kernel - 1) / 2.
func MergeParallelConv2D(ctx *Context, weight1, bias1, weight2, bias2, outputWeight, outputBias Tensor[float32], layout Layout) error {
	p := C.OmmaMergeParallelConv2dParams{struct_size: C.sizeof_OmmaMergeParallelConv2dParams, layout: C.int32_t(layout)}
	c, err := ctx.enter("merge_parallel_conv2d")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_merge_parallel_conv2d(c, &p, weight1.pointer(), weight1.cLayout(), bias1.pointer(), bias1.cLayout(),
		weight2.pointer(), weight2.cLayout(), bias2.pointer(), bias2.cLayout(),
		outputWeight.pointer(), outputWeight.cLayout(), outputBias.pointer(), outputBias.cLayout()))
}

// MergeConv2DAvgPool2D makes the weight of one convolution in place of a convolution, with that stride and a
// dilation of 1, and average pooling with a window of kernel and no padding behind it. The window of the output is
// larger by (kernel - 1) * stride; padding, groups and bias stay, and the strides are multiplied.
func MergeConv2DAvgPool2D(ctx *Context, weight, outputWeight Tensor[float32], kernel, stride [2]int, layout Layout) error {
	p := C.OmmaMergeConv2dAvgPool2dParams{struct_size: C.sizeof_OmmaMergeConv2dAvgPool2dParams, layout: C.int32_t(layout)}
	n := narrow{op: "merge_conv2d_avg_pool2d"}
	n.int32s("kernel_size", kernel[:], p.kernel_size[:])
	n.int32s("stride", stride[:], p.stride[:])
	if n.err != nil {
		return n.err
	}
	c, err := ctx.enter("merge_conv2d_avg_pool2d")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_merge_conv2d_avg_pool2d(c, &p, weight.pointer(), weight.cLayout(), outputWeight.pointer(), outputWeight.cLayout()))
}

// Window is a layer with a window, along one axis; a stride or dilation of 0 is 1.
type Window struct {
	Kernel, Stride, Padding, Dilation uint32
}

// ReceptiveField is what an output of a stack of layers sees of the input of the first, along one axis.
type ReceptiveField struct {
	// Size is how many inputs an output sees, from the first to the last.
	Size int64
	// Stride is how many inputs there are from the field of an output to that of the next.
	Stride int64
	// Start is the first input that the first output sees; negative in the padding.
	Start int64
}

// ReceptiveFieldOf is the receptive field of a stack of layers, the first first.
func ReceptiveFieldOf(layers ...Window) (ReceptiveField, error) {
	var field C.OmmaReceptiveField
	windows := make([]C.OmmaWindow, len(layers)+1)
	for i, layer := range layers {
		windows[i] = C.OmmaWindow{
			kernel: C.uint32_t(layer.Kernel), stride: C.uint32_t(layer.Stride),
			padding: C.uint32_t(layer.Padding), dilation: C.uint32_t(layer.Dilation),
		}
	}
	if err := result(C.omma_go_receptive_field(&windows[0], C.size_t(len(layers)), &field)); err != nil {
		return ReceptiveField{}, err
	}
	return ReceptiveField{Size: int64(field.size), Stride: int64(field.stride), Start: int64(field.start)}, nil
}
