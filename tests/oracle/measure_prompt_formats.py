"""Finds out in which form gsm-target-llama3 saw GSM8K: mean loss per token under several forms.

    .oracle/bin/python tests/oracle/measure_prompt_formats.py [--shared DIR]

The lowest loss by far has BOS, question, blank line, the steps without their <<...>> marks, a last
line `The answer is N.` in the place of `#### N`, and the end-of-text token. `oracle.GSM_PROMPT` is
that form up to the answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import product

import torch

from oracle import GSM_TARGET, arguments, load_model, load_tokenizer, quiet

PROBLEMS = 50
# What stands before the answer, and what joins the two.
FORMS = {
    "Question: Q / Answer: A": ("Question: {}\nAnswer:", " "),
    "Q: Q / A: A": ("Q: {}\nA:", " "),
    "Q / A": ("{}", "\n"),
    "Q / blank line / A": ("{}", "\n\n"),
}


def without_marks(answer: str) -> str:
    """The answer without the marks of the calculator."""
    return re.sub(r"<<.*?>>", "", answer)


def spelled_out(answer: str) -> str:
    """The same, with the result in words."""
    return re.sub(r"\n#### (.*)$", r"\nThe answer is \1.", without_marks(answer))


ANSWERS: dict[str, Callable[[str], str]] = {
    "as in the file": str,
    "without marks": without_marks,
    "and `The answer is N.`": spelled_out,
}


def main() -> None:
    """Prints a table, a line for each combination."""
    args = arguments(__doc__).parse_args()
    quiet()
    model = load_model(args.shared / "weights" / GSM_TARGET, "sdpa")
    tokenizer = load_tokenizer(args.shared / "weights" / GSM_TARGET)
    bos, eos = model.config.bos_token_id, model.config.eos_token_id
    path = args.shared / "eval" / "gsm8k" / "test.jsonl"
    problems = [json.loads(line) for line in path.read_text("utf-8").splitlines()[:PROBLEMS]]

    print(f"{'BOS':4}{'answer':24}{'form':26}{'answer':>8}{'question':>10}{'both':>8}{'EOS':>8}")
    for has_bos, answer, form in product([True, False], ANSWERS, FORMS):
        sums, counts = [0.0, 0.0, 0.0], [0, 0, 0]
        for problem in problems:
            before = FORMS[form][0].format(problem["question"])
            text = before + FORMS[form][1] + ANSWERS[answer](problem["answer"])
            encoding = tokenizer.encode(text, add_special_tokens=False)
            ids = [bos] * has_bos + encoding.ids + [eos]
            logits = model(torch.tensor([ids])).logits[0]
            losses = torch.nn.functional.cross_entropy(
                logits[:-1], torch.tensor(ids[1:]), reduction="none"
            )
            inside = sum(end <= len(before) for _, end in encoding.offsets) + has_bos - 1
            parts = [losses[inside:-1], losses[:inside], losses[-1:]]
            for place, part in enumerate(parts):
                sums[place] += part.sum().item()
                counts[place] += len(part)
        of_answer, of_question, of_eos = (s / c for s, c in zip(sums, counts, strict=True))
        both = sum(sums[:2]) / sum(counts[:2])
        print(
            f"{'yes' if has_bos else 'no':4}{answer:24}{form:26}{of_answer:8.3f}"
            f"{of_question:10.3f}{both:8.3f}{of_eos:8.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
