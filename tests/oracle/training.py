"""Losses of training runs in PyTorch, as fixtures: the recipe `nano` and a small gated model, from
weights and ids by formula, with torch's AdamW and Muon, clipping and transformers' schedules.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    get_cosine_schedule_with_warmup,
    get_wsd_schedule,
)

from oracle import rounded, write
from weights import write_checkpoint

STEPS = 50
SETTINGS = {"lr": 2e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "clip": 1.0}
NANO = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 4096,
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}
GATED = {
    "model_type": "qwen3_5_text",
    "architectures": ["Qwen3_5ForCausalLM"],
    "vocab_size": 320,
    "hidden_size": 56,
    "intermediate_size": 168,
    "num_hidden_layers": 3,
    "layer_types": ["full_attention"] * 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 35,
    "attention_bias": True,
    "max_position_embeddings": 96,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.25,
    },
    "tie_word_embeddings": True,
}
CASES = [
    {"config": NANO, "seed": 11, "batch": [4, 256], "parts": 2, "schedule": "cosine"},
    {"config": GATED, "seed": 12, "batch": [6, 96], "parts": 3, "schedule": "warmup-stable-decay"},
    {
        "config": NANO,
        "seed": 13,
        "batch": [2, 256],
        "parts": 1,
        "schedule": "warmup-stable-decay",
        "muon": {"momentum": 0.95},
    },
]
WARMUP, DECAY = 5, 20


def ids(count: int, vocabulary: int) -> np.ndarray:
    """Ids by formula, small ones more often: SplitMix64's upper 24 bits as u, and u cubed."""
    bits = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    uniform = (bits >> np.uint64(40)).astype(np.float64) / 2**24
    return np.floor(vocabulary * uniform * uniform * uniform).astype(np.int64)


def train(case: dict) -> tuple[list[float], list[float]]:
    """Losses, and norms of gradients before clipping, of all steps."""
    config = case["config"]
    with tempfile.TemporaryDirectory() as name, torch.enable_grad():
        folder = Path(name)
        with torch.device("meta"):
            skeleton = AutoModelForCausalLM.from_config(as_config(config))
        tensors = {key: list(value.shape) for key, value in skeleton.named_parameters()}
        write_checkpoint(folder, config, list(tensors.items()), case["seed"])
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
        ).train()
        return steps(model, case)


def as_config(config: dict):
    """A configuration object of a config.json's contents."""
    fields = {key: value for key, value in config.items() if key != "model_type"}
    return AutoConfig.for_model(config["model_type"], **fields)


def steps(model: torch.nn.Module, case: dict) -> tuple[list[float], list[float]]:
    """Runs all steps: weight decay on the weights of linear maps, none on the rest."""
    parameters = dict(model.named_parameters())
    decayed = [p for n, p in parameters.items() if p.dim() == 2 and "embed_tokens" not in n]
    rest = [p for n, p in parameters.items() if p.dim() != 2 or "embed_tokens" in n]
    groups = [
        {"params": decayed, "weight_decay": SETTINGS["weight_decay"]},
        {"params": rest, "weight_decay": 0.0},
    ]
    optimisers = []
    if "muon" in case:
        optimisers.append(
            torch.optim.Muon(
                decayed,
                lr=SETTINGS["lr"],
                weight_decay=SETTINGS["weight_decay"],
                momentum=case["muon"]["momentum"],
                adjust_lr_fn="match_rms_adamw",
            )
        )
        del groups[0]
    optimisers.append(
        torch.optim.AdamW(
            groups, lr=SETTINGS["lr"], betas=tuple(SETTINGS["betas"]), eps=SETTINGS["eps"]
        )
    )
    schedules = [scheduled(optimiser, case["schedule"]) for optimiser in optimisers]
    size = math.prod(case["batch"])
    all_ids = ids(STEPS * size, case["config"]["vocab_size"])
    losses, norms = [], []
    for step in range(STEPS):
        batch = torch.from_numpy(all_ids[step * size : (step + 1) * size]).view(case["batch"])
        total = 0.0
        for part in batch.chunk(case["parts"]):
            loss = model(part, labels=part, use_cache=False).loss / case["parts"]
            loss.backward()
            total += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS["clip"]).item())
        for stepping in [*optimisers, *schedules]:
            stepping.step()
        model.zero_grad()
        losses.append(total)
    return losses, norms


def scheduled(optimiser: torch.optim.Optimizer, kind: str):
    """The learning rates of an optimiser."""
    if kind == "cosine":
        return get_cosine_schedule_with_warmup(optimiser, WARMUP, STEPS)
    stable = STEPS - WARMUP - DECAY
    return get_wsd_schedule(
        optimiser, WARMUP, DECAY, num_stable_steps=stable, decay_type="linear", min_lr_ratio=0.0
    )


def make_training(_shared: Path, out: Path) -> None:
    """Losses of 50 steps of three runs."""
    cases = []
    for case in CASES:
        losses, norms = train(case)
        kind = case["config"]["model_type"]
        print(f"training: {kind}: losses from {losses[0]:.4f} to {losses[-1]:.4f}", flush=True)
        numbers = {"losses": [rounded(x) for x in losses], "norms": [rounded(x) for x in norms]}
        cases.append({**case, **numbers})
    about = (
        "50 steps in PyTorch, float32 on the CPU, from the weights of tests/src/checkpoints.rs. "
        "batch: sequences and their length; parts: in how many parts gradients were summed up; "
        "ids: by the formula in training.py, from element 0 on, a batch a step. norms: of the "
        "gradients, before clipping."
    )
    header = {"about": about, "settings": SETTINGS, "warmup": WARMUP, "decay": DECAY}
    write(out / "training.json", header, cases)
