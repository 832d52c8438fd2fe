//go:build !omma_intree && !omma_static

package omma

// The installed shared library.

// #cgo pkg-config: omma
import "C"
