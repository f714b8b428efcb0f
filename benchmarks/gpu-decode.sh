#!/bin/sh
# benchmarks/gpu-decode.sh MODEL [FLAGS]: µs a draft token on a GPU, beside transformers eager and
# compiled, in one run (see gpu_decode.py). A GPU is needed. The peer's environment is the oracle's:
# SPEC_ORACLE_ENV names its folder (default: .oracle), and it is made there where it is missing; the
# compiled peer needs the package triton in it, and is left out without.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/../spec" --setup-only >&2
(cd "$here/.." && cargo build --release --locked -p spec-draft --example gpu_decode) >&2
exec "$here/beside-python.sh" gpu_decode.py "$@"
