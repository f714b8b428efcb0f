"""Plain greedy decoding in Python, the peers of `make bench-speed`: transformers' `generate`, and the
shortest loop over the same weights in PyTorch, with a cache of a fixed size and no modules.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

PROMPT = 16


def prompt(rows: int) -> torch.Tensor:
    """Ids to go on behind, as `spec speed` makes them of seed 0."""
    state, ids = 1, []
    for _ in range(PROMPT):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        ids.append((state >> 33) % rows)
    return torch.tensor([ids])


class Transformers:
    """A model in transformers."""

    def __init__(self, folder: Path):
        load = dict(dtype=torch.float32, attn_implementation="sdpa", local_files_only=True)
        self.model = AutoModelForCausalLM.from_pretrained(folder, **load).eval()

    def decode(self, tokens: int) -> dict:
        """Seconds a new token, the first of which comes with the prompt's pass, and the tokens."""
        ids = prompt(self.model.config.vocab_size)
        since = time.perf_counter()
        out = self.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            pad_token_id=0,
        )
        seconds = time.perf_counter() - since
        return {"token": seconds / tokens, "ids": out[0, PROMPT:].tolist()}


class Loop:
    """The same without transformers."""

    def __init__(self, folder: Path, positions: int):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = {}
        for path in sorted(folder.glob("*.safetensors")):
            weights |= load_file(path)
        self.rows = config["vocab_size"]
        self.heads = config["num_attention_heads"]
        self.groups = config["num_key_value_heads"]
        self.head = config.get("head_dim") or config["hidden_size"] // self.heads
        self.epsilon = config["rms_norm_eps"]
        self.embedding = weights["model.embed_tokens.weight"].float()
        self.norm = weights["model.norm.weight"].float()
        untied = None if config.get("tie_word_embeddings") else weights.get("lm_head.weight")
        self.output = self.embedding if untied is None else untied.float()
        self.layers = [self.layer(weights, i) for i in range(config["num_hidden_layers"])]
        self.cache = torch.zeros(len(self.layers), 2, 1, self.groups, positions, self.head)
        theta = (config.get("rope_parameters") or config).get("rope_theta", 10000.0)
        frequencies = theta ** (-torch.arange(0, self.head, 2) / self.head)
        angles = torch.outer(torch.arange(positions), frequencies).repeat(1, 2)
        self.cos, self.sin = angles.cos(), angles.sin()

    @staticmethod
    def layer(weights: dict, index: int) -> tuple[torch.Tensor, ...]:
        """Norms and matrices, those that read the same in one."""

        def stack(*names: str) -> torch.Tensor:
            own = [weights[f"model.layers.{index}.{name}.weight"].float() for name in names]
            return torch.cat(own).contiguous()

        return (
            stack("input_layernorm"),
            stack("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            stack("self_attn.o_proj"),
            stack("post_attention_layernorm"),
            stack("mlp.gate_proj", "mlp.up_proj"),
            stack("mlp.down_proj"),
        )

    def turn(self, x: torch.Tensor, begin: int) -> torch.Tensor:
        """The rotary embedding of [1, heads, time, dim]."""
        end = begin + x.shape[2]
        first, second = x.chunk(2, dim=-1)
        turned = torch.cat((-second, first), dim=-1)
        return x * self.cos[begin:end] + turned * self.sin[begin:end]

    def step(self, ids: torch.Tensor, begin: int) -> torch.Tensor:
        """Logits behind the last of ids at positions from `begin` on."""
        count, size = ids.shape[0], self.embedding.shape[1]
        q, kv = self.heads * self.head, self.groups * self.head
        x = F.embedding(ids, self.embedding)
        for (before, qkv, out, between, gate_up, down), cache in zip(self.layers, self.cache):
            mixed = F.linear(F.rms_norm(x, (size,), before, self.epsilon), qkv)
            parts = mixed.split([q, kv, kv], dim=-1)
            queries, keys, values = (
                part.view(1, count, -1, self.head).transpose(1, 2) for part in parts
            )
            cache[0][:, :, begin : begin + count] = self.turn(keys, begin)
            cache[1][:, :, begin : begin + count] = values
            read = F.scaled_dot_product_attention(
                self.turn(queries, begin),
                cache[0][:, :, : begin + count],
                cache[1][:, :, : begin + count],
                is_causal=count > 1,
                enable_gqa=self.groups != self.heads,
            )
            x = x + F.linear(read.transpose(1, 2).reshape(count, q), out)
            gate, up = F.linear(F.rms_norm(x, (size,), between, self.epsilon), gate_up).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, down)
        return F.linear(F.rms_norm(x[-1], (size,), self.norm, self.epsilon), self.output)

    def decode(self, tokens: int) -> dict:
        """Seconds a token behind a prompt, and the tokens."""
        logits = self.step(prompt(self.rows)[0], 0)
        ids, since = [], time.perf_counter()
        for place in range(PROMPT, PROMPT + tokens):
            next_id = logits.argmax()
            ids.append(next_id)
            logits = self.step(next_id.view(1), place)
        seconds = time.perf_counter() - since
        return {"token": seconds / tokens, "ids": [int(own) for own in ids]}
