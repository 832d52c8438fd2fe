package omma

import (
	"math"
	"math/rand"
	"testing"
)

func TestKNN(t *testing.T) {
	var none Tensor[float32]
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(21))
		queries, data := random(r, 9, 6), random(r, 40, 6)
		row := func(t Tensor[float32], i int) []float32 { return t.Index(0, i).Data() }
		for _, metric := range []Metric{Euclidean, SquaredEuclidean, Cosine, Manhattan} {
			indices, distances := Make[int64](9, 3), Make[float32](9, 3)
			ok(t, KNN(ctx, queries, data, none, indices, distances, metric))
			for i := 0; i < 9; i++ {
				last := float64(distances.At(i, 2))
				closer := 0
				for j := 0; j < 40; j++ {
					if apart(metric, row(queries, i), row(data, j)) < last*(1-1e-6) {
						closer++
					}
				}
				if closer != 2 {
					t.Errorf("%d points are nearer than the third nearest", closer)
				}
				own := apart(metric, row(queries, i), row(data, int(indices.At(i, 0))))
				if math.Abs(own-float64(distances.At(i, 0))) > 1e-6*own {
					t.Errorf("distance %v, expected %v", distances.At(i, 0), own)
				}
			}
		}
		fails(t, KNN(ctx, queries, data, none, Make[int64](9, 41), Make[float32](9, 41), Euclidean), ErrInvalidArgument, "k is 41")
	})
}

func TestMatchDescriptors(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		a := Must(Of([]float32{0, 0, 5, 5, 9, 0}, 3, 2))
		b := Must(Of([]float32{5, 4, 0, 0.5, 0, 40}, 3, 2))
		pairs, distances, err := MatchDescriptors(ctx, a, b, &MatchOptions{CrossCheck: true, Ratio: Some(0.5), MaxDistance: Some(0.75)})
		ok(t, err)
		equal(t, "pairs", pairs, [][2]int64{{0, 1}})
		equal(t, "distances", distances, []float32{0.5})
		pairs, _, err = MatchDescriptors(ctx, a, b, nil)
		ok(t, err)
		equal(t, "pairs", pairs, [][2]int64{{0, 1}, {1, 0}, {2, 0}})
		bits := Must(Of([]uint8{0, 255, 7}, 3, 1))
		pairs, distances, err = MatchDescriptors(ctx, bits, bits.Slice(0, 1, 3), nil)
		ok(t, err)
		equal(t, "pairs", pairs, [][2]int64{{0, 1}, {1, 0}, {2, 1}})
		equal(t, "distances", distances, []float32{3, 0, 0})
	})
}

func TestMeanShift(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		x := Must(Of([]float32{0, 0, 1, 0, 0, 1, 9, 9, 8, 9}, 5, 2))
		labels := Make[int64](5)
		centers, err := MeanShift(ctx, x, labels, 2, nil)
		ok(t, err)
		equal(t, "labels", labels.Data(), []int64{0, 0, 0, 1, 1})
		equal(t, "centers", centers.Data()[2:], []float32{8.5, 9})
		for _, kernel := range []MeanShiftKernel{MeanShiftFlat, MeanShiftGaussian} {
			options := MeanShiftOptions{Kernel: kernel, Seeds: x.Slice(0, 3, 5), Orphans: true, MaxIterations: 40}
			centers, err = MeanShift(ctx, x, labels, 1, &options)
			ok(t, err)
			equal(t, "labels", labels.Data(), []int64{-1, -1, -1, 0, 0})
		}
		_, err = MeanShift(ctx, x, labels, 2, &MeanShiftOptions{BinSeeding: true, MinBinFreq: 9})
		fails(t, err, ErrInvalidArgument, "seed")
	})
}

func TestLinearAssignment(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		cost := Must(Of([]float64{4, 1, 3, 2, 0, 5, 3, 2, 2}, 3, 3))
		rows, cols := Make[int64](3), Make[int64](3)
		total, err := LinearAssignment(ctx, cost, rows, cols, false)
		ok(t, err)
		equal(t, "cols", cols.Data(), []int64{1, 0, 2})
		if total != 5 {
			t.Errorf("the total is %v, expected 5", total)
		}
		narrow := Must(Of([]float32{4, 1, 3, 2, 0, 5}, 3, 2))
		total, err = LinearAssignment(ctx, narrow, Make[int64](2), Make[int64](2), true)
		ok(t, err)
		if total != 9 {
			t.Errorf("the total is %v, expected 9", total)
		}
		cost.Set(math.NaN(), 1, 1)
		_, err = LinearAssignment(ctx, cost, rows, cols, false)
		fails(t, err, ErrInvalidArgument, "cost[1, 1] is NaN")
	})
}
