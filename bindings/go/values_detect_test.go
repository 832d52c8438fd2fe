package omma

import (
	"errors"
	"math"
	"slices"
	"testing"
)

func almost(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 }

func TestBoxConvertInPlace(t *testing.T) {
	boxes := Must(Of([]float32{1, 2, 5, 8, 0, 0, 4, 2}, 2, 4))
	ok(t, BoxConvert(nil, boxes, boxes, BoxXYXY, BoxCXCYWH))
	if want := []float32{3, 5, 4, 6, 2, 1, 4, 2}; !slices.Equal(boxes.Data(), want) {
		t.Fatalf("%v, expected %v", boxes.Data(), want)
	}
	err := BoxConvert(nil, boxes, boxes, BoxXYXY, 9)
	if !errors.Is(err, ErrInvalidArgument) {
		t.Fatal(err)
	}
}

func TestBoxIoU3D(t *testing.T) {
	a := Must(Of([]float32{0, 0, 0, 2, 2, 2}, 1, 6))
	b := Must(Of([]float32{1, 0, 0, 3, 2, 2, 2, 0, 0, 4, 2, 2}, 2, 6))
	out := Make[float32](1, 2)
	ok(t, BoxIoU3D(nil, a, b, out))
	if !almost(out.At(0, 0), 1.0/3) || out.At(0, 1) != 0 {
		t.Fatal(out.Data())
	}
}

func TestSuppressionThatLowersScores(t *testing.T) {
	boxes := Must(Of([]float32{0, 0, 10, 10, 0, 0, 10, 5, 20, 20, 30, 30}, 3, 4))
	scores := Must(Of([]float32{0.75, 0.5, 0.3125}, 3))
	expect := func(kept []int64, lowered []float32, err error) {
		t.Helper()
		ok(t, err)
		if !slices.Equal(kept, []int64{0, 2, 1}) || !slices.Equal(lowered, []float32{0.75, 0.3125, 0.25}) {
			t.Fatalf("%v %v", kept, lowered)
		}
	}
	expect(SoftNMS(nil, boxes, scores, nil))
	expect(SoftNMS(nil, boxes, scores, &SoftNMSOptions{IoUThreshold: Some(0.4), ScoreThreshold: Some(0.0)}))
	expect(MatrixNMS(nil, boxes, scores, Tensor[int64]{}, nil))
	kept, _, err := SoftNMS(nil, boxes, scores, &SoftNMSOptions{Method: SoftNMSGreedy, MaxOutput: 2})
	ok(t, err)
	if !slices.Equal(kept, []int64{0, 2}) {
		t.Fatal(kept)
	}
	_, gaussian, err := SoftNMS(nil, boxes, scores, &SoftNMSOptions{Method: SoftNMSGaussian, Sigma: 0.5})
	ok(t, err)
	if !almost(gaussian[2], float32(0.5*math.Exp(-0.5))) && !almost(gaussian[1], float32(0.5*math.Exp(-0.5))) {
		t.Fatal(gaussian)
	}
	classes := Must(Of([]int32{1, 2, 1}, 3))
	kept, lowered, err := MatrixNMS(nil, boxes, scores, classes, &MatrixNMSOptions{Method: MatrixNMSGaussian})
	ok(t, err)
	if !slices.Equal(kept, []int64{0, 1, 2}) || lowered[1] != 0.5 {
		t.Fatal(kept, lowered)
	}
	if _, _, err = SoftNMS(nil, boxes, scores, &SoftNMSOptions{Sigma: -1}); !errors.Is(err, ErrInvalidArgument) {
		t.Fatal(err)
	}
}

func TestNMSPerImage(t *testing.T) {
	boxes := Must(Of([]float32{0, 0, 10, 10, 1, 1, 10, 10, 0, 0, 10, 10, 20, 20, 30, 30}, 2, 2, 4))
	scores := Must(Of([]float32{0.5, 0.9, 0.9, 0.5}, 2, 2))
	indices, counts := Make[int64](2, 2), Make[int64](2)
	ok(t, NMSPerImage(nil, boxes, scores, Tensor[int64]{}, indices, counts, 0.5, nil))
	if !slices.Equal(indices.Data(), []int64{1, -1, 0, 1}) || !slices.Equal(counts.Data(), []int64{1, 2}) {
		t.Fatal(indices.Data(), counts.Data())
	}
	classes := Must(Of([]int32{0, 1, 0, 0}, 2, 2))
	ok(t, NMSPerImage(nil, boxes, scores, classes, indices, counts, 0.5, nil))
	if !slices.Equal(indices.Data(), []int64{1, 0, 0, 1}) {
		t.Fatal(indices.Data())
	}
}

func TestYOLODecode(t *testing.T) {
	head := Must(Of([]float32{5, 25, 5, 25, 10, 10, 10, 10, 0.125, 0.75, 0.25, 0.125}, 1, 6, 2))
	found, err := YOLODecode(nil, head, 0.5, nil)
	ok(t, err)
	if len(found.Boxes) != 1 || found.Boxes[0] != [4]float32{20, 20, 30, 30} || found.Scores[0] != 0.75 ||
		found.Classes[0] != 0 || found.Indices[0] != 1 || found.Counts[0] != 1 {
		t.Fatalf("%+v", found)
	}
	// More than the first guess has room for.
	many := Make[float32](2, 5, 400)
	for image := 0; image < 2; image++ {
		for i := 0; i < 400; i++ {
			many.Set(0.9, image, 4, i)
		}
	}
	found, err = YOLODecode(nil, many, 0.5, nil)
	ok(t, err)
	if len(found.Boxes) != 800 || !slices.Equal(found.Counts, []int64{400, 400}) {
		t.Fatal(len(found.Boxes), found.Counts)
	}
	// One cell with one anchor, all logits 0: the centre of the cell, the size of the anchor.
	grid := Make[float32](1, 6, 1, 1)
	options := YOLOOptions{Head: YOLOGridV5, Stride: 8, Anchors: Must(Of([]float32{4, 6}, 1, 2))}
	found, err = YOLODecode(nil, grid, 0.2, &options)
	ok(t, err)
	if len(found.Boxes) != 1 || found.Boxes[0] != [4]float32{2, 1, 6, 7} || found.Scores[0] != 0.25 {
		t.Fatalf("%+v", found)
	}
	if _, err = YOLODecode(nil, grid, 0.2, nil); !errors.Is(err, ErrShapeMismatch) {
		t.Fatal(err)
	}
}
