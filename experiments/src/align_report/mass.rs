//! E[p(M)]: how much of the target's probability lies on the tokens that a token-level method can
//! propose, as a mean over places of a text. Knows one model and a set of ids.

use align::Overlap;
use anyhow::{Context, Result, bail};
use draft::generate::check_finite;
use draft::{Model, Session};
use serde::Serialize;

use super::Plan;
use super::opened::Opened;
use super::specials::Specials;
use crate::bench::record::Estimate;
use crate::printer::Printer;
use crate::statistics::{Clusters, FEWEST_CLUSTERS, Quotient, Resampling, intervals};

/// Ids of a document that are read in one piece, at most.
const PIECE: usize = 256;

/// Ids that are read in one pass.
const BLOCK: usize = 64;

/// The mean of p(M) = Σ p(x) over the target ids x that have a draft id, the end of text included.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Mass {
    /// With a 95 % interval over documents, or over pieces where there are too few of these.
    #[serde(flatten)]
    pub(super) estimate: Estimate,
    /// Places, each before a token of the text.
    pub(super) places: usize,
    /// Pieces of documents that were read by themselves.
    pub(super) pieces: usize,
    pub(super) documents: usize,
    /// What resamples are made of: `documents` or `pieces`.
    pub(super) over: &'static str,
    pub(super) device: String,
    pub(super) dtype: &'static str,
}

/// A part of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece<'a> {
    document: usize,
    ids: &'a [u32],
}

/// The sum of p(M) over places.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    document: usize,
    mass: f64,
    places: usize,
}

impl Mass {
    /// Measures it where the target's weights are at hand; else says why not.
    pub(super) fn measure(
        plan: &Plan,
        target: &Opened,
        (overlap, specials): (&Overlap, &Specials),
        documents: &[Vec<u32>],
        printer: &Printer,
    ) -> Result<Result<Self, String>> {
        let folder = match &target.weights {
            _ if plan.limit == 0 => return Ok(Err("--limit 0 asks for none".to_owned())),
            Ok(folder) => folder,
            Err(reason) => return Ok(Err(reason.clone())),
        };
        let load = || format!("cannot load the target `{}`", plan.target);
        let model = Model::load(folder, plan.compute).with_context(load)?;
        let mut session = Session::new(model.network);
        let begin = match (target.tokenizer.prefix(), target.ends.first()) {
            ([], Some(&end)) => vec![end],
            (prefix, _) => prefix.to_vec(),
        };
        let length = PIECE.min(session.model().context().saturating_sub(begin.len()));
        let pieces = pieces(documents, length.max(1), plan.limit);
        let shared = shared(&specials.with_ends(overlap), session.model().rows());
        let mut progress = printer.progress(pieces.len() as u64, "pieces");
        let mut sums = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            sums.push(read(&mut session, &begin, *piece, &shared)?);
            progress.advance();
        }
        progress.finish();
        let mass = Self::of(&sums, plan);
        Ok(mass.ok_or_else(|| "the text has no place with ids before it".to_owned()))
    }

    fn of(sums: &[Sum], plan: &Plan) -> Option<Self> {
        let mut by_document: Vec<Sum> = Vec::new();
        let mut sorted = sums.to_vec();
        sorted.sort_by_key(|sum| sum.document);
        for sum in sorted {
            match by_document.last_mut().filter(|last| last.document == sum.document) {
                Some(last) => {
                    last.mass += sum.mass;
                    last.places += sum.places;
                }
                None => by_document.push(sum),
            }
        }
        let few = by_document.len() < FEWEST_CLUSTERS;
        let (rows, over) = if few { (sums, "pieces") } else { (&by_document[..], "documents") };
        let row = |sum: &Sum| (String::new(), vec![sum.mass, sum.places as f64]);
        let clusters = Clusters::new(rows.iter().map(row));
        let resampling = Resampling::full(plan.seed);
        let found = intervals(&clusters, &[Quotient::ratio(0, 1)], resampling, "mass");
        let places: usize = sums.iter().map(|sum| sum.places).sum();
        let mass: f64 = sums.iter().map(|sum| sum.mass).sum();
        let interval = found.into_iter().flatten().next();
        (places > 0).then(|| Self {
            estimate: Estimate {
                value: Some(mass / places as f64),
                low: interval.map(|it| it.low),
                high: interval.map(|it| it.high),
            },
            places,
            pieces: sums.len(),
            documents: by_document.len(),
            over,
            device: plan.compute.device_name(),
            dtype: plan.compute.dtype_name(),
        })
    }
}

/// Whether each row of the model is in the intersection.
fn shared(overlap: &Overlap, rows: usize) -> Vec<bool> {
    let mut shared = vec![false; rows];
    for &(_, id) in &overlap.pairs {
        if let Some(place) = shared.get_mut(id as usize) {
            *place = true;
        }
    }
    shared
}

/// The pieces to read, `limit` ids in all: of each document the first, then the second, and so on.
fn pieces(documents: &[Vec<u32>], length: usize, limit: usize) -> Vec<Piece<'_>> {
    let mut all: Vec<(usize, Piece<'_>)> = (documents.iter().enumerate())
        .flat_map(|(document, ids)| {
            ids.chunks(length).enumerate().map(move |(round, ids)| (round, Piece { document, ids }))
        })
        .collect();
    all.sort_by_key(|(round, piece)| (*round, piece.document));
    let mut left = limit;
    all.into_iter()
        .map_while(|(_, piece)| {
            let ids = &piece.ids[..piece.ids.len().min(left)];
            left -= ids.len();
            (!ids.is_empty()).then_some(Piece { ids, ..piece })
        })
        .collect()
}

/// Sums p(M) over the places before the ids of a piece, behind `begin`; without that the first id has
/// no place before it.
fn read(session: &mut Session, begin: &[u32], piece: Piece<'_>, shared: &[bool]) -> Result<Sum> {
    let ids = [begin, piece.ids].concat();
    let first = begin.len().max(1) - 1;
    let read = &ids[..ids.len() - 1];
    if let Some(id) = ids.iter().find(|id| **id as usize >= shared.len()) {
        bail!("the id {id} of the text is outside the model's {} rows", shared.len());
    }
    session.reset();
    let mut sum = Sum { document: piece.document, ..Sum::default() };
    for (block, part) in read.chunks(BLOCK).enumerate() {
        let logits = session.read_all(part)?;
        for (row, logits) in logits.iter().enumerate() {
            let position = block * BLOCK + row;
            if position >= first {
                check_finite(logits, position)?;
                sum.mass += mass_on(logits, shared);
                sum.places += 1;
            }
        }
    }
    Ok(sum)
}

/// Σ softmax(logits) over the rows marked.
fn mass_on(logits: &[f32], shared: &[bool]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut part, mut all) = (0.0, 0.0);
    for (&logit, &is_shared) in logits.iter().zip(shared) {
        let weight = (f64::from(logit) - f64::from(largest)).exp();
        all += weight;
        part += if is_shared { weight } else { 0.0 };
    }
    part / all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_from_all_documents_and_keep_the_limit() {
        let documents = [vec![1, 2, 3, 4, 5], vec![6], vec![7, 8, 9]];
        let found: Vec<_> = pieces(&documents, 2, 7)
            .into_iter()
            .map(|piece| (piece.document, piece.ids.to_vec()))
            .collect();
        let expected = [(0, vec![1, 2]), (1, vec![6]), (2, vec![7, 8]), (0, vec![3, 4])];
        assert_eq!(found, expected);
        assert_eq!(pieces(&documents, 2, 1).len(), 1);
        assert_eq!(pieces(&documents, 2, 99).iter().map(|p| p.ids.len()).sum::<usize>(), 9);
    }

    #[test]
    fn mass_by_hand() {
        let logits = [0.0, 2f32.ln(), f32::NEG_INFINITY, 5f32.ln()];
        assert!((mass_on(&logits, &[true, false, true, true]) - 6.0 / 8.0).abs() < 1e-7);
        assert_eq!(mass_on(&logits, &[false; 4]), 0.0);
    }
}
