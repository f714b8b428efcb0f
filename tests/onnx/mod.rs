//! An ONNX file, read back and run operator by operator with libtorch, by the operators' definitions
//! alone: what a node reads must be there, and of the types that ONNX asks for. Knows no model.

mod lines;
mod operators;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use experiments::export::onnx::MODEL;
use experiments::export::onnx::proto::{Element, Graph, Model, Node, Tensor as Numbers};
use prost::Message;
use tch::{Kind, Tensor};

pub(crate) use lines::lines;

/// Values by name.
pub(crate) type Values = HashMap<String, Tensor>;

/// A file, and its tensors.
pub(crate) struct File {
    pub(crate) model: Model,
    pub(crate) tensors: Values,
}

impl File {
    pub(crate) fn read(folder: &Path) -> Self {
        let model = Model::decode(&*fs::read(folder.join(MODEL)).unwrap()).unwrap();
        let graph = model.graph.as_ref().unwrap();
        let named = |tensor: &Numbers| (tensor.name.clone().unwrap(), numbers(folder, tensor));
        let tensors: Values = graph.initializer.iter().map(named).collect();
        assert_eq!(tensors.len(), graph.initializer.len(), "a tensor has a name of its own");
        Self { model, tensors }
    }

    pub(crate) fn graph(&self) -> &Graph {
        self.model.graph.as_ref().unwrap()
    }

    /// The past before anything was read.
    pub(crate) fn nothing(&self, batch: i64) -> Values {
        let past = |name: &str| name.starts_with("past");
        let inputs = self.graph().input.iter().filter(|input| past(input.name.as_ref().unwrap()));
        inputs
            .map(|input| {
                let tensor = input.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
                let dims = tensor.shape.as_ref().unwrap().dim.iter();
                let size = |name: &str| if name == "batch_size" { batch } else { 0 };
                let dims: Vec<i64> = dims
                    .map(|dim| {
                        dim.dim_value.unwrap_or_else(|| size(dim.dim_param.as_ref().unwrap()))
                    })
                    .collect();
                let kind = kind(tensor.elem_type.unwrap());
                (input.name.clone().unwrap(), Tensor::zeros(dims, (kind, tch::Device::Cpu)))
            })
            .collect()
    }

    /// Logits behind ids `[batch, time]`, and the past with them. The mask is of all ids so far, 1
    /// where an id is no padding.
    pub(crate) fn run(&self, ids: &Tensor, past: &Values, mask: &Tensor) -> (Tensor, Values) {
        let count = ids.size()[1];
        let positions = (mask.cumsum(1, Kind::Int64) - 1).clamp_min(0);
        let positions = positions.narrow(1, mask.size()[1] - count, count);
        let mut values = copy(past);
        values.insert("input_ids".to_owned(), ids.shallow_clone());
        values.insert("attention_mask".to_owned(), mask.shallow_clone());
        values.insert("position_ids".to_owned(), positions);
        let given: HashSet<&String> = values.keys().collect();
        let asked: HashSet<&String> =
            self.graph().input.iter().filter_map(|input| input.name.as_ref()).collect();
        assert_eq!(given, asked);
        values.extend(copy(&self.tensors));
        let mut found = run(self.graph(), values);
        let logits = found.remove("logits").unwrap();
        let past = |name: String| match name.strip_prefix("present.") {
            Some(rest) => format!("past_key_values.{rest}"),
            None => name.replace("present_", "past_"),
        };
        (logits, found.into_iter().map(|(name, value)| (past(name), value)).collect())
    }
}

fn copy(values: &Values) -> Values {
    values.iter().map(|(name, value)| (name.clone(), value.shallow_clone())).collect()
}

/// Runs the nodes in their order, and gives the outputs.
fn run(graph: &Graph, mut values: Values) -> Values {
    for node in &graph.node {
        for (name, made) in node.output.iter().zip(results(node, &values)) {
            let before = values.insert(name.clone(), made);
            assert!(before.is_none(), "{name} is made once");
        }
    }
    let outputs = graph.output.iter().map(|output| output.name.clone().unwrap());
    outputs.map(|name| (name.clone(), values[&name].shallow_clone())).collect()
}

fn results(node: &Node, values: &Values) -> Vec<Tensor> {
    let find = |name: &String| {
        values.get(name).unwrap_or_else(|| panic!("{name} is read before it is there"))
    };
    let inputs: Vec<&Tensor> = node.input.iter().map(find).collect();
    if node.op_type.as_deref() == Some("Scan") {
        return scan(node, &inputs, values);
    }
    let made = operators::apply(node, &inputs);
    assert_eq!(made.len(), node.output.len(), "{:?}", node.name);
    made
}

/// Runs a graph over slices: states go from one to the next, what else it gives is stacked.
fn scan(node: &Node, inputs: &[&Tensor], values: &Values) -> Vec<Tensor> {
    let attributes = operators::Attributes(node);
    let body = attributes.graph();
    let count = attributes.int("num_scan_inputs") as usize;
    let (into, out_of) = (attributes.ints("scan_input_axes"), attributes.ints("scan_output_axes"));
    let states = inputs.len() - count;
    let mut now: Vec<Tensor> = inputs[..states].iter().map(|state| state.shallow_clone()).collect();
    let mut stacks: Vec<Vec<Tensor>> = (states..body.output.len()).map(|_| Vec::new()).collect();
    let name = |value: &experiments::export::onnx::proto::ValueInfo| value.name.clone().unwrap();
    for step in 0..inputs[states].size()[into[0] as usize] {
        let slices = inputs[states..].iter().zip(&into);
        let slices = slices.map(|(input, &axis)| input.select(axis, step));
        let mut inner = copy(values);
        inner.extend(body.input.iter().map(name).zip(now.into_iter().chain(slices)));
        let mut made = run(body, inner);
        let mut outputs = body.output.iter().map(|output| made.remove(&name(output)).unwrap());
        now = outputs.by_ref().take(states).collect();
        stacks.iter_mut().zip(outputs).for_each(|(stack, output)| stack.push(output));
    }
    let stacks = stacks.iter().zip(&out_of).map(|(stack, &axis)| Tensor::stack(stack, axis));
    now.into_iter().chain(stacks).collect()
}

/// The kind of an element type.
pub(crate) fn kind(element: i32) -> Kind {
    let known = [
        (Element::Float, Kind::Float),
        (Element::Uint8, Kind::Uint8),
        (Element::Int8, Kind::Int8),
        (Element::Int32, Kind::Int),
        (Element::Int64, Kind::Int64),
        (Element::Bool, Kind::Bool),
        (Element::Half, Kind::Half),
    ];
    known.iter().find(|(own, _)| *own as i32 == element).unwrap().1
}

/// The numbers of a tensor, wherever they are.
fn numbers(folder: &Path, tensor: &Numbers) -> Tensor {
    let entry = |key: &str| {
        let entries = &tensor.external_data;
        entries
            .iter()
            .find(|entry| entry.key.as_deref() == Some(key))
            .unwrap()
            .value
            .clone()
            .unwrap()
    };
    let bytes = if let Some(bytes) = &tensor.raw_data {
        bytes.clone()
    } else {
        assert_eq!(tensor.data_location, Some(1));
        let all = fs::read(folder.join(entry("location"))).unwrap();
        let number = |key| entry(key).parse::<usize>().unwrap();
        all[number("offset")..][..number("length")].to_vec()
    };
    Tensor::from_data_size(&bytes, &tensor.dims, kind(tensor.data_type.unwrap()))
}
