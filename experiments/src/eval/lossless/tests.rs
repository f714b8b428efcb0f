//! The checks hold for honest loops, and find broken ones.

use align::Context;
use draft::{Randomness, Sampling};
use support::altered::{Altered, as_if_drawn, with_permuted_laws};
use support::mutants::Mutant;
use support::toy_pairs::{DRAFT_SEED, Pair, TARGET_SEED, draft_tokenizer, side, target_tokenizer};
use target::propose::Settings;
use target::{
    Laws, Limits, Method, Proposal, Proposer, Side, SpeculateError, TokenVerifier, Verdict,
    Verifier,
};

use super::check::{FirstToken, Identity, Subject};
use super::kept::Kept;
use crate::bench::fit::Fitted;
use crate::prompts::Prompt;

fn target() -> Side {
    side(target_tokenizer(Pair::Crossing), TARGET_SEED)
}

/// A draft of the target's vocabulary for `identity`, one of single characters for `slrs`, else one with
/// delete markers.
fn draft(method: Method) -> Side {
    let pair = match method {
        Method::Identity => Pair::Same,
        Method::Slrs => Pair::Characters,
        _ => Pair::Monster,
    };
    side(draft_tokenizer(pair), DRAFT_SEED)
}

fn prompts(target: &Side, draft: &Side) -> Vec<Fitted> {
    let fitted = |(index, text): (usize, &str)| {
        let context = |side: &Side| Context::of_text(&side.tokenizer, text.as_bytes()).unwrap();
        let pair = target::Prompt { target: context(target), draft: context(draft) };
        let (id, text) = (index.to_string(), text.to_owned());
        let prompt =
            Prompt { index, id, category: "all".into(), text, later: Vec::new(), is_chat: false };
        Fitted { prompt, pairs: vec![pair] }
    };
    ["ab", "a b", "ba ab", "b"].into_iter().enumerate().map(fitted).collect()
}

fn limits(max_new: usize) -> Limits {
    Limits { gamma: 3, max_new, ignore_eos: true, sampling: Sampling::at(1.0) }
}

/// What the three checks find of a method, its proposer changed and verified by `verifier`.
fn checked(
    method: Method,
    verifier: &dyn Verifier,
    change: impl Fn(Box<dyn Proposer>) -> Box<dyn Proposer>,
) -> (Identity, Option<Identity>, FirstToken) {
    let mut target = target();
    let prompts = prompts(&target, &draft(method));
    let make = |draft: Side, target: &Side, temperature| {
        change(method.proposer(draft, target, Settings::at(temperature)).unwrap())
    };
    let mut advance = || {};
    let mut proposer = make(draft(method), &target, 0.0);
    let mut subject = Subject { target: &mut target, proposer: proposer.as_mut(), verifier };
    let greedy = subject.greedy(&prompts, &limits(30), &mut advance).unwrap();
    let mut proposer = make(draft(method), subject.target, 1.0);
    subject.proposer = proposer.as_mut();
    let same_seed = subject.same_seed(&prompts, &limits(30), 5, &mut advance).unwrap();
    let mut target = Kept::side(target);
    let mut proposer = make(Kept::side(draft(method)), &target, 1.0);
    let mut subject = Subject { target: &mut target, proposer: proposer.as_mut(), verifier };
    let draws = (5, 4_000);
    let first = subject.first_token(&prompts[0], &limits(5), draws, &mut advance).unwrap();
    assert_eq!(first.draws, 4_000);
    assert!(first.fit.cells > 3, "{first:?}");
    (greedy, same_seed, first)
}

#[test]
fn honest_methods_hold() {
    for method in Method::ALL {
        let (greedy, same_seed, first) = checked(method, &TokenVerifier, |proposer| proposer);
        assert!(greedy.holds() && greedy.identical == 4, "{method} {greedy:?}");
        assert!(first.holds(), "{method} {first:?}");
        if let Some(same_seed) = &same_seed {
            assert!(same_seed.holds() && same_seed.identical == 4, "{method} {same_seed:?}");
        }
    }
}

#[test]
fn methods_that_draw_candidates_need_not_have_the_seeds_ids() {
    let known = [
        (Method::Identity, true),
        (Method::Tli, true),
        (Method::Slem, false),
        (Method::Tree, false),
    ];
    for (method, draws) in known {
        let (greedy, same_seed, first) = checked(method, &TokenVerifier, |proposer| proposer);
        assert_eq!(same_seed.is_none(), draws, "{method}");
        assert!(greedy.accepted > 0 && first.accepted > 0 && first.proposed > 0, "{method}");
    }
}

#[test]
fn broken_rules_are_found_by_the_law_of_the_first_token() {
    for method in [Method::Identity, Method::Tli] {
        for mutant in [Mutant::NoResidual, Mutant::AcceptsByDraft] {
            let (.., first) = checked(method, &mutant, |proposer| proposer);
            assert!(!first.holds(), "{method} {mutant:?} {first:?}");
        }
        let change = |own| -> Box<dyn Proposer> { Box::new(Altered(own, with_permuted_laws)) };
        let (.., first) = checked(method, &TokenVerifier, change);
        assert!(!first.holds(), "{method} {first:?}");
    }
    let change = |own| -> Box<dyn Proposer> { Box::new(Altered(own, as_if_drawn)) };
    let (_, same_seed, first) = checked(Method::Slem, &TokenVerifier, change);
    assert!(!first.holds() && same_seed.is_none(), "{first:?}");
}

/// Follows every candidate that was not drawn, whatever the target says.
struct Believes;

impl Verifier for Believes {
    fn verify(
        &self,
        proposal: &Proposal,
        laws: &dyn Laws,
        randomness: Randomness,
        start: usize,
    ) -> Result<Verdict, SpeculateError> {
        let Verdict { path, next } =
            TokenVerifier.verify(&Proposal::default(), laws, randomness, start)?;
        match proposal.nodes().first() {
            Some(node) => Ok(Verdict { path, next: node.token }),
            None => Ok(Verdict { path, next }),
        }
    }
}

/// Keeps the law, but draws with numbers of its own.
struct OtherNumbers;

impl Verifier for OtherNumbers {
    fn verify(
        &self,
        proposal: &Proposal,
        laws: &dyn Laws,
        randomness: Randomness,
        start: usize,
    ) -> Result<Verdict, SpeculateError> {
        let other = Randomness { seed: randomness.seed + 1, ..randomness };
        TokenVerifier.verify(proposal, laws, other, start)
    }
}

#[test]
fn a_verifier_that_believes_the_draft_is_found_by_every_check() {
    for method in [Method::Slem, Method::Tree] {
        let (greedy, same_seed, first) = checked(method, &Believes, |proposer| proposer);
        assert!(!greedy.holds() && !same_seed.unwrap().holds() && !first.holds(), "{method}");
    }
}

#[test]
fn other_random_numbers_are_found_by_the_seed_alone() {
    let (greedy, same_seed, first) = checked(Method::Slem, &OtherNumbers, |proposer| proposer);
    assert!(greedy.holds() && first.holds(), "{greedy:?} {first:?}");
    let same_seed = same_seed.unwrap();
    assert!(!same_seed.holds() && same_seed.ties.is_empty(), "{same_seed:?}");
}
