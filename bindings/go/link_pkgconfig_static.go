//go:build !omma_intree && omma_static

package omma

// The installed static library. pkg-config names the directory, what the archive needs beside
// itself, and -lomma, which the linker would take for the shared library; that one is then
// without use and is left out.

// #cgo pkg-config: --static omma
// #cgo LDFLAGS: -Wl,--as-needed -l:libomma.a
import "C"
