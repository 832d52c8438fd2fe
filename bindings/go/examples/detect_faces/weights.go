package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"omma"
)

// weights are the tensors of the file that fetch.py of the C++ example writes; its doc comment
// describes the format.
type weights struct {
	path    string
	tensors map[string]omma.Tensor[float32]
}

func readWeights(path string) (*weights, error) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w (bindings/cpp/examples/detect_faces/fetch.py fetches the weights)", err)
	}
	const magic = "OMMAWTS1"
	if len(bytes) < len(magic) || string(bytes[:len(magic)]) != magic {
		return nil, fmt.Errorf("%s: not a weight file of this demo", path)
	}
	r := reader{bytes: bytes[len(magic):]}
	w := &weights{path, map[string]omma.Tensor[float32]{}}
	for left := r.number(); left > 0 && !r.short; left-- {
		name := string(r.take(r.number()))
		shape, count := make([]int, 0, omma.MaxRank), uint64(1)
		for rank := r.number(); rank > 0 && !r.short; rank-- {
			shape = append(shape, int(r.number()))
			if count *= uint64(shape[len(shape)-1]); count > uint64(len(bytes)) {
				return nil, fmt.Errorf("%s: %s is larger than the file", path, name)
			}
		}
		data := r.take(uint32(4 * count))
		values := make([]float32, len(data)/4)
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		if r.short {
			break
		}
		if w.tensors[name], err = omma.Of(values, shape...); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, name, err)
		}
	}
	switch {
	case r.short:
		return nil, fmt.Errorf("%s: the weight file ends too early", path)
	case len(r.bytes) > 0:
		return nil, fmt.Errorf("%s: bytes are left over after the last tensor", path)
	}
	return w, nil
}

// at is the tensor of that name.
func (w *weights) at(name string) (omma.Tensor[float32], error) {
	tensor, found := w.tensors[name]
	if !found {
		return tensor, fmt.Errorf("%s: has no tensor %s", w.path, name)
	}
	return tensor, nil
}

// reader takes bytes from the front; what is not there any more is noted and empty.
type reader struct {
	bytes []byte
	short bool
}

func (r *reader) take(count uint32) []byte {
	if uint64(count) > uint64(len(r.bytes)) {
		r.short, r.bytes = true, nil
		return nil
	}
	taken := r.bytes[:count]
	r.bytes = r.bytes[count:]
	return taken
}

func (r *reader) number() uint32 {
	if bytes := r.take(4); bytes != nil {
		return binary.LittleEndian.Uint32(bytes)
	}
	return 0
}
