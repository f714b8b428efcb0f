//! The columns of Spec-Bench's leaderboard beside ours, and how its definitions differ. The figures are
//! `bench::spec_bench`'s.

use super::{shown, significant};
use crate::bench::record::Report;
use crate::bench::spec_bench::TASKS;

/// How its columns are named: in full, or in short where there is little room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Full,
    Short,
}

/// The header and a row for each case that has these columns; nothing where none has.
pub(super) fn rows(report: &Report, names: Names) -> Option<([String; 9], Vec<[String; 9]>)> {
    let own = shown(report).filter_map(|case| Some((case, case.spec_bench.as_ref()?)));
    let rows: Vec<[String; 9]> = own
        .map(|(case, columns)| {
            let times = |speedup: f64| format!("{}x", significant(speedup));
            let task =
                |name: &str| columns.tasks.get(name).map_or("-".to_owned(), |own| times(*own));
            let tasks = TASKS.map(|(name, ..)| task(name));
            let tokens = significant(columns.mean_accepted_tokens);
            line(case.case.clone(), tasks, [tokens, times(columns.overall)])
        })
        .collect();
    let (tasks, last) = match names {
        Names::Full => (TASKS.map(|(name, ..)| name), ["#Mean Accepted Tokens", "Overall"]),
        Names::Short => (TASKS.map(|(_, short, _)| short), ["#MAT", "overall"]),
    };
    let header = line("Spec-Bench".to_owned(), tasks.map(str::to_owned), last.map(str::to_owned));
    (!rows.is_empty()).then_some((header, rows))
}

fn line(first: String, tasks: [String; 6], last: [String; 2]) -> [String; 9] {
    let mut line = std::array::from_fn(|_| String::new());
    let cells = [first].into_iter().chain(tasks).chain(last);
    for (cell, text) in line.iter_mut().zip(cells) {
        *cell = text;
    }
    line
}

/// How its definitions differ from ours; `None` where its columns are not shown.
pub(super) fn differences(report: &Report) -> Option<String> {
    let columns = shown(report).find_map(|case| case.spec_bench.as_ref())?;
    let part = match columns.tasks.len() {
        all if all == TASKS.len() => "",
        _ => " Overall is over the tasks that were run.",
    };
    Some(format!(
        "its speed-ups are ratios of mean tokens/s over questions, both turns together; ours divide all \
         tokens by all seconds. #Mean Accepted Tokens (#MAT) is the mean acceptance length; its SpS counts \
         the pass over the prompt as a step too. Its baseline encodes the text again to count tokens, and \
         each method goes on from its own answer; here tokens count as emitted, and all go on from the \
         plain answer. Its leaderboard is greedy, in fp16, with up to 1,024 new tokens a turn.{part}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::SpecBench;
    use crate::report::samples::report;
    use crate::report::{markdown, table};

    #[test]
    fn tasks_that_were_not_run_have_no_figure() {
        let mut report = report();
        assert_eq!(rows(&report, Names::Full), None);
        assert_eq!(differences(&report), None);
        let tasks = [("Question Answering".to_owned(), 1.864), ("Translation".to_owned(), 1.37)];
        report.cases[1].spec_bench =
            Some(SpecBench { tasks: tasks.into(), mean_accepted_tokens: 2.284, overall: 1.6 });
        let page = markdown::render(&report);
        assert!(page.contains("| slem | - | 1.37x | - | 1.86x | - | - | 2.28 | 1.60x |"), "{page}");
        assert!(
            page.contains("| Multi-turn Conversation | Translation | Summarization |"),
            "{page}"
        );
        let text = table::render(&report);
        let row: Vec<&str> = text
            .lines()
            .find(|line| line.contains("1.37x"))
            .map(|line| line.split_whitespace().collect())
            .unwrap_or_default();
        assert_eq!(row, ["slem", "-", "1.37x", "-", "1.86x", "-", "-", "2.28", "1.60x"], "{text}");
        assert!(page.contains("Overall is over the tasks that were run."), "{page}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
