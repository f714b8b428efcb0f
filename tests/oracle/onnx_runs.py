"""A model that `spec export --format onnx` wrote, in onnxruntime: how it is run from any past, how it
decodes greedily, and what its graph says, as lines. Knows onnx and onnxruntime; it knows no other
implementation of the model.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
FILE = "model.onnx"
PAST_OF = {"present_conv": "past_conv", "present_recurrent": "past_recurrent"}

Past = dict[str, np.ndarray]


def export(binary: Path, model: Path, out: Path, dtype: str, *more: str) -> None:
    """Writes a model as ONNX; an error where the program does not."""
    line = [binary, "export", "--model", model, "--format", "onnx", "--dtype", dtype, "--out", out]
    done = subprocess.run([str(word) for word in [*line, *more]], capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(f"exit status {done.returncode}: {done.stderr.strip()[-500:]}")


def past_name(present: str) -> str:
    """The input that an output is handed to in the next run."""
    head, rest = present.split(".", 1)
    return f"{PAST_OF.get(head, 'past_key_values')}.{rest}"


class Session:
    """A model in onnxruntime, on the CPU."""

    def __init__(self, path: Path, threads: int = 1):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self.outputs = [output.name for output in self.session.get_outputs()]

    def nothing(self, batch: int) -> Past:
        """The past before anything was read."""
        sizes = {"batch_size": batch, "past_sequence_length": 0}
        return {
            entry.name: np.zeros([sizes.get(size, size) for size in entry.shape], TYPES[entry.type])
            for entry in self.session.get_inputs()
            if entry.name.startswith("past")
        }

    def run(self, ids: np.ndarray, past: Past, mask: np.ndarray) -> tuple[np.ndarray, Past]:
        """Logits behind ids `[batch, time]`, and the past with them. The mask is of all ids so far,
        1 where an id is no padding."""
        positions = np.maximum(mask.cumsum(1) - 1, 0)[:, -ids.shape[1] :]
        given = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, **past}
        found = dict(zip(self.outputs, self.session.run(None, given), strict=True))
        logits = found.pop("logits")
        return logits, {past_name(name): value for name, value in found.items()}

    def in_pieces(self, ids: np.ndarray, mask: np.ndarray, cuts: list[int]) -> np.ndarray:
        """Logits of all ids, read piece by piece with the past handed on."""
        past, rows, first = self.nothing(len(ids)), [], 0
        for end in [*cuts, ids.shape[1]]:
            logits, past = self.run(ids[:, first:end], past, mask[:, :end])
            rows.append(logits)
            first = end
        return np.concatenate(rows, 1)

    def greedy(self, prompt: list[int], count: int, ends: list[int]) -> list[int]:
        """What greedy decoding emits, id by id behind the past, to an id that ends a text."""
        emitted: list[int] = []
        ids, past, length = np.array([prompt]), self.nothing(1), len(prompt)
        while len(emitted) < count:
            mask = np.ones((1, length), np.int64)
            logits, past = self.run(ids, past, mask)
            emitted.append(int(logits[0, -1].argmax()))
            if emitted[-1] in ends:
                break
            ids, length = np.array([emitted[-1:]]), length + 1
        return emitted


# ---- what a graph says -----------------------------------------------------------------------


def value_line(kind: str, value: onnx.ValueInfoProto) -> str:
    """An input or output."""
    tensor = value.type.tensor_type
    dims = [dim.dim_param or str(dim.dim_value) for dim in tensor.shape.dim]
    return f"{kind} {value.name} {tensor.elem_type} [{', '.join(dims)}]"


def attribute_text(attribute: onnx.AttributeProto) -> str:
    """A whole number, a list of them, or the lines of a graph."""
    if attribute.type == onnx.AttributeProto.INT:
        return f"{attribute.name}={attribute.i}"
    if attribute.type == onnx.AttributeProto.INTS:
        return f"{attribute.name}=[{', '.join(map(str, attribute.ints))}]"
    if attribute.type == onnx.AttributeProto.GRAPH:
        return f"{attribute.name}={{{'; '.join(graph_lines(attribute.g))}}}"
    raise ValueError(f"an attribute of type {attribute.type}")


def graph_lines(graph: onnx.GraphProto) -> Iterator[str]:
    """Everything but the numbers of weights: constants have theirs in the name."""
    yield from (value_line("input", value) for value in graph.input)
    yield from (value_line("output", value) for value in graph.output)
    for tensor in graph.initializer:
        dims = ", ".join(map(str, tensor.dims))
        yield f"tensor {tensor.name} {tensor.data_type} [{dims}]"
    for node in graph.node:
        told = " ".join(map(attribute_text, node.attribute))
        yield f"{node.op_type} {' '.join(node.input)} -> {' '.join(node.output)} {told}".rstrip()


def structure(path: Path) -> str:
    """A hash of all that a file says beside the numbers of its weights."""
    model = onnx.load(path, load_external_data=False)
    versions = [f"{entry.domain}{entry.version}" for entry in model.opset_import]
    lines = [f"versions {model.ir_version} {' '.join(versions)}", *graph_lines(model.graph)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
