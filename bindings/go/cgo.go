package omma

// #include "bridge.h"
import "C"

import (
	"math"
	"unsafe"
)

// layout and OmmaGoLayout are the same struct, or this does not compile.
var (
	_ [unsafe.Sizeof(layout{})]byte                = [C.sizeof_OmmaGoLayout]byte{}
	_ [unsafe.Offsetof(layout{}.strides)]byte      = [unsafe.Offsetof(C.OmmaGoLayout{}.strides)]byte{}
	_ [unsafe.Offsetof(layout{}.rank)]byte         = [unsafe.Offsetof(C.OmmaGoLayout{}.rank)]byte{}
	_ [unsafe.Offsetof(layout{}.code)]byte         = [unsafe.Offsetof(C.OmmaGoLayout{}.code)]byte{}
	_ [unsafe.Offsetof(layout{}.bits)]byte         = [unsafe.Offsetof(C.OmmaGoLayout{}.bits)]byte{}
	_ [C.OMMA_DTYPE_INT*4 + C.OMMA_DTYPE_UINT]byte = [1]byte{}
	_ [C.OMMA_DTYPE_FLOAT]byte                     = [2]byte{}
)

// pointer is the address of the first element. Its type has no pointers below it, so cgo has
// nothing to look through: what it points to are numbers.
func (t *Tensor[T]) pointer() *C.uint8_t {
	if t.Len() == 0 {
		return nil
	}
	return (*C.uint8_t)(unsafe.Pointer(&t.data[t.origin]))
}

// shape is the layout for C, nil for a tensor that is left out.
func (t *Tensor[T]) cLayout() *C.OmmaGoLayout {
	if !t.present() {
		return nil
	}
	return (*C.OmmaGoLayout)(unsafe.Pointer(&t.layout))
}

// narrow brings the ints of options to the C ABI, and keeps the first that does not fit.
type narrow struct {
	op  string
	err error
}

func (n *narrow) int32(name string, value int) C.int32_t {
	if (value < math.MinInt32 || value > math.MaxInt32) && n.err == nil {
		n.err = failure(ErrInvalidArgument, "%s: %s is %d, which has more than 32 bits", n.op, name, value)
	}
	return C.int32_t(value)
}

func (n *narrow) int32s(name string, values []int, into []C.int32_t) {
	for i, value := range values {
		into[i] = n.int32(name, value)
	}
}

// Both is a size for both directions: Both(2) is a stride of 2 vertically and horizontally.
func Both(size int) [2]int { return [2]int{size, size} }

// Around is a padding for all four sides.
func Around(padding int) [4]int { return [4]int{padding, padding, padding, padding} }

// Some is a value for an option that need not be there, whose zero would not be its default:
// NMSOptions{ScoreThreshold: omma.Some(0.0)}.
func Some[T any](value T) *T { return &value }

// Layout is the order of the axes of images and weights.
type Layout int32

const (
	// NCHW: images (N, C, H, W), weights (O, C / groups, KH, KW).
	NCHW Layout = C.OMMA_LAYOUT_NCHW
	// NHWC: images (N, H, W, C), weights (O, KH, KW, C / groups).
	NHWC Layout = C.OMMA_LAYOUT_NHWC
)
