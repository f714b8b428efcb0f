"""Greedy speculative decoding by spec and by transformers' assisted generation, on the same pairs of
models with two vocabularies, the same prompts and the same number of threads, in turns.

    benchmarks/peers.sh [--draft DIR --target DIR] [--prompts FILE] [--limit N] [--rounds R] [--json]

Transformers gets the setting of `num_assistant_tokens` that is fastest on the first prompts, from the
constant and the heuristic schedule; spec gets --method byte with 16 candidates a pass, and with as many
as pay (--tree-nodes auto). Without --draft the pairs are those of the story models in the folder that
--shared names. Tokens a target pass counts the prefill's pass on both sides; tokens a second is new
tokens by wall time of generation, the median over rounds. Prints a Markdown table, or all figures as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parent.parent
STORIES = ["stories260k", "tinystories-656k", "babyllama-tok105"]
SETTINGS = [(count, schedule) for count in (2, 4, 8) for schedule in ("constant", "heuristic")]
TUNING_PROMPTS = 4
SPEC_SETTINGS = {
    "16 candidates": ["--method", "byte", "--gamma", "16", "--tree-nodes", "16"],
    "auto": ["--method", "byte", "--gamma", "16", "--tree-nodes", "auto"],
}


class Peer:
    """A pair in transformers, with a count of the target's passes."""

    def __init__(self, draft: Path, target: Path):
        load = dict(dtype=torch.float32, attn_implementation="sdpa", local_files_only=True)
        self.target = AutoModelForCausalLM.from_pretrained(target, **load).eval()
        self.draft = AutoModelForCausalLM.from_pretrained(draft, **load).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(target, local_files_only=True)
        self.drafts_tokenizer = AutoTokenizer.from_pretrained(draft, local_files_only=True)
        self.passes = 0
        self.target.register_forward_pre_hook(self.count)

    def count(self, *_):
        """One more pass of the target."""
        self.passes += 1

    def run(self, prompts: list[str], max_new: int, setting) -> dict:
        """Generates behind each prompt; `setting` is None for plain decoding."""
        self.passes, tokens, seconds, ids = 0, 0, 0.0, []
        more = {}
        if setting is not None:
            count, schedule = setting
            config = self.draft.generation_config
            config.num_assistant_tokens = count
            config.num_assistant_tokens_schedule = schedule
            config.assistant_confidence_threshold = 0.0 if schedule == "constant" else 0.4
            more = dict(
                assistant_model=self.draft,
                tokenizer=self.tokenizer,
                assistant_tokenizer=self.drafts_tokenizer,
            )
        for prompt in prompts:
            inputs = self.tokenizer(prompt, return_tensors="pt")
            inputs.pop("token_type_ids", None)
            since = time.perf_counter()
            out = self.target.generate(**inputs, do_sample=False, max_new_tokens=max_new, **more)
            seconds += time.perf_counter() - since
            ids.append(out[0, inputs["input_ids"].shape[1] :].tolist())
            tokens += len(ids[-1])
        return {"tokens": tokens, "passes": self.passes, "seconds": seconds, "ids": ids}


def fastest(peer: Peer, prompts: list[str], max_new: int):
    """The setting with most tokens a second on the first prompts."""
    rates = {}
    for setting in SETTINGS:
        run = peer.run(prompts[:TUNING_PROMPTS], max_new, setting)
        rates[setting] = run["tokens"] / run["seconds"]
    return max(rates, key=rates.get)


def spec(args, pair: tuple[Path, Path], prompts: Path, flags: list[str]) -> dict[str, dict]:
    """One run of `spec bench`: the method, and plain decoding, which is a case of every run."""
    with tempfile.TemporaryDirectory() as folder:
        line = [
            *(str(args.binary), "bench", "--draft", str(pair[0]), "--target", str(pair[1])),
            *("--prompts", str(prompts), "--max-new", str(args.max_new), "--temperature", "0"),
            *("--threads", str(args.threads), "--json", "--out", f"{folder}/run", *flags),
        ]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(done.stderr)
        cases: dict[str, dict] = {}
        for text in Path(folder, "run", "records.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(text)
            if record["kind"] != "record":
                continue
            empty = {"tokens": 0, "passes": 0, "seconds": 0.0, "ids": {}}
            case = cases.setdefault(record["case"], empty)
            counts = record["counts"]
            case["tokens"] += counts["num_emitted_tokens"]
            case["passes"] += 1 + counts["num_spec_steps"] + counts["num_plain_steps"]
            case["seconds"] += record["seconds"]["total"]
            case["ids"][record["prompt_index"]] = record["ids"]
        return cases


def summary(runs: list[dict]) -> dict:
    """Tokens a pass, and the median of tokens a second."""
    rates = [run["tokens"] / run["seconds"] for run in runs]
    first = runs[0]
    return {
        "tokens_per_pass": first["tokens"] / first["passes"],
        "tokens_per_second": statistics.median(rates),
        "rates": rates,
        "tokens": first["tokens"],
        "passes": first["passes"],
    }


def compare(args, pair: tuple[Path, Path], texts: list[str], prompts: Path) -> dict:
    """All runs of a pair, in turns."""
    with contextlib.redirect_stdout(io.StringIO()):
        peer = Peer(*pair)
        peer.run(texts[:1], args.max_new, SETTINGS[0])
        setting = fastest(peer, texts, args.max_new)
    runs: dict[str, list[dict]] = {}
    for turn in range(args.rounds):
        for name, flags in SPEC_SETTINGS.items():
            cases = spec(args, pair, prompts, flags)
            runs.setdefault(f"spec {name}", []).append(cases["byte"])
            runs.setdefault("spec plain", []).append(cases["plain"])
        for name, chosen in (("transformers", setting), ("transformers plain", None)):
            runs.setdefault(name, []).append(peer.run(texts, args.max_new, chosen))
        print(f"{pair[0].name} -> {pair[1].name}: round {turn + 1}", file=sys.stderr)
    theirs = runs["transformers"][0]["ids"]
    ours = runs["spec 16 candidates"][0]["ids"]
    same = sum(ours.get(index) == ids for index, ids in enumerate(theirs))
    return {
        "draft": pair[0].name,
        "target": pair[1].name,
        "prompts": len(texts),
        "setting": {"num_assistant_tokens": setting[0], "schedule": setting[1]},
        "same_ids": same,
        "cases": {name: summary(own) for name, own in runs.items()},
    }


def table(results: list[dict]) -> str:
    """The results as Markdown."""
    lines = [
        "| pair | transformers' setting | same ids | tokens a pass: transformers | 16 candidates | auto "
        "| tokens/s: transformers | 16 candidates | auto | best / transformers "
        "| plain: spec / transformers |",
        "|---|---|" + "---:|" * 9,
    ]
    for result in results:
        cases = result["cases"]
        order = [cases[name] for name in ("transformers", "spec 16 candidates", "spec auto")]
        rates = [case["tokens_per_second"] for case in order]
        plain = [cases[f"{name} plain"]["tokens_per_second"] for name in ("spec", "transformers")]
        setting = result["setting"]
        cells = [
            f"{result['draft']} → {result['target']}",
            f"{setting['num_assistant_tokens']}, {setting['schedule']}",
            f"{result['same_ids']} of {result['prompts']}",
            *(f"{case['tokens_per_pass']:.2f}" for case in order),
            *(f"{rate:.1f}" for rate in rates),
            f"{max(rates[1:]) / rates[0]:.1f}",
            f"{plain[0] / plain[1]:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Compares all pairs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draft", type=Path)
    parser.add_argument("--target", type=Path)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "spec")
    default = ROOT / "experiments" / "prompts" / "stories.jsonl"
    parser.add_argument("--prompts", type=Path, default=default)
    parser.add_argument("--limit", type=int, default=20, help="prompts (default: 20)")
    parser.add_argument("--max-new", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    warnings.filterwarnings("ignore")
    if args.draft and args.target:
        pairs = [(args.draft, args.target)]
    else:
        weights = args.shared / "weights"
        if not weights.is_dir():
            sys.exit(f"{weights} is missing; name a pair with --draft and --target")
        pairs = [(weights / a, weights / b) for a in STORIES for b in STORIES if a != b]
    lines = args.prompts.read_text(encoding="utf-8").splitlines()[: args.limit]
    texts = [json.loads(line)["prompt"] for line in lines]
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.jsonl"
        prompts.write_text("\n".join(lines) + "\n", encoding="utf-8")
        results = [compare(args, pair, texts, prompts) for pair in pairs]
    print(json.dumps(results, indent=1) if args.json else table(results))


if __name__ == "__main__":
    main()
