#!/usr/bin/env bash
# Executes acceptance.ipynb and fails where a cell does; checks the run's files against `spec schema`.
#
#   experiments/notebooks/run.sh [RUN [COPY]]
#
# RUN is a run of `spec bench` with two cases or more; without it a small one is made with the bundled
# pair. COPY is where the executed notebook is left. The packages of requirements.txt come from PyPI, once,
# into .venv-notebook in the repository root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
run=${1:+$(realpath "$1")}
copy=${2:+$(realpath "$2")}
cd "$root"

environment=$root/.venv-notebook
# The marker is written last, so a broken-off installation is made anew.
marker=$environment/requirements.sha256
wanted=$(sha256sum <"$here/requirements.txt")
if [ ! -f "$marker" ] || [ "$(cat "$marker")" != "$wanted" ]; then
    echo "notebook: making $environment"
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "notebook: Python 3.11 or newer is needed; name one in PYTHON" >&2
        exit 1
    }
    "${PYTHON:-python3}" -m venv --clear "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement "$here/requirements.txt"
    echo "$wanted" >"$marker"
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if [ -z "$run" ]; then
    run=$folder/run
    ./spec bench --draft stentor2,ngram --source bundled --target spec-24m --limit 6 --max-new 12 \
        --threads 1 --out "$run" >/dev/null
fi
copy=${copy:-$folder/executed.ipynb}

"$environment/bin/python" "$here/schemas.py" "$root/spec" "$run"
SPEC=$root/spec SPEC_RUN=$run "$environment/bin/python" "$here/execute.py" \
    "$here/acceptance.ipynb" "$copy"
echo "notebook: every cell ran"
