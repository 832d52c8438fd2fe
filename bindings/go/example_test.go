package omma_test

import (
	"errors"
	"fmt"
	"image"

	"omma"
)

// The README of the project shows the body of this function.
func Example() {
	boxes := omma.Must(omma.Of([]float32{0, 0, 10, 10, 1, 1, 10, 10, 20, 20, 30, 30}, 3, 4))
	scores := omma.Must(omma.Of([]float32{.5, .9, .3}, 3))
	kept, err := omma.NMS(nil, boxes, scores, 0.5, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(len(kept), "boxes kept, the best is number", kept[0])
	// Output: 2 boxes kept, the best is number 1
}

func ExampleConv2D() {
	image := omma.Must(omma.Of([]float32{
		1, 2, 3,
		4, 5, 6,
		7, 8, 9}, 1, 1, 3, 3))
	edges := omma.Must(omma.Of([]float32{-1, 1}, 1, 1, 1, 2))
	output := omma.Make[float32](1, 1, 3, 2)
	err := omma.Conv2D(nil, image, edges, omma.Tensor[float32]{}, omma.Tensor[float32]{}, output, nil)
	fmt.Println(output.Data(), err)
	// Output: [1 1 1 1 1 1] <nil>
}

func ExampleConv2DPlan() {
	ctx, err := omma.NewContext(&omma.ContextOptions{NumThreads: 2})
	if err != nil {
		panic(err)
	}
	defer ctx.Close()
	weight := omma.Must(omma.Of([]float32{1, 1, 1, 1, 1, 1, 1, 1, 1}, 1, 1, 3, 3))
	bias := omma.Must(omma.Of([]float32{-5}, 1))
	plan, err := omma.NewConv2DPlan(ctx, weight, bias, &omma.Conv2DOptions{
		Stride:     omma.Both(2),
		Padding:    omma.Around(1),
		Activation: omma.ActivationReLU,
	})
	if err != nil {
		panic(err)
	}
	defer plan.Close()

	image := omma.Make[float32](1, 1, 4, 4)
	for i := range image.Data() {
		image.Data()[i] = 1
	}
	h, w, _ := plan.OutputShape(4, 4)
	output := omma.Make[float32](1, 1, h, w)
	err = plan.Run(ctx, image, omma.Tensor[float32]{}, output)
	fmt.Println(output.Shape(), output.Data(), err)
	// Output: [1 1 2 2] [0 1 1 4] <nil>
}

func ExampleLinear() {
	x := omma.Must(omma.Of([]float32{1, 2, 3}, 1, 3))
	weight := omma.Must(omma.Of([]float32{1, 0, 1, 0, -1, 0}, 2, 3))
	y := omma.Make[float32](1, 2)
	err := omma.Linear(nil, x, weight, omma.Tensor[float32]{}, y, nil)
	fmt.Println(y.Data(), err)
	// Output: [4 -2] <nil>
}

func ExampleMatMul() {
	a := omma.Must(omma.Of([]float32{1, 2, 3, 4}, 2, 2))
	product := omma.Make[float32](2, 2)
	err := omma.MatMul(nil, a, a.Permute(1, 0), product) // a times its transpose
	fmt.Println(product.Data(), err)
	// Output: [5 11 11 25] <nil>
}

func ExampleReLU() {
	x := omma.Must(omma.Of([]float32{-1, 2, -3}, 3))
	err := omma.ReLU(nil, x, x) // in place
	fmt.Println(x.Data(), err)
	// Output: [0 2 0] <nil>
}

func ExampleSoftmax() {
	logits := omma.Must(omma.Of([]float32{0, 0, 7, 7, 7, 7}, 1, 6))
	probabilities := omma.Make[float32](1, 2)
	err := omma.Softmax(nil, logits.Slice(1, 0, 2), probabilities, -1)
	fmt.Println(probabilities.Data(), err)
	// Output: [0.5 0.5] <nil>
}

func ExampleMaxPool2D() {
	image := omma.Must(omma.Of([]float32{1, 5, 2, 0, 3, 4, 8, 1}, 1, 2, 4))
	output, where := omma.Make[float32](1, 1, 2), omma.Make[int64](1, 1, 2)
	err := omma.MaxPool2D(nil, image, output, where, omma.PoolOptions{KernelSize: omma.Both(2)})
	fmt.Println(output.Data(), where.Data(), err)
	// Output: [5 8] [1 6] <nil>
}

func ExampleResize() {
	picture := image.NewRGBA(image.Rect(0, 0, 640, 480))
	pixels := omma.Must(omma.Pixels(picture))            // no copy
	face := pixels.Slice(0, 100, 200).Slice(1, 300, 400) // nor here
	thumbnail := image.NewRGBA(image.Rect(0, 0, 24, 24)) // resized right into another picture
	err := omma.Resize(nil, face, omma.Must(omma.Pixels(thumbnail)), &omma.ResizeOptions{Interpolation: omma.InterpolationArea})
	fmt.Println(face.Shape(), err)
	// Output: [100 100 4] <nil>
}

func ExampleImageToTensor() {
	photo := omma.Make[uint8](480, 640, 3)
	input := omma.Make[float32](1, 3, 320, 320)
	err := omma.ImageToTensor(nil, photo, input, &omma.ImageToTensorOptions{
		Letterbox: true,
		Mean:      [4]float32{0.485, 0.456, 0.406},
		Std:       [4]float32{0.229, 0.224, 0.225},
	})
	where, _ := omma.Letterbox(480, 640, 320, 320)
	x, y := where.ToImage(160, 160)
	fmt.Println(err, where.Top, where.Height, x, y)
	// Output: <nil> 40 240 320 240
}

func ExampleBoxIoU() {
	a := omma.Must(omma.Of([]float32{0, 0, 2, 2}, 1, 4))
	b := omma.Must(omma.Of([]float32{0, 0, 2, 1, 5, 5, 6, 6}, 2, 4))
	overlap := omma.Make[float32](1, 2)
	err := omma.BoxIoU(nil, a, b, overlap, nil)
	fmt.Println(overlap.Data(), err)
	// Output: [0.5 0] <nil>
}

func ExampleError() {
	x, y := omma.Make[float32](2, 3), omma.Make[float32](3, 2)
	err := omma.ReLU(nil, x, y)
	fmt.Println(errors.Is(err, omma.ErrShapeMismatch))
	fmt.Println(err)
	// Output:
	// true
	// omma: relu: output has shape [3, 2], input has [2, 3]
}
