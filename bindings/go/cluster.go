package omma

// #include "bridge.h"
import "C"

// Metric is how far two points are from each other.
type Metric int32

const (
	// Euclidean is the root of the sum of squared differences.
	Euclidean Metric = C.OMMA_METRIC_EUCLIDEAN
	// SquaredEuclidean is the sum of squared differences.
	SquaredEuclidean Metric = C.OMMA_METRIC_SQUARED_EUCLIDEAN
	// Cosine is 1 less the cosine of the angle; a row of zeros has distance 1 from everything.
	Cosine Metric = C.OMMA_METRIC_COSINE
	// InnerProduct is no distance: the larger, the nearer.
	InnerProduct Metric = C.OMMA_METRIC_INNER_PRODUCT
	// Manhattan is the sum of absolute differences.
	Manhattan Metric = C.OMMA_METRIC_MANHATTAN
	// Mahalanobis takes a covariance.
	Mahalanobis Metric = C.OMMA_METRIC_MAHALANOBIS
)

// PairwiseDistance computes the distance of every row of a (N, D) from every row of b (M, D), to output
// (N, M). The covariance (D, D), symmetric and positive definite, is for [Mahalanobis] alone. A NaN in
// a row gives NaN. The output may not overlap an input.
func PairwiseDistance(ctx *Context, a, b, covariance, output Tensor[float32], metric Metric) error {
	p := C.OmmaPairwiseDistanceParams{struct_size: C.sizeof_OmmaPairwiseDistanceParams, metric: C.int32_t(metric)}
	c, err := ctx.enter("pairwise_distance")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_pairwise_distance(c, &p, a.pointer(), a.cLayout(), b.pointer(), b.cLayout(),
		covariance.pointer(), covariance.cLayout(), output.pointer(), output.cLayout()))
}

// KMeansAssign finds for each row of x (N, D) the number of the nearest row of centroids (K, D), to labels
// (N), and its squared distance, to distances (N) unless that is left out.
//
// Labels are those of exact arithmetic but where two distances differ by less than 1e-6 of themselves; of
// equal ones the lowest. NaN and infinity are errors. Outputs may overlap nothing.
func KMeansAssign(ctx *Context, x, centroids Tensor[float32], labels Tensor[int64], distances Tensor[float32]) error {
	c, err := ctx.enter("kmeans_assign")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_kmeans_assign(c, x.pointer(), x.cLayout(), centroids.pointer(), centroids.cLayout(),
		labels.pointer(), labels.cLayout(), distances.pointer(), distances.cLayout()))
}

// KMeansInit is where centroids begin that are not given.
type KMeansInit int32

const (
	// KMeansPlusPlus takes the best of several points drawn by their squared distance from those so far.
	KMeansPlusPlus KMeansInit = C.OMMA_KMEANS_PLUS_PLUS
	// KMeansRandom takes rows at random.
	KMeansRandom KMeansInit = C.OMMA_KMEANS_RANDOM
)

// KMeansOptions is how to cluster; zero in a field is its default.
//
// An iteration of one's own, to watch or to stop, is [KMeansAccumulate] and [KMeansUpdate].
type KMeansOptions struct {
	// Init is where centroids begin, unless Start has them.
	Init KMeansInit
	// Start (K, D) are the first centroids; there is one run then.
	Start Tensor[float32]
	// SampleWeight (N) is finite and not negative; 1 when left out.
	SampleWeight Tensor[float32]
	// MaxIterations is the most iterations of a run; 0 is 300.
	MaxIterations int
	// Tolerance ends a run when the squared distances by which centroids moved sum up to no more than that
	// times the mean variance of the columns; nil is 1e-4, and 0 goes on until no label changes.
	Tolerance *float64
	// NInit is runs from different starts, of which the best counts; 0 is 1.
	NInit int
	// Seed of the random numbers.
	Seed uint64
}

// KMeansResult is what a clustering found.
type KMeansResult struct {
	// Inertia is the sum of weight times squared distance.
	Inertia float64
	// Iterations of the best run.
	Iterations int
}

// KMeans clusters the rows of x (N, D): the number of the cluster of each to labels (N), the means of the
// clusters to centroids (K, D), whose shape says how many there are; K is at most N.
//
// Seeding and stopping are those of scikit-learn's KMeans; a cluster that loses all of its points begins anew
// at the point that is farthest from its centroid. Labels and inertia are those of the centroids that are
// returned, and follow from the inputs and the seed alone. NaN and infinity are errors. Outputs may overlap
// nothing.
func KMeans(ctx *Context, x Tensor[float32], labels Tensor[int64], centroids Tensor[float32], options *KMeansOptions) (KMeansResult, error) {
	p := C.OmmaKmeansParams{struct_size: C.sizeof_OmmaKmeansParams}
	var start, weight Tensor[float32]
	if options != nil {
		p.init = C.int32_t(options.Init)
		p.max_iterations = C.int64_t(options.MaxIterations)
		p.n_init = C.int64_t(options.NInit)
		p.seed = C.uint64_t(options.Seed)
		if options.Tolerance != nil {
			p.flags |= C.OMMA_KMEANS_TOLERANCE
			p.tolerance = C.double(*options.Tolerance)
		}
		start, weight = options.Start, options.SampleWeight
	}
	c, err := ctx.enter("kmeans")
	if err != nil {
		return KMeansResult{}, err
	}
	defer ctx.leave()
	var inertia C.double
	var iterations C.int64_t
	err = result(C.omma_go_kmeans(c, &p, x.pointer(), x.cLayout(), start.pointer(), start.cLayout(), weight.pointer(),
		weight.cLayout(), labels.pointer(), labels.cLayout(), centroids.pointer(), centroids.cLayout(), &inertia,
		&iterations))
	return KMeansResult{Inertia: float64(inertia), Iterations: int(iterations)}, err
}

// KMeansAccumulate is the first half of an iteration over a part of the data: for each row of centroids (K, D)
// the sum of those rows of x (N, D) that are nearest to it, times their weights, to sums (K, D), and of the weights
// to counts (K). The weights (N) and labels (N) may be left out. It returns the inertia.
//
// Results of parts that make up the data are simply added; [KMeansUpdate] is the second half, so that an
// engine of one's own clusters what no machine holds. The rest is as [KMeansAssign] has it.
func KMeansAccumulate(ctx *Context, x, centroids, sampleWeight Tensor[float32], sums, counts Tensor[float64], labels Tensor[int64]) (float64, error) {
	c, err := ctx.enter("kmeans_accumulate")
	if err != nil {
		return 0, err
	}
	defer ctx.leave()
	var inertia C.double
	err = result(C.omma_go_kmeans_accumulate(c, x.pointer(), x.cLayout(), centroids.pointer(), centroids.cLayout(),
		sampleWeight.pointer(), sampleWeight.cLayout(), sums.pointer(), sums.cLayout(), counts.pointer(),
		counts.cLayout(), labels.pointer(), labels.cLayout(), &inertia))
	return float64(inertia), err
}

// KMeansUpdate is the second half of an iteration: sums (K, D) over counts (K), to updated (K, D), which may be
// the very array centroids (K, D). A cluster with a count of 0 keeps its row of centroids. It returns the sum of
// the squared distances by which centroids moved.
func KMeansUpdate(ctx *Context, sums, counts Tensor[float64], centroids, updated Tensor[float32]) (float64, error) {
	c, err := ctx.enter("kmeans_update")
	if err != nil {
		return 0, err
	}
	defer ctx.leave()
	var moved C.double
	err = result(C.omma_go_kmeans_update(c, sums.pointer(), sums.cLayout(), counts.pointer(), counts.cLayout(),
		centroids.pointer(), centroids.cLayout(), updated.pointer(), updated.cLayout(), &moved))
	return float64(moved), err
}

// AnchorAverage is what an anchor is of the boxes of its cluster.
type AnchorAverage int32

const (
	// AnchorMedian is the median of the widths and that of the heights.
	AnchorMedian AnchorAverage = C.OMMA_ANCHORS_MEDIAN
	// AnchorMean is the means.
	AnchorMean AnchorAverage = C.OMMA_ANCHORS_MEAN
)

// KMeansAnchorsOptions is how anchors are found; zero in a field is its default.
type KMeansAnchorsOptions struct {
	Average AnchorAverage
	// Start (K, 2) are the first anchors.
	Start Tensor[float32]
	// MaxIterations is the most iterations; 0 is 300.
	MaxIterations int
	// Seed of the random numbers.
	Seed uint64
}

// KMeansAnchors finds sizes that stand for the sizes of boxes: k-means of wh (N, 2) with the distance 1 - IoU, as
// if boxes shared a corner. The anchors (K, 2) come in ascending order of area, labels (N) may be left out, and the
// mean of the best IoU is returned. Sides are positive and finite, and K is at most N.
func KMeansAnchors(ctx *Context, wh, anchors Tensor[float32], labels Tensor[int64], options *KMeansAnchorsOptions) (float64, error) {
	p := C.OmmaKmeansAnchorsParams{struct_size: C.sizeof_OmmaKmeansAnchorsParams}
	var start Tensor[float32]
	if options != nil {
		p.average = C.int32_t(options.Average)
		p.max_iterations = C.int64_t(options.MaxIterations)
		p.seed = C.uint64_t(options.Seed)
		start = options.Start
	}
	c, err := ctx.enter("kmeans_anchors")
	if err != nil {
		return 0, err
	}
	defer ctx.leave()
	var mean C.double
	err = result(C.omma_go_kmeans_anchors(c, &p, wh.pointer(), wh.cLayout(), start.pointer(), start.cLayout(),
		anchors.pointer(), anchors.cLayout(), labels.pointer(), labels.cLayout(), &mean))
	return float64(mean), err
}
