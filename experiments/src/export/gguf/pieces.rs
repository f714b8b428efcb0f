//! SentencePiece-style BPE for llama.cpp. A `tokenizer.json` merges the pair of the lowest rank;
//! llama.cpp, as SentencePiece, the pair that makes the token of the best score, whichever two tokens
//! it is made of. Both cut alike where the merges are those of scores: all merges of a token in one run
//! of ranks, and no pair that makes a token left out. The score is then the run's place, negative.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value as Json;

use super::lexicon::{Cut, Kind, Lexicon, Token, merges, tokens};

/// What stands for a space.
const SPACE: char = '▁';

/// Where two pairs that make one token overlap, as in a row of one character, the two ways may differ;
/// such rows are cut both ways up to this many times what repeats.
const REPEATS: usize = 40;

type Ranks<'a> = HashMap<(&'a str, &'a str), usize>;

/// Whether texts get a space in front, and where that differs from llama.cpp.
fn space(json: &Json) -> Result<(bool, Option<String>), String> {
    let normalizer = &json["normalizer"];
    let steps = match normalizer["type"].as_str() {
        None => Vec::new(),
        Some("Sequence") => normalizer["normalizers"].as_array().into_iter().flatten().collect(),
        Some(_) => vec![normalizer],
    };
    let (mut prepends, mut replaces) = (false, false);
    for step in steps {
        match step["type"].as_str().unwrap_or("none") {
            "Prepend" if step["prepend"] == "▁" => prepends = true,
            "Replace" if step["pattern"]["String"] == " " && step["content"] == "▁" => {
                replaces = true;
            }
            other => return Err(format!("llama.cpp has no normaliser `{other}`")),
        }
    }
    let before = &json["pre_tokenizer"];
    match before["type"].as_str() {
        None if replaces => Ok((prepends, None)),
        Some("Metaspace") if !prepends && before["split"] == false => {
            let caveat = "llama.cpp puts a space in front of every text, also where it begins with \
                          one or stands behind a special: there it gives other ids than the \
                          tokenizer's own";
            match before["prepend_scheme"].as_str() {
                Some("never") => Ok((false, None)),
                _ => Ok((true, Some(caveat.to_owned()))),
            }
        }
        other => Err(format!(
            "llama.cpp has no pre-tokenizer `{}` for such a vocabulary",
            other.unwrap_or("none")
        )),
    }
}

/// The byte that a token such as `<0x0A>` stands for.
pub(crate) fn byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// The pairs that llama.cpp may merge to make a token: two tokens, or single characters.
fn pairs<'a>(text: &'a str, known: &HashSet<&str>) -> Vec<(&'a str, &'a str)> {
    let mut found = Vec::new();
    for (at, _) in text.char_indices().skip(1) {
        let (left, right) = text.split_at(at);
        let may = |part: &str| known.contains(part) || part.chars().nth(1).is_none();
        if may(left) && may(right) {
            found.push((left, right));
        }
    }
    found
}

/// Gives tokens the scores that merge in the order of the ranks.
fn score(tokens: &mut [Token], ranks: &Ranks<'_>) -> Result<(), String> {
    let ordinary = |token: &&Token| token.kind == Kind::Normal;
    let known: HashSet<&str> =
        tokens.iter().filter(ordinary).map(|token| token.text.as_str()).collect();
    // For each token with merges: the first and last of their ranks.
    let mut runs: BTreeMap<usize, (usize, String)> = BTreeMap::new();
    for token in tokens.iter().filter(ordinary) {
        let mut own = Vec::new();
        for (left, right) in pairs(&token.text, &known) {
            own.push(*ranks.get(&(left, right)).ok_or_else(|| {
                format!(
                    "llama.cpp would merge `{left}` and `{right}` to `{}`, which its own merges do \
                     not",
                    token.text
                )
            })?);
        }
        if let (Some(&first), Some(&last)) = (own.iter().min(), own.iter().max()) {
            runs.insert(first, (last, token.text.clone()));
        }
    }
    let mut reached = None;
    for (first, (last, text)) in &runs {
        if reached > Some(*first) {
            return Err(format!("merges of `{text}` stand between those of another token"));
        }
        reached = Some(*last);
    }
    let places: HashMap<String, usize> =
        runs.into_values().enumerate().map(|(place, (_, text))| (text, place)).collect();
    for token in tokens.iter_mut().filter(|token| token.kind == Kind::Normal) {
        if let Some(place) = places.get(&token.text) {
            token.score = -(*place as f32);
        }
    }
    rows_of_one_kind(ranks, &places)
}

/// Cuts rows of what repeats in tokens both ways.
fn rows_of_one_kind(ranks: &Ranks<'_>, places: &HashMap<String, usize>) -> Result<(), String> {
    let repeats: HashSet<&str> = places.keys().filter_map(|text| repeated(text)).collect();
    for unit in repeats {
        for count in 2..=REPEATS {
            let row = unit.repeat(count);
            let by_rank = cut(&row, &|left, right| ranks.get(&(left, right)).copied());
            let by_score = cut(&row, &|left, right| places.get(&format!("{left}{right}")).copied());
            if by_rank != by_score {
                return Err(format!("llama.cpp would cut `{row}` otherwise"));
            }
        }
    }
    Ok(())
}

/// What a text is at least two repetitions of, the last perhaps cut off.
fn repeated(text: &str) -> Option<&str> {
    let ends = text.char_indices().skip(1).map(|(at, _)| at);
    let mut units =
        ends.map(|at| text.split_at(at)).filter(|(unit, _)| 2 * unit.len() <= text.len());
    units.find(|(_, rest)| text.starts_with(rest)).map(|(unit, _)| unit)
}

/// Merges the pair of the lowest number, the first of several, until none is left.
fn cut<'a>(text: &'a str, number: &dyn Fn(&str, &str) -> Option<usize>) -> Vec<&'a str> {
    let mut ends: Vec<usize> = text.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
    loop {
        let start = |at: usize| if at == 0 { 0 } else { ends[at - 1] };
        let best = (0..ends.len().saturating_sub(1))
            .filter_map(|at| {
                let (left, right) = (&text[start(at)..ends[at]], &text[ends[at]..ends[at + 1]]);
                Some((number(left, right)?, at))
            })
            .min();
        match best {
            Some((_, at)) => ends.remove(at),
            None => return (0..ends.len()).map(|at| &text[start(at)..ends[at]]).collect(),
        };
    }
}

/// A SentencePiece-style BPE; the error says why llama.cpp would not give its ids.
pub(super) fn lexicon(json: &Json, rows: usize) -> Result<Lexicon, String> {
    let (space, caveat) = space(json)?;
    let model = &json["model"];
    let mut tokens = tokens(json, rows)?;
    for token in &mut tokens {
        match token.kind {
            _ if model["unk_token"] == token.text.as_str() => token.kind = Kind::Unknown,
            Kind::Normal if byte(&token.text).is_some() => token.kind = Kind::Byte,
            _ => {}
        }
    }
    let bytes = tokens.iter().filter(|token| token.kind == Kind::Byte).count();
    if model["byte_fallback"] != true || bytes != 256 {
        return Err(format!(
            "llama.cpp needs 256 tokens for single bytes, without which it ends at the first \
             character that is no token; it has {bytes}"
        ));
    }
    let ranks: Ranks<'_> =
        merges(model).into_iter().enumerate().map(|(rank, pair)| (pair, rank)).collect();
    score(&mut tokens, &ranks)?;
    Ok(Lexicon { tokens, cut: Cut::Pieces { space }, caveat })
}

/// The merges that cut as scores do: for tokens from the best score down, every pair that makes one.
pub(crate) fn merges_of(scored: &[(&str, f32)]) -> Vec<[String; 2]> {
    let known: HashSet<&str> = scored.iter().map(|(text, _)| *text).collect();
    let mut order: Vec<usize> = (0..scored.len()).collect();
    order.sort_by(|&a, &b| scored[b].1.total_cmp(&scored[a].1).then(a.cmp(&b)));
    let mut found = Vec::new();
    for place in order {
        let text = scored[place].0;
        let both = |(left, right): &(&str, &str)| known.contains(left) && known.contains(right);
        let pairs = pairs(text, &known).into_iter().filter(both);
        found.extend(pairs.map(|(left, right)| [left.to_owned(), right.to_owned()]));
    }
    found
}

/// A text as such a vocabulary has it.
pub(crate) fn escaped(text: &str) -> String {
    text.chars().map(|character| if character == ' ' { SPACE } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn tokenizer(texts: &[(&str, f32)], merges: &[[String; 2]]) -> Json {
        let mut vocab = serde_json::Map::new();
        vocab.insert("<unk>".to_owned(), 0.into());
        for byte in 0..256 {
            vocab.insert(format!("<0x{byte:02X}>"), vocab.len().into());
        }
        for (text, _) in texts {
            vocab.insert((*text).to_owned(), vocab.len().into());
        }
        json!({"normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
            "pre_tokenizer": null, "added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
            "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true,
                "vocab": vocab, "merges": merges}})
    }

    const TEXTS: [(&str, f32); 9] = [
        ("▁", -9.0),
        ("a", -9.0),
        ("b", -9.0),
        ("▁a", 0.0),
        ("ab", -1.0),
        ("▁ab", -2.0),
        ("aa", -3.0),
        ("aaa", -4.0),
        ("aaaa", -5.0),
    ];

    #[test]
    fn scores_come_of_merges_and_merges_of_scores() {
        let merges = merges_of(&TEXTS);
        assert_eq!(merges[..3].concat(), ["▁", "a", "a", "b", "▁", "ab"]);
        let found = lexicon(&tokenizer(&TEXTS, &merges), 270).unwrap();
        assert_eq!(found.cut, Cut::Pieces { space: true });
        for (token, (text, score)) in found.tokens[257..].iter().zip(TEXTS) {
            assert_eq!(token.text, text);
            assert_eq!(token.score, score.max(-8.0) * f32::from(u8::from(score > -9.0)));
        }
        assert_eq!(found.tokens[0].kind, Kind::Unknown);
        assert_eq!(found.tokens[11].kind, Kind::Byte);
    }

    #[test]
    fn merges_that_are_not_those_of_scores_are_refused() {
        let mut merges = merges_of(&TEXTS);
        let all = merges.clone();
        merges.remove(3);
        let reason = lexicon(&tokenizer(&TEXTS, &merges), 270).unwrap_err();
        assert!(reason.contains("would merge `▁a` and `b`"), "{reason}");
        let mut merges = all.clone();
        merges.swap(3, 4);
        let reason = lexicon(&tokenizer(&TEXTS, &merges), 270).unwrap_err();
        assert!(reason.contains("stand between"), "{reason}");
        let mut json = tokenizer(&TEXTS, &all);
        json["model"]["byte_fallback"] = false.into();
        assert!(lexicon(&json, 270).unwrap_err().contains("256"));
        json["normalizer"] = json!({"type": "NFKC"});
        assert!(lexicon(&json, 270).unwrap_err().contains("NFKC"));
    }

    proptest! {
        #[test]
        fn both_ways_cut_alike(text in "[▁ab]{0,30}") {
            let merges = merges_of(&TEXTS);
            let ranks: Ranks<'_> = merges.iter().enumerate()
                .map(|(rank, [left, right])| ((left.as_str(), right.as_str()), rank)).collect();
            let score = |left: &str, right: &str| {
                let whole = format!("{left}{right}");
                TEXTS.iter().position(|(text, _)| *text == whole)
            };
            let by_rank = cut(&text, &|left, right| ranks.get(&(left, right)).copied());
            prop_assert_eq!(by_rank, cut(&text, &score));
        }
    }
}
