//! The loop with models on the device (run on the CPU): with a draft that draws ahead it is the loop
//! with the same draft in libtorch, and with a target that decides itself the one where the host does.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::cell::Cell;
use std::rc::Rc;

use align::{Context, Tokenizer};
use draft::cuda::{Cached, Loop, Network, Tuning};
use draft::language_model::{LanguageModel, Wanted};
use draft::{Case, Compute, Logits, Model, ModelError, Randomness, Sampling, Session, Verdict};
use support::checkpoints::{tiny_config, write_formula_bf16};
use support::on_cpu::{OnCpu, Played};
use support::toy_pairs::{DRAFT_SEED, Pair, TARGET_SEED, draft_tokenizer, side, target_tokenizer};
use target::propose::{Method, Settings};
use target::{Generation, Limits, Prompt, Side, TokenVerifier, speculate};

fn generate(pair: Pair, method: Method, draft: Box<dyn LanguageModel>, index: u64) -> Generation {
    speak(
        (side(target_tokenizer(pair), TARGET_SEED), of_model(draft_tokenizer(pair), draft)),
        method,
        index,
    )
}

fn of_model(tokenizer: Tokenizer, model: Box<dyn LanguageModel>) -> Side {
    let eos = tokenizer.eos().into_iter().collect();
    Side::new(tokenizer, Session::new(model), eos)
}

fn speak((mut target, draft): (Side, Side), method: Method, index: u64) -> Generation {
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

/// A model on the device that decides itself, or leaves it to the host.
struct Target {
    network: Network,
    decides: bool,
    decided: Rc<Cell<usize>>,
}

impl LanguageModel for Target {
    fn rows(&self) -> usize {
        self.network.rows()
    }

    fn context(&self) -> usize {
        self.network.context()
    }

    fn length(&self) -> usize {
        self.network.length()
    }

    fn extend(&mut self, ids: &[u32], wanted: Wanted) -> Result<Logits, ModelError> {
        self.network.extend(ids, wanted)
    }

    fn extend_tree(
        &mut self,
        base: usize,
        ids: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Logits, ModelError> {
        self.network.extend_tree(base, ids, parents)
    }

    fn keep_path(&mut self, base: usize, path: &[usize]) {
        self.network.keep_path(base, path);
    }

    fn truncate(&mut self, length: usize) {
        self.network.truncate(length);
    }

    fn judge(&mut self, case: &Case<'_>) -> Option<Result<Verdict, ModelError>> {
        if !self.decides {
            return None;
        }
        let verdict = self.network.judge(case)?;
        self.decided.set(self.decided.get() + 1);
        Some(verdict)
    }
}

#[test]
fn a_target_that_decides_itself_writes_what_the_host_would() {
    let cases = [
        (Pair::Same, Method::Identity),
        (Pair::Crossing, Method::Tli),
        (Pair::Monster, Method::Byte),
        (Pair::Crossing, Method::Slem),
    ];
    for (pair, method) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut config = tiny_config(target_tokenizer(pair).vocabulary().rows());
        config["max_position_embeddings"] = 256.into();
        write_formula_bf16(folder.path(), &config, 6);
        let tuning = Tuning { threads: 64, cluster: 2, cached: Cached::Fp32, capacity: 256 };
        let played = Played { blocks: 2, shared_bytes: 9000 };
        let Some(on_cpu) = OnCpu::build(folder.path(), tuning, played) else { return };
        let decided = Rc::new(Cell::new(0));
        for index in 0..6 {
            let by = |decides| {
                let network = Network::new(on_cpu.engine(1), Loop::Grid).unwrap();
                let target = Target { network, decides, decided: Rc::clone(&decided) };
                let target = of_model(target_tokenizer(pair), Box::new(target));
                speak((target, side(draft_tokenizer(pair), DRAFT_SEED)), method, index)
            };
            let (ours, theirs) = (by(true), by(false));
            assert_eq!(ours.ids, theirs.ids, "{method:?} {index}");
            assert_eq!(ours.tally, theirs.tally, "{method:?} {index}");
        }
        assert!(decided.get() > 6, "{method:?}");
    }
}
