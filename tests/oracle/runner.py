"""This project's side of a comparison of models: a process of tests/src/bin/logits.rs that is
handed jobs. Knows the form of jobs and answers; it knows no transformers.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Answer:
    """What a job came to; seconds of loading, reading and continuing."""

    parameters: int
    shape: tuple[int, int]
    greedy: list[int]
    seconds: tuple[float, float, float]
    peak_bytes: int


class JobError(Exception):
    """A job that this project's side could not do, with the reason that it gave."""


class Runner:
    """A process that works until it is closed; its peak memory is that of all its jobs. One that
    could not do a job has ended, and the next job gets a new one."""

    def __init__(self, binary: Path, device: str, threads: int):
        self.binary, self.device, self.threads = binary, device, threads
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.communicate()

    def start(self) -> subprocess.Popen:
        """The process, which waits for jobs."""
        if self.process is None:
            self.process = subprocess.Popen(
                [self.binary],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": str(self.threads)},
            )
        return self.process

    def work(self, job: dict) -> Answer:
        """Hands over a job and waits for the answer."""
        process = self.start()
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if line:
            return Answer(**json.loads(line))
        _, talk = process.communicate()
        self.process = None
        raise JobError(f"exit status {process.returncode}: {talk.strip()[-500:]}")

    def logits(self, folder: Path, ids: list[int], dtype: str, out: Path, **more) -> Answer:
        """Reads ids with a model folder, and writes the logits behind each."""
        job = {"folder": str(folder), "ids": ids, "dtype": dtype, "out": str(out), **more}
        return self.work({"device": self.device, **job})


def numbers(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The raw numbers that a job wrote."""
    return np.memmap(path, dtype="<f4", mode="r", shape=tuple(shape))
