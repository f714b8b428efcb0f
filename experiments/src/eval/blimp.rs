//! BLiMP (Warstadt et al., 1912.00582): pairs of sentences that differ in one word or in order, of
//! which one is grammatical. A model is right where it finds that one more probable. Scored as the
//! `blimp` group of lm-evaluation-harness 0.4: a space before each sentence, the id that begins a text
//! before that.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::accuracy::{Share, Tally, mean, pooled};
use super::choice::{Answer, Question, answer};
use super::request::{Encoder, Request};
use super::scorer::Scorer;
use super::suites::HubData;
use super::{Found, Records, Text};
use crate::data::objects;
use crate::data::source::Source;
use crate::printer::Printer;
use crate::report::markdown::grid;
use crate::report::whole;
use crate::source::Described;

/// Where the data is on the Hub.
pub const DATA: HubData = HubData { dataset: "nyu-mll/blimp", configuration: None, split: "train" };

/// What a line of the data is.
const FORM: &str = "a line of BLiMP has the texts `sentence_good`, `sentence_bad`, `UID` and \
                    `linguistics_term`, as in the data folder of alexwarstadt/blimp";

/// Where a paradigm counts as strong, and where as weak.
const STRONG: f64 = 0.85;
const WEAK: f64 = 0.55;

/// A pair of sentences.
#[derive(Clone, Debug, Deserialize)]
pub struct Pair {
    sentence_good: String,
    sentence_bad: String,
    linguistics_term: String,
    #[serde(rename = "UID")]
    paradigm: String,
    /// Its place in the paradigm.
    #[serde(skip)]
    index: usize,
}

/// A line of `records.jsonl`.
#[derive(Debug, Serialize)]
struct Record<'a> {
    paradigm: &'a str,
    index: usize,
    log_likelihood_good: f64,
    log_likelihood_bad: f64,
    tokens_good: usize,
    tokens_bad: usize,
    correct: bool,
}

/// How many paradigms are how good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bands {
    /// 85 % and above.
    pub strong: usize,
    /// Between the others.
    pub moderate: usize,
    /// 55 % and below.
    pub weak: usize,
}

/// Pairs that belong together.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Its name: a paradigm or a domain.
    pub name: String,
    /// The domain of a paradigm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<&'static str>,
    /// How many paradigms.
    pub paradigms: usize,
    /// How many pairs.
    pub pairs: usize,
    /// The mean over its paradigms.
    pub accuracy: Share,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The id that each sentence stands behind.
    pub begins_with: u32,
    /// How many pairs.
    pub pairs: usize,
    /// The mean over paradigms.
    pub accuracy: Share,
    /// The mean over pairs.
    pub accuracy_of_pairs: Share,
    /// Paradigms by how good they are.
    pub bands: Bands,
    /// Domains of grammar.
    pub domains: Vec<Group>,
    /// Paradigms, in the order of the data.
    pub paradigms: Vec<Group>,
}

/// The data, as far as it is wanted: `--limit` counts pairs of each paradigm.
pub fn read(data: &Source, limit: Option<usize>) -> Result<Vec<Pair>> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut pairs: Vec<Pair> = Vec::new();
    for file in &data.files {
        for mut pair in objects::read::<Pair>(file, FORM)? {
            let count = seen.entry(pair.paradigm.clone()).or_default();
            pair.index = *count;
            *count += 1;
            if limit.is_none_or(|limit| pair.index < limit) {
                pairs.push(pair);
            }
        }
    }
    if pairs.is_empty() {
        bail!("the data {} holds no pair of sentences; {FORM}", data.name);
    }
    Ok(pairs)
}

/// Lets a model judge the pairs.
pub fn evaluate(
    pairs: &[Pair],
    model: &Described,
    scorer: &mut Scorer,
    printer: &Printer,
) -> Result<Found> {
    let encoder = Encoder::new(model, Scorer::context_of(&model.config.shape))?;
    let questions: Vec<Question> = pairs.iter().map(Pair::question).collect();
    let answers = answer(&questions, &encoder, scorer, printer)?;
    let (mut records, mut text) = (Records::default(), Text::default());
    for (pair, answer) in pairs.iter().zip(&answers) {
        records.add(&pair.record(answer))?;
        pair.texts().into_iter().for_each(|own| text.add(own));
    }
    let figures = super::Figures::Blimp(figures(pairs, &answers, encoder.start()));
    Ok(Found { figures, records, text })
}

impl Pair {
    fn texts(&self) -> [&str; 2] {
        [&self.sentence_good, &self.sentence_bad]
    }

    fn question(&self) -> Question {
        let request =
            |text: &str| Request { context: String::new(), continuation: format!(" {text}") };
        Question {
            name: format!("{}, pair {}", self.paradigm, self.index),
            requests: self.texts().map(request).into(),
            lengths: Vec::new(),
            gold: 0,
        }
    }

    fn record(&self, answer: &Answer) -> Record<'_> {
        Record {
            paradigm: &self.paradigm,
            index: self.index,
            log_likelihood_good: answer.scores[0].log_likelihood,
            log_likelihood_bad: answer.scores[1].log_likelihood,
            tokens_good: answer.tokens[0],
            tokens_bad: answer.tokens[1],
            correct: answer.correct,
        }
    }
}

fn figures(pairs: &[Pair], answers: &[Answer], begins_with: u32) -> Figures {
    let mut paradigms: Vec<(&str, &str, Tally)> = Vec::new();
    for (pair, answer) in pairs.iter().zip(answers) {
        let place = paradigms.iter().rposition(|(name, ..)| *name == pair.paradigm);
        let place = place.unwrap_or_else(|| {
            paradigms.push((&pair.paradigm, &pair.linguistics_term, Tally::default()));
            paradigms.len() - 1
        });
        paradigms[place].2.add(answer.correct);
    }
    let tallies: Vec<Tally> = paradigms.iter().map(|(.., tally)| *tally).collect();
    let mut domains: BTreeMap<&'static str, Vec<Tally>> = BTreeMap::new();
    for (_, term, tally) in &paradigms {
        domains.entry(domain(term)).or_default().push(*tally);
    }
    let paradigms: Vec<Group> = (paradigms.iter())
        .map(|(name, term, tally)| Group::new(name, Some(domain(term)), &[*tally]))
        .collect();
    Figures {
        begins_with,
        pairs: pairs.len(),
        accuracy: mean(&tallies),
        accuracy_of_pairs: pooled(&tallies),
        bands: Bands::of(&paradigms),
        domains: domains.iter().map(|(name, own)| Group::new(name, None, own)).collect(),
        paradigms,
    }
}

/// The domain of a `linguistics_term`, by which cards of draft models sum BLiMP up.
fn domain(term: &str) -> &'static str {
    match term {
        "determiner_noun_agreement" | "subject_verb_agreement" => "agreement",
        "anaphor_agreement" | "binding" => "anaphora and binding",
        "npi_licensing" => "NPI licensing",
        "island_effects" => "islands",
        "argument_structure" | "s-selection" => "argument structure",
        "filler_gap_dependency" => "filler-gap",
        "control_raising" => "raising and control",
        "ellipsis" => "ellipsis",
        "irregular_forms" => "irregular forms",
        "quantifiers" => "quantifiers",
        _ => "other",
    }
}

impl Group {
    fn new(name: &str, domain: Option<&'static str>, tallies: &[Tally]) -> Self {
        Self {
            name: name.to_owned(),
            domain,
            paradigms: tallies.len(),
            pairs: tallies.iter().map(|tally| tally.count).sum(),
            accuracy: mean(tallies),
        }
    }
}

impl Bands {
    fn of(paradigms: &[Group]) -> Self {
        let mut bands = Self::default();
        for group in paradigms {
            match band(group.accuracy.value) {
                "strong" => bands.strong += 1,
                "weak" => bands.weak += 1,
                _ => bands.moderate += 1,
            }
        }
        bands
    }
}

fn band(accuracy: f64) -> &'static str {
    match accuracy {
        STRONG.. => "strong",
        ..=WEAK => "weak",
        _ => "moderate",
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn error(share: Share) -> String {
    share.standard_error.map_or_else(|| "-".to_owned(), |error| format!("{:.2}", 100.0 * error))
}

impl Figures {
    /// As Markdown tables.
    pub fn tables(&self) -> Vec<String> {
        let right = [false, true, true, true];
        let overall = |name: &str, count: usize, share: Share| {
            [name.to_owned(), whole(count as u64), percent(share.value), error(share)]
        };
        let rows = [
            overall("mean over paradigms", self.paradigms.len(), self.accuracy),
            overall("mean over pairs", self.pairs, self.accuracy_of_pairs),
        ];
        let mut lines = grid(&["", "count", "accuracy", "standard error"], &right, rows);
        lines.push(String::new());
        let Bands { strong, moderate, weak } = self.bands;
        let bands = [
            ("strong (85 % and above)", strong),
            ("moderate (between)", moderate),
            ("weak (55 % and below)", weak),
        ];
        let rows = bands.map(|(name, count)| [name.to_owned(), count.to_string()]);
        lines.extend(grid(&["band", "paradigms"], &[false, true], rows));
        lines.push(String::new());
        let rows = (self.domains.iter())
            .map(|group| overall(&group.name, group.paradigms, group.accuracy));
        lines.extend(grid(&["domain", "paradigms", "accuracy", "standard error"], &right, rows));
        lines.push(String::new());
        let rows = self.paradigms.iter().map(|group| {
            let Group { name, domain, accuracy, .. } = group;
            let domain = domain.unwrap_or_default().to_owned();
            let band = band(accuracy.value).to_owned();
            [name.clone(), domain, percent(accuracy.value), error(*accuracy), band]
        });
        let right = [false, false, true, true, false];
        lines.extend(grid(
            &["paradigm", "domain", "accuracy", "standard error", "band"],
            &right,
            rows,
        ));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_end_where_they_say() {
        let bands = [0.85, 0.849, 0.551, 0.55, 1.0, 0.0].map(band);
        assert_eq!(bands, ["strong", "moderate", "moderate", "weak", "strong", "weak"]);
    }
}
