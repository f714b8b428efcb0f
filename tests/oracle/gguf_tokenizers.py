"""Tokenizers on their way to llama.cpp and back: real ones written by `spec export`, whose ids llama.cpp
must give, and llama.cpp's own vocabularies read by `spec import`, by the ids that it keeps beside them.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file

from gguf_import import placed
from oracle import load_tokenizer
from tokenizer_texts import TEXTS

# llama.cpp's vocabularies whose pre-tokenizers are known.
VOCABULARIES = ["llama-bpe", "llama-spm", "gpt-2", "qwen2", "starcoder", "refact", "command-r"]
# Real tokenizers, an id that ends a text, and which texts are promised the same ids.
TOKENIZERS = {
    "llama3": (128001, lambda text: True),
    "llama2": (2, lambda text: True),
    "mistral-v0.3": (2, lambda text: True),
    "tinyllama-v5": (2, lambda text: not text.startswith((" ", "<unk>", "</s>"))),
    "smollm2": (0, lambda text: True),
    "gpt2": (50256, lambda text: True),
    # `</s>` is an ordinary token there, and an end of text to llama.cpp.
    "qwen2.5": (151643, lambda text: unicodedata.is_normalized("NFC", text) and "</s>" not in text),
}


def least(rows: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a Llama of the least size."""
    shapes = {"model.embed_tokens": (rows, 8), "model.norm": (8,)}
    for part in ("input_layernorm", "post_attention_layernorm"):
        shapes[f"model.layers.0.{part}"] = (8,)
    for part in (
        "self_attn.q",
        "self_attn.k",
        "self_attn.v",
        "self_attn.o",
        "mlp.gate",
        "mlp.up",
        "mlp.down",
    ):
        shapes[f"model.layers.0.{part}_proj"] = (8, 8)
    return {f"{name}.weight": shape for name, shape in shapes.items()}


def folder_of(tokenizer: Path, end: int, out: Path) -> None:
    """A model folder with a tokenizer and some rows more."""
    out.mkdir()
    (out / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    rows = 3 + load_tokenizer(tokenizer.parent).get_vocab_size()
    config = {
        "model_type": "llama",
        "vocab_size": rows,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "max_position_embeddings": 64,
        "tie_word_embeddings": True,
        "eos_token_id": end,
    }
    (out / "config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = {name: np.ones(shape, dtype=np.float32) for name, shape in least(rows).items()}
    save_file(weights, out / "model.safetensors")


def exported(args, llama, scratch: Path, wrote) -> list[str]:
    """llama.cpp's ids of texts against the tokenizer's own."""
    failures = []
    for name, (end, promised) in TOKENIZERS.items():
        folder, file = scratch / f"tokenizer-{name}", scratch / f"tokenizer-{name}.gguf"
        folder_of(args.shared / "tokenizers" / name / "tokenizer.json", end, folder)
        wrote(
            args, "export", "--model", folder, "--format", "gguf", "--dtype", "fp32", "--out", file
        )
        cut, same = load_tokenizer(folder), 0
        lines = [text for text in TEXTS if text and promised(text)]
        with llama.open(file) as peer:
            for text in lines:
                own, found = cut.encode(text).ids, peer.tokenize(text, True)
                same += own == found
                if own != found:
                    failures.append(
                        f"{name}: ids of {text[:40]!r}: llama.cpp {found[:9]}, not {own[:9]}"
                    )
        file.unlink()
        print(
            f"tokenizer {name}: llama.cpp gives the ids of {same} of {len(lines)} texts", flush=True
        )
    return failures


def with_weights(vocabulary: Path, out: Path) -> None:
    """A file with a vocabulary, and a Llama of the least size."""
    reader = gguf.GGUFReader(vocabulary)
    writer = gguf.GGUFWriter(out, "llama")
    for key, field in reader.fields.items():
        if key.startswith("tokenizer.ggml."):
            inner = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=inner)
    rows = len(reader.fields["tokenizer.ggml.tokens"].data)
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    for name, shape in least(rows).items():
        writer.add_tensor(placed(name), np.ones(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def vocabularies(args, llama, scratch: Path, wrote) -> list[str]:
    """Tokenizers that were rebuilt against the ids that llama.cpp keeps, and against llama.cpp."""
    failures = []
    for name in VOCABULARIES:
        file = llama.source / "models" / f"ggml-vocab-{name}.gguf"
        path, out = scratch / f"{name}.gguf", scratch / f"vocabulary-{name}"
        with_weights(file, path)
        wrote(args, "import", path, "--out", out)
        cut = load_tokenizer(out)
        lines = file.with_suffix(".gguf.inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")
        kept = file.with_suffix(".gguf.out").read_text("utf-8").splitlines()
        same = 0
        with llama.open(path) as peer:
            for text, ids in zip(lines, kept, strict=False):
                own = cut.encode(text, add_special_tokens=False).ids
                theirs = [int(word) for word in ids.split()]
                same += own == theirs
                if own != theirs:
                    found = peer.tokenize(text, False)
                    failures.append(
                        f"{name}: ids of {text[:30]!r}: {own[:9]}, kept {theirs[:9]}, "
                        f"llama.cpp {found[:9]}"
                    )
        print(
            f"vocabulary {name}: ids of {same} of {len(kept)} texts are those that llama.cpp keeps",
            flush=True,
        )
    return failures


def compare(args, llama, scratch: Path, wrote) -> list[str]:
    """Both ways."""
    return exported(args, llama, scratch, wrote) + vocabularies(args, llama, scratch, wrote)
