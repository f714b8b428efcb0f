//! What a pass of a model costs by the number of candidates in it, measured. Decides nothing by it.

use std::time::Instant;

use crate::error::SpeculateError;
use crate::side::Side;

/// Numbers of candidates that are measured.
const COUNTS: [usize; 8] = [0, 1, 2, 4, 8, 16, 32, 64];

/// Passes of each; the fastest counts, since other work only slows.
const PASSES: usize = 3;

/// Seconds of a pass over one id and so many candidates behind the text, for numbers of up to `most`.
pub fn measure(
    side: &mut Side,
    text: &[u32],
    most: usize,
) -> Result<Vec<(usize, f64)>, SpeculateError> {
    let Some((&last, before)) = text.split_last() else { return Err(SpeculateError::EmptyPrompt) };
    side.session.reset();
    if !before.is_empty() {
        side.session.advance_to(before)?;
    }
    let base = before.len();
    let room = side.session.model().context().saturating_sub(text.len());
    let mut measured = Vec::new();
    for count in COUNTS.into_iter().filter(|&count| count <= most.min(room)) {
        let ids = vec![last; count + 1];
        let parents: Vec<Option<usize>> = (0..=count).map(|node| (node > 0).then_some(0)).collect();
        let mut fastest = f64::INFINITY;
        // The first pass of a size is slower than the others.
        for _ in 0..=PASSES {
            let since = Instant::now();
            if count == 0 {
                side.session.read_all(&ids)?;
            } else {
                side.session.read_tree(base, &ids, &parents)?;
            }
            fastest = fastest.min(since.elapsed().as_secs_f64());
            side.session.keep_path(base, &[]);
        }
        measured.push((count, fastest));
    }
    side.session.reset();
    Ok(measured)
}
