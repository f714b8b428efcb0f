//! The tables of a report: cases side by side, their differences, and what one case did by position, by
//! category, by what the draft said, by the size of a pass. Which figures they hold, not how they look.

use super::document::{Kind, Table};
use super::rows::{Row, case_rows, further_rows};
use super::view::{Shown, ShownCase, View};
use super::words::{At, Form, Words, count, difference, estimate, number};
use crate::bench::record::{
    AcceptanceBin, CaseDifference, Estimate, Metrics, SizeSpeedup, SpecBench, VocabularyPanel,
};
use crate::bench::spec_bench::TASKS;

const NAME: Kind = Kind::Name;
const FIGURE: Kind = Kind::Figure;
const PROSE: Kind = Kind::Prose;

fn plain(at: &At, own: &Estimate) -> Words {
    estimate(at, own, Form::Significant)
}

/// The cases side by side.
pub(crate) fn overview(view: &View<'_>) -> Table {
    let row = |shown: ShownCase<'_>| {
        let (metrics, at) = (&shown.case.overall, shown.at.to("overall"));
        let foretold = shown.case.costs.as_ref().map_or_else(Words::default, |costs| {
            number(shown.at.to("costs/predicted"), costs.predicted, Form::Significant)
        });
        [
            shown.name.into(),
            count(at.to("prompts"), metrics.prompts as u64),
            plain(&at.to("draft_acceptance_rate"), &metrics.draft_acceptance_rate),
            plain(&at.to("mean_acceptance_length"), &metrics.mean_acceptance_length),
            plain(&at.to("speedup"), &metrics.speedup),
            foretold,
        ]
    };
    let columns = [
        ("case", NAME),
        ("prompts", FIGURE),
        ("acceptance rate", FIGURE),
        ("acceptance length", FIGURE),
        ("speed-up", FIGURE),
        ("foretold", FIGURE),
    ];
    let caption = "The cases: acceptance rate pooled over prompts, tokens a step with the bonus, speed-up \
                   over plain decoding, and the speed-up of decoding that the costs foretell";
    Table::new(caption, columns, view.cases().into_iter().map(row))
}

/// The paired differences between cases, figure by figure.
pub(crate) fn differences(view: &View<'_>) -> Table {
    let row = |(at, own): (At, CaseDifference)| {
        let figure = |name: &str| {
            let place = own.figures.iter().position(|figure| figure.name == name);
            place.map_or_else(
                || "not measured".into(),
                |index| difference(&at.to("figures").index(index), &own.figures[index]),
            )
        };
        let [rate, length, speedup] =
            ["draft_acceptance_rate", "mean_acceptance_length", "speedup"].map(figure);
        let prompts = count(at.to("prompts"), own.prompts as u64);
        [own.to.into(), own.from.into(), rate, length, speedup, prompts]
    };
    let columns = [
        ("case", NAME),
        ("less", NAME),
        ("acceptance rate", PROSE),
        ("acceptance length", PROSE),
        ("speed-up", PROSE),
        ("prompts", FIGURE),
    ];
    let caption = "Differences between cases, paired prompt by prompt: the first less the second";
    Table::new(caption, columns, view.differences().into_iter().map(row))
}

/// All figures of a case, a row each.
pub(crate) fn figures(shown: &ShownCase<'_>) -> Table {
    let rows = case_rows(shown).into_iter().chain(further_rows(shown));
    let row = |Row { label, value, note }| [Words::from(label), value, note];
    let caption = format!("The figures of {}", shown.name);
    Table::new(caption, [("", NAME), ("value", FIGURE), ("", PROSE)], rows.map(row))
}

/// Acceptance by position, with intervals, and how many steps accepted exactly so many.
pub(crate) fn positions(shown: &ShownCase<'_>) -> Table {
    let (metrics, at) = (&shown.case.overall, shown.at.to("overall"));
    let (counts, counted) = (&metrics.counts, at.to("counts"));
    let optional = |name: &str, list: &[u64], index: usize| {
        list.get(index)
            .map_or_else(Words::default, |own| count(counted.to(name).index(index), *own))
    };
    let share = |name: &str, list: &[Estimate], index: usize| {
        list.get(index).map_or_else(Words::default, |own| plain(&at.to(name).index(index), own))
    };
    let row = |place: usize| {
        let exactly = optional("acceptance_histogram", &counts.acceptance_histogram, place);
        let Some(index) = place.checked_sub(1) else {
            return ["0".into(), "".into(), "".into(), "".into(), exactly];
        };
        let (survival, conditional) =
            (&metrics.acceptance_by_position, &metrics.conditional_acceptance_by_position);
        [
            place.to_string().into(),
            optional("proposed_by_position", &counts.proposed_by_position, index),
            share("acceptance_by_position", survival, index),
            share("conditional_acceptance_by_position", conditional, index),
            exactly,
        ]
    };
    let columns = [
        ("position", FIGURE),
        ("steps that proposed it", FIGURE),
        ("survival, of all steps", FIGURE),
        ("conditional on the last", FIGURE),
        ("steps with exactly so many accepted", FIGURE),
    ];
    let most = metrics.acceptance_by_position.len();
    let rows = (0..=most).filter(|_| most > 0).map(row);
    Table::new(format!("Acceptance by position of {}", shown.name), columns, rows)
}

/// A case by category; nothing for a single category.
pub(crate) fn categories(shown: &ShownCase<'_>) -> Table {
    let row = |(category, metrics): (&String, &Metrics)| {
        let at = shown.at.to("by_category").key(category);
        let figure = |name: &str, own| plain(&at.to(name), own);
        [
            category.into(),
            count(at.to("prompts"), metrics.prompts as u64),
            figure("draft_acceptance_rate", &metrics.draft_acceptance_rate),
            figure("mean_acceptance_length", &metrics.mean_acceptance_length),
            figure("speedup", &metrics.speedup),
            figure("target_tokens_per_second", &metrics.target_tokens_per_second),
            figure("plain_tokens_per_second", &metrics.plain_tokens_per_second),
            histogram(&at.to("counts/acceptance_histogram"), &metrics.counts.acceptance_histogram),
        ]
    };
    let columns = [
        ("category", NAME),
        ("prompts", FIGURE),
        ("acceptance rate", FIGURE),
        ("acceptance length", FIGURE),
        ("speed-up", FIGURE),
        ("tokens/s", FIGURE),
        ("plain tokens/s", FIGURE),
        ("steps with 0, 1, … accepted", FIGURE),
    ];
    let categories = shown.case.by_category.iter().filter(|_| shown.case.by_category.len() > 1);
    Table::new(format!("{} by category", shown.name), columns, categories.map(row))
}

fn histogram(at: &At, steps: &[u64]) -> Words {
    let mut words = Words::default();
    for (index, own) in steps.iter().enumerate() {
        words = words.say(if index == 0 { "" } else { " " }).count(at.index(index), *own);
    }
    words
}

/// Acceptance by what the draft said, for both of its kinds.
pub(crate) fn calibration(shown: &ShownCase<'_>) -> [Table; 2] {
    let (metrics, at) = (&shown.case.overall, shown.at.to("overall"));
    let (probability, entropy) =
        (&metrics.acceptance_by_probability, &metrics.acceptance_by_entropy);
    let table = |caption: &str, said: &'static str, at: At, bins: &[AcceptanceBin]| {
        let columns = [(said, NAME), ("candidates", FIGURE), ("acceptance", FIGURE)];
        let rows: Vec<_> = bins.iter().enumerate().map(|own| bin(&at, own)).collect();
        Table::new(format!("{caption} of {}", shown.name), columns, rows)
    };
    [
        table(
            "Acceptance by the draft's probability of the candidate",
            "probability",
            at.to("acceptance_by_probability"),
            probability,
        ),
        table(
            "Acceptance by the entropy of the draft's law",
            "entropy in nats",
            at.to("acceptance_by_entropy"),
            entropy,
        ),
    ]
}

fn bin(at: &At, (index, bin): (usize, &AcceptanceBin)) -> [Words; 3] {
    let at = at.index(index);
    let to = bin.to.map_or_else(|| "on".to_owned(), |to| format!("to {to}"));
    [
        format!("{} {to}", bin.from).into(),
        count(at.to("candidates"), bin.candidates),
        plain(&at.to("acceptance"), &bin.acceptance),
    ]
}

/// Passes of the target by their number of candidates.
pub(crate) fn passes(shown: &ShownCase<'_>) -> Table {
    let at = shown.at.to("costs/verify_passes");
    let times = shown.case.costs.iter().flat_map(|costs| costs.verify_passes.times()).enumerate();
    let row = |(index, time): (usize, &target::PassTime)| {
        let at = at.index(index);
        [
            count(at.to("candidates"), time.candidates as u64),
            count(at.to("passes"), time.passes),
            number(at.to("seconds"), time.seconds, Form::Milliseconds),
        ]
    };
    let columns = [("candidates", FIGURE), ("passes", FIGURE), ("all of them took", FIGURE)];
    Table::new(format!("Passes of the target in {}", shown.name), columns, times.map(row))
}

/// The speed-up foretold for other numbers of candidates.
pub(crate) fn sizes(shown: &ShownCase<'_>) -> Table {
    let at = shown.at.to("costs/by_size");
    let sizes = shown.case.costs.iter().flat_map(|costs| &costs.by_size).enumerate();
    let row = |(index, own): (usize, &SizeSpeedup)| {
        let at = at.index(index);
        [
            count(at.to("candidates"), own.candidates as u64),
            number(at.to("speedup"), own.speedup, Form::Significant),
        ]
    };
    let caption = format!("Speed-up foretold for other numbers of candidates of {}", shown.name);
    Table::new(caption, [("candidates", FIGURE), ("speed-up foretold", FIGURE)], sizes.map(row))
}

/// Spec-Bench's own columns, where its questions were run.
pub(crate) fn spec_bench(view: &View<'_>) -> Table {
    let cases = view.cases().into_iter();
    let rows = cases.filter_map(|shown| Some((shown.case.spec_bench.clone()?, shown)));
    let row = |(own, shown): (SpecBench, ShownCase<'_>)| {
        let at = shown.at.to("spec_bench");
        let task = |name: &str| {
            let value = own.tasks.get(name).copied();
            number(at.to("tasks").key(name), value, Form::Significant)
        };
        let [turns, translation, summary, qa, math, rag] = TASKS.map(|(name, ..)| task(name));
        let length =
            number(at.to("mean_accepted_tokens"), own.mean_accepted_tokens, Form::Significant);
        let overall = number(at.to("overall"), own.overall, Form::Significant);
        [shown.name.into(), turns, translation, summary, qa, math, rag, length, overall]
    };
    let [turns, translation, summary, qa, math, rag] = TASKS.map(|(name, ..)| (name, FIGURE));
    let columns = [
        ("case", NAME),
        turns,
        translation,
        summary,
        qa,
        math,
        rag,
        ("#Mean Accepted Tokens", FIGURE),
        ("Overall", FIGURE),
    ];
    let caption = "the columns of Spec-Bench's leaderboard by its own definitions; no interval";
    Table::new(caption, columns, rows.map(row))
}

/// How far the vocabularies of a run overlap.
pub(crate) fn vocabularies(run: &Shown<'_>) -> Table {
    let at = run.at.to("vocabularies");
    let panels = run.report.vocabularies.iter().enumerate();
    let row = |(index, panel): (usize, &VocabularyPanel)| {
        let at = at.index(index);
        let tokens = |name: &str, value: usize| count(at.to(name), value as u64);
        let share = |name: &str, value| number(at.to(name), value, Form::Percent);
        let rate = |name: &str, value: Option<f64>| number(at.to(name), value, Form::Significant);
        [
            panel.draft.clone().into(),
            tokens("shared", panel.shared),
            tokens("draft_tokens", panel.draft_tokens),
            share("share_of_draft", panel.share_of_draft),
            tokens("target_tokens", panel.target_tokens),
            share("share_of_target", panel.share_of_target),
            estimate(&at.to("shared_mass"), &panel.shared_mass, Form::Significant),
            rate("draft_bytes_per_token", panel.draft_bytes_per_token),
            rate("target_bytes_per_token", panel.target_bytes_per_token),
        ]
    };
    let columns = [
        ("draft", NAME),
        ("shared tokens", FIGURE),
        ("draft's tokens", FIGURE),
        ("shared of them", FIGURE),
        ("target's tokens", FIGURE),
        ("shared of them", FIGURE),
        ("E[p(M)]", FIGURE),
        ("draft's bytes a token", FIGURE),
        ("target's", FIGURE),
    ];
    let whose = if run.name.is_empty() { String::new() } else { format!(" of {}", run.name) };
    Table::new(format!("The vocabularies{whose}"), columns, panels.map(row))
}
