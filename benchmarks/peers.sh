#!/bin/sh
# benchmarks/peers.sh [FLAGS]: speculative decoding by spec beside transformers' assisted generation, in
# turns; `--help` lists the flags. The peer's environment is the oracle's: SPEC_ORACLE_ENV names its
# folder (default: .oracle), and it is made there where it is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
environment=${SPEC_ORACLE_ENV:-$root/.oracle}
if [ ! -x "$environment/bin/python" ]; then
    "$root/tests/oracle/environment.sh" "$environment" >&2
fi
"$root/spec" --setup-only >&2
exec "$environment/bin/python" "$here/peers.py" "$@"
