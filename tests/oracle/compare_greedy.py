"""Compares greedy decoding by `spec bench` with transformers' generate, id by id.

    .oracle/bin/python tests/oracle/compare_greedy.py [--binary FILE] [--shared DIR] [--limit N]
        [--only TEXT]

For each pair and method: runs the binary on one prompt file, encodes the same prompts with the
target's own tokenizer, lets transformers decode them, and compares the ids of every record. Both
the plain records and those of the method must be the same; they may part where the two best logits
of transformers are closer than 1e-4 (a tie). Exits with 1 where anything differs.

What this script takes for granted about the binary is in `command` and `read_records`, and nowhere
else. A target with a TokenMonster vocabulary has no tokenizer here and is not compared.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import stories
from oracle import (
    GSM_DRAFT,
    GSM_PROMPT,
    GSM_TARGET,
    ROOT,
    STORY_MODELS,
    arguments,
    greedy,
    load_model,
    load_tokenizer,
    questions,
    quiet,
)

MAX_NEW = 64
PLAIN = "plain"
# Prompts that the binary leaves out (too long, or with characters that a tokenizer lacks) are
# counted; more than this share of them is an error.
MISSING_SHARE = 0.2
TIMEOUT_SECONDS = 3600

TINYSTORIES, STORIES260K, BABYLLAMA = STORY_MODELS
ACROSS = ["slem", "tli", "tree", "byte"]
# Draft, target, methods.
PAIRS = [
    (STORIES260K, TINYSTORIES, ACROSS),
    (TINYSTORIES, STORIES260K, ACROSS),
    (STORIES260K, BABYLLAMA, ACROSS),
    (BABYLLAMA, STORIES260K, ACROSS),
    (STORIES260K, STORIES260K, ["identity", *ACROSS]),
    (GSM_DRAFT, GSM_TARGET, ACROSS),
]


# ---- the binary: adapt here ------------------------------------------------------------------


def command(
    binary: Path, folders: tuple[Path, Path], method: str, prompts: Path, limit: int, out: Path
) -> list[str]:
    """The command line of one run; `folders` are those of draft and target."""
    draft, target = (str(folder) for folder in folders)
    return [
        *(str(binary), "bench", "--draft", draft, "--target", target, "--method", method),
        *("--temperature", "0", "--prompts", str(prompts), "--limit", str(limit)),
        *("--max-new", str(MAX_NEW), "--out", str(out), "--json"),
    ]


def prompt_line(text: str) -> str:
    """A line of the prompt file."""
    return json.dumps({"prompt": text})


@dataclass
class Record:
    """What is compared of a line of records.jsonl."""

    case: str
    prompt_index: int
    prompt_tokens: int
    ids: list[int]


def read_records(out: Path) -> list[Record]:
    """The records that a run wrote."""
    records = []
    for line in (out / "records.jsonl").read_text("utf-8").splitlines():
        value = json.loads(line)
        if value["kind"] == "record":
            fields = ("case", "prompt_index", "prompt_tokens", "ids")
            records.append(Record(*(value[field] for field in fields)))
    return records


# ---- transformers ----------------------------------------------------------------------------


@dataclass
class Reference:
    """What transformers emits for a prompt."""

    prompt_tokens: int
    ids: list[int]
    ties: list[int]


def prompt_texts(shared: Path, target: str, limit: int) -> list[str]:
    """The prompts of a target."""
    if target == GSM_TARGET:
        return [GSM_PROMPT.format(question=text) for text in questions(shared, limit)]
    return stories.OPENINGS[:limit]


def references(shared: Path, target: str, texts: list[str]) -> list[Reference]:
    """Greedy decoding by transformers, with the specials that the tokenizer adds."""
    folder = shared / "weights" / target
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    found = []
    for text in texts:
        prompt = tokenizer.encode(text).ids
        found.append(Reference(len(prompt), *greedy(model, prompt, MAX_NEW)))
    return found


# ---- comparison ------------------------------------------------------------------------------


@dataclass
class Tally:
    """How the prompts of one case came out."""

    same: int = 0
    ties: int = 0
    wrong: int = 0

    def total(self) -> int:
        """All prompts seen."""
        return self.same + self.ties + self.wrong


def check(record: Record, expected: Reference) -> tuple[str, str]:
    """`same`, `ties` or `wrong`, and what is wrong."""
    if record.prompt_tokens != expected.prompt_tokens:
        counts = f"{record.prompt_tokens} prompt tokens, transformers {expected.prompt_tokens}"
        return "wrong", counts
    if record.ids == expected.ids:
        return "same", ""
    pairs = enumerate(zip(record.ids, expected.ids, strict=False))
    shorter = min(len(record.ids), len(expected.ids))
    first = next((place for place, (ours, theirs) in pairs if ours != theirs), shorter)
    if first in expected.ties:
        return "ties", ""
    ours, theirs = record.ids[first : first + 5], expected.ids[first : first + 5]
    return "wrong", f"at {first}: {ours}, transformers {theirs}"


def compare(records: list[Record], expected: list[Reference], method: str) -> bool:
    """Prints a line for each case and the first differences; whether all is well."""
    well = True
    for case in (PLAIN, method):
        tally, notes, seen = Tally(), [], set()
        for record in (record for record in records if record.case == case):
            outcome, note = check(record, expected[record.prompt_index])
            setattr(tally, outcome, getattr(tally, outcome) + 1)
            seen.add(record.prompt_index)
            if note:
                notes.append(f"      prompt {record.prompt_index}: {note}")
        missing = len(expected) - len(seen)
        print(
            f"    {case:10} {tally.same} the same, {tally.ties} part at a tie, "
            f"{tally.wrong} wrong, {missing} left out",
            flush=True,
        )
        print("".join(note + "\n" for note in notes[:5]), end="")
        twice = tally.total() != len(seen)
        if twice:
            print("      some prompts have more than one record")
        well &= not (tally.wrong or twice or missing > MISSING_SHARE * len(expected))
    others = {record.case for record in records} - {PLAIN, method}
    if others:
        print(f"    unexpected cases: {', '.join(sorted(others))}")
    return well and not others


def title(draft: str, target: str, method: str) -> str:
    """The name of a run."""
    return f"{draft} -> {target}, {method}"


def run_pair(args, pair: tuple[str, str], method: str, expected: list[Reference]) -> bool:
    """Runs the binary on a pair, and compares."""
    draft, target = pair
    print(f"  {title(draft, target, method)}", flush=True)
    folders = tuple(args.shared / "weights" / name for name in pair)
    with tempfile.TemporaryDirectory(prefix="spec-oracle-") as scratch:
        prompts, out = Path(scratch) / "prompts.jsonl", Path(scratch) / "run"
        texts = prompt_texts(args.shared, target, args.limit)
        prompts.write_text("".join(prompt_line(text) + "\n" for text in texts), "utf-8")
        line = command(args.binary, folders, method, prompts, args.limit, out)
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"    not done after {TIMEOUT_SECONDS} s: {' '.join(line)}")
            return False
        if done.returncode != 0:
            print(f"    exit status {done.returncode}: {' '.join(line)}\n{done.stderr[-2000:]}")
            return False
        json.loads(done.stdout)  # --json: standard output is one object
        return compare(read_records(out), expected, method)


def main() -> int:
    """Runs all pairs."""
    parser = arguments(__doc__)
    default = ROOT / "build" / "release" / "spec"
    parser.add_argument(
        "--binary", type=Path, default=default, help="default: build/release/spec"
    )
    parser.add_argument("--limit", type=int, default=50, help="prompts a pair (default: 50)")
    parser.add_argument("--only", default="", help="part of a line `DRAFT -> TARGET, METHOD`")
    args = parser.parse_args()
    runs = [(draft, target, method) for draft, target, methods in PAIRS for method in methods]
    runs = [run for run in runs if args.only in title(*run)]
    if not runs:
        parser.error(f"no pair holds {args.only!r}")
    if not args.binary.is_file():
        sys.exit(f"{args.binary} is not built: cargo build --release")
    quiet()
    made: dict[str, list[Reference]] = {}
    failed = []
    for draft, target, method in runs:
        if target not in made:
            print(f"  transformers: {target}", flush=True)
            texts = prompt_texts(args.shared, target, args.limit)
            made[target] = references(args.shared, target, texts)
        if not run_pair(args, (draft, target), method, made[target]):
            failed.append(title(draft, target, method))
    for name in failed:
        print(f"FAILED: {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
