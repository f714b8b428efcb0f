"""Writes the fixtures that the Rust tests compare with, from transformers and tokenizers.

    .oracle/bin/python tests/oracle/make_fixtures.py [--shared DIR] [--out DIR] [NAME ...]

NAME is one of logits, greedy, tokenizers, sampling, architectures, rotary, training (default: all).
The last four need no weights and no tokenizers of others, nothing of --shared. Each file is one JSON
object with a list of `cases` and a note on its fields, `about`. All models run in float32 on the CPU, with
transformers' eager attention; the script stops where its sdpa attention gives other logits.
Everything random has a fixed seed. No text of third parties is written, only ids and numbers.
"""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.special import logsumexp
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

import problems
import stories
from architectures import make_architectures, make_rotary
from oracle import (
    FIXTURES,
    GSM_DRAFT,
    GSM_PROMPT,
    GSM_TARGET,
    MODELS,
    STORY_MODELS,
    TIE_MARGIN,
    arguments,
    greedy,
    load_model,
    load_tokenizer,
    questions,
    quiet,
    rounded,
    write,
)
from tokenizer_texts import TEXTS
from training import make_training

SEED = 20260101

# logits
LENGTHS = [40, 120, 200]
POSITIONS = 12
BEST = 8
CHOSEN = 24
ATTENTION_TOLERANCE = 5e-5

# greedy
PROMPTS = 50
MAX_NEW = 64

# tokenizers
FAMILIES = ["gpt2", "llama2", "llama3", "mistral-v0.3", "qwen2.5", "smollm2", "tinyllama-v5"]

# sampling
CUT_MARGIN = 1e-4

# The draft's vocabulary has no tokenizer.json; its ids come from the published fixtures.
DRAFT_VOCABULARY = "english-8000-strict-nocapcode-v1"
DRAFT_BOS = 8001
PROSE = re.compile(r"[A-Za-z0-9 ,.;:'!?()\"-]+")


# ---- ids -------------------------------------------------------------------------------------


def draft_pieces(shared: Path) -> list[list[int]]:
    """Ids of the English prose among the TokenMonster fixtures, in the order of the file."""
    pieces = []
    path = shared / "tokenizers" / "tokenmonster" / "fixtures.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        if case["vocab"] != DRAFT_VOCABULARY or not PROSE.fullmatch(case["text"]):
            continue
        if len(case["text"].split()) >= 8 and len(case["ids"]) >= 20:
            pieces.append(case["ids"])
    return pieces


def draft_prompts(shared: Path) -> list[list[int]]:
    """Different prompts of 20 to 60 ids and BOS: two pieces of prose joined, and cut."""
    rng = random.Random(SEED)
    pieces = draft_pieces(shared)
    prompts: list[list[int]] = []
    while len(prompts) < PROMPTS:
        first, second = rng.sample(pieces, 2)
        prompt = [DRAFT_BOS, *(first + second)[: rng.randint(20, 60)]]
        if prompt not in prompts:
            prompts.append(prompt)
    return prompts


def encoded(tokenizer, text: str) -> list[int]:
    """Ids with the tokenizer's specials; it is an error if the text holds an unknown character."""
    ids = tokenizer.encode(text).ids
    unknown = tokenizer.token_to_id("<unk>")
    if unknown is not None and unknown in ids:
        raise ValueError(f"<unk> in {text!r}")
    return ids


def sequences(shared: Path, name: str) -> list[list[int]]:
    """One sequence of each of LENGTHS, in the text that the model knows."""
    if name == GSM_DRAFT:
        pieces = draft_pieces(shared)
        whole = [[DRAFT_BOS, *sum(pieces[start:], [])] for start in (3, 4, 5)]
    else:
        tokenizer = load_tokenizer(shared / "weights" / name)
        texts = stories.PASSAGES if name in STORY_MODELS else problems.PASSAGES
        whole = [encoded(tokenizer, text) for text in texts]
    for ids, length in zip(whole, LENGTHS, strict=True):
        if len(ids) < length:
            raise ValueError(f"{name}: {len(ids)} ids where {length} are needed")
    return [ids[:length] for ids, length in zip(whole, LENGTHS, strict=True)]


# ---- logits ----------------------------------------------------------------------------------


def make_logits(shared: Path, out: Path) -> None:
    """Logits at some positions and ids of three sequences for each model."""
    cases = []
    for name in MODELS:
        folder = shared / "weights" / name
        eager, sdpa = load_model(folder, "eager"), load_model(folder, "sdpa")
        rng = np.random.default_rng(SEED)
        worst = 0.0
        for ids in sequences(shared, name):
            rows = eager(torch.tensor([ids])).logits[0]
            worst = max(worst, (rows - sdpa(torch.tensor([ids])).logits[0]).abs().max().item())
            positions = np.linspace(0, len(ids) - 1, POSITIONS).round().astype(int).tolist()
            chosen = [logits_at(rows[position], position, rng) for position in positions]
            cases.append({"model": name, "ids": ids, "positions": chosen})
        print(f"logits: {name}: eager and sdpa differ by at most {worst:.1e}", flush=True)
        if worst > ATTENTION_TOLERANCE:
            raise ValueError(f"{name}: eager and sdpa differ by {worst}")
    about = (
        "Logits in float32 of a forward pass over ids. positions[i]: the row behind "
        "ids[..=position]; vocab_ids: the ids of the 8 largest logits, then 16 drawn at "
        "random; logits: theirs; max and logsumexp: of the whole row, the sum in float64. Compare "
        "to 1e-4."
    )
    write(out / "logits.json", {"about": about, "seed": SEED}, cases)


def logits_at(row: torch.Tensor, position: int, rng: np.random.Generator) -> dict:
    """The best ids of a row and some others, with their logits.

    The others are drawn first, so that they do not hang on the order of the best.
    """
    others = rng.choice(len(row), CHOSEN - BEST, replace=False).tolist()
    ids = [id for id in row.topk(CHOSEN).indices.tolist() if id not in others][:BEST] + others
    return {
        "position": position,
        "vocab_ids": ids,
        "logits": [rounded(row[id].item()) for id in ids],
        "max": rounded(row.max().item()),
        "logsumexp": rounded(float(logsumexp(row.double().numpy()))),
    }


# ---- greedy ----------------------------------------------------------------------------------


def greedy_prompts(shared: Path, name: str) -> list[dict]:
    """The prompts of a model: ids, and the index of the text that they encode."""
    if name == GSM_DRAFT:
        return [{"prompt_ids": ids} for ids in draft_prompts(shared)]
    tokenizer = load_tokenizer(shared / "weights" / name)
    if name == GSM_TARGET:
        texts = [GSM_PROMPT.format(question=text) for text in questions(shared, PROMPTS)]
        key = "question_index"
    else:
        texts, key = stories.OPENINGS, "opening_index"
    return [{key: i, "prompt_ids": encoded(tokenizer, text)} for i, text in enumerate(texts)]


def make_greedy(shared: Path, out: Path) -> None:
    """What plain greedy decoding emits for 50 prompts of each model."""
    cases = []
    for name in MODELS:
        model = load_model(shared / "weights" / name)
        ended = near = 0
        for prompt in greedy_prompts(shared, name):
            ids, ties = greedy(model, prompt["prompt_ids"], MAX_NEW)
            ended += ids[-1] == model.generation_config.eos_token_id
            near += len(ties)
            cases.append({"model": name, **prompt, "output_ids": ids, "ties": ties})
        print(f"greedy: {name}: {ended} of {PROMPTS} end by themselves, {near} ties", flush=True)
    about = (
        "transformers' generate, greedy, float32, at most max_new ids, the end-of-text id being "
        "the last where it was emitted. prompt_ids with BOS. opening_index: place in openings; "
        "question_index: line of GSM8K's test.jsonl, its question put into question_prompt; "
        f"neither: ids of TokenMonster fixtures. ties: places in output_ids where the two largest "
        f"logits are closer than {TIE_MARGIN}; a difference there, and after it, is no error."
    )
    header = {
        "about": about,
        "max_new": MAX_NEW,
        "openings": stories.OPENINGS,
        "question_prompt": GSM_PROMPT,
        "seed": SEED,
    }
    write(out / "greedy.json", header, cases)


# ---- tokenizers ------------------------------------------------------------------------------


def make_tokenizers(shared: Path, out: Path) -> None:
    """Ids and decoded text of every text for every tokenizer.json."""
    cases = []
    folders = [f"tokenizers/{name}" for name in FAMILIES]
    folders += [f"weights/{name}" for name in STORY_MODELS]
    for folder in folders:
        tokenizer = load_tokenizer(shared / folder)
        for index, text in enumerate(TEXTS):
            plain = tokenizer.encode(text, add_special_tokens=False).ids
            special = tokenizer.encode(text, add_special_tokens=True).ids
            case = {"tokenizer": folder, "text": index, "ids": plain, "ids_special": special}
            case["decoded"] = tokenizer.decode(plain, skip_special_tokens=False)
            case["decoded_special"] = tokenizer.decode(special, skip_special_tokens=False)
            cases.append(case)
    print(f"tokenizers: {len(folders)} of them, {len(TEXTS)} texts", flush=True)
    about = (
        "The `tokenizers` package. tokenizer: folder of a tokenizer.json in ../shared; text: place "
        "in texts; ids and ids_special: encoded without and with add_special_tokens; decoded and "
        "decoded_special: these ids decoded with skip_special_tokens=False."
    )
    write(out / "tokenizers.json", {"about": about, "texts": TEXTS}, cases)


# ---- sampling --------------------------------------------------------------------------------

# Each is off where it is left out. `context`: how many ids, with repeats. `ties`: how many values
# the logits take on. `spread`: their standard deviation, 5 where it is left out.
SETTINGS: list[dict] = [
    {"size": 5},
    {"size": 200},
    {"size": 50, "temperature": 0.3},
    {"size": 50, "temperature": 0.7},
    {"size": 80, "temperature": 1.0},
    {"size": 200, "temperature": 2.0},
    {"size": 64, "top_k": 1},
    {"size": 64, "top_k": 5},
    {"size": 100, "top_k": 40},
    {"size": 20, "top_k": 50},
    {"size": 33, "top_k": 33},
    {"size": 48, "top_k": 0},
    {"size": 64, "top_p": 0.01},
    {"size": 64, "spread": 2, "top_p": 0.5},
    {"size": 120, "top_p": 0.9},
    {"size": 200, "top_p": 0.99},
    {"size": 48, "top_p": 1.0},
    {"size": 40, "repetition_penalty": 1.1, "context": 10},
    {"size": 40, "repetition_penalty": 1.5, "context": 60},
    {"size": 12, "repetition_penalty": 1.3, "context": 100},
    {"size": 40, "repetition_penalty": 1.0, "context": 20},
    {
        "size": 150,
        "spread": 2,
        "temperature": 0.8,
        "top_p": 0.7,
        "repetition_penalty": 1.2,
        "context": 80,
    },
    {
        "size": 150,
        "spread": 2,
        "temperature": 1.1,
        "top_p": 0.55,
        "repetition_penalty": 1.15,
        "context": 40,
    },
    {
        "size": 180,
        "spread": 2,
        "temperature": 0.7,
        "top_k": 30,
        "top_p": 0.95,
        "repetition_penalty": 1.2,
        "context": 120,
    },
    {"size": 100, "temperature": 2.0, "top_k": 20},
    {"size": 100, "spread": 2, "temperature": 0.5, "top_k": 500, "top_p": 0.9},
    {"size": 100, "spread": 2, "temperature": 1.7, "top_p": 0.8},
    {"size": 100, "temperature": 2.0, "top_k": 10, "top_p": 0.6},
    {"size": 60, "top_k": 7, "repetition_penalty": 1.4, "context": 30},
    {"size": 60, "temperature": 2.0, "top_p": 0.01, "repetition_penalty": 1.4, "context": 30},
    {"size": 200, "temperature": 2.0, "top_k": 100, "top_p": 0.999},
    {"size": 5, "spread": 2, "temperature": 1.3, "top_k": 3, "top_p": 0.9},
    {"size": 40, "ties": 6},
    {"size": 40, "ties": 6, "top_k": 3},
    {"size": 40, "ties": 6, "temperature": 1.5, "top_k": 10},
    {"size": 40, "spread": 2, "ties": 12, "top_p": 0.8, "temperature": 1.5},
    {"size": 40, "spread": 2, "ties": 12, "top_p": 0.3, "temperature": 2.0, "top_k": 15},
    {"size": 30, "ties": 1, "top_k": 4},
    {"size": 30, "ties": 2, "top_p": 0.5, "temperature": 0.9},
    {
        "size": 60,
        "ties": 9,
        "temperature": 2.0,
        "top_k": 20,
        "top_p": 0.9,
        "repetition_penalty": 1.3,
        "context": 40,
    },
]
NAMES = ["temperature", "top_k", "top_p", "repetition_penalty"]
OFF = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0}


def make_sampling(_shared: Path, out: Path) -> None:
    """What transformers' processors make of random logits."""
    cases = []
    for number, setting in enumerate(SETTINGS):
        rng = np.random.default_rng([SEED, number])
        values = {name: setting.get(name, OFF[name]) for name in NAMES}
        case = None
        while case is None:  # draws again where rounding could move the cut of top-p
            case = sampling_case(rng, setting, values)
        cases.append(case)
    print(f"sampling: {len(cases)} settings", flush=True)
    about = (
        "Repetition penalty (on the ids of context), temperature, top-k, top-p, softmax, by "
        "transformers' processors in float64 on logits that are float32. temperature 1, top_k 0, "
        "top_p 1, repetition_penalty 1 are off, as in generate. top_p_splits_ties: top-p keeps "
        "some and drops others of equally probable ids, and which of them is nobody's promise: "
        "compare the sorted probabilities there."
    )
    write(out / "sampling.json", {"about": about, "seed": SEED}, cases)


def sampling_case(rng: np.random.Generator, setting: dict, values: dict) -> dict | None:
    """One case, or None where the outcome hangs on rounding."""
    size, spread = setting["size"], setting.get("spread", 5)
    if "ties" in setting:
        logits = rng.choice(rng.normal(0, spread, setting["ties"]).round(3), size)
    else:
        logits = rng.normal(0, spread, size).round(4)
    context = rng.integers(0, size, setting.get("context", 0)).tolist()
    logits = logits.astype(np.float32)
    before, after = processed(logits, context, values)
    splits, margin = top_p_cut(before, after, values["top_p"])
    if margin < CUT_MARGIN:
        return None
    return {
        **values,
        "logits": [float(str(logit)) for logit in logits],
        "context": context,
        "probabilities": [rounded(p) for p in after.softmax(-1).tolist()],
        "top_p_splits_ties": splits,
    }


def processed(
    logits: np.ndarray, context: list[int], values: dict
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores before and after top-p."""
    processors = LogitsProcessorList()
    if values["repetition_penalty"] != 1.0:
        processors.append(RepetitionPenaltyLogitsProcessor(values["repetition_penalty"]))
    if values["temperature"] != 1.0:
        processors.append(TemperatureLogitsWarper(values["temperature"]))
    if values["top_k"] != 0:
        processors.append(TopKLogitsWarper(values["top_k"]))
    ids = torch.tensor([context], dtype=torch.long)
    before = processors(ids, torch.tensor(logits).double()[None])
    after = TopPLogitsWarper(values["top_p"])(ids, before) if values["top_p"] < 1.0 else before
    assert before.dtype == after.dtype == torch.float64
    return before[0], after[0]


def top_p_cut(before: torch.Tensor, after: torch.Tensor, top_p: float) -> tuple[bool, float]:
    """Whether top-p cut between equals, and how far the nearest sum was from its limit."""
    if top_p >= 1.0:
        return False, 1.0
    kept = ~torch.isinf(after)
    removed = ~torch.isinf(before) & ~kept
    splits = bool(removed.any()) and bool(before[removed].max() == before[kept].min())
    sums = before.softmax(-1).sort().values.cumsum(-1)
    return splits, float((sums - (1 - top_p)).abs().min())


# ----------------------------------------------------------------------------------------------

MAKERS = {
    "logits": make_logits,
    "greedy": make_greedy,
    "tokenizers": make_tokenizers,
    "sampling": make_sampling,
    "architectures": make_architectures,
    "rotary": make_rotary,
    "training": make_training,
}
NEED_SHARED = {"logits", "greedy", "tokenizers"}


def main() -> None:
    """Makes what was asked for."""
    parser = arguments(__doc__)
    parser.add_argument("--out", type=Path, default=FIXTURES, help="default: tests/fixtures")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MAKERS))
    args = parser.parse_args()
    unknown = set(args.names) - set(MAKERS)
    if unknown:
        parser.error(f"no such fixture: {', '.join(sorted(unknown))}")
    names = args.names or list(MAKERS)
    if NEED_SHARED & set(names) and not (args.shared / "weights").is_dir():
        sys.exit(f"{args.shared} holds no weights; name the folder with --shared")
    quiet()
    for name in names:
        MAKERS[name](args.shared, args.out)


if __name__ == "__main__":
    main()
