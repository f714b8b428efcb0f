//! What the vocabularies of a run have to do with each other on its own prompts: bytes a token on both
//! sides, and how much of the target's probability lies on tokens that a draft has too. Runs the target on
//! the beginnings of a few prompts; everything else is `spec align`'s.

use align::Overlap;
use anyhow::Result;
use draft::Session;

use super::drafting::Drafting;
use super::fit::{Fitted, Reader};
use super::record::{Estimate, VocabularyPanel};
use crate::source::Loaded;
use crate::statistics::{Clusters, Quotient, Resampling, intervals};

/// Ids of each prompt that are read.
const PIECE: usize = 32;

/// Prompts that are read, at most.
const PROMPTS: usize = 16;

/// Fills in bytes a token, over the prompts whose text is known: not over those that a chat template
/// rendered.
pub(super) fn count_bytes(panel: &mut VocabularyPanel, draft: usize, fitted: &[Fitted]) {
    let (mut bytes, mut ours, mut theirs) = (0, 0, 0);
    for prompt in fitted.iter().map(|own| &own.pairs[draft]) {
        let length = prompt.target.text().len();
        if length > 0 && prompt.draft.text().len() == length {
            bytes += length;
            ours += prompt.draft.ids().len();
            theirs += prompt.target.ids().len();
        }
    }
    let rate = |ids: usize| (ids > 0).then(|| bytes as f64 / ids as f64);
    panel.draft_bytes_per_token = rate(ours);
    panel.target_bytes_per_token = rate(theirs);
}

/// E[p(M)] of each draft: the target's mass, at temperature 1, on the tokens that both have, the end of
/// text included, as a mean over places of the beginnings of prompts.
pub(super) fn measure_mass(
    drafts: &[Drafting],
    target: &mut Loaded,
    fitted: &[Fitted],
    seed: u64,
) -> Result<Vec<Estimate>> {
    let rows = target.side.session.model().rows();
    let reader = Reader::of(target);
    let shared: Vec<Vec<bool>> =
        drafts.iter().map(|draft| is_shared(draft, reader, &target.side.eos, rows)).collect();
    let mut sums = vec![Vec::new(); drafts.len()];
    let step = fitted.len().div_ceil(PROMPTS).max(1);
    for prompt in fitted.iter().step_by(step) {
        let ids = prompt.pair().target.ids();
        let ids = &ids[..ids.len().min(PIECE)];
        for (sums, mass) in sums.iter_mut().zip(masses(&mut target.side.session, ids, &shared)?) {
            sums.push((prompt.prompt.category.clone(), vec![mass, ids.len() as f64]));
        }
    }
    target.side.session.reset();
    Ok(sums.into_iter().map(|sums| estimate(sums, seed)).collect())
}

/// For each target id whether a draft has it too.
fn is_shared(draft: &Drafting, target: Reader<'_>, ends: &[u32], rows: usize) -> Vec<bool> {
    let reader = draft.reader(target);
    let overlap = Overlap::new(reader.tokenizer.vocabulary(), target.tokenizer.vocabulary());
    let mut shared = vec![false; rows];
    let ids = overlap.pairs.iter().map(|&(_, id)| id).chain(ends.iter().copied());
    for id in ids.filter(|&id| (id as usize) < rows) {
        shared[id as usize] = true;
    }
    shared
}

/// The sum of p(M) over the places behind each of some ids, for each set M.
fn masses(session: &mut Session, ids: &[u32], shared: &[Vec<bool>]) -> Result<Vec<f64>> {
    session.reset();
    let logits = session.read_all(ids)?;
    let mut sums = vec![0.0; shared.len()];
    for row in logits.iter() {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f64> = row.iter().map(|&logit| f64::from(logit - top).exp()).collect();
        let total: f64 = weights.iter().sum();
        for (sum, shared) in sums.iter_mut().zip(shared) {
            let own = weights.iter().zip(shared).filter(|(_, shared)| **shared);
            *sum += own.map(|(weight, _)| weight).sum::<f64>() / total;
        }
    }
    Ok(sums)
}

fn estimate(sums: Vec<(String, Vec<f64>)>, seed: u64) -> Estimate {
    let clusters = Clusters::new(sums);
    let quotient = Quotient::ratio(0, 1);
    let value = quotient.value(&clusters.totals());
    let found = intervals(&clusters, &[quotient], Resampling::full(seed), "mass");
    let interval = found.into_iter().flatten().next();
    Estimate { value, low: interval.map(|own| own.low), high: interval.map(|own| own.high) }
}
