//! Speculative decoding, live: the loop of the `target` crate with the server's pair, watched round by
//! round, and plain decoding beside it where that is asked for. Proposes and verifies nothing itself.

use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use draft::{Randomness, Sampling};
use serde::Serialize;
use target::propose::siblings::{Rule, Siblings};
use target::propose::tree::Size;
use target::propose::{Nothing, Settings};
use target::{
    Finish, Generation, Laws, Limits as Going, Method, Prompt, Proposal, Seconds, Side,
    SpeculateError, Tally, Verdict, Verification, speculate,
};

use super::limits::{GAMMA, NODES, Refusal};
use super::modes::Event;
use super::request::Speculate;
use super::sink::Sink;
use super::split::pieces;
use super::stage::Stage;
use super::watched::{Hear, Rates, Round, Seen, Totals, Watched};
use crate::bench::fit;
use crate::source::Loaded;

/// Candidates in a row where nothing is said, as `spec bench` has it.
const USUAL_GAMMA: usize = 5;

#[derive(Serialize)]
struct Begun<'a> {
    draft: &'a str,
    target: &'a str,
    notes: Vec<&'a str>,
    method: &'static str,
    method_reason: &'static str,
    verification: Verification,
    gamma: usize,
    nodes: usize,
    sampling: Sampling,
    seed: u64,
    prompt_tokens: [usize; 2],
}

#[derive(Serialize)]
struct Done {
    ids: Vec<u32>,
    text: String,
    bytes_b64: String,
    finish: Finish,
    counts: Tally,
    seconds: Seconds,
    totals: Totals,
    rates: Rates,
    /// The text, cut where the tokens of each vocabulary end.
    draft_pieces: Vec<String>,
    plain: Option<Plain>,
}

/// Plain decoding of the same in the same run.
#[derive(Serialize)]
struct Plain {
    tokens: usize,
    seconds: Seconds,
    /// Whether its ids are the same; told at temperature 0 alone, where they have to be.
    identical: Option<bool>,
    /// Tokens a second of speculative decoding over those of plain decoding, prompts included.
    speed_ratio: f64,
}

/// All that decides a generation.
struct Run {
    method: Method,
    reason: &'static str,
    settings: Settings,
    going: Going,
    verification: Verification,
    randomness: Randomness,
}

/// Speculates, and sends each round as it comes.
pub(super) fn run(stage: &mut Stage, request: &Speculate, sink: &mut Sink) -> Result<()> {
    let opening = stage.opening.clone();
    let seed = request.decoding.seed.unwrap_or(opening.seed);
    let (draft, target, lent) = stage.pair();
    let prompt = read(draft, target, &request.prompt)?;
    let run = Run::new(request, (draft, target), seed)?;
    let described = opening.sources.describe_located("draft", &opening.draft, &draft.located)?;
    let side = Side::new(described.tokenizer, lent.session(), draft.side.eos.clone());
    let mut proposer = run.method.proposer(side, target.side.reader(), run.settings)?;
    sink.line(&Event { event: "begun", own: run.begun((draft, target), &prompt) })?;

    let eos = if run.going.ignore_eos { Vec::new() } else { target.side.eos.clone() };
    let vocabulary = target.side.tokenizer.vocabulary();
    let text = request.prompt.as_bytes();
    let tokenizer = &draft.side.tokenizer;
    let mut seen = Seen::begin((vocabulary, &eos), tokenizer, text, prompt.target.ids());
    let mut speculative = |hear: &mut Hear<'_>, side: &mut Side| {
        let verifier = Watched::new(run.verification.verifier(), hear);
        speculate(side, &mut *proposer, &verifier, &prompt, &run.going, run.randomness)
    };
    let made = speculative(
        &mut |proposal, laws, verdict, position| {
            let round: Round = seen.round(proposal, laws, verdict, position)?;
            let sent = sink.line(&Event { event: "round", own: round });
            sent.map_err(|_| SpeculateError::Stopped)
        },
        &mut target.side,
    );
    lent.clear();
    let made = made?;
    let totals = seen.totals();
    let plain = request.plain.then(|| beside(&run, &mut target.side, (&prompt, &made), sink));
    let whole = [text, &made.bytes].concat();
    let draft_pieces = pieces(tokenizer, &whole, text.len())?;
    let done = done(made, (totals, draft_pieces), plain.transpose()?);
    sink.line(&Event { event: "done", own: done })
}

/// A prompt as both sides read it.
fn read(draft: &Loaded, target: &Loaded, text: &str) -> Result<Prompt> {
    let ours = fit::read(&draft.side.tokenizer, None, text)?;
    let theirs = fit::read(&target.side.tokenizer, None, text)?;
    for (reading, model) in [(&ours, draft), (&theirs, target)] {
        if reading.context.ids().is_empty() {
            bail!("the prompt is empty: there is nothing to continue; give some text");
        }
        if !reading.expressible {
            bail!(
                "the tokenizer of {} lacks characters of the prompt; leave them out",
                model.info.name
            );
        }
    }
    draft::generate::check(&target.side.session, theirs.context.ids())?;
    Ok(Prompt { target: theirs.context, draft: ours.context })
}

impl Run {
    fn new(
        request: &Speculate,
        (draft, target): (&Loaded, &Loaded),
        seed: u64,
    ) -> Result<Self, Refusal> {
        let vocabularies = [draft, target].map(|own| own.side.tokenizer.vocabulary());
        let (method, reason) = match request.method {
            Some(method) => (method, "asked for"),
            None => Method::best_for(vocabularies[0], vocabularies[1]),
        };
        let gamma = request.gamma.unwrap_or(USUAL_GAMMA);
        let nodes = request.nodes.unwrap_or(Size::default().nodes);
        if !(1..=GAMMA).contains(&gamma) || !(1..=NODES).contains(&nodes) {
            return Err(Refusal::unprocessable(format!(
                "candidates in a row are 1 to {GAMMA}, and in a tree 1 to {NODES}"
            )));
        }
        let verification = request.verification;
        let sampling = request.decoding.over(Sampling::GREEDY);
        let count = (verification == Verification::Block).then_some(1);
        let max_new = request.decoding.max_new.unwrap_or_default();
        Ok(Self {
            method,
            reason,
            settings: Settings {
                temperature: sampling.temperature,
                size: Size { nodes, ..Size::default() },
                siblings: Siblings { count, rule: Rule::Drawn },
            },
            going: Going { gamma, max_new, ignore_eos: request.decoding.ignore_eos, sampling },
            verification,
            randomness: Randomness { seed, prompt: 0 },
        })
    }

    fn begun<'a>(&self, (draft, target): (&'a Loaded, &'a Loaded), prompt: &Prompt) -> Begun<'a> {
        let notes = [draft, target].into_iter().filter_map(|own| own.info.note.as_deref());
        Begun {
            draft: &draft.info.name,
            target: &target.info.name,
            notes: notes.collect(),
            method: self.method.name(),
            method_reason: self.reason,
            verification: self.verification,
            gamma: self.going.gamma,
            nodes: self.settings.size.nodes,
            sampling: self.going.sampling,
            seed: self.randomness.seed,
            prompt_tokens: [prompt.draft.ids().len(), prompt.target.ids().len()],
        }
    }
}

/// The same by the target alone.
fn beside(
    run: &Run,
    side: &mut Side,
    (prompt, made): (&Prompt, &Generation),
    sink: &Sink,
) -> Result<Plain> {
    let mut hear = |_: &Proposal, _: &dyn Laws, _: &Verdict, _: usize| {
        sink.check().map_err(|_| SpeculateError::Stopped)
    };
    let verifier = Watched::new(run.verification.verifier(), &mut hear);
    let plain = speculate(side, &mut Nothing, &verifier, prompt, &run.going, run.randomness)?;
    let rate = |own: &Generation| own.ids.len() as f64 / own.seconds.total;
    Ok(Plain {
        tokens: plain.ids.len(),
        seconds: plain.seconds,
        identical: run.going.sampling.is_greedy().then_some(plain.ids == made.ids),
        speed_ratio: rate(made) / rate(&plain),
    })
}

fn done(
    made: Generation,
    (totals, draft_pieces): (Totals, Vec<String>),
    plain: Option<Plain>,
) -> Done {
    Done {
        text: String::from_utf8_lossy(&made.bytes).into_owned(),
        bytes_b64: STANDARD.encode(&made.bytes),
        ids: made.ids,
        finish: made.finish,
        counts: made.tally,
        seconds: made.seconds,
        totals,
        rates: totals.rates(),
        draft_pieces,
        plain,
    }
}
