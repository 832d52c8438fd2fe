package omma

import (
	"math"
	"math/rand"
	"testing"
)

// sampled is a map at a point between pixels, as RoIAlign samples it.
func sampled(x Tensor[float32], image, channel int, at [2]float64) float64 {
	var low [2]int
	var part [2]float64
	for axis, limit := range []int{x.Dim(2), x.Dim(3)} {
		if at[axis] < -1 || at[axis] > float64(limit) {
			return 0
		}
		at[axis] = min(max(at[axis], 0), float64(limit-1))
		low[axis] = min(int(at[axis]), max(limit-2, 0))
		part[axis] = at[axis] - float64(low[axis])
	}
	pixel := func(dy, dx int) float64 {
		y, z := min(low[0]+dy, x.Dim(2)-1), min(low[1]+dx, x.Dim(3)-1)
		return float64(x.At(image, channel, y, z))
	}
	row := func(dy int) float64 { return pixel(dy, 0)*(1-part[1]) + pixel(dy, 1)*part[1] }
	return row(0)*(1-part[0]) + row(1)*part[0]
}

func TestRoIAlign(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(12))
		x := Make[float32](2, 5, 9, 7)
		for i := range x.Data() {
			x.Data()[i] = r.Float32() - 0.5
		}
		rois := Must(Of([]float32{1, 0.5, 1, 9, 13.5, 0, -3, 2, 15, 9, 1, 4, 4, 6, 6}, 3, 5))
		boxes, images := Make[float32](3, 4), Make[int64](3)
		for k := 0; k < 3; k++ {
			images.Set(int64(rois.At(k, 0)), k)
			for j := 0; j < 4; j++ {
				boxes.Set(rois.At(k, j+1), k, j)
			}
		}
		options := RoIAlignOptions{OutputSize: [2]int{3, 2}, SpatialScale: 0.5, SamplingRatio: 2, Aligned: true}
		for _, mode := range []RoIAlignMode{RoIAlignAvg, RoIAlignMaxSample} {
			options.Mode = mode
			expected := func(i []int) float64 {
				sum, most, outside := 0.0, math.Inf(-1), false
				for j := 0; j < 2; j++ {
					for k := 0; k < 2; k++ {
						var at [2]float64
						for axis, s := range []int{j, k} {
							low := float64(rois.At(i[0], 2-axis))*0.5 - 0.5
							high := float64(rois.At(i[0], 4-axis))*0.5 - 0.5
							bin := (high - low) / float64(options.OutputSize[axis])
							at[axis] = low + bin*(float64(i[2+axis])+(float64(s)+0.5)/2)
							outside = outside || at[axis] < -1 || at[axis] > float64(x.Dim(2+axis))
						}
						v := sampled(x, int(rois.At(i[0], 0)), i[1], at)
						sum, most = sum+v, max(most, v)
					}
				}
				if mode == RoIAlignAvg {
					return sum / 4
				}
				return most
			}
			y := Make[float32](3, 5, 3, 2)
			ok(t, RoIAlign(ctx, x, rois, Tensor[int64]{}, y, options))
			near(t, "RoIAlign", y, 1e-6, expected)
			ok(t, RoIAlign(ctx, x, boxes, images, y, options))
			near(t, "RoIAlign by images", y, 1e-6, expected)
		}
		// What bins are given in sum, pixels get: nothing is outside of the map here.
		inside := Must(Of([]float32{0, 4, 4, 10, 12}, 1, 5))
		for _, mode := range []RoIAlignMode{RoIAlignAvg, RoIAlignMaxSample} {
			options.Mode = mode
			dy, dx := Make[float32](1, 5, 3, 2), Make[float32](2, 5, 9, 7)
			for i := range dy.Data() {
				dy.Data()[i] = 1
			}
			ok(t, RoIAlignBackward(ctx, dy, inside, Tensor[int64]{}, x, dx, options))
			sum := 0.0
			for _, v := range dx.Data() {
				sum += float64(v)
			}
			if math.Abs(sum-30) > 1e-5 {
				t.Errorf("gradients sum up to %v, expected 30", sum)
			}
		}
	})
}

func TestRoIPool(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		x := Make[float32](1, 1, 4, 4)
		for i := range x.Data() {
			x.Data()[i] = float32(i * 7 % 16)
		}
		rois := Must(Of([]float32{0, 0, 0, 3, 3}, 1, 5))
		y, where := Make[float32](1, 1, 2, 2), Make[int32](1, 1, 2, 2)
		options := RoIPoolOptions{OutputSize: [2]int{2, 2}}
		ok(t, RoIPool(ctx, x, rois, Tensor[int64]{}, y, where, options))
		largest := func(i []int) (float64, float64) {
			most, at := -1.0, 0
			for p := 0; p < 4; p++ {
				row, col := 2*i[2]+p/2, 2*i[3]+p%2
				if v := float64(x.At(0, 0, row, col)); v > most {
					most, at = v, 4*row+col
				}
			}
			return most, float64(at)
		}
		near(t, "RoIPool", y, 0, func(i []int) float64 { v, _ := largest(i); return v })
		dx := Make[float32](1, 1, 4, 4)
		ok(t, RoIPoolBackward(ctx, y, rois, Tensor[int64]{}, where, dx, options))
		for i, v := range where.Data() {
			_, at := largest([]int{0, 0, i / 2, i % 2})
			if float64(v) != at || dx.Data()[v] != y.Data()[i] {
				t.Errorf("bin %d is of pixel %d with gradient %v, expected %v", i, v, dx.Data()[v], at)
			}
		}
		ok(t, RoIPool(ctx, x, Must(Of([]float32{0, 0, 3, 3}, 1, 4)), Must(Of([]int64{0}, 1)), y, Tensor[int32]{}, options))
		near(t, "RoIPool without argmax", y, 0, func(i []int) float64 { v, _ := largest(i); return v })
	})
}

func TestRoIErrors(t *testing.T) {
	x, rois := Make[float32](1, 2, 4, 4), Make[float32](3, 5)
	none := Tensor[int64]{}
	align := RoIAlignOptions{OutputSize: [2]int{2, 2}}
	pool := RoIPoolOptions{OutputSize: [2]int{2, 2}}
	y := Make[float32](3, 2, 2, 2)
	rois.Set(1, 2, 0)
	fails(t, RoIAlign(nil, x, rois, none, y, align), ErrInvalidArgument, "roi_align: rois[2] has batch index 1, x has 1 images")
	fails(t, RoIPool(nil, x, rois, Make[int64](3), y, Tensor[int32]{}, pool), ErrShapeMismatch, "roi_pool: rois")
	fails(t, RoIAlignBackward(nil, y, rois, none, Tensor[float32]{}, x, RoIAlignOptions{OutputSize: [2]int{1, 2}}),
		ErrShapeMismatch, "roi_align_backward: dy")
	fails(t, RoIPoolBackward(nil, y, Make[float32](3, 5), none, Make[int32](3), x, pool), ErrShapeMismatch,
		"roi_pool_backward: argmax")
	fails(t, RoIPool(nil, x, rois, none, y, Tensor[int32]{}, RoIPoolOptions{OutputSize: [2]int{1 << 31, 1}}),
		ErrInvalidArgument, "roi_pool: output_size is 2147483648")
	fails(t, RoIAlign(nil, x, rois, none, y, RoIAlignOptions{}), ErrInvalidArgument, "roi_align: output_size is [0, 0]")
}
