#!/usr/bin/env bash
# Makes a page of a small run and looks at it in headless Chromium (report.py). Where CI is set and there is
# no Chromium or no font (without one Chromium draws no text, and dies of it), they are installed with apt-get
# first; elsewhere the look is skipped, and says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ -n "${CI:-}" ] && command -v apt-get >/dev/null &&
    { ! command -v chromium >/dev/null || [ -z "$(fc-list 2>/dev/null)" ]; }; then
    { apt-get update -q && apt-get install -qy --no-install-recommends chromium fontconfig fonts-dejavu-core; } \
        >/dev/null 2>&1 || echo "browser: Chromium and a font could not be installed"
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
./spec bench --draft stentor2,ngram --source bundled --target spec-24m --limit 6 --max-new 12 \
    --temperature 0,1 --threads 1 --out "$folder/run" --export "$folder/sweep.html" >/dev/null
./spec report "$folder/run" "$folder/run" --html "$folder/runs.html" >/dev/null
"${PYTHON:-python3}" tests/browser/report.py "$folder/sweep.html" "$folder/runs.html" "$@"
