package omma

// #include "bridge.h"
import "C"

// AttentionOptions is what attention is beyond its arrays; zero in a field is its default.
type AttentionOptions struct {
	// Causal lets query i see the keys up to i + CausalOffset and no others. An offset of 0 aligns the
	// first query with the first key; the number of keys that a cache held before aligns new queries
	// with the new keys at its end. It may be negative.
	Causal       bool
	CausalOffset int64
	// Scale is the factor of the products of queries and keys; 1 / sqrt(D) unless it is given, as
	// Some(float32(0.5)).
	Scale *float32
	// SoftCap c > 0 makes a logit x to c * tanh(x / c), before the mask.
	SoftCap float32
	// Mask hides a key where it is false. It has at most four dimensions, aligned at the right with
	// (B, H, N, M), each of that size or 1.
	Mask Tensor[bool]
	// Bias is added to the logits, with the shapes of Mask; -Inf hides a key. There may be one of the two.
	Bias Tensor[float32]
	// LogSumExp (B, H, N) takes the logarithm of the sum of the exponentials of each row.
	LogSumExp Tensor[float32]
}

// Attention computes output = softmax(scale * q · kᵀ + mask) · v for each head, as torch's
// scaled_dot_product_attention, without the matrix of logits: q (B, H, N, D), k (B, G, M, D),
// v (B, G, M, E), output (B, H, N, E). G divides H: each key head serves H / G neighbouring query heads.
//
// Any strides: arrays that lie as (B, N, H, D) are passed with their axes swapped, at no cost. The
// output must not overlap an input. Zero-sized dimensions are legal. A row that sees no key is 0 and
// its logarithm -Inf. A hidden key and its value have no influence, be they infinite or NaN.
func Attention(ctx *Context, q, k, v, output Tensor[float32], options *AttentionOptions) error {
	var none AttentionOptions
	if options == nil {
		options = &none
	}
	p := C.OmmaAttentionParams{struct_size: C.sizeof_OmmaAttentionParams}
	if options.Causal {
		p.flags |= C.OMMA_ATTENTION_CAUSAL
	}
	p.causal_offset = C.int64_t(options.CausalOffset)
	if options.Scale != nil {
		p.flags |= C.OMMA_ATTENTION_SCALE
		p.scale = C.float(*options.Scale)
	}
	p.softcap = C.float(options.SoftCap)
	mask, layout := options.Mask.pointer(), options.Mask.cLayout()
	if options.Bias.present() {
		if options.Mask.present() {
			return failure(ErrInvalidArgument, "attention: Mask and Bias are both given, expected one")
		}
		mask, layout = options.Bias.pointer(), options.Bias.cLayout()
	}
	c, err := ctx.enter("attention")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_attention(c, &p, q.pointer(), q.cLayout(), k.pointer(), k.cLayout(), v.pointer(), v.cLayout(),
		mask, layout, output.pointer(), output.cLayout(), options.LogSumExp.pointer(), options.LogSumExp.cLayout()))
}

// NormOptions is what a normalization is beyond its arrays; zero in a field is its default.
type NormOptions struct {
	// Dims is how many dimensions, the last ones, are normalized together; 0 is 1.
	Dims int
	// Eps is added to the variance or mean square; 1e-5 unless it is given, as Some(float32(0)).
	Eps *float32
	// Gamma and Beta scale and shift; they have the shape of the dimensions that are normalized.
	// RMSNorm has no Beta.
	Gamma, Beta Tensor[float32]
	// Residual, of the shape of the input, is added to it first, and Sum takes what was normalized:
	// the residual of the next layer.
	Residual, Sum Tensor[float32]
}

func (o *NormOptions) params(op string) (C.OmmaNormParams, error) {
	p := C.OmmaNormParams{struct_size: C.sizeof_OmmaNormParams, flags: C.OMMA_NORM_AXIS}
	n := narrow{op: op}
	p.axis = n.int32("Dims", -max(o.Dims, 1))
	if o.Dims < 0 {
		return p, failure(ErrInvalidArgument, "%s: Dims is %d, expected 0 or more", op, o.Dims)
	}
	if o.Eps != nil {
		p.flags |= C.OMMA_NORM_EPS
		p.eps = C.float(*o.Eps)
	}
	return p, n.err
}

// LayerNorm computes output = (s - mean) / sqrt(variance + eps) * gamma + beta with
// s = input + residual, as torch's layer_norm: the variance is that of the whole population.
//
// Any shape and strides; output and Sum have the shape of the input, and each may be the very tensor
// that the input or the residual is, but not the other. NaN or infinity makes its row NaN.
func LayerNorm(ctx *Context, input, output Tensor[float32], options *NormOptions) error {
	var none NormOptions
	if options == nil {
		options = &none
	}
	p, err := options.params("layer_norm")
	if err != nil {
		return err
	}
	c, err := ctx.enter("layer_norm")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_layer_norm(c, &p, input.pointer(), input.cLayout(),
		options.Residual.pointer(), options.Residual.cLayout(), options.Gamma.pointer(), options.Gamma.cLayout(),
		options.Beta.pointer(), options.Beta.cLayout(), output.pointer(), output.cLayout(),
		options.Sum.pointer(), options.Sum.cLayout()))
}

// RMSNorm computes output = s / sqrt(mean(s²) + eps) * gamma with s = input + residual, as torch's
// rms_norm. Shapes, strides, overlap and numbers that are not finite as for [LayerNorm].
func RMSNorm(ctx *Context, input, output Tensor[float32], options *NormOptions) error {
	var none NormOptions
	if options == nil {
		options = &none
	}
	if options.Beta.present() {
		return failure(ErrInvalidArgument, "rms_norm: Beta is given, which RMSNorm does not have")
	}
	p, err := options.params("rms_norm")
	if err != nil {
		return err
	}
	c, err := ctx.enter("rms_norm")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_rms_norm(c, &p, input.pointer(), input.cLayout(),
		options.Residual.pointer(), options.Residual.cLayout(), options.Gamma.pointer(), options.Gamma.cLayout(),
		output.pointer(), output.cLayout(), options.Sum.pointer(), options.Sum.cLayout()))
}
