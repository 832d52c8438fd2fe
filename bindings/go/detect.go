package omma

// #include "bridge.h"
import "C"

// BoxIoU3D computes the volume that every box of a (N, 6) shares with every box of b (M, 6) over that
// of their union, to output (N, M); a box is (x1, y1, z1, x2, y2, z2). Boxes that only touch share
// nothing, 0/0 counts as 0, and a NaN in a box gives NaN. The output may not overlap an input.
func BoxIoU3D(ctx *Context, a, b, output Tensor[float32]) error {
	c, err := ctx.enter("box_iou_3d")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_box_iou_3d(c, a.pointer(), a.cLayout(), b.pointer(), b.cLayout(),
		output.pointer(), output.cLayout()))
}

// BoxConvert writes boxes (…, 4) in another format to output, of the same shape, with the arithmetic
// of torchvision's box_convert. The output may be the very array boxes, and may otherwise not overlap it.
func BoxConvert(ctx *Context, boxes, output Tensor[float32], inFmt, outFmt BoxFormat) error {
	p := C.OmmaBoxConvertParams{
		struct_size: C.sizeof_OmmaBoxConvertParams,
		in_fmt:      C.int32_t(inFmt),
		out_fmt:     C.int32_t(outFmt),
	}
	c, err := ctx.enter("box_convert")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_box_convert(c, &p, boxes.pointer(), boxes.cLayout(), output.pointer(), output.cLayout()))
}

// NMSPerImage is [NMS] in each of B images, or [BatchedNMS] where classes (B, N) is present: of boxes
// (B, N, 4) with scores (B, N), the indices within the image, best first, to the rows of indices
// (B, K), and how many they are to counts (B).
//
// An image keeps its best K boxes at most, K = N never cuts anything off, and the rest of a row is
// -1. The limits of the options count for each image.
func NMSPerImage[K Class](ctx *Context, boxes, scores Tensor[float32], classes Tensor[K], indices, counts Tensor[int64], iouThreshold float64, options *NMSOptions) error {
	p, err := options.params("nms_per_image", iouThreshold)
	if err != nil {
		return err
	}
	c, err := ctx.enter("nms_per_image")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_nms_per_image(c, &p, boxes.pointer(), boxes.cLayout(), scores.pointer(), scores.cLayout(),
		classes.pointer(), classes.cLayout(), indices.pointer(), indices.cLayout(), counts.pointer(), counts.cLayout()))
}

// SoftNMSMethod is what overlap does to a score.
type SoftNMSMethod int32

const (
	// SoftNMSLinear is score *= 1 - iou where iou is above the threshold.
	SoftNMSLinear SoftNMSMethod = C.OMMA_SOFT_NMS_LINEAR
	// SoftNMSGaussian is score *= exp(-iou² / sigma).
	SoftNMSGaussian SoftNMSMethod = C.OMMA_SOFT_NMS_GAUSSIAN
	// SoftNMSGreedy is score = 0 where iou is above the threshold.
	SoftNMSGreedy SoftNMSMethod = C.OMMA_SOFT_NMS_GREEDY
)

// SoftNMSOptions is how overlap lowers scores one box after the other; zero in a field is its default.
type SoftNMSOptions struct {
	Method SoftNMSMethod
	// Sigma is that of the Gaussian; 0 means 0.5.
	Sigma float32
	// IoUThreshold is overlap that does not matter but to the Gaussian; nil means 0.3.
	IoUThreshold *float64
	// ScoreThreshold drops boxes as soon as their score is below; nil means 0.001.
	ScoreThreshold *float64
	// MaxOutput is the most boxes to keep, 0 for no limit.
	MaxOutput int
	Format    BoxFormat
	// Offset is 0, or 1 for boxes that end with their last pixel included (sides are x2 - x1 + 1).
	Offset int
}

// SoftNMS is soft suppression (Bodla et al. 2017): the best of boxes (N, 4) with scores (N) is
// selected, the scores of the others fall by their overlap with it, and so on. It returns the indices
// in the order of selection, of equal scores the lowest first, and the scores at that time.
func SoftNMS(ctx *Context, boxes, scores Tensor[float32], options *SoftNMSOptions) ([]int64, []float32, error) {
	p := C.OmmaSoftNmsParams{struct_size: C.sizeof_OmmaSoftNmsParams}
	room := scores.Len()
	if o := options; o != nil {
		n := narrow{op: "soft_nms"}
		p.method = C.int32_t(o.Method)
		p.sigma = C.float(o.Sigma)
		if o.IoUThreshold != nil {
			p.flags |= C.OMMA_SOFT_NMS_IOU_THRESHOLD
			p.iou_threshold = C.double(*o.IoUThreshold)
		}
		if o.ScoreThreshold != nil {
			p.flags |= C.OMMA_SOFT_NMS_SCORE_THRESHOLD
			p.score_threshold = C.double(*o.ScoreThreshold)
		}
		p.max_output = C.int64_t(o.MaxOutput)
		p.format = C.int32_t(o.Format)
		p.offset = n.int32("offset", o.Offset)
		if n.err != nil {
			return nil, nil, n.err
		}
		if o.MaxOutput > 0 {
			room = min(room, o.MaxOutput)
		}
	}
	c, err := ctx.enter("soft_nms")
	if err != nil {
		return nil, nil, err
	}
	defer ctx.leave()
	kept, lowered := make([]int64, room), make([]float32, room)
	indices, values := compact(kept, []int{room}), compact(lowered, []int{room})
	var n C.int64_t
	err = result(C.omma_go_soft_nms(c, &p, boxes.pointer(), boxes.cLayout(), scores.pointer(), scores.cLayout(),
		indices.pointer(), indices.cLayout(), values.pointer(), values.cLayout(), &n))
	if err != nil {
		return nil, nil, err
	}
	return kept[:n], lowered[:n], nil
}

// MatrixNMSMethod is how the overlap with better boxes lowers a score.
type MatrixNMSMethod int32

const (
	// MatrixNMSLinear is (1 - iou) / (1 - most).
	MatrixNMSLinear MatrixNMSMethod = C.OMMA_MATRIX_NMS_LINEAR
	// MatrixNMSGaussian is exp(-sigma (iou² - most²)).
	MatrixNMSGaussian MatrixNMSMethod = C.OMMA_MATRIX_NMS_GAUSSIAN
)

// MatrixNMSOptions is how overlap lowers all scores at once; zero in a field is its default.
type MatrixNMSOptions struct {
	Method MatrixNMSMethod
	// Sigma is that of the Gaussian; 0 means 2.
	Sigma float32
	// ScoreThreshold leaves out boxes whose score is not larger, or NaN; nil leaves out none.
	ScoreThreshold *float64
	// PostThreshold leaves boxes out of the result whose lowered score is not larger.
	PostThreshold float64
	// MaxOutput is the most boxes to keep, 0 for no limit.
	MaxOutput int
	// MaxCandidates lets only that many boxes with the best scores take part, 0 for all.
	MaxCandidates int
	Format        BoxFormat
	// Offset is 0, or 1 for boxes that end with their last pixel included (sides are x2 - x1 + 1).
	Offset int
}

// MatrixNMS is matrix suppression (SOLOv2, 2020, as PaddleDetection has it for boxes): the score of
// each of boxes (N, 4) with scores (N) is lowered once, by its overlap with the better boxes of its
// class. classes (N) may be absent. It returns the indices by lowered score, best first, and the
// lowered scores.
func MatrixNMS[K Class](ctx *Context, boxes, scores Tensor[float32], classes Tensor[K], options *MatrixNMSOptions) ([]int64, []float32, error) {
	p := C.OmmaMatrixNmsParams{struct_size: C.sizeof_OmmaMatrixNmsParams}
	room := scores.Len()
	if o := options; o != nil {
		n := narrow{op: "matrix_nms"}
		p.method = C.int32_t(o.Method)
		p.sigma = C.float(o.Sigma)
		if o.ScoreThreshold != nil {
			p.flags |= C.OMMA_MATRIX_NMS_SCORE_THRESHOLD
			p.score_threshold = C.double(*o.ScoreThreshold)
		}
		p.post_threshold = C.double(o.PostThreshold)
		p.max_output = C.int64_t(o.MaxOutput)
		p.max_candidates = C.int64_t(o.MaxCandidates)
		p.format = C.int32_t(o.Format)
		p.offset = n.int32("offset", o.Offset)
		if n.err != nil {
			return nil, nil, n.err
		}
		if o.MaxOutput > 0 {
			room = min(room, o.MaxOutput)
		}
	}
	c, err := ctx.enter("matrix_nms")
	if err != nil {
		return nil, nil, err
	}
	defer ctx.leave()
	kept, lowered := make([]int64, room), make([]float32, room)
	indices, values := compact(kept, []int{room}), compact(lowered, []int{room})
	var n C.int64_t
	err = result(C.omma_go_matrix_nms(c, &p, boxes.pointer(), boxes.cLayout(), scores.pointer(), scores.cLayout(),
		classes.pointer(), classes.cLayout(), indices.pointer(), indices.cLayout(), values.pointer(), values.cLayout(), &n))
	if err != nil {
		return nil, nil, err
	}
	return kept[:n], lowered[:n], nil
}

// YOLOHead is what the head of a YOLO puts out.
type YOLOHead int32

const (
	// YOLOv8 is (B, 4 + C, N): centre and size in pixels, class scores; as YOLOv8 and later are exported.
	YOLOv8 YOLOHead = C.OMMA_YOLO_V8
	// YOLOv5 is (B, N, 5 + C): centre and size in pixels, objectness, class scores; as YOLOv5 and v7 are exported.
	YOLOv5 YOLOHead = C.OMMA_YOLO_V5
	// YOLOGridV3 is (B, A (5 + C), H, W) or (B, A, H, W, 5 + C): the cells of a grid, with boxes as in YOLOv3.
	YOLOGridV3 YOLOHead = C.OMMA_YOLO_GRID_V3
	// YOLOGridV5 is the same with boxes as in YOLOv5 and v7.
	YOLOGridV5 YOLOHead = C.OMMA_YOLO_GRID_V5
)

// YOLOValues is what the scores of a head are.
type YOLOValues int32

const (
	// YOLOProbabilities have been through the sigmoid.
	YOLOProbabilities YOLOValues = C.OMMA_YOLO_PROBABILITIES
	// YOLOLogits are still to go through it.
	YOLOLogits YOLOValues = C.OMMA_YOLO_LOGITS
)

// YOLOOptions is how a head is read; zero in a field is its default.
type YOLOOptions struct {
	Head YOLOHead
	// Values are logits of grids and probabilities of other heads, unless it says otherwise.
	Values YOLOValues
	// MultiLabel makes every class above the threshold a detection, not only the best of an anchor.
	MultiLabel bool
	// NumClasses is 0 for all that there is room for; what follows them is ignored.
	NumClasses int
	// Anchors (A, 2) are the widths and heights in pixels of the anchors of a grid.
	Anchors Tensor[float32]
	// Stride is the pixels from cell to cell of a grid.
	Stride float32
	// ScaleXY is how far offsets in a grid reach, 0 for the usual 1 of v3 and 2 of v5.
	ScaleXY float32
}

// Detections are what [YOLODecode] finds: image by image, and within an image by anchor.
type Detections struct {
	// Boxes are corners x1, y1, x2, y2 in pixels.
	Boxes   [][4]float32
	Scores  []float32
	Classes []int64
	// Indices say which anchor of its image a detection is.
	Indices []int64
	// Counts are the detections of each image.
	Counts []int64
}

// YOLODecode finds what in the head of a YOLO has a score above the threshold; a score is the class
// score, times the objectness where there is one. The head may have any strides, so that an export
// with its axes the other way round is passed as a view.
func YOLODecode(ctx *Context, head Tensor[float32], scoreThreshold float64, options *YOLOOptions) (*Detections, error) {
	p := C.OmmaYoloDecodeParams{
		struct_size:     C.sizeof_OmmaYoloDecodeParams,
		score_threshold: C.double(scoreThreshold),
	}
	var anchors Tensor[float32]
	if o := options; o != nil {
		p.head = C.int32_t(o.Head)
		p.values = C.int32_t(o.Values)
		if o.MultiLabel {
			p.flags |= C.OMMA_YOLO_MULTI_LABEL
		}
		p.num_classes = C.int64_t(o.NumClasses)
		p.stride = C.float(o.Stride)
		p.scale_xy = C.float(o.ScaleXY)
		anchors = o.Anchors
	}
	c, err := ctx.enter("yolo_decode")
	if err != nil {
		return nil, err
	}
	defer ctx.leave()
	images := 0
	if shape := head.Shape(); len(shape) > 0 {
		images = shape[0]
	}
	found := &Detections{Counts: make([]int64, images)}
	counts := compact(found.Counts, []int{images})
	// A second time where there are more than the first guess.
	for room := 256; ; {
		numbers := make([]float32, 4*room)
		found.Scores = make([]float32, room)
		found.Classes, found.Indices = make([]int64, room), make([]int64, room)
		boxes := compact(numbers, []int{room, 4})
		scores, classes := compact(found.Scores, []int{room}), compact(found.Classes, []int{room})
		indices := compact(found.Indices, []int{room})
		var n C.int64_t
		err := result(C.omma_go_yolo_decode(c, &p, head.pointer(), head.cLayout(), anchors.pointer(), anchors.cLayout(),
			boxes.pointer(), boxes.cLayout(), scores.pointer(), scores.cLayout(), classes.pointer(), classes.cLayout(),
			indices.pointer(), indices.cLayout(), counts.pointer(), counts.cLayout(), &n))
		if err != nil && int(n) > room {
			room = int(n)
			continue
		}
		if err != nil {
			return nil, err
		}
		found.Boxes = make([][4]float32, n)
		for i := range found.Boxes {
			copy(found.Boxes[i][:], numbers[4*i:])
		}
		found.Scores, found.Classes, found.Indices = found.Scores[:n], found.Classes[:n], found.Indices[:n]
		return found, nil
	}
}
