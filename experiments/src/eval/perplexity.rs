//! How well a model predicts documents: each is scored whole, by windows, and each of its tokens once.
//! Losses of models with different vocabularies are compared in bits per byte of the documents' own
//! text.

use std::f64::consts::LN_2;
use std::rc::Rc;

use anyhow::{Result, bail};
use draft::model::Passage;
use rayon::prelude::*;
use serde::Serialize;

use super::scorer::Scorer;
use super::windows::{Cut, Window};
use super::{Found, Plan, Records, Text};
use crate::bench::record::Estimate;
use crate::data::documents::Documents;
use crate::data::source::Source;
use crate::printer::{Printer, Progress};
use crate::report::markdown::grid;
use crate::report::whole;
use crate::source::Described;
use crate::statistics::{Clusters, Quotient, Resampling, intervals};

/// Bytes of text that are tokenised and scored at once.
const BATCH: usize = 256 << 10;

/// Documents times resamples, at most, as long as a thousand resamples are left.
const DRAWS: usize = 200_000_000;

/// A line of `records.jsonl`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Record {
    document: usize,
    bytes: usize,
    tokens: usize,
    nats: f64,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Documents, also those without a token.
    pub documents: usize,
    /// Tokens that were scored.
    pub tokens: usize,
    /// Bytes of the documents as they are in the data, in UTF-8.
    pub bytes: usize,
    /// Negative log-likelihood of all tokens.
    pub nats: f64,
    /// Nats a token.
    pub loss: f64,
    /// Of a token.
    pub perplexity: f64,
    /// Nats / ln 2 / bytes, with a 95 % interval over documents.
    pub bits_per_byte: Estimate,
    /// Of the bits per byte, over documents.
    pub standard_error: Option<f64>,
    /// Places in the text that the tokenizer has no token for.
    pub unknown: usize,
    /// The ids before each document, which are not scored.
    pub begins_with: Vec<u32>,
    /// What these are.
    pub beginning: &'static str,
    /// How documents longer than a window are read.
    #[serde(flatten)]
    pub cut: Cut,
}

/// A document as it is scored.
struct Encoded {
    /// With what stands before it.
    ids: Vec<u32>,
    bytes: usize,
    unknown: usize,
}

/// What stands before each document: the tokenizer's prefix, or where it has none, the end of the
/// text before it, which is what training packs there.
fn beginning(model: &Described) -> Result<(Vec<u32>, &'static str)> {
    let prefix = model.tokenizer.prefix();
    match model.eos.first() {
        _ if !prefix.is_empty() => Ok((prefix.to_vec(), "the tokenizer's prefix")),
        Some(&eos) => Ok((vec![eos], "the end of text, for the tokenizer has no prefix")),
        None => bail!(
            "{}: its tokenizer puts nothing before a text, and neither it nor config.json names an \
             end of text to stand there; add \"eos_token_id\" to config.json",
            model.located.folder.display()
        ),
    }
}

/// How documents are cut for a model that reads up to `context` ids at once.
pub fn cut(
    (window, stride): (Option<usize>, Option<usize>),
    model: &Described,
    context: usize,
) -> Result<Cut> {
    let window = window.unwrap_or(context);
    if window > context {
        bail!(
            "--window {window} is more than the {context} ids that {} reads at once; name fewer, or \
             leave it out",
            model.name
        );
    }
    let given = beginning(model)?.0.len();
    if window < given {
        bail!("--window {window} is less than the {given} ids before each document; name more");
    }
    let stride = stride.unwrap_or((window / 2).max(1));
    if stride > window {
        bail!(
            "--stride {stride} is more than the window of {window}, and ids would be left out; name \
             {window} at most"
        );
    }
    Ok(Cut { window, stride })
}

/// Scores documents.
pub fn evaluate(
    (plan, data): (&Plan, &Source),
    cut: Cut,
    model: &Described,
    scorer: &mut Scorer,
    printer: &Printer,
) -> Result<Found> {
    let read = Rc::default();
    let documents = Documents::new(data.files.clone(), &plan.column, Rc::clone(&read));
    let mut documents = documents.take(plan.limit.unwrap_or(usize::MAX));
    let (begin, beginning) = beginning(model)?;
    let mut run = Run { cut, begin, records: Vec::new(), unknown: 0, text: Text::default() };
    let mut bar = match plan.limit {
        Some(limit) => printer.progress(limit as u64, "documents"),
        None => printer.bytes(0, data.size(), "scoring"),
    };
    let mut shown = 0;
    loop {
        let (mut texts, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH
            && let Some(text) = documents.next().transpose()?
        {
            bytes += text.len();
            texts.push(text);
        }
        if texts.is_empty() {
            break;
        }
        run.score(&texts, model, scorer)?;
        let reached = plan.limit.map_or(read.get(), |_| run.records.len() as u64);
        advance(&mut bar, &mut shown, reached);
    }
    bar.finish();
    run.finish((plan, data), beginning)
}

fn advance(bar: &mut Progress, shown: &mut u64, reached: u64) {
    bar.advance_by(reached - *shown);
    *shown = reached;
}

/// Documents on their way.
struct Run {
    cut: Cut,
    begin: Vec<u32>,
    records: Vec<Record>,
    unknown: usize,
    text: Text,
}

impl Run {
    fn score(&mut self, texts: &[String], model: &Described, scorer: &mut Scorer) -> Result<()> {
        let begin = &self.begin;
        let encode = |text: &String| -> Result<Encoded> {
            let own = model.tokenizer.encode_reference(text, false)?;
            let spans = model.tokenizer.encode(text.as_bytes())?;
            let ids = [begin, &own[..]].concat();
            Ok(Encoded { ids, bytes: text.len(), unknown: spans.unknown + spans.dropped })
        };
        let encoded: Vec<Encoded> = texts.par_iter().map(encode).collect::<Result<_>>()?;
        let windows: Vec<(usize, Window)> = (encoded.iter().enumerate())
            .flat_map(|(index, own)| {
                let windows = self.cut.windows(own.ids.len(), begin.len());
                windows.map(move |window| (index, window))
            })
            .collect();
        let passage = |(index, window): &(usize, Window)| {
            Passage::new(&encoded[*index].ids[window.places.clone()], window.scored)
        };
        let passages: Vec<Passage<'_>> = windows.iter().map(passage).collect();
        let scores = scorer.score(&passages, &mut |_| {})?;
        let first = self.records.len();
        for (text, own) in texts.iter().zip(&encoded) {
            self.text.add(text);
            self.unknown += own.unknown;
            let (document, tokens) = (self.records.len(), own.ids.len() - begin.len());
            self.records.push(Record { document, bytes: own.bytes, tokens, nats: 0.0 });
        }
        for ((index, _), score) in windows.iter().zip(scores) {
            self.records[first + index].nats -= score.log_likelihood;
        }
        Ok(())
    }

    fn finish(self, (plan, data): (&Plan, &Source), beginning: &'static str) -> Result<Found> {
        let sum = |part: fn(&Record) -> usize| self.records.iter().map(part).sum::<usize>();
        let (tokens, bytes) = (sum(|own| own.tokens), sum(|own| own.bytes));
        let nats: f64 = self.records.iter().map(|own| own.nats).sum();
        if tokens == 0 {
            bail!("the data {} holds no text to score; name other files", data.name);
        }
        let mut records = Records::default();
        for record in &self.records {
            records.add(record)?;
        }
        let figures = Figures {
            documents: self.records.len(),
            tokens,
            bytes,
            nats,
            loss: nats / tokens as f64,
            perplexity: (nats / tokens as f64).exp(),
            bits_per_byte: interval(&self.records, nats / bytes as f64, plan.seed),
            standard_error: standard_error(&self.records, nats / bytes as f64, bytes),
            unknown: self.unknown,
            begins_with: self.begin,
            beginning,
            cut: self.cut,
        };
        Ok(Found { figures: super::Figures::Perplexity(figures), records, text: self.text })
    }
}

/// Bits per byte, from nats a byte, with the interval of the bootstrap over documents.
fn interval(records: &[Record], ratio: f64, seed: u64) -> Estimate {
    let row = |own: &Record| (String::new(), vec![own.nats, own.bytes as f64]);
    let clusters = Clusters::new(records.iter().map(row));
    let resamples = (DRAWS / records.len().max(1)).clamp(1_000, 10_000);
    let resampling = Resampling { resamples, seed };
    let found = intervals(&clusters, &[Quotient::ratio(0, 1)], resampling, "bits per byte");
    let limits = found.into_iter().next().flatten();
    let bits = |nats: f64| Some(nats / LN_2);
    Estimate {
        value: bits(ratio),
        low: limits.and_then(|own| bits(own.low)),
        high: limits.and_then(|own| bits(own.high)),
    }
}

/// Of the bits per byte: that of a ratio of sums over n documents, √(n / (n − 1) Σ (nats − ratio
/// bytes)²) / Σ bytes, in bits.
fn standard_error(records: &[Record], ratio: f64, bytes: usize) -> Option<f64> {
    let count = records.len() as f64;
    let square = |own: &Record| (own.nats - ratio * own.bytes as f64).powi(2);
    let squares: f64 = records.iter().map(square).sum();
    let error = (count / (count - 1.0) * squares).sqrt() / bytes as f64 / LN_2;
    (records.len() > 1).then_some(error)
}

impl Figures {
    /// As a Markdown table.
    pub fn tables(&self) -> Vec<String> {
        let Cut { window, stride } = self.cut;
        let count = |number: usize| whole(number as u64);
        let error = self.standard_error;
        let note = match (self.bits_per_byte.low, self.bits_per_byte.high) {
            (Some(low), Some(high)) => format!("95 %: [{low:.4}, {high:.4}]"),
            _ => "too few documents for an interval".to_owned(),
        };
        let bits = self.bits_per_byte.value.map_or_else(String::new, |bits| format!("{bits:.4}"));
        let rows = [
            ("documents", count(self.documents), String::new()),
            ("tokens", count(self.tokens), format!("each once; before them {}", self.beginning)),
            (
                "bytes",
                count(self.bytes),
                format!("places without a token: {}", count(self.unknown)),
            ),
            ("loss", format!("{:.4}", self.loss), "nats a token".to_owned()),
            ("perplexity", format!("{:.3}", self.perplexity), String::new()),
            ("bits per byte", bits, note),
            (
                "standard error",
                error.map_or_else(|| "-".to_owned(), |error| format!("{error:.4}")),
                "of the bits per byte, over documents".to_owned(),
            ),
            ("window", count(window), "ids read at once".to_owned()),
            ("stride", count(stride), "ids that each further window scores".to_owned()),
        ];
        let rows = rows.map(|(name, value, note)| [name.to_owned(), value, note]);
        grid(&["", "value", ""], &[false, true, false], rows)
    }
}
