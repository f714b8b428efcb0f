//! The rejection rule over whole texts, enumerated: all candidates, all ways to verify them, no
//! randomness.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use draft::Sampling;
use support::toy::Table;

const TARGET_SEED: u64 = 11;
const DRAFT_SEED: u64 = 12;

/// The output law of the rejection rule over whole texts.
struct Enumeration {
    target: Table,
    draft: Table,
    text: Vec<u32>,
    /// Candidates in a round.
    depth: usize,
    emitted: HashMap<Vec<u32>, f64>,
}

impl Enumeration {
    /// Walks all draws of the candidates behind `drafted`, which were drawn with probability
    /// `mass`, and all ways to verify them, exactly and without randomness.
    fn walk(&mut self, drafted: &[u32], mass: f64) {
        let sampling = Sampling::at(1.0);
        if drafted.len() < self.depth {
            let prefix = [&self.text, drafted].concat();
            let q = sampling.law(&self.draft.logits(&prefix), &[]);
            for (id, q_mass) in q.entries() {
                self.walk(&[drafted, &[id]].concat(), mass * q_mass);
            }
            return;
        }
        let mut reached = mass;
        for accepted in 0..=self.depth {
            let prefix = [&self.text, &drafted[..accepted]].concat();
            let p = sampling.law(&self.target.logits(&prefix), &[]);
            if accepted == self.depth {
                self.emit(&prefix, p.entries().map(|(id, p_mass)| (id, reached * p_mass)));
                return;
            }
            let token = drafted[accepted];
            let q = sampling.law(&self.draft.logits(&prefix), &[]);
            let acceptance = (p.probability(token) / q.probability(token)).min(1.0);
            let residual: Vec<(u32, f64)> = target::verify::rejection::residual(&p, &q).collect();
            let total: f64 = residual.iter().map(|(_, mass)| mass).sum();
            let rejected = reached * (1.0 - acceptance);
            self.emit(&prefix, residual.into_iter().map(|(id, r)| (id, rejected * r / total)));
            reached *= acceptance;
        }
    }

    fn emit(&mut self, prefix: &[u32], next: impl Iterator<Item = (u32, f64)>) {
        for (id, mass) in next {
            *self.emitted.entry([prefix, &[id]].concat()).or_insert(0.0) += mass;
        }
    }
}

#[test]
fn the_rejection_rule_is_exact_over_whole_texts() {
    let mut enumeration = Enumeration {
        target: Table::new(4, TARGET_SEED),
        draft: Table::new(4, DRAFT_SEED),
        text: vec![0],
        depth: 2,
        emitted: HashMap::new(),
    };
    enumeration.walk(&[], 1.0);
    let Enumeration { mut target, emitted, .. } = enumeration;
    // The law of the first token, and of the second given that a second was emitted, is p's.
    let mut first = [0.0; 4];
    for (text, mass) in &emitted {
        first[text[1] as usize] += mass;
    }
    let p = Sampling::at(1.0).law(&target.logits(&[0]), &[]);
    for (id, mass) in first.into_iter().enumerate() {
        assert!((mass - p.probability(id as u32)).abs() < 1e-12);
    }
    // What is missing of a text of three is drawn from p: then texts of three have p's law.
    for a in 0..4u32 {
        for b in 0..4u32 {
            for c in 0..4u32 {
                let sampling = Sampling::at(1.0);
                let mut chance =
                    |text: &[u32], id| sampling.law(&target.logits(text), &[]).probability(id);
                let (two, three) = (chance(&[0, a], b), chance(&[0, a, b], c));
                let mass = |text: &[u32]| emitted.get(text).copied().unwrap_or(0.0);
                let total =
                    mass(&[0, a]) * two * three + mass(&[0, a, b]) * three + mass(&[0, a, b, c]);
                let expected = p.probability(a) * two * three;
                assert!((total - expected).abs() < 1e-12, "{a} {b} {c}");
            }
        }
    }
}
