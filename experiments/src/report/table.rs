//! The report as the table on standard output: at most 100 columns, one block a method. It lays
//! out what `report` words.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::headline::headline;
use super::leaderboard::{self, Names};
use super::{
    CATEGORY_COLUMNS, OVERVIEW_COLUMNS, case_rows, category_rows, difference_rows, method_note,
    model, overview, remarks, shown,
};
use crate::bench::record::{CaseSummary, Report};

const WIDTH: usize = 100;
const LABEL: usize = 26;
const VALUE: usize = 22;
const CATEGORY: usize = 18;
const CASE: usize = 22;
/// Columns by category that have room.
const COLUMNS: usize = 5;
/// Of so many cases each has a block of its own.
const BLOCKS: usize = 3;

/// The whole report as plain text, each line ended.
pub fn render(report: &Report) -> String {
    let mut lines = Vec::new();
    for sentence in headline(report) {
        lines.extend(wrap(&sentence, WIDTH));
    }
    lines.push(String::new());
    for draft in &report.header.drafts {
        lines.extend(labelled("draft", &model(draft)));
    }
    lines.extend(labelled("target", &model(&report.header.target)));
    let rows = overview(report);
    if !rows.is_empty() {
        lines.push(String::new());
        let [case, _, rate, length, speedup, _] = OVERVIEW_COLUMNS;
        let rows = rows.into_iter().map(|[case, _, rate, length, speedup, _]| {
            vec![shortened(&case, CASE), rate, length, speedup]
        });
        lines.extend(grid(&[case, rate, length, speedup], rows));
        lines.push(String::new());
    }
    if shown(report).count() <= BLOCKS {
        for [cases, figure, difference] in difference_rows(report) {
            lines.extend(labelled("difference", &format!("{cases}: {figure} {difference}")));
        }
        shown(report).for_each(|case| lines.extend(block(case)));
    }
    if let Some((header, rows)) = leaderboard::rows(report, Names::Short) {
        lines.push(String::new());
        let rows = rows.into_iter().map(|mut row| {
            row[0] = shortened(&row[0], CASE);
            row.to_vec()
        });
        lines.extend(grid(&header.each_ref().map(String::as_str), rows));
    }
    lines.push(String::new());
    for (label, text) in remarks(report) {
        lines.extend(labelled(label, &text));
    }
    lines.extend(wrap(&method_note(report), WIDTH));
    lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// The figures of a case, overall and by category.
fn block(case: &CaseSummary) -> Vec<String> {
    let metrics = &case.overall;
    let generations = format!("{} prompts, {} generations", metrics.prompts, metrics.generations);
    let mut lines = vec![String::new()];
    lines.extend(labelled(&case.case, &generations));
    for row in case_rows(case) {
        let text = match row.note.as_str() {
            "" => row.value,
            note => format!("{:<VALUE$} {note}", row.value),
        };
        lines.extend(labelled(&format!("  {}", row.label), &text));
    }
    let categories = category_rows(case);
    if !categories.is_empty() {
        lines.push(String::new());
        let cut = |mut row: [String; 7]| {
            row[0] = shortened(&row[0], CATEGORY);
            row[..COLUMNS].to_vec()
        };
        lines.extend(grid(&CATEGORY_COLUMNS[..COLUMNS], categories.into_iter().map(cut)));
    }
    lines
}

fn grid(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string().lines().map(str::to_owned).collect()
}

fn shortened(name: &str, width: usize) -> String {
    match name.char_indices().nth(width) {
        None => name.to_owned(),
        Some(_) => name.chars().take(width - 1).chain(['…']).collect(),
    }
}

/// A label and its text, the text's later lines set below its first.
pub(crate) fn labelled(label: &str, text: &str) -> Vec<String> {
    let first = |place| if place == 0 { label } else { "" };
    wrap(text, WIDTH - LABEL)
        .iter()
        .enumerate()
        .map(|(place, line)| format!("{:<LABEL$}{line}", first(place)))
        .collect()
}

/// Breaks at spaces so that no line has more than `width` characters, a single word excepted.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::Estimate;
    use crate::report::samples::report;
    use crate::report::{scaled, significant, speedup_in_words, whole};

    const TEXT: &str = "\
llama-68m drafts for llama-3.1-8b: slem, gamma 2, temperature 0
6 of 480 prompts of spec-bench, up to 26 new tokens, on cpu in float32, seed 7

draft                     llama-68m: llama, 68.0 M parameters, 32,000 tokens (bpe), context 2,048
target                    llama-3.1-8b: llama, 8.03 B parameters, 128,256 tokens (bpe), context
                          2,048

slem                      6 prompts, 6 generations
  speed-up                0.927 [0.767, 1.08]    no difference shown (95 % interval 0.767 to 1.08)
  tokens/s, slem          9.27 [7.67, 10.8]
  tokens/s, plain         10.0 [10.0, 10.0]
  speed-up if c = 0.01    1.76 [1.58, 1.99]      where a draft pass costs c of a target pass
  speed-up if c = 0.05    1.59 [1.44, 1.78]
  speed-up if c = 0.1     1.41 [1.27, 1.58]
  speed-up if c = 0.3     0.980 [0.881, 1.08]
  acceptance rate, pooled 0.430 [0.333, 0.525]   43 of 100 candidates
  acceptance rate, mean   0.425 [0.300, 0.550]   mean over prompts
  mean acceptance length  1.81 [1.62, 2.05]      tokens a step; the prefill's token is no step
  without the bonus       0.811 [0.621, 1.05]    candidates accepted a step
  survival by position    0.528 0.283            of all steps
  conditional on the last 0.560 0.536            of the steps that came so far
  steps                   50 speculative, 3 plain
  draft model tokens      200                    in 150 passes; window moved 0 times
  a pass                  draft 14.7 ms, target 100 ms: c = 0.147; overhead 20.8 ms a step
  foretold by the costs   1.00                   measured 0.927 [0.767, 1.07]; prefills left out
  by Leviathan et al.     1.43                   α = 0.551, verification free
  best size               1, speed-up 1.01
  time                    prefill 10.0 %, draft 20.0 %, align 5.00 %, verify 60.0 %, other 5.00 %
  greedy identity         0.667 [0.223, 0.957]   4 of 6 prompts as plain greedy decoding; ties: 1
  tokens a generation     17.0                   50.0 % end with end-of-text

 category  prompts  acceptance rate  acceptance length  speed-up
 coding          3            0.700               2.35      1.16
 writing         3            0.160               1.30     0.691

vocabulary                16,000 tokens shared: 50.0 % of the draft's 32,000, 12.5 % of the target's
                          128,256
peak memory               process 1.50 GiB, device -
skipped                   rag 2 too long and 1 inexpressible, qa 3 inexpressible
warning                   the draft maps <unk> | nothing
[low, high] are 95 % intervals: BCa bootstrap over prompts, stratified by category; Clopper-Pearson
for greedy identity. Fewer than 5 prompts give none. Prefill is timed; loading and warm-up (prompts:
1) are not.
";

    #[test]
    fn the_table_of_six_prompts() {
        assert_eq!(render(&report()), TEXT);
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        let mut report = report();
        let case = &mut report.cases[1];
        let small = Estimate { value: Some(0.012_34), low: Some(0.010_23), high: Some(0.020_34) };
        case.overall.acceptance_by_position = vec![small; 24];
        let mut metrics = case.by_category["coding"].clone();
        metrics.draft_acceptance_rate = small;
        metrics.mean_acceptance_length =
            Estimate { value: Some(1.02), low: Some(1.01), high: Some(1.03) };
        metrics.speedup = Estimate { value: Some(0.912), low: Some(0.871), high: Some(0.945) };
        case.by_category.insert("a category with a long name".to_owned(), metrics);
        report.warnings.push("a long warning ".repeat(20));
        let text = render(&report);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("a category with a…"), "{text}");
    }

    #[test]
    fn three_significant_digits() {
        let texts = [
            (0.0, "0"),
            (1.0, "1.00"),
            (0.312_4, "0.312"),
            (0.999_6, "1.00"),
            (9.996, "10.0"),
            (0.000_012_3, "0.0000123"),
            (-0.5, "-0.500"),
            (99.96, "100"),
            (1_234.0, "1230"),
            (1.5e-7, "1.50e-7"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in texts {
            assert_eq!(significant(value), text);
        }
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1_000, 1_234_567].map(whole));
        assert_eq!(scaled(8_030_000_000, &["", "K", "M", "B"], 1e3), "8.03 B");
        assert_eq!(scaled(12, &["", "K", "M", "B"], 1e3), "12.0");
    }

    #[test]
    fn the_speedup_says_what_it_shows() {
        let words = |value, low, high| speedup_in_words(&Estimate { value, low, high });
        let no_difference = "no difference shown (95 % interval 0.970 to 1.03)";
        assert_eq!(words(Some(1.0), Some(0.97), Some(1.03)), no_difference);
        assert_eq!(words(Some(1.3), Some(1.2), Some(1.4)), "faster than plain decoding");
        assert_eq!(words(Some(0.7), Some(0.6), Some(0.8)), "slower than plain decoding");
        assert_eq!(words(Some(1.3), None, None), "no interval, so no claim");
        assert_eq!(words(None, None, None), "not measured");
    }
}
