package main

import (
	"fmt"

	"omma"
)

// network is one of the three: convolutions with PReLU, most followed by max pooling, then a dense
// layer (not in P-Net) and the stacked output layers.
type network struct {
	layers     []layer
	convHead   *omma.Conv2DPlan // P-Net
	dense      *omma.LinearPlan // the others
	denseHead  *omma.LinearPlan
	denseSlope omma.Tensor[float32]
	dims       struct{ dense, head int }
	// Two buffers take turns as input and output of the layers.
	buffers [2][]float32
	turn    int
}

type layer struct {
	plan *omma.Conv2DPlan
	pool int // the window of the pooling behind it, 0 for none
	dims struct{ outputs, kernel int }
}

func newNetwork(ctx *omma.Context, w *weights, name string, pools ...int) (*network, error) {
	n := &network{}
	// The first failure stays; what comes after it has no effect.
	var err error
	tensor := func(part string) omma.Tensor[float32] {
		t, missing := w.at(name + "." + part)
		if err == nil {
			err = missing
		}
		return t
	}
	keep := func(failed error) {
		if err == nil {
			err = failed
		}
	}
	for i, pool := range pools {
		part := fmt.Sprintf("conv%d", i+1)
		weight, bias, slope := tensor(part+".weight"), tensor(part+".bias"), tensor(part+".slope")
		if err != nil {
			return nil, err
		}
		l := layer{pool: pool}
		l.dims.outputs, l.dims.kernel = weight.Dim(0), weight.Dim(2)
		plan, failed := omma.NewConv2DPlan(ctx, weight, bias, &omma.Conv2DOptions{Activation: omma.ActivationPReLU, Slope: slope})
		keep(failed)
		l.plan = plan
		n.layers = append(n.layers, l)
	}
	head, headBias := tensor("head.weight"), tensor("head.bias")
	if err != nil {
		return nil, err
	}
	n.dims.head = head.Dim(0)
	if _, has := w.tensors[name+".dense.weight"]; !has {
		n.convHead, err = omma.NewConv2DPlan(ctx, head, headBias, nil)
		return n, err
	}
	dense, denseBias := tensor("dense.weight"), tensor("dense.bias")
	n.denseSlope = tensor("dense.slope")
	if err != nil {
		return nil, err
	}
	n.dims.dense = dense.Dim(0)
	var failed error
	n.dense, failed = omma.NewLinearPlan(ctx, dense, denseBias, nil)
	keep(failed)
	n.denseHead, failed = omma.NewLinearPlan(ctx, head, headBias, nil)
	keep(failed)
	return n, err
}

func (n *network) close() {
	for _, l := range n.layers {
		l.plan.Close()
	}
	if n.convHead != nil {
		n.convHead.Close()
		return
	}
	n.dense.Close()
	n.denseHead.Close()
}

// next is a tensor on the buffer whose turn it is.
func (n *network) next(shape ...int) omma.Tensor[float32] {
	n.turn ^= 1
	return tensorOn(&n.buffers[n.turn], shape...)
}

// tensorOn is a tensor on the front of a buffer, which grows when it has to.
func tensorOn(buffer *[]float32, shape ...int) omma.Tensor[float32] {
	count := 1
	for _, size := range shape {
		count *= size
	}
	if len(*buffer) < count {
		*buffer = make([]float32, count)
	}
	return omma.Must(omma.Of((*buffer)[:count], shape...))
}

// run looks at a batch of pictures (n, 3, h, w). The result (n, outputs, h', w') or, with a dense
// layer, (n, outputs) belongs to the network and lasts until the next run.
func (n *network) run(ctx *omma.Context, input omma.Tensor[float32]) (omma.Tensor[float32], error) {
	var none omma.Tensor[float32]
	batch, channels, height, width := input.Dim(0), input.Dim(1), input.Dim(2), input.Dim(3)
	for _, l := range n.layers {
		channels = l.dims.outputs
		height -= l.dims.kernel - 1
		width -= l.dims.kernel - 1
		output := n.next(batch, channels, height, width)
		if err := l.plan.Run(ctx, input, none, output); err != nil {
			return none, err
		}
		input = output
		if l.pool == 0 {
			continue
		}
		// Windows may hang over the right and lower edge.
		height = (height-l.pool+1)/2 + 1
		width = (width-l.pool+1)/2 + 1
		output = n.next(batch, channels, height, width)
		pooling := omma.PoolOptions{KernelSize: omma.Both(l.pool), Stride: omma.Both(2), CeilMode: true}
		if err := omma.MaxPool2D(ctx, input, output, omma.Tensor[int64]{}, pooling); err != nil {
			return none, err
		}
		input = output
	}
	if n.convHead != nil {
		output := n.next(batch, n.dims.head, height, width)
		return output, n.convHead.Run(ctx, input, none, output)
	}
	flat, err := input.Reshape(batch, channels*height*width)
	if err != nil {
		return none, err
	}
	hidden := n.next(batch, n.dims.dense)
	if err := n.dense.Run(ctx, flat, hidden); err != nil {
		return none, err
	}
	if err := omma.PReLU(ctx, hidden, n.denseSlope, hidden, 1); err != nil {
		return none, err
	}
	output := n.next(batch, n.dims.head)
	return output, n.denseHead.Run(ctx, hidden, output)
}
