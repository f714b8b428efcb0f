//! Laws of the next token, against all texts of a small draft enumerated.

use super::*;
use align::Entry;
use proptest::prelude::*;
use std::collections::BTreeMap;

const DRAFT: [&str; 5] = ["a", "b", "ab", "ba", "bb"];
const END: u32 = 9;

fn draft() -> Vocabulary {
    let token = |text: &&str| Entry::Token(text.as_bytes().into());
    let end = [Entry::Special("</s>".into())];
    Vocabulary::plain(DRAFT.iter().map(token).chain(end).collect())
}

fn trie(tokens: &[&'static str]) -> ByteTrie {
    let mut named: Vec<(&[u8], u32)> =
        tokens.iter().zip(0..).map(|(text, id)| (text.as_bytes(), id)).collect();
    named.sort_unstable();
    ByteTrie::new(named.into_iter())
}

/// A law that the last id decides.
fn law(weights: &[f64], last: Option<u32>) -> Vec<(u32, f64)> {
    let row = last.map_or(0, |id| id as usize + 1);
    let own: Vec<f64> = (0..6).map(|id| weights[(7 * row + id) % weights.len()]).collect();
    let total: f64 = own.iter().sum();
    own.into_iter().enumerate().map(|(id, weight)| (id as u32, weight / total)).collect()
}

/// The law of the first `count` longest matches, by all texts of the draft.
fn enumerated(
    weights: &[f64],
    trie: &ByteTrie,
    (text, last, mass): (&str, Option<u32>, f64),
    drawn: &[u32],
    law_of_next: &mut BTreeMap<u32, f64>,
) {
    for (id, probability) in law(weights, last) {
        let ended = id as usize == DRAFT.len();
        let longer = if ended { text.to_owned() } else { [text, DRAFT[id as usize]].concat() };
        let (mut rest, mut found) = (longer.as_bytes(), Vec::new());
        let mut settled = true;
        while found.len() <= drawn.len() && settled {
            let at = trie.follow(ByteTrie::start(), rest);
            settled = at.node().is_none() || ended;
            match at.token() {
                Some((token, length)) if settled => {
                    found.push(token);
                    rest = &rest[length..];
                }
                None if ended && rest.is_empty() => {
                    found.push(END);
                    break;
                }
                _ => break,
            }
        }
        let shared = found.len().min(drawn.len());
        if found[..shared] != drawn[..shared] {
            continue;
        }
        if found.len() > drawn.len() {
            *law_of_next.entry(found[drawn.len()]).or_default() += mass * probability;
        } else if !ended {
            let next = (&longer[..], Some(id), mass * probability);
            enumerated(weights, trie, next, drawn, law_of_next);
        }
    }
}

/// Reads on until nothing could change the law.
fn read_whole((stream, front): (&mut Stream, &mut Front), weights: &[f64], bytes: &Bytes<'_>) {
    loop {
        let wanted = wanted(&[(1.0, front)], 4);
        if wanted.is_empty() {
            break;
        }
        for text in wanted {
            stream.expand(front, text, &law(weights, Some(text.id)), bytes);
        }
    }
}

fn is_law(found: &Law, expected: &BTreeMap<u32, f64>) -> Result<(), TestCaseError> {
    let total: f64 = expected.values().sum();
    for token in (0..6).chain([END]) {
        let mass = expected.get(&token).copied().unwrap_or_default() / total;
        prop_assert!((found.probability(token) - mass).abs() < 1e-9, "{token}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_whole_law_is_that_of_the_longest_match(
        weights in prop::collection::vec(0.05f64..1.0, 11),
        second in 0usize..3,
    ) {
        let vocabulary = draft();
        let trie = trie(&["a", "b", "ab", "aab", "bb", "bab"]);
        let steps = RefCell::default();
        let bytes = Bytes { draft: &vocabulary, trie: &trie, end: Some(END), steps: &steps };
        let laws = [law(&weights, None)];
        let start = Start { state: DecodeState::default(), ids: Vec::new(), laws: laws.to_vec() };
        let (mut stream, mut front) = Stream::begin(&start, 0.0, &bytes);
        let mut drawn = Vec::new();
        for _ in 0..2 {
            read_whole((&mut stream, &mut front), &weights, &bytes);
            let mut expected = BTreeMap::new();
            enumerated(&weights, &trie, ("", None, 1.0), &drawn, &mut expected);
            let found = front.law(&bytes).unwrap();
            is_law(&found, &expected)?;
            let token = found.entries().nth(second).unwrap().0;
            drawn.push(token);
            front = stream.behind(&front, token, usize::MAX, &bytes);
        }
    }
}

#[test]
fn a_marker_without_bytes_goes_on_into_the_same_token() {
    use align::tokenmonster::Capcode;
    let entries = ["a", "C", " "].map(|text| Entry::Token(text.as_bytes().into()));
    let vocabulary = Vocabulary::new(entries.to_vec(), Capcode::Full);
    let trie = trie(&["a", "A", " "]);
    let steps = RefCell::default();
    let bytes = Bytes { draft: &vocabulary, trie: &trie, end: None, steps: &steps };
    let first = [vec![(0, 0.5), (1, 0.5)]];
    let start = Start { state: DecodeState::default(), ids: Vec::new(), laws: first.to_vec() };
    let (mut stream, mut front) = Stream::begin(&start, 0.0, &bytes);
    let marker = wanted(&[(1.0, &front)], 1)[0];
    assert_eq!(marker.id, 1);
    stream.expand(&mut front, marker, &[(0, 1.0)], &bytes);
    let law = front.law(&bytes).unwrap();
    assert_eq!((law.probability(0), law.probability(1)), (0.5, 0.5));
}

#[test]
fn what_a_draft_token_holds_beyond_the_target_token_stays() {
    let vocabulary = draft();
    let trie = trie(&["a", "b"]);
    let steps = RefCell::default();
    let bytes = Bytes { draft: &vocabulary, trie: &trie, end: None, steps: &steps };
    let laws = [vec![(2, 1.0)]];
    let start = Start { state: DecodeState::default(), ids: Vec::new(), laws: laws.to_vec() };
    let (stream, front) = Stream::begin(&start, 0.0, &bytes);
    assert_eq!(front.law(&bytes).unwrap().probability(0), 1.0);
    let front = stream.behind(&front, 0, 9, &bytes);
    assert_eq!(front.law(&bytes).unwrap().probability(1), 1.0);
    assert!(wanted(&[(1.0, &front)], 1).is_empty(), "nothing had to be read");
    let front = stream.behind(&front, 1, 9, &bytes);
    assert!(front.law(&bytes).is_none());
    assert_eq!(wanted(&[(1.0, &front)], 9).len(), 1);
}

/// Behind a committed `a` that is read again, `ab` counts as well: as `b`, by what the draft gave it
/// there.
#[test]
fn a_token_that_begins_in_the_committed_text_counts() {
    let vocabulary = draft();
    let trie = trie(&["a", "b"]);
    let steps = RefCell::default();
    let bytes = Bytes { draft: &vocabulary, trie: &trie, end: None, steps: &steps };
    let laws = [vec![(0, 0.2), (1, 0.5), (2, 0.3)], vec![(0, 0.75), (1, 0.25)]];
    let start = Start { state: DecodeState::default(), ids: vec![0], laws: laws.to_vec() };
    let (stream, front) = Stream::begin(&start, 1e-9, &bytes);
    assert_eq!(stream.slots(), (vec![0], vec![None]));
    let law = front.law(&bytes).unwrap();
    let (a, b) = (0.2 * 0.75, 0.3 + 0.2 * 0.25);
    assert!((law.probability(0) - a / (a + b)).abs() < 1e-12);
    assert!((law.probability(1) - b / (a + b)).abs() < 1e-12);
}

proptest! {
    /// Reading again gives the law of the text by all ways to read its end.
    #[test]
    fn a_stream_that_reads_again_is_conditioned_on_the_text(
        weights in prop::collection::vec(0.05f64..1.0, 11),
    ) {
        let vocabulary = draft();
        let trie = trie(&["a", "b", "ab", "aab", "bb", "bab"]);
        let steps = RefCell::default();
        let bytes = Bytes { draft: &vocabulary, trie: &trie, end: Some(END), steps: &steps };
        // The text is "ab", read as a and b, which is one token as well.
        let ids = [0, 1];
        let laws = [law(&weights, None), law(&weights, Some(0)), law(&weights, Some(1))];
        let start = Start { state: DecodeState::default(), ids: ids.to_vec(), laws: laws.to_vec() };
        let (mut stream, mut front) = Stream::begin(&start, 0.0, &bytes);
        read_whole((&mut stream, &mut front), &weights, &bytes);
        let mut expected = BTreeMap::new();
        behind(&weights, &trie, ("", None, 1.0), "ab", &mut expected);
        is_law(&front.law(&bytes).unwrap(), &expected)?;
    }
}

/// The law of the longest match behind a text, by all texts of the draft that begin with it.
fn behind(
    weights: &[f64],
    trie: &ByteTrie,
    (text, last, mass): (&str, Option<u32>, f64),
    committed: &str,
    found: &mut BTreeMap<u32, f64>,
) {
    for (id, probability) in law(weights, last) {
        let mass = mass * probability;
        let ended = id as usize == DRAFT.len();
        let longer = if ended { text.to_owned() } else { [text, DRAFT[id as usize]].concat() };
        let shared = longer.len().min(committed.len());
        let within = longer.len() < committed.len();
        if longer[..shared] != committed[..shared] || (ended && within) {
            continue;
        }
        let at = trie.follow(ByteTrie::start(), &longer.as_bytes()[shared..]);
        let settled = shared == committed.len() && (at.node().is_none() || ended);
        match at.token() {
            Some((token, _)) if settled => *found.entry(token).or_default() += mass,
            None if settled && ended => *found.entry(END).or_default() += mass,
            _ if !ended => behind(weights, trie, (&longer, Some(id), mass), committed, found),
            _ => {}
        }
    }
}
