package omma

// #include "bridge.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// PositionalEncoding writes sin(p / 10000^(2i / dim)) to element (p, 2i) of output (length, dim) and the
// cosine to element (p, 2i + 1). Any strides.
func PositionalEncoding(ctx *Context, output Tensor[float32]) error {
	c, err := ctx.enter("positional_encoding")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_positional_encoding(c, output.pointer(), output.cLayout()))
}

// Affine is a weight (out, in) and a bias (out), which may be absent; in a normalization both are (E).
type Affine struct {
	Weight, Bias Tensor[float32]
}

// MaskOptions hides keys from queries. There may be one of the two.
type MaskOptions struct {
	// Mask hides a key where it is false, which is the opposite of torch's modules. It has at most four
	// dimensions, aligned at the right with (B, H, N, M), each of that size or 1.
	Mask Tensor[bool]
	// Bias is added to the logits, with the shapes of Mask; -Inf hides a key.
	Bias Tensor[float32]
}

func (o *MaskOptions) mask(op string) (*C.uint8_t, *C.OmmaGoLayout, error) {
	switch {
	case o == nil:
		return nil, nil, nil
	case !o.Bias.present():
		return o.Mask.pointer(), o.Mask.cLayout(), nil
	case o.Mask.present():
		return nil, nil, failure(ErrInvalidArgument, "%s: Mask and Bias are both given, expected one", op)
	}
	return o.Bias.pointer(), o.Bias.cLayout(), nil
}

// MultiHeadAttentionOptions is what multi-head attention is beyond its arrays. NumHeads is required, zero in
// another field is its default.
type MultiHeadAttentionOptions struct {
	// NumHeads is how many parts the projected queries are cut into.
	NumHeads int
	// NumKVHeads is that of keys and values, a divisor of NumHeads; 0 is NumHeads.
	NumKVHeads int
	// Causal, CausalOffset, Scale and SoftCap are as in [AttentionOptions].
	Causal       bool
	CausalOffset int64
	Scale        *float32
	SoftCap      float32
}

func (o *MultiHeadAttentionOptions) params() (C.OmmaMultiHeadAttentionParams, error) {
	p := C.OmmaMultiHeadAttentionParams{struct_size: C.sizeof_OmmaMultiHeadAttentionParams}
	n := narrow{op: "multi_head_attention"}
	p.num_heads = n.int32("NumHeads", o.NumHeads)
	p.num_kv_heads = n.int32("NumKVHeads", o.NumKVHeads)
	if o.Causal {
		p.flags |= C.OMMA_ATTENTION_CAUSAL
	}
	p.causal_offset = C.int64_t(o.CausalOffset)
	if o.Scale != nil {
		p.flags |= C.OMMA_ATTENTION_SCALE
		p.scale = C.float(*o.Scale)
	}
	p.softcap = C.float(o.SoftCap)
	return p, n.err
}

// MultiHeadWeights are the projections of multi-head attention with H heads of queries and G of keys:
// Q (H*D, Eq), K (G*D, Ek), V (G*V, Ev), O (Eo, H*V).
type MultiHeadWeights struct {
	Q, K, V, O Affine
}

// MultiHeadAttention computes output = attention(query · Qᵀ, key · Kᵀ, value · Vᵀ) · Oᵀ, each head for itself,
// with biases: query (B, N, Eq), key (B, M, Ek), value (B, M, Ev), output (B, N, Eo). One head is
// textbook attention with d_k = D and d_v = V. mask may be nil.
//
// Any strides. The output may be the very tensor that query, key or value is. A row that sees no key
// is the bias of O. With weights that stay, make a [MultiHeadAttentionPlan].
func MultiHeadAttention(ctx *Context, query, key, value Tensor[float32], w *MultiHeadWeights, mask *MaskOptions, output Tensor[float32], options MultiHeadAttentionOptions) error {
	p, err := options.params()
	if err != nil {
		return err
	}
	hidden, layout, err := mask.mask("multi_head_attention")
	if err != nil {
		return err
	}
	c, err := ctx.enter("multi_head_attention")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_multi_head_attention(c, &p, query.pointer(), query.cLayout(),
		key.pointer(), key.cLayout(), value.pointer(), value.cLayout(), w.Q.Weight.pointer(), w.Q.Weight.cLayout(),
		w.Q.Bias.pointer(), w.Q.Bias.cLayout(), w.K.Weight.pointer(), w.K.Weight.cLayout(),
		w.K.Bias.pointer(), w.K.Bias.cLayout(), w.V.Weight.pointer(), w.V.Weight.cLayout(),
		w.V.Bias.pointer(), w.V.Bias.cLayout(), w.O.Weight.pointer(), w.O.Weight.cLayout(),
		w.O.Bias.pointer(), w.O.Bias.cLayout(), hidden, layout, output.pointer(), output.cLayout()))
}

// MultiHeadAttentionPlan is multi-head attention whose weights are packed. It never changes: any number of
// goroutines may run it at once.
type MultiHeadAttentionPlan struct {
	handle handle
}

// NewMultiHeadAttentionPlan packs weights for the instruction set of ctx; arguments as for
// [MultiHeadAttention]. The weights are not needed afterwards, nor is the context. Close the plan when it is
// no longer needed; one that is forgotten is closed after the garbage collector has found it.
func NewMultiHeadAttentionPlan(ctx *Context, w *MultiHeadWeights, options MultiHeadAttentionOptions) (*MultiHeadAttentionPlan, error) {
	p, err := options.params()
	if err != nil {
		return nil, err
	}
	c, err := ctx.enter("multi_head_attention")
	if err != nil {
		return nil, err
	}
	defer ctx.leave()
	var ptr *C.OmmaMultiHeadAttention
	err = result(C.omma_go_multi_head_attention_create(c, &p, w.Q.Weight.pointer(), w.Q.Weight.cLayout(),
		w.Q.Bias.pointer(), w.Q.Bias.cLayout(), w.K.Weight.pointer(), w.K.Weight.cLayout(),
		w.K.Bias.pointer(), w.K.Bias.cLayout(), w.V.Weight.pointer(), w.V.Weight.cLayout(),
		w.V.Bias.pointer(), w.V.Bias.cLayout(), w.O.Weight.pointer(), w.O.Weight.cLayout(),
		w.O.Bias.pointer(), w.O.Bias.cLayout(), &ptr))
	if err != nil {
		return nil, err
	}
	plan := &MultiHeadAttentionPlan{handle{ptr: unsafe.Pointer(ptr)}}
	runtime.SetFinalizer(plan, func(plan *MultiHeadAttentionPlan) { plan.Close() })
	return plan, nil
}

// Close frees the plan when the calls that use it have returned. A second Close does nothing. The
// error is always nil; it is there for io.Closer.
func (plan *MultiHeadAttentionPlan) Close() error {
	plan.handle.close(func(ptr unsafe.Pointer) { C.omma_multi_head_attention_destroy((*C.OmmaMultiHeadAttention)(ptr)) })
	return nil
}

// Run computes output (B, N, Eo) of query, key and value as [MultiHeadAttention], and adds residual (B, N, Eo)
// if there is one; the output may be that very tensor.
func (plan *MultiHeadAttentionPlan) Run(ctx *Context, query, key, value Tensor[float32], mask *MaskOptions, residual, output Tensor[float32]) error {
	ptr, err := plan.handle.enter("multi_head_attention", "the plan")
	if err != nil {
		return err
	}
	defer plan.handle.leave()
	hidden, layout, err := mask.mask("multi_head_attention")
	if err != nil {
		return err
	}
	c, err := ctx.enter("multi_head_attention")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_multi_head_attention_run(c, (*C.OmmaMultiHeadAttention)(ptr),
		query.pointer(), query.cLayout(), key.pointer(), key.cLayout(), value.pointer(), value.cLayout(),
		hidden, layout, residual.pointer(), residual.cLayout(), output.pointer(), output.cLayout()))
}

// Describe is the algorithm and the instruction set of the plan, for people; "" when it is closed.
func (plan *MultiHeadAttentionPlan) Describe() string {
	ptr, err := plan.handle.enter("multi_head_attention", "the plan")
	if err != nil {
		return ""
	}
	defer plan.handle.leave()
	var text [256]C.char
	C.omma_multi_head_attention_describe((*C.OmmaMultiHeadAttention)(ptr), &text[0], C.size_t(len(text)))
	return C.GoString(&text[0])
}

// FeedForwardPlan is two linear layers with an activation between, whose weights are packed. It never changes:
// any number of goroutines may run it at once.
type FeedForwardPlan struct {
	handle handle
}

// FeedForwardOptions is what a feed-forward network is beyond its arrays; zero in a field is its default.
type FeedForwardOptions struct {
	// Activation is any but [ActivationPReLU]; 0 is [ActivationReLU].
	Activation Activation
	// NegativeSlope is the factor of [ActivationLeakyReLU]; 0 is 0.01.
	NegativeSlope float32
}

// NewFeedForwardPlan packs first (hidden, in) and second (out, hidden) for the instruction set of ctx. Neither
// they nor the context are needed afterwards. Close the plan when it is no longer needed; one
// that is forgotten is closed after the garbage collector has found it.
func NewFeedForwardPlan(ctx *Context, first, second Affine, options *FeedForwardOptions) (*FeedForwardPlan, error) {
	p := C.OmmaFeedForwardParams{struct_size: C.sizeof_OmmaFeedForwardParams}
	if options != nil {
		p.activation = C.int32_t(options.Activation)
		p.negative_slope = C.float(options.NegativeSlope)
	}
	c, err := ctx.enter("feed_forward")
	if err != nil {
		return nil, err
	}
	defer ctx.leave()
	var ptr *C.OmmaFeedForward
	err = result(C.omma_go_feed_forward_create(c, &p, first.Weight.pointer(), first.Weight.cLayout(),
		first.Bias.pointer(), first.Bias.cLayout(), second.Weight.pointer(), second.Weight.cLayout(),
		second.Bias.pointer(), second.Bias.cLayout(), &ptr))
	if err != nil {
		return nil, err
	}
	plan := &FeedForwardPlan{handle{ptr: unsafe.Pointer(ptr)}}
	runtime.SetFinalizer(plan, func(plan *FeedForwardPlan) { plan.Close() })
	return plan, nil
}

// Close frees the plan when the calls that use it have returned. A second Close does nothing. The
// error is always nil; it is there for io.Closer.
func (plan *FeedForwardPlan) Close() error {
	plan.handle.close(func(ptr unsafe.Pointer) { C.omma_feed_forward_destroy((*C.OmmaFeedForward)(ptr)) })
	return nil
}

// Run computes output (…, out) of input (…, in), and adds residual (…, out) if there is one. The output may be
// the very tensor that input or residual is.
func (plan *FeedForwardPlan) Run(ctx *Context, input, residual, output Tensor[float32]) error {
	ptr, err := plan.handle.enter("feed_forward", "the plan")
	if err != nil {
		return err
	}
	defer plan.handle.leave()
	c, err := ctx.enter("feed_forward")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_feed_forward_run(c, (*C.OmmaFeedForward)(ptr), input.pointer(), input.cLayout(),
		residual.pointer(), residual.cLayout(), output.pointer(), output.cLayout()))
}

// Describe is the algorithm and the instruction set of the plan, for people; "" when it is closed.
func (plan *FeedForwardPlan) Describe() string {
	ptr, err := plan.handle.enter("feed_forward", "the plan")
	if err != nil {
		return ""
	}
	defer plan.handle.leave()
	var text [256]C.char
	C.omma_feed_forward_describe((*C.OmmaFeedForward)(ptr), &text[0], C.size_t(len(text)))
	return C.GoString(&text[0])
}

// TransformerEncoderLayerOptions is what a layer is beyond its arrays. NumHeads is required, zero in another
// field is its default, which is torch's.
type TransformerEncoderLayerOptions struct {
	// NumHeads is how many parts the features are cut into.
	NumHeads int
	// Activation is any but [ActivationPReLU]; 0 is [ActivationReLU].
	Activation Activation
	// NegativeSlope is the factor of [ActivationLeakyReLU]; 0 is 0.01.
	NegativeSlope float32
	// NormFirst normalizes what goes into attention and feed-forward, instead of the sums that come out.
	NormFirst bool
	// Causal lets a row see itself and those before it.
	Causal bool
	// Eps is added to the variances; 1e-5 unless it is given, as Some(float32(0)).
	Eps *float32
}

// TransformerEncoderLayerWeights are the arrays of torch's TransformerEncoderLayer by its names: InProj (3E, E),
// OutProj (E, E), Linear1 (F, E), Linear2 (E, F), Norm1 and Norm2 (E). Biases and the arrays of the
// normalizations may be absent.
type TransformerEncoderLayerWeights struct {
	InProj, OutProj, Linear1, Linear2, Norm1, Norm2 Affine
}

// TransformerEncoderLayerPlan is torch's TransformerEncoderLayer in evaluation, whose weights are packed. It
// never changes: any number of goroutines may run it at once.
type TransformerEncoderLayerPlan struct {
	handle handle
}

// NewTransformerEncoderLayerPlan packs weights for the instruction set of ctx. Neither they nor the context are
// needed afterwards. Close the plan when it is no longer needed; one that is forgotten is
// closed after the garbage collector has found it.
func NewTransformerEncoderLayerPlan(ctx *Context, w *TransformerEncoderLayerWeights, options TransformerEncoderLayerOptions) (*TransformerEncoderLayerPlan, error) {
	p := C.OmmaTransformerEncoderLayerParams{struct_size: C.sizeof_OmmaTransformerEncoderLayerParams}
	n := narrow{op: "transformer_encoder_layer"}
	p.num_heads = n.int32("NumHeads", options.NumHeads)
	if n.err != nil {
		return nil, n.err
	}
	p.activation = C.int32_t(options.Activation)
	p.negative_slope = C.float(options.NegativeSlope)
	if options.NormFirst {
		p.flags |= C.OMMA_ENCODER_LAYER_NORM_FIRST
	}
	if options.Causal {
		p.flags |= C.OMMA_ENCODER_LAYER_CAUSAL
	}
	if options.Eps != nil {
		p.flags |= C.OMMA_ENCODER_LAYER_EPS
		p.eps = C.float(*options.Eps)
	}
	c, err := ctx.enter("transformer_encoder_layer")
	if err != nil {
		return nil, err
	}
	defer ctx.leave()
	var ptr *C.OmmaTransformerEncoderLayer
	err = result(C.omma_go_transformer_encoder_layer_create(c, &p,
		w.InProj.Weight.pointer(), w.InProj.Weight.cLayout(), w.InProj.Bias.pointer(), w.InProj.Bias.cLayout(),
		w.OutProj.Weight.pointer(), w.OutProj.Weight.cLayout(), w.OutProj.Bias.pointer(), w.OutProj.Bias.cLayout(),
		w.Linear1.Weight.pointer(), w.Linear1.Weight.cLayout(), w.Linear1.Bias.pointer(), w.Linear1.Bias.cLayout(),
		w.Linear2.Weight.pointer(), w.Linear2.Weight.cLayout(), w.Linear2.Bias.pointer(), w.Linear2.Bias.cLayout(),
		w.Norm1.Weight.pointer(), w.Norm1.Weight.cLayout(), w.Norm1.Bias.pointer(), w.Norm1.Bias.cLayout(),
		w.Norm2.Weight.pointer(), w.Norm2.Weight.cLayout(), w.Norm2.Bias.pointer(), w.Norm2.Bias.cLayout(), &ptr))
	if err != nil {
		return nil, err
	}
	plan := &TransformerEncoderLayerPlan{handle{ptr: unsafe.Pointer(ptr)}}
	runtime.SetFinalizer(plan, func(plan *TransformerEncoderLayerPlan) { plan.Close() })
	return plan, nil
}

// Close frees the plan when the calls that use it have returned. A second Close does nothing. The
// error is always nil; it is there for io.Closer.
func (plan *TransformerEncoderLayerPlan) Close() error {
	plan.handle.close(func(ptr unsafe.Pointer) {
		C.omma_transformer_encoder_layer_destroy((*C.OmmaTransformerEncoderLayer)(ptr))
	})
	return nil
}

// Run computes output (B, N, E) of input (B, N, E), which may be the same tensor. mask, which broadcasts to
// (B, H, N, N), may be nil.
func (plan *TransformerEncoderLayerPlan) Run(ctx *Context, input Tensor[float32], mask *MaskOptions, output Tensor[float32]) error {
	ptr, err := plan.handle.enter("transformer_encoder_layer", "the plan")
	if err != nil {
		return err
	}
	defer plan.handle.leave()
	hidden, layout, err := mask.mask("transformer_encoder_layer")
	if err != nil {
		return err
	}
	c, err := ctx.enter("transformer_encoder_layer")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_transformer_encoder_layer_run(c, (*C.OmmaTransformerEncoderLayer)(ptr),
		input.pointer(), input.cLayout(), hidden, layout, output.pointer(), output.cLayout()))
}

// Describe is the algorithm and the instruction set of the plan, for people; "" when it is closed.
func (plan *TransformerEncoderLayerPlan) Describe() string {
	ptr, err := plan.handle.enter("transformer_encoder_layer", "the plan")
	if err != nil {
		return ""
	}
	defer plan.handle.leave()
	var text [256]C.char
	C.omma_transformer_encoder_layer_describe((*C.OmmaTransformerEncoderLayer)(ptr), &text[0], C.size_t(len(text)))
	return C.GoString(&text[0])
}

// PatchEmbeddingPlan makes rows of features of the patches of images, with packed weights: the first layer of a
// vision transformer. It never changes: any number of goroutines may run it at once.
type PatchEmbeddingPlan struct {
	handle handle
}

// NewPatchEmbeddingPlan packs weight (E, C, PH, PW), with bias (E), classToken (E) and positionEmbedding
// (rows, E), which may be absent, for the instruction set of ctx. Neither they nor the context are needed
// afterwards. Close the plan when it is no longer needed; one that is forgotten is closed after
// the garbage collector has found it.
func NewPatchEmbeddingPlan(ctx *Context, weight, bias, classToken, positionEmbedding Tensor[float32]) (*PatchEmbeddingPlan, error) {
	c, err := ctx.enter("patch_embedding")
	if err != nil {
		return nil, err
	}
	defer ctx.leave()
	var ptr *C.OmmaPatchEmbedding
	err = result(C.omma_go_patch_embedding_create(c, weight.pointer(), weight.cLayout(),
		bias.pointer(), bias.cLayout(), classToken.pointer(), classToken.cLayout(),
		positionEmbedding.pointer(), positionEmbedding.cLayout(), &ptr))
	if err != nil {
		return nil, err
	}
	plan := &PatchEmbeddingPlan{handle{ptr: unsafe.Pointer(ptr)}}
	runtime.SetFinalizer(plan, func(plan *PatchEmbeddingPlan) { plan.Close() })
	return plan, nil
}

// Close frees the plan when the calls that use it have returned. A second Close does nothing. The
// error is always nil; it is there for io.Closer.
func (plan *PatchEmbeddingPlan) Close() error {
	plan.handle.close(func(ptr unsafe.Pointer) { C.omma_patch_embedding_destroy((*C.OmmaPatchEmbedding)(ptr)) })
	return nil
}

// Run computes output (B, rows, E) of images (B, C, H, W): the class token if there is one, then the patches,
// line by line. What is left of an image beyond whole patches is ignored.
func (plan *PatchEmbeddingPlan) Run(ctx *Context, input, output Tensor[float32]) error {
	ptr, err := plan.handle.enter("patch_embedding", "the plan")
	if err != nil {
		return err
	}
	defer plan.handle.leave()
	c, err := ctx.enter("patch_embedding")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_patch_embedding_run(c, (*C.OmmaPatchEmbedding)(ptr), input.pointer(), input.cLayout(),
		output.pointer(), output.cLayout()))
}

// Describe is the algorithm and the instruction set of the plan, for people; "" when it is closed.
func (plan *PatchEmbeddingPlan) Describe() string {
	ptr, err := plan.handle.enter("patch_embedding", "the plan")
	if err != nil {
		return ""
	}
	defer plan.handle.leave()
	var text [256]C.char
	C.omma_patch_embedding_describe((*C.OmmaPatchEmbedding)(ptr), &text[0], C.size_t(len(text)))
	return C.GoString(&text[0])
}
