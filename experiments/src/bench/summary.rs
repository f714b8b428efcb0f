//! From the records of a run to its figures. A prompt with all its repeats is one cluster, its
//! category the stratum; every figure but the greedy share is a quotient of sums over clusters.
//! It knows which sums make which metric, and leaves intervals to `statistics` and words to
//! `report`.

use std::collections::{BTreeMap, HashMap};

use super::record::{
    CaseSummary, Counts, Estimate, Finish, GreedyCheck, Metrics, PLAIN, Record, Seconds,
    SecondsShare,
};
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
const POSITIONS: usize = 12;

/// One prompt's generations in a case, and those of them that have a plain counterpart.
struct Prompt<'a> {
    category: &'a str,
    own: Vec<&'a Record>,
    pairs: Vec<(&'a Record, &'a Record)>,
}

/// The figures of every case in the records: plain decoding first, then the methods in the order in
/// which they first appear.
///
/// Meant to be called after each prompt too: 480 prompts of 13 categories in two cases take 0.4 s
/// with [`Resampling::full`], 30 ms with [`Resampling::running`], and 1 ms with 0 resamples, which
/// gives values without intervals.
pub fn summarise(records: &[Record], resampling: Resampling) -> Vec<CaseSummary> {
    let mut cases: Vec<&str> = Vec::new();
    for record in records {
        if !cases.contains(&record.case.as_str()) {
            cases.push(&record.case);
        }
    }
    cases.sort_by_key(|case| *case != PLAIN);
    cases.into_iter().map(|case| summarise_case(records, case, resampling)).collect()
}

/// The figures of one case. `records` holds the plain ones too, for the speed-up. The resamples are
/// those of the run's seed and the name of the case, and of the category where it is one; all
/// metrics of a group share them.
pub fn summarise_case(records: &[Record], case: &str, resampling: Resampling) -> CaseSummary {
    let prompts = prompts(records, case);
    let mut categories: BTreeMap<&str, Vec<&Prompt>> = BTreeMap::new();
    for prompt in prompts.values() {
        categories.entry(prompt.category).or_default().push(prompt);
    }
    let of = |prompts: &[&Prompt], name: &str| {
        let mut metrics = metrics(prompts, resampling, name);
        if case == PLAIN {
            metrics.speedup = Estimate::default();
        }
        metrics
    };
    let by_category = categories.iter().map(|(category, prompts)| {
        ((*category).to_owned(), of(prompts, &format!("{case}/{category}")))
    });
    CaseSummary {
        case: case.to_owned(),
        overall: of(&prompts.values().collect::<Vec<_>>(), case),
        by_category: by_category.collect(),
    }
}

/// The prompts of a case by their place in the file.
fn prompts<'a>(records: &'a [Record], case: &str) -> BTreeMap<usize, Prompt<'a>> {
    let plain: HashMap<_, _> = records
        .iter()
        .filter(|record| record.case == PLAIN)
        .map(|record| ((record.prompt_index, record.repeat), record))
        .collect();
    let mut prompts = BTreeMap::new();
    for record in records.iter().filter(|record| record.case == case) {
        let prompt = prompts.entry(record.prompt_index).or_insert_with(|| Prompt {
            category: &record.category,
            own: Vec::new(),
            pairs: Vec::new(),
        });
        prompt.own.push(record);
        let counterpart = plain.get(&(record.prompt_index, record.repeat));
        prompt.pairs.extend(counterpart.map(|plain| (record, *plain)));
    }
    prompts
}

fn metrics(prompts: &[&Prompt], resampling: Resampling, name: &str) -> Metrics {
    let own = || prompts.iter().flat_map(|prompt| prompt.own.iter().copied());
    let (counts, seconds) = sums(own());
    let generations = own().count();
    let finished = own().filter(|record| record.finish == Finish::Eos).count();
    let share = |part: f64| (generations > 0).then(|| part / generations as f64);
    let positions = counts.acceptance_by_position.len().max(counts.proposed_by_position.len());
    let mut estimates = estimates(prompts, positions, resampling, name).into_iter();
    let mut next = || estimates.next().unwrap_or_default();
    let (greedy_identical, greedy_prompts, greedy_ties) = greedy(prompts);
    // The fields are evaluated in the order of `quotients`.
    Metrics {
        draft_acceptance_rate: next(),
        draft_acceptance_rate_prompt_mean: next(),
        mean_acceptance_length: next(),
        target_tokens_per_second: next(),
        plain_tokens_per_second: next(),
        speedup: next(),
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
        counts,
    }
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

/// The metrics as quotients of columns: six figures, the unconditional shares of each position, the
/// conditional ones.
fn quotients(positions: usize) -> Vec<Quotient> {
    let mut quotients = vec![
        Quotient::ratio(ACCEPTED, CANDIDATES),
        Quotient::ratio(RATE, HAS_RATE),
        Quotient::ratio(STEP_TOKENS, STEPS),
        Quotient::ratio(EMITTED, SECONDS),
        Quotient::ratio(PLAIN_EMITTED, PLAIN_SECONDS),
        Quotient {
            over: vec![PAIRED_EMITTED, PLAIN_SECONDS],
            under: vec![PAIRED_SECONDS, PLAIN_EMITTED],
        },
    ];
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
    row[EMITTED] = counts.num_emitted_tokens as f64;
    row[SECONDS] = seconds.total;
    row[PAIRED_EMITTED] = paired.num_emitted_tokens as f64;
    row[PAIRED_SECONDS] = paired_seconds.total;
    row[PLAIN_EMITTED] = plain.num_emitted_tokens as f64;
    row[PLAIN_SECONDS] = plain_seconds.total;
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
pub(crate) mod tests {
    use super::*;
    use crate::bench::record::{Kind, SCHEMA};

    /// Prompt by prompt: category; steps with 0, 1, 2 of 2 candidates accepted; plain steps;
    /// seconds speculative and plain.
    const PROMPTS: [(&str, [u64; 3], u64, f64, f64); 6] = [
        ("coding", [2, 4, 4], 0, 2.0, 2.3),
        ("writing", [6, 2, 2], 0, 2.0, 1.7),
        ("coding", [0, 5, 5], 0, 2.0, 2.6),
        ("writing", [8, 2, 0], 0, 2.0, 1.3),
        ("coding", [1, 0, 4], 1, 1.5, 1.5),
        ("writing", [5, 0, 0], 2, 1.5, 0.8),
    ];

    /// Six prompts, plain and by a method; four greedy texts are identical, one differs at a tie,
    /// one elsewhere; three end with end-of-text.
    pub(crate) fn records() -> Vec<Record> {
        (0..PROMPTS.len()).flat_map(|index| [record(index, PLAIN), record(index, "slem")]).collect()
    }

    fn record(prompt_index: usize, case: &str) -> Record {
        let (category, [none, one, two], plain_steps, own, plain) = PROMPTS[prompt_index];
        let steps = none + one + two;
        let emitted = one + 2 * two + steps + plain_steps;
        let speculative = || speculative_counts([none, one, two], plain_steps);
        let (counts, total) =
            if case == PLAIN { (plain_counts(emitted), plain) } else { (speculative(), own) };
        let [prefill, draft, align, verify, other] =
            [0.1, 0.2, 0.05, 0.6, 0.05].map(|share| share * total);
        let identical = prompt_index < 4;
        let check = GreedyCheck {
            identical,
            first_difference: (!identical).then_some(3),
            margin: (!identical).then_some(if prompt_index == 4 { 0.00005 } else { 0.5 }),
            tie: prompt_index == 4,
        };
        Record {
            schema: SCHEMA,
            kind: Kind::Record,
            case: case.to_owned(),
            method: "slem".to_owned(),
            gamma: 2,
            temperature: 0.0,
            prompt_index,
            prompt_id: prompt_index.to_string(),
            category: category.to_owned(),
            repeat: 0,
            prompt_tokens: 10,
            draft_prompt_tokens: 12,
            ids: Vec::new(),
            text: String::new(),
            finish: if prompt_index < 3 { Finish::Eos } else { Finish::Length },
            counts,
            seconds: Seconds { prefill, draft, align, verify, other, total },
            greedy: (case != PLAIN).then_some(check),
        }
    }

    fn plain_counts(steps: u64) -> Counts {
        Counts {
            num_plain_steps: steps,
            num_step_tokens: steps,
            num_emitted_tokens: steps + 1,
            ..Counts::default()
        }
    }

    fn speculative_counts([none, one, two]: [u64; 3], plain_steps: u64) -> Counts {
        let steps = none + one + two;
        let step_tokens = one + 2 * two + steps + plain_steps;
        Counts {
            num_spec_steps: steps,
            num_plain_steps: plain_steps,
            num_draft_tokens: 2 * steps,
            num_accepted_draft_tokens: one + 2 * two,
            num_emitted_tokens: step_tokens + 1,
            num_step_tokens: step_tokens,
            acceptance_histogram: vec![none + plain_steps, one, two],
            acceptance_by_position: [one + two, two].into_iter().filter(|n| *n > 0).collect(),
            proposed_by_position: vec![steps, steps],
            reached_by_position: vec![steps, one + two],
            draft_model_tokens: 3 * steps,
            draft_window_slides: 0,
        }
    }

    fn slem(records: &[Record], resamples: usize) -> CaseSummary {
        summarise_case(records, "slem", Resampling { resamples, seed: 7 })
    }

    fn close(estimate: &Estimate, value: f64) {
        let found = estimate.value.expect("a value");
        assert!((found - value).abs() < 1e-12, "{found} is not {value}");
    }

    fn values(estimates: &[Estimate]) -> Vec<Option<f64>> {
        estimates.iter().map(|estimate| estimate.value).collect()
    }

    #[test]
    fn every_figure_by_hand() {
        let metrics = slem(&records(), 500).overall;
        assert_eq!((metrics.prompts, metrics.generations), (6, 6));
        assert_eq!(metrics.counts.steps(), 53);
        assert_eq!(metrics.counts.num_emitted_tokens, 102);
        assert_eq!(metrics.counts.acceptance_histogram, [25, 13, 15]);
        close(&metrics.draft_acceptance_rate, 0.43);
        close(&metrics.draft_acceptance_rate_prompt_mean, 2.55 / 6.0);
        close(&metrics.mean_acceptance_length, 96.0 / 53.0);
        close(&metrics.target_tokens_per_second, 102.0 / 11.0);
        close(&metrics.plain_tokens_per_second, 10.0);
        close(&metrics.speedup, 10.2 / 11.0);
        let by_position = [28.0, 15.0].map(|steps| Some(steps / 53.0));
        assert_eq!(values(&metrics.acceptance_by_position), by_position);
        let conditional = [Some(28.0 / 50.0), Some(15.0 / 28.0)];
        assert_eq!(values(&metrics.conditional_acceptance_by_position), conditional);
        assert!((metrics.seconds.total - 11.0).abs() < 1e-12);
        let share = metrics.seconds_share.expect("time");
        assert!((share.verify - 0.6).abs() < 1e-12 && (share.draft - 0.2).abs() < 1e-12);
        assert_eq!(metrics.mean_emitted_tokens, Some(17.0));
        assert_eq!(metrics.finish_eos_share, Some(0.5));
    }

    #[test]
    fn every_category_by_hand() {
        let categories = slem(&records(), 500).by_category;
        let coding = &categories["coding"];
        close(&coding.draft_acceptance_rate, 0.7);
        close(&coding.mean_acceptance_length, 61.0 / 26.0);
        close(&coding.speedup, 6.4 / 5.5);
        let writing = &categories["writing"];
        close(&writing.draft_acceptance_rate, 0.16);
        close(&writing.mean_acceptance_length, 35.0 / 27.0);
        close(&writing.speedup, 3.8 / 5.5);
        assert_eq!(writing.speedup.low, None, "three prompts are too few");
        let rejected = slem(&records()[11..], 0).overall;
        assert_eq!(values(&rejected.acceptance_by_position), [Some(0.0); 2]);
    }

    /// Clopper–Pearson for 4 of 6 by `scipy` 1.17.1, `binomtest(4, 6).proportion_ci(0.95)`.
    #[test]
    fn greedy_identity_by_hand() {
        let metrics = slem(&records(), 0).overall;
        let identical = metrics.greedy_identical.expect("temperature 0");
        close(&identical, 4.0 / 6.0);
        assert!((identical.low.expect("low") - 0.222_778_095_504).abs() < 1e-9);
        assert!((identical.high.expect("high") - 0.956_728_131_707).abs() < 1e-9);
        assert_eq!((metrics.greedy_prompts, metrics.greedy_ties), (6, 1));
        let warm = records().into_iter().map(|record| Record { greedy: None, ..record });
        let warm: Vec<_> = warm.collect();
        assert_eq!(slem(&warm, 0).overall.greedy_identical, None);
    }

    #[test]
    fn intervals_hold_their_value_and_need_resamples() {
        let metrics = slem(&records(), 1_000).overall;
        let estimates = [
            metrics.draft_acceptance_rate,
            metrics.draft_acceptance_rate_prompt_mean,
            metrics.mean_acceptance_length,
            metrics.speedup,
        ];
        for Estimate { value, low, high } in estimates {
            assert!(low.is_some() && low < value && value < high, "{low:?} {value:?} {high:?}");
        }
        let plain = metrics.plain_tokens_per_second;
        assert_eq!((plain.low, plain.high), (plain.value, plain.value), "all at ten a second");
        assert_eq!(slem(&records(), 0).overall.speedup.low, None);
    }

    #[test]
    fn plain_decoding_has_a_rate_and_no_speedup() {
        let resampling = Resampling { resamples: 0, seed: 7 };
        let records: Vec<_> = records().into_iter().rev().collect();
        let cases = summarise(&records, resampling);
        assert_eq!([&cases[0].case, &cases[1].case], [PLAIN, "slem"]);
        let plain = &cases[0].overall;
        close(&plain.target_tokens_per_second, 10.0);
        close(&plain.mean_acceptance_length, 1.0);
        assert_eq!(plain.speedup, Estimate::default());
        assert!(summarise(&[], resampling).is_empty());
    }

    #[test]
    fn repeats_are_no_further_clusters() {
        let once = records();
        let again = once.iter().cloned().map(|record| Record { repeat: 1, ..record });
        let twice: Vec<_> = once.iter().cloned().chain(again).collect();
        let (once, twice) = (slem(&once, 500).overall, slem(&twice, 500).overall);
        assert_eq!((twice.prompts, twice.generations), (6, 12));
        assert_eq!(once.mean_acceptance_length, twice.mean_acceptance_length);
        assert_eq!(once.greedy_identical, twice.greedy_identical);
    }

    #[test]
    fn the_speedup_is_of_prompts_that_have_both() {
        let mut records = records();
        records.retain(|record| !(record.case == PLAIN && record.prompt_index == 5));
        let metrics = slem(&records, 0).overall;
        close(&metrics.target_tokens_per_second, 102.0 / 11.0);
        close(&metrics.speedup, 94.0 / 9.5 / 10.0);
    }
}
