//! What a reader should know before using a report's figures. Knows the report only.

use super::record::{CaseSummary, Estimate, Record, Report};

/// An interval wider than this share of its figure says little.
const WIDE: f64 = 0.5;

/// Plain decoding whose tokens/s vary more from prompt to prompt, as a coefficient of variation of
/// neighbours, was disturbed.
const NOISY: f64 = 0.1;

/// All warnings of a report.
pub(super) fn warnings(report: &Report, records: &[Record]) -> Vec<String> {
    let mut warnings = Vec::new();
    if report.header.prompts.run < 30 {
        warnings.push(format!(
            "only {} prompts: intervals of fewer than 30 are wide and their coverage is uncertain",
            report.header.prompts.run
        ));
    }
    if report.header.settings.ignore_eos {
        warnings.push("ends of text are ignored: acceptance behind them means little".to_owned());
    }
    warnings.extend(report.cases.iter().flat_map(of_case));
    warnings.extend(noise(records));
    let target = report.header.target.parameters;
    for draft in &report.header.drafts {
        // Of a target whose texts were imported no more is known.
        if target > 0 && draft.parameters * 3 > target {
            warnings.push(format!(
                "{} has {:.2} of the target's parameters: above a third a draft can hardly pay",
                draft.name,
                draft.parameters as f64 / target.max(1) as f64
            ));
        }
    }
    warnings
}

fn of_case(case: &CaseSummary) -> Vec<String> {
    let (name, metrics) = (&case.case, &case.overall);
    let mut warnings = Vec::new();
    let slides = metrics.counts.draft_window_slides;
    if slides > 0 {
        warnings
            .push(format!("{name}: the draft's window slid {slides} times: its context was full"));
    }
    if !case.settings.is_plain() && metrics.repeating_share.is_some_and(|share| share > 0.0) {
        let share = 100.0 * metrics.repeating_share.unwrap_or_default();
        warnings.push(format!(
            "{name}: the text of {share:.0} % of the prompts ends in a repetition, for which \
             acceptance is easy"
        ));
    }
    if !case.settings.is_plain() && is_wide(&metrics.mean_acceptance_length) {
        warnings.push(format!(
            "{name}: the interval of the mean acceptance length is wider than half of it; more \
             prompts narrow it (spec bench --plan)"
        ));
    }
    warnings
}

fn is_wide(estimate: &Estimate) -> bool {
    match (estimate.value, estimate.low, estimate.high) {
        (Some(value), Some(low), Some(high)) => high - low > WIDE * value,
        _ => false,
    }
}

/// How much the seconds of a plain pass differ between prompts that were run one after the other, where
/// that is more than the machine's usual noise.
fn noise(records: &[Record]) -> Option<String> {
    let plain = records.iter().filter(|record| record.method == super::record::PLAIN);
    let seconds: Vec<f64> = plain.filter_map(|record| record.verify_passes.mean(0)).collect();
    if seconds.len() < 4 {
        return None;
    }
    // The differences of neighbours leave out what changes slowly with the length of the text.
    let relative = |pair: &[f64]| ((pair[1] - pair[0]) / f64::midpoint(pair[0], pair[1])).powi(2);
    let squares: f64 = seconds.windows(2).map(relative).sum();
    let spread = (squares / (2.0 * (seconds.len() - 1) as f64)).sqrt();
    (spread > NOISY).then(|| {
        format!(
            "the machine was not quiet: a plain pass of the target varied by {:.0} % from one \
             generation to the next; speed-ups are less certain than their intervals say",
            100.0 * spread
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::PLAIN;
    use crate::bench::summary::tests::record;
    use crate::report::samples;

    #[test]
    fn each_doubt_is_said_once() {
        let mut report = samples::report();
        let calm = warnings(&report, &[]);
        assert_eq!(calm.len(), 2, "{calm:?}");
        assert!(calm[0].starts_with("only 6 prompts"));
        assert!(calm[1].contains("17 % of the prompts ends"));
        report.header.settings.ignore_eos = true;
        report.header.prompts.run = 100;
        report.header.drafts[0].parameters = report.header.target.parameters;
        let case = report.cases.last_mut().unwrap();
        case.overall.counts.draft_window_slides = 2;
        case.overall.repeating_share = Some(0.25);
        case.overall.mean_acceptance_length =
            Estimate { value: Some(2.0), low: Some(1.4), high: Some(2.6) };
        let found = warnings(&report, &[]);
        for (warning, part) in found.iter().zip([
            "ends of text are ignored",
            "slid 2 times",
            "25 % of the prompts ends in a repetition",
            "wider than half",
            "has 1.00 of the target's parameters",
        ]) {
            assert!(warning.contains(part), "{warning} does not say {part}");
        }
        assert_eq!(found.len(), 5);
    }

    #[test]
    fn noise_is_seen_in_the_plain_passes() {
        let run = |factors: [f64; 6]| {
            let records: Vec<Record> = factors
                .into_iter()
                .enumerate()
                .map(|(index, factor)| {
                    let mut record = record(index, PLAIN);
                    record.verify_passes = target::PassTimes::default();
                    record.verify_passes.add(0, 0.01 * factor);
                    record
                })
                .collect();
            noise(&records)
        };
        assert_eq!(run([1.0, 1.02, 1.0, 1.03, 1.01, 1.0]), None);
        assert_eq!(run([1.0, 1.1, 1.2, 1.3, 1.4, 1.5]), None, "that is drift, not noise");
        assert!(run([1.0, 1.5, 1.0, 1.4, 1.0, 1.6]).unwrap().contains("not quiet"));
    }
}
