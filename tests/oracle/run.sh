#!/usr/bin/env bash
# `make oracle`: everything that needs transformers, lm-eval or onnxruntime. Some tens of minutes, and
# 4 GB of Python packages the first time; the largest models take 12 GB of memory, and as much of TMPDIR.
#
#   1. the environment (environment.sh)
#   2. the fixtures made anew, and compared with the committed ones
#   3. the tests of losslessness and of sampling with 100,000 draws a method and setting, and the mutants
#      that they must find
#   4. greedy ids of every method against plain decoding, 50 prompts on each of ten pairs, and the other
#      Rust tests that read fixtures
#   5. `spec bench` against transformers' generate
#   6. `spec eval` against lm-evaluation-harness, sentence by sentence and question by question
#   7. GGUF and safetensors as they are exported, and GGUF and llama2.c as they are imported, against
#      llama.cpp and transformers; llama.cpp is built once, for some minutes, where `make bench-speed` has
#      it (LLAMA names another folder)
#   8. every architecture and published shape against transformers, with weights by a formula; the
#      arguments of this script go there (--quick, --only NAME, --device cuda, --out FILE, ...)
#   9. `spec export --format onnx` in onnxruntime against transformers
#
# Runs all of them and exits with 1 where any failed. SHARED names the folder with weights and
# tokenizers (default: ../shared), SPEC_ORACLE_ENV that of the environment (default: .oracle), and
# STEPS those to run, of fixtures, losslessness, parity, decoding, evaluation, gguf,
# architectures and onnx:
# `make oracle STEPS=losslessness` needs no Python and no weights.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root" || exit 1
shared=${SHARED:-$root/../shared}
environment=${SPEC_ORACLE_ENV:-$root/.oracle}
python=$environment/bin/python
failed=()

all=(fixtures losslessness parity decoding evaluation gguf architectures onnx)
read -ra chosen <<<"${STEPS:-${all[*]}}"

# Whether one of these steps is to be run.
wanted() {
  local name
  for name in "$@"; do
    [[ " ${chosen[*]} " == *" $name "* ]] && return 0
  done
  return 1
}

step() {
  local name=$1 started=$SECONDS
  shift
  echo "==> $name"
  if "$@"; then
    echo "==> $name: passed ($((SECONDS - started)) s)"
  else
    echo "==> $name: FAILED ($((SECONDS - started)) s)" >&2
    failed+=("$name")
    return 1
  fi
}

fixtures() {
  local fresh status
  fresh=$(mktemp -d) || return 1
  "$python" "$here/make_fixtures.py" --shared "$shared" --out "$fresh" &&
    "$python" "$here/compare_fixtures.py" "$fresh" &&
    "$python" "$here/parquet_fixture.py" --check &&
    "$python" "$here/gguf_fixture.py" --check
  status=$?
  rm -rf "$fresh"
  return $status
}

rust_tests() {
  SPEC_ORACLE=1 OMP_NUM_THREADS=1 cargo test --release -p spec-tests --locked --no-fail-fast "$@"
}

losslessness() {
  rust_tests --test lossless --test mutations --test enumeration --test draws
}

parity() {
  rust_tests --test pairs --test parity --test architectures --test training
}

decoding() {
  cargo build --release --locked --bin spec &&
    "$python" "$here/compare_greedy.py" --shared "$shared" --binary build/release/spec
}

evaluation() {
  cargo build --release --locked --bin spec &&
    "$python" "$here/compare_eval.py" --shared "$shared" --binary build/release/spec &&
    "$python" "$here/compare_suites.py" --shared "$shared" --binary build/release/spec
}

gguf() {
  cargo build --release --locked --bin spec &&
    "$python" "$here/compare_gguf.py" --shared "$shared" --binary build/release/spec ${LLAMA:+--llama "$LLAMA"}
}

architectures() {
  cargo build --release --locked -p spec-tests --bin logits &&
    "$python" "$here/compare_architectures.py" --binary build/release/logits "$@"
}

onnx() {
  cargo build --release --locked --bin spec &&
    "$python" "$here/compare_onnx.py" --shared "$shared" --binary build/release/spec
}

for name in "${chosen[@]}"; do
  if [[ " ${all[*]} " != *" $name "* ]]; then
    echo "oracle: no step is called $name; STEPS names some of: ${all[*]}" >&2
    exit 2
  fi
done
if wanted fixtures parity decoding evaluation gguf onnx && [ ! -d "$shared/weights" ]; then
  echo "oracle: $shared holds no weights; name the folder with SHARED=..." >&2
  exit 1
fi
if wanted fixtures decoding evaluation gguf architectures onnx; then
  step environment "$here/environment.sh" "$environment" || exit 1
fi
for name in "${all[@]}"; do
  wanted "$name" || continue
  step "$name" "$name" "$@"
done

if [ ${#failed[@]} -gt 0 ]; then
  printf 'oracle: failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "oracle: all passed"
