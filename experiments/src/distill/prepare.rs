//! From data and a target to lessons: cuts pieces, lets the target write where its text is asked for,
//! asks it for its laws, and keeps all that on disk.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use draft::Compute;
use draft::model::{Texts, TopLaws};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::Tensor;

use super::examples::{Example, Piece, Reader, of_ids, of_laws, shared};
use super::lessons::{LawRows, Lessons, Writer};
use super::pieces::{Pieces, end_of_part};
use super::settings::{Distillation, TextOf};
use super::writing;
use crate::data::cached::{folder, identities};
use crate::data::text::Text;
use crate::printer::Printer;
use crate::source::Described;

/// Raised where the meaning or layout of what is cached changes.
const VERSION: u32 = 1;

/// A draft, a target, a text.
pub struct Task<'a> {
    /// What is asked for.
    pub settings: &'a Distillation,
    /// Where text comes from.
    pub text: &'a Text,
    /// The draft.
    pub draft: &'a Described,
    /// The target.
    pub target: &'a Described,
    /// Draft ids of an example, at most.
    pub length: usize,
    /// Seed of what the target writes.
    pub seed: u64,
    /// Where the target computes.
    pub compute: Compute,
    /// Where texts and laws are kept.
    pub cache: &'a Path,
}

/// Lessons for training and evaluation.
pub struct Prepared {
    /// For training.
    pub train: Lessons,
    /// For evaluation.
    pub evaluation: Lessons,
    /// Draft ids of the shared tokens; empty where no laws are known.
    pub shared: Tensor,
    /// Beginnings of texts that are kept for evaluation, to be measured with.
    pub prompts: Vec<String>,
}

/// What part of a piece is a prompt.
const PROMPT_PART: usize = 4;

/// The names of the two parts.
const PARTS: [&str; 2] = ["train", "evaluation"];

/// A line of a file of pieces.
#[derive(Serialize, Deserialize)]
struct Line {
    text: String,
    given: usize,
    ends: bool,
}

impl Task<'_> {
    /// The lessons: those on disk, or made now.
    pub fn prepare(&self, printer: &Printer) -> Result<Prepared> {
        let mut model = None;
        let texts = self.texts(&mut model, printer)?;
        let settings = self.settings;
        let has_laws = settings.objective.divergence().is_some();
        let pairs = if has_laws { self.pairs()? } else { Vec::new() };
        let key = json!({
            "version": VERSION, "texts": texts.file_name().map(|name| name.to_string_lossy()),
            "laws": has_laws.then_some((settings.top_k, settings.temperature)),
            "length": self.length, "draft": identities(&self.draft.located.folder)?,
            "target": identities(&self.target.located.folder)?, "compute": format!("{:?}", self.compute),
        });
        let lessons = folder(self.cache, ("lessons", &key), |path| {
            for part in PARTS {
                let pieces = read(&texts.join(format!("{part}.jsonl")))?;
                let path = path.join(part);
                std::fs::create_dir(&path)?;
                if has_laws {
                    let model = self.model(&mut model)?;
                    self.write_laws(model, &pieces, &pairs, (&path, printer))?;
                } else {
                    self.write_ids(&pieces, &path)?;
                }
            }
            Ok(())
        })?;
        let ids: Vec<i64> = pairs.iter().map(|&(ours, _)| i64::from(ours)).collect();
        let [train, evaluation] = PARTS.map(|part| Lessons::open(&lessons.join(part)));
        let kept = read(&texts.join(format!("{}.jsonl", PARTS[1])))?;
        let prepared = Prepared {
            train: train?,
            evaluation: evaluation?,
            shared: Tensor::f_from_slice(&ids)?,
            prompts: kept.iter().map(beginning).collect(),
        };
        if prepared.train.is_empty() {
            bail!("the data holds nothing that both models can read; name more of it with --data");
        }
        let counts = prepared.train.counts;
        printer.say(&format!(
            "{} pieces of text with {} places to learn at{}; kept in {}",
            counts.examples,
            counts.places,
            if has_laws {
                format!(", laws over {} shared tokens", pairs.len())
            } else {
                String::new()
            },
            lessons.display()
        ));
        Ok(prepared)
    }

    fn draft_reader(&self) -> Reader<'_> {
        let context = self.length.min(self.draft.config.shape.context());
        Reader { tokenizer: &self.draft.tokenizer, ends: &self.draft.eos, context }
    }

    fn target_reader(&self) -> Reader<'_> {
        let context = self.target.config.shape.context();
        Reader { tokenizer: &self.target.tokenizer, ends: &self.target.eos, context }
    }

    fn pairs(&self) -> Result<Vec<(u32, u32)>> {
        let rows = self.target.config.shape.vocab_size();
        let pairs = shared(self.draft_reader(), self.target_reader(), rows);
        if pairs.is_empty() {
            bail!(
                "the two vocabularies share no token, so that no laws can be compared; learn from \
                 the target's text instead: --text target --objective cross-entropy"
            );
        }
        Ok(pairs)
    }

    fn model<'m>(&self, model: &'m mut Option<Texts>) -> Result<&'m mut Texts> {
        if model.is_none() {
            let loaded = Texts::load(&self.target.located.folder, self.compute)
                .with_context(|| format!("cannot load the target `{}`", self.target.name))?;
            *model = Some(loaded);
        }
        model.as_mut().context("the target is loaded")
    }

    /// The folder of pieces: of the data, or of what the target wrote.
    fn texts(&self, model: &mut Option<Texts>, printer: &Printer) -> Result<PathBuf> {
        let settings = self.settings;
        let wrote = match settings.text {
            TextOf::Data => Value::Null,
            TextOf::Target => json!({
                "target": identities(&self.target.located.folder)?, "seed": self.seed,
                "temperature": settings.temperature, "prompt_tokens": settings.prompt_tokens,
                "max_new": settings.max_new, "compute": format!("{:?}", self.compute),
            }),
        };
        let key = json!({
            "version": VERSION, "text": self.text.identity()?, "wrote": wrote,
            "pieces": (settings.pieces, settings.evaluation_pieces, settings.piece_bytes),
        });
        folder(self.cache, ("texts", &key), |path| {
            let documents = self.text.all();
            let documents = documents.map(|document| Ok(self.text.cleaning.apply(&document?)));
            let wanted = (settings.pieces, settings.evaluation_pieces);
            let pieces = Pieces::cut(documents, wanted, settings.piece_bytes)?;
            for (part, list) in PARTS.into_iter().zip([pieces.train, pieces.evaluation]) {
                let list = match settings.text {
                    TextOf::Data => list.into_iter().map(whole).collect(),
                    TextOf::Target if list.is_empty() => Vec::new(),
                    TextOf::Target => {
                        let model = self.model(model)?;
                        // Evaluation has random numbers of its own.
                        let seed = self.seed ^ u64::from(part != PARTS[0]) << 63;
                        let target = self.target_reader();
                        writing::write(model, target, &list, settings, (seed, printer))?
                    }
                };
                write(&path.join(format!("{part}.jsonl")), list)?;
            }
            Ok(())
        })
    }

    fn write_ids(&self, pieces: &[Piece], path: &Path) -> Result<()> {
        let mut writer = Writer::create(path, 0)?;
        for piece in pieces {
            let example = of_ids(piece, self.draft_reader())?;
            if !example.places.is_empty() {
                writer.add(&example, (piece.text.len() - piece.given) as u64, None)?;
            }
        }
        writer.finish().map(drop)
    }

    fn write_laws(
        &self,
        model: &mut Texts,
        pieces: &[Piece],
        pairs: &[(u32, u32)],
        (path, printer): (&Path, &Printer),
    ) -> Result<()> {
        let settings = self.settings;
        let columns: Vec<i64> = pairs.iter().map(|&(_, theirs)| i64::from(theirs)).collect();
        let columns = Tensor::f_from_slice(&columns)?;
        let k = settings.top_k.min(pairs.len());
        let mut writer = Writer::create(path, k)?;
        let mut progress = printer.progress(pieces.len() as u64, "pieces that the target reads");
        for pieces in pieces.chunks(settings.teacher_batch) {
            let examples = pieces
                .iter()
                .map(|piece| of_laws(piece, self.draft_reader(), self.target_reader()))
                .filter(|example| example.as_ref().is_ok_and(|own| !own.places.is_empty()))
                .collect::<Result<Vec<Example>>>()?;
            if !examples.is_empty() {
                let (ids, places) = target_batch(&examples)?;
                let laws = model.laws(&ids, &places, &columns, (k, settings.temperature))?;
                add(&mut writer, &examples, &laws)?;
            }
            progress.advance_by(pieces.len() as u64);
        }
        progress.finish();
        writer.finish().map(drop)
    }
}

/// Target ids of examples, filled up with 0, and their places in the flattened ids.
fn target_batch(examples: &[Example]) -> Result<(Tensor, Tensor)> {
    let length = examples.iter().map(|example| example.target_ids.len()).max().unwrap_or(0);
    let mut ids = vec![0i64; examples.len() * length];
    let mut places = Vec::new();
    for (row, example) in examples.iter().enumerate() {
        for (at, &id) in example.target_ids.iter().enumerate() {
            ids[row * length + at] = i64::from(id);
        }
        places.extend(example.target_places.iter().map(|at| (row * length + at) as i64));
    }
    let ids = Tensor::f_from_slice(&ids)?.f_view([examples.len() as i64, length as i64])?;
    Ok((ids, Tensor::f_from_slice(&places)?))
}

fn add(writer: &mut Writer, examples: &[Example], laws: &TopLaws) -> Result<()> {
    let floats = |tensor: &Tensor| Vec::<f32>::try_from(tensor.flatten(0, -1).contiguous());
    let top = Vec::<i64>::try_from(laws.top.flatten(0, -1).contiguous())?;
    let top: Vec<u32> = top.into_iter().map(|index| index as u32).collect();
    let (logs, mass) = (floats(&laws.logs)?, floats(&laws.mass)?);
    let k = top.len() / mass.len();
    let mut first = 0;
    for example in examples {
        let last = first + example.places.len();
        let (top, logs) = (&top[first * k..last * k], &logs[first * k..last * k]);
        writer.add(example, 0, Some(LawRows { top, logs, mass: &mass[first..last] }))?;
        first = last;
    }
    Ok(())
}

/// What of a piece is given, or its first part.
fn beginning(piece: &Piece) -> String {
    let end = if piece.given > 0 {
        piece.given
    } else {
        end_of_part(&piece.text, (piece.text.len() / PROMPT_PART).max(1))
    };
    piece.text[..end].trim_end().to_owned()
}

fn whole(text: String) -> Piece {
    Piece { text, given: 0, ends: false }
}

fn write(path: &Path, pieces: Vec<Piece>) -> Result<()> {
    let mut lines = String::new();
    for Piece { text, given, ends } in pieces {
        lines += &serde_json::to_string(&Line { text, given, ends })?;
        lines.push('\n');
    }
    std::fs::write(path, lines).with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> Result<Vec<Piece>> {
    let cannot = || format!("{} is damaged; delete its folder", path.display());
    let text = std::fs::read_to_string(path).with_context(cannot)?;
    text.lines()
        .map(|line| {
            let Line { text, given, ends } = serde_json::from_str(line).with_context(cannot)?;
            Ok(Piece { text, given, ends })
        })
        .collect()
}
