package omma

import (
	"fmt"
	"math"
	"math/bits"
)

// MaxRank is the most dimensions that a tensor can have.
const MaxRank = 8

// Element is what a tensor can hold. Each operator says in its signature which of them it takes.
type Element interface {
	float32 | float64 | uint8 | int32 | int64 | bool
}

// layout is a tensor without its address: OmmaGoLayout of bridge.h, field by field.
type layout struct {
	shape, strides [MaxRank]int64
	rank           int32
	code, bits     uint8
	_              [2]uint8
}

// Tensor is a slice seen as an array of up to [MaxRank] dimensions. It borrows the memory of the
// slice; copies of a Tensor are cheap and borrow the same memory. The zero Tensor is no tensor at
// all: it stands for an optional argument that is left out.
type Tensor[T Element] struct {
	data []T
	// The index in data of the element at 0, 0, …; not 0 where a stride is negative.
	origin int
	layout layout
}

// Of sees data as a compact row-major array: the last index is that of neighbours. The slice must
// have as many elements as the shape. No sizes at all mean a scalar, of one element.
func Of[T Element](data []T, shape ...int) (Tensor[T], error) {
	n, err := elements("Of", shape)
	if err != nil {
		return Tensor[T]{}, err
	}
	if n != len(data) {
		return Tensor[T]{}, failure(ErrShapeMismatch, "Of: data has %d elements, shape %v has %d", len(data), shape, n)
	}
	return compact(data, shape), nil
}

// Strided sees data as an array with any strides: the element at (i, j, …) is
//
//	data[offset + i*strides[0] + j*strides[1] + …]
//
// Strides may be negative, and 0 repeats elements (in an input). Every element must lie in data.
func Strided[T Element](data []T, offset int, shape, strides []int) (Tensor[T], error) {
	n, err := elements("Strided", shape)
	if err != nil {
		return Tensor[T]{}, err
	}
	if len(strides) != len(shape) {
		return Tensor[T]{}, failure(ErrShapeMismatch, "Strided: strides has %d values, shape %d", len(strides), len(shape))
	}
	if offset < 0 || offset > len(data) {
		return Tensor[T]{}, failure(ErrInvalidArgument, "Strided: offset is %d, data has %d elements", offset, len(data))
	}
	if n > 0 && !within(len(data), offset, shape, strides) {
		return Tensor[T]{}, failure(ErrShapeMismatch,
			"Strided: shape %v with strides %v from offset %d reaches beyond data, which has %d elements",
			shape, strides, offset, len(data))
	}
	t := Tensor[T]{data: data, origin: offset}
	t.layout.code, t.layout.bits = elementType[T]()
	t.layout.rank = int32(len(shape))
	for axis := range shape {
		t.layout.shape[axis], t.layout.strides[axis] = int64(shape[axis]), int64(strides[axis])
	}
	return t, nil
}

// Make is a new compact tensor of zeros. Like the built-in make it panics when a size is negative
// or the array too large.
func Make[T Element](shape ...int) Tensor[T] {
	n, err := elements("Make", shape)
	if err != nil {
		panic(err)
	}
	return compact(make([]T, n), shape)
}

// Must returns the tensor of [Of], [Strided], [Tensor.Reshape] or [Pixels] and panics on an error:
// for shapes that are known to be right.
func Must[T Element](t Tensor[T], err error) Tensor[T] {
	if err != nil {
		panic(err)
	}
	return t
}

// compact wants as many elements as the shape has.
func compact[T Element](data []T, shape []int) Tensor[T] {
	t := Tensor[T]{data: data}
	t.layout.code, t.layout.bits = elementType[T]()
	t.layout.rank = int32(len(shape))
	stride := int64(1)
	for axis := len(shape) - 1; axis >= 0; axis-- {
		t.layout.shape[axis], t.layout.strides[axis] = int64(shape[axis]), stride
		stride *= int64(max(shape[axis], 1))
	}
	return t
}

// elements is how many elements a shape has. An empty shape must not overflow either: its strides
// are products of the other sizes.
func elements(op string, shape []int) (int, error) {
	if len(shape) > MaxRank {
		return 0, failure(ErrInvalidArgument, "%s: shape has %d dimensions, the most is %d", op, len(shape), MaxRank)
	}
	product, empty := uint64(1), false
	for axis, size := range shape {
		if size < 0 {
			return 0, failure(ErrInvalidArgument, "%s: shape has %d elements along dimension %d", op, size, axis)
		}
		empty = empty || size == 0
		high, low := bits.Mul64(product, uint64(max(size, 1)))
		if high != 0 || low > math.MaxInt/8 {
			return 0, failure(ErrInvalidArgument, "%s: shape %v is larger than the address space", op, shape)
		}
		product = low
	}
	if empty {
		return 0, nil
	}
	return int(product), nil
}

// within tells whether every element lies in a slice of the given length. No size is zero.
func within(length, offset int, shape, strides []int) bool {
	first, last := offset, offset
	for axis, size := range shape {
		steps, stride := size-1, strides[axis]
		switch {
		case steps == 0 || stride == 0:
		case stride > 0:
			// Divided rather than multiplied, so that nothing overflows.
			if steps > (length-last)/stride {
				return false
			}
			last += steps * stride
		default:
			if stride == math.MinInt || steps > first/-stride {
				return false
			}
			first += steps * stride
		}
	}
	return last < length
}

func elementType[T Element]() (code, bits uint8) {
	var zero T
	switch any(zero).(type) {
	case float32:
		return 2, 32
	case float64:
		return 2, 64
	case uint8:
		return 1, 8
	case int32:
		return 0, 32
	case bool:
		return 6, 8
	default:
		return 0, 64
	}
}

// present is false for the zero Tensor.
func (t *Tensor[T]) present() bool { return t.layout.bits != 0 }

// Rank is the number of dimensions.
func (t Tensor[T]) Rank() int { return int(t.layout.rank) }

// Dim is the number of elements along a dimension.
func (t Tensor[T]) Dim(axis int) int { return int(t.layout.shape[:t.layout.rank][axis]) }

// Shape is a copy of the sizes of all dimensions.
func (t Tensor[T]) Shape() []int { return ints(t.layout.shape[:t.layout.rank]) }

// Strides is a copy of the distances of neighbours along each dimension, in elements.
func (t Tensor[T]) Strides() []int { return ints(t.layout.strides[:t.layout.rank]) }

// Len is the number of elements; 0 for the zero Tensor.
func (t Tensor[T]) Len() int {
	if !t.present() {
		return 0
	}
	n := 1
	for _, size := range t.layout.shape[:t.layout.rank] {
		n *= int(size)
	}
	return n
}

// IsCompact tells whether the elements lie in row-major order without gaps.
func (t Tensor[T]) IsCompact() bool {
	if t.Len() == 0 {
		return true
	}
	stride := int64(1)
	for axis := t.Rank() - 1; axis >= 0; axis-- {
		if size := t.layout.shape[axis]; size != 1 {
			if t.layout.strides[axis] != stride {
				return false
			}
			stride *= size
		}
	}
	return true
}

// Data is the memory of a compact tensor, in row-major order. It is nil when the tensor is not
// compact; [Tensor.Clone] is then one that is.
func (t Tensor[T]) Data() []T {
	if !t.IsCompact() {
		return nil
	}
	end := t.origin + t.Len()
	return t.data[t.origin:end:end]
}

// At is one element. It panics when there are not as many indices as dimensions, or one is out of
// range.
func (t Tensor[T]) At(index ...int) T { return t.data[t.position(index)] }

// Set changes one element; it panics as [Tensor.At].
func (t Tensor[T]) Set(value T, index ...int) { t.data[t.position(index)] = value }

func (t *Tensor[T]) position(index []int) int {
	if len(index) != t.Rank() {
		panic(fmt.Sprintf("omma: %d indices for a tensor of %d dimensions", len(index), t.Rank()))
	}
	position := t.origin
	for axis, i := range index {
		t.checkIndex(axis, i, int(t.layout.shape[axis])-1)
		position += i * int(t.layout.strides[axis])
	}
	return position
}

func (t *Tensor[T]) checkIndex(axis, i, most int) {
	if i < 0 || i > most {
		panic(fmt.Sprintf("omma: index %d is out of range [0, %d] in dimension %d of shape %v", i, most, axis, t.Shape()))
	}
}

func (t *Tensor[T]) checkAxis(axis int) {
	if axis < 0 || axis >= t.Rank() {
		panic(fmt.Sprintf("omma: dimension %d of a tensor with %d", axis, t.Rank()))
	}
}

func ints(values []int64) []int {
	result := make([]int, len(values))
	for i, value := range values {
		result[i] = int(value)
	}
	return result
}
