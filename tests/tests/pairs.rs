//! Real trained pairs with different vocabularies: greedy ids of every method equal plain greedy
//! decoding, and at temperature 1 `slem` emits plain sampling's text for the same seed.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::path::Path;

use align::{Context, Tokenizer};
use draft::{Model, Randomness, Sampling, Session};
use serde_json::Value;
use support::shared;
use target::propose::siblings::{Rule, Siblings};
use target::propose::{Nothing, Settings};
use target::{
    Generation, Limits, Method, Prompt, Proposer, Side, SpeculateError, TokenVerifier, speculate,
};

/// A first difference between logits closer than this is a tie, not an error.
const TIE_MARGIN: f32 = 1e-4;

const STORIES: [&str; 3] = ["tinystories-656k", "stories260k", "babyllama-tok105"];

fn side(folder: &Path) -> Side {
    let model = Model::load(folder, shared::compute()).unwrap();
    let tokenizer = Tokenizer::load(folder).unwrap();
    Side::new(tokenizer, Session::new(model.network), model.config.eos)
}

fn run(
    target: &mut Side,
    proposer: &mut dyn Proposer,
    prompt: &Prompt,
    limits: &Limits,
    index: usize,
) -> Result<Generation, SpeculateError> {
    let randomness = Randomness { seed: 1, prompt: index as u64 };
    speculate(target, proposer, &TokenVerifier, prompt, limits, randomness)
}

/// Whether two greedy texts differ first where two logits are nearly equal.
fn is_tie(target: &mut Side, prompt: &Prompt, ours: &[u32], theirs: &[u32]) -> bool {
    let at = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    let ids = [prompt.target.ids(), &ours[..at]].concat();
    target.session.reset();
    let logits = target.session.advance_to(&ids).unwrap();
    (logits[ours[at] as usize] - logits[theirs[at] as usize]).abs() < TIE_MARGIN
}

/// Prompts of a pair outside `make oracle`: for methods that read several texts at once, and for others.
const FEWER: [usize; 2] = [12, 25];

/// Runs all methods of a pair and compares with plain decoding.
fn check(draft: &Path, target: &Path, prompts: &[String], max_new: usize, sampled: usize) {
    let mut target = side(target);
    let greedy = Limits { gamma: 5, max_new, ignore_eos: false, sampling: Sampling::GREEDY };
    let sampling = Limits { sampling: Sampling::at(1.0), ..greedy };
    let same = side(draft).tokenizer.vocabulary().same_as(target.tokenizer.vocabulary());
    let every = [Method::Identity, Method::Slem, Method::Tli, Method::Tree, Method::Byte];
    let methods = if same { &every[..] } else { &every[1..] };
    let mut plain: Vec<Vec<u32>> = Vec::new();
    for &method in methods {
        let draft = side(draft);
        let context = |side: &Side, text: &String| {
            Context::of_text(&side.tokenizer, text.as_bytes()).unwrap()
        };
        let prompts: Vec<Prompt> = prompts
            .iter()
            .map(|text| Prompt { target: context(&target, text), draft: context(&draft, text) })
            .collect();
        let siblings = Siblings { count: None, rule: Rule::Drawn };
        let settings = Settings { siblings, ..Settings::at(0.0) };
        let mut proposer = method.proposer(draft, &target, settings).unwrap();
        let (mut ties, mut accepted) = (0, 0);
        // Many passes of a small draft take their time.
        let fewer = FEWER[usize::from(!method.reads_many())];
        let most = if shared::is_oracle() { prompts.len() } else { fewer };
        let count = prompts.len().min(most);
        for (index, prompt) in prompts.iter().take(count).enumerate() {
            if plain.len() == index {
                plain.push(run(&mut target, &mut Nothing, prompt, &greedy, index).unwrap().ids);
            }
            let found = run(&mut target, proposer.as_mut(), prompt, &greedy, index).unwrap();
            accepted += found.tally.num_accepted_draft_tokens;
            if plain[index] != found.ids {
                assert!(is_tie(&mut target, prompt, &plain[index], &found.ids), "{method} {index}");
                ties += 1;
            }
        }
        eprintln!("{method}: {count} prompts, {accepted} accepted, {ties} ties");
        assert!(accepted > 0 && ties * 10 <= count);
        if method == Method::Slem {
            for (index, prompt) in prompts.iter().take(sampled.min(most)).enumerate() {
                let plain = run(&mut target, &mut Nothing, prompt, &sampling, index).unwrap();
                let found = run(&mut target, proposer.as_mut(), prompt, &sampling, index).unwrap();
                assert_eq!(plain.ids, found.ids, "sampled text of prompt {index}");
            }
        }
    }
}

fn story_prompts() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/prompts/stories.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let json: Value = serde_json::from_str(line).unwrap();
            json["prompt"].as_str().unwrap().to_owned()
        })
        .take(50)
        .collect()
}

#[test]
fn all_pairs_of_story_models() {
    for target in STORIES {
        for draft in STORIES {
            let folder = |name: &str| shared::path(&format!("weights/{name}"));
            let (Some(draft), Some(target)) = (folder(draft), folder(target)) else { return };
            check(&draft, &target, &story_prompts(), 48, 50);
        }
    }
}

#[test]
fn the_stentor2_shape_drafts_for_the_llama3_vocabulary() {
    let folder = |name: &str| shared::path(&format!("weights/{name}"));
    let (Some(draft), Some(target)) = (folder("gsm-draft-stentor2"), folder("gsm-target-llama3"))
    else {
        return;
    };
    let Some(questions) = shared::path("eval/gsm8k/test.jsonl") else { return };
    let text = std::fs::read_to_string(questions).unwrap();
    let prompts: Vec<String> = text
        .lines()
        .take(50)
        .map(|line| {
            let json: Value = serde_json::from_str(line).unwrap();
            json["question"].as_str().unwrap().to_owned()
        })
        .collect();
    check(&draft, &target, &prompts, 24, 12);
}
