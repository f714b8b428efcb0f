//! The cache: after any mix of appends, trees and roll-backs it equals a fresh prefill.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use draft::language_model::{LanguageModel, Wanted, depths};
use draft::{Compute, Model};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::checkpoints::{tiny_config, write_formula};
use support::shared::compute;
use support::toy::ToyModel;
use support::trees::{path_to, tree};

const ROWS: u32 = 40;

/// Models compute in 64-bit floats here, so that only the rounding of logits to 32 bits is left.
const TOLERANCE: f32 = 2e-6;

/// An architecture, small.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Llama,
    /// With a window of nine positions.
    Mistral,
    /// Delta nets and gated attention.
    Qwen,
}

const KINDS: [Kind; 3] = [Kind::Llama, Kind::Mistral, Kind::Qwen];

fn config(kind: Kind) -> Value {
    let mut config = tiny_config(ROWS as usize);
    config["max_position_embeddings"] = 160.into();
    let more = match kind {
        Kind::Llama => json!({}),
        Kind::Mistral => json!({"model_type": "mistral", "sliding_window": 9}),
        Kind::Qwen => json!({
            "model_type": "qwen3_5_text", "num_hidden_layers": 3, "head_dim": 9,
            "layer_types": ["linear_attention", "full_attention", "linear_attention"],
            "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
            "linear_value_head_dim": 6, "linear_conv_kernel_dim": 4
        }),
    };
    let more = more.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(more);
    config
}

fn load(kind: Kind, compute: Compute) -> Box<dyn LanguageModel> {
    let folder = tempfile::tempdir().unwrap();
    write_formula(folder.path(), &config(kind), 3);
    Model::load(folder.path(), compute).unwrap().network
}

fn tiny(kind: Kind) -> Box<dyn LanguageModel> {
    load(kind, Compute { kind: tch::Kind::Double, ..compute() })
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Histories are shorter than this.
const LONGEST: usize = 140;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u32>),
    RollBack(usize),
    /// A tree, of which the path to its last node is kept.
    Tree(Vec<(u32, usize)>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ids = |length| prop::collection::vec(0..ROWS, length);
    let step = prop_oneof![
        4 => ids(1..6).prop_map(Step::Append),
        // Long enough to be read in one piece, without the states in between.
        1 => ids(33..70).prop_map(Step::Append),
        4 => (0usize..8).prop_map(Step::RollBack),
        1 => (8usize..60).prop_map(Step::RollBack),
        4 =>
        prop::collection::vec((0..ROWS, 0usize..6), 1..6).prop_map(Step::Tree),
    ];
    prop::collection::vec(step, 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_history_equals_a_fresh_prefill(
        kind in prop::sample::select(&KINDS[..]), steps in steps(), probe in 0..ROWS,
    ) {
        let (mut used, mut fresh) = (tiny(kind), tiny(kind));
        let mut ids: Vec<u32> = vec![1];
        used.extend(&ids, Wanted::Last).unwrap();
        for step in steps {
            match step {
                // The context ends somewhere.
                Step::Append(more) if ids.len() + more.len() >= LONGEST => {}
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
                    let (base, half) = (ids.len(), nodes.len() / 2);
                    // In two parts: nodes may hang below nodes that were read before.
                    used.extend_tree(base, &tree_ids[..half], &parents[..half]).unwrap();
                    used.extend_tree(base, &tree_ids[half..], &parents).unwrap();
                    let path = path_to(nodes.len() - 1, &parents);
                    used.keep_path(ids.len(), &path);
                    ids.extend(path.iter().map(|&node| tree_ids[node]));
                }
            }
            prop_assume!(ids.len() < LONGEST);
            prop_assert_eq!(used.length(), ids.len());
        }
        ids.push(probe);
        let ours = used.extend(&[probe], Wanted::Last).unwrap();
        let theirs = fresh.extend(&ids, Wanted::Last).unwrap();
        prop_assert!(distance(ours.last(), theirs.last()) < TOLERANCE);
    }

    #[test]
    fn a_tree_equals_its_branches(
        kind in prop::sample::select(&KINDS[..]),
        nodes in prop::collection::vec((0..ROWS, 0usize..8), 1..9),
        prompt in prop::collection::vec(0..ROWS, 1..14),
        parts in (0usize..5, 0usize..5).prop_map(|(a, b)| (a, a + b)),
    ) {
        let (mut model, mut single) = (tiny(kind), tiny(kind));
        let (ids, parents) = tree(&nodes);
        model.extend(&prompt, Wanted::Last).unwrap();
        let base = prompt.len();
        let parts = [0..parts.0, parts.0..parts.1, parts.1..ids.len()];
        let parts = parts.map(|part| part.start.min(ids.len())..part.end.min(ids.len()));
        let read: Vec<Vec<f32>> = parts
            .into_iter()
            .flat_map(|part| {
                let own = &ids[part.clone()];
                let logits = model.extend_tree(base, own, &parents[..part.end]).unwrap();
                (0..own.len()).map(move |row| logits.row(row).to_vec()).collect::<Vec<_>>()
            })
            .collect();
        for (node, row) in read.iter().enumerate() {
            let branch: Vec<u32> = path_to(node, &parents).iter().map(|&node| ids[node]).collect();
            single.truncate(0);
            let alone = single.extend(&[&prompt[..], &branch].concat(), Wanted::Last).unwrap();
            let far = distance(row, alone.last());
            prop_assert!(far < TOLERANCE, "{far} at {node}");
            prop_assert_eq!(branch.len(), depths(&parents)[node] + 1);
        }
        prop_assert_eq!(read.len(), ids.len());
    }
}

#[test]
fn step_by_step_equals_the_full_forward() {
    let ids: Vec<u32> = (0..150).map(|place| (place * 7 + 3) % ROWS).collect();
    for kind in KINDS {
        let whole = tiny(kind).extend(&ids, Wanted::All).unwrap();
        let mut model = tiny(kind);
        for (place, &id) in ids.iter().enumerate() {
            let step = model.extend(&[id], Wanted::Last).unwrap();
            let far = distance(step.last(), whole.row(place));
            assert!(far < TOLERANCE, "{kind:?} at {place}: {far}");
        }
    }
}

#[test]
fn rolling_back_and_reading_again_gives_the_same_bits() {
    let ids: Vec<u32> = (0..60).map(|place| (place * 11 + 5) % ROWS).collect();
    for kind in KINDS {
        let mut model = tiny(kind);
        model.extend(&ids[..40], Wanted::Last).unwrap();
        let steps = |model: &mut dyn LanguageModel, from: usize| -> Vec<Vec<f32>> {
            let read = |&id: &u32| model.extend(&[id], Wanted::Last).unwrap().last().to_vec();
            ids[from..].iter().map(read).collect()
        };
        let first = steps(&mut *model, 40);
        for from in [59, 50, 41, 40] {
            model.truncate(from);
            assert_eq!(steps(&mut *model, from), first[from - 40..], "{kind:?} from {from}");
        }
    }
}

#[test]
fn a_failed_extension_leaves_the_cache_alone() {
    for kind in KINDS {
        let mut model = tiny(kind);
        model.extend(&[1, 2, 3], Wanted::Last).unwrap();
        assert!(model.extend(&[4, ROWS], Wanted::Last).is_err());
        assert!(model.extend(&[1; 160], Wanted::Last).is_err());
        assert_eq!(model.length(), 3);
        let after = model.extend(&[4], Wanted::Last).unwrap();
        let fresh = tiny(kind).extend(&[1, 2, 3, 4], Wanted::Last).unwrap();
        assert!(distance(after.last(), fresh.last()) < TOLERANCE);
    }
}

#[test]
fn narrower_types_stay_near() {
    let ids = [1, 2, 3, 4, 5, 6, 7];
    for kind in KINDS {
        let exact = tiny(kind).extend(&ids, Wanted::Last).unwrap();
        let scale = exact.last().iter().fold(0.0f32, |top, logit| top.max(logit.abs()));
        let bounds =
            [(tch::Kind::Float, 1e-4), (tch::Kind::Half, 0.01), (tch::Kind::BFloat16, 0.05)];
        for (narrow, bound) in bounds {
            let compute = Compute { kind: narrow, ..compute() };
            let ours = load(kind, compute).extend(&ids, Wanted::Last).unwrap();
            let far = distance(ours.last(), exact.last());
            assert!(far > 0.0 && far < bound * scale, "{kind:?} {narrow:?}: {far} of {scale}");
        }
    }
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
