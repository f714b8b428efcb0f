//! One face for every kind of tokenizer: a file or a model folder in, bytes to ids and back. Knows
//! the layout of model folders as far as their tokenizer goes; knows nothing of weights.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::AlignError;
use crate::huggingface::HuggingFace;
use crate::tokenmonster::{Capcode, Vocab};
use crate::utf8::{Run, runs};
use crate::vocabulary::{Entry, Vocabulary};

/// Ids of a text, and for each the offset at which its bytes end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// The ids.
    pub ids: Vec<u32>,
    /// `ends[i]` is the offset into the encoded bytes at which the span of `ids[i]` ends. Spans are
    /// in order and leave no gap; a character that the tokenizer normalises, drops or calls
    /// unknown keeps the raw span it stood for.
    pub ends: Vec<usize>,
    /// How many ids are the unknown token.
    pub unknown: usize,
    /// How many bytes the tokenizer dropped without a token.
    pub dropped: usize,
}

impl Encoding {
    /// Appends an encoding of bytes that begin at `offset`.
    pub fn append(&mut self, other: Self, offset: usize) {
        self.ids.extend(other.ids);
        self.ends.extend(other.ends.into_iter().map(|end| end + offset));
        self.unknown += other.unknown;
        self.dropped += other.dropped;
    }
}

#[derive(Debug)]
enum Kind {
    HuggingFace(Box<HuggingFace>),
    TokenMonster(Box<Vocab>),
}

/// A tokenizer with its vocabulary.
#[derive(Debug)]
pub struct Tokenizer {
    kind: Kind,
    vocabulary: Vocabulary,
    prefix: Vec<u32>,
    bos: Option<u32>,
    eos: Option<u32>,
    spaces_begin_tokens: bool,
}

/// The part of `tokenizer_config.json` that matters here.
#[derive(Debug, Default, Deserialize)]
struct FolderConfig {
    tokenizer_type: Option<String>,
    vocab_file: Option<String>,
    vocab_size: Option<usize>,
    add_bos_token: Option<bool>,
    bos_token: Option<TokenText>,
    eos_token: Option<TokenText>,
    bos_token_id: Option<u32>,
    eos_token_id: Option<u32>,
}

impl FolderConfig {
    fn read(folder: &Path) -> Result<Self, AlignError> {
        let path = folder.join("tokenizer_config.json");
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| AlignError::Json { path, reason: error.to_string() }),
            Err(_) => Ok(Self::default()),
        }
    }

    /// Where the folder's TokenMonster vocabulary belongs, if it is a TokenMonster folder.
    fn vocab_path(&self, folder: &Path) -> Option<PathBuf> {
        (self.tokenizer_type.as_deref() == Some("tokenmonster"))
            .then(|| folder.join(self.vocab_file.as_deref().unwrap_or("tokenmonster.vocab")))
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TokenText {
    Plain(String),
    Added { content: String },
}

impl TokenText {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Added { content: text } => text,
        }
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, a TokenMonster `.vocab`, or a model folder that holds either.
    pub fn load(path: &Path) -> Result<Self, AlignError> {
        if path.is_dir() {
            return Self::load_folder(path);
        }
        if path.extension().is_some_and(|extension| extension == "vocab") {
            return Ok(Self::from_vocab(Vocab::read(path)?, &FolderConfig::default()));
        }
        Self::from_json(path, &FolderConfig::default())
    }

    /// Reads a model folder whose TokenMonster vocabulary is a file elsewhere.
    pub fn load_with_vocab(folder: &Path, vocab: &Path) -> Result<Self, AlignError> {
        Ok(Self::from_vocab(Vocab::read(vocab)?, &FolderConfig::read(folder)?))
    }

    /// The TokenMonster vocabulary that a model folder names and does not hold.
    pub fn missing_vocab(folder: &Path) -> Result<Option<PathBuf>, AlignError> {
        let vocab = FolderConfig::read(folder)?.vocab_path(folder);
        Ok(vocab.filter(|path| !path.exists()))
    }

    /// The file that has a model folder's vocabulary, or would have it: the TokenMonster vocabulary that
    /// it names, or its `tokenizer.json`.
    pub fn file(folder: &Path) -> Result<PathBuf, AlignError> {
        let vocab = FolderConfig::read(folder)?.vocab_path(folder);
        Ok(vocab.unwrap_or_else(|| folder.join("tokenizer.json")))
    }

    fn load_folder(folder: &Path) -> Result<Self, AlignError> {
        let config = FolderConfig::read(folder)?;
        if let Some(vocab) = config.vocab_path(folder) {
            return Ok(Self::from_vocab(Vocab::read(&vocab)?, &config));
        }
        let json = folder.join("tokenizer.json");
        if json.exists() {
            return Self::from_json(&json, &config);
        }
        Err(AlignError::NoTokenizer(folder.into()))
    }

    fn from_json(path: &Path, config: &FolderConfig) -> Result<Self, AlignError> {
        let (tokenizer, vocabulary) = HuggingFace::read(path)?;
        let id = |token: &Option<TokenText>| {
            token.as_ref().and_then(|token| tokenizer.id_of(token.text()))
        };
        let prefix = tokenizer.prefix().to_vec();
        let (bos, eos) = (id(&config.bos_token), id(&config.eos_token));
        let spaces_begin_tokens = vocabulary.spaces_begin_tokens();
        let kind = Kind::HuggingFace(Box::new(tokenizer));
        Ok(Self { kind, vocabulary, prefix, bos, eos, spaces_begin_tokens })
    }

    fn from_vocab(vocab: Vocab, config: &FolderConfig) -> Self {
        let mut entries: Vec<Entry> = (0..vocab.id_space())
            .map(|id| vocab.token(id).map_or(Entry::Padding, |token| Entry::Token(token.into())))
            .collect();
        let specials =
            [(config.eos_token_id, &config.eos_token), (config.bos_token_id, &config.bos_token)];
        for (id, token) in specials {
            let Some(id) = id.map(|id| id as usize) else { continue };
            if id >= entries.len() {
                entries.resize(id + 1, Entry::Padding);
            }
            if entries[id] == Entry::Padding {
                let name = token.as_ref().map_or("<special>", TokenText::text);
                entries[id] = Entry::Special(name.into());
            }
        }
        let mut vocabulary = Vocabulary::new(entries, vocab.capcode);
        vocabulary.pad_to(config.vocab_size.unwrap_or(0));
        let wants_bos = config.add_bos_token.unwrap_or(true);
        let prefix = config.bos_token_id.filter(|_| wants_bos).into_iter().collect();
        Self {
            kind: Kind::TokenMonster(Box::new(vocab)),
            vocabulary,
            prefix,
            bos: config.bos_token_id,
            eos: config.eos_token_id,
            spaces_begin_tokens: false,
        }
    }

    /// The vocabulary as bytes.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Marks the rows that a model's embedding has beyond the vocabulary as padding.
    pub fn pad_to(&mut self, rows: usize) {
        self.vocabulary.pad_to(rows);
    }

    /// What kind of tokenizer this is, for reports.
    pub fn description(&self) -> String {
        let kind = match &self.kind {
            Kind::HuggingFace(_) => "tokenizer.json",
            Kind::TokenMonster(_) => "TokenMonster",
        };
        format!("{kind}, {} tokens", self.vocabulary.token_count())
    }

    /// Whether the vocabulary is TokenMonster's.
    pub fn is_tokenmonster(&self) -> bool {
        matches!(self.kind, Kind::TokenMonster(_))
    }

    /// The special ids that belong in front of every prompt, such as BOS: those that a
    /// `tokenizer.json` adds by itself, or the BOS that a TokenMonster folder names (unless its
    /// `add_bos_token` is false).
    pub fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// Sets the ids that belong in front of every prompt, for a model that begins with a special
    /// which its tokenizer's files do not ask for. [`Self::encode_reference`] stays as the files
    /// say.
    pub fn set_prefix(&mut self, ids: Vec<u32>) {
        self.prefix = ids;
    }

    /// The id that begins a text by the tokenizer's own files, where they name one, whether or not it
    /// is put in front of texts.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The end-of-text id that the tokenizer's own files name, where they do.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Whether ids decode to the NFD form of the text that was encoded.
    pub fn decomposes(&self) -> bool {
        matches!(&self.kind, Kind::TokenMonster(vocab) if vocab.decomposes())
    }

    /// What is done to a text before it is cut into tokens, in words and in order; empty where it is
    /// taken as it is.
    pub fn normalisation(&self) -> Vec<String> {
        match &self.kind {
            Kind::HuggingFace(tokenizer) => tokenizer.normalisation(),
            Kind::TokenMonster(vocab) => {
                let markers = match vocab.capcode {
                    Capcode::None => None,
                    Capcode::Delete => Some("capcode (delete markers)"),
                    Capcode::Full => Some("capcode (delete and case markers)"),
                };
                let form = vocab.decomposes().then_some("NFD");
                [form, markers].into_iter().flatten().map(str::to_owned).collect()
            }
        }
    }

    /// The bytes of a whole text: specials add nothing, and a space that the tokenizer put in front
    /// of the text is taken away again.
    pub fn decode(&self, ids: &[u32]) -> Vec<u8> {
        let mut bytes = self.vocabulary.decode(ids);
        if self.puts_space_in_front() && bytes.first() == Some(&b' ') {
            bytes.remove(0);
        }
        bytes
    }

    /// Whether a space is put in front of a text that is encoded, to be taken away when the ids are
    /// decoded.
    pub fn puts_space_in_front(&self) -> bool {
        matches!(&self.kind, Kind::HuggingFace(tokenizer) if tokenizer.puts_space_in_front())
    }

    /// Ids of a text as the reference implementation gives them. For a `tokenizer.json`,
    /// special-token text becomes special tokens, and `with_specials` puts [`Self::prefix`] (and
    /// whatever else the file asks for) around it; TokenMonster knows no specials and adds none.
    pub fn encode_reference(
        &self,
        text: &str,
        with_specials: bool,
    ) -> Result<Vec<u32>, AlignError> {
        match &self.kind {
            Kind::HuggingFace(tokenizer) => tokenizer.encode_reference(text, with_specials),
            Kind::TokenMonster(vocab) => Ok(vocab.encode(text.as_bytes())),
        }
    }

    /// Ids and spans of bytes that begin a document. Special-token text stays text; bytes that are
    /// no UTF-8 become single-byte tokens where the vocabulary has them.
    pub fn encode(&self, bytes: &[u8]) -> Result<Encoding, AlignError> {
        match &self.kind {
            Kind::TokenMonster(vocab) => Ok(monster_encoding(vocab.encode_with_spans(bytes))),
            Kind::HuggingFace(tokenizer) => self.encode_runs(bytes, |text, begins| {
                if begins {
                    tokenizer.encode(text, &self.vocabulary).map(Some)
                } else {
                    tokenizer.encode_continuation(text, &self.vocabulary)
                }
            }),
        }
    }

    /// Ids and spans of bytes that go on where other text ended at a token's end, so that no space
    /// is put in front. The result is legal in that place, though not always what encoding the
    /// whole text gives.
    pub fn encode_continuation(&self, bytes: &[u8]) -> Result<Encoding, AlignError> {
        match &self.kind {
            Kind::TokenMonster(vocab) => Ok(monster_encoding(vocab.encode_with_spans(bytes))),
            Kind::HuggingFace(tokenizer) => self.encode_runs(bytes, |text, _| {
                tokenizer.encode_continuation(text, &self.vocabulary)
            }),
        }
    }

    fn encode_runs(
        &self,
        bytes: &[u8],
        encode: impl Fn(&str, bool) -> Result<Option<Encoding>, AlignError>,
    ) -> Result<Encoding, AlignError> {
        let (mut whole, mut offset) = (Encoding::default(), 0);
        for run in runs(bytes) {
            let length = match run {
                Run::Text(text) => {
                    match encode(text, offset == 0)? {
                        Some(encoding) => whole.append(encoding, offset),
                        None => whole.append(self.encode_single_bytes(text.as_bytes()), offset),
                    }
                    text.len()
                }
                Run::Bytes(raw) => {
                    whole.append(self.encode_single_bytes(raw), offset);
                    raw.len()
                }
            };
            offset += length;
        }
        Ok(whole)
    }

    fn encode_single_bytes(&self, bytes: &[u8]) -> Encoding {
        let mut encoding = Encoding::default();
        for (index, &byte) in bytes.iter().enumerate() {
            match self.vocabulary.byte(byte) {
                Some(id) => {
                    encoding.ids.push(id);
                    encoding.ends.push(index + 1);
                }
                None => encoding.dropped += 1,
            }
        }
        if let Some(last) = encoding.ends.last_mut() {
            *last = bytes.len();
        }
        encoding
    }

    /// The last place at or before `limit` where the bytes can be cut so that the part behind it,
    /// given to [`Self::encode_continuation`], has the ids that it has in the whole; 0 where there
    /// is none. Only a single space between a letter or digit and a letter is trusted, and only
    /// where no token of the vocabulary runs over such a space.
    pub fn safe_split(&self, bytes: &[u8], limit: usize) -> usize {
        if !self.spaces_begin_tokens {
            return 0;
        }
        (1..bytes.len().saturating_sub(1).min(limit + 1))
            .rev()
            .find(|&at| {
                bytes[at] == b' '
                    && bytes[at - 1].is_ascii_alphanumeric()
                    && bytes[at + 1].is_ascii_alphabetic()
            })
            .unwrap_or(0)
    }
}

fn monster_encoding(encoding: crate::tokenmonster::Encoding) -> Encoding {
    Encoding {
        ids: encoding.ids,
        ends: encoding.ends,
        unknown: encoding.unknown,
        dropped: encoding.dropped,
    }
}
