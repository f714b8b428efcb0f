//! What was measured, as data: the figure of every round, their median and their limits. Measures nothing.

use serde::Serialize;

/// A round of one element type, in seconds.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// Reading the bytes of the weights.
    pub(super) floor: Option<f64>,
    /// A token of plain decoding.
    pub(super) token: f64,
    /// An id of a prompt that is read at once.
    pub(super) prefill: f64,
    /// A pass over a tree, for each number of nodes.
    pub(super) trees: Vec<f64>,
    /// A pass over a row, for each number of ids.
    pub(super) rows: Vec<f64>,
}

/// A figure of several rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The median of the rounds.
    pub median: f64,
    /// The least of them.
    pub low: f64,
    /// The greatest of them.
    pub high: f64,
    /// All of them, in order.
    pub rounds: Vec<f64>,
}

impl Figure {
    /// The figure of at least one round.
    pub fn new(rounds: Vec<f64>) -> Self {
        let fold = |pick: fn(f64, f64) -> f64| rounds.iter().copied().reduce(pick);
        let (low, high) = (fold(f64::min), fold(f64::max));
        let (low, high) = (low.unwrap_or(f64::NAN), high.unwrap_or(f64::NAN));
        Self { median: median(&rounds), low, high, rounds }
    }
}

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (count, half) if count % 2 == 1 => sorted[half],
        (_, half) => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// A pass over several ids at once.
#[derive(Clone, Debug, Serialize)]
pub struct Pass {
    /// Its ids.
    pub ids: usize,
    /// Seconds it takes.
    pub seconds: Figure,
    /// The same as multiple of the pass over one id in the same round.
    pub of_one: Figure,
}

impl Pass {
    /// Passes of all sizes, the first of which has one id.
    fn all(sizes: &[usize], rounds: &[&Vec<f64>]) -> Vec<Self> {
        let pass = |(at, &ids): (usize, &usize)| Self {
            ids,
            seconds: Figure::new(rounds.iter().map(|round| round[at]).collect()),
            of_one: Figure::new(rounds.iter().map(|round| round[at] / round[0]).collect()),
        };
        sizes.iter().enumerate().map(pass).collect()
    }
}

/// A model in one element type.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The element type.
    pub dtype: String,
    /// Bytes of the weights that a pass reads.
    pub weight_bytes: u64,
    /// Seconds that loading took.
    pub load_seconds: f64,
    /// What plain greedy decoding wrote.
    pub ids: Vec<u32>,
    /// Tokens a second of it.
    pub tokens_per_second: Figure,
    /// Seconds in which as many threads read as many bytes; `None` on a GPU.
    pub floor_seconds: Option<Figure>,
    /// The floor as a share of the time of a token: 1 is decoding as fast as memory can be read.
    pub share_of_floor: Option<Figure>,
    /// Ids a second of a prompt that is read at once.
    pub prefill_per_second: Figure,
    /// Passes over siblings of a tree.
    pub trees: Vec<Pass>,
    /// Passes over ids in a row.
    pub rows: Vec<Pass>,
}

impl Measured {
    pub(super) fn new(
        dtype: &str,
        (weight_bytes, load_seconds): (u64, f64),
        nodes: &[usize],
        rounds: &[Round],
    ) -> Self {
        let floor: Option<Vec<f64>> = rounds.iter().map(|round| round.floor).collect();
        let share = floor.as_ref().map(|floor| {
            floor.iter().zip(rounds).map(|(floor, round)| floor / round.token).collect()
        });
        let figure = |of: fn(&Round) -> f64| Figure::new(rounds.iter().map(of).collect());
        let trees: Vec<&Vec<f64>> = rounds.iter().map(|round| &round.trees).collect();
        let rows: Vec<&Vec<f64>> = rounds.iter().map(|round| &round.rows).collect();
        Self {
            dtype: dtype.to_owned(),
            weight_bytes,
            load_seconds,
            ids: Vec::new(),
            tokens_per_second: figure(|round| 1.0 / round.token),
            floor_seconds: floor.map(Figure::new),
            share_of_floor: share.map(Figure::new),
            prefill_per_second: figure(|round| 1.0 / round.prefill),
            trees: Pass::all(nodes, &trees),
            rows: Pass::all(nodes, &rows),
        }
    }
}

/// What `spec speed` found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this program.
    pub version: String,
    /// Its commit, where it lies in a checkout.
    pub git_commit: Option<String>,
    /// How it was called.
    pub command_line: Vec<String>,
    /// When it was done, in UTC.
    pub finished: String,
    /// The model, as typed.
    pub model: String,
    /// What must be said of where it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its parameters.
    pub parameters: u64,
    /// Where it computed.
    pub device: String,
    /// The processor.
    pub processor: String,
    /// CPU threads.
    pub threads: usize,
    /// Seed of the ids.
    pub seed: u64,
    /// Ids that plain decoding went on behind.
    pub prompt: usize,
    /// Tokens of a run of plain decoding.
    pub tokens: usize,
    /// Cached ids that passes stood behind.
    pub prefix: usize,
    /// Ids of a prompt that was read at once.
    pub prefill: usize,
    /// How often all of it was measured.
    pub rounds: usize,
    /// Figures by element type.
    pub dtypes: Vec<Measured>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_compared_with_the_one_of_their_own_round() {
        let rounds = [vec![1.0, 3.0], vec![2.0, 4.0], vec![4.0, 20.0]];
        let passes = Pass::all(&[1, 8], &rounds.iter().collect::<Vec<_>>());
        assert_eq!(passes[0].of_one.rounds, [1.0, 1.0, 1.0]);
        assert_eq!((passes[1].ids, passes[1].seconds.median), (8, 4.0));
        let Figure { median, low, high, .. } = passes[1].of_one;
        assert_eq!((median, low, high), (3.0, 2.0, 5.0));
    }

    #[test]
    fn an_even_number_of_rounds_has_the_mean_of_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
    }
}
