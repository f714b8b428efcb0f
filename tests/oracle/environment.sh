#!/usr/bin/env bash
# Makes the oracle's Python environment: a virtual environment with the packages of
# requirements.txt, from PyPI alone, for a CPU. A minute or two and 4 GB.
#
#   tests/oracle/environment.sh [FOLDER]      (default: .oracle in the repository root)
#
# Does nothing where FOLDER already holds exactly these packages. The users of `spec` need none
# of this.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=${1:-$root/.oracle}
python=${PYTHON:-python3}
requirements=$here/requirements.txt
# The marker is written last, so a broken-off installation is made anew.
marker=$folder/requirements.sha256
wanted=$(sha256sum <"$requirements")

if [ -f "$marker" ] && [ "$(cat "$marker")" = "$wanted" ]; then
  echo "oracle: $folder is up to date"
  exit 0
fi

"$python" - <<'PYTHON'
import platform
import sys

if sys.version_info < (3, 11):
    sys.exit(f"oracle: Python 3.11 or newer is needed, this is {platform.python_version()}")
if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
    sys.exit("oracle: the pinned wheels are those of Linux on x86_64")
PYTHON

if [ -e "$folder" ] && [ ! -f "$folder/pyvenv.cfg" ]; then
  echo "oracle: $folder exists and is no virtual environment; it is left alone" >&2
  exit 1
fi

echo "oracle: making $folder (about 4 GB)"
"$python" -m venv --clear "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
  --only-binary :all: --requirement "$requirements"

"$folder/bin/python" - <<'PYTHON'
import tokenizers
import torch
import transformers
from transformers import LlamaForCausalLM  # imported lazily: this is the part that can fail

assert (torch.ones(2, 2) @ torch.ones(2, 2)).sum().item() == 8.0
print(
    f"oracle: torch {torch.__version__}, transformers {transformers.__version__}, "
    f"tokenizers {tokenizers.__version__}"
)
PYTHON
echo "$wanted" >"$marker"
echo "oracle: ready"
