//! A graph as it grows: nodes, constants that are kept once, weights that are read when the file is
//! written. Knows ONNX's operators, no model.

use std::collections::HashSet;

use super::proto::{Attribute, Dimension, Element, Graph, Node, Shape, Type, ValueInfo};
use super::proto::{Tensor, TensorType};
use super::weights::{Initialiser, Source};

/// The name of what an input or a node gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value(String);

/// A size of a shape.
#[derive(Clone, Copy, Debug)]
pub(super) enum Size {
    /// The same in every run.
    Fixed(usize),
    /// Decided by each run.
    Named(&'static str),
}

/// Which numbers a model is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// 32-bit floats.
    Fp32,
    /// Weights and most of what is computed in 16-bit floats.
    Fp16,
    /// Matrices in 8 bits with a scale for each row; their inputs are rounded as the model runs.
    Int8,
}

/// A graph on its way.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) numbers: Numbers,
    /// Where in the model the next nodes belong.
    pub(super) scope: String,
    pub(super) initialisers: Vec<Initialiser>,
    constants: HashSet<String>,
    nodes: Vec<Node>,
    inputs: Vec<ValueInfo>,
    outputs: Vec<ValueInfo>,
    made: usize,
}

impl Builder {
    /// An empty graph.
    pub(super) fn new(numbers: Numbers) -> Self {
        Self {
            numbers,
            scope: String::new(),
            initialisers: Vec::new(),
            constants: HashSet::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            made: 0,
        }
    }

    /// The type of what layers hand on.
    pub(super) fn element(&self) -> Element {
        if self.numbers == Numbers::Fp16 { Element::Half } else { Element::Float }
    }

    /// Puts the latest output before the others.
    pub(super) fn lead_with_latest(&mut self) {
        self.outputs.rotate_right(1);
    }

    /// Drops nodes that nothing reads, and then the tensors.
    pub(super) fn prune(&mut self) {
        let outputs = self.outputs.iter().filter_map(|output| output.name.clone());
        let mut wanted: HashSet<String> = outputs.collect();
        for node in std::mem::take(&mut self.nodes).into_iter().rev() {
            if node.output.iter().any(|output| wanted.contains(output)) {
                let inner = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
                let inner = inner.flat_map(|graph| &graph.node).flat_map(|node| &node.input);
                wanted.extend(node.input.iter().chain(inner).cloned());
                self.nodes.push(node);
            }
        }
        self.nodes.reverse();
        self.initialisers.retain(|tensor| wanted.contains(&tensor.name));
    }

    /// Its message, with these tensors.
    pub(super) fn finish(self, name: &str, initializer: Vec<Tensor>) -> Graph {
        let Self { nodes: node, inputs: input, outputs: output, .. } = self;
        Graph { node, name: Some(name.to_owned()), initializer, input, output }
    }

    /// Runs `body` on a graph of its own, whose nodes may read what is in this one.
    pub(super) fn inner(&mut self, name: &str, body: impl FnOnce(&mut Self)) -> Graph {
        let outer = (
            std::mem::take(&mut self.nodes),
            std::mem::take(&mut self.inputs),
            std::mem::take(&mut self.outputs),
        );
        body(self);
        Graph {
            node: std::mem::replace(&mut self.nodes, outer.0),
            name: Some(name.to_owned()),
            initializer: Vec::new(),
            input: std::mem::replace(&mut self.inputs, outer.1),
            output: std::mem::replace(&mut self.outputs, outer.2),
        }
    }

    /// Declares an input.
    pub(super) fn input(&mut self, name: &str, element: Element, sizes: &[Size]) -> Value {
        self.inputs.push(info(name, element, sizes));
        Value(name.to_owned())
    }

    /// Gives what a node made as an output of this name, under which others read it from now on.
    pub(super) fn output(
        &mut self,
        value: &Value,
        name: &str,
        element: Element,
        sizes: &[Size],
    ) -> Value {
        self.outputs.push(info(name, element, sizes));
        for node in &mut self.nodes {
            for own in node.input.iter_mut().chain(&mut node.output) {
                if *own == value.0 {
                    name.clone_into(own);
                }
            }
        }
        Value(name.to_owned())
    }

    /// A tensor of the checkpoint, or made of one.
    pub(super) fn weight(&mut self, initialiser: Initialiser) -> Value {
        let name = initialiser.name.clone();
        if self.constants.insert(name.clone()) {
            self.initialisers.push(initialiser);
        }
        Value(name)
    }

    fn constant(
        &mut self,
        name: String,
        element: Element,
        dims: Vec<usize>,
        bytes: Vec<u8>,
    ) -> Value {
        self.weight(Initialiser { name, element, dims, source: Source::Bytes(bytes) })
    }

    /// A list of whole numbers: a shape, axes.
    pub(super) fn ints(&mut self, values: &[i64]) -> Value {
        let words: Vec<String> = values.iter().map(i64::to_string).collect();
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = format!("constant.ints.{}", words.join("_"));
        self.constant(name, Element::Int64, vec![values.len()], bytes)
    }

    /// A whole number.
    pub(super) fn int(&mut self, value: i64) -> Value {
        let bytes = value.to_le_bytes().to_vec();
        self.constant(format!("constant.int.{value}"), Element::Int64, Vec::new(), bytes)
    }

    /// A 32-bit float.
    pub(super) fn float(&mut self, value: f32) -> Value {
        let bytes = value.to_le_bytes().to_vec();
        self.constant(format!("constant.float.{value:e}"), Element::Float, Vec::new(), bytes)
    }

    /// A number of the type that layers hand on.
    pub(super) fn number(&mut self, value: f32) -> Value {
        if self.element() == Element::Float {
            return self.float(value);
        }
        let bytes = half::f16::from_f32(value).to_le_bytes().to_vec();
        self.constant(format!("constant.half.{value:e}"), Element::Half, Vec::new(), bytes)
    }

    /// A list of 32-bit floats.
    pub(super) fn floats(&mut self, name: &str, values: &[f32]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name.to_owned(), Element::Float, vec![values.len()], bytes)
    }

    fn push(
        &mut self,
        kind: &str,
        inputs: &[&Value],
        attribute: Vec<Attribute>,
        output: Vec<String>,
    ) {
        self.made += 1;
        let name = format!("{}/{kind}_{}", self.scope, self.made);
        self.nodes.push(Node {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output,
            name: Some(name),
            op_type: Some(kind.to_owned()),
            attribute,
        });
    }

    /// A node with several outputs.
    pub(super) fn several(
        &mut self,
        kind: &str,
        inputs: &[&Value],
        attributes: Vec<Attribute>,
        count: usize,
    ) -> Vec<Value> {
        let stem = format!("{}/{kind}_{}", self.scope, self.made + 1);
        let names: Vec<String> = (0..count).map(|index| format!("{stem}:{index}")).collect();
        self.push(kind, inputs, attributes, names.clone());
        names.into_iter().map(Value).collect()
    }

    /// A node with attributes.
    pub(super) fn node(
        &mut self,
        kind: &str,
        inputs: &[&Value],
        attributes: Vec<Attribute>,
    ) -> Value {
        let name = format!("{}/{kind}_{}:0", self.scope, self.made + 1);
        self.push(kind, inputs, attributes, vec![name.clone()]);
        Value(name)
    }

    /// A node without.
    pub(super) fn op(&mut self, kind: &str, inputs: &[&Value]) -> Value {
        self.node(kind, inputs, Vec::new())
    }

    /// The value in another type.
    pub(super) fn cast(&mut self, value: &Value, element: Element) -> Value {
        self.node("Cast", &[value], vec![Attribute::int("to", element as i64)])
    }

    /// In 32-bit floats, of what layers hand on.
    pub(super) fn widened(&mut self, value: &Value) -> Value {
        if self.element() == Element::Float {
            return value.clone();
        }
        self.cast(value, Element::Float)
    }

    /// In the type that layers hand on, of 32-bit floats.
    pub(super) fn narrowed(&mut self, value: &Value) -> Value {
        if self.element() == Element::Float {
            return value.clone();
        }
        self.cast(value, self.element())
    }

    /// Dimensions in another order.
    pub(super) fn transposed(&mut self, value: &Value, order: &[i64]) -> Value {
        self.node("Transpose", &[value], vec![Attribute::ints("perm", order)])
    }

    /// Another shape; 0 keeps the size at that place, -1 takes the rest.
    pub(super) fn reshaped(&mut self, value: &Value, shape: &[i64]) -> Value {
        let shape = self.ints(shape);
        self.op("Reshape", &[value, &shape])
    }

    /// With new dimensions of size 1 at these places.
    pub(super) fn unsqueezed(&mut self, value: &Value, axes: &[i64]) -> Value {
        let axes = self.ints(axes);
        self.op("Unsqueeze", &[value, &axes])
    }

    /// Values side by side along a dimension.
    pub(super) fn joined(&mut self, values: &[&Value], axis: i64) -> Value {
        self.node("Concat", values, vec![Attribute::int("axis", axis)])
    }

    /// Parts of these sizes along a dimension.
    pub(super) fn parts(&mut self, value: &Value, sizes: &[usize], axis: i64) -> Vec<Value> {
        let lengths: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
        let lengths = self.ints(&lengths);
        let axis = vec![Attribute::int("axis", axis)];
        self.several("Split", &[value, &lengths], axis, sizes.len())
    }

    /// `x · sigmoid(x)`.
    pub(super) fn silu(&mut self, value: &Value) -> Value {
        let gate = self.op("Sigmoid", &[value]);
        self.op("Mul", &[value, &gate])
    }
}

fn info(name: &str, element: Element, sizes: &[Size]) -> ValueInfo {
    let dimension = |size: &Size| match *size {
        Size::Fixed(size) => Dimension { dim_value: Some(size as i64), dim_param: None },
        Size::Named(name) => Dimension { dim_value: None, dim_param: Some(name.to_owned()) },
    };
    let shape = Shape { dim: sizes.iter().map(dimension).collect() };
    let tensor = TensorType { elem_type: Some(element as i32), shape: Some(shape) };
    ValueInfo { name: Some(name.to_owned()), r#type: Some(Type { tensor_type: Some(tensor) }) }
}
