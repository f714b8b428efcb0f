//! The models that have a name of their own: where each is published, its shape, and how its card
//! says to sample. The list is `models.json`. Knows no other file and no network.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It proposes.
    Draft,
    /// It verifies.
    Target,
}

/// How a model's card says to sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recommended {
    /// Temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Keep the most probable tokens that reach this sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Keep so many of the most probable tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Penalty on tokens that the context holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// Tokens to emit, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new: Option<usize>,
}

/// A published model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name that users type.
    pub name: String,
    /// Its repository on the Hub; `None` for a model of this project.
    #[serde(default)]
    pub hub_id: Option<String>,
    /// What it is for.
    pub role: Role,
    /// Licence, as its card says.
    pub licence: String,
    /// Whether its licence must be accepted on the Hub first.
    pub gated: bool,
    /// What kind of vocabulary it has, in words.
    pub vocabulary: String,
    /// The published number of parameters, where its card gives one.
    pub parameters: Option<u64>,
    /// How its card says to sample, where it does.
    pub sampling: Option<Recommended>,
    /// A text that belongs in front of each prompt.
    pub begins_with: Option<String>,
    /// What else must be known of it.
    pub note: Option<String>,
    /// Its shape, as the object of a `config.json`.
    pub config: Value,
}

static MODELS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../models.json")).expect("a test reads models.json")
});

/// The target that is used where none is named.
pub const DEFAULT_TARGET: &str = "llama-3.2-1b";

/// All named models.
pub fn models() -> &'static [Entry] {
    &MODELS
}

/// Finds a model by name.
pub fn find(name: &str) -> Option<&'static Entry> {
    models().iter().find(|entry| entry.name == name)
}

/// Finds a model by its repository on the Hub.
pub fn find_published(hub_id: &str) -> Option<&'static Entry> {
    models().iter().find(|entry| entry.hub_id.as_deref() == Some(hub_id))
}

/// The name that is spelled most like `name`, where one is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    nearest_of(&name.to_lowercase(), models().iter().map(|entry| entry.name.as_str()))
}

/// The candidate that is spelled most like `name`, where one is near.
pub fn nearest_of<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use draft::config::Shape;

    #[test]
    fn names_are_unique_and_near_misses_are_found() {
        for (index, entry) in models().iter().enumerate() {
            let earlier = &models()[..index];
            assert!(earlier.iter().all(|other| other.name != entry.name), "{}", entry.name);
            assert!(earlier.iter().all(|other| other.hub_id != entry.hub_id), "{}", entry.name);
            assert_eq!(find(&entry.name).unwrap().hub_id, entry.hub_id);
            if let Some(hub_id) = &entry.hub_id {
                assert_eq!(find_published(hub_id).unwrap().name, entry.name);
            }
        }
        assert_eq!(find(DEFAULT_TARGET).unwrap().role, Role::Target);
        assert_eq!(nearest("stentor-2"), Some("stentor2"));
        assert_eq!(nearest("Llama-3.2-1B"), Some("llama-3.2-1b"));
        assert_eq!(nearest("zzz"), None);
    }

    #[test]
    fn every_shape_has_the_published_number_of_parameters() {
        let mut published = 0;
        for entry in models() {
            let shape = Shape::from_json(&entry.config)
                .unwrap_or_else(|error| panic!("{}: {error}", entry.name));
            if let Some(parameters) = entry.parameters {
                assert_eq!(shape.parameters(), parameters, "{}", entry.name);
                published += 1;
            }
        }
        assert_eq!(published, models().len() - 1, "Stentor-30M's card rounds");
        let rounded = Shape::from_json(&find("stentor-30m").unwrap().config).unwrap();
        assert_eq!((rounded.parameters() as f64 / 1e5).round(), 304.0);
    }

    #[test]
    fn cards_are_kept_as_they_recommend() {
        let er = find("er").unwrap();
        let sampling = er.sampling.unwrap();
        assert_eq!((sampling.temperature, sampling.top_k), (Some(0.7), Some(30)));
        assert_eq!(er.begins_with.as_deref(), Some("<|bos|>"));
        assert!(find("llama-3.2-1b").unwrap().sampling.is_none());
    }
}
