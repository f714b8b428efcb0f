//! What a training run writes down: a JSON object for every step and every evaluation, and the line
//! that is logged. Knows no tensor.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Number of the step, from 1.
    pub step: u64,
    /// Tokens read so far.
    pub tokens: u64,
    /// Mean loss in nats a token.
    pub loss: f64,
    /// The same in bits a byte of cleaned training text, where the loss is one of text.
    pub bits_per_byte: Option<f64>,
    /// Learning rate.
    pub lr: f64,
    /// Norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Whether the gradients overflowed and the parameters were left alone.
    pub skipped: bool,
    /// Seconds of the step.
    pub seconds: f64,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// Arithmetic of the step over what the device did in large matrix products before the run.
    pub share_of_peak: f64,
}

/// One evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluated {
    /// Steps done.
    pub step: u64,
    /// Mean loss in nats a token.
    pub eval_loss: f64,
    /// Its exponential, where the loss is one of text.
    pub eval_perplexity: Option<f64>,
    /// Bits a byte of cleaned text, which compares models with different vocabularies.
    pub eval_bits_per_byte: Option<f64>,
    /// Where a target's laws are known, how often it would accept a token that the model drafts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_acceptance: Option<f64>,
    /// Tokens that were predicted.
    pub eval_tokens: u64,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Record {
    /// A step.
    Step(Step),
    /// An evaluation.
    Evaluated(Evaluated),
}

impl Record {
    /// Steps done.
    pub fn step(&self) -> u64 {
        match self {
            Self::Step(step) => step.step,
            Self::Evaluated(evaluated) => evaluated.step,
        }
    }

    /// The line that is logged.
    pub fn line(&self) -> String {
        let shown = |name: &str, digits: usize, value: Option<f64>| {
            value.map_or_else(String::new, |value| format!(" | {name} {value:.digits$}"))
        };
        match self {
            Self::Step(step) => format!(
                "step {} | loss {:.4}{} | lr {:.2e} | norm {:.3} | {} tok/s | {:.0} ms | peak {:.0} %",
                step.step,
                step.loss,
                shown("bpb", 4, step.bits_per_byte),
                step.lr,
                step.gradient_norm,
                step.tokens_per_second.round(),
                1000.0 * step.seconds,
                100.0 * step.share_of_peak,
            ),
            Self::Evaluated(evaluated) => format!(
                "step {} | evaluation: loss {:.4}{}{}{}",
                evaluated.step,
                evaluated.eval_loss,
                shown("perplexity", 2, evaluated.eval_perplexity),
                shown("bits per byte", 4, evaluated.eval_bits_per_byte),
                shown("acceptance", 4, evaluated.eval_acceptance),
            ),
        }
    }
}

/// The file of a run.
pub struct Metrics {
    path: PathBuf,
    file: File,
    /// All that it holds.
    pub records: Vec<Record>,
}

impl Metrics {
    /// Opens the file of a run that has done `step` steps: what it holds of later ones is cut off,
    /// since they will be done again.
    pub fn open(path: &Path, step: u64) -> Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        let mut records = Vec::new();
        let mut length = 0;
        if let Ok(file) = File::open(path) {
            let mut reader = BufReader::new(file);
            let mut line = String::new();
            while reader.read_line(&mut line).with_context(cannot)? > 0 {
                match serde_json::from_str::<Record>(&line) {
                    Ok(record) if record.step() <= step && line.ends_with('\n') => {
                        records.push(record);
                    }
                    _ => break,
                }
                length += line.len() as u64;
                line.clear();
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path).with_context(cannot)?;
        file.set_len(length).with_context(cannot)?;
        Ok(Self { path: path.to_path_buf(), file, records })
    }

    /// Writes a record down.
    pub fn add(&mut self, record: Record) -> Result<()> {
        let mut line = serde_json::to_string(&record)?;
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.records.push(record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64) -> Record {
        Record::Step(Step {
            step,
            tokens: 10 * step,
            loss: 1.0 / step as f64,
            bits_per_byte: Some(1.0),
            lr: 1e-3,
            gradient_norm: 1.0,
            skipped: false,
            seconds: 0.1,
            tokens_per_second: 100.0,
            share_of_peak: 0.5,
        })
    }

    #[test]
    fn what_comes_after_the_checkpoint_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut metrics = Metrics::open(&path, 0).unwrap();
        (1..=5).for_each(|number| metrics.add(step(number)).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"{\"step\": 6, \"tok");
        std::fs::write(&path, bytes).unwrap();
        let mut metrics = Metrics::open(&path, 3).unwrap();
        assert_eq!(metrics.records, [step(1), step(2), step(3)]);
        metrics.add(step(4)).unwrap();
        drop(metrics);
        assert_eq!(Metrics::open(&path, 9).unwrap().records.len(), 4);
    }
}
