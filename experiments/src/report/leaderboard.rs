//! How the columns of Spec-Bench's leaderboard differ from ours. The figures are `bench::spec_bench`'s, their
//! table one of `tables`.

use crate::bench::record::Report;
use crate::bench::spec_bench::TASKS;

/// How its definitions differ from ours; `None` where its columns are not shown.
pub(crate) fn differences(report: &Report) -> Option<String> {
    let columns = report.cases.iter().find_map(|case| case.spec_bench.as_ref())?;
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
        assert_eq!(differences(&report), None);
        let tasks = [("Question Answering".to_owned(), 1.864), ("Translation".to_owned(), 1.37)];
        report.cases[1].spec_bench =
            Some(SpecBench { tasks: tasks.into(), mean_accepted_tokens: 2.284, overall: 1.6 });
        let page = markdown::render(&report);
        assert!(page.contains("| slem | - | 1.37 | - | 1.86 | - | - | 2.28 | 1.60 |"), "{page}");
        assert!(
            page.contains("| Multi-turn Conversation | Translation | Summarization |"),
            "{page}"
        );
        let text = table::render(&report);
        let row: Vec<&str> = text
            .lines()
            .find(|line| line.contains("1.37 "))
            .map(|line| line.split_whitespace().collect())
            .unwrap_or_default();
        assert_eq!(row, ["slem", "-", "1.37", "-", "1.86", "-", "-", "2.28", "1.60"], "{text}");
        assert!(page.contains("Overall is over the tasks that were run."), "{page}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
