package omma

// #include "bridge.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// Status is a kind of failure. It is itself an error, to be looked for with errors.Is.
type Status int32

const (
	// ErrInvalidArgument: an argument is outside of its domain.
	ErrInvalidArgument Status = C.OMMA_INVALID_ARGUMENT
	// ErrShapeMismatch: the shapes of two arguments do not go together.
	ErrShapeMismatch Status = C.OMMA_SHAPE_MISMATCH
	// ErrUnsupported: a legal request that this build or CPU cannot serve.
	ErrUnsupported Status = C.OMMA_UNSUPPORTED
	// ErrBufferTooSmall: an output has less room than the result needs.
	ErrBufferTooSmall Status = C.OMMA_BUFFER_TOO_SMALL
	// ErrOutOfMemory: memory could not be had.
	ErrOutOfMemory Status = C.OMMA_OUT_OF_MEMORY
	// ErrInternal: a defect of omma.
	ErrInternal Status = C.OMMA_INTERNAL
)

// Error is the status by its C name, for example "OMMA_SHAPE_MISMATCH".
func (s Status) Error() string { return C.GoString(C.omma_status_name(C.OmmaStatus(s))) }

// Error is what every function of this package returns when it fails.
type Error struct {
	// Status is the kind of failure.
	Status Status
	// Message names the operator, the argument and both sides of a mismatch.
	Message string
}

// Error is the message.
func (e *Error) Error() string { return "omma: " + e.Message }

// Unwrap makes errors.Is find the status.
func (e *Error) Unwrap() error { return e.Status }

func failure(status Status, format string, values ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, values...)}
}

// result is the Go error of a call.
func result(r C.OmmaGoResult) error {
	if r.status == C.OMMA_OK {
		return nil
	}
	err := &Error{Status: Status(r.status)}
	if r.message == nil {
		err.Message = err.Status.Error()
		return err
	}
	err.Message = C.GoString(r.message)
	C.free(unsafe.Pointer(r.message))
	return err
}
