//! The weights of a decoder and one pass over some ids. Knows no cache of ids and no libtorch: a pass is
//! the work of a team, whose members meet where one part needs all of the part before it.

#![expect(unsafe_code, reason = "threads of a team work on parts of one buffer")]

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::attention::{Attention, Scratch};
use super::cache::Cache;
use super::isa::{Isa, Work};
use super::lanes::{Lanes, PANEL};
use super::maths::norm;
use super::memory::Memory;
use super::packed::{Format, Packed};
use super::plan::Seen;
use super::product::{Input, Product, Write};
use super::quantised::{BLOCK, round};
use super::team::{Member, Shared, run};
use crate::config::Decoder as Config;
use crate::language_model::buffer;

/// The weights of a layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) before_mixing: Vec<f32>,
    /// Queries, keys and values.
    pub(super) inputs: Packed,
    pub(super) output: Packed,
    pub(super) before_feed_forward: Vec<f32>,
    /// Panels of gates and of what passes them, by turns.
    pub(super) gate_up: Packed,
    pub(super) down: Packed,
}

/// All weights.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) config: Config,
    pub(super) memory: Memory,
    pub(super) embedding: Packed,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Vec<f32>,
    /// `None` where the head is the embedding.
    pub(super) head: Option<Packed>,
}

impl Weights {
    /// The matrix that gives logits.
    pub(super) fn head(&self) -> &Packed {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

/// Inputs of a product that were made for it: by each member for itself where they are few, else by all
/// together.
#[derive(Debug)]
struct Area {
    floats: Shared<f32>,
    numbers: Shared<i8>,
    scales: Shared<f32>,
    sums: Shared<i32>,
}

impl Area {
    fn new() -> Self {
        Self {
            floats: Shared::new(),
            numbers: Shared::new(),
            scales: Shared::new(),
            sums: Shared::new(),
        }
    }
}

/// Room that passes need; it grows and is kept.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) isa: Isa,
    threads: usize,
    stream: Shared<f32>,
    heads: Shared<f32>,
    mixed: Shared<f32>,
    gated: Shared<f32>,
    pub(super) logits: Shared<f32>,
    areas: Vec<Area>,
    attention: Vec<Mutex<Scratch>>,
}

impl Room {
    /// Room for passes of so many threads.
    pub(super) fn new(isa: Isa, threads: usize) -> Self {
        let threads = threads.max(1);
        Self {
            isa,
            threads,
            stream: Shared::new(),
            heads: Shared::new(),
            mixed: Shared::new(),
            gated: Shared::new(),
            logits: Shared::new(),
            areas: (0..threads).map(|_| Area::new()).collect(),
            attention: (0..threads).map(|_| Mutex::default()).collect(),
        }
    }

    fn reserve(&mut self, weights: &Weights, rows: usize) {
        let config = &weights.config;
        let mixed = config.heads * config.head_dim;
        let feed = config.intermediate_size.next_multiple_of(PANEL);
        self.stream.reserve(rows * config.hidden_size);
        self.heads.reserve(rows * (mixed + 2 * config.kv_heads * config.head_dim));
        self.mixed.reserve(rows * mixed);
        self.gated.reserve(rows * feed);
        let widest = config.hidden_size.max(mixed).max(feed).next_multiple_of(BLOCK);
        for area in &mut self.areas {
            area.floats.reserve(rows * config.hidden_size);
            area.numbers.reserve(rows * widest);
            area.scales.reserve(rows * widest / BLOCK);
            area.sums.reserve(rows * widest / BLOCK);
        }
    }
}

/// One pass over ids whose embeddings are in the stream.
pub(super) struct Pass<'a> {
    pub(super) weights: &'a Weights,
    pub(super) cache: &'a Cache,
    pub(super) seen: &'a [Seen],
    /// See [`Attention::turns`].
    pub(super) turns: (&'a [f32], &'a [f32]),
    /// Ids of the pass behind which logits are wanted, ascending.
    pub(super) wanted: &'a [usize],
}

/// Where the input of a product comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// Rows of the stream, all or some, normed by a weight.
    Normed(&'a [f32], Option<&'a [usize]>),
    /// Rows as they are, with their stride.
    Plain(&'a Shared<f32>, usize),
}

impl Pass<'_> {
    /// Runs the layers and gives the logits, `[wanted, vocabulary]`.
    pub(super) fn run(&self, ids: &[u32], room: &mut Room) -> Vec<f32> {
        *room.logits.values() = buffer(self.wanted.len() * self.weights.config.vocab_size);
        self.read(ids, room);
        std::mem::take(room.logits.values())
    }

    /// Runs the layers, and leaves the logits, for which there must be room, where they are.
    pub(super) fn read(&self, ids: &[u32], room: &mut Room) {
        room.reserve(self.weights, ids.len());
        let hidden = self.weights.config.hidden_size;
        let rows = room.stream.values().chunks_exact_mut(hidden);
        for (row, &id) in rows.zip(ids) {
            self.weights.embedding.get(&self.weights.memory, id as usize, row);
        }
        self.share(room, &|part| part.run());
    }

    /// Lets all members do their parts of a task.
    pub(super) fn share(&self, room: &Room, task: &(dyn Fn(&Part<'_>) + Sync)) {
        run(room.threads, &|member: Member<'_>| task(&Part { pass: self, room, member }));
    }
}

/// One member's part of a pass.
pub(super) struct Part<'a> {
    pass: &'a Pass<'a>,
    pub(super) room: &'a Room,
    pub(super) member: Member<'a>,
}

impl Part<'_> {
    fn run(&self) {
        let Self { pass, room, member } = self;
        let rows = pass.seen.len();
        let feed = pass.weights.config.intermediate_size.next_multiple_of(PANEL);
        let hidden = pass.weights.config.hidden_size;
        for (index, layer) in pass.weights.layers.iter().enumerate() {
            let source = Source::Normed(&layer.before_mixing, None);
            let width = layer.inputs.rows;
            self.product(&layer.inputs, source, rows, (&room.heads, width, Write::Put));
            member.meet();
            let mixed = self.attend(index);
            member.meet();
            let source = Source::Plain(&room.mixed, mixed);
            self.product(&layer.output, source, rows, (&room.stream, hidden, Write::Add));
            member.meet();
            let source = Source::Normed(&layer.before_feed_forward, None);
            self.product(&layer.gate_up, source, rows, (&room.gated, feed, Write::Gate));
            member.meet();
            let source = Source::Plain(&room.gated, feed);
            self.product(&layer.down, source, rows, (&room.stream, hidden, Write::Add));
            member.meet();
        }
        self.head(pass.wanted);
    }

    /// Computes the logits behind some ids.
    pub(super) fn head(&self, wanted: &[usize]) {
        if !wanted.is_empty() {
            let Self { pass, room, .. } = self;
            let source = Source::Normed(&pass.weights.norm, Some(wanted));
            let output = (&room.logits, pass.weights.config.vocab_size, Write::Put);
            self.product(pass.weights.head(), source, wanted.len(), output);
        }
    }

    /// Attention of one layer; gives the width of a row of what it mixes.
    fn attend(&self, index: usize) -> usize {
        let Self { pass, room, member } = self;
        let config = &pass.weights.config;
        let group = config.heads / config.kv_heads;
        let attention = Attention {
            layer: &pass.cache.layers[index],
            sizes: pass.cache.sizes,
            group,
            heads: &room.heads,
            output: &room.mixed,
            seen: pass.seen,
            turns: pass.turns,
            half: config.rotary_dim.div_ceil(2),
        };
        let past = pass.cache.length();
        let rows = attention.rows();
        let scratch = room.attention[member.index()].lock();
        let mut scratch = scratch.unwrap_or_else(PoisonError::into_inner);
        let heads = member.share(config.kv_heads);
        for head in heads.clone() {
            // SAFETY: heads are shared out.
            unsafe { attention.write(head, past, &mut scratch) };
        }
        if config.kv_heads.is_multiple_of(member.count()) {
            for head in heads {
                // SAFETY: heads are shared out, and this member wrote their keys.
                unsafe { attention.mix(room.isa, head, 0..rows, &mut scratch) };
            }
        } else {
            member.meet();
            for task in member.share(config.kv_heads * rows) {
                let (head, row) = (task / rows, task % rows);
                // SAFETY: rows of heads are shared out, and all keys are written.
                unsafe { attention.mix(room.isa, head, row..row + 1, &mut scratch) };
            }
        }
        config.heads * config.head_dim
    }

    /// Computes this member's share of a product.
    fn product(
        &self,
        matrix: &Packed,
        source: Source<'_>,
        rows: usize,
        (output, stride, write): (&Shared<f32>, usize, Write),
    ) {
        let Self { pass, room, member } = self;
        let is_alone = rows < 2 * member.count();
        let area = &room.areas[if is_alone { member.index() } else { 0 }];
        let own = if is_alone { 0..rows } else { member.share(rows) };
        let is_rounded = matrix.format == Format::Int8;
        if is_rounded || matches!(source, Source::Normed(..)) {
            // SAFETY: the processor has the instructions; rows are shared out, or the area is.
            unsafe { room.isa.run(Making { pass, room, matrix, source, area, rows: own }) };
            if !is_alone {
                member.meet();
            }
        }
        let blocks = rows * matrix.depth.div_ceil(BLOCK);
        // SAFETY: nobody writes to a product's input before all have met behind it.
        let input = unsafe {
            match source {
                _ if is_rounded => Input::Rounded {
                    numbers: area.numbers.part(0, blocks * BLOCK),
                    scales: area.scales.part(0, blocks),
                    sums: area.sums.part(0, blocks),
                },
                Source::Normed(..) => Input::Floats {
                    values: area.floats.part(0, rows * matrix.depth),
                    stride: matrix.depth,
                },
                Source::Plain(values, stride) => {
                    Input::Floats { values: values.part(0, rows * stride), stride }
                }
            }
        };
        let memory = &pass.weights.memory;
        let product = Product { matrix, memory, input, rows, output, stride, write };
        // SAFETY: the processor has the instructions; parts are shared out.
        unsafe { product.compute(room.isa, member.share(product.parts())) };
    }
}

/// The making of some rows of a product's input: they are normed, and rounded where the weights have 8 bits.
///
/// # Safety
/// Nobody else uses these rows of the area, or writes to the source, meanwhile.
struct Making<'a> {
    pass: &'a Pass<'a>,
    room: &'a Room,
    matrix: &'a Packed,
    source: Source<'a>,
    area: &'a Area,
    rows: Range<usize>,
}

impl Work for Making<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let depth = self.matrix.depth;
        let epsilon = self.pass.weights.config.norm_epsilon as f32;
        for row in self.rows.clone() {
            // SAFETY: the caller's.
            let floats = unsafe {
                match self.source {
                    Source::Normed(weight, rows) => {
                        let place = rows.map_or(row, |rows| rows[row]);
                        let input = self.room.stream.part(place * depth, depth);
                        let output = self.area.floats.part_mut(row * depth, depth);
                        norm(input, weight, epsilon, output);
                        &*output
                    }
                    Source::Plain(values, stride) => values.part(row * stride, depth),
                }
            };
            if self.matrix.format == Format::Int8 {
                // SAFETY: the caller's.
                unsafe { self.round(row, floats) };
            }
        }
    }
}

impl Making<'_> {
    #[inline(always)]
    unsafe fn round(&self, row: usize, floats: &[f32]) {
        let blocks = floats.len().div_ceil(BLOCK);
        // SAFETY: the caller's.
        let (numbers, scales, sums) = unsafe {
            (
                self.area.numbers.part_mut(row * blocks * BLOCK, blocks * BLOCK),
                self.area.scales.part_mut(row * blocks, blocks),
                self.area.sums.part_mut(row * blocks, blocks),
            )
        };
        let places = numbers.as_chunks_mut::<BLOCK>().0.iter_mut().zip(scales).zip(sums);
        for (values, ((numbers, scale), sum)) in floats.chunks(BLOCK).zip(places) {
            (*scale, *sum) = round(values, numbers);
        }
    }
}
