//! The cache: after any mix of appends, trees and roll-backs it equals a fresh prefill.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use draft::language_model::{LanguageModel, Wanted, depths};
use draft::{Compute, Model};
use proptest::prelude::*;
use support::checkpoints::{tiny_config, write_llama};
use support::shared::compute;
use support::toy::ToyModel;

const ROWS: u32 = 40;
const TOLERANCE: f32 = 2e-5;

fn tiny() -> Box<dyn LanguageModel> {
    let folder = tempfile::tempdir().unwrap();
    write_llama(folder.path(), &tiny_config(ROWS as usize), 3);
    Model::load(folder.path(), compute()).unwrap().network
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u32>),
    RollBack(usize),
    /// A tree, of which the path to its last node is kept.
    Tree(Vec<(u32, usize)>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ids = || prop::collection::vec(0..ROWS, 1..6);
    let step = prop_oneof![
        ids().prop_map(Step::Append),
        (0usize..8).prop_map(Step::RollBack),
        prop::collection::vec((0..ROWS, 0usize..6), 1..6).prop_map(Step::Tree),
    ];
    prop::collection::vec(step, 1..10)
}

/// Parents before children: each node hangs below the root or an earlier node.
fn tree(nodes: &[(u32, usize)]) -> (Vec<u32>, Vec<Option<usize>>) {
    let ids = nodes.iter().map(|(id, _)| *id).collect();
    let below = |(index, (_, place)): (usize, &(u32, usize))| (place % (index + 1)).checked_sub(1);
    (ids, nodes.iter().enumerate().map(below).collect())
}

fn path_to(node: usize, parents: &[Option<usize>]) -> Vec<usize> {
    let (mut path, mut at) = (Vec::new(), Some(node));
    while let Some(index) = at {
        path.push(index);
        at = parents[index];
    }
    path.reverse();
    path
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_history_equals_a_fresh_prefill(steps in steps(), probe in 0..ROWS) {
        let (mut used, mut fresh) = (tiny(), tiny());
        let mut ids: Vec<u32> = vec![1];
        used.extend(&ids, Wanted::Last).unwrap();
        for step in steps {
            match step {
                Step::Append(more) => {
                    used.extend(&more, Wanted::All).unwrap();
                    ids.extend(more);
                }
                Step::RollBack(count) => {
                    ids.truncate(ids.len().saturating_sub(count).max(1));
                    used.truncate(ids.len());
                }
                Step::Tree(nodes) => {
                    let (tree_ids, parents) = tree(&nodes);
                    used.extend_tree(&tree_ids, &parents).unwrap();
                    let path = path_to(nodes.len() - 1, &parents);
                    used.keep_path(ids.len(), &path);
                    ids.extend(path.iter().map(|&node| tree_ids[node]));
                }
            }
            prop_assume!(ids.len() < 55);
            prop_assert_eq!(used.length(), ids.len());
        }
        ids.push(probe);
        let ours = used.extend(&[probe], Wanted::Last).unwrap();
        let theirs = fresh.extend(&ids, Wanted::Last).unwrap();
        prop_assert!(distance(ours.last(), theirs.last()) < TOLERANCE);
    }

    #[test]
    fn a_tree_equals_its_branches(nodes in prop::collection::vec((0..ROWS, 0usize..8), 1..9)) {
        let (mut model, mut single) = (tiny(), tiny());
        let prompt = [3, 1, 4, 1, 5];
        let (ids, parents) = tree(&nodes);
        model.extend(&prompt, Wanted::Last).unwrap();
        let all = model.extend_tree(&ids, &parents).unwrap();
        for node in 0..ids.len() {
            let branch: Vec<u32> = path_to(node, &parents).iter().map(|&node| ids[node]).collect();
            single.truncate(0);
            let alone = single.extend(&[&prompt[..], &branch].concat(), Wanted::Last).unwrap();
            prop_assert!(distance(all.row(node), alone.last()) < TOLERANCE);
            prop_assert_eq!(branch.len(), depths(&parents)[node] + 1);
        }
    }
}

#[test]
fn step_by_step_equals_the_full_forward() {
    let ids: Vec<u32> = (0..50).map(|place| (place * 7 + 3) % ROWS).collect();
    let whole = tiny().extend(&ids, Wanted::All).unwrap();
    let mut model = tiny();
    for (place, &id) in ids.iter().enumerate() {
        let step = model.extend(&[id], Wanted::Last).unwrap();
        assert!(distance(step.last(), whole.row(place)) < TOLERANCE, "at {place}");
    }
}

#[test]
fn a_failed_extension_leaves_the_cache_alone() {
    let mut model = tiny();
    model.extend(&[1, 2, 3], Wanted::Last).unwrap();
    assert!(model.extend(&[4, ROWS], Wanted::Last).is_err());
    assert!(model.extend(&[1; 64], Wanted::Last).is_err());
    assert_eq!(model.length(), 3);
    let after = model.extend(&[4], Wanted::Last).unwrap();
    let fresh = tiny().extend(&[1, 2, 3, 4], Wanted::Last).unwrap();
    assert!(distance(after.last(), fresh.last()) < TOLERANCE);
}

#[test]
fn bf16_stays_near_fp32() {
    let folder = tempfile::tempdir().unwrap();
    write_llama(folder.path(), &tiny_config(ROWS as usize), 3);
    let compute = Compute { kind: tch::Kind::BFloat16, ..compute() };
    let ids = [1, 2, 3, 4, 5, 6, 7];
    let mut narrow = Model::load(folder.path(), compute).unwrap().network;
    let (ours, exact) =
        (narrow.extend(&ids, Wanted::Last).unwrap(), tiny().extend(&ids, Wanted::Last).unwrap());
    let scale = exact.last().iter().fold(0.0f32, |top, logit| top.max(logit.abs()));
    let far = distance(ours.last(), exact.last());
    assert!(far > 0.0 && far < 0.05 * scale, "{far} of {scale}");
}

#[test]
fn a_window_slides_when_the_context_is_full() {
    let mut session = ToyModel::new(8, 1).with_context(16).session();
    let mut ids: Vec<u32> = vec![7];
    for place in 0..60 {
        ids.push(place % 7);
        session.advance_window(&ids, 1, 3).unwrap();
        assert!(session.ids().len() + 3 <= 16, "room for what is drafted");
        assert_eq!(session.ids()[0], 7, "the head stays");
        assert!(ids.ends_with(&session.ids()[1..]), "the rest is the end of the text");
    }
    assert!((3..12).contains(&session.slides()), "{} slides", session.slides());
}
