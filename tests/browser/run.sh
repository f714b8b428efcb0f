#!/usr/bin/env bash
# Makes a page of a small run and looks at it in headless Chromium (report.py), and uses the page of spec demo
# there (demo.py). Where CI is set and there is no Chromium or no font (without one Chromium draws no text, and
# dies of it), they are installed with apt-get first; elsewhere the look is skipped, and says so.
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

# Port 0 is a free one, and the first line says which.
./spec demo --draft stentor2 --target spec-24m --source bundled --port 0 --threads 1 >"$folder/address" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
until [ -s "$folder/address" ]; do
    kill -0 "$server"
    sleep 0.2
done
"${PYTHON:-python3}" tests/browser/demo.py "$(head -n 1 "$folder/address")" "$@"
