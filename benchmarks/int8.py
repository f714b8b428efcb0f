"""benchmarks/int8.sh: size, perplexity and speed of dynamic int8 on the CPU, in one run.

Four contenders have the same weights: ONNX in fp32 and in int8 as `spec export` writes it, in
onnxruntime; transformers in fp32, and the same behind torch.ao.quantization.quantize_dynamic, which
rounds its linear maps (the tied embedding stays in fp32, and the head is a rounded copy of it).

Perplexity is that of the documents of --data, each read at once and cut at the context; ids are those
of `spec explore`. Activations are rounded with one scale a pass, so that a text that is read id by id
comes out a little differently. Speed is that of greedy decoding, batch 1, by the same loop for all,
which go on for a number of tokens in turns, round by round; ratios are within a round, figures are
the median [least, greatest]. A table in Markdown goes to standard output, all figures to --json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow
import torch
import transformers
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "oracle"))

from onnx_runs import FILE, Session, export  # noqa: E402

PROMPT = 16


def say(text: str) -> None:
    """Talk goes to standard error."""
    print(f"int8: {text}", file=sys.stderr, flush=True)


# ---- contenders ------------------------------------------------------------------------------


class Onnx:
    """A graph in onnxruntime."""

    def __init__(self, folder: Path, threads: int):
        self.session = Session(folder / FILE, threads)
        self.bytes = sum(path.stat().st_size for path in folder.glob(f"{FILE}*"))

    def logits(self, ids: list[int]) -> np.ndarray:
        """Logits behind each id, read at once."""
        row = np.array([ids])
        return self.session.in_pieces(row, np.ones_like(row), [])[0]

    def decode(self, prompt: list[int], count: int) -> None:
        """Goes on greedily behind a prompt."""
        self.session.greedy(prompt, count, [])


class Torch:
    """A model of transformers, with the same loop."""

    def __init__(self, folder: Path, rounded: bool):
        load = {"dtype": torch.float32, "attn_implementation": "sdpa", "local_files_only": True}
        self.model = AutoModelForCausalLM.from_pretrained(folder, **load).eval()
        if rounded:
            kinds = {torch.nn.Linear}
            self.model = torch.ao.quantization.quantize_dynamic(
                self.model, kinds, dtype=torch.qint8
            )
        written = io.BytesIO()
        torch.save(self.model.state_dict(), written)
        self.bytes = len(written.getbuffer())

    def logits(self, ids: list[int]) -> np.ndarray:
        """As of a graph."""
        return self.model(torch.tensor([ids]), use_cache=False).logits[0].numpy()

    def decode(self, prompt: list[int], count: int) -> None:
        """As of a graph."""
        ids, past = torch.tensor([prompt]), None
        for _ in range(count):
            found = self.model(ids, past_key_values=past, use_cache=True, logits_to_keep=1)
            past, ids = found.past_key_values, found.logits[:, -1:].argmax(-1)


# ---- measuring -------------------------------------------------------------------------------


def documents(path: Path, field: str, count: int) -> list[str]:
    """The first documents of a JSONL file, or the paragraphs of a text; both may be compressed."""
    with pyarrow.input_stream(str(path), compression="detect") as stream:
        text = io.TextIOWrapper(io.BytesIO(stream.read()), "utf-8").read()
    if ".jsonl" in path.name:
        found = [json.loads(line)[field] for line in text.splitlines()[:count]]
    else:
        found = [part for part in text.split("\n\n") if part.strip()][:count]
    if not found:
        sys.exit(f"int8: {path} holds no document")
    return found


def encoded(binary: Path, model: Path, text: str, context: int) -> list[int]:
    """A document's ids, as the program reads it."""
    # No token is longer than this many characters, on average over a context.
    text = text[: 4 * context]
    line = [binary, "explore", "--model", model, "--prompt", text, "--top", "1", "--json"]
    while True:
        done = subprocess.run([str(word) for word in line], capture_output=True, text=True)
        if done.returncode == 0:
            return json.loads(done.stdout)["prompt_ids"][:context]
        if len(text) < 200:
            sys.exit(f"int8: {done.stderr.strip()}")
        text = text[: len(text) * 3 // 4]
        line[line.index("--prompt") + 1] = text


def perplexity(contender: Onnx | Torch, texts: list[list[int]]) -> float:
    """Of all ids but the first of each text."""
    loss, count = 0.0, 0
    for ids in texts:
        rows = torch.from_numpy(contender.logits(ids)[:-1]).double()
        own = torch.nn.functional.cross_entropy(rows, torch.tensor(ids[1:]), reduction="sum")
        loss, count = loss + own.item(), count + len(ids) - 1
    return float(np.exp(loss / count))


def speeds(contenders: dict, prompt: list[int], rounds: int, tokens: int) -> dict[str, list[float]]:
    """Tokens a second of each round, one behind the other within it, each first in its turn."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for contender in contenders.values():
        contender.decode(prompt, 8)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            since = time.perf_counter()
            contenders[name].decode(prompt, tokens)
            found[name].append(tokens / (time.perf_counter() - since))
    return found


def figure(values: list[float], digits: int) -> str:
    """Median [least, greatest]."""
    shown = [f"{value:,.{digits}f}" for value in (statistics.median(values), *bounds(values))]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def bounds(values: list[float]) -> tuple[float, float]:
    """The least and the greatest."""
    return min(values), max(values)


def table(rows: dict[str, dict]) -> str:
    """All contenders; ratios are beside fp32 in the same runtime, and beside int8 of torch."""
    lines = [
        "| contender | bytes | of fp32 | perplexity | of fp32 | tokens/s | beside its fp32 "
        "| beside torch's int8 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in rows.items():
        base = rows[name.replace("int8", "fp32")]
        ratio = [a / b for a, b in zip(row["speeds"], base["speeds"], strict=True)]
        torch8 = rows["torch, int8"]["speeds"]
        beside = [a / b for a, b in zip(row["speeds"], torch8, strict=True)]
        lines.append(
            f"| {name} | {row['bytes']:,} | {row['bytes'] / base['bytes']:.2f} "
            f"| {row['perplexity']:.3f} | {row['perplexity'] / base['perplexity']:.4f} "
            f"| {figure(row['speeds'], 0)} | {figure(ratio, 2)} | {figure(beside, 2)} |"
        )
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="a model folder")
    parser.add_argument("--data", type=Path, required=True, help="JSONL or text, also compressed")
    parser.add_argument("--field", default="text", help="the field of JSONL (default: text)")
    parser.add_argument("--documents", type=int, default=20, help="documents read (default: 20)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds (default: 9)")
    parser.add_argument("--tokens", type=int, default=128, help="tokens a round (default: 128)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1)")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "spec")
    return parser.parse_args()


def main() -> None:
    """Measures and prints."""
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory(prefix="spec-int8-") as scratch:
        folders = {name: Path(scratch) / name for name in ("plain", "fp32", "int8")}
        # Weights as floats: transformers does not read the 8 bits that a folder may have.
        line = [args.binary, "export", "--model", args.model, "--dtype", "fp32"]
        line = [str(word) for word in [*line, "--out", folders["plain"]]]
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"int8: {done.stderr.strip()}")
        for dtype in ("fp32", "int8"):
            export(args.binary, args.model, folders[dtype], dtype)
        contenders = {
            "onnx, fp32": Onnx(folders["fp32"], args.threads),
            "onnx, int8": Onnx(folders["int8"], args.threads),
            "torch, fp32": Torch(folders["plain"], rounded=False),
            "torch, int8": Torch(folders["plain"], rounded=True),
        }
        config = json.loads((folders["plain"] / "config.json").read_text("utf-8"))
        context = config["max_position_embeddings"]
        say("reading documents")
        found = documents(args.data, args.field, args.documents)
        texts = [encoded(args.binary, folders["plain"], text, context) for text in found]
        texts = [ids for ids in texts if len(ids) > 1]
    rows: dict[str, dict] = {}
    for name, contender in contenders.items():
        say(f"perplexity of {name}")
        rows[name] = {"bytes": contender.bytes, "perplexity": perplexity(contender, texts)}
    say("speed")
    prompt = (texts[0] * PROMPT)[:PROMPT]
    tokens = min(args.tokens, context - PROMPT)
    for name, values in speeds(contenders, prompt, args.rounds, tokens).items():
        rows[name]["speeds"] = values
    print(table(rows))
    count = sum(len(ids) - 1 for ids in texts)
    print(
        f"\n{count:,} ids of {len(texts)} documents; {args.rounds} rounds of {tokens} tokens on "
        f"{args.threads} thread{'s' if args.threads > 1 else ''}."
    )
    if args.json:
        header = {"model": args.model.name, "data": args.data.name, "documents": len(texts)}
        args.json.write_text(json.dumps({**header, "contenders": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
