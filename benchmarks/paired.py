#!/usr/bin/env python3
"""benchmarks/paired.py FOLDER [SPEC]: what each new method is worth in the runs of benchmarks/pairs.sh.

For every pair and temperature the mean acceptance lengths of `tree` and `byte` beside the better of `slem`
and `tli`, their ratio, and the paired difference with its 95 % interval as `spec compare` gives it (SPEC,
default: ./spec); then the geometric means of the ratios over the pairs of story models.
"""

import json
import math
import pathlib
import subprocess
import sys

OLD, NEW = ("slem", "tli"), ("tree", "byte")


def compared(spec, a, b):
    """What `spec compare A B` says, and its figure of mean acceptance length."""
    line = [spec, "compare", str(a), str(b), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    figures = report["figures"]
    return report, next(own for own in figures if own["name"] == "mean_acceptance_length")


def main():
    out = pathlib.Path(sys.argv[1])
    spec = sys.argv[2] if len(sys.argv) > 2 else "./spec"
    print("| pair | T | prompts | better of slem and tli | method | mean acceptance length | ratio "
          "| paired difference |")
    print("|---|---:|---:|---|---|---:|---:|---:|")
    ratios = {}
    for temperature in (0, 1):
        for path in sorted(out.glob(f"*-slem-t{temperature}")):
            pair = path.name.removesuffix(f"-slem-t{temperature}")
            run = {method: out / f"{pair}-{method}-t{temperature}" for method in OLD + NEW}
            for method in NEW:
                both = [compared(spec, run[old], run[method]) for old in OLD]
                report, figure = max(both, key=lambda own: own[1]["a"])
                ratio, difference = figure["b"] / figure["a"], figure["difference"]
                if "-to-" in pair:
                    ratios.setdefault((temperature, method), []).append(ratio)
                name = f"{report['b']['draft']} → {report['b']['target']}"
                print(f"| {name} | {temperature} | {report['prompts']} "
                      f"| {report['a']['case']} {figure['a']:.2f} | {method} | {figure['b']:.2f} | {ratio:.2f} "
                      f"| {difference['value']:+.2f} [{difference['low']:+.2f}, "
                      f"{difference['high']:+.2f}] |")
    for (temperature, method), own in ratios.items():
        mean = math.exp(sum(math.log(ratio) for ratio in own) / len(own))
        print(f"\n{method}, temperature {temperature}: {mean:.2f} in the geometric mean of {len(own)} "
              "pairs of story models")


if __name__ == "__main__":
    main()
