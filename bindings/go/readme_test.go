package omma

import (
	"os"
	"strings"
	"testing"
)

// The READMEs show an example that is compiled and run here.
func TestReadmesShowTheExample(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	ok(t, err)
	_, body, found := strings.Cut(string(source), "func Example() {\n")
	body, _, ended := strings.Cut(body, "\t// Output: ")
	if !found || !ended {
		t.Fatal("example_test.go has no func Example")
	}
	body = strings.ReplaceAll("\n"+body, "\n\t", "\n")[1:]
	for _, path := range []string{"../../README.md", "README.md"} {
		readme, err := os.ReadFile(path)
		ok(t, err)
		if !strings.Contains(string(readme), body) {
			t.Errorf("%s does not show\n%s", path, body)
		}
	}
}
