package omma

import (
	"fmt"
	"image"
)

// Slice is the part from index from up to, but without, index to of a dimension, as the slice
// expression t[from:to] is; nothing is copied. It panics when the range is not in the tensor.
func (t Tensor[T]) Slice(axis, from, to int) Tensor[T] {
	t.checkAxis(axis)
	t.checkIndex(axis, to, t.Dim(axis))
	t.checkIndex(axis, from, to)
	return t.part(axis, from, to-from)
}

// Index is the part at one index of a dimension, which disappears, as t[i] is; nothing is copied.
// It panics when the index is not in the tensor.
func (t Tensor[T]) Index(axis, i int) Tensor[T] {
	t.checkAxis(axis)
	t.checkIndex(axis, i, t.Dim(axis)-1)
	t = t.part(axis, i, 1)
	copy(t.layout.shape[axis:], t.layout.shape[axis+1:])
	copy(t.layout.strides[axis:], t.layout.strides[axis+1:])
	t.layout.rank--
	return t
}

func (t Tensor[T]) part(axis, from, size int) Tensor[T] {
	t.layout.shape[axis] = int64(size)
	// Of nothing the origin stays, since it might leave the slice.
	if t.Len() > 0 {
		t.origin += from * int(t.layout.strides[axis])
	}
	return t
}

// Permute is the tensor with its dimensions in another order: dimension i of the result is
// dimension axes[i]. Nothing is copied. It panics when axes is not a permutation.
func (t Tensor[T]) Permute(axes ...int) Tensor[T] {
	if len(axes) != t.Rank() {
		panic(fmt.Sprintf("omma: %v is not a permutation of %d dimensions", axes, t.Rank()))
	}
	permuted, seen := t, [MaxRank]bool{}
	for i, axis := range axes {
		t.checkAxis(axis)
		if seen[axis] {
			panic(fmt.Sprintf("omma: %v is not a permutation of %d dimensions", axes, t.Rank()))
		}
		seen[axis] = true
		permuted.layout.shape[i], permuted.layout.strides[i] = t.layout.shape[axis], t.layout.strides[axis]
	}
	return permuted
}

// Flip is the tensor with a dimension read backwards; nothing is copied.
func (t Tensor[T]) Flip(axis int) Tensor[T] {
	t.checkAxis(axis)
	if t.Len() > 0 {
		t.origin += (t.Dim(axis) - 1) * int(t.layout.strides[axis])
	}
	t.layout.strides[axis] = -t.layout.strides[axis]
	return t
}

// Reshape is a compact tensor with another shape of as many elements; nothing is copied.
func (t Tensor[T]) Reshape(shape ...int) (Tensor[T], error) {
	if !t.IsCompact() {
		return Tensor[T]{}, failure(ErrInvalidArgument, "Reshape: the tensor of shape %v with strides %v is not compact",
			t.Shape(), t.Strides())
	}
	n, err := elements("Reshape", shape)
	if err != nil {
		return Tensor[T]{}, err
	}
	if n != t.Len() {
		return Tensor[T]{}, failure(ErrShapeMismatch, "Reshape: shape %v has %d elements, the tensor of shape %v has %d",
			shape, n, t.Shape(), t.Len())
	}
	return compact(t.Data(), shape), nil
}

// Clone is a compact copy.
func (t Tensor[T]) Clone() Tensor[T] {
	if !t.present() {
		return t
	}
	shape := t.Shape()
	copied := compact(make([]T, 0, t.Len()), shape)
	if t.Len() > 0 {
		copied.data = t.appendTo(copied.data, 0, t.origin)
	}
	return copied
}

// appendTo appends the elements below one index of all dimensions before axis. No size is zero.
func (t *Tensor[T]) appendTo(data []T, axis, position int) []T {
	if axis == t.Rank() {
		return append(data, t.data[position])
	}
	size, stride := int(t.layout.shape[axis]), int(t.layout.strides[axis])
	if axis == t.Rank()-1 && stride == 1 {
		return append(data, t.data[position:position+size]...)
	}
	for i := 0; i < size; i++ {
		data = t.appendTo(data, axis+1, position+i*stride)
	}
	return data
}

// Pixels sees a picture as an array without a copy: (H, W) for *image.Gray, (H, W, 4) for
// *image.RGBA and *image.NRGBA, also where it is a part of a larger one. Slice(2, 0, 3) of a
// coloured one is red, green and blue without alpha. Pictures of other kinds are
// [ErrUnsupported]; draw.Draw brings them to one of these.
func Pixels(picture image.Image) (Tensor[uint8], error) {
	size := picture.Bounds().Size()
	var pix []uint8
	var stride int
	shape := []int{size.Y, size.X, 4}
	switch p := picture.(type) {
	case *image.Gray:
		pix, stride, shape = p.Pix, p.Stride, shape[:2]
	case *image.RGBA:
		pix, stride = p.Pix, p.Stride
	case *image.NRGBA:
		pix, stride = p.Pix, p.Stride
	default:
		return Tensor[uint8]{}, failure(ErrUnsupported,
			"Pixels: the picture is a %T, expected *image.Gray, *image.RGBA or *image.NRGBA", picture)
	}
	strides := []int{stride, 4, 1}
	if len(shape) == 2 {
		strides = []int{stride, 1}
	}
	return Strided(pix, 0, shape, strides)
}
