#!/bin/sh
# benchmarks/pairs.sh OUT [GROUP...]: every real pair of small trained models, every method for two
# vocabularies, at temperature 0 and 1, at most 16 candidates a pass for each, chains as long as that. One
# folder a run below OUT, with its report and raw records; `benchmarks/table.py OUT` prints the table.
#
# GROUPs, all by default:
#   gsm      gsm-draft-stentor2 for gsm-target-llama3: 100 questions of GSM8K and an empty line, as the two
#            models were trained; 32 new tokens
#   stories  the six pairs of three story models: the 100 openings of experiments/prompts/stories.jsonl,
#            which stop in mid-sentence; 32 new tokens
#   bundled  stentor2 for spec-24m as they come with the program: the project's 36 prompts and 64 of the
#            openings; 20 new tokens
# SHARED names the folder of test data (default: ../shared, counted from the checkout), SPEC the program
# (default: ./spec).
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
shared=${SHARED:-../shared}
spec=${SPEC:-./spec}
weights=$shared/weights
prompts=experiments/prompts
groups=${*:-gsm stories bundled}
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# run NAME METHOD TEMPERATURE FLAGS...
run() {
    name=$1-$2-t$3
    method=$2 temperature=$3
    shift 3
    if grep -qs '"complete": true' "$out/$name/report.json"; then
        return
    fi
    if [ "$method" != ngram ]; then
        set -- --method "$method" "$@"
    fi
    "$spec" bench --temperature "$temperature" --gamma 16 --tree-nodes 16 \
        --limit 100 --threads 1 --seed 0 --out "$out/$name" "$@" >"$out/$name.txt"
    echo "$name: done" >&2
}

# all NAME FLAGS...: all methods at both temperatures.
all() {
    pair=$1
    shift
    for temperature in 0 1; do
        for method in slem tli tree byte; do
            run "$pair" $method $temperature "$@"
        done
    done
}

for group in $groups; do
    case $group in
    gsm)
        python3 - "$shared/eval/gsm8k/test.jsonl" >"$work/gsm8k.jsonl" <<'PY'
import json, sys
for number, line in enumerate(open(sys.argv[1], encoding="utf-8")):
    if number < 100:
        question = json.loads(line)["question"]
        print(json.dumps({"id": str(number), "category": "gsm8k", "prompt": question + "\n\n"}))
PY
        all gsm --draft "$weights/gsm-draft-stentor2" --target "$weights/gsm-target-llama3" \
            --prompts "$work/gsm8k.jsonl" --max-new 32
        ;;
    stories)
        for target in tinystories-656k stories260k babyllama-tok105; do
            for draft in tinystories-656k stories260k babyllama-tok105; do
                [ $draft != $target ] || continue
                all "$draft-to-$target" --draft "$weights/$draft" --target "$weights/$target" \
                    --prompts "$prompts/stories.jsonl" --max-new 32
            done
        done
        ;;
    bundled)
        { cat "$prompts/default.jsonl" && head -n 64 "$prompts/stories.jsonl"; } >"$work/own.jsonl"
        all bundled --draft stentor2 --target spec-24m --source bundled \
            --prompts "$work/own.jsonl" --max-new 20
        for temperature in 0 1; do
            run bundled ngram $temperature --draft ngram --target spec-24m --source bundled \
                --prompts "$work/own.jsonl" --max-new 20
        done
        ;;
    *)
        echo "unknown group $group; groups are gsm, stories and bundled" >&2
        exit 2
        ;;
    esac
done
