#!/bin/sh
# tests/gpu.sh [SHARED]: everything that needs a GPU, in one run. Ends with 0 only if all of it holds:
# libtorch uses the GPU, parity (that of every architecture, too) and cache tests hold on it, greedy
# ids of a real pair are the CPU's, and the pair runs in bf16.
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
    --test architectures --test parity --test cache --test pairs -- --test-threads 1

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
