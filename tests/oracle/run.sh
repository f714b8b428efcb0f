#!/usr/bin/env bash
# `make oracle`: everything that needs transformers or lm-eval. Some tens of minutes, and 4 GB of
# Python packages the first time; the largest models take 12 GB of memory, and as much of TMPDIR.
#
#   1. the environment (environment.sh)
#   2. the fixtures made anew, and compared with the committed ones
#   3. the tests of losslessness and of sampling with 100,000 draws a method and setting, the mutants
#      that they must find, and greedy ids of every method against plain decoding, 50 prompts on each
#      of ten pairs
#   4. `spec bench` against transformers' generate
#   5. `spec eval` against lm-evaluation-harness, sentence by sentence
#   6. every architecture and published shape against transformers, with weights by a formula; the
#      arguments of this script go there (--quick, --only NAME, --device cuda, --out FILE, ...)
#
# Runs all six and exits with 1 where any of them failed. SHARED names the folder with weights and
# tokenizers (default: ../shared), SPEC_ORACLE_ENV that of the environment (default: .oracle).
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root" || exit 1
shared=${SHARED:-$root/../shared}
environment=${SPEC_ORACLE_ENV:-$root/.oracle}
python=$environment/bin/python
failed=()

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
    "$python" "$here/parquet_fixture.py" --check
  status=$?
  rm -rf "$fresh"
  return $status
}

rust_tests() {
  SPEC_ORACLE=1 OMP_NUM_THREADS=1 \
    cargo test --release -p spec-tests --locked --test lossless --test mutations --test enumeration \
    --test pairs --test parity --test architectures --test draws --test training
}

decoding() {
  cargo build --release --locked --bin spec &&
    "$python" "$here/compare_greedy.py" --shared "$shared" --binary build/release/spec
}

evaluation() {
  cargo build --release --locked --bin spec &&
    "$python" "$here/compare_eval.py" --shared "$shared" --binary build/release/spec
}

architectures() {
  cargo build --release --locked -p spec-tests --bin logits &&
    "$python" "$here/compare_architectures.py" --binary build/release/logits "$@"
}

if [ ! -d "$shared/weights" ]; then
  echo "oracle: $shared holds no weights; name the folder with SHARED=..." >&2
  exit 1
fi
step "environment" "$here/environment.sh" "$environment" || exit 1
step "fixtures" fixtures
step "Rust tests" rust_tests
step "greedy decoding" decoding
step "evaluation" evaluation
step "architectures" architectures "$@"

if [ ${#failed[@]} -gt 0 ]; then
  printf 'oracle: failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "oracle: all passed"
