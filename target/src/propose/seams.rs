//! Which tokens the target's tokenizer puts side by side. A model that learnt from its tokenizer's text has
//! hardly seen others, so that a draft's bytes which the tokenizer would read together with the token
//! before are hardly ever what the target goes on with. Knows one tokenizer, and no model.

use std::collections::HashMap;

use align::Tokenizer;
use draft::Law;

/// Tokens of less mass are not looked at.
const LEAST: f64 = 1e-3;

/// How many pairs are remembered.
const KNOWN: usize = 1 << 16;

/// What has been found out about pairs of tokens.
#[derive(Debug, Default)]
pub(super) struct Seams {
    known: HashMap<(u32, u32), bool>,
}

impl Seams {
    /// The law behind a token without what does not stand behind it; as it was where nothing would be left.
    pub(super) fn keep(&mut self, law: Law, before: Option<u32>, tokenizer: &Tokenizer) -> Law {
        let Some(before) = before else { return law };
        let likely = law.entries().filter(|(_, mass)| *mass >= LEAST);
        let merged: Vec<(u32, f64)> =
            likely.filter(|&(token, _)| !self.stands(tokenizer, before, token)).collect();
        let whole = merged.iter().map(|(_, mass)| mass).sum::<f64>();
        let merged: Vec<u32> = merged.into_iter().map(|(token, _)| token).collect();
        if merged.is_empty() || whole > 1.0 - LEAST { law } else { law.without(&merged) }
    }

    /// Whether the tokenizer puts the second behind the first; true where it cannot be told.
    fn stands(&mut self, tokenizer: &Tokenizer, first: u32, second: u32) -> bool {
        if let Some(&known) = self.known.get(&(first, second)) {
            return known;
        }
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        let found = read_apart(tokenizer, first, second);
        self.known.insert((first, second), found);
        found
    }
}

fn read_apart(tokenizer: &Tokenizer, first: u32, second: u32) -> bool {
    let vocabulary = tokenizer.vocabulary();
    if !vocabulary.is_token(first) || !vocabulary.is_token(second) {
        return true;
    }
    let reads = |ids: &[u32]| {
        let read = tokenizer.encode_continuation(&vocabulary.decode(ids)).ok()?;
        Some(read.ids == ids)
    };
    reads(&[first, second]) == Some(true) || reads(&[first]) != Some(true)
}
