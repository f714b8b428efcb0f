//! The gated delta net (Yang et al., 2412.06464) as Qwen3.5 has it: a short causal convolution, then a
//! state of fixed size for each head that forgets, is corrected by the delta rule, and is read. Reads
//! few ids, or a tree of them, one by one and keeps the state behind each; many in a row in chunks.
//! Knows no cache.

use tch::{Kind, Tensor};

use super::layers::{Linear, RmsNorm, wide};
use crate::config::DeltaConfig;

/// Ids in a row up to this many are read one by one, so that each can be rolled back to.
const ONE_BY_ONE: usize = 32;

/// Positions of one chunk of a long row.
const CHUNK: i64 = 64;

/// Added to a squared length before its root is taken.
const EPSILON: f64 = 1e-6;

/// What a delta net knows of the ids it has read.
#[derive(Debug)]
pub(super) struct State {
    /// The last inputs of the convolution, `[kernel - 1, channels]`.
    pub(super) inputs: Tensor,
    /// The memory of each head, `[value_heads, key_dim, value_dim]`, in the wide type.
    pub(super) memory: Tensor,
}

impl Clone for State {
    /// Shares the tensors, which are never written to.
    fn clone(&self) -> Self {
        Self { inputs: self.inputs.shallow_clone(), memory: self.memory.shallow_clone() }
    }
}

/// Which inputs the convolution sees at each id of a pass: indices of rows, those of
/// [`State::inputs`] first and the pass's own behind them, `kernel` for each id, oldest first.
#[derive(Debug)]
pub(super) struct Windows {
    kernel: usize,
    rows: Vec<i64>,
}

impl Windows {
    /// Of ids with these parents.
    pub(super) fn new(parents: &[Option<usize>], kernel: usize) -> Self {
        let mut rows = vec![0; parents.len() * kernel];
        for node in 0..parents.len() {
            let (mut at, mut older) = (Some(node), kernel - 1);
            for row in rows[node * kernel..][..kernel].iter_mut().rev() {
                *row = if let Some(index) = at {
                    at = parents[index];
                    (kernel - 1 + index) as i64
                } else {
                    older -= 1;
                    older as i64
                };
            }
        }
        Self { kernel, rows }
    }

    /// The rows that the convolution would see behind `node`, but for the next input.
    fn behind(&self, node: usize) -> &[i64] {
        &self.rows[node * self.kernel + 1..][..self.kernel - 1]
    }
}

/// What one pass leaves behind in one layer, from which the state behind its ids is had.
#[derive(Debug)]
pub(super) struct Trace {
    rows: Tensor,
    /// Behind every id, or behind the last only.
    memories: Vec<Tensor>,
    count: usize,
}

impl Trace {
    /// The state behind a node; `None` where it was not kept.
    pub(super) fn state(&self, windows: &Windows, node: usize) -> Option<State> {
        let missing = self.count - self.memories.len();
        let memory = self.memories.get(node.checked_sub(missing)?)?.shallow_clone();
        let rows = Tensor::from_slice(windows.behind(node)).to_device(self.rows.device());
        Some(State { inputs: self.rows.index_select(0, &rows), memory })
    }
}

/// The delta net of one layer.
#[derive(Debug)]
pub(super) struct DeltaNet {
    pub(super) sizes: DeltaConfig,
    /// Queries, keys, values, output gate, rate and forgetting in one map.
    pub(super) inputs: Linear,
    /// `[kernel, channels]` in the wide type.
    pub(super) convolution: Tensor,
    /// Added to the forgetting before its softplus.
    pub(super) forget_bias: Tensor,
    /// Minus the exponential of `A_log`.
    pub(super) forget_scale: Tensor,
    pub(super) norm: RmsNorm,
    pub(super) output: Linear,
    /// Which of the model's delta nets it is.
    pub(super) slot: usize,
}

/// What the delta rule works on, in the wide type, `[value_heads, n, …]`.
struct Flow {
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    /// How much of what is new is written, `[value_heads, n, 1]`.
    rate: Tensor,
    /// Logarithm of how much of the memory is kept, `[value_heads, n]`.
    log_keep: Tensor,
}

impl DeltaNet {
    /// The state behind nothing.
    pub(super) fn empty(sizes: &DeltaConfig, kind: Kind, device: tch::Device) -> State {
        let (heads, rows) = (sizes.value_heads as i64, sizes.kernel as i64 - 1);
        let memory = [heads, sizes.key_dim as i64, sizes.value_dim as i64];
        State {
            inputs: Tensor::zeros([rows, sizes.channels() as i64], (kind, device)),
            memory: Tensor::zeros(memory, (wide(kind), device)),
        }
    }

    /// Maps `[n, hidden]` to `[n, hidden]`, beginning with `state`. `parents` of ids in a row are
    /// those before them.
    pub(super) fn forward(
        &self,
        input: &Tensor,
        state: &State,
        windows: &Windows,
        parents: &[Option<usize>],
    ) -> (Tensor, Trace) {
        let sizes = &self.sizes;
        let (channels, width) = (sizes.channels() as i64, sizes.value_width() as i64);
        let heads = sizes.value_heads as i64;
        let mapped = self.inputs.apply(input);
        let part = |first: i64, length: i64| mapped.narrow(1, first, length);
        let rows = Tensor::cat(&[state.inputs.shallow_clone(), part(0, channels)], 0);
        let flow = self.flow(
            &self.convolve(&rows, windows),
            &part(channels + width, heads),
            &part(channels + width + heads, heads),
        );
        let in_a_row =
            parents.iter().enumerate().all(|(index, parent)| parent.map_or(0, |p| p + 1) == index);
        let (mixed, memories) = if in_a_row && parents.len() > ONE_BY_ONE {
            in_chunks(&flow, &state.memory)
        } else {
            one_by_one(&flow, &state.memory, parents)
        };
        let count = parents.len() as i64;
        let mixed = mixed.transpose(0, 1).to_kind(input.kind());
        let gate =
            part(channels, width).view([count, heads, -1]).to_kind(wide(input.kind())).silu();
        let gated = (self.norm.apply(&mixed) * gate).to_kind(input.kind());
        let output = self.output.apply(&gated.reshape([count, width]));
        (output, Trace { rows, memories, count: parents.len() })
    }

    /// The convolution, a filter for each channel, `[n, channels]`.
    fn convolve(&self, rows: &Tensor, windows: &Windows) -> Tensor {
        let index = Tensor::from_slice(&windows.rows).to_device(rows.device());
        let seen = rows.index_select(0, &index).view([-1, windows.kernel as i64, rows.size()[1]]);
        let kind = self.convolution.kind();
        let sum = (seen.to_kind(kind) * &self.convolution).sum_dim_intlist(1i64, false, kind);
        sum.to_kind(rows.kind()).silu()
    }

    fn flow(&self, convolved: &Tensor, rate: &Tensor, forget: &Tensor) -> Flow {
        let (sizes, kind) = (&self.sizes, self.convolution.kind());
        let (width, repeats) = (sizes.key_width() as i64, sizes.value_heads / sizes.key_heads);
        let heads = |first: i64, width: i64, heads: usize| {
            let part = convolved.narrow(1, first, width).to_kind(kind);
            part.view([part.size()[0], heads as i64, -1]).transpose(0, 1)
        };
        let unit = |part: Tensor| {
            let length = part.square().sum_dim_intlist(-1i64, true, kind) + EPSILON;
            (part * length.rsqrt()).repeat_interleave_self_int(repeats as i64, 0, None)
        };
        let log_keep = &self.forget_scale * (forget.to_kind(kind) + &self.forget_bias).softplus();
        Flow {
            queries: unit(heads(0, width, sizes.key_heads)) / (sizes.key_dim as f64).sqrt(),
            keys: unit(heads(width, width, sizes.key_heads)),
            values: heads(2 * width, sizes.value_width() as i64, sizes.value_heads),
            rate: rate.sigmoid().to_kind(kind).transpose(0, 1).unsqueeze(2),
            log_keep: log_keep.transpose(0, 1),
        }
    }
}

/// The delta rule id by id: the output `[heads, n, value_dim]` and the memory behind each id.
fn one_by_one(flow: &Flow, start: &Tensor, parents: &[Option<usize>]) -> (Tensor, Vec<Tensor>) {
    let keep = flow.log_keep.exp();
    let mut memories: Vec<Tensor> = Vec::with_capacity(parents.len());
    let mut outputs = Vec::with_capacity(parents.len());
    for (node, parent) in parents.iter().enumerate() {
        let at = |part: &Tensor| part.narrow(1, node as i64, 1);
        let before = parent.map_or(start, |parent| &memories[parent]);
        let kept = before * at(&keep).unsqueeze(2);
        let key = at(&flow.keys);
        let new = (at(&flow.values) - key.matmul(&kept)) * at(&flow.rate);
        let memory = kept + key.transpose(1, 2) * new;
        outputs.push(at(&flow.queries).matmul(&memory));
        memories.push(memory);
    }
    (Tensor::cat(&outputs, 1), memories)
}

/// The delta rule over a long row in chunks, whose inner dependence is a triangular system (Yang et
/// al., 2406.06484): the output `[heads, n, value_dim]` and the memory behind the last id.
fn in_chunks(flow: &Flow, start: &Tensor) -> (Tensor, Vec<Tensor>) {
    let count = flow.keys.size()[1];
    let padding = (CHUNK - count % CHUNK) % CHUNK;
    let chunked = |part: &Tensor| {
        let padded = part.constant_pad_nd([0, 0, 0, padding]);
        padded.reshape([padded.size()[0], -1, CHUNK, padded.size()[2]])
    };
    let (queries, keys, values) =
        (chunked(&flow.queries), chunked(&flow.keys), chunked(&flow.values));
    let rate = chunked(&flow.rate);
    // Logarithm of what is kept from the chunk's beginning, `[heads, chunks, CHUNK, 1]`.
    let kept = chunked(&flow.log_keep.unsqueeze(2)).cumsum(2, flow.keys.kind());
    let ones = Tensor::ones([CHUNK, CHUNK], (Kind::Bool, keys.device()));
    let between =
        (&kept - kept.transpose(2, 3)).masked_fill(&ones.triu(1), f64::NEG_INFINITY).exp();
    let rated = &keys * &rate;
    let system = rated.matmul(&keys.transpose(2, 3)) * &between;
    let inner = queries.matmul(&keys.transpose(2, 3)) * &between;
    let solve = |right: &Tensor| system.linalg_solve_triangular(right, false, true, true);
    let new_values = solve(&(values * &rate));
    let old_keys = solve(&(rated * kept.exp()));
    let queries = queries * kept.exp();
    let last = kept.narrow(2, CHUNK - 1, 1);
    let keys = keys * (&last - &kept).exp();
    let whole = last.exp();
    let mut memory = start.shallow_clone();
    let mut outputs = Vec::new();
    for chunk in 0..keys.size()[1] {
        let new = new_values.select(1, chunk) - old_keys.select(1, chunk).matmul(&memory);
        let read = queries.select(1, chunk).matmul(&memory);
        outputs.push(read + inner.select(1, chunk).matmul(&new));
        let written = keys.select(1, chunk).transpose(1, 2).matmul(&new);
        memory = memory * whole.select(1, chunk) + written;
    }
    (Tensor::cat(&outputs, 1).narrow(1, 0, count), vec![memory])
}
