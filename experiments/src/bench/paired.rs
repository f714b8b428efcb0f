//! Two cases on the same prompts: the difference of each figure with its paired interval. A prompt with
//! its repeats and turns is one cluster. Knows records; reads no files and prints nothing.

use std::collections::{BTreeMap, HashMap};

use super::record::{Estimate, Figure, PLAIN, Record};
use crate::statistics::{Clusters, Difference, Interval, Quotient, Resampling, intervals};

// Columns of a prompt's sums, first of one case, then of the other.
const ACCEPTED: usize = 0;
const CANDIDATES: usize = 1;
const STEP_TOKENS: usize = 2;
const STEPS: usize = 3;
const EMITTED: usize = 4;
const SECONDS: usize = 5;
const PAIRED_EMITTED: usize = 6;
const PAIRED_SECONDS: usize = 7;
const PLAIN_EMITTED: usize = 8;
const PLAIN_SECONDS: usize = 9;
const COLUMNS: usize = 10;

/// The figures that are compared, by their names in a report.
pub const FIGURES: [&str; 4] =
    ["draft_acceptance_rate", "mean_acceptance_length", "target_tokens_per_second", "speedup"];

/// Sums of each prompt of a case, and its category.
pub type Sums = BTreeMap<usize, (String, [f64; COLUMNS])>;

/// What a generation and its counterpart in another case have in common.
pub(super) fn place(record: &Record) -> (usize, u32, u32, u64) {
    (record.prompt_index, record.repeat, record.turn, record.temperature.to_bits())
}

/// The sums of a case among the records of its run.
pub fn sums(records: &[Record], case: &str) -> Sums {
    let plain: HashMap<_, &Record> = records
        .iter()
        .filter(|record| record.method == PLAIN)
        .map(|record| (place(record), record))
        .collect();
    let mut prompts = Sums::new();
    for record in records.iter().filter(|record| record.case == case) {
        let (_, sums) = prompts
            .entry(record.prompt_index)
            .or_insert_with(|| (record.category.clone(), [0.0; COLUMNS]));
        let counts = &record.counts;
        sums[ACCEPTED] += counts.num_accepted_draft_tokens as f64;
        sums[CANDIDATES] += counts.num_draft_tokens as f64;
        sums[STEP_TOKENS] += counts.num_step_tokens as f64;
        sums[STEPS] += counts.steps() as f64;
        sums[EMITTED] += counts.num_emitted_tokens as f64;
        sums[SECONDS] += record.seconds.total;
        if let Some(plain) = plain.get(&place(record)) {
            sums[PAIRED_EMITTED] += counts.num_emitted_tokens as f64;
            sums[PAIRED_SECONDS] += record.seconds.total;
            sums[PLAIN_EMITTED] += plain.counts.num_emitted_tokens as f64;
            sums[PLAIN_SECONDS] += plain.seconds.total;
        }
    }
    prompts
}

/// The sums of the prompts that two cases have in common, side by side, with their categories.
pub fn common(from: Sums, mut to: Sums) -> Vec<(String, Vec<f64>)> {
    let mut rows = Vec::new();
    for (index, (category, own)) in from {
        if let Some((_, other)) = to.remove(&index) {
            rows.push((category, [own, other].concat()));
        }
    }
    rows
}

/// A figure as a quotient of the sums of one case; `None` for a name that is none of [`FIGURES`].
pub fn quotient(figure: &str) -> Option<Quotient> {
    Some(match figure {
        "draft_acceptance_rate" => Quotient::ratio(ACCEPTED, CANDIDATES),
        "mean_acceptance_length" => Quotient::ratio(STEP_TOKENS, STEPS),
        "target_tokens_per_second" => Quotient::ratio(EMITTED, SECONDS),
        "speedup" => Quotient {
            over: vec![PAIRED_EMITTED, PLAIN_SECONDS],
            under: vec![PAIRED_SECONDS, PLAIN_EMITTED],
        },
        _ => return None,
    })
}

/// The difference of a figure of two cases, over the sums of both side by side.
pub fn difference(figure: &str) -> Option<Difference> {
    let from = quotient(figure)?;
    let shifted = |columns: &[usize]| columns.iter().map(|column| COLUMNS + column).collect();
    let to = Quotient { over: shifted(&from.over), under: shifted(&from.under) };
    Some(Difference { from, to })
}

/// The figures of two cases over the prompts that both have, and how many these are.
pub fn figures(from: Sums, to: Sums, resampling: Resampling) -> (usize, Vec<Figure>) {
    let rows = common(from, to);
    let prompts = rows.len();
    if prompts == 0 {
        return (0, Vec::new());
    }
    let clusters = Clusters::new(rows);
    let differences: Vec<Difference> = FIGURES.into_iter().filter_map(difference).collect();
    let totals = clusters.totals();
    let found = intervals(&clusters, &differences, resampling, "comparison");
    let figure = |(name, (difference, interval)): (&str, (&Difference, Option<Interval>))| {
        let (a, b) = (difference.from.value(&totals), difference.to.value(&totals));
        let value = a.zip(b).map(|(a, b)| b - a);
        let limit = |pick: fn(Interval) -> f64| interval.map(pick);
        let difference = Estimate { value, low: limit(|own| own.low), high: limit(|own| own.high) };
        Figure { name: name.to_owned(), a, b, difference }
    };
    let figures: Vec<Figure> =
        FIGURES.into_iter().zip(differences.iter().zip(found)).map(figure).collect();
    // A trace has no times.
    (prompts, figures.into_iter().filter(|own| own.a.is_some() || own.b.is_some()).collect())
}
