//! Small tokenizers of every kind, written to a folder and read back as users' files are.

use std::path::Path;

use align::Tokenizer;
use align::tokenmonster::{Capcode, Vocab};
use serde_json::{Value, json};

/// A byte-level BPE of plain ASCII tokens: single bytes first, then merges. The last id is `<eos>`.
pub fn write_bpe(folder: &Path, singles: &str, merges: &[(&str, &str)]) {
    let spell = |text: &str| text.replace(' ', "Ġ");
    let mut vocab = serde_json::Map::new();
    for single in singles.chars() {
        vocab.insert(spell(&single.to_string()), vocab.len().into());
    }
    let mut rules = Vec::new();
    for (left, right) in merges {
        vocab.insert(spell(&format!("{left}{right}")), vocab.len().into());
        rules.push(json!([spell(left), spell(right)]));
    }
    let eos = vocab.len();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [{"id": eos, "content": "<eos>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true}],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": false},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": false},
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": rules}
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let config = json!({"eos_token": "<eos>"});
    std::fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
}

/// Gives the `tokenizer.json` of a folder one more special, behind all others; gives its id.
pub fn add_special(folder: &Path, name: &str) -> u32 {
    let path = folder.join("tokenizer.json");
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let added = json["added_tokens"].as_array_mut().unwrap();
    let mut special = added[added.len() - 1].clone();
    let id = special["id"].as_u64().unwrap() as u32 + 1;
    special["id"] = id.into();
    special["content"] = name.into();
    added.push(special);
    std::fs::write(path, json.to_string()).unwrap();
    id
}

/// The tokenizer of [`write_bpe`].
pub fn bpe(singles: &str, merges: &[(&str, &str)]) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    write_bpe(folder.path(), singles, merges);
    Tokenizer::load(folder.path()).unwrap()
}

/// A TokenMonster model folder of normalised tokens; EOS behind them, then a row of padding.
pub fn write_tokenmonster(folder: &Path, tokens: &[&[u8]], capcode: Capcode) {
    let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| token.to_vec()).collect();
    let vocab = Vocab::from_tokens(&tokens, capcode, 4).unwrap();
    std::fs::write(folder.join("tokenmonster.vocab"), vocab.to_bytes()).unwrap();
    let eos = vocab.id_space();
    let config = json!({"tokenizer_type": "tokenmonster", "vocab_file": "tokenmonster.vocab",
        "eos_token": "</s>", "eos_token_id": eos, "vocab_size": eos + 2});
    std::fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
}

/// The tokenizer of [`write_tokenmonster`].
pub fn tokenmonster(tokens: &[&[u8]], capcode: Capcode) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    write_tokenmonster(folder.path(), tokens, capcode);
    Tokenizer::load(folder.path()).unwrap()
}
