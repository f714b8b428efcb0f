//! A view of runs to a document: which sections there are, in which order, and what each says.

use clap::ValueEnum;

use super::charts::ChartKind;
use super::document::{Block, Document, Kind, Panel, Section, Table};
use super::headline::{headline, of_case};
use super::provenance::{command_line, provenance};
use super::view::{Shown, ShownCase, View};
use super::words::{Form, Words, code, count, number};
use super::{leaderboard, sentences, tables};
use crate::bench::record::PromptsInfo;
use crate::questions::TITLE;
use crate::statistics::FEWEST_CLUSTERS;

/// What speaks for losslessness beside the greedy identity of this run.
const LOSSLESS: &str = "losslessness above temperature 0 is a matter of the rules, which the project's tests \
                        enumerate to 1e-9 and test by chi-square; `spec eval --lossless` tests a pair of \
                        one's own by ids of the same seed and a chi-square test of first tokens";

/// The whole document.
pub(crate) fn document(view: &View<'_>) -> Document {
    let runs = view.runs();
    let heads = runs.iter().map(|run| headline(run.report));
    let (title, subtitle) = if let Some(report) = view.only() {
        let [title, run] = headline(report);
        (title, vec![run + "."])
    } else {
        let of = |(run, [title, what]): (&Shown<'_>, [String; 2])| {
            format!("{}: {title}; {what}.", run.name)
        };
        (format!("{} runs side by side", runs.len()), runs.iter().zip(heads).map(of).collect())
    };
    let mut sections = comparing(view);
    sections.extend(view.cases().iter().map(of_a_case));
    sections.extend(runs.iter().flat_map(of_a_run));
    Document {
        title,
        subtitle,
        warnings: warnings(&runs),
        summary: sentences::summary(view),
        sections,
    }
}

fn warnings(runs: &[Shown<'_>]) -> Vec<Words> {
    let mut found: Vec<Words> = Vec::new();
    for run in runs {
        let whose = if run.name.is_empty() { String::new() } else { format!("{}: ", run.name) };
        if !run.report.complete {
            found.push(format!("{whose}not complete: figures of the prompts so far").into());
        }
        let warnings = run.report.warnings.iter();
        found.extend(warnings.map(|own| Words::from(format!("{whose}{own}"))));
    }
    found
}

/// The cases beside each other: tables, then charts.
fn comparing(view: &View<'_>) -> Vec<Section> {
    let table = |table: Table| (!table.rows.is_empty()).then_some(Block::Table(table));
    let mut sections = Vec::new();
    for (title, own) in [("Cases", tables::overview(view)), (TITLE, tables::spec_bench(view))] {
        sections.extend(table(own).map(|own| Section::new(title, vec![own])));
    }
    let mut blocks: Vec<Block> = table(tables::differences(view)).into_iter().collect();
    if !view.not_compared().is_empty() {
        let reasons = view.not_compared().iter();
        blocks.push(Block::List(reasons.map(|own| Words::from(own.as_str())).collect()));
    }
    if !blocks.is_empty() {
        sections.push(Section::new("Differences", blocks));
    }
    let panels: Vec<Panel> = ChartKind::value_variants()
        .iter()
        .map(|kind| Panel { title: kind.title(), note: kind.note(), charts: kind.charts(view) })
        .filter(|panel| !panel.charts.is_empty())
        .collect();
    if !panels.is_empty() {
        sections.push(Section::new("Charts", vec![Block::Charts(panels)]));
    }
    sections
}

fn of_a_case(shown: &ShownCase<'_>) -> Section {
    let (metrics, at) = (&shown.case.overall, shown.at.to("overall"));
    let what = Words::from(format!("{}; ", of_case(&shown.case.settings)))
        .and(count(at.to("prompts"), metrics.prompts as u64))
        .say(" prompts, ")
        .and(count(at.to("generations"), metrics.generations as u64))
        .say(" generations.");
    let [probability, entropy] = tables::calibration(shown);
    let tables = [
        tables::figures(shown),
        tables::positions(shown),
        tables::categories(shown),
        probability,
        entropy,
        tables::sizes(shown),
        tables::passes(shown),
    ];
    let tables = tables.into_iter().filter(|table| !table.rows.is_empty()).map(Block::Table);
    Section::detail(shown.name.clone(), [Block::Words(what)].into_iter().chain(tables).collect())
}

/// What holds for all cases of a run.
fn of_a_run(run: &Shown<'_>) -> Vec<Section> {
    let of = |title: &str| match run.name {
        "" => title.to_owned(),
        name => format!("{title} of {name}"),
    };
    let mut blocks = Vec::new();
    let vocabularies = tables::vocabularies(run);
    if !vocabularies.rows.is_empty() {
        blocks.push(Block::Table(vocabularies));
    }
    let mut list = remarks(run);
    list.push(method_note(run));
    list.push(LOSSLESS.into());
    blocks.push(Block::List(list));
    let rows = provenance(run.report).into_iter();
    let rows = rows.map(|[name, value]| [Words::from(name), Words::from(value)]);
    let columns = [("", Kind::Name), ("", Kind::Prose)];
    let commands = Block::Commands(command_line(&run.report.header.command_line));
    let table = Table::new(of("Provenance"), columns, rows);
    let definitions = run.report.definitions.iter();
    let definitions = definitions.map(|(name, meaning)| [code(name), meaning.into()]);
    let columns = [("name", Kind::Name), ("meaning", Kind::Prose)];
    let definitions = Table::new(of("Definitions"), columns, definitions);
    vec![
        Section::new(of("Remarks"), blocks),
        Section::new(of("Provenance"), vec![commands, Block::Table(table)]),
        Section::new(of("Definitions"), vec![Block::Table(definitions)]),
    ]
}

/// Memory and prompts left out.
fn remarks(run: &Shown<'_>) -> Vec<Words> {
    let (report, at) = (run.report, run.at.to("peak_memory_bytes"));
    let peak = &report.peak_memory_bytes;
    let bytes =
        |name: &str, own: Option<u64>| number(at.to(name), own.map(|own| own as f64), Form::Bytes);
    let memory = Words::from("peak memory: process ")
        .and(bytes("process", peak.process))
        .say(", device ")
        .and(bytes("device", peak.device));
    let mut remarks = vec![memory];
    let prompts = &report.header.prompts;
    remarks.extend(left_out(prompts).map(|text| Words::from(format!("skipped: {text}"))));
    for (count, what) in [
        (prompts.truncated, "truncated: {} prompts or later turns"),
        (prompts.later_turns_left_out, "later turns: {} left out, which did not fit"),
    ] {
        if count > 0 {
            remarks.push(what.replace("{}", &count.to_string()).into());
        }
    }
    let differs = leaderboard::differences(report);
    remarks.extend(differs.map(|text| Words::from(format!("{TITLE}: {text}"))));
    remarks
}

/// The prompts that were left out, by category and reason.
pub(crate) fn left_out(prompts: &PromptsInfo) -> Option<String> {
    let reasons = |too_long, inexpressible| match (too_long, inexpressible) {
        (long, 0) => format!("{long} too long"),
        (0, foreign) => format!("{foreign} inexpressible"),
        (long, foreign) => format!("{long} too long and {foreign} inexpressible"),
    };
    let skipped: Vec<_> = prompts
        .skipped
        .iter()
        .filter(|skipped| skipped.too_long + skipped.inexpressible > 0)
        .map(|s| format!("{} {}", s.category, reasons(s.too_long, s.inexpressible)))
        .collect();
    (!skipped.is_empty()).then(|| skipped.join(", "))
}

/// How the intervals are made, and what is not timed.
pub(crate) fn method_note(run: &Shown<'_>) -> Words {
    let header = &run.report.header;
    let timing = match header.trace {
        None => format!(
            "Prefill is timed; loading and warm-up (prompts: {}) are not.",
            header.settings.warmup
        ),
        Some(_) => "Replayed from a trace: nothing is timed, and how many candidates are accepted \
                    has the law of a run with the target; where candidates are drawn, those behind \
                    the first that is refused are nearly of theirs."
            .to_owned(),
    };
    format!(
        "[low, high] are 95 % intervals: BCa bootstrap over prompts, stratified by category; \
         Clopper-Pearson for greedy identity. Fewer than {FEWEST_CLUSTERS} prompts give none. \
         {timing}"
    )
    .into()
}
