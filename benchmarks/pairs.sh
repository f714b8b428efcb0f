#!/bin/sh
# benchmarks/pairs.sh OUT [SHARED]: every real pair of small trained models, every method, at
# temperature 0 and 1. One folder a run below OUT, with its report and raw records. SHARED is the
# folder of test data, by default ../shared, counted from the checkout. Prompts: GSM8K questions
# followed by an empty line, as the two models were trained; the story openings of
# experiments/prompts, which stop in mid-sentence.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
shared=${2:-../shared}
weights=$shared/weights
stories=experiments/prompts/stories.jsonl
gsm=$out/gsm8k.jsonl
python3 - "$shared/eval/gsm8k/test.jsonl" >"$gsm" <<'PY'
import json, sys
for number, line in enumerate(open(sys.argv[1], encoding="utf-8")):
    if number < 100:
        question = json.loads(line)["question"]
        print(json.dumps({"id": str(number), "category": "gsm8k", "prompt": question + "\n\n"}))
PY

# run NAME DRAFT TARGET PROMPTS METHOD TEMPERATURE [FLAGS]
run() {
    name=$1 draft=$2 target=$3 prompts=$4 method=$5 temperature=$6
    shift 6
    ./spec bench --draft "$weights/$draft" --target "$weights/$target" --prompts "$prompts" \
        --method "$method" --temperature "$temperature" --limit 36 --max-new 64 --seed 0 \
        --out "$out/$name" "$@" >"$out/$name.txt"
    echo "$name: done" >&2
}

for temperature in 0 1; do
    for method in slem tli; do
        run "gsm-$method-t$temperature" gsm-draft-stentor2 gsm-target-llama3 "$gsm" \
            $method $temperature
        for target in tinystories-656k stories260k babyllama-tok105; do
            for draft in tinystories-656k stories260k babyllama-tok105; do
                [ $draft != $target ] || continue
                run "$draft-to-$target-$method-t$temperature" $draft $target "$stories" \
                    $method $temperature
            done
        done
    done
    run "self-stories260k-identity-t$temperature" stories260k stories260k "$stories" \
        identity $temperature
done
run "spec-bench-stories260k-to-tinystories-656k-slem-t0" stories260k tinystories-656k \
    "$shared/eval/spec-bench/question.jsonl" slem 0
rm "$gsm"
