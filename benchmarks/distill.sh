#!/bin/sh
# benchmarks/distill.sh OUT [SHARED]: what distillation is worth on a pair that is made here, in about an
# hour on two cores. Two vocabularies and two models from one shard of the corpus in SHARED (by
# default ../shared, counted from the checkout): a target of 3.3M parameters with 8,192 BPE tokens, and
# a draft of the recipe nano with 4,000 TokenMonster tokens. The draft is then distilled towards the
# target by every objective, always 150 steps on texts behind 4,800 beginnings, and measured before and
# after on 128 beginnings of other documents. One folder a run below OUT, with recipe, metrics, both
# benches and comparison.json; a run that is complete is not done again.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
shared=${2:-../shared}
text=$shared/corpus/train-00.jsonl.zst
raw="--set cleaning.nfkc=false --set cleaning.strip_lines=false
    --set cleaning.collapse_whitespace=false"
plan="--set precision.dtype=bf16 --set evaluation.every=250 --set evaluation.max_blocks=50
    --set checkpoint.keep=1 $raw"

# build NAME KIND SIZE
build() {
    [ -d "$out/$1" ] || ./spec vocab build --kind "$2" --size "$3" --data "$text" \
        --limit-bytes 20000000 --out "$out/$1" >"$out/$1.txt"
}

# train NAME VOCABULARY STEPS [FLAGS]
train() {
    name=$1 vocabulary=$2 steps=$3
    shift 3
    if [ -f "$out/$name/recipe.toml" ]; then
        ./spec train --resume "$out/$name" --cache "$out/cache"
    else
        ./spec train --recipe nano --tokenizer "$out/$vocabulary" --data "$text" \
            --set schedule.steps="$steps" --set schedule.warmup=$((steps / 20)) $plan "$@" \
            --cache "$out/cache" --out "$out/$name"
    fi
}

model() {
    echo "$out/$1/checkpoints/$(cat "$out/$1/latest")"
}

# distill NAME TEXT OBJECTIVE [FLAGS]
distill() {
    name=$1 whose=$2 objective=$3
    shift 3
    [ ! -f "$out/$name/comparison.json" ] || return 0
    if [ -f "$out/$name/recipe.toml" ]; then
        ./spec distill --resume "$out/$name" --cache "$out/cache" "$@" >"$out/$name.txt"
    else
        ./spec distill --draft "$(model draft)" --target "$(model target)" --data "$text" \
            --text "$whose" --objective "$objective" --set distill.pieces=4800 \
            --set distill.teacher_batch=64 --set schedule.steps=150 --set schedule.warmup=10 --cache "$out/cache" --out "$out/$name" \
            "$@" >"$out/$name.txt"
    fi
    cat "$out/$name.txt"
}

build vocabulary-draft tokenmonster 4000
build vocabulary-target bpe 8192
train target vocabulary-target 1000 --set model.config.vocab_size=8192 \
    --set model.config.hidden_size=192 --set model.config.intermediate_size=576 \
    --set model.config.num_hidden_layers=4 --set model.config.num_attention_heads=6 \
    --set model.config.num_key_value_heads=2
train draft vocabulary-draft 800
for objective in cross-entropy forward-kl reverse-kl total-variation log-acceptance; do
    distill "target-$objective" target $objective --method tli
done
distill data-log-acceptance data log-acceptance --method tli
distill target-cross-entropy-slem target cross-entropy --method slem --temperature 0
