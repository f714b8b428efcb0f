"""Compares `spec eval` with lm-evaluation-harness, sentence by sentence.

    .oracle/bin/python tests/oracle/compare_eval.py [--binary FILE] [--shared DIR] [--pairs N]
        [--write]

For each model: takes the first pairs of each paradigm of BLiMP, lets the harness make requests of
them by its own task, score them with its HFLM and choose, and lets the binary do the same. Each
log-likelihood must be the same to 1e-3, and each choice; choices may differ where the harness's own
two log-likelihoods are closer than that. The first two pairs of each paradigm must also be what
tests/fixtures/eval.json says, which `make test` holds the binary against where there is no harness;
--write writes it. Exits with 1 where anything differs.

A model with a TokenMonster vocabulary has no tokenizer here and is not compared. No dataset is
downloaded: the task is the harness's, its data the file in the shared folder.
"""

from __future__ import annotations

import json
import logging
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
}

import pyarrow
import yaml
from lm_eval import __version__ as harness_version
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from oracle import FIXTURES, GSM_TARGET, ROOT, STORY_MODELS, arguments, load_model, quiet, rounded
from oracle import write as write_fixture
from transformers import PreTrainedTokenizerFast

MODELS = [STORY_MODELS[0], GSM_TARGET]
FIXTURE = FIXTURES / "eval.json"
FIXTURE_PAIRS = 2
TOLERANCE = 1e-3
TIMEOUT_SECONDS = 3600


@dataclass
class Judged:
    """A pair of sentences as one side judges it."""

    paradigm: str
    good: float
    bad: float
    correct: bool


def pairs(shared: Path, count: int) -> list[dict]:
    """The first pairs of each paradigm, in the order of the data."""
    path = shared / "eval" / "blimp" / "blimp.jsonl.zst"
    seen: dict[str, int] = {}
    chosen = []
    with pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd") as stream:
        for line in stream.read().decode().splitlines():
            pair = json.loads(line)
            seen[pair["UID"]] = seen.get(pair["UID"], 0) + 1
            if seen[pair["UID"]] <= count:
                chosen.append(pair)
    return chosen


# ---- the harness -----------------------------------------------------------------------------


def task(data: Path, cache: Path) -> ConfigurableTask:
    """The harness's own BLiMP task, on a file."""
    template = files("lm_eval") / "tasks" / "blimp" / "_template_yaml"
    config = yaml.safe_load(template.read_text())
    config |= {
        "task": "blimp",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"train": str(data)}, "cache_dir": str(cache)},
    }
    return ConfigurableTask(config=config)


def language_model(folder: Path) -> HFLM:
    """The model and the tokenizer of its tokenizer.json; config.json says which ids begin and end a
    text."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    path = folder / "tokenizer.json"
    # By their names in the file: `convert_ids_to_tokens` writes some with a space in front.
    added = json.loads(path.read_text("utf-8"))["added_tokens"]
    names = {token["id"]: token["content"] for token in added}
    begin, end = (names[config[f"{role}_token_id"]] for role in ("bos", "eos"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(path), bos_token=begin, eos_token=end, pad_token=end
    )
    assert tokenizer.bos_token_id == config["bos_token_id"]
    model = load_model(folder)
    return HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", batch_size=16)


def by_harness(folder: Path, chosen: list[dict], data: Path, cache: Path) -> list[Judged]:
    """What the harness says of each pair."""
    blimp = task(data, cache)
    blimp.build_all_requests(rank=0, world_size=1)
    requests = sorted(blimp.instances, key=lambda own: (own.doc_id, own.idx))
    scores = language_model(folder).loglikelihood(requests, disable_tqdm=True)
    judged = []
    for place, pair in enumerate(chosen):
        first = 2 * place
        assert requests[first].args == ("", " " + pair["sentence_good"]), requests[first].args
        own = scores[first : first + 2]
        accuracy = blimp.process_results(requests[first].doc, own)["acc"]
        judged.append(Judged(pair["UID"], own[0][0], own[1][0], accuracy == 1.0))
    return judged


# ---- the binary ------------------------------------------------------------------------------


def by_binary(binary: Path, folder: Path, data: Path, out: Path) -> list[Judged]:
    """What the binary says of each pair."""
    command = [
        *(str(binary), "eval", "--model", str(folder), "--suite", "blimp", "--data", str(data)),
        *("--dtype", "fp32", "--threads", "1", "--out", str(out)),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS)
    judged = []
    for line in (out / "records.jsonl").read_text("utf-8").splitlines():
        own = json.loads(line)
        logs = (own["log_likelihood_good"], own["log_likelihood_bad"])
        judged.append(Judged(own["paradigm"], *logs, own["correct"]))
    return judged


# ---- comparison ------------------------------------------------------------------------------


def compare(name: str, ours: list[Judged], theirs: list[Judged], side: str) -> bool:
    """Prints what differs; whether all is well."""
    if [own.paradigm for own in ours] != [own.paradigm for own in theirs]:
        print(f"{name}: {len(ours)} pairs, {side} has {len(theirs)} or others", file=sys.stderr)
        return False
    most, wrong, ties = 0.0, 0, 0
    for place, (own, other) in enumerate(zip(ours, theirs, strict=True)):
        apart = max(abs(own.good - other.good), abs(own.bad - other.bad))
        most = max(most, apart)
        tied = own.correct != other.correct and abs(other.good - other.bad) < TOLERANCE
        ties += tied
        if apart > TOLERANCE or (own.correct != other.correct and not tied):
            wrong += 1
            if wrong <= 5:
                print(f"{name}, pair {place}: {own}, {side} {other}", file=sys.stderr)
    print(
        f"{name} and {side}: {len(ours)} pairs, {wrong} differ, {ties} ties, log-likelihoods at "
        f"most {most:.1e} apart"
    )
    return wrong == 0


def fixture(judged: dict[str, list[Judged]], count: int) -> list[dict]:
    """The cases of the fixture: the first pairs of each paradigm."""
    cases = []
    for model, all_pairs in judged.items():
        for first in range(0, len(all_pairs), count):
            own = all_pairs[first : first + FIXTURE_PAIRS]
            logs = [[rounded(pair.good, 8), rounded(pair.bad, 8)] for pair in own]
            correct = [pair.correct for pair in own]
            case = {"model": model, "paradigm": own[0].paradigm, "logs": logs, "correct": correct}
            cases.append(case)
    return cases


def read_fixture() -> list[dict]:
    """The committed cases."""
    return json.loads(FIXTURE.read_text("ascii"))["cases"]


def flat(cases: list[dict]) -> list[Judged]:
    """The pairs of cases, one after another."""
    return [
        Judged(case["model"] + " " + case["paradigm"], *logs, correct)
        for case in cases
        for logs, correct in zip(case["logs"], case["correct"], strict=True)
    ]


def main() -> int:
    """Compares all models."""
    parser = arguments(__doc__)
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "spec")
    parser.add_argument("--pairs", type=int, default=5, help="of each paradigm (default: 5)")
    parser.add_argument("--write", action="store_true", help="write the fixture")
    options = parser.parse_args()
    if options.pairs < FIXTURE_PAIRS:
        parser.error(f"--pairs is at least {FIXTURE_PAIRS}")
    quiet()
    logging.disable(logging.WARNING)
    chosen = pairs(options.shared, options.pairs)
    judged, good = {}, True
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pairs.jsonl"
        data.write_text("".join(json.dumps(pair) + "\n" for pair in chosen), "utf-8")
        for name in MODELS:
            weights = options.shared / "weights" / name
            judged[name] = by_harness(weights, chosen, data, Path(folder) / "cache")
            ours = by_binary(options.binary, weights, data, Path(folder) / name)
            good &= compare(name, ours, judged[name], f"lm-eval {harness_version}")
    cases = fixture(judged, options.pairs)
    if options.write:
        header = {"harness": harness_version, "pairs": FIXTURE_PAIRS}
        write_fixture(FIXTURE, header, cases)
        return 0
    good &= compare("lm-eval now", flat(cases), flat(read_fixture()), "the fixture")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
