//! What to try behind a run: commands that begin as the run's own did. Knows no figure's meaning.

use crate::bench::record::Report;
use crate::source::bundled;

/// Commands, the likeliest first, one a line below the other.
pub fn next(report: &Report) -> String {
    let header = &report.header;
    let speculative = report.cases.iter().map(|case| &case.settings).find(|own| !own.is_plain());
    let (Some(settings), Some(draft)) = (speculative, header.drafts.first()) else {
        return "spec report RUN".to_owned();
    };
    let names = [draft, &header.target].map(|model| match model.source.as_str() {
        "folder" => model.path.clone(),
        _ => model.name.clone(),
    });
    let bench = format!("spec bench --draft {} --target {}", names[0], names[1]);
    let method = |name: &str| match settings.method.as_str() {
        "identity" => String::new(),
        _ => format!(" --method {name}"),
    };
    let greedy = settings.temperature == 0.0;
    let (temperature, what) = if greedy { (1, "sampled") } else { (0, "greedy") };
    let mut lines =
        vec![format!("{bench}{} --temperature {temperature}   # {what}", method(&settings.method))];
    if settings.method != "identity" {
        let other = if settings.method == "slem" { "tli" } else { "slem" };
        let at =
            if greedy { String::new() } else { format!(" --temperature {}", settings.temperature) };
        lines.push(format!("{bench}{}{at}   # another method", method(other)));
    }
    if header.target.source == "bundled" && header.target.name == bundled::TARGET {
        lines.push(format!(
            "spec bench --draft {} --target llama-3.2-1b   # a target of 1.2 billion parameters",
            names[0]
        ));
    }
    lines.push("spec compare RUN_A RUN_B   # two runs, prompt by prompt".to_owned());
    lines.join("\n      ")
}
