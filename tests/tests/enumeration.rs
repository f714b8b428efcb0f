//! Every method's output law over three tokens, enumerated: all candidates that its proposer gives, all ways
//! to verify them, no randomness. What is enumerated is the proposers' own work: they are asked with so
//! many seeds that all that they may propose has been seen.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use align::Context;
use draft::{Law, Randomness, Sampling};
use support::toy::{Table, ToyModel};
use support::toy_pairs::{DRAFT_SEED, Pair, TARGET_SEED, draft_tokenizer, target_tokenizer};
use target::propose::siblings::{Rule, Siblings};
use target::propose::tree::Size;
use target::propose::{Ngram, Round, Settings};
use target::verify::rejection::residual;
use target::{Clock, Method, Proposal, Proposer, Side};

const PROMPT: &str = "ab";
/// Tokens whose law is compared.
const COMPARED: usize = 3;
/// So that no candidate is too rare to be seen.
const SPREAD: f32 = 1.0;
const MOST_SEEDS: u64 = 200_000;

fn side(pair: Pair, is_target: bool) -> Side {
    let (tokenizer, seed) = if is_target {
        (target_tokenizer(pair), TARGET_SEED)
    } else {
        (draft_tokenizer(pair), DRAFT_SEED)
    };
    let model = ToyModel::new(tokenizer.vocabulary().rows(), seed);
    let eos = tokenizer.eos().into_iter().collect();
    Side::new(tokenizer, model.with_context(256).with_spread(SPREAD).session(), eos)
}

/// One pair, one method, and what is known of the output law.
struct Enumeration {
    target: Side,
    proposer: Box<dyn Proposer>,
    prompt: target::Prompt,
    gamma: usize,
    table: Table,
    law: HashMap<Vec<u32>, f64>,
}

/// The probability that these candidates are proposed: that each is drawn from its law.
fn chance(proposal: &Proposal) -> f64 {
    let drawn = proposal.nodes().iter().filter_map(|node| Some((node.token, node.law()?)));
    drawn.map(|(token, law)| law.probability(token)).product()
}

impl Enumeration {
    fn new(
        pair: Pair,
        method: Option<Method>,
        (size, siblings): (Size, Siblings),
        gamma: usize,
    ) -> Self {
        let (target, draft) = (side(pair, true), side(pair, false));
        let context = |side: &Side| Context::of_text(&side.tokenizer, PROMPT.as_bytes()).unwrap();
        let prompt = target::Prompt { target: context(&target), draft: context(&draft) };
        let settings = Settings { temperature: 1.0, size, siblings };
        let proposer: Box<dyn Proposer> = match method {
            Some(method) => method.proposer(draft, &target, settings).unwrap(),
            None => Box::new(Ngram::default()),
        };
        let rows = target.session.model().rows();
        let table = Table::new(rows, TARGET_SEED).with_spread(SPREAD);
        Self { target, proposer, prompt, gamma, table, law: HashMap::new() }
    }

    /// The target's law behind emitted tokens.
    fn p(&mut self, emitted: &[u32]) -> Law {
        let prefix = [self.prompt.target.ids(), emitted].concat();
        Sampling::at(1.0).law(&self.table.logits(&prefix), &[&prefix])
    }

    fn propose(&mut self, emitted: &[u32], seed: u64) -> Proposal {
        let mut clock = Clock::start();
        let mut committed = self.prompt.target.clone();
        let vocabulary = self.target.tokenizer.vocabulary();
        let mut state = vocabulary.state_after(committed.ids());
        let before = committed.text().len();
        for &token in emitted {
            committed.push(&self.target.tokenizer, &mut state, token);
        }
        self.proposer.begin(&self.prompt.draft, &mut clock).unwrap();
        self.proposer.commit(emitted, &committed.text()[before..], &mut clock).unwrap();
        let round = Round {
            target: self.target.reader(),
            committed: &committed,
            budget: self.gamma,
            room: 64,
            ignore_eos: false,
            position: emitted.len(),
            randomness: Randomness { seed, prompt: 0 },
            known: None,
        };
        self.proposer.propose(&round, &mut clock).unwrap()
    }

    /// All that may be proposed behind emitted tokens, with its probability.
    fn proposals(&mut self, emitted: &[u32]) -> Vec<(Proposal, f64)> {
        let mut found: HashMap<Vec<u32>, (Proposal, f64)> = HashMap::new();
        let mut seen = 0.0;
        for seed in 0..MOST_SEEDS {
            let proposal = self.propose(emitted, seed);
            let name = proposal.nodes().iter().map(|node| node.token).collect();
            found.entry(name).or_insert_with(|| {
                let chance = chance(&proposal);
                seen += chance;
                (proposal, chance)
            });
            if seen > 1.0 - 1e-12 {
                assert!(seen < 1.0 + 1e-9, "what is drawn has one law: {seen}");
                return found.into_values().collect();
            }
        }
        panic!("only {seen} of the candidates' mass was seen behind {emitted:?}");
    }

    /// Walks all ways on from emitted tokens.
    fn walk(&mut self, emitted: &[u32], mass: f64) {
        let ended = emitted.last().is_some_and(|&last| self.target.is_end(last));
        if emitted.len() >= COMPARED || ended {
            *self.law.entry(emitted[..emitted.len().min(COMPARED)].to_vec()).or_default() += mass;
            return;
        }
        let mut outcomes: HashMap<Vec<u32>, f64> = HashMap::new();
        for (proposal, chance) in self.proposals(emitted) {
            self.verify(emitted, &proposal, None, chance, &mut outcomes);
        }
        for (longer, chance) in outcomes {
            self.walk(&longer, mass * chance);
        }
    }

    /// All ways to verify a proposal from `node` on, which is reached with probability `reached`.
    fn verify(
        &mut self,
        emitted: &[u32],
        proposal: &Proposal,
        node: Option<usize>,
        reached: f64,
        outcomes: &mut HashMap<Vec<u32>, f64>,
    ) {
        let text = [emitted, &proposal.path_to(node)].concat();
        if text.last().is_some_and(|&last| self.target.is_end(last)) {
            *outcomes.entry(text).or_default() += reached;
            return;
        }
        let p = self.p(&text);
        let children: Vec<usize> = proposal.children(node).collect();
        let (drawn, chosen): (Vec<usize>, Vec<usize>) =
            children.into_iter().partition(|&child| proposal.nodes()[child].law().is_some());
        let token = |child: usize| proposal.nodes()[child].token;
        let tokens: Vec<u32> = chosen.iter().map(|&child| token(child)).collect();
        let mut left = 1.0;
        for child in chosen {
            let mass = p.probability(token(child));
            left -= mass;
            self.verify(emitted, proposal, Some(child), reached * mass, outcomes);
        }
        // The others are tested one after the other against what is left of the law.
        let mut rest = p.without(&tokens);
        for child in drawn {
            let q = proposal.nodes()[child].law().unwrap();
            let share = (rest.probability(token(child)) / q.probability(token(child))).min(1.0);
            if left * share > 0.0 {
                self.verify(emitted, proposal, Some(child), reached * left * share, outcomes);
            }
            left *= 1.0 - share;
            let masses: Vec<(u32, f64)> =
                residual(&rest, q).map(|(id, mass)| (id, mass.ln())).collect();
            if masses.is_empty() || left <= 0.0 {
                return;
            }
            rest = Law::sparse(masses);
        }
        for (id, mass) in rest.entries() {
            *outcomes.entry([&text[..], &[id]].concat()).or_default() += reached * left * mass;
        }
    }

    /// The target's own law of the first tokens.
    fn expected(&mut self) -> HashMap<Vec<u32>, f64> {
        let (mut law, mut open) = (HashMap::new(), vec![(Vec::new(), 1.0)]);
        while let Some((text, mass)) = open.pop() {
            for (id, p) in self.p(&text).entries() {
                let longer = [&text[..], &[id]].concat();
                if longer.len() == COMPARED || self.target.is_end(id) {
                    law.insert(longer, mass * p);
                } else {
                    open.push((longer, mass * p));
                }
            }
        }
        law
    }

    fn holds(mut self, name: &str) {
        self.walk(&[], 1.0);
        let expected = self.expected();
        assert!((self.law.values().sum::<f64>() - 1.0).abs() < 1e-9, "{name}");
        for (text, mass) in &expected {
            let found = self.law.get(text).copied().unwrap_or(0.0);
            assert!((found - mass).abs() < 1e-9, "{name} {text:?}: {found} and not {mass}");
        }
        assert!(self.law.keys().all(|text| expected.contains_key(text)), "{name}");
    }
}

const PAIRS: [Pair; 5] =
    [Pair::Same, Pair::Crossing, Pair::Characters, Pair::Monster, Pair::Capcode];

fn holds(method: Method, pairs: &[Pair], sizes: &[Size], longest: usize) {
    holds_with(Siblings::default(), method, pairs, (sizes, longest));
}

fn holds_with(
    siblings: Siblings,
    method: Method,
    pairs: &[Pair],
    (sizes, longest): (&[Size], usize),
) {
    for &pair in pairs {
        for &size in sizes {
            for gamma in 1..=longest {
                let name = format!("{pair:?} {method} {size:?} {siblings:?} {gamma}");
                Enumeration::new(pair, Some(method), (size, siblings), gamma).holds(&name);
            }
        }
    }
}

fn sizes() -> [Size; 3] {
    [(1, 1), (4, 2), (12, 5)].map(|(nodes, beam)| Size { nodes, beam })
}

#[test]
fn identity_has_the_targets_law() {
    holds(Method::Identity, &[Pair::Same], &sizes()[..1], 2);
}

#[test]
fn tli_has_the_targets_law() {
    holds(Method::Tli, &PAIRS, &sizes()[..1], 2);
}

#[test]
fn byte_has_the_targets_law_however_it_is_cut_off() {
    holds(Method::Byte, &PAIRS, &sizes(), 2);
}

#[test]
fn trees_of_drawn_candidates_have_the_targets_law() {
    for rule in [Rule::Drawn, Rule::Greedy] {
        // Three drawn ones are too rare to be seen all.
        let sizes = [(2, 1), (2, 4)].map(|(nodes, beam)| Size { nodes, beam });
        let siblings = Siblings { count: None, rule };
        holds_with(siblings, Method::Byte, &PAIRS, (&sizes, 2));
        let several = Siblings { count: Some(2), rule };
        holds_with(several, Method::Byte, &PAIRS, (&sizes[1..], 1));
    }
}

#[test]
fn slrs_has_the_targets_law() {
    // Two in a row are too rare to be seen all.
    holds(Method::Slrs, &PAIRS[..3], &sizes()[1..2], 1);
}

#[test]
fn slem_has_the_targets_law() {
    holds(Method::Slem, &PAIRS, &sizes()[..1], 2);
}

#[test]
fn trees_have_the_targets_law() {
    holds(Method::Tree, &PAIRS, &sizes(), 2);
}

#[test]
fn prompt_lookup_has_the_targets_law() {
    for pair in PAIRS {
        Enumeration::new(pair, None, (Size::default(), Siblings::default()), 2)
            .holds(&format!("{pair:?} ngram"));
    }
}
