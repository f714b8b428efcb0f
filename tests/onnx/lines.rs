//! What a file says beside the numbers of its weights, as `tests/oracle/onnx_runs.py` has it.

use experiments::export::onnx::proto::{Attribute, Graph, Model, ValueInfo};

/// The lines of a file.
pub(crate) fn lines(model: &Model) -> Vec<String> {
    let versions: Vec<String> = model
        .opset_import
        .iter()
        .map(|set| format!("{}{}", set.domain.clone().unwrap_or_default(), set.version.unwrap()))
        .collect();
    let mut lines = vec![format!("versions {} {}", model.ir_version.unwrap(), versions.join(" "))];
    lines.extend(of_graph(model.graph.as_ref().unwrap()));
    lines
}

fn of_graph(graph: &Graph) -> Vec<String> {
    let inputs = graph.input.iter().map(|value| of_value("input", value));
    let outputs = graph.output.iter().map(|value| of_value("output", value));
    let tensors = graph.initializer.iter().map(|tensor| {
        let (name, kind) = (tensor.name.as_ref().unwrap(), tensor.data_type.unwrap());
        format!("tensor {name} {kind} {:?}", tensor.dims)
    });
    let nodes = graph.node.iter().map(|node| {
        let told: Vec<String> = node.attribute.iter().map(of_attribute).collect();
        let (inputs, outputs) = (node.input.join(" "), node.output.join(" "));
        let kind = node.op_type.as_ref().unwrap();
        format!("{kind} {inputs} -> {outputs} {}", told.join(" ")).trim_end().to_owned()
    });
    inputs.chain(outputs).chain(tensors).chain(nodes).collect()
}

fn of_value(kind: &str, value: &ValueInfo) -> String {
    let tensor = value.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
    let dims: Vec<String> = tensor
        .shape
        .as_ref()
        .unwrap()
        .dim
        .iter()
        .map(|dim| dim.dim_param.clone().unwrap_or_else(|| dim.dim_value.unwrap().to_string()))
        .collect();
    let (name, element) = (value.name.as_ref().unwrap(), tensor.elem_type.unwrap());
    format!("{kind} {name} {element} [{}]", dims.join(", "))
}

fn of_attribute(attribute: &Attribute) -> String {
    let name = attribute.name.as_ref().unwrap();
    match (attribute.i, &attribute.g) {
        (Some(value), _) => format!("{name}={value}"),
        (None, Some(graph)) => format!("{name}={{{}}}", of_graph(graph).join("; ")),
        (None, None) => format!("{name}={:?}", attribute.ints),
    }
}
