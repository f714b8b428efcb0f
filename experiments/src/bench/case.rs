//! The cases of a run: names that tell them apart, and keys by which their records are known again.
//! Knows settings only; runs nothing.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::record::{CaseSettings, Header, Settings};
use crate::prompts::hex;

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name, which no other case of the run has.
    pub name: String,
    /// What decides it.
    pub settings: CaseSettings,
    /// A hash of all that decides its records.
    pub key: String,
}

/// The parts of a name, each said only where it differs among the cases.
const PARTS: [fn(&CaseSettings) -> String; 6] = [
    |own| if own.draft.is_empty() { String::new() } else { format!(" {}", own.draft) },
    |own| if own.verification.name() == "block" { " block".to_owned() } else { String::new() },
    |own| if own.gamma == 0 { String::new() } else { format!(" gamma {}{}", auto(own), own.gamma) },
    |own| own.tree.map_or_else(String::new, |tree| format!(" nodes {}{}", auto(own), tree.nodes)),
    |own| own.siblings.count.map_or_else(String::new, |count| format!(" siblings {count}")),
    |own| format!(" T {}", own.temperature),
];

fn auto(settings: &CaseSettings) -> &'static str {
    if settings.auto { "up to " } else { "" }
}

/// Names and keys for the cases of a run; `None` for one that is the same as one before it.
pub fn named(settings: Vec<CaseSettings>, header: &Header) -> Vec<Option<Case>> {
    let differs = |part: &fn(&CaseSettings) -> String| {
        let mut found: Vec<String> = Vec::new();
        let methods = settings.iter().filter(|own| !own.is_plain());
        for text in methods.map(part).filter(|text| !text.is_empty()) {
            if !found.contains(&text) {
                found.push(text);
            }
        }
        found.len() > 1
    };
    let parts: Vec<_> = PARTS.iter().filter(|part| differs(part)).collect();
    let mut keys: Vec<String> = Vec::new();
    let case = |settings: CaseSettings| {
        let rest: String = parts.iter().map(|part| part(&settings)).collect();
        let name = format!("{}{rest}", settings.method);
        let key = key(&settings, header);
        let is_new = !keys.contains(&key);
        keys.push(key.clone());
        is_new.then_some(Case { name, settings, key })
    };
    settings.into_iter().map(case).collect()
}

/// All that decides a case's records.
#[derive(Serialize)]
struct Decisive<'a> {
    schema: u32,
    version: (&'a str, &'a Option<String>),
    case: CaseSettings,
    run: Settings,
    models: Vec<[&'a Option<String>; 2]>,
    prompts: &'a str,
    trace: Option<&'a str>,
    machine: (&'a str, &'a str, &'a str, usize, &'a str),
    seed: u64,
}

fn key(settings: &CaseSettings, header: &Header) -> String {
    let draft = header.drafts.iter().find(|model| model.name == settings.draft);
    let models = draft.into_iter().chain([&header.target]);
    let decisive = Decisive {
        schema: super::record::SCHEMA,
        version: (&header.version, &header.git_commit),
        case: CaseSettings { method_reason: String::new(), ..settings.clone() },
        // How many prompts are run, and how warm the machine is, is no matter of a record.
        run: Settings { limit: None, warmup: 0, ..header.settings.clone() },
        models: models.map(|model| [&model.weights_sha256, &model.tokenizer_sha256]).collect(),
        prompts: &header.prompts.sha256,
        trace: header.trace.as_ref().map(|trace| trace.sha256.as_str()),
        machine: machine(header),
        seed: header.seed,
    };
    short_hash(&decisive)
}

/// What models compute on and with.
fn machine(header: &Header) -> (&str, &str, &str, usize, &str) {
    (&header.device, &header.dtype, &header.engine, header.threads, &header.torch)
}

/// The first half of the SHA-256 of a value's JSON.
pub fn short_hash(value: &impl Serialize) -> String {
    // Serialising numbers, texts and lists of them cannot fail.
    let text = serde_json::to_string(value).unwrap_or_default();
    hex(&Sha256::digest(text.as_bytes())[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use target::propose::tree::Size;

    fn settings(method: &str, gamma: usize, temperature: f64) -> CaseSettings {
        CaseSettings {
            method: method.to_owned(),
            draft: "a".to_owned(),
            gamma,
            ..CaseSettings::plain(temperature)
        }
    }

    fn names(settings: Vec<CaseSettings>) -> Vec<String> {
        let cases = named(settings, &samples::header());
        cases.into_iter().flatten().map(|case| case.name).collect()
    }

    #[test]
    fn a_name_says_what_differs() {
        let plain = CaseSettings::plain;
        assert_eq!(names(vec![plain(0.0), settings("slem", 5, 0.0)]), ["plain", "slem"]);
        let many = vec![
            plain(0.0),
            plain(1.0),
            settings("slem", 2, 0.0),
            settings("slem", 4, 1.0),
            settings("slem", 4, 1.0),
        ];
        let expected = ["plain T 0", "plain T 1", "slem gamma 2 T 0", "slem gamma 4 T 1"];
        assert_eq!(names(many), expected);
        let sized = |nodes| CaseSettings {
            tree: Some(Size { nodes, beam: 8 }),
            ..settings("tree", 5, 0.0)
        };
        assert_eq!(names(vec![sized(4), sized(8)]), ["tree nodes 4", "tree nodes 8"]);
        let other = CaseSettings { draft: "b".to_owned(), ..settings("slem", 5, 0.0) };
        assert_eq!(names(vec![settings("slem", 5, 0.0), other]), ["slem a", "slem b"]);
    }

    #[test]
    fn a_key_hangs_on_what_decides_the_records() {
        let header = samples::header();
        let own = settings("slem", 5, 0.0);
        let first = key(&own, &header);
        let reasoned = CaseSettings { method_reason: "other".to_owned(), ..own.clone() };
        let mut limited = header.clone();
        limited.settings.limit = Some(3);
        limited.started = "later".to_owned();
        assert_eq!((key(&reasoned, &header), key(&own, &limited)), (first.clone(), first.clone()));
        let mut seeded = header.clone();
        seeded.seed += 1;
        let mut heavier = header.clone();
        heavier.target.weights_sha256 = Some("other".to_owned());
        for other in
            [key(&settings("slem", 6, 0.0), &header), key(&own, &seeded), key(&own, &heavier)]
        {
            assert_ne!(other, first);
        }
    }
}
