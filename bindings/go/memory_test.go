//go:build go1.24

package omma

import "testing"

// With the directives of Go 1.24 nothing of a call is on the heap, neither layouts nor options.
func TestCallsAllocateNothing(t *testing.T) {
	var none Tensor[float32]
	ctx := newContext(t, ContextOptions{NumThreads: 1})
	x, y := Make[float32](1, 4, 6, 6), Make[float32](1, 4, 6, 6)
	square, result := Make[float32](6, 6), Make[float32](6, 6)
	picture, small, blurred := Make[uint8](8, 8, 3), Make[uint8](4, 4, 3), Make[uint8](8, 8, 3)
	chw := Make[float32](3, 4, 4)
	boxes, scores, classes, kept := Make[float32](3, 4), Make[float32](3), Make[int32](3), make([]int64, 3)
	weight, rois := Make[float32](4, 4, 1, 1), Make[float32](1, 5)
	conv, err := NewConv2DPlan(ctx, weight, none, nil)
	ok(t, err)
	defer conv.Close()
	linear, err := NewLinearPlan(ctx, square, none, nil)
	ok(t, err)
	defer linear.Close()
	for name, call := range map[string]func() error{
		"relu":             func() error { return ReLU(ctx, x, y) },
		"gelu":             func() error { return GELU(ctx, x, y) },
		"leaky_relu":       func() error { return LeakyReLU(ctx, x, y, 1) },
		"prelu":            func() error { return PReLU(ctx, x, scores.Slice(0, 0, 1), y, 1) },
		"softmax":          func() error { return Softmax(ctx, x, y, -1) },
		"attention":        func() error { return Attention(ctx, x, x, x, y, &AttentionOptions{Causal: true}) },
		"layer_norm":       func() error { return LayerNorm(ctx, x, y, &NormOptions{Dims: 2}) },
		"rms_norm":         func() error { return RMSNorm(ctx, x, y, nil) },
		"conv2d":           func() error { return Conv2D(ctx, x, weight, none, none, y, &Conv2DOptions{Stride: Both(1)}) },
		"conv2d_run":       func() error { return conv.Run(ctx, x, none, y) },
		"conv_transpose2d": func() error { return ConvTranspose2D(ctx, x, weight, none, y, nil) },
		"linear": func() error {
			return Linear(ctx, square, square, none, result, &LinearOptions{Activation: ActivationReLU})
		},
		"linear_run": func() error { return linear.Run(ctx, square, result) },
		"matmul":     func() error { return MatMul(ctx, square, square, result) },
		"max_pool2d": func() error { return MaxPool2D(ctx, x, y, Tensor[int64]{}, PoolOptions{KernelSize: Both(1)}) },
		"avg_pool2d": func() error { return AvgPool2D(ctx, x, y, PoolOptions{KernelSize: Both(1)}) },
		"roi_align": func() error {
			return RoIAlign(ctx, x, rois, Tensor[int64]{}, y, RoIAlignOptions{OutputSize: [2]int{y.Dim(2), y.Dim(3)}})
		},
		"roi_pool": func() error {
			return RoIPool(ctx, x, rois, Tensor[int64]{}, y, Tensor[int32]{}, RoIPoolOptions{OutputSize: [2]int{y.Dim(2), y.Dim(3)}})
		},
		"median": func() error { return MedianBlur(ctx, picture, blurred, 5, MedianBorderReplicate) },
		"resize": func() error { return Resize(ctx, picture, small, nil) },
		"rotate": func() error { return Rotate(ctx, picture, 30, small, nil) },
		"warp_affine": func() error {
			return WarpAffine(ctx, picture, [6]float64{1, 0, 1, 0, 1, 2}, small, &WarpOptions{Border: BorderWrap})
		},
		"box_iou": func() error { return BoxIoU(ctx, boxes, boxes, square.Slice(0, 0, 3).Slice(1, 0, 3), nil) },
		"nms":     func() error { return second(NMSInto(ctx, boxes, scores, 0.5, nil, kept)) },
		"batched_nms": func() error {
			return second(BatchedNMSInto(ctx, boxes, scores, classes, 0.5, &NMSOptions{MaxOutput: 3}, kept))
		},
		"image_to_tensor": func() error { return ImageToTensor(ctx, picture, chw, &ImageToTensorOptions{Scale: 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			ok(t, call())
			if n := testing.AllocsPerRun(100, func() { _ = call() }); n != 0 {
				t.Errorf("%v allocations a call", n)
			}
		})
	}
}
