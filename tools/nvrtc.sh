#!/bin/sh
# Puts NVRTC, the compiler library of CUDA, into build/nvrtc, once, for the test that compiles the
# kernels for GPUs: 90 MB to fetch. Not where libtorch was set up with CUDA, which brought it, and
# not on other systems than Linux. What it cannot do it says in one line; the test is skipped then.
#
# Environment: SPEC_NVRTC  a folder with libnvrtc.so.13 of your own; then nothing is fetched
#              PIP_...     pip's own settings (PIP_INDEX_URL, PIP_CERT, ...)
set -eu
wheel=nvidia-cuda-nvrtc==13.0.88
root=$(cd -P "$(dirname "$0")/.." && pwd)
folder=$root/build/nvrtc
[ -z "${SPEC_NVRTC:-}" ] && [ "$(uname -s)" = Linux ] || exit 0
for lib in "$root"/.venv/site-*/nvidia/cu13/lib/libnvrtc.so.13 "$folder/ready"; do
    [ ! -e "$lib" ] || exit 0
done
rm -rf "$folder"
mkdir -p "$folder/wheels"
fetch() {
    if python3 -m pip --version >/dev/null 2>&1; then
        python3 -m pip download --disable-pip-version-check --no-input --no-cache-dir --no-deps \
            --only-binary=:all: --python-version 3.12 --dest "$folder/wheels" "$wheel"
    else
        python3 "$root/tools/fetch_libtorch.py" download "$wheel" "$folder/wheels"
    fi
}

if fetch >"$folder/log" 2>&1 &&
    python3 "$root/tools/fetch_libtorch.py" unpack "$wheel" "$folder/wheels" "$folder" \
        >>"$folder/log" 2>&1
then
    rm -rf "$folder/wheels"
    : >"$folder/ready"
else
    echo "nvrtc.sh: $wheel could not be fetched: $(tail -n 1 "$folder/log")" >&2
fi
