package omma

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"
)

// onEveryISA runs a test without a context and with one of two threads for each tier of this CPU.
func onEveryISA(t *testing.T, test func(t *testing.T, ctx *Context)) {
	t.Helper()
	t.Run("serial", func(t *testing.T) { test(t, nil) })
	ran := 0
	for _, isa := range []ISA{ISAPortable, ISANEON, ISAAVX2, ISAAVX512} {
		if !isa.Available() {
			continue
		}
		t.Run(isa.String(), func(t *testing.T) { test(t, newContext(t, ContextOptions{NumThreads: 2, MaxISA: isa})) })
		ran++
	}
	if ran == 0 {
		t.Error("not even the portable tier is available")
	}
}

func newContext(t testing.TB, options ContextOptions) *Context {
	t.Helper()
	ctx, err := NewContext(&options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ctx.Close() })
	return ctx
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails wants an error of that status whose message has all the words.
func fails(t *testing.T, err error, status Status, words ...string) {
	t.Helper()
	if !errors.Is(err, status) {
		t.Fatalf("the error is %v, expected a %v", err, status)
	}
	var e *Error
	if !errors.As(err, &e) || e.Status != status {
		t.Fatalf("%T is no *Error with the status %v", err, status)
	}
	for _, word := range words {
		if !strings.Contains(e.Message, word) {
			t.Errorf("the message is %q, expected something with %q", e.Message, word)
		}
	}
}

func panics(t *testing.T, word string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if value := recover(); value == nil {
			t.Errorf("no panic, expected one with %q", word)
		} else if !strings.Contains(fmt.Sprint(value), word) {
			t.Errorf("the panic is %q, expected one with %q", value, word)
		}
	}()
	f()
}

func floats(values ...float32) Tensor[float32] { return Must(Of(values, len(values))) }

// random is a compact tensor of numbers between -1 and 1.
func random(r *rand.Rand, shape ...int) Tensor[float32] {
	t := Make[float32](shape...)
	for i := range t.data {
		t.data[i] = 2*r.Float32() - 1
	}
	return t
}

// indices calls f with every index of a shape, in row-major order.
func indices(shape []int, f func(index []int)) {
	index := make([]int, len(shape))
	for {
		for axis, i := range index {
			if i >= shape[axis] {
				return
			}
		}
		f(index)
		axis := len(shape) - 1
		for ; axis >= 0; axis-- {
			if index[axis]++; index[axis] < shape[axis] {
				break
			}
			index[axis] = 0
		}
		if axis < 0 {
			return
		}
	}
}

// near compares a tensor with a function of its indices, to within a tolerance relative to the
// larger of the value and 1. NaN equals NaN.
func near(t *testing.T, what string, got Tensor[float32], tolerance float64, want func(index []int) float64) {
	t.Helper()
	compared := 0
	indices(got.Shape(), func(index []int) {
		g, w := float64(got.At(index...)), want(index)
		same := g == w || math.IsNaN(g) && math.IsNaN(w) || math.Abs(g-w) <= tolerance*max(1, math.Abs(w))
		if !same && !t.Failed() {
			t.Errorf("%s at %v is %v, expected %v", what, index, g, w)
		}
		compared++
	})
	if compared != got.Len() || compared == 0 {
		t.Errorf("%s: %d of %d elements were compared", what, compared, got.Len())
	}
}

func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s is %v, expected %v", what, got, want)
	}
}
