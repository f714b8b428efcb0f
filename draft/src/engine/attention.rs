//! Grouped-query attention (Ainslie et al., 2305.13245) over the cache, for the rows of one key head.
//! Scores are the product of a block of keys with queries, and mixtures that of a panel of values with
//! probabilities, by the same loops as products of weights. A place that a row does not see has the
//! probability 0, and what a row sees is summed in the order of its text: the same bits whether it was
//! read in a row or in a tree.

#![expect(unsafe_code, reason = "instructions that only some processors have")]

use std::ops::Range;

use super::cache::{Layer, Sizes};
use super::isa::{Isa, Work};
use super::lanes::{Lanes, PANEL};
use super::loops::{BFloat, Half, Single, Stored, Tile, floats};
use super::maths::{exponentials, turn};
use super::packed::Format;
use super::plan::Seen;
use super::team::Shared;

/// Rows up to which two panels are read side by side.
const FEW: usize = 4;

/// Rows that are scored together, at most.
const MOST: usize = 8;

/// Queries, keys and values of a pass, and what is behind them.
pub(super) struct Attention<'a> {
    pub(super) layer: &'a Layer,
    pub(super) sizes: Sizes,
    /// Query heads of a key head.
    pub(super) group: usize,
    /// `[id][query heads, key heads, value heads][dim]`
    pub(super) heads: &'a Shared<f32>,
    /// `[id][query head][dim]`
    pub(super) output: &'a Shared<f32>,
    pub(super) seen: &'a [Seen],
    /// Cosines and sines of half a head, for each place in the text.
    pub(super) turns: (&'a [f32], &'a [f32]),
    /// Pairs of dimensions that are turned.
    pub(super) half: usize,
}

/// Room of one member.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// `[row][dim]`
    queries: Vec<f32>,
    /// `[row][place]`
    scores: Vec<f32>,
    /// What one row sees.
    compact: Vec<f32>,
    /// A key and a value as they are kept.
    key: Vec<u8>,
    value: Vec<u8>,
}

/// The mixing of some rows of a key head.
struct Mixing<'a> {
    attention: &'a Attention<'a>,
    head: usize,
    rows: Range<usize>,
    scratch: &'a mut Scratch,
}

impl Work for Mixing<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { attention, head, rows, scratch } = self;
        // SAFETY: the caller's.
        unsafe {
            match attention.sizes.format {
                Format::Fp16 => attention.tiles::<L, Half>(head, rows, scratch),
                Format::Bf16 => attention.tiles::<L, BFloat>(head, rows, scratch),
                Format::Fp32 | Format::Int8 => attention.tiles::<L, Single>(head, rows, scratch),
            }
        }
    }
}

impl Attention<'_> {
    /// Rows of a key head: its query heads, for each id.
    pub(super) fn rows(&self) -> usize {
        self.seen.len() * self.group
    }

    fn width(&self) -> usize {
        (self.group + 2) * self.sizes.heads * self.sizes.dim
    }

    /// Writes the keys and values of one key head into the cache, from place `past` on.
    ///
    /// # Safety
    /// Nobody else uses this head of the cache, or writes to the heads of the pass, meanwhile.
    pub(super) unsafe fn write(&self, head: usize, past: usize, scratch: &mut Scratch) {
        let Sizes { heads, dim, format, .. } = self.sizes;
        let Scratch { queries: turned, key: kept_key, value: kept_value, .. } = scratch;
        turned.resize(MOST * dim, 0.0);
        let turned = &mut turned[..dim];
        for (index, seen) in self.seen.iter().enumerate() {
            let first = index * self.width() + (self.group * heads + head) * dim;
            // SAFETY: the caller's.
            let (key, value) =
                unsafe { (self.heads.part(first, dim), self.heads.part(first + heads * dim, dim)) };
            turned.copy_from_slice(key);
            self.turn(turned, seen.position);
            format.put(turned, kept_key);
            format.put(value, kept_value);
            // SAFETY: the caller's.
            unsafe { self.layer.write(&self.sizes, (head, past + index), (kept_key, kept_value)) };
        }
    }

    #[inline(always)]
    fn turn(&self, head: &mut [f32], position: usize) {
        let row = position * self.half..(position + 1) * self.half;
        turn(head, &self.turns.0[row.clone()], &self.turns.1[row]);
    }

    /// Mixes values for some rows of a key head.
    ///
    /// # Safety
    /// The processor has the instructions; nobody writes to this head of the cache, and nobody else
    /// uses these rows of the output meanwhile.
    pub(super) unsafe fn mix(
        &self,
        isa: Isa,
        head: usize,
        rows: Range<usize>,
        scratch: &mut Scratch,
    ) {
        // SAFETY: the caller's.
        unsafe { isa.run(Mixing { attention: self, head, rows, scratch }) }
    }

    #[inline(always)]
    unsafe fn tiles<L: Lanes, S: Stored>(
        &self,
        head: usize,
        rows: Range<usize>,
        scratch: &mut Scratch,
    ) {
        let mut row = rows.start;
        while row < rows.end {
            // SAFETY: the caller's.
            row += unsafe {
                match (rows.end - row).min(L::ROWS).min(MOST) {
                    1 => self.tile::<L, S, 1>(head, row, scratch),
                    2 | 3 => self.tile::<L, S, 2>(head, row, scratch),
                    4..=7 => self.tile::<L, S, 4>(head, row, scratch),
                    _ => self.tile::<L, S, 8>(head, row, scratch),
                }
            };
        }
    }

    /// Mixes for so many rows, and gives how many they are.
    #[inline(always)]
    unsafe fn tile<L: Lanes, S: Stored, const ROWS: usize>(
        &self,
        head: usize,
        row: usize,
        scratch: &mut Scratch,
    ) -> usize {
        let seen = |index: usize| &self.seen[(row + index) / self.group];
        let first = (0..ROWS).map(|index| seen(index).first).min().unwrap_or(0);
        let first = first / PANEL * PANEL;
        let end = (0..ROWS).map(|index| seen(index).end()).max().unwrap_or(0);
        let stride = (end - first).next_multiple_of(PANEL);
        // SAFETY: the caller's.
        unsafe {
            self.queries::<ROWS>(head, row, scratch);
            self.score::<L, S, ROWS>(head, first..end, scratch);
            for index in 0..ROWS {
                let scores = &mut scratch.scores[index * stride..(index + 1) * stride];
                weigh(scores, seen(index), first, &mut scratch.compact);
            }
            self.gather::<L, S, ROWS>(head, row, first..end, scratch);
        }
        ROWS
    }

    /// Turned queries, divided by the root of their dimensions.
    #[inline(always)]
    unsafe fn queries<const ROWS: usize>(&self, head: usize, row: usize, scratch: &mut Scratch) {
        let dim = self.sizes.dim;
        let scale = (dim as f32).sqrt().recip();
        scratch.queries.resize(MOST * dim, 0.0);
        for index in 0..ROWS {
            let (id, query) = ((row + index) / self.group, (row + index) % self.group);
            let first = id * self.width() + (head * self.group + query) * dim;
            let own = &mut scratch.queries[index * dim..(index + 1) * dim];
            // SAFETY: the caller's.
            own.copy_from_slice(unsafe { self.heads.part(first, dim) });
            self.turn(own, self.seen[id].position);
            for value in own {
                *value *= scale;
            }
        }
    }

    #[inline(always)]
    unsafe fn score<L: Lanes, S: Stored, const ROWS: usize>(
        &self,
        head: usize,
        places: Range<usize>,
        scratch: &mut Scratch,
    ) {
        let (dim, stride) = (self.sizes.dim, places.len().next_multiple_of(PANEL));
        if scratch.scores.len() < MOST * stride {
            scratch.scores.resize(MOST * stride, 0.0);
        }
        let mut queries = [scratch.queries.as_ptr(); ROWS];
        for (index, query) in queries.iter_mut().enumerate() {
            // SAFETY: there is room for as many queries.
            *query = unsafe { query.add(index * dim) };
        }
        // SAFETY: the caller's; a block has 32 keys of `dim` dimensions.
        let keys = |block: usize| unsafe {
            let at = self.sizes.block(head, places.start + block * PANEL);
            self.layer.keys.part(at, dim * PANEL * S::SIZE).as_ptr()
        };
        let scores = &mut scratch.scores;
        let keep = |block: usize, tile: &Tile<ROWS>| {
            for (index, own) in tile.iter().enumerate() {
                scores[index * stride + block * PANEL..][..PANEL].copy_from_slice(own);
            }
        };
        // SAFETY: the caller's, and as above.
        unsafe { panels::<L, S, ROWS>(stride / PANEL, (dim, queries), keys, keep) };
    }

    #[inline(always)]
    unsafe fn gather<L: Lanes, S: Stored, const ROWS: usize>(
        &self,
        head: usize,
        row: usize,
        places: Range<usize>,
        scratch: &Scratch,
    ) {
        let (depth, stride) = (places.len(), places.len().next_multiple_of(PANEL));
        let mut laws = [scratch.scores.as_ptr(); ROWS];
        for (index, law) in laws.iter_mut().enumerate() {
            // SAFETY: there is room for as many rows.
            *law = unsafe { law.add(index * stride) };
        }
        // SAFETY: the caller's; a panel has 32 numbers of each place.
        let values = |panel: usize| unsafe {
            let at = self.sizes.values(head, panel, places.start);
            self.layer.values.part(at, depth * PANEL * S::SIZE).as_ptr()
        };
        // SAFETY: the caller's.
        let put = |panel: usize, tile: &Tile<ROWS>| unsafe { self.put(head, row, panel, tile) };
        // SAFETY: the caller's, and as above.
        unsafe { panels::<L, S, ROWS>(self.sizes.panels(), (depth, laws), values, put) };
    }

    /// Stores a panel of what some rows mix.
    #[inline(always)]
    unsafe fn put<const ROWS: usize>(
        &self,
        head: usize,
        row: usize,
        panel: usize,
        tile: &Tile<ROWS>,
    ) {
        let dim = self.sizes.dim;
        let width = PANEL.min(dim - panel * PANEL);
        for (index, mixed) in tile.iter().enumerate() {
            let (id, query) = ((row + index) / self.group, (row + index) % self.group);
            let query = id * self.sizes.heads * self.group + head * self.group + query;
            // SAFETY: the caller's.
            let out = unsafe { self.output.part_mut(query * dim + panel * PANEL, width) };
            out.copy_from_slice(&mixed[..width]);
        }
    }
}

/// The products of so many panels, each of `depth` columns, with some rows: two panels side by side where rows
/// are few. `each` is given every panel's number and tile.
#[inline(always)]
unsafe fn panels<L: Lanes, S: Stored, const ROWS: usize>(
    count: usize,
    (depth, rows): (usize, [*const f32; ROWS]),
    at: impl Fn(usize) -> *const u8,
    mut each: impl FnMut(usize, &Tile<ROWS>),
) {
    let mut panel = 0;
    // SAFETY: the caller's.
    unsafe {
        while ROWS <= FEW && panel + 2 <= count {
            let tiles = floats::<L, S, ROWS, 2>([at(panel), at(panel + 1)], depth, rows);
            each(panel, &tiles[0]);
            each(panel + 1, &tiles[1]);
            panel += 2;
        }
        for panel in panel..count {
            let [tile] = floats::<L, S, ROWS, 1>([at(panel)], depth, rows);
            each(panel, &tile);
        }
    }
}

/// Turns the scores of places from `first` on into the law over what a row sees.
#[inline(always)]
fn weigh(scores: &mut [f32], seen: &Seen, first: usize, compact: &mut Vec<f32>) {
    let cached = seen.first - first..seen.until.max(seen.first) - first;
    if seen.nodes.is_empty() {
        let own = &mut scores[cached.clone()];
        let scale = exponentials(own).recip();
        for value in own {
            *value *= scale;
        }
        scores[..cached.start].fill(0.0);
        scores[cached.end..].fill(0.0);
        return;
    }
    compact.clear();
    compact.extend_from_slice(&scores[cached.clone()]);
    compact.extend(seen.nodes.iter().map(|node| scores[node - first]));
    let scale = exponentials(compact).recip();
    scores.fill(0.0);
    for (score, value) in scores[cached.clone()].iter_mut().zip(&*compact) {
        *score = value * scale;
    }
    for (node, value) in seen.nodes.iter().zip(&compact[cached.len()..]) {
        scores[node - first] = value * scale;
    }
}
