"""What the oracle's scripts share: where things lie, how a model and its tokenizer are loaded, how
transformers decodes greedily, and how a fixture file is written.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import tokenizers
import torch
import transformers
from transformers import LlamaForCausalLM

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / ".." / "shared"
FIXTURES = ROOT / "tests" / "fixtures"

STORY_MODELS = ["tinystories-656k", "stories260k", "babyllama-tok105"]
GSM_DRAFT = "gsm-draft-stentor2"
GSM_TARGET = "gsm-target-llama3"
MODELS = [*STORY_MODELS, GSM_DRAFT, GSM_TARGET]

# Where the two best logits are closer than this, another correct program may choose the other.
TIE_MARGIN = 1e-4

# A question as gsm-target-llama3 and gsm-draft-stentor2 saw it in training; see
# measure_prompt_formats.py. Behind it come the steps and a last line `The answer is N.`
GSM_PROMPT = "{question}\n\n"


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the option that all scripts have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shared",
        type=Path,
        default=SHARED,
        help="folder with weights, tokenizers and eval (default: ../shared beside the repository)",
    )
    return parser


def quiet() -> None:
    """One thread, so that sums are formed in one order; no progress bars."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", module="transformers")


def load_model(folder: Path, attention: str = "eager") -> LlamaForCausalLM:
    """The model in float32 on the CPU, whatever its file's type is."""
    model = LlamaForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention, local_files_only=True
    )
    return model.eval()


def load_tokenizer(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer of a folder, without truncation or padding."""
    tokenizer = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def greedy(model: LlamaForCausalLM, prompt: list[int], max_new: int) -> tuple[list[int], list[int]]:
    """Emitted ids of plain greedy decoding, and the positions among them that were near ties.

    The end-of-text id comes from the model's own configuration; where it is emitted it is the last.
    """
    inputs = torch.tensor([prompt])
    out = model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        do_sample=False,
        use_cache=True,
        max_new_tokens=max_new,
        output_logits=True,
        return_dict_in_generate=True,
    )
    ids = out.sequences[0, len(prompt) :].tolist()
    ties = []
    for position, logits in enumerate(out.logits):
        best = logits[0].topk(2).values
        if best[0] - best[1] < TIE_MARGIN:
            ties.append(position)
    return ids, ties


def questions(shared: Path, count: int) -> list[str]:
    """The first questions of the GSM8K test set."""
    with open(shared / "eval" / "gsm8k" / "test.jsonl", encoding="utf-8") as lines:
        return [json.loads(next(lines))["question"] for _ in range(count)]


def rounded(value: float, digits: int = 9) -> float:
    """A number cut to what a float32 needs to be told from its neighbours."""
    return float(f"{value:.{digits}g}")


def write(path: Path, header: dict, cases: list[dict]) -> None:
    """Writes `header` with its `cases`: sorted keys, no spaces, one case a line, ASCII only."""

    def dump(value: object) -> str:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

    versions = {
        "tokenizers": tokenizers.__version__,
        "torch": torch.__version__.partition("+")[0],
        "transformers": transformers.__version__,
    }
    fields = {**{key: dump(value) for key, value in header.items()}, "made_with": dump(versions)}
    fields["cases"] = "[\n" + ",\n".join(dump(case) for case in cases) + "\n]"
    body = ",\n".join(f'"{key}":{fields[key]}' for key in sorted(fields))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{" + body + "}\n", encoding="ascii")
