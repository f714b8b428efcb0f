//! The vocabulary panel of a pair: what of each vocabulary the other has, what that is worth on a text
//! and under the target's law, and the map of one onto the other for other engines. Puts together what
//! its parts count; decodes nothing and prints nothing but progress.

mod definitions;
mod encoded;
pub mod map;
mod mass;
mod opened;
mod specials;
mod table;
mod text;

use std::collections::BTreeMap;
use std::path::PathBuf;

use align::{Decoder, Overlap, Spelling, Tokenizer};
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use draft::Compute;
use serde::Serialize;

use crate::bench::record::VocabularyPanel;
use crate::new_file;
use crate::printer::Printer;
use crate::provenance;
use crate::source::Sources;
use encoded::{Encoded, RoundTrip};
use map::{Identity, Map};
use mass::Mass;
use opened::Opened;
use specials::Specials;

pub use table::render;

/// Version of the schema of this report.
const SCHEMA: u32 = 1;

/// Everything that decides what a report holds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The draft, as typed.
    pub draft: String,
    /// The target, as typed.
    pub target: String,
    /// Where they come from.
    pub sources: Sources,
    /// The text, or `None` for the project's own prompts.
    pub text: Option<PathBuf>,
    /// The text column of JSONL and Parquet.
    pub column: String,
    /// Target tokens over which the law is averaged, at most; 0 loads no weights.
    pub limit: usize,
    /// Unreachable tokens to list.
    pub top: usize,
    /// Where and in which precision the target computes.
    pub compute: Compute,
    /// Seed of the resamples.
    pub seed: u64,
    /// Where the map is written.
    pub out: Option<PathBuf>,
}

/// The panel.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: u32,
    kind: &'static str,
    version: &'static str,
    command_line: Vec<String>,
    started: String,
    draft: SideInfo,
    target: SideInfo,
    /// Text tokens of equal bytes, in the draft's clean state.
    vocabulary: VocabularyPanel,
    text: TextInfo,
    coverage: Coverage,
    /// E[p(M)]: the target's mass on the intersection.
    mass: Option<Mass>,
    /// Why there is none.
    mass_missing: Option<String>,
    /// Draft tokens / target tokens of the text.
    draft_tokens_per_target_token: f64,
    unreachable: Vec<Unreachable>,
    specials: Specials,
    definitions: BTreeMap<&'static str, &'static str>,
}

/// A side and how it reads the text.
#[derive(Debug, Serialize)]
struct SideInfo {
    #[serde(flatten)]
    identity: Identity,
    /// What must be said of where it comes from.
    note: Option<String>,
    /// Ids of the text.
    tokens_of_text: u64,
    /// Bytes of the text / ids of the text.
    bytes_per_token: f64,
    /// Ids of the text that are the unknown token.
    unknown: u64,
    /// Bytes of the text that no id stands for.
    dropped: u64,
    /// What the tokenizer does to a text first.
    normalisation: Vec<String>,
    round_trip: RoundTrip,
}

/// The text.
#[derive(Debug, Serialize)]
struct TextInfo {
    source: String,
    documents: usize,
    bytes: u64,
    sha256: String,
}

/// Which part of the text's ids is in the intersection.
#[derive(Debug, Serialize)]
struct Coverage {
    target_tokens: u64,
    target_tokens_shared: u64,
    share_of_target_tokens: f64,
    draft_tokens: u64,
    /// At the decoder state of their places.
    draft_tokens_shared: u64,
    share_of_draft_tokens: f64,
}

/// A target token without a draft token of its bytes.
#[derive(Debug, Serialize)]
struct Unreachable {
    id: u32,
    text: String,
    bytes_b64: String,
    count: u64,
    /// Of all target tokens of the text.
    share: f64,
    /// How the draft says it; `None` where it cannot.
    draft_ids: Option<Vec<u32>>,
    /// What each of those ids adds, invalid UTF-8 replaced.
    draft_pieces: Vec<String>,
}

/// Makes the report, and writes the map where one is asked for.
pub fn run(plan: &Plan, printer: &Printer) -> Result<Report> {
    plan.out.as_deref().map(new_file::check_free).transpose()?;
    let started = provenance::now();
    let text = text::Text::read(plan.text.as_deref(), &plan.column)?;
    let draft = Opened::open("draft", &plan.draft, &plan.sources, printer)?;
    let target = Opened::open("target", &plan.target, &plan.sources, printer)?;
    let read = |side: &Opened, role: &str| {
        Encoded::new(&side.tokenizer, &text.documents)
            .with_context(|| format!("the {role} cannot read {}", text.source))
    };
    let (by_draft, by_target) = (read(&draft, "draft")?, read(&target, "target")?);
    let (ours, theirs) = (draft.tokenizer.vocabulary(), target.tokenizer.vocabulary());
    let overlap = Overlap::new(ours, theirs);
    let specials = Specials::of(&draft, &target);
    let mass = Mass::measure(plan, &target, (&overlap, &specials), &by_target.ids, printer)?;
    let (mass, mass_missing) = match mass {
        Ok(mass) => (Some(mass), None),
        Err(reason) => (None, Some(reason)),
    };
    if let Some(out) = &plan.out {
        Map::new(&draft, &target, (&overlap, &specials), printer)?.write(out)?;
    }
    let missing = by_target.occurrences.unreachable(&overlap);
    let total = by_target.occurrences.total();
    Ok(Report {
        schema: SCHEMA,
        kind: "align",
        version: env!("CARGO_PKG_VERSION"),
        command_line: provenance::command_line(),
        started,
        vocabulary: panel(&overlap, (&draft.name, &draft.tokenizer), &target.tokenizer),
        coverage: Coverage::new(&overlap, (&draft, &by_draft), (&target, &by_target)),
        mass,
        mass_missing,
        draft_tokens_per_target_token: ratio(by_draft.occurrences.total(), total),
        unreachable: (missing.into_iter().take(plan.top))
            .map(|(id, count)| Unreachable::new((id, count), total, &draft, &target))
            .collect::<Result<_>>()?,
        specials,
        definitions: definitions::all(),
        draft: SideInfo::new(&draft, by_draft, text.bytes),
        target: SideInfo::new(&target, by_target, text.bytes),
        text: TextInfo {
            source: text.source,
            documents: text.documents.len(),
            bytes: text.bytes,
            sha256: text.sha256,
        },
    })
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn panel(overlap: &Overlap, draft: (&str, &Tokenizer), target: &Tokenizer) -> VocabularyPanel {
    let (name, draft) = draft;
    VocabularyPanel::new(name, overlap.coverage(draft.vocabulary(), target.vocabulary()))
}

impl SideInfo {
    fn new(side: &Opened, read: Encoded, bytes: u64) -> Self {
        let tokens = read.occurrences.total();
        Self {
            identity: Identity::of(side),
            note: side.note.clone(),
            tokens_of_text: tokens,
            bytes_per_token: ratio(bytes, tokens),
            unknown: read.unknown,
            dropped: read.dropped,
            normalisation: side.tokenizer.normalisation(),
            round_trip: read.round_trip,
        }
    }
}

impl Coverage {
    fn new(
        overlap: &Overlap,
        (draft, by_draft): (&Opened, &Encoded),
        (target, by_target): (&Opened, &Encoded),
    ) -> Self {
        let (ours, theirs) = (draft.tokenizer.vocabulary(), target.tokenizer.vocabulary());
        let (drafts, targets) = (by_draft.occurrences.total(), by_target.occurrences.total());
        let target_shared = by_target.occurrences.shared_of_target(overlap);
        let draft_shared = by_draft.occurrences.shared_of_draft(ours, theirs);
        Self {
            target_tokens: targets,
            target_tokens_shared: target_shared,
            share_of_target_tokens: ratio(target_shared, targets),
            draft_tokens: drafts,
            draft_tokens_shared: draft_shared,
            share_of_draft_tokens: ratio(draft_shared, drafts),
        }
    }
}

impl Unreachable {
    fn new((id, count): (u32, u64), total: u64, draft: &Opened, target: &Opened) -> Result<Self> {
        let bytes = map::bytes_of(&target.tokenizer, id).unwrap_or_default();
        let spelling = Spelling::of(&draft.tokenizer, &bytes)?;
        let mut decoder = Decoder::within();
        let mut piece =
            |&id: &u32| String::from_utf8_lossy(&decoder.push(&draft.tokenizer, id)).into_owned();
        Ok(Self {
            id,
            text: specials::text_of(&target.tokenizer, id),
            bytes_b64: STANDARD.encode(&bytes),
            count,
            share: ratio(count, total),
            draft_pieces: spelling.iter().flat_map(|it| &it.ids).map(&mut piece).collect(),
            draft_ids: spelling.map(|it| it.ids),
        })
    }
}
