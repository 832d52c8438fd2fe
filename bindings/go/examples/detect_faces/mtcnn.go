package main

import (
	"math"
	"slices"
	"time"

	"omma"
)

// MTCNN (Zhang, Zhang, Li, Qiao: "Joint Face Detection and Alignment using Multi-task Cascaded
// Convolutional Networks", 2016) on omma's kernels: three small networks, each looking closer at
// what the one before let through.
//
//	P-Net  slides over a pyramid of shrunken pictures       thousands of windows -> ~100 boxes
//	R-Net  looks at each box as a picture of 24x24           ~100 boxes -> ~10
//	O-Net  looks at each box as a picture of 48x48           ~10 boxes -> faces with landmarks
//
// Thresholds, factors and rounding are those of the C++ example, whose faces these are.
type mtcnn struct {
	ctx              *omma.Context
	pnet, rnet, onet *network
	padded           []uint8
	tensor, scores   []float32
}

const (
	pnetScore, rnetScore, onetScore = float32(0.6), float32(0.7), float32(0.7)
	rnetSide, onetSide              = 24, 48
	// Crops in one run of R-Net or O-Net: enough to fill the kernels, few enough that a layer's
	// output stays in the cache for the next layer.
	batchSize = 16
)

// normalised brings samples from 0..255 to nearly -1..1, what the networks were trained on, and
// changes sizes by area.
var normalised = omma.ImageToTensorOptions{
	Interpolation: omma.InterpolationArea,
	Scale:         1,
	Mean:          [4]float32{127.5, 127.5, 127.5, 127.5},
	Std:           [4]float32{128, 128, 128, 128},
}

// profile is the milliseconds of each stage and how many boxes it passed on.
type profile struct {
	pyramid, pnet, rnet, onet, total float64
	pnetBoxes, rnetBoxes, faces      int
}

func newMtcnn(ctx *omma.Context, w *weights) (*mtcnn, error) {
	m := &mtcnn{ctx: ctx}
	var err error
	if m.pnet, err = newNetwork(ctx, w, "pnet", 2, 0, 0); err != nil {
		return nil, err
	}
	if m.rnet, err = newNetwork(ctx, w, "rnet", 3, 3, 0); err != nil {
		return nil, err
	}
	m.onet, err = newNetwork(ctx, w, "onet", 3, 3, 2, 0)
	return m, err
}

func (m *mtcnn) close() {
	m.pnet.close()
	m.rnet.close()
	m.onet.close()
}

// detect finds the faces of an RGB picture (H, W, 3), the surest first.
func (m *mtcnn) detect(picture omma.Tensor[uint8], minFace int) ([]candidate, profile, error) {
	var p profile
	begin := time.Now()
	lap := func() float64 {
		milliseconds := time.Since(begin).Seconds() * 1e3
		begin = time.Now()
		return milliseconds
	}
	found, pyramid, err := m.propose(picture, minFace)
	if err != nil {
		return nil, p, err
	}
	p.pyramid, p.pnetBoxes = pyramid, len(found)
	p.pnet = lap() - pyramid
	if found, err = m.refine(picture, found); err != nil {
		return nil, p, err
	}
	p.rnet, p.rnetBoxes = lap(), len(found)
	if found, err = m.output(picture, found); err != nil {
		return nil, p, err
	}
	p.onet, p.faces = lap(), len(found)
	p.total = p.pyramid + p.pnet + p.rnet + p.onet
	return found, p, nil
}

// propose runs P-Net over the pyramid. The second result is the milliseconds of shrinking.
func (m *mtcnn) propose(picture omma.Tensor[uint8], minFace int) ([]candidate, float64, error) {
	var found []candidate
	var levels []int64
	var pyramid time.Duration
	for level, scale := range pyramidScales(picture.Dim(1), picture.Dim(0), minFace) {
		begin := time.Now()
		height := int(math.Ceil(float64(picture.Dim(0)) * scale))
		width := int(math.Ceil(float64(picture.Dim(1)) * scale))
		input := tensorOn(&m.tensor, 1, 3, height, width)
		if err := omma.ImageToTensor(m.ctx, picture, input, &normalised); err != nil {
			return nil, 0, err
		}
		pyramid += time.Since(begin)

		// Channels of the map: two logits, four offsets.
		output, err := m.pnet.run(m.ctx, input)
		if err != nil {
			return nil, 0, err
		}
		maps := output.Index(0, 0)
		rows, columns := maps.Dim(1), maps.Dim(2)
		scores := tensorOn(&m.scores, 2, rows, columns)
		if err := omma.Softmax(m.ctx, maps.Slice(0, 0, 2), scores, 0); err != nil {
			return nil, 0, err
		}
		cells := rows * columns
		face, offsets := scores.Index(0, 1).Data(), maps.Slice(0, 2, 6).Data()
		for cell, score := range face {
			if score < pnetScore {
				continue
			}
			found = append(found, candidate{
				box:   pnetWindow(cell%columns, cell/columns, scale),
				score: score,
				offsets: [4]float32{offsets[cell], offsets[cells+cell], offsets[2*cells+cell],
					offsets[3*cells+cell]},
			})
			levels = append(levels, int64(level))
		}
	}
	milliseconds := pyramid.Seconds() * 1e3

	// First within each level, then between levels.
	boxes, scores := flat(found)
	kept, err := omma.BatchedNMS(m.ctx, boxes, scores, omma.Must(omma.Of(levels, len(levels))), 0.5, &omma.NMSOptions{Offset: 1})
	if err != nil {
		return nil, 0, err
	}
	found, err = m.suppress(pick(found, kept), omma.OverlapUnion)
	for i := range found {
		found[i].box = found[i].box.moved(found[i].offsets, 0).squared().truncated()
	}
	return found, milliseconds, err
}

// lookCloser cuts every candidate that shows in the picture out of it, brings it to side x side,
// runs the network on batches, and hands each candidate with its probability and its outputs
// behind the two logits to accept.
func (m *mtcnn) lookCloser(picture omma.Tensor[uint8], candidates []candidate, n *network, side int,
	accept func(c candidate, score float32, outputs []float32)) error {
	// Boxes that lie wholly outside the picture, or have no area, show nothing to look at.
	candidates = slices.DeleteFunc(candidates, func(c candidate) bool {
		return !c.box.window().touches(picture.Dim(1), picture.Dim(0))
	})
	for first := 0; first < len(candidates); first += batchSize {
		batch := candidates[first:min(first+batchSize, len(candidates))]
		input := tensorOn(&m.tensor, len(batch), 3, side, side)
		for i, c := range batch {
			region := m.region(picture, c.box.window())
			if err := omma.ImageToTensor(m.ctx, region, input.Index(0, i), &normalised); err != nil {
				return err
			}
		}
		rows, err := n.run(m.ctx, input)
		if err != nil {
			return err
		}
		scores := tensorOn(&m.scores, len(batch), 2)
		if err := omma.Softmax(m.ctx, rows.Slice(1, 0, 2), scores, 1); err != nil {
			return err
		}
		for i, c := range batch {
			accept(c, scores.At(i, 1), rows.Index(0, i).Data()[2:])
		}
	}
	return nil
}

// region is a part of the picture: a view, or where it reaches outside a copy with black there.
func (m *mtcnn) region(picture omma.Tensor[uint8], w window) omma.Tensor[uint8] {
	if w.inside(picture.Dim(1), picture.Dim(0)) {
		return picture.Slice(0, w.y, w.y+w.height).Slice(1, w.x, w.x+w.width)
	}
	count := 3 * w.width * w.height
	if len(m.padded) < count {
		m.padded = make([]uint8, count)
	}
	padded := m.padded[:count]
	for i := range padded {
		padded[i] = 0
	}
	pixels := picture.Data()
	left, right := max(w.x, 0), min(w.x+w.width, picture.Dim(1))
	for y := max(w.y, 0); y < min(w.y+w.height, picture.Dim(0)); y++ {
		row := pixels[3*y*picture.Dim(1):]
		copy(padded[3*((y-w.y)*w.width+left-w.x):], row[3*left:3*right])
	}
	return omma.Must(omma.Of(padded, w.height, w.width, 3))
}

func (m *mtcnn) refine(picture omma.Tensor[uint8], candidates []candidate) ([]candidate, error) {
	var passed []candidate
	err := m.lookCloser(picture, candidates, m.rnet, rnetSide, func(c candidate, score float32, offsets []float32) {
		if score > rnetScore {
			passed = append(passed, candidate{box: c.box, score: score, offsets: [4]float32(offsets)})
		}
	})
	if err != nil {
		return nil, err
	}
	passed, err = m.suppress(passed, omma.OverlapUnion)
	for i := range passed {
		passed[i].box = passed[i].box.moved(passed[i].offsets, 1).squared().truncated()
	}
	return passed, err
}

func (m *mtcnn) output(picture omma.Tensor[uint8], candidates []candidate) ([]candidate, error) {
	var passed []candidate
	err := m.lookCloser(picture, candidates, m.onet, onetSide, func(c candidate, score float32, outputs []float32) {
		if score <= onetScore {
			return
		}
		face := candidate{score: score}
		width, height := c.box.right-c.box.left+1, c.box.bottom-c.box.top+1
		for i := range face.landmarks {
			face.landmarks[i][0] = float32(c.box.left - 1 + width*float64(outputs[4+i]))
			face.landmarks[i][1] = float32(c.box.top - 1 + height*float64(outputs[9+i]))
		}
		face.box = c.box.moved([4]float32(outputs[:4]), 1)
		passed = append(passed, face)
	})
	if err != nil {
		return nil, err
	}
	// Of a box inside of another one only the better stays: overlap over the smaller of the two.
	return m.suppress(passed, omma.OverlapMin)
}

// suppress is non-maximum suppression; sides are inclusive, so a box is right - left + 1 wide.
func (m *mtcnn) suppress(candidates []candidate, overlap omma.Overlap) ([]candidate, error) {
	boxes, scores := flat(candidates)
	kept, err := omma.NMS(m.ctx, boxes, scores, 0.7, &omma.NMSOptions{Offset: 1, Overlap: overlap})
	return pick(candidates, kept), err
}

// flat is boxes and scores as the arrays that omma takes.
func flat(candidates []candidate) (boxes, scores omma.Tensor[float32]) {
	boxes, scores = omma.Make[float32](len(candidates), 4), omma.Make[float32](len(candidates))
	for i, c := range candidates {
		copy(boxes.Data()[4*i:], []float32{float32(c.box.left), float32(c.box.top), float32(c.box.right), float32(c.box.bottom)})
		scores.Set(c.score, i)
	}
	return boxes, scores
}

func pick(candidates []candidate, kept []int64) []candidate {
	picked := make([]candidate, len(kept))
	for i, index := range kept {
		picked[i] = candidates[index]
	}
	return picked
}
