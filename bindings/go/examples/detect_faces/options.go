package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const help = `usage: detect_faces IMAGE [-o OUT.png] [options]

Finds faces in a PNG or JPEG picture: a box, a score and five landmarks for each.

  -o, --output FILE    write the picture with the faces marked (.png or .jpg)
      --json           print one JSON object instead of text
      --threads N      threads to use (default: one for each core)
      --isa NAME       instruction set: portable, neon, avx2, avx512 (default: the best here)
      --min-face PX    smallest face to look for, in pixels (default: 20)
      --weights FILE   the networks (default: mtcnn.weights beside this program)
      --repeat N       detect N times and print the median of each time
  -h, --help           print this
`

type options struct {
	image, output, weights, isa string
	json, help                  bool
	threads, minFace, repeat    int
}

// parseOptions reads the command line of the C++ example: options and the picture in any order,
// which package flag does not do.
func parseOptions(arguments []string) (options, error) {
	o := options{minFace: 20, repeat: 1, weights: "mtcnn.weights"}
	if program, err := os.Executable(); err == nil {
		o.weights = filepath.Join(filepath.Dir(program), o.weights)
	}
	var pictures []string
	for len(arguments) > 0 {
		argument := arguments[0]
		arguments = arguments[1:]
		if argument == "--" {
			pictures = append(pictures, arguments...)
			break
		}
		if !strings.HasPrefix(argument, "-") || argument == "-" {
			pictures = append(pictures, argument)
			continue
		}
		name, value, given := strings.Cut(argument, "=")
		switch name {
		case "--json":
			o.json = true
		case "-h", "--help":
			o.help = true
			return o, nil
		case "-o", "--output", "--isa", "--weights", "--threads", "--min-face", "--repeat":
			if !given {
				if len(arguments) == 0 {
					return o, fmt.Errorf("%s takes a value", name)
				}
				value, arguments = arguments[0], arguments[1:]
			}
		default:
			return o, fmt.Errorf("unknown option %s", name)
		}
		if given && name == "--json" {
			return o, fmt.Errorf("--json takes no value")
		}
		var err error
		switch name {
		case "-o", "--output":
			o.output = value
		case "--isa":
			o.isa = value
		case "--weights":
			o.weights = value
		case "--threads":
			o.threads, err = number(name, value, 1, 1024)
		case "--min-face":
			o.minFace, err = number(name, value, 12, math.MaxInt32)
		case "--repeat":
			o.repeat, err = number(name, value, 1, 1000000)
		}
		if err != nil {
			return o, err
		}
	}
	switch len(pictures) {
	case 0:
		return o, fmt.Errorf("which picture?")
	case 1:
		o.image = pictures[0]
		return o, nil
	}
	return o, fmt.Errorf("one picture at a time, but there is also '%s'", pictures[1])
}

func number(name, text string, least, most int) (int, error) {
	value, err := strconv.Atoi(text)
	if err != nil || value < least || value > most {
		return 0, fmt.Errorf("%s takes a whole number from %d to %d, not '%s'", name, least, most, text)
	}
	return value, nil
}
