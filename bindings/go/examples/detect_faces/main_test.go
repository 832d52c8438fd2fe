package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"omma"
)

// exif is a JPEG up to its first scan, with that orientation in either byte order.
func exif(order string, value byte) []byte {
	tiff := []byte("II*\x00\x08\x00\x00\x00" + "\x02\x00" +
		"\x00\x01\x03\x00\x01\x00\x00\x00\x07\x00\x00\x00" + "\x12\x01\x03\x00\x01\x00\x00\x00" + string(rune(value)) + "\x00\x00\x00")
	if order == "MM" {
		tiff = []byte("MM\x00*\x00\x00\x00\x08" + "\x00\x02" +
			"\x01\x00\x00\x03\x00\x00\x00\x01\x00\x07\x00\x00" + "\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(rune(value)) + "\x00\x00")
	}
	data := append([]byte("Exif\x00\x00"), tiff...)
	file := []byte("\xFF\xD8\xFF\xE0\x00\x04ab\xFF\xE1\x00")
	file = append(file, byte(len(data)+2))
	return append(append(file, data...), "\xFF\xDA\x00\x02"...)
}

func TestOrientation(t *testing.T) {
	for value := 1; value <= 8; value++ {
		for _, order := range []string{"II", "MM"} {
			if got := orientation(exif(order, byte(value))); got != value {
				t.Errorf("%s: orientation %d is read as %d", order, value, got)
			}
		}
	}
	// Cut anywhere, or changed anywhere, it is upright or some other legal value, never a panic.
	for _, order := range []string{"II", "MM"} {
		file := exif(order, 6)
		for i := range file {
			for _, changed := range [][]byte{file[:i], append(append(bytes.Clone(file[:i]), 0xFF), file[i+1:]...)} {
				if got := orientation(changed); got < 1 || got > 8 {
					t.Errorf("%q: orientation %d", changed, got)
				}
			}
		}
	}
	if got := orientation(exif("II", 9)); got != 1 {
		t.Errorf("orientation 9 is read as %d", got)
	}
}

// The picture 1 2 3 / 4 5 6 as a camera stores it in each orientation.
func TestUpright(t *testing.T) {
	for orientation, stored := range []string{1: "123/456", 2: "321/654", 3: "654/321", 4: "456/123", 5: "14/25/36", 6: "36/25/14", 7: "63/52/41", 8: "41/52/63"} {
		if stored == "" {
			continue
		}
		rows := strings.Split(stored, "/")
		pixels := omma.Must(omma.Of([]uint8(strings.Join(rows, "")), len(rows), len(rows[0]), 1))
		got := upright(pixels, orientation).Clone()
		if string(got.Data()) != "123456" || got.Dim(0) != 2 {
			t.Errorf("orientation %d: %s becomes %q of shape %v", orientation, stored, got.Data(), got.Shape())
		}
	}
}

func TestDamagedWeights(t *testing.T) {
	whole := "OMMAWTS1" + "\x01\x00\x00\x00" + "\x03\x00\x00\x00abc" + "\x02\x00\x00\x00" + "\x01\x00\x00\x00\x02\x00\x00\x00" + "\x00\x00\x80\x3F\x00\x00\x00\xC0"
	path := filepath.Join(t.TempDir(), "weights")
	read := func(content string) (*weights, error) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return readWeights(path)
	}
	w, err := read(whole)
	if err != nil {
		t.Fatal(err)
	}
	abc, err := w.at("abc")
	if err != nil || fmt.Sprint(abc.Shape(), abc.Data()) != "[1 2] [1 -2]" {
		t.Errorf("abc is %v %v, %v", abc.Shape(), abc.Data(), err)
	}
	if _, err := w.at("abd"); err == nil || !strings.Contains(err.Error(), "has no tensor abd") {
		t.Errorf("a tensor that is not there: %v", err)
	}
	for i := 0; i < len(whole); i++ {
		if _, err := read(whole[:i]); err == nil {
			t.Errorf("the first %d bytes are read", i)
		}
	}
	for content, word := range map[string]string{
		whole + "x": "left over",
		strings.Replace(whole, "\x01\x00\x00\x00\x02\x00", "\xFF\xFF\xFF\xFF\xFF\xFF", 1): "larger than the file",
		strings.Replace(whole, "WTS1", "WTS2", 1):                                         "not a weight file",
	} {
		if _, err := read(content); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("the error is %v, expected %q", err, word)
		}
	}
}
