//! Trees of strings: the texts that the draft holds most probable, each encoded for the target, merged
//! into a tree of target tokens of which the most probable places are proposed. The target draws for
//! itself and its draws are followed down the tree, so that no proposal law is needed, and the method is
//! lossless at every temperature (trees: Miao et al., 2305.09781; strings: Timor et al., 2502.05202). What
//! followed the same tokens in the text before is one more branch, as probable as it has proved so far.

use align::Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::beams::Beams;
use super::drafter::AGAIN;
use super::drafter::Drafter;
use super::followers::Followers;
use super::likely::Likely;
use super::reading::{complete, read};
use super::worth::{Belief, Worth};
use super::{Proposer, Round};
use crate::error::SpeculateError;
use crate::observed::{self, Entropy};
use crate::proposal::Proposal;
use crate::round::{Clock, Phase, Tally};
use crate::side::Side;
use crate::trie::{Best, Trie};

/// How far a token is believed to be whole at the end of the drafted text, where a longer one could
/// still form.
const OPEN: f64 = 0.5;

/// Ids that the draft gives no more are left out.
const FLOOR: f64 = 1e-5;

/// How large the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Candidates of a round, at most.
    pub nodes: usize,
    /// Texts that the draft reads at once.
    pub beam: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { nodes: 16, beam: 8 }
    }
}

/// A text as the target reads it.
struct Reading {
    tokens: Vec<u32>,
    /// How many of them can no longer change.
    whole: usize,
}

impl Reading {
    fn settled(&self) -> &[u32] {
        &self.tokens[..self.whole]
    }
}

/// A draft that proposes many texts at once.
pub struct Tree {
    drafter: Drafter,
    likely: Likely,
    size: Size,
    followers: Followers,
    worth: Worth,
}

impl Tree {
    /// A method around a draft. `temperature` is that of the law by which texts are ranked; at 0 it is
    /// the draft's own.
    pub fn new(draft: Side, size: Size, temperature: f64) -> Self {
        let rows = draft.session.model().rows();
        let likely = Likely::new(&draft.draftable(), rows, temperature);
        let (followers, worth) = (Followers::default(), Worth::default());
        Self { drafter: Drafter::new(draft), likely, size, followers, worth }
    }

    /// The first texts, with room for so many more ids.
    fn begin(&mut self, slots: usize, clock: &mut Clock) -> Result<Beams, SpeculateError> {
        let start = self.drafter.begin_tree(AGAIN, slots, (&self.likely, FLOOR), clock)?;
        clock.enter(Phase::Align);
        let vocabulary = self.drafter.side.tokenizer.vocabulary();
        Ok(Beams::begin(&start, self.size.beam, vocabulary))
    }

    /// Adds the tokens of the texts from `first` on that can no longer change, and an end of text where
    /// it follows.
    fn settle(
        &self,
        (beams, first): (&Beams, usize),
        known: &mut Vec<Reading>,
        trie: &mut Trie,
        round: &Round<'_>,
    ) -> Result<(), SpeculateError> {
        for text in &beams.texts()[first..] {
            let encoding = read(round, &self.drafter.side.tokenizer, &text.bytes)?;
            let mut whole = complete(&encoding, text.ended, round);
            let mut tokens = encoding.ids;
            if text.ended && !round.ignore_eos {
                tokens.extend(round.target.eos.first());
                whole = tokens.len();
            }
            let before = text.before.map_or(&[][..], |before| known[before].settled());
            let settled = &tokens[..whole];
            let shared = before.iter().zip(settled).take_while(|(a, b)| a == b).count();
            trie.add(settled, shared, text.log_mass.exp());
            known.push(Reading { tokens, whole });
        }
        Ok(())
    }
}

/// Adds the tokens that the live texts end in and that might still grow.
fn add_open(beams: &Beams, known: &[Reading], trie: &mut Trie) {
    for &text in beams.live() {
        let Reading { tokens, whole } = &known[text];
        if *whole < tokens.len() {
            trie.add(tokens, *whole, beams.texts()[text].log_mass.exp() * OPEN);
        }
    }
}

impl Proposer for Tree {
    fn name(&self) -> &'static str {
        "tree"
    }

    fn begin(&mut self, prompt: &Context, clock: &mut Clock) -> Result<(), SpeculateError> {
        self.drafter.begin(prompt, clock);
        self.followers = Followers::default();
        self.worth.forget();
        Ok(())
    }

    fn commit(
        &mut self,
        tokens: &[u32],
        bytes: &[u8],
        clock: &mut Clock,
    ) -> Result<(), SpeculateError> {
        clock.enter(Phase::Align);
        self.worth.hear(tokens);
        self.drafter.commit(bytes);
        Ok(())
    }

    fn propose(
        &mut self,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<Proposal, SpeculateError> {
        self.drafter.catch_up(clock)?;
        let context = self.drafter.side.session.model().context();
        let levels = (2 + 4 * round.budget).min(context / (4 * self.size.beam)).max(1);
        let nodes = self.size.nodes.min(round.room);
        let mut beams = self.begin(levels * self.size.beam, clock)?;
        let (mut trie, mut known) = (Trie::default(), Vec::new());
        let mut first = 0;
        for level in 0..levels {
            clock.enter(Phase::Align);
            self.drafter.count_drafted(beams.texts().len() - first);
            self.settle((&beams, first), &mut known, &mut trie, round)?;
            let least = trie.best(nodes, round.budget, |_, share| share).least;
            // A text behind a live one is no more probable than that.
            if level + 1 == levels || beams.likeliest().exp() <= least {
                break;
            }
            clock.enter(Phase::Draft);
            let logits = self.drafter.read_tree(beams.slots(), beams.live().len())?;
            let law = |row| self.likely.above(&self.likely.row(row), FLOOR, None);
            let laws: Vec<Vec<(u32, f64)>> = logits.iter().map(law).collect();
            clock.enter(Phase::Align);
            first = beams.grow(&laws, self.drafter.side.tokenizer.vocabulary());
        }
        clock.enter(Phase::Align);
        add_open(&beams, &known, &mut trie);
        self.followers.read(round.committed.ids());
        trie.support(&self.followers.path(round.budget));
        let chance = |rank, mass| self.worth.of_chosen(Belief { rank, mass });
        let Best { mut proposal, beliefs, .. } = trie.best(nodes, round.budget, chance);
        for (index, &(_, probability)) in beliefs.iter().enumerate() {
            let entropy = Entropy::Unknown;
            proposal.believe(index, observed::Belief { probability, entropy });
        }
        let belief = |(rank, mass)| Some(Belief { rank, mass });
        self.worth.note(&proposal, beliefs.into_iter().map(belief).collect());
        Ok(proposal)
    }

    fn count(&self, tally: &mut Tally) {
        self.drafter.count(tally);
    }
}
