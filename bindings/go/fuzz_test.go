package omma

import (
	"math/big"
	"testing"
)

// FuzzStrided makes tensors of arbitrary offsets, shapes and strides. One that is accepted must
// lie in its slice, by sums without overflow, and must be to the library what it is to At; one
// that is refused must really reach outside.
func FuzzStrided(f *testing.F) {
	f.Add(uint8(6), int64(0), uint8(2), int64(2), int64(3), int64(1), int64(3), int64(1), int64(0))
	f.Add(uint8(6), int64(5), uint8(2), int64(2), int64(3), int64(1), int64(-3), int64(-1), int64(0))
	f.Add(uint8(9), int64(4), uint8(3), int64(2), int64(0), int64(5), int64(1)<<62, int64(-1)<<63, int64(7))
	f.Add(uint8(1), int64(0), uint8(1), int64(1)<<40, int64(0), int64(0), int64(0), int64(0), int64(0))
	f.Add(uint8(7), int64(0), uint8(1), int64(3), int64(0), int64(0), int64(1)<<62, int64(0), int64(0))
	f.Add(uint8(3), int64(0), uint8(3), int64(1), int64(1), int64(3), int64(1)<<62, int64(-1)<<63, int64(1))
	f.Add(uint8(0), int64(0), uint8(2), int64(1)<<40, int64(0), int64(0), int64(1), int64(1), int64(0))
	f.Add(uint8(3), int64(3), uint8(0), int64(0), int64(0), int64(0), int64(0), int64(0), int64(0))
	f.Fuzz(func(t *testing.T, length uint8, offset int64, rank uint8, s0, s1, s2, d0, d1, d2 int64) {
		data := make([]float32, length)
		for i := range data {
			data[i] = float32(i) - 3
		}
		rank %= 4
		shape := []int{int(s0), int(s1), int(s2)}[:rank]
		strides := []int{int(d0), int(d1), int(d2)}[:rank]
		x, err := Strided(data, int(offset), shape, strides)
		legal, count := lies(len(data), offset, shape, strides)
		if (err == nil) != legal {
			t.Fatalf("%d elements, offset %d, shape %v, strides %v: the error is %v", length, offset, shape, strides, err)
		}
		// A stride of 0 makes large arrays of few elements.
		if err != nil || count.Cmp(big.NewInt(4096)) > 0 {
			return
		}
		if int64(x.Len()) != count.Int64() {
			t.Fatalf("%v elements, expected %v", x.Len(), count)
		}
		y := Make[float32](shape...)
		if err := ReLU(nil, x, y); err != nil {
			t.Fatalf("%v with strides %v: %v", shape, strides, err)
		}
		copied, i := x.Clone().Data(), 0
		indices(shape, func(index []int) {
			if got, want := y.At(index...), max(x.At(index...), 0); got != want || copied[i] != x.At(index...) {
				t.Fatalf("shape %v, strides %v: at %v is %v, expected %v", shape, strides, index, got, want)
			}
			i++
		})
	})
}

// lies tells whether a tensor lies in a slice, and how many elements it has.
func lies(length int, offset int64, shape, strides []int) (bool, *big.Int) {
	count, span := big.NewInt(1), big.NewInt(1)
	first, last := big.NewInt(offset), big.NewInt(offset)
	for axis, size := range shape {
		if size < 0 {
			return false, nil
		}
		count.Mul(count, big.NewInt(int64(size)))
		span.Mul(span, big.NewInt(max(int64(size), 1)))
		step := new(big.Int).Mul(big.NewInt(int64(size)-1), big.NewInt(int64(strides[axis])))
		if step.Sign() > 0 {
			last.Add(last, step)
		} else {
			first.Add(first, step)
		}
	}
	most := new(big.Int).Lsh(big.NewInt(1), 60)
	if span.Cmp(most) >= 0 || offset < 0 || offset > int64(length) {
		return false, nil
	}
	return count.Sign() == 0 || first.Sign() >= 0 && last.Cmp(big.NewInt(int64(length))) < 0, count
}
