//! The modes of the page: each hands a request to what its command hands it to, and sends what comes as
//! lines. Knows the order of lines; what they hold is elsewhere.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use draft::generate::{Finish, Settings as Going};
use draft::{Randomness, Sampling};
use serde::Serialize;

use super::limits::{Refusal, TOP};
use super::request::{Compare, Decoding, Explore, Generate, Request, Sweep};
use super::sink::Sink;
use super::stage::Stage;
use super::{limits::Limits, live};
use crate::cli::sweep::check_temperatures;
use crate::compare_text::{self, compare};
use crate::explore::spelling::Spelling;
use crate::explore::{self, Position, explore};
use crate::generate::generate;
use crate::settings::Settings;
use crate::source::Loaded;
use crate::sweep::{self, Heard, sweep};

/// A line: what happened, and what belongs to it.
#[derive(Serialize)]
pub(super) struct Event<T> {
    pub(super) event: &'static str,
    #[serde(flatten)]
    pub(super) own: T,
}

/// A piece of text as it comes, and of which of several it is.
#[derive(Serialize)]
struct Piece<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    of: usize,
    text: &'a str,
}

/// Does what is asked for; an error is the last line, or the only answer.
pub(super) fn serve(stage: &mut Stage, request: &Request, sink: &mut Sink) {
    let done = sink.check().map_err(Into::into).and_then(|()| match request {
        Request::Generate(own) => plain(stage, own, sink),
        Request::Explore(own) => positions(stage, own, sink),
        Request::Sweep(own) => temperatures(stage, own, sink),
        Request::Compare(own) => head_to_head(stage, own, sink),
        Request::Speculate(own) => live::run(stage, own, sink),
    });
    if let Err(error) = done {
        sink.fail(&error);
    }
}

/// Refuses what needs no model to be refused.
pub(super) fn check(request: &Request, limits: Limits) -> Result<(), Refusal> {
    request.decoding().check()?;
    let max_new = request.decoding().max_new;
    match request {
        Request::Generate(_) => limits.check_tokens(max_new.unwrap_or(1), "these settings"),
        Request::Explore(own) => {
            let top = own.top.unwrap_or(1);
            if !(1..=TOP).contains(&top) {
                let message = format!("1 to {TOP} next tokens can be shown");
                return Err(Refusal::unprocessable(message));
            }
            limits.check_tokens(max_new.unwrap_or(0).max(1), "these settings")
        }
        Request::Sweep(own) => {
            let temperatures = check_temperatures(&own.temperatures);
            temperatures.map_err(|error| Refusal::unprocessable(format!("{error:#}")))?;
            let texts = own.temperatures.len().saturating_mul(samples(own));
            let each = needed(max_new)?;
            limits.check_tokens(texts.saturating_mul(each), &format!("{texts} texts of {each}"))
        }
        Request::Compare(own) => {
            let each = needed(max_new)?;
            let texts = own.rounds.unwrap_or(1).saturating_mul(2);
            limits.check_tokens(texts.saturating_mul(each), &format!("{texts} texts of {each}"))
        }
        Request::Speculate(own) => {
            let each = needed(max_new)?;
            let texts = 1 + usize::from(own.plain);
            limits.check_tokens(texts.saturating_mul(each), &format!("{texts} text(s) of {each}"))
        }
    }
}

fn needed(max_new: Option<usize>) -> Result<usize, Refusal> {
    max_new
        .ok_or_else(|| Refusal::unprocessable("decoding.max_new, the number of tokens, is missing"))
}

fn samples(request: &Sweep) -> usize {
    request.samples.unwrap_or(1)
}

fn seed(stage: &Stage, decoding: &Decoding) -> u64 {
    decoding.seed.unwrap_or(stage.opening.seed)
}

fn eos(model: &Loaded, decoding: &Decoding) -> Vec<u32> {
    if decoding.ignore_eos { Vec::new() } else { model.side.eos.clone() }
}

#[derive(Serialize)]
struct Begun<'a> {
    model: &'a str,
    note: Option<&'a str>,
    prompt_ids: &'a [u32],
    seed: u64,
}

impl<'a> Begun<'a> {
    fn line(model: &'a Loaded, prompt_ids: &'a [u32], seed: u64) -> Event<Self> {
        let (model, note) = (&model.info.name, model.info.note.as_deref());
        Event { event: "begun", own: Self { model, note, prompt_ids, seed } }
    }
}

#[derive(Serialize)]
struct Generated<'a> {
    ids: &'a [u32],
    text: &'a str,
    bytes_b64: String,
    finish: Finish,
    tokens: usize,
    seconds: f64,
    prefill_seconds: f64,
    sampling: &'a Settings,
    settings: String,
}

fn plain(stage: &mut Stage, request: &Generate, sink: &mut Sink) -> Result<()> {
    let (seed, most) = (seed(stage, &request.decoding), stage.opening.limits.tokens);
    let model = stage.model(&request.model)?;
    let wishes = request.decoding.wishes();
    let mut settings = Settings::resolve(wishes, model.published.as_ref(), &model.located.folder)?;
    settings.max_new.value = settings.max_new.value.min(most);
    let prompt = compare_text::read(model, &request.prompt)?;
    sink.line(&Begun::line(model, prompt.ids(), seed))?;
    let going = Going {
        sampling: settings.sampling(),
        randomness: Randomness { seed, prompt: 0 },
        eos: eos(model, &request.decoding),
        max_new: settings.max_new.value,
    };
    let made = generate(&mut model.side, prompt.ids(), going, &mut |text| {
        sink.line(&Event { event: "piece", own: Piece { temperature: None, of: 0, text } })
    })?;
    let own = Generated {
        ids: &made.ids,
        text: &made.text,
        bytes_b64: STANDARD.encode(&made.bytes),
        finish: made.finish,
        tokens: made.ids.len(),
        seconds: made.seconds,
        prefill_seconds: made.prefill_seconds,
        settings: settings.sentence(),
        sampling: &settings,
    };
    sink.line(&Event { event: "done", own })
}

fn positions(stage: &mut Stage, request: &Explore, sink: &mut Sink) -> Result<()> {
    let seed = seed(stage, &request.decoding);
    let model = stage.model(&request.model)?;
    let prompt = compare_text::read(model, &request.prompt)?;
    sink.line(&Begun::line(model, prompt.ids(), seed))?;
    let mut shape = request.decoding.over(Sampling::at(1.0));
    if shape.is_greedy() {
        shape.temperature = 1.0;
    }
    let asked = explore::Request {
        ids: prompt.ids().to_vec(),
        top: request.top.unwrap_or(10),
        shape: (shape != Sampling::at(1.0)).then_some(shape),
        choice: request.decoding.over(Sampling::GREEDY),
        generate: request.decoding.max_new.unwrap_or(0),
        eos: eos(model, &request.decoding),
        seed,
    };
    let side = &mut model.side;
    let spelling = Spelling::new(Some(&side.tokenizer));
    let outcome = explore(&mut side.session, spelling, &asked, &mut |position: Position| {
        sink.line(&Event { event: "position", own: position })
    })?;
    sink.line(&Event { event: "done", own: outcome })
}

#[derive(Serialize)]
struct Nothing {}

fn temperatures(stage: &mut Stage, request: &Sweep, sink: &mut Sink) -> Result<()> {
    let seed = seed(stage, &request.decoding);
    let model = stage.model(&request.model)?;
    let prompt = compare_text::read(model, &request.prompt)?;
    sink.line(&Begun::line(model, prompt.ids(), seed))?;
    let asked = sweep::Request {
        prompt: prompt.ids().to_vec(),
        temperatures: request.temperatures.clone(),
        samples: samples(request).max(1),
        sampling: request.decoding.over(Sampling::GREEDY),
        eos: eos(model, &request.decoding),
        max_new: needed(request.decoding.max_new)?,
        seed,
    };
    sweep(&mut model.side, &asked, &mut |heard| match heard {
        Heard::Piece(temperature, of, text) => {
            let own = Piece { temperature: Some(temperature), of, text };
            sink.line(&Event { event: "piece", own })
        }
        Heard::Row(row) => sink.line(&Event { event: "row", own: row }),
    })?;
    sink.line(&Event { event: "done", own: Nothing {} })
}

#[derive(Serialize)]
struct Names<'a> {
    models: &'a [String; 2],
    seed: u64,
}

fn head_to_head(stage: &mut Stage, request: &Compare, sink: &mut Sink) -> Result<()> {
    let asked = compare_text::Request {
        prompt: request.prompt.clone(),
        sampling: request.decoding.over(Sampling::GREEDY),
        max_new: needed(request.decoding.max_new)?,
        ignore_eos: request.decoding.ignore_eos,
        seed: seed(stage, &request.decoding),
        reference: request.reference.clone().filter(|text| !text.is_empty()),
        rounds: request.rounds.unwrap_or(1).max(1),
    };
    let models = stage.two(&request.models)?;
    for model in &models {
        compare_text::read(model, &request.prompt)?;
    }
    let own = Names { models: &request.models, seed: asked.seed };
    sink.line(&Event { event: "begun", own })?;
    let found = compare(models, &asked, &mut |of, text| {
        sink.check()?;
        if text.is_empty() {
            return Ok(());
        }
        sink.line(&Event { event: "piece", own: Piece { temperature: None, of, text } })
    })?;
    sink.line(&Event { event: "done", own: found })
}
