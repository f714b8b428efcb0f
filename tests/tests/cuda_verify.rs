//! Verification on the device, run on the CPU: it decides as the host's rules do on the same logits,
//! and keeps what was accepted.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::rc::Rc;
use std::sync::OnceLock;

use draft::cuda::{Cached, Gpu, Loop, Network, Tuning};
use draft::judging::{Candidate, Case, Verdict};
use draft::language_model::{LanguageModel, Wanted};
use draft::{Law, Logits, ModelError, Purpose, Randomness, Sampling};
use support::checkpoints::{tiny_config, write_formula_bf16};
use support::on_cpu::{OnCpu, Played};
use target::proposal::{Origin, Proposal};
use target::verify::{Laws, TokenVerifier, Verifier};
use tempfile::TempDir;

const ROWS: usize = 40;
const PROMPT: [u32; 5] = [3, 1, 4, 1, 5];

/// Two models of one shape with different weights.
struct Pair {
    _folders: [TempDir; 2],
    target: OnCpu,
    draft: OnCpu,
}

fn pair() -> Option<&'static Pair> {
    static BUILT: OnceLock<Option<Pair>> = OnceLock::new();
    let build = || {
        let folders = [1, 2].map(|seed| {
            let folder = tempfile::tempdir().unwrap();
            write_formula_bf16(folder.path(), &tiny_config(ROWS), seed);
            folder
        });
        let tuning = Tuning { threads: 64, cluster: 2, cached: Cached::Fp32, capacity: 8 };
        let played = Played { blocks: 4, shared_bytes: 9000 };
        let target = OnCpu::build(folders[0].path(), tuning, played)?;
        let draft = target.of_model(folders[1].path());
        Some(Pair { _folders: folders, target, draft })
    };
    BUILT.get_or_init(build).as_ref()
}

/// The laws behind the nodes of a proposal; the first row stands behind the committed text.
struct Rows(Logits, Sampling);

impl Laws for Rows {
    fn after(&self, node: Option<usize>) -> Law {
        self.1.law(self.0.row(node.map_or(0, |node| node + 1)), &[])
    }
}

/// A target that has read the prompt but for its last id.
fn reader(on_cpu: &OnCpu, gpu: &Rc<Gpu>) -> Network {
    let mut target = Network::new(on_cpu.engine_on(gpu, 1), Loop::Graph).unwrap();
    target.extend(&PROMPT[..4], Wanted::Last).unwrap();
    target
}

/// What the host decides, from the device's logits.
fn by_host(proposal: &Proposal, target: &mut Network, case: &Case<'_>) -> Verdict {
    let base = target.length();
    let tokens = proposal.nodes().iter().map(|node| node.token);
    let ids: Vec<u32> = [case.last].into_iter().chain(tokens).collect();
    let below = |parent: Option<usize>| Some(parent.map_or(0, |parent| parent + 1));
    let nodes = proposal.nodes().iter().map(|node| below(node.parent));
    let parents: Vec<Option<usize>> = [None].into_iter().chain(nodes).collect();
    let logits = target.extend_tree(base, &ids, &parents).unwrap();
    target.truncate(base);
    let laws = Rows(logits, Sampling::at(case.temperature));
    TokenVerifier.verify(proposal, &laws, case.randomness, case.start).unwrap()
}

fn candidates(proposal: &Proposal) -> Vec<Candidate<'_>> {
    let nodes = proposal.nodes().iter();
    nodes
        .map(|node| Candidate { token: node.token, parent: node.parent, law: node.law() })
        .collect()
}

fn case<'a>(candidates: &'a [Candidate<'a>], temperature: f64, prompt: u64) -> Case<'a> {
    let randomness = Randomness { seed: 9, prompt };
    Case { last: PROMPT[4], candidates, temperature, randomness, start: 6 }
}

/// The cache holds what was accepted: what comes next is what is said of the whole text.
fn check_cache(target: &mut Network, base: usize, accepted: &[u32], next: u32) {
    assert_eq!(target.length(), base + 1 + accepted.len());
    let ours = target.extend(&[next], Wanted::Last).unwrap();
    target.truncate(base);
    let text = [&[PROMPT[4]][..], accepted, &[next]].concat();
    let fresh = target.extend(&text, Wanted::Last).unwrap();
    target.truncate(base);
    for (a, b) in ours.last().iter().zip(fresh.last()) {
        assert!((a - b).abs() < 1e-4, "{a} and {b}");
    }
}

/// Decides on the device and on the host; gives how many were accepted.
fn check(target: &mut Network, proposal: &Proposal, temperature: f64, prompt: u64) -> usize {
    let candidates = candidates(proposal);
    let case = case(&candidates, temperature, prompt);
    let expected = by_host(proposal, target, &case);
    let base = target.length();
    let found = target.judge(&case).expect("such candidates are judged").unwrap();
    assert_eq!(found, expected, "prompt {prompt}");
    let accepted: Vec<u32> = found.path.iter().map(|&n| candidates[n].token).collect();
    check_cache(target, base, &accepted, found.next);
    accepted.len()
}

#[test]
fn trees_are_followed_as_the_host_follows_them() {
    let Some(pair) = pair() else { return };
    let mut target = reader(&pair.target, &pair.target.gpu());
    let mut depths = [0; 4];
    for prompt in 0..24 {
        let temperature = if prompt % 4 == 0 { 0.0 } else { 2.0 };
        // The likeliest ids at each place, so that some are accepted.
        let base = target.length();
        let mut proposal = Proposal::default();
        let mut places = vec![None];
        for _ in 0..2 {
            let mut next = Vec::new();
            for at in places {
                let text = [&[PROMPT[4]][..], &proposal.path_to(at)].concat();
                let logits = target.extend(&text, Wanted::Last).unwrap();
                target.truncate(base);
                for id in Sampling::at(1.0).law(logits.last(), &[]).largest(3) {
                    next.push(Some(proposal.branch(at, id, Origin::Deterministic)));
                }
            }
            places = next;
        }
        depths[check(&mut target, &proposal, temperature, prompt)] += 1;
    }
    assert!(depths[0] > 0 && depths[1] > 0 && depths[2] > 0, "{depths:?}");
    assert_eq!(check(&mut target, &Proposal::default(), 1.0, 7), 0);
}

/// A chain that a model draws, of the laws that `cut` makes of its own.
fn drawn(draft: &mut Network, temperature: f64, prompt: u64, cut: impl Fn(Law) -> Law) -> Proposal {
    let mut proposal = Proposal::default();
    let mut last = PROMPT[4];
    let base = draft.length();
    for draw in 0..3 {
        let logits = draft.extend(&[last], Wanted::Last).unwrap();
        let law = cut(Sampling::at(temperature).law(logits.last(), &[]));
        let key = Randomness { seed: 9, prompt }.key(6 + draw, Purpose::Draft(6));
        last = law.draw(key);
        proposal.append(last, Origin::Sampled(law));
    }
    draft.truncate(base);
    proposal
}

#[test]
fn drawn_candidates_are_accepted_as_the_host_accepts_them() {
    let Some(pair) = pair() else { return };
    let mut target = reader(&pair.target, &pair.target.gpu());
    let mut draft = reader(&pair.draft, &pair.draft.gpu());
    let mut lengths = [0; 4];
    for prompt in 0..48 {
        let (own, drafts) = [(2.0, 1.5), (0.0, 0.0), (1.5, 0.0), (0.0, 1.5)][prompt as usize % 4];
        // Whole laws, and such as a map between vocabularies leaves.
        let every_third = |law: Law| {
            if prompt % 3 > 0 {
                return law;
            }
            let few: Vec<u32> = (0..ROWS as u32).filter(|id| id % 3 > 0).collect();
            let rest = law.without(&few);
            if rest.entries().any(|(_, mass)| mass > 0.0) { rest } else { law }
        };
        let proposal = drawn(&mut draft, drafts, prompt, every_third);
        lengths[check(&mut target, &proposal, own, prompt)] += 1;
    }
    assert!(lengths.iter().filter(|&&count| count > 0).count() > 2, "{lengths:?}");
}

#[test]
fn a_draft_of_the_targets_own_weights_is_accepted_whole() {
    let Some(pair) = pair() else { return };
    let mut target = reader(&pair.target, &pair.target.gpu());
    let mut draft = reader(&pair.target, &pair.target.gpu());
    for prompt in 0..4 {
        let proposal = drawn(&mut draft, 1.0, prompt, |law| law);
        assert_eq!(check(&mut target, &proposal, 1.0, prompt), 3);
    }
}

#[test]
fn candidates_that_the_device_cannot_judge_are_left_to_the_host() {
    let Some(pair) = pair() else { return };
    let mut target = reader(&pair.target, &pair.target.gpu());
    let law = Law::Point(1);
    let drawn = |parent| Candidate { token: 1, parent, law: Some(&law) };
    let chosen = |parent| Candidate { token: 1, parent, law: None };
    let siblings = [drawn(None), drawn(None)];
    let mixed = [chosen(None), drawn(None)];
    let late = [chosen(Some(1)); 2];
    let many = [chosen(None); 64];
    for candidates in [&siblings[..], &mixed, &late, &many] {
        assert!(target.judge(&case(candidates, 1.0, 0)).is_none());
    }
    let beyond = [Candidate { token: ROWS as u32, parent: None, law: None }];
    let refused = target.judge(&case(&beyond, 1.0, 0)).unwrap();
    assert!(matches!(refused, Err(ModelError::Id { .. })), "{refused:?}");
    // What cannot have been drawn is no draw.
    let other = Law::Point(2);
    let impossible = [Candidate { token: 1, parent: None, law: Some(&other) }];
    let refused = target.judge(&case(&impossible, 1.0, 0)).unwrap();
    assert!(refused.unwrap_err().to_string().contains("excludes"));
    assert_eq!(target.length(), 4);
}
