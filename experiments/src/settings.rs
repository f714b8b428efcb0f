//! Decoding settings where none are typed: those of the model's card, those of its
//! `generation_config.json`, or greedy. Knows where each value came from; decodes nothing.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use draft::Sampling;
use serde::{Deserialize, Serialize, Serializer};

use crate::published::Published;
use crate::registry::Recommended;

/// Tokens to emit where nothing says how many.
const MAX_NEW: usize = 100;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was typed.
    Flag,
    /// The card of the published model of this name.
    Card(String),
    /// The card of a published model of the same shape.
    CardOfShape(String),
    /// The model folder's `generation_config.json`.
    GenerationConfig,
    /// Nothing says it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => formatter.write_str("flag"),
            Self::Card(name) => write!(formatter, "card of {name}"),
            Self::CardOfShape(name) => write!(formatter, "card of {name}, which has this shape"),
            Self::GenerationConfig => formatter.write_str("generation_config.json"),
            Self::Default => formatter.write_str("default"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Origin,
}

/// What one source says; `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Temperature; 0 is greedy.
    pub temperature: Option<f64>,
    /// Most probable tokens to keep.
    pub top_k: Option<usize>,
    /// Sum of the most probable tokens to keep.
    pub top_p: Option<f64>,
    /// Penalty on tokens that the context holds.
    pub repetition_penalty: Option<f64>,
    /// Tokens to emit, at most.
    pub max_new: Option<usize>,
}

impl From<&Recommended> for Wishes {
    fn from(card: &Recommended) -> Self {
        Self {
            temperature: card.temperature,
            top_k: card.top_k,
            top_p: card.top_p,
            repetition_penalty: card.repetition_penalty,
            max_new: card.max_new,
        }
    }
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Temperature; 0 is greedy.
    pub temperature: Setting<f64>,
    /// Most probable tokens to keep.
    pub top_k: Setting<Option<usize>>,
    /// Sum of the most probable tokens to keep.
    pub top_p: Setting<Option<f64>>,
    /// Penalty on tokens that the context holds.
    pub repetition_penalty: Setting<f64>,
    /// Tokens to emit, at most.
    pub max_new: Setting<usize>,
}

impl Settings {
    /// Takes each value from the first source that has it: what was typed, the card, the folder.
    pub fn resolve(typed: Wishes, published: Option<&Published>, folder: &Path) -> Result<Self> {
        let mut sources = vec![(Origin::Flag, typed)];
        if let Some((published, card)) =
            published.and_then(|it| Some((it, it.entry.sampling.as_ref()?)))
        {
            let name = published.entry.name.clone();
            let origin =
                if published.by_shape { Origin::CardOfShape(name) } else { Origin::Card(name) };
            sources.push((origin, card.into()));
        }
        sources.push((Origin::GenerationConfig, generation_config(folder)?));
        Ok(Self {
            temperature: first(&sources, 0.0, |wishes| wishes.temperature),
            top_k: first(&sources, None, |wishes| wishes.top_k.map(Some)),
            top_p: first(&sources, None, |wishes| wishes.top_p.map(Some)),
            repetition_penalty: first(&sources, 1.0, |wishes| wishes.repetition_penalty),
            max_new: first(&sources, MAX_NEW, |wishes| wishes.max_new),
        })
    }

    /// How logits become the law that tokens are drawn from.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature.value,
            top_k: self.top_k.value,
            top_p: self.top_p.value,
            repetition_penalty: self.repetition_penalty.value,
        }
    }

    /// One line for people: what is in force, and where it came from.
    pub fn sentence(&self) -> String {
        let mut groups: Vec<(&Origin, Vec<String>)> = Vec::new();
        for (origin, words) in self.words() {
            match groups.iter_mut().find(|(known, _)| *known == origin) {
                Some((_, group)) => group.push(words),
                None => groups.push((origin, vec![words])),
            }
        }
        let parts: Vec<String> = groups
            .iter()
            .map(|(origin, group)| format!("{} ({origin})", group.join(", ")))
            .collect();
        format!("settings: {}", parts.join("; "))
    }

    fn words(&self) -> Vec<(&Origin, String)> {
        let temperature = match self.temperature.value {
            0.0 => "greedy".to_owned(),
            temperature => format!("temperature {temperature}"),
        };
        let mut words = vec![(&self.temperature.source, temperature)];
        if let Some(k) = self.top_k.value {
            words.push((&self.top_k.source, format!("top-k {k}")));
        }
        if let Some(p) = self.top_p.value {
            words.push((&self.top_p.source, format!("top-p {p}")));
        }
        if self.repetition_penalty.value != 1.0 {
            let penalty = format!("repetition penalty {}", self.repetition_penalty.value);
            words.push((&self.repetition_penalty.source, penalty));
        }
        words.push((&self.max_new.source, format!("at most {} new tokens", self.max_new.value)));
        words
    }
}

fn first<T>(
    sources: &[(Origin, Wishes)],
    default: T,
    wish: impl Fn(&Wishes) -> Option<T>,
) -> Setting<T> {
    sources
        .iter()
        .find_map(|(origin, wishes)| {
            wish(wishes).map(|value| Setting { value, source: origin.clone() })
        })
        .unwrap_or(Setting { value: default, source: Origin::Default })
}

/// The part of `generation_config.json` that matters here.
#[derive(Default, Deserialize)]
struct File {
    do_sample: Option<bool>,
    temperature: Option<f64>,
    top_k: Option<usize>,
    top_p: Option<f64>,
    repetition_penalty: Option<f64>,
    max_new_tokens: Option<usize>,
}

/// What a folder's `generation_config.json` says. As in transformers, temperature, top-k and top-p
/// count only where the file asks for sampling.
fn generation_config(folder: &Path) -> Result<Wishes> {
    let path = folder.join("generation_config.json");
    let Ok(bytes) = std::fs::read(&path) else { return Ok(Wishes::default()) };
    let remedy = || format!("{} cannot be used; correct it or remove it", path.display());
    let file: File = serde_json::from_slice(&bytes).with_context(remedy)?;
    let sampled = file.do_sample == Some(true);
    let temperature = match file.do_sample {
        Some(true) => Some(file.temperature.unwrap_or(1.0)),
        Some(false) => Some(0.0),
        None => None,
    };
    let wishes = Wishes {
        temperature,
        top_k: file.top_k.filter(|&k| sampled && k > 0),
        top_p: file.top_p.filter(|_| sampled),
        repetition_penalty: file.repetition_penalty,
        max_new: file.max_new_tokens,
    };
    check(&wishes).with_context(remedy)?;
    Ok(wishes)
}

fn check(wishes: &Wishes) -> Result<()> {
    if wishes.temperature.is_some_and(|temperature| temperature < 0.0) {
        bail!("a temperature is 0 or above");
    }
    if wishes.top_p.is_some_and(|p| !(p > 0.0 && p <= 1.0)) {
        bail!("top_p is above 0 and at most 1");
    }
    if wishes.repetition_penalty.is_some_and(|penalty| penalty <= 0.0) {
        bail!("repetition_penalty is above 0");
    }
    if wishes.max_new == Some(0) {
        bail!("max_new_tokens is at least 1");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_folder(json: &str, typed: Wishes) -> Result<Settings> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("generation_config.json"), json).unwrap();
        Settings::resolve(typed, None, folder.path())
    }

    #[test]
    fn a_value_comes_from_the_first_source_that_has_it() {
        let json = r#"{"do_sample": true, "temperature": 0.6, "top_p": 0.9, "max_new_tokens": 7}"#;
        let typed = Wishes { temperature: Some(0.2), ..Wishes::default() };
        let settings = in_folder(json, typed).unwrap();
        assert_eq!(settings.temperature, Setting { value: 0.2, source: Origin::Flag });
        assert_eq!(settings.top_p, Setting { value: Some(0.9), source: Origin::GenerationConfig });
        assert_eq!(settings.top_k, Setting { value: None, source: Origin::Default });
        assert_eq!(
            settings.sentence(),
            "settings: temperature 0.2 (flag); top-p 0.9, at most 7 new tokens \
             (generation_config.json)"
        );
    }

    #[test]
    fn without_do_sample_the_file_means_greedy() {
        let json = r#"{"temperature": 0.6, "top_k": 5, "repetition_penalty": 1.2}"#;
        let settings = in_folder(json, Wishes::default()).unwrap();
        let expected = Sampling { repetition_penalty: 1.2, ..Sampling::GREEDY };
        assert_eq!(settings.sampling(), expected);
        assert_eq!(settings.temperature.source, Origin::Default);
        let settings = in_folder(r#"{"do_sample": false}"#, Wishes::default()).unwrap();
        assert_eq!(settings.temperature.source, Origin::GenerationConfig);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        for json in ["{", r#"{"repetition_penalty": 0}"#, r#"{"do_sample": true, "top_p": 2}"#] {
            let message = format!("{:#}", in_folder(json, Wishes::default()).unwrap_err());
            assert!(message.contains("generation_config.json"), "{message}");
        }
    }
}
