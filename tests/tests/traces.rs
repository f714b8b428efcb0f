//! Replay of recorded texts beside the loop with the target at hand: equal counts where nothing is drawn, the
//! same law of counts where candidates are.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use align::Context;
use draft::{Randomness, Sampling};
use support::toy_pairs::{DRAFT_SEED, Pair, TARGET_SEED, draft_tokenizer, side, target_tokenizer};
use target::propose::siblings::{Rule, Siblings};
use target::propose::tree::Size;
use target::propose::{Ngram, Settings};
use target::trace::{Kind, Replay, Text, bytes_of, check_replayable, record};
use target::{
    Limits, Method, Prompt, Proposer, Side, SpeculateError, Tally, Verification, speculate,
};

const PROMPT: &str = "ab";
const SEED: u64 = 5;
const MAX_NEW: usize = 12;
/// Standard errors that two means of equal law may differ by.
const MOST_ERRORS: f64 = 4.5;

/// How candidates come about and are verified.
#[derive(Clone, Copy, Debug)]
struct Case {
    pair: Pair,
    /// None for n-grams.
    method: Option<Method>,
    sampling: Sampling,
    draft_temperature: f64,
    siblings: Siblings,
    verification: Verification,
}

impl Case {
    fn new(pair: Pair, method: Option<Method>, temperature: f64) -> Self {
        Self {
            pair,
            method,
            sampling: Sampling::at(temperature),
            draft_temperature: temperature,
            siblings: Siblings { count: None, rule: Rule::Drawn },
            verification: Verification::Token,
        }
    }

    /// One candidate a place.
    fn alone(self) -> Self {
        Self { siblings: Siblings::default(), ..self }
    }

    fn settings(self) -> Settings {
        let size = Size { nodes: 6, beam: 3 };
        Settings { temperature: self.draft_temperature, size, siblings: self.siblings }
    }

    fn limits(self) -> Limits {
        Limits { gamma: 3, max_new: MAX_NEW, ignore_eos: false, sampling: self.sampling }
    }

    fn proposer(self, target: &Side) -> Box<dyn Proposer> {
        let draft = side(draft_tokenizer(self.pair), DRAFT_SEED);
        match self.method {
            Some(method) => method.proposer(draft, target, self.settings()).unwrap(),
            None => Box::new(Ngram::default()),
        }
    }

    fn prompt(self, target: &Side) -> Prompt {
        let draft = draft_tokenizer(self.pair);
        let draft = if self.method.is_none() { &target.tokenizer } else { &draft };
        let read = |tokenizer| Context::of_text(tokenizer, PROMPT.as_bytes()).unwrap();
        Prompt { target: read(&target.tokenizer), draft: read(draft) }
    }

    /// Counts of so many generations with the target at hand.
    fn live(self, count: usize) -> Vec<Tally> {
        let mut target = side(target_tokenizer(self.pair), TARGET_SEED);
        let (prompt, limits) = (self.prompt(&target), self.limits());
        let mut proposer = self.proposer(&target);
        let verifier = self.verification.verifier();
        let mut run = |prompt_index| {
            let randomness = Randomness { seed: SEED, prompt: prompt_index as u64 };
            let proposer = proposer.as_mut();
            speculate(&mut target, proposer, verifier, &prompt, &limits, randomness).unwrap().tally
        };
        (0..count).map(&mut run).collect()
    }

    /// Texts that the target writes by itself.
    fn texts(self, count: usize) -> Vec<Text> {
        let mut target = side(target_tokenizer(self.pair), TARGET_SEED);
        let (prompt, limits) = (self.prompt(&target), self.limits());
        (0..count).map(|index| text(&mut target, &prompt, &limits, index)).collect()
    }

    /// Counts by texts alone.
    fn replayed(self, texts: &[Text]) -> Result<Vec<Tally>, SpeculateError> {
        let target = side(target_tokenizer(self.pair), TARGET_SEED);
        let prompt = self.prompt(&target);
        let mut proposer = self.proposer(&target);
        let (reader, limits) = (target.reader(), self.limits());
        let replay = Replay { reader, limits, verification: self.verification, seed: SEED };
        let mut run = |text: &Text| {
            let found = replay.run(proposer.as_mut(), text, &prompt)?;
            assert_eq!((&found.ids, found.finish), (&text.ids, text.finish));
            Ok(found.tally)
        };
        texts.iter().map(&mut run).collect()
    }
}

fn text(target: &mut Side, prompt: &Prompt, limits: &Limits, prompt_index: usize) -> Text {
    let randomness = Randomness { seed: SEED, prompt: prompt_index as u64 };
    let (made, heard) = record(target, prompt, limits, randomness, 2).unwrap();
    let prompt_ids = prompt.target.ids().to_vec();
    Text {
        kind: Kind::Text,
        prompt_index,
        prompt_id: prompt_index.to_string(),
        category: "all".to_owned(),
        repeat: 0,
        turn: 0,
        said: vec![PROMPT.to_owned()],
        bytes: bytes_of(&prompt_ids, &made.ids, target.reader()),
        prompt_ids,
        rendered: None,
        ids: made.ids,
        logprobs: heard.iter().map(|heard| heard.log).collect(),
        top: Some(heard.into_iter().map(|heard| heard.top).collect()),
        finish: made.finish,
    }
}

const PAIRS: [Pair; 5] =
    [Pair::Same, Pair::Crossing, Pair::Characters, Pair::Monster, Pair::Capcode];

fn for_every_pair(methods: &[Method], mut check: impl FnMut(Pair, Option<Method>)) {
    for pair in PAIRS {
        check(pair, None);
        for &method in methods {
            check(pair, Some(method));
        }
    }
    if methods.contains(&Method::Tli) {
        check(Pair::Same, Some(Method::Identity));
    }
}

fn accepted(tallies: &[Tally]) -> u64 {
    tallies.iter().map(|tally| tally.num_accepted_draft_tokens).sum()
}

#[test]
fn at_temperature_0_all_counts_are_those_of_the_target_at_hand() {
    let methods = [Method::Slem, Method::Tli, Method::Tree, Method::Byte];
    for_every_pair(&methods, |pair, method| {
        for siblings in [None, Some(1), Some(2)] {
            for verification in Verification::ALL {
                let siblings = Siblings { count: siblings, rule: Rule::Drawn };
                let case = Case { siblings, verification, ..Case::new(pair, method, 0.0) };
                // The text is the same each time; what a method has learnt is not.
                let (live, texts) = (case.live(5), case.texts(5));
                assert_eq!(case.replayed(&texts).unwrap(), live, "{case:?}");
            }
        }
    });
}

#[test]
fn what_is_chosen_is_counted_as_with_the_target_at_hand_at_every_temperature() {
    let mut whole = 0;
    for_every_pair(&[Method::Slem, Method::Tree], |pair, method| {
        for temperature in [0.7, 1.0] {
            let case = Case::new(pair, method, temperature);
            let live = case.live(100);
            assert_eq!(case.replayed(&case.texts(100)).unwrap(), live, "{case:?}");
            whole += accepted(&live);
        }
    });
    // What byte chooses, not drawing, is a tree of chosen ones.
    for pair in PAIRS {
        let case = Case { draft_temperature: 0.0, ..Case::new(pair, Some(Method::Byte), 1.0) };
        let live = case.live(50);
        assert_eq!(case.replayed(&case.texts(50)).unwrap(), live, "{case:?}");
    }
    assert!(whole > 0);
}

/// By how many standard errors the means of two samples differ.
fn errors(one: &[Tally], other: &[Tally], count: impl Fn(&Tally) -> u64) -> f64 {
    let moments = |tallies: &[Tally]| {
        let size = tallies.len() as f64;
        let values: Vec<f64> = tallies.iter().map(|tally| count(tally) as f64).collect();
        let mean = values.iter().sum::<f64>() / size;
        let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (mean, square / (size - 1.0) / size)
    };
    let ((one, own), (other, its)) = (moments(one), moments(other));
    (one - other).abs() / (own + its).sqrt().max(1e-12)
}

/// The largest difference in what the first rejection decides: accepted candidates, passes, and passes that
/// accepted all, some or none.
fn largest(one: &[Tally], other: &[Tally]) -> f64 {
    let exactly = |count: usize| {
        move |tally: &Tally| tally.acceptance_histogram.get(count).copied().unwrap_or(0)
    };
    let accepted = errors(one, other, |tally| tally.num_accepted_draft_tokens);
    let steps = errors(one, other, Tally::steps);
    let exact = (0..4).map(|count| errors(one, other, exactly(count)));
    exact.fold(accepted.max(steps), f64::max)
}

fn drawn_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for verification in Verification::ALL {
        let pairs = [Pair::Crossing, Pair::Characters, Pair::Monster, Pair::Capcode];
        let methods = [Method::Tli, Method::Byte];
        let mut all: Vec<(Pair, Method)> =
            pairs.iter().flat_map(|&pair| methods.map(|method| (pair, method))).collect();
        all.extend([(Pair::Same, Method::Identity), (Pair::Crossing, Method::Slrs)]);
        let case =
            |(pair, method)| Case { verification, ..Case::new(pair, Some(method), 1.0) }.alone();
        cases.extend(all.into_iter().map(case));
    }
    let truncated = Sampling { top_p: Some(0.8), repetition_penalty: 1.3, ..Sampling::at(0.7) };
    let other = Case { sampling: truncated, ..Case::new(Pair::Same, Some(Method::Identity), 1.0) };
    cases.push(other.alone());
    cases
}

#[test]
fn drawn_candidates_are_accepted_as_often_as_with_the_target_at_hand() {
    let count = if support::shared::is_oracle() { 20_000 } else { 2_000 };
    let mut found = 0;
    for case in drawn_cases() {
        let (live, texts) = (case.live(count), case.texts(count));
        let replayed = case.replayed(&texts).unwrap();
        let differs = largest(&live, &replayed);
        assert!(differs < MOST_ERRORS, "{case:?}: {differs}");
        assert!(accepted(&live) > 0, "{case:?}");
        // The same with probabilities that are not the target's.
        let certain = |text: &Text| Text { logprobs: vec![0.0; text.ids.len()], ..text.clone() };
        let wrong: Vec<Text> = texts.iter().map(certain).collect();
        found += usize::from(largest(&live, &case.replayed(&wrong).unwrap()) > MOST_ERRORS);
    }
    assert!(found > drawn_cases().len() / 2, "wrong probabilities were found {found} times only");
}

#[test]
fn several_drawn_candidates_are_refused() {
    let case = Case::new(Pair::Crossing, Some(Method::Byte), 1.0);
    let two = Siblings { count: Some(2), rule: Rule::Drawn };
    let greedy = Siblings { count: Some(2), rule: Rule::Greedy };
    for siblings in [case.siblings, two, greedy] {
        let case = Case { siblings, ..case };
        let settings = case.settings();
        assert!(check_replayable(Method::Byte, settings).is_err(), "{siblings:?}");
        let refused = case.replayed(&case.texts(20));
        assert!(matches!(refused, Err(SpeculateError::SeveralDrawn)), "{siblings:?}");
        let chosen = Settings { temperature: 0.0, ..settings };
        assert!(check_replayable(Method::Byte, chosen).is_ok());
    }
    assert!(check_replayable(Method::Byte, case.alone().settings()).is_ok());
    for method in [Method::Slem, Method::Tree, Method::Tli] {
        assert!(check_replayable(method, case.settings()).is_ok(), "{method}");
    }
}

/// What is recorded is plain sampling, with the probabilities of what was drawn.
#[test]
fn what_is_recorded_is_what_was_drawn() {
    let case = Case::new(Pair::Crossing, None, 0.7);
    let mut target = side(target_tokenizer(case.pair), TARGET_SEED);
    let prompt = case.prompt(&target);
    for text in case.texts(30) {
        for (at, (&id, &log)) in text.ids.iter().zip(&text.logprobs).enumerate() {
            let before = [prompt.target.ids(), &text.ids[..at]].concat();
            target.session.reset();
            let logits = target.session.advance_to(&before).unwrap();
            let law = case.sampling.law(logits, &[&before]);
            assert!((law.probability(id).ln() - log).abs() < 1e-12);
            let top = &text.top.as_ref().unwrap()[at];
            let best = law.entries().map(|(_, mass)| mass).fold(0.0, f64::max);
            assert!(top.len() == 2 && (top[0].1 - best.ln()).abs() < 1e-12 && top[0].1 >= top[1].1);
        }
        assert!(text.check_bytes(target.reader()).is_ok());
    }
}
