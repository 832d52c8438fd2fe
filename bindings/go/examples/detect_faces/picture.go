package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"

	"omma"
)

// loadPicture reads a PNG or JPEG as RGB (H, W, 3), upright and without its alpha channel.
func loadPicture(path string) (omma.Tensor[uint8], error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return omma.Tensor[uint8]{}, err
	}
	decoded, format, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return omma.Tensor[uint8]{}, fmt.Errorf("%s: %w", path, err)
	}
	pixels, err := omma.Pixels(decoded)
	if errors.Is(err, omma.ErrUnsupported) || err == nil && pixels.Rank() != 3 {
		// The conversion of opaque pictures to RGBA is the fast one.
		var converted draw.Image = image.NewNRGBA(decoded.Bounds())
		if opaque, known := decoded.(interface{ Opaque() bool }); known && opaque.Opaque() {
			converted = image.NewRGBA(decoded.Bounds())
		}
		draw.Draw(converted, decoded.Bounds(), decoded, decoded.Bounds().Min, draw.Src)
		pixels, err = omma.Pixels(converted)
	}
	if err != nil {
		return omma.Tensor[uint8]{}, fmt.Errorf("%s: %w", path, err)
	}
	rgb := pixels.Slice(2, 0, 3)
	if format == "jpeg" {
		rgb = upright(rgb, orientation(file))
	}
	return rgb.Clone(), nil
}

// upright undoes what the camera's orientation (1 to 8, from EXIF) says was done to the picture.
func upright(picture omma.Tensor[uint8], orientation int) omma.Tensor[uint8] {
	if orientation >= 5 {
		picture = picture.Permute(1, 0, 2)
	}
	switch orientation {
	case 2, 6:
		return picture.Flip(1)
	case 3, 7:
		return picture.Flip(0).Flip(1)
	case 4, 8:
		return picture.Flip(0)
	}
	return picture
}

var (
	dark      = color.NRGBA{10, 14, 12, 150}
	frame     = color.NRGBA{57, 255, 136, 255}
	eye       = color.NRGBA{0, 200, 255, 255}
	landmarks = [5]color.NRGBA{eye, eye, {255, 214, 0, 255}, {255, 84, 112, 255}, {255, 84, 112, 255}}
)

// savePicture writes the picture with the faces marked, as PNG or JPEG by the name of the file.
func savePicture(path string, picture omma.Tensor[uint8], faces []candidate) (err error) {
	encode := func(w *bufio.Writer, m image.Image) error { return png.Encode(w, m) }
	switch extension := strings.ToLower(filepath.Ext(path)); extension {
	case ".png":
	case ".jpg", ".jpeg":
		encode = func(w *bufio.Writer, m image.Image) error { return jpeg.Encode(w, m, &jpeg.Options{Quality: 92}) }
	default:
		return fmt.Errorf("%s: a picture is written as .png or .jpg", path)
	}
	marked := image.NewRGBA(image.Rect(0, 0, picture.Dim(1), picture.Dim(0)))
	rgb := picture.Data()
	for i := 0; i < len(rgb)/3; i++ {
		copy(marked.Pix[4*i:], []uint8{rgb[3*i], rgb[3*i+1], rgb[3*i+2], 255})
	}
	for _, face := range faces {
		mark(marked, face)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriter(file)
	return errors.Join(encode(buffer, marked), buffer.Flush(), file.Close())
}

// mark draws a frame with a dark rim, so that it shows on any background, and a dot for each
// landmark.
func mark(picture *image.RGBA, face candidate) {
	line := max((face.box.right-face.box.left)/45, 1.5)
	for _, stroke := range []struct {
		width float64
		color color.NRGBA
	}{{1.9 * line, dark}, {line, frame}} {
		outer := rectangle(face.box, stroke.width/2)
		inner := rectangle(face.box, -stroke.width/2)
		for _, side := range []image.Rectangle{
			{outer.Min, image.Pt(outer.Max.X, inner.Min.Y)},
			{image.Pt(outer.Min.X, inner.Max.Y), outer.Max},
			{image.Pt(outer.Min.X, inner.Min.Y), image.Pt(inner.Min.X, inner.Max.Y)},
			{image.Pt(inner.Max.X, inner.Min.Y), image.Pt(outer.Max.X, inner.Max.Y)},
		} {
			draw.Draw(picture, side, image.NewUniform(stroke.color), image.Point{}, draw.Over)
		}
	}
	for i, point := range face.landmarks {
		for _, dot := range []struct {
			radius float64
			color  color.NRGBA
		}{{1.65 * line, dark}, {1.15 * line, landmarks[i]}} {
			mask := disc{float64(point[0]), float64(point[1]), dot.radius}
			draw.DrawMask(picture, mask.Bounds(), image.NewUniform(dot.color), image.Point{}, mask, mask.Bounds().Min, draw.Over)
		}
	}
}

// rectangle is a box, larger by some pixels on every side; what lies far outside is of no interest.
func rectangle(b box, by float64) image.Rectangle {
	whole := func(x float64) int { return int(math.Round(min(max(x, -1e6), 1e6))) }
	return image.Rectangle{
		image.Pt(whole(b.left-by), whole(b.top-by)),
		image.Pt(whole(b.right+by), whole(b.bottom+by)),
	}
}

// disc is a mask: opaque within a circle, with a soft edge.
type disc struct {
	x, y, radius float64
}

func (d disc) ColorModel() color.Model { return color.AlphaModel }

func (d disc) Bounds() image.Rectangle {
	return rectangle(box{d.x, d.y, d.x, d.y}, d.radius+1)
}

func (d disc) At(x, y int) color.Color {
	distance := math.Hypot(float64(x)+0.5-d.x, float64(y)+0.5-d.y)
	return color.Alpha{uint8(255 * min(max(d.radius-distance+0.5, 0), 1))}
}
