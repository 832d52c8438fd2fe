package omma

// #include "bridge.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// MatMul computes output = a · b: (…, m, k) times (…, k, n) gives (…, m, n), as numpy's matmul for
// arrays of two or more dimensions. Dimensions before the last two are batches; they are aligned
// at the right, and one that is missing or 1 goes with any.
//
// Any strides. The output must not overlap an input. Zero-sized dimensions are legal; a sum over
// none is zero. NaN and infinity propagate.
func MatMul(ctx *Context, a, b, output Tensor[float32]) error {
	c, err := ctx.enter("matmul")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_matmul(c, a.pointer(), a.cLayout(), b.pointer(), b.cLayout(),
		output.pointer(), output.cLayout()))
}

// LinearOptions is what a linear layer is beyond its arrays; zero in a field is its default.
type LinearOptions struct {
	// Activation is applied after the bias; any but [ActivationPReLU].
	Activation Activation
	// NegativeSlope is the factor of [ActivationLeakyReLU]; 0 is 0.01.
	NegativeSlope float32
}

func (o *LinearOptions) params() C.OmmaLinearParams {
	p := C.OmmaLinearParams{struct_size: C.sizeof_OmmaLinearParams}
	if o != nil {
		p.activation = C.int32_t(o.Activation)
		p.negative_slope = C.float(o.NegativeSlope)
	}
	return p
}

// Linear computes output = activation(input · weightᵀ + bias) as torch's linear: input (…, in),
// weight (out, in), bias (out) or none, output (…, out).
//
// Any strides. The output must not overlap an input. Zero-sized dimensions are legal. NaN and
// infinity propagate.
//
// With a weight that stays, make a [LinearPlan].
func Linear(ctx *Context, input, weight, bias, output Tensor[float32], options *LinearOptions) error {
	p := options.params()
	c, err := ctx.enter("linear")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_linear(c, &p, input.pointer(), input.cLayout(), weight.pointer(), weight.cLayout(),
		bias.pointer(), bias.cLayout(), output.pointer(), output.cLayout()))
}

// LinearPlan is a linear layer whose weight is packed. It never changes: any number of goroutines
// may run it at once.
type LinearPlan struct {
	handle handle
}

// NewLinearPlan packs a weight for the instruction set of ctx; arguments as for [Linear]. Weight
// and bias are not needed afterwards, nor is the context. Close the plan when it is no longer
// needed; one that is forgotten is closed after the garbage collector has found it.
func NewLinearPlan(ctx *Context, weight, bias Tensor[float32], options *LinearOptions) (*LinearPlan, error) {
	p := options.params()
	c, err := ctx.enter("linear")
	if err != nil {
		return nil, err
	}
	defer ctx.leave()
	var ptr *C.OmmaLinear
	if err := result(C.omma_go_linear_create(c, &p, weight.pointer(), weight.cLayout(),
		bias.pointer(), bias.cLayout(), &ptr)); err != nil {
		return nil, err
	}
	plan := &LinearPlan{handle{ptr: unsafe.Pointer(ptr)}}
	runtime.SetFinalizer(plan, func(plan *LinearPlan) { plan.Close() })
	return plan, nil
}

// Close frees the plan when the calls that use it have returned. A second Close does nothing. The
// error is always nil; it is there for io.Closer.
func (plan *LinearPlan) Close() error {
	plan.handle.close(func(ptr unsafe.Pointer) { C.omma_linear_destroy((*C.OmmaLinear)(ptr)) })
	return nil
}

// Run computes output (…, out) of input (…, in); as [Linear]. The instruction set is the plan's,
// threads and scratch are those of ctx.
func (plan *LinearPlan) Run(ctx *Context, input, output Tensor[float32]) error {
	ptr, err := plan.handle.enter("linear", "the plan")
	if err != nil {
		return err
	}
	defer plan.handle.leave()
	c, err := ctx.enter("linear")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_linear_run(c, (*C.OmmaLinear)(ptr), input.pointer(), input.cLayout(),
		output.pointer(), output.cLayout()))
}

// Describe is the algorithm and the instruction set of the plan, for people; "" when it is closed.
func (plan *LinearPlan) Describe() string {
	ptr, err := plan.handle.enter("linear", "the plan")
	if err != nil {
		return ""
	}
	defer plan.handle.leave()
	var text [256]C.char
	C.omma_linear_describe((*C.OmmaLinear)(ptr), &text[0], C.size_t(len(text)))
	return C.GoString(&text[0])
}
