#!/bin/sh
# benchmarks/precisions.sh TEXT OUT [DTYPE …]: what the element types of weights cost the bundled pair: the
# perplexity of either model on TEXT (a file or folder that `spec eval --data` reads), and acceptance at
# temperatures 0 and 1 with its paired difference to fp32. OUT becomes a folder with the reports; a table in
# Markdown goes to standard output. By default fp32, bf16, fp16 and int8; DOCUMENTS of TEXT are read (200).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
[ $# -ge 2 ] || { echo "precisions.sh: TEXT and OUT are missing" >&2; exit 2; }
text=$1
out=$2
shift 2
[ $# -gt 0 ] || set -- fp32 bf16 fp16 int8
mkdir -p "$out"
for dtype in "$@"; do
    for model in stentor2 spec-24m; do
        "$root/spec" eval --model $model --source bundled --suite perplexity --data "$text" --limit "${DOCUMENTS:-200}" \
            --dtype "$dtype" --engine native --threads 1 --json >"$out/$model-$dtype.json"
    done
    "$root/spec" bench --draft stentor2 --source bundled --target spec-24m --temperature 0,1 \
        --dtype "$dtype" --threads 1 --out "$out/pair-$dtype" >/dev/null
done
python3 - "$out" "$@" <<'PY'
import json, sys
out, dtypes = sys.argv[1], sys.argv[2:]

def cases(dtype):
    report = json.load(open(f"{out}/pair-{dtype}/report.json"))
    return {c["settings"]["temperature"]: c["overall"] for c in report["cases"] if c["settings"]["draft"]}

def perplexity(model, dtype):
    found = json.load(open(f"{out}/{model}-{dtype}.json"))
    stack = [found]
    while stack:
        own = stack.pop()
        if isinstance(own, dict):
            if "perplexity" in own:
                value = own["perplexity"]
                return value["value"] if isinstance(value, dict) else value
            stack += own.values()
        elif isinstance(own, list):
            stack += own
    sys.exit(f"{model}-{dtype}.json says no perplexity")

def interval(own):
    return f"{own['value']:.3f} [{own['low']:.3f}, {own['high']:.3f}]"

print("| weights | perplexity of stentor2 | of spec-24m | acceptance, T 0 | length, T 0 | acceptance, T 1 | length, T 1 |")
print("|---|---:|---:|---:|---:|---:|---:|")
for dtype in dtypes:
    own = cases(dtype)
    row = [dtype, *(f"{perplexity(model, dtype):.3f}" for model in ("stentor2", "spec-24m"))]
    for temperature in (0.0, 1.0):
        case = own[temperature]
        row += [interval(case["draft_acceptance_rate"]), interval(case["mean_acceptance_length"])]
    print("| " + " | ".join(row) + " |")
PY
for dtype in "$@"; do
    if [ "$dtype" != "$1" ]; then
        echo
        for case in "byte T 0" "byte T 1"; do
            echo "$dtype against $1, $case, prompt by prompt:"
            "$root/spec" compare "$out/pair-$1:$case" "$out/pair-$dtype:$case"
        done
    fi
done
