//! Losslessness: the loop's output has the target's law, whatever the draft, the method and the
//! settings. That these tests fail where a rule is broken is shown by `mutations.rs`.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use draft::Sampling;
use proptest::prelude::*;
use support::bench::{Bench, FEWEST_P};
use support::chi_square::p_value;
use support::toy_pairs::{DRAFT_SEED, Pair, TARGET_SEED, draft_tokenizer, side, target_tokenizer};
use target::pace::Pace;
use target::propose::siblings::{Rule, Siblings};
use target::propose::{Limiting, Ngram, Nothing, Paced, Settings};
use target::{BlockVerifier, Method, SpeculateError, TokenVerifier, Verifier};

fn draws() -> u64 {
    if support::shared::is_oracle() { 100_000 } else { 10_000 }
}

fn settings() -> Vec<Sampling> {
    vec![
        Sampling::at(1.0),
        Sampling { top_p: Some(0.8), repetition_penalty: 1.3, ..Sampling::at(0.7) },
        Sampling { top_k: Some(3), ..Sampling::at(1.4) },
    ]
}

fn cases() -> Vec<(Pair, Method)> {
    let mut cases = vec![(Pair::Same, Method::Identity)];
    for pair in [Pair::Same, Pair::Crossing, Pair::Characters, Pair::Monster, Pair::Capcode] {
        let methods = [Method::Slem, Method::Tli, Method::Tree, Method::Byte];
        cases.extend(methods.map(|method| (pair, method)));
    }
    // A marker without bytes may follow itself for ever, and then no law is whole.
    cases.extend([Pair::Same, Pair::Crossing, Pair::Characters].map(|pair| (pair, Method::Slrs)));
    cases
}

/// The cases of one method.
fn of(method: Method) -> Vec<(Pair, Method)> {
    cases().into_iter().filter(|(_, own)| *own == method).collect()
}

/// What is drawn has the target's law. The p-values are shown with `--show-output`.
fn has_the_targets_law(bench: &mut Bench, verifier: &dyn Verifier, name: &str) -> u64 {
    let law = bench.law();
    assert!((law.values().sum::<f64>() - 1.0).abs() < 1e-9);
    let (counts, accepted) = bench.sample(verifier, draws());
    let p = p_value(&counts, &law);
    eprintln!("{name}: p = {p:.2e}, {accepted} accepted");
    assert!(p >= FEWEST_P, "{name}: p = {p:e}");
    accepted
}

fn holds(method: Method) {
    holds_by(&of(method), &TokenVerifier);
}

fn holds_by(cases: &[(Pair, Method)], verifier: &dyn Verifier) {
    for &(pair, method) in cases {
        for sampling in settings() {
            let name = format!("{pair:?} {method} {sampling:?}");
            let mut bench = Bench::new(pair, Some(method), sampling, 3);
            let accepted = has_the_targets_law(&mut bench, verifier, &name);
            assert!(accepted > 0, "{name}: nothing was ever accepted");
        }
    }
}

#[test]
fn chi_square_identity() {
    holds(Method::Identity);
}

#[test]
fn chi_square_slem() {
    holds(Method::Slem);
}

#[test]
fn chi_square_tli() {
    holds(Method::Tli);
}

#[test]
fn chi_square_tree_of_bpe() {
    holds_by(&of(Method::Tree)[..3], &TokenVerifier);
}

#[test]
fn chi_square_tree_of_tokenmonster() {
    holds_by(&of(Method::Tree)[3..], &TokenVerifier);
}

#[test]
fn chi_square_byte() {
    holds(Method::Byte);
}

#[test]
fn chi_square_slrs() {
    holds(Method::Slrs);
}

#[test]
fn slrs_gives_up_where_no_law_is_whole() {
    let mut bench = Bench::new(Pair::Capcode, Some(Method::Slrs), Sampling::at(1.0), 3);
    let failed = bench.run(&TokenVerifier, 0).map(drop);
    assert!(matches!(failed, Err(SpeculateError::TooManyTexts { .. })));
}

#[test]
fn chi_square_ngram() {
    for sampling in settings() {
        let mut bench = Bench::new(Pair::Crossing, None, sampling, 3);
        bench.proposer = Box::new(Ngram::default());
        bench.limits.max_new = 12;
        let name = format!("ngram {sampling:?}");
        assert!(has_the_targets_law(&mut bench, &TokenVerifier, &name) > 0);
    }
}

/// How many candidates there are hangs on what came before, and on the clock.
#[test]
fn chi_square_at_a_pace() {
    for method in [Method::Tli, Method::Byte, Method::Slem, Method::Tree] {
        let limiting = if method == Method::Tree { Limiting::Tree } else { Limiting::Row };
        let mut bench = Bench::new(Pair::Crossing, Some(method), Sampling::at(1.0), 4);
        let inner = std::mem::replace(&mut bench.proposer, Box::new(Nothing));
        bench.proposer = Box::new(Paced::new(inner, Pace::new(4, Vec::new()), limiting));
        has_the_targets_law(&mut bench, &TokenVerifier, &format!("{method} at a pace"));
    }
}

fn holds_with(cases: &[(Pair, Method)], count: Option<usize>, gamma: usize) {
    for rule in [Rule::Drawn, Rule::Greedy] {
        let siblings = Siblings { count, rule };
        for &(pair, method) in cases {
            for sampling in settings() {
                let name = format!("{pair:?} {method} {rule} {sampling:?}");
                let mut bench = Bench::with(pair, Some(method), (sampling, siblings), gamma);
                assert!(has_the_targets_law(&mut bench, &TokenVerifier, &name) > 0);
            }
        }
    }
}

#[test]
fn chi_square_siblings_of_identity() {
    holds_with(&of(Method::Identity), Some(3), 2);
}

#[test]
fn chi_square_siblings_of_tli() {
    holds_with(&of(Method::Tli), Some(3), 2);
}

#[test]
fn chi_square_siblings_of_byte() {
    holds_with(&of(Method::Byte), Some(3), 2);
}

#[test]
fn chi_square_siblings_of_slrs() {
    holds_with(&of(Method::Slrs), Some(3), 2);
}

/// Trees of drawn candidates, whose form hangs on what was accepted before.
#[test]
fn chi_square_branching() {
    holds_with(&of(Method::Byte), None, 3);
}

#[test]
fn more_candidates_are_accepted_more_often() {
    for rule in [Rule::Drawn, Rule::Greedy] {
        let accepted = |count| {
            let siblings = (Sampling::at(1.0), Siblings { count: Some(count), rule });
            Bench::with(Pair::Monster, Some(Method::Tli), siblings, 1)
                .sample(&TokenVerifier, draws())
                .1
        };
        assert!(accepted(3) > accepted(2) && accepted(2) > accepted(1), "{rule}");
    }
}

#[test]
fn chi_square_blocks_of_identity_and_tli() {
    holds_by(&[of(Method::Identity), of(Method::Tli)].concat(), &BlockVerifier);
}

#[test]
fn chi_square_blocks_of_byte() {
    holds_by(&of(Method::Byte), &BlockVerifier);
}

#[test]
fn chi_square_blocks_of_slrs() {
    holds_by(&of(Method::Slrs), &BlockVerifier);
}

#[test]
fn blocks_accept_no_fewer_and_single_candidates_alike() {
    for (pair, method) in [(Pair::Same, Method::Identity), (Pair::Monster, Method::Tli)] {
        let accepted = |gamma, verifier: &dyn Verifier| {
            Bench::new(pair, Some(method), Sampling::at(1.0), gamma).sample(verifier, draws()).1
        };
        let (tokens, blocks) = (accepted(4, &TokenVerifier), accepted(4, &BlockVerifier));
        assert!(blocks > tokens, "{pair:?} {method}: {blocks} by blocks, {tokens} by tokens");
        let (tokens, blocks) = (accepted(1, &TokenVerifier), accepted(1, &BlockVerifier));
        assert_eq!(tokens, blocks, "{pair:?} {method}");
    }
}

#[test]
fn slem_emits_plain_samplings_text_for_the_same_seed() {
    for pair in [Pair::Same, Pair::Crossing, Pair::Characters, Pair::Monster, Pair::Capcode] {
        for sampling in settings() {
            let mut plain = Bench::new(pair, None, sampling, 3);
            let mut slem = Bench::new(pair, Some(Method::Slem), sampling, 3);
            for prompt in 0..300 {
                let expected = plain.run(&TokenVerifier, prompt).unwrap();
                let found = slem.run(&TokenVerifier, prompt).unwrap();
                assert_eq!(expected.ids, found.ids, "{pair:?} {sampling:?} {prompt}");
            }
        }
    }
}

#[test]
fn greedy_ids_of_every_method_equal_plain_decoding() {
    for (pair, method) in cases() {
        for gamma in [1, 2, 5] {
            let mut plain = Bench::new(pair, None, Sampling::GREEDY, gamma);
            let mut bench = Bench::new(pair, Some(method), Sampling::GREEDY, gamma);
            for bench in [&mut plain, &mut bench] {
                bench.limits.max_new = 40;
                bench.limits.ignore_eos = true;
            }
            let expected = plain.run(&TokenVerifier, 0).unwrap();
            assert_eq!(
                expected.ids,
                bench.run(&TokenVerifier, 0).unwrap().ids,
                "{pair:?} {method}"
            );
        }
    }
}

#[test]
fn a_model_drafting_for_itself_is_always_accepted() {
    let mut bench = Bench::new(Pair::Same, Some(Method::Identity), Sampling::GREEDY, 4);
    let draft = side(target_tokenizer(Pair::Same), TARGET_SEED);
    bench.proposer = Method::Identity.proposer(draft, &bench.target, Settings::at(0.0)).unwrap();
    bench.limits.max_new = 40;
    bench.limits.ignore_eos = true;
    let generation = bench.run(&TokenVerifier, 0).unwrap();
    let tally = generation.tally;
    assert_eq!(tally.num_accepted_draft_tokens, tally.num_draft_tokens);
    assert!(tally.num_draft_tokens > 0);
}

#[test]
fn identity_refuses_two_vocabularies() {
    let target = side(target_tokenizer(Pair::Crossing), TARGET_SEED);
    let draft = side(draft_tokenizer(Pair::Crossing), DRAFT_SEED);
    let refused = Method::Identity.proposer(draft, &target, Settings::at(1.0)).map(drop);
    assert!(matches!(refused, Err(SpeculateError::VocabulariesDiffer)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Counts agree with what was emitted, whatever the limits.
    #[test]
    fn counts_are_consistent(
        case in 0..cases().len(),
        gamma in 1usize..7,
        max_new in 1usize..30,
        ignore_eos: bool,
        seed: u64,
    ) {
        let (pair, method) = cases()[case];
        let mut bench = Bench::new(pair, Some(method), Sampling::at(1.0), gamma);
        bench.limits.max_new = max_new;
        bench.limits.ignore_eos = ignore_eos;
        let generation = bench.run(&TokenVerifier, seed).unwrap();
        let tally = &generation.tally;
        prop_assert!(generation.ids.len() <= max_new);
        prop_assert_eq!(tally.num_emitted_tokens, generation.ids.len() as u64);
        prop_assert_eq!(tally.num_step_tokens + 1, tally.num_emitted_tokens);
        let histogram: u64 = tally.acceptance_histogram.iter().sum();
        prop_assert_eq!(histogram, tally.steps());
        let accepted: u64 = tally.acceptance_by_position.iter().sum();
        prop_assert_eq!(accepted, tally.num_accepted_draft_tokens);
        let proposed: u64 = tally.proposed_by_position.iter().sum();
        // A tree proposes several candidates for one position.
        prop_assert!(proposed <= tally.num_draft_tokens);
        prop_assert!(method == Method::Tree || proposed == tally.num_draft_tokens);
        prop_assert!(tally.num_step_tokens <= tally.num_accepted_draft_tokens + tally.steps());
        let ends = generation.ids.iter().filter(|&&id| bench.target.is_end(id)).count();
        prop_assert!(ignore_eos || ends <= 1);
    }
}
