//! A model on a GPU: weights, caches of several prefixes, and passes over some tokens. Speed: one
//! graph a size, captured when it is first needed and replayed unchanged; tokens and masks arrive in
//! one copy. Knows no text and no laws. Not measured on a GPU yet.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use super::arguments::Arguments;
use super::gpu::{Buffer, Function, Gpu, Graph, Launch, Together, bytes_of};
use super::plan::Plan;
use super::program::{Builder, Maker, Program, options};
use super::{CudaError, Sizes, Tuning, weights};
use crate::checkpoint::Checkpoint;
use crate::config::{ModelConfig, RopeConfig};
use crate::rope::tables;

/// Tokens of a pass, at most.
pub(super) const MOST_TOKENS: usize = 64;

/// Bytes of what a launch is told.
pub(super) const PLAN_BYTES: usize = 1 << 17;

/// A model on a GPU.
pub struct Engine {
    pub(super) gpu: Rc<Gpu>,
    pub(super) sizes: Sizes,
    pub(super) tuning: Tuning,
    pub(super) maker: Maker,
    rope: RopeConfig,
    prefixes: usize,
    pub(super) capacity: usize,
    pub(super) memory: Memory,
    kernels: Kernels,
    /// By the number of tokens and the first whose logits are wanted.
    graphs: HashMap<(usize, usize), Graph>,
}

/// What a model has on the device.
pub(super) struct Memory {
    weights: Buffer,
    cosines: Buffer,
    sines: Buffer,
    pub(super) cache: Buffer,
    pub(super) plan: Buffer,
    stream: Buffer,
    queries: Buffer,
    mixed: Buffer,
    gated: Buffer,
    pub(super) logits: Buffer,
}

/// The kernels of a pass.
struct Kernels {
    embed: Function,
    project: Function,
    attend: Function,
    output: Function,
    gate_up: Function,
    down: Function,
    head: Function,
    keep: Function,
}

impl Engine {
    /// Loads a model folder, with caches for so many prefixes.
    pub fn load(
        gpu: &Rc<Gpu>,
        folder: &Path,
        builder: Builder,
        tuning: Tuning,
        prefixes: usize,
    ) -> Result<Self, CudaError> {
        let failed = |error: crate::error::ModelError| CudaError::Weights(error.to_string());
        let config = ModelConfig::read(folder).map_err(failed)?;
        let sizes = Sizes::new(&config.shape)?;
        let checkpoint = Checkpoint::open(folder, &config.shape.tensors()).map_err(failed)?;
        gpu.enter()?;
        let options = options(&sizes, tuning, gpu.capability);
        let maker = Maker { gpu: Rc::clone(gpu), builder, options };
        let kernels = Kernels::make(&maker)?;
        let capacity = sizes.context.min(tuning.capacity);
        let rope = *config.shape.rope().0;
        let memory = Memory::new(gpu, (&sizes, tuning), (&rope, capacity), prefixes)?;
        memory.fill(gpu, &checkpoint, &sizes)?;
        Ok(Self {
            gpu: Rc::clone(gpu),
            sizes,
            tuning,
            maker,
            rope,
            prefixes,
            capacity,
            memory,
            kernels,
            graphs: HashMap::new(),
        })
    }

    /// Rows of the embedding.
    pub fn rows(&self) -> usize {
        self.sizes.rows
    }

    /// Positions that the model was made for.
    pub fn context(&self) -> usize {
        self.sizes.context
    }

    /// Prefixes that have a cache.
    pub fn prefixes(&self) -> usize {
        self.prefixes
    }

    /// Makes room for so many positions of each prefix.
    pub(super) fn reserve(&mut self, positions: usize) -> Result<(), CudaError> {
        if positions <= self.capacity {
            return Ok(());
        }
        let capacity = positions.next_power_of_two().min(self.sizes.context.max(positions));
        let row = self.sizes.head_dim * self.tuning.cached.bytes();
        let rows = self.prefixes * self.sizes.cached_rows();
        let cache = self.gpu.allocate(rows * capacity * row)?;
        for at in 0..rows {
            let (into, from) = (at * capacity * row, at * self.capacity * row);
            self.gpu.copy((&cache, into), (&self.memory.cache, from), self.capacity * row)?;
        }
        // Graphs name the old memory.
        self.graphs.clear();
        let (cosines, sines) = rope_tables(&self.gpu, &self.sizes, &self.rope, capacity)?;
        (self.memory.cosines, self.memory.sines, self.memory.cache) = (cosines, sines, cache);
        self.capacity = capacity;
        Ok(())
    }

    /// What every kernel is given.
    pub(super) fn arguments(&self, count: usize) -> Arguments {
        let memory = &self.memory;
        Arguments {
            weights: memory.weights.address(),
            cosines: memory.cosines.address(),
            sines: memory.sines.address(),
            cache: memory.cache.address(),
            tokens: memory.plan.address(),
            masks: memory.plan.address() + 32 * count as u64,
            stream: memory.stream.address(),
            queries: memory.queries.address(),
            mixed: memory.mixed.address(),
            gated: memory.gated.address(),
            logits: memory.logits.address(),
            count: count as u32,
            capacity: self.capacity as u32,
            ..Arguments::default()
        }
    }

    /// Reads ids behind the first `past` ones of a prefix, for their keys and values alone.
    pub fn read(&mut self, prefix: usize, past: usize, ids: &[u32]) -> Result<(), CudaError> {
        let mut past = past;
        for piece in ids.chunks(MOST_TOKENS) {
            self.pass(&Plan::chain(prefix, past, piece), piece.len())?;
            past += piece.len();
        }
        Ok(())
    }

    /// Reads the tokens of a plan; the logits behind those from `first` on are left on the device.
    pub(super) fn pass(&mut self, plan: &Plan, first: usize) -> Result<(), CudaError> {
        assert!(!plan.tokens.is_empty() && plan.tokens.len() <= MOST_TOKENS, "a pass's worth");
        self.gpu.enter()?;
        let end = plan.tokens.iter().map(|token| token.end as usize).max().unwrap_or(0);
        self.reserve(end)?;
        self.gpu.upload(&self.memory.plan, bytes_of(&plan.words()))?;
        let (count, key) = (plan.tokens.len(), (plan.tokens.len(), first));
        if !self.graphs.contains_key(&key) {
            let graph = self.gpu.capture(|| self.launch_pass(count, first))?;
            self.graphs.insert(key, graph);
        }
        self.gpu.replay(&self.graphs[&key])
    }

    /// Logits that a pass has left, rows `[count, rows]`.
    pub(super) fn logits(&self, count: usize) -> Result<Vec<f32>, CudaError> {
        self.gpu.download(&self.memory.logits, 0, count * self.sizes.rows)
    }

    fn launch_pass(&self, count: usize, first: usize) -> Result<(), CudaError> {
        let arguments = Arguments { first: first as u32, ..self.arguments(count) };
        let all = self.launch(2 * self.gpu.multiprocessors, 0);
        let items = (count * self.sizes.kv_heads) as u32;
        let attend = self.launch(items, self.sizes.attention_scratch(self.tuning.threads));
        let kernels = &self.kernels;
        self.gpu.launch(kernels.embed, self.launch(count as u32, 0), &arguments)?;
        for layer in 0..self.sizes.layers {
            let arguments = Arguments { layer: layer as u32, ..arguments };
            self.gpu.launch(kernels.project, all, &arguments)?;
            self.gpu.launch(kernels.attend, attend, &arguments)?;
            for kernel in [kernels.output, kernels.gate_up, kernels.down] {
                self.gpu.launch(kernel, all, &arguments)?;
            }
        }
        if first < count {
            self.gpu.launch(kernels.head, all, &arguments)?;
        }
        Ok(())
    }

    /// A launch of blocks that do not wait for each other.
    pub(super) fn launch(&self, blocks: u32, shared_bytes: u32) -> Launch {
        let threads = self.tuning.threads;
        Launch { blocks, threads, shared_bytes, together: Together::Apart }
    }

    /// Moves the slots of a path, behind the first `base` ones of the first prefix, to one another.
    pub(super) fn keep_path(&mut self, base: usize, path: &[usize]) -> Result<(), CudaError> {
        if path.iter().enumerate().all(|(index, &node)| index == node) {
            return Ok(());
        }
        self.gpu.enter()?;
        let nodes: Vec<u32> = path.iter().map(|&node| node as u32).collect();
        self.gpu.upload(&self.memory.plan, bytes_of(&nodes))?;
        let arguments = Arguments {
            path: self.memory.plan.address(),
            base: base as u32,
            ..self.arguments(path.len())
        };
        let launch = self.launch(2 * self.gpu.multiprocessors, 0);
        self.gpu.launch(self.kernels.keep, launch, &arguments)
    }
}

impl Kernels {
    fn make(maker: &Maker) -> Result<Self, CudaError> {
        let names = [
            "pass_embed",
            "pass_project",
            "pass_attend",
            "pass_output",
            "pass_gate_up",
            "pass_down",
            "pass_head",
            "keep_path",
        ];
        let [embed, project, attend, output, gate_up, down, head, keep] =
            maker.functions(Program::Pass, names)?;
        Ok(Self { embed, project, attend, output, gate_up, down, head, keep })
    }
}

impl Memory {
    fn new(
        gpu: &Rc<Gpu>,
        (sizes, tuning): (&Sizes, Tuning),
        (rope, capacity): (&RopeConfig, usize),
        prefixes: usize,
    ) -> Result<Self, CudaError> {
        let row = sizes.head_dim * tuning.cached.bytes();
        let (cosines, sines) = rope_tables(gpu, sizes, rope, capacity)?;
        let floats = |width: usize| gpu.allocate(4 * MOST_TOKENS * width);
        Ok(Self {
            weights: gpu.allocate(2 * sizes.weights())?,
            cosines,
            sines,
            cache: gpu.allocate(prefixes * sizes.cached_rows() * capacity * row)?,
            plan: gpu.allocate(PLAN_BYTES)?,
            stream: floats(sizes.hidden)?,
            queries: floats(sizes.query())?,
            mixed: floats(sizes.query())?,
            gated: floats(sizes.feed)?,
            logits: floats(sizes.rows)?,
        })
    }

    /// Brings the weights to the device, a tensor at a time.
    fn fill(&self, gpu: &Gpu, checkpoint: &Checkpoint, sizes: &Sizes) -> Result<(), CudaError> {
        let mut at = 0;
        weights::parts(checkpoint, sizes, |bytes| {
            gpu.upload_behind(&self.weights, at, bytes)?;
            at += bytes.len();
            Ok(())
        })?;
        assert_eq!(at, 2 * sizes.weights(), "as many weights as there is room for");
        Ok(())
    }
}

/// Cosines and sines `[positions, head_dim / 2]` on the device.
fn rope_tables(
    gpu: &Rc<Gpu>,
    sizes: &Sizes,
    rope: &RopeConfig,
    positions: usize,
) -> Result<(Buffer, Buffer), CudaError> {
    let half = sizes.head_dim / 2;
    let (cosines, sines) = tables(rope, sizes.head_dim, positions);
    let on_device = |table: &tch::Tensor| {
        let failed = |error: tch::TchError| CudaError::Weights(error.to_string());
        let table = table.f_narrow(1, 0, half as i64).and_then(|half| half.f_contiguous());
        let table = table.map_err(failed)?;
        let mut values = vec![0f32; positions * half];
        table.f_copy_data(&mut values, positions * half).map_err(failed)?;
        let buffer = gpu.allocate(4 * values.len())?;
        gpu.upload(&buffer, bytes_of(&values))?;
        Ok::<_, CudaError>(buffer)
    };
    Ok((on_device(&cosines)?, on_device(&sines)?))
}
