//! One prompt at several temperatures: what a model writes at each, how varied that is, and how probable
//! the model finds it. Knows one model; prints nothing.

pub mod figures;
pub mod table;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use draft::generate::{Finish, Settings};
use draft::{Randomness, Sampling};
use serde::Serialize;
use target::Side;

use crate::generate::{Continuation, generate};
use crate::likelihood::log_probabilities;
use figures::{Figures, Variety};

/// What to write.
#[derive(Clone, Debug)]
pub struct Request {
    /// The prompt's ids.
    pub prompt: Vec<u32>,
    /// The temperatures, in this order.
    pub temperatures: Vec<f64>,
    /// Continuations at each; one where it is 0, for they are all the same.
    pub samples: usize,
    /// How laws are shaped beside.
    pub sampling: Sampling,
    /// Ids that end a text.
    pub eos: Vec<u32>,
    /// Tokens of a continuation, at most.
    pub max_new: usize,
    /// Seed of everything random.
    pub seed: u64,
}

/// One continuation.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Its number, from 0: the one that `spec generate` draws with that number.
    pub sample: usize,
    /// The ids drawn, an end of text included.
    pub ids: Vec<u32>,
    /// All bytes that they add behind the prompt, in base64.
    pub bytes_b64: String,
    /// Those bytes as text.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Ids drawn.
    pub tokens: usize,
    /// Seconds of reading the prompt and decoding.
    pub seconds: f64,
    /// Mean natural log-probability of its ids by the model's own law, at temperature 1; `None` where
    /// one has no mass there.
    pub mean_logprob: Option<f64>,
    /// How varied its ids are.
    #[serde(flatten)]
    pub variety: Variety,
}

/// What came at one temperature.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The temperature.
    pub temperature: f64,
    /// The continuations.
    pub samples: Vec<Sample>,
    /// Over all of them.
    pub figures: Figures,
}

/// What is heard of a sweep on its way.
#[derive(Debug)]
pub enum Heard<'a> {
    /// A piece of the text of a temperature's sample.
    Piece(f64, usize, &'a str),
    /// A temperature is done.
    Row(&'a Row),
}

/// Writes at each temperature.
pub fn sweep(
    side: &mut Side,
    request: &Request,
    hear: &mut dyn FnMut(Heard<'_>) -> Result<()>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &temperature in &request.temperatures {
        let count = if temperature == 0.0 { 1 } else { request.samples };
        let (mut samples, mut logprobs) = (Vec::new(), Vec::new());
        for sample in 0..count {
            let made = generate(
                side,
                &request.prompt,
                settings(request, temperature, sample),
                &mut |text| hear(Heard::Piece(temperature, sample, text)),
            )?;
            let ids = [&request.prompt, &made.ids[..]].concat();
            let own = log_probabilities(&mut side.session, &ids, request.prompt.len())?;
            logprobs.push(own.iter().sum());
            samples.push(described(sample, made, own.iter().sum()));
        }
        let figures = Figures::new(&samples, &logprobs, request.seed);
        let row = Row { temperature, samples, figures };
        hear(Heard::Row(&row))?;
        rows.push(row);
    }
    Ok(rows)
}

fn settings(request: &Request, temperature: f64, sample: usize) -> Settings {
    Settings {
        sampling: Sampling { temperature, ..request.sampling },
        randomness: Randomness { seed: request.seed, prompt: sample as u64 },
        eos: request.eos.clone(),
        max_new: request.max_new,
    }
}

fn described(sample: usize, made: Continuation, logprob: f64) -> Sample {
    let tokens = made.ids.len();
    let mean = logprob / tokens as f64;
    Sample {
        sample,
        variety: Variety::of(&made.ids),
        bytes_b64: STANDARD.encode(&made.bytes),
        text: made.text,
        finish: made.finish,
        tokens,
        seconds: made.seconds,
        mean_logprob: Some(mean).filter(|mean| mean.is_finite()),
        ids: made.ids,
    }
}
