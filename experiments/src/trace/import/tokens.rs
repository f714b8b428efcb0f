//! Ids of tokens that a server wrote down: as it says them, or else the token of the same bytes. Knows one
//! tokenizer, and no probabilities.

use align::{Tokenizer, Vocabulary};
use anyhow::{Context, Result, bail};

use super::response::{Answer, Said};

/// The ids of an answer's tokens.
pub fn ids(answer: &Answer, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let id = |(at, token): (usize, &Said)| {
        id(token, tokenizer).with_context(|| format!("token {at}, `{}`", token.text))
    };
    let ids: Vec<u32> = answer.tokens.iter().enumerate().map(id).collect::<Result<_>>()?;
    // What could not be written as UTF-8 is not compared, and a server may leave spaces in front out.
    let text = answer.text.as_deref().filter(|text| !text.contains('\u{fffd}'));
    let own = tokenizer.decode(&ids);
    if text.is_some_and(|text| !own.trim_ascii_start().starts_with(text.trim_start().as_bytes())) {
        bail!(
            "its ids are `{}` to this tokenizer, and its text is another; is it the target's?",
            String::from_utf8_lossy(&own)
        );
    }
    Ok(ids)
}

fn id(token: &Said, tokenizer: &Tokenizer) -> Result<u32> {
    let vocabulary = tokenizer.vocabulary();
    if let Some(id) = token.id.or_else(|| token.text.strip_prefix("token_id:")?.parse().ok()) {
        return checked(id, token, vocabulary);
    }
    if tokenizer.puts_space_in_front() || vocabulary.is_stateful() {
        bail!(
            "a text does not say which token of this tokenizer it is; ask the server for ids (vLLM: \
             \"return_token_ids\": true)"
        );
    }
    let bytes = bytes(token)?;
    let found = vocabulary.find(&bytes);
    let special = || vocabulary.special(std::str::from_utf8(&bytes).ok()?);
    found.or_else(special).context("this is no single token of the tokenizer")
}

/// An id that the server said, if its bytes are those of the token.
fn checked(id: u32, token: &Said, vocabulary: &Vocabulary) -> Result<u32> {
    if id as usize >= vocabulary.rows() {
        bail!("the id {id} is outside the tokenizer's {} rows", vocabulary.rows());
    }
    let Some(bytes) = token.bytes.as_ref().filter(|_| vocabulary.is_token(id)) else {
        return Ok(id);
    };
    let own = vocabulary.decode(&[id]);
    if own.trim_ascii_start() != bytes.trim_ascii_start() && !vocabulary.is_stateful() {
        bail!("the id {id} is `{}` to this tokenizer", String::from_utf8_lossy(&own));
    }
    Ok(id)
}

/// The bytes of a token: as the server says them, or those of its text, which `OpenAI` writes as
/// `bytes:\xe2\x80` where it is no UTF-8.
fn bytes(token: &Said) -> Result<Vec<u8>> {
    if let Some(bytes) = &token.bytes {
        return Ok(bytes.clone());
    }
    if let Some(digits) = token.text.strip_prefix("bytes:") {
        let pairs = digits.split("\\x").skip(1);
        let bytes: Result<Vec<u8>, _> = pairs.map(|pair| u8::from_str_radix(pair, 16)).collect();
        return bytes.context("these are no bytes");
    }
    if token.text.contains('\u{fffd}') {
        bail!("a part of a character has no text; ask the server for ids or bytes");
    }
    Ok(token.text.clone().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::response::Log;
    use super::*;
    use support::tokenizers::bpe;

    fn said(text: &str) -> Said {
        Said { id: None, text: text.to_owned(), bytes: None, log: Log::Said(0.0) }
    }

    fn ids_of(tokens: &[Said], text: Option<&str>) -> Result<Vec<u32>> {
        let answer = Answer { tokens: tokens.to_vec(), text: text.map(str::to_owned) };
        ids(&answer, &bpe("ab ", &[("a", "b")]))
    }

    fn refusal(token: Said) -> String {
        format!("{:#}", ids_of(&[token], None).unwrap_err())
    }

    #[test]
    fn ids_are_taken_as_said_or_found_by_bytes() {
        let by_id = Said { id: Some(3), ..said("ab") };
        let tokens = [by_id, said("a"), said("token_id:1"), said("bytes:\\x20")];
        assert_eq!(ids_of(&tokens, Some("abab ")).unwrap(), [3, 0, 1, 2]);
        let end = bpe("ab ", &[("a", "b")]).eos().unwrap();
        assert_eq!(ids_of(&[said("<eos>")], Some("")).unwrap(), [end]);
    }

    #[test]
    fn what_is_no_single_token_is_refused() {
        assert!(refusal(said("ba")).contains("token 0, `ba`: this is no single token"));
        assert!(refusal(said("\u{fffd}")).contains("part of a character"));
        assert!(refusal(Said { id: Some(99), ..said("a") }).contains("outside the tokenizer's"));
        let other = Said { id: Some(1), bytes: Some(b"a".to_vec()), ..said("a") };
        assert!(refusal(other).contains("the id 1 is `b`"));
        let message = format!("{:#}", ids_of(&[said("a")], Some("b")).unwrap_err());
        assert!(message.contains("its text is another"), "{message}");
    }
}
