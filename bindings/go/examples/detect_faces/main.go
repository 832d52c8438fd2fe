// Command detect_faces finds faces in a picture with MTCNN on omma. It is the C++ example of the
// same name in Go: the same command line, the same output, the same faces.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"sort"
	"strings"

	"omma"
)

// mistake is one in the command line; the exit status is 2 or, for an instruction set that this
// CPU lacks, 3.
type mistake struct {
	status int
	error
}

func main() {
	err := run(os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "detect_faces: %v\n", err)
	var m mistake
	if errors.As(err, &m) {
		os.Exit(m.status)
	}
	os.Exit(1)
}

func run(arguments []string) error {
	o, err := parseOptions(arguments)
	if err != nil {
		return mistake{2, fmt.Errorf("%w\nTry 'detect_faces --help'.", err)}
	}
	if o.help {
		_, err := os.Stdout.WriteString(help)
		return err
	}
	isa, err := isaNamed(o.isa)
	if err != nil {
		return err
	}
	ctx, err := omma.NewContext(&omma.ContextOptions{NumThreads: o.threads, MaxISA: isa})
	if err != nil {
		return err
	}
	defer ctx.Close()
	picture, err := loadPicture(o.image)
	if err != nil {
		return err
	}
	w, err := readWeights(o.weights)
	if err != nil {
		return err
	}
	detector, err := newMtcnn(ctx, w)
	if err != nil {
		return err
	}
	defer detector.close()

	var faces []candidate
	runs := make([]profile, o.repeat)
	for i := range runs {
		if faces, runs[i], err = detector.detect(picture, o.minFace); err != nil {
			return err
		}
	}
	if o.output != "" {
		if err := savePicture(o.output, picture, faces); err != nil {
			return err
		}
	}
	r := report{o, picture.Dim(1), picture.Dim(0), faces, median(runs), ctx.ISA(), ctx.NumThreads()}
	text := r.text
	if o.json {
		text = r.json
	}
	_, err = os.Stdout.WriteString(text())
	return err
}

// isaNamed is the instruction set of a name; an empty name is the default.
func isaNamed(name string) (omma.ISA, error) {
	if name == "" {
		return omma.ISADefault, nil
	}
	for _, isa := range []omma.ISA{omma.ISAPortable, omma.ISANEON, omma.ISAAVX2, omma.ISAAVX512} {
		if isa.String() != name {
			continue
		}
		if !isa.Available() {
			return isa, mistake{3, fmt.Errorf("this CPU does not have --isa %s", name)}
		}
		return isa, nil
	}
	return 0, mistake{2, fmt.Errorf("--isa takes portable, neon, avx2 or avx512, not '%s'", name)}
}

// median is that of each time over several runs.
func median(runs []profile) profile {
	result := runs[0]
	for _, time := range []func(*profile) *float64{
		func(p *profile) *float64 { return &p.pyramid },
		func(p *profile) *float64 { return &p.pnet },
		func(p *profile) *float64 { return &p.rnet },
		func(p *profile) *float64 { return &p.onet },
		func(p *profile) *float64 { return &p.total },
	} {
		values := make([]float64, len(runs))
		for i := range runs {
			values[i] = *time(&runs[i])
		}
		sort.Float64s(values)
		*time(&result) = (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	}
	return result
}

type report struct {
	options       options
	width, height int
	faces         []candidate
	profile       profile
	isa           omma.ISA
	threads       int
}

var landmarkNames = [5]string{"left_eye", "right_eye", "nose", "mouth_left", "mouth_right"}

func (r report) json() string {
	var b strings.Builder
	p := r.profile
	fmt.Fprintf(&b, "{\"image\": %s, \"width\": %d, \"height\": %d,\n", quoted(r.options.image), r.width, r.height)
	fmt.Fprintf(&b, " \"isa\": %s, \"threads\": %d, \"runs\": %d,\n", quoted(r.isa.String()), r.threads, r.options.repeat)
	fmt.Fprintf(&b, " \"milliseconds\": {\"pyramid\": %.4f, \"pnet\": %.4f, \"rnet\": %.4f, \"onet\": %.4f, \"total\": %.4f},\n",
		p.pyramid, p.pnet, p.rnet, p.onet, p.total)
	fmt.Fprintf(&b, " \"boxes\": {\"pnet\": %d, \"rnet\": %d, \"onet\": %d},\n \"faces\": [", p.pnetBoxes, p.rnetBoxes, p.faces)
	for i, face := range r.faces {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "\n  {\"left\": %.3f, \"top\": %.3f, \"right\": %.3f, \"bottom\": %.3f, \"score\": %.8f, \"landmarks\": {",
			face.box.left, face.box.top, face.box.right, face.box.bottom, face.score)
		for j, point := range face.landmarks {
			if j > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "\"%s\": [%.3f, %.3f]", landmarkNames[j], point[0], point[1])
		}
		b.WriteString("}}")
	}
	b.WriteString("]}\n")
	return b.String()
}

func quoted(text string) string {
	// Strings always have a JSON form.
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

func (r report) text() string {
	var b strings.Builder
	p := r.profile
	fmt.Fprintf(&b, "%s: %d x %d, %d %s\n", r.options.image, r.width, r.height, len(r.faces), plural(len(r.faces), "face"))
	for _, face := range r.faces {
		// Whole pixels, inside the picture.
		x, y := max(0, math.Trunc(face.box.left)), max(0, math.Trunc(face.box.top))
		fmt.Fprintf(&b, "  x %.0f  y %.0f  %.0fx%.0f  score %.5f\n   ", x, y, math.Trunc(face.box.right-x),
			math.Trunc(face.box.bottom-y), math.Floor(float64(face.score)*1e5)/1e5)
		for i, point := range face.landmarks {
			fmt.Fprintf(&b, " %s %d,%d", landmarkNames[i], int(point[0]), int(point[1]))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "isa %v, %d %s", r.isa, r.threads, plural(r.threads, "thread"))
	if r.options.repeat > 1 {
		fmt.Fprintf(&b, ", median of %d runs", r.options.repeat)
	}
	fmt.Fprintf(&b, "\n  pyramid %7.2f ms\n  P-Net   %7.2f ms  %d boxes\n  R-Net   %7.2f ms  %d boxes\n"+
		"  O-Net   %7.2f ms  %d %s\n  total   %7.2f ms\n", p.pyramid, p.pnet, p.pnetBoxes, p.rnet, p.rnetBoxes,
		p.onet, p.faces, plural(p.faces, "face"), p.total)
	if r.options.output != "" {
		fmt.Fprintf(&b, "wrote %s\n", r.options.output)
	}
	return b.String()
}

func plural(count int, word string) string {
	if count == 1 {
		return word
	}
	return word + "s"
}
