//! The accounting of the loop: one clock whose phases sum to the wall time, and the counts of
//! rounds, named as in the project's definitions. Plain and speculative decoding run through the
//! same counter. Knows no model.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observed::Observed;
use crate::proposal::Proposal;

/// What time is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The draft model reads and draws.
    Draft,
    /// Text and ids are brought together.
    Align,
    /// The target model reads, and candidates are accepted.
    Verify,
    /// Everything else.
    Other,
    /// What reports note; no part of the wall time.
    Apart,
}

/// Seconds by phase. `prefill` is the time up to the first token, the draft's reading of the prompt
/// excluded, which counts as `draft`. The parts sum to `total`, the wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seconds {
    /// The target reads the prompt and the first token is drawn.
    pub prefill: f64,
    /// The draft model works.
    pub draft: f64,
    /// Text and ids are brought together.
    pub align: f64,
    /// The target model verifies.
    pub verify: f64,
    /// Everything else.
    pub other: f64,
    /// Wall time.
    pub total: f64,
}

/// Attributes wall time to phases: every instant belongs to exactly one.
#[derive(Debug)]
pub struct Clock {
    since: Instant,
    phase: Phase,
    prefill: Duration,
    spent: [Duration; 5],
}

impl Clock {
    /// Starts in [`Phase::Other`].
    pub fn start() -> Self {
        Self {
            since: Instant::now(),
            phase: Phase::Other,
            prefill: Duration::ZERO,
            spent: [Duration::ZERO; 5],
        }
    }

    /// Ends the current phase and begins another.
    pub fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        self.spent[self.phase as usize] += now - self.since;
        (self.since, self.phase) = (now, phase);
    }

    /// Declares all the time so far to be the prefill.
    pub fn end_prefill(&mut self) {
        self.enter(Phase::Other);
        self.prefill = self.spent.iter().sum();
        self.spent = [Duration::ZERO; 5];
    }

    /// What has been spent on a phase since the prefill, its current stretch left out.
    pub fn spent(&self, phase: Phase) -> Duration {
        self.spent[phase as usize]
    }

    /// Stops the clock.
    pub fn stop(mut self) -> Seconds {
        self.enter(Phase::Other);
        let [draft, align, verify, other, _] = self.spent.map(|spent| spent.as_secs_f64());
        let prefill = self.prefill.as_secs_f64();
        let total = prefill + draft + align + verify + other;
        Seconds { prefill, draft, align, verify, other, total }
    }
}

/// Counts of rounds, of one generation or summed over many. A round is a pass of the target behind
/// the prefill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Passes that verified at least one candidate.
    pub num_spec_steps: u64,
    /// Passes without a candidate.
    pub num_plain_steps: u64,
    /// Candidates handed to the verifier.
    pub num_draft_tokens: u64,
    /// Candidates accepted.
    pub num_accepted_draft_tokens: u64,
    /// Tokens emitted, the prefill's included.
    pub num_emitted_tokens: u64,
    /// Tokens emitted by passes, the prefill's not included.
    pub num_step_tokens: u64,
    /// `[k]`: passes with exactly k accepted.
    pub acceptance_histogram: Vec<u64>,
    /// `[i]`: passes with at least i + 1 accepted.
    pub acceptance_by_position: Vec<u64>,
    /// `[i]`: passes that had a candidate at position i + 1.
    pub proposed_by_position: Vec<u64>,
    /// `[i]`: passes that had a candidate at position i + 1 and accepted all those before it.
    pub reached_by_position: Vec<u64>,
    /// Ids decoded by the draft model.
    pub draft_model_tokens: u64,
    /// Passes of the draft model; one may read several ids.
    #[serde(default)]
    pub draft_model_passes: u64,
    /// How often the draft's window slid.
    pub draft_window_slides: u64,
    /// `[i]`: passes that accepted candidate i of the proposal, in the order proposed.
    #[serde(default)]
    pub accepted_by_candidate: Vec<u64>,
    /// Acceptance by what the draft said.
    #[serde(default)]
    pub observed: Observed,
}

impl Tally {
    /// Counts one pass: how many candidates it verified in all and how deep they reached, how many
    /// were accepted, and how many tokens it emitted.
    pub fn count_pass(&mut self, proposed: u64, depth: usize, accepted: usize, emitted: usize) {
        if proposed > 0 {
            self.num_spec_steps += 1;
        } else {
            self.num_plain_steps += 1;
        }
        self.num_draft_tokens += proposed;
        self.num_accepted_draft_tokens += accepted as u64;
        self.num_emitted_tokens += emitted as u64;
        self.num_step_tokens += emitted as u64;
        grow(&mut self.acceptance_histogram, accepted + 1);
        self.acceptance_histogram[accepted] += 1;
        count_first(&mut self.acceptance_by_position, accepted);
        count_first(&mut self.proposed_by_position, depth);
        count_first(&mut self.reached_by_position, depth.min(accepted + 1));
    }

    /// Notes which candidates a pass accepted, and what the draft had said of those whose turn came.
    pub fn observe(&mut self, proposal: &Proposal, path: &[usize]) {
        for &node in path {
            grow(&mut self.accepted_by_candidate, node + 1);
            self.accepted_by_candidate[node] += 1;
        }
        self.observed.see(proposal, path);
    }

    /// Target passes behind the prefill.
    pub fn steps(&self) -> u64 {
        self.num_spec_steps + self.num_plain_steps
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        self.num_spec_steps += other.num_spec_steps;
        self.num_plain_steps += other.num_plain_steps;
        self.num_draft_tokens += other.num_draft_tokens;
        self.num_accepted_draft_tokens += other.num_accepted_draft_tokens;
        self.num_emitted_tokens += other.num_emitted_tokens;
        self.num_step_tokens += other.num_step_tokens;
        add_each(&mut self.acceptance_histogram, &other.acceptance_histogram);
        add_each(&mut self.acceptance_by_position, &other.acceptance_by_position);
        add_each(&mut self.proposed_by_position, &other.proposed_by_position);
        add_each(&mut self.reached_by_position, &other.reached_by_position);
        self.draft_model_tokens += other.draft_model_tokens;
        self.draft_model_passes += other.draft_model_passes;
        self.draft_window_slides += other.draft_window_slides;
        add_each(&mut self.accepted_by_candidate, &other.accepted_by_candidate);
        self.observed += &other.observed;
    }
}

impl AddAssign<&Self> for Seconds {
    fn add_assign(&mut self, other: &Self) {
        self.prefill += other.prefill;
        self.draft += other.draft;
        self.align += other.align;
        self.verify += other.verify;
        self.other += other.other;
        self.total += other.total;
    }
}

pub(crate) fn add_each(sums: &mut Vec<u64>, others: &[u64]) {
    grow(sums, others.len());
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
}

/// Counts one more at each of the first `length` positions.
fn count_first(counts: &mut Vec<u64>, length: usize) {
    grow(counts, length);
    counts[..length].iter_mut().for_each(|count| *count += 1);
}

pub(crate) fn grow(counts: &mut Vec<u64>, length: usize) {
    if counts.len() < length {
        counts.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_by_hand() {
        let mut tally = Tally::default();
        tally.count_pass(3, 3, 2, 3);
        tally.count_pass(3, 3, 0, 1);
        tally.count_pass(0, 0, 0, 1);
        assert_eq!((tally.num_spec_steps, tally.num_plain_steps), (2, 1));
        assert_eq!((tally.num_draft_tokens, tally.num_accepted_draft_tokens), (6, 2));
        assert_eq!(tally.acceptance_histogram, [2, 0, 1]);
        assert_eq!(tally.acceptance_by_position, [1, 1]);
        assert_eq!(tally.proposed_by_position, [2, 2, 2]);
        assert_eq!(tally.reached_by_position, [2, 1, 1]);
        assert_eq!(tally.num_step_tokens, 5);
    }

    #[test]
    fn phases_sum_to_the_whole() {
        let mut clock = Clock::start();
        clock.enter(Phase::Verify);
        clock.end_prefill();
        clock.enter(Phase::Draft);
        clock.enter(Phase::Align);
        let seconds = clock.stop();
        let sum = seconds.prefill + seconds.draft + seconds.align + seconds.verify + seconds.other;
        assert!((sum - seconds.total).abs() < 1e-12);
    }
}
