#!/bin/sh
# benchmarks/gpu-decode.sh MODEL [FLAGS]: µs a draft token on a GPU, beside transformers eager and
# compiled, in one run (see gpu_decode.py). A GPU is needed. The peer's environment is the oracle's:
# SPEC_ORACLE_ENV names its folder (default: .oracle), and it is made there where it is missing; the
# compiled peer needs the package triton in it, and is left out without.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
environment=${SPEC_ORACLE_ENV:-$root/.oracle}
if [ ! -x "$environment/bin/python" ]; then
    "$root/tests/oracle/environment.sh" "$environment" >&2
fi
"$root/spec" --setup-only >&2
(cd "$root" && cargo build --release --locked -p spec-draft --example gpu_decode) >&2
exec "$environment/bin/python" "$here/gpu_decode.py" "$@"
