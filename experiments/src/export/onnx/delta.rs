//! Qwen3.5's gated delta net as nodes: the short convolution with its last inputs kept, and the delta
//! rule id by id in a `Scan` over a memory that is kept.

use draft::config::DeltaConfig;

use super::decoder::{BATCH, Frame};
use super::graph::{Builder, Size, Value};
use super::parts::Parts;
use super::proto::{Attribute, Element, Graph};
use super::weights::Change;

/// Added to a squared length before its root is taken.
const EPSILON: f32 = 1e-6;

/// The delta net of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delta<'a> {
    pub(super) sizes: &'a DeltaConfig,
    pub(super) layer: usize,
}

impl Delta<'_> {
    fn name(&self, part: &str) -> String {
        format!("model.layers.{}.linear_attn.{part}", self.layer)
    }

    /// Maps `[batch, time, hidden]` to the same, and gives its states as outputs.
    pub(super) fn build(&self, parts: &mut Parts, frame: &Frame, input: &Value) -> Value {
        let sizes = self.sizes;
        parts.graph.scope = format!("model.layers.{}.linear_attn", self.layer);
        // What is padding writes nothing.
        let input = parts.graph.op("Mul", &[input, &frame.present]);
        let maps = ["in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a"].map(|map| self.name(map));
        let mapped = parts.linears(&input, &maps.each_ref().map(String::as_str));
        let convolved = self.convolve(parts, frame, &mapped[0]);
        let mixed = self.mix(parts, &convolved, &mapped[2], &mapped[3]);
        let graph = &mut parts.graph;
        let heads = [0, 0, sizes.value_heads as i64, sizes.value_dim as i64];
        let gate = graph.widened(&mapped[1]);
        let gate = graph.reshaped(&gate, &heads);
        let gate = graph.silu(&gate);
        let mixed = graph.narrowed(&mixed);
        let normed = parts.norm(&mixed, &self.name("norm"), Change::None);
        let graph = &mut parts.graph;
        let normed = graph.widened(&normed);
        let gated = graph.op("Mul", &[&normed, &gate]);
        let gated = graph.narrowed(&gated);
        let gated = graph.reshaped(&gated, &[0, 0, sizes.value_width() as i64]);
        parts.linear(&gated, &self.name("out_proj"))
    }

    /// The convolution, a filter for each channel, `[batch, time, channels]`.
    fn convolve(&self, parts: &mut Parts, frame: &Frame, mapped: &Value) -> Value {
        let (channels, kept) = (self.sizes.channels(), self.sizes.kernel - 1);
        let filters =
            parts.tensor(&self.name("conv1d.weight"), parts.graph.element(), Change::None);
        let (graph, layer) = (&mut parts.graph, self.layer);
        let element = graph.element();
        let shape = [Size::Named(BATCH), Size::Fixed(channels), Size::Fixed(kept)];
        let past = graph.input(&format!("past_conv.{layer}"), element, &shape);
        let new = graph.transposed(mapped, &[0, 2, 1]);
        let all = graph.joined(&[&past, &new], 2);
        let (axes, end) = (graph.ints(&[2]), graph.ints(&[i64::MAX]));
        let count = graph.op("Sub", &[&frame.bounds[1], &frame.bounds[0]]);
        let last = graph.op("Slice", &[&all, &count, &end, &axes]);
        graph.output(&last, &format!("present_conv.{layer}"), element, &shape);
        let group = vec![Attribute::int("group", channels as i64)];
        let convolved = graph.node("Conv", &[&all, &filters], group);
        let active = graph.silu(&convolved);
        graph.transposed(&active, &[0, 2, 1])
    }

    /// Queries, keys and values `[batch, value_heads, time, …]` in 32-bit floats.
    fn flow(&self, graph: &mut Builder, convolved: &Value) -> [Value; 3] {
        let sizes = self.sizes;
        let wide = graph.widened(convolved);
        let widths = [sizes.key_width(), sizes.key_width(), sizes.value_width()];
        let parts = graph.parts(&wide, &widths, -1);
        let heads = |graph: &mut Builder, part: &Value, heads: usize, dim: usize| {
            let split = graph.reshaped(part, &[0, 0, heads as i64, dim as i64]);
            graph.transposed(&split, &[0, 2, 1, 3])
        };
        let unit = |graph: &mut Builder, part: &Value| {
            let part = heads(graph, part, sizes.key_heads, sizes.key_dim);
            let (epsilon, axes) = (graph.float(EPSILON), graph.ints(&[-1]));
            let square = graph.op("Mul", &[&part, &part]);
            let sum = graph.op("ReduceSum", &[&square, &axes]);
            let sum = graph.op("Add", &[&sum, &epsilon]);
            let length = graph.op("Sqrt", &[&sum]);
            let unit = graph.op("Div", &[&part, &length]);
            self.repeated(graph, &unit)
        };
        let scale = graph.float((1.0 / (sizes.key_dim as f64).sqrt()) as f32);
        let queries = unit(graph, &parts[0]);
        let queries = graph.op("Mul", &[&queries, &scale]);
        let keys = unit(graph, &parts[1]);
        let values = heads(graph, &parts[2], sizes.value_heads, sizes.value_dim);
        [queries, keys, values]
    }

    /// Each key head as often as value heads share it.
    fn repeated(&self, graph: &mut Builder, heads: &Value) -> Value {
        let (all, dim) = (self.sizes.value_heads as i64, self.sizes.key_dim as i64);
        let repeats = all / self.sizes.key_heads as i64;
        if repeats == 1 {
            return heads.clone();
        }
        let apart = graph.unsqueezed(heads, &[2]);
        let repeats = graph.ints(&[1, 1, repeats, 1, 1]);
        let tiled = graph.op("Tile", &[&apart, &repeats]);
        graph.reshaped(&tiled, &[0, all, -1, dim])
    }

    /// The delta rule, `[batch, time, value_heads, value_dim]` in 32-bit floats.
    fn mix(&self, parts: &mut Parts, convolved: &Value, rate: &Value, forget: &Value) -> Value {
        let scale = parts.tensor(&self.name("A_log"), Element::Float, Change::NegativeExponential);
        let bias = parts.tensor(&self.name("dt_bias"), Element::Float, Change::None);
        let (graph, sizes) = (&mut parts.graph, self.sizes);
        let [queries, keys, values] = self.flow(graph, convolved);
        let rate = graph.widened(rate);
        let rate = graph.op("Sigmoid", &[&rate]);
        let forget = graph.widened(forget);
        let forget = graph.op("Add", &[&forget, &bias]);
        let forget = graph.op("Softplus", &[&forget]);
        let forget = graph.op("Mul", &[&forget, &scale]);
        let keep = graph.op("Exp", &[&forget]);
        let shape = [
            Size::Named(BATCH),
            Size::Fixed(sizes.value_heads),
            Size::Fixed(sizes.key_dim),
            Size::Fixed(sizes.value_dim),
        ];
        let past = graph.input(&format!("past_recurrent.{}", self.layer), Element::Float, &shape);
        let body = self.body(graph, &shape);
        let attributes = vec![
            Attribute::graph("body", body),
            Attribute::int("num_scan_inputs", 5),
            Attribute::ints("scan_input_axes", &[2, 2, 2, 1, 1]),
            Attribute::ints("scan_output_axes", &[1]),
        ];
        let inputs = [&past, &queries, &keys, &values, &rate, &keep];
        let made = graph.several("Scan", &inputs, attributes, 2);
        let name = format!("present_recurrent.{}", self.layer);
        graph.output(&made[0], &name, Element::Float, &shape);
        made[1].clone()
    }

    /// The delta rule for one id: the memory forgets, is corrected where the key reads, and is read.
    fn body(&self, graph: &mut Builder, memory: &[Size; 4]) -> Graph {
        let (sizes, scope) = (self.sizes, graph.scope.clone());
        let (last, third, fourth) = (graph.ints(&[2, 3]), graph.ints(&[2]), graph.ints(&[3]));
        let heads = [Size::Named(BATCH), Size::Fixed(sizes.value_heads)];
        let (keys, values) = (Size::Fixed(sizes.key_dim), Size::Fixed(sizes.value_dim));
        graph.inner(&format!("{scope}/delta_rule"), |graph| {
            let float = Element::Float;
            let named = |part: &str| format!("{scope}/{part}");
            let past = graph.input(&named("memory"), float, memory);
            let query = graph.input(&named("query"), float, &[heads[0], heads[1], keys]);
            let key = graph.input(&named("key"), float, &[heads[0], heads[1], keys]);
            let value = graph.input(&named("value"), float, &[heads[0], heads[1], values]);
            let rate = graph.input(&named("rate"), float, &heads);
            let keep = graph.input(&named("keep"), float, &heads);
            let keep = graph.op("Unsqueeze", &[&keep, &last]);
            let kept = graph.op("Mul", &[&past, &keep]);
            let row = graph.op("Unsqueeze", &[&key, &third]);
            let column = graph.op("Unsqueeze", &[&key, &fourth]);
            let read = graph.op("MatMul", &[&row, &kept]);
            let value = graph.op("Unsqueeze", &[&value, &third]);
            let new = graph.op("Sub", &[&value, &read]);
            let rate = graph.op("Unsqueeze", &[&rate, &last]);
            let new = graph.op("Mul", &[&new, &rate]);
            let written = graph.op("Mul", &[&column, &new]);
            let now = graph.op("Add", &[&kept, &written]);
            let query = graph.op("Unsqueeze", &[&query, &third]);
            let output = graph.op("MatMul", &[&query, &now]);
            let output = graph.op("Squeeze", &[&output, &third]);
            graph.output(&now, &named("next_memory"), float, memory);
            graph.output(&output, &named("output"), float, &[heads[0], heads[1], values]);
        })
    }
}
