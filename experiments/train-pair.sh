#!/bin/sh
# experiments/train-pair.sh OUT [--device cuda|cpu] [--corpus DIR] [--distill STEPS] [--steps N]: trains
# the pair that comes with this program, from text to files that can be shipped. Both vocabularies, the
# draft of Stentor2's shape, the target spec-24m, and then
#
#   OUT/bundled/{stentor2,spec-24m}   int8 weights in files of at most 15 MB, ready to ship
#   OUT/bf16/{stentor2,spec-24m}      the same as ordinary folders
#   OUT/perplexity/*.json             of both, in bf16 and in int8, on the validation text; ends with 1
#                                     where int8 is more than 0.5 % worse
#   OUT/runs/*                        recipes, metrics, curves, checkpoints
#
# The same line again goes on from where it was interrupted. On a GPU (the default) the draft reads
# the 480M tokens of Stentor2's card, the target 600M, by the recipes stentor2 and spec-24m; with
# --device cpu the recipes are stentor2-cpu and spec-24m-cpu, hours on two cores. DIR is the folder of
# train-*.jsonl.zst and val.jsonl.zst, by default ../shared/corpus, counted from the checkout.
# --distill trains the draft on towards the target at the end. --steps shortens both trainings, to try
# the script out. To ship a pair, copy OUT/bundled over experiments/bundled.
set -eu
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2; exit 2; }
[ $# -gt 0 ] || usage
case $1 in -*) usage ;; esac
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
device=cuda corpus= distill=0 steps=
while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || usage
    case $1 in
        --device) device=$2 ;;
        --corpus) corpus=$(cd "$2" && pwd) ;;
        --distill) distill=$2 ;;
        --steps) steps=$2 ;;
        *) usage ;;
    esac
    shift 2
done
cd "$(dirname "$0")/.."
root=$PWD
corpus=${corpus:-$(cd .. && pwd)/shared/corpus}
validation=$corpus/val.jsonl.zst
[ -f "$validation" ] || { echo "train-pair.sh: $validation is missing; name the corpus with --corpus" >&2; exit 2; }
suffix=
[ "$device" != cpu ] || suffix=-cpu
data=
for file in "$corpus"/train-*.jsonl.zst; do
    data="$data --data $file"
done

# vocabulary NAME KIND SIZE
vocabulary() {
    [ -d "$out/vocabularies/$1" ] || "$root/spec" vocab build --kind "$2" --size "$3" $data \
        --limit-bytes 100000000 --eval "$validation" --out "$out/vocabularies/$1" \
        >"$out/vocabularies/$1.txt"
}

# train NAME [FLAGS]: the latest checkpoint of runs/NAME is whole when this ends.
train() {
    name=$1
    shift
    run=$out/runs/$name
    [ ! -f "$out/$name.trained" ] || return 0
    if [ -f "$run/latest" ]; then
        "$root/spec" train --resume "$run" --device "$device" --cache "$out/cache"
    else
        rm -rf "$run"
        "$root/spec" train --recipe "$name$suffix" --tokenizer "$out/vocabularies/$name" $data \
            --eval-data "$validation" --device "$device" --cache "$out/cache" --out "$run" \
            ${steps:+--set schedule.steps="$steps" --set schedule.warmup=2 --set schedule.decay=2} "$@"
    fi
    touch "$out/$name.trained"
}

# The folder of the newest weights of runs/NAME.
newest() {
    echo "$out/runs/$1/checkpoints/$(cat "$out/runs/$1/latest")"
}

# Lines stay in both texts, as in stentor2-cpu: prompts hold them, and code consists of them.
keep_lines="--set cleaning.strip_lines=false --set cleaning.collapse_whitespace=false"

mkdir -p "$out/vocabularies" "$out/perplexity" "$out/bundled" "$out/bf16"
vocabulary stentor2 tokenmonster 8000
vocabulary spec-24m bpe 16384
train stentor2 $keep_lines
train spec-24m
draft=$(newest stentor2)
if [ "$distill" -gt 0 ]; then
    if [ -f "$out/runs/distill/latest" ] && [ ! -f "$out/distill.trained" ]; then
        "$root/spec" distill --resume "$out/runs/distill" --device "$device" --cache "$out/cache"
    elif [ ! -f "$out/distill.trained" ]; then
        rm -rf "$out/runs/distill"
        "$root/spec" distill --draft "$draft" --target "$(newest spec-24m)" $data \
            --set schedule.steps="$distill" --device "$device" --cache "$out/cache" \
            --out "$out/runs/distill"
    fi
    touch "$out/distill.trained"
    draft=$(newest distill)
fi

# ship NAME FOLDER
ship() {
    for dtype in bf16 int8; do
        place=$out/bf16/$1
        [ $dtype = bf16 ] || place=$out/bundled/$1
        rm -rf "$place"
        "$root/spec" export --model "$2" --dtype $dtype --shard-size 15MB --out "$place"
        "$root/spec" eval --suite perplexity --model "$place" --data "$validation" --device "$device" \
            --json >"$out/perplexity/$1-$dtype.json"
    done
}
ship stentor2 "$draft"
ship spec-24m "$(newest spec-24m)"
python3 - "$out/perplexity" <<'PY'
import json, pathlib, sys
worst = 0
for name in ("stentor2", "spec-24m"):
    bf16, int8 = (
        json.loads(pathlib.Path(sys.argv[1], f"{name}-{dtype}.json").read_text())["results"]["perplexity"]
        for dtype in ("bf16", "int8")
    )
    print(f"{name}: perplexity {bf16:.4f} in bf16, {int8:.4f} in int8, {int8 / bf16 - 1:+.4%}")
    worst = max(worst, int8 / bf16 - 1)
sys.exit(0 if worst <= 0.005 else "int8 costs more than 0.5 % of perplexity")
PY
