#!/bin/sh
# benchmarks/int8.sh --model FOLDER --data FILE [FLAGS]: what dynamic int8 costs and brings: the graph that
# `spec export --format onnx --dtype int8` writes beside that of fp32, both in onnxruntime, and beside
# transformers with and without torch's own dynamic quantisation, in one run; `--help` lists the flags. The
# Python environment is the oracle's: SPEC_ORACLE_ENV names its folder (default: .oracle), and it is made
# there where it is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/beside-python.sh" int8.py "$@"
