"""Writes tests/fixtures/gguf.json and tests/fixtures/toy.gguf by the `gguf` package of llama.cpp.

    .oracle/bin/python tests/oracle/gguf_fixture.py [--check]

A small Llama with weights by a formula (weights.py). The JSON has its configuration and tokenizer,
for each element type the SHA-256 of the whole file that must come of it, and the SHA-256 of each tensor
of toy.gguf as safetensors would have it in 32 bits. toy.gguf has tensors of all types. With --check
nothing is written: the exit status is 1 where the committed files are others.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

import weights
from gguf_import import placed, turned

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
SEED = 11
SINGLES = "abcdefgh .,"
MERGES = [("a", "b"), ("c", "d"), ("\u0120", "ab"), ("\u0120ab", "cd")]
ROWS = 20
TYPES = {
    "fp32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "fp16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
SCALING = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "vocab_size": ROWS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 16384,
    "rms_norm_eps": 1e-5,
    "rope_parameters": SCALING,
    "tie_word_embeddings": False,
    "attention_bias": True,
    "mlp_bias": False,
    "bos_token_id": 15,
    "eos_token_id": 16,
}


def tokenizer() -> dict:
    """A `tokenizer.json` that cuts as GPT-2's and puts a beginning in front."""
    texts = [character.replace(" ", "\u0120") for character in SINGLES]
    texts += [left + right for left, right in MERGES]
    special = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    added = [
        {"id": 15 + place, "content": text, **special}
        for place, text in enumerate(["<bos>", "<eos>"])
    ]
    level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    begin = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": level,
        "decoder": level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, text],
            "pair": [begin, text, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [15], "tokens": ["<bos>"]}},
        },
        "model": {
            "type": "BPE",
            "vocab": {text: id for id, text in enumerate(texts)},
            "merges": [list(pair) for pair in MERGES],
        },
    }


def shapes() -> dict[str, list[int]]:
    """Name and shape of each tensor, in the order in which they are written."""
    width, inner, queries, keys = 32, 64, 64, 32
    found = {"model.embed_tokens.weight": [ROWS, width], "model.norm.weight": [width]}
    found["lm_head.weight"] = [ROWS, width]
    for layer in range(CONFIG["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        found[at + "input_layernorm.weight"] = [width]
        for name, rows, columns in (
            ("q", queries, width),
            ("k", keys, width),
            ("v", keys, width),
            ("o", width, queries),
        ):
            found[at + f"self_attn.{name}_proj.weight"] = [rows, columns]
            found[at + f"self_attn.{name}_proj.bias"] = [rows]
        found[at + "post_attention_layernorm.weight"] = [width]
        found[at + "mlp.gate_proj.weight"] = [inner, width]
        found[at + "mlp.up_proj.weight"] = [inner, width]
        found[at + "mlp.down_proj.weight"] = [width, inner]
    return found


def tensor(name: str, shape: list[int]) -> np.ndarray:
    """A tensor as safetensors have it."""
    return weights.values(name, shape, False, SEED, 0, int(np.prod(shape))).reshape(shape)


def in_order(name: str, values: np.ndarray, back: bool = False) -> np.ndarray:
    """Rows of queries and keys in llama.cpp's order, or back in that of safetensors."""
    if ".q_proj." not in name and ".k_proj." not in name:
        return values
    heads = CONFIG["num_attention_heads" if ".q_proj." in name else "num_key_value_heads"]
    if not back:
        return turned(values, heads)
    halves = values.reshape(heads, values.shape[0] // heads // 2, 2, -1)
    return halves.swapaxes(1, 2).reshape(values.shape)


def factors() -> np.ndarray:
    """What Llama 3 divides its frequencies by, in the operations of llama.cpp's converter."""
    one = np.float32
    head, original = CONFIG["head_dim"], SCALING["original_max_position_embeddings"]
    low, high, factor = (
        one(SCALING[key]) for key in ("low_freq_factor", "high_freq_factor", "factor")
    )
    found = []
    for pair in range(0, head, 2):
        frequency = one(1) / one(SCALING["rope_theta"]) ** (one(pair) / one(head))
        wavelength = one(2 * np.pi) / frequency
        if wavelength < original / high:
            found.append(one(1))
        elif wavelength > original / low:
            found.append(factor)
        else:
            smooth = (one(original) / wavelength - low) / (high - low)
            found.append(one(1) / ((one(1) - smooth) / factor + smooth))
    return np.array(found, dtype=np.float32)


def write(path: Path, kind, file_type, kinds=None) -> None:
    """Writes a file: matrices of one type, or each of its own."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_file_type(file_type)
    writer.add_quantization_version(2)
    writer.add_vocab_size(ROWS)
    writer.add_context_length(CONFIG["max_position_embeddings"])
    writer.add_embedding_length(CONFIG["hidden_size"])
    writer.add_block_count(CONFIG["num_hidden_layers"])
    writer.add_feed_forward_length(CONFIG["intermediate_size"])
    writer.add_head_count(CONFIG["num_attention_heads"])
    writer.add_head_count_kv(CONFIG["num_key_value_heads"])
    writer.add_key_length(CONFIG["head_dim"])
    writer.add_value_length(CONFIG["head_dim"])
    writer.add_layer_norm_rms_eps(CONFIG["rms_norm_eps"])
    writer.add_rope_dimension_count(CONFIG["head_dim"])
    writer.add_rope_freq_base(SCALING["rope_theta"])
    writer.add_name("toy")
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_bos_token_id(15)
    writer.add_eos_token_id(16)
    writer.add_token_types([1] * 15 + [3] * 2 + [5] * 3)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    known = [*tokenizer()["model"]["vocab"], "<bos>", "<eos>"]
    writer.add_token_list(known + [f"[PAD{id}]" for id in range(len(known), ROWS)])
    for name, shape in shapes().items():
        own = gguf.GGMLQuantizationType.F32
        if len(shape) > 1:
            own = kind
            if kind == gguf.GGMLQuantizationType.Q4_0 and not name.startswith("model.layers"):
                own = gguf.GGMLQuantizationType.Q8_0
        if kinds is not None:
            own = kinds(name, shape)
        values = np.ascontiguousarray(in_order(name, tensor(name, shape)))
        writer.add_tensor(placed(name), gguf.quants.quantize(values, own), raw_dtype=own)
    writer.add_tensor("rope_freqs.weight", factors())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def mixed(name: str, shape: list[int]):
    """A type for each tensor of toy.gguf."""
    if len(shape) < 2:
        return gguf.GGMLQuantizationType.F32
    kinds = [kind for kind, _ in TYPES.values()]
    return kinds[list(shapes()).index(name) % len(kinds)]


def digest(content: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(content).hexdigest()


def fixtures() -> tuple[bytes, bytes]:
    """The JSON and toy.gguf."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.gguf"
        files = {}
        for name, (kind, file_type) in TYPES.items():
            write(path, kind, file_type)
            files[name] = digest(path.read_bytes())
        write(path, None, gguf.LlamaFileType.ALL_F32, mixed)
        toy = path.read_bytes()
        found = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
        imported = {}
        for name, shape in shapes().items():
            own = found[placed(name)]
            values = gguf.quants.dequantize(own.data, own.tensor_type).reshape(shape)
            values = np.ascontiguousarray(in_order(name, values, back=True), dtype="<f4")
            imported[name] = digest(values.tobytes())
    whole = {
        "config": CONFIG,
        "files": files,
        "imported": imported,
        "seed": SEED,
        "tokenizer": tokenizer(),
    }
    return json.dumps(whole, sort_keys=True, indent=1).encode() + b"\n", toy


def main() -> None:
    """Writes or checks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    check = parser.parse_args().check
    for name, content in zip(("gguf.json", "toy.gguf"), fixtures(), strict=True):
        path = FIXTURES / name
        if not check:
            path.write_bytes(content)
            print(f"{name}: {len(content)} bytes by gguf")
        elif content != path.read_bytes():
            sys.exit(f"{name} is not what the gguf package makes")


if __name__ == "__main__":
    main()
