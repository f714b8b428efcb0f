"""Compares `spec eval`'s suites of questions with lm-evaluation-harness, question by question.

    .oracle/bin/python tests/oracle/compare_suites.py [--binary FILE] [--shared DIR] [--limit N]
        [--models NAME,...] [--suites NAME,...] [--write]

For each model and suite: takes the first questions of the data in the shared folder, lets the harness
make requests of them by its own task, score them with its HFLM and choose, and lets the binary do the
same. The contexts and continuations must be the same texts, each log-likelihood the same to 1e-3 (or
1e-5 of it, where that is more), and acc and acc_norm of each question; these may differ where the
harness's own two best log-likelihoods are closer than that. Means and standard errors are compared, too.
Questions with an answer that has no ids of its own behind its context are left out: the harness stops at them.

The shared folder has no SWAG, and arithmark is the binary's own: for the former stand the questions of
tests/fixtures/suites, for the latter the harness is given the binary's questions. The questions of
tests/fixtures/suites are asked of all models, too, and tests/fixtures/suites.json says what the harness
makes of them; `make test` holds the binary against it where there is no harness. --write writes it.
Exits with 1 where anything differs.

For a TokenMonster vocabulary the harness has no tokenizer: it is given the ids of `spec tokenize`.
"""

from __future__ import annotations

import gzip
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

# Before the harness is imported, which reads them.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

import pyarrow
from compare_eval import language_model
from lm_eval import __version__ as harness_version
from lm_eval.api.metrics import mean_stderr, perplexity
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml
from oracle import FIXTURES, GSM_DRAFT, GSM_TARGET, ROOT, STORY_MODELS, arguments, load_model
from oracle import quiet, rounded
from oracle import write as write_fixture
from transformers import PreTrainedTokenizerFast

MODELS = [STORY_MODELS[1], GSM_DRAFT, GSM_TARGET]
FIXTURE_MODELS = [STORY_MODELS[1], GSM_DRAFT]
FIXTURE = FIXTURES / "suites.json"
OWN = FIXTURES / "suites"
TOLERANCE = (1e-3, 1e-5)
TIMEOUT_SECONDS = 3600

# The harness's task, its split, and the file in the shared folder, if there is one.
SUITES = {
    "arc-challenge": ("arc/arc_challenge", "test", "arc/arc_challenge_validation.jsonl"),
    "arc-easy": ("arc/arc_easy", "test", "arc/arc_easy_validation.jsonl"),
    "boolq": ("super_glue/boolq/default", "validation", "boolq/boolq_validation.jsonl.zst"),
    "copa": ("super_glue/copa/default", "validation", "copa/copa_validation.jsonl"),
    "hellaswag": ("hellaswag/hellaswag", "validation", "hellaswag/hellaswag_val.jsonl.zst"),
    "lambada": ("lambada/lambada_openai", "test", "lambada/lambada_openai.jsonl.zst"),
    "openbookqa": (
        "openbookqa/openbookqa",
        "test",
        "openbookqa/openbookqa_main_validation.jsonl",
    ),
    "piqa": ("piqa/piqa", "validation", "piqa/piqa_validation.jsonl"),
    "sciq": ("sciq/sciq", "test", "sciq/sciq_validation.jsonl"),
    "swag": ("swag/swag", "validation", None),
    "winogrande": ("winogrande/default", "validation", "winogrande/winogrande_xl_validation.jsonl"),
}
ARITHMARK = "arithmark"


@dataclass
class Judged:
    """A question as one side asks and judges it."""

    requests: list[list[str]]
    logs: list[float]
    acc: bool
    acc_norm: bool | None
    # Whether an answer has no ids of its own: the harness stops there.
    is_beyond: bool = False


@dataclass
class Side:
    """What one side makes of a suite."""

    questions: list[Judged]
    # By name: value and standard error.
    means: dict[str, tuple[float, float | None]]


# ---- data ------------------------------------------------------------------------------------


def lines(path: Path) -> list[dict]:
    """The rows of a file."""
    if path.suffix == ".zst":
        with pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd") as stream:
            text = stream.read().decode()
    elif path.suffix == ".gz":
        text = gzip.decompress(path.read_bytes()).decode()
    else:
        text = path.read_text("utf-8")
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def in_the_hubs_form(suite: str, row: dict) -> dict:
    """A row as the harness expects it."""
    if suite == "boolq" and "label" not in row:
        return {
            "passage": row["passage"],
            "question": row["question"],
            "label": int(row["answer"]),
        }
    if suite == "lambada" and "text" not in row:
        return {"text": f"{row['context']} {row['continuation']}"}
    if "query" in row:
        return row | {"label": str(row["gold"])}
    return row


def write_lines(path: Path, rows: list[dict]) -> None:
    """Writes rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


# ---- the harness -----------------------------------------------------------------------------


def task(suite: str, rows: list[dict], folder: Path) -> ConfigurableTask:
    """The harness's own task, on these rows."""
    if suite == ARITHMARK:
        split, config = "validation", {
            "output_type": "multiple_choice",
            "validation_split": "validation",
            "doc_to_text": "{{query}}",
            "doc_to_choice": "choices",
            "doc_to_target": "gold",
            "metric_list": [{"metric": "acc"}],
        }
    else:
        name, split, _ = SUITES[suite]
        config = load_yaml(files("lm_eval") / "tasks" / f"{name}.yaml")
    for own in ("training_split", "validation_split", "test_split", "tag", "dataset_name"):
        if config.get(own) != split:
            config.pop(own, None)
    # What the shared folder has of HellaSwag was processed already.
    if "query" in rows[0]:
        config.pop("process_docs", None)
    data = folder / "data.jsonl"
    write_lines(data, [in_the_hubs_form(suite, row) for row in rows])
    config |= {
        "task": suite,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {split: str(data)}, "cache_dir": str(folder / "cache")},
    }
    return ConfigurableTask(config=config)


class Foreign(HFLM):
    """A model whose tokenizer only the binary has."""

    def __init__(self, binary: Path, folder: Path) -> None:
        """`folder` is the model's."""
        # Stands where the harness wants one; nothing is encoded by it.
        path = folder.parent / STORY_MODELS[1] / "tokenizer.json"
        stand_in = PreTrainedTokenizerFast(
            tokenizer_file=str(path), bos_token="<s>", eos_token="</s>", pad_token="</s>"
        )
        super().__init__(
            pretrained=load_model(folder), tokenizer=stand_in, device="cpu", batch_size=16
        )
        self.binary, self.folder, self.known = binary, folder, {}
        config = json.loads((folder / "config.json").read_text("utf-8"))
        named = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        role = "bos" if named.get("bos_token") else "eos"
        self.custom_prefix_token_id = config[f"{role}_token_id"]
        # What the model begins with, as a tokenizer that adds special tokens would have it.
        command = [str(binary), "explore", "--model", str(folder), "--prompt", "a", "--json"]
        done = subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_SECONDS)
        begun = json.loads(done.stdout)["prompt_ids"]
        self.learn(["a"])
        self.begins_with = begun[: len(begun) - len(self.known["a"])]

    def learn(self, texts: list[str]) -> None:
        """Lets the binary encode texts."""
        command = [str(self.binary), "tokenize", "--tokenizer", str(self.folder), "--jsonl"]
        fresh = sorted(set(texts) - self.known.keys())
        if not fresh:
            return
        text = "".join(json.dumps({"text": text}) + "\n" for text in fresh)
        done = subprocess.run(
            command, input=text.encode(), check=True, capture_output=True, timeout=TIMEOUT_SECONDS
        )
        ids = [json.loads(line)["ids"] for line in done.stdout.decode().splitlines()]
        self.known |= dict(zip(fresh, ids, strict=True))

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: object
    ) -> list[int]:
        """The ids of a text that was learnt."""
        begin = self.begins_with if add_special_tokens is None else []
        return begin + self.known[string]

    def learn_requests(self, requests: list) -> None:
        """Learns all texts that these need."""
        texts = []
        for context, continuation in (request.args for request in requests):
            texts += [continuation, context + continuation, context.rstrip()]
        self.learn([text for text in texts if text])

    def loglikelihood(self, requests: list, disable_tqdm: bool = False) -> list:
        """Learns the texts first."""
        self.learn_requests(requests)
        return super().loglikelihood(requests, disable_tqdm)


def model_of(folder: Path, binary: Path) -> HFLM:
    """A model for the harness."""
    if not (folder / "tokenizer.json").exists():
        return Foreign(binary, folder)
    model = language_model(folder)
    # It makes the logits of all places of a batch, with copies: gigabytes where tokens are many.
    if model.model.config.vocab_size > 50_000:
        model.batch_size_per_gpu = 2
    return model


def by_harness(model: HFLM, own: ConfigurableTask) -> Side:
    """What the harness says of each question."""
    own.build_all_requests(rank=0, world_size=1)
    requests = sorted(own.instances, key=lambda request: (request.doc_id, request.idx))
    scores = model.loglikelihood(requests, disable_tqdm=True)
    grouped: dict[int, list] = {}
    for request, score in zip(requests, scores, strict=True):
        grouped.setdefault(request.doc_id, []).append((request, score))
    questions, metrics = [], {}
    for pairs in grouped.values():
        found = own.process_results(pairs[0][0].doc, [score for _, score in pairs])
        for name, value in found.items():
            metrics.setdefault(name, []).append(value)
        questions.append(
            Judged(
                [list(request.args) for request, _ in pairs],
                [score[0] for _, score in pairs],
                bool(found["acc"]),
                bool(found["acc_norm"]) if "acc_norm" in found else None,
            )
        )
    means = {}
    for name, values in metrics.items():
        if name == "perplexity":
            # Its own error is of random resamples.
            means[name] = (perplexity(values), None)
        else:
            means[name] = (sum(values) / len(values), mean_stderr(values))
    return Side(questions, means)


# ---- the binary ------------------------------------------------------------------------------


def by_binary(binary: Path, folder: Path, suites: list[str], data: Path, out: Path) -> dict:
    """What the binary says of each question of some suites, all in one run."""
    command = [
        *(str(binary), "eval", "--model", str(folder), "--suite", ",".join(suites)),
        *("--data", str(data), "--dtype", "fp32", "--threads", "1", "--out", str(out)),
        *("--limit", "1000000"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS)
    sides = {}
    for suite in suites:
        place = out / suite if len(suites) > 1 else out
        questions = [judged(row) for row in lines(place / "records.jsonl")]
        results = json.loads((place / "report.json").read_text("utf-8"))["results"]
        means = {
            name: (results[name]["value"], results[name]["standard_error"])
            for name in ("acc", "acc_norm", "perplexity")
            if name in results
        }
        sides[suite] = Side(questions, means)
    return sides


def judged(row: dict) -> Judged:
    """A record of the binary."""
    count = max(len(row["contexts"]), len(row["continuations"]))

    def each(texts: list[str]) -> list[str]:
        return texts * count if len(texts) == 1 and count > 1 else texts

    pairs = zip(each(row["contexts"]), each(row["continuations"]), strict=True)
    requests = [list(pair) for pair in pairs]
    beyond = row["encoded_alone"] > 0
    return Judged(requests, row["log_likelihoods"], row["acc"], row.get("acc_norm"), beyond)


# ---- comparison ------------------------------------------------------------------------------


def near(own: float, other: float) -> bool:
    """Whether two log-likelihoods are the same."""
    return abs(own - other) <= max(TOLERANCE[0], TOLERANCE[1] * abs(other))


def is_tie(question: Judged) -> bool:
    """Whether rounding may decide the answer of a question."""
    lengths = [len(continuation) - 1 or 1 for _, continuation in question.requests]
    normed = [log / length for log, length in zip(question.logs, lengths, strict=True)]
    for values in (question.logs, normed):
        first, second = sorted(values, reverse=True)[:2] if len(values) > 1 else (0.0, -1.0)
        if first - second < TOLERANCE[0]:
            return True
    return False


def compare(name: str, ours: Side, theirs: Side, left: int) -> bool:
    """Prints what differs; whether all is well. So many questions of the binary's were left out."""
    if len(ours.questions) != len(theirs.questions):
        print(f"{name}: {len(ours.questions)} and {len(theirs.questions)}", file=sys.stderr)
        return False
    most, wrong, ties = 0.0, 0, 0
    for place, (own, other) in enumerate(zip(ours.questions, theirs.questions, strict=True)):
        apart = [abs(one - two) for one, two in zip(own.logs, other.logs, strict=True)]
        most = max(most, *apart)
        logs = all(near(one, two) for one, two in zip(own.logs, other.logs, strict=True))
        answers = (own.acc, own.acc_norm) == (other.acc, other.acc_norm)
        tied = logs and not answers and is_tie(other)
        ties += tied
        if own.requests != other.requests or not logs or not (answers or tied):
            wrong += 1
            if wrong <= 3:
                print(f"{name}, question {place}: {own}, the harness {other}", file=sys.stderr)
    means = ties + left > 0 or all(
        math.isclose(value, theirs.means[key][0], rel_tol=1e-4)
        and (theirs.means[key][1] is None or math.isclose(error, theirs.means[key][1], rel_tol=1e-9))
        for key, (value, error) in ours.means.items()
    )
    same = ours.means.keys() == theirs.means.keys() and (means or ARITHMARK in name)
    beyond = f", {left} left out" if left else ""
    shown = ", ".join(f"{key} {value[0]:.4f}" for key, value in theirs.means.items())
    print(
        f"{name}: {len(ours.questions)} questions{beyond}, {wrong} differ, {ties} ties, log-likelihoods at "
        f"most {most:.1e} apart; {shown}{'' if same else '; OTHER MEANS'}",
        flush=True,
    )
    if not same:
        print(f"{name}: {ours.means}, the harness {theirs.means}", file=sys.stderr)
    return wrong == 0 and same


def case(model: str, suite: str, side: Side) -> dict:
    """A case of the fixture."""
    questions = side.questions
    return {
        "model": model,
        "suite": suite,
        "requests": [question.requests for question in questions],
        "logs": [[rounded(log, 8) for log in question.logs] for question in questions],
        "acc": [question.acc for question in questions],
        "acc_norm": [question.acc_norm for question in questions],
        "means": {
            name: [None if part is None else rounded(part, 8) for part in value]
            for name, value in side.means.items()
        },
    }


class Bench:
    """A model on both sides."""

    def __init__(self, name: str, options: object, folder: Path) -> None:
        self.name, self.options, self.folder = name, options, folder
        self.weights = options.shared / "weights" / name
        self.model = model_of(self.weights, options.binary)

    def ask(self, label: str, data: dict[str, list[dict]]) -> tuple[bool, dict[str, Side]]:
        """Asks both sides the rows of some suites, and arithmark's sums."""
        folder = self.folder / f"{self.name}-{label}"
        for suite, rows in data.items():
            write_lines(folder / "data" / f"{suite}.jsonl", rows)
        suites = [*data] if label == "own" else [*data, ARITHMARK]
        out = folder / "out"
        ours = by_binary(self.options.binary, self.weights, suites, folder / "data", out)
        good, theirs = True, {}
        for suite in suites:
            rows = sums(out / suite) if suite == ARITHMARK else data[suite]
            asked = zip(rows[: 3 * self.options.limit], ours[suite].questions, strict=False)
            asked = list(asked)
            kept = [(row, question) for row, question in asked if not question.is_beyond]
            theirs[suite] = by_harness(
                self.model, task(suite, [row for row, _ in kept], folder / suite)
            )
            left = len(asked) - len(kept)
            ours[suite].questions = [question for _, question in kept]
            good &= compare(f"{self.name}, {suite} ({label})", ours[suite], theirs[suite], left)
        return good, theirs


def sums(out: Path) -> list[dict]:
    """Arithmark's questions, of each number of operations as many."""
    rows = [
        {
            "query": row["contexts"][0],
            "choices": [text[1:] for text in row["continuations"]],
            "gold": row["gold"],
        }
        for row in lines(out / "records.jsonl")
    ]
    return rows


def main() -> int:
    """Compares all models."""
    parser = arguments(__doc__)
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "spec")
    parser.add_argument("--limit", type=int, default=200, help="questions a suite (default: 200)")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--suites", default=",".join(SUITES))
    parser.add_argument("--write", action="store_true", help="write the fixture")
    options = parser.parse_args()
    quiet()
    logging.disable(logging.WARNING)
    chosen = options.suites.split(",")
    own = {suite: lines(OWN / f"{suite}.jsonl") for suite in SUITES}
    shared = {}
    for suite in chosen:
        file = SUITES[suite][2]
        rows = lines(options.shared / "eval" / file) if file else own[suite]
        shared[suite] = rows[: options.limit]
    cases, good = [], True
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models.split(","):
            bench = Bench(name, options, Path(folder))
            fine, sides = bench.ask("own", own)
            good &= fine
            if name in FIXTURE_MODELS:
                cases += [case(name, suite, side) for suite, side in sides.items()]
            if not options.write:
                good &= bench.ask("shared", shared)[0]
    if options.write:
        write_fixture(FIXTURE, {"harness": harness_version}, cases)
        return 0 if good else 1
    wanted = options.models.split(",")
    known = json.loads(FIXTURE.read_text("ascii"))["cases"]
    known = [row for row in known if row["model"] in wanted]
    good &= same_fixture(cases, known)
    return 0 if good else 1


def same_fixture(now: list[dict], known: list[dict]) -> bool:
    """Whether the harness says today what the fixture says."""

    def side(row: dict) -> Side:
        parts = zip(row["requests"], row["logs"], row["acc"], row["acc_norm"], strict=True)
        means = {name: tuple(value) for name, value in row["means"].items()}
        return Side([Judged(*part) for part in parts], means)

    def names(row: dict) -> tuple[str, str]:
        return row["model"], row["suite"]

    now, known = sorted(now, key=names), sorted(known, key=names)
    if [*map(names, now)] != [*map(names, known)]:
        print("the fixture has other cases; write it anew with --write", file=sys.stderr)
        return False
    wrong = 0
    for one, two in zip(now, known, strict=True):
        for own, other in zip(side(one).questions, side(two).questions, strict=True):
            logs = all(near(a, b) for a, b in zip(own.logs, other.logs, strict=True))
            wrong += own.requests != other.requests or not logs
    print(f"the harness now and the fixture: {len(now)} cases, {wrong} questions differ")
    return wrong == 0


if __name__ == "__main__":
    sys.exit(main())
