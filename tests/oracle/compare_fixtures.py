"""Compares freshly made fixtures with the committed ones.

    .oracle/bin/python tests/oracle/compare_fixtures.py FRESH [COMMITTED]

Text, ids and structure must be the same. Numbers may differ by a tolerance, as sums are formed in
another order on another machine, and greedy decoding may part at a near tie. Exits with 1 and the
first differences of each file where there are any.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from oracle import FIXTURES

# Absolute. Logits are about 20 at most, and float32.
TOLERANCE = {
    "logits": 1e-4,
    "greedy": 0.0,
    "tokenizers": 0.0,
    "sampling": 1e-8,
    "architectures": 1e-4,
    "rotary": 1e-6,
    "training": 1e-3,
}
NAMES = list(TOLERANCE)
SHOWN = 5


def differences(fresh: object, old: object, tolerance: float, place: str) -> Iterator[str]:
    """Every place where two JSON values differ."""
    if isinstance(fresh, float) and isinstance(old, (int, float)):
        if abs(fresh - old) > tolerance:
            yield f"{place}: {fresh} is not {old} (tolerance {tolerance})"
    elif isinstance(fresh, dict) and isinstance(old, dict) and fresh.keys() == old.keys():
        for key in sorted(fresh):
            yield from differences(fresh[key], old[key], tolerance, f"{place}.{key}")
    elif isinstance(fresh, list) and isinstance(old, list) and len(fresh) == len(old):
        for index, (left, right) in enumerate(zip(fresh, old, strict=True)):
            yield from differences(left, right, tolerance, f"{place}[{index}]")
    elif fresh != old:
        yield f"{place}: {str(fresh)[:80]} is not {str(old)[:80]}"


def cut_at_tie(fresh: dict, old: dict) -> None:
    """Cuts both outputs of a greedy case at a near tie at which they part; the rest is free."""
    left, right = fresh["output_ids"], old["output_ids"]
    pairs = enumerate(zip(left, right, strict=False))
    shorter = min(len(left), len(right))
    first = next((place for place, (a, b) in pairs if a != b), shorter)
    if first in fresh["ties"] or first in old["ties"]:
        for case in (fresh, old):
            case["output_ids"] = case["output_ids"][:first]
    # Which positions are near enough to be listed hangs on rounding, too.
    fresh["ties"] = old["ties"] = []


def common_ids(fresh: dict, old: dict) -> None:
    """Sorts the logits of each position by id, leaving out one id that only one side has: which is
    the eighth best hangs on rounding."""
    for left, right in zip(fresh["positions"], old["positions"], strict=False):
        common = set(left["vocab_ids"]) & set(right["vocab_ids"])
        if len(common) < len(right["vocab_ids"]) - 1:
            continue
        for row in (left, right):
            pairs = zip(row["vocab_ids"], row["logits"], strict=True)
            row["logits"] = [logit for id, logit in sorted(pairs) if id in common]
            row["vocab_ids"] = sorted(common)


def compare(name: str, fresh: Path, old: Path) -> list[str]:
    """The differences of one file."""
    values = [json.loads((folder / f"{name}.json").read_text("ascii")) for folder in (fresh, old)]
    for value in values:
        del value["made_with"]
    if len(values[0]["cases"]) == len(values[1]["cases"]):
        for left, right in zip(values[0]["cases"], values[1]["cases"], strict=True):
            if name in ("greedy", "architectures"):
                cut_at_tie(left, right)
            if name in ("logits", "architectures"):
                common_ids(left, right)
    return list(differences(values[0], values[1], TOLERANCE[name], name))


def main() -> int:
    """Compares the files one by one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fresh", type=Path)
    parser.add_argument("committed", type=Path, nargs="?", default=FIXTURES)
    args = parser.parse_args()
    failed = 0
    for name in NAMES:
        found = compare(name, args.fresh, args.committed)
        print(f"{name}.json: {len(found)} differences" if found else f"{name}.json: the same")
        for line in found[:SHOWN]:
            print(f"  {line}")
        failed += bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
