//! How far a draft's law is from a target's, of which only the most probable tokens are known: losses
//! to distil with. Each is written twice, over slices for reading and testing, and over tensors for
//! training; a test holds the two equal.
//!
//! The draft's law q is over the tokens that both vocabularies have, as it is when it drafts. Of the
//! target's law p the probabilities of its `k` most probable shared tokens are known, and the mass m
//! of all shared tokens together; what the target gives to tokens that the draft lacks cannot be
//! drafted. The shared tokens beyond the `k` count as one.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::error::ModelError;

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// m · KL(p/m ‖ q): the draft is to cover all that the target may say.
    ForwardKl,
    /// m · KL(q ‖ p/m): the draft is to say nothing that the target would not.
    ReverseKl,
    /// 1 − α, where α = Σ min(p, q) is the share of drafted tokens that rejection sampling accepts
    /// (Leviathan et al., 2211.17192; as a loss in `DistillSpec`, 2310.08461).
    TotalVariation,
    /// −ln α, whose gradient does not vanish where little is accepted (LK losses, 2602.23881).
    LogAcceptance,
}

/// Probabilities below this are taken for this in logarithms and denominators.
const FLOOR: f64 = 1e-7;

/// Acceptances below this are taken for this.
const LEAST_ACCEPTANCE: f64 = 1e-6;

/// The acceptance rate α = Σ min(p, q) over the known tokens, which those beyond can only raise.
pub fn acceptance(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| p.min(*q)).sum()
}

impl Divergence {
    /// The loss at one position: `p` and `q` are probabilities of the known tokens, `mass` the
    /// target's of all shared ones; `is_whole` where the known ones are all there are. In nats for
    /// the three with logarithms.
    pub fn of(self, p: &[f64], q: &[f64], mass: f64, is_whole: bool) -> f64 {
        let rest = |list: &[f64]| (1.0 - list.iter().sum::<f64>()).max(FLOOR);
        let within: Vec<f64> = p.iter().map(|p| p / mass).collect();
        let relative = |a: &[f64], b: &[f64]| -> f64 {
            let known: f64 = a.iter().zip(b).map(|(a, b)| term(*a, *b)).sum();
            if is_whole { known } else { known + term(rest(a), rest(b)) }
        };
        match self {
            Self::ForwardKl => mass * relative(&within, q),
            Self::ReverseKl => mass * relative(q, &within),
            Self::TotalVariation => 1.0 - acceptance(p, q),
            Self::LogAcceptance => -acceptance(p, q).max(LEAST_ACCEPTANCE).ln(),
        }
    }

    /// The mean loss of many positions, and the mean acceptance rate. `log_q` are logarithms of q
    /// `[positions, k]`, `log_p` of p, `log_mass` of m `[positions]`.
    pub(super) fn mean(
        self,
        (log_p, log_mass): (&Tensor, &Tensor),
        log_q: &Tensor,
        is_whole: bool,
    ) -> Result<(Tensor, Tensor), ModelError> {
        let (p, q) = (log_p.f_exp()?, log_q.f_exp()?);
        let accepted = p.f_minimum(&q)?.f_sum_dim_intlist(-1i64, false, Kind::Float)?;
        let mass = log_mass.f_exp()?;
        let log_within = log_p.f_sub(&log_mass.unsqueeze(-1))?.f_clamp_min(FLOOR.ln())?;
        let within = log_within.f_exp()?;
        let sum = |terms: Tensor| terms.f_sum_dim_intlist(-1i64, false, Kind::Float);
        let rest = |known: &Tensor| -> Result<Tensor, ModelError> {
            let left: Tensor = 1.0f64 - sum(known.shallow_clone())?;
            Ok(left.f_clamp_min(FLOOR)?)
        };
        let relative = |a: &Tensor, log_a: &Tensor, b: &Tensor, log_b: &Tensor| {
            let known = sum(a * (log_a - log_b))?;
            if is_whole {
                return Ok::<_, ModelError>(known);
            }
            let (rest_a, rest_b) = (rest(a)?, rest(b)?);
            Ok(known + &rest_a * (rest_a.f_log()? - rest_b.f_log()?))
        };
        let floored = log_q.f_clamp_min(FLOOR.ln())?;
        let losses = match self {
            Self::ForwardKl => mass * relative(&within, &log_within, &q, &floored)?,
            Self::ReverseKl => mass * relative(&q, &floored, &within, &log_within)?,
            Self::TotalVariation => 1.0 - &accepted,
            Self::LogAcceptance => accepted.f_clamp_min(LEAST_ACCEPTANCE)?.f_log()?.f_neg()?,
        };
        Ok((losses.f_mean(Kind::Float)?, accepted.detach().f_mean(Kind::Float)?))
    }
}

/// a · ln(a / b).
fn term(a: f64, b: f64) -> f64 {
    a * (a.max(FLOOR) / b.max(FLOOR)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Divergence; 4] = [
        Divergence::ForwardKl,
        Divergence::ReverseKl,
        Divergence::TotalVariation,
        Divergence::LogAcceptance,
    ];

    fn softmax(logits: &[f64]) -> Vec<f64> {
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        logits.iter().map(|logit| logit.exp() / total).collect()
    }

    /// What the tokens that are not known change a divergence by where sums are of single precision,
    /// of which a rest of a few millionths keeps no digit.
    fn rounding(p: &[f64], q: &[f64], mass: f64) -> f64 {
        let rest = |total: f64| (1.0 - total).max(FLOOR);
        let (p, q) = (rest(p.iter().sum::<f64>() / mass), rest(q.iter().sum()));
        1e-6 * (p / q).max(q / p)
    }

    #[test]
    fn an_example_by_hand() {
        let (p, q) = ([0.5, 0.3], [0.25, 0.25]);
        assert!((acceptance(&p, &q) - 0.5).abs() < 1e-12);
        assert!((Divergence::TotalVariation.of(&p, &q, 0.9, false) - 0.5).abs() < 1e-12);
        assert!((Divergence::LogAcceptance.of(&p, &q, 0.9, false) - 2f64.ln()).abs() < 1e-12);
        // Within the shared tokens p is 5/9, 3/9 and 1/9 for the rest; q is 1/4, 1/4 and 1/2.
        let expected =
            0.5 * (20.0f64 / 9.0).ln() + 0.3 * (12.0f64 / 9.0).ln() + 0.1 * (2.0f64 / 9.0).ln();
        assert!((Divergence::ForwardKl.of(&p, &q, 0.9, false) - expected).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn equal_laws_have_no_divergence(logits in prop::collection::vec(-4.0f64..4.0, 2..30), mass in 0.1f64..1.0) {
            let q = softmax(&logits);
            let p: Vec<f64> = q.iter().map(|q| mass * q).collect();
            for (divergence, least) in ALL.into_iter().zip([0.0, 0.0, 1.0 - mass, -mass.ln()]) {
                let found = divergence.of(&p, &q, mass, true);
                prop_assert!((found - least).abs() < 1e-9, "{divergence:?}: {found}");
            }
        }

        #[test]
        fn tensors_give_what_slices_give(
            pairs in prop::collection::vec((-6.0f64..6.0, -6.0f64..6.0), 3..40),
            known in 1usize..40,
            mass in 0.05f64..1.0,
        ) {
            let (p, q): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let (p, q) = (softmax(&p), softmax(&q));
            let known = known.min(p.len());
            let p: Vec<f64> = p[..known].iter().map(|p| p * mass).collect();
            let (q, is_whole) = (&q[..known], known == q.len());
            let row = |list: &[f64]| {
                let logs: Vec<f32> = list.iter().map(|p| p.ln() as f32).collect();
                Tensor::from_slice(&logs).unsqueeze(0)
            };
            let log_mass = Tensor::from_slice(&[mass.ln() as f32]);
            for divergence in ALL {
                let (loss, accepted) =
                    divergence.mean((&row(&p), &log_mass), &row(q), is_whole).unwrap();
                let expected = divergence.of(&p, q, mass, is_whole);
                let found = loss.double_value(&[]);
                let bound = 1e-4 * (1.0 + expected.abs()) + rounding(&p, q, mass);
                prop_assert!((found - expected).abs() < bound,
                    "{divergence:?}: {found} and {expected}");
                prop_assert!((accepted.double_value(&[]) - acceptance(&p, q)).abs() < 1e-5);
            }
        }
    }
}
