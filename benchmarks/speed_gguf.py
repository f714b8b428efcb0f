"""Writes a Llama checkpoint of a folder as GGUF: norms in 32 bits, matrices in F32, F16 or Q8_0.

    speed_gguf.py FOLDER FILE.gguf f32|f16|q8_0

The folder holds `config.json` and one or several safetensors in F32, F16 or BF16. A byte-level BPE of
`tokenizer.json` is written as llama.cpp's own kind. For any other tokenizer (TokenMonster's, or none) a
stand-in of as many tokens is written, whose texts mean nothing: it is enough to time a model by ids.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path

import gguf
import numpy as np

TYPES = {
    "f32": gguf.GGMLQuantizationType.F32,
    "f16": gguf.GGMLQuantizationType.F16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
}
FILE_TYPES = {
    "f32": gguf.LlamaFileType.ALL_F32,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}
NAMES = {
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
OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def tensors(folder: Path):
    """Name and values in 32 bits of each tensor."""
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(length))
        data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + length)
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            first, end = entry["data_offsets"]
            yield name, values(entry["dtype"], data[first:end]).reshape(entry["shape"])


def values(dtype: str, raw: np.ndarray) -> np.ndarray:
    """The bytes of a tensor as 32-bit floats."""
    if dtype == "F32":
        return raw.view(np.float32)
    if dtype == "F16":
        return raw.view(np.float16).astype(np.float32)
    if dtype == "BF16":
        return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    sys.exit(f"speed_gguf: tensors in {dtype} are not read")


def placed(name: str) -> str:
    """llama.cpp's name of a tensor."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def turned(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys in the order of llama.cpp's rotary embedding."""
    rows, columns = matrix.shape
    halves = matrix.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def vocabulary(writer: gguf.GGUFWriter, folder: Path, config: dict) -> None:
    """The tokenizer, or a stand-in."""
    rows, ordinary = config["vocab_size"], gguf.TokenType.NORMAL
    file = folder / "tokenizer.json"
    model = json.loads(file.read_text(encoding="utf-8"))["model"] if file.exists() else {}
    known = {}
    if model.get("type") == "BPE":
        known = {id: token for token, id in model["vocab"].items()}
        for token in json.loads(file.read_text(encoding="utf-8"))["added_tokens"]:
            known[token["id"]] = token["content"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model.get("merges", [])]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([known.get(id, f"<stand-in {id}>") for id in range(rows)])
    special = {config.get("bos_token_id"), config.get("eos_token_id")}
    kinds = [gguf.TokenType.CONTROL if id in special else ordinary for id in range(rows)]
    writer.add_token_types(kinds)
    # A list may not be empty.
    writer.add_token_merges(merges or ["a b"])
    for add, key in ((writer.add_bos_token_id, "bos_token_id"), (writer.add_eos_token_id, "eos_token_id")):
        if isinstance(config.get(key), int):
            add(config[key])


def write(folder: Path, out: Path, kind: str) -> None:
    """Writes the file, whole or not at all."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    heads = config["num_attention_heads"]
    groups = config.get("num_key_value_heads", heads)
    head = config.get("head_dim", config["hidden_size"] // heads)
    partial = out.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    rope = config.get("rope_parameters") or config
    writer.add_rope_freq_base(rope.get("rope_theta", 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    vocabulary(writer, folder, config)
    for name, tensor in tensors(folder):
        if name == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            tensor = turned(tensor, heads if "q_proj" in name else groups)
        own = TYPES[kind] if tensor.ndim == 2 else TYPES["f32"]
        made = gguf.quants.quantize(np.ascontiguousarray(tensor), own)
        writer.add_tensor(placed(name), made, raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial, out)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[3] not in TYPES:
        sys.exit(__doc__)
    write(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
