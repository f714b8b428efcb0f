"""A run of `make bench-speed`: takes contenders in turns, and keeps what they did. Knows no contender."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from speed_setup import Cache, last_line, say

Contender = Callable[[], dict[str, dict]]


class Failed(Exception):
    """A program that did not do what it was asked for; says so in its own words."""


class Run:
    """A run: its settings, a folder for what is of no use afterwards, and what it found."""

    def __init__(self, args: argparse.Namespace, folder: Path):
        self.args = args
        self.binary, self.folder = args.binary, folder
        self.cache = Cache(args.cache, args.binary, args.jobs, args.cmake)
        self.records: list[dict] = []
        self.notes: list[str] = []
        self.file = None
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
            self.file = (args.out / "records.jsonl").open("w", encoding="utf-8")

    def record(self, part: str, number: int, name: str, figures: dict) -> None:
        """Keeps what one contender did in one round."""
        record = {"part": part, "round": number, "name": name, **figures}
        self.records.append(record)
        if self.file:
            self.file.write(json.dumps(record) + "\n")
            self.file.flush()

    def note(self, text: str) -> None:
        """Keeps what must be said beside figures."""
        say(text)
        self.notes.append(text)

    def rounds(self, part: str, contenders: list[Contender]) -> None:
        """Measures all contenders in turns. One that fails is noted, and left out from then on."""
        alive = list(contenders)
        for number in range(self.args.rounds):
            first = number % len(alive) if alive else 0
            for contender in alive[first:] + alive[:first]:
                try:
                    for name, figures in contender().items():
                        self.record(part, number, name, figures)
                except Failed as error:
                    self.note(f"{part}: {error}")
                    alive.remove(contender)
            say(f"{part}: round {number + 1} of {self.args.rounds}")

    def output(self, line: list, **more) -> str:
        """Standard output of a program."""
        words = [str(word) for word in line]
        done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
        if done.returncode != 0:
            reason = last_line(done.stderr or done.stdout)
            raise Failed(f"{Path(words[0]).name} ended with {done.returncode}: {reason}")
        return done.stdout
