//! The CUDA kernels, run on the CPU: passes are libtorch's, drafts are draws from their own laws, and
//! all ways to run the draft loop agree to the last bit.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::cell::RefCell;
use std::path::Path;
use std::sync::OnceLock;

use draft::cuda::{Cached, Drafter, Drawing, Engine, Loop, Network, Prefix, Tuning};
use draft::language_model::{Ahead, LanguageModel, Wanted};
use draft::{Compute, Key, Law, Model, Purpose, Randomness, Sampling, Session};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use support::checkpoints::{tiny_config, write_formula_bf16};
use support::on_cpu::{OnCpu, Played};
use support::shared;
use support::trees::{path_to, tree};
use tempfile::TempDir;

const ROWS: u32 = 41;

/// A small model with an odd vocabulary, whose layers do not all fit in shared memory.
fn small() -> (Value, Tuning, Played) {
    let mut config = tiny_config(ROWS as usize);
    config["max_position_embeddings"] = 160.into();
    let tuning = Tuning { threads: 64, cluster: 2, cached: Cached::Fp32, capacity: 8 };
    (config, tuning, Played { blocks: 4, shared_bytes: 9000 })
}

/// Widths that are no multiple of a warp's stride, four query heads a key head, a head of its own.
fn uneven() -> (Value, Tuning, Played) {
    let (mut config, _, _) = small();
    let more = json!({"hidden_size": 136, "intermediate_size": 264, "num_attention_heads": 8,
        "head_dim": 16, "num_hidden_layers": 2, "tie_word_embeddings": false});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let tuning = Tuning { threads: 96, cluster: 3, cached: Cached::Fp32, capacity: 8 };
    (config, tuning, Played { blocks: 6, shared_bytes: 200_000 })
}

struct Built {
    folder: TempDir,
    on_cpu: OnCpu,
}

/// The small model, compiled once.
fn built_small() -> Option<&'static Built> {
    static BUILT: OnceLock<Option<Built>> = OnceLock::new();
    BUILT.get_or_init(|| build(small())).as_ref()
}

/// The uneven one.
fn built_uneven() -> Option<&'static Built> {
    static BUILT: OnceLock<Option<Built>> = OnceLock::new();
    BUILT.get_or_init(|| build(uneven())).as_ref()
}

fn build((config, tuning, played): (Value, Tuning, Played)) -> Option<Built> {
    let folder = tempfile::tempdir().unwrap();
    write_formula_bf16(folder.path(), &config, 3);
    let on_cpu = OnCpu::build(folder.path(), tuning, played)?;
    Some(Built { folder, on_cpu })
}

fn libtorch(folder: &Path) -> Box<dyn LanguageModel> {
    let compute = Compute { kind: tch::Kind::Double, ..Compute::CPU };
    Model::load(folder, compute).unwrap().network
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u32>),
    RollBack(usize),
    /// A tree, of which the path to a node is kept.
    Tree(Vec<(u32, usize)>, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ids = |length| prop::collection::vec(0..ROWS, length);
    let nodes = prop::collection::vec((0..ROWS, 0usize..6), 2..8);
    let step = prop_oneof![
        3 => ids(1..12).prop_map(Step::Append),
        1 => ids(66..70).prop_map(Step::Append),
        2 => (0usize..20).prop_map(Step::RollBack),
        4 => (nodes, any::<usize>()).prop_map(|(nodes, kept)| Step::Tree(nodes, kept)),
    ];
    prop::collection::vec(step, 1..6)
}

/// Both models do the same; what they say stays within `bound` of each other.
fn same_history(
    ours: &mut dyn LanguageModel,
    theirs: &mut dyn LanguageModel,
    steps: Vec<Step>,
    bound: f32,
) {
    ours.truncate(0);
    theirs.truncate(0);
    let near = |a: &draft::Logits, b: &draft::Logits| {
        assert_eq!(a.rows(), b.rows());
        for (a, b) in a.iter().zip(b.iter()) {
            assert!(distance(a, b) < bound, "{}", distance(a, b));
        }
    };
    for step in steps {
        match step {
            Step::Append(ids) if ours.length() + ids.len() < 150 => {
                let wanted = if ids.len() % 2 == 0 { Wanted::All } else { Wanted::Last };
                let (a, b) = (ours.extend(&ids, wanted), theirs.extend(&ids, wanted));
                near(&a.unwrap(), &b.unwrap());
            }
            Step::Append(_) => {}
            Step::RollBack(count) => {
                let left = ours.length().saturating_sub(count);
                ours.truncate(left);
                theirs.truncate(left);
            }
            Step::Tree(nodes, kept) => {
                let (ids, parents) = tree(&nodes);
                let (base, half) = (ours.length(), nodes.len() / 2);
                // In two parts: nodes may hang below nodes that were read before.
                for part in [0..half, half..nodes.len()] {
                    let (own, parents) = (&ids[part.clone()], &parents[..part.end]);
                    let a = ours.extend_tree(base, own, parents).unwrap();
                    near(&a, &theirs.extend_tree(base, own, parents).unwrap());
                }
                let path = path_to(kept % nodes.len(), &parents);
                ours.keep_path(base, &path);
                theirs.keep_path(base, &path);
            }
        }
        assert_eq!(ours.length(), theirs.length());
    }
}

fn histories_are_libtorchs(built: &Built, cases: u32, bound: f32) {
    let ours = RefCell::new(Network::new(built.on_cpu.engine(1), Loop::Graph).unwrap());
    let theirs = RefCell::new(libtorch(built.folder.path()));
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    TestRunner::new(config)
        .run(&steps(), |steps| {
            same_history(&mut *ours.borrow_mut(), &mut **theirs.borrow_mut(), steps, bound);
            Ok(())
        })
        .unwrap();
}

#[test]
fn any_history_is_libtorchs() {
    let Some(built) = built_small() else { return };
    histories_are_libtorchs(built, 6, 1e-4);
}

#[test]
fn any_history_of_an_uneven_model_is_libtorchs() {
    let Some(built) = built_uneven() else { return };
    histories_are_libtorchs(built, 2, 1e-4);
}

#[test]
fn a_cache_of_two_bytes_stays_near() {
    let (config, tuning, played) = small();
    let tuning = Tuning { cached: Cached::Bf16, ..tuning };
    let Some(built) = build((config, tuning, played)) else { return };
    // Logits reach 8 or so, and each key and value is off by up to 1 in 512 of itself.
    histories_are_libtorchs(&built, 2, 0.25);
}

#[test]
fn a_pass_is_the_same_to_the_last_bit_however_it_is_cut() {
    let Some(built) = built_uneven() else { return };
    let ids: Vec<u32> = (0..23).map(|place| (place * 7 + 3) % ROWS).collect();
    let mut model = Network::new(built.on_cpu.engine(1), Loop::Graph).unwrap();
    let whole = model.extend(&ids, Wanted::All).unwrap();
    for cut in [1, 2, 5, 9] {
        model.truncate(0);
        let rows: Vec<Vec<f32>> = ids
            .chunks(cut)
            .flat_map(|part| {
                let logits = model.extend(part, Wanted::All).unwrap();
                logits.iter().map(<[f32]>::to_vec).collect::<Vec<_>>()
            })
            .collect();
        for (at, row) in rows.iter().enumerate() {
            assert_eq!(row, whole.row(at), "{at} in pieces of {cut}");
        }
    }
}

#[test]
fn a_failed_extension_leaves_the_cache_alone() {
    let Some(built) = built_small() else { return };
    let mut model = Network::new(built.on_cpu.engine(1), Loop::Graph).unwrap();
    model.extend(&[1, 2, 3], Wanted::Last).unwrap();
    assert!(model.extend(&[4, ROWS], Wanted::Last).is_err());
    assert!(model.extend(&[1; 160], Wanted::Last).is_err());
    assert_eq!(model.length(), 3);
    let after = model.extend(&[4], Wanted::Last).unwrap();
    let fresh = libtorch(built.folder.path()).extend(&[1, 2, 3, 4], Wanted::Last).unwrap();
    assert!(distance(after.last(), fresh.last()) < 1e-4);
}

#[test]
fn only_a_model_of_the_same_weights_agrees() {
    let Some(built) = built_small() else { return };
    let mut model = Network::new(built.on_cpu.engine(1), Loop::Graph).unwrap();
    assert!(model.agree_with(&mut *libtorch(built.folder.path())).is_ok());
    let folder = tempfile::tempdir().unwrap();
    write_formula_bf16(folder.path(), &small().0, 4);
    assert!(model.agree_with(&mut *libtorch(folder.path())).is_err());
    assert_eq!(model.length(), 0);
}

/// Prompts of some prefixes, of different lengths, and how many of their last ids are given.
fn prefixes(count: usize, draws: usize) -> Vec<(Vec<u32>, Prefix)> {
    let prefix = |index: usize| {
        let prompt: Vec<u32> =
            (0..5 + index as u32 * 3).map(|at| (at * 11 + index as u32 * 5 + 1) % ROWS).collect();
        let given = 1 + index % 3;
        let cached = prompt.len() - given;
        let randomness = Randomness { seed: 4, prompt: index as u64 };
        let key = |draw| randomness.key(draw, Purpose::Draft(0));
        let keys: Vec<Key> = (0..draws).map(key).collect();
        let own = Prefix { cached, given: prompt[cached..].to_vec(), keys };
        (prompt, own)
    };
    (0..count).map(prefix).collect()
}

type Drafted = (Vec<Vec<u32>>, Vec<Vec<f32>>);

fn draft(
    engine: Engine,
    prefixes: &[(Vec<u32>, Prefix)],
    drawing: Drawing<'_>,
    how: Loop,
) -> Drafted {
    let mut drafter = Drafter::new(engine).unwrap();
    for (index, (prompt, prefix)) in prefixes.iter().enumerate() {
        drafter.engine().read(index, 0, &prompt[..prefix.cached]).unwrap();
    }
    let own: Vec<Prefix> = prefixes.iter().map(|(_, prefix)| prefix.clone()).collect();
    let count = own[0].keys.len();
    // First with other ids, so that nothing that is left over from a launch can pass for a result.
    let mut others = own.clone();
    for prefix in &mut others {
        prefix.given[0] = (prefix.given[0] + 1) % ROWS;
    }
    drafter.draft(&others, count, drawing, how).unwrap();
    let ids = drafter.draft(&own, count, drawing, how).unwrap();
    let logits = own
        .iter()
        .enumerate()
        .map(|(index, prefix)| drafter.logits(index, prefix.given.len(), count).unwrap())
        .collect();
    (ids, logits)
}

/// What each draw must be by the host's own rule, and libtorch's logits behind it.
fn check_draws(
    built: &Built,
    prefixes: &[(Vec<u32>, Prefix)],
    drawing: Drawing<'_>,
    drafted: &Drafted,
) {
    let mut theirs = libtorch(built.folder.path());
    let sampling = Sampling::at(drawing.temperature);
    for (index, (prompt, prefix)) in prefixes.iter().enumerate() {
        theirs.truncate(0);
        let mut behind = theirs.extend(prompt, Wanted::Last).unwrap();
        for (draw, row) in drafted.1[index].chunks_exact(ROWS as usize).enumerate() {
            assert!(distance(row, behind.last()) < 1e-4, "prefix {index}, draw {draw}");
            let law = match drawing.names {
                None => sampling.law(row, &[]),
                Some(names) => renamed(row, names, drawing.temperature),
            };
            let name = law.draw(prefix.keys[draw]);
            let id = match drawing.names {
                None => name,
                Some(names) => names.iter().position(|n| *n == Some(name)).unwrap() as u32,
            };
            assert_eq!(drafted.0[index][draw], id, "prefix {index}, draw {draw}");
            behind = theirs.extend(&[id], Wanted::Last).unwrap();
        }
    }
}

/// The law of names, some ids left out.
fn renamed(row: &[f32], names: &[Option<u32>], temperature: f64) -> Law {
    let named = names.iter().zip(row).filter_map(|(name, &logit)| Some(((*name)?, logit)));
    let mut entries: Vec<(u32, f64)> =
        named.map(|(name, logit)| (name, f64::from(logit) / temperature.max(1e-9))).collect();
    entries.sort_by_key(|(name, _)| *name);
    if temperature > 0.0 {
        return Law::sparse(entries);
    }
    let best = entries.iter().fold(entries[0], |best, e| if e.1 > best.1 { *e } else { best });
    Law::Point(best.0)
}

fn drafts_are_draws(built: &Built, counts: &[usize]) {
    // Every third id may not be drawn, and the others have other names.
    let names: Vec<Option<u32>> =
        (0..ROWS).map(|id| (id % 3 != 0).then_some((id * 17 + 5) % 97)).collect();
    for &count in counts {
        for (temperature, names) in [(0.0, None), (0.8, Some(&names))] {
            let prefixes = prefixes(count, 3);
            let drawing = Drawing { temperature, names: names.map(|names| &names[..]) };
            let of = |how| draft(built.on_cpu.engine(count), &prefixes, drawing, how);
            let [graph, grid, cluster] = Loop::ALL.map(of);
            check_draws(built, &prefixes, drawing, &graph);
            assert_eq!(graph, grid, "{count} prefixes at {temperature}");
            assert_eq!(graph, cluster, "{count} prefixes at {temperature}");
        }
    }
}

#[test]
fn drafts_are_draws_from_their_laws_by_every_loop() {
    let Some(built) = built_small() else { return };
    drafts_are_draws(built, &[1, 5]);
}

#[test]
fn drafts_of_an_uneven_model_are_draws_too() {
    let Some(built) = built_uneven() else { return };
    drafts_are_draws(built, &[2]);
}

#[test]
fn a_session_that_draws_ahead_is_one_that_goes_step_by_step() {
    let Some(built) = built_small() else { return };
    let network = Network::new(built.on_cpu.engine(1), Loop::Grid).unwrap();
    let mut ahead = Session::new(Box::new(network));
    let mut behind = Session::new(libtorch(built.folder.path()));
    let mut text: Vec<u32> = vec![3, 1, 4];
    for round in 0..5 {
        let randomness = Randomness { seed: 2, prompt: round };
        let keys: Vec<Key> = (0..3).map(|at| randomness.key(at, Purpose::Draft(0))).collect();
        let asked = Ahead { ids: &[], keys: &keys, temperature: 0.7, names: None };
        let mut logits = ahead.advance_window_ahead(&text, 1, 3, asked).unwrap().to_vec();
        behind.advance_window_ahead(&text, 1, 3, asked).unwrap();
        let mut grown = text.clone();
        for (step, key) in keys.iter().enumerate() {
            assert!(distance(&logits, behind.last_logits()) < 1e-4, "round {round}, step {step}");
            let drawn = Sampling::at(0.7).law(&logits, &[]).draw(*key);
            // In some rounds the text goes another way than was foreseen.
            let other = round % 2 == 1 && step == 1;
            let id = if other { (drawn + 1) % ROWS } else { drawn };
            logits = ahead.push(id).unwrap().to_vec();
            behind.push(id).unwrap();
            grown.push(id);
            assert_eq!(ahead.ids(), behind.ids());
        }
        assert!(distance(&logits, behind.last_logits()) < 1e-4, "round {round}");
        // A part of it is kept, and another id comes behind.
        text = grown[..text.len() + round as usize % 3].to_vec();
        text.push((round as u32 * 7) % ROWS);
    }
    let model = ahead.into_model();
    assert_eq!(model.length(), behind.ids().len());
}

#[test]
fn a_real_draft_says_what_libtorch_says() {
    let Some(folder) = shared::path("weights/gsm-draft-stentor2") else { return };
    let tuning = Tuning { threads: 64, cluster: 2, cached: Cached::Bf16, capacity: 64 };
    let played = Played { blocks: 4, shared_bytes: 227 << 10 };
    let Some(on_cpu) = OnCpu::build(&folder, tuning, played) else { return };
    let (ids, count) = ([11, 700, 52, 4031, 8, 99, 1234], 3);
    let mut ours = Network::new(on_cpu.engine(1), Loop::Grid).unwrap();
    let mut theirs = libtorch(&folder);
    ours.extend(&ids[..5], Wanted::Last).unwrap();
    let asked = Ahead { ids: &ids[5..], keys: &[Key(0); 3], temperature: 0.0, names: None };
    let drafted = ours.draft(&asked).unwrap().unwrap();
    let mut behind = theirs.extend(&ids, Wanted::Last).unwrap();
    for (step, row) in drafted.logits.iter().enumerate() {
        let largest = behind.last().iter().fold(0.0f32, |top, logit| top.max(logit.abs()));
        let far = distance(row, behind.last()) / largest;
        assert!(far < 0.02, "step {step}: {far}");
        behind = theirs.extend(&[drafted.ids[step]], Wanted::Last).unwrap();
    }
    assert_eq!((drafted.ids.len(), ours.length()), (count, ids.len() + count - 1));
}

#[test]
fn what_cannot_be_drafted_is_refused() {
    let Some(built) = built_small() else { return };
    let mut drafter = Drafter::new(built.on_cpu.engine(1)).unwrap();
    let drawing = Drawing { temperature: 0.0, names: None };
    let prefix = |cached, given: &[u32], keys: usize| Prefix {
        cached,
        given: given.to_vec(),
        keys: vec![Key(1); keys],
    };
    let mut draft = |prefixes: &[Prefix]| drafter.draft(prefixes, 2, drawing, Loop::Grid);
    assert!(draft(&[]).is_err());
    assert!(draft(&[prefix(0, &[], 2)]).is_err());
    assert!(draft(&[prefix(0, &[1], 1)]).is_err());
    assert!(draft(&[prefix(0, &[ROWS], 2)]).is_err());
    assert!(draft(&[prefix(159, &[1], 2)]).is_err());
    assert!(draft(&[prefix(0, &[1], 2), prefix(0, &[1], 2)]).is_err());
    assert!(draft(&[prefix(158, &[1], 2)]).is_ok());
}
