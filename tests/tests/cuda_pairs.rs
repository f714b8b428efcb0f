//! The loop with a draft that draws ahead on the device (run on the CPU) is the loop with the same
//! draft in libtorch.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use align::Context;
use draft::cuda::{Cached, Loop, Network, Tuning};
use draft::language_model::LanguageModel;
use draft::{Compute, Model, Randomness, Sampling, Session};
use support::checkpoints::{tiny_config, write_formula_bf16};
use support::on_cpu::{OnCpu, Played};
use support::toy_pairs::{Pair, TARGET_SEED, draft_tokenizer, side, target_tokenizer};
use target::propose::{Method, Settings};
use target::{Generation, Limits, Prompt, Side, TokenVerifier, speculate};

fn generate(pair: Pair, method: Method, draft: Box<dyn LanguageModel>, index: u64) -> Generation {
    let tokenizer = draft_tokenizer(pair);
    let eos = tokenizer.eos().into_iter().collect();
    let draft = Side::new(tokenizer, Session::new(draft), eos);
    let mut target = side(target_tokenizer(pair), TARGET_SEED);
    let temperature = if index.is_multiple_of(3) { 0.0 } else { 1.0 };
    let prompt = Prompt {
        target: Context::of_text(&target.tokenizer, b"ab ab").unwrap(),
        draft: Context::of_text(&draft.tokenizer, b"ab ab").unwrap(),
    };
    let settings = Settings::at(temperature);
    let mut proposer = method.proposer(draft, &target, settings).unwrap();
    let sampling = Sampling::at(temperature);
    let limits = Limits { gamma: 3, max_new: 24, ignore_eos: true, sampling };
    let randomness = Randomness { seed: 5, prompt: index };
    speculate(&mut target, &mut *proposer, &TokenVerifier, &prompt, &limits, randomness).unwrap()
}

#[test]
fn a_draft_that_draws_ahead_proposes_what_it_would_step_by_step() {
    for (pair, method) in [(Pair::Same, Method::Identity), (Pair::Crossing, Method::Tli)] {
        let folder = tempfile::tempdir().unwrap();
        let rows = draft_tokenizer(pair).vocabulary().rows();
        let mut config = tiny_config(rows);
        config["max_position_embeddings"] = 256.into();
        write_formula_bf16(folder.path(), &config, 6);
        let tuning = Tuning { threads: 64, cluster: 2, cached: Cached::Fp32, capacity: 256 };
        let played = Played { blocks: 2, shared_bytes: 9000 };
        let Some(on_cpu) = OnCpu::build(folder.path(), tuning, played) else { return };
        let mut accepted = 0;
        for index in 0..6 {
            let ahead = Network::new(on_cpu.engine(1), Loop::Grid).unwrap();
            let behind = Model::load(folder.path(), Compute::CPU).unwrap().network;
            let ours = generate(pair, method, Box::new(ahead), index);
            let theirs = generate(pair, method, behind, index);
            assert_eq!(ours.ids, theirs.ids, "{method:?} {index}");
            assert_eq!(ours.tally, theirs.tally, "{method:?} {index}");
            accepted += ours.tally.num_accepted_draft_tokens;
        }
        assert!(accepted > 0);
    }
}
