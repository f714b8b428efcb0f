"""What `make bench-speed` measures beside this project, made once in a folder outside of the tree:
llama.cpp from the source package of llama-cpp-python on PyPI, built for this machine, checkpoints as plain
folders, and the same weights as GGUF. What has its final name is whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
PACKAGE = "0.3.36"
TOOLS = ["cmake==4.4.5", "ninja==1.13.2", "gguf==0.19.0", "numpy==2.4.6"]
TARGETS = ["llama-bench", "llama-speculative-simple", "llama-speculative"]
OPTIONS = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DGGML_CCACHE=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_OPENSSL=OFF",
]
# Llama-3.2-1B's shape.
RANDOM = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "dtype": "bfloat16",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "bos_token_id": 128000,
    "eos_token_id": 128001,
}


def say(text: str) -> None:
    """Talk goes to standard error."""
    print(f"bench-speed: {text}", file=sys.stderr, flush=True)


def processor(key: str) -> str:
    """What the system says of the first processor."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return "unknown"


class Cache:
    """The folder, and what it holds when it is asked for."""

    def __init__(self, folder: Path, binary: Path, jobs: int, options: list[str]):
        self.folder, self.binary, self.jobs, self.options = folder, binary, jobs, options
        self.package = PACKAGE
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, line: list, name: str, **more) -> None:
        """Runs a step of the set-up; what it says goes to a log."""
        log = self.folder / f"{name}.log"
        with log.open("a", encoding="utf-8") as out:
            done = subprocess.run(
                [str(word) for word in line], stdout=out, stderr=out, check=False, **more
            )
        if done.returncode != 0:
            sys.exit(f"bench-speed: {name} failed: {last_line(log.read_text())} (all of it: {log})")

    def tools(self) -> Path:
        """The folder of programs that build and convert."""
        folder = self.folder / f"tools-{PACKAGE}"
        if not (folder / "ready").exists():
            say("installing cmake, ninja and gguf")
            self.run([sys.executable, "-m", "venv", "--clear", folder], "tools")
            pip = [folder / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check"]
            self.run([*pip, *TOOLS], "tools")
            (folder / "ready").touch()
        return folder / "bin"

    def source(self) -> Path:
        """llama.cpp's source."""
        folder = self.folder / f"source-{PACKAGE}"
        if not folder.exists():
            say(f"fetching the source package of llama-cpp-python {PACKAGE}")
            into = self.folder / "download"
            pip = [self.tools() / "python", "-m", "pip", "download", "--no-deps", "--dest", into]
            only = ["--no-binary", "llama-cpp-python", f"llama-cpp-python=={PACKAGE}"]
            self.run([*pip, *only], "source")
            partial = self.folder / "source.partial"
            shutil.rmtree(partial, ignore_errors=True)
            with tarfile.open(into / f"llama_cpp_python-{PACKAGE}.tar.gz") as package:
                package.extractall(partial, filter="data")
            (partial / f"llama_cpp_python-{PACKAGE}").rename(folder)
            shutil.rmtree(partial)
        return folder / "vendor" / "llama.cpp"

    def llama(self) -> Path:
        """The folder of llama.cpp's programs, `speed_llama` among them."""
        source, build = self.source(), self.folder / f"llama-{PACKAGE}"
        paths = {**os.environ, "PATH": f"{self.tools()}:{os.environ['PATH']}"}
        wanted = " ".join([*self.options, processor("flags")])
        ready = build / "ready"
        if not ready.exists() or ready.read_text() != wanted:
            say(f"building llama.cpp with {self.jobs} jobs, for some minutes")
            options = [*OPTIONS, *self.options]
            self.run(["cmake", "-S", source, "-B", build, "-G", "Ninja", *options], "llama", env=paths)
            self.run(["ninja", "-C", build, f"-j{self.jobs}", *TARGETS], "llama", env=paths)
            ready.write_text(wanted)
        self.peer(source, build / "bin")
        return build / "bin"

    def peer(self, source: Path, into: Path) -> None:
        """Compiles speed_llama.cpp where it is newer than its program."""
        file, program = HERE / "speed_llama.cpp", into / "speed_llama"
        if program.exists() and program.stat().st_mtime >= file.stat().st_mtime:
            return
        compiler = os.environ.get("CXX", "c++").split()
        places = [f"-I{source}/include", f"-I{source}/ggml/include", f"-L{into}"]
        libraries = ["-lllama", "-lggml", "-lggml-base", f"-Wl,-rpath,{into}"]
        flags = ["-std=c++17", "-O3", "-march=native"]
        self.run([*compiler, *flags, file, *places, *libraries, "-o", program], "speed_llama")

    def bundled(self, name: str) -> Path:
        """A bundled model as a plain checkpoint in 32 bits."""
        folder = self.folder / "models" / name
        if not (folder / "config.json").exists():
            folder.parent.mkdir(exist_ok=True)
            line = [self.binary, "export", "--model", name, "--source", "bundled"]
            self.run([*line, "--dtype", "fp32", "--out", folder], "models")
        return folder

    def random(self) -> Path:
        """A checkpoint of Llama-3.2-1B's shape, of random weights in bf16."""
        folder = self.folder / "models" / "random-1b"
        if not folder.exists():
            say("making random weights of Llama-3.2-1B's shape (2.5 GB)")
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            (partial / "config.json").write_text(json.dumps(RANDOM, indent=1), encoding="utf-8")
            write_random(partial / "model.safetensors")
            partial.rename(folder)
        return folder

    def gguf(self, folder: Path, kind: str) -> Path:
        """The weights of a folder as GGUF."""
        file = self.folder / "models" / f"{folder.name}-{kind}.gguf"
        newest = max(path.stat().st_mtime for path in (HERE / "speed_gguf.py", folder / "config.json"))
        if not file.exists() or file.stat().st_mtime < newest:
            say(f"converting {folder.name} to {kind.upper()}")
            self.run(
                [self.tools() / "python", HERE / "speed_gguf.py", folder, file, kind], "convert"
            )
        return file


def shapes() -> dict[str, list[int]]:
    """Name and shape of each tensor of the random model."""
    width, inner = RANDOM["hidden_size"], RANDOM["intermediate_size"]
    groups = RANDOM["num_key_value_heads"] * RANDOM["head_dim"]
    names = {
        "model.embed_tokens.weight": [RANDOM["vocab_size"], width],
        "model.norm.weight": [width],
    }
    for layer in range(RANDOM["num_hidden_layers"]):
        own = {
            "input_layernorm": [width],
            "post_attention_layernorm": [width],
            "self_attn.q_proj": [width, width],
            "self_attn.k_proj": [groups, width],
            "self_attn.v_proj": [groups, width],
            "self_attn.o_proj": [width, width],
            "mlp.gate_proj": [inner, width],
            "mlp.up_proj": [inner, width],
            "mlp.down_proj": [width, inner],
        }
        names |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in own.items()}
    return names


def write_random(path: Path) -> None:
    """Matrices of normal(0, 0.02), norms of 1, in bf16."""
    header, at = {}, 0
    for name, shape in shapes().items():
        end = at + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    generator = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes().values():
            for rows in range(0, shape[0], 8192):
                part = [min(8192, shape[0] - rows), *shape[1:]]
                values = np.ones(part, np.float32)
                if len(shape) > 1:
                    values = 0.02 * generator.standard_normal(part, np.float32)
                file.write((values.view(np.uint32) >> 16).astype(np.uint16).tobytes())


def last_line(text: str) -> str:
    """The last line that says something, without colours."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")
