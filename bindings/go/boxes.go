package omma

// #include "bridge.h"
import "C"

// BoxFormat is what the four numbers of a box are.
type BoxFormat int32

const (
	// BoxXYXY is two corners: x1, y1, x2, y2.
	BoxXYXY BoxFormat = C.OMMA_BOX_XYXY
	// BoxXYWH is a corner and the size: x1, y1, width, height.
	BoxXYWH BoxFormat = C.OMMA_BOX_XYWH
	// BoxCXCYWH is the centre and the size: cx, cy, width, height.
	BoxCXCYWH BoxFormat = C.OMMA_BOX_CXCYWH
	// BoxCorners is two opposite corners in any order.
	BoxCorners BoxFormat = C.OMMA_BOX_CORNERS
)

// IoUKind is how overlap is measured.
type IoUKind int32

const (
	// IoU is intersection over union.
	IoU IoUKind = C.OMMA_IOU
	// GIoU is generalised IoU: less the share of the hull that neither box covers.
	GIoU IoUKind = C.OMMA_GIOU
	// DIoU is distance IoU: less the squared distance of the centres over that of the hull's corners.
	DIoU IoUKind = C.OMMA_DIOU
	// CIoU is complete IoU: distance IoU less a term for differing aspect ratios.
	CIoU IoUKind = C.OMMA_CIOU
)

// Overlap is what the intersection is divided by in suppression.
type Overlap int32

const (
	// OverlapUnion is the union.
	OverlapUnion Overlap = C.OMMA_OVERLAP_UNION
	// OverlapMin is the smaller of both areas.
	OverlapMin Overlap = C.OMMA_OVERLAP_MIN
)

// BoxIoUOptions is how to measure; zero in a field is its default.
type BoxIoUOptions struct {
	Kind   IoUKind
	Format BoxFormat
	// Offset is 0, or 1 for boxes that end with their last pixel included (sides are x2 - x1 + 1).
	Offset int
}

func (o *BoxIoUOptions) params(op string) (C.OmmaBoxIouParams, error) {
	p := C.OmmaBoxIouParams{struct_size: C.sizeof_OmmaBoxIouParams}
	if o == nil {
		return p, nil
	}
	n := narrow{op: op}
	p.kind = C.int32_t(o.Kind)
	p.format = C.int32_t(o.Format)
	p.offset = n.int32("offset", o.Offset)
	return p, n.err
}

// BoxIoU computes the overlap of every box of a (N, 4) with every box of b (M, 4), to output
// (N, M), with the values of torchvision, except that 0/0 counts as 0: empty boxes overlap
// nothing. A NaN in a box gives NaN. The output may not overlap an input.
func BoxIoU(ctx *Context, a, b, output Tensor[float32], options *BoxIoUOptions) error {
	p, err := options.params("box_iou")
	if err != nil {
		return err
	}
	c, err := ctx.enter("box_iou")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_box_iou(c, &p, a.pointer(), a.cLayout(), b.pointer(), b.cLayout(),
		output.pointer(), output.cLayout()))
}

// BoxIoUElementwise computes the overlap of each box of a (N, 4) with the box of b (N, 4) at the
// same index, to output (N); otherwise as [BoxIoU].
func BoxIoUElementwise(ctx *Context, a, b, output Tensor[float32], options *BoxIoUOptions) error {
	p, err := options.params("box_iou_elementwise")
	if err != nil {
		return err
	}
	c, err := ctx.enter("box_iou_elementwise")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_box_iou_elementwise(c, &p, a.pointer(), a.cLayout(), b.pointer(), b.cLayout(),
		output.pointer(), output.cLayout()))
}

// NMSOptions is how boxes suppress each other; zero in a field is its default.
type NMSOptions struct {
	// ScoreThreshold leaves out boxes whose score is not larger, or NaN; nil leaves out none.
	ScoreThreshold *float64
	// MaxOutput is the most boxes to keep, 0 for no limit.
	MaxOutput int
	// MaxCandidates lets only that many boxes with the best scores take part, 0 for all.
	MaxCandidates int
	Format        BoxFormat
	// Offset is 0, or 1 for boxes that end with their last pixel included (sides are x2 - x1 + 1).
	Offset  int
	Overlap Overlap
}

func (o *NMSOptions) params(op string, iouThreshold float64) (C.OmmaNmsParams, error) {
	p := C.OmmaNmsParams{struct_size: C.sizeof_OmmaNmsParams, iou_threshold: C.double(iouThreshold)}
	if o == nil {
		return p, nil
	}
	n := narrow{op: op}
	if o.ScoreThreshold != nil {
		p.flags |= C.OMMA_NMS_SCORE_THRESHOLD
		p.score_threshold = C.double(*o.ScoreThreshold)
	}
	p.max_output = C.int64_t(o.MaxOutput)
	p.max_candidates = C.int64_t(o.MaxCandidates)
	p.format = C.int32_t(o.Format)
	p.offset = n.int32("offset", o.Offset)
	p.overlap = C.int32_t(o.Overlap)
	return p, n.err
}

// room is as many indices as a suppression can keep.
func (o *NMSOptions) room(scores *Tensor[float32]) []int64 {
	n := scores.Len()
	if o != nil && o.MaxOutput > 0 {
		n = min(n, o.MaxOutput)
	}
	return make([]int64, n)
}

// NMS is greedy non-maximum suppression: of boxes (N, 4) with scores (N), the indices of those that
// no better kept one overlaps by more than iouThreshold, best first.
//
// Equal to torchvision's nms index by index: equal scores rank by index, NaN scores rank first,
// boxes without area or with a NaN neither suppress nor are suppressed.
func NMS(ctx *Context, boxes, scores Tensor[float32], iouThreshold float64, options *NMSOptions) ([]int64, error) {
	kept := options.room(&scores)
	count, err := NMSInto(ctx, boxes, scores, iouThreshold, options, kept)
	if err != nil {
		return nil, err
	}
	return kept[:count], nil
}

// NMSInto is [NMS] into memory of the caller: count indices at the beginning of kept, whose rest is
// not written. When kept is too short the error is [ErrBufferTooSmall], count is the length that
// is needed, and nothing is written.
func NMSInto(ctx *Context, boxes, scores Tensor[float32], iouThreshold float64, options *NMSOptions, kept []int64) (count int, err error) {
	p, err := options.params("nms", iouThreshold)
	if err != nil {
		return 0, err
	}
	c, err := ctx.enter("nms")
	if err != nil {
		return 0, err
	}
	defer ctx.leave()
	indices := compact(kept, []int{len(kept)})
	var n C.int64_t
	err = result(C.omma_go_nms(c, &p, boxes.pointer(), boxes.cLayout(), scores.pointer(), scores.cLayout(),
		indices.pointer(), indices.cLayout(), &n))
	return int(n), err
}

// Class is what the class of a box can be.
type Class interface {
	int32 | int64
}

// BatchedNMS is [NMS] among the boxes of each class alone; classes (N), any values. The result is
// ordered by score over all classes, equal scores by index, and the limits of the options count
// over all classes.
func BatchedNMS[K Class](ctx *Context, boxes, scores Tensor[float32], classes Tensor[K], iouThreshold float64, options *NMSOptions) ([]int64, error) {
	kept := options.room(&scores)
	count, err := BatchedNMSInto(ctx, boxes, scores, classes, iouThreshold, options, kept)
	if err != nil {
		return nil, err
	}
	return kept[:count], nil
}

// BatchedNMSInto is [BatchedNMS] into memory of the caller, as [NMSInto].
func BatchedNMSInto[K Class](ctx *Context, boxes, scores Tensor[float32], classes Tensor[K], iouThreshold float64, options *NMSOptions, kept []int64) (count int, err error) {
	p, err := options.params("batched_nms", iouThreshold)
	if err != nil {
		return 0, err
	}
	c, err := ctx.enter("batched_nms")
	if err != nil {
		return 0, err
	}
	defer ctx.leave()
	indices := compact(kept, []int{len(kept)})
	var n C.int64_t
	err = result(C.omma_go_batched_nms(c, &p, boxes.pointer(), boxes.cLayout(), scores.pointer(), scores.cLayout(),
		classes.pointer(), classes.cLayout(), indices.pointer(), indices.cLayout(), &n))
	return int(n), err
}
