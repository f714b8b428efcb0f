//! A language model whose law is a table: the logits behind a prefix are pseudo-random numbers that
//! only the last few ids decide, so that the law of whole texts can be enumerated.

use std::collections::HashMap;
use std::rc::Rc;

use draft::language_model::{LanguageModel, Logits, Wanted};
use draft::{Key, ModelError, Purpose, Randomness, Session};

/// How many of the last ids the logits depend on.
const MEMORY: usize = 3;

/// The table of logits, computed when they are first asked for.
#[derive(Clone, Debug)]
pub struct Table {
    rows: usize,
    seed: u64,
    spread: f32,
    known: HashMap<Vec<u32>, Rc<Vec<f32>>>,
}

impl Table {
    pub fn new(rows: usize, seed: u64) -> Self {
        Self { rows, seed, spread: 3.0, known: HashMap::new() }
    }

    /// Logits between −`spread` and `spread`.
    #[must_use]
    pub fn with_spread(mut self, spread: f32) -> Self {
        self.spread = spread;
        self
    }

    /// Logits behind `prefix`.
    pub fn logits(&mut self, prefix: &[u32]) -> Rc<Vec<f32>> {
        let memory = prefix[prefix.len().saturating_sub(MEMORY)..].to_vec();
        let (rows, seed, spread) = (self.rows, self.seed, self.spread);
        let logits = self.known.entry(memory).or_insert_with_key(|memory| {
            let name = memory.iter().fold(1, |name: u64, &id| name * 1_000 + u64::from(id) + 1);
            let randomness = Randomness { seed, prompt: name };
            let logit = |id: usize| {
                let Key(bits) = randomness.key(id, Purpose::Target);
                (Key(bits).uniform() as f32 - 0.5) * 2.0 * spread
            };
            Rc::new((0..rows).map(logit).collect())
        });
        Rc::clone(logits)
    }
}

/// The table as a language model.
#[derive(Debug)]
pub struct ToyModel {
    table: Table,
    ids: Vec<u32>,
    context: usize,
}

impl ToyModel {
    pub fn new(rows: usize, seed: u64) -> Self {
        Self { table: Table::new(rows, seed), ids: Vec::new(), context: 64 }
    }

    /// Logits between −`spread` and `spread`.
    #[must_use]
    pub fn with_spread(mut self, spread: f32) -> Self {
        self.table.spread = spread;
        self
    }

    #[must_use]
    pub fn with_context(mut self, context: usize) -> Self {
        self.context = context;
        self
    }

    pub fn session(self) -> Session {
        Session::new(Box::new(self))
    }
}

impl LanguageModel for ToyModel {
    fn rows(&self) -> usize {
        self.table.rows
    }

    fn context(&self) -> usize {
        self.context
    }

    fn length(&self) -> usize {
        self.ids.len()
    }

    fn extend(&mut self, ids: &[u32], wanted: Wanted) -> Result<Logits, ModelError> {
        let wanted_positions = self.ids.len() + ids.len();
        if wanted_positions > self.context {
            return Err(ModelError::Context { wanted: wanted_positions, context: self.context });
        }
        let mut values = Vec::new();
        for &id in ids {
            self.ids.push(id);
            let row = self.table.logits(&self.ids);
            if wanted == Wanted::Last {
                values.clear();
            }
            values.extend_from_slice(&row);
        }
        Ok(Logits::new(values, self.table.rows))
    }

    fn extend_tree(
        &mut self,
        base: usize,
        ids: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Logits, ModelError> {
        let known = self.ids.len() - base;
        self.ids.extend_from_slice(ids);
        let mut values = Vec::new();
        for node in known..parents.len() {
            let (mut path, mut at) = (Vec::new(), Some(node));
            while let Some(index) = at {
                path.push(self.ids[base + index]);
                at = parents[index];
            }
            path.reverse();
            let prefix = [&self.ids[..base], &path].concat();
            values.extend_from_slice(&self.table.logits(&prefix));
        }
        Ok(Logits::new(values, self.table.rows))
    }

    fn keep_path(&mut self, base: usize, path: &[usize]) {
        let kept: Vec<u32> = path.iter().map(|&node| self.ids[base + node]).collect();
        self.ids.truncate(base);
        self.ids.extend(kept);
    }

    fn truncate(&mut self, length: usize) {
        self.ids.truncate(length);
    }
}
