# The front door. CMake with Ninja does the work; every target installs the Debian packages that it misses.
PREFIX ?= /usr/local
M ?=
P ?= Once upon a time
N ?= 120
RUNS ?= 1000000

.PHONY: all run test asan ubsan tsan coverage arm64 arm64-test fuzz fuzz-run install deb static lint results clean help setup

all: build/build.ninja  ## build the program: build/slm
	@cmake --build build

setup:
	@sh tools/setup.sh

build/build.ninja: CMakePresets.json | setup
	@cmake --preset release > build-configure.log 2>&1 || { cat build-configure.log; exit 1; }
	@rm -f build-configure.log

run: all  ## run a model, without M the one that comes with slm: make run M=model.gguf P="Once upon a time" N=120
	@build/slm run $(if $(M),-m "$(M)") -n $(N) -p "$(P)"

test: all  ## every test
	@ctest --test-dir build --output-on-failure -j 2

asan ubsan tsan: setup  ## the tests under a sanitizer
	@cmake --preset $@ > /dev/null
	@cmake --build build/$@
	@ctest --test-dir build/$@ --output-on-failure -j 2

coverage: setup  ## the tests, then lines covered per file
	@cmake --preset coverage > /dev/null
	@cmake --build build/coverage
	@ctest --test-dir build/coverage --output-on-failure -j 2
	@sh tools/coverage.sh build/coverage

arm64: setup  ## build for 64-bit ARM with the cross compiler: build/arm64/slm
	@sh tools/setup.sh --arm64
	@sh tools/foreign_root.sh arm64 build/arm64-root
	@cmake --preset arm64 > /dev/null
	@cmake --build build/arm64

arm64-test: arm64  ## the kernels, golden logits and a model there, under qemu
	@ctest --test-dir build/arm64 --output-on-failure -j 2 -R '^(ops|emulated)\.|^golden\.(logits|stories)|^cli\.(measure|panels)'

fuzz: setup  ## build the fuzz targets (clang)
	@sh tools/setup.sh --dev
	@cmake --preset fuzz > /dev/null
	@cmake --build build/fuzz

fuzz-run: fuzz  ## run every fuzz target RUNS times
	@sh tools/fuzz.sh build/fuzz $(RUNS)

install: all  ## program, header, library, manual pages, completions; PREFIX, DESTDIR
	@cmake --install build --prefix "$(PREFIX)"

deb: all  ## the same as a Debian package: build/slm_VERSION_ARCH.deb
	@sh tools/setup.sh --deb
	@sh tools/deb.sh build build

static:  ## which libraries link statically here; CC=musl-gcc asks it of musl
	@sh tools/static.sh

lint:  ## include direction, sizes, banned functions
	@python3 tools/check_includes.py .
	@python3 tools/check_sizes.py .

results: all  ## run what docs/results.md reports, print its figures
	@bash bench/results.sh

clean:  ## remove everything built
	@rm -rf build

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile
