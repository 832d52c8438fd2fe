package omma

import (
	"image"
	"image/color"
	"math"
	"testing"
)

func TestOf(t *testing.T) {
	x, err := Of([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	ok(t, err)
	equal(t, "shape", x.Shape(), []int{2, 3})
	equal(t, "strides", x.Strides(), []int{3, 1})
	if x.Rank() != 2 || x.Dim(1) != 3 || x.Len() != 6 || !x.IsCompact() || x.At(1, 0) != 4 {
		t.Errorf("the tensor is %+v", x)
	}
	x.Set(7, 1, 2)
	equal(t, "data", x.Data(), []float32{1, 2, 3, 4, 5, 7})

	scalar := Must(Of([]int64{9}))
	if scalar.Rank() != 0 || scalar.Len() != 1 || scalar.At() != 9 {
		t.Errorf("the scalar is %+v", scalar)
	}
	if empty := Must(Of([]uint8(nil), 3, 0)); empty.Len() != 0 || len(empty.Data()) != 0 {
		t.Errorf("the empty tensor is %+v", empty)
	}
	if none := (Tensor[float32]{}); none.Len() != 0 || none.Rank() != 0 {
		t.Errorf("no tensor is %+v", none)
	}
}

func TestConstructorErrors(t *testing.T) {
	data := make([]float32, 6)
	huge := math.MaxInt / 2
	for _, c := range []struct {
		name   string
		err    func() error
		status Status
		words  []string
	}{
		{"too few", func() error { _, err := Of(data, 2, 4); return err }, ErrShapeMismatch, []string{"data has 6 elements", "[2 4] has 8"}},
		{"too many", func() error { _, err := Of(data, 5); return err }, ErrShapeMismatch, []string{"data has 6 elements", "[5] has 5"}},
		{"negative", func() error { _, err := Of(data, -2, -3); return err }, ErrInvalidArgument, []string{"shape has -2 elements along dimension 0"}},
		{"nine dimensions", func() error { _, err := Of(data[:1], 1, 1, 1, 1, 1, 1, 1, 1, 1); return err }, ErrInvalidArgument, []string{"shape has 9 dimensions", "8"}},
		{"overflow", func() error { _, err := Of(data, huge, 4); return err }, ErrInvalidArgument, []string{"larger than the address space"}},
		{"overflow of nothing", func() error { _, err := Of(data[:0], huge, 0, 4); return err }, ErrInvalidArgument, []string{"larger than the address space"}},
		{"strides of another rank", func() error { _, err := Strided(data, 0, []int{2, 3}, []int{1}); return err }, ErrShapeMismatch, []string{"strides has 1 values, shape 2"}},
		{"offset before", func() error { _, err := Strided(data, -1, []int{1}, []int{1}); return err }, ErrInvalidArgument, []string{"offset is -1", "6 elements"}},
		{"offset behind", func() error { _, err := Strided(data, 7, []int{0}, []int{1}); return err }, ErrInvalidArgument, []string{"offset is 7"}},
		{"one too far", func() error { _, err := Strided(data, 1, []int{2, 3}, []int{3, 1}); return err }, ErrShapeMismatch, []string{"[2 3]", "[3 1]", "offset 1", "6 elements"}},
		{"one before", func() error { _, err := Strided(data, 4, []int{2, 3}, []int{-3, -1}); return err }, ErrShapeMismatch, []string{"beyond data"}},
		{"offset at the end", func() error { _, err := Strided(data, 6, []int{1}, []int{1}); return err }, ErrShapeMismatch, []string{"beyond data"}},
		{"stride overflow", func() error { _, err := Strided(data, 0, []int{3}, []int{math.MaxInt}); return err }, ErrShapeMismatch, []string{"beyond data"}},
		{"negative stride overflow", func() error { _, err := Strided(data, 5, []int{3}, []int{math.MinInt}); return err }, ErrShapeMismatch, []string{"beyond data"}},
		{"reshape", func() error { _, err := Must(Of(data, 6)).Reshape(4); return err }, ErrShapeMismatch, []string{"[4] has 4", "[6] has 6"}},
		{"reshape to less than nothing", func() error { _, err := Must(Of(data, 6)).Reshape(-6); return err }, ErrInvalidArgument, []string{"Reshape: shape has -6"}},
		{"reshape of gaps", func() error { _, err := Must(Of(data, 2, 3)).Permute(1, 0).Reshape(6); return err }, ErrInvalidArgument, []string{"not compact"}},
		{"picture", func() error { _, err := Pixels(image.NewCMYK(image.Rect(0, 0, 1, 1))); return err }, ErrUnsupported, []string{"*image.CMYK", "*image.RGBA"}},
	} {
		t.Run(c.name, func(t *testing.T) { fails(t, c.err(), c.status, c.words...) })
	}
}

func TestPanics(t *testing.T) {
	x := Make[uint8](2, 3)
	panics(t, "-1 elements", func() { Make[float32](-1) })
	panics(t, "data has 1", func() { Must(Of([]float32{1}, 2)) })
	panics(t, "1 indices", func() { x.At(0) })
	panics(t, "index 3 is out of range [0, 2] in dimension 1", func() { x.At(0, 3) })
	panics(t, "index -1", func() { x.Set(1, -1, 0) })
	panics(t, "index 4", func() { x.Slice(1, 0, 4) })
	panics(t, "index 2 is out of range [0, 1]", func() { x.Slice(1, 2, 1) })
	panics(t, "dimension 2", func() { x.Slice(2, 0, 0) })
	panics(t, "index 2", func() { x.Index(0, 2) })
	panics(t, "not a permutation", func() { x.Permute(0, 0) })
	panics(t, "not a permutation", func() { x.Permute(0) })
	panics(t, "dimension 5", func() { x.Permute(0, 5) })
	panics(t, "dimension -1", func() { x.Flip(-1) })
}

func TestViews(t *testing.T) {
	data := make([]int32, 24)
	for i := range data {
		data[i] = int32(i)
	}
	x := Must(Of(data, 2, 3, 4))
	for _, c := range []struct {
		name string
		view Tensor[int32]
		want []int32
	}{
		{"slice", x.Slice(1, 1, 3).Slice(2, 2, 3), []int32{6, 10, 18, 22}},
		{"index", x.Index(0, 1).Index(1, 3), []int32{15, 19, 23}},
		{"permute", x.Index(0, 0).Permute(1, 0).Slice(0, 0, 2), []int32{0, 4, 8, 1, 5, 9}},
		{"flip", x.Index(0, 1).Index(0, 2).Flip(0), []int32{23, 22, 21, 20}},
		{"flip twice", x.Index(1, 0).Flip(0).Flip(1).Flip(0), []int32{3, 2, 1, 0, 15, 14, 13, 12}},
		{"nothing", x.Slice(1, 3, 3).Flip(1).Slice(0, 2, 2), nil},
		{"strided", Must(Strided(data, 23, []int{2, 2}, []int{-12, -1})), []int32{23, 22, 11, 10}},
		{"repeated", Must(Strided(data, 5, []int{2, 3}, []int{0, 1})), []int32{5, 6, 7, 5, 6, 7}},
		{"reshaped", Must(x.Slice(0, 1, 2).Reshape(4, 3)).Index(0, 1), []int32{15, 16, 17}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []int32
			indices(c.view.Shape(), func(index []int) { got = append(got, c.view.At(index...)) })
			equal(t, "the view", got, c.want)
			copied := c.view.Clone()
			equal(t, "the copy", copied.Data(), c.want)
			equal(t, "its shape", copied.Shape(), c.view.Shape())
			if !copied.IsCompact() {
				t.Error("the copy is not compact")
			}
			if (c.view.Data() != nil) != c.view.IsCompact() {
				t.Error("Data and IsCompact disagree")
			}
		})
	}
	// A copy is no view.
	x.Clone().Set(100, 0, 0, 0)
	if data[0] != 0 {
		t.Error("Clone borrows")
	}
	// What is appended to Data goes elsewhere.
	first := x.Slice(0, 0, 1).Data()
	_ = append(first, -1)
	if data[12] != 12 {
		t.Error("Data has room behind it")
	}
	if none := (Tensor[float32]{}).Clone(); none.present() {
		t.Error("a copy of no tensor is one")
	}
}

func TestPixels(t *testing.T) {
	frame := image.Rect(10, 20, 15, 24)
	gray, rgba, nrgba := image.NewGray(frame), image.NewRGBA(frame), image.NewNRGBA(frame)
	for y := frame.Min.Y; y < frame.Max.Y; y++ {
		for x := frame.Min.X; x < frame.Max.X; x++ {
			gray.SetGray(x, y, color.Gray{Y: uint8(10*y + x)})
			rgba.SetRGBA(x, y, color.RGBA{R: uint8(x), G: uint8(y), B: 3, A: 255})
			nrgba.SetNRGBA(x, y, color.NRGBA{R: uint8(x), G: uint8(y), B: 3, A: 100})
		}
	}
	part := image.Rect(12, 21, 15, 23)
	p := Must(Pixels(gray.SubImage(part)))
	equal(t, "gray shape", p.Shape(), []int{2, 3})
	if p.At(1, 2) != gray.GrayAt(14, 22).Y || p.At(0, 0) != gray.GrayAt(12, 21).Y {
		t.Errorf("the last pixel is %d", p.At(1, 2))
	}
	for name, picture := range map[string]image.Image{"RGBA": rgba.SubImage(part), "NRGBA": nrgba.SubImage(part)} {
		p := Must(Pixels(picture))
		equal(t, name+" shape", p.Shape(), []int{2, 3, 4})
		rgb := p.Slice(2, 0, 3)
		equal(t, name, rgb.Index(0, 1).Index(0, 2).Clone().Data(), []uint8{14, 22, 3})
	}
	p.Set(1, 0, 0)
	if gray.GrayAt(12, 21).Y != 1 {
		t.Error("the picture was copied")
	}
	if empty := Must(Pixels(image.NewRGBA(image.Rect(0, 0, 0, 3)))); empty.Len() != 0 {
		t.Errorf("an empty picture has %d samples", empty.Len())
	}
}
