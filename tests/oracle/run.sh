#!/usr/bin/env bash
# `make oracle`: everything that needs transformers. Minutes, and 4 GB of Python packages the first
# time.
#
#   1. the environment (environment.sh)
#   2. the fixtures made anew, and compared with the committed ones
#   3. the tests of losslessness with 100,000 draws a method and setting
#   4. `spec bench` against transformers' generate
#
# Runs all four and exits with 1 where any of them failed. SHARED names the folder with weights and
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
    "$python" "$here/compare_fixtures.py" "$fresh"
  status=$?
  rm -rf "$fresh"
  return $status
}

rust_tests() {
  SPEC_ORACLE=1 OMP_NUM_THREADS=1 \
    cargo test --release -p spec-tests --locked --test lossless --test parity
}

decoding() {
  cargo build --release --locked --bin spec &&
    "$python" "$here/compare_greedy.py" --shared "$shared" --binary build/release/spec
}

if [ ! -d "$shared/weights" ]; then
  echo "oracle: $shared holds no weights; name the folder with SHARED=..." >&2
  exit 1
fi
step "environment" "$here/environment.sh" "$environment" || exit 1
step "fixtures" fixtures
step "Rust tests" rust_tests
step "greedy decoding" decoding

if [ ${#failed[@]} -gt 0 ]; then
  printf 'oracle: failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "oracle: all passed"
