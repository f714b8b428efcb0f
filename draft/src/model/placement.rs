//! Where the ids of one pass stand, and which positions each of them sees: all before it, a window of
//! them, or in a tree its ancestors. Knows no weights.

use tch::{Device, Kind, Tensor};

use crate::error::ModelError;
use crate::language_model::depths;
use crate::rope::{Rope, Rotation};

/// The ids of one pass behind `past` cached ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    pub(super) past: usize,
    pub(super) count: usize,
    /// The tree that they are the last nodes of; `None` for ids in a row.
    pub(super) tree: Option<Tree<'a>>,
}

/// A tree of ids behind the first `base` cached ones, its nodes cached or being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree<'a> {
    pub(super) base: usize,
    /// Of all its nodes.
    pub(super) parents: &'a [Option<usize>],
}

/// What attention needs to know of the positions of a pass.
#[derive(Debug)]
pub(super) struct Placement {
    /// How queries and keys are turned.
    pub(super) rotation: Rotation,
    /// The first position that any of the ids sees.
    pub(super) first: i64,
    /// Which positions from there on each of them sees.
    pub(super) view: View,
}

/// Which positions each id of a pass sees.
#[derive(Debug)]
pub(super) enum View {
    /// All of them.
    All,
    /// Those up to its own, which are those of the pass.
    Causal,
    /// What is added to attention scores, `[n, positions]`: 0 or minus infinity.
    Masked(Tensor),
}

impl Placement {
    /// Places the ids of a pass. `window`: how many positions back an id sees, itself included.
    pub(super) fn new(
        span: Span<'_>,
        window: Option<usize>,
        rope: &Rope,
        (kind, device): (Kind, Device),
    ) -> Result<Self, ModelError> {
        let (past, count) = (span.past, span.count);
        let least = span.tree.map_or(past, |tree| tree.base);
        let first = window.map_or(0, |window| (least + 1).saturating_sub(window));
        let rotation = match span.tree {
            None => rope.rows(past, count),
            Some(tree) => rope.rows_at(&positions(tree, count)?.f_to_device(device)?),
        };
        let view = match span.tree {
            None if count == 1 => View::All,
            None if past == 0 && window.is_none_or(|window| count <= window) => View::Causal,
            None => {
                let own = Tensor::f_arange_start(past as i64, (past + count) as i64, INDEX)?;
                View::Masked(additive(&visible(&own, first, past + count, window)?, kind, device)?)
            }
            Some(tree) => {
                let own = positions(tree, count)?;
                let cached = visible(&own, first, tree.base, window)?;
                let nodes = ancestors(tree.parents, count, window)?;
                View::Masked(additive(&Tensor::f_cat(&[cached, nodes], 1)?, kind, device)?)
            }
        };
        Ok(Self { rotation, first: first as i64, view })
    }
}

const INDEX: (Kind, Device) = (Kind::Int64, Device::Cpu);

/// Positions of the last `count` nodes of a tree.
fn positions(tree: Tree<'_>, count: usize) -> Result<Tensor, ModelError> {
    let depths = depths(tree.parents);
    let own = depths[depths.len() - count..].iter();
    let places: Vec<i64> = own.map(|depth| (tree.base + depth) as i64).collect();
    Ok(Tensor::f_from_slice(&places)?)
}

/// Which of the positions `first .. end` ids at positions `own` see, `[n, end - first]`.
fn visible(
    own: &Tensor,
    first: usize,
    end: usize,
    window: Option<usize>,
) -> Result<Tensor, ModelError> {
    let own = own.f_unsqueeze(1)?;
    let columns = Tensor::f_arange_start(first as i64, end as i64, INDEX)?.f_unsqueeze(0)?;
    let before = columns.f_le_tensor(&own)?;
    Ok(match window {
        None => before,
        Some(window) => before.f_logical_and(&columns.f_gt_tensor(&(own - window as i64))?)?,
    })
}

/// Which nodes of a tree each of its last `count` nodes sees: itself and its ancestors within the
/// window, `[count, nodes]`.
fn ancestors(
    parents: &[Option<usize>],
    count: usize,
    window: Option<usize>,
) -> Result<Tensor, ModelError> {
    let nodes = parents.len();
    let mut seen = vec![false; count * nodes];
    for (row, node) in (nodes - count..nodes).enumerate() {
        let (mut at, mut left) = (Some(node), window.unwrap_or(nodes));
        while let Some(index) = at.filter(|_| left > 0) {
            seen[row * nodes + index] = true;
            (at, left) = (parents[index], left - 1);
        }
    }
    Ok(Tensor::f_from_slice(&seen)?.f_view([count as i64, nodes as i64])?)
}

fn additive(visible: &Tensor, kind: Kind, device: Device) -> Result<Tensor, ModelError> {
    let visible = visible.f_to_device(device)?;
    let mask = Tensor::f_zeros(visible.size(), (kind, device))?;
    Ok(mask.f_masked_fill(&visible.f_logical_not()?, f64::NEG_INFINITY)?)
}
