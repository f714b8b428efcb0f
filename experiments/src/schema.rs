//! The JSON Schemas (draft 2020-12) of what this program writes and reads as data, made from its own types:
//! their doc comments are the descriptions, and what their readers refuse, the schemas refuse. Knows no
//! value of them.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::bench::compare::Comparison;
use crate::bench::record::{Record, Report};
use crate::train::recipe::Recipe;

/// What there is a schema of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    /// A row of a run's records.jsonl.
    Record,
    /// A run's report.json.
    Report,
    /// A recipe of spec train and spec distill, as data: what its TOML says.
    Recipe,
    /// What spec compare --json prints.
    Comparison,
}

impl Subject {
    /// Its schema.
    pub fn schema(self) -> Value {
        match self {
            Self::Record => of::<Record>(),
            Self::Report => of::<Report>(),
            Self::Recipe => of::<Recipe>(),
            Self::Comparison => of::<Comparison>(),
        }
    }
}

fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(plain_text));
    SchemaGenerator::new(settings).into_root_schema_for::<T>().to_value()
}

/// Descriptions are for people who do not read Rust: links to items lose their brackets and paths, and
/// `None` is null.
fn plain_text(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = unlinked(text);
    }
}

/// A doc comment without links to items: of [`Kind::Record`] is left `Record`.
fn unlinked(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((item, after)) = link.split_once("`]") else { break };
        let name = item.rsplit("::").next().unwrap_or(item);
        plain.extend([before, "`", name, "`"]);
        rest = after;
    }
    (plain + rest).replace('\n', " ").replace("`None`", "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_items_become_names() {
        assert_eq!(
            unlinked("a [`Kind::Record`] or\n[`PLAIN`], else `None`; b [`c"),
            "a `Record` or `PLAIN`, else null; b [`c"
        );
    }
}
