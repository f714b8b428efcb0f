"""What `spec import` makes of llama2.c's files, by a model of a few lines; and names and orders of
tensors in llama.cpp and llama2.c.
"""

from __future__ import annotations

import contextlib
import logging
import struct
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

import stories
from oracle import load_model, load_tokenizer

INSIDE = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def placed(name: str) -> str:
    """llama.cpp's name of a tensor."""
    part, end = name.rsplit(".", 1)
    if part in OUTSIDE:
        return f"{OUTSIDE[part]}.{end}"
    _, _, layer, rest = part.split(".", 3)
    return f"blk.{layer}.{INSIDE[rest]}.{end}"


def turned(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys in the order of llama.cpp and llama2.c."""
    halves = matrix.reshape(heads, 2, matrix.shape[0] // heads // 2, -1)
    return halves.swapaxes(1, 2).reshape(matrix.shape)


@contextlib.contextmanager
def warnings_of(transformers):
    """What transformers says meanwhile, but of a head that is the embedding."""
    said, log = [], transformers.utils.logging
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    root = logging.getLogger("transformers")
    log.set_verbosity_warning()
    root.addHandler(handler)
    try:
        yield said
    finally:
        root.removeHandler(handler)
        log.set_verbosity_error()
        said[:] = [
            text for text in said if "tie_word_embeddings" not in text and "tied" not in text
        ]


class Llama2c:
    """A legacy file, and what its forward pass computes."""

    def __init__(self, path: Path):
        raw = path.read_bytes()
        self.sizes = struct.unpack("<7i", raw[:28])
        width, inner, layers, heads, groups, rows, context = self.sizes
        self.tied, rows = rows > 0, abs(rows)
        head = width // heads
        numbers = np.frombuffer(raw, "<f4", offset=28)
        at = 0

        def take(*shape: int) -> np.ndarray:
            nonlocal at
            count = int(np.prod(shape))
            at += count
            return numbers[at - count : at].reshape(shape)

        self.embedding = take(rows, width)
        self.norm1 = take(layers, width)
        self.q, self.k = take(layers, width, width), take(layers, groups * head, width)
        self.v, self.o = take(layers, groups * head, width), take(layers, width, width)
        self.norm2 = take(layers, width)
        self.w1, self.w2 = take(layers, inner, width), take(layers, width, inner)
        self.w3, self.norm = take(layers, inner, width), take(width)
        take(2, context, head // 2)
        self.head = self.embedding if self.tied else take(rows, width)

    def logits(self, ids: list[int]) -> np.ndarray:
        """Logits behind each id, in 64 bits."""
        width, _, layers, heads, groups, _, _ = self.sizes
        head, count = width // heads, len(ids)
        rates = 10000.0 ** -(np.arange(0, head, 2) / head)
        angles = np.arange(count)[:, None, None] * rates
        turn = np.exp(1j * angles)

        def rotated(x: np.ndarray) -> np.ndarray:
            pairs = x.reshape(count, -1, head // 2, 2)
            whole = (pairs[..., 0] + 1j * pairs[..., 1]) * turn
            return np.stack([whole.real, whole.imag], -1).reshape(count, -1, head)

        def normed(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
            return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight

        x = self.embedding[ids].astype(np.float64)
        hidden = np.triu(np.full((count, count), -np.inf), 1)
        for layer in range(layers):
            y = normed(x, self.norm1[layer])
            q, k = rotated(y @ self.q[layer].T), rotated(y @ self.k[layer].T)
            v = (y @ self.v[layer].T).reshape(count, groups, head)
            k, v = (np.repeat(part, heads // groups, 1) for part in (k, v))
            scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(head) + hidden
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = np.einsum("hij,jhd->ihd", scores / scores.sum(-1, keepdims=True), v)
            x = x + mixed.reshape(count, width) @ self.o[layer].T
            y = normed(x, self.norm2[layer])
            gate = y @ self.w1[layer].T
            x = x + (gate / (1 + np.exp(-gate)) * (y @ self.w3[layer].T)) @ self.w2[layer].T
        return normed(x, self.norm) @ self.head.T

    def matrices(self) -> list[np.ndarray]:
        """All matrices in the order of versions 1 and 2."""
        layers = [self.q, self.k, self.v, self.o, self.w1, self.w2, self.w3]
        return [self.embedding, *(matrix for part in layers for matrix in part)] + (
            [] if self.tied else [self.head]
        )

    def write(self, path: Path, version: int, group: int = 0) -> None:
        """The same model in version 1 or 2."""
        sizes = [*self.sizes[:5], abs(self.sizes[5]), self.sizes[6]]
        head = struct.pack("<Ii7iB", 0x616B3432, version, *sizes, self.tied)
        head += struct.pack("<i", group) if version == 2 else b""
        parts = [head.ljust(256, b"\0"), self.norm1, self.norm2, self.norm]
        for matrix in self.matrices():
            if version == 1:
                parts.append(matrix)
                continue
            groups = matrix.reshape(-1, group)
            scales = np.abs(groups).max(1) / np.float32(127)
            parts += [np.round(groups / scales[:, None]).astype(np.int8), scales.astype("<f4")]
        path.write_bytes(
            b"".join(part if isinstance(part, bytes) else part.tobytes() for part in parts)
        )


def llama2c_ids(path: Path, rows: int, text: str) -> list[int]:
    """Ids by run.c's rule: characters, or bytes where there is no such token; then the pair of the best
    score, the first of several, until none is left."""
    raw, at, scores, known = path.read_bytes(), 4, [], {}
    for id in range(rows):
        score, length = struct.unpack_from("<fi", raw, at)
        scores.append(score)
        known.setdefault(raw[at + 8 : at + 8 + length], id)
        at += 8 + length
    ids, names = [1], {id: name for name, id in known.items()}
    if text:
        ids.append(known[b" "])
    for character in text:
        own = character.encode()
        ids += [known[own]] if own in known else [byte + 3 for byte in own]
    while True:
        pairs = enumerate(zip(ids, ids[1:], strict=False))
        merged = ((place, known.get(names[left] + names[right])) for place, (left, right) in pairs)
        best = max(
            ((scores[id], -place, id) for place, id in merged if id is not None), default=None
        )
        if best is None:
            return ids
        ids[-best[1] : -best[1] + 2] = [best[2]]


def llama2c(args, scratch: Path, wrote) -> list[str]:
    """Files of all versions, and their tokenizers."""
    failures = []
    cases = [
        ("stories260k", "stories260K.bin", "tok512.bin"),
        ("babyllama-tok105", "model5000.bin", None),
    ]
    for name, file, tokenizer in cases:
        folder = args.shared / "weights" / name
        model = Llama2c(folder / file)
        for version in (0, 1, 2):
            path = folder / file if version == 0 else scratch / f"{name}-v{version}.bin"
            if version:
                model.write(path, version, group=32)
            out = scratch / f"{name}-v{version}"
            more = ["--tokenizer", folder / tokenizer] if tokenizer else []
            wrote(args, "import", path, "--out", out, *more)
            own = load_model(out)
            ids = [1, *range(30, 90)]
            found = own(torch.tensor([ids])).logits[0].numpy()
            off = float(np.abs(found - model.logits(ids)).max() / np.abs(found).max())
            print(
                f"llama2.c, {name}, version {version}: logits differ by {off:.2g} of the largest",
                flush=True,
            )
            if not off <= (1e-5 if version < 2 else 0.05):
                failures.append(f"{name}, version {version}: logits differ by {off:.2g}")
            theirs = load_file(folder / "model.safetensors")
            ours = load_file(out / "model.safetensors")
            if version < 2 and not all(torch.equal(ours[own], theirs[own]) for own in theirs):
                failures.append(f"{name}, version {version}: weights are not those of the folder")
        if tokenizer:
            cut = load_tokenizer(out)
            for text in stories.OPENINGS + ["", "na\u00efve caf\u00e9", "a  b", "zzz"]:
                ids = llama2c_ids(folder / tokenizer, model.sizes[5], text)
                if text and cut.encode(text).ids != ids:
                    failures.append(
                        f"{name}: ids of {text[:30]!r}: {cut.encode(text).ids[:9]}, not {ids[:9]}"
                    )
    return failures
