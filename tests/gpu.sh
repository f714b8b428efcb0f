#!/bin/sh
# tests/gpu.sh [--device cuda|cpu] [--only PARTS] [--steps N] [SHARED]: everything that needs a GPU, in
# one run. Ends with 0 only if all of it holds. The parts, in this order:
#
#   doctor      libtorch uses the GPU
#   tests       parity (of every architecture, too), caches and pairs hold on it, and 50 steps of
#               training are those of PyTorch in fp32, within 1e-4
#   kernels     our own kernels (draft/src/cuda): they compile, a pass says what libtorch says, and all
#               draft loops draw what their laws draw, with 1, 8 and 32 prefixes
#   decoding    greedy ids of a real pair are the CPU's; the pair runs in bf16
#   precisions  N steps (200) of the recipe nano in bf16 and fp16 have losses within 1 % of fp32
#   resume      a run that kill -9 ended goes on with the losses of one that was not killed, within
#               1e-4; it says whether they are the same bit for bit
#   distill     a draft that learns a target's laws in bf16 is accepted more often
#   pair        experiments/train-pair.sh from vocabularies to int8 files, 20 steps a model, and the
#               bundled pair on the GPU by every method (benchmarks/bundled.sh)
#   speed       tokens a second beside PyTorch, plain and compiled (benchmarks/train.sh)
#
# `--only "resume speed"` runs these parts alone. `--device cpu` runs the script itself where there is
# no GPU: `doctor` is left out, and the rest runs on the CPU.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
device=cuda
parts="doctor tests kernels decoding precisions resume distill pair speed"
steps=200
shared=$root/../shared
while [ $# -gt 0 ]; do
    case $1 in
        --device | --only | --steps)
            [ $# -gt 1 ] || { echo "gpu.sh: $1 lacks its value" >&2; exit 2; }
            case $1 in
                --device) device=$2 ;;
                --only) parts=$2 ;;
                --steps) steps=$2 ;;
            esac
            shift 2
            ;;
        -*) echo "gpu.sh: unknown flag $1; flags are --device, --only, --steps" >&2; exit 2 ;;
        *) shared=$1; shift ;;
    esac
done
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
./spec --setup-only

doctor() {
    if [ "$device" = cpu ]; then
        echo "doctor: left out, for this is a run on the CPU"
        return
    fi
    ./spec doctor --json | python3 -c '
import json, sys
found = json.load(sys.stdin)
names = [device["name"] for device in found["devices"] if device["fp32"] and device["bf16"]]
sys.exit(0 if "cuda:0" in names and not found["problems"] else "no working GPU: " + str(found))'
}

tests() {
    SPEC_TEST_DEVICE=$device cargo test --release --locked -p spec-tests \
        --test architectures --test parity --test cache --test pairs --test training \
        --test teaching \
        -- --test-threads 1 --nocapture
}

bench() {
    name=$1
    shift
    ./spec bench --draft "$shared/weights/gsm-draft-stentor2" \
        --target "$shared/weights/gsm-target-llama3" --prompts "$shared/eval/gsm8k/test.jsonl" \
        --limit 36 --out "$out/$name" "$@"
}

# alike SHARE NAME...: whether of the generations of runs so many are those of the first at T = 0.
alike() {
    python3 - "$out" "$@" <<'PY'
import json, sys
out, share, first, *names = sys.argv[1:]
def ids(name):
    lines = map(json.loads, open(f"{out}/{name}/records.jsonl"))
    return {(r["case"], r["prompt_index"]): r["ids"] for r in lines if r["temperature"] == 0}
exact, failed = ids(first), False
for name in names:
    found = ids(name)
    same = sum(found.get(key) == exact[key] for key in exact)
    print(f"{name}: greedy ids of {same} of {len(exact)} generations are those of {first}")
    failed |= not exact or same < float(share) * len(exact)
sys.exit(failed)
PY
}

kernels() {
    tools/nvrtc.sh
    cargo test --release --locked -p spec-tests --test nvrtc --test cuda --test cuda_verify \
        --test cuda_pairs
    if [ "$device" = cpu ]; then
        echo "kernels: run on the CPU only, for this is a run on the CPU"
        return
    fi
    for model in "$shared/weights/stories260k" "$shared/weights/gsm-draft-stentor2"; do
        cargo run --release --locked -p spec-draft --example gpu_decode -- "$model" --check \
            --gammas 1,4,8 --prefixes 1,8,32
    done
    # What the device decides is what the host decides of libtorch's logits, up to the rounding of bf16.
    for engine in libtorch graph persistent; do
        bench "kernels-$engine" --device "$device" --dtype bf16 --engine $engine --method slem,tli,byte \
            --temperature 0,1 --max-new 32
    done
    alike 0.8 kernels-libtorch kernels-graph kernels-persistent
}

decoding() {
    for method in slem tli tree byte; do
        bench cpu-$method --device cpu --method $method --max-new 32
        bench gpu-$method --device "$device" --dtype fp32 --method $method --max-new 32
        python3 - "$out" "$method" <<'PY'
import json, sys
def ids(name):
    lines = open(f"{sys.argv[1]}/{name}-{sys.argv[2]}/records.jsonl")
    return {(r["case"], r["prompt_index"]): r["ids"] for r in map(json.loads, lines)}
cpu, gpu = ids("cpu"), ids("gpu")
same = sum(cpu[key] == gpu[key] for key in cpu)
print(f"greedy ids on the GPU equal those on the CPU in {same} of {len(cpu)} generations")
sys.exit(0 if same >= 0.95 * len(cpu) else 1)
PY
        bench bf16-$method --device "$device" --dtype bf16 --method $method
        bench sampled-$method --device "$device" --dtype bf16 --method $method --temperature 1
    done
}

# nano NAME [FLAGS]: begins a run of the recipe nano on the device. The program takes the place of
# the shell that calls it.
nano() {
    name=$1
    shift
    exec ./spec train --recipe nano --device "$device" \
        --tokenizer "$shared/tokenizers/tokenmonster/english-4096-balanced-nocapcode-v1.vocab" \
        --data "$shared/corpus/val.jsonl.zst" --cache "$out/tokens" --out "$out/$name" "$@"
}

# compare TOLERANCE EXACT NAME...: whether the losses of runs are those of the first.
compare() {
    python3 - "$out" "$@" <<'PY'
import json, sys
out, tolerance, first, *names = sys.argv[1:]
def losses(name):
    lines = map(json.loads, open(f"{out}/{name}/metrics.jsonl"))
    return [line["loss"] for line in lines if "loss" in line]
exact, failed = losses(first), False
for name in names:
    found = losses(name)
    if len(found) != len(exact):
        sys.exit(f"{name} has {len(found)} steps, {first} has {len(exact)}")
    worst = max(abs(a - b) / a for a, b in zip(exact, found))
    how = "are the same bit for bit" if found == exact else f"differ by at most {worst:.1e}"
    print(f"{name}: losses of {len(exact)} steps and those of {first} {how}")
    failed |= not worst <= float(tolerance)
sys.exit(failed)
PY
}

precisions() {
    for dtype in fp32 bf16 fp16; do
        (nano $dtype --set precision.dtype=$dtype --set schedule.steps="$steps")
    done
    compare 0.01 fp32 bf16 fp16
}

resume() {
    (nano whole --set schedule.steps=60 --set checkpoint.minutes=0)
    nano killed --set schedule.steps=60 --set checkpoint.minutes=0 &
    run=$!
    until [ "$(cat "$out/killed/metrics.jsonl" 2>/dev/null | wc -l)" -ge 20 ]; do
        kill -0 $run 2>/dev/null || { echo "gpu.sh: the run ended before it was killed" >&2; return 1; }
        sleep 0.05
    done
    kill -9 $run
    wait $run || true
    lines=$(wc -l <"$out/killed/metrics.jsonl")
    [ "$lines" -lt 60 ] || { echo "gpu.sh: the run ended before it was killed" >&2; return 1; }
    ./spec train --resume "$out/killed" --device "$device" --cache "$out/tokens"
    compare 1e-4 whole killed
}

distill() {
    ./spec distill --draft "$shared/weights/stories260k" --target "$shared/weights/tinystories-656k" \
        --data "$shared/corpus/val.jsonl.zst" --text target --set precision.dtype=bf16 \
        --set distill.pieces=1000 --set distill.teacher_batch=64 --set schedule.steps=50 \
        --set evaluation.every=10 --device "$device" --cache "$out/tokens" --out "$out/distilled" \
        --no-bench
    python3 - "$out" <<'PY'
import json, sys
lines = map(json.loads, open(f"{sys.argv[1]}/distilled/metrics.jsonl"))
rates = [line["eval_acceptance"] for line in lines if "eval_acceptance" in line]
print(f"acceptance of drafted tokens rose from {rates[0]:.4f} to {rates[-1]:.4f}")
sys.exit(0 if rates[-1] > rates[0] else 1)
PY
}

pair() {
    experiments/train-pair.sh "$out/pair" --device "$device" --corpus "$shared/corpus" --steps 20
    [ ! -f experiments/bundled/stentor2/config.json ] ||
        benchmarks/bundled.sh "$out/bundled" --device "$device"
}

speed() {
    benchmarks/train.sh --device "$device"
}

for part in $parts; do
    case $part in
        doctor | tests | kernels | decoding | precisions | resume | distill | pair | speed) ;;
        *) echo "gpu.sh: no part $part; parts are doctor, tests, kernels, decoding, precisions, resume, distill, pair, speed" >&2
            exit 2 ;;
    esac
    echo "==> $part"
    "$part"
done
echo "gpu.sh: all of it holds"
