//! How fast one model is on this machine: plain decoding, passes over several ids, reading a prompt, and
//! beside them the time that it takes to read as many bytes as the model has weights. Rounds take all
//! element types in turns. Goes through [`LanguageModel`](draft::LanguageModel) alone, so that it measures
//! whatever computes behind it; knows no text and no other program.

mod figures;
mod floor;
mod probe;
pub mod table;

use std::time::Instant;

use anyhow::{Context, Result, bail};
use draft::config::Shape;
use draft::{Compute, Model};

pub use figures::{Figure, Measured, Pass, Report};

use crate::printer::Printer;
use crate::provenance::{command_line, git_commit, now, processor};
use crate::source::Located;
use figures::Round;
use floor::Floor;
use probe::{Probe, random_ids};

/// Ids of the prompt that plain decoding goes on behind.
const PROMPT: usize = 16;

/// What is to be measured.
#[derive(Debug)]
pub struct Plan {
    /// The model, as typed.
    pub model: String,
    /// Where it is.
    pub located: Located,
    /// Element types by name, and how each computes.
    pub dtypes: Vec<(String, Compute)>,
    /// Tokens of a run of plain decoding.
    pub tokens: usize,
    /// Ids of a pass, in rising order, 1 first.
    pub nodes: Vec<usize>,
    /// Cached ids that those passes stand behind.
    pub prefix: usize,
    /// Ids of a prompt that is read at once.
    pub prefill: usize,
    /// How often all of it is measured.
    pub rounds: usize,
    /// Seed of the ids.
    pub seed: u64,
}

/// A loaded model of one element type, and what has been measured of it.
struct Contender {
    dtype: String,
    probe: Probe,
    bytes: u64,
    load_seconds: f64,
    floor: Option<Floor>,
    rounds: Vec<Round>,
    /// What it wrote last.
    ids: Vec<u32>,
}

/// Measures.
pub fn run(plan: &Plan, printer: &Printer) -> Result<Report> {
    let (mut contenders, shape) = open(plan)?;
    for contender in &mut contenders {
        contender.probe.decode(PROMPT, plan.tokens.min(8))?;
    }
    let count = contenders.len();
    let mut progress = printer.progress((plan.rounds * count) as u64, "rounds");
    for round in 0..plan.rounds {
        for turn in 0..count {
            let contender = &mut contenders[(round + turn) % count];
            let measured = contender.measure(plan)?;
            contender.rounds.push(measured);
            progress.advance();
        }
    }
    progress.finish();
    let measured = contenders.iter().map(|own| own.figures(&plan.nodes)).collect();
    Ok(report(plan, &shape, measured))
}

/// Loads the model in every element type.
fn open(plan: &Plan) -> Result<(Vec<Contender>, Shape)> {
    let mut opened = Vec::new();
    let mut last = None;
    for (dtype, compute) in &plan.dtypes {
        let begin = Instant::now();
        let model = Model::load(&plan.located.folder, *compute)
            .with_context(|| format!("cannot load the model `{}` in {dtype}", plan.model))?;
        let load_seconds = begin.elapsed().as_secs_f64();
        let shape = model.config.shape;
        fits(plan, shape.context())?;
        let bytes = read_by_a_pass(&shape) * width(dtype, *compute);
        let ids = random_ids(plan.seed, needed(plan), model.network.rows());
        opened.push(Contender {
            dtype: dtype.clone(),
            probe: Probe::new(model.network, ids),
            bytes,
            load_seconds,
            floor: (!compute.device.is_cuda()).then(|| Floor::new(bytes, threads())),
            rounds: Vec::new(),
            ids: Vec::new(),
        });
        last = Some(shape);
    }
    let shape = last.context("no element type was named")?;
    Ok((opened, shape))
}

/// Positions that the measurements take.
fn needed(plan: &Plan) -> usize {
    let most = plan.nodes.last().copied().unwrap_or(1);
    plan.prefill.max(plan.prefix + most).max(PROMPT + plan.tokens)
}

fn fits(plan: &Plan, context: usize) -> Result<()> {
    let (most, needed) = (plan.nodes.last().copied().unwrap_or(1), needed(plan));
    if needed > context {
        bail!(
            "{} has a context of {context} ids and {needed} are asked for (--tokens {} behind {PROMPT}, \
             --prefix {} and {most} of --nodes, --prefill {}); ask for fewer",
            plan.model,
            plan.tokens,
            plan.prefix,
            plan.prefill
        );
    }
    Ok(())
}

/// Weights that a pass reads: all, but of an embedding that is no head only single rows.
fn read_by_a_pass(shape: &Shape) -> u64 {
    let tensors = shape.tensors();
    let untied = tensors.iter().any(|(name, _)| name == "lm_head.weight");
    let is_read = |name: &str| !(untied && name == "model.embed_tokens.weight");
    let of = |sizes: &[usize]| sizes.iter().product::<usize>() as u64;
    tensors.iter().filter(|(name, _)| is_read(name)).map(|(_, sizes)| of(sizes)).sum()
}

/// Bytes of a weight.
fn width(dtype: &str, compute: Compute) -> u64 {
    match dtype {
        "int8" => 1,
        _ => compute.kind.elt_size_in_bytes() as u64,
    }
}

fn threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1)
}

impl Contender {
    fn measure(&mut self, plan: &Plan) -> Result<Round> {
        let floor = self.floor.as_ref().map(Floor::seconds);
        let (decode, ids) = self.probe.decode(PROMPT, plan.tokens)?;
        self.ids = ids;
        let prefill = self.probe.prefill(plan.prefill)?;
        let (mut trees, mut rows) = (Vec::new(), Vec::new());
        for &nodes in &plan.nodes {
            trees.push(self.probe.tree(plan.prefix, nodes)?);
            rows.push(self.probe.row(plan.prefix, nodes)?);
        }
        Ok(Round {
            floor,
            token: decode / plan.tokens as f64,
            prefill: prefill / plan.prefill as f64,
            trees,
            rows,
        })
    }

    fn figures(&self, nodes: &[usize]) -> Measured {
        let (bytes, load) = (self.bytes, self.load_seconds);
        let measured = Measured::new(&self.dtype, (bytes, load), nodes, &self.rounds);
        Measured { ids: self.ids.clone(), ..measured }
    }
}

fn report(plan: &Plan, shape: &Shape, dtypes: Vec<Measured>) -> Report {
    let device = plan.dtypes.first().map_or("cpu".to_owned(), |(_, own)| own.device_name());
    Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_commit: git_commit(),
        command_line: command_line(),
        finished: now(),
        model: plan.model.clone(),
        note: plan.located.note.clone(),
        parameters: shape.parameters(),
        device,
        processor: processor(),
        threads: threads(),
        seed: plan.seed,
        prompt: PROMPT,
        tokens: plan.tokens,
        prefix: plan.prefix,
        prefill: plan.prefill,
        rounds: plan.rounds,
        dtypes,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_embedding_that_is_no_head_is_not_read() {
        let shape = |tied: bool| {
            let config = json!({
                "model_type": "llama", "hidden_size": 8, "intermediate_size": 16,
                "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 10,
                "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "tie_word_embeddings": tied
            });
            Shape::from_json(&config).unwrap()
        };
        assert_eq!(read_by_a_pass(&shape(true)), shape(true).parameters());
        assert_eq!(read_by_a_pass(&shape(false)), read_by_a_pass(&shape(true)));
        assert_eq!(shape(false).parameters(), shape(true).parameters() + 80);
    }
}
