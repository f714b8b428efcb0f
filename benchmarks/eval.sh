#!/bin/sh
# benchmarks/eval.sh [FLAGS]: the speed of `spec eval` on the CPU beside lm-evaluation-harness, in one run;
# `--help` lists the flags. The harness's Python environment is the oracle's: SPEC_ORACLE_ENV names its folder
# (default: .oracle), and it is made there where it is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/beside-python.sh" eval.py "$@"
