//! What the costs of passes and the acceptance of a run foretell: Leviathan et al. (2211.17192), theorem
//! 3.8, and the same with measured survival, measured passes and overhead in place of its assumptions.
//! Knows counts and seconds; measures nothing.

use target::PassTimes;

use super::record::{CaseSettings, Costs, Counts, Estimate, Seconds, SizeSpeedup};

/// What a case and plain decoding at its temperature took, summed over prompts.
pub(super) struct Measured<'a> {
    /// The case.
    pub(super) settings: &'a CaseSettings,
    /// Its counts.
    pub(super) counts: &'a Counts,
    /// Its seconds.
    pub(super) seconds: &'a Seconds,
    /// Its passes of the target.
    pub(super) passes: &'a PassTimes,
    /// The passes of plain decoding.
    pub(super) plain: &'a PassTimes,
    /// Seconds of a pass of the target by its number of candidates, measured apart; may be empty.
    pub(super) curve: &'a PassTimes,
    /// The measured speed-up of decoding.
    pub(super) speedup: Estimate,
}

/// Tokens a step and speed-up by Leviathan et al. for a chain of `gamma` candidates, each accepted with
/// chance `alpha` where its turn comes, at `cost` of a target pass for each.
pub fn leviathan(alpha: f64, gamma: usize, cost: f64) -> f64 {
    let tokens: f64 = (0..=gamma as i32).map(|count| alpha.powi(count)).sum();
    tokens / (1.0 + cost * gamma as f64)
}

impl Measured<'_> {
    /// The costs and what they foretell; `None` where there was no step, or no plain decoding.
    pub(super) fn costs(&self) -> Option<Costs> {
        let steps = self.counts.steps() as f64;
        let target = self.plain.mean(0)?;
        if steps == 0.0 {
            return None;
        }
        let passes = self.counts.draft_model_passes as f64;
        let draft = if passes > 0.0 { self.seconds.draft / passes } else { 0.0 };
        let overhead = (self.seconds.align + self.seconds.other) / steps;
        let sum = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
        let turns = sum(&self.counts.reached_by_position);
        let accepted = sum(&self.counts.acceptance_by_position);
        let alpha = if turns > 0.0 { accepted / turns } else { 0.0 };
        let verify: f64 = self.passes.times().iter().map(|time| time.seconds).sum();
        let length = self.counts.num_step_tokens as f64 / steps;
        let drafting = draft * passes / steps;
        let predicted = length * target / (verify / steps + drafting + overhead);
        let mut by_size = self.by_size([target, drafting, overhead]);
        if by_size.is_empty() {
            let candidates = self.settings.most();
            let whole = SizeSpeedup { candidates, speedup: predicted };
            by_size = vec![SizeSpeedup { candidates: 0, speedup: 1.0 }, whole];
        }
        let best = by_size.iter().max_by(|a, b| a.speedup.total_cmp(&b.speedup));
        Some(Costs {
            draft_pass_seconds: draft,
            draft_passes_per_step: passes / steps,
            target_pass_seconds: target,
            verify_passes: self.passes.clone(),
            overhead_seconds: overhead,
            cost_ratio: draft / target,
            alpha,
            measured: self.speedup,
            leviathan: self.settings.is_chain().then(|| {
                let gamma = self.settings.gamma;
                leviathan(alpha, gamma, draft / target)
            }),
            predicted,
            best_size: best.map(|best| best.candidates),
            by_size,
        })
    }

    /// Speed-ups for fewer candidates than the case had: the first so many of a chain, or of a tree that
    /// orders them by their chance. Empty where the order is another one.
    fn by_size(&self, [target, drafting, overhead]: [f64; 3]) -> Vec<SizeSpeedup> {
        let steps = self.counts.steps() as f64;
        let (accepted, most) = if self.settings.is_chain() {
            (&self.counts.acceptance_by_position, self.counts.proposed_by_position.len())
        } else if self.settings.method == "tree" {
            let most = self.settings.tree.map_or(0, |tree| tree.nodes);
            (&self.counts.accepted_by_candidate, most)
        } else {
            return Vec::new();
        };
        let mut tokens = 1.0;
        let mut found = vec![SizeSpeedup { candidates: 0, speedup: 1.0 }];
        for candidates in 1..=most {
            tokens += accepted.get(candidates - 1).map_or(0.0, |&count| count as f64 / steps);
            // A chain that is shorter is drafted in fewer passes; a tree that is smaller is not.
            let share =
                if self.settings.is_chain() { candidates as f64 / most as f64 } else { 1.0 };
            let cost = self.pass(candidates, target) + drafting * share + overhead;
            found.push(SizeSpeedup { candidates, speedup: tokens * target / cost });
        }
        found
    }

    /// Seconds of a pass over so many candidates: in the shape of the curve that was measured apart, at
    /// the height of the run's own passes.
    fn pass(&self, candidates: usize, target: f64) -> f64 {
        match (self.curve.mean(candidates), self.curve.mean(0)) {
            (Some(own), Some(none)) => target * own / none,
            _ => self.passes.mean(candidates).unwrap_or(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leviathans_table() {
        // α = 0.6, c = 0.05: the best γ is 4, with 1.92 (2211.17192, theorem 3.8).
        let best =
            (0..=20).max_by(|&a, &b| leviathan(0.6, a, 0.05).total_cmp(&leviathan(0.6, b, 0.05)));
        assert_eq!(best, Some(4));
        assert!((leviathan(0.6, 4, 0.05) - 1.92).abs() < 0.005);
        assert!((leviathan(0.8, 14, 0.01) - 4.23).abs() < 0.005);
    }

    fn passes(times: &[(usize, f64)]) -> PassTimes {
        let mut passes = PassTimes::default();
        for &(candidates, seconds) in times {
            passes.add(candidates, seconds);
        }
        passes
    }

    #[test]
    fn a_chain_by_hand() {
        let settings = CaseSettings { gamma: 2, ..CaseSettings::plain(0.0) };
        // Ten steps of two candidates, of which 6 accepted the first and 3 both.
        let counts = Counts {
            num_spec_steps: 10,
            num_step_tokens: 19,
            acceptance_by_position: vec![6, 3],
            proposed_by_position: vec![10, 10],
            reached_by_position: vec![10, 6],
            draft_model_passes: 20,
            ..Counts::default()
        };
        let seconds = Seconds { draft: 2.0, align: 0.5, other: 0.5, ..Seconds::default() };
        let measured = Measured {
            settings: &settings,
            counts: &counts,
            seconds: &seconds,
            passes: &passes(&[(2, 1.5); 10]),
            plain: &passes(&[(0, 1.0)]),
            curve: &passes(&[(0, 2.0), (2, 3.0)]),
            speedup: Estimate::default(),
        };
        let costs = measured.costs().unwrap();
        assert!((costs.alpha - 9.0 / 16.0).abs() < 1e-12);
        assert!((costs.cost_ratio - 0.1).abs() < 1e-12);
        assert!((costs.predicted - 1.9 / (1.5 + 0.2 + 0.1)).abs() < 1e-12);
        let speedups: Vec<f64> = costs.by_size.iter().map(|own| own.speedup).collect();
        let expected = [1.0, 1.6 / (1.25 + 0.1 + 0.1), 1.9 / (1.5 + 0.2 + 0.1)];
        for (found, expected) in speedups.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{speedups:?}");
        }
        assert_eq!(costs.best_size, Some(1));
        let tokens = 1.0 + costs.alpha + costs.alpha.powi(2);
        assert!((costs.leviathan.unwrap() - tokens / 1.2).abs() < 1e-12);
        let none = PassTimes::default();
        assert!(Measured { plain: &none, ..measured }.costs().is_none());
    }
}
