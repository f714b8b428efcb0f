//! What the checks of losslessness leave behind: an object that holds all that is needed to make it
//! again, and a page for people. Lays out what was found.

use std::collections::BTreeMap;

use serde::Serialize;
use target::Verification;
use target::propose::siblings::Siblings;
use target::propose::tree::Size;

use super::check::{Difference, FEWEST_P, FirstToken, Identity};
use super::{Checked, Plan};
use crate::bench::greedy::TIE_MARGIN;
use crate::bench::record::{ModelInfo, PromptsInfo};
use crate::doctor::torch_version;
use crate::provenance;
use crate::report::markdown::{command_line, escaped, grid};
use crate::report::{model, significant, whole};

/// Version of the schema of this report.
const SCHEMA: u32 = 1;

/// Differences that are named, at most.
const NAMED: usize = 5;

/// What was checked, and how.
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
    draft: ModelInfo,
    target: ModelInfo,
    prompts: PromptsInfo,
    gamma: usize,
    verification: Verification,
    tree: Size,
    siblings: Siblings,
    max_new: usize,
    /// Of the checks with draws, on both sides.
    temperature: f64,
    draws: u64,
}

/// The whole.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: u32,
    kind: &'static str,
    header: Header,
    definitions: BTreeMap<&'static str, &'static str>,
    methods: Vec<Checked>,
    /// Whether all that was checked holds.
    holds: bool,
}

impl Header {
    /// Of checks that begin now.
    pub fn begin(plan: &Plan, [draft, target]: [&ModelInfo; 2], prompts: PromptsInfo) -> Self {
        let (bench, case) = (&plan.bench, &plan.bench.cases[0]);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command_line: provenance::command_line(),
            started: provenance::now(),
            seed: bench.seed,
            device: bench.compute.device_name(),
            dtype: bench.compute.dtype_name().to_owned(),
            threads: tch::get_num_threads() as usize,
            torch: torch_version(),
            draft: draft.clone(),
            target: target.clone(),
            prompts,
            gamma: case.gamma,
            verification: case.verification,
            tree: case.size,
            siblings: case.siblings,
            max_new: bench.max_new,
            temperature: case.temperature,
            draws: plan.draws,
        }
    }
}

const COLUMNS: [&str; 5] =
    ["method", "greedy ids", "ids of the same seed", "first token of a round", "holds"];

impl Report {
    /// Of checks that ended.
    pub fn new(header: Header, methods: Vec<Checked>) -> Self {
        let holds = methods.iter().all(Checked::holds);
        let definitions = DEFINITIONS.into();
        Self { schema: SCHEMA, kind: "lossless", header, definitions, methods, holds }
    }

    /// Whether all that was checked holds.
    pub fn holds(&self) -> bool {
        self.holds
    }

    /// As a Markdown page.
    pub fn page(&self) -> String {
        let Header { draft, target, prompts, gamma, temperature, seed, .. } = &self.header;
        let answer = if self.holds { "nothing speaks against it" } else { "it is not" };
        let title = format!("# Is {} lossless for {}: {answer}", draft.name, target.name);
        let run = format!(
            "{} prompts of {}, up to {} new tokens, gamma {gamma}, verification {}, temperature 0 for \
             greedy ids and {temperature} for draws, on {} in {}, seed {seed}.",
            prompts.run,
            prompts.source,
            self.header.max_new,
            self.header.verification,
            self.header.device,
            self.header.dtype,
        );
        let mut lines = vec![escaped(&title), String::new()];
        lines.extend([format!("- draft: {}", escaped(&model(draft)))]);
        lines.extend([format!("- target: {}", escaped(&model(target))), String::new()]);
        lines.extend([escaped(&run), String::new()]);
        lines.extend(grid(&COLUMNS, &[false; 5], self.methods.iter().map(row)));
        let draws: Vec<[String; 8]> = self.methods.iter().flat_map(draw_rows).collect();
        if !draws.is_empty() {
            lines.push(String::new());
            let right = [false, false, true, true, true, true, true, true];
            lines.extend(grid(&DRAW_COLUMNS, &right, draws));
        }
        lines.push(String::new());
        lines.extend(self.methods.iter().flat_map(remarks).map(|line| escaped(&line)));
        lines.join("\n").trim_end().to_owned() + "\n"
    }

    /// The page with what is needed to make it again.
    pub fn file(&self) -> String {
        let Header { version, started, torch, draft, target, prompts, .. } = &self.header;
        let rows = [
            ("version", version.clone()),
            ("torch", torch.clone()),
            ("started", started.clone()),
            ("draft", draft.path.clone()),
            ("target", target.path.clone()),
            ("SHA-256 of the prompts", prompts.sha256.clone()),
        ];
        let rows = rows.map(|(name, value)| [name.to_owned(), value]);
        let mut lines = vec![self.page(), "## Provenance\n\n```sh".to_owned()];
        lines.extend([command_line(&self.header.command_line), "```\n".to_owned()]);
        lines.extend(grid(&["", ""], &[false, false], rows));
        lines.join("\n") + "\n"
    }
}

fn row(own: &Checked) -> [String; 5] {
    let name = own.method.name().to_owned();
    if let Some(reason) = &own.refused {
        let none = || "-".to_owned();
        return [name, none(), none(), none(), format!("not run: {reason}")];
    }
    let not_applicable = || "not applicable: candidates are drawn".to_owned();
    let p_values = own.first_token.iter().map(|it| format!("p = {}", significant(it.fit.p_value)));
    [
        name,
        own.greedy.as_ref().map_or_else(|| "-".to_owned(), identical),
        own.same_seed.as_ref().map_or_else(not_applicable, identical),
        p_values.collect::<Vec<_>>().join(", "),
        if own.holds() { "yes" } else { "no" }.to_owned(),
    ]
}

fn identical(own: &Identity) -> String {
    let ties = match own.ties.len() {
        0 => String::new(),
        ties => format!(", ties: {ties}"),
    };
    format!("{} of {}{ties}", own.identical, own.prompts)
}

const DRAW_COLUMNS: [&str; 8] =
    ["method", "prompt", "draws", "candidates", "accepted", "cells", "p", "seconds"];

fn draw_rows(own: &Checked) -> Vec<[String; 8]> {
    let row = |it: &FirstToken| {
        [
            own.method.name().to_owned(),
            it.prompt.clone(),
            whole(it.draws),
            whole(it.proposed),
            whole(it.accepted),
            whole(it.fit.cells as u64),
            significant(it.fit.p_value),
            significant(it.seconds),
        ]
    };
    own.first_token.iter().map(row).collect()
}

/// What must be said of a method: differences, and checks that could find nothing.
fn remarks(own: &Checked) -> Vec<String> {
    let mut remarks = Vec::new();
    let compared = [("greedy ids", &own.greedy), ("ids of the same seed", &own.same_seed)];
    for (what, identity) in
        compared.into_iter().filter_map(|(what, own)| Some((what, own.as_ref()?)))
    {
        let what = format!("- {}, {what}", own.method);
        let named = |list: &[Difference]| {
            let named: Vec<String> = list.iter().take(NAMED).map(place).collect();
            let more = if list.len() > NAMED { ", …" } else { "" };
            named.join(", ") + more
        };
        if !identity.ties.is_empty() {
            remarks.push(format!(
                "{what}: ties, at a margin under {TIE_MARGIN}: {}",
                named(&identity.ties)
            ));
        }
        if !identity.differences.is_empty() {
            remarks.push(format!("{what}: differences: {}", named(&identity.differences)));
        }
        if identity.accepted == 0 {
            remarks.push(format!("{what}: no candidate was ever accepted, which shows little"));
        }
    }
    for it in &own.first_token {
        let what = format!("- {}, first token behind `{}`", own.method, it.prompt);
        if it.accepted == 0 {
            remarks.push(format!("{what}: no candidate was ever accepted, which shows little"));
        }
        if it.fit.cells < 2 {
            remarks.push(format!(
                "{what}: no two tokens are expected often enough to be compared, which shows nothing; \
                 name more --draws or other prompts"
            ));
        }
    }
    for it in own.first_token.iter().filter(|it| !it.holds()) {
        let p = significant(it.fit.p_value);
        let what = format!("- {}, first token behind `{}`", own.method, it.prompt);
        remarks
            .push(format!("{what}: p = {p} is below {FEWEST_P:e}: this is not the target's law"));
    }
    remarks
}

fn place(difference: &Difference) -> String {
    let margin = difference
        .margin
        .map_or_else(String::new, |margin| format!(" (margin {})", significant(margin)));
    format!("prompt {} behind {} tokens{margin}", difference.prompt, difference.at)
}

const DEFINITIONS: [(&str, &str); 8] = [
    (
        "greedy",
        "prompts whose ids, at temperature 0, are those of the target decoding alone, through the same \
         loop with nothing proposed",
    ),
    (
        "same_seed",
        "prompts whose ids, drawn with the run's seed, are those that the target draws alone with it: \
         candidates that are not drawn are followed where the target's own draw is one of them; null \
         for methods that draw candidates, which are accepted and corrected with random numbers of \
         their own",
    ),
    (
        "ties",
        "first differences between two ids that are nearly tied: of greedy ids a margin of the logits \
         under 1e-4; of draws each id would win the draw with 1e-4 more",
    ),
    ("differences", "first differences of any other kind; one is enough not to be lossless"),
    (
        "first_token",
        "Pearson's chi-square of the first token of the first round behind the prefill's token, over \
         seeds with which the prefill emits its most probable token, against the target's law there, \
         which a pass of its own gives; behind the prompts where the first greedy round accepts a \
         candidate and the most tokens can be compared. Methods that draw no candidates draw alike, so that their counts are equal",
    ),
    ("cells", "tokens compared; all those expected less than 5 times count as one"),
    (
        "p_value",
        "probability of a statistic as large or larger under the target's law; below 1e-6 the check \
         fails",
    ),
    ("holds", "no differences, and no p_value below 1e-6"),
];
