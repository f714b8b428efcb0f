//! Byte by byte: a law over the target's own tokens from what the draft says of the bytes that come. The
//! law is cut off where reading on costs more than it tells, and made whole again by its own mass; what is
//! proposed is drawn from exactly that law, and that law is handed over, so that cutting costs acceptance
//! and never the target's law (the law of the longest match: Phan et al., 2410.09303).
//!
//! `slrs` is the same without any cut, the string-level rejection of Timor et al., 2502.05202, where a
//! proposal is the longest match; it proposes as far as that takes no more than 512 readings of the draft,
//! and gives up where not even the first token's law can be had for that.

use std::cell::RefCell;

use align::{ByteTrie, Context};
use draft::Law;

use super::drafter::{AGAIN, Drafter};
use super::followers::Followers;
use super::grower::{Grower, Place, Placed, Tree};
use super::known::Drawing;
use super::likely::Likely;
use super::seams::Seams;
use super::stream::{Bytes, Front, Steps, Stream, wanted};
use super::{Proposer, Round, Settings};
use crate::error::SpeculateError;
use crate::proposal::Proposal;
use crate::reader::Reader;
use crate::round::{Clock, Phase, Tally};
use crate::side::Side;

/// Mass below which a text is left out of a law that is cut off.
const FLOOR: f64 = 1e-5;

/// Texts that are kept behind a drawn token.
const KEPT: usize = 512;

/// Texts that a round may read.
const READINGS: usize = 512;

/// A law of which no more is open is not read on for.
const SETTLED: f64 = 0.15;

/// How far the draft reads on for one law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The best texts, until little of the law is open.
    Enough,
    /// All that could change the law.
    Whole,
}

/// A draft that proposes target tokens by their bytes.
pub struct Byte {
    drafter: Drafter,
    likely: Likely,
    trie: ByteTrie,
    steps: RefCell<Steps>,
    seams: RefCell<Seams>,
    reach: Reach,
    settings: Settings,
    grower: Grower,
    followers: Followers,
    /// What followed when the text was the same before.
    echoes: Vec<(u32, f64)>,
}

/// A place of the tree that candidates are looked for at.
struct Site {
    /// The candidate before it.
    node: Option<usize>,
    /// The probability that the text reaches it.
    reached: f64,
    front: Front,
    /// How many tokens before it are those that followed when the text was the same before; `None` where
    /// one was another.
    echoed: Option<usize>,
}

impl Byte {
    /// The method with a law that is cut off.
    pub fn new(draft: Side, target: Reader<'_>, settings: Settings) -> Self {
        Self::reaching(Reach::Enough, draft, target, settings)
    }

    /// The method with the whole law.
    pub fn whole(draft: Side, target: Reader<'_>, settings: Settings) -> Self {
        Self::reaching(Reach::Whole, draft, target, settings)
    }

    fn reaching(reach: Reach, draft: Side, target: Reader<'_>, settings: Settings) -> Self {
        let tokens = target.tokenizer.vocabulary().clean_tokens().iter();
        let tokens = tokens.map(|(bytes, id)| (&**bytes, *id));
        let trie = ByteTrie::new(tokens.filter(|&(_, id)| (id as usize) < target.rows));
        let rows = draft.session.model().rows();
        let likely = Likely::new(&draft.draftable(), rows, settings.temperature);
        Self {
            drafter: Drafter::new(draft),
            likely,
            trie,
            steps: RefCell::default(),
            seams: RefCell::new(Seams::new(target.tokenizer.vocabulary())),
            reach,
            settings,
            grower: Grower::new(settings.siblings, settings.temperature > 0.0, settings.size.nodes),
            followers: Followers::default(),
            echoes: Vec::new(),
        }
    }

    fn floor(&self) -> f64 {
        if self.reach == Reach::Whole { 0.0 } else { FLOOR }
    }

    fn bytes<'a>(&'a self, round: &Round<'_>) -> Bytes<'a> {
        let draft = self.drafter.side.tokenizer.vocabulary();
        let end = round.target.eos.first().copied();
        Bytes { draft, trie: &self.trie, end, steps: &self.steps }
    }

    /// The stream behind the committed text, with room for so many more texts.
    fn begin_stream(
        &mut self,
        slots: usize,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<(Stream, Front), SpeculateError> {
        self.drafter.catch_up(clock)?;
        let (most, floor) = if self.reach == Reach::Whole { (0, 0.0) } else { (AGAIN, FLOOR) };
        let start = self.drafter.begin_tree(most, slots, (&self.likely, floor), clock)?;
        self.drafter.count_drafted(1);
        clock.enter(Phase::Align);
        Ok(Stream::begin(&start, floor, &self.bytes(round)))
    }

    /// Reads on for the laws of the next tokens at some sites. Gives whether they are as whole as they
    /// are to be.
    fn read_on(
        &mut self,
        (stream, sites): (&mut Stream, &mut [Site]),
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<bool, SpeculateError> {
        loop {
            clock.enter(Phase::Align);
            let fronts: Vec<(f64, &Front)> =
                sites.iter().map(|site| (site.reached, &site.front)).collect();
            let wanted = wanted(&fronts, self.settings.size.beam);
            if wanted.is_empty() {
                return Ok(true);
            }
            let (mut ids, mut parents) = stream.slots();
            if ids.len() >= self.readings() {
                return Ok(self.reach == Reach::Enough);
            }
            ids.extend(wanted.iter().map(|text| text.id));
            parents.extend(wanted.iter().map(|text| text.before));
            clock.enter(Phase::Draft);
            let logits = self.drafter.read_tree((ids, parents), wanted.len())?;
            self.drafter.count_drafted(wanted.len());
            for (text, row) in wanted.into_iter().zip(logits.iter()) {
                clock.enter(Phase::Draft);
                let law = self.likely.above(&self.likely.row(row), self.floor() / text.mass, None);
                clock.enter(Phase::Align);
                let front = &mut sites[text.front].front;
                stream.expand(front, text, &law, &self.bytes(round));
            }
            if self.reach == Reach::Enough && open(sites) < SETTLED {
                return Ok(true);
            }
        }
    }

    /// Texts that a round may read.
    fn readings(&self) -> usize {
        READINGS.min(self.drafter.side.session.model().context() / 2)
    }

    /// Tokens in a row that a round has room for.
    fn depth(&self, round: &Round<'_>) -> usize {
        match self.reach {
            Reach::Enough => round.budget.min(self.readings() / self.settings.size.beam).max(1),
            Reach::Whole => round.budget,
        }
    }

    /// The law at a place, cut to what the target's tokenizer puts there.
    fn law(&self, proposal: &Proposal, site: &Site, round: &Round<'_>) -> Option<Law> {
        let law = site.front.law(&self.bytes(round))?;
        if self.reach == Reach::Whole {
            return Some(law);
        }
        let drawn = site.node.map(|node| proposal.nodes()[node].token);
        let before = drawn.or(round.committed.ids().last().copied());
        Some(self.seams.borrow_mut().keep(law, before, round.target.tokenizer))
    }

    /// Adds candidates at all sites, at most so many and so many in a row. Gives the sites behind them
    /// that may have candidates of their own.
    fn grow(
        &self,
        (tree, stream): (&mut Tree, &Stream),
        sites: &[Site],
        (room, depth): (usize, usize),
        (round, drawing): (&Round<'_>, Drawing<'_>),
    ) -> Vec<Site> {
        let most = tree.proposal.len() + room;
        let place = |site: &Site| Place {
            node: site.node,
            reached: site.reached,
            law: self.law(&tree.proposal, site, round),
            echo: self.echo(site.echoed),
        };
        let places = sites.iter().map(place).collect();
        let mut placed = self.grower.grow(tree, places, (room, depth), drawing);
        let token = |node: usize| tree.proposal.nodes()[node].token;
        placed.retain(|candidate| !round.ends_with(token(candidate.node)));
        let echoed = |candidate: &Placed| {
            let known = sites[candidate.place].echoed?;
            let (again, _) = self.echo(Some(known))?;
            (again == token(candidate.node)).then_some(known + 1)
        };
        let echoes: Vec<Option<usize>> = placed.iter().map(echoed).collect();
        let offer =
            |(candidate, known): (&Placed, &Option<usize>)| (candidate.reached, self.echo(*known));
        let offers: Vec<(f64, Option<(u32, f64)>)> =
            placed.iter().zip(&echoes).map(offer).collect();
        let expected = self.grower.expect(&offers, most - tree.proposal.len(), depth - 1);
        let bytes = self.bytes(round);
        let behind = placed.iter().zip(echoes).zip(expected).filter(|(_, expected)| *expected);
        let site = |((candidate, echoed), _): ((&Placed, Option<usize>), bool)| {
            let &Placed { place, node, reached } = candidate;
            let front = stream.behind(&sites[place].front, token(node), KEPT, &bytes);
            Site { node: Some(node), reached, front, echoed }
        };
        behind.map(site).collect()
    }

    /// What came at a place before, if the text was the same up to there.
    fn echo(&self, echoed: Option<usize>) -> Option<(u32, f64)> {
        echoed.and_then(|known| self.echoes.get(known)).copied()
    }
}

/// How much of the laws of some sites reading on is believed to change.
fn open(sites: &[Site]) -> f64 {
    let reached: f64 = sites.iter().map(|site| site.reached).sum();
    sites.iter().map(|site| site.reached * site.front.open()).sum::<f64>() / reached
}

impl Proposer for Byte {
    fn name(&self) -> &'static str {
        match self.reach {
            Reach::Enough => "byte",
            Reach::Whole => "slrs",
        }
    }

    fn begin(&mut self, prompt: &Context, clock: &mut Clock) -> Result<(), SpeculateError> {
        self.drafter.begin(prompt, clock);
        self.grower.worth.forget();
        self.followers = Followers::default();
        Ok(())
    }

    fn commit(
        &mut self,
        tokens: &[u32],
        bytes: &[u8],
        clock: &mut Clock,
    ) -> Result<(), SpeculateError> {
        clock.enter(Phase::Align);
        self.grower.worth.hear(tokens);
        self.drafter.commit(bytes);
        Ok(())
    }

    fn propose(
        &mut self,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<Proposal, SpeculateError> {
        let (depth, room) = (self.depth(round), self.settings.room(round));
        let slots = self.readings() + 4 * self.settings.size.beam;
        let (mut stream, front) = self.begin_stream(slots, round, clock)?;
        if self.grower.uses_echoes() {
            self.followers.read(round.committed.ids());
            self.echoes = self.followers.path(depth);
        }
        let mut tree = Tree::default();
        let mut sites = vec![Site { node: None, reached: 1.0, front, echoed: Some(0) }];
        for step in 0..depth {
            if !self.read_on((&mut stream, &mut sites), round, clock)? {
                if step == 0 {
                    return Err(SpeculateError::TooManyTexts { readings: self.readings() });
                }
                break;
            }
            let drawing = Drawing::of(round, step);
            let left = (room - tree.proposal.len(), depth - step);
            sites = self.grow((&mut tree, &stream), &sites, left, (round, drawing));
            if sites.is_empty() {
                break;
            }
        }
        Ok(self.grower.end(tree))
    }

    fn count(&self, tally: &mut Tally) {
        self.drafter.count(tally);
    }
}
