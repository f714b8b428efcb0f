//! What Python's strings do, where a suite's prompts are made by it.

/// Whether `str.isspace` says so: Unicode's white space and the four separators of ASCII.
pub(crate) fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// `text.capitalize()`: the first letter is large, all others are small.
pub(super) fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    let Some(first) = rest.next() else { return String::new() };
    let mut large = first.to_uppercase();
    let mut capital: String = large.next().into_iter().collect();
    capital.extend(large.flat_map(char::to_lowercase));
    capital + &rest.as_str().to_lowercase()
}

/// `re.sub("\\[.*?\\]", "", text)`: without what stands in brackets, which end in the line in which they
/// begin.
pub(super) fn without_brackets(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        let inside = &rest[start + 1..];
        let end = inside.find(']').filter(|&end| !inside[..end].contains('\n'));
        let next = end.map_or(start + 1, |end| start + 1 + end + 1);
        kept += &rest[..end.map_or(next, |_| start)];
        rest = &rest[next..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_brackets_are_as_in_python() {
        assert_eq!(capitalized("the LADY"), "The lady");
        assert_eq!(capitalized("ßa Éa"), "Ssa éa");
        assert_eq!((capitalized(""), capitalized("1A")), (String::new(), "1a".to_owned()));
        assert_eq!(without_brackets("a [b] c[d [e] f]"), "a  c f]");
        assert_eq!(without_brackets("[a\n[b]] ["), "[a\n] [");
        assert!(is_space('\u{1f}') && is_space('\u{a0}') && !is_space('\u{200b}'));
    }
}
