#!/bin/sh
# benchmarks/train.sh [FLAGS]: tokens a second of `spec train` beside transformers and PyTorch, side by
# side; `--help` lists the flags. The peer's environment is the oracle's: SPEC_ORACLE_ENV names its
# folder (default: .oracle), and it is made there where it is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/beside-python.sh" train.py "$@"
