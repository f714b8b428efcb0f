"""Greedy decoding of a model folder by transformers on a GPU, eager and as a compiled loop over a
static cache, turn by turn. One round of gpu_decode.py:

    gpu_decode_peer.py MODEL --gammas 4,8 --prefixes 1,8,32 --turns 20

Prints a JSON object a line, as the example gpu_decode of the crate `draft` does, for the same prompts:
what is timed begins with the caches behind all of a prompt but its last id, and ends with the drafted
ids on the host.
"""

import argparse
import importlib.util
import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM, DynamicCache, StaticCache

PROMPT = 48


def prompts(count, rows, device):
    ids = [[(place * 131 + prompt * 977 + 7) % rows for place in range(PROMPT)]
           for prompt in range(count)]
    return torch.tensor(ids, device=device)


class Eager:
    """transformers as it comes: a cache that grows."""

    name = "transformers eager"

    def __init__(self, model, ids, gamma):
        self.model, self.ids, self.gamma = model, ids, gamma

    def prepare(self):
        self.cache = DynamicCache(config=self.model.config)
        self.model(self.ids[:, :-1], past_key_values=self.cache, use_cache=True)

    def draft(self):
        token, drafted = self.ids[:, -1:], []
        for _ in range(self.gamma):
            logits = self.model(token, past_key_values=self.cache, use_cache=True).logits
            token = logits[:, -1:].argmax(-1)
            drafted.append(token)
        return torch.cat(drafted, 1).tolist()


class Compiled:
    """The same steps over a static cache, one compiled step that is replayed as a CUDA graph."""

    name = "torch.compile, static cache"

    def __init__(self, model, ids, gamma):
        self.model, self.ids, self.gamma = model, ids, gamma
        self.cache = StaticCache(config=model.config, max_cache_len=PROMPT + gamma + 8)
        self.step = torch.compile(self.forward, mode="reduce-overhead", fullgraph=True)

    def forward(self, token):
        logits = self.model(token, past_key_values=self.cache, use_cache=True).logits
        return logits[:, -1:].argmax(-1)

    def prepare(self):
        self.cache.reset()
        self.model(self.ids[:, :-1], past_key_values=self.cache, use_cache=True)

    def draft(self):
        token, drafted = self.ids[:, -1:], []
        for _ in range(self.gamma):
            token = self.step(token).clone()
            drafted.append(token)
        return torch.cat(drafted, 1).tolist()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--gammas", default="4,8")
    parser.add_argument("--prefixes", default="1,8,32")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--device", default="cuda", help="cpu tries the script where no GPU is")
    arguments = parser.parse_args()
    kinds = [Eager, Compiled]
    if arguments.device != "cpu" and importlib.util.find_spec("triton") is None:
        print("skipped: torch.compile, for there is no triton", file=sys.stderr)
        kinds = [Eager]
    model = AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=torch.bfloat16, attn_implementation="sdpa", local_files_only=True
    ).to(arguments.device).eval()
    with torch.inference_mode():
        for gamma in map(int, arguments.gammas.split(",")):
            for count in map(int, arguments.prefixes.split(",")):
                ids = prompts(count, model.config.vocab_size, arguments.device)
                peers = [kind(model, ids, gamma) for kind in kinds]
                first = None
                # The first turns compile and record graphs.
                for turn in range(-4, arguments.turns):
                    for peer in peers:
                        peer.prepare()
                        if arguments.device != "cpu":
                            torch.cuda.synchronize()
                        begin = time.perf_counter()
                        drafted = peer.draft()
                        micros = (time.perf_counter() - begin) * 1e6 / gamma
                        first = first or drafted
                        if turn == 0 and drafted != first:
                            print(f"{peer.name} drafts other ids than eager", file=sys.stderr)
                        if turn >= 0:
                            print(json.dumps({"what": "draft", "by": peer.name, "prefixes": count,
                                              "gamma": gamma, "temperature": 0.0,
                                              "micros_a_step": micros}), flush=True)


if __name__ == "__main__":
    main()
