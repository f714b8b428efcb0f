//! The models that have a name of their own, and where each is published. Knows no file and no
//! network.

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It proposes.
    Draft,
    /// It verifies.
    Target,
}

/// A published model.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name that users type.
    pub name: &'static str,
    /// Its repository on the Hub.
    pub hub_id: &'static str,
    /// What it is for.
    pub role: Role,
    /// Licence, as its card says.
    pub licence: &'static str,
    /// Whether its licence must be accepted on the Hub first.
    pub gated: bool,
}

const fn entry(
    name: &'static str,
    hub_id: &'static str,
    role: Role,
    licence: &'static str,
    gated: bool,
) -> Entry {
    Entry { name, hub_id, role, licence, gated }
}

use Role::{Draft, Target};

/// All named models.
pub const MODELS: &[Entry] = &[
    entry("stentor2", "StentorLabs/Stentor2-12M", Draft, "apache-2.0", false),
    entry("stentor", "StentorLabs/Stentor-12M", Draft, "apache-2.0", false),
    entry("stentor-30m", "StentorLabs/Stentor-30M", Draft, "apache-2.0", false),
    entry("er", "fromziro/Er-13M", Draft, "see its card", false),
    entry("llama-3.2-1b", "meta-llama/Llama-3.2-1B", Target, "llama3.2", true),
    entry("llama-3.2-3b", "meta-llama/Llama-3.2-3B", Target, "llama3.2", true),
    entry("llama-3.1-8b", "meta-llama/Llama-3.1-8B", Target, "llama3.1", true),
    entry("llama-2-7b", "meta-llama/Llama-2-7b-hf", Target, "llama2", true),
    entry(
        "tinyllama-1.1b",
        "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T",
        Target,
        "apache-2.0",
        false,
    ),
    entry("smollm2-135m", "HuggingFaceTB/SmolLM2-135M", Target, "apache-2.0", false),
    entry("smollm2-360m", "HuggingFaceTB/SmolLM2-360M", Target, "apache-2.0", false),
    entry("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B", Target, "apache-2.0", false),
];

/// The target that is used where none is named.
pub const DEFAULT_TARGET: &str = "llama-3.2-1b";

/// Finds a model by name.
pub fn find(name: &str) -> Option<&'static Entry> {
    MODELS.iter().find(|entry| entry.name == name)
}

/// The name that is spelled most like `name`, where one is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    MODELS
        .iter()
        .map(|entry| (strsim::jaro_winkler(&name.to_lowercase(), entry.name), entry.name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_near_misses_are_found() {
        for (index, entry) in MODELS.iter().enumerate() {
            assert!(MODELS[..index].iter().all(|other| other.name != entry.name));
        }
        assert_eq!(nearest("stentor-2"), Some("stentor2"));
        assert_eq!(nearest("Llama-3.2-1B"), Some("llama-3.2-1b"));
        assert_eq!(nearest("zzz"), None);
    }
}
