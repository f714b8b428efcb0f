"""Compares what `spec export --format gguf` and `spec import` write with llama.cpp and transformers.

    .oracle/bin/python tests/oracle/compare_gguf.py [--binary FILE] [--shared DIR] [--llama DIR]
        [--jobs N] [--only TEXT]

Each model in each type: every tensor against the `gguf` package's quantisers to the bit; llama.cpp loads
the file, and its logits on the same ids against transformers' on the weights as they were rounded, which
leaves what llama.cpp rounds as it computes, and on the weights as they were; ids of texts against the
model's own tokenizer; greedy ids. Then the way back: weights to the bit, tokenizers of llama.cpp's own
vocabularies against the ids that it keeps beside them, and llama2.c's files against a model of a few
lines. Prints a table; exits with 1 where anything differs by more than its bound.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

import gguf_import
import gguf_tokenizers
import stories
from llama_peer import Llama
from oracle import GSM_PROMPT, ROOT, arguments, load_model, questions, quiet
from tokenizer_texts import TEXTS

TYPES = ["fp32", "bf16", "fp16", "q8_0", "q4_0"]
GGML = {"fp32": "F32", "bf16": "BF16", "fp16": "F16", "q8_0": "Q8_0", "q4_0": "Q4_0"}
# Folder or bundled name, whether llama.cpp has its tokenizer, types that its shape allows.
MODELS = [
    ("stories260k", True, TYPES[:3]),
    ("tinystories-656k", False, TYPES),
    ("babyllama-tok105", False, TYPES),
    ("gsm-target-llama3", True, TYPES),
    ("gsm-draft-stentor2", False, TYPES),
    ("stentor2", False, TYPES),
    ("spec-24m", True, TYPES),
]
BUNDLED = ["stentor2", "spec-24m"]
# Whose vocabulary is TokenMonster's.
MONSTERS = ["gsm-draft-stentor2", "stentor2"]
# The largest difference of a logit, relative to the largest logit, from the weights as they were
# rounded: llama.cpp rounds what a matrix multiplies to the matrix's own type, for blocks to 8 bits.
COMPUTED = {"fp32": 1e-5, "bf16": 0.02, "fp16": 2e-3, "q8_0": 0.03, "q4_0": 0.03}
# How much larger the perplexity may be than that of the weights as they were.
PERPLEXITY = {"fp32": 1e-5, "bf16": 2e-3, "fp16": 1e-3, "q8_0": 5e-3, "q4_0": 0.1}
POSITIONS = 200
GREEDY = 32


def run(args, *words: object) -> subprocess.CompletedProcess:
    """Runs the binary."""
    line = [str(word) for word in (args.binary, *words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


def wrote(args, *words: object) -> str:
    """Runs the binary, which must end well; what it said."""
    done = run(args, *words)
    if done.returncode != 0:
        raise RuntimeError(f"spec {' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stderr


def named(args, name: str) -> list[str]:
    """How the binary is told which model is meant."""
    if name in BUNDLED:
        return ["--model", name, "--source", "bundled"]
    return ["--model", str(args.shared / "weights" / name)]


def texts(args, name: str) -> list[str]:
    """Texts like those that a model has read."""
    if name in ("stories260k", "tinystories-656k", "babyllama-tok105"):
        return stories.OPENINGS[:12]
    return [GSM_PROMPT.format(question=text) for text in questions(args.shared, 12)]


def own_ids(args, name: str, lines: list[str]) -> list[list[int]]:
    """Ids by the model's own tokenizer, with the specials that it adds."""
    where = named(args, name)[1:]
    line = [args.binary, "tokenize", "--jsonl", "--tokenizer", *where]
    given = "".join(json.dumps({"text": text}) + "\n" for text in lines)
    done = subprocess.run(map(str, line), input=given, capture_output=True, text=True, check=True)
    return [json.loads(line)["ids"] for line in done.stdout.splitlines()]


def perplexity(logits: np.ndarray, ids: list[int]) -> float:
    """That of all ids but the first."""
    rows = torch.from_numpy(logits[:-1].astype(np.float64)).log_softmax(-1)
    picked = rows[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    return float((-picked.mean()).exp())


class Comparison:
    """One model."""

    def __init__(self, args, llama: Llama, name: str, has_tokenizer: bool, scratch: Path):
        self.args, self.llama, self.name, self.scratch = args, llama, name, scratch
        self.has_tokenizer = has_tokenizer
        self.plain = scratch / f"{name}-plain"
        wrote(args, "export", *named(args, name), "--dtype", "fp32", "--out", self.plain)
        self.model = load_model(self.plain)
        joined = [id for ids in own_ids(args, name, texts(args, name)) for id in ids]
        self.ids = joined[: min(POSITIONS, self.model.config.max_position_embeddings)]
        self.reference = self.logits(self.model)
        self.failures: list[str] = []

    def logits(self, model) -> np.ndarray:
        """transformers' logits behind each id."""
        return model(torch.tensor([self.ids])).logits[0].numpy()

    def expect(self, holds: bool, what: str) -> None:
        """Notes what does not hold."""
        if not holds:
            self.failures.append(f"{self.name}: {what}")

    def tensors(self, file: Path, dtype: str) -> None:
        """Every tensor against the package's quantisers, to the bit."""
        weights = load_file(self.plain / "model.safetensors")
        heads, groups = self.model.config.num_attention_heads, self.model.config.num_key_value_heads
        found = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
        found.pop("rope_freqs.weight", None)
        self.expect(len(found) == len(weights), f"{dtype}: {len(found)} tensors of {len(weights)}")
        for name, tensor in weights.items():
            values = tensor.numpy()
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                values = gguf_import.turned(values, heads if "q_proj" in name else groups)
            kind = gguf.GGMLQuantizationType.F32
            if values.ndim == 2:
                outside = ("embed_tokens" in name or "lm_head" in name) and dtype == "q4_0"
                kind = gguf.GGMLQuantizationType["Q8_0" if outside else GGML[dtype]]
            expected = gguf.quants.quantize(np.ascontiguousarray(values), kind)
            own = found[gguf_import.placed(name)]
            same = own.tensor_type == kind and np.array_equal(
                own.data.view(np.uint8).ravel(), expected.view(np.uint8).ravel()
            )
            self.expect(same, f"{dtype}: {name} is not what ggml makes of it")

    def compare(self, dtype: str) -> str:
        """Exports one type, and says how it compares."""
        file = self.scratch / f"{self.name}-{dtype}.gguf"
        more = [] if self.has_tokenizer else ["--ids-only"]
        said = wrote(
            self.args, "export", *named(self.args, self.name), "--format", "gguf",
            "--dtype", dtype, "--out", file, *more,
        )  # fmt: skip
        self.expect(("note:" in said) != self.has_tokenizer, f"{dtype}: says {said!r}")
        self.tensors(file, dtype)
        back = self.scratch / f"{self.name}-{dtype}-back"
        wrote(self.args, "import", file, "--out", back)
        rounded = self.logits(load_model(back))
        with self.llama.open(file) as peer:
            logits = peer.logits(self.ids, self.scratch)
            self.texts(peer, dtype)
            greedy = peer.greedy(self.ids[:16], GREEDY)
        computed = float(np.abs(logits - rounded).max() / np.abs(rounded).max())
        whole = float(np.abs(logits - self.reference).max() / np.abs(self.reference).max())
        known, found = perplexity(self.reference, self.ids), perplexity(logits, self.ids)
        self.expect(computed <= COMPUTED[dtype], f"{dtype}: logits differ by {computed:.2g}")
        self.expect(
            found / known - 1 <= PERPLEXITY[dtype],
            f"{dtype}: perplexity {found:.5g} of {known:.5g}",
        )
        self.expect(len(greedy) == GREEDY, f"{dtype}: generates {len(greedy)} ids")
        if dtype == "fp32":
            self.same_greedy(greedy)
            self.same_weights(back)
        size = file.stat().st_size / 1e6
        file.unlink()
        figures = f"{size:.2f} | {computed:.2g} | {whole:.2g} | {found:.5g} | {known:.5g}"
        return f"| {self.name} | {dtype} | {figures} |"

    def same_greedy(self, found: list[int]) -> None:
        """Greedy ids against transformers', which may part at a tie."""
        read = list(self.ids[:16])
        for place, id in enumerate(found):
            logits = self.model(torch.tensor([read])).logits[0, -1]
            behind = float(logits.max() - logits[id])
            self.expect(behind < 1e-4, f"greedy id {place} is {behind:.3g} behind the best")
            read.append(id)

    def same_weights(self, back: Path) -> None:
        """Weights that came back, to the bit."""
        ours, theirs = (
            load_file(back / "model.safetensors"),
            load_file(self.plain / "model.safetensors"),
        )
        same = ours.keys() == theirs.keys() and all(
            torch.equal(ours[name], theirs[name]) for name in ours
        )
        self.expect(same, "weights do not come back")

    def texts(self, peer, dtype: str) -> None:
        """Ids of texts, and texts of ids."""
        if dtype != "fp32":
            return
        ends = peer.ends([self.model.config.eos_token_id, self.ids[5]])
        self.expect(ends == [True, False], f"ids that end a text: {ends}")
        lines = TEXTS + texts(self.args, self.name)
        known = own_ids(self.args, self.name, lines)
        if self.has_tokenizer:
            for text, ids in zip(lines, known, strict=True):
                # llama.cpp puts no space in front of nothing.
                found = peer.tokenize(text, True)
                same = found == ids or not text
                self.expect(same, f"ids of {text[:40]!r}: {found[:9]}, not {ids[:9]}")
        elif self.name in MONSTERS:
            for ids, text in zip(known, self.decoded(known), strict=True):
                self.expect(undone(peer.detokenize(ids)) == text, f"text of {ids[:9]}")

    def decoded(self, lists: list[list[int]]) -> list[bytes]:
        """The bytes of ids by the model's own tokenizer."""
        where = named(self.args, self.name)[1:]
        line = [self.args.binary, "tokenize", "--decode", "--tokenizer", *where]
        given = "".join(json.dumps({"ids": ids}) + "\n" for ids in lists)
        done = subprocess.run(
            map(str, line), input=given, capture_output=True, text=True, check=True
        )
        return [
            base64.b64decode(json.loads(line)["bytes_b64"])
            for line in done.stdout.strip().split("\n")
        ]


def undone(raw: bytes) -> bytes:
    """TokenMonster's text of its tokens as they are: each marker goes, with the byte behind it."""
    out, skip = bytearray(), False
    for byte in raw:
        if not skip and byte != 0x7F:
            out.append(byte)
        skip = not skip and byte == 0x7F
    return bytes(out)


def plain_exports(args, scratch: Path) -> list[str]:
    """Safetensors in each type load in transformers without a word, and say the same as far as they
    go."""
    import transformers

    failures = []
    for name in ("gsm-draft-stentor2", "spec-24m"):
        folders = {}
        for dtype in TYPES[:3]:
            folders[dtype] = scratch / f"{name}-as-{dtype}"
            wrote(args, "export", *named(args, name), "--dtype", dtype, "--out", folders[dtype])
        ids, logits = torch.arange(5, 90)[None], {}
        for dtype, folder in folders.items():
            with gguf_import.warnings_of(transformers) as said:
                model = transformers.AutoModelForCausalLM.from_pretrained(
                    folder, local_files_only=True
                )
            if said:
                failures.append(f"{name} in {dtype}: transformers says {said[0]!r}")
            if (
                str(model.dtype)
                != {"fp32": "torch.float32", "bf16": "torch.bfloat16", "fp16": "torch.float16"}[
                    dtype
                ]
            ):
                failures.append(f"{name} in {dtype} is loaded in {model.dtype}")
            logits[dtype] = model.float()(ids).logits
        for dtype, bound in (("bf16", 0.05), ("fp16", 5e-3)):
            off = float((logits[dtype] - logits["fp32"]).abs().max() / logits["fp32"].abs().max())
            print(
                f"safetensors, {name}, {dtype}: logits differ by {off:.2g} of the largest",
                flush=True,
            )
            if not off <= bound:
                failures.append(f"{name} in {dtype}: logits differ by {off:.2g}")
    return failures


def refused(args, scratch: Path) -> list[str]:
    """What llama.cpp cannot have is not written."""
    failures = []
    cases = [("stories260k", "q8_0", "172 numbers"), ("tinystories-656k", "fp16", "--ids-only")]
    for name, dtype, reason in cases:
        out = scratch / "refused.gguf"
        words = ("export", *named(args, name), "--format", "gguf", "--dtype", dtype, "--out", out)
        done = run(args, *words)
        if done.returncode != 2 or reason not in done.stderr or out.exists():
            failures.append(f"{name} as {dtype} is not refused: {done.stderr}")
    return failures


def main() -> int:
    """Compares all models, then what is imported."""
    parser = arguments(__doc__)
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "spec")
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("--llama", type=Path, default=home / "spec-bench-speed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="part of a model's name, or `import`")
    args = parser.parse_args()
    quiet()
    llama = Llama(args.llama, args.binary, args.jobs)
    failures = []
    print("| model | type | MB | computing | all | perplexity | in fp32 |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="spec-oracle-") as scratch:
        scratch = Path(scratch)
        for name, has_tokenizer, types in MODELS:
            if args.only not in name:
                continue
            comparison = Comparison(args, llama, name, has_tokenizer, scratch)
            for dtype in types:
                print(comparison.compare(dtype), flush=True)
            failures += comparison.failures
        if args.only in "import":
            failures += plain_exports(args, scratch) + refused(args, scratch)
            failures += gguf_import.llama2c(args, scratch, wrote)
            failures += gguf_tokenizers.compare(args, llama, scratch, wrote)
    for line in failures:
        print(f"FAILED: {line}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
