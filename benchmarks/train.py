"""Training by `spec train` beside transformers and PyTorch: the same model, the same initial weights,
the same ids, on the same machine, in turns. Started by train.sh.

A round is a fresh process of each side, one behind the other; which is first changes from round to
round. The first steps of a process are not timed. A ratio is that of one round's two rates, and what
is printed is the median over the rounds with the lowest and the highest. Both sides read one batch
again and again, which makes it the same for both, whatever order `spec` reads blocks in. The losses of
the first steps must agree, or what is compared is not the same, and the status is 1.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEER = Path(__file__).resolve().parent / "train_peer.py"
# Steps of each process that are not timed, and whose losses are compared.
FIRST = 3
WARMUP = 2
# How far losses may be apart.
AGREEMENT = {"fp32": 1e-4, "bf16": 1e-2}
OPTIMISER = {"lr": 8e-4, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.01, "clip": 1.0}
# Recipe, length of a block, blocks of a step, blocks that are read at once.
SHAPES = {
    "cpu": [("stentor2", 512, 8, 8)],
    "cuda": [("stentor2", 512, 256, 64), ("stentor-30m", 512, 256, 64)],
}


def fail(message):
    print(f"train.py: {message}", file=sys.stderr)
    sys.exit(2)


def call(command, **more):
    """Runs a command and gives its standard output."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=False, **more)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        fail(f"{Path(command[0]).name} ended with {done.returncode}: {last[0]}")
    return done.stdout


def any_text():
    """The shared corpus where it is, else the texts of this repository."""
    corpus = ROOT.parent / "shared" / "corpus" / "val.jsonl.zst"
    if corpus.exists() and shutil.which("zstd"):
        lines = call(["zstd", "-dc", corpus]).splitlines()
        return "\n\n".join(json.loads(line)["text"] for line in lines)
    sources = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/src/**/*.rs"), *ROOT.glob("tests/**/*.rs")])
    return "\n\n".join(path.read_text(encoding="utf-8") for path in sources)


class Case:
    """One shape in one precision: what both sides train."""

    def __init__(self, folder, options, shape, dtype):
        self.options, self.dtype = options, dtype
        self.recipe, self.length, self.sequences, self.micro = shape
        self.folder = folder
        self.name = f"{self.recipe}-{dtype}"
        self.steps = FIRST + options.steps

    def ours(self, out, steps, text):
        """Trains with `spec` and gives the lines of its metrics."""
        shutil.rmtree(out, ignore_errors=True)
        settings = {
            "seed": self.options.seed, "precision": f'{{dtype="{self.dtype}"}}',
            "packing.length": self.length, "batch.sequences": self.sequences,
            "batch.micro": self.micro, "schedule.steps": steps, "schedule.warmup": WARMUP,
            "evaluation.every": steps + 1, "checkpoint.minutes": 10_000,
            "data.evaluation_share": 0, "cleaning.nfkc": "false",
            "cleaning.strip_lines": "false", "cleaning.collapse_whitespace": "false",
            **{f"optimiser.{key}": value for key, value in OPTIMISER.items()},
        }
        command = [ROOT / "spec", "train", "--recipe", self.recipe, "--data", text,
                   "--tokenizer", self.folder / "tokenizer", "--cache", self.folder / "ids",
                   "--out", out, "--device", self.options.device]
        if self.options.device == "cpu":
            command += ["--threads", self.options.threads]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        call(command)
        lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [line for line in map(json.loads, lines) if "loss" in line]

    def prepare(self, text):
        """The ids and the initial weights: a step with the rate 0 leaves them as they are."""
        path = self.folder / f"{self.recipe}.txt"
        path.write_text(self.cut(text), encoding="utf-8")
        shutil.rmtree(self.folder / "ids", ignore_errors=True)
        self.ours(self.folder / "initial", 1, path)
        ids = list((self.folder / "ids").glob("*/train.bin"))
        blocks = ids[0].stat().st_size // 2 // self.length
        if len(ids) != 1 or blocks != self.sequences:
            fail(f"the ids make {blocks} blocks, not the {self.sequences} of a batch")
        plan = {
            "model": str(next((self.folder / "initial" / "checkpoints").glob("step-*"))),
            "ids": str(ids[0]), "dtype": self.dtype, "device": self.options.device,
            "threads": self.options.threads, "seed": self.options.seed, "steps": self.steps,
            "warmup": WARMUP, "length": self.length, "sequences": self.sequences,
            "micro": self.micro, "optimiser": OPTIMISER, "compile": False,
        }
        return path, plan

    def cut(self, text):
        """As much text as makes one batch, repeated where it is too short."""
        wanted, size = (self.sequences + 0.5) * self.length, 3 * self.sequences * self.length
        for _ in range(20):
            part = (text * (size // len(text) + 1))[:size]
            line = json.dumps({"text": part})
            answer = call([ROOT / "spec", "tokenize", "--jsonl", "--tokenizer",
                           self.folder / "tokenizer"],
                          input=line + "\n")
            count = len(json.loads(answer)["ids"])
            if abs(count - wanted) < 0.4 * self.length:
                return part
            size = int(size * wanted / count)
        return fail("no length of text makes one batch")

    def peer(self, plan, compiled):
        """Trains with transformers and PyTorch."""
        path = self.folder / "plan.json"
        path.write_text(json.dumps({**plan, "compile": compiled}), encoding="utf-8")
        return json.loads(call([sys.executable, PEER, path]).splitlines()[-1])

    def sides(self, text, plan):
        """What takes part: name, and a function that runs one process of it."""
        def ours():
            steps = self.ours(self.folder / "run", self.steps, text)
            return {key: [step[name] for step in steps]
                    for key, name in (("losses", "loss"), ("seconds", "seconds"))}
        sides = {"spec": ours, "pytorch": lambda: self.peer(plan, False)}
        if self.options.device != "cpu":
            sides["pytorch, compiled"] = lambda: self.peer(plan, True)
        return sides

    def run(self, text):
        """All rounds: a list of results by side."""
        path, plan = self.prepare(text)
        sides = self.sides(path, plan)
        rounds = []
        for index in range(self.options.rounds):
            order = list(sides)[:: 1 if index % 2 == 0 else -1]
            found = {name: sides[name]() for name in order}
            for result in found.values():
                timed = result["seconds"][FIRST:]
                tokens = len(timed) * self.sequences * self.length
                result["tokens_per_second"] = tokens / sum(timed)
            rounds.append(found)
            rates = ", ".join(f"{name} {found[name]['tokens_per_second']:,.0f}" for name in sides)
            print(f"{self.name}, round {index + 1}: {rates} tokens/s", file=sys.stderr)
        return rounds


def summary(case, rounds):
    """Medians, ratios and the largest difference of losses."""
    rows, worst = [], 0.0
    for peer in [name for name in rounds[0] if name != "spec"]:
        ratios = [found["spec"]["tokens_per_second"] / found[peer]["tokens_per_second"]
                  for found in rounds]
        for found in rounds:
            pairs = zip(found["spec"]["losses"][:FIRST], found[peer]["losses"][:FIRST])
            worst = max([worst, *(abs(own - other) / other for own, other in pairs)])
        rate = {name: statistics.median(found[name]["tokens_per_second"] for found in rounds)
                for name in ("spec", peer)}
        rows.append({
            "case": case.name, "peer": peer, "spec": rate["spec"], "other": rate[peer],
            "ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios),
            "rounds": len(rounds), "loss_difference": worst, "agree": worst <= AGREEMENT[case.dtype],
        })
    return rows


def machine(options):
    """What the figures depend on."""
    found = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
             if line.startswith("model name")]
    return {"processor": found[0].split(":")[1].strip() if found else platform.processor(),
            "cores": os.cpu_count(), "threads": options.threads, "device": options.device,
            "seed": options.seed, "steps_timed": options.steps, "steps_before": FIRST}


def table(rows):
    lines = ["| case | beside | spec, tokens/s | other, tokens/s | ratio | losses differ by |",
             "|---|---|---:|---:|---:|---:|"]
    for row in rows:
        ratio = f"{row['ratio']:.2f} ({row['lowest']:.2f} to {row['highest']:.2f})"
        lines.append(f"| {row['case']} | {row['peer']} | {row['spec']:,.0f} | {row['other']:,.0f} "
                     f"| {ratio} | {row['loss_difference']:.1e} |")
    return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="timed steps of a process")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--dtype", choices=["fp32", "bf16"], action="append")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--json", action="store_true", help="print an object, not a table")
    parser.add_argument("--out", type=Path, help="a folder for the raw records")
    return parser.parse_args()


def main():
    options = arguments()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    rows, raw, text = [], {}, any_text()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "all.txt").write_text(text[: 4 << 20], encoding="utf-8")
        call([ROOT / "spec", "vocab", "build", "--kind", "bpe", "--size", 4000, "--data",
              folder / "all.txt", "--out", folder / "tokenizer"])
        for shape in SHAPES[options.device]:
            for dtype in options.dtype or ["fp32", "bf16"]:
                case = Case(folder, options, shape, dtype)
                raw[case.name] = case.run(text)
                rows += summary(case, raw[case.name])
    result = {"machine": machine(options), "summary": rows}
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "summary.json").write_text(json.dumps(result, indent=1) + "\n")
        with open(options.out / "rounds.jsonl", "w", encoding="utf-8") as file:
            for case, rounds in raw.items():
                for index, found in enumerate(rounds):
                    file.write(json.dumps({"case": case, "round": index + 1, **found}) + "\n")
        (options.out / "table.md").write_text(table(rows) + "\n", encoding="utf-8")
    print(json.dumps(result) if options.json else table(rows))
    apart = [row["case"] for row in rows if not row["agree"]]
    if apart:
        print(f"train.py: the losses of {', '.join(apart)} do not agree: the two sides do not do the "
              "same", file=sys.stderr)
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
