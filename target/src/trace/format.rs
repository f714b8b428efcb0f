//! What a trace holds: a [`Header`] and one [`Text`] a generation, each a JSON object on a line of its own.
//! Readers refuse fields that they do not know; a change of meaning raises [`SCHEMA`]. Knows no file.

use std::fmt;

use align::DecodeState;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use draft::Sampling;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::reader::Reader;
use crate::speculate::Finish;

/// Version of the format.
pub const SCHEMA: u32 = 1;

/// A probability that was computed in single precision may be so much above 1, as a logarithm.
const ABOVE_ONE: f64 = 1e-4;

/// What can be wrong with a line of a trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The first line is no header.
    #[error("this is no trace: its first line has no \"kind\": \"trace\"")]
    NotATrace,
    /// A later format.
    #[error("the trace has schema {found}, and this program reads {SCHEMA}; record it again")]
    Schema {
        /// Its version.
        found: u64,
    },
    /// A line that is not what it should be.
    #[error("not a line of a trace: {0}")]
    Json(#[from] serde_json::Error),
    /// Lists that should be of one length are not.
    #[error("`{name}` has {found} entries, and there are {ids} ids")]
    Lengths {
        /// The field.
        name: &'static str,
        /// Its length.
        found: usize,
        /// Emitted ids.
        ids: usize,
    },
    /// A text without a token.
    #[error("the text has no ids")]
    Empty,
    /// A number that is no logarithm of a probability.
    #[error("the log-probability {log} of token {at} is none: it is finite and at most 0")]
    NoProbability {
        /// Place of the token.
        at: usize,
        /// The number.
        log: f64,
    },
    /// An id that the target does not have.
    #[error("the id {id} is outside the target's {rows} rows")]
    Id {
        /// The id.
        id: u32,
        /// Rows of the target.
        rows: usize,
    },
    /// An end of text that is not the end.
    #[error("token {at} ends the text, and others follow; only with `ignore_eos` may they")]
    EndsBefore {
        /// Place of the token.
        at: usize,
    },
    /// The tokenizer decodes an id otherwise than the one that the trace was recorded with.
    #[error("this tokenizer decodes token {at} of the text to other bytes than the trace has")]
    OtherBytes {
        /// Place of the token.
        at: usize,
    },
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The header.
    Trace,
    /// A text.
    Text,
}

/// The first line: who wrote the texts, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: u32,
    /// [`Kind::Trace`].
    pub kind: Kind,
    /// Version of the program that wrote it.
    pub version: String,
    /// Its command line, argument by argument.
    pub command_line: Vec<String>,
    /// When it began, RFC 3339.
    pub started: String,
    /// The target.
    pub target: Target,
    /// How logits became the law that tokens were drawn from.
    pub sampling: Sampling,
    /// Tokens to emit, at most.
    pub max_new: usize,
    /// Whether an end of text was a token like any other.
    pub ignore_eos: bool,
    /// How chat prompts were rendered.
    pub template: String,
    /// Where the prompts come from.
    pub prompts: String,
    /// SHA-256 of their file, in hexadecimal.
    pub prompts_sha256: String,
    /// Samples a prompt.
    pub repeats: u32,
    /// How many of the most probable tokens each place has.
    pub top: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Device of the model; unknown of imported texts, as what follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Its number format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// CPU threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Version of libtorch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torch: Option<String>,
    /// Where another program wrote the texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

/// The target of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name it was asked for by.
    pub name: String,
    /// Where its files were.
    pub path: String,
    /// Where they came from: `folder`, `cache`, `Hub` or `bundled`.
    pub source: String,
    /// That it is not what its name means elsewhere, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Family of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Number of parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Ids that it has logits for.
    pub rows: usize,
    /// Tokens of its vocabulary, padding left out.
    pub vocabulary: usize,
    /// Length of its context in tokens.
    pub context: usize,
    /// Kind of its tokenizer.
    pub tokenizer: String,
    /// Ids that end a text.
    pub eos: Vec<u32>,
    /// Ids in front of every text.
    pub prefix: Vec<u32>,
    /// The file with its vocabulary, by which it is known again.
    pub vocabulary_file: FileHash,
    /// SHA-256 of all files of its tokenizer, as reports have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer_sha256: Option<String>,
    /// SHA-256 of its weights, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
}

/// A file and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileHash {
    /// Its name.
    pub name: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Where imported texts come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// The format of the file.
    pub format: String,
    /// Whether its log-probabilities are those `before` or `after` temperature and truncation.
    pub logprobs: String,
}

/// One generation: a prompt, a repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// [`Kind::Text`].
    pub kind: Kind,
    /// Place of the prompt in the prompt file, from 0.
    pub prompt_index: usize,
    /// The prompt's own name in its file.
    pub prompt_id: String,
    /// The prompt's category.
    pub category: String,
    /// Which repeat of the prompt, from 0.
    pub repeat: u32,
    /// Which turn of the conversation, from 0.
    #[serde(default)]
    pub turn: u32,
    /// The prompt: one text, or what the user and the target said in turn.
    pub said: Vec<String>,
    /// The prompt as the target read it.
    pub prompt_ids: Vec<u32>,
    /// What a chat template made of it, as bytes in Base64; `None` where the target read it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<Bytes>,
    /// The emitted ids.
    pub ids: Vec<u32>,
    /// The bytes that each of them adds to the text, in Base64.
    pub bytes: Vec<Bytes>,
    /// The natural logarithm of each one's probability, after temperature and truncation.
    pub logprobs: Vec<f64>,
    /// For each place the most probable ids, with the logarithms of their probabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<Vec<Vec<(u32, f64)>>>,
    /// Why the text ends.
    pub finish: Finish,
}

/// Bytes, in Base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(de::Error::custom)
    }
}

impl Header {
    /// Reads the first line.
    pub fn parse(line: &str) -> Result<Self, TraceError> {
        let value: serde_json::Value =
            serde_json::from_str(line).map_err(|_| TraceError::NotATrace)?;
        if value["kind"] != "trace" {
            return Err(TraceError::NotATrace);
        }
        match value["schema"].as_u64() {
            Some(found) if found == u64::from(SCHEMA) => Ok(serde_json::from_value(value)?),
            found => Err(TraceError::Schema { found: found.unwrap_or(0) }),
        }
    }
}

impl Text {
    /// Reads a later line, and checks what can be checked without a tokenizer.
    pub fn parse(line: &str, header: &Header) -> Result<Self, TraceError> {
        let text: Self = serde_json::from_str(line)?;
        text.check(header)?;
        Ok(text)
    }

    /// Checks a text by itself.
    pub fn check(&self, header: &Header) -> Result<(), TraceError> {
        let ids = self.ids.len();
        let mut lengths = vec![("bytes", self.bytes.len()), ("logprobs", self.logprobs.len())];
        lengths.extend(self.top.as_ref().map(|top| ("top", top.len())));
        if let Some((name, found)) = lengths.into_iter().find(|(_, found)| *found != ids) {
            return Err(TraceError::Lengths { name, found, ids });
        }
        if ids == 0 {
            return Err(TraceError::Empty);
        }
        let is_none = |log: f64| !log.is_finite() || log > ABOVE_ONE;
        if let Some(at) = self.logprobs.iter().position(|&log| is_none(log)) {
            return Err(TraceError::NoProbability { at, log: self.logprobs[at] });
        }
        let Target { rows, eos, .. } = &header.target;
        let mut all = self.prompt_ids.iter().chain(&self.ids);
        if let Some(&id) = all.find(|&&id| id as usize >= *rows) {
            return Err(TraceError::Id { id, rows: *rows });
        }
        let ends = |id: &u32| eos.contains(id) && !header.ignore_eos;
        match self.ids[..ids - 1].iter().position(ends) {
            Some(at) => Err(TraceError::EndsBefore { at }),
            None => Ok(()),
        }
    }

    /// Checks that a tokenizer decodes the ids to the bytes of the trace.
    pub fn check_bytes(&self, reader: Reader<'_>) -> Result<(), TraceError> {
        let found = bytes_of(&self.prompt_ids, &self.ids, reader);
        match found.iter().zip(&self.bytes).position(|(own, other)| own != other) {
            Some(at) => Err(TraceError::OtherBytes { at }),
            None => Ok(()),
        }
    }
}

/// The bytes that each id adds behind a prompt.
pub fn bytes_of(prompt: &[u32], ids: &[u32], reader: Reader<'_>) -> Vec<Bytes> {
    let vocabulary = reader.tokenizer.vocabulary();
    let mut state: DecodeState = vocabulary.state_after(prompt);
    let mut added = |&id: &u32| {
        let mut bytes = Vec::new();
        vocabulary.advance(&mut state, id, &mut bytes);
        Bytes(bytes)
    };
    ids.iter().map(&mut added).collect()
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
