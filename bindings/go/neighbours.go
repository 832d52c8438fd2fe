package omma

// #include "bridge.h"
import "C"

// KNN finds for each row of queries (Q, D) the k nearest rows of data (N, D), by looking at all: their numbers
// to indices (Q, k) and their distances to distances (Q, k), the nearest first, equally near ones by number. k
// is the second dimension of the outputs, from 1 to 1024 and at most N.
//
// [InnerProduct] gives the largest products, descending. The covariance (D, D) is for [Mahalanobis] alone. The
// order is that of distances in float64. NaN and infinity are errors. Outputs may overlap nothing.
func KNN(ctx *Context, queries, data, covariance Tensor[float32], indices Tensor[int64], distances Tensor[float32], metric Metric) error {
	p := C.OmmaKnnParams{struct_size: C.sizeof_OmmaKnnParams, metric: C.int32_t(metric)}
	c, err := ctx.enter("knn")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_knn(c, &p, queries.pointer(), queries.cLayout(), data.pointer(), data.cLayout(),
		covariance.pointer(), covariance.cLayout(), indices.pointer(), indices.cLayout(),
		distances.pointer(), distances.cLayout()))
}

// Descriptor is what descriptors are made of: numbers, or bits, eight to a byte.
type Descriptor interface {
	float32 | uint8
}

// MatchOptions is which nearest neighbours are matches; the zero value takes all.
type MatchOptions struct {
	// CrossCheck takes only pairs that are each other's nearest.
	CrossCheck bool
	// Ratio takes only pairs closer than this times the distance of the second nearest; nil does not ask.
	Ratio *float64
	// MaxDistance takes only pairs no farther apart; nil does not ask.
	MaxDistance *float64
}

// MatchDescriptors finds for each row of a (N, D) the nearest row of b (M, D), if it passes all tests of the
// options. It returns pairs (number in a, number in b), by ascending number in a, and their distances.
//
// Descriptors of float32 are compared by Euclidean distance, those of bytes (up to 4095) by Hamming distance.
// Of equally near ones the first is the nearest. The ratio test is on distances, not on their squares, and
// passes where b has one row. NaN and infinity are errors.
func MatchDescriptors[D Descriptor](ctx *Context, a, b Tensor[D], options *MatchOptions) ([][2]int64, []float32, error) {
	p := C.OmmaMatchDescriptorsParams{struct_size: C.sizeof_OmmaMatchDescriptorsParams}
	if o := options; o != nil {
		if o.CrossCheck {
			p.cross_check = 1
		}
		if o.Ratio != nil {
			p.flags |= C.OMMA_MATCH_RATIO
			p.ratio = C.double(*o.Ratio)
		}
		if o.MaxDistance != nil {
			p.flags |= C.OMMA_MATCH_MAX_DISTANCE
			p.max_distance = C.double(*o.MaxDistance)
		}
	}
	c, err := ctx.enter("match_descriptors")
	if err != nil {
		return nil, nil, err
	}
	defer ctx.leave()
	room := 0
	if shape := a.Shape(); len(shape) > 0 {
		room = shape[0]
	}
	numbers, distances := make([]int64, 2*room), make([]float32, room)
	pairs, values := compact(numbers, []int{room, 2}), compact(distances, []int{room})
	var n C.int64_t
	err = result(C.omma_go_match_descriptors(c, &p, a.pointer(), a.cLayout(), b.pointer(), b.cLayout(),
		pairs.pointer(), pairs.cLayout(), values.pointer(), values.cLayout(), &n))
	if err != nil {
		return nil, nil, err
	}
	found := make([][2]int64, n)
	for i := range found {
		copy(found[i][:], numbers[2*i:])
	}
	return found, distances[:n], nil
}

// MeanShiftKernel is how points count.
type MeanShiftKernel int32

const (
	// MeanShiftFlat counts points within the bandwidth as one.
	MeanShiftFlat MeanShiftKernel = C.OMMA_MEAN_SHIFT_FLAT
	// MeanShiftGaussian counts a point at distance r as exp(-r² / (2 bandwidth²)), as nothing from 8 bandwidths on.
	MeanShiftGaussian MeanShiftKernel = C.OMMA_MEAN_SHIFT_GAUSSIAN
)

// MeanShiftOptions is how to look for modes; zero in a field is its default.
type MeanShiftOptions struct {
	Kernel MeanShiftKernel
	// Seeds (S, D) begin there; without any, every point is a seed.
	Seeds Tensor[float32]
	// BinSeeding makes seeds of the places of a lattice, one bandwidth apart, that points round to.
	BinSeeding bool
	// MinBinFreq is points that must round to a place to make it a seed; 0 means 1.
	MinBinFreq int
	// Orphans gives points farther than the bandwidth from every centre the label -1.
	Orphans bool
	// MaxIterations is how often a seed moves at most, and once more; 0 means 300.
	MaxIterations int
}

// MeanShift moves each seed to the (weighted) mean of the points of x (N, D) around it until it moves by no more
// than a thousandth of the bandwidth. It writes the number of the nearest centre to labels (N) and returns the
// centres (K, D).
//
// Results are those of scikit-learn's MeanShift: centres are ordered by the number of points (the sum of
// weights) around them, then by coordinates, descending, and of centres closer than the bandwidth the first
// remains. NaN and infinity are errors, and so is it when no point is within reach of any seed.
func MeanShift(ctx *Context, x Tensor[float32], labels Tensor[int64], bandwidth float64, options *MeanShiftOptions) (Tensor[float32], error) {
	p := C.OmmaMeanShiftParams{struct_size: C.sizeof_OmmaMeanShiftParams, bandwidth: C.double(bandwidth)}
	var seeds, none Tensor[float32]
	if o := options; o != nil {
		p.kernel = C.int32_t(o.Kernel)
		if o.BinSeeding {
			p.flags |= C.OMMA_MEAN_SHIFT_BIN_SEEDING
		}
		if o.Orphans {
			p.flags |= C.OMMA_MEAN_SHIFT_ORPHANS
		}
		p.min_bin_freq = C.int64_t(o.MinBinFreq)
		p.max_iterations = C.int64_t(o.MaxIterations)
		seeds = o.Seeds
	}
	c, err := ctx.enter("mean_shift")
	if err != nil {
		return none, err
	}
	defer ctx.leave()
	shape := x.Shape()
	if s := seeds.Shape(); len(s) == 2 {
		shape = s
	}
	room, depth := 0, 0
	if len(shape) == 2 {
		room, depth = shape[0], shape[1]
	}
	numbers := make([]float32, room*depth)
	centers := compact(numbers, []int{room, depth})
	var n C.int64_t
	err = result(C.omma_go_mean_shift(c, &p, x.pointer(), x.cLayout(), seeds.pointer(), seeds.cLayout(),
		labels.pointer(), labels.cLayout(), centers.pointer(), centers.cLayout(), &n))
	if err != nil {
		return none, err
	}
	return compact(numbers[:int(n)*depth], []int{int(n), depth}), nil
}

// Cost is what costs are.
type Cost interface {
	float32 | float64
}

// LinearAssignment assigns the rows of cost (N, M) to columns, or columns to rows where these are fewer: of all
// ways to choose min(N, M) entries, no two in one row or column, one with the least sum, or the largest to
// maximize. The pairs go to rows and cols (min(N, M)), by ascending row; it returns the sum.
//
// Plus infinity forbids a pair (minus infinity, to maximize); it is an error when every assignment needs such a
// pair, and so are NaN and the other infinity.
func LinearAssignment[T Cost](ctx *Context, cost Tensor[T], rows, cols Tensor[int64], maximize bool) (float64, error) {
	p := C.OmmaLinearAssignmentParams{struct_size: C.sizeof_OmmaLinearAssignmentParams}
	if maximize {
		p.maximize = 1
	}
	c, err := ctx.enter("linear_assignment")
	if err != nil {
		return 0, err
	}
	defer ctx.leave()
	var total C.double
	err = result(C.omma_go_linear_assignment(c, &p, cost.pointer(), cost.cLayout(), rows.pointer(), rows.cLayout(),
		cols.pointer(), cols.cLayout(), &total))
	return float64(total), err
}
