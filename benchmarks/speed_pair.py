"""The parts of `make bench-speed` that are no decoding of one model: the bundled pair from end to end, the
time from the start of a command to its first prompt, and the tokenizer.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from speed_run import Contender, Failed, Run
from speed_setup import last_line

DRAFT, TARGET = "stentor2", "spec-24m"
READ = re.compile(r"encoded +\d+ tokens in +([0-9.]+) seconds")
WRITTEN = re.compile(r"decoded +(\d+) tokens in +([0-9.]+) seconds")
# What llama.cpp puts in front of what it says.
STAMP = re.compile(r"\b\d+\.\d+\.\d+\.\d+ [A-Z] +")
# Its programs for speculative decoding; the last one needs no draft.
SPECULATIVE = {
    "llama-speculative-simple": ["llama-speculative-simple", "--spec-type", "draft-simple"],
    "llama-speculative": ["llama-speculative"],
    "llama-speculative-simple ngram": ["llama-speculative-simple", "--spec-type", "ngram-simple"],
}
BEGINS = "the first prompt begins"


def prompts(run: Run, root: Path) -> list[str]:
    """Lines of the project's own prompts, from all of its file."""
    file = root / "experiments" / "prompts" / "default.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    return lines[:: max(1, len(lines) // run.args.limit)][: run.args.limit]


def ours(run: Run, file: Path, dtype: str) -> Contender:
    """Methods of spec and plain decoding, which `spec bench` takes in turns itself."""
    line = [run.binary, "bench", "--draft", f"{DRAFT},ngram", "--target", TARGET]
    line += ["--source", "bundled", "--method", "byte,tree,slem", "--gamma", "auto"]
    line += ["--tree-nodes", "auto", "--prompts", file, "--max-new", max(1, run.args.tokens // 2)]
    line += ["--threads", run.args.threads, "--dtype", dtype, "--json"]

    def measure() -> dict[str, dict]:
        out = run.folder / f"run-{time.monotonic_ns()}"
        run.output([*line, "--out", out])
        cases: dict[str, dict] = {}
        for text in (out / "records.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(text)
            if record["kind"] == "record":
                case = cases.setdefault(record["case"], {"tokens": 0, "seconds": 0.0})
                case["tokens"] += record["counts"]["num_emitted_tokens"]
                case["seconds"] += record["seconds"]["total"]
        return {
            f"spec {dtype} {name}": {"token": own["seconds"] / own["tokens"]}
            for name, own in cases.items()
        }

    return measure


class Transformers:
    """The target in transformers, with or without the draft."""

    def __init__(self, target: Path, texts: list[str], max_new: int):
        load = dict(dtype=torch.float32, attn_implementation="sdpa", local_files_only=True)
        self.model = AutoModelForCausalLM.from_pretrained(target, **load).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(target, local_files_only=True)
        self.texts, self.max_new, self.more = texts, max_new, {}

    def assisted(self, draft: Path) -> None:
        """From now on with a draft, as the documentation of assisted generation says."""
        load = dict(dtype=torch.float32, attn_implementation="sdpa", local_files_only=True)
        self.more = dict(
            assistant_model=AutoModelForCausalLM.from_pretrained(draft, **load).eval(),
            tokenizer=self.tokenizer,
            assistant_tokenizer=AutoTokenizer.from_pretrained(draft, local_files_only=True),
        )

    def run(self) -> dict:
        """Seconds a token of all prompts."""
        tokens, seconds = 0, 0.0
        for text in self.texts:
            inputs = self.tokenizer(text, return_tensors="pt")
            inputs.pop("token_type_ids", None)
            since = time.perf_counter()
            out = self.model.generate(
                **inputs, do_sample=False, max_new_tokens=self.max_new, pad_token_id=0, **self.more
            )
            seconds += time.perf_counter() - since
            tokens += out.shape[1] - inputs["input_ids"].shape[1]
        return {"token": seconds / tokens}


def transformers(run: Run, texts: list[str]) -> list[Contender]:
    """Plain decoding, and assisted generation where it takes the pair."""
    draft, target = run.cache.bundled(DRAFT), run.cache.bundled(TARGET)
    plain = Transformers(target, texts, max(1, run.args.tokens // 2))
    contenders: list[Contender] = [lambda: {"transformers fp32 plain": plain.run()}]
    try:
        with_draft = Transformers(target, texts[:1], 4)
        with_draft.assisted(draft)
        with_draft.run()
    except Exception as error:  # whatever it says is what is to be said
        text = " ".join(str(error).split())
        run.note(f"transformers' assisted generation cannot run the pair: {type(error).__name__}: {text}")
    else:
        with_draft.texts, with_draft.max_new = texts, max(1, run.args.tokens // 2)
        contenders.append(lambda: {"transformers fp32 assisted": with_draft.run()})
    return contenders


def llama(run: Run, texts: list[str]) -> list[Contender]:
    """llama.cpp's two programs for speculative decoding, where they take the pair, and its plain decoding."""
    programs, contenders = run.cache.llama(), []
    draft, target = (run.cache.gguf(run.cache.bundled(name), "f32") for name in (DRAFT, TARGET))
    count, threads = max(1, run.args.tokens // 2), run.args.threads
    bench = [programs / "llama-bench", "-m", target, "-p", 0, "-n", count, "-t", threads]

    def plain() -> dict[str, dict]:
        out = json.loads(run.output([*bench, "-r", 1, "-o", "json"]))
        return {"llama-bench F32 plain": {"token": 1 / out[0]["avg_ts"]}}

    def speculative(name: str, some: list[str]) -> dict[str, dict]:
        tokens, seconds = 0, 0.0
        for text in some:
            program, *more = SPECULATIVE[name]
            model = [] if "ngram-simple" in more else ["-md", draft]
            line = [programs / program, *more, "-m", target, *model, "-p", text, "-n", count]
            words = [str(word) for word in [*line, "-t", threads, "--temp", 0]]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            said = done.stdout + done.stderr
            read, found = READ.search(said), WRITTEN.search(said)
            if done.returncode != 0 or read is None or found is None:
                raise Failed(f"{name} cannot run the pair: {complaint(said)}")
            tokens += int(found[1])
            seconds += float(read[1]) + float(found[2])
        return {f"{name} F32": {"token": seconds / tokens}}

    contenders.append(plain)
    for name in SPECULATIVE:
        try:
            speculative(name, texts[:1])
        except Failed as error:
            run.note(str(error))
        else:
            contenders.append(lambda name=name: speculative(name, texts))
    return contenders


def complaint(said: str) -> str:
    """The line in which llama.cpp says why, else its last one."""
    words = ("does not match", "not compatible", "must match", "error", "failed")
    lines = [STAMP.sub("", last_line(line)) for line in said.splitlines() if line.strip()]
    for word in words:
        for line in lines:
            if word in line:
                return line
    return lines[-1] if lines else "it said nothing"


def pair(run: Run, root: Path) -> None:
    """The bundled pair."""
    lines = prompts(run, root)
    texts = [json.loads(line)["prompt"] for line in lines]
    file = run.folder / "prompts.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    contenders = []
    for dtype in [own for own in run.args.dtypes if own in ("fp32", "int8")]:
        contenders.append(ours(run, file, dtype))
    run.rounds("pair", [*contenders, *transformers(run, texts), *llama(run, texts)])


def startup(run: Run, root: Path) -> None:
    """From the start of `./spec bench` until it says that its first prompt begins; then it is ended."""
    line = [root / "spec", "bench", "--draft", DRAFT, "--source", "bundled", "--target", TARGET]
    line += ["--threads", run.args.threads, "--max-new", 1, "--limit", 1]

    def measure() -> dict[str, dict]:
        environment = {**os.environ, "SPEC_LOG": "experiments=info"}
        out = run.folder / f"startup-{time.monotonic_ns()}"
        words = [str(word) for word in [*line, "--out", out]]
        since = time.perf_counter()
        child = subprocess.Popen(
            words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        said = ""
        for text in child.stderr:
            said += text
            if BEGINS in text:
                seconds = time.perf_counter() - since
                child.kill()
                child.wait()
                return {"spec bench": {"seconds": seconds}}
        raise Failed(f"spec bench began no prompt: {last_line(said)}")

    run.rounds("startup", [measure])


def tokenizer(run: Run, root: Path) -> None:
    """What align's own measurement of the tokenizer says."""
    if not (root / "align" / "examples" / "tokenizer_speed.rs").exists():
        run.note("tokenizer: align has no example tokenizer_speed")
        return
    text = run.args.text
    if text is None:
        text = run.folder / "text"
        file = root / "experiments" / "prompts" / "default.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines()
        text.write_text("\n".join(json.loads(line)["prompt"] for line in lines), encoding="utf-8")
        run.note("tokenizer: the project's prompts, 15 kB; --text FILE takes more")
    vocab = root / "experiments" / "bundled" / DRAFT / "tokenmonster.vocab"
    program = run.binary.parent / "examples" / "tokenizer_speed"
    build = ["cargo", "build", "--release", "-p", "spec-align", "--example", "tokenizer_speed"]
    try:
        run.output(build, cwd=root)
        line = [program, "--vocab", vocab, "--text", text, "--rounds", run.args.rounds, "--json"]
        run.record("tokenizer", 0, "spec", {"result": json.loads(run.output(line))})
    except Failed as error:
        run.note(f"tokenizer: {error}")
