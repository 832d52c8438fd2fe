package main

import "math"

// What MTCNN does to boxes between its networks.
//
// The method comes from MATLAB and keeps its habits: a box is left, top, right, bottom with both
// ends inside, so its width is right - left + 1, and when pixels are cut out of the picture the
// numbers count from 1. The networks were trained with both, so both stay.

type box struct {
	left, top, right, bottom float64
}

type candidate struct {
	box     box
	score   float32
	offsets [4]float32 // what the network would move the box's sides by, in box sizes
	// O-Net only: left eye, right eye, nose, left and right corner of the mouth.
	landmarks [5][2]float32
}

// pyramidScales: the first level makes a face of minFace 12 pixels, each is 0.709 (about the
// square root of a half) of the one before, and the last still has room for P-Net's window.
func pyramidScales(width, height, minFace int) []float64 {
	var scales []float64
	scale := 12 / float64(minFace)
	for side := scale * float64(min(width, height)); side >= 12; side *= 0.709 {
		scales = append(scales, scale)
		scale *= 0.709
	}
	return scales
}

// pnetWindow is the window of one cell of P-Net's output, in pixels of the picture: it looks
// through 12 pixels in steps of 2.
func pnetWindow(column, row int, scale float64) box {
	x, y := 2*float64(column), 2*float64(row)
	return box{(x + 1) / scale, (y + 1) / scale, (x + 12) / scale, (y + 12) / scale}.truncated()
}

// moved moves the sides by the network's offsets. P-Net's count in right - left, those of the
// later networks in right - left + 1: extra is 0 or 1.
func (b box) moved(offsets [4]float32, extra float64) box {
	width, height := b.right-b.left+extra, b.bottom-b.top+extra
	return box{
		b.left + float64(offsets[0])*width, b.top + float64(offsets[1])*height,
		b.right + float64(offsets[2])*width, b.bottom + float64(offsets[3])*height,
	}
}

// squared is the square around the same centre with the longer side.
func (b box) squared() box {
	width, height := b.right-b.left, b.bottom-b.top
	side := max(width, height)
	left, top := b.left+width*0.5-side*0.5, b.top+height*0.5-side*0.5
	return box{left, top, left + side, top + side}
}

// truncated cuts every side to whole pixels, towards zero.
func (b box) truncated() box {
	return box{math.Trunc(b.left), math.Trunc(b.top), math.Trunc(b.right), math.Trunc(b.bottom)}
}

// window is a box of whole pixels as a half-open part of the picture, which may reach outside it.
type window struct {
	x, y, width, height int
}

func (b box) window() window {
	left, top := int(b.left), int(b.top)
	return window{left - 1, top - 1, int(b.right) - left + 1, int(b.bottom) - top + 1}
}

func (w window) inside(width, height int) bool {
	return w.x >= 0 && w.y >= 0 && w.x+w.width <= width && w.y+w.height <= height
}

func (w window) touches(width, height int) bool {
	return w.width > 0 && w.height > 0 && w.x < width && w.y < height && w.x+w.width > 0 && w.y+w.height > 0
}
