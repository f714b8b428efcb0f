//! Every figure of a summary, computed by hand from six made-up prompts.

use super::*;
use crate::bench::record::{Kind, SCHEMA};
use crate::report::samples::case;

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

/// One of them.
pub(crate) fn record(prompt_index: usize, case: &str) -> Record {
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
        run: "run".to_owned(),
        case: case.to_owned(),
        case_key: case.to_owned(),
        draft: "llama-68m".to_owned(),
        method: case.to_owned(),
        gamma: 2,
        tree_nodes: None,
        temperature: 0.0,
        prompt_index,
        prompt_id: prompt_index.to_string(),
        category: category.to_owned(),
        repeat: 0,
        turn: 0,
        note: None,
        prompt_tokens: 10,
        draft_prompt_tokens: 12,
        ids: Vec::new(),
        text: String::new(),
        finish: if prompt_index < 3 { Finish::Eos } else { Finish::Length },
        counts,
        seconds: Seconds { prefill, draft, align, verify, other, total },
        verify_passes: if case == PLAIN {
            passes((0, emitted), (0, 0))
        } else {
            passes((2, steps), (0, plain_steps))
        },
        repeats_itself: prompt_index == 5,
        greedy: (case != PLAIN).then_some(check),
    }
}

/// Passes of a tenth of a second over no candidate, of 0.12 over several.
fn passes(first: (usize, u64), second: (usize, u64)) -> PassTimes {
    let mut passes = PassTimes::default();
    for (candidates, count) in [first, second] {
        let seconds = if candidates == 0 { 0.1 } else { 0.12 };
        (0..count).for_each(|_| passes.add(candidates, seconds));
    }
    passes
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
        draft_model_tokens: 4 * steps,
        draft_model_passes: 3 * steps,
        draft_window_slides: 0,
        accepted_by_candidate: vec![one + two, two],
        observed: observed([none, one, two]),
    }
}

/// The draft believed in the first candidate of a step, at 0.3 nats, more than in the second, at 1.2.
fn observed([none, one, two]: [u64; 3]) -> target::Observed {
    let bins = |first: usize, second: usize| {
        let mut bins = target::Bins::default();
        let of = |own: usize, first_count: u64, second_count: u64| {
            if own == first {
                first_count
            } else if own == second {
                second_count
            } else {
                0
            }
        };
        let bound = first.max(second) + 1;
        bins.candidates = (0..bound).map(|own| of(own, none + one + two, one + two)).collect();
        bins.accepted = (0..bound).map(|own| of(own, one + two, two)).collect();
        bins
    };
    target::Observed { by_probability: bins(8, 3), by_entropy: bins(0, 2) }
}

fn slem(records: &[Record], resamples: usize) -> CaseSummary {
    summarise_case(records, &case("slem"), &PassTimes::default(), Resampling { resamples, seed: 7 })
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
    close(&metrics.mean_accepted_tokens, 43.0 / 53.0);
    let bins = &metrics.acceptance_by_probability;
    assert_eq!([bins[0].from, bins[1].from], [0.3, 0.8]);
    assert_eq!([bins[0].candidates, bins[1].candidates], [28, 50]);
    close(&bins[1].acceptance, 28.0 / 50.0);
    assert_eq!(metrics.acceptance_by_entropy[1].from, 1.0);
    close(&metrics.acceptance_by_entropy[1].acceptance, 15.0 / 28.0);
    assert_eq!(metrics.repeating_share, Some(1.0 / 6.0));
    // 53 passes of the target and 150 draft tokens.
    for (at, expected) in metrics.speedup_at_cost.iter().zip([
        (0.01, 96.0 / 54.5),
        (0.05, 96.0 / 60.5),
        (0.1, 96.0 / 68.0),
        (0.3, 96.0 / 98.0),
    ]) {
        assert_eq!(at.cost_ratio, expected.0);
        close(&at.speedup, expected.1);
    }
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
    let none = PassTimes::default();
    let cases = summarise(&records, &[case(PLAIN), case("slem")], &none, resampling);
    assert_eq!([&cases[0].case, &cases[1].case], [PLAIN, "slem"]);
    let plain = &cases[0].overall;
    close(&plain.target_tokens_per_second, 10.0);
    close(&plain.mean_acceptance_length, 1.0);
    assert_eq!(plain.speedup, Estimate::default());
    assert!(plain.speedup_at_cost.is_empty());
    assert!(summarise(&[], &[], &none, resampling).is_empty());
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
