//! Plain generation as text: the ids of [`Generator`] as bytes and characters that come as soon as
//! they are certain. Knows one model and its tokenizer; prints nothing.

use std::time::Instant;

use align::Decoder;
use align::utf8::Utf8Stream;
use anyhow::Result;
use draft::generate::{Finish, Generator, Settings};
use target::Side;

/// One continuation.
#[derive(Clone, Debug)]
pub struct Continuation {
    /// The ids drawn, an end of text included.
    pub ids: Vec<u32>,
    /// All bytes that they add behind the prompt.
    pub bytes: Vec<u8>,
    /// Those bytes with invalid UTF-8 as U+FFFD.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Seconds of reading the prompt and decoding.
    pub seconds: f64,
    /// Seconds of them that went into reading the prompt.
    pub prefill_seconds: f64,
}

/// Continues a prompt and hands over the text piece by piece.
pub fn generate(
    side: &mut Side,
    prompt: &[u32],
    settings: Settings,
    each: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Continuation> {
    let mut decoder = Decoder::after(&side.tokenizer, prompt);
    let (mut bytes, mut text, mut characters) = (Vec::new(), String::new(), Utf8Stream::default());
    let start = Instant::now();
    let mut generator = Generator::begin(&mut side.session, prompt.to_vec(), settings)?;
    let prefill_seconds = start.elapsed().as_secs_f64();
    while let Some(id) = generator.next_id()? {
        let piece = decoder.push(&side.tokenizer, id);
        let ready = characters.push(&piece);
        each(&ready)?;
        bytes.extend(piece);
        text.push_str(&ready);
    }
    let seconds = start.elapsed().as_secs_f64();
    let held_back = decoder.finish(&side.tokenizer);
    let ready = characters.push(&held_back) + &characters.finish();
    each(&ready)?;
    bytes.extend(held_back);
    text.push_str(&ready);
    Ok(Continuation {
        ids: generator.drawn().to_vec(),
        bytes,
        text,
        finish: generator.finish().unwrap_or(Finish::MaxNew),
        seconds,
        prefill_seconds,
    })
}
