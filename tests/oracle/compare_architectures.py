"""Compares this project's models with transformers, all positions and all ids.

    .oracle/bin/python tests/oracle/compare_architectures.py [--binary FILE] [--device cuda]
        [--threads N] [--out FILE] [--only TEXT] [--quick]

Weights come from the formula of weights.py, and both sides read the same file. In float32: the
random configurations of the fixture; the drafts' published shapes, whole and to their full context;
the targets' true widths with two layers, over 2,048 positions (or beyond their window); two targets
whole, with 512 positions and 64 greedy tokens; all rotary tables to the last position. In bf16 and
fp16: the error of the random configurations' logits beside that of transformers, both against
transformers' float32. And the memory that loading a large checkpoint takes. Exits with 1 where a
bound does not hold.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

import architectures
from architectures import checkpoint, full_config, published
from oracle import FIXTURES, ROOT, arguments, greedy, quiet
from random_configs import MAX_NEW, SEED, RandomCase
from runner import JobError, Runner, numbers

LOGITS_BOUND = 1e-4
ROTARY_BOUND = 1e-6
RATIO_BOUND = 1.1
MEMORY_BOUND = 1.15
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
WHOLE = ["smollm2-135m", "llama-3.2-1b"]
WHOLE_POSITIONS = 512
WIDE_LAYERS, WIDE_POSITIONS = 2, 2048
BLOCK = 256
MEMORY_MODEL = "llama-3.2-1b"


@dataclass
class Row:
    """A line of the table and of the raw results; what does not apply is None."""

    case: str
    kind: str
    parameters: int | None = None
    positions: int | None = None
    spread: float | None = None
    largest_logit: float | None = None
    largest_difference: float | None = None
    greedy: str | None = None
    reference_seconds: float | None = None
    seconds: float | None = None
    peak_bytes: int | None = None
    checkpoint_bytes: int | None = None
    # Mean squared errors of ours and of transformers, for each type.
    squares: dict[str, tuple[float, float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


HEAD = (
    f"{'case':32} {'parameters':>13} {'positions':>9} {'spread':>6} {'largest':>7} "
    f"{'difference':>10} {'greedy':>8} {'theirs s':>8} {'ours s':>7}"
)


def line(row: Row) -> str:
    """A row as text."""

    def shown(value: object, form: str) -> str:
        return "-" if value is None else format(value, form)

    text = (
        f"{row.case:32} {shown(row.parameters, ','):>13} {shown(row.positions, ','):>9} "
        f"{shown(row.spread, '.2f'):>6} {shown(row.largest_logit, '.1f'):>7} "
        f"{shown(row.largest_difference, '.1e'):>10} {row.greedy or '-':>8} "
        f"{shown(row.reference_seconds, '.1f'):>8} {shown(row.seconds, '.1f'):>7}"
    )
    return text + "".join(f"\n    WRONG: {reason}" for reason in row.wrong)


# ---- logits ----------------------------------------------------------------------------------


@dataclass
class Task:
    """A model to be compared; `generate` is 0 where nothing is continued."""

    case: RandomCase
    kind: str
    generate: int = 0
    attention: str = "eager"
    block: int | None = None
    expected: tuple[list[int], list[int]] | None = None


def reference_logits(model, ids: list[int], out: Path) -> None:
    """Writes transformers' logits of all positions, some rows at a time."""
    hidden = model.model(torch.tensor([ids]), use_cache=False).last_hidden_state[0]
    with open(out, "wb") as file:
        for rows in hidden.split(BLOCK):
            file.write(model.lm_head(rows).float().numpy().tobytes())


def judge_greedy(row: Row, ours: list[int], expected: tuple[list[int], list[int]]) -> None:
    """Compares continuations up to the first near tie."""
    theirs, ties = expected
    pairs = enumerate(zip(ours, theirs, strict=True))
    first = next((place for place, (a, b) in pairs if a != b), None)
    if first is None:
        row.greedy = "equal"
    elif first in ties:
        row.greedy = f"tie {first}"
    else:
        row.greedy = f"WRONG {first}"
        row.wrong.append(f"greedy decoding parts at {first}, which is no near tie")


def judge_logits(row: Row, ours: np.ndarray, theirs: np.ndarray) -> None:
    """Largest difference and spread, some rows at a time."""
    worst, largest, total, squares = 0.0, 0.0, 0.0, 0.0
    for start in range(0, len(ours), BLOCK):
        a, b = (part[start : start + BLOCK].astype(np.float64) for part in (ours, theirs))
        difference = np.abs(a - b).max()
        worst = max(worst, np.inf if np.isnan(difference) else difference)
        largest = max(largest, np.abs(b).max())
        total, squares = total + b.sum(), squares + np.square(b).sum()
    row.largest_difference, row.largest_logit = float(worst), float(largest)
    row.spread = float(np.sqrt(squares / theirs.size - (total / theirs.size) ** 2))
    if worst > LOGITS_BOUND:
        row.wrong.append(f"logits differ by {worst:.2e}, more than {LOGITS_BOUND}")


def precision(row: Row, runner: Runner, task: Task, folder: Path, truth: np.ndarray) -> None:
    """Errors of both sides in the narrow types."""
    for name, dtype in TYPES.items():
        model = architectures.load(folder, dtype, "sdpa")
        theirs = architectures.logits(model, task.case.ids).double().numpy()
        out = folder / "narrow"
        answer = runner.logits(folder, task.case.ids, name, out)
        ours = numbers(out, answer.shape)
        errors = [np.square(side - truth.astype(np.float64)).mean() for side in (ours, theirs)]
        row.squares[name] = (float(errors[0]), float(errors[1]))


def compare(task: Task, runner: Runner) -> Row:
    """Runs a model on both sides, theirs first; only one of them is in memory at a time."""
    case, config = task.case, full_config(task.case.config)
    row = Row(case.name, task.kind, positions=len(case.ids))
    with checkpoint(config, case.seed) as folder:
        started = time.monotonic()
        model = architectures.load(folder, attention=task.attention)
        reference_logits(model, case.ids, folder / "theirs")
        expected = task.expected
        if task.generate and expected is None:
            expected = greedy(model, case.ids[: case.prompt], task.generate)
        del model
        gc.collect()
        row.reference_seconds = time.monotonic() - started
        started = time.monotonic()
        job = {"generate": task.generate, "prompt": case.prompt, "block": task.block}
        try:
            answer = runner.logits(folder, case.ids, "fp32", folder / "ours", **job)
        except JobError as error:
            row.wrong.append(str(error))
            return row
        row.seconds, row.peak_bytes = time.monotonic() - started, answer.peak_bytes
        row.parameters = answer.parameters
        ours, theirs = (numbers(folder / name, answer.shape) for name in ("ours", "theirs"))
        judge_logits(row, ours, theirs)
        if expected is not None:
            judge_greedy(row, answer.greedy, expected)
        if task.kind == "random":
            precision(row, runner, task, folder, theirs)
    return row


def random_tasks(args) -> list[Task]:
    """The random configurations of the fixture."""
    text = (FIXTURES / "architectures.json").read_text("ascii")
    drafts = {entry["name"] for entry in published("draft")}
    tasks = []
    for value in json.loads(text)["cases"]:
        if value["name"] not in drafts:
            fields = ("name", "config", "seed", "ids", "prompt")
            case = RandomCase(*(value[name] for name in fields))
            expected = (value["output_ids"], value["ties"])
            tasks.append(Task(case, "random", MAX_NEW, expected=expected))
    return tasks[::5] if args.quick else tasks


def shape_case(entry: dict, positions: int, layers: int | None = None) -> RandomCase:
    """A published shape, of which only some layers are kept."""
    config, name = dict(entry["config"]), entry["name"]
    if layers is not None:
        config["num_hidden_layers"] = layers
        name += f", {layers} layers"
    rng = np.random.default_rng([SEED, config["hidden_size"], config["vocab_size"]])
    ids = rng.integers(0, config["vocab_size"], positions).tolist()
    return RandomCase(name, config, SEED, ids, positions)


def shape_tasks(args) -> list[Task]:
    """The published shapes: drafts whole, targets two layers deep, two targets whole."""
    tasks = []
    for entry in published("draft"):
        case = architectures.draft_case(entry)
        if args.quick:
            case.ids, case.prompt = case.ids[:128], 64
        tasks.append(Task(case, "draft", MAX_NEW))
    for entry in published("target"):
        # Somewhat beyond the window, where there is one.
        window = entry["config"].get("sliding_window") or 0
        positions = max(WIDE_POSITIONS, window + BLOCK if window else 0)
        if args.quick:
            if entry["config"]["hidden_size"] > 1024:
                continue
            positions = 128
        case = shape_case(entry, positions, WIDE_LAYERS)
        tasks.append(Task(case, "wide", attention="sdpa", block=2 * BLOCK))
    for entry in published("target"):
        if entry["name"] in WHOLE and not args.quick:
            tasks.append(Task(shape_case(entry, WHOLE_POSITIONS), "whole", MAX_NEW))
    return tasks


# ---- rotary tables and memory ----------------------------------------------------------------


def compare_rotary(entry: dict, runner: Runner) -> Row:
    """All entries of the rotary tables of a published shape, to the last position."""
    config = full_config(entry["config"])
    context = config["max_position_embeddings"]
    row = Row(f"rotary {entry['name']}", "rotary", positions=context)
    with tempfile.TemporaryDirectory(prefix="spec-oracle-") as folder:
        started = time.monotonic()
        theirs = torch.stack(architectures.rotary(config, torch.arange(context))).numpy()
        row.reference_seconds = time.monotonic() - started
        out = Path(folder) / "tables"
        answer = runner.work({"rotary": config, "out": str(out)})
        row.seconds = sum(answer.seconds)
        ours = numbers(out, (2, *answer.shape))
        row.largest_difference = float(np.abs(ours - theirs).max())
    if not row.largest_difference <= ROTARY_BOUND:
        row.wrong.append(f"tables differ by {row.largest_difference:.2e}")
    return row


def compare_memory(args) -> Row:
    """Peak resident memory of loading a bf16 checkpoint in bf16 and reading one id."""
    (entry,) = (entry for entry in published("target") if entry["name"] == MEMORY_MODEL)
    config = full_config(entry["config"])
    row = Row(f"memory {MEMORY_MODEL}, bf16", "memory", positions=1)
    with (
        checkpoint(config, SEED, "BF16") as folder,
        Runner(args.binary, args.device, args.threads) as runner,
    ):
        answer = runner.logits(folder, [1], "bf16", folder / "ours")
        row.checkpoint_bytes = (folder / "model.safetensors").stat().st_size
    row.parameters, row.peak_bytes = answer.parameters, answer.peak_bytes
    row.seconds = sum(answer.seconds)
    if row.peak_bytes > MEMORY_BOUND * row.checkpoint_bytes:
        row.wrong.append(f"peak memory is more than {MEMORY_BOUND} times the checkpoint")
    return row


# ---- the whole -------------------------------------------------------------------------------


def ratios(rows: list[Row]) -> list[str]:
    """Prints errors in the narrow types, each configuration counting once; what is wrong."""
    pooled = defaultdict(list)
    for row in rows:
        for name, squares in row.squares.items():
            pooled[name, row.case.rpartition(" ")[0]].append(squares)
            pooled[name, "all"].append(squares)
    wrong = []
    for (name, group), squares in sorted(pooled.items()):
        ours, theirs = np.sqrt(np.mean(squares, axis=0))
        single = np.sqrt([a / b for a, b in squares])
        print(
            f"{name} {group:14} {len(squares):3} models: RMS error ours {ours:.5f}, transformers "
            f"{theirs:.5f}, ratio {ours / theirs:.3f}; of single models {single.min():.2f} to "
            f"{single.max():.2f}, geometric mean {np.exp(np.log(single).mean()):.3f}"
        )
        if name == "bf16" and not ours / theirs <= RATIO_BOUND:
            wrong.append(f"bf16, {group}: errors are {ours / theirs:.3f} times transformers'")
    return wrong


def run(args) -> list[Row]:
    """Every comparison that was asked for, a line printed for each."""
    rows: list[Row] = []

    def note(row: Row) -> None:
        rows.append(row)
        print(line(row), flush=True)
        if args.out:
            with open(args.out, "a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")

    print(HEAD)
    with Runner(args.binary, args.device, args.threads) as runner:
        for task in random_tasks(args):
            if args.only in task.case.name:
                note(compare(task, runner))
        for entry in published("draft") + published("target"):
            if args.only in f"rotary {entry['name']}":
                note(compare_rotary(entry, runner))
    for task in shape_tasks(args):
        if args.only in task.case.name:
            with Runner(args.binary, args.device, args.threads) as runner:
                note(compare(task, runner))
    if args.only in f"memory {MEMORY_MODEL}" and not args.quick and args.device == "cpu":
        row = compare_memory(args)
        note(row)
        print(f"    peak {row.peak_bytes:,} bytes, checkpoint {row.checkpoint_bytes:,} bytes")
    return rows


def main() -> int:
    """Runs what was asked for."""
    parser = arguments(__doc__)
    default = ROOT / "build" / "release" / "logits"
    parser.add_argument(
        "--binary", type=Path, default=default, help="default: build/release/logits"
    )
    parser.add_argument("--device", default="cpu", help="of this project's side (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="of both sides (default: 1)")
    parser.add_argument("--out", type=Path, help="file that gets a line of raw results a case")
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--quick", action="store_true", help="a fifth of it, in a minute")
    args = parser.parse_args()
    if not args.binary.is_file():
        sys.exit(f"{args.binary} is not built: cargo build --release -p spec-tests --bin logits")
    if args.out:
        args.out.write_text("", "utf-8")
    quiet()
    torch.set_num_threads(args.threads)
    rows = run(args)
    if not rows:
        parser.error(f"no case holds {args.only!r}")
    wrong = [f"{row.case}: {reason}" for row in rows for reason in row.wrong] + ratios(rows)
    worst = max(row.largest_difference or 0.0 for row in rows if row.kind != "rotary")
    print(f"{len(rows)} cases, the largest difference of logits {worst:.1e}, {len(wrong)} wrong")
    for reason in wrong:
        print(f"FAILED: {reason}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
