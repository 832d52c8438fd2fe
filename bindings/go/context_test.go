package omma

import (
	"fmt"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestContext(t *testing.T) {
	ctx := newContext(t, ContextOptions{NumThreads: 3, MaxISA: ISAPortable})
	if ctx.NumThreads() != 3 || ctx.ISA() != ISAPortable || ctx.ISA().String() != "portable" {
		t.Errorf("%d threads on %v", ctx.NumThreads(), ctx.ISA())
	}
	if all, err := NewContext(nil); err != nil || all.NumThreads() < 1 || all.Close() != nil {
		t.Errorf("no context with the defaults: %v", err)
	}
	ok(t, MatMul(ctx, Make[float32](128, 128), Make[float32](128, 128), Make[float32](128, 128)))
	if ctx.ScratchBytes() <= 0 {
		t.Errorf("a product took %d bytes of scratch", ctx.ScratchBytes())
	}
	var serial *Context
	if serial.NumThreads() != 1 || serial.ScratchBytes() != 0 || !serial.ISA().Available() || serial.Close() != nil {
		t.Errorf("a nil context has %d threads on %v", serial.NumThreads(), serial.ISA())
	}
	if major, minor, patch := Version(); major != 0 || minor < 1 || patch < 0 {
		t.Errorf("the version is %d.%d.%d", major, minor, patch)
	}
	for word, options := range map[string]ContextOptions{
		"num_threads is -3":         {NumThreads: -3},
		"num_threads is 2147483648": {NumThreads: math.MaxInt32 + 1},
		"max_isa is 17":             {MaxISA: 17},
	} {
		_, err := NewContext(&options)
		fails(t, err, ErrInvalidArgument, "context_create: "+word)
	}
	missing := 0
	for _, isa := range []ISA{ISANEON, ISAAVX2, ISAAVX512} {
		if !isa.Available() {
			_, err := NewContext(&ContextOptions{MaxISA: isa})
			fails(t, err, ErrUnsupported, isa.String())
			missing++
		}
	}
	if missing == 0 {
		t.Error("a CPU with the tiers of two architectures")
	}
}

func TestClosed(t *testing.T) {
	x, w := Make[float32](1, 1, 2, 2), Make[float32](1, 1, 1, 1)
	ctx, err := NewContext(&ContextOptions{NumThreads: 2})
	ok(t, err)
	conv, err := NewConv2DPlan(ctx, w, Tensor[float32]{}, nil)
	ok(t, err)
	linear, err := NewLinearPlan(ctx, Make[float32](2, 2), Tensor[float32]{}, nil)
	ok(t, err)
	if !strings.Contains(conv.Describe(), ctx.ISA().String()) || !strings.Contains(linear.Describe(), ctx.ISA().String()) {
		t.Errorf("the plans are %q and %q on %v", conv.Describe(), linear.Describe(), ctx.ISA())
	}
	ok(t, ctx.Close())
	ok(t, ctx.Close())
	fails(t, ReLU(ctx, x, x), ErrInvalidArgument, "relu: the context is closed")
	fails(t, conv.Run(ctx, x, Tensor[float32]{}, x), ErrInvalidArgument, "conv2d: the context is closed")
	fails(t, second(NewConv2DPlan(ctx, w, Tensor[float32]{}, nil)), ErrInvalidArgument, "conv2d: the context is closed")
	fails(t, linear.Run(ctx, x, x), ErrInvalidArgument, "linear: the context is closed")
	if ctx.NumThreads() != 0 || ctx.ScratchBytes() != 0 || ctx.ISA() != ISADefault {
		t.Errorf("a closed context has %d threads on %v", ctx.NumThreads(), ctx.ISA())
	}
	// Plans outlive the context that made them.
	ok(t, conv.Run(nil, x, Tensor[float32]{}, Make[float32](1, 1, 2, 2)))
	ok(t, linear.Run(nil, x, Make[float32](1, 1, 2, 2)))
	for i := 0; i < 2; i++ {
		ok(t, conv.Close())
		ok(t, linear.Close())
	}
	fails(t, conv.Run(nil, x, Tensor[float32]{}, x), ErrInvalidArgument, "conv2d: the plan is closed")
	fails(t, linear.Run(nil, x, x), ErrInvalidArgument, "linear: the plan is closed")
	if _, _, err := conv.OutputShape(2, 2); err == nil || conv.Describe() != "" || linear.Describe() != "" {
		t.Error("a closed plan says what it is")
	}
	// Zero values were never open.
	fails(t, ReLU(new(Context), x, x), ErrInvalidArgument, "closed")
	ok(t, new(Conv2DPlan).Close())
}

// hasThread tells whether a thread of that name lives in this process.
func hasThread(t *testing.T, name string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/comm")
	ok(t, err)
	if len(files) == 0 {
		t.Fatal("the threads of the process cannot be seen")
	}
	return slices.ContainsFunc(files, func(file string) bool {
		comm, _ := os.ReadFile(file)
		return strings.TrimSpace(string(comm)) == name
	})
}

// The threads of a context end with its Close, or after the garbage collector has found a context
// that was forgotten.
func TestThreadsEnd(t *testing.T) {
	const last = "omma-39"
	start := func() *Context {
		ctx, err := NewContext(&ContextOptions{NumThreads: 40})
		ok(t, err)
		x := Make[float32](1 << 20)
		ok(t, GELU(ctx, x, x))
		if !hasThread(t, last) {
			t.Fatalf("there is no thread %s", last)
		}
		return ctx
	}
	ok(t, start().Close())
	if hasThread(t, last) {
		t.Error("Close leaves threads")
	}
	_ = start()
	for deadline := time.Now().Add(20 * time.Second); hasThread(t, last); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the forgotten context still has its threads")
		}
		runtime.GC()
	}
}

// One plan and one context, run by many goroutines on images of their own, until both are closed
// under them: each result is that of one goroutine alone, or the error that says so.
func TestGoroutinesShare(t *testing.T) {
	r := rand.New(rand.NewSource(10))
	ctx := newContext(t, ContextOptions{NumThreads: 2})
	weight := random(r, 8, 4, 3, 3)
	plan, err := NewConv2DPlan(ctx, weight, Tensor[float32]{}, &Conv2DOptions{Padding: Around(1)})
	ok(t, err)
	const goroutines = 16
	var work, warm sync.WaitGroup
	results := make([]error, goroutines)
	for g := 0; g < goroutines; g++ {
		x := random(r, 1, 4, 7+g, 9)
		want := Make[float32](1, 8, 7+g, 9)
		ok(t, plan.Run(nil, x, Tensor[float32]{}, want))
		g := g
		work.Add(1)
		warm.Add(1)
		go func() {
			defer work.Done()
			y := Make[float32](1, 8, 7+g, 9)
			for round := 0; ; round++ {
				if round == 30 {
					warm.Done()
				}
				if results[g] = plan.Run(ctx, x, Tensor[float32]{}, y); results[g] != nil {
					if round < 30 {
						t.Errorf("round %d: %v", round, results[g])
						warm.Done()
					}
					return
				}
				for i, value := range y.Data() {
					if value != want.Data()[i] {
						t.Errorf("goroutine %d, round %d: element %d is %v, alone it is %v", g, round, i, value, want.Data()[i])
						if round < 30 {
							warm.Done()
						}
						return
					}
				}
			}
		}()
	}
	warm.Wait()
	ok(t, plan.Close())
	ok(t, ctx.Close())
	work.Wait()
	for _, err := range results {
		fails(t, err, ErrInvalidArgument, "closed")
	}
}

// Failures of many goroutines at once: each gets the words of its own.
func TestGoroutinesFail(t *testing.T) {
	var work sync.WaitGroup
	for g := 1; g <= 8; g++ {
		g := g
		work.Add(1)
		go func() {
			defer work.Done()
			for round := 0; round < 200; round++ {
				err := ReLU(nil, Make[float32](g), Make[float32](g+1))
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("[%d]", g)) {
					t.Errorf("goroutine %d got %v", g, err)
					return
				}
			}
		}()
	}
	work.Wait()
}

// Every function of the header is called by this package.
func TestNoFunctionIsForgotten(t *testing.T) {
	header, err := os.ReadFile("../../include/omma.h")
	ok(t, err)
	var sources strings.Builder
	for _, name := range []string{"bridge.h", "context.go", "conv.go", "conv_transpose.go", "fold.go", "linear.go", "transformer.go", "warp.go", "errors.go"} {
		source, err := os.ReadFile(name)
		ok(t, err)
		sources.Write(source)
	}
	functions := regexp.MustCompile(`\bomma_[a-z0-9_]+\(`).FindAllString(string(header), -1)
	if len(functions) < 40 {
		t.Fatalf("only %d functions found in the header", len(functions))
	}
	for _, function := range functions {
		if function == "omma_init_(" || function == "omma_last_error(" {
			continue
		}
		unary := "OMMA_GO_UNARY(" + strings.TrimSuffix(strings.TrimPrefix(function, "omma_"), "(") + ")"
		if !strings.Contains(sources.String(), " "+function) && !strings.Contains(sources.String(), "."+function) &&
			!strings.Contains(sources.String(), "("+function) && !strings.Contains(sources.String(), unary) {
			t.Errorf("%s) is not called", function)
		}
	}
}
