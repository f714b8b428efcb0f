//! From the records of a run to its figures. A prompt with all its repeats is one cluster, its
//! category the stratum; every figure but the greedy share is a quotient of sums over clusters.
//! It knows which sums make which metric, and leaves intervals to `statistics` and words to
//! `report`.

use std::collections::{BTreeMap, HashMap};

use target::PassTimes;
use target::observed::{ENTROPY_BINS, ENTROPY_WIDTH, PROBABILITY_BINS};

use super::case::Case;
use super::foretold::Measured;
use super::paired;
use super::record::{
    AcceptanceBin, CaseDifference, CaseSummary, CostSpeedup, Counts, Estimate, Finish, GreedyCheck,
    Metrics, PLAIN, Record, Seconds, SecondsShare,
};
use super::spec_bench;
use crate::statistics::{Clusters, Interval, Quotient, Resampling, clopper_pearson, intervals};

// Columns of a cluster's sums. The steps with at least i accepted candidates follow, from i = 1,
// and then the steps that came to verify an i-th candidate.
const ACCEPTED: usize = 0;
const CANDIDATES: usize = 1;
const RATE: usize = 2;
const HAS_RATE: usize = 3;
const STEP_TOKENS: usize = 4;
const STEPS: usize = 5;
const EMITTED: usize = 6;
const SECONDS: usize = 7;
const PAIRED_EMITTED: usize = 8;
const PAIRED_SECONDS: usize = 9;
const PLAIN_EMITTED: usize = 10;
const PLAIN_SECONDS: usize = 11;
const DECODED: usize = 12;
const DECODE_SECONDS: usize = 13;
const PLAIN_DECODED: usize = 14;
const PLAIN_DECODE_SECONDS: usize = 15;
/// One column for each of [`COSTS`].
const AT_COST: usize = 16;
/// Two columns for each bin of the draft's probability, then of its entropy: candidates and accepted.
const BINS: usize = AT_COST + COSTS.len();
const POSITIONS: usize = BINS + 2 * (PROBABILITY_BINS + ENTROPY_BINS);

/// Costs of a draft pass, as shares of a target pass, for which a speed-up is foretold.
const COSTS: [f64; 4] = [0.01, 0.05, 0.1, 0.3];

/// One prompt's generations in a case, and those of them that have a plain counterpart.
struct Prompt<'a> {
    category: &'a str,
    own: Vec<&'a Record>,
    pairs: Vec<(&'a Record, &'a Record)>,
}

/// The figures of every case, in their order. `curve` is what passes of the target took apart from the
/// run, and may be empty.
///
/// Meant to be called as the run goes: 480 prompts of 13 categories in two cases take 0.4 s
/// with [`Resampling::full`], 30 ms with [`Resampling::running`], and 1 ms with 0 resamples, which
/// gives values without intervals.
pub fn summarise(
    records: &[Record],
    cases: &[Case],
    curve: &PassTimes,
    resampling: Resampling,
) -> Vec<CaseSummary> {
    cases.iter().map(|case| summarise_case(records, case, curve, resampling)).collect()
}

/// The figures of one case. `records` holds the plain ones too, for the speed-up. The resamples are
/// those of the run's seed and the name of the case, and of the category where it is one; all
/// metrics of a group share them.
pub fn summarise_case(
    records: &[Record],
    case: &Case,
    curve: &PassTimes,
    resampling: Resampling,
) -> CaseSummary {
    let name = case.name.as_str();
    let prompts = prompts(records, name);
    let mut categories: BTreeMap<&str, Vec<&Prompt>> = BTreeMap::new();
    for prompt in prompts.values() {
        categories.entry(prompt.category).or_default().push(prompt);
    }
    let of = |prompts: &[&Prompt], name: &str| {
        let (mut metrics, measured) = metrics(prompts, resampling, name);
        if case.settings.is_plain() {
            metrics.speedup = Estimate::default();
            metrics.speedup_at_cost = Vec::new();
        }
        (metrics, measured)
    };
    let by_category = categories.iter().map(|(category, prompts)| {
        ((*category).to_owned(), of(prompts, &format!("{name}/{category}")).0)
    });
    let by_category = by_category.collect();
    let (overall, speedup) = of(&prompts.values().collect::<Vec<_>>(), name);
    let own = || prompts.values().flat_map(|prompt| &prompt.own);
    let plain = prompts.values().flat_map(|prompt| &prompt.pairs).map(|(_, plain)| plain);
    let (passes, plain) = (all_passes(own()), all_passes(plain));
    let (counts, seconds) = (&overall.counts, &overall.seconds);
    let settings = &case.settings;
    let measured =
        Measured { settings, counts, seconds, passes: &passes, plain: &plain, curve, speedup };
    let costs = measured.costs().filter(|_| !settings.is_plain());
    let temperature = settings.temperature;
    let spec_bench =
        (!settings.is_plain()).then(|| spec_bench::columns(records, name, temperature)).flatten();
    CaseSummary {
        case: name.to_owned(),
        settings: settings.clone(),
        costs,
        spec_bench,
        overall,
        by_category,
    }
}

fn all_passes<'a>(records: impl Iterator<Item = &'a &'a Record>) -> PassTimes {
    records.fold(PassTimes::default(), |mut sum, record| {
        sum += &record.verify_passes;
        sum
    })
}

/// Each case against the first one at its temperature that speculates, on the prompts that both have.
pub fn differences(
    records: &[Record],
    cases: &[Case],
    resampling: Resampling,
) -> Vec<CaseDifference> {
    let mut found = Vec::new();
    let speculative: Vec<&Case> = cases.iter().filter(|case| !case.settings.is_plain()).collect();
    for (index, case) in speculative.iter().enumerate() {
        let same = |other: &&&Case| other.settings.temperature == case.settings.temperature;
        let Some(first) = speculative[..index].iter().find(same) else { continue };
        let sums = [first, case].map(|case| paired::sums(records, &case.name));
        let [from, to] = sums;
        let (prompts, figures) = paired::figures(from, to, resampling);
        let (from, to) = (first.name.clone(), case.name.clone());
        found.push(CaseDifference { from, to, prompts, figures });
    }
    found
}

/// The prompts of a case by their place in the file.
fn prompts<'a>(records: &'a [Record], case: &str) -> BTreeMap<usize, Prompt<'a>> {
    let plain: HashMap<_, _> = records
        .iter()
        .filter(|record| record.method == PLAIN)
        .map(|record| (paired::place(record), record))
        .collect();
    let mut prompts = BTreeMap::new();
    for record in records.iter().filter(|record| record.case == case) {
        let prompt = prompts.entry(record.prompt_index).or_insert_with(|| Prompt {
            category: &record.category,
            own: Vec::new(),
            pairs: Vec::new(),
        });
        prompt.own.push(record);
        prompt.pairs.extend(plain.get(&paired::place(record)).map(|plain| (record, *plain)));
    }
    prompts
}

/// The figures of some prompts, and the speed-up of decoding alone.
fn metrics(prompts: &[&Prompt], resampling: Resampling, name: &str) -> (Metrics, Estimate) {
    let own = || prompts.iter().flat_map(|prompt| prompt.own.iter().copied());
    let (counts, seconds) = sums(own());
    let generations = own().count();
    let finished = own().filter(|record| record.finish == Finish::Eos).count();
    let share = |part: f64| (generations > 0).then(|| part / generations as f64);
    let positions = counts.acceptance_by_position.len().max(counts.proposed_by_position.len());
    let mut estimates = estimates(prompts, positions, resampling, name).into_iter();
    let mut next = || estimates.next().unwrap_or_default();
    let (greedy_identical, greedy_prompts, greedy_ties) = greedy(prompts);
    let decoding = next();
    let repeating = prompts.iter().filter(|prompt| prompt.own.iter().any(|own| own.repeats_itself));
    let repeating_share =
        (!prompts.is_empty()).then(|| repeating.count() as f64 / prompts.len() as f64);
    // The fields are evaluated in the order of `quotients`.
    let metrics = Metrics {
        draft_acceptance_rate: next(),
        draft_acceptance_rate_prompt_mean: next(),
        mean_acceptance_length: next(),
        mean_accepted_tokens: next(),
        target_tokens_per_second: next(),
        plain_tokens_per_second: next(),
        speedup: next(),
        speedup_at_cost: COSTS.map(|cost_ratio| CostSpeedup { cost_ratio, speedup: next() }).into(),
        acceptance_by_probability: probability_bins(&counts, &mut next),
        acceptance_by_entropy: entropy_bins(&counts, &mut next),
        acceptance_by_position: estimates.by_ref().take(positions).collect(),
        conditional_acceptance_by_position: estimates.collect(),
        prompts: prompts.len(),
        generations,
        greedy_identical,
        greedy_prompts,
        greedy_ties,
        seconds_share: seconds_share(&seconds),
        seconds,
        mean_emitted_tokens: share(counts.num_emitted_tokens as f64),
        finish_eos_share: share(finished as f64),
        repeating_share,
        bytes_per_token: ratio(own().map(|own| (own.text.len(), own.ids.len()))),
        draft_tokens_per_prompt_token: ratio(
            own().map(|own| (own.draft_prompt_tokens, own.prompt_tokens)),
        ),
        draft_passes_per_token: ratio(
            [(counts.draft_model_passes as usize, counts.num_emitted_tokens as usize)].into_iter(),
        ),
        greedy_largest_margin: own().filter_map(|own| own.greedy?.margin).max_by(f64::total_cmp),
        counts,
    };
    (metrics, decoding)
}

/// A ratio of sums; `None` where one of them is 0.
fn ratio(parts: impl Iterator<Item = (usize, usize)>) -> Option<f64> {
    let (over, under) = parts.fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
    (over > 0 && under > 0).then(|| over as f64 / under as f64)
}

fn probability_bins(counts: &Counts, next: &mut impl FnMut() -> Estimate) -> Vec<AcceptanceBin> {
    let seen = &counts.observed.by_probability.candidates;
    let edge = |bin: usize| bin as f64 / PROBABILITY_BINS as f64;
    let bins = (0..PROBABILITY_BINS).map(|bin| AcceptanceBin {
        from: edge(bin),
        to: Some(edge(bin + 1)),
        candidates: seen.get(bin).copied().unwrap_or(0),
        acceptance: next(),
    });
    bins.collect::<Vec<_>>().into_iter().filter(|bin| bin.candidates > 0).collect()
}

fn entropy_bins(counts: &Counts, next: &mut impl FnMut() -> Estimate) -> Vec<AcceptanceBin> {
    let seen = &counts.observed.by_entropy.candidates;
    let bins = (0..ENTROPY_BINS).map(|bin| AcceptanceBin {
        from: bin as f64 * ENTROPY_WIDTH,
        to: (bin + 1 < ENTROPY_BINS).then_some((bin + 1) as f64 * ENTROPY_WIDTH),
        candidates: seen.get(bin).copied().unwrap_or(0),
        acceptance: next(),
    });
    bins.collect::<Vec<_>>().into_iter().filter(|bin| bin.candidates > 0).collect()
}

fn sums<'a>(records: impl Iterator<Item = &'a Record>) -> (Counts, Seconds) {
    let (mut counts, mut seconds) = (Counts::default(), Seconds::default());
    for record in records {
        counts += &record.counts;
        seconds += &record.seconds;
    }
    (counts, seconds)
}

fn estimates(
    prompts: &[&Prompt],
    positions: usize,
    resampling: Resampling,
    name: &str,
) -> Vec<Estimate> {
    if prompts.is_empty() {
        return Vec::new();
    }
    let rows = prompts.iter().map(|prompt| (prompt.category.to_owned(), row(prompt, positions)));
    let clusters = Clusters::new(rows);
    let totals = clusters.totals();
    let quotients = quotients(positions);
    let intervals = intervals(&clusters, &quotients, resampling, name);
    let estimate = |(quotient, interval): (&Quotient, Option<Interval>)| Estimate {
        value: quotient.value(&totals),
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
    };
    quotients.iter().zip(intervals).map(estimate).collect()
}

/// The metrics as quotients of columns: the speed-up of decoding, seven figures, the speed-up at
/// each cost, acceptance in each bin, the unconditional shares of each position, the conditional ones.
fn quotients(positions: usize) -> Vec<Quotient> {
    let mut quotients = vec![
        Quotient {
            over: vec![DECODED, PLAIN_DECODE_SECONDS],
            under: vec![DECODE_SECONDS, PLAIN_DECODED],
        },
        Quotient::ratio(ACCEPTED, CANDIDATES),
        Quotient::ratio(RATE, HAS_RATE),
        Quotient::ratio(STEP_TOKENS, STEPS),
        Quotient::ratio(ACCEPTED, STEPS),
        Quotient::ratio(EMITTED, SECONDS),
        Quotient::ratio(PLAIN_EMITTED, PLAIN_SECONDS),
        Quotient {
            over: vec![PAIRED_EMITTED, PLAIN_SECONDS],
            under: vec![PAIRED_SECONDS, PLAIN_EMITTED],
        },
    ];
    quotients.extend((0..COSTS.len()).map(|cost| Quotient::ratio(STEP_TOKENS, AT_COST + cost)));
    let bins = 0..PROBABILITY_BINS + ENTROPY_BINS;
    quotients.extend(bins.map(|bin| Quotient::ratio(BINS + 2 * bin + 1, BINS + 2 * bin)));
    let column = |position: usize| POSITIONS + position;
    let reached = |position: usize| POSITIONS + positions + position;
    quotients.extend((0..positions).map(|position| Quotient::ratio(column(position), STEPS)));
    quotients.extend(
        (0..positions).map(|position| Quotient::ratio(column(position), reached(position))),
    );
    quotients
}

/// The columns of one prompt.
fn row(prompt: &Prompt, positions: usize) -> Vec<f64> {
    let (counts, seconds) = sums(prompt.own.iter().copied());
    let (paired, paired_seconds) = sums(prompt.pairs.iter().map(|pair| pair.0));
    let (plain, plain_seconds) = sums(prompt.pairs.iter().map(|pair| pair.1));
    let accepted = counts.num_accepted_draft_tokens as f64;
    let candidates = counts.num_draft_tokens as f64;
    let mut row = vec![0.0; POSITIONS + 2 * positions];
    row[ACCEPTED] = accepted;
    row[CANDIDATES] = candidates;
    if candidates > 0.0 {
        row[RATE] = accepted / candidates;
        row[HAS_RATE] = 1.0;
    }
    row[STEP_TOKENS] = counts.num_step_tokens as f64;
    row[STEPS] = counts.steps() as f64;
    let drafted = counts.draft_model_passes as f64;
    for (cell, cost) in row[AT_COST..].iter_mut().zip(COSTS) {
        *cell = counts.steps() as f64 + cost * drafted;
    }
    row[EMITTED] = counts.num_emitted_tokens as f64;
    row[SECONDS] = seconds.total;
    row[PAIRED_EMITTED] = paired.num_emitted_tokens as f64;
    row[PAIRED_SECONDS] = paired_seconds.total;
    row[PLAIN_EMITTED] = plain.num_emitted_tokens as f64;
    row[PLAIN_SECONDS] = plain_seconds.total;
    row[DECODED] = paired.num_step_tokens as f64;
    row[DECODE_SECONDS] = paired_seconds.total - paired_seconds.prefill;
    row[PLAIN_DECODED] = plain.num_step_tokens as f64;
    row[PLAIN_DECODE_SECONDS] = plain_seconds.total - plain_seconds.prefill;
    let observed = &counts.observed;
    for (bins, first) in [(&observed.by_probability, 0), (&observed.by_entropy, PROBABILITY_BINS)] {
        for (bin, (seen, accepted)) in bins.candidates.iter().zip(&bins.accepted).enumerate() {
            let column = BINS + 2 * (first + bin);
            (row[column], row[column + 1]) = (*seen as f64, *accepted as f64);
        }
    }
    for (cell, steps) in row[POSITIONS..].iter_mut().zip(&counts.acceptance_by_position) {
        *cell = *steps as f64;
    }
    for (cell, steps) in row[POSITIONS + positions..].iter_mut().zip(&counts.reached_by_position) {
        *cell = *steps as f64;
    }
    row
}

/// The share of prompts all of whose repeats are those of plain greedy decoding, how many were
/// compared, and how many of the others differ at ties only.
fn greedy(prompts: &[&Prompt]) -> (Option<Estimate>, usize, usize) {
    let checks = |prompt: &&Prompt| -> Vec<GreedyCheck> {
        prompt.own.iter().filter_map(|record| record.greedy).collect()
    };
    let compared: Vec<_> = prompts.iter().map(checks).filter(|checks| !checks.is_empty()).collect();
    let count = |holds: fn(&GreedyCheck) -> bool| {
        compared.iter().filter(|checks| checks.iter().all(holds)).count()
    };
    let identical = count(|check| check.identical);
    let ties = count(|check| check.identical || check.tie) - identical;
    let interval = clopper_pearson(identical as u64, compared.len() as u64);
    let estimate = interval.map(|interval| Estimate {
        value: Some(identical as f64 / compared.len() as f64),
        low: Some(interval.low),
        high: Some(interval.high),
    });
    (estimate, compared.len(), ties)
}

fn seconds_share(seconds: &Seconds) -> Option<SecondsShare> {
    (seconds.total > 0.0).then(|| SecondsShare {
        prefill: seconds.prefill / seconds.total,
        draft: seconds.draft / seconds.total,
        align: seconds.align / seconds.total,
        verify: seconds.verify / seconds.total,
        other: seconds.other / seconds.total,
    })
}

#[cfg(test)]
#[path = "summary_tests.rs"]
pub(crate) mod tests;
