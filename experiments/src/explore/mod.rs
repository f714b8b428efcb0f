//! The token-probability explorer: at each position of a text the most probable next tokens, position
//! by position, so that memory does not grow with the text. Knows one model; prints nothing.

pub mod json;
pub mod ranking;
pub mod spelling;
pub mod table;

use anyhow::Result;
use draft::generate::{Finish, Generator, Settings, check, check_finite};
use draft::{Randomness, Sampling, Session};
use serde::Serialize;

use ranking::{Place, Ranking};
use spelling::Spelling;

/// Positions that are read in one pass.
const BLOCK: usize = 64;

/// What to explore.
#[derive(Clone, Debug)]
pub struct Request {
    /// The text, exactly as the model reads it.
    pub ids: Vec<u32>,
    /// Candidates to show at each position; 0 is all that have mass.
    pub top: usize,
    /// How the model's own law is shaped before it is shown, where it is.
    pub shape: Option<Sampling>,
    /// How the ids behind the text are chosen.
    pub choice: Sampling,
    /// Ids to append, at most.
    pub generate: usize,
    /// Ids that end the text.
    pub eos: Vec<u32>,
    /// Seed of the ids that are drawn.
    pub seed: u64,
}

/// A possible next token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Its id.
    pub id: u32,
    /// The bytes that it adds to the text so far, in base64.
    pub bytes_b64: String,
    /// Those bytes as text, or the name of a special.
    pub text: String,
    /// Natural log-probability.
    pub logprob: f64,
}

/// One position: an id and what may follow it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Position {
    /// Its place, from 0.
    pub index: usize,
    /// The id that stands there.
    pub id: u32,
    /// The bytes that it adds to the text before it, in base64.
    pub bytes_b64: String,
    /// Those bytes as text, or the name of a special.
    pub text: String,
    /// Whether it was generated.
    pub generated: bool,
    /// Its rank among the next tokens of the position before, from 1; `None` at the first position
    /// and where it had no mass.
    pub rank: Option<usize>,
    /// Its natural log-probability there.
    pub logprob: Option<f64>,
    /// What may follow, the most probable first; empty behind the last position of the context.
    pub next: Vec<Candidate>,
}

/// What came behind the text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The ids that were generated.
    pub generated_ids: Vec<u32>,
    /// Why that ended; `None` where nothing was asked for.
    pub finish: Option<Finish>,
}

/// Whether a model can read the ids of a request. After this no request is refused.
pub fn check_ids(session: &Session, ids: &[u32]) -> Result<()> {
    Ok(check(session, ids)?)
}

/// Explores, and hands over each position as soon as it is known.
pub fn explore(
    session: &mut Session,
    spelling: Spelling<'_>,
    request: &Request,
    each: &mut dyn FnMut(Position) -> Result<()>,
) -> Result<Outcome> {
    check_ids(session, &request.ids)?;
    session.reset();
    let mut walk = Walk { request, spelling, index: 0, before: None, each };
    // Where ids are appended, the generator reads the text again in one pass, so that it chooses
    // what plain generation chooses; the last position is shown as it sees it.
    let shown = request.ids.len() - usize::from(request.generate > 0);
    for block in request.ids[..shown].chunks(BLOCK) {
        let logits = session.read_all(block)?;
        for (row, &id) in block.iter().enumerate() {
            let context = &request.ids[..=walk.index];
            walk.step(id, Some(logits.row(row)), context)?;
        }
    }
    if request.generate == 0 {
        return Ok(Outcome { generated_ids: Vec::new(), finish: None });
    }
    walk.generate(session)
}

/// The way along the positions.
struct Walk<'a, 'b> {
    request: &'a Request,
    spelling: Spelling<'a>,
    index: usize,
    /// What the position before said of the next id.
    before: Option<Ranking>,
    each: &'b mut dyn FnMut(Position) -> Result<()>,
}

impl Walk<'_, '_> {
    fn generate(&mut self, session: &mut Session) -> Result<Outcome> {
        let request = self.request;
        let settings = Settings {
            sampling: request.choice,
            randomness: Randomness { seed: request.seed, prompt: 0 },
            eos: request.eos.clone(),
            max_new: request.generate,
        };
        let mut generator = Generator::begin(session, request.ids.clone(), settings)?;
        loop {
            let context = generator.ids().to_vec();
            self.step(context[self.index], generator.logits()?, &context)?;
            if generator.next_id()?.is_none() {
                let finish = generator.finish();
                return Ok(Outcome { generated_ids: generator.drawn().to_vec(), finish });
            }
        }
    }

    /// Hands over the position of `id`, with the logits behind it and the ids up to it.
    fn step(&mut self, id: u32, logits: Option<&[f32]>, context: &[u32]) -> Result<()> {
        let place: Option<Place> = self.before.as_ref().and_then(|ranking| ranking.place(id));
        let piece = self.spelling.push(id);
        self.before = match logits {
            Some(logits) => {
                check_finite(logits, self.index)?;
                Some(Ranking::new(logits, self.request.shape.as_ref(), context))
            }
            None => None,
        };
        let top = self.before.as_ref().map(|ranking| ranking.top(self.request.top));
        let position = Position {
            index: self.index,
            id,
            bytes_b64: piece.bytes_b64,
            text: piece.text,
            generated: self.index >= self.request.ids.len(),
            rank: place.map(|place| place.rank),
            logprob: place.map(|place| place.logprob),
            next: top.unwrap_or_default().into_iter().map(|entry| self.candidate(entry)).collect(),
        };
        self.index += 1;
        (self.each)(position)
    }

    fn candidate(&self, (id, logprob): (u32, f64)) -> Candidate {
        let piece = self.spelling.peek(id);
        Candidate { id, bytes_b64: piece.bytes_b64, text: piece.text, logprob }
    }
}
