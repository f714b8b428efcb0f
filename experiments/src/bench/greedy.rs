//! Ids of greedy decoding compared with those of the target alone. A first difference between two ids
//! that are nearly tied is told from others. Runs one pass of the target.

use anyhow::Result;
use target::Side;

use super::record::GreedyCheck;

/// A first difference with a smaller margin between the logits is a tie.
pub const TIE_MARGIN: f64 = 1e-4;

/// The place of the first difference; `None` where there is none.
pub fn first_difference(plain: &[u32], other: &[u32]) -> Option<usize> {
    let at = plain.iter().zip(other).take_while(|(a, b)| a == b).count();
    (plain != other).then_some(at)
}

/// Compares greedy ids behind a prompt. At a first difference the logits of the two ids are looked up
/// again.
pub fn compare(
    target: &mut Side,
    prompt: &[u32],
    plain: &[u32],
    other: &[u32],
) -> Result<GreedyCheck> {
    let Some(at) = first_difference(plain, other) else {
        return Ok(GreedyCheck {
            identical: true,
            first_difference: None,
            margin: None,
            tie: false,
        });
    };
    let margin = match (plain.get(at), other.get(at)) {
        (Some(&ours), Some(&theirs)) => {
            let context = [prompt, &plain[..at]].concat();
            target.session.reset();
            let logits = target.session.advance_to(&context)?;
            Some(f64::from(logits[ours as usize] - logits[theirs as usize]).abs())
        }
        _ => None,
    };
    let tie = margin.is_some_and(|margin| margin < TIE_MARGIN);
    Ok(GreedyCheck { identical: false, first_difference: Some(at), margin, tie })
}
