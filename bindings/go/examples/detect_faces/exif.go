package main

import (
	"bytes"
	"encoding/binary"
)

// orientation is how the camera was held when it took a JPEG: 1 for upright, up to 8, as EXIF
// writes it; 1 where there is no EXIF, or where it makes no sense.
//
// A JPEG is segments: 0xFF, a marker, a big-endian length that counts itself, data. EXIF is the
// segment of marker 0xE1 whose data begin with "Exif\0\0". There follows a TIFF: its byte order, 42,
// the offset of a directory, which is a count and entries of twelve bytes: tag, type, count, value.
func orientation(jpeg []byte) int {
	const upright, app1, startOfScan, tag, short = 1, 0xE1, 0xDA, 0x0112, 3
	for rest := jpeg[min(2, len(jpeg)):]; len(rest) >= 4 && rest[0] == 0xFF; {
		size := int(binary.BigEndian.Uint16(rest[2:])) + 2
		if rest[1] == startOfScan || size > len(rest) {
			break
		}
		tiff, found := bytes.CutPrefix(rest[4:max(size, 4)], []byte("Exif\x00\x00"))
		if rest[1] != app1 || !found || len(tiff) < 8 {
			rest = rest[size:]
			continue
		}
		var order binary.ByteOrder = binary.BigEndian
		if tiff[0] == 'I' {
			order = binary.LittleEndian
		}
		directory := uint64(order.Uint32(tiff[4:]))
		if directory+2 > uint64(len(tiff)) {
			break
		}
		entries := tiff[directory+2:]
		for left := order.Uint16(tiff[directory:]); left > 0 && len(entries) >= 12; left-- {
			if order.Uint16(entries) == tag && order.Uint16(entries[2:]) == short {
				if value := int(order.Uint16(entries[8:])); value >= 1 && value <= 8 {
					return value
				}
			}
			entries = entries[12:]
		}
		break
	}
	return upright
}
