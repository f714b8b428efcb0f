//! A decoder as a graph of ONNX in the form of `text-generation-with-past`: ids, mask, positions and
//! what was kept of earlier ids come in; logits and what is to be kept go out.

use draft::config::{Decoder, Mixer, Shape};
use draft::rope;

use super::attention::Attention;
use super::delta::Delta;
use super::graph::{Builder, Numbers, Size, Value};
use super::parts::Parts;
use super::proto::Element;
use super::weights::Change;

/// Names of sizes that each run decides.
pub(super) const BATCH: &str = "batch_size";
pub(super) const TIME: &str = "sequence_length";
pub(super) const PAST: &str = "past_sequence_length";
pub(super) const TOTAL: &str = "past_sequence_length + sequence_length";

/// What all layers are told of a run.
#[derive(Debug)]
pub(super) struct Frame {
    /// Cosines and sines of positions, `[batch, 1, time, pairs]`, and how many pairs.
    rotation: (Value, Value, usize),
    /// Whether a query sees a key, `[batch, 1, group × time, total]`: it is not behind the query, not
    /// before its window, and no padding.
    pub(super) seen: Value,
    /// Number of ids before this run's, and with them, one element each.
    pub(super) bounds: [Value; 2],
    /// 1 where an id of this run is no padding, `[batch, time, 1]`.
    pub(super) present: Value,
}

impl Frame {
    /// Turns the leading dimensions of heads `[batch, heads, time, head_dim]`: the second half of
    /// these is the imaginary part of the first.
    pub(super) fn turned(&self, parts: &mut Parts, heads: &Value, head_dim: usize) -> Value {
        let (cosines, sines, pairs) = &self.rotation;
        let (graph, rest) = (&mut parts.graph, head_dim - 2 * pairs);
        let sizes = if rest > 0 { vec![*pairs, *pairs, rest] } else { vec![*pairs, *pairs] };
        let parts = graph.parts(heads, &sizes, -1);
        let (real, imaginary) = (&parts[0], &parts[1]);
        let kept = graph.op("Mul", &[real, cosines]);
        let crossed = graph.op("Mul", &[imaginary, sines]);
        let first = graph.op("Sub", &[&kept, &crossed]);
        let kept = graph.op("Mul", &[imaginary, cosines]);
        let crossed = graph.op("Mul", &[real, sines]);
        let second = graph.op("Add", &[&kept, &crossed]);
        let turned: Vec<&Value> = [&first, &second].into_iter().chain(parts.get(2)).collect();
        graph.joined(&turned, -1)
    }
}

/// What stands for a key that is not seen: finite, so that a row of padding, which sees nothing, has
/// shares all the same.
pub(super) fn lowest(graph: &mut Builder) -> Value {
    let is_half = graph.element() == Element::Half;
    graph.number(if is_half { f32::from(half::f16::MIN) } else { f32::MIN })
}

/// The graph of a model.
pub(super) fn graph(shape: &Shape, numbers: Numbers) -> Builder {
    let sizes = shape.decoder();
    let mut parts = Parts::new(numbers, shape.tensors(), sizes.norm_epsilon);
    let graph = &mut parts.graph;
    "model".clone_into(&mut graph.scope);
    let time = [Size::Named(BATCH), Size::Named(TIME)];
    let ids = graph.input("input_ids", Element::Int64, &time);
    let mask = graph.input("attention_mask", Element::Int64, &[time[0], Size::Named(TOTAL)]);
    let positions = graph.input("position_ids", Element::Int64, &time);
    let frame = frame(graph, shape, [&ids, &mask, &positions]);
    let mut stream = parts.embedded(&ids);
    let centred = matches!(shape, Shape::Qwen35(_));
    let change = if centred { Change::PlusOne } else { Change::None };
    for index in 0..sizes.layers {
        let name = format!("model.layers.{index}");
        parts.graph.scope.clone_from(&name);
        let normed = parts.norm(&stream, &format!("{name}.input_layernorm"), change);
        let mixed = mixed(&mut parts, shape, index, (&frame, &normed));
        parts.graph.scope.clone_from(&name);
        stream = parts.graph.op("Add", &[&stream, &mixed]);
        let normed = parts.norm(&stream, &format!("{name}.post_attention_layernorm"), change);
        let fed = parts.feed_forward(&normed, &name);
        stream = parts.graph.op("Add", &[&stream, &fed]);
    }
    "model".clone_into(&mut parts.graph.scope);
    let normed = parts.norm(&stream, "model.norm", change);
    let logits = parts.head(&normed, sizes.tied);
    let shown = [time[0], time[1], Size::Fixed(sizes.vocab_size)];
    parts.graph.output(&logits, "logits", Element::Float, &shown);
    parts.graph.lead_with_latest();
    parts.graph.prune();
    parts.graph
}

/// A layer's way to mix positions.
fn mixed(parts: &mut Parts, shape: &Shape, layer: usize, seen: (&Frame, &Value)) -> Value {
    let (frame, input) = seen;
    let sizes = shape.decoder();
    match shape {
        Shape::Llama(_) => Attention { sizes, gated: false, layer }.build(parts, frame, input),
        Shape::Qwen35(config) => match config.mixers[layer] {
            Mixer::FullAttention => {
                Attention { sizes, gated: true, layer }.build(parts, frame, input)
            }
            Mixer::LinearAttention => {
                Delta { sizes: &config.delta, layer }.build(parts, frame, input)
            }
        },
    }
}

fn frame(graph: &mut Builder, shape: &Shape, inputs: [&Value; 3]) -> Frame {
    let [ids, mask, positions] = inputs;
    let sizes = shape.decoder();
    let window = match shape {
        Shape::Llama(config) => config.window,
        Shape::Qwen35(_) => None,
    };
    let axis = graph.int(1);
    let length = |graph: &mut Builder, value: &Value| {
        let shape = graph.op("Shape", &[value]);
        graph.op("Gather", &[&shape, &axis])
    };
    let (count, total) = (length(graph, ids), length(graph, mask));
    let past = graph.op("Sub", &[&total, &count]);
    let seen = seen(graph, sizes, window, (&past, &total), mask);
    let bounds = [graph.unsqueezed(&past, &[0]), graph.unsqueezed(&total, &[0])];
    let axes = graph.ints(&[1]);
    let own = graph.op("Slice", &[mask, &bounds[0], &bounds[1], &axes]);
    let own = graph.cast(&own, graph.element());
    let present = graph.unsqueezed(&own, &[-1]);
    Frame { rotation: rotation(graph, shape, positions), seen, bounds, present }
}

fn seen(
    graph: &mut Builder,
    sizes: &Decoder,
    window: Option<usize>,
    (past, total): (&Value, &Value),
    mask: &Value,
) -> Value {
    let (zero, one) = (graph.int(0), graph.int(1));
    let keys = graph.op("Range", &[&zero, total, &one]);
    let queries = graph.op("Range", &[past, total, &one]);
    let queries = graph.unsqueezed(&queries, &[1]);
    let mut seen = graph.op("LessOrEqual", &[&keys, &queries]);
    if let Some(window) = window {
        let width = graph.int(window as i64);
        let before = graph.op("Sub", &[&queries, &width]);
        let near = graph.op("Greater", &[&keys, &before]);
        seen = graph.op("And", &[&seen, &near]);
    }
    let mask = graph.cast(mask, Element::Bool);
    let mask = graph.unsqueezed(&mask, &[1, 2]);
    let seen = graph.op("And", &[&seen, &mask]);
    let group = sizes.heads / sizes.kv_heads;
    if group == 1 {
        return seen;
    }
    let repeats = graph.ints(&[1, 1, group as i64, 1]);
    graph.op("Tile", &[&seen, &repeats])
}

fn rotation(graph: &mut Builder, shape: &Shape, positions: &Value) -> (Value, Value, usize) {
    let (config, dimensions) = shape.rope();
    let frequencies = rope::frequencies(config, dimensions);
    let pairs = frequencies.len();
    let frequencies = graph.floats("model.rotary_emb.inv_freq", &frequencies);
    let positions = graph.cast(positions, Element::Float);
    let positions = graph.unsqueezed(&positions, &[1, 3]);
    let angles = graph.op("Mul", &[&positions, &frequencies]);
    let (cosines, sines) = (graph.op("Cos", &[&angles]), graph.op("Sin", &[&angles]));
    (graph.narrowed(&cosines), graph.narrowed(&sines), pairs)
}
