//! The run in two sentences, which head every form of the report.

use target::Verification;
use target::propose::siblings::Siblings;

use crate::bench::record::Report;

/// What drafts for what and how, and on what.
pub(super) fn headline(report: &Report) -> [String; 2] {
    let header = &report.header;
    let (settings, prompts) = (&header.settings, &header.prompts);
    let repeats = match settings.repeats {
        1 => String::new(),
        repeats => format!(", {repeats} repeats"),
    };
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
    [
        format!(
            "{} drafts for {}: {}{blocks}, gamma {auto}{}{tree}{siblings}, temperature {}",
            header.draft.name,
            header.target.name,
            settings.method,
            settings.gamma,
            settings.temperature
        ),
        format!(
            "{} of {} prompts of {}{repeats}, up to {} new tokens, on {} in {}, seed {}",
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
