package omma

// #include "bridge.h"
import "C"

import (
	"runtime"
	"sync"
	"unsafe"
)

// handle owns an object of the C library. Calls hold it for reading and Close for writing, so
// that nothing is freed under a running call.
type handle struct {
	mutex sync.RWMutex
	ptr   unsafe.Pointer // nil when closed
}

// enter hands out the object for a call, which must end with leave.
func (h *handle) enter(op, what string) (unsafe.Pointer, error) {
	h.mutex.RLock()
	if h.ptr == nil {
		h.mutex.RUnlock()
		return nil, failure(ErrInvalidArgument, "%s: %s is closed", op, what)
	}
	return h.ptr, nil
}

func (h *handle) leave() { h.mutex.RUnlock() }

func (h *handle) close(destroy func(unsafe.Pointer)) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.ptr != nil {
		destroy(h.ptr)
		h.ptr = nil
	}
}

// Context is threads, an instruction set and scratch memory. Goroutines may share one. A nil
// *Context is the calling goroutine alone, which is what a server that runs one request in each
// goroutine wants.
type Context struct {
	handle handle
}

// ContextOptions is how to make a context; zero in a field is its default.
type ContextOptions struct {
	// NumThreads is how many threads work at once; 0 is the number of cores, 1 starts none.
	NumThreads int
	// MaxISA is the fastest instruction set to use. One that the CPU lacks is an error. The
	// environment variable OMMA_MAX_ISA (portable, neon, avx2, avx512) lowers it for every context.
	MaxISA ISA
}

// NewContext makes a context; nil options are all defaults. Close it when it is no longer needed;
// one that is forgotten is closed after the garbage collector has found it.
func NewContext(options *ContextOptions) (*Context, error) {
	o := C.OmmaContextOptions{struct_size: C.sizeof_OmmaContextOptions}
	if options != nil {
		n := narrow{op: "context_create"}
		o.num_threads = n.int32("num_threads", options.NumThreads)
		o.max_isa = C.int32_t(options.MaxISA)
		if n.err != nil {
			return nil, n.err
		}
	}
	var ptr *C.OmmaContext
	if err := result(C.omma_go_context_create(&o, &ptr)); err != nil {
		return nil, err
	}
	c := &Context{handle{ptr: unsafe.Pointer(ptr)}}
	runtime.SetFinalizer(c, func(c *Context) { c.Close() })
	return c, nil
}

// Close ends the context, its threads and its memory, when the calls that use it have returned. A
// second Close, and that of a nil context, does nothing. The error is always nil; it is there for
// io.Closer.
func (c *Context) Close() error {
	if c != nil {
		c.handle.close(func(ptr unsafe.Pointer) { C.omma_context_destroy((*C.OmmaContext)(ptr)) })
	}
	return nil
}

// enter is the C context for a call, which must end with leave; NULL for a nil context.
func (c *Context) enter(op string) (*C.OmmaContext, error) {
	if c == nil {
		return nil, nil
	}
	ptr, err := c.handle.enter(op, "the context")
	return (*C.OmmaContext)(ptr), err
}

func (c *Context) leave() {
	if c != nil {
		c.handle.leave()
	}
}

// NumThreads is how many tasks may run at once: 1 for a nil context, 0 for a closed one.
func (c *Context) NumThreads() int {
	ctx, err := c.enter("NumThreads")
	if err != nil {
		return 0
	}
	defer c.leave()
	return int(C.omma_context_num_threads(ctx))
}

// ScratchBytes is the scratch memory that the context holds: what running calls borrow, and what is
// kept for later ones. After the first call on a new context that is all the memory which this call
// used beyond its inputs, outputs and plan. 0 for a nil or closed context.
func (c *Context) ScratchBytes() int {
	ctx, err := c.enter("ScratchBytes")
	if err != nil {
		return 0
	}
	defer c.leave()
	return int(C.omma_context_scratch_bytes(ctx))
}

// ISA is the instruction set that the context uses. For a nil context it is that of calls without
// one, [ISADefault] when OMMA_MAX_ISA names one that the CPU lacks; so it is for a closed one.
func (c *Context) ISA() ISA {
	ctx, err := c.enter("ISA")
	if err != nil {
		return ISADefault
	}
	defer c.leave()
	return ISA(C.omma_context_isa(ctx))
}

// ISA is a tier of instruction sets.
type ISA int32

const (
	// ISADefault is the fastest that the CPU has.
	ISADefault ISA = C.OMMA_ISA_DEFAULT
	// ISAPortable is the baseline of the architecture.
	ISAPortable ISA = C.OMMA_ISA_PORTABLE
	// ISANEON is Advanced SIMD of aarch64.
	ISANEON ISA = C.OMMA_ISA_NEON
	// ISAAVX2 is x86-64 with AVX2, FMA and F16C.
	ISAAVX2 ISA = C.OMMA_ISA_AVX2
	// ISAAVX512 is x86-64 with AVX-512 F, BW, CD, DQ and VL.
	ISAAVX512 ISA = C.OMMA_ISA_AVX512
)

// Available tells whether this CPU has the tier.
func (i ISA) Available() bool { return C.omma_isa_available(C.int32_t(i)) != 0 }

// String is the name: "portable", "neon", "avx2", "avx512".
func (i ISA) String() string { return C.GoString(C.omma_isa_name(C.int32_t(i))) }

// Version is the version of the library that is linked.
func Version() (major, minor, patch int) {
	version := int(C.omma_version())
	return version / 10000, version / 100 % 100, version % 100
}
