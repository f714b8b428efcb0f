#!/bin/sh
# benchmarks/bundled.sh OUT [FLAGS]: the bundled pair by every method for two vocabularies, at temperature
# 0 and 1, on the project's own 36 prompts. One folder a run below OUT, with its report and raw records;
# `benchmarks/table.py OUT` prints the table. FLAGS go to spec bench, such as --device cuda.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
for temperature in 0 1; do
    for method in slem tli tree byte ngram; do
        name=bundled-$method-t$temperature
        draft="--draft stentor2 --method $method"
        [ $method != ngram ] || draft="--draft ngram"
        ./spec bench $draft --target spec-24m --source bundled --temperature $temperature \
            --max-new 32 --seed 0 --out "$out/$name" "$@" >"$out/$name.txt"
        echo "$name: done" >&2
    done
done
