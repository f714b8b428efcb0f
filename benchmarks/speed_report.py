"""What `make bench-speed` measured, as tables of Markdown and as data: medians [least, greatest] of the
rounds, and ratios within a round.
"""

from __future__ import annotations

import json
import statistics

MODELS = {
    "draft": "stentor2, batch 1",
    "target": "spec-24m, batch 1",
    "target-1b": "random weights of Llama-3.2-1B's shape, batch 1",
}


class Rounds:
    """The records of a part, by contender and round."""

    def __init__(self, records: list[dict], part: str):
        self.of: dict[str, dict[int, dict]] = {}
        for record in records:
            if record["part"] == part:
                self.of.setdefault(record["name"], {})[record["round"]] = record

    def values(self, name: str, get) -> list[float]:
        """A number of every round that has it."""
        found = [get(record) for record in self.of.get(name, {}).values()]
        return [value for value in found if value is not None]

    def figure(self, name: str, get) -> dict | None:
        """Its median and limits."""
        return figure(self.values(name, get))

    def ratio(self, name: str, other: str, get) -> dict | None:
        """How many times one contender's number is the other's, in the rounds that both have."""
        ours, theirs = self.of.get(name, {}), self.of.get(other, {})
        pairs = [(get(ours[at]), get(theirs[at])) for at in sorted(set(ours) & set(theirs))]
        return figure([own / their for own, their in pairs if own is not None and their])

    def of_floor(self, name: str, floor: str | None) -> dict | None:
        """The floor of spec's element type in the same round, as a share of the time of a token."""
        ours, theirs = self.of.get(name, {}), self.of.get(floor or "", {})
        both = sorted(set(ours) & set(theirs))
        return figure([theirs[at]["floor"] / ours[at]["token"] for at in both])


def figure(values: list[float]) -> dict | None:
    """Median and limits; `None` of nothing."""
    if not values:
        return None
    limits = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return {**limits, "rounds": values}


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def cell(own: dict | None, scale: float = 1.0) -> str:
    """A figure in a table."""
    if own is None:
        return "–"
    low, high = number(scale * own["low"]), number(scale * own["high"])
    return f"{number(scale * own['median'])} [{low}, {high}]"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def rate(key: str):
    """So many a second."""
    return lambda record: 1 / record[key] if key in record else None


def same(record: dict, reference: list[int]) -> int:
    """How many tokens are the reference's, up to the first that is not."""
    pairs = zip(record.get("ids", []), reference)
    return next((at for at, (own, other) in enumerate(pairs) if own != other), len(reference))


def opposite(name: str, kinds: dict[str, str]) -> str | None:
    """The contender of llama.cpp that a contender of spec is held against."""
    kind = kinds.get(name.removeprefix("spec ")) if name.startswith("spec ") else None
    return f"llama.cpp {kind.upper()}" if kind else None


def floor_of(name: str, rounds: Rounds, kinds: dict[str, str]) -> str | None:
    """Whose floor counts for a contender: that of spec's element type of the same width."""
    if name.startswith("spec "):
        return name
    widths = {kind.upper(): dtype for dtype, kind in kinds.items() if f"spec {dtype}" in rounds.of}
    dtype = widths.get(name.split()[-1], name.split()[-1])
    return f"spec {dtype}" if f"spec {dtype}" in rounds.of else None


def decoding(part: str, rounds: Rounds, kinds: dict[str, str]) -> tuple[str, dict]:
    """Plain decoding and prompts of a model."""
    first = next((own for name, own in rounds.of.items() if name.startswith("spec ")), {})
    reference = next(iter(first.values()), {}).get("ids", [])
    rows, data = [], {}
    for name in rounds.of:
        other = opposite(name, kinds)
        ratios = {
            peer: rounds.ratio(name, peer, rate("token"))
            for peer in (other, "transformers fp32", "PyTorch loop fp32")
            if peer and name.startswith("spec ")
        }
        record = next(iter(rounds.of[name].values()))
        known = f"{same(record, reference)} of {len(reference)}" if "ids" in record else "–"
        own = {
            "tokens_per_second": rounds.figure(name, rate("token")),
            "share_of_floor": rounds.of_floor(name, floor_of(name, rounds, kinds)),
            "ratios": {peer: ratio for peer, ratio in ratios.items() if ratio},
            "prefill_per_second": rounds.figure(name, rate("prefill")),
            "prefill_ratio": rounds.ratio(name, other or "", rate("prefill")),
        }
        data[name] = own
        rows.append(
            [
                name,
                cell(own["tokens_per_second"]),
                cell(own["share_of_floor"]),
                cell(ratios.get(other)),
                cell(ratios.get("transformers fp32")),
                cell(ratios.get("PyTorch loop fp32")),
                cell(own["prefill_per_second"]),
                cell(own["prefill_ratio"]),
                known,
            ]
        )
    header = ["", "tokens/s", "share of the read floor", "/ llama.cpp", "/ transformers"]
    header += ["/ PyTorch loop", "prompt, ids/s", "/ llama.cpp", "same tokens"]
    return f"### {MODELS[part]}: plain greedy decoding\n\n" + table(header, rows), data


def passes(part: str, rounds: Rounds, kinds: dict[str, str]) -> tuple[str, dict]:
    """Passes over several ids, as multiples of one's, and beside llama.cpp's."""
    text, data = "", {}
    for kind, words in (("trees", "siblings of a tree"), ("rows", "ids in a row")):
        names = [name for name, own in rounds.of.items() if kind in next(iter(own.values()))]
        if not names:
            continue
        sizes = list(next(iter(rounds.of[names[0]].values()))[kind])
        rows = []
        for name in names:
            own = data.setdefault(name, {}).setdefault(kind, {})
            for size in sizes:
                get = lambda record, size=size: record[kind][size]
                of_one = lambda record, size=size: record[kind][size] / record[kind]["1"]
                speed = lambda record, size=size: 1 / record[kind][size]
                own[size] = {
                    "seconds": rounds.figure(name, get),
                    "of_one": rounds.figure(name, of_one),
                    "speed_ratio": rounds.ratio(name, opposite(name, kinds) or "", speed),
                }
            multiples = [cell(own[size]["of_one"]) for size in sizes if size != "1"]
            beside = [cell(own[size]["speed_ratio"]) for size in sizes]
            rows.append([name, cell(own["1"]["seconds"], 1e3), *multiples, *beside])
        header = ["", "one, ms", *(f"{size} / one" for size in sizes if size != "1")]
        header += [f"speed of {size} / llama.cpp" for size in sizes]
        text += f"\n### {MODELS[part]}: passes over {words}\n\n" + table(header, rows)
    return text, data


def pair(rounds: Rounds) -> tuple[str, dict]:
    """The pair from end to end; ratios are to the peers' plain decoding."""
    peers = [name for name in rounds.of if not name.startswith("spec ")]
    rows, data = [], {}
    for name in rounds.of:
        ratios = {
            peer: rounds.ratio(name, peer, rate("token")) for peer in peers if name not in peers
        }
        data[name] = {"tokens_per_second": rounds.figure(name, rate("token")), "ratios": ratios}
        rows.append(
            [name, cell(data[name]["tokens_per_second"]), *(cell(ratios.get(peer)) for peer in peers)]
        )
    header = ["", "tokens/s", *(f"/ {peer}" for peer in peers)]
    text = "### stentor2 → spec-24m from end to end, temperature 0\n\n"
    return text + table(header, rows) + "\nReading the prompt is timed, but for llama-bench, which has none.\n", data


def page(
    machine: dict, records: list[dict], notes: list[str], kinds: dict[str, str]
) -> tuple[str, dict]:
    """All parts that were measured."""
    parts, data = [], {}
    for part in dict.fromkeys(record["part"] for record in records):
        rounds = Rounds(records, part)
        if part in MODELS:
            (first, decoded), (second, passed) = decoding(part, rounds, kinds), passes(part, rounds, kinds)
            parts.append(first + second)
            data[part] = {"decoding": decoded, "passes": passed}
        elif part == "pair":
            text, data[part] = pair(rounds)
            parts.append(text)
        elif part == "startup":
            data[part] = rounds.figure("spec bench", lambda record: record["seconds"])
            text = f"`./spec bench` begins its first prompt after {cell(data[part])} s\n"
            parts.append("### Start\n\n" + text)
        else:
            data[part] = [record["result"] for record in records if record["part"] == part]
            text = json.dumps(data[part], indent=1)
            parts.append(f"### The tokenizer\n\n```json\n{text}\n```\n")
    if notes:
        parts.append("### What was left out\n\n" + "".join(f"- {note}\n" for note in notes))
    head = (
        f"{machine['processor']}, {machine['threads']} threads; commit {machine['commit']}; "
        f"torch {machine['torch']}, transformers {machine['transformers']}, llama.cpp of "
        f"llama-cpp-python {machine['llama_cpp_python']}; {machine['rounds']} rounds of "
        f"{machine['tokens']} tokens; median [least, greatest]\n"
    )
    return "\n".join([head, *parts]), {"machine": machine, "notes": notes, "parts": data}
