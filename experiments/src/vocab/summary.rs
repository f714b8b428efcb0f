//! What is said of a vocabulary once it is made: its size, how well it encodes, its most used tokens.

use align::{DecodeState, Entry, Tokenizer, Vocabulary};
use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::usage::Usage;
use crate::report::whole;

/// How many of the most used tokens are listed.
const LISTED: usize = 20;

/// How a text is encoded.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Bytes of the text.
    pub bytes: u64,
    /// Its ids.
    pub tokens: u64,
    /// The ratio of the two.
    pub bytes_per_token: f64,
    /// How many different ids it has.
    pub used: usize,
}

impl From<&Usage> for Measured {
    fn from(usage: &Usage) -> Self {
        let (bytes, tokens) = (usage.bytes, usage.tokens);
        Self { bytes, tokens, bytes_per_token: usage.bytes_per_token(), used: usage.used() }
    }
}

/// A token and how often it is used.
#[derive(Clone, Debug, Serialize)]
pub struct Used {
    /// The id.
    pub id: u32,
    /// What it says, invalid UTF-8 replaced, or the name of a special; with U+007F at its end where it
    /// changes what the next token says, as by deleting its space.
    pub text: String,
    /// How often the text has it.
    pub count: u64,
}

/// A vocabulary that was made.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The folder.
    pub out: String,
    /// What it is.
    pub description: String,
    /// Its ids, specials included.
    pub ids: usize,
    /// The special tokens among them.
    pub specials: usize,
    /// On the text that it was made from.
    pub text: Measured,
    /// On another text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval: Option<Measured>,
    /// The large vocabulary that it is a part of, on the first text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Measured>,
    /// The most used tokens.
    pub most_used: Vec<Used>,
}

impl Summary {
    /// Of a tokenizer and the texts that it was measured on.
    pub fn new(out: String, tokenizer: &Tokenizer, text: &Usage, eval: Option<&Usage>) -> Self {
        let vocabulary = tokenizer.vocabulary();
        let ids = vocabulary.used_rows();
        let special = |id: &u32| matches!(vocabulary.entry(*id), Entry::Special(_));
        let used =
            |id: u32| Used { id, text: spelled(vocabulary, id), count: text.counts[id as usize] };
        Self {
            out,
            description: tokenizer.description(),
            ids,
            specials: (0..ids as u32).filter(special).count(),
            text: text.into(),
            eval: eval.map(Into::into),
            from: None,
            most_used: text.ranking().into_iter().take(LISTED).map(used).collect(),
        }
    }

    /// As text, each line ended.
    pub fn table(&self) -> String {
        let mut lines = vec![
            format!("vocabulary   {}", self.out),
            format!("ids          {} ({} of them special)", whole(self.ids as u64), self.specials),
        ];
        let measured = [
            ("text", Some(&self.text)),
            ("eval", self.eval.as_ref()),
            ("from", self.from.as_ref()),
        ];
        lines
            .extend(measured.iter().filter_map(|(label, measured)| Some(row(label, (*measured)?))));
        lines.push(String::new());
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["id", "count", "of all", "token"]);
        for used in &self.most_used {
            let share = 100.0 * used.count as f64 / self.text.tokens.max(1) as f64;
            let text = used.text.replace(' ', "·").escape_debug().to_string();
            table.add_row([used.id.to_string(), whole(used.count), format!("{share:.2} %"), text]);
        }
        for (place, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if place < 3 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        lines.extend(table.lines().map(|line| line.trim_end().to_owned()));
        lines.join("\n") + "\n"
    }

    /// As a JSON object.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

fn spelled(vocabulary: &Vocabulary, id: u32) -> String {
    if let Entry::Special(name) = vocabulary.entry(id) {
        return name.to_string();
    }
    let Some((bytes, state)) = vocabulary.bytes_after(DecodeState::default(), id) else {
        return String::new();
    };
    let marker = if state.is_clean() { "" } else { "\u{7f}" };
    String::from_utf8_lossy(&bytes).into_owned() + marker
}

fn row(label: &str, measured: &Measured) -> String {
    format!(
        "{label:<13}{:.3} bytes a token: {} bytes, {} tokens, {} ids in use",
        measured.bytes_per_token,
        whole(measured.bytes),
        whole(measured.tokens),
        whole(measured.used as u64),
    )
}
