package omma

import (
	"math"
	"math/rand"
	"slices"
	"sort"
	"testing"
)

// overlap is IoU of corners, in float64, and the pieces of its kin.
func overlap(kind IoUKind, offset float64, a, b []float32) float64 {
	x := func(i int) (float64, float64) { return float64(a[i]), float64(b[i]) }
	side := func(i int) (inter, hull, sizeA, sizeB, centre float64) {
		a0, b0 := x(i)
		a1, b1 := x(i + 2)
		return max(min(a1, b1)-max(a0, b0)+offset, 0), max(a1, b1) - min(a0, b0) + offset, a1 - a0 + offset, b1 - b0 + offset,
			(a0 + a1 - b0 - b1) / 2
	}
	iw, hw, aw, bw, dx := side(0)
	ih, hh, ah, bh, dy := side(1)
	union := aw*ah + bw*bh - iw*ih
	iou := iw * ih / union
	switch kind {
	case GIoU:
		return iou - (hw*hh-union)/(hw*hh)
	case DIoU, CIoU:
		result := iou - (dx*dx+dy*dy)/(hw*hw+hh*hh)
		if kind == CIoU {
			d := math.Atan(aw/ah) - math.Atan(bw/bh)
			v := 4 / (math.Pi * math.Pi) * d * d
			result -= v * v / (1 - iou + v)
		}
		return result
	}
	return iou
}

func randomBoxes(r *rand.Rand, n int) Tensor[float32] {
	boxes := Make[float32](n, 4)
	for i := 0; i < n; i++ {
		x, y := 50*r.Float32(), 50*r.Float32()
		for j, v := range []float32{x, y, x + 1 + 20*r.Float32(), y + 1 + 20*r.Float32()} {
			boxes.Set(v, i, j)
		}
	}
	return boxes
}

func TestBoxIoU(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(6))
		a, b := randomBoxes(r, 19), randomBoxes(r, 7)
		row := func(t Tensor[float32], i int) []float32 { return t.Index(0, i).Data() }
		for _, kind := range []IoUKind{IoU, GIoU, DIoU, CIoU} {
			y := Make[float32](19, 7)
			ok(t, BoxIoU(ctx, a, b, y, &BoxIoUOptions{Kind: kind}))
			near(t, "BoxIoU", y, 1e-5, func(i []int) float64 { return overlap(kind, 0, row(a, i[0]), row(b, i[1])) })
			pairs := Make[float32](7)
			ok(t, BoxIoUElementwise(ctx, a.Slice(0, 0, 7), b, pairs, &BoxIoUOptions{Kind: kind}))
			near(t, "BoxIoUElementwise", pairs, 1e-5, func(i []int) float64 { return overlap(kind, 0, row(a, i[0]), row(b, i[0])) })
		}
		y := Make[float32](19, 7)
		ok(t, BoxIoU(ctx, a, b, y, &BoxIoUOptions{Offset: 1}))
		near(t, "offset 1", y, 1e-5, func(i []int) float64 { return overlap(IoU, 1, row(a, i[0]), row(b, i[1])) })
		// The same box in three ways.
		one := Make[float32](1, 1)
		for format, box := range map[BoxFormat][]float32{BoxXYWH: {2, 3, 10, 20}, BoxCXCYWH: {7, 13, 10, 20}, BoxCorners: {12, 3, 2, 23}} {
			ok(t, BoxIoU(ctx, Must(Of(box, 1, 4)), Must(Of(box, 1, 4)), one, &BoxIoUOptions{Format: format}))
			near(t, "a box and itself", one, 1e-6, func([]int) float64 { return 1 })
		}
	})
}

// suppressed is the naive greedy algorithm.
func suppressed(boxes, scores Tensor[float32], class func(i int) int64, threshold float64) []int64 {
	order := make([]int64, scores.Len())
	for i := range order {
		order[i] = int64(i)
	}
	sort.SliceStable(order, func(i, j int) bool { return scores.At(int(order[i])) > scores.At(int(order[j])) })
	var kept []int64
	for _, i := range order {
		if !slices.ContainsFunc(kept, func(j int64) bool {
			return class(int(i)) == class(int(j)) &&
				overlap(IoU, 0, boxes.Index(0, int(i)).Data(), boxes.Index(0, int(j)).Data()) > threshold
		}) {
			kept = append(kept, i)
		}
	}
	return kept
}

func TestNMS(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(7))
		boxes, scores := randomBoxes(r, 100), random(r, 100)
		classes, narrowClasses := Make[int64](100), Make[int32](100)
		for i := 0; i < 100; i++ {
			class := r.Intn(3) - 1
			classes.Set(int64(class), i)
			narrowClasses.Set(int32(class), i)
		}
		all := suppressed(boxes, scores, func(int) int64 { return 0 }, 0.3)
		kept, err := NMS(ctx, boxes, scores, 0.3, nil)
		ok(t, err)
		equal(t, "NMS", kept, all)
		if len(all) < 5 || len(all) > 95 {
			t.Errorf("%d of 100 boxes are kept: the test tests little", len(all))
		}
		each := suppressed(boxes, scores, func(i int) int64 { return classes.At(i) }, 0.3)
		kept, err = BatchedNMS(ctx, boxes, scores, classes, 0.3, nil)
		ok(t, err)
		equal(t, "BatchedNMS", kept, each)
		kept, err = BatchedNMS(ctx, boxes, scores, narrowClasses, 0.3, nil)
		ok(t, err)
		equal(t, "BatchedNMS of int32", kept, each)

		kept, err = NMS(ctx, boxes, scores, 0.3, &NMSOptions{MaxOutput: 3})
		ok(t, err)
		equal(t, "three", kept, all[:3])
		kept, err = NMS(ctx, boxes, scores, 0.3, &NMSOptions{MaxCandidates: 1})
		ok(t, err)
		equal(t, "of one", kept, all[:1])
		kept, err = NMS(ctx, boxes, scores, 0.3, &NMSOptions{ScoreThreshold: Some(0.0)})
		ok(t, err)
		positive := 0
		for positive < len(all) && scores.At(int(all[positive])) > 0 {
			positive++
		}
		equal(t, "positive ones", kept, all[:positive])
		// A small box inside of a large one: little of the union, all of the smaller.
		nested, sure := Must(Of([]float32{0, 0, 9, 9, 1, 1, 3, 3}, 2, 4)), floats(0.9, 0.8)
		for overlap, want := range map[Overlap][]int64{OverlapUnion: {0, 1}, OverlapMin: {0}} {
			kept, err = NMS(ctx, nested, sure, 0.5, &NMSOptions{Overlap: overlap, Offset: 1})
			ok(t, err)
			equal(t, "nested", kept, want)
		}

		room := []int64{-7, -7, -7}
		count, err := NMSInto(ctx, nested, sure, 0.5, nil, room)
		ok(t, err)
		if count != 2 {
			t.Errorf("%d are kept", count)
		}
		equal(t, "the room", room, []int64{0, 1, -7})
		count, err = BatchedNMSInto(ctx, nested, sure, Must(Of([]int32{1, 1}, 2)), 0.5, nil, room[:2])
		ok(t, err)
		if count != 2 {
			t.Errorf("%d are kept", count)
		}
		kept, err = NMS(ctx, Make[float32](0, 4), Make[float32](0), 0.5, nil)
		ok(t, err)
		equal(t, "of nothing", kept, []int64{})
	})
}

func TestResize(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(8))
		x := random(r, 9, 14, 3).Slice(1, 1, 14)
		y := Make[float32](5, 6, 3)
		ok(t, Resize(ctx, x, y, &ResizeOptions{Interpolation: InterpolationNearest}))
		near(t, "nearest", y, 0, func(i []int) float64 { return float64(x.At(i[0]*9/5, i[1]*13/6, i[2])) })
		// One point of the source, between two pixels.
		place := func(d, from, to int) (int, int, float64) {
			f := min(max((float64(d)+0.5)*float64(from)/float64(to)-0.5, 0), float64(from-1))
			i := int(f)
			return i, min(i+1, from-1), f - float64(i)
		}
		for name, size := range map[string][2]int{"smaller": {5, 6}, "larger": {20, 31}} {
			y := Make[float32](size[0], size[1], 3)
			ok(t, Resize(ctx, x, y, nil))
			near(t, "linear, "+name, y, 1e-5, func(i []int) float64 {
				y0, y1, fy := place(i[0], 9, size[0])
				x0, x1, fx := place(i[1], 13, size[1])
				at := func(y, z int) float64 { return float64(x.At(y, z, i[2])) }
				return (1-fy)*((1-fx)*at(y0, x0)+fx*at(y0, x1)) + fy*((1-fx)*at(y1, x0)+fx*at(y1, x1))
			})
		}
		bytes := Make[uint8](6, 8)
		for i := range bytes.data {
			bytes.data[i] = uint8(r.Intn(256))
		}
		half := Make[uint8](2, 4)
		ok(t, Resize(ctx, bytes, half, &ResizeOptions{Interpolation: InterpolationArea}))
		indices(half.Shape(), func(i []int) {
			sum := 0
			indices([]int{3, 2}, func(j []int) { sum += int(bytes.At(3*i[0]+j[0], 2*i[1]+j[1])) })
			if got := int(half.At(i...)); max(got*6-sum, sum-got*6) > 3 {
				t.Errorf("the mean at %v is %d, the sum of its 6 is %d", i, got, sum)
			}
		})
		same := Make[uint8](6, 8)
		ok(t, Resize(ctx, bytes, same, nil))
		equal(t, "the same size", same.Data(), bytes.Data())
	})
}

func TestCubicAndAntialias(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		// A plane stays a plane away from the border, whatever the filter.
		x := Make[float32](40, 60)
		for i := range x.data {
			x.data[i] = float32(i/60) + 2*float32(i%60)
		}
		for name, o := range map[string]ResizeOptions{
			"cubic":             {Interpolation: InterpolationCubic},
			"cubic, antialias":  {Interpolation: InterpolationCubic, Antialias: true},
			"linear, antialias": {Antialias: true},
		} {
			y := Make[float32](10, 20)
			ok(t, Resize(ctx, x, y, &o))
			near(t, name, y.Slice(0, 3, 7).Slice(1, 3, 17), 1e-3, func(i []int) float64 {
				return (float64(i[0]+3)+0.5)*4 - 0.5 + 2*((float64(i[1]+3)+0.5)*3-0.5)
			})
		}
	})
}

func TestMedianBlur(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(9))
		x := Make[uint8](12, 40, 3)
		for i := range x.data {
			x.data[i] = uint8(r.Intn(256))
		}
		for _, ksize := range []int{1, 3, 5, 7, 9, 11} {
			for _, border := range []MedianBorder{MedianBorderReplicate, MedianBorderConstant} {
				y := Make[uint8](12, 40, 3)
				ok(t, MedianBlur(ctx, x, y, ksize, border))
				indices(y.Shape(), func(i []int) {
					var window []int
					for dy := -ksize / 2; dy <= ksize/2; dy++ {
						for dx := -ksize / 2; dx <= ksize/2; dx++ {
							a, b := i[0]+dy, i[1]+dx
							p, q := min(max(a, 0), 11), min(max(b, 0), 39)
							if border == MedianBorderConstant && (p != a || q != b) {
								window = append(window, 0)
							} else {
								window = append(window, int(x.At(p, q, i[2])))
							}
						}
					}
					slices.Sort(window)
					if got := int(y.At(i...)); got != window[len(window)/2] {
						t.Errorf("ksize %d: the median at %v is %d, not %d", ksize, i, got, window[len(window)/2])
					}
				})
			}
		}
	})
}

func TestImageToTensor(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(9))
		x := Make[uint8](5, 7, 3)
		for i := range x.data {
			x.data[i] = uint8(r.Intn(256))
		}
		y := Make[float32](3, 5, 7)
		ok(t, ImageToTensor(ctx, x, y, nil))
		near(t, "plain", y, 1e-6, func(i []int) float64 { return float64(x.At(i[1], i[2], i[0])) / 255 })
		options := ImageToTensorOptions{SwapRB: true, Scale: 2, Mean: [4]float32{1, 2, 3}, Std: [4]float32{4, 5, 6}}
		ok(t, ImageToTensor(ctx, x, y, &options))
		near(t, "normalised", y, 1e-5, func(i []int) float64 {
			return (2*float64(x.At(i[1], i[2], 2-i[0])) - float64(options.Mean[i[0]])) / float64(options.Std[i[0]])
		})
		options = ImageToTensorOptions{Layout: NHWC, Letterbox: true, PadValue: Some(float32(51))}
		frame := Make[float32](1, 9, 7, 3)
		ok(t, ImageToTensor(ctx, x, frame, &options))
		near(t, "letterbox", frame, 1e-6, func(i []int) float64 {
			if i[1] < 2 || i[1] > 6 {
				return 51.0 / 255
			}
			return float64(x.At(i[1]-2, i[2], i[3])) / 255
		})
		// The default padding is 114, and floats are not scaled.
		gray := Make[float32](1, 2)
		square := Make[float32](1, 2, 2)
		ok(t, ImageToTensor(ctx, gray, square, &ImageToTensorOptions{Letterbox: true, Interpolation: InterpolationArea}))
		near(t, "the default padding", square, 0, func(i []int) float64 { return 114 * float64(i[1]) })
	})
}

func TestLetterbox(t *testing.T) {
	p, err := Letterbox(1080, 1920, 640, 640)
	ok(t, err)
	want := Placement{Top: 140, Left: 0, Height: 360, Width: 640, ScaleY: 1.0 / 3, ScaleX: 1.0 / 3}
	if p != want {
		t.Errorf("the placement is %+v, expected %+v", p, want)
	}
	if x, y := p.ToImage(320, 140); math.Abs(x-960) > 1e-9 || y != 0 {
		t.Errorf("the point is %v, %v", x, y)
	}
	_, err = Letterbox(0, 1, 1, 1)
	fails(t, err, ErrInvalidArgument, "letterbox: image_height is 0")
}
