"""Trains a model folder with transformers and PyTorch on given ids, and prints a JSON object with the
loss and the seconds of every step. One round of train.py, which writes the object this reads:

    train_peer.py PLAN

What is trained is what `spec train` trains: AdamW with weight decay on the weights of linear maps
only, gradients clipped by their norm and summed up over microbatches, a warm-up and a cosine.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup


def optimiser_of(model, settings):
    """Torch's fused AdamW."""
    named = dict(model.named_parameters())
    is_decayed = {name: p.dim() == 2 and "embed" not in name and "lm_head" not in name
                  for name, p in named.items()}
    groups = [
        {"params": [p for name, p in named.items() if is_decayed[name]],
         "weight_decay": settings["weight_decay"]},
        {"params": [p for name, p in named.items() if not is_decayed[name]], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings["lr"], betas=tuple(settings["betas"]),
                             eps=settings["eps"], fused=True)


def main():
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    device, narrow = plan["device"], plan["dtype"] == "bf16"
    if device == "cpu":
        torch.set_num_threads(plan["threads"])
    torch.manual_seed(plan["seed"])
    model = AutoModelForCausalLM.from_pretrained(
        plan["model"], dtype=torch.float32, attn_implementation="sdpa", local_files_only=True
    ).to(device).train()
    settings = plan["optimiser"]
    optimiser = optimiser_of(model, settings)
    schedule = get_cosine_schedule_with_warmup(optimiser, plan["warmup"], plan["steps"])
    forward = torch.compile(model) if plan["compile"] else model
    ids = np.fromfile(plan["ids"], dtype=np.uint16)[: plan["sequences"] * plan["length"]]
    batch = torch.from_numpy(ids.astype(np.int64)).view(-1, plan["length"])
    parts = batch.split(plan["micro"])
    losses, seconds = [], []
    for _ in range(plan["steps"]):
        started = time.perf_counter()
        total = torch.zeros((), device=device)
        for part in parts:
            part = part.to(device)
            with torch.autocast(device, dtype=torch.bfloat16, enabled=narrow):
                loss = forward(part, labels=part, use_cache=False).loss / len(parts)
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clip"])
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(total.item())
        seconds.append(time.perf_counter() - started)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps({"losses": losses, "seconds": seconds, "versions": versions}))


if __name__ == "__main__":
    main()
