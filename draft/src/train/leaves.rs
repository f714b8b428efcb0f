//! What a model in training is made of for one reading: views of the parameters that gradients are
//! computed for, in the types of its maps, and how these gradients come into the one buffer.
//!
//! Rows that lie behind each other in the buffer (queries, keys and values; gate and up) are one view
//! and never copied. Values of 16 bits are views of one rounded copy, which is made once a step.

use std::cell::RefCell;

use tch::{Kind, Tensor};

use super::parameters::Parameters;
use crate::error::ModelError;
use crate::model::Weights;

/// A view that a gradient is computed for.
struct Leaf {
    tensor: Tensor,
    /// Its first element in the buffer.
    first: i64,
    /// The type that its gradient is rounded to.
    kind: Kind,
}

/// The parameters during one reading.
pub(super) struct Leaves<'a> {
    parameters: &'a Parameters,
    made: RefCell<Vec<Leaf>>,
}

/// The gradients of one reading.
pub(super) struct Gathered(Vec<Leaf>);

impl<'a> Leaves<'a> {
    /// Parameters that nothing has been computed of.
    pub(super) fn new(parameters: &'a Parameters) -> Self {
        Self { parameters, made: RefCell::default() }
    }

    /// All views that were asked for, once their gradients are there.
    pub(super) fn finish(self) -> Gathered {
        Gathered(self.made.into_inner())
    }

    fn leaf(&self, first: i64, shape: &[i64], kind: Kind) -> Result<Tensor, ModelError> {
        let all = self.parameters.values(kind)?;
        let count = shape.iter().product::<i64>();
        let tensor = all.f_narrow(0, first, count)?.f_view(shape)?.f_detach()?;
        let tensor = tensor.set_requires_grad(true);
        self.made.borrow_mut().push(Leaf { tensor: tensor.shallow_clone(), first, kind });
        Ok(tensor)
    }
}

impl Weights for Leaves<'_> {
    fn stack(&self, names: &[String], kind: Kind) -> Result<Tensor, ModelError> {
        let places: Vec<(i64, &Tensor)> =
            names.iter().map(|name| self.parameters.place(name)).collect();
        let ends = places.iter().map(|(first, tensor)| first + tensor.numel() as i64);
        let is_row = ends.zip(places.iter().skip(1)).all(|(end, (first, _))| end == *first);
        if is_row && let Some((first, tensor)) = places.first() {
            let mut shape = tensor.size();
            shape[0] = places.iter().map(|(_, tensor)| tensor.size()[0]).sum();
            return self.leaf(*first, &shape, kind);
        }
        let parts = places
            .iter()
            .map(|(first, tensor)| self.leaf(*first, &tensor.size(), kind))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_cat(&parts, 0)?)
    }
}

impl Gathered {
    /// Adds the gradients to those of the whole buffer.
    pub(super) fn add_to(self, gradients: &Tensor) -> Result<(), ModelError> {
        let _guard = tch::no_grad_guard();
        for Leaf { tensor, first, kind } in self.0 {
            let gradient = tensor.f_grad()?;
            if gradient.defined() {
                let mut sum = gradients.f_narrow(0, first, tensor.numel() as i64)?;
                let _ = sum.f_add_(&gradient.f_to_kind(kind)?.f_flatten(0, -1)?)?;
            }
        }
        Ok(())
    }
}
