//! The front matter of a card: what the Hub's own index reads. Strings are written as JSON writes them,
//! which YAML reads as they are; numbers as they are in the runs, to the last digit. What nobody said is
//! left out.

use std::fmt::Write;

use super::Card;
use super::evidence::Evidence;
use super::measured::{Measured, Task};

/// The front matter, its marks included.
pub fn matter(card: &Card) -> String {
    let mut out = String::from("---\n");
    let said = &card.said;
    if let Some(licence) = &said.licence {
        let _ = writeln!(out, "license: {}", quoted(licence));
    }
    list(&mut out, "language", &said.languages);
    out.push_str("library_name: spec\npipeline_tag: text-generation\n");
    list(&mut out, "tags", &tags(card));
    if let Some(base) = &said.base_model {
        let _ = writeln!(out, "base_model: {}", quoted(base));
    }
    let read = card.of(Evidence::training).flat_map(|(_, own)| own.datasets());
    let mut datasets: Vec<String> = said.datasets.iter().cloned().chain(read).collect();
    datasets.sort();
    datasets.dedup();
    list(&mut out, "datasets", &datasets);
    index(&mut out, card);
    out.push_str("---\n");
    out
}

fn tags(card: &Card) -> Vec<String> {
    let mut tags = vec!["speculative-decoding".to_owned()];
    if card.of(Evidence::bench).next().is_some() {
        tags.push("draft-model".to_owned());
    }
    if card.info().is_some_and(|info| info.tokenizer.starts_with("TokenMonster")) {
        tags.push("tokenmonster".to_owned());
    }
    for tag in &card.said.tags {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    tags
}

fn list(out: &mut String, name: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(out, "{name}:");
    for item in items {
        let _ = writeln!(out, "- {}", quoted(item));
    }
}

/// The Hub's `model-index`: figures that are of a whole, by what they were measured on.
fn index(out: &mut String, card: &Card) {
    let whole: Vec<&Measured> = card.measured.iter().filter(|own| !own.is_part).collect();
    if whole.is_empty() {
        return;
    }
    let _ = write!(out, "model-index:\n- name: {}\n  results:\n", quoted(card.name()));
    let mut groups: Vec<(&Measured, Vec<&Measured>)> = Vec::new();
    for own in whole {
        let is_same = |(first, _): &&mut (&Measured, _)| {
            (first.task, &first.data, &first.run) == (own.task, &own.data, &own.run)
        };
        match groups.iter_mut().find(is_same) {
            Some((_, group)) => group.push(own),
            None => groups.push((own, vec![own])),
        }
    }
    for (first, group) in groups {
        let task = match first.task {
            Task::Evaluation => "Text generation",
            Task::Drafting => "Speculative decoding",
        };
        let _ = write!(
            out,
            "  - task:\n      type: text-generation\n      name: {}\n    dataset:\n      type: {}\n      \
             name: {}\n    metrics:\n",
            quoted(task),
            quoted(&identifier(&first.data.name)),
            quoted(&first.data.name),
        );
        for own in group {
            let kind = quoted(&identifier(&own.name).replace('-', "_"));
            let name = quoted(&title(own));
            let _ = writeln!(
                out,
                "    - type: {kind}\n      value: {}\n      name: {name}",
                number(own.value)
            );
        }
    }
}

/// A figure's name with all that it is of, and how sure it is.
fn title(own: &Measured) -> String {
    let mut title = own.name.clone();
    if let Some(of) = &own.of {
        let _ = write!(title, " ({of})");
    }
    if let Some((low, high)) = own.interval {
        let _ = write!(title, ", 95 % interval [{low:.4}, {high:.4}]");
    }
    if let Some(error) = own.error {
        let _ = write!(title, ", standard error {error:.4}");
    }
    title
}

/// A number as every YAML reads it: with a point, without an exponent.
fn number(value: f64) -> String {
    let text = value.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// A name of letters, digits and a few signs, as the Hub's identifiers are.
fn identifier(name: &str) -> String {
    let own = |character: char| match character {
        'a'..='z' | '0'..='9' | '-' | '.' | '/' => character,
        'A'..='Z' => character.to_ascii_lowercase(),
        _ => '_',
    };
    name.chars().map(own).collect()
}

/// A string of YAML: one of JSON, with what YAML does not print escaped.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap_or_default();
    let mut out = String::new();
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                let _ = write!(out, "\\u{:04x}", character as u32);
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_cannot_leave_their_quotes() {
        assert_eq!(quoted("a\"b\n---\n: x"), r#""a\"b\n---\n: x""#);
        assert_eq!(quoted("\u{85}\u{2028}é"), "\"\\u0085\\u2028é\"");
        assert_eq!((number(2.0), number(1e-9)), ("2.0".to_owned(), "0.000000001".to_owned()));
        assert_eq!(identifier("Mean Acceptance/Length: ö"), "mean_acceptance/length___");
    }
}
