//! What an evaluation leaves behind: `report.json`, which holds all that is needed to make it again,
//! and the same as a Markdown page. Lays out what suites found; scores nothing.

use serde::Serialize;

use super::accuracy::Share;
use super::score_table::{Figure, cells};
use super::scorer::Cost;
use super::{Evaluated, Figures, Plan, Suite, Text};
use crate::bench::record::ModelInfo;
use crate::data::source::Source;
use crate::doctor::torch_version;
use crate::provenance;
use crate::report::markdown::{command_line, escaped, grid};
use crate::report::{model, significant, whole};
use crate::source::Described;

/// Version of the schema of records and reports of evaluations.
const SCHEMA: u32 = 1;

/// What was evaluated, and on what.
#[derive(Debug, Serialize)]
pub struct Header {
    version: String,
    command_line: Vec<String>,
    started: String,
    seed: u64,
    device: String,
    dtype: String,
    threads: usize,
    torch: String,
    model: ModelInfo,
    suite: &'static str,
    data: DataInfo,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct DataInfo {
    source: String,
    /// Of the text that was scored.
    sha256: String,
}

/// The whole.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: u32,
    kind: &'static str,
    header: Header,
    cost: Cost,
    /// Scored tokens a second.
    tokens_per_second: f64,
    results: Figures,
}

impl Header {
    /// Of a run that begins now. What of the data will be scored is not known yet.
    pub fn begin(plan: &Plan, (suite, data): &(Suite, Source), own: &Described) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command_line: provenance::command_line(),
            started: provenance::now(),
            seed: plan.seed,
            device: plan.compute.device_name(),
            dtype: plan.compute.dtype_name().to_owned(),
            threads: tch::get_num_threads() as usize,
            torch: torch_version(),
            model: own.info(),
            suite: suite.name(),
            data: DataInfo { source: data.name.clone(), sha256: String::new() },
            limit: plan.limit,
        }
    }
}

impl Report {
    /// Of a run that ended.
    pub fn new(mut header: Header, text: Text, cost: Cost, results: Figures) -> Self {
        header.data.sha256 = text.digest();
        let tokens_per_second = cost.rate();
        Self { schema: SCHEMA, kind: "evaluation", header, cost, tokens_per_second, results }
    }

    /// The suite's name.
    pub fn suite(&self) -> &'static str {
        self.header.suite
    }

    /// As a Markdown page.
    pub fn page(&self) -> String {
        let Header { model: own, suite, .. } = &self.header;
        let title = format!("# {} on {suite}", escaped(&own.name));
        let lines = [title, String::new(), escaped(&model(own)) + ".", String::new()];
        lines.join("\n") + "\n" + &self.body()
    }

    /// What of the page is this suite's.
    fn body(&self) -> String {
        let data = &self.header.data;
        let mut lines = self.results.tables();
        let Cost { scored_tokens, seconds, .. } = self.cost;
        lines.extend([
            String::new(),
            format!(
                "{} tokens of {} scored in {} s, {} a second, on {} in {}, threads: {}.",
                whole(scored_tokens),
                escaped(&data.source),
                significant(seconds),
                whole(self.tokens_per_second as u64),
                self.header.device,
                self.header.dtype,
                self.header.threads
            ),
        ]);
        lines.join("\n") + "\n"
    }

    /// The page with what is needed to make it again.
    pub fn file(&self) -> String {
        let Header { version, started, seed, torch, data, limit, model: own, .. } = &self.header;
        let limit = limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
        let rows = [
            ("version", version.clone()),
            ("torch", torch.clone()),
            ("started", started.clone()),
            ("seed", seed.to_string()),
            ("model", own.path.clone()),
            ("limit", limit),
            ("SHA-256 of the text scored", data.sha256.clone()),
        ];
        let rows = rows.map(|(name, value)| [name.to_owned(), value]);
        let mut lines = vec![self.page(), "## Provenance\n\n```sh".to_owned()];
        lines.extend([command_line(&self.header.command_line), "```\n".to_owned()]);
        lines.extend(grid(&["", ""], &[false, false], rows));
        lines.join("\n") + "\n"
    }
}

/// Reports of several suites on one model.
#[derive(Debug, Serialize)]
pub struct Collection<'a> {
    schema: u32,
    kind: &'static str,
    reports: Vec<&'a Report>,
}

impl<'a> Collection<'a> {
    /// Of at least one.
    pub fn of(evaluated: &'a [Evaluated]) -> Self {
        let reports = evaluated.iter().map(|own| &own.report).collect();
        Self { schema: SCHEMA, kind: "evaluations", reports }
    }

    /// As a Markdown page: a table of all suites, and what each has to say.
    pub fn page(&self) -> String {
        let [first, ..] = &self.reports[..] else { return String::new() };
        let own = &first.header.model;
        let title = format!("# {} on {} suites", escaped(&own.name), self.reports.len());
        let mut lines = vec![title, String::new(), escaped(&model(own)) + ".", String::new()];
        let names = ["suite", "figure", "of", "value", "standard error", "95 %"];
        let rows = self.reports.iter().flat_map(|own| own.rows());
        lines.extend(grid(&names, &[false, false, true, true, true, true], rows));
        for report in &self.reports {
            lines.push(format!("\n## {}\n\n{}", report.header.suite, report.body().trim_end()));
        }
        lines.join("\n") + "\n"
    }
}

impl Report {
    /// Rows of a table of several suites.
    fn rows(&self) -> Vec<[String; 6]> {
        let (count, figures) = match &self.results {
            Figures::Perplexity(own) => {
                let bits = own.bits_per_byte;
                let (value, standard_error) = (bits.value.unwrap_or(f64::NAN), own.standard_error);
                let figure = Figure { value, standard_error, low: bits.low, high: bits.high };
                (own.documents, vec![("bits per byte", figure, false)])
            }
            Figures::Blimp(own) => {
                let Share { value, standard_error } = own.accuracy;
                let figure = Figure { value, standard_error, low: None, high: None };
                (own.pairs, vec![("acc", figure, true)])
            }
            Figures::Questions(own) => (own.questions, own.rows()),
        };
        let row = |(name, figure, is_share)| {
            let [name, count, value, error, interval] = cells(name, count, figure, is_share);
            [self.header.suite.to_owned(), name, count, value, error, interval]
        };
        figures.into_iter().map(row).collect()
    }
}
