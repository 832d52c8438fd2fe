// Package omma runs SIMD CPU kernels for computer vision and deep learning: convolution, matrix
// products, attention, normalization, pooling, activations, softmax, image resizing, IoU and
// non-maximum suppression, each hand-vectorized for AVX-512, AVX2 and NEON and chosen at run time.
//
// Data are Go slices. A [Tensor] is a slice seen as an array with a shape and, if need be,
// strides; it borrows the slice. An operator takes a [Context], its inputs, its outputs and at
// last its options, of which nil means all defaults, as does zero in each field:
//
//	x := omma.Must(omma.Of(samples, 8, 100)) // 800 float32 as 8 rows
//	y := omma.Make[float32](8, 100)
//	err := omma.Softmax(ctx, x, y, -1)
//
// An optional tensor is left out by the zero Tensor, Tensor[float32]{}.
//
// # Errors
//
// Wrong arguments are errors, never crashes: an [*Error] with a sentence that names the operator,
// the argument and both sides of a mismatch, and a [Status] for errors.Is:
//
//	if errors.Is(err, omma.ErrShapeMismatch) { … }
//
// When an operator fails it has written nothing. Only what corresponds to a Go index expression
// ([Tensor.At], [Tensor.Slice] and their like) panics, as the index expression would.
//
// # Threads
//
// A nil *Context is legal everywhere and means the calling goroutine alone: omma starts no
// thread and keeps no memory. [NewContext] makes one with threads of its own, which must be
// closed. Contexts and plans may be used by any number of goroutines at once; Close waits for the
// calls that are running, and every later call is an error. Results have the same bits at any
// number of threads.
//
// Each operator is one call through cgo, and with Go 1.24 or later it allocates nothing. While it
// runs it holds an operating system thread.
//
// # Linking
//
// By default the package links the installed library as pkg-config finds it. The build tag
// omma_static takes its static library; omma_intree takes the library of the source tree that this
// package lies in, and both tags together the static one of the tree.
package omma
