//! A decoder with its cache and what it has read. Batch size 1; a tree of ids is read in one pass. Knows ids and tensors only.

use tch::{Kind, Tensor};

use super::placement::{Placement, Span, Tree};
use super::recurrence::{Pass, Recurrence};
use super::stack::{Layer, Mixing, Stack};
use crate::cache::KvCache;
use crate::config::{Decoder, DeltaConfig, Shape};
use crate::device::Compute;
use crate::error::ModelError;
use crate::language_model::{LanguageModel, Logits, Wanted, check_ids, keep_ids};
use crate::rope::Rope;

/// Ids that are read in one pass, at most: longer rows are read piece by piece.
const PIECE: usize = 512;

/// Positions that rotary tables are made for at first.
const FIRST_POSITIONS: usize = 512;

/// A decoder with its cache.
#[derive(Debug)]
pub(super) struct Network {
    sizes: Decoder,
    window: Option<usize>,
    compute: Compute,
    stack: Stack,
    rope: Rope,
    cache: KvCache,
    recurrence: Recurrence,
    /// What has been read. The cache may hold less: the rest is read again before anything else.
    ids: Vec<u32>,
}

impl Network {
    /// A model that has read nothing.
    pub(super) fn new(shape: &Shape, stack: Stack, compute: Compute) -> Self {
        let (sizes, Compute { kind, device, .. }) = (shape.decoder().clone(), compute);
        let (window, delta) = match shape {
            Shape::Llama(config) => (config.window, DeltaConfig::default()),
            Shape::Qwen35(config) => (None, config.delta),
        };
        let is_net = |layer: &&Layer| matches!(layer.mixing, Mixing::Delta(_));
        let nets = stack.layers.iter().filter(is_net).count();
        let attentions = stack.layers.len() - nets;
        let positions = sizes.context.min(FIRST_POSITIONS);
        Self {
            window,
            compute,
            stack,
            rope: Rope::new(sizes.rope, sizes.rotary_dim, positions, kind, device),
            cache: KvCache::new(attentions, sizes.kv_heads, sizes.head_dim, kind, device),
            recurrence: Recurrence::new(nets, &delta, kind, device),
            sizes,
            ids: Vec::new(),
        }
    }

    /// Reads what was read before and the cache does not hold any more.
    fn catch_up(&mut self) -> Result<(), ModelError> {
        let held = self.cache.length();
        let missing = self.ids.split_off(held);
        let read = self.read_row(&missing);
        self.ids.truncate(held);
        self.ids.extend(missing);
        read.map(drop)
    }

    /// Reads ids in a row, piece by piece, and gives the stream behind the last piece and behind
    /// each piece before it.
    fn read_row(&mut self, ids: &[u32]) -> Result<Vec<Tensor>, ModelError> {
        ids.chunks(PIECE)
            .map(|piece| {
                let stream = self.pass(piece, None)?;
                if !self.recurrence.is_empty() {
                    let path: Vec<usize> = (0..piece.len()).collect();
                    self.recurrence.follow(self.cache.length() - piece.len(), &path);
                }
                self.ids.extend_from_slice(piece);
                Ok(stream)
            })
            .collect()
    }

    /// Runs the layers on ids behind the cached ones and gives the stream `[n, hidden]`.
    fn pass(&mut self, ids: &[u32], tree: Option<Tree<'_>>) -> Result<Tensor, ModelError> {
        let _guard = tch::no_grad_guard();
        let Compute { kind, device, .. } = self.compute;
        let (past, count) = (self.cache.length(), ids.len());
        self.cache.reserve(count);
        let positions =
            (past + count).next_power_of_two().min(self.sizes.context.max(past + count));
        self.rope.reserve(positions);
        let indices: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let indices = Tensor::f_from_slice(&indices)?.f_to_device(device)?;
        let mut stream = self.stack.embed(&indices)?;
        let span = Span { past, count, tree };
        let placement = Placement::new(span, self.window, &self.rope, (kind, device))?;
        let chain: Vec<Option<usize>> = (0..count).map(|node| node.checked_sub(1)).collect();
        // Models with delta nets read a tree from its root on.
        let parents = tree.map_or(&chain[..], |tree| tree.parents);
        let windows = self.recurrence.windows(parents);
        let mut traces = Vec::new();
        for layer in &self.stack.layers {
            let input = layer.before_mixing.apply(&stream);
            let mixed = match &layer.mixing {
                Mixing::Attention(attention) => {
                    attention.forward(&input, &placement, &mut self.cache)?
                }
                Mixing::Delta(net) => {
                    let state = self.recurrence.state(net.slot);
                    let (mixed, trace) = net.forward(&input, state, &windows, parents);
                    traces.push(trace);
                    mixed
                }
            };
            stream = layer.feed(&(stream + mixed));
        }
        self.cache.advance(count);
        self.recurrence.hold(Pass { windows, traces });
        Ok(stream)
    }

    /// Logits behind the rows of a stream, on the host.
    fn logits(&self, streams: &[Tensor]) -> Result<Logits, ModelError> {
        let _guard = tch::no_grad_guard();
        let rows: i64 = streams.iter().map(|stream| stream.size()[0]).sum();
        let width = self.sizes.vocab_size;
        let mut values = vec![0f32; rows as usize * width];
        let mut first = 0;
        for stream in streams {
            let logits = self.stack.logits(stream);
            let logits = logits.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?;
            let count = logits.numel();
            logits.contiguous().f_copy_data(&mut values[first..first + count], count)?;
            first += count;
        }
        Ok(Logits::new(values, width))
    }
}

impl LanguageModel for Network {
    fn rows(&self) -> usize {
        self.sizes.vocab_size
    }

    fn context(&self) -> usize {
        self.sizes.context
    }

    fn length(&self) -> usize {
        self.ids.len()
    }

    fn extend(&mut self, ids: &[u32], wanted: Wanted) -> Result<Logits, ModelError> {
        if ids.is_empty() {
            return Ok(Logits::default());
        }
        check_ids(self, ids)?;
        self.catch_up()?;
        let before = self.ids.len();
        let read = self.read_row(ids).and_then(|streams| match (wanted, streams.last()) {
            (Wanted::Last, Some(last)) => self.logits(&[last.narrow(0, last.size()[0] - 1, 1)]),
            _ => self.logits(&streams),
        });
        if read.is_err() {
            self.truncate(before);
        }
        read
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
        self.catch_up()?;
        let before = self.ids.len();
        let known = self.ids[base..].to_vec();
        // A delta net has no cache of nodes to begin from: the whole tree is read again.
        let again = !self.recurrence.is_empty() && !known.is_empty();
        if again {
            self.truncate(base);
            self.catch_up()?;
        }
        let nodes = if again { [&known, ids].concat() } else { ids.to_vec() };
        let read = self.pass(&nodes, Some(Tree { base, parents })).and_then(|stream| {
            let first = (nodes.len() - ids.len()) as i64;
            self.logits(&[stream.f_narrow(0, first, ids.len() as i64)?])
        });
        self.ids.extend_from_slice(&nodes);
        if read.is_err() {
            self.truncate(if again { base } else { before });
        }
        read
    }

    fn keep_path(&mut self, base: usize, path: &[usize]) {
        self.cache.keep(base, path);
        self.recurrence.follow(base, path);
        keep_ids(&mut self.ids, base, path);
    }

    fn truncate(&mut self, length: usize) {
        if length >= self.ids.len() {
            return;
        }
        self.ids.truncate(length);
        let held = if self.recurrence.is_empty() { length } else { self.recurrence.rewind(length) };
        self.cache.truncate(held);
    }
}
