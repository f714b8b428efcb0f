//! The models that have a name, each described by its own `config.json` where it is here, and by the
//! registry where it is not. Loads no model.

use std::path::PathBuf;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use draft::config::{ModelConfig, Shape};
use serde::Serialize;

use crate::registry::{Entry, Recommended, Role, models};
use crate::report::{scaled, whole};
use crate::source::{Source, Sources};

const COLUMNS: [&str; 9] =
    ["name", "class", "parameters", "vocabulary", "kind", "context", "licence", "from", "Hub id"];

/// Columns of numbers.
const NUMBERS: [usize; 3] = [2, 3, 5];

/// A longer Hub id goes on in the next line, behind a hyphen.
const HUB_ID: usize = 28;

/// What is known of a model.
#[derive(Debug, Serialize)]
pub struct Description {
    /// The name that users type.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Where it would come from now.
    pub source: &'static str,
    /// Its folder, where it is here.
    pub folder: Option<PathBuf>,
    /// Its repository on the Hub; `None` for a model of this project.
    pub hub_id: Option<String>,
    /// Licence, as its card says.
    pub licence: String,
    /// Whether its licence must be accepted on the Hub first.
    pub gated: bool,
    /// The class that transformers has for it.
    pub architecture: Option<String>,
    /// Parameters; a tied head counts once.
    pub parameters: Option<u64>,
    /// Its vocabulary.
    pub vocabulary: Vocabulary,
    /// Positions that it was made for.
    pub context: Option<usize>,
    /// How its card says to sample.
    pub sampling: Option<Recommended>,
    /// A text that belongs in front of each prompt.
    pub begins_with: Option<String>,
    /// What else must be known of it.
    pub note: Option<String>,
    /// Why its own configuration could not be read.
    pub problem: Option<String>,
}

/// A model's vocabulary.
#[derive(Debug, Serialize)]
pub struct Vocabulary {
    /// Rows of the embedding.
    pub rows: Option<usize>,
    /// Its kind, in words.
    pub kind: String,
}

/// Describes all named models.
pub fn describe(sources: &Sources) -> Vec<Description> {
    models().iter().map(|entry| Description::new(entry, sources)).collect()
}

impl Description {
    fn new(entry: &Entry, sources: &Sources) -> Self {
        // What --source leaves out is no error here.
        let source = sources.find(&entry.name).ok();
        let folder = source.as_ref().and_then(Source::folder);
        let read = match folder {
            Some(folder) => ModelConfig::read(folder)
                .map(|config| (config.shape, config.architecture))
                .map_err(|error| error.to_string()),
            None => Shape::from_json(&entry.config).map(|shape| {
                let class = &entry.config["architectures"][0];
                (shape, class.as_str().unwrap_or_default().to_owned())
            }),
        };
        let (shape, problem) = match read {
            Ok(shape) => (Some(shape), None),
            Err(problem) => (None, Some(problem)),
        };
        let (shape, architecture) = shape.unzip();
        Self {
            name: entry.name.clone(),
            role: entry.role,
            source: source.as_ref().map_or("not here", Source::name),
            folder: folder.map(Into::into),
            hub_id: entry.hub_id.clone(),
            licence: entry.licence.clone(),
            gated: entry.gated,
            architecture,
            parameters: shape.as_ref().map(Shape::parameters),
            vocabulary: Vocabulary {
                rows: shape.as_ref().map(Shape::vocab_size),
                kind: entry.vocabulary.clone(),
            },
            context: shape.as_ref().map(Shape::context),
            sampling: entry.sampling,
            begins_with: entry.begins_with.clone(),
            note: entry.note.clone(),
            problem,
        }
    }

    fn row(&self) -> [String; 9] {
        let count = |number: Option<usize>| number.map_or("?".to_owned(), |n| whole(n as u64));
        let class = self.architecture.as_deref().unwrap_or("?");
        // Which TokenMonster vocabulary it is takes too much room here.
        let kind = self.vocabulary.kind.split(' ').take_while(|word| !word.contains('-'));
        [
            self.name.clone(),
            class.trim_end_matches("ForCausalLM").to_owned(),
            self.parameters.map_or("?".to_owned(), |n| scaled(n, &["", " K", "M", "B"], 1e3)),
            count(self.vocabulary.rows),
            kind.collect::<Vec<_>>().join(" "),
            count(self.context),
            self.licence.clone(),
            self.source.to_owned(),
            in_lines(self.hub_id.as_deref().unwrap_or("-")),
        ]
    }
}

fn in_lines(hub_id: &str) -> String {
    let fits = hub_id.len() <= HUB_ID;
    match hub_id.char_indices().take(HUB_ID).filter(|(_, c)| *c == '-').last() {
        Some((at, _)) if !fits => format!("{}\n{}", &hub_id[..=at], in_lines(&hub_id[at + 1..])),
        _ => hub_id.to_owned(),
    }
}

/// The descriptions as a table.
pub fn table(descriptions: &[Description]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(COLUMNS);
    for description in descriptions {
        table.add_row(description.row());
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if NUMBERS.contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ids_go_on_behind_a_hyphen() {
        for entry in models() {
            let Some(hub_id) = &entry.hub_id else { continue };
            let lines = in_lines(hub_id);
            assert_eq!(lines.replace('\n', ""), *hub_id);
            assert!(lines.lines().all(|line| line.len() <= HUB_ID), "{lines}");
        }
    }
}
