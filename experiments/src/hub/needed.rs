//! Which files of a model repository `spec` needs: its configuration, its tokenizer, its template,
//! and its weights as safetensors. Knows their names; of their contents only where other files are
//! named.

use std::path::Path;

use serde_json::Value;

/// The file that every model has.
pub(super) const CONFIG: &str = "config.json";

/// The index of weights in several files.
pub(super) const INDEX: &str = "model.safetensors.index.json";

const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// Small files, each of which a model may have.
pub(super) const SMALL: [&str; 7] = [
    CONFIG,
    "generation_config.json",
    TOKENIZER,
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "chat_template.jinja",
    INDEX,
];

/// Whether a model of these files has its weights in one file, so that an index says nothing.
pub(super) fn is_single<'a>(mut published: impl Iterator<Item = &'a str>) -> bool {
    published.any(|name| name == WEIGHTS)
}

/// Which of a repository's files a model needs, told by their names alone.
pub(super) fn among(names: &[&str]) -> impl Fn(&str) -> bool {
    let is_single = is_single(names.iter().copied());
    move |name| {
        let ends_in = |ending| Path::new(name).extension().is_some_and(|own| own == ending);
        let is_part = ends_in("safetensors") && !name.contains('/');
        let is_weight = if is_single { name == WEIGHTS } else { is_part };
        is_weight || ends_in("vocab") || SMALL.contains(&name)
    }
}

/// Names of the weight files of a folder; `None` where its index cannot be read.
pub(super) fn weight_files(folder: &Path) -> Option<Vec<String>> {
    let index = folder.join(INDEX);
    if folder.join(WEIGHTS).exists() || !index.exists() {
        return Some(vec![WEIGHTS.to_owned()]);
    }
    let json = read(&index)?;
    let mut files: Vec<String> = json["weight_map"]
        .as_object()?
        .values()
        .map(|file| file.as_str().map(str::to_owned))
        .collect::<Option<_>>()?;
    files.sort();
    files.dedup();
    Some(files)
}

/// The vocabulary file that a folder's `tokenizer_config.json` names.
pub(super) fn vocabulary_file(folder: &Path) -> Option<String> {
    let json = read(&folder.join(TOKENIZER_CONFIG))?;
    (json["tokenizer_type"] == "tokenmonster")
        .then(|| json["vocab_file"].as_str().unwrap_or("tokenmonster.vocab").to_owned())
}

/// Whether a folder has all that a model needs.
pub(super) fn is_complete(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    has(CONFIG)
        && (has(TOKENIZER) || has(TOKENIZER_CONFIG))
        && weight_files(folder).is_some_and(|files| files.iter().all(|file| has(file)))
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
