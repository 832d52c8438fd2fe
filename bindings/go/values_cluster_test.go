package omma

import (
	"math"
	"math/rand"
	"slices"
	"testing"
)

// apart is a distance in float64.
func apart(metric Metric, a, b []float32) float64 {
	var square, absolute, dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		square += (x - y) * (x - y)
		absolute += math.Abs(x - y)
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	switch metric {
	case Euclidean:
		return math.Sqrt(square)
	case Cosine:
		return 1 - dot/math.Sqrt(aa*bb)
	case InnerProduct:
		return dot
	case Manhattan:
		return absolute
	}
	return square
}

func TestPairwiseDistance(t *testing.T) {
	var none Tensor[float32]
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(11))
		a, b, y := random(r, 19, 11), random(r, 7, 11), Make[float32](19, 7)
		row := func(t Tensor[float32], i int) []float32 { return t.Index(0, i).Data() }
		for _, metric := range []Metric{Euclidean, SquaredEuclidean, Cosine, InnerProduct, Manhattan} {
			ok(t, PairwiseDistance(ctx, a, b, none, y, metric))
			near(t, "PairwiseDistance", y, 1e-5, func(i []int) float64 { return apart(metric, row(a, i[0]), row(b, i[1])) })
		}
		covariance := Make[float32](11, 11)
		for i := 0; i < 11; i++ {
			covariance.Set(0.25, i, i)
		}
		ok(t, PairwiseDistance(ctx, a, b, covariance, y, Mahalanobis))
		near(t, "Mahalanobis", y, 1e-5, func(i []int) float64 { return 2 * apart(Euclidean, row(a, i[0]), row(b, i[1])) })
		fails(t, PairwiseDistance(ctx, a, b, none, y, Mahalanobis), ErrInvalidArgument, "covariance")
	})
}

func TestKMeans(t *testing.T) {
	var none Tensor[float32]
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		r := rand.New(rand.NewSource(12))
		// Four groups far apart, in order.
		x := random(r, 200, 3)
		for i := 0; i < 200; i++ {
			for j := 0; j < 3; j++ {
				x.Set(x.At(i, j)+float32(10*(i/50)), i, j)
			}
		}
		labels, centroids := Make[int64](200), Make[float32](4, 3)
		found, err := KMeans(ctx, x, labels, centroids, &KMeansOptions{Tolerance: Some(0.0), NInit: 3, Seed: 1})
		ok(t, err)
		want, distances := Make[int64](200), Make[float32](200)
		ok(t, KMeansAssign(ctx, x, centroids, want, distances))
		equal(t, "labels", labels.Data(), want.Data())
		inertia := 0.0
		for i := 0; i < 200; i++ {
			if labels.At(i) != labels.At(i/50*50) {
				t.Fatalf("point %d is not in the cluster of its group", i)
			}
			inertia += float64(distances.At(i))
		}
		if math.Abs(inertia-found.Inertia) > 1e-5*inertia || found.Iterations < 2 {
			t.Errorf("%+v, expected an inertia of %v", found, inertia)
		}
		sums, counts := Make[float64](4, 3), Make[float64](4)
		half, err := KMeansAccumulate(ctx, x, centroids, none, sums, counts, want)
		ok(t, err)
		equal(t, "counts", counts.Data(), []float64{50, 50, 50, 50})
		moved, err := KMeansUpdate(ctx, sums, counts, centroids, centroids)
		ok(t, err)
		if half != found.Inertia || moved > 1e-10 {
			t.Errorf("inertia %v, expected %v; moved by %v", half, found.Inertia, moved)
		}
		start, weight := centroids, Make[float32](200)
		weight.Set(1, 7)
		_, err = KMeans(ctx, x, labels, Make[float32](4, 3), &KMeansOptions{Start: start, SampleWeight: weight, Init: KMeansRandom})
		ok(t, err)
		_, err = KMeans(ctx, x, labels, Make[float32](201, 3), nil)
		fails(t, err, ErrInvalidArgument, "kmeans", "201", "200")
		x.Set(float32(math.NaN()), 9, 1)
		fails(t, KMeansAssign(ctx, x, centroids, labels, none), ErrInvalidArgument, "NaN", "row 9")
	})
}

func TestKMeansAnchors(t *testing.T) {
	onEveryISA(t, func(t *testing.T, ctx *Context) {
		wh := Must(Of([]float32{8, 9, 1, 2, 9, 9, 2, 2, 10, 9}, 5, 2))
		anchors, labels := Make[float32](2, 2), Make[int64](5)
		mean, err := KMeansAnchors(ctx, wh, anchors, labels, nil)
		ok(t, err)
		equal(t, "anchors", anchors.Data(), []float32{1.5, 2, 9, 9})
		equal(t, "labels", labels.Data(), []int64{1, 0, 1, 0, 1})
		if mean < 0.8 || mean > 1 {
			t.Errorf("the mean IoU is %v", mean)
		}
		var none Tensor[int64]
		start := Must(Of(slices.Clone(anchors.Data()), 2, 2))
		_, err = KMeansAnchors(ctx, wh, anchors, none, &KMeansAnchorsOptions{Average: AnchorMean, Start: start})
		ok(t, err)
		equal(t, "anchors", anchors.Data(), []float32{1.5, 2, 9, 9})
	})
}
