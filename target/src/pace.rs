//! How much to speculate: from what passes and drafts have cost, and from how often the candidate of each
//! rank was accepted, the number of candidates that gives most tokens a second, and none where
//! speculation does not pay. A tree's candidates are ranked as it chose them, those of a chain by their
//! position. Knows numbers only.

/// How much of an estimate the newest observation makes up.
const NEWEST: f64 = 1.0 / 16.0;

/// The share of plain decoding's time that may be spent on looking whether speculation pays by now.
const LOOKING: f64 = 0.015;

/// How often more candidates are proposed than seem to pay.
const LOOK_EVERY: u32 = 16;

/// After how many plain rounds, which teach next to nothing, the choice is made anew.
const AGAIN_EVERY: u32 = 16;

/// Plain rounds before the first candidate, and rounds with all candidates before the first choice.
const BEGINNING: (u32, u32) = (2, 3);

/// A mean that forgets: the plain mean of the first observations, then [`NEWEST`] of each.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    value: f64,
    seen: u32,
}

impl Mean {
    fn add(&mut self, observed: f64) {
        self.seen = self.seen.saturating_add(1);
        self.value += (observed - self.value) * (1.0 / f64::from(self.seen)).max(NEWEST);
    }

    fn known(self) -> Option<f64> {
        (self.seen > 0).then_some(self.value)
    }
}

/// What a round with candidates was like.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// For each candidate by rank whether it was accepted.
    pub accepted: &'a [bool],
    /// Seconds from the question for candidates to the next one.
    pub seconds: f64,
    /// Whether the draft had text to catch up with, so that the time is not that of a usual round.
    pub behind: bool,
}

/// Decides how many candidates a round gets.
#[derive(Clone, Debug)]
pub struct Pace {
    most: usize,
    /// How often the candidate of each rank is accepted.
    ranks: Vec<Mean>,
    /// Seconds of a round by its number of candidates.
    costs: Vec<Mean>,
    /// How many seconds a pass over so many candidates takes, as measured before; may be empty.
    passes: Vec<(usize, f64)>,
    plain: u32,
    speculative: u32,
    /// Seconds that may be spent on looking.
    allowance: f64,
    /// What looking cost the last time.
    look: f64,
    /// The number of candidates with most tokens a second, as last found.
    found: usize,
}

impl Pace {
    /// A pace of at most `most` candidates. `passes` are seconds of a pass of the target by number of
    /// candidates, numbers ascending, where they have been measured.
    pub fn new(most: usize, passes: Vec<(usize, f64)>) -> Self {
        Self {
            most,
            ranks: vec![Mean::default(); most],
            costs: vec![Mean::default(); most + 1],
            passes,
            plain: 0,
            speculative: 0,
            allowance: 0.0,
            look: 0.0,
            found: 0,
        }
    }

    /// Candidates of the next round.
    pub fn choose(&self) -> usize {
        if self.plain < BEGINNING.0 {
            return 0;
        }
        if self.speculative < BEGINNING.1 {
            return self.most;
        }
        let best = self.found;
        // Candidates that are never proposed teach nothing.
        let further = (2 * best).max(2).min(self.most);
        let looks = match best {
            0 => self.allowance >= self.look,
            _ => self.speculative.is_multiple_of(LOOK_EVERY),
        };
        if looks { further } else { best }
    }

    /// The number of candidates with most tokens a second. All are looked at: what a pass costs has
    /// steps, so that the first number that is no better than the one before is not the last that is.
    fn best(&self) -> usize {
        let rate = |count| self.tokens(count) / self.cost(count);
        let mut best = (0, rate(0));
        for count in 1..=self.most {
            let own = rate(count);
            if own > best.1 {
                best = (count, own);
            }
        }
        best.0
    }

    /// Tokens that a round with so many candidates emits, in the mean.
    pub fn tokens(&self, count: usize) -> f64 {
        let mut last = 0.5;
        let accepted = self.ranks[..count].iter().map(|rank| {
            last = rank.known().unwrap_or(last);
            last
        });
        1.0 + accepted.sum::<f64>()
    }

    /// Seconds of a round with so many candidates: as observed, or else between the observed ones around
    /// it, in the shape of the passes.
    pub fn cost(&self, count: usize) -> f64 {
        if let Some(known) = self.costs[count].known() {
            return known;
        }
        let known = |count: &usize| self.costs[*count].known().map(|cost| (*count, cost));
        let below = (0..count).rev().find_map(|count| known(&count));
        let above = (count + 1..=self.most).find_map(|count| known(&count));
        match (below, above) {
            (Some(below), Some(above)) => {
                let whole = self.pass(above.0) - self.pass(below.0);
                let part = self.pass(count) - self.pass(below.0);
                let share = if whole > 0.0 && self.passes.len() > 1 {
                    part / whole
                } else {
                    (count - below.0) as f64 / (above.0 - below.0) as f64
                };
                below.1 + (above.1 - below.1) * share
            }
            (Some((other, cost)), None) | (None, Some((other, cost))) => {
                cost * (self.pass(count) / self.pass(other)).max(f64::MIN_POSITIVE)
            }
            (None, None) => 1.0,
        }
    }

    /// Seconds of a pass over so many candidates as measured, on the line between two measurements.
    fn pass(&self, count: usize) -> f64 {
        let after = self.passes.partition_point(|&(own, _)| own < count);
        match (after.checked_sub(1).map(|index| self.passes[index]), self.passes.get(after)) {
            (Some((low, from)), Some(&(high, to))) => {
                from + (to - from) * (count - low) as f64 / (high - low) as f64
            }
            (Some((_, only)), None) | (None, Some(&(_, only))) => only,
            (None, None) => 1.0 + count as f64,
        }
    }

    /// Hears of a round without candidates.
    pub fn see_plain(&mut self, seconds: f64) {
        self.plain = self.plain.saturating_add(1);
        self.costs[0].add(seconds);
        self.allowance += LOOKING * seconds;
        if self.plain.is_multiple_of(AGAIN_EVERY) {
            self.found = self.best();
        }
    }

    /// Hears of a round with candidates.
    pub fn see(&mut self, round: Observed<'_>) {
        self.speculative = self.speculative.saturating_add(1);
        for (rank, &accepted) in self.ranks.iter_mut().zip(round.accepted) {
            rank.add(f64::from(u8::from(accepted)));
        }
        if !round.behind {
            self.costs[round.accepted.len().min(self.most)].add(round.seconds);
        }
        // Only what looking costs beyond what it brought is to be made good.
        let brought = round.accepted.iter().filter(|accepted| **accepted).count() + 1;
        let worth = self.costs[0].known().unwrap_or(0.0) * brought as f64;
        self.look = (round.seconds - worth).max(0.0);
        self.allowance = (self.allowance - self.look).max(0.0);
        self.found = self.best();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs rounds of a draft whose candidates are accepted with these probabilities, one behind the
    /// other, against costs; gives tokens and seconds.
    fn run(
        pace: &mut Pace,
        rounds: usize,
        chances: &[f64],
        cost: impl Fn(usize) -> f64,
    ) -> (f64, f64) {
        let (mut tokens, mut seconds, mut noise) = (0.0, 0.0, 0u64);
        let mut uniform = || {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (noise >> 33) as f64 / (1u64 << 31) as f64
        };
        for _ in 0..rounds {
            let count = pace.choose();
            seconds += cost(count);
            let mut alive = true;
            let accepted: Vec<bool> = (0..count)
                .map(|rank| {
                    alive &= uniform() < chances.get(rank).copied().unwrap_or(0.0);
                    alive
                })
                .collect();
            tokens += 1.0 + accepted.iter().filter(|accepted| **accepted).count() as f64;
            if count == 0 {
                pace.see_plain(cost(0));
            } else {
                pace.see(Observed { accepted: &accepted, seconds: cost(count), behind: false });
            }
        }
        (tokens, seconds)
    }

    fn straight(count: usize) -> f64 {
        0.010 + 0.004 * count as f64
    }

    #[test]
    fn a_useless_draft_costs_next_to_nothing() {
        let mut pace = Pace::new(16, Vec::new());
        let (tokens, seconds) = run(&mut pace, 1500, &[0.02], straight);
        let slowdown = seconds / (tokens * straight(0));
        assert!(slowdown < 1.03, "{slowdown}");
    }

    #[test]
    fn a_good_draft_is_used_as_far_as_it_pays() {
        let mut pace = Pace::new(16, Vec::new());
        let cheap = |count: usize| 0.010 + 0.001 * count as f64;
        let (tokens, seconds) = run(&mut pace, 1500, &[0.8; 16], cheap);
        let rate = |count: usize| {
            (0..=count as i32).map(|rank| 0.8f64.powi(rank)).sum::<f64>() / cheap(count)
        };
        let best = (0..=16).map(rate).fold(0.0, f64::max);
        assert!(tokens / seconds > 0.93 * best, "{} of {best}", tokens / seconds);
    }

    #[test]
    fn a_draft_that_becomes_useful_is_found() {
        let mut pace = Pace::new(8, Vec::new());
        run(&mut pace, 400, &[0.0], straight);
        assert_eq!(pace.best(), 0);
        let cheap = |count: usize| 0.010 + 0.0005 * count as f64;
        run(&mut pace, 3000, &[0.9; 8], cheap);
        assert!(pace.best() > 2, "{}", pace.best());
    }

    #[test]
    fn the_next_step_of_the_stairs_is_seen() {
        // A pass over up to 4 costs the same as one over none; up to 16 twice as much.
        let stairs = |count: usize| if count <= 4 { 0.010 } else { 0.020 };
        let mut pace = Pace::new(16, vec![(0, 0.010), (4, 0.010), (5, 0.020), (16, 0.020)]);
        run(&mut pace, 2000, &[0.97; 16], stairs);
        assert!(pace.best() > 12, "{}", pace.best());
        let mut pace = Pace::new(16, vec![(0, 0.010), (4, 0.010), (5, 0.020), (16, 0.020)]);
        run(&mut pace, 2000, &[0.6; 16], stairs);
        assert_eq!(pace.best(), 4);
    }
}
