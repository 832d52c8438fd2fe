package omma

import (
	"math"
	"math/rand"
	"testing"
)

func TestPositionalEncoding(t *testing.T) {
	y := Make[float32](50, 7)
	ok(t, PositionalEncoding(nil, y))
	near(t, "positional encoding", y, 1e-6, func(i []int) float64 {
		angle := float64(i[0]) / math.Pow(10000, float64(i[1]/2*2)/7)
		if i[1]%2 == 1 {
			return math.Cos(angle)
		}
		return math.Sin(angle)
	})
	fails(t, PositionalEncoding(nil, Make[float32](3)), ErrShapeMismatch, "positional_encoding: output has 1 dimensions")
}

// affine is an element of x · weightᵀ + bias for a row of x.
func affine(x func(int) float64, layer Affine, out int) float64 {
	sum := float64(layer.Bias.At(out))
	for i := 0; i < layer.Weight.Dim(1); i++ {
		sum += x(i) * float64(layer.Weight.At(out, i))
	}
	return sum
}

// some is random weights of that shape.
func some(r *rand.Rand, out, in int) Affine { return Affine{random(r, out, in), random(r, out)} }

func TestMultiHeadAttention(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	ctx := newContext(t, ContextOptions{NumThreads: 2})
	// One head, so that attention is that of whole rows.
	w := &MultiHeadWeights{some(r, 4, 5), some(r, 4, 6), some(r, 3, 2), some(r, 7, 3)}
	query, key, value, y := random(r, 2, 3, 5), random(r, 2, 9, 6), random(r, 2, 9, 2), Make[float32](2, 3, 7)
	mask := Make[bool](9)
	for i := 0; i < 9; i++ {
		mask.Set(i%3 != 1, i)
	}
	project := func(x Tensor[float32], layer Affine) Tensor[float32] {
		rows := Make[float32](x.Dim(0), 1, x.Dim(1), layer.Weight.Dim(0))
		indices(rows.Shape(), func(i []int) {
			rows.Set(float32(affine(func(j int) float64 { return float64(x.At(i[0], i[2], j)) }, layer, i[3])), i...)
		})
		return rows
	}
	rows := Make[float32](2, 1, 3, 3)
	ok(t, Attention(ctx, project(query, w.Q), project(key, w.K), project(value, w.V), rows, &AttentionOptions{Mask: mask}))
	want := func(i []int) float64 {
		return affine(func(j int) float64 { return float64(rows.At(i[0], 0, i[1], j)) }, w.O, i[2])
	}
	options := MultiHeadAttentionOptions{NumHeads: 1}
	ok(t, MultiHeadAttention(ctx, query, key, value, w, &MaskOptions{Mask: mask}, y, options))
	near(t, "multi-head attention", y, 1e-5, want)
	plan, err := NewMultiHeadAttentionPlan(ctx, w, options)
	ok(t, err)
	if plan.Describe() == "" {
		t.Error("no description")
	}
	residual := random(r, 2, 3, 7)
	ok(t, plan.Run(ctx, query, key, value, &MaskOptions{Mask: mask}, residual, y))
	near(t, "its plan", y, 1e-5, func(i []int) float64 { return want(i) + float64(residual.At(i...)) })

	var none Tensor[float32]
	both := &MaskOptions{Mask: mask, Bias: random(r, 9)}
	fails(t, plan.Run(ctx, query, key, value, both, none, y), ErrInvalidArgument, "multi_head_attention: Mask and Bias")
	fails(t, plan.Run(ctx, query, key, query, nil, none, y), ErrShapeMismatch, "multi_head_attention: value has 5 features, w_v has 2")
	fails(t, MultiHeadAttention(ctx, query, key, value, w, nil, y, MultiHeadAttentionOptions{}), ErrInvalidArgument, "num_heads is 0")
	fails(t, MultiHeadAttention(ctx, query, key, value, w, nil, y, MultiHeadAttentionOptions{NumHeads: 1 << 40}), ErrInvalidArgument, "NumHeads is")
	ok(t, plan.Close())
	fails(t, plan.Run(ctx, query, key, value, nil, none, y), ErrInvalidArgument, "multi_head_attention: the plan is closed")
}

func TestFeedForward(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	first, last := some(r, 9, 5), some(r, 5, 9)
	plan, err := NewFeedForwardPlan(nil, first, last, nil)
	ok(t, err)
	defer plan.Close()
	x, y := random(r, 3, 5), Make[float32](3, 5)
	ok(t, plan.Run(nil, x, x, y))
	near(t, "feed-forward", y, 1e-5, func(i []int) float64 {
		hidden := func(j int) float64 {
			return max(0, affine(func(k int) float64 { return float64(x.At(i[0], k)) }, first, j))
		}
		return affine(hidden, last, i[1]) + float64(x.At(i...))
	})
	if plan.Describe() == "" {
		t.Error("no description")
	}
	fails(t, second(NewFeedForwardPlan(nil, first, first, nil)), ErrShapeMismatch, "feed_forward: w1 has 9 outputs, w2 has 5 inputs")
}

func TestTransformerEncoderLayer(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	norm := Affine{random(r, 6), random(r, 6)}
	w := &TransformerEncoderLayerWeights{some(r, 18, 6), some(r, 6, 6), some(r, 11, 6), some(r, 6, 11), norm, norm}
	x, y := random(r, 2, 5, 6), Make[float32](2, 5, 6)
	options := TransformerEncoderLayerOptions{NumHeads: 2, Activation: ActivationGELU, NormFirst: true, Causal: true}
	plan, err := NewTransformerEncoderLayerPlan(nil, w, options)
	ok(t, err)
	defer plan.Close()
	ok(t, plan.Run(nil, x, nil, y))
	// The same of its parts.
	part := func(i int) Affine {
		return Affine{w.InProj.Weight.Slice(0, 6*i, 6*i+6), w.InProj.Bias.Slice(0, 6*i, 6*i+6)}
	}
	attention, err := NewMultiHeadAttentionPlan(nil, &MultiHeadWeights{part(0), part(1), part(2), w.OutProj}, MultiHeadAttentionOptions{NumHeads: 2, Causal: true})
	ok(t, err)
	feedForward, err := NewFeedForwardPlan(nil, w.Linear1, w.Linear2, &FeedForwardOptions{Activation: ActivationGELU})
	ok(t, err)
	rows, sum, want := Make[float32](2, 5, 6), Make[float32](2, 5, 6), Make[float32](2, 5, 6)
	gammas := &NormOptions{Gamma: norm.Weight, Beta: norm.Bias}
	ok(t, LayerNorm(nil, x, rows, gammas))
	ok(t, attention.Run(nil, rows, rows, rows, nil, x, sum))
	ok(t, LayerNorm(nil, sum, rows, gammas))
	ok(t, feedForward.Run(nil, rows, sum, want))
	near(t, "an encoder layer", y, 1e-5, func(i []int) float64 { return float64(want.At(i...)) })
	ok(t, plan.Run(nil, x, nil, x))
	near(t, "in place", x, 0, func(i []int) float64 { return float64(y.At(i...)) })
	if plan.Describe() == "" {
		t.Error("no description")
	}
	fails(t, plan.Run(nil, x, &MaskOptions{Bias: Make[float32](3)}, y), ErrShapeMismatch, "transformer_encoder_layer: mask has shape [3]")
	options.NumHeads = 4
	fails(t, second(NewTransformerEncoderLayerPlan(nil, w, options)), ErrInvalidArgument, "num_heads is 4, which does not divide the 6")
}

func TestPatchEmbedding(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	weight, bias, token, positions := random(r, 5, 3, 2, 4), random(r, 5), random(r, 5), random(r, 7, 5)
	x, y := random(r, 2, 3, 7, 8), Make[float32](2, 7, 5)
	plan, err := NewPatchEmbeddingPlan(nil, weight, bias, token, positions)
	ok(t, err)
	defer plan.Close()
	ok(t, plan.Run(nil, x, y))
	near(t, "patches", y, 1e-5, func(i []int) float64 {
		sum := float64(positions.At(i[1], i[2]))
		if i[1] == 0 {
			return sum + float64(token.At(i[2]))
		}
		indices([]int{3, 2, 4}, func(at []int) {
			patch := i[1] - 1
			sum += float64(weight.At(i[2], at[0], at[1], at[2])) * float64(x.At(i[0], at[0], patch/2*2+at[1], patch%2*4+at[2]))
		})
		return sum + float64(bias.At(i[2]))
	})
	if plan.Describe() == "" {
		t.Error("no description")
	}
	fails(t, plan.Run(nil, random(r, 2, 3, 9, 8), y), ErrShapeMismatch, "patch_embedding: input of 9 x 8 has 8 patches, position_embedding has 6")
}
