#!/usr/bin/env python3
"""benchmarks/table.py FOLDER: the runs of benchmarks/pairs.sh as one Markdown table.

Reads every report.json below FOLDER, of schema 1 or 2; computes nothing, each figure is the report's own.
"""

import json
import pathlib
import sys


def figure(estimate, digits=3):
    """A value with its interval, or a dash."""
    if estimate is None or estimate["value"] is None:
        return "–"
    text = f"{estimate['value']:.{digits}f}"
    if estimate["low"] is None:
        return text
    return f"{text} [{estimate['low']:.{digits}f}, {estimate['high']:.{digits}f}]"


def row(path):
    report = json.loads(path.read_text(encoding="utf-8"))
    header = report["header"]
    if report["schema"] == 1:
        settings, draft = header["settings"], header["draft"]["name"]
        case = next(case for case in report["cases"] if case["case"] == settings["method"])
    else:
        case = next(case for case in report["cases"] if case["settings"]["method"] != "plain")
        settings, draft = case["settings"], case["settings"]["draft"]
    metrics = case["overall"]
    identical = metrics["greedy_identical"]
    greedy = "–" if identical is None else f"{identical['value']:.0%}".replace("%", " %")
    return [
        f"{draft} → {header['target']['name']}",
        settings["method"],
        f"{settings['temperature']:g}",
        f"{header['prompts']['run']} of {pathlib.Path(header['prompts']['source']).name}",
        figure(metrics["draft_acceptance_rate"]),
        figure(metrics["mean_acceptance_length"], 2),
        figure(metrics["speedup"], 2),
        greedy,
    ]


def main():
    columns = ["pair", "method", "T", "prompts", "acceptance rate", "mean acceptance length",
               "speed-up", "greedy identical"]
    print("| " + " | ".join(columns) + " |")
    print("|---|---|" + "---:|" * (len(columns) - 2))
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*/report.json")):
        print("| " + " | ".join(row(path)) + " |")


if __name__ == "__main__":
    main()
