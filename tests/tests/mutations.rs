//! Tests of losslessness are worth what they find: each rule of each method and verification, broken in one
//! place, must be found by the chi-square test through the real loop, and the honest rule on the same bench
//! must not be.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use align::Context;
use draft::Sampling;
use support::altered::{
    Altered, as_if_drawn, with_laws_of_the_first, with_laws_of_the_next, with_permuted_laws,
};
use support::bench::{Bench, FEWEST_P};
use support::chi_square::p_value;
use support::mutants::{BlockMutant, Mutant};
use support::toy_pairs::Pair;
use target::propose::siblings::{Rule, Siblings};
use target::propose::{Ngram, Nothing};
use target::{BlockVerifier, Method, Proposal, TokenVerifier, Verifier};

/// The test looks at the counts after so many draws. A thousand are enough for most mutants, and 20,000 for all
/// but one: a block's forgotten weight only changes what corrects a candidate behind an accepted one, and one
/// vocabulary has fewer of those.
const LOOKS: [u64; 5] = [1_000, 5_000, 10_000, 20_000, 80_000];

/// The honest rule is drawn from at least so often.
const FEWEST_HONEST: u64 = 10_000;

/// A way to propose that is to be shown lossless by tests that find mutants.
#[derive(Clone, Copy, Debug)]
struct Case {
    pair: Pair,
    /// `None` for prompt lookup.
    method: Option<Method>,
    siblings: Siblings,
    temperature: f64,
}

impl Case {
    fn bench(self) -> Bench {
        let setting = (Sampling::at(self.temperature), self.siblings);
        let mut bench = Bench::with(self.pair, self.method, setting, 3);
        if self.method.is_none() {
            bench.proposer = Box::new(Ngram::default());
            bench.prompt.target = Context::of_text(&bench.target.tokenizer, b"ab ab ab").unwrap();
        }
        bench
    }

    /// After how many draws, at most `most`, the test finds that a rule is broken.
    fn found(self, verifier: &dyn Verifier, alter: Option<Alteration>, most: u64) -> Option<u64> {
        let mut bench = self.bench();
        if let Some(alter) = alter {
            let honest = std::mem::replace(&mut bench.proposer, Box::new(Nothing));
            bench.proposer = Box::new(Altered(honest, alter));
        }
        let (law, mut counts, mut drawn) = (bench.law(), HashMap::new(), 0);
        LOOKS.into_iter().filter(|&look| look <= most).find(|&look| {
            bench.sample_more(verifier, drawn..look, &mut counts);
            drawn = look;
            p_value(&counts, &law) < FEWEST_P
        })
    }
}

type Alteration = fn(&Proposal) -> Proposal;

/// A verifier, and what is done to proposals before it sees them.
type Broken<'a> = (&'a str, &'a dyn Verifier, Option<Alteration>);

/// The mutants are found, and the honest rule is not by as many draws; `plain`, the mutant with no change, decides
/// as that one does.
fn are_found(cases: &[Case], (honest, plain): (&dyn Verifier, &dyn Verifier), broken: &[Broken]) {
    for case in cases {
        let (mut bench, mut other) = (case.bench(), case.bench());
        for prompt in 0..200 {
            let ids = bench.run(honest, prompt).unwrap().ids;
            assert_eq!(ids, other.run(plain, prompt).unwrap().ids, "{case:?}");
        }
        let mut needed = FEWEST_HONEST;
        for &(name, verifier, alter) in broken {
            let found = case.found(verifier, alter, LOOKS[LOOKS.len() - 1]);
            assert!(found.is_some(), "{case:?}: the test does not find {name}");
            needed = needed.max(found.unwrap_or_default());
        }
        assert_eq!(case.found(honest, None, needed), None, "{case:?}: the honest rule is refused");
    }
}

const ONE: Siblings = Siblings { count: Some(1), rule: Rule::Drawn };

/// A pair for each method that draws its candidates.
fn drawing() -> [(Pair, Method); 4] {
    [
        (Pair::Same, Method::Identity),
        (Pair::Monster, Method::Tli),
        (Pair::Crossing, Method::Byte),
        (Pair::Crossing, Method::Slrs),
    ]
}

fn plain(pair: Pair, siblings: Siblings) -> Case {
    Case { pair, method: None, siblings, temperature: 1.0 }
}

fn with(siblings: Siblings, methods: &[(Pair, Method)]) -> Vec<Case> {
    let case =
        |&(pair, method): &(Pair, Method)| Case { method: Some(method), ..plain(pair, siblings) };
    methods.iter().map(case).collect()
}

const FALSE_LAWS: [(&str, Alteration); 2] = [
    ("permuted laws", with_permuted_laws as Alteration),
    ("laws of the next place", with_laws_of_the_next),
];

/// Laws that are not those that were drawn from, under a verifier.
fn false_laws(verifier: &dyn Verifier) -> impl Iterator<Item = Broken<'_>> {
    FALSE_LAWS.into_iter().map(move |(name, alter)| (name, verifier, Some(alter)))
}

#[test]
fn a_broken_rule_for_chains_is_found() {
    let mut broken: Vec<Broken> = vec![
        ("no residual", &Mutant::NoResidual, None),
        ("acceptance by the draft's probability", &Mutant::AcceptsByDraft, None),
    ];
    broken.extend(false_laws(&TokenVerifier));
    are_found(&with(ONE, &drawing()), (&TokenVerifier, &Mutant::Honest), &broken);
}

#[test]
fn a_broken_rule_for_blocks_is_found() {
    let mut broken: Vec<Broken> = vec![
        ("no residual", &BlockMutant::NoResidual, None),
        ("a residual of p's whole weight", &BlockMutant::WeightForgotten, None),
        ("a stop at the first failure", &BlockMutant::StopsAtFirstFailure, None),
        ("acceptance by the draft's probability", &BlockMutant::AcceptsByDraft, None),
    ];
    broken.extend(false_laws(&BlockVerifier));
    let mut cases = with(ONE, &drawing());
    // Fewer draws are enough there.
    cases[1..].iter_mut().for_each(|case| case.temperature = 2.0);
    are_found(&cases, (&BlockVerifier, &BlockMutant::Honest), &broken);
}

/// What may be broken where several candidates stand at one place.
fn broken_trees() -> Vec<Broken<'static>> {
    let mut broken: Vec<Broken> = vec![
        ("no residual", &Mutant::NoResidual, None),
        ("each candidate against p itself", &Mutant::EachAgainstTarget, None),
        ("acceptance by the draft's probability", &Mutant::AcceptsByDraft, None),
        ("laws with the candidates before", &TokenVerifier, Some(with_laws_of_the_first)),
    ];
    broken.extend(false_laws(&TokenVerifier));
    broken
}

/// What may be broken where some of them were chosen.
fn broken_choices() -> [Broken<'static>; 2] {
    [
        ("chosen candidates as if drawn", &TokenVerifier, Some(as_if_drawn)),
        ("acceptance of chosen candidates by belief", &Mutant::AcceptsByBelief, None),
    ]
}

#[test]
fn a_broken_rule_for_drawn_siblings_is_found() {
    let siblings = Siblings { count: Some(3), rule: Rule::Drawn };
    let rules: (&dyn Verifier, &dyn Verifier) = (&TokenVerifier, &Mutant::Honest);
    are_found(&with(siblings, &drawing()), rules, &broken_trees());
}

#[test]
fn a_broken_rule_for_greedy_siblings_is_found() {
    let siblings = Siblings { count: Some(3), rule: Rule::Greedy };
    let rules: (&dyn Verifier, &dyn Verifier) = (&TokenVerifier, &Mutant::Honest);
    let broken = [broken_trees(), broken_choices().to_vec()].concat();
    are_found(&with(siblings, &drawing()), rules, &broken);
}

#[test]
fn a_broken_rule_for_trees_that_branch_is_found() {
    let byte = [(Pair::Crossing, Method::Byte)];
    let rules: (&dyn Verifier, &dyn Verifier) = (&TokenVerifier, &Mutant::Honest);
    let drawn = Siblings { count: None, rule: Rule::Drawn };
    are_found(&with(drawn, &byte), rules, &broken_trees());
    let greedy = Siblings { count: None, rule: Rule::Greedy };
    let broken = [broken_trees(), broken_choices().to_vec()].concat();
    are_found(&with(greedy, &byte), rules, &broken);
}

#[test]
fn a_broken_rule_for_chosen_candidates_is_found() {
    let chosen = |method| Case { method, ..plain(Pair::Crossing, ONE) };
    let cases = [Some(Method::Slem), Some(Method::Tree), None].map(chosen);
    are_found(&cases, (&TokenVerifier, &Mutant::Honest), &broken_choices());
}
