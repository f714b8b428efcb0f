//! The states of a model's delta nets behind what it has read, and behind some shorter prefixes of it.
//! A state cannot be cut back as a cache can: rolling back takes up a kept state, from which the rest
//! is read again. Knows no weights.

use std::collections::VecDeque;

use tch::{Device, Kind};

use super::delta::{DeltaNet, State, Trace, Windows};
use crate::config::DeltaConfig;

/// Bytes that the states behind single ids may take.
const BUDGET: usize = 256 << 20;

/// States behind single ids: at least and at most.
const FEWEST: usize = 8;
const MOST: usize = 64;

/// States behind long passages, such as a prompt.
const PASSAGES: usize = 8;

/// The states of all delta nets behind the first `length` ids.
#[derive(Clone, Debug)]
struct Snapshot {
    length: usize,
    states: Vec<State>,
}

/// The present states, and those that can be returned to.
#[derive(Debug)]
pub(super) struct Recurrence {
    /// Behind nothing.
    start: Snapshot,
    now: Snapshot,
    kernel: usize,
    limit: usize,
    single: VecDeque<Snapshot>,
    passages: VecDeque<Snapshot>,
    pass: Option<Pass>,
}

/// What the latest pass left behind.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) windows: Windows,
    pub(super) traces: Vec<Trace>,
}

impl Pass {
    fn snapshot(&self, node: usize, length: usize) -> Option<Snapshot> {
        let states: Option<Vec<State>> =
            self.traces.iter().map(|trace| trace.state(&self.windows, node)).collect();
        states.map(|states| Snapshot { length, states })
    }
}

impl Recurrence {
    /// Of a model with so many delta nets of this size; none for a model without.
    pub(super) fn new(nets: usize, sizes: &DeltaConfig, kind: Kind, device: Device) -> Self {
        let states: Vec<State> = (0..nets).map(|_| DeltaNet::empty(sizes, kind, device)).collect();
        let bytes = |state: &State| {
            state.memory.numel() * 4 + state.inputs.numel() * kind.elt_size_in_bytes()
        };
        let size = states.iter().map(bytes).sum::<usize>().max(1);
        let start = Snapshot { length: 0, states };
        Self {
            now: start.clone(),
            start,
            kernel: sizes.kernel,
            limit: (BUDGET / size).clamp(FEWEST, MOST),
            single: VecDeque::new(),
            passages: VecDeque::new(),
            pass: None,
        }
    }

    /// Whether the model has no delta nets.
    pub(super) fn is_empty(&self) -> bool {
        self.start.states.is_empty()
    }

    /// The present state of one delta net.
    pub(super) fn state(&self, slot: usize) -> &State {
        &self.now.states[slot]
    }

    /// What the convolutions see at ids with these parents; nothing where there are none.
    pub(super) fn windows(&self, parents: &[Option<usize>]) -> Windows {
        Windows::new(if self.is_empty() { &[] } else { parents }, self.kernel)
    }

    /// Takes what a pass left behind, until it is known which of its ids stay.
    pub(super) fn hold(&mut self, pass: Pass) {
        self.pass = Some(pass);
    }

    /// Goes on from the last node of `path`, of the pass that began behind `base` ids, and keeps the
    /// states behind the nodes before it.
    pub(super) fn follow(&mut self, base: usize, path: &[usize]) {
        let Some(pass) = self.pass.take() else { return };
        let known: Vec<Snapshot> = path
            .iter()
            .enumerate()
            .filter_map(|(index, &node)| pass.snapshot(node, base + index + 1))
            .collect();
        let Some(last) = known.last() else { return };
        self.now = last.clone();
        let is_passage = known.len() < path.len();
        let (kept, limit) = if is_passage {
            (&mut self.passages, PASSAGES)
        } else {
            (&mut self.single, self.limit)
        };
        kept.extend(known);
        while kept.len() > limit {
            kept.pop_front();
        }
    }

    /// Returns to the longest kept prefix of at most `length` ids, forgets longer ones, and gives
    /// its length.
    pub(super) fn rewind(&mut self, length: usize) -> usize {
        self.pass = None;
        if self.now.length <= length {
            return self.now.length;
        }
        self.single.retain(|snapshot| snapshot.length <= length);
        self.passages.retain(|snapshot| snapshot.length <= length);
        let kept = self.single.iter().chain(&self.passages);
        let longest = kept.max_by_key(|snapshot| snapshot.length).unwrap_or(&self.start);
        self.now = longest.clone();
        self.now.length
    }
}
