#!/bin/sh
# tests/gpu.sh [SHARED]: everything that needs a GPU, in one run. Ends with 0 only if all of it holds:
# libtorch uses the GPU, parity (that of every architecture, too) and cache tests hold on it, greedy
# ids of a real pair are the CPU's, the pair runs in bf16, and 200 steps of the recipe nano in bf16 and
# fp16 have losses within 1 % of fp32.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
shared=${1:-$root/../shared}
cd "$root"

./spec doctor --json | python3 -c '
import json, sys
found = json.load(sys.stdin)
names = [device["name"] for device in found["devices"] if device["fp32"] and device["bf16"]]
sys.exit(0 if "cuda:0" in names and not found["problems"] else "no working GPU: " + str(found))'

SPEC_TEST_DEVICE=cuda cargo test --release --locked -p spec-tests \
    --test architectures --test parity --test cache --test pairs --test training \
    -- --test-threads 1

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
bench() {
    name=$1
    shift
    ./spec bench --draft "$shared/weights/gsm-draft-stentor2" \
        --target "$shared/weights/gsm-target-llama3" --prompts "$shared/eval/gsm8k/test.jsonl" \
        --limit 36 --out "$out/$name" "$@"
}
for method in slem tli; do
    bench cpu --device cpu --method $method --max-new 32
    bench gpu --device cuda --dtype fp32 --method $method --max-new 32
    python3 - "$out" <<'PY'
import json, sys
def ids(name):
    lines = open(f"{sys.argv[1]}/{name}/records.jsonl")
    return {(r["case"], r["prompt_index"]): r["ids"] for r in map(json.loads, lines)}
cpu, gpu = ids("cpu"), ids("gpu")
same = sum(cpu[key] == gpu[key] for key in cpu)
print(f"greedy ids on the GPU equal those on the CPU in {same} of {len(cpu)} generations")
sys.exit(0 if same >= 0.95 * len(cpu) else 1)
PY
    bench bf16 --device cuda --method $method
    bench sampled --device cuda --method $method --temperature 1
done

for dtype in fp32 bf16 fp16; do
    ./spec train --recipe nano --device cuda --set precision.dtype=$dtype --set schedule.steps=200 \
        --tokenizer "$shared/tokenizers/tokenmonster/english-4096-balanced-nocapcode-v1.vocab" \
        --data "$shared/corpus/val.jsonl.zst" --cache "$out/tokens" --out "$out/$dtype"
done
python3 - "$out" <<'PY'
import json, sys
def losses(name):
    lines = map(json.loads, open(f"{sys.argv[1]}/{name}/metrics.jsonl"))
    return [line["loss"] for line in lines if "loss" in line]
exact = losses("fp32")
failed = False
for name in ("bf16", "fp16"):
    worst = max(abs(a - b) / a for a, b in zip(exact, losses(name), strict=True))
    print(f"{name}: losses of {len(exact)} steps differ from fp32 by at most {100 * worst:.2f} %")
    failed |= worst > 0.01
sys.exit(failed)
PY
