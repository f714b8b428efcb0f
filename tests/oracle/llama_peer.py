"""llama.cpp's side of a comparison: it is built as benchmarks/speed_setup.py builds it, and asked
through llama_probe.cpp. Knows jobs and answers; it knows no transformers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "benchmarks"))
from speed_setup import Cache  # noqa: E402


class Llama:
    """A built llama.cpp."""

    def __init__(self, folder: Path, binary: Path, jobs: int):
        cache = Cache(folder, binary, jobs, [])
        self.source, libraries = cache.source(), cache.llama()
        self.probe = libraries / "llama_probe"
        file = HERE / "llama_probe.cpp"
        if not self.probe.exists() or self.probe.stat().st_mtime < file.stat().st_mtime:
            compiler = os.environ.get("CXX", "c++").split()
            places = [f"-I{self.source}/include", f"-I{self.source}/ggml/include", f"-L{libraries}"]
            linked = ["-lllama", "-lggml", "-lggml-base", f"-Wl,-rpath,{libraries}"]
            line = [*compiler, "-std=c++17", "-O2", file, *places, *linked, "-o", self.probe]
            subprocess.run([str(word) for word in line], check=True)

    def open(self, file: Path) -> Peer:
        """A process with a model."""
        return Peer(self.probe, file)


class Peer:
    """A process that works until it is closed."""

    def __init__(self, probe: Path, file: Path):
        self.process = subprocess.Popen(
            [probe, file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def ask(self, *words: object) -> str:
        """Hands over a job and waits for the answer."""
        try:
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"llama.cpp: {self.process.stderr.read().strip()[-500:]}")
        return line.strip()

    def tokenize(self, text: str, specials: bool) -> list[int]:
        """Ids of a text."""
        answer = self.ask("tokenize", "x" + text.encode().hex(), int(specials))
        return [int(word) for word in answer.split()]

    def detokenize(self, ids: list[int]) -> bytes:
        """Bytes of ids, one token behind the other."""
        return bytes.fromhex(self.ask("detokenize", *ids))

    def logits(self, ids: list[int], scratch: Path) -> np.ndarray:
        """Logits behind each id."""
        path = scratch / "logits"
        count, rows = map(int, self.ask("logits", path, *ids).split())
        return np.fromfile(path, dtype="<f4").reshape(count, rows)

    def greedy(self, ids: list[int], count: int) -> list[int]:
        """What greedy decoding goes on with."""
        return [int(word) for word in self.ask("greedy", count, *ids).split()]

    def ends(self, ids: list[int]) -> list[bool]:
        """Whether ids end a text."""
        return [word == "1" for word in self.ask("ends", *ids).split()]
