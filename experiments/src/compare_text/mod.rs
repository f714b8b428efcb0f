//! Two models on one prompt: what each writes with the same settings, how fast, and how probable each finds
//! the prompt, its own text, the other's, and a text given beside. Scores are bits per byte, for tokens of
//! two vocabularies are not of one length. Prints nothing.

pub mod table;

use align::Context;
use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use draft::generate::{Finish, Settings};
use draft::{Randomness, Sampling};
use serde::Serialize;

use crate::bench::fit;
use crate::generate::{Continuation, generate};
use crate::likelihood::{Score, score_behind, score_whole};
use crate::source::Loaded;

/// What both are asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The text to continue.
    pub prompt: String,
    /// How each model's logits become its law.
    pub sampling: Sampling,
    /// Tokens of a continuation, at most.
    pub max_new: usize,
    /// Whether an end of text is a token like any other.
    pub ignore_eos: bool,
    /// Seed of everything random.
    pub seed: u64,
    /// A continuation that both score beside their own.
    pub reference: Option<String>,
    /// How often both write, in turns, for the sake of the clock; the text is the same every time.
    pub rounds: usize,
}

/// What one model says of the texts, all but the prompt behind the prompt. What is too long for the model has
/// no score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// The prompt itself, behind the tokenizer's prefix or an end of text; `None` where there is neither.
    pub prompt: Option<Score>,
    /// What it wrote itself.
    pub own: Option<Score>,
    /// What the other model wrote.
    pub other: Option<Score>,
    /// The text given beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Score>,
}

/// One of the two.
#[derive(Clone, Debug, Serialize)]
pub struct Voice {
    /// The model.
    pub model: String,
    /// That it is not what its name means elsewhere, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its parameters.
    pub parameters: u64,
    /// The prompt as it reads it.
    pub prompt_ids: Vec<u32>,
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
    /// Bytes of the text.
    pub bytes: usize,
    /// Seconds of decoding in each round, the prompt's reading left out.
    pub decode_seconds: Vec<f64>,
    /// What it says of the texts.
    pub scores: Scores,
}

/// The first model's rate over the second's, both timed in turns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Median over rounds.
    pub value: f64,
    /// The smallest of a round.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

/// The whole.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The two, in the order they were named.
    pub models: [Voice; 2],
    /// Tokens a second; `None` where one wrote nothing.
    pub tokens_per_second_ratio: Option<Ratio>,
    /// Bytes of text a second.
    pub bytes_per_second_ratio: Option<Ratio>,
}

/// What is heard on the way: which of the two (0 or 1) writes what, in its first round.
pub type Hear<'a> = dyn FnMut(usize, &str) -> Result<()> + 'a;

/// A prompt as a model reads it; refused where the model cannot.
pub fn read(model: &Loaded, prompt: &str) -> Result<Context> {
    let context = fit::read(&model.side.tokenizer, None, prompt)?.context;
    if context.ids().is_empty() {
        bail!("the prompt is empty, and its tokenizer puts nothing in front; give some text");
    }
    draft::generate::check(&model.side.session, context.ids())?;
    Ok(context)
}

/// Lets both write and score.
pub fn compare(
    models: [&mut Loaded; 2],
    request: &Request,
    hear: &mut Hear<'_>,
) -> Result<Comparison> {
    let [one, two] = models;
    let prompts = [read(one, &request.prompt)?, read(two, &request.prompt)?];
    let mut seconds: [Vec<f64>; 2] = Default::default();
    let mut made: [Option<Continuation>; 2] = [None, None];
    for round in 0..request.rounds.max(1) {
        // Who goes first changes from round to round.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for who in order {
            let model = if who == 0 { &mut *one } else { &mut *two };
            let is_first = made[who].is_none();
            let own = write(model, &prompts[who], request, &mut |text| {
                if is_first { hear(who, text) } else { hear(who, "") }
            })?;
            seconds[who].push(own.seconds - own.prefill_seconds);
            made[who].get_or_insert(own);
        }
    }
    let [Some(first), Some(second)] = made else { bail!("nothing was written") };
    let scores = [
        score(one, &prompts[0], request, [&first.bytes, &second.bytes])?,
        score(two, &prompts[1], request, [&second.bytes, &first.bytes])?,
    ];
    let ratio = |counts: [usize; 2]| ratio(counts, &seconds);
    let tokens_per_second_ratio = ratio([first.ids.len(), second.ids.len()]);
    let bytes_per_second_ratio = ratio([first.bytes.len(), second.bytes.len()]);
    let [one_seconds, two_seconds] = seconds;
    Ok(Comparison {
        models: [
            voice(one, &prompts[0], (first, one_seconds), scores[0]),
            voice(two, &prompts[1], (second, two_seconds), scores[1]),
        ],
        tokens_per_second_ratio,
        bytes_per_second_ratio,
    })
}

fn write(
    model: &mut Loaded,
    prompt: &Context,
    request: &Request,
    each: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Continuation> {
    let settings = Settings {
        sampling: request.sampling,
        randomness: Randomness { seed: request.seed, prompt: 0 },
        eos: if request.ignore_eos { Vec::new() } else { model.side.eos.clone() },
        max_new: request.max_new,
    };
    generate(&mut model.side, prompt.ids(), settings, each)
}

fn score(
    model: &mut Loaded,
    prompt: &Context,
    request: &Request,
    [own, other]: [&[u8]; 2],
) -> Result<Scores> {
    let side = &mut model.side;
    let reference = request.reference.as_ref();
    Ok(Scores {
        prompt: score_whole(side, request.prompt.as_bytes())?,
        own: score_behind(side, prompt, own)?,
        other: score_behind(side, prompt, other)?,
        reference: match reference {
            Some(text) => score_behind(side, prompt, text.as_bytes())?,
            None => None,
        },
    })
}

fn voice(
    model: &Loaded,
    prompt: &Context,
    (made, decode_seconds): (Continuation, Vec<f64>),
    scores: Scores,
) -> Voice {
    Voice {
        model: model.info.name.clone(),
        note: model.info.note.clone(),
        parameters: model.info.parameters,
        prompt_ids: prompt.ids().to_vec(),
        bytes_b64: STANDARD.encode(&made.bytes),
        text: made.text,
        finish: made.finish,
        tokens: made.ids.len(),
        bytes: made.bytes.len(),
        ids: made.ids,
        decode_seconds,
        scores,
    }
}

fn ratio([one, two]: [usize; 2], seconds: &[Vec<f64>; 2]) -> Option<Ratio> {
    let each = seconds[0].iter().zip(&seconds[1]);
    let mut rounds: Vec<f64> = each
        .map(|(a, b)| (one as f64 / a) / (two as f64 / b))
        .filter(|own| own.is_finite())
        .collect();
    rounds.sort_by(f64::total_cmp);
    let middle = rounds.len() / 2;
    let is_even = rounds.len().is_multiple_of(2);
    Some(Ratio {
        low: *rounds.first()?,
        high: *rounds.last()?,
        value: if is_even {
            f64::midpoint(rounds[middle - 1], rounds[middle])
        } else {
            rounds[middle]
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_its_rounds() {
        let seconds = [vec![1.0, 2.0, 4.0], vec![2.0, 2.0, 2.0]];
        let expected = Ratio { value: 1.0, low: 0.5, high: 2.0 };
        assert_eq!(ratio([10, 10], &seconds), Some(expected));
        let two = [vec![1.0, 2.0], vec![2.0, 2.0]];
        assert_eq!(ratio([10, 20], &two).unwrap().value, 0.75);
        assert_eq!(ratio([10, 0], &seconds), None, "nothing is no rate");
    }
}
