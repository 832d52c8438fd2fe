package omma

import (
	"math"
	"math/rand"
	"testing"
)

// attended is one element of attention without options but a mask.
func attended(q, k, v Tensor[float32], seen func(query, key int) bool, index []int) float64 {
	b, h, i, e := index[0], index[1], index[2], index[3]
	g := h / (q.Dim(1) / k.Dim(1))
	var sum, total float64
	for j := 0; j < k.Dim(2); j++ {
		if !seen(i, j) {
			continue
		}
		var dot float64
		for c := 0; c < q.Dim(3); c++ {
			dot += float64(q.At(b, h, i, c)) * float64(k.At(b, g, j, c))
		}
		weight := math.Exp(dot / math.Sqrt(float64(q.Dim(3))))
		total += weight
		sum += weight * float64(v.At(b, g, j, e))
	}
	if total == 0 {
		return 0
	}
	return sum / total
}

func TestAttention(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(1))
		for _, queries := range []int{1, 5, 37} {
			q, k, v := random(r, 2, 4, queries, 16), random(r, 2, 2, 50, 16), random(r, 2, 2, 50, 9)
			y, logs := Make[float32](2, 4, queries, 9), Make[float32](2, 4, queries)
			ok(t, Attention(ctx, q, k, v, y, nil))
			all := func(int, int) bool { return true }
			near(t, "attention", y, 1e-5, func(i []int) float64 { return attended(q, k, v, all, i) })

			ok(t, Attention(ctx, q, k, v, y, &AttentionOptions{Causal: true, CausalOffset: -1, LogSumExp: logs}))
			before := func(i, j int) bool { return j < i }
			near(t, "causal attention", y, 1e-5, func(i []int) float64 { return attended(q, k, v, before, i) })
			if !math.IsInf(float64(logs.At(0, 0, 0)), -1) {
				t.Errorf("the logarithm of no key is %v", logs.At(0, 0, 0))
			}

			mask, bias := Make[bool](queries, 50), Make[float32](queries, 50)
			some := func(i, j int) bool { return (i+j)%3 != 0 }
			indices(mask.Shape(), func(i []int) {
				mask.Set(some(i[0], i[1]), i...)
				if !some(i[0], i[1]) {
					bias.Set(float32(math.Inf(-1)), i...)
				}
			})
			for _, options := range []AttentionOptions{{Mask: mask}, {Bias: bias, Scale: Some(float32(0.25))}} {
				ok(t, Attention(ctx, q, k, v, y, &options))
				near(t, "masked attention", y, 1e-5, func(i []int) float64 { return attended(q, k, v, some, i) })
			}
			fails(t, Attention(ctx, q, k, v, y, &AttentionOptions{Mask: mask, Bias: bias}), ErrInvalidArgument, "both")
		}
	})
	f := func(shape ...int) Tensor[float32] { return Make[float32](shape...) }
	var none Tensor[float32]
	q, k := f(1, 3, 2, 4), f(1, 2, 5, 4)
	fails(t, Attention(nil, none, k, k, q, nil), ErrInvalidArgument, "attention: q is NULL")
	fails(t, Attention(nil, q, k, k, q, nil), ErrShapeMismatch, "attention: q has 3 heads, which the 2 of k do not divide")
}

func TestNorms(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(2))
		x, residual, gamma, beta := random(r, 3, 5, 7), random(r, 3, 5, 7), random(r, 5, 7), random(r, 5, 7)
		y, sum := Make[float32](3, 5, 7), Make[float32](3, 5, 7)
		for _, rms := range []bool{false, true} {
			want := func(index []int) float64 {
				var mean, square float64
				row := func(f func(s float64)) {
					for i := 0; i < 5; i++ {
						for j := 0; j < 7; j++ {
							f(float64(x.At(index[0], i, j)) + float64(residual.At(index[0], i, j)))
						}
					}
				}
				if !rms {
					row(func(s float64) { mean += s / 35 })
				}
				row(func(s float64) { square += (s - mean) * (s - mean) / 35 })
				s := float64(x.At(index...)) + float64(residual.At(index...))
				value := (s - mean) / math.Sqrt(square+0.5) * float64(gamma.At(index[1:]...))
				if !rms {
					value += float64(beta.At(index[1:]...))
				}
				return value
			}
			options := NormOptions{Dims: 2, Eps: Some(float32(0.5)), Gamma: gamma, Residual: residual, Sum: sum}
			if rms {
				ok(t, RMSNorm(ctx, x, y, &options))
			} else {
				options.Beta = beta
				ok(t, LayerNorm(ctx, x, y, &options))
			}
			near(t, "norm", y, 1e-5, want)
			near(t, "sum", sum, 0, func(i []int) float64 { return float64(x.At(i...) + residual.At(i...)) })
		}
	})
	x := floats(1, 2, 3)
	y := Make[float32](3)
	ok(t, LayerNorm(nil, x, y, nil))
	ok(t, RMSNorm(nil, x, y, nil))
	fails(t, RMSNorm(nil, x, y, &NormOptions{Beta: x}), ErrInvalidArgument, "rms_norm: Beta")
	fails(t, LayerNorm(nil, x, y, &NormOptions{Dims: 2}), ErrInvalidArgument, "layer_norm: axis is -2, input has 1 dimensions")
	fails(t, LayerNorm(nil, x, y, &NormOptions{Dims: -1}), ErrInvalidArgument, "layer_norm: Dims is -1")
	fails(t, LayerNorm(nil, x, y, &NormOptions{Gamma: floats(1)}), ErrShapeMismatch, "layer_norm: gamma has shape [1], expected [3]")
}
