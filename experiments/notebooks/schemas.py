"""Checks the files of a run, a comparison and a recipe against the program's own schemas, by the reference
implementation: schemas.py SPEC RUN."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from jsonschema import Draft202012Validator

program, folder = sys.argv[1], Path(sys.argv[2])


def output(*arguments):
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


def check(subject, values):
    schema = json.loads(output("schema", subject))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for value in values:
        validator.validate(value)
        if validator.is_valid({**value, "an_unknown_field": 1}):
            sys.exit(f"the schema of a {subject} takes an unknown field")
    print(f"schema of a {subject}: {len(values)} valid")


report = json.loads((folder / "report.json").read_text())
check("report", [report])
check("record", [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()])
pair = [f"{folder}:{case['case']}" for case in report["cases"] if case["settings"]["method"] != "plain"][:2]
check("comparison", [json.loads(output("compare", *pair, "--json"))])
check("recipe", [tomllib.loads(output("train", "--recipe", "nano", "--show-recipe"))])
