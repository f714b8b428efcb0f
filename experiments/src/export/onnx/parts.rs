//! What every decoder's layers are made of, as nodes: linear maps in floats and in whole numbers,
//! norms, the embedding and the head. Knows no positions.

use std::collections::HashMap;

use super::graph::{Builder, Numbers, Value};
use super::proto::{Attribute, Element};
use super::weights::{Change, Initialiser, Source};

/// A graph of a model, whose checkpoint has tensors of these shapes.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) graph: Builder,
    shapes: HashMap<String, Vec<usize>>,
    epsilon: f32,
}

/// An input of linear maps, and the same in whole numbers where maps are in those.
struct Input<'a> {
    floats: &'a Value,
    rounded: Option<Vec<Value>>,
}

impl Parts {
    /// An empty graph.
    pub(super) fn new(numbers: Numbers, tensors: Vec<(String, Vec<usize>)>, epsilon: f64) -> Self {
        let shapes = tensors.into_iter().collect();
        Self { graph: Builder::new(numbers), shapes, epsilon: epsilon as f32 }
    }

    /// A tensor of the checkpoint in this type, changed; the name says how.
    pub(super) fn tensor(&mut self, name: &str, element: Element, change: Change) -> Value {
        let shape = &self.shapes[name];
        let (end, dims) = match change {
            Change::None => ("", shape.clone()),
            Change::Transposed => (".transposed", vec![shape[1], shape[0]]),
            Change::PlusOne => (".plus_one", shape.clone()),
            Change::NegativeExponential => (".negative_exponential", shape.clone()),
            Change::Rounded => (".quantized", shape.clone()),
            Change::RoundedTransposed => (".transposed.quantized", vec![shape[1], shape[0]]),
            Change::Scales => (".scale", vec![shape[0]]),
        };
        let source = Source::Checkpoint(name.to_owned(), change);
        self.graph.weight(Initialiser { name: format!("{name}{end}"), element, dims, source })
    }

    /// A linear map, `[…, in]` to `[…, out]`.
    pub(super) fn linear(&mut self, input: &Value, name: &str) -> Value {
        self.linears(input, &[name]).remove(0)
    }

    /// Linear maps of one input, which is rounded once.
    pub(super) fn linears(&mut self, input: &Value, names: &[&str]) -> Vec<Value> {
        let input = self.input(input);
        names.iter().map(|name| self.mapped(&input, name)).collect()
    }

    fn input<'a>(&mut self, floats: &'a Value) -> Input<'a> {
        let whole = self.graph.numbers == Numbers::Int8;
        let rounded =
            whole.then(|| self.graph.several("DynamicQuantizeLinear", &[floats], Vec::new(), 3));
        Input { floats, rounded }
    }

    fn mapped(&mut self, input: &Input<'_>, name: &str) -> Value {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let mapped = if let Some(rounded) = &input.rounded {
            let matrix = self.tensor(&weight, Element::Int8, Change::RoundedTransposed);
            self.product(rounded, &matrix, &weight)
        } else {
            let matrix = self.tensor(&weight, self.graph.element(), Change::Transposed);
            self.graph.op("MatMul", &[input.floats, &matrix])
        };
        if !self.shapes.contains_key(&bias) {
            return mapped;
        }
        let bias = self.tensor(&bias, self.graph.element(), Change::None);
        self.graph.op("Add", &[&mapped, &bias])
    }

    /// A product of whole numbers `[…, in]` and `[in, out]` as floats: what was rounded of the input
    /// comes with its scale and zero point, a column of the matrix has a scale of its own.
    fn product(&mut self, rounded: &[Value], matrix: &Value, weight: &str) -> Value {
        let scales = self.tensor(weight, Element::Float, Change::Scales);
        let [numbers, scale, zero] = rounded else { unreachable!("three outputs were asked for") };
        let sums = self.graph.op("MatMulInteger", &[numbers, matrix, zero]);
        let sums = self.graph.cast(&sums, Element::Float);
        let scales = self.graph.op("Mul", &[scale, &scales]);
        self.graph.op("Mul", &[&sums, &scales])
    }

    /// Root-mean-square normalisation over the last dimension, in 32-bit floats.
    pub(super) fn norm(&mut self, input: &Value, name: &str, change: Change) -> Value {
        let weight = self.tensor(&format!("{name}.weight"), Element::Float, change);
        let (epsilon, graph) = (self.epsilon, &mut self.graph);
        let wide = graph.widened(input);
        let (two, epsilon) = (graph.float(2.0), graph.float(epsilon));
        let square = graph.op("Pow", &[&wide, &two]);
        let mean = graph.node("ReduceMean", &[&square], vec![Attribute::ints("axes", &[-1])]);
        let mean = graph.op("Add", &[&mean, &epsilon]);
        let root = graph.op("Sqrt", &[&mean]);
        let normed = graph.op("Div", &[&wide, &root]);
        let normed = graph.op("Mul", &[&weight, &normed]);
        graph.narrowed(&normed)
    }

    /// The gated feed-forward layer.
    pub(super) fn feed_forward(&mut self, input: &Value, layer: &str) -> Value {
        let names = [format!("{layer}.mlp.gate_proj"), format!("{layer}.mlp.up_proj")];
        let halves = self.linears(input, &[&names[0], &names[1]]);
        let gate = self.graph.silu(&halves[0]);
        let gated = self.graph.op("Mul", &[&gate, &halves[1]]);
        self.linear(&gated, &format!("{layer}.mlp.down_proj"))
    }

    /// Rows of the embedding, `[batch, time]` to `[batch, time, hidden]`.
    pub(super) fn embedded(&mut self, ids: &Value) -> Value {
        let name = "model.embed_tokens.weight";
        if self.graph.numbers != Numbers::Int8 {
            let matrix = self.tensor(name, self.graph.element(), Change::None);
            return self.graph.op("Gather", &[&matrix, ids]);
        }
        let matrix = self.tensor(name, Element::Int8, Change::Rounded);
        let scales = self.tensor(name, Element::Float, Change::Scales);
        let rows = self.graph.op("Gather", &[&matrix, ids]);
        let rows = self.graph.cast(&rows, Element::Float);
        let scales = self.graph.op("Gather", &[&scales, ids]);
        let scales = self.graph.unsqueezed(&scales, &[-1]);
        self.graph.op("Mul", &[&rows, &scales])
    }

    /// Logits in 32-bit floats. A tied head is the embedding, turned as the model is loaded, so that
    /// it is in the file once.
    pub(super) fn head(&mut self, input: &Value, tied: bool) -> Value {
        let logits = if tied { self.tied_head(input) } else { self.linear(input, "lm_head") };
        self.graph.widened(&logits)
    }

    fn tied_head(&mut self, input: &Value) -> Value {
        let name = "model.embed_tokens.weight";
        let input = self.input(input);
        let (element, change) = match input.rounded {
            Some(_) => (Element::Int8, Change::Rounded),
            None => (self.graph.element(), Change::None),
        };
        let matrix = self.tensor(name, element, change);
        let matrix = self.graph.transposed(&matrix, &[1, 0]);
        match &input.rounded {
            Some(rounded) => self.product(rounded, &matrix, name),
            None => self.graph.op("MatMul", &[input.floats, &matrix]),
        }
    }
}
