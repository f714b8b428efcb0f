//! Tables of a card, row by row: what a model is, how it was trained, what was measured. Knows the order of
//! rows; lays nothing out.

use serde_json::Value;

use super::Card;
use super::measured::Measured;
use super::training::Training;
use crate::bench::record::{Estimate, Report};
use crate::report::{significant, whole};

/// Of a `config.json`, what a table of the architecture has.
const SHAPE: [(&str, &str); 9] = [
    ("hidden_size", "hidden size"),
    ("intermediate_size", "intermediate size"),
    ("num_hidden_layers", "layers"),
    ("num_attention_heads", "attention heads"),
    ("num_key_value_heads", "key and value heads"),
    ("head_dim", "size of a head"),
    ("vocab_size", "rows of the embedding"),
    ("tie_word_embeddings", "tied embeddings"),
    ("dtype", "element type of the weights"),
];

/// A figure with its interval or its error.
pub(super) fn figure(own: &Measured) -> [String; 2] {
    let sure = match (own.interval, own.error) {
        (Some((low, high)), _) => format!("[{low:.4}, {high:.4}]"),
        (None, Some(error)) => format!("± {error:.4} (standard error)"),
        (None, None) => "–".to_owned(),
    };
    [format!("{:.4}", own.value), sure]
}

/// An estimate with its interval behind it.
pub(super) fn estimate(own: Estimate) -> String {
    let Some(value) = own.value else { return "–".to_owned() };
    match (own.low, own.high) {
        (Some(low), Some(high)) => {
            format!("{} [{}, {}]", significant(value), significant(low), significant(high))
        }
        _ => significant(value),
    }
}

/// What the model is.
pub(super) fn architecture(card: &Card) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push([name.to_owned(), value]);
    if let Some(info) = card.info() {
        row("architecture", info.architecture.clone());
        row("vocabulary", format!("{} tokens, {}", whole(info.vocabulary as u64), info.tokenizer));
        row("context", whole(info.context as u64));
    }
    if let Some(parameters) = card.parameters() {
        row("parameters", whole(parameters));
    }
    let trained = card.runs.iter().find_map(|run| run.evidence.training()?.recipe.config().ok());
    let config = card.model.as_ref().map(|model| model.config.clone()).or(trained);
    for (key, name) in SHAPE {
        match config.as_ref().map(|config| &config[key]) {
            Some(Value::String(text)) => row(name, text.clone()),
            Some(Value::Bool(own)) => row(name, if *own { "yes" } else { "no" }.to_owned()),
            Some(Value::Number(own)) => {
                row(name, own.as_u64().map_or_else(|| own.to_string(), whole));
            }
            _ => {}
        }
    }
    rows
}

/// What a training run was told, and how far it came.
pub(super) fn training(own: &Training) -> Vec<[String; 2]> {
    let recipe = &own.recipe;
    let mut rows = vec![["recipe".to_owned(), recipe.about.clone()]];
    let mut row = |name: &str, value: String| rows.push([name.to_owned(), value]);
    if let Some(last) = own.steps.last() {
        row("steps", whole(last.step));
        row("tokens read", whole(last.tokens));
    }
    if !recipe.data.sources.is_empty() {
        row("data", recipe.data.sources.join(", "));
    }
    let batch = recipe.batch.sequences * recipe.packing.length;
    row("tokens a step", whole(batch as u64));
    row("learning rate", format!("{:e}", recipe.optimiser.lr));
    row("seed", recipe.seed.to_string());
    if let Some(distilled) = &recipe.distill {
        let object = serde_json::to_value(distilled).unwrap_or_default();
        for key in ["draft", "target", "objective", "text"] {
            if let Some(text) = object[key].as_str() {
                row(&format!("distillation: {key}"), text.to_owned());
            }
        }
    }
    rows
}

/// Losses of a training run: step, tokens, training loss since the row before, and what was evaluated.
pub(super) fn curve(own: &Training) -> Vec<[String; 6]> {
    let four = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |own| format!("{own:.4}"));
    let best = own.best().map(|own| own.step);
    let mut before = 0;
    let mut rows = Vec::new();
    for found in own.curve() {
        let tokens = own.steps.iter().rfind(|step| step.step <= found.step);
        let mark = if best == Some(found.step) { " (best)" } else { "" };
        rows.push([
            format!("{}{mark}", whole(found.step)),
            tokens.map_or_else(|| "–".to_owned(), |step| whole(step.tokens)),
            four(own.loss_between(before, found.step)),
            four(Some(found.eval_loss)),
            four(found.eval_bits_per_byte),
            four(found.eval_acceptance),
        ]);
        before = found.step;
    }
    rows
}

/// Cases of a bench: all of them, and of each the categories.
pub(super) fn cases(report: &Report) -> (Vec<[String; 6]>, Vec<[String; 5]>) {
    let (mut cases, mut categories) = (Vec::new(), Vec::new());
    for case in report.cases.iter().filter(|case| !case.settings.draft.is_empty()) {
        let all = &case.overall;
        cases.push([
            case.case.clone(),
            case.settings.draft.clone(),
            case.settings.temperature.to_string(),
            estimate(all.draft_acceptance_rate),
            estimate(all.mean_acceptance_length),
            estimate(all.speedup),
        ]);
        for (name, own) in &case.by_category {
            categories.push([
                case.case.clone(),
                name.clone(),
                whole(own.prompts as u64),
                estimate(own.draft_acceptance_rate),
                estimate(own.mean_acceptance_length),
            ]);
        }
    }
    (cases, categories)
}
