//! The engine as a language model: reads a checkpoint into packed weights, keeps what was read, and runs
//! passes.

use std::sync::Arc;

use super::cache::Cache;
use super::decoder::{Layer, Pass, Room, Weights};
use super::isa::Isa;
use super::lanes::PANEL;
use super::memory::Memory;
use super::packed::{Format, Packed};
use super::plan::{self, Seen};
use crate::checkpoint::Checkpoint;
use crate::config::LlamaConfig;
use crate::error::ModelError;
use crate::language_model::{LanguageModel, Logits, Wanted, check_ids, keep_ids};
use crate::model::{Passage, Score};
use crate::rope::tables;

/// Ids that are read in one pass, at most: longer rows are read piece by piece.
const PIECE: usize = 256;

/// Places that rotary tables are made for at first.
const FIRST_PLACES: usize = 512;

/// A decoder of Llama's architecture with its cache.
#[derive(Debug)]
pub struct Native {
    pub(super) weights: Arc<Weights>,
    pub(super) window: Option<usize>,
    pub(super) cache: Cache,
    pub(super) room: Room,
    ids: Vec<u32>,
    pub(super) cosines: Vec<f32>,
    pub(super) sines: Vec<f32>,
    places: usize,
}

impl Native {
    /// Reads the weights of a checkpoint, for passes on so many threads.
    pub fn load(
        config: &LlamaConfig,
        checkpoint: &Checkpoint,
        format: Format,
        threads: usize,
    ) -> Result<Self, ModelError> {
        let weights = Reader { config, checkpoint, format }.weights()?;
        Ok(Self::new(Arc::new(weights), config.window, (Isa::detect(), threads)))
    }

    /// The same weights with other instructions, and nothing read.
    #[must_use]
    pub fn with_isa(&self, isa: Isa, threads: usize) -> Self {
        Self::new(self.weights.clone(), self.window, (isa, threads))
    }

    fn new(weights: Arc<Weights>, window: Option<usize>, (isa, threads): (Isa, usize)) -> Self {
        let sizes = &weights.config;
        let format = weights.embedding.format;
        let first = FIRST_PLACES.min(sizes.context);
        let mut model = Self {
            window,
            cache: Cache::new(sizes.layers, sizes.kv_heads, sizes.head_dim, format),
            room: Room::new(isa, threads),
            ids: Vec::new(),
            cosines: Vec::new(),
            sines: Vec::new(),
            places: 0,
            weights,
        };
        model.reserve_places(first);
        model
    }

    pub(super) fn reserve_places(&mut self, places: usize) {
        if places <= self.places {
            return;
        }
        let config = &self.weights.config;
        let places = places.next_power_of_two();
        let half = config.rotary_dim.div_ceil(2) as i64;
        let (cosines, sines) = tables(&config.rope, config.rotary_dim, places);
        let first_half = |table: &tch::Tensor| {
            let table = table.narrow(1, 0, half).contiguous();
            let mut values = vec![0f32; table.numel()];
            table.copy_data(&mut values, table.numel());
            values
        };
        (self.cosines, self.sines) = (first_half(&cosines), first_half(&sines));
        self.places = places;
    }

    fn pass(&mut self, ids: &[u32], seen: &[Seen], is_wanted: Wanted) -> Vec<f32> {
        self.cache.reserve(ids.len());
        let places = seen.iter().map(|seen| seen.position + 1).max().unwrap_or(0);
        self.reserve_places(places);
        let wanted: Vec<usize> = match is_wanted {
            Wanted::All => (0..ids.len()).collect(),
            Wanted::Last => vec![ids.len() - 1],
        };
        let pass = Pass {
            weights: &self.weights,
            cache: &self.cache,
            seen,
            turns: (&self.cosines, &self.sines),
            wanted: &wanted,
        };
        let logits = pass.run(ids, &mut self.room);
        self.cache.advance(ids.len());
        self.ids.extend_from_slice(ids);
        logits
    }
}

impl LanguageModel for Native {
    fn rows(&self) -> usize {
        self.weights.config.vocab_size
    }

    fn context(&self) -> usize {
        self.weights.config.context
    }

    fn length(&self) -> usize {
        self.ids.len()
    }

    fn extend(&mut self, ids: &[u32], wanted: Wanted) -> Result<Logits, ModelError> {
        if ids.is_empty() {
            return Ok(Logits::default());
        }
        check_ids(self, ids)?;
        let mut values = Vec::new();
        for piece in ids.chunks(PIECE) {
            let seen = plan::row(self.ids.len(), piece.len(), self.window);
            let logits = self.pass(piece, &seen, wanted);
            match wanted {
                Wanted::All if !values.is_empty() => values.extend(logits),
                _ => values = logits,
            }
        }
        Ok(Logits::new(values, self.rows()))
    }

    fn extend_tree(
        &mut self,
        base: usize,
        ids: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Logits, ModelError> {
        if ids.is_empty() {
            return Ok(Logits::default());
        }
        check_ids(self, ids)?;
        let seen = plan::tree(base, ids.len(), parents, self.window);
        let values = self.pass(ids, &seen, Wanted::All);
        Ok(Logits::new(values, self.rows()))
    }

    fn keep_path(&mut self, base: usize, path: &[usize]) {
        self.cache.keep(base, path);
        keep_ids(&mut self.ids, base, path);
    }

    fn truncate(&mut self, length: usize) {
        self.ids.truncate(length);
        self.cache.truncate(length);
    }

    fn score(&mut self, passages: &[Passage<'_>]) -> Result<Vec<Score>, ModelError> {
        self.score_many(passages)
    }
}

/// Reads a checkpoint into packed weights.
struct Reader<'a> {
    config: &'a LlamaConfig,
    checkpoint: &'a Checkpoint,
    format: Format,
}

impl Reader<'_> {
    fn weights(&self) -> Result<Weights, ModelError> {
        let sizes = &self.config.decoder;
        let mut memory = Memory::new(
            self.sizes().into_iter().map(|(rows, depth)| self.format.bytes(rows, depth)),
        )?;
        let hidden = sizes.hidden_size;
        let mut outer = |name: &str| {
            let mut matrix = Packed::new(&mut memory, self.format, sizes.vocab_size, hidden);
            self.fill(&mut memory, &mut matrix, name, |row| row);
            matrix
        };
        let embedding = outer("model.embed_tokens.weight");
        let head = (!sizes.tied).then(|| outer("lm_head.weight"));
        let layer = |index| self.layer(&mut memory, &format!("model.layers.{index}"));
        let layers = (0..sizes.layers).map(layer).collect();
        let norm = self.vector("model.norm.weight");
        Ok(Weights { config: sizes.clone(), memory, embedding, layers, norm, head })
    }

    /// Rows and columns of all matrices.
    fn sizes(&self) -> Vec<(usize, usize)> {
        let sizes = &self.config.decoder;
        let (hidden, feed) = (sizes.hidden_size, sizes.intermediate_size);
        let mixed = sizes.heads * sizes.head_dim;
        let inputs = mixed + 2 * sizes.kv_heads * sizes.head_dim;
        let gate_up = 2 * feed.next_multiple_of(PANEL);
        let layer = [(inputs, hidden), (hidden, mixed), (gate_up, hidden), (hidden, feed)];
        let outer = vec![(sizes.vocab_size, hidden); if sizes.tied { 1 } else { 2 }];
        outer.into_iter().chain((0..sizes.layers).flat_map(|_| layer)).collect()
    }

    fn layer(&self, memory: &mut Memory, prefix: &str) -> Layer {
        let sizes = &self.config.decoder;
        let (hidden, feed) = (sizes.hidden_size, sizes.intermediate_size);
        let (mixed, kept) = (sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim);
        let of_layer = |name: &str| format!("{prefix}.{name}");
        let inputs = [("q_proj", 0), ("k_proj", mixed), ("v_proj", mixed + kept)];
        let inputs = inputs.map(|(name, first)| (of_layer(&format!("self_attn.{name}")), first));
        let behind = |first: usize| move |row: usize| first + row;
        let bias = sizes.attention_bias;
        let inputs = inputs.map(|(name, first)| (name, behind(first)));
        let inputs = self.matrix(memory, (mixed + 2 * kept, hidden), &inputs, bias);
        let output = [(of_layer("self_attn.o_proj"), behind(0))];
        let output = self.matrix(memory, (hidden, mixed), &output, bias);
        // A panel of gates, then the panel of what passes them.
        let by_turns =
            |first: usize| move |row: usize| row / PANEL * 2 * PANEL + row % PANEL + first;
        let gate_up =
            [(of_layer("mlp.gate_proj"), by_turns(0)), (of_layer("mlp.up_proj"), by_turns(PANEL))];
        let rows = 2 * feed.next_multiple_of(PANEL);
        let gate_up = self.matrix(memory, (rows, hidden), &gate_up, self.config.mlp_bias);
        let down = [(of_layer("mlp.down_proj"), behind(0))];
        let down = self.matrix(memory, (hidden, feed), &down, self.config.mlp_bias);
        Layer {
            before_mixing: self.vector(&of_layer("input_layernorm.weight")),
            inputs,
            output,
            before_feed_forward: self.vector(&of_layer("post_attention_layernorm.weight")),
            gate_up,
            down,
        }
    }

    /// A matrix of one or more maps, each of which says where its rows go.
    fn matrix(
        &self,
        memory: &mut Memory,
        (rows, depth): (usize, usize),
        maps: &[(String, impl Fn(usize) -> usize)],
        has_bias: bool,
    ) -> Packed {
        let mut matrix = Packed::new(memory, self.format, rows, depth);
        let mut bias = vec![0.0; rows.next_multiple_of(PANEL)];
        for (name, place) in maps {
            self.fill(memory, &mut matrix, &format!("{name}.weight"), place);
            if has_bias {
                for (row, value) in self.vector(&format!("{name}.bias")).into_iter().enumerate() {
                    bias[place(row)] = value;
                }
            }
        }
        matrix.bias = has_bias.then_some(bias);
        matrix
    }

    fn fill(
        &self,
        memory: &mut Memory,
        matrix: &mut Packed,
        name: &str,
        place: impl Fn(usize) -> usize,
    ) {
        let (depth, mut first, mut rows) = (matrix.depth, 0, Vec::new());
        // As many rows as a panel has stay side by side wherever they go.
        let mut flush = |first: usize, rows: &mut Vec<f32>| {
            matrix.set(memory, place(first), rows);
            rows.clear();
        };
        self.checkpoint.read_rows(name, &mut |row, values| {
            if rows.len() == PANEL * depth {
                flush(first, &mut rows);
                first = row;
            }
            rows.extend_from_slice(values);
        });
        flush(first, &mut rows);
    }

    fn vector(&self, name: &str) -> Vec<f32> {
        let mut values = Vec::new();
        self.checkpoint.read_rows(name, &mut |_, row| values.extend_from_slice(row));
        values
    }
}
