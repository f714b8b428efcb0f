"""The speed of `spec eval` on the CPU beside lm-evaluation-harness, in one run, in turns.

    benchmarks/eval.sh [--shared DIR] [--models NAME,...] [--suites NAME,...] [--limit N] [--rounds N]
        [--threads N] [--batches N,...] [--out DIR]

Both are given the same questions and the same model in 32-bit floats: the first questions of a suite (of
BLiMP the first of each paradigm, as many in all) in the shared folder. Of the harness only the call that
scores is timed: its start, loading the model, and making prompts of the data are left out, and so is
tokenising where the binary has done it (TokenMonster). Of the binary all of that is in, from the start of
the process to its end. The harness's batch is the fastest of --batches, tried once before the rounds.

A round measures both once; what goes first changes from round to round. Ratios are those of a round: the
median [least, greatest]. Processor time is user and system time of all threads; it depends less on what
else the machine does. The answers must be the same: figures are compared, too. Prints Markdown; --out gets
it and records.jsonl.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "oracle"))

import torch
from compare_eval import pairs
from compare_eval import task as blimp_task
from compare_suites import SUITES, lines, model_of, task, write_lines
from oracle import GSM_DRAFT, STORY_MODELS, arguments, quiet

DEFAULT_SUITES = ["blimp", "hellaswag", "piqa", "arc-easy"]
PARADIGMS = 67
TIMEOUT_SECONDS = 3600


@dataclass
class Spent:
    """What a run took, and what it found."""

    seconds: float
    processor: float
    accuracy: float


class Harness:
    """The harness with one model."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self.model = model_of(folder, binary)

    def prepare(self, suite: str, rows: list[dict], folder: Path) -> None:
        """Makes requests, and tokenises where that is not the harness's to do."""
        data = folder / "harness.jsonl"
        write_lines(data, rows)
        cache = folder / "cache"
        self.task = blimp_task(data, cache) if suite == "blimp" else task(suite, rows, folder)
        self.task.build_all_requests(rank=0, world_size=1)
        own = self.task.instances
        self.requests = sorted(own, key=lambda request: (request.doc_id, request.idx))
        if hasattr(self.model, "learn_requests"):
            self.model.learn_requests(self.requests)

    def run(self, batch: int) -> Spent:
        """Scores all requests."""
        self.model.batch_size_per_gpu = batch
        begun, used = time.perf_counter(), time.process_time()
        scores = self.model.loglikelihood(self.requests, disable_tqdm=True)
        seconds, processor = time.perf_counter() - begun, time.process_time() - used
        grouped: dict[int, list] = {}
        for request, score in zip(self.requests, scores, strict=True):
            grouped.setdefault(request.doc_id, []).append((request.doc, score))
        right = [
            self.task.process_results(own[0][0], [score for _, score in own])["acc"]
            for own in grouped.values()
        ]
        return Spent(seconds, processor, sum(right) / len(right))


def by_binary(options: object, folder: Path, suite: str, data: Path) -> Spent:
    """The same by the binary, from its start to its end."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            *(str(options.binary), "eval", "--model", str(folder), "--suite", suite),
            *("--data", str(data), "--dtype", "fp32", "--threads", str(options.threads)),
            *("--out", f"{out}/run"),
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.perf_counter()
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_SECONDS,
        )
        seconds = time.perf_counter() - begun
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        report = json.loads(Path(out, "run", "report.json").read_text("utf-8"))
    results = report["results"]
    accuracy = results.get("acc") or results["accuracy_of_pairs"]
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(seconds, processor, accuracy["value"])


def rows_of(options: object, suite: str) -> list[dict]:
    """The first questions of a suite."""
    if suite == "blimp":
        return pairs(options.shared, max(1, options.limit // PARADIGMS))
    file = SUITES[suite][2]
    return lines(options.shared / "eval" / file)[: options.limit]


def measure(options: object, name: str, suite: str, harness: Harness, folder: Path) -> dict:
    """Both on one suite, in turns."""
    weights = options.shared / "weights" / name
    rows = rows_of(options, suite)
    data = folder / f"{suite}.jsonl"
    write_lines(data, rows)
    harness.prepare(suite, rows, folder)
    tried = {batch: harness.run(batch).seconds for batch in options.batches}
    batch = min(tried, key=tried.get)
    ours, theirs = [], []
    for number in range(options.rounds):
        turns = [
            lambda: ours.append(by_binary(options, weights, suite, data)),
            lambda: theirs.append(harness.run(batch)),
        ]
        for turn in turns if number % 2 == 0 else reversed(turns):
            turn()
    return {
        "model": name,
        "suite": suite,
        "questions": len(rows),
        "requests": len(harness.requests),
        "batch": batch,
        "threads": options.threads,
        "spec": [vars(own) for own in ours],
        "harness": [vars(own) for own in theirs],
    }


def ratios(record: dict, part: str) -> str:
    """How many times as long the harness takes."""
    both = zip(record["harness"], record["spec"], strict=True)
    values = sorted(theirs[part] / ours[part] for theirs, ours in both)
    return f"{statistics.median(values):.1f} [{values[0]:.1f}, {values[-1]:.1f}]"


def page(records: list[dict]) -> str:
    """The table."""
    names = ["model", "suite", "requests", "batch", "threads", "time", "processor time", "same acc"]
    text = "How many times as long as `spec eval` lm-evaluation-harness takes:\n\n"
    text += "| " + " | ".join(names) + " |\n| --- | --- " + "| ---: " * 5 + "| --- |\n"
    for own in records:
        pair = [{round(run["accuracy"], 9) for run in own[side]} for side in ("spec", "harness")]
        cells = [own["model"], own["suite"], f"{own['requests']:,}", own["batch"], own["threads"]]
        cells += [ratios(own, "seconds"), ratios(own, "processor")]
        cells += ["yes" if pair[0] == pair[1] else f"NO: {pair}"]
        text += "| " + " | ".join(map(str, cells)) + " |\n"
    return text


def main() -> int:
    """Measures all."""
    parser = arguments(__doc__)
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "spec")
    parser.add_argument("--models", default=f"{GSM_DRAFT},{STORY_MODELS[0]}")
    parser.add_argument("--suites", default=",".join(DEFAULT_SUITES))
    parser.add_argument("--limit", type=int, default=402, help="questions a suite (default: 402)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--batches", default="1,8,32,64")
    parser.add_argument("--out", type=Path, help="a folder to make")
    options = parser.parse_args()
    options.batches = [int(own) for own in options.batches.split(",")]
    quiet()
    torch.set_num_threads(options.threads)
    logging.disable(logging.WARNING)
    records = []
    for name in options.models.split(","):
        harness = Harness(options.shared / "weights" / name, options.binary)
        for suite in options.suites.split(","):
            with tempfile.TemporaryDirectory() as folder:
                records.append(measure(options, name, suite, harness, Path(folder)))
            print(f"{name} {suite}: {ratios(records[-1], 'seconds')}", file=sys.stderr, flush=True)
    text = page(records)
    print(text)
    if options.out:
        options.out.mkdir(parents=True)
        write_lines(options.out / "records.jsonl", records)
        (options.out / "report.md").write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
