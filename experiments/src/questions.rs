//! The questions of Spec-Bench (Xia et al., 2401.07851), which come with no program: found where they are
//! named or were kept, else fetched from a dataset of the Hub that has them, and told by their hash. Knows
//! where the file is, not what is in it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use crate::hub::{Dataset, DatasetPath, Hub};
use crate::new_file;
use crate::printer::Printer;
use crate::prompts::hex;

/// What users type for them.
pub const NAME: &str = "spec-bench";

/// What reports call them.
pub const TITLE: &str = "Spec-Bench";

/// SHA-256 of `data/spec_bench/question.jsonl` of hemingkx/Spec-Bench at commit fd2c1cd.
pub const SHA256: &str = "4b6d33e79484f9841c487ee87d1cf6aa8c6066f61d5d482ff09e5a007fafdf04";

/// The variable that names the file, its folder, or a clone of Spec-Bench.
const PLACE: &str = "SPEC_BENCH_QUESTIONS";

/// The variable that names another dataset.
const DATASET: &str = "SPEC_BENCH_DATASET";

/// A dataset that has the questions, task by task.
const PUBLISHED: &str = "hf://datasets/RedHatAI/speculator_benchmarks";

/// The file's name in Spec-Bench, and the parts that it consists of in the dataset, in its order; there
/// the first holds the first task alone.
const FILE: &str = "question.jsonl";
const PARTS: [&str; 6] = [
    FILE,
    "translation.jsonl",
    "summarization.jsonl",
    "qa.jsonl",
    "math_reasoning.jsonl",
    "rag.jsonl",
];

/// Where the file is, fetched first if it is not here.
pub fn find(printer: &Printer) -> Result<PathBuf> {
    if let Some(place) = variable(PLACE) {
        return named(Path::new(&place), printer);
    }
    let kept = cache()?.join(FILE);
    if std::fs::read(&kept).is_ok_and(|bytes| hash(&bytes) == SHA256) {
        return Ok(kept);
    }
    let bytes = fetch(printer).map_err(|error| {
        anyhow!(
            "the questions of Spec-Bench are not here and cannot be fetched: {error:#}; name a copy of \
             its data/spec_bench/question.jsonl with --prompts FILE or in {PLACE}"
        )
    })?;
    if kept.exists() {
        std::fs::remove_file(&kept)
            .with_context(|| format!("cannot replace {}", kept.display()))?;
    }
    new_file::write(&kept, &bytes)?;
    Ok(kept)
}

/// The file in a place that was named.
fn named(place: &Path, printer: &Printer) -> Result<PathBuf> {
    let candidates =
        [place.to_path_buf(), place.join(FILE), place.join("data/spec_bench").join(FILE)];
    let Some(path) = candidates.into_iter().find(|path| path.is_file()) else {
        bail!("{PLACE} is {}, and there is no {FILE} of Spec-Bench", place.display());
    };
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let found = hash(&bytes);
    if found != SHA256 {
        printer.say(&format!(
            "{} is not the file that Spec-Bench had at commit fd2c1cd (SHA-256 {found}, not {SHA256}): \
             figures may not be comparable",
            path.display()
        ));
    }
    Ok(path)
}

/// The questions from a dataset: its file, or that and its parts for the other tasks.
fn fetch(printer: &Printer) -> Result<Vec<u8>> {
    let name = variable(DATASET).unwrap_or_else(|| PUBLISHED.to_owned());
    let path = DatasetPath::parse(&name)?.with_context(|| {
        format!("{DATASET} is {name}; expected hf://datasets/ORGANISATION/NAME")
    })?;
    let hub = Hub::from_env();
    let dataset = hub.dataset(&path.repository, printer)?;
    let mut bytes = Vec::new();
    for part in PARTS {
        bytes.extend(file(&hub, &dataset, (&path, part), printer)?);
        if hash(&bytes) == SHA256 {
            return Ok(bytes);
        }
        // Parts stand below each other whether or not their last line is ended.
        if bytes.last() != Some(&b'\n') {
            bytes.push(b'\n');
        }
    }
    if hash(&bytes) == SHA256 {
        return Ok(bytes);
    }
    bail!(
        "what {name} has is not Spec-Bench's file (SHA-256 {}, not {SHA256}); {DATASET} may name another",
        hash(&bytes)
    )
}

/// A file of a dataset, from the cache or the Hub.
fn file(
    hub: &Hub,
    dataset: &Dataset,
    (path, part): (&DatasetPath, &str),
    printer: &Printer,
) -> Result<Vec<u8>> {
    let wanted = match path.path.as_str() {
        "" => part.to_owned(),
        folder => format!("{folder}/{part}"),
    };
    let file = dataset
        .files()
        .iter()
        .find(|file| file.name == wanted)
        .with_context(|| format!("{path} has no {part}"))?;
    let place = match dataset.cached(file) {
        Some(place) => place,
        None => hub.fetch_text(dataset, &file.name, printer)?,
    };
    std::fs::read(&place).with_context(|| format!("cannot read {}", place.display()))
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The folder of what is kept of them.
fn cache() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(variable("HOME")?).join(".cache"));
    variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .map(|folder| folder.join("spec").join(NAME))
        .with_context(|| format!("no HOME to keep the questions of Spec-Bench in; set {PLACE}"))
}
