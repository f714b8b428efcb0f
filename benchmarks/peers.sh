#!/bin/sh
# benchmarks/peers.sh [FLAGS]: speculative decoding by spec beside transformers' assisted generation, in
# turns; `--help` lists the flags. The peer's environment is the oracle's: SPEC_ORACLE_ENV names its
# folder (default: .oracle), and it is made there where it is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/beside-python.sh" peers.py "$@"
