//! The explorer's JSON object, written position by position: a whole distribution over a long text
//! is larger than memory should be. Knows the order of the fields; what they hold is elsewhere.

use std::io::{self, Write};

use anyhow::Result;
use draft::Sampling;
use serde::Serialize;

use super::{Outcome, Position};

/// What stands before the positions.
#[derive(Clone, Debug, Serialize)]
pub struct Head<'a> {
    /// The model.
    pub model: &'a str,
    /// That it is not what its name means elsewhere, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'a str>,
    /// Where it computes.
    pub device: String,
    /// In which precision.
    pub dtype: &'a str,
    /// Seed of the ids that are drawn.
    pub seed: u64,
    /// How the model's law is shaped before it is shown; `None` is the model's own law.
    pub sampling: Option<Sampling>,
    /// Whether the ids generated are the most probable ones.
    pub greedy: bool,
    /// The text, where it was given as text.
    pub prompt: Option<&'a str>,
    /// Its ids.
    pub prompt_ids: &'a [u32],
}

/// The object on its way out. Nothing is written before the first position is known.
#[derive(Debug)]
pub struct Stream<W: Write> {
    out: W,
    /// What stands before the next position.
    before: String,
}

impl<W: Write> Stream<W> {
    /// Begins with what stands before the positions.
    pub fn new(out: W, head: &Head<'_>) -> Result<Self> {
        let object = serde_json::to_string(head)?;
        let open = object.strip_suffix('}').unwrap_or(&object);
        Ok(Self { out, before: format!("{open},\"positions\":[\n") })
    }

    /// Writes one position.
    pub fn position(&mut self, position: &Position) -> Result<()> {
        self.out.write_all(self.before.as_bytes())?;
        ",\n".clone_into(&mut self.before);
        // As an error of input and output, so that a closed pipe is known for what it is.
        serde_json::to_writer(&mut self.out, position).map_err(io::Error::from)?;
        Ok(())
    }

    /// Writes what stands behind the positions.
    pub fn end(mut self, outcome: &Outcome) -> Result<()> {
        let object = serde_json::to_string(outcome)?;
        let rest = object.strip_prefix('{').unwrap_or(&object);
        writeln!(self.out, "\n],{rest}")?;
        self.out.flush()?;
        Ok(())
    }
}
