//go:build omma_intree && omma_static

package omma

// The static library of the source tree that this package is in.

// #cgo CFLAGS: -I${SRCDIR}/../../include
// #cgo LDFLAGS: ${SRCDIR}/../../target/release/libomma.a -lpthread -ldl -lm
import "C"
