//! The run in two sentences, which head every form of the report, and a case in one.

use target::Verification;
use target::propose::siblings::Siblings;

use crate::bench::record::{CaseSettings, Report};

/// What drafts for what and how, and on what.
pub(crate) fn headline(report: &Report) -> [String; 2] {
    let header = &report.header;
    let (settings, prompts) = (&header.settings, &header.prompts);
    let repeats = match settings.repeats {
        1 => String::new(),
        repeats => format!(", {repeats} repeats"),
    };
    let mut cases = report.cases.iter().filter(|case| !case.settings.is_plain());
    let what = match (cases.next(), cases.next()) {
        (Some(only), None) => format!(": {}", of_case(&only.settings)),
        (None, _) => String::new(),
        _ => format!(": {} cases", 2 + cases.count()),
    };
    let drafts: Vec<&str> = header.drafts.iter().map(|draft| draft.name.as_str()).collect();
    let verb = if drafts.len() == 1 { "drafts" } else { "draft" };
    let trace = if header.trace.is_some() { ", replayed from a trace" } else { "" };
    [
        format!("{} {verb} for {}{what}", drafts.join(", "), header.target.name),
        format!(
            "{} of {} prompts of {}{repeats}, up to {} new tokens, on {} in {}, seed {}{trace}",
            prompts.run,
            prompts.total,
            prompts.source,
            settings.max_new,
            header.device,
            header.dtype,
            header.seed
        ),
    ]
}

/// How a case drafts and verifies.
pub(crate) fn of_case(settings: &CaseSettings) -> String {
    let blocks = match settings.verification {
        Verification::Token => "",
        Verification::Block => ", verified by blocks",
    };
    let auto = if settings.auto { "up to " } else { "" };
    let tree = settings
        .tree
        .map_or_else(String::new, |tree| format!(", {} nodes, {} beams", tree.nodes, tree.beam));
    let siblings = match settings.siblings {
        Siblings { count: Some(1), .. } => String::new(),
        Siblings { count: Some(count), rule } => format!(", {count} candidates a place ({rule})"),
        Siblings { count: None, .. } if settings.temperature == 0.0 => ", branching".to_owned(),
        Siblings { count: None, rule } => format!(", branching ({rule})"),
    };
    format!(
        "{}{blocks}, gamma {auto}{}{tree}{siblings}, temperature {}",
        settings.method, settings.gamma, settings.temperature
    )
}
