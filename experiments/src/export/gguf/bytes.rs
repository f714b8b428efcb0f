//! Byte-level BPE for llama.cpp, which merges by the same ranks but cuts text into words by
//! pre-tokenizers that it knows by name. A `tokenizer.json` is recognised by the expressions that it
//! cuts with; one that is not recognised is refused, since its ids would be others.

use serde_json::Value as Json;

use super::lexicon::{Cut, Lexicon, merges, tokens};

/// The expressions of Llama 3 and of Qwen 2, as their `tokenizer.json` have them. llama.cpp has them
/// under the names below, with the case of contractions written out.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A step of a pre-tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'a> {
    /// Cuts around what an expression finds.
    Split(&'a str),
    /// Cuts every digit out.
    Digits,
    /// GPT-2's expression.
    Gpt2,
    /// Writes bytes in GPT-2's alphabet and cuts nothing.
    Alphabet,
}

/// llama.cpp's pre-tokenizers: name, whether a word that is a token is taken whole without merging,
/// and steps.
const KNOWN: [(&str, bool, &[Step<'static>]); 5] = [
    ("gpt-2", false, &[Step::Gpt2]),
    ("smollm", false, &[Step::Digits, Step::Gpt2]),
    ("llama-bpe", true, &[Step::Split(LLAMA3), Step::Alphabet]),
    ("smaug-bpe", false, &[Step::Split(LLAMA3), Step::Alphabet]),
    ("qwen2", false, &[Step::Split(QWEN2), Step::Alphabet]),
];

/// The steps of a pre-tokenizer, or the first that is like none of llama.cpp's.
fn steps<'a>(json: &'a Json, found: &mut Vec<Step<'a>>) -> Result<(), String> {
    let no = |flag: &str| json[flag].as_bool() != Some(true);
    let pattern = json["pattern"]["Regex"].as_str();
    match (json["type"].as_str().unwrap_or("none"), pattern) {
        ("Sequence", _) => {
            for part in json["pretokenizers"].as_array().into_iter().flatten() {
                steps(part, found)?;
            }
            return Ok(());
        }
        ("Split", Some(pattern)) if json["behavior"] == "Isolated" && no("invert") => {
            found.push(Step::Split(pattern));
        }
        ("Digits", _) if json["individual_digits"] == true => found.push(Step::Digits),
        ("ByteLevel", _) if no("add_prefix_space") => {
            // The field is younger than the component, which always used its expression before.
            let cuts = json["use_regex"].as_bool() != Some(false);
            found.push(if cuts { Step::Gpt2 } else { Step::Alphabet });
        }
        (kind, _) => return Err(format!("llama.cpp has no pre-tokenizer like its `{kind}`")),
    }
    Ok(())
}

/// llama.cpp's name of a tokenizer's way to cut text.
fn pre(json: &Json) -> Result<&'static str, String> {
    let mut own = Vec::new();
    steps(&json["pre_tokenizer"], &mut own)?;
    let whole = json["model"]["ignore_merges"] == true;
    let known = KNOWN.iter().find(|(_, takes, steps)| *takes == whole && *steps == own);
    known.map(|(name, ..)| *name).ok_or_else(|| match own.first() {
        Some(Step::Split(pattern)) => {
            format!("llama.cpp has no pre-tokenizer with the expression {pattern}")
        }
        _ => "llama.cpp has no pre-tokenizer with its steps".to_owned(),
    })
}

/// A byte-level BPE; the error says why llama.cpp would not give its ids.
pub(super) fn lexicon(json: &Json, rows: usize) -> Result<Lexicon, String> {
    let model = &json["model"];
    for field in ["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"] {
        if !model[field].is_null() && model[field] != "" {
            return Err(format!("llama.cpp's byte-level BPE has no `{field}`"));
        }
    }
    let caveat = match json["normalizer"]["type"].as_str() {
        None => None,
        Some("NFC") => Some(
            "llama.cpp does not normalise: text that is not in NFC gets other ids than the \
             tokenizer's own"
                .to_owned(),
        ),
        Some(other) => return Err(format!("llama.cpp has no normaliser `{other}`")),
    };
    let pre = pre(json)?;
    let merges: Vec<String> =
        merges(model).iter().map(|(left, right)| format!("{left} {right}")).collect();
    if merges.is_empty() {
        return Err("it has no merges".to_owned());
    }
    let lexicon = Lexicon { tokens: tokens(json, rows)?, cut: Cut::Bytes { pre, merges }, caveat };
    Ok(lexicon)
}

/// The pre-tokenizer of a `tokenizer.json` that cuts as llama.cpp's of that name, and whether words that
/// are tokens are taken whole.
pub(crate) fn pre_tokenizer(name: &str) -> Option<(Json, bool)> {
    // Names that llama.cpp treats alike.
    let name = match name {
        "llama3" | "llama-v3" => "llama-bpe",
        "dbrx" => "smaug-bpe",
        "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b" => "smollm",
        "phi-2" | "mpt" | "olmo" | "jais" | "exaone4" | "modern-bert" | "jina-es" | "jina-de"
        | "gigachat" | "trillion" | "granite-docling" | "mellum" => "gpt-2",
        "stablelm2" | "megrez" | "deepseek-r1-qwen" => "qwen2",
        other => other,
    };
    let (_, whole, steps) = KNOWN.iter().find(|(own, ..)| *own == name)?;
    let parts: Vec<Json> = steps.iter().map(component).collect();
    let json = match &parts[..] {
        [one] => one.clone(),
        _ => serde_json::json!({"type": "Sequence", "pretokenizers": parts}),
    };
    Some((json, *whole))
}

fn component(step: &Step<'_>) -> Json {
    let bytes = |cuts: bool| {
        serde_json::json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": cuts})
    };
    match step {
        Step::Split(pattern) => serde_json::json!({"type": "Split",
            "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}),
        Step::Digits => serde_json::json!({"type": "Digits", "individual_digits": true}),
        Step::Gpt2 => bytes(true),
        Step::Alphabet => bytes(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tokenizer(pre: &str) -> Json {
        let (cuts, whole) = pre_tokenizer(pre).unwrap();
        json!({"pre_tokenizer": cuts, "normalizer": null, "added_tokens": [
            {"id": 3, "content": "<s>", "special": true}, {"id": 5, "content": "call", "special": false}],
            "model": {"type": "BPE", "ignore_merges": whole, "vocab": {"a": 0, "b": 1, "ab": 2},
                "merges": [["a", "b"]]}})
    }

    #[test]
    fn what_is_written_is_recognised() {
        for (name, ..) in KNOWN {
            let found = lexicon(&tokenizer(name), 7).unwrap();
            assert_eq!(found.cut, Cut::Bytes { pre: name, merges: vec!["a b".to_owned()] });
            let texts: Vec<&str> = found.tokens.iter().map(|token| token.text.as_str()).collect();
            assert_eq!(texts, ["a", "b", "ab", "<s>", "[PAD4]", "call", "[PAD6]"]);
        }
        assert!(pre_tokenizer("tekken").is_none());
    }

    #[test]
    fn what_would_have_other_ids_is_refused() {
        let mut json = tokenizer("llama-bpe");
        json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{L}+".into();
        assert!(lexicon(&json, 7).unwrap_err().contains(r"\p{L}+"));
        json["pre_tokenizer"] = json!({"type": "Whitespace"});
        assert!(lexicon(&json, 7).unwrap_err().contains("Whitespace"));
        let mut json = tokenizer("gpt-2");
        json["pre_tokenizer"]["use_regex"] = false.into();
        assert!(lexicon(&json, 7).unwrap_err().contains("its steps"));
        let mut json = tokenizer("gpt-2");
        json["normalizer"] = json!({"type": "Lowercase"});
        assert!(lexicon(&json, 7).unwrap_err().contains("Lowercase"));
        assert!(lexicon(&tokenizer("gpt-2"), 4).unwrap_err().contains("has no row"));
    }
}
