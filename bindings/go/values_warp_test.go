package omma

import (
	"math/rand"
	"testing"
)

func TestWarps(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		x := random(rand.New(rand.NewSource(31)), 6, 8, 2)
		inside := func(y, z int) bool { return y >= 0 && y < 6 && z >= 0 && z < 8 }
		moved := func(i []int) float64 {
			if !inside(i[0]-1, i[1]-2) {
				return 9
			}
			return float64(x.At(i[0]-1, i[1]-2, i[2]))
		}
		y := Make[float32](7, 9, 2)
		options := &WarpOptions{Value: [4]float32{9, 9}}
		ok(t, WarpAffine(ctx, x, [6]float64{1, 0, 2, 0, 1, 1}, y, options))
		near(t, "affine", y, 0, moved)
		options.Inverse = true
		ok(t, WarpPerspective(ctx, x, [9]float64{2, 0, -4, 0, 2, -2, 0, 0, 2}, y, options))
		near(t, "perspective", y, 0, moved)

		height, width, err := RotatedSize(6, 8, 270)
		ok(t, err)
		equal(t, "sides", []int{height, width}, []int{8, 6})
		turned := Make[float32](8, 6, 2)
		ok(t, Rotate(ctx, x, 270, turned, nil))
		near(t, "rotated", turned, 0, func(i []int) float64 { return float64(x.At(5-i[1], i[0], i[2])) })

		mapX, mapY := Make[float32](3, 4), Make[float32](3, 4)
		for i := range mapX.data {
			mapX.data[i], mapY.data[i] = float32(i%4)+0.5, float32(i/4)
		}
		out, again := Make[float32](3, 4, 2), Make[float32](3, 4, 2)
		ok(t, Remap(ctx, x, mapX, mapY, out, nil))
		near(t, "remapped", out, 1e-6, func(i []int) float64 {
			return (float64(x.At(i[0], i[1], i[2])) + float64(x.At(i[0], i[1]+1, i[2]))) / 2
		})
		plan, err := NewRemapPlan(ctx, mapX, mapY, nil)
		ok(t, err)
		ok(t, RunRemap(ctx, plan, x, again))
		equal(t, "the plan", again.Data(), out.Data())
		ok(t, plan.Close())
		fails(t, RunRemap(ctx, plan, x, again), ErrInvalidArgument, "remap: the plan is closed")

		planes := random(rand.New(rand.NewSource(32)), 1, 2, 3, 3)
		grid := Make[float32](1, 1, 2, 2)
		copy(grid.data, []float32{-1, -1, 1, 0})
		samples := Make[float32](1, 2, 1, 2)
		ok(t, GridSample(ctx, planes, grid, samples, &GridSampleOptions{Padding: PaddingBorder, AlignCorners: true}))
		near(t, "grid", samples, 1e-6, func(i []int) float64 { return float64(planes.At(0, i[1], i[3], 2*i[3])) })
	})
}
