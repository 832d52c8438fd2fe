package omma

// #include "bridge.h"
import "C"

// Activation is a function that [Conv2D] and [Linear] apply to their result.
type Activation int32

const (
	// ActivationNone is x.
	ActivationNone Activation = C.OMMA_ACTIVATION_NONE
	// ActivationReLU is max(x, 0).
	ActivationReLU Activation = C.OMMA_ACTIVATION_RELU
	// ActivationReLU6 is min(max(x, 0), 6).
	ActivationReLU6 Activation = C.OMMA_ACTIVATION_RELU6
	// ActivationLeakyReLU is x if positive, else NegativeSlope * x.
	ActivationLeakyReLU Activation = C.OMMA_ACTIVATION_LEAKY_RELU
	// ActivationPReLU is x if positive, else slope * x with a slope for each channel.
	ActivationPReLU Activation = C.OMMA_ACTIVATION_PRELU
	// ActivationSigmoid is 1 / (1 + exp(-x)).
	ActivationSigmoid Activation = C.OMMA_ACTIVATION_SIGMOID
	// ActivationTanh is the hyperbolic tangent.
	ActivationTanh Activation = C.OMMA_ACTIVATION_TANH
	// ActivationSiLU is x * sigmoid(x).
	ActivationSiLU Activation = C.OMMA_ACTIVATION_SILU
	// ActivationHardSwish is x * relu6(x + 3) / 6.
	ActivationHardSwish Activation = C.OMMA_ACTIVATION_HARDSWISH
	// ActivationGELU is x / 2 * (1 + erf(x / sqrt(2))).
	ActivationGELU Activation = C.OMMA_ACTIVATION_GELU
	// ActivationGELUTanh is x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x³))).
	ActivationGELUTanh Activation = C.OMMA_ACTIVATION_GELU_TANH
)

// ReLU computes output = max(x, 0), element by element.
//
// Any shape and strides; the output has the shape of the input and may be the very same tensor.
// NaN gives NaN.
func ReLU(ctx *Context, input, output Tensor[float32]) error {
	c, err := ctx.enter("relu")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_relu(c, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}

// ReLU6 computes output = min(max(x, 0), 6), element by element.
//
// Any shape and strides; the output has the shape of the input and may be the very same tensor.
// NaN gives NaN.
func ReLU6(ctx *Context, input, output Tensor[float32]) error {
	c, err := ctx.enter("relu6")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_relu6(c, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}

// Sigmoid computes output = 1 / (1 + exp(-x)), element by element.
//
// Any shape and strides; the output has the shape of the input and may be the very same tensor.
// NaN gives NaN.
func Sigmoid(ctx *Context, input, output Tensor[float32]) error {
	c, err := ctx.enter("sigmoid")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_sigmoid(c, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}

// Tanh computes output = tanh(x), element by element.
//
// Any shape and strides; the output has the shape of the input and may be the very same tensor.
// NaN gives NaN.
func Tanh(ctx *Context, input, output Tensor[float32]) error {
	c, err := ctx.enter("tanh")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_tanh(c, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}

// SiLU computes output = x * sigmoid(x), element by element.
//
// Any shape and strides; the output has the shape of the input and may be the very same tensor.
// NaN gives NaN. At -Inf it is NaN, as in torch.
func SiLU(ctx *Context, input, output Tensor[float32]) error {
	c, err := ctx.enter("silu")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_silu(c, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}

// HardSwish computes output = x * relu6(x + 3) / 6, element by element.
//
// Any shape and strides; the output has the shape of the input and may be the very same tensor.
// NaN gives NaN. At -Inf it is NaN, as in torch.
func HardSwish(ctx *Context, input, output Tensor[float32]) error {
	c, err := ctx.enter("hardswish")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_hardswish(c, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}

// GELU computes output = x / 2 * (1 + erf(x / sqrt(2))), element by element.
//
// Any shape and strides; the output has the shape of the input and may be the very same tensor.
// NaN gives NaN. At -Inf it is NaN, as in torch.
func GELU(ctx *Context, input, output Tensor[float32]) error {
	c, err := ctx.enter("gelu")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_gelu(c, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}

// GELUTanh computes output = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x³))), element by element.
//
// Any shape and strides; the output has the shape of the input and may be the very same tensor.
// NaN gives NaN. At -Inf it is NaN, as in torch.
func GELUTanh(ctx *Context, input, output Tensor[float32]) error {
	c, err := ctx.enter("gelu_tanh")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_gelu_tanh(c, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}

// LeakyReLU computes output = x if positive, else negativeSlope * x, element by element. The usual
// slope is 0.01.
//
// Shapes, strides, overlap and NaN as for [ReLU].
func LeakyReLU(ctx *Context, input, output Tensor[float32], negativeSlope float32) error {
	p := C.OmmaLeakyReluParams{struct_size: C.sizeof_OmmaLeakyReluParams}
	p.flags = C.OMMA_LEAKY_RELU_NEGATIVE_SLOPE
	p.negative_slope = C.float(negativeSlope)
	c, err := ctx.enter("leaky_relu")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_leaky_relu(c, &p, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}

// PReLU computes output = x if positive, else slope * x, element by element.
//
// The slope has shape (1); or (C), C being the size of dimension axis of the input (1 is usual,
// negative from the end); or as many dimensions as the input, each of its size or 1, to be
// repeated along it. Shapes, strides, overlap and NaN as for [ReLU].
func PReLU(ctx *Context, input, slope, output Tensor[float32], axis int) error {
	p := C.OmmaPreluParams{struct_size: C.sizeof_OmmaPreluParams, flags: C.OMMA_PRELU_AXIS}
	n := narrow{op: "prelu"}
	p.axis = n.int32("axis", axis)
	if n.err != nil {
		return n.err
	}
	c, err := ctx.enter("prelu")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_prelu(c, &p, input.pointer(), input.cLayout(), slope.pointer(), slope.cLayout(),
		output.pointer(), output.cLayout()))
}

// Softmax computes output = exp(x - max) / sum(exp(x - max)) with maximum and sum along one
// dimension; -1 is the last.
//
// Any shape and strides; the output has the shape of the input and may be the very same tensor.
// As in torch, a NaN or +Inf in a row, or nothing but -Inf, makes the row NaN.
func Softmax(ctx *Context, input, output Tensor[float32], axis int) error {
	p, c, err := softmax(ctx, "softmax", axis)
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_softmax(c, &p, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}

// LogSoftmax computes output = x - max - log(sum(exp(x - max))) with maximum and sum along one
// dimension; -1 is the last. Shapes, strides, overlap and numbers that are not finite as for
// [Softmax].
func LogSoftmax(ctx *Context, input, output Tensor[float32], axis int) error {
	p, c, err := softmax(ctx, "log_softmax", axis)
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_log_softmax(c, &p, input.pointer(), input.cLayout(), output.pointer(), output.cLayout()))
}

// softmax begins a call; without an error the caller must leave the context.
func softmax(ctx *Context, op string, axis int) (C.OmmaSoftmaxParams, *C.OmmaContext, error) {
	p := C.OmmaSoftmaxParams{struct_size: C.sizeof_OmmaSoftmaxParams, flags: C.OMMA_SOFTMAX_AXIS}
	n := narrow{op: op}
	p.axis = n.int32("axis", axis)
	if n.err != nil {
		return p, nil, n.err
	}
	c, err := ctx.enter(op)
	return p, c, err
}
