//! Flags that several subcommands have, what their values may be, and how a typed prompt is read.

use std::rc::Rc;

use align::Tokenizer;
use anyhow::{Result, bail};
use draft::cuda::Loop;
use draft::device::load_cuda_library;
use draft::{Compute, Engine, Sampling};

use crate::bench::fit;
use crate::data::downloads::{Downloads, Size, UNASKED};
use crate::hub::Hub;
use crate::printer::Printer;
use crate::settings::Wishes;
use crate::source::{Prefer, Sources};

/// How logits become the law that tokens are drawn from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SamplingFlags {
    /// Temperature; 0 is greedy, as is none (`generate` asks the model's card first).
    #[arg(long)]
    pub temperature: Option<f64>,
    #[command(flatten)]
    truncation: TruncationFlags,
}

/// How a law is cut off and bent, whatever its temperature.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TruncationFlags {
    /// Keep the K most probable tokens.
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Keep the most probable tokens that reach this sum.
    #[arg(long, value_name = "P")]
    pub top_p: Option<f64>,
    /// Penalty on tokens that the context holds; 1 is none.
    #[arg(long, value_name = "PENALTY")]
    pub repetition_penalty: Option<f64>,
}

impl SamplingFlags {
    /// Refuses values that mean nothing.
    pub fn check(&self) -> Result<()> {
        if self.temperature.is_some_and(|t| !t.is_finite() || t < 0.0) {
            bail!("a temperature is 0 or above");
        }
        self.truncation.check()
    }

    /// The flags as one source of settings among others.
    pub fn wishes(&self, max_new: Option<usize>) -> Wishes {
        let TruncationFlags { top_k, top_p, repetition_penalty } = self.truncation;
        Wishes { temperature: self.temperature, top_k, top_p, repetition_penalty, max_new }
    }

    /// The flags, and `defaults` for those not given.
    pub fn over(&self, defaults: Sampling) -> Sampling {
        let TruncationFlags { top_k, top_p, repetition_penalty } = self.truncation;
        Sampling {
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_k: top_k.or(defaults.top_k),
            top_p: top_p.or(defaults.top_p),
            repetition_penalty: repetition_penalty.unwrap_or(defaults.repetition_penalty),
        }
    }
}

impl TruncationFlags {
    /// Refuses values that mean nothing.
    pub fn check(&self) -> Result<()> {
        if self.top_p.is_some_and(|p| !(p > 0.0 && p <= 1.0)) {
            bail!("--top-p is above 0 and at most 1");
        }
        if self.repetition_penalty.is_some_and(|penalty| !(penalty > 0.0 && penalty.is_finite())) {
            bail!("--repetition-penalty is above 0");
        }
        check_at_least_one(&[("--top-k", self.top_k.unwrap_or(1))])
    }

    /// The flags over greedy decoding.
    pub fn over_greedy(&self) -> Sampling {
        let Self { top_k, top_p, .. } = *self;
        let repetition_penalty =
            self.repetition_penalty.unwrap_or(Sampling::GREEDY.repetition_penalty);
        Sampling { top_k, top_p, repetition_penalty, ..Sampling::GREEDY }
    }
}

/// Where models come from.
#[derive(Clone, Debug, clap::Args)]
pub struct SourceFlags {
    /// What the name of a published model stands for.
    #[arg(long, value_enum, default_value_t = Prefer::Auto)]
    source: Prefer,
}

impl SourceFlags {
    /// The environment's places, so preferred.
    pub fn open(&self) -> Sources {
        Sources::from_env(self.source)
    }
}

/// Where models compute.
#[derive(Clone, Debug, clap::Args)]
pub struct DeviceFlags {
    /// Where models compute: cpu, cuda or cuda:N. Never falls back.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// CPU threads [default: as many as libtorch chooses].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Where models compute, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct ComputeFlags {
    #[command(flatten)]
    device: DeviceFlags,
    /// fp32, bf16, fp16 or int8 (weights; on the CPU alone) [default: fp32 on the CPU, bf16 on CUDA].
    #[arg(long)]
    dtype: Option<String>,
    /// What runs passes: native is this program's own engine, for models of Llama's architecture on the CPU;
    /// graph, persistent and cluster are loops of its own kernels, for those in bf16 on a GPU, where nobody
    /// has measured them yet; auto is native where it can, else libtorch.
    #[arg(long, value_enum, default_value_t = EngineFlag::Auto)]
    engine: EngineFlag,
}

/// What runs passes.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum EngineFlag {
    Auto,
    Libtorch,
    Native,
    Graph,
    Persistent,
    Cluster,
}

impl DeviceFlags {
    /// Refuses values that mean nothing.
    pub fn check(&self) -> Result<()> {
        check_at_least_one(&[("--threads", self.threads.unwrap_or(1))])
    }

    /// Makes the device ready for an element type.
    pub fn set_up(&self, dtype: Option<&str>) -> Result<Compute> {
        load_cuda_library();
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads as i32);
        }
        Ok(Compute::parse(&self.device, dtype)?)
    }
}

impl ComputeFlags {
    /// Refuses values that mean nothing.
    pub fn check(&self) -> Result<()> {
        self.device.check()
    }

    /// Makes the device ready.
    pub fn set_up(&self) -> Result<Compute> {
        let engine = match self.engine {
            EngineFlag::Auto => Engine::Auto,
            EngineFlag::Libtorch => Engine::Libtorch,
            EngineFlag::Native => Engine::Native,
            EngineFlag::Graph => Engine::Kernels(Loop::Graph),
            EngineFlag::Persistent => Engine::Kernels(Loop::Grid),
            EngineFlag::Cluster => Engine::Kernels(Loop::Cluster),
        };
        Ok(self.device.set_up(self.dtype.as_deref())?.with_engine(engine))
    }
}

/// Refuses a zero where there must be something.
pub fn check_at_least_one(flags: &[(&str, usize)]) -> Result<()> {
    match flags.iter().find(|(_, value)| *value == 0) {
        Some((flag, _)) => bail!("{flag} is at least 1"),
        None => Ok(()),
    }
}

/// The ids of a typed prompt, as `spec bench` reads it.
pub fn read_prompt(tokenizer: &Tokenizer, text: &str, printer: &Printer) -> Result<Vec<u32>> {
    let reading = fit::read(tokenizer, None, text)?;
    if reading.context.ids().is_empty() {
        bail!("the prompt is empty, and its tokenizer puts nothing in front; give some text");
    }
    if !reading.expressible {
        printer
            .say("the tokenizer lacks characters of the prompt: the model reads it without them");
    }
    Ok(reading.context.ids().to_vec())
}

/// How much text may be downloaded.
#[derive(Clone, Debug, clap::Args)]
pub struct DownloadFlags {
    /// Download up to so much from the Hub unasked, such as 20GB; what is named by itself is asked for.
    #[arg(long, value_name = "SIZE", default_value_t = UNASKED)]
    pub max_download: Size,
}

impl DownloadFlags {
    /// The Hub of the environment, with that limit.
    pub fn open(&self) -> Rc<Downloads> {
        Downloads::new(Hub::from_env(), self.max_download)
    }
}
