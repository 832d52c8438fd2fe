//go:build omma_intree && !omma_static

package omma

// The shared library of the source tree that this package is in; programs find it where it is.

// #cgo CFLAGS: -I${SRCDIR}/../../include
// #cgo LDFLAGS: -L${SRCDIR}/../../target/release -lomma -Wl,-rpath,${SRCDIR}/../../target/release
import "C"
