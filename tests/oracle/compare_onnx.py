"""Compares what `spec export --format onnx` writes with transformers, in onnxruntime.

    .oracle/bin/python tests/oracle/compare_onnx.py [--binary FILE] [--shared DIR] [--only TEXT]
        [--prompts N] [--write]

Every file must pass onnx's checker with shapes inferred.

1. The random configurations of the fixture and the drafts' published shapes, with weights of the
   formula: logits of float32 equal transformers' to 1e-4 however the ids are read: at once, in pieces
   with the past handed on, id by id, and two texts at once of which one is padded on its left. What
   the graphs say must hash to tests/fixtures/onnx.json, so that `make test` knows which graphs
   onnxruntime has seen; --write writes it.
2. The models of the shared folder: greedy text of 64 tokens equals transformers' (greedy.json) up to
   a near tie; the same where weights lie in a file beside the graph.
3. Of those, in float16 and int8, the error of logits; int8 beside what onnxruntime's own
   quantize_dynamic makes of the float32 file.

Exits with 1 where a bound does not hold.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

import architectures
from architectures import checkpoint, full_config
from onnx_runs import FILE, Session, export, structure
from oracle import FIXTURES, GSM_DRAFT, MODELS, ROOT, arguments, load_model, quiet, write
from random_configs import RandomCase

LOGITS_BOUND = 1e-4
# Root mean square of the error of logits, as a share of their standard deviation.
HALF_BOUND = 0.005
# The error of 8 bits beside that of onnxruntime's own.
INT8_RATIO = 1.2
DTYPES = ["fp32", "fp16", "int8"]
PADDING = 5
LONGEST = 160
FIXTURE = FIXTURES / "onnx.json"


def checked(folder: Path) -> Path:
    """The graph of a folder, when onnx finds it well-formed."""
    path = folder / FILE
    onnx.checker.check_model(str(path), full_check=True)
    return path


def off(found: np.ndarray, truth: np.ndarray) -> float:
    """Root mean square of the difference, as a share of the truth's standard deviation."""
    return float(np.sqrt(np.square(found - truth).mean()) / truth.std())


# ---- random configurations -------------------------------------------------------------------


def ways(session: Session, ids: list[int]) -> dict[str, np.ndarray]:
    """Logits of the same ids, read in different ways."""
    row, count = np.array([ids]), len(ids)
    ones = np.ones_like(row)
    cuts = sorted({count // 3, count - 1} - {0})
    found = {
        "at once": session.in_pieces(row, ones, [])[0],
        "in pieces": session.in_pieces(row, ones, cuts)[0],
    }
    if count <= LONGEST:
        found["id by id"] = session.in_pieces(row, ones, list(range(1, count)))[0]
    # The text behind padding, beside one without.
    padding = np.zeros((1, PADDING), int)
    other = np.resize(row, (1, count + PADDING))
    both = np.concatenate([np.concatenate([padding, row], 1), other])
    mask = np.concatenate([np.concatenate([padding, ones], 1), np.ones_like(other)])
    found["padded"] = session.in_pieces(both, mask, [])[0, PADDING:]
    found["padded, in pieces"] = session.in_pieces(both, mask, [PADDING + count // 2])[0, PADDING:]
    return found


def random_case(binary: Path, case: RandomCase, seed: int) -> tuple[dict, list[str]]:
    """The hashes of a case's graphs, and what is wrong with it."""
    config, wrong, hashes = full_config(case.config), [], {}
    with checkpoint(config, seed) as folder:
        for dtype in DTYPES:
            out = folder / dtype
            export(binary, folder, out, dtype)
            hashes[dtype] = structure(checked(out))
            first = np.array([case.ids[:2]])
            Session(out / FILE).in_pieces(first, np.ones_like(first), [])
        truth = architectures.logits(architectures.load(folder), case.ids).numpy()
        found = ways(Session(folder / "fp32" / FILE), case.ids)
    worst = {way: float(np.abs(rows - truth).max()) for way, rows in found.items()}
    for way, difference in worst.items():
        if not difference <= LOGITS_BOUND:
            wrong.append(f"{way}: logits differ by {difference:.1e}")
    shown = ", ".join(f"{way} {difference:.1e}" for way, difference in worst.items())
    print(f"  {case.name:16} {len(case.ids):5} ids: {shown}", flush=True)
    return {"name": case.name, "structure": hashes}, wrong


def random_cases(args) -> list[str]:
    """All of them, and the fixture."""
    seeds = {case["name"]: case["seed"] for case in fixture("architectures.json")["cases"]}
    wrong, made = [], []
    for case in architectures.all_cases():
        if args.only in case.name:
            entry, reasons = random_case(args.binary, case, seeds[case.name])
            made.append(entry)
            wrong += [f"{case.name}: {reason}" for reason in reasons]
    if args.write:
        about = (
            "SHA-256 of what tests/oracle/onnx_runs.py says of the graphs of the models of "
            "architectures.json, all but the numbers of weights. onnx's checker has passed these "
            "graphs, onnxruntime has run them, and the logits of fp32 were those of transformers."
        )
        write(FIXTURE, {"about": about}, made)
        return wrong
    known = {case["name"]: case["structure"] for case in fixture("onnx.json")["cases"]}
    for entry in made:
        if known.get(entry["name"]) != entry["structure"]:
            wrong.append(f"{entry['name']}: not the graph of {FIXTURE.name}; see --write")
    return wrong


def fixture(name: str) -> dict:
    """A committed fixture."""
    return json.loads((FIXTURES / name).read_text("utf-8"))


# ---- models of the shared folder -------------------------------------------------------------


def decoding(args, name: str, folder: Path) -> list[str]:
    """Greedy text, from a graph with its weights inside and beside it."""
    config = json.loads((args.shared / "weights" / name / "config.json").read_text("utf-8"))
    ends = config["eos_token_id"]
    ends = ends if isinstance(ends, list) else [ends]
    cases = [case for case in fixture("greedy.json")["cases"] if case["model"] == name]
    session, wrong, same = Session(checked(folder)), [], 0
    for number, case in enumerate(cases[: args.prompts]):
        expected = case["output_ids"]
        found = session.greedy(case["prompt_ids"], len(expected), ends)
        pairs = enumerate(zip(found, expected, strict=False))
        first = next((place for place, (ours, theirs) in pairs if ours != theirs), None)
        if first is None and len(found) == len(expected):
            same += 1
        elif first not in case["ties"]:
            wrong.append(f"{name}, prompt {number}: parts from transformers at {first}")
    print(f"  {name:20} {same} of {args.prompts} texts the same, {len(wrong)} wrong", flush=True)
    return wrong


def rounding(args, name: str, folder: Path, scratch: Path) -> list[str]:
    """Errors of float16 and int8, and of onnxruntime's own int8."""
    model = load_model(args.shared / "weights" / name)
    case = next(case for case in fixture("greedy.json")["cases"] if case["model"] == name)
    ids = (case["prompt_ids"] + case["output_ids"])[: model.config.max_position_embeddings]
    truth = model(torch.tensor([ids])).logits[0].numpy()

    def error(path: Path) -> float:
        row = np.array([ids])
        return off(Session(path).in_pieces(row, np.ones_like(row), [])[0], truth)

    errors = {}
    for dtype in DTYPES[1:]:
        out = scratch / f"{name}-{dtype}"
        export(args.binary, args.shared / "weights" / name, out, dtype)
        errors[dtype] = error(checked(out))
    prepared, theirs = scratch / "prepared.onnx", scratch / "theirs.onnx"
    # Turns the tied head into a matrix of its own, which it then rounds.
    quant_pre_process(folder / FILE, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, theirs, weight_type=QuantType.QInt8, per_channel=True)
    errors["onnxruntime's int8"] = error(theirs)
    sizes = f"{(out / FILE).stat().st_size:,} bytes, theirs {theirs.stat().st_size:,}"
    shown = ", ".join(f"{kind} {value:.2%}" for kind, value in errors.items())
    print(f"  {name:20} logits off by: {shown}; int8 takes {sizes}", flush=True)
    wrong = []
    if not errors["fp16"] <= HALF_BOUND:
        wrong.append(f"{name}: fp16 is off by {errors['fp16']:.2%}")
    if not errors["int8"] <= INT8_RATIO * errors["onnxruntime's int8"]:
        wrong.append(f"{name}: int8 is off by {errors['int8']:.2%}")
    return wrong


def real_models(args) -> list[str]:
    """Exports each in all forms."""
    wrong = []
    for name in [name for name in MODELS if args.only in name]:
        with tempfile.TemporaryDirectory(prefix="spec-oracle-") as scratch:
            inside, beside = Path(scratch) / "inside", Path(scratch) / "beside"
            export(args.binary, args.shared / "weights" / name, inside, "fp32")
            more = ["--shard-size", "100KB"]
            export(args.binary, args.shared / "weights" / name, beside, "fp32", *more)
            wrong += decoding(args, name, inside)
            if name == GSM_DRAFT:
                wrong += decoding(args, name, beside)
                if not (beside / f"{FILE}_data").is_file():
                    wrong.append(f"{name}: nothing lies beside the graph")
            wrong += rounding(args, name, inside, Path(scratch))
    return wrong


def main() -> int:
    """Runs all comparisons."""
    parser = arguments(__doc__)
    default = ROOT / "build" / "release" / "spec"
    parser.add_argument("--binary", type=Path, default=default)
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--prompts", type=int, default=8, help="texts a model (default: 8)")
    parser.add_argument("--write", action="store_true", help=f"write {FIXTURE.name}")
    args = parser.parse_args()
    if not args.binary.is_file():
        sys.exit(f"{args.binary} is not built: cargo build --release")
    quiet()
    steps: list[Callable[[object], list[str]]] = [random_cases, real_models]
    wrong = [reason for step in steps for reason in step(args)]
    print("".join(f"WRONG: {reason}\n" for reason in wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
