package omma

import (
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"
)

// activation is the scalar reference of an activation.
func activation(kind Activation, slope, x float64) float64 {
	switch kind {
	case ActivationReLU:
		return max(x, 0)
	case ActivationReLU6:
		return min(max(x, 0), 6)
	case ActivationLeakyReLU, ActivationPReLU:
		if x < 0 {
			return slope * x
		}
	case ActivationSigmoid:
		return 1 / (1 + math.Exp(-x))
	case ActivationTanh:
		return math.Tanh(x)
	case ActivationSiLU:
		return x / (1 + math.Exp(-x))
	case ActivationHardSwish:
		return x * min(max(x+3, 0), 6) / 6
	case ActivationGELU:
		return x / 2 * (1 + math.Erf(x/math.Sqrt2))
	case ActivationGELUTanh:
		return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}
	return x
}

// convolved is one element of a convolution in NCHW.
func convolved(x, w, bias Tensor[float32], o Conv2DOptions, n, channel, oh, ow int) float64 {
	sum := 0.0
	if bias.present() {
		sum = float64(bias.At(channel))
	}
	groups := max(o.Groups, 1)
	first := channel / (w.Dim(0) / groups) * w.Dim(1)
	for c := 0; c < w.Dim(1); c++ {
		for i := 0; i < w.Dim(2); i++ {
			for j := 0; j < w.Dim(3); j++ {
				y := oh*max(o.Stride[0], 1) + i*max(o.Dilation[0], 1) - o.Padding[0]
				z := ow*max(o.Stride[1], 1) + j*max(o.Dilation[1], 1) - o.Padding[2]
				if y >= 0 && y < x.Dim(2) && z >= 0 && z < x.Dim(3) {
					sum += float64(x.At(n, first+c, y, z)) * float64(w.At(channel, c, i, j))
				}
			}
		}
	}
	return sum
}

// A transposed convolution is the gradient of a convolution: for any arrays, the products of its
// output with y and of x with the convolution of y are the same.
func TestConvTranspose2D(t *testing.T) {
	none := Tensor[float32]{}
	for _, c := range []struct {
		stride, dilation, groups int
		padding                  [4]int
	}{{1, 1, 1, [4]int{}}, {2, 1, 1, [4]int{1, 1, 1, 1}}, {3, 2, 2, [4]int{0, 2, 1, 0}}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			onEveryISA(t, func(t *testing.T, ctx *Context) {
				r := rand.New(rand.NewSource(1))
				x, w := random(r, 2, 4, 5, 6), random(r, 4, 3, 3, 2)
				options := ConvTranspose2DOptions{
					Stride: Both(c.stride), Dilation: Both(c.dilation), Groups: c.groups, Padding: c.padding,
				}
				plan, err := NewConvTranspose2DPlan(ctx, w, none, &options)
				ok(t, err)
				defer plan.Close()
				oh, ow, err := plan.OutputShape(5, 6)
				ok(t, err)
				if !strings.Contains(plan.Describe(), ctx.ISA().String()) {
					t.Errorf("the plan is %q on %v", plan.Describe(), ctx.ISA())
				}
				y, out, again := random(r, 2, 3*c.groups, oh, ow), Make[float32](2, 3*c.groups, oh, ow), Make[float32](2, 3*c.groups, oh, ow)
				ok(t, ConvTranspose2D(ctx, x, w, none, out, &options))
				ok(t, plan.Run(ctx, x, again))
				back := Make[float32](2, 4, 5, 6)
				ok(t, Conv2D(ctx, y, w, none, none, back, &Conv2DOptions{
					Stride: options.Stride, Dilation: options.Dilation, Groups: c.groups, Padding: c.padding,
				}))
				dot := func(a, b Tensor[float32]) (sum, size float64) {
					for i := range a.data {
						term := float64(a.data[i]) * float64(b.data[i])
						sum, size = sum+term, size+math.Abs(term)
					}
					return
				}
				one, size := dot(out, y)
				other, _ := dot(x, back)
				if math.Abs(one-other) > 1e-6*size || size == 0 {
					t.Errorf("%g and %g", one, other)
				}
				for i := range out.data {
					if out.data[i] != again.data[i] {
						t.Fatalf("the call and the plan differ at %d", i)
					}
				}
			})
		})
	}
}

// What is folded gives what the layers give one after the other.
func TestFold(t *testing.T) {
	none := Tensor[float32]{}
	r := rand.New(rand.NewSource(2))
	x, w, bias := random(r, 1, 3, 9, 8), random(r, 4, 3, 3, 3), random(r, 4)
	after := func(w, b Tensor[float32], o Conv2DOptions) Tensor[float32] {
		plan, err := NewConv2DPlan(nil, w, b, &o)
		ok(t, err)
		defer plan.Close()
		h, width, err := plan.OutputShape(9, 8)
		ok(t, err)
		y := Make[float32](1, w.Dim(0), h, width)
		ok(t, plan.Run(nil, x, none, y))
		return y
	}
	plain := after(w, bias, Conv2DOptions{Padding: Around(1)})

	gamma, beta, mean, variance := random(r, 4), random(r, 4), random(r, 4), random(r, 4)
	for i := range variance.data {
		variance.data[i] = variance.data[i]*variance.data[i] + 0.5
	}
	foldedW, foldedB := Make[float32](4, 3, 3, 3), Make[float32](4)
	ok(t, FoldBatchNorm(nil, w, bias, gamma, beta, mean, variance, foldedW, foldedB, 1e-3))
	near(t, "FoldBatchNorm", after(foldedW, foldedB, Conv2DOptions{Padding: Around(1)}), 1e-5, func(index []int) float64 {
		c := index[1]
		value := float64(plain.At(index...)) - float64(mean.At(c))
		return value/math.Sqrt(float64(variance.At(c))+1e-3)*float64(gamma.At(c)) + float64(beta.At(c))
	})

	small := random(r, 4, 3, 1, 1)
	other := after(small, none, Conv2DOptions{})
	ok(t, MergeParallelConv2D(nil, w, bias, small, none, foldedW, foldedB, NCHW))
	near(t, "MergeParallelConv2D", after(foldedW, foldedB, Conv2DOptions{Padding: Around(1)}), 1e-5, func(index []int) float64 {
		return float64(plain.At(index...)) + float64(other.At(index...))
	})

	pooled := Make[float32](1, 4, 4, 4)
	ok(t, AvgPool2D(nil, plain, pooled, PoolOptions{KernelSize: Both(2)}))
	wide := Make[float32](4, 3, 4, 4)
	ok(t, MergeConv2DAvgPool2D(nil, w, wide, Both(2), Both(1), NCHW))
	near(t, "MergeConv2DAvgPool2D", after(wide, bias, Conv2DOptions{Padding: Around(1), Stride: Both(2)}), 1e-5, func(index []int) float64 {
		return float64(pooled.At(index...))
	})

	// Half a pixel to the right is between neighbours.
	row, half, one := Must(Of([]float32{1, 2, 3}, 1, 1, 1, 3)), Must(Of([]float32{0, 0, 0, 0.5, 0.5, 0.5}, 1, 2, 1, 3)), Must(Of([]float32{2}, 1, 1, 1, 1))
	between := Make[float32](1, 1, 1, 3)
	ok(t, DeformConv2D(nil, row, half, one, Tensor[float32]{}, Tensor[float32]{}, between, nil))
	near(t, "DeformConv2D", between, 1e-6, func(index []int) float64 { return []float64{3, 5, 3}[index[3]] })

	field, err := ReceptiveFieldOf(Window{Kernel: 7, Stride: 2, Padding: 3}, Window{Kernel: 3, Stride: 2, Padding: 1}, Window{Kernel: 3, Padding: 2, Dilation: 2})
	ok(t, err)
	if (field != ReceptiveField{Size: 27, Stride: 4, Start: -13}) {
		t.Errorf("%+v", field)
	}
	if field, err = ReceptiveFieldOf(); err != nil || (field != ReceptiveField{Size: 1, Stride: 1}) {
		t.Errorf("%+v, %v", field, err)
	}
	_, err = ReceptiveFieldOf(Window{})
	fails(t, err, ErrInvalidArgument, "receptive_field: layer 0 has kernel 0")
	fails(t, FoldBatchNorm(nil, w, bias, gamma, beta, none, variance, foldedW, foldedB, 0), ErrInvalidArgument, "fold_batch_norm: mean is NULL")
	fails(t, MergeConv2DAvgPool2D(nil, w, wide, Both(0), Both(1), NCHW), ErrInvalidArgument, "merge_conv2d_avg_pool2d: kernel_size is 0")
}

func TestConv2D(t *testing.T) {
	type shapes struct{ n, c, h, w, o, kh, kw int }
	for _, c := range []struct {
		shapes   shapes
		options  Conv2DOptions
		bias     bool
		residual bool
	}{
		{shapes{1, 1, 3, 3, 1, 1, 1}, Conv2DOptions{}, false, false},
		{shapes{2, 3, 9, 11, 5, 3, 3}, Conv2DOptions{Padding: Around(1), Activation: ActivationReLU}, true, true},
		{shapes{1, 4, 8, 7, 6, 3, 2}, Conv2DOptions{Stride: [2]int{2, 1}, Padding: [4]int{1, 0, 2, 1}, Dilation: [2]int{1, 2}, Groups: 2, Activation: ActivationTanh}, true, false},
		{shapes{1, 17, 6, 6, 17, 3, 3}, Conv2DOptions{Groups: 17, Padding: Around(1), Activation: ActivationLeakyReLU, NegativeSlope: 0.25}, false, false},
		{shapes{1, 5, 5, 20, 19, 1, 1}, Conv2DOptions{Activation: ActivationPReLU, Slope: floats(0.5)}, true, false},
		{shapes{1, 8, 5, 5, 4, 3, 3}, Conv2DOptions{Algorithm: ConvImplicitGEMM, Activation: ActivationGELU}, true, false},
		{shapes{0, 2, 4, 4, 2, 3, 3}, Conv2DOptions{}, true, false},
	} {
		s, options := c.shapes, c.options
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			onEveryISA(t, func(t *testing.T, ctx *Context) {
				r := rand.New(rand.NewSource(1))
				x, w := random(r, s.n, s.c, s.h, s.w), random(r, s.o, s.c/max(options.Groups, 1), s.kh, s.kw)
				var bias, residual Tensor[float32]
				if c.bias {
					bias = random(r, s.o)
				}
				plan, err := NewConv2DPlan(ctx, w, bias, &options)
				ok(t, err)
				defer plan.Close()
				oh, ow, err := plan.OutputShape(s.h, s.w)
				ok(t, err)
				y := Make[float32](s.n, s.o, oh, ow)
				if c.residual {
					residual = random(r, s.n, s.o, oh, ow)
				}
				want := func(index []int) float64 {
					sum := convolved(x, w, bias, options, index[0], index[1], index[2], index[3])
					if c.residual {
						sum += float64(residual.At(index...))
					}
					slope := float64(options.NegativeSlope)
					if options.Slope.present() {
						slope = float64(options.Slope.At(0))
					}
					return activation(options.Activation, slope, sum)
				}
				compare := func(what string) {
					t.Helper()
					if y.Len() > 0 {
						near(t, what, y, 1e-5, want)
					}
					for i := range y.data {
						y.data[i] = 100
					}
				}
				ok(t, Conv2D(ctx, x, w, bias, residual, y, &options))
				compare("Conv2D")
				ok(t, plan.Run(ctx, x, residual, y))
				compare("Run")
				// NHWC is the same on permuted views, here of the same memory: any strides are legal.
				if options.Algorithm == ConvAuto {
					last := func(t Tensor[float32]) Tensor[float32] {
						if !t.present() {
							return t
						}
						return t.Permute(0, 2, 3, 1)
					}
					nhwc := options
					nhwc.Layout = NHWC
					ok(t, Conv2D(ctx, last(x), last(w), bias, last(residual), last(y), &nhwc))
					compare("NHWC")
				}
			})
		})
	}
}

func TestMatMulAndLinear(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(2))
		for _, s := range [][4]int{{1, 1, 1, 1}, {3, 5, 7, 2}, {1, 33, 65, 40}, {2, 4, 0, 3}} {
			a, b, y := random(r, s[0], s[1], s[2]), random(r, s[2], s[3]), Make[float32](s[0], s[1], s[3])
			product := func(index []int) float64 {
				sum := 0.0
				for k := 0; k < s[2]; k++ {
					sum += float64(a.At(index[0], index[1], k)) * float64(b.At(k, index[2]))
				}
				return sum
			}
			ok(t, MatMul(ctx, a, b, y))
			near(t, "MatMul", y, 1e-5, product)

			bias := random(r, s[3])
			for _, options := range []*LinearOptions{nil, {Activation: ActivationSigmoid}, {Activation: ActivationLeakyReLU, NegativeSlope: 2}} {
				want := func(index []int) float64 {
					sum := product(index) + float64(bias.At(index[2]))
					if options != nil {
						sum = activation(options.Activation, float64(options.NegativeSlope), sum)
					}
					return sum
				}
				ok(t, Linear(ctx, a, b.Permute(1, 0), bias, y, options))
				near(t, "Linear", y, 1e-5, want)
				plan, err := NewLinearPlan(ctx, b.Permute(1, 0), bias, options)
				ok(t, err)
				y = Make[float32](y.Shape()...)
				ok(t, plan.Run(ctx, a, y))
				near(t, "Run", y, 1e-5, want)
				ok(t, plan.Close())
			}
		}
	})
}

func TestActivations(t *testing.T) {
	type function func(*Context, Tensor[float32], Tensor[float32]) error
	unary := map[Activation]function{
		ActivationReLU: ReLU, ActivationReLU6: ReLU6, ActivationSigmoid: Sigmoid, ActivationTanh: Tanh,
		ActivationSiLU: SiLU, ActivationHardSwish: HardSwish, ActivationGELU: GELU, ActivationGELUTanh: GELUTanh,
		ActivationLeakyReLU: func(ctx *Context, x, y Tensor[float32]) error { return LeakyReLU(ctx, x, y, 0.3) },
	}
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(3))
		x := random(r, 3, 37)
		for i := range x.data {
			x.data[i] *= 8
		}
		x.Set(float32(math.NaN()), 1, 1)
		for kind, f := range unary {
			want := func(index []int) float64 { return activation(kind, float64(float32(0.3)), float64(x.At(index...))) }
			y := Make[float32](37, 3).Permute(1, 0)
			ok(t, f(ctx, x, y))
			near(t, fmt.Sprint("activation ", kind), y, 1e-6, want)
			inPlace := x.Clone()
			ok(t, f(ctx, inPlace, inPlace))
			near(t, fmt.Sprint("in place, activation ", kind), inPlace, 1e-6, want)
		}
		slope := random(r, 3)
		y := Make[float32](3, 37)
		for _, axis := range []int{0, -2} {
			ok(t, PReLU(ctx, x, slope, y, axis))
			near(t, "PReLU", y, 1e-6, func(index []int) float64 {
				return activation(ActivationPReLU, float64(slope.At(index[0])), float64(x.At(index...)))
			})
		}
	})
}

func TestSoftmax(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		x := random(rand.New(rand.NewSource(4)), 5, 19)
		for axis := -2; axis < 2; axis++ {
			along := (axis + 2) % 2
			sum := func(index []int) float64 {
				sum, line := 0.0, x.Index(1-along, index[1-along])
				for i := 0; i < line.Len(); i++ {
					sum += math.Exp(float64(line.At(i)))
				}
				return sum
			}
			y := Make[float32](5, 19)
			ok(t, Softmax(ctx, x, y, axis))
			near(t, "Softmax", y, 1e-6, func(index []int) float64 { return math.Exp(float64(x.At(index...))) / sum(index) })
			ok(t, LogSoftmax(ctx, x, y, axis))
			near(t, "LogSoftmax", y, 1e-5, func(index []int) float64 { return float64(x.At(index...)) - math.Log(sum(index)) })
		}
	})
}

func TestPooling(t *testing.T) {
	for _, o := range []PoolOptions{
		{KernelSize: [2]int{2, 3}},
		{KernelSize: Both(3), Stride: [2]int{2, 1}, Padding: [4]int{1, 0, 1, 1}},
		{KernelSize: Both(2), Stride: Both(3), CeilMode: true},
		{KernelSize: Both(2), Dilation: [2]int{2, 3}, Stride: Both(1)},
	} {
		t.Run(fmt.Sprint(o), func(t *testing.T) {
			onEveryISA(t, func(t *testing.T, ctx *Context) {
				x := random(rand.New(rand.NewSource(5)), 2, 3, 8, 11)
				stride, out := o.Stride, [2]int{}
				for axis, size := range []int{8, 11} {
					if stride[axis] == 0 {
						stride[axis] = o.KernelSize[axis]
					}
					free := size + o.Padding[2*axis] + o.Padding[2*axis+1] - max(o.Dilation[axis], 1)*(o.KernelSize[axis]-1) - 1
					out[axis] = free/stride[axis] + 1
					if o.CeilMode && free%stride[axis] != 0 && out[axis]*stride[axis] < size+o.Padding[2*axis] {
						out[axis]++
					}
				}
				// The elements of a window: maximum, its place, sum and number of those inside.
				window := func(index []int) (most float64, place int64, sum float64, inside, padded int) {
					most = math.Inf(-1)
					for i := 0; i < o.KernelSize[0]; i++ {
						for j := 0; j < o.KernelSize[1]; j++ {
							h := index[2]*stride[0] - o.Padding[0] + i*max(o.Dilation[0], 1)
							w := index[3]*stride[1] - o.Padding[2] + j*max(o.Dilation[1], 1)
							if h < 8+o.Padding[1] && w < 11+o.Padding[3] {
								padded++
							}
							if h < 0 || h >= 8 || w < 0 || w >= 11 {
								continue
							}
							inside++
							value := float64(x.At(index[0], index[1], h, w))
							sum += value
							if value > most {
								most, place = value, int64(h*11+w)
							}
						}
					}
					return
				}
				y, where := Make[float32](2, 3, out[0], out[1]), Make[int64](2, 3, out[0], out[1])
				ok(t, MaxPool2D(ctx, x, y, where, o))
				near(t, "MaxPool2D", y, 0, func(index []int) float64 { most, _, _, _, _ := window(index); return most })
				indices(y.Shape(), func(index []int) {
					if _, place, _, _, _ := window(index); where.At(index...) != place {
						t.Fatalf("the maximum at %v is said to be at %d, it is at %d", index, where.At(index...), place)
					}
				})
				ok(t, MaxPool2D(ctx, x, y, Tensor[int64]{}, o))
				ok(t, AvgPool2D(ctx, x, y, o))
				near(t, "AvgPool2D", y, 1e-6, func(index []int) float64 { _, _, sum, _, n := window(index); return sum / float64(n) })
				o := o
				o.ExcludePad = true
				ok(t, AvgPool2D(ctx, x, y, o))
				near(t, "without padding", y, 1e-6, func(index []int) float64 { _, _, sum, n, _ := window(index); return sum / float64(n) })
				o.DivisorOverride = 5
				ok(t, AvgPool2D(ctx, x, y, o))
				near(t, "by 5", y, 1e-6, func(index []int) float64 { _, _, sum, _, _ := window(index); return sum / 5 })
				// The other layout, by views of the same memory.
				o.Layout = NHWC
				z := Make[float32](y.Shape()...)
				ok(t, AvgPool2D(ctx, x.Permute(0, 2, 3, 1), z.Permute(0, 2, 3, 1), o))
				near(t, "NHWC", z, 1e-6, func(index []int) float64 { return float64(y.At(index...)) })
			})
		})
	}
}
