package omma

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// Every operator, with each argument wrong in turn: the message names it, and nothing is written.
func TestOperatorErrors(t *testing.T) {
	var none Tensor[float32]
	var noIndices Tensor[int64]
	f := func(shape ...int) Tensor[float32] { return Make[float32](shape...) }
	out := f(1, 2, 3, 3)
	image, weight := f(1, 4, 3, 3), f(2, 4, 1, 1)
	boxes, scores := f(3, 4), f(3)
	huge := math.MaxInt32 + 1
	conv := func(o Conv2DOptions) error { return Conv2D(nil, image, weight, none, none, out, &o) }
	pool := func(o PoolOptions) error { return MaxPool2D(nil, image, f(1, 4, 1, 1), noIndices, o) }
	mean := func(o PoolOptions) error { return AvgPool2D(nil, image, f(1, 4, 1, 1), o) }
	nms := func(o NMSOptions) error { _, err := NMS(nil, boxes, scores, 0.5, &o); return err }
	activations := map[string]func(*Context, Tensor[float32], Tensor[float32]) error{
		"relu": ReLU, "relu6": ReLU6, "sigmoid": Sigmoid, "tanh": Tanh, "silu": SiLU, "hardswish": HardSwish,
		"gelu": GELU, "gelu_tanh": GELUTanh,
		"leaky_relu":  func(c *Context, x, y Tensor[float32]) error { return LeakyReLU(c, x, y, 1) },
		"prelu":       func(c *Context, x, y Tensor[float32]) error { return PReLU(c, x, floats(1), y, 0) },
		"softmax":     func(c *Context, x, y Tensor[float32]) error { return Softmax(c, x, y, 0) },
		"log_softmax": func(c *Context, x, y Tensor[float32]) error { return LogSoftmax(c, x, y, 0) },
	}
	for name, function := range activations {
		t.Run(name, func(t *testing.T) {
			fails(t, function(nil, none, f(3)), ErrInvalidArgument, name+": input is NULL")
			fails(t, function(nil, f(3), none), ErrInvalidArgument, name+": output is NULL")
			y := floats(5, 5)
			fails(t, function(nil, f(3), y), ErrShapeMismatch, name+": output", "[2]", "[3]")
			equal(t, "the output", y.Data(), []float32{5, 5})
			twice := floats(5, 5, 5)
			fails(t, function(nil, twice.Slice(0, 0, 2), twice.Slice(0, 1, 3)), ErrInvalidArgument, name+": output overlaps input")
			fails(t, function(nil, f(3, 2), Must(Strided(make([]float32, 2), 0, []int{3, 2}, []int{0, 1}))), ErrInvalidArgument, name+": output")
		})
	}
	for _, c := range []struct {
		name   string
		err    error
		status Status
		words  string
	}{
		{"conv2d input", Conv2D(nil, none, weight, none, none, out, nil), ErrInvalidArgument, "conv2d: input is NULL"},
		{"conv2d weight", Conv2D(nil, image, none, none, none, out, nil), ErrInvalidArgument, "conv2d: weight is NULL"},
		{"conv2d output", Conv2D(nil, image, weight, none, none, none, nil), ErrInvalidArgument, "conv2d: output is NULL"},
		{"conv2d channels", Conv2D(nil, image, f(2, 3, 1, 1), none, none, out, nil), ErrShapeMismatch, "conv2d: weight has 3 input channels per group, input has 4 / groups 1"},
		{"conv2d bias", Conv2D(nil, image, weight, f(3), none, out, nil), ErrShapeMismatch, "conv2d: bias has 3 values, weight has 2"},
		{"conv2d residual", Conv2D(nil, image, weight, none, f(1, 2, 3, 4), out, nil), ErrShapeMismatch, "conv2d: residual"},
		{"conv2d output shape", Conv2D(nil, image, weight, none, none, f(1, 2, 3, 4), nil), ErrShapeMismatch, "conv2d: output"},
		{"conv2d stride", conv(Conv2DOptions{Stride: [2]int{-1, 1}}), ErrInvalidArgument, "conv2d: stride is -1"},
		{"conv2d wide stride", conv(Conv2DOptions{Stride: [2]int{1, huge}}), ErrInvalidArgument, "conv2d: stride is 2147483648"},
		{"conv2d padding", conv(Conv2DOptions{Padding: Around(-1)}), ErrInvalidArgument, "conv2d: padding is"},
		{"conv2d wide padding", conv(Conv2DOptions{Padding: [4]int{0, 0, 0, -huge - 1}}), ErrInvalidArgument, "conv2d: padding is -2147483649"},
		{"conv2d dilation", conv(Conv2DOptions{Dilation: Both(-1)}), ErrInvalidArgument, "conv2d: dilation is"},
		{"conv2d wide dilation", conv(Conv2DOptions{Dilation: Both(huge)}), ErrInvalidArgument, "conv2d: dilation is 2147483648"},
		{"conv2d groups", conv(Conv2DOptions{Groups: -1}), ErrInvalidArgument, "conv2d: groups is -1"},
		{"conv2d wide groups", conv(Conv2DOptions{Groups: huge}), ErrInvalidArgument, "conv2d: groups is 2147483648"},
		{"conv2d activation", conv(Conv2DOptions{Activation: 99}), ErrInvalidArgument, "conv2d: activation is 99"},
		{"conv2d slope", conv(Conv2DOptions{Slope: f(2)}), ErrInvalidArgument, "conv2d: activation_slope is given"},
		{"conv2d no slope", conv(Conv2DOptions{Activation: ActivationPReLU}), ErrInvalidArgument, "activation_slope is NULL"},
		{"conv2d layout", conv(Conv2DOptions{Layout: 7}), ErrInvalidArgument, "conv2d: layout is 7"},
		{"conv2d algorithm", conv(Conv2DOptions{Algorithm: 77}), ErrInvalidArgument, "conv2d: algorithm is 77"},
		{"conv_transpose2d input", ConvTranspose2D(nil, none, weight, none, out, nil), ErrInvalidArgument, "conv_transpose2d: input is NULL"},
		{"conv_transpose2d channels", ConvTranspose2D(nil, image, f(3, 2, 1, 1), none, out, nil), ErrShapeMismatch, "conv_transpose2d: weight has 3 input channels, input has 4"},
		{"conv_transpose2d wide padding", ConvTranspose2D(nil, image, weight, none, out, &ConvTranspose2DOptions{OutputPadding: Both(huge)}), ErrInvalidArgument, "conv_transpose2d: output_padding is 2147483648"},
		{"transposed plan groups", second(NewConvTranspose2DPlan(nil, weight, none, &ConvTranspose2DOptions{Groups: huge})), ErrInvalidArgument, "conv_transpose2d: groups"},
		{"deform_conv2d offset", DeformConv2D(nil, image, none, weight, none, none, out, nil), ErrInvalidArgument, "deform_conv2d: offset is NULL"},
		{"deform_conv2d channels", DeformConv2D(nil, image, f(1, 3, 3, 4), weight, none, none, out, nil), ErrShapeMismatch, "deform_conv2d: "},
		{"deform_conv2d wide stride", DeformConv2D(nil, image, image, weight, none, none, out, &DeformConv2DOptions{Stride: Both(huge)}), ErrInvalidArgument, "deform_conv2d: stride is 2147483648"},
		{"plan weight", second(NewConv2DPlan(nil, none, none, nil)), ErrInvalidArgument, "conv2d: weight is NULL"},
		{"plan groups", second(NewConv2DPlan(nil, weight, none, &Conv2DOptions{Groups: huge})), ErrInvalidArgument, "conv2d: groups"},
		{"matmul a", MatMul(nil, none, f(2, 2), f(2, 2)), ErrInvalidArgument, "matmul: a is NULL"},
		{"matmul b", MatMul(nil, f(2, 2), none, f(2, 2)), ErrInvalidArgument, "matmul: b is NULL"},
		{"matmul output", MatMul(nil, f(2, 2), f(2, 2), none), ErrInvalidArgument, "matmul: output is NULL"},
		{"matmul inner", MatMul(nil, f(2, 3), f(2, 2), f(2, 2)), ErrShapeMismatch, "matmul: a has 3 columns, b has 2 rows"},
		{"linear input", Linear(nil, none, f(2, 2), none, f(2, 2), nil), ErrInvalidArgument, "linear: input is NULL"},
		{"linear features", Linear(nil, f(2, 3), f(2, 2), none, f(2, 2), nil), ErrShapeMismatch, "linear: input has 3 features, weight has 2"},
		{"linear activation", Linear(nil, f(2, 2), f(2, 2), none, f(2, 2), &LinearOptions{Activation: ActivationPReLU}), ErrUnsupported, "linear: activation"},
		{"linear plan", second(NewLinearPlan(nil, f(2), none, nil)), ErrShapeMismatch, "linear: weight has 1 dimensions"},
		{"prelu slope", PReLU(nil, f(2, 3), none, f(2, 3), 1), ErrInvalidArgument, "prelu: slope is NULL"},
		{"prelu channels", PReLU(nil, f(2, 3), f(2), f(2, 3), 1), ErrShapeMismatch, "prelu: slope has 2 values, input has 3"},
		{"prelu axis", PReLU(nil, f(2, 3), f(3), f(2, 3), 2), ErrInvalidArgument, "prelu: axis is 2"},
		{"prelu wide axis", PReLU(nil, f(2, 3), f(3), f(2, 3), huge), ErrInvalidArgument, "prelu: axis is 2147483648"},
		{"softmax axis", Softmax(nil, f(2, 3), f(2, 3), -3), ErrInvalidArgument, "softmax: axis is -3"},
		{"softmax wide axis", Softmax(nil, f(2), f(2), huge), ErrInvalidArgument, "softmax: axis is 2147483648"},
		{"log_softmax wide axis", LogSoftmax(nil, f(2), f(2), huge), ErrInvalidArgument, "log_softmax: axis is 2147483648"},
		{"max_pool2d kernel", pool(PoolOptions{}), ErrInvalidArgument, "max_pool2d: kernel_size is"},
		{"max_pool2d wide kernel", pool(PoolOptions{KernelSize: Both(huge)}), ErrInvalidArgument, "max_pool2d: kernel_size is 2147483648"},
		{"max_pool2d stride", pool(PoolOptions{KernelSize: Both(3), Stride: Both(-1)}), ErrInvalidArgument, "max_pool2d: stride is"},
		{"max_pool2d padding", pool(PoolOptions{KernelSize: Both(3), Padding: Around(3)}), ErrInvalidArgument, "max_pool2d: padding"},
		{"max_pool2d dilation", pool(PoolOptions{KernelSize: Both(3), Dilation: Both(-1)}), ErrInvalidArgument, "max_pool2d: dilation is"},
		{"max_pool2d layout", pool(PoolOptions{KernelSize: Both(3), Layout: 5}), ErrInvalidArgument, "max_pool2d: layout is 5"},
		{"max_pool2d options of the mean", pool(PoolOptions{KernelSize: Both(3), ExcludePad: true}), ErrInvalidArgument, "max_pool2d: ExcludePad"},
		{"max_pool2d output", MaxPool2D(nil, image, f(1, 4, 2, 1), noIndices, PoolOptions{KernelSize: Both(3)}), ErrShapeMismatch, "max_pool2d: output"},
		{"max_pool2d indices", MaxPool2D(nil, image, f(1, 4, 1, 1), Make[int64](1), PoolOptions{KernelSize: Both(3)}), ErrShapeMismatch, "max_pool2d: indices"},
		{"avg_pool2d divisor", mean(PoolOptions{KernelSize: Both(3), DivisorOverride: huge}), ErrInvalidArgument, "avg_pool2d: divisor_override is 2147483648"},
		{"avg_pool2d kernel", mean(PoolOptions{KernelSize: [2]int{3, 0}}), ErrInvalidArgument, "avg_pool2d: kernel_size is"},
		{"resize image", Resize(nil, none, f(2, 2), nil), ErrInvalidArgument, "resize: image is NULL"},
		{"resize output", Resize(nil, f(2, 2), none, nil), ErrInvalidArgument, "resize: output is NULL"},
		{"resize channels", Resize(nil, f(2, 2, 3), f(2, 2, 4), nil), ErrShapeMismatch, "resize: output has 4 channels, image has 3"},
		{"resize interpolation", Resize(nil, f(2, 2), f(2, 2), &ResizeOptions{Interpolation: 9}), ErrInvalidArgument, "resize: interpolation is 9"},
		{"resize antialias", Resize(nil, f(2, 2), f(3, 3), &ResizeOptions{Interpolation: InterpolationArea, Antialias: true}), ErrInvalidArgument, "resize: antialias is for interpolation linear and cubic"},
		{"median_blur image", MedianBlur(nil, none, f(2, 2), 3, 0), ErrInvalidArgument, "median_blur: image is NULL"},
		{"median_blur ksize", MedianBlur(nil, f(2, 2), f(2, 2), 4, 0), ErrInvalidArgument, "median_blur: ksize is 4, expected an odd number"},
		{"median_blur border", MedianBlur(nil, f(2, 2), f(2, 2), 3, 7), ErrInvalidArgument, "median_blur: border is 7"},
		{"median_blur shape", MedianBlur(nil, f(2, 2), f(2, 3), 3, 0), ErrShapeMismatch, "median_blur: output has shape [2, 3], image has [2, 2]"},
		{"resize coordinates", Resize(nil, f(2, 2), f(2, 2), &ResizeOptions{Coordinates: 9}), ErrInvalidArgument, "resize: coordinates is 9"},
		{"image_to_tensor image", ImageToTensor(nil, none, f(1, 2, 2), nil), ErrInvalidArgument, "image_to_tensor: image is NULL"},
		{"image_to_tensor output", ImageToTensor(nil, f(2, 2), none, nil), ErrInvalidArgument, "image_to_tensor: output is NULL"},
		{"image_to_tensor swap", ImageToTensor(nil, f(2, 2), f(1, 2, 2), &ImageToTensorOptions{SwapRB: true}), ErrInvalidArgument, "image_to_tensor: swap_rb"},
		{"image_to_tensor std", ImageToTensor(nil, f(2, 2), f(1, 2, 2), &ImageToTensorOptions{Std: [4]float32{float32(math.NaN())}}), ErrInvalidArgument, "image_to_tensor: std[0] is NaN"},
		{"letterbox", second(Letterbox(1, 1, 1, -1)), ErrInvalidArgument, "letterbox: frame_width is -1"},
		{"box_iou a", BoxIoU(nil, none, boxes, f(3, 3), nil), ErrInvalidArgument, "box_iou: a is NULL"},
		{"box_iou b", BoxIoU(nil, boxes, f(3, 5), f(3, 3), nil), ErrShapeMismatch, "box_iou: b has shape [3, 5], expected (N, 4)"},
		{"box_iou output", BoxIoU(nil, boxes, boxes, f(3, 2), nil), ErrShapeMismatch, "box_iou: output"},
		{"box_iou kind", BoxIoU(nil, boxes, boxes, f(3, 3), &BoxIoUOptions{Kind: 8}), ErrInvalidArgument, "box_iou: kind is 8"},
		{"box_iou format", BoxIoU(nil, boxes, boxes, f(3, 3), &BoxIoUOptions{Format: 8}), ErrInvalidArgument, "box_iou: format is 8"},
		{"box_iou offset", BoxIoU(nil, boxes, boxes, f(3, 3), &BoxIoUOptions{Offset: 2}), ErrInvalidArgument, "box_iou: offset is 2"},
		{"box_iou wide offset", BoxIoU(nil, boxes, boxes, f(3, 3), &BoxIoUOptions{Offset: huge}), ErrInvalidArgument, "box_iou: offset is 2147483648"},
		{"box_iou_elementwise", BoxIoUElementwise(nil, boxes, f(2, 4), f(3), nil), ErrShapeMismatch, "box_iou_elementwise: a has 3 boxes, b has 2"},
		{"box_iou_elementwise offset", BoxIoUElementwise(nil, boxes, boxes, f(3), &BoxIoUOptions{Offset: huge}), ErrInvalidArgument, "box_iou_elementwise: offset"},
		{"nms boxes", second(NMS(nil, none, scores, 0.5, nil)), ErrInvalidArgument, "nms: boxes is NULL"},
		{"nms scores", second(NMS(nil, boxes, none, 0.5, nil)), ErrInvalidArgument, "nms: scores is NULL"},
		{"nms lengths", second(NMS(nil, boxes, f(2), 0.5, nil)), ErrShapeMismatch, "nms: scores has 2 elements, boxes 3"},
		{"nms threshold", second(NMS(nil, boxes, scores, math.NaN(), nil)), ErrInvalidArgument, "nms: iou_threshold is NaN"},
		{"nms score threshold", nms(NMSOptions{ScoreThreshold: Some(math.NaN())}), ErrInvalidArgument, "nms: score_threshold is NaN"},
		{"nms max_output", nms(NMSOptions{MaxOutput: -1}), ErrInvalidArgument, "nms: max_output is -1"},
		{"nms max_candidates", nms(NMSOptions{MaxCandidates: -1}), ErrInvalidArgument, "nms: max_candidates is -1"},
		{"nms format", nms(NMSOptions{Format: 9}), ErrInvalidArgument, "nms: format is 9"},
		{"nms offset", nms(NMSOptions{Offset: -huge}), ErrInvalidArgument, "nms: offset is -2147483648"},
		{"nms wide offset", nms(NMSOptions{Offset: huge}), ErrInvalidArgument, "nms: offset is 2147483648"},
		{"nms overlap", nms(NMSOptions{Overlap: 9}), ErrInvalidArgument, "nms: overlap is 9"},
		{"batched_nms classes", second(BatchedNMS(nil, boxes, scores, Make[int32](2), 0.5, nil)), ErrShapeMismatch, "batched_nms: classes has 2 elements, scores 3"},
		{"batched_nms no classes", second(BatchedNMS(nil, boxes, scores, noIndices, 0.5, nil)), ErrInvalidArgument, "batched_nms: classes is NULL"},
		{"batched_nms offset", second(BatchedNMS(nil, boxes, scores, Make[int64](3), 0.5, &NMSOptions{Offset: huge})), ErrInvalidArgument, "batched_nms: offset"},
	} {
		t.Run(c.name, func(t *testing.T) { fails(t, c.err, c.status, c.words) })
	}
	if out.At(0, 1, 2, 2) != 0 {
		t.Error("a failed call has written")
	}
}

func second[T any](_ T, err error) error { return err }

func TestRoomForIndices(t *testing.T) {
	boxes, scores := Must(Of([]float32{0, 0, 1, 1, 5, 5, 6, 6}, 2, 4)), floats(0.1, 0.2)
	kept := []int64{-7}
	count, err := NMSInto(nil, boxes, scores, 0.5, nil, kept)
	fails(t, err, ErrBufferTooSmall, "nms: indices has room for 1, the result has 2")
	if count != 2 || kept[0] != -7 {
		t.Errorf("needed are %d, the room holds %v", count, kept)
	}
	count, err = BatchedNMSInto(nil, boxes, scores, Make[int64](2), 0.5, nil, nil)
	fails(t, err, ErrBufferTooSmall, "batched_nms: indices has room for 0, the result has 2")
	if count != 2 {
		t.Errorf("needed are %d", count)
	}
}

func TestErrorsAreErrors(t *testing.T) {
	err := ReLU(nil, Make[float32](3), Make[float32](2))
	if !errors.Is(err, ErrShapeMismatch) || errors.Is(err, ErrInvalidArgument) || errors.Is(err, io.EOF) {
		t.Errorf("errors.Is takes %v for another", err)
	}
	if !strings.HasPrefix(err.Error(), "omma: relu: output") {
		t.Errorf("the error reads %q", err)
	}
	for status, name := range map[Status]string{
		ErrInvalidArgument: "OMMA_INVALID_ARGUMENT", ErrShapeMismatch: "OMMA_SHAPE_MISMATCH", ErrUnsupported: "OMMA_UNSUPPORTED",
		ErrBufferTooSmall: "OMMA_BUFFER_TOO_SMALL", ErrOutOfMemory: "OMMA_OUT_OF_MEMORY", ErrInternal: "OMMA_INTERNAL",
	} {
		if status.Error() != name {
			t.Errorf("status %d is called %q, expected %q", int(status), status.Error(), name)
		}
	}
}
