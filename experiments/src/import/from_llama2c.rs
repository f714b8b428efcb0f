//! llama2.c's `tokenizer.bin`: the length of the longest token, then for each id a score and a text with
//! its length. Spaces are spaces there, bytes are `<0x0A>`, and ids 1 and 2 begin and end a text.

use super::tokenizer::{Kind, Roles, Token};
use crate::export::gguf::pieces::{byte, escaped};

/// What ids of the beginning and the end are called; the file calls them otherwise.
const NAMES: [&str; 3] = ["<unk>", "<s>", "</s>"];

/// Reads the tokens of a model of so many rows.
pub(super) fn read(bytes: &[u8], rows: usize) -> Result<(Vec<Token>, Roles), String> {
    let (mut at, mut tokens) = (4, Vec::new());
    let word = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
    for id in 0..rows {
        let short = || {
            format!(
                "it ends inside token {id} of the {rows} that the model has; is it the model's?"
            )
        };
        let score = word(at).map(f32::from_le_bytes).ok_or_else(short)?;
        let length = word(at + 4).map(u32::from_le_bytes).ok_or_else(short)? as usize;
        let end = at.checked_add(8 + length).filter(|&end| end <= bytes.len());
        let own = &bytes[at + 8..end.ok_or_else(short)?];
        let text = std::str::from_utf8(own).map_err(|_| format!("token {id} is no UTF-8"))?;
        at += 8 + length;
        let (text, kind) = match NAMES.get(id) {
            Some(name) if id == 0 => ((*name).to_owned(), Kind::Unknown),
            Some(name) => ((*name).to_owned(), Kind::Special),
            None if byte(text).is_some() => (text.to_owned(), Kind::Byte),
            None => (escaped(text), Kind::Normal),
        };
        tokens.push(Token { text, kind, score });
    }
    if at != bytes.len() {
        return Err(format!(
            "it has more than the {rows} tokens that the model has; is it the model's?"
        ));
    }
    let roles = Roles { bos: Some(1), eos: Some(2), adds_bos: true, template: None };
    Ok((tokens, roles))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(texts: &[&str]) -> Vec<u8> {
        let mut bytes = 9u32.to_le_bytes().to_vec();
        for text in texts {
            bytes.extend((-1.5f32).to_le_bytes());
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    #[test]
    fn tokens_are_read_and_what_does_not_fit_is_said() {
        let bytes = file(&["<unk>", "\n<s>\n", "\n</s>\n", "<0x0A>", " a"]);
        let (tokens, _) = read(&bytes, 5).unwrap();
        let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(texts, ["<unk>", "<s>", "</s>", "<0x0A>", "▁a"]);
        assert_eq!((tokens[3].kind, tokens[4].kind), (Kind::Byte, Kind::Normal));
        assert_eq!(tokens[4].score, -1.5);
        assert!(read(&bytes, 6).unwrap_err().contains("token 5 of the 6"));
        assert!(read(&bytes, 4).unwrap_err().contains("more than the 4"));
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end], 5).is_err(), "{end}");
        }
    }
}
