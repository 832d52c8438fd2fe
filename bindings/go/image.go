package omma

// #include "bridge.h"
import "C"

import "math"

// Sample is what an image can be made of: bytes or floats.
type Sample interface {
	uint8 | float32
}

// Interpolation is how a pixel is made of those around it.
type Interpolation int32

const (
	// InterpolationLinear is bilinear.
	InterpolationLinear Interpolation = C.OMMA_INTERPOLATION_LINEAR
	// InterpolationNearest is the value of one pixel.
	InterpolationNearest Interpolation = C.OMMA_INTERPOLATION_NEAREST
	// InterpolationCubic is bicubic: OpenCV's INTER_CUBIC, with antialias torch's and Pillow's.
	InterpolationCubic Interpolation = C.OMMA_INTERPOLATION_CUBIC
	// InterpolationArea is the mean over the area of the destination pixel: OpenCV's INTER_AREA.
	InterpolationArea Interpolation = C.OMMA_INTERPOLATION_AREA
)

// Coordinates is which point of the source a pixel of the destination is taken from.
type Coordinates int32

const (
	// CoordinatesDefault is OpenCV's: asymmetric for nearest, half pixel for all others.
	CoordinatesDefault Coordinates = C.OMMA_COORDINATES_DEFAULT
	// CoordinatesHalfPixel is (d + 1/2) scale - 1/2: the borders of both images coincide.
	CoordinatesHalfPixel Coordinates = C.OMMA_COORDINATES_HALF_PIXEL
	// CoordinatesAlignCorners is d (source - 1) / (destination - 1): the corner pixels coincide.
	CoordinatesAlignCorners Coordinates = C.OMMA_COORDINATES_ALIGN_CORNERS
	// CoordinatesAsymmetric is d scale: the first pixels coincide.
	CoordinatesAsymmetric Coordinates = C.OMMA_COORDINATES_ASYMMETRIC
)

// ResizeOptions is how to resize; zero in a field is its default.
type ResizeOptions struct {
	Interpolation Interpolation
	Coordinates   Coordinates
	// Antialias widens the kernel when the image shrinks, for linear and cubic; as torch and Pillow.
	Antialias bool
}

// Resize resizes an image to the size of output. Both are (H, W, C) or (H, W), with the same
// channels and any strides, so a part of a picture is a [Tensor.Slice]. They must not overlap.
//
// Bytes, linear and area, are the very bits of OpenCV's INTER_LINEAR and INTER_AREA; nearest is
// its INTER_NEAREST; cubic is its INTER_CUBIC to one grey level. In floats NaN and infinity reach every pixel that is made of them.
func Resize[T Sample](ctx *Context, image, output Tensor[T], options *ResizeOptions) error {
	p := C.OmmaResizeParams{struct_size: C.sizeof_OmmaResizeParams}
	if options != nil {
		p.interpolation = C.int32_t(options.Interpolation)
		p.coordinates = C.int32_t(options.Coordinates)
		if options.Antialias {
			p.flags |= C.OMMA_RESIZE_ANTIALIAS
		}
	}
	c, err := ctx.enter("resize")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_resize(c, &p, image.pointer(), image.cLayout(), output.pointer(), output.cLayout()))
}

// MedianBorder is what lies beyond the border of an image for [MedianBlur].
type MedianBorder int32

const (
	// MedianBorderReplicate is the nearest pixel.
	MedianBorderReplicate MedianBorder = C.OMMA_MEDIAN_BORDER_REPLICATE
	// MedianBorderConstant is zero.
	MedianBorderConstant MedianBorder = C.OMMA_MEDIAN_BORDER_CONSTANT
)

// MedianBlur writes the median of the ksize by ksize window around each pixel, channel by channel.
// Both are (H, W, C) or (H, W) of the same shape, with any strides; they must not overlap. The side
// of the window is odd, from 1 to 32767.
//
// The result is exact: OpenCV's medianBlur, scipy's median_filter. NaN counts as larger than any
// number.
func MedianBlur[T Sample](ctx *Context, image, output Tensor[T], ksize int, border MedianBorder) error {
	// What 32 bits do not hold is wrong as it is.
	p := C.OmmaMedianBlurParams{
		struct_size: C.sizeof_OmmaMedianBlurParams,
		ksize:       C.int32_t(max(min(ksize, math.MaxInt32), 0)),
		border:      C.int32_t(border),
	}
	c, err := ctx.enter("median_blur")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_median_blur(c, &p, image.pointer(), image.cLayout(), output.pointer(), output.cLayout()))
}

// ImageToTensorOptions is how an image becomes the tensor of a network; zero in a field is its
// default. A sample v becomes (v*Scale - Mean) / Std, with Mean and Std in the order of the
// output's channels.
type ImageToTensorOptions struct {
	// Layout of the output: (C, H, W), or (H, W, C) for [NHWC].
	Layout Layout
	// SwapRB exchanges the first and the third channel.
	SwapRB bool
	// Letterbox keeps the proportions and pads; [Letterbox] tells where the image lands.
	Letterbox bool
	// PadValue is the padding of a letterbox, in units of the image; nil is 114.
	PadValue *float32
	// Scale multiplies samples. 0: 1/255 for bytes, 1 for floats.
	Scale float32
	// Mean is subtracted from the scaled sample.
	Mean [4]float32
	// Std divides what is left. 0 is 1.
	Std [4]float32
	// Interpolation when the size changes: linear, cubic or area.
	Interpolation Interpolation
	Coordinates   Coordinates
	// Antialias widens the kernel when the image shrinks, for linear and cubic.
	Antialias bool
}

// ImageToTensor turns an image into the tensor of a network: resizing or letterboxing, channel
// order, normalisation and layout in one pass.
//
// The image is (H, W, C) or (H, W) with one to four channels. The output is (C, H', W') or, by
// the layout, (H', W', C), or the same with a leading 1, so it may be a slot of a batch. Any
// strides; they must not overlap. The result is what [Resize], and then (v*scale - mean) / std,
// give, up to the rounding of float32. NaN and infinity propagate.
func ImageToTensor[T Sample](ctx *Context, image Tensor[T], output Tensor[float32], options *ImageToTensorOptions) error {
	p := C.OmmaImageToTensorParams{struct_size: C.sizeof_OmmaImageToTensorParams}
	if o := options; o != nil {
		p.layout = C.int32_t(o.Layout)
		p.interpolation = C.int32_t(o.Interpolation)
		p.coordinates = C.int32_t(o.Coordinates)
		p.scale = C.float(o.Scale)
		for c := range o.Mean {
			p.mean[c], p.std[c] = C.float(o.Mean[c]), C.float(o.Std[c])
		}
		if o.SwapRB {
			p.flags |= C.OMMA_IMAGE_SWAP_RB
		}
		if o.Letterbox {
			p.flags |= C.OMMA_IMAGE_LETTERBOX
		}
		if o.Antialias {
			p.flags |= C.OMMA_IMAGE_ANTIALIAS
		}
		if o.PadValue != nil {
			p.flags |= C.OMMA_IMAGE_PAD_VALUE
			p.pad_value = C.float(*o.PadValue)
		}
	}
	c, err := ctx.enter("image_to_tensor")
	if err != nil {
		return err
	}
	defer ctx.leave()
	return result(C.omma_go_image_to_tensor(c, &p, image.pointer(), image.cLayout(), output.pointer(), output.cLayout()))
}

// Placement is where an image lands in a frame of other proportions.
type Placement struct {
	// Top is the rows above the image, Left the columns left of it.
	Top, Left int
	// Height and Width are those of the image in the frame.
	Height, Width int
	// ScaleY and ScaleX are the same over the image's own height and width.
	ScaleY, ScaleX float64
}

// ToImage brings a point of the frame back to the image; borders of pixels are integers.
func (p Placement) ToImage(x, y float64) (float64, float64) {
	return (x - float64(p.Left)) / p.ScaleX, (y - float64(p.Top)) / p.ScaleY
}

// Letterbox tells where an image lands in a frame when it is scaled to fit, its sides rounded
// (ties to even, at least 1), and centred, the odd pixel of a margin to the right and below; as
// Ultralytics' LetterBox.
func Letterbox(imageHeight, imageWidth, frameHeight, frameWidth int) (Placement, error) {
	var p C.OmmaLetterbox
	err := result(C.omma_go_letterbox(C.int64_t(imageHeight), C.int64_t(imageWidth),
		C.int64_t(frameHeight), C.int64_t(frameWidth), &p))
	if err != nil {
		return Placement{}, err
	}
	return Placement{
		Top: int(p.top), Left: int(p.left), Height: int(p.height), Width: int(p.width),
		ScaleY: float64(p.scale_y), ScaleX: float64(p.scale_x),
	}, nil
}
