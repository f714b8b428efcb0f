#!/bin/sh
# benchmarks/traces.sh OUT: a trace of 100 texts and drafts measured against it, beside the same with the
# target at hand; two story models with vocabularies of 2,048 and 105 tokens, temperature 1, 32 new tokens.
# SHARED names the folder of test data (default: ../shared), SPEC the program (default: ./spec). Minutes.
set -eu
cd "$(dirname "$0")/.."
out=$1
weights=${SHARED:-../shared}/weights
spec=${SPEC:-./spec}
mkdir -p "$out"
prompts=experiments/prompts/stories.jsonl
draft=$weights/tinystories-656k target=$weights/babyllama-tok105
"$spec" trace record --target "$target" --prompts $prompts --limit 100 --max-new 32 --temperature 1 \
    --threads 1 --out "$out/trace.jsonl.zst"
for method in slem tli byte; do
    begin=$(date +%s)
    "$spec" bench --draft "$draft" --trace "$out/trace.jsonl.zst" --method $method --threads 1 \
        --out "$out/replay-$method" >"$out/replay-$method.txt"
    echo "$method: replayed in $(($(date +%s) - begin)) s" >&2
done
"$spec" bench --draft "$draft" --target "$target" --prompts $prompts --limit 100 --max-new 32 \
    --temperature 1 --siblings 1 --method slem,tli,byte --threads 1 --out "$out/live" >"$out/live.txt"
