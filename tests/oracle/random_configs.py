"""Random configurations of each architecture, as a config.json would have them, drawn from a seed.
Each feature that a shape can have takes its turn by the case's number; sizes are drawn. Knows what
transformers reads in a config.json, and builds nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

SEED = 20260201
COUNTS = {"llama": 24, "mistral": 20, "qwen3_5_text": 26}
LONGEST = 150
MAX_NEW = 64


@dataclass
class RandomCase:
    """A configuration, the ids to be read, and how many of them are prompt of a continuation."""

    name: str
    config: dict
    seed: int
    ids: list[int]
    prompt: int


def cases(architecture: str) -> list[RandomCase]:
    """All random cases of an architecture."""
    return [case(architecture, number) for number in range(COUNTS[architecture])]


def case(architecture: str, number: int) -> RandomCase:
    """One case; it hangs on nothing but its architecture and number."""
    rng = random.Random(f"{SEED} {architecture} {number}")
    length = 1 + number if number < 2 else rng.randint(3, LONGEST)
    prompt = rng.randint(1, length)
    # Every third model is as long as what is asked of it, and no longer.
    context = max(length, prompt + MAX_NEW - 1)
    context = context if number % 3 == 0 else context + rng.randint(1, 500)
    config = {"model_type": architecture, "vocab_size": rng.randint(40, 700)}
    config |= MAKERS[architecture](rng, number)
    config |= {
        "intermediate_size": rng.choice([24, 40, 64, 90, 128]),
        "num_hidden_layers": config.get("num_hidden_layers", rng.randint(1, 4)),
        "max_position_embeddings": context,
        "rms_norm_eps": rng.choice([1e-6, 1e-5, 1e-3]),
        "tie_word_embeddings": number % 2 == 0,
    }
    ids = [rng.randrange(config["vocab_size"]) for _ in range(length)]
    name = f"{architecture} {number}"
    return RandomCase(name, config, rng.randrange(2**63), ids, prompt)


def rope(rng: random.Random, number: int, partial: float | None = None) -> dict:
    """The rotary embedding in one of its spellings; by number, so that all kinds have all."""
    kind = ["default", "linear", "llama3"][number % 3]
    scaling: dict = {}
    if kind == "linear":
        scaling = {"factor": rng.choice([2.0, 2.5, 8.0])}
    elif kind == "llama3":
        scaling = {
            "factor": rng.choice([4.0, 8.0, 32.0]),
            "low_freq_factor": 1.0,
            "high_freq_factor": rng.choice([2.0, 4.0]),
            "original_max_position_embeddings": rng.choice([16, 32, 64]),
        }
    theta = rng.choice([100.0, 10_000.0, 130_000.0, 1_000_000.0])
    rotated = {} if partial is None else {"partial_rotary_factor": partial}
    spelling = number // 3 % 4
    if spelling in (0, 2):  # as transformers 5 writes it
        return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **rotated, **scaling}}
    # As transformers 4 wrote it; `type` is the older name of `rope_type`.
    key = "rope_type" if spelling == 1 or kind == "llama3" else "type"
    old = {key: kind, **scaling} if scaling else None
    return {"rope_theta": theta, "rope_scaling": old, **rotated}


def heads(rng: random.Random, number: int) -> dict:
    """Query heads and key-value heads: one, some, or as many as there are queries."""
    kv_heads = rng.choice([1, 2, 3])
    group = rng.choice([1, 2, 3, 4])
    if number % 4 == 0:
        kv_heads, group = 1, rng.choice([2, 4, 6])
    return {"num_attention_heads": kv_heads * group, "num_key_value_heads": kv_heads}


def llama(rng: random.Random, number: int) -> dict:
    """What a Llama has of its own: biases."""
    config = heads(rng, number)
    count = config["num_attention_heads"]
    # The hidden size must be a multiple of the heads; a head is as wide as that unless it is told.
    config["hidden_size"] = count * rng.choice([8, 12, 16])
    if number % 3 != 1:
        config["head_dim"] = rng.choice([4, 6, 10, 20, 32])
    if config["num_key_value_heads"] == count and number % 2:
        del config["num_key_value_heads"]
    config["attention_bias"] = number % 4 in (1, 2)
    config["mlp_bias"] = number % 8 in (2, 3, 5)
    if number == 11:  # nothing is said of the rotary embedding
        return config
    return config | rope(rng, number)


def mistral(rng: random.Random, number: int) -> dict:
    """What a Mistral has of its own: a window, most often shorter than the text."""
    config = heads(rng, number)
    count = config["num_attention_heads"]
    config["hidden_size"] = count * rng.choice([8, 12, 16])
    if number % 3 != 1:
        config["head_dim"] = rng.choice([4, 6, 10, 20, 32])
    if number != 7:  # left out, it is transformers' 4,096
        windows = [rng.randint(2, 12), rng.randint(13, 60), 1000, None]
        config["sliding_window"] = windows[number % 4 if number % 8 > 3 else number % 2]
    return config | rope(rng, number)


# Width of a head and the part of it that is rotated; 35 and 0.25 are Er's, 8 of 35. A part that is
# odd, 7 of 35 and 5 of 11, is rotated with one more.
ROTATED = [(35, 0.25), (16, 0.5), (33, 0.25), (8, 1.0), (35, 0.2), (20, 0.5), (11, 0.5), (64, None)]


def qwen(rng: random.Random, number: int) -> dict:
    """What a Qwen3.5 has of its own: linear layers, partly rotated heads."""
    config = heads(rng, number)
    config["hidden_size"] = rng.choice([32, 48, 72, 96])
    head_dim, partial = ROTATED[number % len(ROTATED)]
    config["head_dim"] = head_dim
    config["attention_bias"] = number % 4 in (0, 1)
    config |= {"num_hidden_layers": rng.randint(1, 5)}
    full, linear = "full_attention", "linear_attention"
    layers = config["num_hidden_layers"]
    match number % 4:
        case 0:
            config["layer_types"] = [full] * layers
        case 1:
            config["layer_types"] = [linear] * layers
        case 2:
            config["num_hidden_layers"] = layers = max(layers, 2)
            kinds = [full, linear, *(rng.choice([full, linear]) for _ in range(layers - 2))]
            rng.shuffle(kinds)
            config["layer_types"] = kinds
        case _:  # by the interval that stands for the list
            config["full_attention_interval"] = rng.choice([2, 3])
    key_heads = rng.choice([1, 2, 3])
    config |= {
        "linear_num_key_heads": key_heads,
        "linear_num_value_heads": key_heads * rng.choice([2, 3] if key_heads == 1 else [1, 2, 3]),
        "linear_key_head_dim": rng.choice([8, 16, 24, 32]),
        "linear_value_head_dim": rng.choice([8, 12, 20, 32]),
        "linear_conv_kernel_dim": 2 + number // 4 % 4,
    }
    return config | rope(rng, number, partial)


MAKERS = {"llama": llama, "mistral": mistral, "qwen3_5_text": qwen}
