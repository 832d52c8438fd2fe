# The commands that people type; `make` alone lists them.

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
CARGO      ?= cargo

export CARGO

TARGET  := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release
comma   := ,

.PHONY: help build demo gallery test bench header install clean

help:
	@echo 'make build      libomma.so, libomma.a and the Rust library, in $(RELEASE)'
	@echo 'make demo       the C++ example: finds the faces in a picture'
	@echo 'make gallery    docs/gallery.jpg: image operators on a photo, before and after'
	@echo 'make test       every check on every instruction set; emulates those this CPU lacks'
	@echo 'make bench      omma beside its peers, on this machine; ONLY=nms,resize THREADS=1 PEERS=all QUICK=1 PUBLISH=1'
	@echo 'make header     include/omma.h again, after a change of src/capi'
	@echo 'make install    PREFIX=$(PREFIX) LIBDIR=$(LIBDIR) INCLUDEDIR=$(INCLUDEDIR) DESTDIR=$(DESTDIR)'
	@echo 'make clean      removes what was built'

# The links are those that the loader and the linker look for; cargo does not make them.
build:
	$(CARGO) build --release --locked
	@ln -sf libomma.so $(RELEASE)/libomma.so.0

demo: build
	$(MAKE) -C bindings/cpp/examples/detect_faces run

gallery:
	@benches/peers/install
	@python3 bindings/cpp/examples/detect_faces/fetch.py target/demo
	@target/bench/venv/bin/python tools/gallery/gallery.py target/demo/astronaut.png docs/gallery.jpg

test:
	@tools/test

# Other programs on the machine spoil it. What each variable takes is in benches/peers/README.md.
bench:
	@benches/peers/install $(filter all,$(PEERS))
	@benches/peers/run --only '$(ONLY)' --threads '$(or $(THREADS),1$(comma)2)' --peers '$(PEERS)' \
		$(if $(QUICK),--quick) $(if $(PUBLISH),--publish docs)

header:
	$(CARGO) run --quiet --locked --package omma-header

# Installing what is built needs no compiler, so that it can run as another user.
install:
	@test -f $(RELEASE)/libomma.so || $(MAKE) build
	@tools/install/install '$(RELEASE)' '$(DESTDIR)' '$(PREFIX)' '$(LIBDIR)' '$(INCLUDEDIR)'

clean:
	$(CARGO) clean
