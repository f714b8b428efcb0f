"""Models by the weight formula in transformers, of the random configurations and of the published
shapes, and the fixtures made of them. Knows transformers; it knows nothing of this project's
program.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.special import logsumexp
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

import random_configs
import weights
from oracle import ROOT, TIE_MARGIN, greedy, rounded, write
from random_configs import MAX_NEW, SEED, RandomCase

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen3_5_text": "Qwen3_5ForCausalLM",
}
MODELS = ROOT / "experiments" / "models.json"
POSITIONS = 6
BEST = 6
CHOSEN = 14
# Between ways of transformers' own to compute the same: eager and sdpa attention, a whole pass and
# one id by id through the cache. Weights of a small model with which they differ by more are drawn
# again; the drafts, with a thousand times as many logits, may come near the bound of the test.
OWN_TOLERANCE = 4e-5
DRAFT_TOLERANCE = 8e-5
DRAWS = 8


def published(role: str) -> list[dict]:
    """The published shapes: those of the drafts, or of the targets."""
    return [entry for entry in json.loads(MODELS.read_text("utf-8")) if entry["role"] == role]


def draft_case(entry: dict) -> RandomCase:
    """A draft's published shape, read to the last position of its context."""
    rng = np.random.default_rng([SEED, entry["config"]["vocab_size"]])
    config = entry["config"]
    context = config["max_position_embeddings"]
    ids = rng.integers(0, config["vocab_size"], context).tolist()
    return RandomCase(entry["name"], config, SEED, ids, context - MAX_NEW + 1)


def full_config(config: dict) -> dict:
    """A configuration that names its class, and no id that ends a text."""
    return {"architectures": [ARCHITECTURES[config["model_type"]]], "eos_token_id": None, **config}


def tensors(config: dict) -> weights.Tensors:
    """Names and shapes of the tensors that transformers asks for; a tied head is none."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(typed(config))
    tied = config.get("tie_word_embeddings", False)
    named = model.state_dict().items()
    return [(name, list(t.shape)) for name, t in named if not (tied and name == "lm_head.weight")]


def typed(config: dict):
    """A configuration as transformers reads it out of a folder."""
    with tempfile.TemporaryDirectory(prefix="spec-oracle-") as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config), "utf-8")
        return AutoConfig.from_pretrained(folder)


@contextlib.contextmanager
def checkpoint(config: dict, seed: int, file_type: str = "F32") -> Iterator[Path]:
    """A model folder by the formula, deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="spec-oracle-") as folder:
        weights.write_checkpoint(Path(folder), config, tensors(config), seed, file_type)
        yield Path(folder)


def load(folder: Path, dtype: torch.dtype = torch.float32, attention: str = "eager"):
    """The model on the CPU; it is an error if its tensors are not those of the file."""
    model, info = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        attn_implementation=attention,
        local_files_only=True,
        output_loading_info=True,
    )
    wrong = {key: found for key, found in info.items() if found}
    if wrong:
        raise ValueError(f"{folder}: {wrong}")
    model.generation_config.eos_token_id = None
    return model.eval()


def logits(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """Logits `[positions, vocabulary]` of a pass over all ids, without a cache."""
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def has_cache(model: PreTrainedModel) -> bool:
    """Whether transformers can step through a cache; it cannot where all layers are linear."""
    kinds = getattr(model.config, "layer_types", None)
    return kinds is None or "full_attention" in kinds


def continuation(model: PreTrainedModel, prompt: list[int]) -> tuple[list[int], list[int]]:
    """What greedy decoding emits behind a prompt, and its near ties."""
    if has_cache(model):
        return greedy(model, prompt, MAX_NEW)
    output, ties = [], []
    for position in range(MAX_NEW):
        best = logits(model, prompt + output)[-1].topk(2)
        if best.values[0] - best.values[1] < TIE_MARGIN:
            ties.append(position)
        output.append(best.indices[0].item())
    return output, ties


# ---- fixtures --------------------------------------------------------------------------------


def differs_from_itself(folder: Path, case: RandomCase, rows: torch.Tensor) -> float:
    """The largest difference between transformers' own ways to these logits."""
    other = load(folder, attention="sdpa")
    worst = (logits(other, case.ids) - rows).abs().max().item()
    if not has_cache(other) or len(case.ids) > random_configs.LONGEST:
        return worst
    cache = None
    for id, row in zip(case.ids, rows, strict=True):
        step = other(torch.tensor([[id]]), past_key_values=cache, use_cache=True)
        cache = step.past_key_values
        worst = max(worst, (step.logits[0, 0] - row).abs().max().item())
    return worst


def logits_at(row: torch.Tensor, position: int, rng: np.random.Generator) -> dict:
    """The best ids of a row and some others, with their logits."""
    count = min(CHOSEN, len(row))
    others = rng.choice(len(row), count - BEST, replace=False).tolist()
    ids = [id for id in row.topk(count).indices.tolist() if id not in others][:BEST] + others
    return {
        "position": position,
        "vocab_ids": ids,
        "logits": [rounded(row[id].item()) for id in ids],
        "max": rounded(row.max().item()),
        "logsumexp": rounded(float(logsumexp(row.double().numpy()))),
    }


@dataclass
class Reference:
    """What transformers makes of a case."""

    seed: int
    rows: torch.Tensor
    output: list[int]
    ties: list[int]
    own_difference: float


def reference(case: RandomCase, config: dict) -> Reference:
    """Runs a case; with other weights where these are too sensitive to rounding."""
    is_draft = len(case.ids) > random_configs.LONGEST
    tolerance, draws = (DRAFT_TOLERANCE, 1) if is_draft else (OWN_TOLERANCE, DRAWS)
    for seed in range(case.seed, case.seed + draws):
        with checkpoint(config, seed) as folder:
            model = load(folder)
            rows = logits(model, case.ids)
            off = differs_from_itself(folder, case, rows)
            if off <= tolerance:
                output, ties = continuation(model, case.ids[: case.prompt])
                return Reference(seed, rows, output, ties, off)
    raise ValueError(f"{case.name}: transformers differs from itself by {off} with {draws} seeds")


def fixture_case(case: RandomCase, config: dict, found: Reference) -> dict:
    """A case as the fixture has it."""
    rng = np.random.default_rng(found.seed)
    count = min(POSITIONS, len(case.ids))
    positions = np.linspace(0, len(case.ids) - 1, count).round().astype(int).tolist()
    return {
        "name": case.name,
        "config": config,
        "seed": found.seed,
        "parameters": sum(int(np.prod(shape)) for _, shape in tensors(config)),
        "ids": case.ids,
        "positions": [logits_at(found.rows[position], position, rng) for position in positions],
        "prompt": case.prompt,
        "output_ids": found.output,
        "ties": found.ties,
    }


def all_cases() -> list[RandomCase]:
    """The random cases of all architectures, and the drafts."""
    drawn = [case for name in random_configs.COUNTS for case in random_configs.cases(name)]
    return drawn + [draft_case(entry) for entry in published("draft")]


def make_architectures(_shared: Path, out: Path) -> None:
    """Logits and greedy continuations of random models of all architectures."""
    made, spreads, worst = [], [], 0.0
    for case in all_cases():
        config = full_config(case.config)
        found = reference(case, config)
        made.append(fixture_case(case, config, found))
        spreads.append(found.rows.std().item())
        worst = max(worst, found.own_difference)
    near = sum(len(case["ties"]) for case in made)
    print(
        f"architectures: {len(made)} models, logits of standard deviation {min(spreads):.1f} to "
        f"{max(spreads):.1f}, {near} ties; transformers differs from itself by at most {worst:.1e}",
        flush=True,
    )
    about = (
        "Models whose weights come from the formula of tests/oracle/weights.py, in float32. "
        "config: as config.json has it; seed: the formula's; parameters: a tied head counts once; "
        "positions: logits of a forward pass over ids, as in logits.json; output_ids: what greedy "
        f"decoding emits behind the first `prompt` ids, {MAX_NEW} of them; ties: places in "
        f"output_ids where the two largest logits are closer than {TIE_MARGIN}. weights: some "
        "values of the formula, to be met exactly."
    )
    header = {"about": about, "seed": SEED, "weights": weight_samples()}
    write(out / "architectures.json", header, made)


def weight_samples() -> list[dict]:
    """Some values of each kind of tensor."""
    configs = [random_configs.case(*key).config for key in [("llama", 1), ("qwen3_5_text", 2)]]
    samples = []
    for config in map(full_config, configs):
        for name, shape in tensors(config):
            last = int(np.prod(shape)) - 1
            indices = sorted({0, 1, last // 2, last})
            centred = weights.zero_centred(config)
            drawn = [weights.values(name, shape, centred, SEED, i, 1)[0] for i in indices]
            samples.append(
                {
                    "model_type": config["model_type"],
                    "name": name,
                    "shape": shape,
                    "seed": SEED,
                    "indices": indices,
                    "values": [rounded(float(value)) for value in drawn],
                }
            )
    return samples


def rotary(config: dict, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines `[positions, rotary dims]` of a configuration's rotary embedding."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(typed(config))
    embedding = type(model.model.rotary_emb)(model.config)
    ids = positions[None]
    if config["model_type"].startswith("qwen3_5"):
        ids = ids[None].expand(3, 1, -1)  # time, height and width, the same for text
    cosines, sines = embedding(torch.zeros(1), ids)
    return cosines[0], sines[0]


def make_rotary(_shared: Path, out: Path) -> None:
    """Rotary tables of the published shapes at some positions, the last of the context included."""
    made = []
    for entry in published("draft") + published("target"):
        last = entry["config"]["max_position_embeddings"] - 1
        spaced = np.geomspace(1, last, 10).round().astype(int).tolist()
        positions = sorted({0, last - 1, *spaced})
        tables = rotary(full_config(entry["config"]), torch.tensor(positions))
        halves = [table.chunk(2, dim=1) for table in tables]
        if not all(torch.equal(*pair) for pair in halves):
            raise ValueError(f"{entry['name']}: the halves of the rotary tables differ")
        made.append(
            {
                "name": entry["name"],
                "config": full_config(entry["config"]),
                "positions": positions,
                "cosines": [[rounded(x, 8) for x in row] for row in halves[0][0].tolist()],
                "sines": [[rounded(x, 8) for x in row] for row in halves[1][0].tolist()],
            }
        )
    print(f"rotary: {len(made)} shapes", flush=True)
    about = (
        "Cosines and sines of transformers' rotary embeddings in float32, a row a position; the "
        "second half of a row, left out here, is its first half again. Compare to 1e-6."
    )
    write(out / "rotary.json", {"about": about}, made)
