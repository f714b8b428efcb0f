#!/bin/sh
# benchmarks/speed.sh [FLAGS]: the speed of spec on the CPU beside llama.cpp, transformers and PyTorch, in
# one run; `--help` lists the flags. The peers' Python environment is the oracle's: SPEC_ORACLE_ENV names its
# folder (default: .oracle), and it is made there where it is missing. llama.cpp is built once in the folder
# that --cache names (default: spec-bench-speed in the user's cache).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/beside-python.sh" speed.py "$@"
