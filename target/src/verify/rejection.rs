//! Sampled candidates by rejection (Leviathan et al., 2211.17192; Chen et al., 2302.01318): accept
//! x ~ q with probability min(1, p(x) / q(x)), and otherwise draw from the residual
//! (p − q)⁺ / Σ (p − q)⁺. The emitted token then has law p exactly, provided that q is the law that
//! x was drawn from.

use draft::Law;

/// Whether a candidate of target probability `p` and proposal probability `q` is accepted.
pub fn accepts(p: f64, q: f64, uniform: f64) -> bool {
    uniform * q < p
}

/// The unnormalised residual (p − q)⁺, ids ascending, ids without mass left out.
pub fn residual<'a>(p: &'a Law, q: &'a Law) -> impl Iterator<Item = (u32, f64)> + 'a {
    scaled(1.0, p, q)
}

/// The residual of a share of the target's law: (weight · p − q)⁺.
pub fn scaled<'a>(weight: f64, p: &'a Law, q: &'a Law) -> impl Iterator<Item = (u32, f64)> + 'a {
    let mut proposal = q.entries().peekable();
    p.entries().filter_map(move |(id, mass)| {
        let mass = weight * mass;
        while proposal.next_if(|&(other, _)| other < id).is_some() {}
        let q_mass = proposal.next_if(|&(other, _)| other == id).map_or(0.0, |(_, mass)| mass);
        (mass > q_mass).then_some((id, mass - q_mass))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn law(weights: &[f64]) -> Law {
        Law::dense(weights.iter().map(|weight| weight.ln()).collect())
    }

    /// The law of what the rule emits, by exact enumeration over x and the acceptance.
    fn emitted(p: &Law, q: &Law, size: u32) -> Vec<f64> {
        let residual: Vec<(u32, f64)> = residual(p, q).collect();
        let total: f64 = residual.iter().map(|(_, mass)| mass).sum();
        let mut law = vec![0.0; size as usize];
        for x in 0..size {
            let accepted = p.probability(x).min(q.probability(x));
            law[x as usize] += accepted;
            let rejected = q.probability(x) - accepted;
            for (id, mass) in &residual {
                law[*id as usize] += rejected * mass / total;
            }
        }
        law
    }

    proptest! {
        #[test]
        fn the_emitted_law_is_the_targets(
            p in prop::collection::vec(0.001f64..1.0, 6),
            q in prop::collection::vec(0.001f64..1.0, 6),
        ) {
            let (p, q) = (law(&p), law(&q));
            for (id, mass) in emitted(&p, &q, 6).into_iter().enumerate() {
                prop_assert!((mass - p.probability(id as u32)).abs() < 1e-12);
            }
        }

        #[test]
        fn acceptance_is_the_overlap(p in 0.0f64..1.0, q in 0.001f64..1.0) {
            // The share of u in (0, 1) that is accepted, on a fine grid.
            let grid = 10_000;
            let share = (0..grid)
                .filter(|step| accepts(p, q, (f64::from(*step) + 0.5) / f64::from(grid)))
                .count() as f64 / f64::from(grid);
            prop_assert!((share - (p / q).min(1.0)).abs() < 2.0 / f64::from(grid));
        }
    }

    #[test]
    fn sparse_and_dense_laws_mix() {
        let p = law(&[0.5, 0.25, 0.25]);
        let q = Law::sparse(vec![(1, 0.9f64.ln()), (2, 0.1f64.ln())]);
        let rest: Vec<(u32, f64)> = residual(&p, &q).collect();
        assert_eq!(rest.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [0, 2]);
        assert!((rest[0].1 - 0.5).abs() < 1e-15 && (rest[1].1 - 0.15).abs() < 1e-15);
    }
}
