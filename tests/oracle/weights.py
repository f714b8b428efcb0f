"""Weights by a formula, the same to the last bit as those of tests/src/checkpoints.rs, so that a
fixture need not carry them: a value hangs on the seed, the tensor's name and the element's index
alone. Knows names and shapes, and how a safetensors file is laid out; it knows no model.

A hash of the name (FNV-1a, 64 bits) and the seed begin a SplitMix64 stream; the upper 24 bits of
its output number `index` are a number t in [-1, 1), exactly a float32. The value is
centre + spread * t in float32, with a centre and a spread for each kind of tensor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

# The standard deviations of what a map makes of inputs of standard deviation 1. Larger ones give
# texts with more different tokens, and models that differ from themselves by more than 5e-5.
LINEAR_GAIN = 1.1
OUTPUT_GAIN = 2.0
HEAD_GAIN = 3.2
# So large that SiLU behind it gives keys and queries with a positive product. Where that is near 0
# for all keys, the norm behind makes large numbers of a rounding error, as no trained model does.
CONVOLUTION_GAIN = 4.0
CHUNK = 1 << 16
FILE_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

Tensors = list[tuple[str, list[int]]]


def name_hash(name: str) -> int:
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def centre_and_spread(name: str, shape: list[int], zero_centred: bool) -> tuple[float, float]:
    """The middle of a tensor's values, and how far they reach from it."""
    if name.endswith("A_log"):
        return -2.5, 2.0
    if name.endswith("dt_bias"):
        return 0.0, 1.0
    if name.endswith("bias"):
        return 0.0, 0.5
    if name.endswith("norm.weight"):
        return (0.0 if zero_centred and "linear_attn" not in name else 1.0), 0.3
    ends = name.endswith(("embed_tokens.weight", "lm_head.weight"))
    outward = name.endswith(("o_proj.weight", "out_proj.weight", "down_proj.weight"))
    gain = HEAD_GAIN if ends else OUTPUT_GAIN if outward else LINEAR_GAIN
    if name.endswith("conv1d.weight"):
        gain = CONVOLUTION_GAIN
    # Three times the variance, since that of a uniform t is a third.
    return 0.0, gain * math.sqrt(3.0 / math.prod(shape[1:]))


def zero_centred(config: dict) -> bool:
    """Whether a configuration's norms multiply by one and their weight."""
    return config["model_type"].startswith("qwen3_5")


def values(
    name: str, shape: list[int], centred: bool, seed: int, start: int, count: int
) -> np.ndarray:
    """`count` values of a tensor from element `start` on, float32."""
    centre, spread = centre_and_spread(name, shape, centred)
    bits = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    bits *= np.uint64(0x9E3779B97F4A7C15)
    bits += np.uint64(seed ^ name_hash(name))
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    bits >>= np.uint64(40)
    numbers = bits.astype(np.int32) - np.int32(1 << 23)
    uniform = numbers.astype(np.float32) * np.float32(2.0**-23)
    return np.float32(centre) + np.float32(spread) * uniform


def chunks(
    name: str, shape: list[int], config: dict, seed: int, dtype: torch.dtype
) -> Iterator[bytes]:
    """The bytes of a tensor, some thousand values at a time."""
    count = math.prod(shape)
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        part = values(name, shape, zero_centred(config), seed, start, size)
        if dtype == torch.float32:
            yield part.tobytes()
        else:
            yield torch.from_numpy(part).to(dtype).view(torch.int16).numpy().tobytes()


def write_checkpoint(
    folder: Path, config: dict, tensors: Tensors, seed: int, file_type: str = "F32"
) -> int:
    """Writes config.json and model.safetensors; the size of the latter in bytes."""
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    dtype = FILE_TYPES[file_type]
    header: dict = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in tensors:
        end = offset + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": file_type, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path = folder / "model.safetensors"
    with open(path, "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name, shape in tensors:
            for part in chunks(name, shape, config, seed, dtype):
                file.write(part)
    return path.stat().st_size
