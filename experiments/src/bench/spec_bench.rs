//! The columns of Spec-Bench's leaderboard, from our records, by the definitions of its scripts
//! (`evaluation/speed.py`): each question's tokens/s, both turns together, their means over a task's
//! questions, and the ratio of these. Knows the names of its tasks.

use std::collections::BTreeMap;

use super::record::{PLAIN, Record, SpecBench};

/// The tasks in the leaderboard's order and words, in short, and their categories in `question.jsonl`.
pub const TASKS: [(&str, &str, &[&str]); 6] = [
    (
        "Multi-turn Conversation",
        "turns",
        &["writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities"],
    ),
    ("Translation", "transl.", &["translation"]),
    ("Summarization", "summ.", &["summarization"]),
    ("Question Answering", "QA", &["qa"]),
    ("Mathematical Reasoning", "math", &["math_reasoning"]),
    ("Retrieval-aug. Generation", "RAG", &["rag"]),
];

/// The task of a category.
fn task(category: &str) -> Option<&'static str> {
    TASKS.iter().find(|(_, _, categories)| categories.contains(&category)).map(|(task, ..)| *task)
}

/// Tokens and seconds of a question, by a method and plain.
#[derive(Default)]
struct Question {
    task: &'static str,
    own: [f64; 2],
    plain: [f64; 2],
}

/// The columns of a case, for the tasks that were run; `None` where a category is none of Spec-Bench's, so
/// that other prompt files have none.
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
    questions.retain(|_, question| question.own[1] > 0.0 && question.plain[1] > 0.0);
    let ratio = |wanted: Option<&str>| {
        let mut means = [0.0; 2];
        let own = |question: &&Question| wanted.is_none_or(|task| question.task == task);
        for question in questions.values().filter(own) {
            means[0] += question.own[0] / question.own[1];
            means[1] += question.plain[0] / question.plain[1];
        }
        Some(means[0] / means[1]).filter(|ratio| ratio.is_finite())
    };
    let tasks =
        TASKS.iter().filter_map(|(task, ..)| Some(((*task).to_owned(), ratio(Some(task))?)));
    Some(SpecBench {
        tasks: tasks.collect(),
        mean_accepted_tokens: (steps > 0).then(|| tokens as f64 / steps as f64)?,
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
        assert!((found.tasks["Multi-turn Conversation"] - 50.0 / 20.0).abs() < 1e-12);
        assert!((found.tasks["Translation"] - 2.0).abs() < 1e-12);
        assert!((found.overall - 150.0 / 70.0).abs() < 1e-12);
        // By hand: step tokens over steps.
        let own = || records.iter().filter(|record| record.case == "slem");
        let sums = own().fold((0, 0), |(tokens, steps), record| {
            (tokens + record.counts.num_step_tokens, steps + record.counts.steps())
        });
        assert!((found.mean_accepted_tokens - sums.0 as f64 / sums.1 as f64).abs() < 1e-12);
    }

    #[test]
    fn some_tasks_are_enough_and_foreign_prompts_have_none() {
        let mut records = Vec::new();
        for (index, category) in ["qa", "rag"].into_iter().enumerate() {
            records.push(of(index, category, PLAIN, 6.0));
            records.push(of(index, category, "slem", 3.0 + index as f64));
        }
        let found = columns(&records, "slem", 0.0).unwrap();
        assert_eq!(found.tasks.len(), 2);
        assert!((found.overall - (20.0 + 15.0) / 20.0).abs() < 1e-12);
        // A question that plain decoding has not come to is none yet.
        records.push(of(2, "qa", "slem", 1.0));
        assert_eq!(columns(&records, "slem", 0.0).unwrap().tasks, found.tasks);
        records.push(of(3, "recipes", PLAIN, 6.0));
        assert_eq!(columns(&records, "slem", 0.0), None);
    }
}
