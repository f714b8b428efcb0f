//! Runs models for the oracle (`tests/oracle/compare_architectures.py`): reads jobs, a JSON object
//! a line, on standard input; writes logits or rotary tables as raw little-endian 32-bit floats
//! into the file that a job names; and says in a JSON line on standard output what else there is to
//! say. Knows no reference and judges nothing.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use draft::config::Shape;
use draft::device::load_cuda_library;
use draft::language_model::{LanguageModel, Wanted};
use draft::sampling::argmax;
use draft::{Compute, Logits, Model, rope};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::Tensor;

#[derive(Deserialize)]
#[serde(untagged)]
enum Job {
    Run(Run),
    Rotary(Rotary),
}

/// Reads ids with the model of a folder, and continues them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    folder: PathBuf,
    ids: Vec<u32>,
    device: String,
    dtype: String,
    /// Gets the logits behind every id; none are kept where it is left out.
    out: Option<PathBuf>,
    /// How many ids are read in one call; all where it is left out.
    block: Option<usize>,
    /// How many ids to emit greedily,
    #[serde(default)]
    generate: usize,
    /// and behind how many of the ids; all where it is left out.
    prompt: Option<usize>,
}

/// Computes cosines, then sines, of all positions of a configuration's context.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotary {
    rotary: Value,
    out: PathBuf,
}

#[derive(Default, Serialize)]
struct Done {
    /// Parameters of the model.
    parameters: u64,
    /// Rows and columns of what was written.
    shape: (usize, usize),
    greedy: Vec<u32>,
    /// Of loading, reading and continuing.
    seconds: (f64, f64, f64),
    /// Most memory that this process ever had in use, in bytes.
    peak_bytes: u64,
}

fn main() -> ExitCode {
    load_cuda_library();
    for line in std::io::stdin().lines() {
        let done = line
            .map_err(|error| format!("standard input: {error}"))
            .and_then(|line| {
                let no_job = |_| format!("{line} is no job: see the fields of Run in {}", file!());
                serde_json::from_str(&line).map_err(no_job)
            })
            .and_then(|job| match job {
                Job::Run(run) => run.work(),
                Job::Rotary(rotary) => rotary.work(),
            })
            .and_then(|done| answer(&done));
        if let Err(reason) = done {
            let _ = writeln!(std::io::stderr(), "logits: {reason}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn text(error: draft::ModelError) -> String {
    error.to_string()
}

fn answer(done: &Done) -> Result<(), String> {
    let mut line = serde_json::to_string(done).map_err(|error| error.to_string())?;
    line.push('\n');
    let mut output = std::io::stdout();
    output
        .write_all(line.as_bytes())
        .and_then(|()| output.flush())
        .map_err(|error| format!("standard output: {error}"))
}

impl Run {
    fn work(&self) -> Result<Done, String> {
        let compute = Compute::parse(&self.device, Some(&self.dtype)).map_err(text)?;
        let started = Instant::now();
        let Model { parameters, mut network, .. } =
            Model::load(&self.folder, compute).map_err(text)?;
        let loaded = Instant::now();
        self.read(&mut *network)?;
        let read = Instant::now();
        let greedy = self.continuation(&mut *network)?;
        let seconds = |from: Instant, to: Instant| (to - from).as_secs_f64();
        Ok(Done {
            parameters,
            shape: (self.ids.len(), network.rows()),
            greedy,
            seconds: (
                seconds(started, loaded),
                seconds(loaded, read),
                read.elapsed().as_secs_f64(),
            ),
            peak_bytes: peak_bytes()?,
        })
    }

    fn read(&self, model: &mut dyn LanguageModel) -> Result<(), String> {
        let mut out = self.out.as_deref().map(Sink::create).transpose()?;
        let wanted = if out.is_some() { Wanted::All } else { Wanted::Last };
        for block in self.ids.chunks(self.block.unwrap_or(self.ids.len()).max(1)) {
            let logits = model.extend(block, wanted).map_err(text)?;
            if let Some(out) = &mut out {
                (0..logits.rows()).try_for_each(|row| out.write(logits.row(row)))?;
            }
        }
        Ok(())
    }

    fn continuation(&self, model: &mut dyn LanguageModel) -> Result<Vec<u32>, String> {
        let mut output = Vec::new();
        if self.generate == 0 {
            return Ok(output);
        }
        let length = self.prompt.unwrap_or(self.ids.len());
        let prompt = self.ids.get(..length).filter(|ids| !ids.is_empty()).ok_or_else(|| {
            format!("a prompt of {length} of {} ids; give 1 to all of them", self.ids.len())
        })?;
        model.truncate(0);
        let mut logits: Logits = model.extend(prompt, Wanted::Last).map_err(text)?;
        loop {
            let id = argmax(logits.last());
            output.push(id);
            if output.len() == self.generate {
                return Ok(output);
            }
            logits = model.extend(&[id], Wanted::Last).map_err(text)?;
        }
    }
}

impl Rotary {
    fn work(&self) -> Result<Done, String> {
        let shape = Shape::from_json(&self.rotary)?;
        let (config, dimensions) = shape.rope();
        let started = Instant::now();
        let (cosines, sines) = rope::tables(config, dimensions, shape.context());
        let seconds = started.elapsed().as_secs_f64();
        let mut out = Sink::create(&self.out)?;
        for table in [&cosines, &sines] {
            out.write(&host(table)?)?;
        }
        let width = cosines.size()[1] as usize;
        Ok(Done {
            shape: (shape.context(), width),
            seconds: (0.0, seconds, 0.0),
            peak_bytes: peak_bytes()?,
            ..Done::default()
        })
    }
}

fn host(table: &Tensor) -> Result<Vec<f32>, String> {
    let mut values = vec![0f32; table.numel()];
    let count = values.len();
    table.contiguous().f_copy_data(&mut values, count).map_err(|error| error.to_string())?;
    Ok(values)
}

/// A file of raw numbers.
struct Sink {
    path: PathBuf,
    file: File,
}

impl Sink {
    fn create(path: &Path) -> Result<Self, String> {
        let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path: path.into(), file })
    }

    fn write(&mut self, values: &[f32]) -> Result<(), String> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let failed = |error| format!("{}: {error}", self.path.display());
        self.file.write_all(&bytes).map_err(failed)
    }
}

/// The high-water mark of this process's resident memory.
fn peak_bytes() -> Result<u64, String> {
    let path = "/proc/self/status";
    let status = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map(|count| count * 1024).ok_or_else(|| format!("{path} has no VmHWM"))
}
