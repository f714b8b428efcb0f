//! Verification on the device, run on the CPU: it decides as the host's rules do on the same logits,
//! and a whole round there is a round here.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::sync::OnceLock;

use draft::cuda::{
    Cached, Candidate, Drafter, Drawing, Judge, Loop, Network, Prefix, Rules, Tuning, Verdict,
};
use draft::language_model::{LanguageModel, Wanted};
use draft::{Key, Law, Logits, Purpose, Randomness, Sampling};
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
fn reader(on_cpu: &OnCpu, gpu: &std::rc::Rc<draft::cuda::Gpu>) -> Network {
    let mut target = Network::new(on_cpu.engine_on(gpu, 1), Loop::Graph).unwrap();
    target.extend(&PROMPT[..4], Wanted::Last).unwrap();
    target
}

/// What the host decides, from the device's logits.
fn by_host(proposal: &Proposal, target: &mut Network, rules: Rules) -> Verdict {
    let base = target.length();
    let tokens = proposal.nodes().iter().map(|node| node.token);
    let ids: Vec<u32> = [PROMPT[4]].into_iter().chain(tokens).collect();
    let below = |parent: Option<usize>| Some(parent.map_or(0, |parent| parent + 1));
    let nodes = proposal.nodes().iter().map(|node| below(node.parent));
    let parents: Vec<Option<usize>> = [None].into_iter().chain(nodes).collect();
    let logits = target.extend_tree(base, &ids, &parents).unwrap();
    target.truncate(base);
    let laws = Rows(logits, Sampling::at(rules.temperature));
    let verdict = TokenVerifier.verify(proposal, &laws, rules.randomness, rules.start).unwrap();
    Verdict { path: verdict.path, next: verdict.next }
}

fn rules(temperature: f64, draft_temperature: f64, prompt: u64) -> Rules {
    let randomness = Randomness { seed: 9, prompt };
    Rules { temperature, draft_temperature, randomness, start: 6 }
}

fn prefix(rules: Rules, draws: usize) -> Prefix {
    let key = |draw| rules.randomness.key(rules.start + draw, Purpose::Draft(rules.start));
    let keys: Vec<Key> = (0..draws).map(key).collect();
    Prefix { cached: 3, given: PROMPT[3..].to_vec(), keys }
}

#[test]
fn trees_are_followed_as_the_host_follows_them() {
    let Some(pair) = pair() else { return };
    let gpu = pair.target.gpu();
    let mut target = reader(&pair.target, &gpu);
    let mut judge = Judge::new(target.parts().0).unwrap();
    let mut depths = [0; 4];
    for prompt in 0..24 {
        let rules = rules(if prompt % 4 == 0 { 0.0 } else { 2.0 }, 0.0, prompt);
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
        let expected = by_host(&proposal, &mut target, rules);
        let candidates: Vec<Candidate> = proposal
            .nodes()
            .iter()
            .map(|node| Candidate { token: node.token, parent: node.parent, sampled: false })
            .collect();
        let found = judge.verify(&mut target, PROMPT[4], &candidates, rules, None).unwrap();
        assert_eq!(found, expected, "prompt {prompt}");
        depths[found.path.len()] += 1;
        // The cache holds what was accepted: what comes next is what a fresh model says.
        let accepted: Vec<u32> = found.path.iter().map(|&n| candidates[n].token).collect();
        assert_eq!(target.length(), base + 1 + accepted.len());
        let ours = target.extend(&[found.next], Wanted::Last).unwrap();
        target.truncate(base);
        let text = [&[PROMPT[4]][..], &accepted, &[found.next]].concat();
        let fresh = target.extend(&text, Wanted::Last).unwrap();
        for (a, b) in ours.last().iter().zip(fresh.last()) {
            assert!((a - b).abs() < 1e-4, "{a} and {b}");
        }
        target.truncate(base);
    }
    assert!(depths[0] > 0 && depths[1] > 0 && depths[2] > 0, "{depths:?}");
}

#[test]
fn rounds_of_drawn_candidates_are_the_hosts() {
    let Some(pair) = pair() else { return };
    let gpu = pair.target.gpu();
    let mut target = reader(&pair.target, &gpu);
    let mut drafter = Drafter::new(pair.draft.engine_on(&gpu, 1)).unwrap();
    drafter.engine().read(0, 0, &PROMPT[..3]).unwrap();
    let mut judge = Judge::new(target.parts().0).unwrap();
    judge.name(target.parts().0, None, ROWS).unwrap();
    let (count, base) = (3, target.length());
    let mut lengths = [0; 4];
    for prompt in 0..32 {
        let temperatures = [(2.0, 1.5), (0.0, 0.0), (1.5, 0.0), (0.0, 1.5)][prompt as usize % 4];
        let rules = rules(temperatures.0, temperatures.1, prompt);
        let prefix = prefix(rules, count);
        let drawing = Drawing { temperature: rules.draft_temperature, names: None };
        let own = std::slice::from_ref(&prefix);
        let tokens = drafter.draft(own, count, drawing, Loop::Graph).unwrap().remove(0);
        let logits = drafter.logits(0, prefix.given.len(), count).unwrap();
        let mut proposal = Proposal::default();
        for (token, row) in tokens.iter().zip(logits.chunks_exact(ROWS)) {
            let law = Sampling::at(rules.draft_temperature).law(row, &[]);
            proposal.append(*token, Origin::Sampled(law));
        }
        let expected = by_host(&proposal, &mut target, rules);
        let how = (drawing, [Loop::Grid, Loop::Cluster][prompt as usize % 2]);
        let found = judge.round(&mut target, &mut drafter, (&prefix, PROMPT[4]), how, rules);
        let (drafted, verdict) = found.unwrap();
        assert_eq!(drafted, tokens);
        assert_eq!(verdict, expected, "prompt {prompt}");
        assert_eq!(target.length(), base + 1 + verdict.path.len());
        lengths[verdict.path.len()] += 1;
        target.truncate(base);
        // The same from candidates that came to the host between the two.
        let candidates: Vec<Candidate> = proposal
            .nodes()
            .iter()
            .map(|node| Candidate { token: node.token, parent: node.parent, sampled: true })
            .collect();
        let draft = Some((&drafter, 0, prefix.given.len() - 1));
        let again = judge.verify(&mut target, PROMPT[4], &candidates, rules, draft).unwrap();
        assert_eq!(again, expected);
        target.truncate(base);
    }
    assert!(lengths.iter().filter(|&&count| count > 0).count() > 2, "{lengths:?}");
}

#[test]
fn a_draft_of_the_targets_own_weights_is_accepted_whole() {
    let Some(pair) = pair() else { return };
    let gpu = pair.target.gpu();
    let mut target = reader(&pair.target, &gpu);
    let mut drafter = Drafter::new(pair.target.engine_on(&gpu, 1)).unwrap();
    drafter.engine().read(0, 0, &PROMPT[..3]).unwrap();
    let mut judge = Judge::new(target.parts().0).unwrap();
    judge.name(target.parts().0, None, ROWS).unwrap();
    for prompt in 0..4 {
        let rules = rules(1.0, 1.0, prompt);
        let drawing = Drawing { temperature: 1.0, names: None };
        let own = (&prefix(rules, 3), PROMPT[4]);
        let found = judge.round(&mut target, &mut drafter, own, (drawing, Loop::Grid), rules);
        assert_eq!(found.unwrap().1.path, [0, 1, 2]);
        target.truncate(4);
    }
}

#[test]
fn candidates_that_the_device_cannot_judge_are_refused() {
    let Some(pair) = pair() else { return };
    let gpu = pair.target.gpu();
    let mut target = reader(&pair.target, &gpu);
    let mut judge = Judge::new(target.parts().0).unwrap();
    let drawn = |parent| Candidate { token: 1, parent, sampled: true };
    let siblings = [drawn(None), drawn(None)];
    let late = [Candidate { token: 1, parent: Some(1), sampled: false }; 2];
    for candidates in [&siblings[..], &late[..], &[drawn(None)][..]] {
        let rules = rules(1.0, 1.0, 0);
        assert!(judge.verify(&mut target, PROMPT[4], candidates, rules, None).is_err());
    }
}
