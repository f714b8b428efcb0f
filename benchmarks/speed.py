"""The speed of spec on the CPU beside llama.cpp, transformers and PyTorch, in one run, in turns.

    benchmarks/speed.sh [--quick] [--only PART,...] [--threads N] [--rounds N] [--out DIR] [--cache DIR]

Parts (all of them without --only):
  draft       plain greedy decoding, prompts, trees and rows of ids: stentor2, batch 1
  target      the same for spec-24m
  target-1b   the same for random weights of Llama-3.2-1B's shape, in 16 and 8 bits
  tokenizer   TokenMonster encoding and decoding (align's example tokenizer_speed)
  startup     from the start of `./spec bench` to its first prompt
  pair        the bundled pair from end to end, beside transformers' assisted generation and
              llama-speculative-simple and llama-speculative, where these can run it

A round measures everything once; what goes first changes from round to round. Ratios are those of a round,
and each figure is the median [least, greatest] of the rounds. llama.cpp is built once, from the source
package of llama-cpp-python on PyPI, in the folder that --cache names. Prints Markdown; --out gets it too,
with records.jsonl (a row a round and contender) and summary.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import transformers

from speed_pair import pair, startup, tokenizer
from speed_report import page
from speed_run import Contender, Failed, Run
from speed_setup import processor
from speed_torch import Loop, Transformers

ROOT = Path(__file__).resolve().parent.parent
PARTS = ["draft", "target", "target-1b", "tokenizer", "startup", "pair"]
NODES = [1, 8, 16, 32]
PREFIX, PREFILL = 128, 512
# The large model gets a share of the tokens and ids.
LARGE = 4
# llama.cpp's kind of the same width.
KINDS = {"fp32": "f32", "bf16": "f16", "fp16": "f16", "int8": "q8_0"}

def spec(run: Run, model: Path | str, dtypes: list[str], share: int) -> Contender:
    """All element types of a model, by `spec speed`."""
    args = run.args
    line = [run.binary, "speed", "--model", model, "--source", "bundled", "--rounds", 1, "--json"]
    line += ["--dtype", ",".join(dtypes), "--threads", args.threads]
    line += ["--tokens", max(1, args.tokens // share), "--prefill", PREFILL // share]
    line += ["--nodes", ",".join(map(str, NODES)), "--prefix", PREFIX]

    def measure() -> dict[str, dict]:
        report = json.loads(run.output(line))
        return {f"spec {own['dtype']}": figures(own) for own in report["dtypes"]}

    def figures(own: dict) -> dict:
        passes = {
            kind: {str(each["ids"]): each["seconds"]["median"] for each in own[kind]}
            for kind in ("trees", "rows")
        }
        return {
            "token": 1 / own["tokens_per_second"]["median"],
            "prefill": 1 / own["prefill_per_second"]["median"],
            "floor": own["floor_seconds"]["median"],
            "ids": own["ids"],
            **passes,
        }

    return measure


def known_dtypes(run: Run, model: Path | str, wanted: list[str]) -> list[str]:
    """Those of the element types that this build has."""
    found = []
    for dtype in wanted:
        line = [run.binary, "speed", "--model", model, "--source", "bundled", "--rounds", 1]
        few = ["--tokens", 1, "--nodes", 1, "--prefix", 1, "--prefill", 1, "--threads", 1]
        try:
            run.output([*line, *few, "--dtype", dtype])
            found.append(dtype)
        except Failed as error:
            run.note(f"{dtype} is left out: {error}")
    return found


def llama(run: Run, folder: Path, kind: str, share: int) -> list[Contender]:
    """A kind of GGUF in llama.cpp: through its C interface, and by its own llama-bench."""
    programs, file, args = run.cache.llama(), run.cache.gguf(folder, kind), run.args
    tokens, nodes = max(1, args.tokens // share), ",".join(map(str, NODES))
    numbers = [args.threads, tokens, PREFIX, PREFILL // share, nodes]
    bench = [programs / "llama-bench", "-m", file, "-p", 0, "-n", tokens, "-t", args.threads]

    def probe() -> dict[str, dict]:
        out = run.output([programs / "speed_llama", file, *numbers])
        return {f"llama.cpp {kind.upper()}": json.loads(out)}

    def llama_bench() -> dict[str, dict]:
        out = json.loads(run.output([*bench, "-r", 1, "-o", "json"]))
        return {f"llama-bench {kind.upper()}": {"token": 1 / out[0]["avg_ts"]}}

    return [probe, llama_bench]


def python(run: Run, folder: Path) -> list[Contender]:
    """Transformers and the loop in PyTorch, in 32 bits."""
    tokens = run.args.tokens
    peers = {
        "transformers fp32": Transformers(folder),
        "PyTorch loop fp32": Loop(folder, 16 + tokens),
    }

    def measure(name: str) -> Contender:
        peers[name].decode(4)
        return lambda: {name: peers[name].decode(tokens)}

    return [measure(name) for name in peers]


def decoding(run: Run, part: str) -> None:
    """One model in all programs and element types."""
    wanted, share = run.args.dtypes, 1
    if part == "target-1b":
        folder = model = run.cache.random()
        share = LARGE
        wanted = [dtype for dtype in wanted if dtype != "fp32"]
    else:
        model = "stentor2" if part == "draft" else "spec-24m"
        folder = run.cache.bundled(model)
    dtypes = known_dtypes(run, model, wanted)
    contenders = [spec(run, model, dtypes, share)] if dtypes else []
    for kind in dict.fromkeys(KINDS[dtype] for dtype in wanted):
        contenders += llama(run, folder, kind, share)
    if part != "target-1b":
        contenders += python(run, folder)
    run.rounds(part, contenders)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("--quick", action="store_true", help="2 rounds of little, without target-1b")
    parser.add_argument("--only", default="", metavar="PART,...", help="these parts only")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--rounds", type=int, help="rounds (default: 5)")
    parser.add_argument("--tokens", type=int, help="tokens of a run (default: 128)")
    parser.add_argument("--dtypes", default="fp32,bf16,fp16,int8", help="spec's element types")
    parser.add_argument("--limit", type=int, help="prompts of the pair (default: 12)")
    parser.add_argument("--text", type=Path, help="what the tokenizer reads, such as 20 MB of prose")
    parser.add_argument("--out", type=Path, help="folder for records.jsonl and summary.json")
    parser.add_argument("--cache", type=Path, default=home / "spec-bench-speed")
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "spec")
    parser.add_argument("--jobs", type=int, default=2, help="jobs of llama.cpp's build")
    parser.add_argument("--cmake", action="append", default=[], help="one more of its options")
    args = parser.parse_args()
    args.only = [part for part in args.only.split(",") if part]
    if unknown := set(args.only) - set(PARTS):
        parser.error(f"no part is called {', '.join(unknown)}; parts are {', '.join(PARTS)}")
    args.dtypes = args.dtypes.split(",")
    if unknown := set(args.dtypes) - set(KINDS):
        parser.error(f"no element type is called {', '.join(unknown)}; these are: {', '.join(KINDS)}")
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.tokens = args.tokens or (32 if args.quick else 128)
    args.limit = args.limit or (2 if args.quick else 12)
    if args.threads < 1 or min(args.rounds, args.tokens, args.limit) < 1:
        parser.error("--threads, --rounds, --tokens and --limit are at least 1")
    args.cache, args.binary = args.cache.resolve(), args.binary.resolve()
    return args


def machine(run: Run) -> dict:
    """What figures were measured on, and with."""
    commit = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "processor": processor("model name"),
        "cores": os.cpu_count(),
        "threads": run.args.threads,
        "commit": commit.stdout.strip(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "llama_cpp_python": run.cache.package,
        "rounds": run.args.rounds,
        "tokens": run.args.tokens,
        "load_average": os.getloadavg(),
    }


def main() -> None:
    """Measures all parts."""
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    warnings.filterwarnings("ignore")
    usual = [part for part in PARTS if not (args.quick and part == "target-1b")]
    with tempfile.TemporaryDirectory() as folder:
        run = Run(args, Path(folder))
        header = machine(run)
        for part in args.only or usual:
            if part in ("tokenizer", "startup", "pair"):
                {"tokenizer": tokenizer, "startup": startup, "pair": pair}[part](run, ROOT)
            else:
                decoding(run, part)
    text, summary = page(header, run.records, run.notes, KINDS)
    if args.out:
        (args.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        (args.out / "summary.md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    sys.exit(main())
