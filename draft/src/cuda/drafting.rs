//! Drafting on the device: some ids of each prefix are given, and the next ones are drawn, each from
//! the law behind those before it, without coming back to the host. Speed: one launch for all steps,
//! as a graph, as a kernel that fills the GPU, or as kernels of one cluster each; keys of the draws
//! are made here, so that the device draws what [`Law::draw`](crate::Law::draw) draws from the same
//! logits. Those stay on the device until they are asked for. Not measured on a GPU yet.

use std::collections::HashMap;

use super::CudaError;
use super::arguments::{Arguments, NONE};
use super::engine::Engine;
use super::gpu::{Buffer, Function, Graph, Launch, Together, bytes_of};
use super::prefix::{MOST_PREFIXES, Prefix, check, plan};
use super::program::Program;

/// How the steps follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// Kernel by kernel, in a graph.
    Graph,
    /// One kernel on all multiprocessors, with barriers.
    Grid,
    /// One kernel, a cluster of multiprocessors for some of the prefixes each.
    Cluster,
}

impl Loop {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Graph, Self::Grid, Self::Cluster];

    /// The name that users type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Grid => "persistent",
            Self::Cluster => "cluster",
        }
    }
}

/// Which ids may be drawn, and under which names: the names decide which random number is whose.
#[derive(Clone, Copy, Debug)]
pub struct Drawing<'a> {
    /// The temperature; 0 for the most probable id always.
    pub temperature: f64,
    /// A name for each id, `None` for one that may not be drawn; all ids by their own where absent.
    pub names: Option<&'a [Option<u32>]>,
}

/// A model that drafts.
pub struct Drafter {
    engine: Engine,
    memory: Memory,
    /// Compiled when they are first needed.
    kernels: Option<Kernels>,
    graphs: HashMap<Shape, Graph>,
    names: Vec<u32>,
    /// Of the last launch.
    shape: Option<Shape>,
}

struct Memory {
    logits: Buffer,
    best: Buffer,
    chosen: Buffer,
    names: Buffer,
    counters: Buffer,
}

#[derive(Clone, Copy)]
pub(super) struct Kernels {
    grid: Function,
    cluster: Option<Function>,
    attend: Function,
    head: Function,
    next: Function,
    output: Function,
    gate_up: Function,
    down: Function,
}

/// What decides a launch beside the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    prefixes: usize,
    steps: usize,
    first_draw: usize,
    /// The bits of 1 / temperature.
    scale: u64,
    /// Of the caches: with another one they lie elsewhere.
    capacity: usize,
}

impl Drafter {
    /// A drafter over a model.
    pub fn new(engine: Engine) -> Result<Self, CudaError> {
        let rows = engine.sizes.rows;
        let blocks = engine.gpu.multiprocessors.max(engine.tuning.cluster) as usize;
        let warps = engine.tuning.threads as usize / 32;
        let parts = blocks * warps.max(MOST_PREFIXES) * MOST_PREFIXES;
        let gpu = &engine.gpu;
        let memory = Memory {
            logits: gpu.allocate(4 * rows)?,
            best: gpu.allocate(16 * parts)?,
            chosen: gpu.allocate(4)?,
            names: gpu.allocate(4 * rows)?,
            counters: gpu.allocate(16)?,
        };
        Ok(Self {
            engine,
            memory,
            kernels: None,
            graphs: HashMap::new(),
            names: Vec::new(),
            shape: None,
        })
    }

    /// The model, to look at.
    pub fn model(&self) -> &Engine {
        &self.engine
    }

    /// The model.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Reads the ids given of each prefix and draws `count` more of each; gives them. The caches hold
    /// all of them but the last afterwards.
    pub fn draft(
        &mut self,
        prefixes: &[Prefix],
        count: usize,
        drawing: Drawing<'_>,
        how: Loop,
    ) -> Result<Vec<Vec<u32>>, CudaError> {
        self.start(prefixes, count, drawing, how)?;
        let Some(shape) = self.shape else { return Ok(Vec::new()) };
        let chosen: Vec<u32> =
            self.engine.gpu.download(&self.memory.chosen, 0, shape.steps * shape.prefixes)?;
        let of_prefix = |(index, prefix): (usize, &Prefix)| {
            let first = prefix.given.len() - 1;
            (first..first + count).map(|step| chosen[step * shape.prefixes + index]).collect()
        };
        Ok(prefixes.iter().enumerate().map(of_prefix).collect())
    }

    /// The logits that a prefix's draws of the last launch were drawn from: row `i` is that of its
    /// draw `i`, behind `given` ids.
    pub fn logits(&self, prefix: usize, given: usize, count: usize) -> Result<Vec<f32>, CudaError> {
        let Some(shape) = self.shape else { return Ok(Vec::new()) };
        let (rows, gpu) = (self.engine.sizes.rows, &self.engine.gpu);
        let skipped = |step: usize| 4 * rows * (step * shape.prefixes + prefix);
        // Those of one prefix alone lie behind one another.
        if shape.prefixes == 1 {
            return gpu.download(&self.memory.logits, skipped(given - 1), count * rows);
        }
        let mut values = Vec::new();
        for step in given - 1..given - 1 + count {
            values.extend(gpu.download::<f32>(&self.memory.logits, skipped(step), rows)?);
        }
        Ok(values)
    }

    /// The launch of [`Self::draft`], which is not waited for.
    fn start(
        &mut self,
        prefixes: &[Prefix],
        count: usize,
        drawing: Drawing<'_>,
        how: Loop,
    ) -> Result<(), CudaError> {
        self.shape = None;
        let given = |prefix: &Prefix| prefix.given.len();
        let longest = prefixes.iter().map(given).max().unwrap_or(0);
        let first_draw = prefixes.iter().map(given).min().unwrap_or(0).saturating_sub(1);
        check(&self.engine, prefixes, count)?;
        let steps = longest + count - 1;
        let scale = if drawing.temperature == 0.0 { 0.0f64 } else { 1.0 / drawing.temperature };
        self.engine.gpu.enter()?;
        let end = prefixes.iter().map(|prefix| prefix.cached + steps).max().unwrap_or(0);
        self.engine.reserve(end)?;
        let shape = Shape {
            prefixes: prefixes.len(),
            steps,
            first_draw,
            scale: scale.to_bits(),
            capacity: self.engine.capacity,
        };
        self.reserve(&shape)?;
        self.name(drawing.names)?;
        let plan = plan(prefixes, steps)?;
        self.engine.gpu.upload(&self.engine.memory.plan, &plan)?;
        self.shape = Some(shape);
        let kernels = self.prepare()?;
        match how {
            Loop::Graph => self.replay(shape, &kernels),
            Loop::Grid => self.persist(&shape, kernels.grid, false),
            Loop::Cluster => match kernels.cluster {
                Some(kernel) => self.persist(&shape, kernel, true),
                None => Err(CudaError::Unsupported("this GPU has no clusters".to_owned())),
            },
        }
    }

    /// Compiles what has not been compiled yet.
    pub(super) fn prepare(&mut self) -> Result<Kernels, CudaError> {
        Ok(match self.kernels {
            Some(kernels) => kernels,
            None => *self.kernels.insert(Kernels::make(&self.engine)?),
        })
    }

    /// Makes room for what is drawn; graphs name the old memory.
    fn reserve(&mut self, shape: &Shape) -> Result<(), CudaError> {
        let rows = shape.steps * shape.prefixes;
        if 4 * rows
            > self.memory.chosen.bytes().min(self.memory.logits.bytes() / self.engine.rows())
        {
            let rows = rows.next_power_of_two().max(4);
            self.graphs.clear();
            self.memory.chosen = self.engine.gpu.allocate(4 * rows)?;
            self.memory.logits = self.engine.gpu.allocate(4 * rows * self.engine.rows())?;
        }
        Ok(())
    }

    /// Brings names to the device where they are not there yet.
    fn name(&mut self, names: Option<&[Option<u32>]>) -> Result<(), CudaError> {
        let names: Vec<u32> = match names {
            Some(names) => names.iter().map(|name| name.unwrap_or(NONE)).collect(),
            None => (0..self.engine.sizes.rows as u32).collect(),
        };
        if names.len() != self.engine.sizes.rows {
            let reason = format!("{} names for {} ids", names.len(), self.engine.sizes.rows);
            return Err(CudaError::Unsupported(reason));
        }
        if names != self.names {
            self.engine.gpu.upload(&self.memory.names, bytes_of(&names))?;
            self.names = names;
        }
        Ok(())
    }

    fn arguments(&self, shape: &Shape) -> Arguments {
        let plan = self.engine.memory.plan.address();
        let keys = plan + 32 * shape.prefixes as u64;
        Arguments {
            logits: self.memory.logits.address(),
            best: self.memory.best.address(),
            keys,
            given: keys + 8 * (shape.steps * shape.prefixes) as u64,
            chosen: self.memory.chosen.address(),
            names: self.memory.names.address(),
            counters: self.memory.counters.address(),
            scale: f64::from_bits(shape.scale),
            steps: shape.steps as u32,
            first_draw: shape.first_draw as u32,
            ..self.engine.arguments(shape.prefixes)
        }
    }

    /// One kernel for all steps.
    fn persist(&self, shape: &Shape, kernel: Function, in_cluster: bool) -> Result<(), CudaError> {
        let Engine { gpu, sizes, tuning, .. } = &self.engine;
        let scratch = sizes.draft_scratch(tuning.threads);
        let size = if in_cluster { tuning.cluster } else { gpu.multiprocessors };
        // Whole groups of sixteen bytes of weights, as many as fit.
        let resident =
            sizes.residence(size).min(gpu.shared_memory.saturating_sub(scratch)) / 16 * 16;
        let mut launch = Launch {
            blocks: size,
            threads: tuning.threads,
            shared_bytes: scratch + resident,
            together: Together::AtOnce,
        };
        if in_cluster {
            launch.together = Together::Clusters(size);
            let most = gpu.most_clusters(kernel, launch)?;
            if most == 0 {
                let reason = format!("this GPU has no room for a cluster of {size} blocks");
                return Err(CudaError::Unsupported(reason));
            }
            launch.blocks = size * most.min(shape.prefixes as u32);
        }
        gpu.zero(&self.memory.counters, 4)?;
        gpu.launch(kernel, launch, &Arguments { resident, ..self.arguments(shape) })
    }

    fn replay(&mut self, shape: Shape, kernels: &Kernels) -> Result<(), CudaError> {
        if !self.graphs.contains_key(&shape) {
            let graph = self.engine.gpu.capture(|| self.launch_steps(&shape, kernels))?;
            self.graphs.insert(shape, graph);
        }
        self.engine.gpu.replay(&self.graphs[&shape])
    }

    /// Four kernels a layer and two for the draw, for each step.
    fn launch_steps(&self, shape: &Shape, kernels: &Kernels) -> Result<(), CudaError> {
        let engine = &self.engine;
        let gpu = &engine.gpu;
        let blocks = gpu.multiprocessors;
        let all = engine.launch(blocks, 0);
        let attend = engine.launch(blocks, engine.sizes.draft_scratch(engine.tuning.threads));
        let arguments = self.arguments(shape);
        gpu.zero(&self.memory.counters, 4)?;
        for step in 0..shape.steps {
            for layer in 0..engine.sizes.layers {
                let arguments = Arguments { layer: layer as u32, ..arguments };
                gpu.launch(kernels.attend, attend, &arguments)?;
                for kernel in [kernels.output, kernels.gate_up, kernels.down] {
                    gpu.launch(kernel, all, &arguments)?;
                }
            }
            if step >= shape.first_draw {
                gpu.launch(kernels.head, all, &arguments)?;
            }
            let next = Arguments { first: blocks, ..arguments };
            gpu.launch(kernels.next, engine.launch(1, 0), &next)?;
        }
        Ok(())
    }
}

impl Kernels {
    fn make(engine: &Engine) -> Result<Self, CudaError> {
        let names = [
            "draft_grid",
            "draft_attend",
            "draft_head",
            "draft_next",
            "draft_output",
            "draft_gate_up",
            "draft_down",
        ];
        let module = engine.maker.make(Program::Draft)?;
        let mut found = Vec::new();
        for name in names {
            found.push(engine.gpu.function(&module, name)?);
        }
        let has_clusters = engine.gpu.capability.0 >= 9;
        let cluster = has_clusters.then(|| engine.gpu.function(&module, "draft_cluster"));
        Ok(Self {
            grid: found[0],
            cluster: cluster.transpose()?,
            attend: found[1],
            head: found[2],
            next: found[3],
            output: found[4],
            gate_up: found[5],
            down: found[6],
        })
    }
}
