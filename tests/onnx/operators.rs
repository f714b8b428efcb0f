//! The operators, by their definitions in ONNX's version 17, as far as exported graphs use them.

use experiments::export::onnx::proto::{Attribute, Graph, Node};
use tch::{Kind, Scalar, Tensor};

/// What a node is told beside its inputs.
pub(super) struct Attributes<'a>(pub(super) &'a Node);

impl<'a> Attributes<'a> {
    fn find(&self, name: &str) -> &'a Attribute {
        let mut all = self.0.attribute.iter();
        let found = all.find(|attribute| attribute.name.as_deref() == Some(name));
        found.unwrap_or_else(|| panic!("{:?} has no {name}", self.0.name))
    }

    pub(super) fn int(&self, name: &str) -> i64 {
        self.find(name).i.unwrap()
    }

    pub(super) fn ints(&self, name: &str) -> Vec<i64> {
        self.find(name).ints.clone()
    }

    pub(super) fn graph(&self) -> &'a Graph {
        self.find("body").g.as_ref().unwrap()
    }
}

/// What a node makes of its inputs.
pub(super) fn apply(node: &Node, inputs: &[&Tensor]) -> Vec<Tensor> {
    let attributes = Attributes(node);
    let operator = node.op_type.as_deref().unwrap();
    let made = match (operator, inputs) {
        ("Split", [value, sizes]) => {
            return value.split_with_sizes(&whole(sizes)[..], attributes.int("axis"));
        }
        ("DynamicQuantizeLinear", [value]) => return rounded(value),
        ("MatMulInteger", [left, right, zero]) => product(left, right, zero),
        ("Conv", [value, filters]) => {
            let none: Option<&Tensor> = None;
            let (one, group) = (1, attributes.int("group"));
            value.conv1d(filters, none, one, 0, one, group)
        }
        ("Concat", _) => Tensor::cat(inputs, attributes.int("axis")),
        ("Where", [condition, left, right]) => {
            assert_eq!(left.kind(), right.kind());
            left.where_self(condition, right)
        }
        ("Slice", [value, starts, ends, axes]) => sliced(value, [starts, ends, axes]),
        ("Range", [first, end, step]) => {
            let [first, end, step] = [first, end, step].map(|value| value.int64_value(&[]));
            Tensor::arange_start_step(first, end, step, (Kind::Int64, tch::Device::Cpu))
        }
        (_, [value]) => unary(operator, value, &attributes),
        (_, [left, right]) => binary(operator, left, right, &attributes),
        _ => panic!("no operator {operator} of {} inputs", inputs.len()),
    };
    vec![made]
}

fn unary(operator: &str, value: &Tensor, attributes: &Attributes<'_>) -> Tensor {
    match operator {
        "Sqrt" => value.sqrt(),
        "Sigmoid" => value.sigmoid(),
        "Softplus" => value.softplus(),
        "Exp" => value.exp(),
        "Cos" => value.cos(),
        "Sin" => value.sin(),
        "Softmax" => value.softmax(attributes.int("axis"), value.kind()),
        "Cast" => value.to_kind(super::kind(attributes.int("to") as i32)),
        "Transpose" => value.permute(&attributes.ints("perm")[..]),
        "Shape" => Tensor::from_slice(&value.size()),
        "ReduceMean" => value.mean_dim(&attributes.ints("axes")[..], true, value.kind()),
        _ => panic!("no operator {operator} of one input"),
    }
}

fn binary(operator: &str, left: &Tensor, right: &Tensor, attributes: &Attributes<'_>) -> Tensor {
    let same = || assert_eq!(left.kind(), right.kind(), "{:?}", attributes.0.name);
    match operator {
        "Reshape" => reshaped(left, &whole(right)),
        "Unsqueeze" => whole(right).iter().fold(left.shallow_clone(), |value, &axis| {
            // Axes are those of the result.
            assert!(axis >= 0 || whole(right).len() == 1);
            value.unsqueeze(axis)
        }),
        "Squeeze" => left.squeeze_dim(whole(right)[0]),
        "Tile" => left.repeat(&whole(right)[..]),
        "ReduceSum" => left.sum_dim_intlist(&whole(right)[..], true, left.kind()),
        "Gather" => gathered(left, right, attributes),
        _ => {
            same();
            match operator {
                "MatMul" => left.matmul(right),
                "Add" => left + right,
                "Sub" => left - right,
                "Mul" => left * right,
                "Div" => left / right,
                "Pow" => left.pow(right),
                "And" => left.logical_and(right),
                "LessOrEqual" => left.le_tensor(right),
                "Greater" => left.gt_tensor(right),
                _ => panic!("no operator {operator} of two inputs"),
            }
        }
    }
}

fn whole(list: &Tensor) -> Vec<i64> {
    Vec::try_from(list).unwrap()
}

/// 0 keeps the size at that place, -1 takes the rest.
fn reshaped(value: &Tensor, shape: &[i64]) -> Tensor {
    let sizes = value.size();
    let kept = shape.iter().enumerate();
    let shape: Vec<i64> =
        kept.map(|(place, &size)| if size == 0 { sizes[place] } else { size }).collect();
    value.reshape(shape)
}

/// Rows of the first dimension.
fn gathered(value: &Tensor, places: &Tensor, attributes: &Attributes<'_>) -> Tensor {
    assert!(attributes.0.attribute.is_empty(), "the axis is the first");
    let shape = [&places.size()[..], &value.size()[1..]].concat();
    value.index_select(0, &places.reshape([-1])).reshape(shape)
}

fn sliced(value: &Tensor, [starts, ends, axes]: [&Tensor; 3]) -> Tensor {
    let places = whole(starts).into_iter().zip(whole(ends)).zip(whole(axes));
    places.fold(value.shallow_clone(), |value, ((start, end), axis)| {
        let size = value.size()[axis as usize];
        assert!(start >= 0 && end >= 0);
        let (start, end) = (start.min(size), end.min(size));
        value.narrow(axis, start, (end - start).max(0))
    })
}

/// Whole numbers from 0 to 255 between the smallest and largest value, both no further than 0.
fn rounded(value: &Tensor) -> Vec<Tensor> {
    let lowest = value.min().clamp_max(0.0);
    let scale = (value.max().clamp_min(0.0) - &lowest) / 255.0;
    let zero = (-lowest / &scale).clamp(0.0, 255.0).round();
    let numbers = ((value / &scale).round() + &zero).clamp(Scalar::from(0.0), Scalar::from(255.0));
    vec![numbers.to_kind(Kind::Uint8), scale, zero.to_kind(Kind::Uint8)]
}

/// The product of whole numbers, exact in 64-bit floats.
fn product(left: &Tensor, right: &Tensor, zero: &Tensor) -> Tensor {
    assert_eq!([left.kind(), right.kind(), zero.kind()], [Kind::Uint8, Kind::Int8, Kind::Uint8]);
    let left = left.to_kind(Kind::Double) - zero.to_kind(Kind::Double);
    left.matmul(&right.to_kind(Kind::Double)).to_kind(Kind::Int)
}
