//! The result in plain words: what was accepted, what it is worth, and what is not shown.

use super::view::{ShownCase, View};
use super::words::{Form, Words, estimate, speedup_in_words};
use crate::bench::record::{Estimate, Metrics};

/// A few sentences that stand before every table.
pub(crate) fn summary(view: &View<'_>) -> Vec<Words> {
    let cases = view.cases();
    let speculative: Vec<_> = cases.iter().filter(|own| !own.case.settings.is_plain()).collect();
    match &speculative[..] {
        [] => Vec::new(),
        [only] => of_one(only),
        several => of_several(several),
    }
}

fn figure(shown: &ShownCase<'_>, name: &str, own: &Estimate, form: Form) -> Words {
    estimate(&shown.at.to("overall").to(name), own, form)
}

fn speedup(shown: &ShownCase<'_>) -> Words {
    let own = &shown.case.overall.speedup;
    let words = speedup_in_words(&shown.at.to("overall/speedup"), own);
    match own.value {
        None => words,
        Some(_) => figure(shown, "speedup", own, Form::Significant)
            .say(" times the speed of plain decoding: ")
            .and(words),
    }
}

fn of_one(shown: &ShownCase<'_>) -> Vec<Words> {
    let metrics = &shown.case.overall;
    let what = if shown.case.settings.tree.is_some() { "tree's nodes" } else { "candidates" };
    let rate = &metrics.draft_acceptance_rate;
    let accepted = Words::from(format!("Of the {what}, "))
        .and(figure(shown, "draft_acceptance_rate", rate, Form::Percent))
        .say(" were accepted, and a step of the target yields ")
        .and(figure(
            shown,
            "mean_acceptance_length",
            &metrics.mean_acceptance_length,
            Form::Significant,
        ))
        .say(" tokens, the bonus included.");
    let mut found = vec![accepted, Words::from("Text comes at ").and(speedup(shown)).say(".")];
    if let Some(costs) = &shown.case.costs {
        let at = shown.at.to("costs");
        found.push(
            Words::from("Of decoding alone, the costs of passes foretell ")
                .number(at.to("predicted"), costs.predicted, Form::Significant)
                .say(", and ")
                .and(estimate(&at.to("measured"), &costs.measured, Form::Significant))
                .say(" was measured."),
        );
    }
    found.extend(identity(std::slice::from_ref(&shown)));
    found
}

fn of_several(cases: &[&ShownCase<'_>]) -> Vec<Words> {
    let mut found = Vec::new();
    let of = |pick: fn(&ShownCase<'_>) -> Option<f64>| {
        let valued = cases.iter().filter_map(|own| Some((own, pick(own)?)));
        valued.max_by(|a, b| a.1.total_cmp(&b.1)).map(|own| *own.0)
    };
    if let Some(best) = of(|own| own.case.overall.speedup.value) {
        found.push(
            Words::from(format!("Of {} cases, {} is the fastest, with ", cases.len(), best.name))
                .and(speedup(best))
                .say("."),
        );
    }
    if let Some(best) = of(|own| own.case.overall.mean_acceptance_length.value) {
        let length = &best.case.overall.mean_acceptance_length;
        found.push(
            Words::from(format!("The most tokens a step come from {}: ", best.name))
                .and(figure(best, "mean_acceptance_length", length, Form::Significant))
                .say(", the bonus included."),
        );
    }
    let shown = |holds: fn(&Estimate) -> bool| {
        cases.iter().filter(|own| holds(&own.case.overall.speedup)).count()
    };
    let faster = shown(|own| own.low.is_some_and(|low| low > 1.0));
    let slower = shown(|own| own.high.is_some_and(|high| high < 1.0));
    found.push(
        format!(
            "Shown to be faster than plain decoding: {faster} of {}; shown to be slower: {slower}; no \
             difference shown: {}.",
            cases.len(),
            cases.len() - faster - slower
        )
        .into(),
    );
    found.push(
        "The best of many cases looks better than it is; its figures hold when it is run again on other \
         prompts."
            .into(),
    );
    found.extend(identity(cases));
    found
}

/// Whether greedy texts are those of plain decoding.
fn identity(cases: &[&ShownCase<'_>]) -> Option<Words> {
    let metrics = || cases.iter().map(|own| &own.case.overall).filter(|own| own.greedy_prompts > 0);
    let prompts: usize = metrics().map(|own| own.greedy_prompts).sum();
    let share = |own: &Metrics| own.greedy_identical.and_then(|own| own.value).unwrap_or(0.0);
    let same: f64 = metrics().map(|own| share(own) * own.greedy_prompts as f64).sum();
    let ties: usize = metrics().map(|own| own.greedy_ties).sum();
    let same = same.round() as usize;
    let text = match (prompts, prompts - same) {
        (0, _) => return None,
        (_, 0) => format!("At temperature 0 all {prompts} texts are those of plain decoding."),
        (_, other) => format!(
            "At temperature 0, {same} of {prompts} texts are those of plain decoding; {ties} of the \
             other {other} differ first at ties."
        ),
    };
    Some(text.into())
}
