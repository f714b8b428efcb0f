//! Texts that end in a repetition: a model that says the same few tokens again and again is easy to
//! draft for, and its acceptance says little. Knows ids only.

/// The longest repeated piece that is looked for, in tokens.
const LONGEST: usize = 16;

/// How often a piece comes at least, the first time included.
const TIMES: usize = 4;

/// How long the repetition is at least, in tokens.
const SHORTEST: usize = 12;

/// Whether ids end in a piece of up to 16 tokens that comes four times or more in a row, and takes
/// twelve tokens or more.
pub fn ends_in_repetition(ids: &[u32]) -> bool {
    (1..=LONGEST).any(|period| {
        let repeated = ids.iter().rev().zip(ids.iter().rev().skip(period));
        let length = repeated.take_while(|(a, b)| a == b).count() + period;
        length >= SHORTEST.max(TIMES * period)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_found_at_the_end() {
        assert!(ends_in_repetition(&[7; 12]));
        assert!(!ends_in_repetition(&[7; 11]));
        let mut ids: Vec<u32> = (100..150).collect();
        assert!(!ends_in_repetition(&ids));
        for _ in 0..4 {
            ids.extend([1, 2, 3, 4, 5]);
        }
        assert!(ends_in_repetition(&ids));
        ids.push(6);
        assert!(!ends_in_repetition(&ids), "it has got out of it");
        assert!(!ends_in_repetition(&[]));
    }
}
