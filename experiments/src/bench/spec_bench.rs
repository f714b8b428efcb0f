//! The columns of Spec-Bench's leaderboard, from our records, by the definitions of its scripts
//! (`evaluation/speed.py`): each question's tokens/s, both turns together, their means over a task's
//! questions, and the ratio of these.

use std::collections::BTreeMap;

use super::record::{PLAIN, Record, SpecBench};

/// A task of the leaderboard and its categories in `question.jsonl`.
const TASKS: [(&str, &[&str]); 6] = [
    (
        "MT-bench",
        &["writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities"],
    ),
    ("Translation", &["translation"]),
    ("Summarization", &["summarization"]),
    ("Question Answering", &["qa"]),
    ("Mathematical Reasoning", &["math_reasoning"]),
    ("Retrieval-aug. Generation", &["rag"]),
];

/// The task of a category.
fn task(category: &str) -> Option<&'static str> {
    let has = |(_, categories): &&(&str, &[&str])| categories.contains(&category);
    TASKS.iter().find(has).map(|(task, _)| *task)
}

/// Tokens and seconds of a question, by a method and plain.
#[derive(Default)]
struct Question {
    task: &'static str,
    own: [f64; 2],
    plain: [f64; 2],
}

/// The columns of a case; `None` unless all six tasks were run, so that other prompt files have none.
pub(super) fn columns(records: &[Record], case: &str, temperature: f64) -> Option<SpecBench> {
    let mut questions: BTreeMap<usize, Question> = BTreeMap::new();
    let (mut tokens, mut steps) = (0, 0);
    for record in records.iter().filter(|record| record.temperature == temperature) {
        let task = task(&record.category)?;
        let question = questions.entry(record.prompt_index).or_default();
        question.task = task;
        let sums = if record.case == case {
            tokens += record.counts.num_step_tokens;
            steps += record.counts.steps();
            &mut question.own
        } else if record.method == PLAIN {
            &mut question.plain
        } else {
            continue;
        };
        sums[0] += record.counts.num_emitted_tokens as f64;
        sums[1] += record.seconds.total;
    }
    let ratio = |wanted: Option<&str>| {
        let mut means = [0.0; 2];
        let own = |question: &&Question| wanted.is_none_or(|task| question.task == task);
        for question in questions.values().filter(own) {
            means[0] += question.own[0] / question.own[1];
            means[1] += question.plain[0] / question.plain[1];
        }
        Some(means[0] / means[1]).filter(|ratio| ratio.is_finite())
    };
    let tasks = TASKS.iter().map(|(task, _)| Some(((*task).to_owned(), ratio(Some(task))?)));
    Some(SpecBench {
        tasks: tasks.collect::<Option<_>>()?,
        mean_accepted_tokens: tokens as f64 / steps as f64,
        overall: ratio(None)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::summary::tests::record;

    fn of(index: usize, category: &str, case: &str, seconds: f64) -> Record {
        let mut record = record(index % 6, case);
        record.prompt_index = index;
        record.category = category.to_owned();
        record.counts.num_emitted_tokens = 60;
        record.seconds.total = seconds;
        record
    }

    #[test]
    fn a_speedup_is_a_ratio_of_means_of_questions() {
        let categories = ["writing", "translation", "summarization", "qa", "math_reasoning", "rag"];
        let mut records = Vec::new();
        for (index, category) in categories.into_iter().enumerate() {
            records.push(of(index, category, PLAIN, 6.0));
            records.push(of(index, category, "slem", 3.0));
        }
        // A second question of MT-bench: 30 and 10 tokens/s against 20 and 10.
        records.push(of(9, "math", PLAIN, 6.0));
        records.push(of(9, "math", "slem", 2.0));
        let found = columns(&records, "slem", 0.0).unwrap();
        assert!((found.tasks["MT-bench"] - 50.0 / 20.0).abs() < 1e-12);
        assert!((found.tasks["Translation"] - 2.0).abs() < 1e-12);
        assert!((found.overall - 150.0 / 70.0).abs() < 1e-12);
        records.retain(|record| record.category != "rag");
        assert_eq!(columns(&records, "slem", 0.0), None);
    }
}
