#!/bin/sh
# benchmarks/beside-python.sh SCRIPT [FLAGS]: runs a script of this folder in the oracle's Python environment, beside
# the program as it is built now. SPEC_ORACLE_ENV names the environment's folder (default: .oracle), and it is made
# there where it is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
environment=${SPEC_ORACLE_ENV:-$root/.oracle}
if [ ! -x "$environment/bin/python" ]; then
    "$root/tests/oracle/environment.sh" "$environment" >&2
fi
"$root/spec" --setup-only >&2
script=$1
shift
exec "$environment/bin/python" "$here/$script" "$@"
