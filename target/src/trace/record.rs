//! The recording of one text: plain decoding, by the same loop and with the same random numbers as ever, with
//! an ear on the law of each token.

use std::cell::RefCell;

use draft::{Law, Purpose, Randomness};

use crate::error::SpeculateError;
use crate::proposal::Proposal;
use crate::propose::Nothing;
use crate::side::Side;
use crate::speculate::{Generation, Limits, Prompt, speculate};
use crate::verify::{Laws, Verdict, Verifier};

/// What the target said of a token that it emitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The logarithm of its probability.
    pub log: f64,
    /// The most probable ids with theirs.
    pub top: Vec<(u32, f64)>,
}

/// Draws as plain decoding does, and notes down what it drew from.
struct Listening {
    top: usize,
    heard: RefCell<Vec<Heard>>,
}

impl Verifier for Listening {
    fn verify(
        &self,
        _nothing: &Proposal,
        laws: &dyn Laws,
        randomness: Randomness,
        position: usize,
    ) -> Result<Verdict, SpeculateError> {
        let law = laws.after(None);
        let next = law.draw(randomness.key(position, Purpose::Target));
        let log = law.probability(next).ln();
        self.heard.borrow_mut().push(Heard { log, top: most_probable(&law, self.top) });
        Ok(Verdict { path: Vec::new(), next })
    }
}

/// Ids of the largest probabilities, the smaller id first among equals.
fn most_probable(law: &Law, count: usize) -> Vec<(u32, f64)> {
    if count == 0 {
        return Vec::new();
    }
    let mut entries: Vec<(u32, f64)> = law.entries().filter(|(_, mass)| *mass > 0.0).collect();
    let by_mass = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if entries.len() > count {
        entries.select_nth_unstable_by(count, by_mass);
        entries.truncate(count);
    }
    entries.sort_by(by_mass);
    entries.into_iter().map(|(id, mass)| (id, mass.ln())).collect()
}

/// Lets the target write behind a prompt; gives what it wrote, and for each token what it said of it and of
/// the `top` most probable ones.
pub fn record(
    target: &mut Side,
    prompt: &Prompt,
    limits: &Limits,
    randomness: Randomness,
    top: usize,
) -> Result<(Generation, Vec<Heard>), SpeculateError> {
    let listening = Listening { top, heard: RefCell::default() };
    let generation = speculate(target, &mut Nothing, &listening, prompt, limits, randomness)?;
    Ok((generation, listening.heard.into_inner()))
}
