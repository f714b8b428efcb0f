#!/usr/bin/env python3
"""benchmarks/pace.py FOLDER: how much slower than plain decoding a run of `spec bench --repeats R` was.

Reads records.jsonl of a run and prints, for each repeat, the wall time of the method over that of plain
decoding, both summed over the prompts, and their median.
"""

import json
import pathlib
import statistics
import sys


def main():
    seconds = {}
    for line in pathlib.Path(sys.argv[1], "records.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["kind"] == "record":
            key = (record["repeat"], "plain" if record["case"] == "plain" else "method")
            seconds[key] = seconds.get(key, 0.0) + record["seconds"]["total"]
    repeats = sorted({repeat for repeat, _ in seconds})
    ratios = [seconds[repeat, "method"] / seconds[repeat, "plain"] for repeat in repeats]
    print("repeats:", " ".join(f"{ratio:.3f}" for ratio in ratios))
    print(f"median:  {statistics.median(ratios):.3f} of plain decoding's time")


if __name__ == "__main__":
    main()
