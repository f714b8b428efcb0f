//! Attention as nodes: rotary, grouped queries, past keys and values, and Qwen3.5's norms over heads
//! and output gate.

use draft::config::Decoder;

use super::decoder::{BATCH, Frame, PAST, TOTAL, lowest};
use super::graph::{Size, Value};
use super::parts::Parts;
use super::proto::Attribute;
use super::weights::Change;

/// How an architecture's attention differs from the plain one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attention<'a> {
    pub(super) sizes: &'a Decoder,
    /// Whether heads of queries and keys are normed, and the output gated.
    pub(super) gated: bool,
    pub(super) layer: usize,
}

impl Attention<'_> {
    /// Maps `[batch, time, hidden]` to the same, and gives the keys and values so far as outputs.
    pub(super) fn build(&self, parts: &mut Parts, frame: &Frame, input: &Value) -> Value {
        let sizes = self.sizes;
        let own = format!("model.layers.{}.self_attn", self.layer);
        parts.graph.scope.clone_from(&own);
        let name = |map: &str| format!("{own}.{map}");
        let maps = [name("q_proj"), name("k_proj"), name("v_proj")];
        let mapped = parts.linears(input, &[&maps[0], &maps[1], &maps[2]]);
        let (queries, gate) = self.queries(parts, &mapped[0]);
        let keys = self.heads(parts, &mapped[1], sizes.kv_heads);
        let values = self.heads(parts, &mapped[2], sizes.kv_heads);
        let (queries, keys) = if self.gated {
            let queries = parts.norm(&queries, &name("q_norm"), Change::PlusOne);
            (queries, parts.norm(&keys, &name("k_norm"), Change::PlusOne))
        } else {
            (queries, keys)
        };
        let turned = frame.turned(parts, &keys, sizes.head_dim);
        let queries = frame.turned(parts, &queries, sizes.head_dim);
        let keys = self.behind_past(parts, &turned, "key");
        let values = self.behind_past(parts, &values, "value");
        let mixed = self.mix(parts, frame, &queries, [&keys, &values]);
        let gated = match gate {
            Some(gate) => {
                let gate = parts.graph.op("Sigmoid", &[&gate]);
                parts.graph.op("Mul", &[&mixed, &gate])
            }
            None => mixed,
        };
        parts.linear(&gated, &name("o_proj"))
    }

    /// `[batch, time, heads × head_dim]` as `[batch, heads, time, head_dim]`.
    fn heads(&self, parts: &mut Parts, mapped: &Value, heads: usize) -> Value {
        let split = [0, 0, heads as i64, self.sizes.head_dim as i64];
        let split = parts.graph.reshaped(mapped, &split);
        parts.graph.transposed(&split, &[0, 2, 1, 3])
    }

    /// Queries, and the gate `[batch, time, heads × head_dim]`: each query head is followed by its.
    fn queries(&self, parts: &mut Parts, mapped: &Value) -> (Value, Option<Value>) {
        let (heads, dim) = (self.sizes.heads, self.sizes.head_dim);
        if !self.gated {
            return (self.heads(parts, mapped, heads), None);
        }
        let graph = &mut parts.graph;
        let both = graph.reshaped(mapped, &[0, 0, heads as i64, 2 * dim as i64]);
        let both = graph.parts(&both, &[dim, dim], -1);
        let gate = graph.reshaped(&both[1], &[0, 0, (heads * dim) as i64]);
        (graph.transposed(&both[0], &[0, 2, 1, 3]), Some(gate))
    }

    /// Joins what was kept of earlier ids with what is new.
    fn behind_past(&self, parts: &mut Parts, new: &Value, part: &str) -> Value {
        let graph = &mut parts.graph;
        let sizes = |time| {
            let (heads, dim) = (self.sizes.kv_heads, self.sizes.head_dim);
            [Size::Named(BATCH), Size::Fixed(heads), Size::Named(time), Size::Fixed(dim)]
        };
        let (element, layer) = (graph.element(), self.layer);
        let name = format!("past_key_values.{layer}.{part}");
        let past = graph.input(&name, element, &sizes(PAST));
        let all = graph.joined(&[&past, new], 2);
        graph.output(&all, &format!("present.{layer}.{part}"), element, &sizes(TOTAL))
    }

    /// Mixes values `[batch, kv_heads, total, head_dim]` for queries `[batch, heads, time, head_dim]`
    /// into `[batch, time, heads × head_dim]`. The queries that share a key head stand behind each
    /// other as rows of one matrix, which spares copies of keys and values.
    fn mix(&self, parts: &mut Parts, frame: &Frame, queries: &Value, kept: [&Value; 2]) -> Value {
        let Decoder { heads, kv_heads, head_dim, .. } = *self.sizes;
        let graph = &mut parts.graph;
        let scale = graph.number((1.0 / (head_dim as f64).sqrt()) as f32);
        let mut queries = graph.op("Mul", &[queries, &scale]);
        let is_grouped = heads > kv_heads;
        if is_grouped {
            queries = graph.reshaped(&queries, &[0, kv_heads as i64, -1, head_dim as i64]);
        }
        let keys = graph.transposed(kept[0], &[0, 1, 3, 2]);
        let scores = graph.op("MatMul", &[&queries, &keys]);
        let lowest = lowest(graph);
        let scores = graph.op("Where", &[&frame.seen, &scores, &lowest]);
        let shares = graph.node("Softmax", &[&scores], vec![Attribute::int("axis", -1)]);
        let mut mixed = graph.op("MatMul", &[&shares, kept[1]]);
        if is_grouped {
            mixed = graph.reshaped(&mixed, &[0, heads as i64, -1, head_dim as i64]);
        }
        let mixed = graph.transposed(&mixed, &[0, 2, 1, 3]);
        graph.reshaped(&mixed, &[0, 0, (heads * head_dim) as i64])
    }
}
