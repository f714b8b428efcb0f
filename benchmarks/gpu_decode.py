"""µs a draft token on a GPU: the loops of `draft::cuda`, libtorch step by step, transformers eager and
compiled, on the same weights and prompts. Ours and the peers' take turns round by round.

    gpu_decode.py MODEL [--out FOLDER] [--rounds 3] [--turns 20] [--gammas 4,8] [--prefixes 1,8,32]

Prints a table of medians and of ratios with transformers eager; raw records go to FOLDER.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def lines_of(command):
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def table(records):
    times = defaultdict(list)
    for record in records:
        key = (record["prefixes"], record["gamma"], record["temperature"])
        times[key, record["by"]].append(record["micros_a_step"])
    print("| prefixes | gamma | T | by | µs a step, median | transformers eager ÷ it |")
    print("|---:|---:|---:|---|---:|---:|")
    for (key, by), values in sorted(times.items()):
        median = statistics.median(values)
        # Peers are greedy: a draw costs them nothing less.
        eager = times.get(((key[0], key[1], 0.0), "transformers eager"))
        ratio = f"{statistics.median(eager) / median:.2f}" if eager else "–"
        print(f"| {key[0]} | {key[1]} | {key[2]} | {by} | {median:.1f} | {ratio} |")
    for by in ["Graph", "Grid", "Cluster"]:
        for gamma in sorted({key[1] for key, _ in times}):
            one, many = (times.get(((count, gamma, 0.0), by)) for count in (1, 32))
            if one and many:
                print(f"\n{by}, gamma {gamma}: 32 prefixes take "
                      f"{statistics.median(many) / statistics.median(one):.2f} times as long as one")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--out", default="gpu-decode")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns", default="20")
    parser.add_argument("--gammas", default="4,8")
    parser.add_argument("--prefixes", default="1,8,32")
    arguments = parser.parse_args()
    shared = [arguments.model, "--gammas", arguments.gammas, "--prefixes", arguments.prefixes,
              "--turns", arguments.turns]
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "build")
    ours = [str(target / "release/examples/gpu_decode"), *shared]
    peers = [sys.executable, str(HERE / "gpu_decode_peer.py"), *shared]
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(arguments.rounds):
        # Neither side is always the first.
        for command in ([ours, peers], [peers, ours])[number % 2]:
            found = lines_of(command)
            records += [{**record, "round": number} for record in found]
    raw = "".join(json.dumps(record) + "\n" for record in records)
    (out / "records.jsonl").write_text(raw, encoding="utf-8")
    table([record for record in records if record["what"] == "draft"])


if __name__ == "__main__":
    main()
