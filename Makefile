# Everything is built with the release profile, in one folder: the program, the tests and clippy
# share libtorch's bindings, which take minutes to compile.

FLAGS := --release $(if $(wildcard Cargo.lock),--locked)

# An empty LIBTORCH is none.
ifeq ($(LIBTORCH),)
unexport LIBTORCH
endif

.PHONY: help build test check aarch64 fmt clippy doc deny notebook browser oracle gpu bench-train bench-peers bench-speed bench-eval bench-int8 clean libtorch nvrtc

help:
	@echo 'make build    set up libtorch and build what ./spec runs'
	@echo 'make test     set up libtorch, build and run all tests; lists what was skipped, and why'
	@echo 'make check    fmt, clippy, test, doc, deny: what must pass before a change is proposed'
	@echo 'make aarch64  compile the models and the loop for 64-bit Arm (minutes; runs nothing)'
	@echo 'make notebook execute the notebook on a small run (experiments/notebooks/run.sh)'
	@echo 'make browser  look at a report and use the demo in headless Chromium (tests/browser/run.sh)'
	@echo 'make oracle   the long tests of losslessness, and the reference implementations (tests/oracle/run.sh)'
	@echo 'make gpu      what needs a GPU: models, decoding and training on it (tests/gpu.sh)'
	@echo 'make bench-peers  speculative decoding beside transformers (benchmarks/peers.sh)'
	@echo 'make bench-train  tokens a second of training beside PyTorch (benchmarks/train.sh)'
	@echo 'make bench-speed  tokens a second on the CPU beside llama.cpp and PyTorch (benchmarks/speed.sh)'
	@echo 'make bench-eval   questions a second on the CPU beside lm-evaluation-harness (benchmarks/eval.sh)'
	@echo 'make bench-int8   what dynamic int8 costs and brings in onnxruntime and PyTorch (benchmarks/int8.sh)'
	@echo 'make clean    remove what was built (libtorch stays in .venv)'

build:
	@./spec --setup-only

libtorch:
	@tools/setup.sh

nvrtc:
	@tools/nvrtc.sh

test: libtorch nvrtc
	@tools/test.sh $(FLAGS) --workspace --no-fail-fast

check: fmt clippy test doc deny

fmt:
	cargo fmt --all --check

clippy: libtorch
	cargo clippy $(FLAGS) --workspace --all-targets --keep-going -- -D warnings

doc: libtorch
	RUSTDOCFLAGS='-D warnings' cargo doc $(FLAGS) --workspace --no-deps

deny:
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; \
	else echo 'skipped: cargo-deny is not installed (cargo install --locked cargo-deny)'; fi

# Needs the standard library of the target (rustup target add) and a C++ compiler for it
# (Debian: g++-aarch64-linux-gnu). Nothing is linked.
aarch64: libtorch
	cargo check $(FLAGS) -p spec-target --target aarch64-unknown-linux-gnu --target-dir build/aarch64

# RUN: a run of your own; COPY: where the executed notebook is left.
notebook: build
	@experiments/notebooks/run.sh "$(RUN)" "$(COPY)"

browser: build
	@tests/browser/run.sh

oracle: build
	@tests/oracle/run.sh

gpu: build
	@tests/gpu.sh

# FLAGS_PEERS: see benchmarks/peers.sh --help.
bench-peers: build
	@benchmarks/peers.sh $(FLAGS_PEERS)

# FLAGS_TRAIN: see benchmarks/train.sh --help.
bench-train: build
	@benchmarks/train.sh $(FLAGS_TRAIN)

# FLAGS_SPEED: see benchmarks/speed.sh --help.
bench-speed: build
	@benchmarks/speed.sh $(FLAGS_SPEED)

# FLAGS_EVAL: see benchmarks/eval.sh --help.
bench-eval: build
	@benchmarks/eval.sh $(FLAGS_EVAL)

# FLAGS_INT8: --model FOLDER --data TEXT, and see benchmarks/int8.sh --help.
bench-int8: build
	@benchmarks/int8.sh $(FLAGS_INT8)

clean:
	cargo clean
